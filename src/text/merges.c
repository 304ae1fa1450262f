/* merges.c - merges as the file writes them, "left right", become numbers once. */
#include "text/merges.h"

#include "base/mem.h"

/* Merges that the file may have: each makes at most three new texts. */
#define MERGES_MAX ((uint64_t)UINT32_MAX / 8)

enum { READ_AT_ONCE = 32 };

/* A merge that is being read: left, right, and what they make. */
struct reading {
    struct str text[3];
    uint32_t begun[3], id[3];
    size_t joined; /* where text[2] begins in the buffer of joined ones */
};

/* The number of a text; `keep` says that the text goes away. Returns 0 or E_NOMEM. */
static int id_of(struct merges *m, struct str text, uint32_t begun, int keep, uint32_t *id)
{
    char *copy;

    if (map_get_begun(&m->v->by_text, text, begun, id) || map_get(&m->extra, text, id))
        return 0;
    if (keep) {
        copy = arena_strdup(&m->texts, text);
        if (!copy)
            return E_NOMEM;
        text.p = copy;
    }
    *id = m->next++;
    return map_put(&m->extra, text, *id, NULL) < 0 ? E_NOMEM : 0;
}

int merges_name(struct merges *m, struct str text, uint32_t *id)
{
    return id_of(m, text, map_begin(&m->v->by_text, text), 0, id);
}

int merges_find(const struct merges *m, struct str text, uint32_t *id)
{
    return map_get(&m->v->by_text, text, id) || map_get(&m->extra, text, id);
}

/* "left right" to its texts. */
static int split_merge(struct str m, struct buf *joined, struct reading *r, struct err *e)
{
    const char *gap = m.n > 1 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;

    if (!gap || gap + 1 == m.p + m.n)
        return err_set(e, E_FORMAT, "not two texts with a space between them");
    r->text[0] = (struct str){m.p, (size_t)(gap - m.p)};
    r->text[1] = (struct str){gap + 1, m.n - r->text[0].n - 1};
    r->joined = joined->n;
    if (buf_put(joined, r->text[0].p, r->text[0].n) < 0 ||
        buf_put(joined, r->text[1].p, r->text[1].n) < 0)
        return err_set(e, E_NOMEM, "no memory for its text");
    return 0;
}

/* n merges from number `first` on. They are looked up together: each would wait for memory. */
static int read_some(struct merges *m, struct buf *joined, const struct str *text, size_t first,
                     size_t n, struct err *e)
{
    struct reading some[READ_AT_ONCE];
    const struct map *known = &m->v->by_text;
    int rc = 0;

    buf_clear(joined);
    for (size_t i = 0; i < n; i++) {
        rc = split_merge(text[first + i], joined, &some[i], e);
        if (rc < 0)
            return err_wrap(e, rc, "tokenizer.ggml.merges: element %zu", first + i);
    }
    for (size_t i = 0; i < n; i++) {
        struct reading *r = &some[i];

        r->text[2] = (struct str){joined->p + r->joined, r->text[0].n + r->text[1].n};
        for (int k = 0; k < 3; k++)
            r->begun[k] = map_begin(known, r->text[k]);
    }
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < 3; k++)
            map_reach(known, some[i].begun[k]);
    }
    for (size_t i = 0; i < n; i++) {
        struct reading *r = &some[i];

        for (int k = 0; k < 3; k++) {
            if (id_of(m, r->text[k], r->begun[k], 1, &r->id[k]) < 0)
                return err_set(e, E_NOMEM, "no memory for merge %zu", first + i);
        }
        map64_begin(&m->pairs, (uint64_t)r->id[0] << 32 | r->id[1]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct reading *r = &some[i];

        if (map64_put(&m->pairs, (uint64_t)r->id[0] << 32 | r->id[1], (uint32_t)(first + i)) <
            0)
            return err_set(e, E_NOMEM, "no memory for merge %zu", first + i);
        m->made[first + i] = r->id[2];
    }
    return 0;
}

static int read_all(struct merges *m, struct buf *joined, const struct str *text, size_t n,
                    struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i += READ_AT_ONCE)
        rc = read_some(m, joined, text, i, n - i < READ_AT_ONCE ? n - i : READ_AT_ONCE, e);
    return rc;
}

int merges_init(struct merges *m, const struct vocab *v, const struct gguf *g, int needed,
                struct err *e)
{
    const struct gguf_kv *kv;
    struct str *text = NULL;
    struct buf joined;
    int rc = vocab_array(g, "tokenizer.ggml.merges", 1, needed, &kv, e);
    uint64_t n;

    *m = (struct merges){.v = v, .next = (uint32_t)v->n};
    arena_init(&m->texts, SIZE_MAX);
    if (rc < 0)
        return rc;
    n = kv ? kv->n : 0;
    m->given = kv != NULL;
    if (n > MERGES_MAX)
        return err_set(e, E_FORMAT, "tokenizer.ggml.merges has %llu elements",
                       (unsigned long long)n);
    buf_init(&joined, SIZE_MAX);
    text = mem_alloc((size_t)n * sizeof(*text) + 1);
    m->made = mem_alloc((size_t)n * sizeof(*m->made) + 1);
    if (!text || !m->made || map64_init(&m->pairs, (size_t)n) < 0 ||
        map_init(&m->extra, 256) < 0)
        rc = err_set(e, E_NOMEM, "no memory for %llu merges", (unsigned long long)n);
    if (rc == 0 && kv) {
        gguf_arr_strs(kv, text);
        rc = read_all(m, &joined, text, (size_t)n, e);
    }
    mem_free(text);
    buf_done(&joined);
    return rc;
}

void merges_done(struct merges *m)
{
    map64_done(&m->pairs);
    map_done(&m->extra);
    arena_done(&m->texts);
    mem_free(m->made);
    *m = (struct merges){0};
}

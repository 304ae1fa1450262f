/* A model is one file, or the parts of a split one joined: keys come from part 1, tensors from
 * all of them. A part tells its own number and how many there are (split.no, split.count),
 * and the names of the others follow from its own.
 */
#include "fmt/gguf_priv.h"

#include "base/mem.h"

#include <stdio.h>

struct gguf {
    char *path;
    const char *format;
    struct gguf_part *parts; /* the arrays of tensors and names have moved to below */
    size_t n_part;
    struct gguf_tensor *tensors;
    size_t n_tensor;
    struct map names;
    char *names_made; /* of tensors, when the model was made: else they are in the file */
};

enum {
    SPLIT_TAIL = 20, /* bytes of "-00001-of-00003.gguf" */
    SPLIT_MAX = 99999
};

/* What a part says of the whole. */
struct split {
    uint64_t no, count;
    uint64_t n_tensor; /* of all parts; UINT64_MAX: not told */
};

/* Reads an integer key of a part. Returns 1, 0 absent, E_FORMAT. */
static int split_key(const struct gguf_part *p, const char *path, const char *key,
                     uint64_t *out, struct err *e)
{
    const struct gguf_kv *kv = gguf_part_kv(p, key);

    if (!kv)
        return 0;
    if (!gguf_kv_u64(kv, out))
        return err_set(e, E_FORMAT, "%s: key %s: not a number from 0 at byte %llu", path, key,
                       (unsigned long long)((const unsigned char *)kv->key.p - p->map.p));
    return 1;
}

static int split_read(const struct gguf_part *p, const char *path, struct split *out,
                      struct err *e)
{
    struct split s = {0, 1, UINT64_MAX};
    int rc;

    if ((rc = split_key(p, path, "split.count", &s.count, e)) < 0 ||
        (rc = split_key(p, path, "split.no", &s.no, e)) < 0 ||
        (rc = split_key(p, path, "split.tensors.count", &s.n_tensor, e)) < 0)
        return rc;
    if (s.count <= 1) /* an ordinary file, whatever the other two say */
        s = (struct split){0, 1, UINT64_MAX};
    if (s.count > SPLIT_MAX || s.no >= s.count)
        return err_set(e, E_FORMAT,
                       "%s: key split.no: part %llu of %llu, counted from 0, cannot be", path,
                       (unsigned long long)s.no, (unsigned long long)s.count);
    *out = s;
    return 0;
}

/* Writes the tail of part no (from 0) over the end of a name. */
static void split_name(char *path, uint64_t no, uint64_t count)
{
    size_t n = strlen(path);

    (void)snprintf(path + n - SPLIT_TAIL, SPLIT_TAIL + 1, "-%05u-of-%05u.gguf",
                   (unsigned)(no + 1) % (SPLIT_MAX + 1), (unsigned)count % (SPLIT_MAX + 1));
}

/* A copy of path when it ends as the name of that part must. */
static int split_path(const char *path, const struct split *s, char **out, struct err *e)
{
    char want[SPLIT_TAIL + 1] = "12345678901234567890", *copy;

    split_name(want, s->no, s->count);
    if (strlen(path) < SPLIT_TAIL || strcmp(path + strlen(path) - SPLIT_TAIL, want) != 0)
        return err_set(e, E_FORMAT,
                       "%s: part %llu of a model in %llu files; its name must end in %s", path,
                       (unsigned long long)s->no + 1, (unsigned long long)s->count, want);
    copy = mem_strdup(path);
    if (!copy)
        return err_set(e, E_NOMEM, "%s: no memory for its name", path);
    *out = copy;
    return 0;
}

/* Parts of different models must not be mixed: what two parts both say must agree. */
static int split_agrees(const struct gguf_part *first, const struct gguf_part *p,
                        const char *path, const struct split *want, struct err *e)
{
    const struct gguf_kv *a = gguf_part_kv(first, "general.architecture"),
                         *b = gguf_part_kv(p, "general.architecture");
    struct split got;
    int rc = split_read(p, path, &got, e);

    if (rc < 0)
        return rc;
    if (got.count != want->count || got.no != want->no)
        return err_set(e, E_FORMAT,
                       "%s: it says that it is part %llu of %llu, expected part %llu of %llu",
                       path, (unsigned long long)got.no + 1, (unsigned long long)got.count,
                       (unsigned long long)want->no + 1, (unsigned long long)want->count);
    if (got.n_tensor != UINT64_MAX && want->n_tensor != UINT64_MAX &&
        got.n_tensor != want->n_tensor)
        return err_set(e, E_FORMAT, "%s: key split.tensors.count: %llu, another part says %llu",
                       path, (unsigned long long)got.n_tensor,
                       (unsigned long long)want->n_tensor);
    if (a && b && a->type == GGUF_STR && b->type == GGUF_STR && !str_eq(a->v.s, b->v.s))
        return err_set(e, E_FORMAT, "%s: a part of another model: general.architecture differs",
                       path);
    return 0;
}

/* Opens all parts. *known is the one that is open; it moves into g on success. */
static int split_open(struct gguf *g, struct gguf_part *known, char *path,
                      const struct split *s, struct err *e)
{
    struct split want = *s;
    size_t cap = 0;

    for (want.no = 0; want.no < s->count; want.no++) {
        struct gguf_part *part, *more;
        int rc;

        if (g->n_part == cap) { /* a count is worth no memory before its files are there */
            cap = cap ? cap * 2 : 4;
            more = mem_realloc(g->parts, cap * sizeof(*more));
            if (!more)
                return err_set(e, E_NOMEM, "%s: no memory for %zu parts", g->path, cap);
            g->parts = more;
        }
        part = &g->parts[g->n_part];
        split_name(path, want.no, want.count);
        if (want.no == s->no) {
            *part = *known;
            *known = (struct gguf_part){0};
        } else {
            rc = gguf_part_open(part, path, e);
            if (rc < 0)
                return err_wrap(e, rc, "part %llu of %llu", (unsigned long long)want.no + 1,
                                (unsigned long long)want.count);
        }
        g->n_part++;
        rc = split_agrees(&g->parts[0], part, path, &want, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Adds part i's tensors to those of the model, whose arrays have room. */
static int join_part(struct gguf *g, size_t i, struct err *e)
{
    struct gguf_part *p = &g->parts[i];
    char who[100];

    for (size_t k = 0; k < p->n_tensor; k++) {
        struct gguf_tensor *t = &g->tensors[g->n_tensor];
        int rc = map_put(&g->names, p->tensors[k].name, (uint32_t)g->n_tensor, NULL);

        if (rc < 0)
            return err_set(e, rc, "%s: no memory for names", g->path);
        if (rc > 0)
            return err_set(e, E_FORMAT, "%s: tensor %s: part %zu has it again", g->path,
                           gguf_printable(p->tensors[k].name, who, sizeof(who)), i + 1);
        *t = p->tensors[k];
        t->part = (int)i;
        g->n_tensor++;
    }
    mem_free(p->tensors);
    p->tensors = NULL;
    map_done(&p->names);
    return 0;
}

/* Makes one array of the parts' tensors. */
static int join_parts(struct gguf *g, uint64_t n_told, struct err *e)
{
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < g->n_part; i++)
        n += g->parts[i].n_tensor;
    if (n_told != UINT64_MAX && n != n_told)
        return err_set(e, E_FORMAT,
                       "%s: key split.tensors.count: %llu, but the %zu parts have %zu tensors",
                       g->path, (unsigned long long)n_told, g->n_part, n);
    if (n > GGUF_COUNT_MAX)
        return err_set(e, E_FORMAT, "%s: %zu tensors in all parts, the limit is %d", g->path, n,
                       GGUF_COUNT_MAX);
    g->tensors = n ? mem_calloc(n, sizeof(*g->tensors)) : NULL;
    if ((n && !g->tensors) || map_init(&g->names, n) < 0)
        return err_set(e, E_NOMEM, "%s: no memory for %zu tensors", g->path, n);
    for (size_t i = 0; rc == 0 && i < g->n_part; i++)
        rc = join_part(g, i, e);
    return rc;
}

/* The usual case of one file: nothing is copied. */
static int take_part(struct gguf *g, struct gguf_part *part, struct err *e)
{
    g->parts = mem_alloc(sizeof(*g->parts));
    if (!g->parts)
        return err_set(e, E_NOMEM, "%s: no memory", g->path);
    g->tensors = part->tensors;
    g->n_tensor = part->n_tensor;
    g->names = part->names;
    part->tensors = NULL;
    part->names = (struct map){0};
    g->parts[0] = *part;
    *part = (struct gguf_part){0};
    g->n_part = 1;
    return 0;
}

int gguf_open(struct gguf **out, const char *path, struct err *e)
{
    struct gguf *g = mem_calloc(1, sizeof(*g));
    struct gguf_part part = {0};
    struct split s = {0};
    char *name = NULL;
    int rc;

    if (!g || !(g->path = mem_strdup(path))) {
        rc = err_set(e, E_NOMEM, "%s: no memory", path);
        goto out;
    }
    g->format = "GGUF";
    if ((rc = gguf_part_open(&part, path, e)) < 0 || (rc = split_read(&part, path, &s, e)) < 0)
        goto out;
    if (s.count == 1) {
        rc = take_part(g, &part, e);
    } else if ((rc = split_path(path, &s, &name, e)) == 0 &&
               (rc = split_open(g, &part, name, &s, e)) == 0) {
        rc = join_parts(g, s.n_tensor, e);
    }
    if (rc < 0)
        goto out;
    *out = g;
    g = NULL;
out:
    mem_free(name);
    gguf_part_close(&part);
    gguf_free(g);
    return rc;
}

/* Which of the parts a tensor's data lie in. */
static int part_of(const struct gguf *g, const unsigned char *data)
{
    for (size_t i = 1; i < g->n_part; i++) {
        const struct mapping *map = &g->parts[i].map;

        if (map->p && data >= map->p && data < map->p + map->n)
            return (int)i;
    }
    return 0;
}

static int copy_tensors(struct gguf *g, const struct gguf_writer *w, struct err *e)
{
    const struct gguf_wtensor *from;
    size_t n = gguf_writer_tensors(w, &from), n_name = 0;
    char *name;

    for (size_t i = 0; i < n; i++)
        n_name += from[i].name.n;
    g->names_made = name = n_name ? mem_alloc(n_name) : NULL;
    g->tensors = n ? mem_calloc(n, sizeof(*g->tensors)) : NULL;
    if ((n && (!g->tensors || !name)) || map_init(&g->names, n) < 0)
        return err_set(e, E_NOMEM, "%s: no memory for %zu tensors", g->path, n);
    for (size_t i = 0; i < n; i++) {
        struct gguf_tensor *t = &g->tensors[i];

        memcpy(name, from[i].name.p, from[i].name.n);
        *t = (struct gguf_tensor){.name = {name, from[i].name.n},
                                  .type = from[i].type,
                                  .n_dim = from[i].n_dim,
                                  .n_elem = from[i].n_elem,
                                  .n_byte = from[i].n_byte,
                                  .data = from[i].data};
        name += from[i].name.n;
        memcpy(t->ne, from[i].ne, sizeof(t->ne));
        t->part = part_of(g, t->data);
        t->offset = t->part ? (uint64_t)(t->data - g->parts[t->part].map.p) : 0;
        if (map_put(&g->names, t->name, (uint32_t)i, NULL) < 0)
            return err_set(e, E_NOMEM, "%s: no memory for names", g->path);
        g->n_tensor++;
    }
    return 0;
}

int gguf_of_writer(struct gguf **out, const struct gguf_writer *w, const char *path,
                   const char *format, struct mapping *maps, size_t n_map, struct err *e)
{
    struct gguf *g = mem_calloc(1, sizeof(*g));
    struct mapping keys = {0};
    int rc = 0;

    if (!g || !(g->path = mem_strdup(path)) ||
        !(g->parts = mem_calloc(n_map + 1, sizeof(*g->parts))))
        rc = err_set(e, E_NOMEM, "%s: no memory", path);
    for (size_t i = 0; i < n_map; i++) {
        if (rc == 0)
            g->parts[1 + i].map = maps[i];
        else
            mmap_close(&maps[i]);
        maps[i] = (struct mapping){0};
    }
    if (rc == 0) {
        g->format = format;
        g->n_part = 1 + n_map;
        rc = gguf_writer_keys(w, &keys, e);
    }
    if (rc == 0)
        rc = gguf_part_read(&g->parts[0], &keys, path, e);
    if (rc == 0)
        rc = copy_tensors(g, w, e);
    if (rc == 0) {
        *out = g;
        g = NULL;
    }
    gguf_free(g);
    return rc;
}

void gguf_free(struct gguf *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_part; i++)
        gguf_part_close(&g->parts[i]);
    map_done(&g->names);
    mem_free(g->tensors);
    mem_free(g->names_made);
    mem_free(g->parts);
    mem_free(g->path);
    mem_free(g);
}

const char *gguf_path(const struct gguf *g)
{
    return g->path;
}

const char *gguf_format(const struct gguf *g)
{
    return g->format;
}

int gguf_version(const struct gguf *g)
{
    return g->parts[0].version;
}

int gguf_n_part(const struct gguf *g)
{
    return (int)g->n_part;
}

const struct mapping *gguf_mapping(const struct gguf *g, int part)
{
    return &g->parts[part].map;
}

int gguf_intact(const struct gguf *g, struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < g->n_part && rc == 0; i++)
        rc = mmap_intact(&g->parts[i].map, e);
    return rc;
}

int gguf_changed(const struct gguf *g)
{
    int is = 0;

    for (size_t i = 0; i < g->n_part && !is; i++)
        is = mmap_changed(&g->parts[i].map);
    return is;
}

uint64_t gguf_file_bytes(const struct gguf *g)
{
    uint64_t n = 0;

    for (size_t i = 0; i < g->n_part; i++)
        n += g->parts[i].map.stamp[0] ? g->parts[i].map.n : 0; /* memory is no file */
    return n;
}

uint64_t gguf_trailing_bytes(const struct gguf *g)
{
    uint64_t n = 0;

    for (size_t i = 0; i < g->n_part; i++)
        n += g->parts[i].n_trailing;
    return n;
}

size_t gguf_n_kv(const struct gguf *g)
{
    return g->parts[0].n_kv;
}

const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i)
{
    return &g->parts[0].kv[i];
}

const struct gguf_kv *gguf_kv(const struct gguf *g, const char *key)
{
    return gguf_part_kv(&g->parts[0], key);
}

size_t gguf_n_tensor(const struct gguf *g)
{
    return g->n_tensor;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i)
{
    return &g->tensors[i];
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    uint32_t i;

    return map_get(&g->names, str_of(name), &i) ? &g->tensors[i] : NULL;
}

uint64_t gguf_key_offset(const struct gguf *g, const struct gguf_kv *kv)
{
    return (uint64_t)((const unsigned char *)kv->key.p - g->parts[0].map.p);
}

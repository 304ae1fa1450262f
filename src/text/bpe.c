/* bpe.c - byte-level BPE: the bytes of a word are joined in the order of the merges.
 *
 * The file writes bytes as characters (the alphabet of GPT-2, in which every byte is a
 * character that can be seen), tokens and merges alike. They are turned into numbers once:
 * a merge is a pair of ids and the id that it makes. A text that merges use and no token has
 * gets an id past the vocabulary: it can be joined further like any other, and what is left
 * of it at the end is written as the tokens of its bytes.
 */
#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "text/kind.h"
#include "text/tok_ids.h"

#include <stdio.h>

/* Merges that the file may have: each makes at most three new ids. */
#define MERGES_MAX ((uint64_t)UINT32_MAX / 8)

enum { READ_AT_ONCE = 32 };

struct bpe {
    struct map64 pairs;       /* left id << 32 | right id, to the number of the merge */
    uint32_t *made;           /* id that each merge makes */
    uint32_t byte_id[256];    /* may lie past the vocabulary */
    char alphabet[256][2];    /* the character of each byte */
    unsigned char width[256]; /* its length */
};

/* -- the alphabet -------------------------------------------------------------------- */

/* These bytes are their own characters; the others are U+0100 and on, in order. */
static int is_plain(int b)
{
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
}

enum { N_OTHER = 68 };

static void fill_alphabet(struct bpe *b)
{
    int n = 0;

    for (int i = 0; i < 256; i++) {
        char c[4];
        int len = utf8_put(is_plain(i) ? i : 256 + n++, c);

        b->width[i] = (unsigned char)len;
        memcpy(b->alphabet[i], c, (size_t)len);
    }
}

/* The byte of a character, or -1 when it is not of the alphabet. */
static int alphabet_byte(int32_t cp)
{
    int n = cp - 256;

    if (cp < 256)
        return cp >= 0 && is_plain(cp) ? cp : -1;
    /* 0-32, 127-160, 173 */
    return n <= 32 ? n : n < N_OTHER - 1 ? n - 33 + 127 : n == N_OTHER - 1 ? 173 : -1;
}

/* -- building ------------------------------------------------------------------------ */

/* Texts that are no tokens, while the merges are read. */
struct extra {
    const struct vocab *v;
    struct map ids;
    uint32_t next;
    struct arena texts;
    struct buf joined;
};

/* A merge that is being read: left, right, and what they make. */
struct reading {
    struct str text[3];
    uint32_t begun[3], id[3];
    size_t joined; /* where text[2] begins in extra.joined */
};

/* The id of a text; `keep` says that the text goes away. Returns 0 or E_NOMEM. */
static int id_of(struct extra *x, struct str text, uint32_t begun, int keep, uint32_t *id)
{
    char *copy;

    if (map_get_begun(&x->v->by_text, text, begun, id) || map_get(&x->ids, text, id))
        return 0;
    if (keep) {
        copy = arena_strdup(&x->texts, text);
        if (!copy)
            return E_NOMEM;
        text.p = copy;
    }
    *id = x->next++;
    return map_put(&x->ids, text, *id, NULL) < 0 ? E_NOMEM : 0;
}

/* "left right" to its texts. */
static int split_merge(struct extra *x, struct str m, struct reading *r, struct err *e)
{
    const char *gap = m.n > 1 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;

    if (!gap || gap + 1 == m.p + m.n)
        return err_set(e, E_FORMAT, "not two texts with a space between them");
    r->text[0] = (struct str){m.p, (size_t)(gap - m.p)};
    r->text[1] = (struct str){gap + 1, m.n - r->text[0].n - 1};
    r->joined = x->joined.n;
    if (buf_put(&x->joined, r->text[0].p, r->text[0].n) < 0 ||
        buf_put(&x->joined, r->text[1].p, r->text[1].n) < 0)
        return err_set(e, E_NOMEM, "no memory for its text");
    return 0;
}

/* n merges from number `first` on. They are looked up together: each would wait for memory. */
static int read_some(struct bpe *b, struct extra *x, const struct str *text, size_t first,
                     size_t n, struct err *e)
{
    struct reading some[READ_AT_ONCE];
    const struct map *known = &x->v->by_text;
    int rc = 0;

    buf_clear(&x->joined);
    for (size_t i = 0; i < n; i++) {
        rc = split_merge(x, text[first + i], &some[i], e);
        if (rc < 0)
            return err_wrap(e, rc, "tokenizer.ggml.merges: element %zu", first + i);
    }
    for (size_t i = 0; i < n; i++) {
        struct reading *r = &some[i];

        r->text[2] = (struct str){x->joined.p + r->joined, r->text[0].n + r->text[1].n};
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
            if (id_of(x, r->text[k], r->begun[k], k == 2, &r->id[k]) < 0)
                return err_set(e, E_NOMEM, "no memory for merge %zu", first + i);
        }
        map64_begin(&b->pairs, (uint64_t)r->id[0] << 32 | r->id[1]);
    }
    for (size_t i = 0; i < n; i++) {
        const struct reading *r = &some[i];

        if (map64_put(&b->pairs, (uint64_t)r->id[0] << 32 | r->id[1], (uint32_t)(first + i)) <
            0)
            return err_set(e, E_NOMEM, "no memory for merge %zu", first + i);
        b->made[first + i] = r->id[2];
    }
    return 0;
}

static int read_merges(struct bpe *b, struct extra *x, const struct str *text, size_t n,
                       struct err *e)
{
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i += READ_AT_ONCE)
        rc = read_some(b, x, text, i, n - i < READ_AT_ONCE ? n - i : READ_AT_ONCE, e);
    return rc;
}

static int open_merges(struct bpe *b, const struct vocab *v, const struct gguf *g,
                       struct err *e)
{
    struct extra x = {.v = v, .next = (uint32_t)v->n};
    const struct gguf_kv *kv;
    struct str *text = NULL;
    int rc = vocab_array(g, "tokenizer.ggml.merges", 1, 1, &kv, e);

    if (rc < 0)
        return rc;
    if (kv->n > MERGES_MAX)
        return err_set(e, E_FORMAT, "tokenizer.ggml.merges has %llu elements",
                       (unsigned long long)kv->n);
    arena_init(&x.texts, SIZE_MAX);
    buf_init(&x.joined, SIZE_MAX);
    text = mem_alloc((size_t)kv->n * sizeof(*text) + 1);
    b->made = mem_alloc((size_t)kv->n * sizeof(*b->made) + 1);
    if (!text || !b->made || map64_init(&b->pairs, (size_t)kv->n) < 0 ||
        map_init(&x.ids, 256) < 0) {
        rc = err_set(e, E_NOMEM, "no memory for %llu merges", (unsigned long long)kv->n);
        goto out;
    }
    for (int i = 0; i < 256; i++) {
        struct str c = {b->alphabet[i], b->width[i]};

        if (id_of(&x, c, map_begin(&v->by_text, c), 0, &b->byte_id[i]) < 0) {
            rc = err_set(e, E_NOMEM, "no memory for the bytes");
            goto out;
        }
    }
    gguf_arr_strs(kv, text);
    rc = read_merges(b, &x, text, (size_t)kv->n, e);
out:
    mem_free(text);
    map_done(&x.ids);
    buf_done(&x.joined);
    arena_done(&x.texts);
    return rc;
}

/* Files from before the key existed, or from tools that leave it out, are known by their
 * architecture; Llama 3 also by its end-of-turn token. NULL: not known. */
static const char *pre_of_arch(const struct vocab *v, const struct gguf *g)
{
    enum { EOT = 128009 };
    static const char *const known[][2] = {{"gptoss", "gpt-4o"}, {"mistral3", "tekken"}};
    struct str arch = {"", 0};

    if (gguf_str(g, "general.architecture", &arch, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (str_is(arch, known[i][0]))
            return known[i][1];
    }
    if (str_is(arch, "llama") && v->n > EOT && str_is(v->text[EOT], "<|eot_id|>"))
        return "llama-bpe";
    return NULL;
}

static int find_pre(struct tok *t, const struct gguf *g, struct err *e)
{
    struct str name = {"default", 7};
    char known[ERR_MAX];
    size_t n = 0;
    const struct pre *p;
    const char *usual;
    int rc = gguf_str(g, "tokenizer.ggml.pre", &name, e);

    if (rc < 0)
        return rc;
    usual = name.n == 0 || str_is(name, "default") ? pre_of_arch(&t->vocab, g) : NULL;
    if (usual)
        name = str_of(usual);
    t->pre = pre_find(name);
    if (t->pre)
        return 0;
    known[0] = '\0';
    for (int i = 0; (p = pre_at(i)) && n < sizeof(known) - 1; i++) {
        int len = snprintf(known + n, sizeof(known) - n, " %s", p->name);

        n = len > 0 ? n + (size_t)len : n;
    }
    return err_set(e, E_UNSUPPORTED, "pre-tokenizer \"%.*s\" is not one of these:%s",
                   (int)(name.n < 64 ? name.n : 64), name.p, known);
}

static int bpe_open(struct tok *t, const struct gguf *g, struct err *e)
{
    struct bpe *b;
    int rc = find_pre(t, g, e);

    if (rc < 0)
        return rc;
    t->self = b = mem_calloc(1, sizeof(*b));
    if (!b)
        return err_set(e, E_NOMEM, "no memory for a tokenizer");
    t->add_bos = t->pre->add_bos;
    fill_alphabet(b);
    return open_merges(b, &t->vocab, g, e);
}

static void bpe_close(struct tok *t)
{
    struct bpe *b = t->self;

    if (b) {
        map64_done(&b->pairs);
        mem_free(b->made);
    }
    mem_free(b);
    t->self = NULL;
}

/* -- encoding ------------------------------------------------------------------------ */

static uint32_t pair(const void *ctx, const struct merge_sym *left,
                     const struct merge_sym *right, size_t n_byte)
{
    const struct bpe *b = ctx;
    uint32_t rank;

    (void)n_byte;
    return map64_get(&b->pairs, (uint64_t)left->id << 32 | right->id, &rank) ? rank
                                                                             : MERGE_NONE;
}

/* The token whose text the whole word is: 1 and its id appended, 0, or E_NOMEM. */
static int encode_whole(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    char *at;
    int id;

    buf_clear(&w->text);
    at = buf_reserve(&w->text, 2 * word.n);
    if (!at)
        return E_NOMEM;
    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];

        memcpy(at, b->alphabet[c], b->width[c]);
        at += b->width[c];
    }
    id = vocab_find(&w->t->vocab, (struct str){w->text.p, (size_t)(at - w->text.p)});
    if (id < 0)
        return 0;
    return tok_ids_put(w->out, id) < 0 ? E_NOMEM : 1;
}

/* What a symbol becomes: its token, or those of its bytes. A byte without a token is lost:
 * the vocabulary cannot say it. */
static int emit(struct work *w, uint32_t id, struct str bytes)
{
    const struct bpe *b = w->t->self;
    uint32_t n = (uint32_t)w->t->vocab.n;
    int rc = 0;

    if (id < n)
        return tok_ids_put(w->out, (int32_t)id);
    for (size_t i = 0; rc >= 0 && i < bytes.n; i++) {
        id = b->byte_id[(unsigned char)bytes.p[i]];
        if (id < n)
            rc = tok_ids_put(w->out, (int32_t)id);
    }
    return rc;
}

static int encode_merged(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    struct merge_rules rules = {pair, b, NULL, b->made};
    struct merge *m = &w->merge;
    int rc = merge_start(m, word.n);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < word.n; i++)
        merge_add(m, b->byte_id[(unsigned char)word.p[i]], (uint32_t)i);
    rc = merge_run(m, &rules, (uint32_t)word.n);
    for (uint32_t i = 0; rc >= 0 && i < m->n; i = m->sym[i].next) {
        const struct merge_sym *x = &m->sym[i];

        rc = emit(w, x->id, (struct str){word.p + x->at, m->sym[x->next].at - x->at});
    }
    return rc;
}

static int encode_word(struct work *w, struct str word)
{
    struct words_slot *slot;
    size_t at = w->out->n;
    int rc = words_get(&w->words, word, w->out, &slot);

    if (rc != 0)
        return rc;
    if (w->t->pre->ignore_merges)
        rc = encode_whole(w, word);
    if (rc == 0)
        rc = encode_merged(w, word);
    if (rc >= 0)
        words_put(slot, word, w->out, at);
    return rc;
}

static int bpe_encode(struct work *w, struct str text)
{
    struct pre_iter it;
    struct str word;
    int rc = 0;

    pre_iter_init(&it, w->t->pre, text);
    while (rc >= 0 && pre_iter_next(&it, &word))
        rc = encode_word(w, word);
    return rc < 0 ? rc : 0;
}

/* -- decoding ------------------------------------------------------------------------ */

static int bpe_piece(const struct tok *t, int id, struct buf *out)
{
    struct str x = t->vocab.text[id];
    int rc = 0;

    for (size_t i = 0, len; rc >= 0 && i < x.n; i += len) {
        int32_t cp;
        int byte;

        len = (size_t)utf8_next(x.p + i, x.n - i, &cp);
        byte = alphabet_byte(cp);
        /* What is not of the alphabet stands for itself. */
        rc = byte >= 0 ? buf_byte(out, byte) : buf_put(out, x.p + i, len);
    }
    return rc;
}

const struct kind bpe_kind = {
    .name = "gpt2",
    .ids = {.bos = 11, .eos = 11, .unk = -1, .sep = -1, .pad = -1, .mask = -1},
    .open = bpe_open,
    .close = bpe_close,
    .encode = bpe_encode,
    .piece = bpe_piece,
};

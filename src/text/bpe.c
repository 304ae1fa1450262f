/* bpe.c - byte-level BPE: the bytes of a word are joined in the order of the merges.
 *
 * The file writes bytes as characters (the alphabet of GPT-2, in which every byte is a
 * character that can be seen), tokens and merges alike. They are turned into numbers once:
 * a merge is a pair of ids and the id that it makes. A text that merges use and no token has
 * gets an id past the vocabulary: it can be joined further like any other, and what is left
 * of it at the end is written as the tokens of its bytes.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/kind.h"
#include "text/merges.h"
#include "text/tok_ids.h"

#include <stdio.h>

struct bpe {
    struct merges merges;
    uint32_t byte_id[256];    /* may lie past the vocabulary */
    char alphabet[256][2];    /* the character of each byte */
    unsigned char width[256]; /* its length */
    size_t max_text;          /* no token is longer */
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
    t->add_bos = (t->pre->flags & PRE_BOS) != 0;
    t->add_sep = (t->pre->flags & PRE_SEP) != 0;
    t->tidy = (t->pre->flags & PRE_TIDY) != 0;
    fill_alphabet(b);
    for (int i = 0; i < t->vocab.n; i++)
        b->max_text = t->vocab.text[i].n > b->max_text ? t->vocab.text[i].n : b->max_text;
    rc = merges_init(&b->merges, &t->vocab, g, !(t->pre->flags & PRE_BY_ID), e);
    for (int i = 0; rc == 0 && i < 256; i++) {
        if (merges_name(&b->merges, (struct str){b->alphabet[i], b->width[i]}, &b->byte_id[i]) <
            0)
            rc = err_set(e, E_NOMEM, "no memory for the bytes");
    }
    return rc;
}

static void bpe_close(struct tok *t)
{
    struct bpe *b = t->self;

    if (b)
        merges_done(&b->merges);
    mem_free(b);
    t->self = NULL;
}

/* -- encoding ------------------------------------------------------------------------ */

static uint32_t pair(const void *ctx, const struct merge_sym *left,
                     const struct merge_sym *right, size_t n_byte)
{
    const struct bpe *b = ctx;

    (void)n_byte;
    return merges_pair(&b->merges, left->id, right->id);
}

/* Writes the word to w->text in the alphabet of tokens. */
static int spell(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    char *at;

    buf_clear(&w->text);
    at = buf_reserve(&w->text, 2 * word.n);
    if (!at)
        return E_NOMEM;
    for (size_t i = 0; i < word.n; i++) {
        unsigned char c = (unsigned char)word.p[i];

        memcpy(at, b->alphabet[c], b->width[c]);
        at += b->width[c];
    }
    w->text.n = (size_t)(at - w->text.p);
    return 0;
}

/* The token whose text the whole word is: 1 and its id appended, 0, or E_NOMEM. */
static int encode_whole(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    int id;

    if (word.n > b->max_text)
        return 0;
    if (spell(w, word) < 0)
        return E_NOMEM;
    id = vocab_find(&w->t->vocab, (struct str){w->text.p, w->text.n});
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
    struct merge_rules rules = {pair, b, NULL, b->merges.made};
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

/* Without merges: neighbours are joined to the token of the lowest id. */
struct by_id {
    const struct vocab *v;
    const char *p;
    size_t max_text;
};

static uint32_t pair_by_id(const void *ctx, const struct merge_sym *left,
                           const struct merge_sym *right, size_t n_byte)
{
    const struct by_id *c = ctx;
    uint32_t id;

    (void)right;
    if (n_byte > c->max_text ||
        !map_get(&c->v->by_text, (struct str){c->p + left->at, n_byte}, &id) ||
        c->v->type[id] != TOK_NORMAL)
        return MERGE_NONE;
    return id;
}

static int encode_by_id(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    struct by_id ctx = {&w->t->vocab, NULL, b->max_text};
    struct merge_rules rules = {pair_by_id, &ctx, NULL, NULL};
    struct merge *m = &w->merge;
    uint32_t at = 0;

    if (spell(w, word) < 0 || merge_start(m, word.n) < 0)
        return E_NOMEM;
    ctx.p = w->text.p;
    for (size_t i = 0; i < word.n; i++) {
        merge_add(m, b->byte_id[(unsigned char)word.p[i]], at);
        at += b->width[(unsigned char)word.p[i]];
    }
    if (merge_run(m, &rules, at) < 0)
        return E_NOMEM;
    for (uint32_t i = 0; i < m->n; i = m->sym[i].next) {
        if (m->sym[i].id < (uint32_t)w->t->vocab.n &&
            tok_ids_put(w->out, (int32_t)m->sym[i].id) < 0)
            return E_NOMEM;
    }
    return 0;
}

static int encode_word(struct work *w, struct str word)
{
    const struct bpe *b = w->t->self;
    struct words_slot *slot;
    size_t at = w->out->n;
    int rc = words_get(&w->words, word, w->out, &slot);

    if (rc != 0)
        return rc;
    if ((w->t->pre->flags & PRE_WHOLE) || !b->merges.given)
        rc = encode_whole(w, word);
    if (rc == 0)
        rc = b->merges.given ? encode_merged(w, word) : encode_by_id(w, word);
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

/* spm.c - SentencePiece's BPE: characters are joined to the token of the highest score.
 *
 * Spaces are written U+2581. Joins rarely reach over the beginning of a word, because few
 * vocabularies have tokens with a space behind something else; so a text is cut before each
 * space where no token can join the two sides, and the words are encoded one by one. Where
 * any token could, the text stays whole there: the ids are the same as without cuts.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/kind.h"
#include "text/tok_ids.h"

#include <stdio.h>
#include <stdlib.h>

static const char space[] = "\xe2\x96\x81"; /* U+2581 */

enum { SPACE_LEN = 3 };

struct spm {
    uint32_t *rank;           /* of each token by score; equal scores, equal ranks */
    int32_t byte_id[256];     /* of the byte tokens; -1: none */
    int32_t ascii[128];       /* tokens of one ASCII character; -1: none */
    unsigned char joins[256]; /* 1: a token has this byte in front of a space inside */
    size_t max_text;          /* no token is longer */
};

/* -- building ------------------------------------------------------------------------ */

struct scored {
    float score;
    uint32_t id;
};

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;

    return x->score > y->score ? -1 : x->score < y->score;
}

static int rank_tokens(struct spm *s, const struct vocab *v)
{
    size_t n = (size_t)v->n;
    struct scored *all = mem_alloc(n * sizeof(*all));
    uint32_t rank = 0;

    s->rank = mem_alloc(n * sizeof(*s->rank));
    if (!all || !s->rank) {
        mem_free(all);
        return E_NOMEM;
    }
    for (size_t i = 0; i < n; i++)
        all[i] = (struct scored){v->score[i], (uint32_t)i};
    qsort(all, n, sizeof(*all), by_score);
    for (size_t i = 0; i < n; i++) {
        rank += i > 0 && all[i].score < all[i - 1].score;
        s->rank[all[i].id] = rank;
    }
    mem_free(all);
    return 0;
}

static void find_joins(struct spm *s, const struct vocab *v)
{
    for (int i = 0; i < v->n; i++) {
        struct str t = v->text[i];

        s->max_text = t.n > s->max_text ? t.n : s->max_text;
        for (size_t at = 1; at + SPACE_LEN <= t.n; at++) {
            if (memcmp(t.p + at, space, SPACE_LEN) == 0)
                s->joins[(unsigned char)t.p[at - 1]] = 1;
        }
    }
    /* In the text that is cut the space is still a space. */
    s->joins[' '] = s->joins[' '] || s->joins[(unsigned char)space[SPACE_LEN - 1]];
}

static int spm_open(struct tok *t, const struct gguf *g, struct err *e)
{
    struct spm *s;

    (void)g;
    if (!t->vocab.score)
        return err_set(e, E_FORMAT, "tokenizer.ggml.scores is missing");
    t->self = s = mem_calloc(1, sizeof(*s));
    if (!s || rank_tokens(s, &t->vocab) < 0)
        return err_set(e, E_NOMEM, "no memory to rank %d tokens", t->vocab.n);
    for (int i = 0; i < 256; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "<0x%02X>", (unsigned)i);
        s->byte_id[i] = vocab_find(&t->vocab, str_of(name));
    }
    for (int i = 0; i < 128; i++) {
        char c = (char)i;

        s->ascii[i] = vocab_find(&t->vocab, (struct str){&c, 1});
    }
    find_joins(s, &t->vocab);
    return 0;
}

static void spm_close(struct tok *t)
{
    struct spm *s = t->self;

    if (s)
        mem_free(s->rank);
    mem_free(s);
    t->self = NULL;
}

/* -- encoding ------------------------------------------------------------------------ */

struct context {
    const struct vocab *v;
    const char *p;
    size_t max_text;
};

static uint32_t pair(const void *ctx, const struct merge_sym *left,
                     const struct merge_sym *right, size_t n_byte)
{
    const struct context *c = ctx;
    uint32_t id;

    (void)right;
    if (n_byte > c->max_text ||
        !map_get(&c->v->by_text, (struct str){c->p + left->at, n_byte}, &id))
        return MERGE_NONE;
    return id;
}

/* A character that nothing joined: its token, or those of its bytes, or the unknown one. */
static int emit_char(struct work *w, struct str c)
{
    const struct spm *s = w->t->self;
    unsigned char first = (unsigned char)c.p[0];
    int id = c.n == 1 && first < 128 ? s->ascii[first] : vocab_find(&w->t->vocab, c), rc = 0;

    if (id >= 0)
        return tok_ids_put(w->out, id);
    for (size_t i = 0; rc >= 0 && i < c.n; i++) {
        id = s->byte_id[(unsigned char)c.p[i]];
        if (id < 0)
            id = w->t->vocab.unk;
        if (id >= 0)
            rc = tok_ids_put(w->out, id);
    }
    return rc;
}

/* The ids of text in which spaces are U+2581 by now. */
static int encode_row(struct work *w, const char *p, size_t n)
{
    const struct spm *s = w->t->self;
    struct context ctx = {&w->t->vocab, p, s->max_text};
    struct merge_rules rules = {pair, &ctx, s->rank, NULL};
    struct merge *m = &w->merge;
    int32_t cp;
    int rc = merge_start(m, n);

    if (rc < 0)
        return rc;
    for (size_t at = 0; at < n; at += (size_t)utf8_next(p + at, n - at, &cp))
        merge_add(m, MERGE_NONE, (uint32_t)at);
    rc = merge_run(m, &rules, (uint32_t)n);
    for (uint32_t i = 0; rc >= 0 && i < m->n; i = m->sym[i].next) {
        const struct merge_sym *x = &m->sym[i];

        if (x->id != MERGE_NONE)
            rc = tok_ids_put(w->out, (int32_t)x->id);
        else
            rc = emit_char(w, (struct str){p + x->at, m->sym[x->next].at - x->at});
    }
    return rc;
}

/* Writes the word to w->text with its spaces as U+2581. */
static int escape(struct work *w, struct str word, int add_space)
{
    size_t n_space = (size_t)add_space, run;
    char *at;

    for (size_t i = 0; i < word.n; i++)
        n_space += word.p[i] == ' ';
    buf_clear(&w->text);
    /* Positions in the row are 32 bits. */
    if (word.n + n_space * SPACE_LEN >= UINT32_MAX)
        return E_TOO_LONG;
    at = buf_reserve(&w->text, word.n + n_space * SPACE_LEN);
    if (!at)
        return E_NOMEM;
    if (add_space) {
        memcpy(at, space, SPACE_LEN);
        at += SPACE_LEN;
    }
    for (size_t i = 0; i < word.n; i += run) {
        for (run = 0; i + run < word.n && word.p[i + run] != ' '; run++)
            *at++ = word.p[i + run];
        if (i + run < word.n) {
            memcpy(at, space, SPACE_LEN);
            at += SPACE_LEN;
            run++;
        }
    }
    w->text.n = (size_t)(at - w->text.p);
    return 0;
}

static int encode_word(struct work *w, struct str word, int add_space)
{
    struct words_slot *slot = NULL;
    size_t at = w->out->n;
    int rc = add_space ? 0 : words_get(&w->words, word, w->out, &slot);

    if (rc != 0)
        return rc;
    rc = escape(w, word, add_space);
    if (rc >= 0)
        rc = encode_row(w, w->text.p, w->text.n);
    if (rc >= 0)
        words_put(slot, word, w->out, at);
    return rc;
}

static int spm_encode(struct work *w, struct str text)
{
    const struct spm *s = w->t->self;
    int add_space = w->t->add_space, rc = 0;
    size_t at = 0, end;

    for (; rc >= 0 && at < text.n; at = end) {
        for (end = at + 1; end < text.n; end++) {
            if (text.p[end] == ' ' && !s->joins[(unsigned char)text.p[end - 1]])
                break;
        }
        rc = encode_word(w, (struct str){text.p + at, end - at}, add_space);
        add_space = 0;
    }
    return rc < 0 ? rc : 0;
}

/* -- decoding ------------------------------------------------------------------------ */

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that "<0xHH>" means, or -1. */
static int byte_of(struct str t)
{
    if (t.n != 6 || memcmp(t.p, "<0x", 3) != 0 || t.p[5] != '>' || hex(t.p[3]) < 0 ||
        hex(t.p[4]) < 0)
        return -1;
    return hex(t.p[3]) * 16 + hex(t.p[4]);
}

static int spm_piece(const struct tok *t, int id, struct buf *out)
{
    struct str x = t->vocab.text[id];
    int byte = t->vocab.type[id] == TOK_BYTE ? byte_of(x) : -1, rc = 0;

    if (byte >= 0)
        return buf_byte(out, byte);
    for (size_t i = 0; rc >= 0 && i < x.n; i++) {
        if (x.n - i >= SPACE_LEN && memcmp(x.p + i, space, SPACE_LEN) == 0) {
            rc = buf_byte(out, ' ');
            i += SPACE_LEN - 1;
        } else {
            rc = buf_byte(out, (unsigned char)x.p[i]);
        }
    }
    return rc;
}

const struct kind spm_kind = {
    .name = "llama",
    .ids = {.bos = 1, .eos = 2, .unk = 0, .sep = -1, .pad = -1, .mask = -1},
    .add_bos = 1,
    .add_space = 1,
    .open = spm_open,
    .close = spm_close,
    .encode = spm_encode,
    .piece = spm_piece,
};

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
#include "text/spaces.h"
#include "text/tok_ids.h"

#include <stdlib.h>

struct spm {
    uint32_t *rank;       /* of each token by score; equal scores, equal ranks */
    int32_t byte_id[256]; /* of the byte tokens; -1: none */
    int32_t ascii[128];   /* tokens of one ASCII character; -1: none */
    struct spaces_joins joins;
    size_t max_text; /* no token is longer */
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

static void see_tokens(struct spm *s, const struct vocab *v)
{
    for (int i = 0; i < v->n; i++) {
        s->max_text = v->text[i].n > s->max_text ? v->text[i].n : s->max_text;
        spaces_see(&s->joins, v->text[i]);
    }
    spaces_seen(&s->joins);
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
    spaces_byte_ids(&t->vocab, s->byte_id);
    for (int i = 0; i < 128; i++) {
        char c = (char)i;

        s->ascii[i] = vocab_find(&t->vocab, (struct str){&c, 1});
    }
    see_tokens(s, &t->vocab);
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

static int encode_word(struct work *w, struct str word, int add_space)
{
    struct words_slot *slot = NULL;
    size_t at = w->out->n;
    int rc = add_space ? 0 : words_get(&w->words, word, w->out, &slot);

    if (rc != 0)
        return rc;
    rc = spaces_escape(&w->text, word, add_space);
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
    size_t n;

    for (; rc >= 0 && text.n; text = (struct str){text.p + n, text.n - n}) {
        n = spaces_piece(&s->joins, text.p, text.n);
        rc = encode_word(w, (struct str){text.p, n}, add_space);
        add_space = 0;
    }
    return rc < 0 ? rc : 0;
}

/* -- decoding ------------------------------------------------------------------------ */

static int spm_piece(const struct tok *t, int id, struct buf *out)
{
    return spaces_text(&t->vocab, id, out);
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

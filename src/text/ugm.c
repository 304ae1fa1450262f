/* ugm.c - SentencePiece's unigram model: of all ways to cut a text into tokens the one with the
 * highest sum of scores.
 *
 * The text is normalised first, spaces become U+2581. Few vocabularies have tokens with a
 * U+2581 behind something else, so the text is cut in front of each where no token can reach
 * over it, and the words are looked at one by one; the ids are the same as without cuts. In a
 * word each place keeps the best token that ends there, and as many sums as the longest token
 * has bytes are kept.
 */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/charsmap.h"
#include "text/kind.h"
#include "text/spaces.h"
#include "text/tok_ids.h"
#include "text/trie.h"

#include <float.h>
#include <math.h>

/* A text may grow by normalising, up to this: no known table comes near it. */
#define GROWTH_MAX 32

/* Below the worst token's. */
#define UNKNOWN_PENALTY 10.0

struct ugm {
    struct trie trie;
    struct charsmap map;
    struct spaces_joins joins;
    double unk_score;
    int32_t byte_id[256]; /* of the byte tokens; -1: none */
    int has_bytes;        /* 1: all of them: unknown characters become their bytes */
    size_t ring;          /* sums kept: a power of two over the length of the longest token */
    int remove_extra;
};

/* -- building ------------------------------------------------------------------------ */

static int open_tokens(struct ugm *s, const struct vocab *v)
{
    struct trie_text *text = mem_alloc((size_t)v->n * sizeof(*text));
    double worst = DBL_MAX;
    size_t n = 0;
    int rc;

    if (!text)
        return E_NOMEM;
    s->ring = 8;
    for (int i = 0; i < v->n; i++) {
        if (v->type[i] != TOK_NORMAL && v->type[i] != TOK_USER)
            continue;
        text[n++] = (struct trie_text){v->text[i], i};
        spaces_see(&s->joins, v->text[i]);
        while (s->ring <= v->text[i].n)
            s->ring *= 2;
        if (v->type[i] == TOK_NORMAL && (double)v->score[i] < worst)
            worst = (double)v->score[i];
    }
    s->unk_score = (n ? worst : 0) - UNKNOWN_PENALTY;
    rc = trie_init(&s->trie, text, n);
    mem_free(text);
    return rc;
}

static int ugm_open(struct tok *t, const struct gguf *g, struct err *e)
{
    struct ugm *s;
    int rc;

    if (!t->vocab.score)
        return err_set(e, E_FORMAT, "tokenizer.ggml.scores is missing");
    t->self = s = mem_calloc(1, sizeof(*s));
    if (!s || open_tokens(s, &t->vocab) < 0)
        return err_set(e, E_NOMEM, "no memory for the texts of %d tokens", t->vocab.n);
    rc = gguf_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &s->remove_extra, e);
    if (rc < 0)
        return rc;
    t->drop_space = s->remove_extra;
    spaces_byte_ids(&t->vocab, s->byte_id);
    s->has_bytes = 1;
    for (int i = 0; i < 256; i++)
        s->has_bytes &= s->byte_id[i] >= 0;
    return charsmap_init(&s->map, g, e);
}

static void ugm_close(struct tok *t)
{
    struct ugm *s = t->self;

    if (s) {
        trie_done(&s->trie);
        charsmap_done(&s->map);
    }
    mem_free(s);
    t->self = NULL;
}

/* -- normalising --------------------------------------------------------------------- */

struct writer {
    struct buf *out;
    int in_word, any; /* 1: of the word; of the text something is written */
};

/* n bytes, some of which may be spaces. */
static int put_bytes(struct work *w, struct writer *o, const char *p, size_t n)
{
    const struct ugm *s = w->t->self;
    char *start = buf_reserve(o->out, (n + 1) * SPACES_LEN), *at = start;

    if (!start)
        return o->out->n + (n + 1) * SPACES_LEN > o->out->max ? E_TOO_LONG : E_NOMEM;
    for (size_t i = 0; i < n; i++) {
        int begins = p[i] != ' ' && !o->in_word;

        o->in_word = p[i] != ' ';
        if (begins ? s->remove_extra || (w->t->add_space && !o->any)
                   : p[i] == ' ' && !s->remove_extra) {
            memcpy(at, SPACES_MARK, SPACES_LEN);
            at += SPACES_LEN;
        }
        o->any |= begins;
        if (p[i] != ' ')
            *at++ = p[i];
    }
    o->out->n += (size_t)(at - start);
    return 0;
}

/* Writes the text to w->text as tokens have it. */
static int normalise(struct work *w, struct str text)
{
    const struct ugm *s = w->t->self;
    struct writer o = {.out = &w->text};
    size_t max = w->text.max, len;
    int rc = 0;

    buf_clear(&w->text);
    w->text.max =
        text.n * GROWTH_MAX + 4096 < UINT32_MAX ? text.n * GROWTH_MAX + 4096 : UINT32_MAX - 1;
    for (size_t at = 0; rc == 0 && at < text.n; at += len) {
        struct str put;
        int32_t cp;

        len = charsmap_find(&s->map, text.p + at, text.n - at, &put);
        if (!len) {
            len = (size_t)utf8_next(text.p + at, text.n - at, &cp);
            put = (struct str){text.p + at, len};
        }
        rc = put_bytes(w, &o, put.p, put.n);
    }
    w->text.max = max;
    return rc;
}

/* -- the best way -------------------------------------------------------------------- */

/* Room for a word of n bytes. */
static int make_room(struct work *w, size_t n)
{
    const struct ugm *s = w->t->self;
    int32_t *last;

    if (!w->best.sum) {
        w->best.sum = mem_alloc(s->ring * sizeof(*w->best.sum));
        if (!w->best.sum)
            return E_NOMEM;
        for (size_t i = 0; i < s->ring; i++)
            w->best.sum[i] = -(double)INFINITY;
    }
    if (n < w->best.cap)
        return 0;
    last = mem_realloc(w->best.last, (n + 256) * sizeof(*last));
    if (!last)
        return E_NOMEM;
    w->best.last = last;
    w->best.cap = n + 256;
    return 0;
}

static inline void offer(struct work *w, size_t mask, size_t end, double sum, int32_t last)
{
    double *best = &w->best.sum[end & mask];

    if (sum > *best) {
        *best = sum;
        w->best.last[end] = last;
    }
}

/* For each place where a token may end the last token of the best way there; an unknown
 * character of k bytes is -1 - k. */
static void find_best(struct work *w, struct str x)
{
    const struct ugm *s = w->t->self;
    const struct vocab *v = &w->t->vocab;
    size_t mask = s->ring - 1, len;

    w->best.sum[0] = 0;
    for (size_t i = 0; i < x.n; i += len) {
        double sum = w->best.sum[i & mask];
        uint32_t node = s->trie.root[(unsigned char)x.p[i]];
        int known = 0;
        int32_t cp;

        len = (size_t)utf8_next(x.p + i, x.n - i, &cp);
        for (size_t end = i + 1; node; end++) {
            int32_t id = s->trie.node[node].id;

            if (id >= 0) {
                known |= end - i == len;
                offer(w, mask, end,
                      sum + (v->type[id] == TOK_USER ? 0.0 : (double)v->score[id]), id);
            }
            node = end < x.n ? trie_child(&s->trie, node, (unsigned char)x.p[end]) : 0;
        }
        if (!known)
            offer(w, mask, i + len, sum + s->unk_score, -1 - (int32_t)len);
        for (size_t k = 0; k < len; k++)
            w->best.sum[(i + k) & mask] = -(double)INFINITY;
    }
    w->best.sum[x.n & mask] = -(double)INFINITY;
}

static size_t length_of(const struct vocab *v, int32_t last)
{
    return last < 0 ? (size_t)(-1 - last) : v->text[last].n;
}

/* How many ids what ends a way becomes. */
static size_t n_id(const struct ugm *s, int32_t last)
{
    return last < 0 && s->has_bytes ? (size_t)(-1 - last) : 1;
}

/* Writes the ids of the best way, which end at `to`. */
static void write_back(const struct work *w, struct str x, int32_t *to)
{
    const struct ugm *s = w->t->self;
    const struct vocab *v = &w->t->vocab;
    size_t len;

    for (size_t at = x.n; at > 0; at -= len) {
        int32_t last = w->best.last[at];

        len = length_of(v, last);
        for (size_t k = 0; last < 0 && s->has_bytes && k < len; k++)
            *--to = s->byte_id[(unsigned char)x.p[at - 1 - k]];
        if (last >= 0 || !s->has_bytes)
            *--to = last < 0 ? v->unk : last;
    }
}

static int encode_row(struct work *w, struct str x)
{
    const struct ugm *s = w->t->self;
    const struct vocab *v = &w->t->vocab;
    size_t n = 0, at;
    int32_t *to;

    if (make_room(w, x.n) < 0)
        return E_NOMEM;
    find_best(w, x);
    for (at = x.n; at > 0; at -= length_of(v, w->best.last[at]))
        n += n_id(s, w->best.last[at]);
    if (tok_ids_room(w->out, n) < 0)
        return E_NOMEM;
    to = w->out->id + w->out->n;
    write_back(w, x, to + n);
    /* Of unknown ones in a row one stays. */
    for (size_t i = 0; i < n; i++) {
        if (to[i] != v->unk || (v->unk >= 0 && (i == 0 || to[i - 1] != v->unk)))
            w->out->id[w->out->n++] = to[i];
    }
    return 0;
}

/* -- words --------------------------------------------------------------------------- */

/* The length of the first word of n > 0 normalised bytes. */
static size_t word_length(const struct ugm *s, const char *p, size_t n)
{
    static const char mark[] = SPACES_MARK;

    for (size_t end = 1; end + SPACES_LEN <= n; end++) {
        const char *at = memchr(p + end, (unsigned char)mark[0], n - end);

        if (!at || (end = (size_t)(at - p)) + SPACES_LEN > n)
            break;
        if (memcmp(at, mark, SPACES_LEN) == 0 && !s->joins.before[(unsigned char)at[-1]])
            return end;
    }
    return n;
}

/* first: the ids of the text begin here. */
static int encode_word(struct work *w, struct str word, size_t first)
{
    struct words_slot *slot;
    struct tok_ids *out = w->out;
    size_t at = out->n;
    int rc = words_get(&w->words, word, out, &slot);

    if (rc == 0) {
        rc = encode_row(w, word);
        if (rc == 0)
            words_put(slot, word, out, at);
    }
    if (rc < 0 || at == first || at == out->n)
        return rc < 0 ? rc : 0;
    /* Unknown ones in a row, over the border of words. */
    if (out->id[at] == w->t->vocab.unk && out->id[at - 1] == w->t->vocab.unk) {
        if (slot)
            slot->word.p = NULL;
        memmove(out->id + at, out->id + at + 1, (out->n - at - 1) * sizeof(*out->id));
        out->n--;
    }
    return 0;
}

static int ugm_encode(struct work *w, struct str text)
{
    size_t first = w->out->n, n;
    struct str rest;
    int rc = normalise(w, text);

    /* What is remembered of words are views into the normalised text. */
    words_done(&w->words);
    if (rc == 0)
        rc = words_init(&w->words, w->text.n);
    rest = (struct str){w->text.p, w->text.n};
    for (; rc == 0 && rest.n; rest = (struct str){rest.p + n, rest.n - n}) {
        n = word_length(w->t->self, rest.p, rest.n);
        rc = encode_word(w, (struct str){rest.p, n}, first);
    }
    return rc;
}

static int ugm_piece(const struct tok *t, int id, struct buf *out)
{
    return spaces_text(&t->vocab, id, out);
}

const struct kind ugm_kind = {
    .name = "t5",
    .ids = {.bos = -1, .eos = 1, .unk = 2, .sep = -1, .pad = 0, .mask = -1},
    .add_eos = 1,
    .add_space = 1,
    .open = ugm_open,
    .close = ugm_close,
    .encode = ugm_encode,
    .piece = ugm_piece,
};

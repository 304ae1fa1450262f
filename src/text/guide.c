#include "text/guide.h"

#include "base/mem.h"
#include "text/tok_ids.h"

#include <string.h>

/* Where the answer is. Without a grammar what is not REASONING is FRONT. */
enum where { FRONT, REASONING, CONTENT };

/* A token that ends the reasoning's close marker and goes on behind it. */
struct beyond {
    int32_t id;
    uint32_t had; /* bytes of the marker that were there before it */
    uint32_t at;  /* where it goes on */
};

/* A token that stands inside the open marker, from byte `had` of it, or goes on behind it: with
 * reasoning, and from byte `at`, where that is closed within the token, with content. */
struct within {
    int32_t id;
    uint32_t had;
    uint32_t at; /* 0: no content */
};

struct guide {
    struct mask *mask; /* NULL, as gram: no grammar */
    struct gram *gram;
    const struct tok *tok;
    char open[REPLY_MARK_MAX], close[REPLY_MARK_MAX];
    uint32_t n_open, n_close;
    uint32_t had; /* bytes of the marker that is looked for: of open, or of close */
    int where;
    int alive; /* FRONT: what came so far is content, too */
    int n_vocab;
    uint32_t *goes_on; /* bits of the tokens that do not end a generation */
    struct beyond *beyond;
    size_t n_beyond;
    struct within *within;
    size_t n_within;
    int limited, left;  /* tokens that reasoning may still have */
    struct tok_ids end; /* what closes it, then; */
    size_t n_end;       /* and how much of that has come, */
    size_t n_skip;      /* beside what is not needed of it */
};

static struct str piece(const struct guide *g, int32_t id)
{
    return tok_piece(g->tok, id, 1);
}

/* How much of the marker the text ends with, when it ended with `had` of it before byte c. */
static uint32_t step(const char *mark, uint32_t n, uint32_t had, char c)
{
    for (;;) {
        uint32_t k = had;

        if (k < n && mark[k] == c)
            return k + 1;
        if (k == 0)
            return 0;
        /* The longest part of mark[0..k) that is shorter, and both its front and its end. */
        do
            had--;
        while (had && memcmp(mark, mark + k - had, had) != 0);
    }
}

/* Where in the token the marker ends, 0: nowhere; *had moves on. */
static size_t ends_at(const char *mark, uint32_t n, uint32_t *had, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        *had = step(mark, n, *had, s.p[i]);
        if (*had == n)
            return i + 1;
    }
    return 0;
}

/* -- tables of the vocabulary ----------------------------------------------------------- */

static int add_beyond(struct guide *g, int32_t id, uint32_t had, size_t at, size_t *cap)
{
    if (g->n_beyond == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        struct beyond *p = mem_realloc(g->beyond, more * sizeof(*p));

        if (!p)
            return E_NOMEM;
        g->beyond = p;
        *cap = more;
    }
    g->beyond[g->n_beyond++] = (struct beyond){id, had, (uint32_t)at};
    return 0;
}

static int find_beyond(struct guide *g)
{
    char last = g->close[g->n_close - 1];
    size_t cap = 0;

    for (int32_t id = 0; id < g->n_vocab; id++) {
        struct str s = piece(g, id);

        if (s.n < 2 || !memchr(s.p, last, s.n - 1))
            continue;
        for (uint32_t k = 0; k < g->n_close; k++) {
            uint32_t had = k;
            size_t at = ends_at(g->close, g->n_close, &had, s);

            if (at && at < s.n && add_beyond(g, id, k, at, &cap) < 0)
                return E_NOMEM;
        }
    }
    return 0;
}

/* How many bytes of s stand in the open marker, of which k were there: 0: it breaks it. */
static size_t opens(const struct guide *g, uint32_t k, struct str s)
{
    size_t n = s.n < g->n_open - k ? s.n : g->n_open - k;

    return n && memcmp(g->open + k, s.p, n) == 0 ? n : 0;
}

static int add_within(struct guide *g, struct within w, size_t *cap)
{
    if (g->n_within == *cap) {
        size_t more = *cap ? 2 * *cap : 32;
        struct within *p = mem_realloc(g->within, more * sizeof(*p));

        if (!p)
            return E_NOMEM;
        g->within = p;
        *cap = more;
    }
    g->within[g->n_within++] = w;
    return 0;
}

static int find_within(struct guide *g)
{
    size_t cap = 0;

    for (int32_t id = 0; id < g->n_vocab; id++) {
        struct str s = piece(g, id);

        for (uint32_t k = 0; k < g->n_open; k++) {
            size_t n = opens(g, k, s), at;
            uint32_t had = 0;

            if (!n)
                continue;
            at = ends_at(g->close, g->n_close, &had, (struct str){s.p + n, s.n - n});
            at = at && n + at < s.n ? n + at : 0;
            if (add_within(g, (struct within){id, k, (uint32_t)at}, &cap) < 0)
                return E_NOMEM;
        }
    }
    return 0;
}

static int find_goes_on(struct guide *g)
{
    g->goes_on = mem_calloc(MASK_WORDS(g->n_vocab), sizeof(*g->goes_on));
    if (!g->goes_on)
        return E_NOMEM;
    for (int32_t id = 0; id < g->n_vocab; id++)
        if (!tok_is_eog(g->tok, id))
            g->goes_on[id / 32] |= 1u << (id % 32);
    return 0;
}

/* -- budgets ----------------------------------------------------------------------------- */

static int find_end(struct guide *g, struct err *e)
{
    int rc = tok_encode(g->tok, g->close, g->n_close, TOK_PARSE_SPECIAL, &g->end, e);

    if (rc < 0)
        return rc;
    /* What some tokenizers put in front of every text. */
    if (g->end.n > 1 && g->close[0] != ' ' && str_is(piece(g, g->end.id[0]), " "))
        g->n_skip = 1;
    g->n_end = g->n_skip;
    return 0;
}

/* 1: nothing may come but what closes the reasoning. A marker that does not come out as it went
 * in is tried once. */
static int must_close(const struct guide *g)
{
    return g->limited && g->where == REASONING && g->left <= 0 && g->n_end < g->end.n;
}

static void count_token(struct guide *g)
{
    if (g->where != REASONING)
        return;
    if (must_close(g))
        g->n_end++;
    else
        g->left--;
}

/* -- without a grammar ------------------------------------------------------------------- */

/* Any text, with reasoning in it where its marker comes. */
static void accept_free(struct guide *g, struct str s)
{
    while (s.n) {
        int closes = g->where == REASONING;
        size_t at = closes      ? ends_at(g->close, g->n_close, &g->had, s)
                    : g->n_open ? ends_at(g->open, g->n_open, &g->had, s)
                                : 0;

        if (!at)
            return;
        g->where = closes ? FRONT : REASONING;
        g->had = 0;
        g->n_end = g->n_skip;
        s = (struct str){s.p + at, s.n - at};
    }
}

/* -- life -------------------------------------------------------------------------------- */

int guide_new(struct guide **out, const struct guide_options *o, struct err *e)
{
    struct guide *g = mem_calloc(1, sizeof(*g));
    int rc = g ? 0 : E_NOMEM, reasons;

    if (rc == 0 && o->gram)
        rc = mask_new(&g->mask, o->gram, o->vocab, e);
    if (rc < 0)
        goto fail;
    g->gram = o->gram;
    g->tok = o->tok;
    g->n_vocab = tok_count(o->tok);
    g->alive = 1;
    if (g->mask)
        mask_reset(g->mask, gram_start(o->gram));
    reasons = o->style && *o->style->think_close && (o->open || *o->style->think_open);
    g->where = reasons && o->open ? REASONING : reasons && o->may_think ? FRONT : CONTENT;
    if (g->where != CONTENT) {
        memcpy(g->open, o->style->think_open, sizeof(g->open));
        memcpy(g->close, o->style->think_close, sizeof(g->close));
        g->n_open = (uint32_t)strlen(g->open);
        g->n_close = (uint32_t)strlen(g->close);
        g->left = o->budget;
        g->limited = o->limited;
        rc = g->limited ? find_end(g, e) : 0;
    }
    if (rc == 0 && g->mask && g->where != CONTENT) {
        rc = find_goes_on(g);
        if (rc == 0)
            rc = find_beyond(g);
        if (rc == 0 && g->where == FRONT)
            rc = find_within(g);
    }
    if (rc < 0)
        goto fail;
    *out = g;
    return 0;
fail:
    guide_free(g);
    return rc == E_NOMEM ? err_set(e, rc, "no memory for a guide") : rc;
}

void guide_free(struct guide *g)
{
    if (!g)
        return;
    mask_free(g->mask);
    mem_free(g->goes_on);
    mem_free(g->beyond);
    mem_free(g->within);
    tok_ids_done(&g->end);
    mem_free(g);
}

/* -- what may come ----------------------------------------------------------------------- */

/* A token may end the reasoning and say more only if that begins the content. */
static int mask_reasoning(struct guide *g, uint32_t *bits, struct err *e)
{
    memcpy(bits, g->goes_on, MASK_WORDS(g->n_vocab) * sizeof(*bits));
    for (size_t i = 0; i < g->n_beyond; i++) {
        const struct beyond *b = &g->beyond[i];
        struct str s = piece(g, b->id);
        gram_state to = 0;
        int rc;

        if (b->had != g->had)
            continue;
        rc = gram_put(g->gram, mask_state(g->mask), s.p + b->at, s.n - b->at, &to, NULL, e);
        if (rc < 0)
            return rc;
        if (!to)
            bits[b->id / 32] &= ~(1u << (b->id % 32));
    }
    return GUIDE_MASK;
}

static int mask_content(struct guide *g, uint32_t *bits, struct err *e)
{
    int rc;

    if (gram_must_end(g->gram, mask_state(g->mask)))
        return GUIDE_END;
    rc = mask_fill(g->mask, bits, e);
    return rc < 0 ? rc : GUIDE_MASK;
}

/* Where reasoning may begin: besides content, what stands in its marker or goes on behind it.
 */
static int mask_front(struct guide *g, uint32_t *bits, struct err *e)
{
    int rc = g->alive ? mask_content(g, bits, e) : GUIDE_MASK;

    for (size_t i = 0; i < g->n_within && rc == GUIDE_MASK; i++) {
        const struct within *w = &g->within[i];
        struct str s = piece(g, w->id);
        gram_state to = gram_start(g->gram);
        int why = 0;

        if (w->had != g->had)
            continue;
        if (w->at)
            why = gram_put(g->gram, to, s.p + w->at, s.n - w->at, &to, NULL, e);
        if (why < 0)
            return why;
        if (to)
            bits[w->id / 32] |= 1u << (w->id % 32);
        else
            bits[w->id / 32] &= ~(1u << (w->id % 32));
    }
    return rc;
}

int guide_mask(struct guide *g, uint32_t *bits, struct err *e)
{
    if (must_close(g)) {
        int32_t id = g->end.id[g->n_end];

        bits[id / 32] |= 1u << (id % 32);
        return GUIDE_MASK;
    }
    if (!g->mask)
        return GUIDE_ANY;
    if (g->where == REASONING)
        return mask_reasoning(g, bits, e);
    return g->where == CONTENT ? mask_content(g, bits, e) : mask_front(g, bits, e);
}

/* -- what came --------------------------------------------------------------------------- */

/* The marker's end lies inside the token: the rest of it is content. */
static int rest_is_content(struct guide *g, struct str s, size_t at, struct err *e)
{
    gram_state to = mask_state(g->mask);
    int rc = 0;

    g->where = CONTENT;
    if (at < s.n)
        rc = gram_put(g->gram, to, s.p + at, s.n - at, &to, NULL, e);
    if (rc < 0)
        return rc;
    if (!to)
        return err_set(e, E_INVALID, "the text behind the reasoning breaks the grammar");
    mask_reset(g->mask, to);
    return 0;
}

static int accept_reasoning(struct guide *g, struct str s, struct err *e)
{
    size_t at = ends_at(g->close, g->n_close, &g->had, s);

    return at ? rest_is_content(g, s, at, e) : 0;
}

/* In front both may be meant until they differ: the open marker, or content. */
static int accept_front(struct guide *g, int32_t id, struct str s, struct err *e)
{
    size_t marker = opens(g, g->had, s);

    if (marker) {
        g->had += (uint32_t)marker;
        if (g->had == g->n_open) {
            g->where = REASONING;
            g->had = 0;
            g->alive = 1; /* content begins anew behind it */
            mask_reset(g->mask, gram_start(g->gram));
            return accept_reasoning(g, (struct str){s.p + marker, s.n - marker}, e);
        }
    }
    if (g->alive) {
        gram_state to = 0;
        int rc = gram_put(g->gram, mask_state(g->mask), s.p, s.n, &to, NULL, e);

        if (rc < 0)
            return rc;
        if (to && !marker) {
            g->where = CONTENT;
            return mask_accept(g->mask, id, e);
        }
        g->alive = to != 0;
        if (to)
            mask_reset(g->mask, to);
    }
    return marker ? 0 : err_set(e, E_INVALID, "token %d was not allowed", (int)id);
}

int guide_accept(struct guide *g, int32_t id, struct err *e)
{
    count_token(g);
    if (!g->mask) {
        accept_free(g, piece(g, id));
        return 0;
    }
    if (g->where == CONTENT)
        return mask_accept(g->mask, id, e);
    if (g->where == REASONING)
        return accept_reasoning(g, piece(g, id), e);
    return accept_front(g, id, piece(g, id), e);
}

int guide_forced(struct guide *g, int32_t *ids, int max, struct err *e)
{
    if (must_close(g)) {
        int n = 0;

        for (size_t i = g->n_end; i < g->end.n && n < max; i++)
            ids[n++] = g->end.id[i];
        return n;
    }
    return g->mask && g->where == CONTENT ? mask_forced(g->mask, ids, max, e) : 0;
}

int guide_may_end(const struct guide *g)
{
    return !g->mask ||
           (g->where != REASONING && g->alive && gram_may_end(g->gram, mask_state(g->mask)));
}

/* numset.c - automata over number texts: building, making small, joining. */
#include "text/gram/numset.h"

#include "base/map.h"
#include "base/mem.h"

#include <assert.h>

enum { ROUNDS = 40 };

/* An automaton while it is made. */
struct draft {
    uint64_t *id; /* what the generator calls a state */
    uint32_t (*next)[NUMSET_SYMBOLS];
    uint8_t *accept;
    uint32_t *class; /* while it is made small */
    uint32_t *fresh;
    uint32_t n, cap;
    struct map64 seen;
};

static void draft_done(struct draft *d)
{
    mem_free(d->id);
    mem_free(d->next);
    mem_free(d->accept);
    mem_free(d->class);
    mem_free(d->fresh);
    map64_done(&d->seen);
}

static int draft_grow(struct draft *d)
{
    uint32_t cap = d->cap ? 2 * d->cap : 64;
    void *p;

    if ((p = mem_realloc(d->id, cap * sizeof(*d->id))) != NULL)
        d->id = p;
    if (p && (p = mem_realloc(d->next, cap * sizeof(*d->next))) != NULL)
        d->next = p;
    if (p && (p = mem_realloc(d->accept, cap)) != NULL)
        d->accept = p;
    if (!p)
        return E_NOMEM;
    d->cap = cap;
    return 0;
}

/* The number of a state: 0 nowhere. Negative: failed. */
static int64_t draft_state(struct draft *d, const struct numset_gen *g, uint64_t id,
                           struct err *e)
{
    uint32_t at;

    if (id == 0)
        return 0;
    if (map64_get(&d->seen, id, &at))
        return at;
    if (d->n == NUMSET_STATES)
        return err_set(e, E_TOO_LONG, "a set of numbers needs more than %d states",
                       (int)NUMSET_STATES);
    if ((d->n == d->cap && draft_grow(d) < 0) || map64_put(&d->seen, id, d->n) < 0)
        return err_set(e, E_NOMEM, "no memory for sets of numbers");
    d->id[d->n] = id;
    d->accept[d->n] = (uint8_t)g->accepts(g->ctx, id);
    return d->n++;
}

static int draft_walk(struct draft *d, const struct numset_gen *g, struct err *e)
{
    int64_t to;

    if (draft_grow(d) < 0 || map64_init(&d->seen, 64) < 0)
        return err_set(e, E_NOMEM, "no memory for sets of numbers");
    d->n = 1;
    d->accept[0] = 0;
    memset(d->next[0], 0, sizeof(d->next[0]));
    if ((to = draft_state(d, g, 1, e)) < 0)
        return (int)to;
    for (uint32_t i = 1; i < d->n; i++) {
        for (int s = 0; s < NUMSET_SYMBOLS; s++) {
            if ((to = draft_state(d, g, g->step(g->ctx, d->id[i], s), e)) < 0)
                return (int)to;
            d->next[i][s] = (uint32_t)to;
        }
    }
    return 0;
}

/* Splits classes by where their states lead, once. Returns how many there are then; 0: no
 * memory. */
static uint32_t draft_split(struct draft *d)
{
    uint32_t n = 0;
    struct map seen;
    uint32_t(*key)[NUMSET_SYMBOLS + 1] = mem_alloc(d->n * sizeof(*key));
    int rc = key ? map_init(&seen, d->n) : E_NOMEM;

    if (rc < 0) {
        mem_free(key);
        return 0;
    }
    for (uint32_t i = 0; i < d->n && rc >= 0; i++) {
        struct str k = {(const char *)key[i], sizeof(key[i])};

        for (int s = 0; s < NUMSET_SYMBOLS; s++)
            key[i][s] = d->class[d->next[i][s]];
        key[i][NUMSET_SYMBOLS] = d->class[i];
        if (map_get(&seen, k, &d->fresh[i]))
            continue;
        d->fresh[i] = n++;
        rc = map_put(&seen, k, d->fresh[i], NULL);
    }
    memcpy(d->class, d->fresh, d->n * sizeof(*d->class));
    map_done(&seen);
    mem_free(key);
    return rc < 0 ? 0 : n;
}

/* Class 0 for states from which nothing is accepted, one each for the others. */
static uint32_t draft_live(struct draft *d)
{
    int more = 1;
    uint32_t n = 1;

    for (uint32_t i = 0; i < d->n; i++)
        d->class[i] = d->accept[i];
    while (more) {
        more = 0;
        for (uint32_t i = d->n; i-- > 1;) {
            for (int s = 0; s < NUMSET_SYMBOLS && !d->class[i]; s++) {
                if (d->class[d->next[i][s]])
                    d->class[i] = 1, more = 1;
            }
        }
    }
    for (uint32_t i = 1; i < d->n; i++)
        d->class[i] = d->class[i] ? n++ : 0;
    return n;
}

/* Puts states together that cannot be told apart. Class 0 is that of state 0, so that whatever
 * leads nowhere is 0. Long bounds need many rounds; then they stay apart. Returns how many
 * classes there are; 0: no memory. */
static uint32_t draft_classes(struct draft *d, struct numset_room *m)
{
    uint32_t n = 1, was = 0;

    d->class = mem_alloc(d->n * sizeof(*d->class));
    d->fresh = mem_alloc(d->n * sizeof(*d->fresh));
    if (!d->class || !d->fresh)
        return 0;
    for (uint32_t i = 0; i < d->n; i++)
        d->class[i] = d->accept[i];
    for (int round = 0; n && n != was && round < ROUNDS; round++) {
        was = n;
        n = draft_split(d);
        m->work += d->n;
    }
    return n == was || !n ? n : draft_live(d);
}

static int draft_keep(struct numset_room *m, const struct draft *d, uint32_t n,
                      struct numset *out, struct err *e)
{
    /* State 1 may have become one with 0: then nothing is accepted, and it stays apart. */
    uint32_t total = d->class[1] == 0 ? n + 1 : n, first = d->class[1] ? d->class[1] : n;
    uint32_t(*next)[NUMSET_SYMBOLS] = arena_calloc(m->arena, total, sizeof(*next));
    uint8_t *accept = arena_calloc(m->arena, total, 1);

    if (!next || !accept)
        return err_set(
            e, m->arena->max - m->arena->used < total * sizeof(*next) ? E_TOO_LONG : E_NOMEM,
            "no memory left for sets of numbers");
    for (uint32_t i = 0; i < d->n; i++) {
        /* Classes are numbered as states are found, so the first is 1 or 0. */
        accept[d->class[i]] = d->accept[i];
        for (int s = 0; s < NUMSET_SYMBOLS; s++)
            next[d->class[i]][s] = d->class[d->next[i][s]];
    }
    assert(first == 1);
    out->n = total;
    out->next = (const uint32_t(*)[NUMSET_SYMBOLS])next;
    out->accept = accept;
    return 0;
}

int numset_build(struct numset_room *m, const struct numset_gen *g, struct numset *out,
                 struct err *e)
{
    struct draft d = {0};
    uint32_t n;
    int rc;

    if (m->work > NUMSET_WORK)
        return err_set(e, E_TOO_LONG, "sets of numbers take more than %d steps",
                       (int)NUMSET_WORK);
    rc = draft_walk(&d, g, e);
    if (rc == 0) {
        n = draft_classes(&d, m);
        rc = n ? draft_keep(m, &d, n, out, e)
               : err_set(e, E_NOMEM, "no memory for sets of numbers");
    }
    draft_done(&d);
    return rc;
}

/* -- two at once ----------------------------------------------------------------------- */

enum op { OP_AND, OP_OR, OP_MINUS };

struct pair {
    const struct numset *x, *y;
    enum op op;
};

/* A state of each, and one more, so that the first is 1: (1 << 32 | 1) is where both begin. */
static uint64_t pack(uint64_t x, uint64_t y)
{
    uint64_t p = x << 32 | y;
    const uint64_t first = (uint64_t)1 << 32 | 1;

    return p == first ? 1 : p == 1 ? first : p;
}

static uint64_t pair_step(const void *ctx, uint64_t state, int symbol)
{
    const struct pair *p = ctx;
    uint64_t at = pack(state >> 32, state & UINT32_MAX);
    uint32_t x = p->x->next[at >> 32][symbol], y = p->y->next[at & UINT32_MAX][symbol];

    if ((p->op != OP_OR && !x) || (p->op == OP_AND && !y))
        return 0;
    return pack(x, y);
}

static int pair_accepts(const void *ctx, uint64_t state)
{
    const struct pair *p = ctx;
    uint64_t at = pack(state >> 32, state & UINT32_MAX);
    int x = p->x->accept[at >> 32], y = p->y->accept[at & UINT32_MAX];

    return p->op == OP_AND ? x && y : p->op == OP_OR ? x || y : x && !y;
}

static int join(struct numset_room *m, const struct numset *x, const struct numset *y,
                enum op op, struct numset *out, struct err *e)
{
    struct pair p = {x, y, op};
    struct numset_gen g = {&p, pair_step, pair_accepts};
    struct numset r = {0};
    int rc = numset_build(m, &g, &r, e);

    if (rc < 0)
        return rc;
    if (op == OP_AND) {
        r.must = x->must & y->must;
        r.may = x->may & y->may;
    } else if (op == OP_OR) {
        r.must = x->must | y->must;
        r.may = x->may | y->may;
    } else {
        r.must = x->must & (uint8_t)~y->may;
        r.may = x->may & (uint8_t)~y->must;
    }
    *out = r;
    return 0;
}

int numset_and(struct numset_room *m, const struct numset *x, const struct numset *y,
               struct numset *out, struct err *e)
{
    return join(m, x, y, OP_AND, out, e);
}

int numset_or(struct numset_room *m, const struct numset *x, const struct numset *y,
              struct numset *out, struct err *e)
{
    return join(m, x, y, OP_OR, out, e);
}

int numset_minus(struct numset_room *m, const struct numset *x, const struct numset *y,
                 struct numset *out, struct err *e)
{
    return join(m, x, y, OP_MINUS, out, e);
}

int numset_is_empty(const struct numset *s)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->accept[i])
            return 0;
    }
    return !s->must;
}

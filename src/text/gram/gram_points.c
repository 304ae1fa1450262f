/* gram_points.c - states over code points: regular expressions, names that are left, and
 * regular expressions without the keys that an object has already.
 *
 * Names and keys are sorted sets; a state knows which of them begin as what was read. Where no
 * key is left in its range, a state is that of the expression alone, and where all names of its
 * range are left, it forgets which are not: so states are shared as soon as they can be.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

uint32_t gram_cs(struct gram *g, const struct gram_cs *c, struct err *e)
{
    uint32_t id = gram_intern(g, &g->cs, &g->kept, c, sizeof(*c), NULL);

    if (!id)
        (void)gram_full(g, e);
    return id;
}

/* -- sorted texts --------------------------------------------------------------------- */

/* Reads text i of what a state walks along. */
static struct str text_at(const struct gram *g, const struct gram_cs *c, uint32_t i)
{
    if (c->kind == GRAM_CS_NAMES)
        return gram_obj_at(g, c->a)->name[i];
    return gram_key_text(g, GRAM_REC(uint32_t, g->key_sets, c->b)[1 + i]);
}

/* The code point of text i behind what was read; its length in *n, 0 at the text's end. */
static int32_t point_at(const struct gram *g, const struct gram_cs *c, uint32_t i, int *n)
{
    struct str s = text_at(g, c, i);
    int32_t cp = 0;

    *n = s.n > c->depth ? utf8_next(s.p + c->depth, s.n - c->depth, &cp) : 0;
    return cp;
}

/* Where the texts end that go on with cp as text i does. */
static uint32_t group_end(const struct gram *g, const struct gram_cs *c, uint32_t i, int32_t cp)
{
    uint32_t lo = i, hi = c->hi; /* lo: in the group; hi: not */
    int n;

    while (hi - lo > 1) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (point_at(g, c, mid, &n) == cp && n)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}

static int put_range(struct gram *g, uint32_t lo, uint32_t hi, uint32_t to, struct err *e)
{
    struct gram_range *last;

    if (!to)
        return e && e->code ? e->code : E_NOMEM;
    if (lo <= 0xDFFF && hi >= 0xD800) { /* surrogates are no characters */
        int rc = lo < 0xD800 ? put_range(g, lo, 0xD7FF, to, e) : 0;

        return rc < 0 || hi <= 0xDFFF ? rc : put_range(g, 0xE000, hi, to, e);
    }
    last = g->range.n ? &GRAM_AT(struct gram_range, g->range)[g->range.n - 1] : NULL;
    if (last && last->to == to && last->hi + 1 == lo) {
        last->hi = hi;
        return 0;
    }
    if (gram_room(g, &g->range, 1, sizeof(*last)) < 0)
        return gram_full(g, e);
    GRAM_AT(struct gram_range, g->range)[g->range.n++] = (struct gram_range){lo, hi, to};
    return 0;
}

/* -- names that are left -------------------------------------------------------------- */

/* How many names of i..j-1 are left, counted up to j - i. */
static uint32_t names_left(const struct gram *g, uint32_t set, uint32_t i, uint32_t j)
{
    const uint64_t *bits;
    uint32_t n = 0;

    if (!set)
        return j - i;
    bits = GRAM_REC(uint64_t, g->names, set);
    for (; i < j && i % 64; i++)
        n += (uint32_t)gram_bit(bits, i);
    for (; i + 64 <= j; i += 64)
        n += (uint32_t)__builtin_popcountll(bits[i / 64]);
    for (; i < j; i++)
        n += (uint32_t)gram_bit(bits, i);
    return n;
}

static int names_edges(struct gram *g, const struct gram_cs *c, struct err *e)
{
    uint32_t i = c->lo, j;
    int n, rc = 0;

    for (; rc == 0 && i < c->hi; i = j) {
        int32_t cp = point_at(g, c, i, &n);
        struct gram_cs to = *c;
        uint32_t left;

        if (n == 0) { /* the name that ends here */
            j = i + 1;
            continue;
        }
        j = group_end(g, c, i, cp);
        left = names_left(g, c->b, i, j);
        if (!left)
            continue;
        to.b = left == j - i ? 0 : c->b;
        to.lo = i;
        to.hi = j;
        to.depth += (uint32_t)n;
        rc = put_range(g, (uint32_t)cp, (uint32_t)cp, gram_cs(g, &to, e), e);
    }
    return rc;
}

/* -- regular expressions -------------------------------------------------------------- */

static uint32_t rx_state(struct gram *g, const struct gram_cs *like, rx_id rx, struct err *e)
{
    return gram_cs(g, &(struct gram_cs){.kind = GRAM_CS_RX, .pay = like->pay, .a = rx}, e);
}

static int rx_cs_edges(struct gram *g, const struct gram_cs *c, struct err *e)
{
    const struct rx_edge *edge;
    size_t n;
    int rc = rx_edges(g->rx, c->a, &edge, &n, e);

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_range(g, edge[i].lo, edge[i].hi, rx_state(g, c, edge[i].to, e), e);
    return rc;
}

/* Without keys: along the keys i..j-1, which go on alike. Nowhere when nothing is left. */
static int but_edge(struct gram *g, const struct gram_cs *c, uint32_t cp, rx_id to, uint32_t i,
                    uint32_t j, int n, struct err *e)
{
    struct gram_cs next = *c;
    uint64_t size = 0;
    int rc = gram_rx_size(g, to, &size, e);

    if (rc < 0 || size <= j - i)
        return rc;
    next.a = to;
    next.lo = i;
    next.hi = j;
    next.depth += (uint32_t)n;
    return put_range(g, cp, cp, gram_cs(g, &next, e), e);
}

static int but_edges(struct gram *g, const struct gram_cs *c, struct err *e)
{
    const struct rx_edge *edge;
    struct rx_edge *own;
    size_t n_edge, k = 0;
    uint32_t i = c->lo, j;
    int n, rc = rx_edges(g->rx, c->a, &edge, &n_edge, e);

    if (rc < 0)
        return rc;
    own = mem_calloc(n_edge + 1, sizeof(*own));
    if (!own)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    memcpy(own, edge, n_edge * sizeof(*own));
    for (; rc == 0 && i < c->hi; i = j) {
        uint32_t cp = (uint32_t)point_at(g, c, i, &n);

        j = n ? group_end(g, c, i, (int32_t)cp) : i + 1;
        if (n == 0)
            continue;
        for (; rc == 0 && k < n_edge && own[k].hi < cp; k++)
            rc = put_range(g, own[k].lo, own[k].hi, rx_state(g, c, own[k].to, e), e);
        if (rc < 0 || k == n_edge || own[k].lo > cp)
            continue;
        if (own[k].lo < cp)
            rc = put_range(g, own[k].lo, cp - 1, rx_state(g, c, own[k].to, e), e);
        if (rc == 0)
            rc = but_edge(g, c, cp, own[k].to, i, j, n, e);
        if (own[k].hi == cp)
            k++;
        else
            own[k].lo = cp + 1;
    }
    for (; rc == 0 && k < n_edge; k++)
        rc = put_range(g, own[k].lo, own[k].hi, rx_state(g, c, own[k].to, e), e);
    mem_free(own);
    return rc;
}

/* -- all of them ---------------------------------------------------------------------- */

int gram_cs_edges(struct gram *g, uint32_t cs, struct err *e)
{
    static int (*const edges[])(struct gram *, const struct gram_cs *, struct err *) = {
        [GRAM_CS_RX] = rx_cs_edges, [GRAM_CS_NAMES] = names_edges, [GRAM_CS_BUT] = but_edges};
    const struct gram_cs *c = GRAM_REC(struct gram_cs, g->cs, cs);

    g->range.n = 0;
    return edges[c->kind](g, c, e);
}

int gram_cs_accepts(const struct gram *g, uint32_t cs)
{
    const struct gram_cs *c = GRAM_REC(struct gram_cs, g->cs, cs);
    int ends = c->lo < c->hi && text_at(g, c, c->lo).n == c->depth;

    if (c->kind != GRAM_CS_NAMES)
        return rx_accepts(g->rx, c->a) && !ends ? 1 + (int)c->pay : 0;
    return ends && names_left(g, c->b, c->lo, c->lo + 1) ? 1 + (int)(c->pay + c->lo) : 0;
}

/* -- sizes ---------------------------------------------------------------------------- */

enum { SIZE_STEPS = 100 * 1000 };

/* The states below one without a loop, counted from the leaves: each stays on the stack until
 * all that it leads to are known. */
static int count(struct gram *g, rx_id top, struct err *e)
{
    struct gram_vec *todo = &g->range2; /* used as states that wait */
    size_t steps = 0;
    int rc = 0;

    todo->n = 0;
    if (gram_room(g, todo, 1, sizeof(struct gram_range)) < 0)
        return gram_full(g, e);
    GRAM_AT(struct gram_range, *todo)[todo->n++] = (struct gram_range){top, 0, 0};
    while (rc == 0 && todo->n) {
        rx_id rx = GRAM_AT(struct gram_range, *todo)[todo->n - 1].lo;
        size_t n, before = todo->n;
        const struct rx_edge *edge;
        uint64_t sum = (uint64_t)rx_accepts(g->rx, rx);
        uint32_t at;

        if (map64_get(&g->sizes, rx, &at)) {
            todo->n--;
            continue;
        }
        rc = rx_edges(g->rx, rx, &edge, &n, e);
        if (rc == 0 && gram_room(g, todo, n, sizeof(struct gram_range)) < 0)
            rc = gram_full(g, e);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            uint64_t part, points = (uint64_t)edge[i].hi - edge[i].lo + 1;

            if (edge[i].lo < 0xD800 && edge[i].hi > 0xDFFF)
                points -= 0x800; /* surrogates */
            if (!map64_get(&g->sizes, edge[i].to, &at)) {
                GRAM_AT(struct gram_range, *todo)
                [todo->n++] = (struct gram_range){edge[i].to, 0, 0};
                continue;
            }
            if (__builtin_mul_overflow(GRAM_AT(uint64_t, g->size)[at], points, &part) ||
                __builtin_add_overflow(sum, part, &sum))
                sum = GRAM_INF;
        }
        if (rc < 0 || todo->n > before)
            continue;
        todo->n--;
        if (++steps > SIZE_STEPS)
            return err_set(e, E_TOO_LONG, "too many ways to write the key of a property");
        if (gram_room(g, &g->size, 1, sizeof(uint64_t)) < 0 ||
            map64_put(&g->sizes, rx, (uint32_t)g->size.n) < 0)
            rc = gram_full(g, e);
        else
            GRAM_AT(uint64_t, g->size)[g->size.n++] = sum;
    }
    return rc;
}

int gram_rx_size(struct gram *g, rx_id rx, uint64_t *out, struct err *e)
{
    uint32_t at;
    int rc = rx_finite(g->rx, rx, e);

    if (rc <= 0) {
        *out = GRAM_INF;
        return rc;
    }
    rc = map64_get(&g->sizes, rx, &at) ? 0 : count(g, rx, e);
    if (rc == 0 && map64_get(&g->sizes, rx, &at))
        *out = GRAM_AT(uint64_t, g->size)[at];
    return rc;
}

/* rx_make.c - sequences, repetitions, complements: equal ones become one, and simple ones come
 * out of complex ones.
 *
 * States of the automaton are what these functions make, so each law here is fewer states.
 */
#include "text/gram/rx_priv.h"

#include "base/utf8.h"

static uint32_t plus(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

static uint32_t times(uint32_t a, uint32_t b)
{
    uint64_t x = (uint64_t)a * b;

    return x > UINT32_MAX ? UINT32_MAX : (uint32_t)x;
}

static int is(const struct rx *r, rx_id id, enum rx_kind kind)
{
    return rx_at(r, id)->kind == kind;
}

static int nullable(const struct rx *r, rx_id id)
{
    return (rx_at(r, id)->flags & RX_NULLABLE) != 0;
}

/* A node of fixed size: found, or made. */
static rx_id make(struct rx *r, struct rx_node *want)
{
    rx_id id;

    if (r->failed.code)
        return RX_NONE;
    want->hash = rx_mix(rx_mix(want->kind, want->a), rx_mix(want->b, want->c));
    if (!want->shape)
        want->shape = want->hash;
    id = rx_find(r, want, NULL);
    return id ? id : rx_add(r, want);
}

/* -- repetitions ----------------------------------------------------------------------- */

rx_id rx_repeat_node(struct rx *r, rx_id a, uint32_t min, uint32_t max)
{
    const struct rx_node *n = rx_at(r, a);
    struct rx_node want = {.kind = RX_K_REPEAT, .a = a, .b = min, .c = max};

    want.least = times(n->least, min);
    want.flags = (uint16_t)(n->flags & (RX_HARD | RX_UNBOUNDED));
    if (min == 0 || (n->flags & RX_NULLABLE))
        want.flags |= RX_NULLABLE;
    if (max == RX_INF)
        want.flags |= RX_UNBOUNDED;
    if (max != RX_INF || min > 1)
        want.flags |= RX_COUNTED;
    want.shape = rx_mix(RX_K_REPEAT, a);
    return make(r, &want);
}

/* (b{m,n}){min,max} as one repetition: when the lengths that come out have no gaps. */
static int fold(struct rx_node n, uint32_t min, uint32_t max, uint32_t *lo, uint32_t *hi)
{
    uint64_t a = (uint64_t)n.b * min, b = (uint64_t)n.c * max;

    if (min != max && (uint64_t)(n.c - n.b) * min + 1 < n.b)
        return 0;
    if (n.c == RX_INF || max == RX_INF)
        b = RX_INF;
    else if (b >= RX_INF)
        return 0;
    if (a >= RX_INF)
        return 0;
    *lo = (uint32_t)a;
    *hi = (uint32_t)b;
    return 1;
}

/* a without the empty text, if that is one of a's alternatives. */
static rx_id without_empty(struct rx *r, rx_id a)
{
    const struct rx_node *n = rx_at(r, a);

    if (n->kind != RX_K_ALT || RX_AT(uint32_t, r->word)[n->a] != RX_EMPTY)
        return a;
    r->kept.n = 0;
    if (rx_room(r, &r->kept, n->b, sizeof(uint32_t)) < 0)
        return RX_NONE;
    n = rx_at(r, a);
    memcpy(r->kept.p, RX_AT(uint32_t, r->word) + n->a + 1, (n->b - 1) * sizeof(uint32_t));
    return rx_alts(r, r->kept.p, n->b - 1);
}

rx_id rx_repeat(struct rx *r, rx_id a, uint32_t min, uint32_t max)
{
    if (r->failed.code)
        return RX_NONE;
    if (min > max || (min == RX_INF && max == RX_INF)) {
        rx_fail(r, E_INVALID, "a repetition of %u to %u times", (unsigned)min, (unsigned)max);
        return RX_NONE;
    }
    if (max == 0 || a == RX_EMPTY || (a == RX_NONE && min == 0))
        return RX_EMPTY;
    if (a == RX_NONE || (min == 1 && max == 1))
        return a;
    if (nullable(r, a)) {
        min = 0;
        a = without_empty(r, a);
    }
    if (is(r, a, RX_K_REPEAT) && fold(*rx_at(r, a), min, max, &min, &max))
        return rx_repeat(r, rx_at(r, a)->a, min, max);
    if (min == 0 && max == 1)
        return rx_alt(r, RX_EMPTY, a);
    return rx_repeat_node(r, a, min, max);
}

/* -- sequences ------------------------------------------------------------------------- */

static rx_id pair(struct rx *r, rx_id a, rx_id b)
{
    const struct rx_node *x = rx_at(r, a), *y = rx_at(r, b);
    struct rx_node want = {.kind = RX_K_SEQ, .a = a, .b = b};

    want.least = plus(x->least, y->least);
    want.flags = (uint16_t)((x->flags | y->flags) & (RX_HARD | RX_UNBOUNDED | RX_COUNTED));
    want.flags |= x->flags & y->flags & RX_NULLABLE;
    want.shape = rx_mix(x->shape, y->shape);
    return make(r, &want);
}

/* x as a repetition: of what, how often. */
static rx_id repeated(const struct rx *r, rx_id x, uint32_t *min, uint32_t *max)
{
    const struct rx_node *n = rx_at(r, x);

    *min = n->kind == RX_K_REPEAT ? n->b : 1;
    *max = n->kind == RX_K_REPEAT ? n->c : 1;
    return n->kind == RX_K_REPEAT ? n->a : x;
}

/* h, which is no sequence, before t: a{1,2} a{3} is a{4,5}. */
rx_id rx_before(struct rx *r, rx_id h, rx_id t)
{
    uint32_t m1, n1, m2, n2;
    rx_id next, rest;

    if (h == RX_NONE || t == RX_NONE)
        return RX_NONE;
    if (h == RX_EMPTY || t == RX_EMPTY)
        return h == RX_EMPTY ? t : h;
    next = is(r, t, RX_K_SEQ) ? rx_at(r, t)->a : t;
    rest = is(r, t, RX_K_SEQ) ? rx_at(r, t)->b : RX_EMPTY;
    if ((is(r, h, RX_K_REPEAT) || is(r, next, RX_K_REPEAT)) &&
        repeated(r, h, &m1, &n1) == repeated(r, next, &m2, &n2)) {
        rx_id body = repeated(r, h, &m1, &n1);
        int endless = n1 == RX_INF || n2 == RX_INF;

        if (plus(m1, m2) < RX_INF && (endless || plus(n1, n2) < RX_INF))
            return rx_before(r, rx_repeat_node(r, body, m1 + m2, plus(n1, n2)), rest);
    }
    return pair(r, h, t);
}

rx_id rx_join(struct rx *r, rx_id a, rx_id b)
{
    if (r->failed.code)
        return RX_NONE;
    r->chain.n = 0;
    for (; is(r, a, RX_K_SEQ); a = rx_at(r, a)->b) {
        if (rx_push(r, &r->chain, rx_at(r, a)->a) < 0)
            return RX_NONE;
    }
    if (rx_count(r, r->chain.n) < 0)
        return RX_NONE;
    b = rx_before(r, a, b);
    while (r->chain.n > 0)
        b = rx_before(r, RX_AT(uint32_t, r->chain)[--r->chain.n], b);
    return b;
}

/* The bytes of a text or of a single character: how many, at most RX_CHUNK; 0: neither. */
static uint32_t bytes_of(const struct rx *r, rx_id id, char out[RX_CHUNK])
{
    const struct rx_node *n = rx_at(r, id);
    const struct rx_range *c = RX_AT(struct rx_range, r->range) + n->a;

    if (n->kind == RX_K_TEXT) {
        memcpy(out, RX_AT(char, r->text) + n->a, n->b);
        return n->b;
    }
    if (n->kind != RX_K_SET || n->b != 1 || c->lo != c->hi)
        return 0;
    return (uint32_t)utf8_put((int32_t)rx_spread(c->lo), out);
}

rx_id rx_seq(struct rx *r, rx_id a, rx_id b)
{
    char text[2 * RX_CHUNK];
    uint32_t n, m;
    rx_id next, rest;

    if (r->failed.code)
        return RX_NONE;
    next = is(r, b, RX_K_SEQ) ? rx_at(r, b)->a : b;
    rest = is(r, b, RX_K_SEQ) ? rx_at(r, b)->b : RX_EMPTY;
    n = bytes_of(r, a, text);
    m = n ? bytes_of(r, next, text + n) : 0;
    if (m == 0 || n + m > RX_CHUNK)
        return rx_join(r, a, b);
    return rx_join(r, rx_text(r, (struct str){text, n + m}), rest);
}

rx_id rx_seqs(struct rx *r, const rx_id *part, size_t n)
{
    rx_id id = RX_EMPTY;

    while (n > 0)
        id = rx_seq(r, part[--n], id);
    return r->failed.code ? RX_NONE : id;
}

/* -- complements ----------------------------------------------------------------------- */

rx_id rx_not(struct rx *r, rx_id a)
{
    const struct rx_node *n = rx_at(r, a);
    struct rx_node want = {.kind = RX_K_NOT, .a = a};

    if (r->failed.code)
        return RX_NONE;
    if (a == RX_NONE || a == r->all)
        return a == RX_NONE ? r->all : RX_NONE;
    if (a == RX_EMPTY)
        return rx_repeat(r, r->any, 1, RX_INF);
    if (n->kind == RX_K_NOT)
        return n->a;
    if (n->kind == RX_K_REPEAT && n->a == r->any) { /* shorter or longer */
        uint32_t min = n->b, max = n->c;
        rx_id less = min ? rx_repeat(r, r->any, 0, min - 1) : RX_NONE;

        return max == RX_INF ? less : rx_alt(r, less, rx_repeat(r, r->any, max + 1, RX_INF));
    }
    want.flags = RX_HARD | RX_UNBOUNDED;
    if (!(n->flags & RX_NULLABLE))
        want.flags |= RX_NULLABLE;
    want.least = n->flags & RX_NULLABLE ? 1 : 0;
    return make(r, &want);
}

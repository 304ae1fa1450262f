/* rx_make.c - expressions: equal ones become one, and simple ones come out of complex ones.
 *
 * States of the automaton are what these functions make, so each law here is fewer states:
 * alternatives and intersections are flat, sorted and unique, characters in them are one set,
 * parts that change nothing are left out, repetitions of repetitions are one.
 */
#include "text/gram/rx_priv.h"

#include "base/utf8.h"

#include <stdlib.h>

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

static rx_id repeat_node(struct rx *r, rx_id a, uint32_t min, uint32_t max)
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
    return repeat_node(r, a, min, max);
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
static rx_id before(struct rx *r, rx_id h, rx_id t)
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
            return before(r, repeat_node(r, body, m1 + m2, plus(n1, n2)), rest);
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
    b = before(r, a, b);
    while (r->chain.n > 0)
        b = before(r, RX_AT(uint32_t, r->chain)[--r->chain.n], b);
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

/* -- alternatives and intersections ---------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Sorts and makes unique; returns how many are left. */
static size_t sort_ids(uint32_t *id, size_t n)
{
    size_t i = 1, k = 0;

    while (i < n && id[i - 1] < id[i])
        i++;
    if (i >= n)
        return n;
    qsort(id, n, sizeof(*id), by_id);
    for (i = 1; i < n; i++) {
        if (id[i] != id[k])
            id[++k] = id[i];
    }
    return k + 1;
}

static int has(const uint32_t *id, size_t n, uint32_t what)
{
    return bsearch(&what, id, n, sizeof(*id), by_id) != NULL;
}

static uint32_t kids_hash(enum rx_kind kind, const uint32_t *kid, size_t n)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += rx_mix(kind, kid[i]);
    return sum;
}

/* What an alternation knows of its kids: add one. */
static void one_of(struct rx_node *alt, const struct rx_node *kid)
{
    alt->least = kid->least < alt->least ? kid->least : alt->least;
    alt->flags |= kid->flags & (RX_NULLABLE | RX_HARD | RX_UNBOUNDED);
}

static void all_of(struct rx_node *and, const struct rx_node *kid)
{
    and->least = kid->least > and->least ? kid->least : and->least;
    and->flags &= kid->flags | (uint16_t) ~(RX_NULLABLE | RX_UNBOUNDED);
}

/* The node of the sorted kids in r->list. */
static rx_id group(struct rx *r, enum rx_kind kind)
{
    uint32_t *kid = r->list.p;
    size_t n = r->list.n;
    struct rx_node want = {.kind = (uint8_t)kind, .b = (uint32_t)n};
    rx_id id;

    if (r->failed.code || n == 0)
        return r->failed.code || kind == RX_K_ALT ? RX_NONE : r->all;
    if (n == 1)
        return kid[0];
    want.hash = want.shape = kids_hash(kind, kid, n);
    id = rx_find(r, &want, kid);
    if (id)
        return id;
    if (kind == RX_K_ALT)
        want.least = UINT32_MAX;
    else
        want.flags = RX_HARD | RX_NULLABLE | RX_UNBOUNDED;
    for (size_t i = 0; i < n; i++)
        (kind == RX_K_ALT ? one_of : all_of)(&want, rx_at(r, kid[i]));
    if (rx_room(r, &r->word, n, sizeof(*kid)) < 0)
        return RX_NONE;
    want.a = (uint32_t)r->word.n;
    memcpy(RX_AT(uint32_t, r->word) + r->word.n, kid, n * sizeof(*kid));
    r->word.n += n;
    return rx_add(r, &want);
}

/* Puts the parts into r->list, groups of the kind taken apart. Returns 1 when `end` is among
 * them. */
static int gather(struct rx *r, enum rx_kind kind, const rx_id *part, size_t n, rx_id end)
{
    r->list.n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct rx_node *p = rx_at(r, part[i]);
        size_t many = p->kind == kind ? p->b : 1;

        if (part[i] == end)
            return 1;
        if (rx_count(r, many) < 0 || rx_room(r, &r->list, many, sizeof(uint32_t)) < 0)
            return 0;
        memcpy(RX_AT(uint32_t, r->list) + r->list.n,
               p->kind == kind ? RX_AT(uint32_t, r->word) + p->a : &part[i],
               many * sizeof(uint32_t));
        r->list.n += many;
    }
    return 0;
}

/* Characters in an alternation become one set. */
static void join_sets(struct rx *r)
{
    uint32_t *id = r->list.p;
    size_t n = 0, sets = 0;
    rx_id set = RX_NONE;

    r->ranges.n = 0;
    for (size_t i = 0; i < r->list.n; i++) {
        if (!is(r, id[i], RX_K_SET)) {
            id[n++] = id[i];
            continue;
        }
        if (id[i] != set) {
            const struct rx_node *s = rx_at(r, id[i]);

            if (rx_room(r, &r->ranges, s->b, sizeof(struct rx_range)) < 0)
                return;
            memcpy(RX_AT(struct rx_range, r->ranges) + r->ranges.n,
                   RX_AT(struct rx_range, r->range) + s->a, s->b * sizeof(struct rx_range));
            r->ranges.n += s->b;
            sets++;
        }
        set = id[i];
    }
    if (sets > 1)
        set = rx_set_of(r, r->ranges.p, r->ranges.n);
    if (sets > 0)
        id[n++] = set;
    r->list.n = n;
}

/* Characters in an intersection become one set. Returns 0 when that is empty. */
static int meet_sets(struct rx *r)
{
    uint32_t *id = r->list.p;
    size_t n = 0;
    rx_id set = r->any;
    int any = 0;

    for (size_t i = 0; i < r->list.n; i++) {
        if (!is(r, id[i], RX_K_SET)) {
            id[n++] = id[i];
            continue;
        }
        any = 1;
        set = rx_set_and(r, set, id[i]);
        if (set == RX_NONE)
            return 0;
    }
    if (any)
        id[n++] = set;
    r->list.n = n;
    return 1;
}

/* 1 when x and its complement are both there. */
static int opposed(const struct rx *r)
{
    const uint32_t *id = r->list.p;

    for (size_t i = 0; i < r->list.n; i++) {
        if (is(r, id[i], RX_K_NOT) && has(id, r->list.n, rx_at(r, id[i])->a))
            return 1;
    }
    return 0;
}

/* x | x & y is x, x & (x | y) is x: drops groups of the other kind that hold one of ours. */
static void absorb(struct rx *r, enum rx_kind other)
{
    uint32_t *id = r->list.p;
    size_t n = 0;
    int groups = 0, others = 0;

    for (size_t i = 0; i < r->list.n; i++)
        *(is(r, id[i], other) ? &groups : &others) += 1;
    if (groups == 0 || others == 0)
        return;
    r->kept.n = 0;
    if (rx_room(r, &r->kept, r->list.n, sizeof(*id)) < 0)
        return;
    for (size_t i = 0; i < r->list.n; i++) {
        const struct rx_node *g = rx_at(r, id[i]);
        int drop = 0;

        for (uint32_t k = 0; g->kind == other && k < g->b && !drop; k++)
            drop = has(id, r->list.n, RX_AT(uint32_t, r->word)[g->a + k]);
        if (g->kind == other && rx_count(r, g->b) < 0)
            return;
        if (!drop)
            RX_AT(uint32_t, r->kept)[n++] = id[i];
    }
    memcpy(id, r->kept.p, n * sizeof(*id));
    r->list.n = n;
}

/* The empty text is left out where another alternative matches it; with a{1,9} it is a{0,9}. */
static void take_empty(struct rx *r)
{
    uint32_t *id = r->list.p;
    size_t n = r->list.n, plus_at = 0;

    if (n < 2 || id[0] != RX_EMPTY)
        return;
    for (size_t i = n - 1; i > 0; i--) {
        if (nullable(r, id[i])) {
            plus_at = 0;
            memmove(id, id + 1, --r->list.n * sizeof(*id));
            return;
        }
        if (is(r, id[i], RX_K_REPEAT) && rx_at(r, id[i])->b == 1)
            plus_at = i;
    }
    if (plus_at > 0) {
        id[plus_at] = repeat_node(r, rx_at(r, id[plus_at])->a, 0, rx_at(r, id[plus_at])->c);
        memmove(id, id + 1, --r->list.n * sizeof(*id));
        r->list.n = sort_ids(id, r->list.n);
    }
}

rx_id rx_alts(struct rx *r, const rx_id *part, size_t n)
{

    if (r->failed.code)
        return RX_NONE;
    if (gather(r, RX_K_ALT, part, n, r->all))
        return r->all;
    join_sets(r);
    r->list.n = sort_ids(r->list.p, r->list.n);
    if (r->list.n > 0 && *RX_AT(uint32_t, r->list) == RX_NONE)
        memmove(r->list.p, RX_AT(uint32_t, r->list) + 1, --r->list.n * sizeof(uint32_t));
    take_empty(r);
    if (opposed(r))
        return r->all;
    absorb(r, RX_K_AND);
    return group(r, RX_K_ALT);
}

/* One more text: as that is how long enumerations are made, it costs little. Kids at the end
 * of the pool are shared with the shorter alternation. RX_NONE: the general way, please. */
static rx_id one_more(struct rx *r, rx_id a, rx_id text)
{
    struct rx_node want = *rx_at(r, a);
    uint32_t *word = RX_AT(uint32_t, r->word);
    rx_id id;

    if (want.kind != RX_K_ALT || rx_at(r, text)->kind != RX_K_TEXT ||
        want.a + want.b != r->word.n || word[r->word.n - 1] >= text)
        return RX_NONE;
    one_of(&want, rx_at(r, text));
    want.flags &= RX_NULLABLE | RX_HARD | RX_UNBOUNDED;
    want.edges = 0;
    want.b++;
    want.hash = want.shape = want.hash + rx_mix(RX_K_ALT, text);
    if (rx_push(r, &r->word, text) < 0)
        return RX_NONE;
    id = rx_find(r, &want, RX_AT(uint32_t, r->word) + want.a);
    if (!id)
        return rx_add(r, &want);
    r->word.n--;
    return id;
}

rx_id rx_alt(struct rx *r, rx_id a, rx_id b)
{
    rx_id id = r->failed.code ? RX_NONE : one_more(r, a, b);

    return id ? id : rx_alts(r, (rx_id[2]){a, b}, 2);
}

/* .{1,5} and .{3,9} are .{3,5}. Returns 0 when nothing is left. */
static int meet_lengths(struct rx *r)
{
    uint32_t *id = r->list.p, min = 0, max = RX_INF;
    size_t n = 0;
    int many = 0;

    for (size_t i = 0; i < r->list.n; i++) {
        const struct rx_node *k = rx_at(r, id[i]);

        if (k->kind != RX_K_REPEAT || k->a != r->any) {
            id[n++] = id[i];
            continue;
        }
        min = k->b > min ? k->b : min;
        max = k->c < max ? k->c : max;
        many++;
    }
    if (many == 0)
        return 1;
    if (min > max)
        return 0;
    /* rx_repeat would make that one with rx_alt, which needs the list itself. */
    id[n++] = min == 0 && max == 1 ? r->maybe : rx_repeat(r, r->any, min, max);
    r->list.n = n;
    return 1;
}

rx_id rx_and(struct rx *r, rx_id a, rx_id b)
{
    rx_id part[2] = {a, b};

    return rx_ands(r, part, 2);
}

rx_id rx_ands(struct rx *r, const rx_id *part, size_t n)
{
    uint32_t *id;
    size_t k = 0;

    if (r->failed.code || gather(r, RX_K_AND, part, n, RX_NONE))
        return RX_NONE;
    id = r->list.p;
    for (size_t i = 0; i < r->list.n; i++) {
        if (id[i] != r->all)
            id[k++] = id[i];
    }
    r->list.n = k;
    if (!meet_sets(r) || !meet_lengths(r))
        return RX_NONE;
    r->list.n = sort_ids(id, r->list.n);
    if (opposed(r))
        return RX_NONE;
    if (r->list.n > 1 && id[0] == RX_EMPTY) {
        for (size_t i = 1; i < r->list.n; i++) {
            if (!nullable(r, id[i]))
                return RX_NONE;
        }
        return RX_EMPTY;
    }
    absorb(r, RX_K_ALT);
    return group(r, RX_K_AND);
}

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

/* rx_group.c - alternatives and intersections: flat, sorted and unique; characters in them are
 * one set, what changes nothing is left out.
 */
#include "text/gram/rx_priv.h"

#include <stdlib.h>

static int is(const struct rx *r, rx_id id, enum rx_kind kind)
{
    return rx_at(r, id)->kind == kind;
}

static int nullable(const struct rx *r, rx_id id)
{
    return (rx_at(r, id)->flags & RX_NULLABLE) != 0;
}

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

/* Whether all that x consists of in such a group is there. */
static int holds(const struct rx *r, enum rx_kind kind, rx_id x)
{
    const struct rx_node *n = rx_at(r, x);
    const uint32_t *kid = RX_AT(uint32_t, r->word) + n->a;

    if (n->kind != kind)
        return has(r->list.p, r->list.n, x);
    for (uint32_t i = 0; i < n->b; i++) {
        if (!has(r->list.p, r->list.n, kid[i]))
            return 0;
    }
    return 1;
}

/* 1 when x and its complement are both there. */
static int opposed(const struct rx *r, enum rx_kind kind)
{
    const uint32_t *id = r->list.p;

    for (size_t i = 0; i < r->list.n; i++) {
        if (is(r, id[i], RX_K_NOT) && holds(r, kind, rx_at(r, id[i])->a))
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

/* -- counters -------------------------------------------------------------------------- */

/* Where two sequences of one shape differ in the bounds of one repetition only, and those touch
 * each other, x a{2,4} y and x a{3,7} y: both as one, x a{2,7} y. Else RX_NONE. */
static rx_id merged(struct rx *r, rx_id x, rx_id y)
{
    const struct rx_node *a = rx_at(r, x), *b = rx_at(r, y);
    rx_id rest = RX_EMPTY;

    r->chain.n = 0;
    while (a->kind == RX_K_SEQ && b->kind == RX_K_SEQ && a->a == b->a) {
        if (rx_push(r, &r->chain, a->a) < 0)
            return RX_NONE;
        x = a->b;
        y = b->b;
        a = rx_at(r, x);
        b = rx_at(r, y);
    }
    if (a->kind == RX_K_SEQ && b->kind == RX_K_SEQ && a->b == b->b) {
        rest = a->b;
        a = rx_at(r, a->a);
        b = rx_at(r, b->a);
    }
    if (a->kind != RX_K_REPEAT || b->kind != RX_K_REPEAT || a->a != b->a ||
        (uint64_t)a->c + 1 < b->b || (uint64_t)b->c + 1 < a->b ||
        rx_count(r, r->chain.n + 1) < 0)
        return RX_NONE;
    x = rx_repeat_node(r, a->a, a->b < b->b ? a->b : b->b, a->c > b->c ? a->c : b->c);
    x = rx_before(r, x, rest);
    while (r->chain.n > 0)
        x = rx_before(r, RX_AT(uint32_t, r->chain)[--r->chain.n], x);
    return x;
}

struct shaped {
    uint32_t shape;
    rx_id id;
};

static int by_shape(const void *a, const void *b)
{
    const struct shaped *x = a, *y = b;

    if (x->shape != y->shape)
        return x->shape < y->shape ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Alternatives that differ in their counters only become one: without this, a text that can be
 * counted in many ways would have as many alternatives. */
static void merge_counters(struct rx *r)
{
    uint32_t *id = r->list.p;
    struct shaped *s;
    size_t n = 0, k = 0, before = r->list.n;

    for (size_t i = 0; i < r->list.n; i++)
        n += (rx_at(r, id[i])->flags & RX_COUNTED) != 0;
    r->shaped.n = 0;
    if (n < 2 || rx_room(r, &r->shaped, n, sizeof(*s)) < 0)
        return;
    s = r->shaped.p;
    n = 0;
    for (size_t i = 0; i < r->list.n; i++) {
        if (rx_at(r, id[i])->flags & RX_COUNTED)
            s[n++] = (struct shaped){rx_at(r, id[i])->shape, id[i]};
        else
            id[k++] = id[i];
    }
    qsort(s, n, sizeof(*s), by_shape);
    for (size_t i = 0; i < n;) {
        rx_id all = s[i].id, more = all;
        uint32_t shape = s[i].shape;

        while (++i < n && s[i].shape == shape && more != RX_NONE) {
            more = merged(r, all, s[i].id);
            all = more != RX_NONE ? more : all;
            if (more == RX_NONE)
                break;
        }
        id[k++] = all;
    }
    r->list.n = k;
    if (k < before)
        r->list.n = sort_ids(id, k);
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
            memmove(id, id + 1, --r->list.n * sizeof(*id));
            return;
        }
        if (is(r, id[i], RX_K_REPEAT) && rx_at(r, id[i])->b == 1)
            plus_at = i;
    }
    if (plus_at > 0) {
        id[plus_at] = rx_repeat_node(r, rx_at(r, id[plus_at])->a, 0, rx_at(r, id[plus_at])->c);
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
    if (opposed(r, RX_K_ALT))
        return r->all;
    absorb(r, RX_K_AND);
    merge_counters(r);
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
    if (opposed(r, RX_K_AND))
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

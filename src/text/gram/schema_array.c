/* schema_array.c - makes an array of facts: what the first items must satisfy each, and what
 * those after them. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

enum { PREFIX_MAX = 10000 };

struct work {
    struct schema *s;
    const struct schema_fact *last;
    struct schema_array a;
    schema_lit *lit; /* scratch */
    uint32_t n_lit, cap_lit;
    int unique;
    uint32_t unique_node;
};

static const struct schema_node *node_of(const struct work *w, const struct schema_fact *f)
{
    return &w->s->node[f->node];
}

static int add_lit(struct work *w, schema_lit l)
{
    int rc = schema_grow(w->s, &w->lit, w->n_lit, &w->cap_lit, sizeof(*w->lit));

    if (rc == 0)
        w->lit[w->n_lit++] = l;
    return rc;
}

static void bound(struct work *w, uint64_t min, uint64_t max)
{
    w->a.min = min > w->a.min ? min : w->a.min;
    w->a.max = max < w->a.max ? max : w->a.max;
}

/* -- what there is --------------------------------------------------------------------- */

static int add_contains(struct work *w, uint32_t node, schema_lit l, uint64_t min, uint64_t max)
{
    if (min == 0 && max == GRAM_INF)
        return 0;
    if (w->a.n_contains == SCHEMA_CONTAINS)
        return schema_fail(w->s, E_UNSUPPORTED, node, "contains", "more than %d for one array",
                           SCHEMA_CONTAINS);
    w->a.contains[w->a.n_contains++] = (struct schema_contains){l, min, max};
    return 0;
}

static void reach_prefix(struct work *w, uint64_t n)
{
    if (n > w->a.n_prefix)
        w->a.n_prefix = (uint32_t)(n < PREFIX_MAX ? n : PREFIX_MAX + 1);
}

static int gather_node(struct work *w, const struct schema_fact *f)
{
    const struct schema_node *n = node_of(w, f);
    const json_t *contains = schema_kw(n, KW_contains);

    reach_prefix(w, json_array_size(schema_prefix(n)));
    bound(w, schema_count(n, KW_min_items, 0), schema_count(n, KW_max_items, GRAM_INF));
    if (json_is_true(schema_kw(n, KW_unique_items))) {
        w->unique = 1;
        w->unique_node = f->node;
    }
    if (!contains)
        return 0;
    return add_contains(w, f->node, LIT_NODE(schema_node_at(w->s, contains)),
                        schema_count(n, KW_min_contains, 1),
                        schema_count(n, KW_max_contains, GRAM_INF));
}

static int gather(struct work *w)
{
    int rc = 0;

    for (const struct schema_fact *f = w->last; f && rc == 0; f = f->before) {
        if (f->kind == FACT_NODE)
            rc = gather_node(w, f);
        else if (f->kind == FACT_CONTAINS)
            rc = add_contains(w, f->node, f->lit, f->n, f->m);
        else if (f->kind == FACT_MIN)
            bound(w, f->n, GRAM_INF);
        else if (f->kind == FACT_MAX)
            bound(w, 0, f->n);
        else if (f->kind == FACT_ITEM)
            reach_prefix(w, f->n + 1);
        if (f->kind == FACT_VALUE) {
            reach_prefix(w, json_array_size(f->value));
            bound(w, json_array_size(f->value), json_array_size(f->value));
        }
        if (w->a.n_prefix > PREFIX_MAX)
            rc = schema_fail(w->s, E_TOO_LONG, f->node, NULL,
                             "more than %d items that differ by their place", PREFIX_MAX);
    }
    return rc;
}

/* -- what items must satisfy ----------------------------------------------------------- */

/* What a node says of item i; after the prefix: SIZE_MAX. */
static const json_t *item_schema(const struct schema_node *n, size_t i)
{
    const json_t *prefix = schema_prefix(n);

    return i < json_array_size(prefix) ? json_array_get(prefix, i) : schema_items(n);
}

/* 1: a schema applied in place has looked at the item. */
static int is_evaluated(struct work *w, const struct schema_fact *asks, size_t item)
{
    for (const struct schema_fact *f = w->last; f; f = f->before) {
        const struct schema_scope *scope = f->scope;

        while (scope && scope != asks->opens)
            scope = scope->up;
        if (f->kind != FACT_NODE || !scope)
            continue;
        if (node_of(w, f)->have & KW_BIT(KW_contains))
            return schema_fail(w->s, E_UNSUPPORTED, asks->node, "unevaluatedItems",
                               "cannot be told beside \"contains\"");
        if (f != asks && node_of(w, f)->have & KW_BIT(KW_unevaluated_items))
            return 1;
        if (item_schema(node_of(w, f), item))
            return 1;
    }
    return 0;
}

static int add_node_lits(struct work *w, const struct schema_fact *f, size_t item)
{
    const struct schema_node *n = node_of(w, f);
    const json_t *v = item_schema(n, item), *rest = schema_kw(n, KW_unevaluated_items);
    int rc = v ? add_lit(w, LIT_NODE(schema_node_at(w->s, v))) : 0;

    if (rc < 0 || !rest || schema_is_true(w->s, schema_node_at(w->s, rest)))
        return rc;
    rc = is_evaluated(w, f, item);
    return rc == 0 ? add_lit(w, LIT_NODE(schema_node_at(w->s, rest))) : rc < 0 ? rc : 0;
}

/* Gathers in w->lit what item i must satisfy. */
static int item_lits(struct work *w, size_t item)
{
    schema_lit l;
    int rc = 0;

    w->n_lit = 0;
    for (const struct schema_fact *f = w->last; f && rc == 0; f = f->before) {
        if (f->kind == FACT_NODE) {
            rc = add_node_lits(w, f, item);
        } else if (f->kind == FACT_ITEM && f->n == item) {
            rc = add_lit(w, f->lit);
        } else if (f->kind == FACT_VALUE && item < json_array_size(f->value)) {
            rc = schema_value_of(w->s, json_array_get(f->value, item), &l);
            if (rc == 0)
                rc = add_lit(w, l);
        }
    }
    return rc;
}

static size_t item_of(const struct work *w, uint32_t i)
{
    return i < w->a.n_prefix ? i : SIZE_MAX;
}

static int find_goals(struct work *w)
{
    int rc = 0;

    w->a.prefix = arena_alloc(&w->s->arena, w->a.n_prefix * sizeof(*w->a.prefix));
    if (!w->a.prefix)
        return schema_nomem(w->s);
    for (uint32_t i = 0; i <= w->a.n_prefix && rc == 0; i++) {
        rc = item_lits(w, item_of(w, i));
        if (rc == 0)
            rc = schema_goal_of(w->s, w->lit, w->n_lit,
                                i < w->a.n_prefix ? &w->a.prefix[i] : &w->a.items);
    }
    if (rc == 0 && w->a.items == GOAL_NEVER)
        bound(w, 0, w->a.n_prefix);
    for (uint32_t i = w->a.n_prefix; i-- > 0 && rc == 0;) {
        if (w->a.prefix[i] == GOAL_NEVER)
            bound(w, 0, i);
    }
    return rc;
}

/* -- contains -------------------------------------------------------------------------- */

static uint32_t power3(uint32_t n)
{
    return n == 0 ? 1 : 3 * power3(n - 1);
}

static int find_mixed(struct work *w)
{
    struct schema *s = w->s;
    uint32_t ways = power3(w->a.n_contains), at = 0;
    int rc = 0;

    w->a.n_mixed = ways * (w->a.n_prefix + 1);
    w->a.mixed = arena_alloc(&s->arena, w->a.n_mixed * sizeof(*w->a.mixed));
    if (!w->a.mixed)
        return schema_nomem(s);
    for (uint32_t i = 0; i <= w->a.n_prefix && rc == 0; i++) {
        for (uint32_t way = 0; way < ways && rc == 0; way++) {
            uint32_t digits = way;

            rc = item_lits(w, item_of(w, i));
            for (uint32_t c = 0; c < w->a.n_contains && rc == 0; c++, digits /= 3) {
                schema_lit l = w->a.contains[c].lit;
                int counts = w->a.contains[c].max < GRAM_INF;

                /* Who only must be there often enough need not be told from others. */
                if (digits % 3 == 0 && counts)
                    rc = add_lit(w, LIT_FALSE);
                else if (digits % 3 == 2 && !counts)
                    rc = add_lit(w, LIT_FALSE);
                else if (digits % 3)
                    rc = add_lit(w, digits % 3 == 1 ? l : l ^ 1);
            }
            if (rc == 0)
                rc = schema_goal_of(s, w->lit, w->n_lit, &w->a.mixed[at++]);
        }
    }
    return rc;
}

/* -- uniqueItems ----------------------------------------------------------------------- */

/* The values that items can have, if a schema lists them by const or enum. */
static int list_values(struct work *w, const json_t **v, uint32_t *n)
{
    const struct schema_goal_def *d = &w->s->goal[w->a.items];

    *n = 0;
    for (uint32_t i = 0; i < d->n_lit; i++) {
        const struct schema_node *node = &w->s->node[d->lit[i] >> 2];
        const json_t *list;

        if (d->lit[i] & 3)
            continue;
        if (schema_kw(node, KW_const)) {
            v[(*n)++] = schema_kw(node, KW_const);
            return 1;
        }
        list = schema_kw(node, KW_enum);
        for (size_t k = 0; k < json_array_size(list) && *n <= SCHEMA_UNIQUE; k++) {
            const json_t *one = json_array_get(list, k);
            uint32_t j = 0;

            while (j < *n && !schema_value_equal(v[j], one))
                j++;
            if (j == *n)
                v[(*n)++] = one;
        }
        if (list)
            return *n <= SCHEMA_UNIQUE;
    }
    return 0;
}

static int refuse_unique(struct work *w)
{
    return schema_fail(
        w->s, E_UNSUPPORTED, w->unique_node, "uniqueItems",
        "is possible for at most one item, or for items of an \"enum\" of at most "
        "%d values",
        SCHEMA_UNIQUE);
}

/* Items are of one list of few values: each value is a goal for each place. */
static int find_unique(struct work *w)
{
    struct schema *s = w->s;
    const json_t *v[SCHEMA_UNIQUE + 1];
    uint32_t n, at = 0;
    int rc = item_lits(w, SIZE_MAX);

    if (rc < 0)
        return rc;
    if (w->a.n_prefix || w->a.n_contains || !list_values(w, v, &n))
        return refuse_unique(w);
    w->a.n_unique = n;
    w->a.n_mixed = n;
    w->a.mixed = arena_alloc(&s->arena, n * sizeof(*w->a.mixed));
    if (!w->a.mixed)
        return schema_nomem(s);
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        schema_lit l;

        rc = item_lits(w, SIZE_MAX);
        if (rc == 0)
            rc = schema_value_of(s, v[i], &l);
        if (rc == 0)
            rc = add_lit(w, l);
        if (rc == 0)
            rc = schema_goal_of(s, w->lit, w->n_lit, &w->a.mixed[at++]);
    }
    bound(w, 0, n);
    return rc;
}

static int make(struct work *w, struct schema_array **list)
{
    struct schema_array *own;
    int rc = gather(w);

    if (rc == 0)
        rc = find_goals(w);
    if (rc == 0 && w->a.min <= w->a.max && w->unique && w->a.max > 1)
        rc = find_unique(w);
    if (rc == 0 && w->a.n_contains)
        rc = find_mixed(w);
    if (rc < 0 || w->a.min > w->a.max)
        return rc;
    own = arena_alloc(&w->s->arena, sizeof(*own));
    if (!own)
        return schema_nomem(w->s);
    *own = w->a;
    own->next = *list;
    *list = own;
    return 0;
}

int schema_array_make(struct schema *s, const struct schema_fact *last,
                      struct schema_array **list)
{
    struct work w = {.s = s, .last = last, .a = {.max = GRAM_INF}};
    int rc = make(&w, list);

    mem_free(w.lit);
    return rc;
}

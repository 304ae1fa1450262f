/* schema_emit_array.c - arrays of which more must be known than how many items there were: how
 * many satisfied each contains, or which values were there. Each such count is a rule, which
 * says what may come next; rules are found as they are needed. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

enum { COUNTS = 20000 }; /* rules of one array */

struct counts {
    struct schema *s;
    const struct schema_array *a;
    uint64_t last;                 /* items are counted up to this */
    uint64_t cap[SCHEMA_CONTAINS]; /* and those of each contains */
    struct map64 at;
    uint64_t *key;
    gram_ref *rule;
    uint32_t n, cap_key, cap_rule;
};

/* A count: items, then those of each contains; with uniqueItems: a bit for each value. */
struct count {
    uint64_t items;
    uint64_t found[SCHEMA_CONTAINS];
};

static uint64_t pack(const struct counts *c, const struct count *k)
{
    uint64_t key = k->items;

    for (uint32_t i = 0; i < c->a->n_contains; i++)
        key = key * (c->cap[i] + 1) + k->found[i];
    return key;
}

static struct count unpack(const struct counts *c, uint64_t key)
{
    struct count k = {0};

    for (uint32_t i = c->a->n_contains; i-- > 0; key /= c->cap[i] + 1)
        k.found[i] = key % (c->cap[i] + 1);
    k.items = key;
    return k;
}

static int rule_of(struct counts *c, uint64_t key, gram_ref *out)
{
    uint32_t at;
    int rc;

    if (map64_get(&c->at, key, &at)) {
        *out = c->rule[at];
        return 0;
    }
    if ((rc = schema_grow(c->s, &c->key, c->n, &c->cap_key, sizeof(*c->key))) < 0 ||
        (rc = schema_grow(c->s, &c->rule, c->n, &c->cap_rule, sizeof(*c->rule))) < 0)
        return rc;
    if (map64_put(&c->at, key, c->n) < 0)
        return schema_nomem(c->s);
    c->key[c->n] = key;
    *out = c->rule[c->n++] = gram_rule(c->s->g);
    return 0;
}

/* An item behind others, and what comes behind it. */
static int item(struct counts *c, schema_goal g, int first, uint64_t next, gram_ref *out)
{
    gram_ref part[3] = {first ? GRAM_EMPTY : c->s->part.comma, GRAM_NEVER, GRAM_NEVER};
    int rc = schema_emit_goal(c->s, g, &part[1]);

    if (rc == 0)
        rc = rule_of(c, next, &part[2]);
    *out = rc < 0 ? GRAM_NEVER : gram_seq(c->s->g, part, 3);
    return rc;
}

/* -- contains -------------------------------------------------------------------------- */

/* The count after an item that satisfies contains as the digits of way say; 0: too many. */
static int after(const struct counts *c, const struct count *k, uint32_t way, struct count *out)
{
    *out = *k;
    for (uint32_t i = 0; i < c->a->n_contains; i++, way /= 3) {
        if (way % 3 != 1)
            continue;
        if (out->found[i] < c->cap[i])
            out->found[i]++;
        else if (c->a->contains[i].max < GRAM_INF)
            return 0;
    }
    if (out->items < c->last)
        out->items++;
    return c->a->max == GRAM_INF || k->items < c->a->max;
}

static int may_end(const struct counts *c, const struct count *k)
{
    for (uint32_t i = 0; i < c->a->n_contains; i++) {
        if (k->found[i] < c->a->contains[i].min)
            return 0;
    }
    return k->items >= c->a->min;
}

static int contains_rule(struct counts *c, uint32_t at)
{
    const struct schema_array *a = c->a;
    struct count k = unpack(c, c->key[at]), next;
    uint32_t ways = a->n_mixed / (a->n_prefix + 1);
    uint32_t place = (uint32_t)(k.items < a->n_prefix ? k.items : a->n_prefix);
    gram_ref way[28] = {GRAM_NEVER};
    int rc = 0;

    if (may_end(c, &k))
        way[ways] = GRAM_EMPTY;
    for (uint32_t w = 0; w < ways && rc == 0; w++) {
        schema_goal g = a->mixed[place * ways + w];

        if (g != GOAL_NEVER && c->s->goal[g].live && after(c, &k, w, &next))
            rc = item(c, g, k.items == 0, pack(c, &next), &way[w]);
    }
    gram_rule_set(c->s->g, c->rule[at], gram_alt(c->s->g, way, ways + 1));
    return rc;
}

static int plan_contains(struct counts *c)
{
    const struct schema_array *a = c->a;
    uint64_t n;

    c->last = a->max < GRAM_INF ? a->max : a->min > a->n_prefix ? a->min : a->n_prefix;
    if (c->last == 0)
        c->last = 1;
    n = c->last < COUNTS ? c->last + 1 : COUNTS + 1;
    for (uint32_t i = 0; i < a->n_contains; i++) {
        const struct schema_contains *k = &a->contains[i];

        c->cap[i] = k->max < GRAM_INF ? k->max : k->min;
        if (c->cap[i] > c->last && a->max < GRAM_INF)
            c->cap[i] = c->last;
        n = c->cap[i] < COUNTS && n <= COUNTS ? n * (c->cap[i] + 1) : COUNTS + 1;
    }
    if (n > COUNTS)
        return err_set(c->s->e, E_UNSUPPORTED,
                       "\"contains\" beside bounds so large: more than %d counts to tell apart",
                       COUNTS);
    return 0;
}

/* -- uniqueItems ----------------------------------------------------------------------- */

static int unique_rule(struct counts *c, uint32_t at)
{
    const struct schema_array *a = c->a;
    uint64_t seen = c->key[at], n = (uint64_t)__builtin_popcountll(seen);
    gram_ref way[SCHEMA_UNIQUE + 1] = {GRAM_NEVER};
    int rc = 0;

    if (n >= a->min)
        way[a->n_unique] = GRAM_EMPTY;
    for (uint32_t i = 0; i < a->n_unique && n < a->max && rc == 0; i++) {
        schema_goal g = a->mixed[i];

        if (!(seen >> i & 1) && g != GOAL_NEVER && c->s->goal[g].live)
            rc = item(c, g, seen == 0, seen | (uint64_t)1 << i, &way[i]);
    }
    gram_rule_set(c->s->g, c->rule[at], gram_alt(c->s->g, way, a->n_unique + 1));
    return rc;
}

static int rules(struct counts *c, gram_ref *out)
{
    int rc = c->a->n_unique ? 0 : plan_contains(c);

    if (rc == 0)
        rc = rule_of(c, 0, out);
    for (uint32_t i = 0; i < c->n && rc == 0; i++)
        rc = c->a->n_unique ? unique_rule(c, i) : contains_rule(c, i);
    return rc;
}

int schema_emit_array(struct schema *s, const struct schema_array *a, gram_ref *out)
{
    struct counts c = {.s = s, .a = a};
    gram_ref part[3] = {s->part.open_array, GRAM_NEVER, s->part.close_array};
    int rc = map64_init(&c.at, 16) < 0 ? schema_nomem(s) : rules(&c, &part[1]);

    *out = rc < 0 ? GRAM_NEVER : gram_seq(s->g, part, 3);
    map64_done(&c.at);
    mem_free(c.key);
    mem_free(c.rule);
    return rc;
}

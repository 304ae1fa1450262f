/* schema_goal.c - goals: what one value must satisfy, all together. Equal goals are one, so a
 * schema that leads back to itself ends in a goal that is known. */
#include "text/gram/schema_part.h"

#include <stdlib.h>

/* -- naming ---------------------------------------------------------------------------- */

static int by_number(const void *a, const void *b)
{
    const schema_lit *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* What says the same more simply: a schema that is a reference and nothing else is its target.
 */
static schema_lit simpler(const struct schema *s, schema_lit l)
{
    if (l & 2)
        return l;
    for (int i = 0; i < SCHEMA_DEPTH; i++) {
        const struct schema_node *n = &s->node[l >> 2];

        if (l >> 2 == NODE_FALSE)
            return l & 1 ? LIT_TRUE : LIT_FALSE;
        if (schema_is_true(s, l >> 2))
            return l & 1 ? LIT_FALSE : LIT_TRUE;
        if ((n->have & ~KW_IDLE) != KW_BIT(KW_ref))
            break;
        l = LIT_NODE(n->ref) | (l & 1);
    }
    return l;
}

/* Sorts, leaves out what is true or there twice; returns how many are left, or -1 when they
 * contradict each other. */
static int64_t tidy(const struct schema *s, schema_lit *lit, uint32_t n)
{
    uint32_t k = 0, m = 0;

    for (uint32_t i = 0; i < n; i++) {
        schema_lit l = simpler(s, lit[i]);

        if (l == LIT_FALSE)
            return -1;
        if (l != LIT_TRUE)
            lit[k++] = l;
    }
    if (k)
        qsort(lit, k, sizeof(*lit), by_number);
    for (uint32_t i = 0; i < k; i++) {
        if (m && lit[m - 1] == lit[i])
            continue;
        if (m && (lit[m - 1] ^ 1) == lit[i])
            return -1;
        lit[m++] = lit[i];
    }
    return m;
}

int schema_goal_of(struct schema *s, schema_lit *lit, uint32_t n, schema_goal *out)
{
    schema_lit *own;
    int64_t left;
    int rc = 0;

    /* Circles first: simpler() follows references. */
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = lit[i] & 2 ? 0 : schema_acyclic(s, lit[i] >> 2);
    if (rc < 0)
        return rc;
    left = tidy(s, lit, n);
    *out = left < 0 ? GOAL_NEVER : GOAL_ANY;
    if (left <= 0)
        return 0;
    n = (uint32_t)left;
    if (map_get(&s->goals, (struct str){(const char *)lit, n * sizeof(*lit)}, out))
        return 0;
    if (s->n_goal == SCHEMA_GOALS)
        return err_set(s->e, E_TOO_LONG, "more than %d sets of schemas that meet in one value",
                       SCHEMA_GOALS);
    own = arena_alloc(&s->arena, n * sizeof(*own));
    if (!own)
        return schema_nomem(s);
    memcpy(own, lit, n * sizeof(*own));
    if ((rc = schema_grow(s, &s->goal, s->n_goal, &s->cap_goal, sizeof(*s->goal))) < 0)
        return rc;
    s->goal[s->n_goal] = (struct schema_goal_def){.lit = own, .n_lit = n};
    if (map_put(&s->goals, (struct str){(const char *)own, n * sizeof(*own)}, s->n_goal, NULL) <
        0)
        return schema_nomem(s);
    *out = s->n_goal++;
    return 0;
}

/* -- making ---------------------------------------------------------------------------- */

struct cells {
    struct schema_object *objects;
    struct schema_array *arrays;
    uint32_t n;
};

static int count_cell(struct schema *s, struct cells *c)
{
    if (++c->n > SCHEMA_CELLS)
        return err_set(s->e, E_TOO_LONG, "more than %d alternatives for one value",
                       SCHEMA_CELLS);
    return 0;
}

static int object_cell(struct schema *s, void *ctx, const struct schema_fact *last)
{
    struct cells *c = ctx;
    int rc = count_cell(s, c);

    return rc < 0 ? rc : schema_object_make(s, last, &c->objects);
}

static int array_cell(struct schema *s, void *ctx, const struct schema_fact *last)
{
    struct cells *c = ctx;
    int rc = count_cell(s, c);

    return rc < 0 ? rc : schema_array_make(s, last, &c->arrays);
}

static int make_scalars(struct schema *s, schema_goal g)
{
    for (int t = TYPE_NULL; t <= TYPE_STRING; t++) {
        struct schema_set acc = schema_set_all(s, (enum schema_type)t), a;
        const schema_lit *lit = s->goal[g].lit;

        for (uint32_t i = 0; i < s->goal[g].n_lit; i++) {
            int rc = schema_scalar(s, lit[i], (enum schema_type)t, &a);

            if (rc == 0)
                rc = schema_set_join(s, (enum schema_type)t, SET_AND, &acc, &a, &acc);
            if (rc < 0)
                return rc;
        }
        if (t == TYPE_NUMBER)
            s->goal[g].number = acc.number;
        else if (t == TYPE_STRING)
            s->goal[g].text = acc.text;
        else if (acc.simple)
            s->goal[g].simple |= (uint8_t)(1U << t);
    }
    return 0;
}

int schema_goal_make(struct schema *s, schema_goal g)
{
    struct cells c = {0};
    int rc;

    if (g <= GOAL_ANY || s->goal[g].made)
        return 0;
    s->goal[g].made = 1;
    s->nested++;
    rc = make_scalars(s, g);
    if (rc == 0)
        rc = schema_expand(s, s->goal[g].lit, s->goal[g].n_lit, TYPE_ARRAY, array_cell, &c);
    c.n = 0;
    if (rc == 0)
        rc = schema_expand(s, s->goal[g].lit, s->goal[g].n_lit, TYPE_OBJECT, object_cell, &c);
    s->nested--;
    s->goal[g].objects = c.objects;
    s->goal[g].arrays = c.arrays;
    s->goal[g].made = rc == 0 ? 2 : 0;
    return rc;
}

/* -- which can be satisfied ------------------------------------------------------------ */

static int is_live(const struct schema *s, schema_goal g)
{
    return s->goal[g].live;
}

static int object_live(const struct schema *s, const struct schema_object *o)
{
    uint64_t may = 0;

    for (uint32_t i = 0; i < o->n_prop; i++) {
        int live = is_live(s, o->prop[i].value);

        if (!live && o->prop[i].required)
            return 0;
        may += (uint64_t)live;
    }
    if (may >= o->min)
        return 1;
    for (uint32_t i = 0; i < o->n_rest; i++) {
        if (is_live(s, o->rest[i].value))
            return 1;
    }
    return 0;
}

/* Some item that there may be satisfies contains c; of each of prefix and items there are
 * `ways` goals, by what they say of each contains. */
static int contains_live(const struct schema *s, const struct schema_array *a, uint32_t c)
{
    uint32_t ways = a->n_mixed / (a->n_prefix + 1), unit = 1;

    for (uint32_t i = 0; i < c; i++)
        unit *= 3;
    for (uint32_t i = 0; i < a->n_mixed; i++) {
        if (i / ways < a->max && i % ways / unit % 3 == 1 && is_live(s, a->mixed[i]))
            return 1;
    }
    return 0;
}

static int array_live(const struct schema *s, const struct schema_array *a)
{
    uint64_t values = 0;

    for (uint32_t i = 0; i < a->n_prefix && i < a->min; i++) {
        if (!is_live(s, a->prefix[i]))
            return 0;
    }
    for (uint32_t c = 0; c < a->n_contains; c++) {
        if (a->contains[c].min && !contains_live(s, a, c))
            return 0;
    }
    for (uint32_t i = 0; i < a->n_unique; i++)
        values += (uint64_t)is_live(s, a->mixed[i]);
    if (a->n_unique)
        return values >= a->min;
    return a->min <= a->n_prefix || is_live(s, a->items);
}

static int found_live(struct schema *s, schema_goal g)
{
    const struct schema_goal_def *d = &s->goal[g];
    struct schema_set a = {.text = d->text, .number = d->number};
    int rc;

    if (d->simple)
        return 1;
    if ((rc = schema_set_live(s, TYPE_NUMBER, &a)) != 0 ||
        (rc = schema_set_live(s, TYPE_STRING, &a)) != 0)
        return rc;
    for (const struct schema_array *x = d->arrays; x; x = x->next) {
        if (array_live(s, x))
            return 1;
    }
    for (const struct schema_object *o = d->objects; o; o = o->next) {
        if (object_live(s, o))
            return 1;
    }
    return 0;
}

/* Adds a goal to those that the root leads to. */
static int reach(struct schema *s, schema_goal g)
{
    int rc;

    if (g <= GOAL_ANY || s->goal[g].reached)
        return 0;
    if ((rc = schema_grow(s, &s->reached, s->n_reached, &s->cap_reached, sizeof(*s->reached))) <
        0)
        return rc;
    s->goal[g].reached = 1;
    s->reached[s->n_reached++] = g;
    return 0;
}

static int reach_object(struct schema *s, const struct schema_object *o)
{
    int rc = 0;

    for (uint32_t i = 0; i < o->n_prop && rc == 0; i++)
        rc = reach(s, o->prop[i].value);
    for (uint32_t i = 0; i < o->n_rest && rc == 0; i++)
        rc = reach(s, o->rest[i].value);
    return rc;
}

static int reach_array(struct schema *s, const struct schema_array *a)
{
    int rc = reach(s, a->items);

    for (uint32_t i = 0; i < a->n_prefix && rc == 0; i++)
        rc = reach(s, a->prefix[i]);
    for (uint32_t i = 0; i < a->n_mixed && rc == 0; i++)
        rc = reach(s, a->mixed[i]);
    return rc;
}

static int reach_parts(struct schema *s, schema_goal g)
{
    int rc = schema_goal_make(s, g);

    for (const struct schema_object *o = s->goal[g].objects; o && rc == 0; o = o->next)
        rc = reach_object(s, o);
    for (const struct schema_array *a = s->goal[g].arrays; a && rc == 0; a = a->next)
        rc = reach_array(s, a);
    return rc;
}

int schema_goal_make_all(struct schema *s, schema_goal root)
{
    int rc = reach(s, root), more = 1;

    for (uint32_t i = 0; i < s->n_reached && rc == 0; i++)
        rc = reach_parts(s, s->reached[i]);
    s->goal[GOAL_ANY].live = 1;
    /* Parts stand behind what they are parts of, so most is found at once from the back. */
    while (more && rc >= 0) {
        more = 0;
        for (uint32_t i = s->n_reached; i-- > 0 && rc >= 0;) {
            schema_goal g = s->reached[i];

            if (!s->goal[g].live && (rc = found_live(s, g)) == 1)
                s->goal[g].live = 1, more = 1;
        }
    }
    return rc < 0 ? rc : 0;
}

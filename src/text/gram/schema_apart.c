/* schema_apart.c - alternatives that cannot hold together, so that oneOf is anyOf. */
#include "text/gram/schema_part.h"

enum { LOOK_DEPTH = 4, NESTED = 24, TELLERS = 8 };

/* -- something may satisfy a goal ------------------------------------------------------ */

static int may_hold(struct schema *s, schema_goal g, unsigned types, int depth);

static int object_may(struct schema *s, const struct schema_object *o, int depth)
{
    int rc = 1;

    for (uint32_t i = 0; i < o->n_prop && rc == 1; i++) {
        if (o->prop[i].required)
            rc = may_hold(s, o->prop[i].value, ~0U, depth);
    }
    return rc;
}

static int array_may(struct schema *s, const struct schema_array *a, int depth)
{
    int rc = 1;

    for (uint32_t i = 0; i < a->n_prefix && i < a->min && rc == 1; i++)
        rc = may_hold(s, a->prefix[i], ~0U, depth);
    if (rc == 1 && a->min > a->n_prefix)
        rc = may_hold(s, a->items, ~0U, depth);
    return rc;
}

/* 1, 0; looks only so deep into the value, and says 1 beyond. */
static int may_hold(struct schema *s, schema_goal g, unsigned types, int depth)
{
    const struct schema_goal_def *d;
    struct schema_set a;
    int rc;

    if (g == GOAL_NEVER || g == GOAL_ANY)
        return g == GOAL_ANY;
    if (depth == 0 || s->goal[g].made == 1 || s->nested > NESTED)
        return 1;
    if ((rc = schema_goal_make(s, g)) < 0)
        return rc;
    d = &s->goal[g];
    if (d->simple & types)
        return 1;
    a.text = d->text;
    a.number = d->number;
    if (types & 1U << TYPE_STRING && (rc = schema_set_live(s, TYPE_STRING, &a)) != 0)
        return rc;
    if (types & 1U << TYPE_NUMBER && (rc = schema_set_live(s, TYPE_NUMBER, &a)) != 0)
        return rc;
    for (const struct schema_object *o = s->goal[g].objects; o && types & 1U << TYPE_OBJECT;
         o = o->next) {
        if ((rc = object_may(s, o, depth - 1)) != 0)
            return rc;
    }
    for (const struct schema_array *x = s->goal[g].arrays; x && types & 1U << TYPE_ARRAY;
         x = x->next) {
        if ((rc = array_may(s, x, depth - 1)) != 0)
            return rc;
    }
    return 0;
}

int schema_apart(struct schema *s, schema_lit a, schema_lit b, enum schema_type t)
{
    schema_lit lit[2] = {a, b};
    struct err mine, *e = s->e;
    schema_goal g;
    int rc = schema_goal_of(s, lit, 2, &g);

    /* What cannot be expressed here may not be needed. */
    s->e = &mine;
    if (rc == 0)
        rc = may_hold(s, g, 1U << t, LOOK_DEPTH);
    s->e = e;
    if (rc == E_UNSUPPORTED)
        return 0;
    return rc < 0 ? err_set(e, rc, "%s", mine.msg) : !rc;
}

/* -- a property that tells ------------------------------------------------------------- */

static uint32_t follow(const struct schema *s, uint32_t node)
{
    for (int i = 0; i < SCHEMA_DEPTH && node >= NODE_FIRST; i++) {
        if ((s->node[node].have & ~KW_IDLE) != KW_BIT(KW_ref))
            break;
        node = s->node[node].ref;
    }
    return node;
}

/* The constant strings of a required property: a list, or a string; NULL: none. */
static const json_t *teller(const struct schema *s, uint32_t node, const char *name)
{
    const struct schema_node *n = &s->node[node];
    const json_t *required = schema_kw(n, KW_required);
    const json_t *prop = json_object_get(schema_kw(n, KW_properties), name);
    const json_t *v;
    size_t i = 0;

    if (!prop || !json_is_object(prop))
        return NULL;
    while (i < json_array_size(required) &&
           strcmp(json_string_value(json_array_get(required, i)), name) != 0)
        i++;
    if (i == json_array_size(required))
        return NULL;
    v = json_object_get(prop, "const");
    return v ? v : json_object_get(prop, "enum");
}

/* Adds what it holds to seen: 1; 0: it is no string, or was there. */
static int add_string(struct map *seen, const json_t *v)
{
    int rc = json_is_string(v) ? map_put(seen, schema_str(v), 0, NULL) : 1;

    return rc < 0 ? rc : !rc;
}

static int tells(struct schema *s, const json_t *list, const char *name)
{
    struct map seen;
    int rc = map_init(&seen, json_array_size(list));

    if (rc < 0)
        return schema_nomem(s);
    rc = 1;
    for (size_t i = 0; i < json_array_size(list) && rc == 1; i++) {
        const json_t *v =
            teller(s, follow(s, schema_node_at(s, json_array_get(list, i))), name);

        if (!v)
            rc = 0;
        else if (!json_is_array(v))
            rc = add_string(&seen, v);
        for (size_t k = 0; k < json_array_size(v) && rc == 1; k++)
            rc = add_string(&seen, json_array_get(v, k));
    }
    map_done(&seen);
    return rc < 0 ? schema_nomem(s) : rc;
}

int schema_told_apart(struct schema *s, const json_t *list, enum schema_type t)
{
    uint32_t first = follow(s, schema_node_at(s, json_array_get(list, 0)));
    const json_t *required = schema_kw(&s->node[first], KW_required);
    int rc = 0;

    for (size_t i = 0; i < json_array_size(required) && i < TELLERS && rc == 0; i++)
        rc = t == TYPE_OBJECT ? tells(s, list, json_string_value(json_array_get(required, i)))
                              : 0;
    return rc;
}

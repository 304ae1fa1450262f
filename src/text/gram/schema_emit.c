/* schema_emit.c - goals as rules. A goal with arrays or objects is a rule of its own, set when
 * its turn comes; what has no parts stands where it is used. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

static int is_live(const struct schema *s, schema_goal g)
{
    return g != GOAL_NEVER && s->goal[g].live;
}

/* -- objects --------------------------------------------------------------------------- */

/* Leaves out properties that nothing satisfies, and those that need them; index: where others
 * are then, NEVER where not. Returns how many are left. */
static uint32_t keep_props(const struct schema *s, const struct schema_object *o,
                           uint32_t *index)
{
    const uint32_t gone = UINT32_MAX;
    uint32_t n = 0;
    int changed = 1;

    for (uint32_t i = 0; i < o->n_prop; i++)
        index[i] = is_live(s, o->prop[i].value) ? 0 : gone;
    while (changed) {
        changed = 0;
        for (uint32_t i = 0; i < o->n_prop; i++) {
            for (uint32_t k = 0; k < o->prop[i].n_needs && index[i] != gone; k++) {
                if (index[o->prop[i].needs[k]] == gone)
                    index[i] = gone, changed = 1;
            }
        }
    }
    for (uint32_t i = 0; i < o->n_prop; i++) {
        if (index[i] != gone)
            index[i] = n++;
    }
    return n;
}

static int fill_props(struct schema *s, const struct schema_object *o, const uint32_t *index,
                      struct gram_prop *prop)
{
    uint32_t n = 0;
    int rc = 0;

    for (uint32_t i = 0; i < o->n_prop && rc == 0; i++) {
        const struct schema_prop *p = &o->prop[i];

        if (index[i] == UINT32_MAX)
            continue;
        for (uint32_t k = 0; k < p->n_needs; k++)
            p->needs[k] = index[p->needs[k]];
        prop[n] = (struct gram_prop){
            .name = p->name, .required = p->required, .needs = p->needs, .n_needs = p->n_needs};
        rc = schema_emit_goal(s, p->value, &prop[n++].value);
    }
    return rc;
}

static int fill_rest(struct schema *s, const struct schema_object *o, struct gram_rest *rest,
                     uint32_t *n)
{
    int rc = 0;

    for (uint32_t i = 0; i < o->n_rest && rc == 0; i++) {
        if (!is_live(s, o->rest[i].value))
            continue;
        rest[*n].key = o->rest[i].key;
        rc = schema_emit_goal(s, o->rest[i].value, &rest[(*n)++].value);
    }
    return rc;
}

/* 1: a required property can be nothing. */
static int lacks(const struct schema_object *o, const uint32_t *index)
{
    for (uint32_t i = 0; i < o->n_prop; i++) {
        if (o->prop[i].required && index[i] == UINT32_MAX)
            return 1;
    }
    return 0;
}

static int emit_object(struct schema *s, const struct schema_object *o, gram_ref *out)
{
    uint32_t *index = arena_alloc(&s->arena, o->n_prop * sizeof(*index));
    struct gram_prop *prop = arena_alloc(&s->arena, o->n_prop * sizeof(*prop));
    struct gram_rest *rest = arena_alloc(&s->arena, o->n_rest * sizeof(*rest));
    struct gram_object g = {.prop = prop,
                            .rest = rest,
                            .min = o->min,
                            .max = o->max,
                            .ordered = s->o.writing,
                            .plain = s->o.writing,
                            .open = s->part.open_object,
                            .colon = s->part.colon,
                            .comma = s->part.comma,
                            .close = s->part.close_object};
    int rc;

    *out = GRAM_NEVER;
    if (!index || !prop || !rest)
        return schema_nomem(s);
    g.n_prop = keep_props(s, o, index);
    if (lacks(o, index))
        return 0;
    rc = fill_props(s, o, index, prop);
    if (rc == 0)
        rc = fill_rest(s, o, rest, &g.n_rest);
    if (rc == 0)
        *out = gram_object(s->g, &g);
    return rc;
}

/* -- arrays ---------------------------------------------------------------------------- */

static int emit_plain_array(struct schema *s, const struct schema_array *a, gram_ref *out)
{
    gram_ref *prefix = arena_alloc(&s->arena, a->n_prefix * sizeof(*prefix));
    struct gram_array g = {.prefix = prefix,
                           .items = GRAM_NEVER,
                           .min = a->min,
                           .max = a->max,
                           .open = s->part.open_array,
                           .comma = s->part.comma,
                           .close = s->part.close_array};
    int rc = prefix ? 0 : schema_nomem(s);

    *out = GRAM_NEVER;
    for (uint32_t i = 0; i < a->n_prefix && rc == 0; i++) {
        if (!is_live(s, a->prefix[i])) {
            g.max = g.max < i ? g.max : i;
            break;
        }
        rc = schema_emit_goal(s, a->prefix[i], &prefix[i]);
        g.n_prefix = i + 1;
    }
    if (rc == 0 && is_live(s, a->items))
        rc = schema_emit_goal(s, a->items, &g.items);
    else if (g.max > g.n_prefix)
        g.max = g.n_prefix;
    if (g.n_prefix > g.max)
        g.n_prefix = (uint32_t)g.max;
    if (rc == 0 && g.min <= g.max)
        *out = gram_array(s->g, &g);
    return rc;
}

/* -- goals ----------------------------------------------------------------------------- */

struct ways {
    gram_ref *v;
    uint32_t n, cap;
};

static int add_way(struct schema *s, struct ways *w, gram_ref r)
{
    int rc = schema_grow(s, &w->v, w->n, &w->cap, sizeof(*w->v));

    if (rc == 0)
        w->v[w->n++] = r;
    return rc;
}

static int add_scalars(struct schema *s, schema_goal g, struct ways *w)
{
    static const char *const words[] = {"null", "false", "true"};
    const struct schema_goal_def *d = &s->goal[g];
    gram_ref number = GRAM_NEVER;
    int rc = 0;

    for (int t = TYPE_NULL; t <= TYPE_TRUE && rc == 0; t++) {
        if (d->simple & 1U << t)
            rc = add_way(s, w, gram_bytes(s->g, str_of(words[t])));
    }
    if (rc == 0 && !numset_is_empty(&d->number))
        rc = schema_parts_number(s, &d->number, &number);
    if (rc == 0)
        rc = add_way(s, w, number);
    return rc < 0 ? rc : add_way(s, w, schema_parts_text(s, &d->text));
}

static int goal_body(struct schema *s, schema_goal g, gram_ref *out)
{
    struct ways w = {0};
    gram_ref r;
    int rc = add_scalars(s, g, &w);

    for (const struct schema_array *a = s->goal[g].arrays; a && rc == 0; a = a->next) {
        rc = a->n_contains || a->n_unique ? schema_emit_array(s, a, &r)
                                          : emit_plain_array(s, a, &r);
        if (rc == 0)
            rc = add_way(s, &w, r);
    }
    for (const struct schema_object *o = s->goal[g].objects; o && rc == 0; o = o->next) {
        rc = emit_object(s, o, &r);
        if (rc == 0)
            rc = add_way(s, &w, r);
    }
    if (rc == 0)
        *out = gram_alt(s->g, w.v, w.n);
    mem_free(w.v);
    return rc;
}

int schema_emit_goal(struct schema *s, schema_goal g, gram_ref *out)
{
    struct schema_goal_def *d = &s->goal[g];
    int rc = 0;

    if (g == GOAL_NEVER || g == GOAL_ANY) {
        *out = g == GOAL_ANY ? schema_parts_any(s, 0) : GRAM_NEVER;
        return 0;
    }
    if (!d->emitted && !d->arrays && !d->objects) {
        rc = goal_body(s, g, &d->rule);
    } else if (!d->emitted) {
        d->rule = gram_rule(s->g);
        rc = schema_grow(s, &s->waiting, s->n_waiting, &s->cap_waiting, sizeof(*s->waiting));
        if (rc == 0)
            s->waiting[s->n_waiting++] = g;
    }
    d->emitted = 1;
    *out = d->rule;
    return rc;
}

int schema_emit(struct schema *s, schema_goal root, gram_ref *out)
{
    gram_ref part[3] = {s->part.ws, GRAM_NEVER, s->part.ws}, body = GRAM_NEVER;
    int rc = schema_emit_goal(s, root, &part[1]);

    for (uint32_t i = 0; i < s->n_waiting && rc == 0; i++) {
        rc = goal_body(s, s->waiting[i], &body);
        if (rc == 0)
            gram_rule_set(s->g, s->goal[s->waiting[i]].rule, body);
    }
    if (rc == 0)
        *out = gram_seq(s->g, part, 3);
    return rc;
}

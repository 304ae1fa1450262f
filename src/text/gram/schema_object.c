/* schema_object.c - makes an object of facts: which properties it has by name, what other names
 * there may be, and what their values must satisfy.
 *
 * What a schema says of a property depends on all of properties, patternProperties and
 * additionalProperties beside each other. So names that no property has are sorted by the
 * patterns that they match, and each kind of them is treated like a name. */
#include "text/gram/schema_names.h"

#include "base/mem.h"

/* -- what values must satisfy ---------------------------------------------------------- */

static int add_lit(struct schema_names *w, schema_lit l)
{
    int rc = schema_grow(w->s, &w->lit, w->n_lit, &w->cap_lit, sizeof(*w->lit));

    if (rc == 0)
        w->lit[w->n_lit++] = l;
    return rc;
}

/* What properties and patternProperties of a node say of a name; *met: they say something.
 * NULL: of no name in particular. add 0: only asks. */
static int add_named(struct schema_names *w, uint32_t node, const struct schema_name *k,
                     int add, int *met)
{
    const struct schema_node *n = &w->s->node[node];
    const json_t *v =
        k->name.p ? json_object_getn(schema_kw(n, KW_properties), k->name.p, k->name.n) : NULL;
    const char *key;
    json_t *sub;
    uint32_t at;
    int rc = 0;

    *met = v != NULL;
    if (v && add)
        rc = add_lit(w, LIT_NODE(schema_node_at(w->s, v)));
    json_object_foreach((json_t *)(uintptr_t)schema_kw(n, KW_pattern_properties), key, sub)
    {
        if (rc == 0)
            rc = schema_names_pattern(w, node, key, &at);
        if (rc < 0)
            return rc;
        if (!(k->matches & 1U << at))
            continue;
        *met = 1;
        if (add)
            rc = add_lit(w, LIT_NODE(schema_node_at(w->s, sub)));
    }
    return rc;
}

/* 1: a schema applied in place has looked at the property. */
static int is_evaluated(struct schema_names *w, const struct schema_fact *asks,
                        const struct schema_name *k)
{
    for (uint32_t i = 0; i < w->n_fact; i++) {
        const struct schema_fact *f = w->fact[i];
        const struct schema_scope *scope = f->scope;
        int met, rc;

        while (scope && scope != asks->opens)
            scope = scope->up;
        if (f->kind != FACT_NODE || !scope)
            continue;
        if (schema_names_node(w, f)->have & KW_BIT(KW_additional_properties) ||
            (f != asks && schema_names_node(w, f)->have & KW_BIT(KW_unevaluated_properties)))
            return 1;
        if ((rc = add_named(w, f->node, k, 0, &met)) < 0 || met)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int add_node_lits(struct schema_names *w, const struct schema_fact *f,
                         const struct schema_name *k)
{
    const struct schema_node *n = schema_names_node(w, f);
    const json_t *more = schema_kw(n, KW_additional_properties);
    const json_t *rest = schema_kw(n, KW_unevaluated_properties);
    int met, rc = add_named(w, f->node, k, 1, &met);

    if (rc == 0 && more && !met)
        rc = add_lit(w, LIT_NODE(schema_node_at(w->s, more)));
    if (rc < 0 || !rest)
        return rc;
    rc = is_evaluated(w, f, k);
    return rc == 0 ? add_lit(w, LIT_NODE(schema_node_at(w->s, rest))) : rc < 0 ? rc : 0;
}

static int add_value_lit(struct schema_names *w, const json_t *object,
                         const struct schema_name *k)
{
    const json_t *v = k->name.p ? json_object_getn(object, k->name.p, k->name.n) : NULL;
    schema_lit l = LIT_FALSE;
    int rc = v ? schema_value_of(w->s, v, &l) : 0;

    return rc < 0 ? rc : add_lit(w, l);
}

static int find_goal(struct schema_names *w, const struct schema_name *k, schema_goal *out)
{
    int rc = 0;

    w->n_lit = 0;
    for (uint32_t i = 0; i < w->n_fact && rc == 0; i++) {
        const struct schema_fact *f = w->fact[i];

        if (f->kind == FACT_NODE)
            rc = add_node_lits(w, f, k);
        else if (f->kind == FACT_VALUE)
            rc = add_value_lit(w, f->value, k);
        else if (f->kind == FACT_REQUIRE && k->name.p && str_eq(f->name, k->name))
            rc = add_lit(w, f->lit);
    }
    return rc < 0 ? rc : schema_goal_of(w->s, w->lit, w->n_lit, out);
}

/* -- what needs what ------------------------------------------------------------------- */

static int each_need(struct schema_names *w, const json_t *map, int *changed)
{
    const char *key;
    uint32_t at = 0, to = 0;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        (void)map_get(&w->at, str_of(key), &at);
        for (size_t i = 0; i < json_array_size(v); i++) {
            (void)map_get(&w->at, schema_str(json_array_get(v, i)), &to);
            if (w->name[to].forbidden && !w->name[at].forbidden)
                w->name[at].forbidden = 1, *changed = 1;
            if (w->name[at].required && !w->name[to].required)
                w->name[to].required = 1, *changed = 1;
        }
    }
    return 0;
}

/* What needs something that cannot be, cannot be; what something required needs is required. */
static void settle_needs(struct schema_names *w)
{
    int changed = 1;

    while (changed) {
        changed = 0;
        for (uint32_t i = 0; i < w->n_fact; i++) {
            const struct schema_fact *f = w->fact[i];

            if (f->kind != FACT_NODE)
                continue;
            each_need(w, schema_kw(schema_names_node(w, f), KW_dependent_required), &changed);
            each_need(w, schema_kw(schema_names_node(w, f), KW_dependencies), &changed);
        }
    }
}

/* Names that property i needs, as indices of names, which index turns into those of props. */
static int copy_needs(struct schema_names *w, struct schema_prop *p, const uint32_t *index)
{
    uint32_t n = 0, to = 0;

    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (uint32_t i = 0; i < w->n_fact; i++) {
            static const int kws[] = {KW_dependent_required, KW_dependencies};

            for (int k = 0; k < 2 && w->fact[i]->kind == FACT_NODE; k++) {
                const json_t *v = json_object_getn(
                    schema_kw(schema_names_node(w, w->fact[i]), kws[k]), p->name.p, p->name.n);

                for (size_t j = 0; j < json_array_size(v); j++) {
                    (void)map_get(&w->at, schema_str(json_array_get(v, j)), &to);
                    if (w->name[to].required)
                        continue;
                    if (pass)
                        p->needs[n] = index[to];
                    n++;
                }
            }
        }
        if (pass || n == 0)
            break;
        p->needs = arena_alloc(&w->s->arena, n * sizeof(*p->needs));
        if (!p->needs)
            return schema_nomem(w->s);
    }
    p->n_needs = n;
    return 0;
}

/* -- other names ----------------------------------------------------------------------- */

static int make_rest(struct schema_names *w, const struct schema_kinds *k,
                     struct schema_object *o)
{
    struct rx *r = w->s->rx;
    rx_id known = RX_NONE, key;
    int rc = 0, have = 0;

    o->rest = arena_alloc(&w->s->arena, k->n * sizeof(*o->rest));
    if (!o->rest)
        return schema_nomem(w->s);
    for (uint32_t i = 0; i < k->n; i++) {
        if (k->kind[i].value == GOAL_NEVER)
            continue;
        if (!have && (rc = schema_names_known(w, &known)) < 0)
            return rc;
        have = 1;
        key = known == RX_NONE ? k->rx[i] : rx_and(r, k->rx[i], rx_not(r, known));
        rc = schema_rx_check(w->s);
        if (rc == 0)
            rc = key == w->s->any_text ? 1 : rx_live(r, key, w->s->e);
        if (rc < 0)
            return rc;
        if (rc)
            o->rest[o->n_rest++] = (struct schema_rest){key, k->kind[i].value};
    }
    return 0;
}

static int find_kinds(struct schema_names *w, struct schema_kinds *k)
{
    int rc = schema_names_split(w, k);

    for (uint32_t i = 0; i < k->n && rc == 0; i++)
        rc = find_goal(w, &k->kind[i], &k->kind[i].value);
    return rc;
}

/* -- together -------------------------------------------------------------------------- */

static int make_props(struct schema_names *w, struct schema_object *o)
{
    uint32_t *index = mem_alloc((w->n_name + 1) * sizeof(*index));
    int rc = 0;

    o->prop = arena_calloc(&w->s->arena, w->n_name, sizeof(*o->prop));
    if (!index || !o->prop)
        rc = schema_nomem(w->s);
    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        const struct schema_name *n = &w->name[i];

        index[i] = o->n_prop;
        if (!n->forbidden)
            o->prop[o->n_prop++] = (struct schema_prop){
                .name = n->name, .value = n->value, .required = n->required};
    }
    for (uint32_t i = 0; i < o->n_prop && rc == 0; i++)
        rc = copy_needs(w, &o->prop[i], index);
    mem_free(index);
    return rc;
}

/* 0: no object can be. */
static int may_be(const struct schema_names *w, const struct schema_object *o)
{
    uint64_t least = 0;

    for (uint32_t i = 0; i < w->n_name; i++) {
        if (w->name[i].required && w->name[i].forbidden)
            return 0;
        least += w->name[i].required;
    }
    return w->min <= w->max && least <= w->max && (o->n_rest || w->min <= o->n_prop);
}

static int finish(struct schema_names *w, const struct schema_kinds *k,
                  struct schema_object **list)
{
    struct schema_object *o = arena_calloc(&w->s->arena, 1, sizeof(*o));
    int rc = o ? make_props(w, o) : schema_nomem(w->s);

    if (rc == 0)
        rc = make_rest(w, k, o);
    if (rc < 0 || !may_be(w, o))
        return rc;
    o->min = w->min;
    o->max = w->max;
    o->next = *list;
    *list = o;
    return 0;
}

/* The object with a property in place of FACT_EXTRA. */
static int with_name(struct schema_names *w, struct str name, struct schema_object **list)
{
    const struct schema_node *n = schema_names_node(w, w->extra);
    const struct schema_fact *chain = NULL;
    struct schema *s = w->s;

    for (uint32_t f = 0; f < w->n_fact; f++) {
        struct schema_fact *copy = arena_alloc(&s->arena, sizeof(*copy));

        if (!copy)
            return schema_nomem(s);
        *copy = *w->fact[f];
        if (w->fact[f] == w->extra)
            *copy = (struct schema_fact){
                .kind = FACT_REQUIRE,
                .node = w->extra->node,
                .name = name,
                .lit = LIT_NODE(schema_node_at(s, schema_kw(n, KW_additional_properties))) | 1};
        copy->before = chain;
        chain = copy;
    }
    return schema_object_make(s, chain, list);
}

/* One of the properties that the node of FACT_EXTRA does not know must be there: each is an
 * alternative of its own. Names without number cannot be gone through. */
static int split_extra(struct schema_names *w, const struct schema_kinds *k,
                       struct schema_object **list)
{
    const struct schema_fact *extra = w->extra;
    int rc = 0, met;

    for (uint32_t i = 0; i < k->n; i++) {
        if ((rc = add_named(w, extra->node, &k->kind[i], 0, &met)) < 0)
            return rc;
        if (!met && k->kind[i].value != GOAL_NEVER)
            return schema_fail(w->s, E_UNSUPPORTED, extra->node, "additionalProperties",
                               "cannot be denied where other names are allowed, as \"not\", "
                               "\"if\" or a \"oneOf\" whose alternatives may hold together "
                               "would need");
    }
    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        if ((rc = add_named(w, extra->node, &w->name[i], 0, &met)) < 0)
            return rc;
        if (!met && !w->name[i].forbidden)
            rc = with_name(w, w->name[i].name, list);
    }
    return rc;
}

static int find_goals(struct schema_names *w, struct schema_kinds *k)
{
    int rc = 0;

    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        rc = find_goal(w, &w->name[i], &w->name[i].value);
        if (rc == 0 && w->name[i].value == GOAL_NEVER)
            w->name[i].forbidden = 1;
    }
    if (rc == 0)
        settle_needs(w);
    return rc < 0 ? rc : find_kinds(w, k);
}

int schema_object_make(struct schema *s, const struct schema_fact *last,
                       struct schema_object **list)
{
    struct schema_names w;
    struct schema_kinds k = {0};
    int rc = schema_names_init(&w, s, last);

    if (rc == 0)
        rc = find_goals(&w, &k);
    if (rc == 0)
        rc = w.extra ? split_extra(&w, &k, list) : finish(&w, &k, list);
    mem_free(k.kind);
    mem_free(k.rx);
    schema_names_done(&w);
    return rc;
}

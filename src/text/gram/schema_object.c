/* schema_object.c - makes an object of facts: which properties it has by name, what other names
 * there may be, and what their values must satisfy.
 *
 * What a schema says of a property depends on all of properties, patternProperties and
 * additionalProperties beside each other. So names that no property has are sorted by the
 * patterns that they match, and each kind of them is treated like a name. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

#include <stdlib.h>

struct name {
    struct str name;
    uint32_t matches; /* patterns: bits */
    uint8_t required, forbidden;
    schema_goal value;
};

struct work {
    struct schema *s;
    const struct schema_fact **fact;
    uint32_t n_fact;
    struct name *name;
    uint32_t n_name, cap_name;
    struct map at; /* by name */
    rx_id pattern[SCHEMA_PATTERNS];
    uint32_t n_pattern;
    rx_id key; /* propertyNames */
    uint64_t min, max;
    schema_lit *lit; /* scratch */
    uint32_t n_lit, cap_lit;
    const struct schema_fact *extra; /* the first FACT_EXTRA */
};

static void work_done(struct work *w)
{
    mem_free((void *)(uintptr_t)w->fact);
    mem_free(w->name);
    mem_free(w->lit);
    map_done(&w->at);
}

/* Facts in the order in which they were found. */
static int list_facts(struct work *w, const struct schema_fact *last)
{
    uint32_t n = 0;

    for (const struct schema_fact *f = last; f; f = f->before)
        n++;
    w->n_fact = n;
    w->fact = mem_alloc((n + 1) * sizeof(*w->fact));
    if (!w->fact)
        return schema_nomem(w->s);
    for (const struct schema_fact *f = last; f; f = f->before)
        w->fact[--n] = f;
    return 0;
}

static const struct schema_node *node_of(const struct work *w, const struct schema_fact *f)
{
    return &w->s->node[f->node];
}

/* -- names ----------------------------------------------------------------------------- */

static int add_name(struct work *w, struct str name, uint32_t *out)
{
    int rc;

    if (map_get(&w->at, name, out))
        return 0;
    if ((rc = schema_grow(w->s, &w->name, w->n_name, &w->cap_name, sizeof(*w->name))) < 0)
        return rc;
    if (map_put(&w->at, name, w->n_name, NULL) < 0)
        return schema_nomem(w->s);
    w->name[w->n_name] = (struct name){.name = name};
    *out = w->n_name++;
    return 0;
}

static int add_keys(struct work *w, const json_t *map, int required)
{
    const char *key;
    uint32_t at;
    json_t *v;
    int rc;

    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        if ((rc = add_name(w, str_of(key), &at)) < 0)
            return rc;
        w->name[at].required |= (uint8_t)required;
    }
    return 0;
}

static int add_strings(struct work *w, const json_t *list, int required)
{
    uint32_t at;
    int rc = 0;

    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        rc = add_name(w, schema_str(json_array_get(list, i)), &at);
        if (rc == 0)
            w->name[at].required |= (uint8_t)required;
    }
    return rc;
}

static int add_needs(struct work *w, const json_t *map)
{
    const char *key;
    uint32_t at;
    json_t *v;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        if (!json_is_array(v))
            continue;
        rc = add_name(w, str_of(key), &at);
        if (rc == 0)
            rc = add_strings(w, v, 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void bound(struct work *w, uint64_t min, uint64_t max)
{
    w->min = min > w->min ? min : w->min;
    w->max = max < w->max ? max : w->max;
}

static int add_node_names(struct work *w, const struct schema_node *n)
{
    int rc = add_keys(w, schema_kw(n, KW_properties), 0);

    if (rc == 0)
        rc = add_strings(w, schema_kw(n, KW_required), 1);
    if (rc == 0)
        rc = add_needs(w, schema_kw(n, KW_dependent_required));
    if (rc == 0)
        rc = add_needs(w, schema_kw(n, KW_dependencies));
    bound(w, schema_count(n, KW_min_properties, 0), schema_count(n, KW_max_properties, GRAM_INF));
    return rc;
}

static int add_names(struct work *w)
{
    uint32_t at;
    int rc = 0;

    for (uint32_t i = 0; i < w->n_fact && rc == 0; i++) {
        const struct schema_fact *f = w->fact[i];

        switch (f->kind) {
        case FACT_NODE:
            rc = add_node_names(w, node_of(w, f));
            break;
        case FACT_VALUE:
            rc = add_keys(w, f->value, 1);
            break;
        case FACT_REQUIRE:
        case FACT_FORBID:
            rc = add_name(w, f->name, &at);
            if (rc == 0 && f->kind == FACT_REQUIRE)
                w->name[at].required = 1;
            else if (rc == 0)
                w->name[at].forbidden = 1;
            break;
        case FACT_MIN:
            bound(w, f->n, GRAM_INF);
            break;
        case FACT_MAX:
            bound(w, 0, f->n);
            break;
        default:
            break;
        }
        if (f->kind == FACT_EXTRA && !w->extra)
            w->extra = f;
    }
    return rc;
}

/* -- patterns -------------------------------------------------------------------------- */

static int pattern_at(struct work *w, uint32_t node, const char *pattern, uint32_t *at)
{
    rx_id rx;
    int rc = schema_pattern(w->s, node, KW_pattern_properties, str_of(pattern), &rx);

    if (rc < 0)
        return rc;
    for (*at = 0; *at < w->n_pattern; ++*at) {
        if (w->pattern[*at] == rx)
            return 0;
    }
    if (w->n_pattern == SCHEMA_PATTERNS)
        return schema_fail(w->s, E_TOO_LONG, node, "patternProperties",
                           "more than %d patterns for one object", SCHEMA_PATTERNS);
    w->pattern[w->n_pattern++] = rx;
    return 0;
}

static int add_patterns(struct work *w)
{
    for (uint32_t i = 0; i < w->n_fact; i++) {
        const struct schema_fact *f = w->fact[i];
        const json_t *map, *names;
        struct schema_set a;
        const char *key;
        uint32_t at;
        json_t *v;
        int rc;

        if (f->kind != FACT_NODE && f->kind != FACT_EXTRA)
            continue;
        map = schema_kw(node_of(w, f), KW_pattern_properties);
        names = schema_kw(node_of(w, f), KW_property_names);
        json_object_foreach((json_t *)(uintptr_t)map, key, v)
        {
            if ((rc = pattern_at(w, f->node, key, &at)) < 0)
                return rc;
        }
        if (!names || f->kind != FACT_NODE)
            continue;
        rc = schema_acyclic(w->s, schema_node_at(w->s, names));
        if (rc == 0)
            rc = schema_scalar(w->s, LIT_NODE(schema_node_at(w->s, names)), TYPE_STRING, &a);
        if (rc < 0)
            return rc;
        w->key = rx_and(w->s->rx, w->key, schema_text_rx(w->s, &a.text));
    }
    return schema_rx_check(w->s);
}

static int match_names(struct work *w)
{
    int rc;

    for (uint32_t i = 0; i < w->n_name; i++) {
        for (uint32_t p = 0; p < w->n_pattern; p++) {
            if ((rc = schema_text_has(w->s, w->pattern[p], w->name[i].name)) < 0)
                return rc;
            w->name[i].matches |= (uint32_t)rc << p;
        }
        if ((rc = schema_text_has(w->s, w->key, w->name[i].name)) < 0)
            return rc;
        w->name[i].forbidden |= (uint8_t)!rc;
    }
    return 0;
}

/* -- what values must satisfy ---------------------------------------------------------- */

static int add_lit(struct work *w, schema_lit l)
{
    int rc = schema_grow(w->s, &w->lit, w->n_lit, &w->cap_lit, sizeof(*w->lit));

    if (rc == 0)
        w->lit[w->n_lit++] = l;
    return rc;
}

/* What properties and patternProperties of a node say of a name; *met: they say something. NULL:
 * of no name in particular. add 0: only asks. */
static int add_named(struct work *w, uint32_t node, const struct name *k, int add, int *met)
{
    const struct schema_node *n = &w->s->node[node];
    const json_t *v = k->name.p ? json_object_getn(schema_kw(n, KW_properties), k->name.p, k->name.n)
                                : NULL;
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
            rc = pattern_at(w, node, key, &at);
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
static int is_evaluated(struct work *w, const struct schema_fact *asks, const struct name *k)
{
    for (uint32_t i = 0; i < w->n_fact; i++) {
        const struct schema_fact *f = w->fact[i];
        const struct schema_scope *scope = f->scope;
        int met, rc;

        while (scope && scope != asks->opens)
            scope = scope->up;
        if (f->kind != FACT_NODE || !scope)
            continue;
        if (node_of(w, f)->have & KW_BIT(KW_additional_properties) ||
            (f != asks && node_of(w, f)->have & KW_BIT(KW_unevaluated_properties)))
            return 1;
        if ((rc = add_named(w, f->node, k, 0, &met)) < 0 || met)
            return rc < 0 ? rc : 1;
    }
    return 0;
}

static int add_node_lits(struct work *w, const struct schema_fact *f, const struct name *k)
{
    const struct schema_node *n = node_of(w, f);
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

static int add_value_lit(struct work *w, const json_t *object, const struct name *k)
{
    const json_t *v = k->name.p ? json_object_getn(object, k->name.p, k->name.n) : NULL;
    schema_lit l = LIT_FALSE;
    int rc = v ? schema_value_of(w->s, v, &l) : 0;

    return rc < 0 ? rc : add_lit(w, l);
}

static int find_goal(struct work *w, const struct name *k, schema_goal *out)
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

static int each_need(struct work *w, const json_t *map, int *changed)
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
static void settle_needs(struct work *w)
{
    int changed = 1;

    while (changed) {
        changed = 0;
        for (uint32_t i = 0; i < w->n_fact; i++) {
            const struct schema_fact *f = w->fact[i];

            if (f->kind != FACT_NODE)
                continue;
            each_need(w, schema_kw(node_of(w, f), KW_dependent_required), &changed);
            each_need(w, schema_kw(node_of(w, f), KW_dependencies), &changed);
        }
    }
}

/* Names that property i needs, as indices of names, which index turns into those of props. */
static int copy_needs(struct work *w, struct schema_prop *p, const uint32_t *index)
{
    uint32_t n = 0, to = 0;

    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (uint32_t i = 0; i < w->n_fact; i++) {
            static const int kws[] = {KW_dependent_required, KW_dependencies};

            for (int k = 0; k < 2 && w->fact[i]->kind == FACT_NODE; k++) {
                const json_t *v = json_object_getn(
                    schema_kw(node_of(w, w->fact[i]), kws[k]), p->name.p, p->name.n);

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

struct kinds {
    struct name *kind; /* matches only */
    rx_id *rx;
    uint32_t n, cap, cap_rx;
};

static int add_kind(struct work *w, struct kinds *k, rx_id rx, uint32_t matches)
{
    struct schema *s = w->s;
    int rc = rx == s->any_text ? 1 : rx_live(s->rx, rx, s->e);

    if (rc <= 0)
        return rc;
    if ((rc = schema_grow(s, &k->kind, k->n, &k->cap, sizeof(*k->kind))) < 0 ||
        (rc = schema_grow(s, &k->rx, k->n, &k->cap_rx, sizeof(*k->rx))) < 0)
        return rc;
    k->kind[k->n] = (struct name){.matches = matches};
    k->rx[k->n++] = rx;
    return 0;
}

/* Splits all names by each pattern. */
static int split(struct work *w, struct kinds *k)
{
    struct rx *r = w->s->rx;
    int rc = add_kind(w, k, w->key, 0);

    for (uint32_t p = 0; p < w->n_pattern && rc == 0; p++) {
        uint32_t n = k->n;

        for (uint32_t i = 0; i < n && rc == 0; i++)
            rc = add_kind(w, k, rx_and(r, k->rx[i], w->pattern[p]), k->kind[i].matches | 1U << p);
        for (uint32_t i = 0; i < n && rc == 0; i++)
            rc = add_kind(w, k, rx_and(r, k->rx[i], rx_not(r, w->pattern[p])), k->kind[i].matches);
        memmove(k->kind, k->kind + n, (k->n - n) * sizeof(*k->kind));
        memmove(k->rx, k->rx + n, (k->n - n) * sizeof(*k->rx));
        k->n -= n;
        if (rc == 0)
            rc = schema_rx_check(w->s);
    }
    return rc;
}

/* All names that are known by themselves. */
static int known_names(struct work *w, rx_id *out)
{
    rx_id *part = mem_alloc((w->n_name + 1) * sizeof(*part));

    if (!part)
        return schema_nomem(w->s);
    for (uint32_t i = 0; i < w->n_name; i++)
        part[i] = rx_text(w->s->rx, w->name[i].name);
    *out = rx_alts(w->s->rx, part, w->n_name);
    mem_free(part);
    return schema_rx_check(w->s);
}

static int make_rest(struct work *w, const struct kinds *k, struct schema_object *o)
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
        if (!have && (rc = known_names(w, &known)) < 0)
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

static int find_kinds(struct work *w, struct kinds *k)
{
    int rc = split(w, k);

    for (uint32_t i = 0; i < k->n && rc == 0; i++)
        rc = find_goal(w, &k->kind[i], &k->kind[i].value);
    return rc;
}

/* -- together -------------------------------------------------------------------------- */

static int make_props(struct work *w, struct schema_object *o)
{
    uint32_t *index = mem_alloc((w->n_name + 1) * sizeof(*index));
    int rc = 0;

    o->prop = arena_calloc(&w->s->arena, w->n_name, sizeof(*o->prop));
    if (!index || !o->prop)
        rc = schema_nomem(w->s);
    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        const struct name *n = &w->name[i];

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
static int may_be(const struct work *w, const struct schema_object *o)
{
    uint64_t least = 0;

    for (uint32_t i = 0; i < w->n_name; i++) {
        if (w->name[i].required && w->name[i].forbidden)
            return 0;
        least += w->name[i].required;
    }
    return w->min <= w->max && least <= w->max && (o->n_rest || w->min <= o->n_prop);
}

static int finish(struct work *w, const struct kinds *k, struct schema_object **list)
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

/* One of the properties that the node of FACT_EXTRA does not know must be there: each is an
 * alternative of its own. Names without number cannot be gone through. */
static int split_extra(struct work *w, const struct kinds *k, const struct schema_fact *last,
                       struct schema_object **list)
{
    const struct schema_fact *extra = w->extra, **fact = w->fact;
    struct schema *s = w->s;
    const json_t *more = schema_kw(node_of(w, extra), KW_additional_properties);
    int rc = 0, met;

    (void)last;
    for (uint32_t i = 0; i < k->n; i++) {
        if ((rc = add_named(w, extra->node, &k->kind[i], 0, &met)) < 0)
            return rc;
        if (!met && k->kind[i].value != GOAL_NEVER)
            return schema_fail(s, E_UNSUPPORTED, extra->node, "additionalProperties",
                               "cannot be denied where other names are allowed, as \"not\", "
                               "\"if\" or a \"oneOf\" whose alternatives may hold together "
                               "would need");
    }
    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        const struct schema_fact *chain = NULL;

        if ((rc = add_named(w, extra->node, &w->name[i], 0, &met)) < 0)
            return rc;
        if (met || w->name[i].forbidden)
            continue;
        for (uint32_t f = 0; f < w->n_fact; f++) {
            struct schema_fact *copy = arena_alloc(&s->arena, sizeof(*copy));

            if (!copy)
                return schema_nomem(s);
            *copy = *fact[f];
            copy->before = chain;
            chain = copy;
            if (fact[f] == extra)
                *copy = (struct schema_fact){.kind = FACT_REQUIRE,
                                             .node = extra->node,
                                             .name = w->name[i].name,
                                             .lit = LIT_NODE(schema_node_at(s, more)) | 1,
                                             .before = copy->before};
        }
        rc = ++s->steps > SCHEMA_STEPS ? err_set(s->e, E_TOO_LONG, "alternatives multiply")
                                       : schema_object_make(s, chain, list);
    }
    return rc;
}

static int gather(struct work *w, const struct schema_fact *last)
{
    int rc = list_facts(w, last);

    if (rc == 0 && map_init(&w->at, 16) < 0)
        rc = schema_nomem(w->s);
    if (rc == 0)
        rc = add_names(w);
    if (rc == 0)
        rc = add_patterns(w);
    if (rc == 0)
        rc = match_names(w);
    for (uint32_t i = 0; i < w->n_name && rc == 0; i++) {
        rc = find_goal(w, &w->name[i], &w->name[i].value);
        if (rc == 0 && w->name[i].value == GOAL_NEVER)
            w->name[i].forbidden = 1;
    }
    if (rc == 0)
        settle_needs(w);
    return rc;
}

int schema_object_make(struct schema *s, const struct schema_fact *last,
                       struct schema_object **list)
{
    struct work w = {.s = s, .key = s->any_text, .max = GRAM_INF};
    struct kinds k = {0};
    int rc = gather(&w, last);

    if (rc == 0)
        rc = find_kinds(&w, &k);
    if (rc == 0)
        rc = w.extra ? split_extra(&w, &k, last, list) : finish(&w, &k, list);
    mem_free(k.kind);
    mem_free(k.rx);
    work_done(&w);
    return rc;
}

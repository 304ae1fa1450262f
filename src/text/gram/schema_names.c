/* schema_names.c - finds the names that facts about an object speak of. */
#include "text/gram/schema_names.h"

#include "base/mem.h"

/* Facts in the order in which they were found. */
static int list_facts(struct schema_names *w, const struct schema_fact *last)
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

/* -- names ----------------------------------------------------------------------------- */

static int add_name(struct schema_names *w, struct str name, uint32_t *out)
{
    int rc;

    if (map_get(&w->at, name, out))
        return 0;
    if ((rc = schema_grow(w->s, &w->name, w->n_name, &w->cap_name, sizeof(*w->name))) < 0)
        return rc;
    if (map_put(&w->at, name, w->n_name, NULL) < 0)
        return schema_nomem(w->s);
    w->name[w->n_name] = (struct schema_name){.name = name};
    *out = w->n_name++;
    return 0;
}

static int add_keys(struct schema_names *w, const json_t *map, int required)
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

static int add_strings(struct schema_names *w, const json_t *list, int required)
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

static int add_needs(struct schema_names *w, const json_t *map)
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

static void bound(struct schema_names *w, uint64_t min, uint64_t max)
{
    w->min = min > w->min ? min : w->min;
    w->max = max < w->max ? max : w->max;
}

static int add_node_names(struct schema_names *w, const struct schema_node *n)
{
    int rc = add_keys(w, schema_kw(n, KW_properties), 0);

    if (rc == 0)
        rc = add_strings(w, schema_kw(n, KW_required), 1);
    if (rc == 0)
        rc = add_needs(w, schema_kw(n, KW_dependent_required));
    if (rc == 0)
        rc = add_needs(w, schema_kw(n, KW_dependencies));
    bound(w, schema_count(n, KW_min_properties, 0),
          schema_count(n, KW_max_properties, GRAM_INF));
    return rc;
}

static int add_names(struct schema_names *w)
{
    uint32_t at;
    int rc = 0;

    for (uint32_t i = 0; i < w->n_fact && rc == 0; i++) {
        const struct schema_fact *f = w->fact[i];

        switch (f->kind) {
        case FACT_NODE:
            rc = add_node_names(w, schema_names_node(w, f));
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

int schema_names_pattern(struct schema_names *w, uint32_t node, const char *pattern,
                         uint32_t *at)
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

static int add_patterns(struct schema_names *w)
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
        map = schema_kw(schema_names_node(w, f), KW_pattern_properties);
        names = schema_kw(schema_names_node(w, f), KW_property_names);
        json_object_foreach((json_t *)(uintptr_t)map, key, v)
        {
            if ((rc = schema_names_pattern(w, f->node, key, &at)) < 0)
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

static int match_names(struct schema_names *w)
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

/* -- other names ----------------------------------------------------------------------- */

static int add_kind(struct schema_names *w, struct schema_kinds *k, rx_id rx, uint32_t matches)
{
    struct schema *s = w->s;
    int rc = rx == s->any_text ? 1 : rx_live(s->rx, rx, s->e);

    if (rc <= 0)
        return rc;
    if ((rc = schema_grow(s, &k->kind, k->n, &k->cap, sizeof(*k->kind))) < 0 ||
        (rc = schema_grow(s, &k->rx, k->n, &k->cap_rx, sizeof(*k->rx))) < 0)
        return rc;
    k->kind[k->n] = (struct schema_name){.matches = matches};
    k->rx[k->n++] = rx;
    return 0;
}

int schema_names_split(struct schema_names *w, struct schema_kinds *k)
{
    struct rx *r = w->s->rx;
    int rc = add_kind(w, k, w->key, 0);

    for (uint32_t p = 0; p < w->n_pattern && rc == 0; p++) {
        uint32_t n = k->n;

        for (uint32_t i = 0; i < n && rc == 0; i++)
            rc = add_kind(w, k, rx_and(r, k->rx[i], w->pattern[p]),
                          k->kind[i].matches | 1U << p);
        for (uint32_t i = 0; i < n && rc == 0; i++)
            rc = add_kind(w, k, rx_and(r, k->rx[i], rx_not(r, w->pattern[p])),
                          k->kind[i].matches);
        if (n == 0)
            break;
        memmove(k->kind, k->kind + n, (k->n - n) * sizeof(*k->kind));
        memmove(k->rx, k->rx + n, (k->n - n) * sizeof(*k->rx));
        k->n -= n;
        if (rc == 0)
            rc = schema_rx_check(w->s);
    }
    return rc;
}

int schema_names_known(struct schema_names *w, rx_id *out)
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

int schema_names_init(struct schema_names *w, struct schema *s, const struct schema_fact *last)
{
    int rc;

    *w = (struct schema_names){.s = s, .key = s->any_text, .max = GRAM_INF};
    rc = list_facts(w, last);
    if (rc == 0 && map_init(&w->at, 16) < 0)
        rc = schema_nomem(s);
    if (rc == 0)
        rc = add_names(w);
    if (rc == 0)
        rc = add_patterns(w);
    if (rc < 0)
        return rc;
    s->steps += (uint64_t)w->n_name * (1 + w->n_pattern) * w->n_fact;
    return schema_check_steps(s) < 0 ? E_TOO_LONG : match_names(w);
}

void schema_names_done(struct schema_names *w)
{
    mem_free((void *)(uintptr_t)w->fact);
    mem_free(w->name);
    mem_free(w->lit);
    map_done(&w->at);
}

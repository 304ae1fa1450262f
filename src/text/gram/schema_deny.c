/* schema_deny.c - takes apart what an array or object must not satisfy: one of the keywords
 * does not hold, and each that can be broken is an alternative. */
#include "text/gram/schema_expand.h"

static int no_way(struct schema_job *j, uint32_t node, int kw)
{
    return schema_fail(j->s, E_UNSUPPORTED, node, schema_kw_name(kw),
                       "cannot be denied, as \"not\", \"if\" or a \"oneOf\" whose alternatives "
                       "may hold together would need");
}

static int with_lit(struct schema_job *j, const struct schema_at *at, schema_lit l)
{
    struct schema_at way = *at;

    schema_push(j, &way, TASK_LIT, l, NULL);
    return schema_branch(j, way);
}

static int with_lits(struct schema_job *j, const struct schema_at *at, schema_lit a,
                     schema_lit b)
{
    struct schema_at way = *at;

    schema_push(j, &way, TASK_LIT, b, NULL);
    schema_push(j, &way, TASK_LIT, a, NULL);
    return schema_branch(j, way);
}

static int with_fact(struct schema_job *j, const struct schema_at *at, struct schema_fact f)
{
    struct schema_at way = *at;

    schema_fact_add(j, &way, f);
    return schema_branch(j, way);
}

static schema_lit lit_at(struct schema_job *j, const json_t *v)
{
    return LIT_NODE(schema_node_at(j->s, v));
}

/* -- constants ------------------------------------------------------------------------- */

/* Another object: a key is missing, or its value another one, or there are more. */
static int deny_object(struct schema_job *j, struct schema_at *at, const json_t *v)
{
    struct schema_at more = *at;
    const char *key;
    json_t *sub;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)v, key, sub)
    {
        struct schema_fact f = {.kind = FACT_FORBID, .name = str_of(key)};
        schema_lit l;

        if ((rc = with_fact(j, at, f)) < 0 || (rc = schema_value_of(j->s, sub, &l)) < 0)
            return rc;
        f.kind = FACT_REQUIRE;
        f.lit = l | 1;
        if ((rc = with_fact(j, at, f)) < 0)
            return rc;
        f.lit = LIT_TRUE;
        schema_fact_add(j, &more, f);
    }
    schema_fact_add(j, &more,
                    (struct schema_fact){.kind = FACT_MIN, .n = json_object_size(v) + 1});
    rc = schema_branch(j, more);
    return rc < 0 ? rc : 1;
}

static int deny_array(struct schema_job *j, struct schema_at *at, const json_t *v)
{
    uint64_t n = json_array_size(v);
    int rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MIN, .n = n + 1});

    if (rc == 0 && n)
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MAX, .n = n - 1});
    for (uint64_t i = 0; i < n && rc == 0; i++) {
        struct schema_at way = *at;
        schema_lit l;

        if ((rc = schema_value_of(j->s, json_array_get(v, i), &l)) < 0)
            return rc;
        schema_fact_add(j, &way, (struct schema_fact){.kind = FACT_MIN, .n = i + 1});
        schema_fact_add(j, &way, (struct schema_fact){.kind = FACT_ITEM, .n = i, .lit = l | 1});
        rc = schema_branch(j, way);
    }
    return rc < 0 ? rc : 1;
}

int schema_deny_value(struct schema_job *j, struct schema_at *at, const json_t *v)
{
    if (schema_value_type(v) != j->t)
        return 0;
    return j->t == TYPE_OBJECT ? deny_object(j, at, v) : deny_array(j, at, v);
}

/* 1: none of the values of const or enum is of this type, so the keyword is broken. */
static int values_break(const struct schema_job *j, const struct schema_node *n)
{
    const json_t *one = schema_kw(n, KW_const), *list = schema_kw(n, KW_enum);
    size_t left = 0;

    for (size_t i = 0; i < json_array_size(list); i++)
        left += schema_value_type(json_array_get(list, i)) == j->t;
    return (one && schema_value_type(one) != j->t) || (list && !left);
}

static int deny_values(struct schema_job *j, const struct schema_at *at,
                       const struct schema_node *n)
{
    const json_t *one = schema_kw(n, KW_const), *list = schema_kw(n, KW_enum);
    struct schema_at way = *at;
    schema_lit l;
    int rc = 0;

    if (one) {
        rc = schema_value_of(j->s, one, &l);
        if (rc == 0)
            rc = with_lit(j, at, l | 1);
    }
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        rc = schema_value_of(j->s, json_array_get(list, i), &l);
        if (rc == 0)
            schema_push(j, &way, TASK_LIT, l | 1, NULL);
    }
    return rc == 0 && list ? schema_branch(j, way) : rc;
}

/* -- schemas in place ------------------------------------------------------------------ */

/* None of them: one alternative. */
static int deny_all(struct schema_job *j, const struct schema_at *at, const json_t *list)
{
    struct schema_at way = *at;

    if (!list)
        return 0;
    for (size_t i = json_array_size(list); i-- > 0;)
        schema_push(j, &way, TASK_LIT, lit_at(j, json_array_get(list, i)) | 1, NULL);
    return schema_branch(j, way);
}

static int deny_one(struct schema_job *j, const struct schema_at *at, const json_t *list)
{
    int rc = deny_all(j, at, list);

    for (size_t i = 0; i < json_array_size(list); i++) {
        for (size_t k = 0; k < i && rc == 0; k++)
            rc = with_lits(j, at, lit_at(j, json_array_get(list, k)),
                           lit_at(j, json_array_get(list, i)));
    }
    return rc;
}

static int deny_in_place(struct schema_job *j, const struct schema_at *at,
                         const struct schema_node *n)
{
    const json_t *all = schema_kw(n, KW_all_of), *cond = schema_kw(n, KW_if);
    const json_t *not = schema_kw(n, KW_not);
    int rc = 0;

    if (n->ref != NODE_NONE)
        rc = with_lit(j, at, LIT_NODE(n->ref) | 1);
    if (rc == 0 && n->dynamic_ref != NODE_NONE)
        rc = with_lit(j, at, LIT_NODE(n->dynamic_ref) | 1);
    for (size_t i = 0; i < json_array_size(all) && rc == 0; i++)
        rc = with_lit(j, at, lit_at(j, json_array_get(all, i)) | 1);
    if (rc == 0)
        rc = deny_all(j, at, schema_kw(n, KW_any_of));
    if (rc == 0)
        rc = deny_one(j, at, schema_kw(n, KW_one_of));
    if (rc == 0 && not )
        rc = with_lit(j, at, lit_at(j, not ));
    if (rc == 0 && cond && n->have & KW_BIT(KW_then))
        rc = with_lits(j, at, lit_at(j, cond), lit_at(j, schema_kw(n, KW_then)) | 1);
    if (rc == 0 && cond && n->have & KW_BIT(KW_else))
        rc = with_lits(j, at, lit_at(j, cond) | 1, lit_at(j, schema_kw(n, KW_else)) | 1);
    return rc;
}

/* -- objects --------------------------------------------------------------------------- */

static int deny_properties(struct schema_job *j, const struct schema_at *at, uint32_t node,
                           const json_t *map)
{
    const char *key;
    json_t *sub;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)map, key, sub)
    {
        if (schema_is_true(j->s, schema_node_at(j->s, sub)))
            continue;
        rc = with_fact(j, at,
                       (struct schema_fact){.kind = FACT_REQUIRE,
                                            .node = node,
                                            .name = str_of(key),
                                            .lit = lit_at(j, sub) | 1});
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* A property is there; another that it needs is not, or its schema does not hold. */
static int deny_depends(struct schema_job *j, const struct schema_at *at, uint32_t node,
                        const json_t *map)
{
    const char *key;
    json_t *sub;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)map, key, sub)
    {
        struct schema_at has = *at;
        struct schema_fact f = {
            .kind = FACT_REQUIRE, .node = node, .name = str_of(key), .lit = LIT_TRUE};

        schema_fact_add(j, &has, f);
        f.kind = FACT_FORBID;
        for (size_t i = 0; i < json_array_size(sub) && rc == 0; i++) {
            f.name = schema_str(json_array_get(sub, i));
            rc = with_fact(j, &has, f);
        }
        if (rc == 0 && !json_is_array(sub))
            rc = with_lit(j, &has, lit_at(j, sub) | 1);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* 1: some schema in the map lets not everything be. */
static int says_something(struct schema_job *j, const json_t *map)
{
    const char *key;
    json_t *sub;

    json_object_foreach((json_t *)(uintptr_t)map, key, sub)
    {
        if (!schema_is_true(j->s, schema_node_at(j->s, sub)))
            return 1;
    }
    return 0;
}

static int schema_says(struct schema_job *j, const struct schema_node *n, int kw)
{
    return n->have & KW_BIT(kw) &&
           !schema_is_true(j->s, schema_node_at(j->s, schema_kw(n, kw)));
}

static int deny_about_object(struct schema_job *j, const struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    const json_t *required = schema_kw(n, KW_required);
    uint64_t min = schema_count(n, KW_min_properties, 0);
    uint64_t max = schema_count(n, KW_max_properties, GRAM_INF);
    int rc = deny_properties(j, at, node, schema_kw(n, KW_properties));

    for (size_t i = 0; i < json_array_size(required) && rc == 0; i++)
        rc = with_fact(j, at,
                       (struct schema_fact){.kind = FACT_FORBID,
                                            .node = node,
                                            .name = schema_str(json_array_get(required, i))});
    if (rc == 0 && min)
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MAX, .n = min - 1});
    if (rc == 0 && max < GRAM_INF)
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MIN, .n = max + 1});
    if (rc == 0)
        rc = deny_depends(j, at, node, schema_kw(n, KW_dependent_required));
    if (rc == 0)
        rc = deny_depends(j, at, node, schema_kw(n, KW_dependent_schemas));
    if (rc == 0)
        rc = deny_depends(j, at, node, schema_kw(n, KW_dependencies));
    if (rc == 0 && schema_says(j, n, KW_additional_properties))
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_EXTRA, .node = node});
    if (rc == 0 && says_something(j, schema_kw(n, KW_pattern_properties)))
        rc = no_way(j, node, KW_pattern_properties);
    if (rc == 0 && schema_says(j, n, KW_property_names))
        rc = no_way(j, node, KW_property_names);
    if (rc == 0 && schema_says(j, n, KW_unevaluated_properties))
        rc = no_way(j, node, KW_unevaluated_properties);
    return rc;
}

/* -- arrays ---------------------------------------------------------------------------- */

static int deny_items(struct schema_job *j, const struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    const json_t *prefix = schema_prefix(n), *items = schema_items(n);
    uint64_t n_prefix = json_array_size(prefix);
    int rc = 0;

    for (size_t i = 0; i < n_prefix && rc == 0; i++) {
        struct schema_at way = *at;
        schema_lit l = lit_at(j, json_array_get(prefix, i));

        if (schema_is_true(j->s, l >> 2))
            continue;
        schema_fact_add(j, &way, (struct schema_fact){.kind = FACT_MIN, .n = i + 1});
        schema_fact_add(j, &way, (struct schema_fact){.kind = FACT_ITEM, .n = i, .lit = l | 1});
        rc = schema_branch(j, way);
    }
    if (rc < 0 || !items || schema_is_true(j->s, schema_node_at(j->s, items)))
        return rc;
    if (json_is_false(items))
        return with_fact(j, at, (struct schema_fact){.kind = FACT_MIN, .n = n_prefix + 1});
    if (n_prefix)
        return no_way(j, node, KW_items);
    return with_fact(j, at,
                     (struct schema_fact){.kind = FACT_CONTAINS,
                                          .node = node,
                                          .lit = lit_at(j, items) | 1,
                                          .n = 1,
                                          .m = GRAM_INF});
}

static int deny_contains(struct schema_job *j, const struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    uint64_t min = schema_count(n, KW_min_contains, 1);
    uint64_t max = schema_count(n, KW_max_contains, GRAM_INF);
    struct schema_fact f = {.kind = FACT_CONTAINS, .node = node};
    int rc = 0;

    if (!(n->have & KW_BIT(KW_contains)))
        return 0;
    f.lit = lit_at(j, schema_kw(n, KW_contains));
    if (min) {
        f.m = min - 1;
        rc = with_fact(j, at, f);
    }
    if (rc < 0 || max == GRAM_INF)
        return rc;
    f.n = max + 1;
    f.m = GRAM_INF;
    return with_fact(j, at, f);
}

static int deny_about_array(struct schema_job *j, const struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    uint64_t min = schema_count(n, KW_min_items, 0);
    uint64_t max = schema_count(n, KW_max_items, GRAM_INF);
    int rc = deny_items(j, at, node);

    if (rc == 0 && min)
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MAX, .n = min - 1});
    if (rc == 0 && max < GRAM_INF)
        rc = with_fact(j, at, (struct schema_fact){.kind = FACT_MIN, .n = max + 1});
    if (rc == 0)
        rc = deny_contains(j, at, node);
    if (rc == 0 && n->have & KW_BIT(KW_unique_items) &&
        json_is_true(schema_kw(n, KW_unique_items)))
        rc = no_way(j, node, KW_unique_items);
    if (rc == 0 && schema_says(j, n, KW_unevaluated_items))
        rc = no_way(j, node, KW_unevaluated_items);
    return rc;
}

int schema_deny(struct schema_job *j, struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    int rc;

    if (node == NODE_FALSE || !(n->types & 1U << j->t) || values_break(j, n))
        return 0;
    if (schema_is_true(j->s, node))
        return 1;
    rc = deny_values(j, at, n);
    if (rc == 0)
        rc = deny_in_place(j, at, n);
    if (rc == 0)
        rc = j->t == TYPE_OBJECT ? deny_about_object(j, at, node)
                                 : deny_about_array(j, at, node);
    return rc < 0 ? rc : 1;
}

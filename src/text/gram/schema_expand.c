/* schema_expand.c - takes apart what one array or object must satisfy, into alternatives.
 *
 * What holds together becomes a list of facts; where a schema leaves a choice, each way is
 * followed with the facts so far. Lists are shared by the ways, so a branch costs what it adds.
 * Choices wait until all that leaves none has been looked at: many contradict it and end there.
 *
 * Annotations, which unevaluatedProperties and -Items ask for, leave facts in scopes: a schema
 * that asks opens one, and what is applied in place below it stands in it. More annotations
 * only make such a keyword weaker, so it is enough to follow all sets of alternatives that may
 * be valid together. */
#include "text/gram/schema_expand.h"

enum { BRANCHES = 400, TOGETHER = 6 };

static const struct schema_scope outermost = {NULL};

/* 1: somebody asks for annotations. */
static int is_tracked(const struct schema_scope *scope)
{
    return scope && scope->up;
}

void schema_push(struct schema_job *j, struct schema_at *at, enum schema_task_kind kind,
                 schema_lit l, const struct schema_scope *scope)
{
    struct schema_task *t = arena_alloc(&j->s->arena, sizeof(*t));

    if (!t) {
        j->rc = schema_nomem(j->s);
        return;
    }
    *t = (struct schema_task){.kind = kind, .lit = l, .scope = scope, .next = at->todo};
    at->todo = t;
}

void schema_fact_add(struct schema_job *j, struct schema_at *at, struct schema_fact f)
{
    struct schema_fact *own = arena_alloc(&j->s->arena, sizeof(*own));

    if (!own) {
        j->rc = schema_nomem(j->s);
        return;
    }
    *own = f;
    own->before = at->facts;
    at->facts = own;
}

static void push_node(struct schema_job *j, struct schema_at *at, const json_t *v, int neg,
                      const struct schema_scope *scope)
{
    schema_push(j, at, TASK_LIT, LIT_NODE(schema_node_at(j->s, v)) | (neg ? 1U : 0), scope);
}

/* -- choices --------------------------------------------------------------------------- */

/* Each set of alternatives that may be valid together. */
static int choose_sets(struct schema_job *j, const struct schema_at *at, const json_t *list,
                       const struct schema_task *t)
{
    size_t n = json_array_size(list);
    int rc = 0;

    if (n > TOGETHER)
        return schema_fail(j->s, E_UNSUPPORTED, t->lit >> 2, "anyOf",
                           "more than %d alternatives beside an unevaluated... keyword",
                           TOGETHER);
    for (unsigned set = 1; set < 1U << n && rc == 0; set++) {
        struct schema_at way = *at;

        for (size_t i = n; i-- > 0;) {
            if (set & 1U << i)
                push_node(j, &way, json_array_get(list, i), 0, t->scope);
        }
        rc = schema_branch(j, way);
    }
    return rc;
}

static int choose_any(struct schema_job *j, const struct schema_at *at,
                      const struct schema_task *t)
{
    const json_t *list = schema_kw(&j->s->node[t->lit >> 2], KW_any_of);
    int rc = 0;

    if (is_tracked(t->scope))
        return choose_sets(j, at, list, t);
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        struct schema_at way = *at;

        push_node(j, &way, json_array_get(list, i), 0, t->scope);
        rc = schema_branch(j, way);
    }
    return rc;
}

/* Each alternative, and none of those that could be valid beside it. */
static int choose_one(struct schema_job *j, const struct schema_at *at,
                      const struct schema_task *t)
{
    const json_t *list = schema_kw(&j->s->node[t->lit >> 2], KW_one_of);
    int told = schema_told_apart(j->s, list, j->t), rc = 0;

    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        schema_lit a = LIT_NODE(schema_node_at(j->s, json_array_get(list, i))), b;
        struct schema_at way = *at;

        rc = schema_apart(j->s, a, a, j->t);
        if (rc) {
            rc = rc < 0 ? rc : 0;
            continue;
        }
        for (size_t k = 0; k < json_array_size(list) && rc >= 0 && !told; k++) {
            b = LIT_NODE(schema_node_at(j->s, json_array_get(list, k)));
            if (k != i && (rc = schema_apart(j->s, a, b, j->t)) == 0)
                schema_push(j, &way, TASK_LIT, b | 1, NULL);
        }
        schema_push(j, &way, TASK_LIT, a, t->scope);
        if (rc >= 0)
            rc = schema_branch(j, way);
    }
    return rc;
}

static int choose_if(struct schema_job *j, const struct schema_at *at,
                     const struct schema_task *t)
{
    const struct schema_node *n = &j->s->node[t->lit >> 2];
    struct schema_at yes = *at, no = *at;
    int rc;

    push_node(j, &yes, schema_kw(n, KW_then), 0, t->scope);
    push_node(j, &yes, schema_kw(n, KW_if), 0, t->scope);
    push_node(j, &no, schema_kw(n, KW_else), 0, t->scope);
    push_node(j, &no, schema_kw(n, KW_if), 1, NULL);
    rc = schema_branch(j, yes);
    return rc < 0 ? rc : schema_branch(j, no);
}

static int choose_value(struct schema_job *j, const struct schema_at *at,
                        const struct schema_task *t)
{
    uint32_t node = t->lit >> 2;
    const json_t *list = schema_kw(&j->s->node[node], KW_enum);
    int rc = 0;

    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++) {
        struct schema_at way = *at;
        const json_t *v = json_array_get(list, i);

        if (schema_value_type(v) != j->t)
            continue;
        schema_fact_add(j, &way,
                        (struct schema_fact){.kind = FACT_VALUE, .node = node, .value = v});
        rc = schema_branch(j, way);
    }
    return rc;
}

/* A property is not there, or it is and the schema holds. */
static int choose_depends(struct schema_job *j, const struct schema_at *at,
                          const struct schema_task *t)
{
    uint32_t node = t->lit >> 2;
    struct str name = str_of(t->name);
    const json_t *v =
        json_object_get(schema_kw(&j->s->node[node], KW_dependent_schemas), t->name);
    struct schema_at with = *at, without = *at;
    int rc;

    if (!v)
        v = json_object_get(schema_kw(&j->s->node[node], KW_dependencies), t->name);
    schema_fact_add(j, &without,
                    (struct schema_fact){.kind = FACT_FORBID, .node = node, .name = name});
    schema_fact_add(j, &with,
                    (struct schema_fact){
                        .kind = FACT_REQUIRE, .node = node, .name = name, .lit = LIT_TRUE});
    push_node(j, &with, v, 0, t->scope);
    rc = schema_branch(j, with);
    return rc < 0 ? rc : schema_branch(j, without);
}

static int choose(struct schema_job *j, const struct schema_at *at, const struct schema_task *t)
{
    static int (*const how[])(struct schema_job *, const struct schema_at *,
                              const struct schema_task *) = {
        [TASK_ANY] = choose_any,    [TASK_ONE] = choose_one,         [TASK_IF] = choose_if,
        [TASK_ENUM] = choose_value, [TASK_DEPENDS] = choose_depends,
    };
    int rc = how[t->kind](j, at, t);

    return rc < 0 ? rc : 1;
}

/* -- one schema ------------------------------------------------------------------------ */

static void push_depends(struct schema_job *j, struct schema_at *at, uint32_t node,
                         const struct schema_scope *scope, const json_t *map)
{
    const char *key;
    json_t *v;

    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        if (json_is_array(v))
            continue;
        schema_push(j, at, TASK_DEPENDS, LIT_NODE(node), scope);
        if (j->rc == 0)
            ((struct schema_task *)(uintptr_t)at->todo)->name = key;
    }
}

/* const and enum: 1 when no value of theirs is of this type. */
static int apply_values(struct schema_job *j, struct schema_at *at, uint32_t node)
{
    const struct schema_node *n = &j->s->node[node];
    const json_t *one = schema_kw(n, KW_const), *list = schema_kw(n, KW_enum);
    size_t left = 0;

    if (one && schema_value_type(one) != j->t)
        return 1;
    if (one)
        schema_fact_add(j, at,
                        (struct schema_fact){.kind = FACT_VALUE, .node = node, .value = one});
    for (size_t i = 0; i < json_array_size(list); i++)
        left += schema_value_type(json_array_get(list, i)) == j->t;
    if (list && !left)
        return 1;
    if (list)
        schema_push(j, at, TASK_ENUM, LIT_NODE(node), NULL);
    return 0;
}

static void push_choices(struct schema_job *j, struct schema_at *at, uint32_t node,
                         const struct schema_scope *scope)
{
    const struct schema_node *n = &j->s->node[node];

    if (j->t == TYPE_OBJECT) {
        push_depends(j, at, node, scope, schema_kw(n, KW_dependent_schemas));
        push_depends(j, at, node, scope, schema_kw(n, KW_dependencies));
    }
    if (n->have & KW_BIT(KW_if) &&
        (is_tracked(scope) || n->have & (KW_BIT(KW_then) | KW_BIT(KW_else))))
        schema_push(j, at, TASK_IF, LIT_NODE(node), scope);
    if (n->have & KW_BIT(KW_one_of))
        schema_push(j, at, TASK_ONE, LIT_NODE(node), scope);
    if (n->have & KW_BIT(KW_any_of))
        schema_push(j, at, TASK_ANY, LIT_NODE(node), scope);
}

/* A schema that asks for annotations opens a scope; *scope becomes it. */
static const struct schema_scope *open_scope(struct schema_job *j,
                                             const struct schema_scope **scope)
{
    struct schema_scope *own = arena_alloc(&j->s->arena, sizeof(*own));

    if (!own) {
        j->rc = schema_nomem(j->s);
        return NULL;
    }
    own->up = *scope ? *scope : &outermost;
    *scope = own;
    return own;
}

static int apply(struct schema_job *j, struct schema_at *at, uint32_t node,
                 const struct schema_scope *scope)
{
    const struct schema_node *n = &j->s->node[node];
    uint64_t about = j->t == TYPE_OBJECT ? KW_OF_OBJECTS : KW_OF_ARRAYS;
    int asks = j->t == TYPE_OBJECT ? KW_unevaluated_properties : KW_unevaluated_items;
    const struct schema_scope *opens = NULL;
    const json_t *list = schema_kw(n, KW_all_of);

    if (node == NODE_FALSE || !(n->types & 1U << j->t))
        return 1;
    if (n->have & KW_BIT(asks))
        opens = open_scope(j, &scope);
    push_choices(j, at, node, scope);
    if (apply_values(j, at, node))
        return 1;
    if (n->have & about)
        schema_fact_add(j, at,
                        (struct schema_fact){
                            .kind = FACT_NODE, .node = node, .scope = scope, .opens = opens});
    if (n->have & KW_BIT(KW_not))
        push_node(j, at, schema_kw(n, KW_not), 1, NULL);
    for (size_t i = json_array_size(list); i-- > 0;)
        push_node(j, at, json_array_get(list, i), 0, scope);
    if (n->dynamic_ref != NODE_NONE)
        schema_push(j, at, TASK_LIT, LIT_NODE(n->dynamic_ref), scope);
    if (n->ref != NODE_NONE)
        schema_push(j, at, TASK_LIT, LIT_NODE(n->ref), scope);
    return 0;
}

/* 1: it was looked at on this way already. */
static int was_done(const struct schema_at *at, const struct schema_task *t)
{
    for (const struct schema_task *d = at->done; d; d = d->next) {
        if (d->lit == t->lit && d->scope == t->scope)
            return 1;
    }
    return 0;
}

static int look(struct schema_job *j, struct schema_at *at, const struct schema_task *t)
{
    struct schema *s = j->s;
    uint32_t i = t->lit >> 2;

    if (t->kind != TASK_LIT)
        return choose(j, at, t);
    if (!(t->lit & 2))
        return t->lit & 1 ? schema_deny(j, at, i) : apply(j, at, i, t->scope);
    if (t->lit & 1)
        return schema_deny_value(j, at, s->value[i]);
    if (schema_value_type(s->value[i]) != j->t)
        return 1;
    schema_fact_add(j, at, (struct schema_fact){.kind = FACT_VALUE, .value = s->value[i]});
    return 0;
}

int schema_branch(struct schema_job *j, struct schema_at at)
{
    struct schema *s = j->s;
    int rc = j->rc;

    if (j->depth == BRANCHES)
        return err_set(s->e, E_TOO_LONG, "more than %d choices within each other", BRANCHES);
    j->depth++;
    while (rc == 0 && at.todo) {
        const struct schema_task *t = at.todo;
        struct schema_at keep;

        at.todo = t->next;
        s->steps++;
        if ((rc = schema_check_steps(s)) < 0)
            break;
        if (t->kind == TASK_LIT && was_done(&at, t))
            continue;
        if (t->kind == TASK_LIT) {
            keep = (struct schema_at){.todo = at.done};
            schema_push(j, &keep, TASK_LIT, t->lit, t->scope);
            at.done = keep.todo;
        }
        rc = look(j, &at, t);
        rc = j->rc < 0 ? j->rc : rc;
    }
    j->depth--;
    if (rc == 0)
        rc = j->cell(s, j->ctx, at.facts);
    return rc == 1 ? 0 : rc;
}

int schema_expand(struct schema *s, const schema_lit *lit, uint32_t n, enum schema_type t,
                  schema_cell_fn cell, void *ctx)
{
    struct schema_job j = {.s = s, .t = t, .cell = cell, .ctx = ctx};
    struct schema_at at = {NULL, NULL, NULL};

    while (n-- > 0)
        schema_push(&j, &at, TASK_LIT, lit[n], &outermost);
    return schema_branch(&j, at);
}

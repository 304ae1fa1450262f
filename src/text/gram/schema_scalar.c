/* schema_scalar.c - what schemas say of values without parts. Such sets are closed under all
 * that schemas do to each other, so not, oneOf and if are exact here.
 *
 * How deep schemas apply each other in place is limited before (schema_acyclic), and with it
 * the recursion of this file. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

#include <stdlib.h>

struct schema_set schema_set_all(const struct schema *s, enum schema_type t)
{
    struct schema_set a = {.simple = 1, .text = {s->any_text, 0, GRAM_INF}};

    if (t == TYPE_NUMBER)
        a.number = s->all;
    return a;
}

static struct schema_set none(const struct schema *s)
{
    struct schema_set a = {.simple = 0, .text = {RX_NONE, 0, GRAM_INF}, .number = s->no_number};

    return a;
}

int schema_set_join(struct schema *s, enum schema_type t, enum schema_op op,
                    const struct schema_set *a, const struct schema_set *b,
                    struct schema_set *out)
{
    int x = a->simple, y = b->simple;

    if (t == TYPE_STRING)
        return schema_text_join(s, op, &a->text, &b->text, &out->text);
    if (t != TYPE_NUMBER) {
        out->simple = op == SET_AND ? x && y : op == SET_OR ? x || y : x && !y;
        return 0;
    }
    if (op == SET_AND && a->number.next == s->all.next)
        out->number = b->number;
    else if (op == SET_AND && b->number.next == s->all.next)
        out->number = a->number;
    else if (op == SET_AND)
        return numset_and(&s->numbers, &a->number, &b->number, &out->number, s->e);
    else if (op == SET_OR)
        return numset_or(&s->numbers, &a->number, &b->number, &out->number, s->e);
    else
        return numset_minus(&s->numbers, &a->number, &b->number, &out->number, s->e);
    return 0;
}

int schema_set_live(struct schema *s, enum schema_type t, const struct schema_set *a)
{
    if (t == TYPE_STRING)
        return schema_text_live(s, &a->text);
    return t == TYPE_NUMBER ? !numset_is_empty(&a->number) : a->simple;
}

static int cut(struct schema *s, enum schema_type t, struct schema_set *acc, schema_lit l)
{
    struct schema_set a;
    int rc = schema_scalar(s, l, t, &a);

    return rc < 0 ? rc : schema_set_join(s, t, SET_AND, acc, &a, acc);
}

/* -- lists of alternatives ------------------------------------------------------------- */

/* Alternatives that are no more than constants are gathered: there may be thousands. */
struct gathered {
    const json_t **v;
    uint32_t n, cap;
};

static int gather(struct schema *s, struct gathered *g, const json_t *v, enum schema_type t)
{
    int rc;

    if (schema_value_type(v) != t)
        return 0;
    if ((rc = schema_grow(s, &g->v, g->n, &g->cap, sizeof(*g->v))) < 0)
        return rc;
    g->v[g->n++] = v;
    return 0;
}

static int is_constants(const struct schema *s, uint32_t node)
{
    const struct schema_node *n = &s->node[node];
    uint64_t have = n->have & ~KW_IDLE;

    if (have & KW_BIT(KW_type) && n->types & 1U << TYPE_INTEGER)
        return 0;
    have &= ~KW_BIT(KW_type);
    return have == KW_BIT(KW_const) || have == KW_BIT(KW_enum);
}

static int gather_node(struct schema *s, struct gathered *g, uint32_t node, enum schema_type t)
{
    const struct schema_node *n = &s->node[node];
    const json_t *list = schema_kw(n, KW_enum), *one = schema_kw(n, KW_const);
    int rc = 0;

    if (!is_constants(s, node))
        return 0;
    if (!(n->types & 1U << t))
        return 0;
    if (one)
        rc = gather(s, g, one, t);
    for (size_t i = 0; i < json_array_size(list) && rc == 0; i++)
        rc = gather(s, g, json_array_get(list, i), t);
    return rc;
}

static int by_value(const void *a, const void *b)
{
    const json_t *x = *(const json_t *const *)a, *y = *(const json_t *const *)b;
    struct decimal u, v;
    size_t n;
    int c;

    if (!json_is_string(x)) {
        if (decimal_of(&u, x, NULL) < 0 || decimal_of(&v, y, NULL) < 0)
            return 0;
        return decimal_cmp(&u, &v);
    }
    n = json_string_length(x) < json_string_length(y) ? json_string_length(x)
                                                      : json_string_length(y);
    c = memcmp(json_string_value(x), json_string_value(y), n);
    return c ? c : (json_string_length(x) > n) - (json_string_length(y) > n);
}

/* The union of what was gathered, and what was gathered more than once. */
static int gathered_sets(struct schema *s, struct gathered *g, enum schema_type t,
                         struct schema_set *any, struct schema_set *twice)
{
    uint32_t n_twice = 0;
    int rc = schema_set_list(s, t, g->v, g->n, any);

    if (rc < 0 || g->n < 2)
        return rc;
    if (t != TYPE_STRING && t != TYPE_NUMBER) {
        twice->simple = 1;
        return 0;
    }
    qsort(g->v, g->n, sizeof(*g->v), by_value);
    for (uint32_t i = 1; i < g->n; i++) {
        if (by_value(&g->v[i - 1], &g->v[i]) == 0)
            g->v[n_twice++] = g->v[i];
    }
    return n_twice ? schema_set_list(s, t, g->v, n_twice, twice) : 0;
}

static int add_alternative(struct schema *s, enum schema_type t, int one,
                           struct schema_set *any, struct schema_set *twice, uint32_t node)
{
    struct schema_set a, both;
    int rc = schema_scalar(s, LIT_NODE(node), t, &a);

    if (rc == 0 && one) {
        rc = schema_set_join(s, t, SET_AND, any, &a, &both);
        if (rc == 0 && (rc = schema_set_live(s, t, &both)) == 1)
            rc = schema_set_join(s, t, SET_OR, twice, &both, twice);
    }
    return rc < 0 ? rc : schema_set_join(s, t, SET_OR, any, &a, any);
}

/* anyOf; with one, oneOf: what is in any and not in two. */
static int choose(struct schema *s, const json_t *list, enum schema_type t, int one,
                  struct schema_set *out)
{
    struct gathered g = {0};
    struct schema_set any = none(s), twice = none(s);
    uint32_t node;
    int rc = 0;

    for (size_t i = 0; i < json_array_size(list) && rc >= 0; i++) {
        rc = gather_node(s, &g, schema_node_at(s, json_array_get(list, i)), t);
    }
    if (rc >= 0 && g.n)
        rc = gathered_sets(s, &g, t, &any, &twice);
    for (size_t i = 0; i < json_array_size(list) && rc >= 0; i++) {
        node = schema_node_at(s, json_array_get(list, i));
        if (!is_constants(s, node))
            rc = add_alternative(s, t, one, &any, &twice, node);
    }
    mem_free(g.v);
    if (rc < 0)
        return rc;
    if (!one || (rc = schema_set_live(s, t, &twice)) == 0) {
        *out = any;
        return 0;
    }
    return rc < 0 ? rc : schema_set_join(s, t, SET_MINUS, &any, &twice, out);
}

/* -- schemas --------------------------------------------------------------------------- */

static int in_place(struct schema *s, uint32_t node, enum schema_type t, struct schema_set *acc)
{
    const json_t *all = schema_kw(&s->node[node], KW_all_of);
    const json_t *not = schema_kw(&s->node[node], KW_not);
    const json_t *any = schema_kw(&s->node[node], KW_any_of);
    const json_t *one = schema_kw(&s->node[node], KW_one_of);
    struct schema_set a;
    int rc = 0;

    if (s->node[node].ref != NODE_NONE)
        rc = cut(s, t, acc, LIT_NODE(s->node[node].ref));
    if (rc == 0 && s->node[node].dynamic_ref != NODE_NONE)
        rc = cut(s, t, acc, LIT_NODE(s->node[node].dynamic_ref));
    for (size_t i = 0; i < json_array_size(all) && rc == 0; i++)
        rc = cut(s, t, acc, LIT_NODE(schema_node_at(s, json_array_get(all, i))));
    if (rc == 0 && not )
        rc = cut(s, t, acc, LIT_NODE(schema_node_at(s, not )) | 1);
    if (rc == 0 && any && (rc = choose(s, any, t, 0, &a)) == 0)
        rc = schema_set_join(s, t, SET_AND, acc, &a, acc);
    if (rc == 0 && one && (rc = choose(s, one, t, 1, &a)) == 0)
        rc = schema_set_join(s, t, SET_AND, acc, &a, acc);
    return rc;
}

/* if, then, else: (if and then) or (else without if). */
static int conditional(struct schema *s, uint32_t node, enum schema_type t,
                       struct schema_set *acc)
{
    const struct schema_node *n = &s->node[node];
    const json_t *cond = schema_kw(n, KW_if), *then = schema_kw(n, KW_then);
    const json_t *other = schema_kw(n, KW_else);
    struct schema_set yes, no, a, b;
    int rc;

    if (!cond || (!then && !other))
        return 0;
    if ((rc = schema_scalar(s, LIT_NODE(schema_node_at(s, cond)), t, &a)) < 0)
        return rc;
    yes = a;
    if ((rc = cut(s, t, &yes, LIT_NODE(schema_node_at(s, then)))) < 0)
        return rc;
    rc = schema_scalar(s, LIT_NODE(schema_node_at(s, other)), t, &b);
    if (rc == 0)
        rc = schema_set_join(s, t, SET_MINUS, &b, &a, &no);
    if (rc == 0)
        rc = schema_set_join(s, t, SET_OR, &yes, &no, &yes);
    return rc < 0 ? rc : schema_set_join(s, t, SET_AND, acc, &yes, acc);
}

static void remember(struct schema_node *n, enum schema_type t, const struct schema_set *a)
{
    n->known |= (uint8_t)(1U << t);
    if (t == TYPE_STRING)
        n->text = a->text;
    else if (t == TYPE_NUMBER)
        n->number = a->number;
    else if (a->simple)
        n->simple |= (uint8_t)(1U << t);
}

static int scalar_node(struct schema *s, uint32_t node, enum schema_type t,
                       struct schema_set *out)
{
    const struct schema_node *n = &s->node[node];
    int rc;

    *out = none(s);
    if (node == NODE_TRUE || node == NODE_FALSE) {
        *out = node == NODE_TRUE ? schema_set_all(s, t) : none(s);
        return 0;
    }
    if (n->known & 1U << t) {
        out->simple = n->simple >> t & 1;
        if (t == TYPE_STRING)
            out->text = n->text;
        else if (t == TYPE_NUMBER)
            out->number = n->number;
        return 0;
    }
    rc = schema_own(s, node, t, out);
    /* What nothing is left of need not be looked at further; it may be what was excluded. */
    if (rc == 0 && (rc = schema_set_live(s, t, out)) == 1) {
        rc = in_place(s, node, t, out);
        if (rc == 0)
            rc = conditional(s, node, t, out);
    }
    if (rc == 0)
        remember(&s->node[node], t, out);
    return rc;
}

int schema_scalar(struct schema *s, schema_lit l, enum schema_type t, struct schema_set *out)
{
    struct schema_set all = schema_set_all(s, t), a;
    int rc;

    if (l & 2)
        rc = schema_set_list(s, t, &s->value[l >> 2], schema_value_type(s->value[l >> 2]) == t,
                             &a);
    else
        rc = scalar_node(s, l >> 2, t, &a);
    if (rc < 0)
        return rc;
    if (!(l & 1)) {
        *out = a;
        return 0;
    }
    return schema_set_join(s, t, SET_MINUS, &all, &a, out);
}

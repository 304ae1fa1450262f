/* Expressions. */
#include "text/tmpl/jinja.h"

/* -- what stands behind a value ------------------------------------------------------- */

static int eval_slice(struct jinja_run *run, const struct jinja_node *n, struct value v,
                      struct value *out)
{
    const struct jinja_node *part[3] = {n->a, n->b, n->c};
    struct value s[3];

    for (int i = 0; i < 3; i++) {
        int rc = 0;

        s[i] = value_none();
        if (part[i])
            rc = jinja_eval(run, part[i], &s[i]);
        if (rc < 0)
            return rc;
    }
    return jinja_slice(run, v, s, out);
}

static int eval_item(struct jinja_run *run, const struct jinja_node *n, struct value v,
                     struct value *out)
{
    struct value key;
    int rc = jinja_eval(run, n->a, &key);

    return rc < 0 ? rc : jinja_item(run, v, key, out);
}

static int eval_call(struct jinja_run *run, const struct jinja_node *n, struct value f,
                     struct value *out)
{
    struct jinja_call c = {0};
    int rc = jinja_eval_args(run, n, &c);

    run->line = n->line;
    return rc < 0 ? rc : jinja_call(run, f, &c, out);
}

static int eval_filter(struct jinja_run *run, const struct jinja_node *n, struct value v,
                       struct value *out)
{
    struct jinja_call c = {.self = v};
    int rc;

    if (!n->fn)
        return value_fail(&run->room, E_INVALID, "there is no filter '%.*s'", (int)n->lit.s->n,
                          n->lit.s->p);
    rc = jinja_eval_args(run, n, &c);
    run->line = n->line;
    return rc < 0 ? rc : jinja_call_fn(run, n->fn, &c, out);
}

static int eval_test(struct jinja_run *run, const struct jinja_node *n, struct value v,
                     struct value *out)
{
    struct jinja_call c = {.self = v};
    int rc;

    if (!n->fn)
        return value_fail(&run->room, E_INVALID, "there is no test '%.*s'", (int)n->lit.s->n,
                          n->lit.s->p);
    rc = jinja_eval_args(run, n, &c);
    if (rc == 0)
        rc = jinja_call_fn(run, n->fn, &c, out);
    if (rc == 0)
        *out = value_bool(value_true(*out) != n->op);
    return rc;
}

/* v.name(...) of a built-in method, without making a value of the method. */
static int eval_method(struct jinja_run *run, const struct jinja_node *call,
                       const struct jinja_fn *fn, struct value v, struct value *out)
{
    struct jinja_call c = {0};
    int rc = jinja_eval_args(run, call, &c);

    c.self = v;
    run->line = call->line;
    if (rc == 0)
        rc = jinja_call_fn(run, fn, &c, out);
    *out = rc < 0 ? *out : jinja_as(v, *out);
    return rc;
}

int jinja_eval_tail(struct jinja_run *run, const struct jinja_node *n, struct value v,
                    struct value *out)
{
    int rc = 0;

    for (; n && rc == 0; n = n->next) {
        const struct jinja_fn *fn;

        run->line = n->line;
        switch (n->type) {
        case N_ATTR:
            fn = n->next && n->next->type == N_CALL && n->next != run->call
                     ? jinja_method_of(v, n->method)
                     : NULL;
            if (fn) {
                n = n->next;
                rc = eval_method(run, n, fn, v, &v);
            } else {
                rc = jinja_attr(run, v, n->lit, n->method, &v);
            }
            break;
        case N_ITEM:
            rc = eval_item(run, n, v, &v);
            break;
        case N_SLICE:
            rc = eval_slice(run, n, v, &v);
            break;
        case N_CALL:
            rc = eval_call(run, n, v, &v);
            break;
        case N_FILTER:
            rc = eval_filter(run, n, v, &v);
            break;
        default:
            rc = eval_test(run, n, v, &v);
            break;
        }
    }
    if (rc == 0)
        *out = v;
    return rc;
}

/* -- operators ------------------------------------------------------------------------ */

static int eval_const(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    (void)run;
    *out = n->lit;
    return 0;
}

static int eval_name(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    return jinja_lookup(run, n->name, out);
}

static int eval_postfix(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value v;
    int rc = jinja_eval(run, n->a, &v);

    return rc < 0 ? rc : jinja_eval_tail(run, n->b, v, out);
}

static int eval_list(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value list;
    int rc = value_list(&run->room, n->type == N_LIST ? VALUE_LIST : VALUE_TUPLE, 0, &list);

    for (const struct jinja_node *i = n->a; i && rc == 0; i = i->next) {
        struct value v;

        rc = jinja_eval(run, i, &v);
        if (rc == 0)
            rc = value_append(&run->room, list, v);
    }
    *out = list;
    return rc;
}

static int eval_dict(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value dict;
    int rc = value_dict(&run->room, VALUE_DICT, &dict);

    for (const struct jinja_node *i = n->a; i && rc == 0; i = i->next->next) {
        struct value key, v;

        rc = jinja_eval(run, i, &key);
        if (rc == 0)
            rc = jinja_eval(run, i->next, &v);
        if (rc == 0)
            rc = value_set(&run->room, dict, key, v);
    }
    *out = dict;
    return rc;
}

static int eval_cond(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value v;
    int rc = jinja_eval(run, n->a, &v);

    if (rc < 0)
        return rc;
    if (value_true(v))
        return jinja_eval(run, n->b, out);
    if (n->c)
        return jinja_eval(run, n->c, out);
    *out = value_undef();
    return 0;
}

static int eval_and_or(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    for (const struct jinja_node *i = n->a; i; i = i->next) {
        int rc = jinja_eval(run, i, out);

        if (rc < 0 || value_true(*out) == (n->type == N_OR))
            return rc;
    }
    return 0;
}

static int eval_not(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value v;
    int rc = jinja_eval(run, n->a, &v);

    if (rc == 0)
        *out = value_bool(!value_true(v));
    return rc;
}

static int eval_compare(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value a, b;
    int rc = jinja_eval(run, n->a, &a);

    for (const struct jinja_node *i = n->b; i && rc >= 0; i = i->next, a = b) {
        rc = jinja_eval(run, i->a, &b);
        if (rc == 0)
            rc = jinja_compare(run, i->op, a, b);
        if (rc == 0)
            break;
    }
    if (rc >= 0)
        *out = value_bool(rc);
    return rc < 0 ? rc : 0;
}

static int eval_math(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value a;
    int rc = jinja_eval(run, n->a, &a);

    for (const struct jinja_node *i = n->b; i && rc == 0; i = i->next) {
        struct value b;

        rc = jinja_eval(run, i->a, &b);
        if (rc == 0)
            rc = jinja_math(run, i->op, a, b, &a);
    }
    *out = a;
    return rc;
}

static int eval_concat(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value all = {0};
    int rc = 0;

    for (const struct jinja_node *i = n->a; i && rc == 0; i = i->next) {
        struct value v;

        rc = jinja_eval(run, i, &v);
        if (rc == 0)
            rc = jinja_str(run, v, &v);
        if (rc < 0)
            break;
        if (i == n->a)
            all = v;
        else
            rc = value_concat(&run->room, all, v, &all);
    }
    *out = all;
    return rc;
}

static int eval_sign(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct value v;
    int rc = jinja_eval(run, n->a, &v);

    if (rc < 0)
        return rc;
    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (v.kind == VALUE_FLOAT)
        *out = value_float(n->type == N_NEG ? -v.f : v.f);
    else if (v.kind != VALUE_INT && v.kind != VALUE_BOOL)
        return value_fail(&run->room, E_INVALID, "'%s' has no sign", value_type_name(v));
    else if (n->type == N_NEG)
        return jinja_math(run, OP_SUB, value_int(0), v, out);
    else
        *out = value_int(v.i);
    return 0;
}

int jinja_eval(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    static int (*const expressions[])(struct jinja_run *, const struct jinja_node *,
                                      struct value *) = {
        [N_CONST] = eval_const,     [N_NAME] = eval_name,  [N_LIST] = eval_list,
        [N_TUPLE] = eval_list,      [N_DICT] = eval_dict,  [N_COND] = eval_cond,
        [N_OR] = eval_and_or,       [N_AND] = eval_and_or, [N_NOT] = eval_not,
        [N_COMPARE] = eval_compare, [N_MATH] = eval_math,  [N_CONCAT] = eval_concat,
        [N_NEG] = eval_sign,        [N_POS] = eval_sign,   [N_POSTFIX] = eval_postfix,
    };
    int rc = value_pay(&run->room, 1);

    if (rc < 0)
        return rc;
    if (run->stack >= JINJA_STACK)
        return value_fail(&run->room, E_TOO_LONG, "nested more than %d deep", JINJA_STACK);
    run->stack++;
    rc = expressions[n->type](run, n, out);
    run->stack--;
    return rc;
}

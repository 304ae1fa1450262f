/* Pipelines, commands and operands. The value of one command is the last argument of the next.
 */
#include "text/tmpl/go_run.h"

/* -- variables -------------------------------------------------------------------------- */

int go_push(struct go_run *r, struct str name, struct value v)
{
    if (r->n_var == r->cap_var) {
        size_t cap = r->cap_var ? 2 * r->cap_var : 32;
        struct go_var *var = value_alloc(r->room, cap * sizeof(*var));

        if (!var)
            return go_code(r->room->e);
        if (r->n_var)
            memcpy(var, r->var, r->n_var * sizeof(*var));
        r->var = var;
        r->cap_var = cap;
    }
    r->var[r->n_var++] = (struct go_var){name, v};
    return 0;
}

/* The one declared last, NULL: a template may set what it never declared. */
static struct go_var *find_var(struct go_run *r, struct str name)
{
    for (size_t i = r->n_var; i-- > r->base;)
        if (str_eq(r->var[i].name, name))
            return &r->var[i];
    (void)value_fail(r->room, E_INVALID, "undefined variable: %.*s",
                     (int)(name.n < 64 ? name.n : 64), name.p);
    return NULL;
}

int go_set(struct go_run *r, struct str name, struct value v)
{
    struct go_var *var = find_var(r, name);

    if (!var)
        return E_INVALID;
    var->v = v;
    return 0;
}

/* -- operands --------------------------------------------------------------------------- */

static int eval_func(struct go_run *r, struct value dot, const struct go_node *f,
                     const struct go_node *args, const struct value *last, struct value *out);

static int eval_names(struct go_run *r, struct value v, const struct str *name, int n,
                      struct value *out)
{
    int rc = 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = go_field_of(r->room, v, name[i], &v);
    *out = v;
    return rc;
}

/* An operand with no arguments. */
static int eval_operand(struct go_run *r, struct value dot, const struct go_node *n,
                        struct value *out)
{
    struct go_var *var;
    struct value v;
    int rc = value_pay(r->room, 1);

    if (rc < 0)
        return rc;
    r->at = n->at;
    switch (n->kind) {
    case GO_DOT:
        *out = dot;
        return 0;
    case GO_FIELD:
        return eval_names(r, dot, n->name, n->n_name, out);
    case GO_VAR:
        rc = value_pay(r->room, (r->n_var - r->base) / 16);
        var = rc == 0 ? find_var(r, n->name[0]) : NULL;
        return var ? eval_names(r, var->v, n->name + 1, n->n_name - 1, out)
                   : go_code(r->room->e);
    case GO_CHAIN:
        rc = eval_operand(r, dot, n->child, &v);
        return rc < 0 ? rc : eval_names(r, v, n->name, n->n_name, out);
    case GO_PIPE:
        return go_eval(r, dot, n, out);
    case GO_FUNC:
        return eval_func(r, dot, n, NULL, NULL, out); /* what follows is not its own */
    case GO_BOOL:
        *out = value_bool((int)n->i);
        return 0;
    case GO_INT:
        *out = value_int(n->i);
        return 0;
    case GO_FLOAT:
        *out = value_float(n->f);
        return 0;
    case GO_STRING:
        return value_str(r->room, n->text, 0, out);
    default:
        *out = value_undef();
        return 0;
    }
}

/* -- functions -------------------------------------------------------------------------- */

static int count(const struct go_node *list)
{
    int n = 0;

    for (; list; list = list->next)
        n++;
    return n;
}

static int wrong_number(struct go_run *r, const struct go_func *f, int n)
{
    return value_fail(r->room, E_INVALID, "wrong number of args for %s: want %s%d got %d",
                      f->name, n < f->min && f->max != f->min ? "at least " : "",
                      n < f->min ? f->min : f->max, n);
}

/* and, or: the first argument that decides, or the last one. */
static int eval_and_or(struct go_run *r, struct value dot, int is_or,
                       const struct go_node *args, const struct value *last, struct value *out)
{
    for (; args; args = args->next) {
        int rc = eval_operand(r, dot, args, out);

        if (rc < 0 || go_truth(*out) == is_or)
            return rc;
    }
    if (last)
        *out = *last;
    return 0;
}

/* What the function's parameters want to be strings are some. */
static int check_texts(struct go_run *r, const struct go_func *f, const struct value *v, int n)
{
    int n_text = f->text == GO_TEXT_ALL ? n : f->text == GO_TEXT_FIRST ? 1 : 0;

    for (int i = 0; i < n_text; i++)
        if (v[i].kind != VALUE_STR)
            return value_fail(r->room, E_INVALID,
                              "wrong type for argument %d of %s: expected string; got %s",
                              i + 1, f->name, go_type_name(v[i]));
    return 0;
}

/* args: a list, or NULL; last: one more, or NULL. */
static int eval_func(struct go_run *r, struct value dot, const struct go_node *f,
                     const struct go_node *args, const struct value *last, struct value *out)
{
    const struct go_func *func = go_func(f->func);
    int n = count(args) + (last ? 1 : 0), i = 0, rc = 0;
    struct value *v;

    r->at = f->at;
    if (n < func->min || (func->max >= 0 && n > func->max))
        return wrong_number(r, func, n);
    if (f->func == GO_FUNC_AND || f->func == GO_FUNC_OR)
        return eval_and_or(r, dot, f->func == GO_FUNC_OR, args, last, out);
    v = value_alloc(r->room, ((size_t)n + 1) * sizeof(*v));
    if (!v)
        return go_code(r->room->e);
    for (; args && rc == 0; args = args->next)
        rc = eval_operand(r, dot, args, &v[i++]);
    if (rc < 0)
        return rc;
    if (last)
        v[i++] = *last;
    r->at = f->at;
    rc = check_texts(r, func, v, n);
    if (rc == 0)
        rc = func->call(r, v, (size_t)n, out);
    return rc == E_INVALID ? err_wrap(r->room->e, rc, "%s", func->name) : rc;
}

/* -- pipelines -------------------------------------------------------------------------- */

/* What is no function takes no argument; but a field of no value is none with any. */
static int eval_with_args(struct go_run *r, struct value dot, const struct go_node *n,
                          struct value *out)
{
    int rc = 0;

    *out = value_none();
    if (n->kind == GO_FIELD || n->kind == GO_CHAIN || (n->kind == GO_VAR && n->n_name > 1))
        rc = eval_operand(r, dot, n, out);
    if (rc < 0 || out->kind == VALUE_UNDEF)
        return rc;
    return value_fail(r->room, E_INVALID, "an argument is given to what is no function");
}

static int eval_command(struct go_run *r, struct value dot, const struct go_node *cmd,
                        const struct value *last, struct value *out)
{
    const struct go_node *n = cmd->child;

    r->at = n->at;
    if (n->kind == GO_FUNC)
        return eval_func(r, dot, n, n->next, last, out);
    if (n->next || last)
        return eval_with_args(r, dot, n, out);
    if (n->kind == GO_NIL)
        return value_fail(r->room, E_INVALID, "nil is not a command");
    return eval_operand(r, dot, n, out);
}

int go_eval(struct go_run *r, struct value dot, const struct go_node *pipe, struct value *out)
{
    const struct value *last = NULL;
    struct value v = value_undef(), was;
    int rc = value_enter(r->room);

    for (const struct go_node *c = pipe ? pipe->child : NULL; c && rc == 0; c = c->next) {
        was = v;
        rc = eval_command(r, dot, c, last ? &was : NULL, &v);
        if (v.kind == VALUE_NONE)
            v = value_undef();
        last = &was;
    }
    for (int i = 0; pipe && i < pipe->n_name && rc == 0; i++)
        rc = pipe->is_assign ? go_set(r, pipe->name[i], v) : go_push(r, pipe->name[i], v);
    *out = v;
    if (rc == 0)
        value_leave(r->room);
    return rc;
}

/* Statements, scopes and macros. */
#include "text/tmpl/jinja.h"

/* -- scopes --------------------------------------------------------------------------- */

int jinja_push(struct jinja_run *run, struct jinja_frame *up)
{
    struct jinja_frame *f = value_alloc(&run->room, sizeof(*f));

    if (!f)
        return value_failed(&run->room);
    *f = (struct jinja_frame){.up = up};
    run->frame = f;
    return 0;
}

static struct jinja_var *find_var(struct jinja_frame *f, uint32_t name)
{
    for (size_t i = f->n; i-- > 0;) {
        if (f->var[i].name == name)
            return &f->var[i];
    }
    return NULL;
}

int jinja_bind(struct jinja_run *run, uint32_t name, struct value v)
{
    struct jinja_frame *f = run->frame;
    struct jinja_var *var = find_var(f, name);

    if (var) {
        var->v = v;
        return 0;
    }
    if (f->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 4;

        var = value_alloc(&run->room, cap * sizeof(*var));
        if (!var)
            return value_failed(&run->room);
        if (f->n)
            memcpy(var, f->var, f->n * sizeof(*var));
        f->var = var;
        f->cap = cap;
    }
    f->var[f->n++] = (struct jinja_var){name, v};
    return 0;
}

/* Whose strings those of a variable are. */
static int is_users(struct str name)
{
    return str_is(name, "messages") || str_is(name, "tools") || str_is(name, "documents");
}

/* A variable of the render, or a function that is built in. */
static int look_globally(struct jinja_run *run, uint32_t name, struct value *out)
{
    struct str s = run->t->names[name];
    const json_t *j = json_object_getn(run->vars, s.p, s.n);

    if (j)
        return value_of_json(&run->room, j, is_users(s), out);
    for (const struct jinja_fn *fn = jinja_globals; fn->name; fn++) {
        if (str_is(s, fn->name))
            return jinja_new_function(run, fn, value_none(), out);
    }
    return jinja_new_undefined(run, s, out);
}

int jinja_lookup(struct jinja_run *run, uint32_t name, struct value *out)
{
    for (struct jinja_frame *f = run->frame; f; f = f->up) {
        const struct jinja_var *var = find_var(f, name);

        if (var) {
            *out = var->v;
            return 0;
        }
    }
    if (jinja_absent(run->global[name])) {
        int rc = look_globally(run, name, &run->global[name]);

        if (rc < 0)
            return rc;
    }
    *out = run->global[name];
    return 0;
}

static int assign_each(struct jinja_run *run, const struct jinja_node *target, struct value v)
{
    struct value items;
    size_t want = 0, i = 0;
    int rc = jinja_items(run, v, &items);

    if (rc < 0)
        return rc;
    for (const struct jinja_node *n = target->a; n; n = n->next)
        want++;
    if (items.l->n != want)
        return value_fail(&run->room, E_INVALID, "%zu values for %zu names", items.l->n, want);
    for (const struct jinja_node *n = target->a; n && rc == 0; n = n->next)
        rc = jinja_assign(run, n, items.l->v[i++]);
    return rc;
}

int jinja_assign(struct jinja_run *run, const struct jinja_node *target, struct value v)
{
    struct value ns;
    int rc;

    if (target->type == N_NAME)
        return jinja_bind(run, target->name, v);
    if (target->type == N_TUPLE)
        return assign_each(run, target, v);
    rc = jinja_lookup(run, target->name, &ns);
    if (rc < 0)
        return rc;
    if (ns.kind != VALUE_NAMESPACE)
        return value_fail(&run->room, E_INVALID,
                          "'%.*s' is no namespace: only a namespace's attributes can be set",
                          (int)run->t->names[target->name].n, run->t->names[target->name].p);
    return value_set(&run->room, ns, target->lit, v);
}

/* -- pieces of text ------------------------------------------------------------------- */

/* Runs a body in a scope of its own, and gives what it writes. */
static int capture(struct jinja_run *run, const struct jinja_node *body, struct value *out)
{
    struct jinja_frame *frame = run->frame;
    struct value_build *outer = run->out, b;
    int rc = jinja_push(run, frame);

    if (rc < 0)
        return rc;
    value_build(&b, &run->room);
    run->out = &b;
    rc = jinja_exec(run, body);
    run->out = outer;
    run->frame = frame;
    if (rc == 0)
        rc = value_built(&b, out);
    return rc;
}

static int exec_print(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = jinja_eval(run, n->b, &v);

    if (rc < 0)
        return rc;
    jinja_put_str(run, run->out, v);
    return run->out->rc;
}

static int exec_if(struct jinja_run *run, const struct jinja_node *n)
{
    for (; n; n = n->d) {
        struct value v = value_bool(1);
        int rc = n->a ? jinja_eval(run, n->a, &v) : 0;

        if (rc < 0)
            return rc;
        if (value_true(v))
            return jinja_exec(run, n->c);
    }
    return 0;
}

static int exec_set(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = jinja_eval(run, n->b, &v);

    return rc < 0 ? rc : jinja_assign(run, n->a, v);
}

static int exec_set_block(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = capture(run, n->c, &v);

    if (rc == 0 && n->b)
        rc = jinja_eval_tail(run, n->b->b, v, &v);
    return rc ? rc : jinja_assign(run, n->a, v);
}

static int exec_filter(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = capture(run, n->c, &v);

    if (rc == 0)
        rc = jinja_eval_tail(run, n->b->b, v, &v);
    if (rc)
        return rc;
    jinja_put_str(run, run->out, v);
    return run->out->rc;
}

static int exec_with(struct jinja_run *run, const struct jinja_node *n)
{
    struct jinja_frame *outer = run->frame, *inner;
    int rc = jinja_push(run, outer);

    inner = run->frame;
    for (const struct jinja_node *set = n->a; set && rc == 0; set = set->next) {
        struct value v;

        run->frame = outer; /* values do not see the new names */
        rc = jinja_eval(run, set->b, &v);
        run->frame = inner;
        if (rc == 0)
            rc = jinja_assign(run, set->a, v);
    }
    if (rc == 0)
        rc = jinja_exec(run, n->c);
    run->frame = outer;
    return rc;
}

/* -- macros --------------------------------------------------------------------------- */

static int new_macro(struct jinja_run *run, const struct jinja_node *n, struct value *out)
{
    struct jinja_macro *m = value_alloc(&run->room, sizeof(*m));

    if (!m)
        return value_failed(&run->room);
    *m = (struct jinja_macro){{.type = jinja_is_macro}, n, run->frame};
    for (struct jinja_frame *f = run->frame; f; f = f->up)
        f->held = 1;
    *out = value_of_obj(&m->obj);
    return 0;
}

static int exec_macro(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = new_macro(run, n, &v);

    return rc < 0 ? rc : jinja_bind(run, n->name, v);
}

static int exec_call(struct jinja_run *run, const struct jinja_node *n)
{
    const struct jinja_node *outer_call = run->call, *last = n->b->b;
    struct value outer_caller = run->caller, v;
    int rc = new_macro(run, n, &run->caller);

    while (last->next)
        last = last->next;
    run->call = last;
    if (rc == 0)
        rc = jinja_eval(run, n->b, &v);
    run->call = outer_call;
    run->caller = outer_caller;
    if (rc != 0)
        return rc;
    jinja_put_str(run, run->out, v);
    return run->out->rc;
}

/* Named arguments that no parameter took: `caller` goes to its name, the rest to kwargs, if the
 * body asks for them. */
static int bind_named(struct jinja_run *run, const struct jinja_node *n, struct jinja_call *c)
{
    const struct jinja *t = run->t;
    const struct value_entry *e;
    struct value rest;
    int rc = value_dict(&run->room, VALUE_DICT, &rest);

    for (size_t i = 0; rc == 0 && c->kw.kind == VALUE_DICT && (e = value_next(c->kw, &i));) {
        int param = 0;

        for (const struct jinja_node *p = n->a; p; p = p->next)
            param |= str_eq(t->names[p->name], value_bytes(e->key));
        if (param)
            continue;
        if ((n->op & JINJA_USES_CALLER) && value_is(e->key, "caller"))
            rc = jinja_bind(run, t->caller, e->val);
        else if (n->op & JINJA_USES_KWARGS)
            rc = value_set(&run->room, rest, e->key, e->val);
        else
            return value_fail(&run->room, E_INVALID, "macro '%.*s' takes no argument '%.*s'",
                              (int)t->names[n->name].n, t->names[n->name].p, (int)e->key.s->n,
                              e->key.s->p);
    }
    return rc < 0 || !(n->op & JINJA_USES_KWARGS) ? rc : jinja_bind(run, t->kwargs, rest);
}

/* Arguments behind the last parameter. */
static int bind_rest(struct jinja_run *run, const struct jinja_node *n, struct jinja_call *c,
                     size_t n_param)
{
    struct value list;
    int rc;

    if (!(n->op & JINJA_USES_VARARGS)) {
        if (c->n_pos > n_param)
            return value_fail(&run->room, E_INVALID,
                              "macro '%.*s' takes not more than %zu argument(s)",
                              (int)run->t->names[n->name].n, run->t->names[n->name].p, n_param);
        return bind_named(run, n, c);
    }
    rc = value_list(&run->room, VALUE_TUPLE, 0, &list);
    for (size_t i = n_param; i < c->n_pos && rc == 0; i++)
        rc = value_append(&run->room, list, c->pos[i]);
    if (rc == 0)
        rc = jinja_bind(run, run->t->varargs, list);
    return rc < 0 ? rc : bind_named(run, n, c);
}

static int bind_params(struct jinja_run *run, const struct jinja_node *n, struct jinja_call *c)
{
    size_t i = 0;
    int rc = 0;

    for (const struct jinja_node *p = n->a; p && rc == 0; p = p->next, i++) {
        struct str name = run->t->names[p->name];
        const struct value_entry *kw =
            c->kw.kind == VALUE_DICT ? value_find_str(c->kw, name) : NULL;
        struct value v;

        if (kw && i < c->n_pos)
            return value_fail(&run->room, E_INVALID, "two values for the argument '%.*s'",
                              (int)name.n, name.p);
        if (kw)
            v = kw->val;
        else if (i < c->n_pos)
            v = c->pos[i];
        else if (p->b)
            rc = jinja_eval(run, p->b, &v);
        else
            rc = jinja_new_undefined(run, name, &v);
        if (rc == 0)
            rc = jinja_bind(run, p->name, v);
    }
    return rc < 0 ? rc : bind_rest(run, n, c, i);
}

int jinja_call_macro(struct jinja_run *run, struct jinja_macro *m, struct jinja_call *c,
                     struct value *out)
{
    struct jinja_frame *frame = run->frame;
    struct value_build *outer = run->out, b;
    int rc = value_enter(&run->room);

    if (rc < 0)
        return rc;
    value_build(&b, &run->room);
    rc = jinja_push(run, m->frame);
    if (rc == 0)
        rc = bind_params(run, m->node, c);
    if (rc == 0) {
        run->out = &b;
        rc = jinja_exec(run, m->node->c);
    }
    run->out = outer;
    run->frame = frame;
    value_leave(&run->room);
    return rc < 0 ? rc : value_built(&b, out);
}

/* -- loops ---------------------------------------------------------------------------- */

/* Only those items for which the condition holds. */
static int filter_items(struct jinja_run *run, const struct jinja_node *n, struct value items,
                        struct value *out)
{
    struct jinja_frame *outer = run->frame;
    int rc = value_list(&run->room, VALUE_LIST, 0, out);

    if (rc == 0)
        rc = jinja_push(run, outer);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        struct value v;

        rc = jinja_assign(run, n->a, items.l->v[i]);
        if (rc == 0)
            rc = jinja_eval(run, n->d, &v);
        if (rc == 0 && value_true(v))
            rc = value_append(&run->room, *out, items.l->v[i]);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    run->frame = outer;
    return rc;
}

/* One pass; the scope is used again unless something holds it. */
static int pass(struct jinja_run *run, const struct jinja_node *n, struct jinja_frame *outer,
                struct jinja_loop *loop)
{
    int rc = value_pay(&run->room, 1);

    if (rc == 0 && (run->frame == outer || run->frame->held))
        rc = jinja_push(run, outer);
    if (rc < 0)
        return rc;
    run->frame->n = 0;
    rc = jinja_bind(run, run->t->loop, value_of_obj(&loop->obj));
    if (rc == 0)
        rc = jinja_assign(run, n->a, loop->items.l->v[loop->i]);
    return rc < 0 ? rc : jinja_exec(run, n->c);
}

int jinja_for(struct jinja_run *run, const struct jinja_node *n, struct value v, int depth)
{
    struct jinja_frame *outer = run->frame;
    struct jinja_loop *loop;
    struct value items;
    int rc = jinja_items(run, v, &items);

    if (rc == 0 && n->d)
        rc = filter_items(run, n, items, &items);
    if (rc < 0)
        return rc;
    loop = value_alloc(&run->room, sizeof(*loop));
    if (!loop)
        return value_failed(&run->room);
    *loop = (struct jinja_loop){.obj = {.type = jinja_is_loop},
                                .node = n,
                                .frame = outer,
                                .items = items,
                                .depth = depth,
                                .changed = jinja_absent_value()};
    /* A body that appends to the list makes the loop longer, as in Python. */
    for (; loop->i < items.l->n && rc >= 0 && rc != JINJA_BREAK; loop->i++)
        rc = pass(run, n, outer, loop);
    run->frame = outer;
    if (rc < 0)
        return rc;
    return loop->i == 0 && n->e ? jinja_exec(run, n->e) : 0;
}

static int exec_for(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;
    int rc = jinja_eval(run, n->b, &v);

    return rc < 0 ? rc : jinja_for(run, n, v, 0);
}

/* -- all statements ------------------------------------------------------------------- */

static int exec_text(struct jinja_run *run, const struct jinja_node *n)
{
    value_put(run->out, value_bytes(n->lit), 0);
    return run->out->rc;
}

static int exec_group(struct jinja_run *run, const struct jinja_node *n)
{
    return jinja_exec(run, n->c);
}

static int exec_break(struct jinja_run *run, const struct jinja_node *n)
{
    (void)run;
    (void)n;
    return JINJA_BREAK;
}

static int exec_continue(struct jinja_run *run, const struct jinja_node *n)
{
    (void)run;
    (void)n;
    return JINJA_CONTINUE;
}

static int exec_do(struct jinja_run *run, const struct jinja_node *n)
{
    struct value v;

    return jinja_eval(run, n->b, &v);
}

int jinja_exec(struct jinja_run *run, const struct jinja_node *list)
{
    static int (*const statements[])(struct jinja_run *, const struct jinja_node *) = {
        [N_TEXT] = exec_text,
        [N_PRINT] = exec_print,
        [N_IF] = exec_if,
        [N_FOR] = exec_for,
        [N_SET] = exec_set,
        [N_SET_BLOCK] = exec_set_block,
        [N_MACRO] = exec_macro,
        [N_CALL_BLOCK] = exec_call,
        [N_FILTER_BLOCK] = exec_filter,
        [N_WITH] = exec_with,
        [N_GROUP] = exec_group,
        [N_BREAK] = exec_break,
        [N_CONTINUE] = exec_continue,
        [N_DO] = exec_do,
    };
    int rc = 0;

    if (run->stack >= JINJA_STACK)
        return value_fail(&run->room, E_TOO_LONG, "nested more than %d deep", JINJA_STACK);
    run->stack++;
    for (; list && rc == 0; list = list->next) {
        run->line = list->line;
        rc = value_pay(&run->room, 1);
        if (rc == 0)
            rc = statements[list->type](run, list);
    }
    run->stack--;
    return rc;
}

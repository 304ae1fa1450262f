/* Calls: arguments and their binding, and what can be called. */
#include "text/tmpl/jinja.h"

const char jinja_is_function[] = "function", jinja_is_macro[] = "macro",
           jinja_is_loop[] = "LoopContext", jinja_is_range[] = "range",
           jinja_is_cycler[] = "Cycler", jinja_is_joiner[] = "Joiner",
           jinja_is_generator[] = "generator", jinja_is_keys[] = "dict_keys",
           jinja_is_values[] = "dict_values", jinja_is_pairs[] = "dict_items";

int jinja_new_function(struct jinja_run *run, const struct jinja_fn *fn, struct value self,
                       struct value *out)
{
    struct jinja_function *f = value_alloc(&run->room, sizeof(*f));

    if (!f)
        return value_failed(&run->room);
    *f = (struct jinja_function){{.type = jinja_is_function}, fn, self};
    *out = value_of_obj(&f->obj);
    return 0;
}

int jinja_new_gen(struct jinja_run *run, const char *type, struct value items,
                  struct value *out)
{
    struct jinja_gen *g = value_alloc(&run->room, sizeof(*g));

    if (!g)
        return value_failed(&run->room);
    *g = (struct jinja_gen){.obj = {.type = type}, .items = items};
    g->obj.is_false = type != jinja_is_generator && items.l->n == 0;
    *out = value_of_obj(&g->obj);
    return 0;
}

/* -- arguments ------------------------------------------------------------------------ */

static int add_named(struct jinja_run *run, struct jinja_call *c, struct value name,
                     struct value v)
{
    int rc = c->kw.kind == VALUE_DICT ? 0 : value_dict(&run->room, VALUE_DICT, &c->kw);

    if (rc == 0 && name.kind != VALUE_STR)
        return value_fail(&run->room, E_INVALID, "names of arguments are strings, not '%s'",
                          value_type_name(name));
    if (rc == 0 && value_find(c->kw, name))
        return value_fail(&run->room, E_INVALID, "two values for the argument '%.*s'",
                          (int)name.s->n, name.s->p);
    return rc < 0 ? rc : value_set(&run->room, c->kw, name, v);
}

/* *list and **dict */
static int spread(struct jinja_run *run, struct jinja_call *c, int op, struct value list,
                  struct value v)
{
    const struct value_entry *e;
    struct value items;
    int rc = 0;

    if (op == '@') {
        if (!value_is_dict(v))
            return value_fail(&run->room, E_INVALID,
                              "what stands behind ** is a dict, not '%s'", value_type_name(v));
        for (size_t i = 0; rc == 0 && (e = value_next(v, &i));)
            rc = add_named(run, c, e->key, e->val);
        return rc;
    }
    rc = jinja_items(run, v, &items);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++)
        rc = value_append(&run->room, list, items.l->v[i]);
    return rc;
}

int jinja_eval_args(struct jinja_run *run, const struct jinja_node *call, struct jinja_call *c)
{
    struct value list = {0}, v;
    int rc = 0;

    c->kw = value_undef();
    if (call->a)
        rc = value_list(&run->room, VALUE_TUPLE, 2, &list);
    for (const struct jinja_node *n = call->a; n && rc == 0; n = n->next) {
        rc = jinja_eval(run, n->a, &v);
        if (rc < 0)
            break;
        if (n->op == 0)
            rc = value_append(&run->room, list, v);
        else if (n->op == '=')
            rc = add_named(run, c, n->lit, v);
        else
            rc = spread(run, c, n->op, list, v);
    }
    if (rc == 0 && call == run->call) {
        run->call = NULL;
        rc = value_str(&run->room, str_of("caller"), 0, &v);
        if (rc == 0)
            rc = add_named(run, c, v, run->caller);
    }
    if (rc == 0 && call->a) {
        c->pos = list.l->v;
        c->n_pos = list.l->n;
    }
    return rc;
}

/* The place of a name in "a b c", or -1. */
static int param_index(const char *params, struct str name)
{
    for (int i = 0; *params; i++) {
        size_t n = strcspn(params, " ");

        if (str_eq((struct str){params, n}, name))
            return i;
        params += n;
        params += *params == ' ';
    }
    return -1;
}

static int count_params(const char *params)
{
    int n = *params != '\0';

    for (; *params; params++)
        n += *params == ' ';
    return n;
}

static int bind_named(struct jinja_run *run, const struct jinja_fn *fn, struct jinja_call *c)
{
    const struct value_entry *e;

    for (size_t i = 0; (e = value_next(c->kw, &i));) {
        int at = param_index(fn->params, value_bytes(e->key));

        if (at < 0 && (fn->flags & FN_ANY_KW))
            continue;
        if (at < 0)
            return value_fail(&run->room, E_INVALID, "%s takes no argument '%.*s'", fn->name,
                              (int)e->key.s->n, e->key.s->p);
        if (!jinja_absent(c->a[at]))
            return value_fail(&run->room, E_INVALID, "%s: two values for the argument '%.*s'",
                              fn->name, (int)e->key.s->n, e->key.s->p);
        c->a[at] = e->val;
    }
    return 0;
}

int jinja_call_fn(struct jinja_run *run, const struct jinja_fn *fn, struct jinja_call *c,
                  struct value *out)
{
    int n = count_params(fn->params), rc = 0;

    for (int i = 0; i < n; i++)
        c->a[i] = (size_t)i < c->n_pos ? c->pos[i] : jinja_absent_value();
    if (c->n_pos > (size_t)n && !(fn->flags & FN_ANY_POS))
        return value_fail(&run->room, E_INVALID, "%s takes at most %d arguments, not %zu",
                          fn->name, n, c->n_pos);
    if (c->kw.kind == VALUE_DICT)
        rc = bind_named(run, fn, c);
    for (int i = 0; i < fn->min && rc == 0; i++) {
        if (jinja_absent(c->a[i]))
            return value_fail(&run->room, E_INVALID, "%s needs %d argument%s", fn->name,
                              fn->min, fn->min > 1 ? "s" : "");
    }
    if (rc == 0 && (fn->flags & FN_CHANGES) && run->strict)
        return value_fail(&run->room, E_INVALID,
                          "access to attribute '%s' of '%s' object is unsafe", fn->name,
                          value_type_name(c->self));
    if (rc == 0)
        rc = value_pay(&run->room, 1);
    if (rc == 0)
        rc = value_enter(&run->room);
    if (rc < 0)
        return rc;
    rc = fn->run(run, c, out);
    value_leave(&run->room);
    return rc;
}

/* -- objects that are called ---------------------------------------------------------- */

/* loop(items) of a recursive loop */
static int call_loop(struct jinja_run *run, struct jinja_loop *l, struct jinja_call *c,
                     struct value *out)
{
    struct jinja_frame *frame = run->frame;
    struct value_build *outer = run->out, b;
    int rc;

    if (!l->node->op)
        return value_fail(&run->room, E_INVALID, "this loop is not 'recursive'");
    if (c->n_pos != 1)
        return value_fail(&run->room, E_INVALID, "loop() takes what to loop over");
    rc = value_enter(&run->room);
    if (rc < 0)
        return rc;
    value_build(&b, &run->room);
    run->out = &b;
    run->frame = l->frame;
    rc = jinja_for(run, l->node, c->pos[0], l->depth + 1);
    run->out = outer;
    run->frame = frame;
    value_leave(&run->room);
    return rc < 0 ? rc : value_built(&b, out);
}

static int call_joiner(struct jinja_run *run, struct jinja_joiner *j, struct value *out)
{
    int first = !j->used;

    j->used = 1;
    *out = j->sep;
    return first ? value_str(&run->room, str_of(""), 0, out) : 0;
}

int jinja_call(struct jinja_run *run, struct value f, struct jinja_call *c, struct value *out)
{
    int rc;

    if (f.kind == VALUE_UNDEF)
        return jinja_undefined(run, f);
    if (jinja_is(f, jinja_is_function)) {
        const struct jinja_function *fn = (const struct jinja_function *)f.o;

        c->self = fn->self;
        rc = jinja_call_fn(run, fn->fn, c, out);
        *out = rc < 0 ? *out : jinja_as(fn->self, *out);
        return rc;
    }
    if (jinja_is(f, jinja_is_macro))
        return jinja_call_macro(run, (struct jinja_macro *)f.o, c, out);
    if (jinja_is(f, jinja_is_loop))
        return call_loop(run, (struct jinja_loop *)f.o, c, out);
    if (jinja_is(f, jinja_is_joiner))
        return call_joiner(run, (struct jinja_joiner *)f.o, out);
    return value_fail(&run->room, E_INVALID, "'%s' cannot be called", value_type_name(f));
}

/* -- methods of objects --------------------------------------------------------------- */

static int loop_cycle(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct jinja_loop *l = (const struct jinja_loop *)c->self.o;

    if (c->n_pos == 0)
        return value_fail(&run->room, E_INVALID, "loop.cycle needs something to cycle through");
    *out = c->pos[l->i % c->n_pos];
    return 0;
}

static int loop_changed(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_loop *l = (struct jinja_loop *)c->self.o;
    struct value all;
    int rc = value_list(&run->room, VALUE_TUPLE, c->n_pos, &all);

    for (size_t i = 0; i < c->n_pos && rc == 0; i++)
        rc = value_append(&run->room, all, c->pos[i]);
    if (rc == 0)
        rc = jinja_absent(l->changed) ? 0 : value_eq(&run->room, l->changed, all);
    if (rc < 0)
        return rc;
    l->changed = all;
    *out = value_bool(!rc);
    return 0;
}

static int cycler_next(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct jinja_cycler *y = (struct jinja_cycler *)c->self.o;

    (void)run;
    *out = y->items.l->v[y->i];
    y->i = (y->i + 1) % y->items.l->n;
    return 0;
}

static int cycler_reset(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    (void)run;
    ((struct jinja_cycler *)c->self.o)->i = 0;
    *out = value_none();
    return 0;
}

const struct jinja_fn *jinja_find_obj_method(struct value v, struct str name)
{
    static const struct {
        const char *type;
        struct jinja_fn fn;
    } methods[] = {
        {jinja_is_loop, {"cycle", "", 0, FN_ANY_POS, loop_cycle}},
        {jinja_is_loop, {"changed", "", 0, FN_ANY_POS, loop_changed}},
        {jinja_is_cycler, {"next", "", 0, 0, cycler_next}},
        {jinja_is_cycler, {"reset", "", 0, 0, cycler_reset}},
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        if (v.o->type == methods[i].type && str_is(name, methods[i].fn.name))
            return &methods[i].fn;
    }
    return NULL;
}

/* Expressions. */
#include "text/tmpl/jinja.h"

/* -- attributes and items --------------------------------------------------------------------
 */

int jinja_new_undefined(struct jinja_run *run, struct str name, struct value *out)
{
    int rc = value_str(&run->room, name, 0, out);

    if (rc == 0)
        *out = (struct value){.kind = VALUE_UNDEF, .s = out->s};
    return rc;
}

int jinja_undefined(struct jinja_run *run, struct value v)
{
    const char *name = v.s ? v.s->p : "a value";
    int n = v.s ? (int)(v.s->n < 100 ? v.s->n : 100) : 7;

    if (v.from)
        return value_fail(&run->room, E_INVALID, "'%s object' has no attribute '%.*s'",
                          value_type_name((struct value){.kind = (uint16_t)(v.from - 1)}), n,
                          name);
    return value_fail(&run->room, E_INVALID, "'%.*s' is undefined", n, name);
}

static struct value missing(struct value owner, struct value name)
{
    struct value v = {.kind = VALUE_UNDEF, .s = name.kind == VALUE_STR ? name.s : NULL};

    v.from = (uint16_t)(owner.kind == VALUE_OBJ ? 0 : owner.kind + 1);
    return v;
}

static const struct jinja_fn *method_of(struct value v, const struct jinja_fn *const *method)
{
    switch (v.kind) {
    case VALUE_STR:
        return method[OF_STR];
    case VALUE_LIST:
    case VALUE_TUPLE:
        return method[OF_LIST];
    case VALUE_DICT:
        return method[OF_DICT];
    default:
        return NULL;
    }
}

static int loop_attr(struct jinja_run *run, struct value v, struct str name, struct value *out)
{
    struct jinja_loop *l = (struct jinja_loop *)v.o;
    size_t n = l->items.l->n;
    const struct {
        const char *name;
        int64_t value;
        int is_bool;
    } numbers[] = {
        {"index", (int64_t)l->i + 1, 0},
        {"index0", (int64_t)l->i, 0},
        {"revindex", (int64_t)(n - l->i), 0},
        {"revindex0", (int64_t)(n - l->i) - 1, 0},
        {"length", (int64_t)n, 0},
        {"depth", l->depth + 1, 0},
        {"depth0", l->depth, 0},
        {"first", l->i == 0, 1},
        {"last", l->i + 1 == n, 1},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (str_is(name, numbers[i].name)) {
            *out = value_int(numbers[i].value);
            out->kind = numbers[i].is_bool ? VALUE_BOOL : VALUE_INT;
            return 1;
        }
    }
    if (str_is(name, "previtem") || str_is(name, "nextitem")) {
        size_t at = l->i + (name.p[0] == 'p' ? (size_t)-1 : 1);

        if (at < n)
            *out = l->items.l->v[at];
        else
            return jinja_new_undefined(run, name, out) < 0 ? run->room.e->code : 1;
        return 1;
    }
    return 0;
}

/* An attribute of an object: 1 and *out, 0 there is none, or a failure. */
static int obj_attr(struct jinja_run *run, struct value v, struct value name, struct value *out)
{
    struct str s = value_bytes(name);
    const struct jinja_fn *fn = NULL;
    int rc;

    if (jinja_is(v, jinja_is_loop)) {
        rc = loop_attr(run, v, s, out);
        if (rc)
            return rc;
    }
    if (jinja_is(v, jinja_is_cycler) && str_is(s, "current")) {
        const struct jinja_cycler *c = (const struct jinja_cycler *)v.o;

        *out = c->items.l->v[c->i];
        return 1;
    }
    if (jinja_is(v, jinja_is_macro) && str_is(s, "name")) {
        struct str called = run->t->names[((const struct jinja_macro *)v.o)->node->name];

        rc = value_str(&run->room, called, 0, out);
        return rc < 0 ? rc : 1;
    }
    fn = jinja_find_obj_method(v, s);
    if (!fn)
        return 0;
    rc = jinja_new_function(run, fn, v, out);
    return rc < 0 ? rc : 1;
}

/* What groupby gives are pairs whose parts have names. */
static int group_attr(struct value v, struct value name, struct value *out)
{
    if (v.kind != VALUE_TUPLE || v.l->n != 2 ||
        (!value_is(name, "grouper") && !value_is(name, "list")))
        return 0;
    *out = v.l->v[value_is(name, "list")];
    return 1;
}

int jinja_attr(struct jinja_run *run, struct value v, struct value name,
               const struct jinja_fn *const *method, struct value *out)
{
    const struct jinja_fn *fn = method_of(v, method);
    const struct value_entry *entry;
    int rc;

    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (fn)
        return jinja_new_function(run, fn, v, out);
    if (value_is_dict(v)) {
        entry = value_find(v, name);
        *out = entry ? entry->val : missing(v, name);
        return 0;
    }
    rc = v.kind == VALUE_OBJ ? obj_attr(run, v, name, out) : group_attr(v, name, out);
    if (rc == 0 && name.s->n > 1 && name.s->p[0] == '_' && name.s->p[1] == '_')
        return value_fail(&run->room, E_INVALID, "access to attribute '%.*s' is unsafe",
                          (int)(name.s->n < 60 ? name.s->n : 60), name.s->p);
    if (rc == 0)
        *out = missing(v, name);
    return rc < 0 ? rc : 0;
}

/* The index i of n things, negative ones from the end: 1 when it is one. */
static int at_index(int64_t i, size_t n, size_t *at)
{
    if (i < 0)
        i += (int64_t)n;
    *at = (size_t)i;
    return i >= 0 && (uint64_t)i < n;
}

static int char_item(struct jinja_run *run, struct value v, int64_t index, struct value *out)
{
    size_t at, from, to;
    int rc = value_pay(&run->room, v.s->n / 64);

    if (rc < 0)
        return rc;
    if (!at_index(index, value_chars(v.s), &at)) {
        *out = missing(v, v);
        return 0;
    }
    from = value_char_at(v.s, at);
    for (to = from + 1; to < v.s->n && ((unsigned char)v.s->p[to] & 0xC0) == 0x80;)
        to++;
    rc = value_cut(&run->room, v.s, from, to, out);
    *out = rc < 0 ? *out : jinja_as(v, *out);
    return rc;
}

int jinja_item(struct jinja_run *run, struct value v, struct value key, struct value *out)
{
    const struct jinja_fn *method[N_METHOD_KIND];
    const struct value_entry *entry = NULL;
    size_t at;

    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (key.kind == VALUE_INT || key.kind == VALUE_BOOL) {
        if (v.kind == VALUE_STR)
            return char_item(run, v, key.i, out);
        if (value_is_list(v) || jinja_is(v, jinja_is_range)) {
            const struct jinja_range *range = (const struct jinja_range *)v.o;
            size_t n = value_is_list(v) ? v.l->n : range->n;

            if (!at_index(key.i, n, &at))
                *out = missing(v, key);
            else
                *out = value_is_list(v) ? v.l->v[at]
                                        : value_int(range->start + (int64_t)at * range->step);
            return 0;
        }
    }
    if (value_is_dict(v))
        entry = value_find(v, key);
    *out = entry ? entry->val : missing(v, key);
    if (entry || key.kind != VALUE_STR)
        return 0;
    for (int kind = 0; kind < N_METHOD_KIND; kind++)
        method[kind] = jinja_find_method(kind, value_bytes(key));
    return jinja_attr(run, v, key, method, out);
}

/* Where a slice of n things begins, ends, and in which steps: as Python does. */
static int slice_bounds(struct jinja_run *run, const struct value s[3], size_t n,
                        int64_t *start, int64_t *stop, int64_t *step)
{
    int64_t bound[2], size = (int64_t)n;

    *step = 1;
    for (int i = 0; i < 3; i++) {
        if (s[i].kind != VALUE_NONE && s[i].kind != VALUE_INT && s[i].kind != VALUE_BOOL)
            return value_fail(&run->room, E_INVALID,
                              "a slice goes from integer to integer, not '%s'",
                              value_type_name(s[i]));
    }
    if (s[2].kind != VALUE_NONE)
        *step = s[2].i;
    if (*step == 0 || *step == INT64_MIN)
        return value_fail(&run->room, E_INVALID, "the step of a slice cannot be %lld",
                          (long long)*step);
    for (int i = 0; i < 2; i++) {
        int64_t low = *step > 0 ? 0 : -1, high = *step > 0 ? size : size - 1;

        if (s[i].kind == VALUE_NONE) {
            bound[i] = (i == 0) == (*step > 0) ? low : high;
            continue;
        }
        bound[i] = s[i].i < 0 ? s[i].i + size : s[i].i;
        bound[i] = bound[i] < low ? low : bound[i] > high ? high : bound[i];
    }
    *start = bound[0];
    *stop = bound[1];
    return 0;
}

static int slice_text(struct jinja_run *run, struct value_text *s, int64_t start, int64_t stop,
                      int64_t step, struct value *out)
{
    struct value_build b;
    size_t from, to;

    if (step == 1) {
        from = value_char_at(s, (size_t)start);
        to = stop > start ? value_char_at(s, (size_t)stop) : from;
        return value_cut(&run->room, s, from, to, out);
    }
    value_build(&b, &run->room);
    if (step > 0) {
        size_t at = value_char_at(s, (size_t)start);
        int64_t i = start;

        for (; at < s->n && i < stop; i++, at = to) {
            for (to = at + 1; to < s->n && ((unsigned char)s->p[to] & 0xC0) == 0x80;)
                to++;
            if ((i - start) % step == 0)
                value_put_cut(&b, s, at, to);
        }
    } else if (start >= 0) {
        int64_t i = start;

        to = value_char_at(s, (size_t)start + 1);
        for (; to > 0 && i > stop; i--, to = from) {
            for (from = to - 1; from > 0 && ((unsigned char)s->p[from] & 0xC0) == 0x80;)
                from--;
            if ((start - i) % -step == 0)
                value_put_cut(&b, s, from, to);
        }
    }
    return value_built(&b, out);
}

int jinja_slice(struct jinja_run *run, struct value v, const struct value s[3],
                struct value *out)
{
    int64_t start, stop, step;
    struct value list = v;
    int rc = value_pay(&run->room, v.kind == VALUE_STR ? v.s->n / 64 : 1);

    if (rc < 0)
        return rc;
    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (v.kind == VALUE_STR) {
        rc = slice_bounds(run, s, value_chars(v.s), &start, &stop, &step);
        if (rc == 0)
            rc = slice_text(run, v.s, start, stop, step, out);
        *out = rc < 0 ? *out : jinja_as(v, *out);
        return rc;
    }
    if (!value_is_list(v) && !jinja_is(v, jinja_is_range))
        return value_fail(&run->room, E_INVALID, "'%s' cannot be sliced", value_type_name(v));
    rc = jinja_items(run, v, &list);
    if (rc == 0)
        rc = slice_bounds(run, s, list.l->n, &start, &stop, &step);
    if (rc == 0)
        rc = value_list(&run->room, v.kind == VALUE_TUPLE ? VALUE_TUPLE : VALUE_LIST, 0, out);
    for (; rc == 0 && (step > 0 ? start < stop : start > stop);) {
        rc = value_append(&run->room, *out, list.l->v[start]);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
        if (__builtin_add_overflow(start, step, &start))
            break;
    }
    return rc;
}

int jinja_path(struct jinja_run *run, struct value v, struct value path, struct value *out)
{
    size_t from = 0;

    if (path.kind != VALUE_STR)
        return jinja_item(run, v, path, out);
    *out = v;
    for (size_t i = 0; i <= path.s->n; i++) {
        struct value key;
        int rc, number = i > from;

        if (i < path.s->n && path.s->p[i] != '.')
            continue;
        rc = value_cut(&run->room, path.s, from, i, &key);
        for (size_t k = from; k < i; k++)
            number &= path.s->p[k] >= '0' && path.s->p[k] <= '9';
        if (rc == 0 && number && i - from < 18) {
            int64_t index = 0;

            for (size_t k = from; k < i; k++)
                index = index * 10 + (path.s->p[k] - '0');
            key = value_int(index);
        }
        if (rc == 0)
            rc = jinja_item(run, *out, key, out);
        if (rc < 0)
            return rc;
        from = i + 1;
    }
    return 0;
}

/* -- what stands behind a value
 * ----------------------------------------------------------------- */

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
                     ? method_of(v, n->method)
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

/* -- operators
 * ------------------------------------------------------------------------------------ */

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

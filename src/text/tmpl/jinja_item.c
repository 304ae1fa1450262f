/* Attributes, items and slices. */
#include "text/tmpl/jinja.h"

/* -- attributes and items ------------------------------------------------------------- */

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

    if (v.from && !v.s)
        return value_fail(&run->room, E_INVALID, "'%s object' has no such element",
                          value_type_name((struct value){.kind = (uint16_t)(v.from - 1)}));
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

const struct jinja_fn *jinja_method_of(struct value v, const struct jinja_fn *const *method)
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
            return jinja_new_undefined(run, name, out) < 0 ? value_failed(&run->room) : 1;
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
    const struct jinja_fn *fn = jinja_method_of(v, method);
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

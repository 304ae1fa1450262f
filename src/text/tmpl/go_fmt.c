/* What Go's package fmt makes of values: print, printf and a template's own output. Verbs that
 * show Go syntax (%#v) or addresses (%p) are not there. */
#include "text/tmpl/go_fmt.h"

#include <string.h>

static void put_arg(struct go_fmt *f, struct value v, int depth);

static const struct go_fmt as_v = {.verb = 'v', .prec = -1};

void go_put(struct value_build *b, struct value v)
{
    struct go_fmt f = as_v;

    f.b = b;
    if (v.kind == VALUE_STR)
        value_put_text(b, v.s);
    else
        put_arg(&f, v, 0);
}

void go_put_all(struct value_build *b, const struct value *v, size_t n, int line)
{
    for (size_t i = 0; i < n; i++) {
        if (i && (line || (v[i].kind != VALUE_STR && v[i - 1].kind != VALUE_STR)))
            value_put_c(b, " ");
        go_put(b, v[i]);
    }
    if (line)
        value_put_c(b, "\n");
}

/* -- one value ------------------------------------------------------------------------- */

static void put_verb(struct go_fmt *f)
{
    value_put_c(f->b, "%!");
    value_put_char(f->b, f->verb, 0);
}

void go_fmt_bad(struct go_fmt *f, struct value v)
{
    struct go_fmt as_is = *f;

    as_is.verb = 'v';
    put_verb(f);
    value_put_c(f->b, "(");
    if (go_is_nil(v)) {
        value_put_c(f->b, "<nil>");
    } else {
        value_put_c(f->b, go_type_name(v));
        value_put_c(f->b, "=");
        put_arg(&as_is, v, 0);
    }
    value_put_c(f->b, ")");
}

static void put_nil(struct go_fmt *f, int depth)
{
    if (depth || f->verb == 'v' || f->verb == 'T')
        go_fmt_pad(f, str_of("<nil>"), 0);
    else
        go_fmt_bad(f, value_none());
}

static void put_list(struct go_fmt *f, const struct value_list *l, int depth)
{
    value_put_c(f->b, "[");
    for (size_t i = 0; i < l->n && f->b->rc == 0; i++) {
        if (i)
            value_put_c(f->b, " ");
        put_arg(f, l->v[i], depth + 1);
    }
    value_put_c(f->b, "]");
}

static void put_map(struct go_fmt *f, struct value dict, int depth)
{
    struct value keys = value_undef();

    f->b->rc = go_keys(f->b->r, dict, &keys);
    value_put_c(f->b, "map[");
    for (size_t i = 0; f->b->rc == 0 && i < keys.l->n; i++) {
        if (i)
            value_put_c(f->b, " ");
        put_arg(f, keys.l->v[i], depth + 1);
        value_put_c(f->b, ":");
        put_arg(f, value_find(dict, keys.l->v[i])->val, depth + 1);
    }
    value_put_c(f->b, "]");
}

static void put_struct(struct go_fmt *f, const struct go_obj *o, int depth)
{
    value_put_c(f->b, "{");
    for (int i = 0; i < o->type->n_field && f->b->rc == 0; i++) {
        if (i)
            value_put_c(f->b, " ");
        if (f->names) {
            value_put_c(f->b, o->type->field[i].name);
            value_put_c(f->b, ":");
        }
        put_arg(f, o->in.l->v[i], depth + 1);
    }
    value_put_c(f->b, "}");
}

/* What a type that prints itself says. */
static int text_of(struct value_room *r, struct value v, struct value *out)
{
    const struct go_obj *o = go_obj_of(v);
    struct value_build b;

    value_build(&b, r);
    if (o->type->nil_text && (o->is_nil || (o->type->as_one && o->in.l->n == 0)))
        value_put_c(&b, o->type->nil_text);
    else if (o->type->as_one)
        go_put(&b, o->in.l->v[0]);
    else
        go_put_json(&b, v);
    return value_built(&b, out);
}

static int prints_itself(const struct go_fmt *f, const struct go_obj *o)
{
    if (f->verb >= 0x80 || !strchr("vsqxX", f->verb))
        return 0;
    return o->type->as_json || (o->type->as_one && o->in.l->n < 2);
}

static void put_compound(struct go_fmt *f, struct value v, int depth)
{
    const struct go_obj *o = go_obj_of(v);

    if (o && prints_itself(f, o)) {
        f->b->rc = text_of(f->b->r, v, &v);
        if (f->b->rc == 0)
            go_fmt_string(f, v);
    } else if (o && o->type->form == GO_FORM_STRUCT) {
        put_struct(f, o, depth);
    } else if (go_list_of(v)) {
        put_list(f, go_list_of(v), depth);
    } else {
        put_map(f, go_dict_of(v), depth);
    }
}

static void put_arg(struct go_fmt *f, struct value v, int depth)
{
    if (f->b->rc == 0)
        f->b->rc = value_pay(f->b->r, 1);
    if (f->b->rc < 0)
        return;
    if (go_is_nil(v)) {
        put_nil(f, depth);
    } else if (f->verb == 'T') {
        go_fmt_pad(f, str_of(go_type_name(v)), 0);
    } else if (v.kind == VALUE_BOOL) {
        if (f->verb == 'v' || f->verb == 't')
            go_fmt_pad(f, str_of(v.i ? "true" : "false"), 0);
        else
            go_fmt_bad(f, v);
    } else if (v.kind == VALUE_INT) {
        go_fmt_int(f, v.i);
    } else if (v.kind == VALUE_FLOAT) {
        go_fmt_float(f, v.f);
    } else if (v.kind == VALUE_STR) {
        go_fmt_string(f, v);
    } else {
        f->b->rc = value_enter(f->b->r);
        if (f->b->rc < 0)
            return;
        put_compound(f, v, depth);
        value_leave(f->b->r);
    }
}

/* -- a format -------------------------------------------------------------------------- */

struct scan {
    const struct value_text *s;
    size_t at;
    const struct value *v;
    size_t n, arg;
    int reordered, good;
};

/* Digits at x->at: 1 and *out, 0: none. A number past a million is no number, and nothing
 * that follows is read. */
static int scan_number(struct scan *x, int *out)
{
    int v = 0, any = 0;

    for (; x->at < x->s->n && x->s->p[x->at] >= '0' && x->s->p[x->at] <= '9'; x->at++) {
        if (v > 1000000) {
            x->at = x->s->n;
            return 0;
        }
        v = v * 10 + (x->s->p[x->at] - '0');
        any = 1;
    }
    *out = v;
    return any;
}

/* "[2]": the argument that comes next. 1 when it was there. */
static int scan_index(struct scan *x)
{
    size_t from = x->at;
    int v = 0, ok;

    if (x->at >= x->s->n || x->s->p[x->at] != '[')
        return 0;
    x->reordered = 1;
    x->at++;
    ok = scan_number(x, &v) && x->at < x->s->n && x->s->p[x->at] == ']';
    if (!ok) {
        const char *end = memchr(x->s->p + from, ']', x->s->n - from);

        x->at = end ? (size_t)(end - x->s->p) + 1 : from + 1;
        x->good = 0;
        return 1;
    }
    x->at++;
    if (v < 1 || (size_t)v > x->n) {
        x->good = 0;
        return 1;
    }
    x->arg = (size_t)v - 1;
    return 1;
}

/* "*": *out from an argument. */
static int scan_star(struct scan *x, int *out)
{
    struct value v;

    x->at++;
    if (x->arg >= x->n)
        return 0;
    v = x->v[x->arg++];
    if (v.kind != VALUE_INT || v.i > 1000000 || v.i < -1000000)
        return 0;
    *out = (int)v.i;
    return 1;
}

static int is_star(const struct scan *x)
{
    return x->at < x->s->n && x->s->p[x->at] == '*';
}

static void scan_flags(struct scan *x, struct go_fmt *f)
{
    for (; x->at < x->s->n; x->at++)
        switch (x->s->p[x->at]) {
        case '-':
            f->minus = 1;
            break;
        case '+':
            f->plus = 1;
            break;
        case '#':
            f->sharp = 1;
            break;
        case ' ':
            f->space = 1;
            break;
        case '0':
            f->zero = 1;
            break;
        default:
            return;
        }
}

static void scan_width(struct scan *x, struct go_fmt *f)
{
    int after = scan_index(x);

    if (is_star(x)) {
        if (!scan_star(x, &f->width))
            value_put_c(f->b, "%!(BADWIDTH)");
        if (f->width < 0) {
            f->minus = 1;
            f->width = -f->width;
        }
    } else if (scan_number(x, &f->width) && after) {
        x->good = 0;
    }
}

static void scan_precision(struct scan *x, struct go_fmt *f)
{
    if (x->at >= x->s->n || x->s->p[x->at] != '.')
        return;
    x->at++;
    scan_index(x);
    f->prec = 0;
    if (is_star(x)) {
        if (!scan_star(x, &f->prec) || f->prec < 0) {
            value_put_c(f->b, "%!(BADPREC)");
            f->prec = -1;
        }
    } else {
        (void)scan_number(x, &f->prec);
    }
}

/* What stands behind a percent sign. */
static void put_directive(struct scan *x, struct value_build *b)
{
    struct go_fmt f = {.b = b, .prec = -1};

    x->good = 1;
    scan_flags(x, &f);
    scan_width(x, &f);
    scan_precision(x, &f);
    scan_index(x);
    if (x->at >= x->s->n) {
        value_put_c(b, "%!(NOVERB)");
        return;
    }
    x->at += (size_t)go_fmt_rune(x->s->p + x->at, x->s->n - x->at, &f.verb);
    if (f.minus)
        f.zero = 0;
    if (f.verb == '%') {
        value_put_c(b, "%");
    } else if (!x->good) {
        put_verb(&f);
        value_put_c(b, "(BADINDEX)");
    } else if (x->arg >= x->n) {
        put_verb(&f);
        value_put_c(b, "(MISSING)");
    } else {
        if (f.verb == 'v') {
            f.names = f.plus;
            f.plus = 0;
        }
        put_arg(&f, x->v[x->arg++], 0);
    }
}

static void put_extra(struct scan *x, struct value_build *b)
{
    value_put_c(b, "%!(EXTRA ");
    for (size_t i = x->arg; i < x->n; i++) {
        if (i > x->arg)
            value_put_c(b, ", ");
        if (!go_is_nil(x->v[i])) {
            value_put_c(b, go_type_name(x->v[i]));
            value_put_c(b, "=");
        }
        go_put(b, x->v[i]);
    }
    value_put_c(b, ")");
}

void go_put_format(struct value_build *b, const struct value_text *format,
                   const struct value *v, size_t n)
{
    struct scan x = {.s = format, .v = v, .n = n};

    while (x.at < format->n && b->rc == 0) {
        const char *p = memchr(format->p + x.at, '%', format->n - x.at);
        size_t to = p ? (size_t)(p - format->p) : format->n;

        value_put_cut(b, format, x.at, to);
        x.at = to;
        if (x.at < format->n) {
            x.at++;
            put_directive(&x, b);
        }
    }
    if (!x.reordered && x.arg < n)
        put_extra(&x, b);
}

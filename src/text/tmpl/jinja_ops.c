/* Operators on values, as Python has them. */
#include "text/tmpl/jinja.h"

#include <math.h>

static int is_int(struct value v)
{
    return v.kind == VALUE_INT || v.kind == VALUE_BOOL;
}

static int is_number(struct value v)
{
    return is_int(v) || v.kind == VALUE_FLOAT;
}

static double as_float(struct value v)
{
    return v.kind == VALUE_FLOAT ? v.f : (double)v.i;
}

/* -- numbers -------------------------------------------------------------------------- */

static int too_large(struct jinja_run *run)
{
    return value_fail(&run->room, E_INVALID, "the result does not fit into 64 bits");
}

static int power(struct jinja_run *run, int64_t base, int64_t exp, struct value *out)
{
    int64_t all = 1;

    if (exp < 0) {
        *out = value_float(pow((double)base, (double)exp));
        return base ? 0 : value_fail(&run->room, E_INVALID, "0 has no negative power");
    }
    while (exp > 0) {
        if ((exp & 1) && __builtin_mul_overflow(all, base, &all))
            return too_large(run);
        exp >>= 1;
        if (exp && __builtin_mul_overflow(base, base, &base))
            return too_large(run);
    }
    *out = value_int(all);
    return 0;
}

static int int_math(struct jinja_run *run, int op, int64_t a, int64_t b, struct value *out)
{
    int64_t r = 0, q;
    int over = 0;

    if ((op == OP_DIV || op == OP_FLOOR || op == OP_MOD) && b == 0)
        return value_fail(&run->room, E_INVALID, "division by zero");
    switch (op) {
    case OP_ADD:
        over = __builtin_add_overflow(a, b, &r);
        break;
    case OP_SUB:
        over = __builtin_sub_overflow(a, b, &r);
        break;
    case OP_MUL:
        over = __builtin_mul_overflow(a, b, &r);
        break;
    case OP_DIV:
        *out = value_float((double)a / (double)b);
        return 0;
    case OP_POW:
        return power(run, a, b, out);
    default:
        if (b == -1) { /* INT64_MIN / -1 does not fit */
            over = op == OP_FLOOR && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        q = a / b;
        q -= a % b != 0 && (a < 0) != (b < 0); /* towards minus infinity */
        r = op == OP_FLOOR ? q : a - q * b;
        break;
    }
    if (over)
        return too_large(run);
    *out = value_int(r);
    return 0;
}

static int float_math(struct jinja_run *run, int op, double a, double b, struct value *out)
{
    double r;

    if ((op == OP_DIV || op == OP_FLOOR || op == OP_MOD) && b == 0)
        return value_fail(&run->room, E_INVALID, "division by zero");
    switch (op) {
    case OP_ADD:
        r = a + b;
        break;
    case OP_SUB:
        r = a - b;
        break;
    case OP_MUL:
        r = a * b;
        break;
    case OP_DIV:
        r = a / b;
        break;
    case OP_FLOOR:
        r = floor(a / b);
        break;
    case OP_MOD:
        r = fmod(a, b);
        r += r != 0 && (r < 0) != (b < 0) ? b : 0;
        break;
    default:
        r = pow(a, b);
        break;
    }
    *out = value_float(r);
    return 0;
}

/* -- strings and lists ---------------------------------------------------------------- */

static int repeat(struct jinja_run *run, struct value v, int64_t times, struct value *out)
{
    struct value_build b;
    int rc = 0;

    if (times < 0)
        times = 0;
    if (v.kind == VALUE_STR) {
        value_build(&b, &run->room);
        for (; times > 0 && b.rc == 0 && v.s->n; times--) {
            b.rc = value_pay(&run->room, 1);
            value_put_text(&b, v.s);
        }
        rc = value_built(&b, out);
        *out = rc < 0 ? *out : jinja_as(v, *out);
        return rc;
    }
    rc = value_list(&run->room, v.kind, 0, out);
    for (; times > 0 && rc == 0 && v.l->n; times--) {
        rc = value_pay(&run->room, v.l->n);
        for (size_t i = 0; i < v.l->n && rc == 0; i++)
            rc = value_append(&run->room, *out, v.l->v[i]);
    }
    return rc;
}

/* Where one is marked up, the other is escaped. */
static int add_strings(struct jinja_run *run, struct value a, struct value b, struct value *out)
{
    int markup = (a.from | b.from) & JINJA_MARKUP, rc = 0;

    if (markup && !(a.from & JINJA_MARKUP))
        rc = jinja_escape(run, a, &a);
    if (rc == 0 && markup && !(b.from & JINJA_MARKUP))
        rc = jinja_escape(run, b, &b);
    if (rc == 0)
        rc = value_concat(&run->room, a, b, out);
    if (rc == 0)
        out->from = (uint16_t)markup;
    return rc;
}

static int add_lists(struct jinja_run *run, struct value a, struct value b, struct value *out)
{
    struct value list;
    int rc = value_list(&run->room, a.kind, a.l->n + b.l->n, &list);

    for (size_t i = 0; i < a.l->n && rc == 0; i++)
        rc = value_append(&run->room, list, a.l->v[i]);
    for (size_t i = 0; i < b.l->n && rc == 0; i++)
        rc = value_append(&run->room, list, b.l->v[i]);
    *out = list;
    return rc < 0 ? rc : value_pay(&run->room, list.l->n / 8);
}

int jinja_math(struct jinja_run *run, int op, struct value a, struct value b, struct value *out)
{
    static const char *const names[] = {
        [OP_ADD] = "+",    [OP_SUB] = "-", [OP_MUL] = "*", [OP_DIV] = "/",
        [OP_FLOOR] = "//", [OP_MOD] = "%", [OP_POW] = "**"};

    if (a.kind == VALUE_UNDEF)
        return jinja_undefined(run, a);
    if (op == OP_MOD && a.kind == VALUE_STR)
        return jinja_percent(run, a.s, b, out);
    if (b.kind == VALUE_UNDEF)
        return jinja_undefined(run, b);
    if (is_int(a) && is_int(b))
        return int_math(run, op, a.i, b.i, out);
    if (is_number(a) && is_number(b))
        return float_math(run, op, as_float(a), as_float(b), out);
    if (op == OP_ADD && a.kind == VALUE_STR && b.kind == VALUE_STR)
        return add_strings(run, a, b, out);
    if (op == OP_ADD && value_is_list(a) && a.kind == b.kind)
        return add_lists(run, a, b, out);
    if (op == OP_MUL && (a.kind == VALUE_STR || value_is_list(a)) && is_int(b))
        return repeat(run, a, b.i, out);
    if (op == OP_MUL && (b.kind == VALUE_STR || value_is_list(b)) && is_int(a))
        return repeat(run, b, a.i, out);
    if (op == OP_ADD && (a.kind == VALUE_STR || b.kind == VALUE_STR))
        return value_fail(&run->room, E_INVALID,
                          "'%s' + '%s': only strings are added to strings ('~' takes anything)",
                          value_type_name(a), value_type_name(b));
    return value_fail(&run->room, E_INVALID, "'%s' %s '%s' is not possible", value_type_name(a),
                      names[op], value_type_name(b));
}

/* -- comparing ------------------------------------------------------------------------ */

int jinja_in(struct jinja_run *run, struct value needle, struct value hay)
{
    struct value items;
    int rc;

    if (hay.kind == VALUE_STR) {
        if (needle.kind == VALUE_UNDEF)
            return jinja_undefined(run, needle);
        rc = jinja_need_str(run, needle, "in");
        if (rc == 0)
            rc = value_pay(&run->room, hay.s->n / 64);
        return rc < 0
                   ? rc
                   : jinja_find(value_bytes(hay), value_bytes(needle), 0, hay.s->n) != SIZE_MAX;
    }
    if (hay.kind == VALUE_DICT) {
        if (needle.kind == VALUE_LIST || needle.kind == VALUE_DICT)
            return value_fail(&run->room, E_INVALID, "'%s' cannot be a key of a dict",
                              value_type_name(needle));
        return value_find(hay, needle) != NULL;
    }
    rc = jinja_items(run, hay, &items);
    for (size_t i = 0; rc == 0 && i < items.l->n; i++) {
        rc = value_pay(&run->room, 1);
        if (rc == 0)
            rc = value_eq(&run->room, needle, items.l->v[i]);
    }
    return rc;
}

int jinja_compare(struct jinja_run *run, int op, struct value a, struct value b)
{
    int order, rc;

    switch (op) {
    case OP_EQ:
        return value_eq(&run->room, a, b);
    case OP_NE:
        rc = value_eq(&run->room, a, b);
        return rc < 0 ? rc : !rc;
    case OP_IN:
        return jinja_in(run, a, b);
    case OP_NOT_IN:
        rc = jinja_in(run, a, b);
        return rc < 0 ? rc : !rc;
    default:
        break;
    }
    if (a.kind == VALUE_UNDEF || b.kind == VALUE_UNDEF)
        return jinja_undefined(run, a.kind == VALUE_UNDEF ? a : b);
    rc = value_order(&run->room, a, b, &order);
    if (rc < 0)
        return rc;
    if (order == 2) /* NaN */
        return 0;
    return op == OP_LT   ? order < 0
           : op == OP_LE ? order <= 0
           : op == OP_GT ? order > 0
                         : order >= 0;
}

/* Filters of numbers. */
#include "text/tmpl/jinja.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What Python's float() takes: 1 and *f. Underscores between digits are dropped. */
static int parse_float(const struct value_text *s, double *f)
{
    char text[512], *end;
    size_t from, to, n = 0;

    jinja_strip(s, NULL, 3, &from, &to);
    if (to - from >= sizeof(text) || from == to)
        return 0;
    for (size_t i = from; i < to; i++) {
        char c = s->p[i];

        if (c == 'x' || c == 'X' || c == 'p' || c == 'P' || c == '(' || c == '\0')
            return 0;
        if (c != '_')
            text[n++] = c;
    }
    text[n] = '\0';
    *f = strtod(text, &end);
    return n && end == text + n && text[0] != ' ';
}

static int parse_int(const struct value_text *s, int base, int64_t *out)
{
    char text[128], *end;
    size_t from, to, n = 0, digits;

    jinja_strip(s, NULL, 3, &from, &to);
    for (size_t i = from; i < to && n + 1 < sizeof(text); i++) {
        if (s->p[i] != '_')
            text[n++] = s->p[i];
    }
    text[n] = '\0';
    digits = n && (text[0] == '-' || text[0] == '+');
    if (base == 2 || base == 8) { /* strtoll knows 0x only */
        char prefix = base == 2 ? 'b' : 'o';

        if (text[digits] == '0' && (text[digits + 1] | 0x20) == prefix)
            memmove(text + digits, text + digits + 2, n - digits - 1);
    }
    errno = 0;
    *out = strtoll(text, &end, base);
    return n && end != text && *end == '\0' && errno == 0 && to - from < sizeof(text) &&
           text[0] != ' ';
}

static int f_int(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = 0, known = 0;
    int64_t base = jinja_int_or(run, c->a[1], 10, "int: base", &rc), i = 0;
    struct value v = c->self;
    double f = (double)NAN;

    if (rc == 0 && v.kind == VALUE_STR)
        rc = value_pay(&run->room, v.s->n / 32);
    if (rc < 0)
        return rc;
    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (base < 2 || base > 36)
        return value_fail(&run->room, E_INVALID, "int: no base %lld", (long long)base);
    if (v.kind == VALUE_INT || v.kind == VALUE_BOOL) {
        i = v.i;
        known = 1;
    } else if (v.kind == VALUE_FLOAT) {
        f = v.f;
    } else if (v.kind == VALUE_STR) {
        known = parse_int(v.s, (int)base, &i);
        if (!known && !parse_float(v.s, &f))
            f = (double)NAN;
    }
    if (!known && f >= -9223372036854775808.0 && f < 9223372036854775808.0) {
        i = (int64_t)f;
        known = 1;
    }
    *out = known ? value_int(i) : jinja_absent(c->a[0]) ? value_int(0) : c->a[0];
    return 0;
}

static int f_float(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value v = c->self;
    double f = 0;

    if (v.kind == VALUE_UNDEF)
        return jinja_undefined(run, v);
    if (v.kind == VALUE_INT || v.kind == VALUE_BOOL)
        *out = value_float((double)v.i);
    else if (v.kind == VALUE_FLOAT)
        *out = v;
    else if (v.kind == VALUE_STR && parse_float(v.s, &f))
        *out = value_float(f);
    else
        *out = jinja_absent(c->a[0]) ? value_float(0) : c->a[0];
    return v.kind == VALUE_STR ? value_pay(&run->room, v.s->n / 32) : 0;
}

static int f_abs(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value v = c->self;

    if (v.kind == VALUE_FLOAT) {
        *out = value_float(fabs(v.f));
        return 0;
    }
    if (v.kind != VALUE_INT && v.kind != VALUE_BOOL)
        return v.kind == VALUE_UNDEF ? jinja_undefined(run, v)
                                     : value_fail(&run->room, E_INVALID,
                                                  "abs: '%s' is no number", value_type_name(v));
    return v.i < 0 ? jinja_math(run, OP_SUB, value_int(0), v, out) : (*out = value_int(v.i), 0);
}

/* To so many decimals, half to even: as the exact decimal expansion says. */
static double round_to(double f, int64_t precision)
{
    char text[400];

    if (!isfinite(f) || precision > 17 + 308)
        return f;
    if (precision < 0) {
        double unit = pow(10, -(double)precision);

        return isfinite(unit) ? nearbyint(f / unit) * unit : 0;
    }
    (void)snprintf(text, sizeof(text), "%.*f", precision > 40 ? 40 : (int)precision, f);
    return strtod(text, NULL);
}

static int f_round(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value v = c->self;
    int rc = 0;
    int64_t precision = jinja_int_or(run, c->a[0], 0, "round: precision", &rc);
    double f = v.kind == VALUE_FLOAT ? v.f : (double)v.i, unit = pow(10, (double)precision);

    if (rc < 0)
        return rc;
    if (v.kind != VALUE_INT && v.kind != VALUE_BOOL && v.kind != VALUE_FLOAT)
        return v.kind == VALUE_UNDEF
                   ? jinja_undefined(run, v)
                   : value_fail(&run->room, E_INVALID, "round: '%s' is no number",
                                value_type_name(v));
    if (jinja_absent(c->a[1]) || value_is(c->a[1], "common")) {
        *out = v.kind == VALUE_FLOAT ? value_float(round_to(f, precision))
               : precision < 0       ? value_int((int64_t)round_to(f, precision))
                                     : value_int(v.i);
        return 0;
    }
    if (!value_is(c->a[1], "ceil") && !value_is(c->a[1], "floor"))
        return value_fail(&run->room, E_INVALID, "round: the method is common, ceil or floor");
    f = value_is(c->a[1], "ceil") ? ceil(f * unit) / unit : floor(f * unit) / unit;
    *out = value_float(f);
    return 0;
}

static int f_filesize(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    static const char *const units[2][8] = {
        {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
        {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    int binary = jinja_flag(c->a[0], 0), rc;
    double base = binary ? 1024 : 1000, unit = base, n;
    struct jinja_call number = {.self = c->self};
    struct value f = {0};
    char text[400];
    int i = 0;

    number.a[0] = value_none();
    rc = f_float(run, &number, &f);
    if (rc == 0 && f.kind != VALUE_FLOAT)
        return value_fail(&run->room, E_INVALID, "filesizeformat needs a number");
    if (rc != 0)
        return rc;
    n = f.f;
    if (n < base) {
        (void)snprintf(text, sizeof(text), n == 1 ? "1 Byte" : "%.0f Bytes", trunc(n));
        return jinja_cstr(run, text, out);
    }
    for (; i < 7 && n >= unit * base; i++)
        unit *= base;
    (void)snprintf(text, sizeof(text), "%.1f %s", n / unit, units[binary][i]);
    return jinja_cstr(run, text, out);
}

const struct jinja_fn jinja_filters_num[] = {
    {"int", "default base", 0, 0, f_int},
    {"float", "default", 0, 0, f_float},
    {"abs", "", 0, 0, f_abs},
    {"round", "precision method", 0, 0, f_round},
    {"filesizeformat", "binary", 0, 0, f_filesize},
    {0},
};

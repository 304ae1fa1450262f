/* Filters of strings, numbers and JSON. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"
#include "text/uclass.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The value as a string, in c->self. */
static int self_str(struct jinja_run *run, struct jinja_call *c)
{
    return jinja_str(run, c->self, &c->self);
}

/* An argument, or what it is by default. */
static int64_t int_or(struct jinja_run *run, struct value v, int64_t usual, const char *what,
                      int *rc)
{
    int64_t i = usual;

    if (*rc == 0 && !jinja_absent(v) && v.kind != VALUE_NONE)
        *rc = jinja_need_int(run, v, what, &i);
    return i;
}

static int flag(struct value v, int usual)
{
    return jinja_absent(v) ? usual : value_true(v);
}

/* -- whole strings ----------------------------------------------------------------------------
 */

static int f_string(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return jinja_str(run, c->self, out);
}

static int f_safe(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_str(run, c->self, out);

    if (rc == 0)
        out->from |= JINJA_MARKUP;
    return rc;
}

/* A method of strings on str(value). */
static int by_method(struct jinja_run *run, struct jinja_call *c, const char *name,
                     struct value *out)
{
    int rc = self_str(run, c);

    if (rc == 0)
        rc = jinja_find_method(OF_STR, str_of(name))->run(run, c, out);
    *out = rc < 0 ? *out : jinja_as(c->self, *out);
    return rc;
}

static int f_trim(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "strip", out);
}

static int f_upper(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "upper", out);
}

static int f_lower(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "lower", out);
}

static int f_capitalize(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "capitalize", out);
}

static int f_center(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    if (jinja_absent(c->a[0]))
        c->a[0] = value_int(80);
    c->a[1] = jinja_absent_value();
    return by_method(run, c, "center", out);
}

/* Words begin behind white space, hyphens and opening brackets; not behind apostrophes. */
static int f_title(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;
    int rc = self_str(run, c);
    const struct value_text *s = c->self.s;
    size_t from = 0, i = 0;

    value_build(&b, &run->room);
    while (rc == 0 && from < s->n && b.rc == 0) {
        struct value part;
        int32_t cp = 0;
        int n = 1, breaks = 0;

        for (i = from; i < s->n && !breaks; i += (size_t)n) {
            n = utf8_next(s->p + i, s->n - i, &cp);
            breaks = jinja_space(cp) || (cp < 0x80 && cp > 0 && strchr("-({[<", (int)cp));
        }
        rc = value_cut(&run->room, s, from, i, &part);
        if (rc == 0)
            rc = jinja_case(run, part.s, JINJA_CAPITAL, &part);
        if (rc == 0)
            value_put_text(&b, part.s);
        from = i;
    }
    return rc < 0 ? rc : value_built(&b, out);
}

static int f_replace(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = self_str(run, c);
    int64_t count = int_or(run, c->a[2], -1, "replace: count", &rc);

    if (rc == 0)
        rc = jinja_str(run, c->a[0], &c->a[0]);
    if (rc == 0)
        rc = jinja_str(run, c->a[1], &c->a[1]);
    return rc < 0 ? rc : jinja_replace(run, c->self.s, c->a[0], c->a[1], count, out);
}

static int f_wordcount(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = self_str(run, c), inside = 0;
    int64_t n = 0;

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->self.s->n;) {
        unsigned cls;
        int word = c->self.s->p[i] == '_';

        i += uclass_next(c->self.s->p + i, c->self.s->n - i, &cls);
        word |= (cls & (UC_LETTER | UC_NUM)) != 0;
        n += word && !inside;
        inside = word;
    }
    *out = value_int(n);
    return value_pay(&run->room, c->self.s->n / 32);
}

/* -- lines
 * ------------------------------------------------------------------------------------- */

static int lines_of(struct jinja_run *run, struct value s, struct value *out)
{
    struct jinja_call c = {.self = s, .a = {jinja_absent_value()}};

    return jinja_find_method(OF_STR, str_of("splitlines"))->run(run, &c, out);
}

static int f_indent(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int first = flag(c->a[1], 0), blank = flag(c->a[2], 0);
    int rc = jinja_need_str(run, c->self, "indent");
    struct value by, lines;
    struct value_build b;
    int64_t width = 4;

    if (rc == 0 && c->a[0].kind != VALUE_STR)
        width = int_or(run, c->a[0], 4, "indent: width", &rc);
    if (rc < 0)
        return rc;
    rc = value_str(&run->room, str_of(" "), 0, &by);
    if (rc == 0)
        rc = c->a[0].kind == VALUE_STR ? (by = c->a[0], 0)
                                       : jinja_math(run, OP_MUL, by, value_int(width), &by);
    if (rc == 0)
        rc = lines_of(run, c->self, &lines);
    if (rc < 0)
        return rc;
    value_build(&b, &run->room);
    for (size_t i = 0; i < lines.l->n && b.rc == 0; i++) {
        const struct value_text *line = lines.l->v[i].s;

        if (i)
            value_put_c(&b, "\n");
        if (i ? blank || line->n : first)
            value_put_text(&b, by.s);
        value_put_text(&b, line);
    }
    if (lines.l->n == 0 && first)
        value_put_text(&b, by.s);
    if (c->self.s->n && c->self.s->p[c->self.s->n - 1] == '\n') {
        value_put_c(&b, "\n");
        if (blank)
            value_put_text(&b, by.s);
    }
    return value_built(&b, out);
}

static int f_truncate(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t n, to;
    int rc = jinja_length(run, c->self, &n);
    int64_t length = int_or(run, c->a[0], 255, "truncate: length", &rc),
            leeway = int_or(run, c->a[3], 5, "truncate: leeway", &rc), keep;
    struct value end = c->a[2];
    struct value_build b;

    if (rc == 0)
        rc = jinja_absent(end) ? value_str(&run->room, str_of("..."), 0, &end)
                               : jinja_need_str(run, end, "truncate: end");
    if (rc < 0)
        return rc;
    *out = c->self;
    keep = length - (int64_t)value_chars(end.s);
    if (keep < 0)
        return value_fail(&run->room, E_INVALID, "truncate: the length must hold the end");
    if (leeway < 0)
        return value_fail(&run->room, E_INVALID, "truncate: the leeway cannot be negative");
    if ((int64_t)n - leeway <= length)
        return 0;
    rc = jinja_need_str(run, c->self, "truncate");
    if (rc < 0)
        return rc;
    to = value_char_at(c->self.s, (size_t)keep);
    if (!flag(c->a[1], 0)) {
        const char *space = to ? memrchr(c->self.s->p, ' ', to) : NULL;

        to = space ? (size_t)(space - c->self.s->p) : to;
    }
    value_build(&b, &run->room);
    value_put_cut(&b, c->self.s, 0, to);
    value_put_text(&b, end.s);
    return value_built(&b, out);
}

/* -- numbers
 * ------------------------------------------------------------------------------------- */

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
    int64_t base = int_or(run, c->a[1], 10, "int: base", &rc), i = 0;
    struct value v = c->self;
    double f = NAN;

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
            f = NAN;
    }
    if (!known && f >= -0x1p63 && f < 0x1p63) {
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
    return 0;
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
        double unit = pow(10, (double)-precision);

        return isfinite(unit) ? nearbyint(f / unit) * unit : 0;
    }
    (void)snprintf(text, sizeof(text), "%.*f", precision > 40 ? 40 : (int)precision, f);
    return strtod(text, NULL);
}

static int f_round(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value v = c->self;
    int rc = 0;
    int64_t precision = int_or(run, c->a[0], 0, "round: precision", &rc);
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
    int binary = flag(c->a[0], 0), rc;
    double base = binary ? 1024 : 1000, unit = base, n;
    struct jinja_call number = {.self = c->self};
    struct value f;
    char text[400];
    int i = 0;

    number.a[0] = value_none();
    rc = f_float(run, &number, &f);
    if (rc == 0 && f.kind != VALUE_FLOAT)
        return value_fail(&run->room, E_INVALID, "filesizeformat needs a number");
    if (rc < 0)
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

/* -- JSON, and others
 * ------------------------------------------------------------------------------ */

/* A text for C, copied; NUL in it ends it. */
static int c_string(struct jinja_run *run, struct value v, const char **out)
{
    char *p;
    int rc = jinja_need_str(run, v, "tojson");

    if (rc < 0)
        return rc;
    p = value_alloc(&run->room, v.s->n + 1);
    if (!p)
        return run->room.e->code;
    memcpy(p, v.s->p, v.s->n);
    p[v.s->n] = '\0';
    *out = p;
    return 0;
}

static int json_indent(struct jinja_run *run, struct value v, struct value_json *how)
{
    struct value spaces;
    int rc;

    if (jinja_absent(v) || v.kind == VALUE_NONE)
        return 0;
    how->item = ",";
    if (v.kind == VALUE_STR)
        return c_string(run, v, &how->indent);
    rc = value_str(&run->room, str_of(" "), 0, &spaces);
    if (rc == 0)
        rc = jinja_math(run, OP_MUL, spaces, v, &spaces);
    return rc < 0 ? rc : c_string(run, spaces, &how->indent);
}

static int f_tojson(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_json how = {.item = ", ", .key = ": "};
    struct value pair;
    struct value_build b;
    int rc = json_indent(run, c->a[1], &how);

    how.ascii = flag(c->a[0], 0);
    how.sort = flag(c->a[3], 0);
    if (rc == 0 && !jinja_absent(c->a[2]) && c->a[2].kind != VALUE_NONE) {
        rc = jinja_items(run, c->a[2], &pair);
        if (rc == 0 && pair.l->n != 2)
            return value_fail(&run->room, E_INVALID, "tojson: separators are two");
        if (rc == 0)
            rc = c_string(run, pair.l->v[0], &how.item);
        if (rc == 0)
            rc = c_string(run, pair.l->v[1], &how.key);
    }
    if (rc < 0)
        return rc;
    if (c->self.kind == VALUE_UNDEF)
        return jinja_undefined(run, c->self);
    value_build(&b, &run->room);
    value_put_json(&b, c->self, &how);
    return value_built(&b, out);
}

static int f_from_json(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_need_str(run, c->self, "from_json");

    return rc < 0 ? rc : value_parse_json(&run->room, c->self.s, out);
}

static int f_pprint(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;

    value_build(&b, &run->room);
    jinja_put_repr(run, &b, c->self);
    return value_built(&b, out);
}

static int f_default(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int use = c->self.kind == VALUE_UNDEF || (flag(c->a[1], 0) && !value_true(c->self));

    *out = c->self;
    if (!use)
        return 0;
    *out = c->a[0];
    return jinja_absent(c->a[0]) ? value_str(&run->room, str_of(""), 0, out) : 0;
}

static int f_format(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value args;
    int rc = self_str(run, c);

    if (rc < 0)
        return rc;
    if (c->kw.kind == VALUE_DICT)
        return jinja_percent(run, c->self.s, c->kw, out);
    rc = value_list(&run->room, VALUE_TUPLE, c->n_pos, &args);
    for (size_t i = 0; i < c->n_pos && rc == 0; i++)
        rc = value_append(&run->room, args, c->pos[i]);
    return rc < 0 ? rc : jinja_percent(run, c->self.s, args, out);
}

const struct jinja_fn jinja_filters_text[] = {
    {"string", "", 0, 0, f_string},
    {"safe", "", 0, 0, f_safe},
    {"trim", "chars", 0, 0, f_trim},
    {"upper", "", 0, 0, f_upper},
    {"lower", "", 0, 0, f_lower},
    {"capitalize", "", 0, 0, f_capitalize},
    {"title", "", 0, 0, f_title},
    {"center", "width", 0, 0, f_center},
    {"replace", "old new count", 2, 0, f_replace},
    {"wordcount", "", 0, 0, f_wordcount},
    {"indent", "width first blank", 0, 0, f_indent},
    {"truncate", "length killwords end leeway", 0, 0, f_truncate},
    {"int", "default base", 0, 0, f_int},
    {"float", "default", 0, 0, f_float},
    {"abs", "", 0, 0, f_abs},
    {"round", "precision method", 0, 0, f_round},
    {"filesizeformat", "binary", 0, 0, f_filesize},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, 0, f_tojson},
    {"from_json", "", 0, 0, f_from_json},
    {"fromjson", "", 0, 0, f_from_json},
    {"pprint", "", 0, 0, f_pprint},
    {"default", "default_value boolean", 0, 0, f_default},
    {"d", "default_value boolean", 0, 0, f_default},
    {"format", "", 0, FN_ANY_POS | FN_ANY_KW, f_format},
    {0},
};

/* 'a %s' % b and 'a {}'.format(b), as Python has them. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_WIDTH = 1 << 20, MAX_DIGITS = 40, MAX_NUMBER = 512 };

struct spec {
    int32_t fill;
    char align, sign, type; /* '<' '>' '^' '='; '+' ' ' '-'; 0: not given */
    int alternate, comma;
    int64_t width, precision; /* -1: not given */
};

static const struct spec no_spec = {.fill = ' ', .width = -1, .precision = -1};

/* -- one value ------------------------------------------------------------------------ */

static void put_padded(struct value_build *b, const struct value_text *s, size_t sign_n,
                       const struct spec *f)
{
    struct value_text t = *s;
    int64_t room = f->width - (int64_t)value_chars(&t), before;

    room = room < 0 ? 0 : room;
    before = f->align == '>' ? room : f->align == '^' ? room / 2 : 0;
    for (int64_t i = 0; i < before && b->rc == 0; i++)
        value_put_char(b, f->fill, 0);
    if (f->align == '=') { /* between sign and digits */
        value_put_cut(b, s, 0, sign_n);
        for (int64_t i = 0; i < room && b->rc == 0; i++)
            value_put_char(b, f->fill, 0);
        value_put_cut(b, s, sign_n, s->n);
        return;
    }
    value_put_text(b, s);
    for (int64_t i = before; i < room && b->rc == 0; i++)
        value_put_char(b, f->fill, 0);
}

static void put_text(struct value_build *b, const struct value_text *s, struct spec f)
{
    struct value v;
    size_t to = f.precision >= 0 ? value_char_at(s, (size_t)f.precision) : s->n;

    if (!f.align)
        f.align = '<';
    b->rc = b->rc < 0 ? b->rc : value_cut(b->r, s, 0, to, &v);
    if (b->rc == 0)
        put_padded(b, v.s, 0, &f);
}

/* The digits of text between its sign and its point get commas: into out, twice as large. */
static void add_commas(const char *text, char *out)
{
    size_t n = strspn(text, "0123456789"), k = 0;

    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = text[i];
    }
    memcpy(out + k, text + n, strlen(text + n) + 1);
}

static void put_number(struct value_build *b, int negative, const char *digits, struct spec f)
{
    char sign = negative ? '-' : f.sign == '+' || f.sign == ' ' ? f.sign : 0;
    char text[2 * MAX_NUMBER + 8];
    struct value_text t = {.p = text, .n_char = SIZE_MAX, .n_mark = 1};
    size_t n = sign != 0;

    text[0] = sign;
    if (f.comma)
        add_commas(digits, text + n);
    else
        memcpy(text + n, digits, strlen(digits) + 1);
    t.n = n + strlen(text + n);
    t.one = (struct mark){t.n, 0};
    t.mark = &t.one;
    if (!f.align)
        f.align = '>';
    put_padded(b, &t, n, &f);
}

static void put_int(struct value_build *b, int64_t i, struct spec f)
{
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    char text[80];
    size_t n = 0;

    if (f.alternate && strchr("xXob", f.type)) {
        text[n++] = '0';
        text[n++] = f.type;
    }
    if (f.type == 'b') {
        int bits = 64 - (u ? __builtin_clzll(u) : 63);

        while (bits-- > 0)
            text[n++] = (char)('0' + (u >> bits & 1));
        text[n] = '\0';
    } else {
        (void)snprintf(text + n, sizeof(text) - n,
                       f.type == 'x'   ? "%llx"
                       : f.type == 'X' ? "%llX"
                       : f.type == 'o' ? "%llo"
                                       : "%llu",
                       (unsigned long long)u);
    }
    put_number(b, i < 0, text, f);
}

static void put_float(struct value_build *b, double d, struct spec f)
{
    char text[MAX_NUMBER];
    int precision = f.precision < 0            ? 6
                    : f.precision > MAX_DIGITS ? MAX_DIGITS
                                               : (int)f.precision;
    double a = fabs(d);

    if (!isfinite(d)) {
        (void)snprintf(text, sizeof(text), "%s", d != d ? "nan" : "inf");
    } else if (f.type == 'f' || f.type == 'F') {
        (void)snprintf(text, sizeof(text), "%.*f", precision, a);
    } else if (f.type == '%') {
        (void)snprintf(text, sizeof(text), "%.*f%%", precision, a * 100);
    } else if (f.type == 'e' || f.type == 'E') {
        (void)snprintf(text, sizeof(text), f.type == 'e' ? "%.*e" : "%.*E", precision, a);
    } else {
        (void)snprintf(text, sizeof(text), f.type == 'G' ? "%.*G" : "%.*g", precision, a);
    }
    put_number(b, signbit(d) && d == d, text, f);
}

static void fail(struct value_build *b, struct value v, char type)
{
    if (b->rc == 0)
        b->rc = value_fail(b->r, E_INVALID, "format: '%c' cannot show '%s'", type,
                           value_type_name(v));
}

/* str(v), or repr(v) */
static void put_shown(struct jinja_run *run, struct value_build *b, struct value v, int repr,
                      struct spec f)
{
    struct value_build one;
    struct value s;

    value_build(&one, &run->room);
    if (repr)
        jinja_put_repr(run, &one, v);
    else
        jinja_put_str(run, &one, v);
    b->rc = b->rc < 0 ? b->rc : value_built(&one, &s);
    if (b->rc == 0)
        put_text(b, s.s, f);
}

static void put_formatted(struct jinja_run *run, struct value_build *b, struct value v,
                          struct spec f)
{
    int number = v.kind == VALUE_INT || v.kind == VALUE_BOOL || v.kind == VALUE_FLOAT;

    if (f.type == 's' || (!f.type && (!number || v.kind == VALUE_BOOL))) {
        put_shown(run, b, v, 0, f);
    } else if (!number) {
        fail(b, v, f.type);
    } else if (f.type == 'c' && v.kind == VALUE_INT && v.i >= 0 && v.i <= 0x10FFFF &&
               (v.i < 0xD800 || v.i > 0xDFFF)) {
        value_put_char(b, (int32_t)v.i, 0);
    } else if (f.type ? strchr("eEfFgG%", f.type) != NULL : 0) {
        put_float(b, v.kind == VALUE_FLOAT ? v.f : (double)v.i, f);
    } else if (v.kind != VALUE_FLOAT && (!f.type || strchr("dxXobn", f.type))) {
        put_int(b, v.i, f);
    } else if (v.kind == VALUE_FLOAT && !f.type && f.precision < 0) {
        struct value_build one;
        struct value s;

        value_build(&one, &run->room);
        value_put_float(&one, fabs(v.f), 0);
        b->rc = value_built(&one, &s);
        if (b->rc == 0) {
            char text[40];

            (void)snprintf(text, sizeof(text), "%.*s", (int)s.s->n, s.s->p);
            put_number(b, signbit(v.f) != 0, text, f);
        }
    } else if (v.kind == VALUE_FLOAT && !f.type) {
        f.type = 'g';
        put_float(b, v.f, f);
    } else {
        fail(b, v, f.type);
    }
}

/* -- % -------------------------------------------------------------------------------- */

struct percent {
    struct jinja_run *run;
    const struct value_text *s;
    size_t i;
    struct value args; /* a tuple, or one value */
    size_t next;
    struct value_build b;
};

static int next_arg(struct percent *p, struct value *out)
{
    size_t n = p->args.kind == VALUE_TUPLE ? p->args.l->n : 1;

    if (p->next >= n)
        return value_fail(&p->run->room, E_INVALID, "format: not enough arguments");
    *out = p->args.kind == VALUE_TUPLE ? p->args.l->v[p->next] : p->args;
    p->next++;
    return 0;
}

/* Digits, or * for an argument. */
static int read_number(struct percent *p, int64_t *out)
{
    struct value v;
    int rc;

    if (p->i < p->s->n && p->s->p[p->i] == '*') {
        p->i++;
        rc = next_arg(p, &v);
        if (rc == 0)
            rc = jinja_need_int(p->run, v, "format: *", out);
        if (rc < 0)
            return rc;
    } else {
        for (; p->i < p->s->n && p->s->p[p->i] >= '0' && p->s->p[p->i] <= '9'; p->i++)
            *out = *out > MAX_WIDTH ? *out : (*out < 0 ? 0 : *out) * 10 + (p->s->p[p->i] - '0');
    }
    if (*out > MAX_WIDTH || *out < -MAX_WIDTH)
        return value_fail(&p->run->room, E_TOO_LONG, "format: too wide");
    return 0;
}

static int named_arg(struct percent *p, struct value *out)
{
    const char *close = memchr(p->s->p + p->i, ')', p->s->n - p->i);
    const struct value_entry *e;
    size_t to;

    if (!close || !value_is_dict(p->args))
        return value_fail(&p->run->room, E_INVALID, "format: %%(name) needs names");
    to = (size_t)(close - p->s->p);
    e = value_find_str(p->args, (struct str){p->s->p + p->i, to - p->i});
    if (!e)
        return value_fail(&p->run->room, E_INVALID, "format: no argument '%.*s'",
                          (int)(to - p->i), p->s->p + p->i);
    p->i = to + 1;
    *out = e->val;
    return 0;
}

static void put_directive(struct percent *p, struct value v, struct spec f)
{
    if (f.type == 'r' || f.type == 'a') {
        put_shown(p->run, &p->b, v, 1, f);
        return;
    }
    if (f.type == 'i' || f.type == 'u')
        f.type = 'd';
    if (f.type == 'd' && v.kind == VALUE_FLOAT && fabs(v.f) < 0x1p63)
        v = value_int((int64_t)v.f);
    if (f.type == 'c' && v.kind == VALUE_STR && value_chars(v.s) == 1)
        f.type = 's';
    put_formatted(p->run, &p->b, v, f);
}

/* Behind a % that is not doubled. */
static int one_directive(struct percent *p)
{
    struct spec f = no_spec;
    struct value v = {0};
    int named = p->i < p->s->n && p->s->p[p->i] == '(', zero = 0, rc = 0;

    if (named) {
        p->i++;
        rc = named_arg(p, &v);
    }
    f.align = '>';
    for (; rc == 0 && p->i < p->s->n && p->s->p[p->i] && strchr("-+ #0", p->s->p[p->i]);
         p->i++) {
        char c = p->s->p[p->i];

        f.align = c == '-' ? '<' : f.align;
        f.sign = c == '+' || (c == ' ' && !f.sign) ? c : f.sign;
        f.alternate |= c == '#';
        zero |= c == '0';
    }
    if (rc == 0)
        rc = read_number(p, &f.width);
    if (rc == 0 && p->i < p->s->n && p->s->p[p->i] == '.') {
        p->i++;
        f.precision = 0;
        rc = read_number(p, &f.precision);
    }
    while (p->i < p->s->n && p->s->p[p->i] && strchr("hlL", p->s->p[p->i]))
        p->i++;
    if (rc == 0 &&
        (p->i == p->s->n || !p->s->p[p->i] || !strchr("diouxXeEfFgGcrsa", p->s->p[p->i])))
        return value_fail(&p->run->room, E_INVALID,
                          "format: %% without a known letter behind it");
    if (rc == 0 && !named)
        rc = next_arg(p, &v);
    if (rc < 0)
        return rc;
    f.type = p->s->p[p->i++];
    if (zero && f.align == '>' && !strchr("crsa", f.type)) {
        f.fill = '0';
        f.align = '=';
    }
    put_directive(p, v, f);
    return p->b.rc;
}

int jinja_percent(struct jinja_run *run, struct value_text *format, struct value args,
                  struct value *out)
{
    struct percent p = {.run = run, .s = format, .args = args};
    int rc = 0;

    value_build(&p.b, &run->room);
    while (p.i < format->n && rc == 0) {
        const char *at = memchr(format->p + p.i, '%', format->n - p.i);
        size_t to = at ? (size_t)(at - format->p) : format->n;

        value_put_cut(&p.b, format, p.i, to);
        p.i = to + 1;
        if (!at)
            break;
        if (p.i < format->n && format->p[p.i] == '%') {
            value_put_cut(&p.b, format, p.i, p.i + 1);
            p.i++;
        } else {
            rc = one_directive(&p);
        }
    }
    if (rc == 0 && args.kind == VALUE_TUPLE && p.next < args.l->n)
        return value_fail(&run->room, E_INVALID, "format: more arguments than places for them");
    if (rc == 0 && args.kind != VALUE_TUPLE && !value_is_dict(args) &&
        args.kind != VALUE_LIST && p.next == 0)
        return value_fail(&run->room, E_INVALID, "format: more arguments than places for them");
    return rc < 0 ? rc : value_built(&p.b, out);
}

/* -- format() ------------------------------------------------------------------------- */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t number_at(struct str s, size_t i, int64_t *out)
{
    for (*out = 0; i < s.n && is_digit(s.p[i]); i++)
        *out = *out > MAX_WIDTH ? *out : *out * 10 + (s.p[i] - '0');
    return i;
}

/* [[fill]align][sign][#][0][width][,][.precision][type]: 0 when it is one. */
static int read_spec(struct str s, struct spec *f)
{
    int32_t cp;
    size_t i = 0, n = s.n ? (size_t)utf8_next(s.p, s.n, &cp) : 0;

    *f = no_spec;
    if (n && n < s.n && s.p[n] && strchr("<>=^", s.p[n])) {
        f->fill = cp;
        f->align = s.p[n];
        i = n + 1;
    } else if (n && s.p[0] && strchr("<>=^", s.p[0])) {
        f->align = s.p[0];
        i = 1;
    }
    if (i < s.n && s.p[i] && strchr("+- ", s.p[i]))
        f->sign = s.p[i++];
    if (i < s.n && s.p[i] == '#')
        f->alternate = s.p[i++] == '#';
    if (i < s.n && s.p[i] == '0') {
        f->fill = f->align ? f->fill : '0';
        f->align = f->align ? f->align : '=';
        i++;
    }
    if (i < s.n && is_digit(s.p[i]))
        i = number_at(s, i, &f->width);
    if (i < s.n && s.p[i] == ',')
        f->comma = s.p[i++] == ',';
    if (i + 1 < s.n && s.p[i] == '.' && is_digit(s.p[i + 1]))
        i = number_at(s, i + 1, &f->precision);
    if (i < s.n && s.p[i] && strchr("bcdeEfFgGnosxX%", s.p[i]))
        f->type = s.p[i++];
    return i == s.n && f->width <= MAX_WIDTH ? 0 : -1;
}

/* "0", "name", then ".attr" and "[key]". */
static int find_field(struct jinja_run *run, struct jinja_call *c, struct str s, size_t *next,
                      struct value *out)
{
    size_t i = strcspn(s.p, ".[!:}"), to;
    int64_t index = 0;
    int rc = 0;

    i = i > s.n ? s.n : i;
    if (i == 0 || number_at(s, 0, &index) == i) {
        size_t at = i ? (size_t)index : (*next)++;

        if (at >= c->n_pos)
            return value_fail(&run->room, E_INVALID, "format: no argument number %zu", at);
        *out = c->pos[at];
    } else {
        const struct value_entry *e =
            c->kw.kind == VALUE_DICT ? value_find_str(c->kw, (struct str){s.p, i}) : NULL;

        if (!e)
            return value_fail(&run->room, E_INVALID, "format: no argument '%.*s'", (int)i, s.p);
        *out = e->val;
    }
    for (; i < s.n && rc == 0; i = to) {
        int item = s.p[i] == '[';
        size_t from = i + 1;
        struct value key;

        for (to = from; to < s.n && (item ? s.p[to] != ']' : s.p[to] != '.' && s.p[to] != '[');)
            to++;
        rc = value_str(&run->room, (struct str){s.p + from, to - from}, 0, &key);
        if (rc == 0 && item &&
            number_at((struct str){s.p + from, to - from}, 0, &index) == to - from)
            key = value_int(index);
        if (rc == 0)
            rc = jinja_item(run, *out, key, out);
        to += (size_t)item;
    }
    return rc;
}

/* "field!r:spec" between braces. */
static int put_field(struct jinja_run *run, struct value_build *b, struct jinja_call *c,
                     struct str s, size_t *next)
{
    const char *colon = memchr(s.p, ':', s.n);
    struct str name = {s.p, colon ? (size_t)(colon - s.p) : s.n};
    struct str rest = {colon ? colon + 1 : "", colon ? s.n - name.n - 1 : 0};
    struct spec f;
    struct value v;
    char show = 0;
    int rc;

    if (name.n >= 2 && name.p[name.n - 2] == '!') {
        show = name.p[name.n - 1];
        name.n -= 2;
    }
    rc = find_field(run, c, name, next, &v);
    if (rc < 0)
        return rc;
    if (read_spec(rest, &f) < 0)
        return value_fail(&run->room, E_INVALID, "format: '%.*s' is not understood",
                          (int)(rest.n < 60 ? rest.n : 60), rest.p);
    if (show)
        put_shown(run, b, v, show == 'r' || show == 'a', f);
    else
        put_formatted(run, b, v, f);
    return b->rc;
}

int jinja_format(struct jinja_run *run, struct value_text *s, struct jinja_call *c,
                 struct value *out)
{
    struct value_build b;
    size_t next = 0;
    int rc = 0;

    value_build(&b, &run->room);
    for (size_t i = 0; i < s->n && rc == 0;) {
        size_t from = i, to;

        while (i < s->n && s->p[i] != '{' && s->p[i] != '}')
            i++;
        value_put_cut(&b, s, from, i);
        if (i >= s->n)
            break;
        if (i + 1 < s->n && s->p[i + 1] == s->p[i]) {
            value_put_cut(&b, s, i, i + 1);
            i += 2;
            continue;
        }
        for (to = i + 1; to < s->n && s->p[to] != '}' && s->p[to] != '{';)
            to++;
        if (s->p[i] == '}' || to >= s->n || s->p[to] == '{')
            return value_fail(&run->room, E_INVALID, "format: a single '%c'", s->p[i]);
        rc = put_field(run, &b, c, (struct str){s->p + i + 1, to - i - 1}, &next);
        i = to + 1;
    }
    return rc < 0 ? rc : value_built(&b, out);
}

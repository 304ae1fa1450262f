#include "text/tmpl/go_fmt.h"

#include "base/utf8.h"
#include "text/uclass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int go_fmt_rune(const char *p, size_t n, int32_t *cp)
{
    int len = utf8_next(p, n, cp);

    if (*cp < 0)
        *cp = 0xfffd;
    return len;
}

int go_fmt_printable(int32_t cp)
{
    unsigned cls;
    char c[4];

    if (cp < 0x80)
        return cp >= ' ' && cp != 0x7f;
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 0;
    (void)uclass_next(c, (size_t)utf8_put(cp, c), &cls);
    return (cls & (UC_LETTER | UC_MARK | UC_NUM | UC_PUNCT | UC_SYM)) != 0;
}

static size_t count_runes(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; n++) {
        int32_t cp;

        i += (size_t)utf8_next(s.p + i, s.n - i, &cp);
    }
    return n;
}

/* n times c, in pieces: n may be a million. */
static void put_times(struct value_build *b, char c, size_t n)
{
    char many[64];

    memset(many, c, sizeof(many));
    while (n > 0 && b->rc == 0) {
        size_t part = n < sizeof(many) ? n : sizeof(many);

        value_put(b, (struct str){many, part}, 0);
        n -= part;
    }
}

static size_t missing(const struct go_fmt *f, size_t runes)
{
    return f->width > 0 && (size_t)f->width > runes ? (size_t)f->width - runes : 0;
}

static void pad_text(struct go_fmt *f, const struct value_text *s)
{
    size_t pad = f->width > 0 ? missing(f, count_runes((struct str){s->p, s->n})) : 0;

    if (!f->minus)
        put_times(f->b, f->zero ? '0' : ' ', pad);
    value_put_text(f->b, s);
    if (f->minus)
        put_times(f->b, ' ', pad);
}

void go_fmt_pad(struct go_fmt *f, struct str s, int user)
{
    size_t pad = missing(f, count_runes(s));

    if (!f->minus)
        put_times(f->b, f->zero ? '0' : ' ', pad);
    value_put(f->b, s, user);
    if (f->minus)
        put_times(f->b, ' ', pad);
}

/* -- strings --------------------------------------------------------------------------- */

static void put_escape(struct value_build *b, int32_t cp, int byte, char quote, int user)
{
    static const char from[] = "\a\b\f\n\r\t\v\\", to[] = "abfnrtv\\";
    const char *plain = cp > 0 && cp < 0x80 ? strchr(from, cp) : NULL;
    char text[16];

    if (plain)
        (void)snprintf(text, sizeof(text), "\\%c", to[plain - from]);
    else if (cp == quote)
        (void)snprintf(text, sizeof(text), "\\%c", quote);
    else if (byte || cp < 0x80)
        (void)snprintf(text, sizeof(text), "\\x%02x", (unsigned)cp & 0xff);
    else
        (void)snprintf(text, sizeof(text), cp < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)cp);
    value_put(b, str_of(text), user);
}

static int needs_escape(int32_t cp, char quote, int ascii)
{
    return cp == quote || cp == '\\' || !go_fmt_printable(cp) || (ascii && cp >= 0x80);
}

void go_fmt_quote(struct value_build *b, const struct value_text *s, int ascii)
{
    size_t run = 0, from = 0, i = 0;

    value_put_c(b, "\"");
    while (i < s->n && b->rc == 0) {
        int32_t cp;
        int n = utf8_next(s->p + i, s->n - i, &cp), user;

        if (cp < 0 || needs_escape(cp, '"', ascii)) {
            value_put_cut(b, s, from, i);
            (void)value_run(s, i, &run, &user);
            put_escape(b, cp < 0 ? (unsigned char)s->p[i] : cp, cp < 0, '"', user);
            from = i + (size_t)n;
        }
        i += (size_t)n;
    }
    value_put_cut(b, s, from, s->n);
    value_put_c(b, "\"");
}

/* Sharp: in back quotes, if nothing in it would need more. */
static int fits_raw(const struct value_text *s)
{
    for (size_t i = 0; i < s->n;) {
        int32_t cp;

        i += (size_t)utf8_next(s->p + i, s->n - i, &cp);
        if (cp < 0 || cp == '`' || cp == 0xfeff || (cp < ' ' && cp != '\t') || cp == 0x7f)
            return 0;
    }
    return 1;
}

static void quote_string(struct go_fmt *f, const struct value_text *s)
{
    struct value_build b;
    struct value v;

    value_build(&b, f->b->r);
    if (f->sharp && fits_raw(s)) {
        value_put_c(&b, "`");
        value_put_text(&b, s);
        value_put_c(&b, "`");
    } else {
        go_fmt_quote(&b, s, f->plus);
    }
    f->b->rc = value_built(&b, &v);
    if (f->b->rc == 0)
        pad_text(f, v.s);
}

static void hex_string(struct go_fmt *f, const struct value_text *s)
{
    const char *digit = f->verb == 'x' ? "0123456789abcdef" : "0123456789ABCDEF";
    size_t n = f->prec >= 0 && (size_t)f->prec < s->n ? (size_t)f->prec : s->n, run = 0;
    struct value_build b;
    struct value v;

    value_build(&b, f->b->r);
    for (size_t i = 0; i < n && b.rc == 0; i++) {
        unsigned c = (unsigned char)s->p[i];
        char text[8];
        int user;

        (void)value_run(s, i, &run, &user);
        (void)snprintf(text, sizeof(text), "%s%s%c%c", f->space && i ? " " : "",
                       f->sharp && (f->space || !i) ? (f->verb == 'x' ? "0x" : "0X") : "",
                       digit[c >> 4], digit[c & 15]);
        value_put(&b, str_of(text), user);
    }
    f->b->rc = value_built(&b, &v);
    if (f->b->rc == 0)
        pad_text(f, v.s);
}

void go_fmt_string(struct go_fmt *f, struct value s)
{
    int cuts = f->verb == 'v' || f->verb == 's' || f->verb == 'q';

    if (cuts && f->prec >= 0) {
        f->b->rc = value_cut(f->b->r, s.s, 0, value_char_at(s.s, (size_t)f->prec), &s);
        if (f->b->rc < 0)
            return;
    }
    if (f->verb == 'v' || f->verb == 's')
        pad_text(f, s.s);
    else if (f->verb == 'q')
        quote_string(f, s.s);
    else if (f->verb == 'x' || f->verb == 'X')
        hex_string(f, s.s);
    else
        go_fmt_bad(f, s);
}

/* -- numbers --------------------------------------------------------------------------- */

static void put_rune(struct go_fmt *f, int64_t i)
{
    int32_t cp = i < 0 || i > 0x10ffff || (i >= 0xd800 && i < 0xe000) ? 0xfffd : (int32_t)i;
    struct value_build b;
    struct value v;

    value_build(&b, f->b->r);
    if (f->verb == 'q') {
        value_put_c(&b, "'");
        if (needs_escape(cp, '\'', f->plus))
            put_escape(&b, cp, 0, '\'', 0);
        else
            value_put_char(&b, cp, 0);
        value_put_c(&b, "'");
    } else {
        value_put_char(&b, cp, 0);
    }
    f->b->rc = value_built(&b, &v);
    if (f->b->rc == 0)
        pad_text(f, v.s);
}

static void put_unicode(struct go_fmt *f, int64_t i)
{
    struct go_fmt plain = *f;
    char text[48];
    int n = snprintf(text, sizeof(text), "U+%0*llX", f->prec > 4 && f->prec < 20 ? f->prec : 4,
                     (unsigned long long)i);

    plain.zero = 0;
    if (f->sharp && i >= 0 && i <= 0x10ffff && go_fmt_printable((int32_t)i)) {
        text[n++] = ' ';
        text[n++] = '\'';
        n += utf8_put((int32_t)i, text + n);
        text[n++] = '\'';
    }
    go_fmt_pad(&plain, (struct str){text, (size_t)n}, 0);
}

static int base_of(int32_t verb)
{
    switch (verb) {
    case 'v':
    case 'd':
        return 10;
    case 'b':
        return 2;
    case 'o':
    case 'O':
        return 8;
    case 'x':
    case 'X':
        return 16;
    default:
        return 0;
    }
}

static const char *prefix_of(const struct go_fmt *f)
{
    if (f->verb == 'O')
        return "0o";
    if (!f->sharp)
        return "";
    return f->verb == 'b' ? "0b" : f->verb == 'x' ? "0x" : f->verb == 'X' ? "0X" : "";
}

void go_fmt_int(struct go_fmt *f, int64_t i)
{
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    unsigned base = (unsigned)base_of(f->verb);
    const char *prefix = prefix_of(f);
    const char *sign = i < 0 ? "-" : f->plus ? "+" : f->space ? " " : "";
    char text[72], *p = text + sizeof(text);
    size_t n, zeros, used;

    if (f->verb == 'c' || f->verb == 'q') {
        put_rune(f, i);
        return;
    }
    if (f->verb == 'U') {
        put_unicode(f, i);
        return;
    }
    if (base == 0) {
        go_fmt_bad(f, value_int(i));
        return;
    }
    if (f->prec == 0 && i == 0) {
        put_times(f->b, ' ', (size_t)f->width);
        return;
    }
    do
        *--p = (f->verb == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % base];
    while ((u /= base) > 0);
    n = (size_t)(text + sizeof(text) - p);
    zeros = f->prec >= 0 && (size_t)f->prec > n ? (size_t)f->prec - n : 0;
    if (f->prec < 0 && f->zero && (size_t)f->width > n + strlen(sign))
        zeros = (size_t)f->width - n - strlen(sign);
    if (f->sharp && f->verb == 'o' && zeros == 0 && *p != '0')
        zeros = 1;
    used = strlen(sign) + strlen(prefix) + zeros + n;
    if (!f->minus)
        put_times(f->b, ' ', missing(f, used));
    value_put_c(f->b, sign);
    value_put_c(f->b, prefix);
    put_times(f->b, '0', zeros);
    value_put(f->b, (struct str){p, n}, 0);
    if (f->minus)
        put_times(f->b, ' ', missing(f, used));
}

/* The fewest digits that give v >= 0 again, with an exponent when it is small or large. */
static int shortest(char *text, size_t max, double v, int32_t verb)
{
    int digits = 1, exp, rc;

    for (; digits <= 17; digits++) {
        (void)snprintf(text, max, "%.*e", digits - 1, v);
        if (strtod(text, NULL) == v)
            break;
    }
    exp = (int)strtol(strchr(text, 'e') + 1, NULL, 10);
    if (verb == 'e' || verb == 'E')
        rc = snprintf(text, max, verb == 'e' ? "%.*e" : "%.*E", digits - 1, v);
    else if (verb != 'f' && verb != 'F' && (exp < -4 || exp >= 6))
        rc = snprintf(text, max, verb == 'G' ? "%.*E" : "%.*e", digits - 1, v);
    else
        rc = snprintf(text, max, "%.*f", exp < digits - 1 ? digits - 1 - exp : 0, v);
    return rc;
}

void go_fmt_float(struct go_fmt *f, double v)
{
    int minus = v < 0 || (v == 0 && 1 / v < 0), prec = f->prec, n;
    const char *sign = minus ? "-" : f->plus ? "+" : f->space ? " " : "";
    double u = minus ? -v : v;
    char text[480];
    size_t used;

    if (f->verb >= 0x80 || !strchr("veEfFgG", f->verb)) {
        go_fmt_bad(f, value_float(v));
        return;
    }
    if (prec < 0 && strchr("eEfF", f->verb))
        prec = 6;
    prec = prec > 100 ? 100 : prec;
    if (prec < 0)
        n = shortest(text, sizeof(text), u, f->verb);
    else
        n = snprintf(text, sizeof(text),
                     f->verb == 'e'                     ? "%.*e"
                     : f->verb == 'E'                   ? "%.*E"
                     : f->verb == 'f' || f->verb == 'F' ? "%.*f"
                     : f->verb == 'G'                   ? "%.*G"
                                                        : "%.*g",
                     prec, u);
    used = strlen(sign) + (size_t)n;
    if (!f->minus && !f->zero)
        put_times(f->b, ' ', missing(f, used));
    value_put_c(f->b, sign);
    if (f->zero)
        put_times(f->b, '0', missing(f, used));
    value_put(f->b, (struct str){text, (size_t)n}, 0);
    if (f->minus)
        put_times(f->b, ' ', missing(f, used));
}

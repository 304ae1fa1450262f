/* rx_escape.c - characters of a pattern, and what a backslash makes of them. */
#include "text/gram/rx_priv.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

int rx_wrong(struct rx_scan *p, int code, size_t at, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    err_setv(p->e, code, fmt, ap);
    va_end(ap);
    return err_wrap(p->e, code, "pattern, byte %zu", at);
}

int rx_scan_char(struct rx_scan *p, uint32_t *cp)
{
    int32_t c;
    int n = utf8_next(p->s.p + p->at, p->s.n - p->at, &c);

    if (c < 0)
        return rx_wrong(p, E_INVALID, p->at, "no valid UTF-8");
    p->at += (size_t)n;
    *cp = (uint32_t)c;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly n digits at p->s.p[at]: their value, or -1. */
static int32_t digits(const struct rx_scan *p, size_t at, size_t n)
{
    int32_t v = 0;

    if (at > p->s.n || p->s.n - at < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(p->s.p[at + i]);

        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* {...}, behind \u. */
static int braced(struct rx_scan *p, size_t from, uint32_t *cp)
{
    size_t at = p->at + 1;
    uint32_t v = 0;

    for (; at < p->s.n && hex_digit(p->s.p[at]) >= 0; at++) {
        v = v * 16 + (uint32_t)hex_digit(p->s.p[at]);
        if (v > RX_CP_MAX)
            return rx_wrong(p, E_INVALID, from, "\\u{...} is no code point");
    }
    if (at == p->at + 1 || at >= p->s.n || p->s.p[at] != '}')
        return rx_wrong(p, E_INVALID, from, "\\u{ needs hexadecimal digits and }");
    p->at = at + 1;
    *cp = v;
    return 0;
}

/* \x or \u, with p->at behind the letter. */
static int hexadecimal(struct rx_scan *p, size_t from, char letter, uint32_t *cp)
{
    size_t n = letter == 'x' ? 2 : 4;
    int32_t v, low = -1;

    if (letter == 'u' && p->at < p->s.n && p->s.p[p->at] == '{')
        return braced(p, from, cp);
    v = digits(p, p->at, n);
    if (v < 0)
        return rx_wrong(p, E_INVALID, from, "\\%c needs %zu hexadecimal digits", letter, n);
    p->at += n;
    if (v >= 0xD800 && v < 0xDC00 && p->s.n - p->at >= 6 && p->s.p[p->at] == '\\' &&
        p->s.p[p->at + 1] == 'u')
        low = digits(p, p->at + 2, 4);
    if (low >= 0xDC00 && low <= 0xDFFF) {
        p->at += 6;
        v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
    }
    *cp = (uint32_t)v;
    return 0;
}

/* \p{...} or \P{...}, with p->at behind the letter. */
static int property(struct rx_scan *p, size_t from, char letter, struct rx_escape *out)
{
    size_t at = p->at + 1, end = at;
    int rc;

    while (end < p->s.n && p->s.p[end] != '}')
        end++;
    if (p->at >= p->s.n || p->s.p[p->at] != '{' || end >= p->s.n || end == at)
        return rx_wrong(p, E_INVALID, from, "\\%c needs {name}", letter);
    rc = rx_property(p->r, (struct str){p->s.p + at, end - at}, &out->set, p->e);
    if (rc < 0)
        return err_wrap(p->e, rc, "pattern, byte %zu", from);
    if (letter == 'P')
        out->set = rx_outside(p->r, out->set);
    out->is_set = 1;
    p->at = end + 1;
    return rx_error(p->r, p->e);
}

static int set_of_letter(struct rx *r, char c, struct rx_escape *out)
{
    const char *const letters = "dws", *const inverse = "DWS";
    const char *a = strchr(letters, c), *b = strchr(inverse, c);

    if (c == '\0' || (!a && !b))
        return 0;
    out->is_set = 1;
    if (a)
        out->set = rx_shorthand(r, (enum rx_shorthand)(a - letters));
    else
        out->set = rx_outside(r, rx_shorthand(r, (enum rx_shorthand)(b - inverse)));
    return 1;
}

static int control(char c, int in_class, uint32_t *cp)
{
    static const char names[] = "tnvfrb", codes[] = "\t\n\v\f\r\b";
    const char *at = c ? strchr(names, c) : NULL;

    if (!at || (c == 'b' && !in_class))
        return 0;
    *cp = (unsigned char)codes[at - names];
    return 1;
}

static int punctuation(char c)
{
    return c > ' ' && c < 127 && c != '_' && !(c >= '0' && c <= '9') &&
           !((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* \c and a letter, \0, and what is refused. */
static int special(struct rx_scan *p, size_t from, char c, int in_class, uint32_t *cp)
{
    char next = p->at < p->s.n ? p->s.p[p->at] : '\0';

    if (c == 'c' && (next | 0x20) >= 'a' && (next | 0x20) <= 'z') {
        p->at++;
        *cp = (uint32_t)next % 32;
        return 0;
    }
    if (c == '0' && !(next >= '0' && next <= '9')) {
        *cp = 0;
        return 0;
    }
    if (!in_class && ((c >= '1' && c <= '9') || c == 'k'))
        return rx_wrong(p, E_UNSUPPORTED, from, "a backreference (\\%c)", c);
    if (!in_class && (c == 'b' || c == 'B'))
        return rx_wrong(p, E_UNSUPPORTED, from, "a word boundary (\\%c)", c);
    if (c > ' ' && c < 127)
        return rx_wrong(p, E_INVALID, from, "\\%c means nothing", c);
    return rx_wrong(p, E_INVALID, from, "a backslash before what needs none");
}

int rx_escape(struct rx_scan *p, int in_class, struct rx_escape *out)
{
    size_t from = p->at;
    char c;

    *out = (struct rx_escape){0};
    if (p->s.n - p->at < 2)
        return rx_wrong(p, E_INVALID, from, "a backslash at the end");
    c = p->s.p[p->at + 1];
    p->at += 2;
    if (c == 'p' || c == 'P')
        return property(p, from, c, out);
    if (c == 'x' || c == 'u')
        return hexadecimal(p, from, c, &out->cp);
    if (set_of_letter(p->r, c, out))
        return rx_error(p->r, p->e);
    if (control(c, in_class, &out->cp))
        return 0;
    if (!punctuation(c))
        return special(p, from, c, in_class, &out->cp);
    out->cp = (unsigned char)c;
    return 0;
}

/* Literals of Go: quoted strings, characters, numbers. */
#include "text/tmpl/go_tree.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* n digits in that base at *at, or -1. */
static int32_t read_code(struct str s, size_t *at, int n, int base)
{
    int64_t v = 0;

    for (int i = 0; i < n; i++, ++*at) {
        int d = *at < s.n ? digit_of(s.p[*at]) : 99;

        if (d >= base)
            return -1;
        v = v * base + d;
    }
    return v > 0x10ffff ? -1 : (int32_t)v;
}

/* What follows a backslash: *out and *is_byte (of a string, else a character). 0, or -1. */
static int read_escape(struct str s, size_t *at, char quote, int32_t *out, int *is_byte)
{
    static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
    char c = *at < s.n ? s.p[*at] : 0;
    const char *plain = c ? strchr(from, c) : NULL;

    *is_byte = 0;
    if (plain || (c && c == quote)) {
        *out = plain ? to[plain - from] : c;
        ++*at;
        return 0;
    }
    if (c >= '0' && c <= '7') {
        *is_byte = 1;
        *out = read_code(s, at, 3, 8);
        return *out < 0 || *out > 255 ? -1 : 0;
    }
    ++*at;
    if (c == 'x')
        *is_byte = 1;
    else if (c != 'u' && c != 'U')
        return -1;
    *out = read_code(s, at, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16);
    return *out < 0 || (*out >= 0xd800 && *out < 0xe000) ? -1 : 0;
}

/* A raw string stands in the template as it is, but for carriage returns. */
static int read_raw(struct arena *a, struct str s, struct str *out, struct err *e)
{
    char *p = arena_alloc(a, s.n + 1);
    size_t n = 0;

    if (!p)
        return err_set(e, E_NOMEM, "no memory for a string of %zu bytes", s.n);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r')
            p[n++] = s.p[i];
    *out = (struct str){p, n};
    return 0;
}

int go_read_string(struct arena *a, struct str quoted, struct str *out, struct err *e)
{
    struct str s = {quoted.p + 1, quoted.n - 2};
    size_t n = 0;
    char *p;

    if (quoted.p[0] == '`')
        return read_raw(a, s, out, e);
    p = arena_alloc(a, s.n + 4); /* no escape gets longer */
    if (!p)
        return err_set(e, E_NOMEM, "no memory for a string of %zu bytes", s.n);
    for (size_t i = 0; i < s.n;) {
        int32_t cp;
        int is_byte;

        if (s.p[i] != '\\') {
            p[n++] = s.p[i++];
            continue;
        }
        i++;
        if (read_escape(s, &i, '"', &cp, &is_byte) < 0)
            return err_set(e, E_INVALID, "invalid escape in %.*s",
                           (int)(quoted.n < 40 ? quoted.n : 40), quoted.p);
        if (is_byte)
            p[n++] = (char)cp;
        else
            n += (size_t)utf8_put(cp, p + n);
    }
    *out = (struct str){p, n};
    return 0;
}

int go_read_char(struct str quoted, int64_t *out, struct err *e)
{
    struct str s = {quoted.p + 1, quoted.n - 2};
    size_t at = 0;
    int32_t cp = -1;
    int is_byte, ok = s.n > 0;

    if (ok && s.p[0] == '\\') {
        at = 1;
        ok = read_escape(s, &at, '\'', &cp, &is_byte) == 0;
    } else if (ok) {
        at = (size_t)utf8_next(s.p, s.n, &cp);
        if (cp < 0)
            cp = 0xfffd;
    }
    if (!ok || at != s.n)
        return err_set(e, E_INVALID, "malformed character constant: %.*s",
                       (int)(quoted.n < 40 ? quoted.n : 40), quoted.p);
    *out = cp;
    return 0;
}

/* An underscore stands between digits, or behind the letter of a base. Leaves them out. */
static int drop_underscores(struct str s, int with_base, char *p, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '_') {
            int before = i > 0 && (digit_of(s.p[i - 1]) < 16 || (i == 2 && with_base));
            int after = i + 1 < s.n && digit_of(s.p[i + 1]) < 16;

            if (!before || !after)
                return -1;
            continue;
        }
        if (n + 1 >= max)
            return -1;
        p[n++] = s.p[i];
    }
    p[n] = 0;
    return 0;
}

/* 1: *out is the integer, 0: it does not look like one, -1: it is too large. */
static int read_integer(const char *p, int base, int minus, int64_t *out)
{
    uint64_t v = 0, max = (uint64_t)INT64_MAX + (uint64_t)minus;
    int big = 0;

    if (!*p)
        return 0;
    for (; *p; p++) {
        int d = digit_of(*p);

        if (d >= base)
            return 0;
        if (v > (max - (uint64_t)d) / (uint64_t)base)
            big = 1;
        v = v * (uint64_t)base + (uint64_t)d;
    }
    if (big)
        return -1;
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return 1;
}

/* Decimal with a point or an exponent, or hexadecimal with an exponent. */
static int read_float(const char *p, int hex, double *out)
{
    char *end;

    if (p[strspn(p, hex ? "0123456789abcdefABCDEFxXpP.+-" : "0123456789eE.+-")])
        return 0;
    if (hex && !strpbrk(p, "pP"))
        return 0;
    *out = strtod(p, &end);
    return *end == 0 && *out - *out == 0;
}

int go_read_number(struct go_node *n, struct str text, struct err *e)
{
    int minus = text.n > 0 && text.p[0] == '-', sign = minus || (text.n && text.p[0] == '+');
    struct str s = {text.p + sign, text.n - (size_t)sign};
    char p[400];
    int base = 10, skip = 0, rc, with_base;

    with_base = s.n > 1 && s.p[0] == '0';
    if (with_base) {
        static const char letter[] = "xXoObB";
        static const int of[] = {16, 16, 8, 8, 2, 2};
        const char *l = s.p[1] ? strchr(letter, s.p[1]) : NULL;

        base = l ? of[l - letter] : 8;
        skip = l ? 2 : 1;
        with_base = l != NULL;
    }
    if (drop_underscores(s, with_base, p, sizeof(p)) < 0)
        goto bad;
    rc = read_integer(p + skip, base, minus, &n->i);
    n->kind = GO_INT;
    if (rc == 0 && skip == 1 && !p[1])
        rc = 1;
    if (rc < 0)
        return err_set(e, E_INVALID, "integer overflow: %.*s", (int)(text.n < 40 ? text.n : 40),
                       text.p);
    if (rc > 0)
        return 0;
    n->kind = GO_FLOAT;
    if ((base == 10 || base == 16 || skip == 1) && strpbrk(p, base == 16 ? "pP" : ".eE") &&
        read_float(p, base == 16, &n->f)) {
        n->f = minus ? -n->f : n->f;
        return 0;
    }
bad:
    return err_set(e, E_INVALID, "illegal number syntax: %.*s",
                   (int)(text.n < 40 ? text.n : 40), text.p);
}

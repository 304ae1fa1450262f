/* The inside of strings: text and escapes, as JSON. */
#include "base/utf8.h"
#include "text/reply/lit.h"

#include <stdio.h>
#include <string.h>

static void put(struct reply_lit *l, const char *p, size_t n)
{
    int rc = l->fail ? l->fail : buf_put(l->out, p, n);

    l->fail = rc;
}

static void put_str(struct reply_lit *l, const char *s)
{
    put(l, s, strlen(s));
}

#define REPLACED "\xef\xbf\xbd"

static void flush_char(struct reply_lit *l)
{
    int32_t cp;

    for (size_t i = 0; i < l->n_char;) {
        int n = utf8_next(l->utf8 + i, l->n_char - i, &cp);

        put(l, cp < 0 ? REPLACED : l->utf8 + i, cp < 0 ? 3 : (size_t)n);
        i += (size_t)n;
    }
    l->n_char = 0;
}

static void flush_high(struct reply_lit *l)
{
    if (l->high)
        put_str(l, REPLACED);
    l->high = 0;
}

void reply_lit_byte(struct reply_lit *l, char c)
{
    unsigned char u = (unsigned char)c;
    char esc[8];

    flush_high(l);
    if (u >= 0x80) {
        if (l->n_char && (u & 0xc0) != 0x80)
            flush_char(l);
        l->utf8[l->n_char++] = c;
        if (l->n_char == sizeof(l->utf8) || utf8_whole(l->utf8, l->n_char) == l->n_char)
            flush_char(l);
        return;
    }
    flush_char(l);
    if (c == '"' || c == '\\') {
        put(l, (char[2]){'\\', c}, 2);
    } else if (c == '\n') {
        put_str(l, "\\n");
    } else if (c == '\t') {
        put_str(l, "\\t");
    } else if (c == '\r') {
        put_str(l, "\\r");
    } else if (u < 0x20) {
        (void)snprintf(esc, sizeof(esc), "\\u%04x", u);
        put_str(l, esc);
    } else {
        put(l, &c, 1);
    }
}

void reply_lit_bytes_end(struct reply_lit *l)
{
    flush_high(l);
    flush_char(l);
}

static void put_code(struct reply_lit *l, uint32_t cp)
{
    char b[4];
    int n;

    if (cp == 0) {
        reply_lit_byte(l, '\0');
        return;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        cp = 0xfffd;
    n = utf8_put((int32_t)cp, b);
    for (int i = 0; i < n; i++)
        reply_lit_byte(l, b[i]);
}

/* \uXXXX: it stays one, pairs of surrogates as two of them. */
static void put_unit(struct reply_lit *l, unsigned u)
{
    char esc[24];

    flush_char(l);
    if (l->high && u >= 0xdc00 && u < 0xe000) {
        (void)snprintf(esc, sizeof(esc), "\\u%04x\\u%04x", l->high, u);
        l->high = 0;
        put_str(l, esc);
        return;
    }
    flush_high(l);
    if (u >= 0xd800 && u < 0xdc00) {
        l->high = u;
    } else if (u >= 0xdc00 && u < 0xe000) {
        put_str(l, REPLACED);
    } else {
        (void)snprintf(esc, sizeof(esc), "\\u%04x", u);
        put_str(l, esc);
    }
}

static int hex(const char *p, size_t n, uint32_t *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = (char)(p[i] | 0x20);
        int digit = p[i] >= '0' && p[i] <= '9';

        if (!digit && (c < 'a' || c > 'f'))
            return 0;
        *out = *out * 16 + (uint32_t)(digit ? p[i] - '0' : c - 'a' + 10);
    }
    return 1;
}

int reply_lit_escape(struct reply_lit *l)
{
    static const char from[] = "\"\\/bfnrt'", to[] = "\"\\/\b\f\n\r\t'";
    static const char python_from[] = "av0\n", python_to[] = "\a\v\0";
    const char *w = l->word, *at = strchr(from, w[0]);
    int python = l->lang == REPLY_PYTHON;
    size_t digits = w[0] == 'u' ? 4 : python && w[0] == 'x' ? 2 : python && w[0] == 'U' ? 8 : 0;
    uint32_t u;

    if (digits) {
        if (l->n_word <= digits)
            return hex(w + 1, l->n_word - 1, &u) ? 0 : -1;
        if (!hex(w + 1, digits, &u))
            return -1;
        if (digits == 4)
            put_unit(l, u);
        else
            put_code(l, u);
        return 1;
    }
    if (w[0] && at && w[0] != '\'' && !python) {
        reply_lit_bytes_end(l);
        put(l, (char[2]){'\\', w[0]}, 2);
    } else if (w[0] && at) {
        put_code(l, (uint32_t)to[at - from]);
    } else if (python) {
        at = w[0] ? strchr(python_from, w[0]) : NULL;
        if (!at) {
            reply_lit_byte(l, '\\');
            reply_lit_byte(l, w[0]);
        } else if (w[0] != '\n') {
            put_code(l, (uint32_t)python_to[at - python_from]);
        }
    } else {
        return -1;
    }
    return 1;
}

/* gbnf_chars.c - literals and classes of GBNF, character by character. */
#include "text/gram/gbnf_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

static int hex(struct gbnf_reader *r, int n, const char *at, uint32_t *cp)
{
    *cp = 0;
    for (int i = 0; i < n; i++, r->p++) {
        int c = gbnf_peek(r), d = gbnf_is_digit(c)                     ? c - '0'
                                  : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                       : -1;

        if (c < 0 || d < 0)
            return gbnf_wrong(r, at, E_INVALID, "\\%c wants %d hexadecimal digits", at[1], n);
        *cp = *cp << 4 | (uint32_t)d;
    }
    if (*cp > RX_CP_MAX || (*cp >= 0xD800 && *cp < 0xE000))
        return gbnf_wrong(r, at, E_INVALID, "U+%04X is no character", (unsigned)*cp);
    return 0;
}

static int escape(struct gbnf_reader *r, uint32_t *cp)
{
    static const char from[] = "nrt\\\"[]", to[] = "\n\r\t\\\"[]";
    const char *at = r->p++, *s;
    int c = gbnf_peek(r);

    if (c < 0)
        return gbnf_wrong(r, at, E_INVALID, "the grammar ends in an escape");
    r->p++;
    if (c == 'x' || c == 'u' || c == 'U')
        return hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, at, cp);
    s = c ? strchr(from, c) : NULL;
    if (!s)
        return gbnf_wrong(
            r, at, E_INVALID,
            "unknown escape \\%c; known: \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH "
            "\\UHHHHHHHH",
            c >= 0x20 && c < 0x7F ? c : '?');
    *cp = (uint32_t)(unsigned char)to[s - from];
    return 0;
}

/* One character, escaped or not; the text has one. */
static int character(struct gbnf_reader *r, uint32_t *cp)
{
    int32_t got;
    int n;

    if (*r->p == '\\')
        return escape(r, cp);
    n = utf8_next(r->p, (size_t)(r->end - r->p), &got);
    if (got < 0)
        return gbnf_wrong(r, r->p, E_INVALID, "byte 0x%02X is no UTF-8",
                          (unsigned)(unsigned char)*r->p);
    *cp = (uint32_t)got;
    r->p += n;
    return 0;
}

int gbnf_literal(struct gbnf_reader *r)
{
    const char *at = r->p++;
    struct buf text;
    int rc = 0;

    buf_init(&text, (size_t)(r->end - at) * 2 + 8);
    while (rc == 0 && gbnf_peek(r) != '"') {
        char out[4];
        uint32_t cp = 0;

        if (gbnf_peek(r) < 0 || gbnf_peek(r) == '\n') {
            rc = gbnf_wrong(r, at, E_INVALID, "the literal has no end on its line");
            break;
        }
        rc = character(r, &cp);
        if (rc == 0 && buf_put(&text, out, (size_t)utf8_put((int32_t)cp, out)) < 0)
            rc = gbnf_no_memory(r);
    }
    r->p++;
    if (rc == 0)
        rc = gbnf_put(r, gram_bytes(r->g, (struct str){text.p, text.n}));
    buf_done(&text);
    return rc;
}

static int put_range(struct gbnf_reader *r, struct rx_range **all, size_t *n, size_t *cap,
                     const char *at)
{
    struct rx_range got = {0, 0};
    const char *second;
    int rc = character(r, &got.lo);

    got.hi = got.lo;
    if (rc == 0 && gbnf_peek(r) == '-' && r->p + 1 < r->end && r->p[1] != ']') {
        second = ++r->p;
        rc = character(r, &got.hi);
        if (rc == 0 && got.hi < got.lo)
            rc = gbnf_wrong(r, second, E_INVALID, "the range ends before it begins");
    }
    if (rc < 0)
        return rc;
    if (*n == GBNF_RANGES)
        return gbnf_wrong(r, at, E_TOO_LONG, "more than %d characters in a class", GBNF_RANGES);
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct rx_range *p = mem_realloc(*all, more * sizeof(*p));

        if (!p)
            return gbnf_no_memory(r);
        *all = p;
        *cap = more;
    }
    (*all)[(*n)++] = got;
    return 0;
}

int gbnf_class(struct gbnf_reader *r)
{
    const char *at = r->p++;
    struct rx *rx = gram_rx(r->g);
    struct rx_range *all = NULL;
    size_t n = 0, cap = 0;
    int other = gbnf_peek(r) == '^', rc = 0;
    rx_id set;

    r->p += other;
    while (rc == 0 && gbnf_peek(r) != ']') {
        if (gbnf_peek(r) < 0 || gbnf_peek(r) == '\n')
            rc = gbnf_wrong(r, at, E_INVALID, "the class has no ] on its line");
        else
            rc = put_range(r, &all, &n, &cap, at);
    }
    r->p++;
    if (rc == 0 && n == 0 && !other)
        rc = gbnf_wrong(r, at, E_INVALID, "a class without characters matches nothing");
    if (rc == 0) {
        set = rx_set(rx, all, n);
        rc =
            gbnf_put(r, gram_text(r->g, other ? rx_and(rx, rx_any(rx), rx_not(rx, set)) : set));
    }
    mem_free(all);
    return rc;
}

#include "base/utf8.h"

/* The length that a first byte promises; 0 for a byte that cannot begin a character. */
static int promised(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* 1 when c may be the second byte after first (the rules that shut out overlong forms,
 * surrogates and code points past U+10FFFF all live in the second byte). */
static int second_ok(unsigned char first, unsigned char c)
{
    if ((c & 0xc0) != 0x80)
        return 0;
    switch (first) {
    case 0xe0:
        return c >= 0xa0;
    case 0xed:
        return c < 0xa0;
    case 0xf0:
        return c >= 0x90;
    case 0xf4:
        return c < 0x90;
    default:
        return 1;
    }
}

/* How many of the n bytes at p are the beginning of one well-formed character. */
static int prefix(const unsigned char *p, size_t n, int len)
{
    int k = 1;

    while (k < len && (size_t)k < n && (k == 1 ? second_ok(p[0], p[1]) : (p[k] & 0xc0) == 0x80))
        k++;
    return k;
}

int utf8_next(const char *s, size_t n, int32_t *cp)
{
    const unsigned char *p = (const unsigned char *)s;
    int len = promised(p[0]);
    int32_t c;

    if (len == 1) {
        *cp = p[0];
        return 1;
    }
    if (len == 0 || prefix(p, n, len) < len) {
        *cp = -1;
        return 1;
    }
    c = p[0] & (0x7f >> len);
    for (int k = 1; k < len; k++)
        c = (c << 6) | (p[k] & 0x3f);
    *cp = c;
    return len;
}

int utf8_put(int32_t cp, char out[4])
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | (cp >> 6));
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | (cp >> 12));
        out[1] = (char)(0x80 | ((cp >> 6) & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (cp >> 18));
    out[1] = (char)(0x80 | ((cp >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((cp >> 6) & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

size_t utf8_whole(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;

    /* Only the last three bytes can belong to a character that is not complete. */
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        size_t at = n - back;
        int len = promised(p[at]);

        if ((p[at] & 0xc0) == 0x80)
            continue;
        if (len > (int)back && prefix(p + at, back, len) == (int)back)
            return at;
        return n;
    }
    return n;
}

int utf8_valid(const char *p, size_t n)
{
    while (n) {
        int32_t cp;
        int len = utf8_next(p, n, &cp);

        if (cp < 0)
            return 0;
        p += len;
        n -= (size_t)len;
    }
    return 1;
}

int utf8_mend(struct buf *out, const char *p, size_t n)
{
    while (n > 0) {
        int32_t cp;
        int k = utf8_next(p, n, &cp);
        int rc = cp < 0 ? buf_str(out, "\xEF\xBF\xBD") : buf_put(out, p, (size_t)k);

        if (rc < 0)
            return rc;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

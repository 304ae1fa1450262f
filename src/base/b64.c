#include "base/b64.h"

#include <limits.h>
#include <stdint.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

long b64_decode(struct str s, unsigned char *out, size_t *bad)
{
    size_t n = s.n, n_out = 0, at = 0;
    unsigned bits = 0;
    int n_bit = 0;

    while (n > 0 && s.n - n < 2 && s.p[n - 1] == '=')
        n--;
    for (; at < n; at++) {
        int v = value_of(s.p[at]);

        if (v < 0)
            break;
        bits = bits << 6 | (unsigned)v;
        n_bit += 6;
        if (n_bit >= 8) {
            n_bit -= 8;
            out[n_out++] = (unsigned char)(bits >> n_bit);
            bits &= (1u << n_bit) - 1;
        }
    }
    /* A character alone is no byte, padding fills up to four, and bits that are left are 0. */
    if (at == n && n % 4 != 1 && (n == s.n || s.n % 4 == 0) && bits == 0 && n_out <= LONG_MAX)
        return (long)n_out;
    if (bad)
        *bad = at;
    return -1;
}

int b64_encode(struct buf *out, const void *p, size_t n)
{
    static const char text[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = p;
    size_t need = (n / 3 + (n % 3 != 0)) * 4;
    char *to;

    if (n > SIZE_MAX / 4 * 3 - 3 || out->n > out->max || need > out->max - out->n)
        return E_TOO_LONG;
    to = buf_reserve(out, need);
    if (!to)
        return E_NOMEM;
    for (size_t i = 0; i < n; i += 3) {
        unsigned bits = (unsigned)s[i] << 16 | (i + 1 < n ? (unsigned)s[i + 1] << 8 : 0) |
                        (i + 2 < n ? s[i + 2] : 0u);

        *to++ = text[bits >> 18];
        *to++ = text[bits >> 12 & 63];
        *to++ = i + 1 < n ? text[bits >> 6 & 63] : '=';
        *to++ = i + 2 < n ? text[bits & 63] : '=';
    }
    *to = '\0';
    out->n += need;
    return 0;
}

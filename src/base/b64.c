#include "base/b64.h"

#include <limits.h>

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

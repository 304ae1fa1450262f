/* block_bits.h - a block as its definition sees it: positions of bits. */
#ifndef HEARTH_TESTS_BLOCK_BITS_H
#define HEARTH_TESTS_BLOCK_BITS_H

#include <math.h>
#include <stdint.h>

/* n bits from bit `at` of a block, counted from the low end of byte 0. */
static inline int bits(const unsigned char *b, int at, int n)
{
    uint32_t v = 0;

    for (int i = 0; i < n; i++)
        v |= (uint32_t)(b[(at + i) / 8] >> ((at + i) % 8) & 1) << i;
    return (int)v;
}

static inline double half_value(int h)
{
    int exp = h >> 10 & 31, man = h & 1023;
    double v = exp == 31  ? (man ? (double)NAN : (double)INFINITY)
               : exp == 0 ? ldexp(man, -24)
                          : ldexp(1024 + man, exp - 25);

    return h & 0x8000 ? -v : v;
}

static inline double half_at(const unsigned char *b, int byte)
{
    return half_value(bits(b, 8 * byte, 16));
}

#endif

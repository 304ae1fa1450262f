#include "base/digest.h"

#include <string.h>

/* Odd numbers without a pattern: the fractions of square roots of primes. */
#define K0 0x6a09e667f3bcc909u
#define K1 0xbb67ae8584caa73bu
#define K2 0x3c6ef372fe94f82bu
#define K3 0xa54ff53a5f1d36f1u

static uint64_t turn(uint64_t x, int n)
{
    return x << n | x >> (64 - n);
}

static uint64_t word(const unsigned char *p, size_t n)
{
    uint64_t w = 0;

    memcpy(&w, p, n);
    return w;
}

/* One word into a lane; multiplying by an odd number loses nothing. Twice, because the top bit
 * of a word comes out of a multiplication alone, and another bit of the next word would undo
 * it. */
static uint64_t step(uint64_t lane, uint64_t w)
{
    return turn(lane + w * K2, 31) * K1;
}

/* So that every bit of the input moves about half of the bits that come out. */
static uint64_t finish(uint64_t x)
{
    x = (x ^ x >> 32) * K2;
    x = (x ^ x >> 29) * K3;
    return x ^ x >> 32;
}

uint64_t digest_bytes(uint64_t seed, const void *p, size_t n)
{
    const unsigned char *b = p;
    uint64_t lane[4] = {seed ^ K0, seed + K1, seed ^ K2, seed + K3}, sum = n * K0;
    size_t left = n;

    /* Four lanes, so that a multiplication need not wait for the one before. */
    for (; left >= 32; left -= 32, b += 32) {
        for (int i = 0; i < 4; i++)
            lane[i] = step(lane[i], word(b + 8 * i, 8));
    }
    for (int i = 0; left > 0; i++) {
        size_t k = left < 8 ? left : 8;

        lane[i] = step(lane[i], word(b, k));
        b += k;
        left -= k;
    }
    for (int i = 0; i < 4; i++)
        sum = finish(sum ^ lane[i]);
    return sum;
}

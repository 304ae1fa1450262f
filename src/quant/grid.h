/* grid.h - the codebooks of the formats that store several numbers as one index.
 *
 * The IQ1, IQ2 and IQ3 formats name a whole point of 8 or 4 numbers; which points there are is
 * part of the format and has no rule, so they stand here as tables. A point is a code of 16
 * bits: number j is levels[code >> bits * j & mask], with the levels below.
 *
 *   IQ1   8 numbers of 2 bits: -1, 0, 1
 *   IQ2   8 numbers of 2 bits: 8, 25, 43; signs apart
 *   IQ3   4 numbers of 3 bits: (XXS) 4, 12, 20, 28, 36, 44, 52, 62, (S) 1, 3, 5 .. 15; signs
 *         apart
 *
 * Each table has one zero more than points, so that a kernel may read 4 bytes at any code.
 *
 * Threads  any
 * Source   the points of GGUF files' IQ formats, as their writers publish them; the tests
 *          compare checksums
 */
#ifndef HEARTH_QUANT_GRID_H
#define HEARTH_QUANT_GRID_H

#include <stdint.h>

extern const uint16_t grid_iq1[2048 + 1];
extern const uint16_t grid_iq2_xxs[256 + 1], grid_iq2_xs[512 + 1], grid_iq2_s[1024 + 1];
extern const uint16_t grid_iq3_xxs[256 + 1], grid_iq3_s[512 + 1];

/* What 4 bits stand for in IQ4_NL and IQ4_XS, in ascending order. */
#define GRID_IQ4_LEVELS -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113

/* Number j of a point. */
static inline int grid_iq1_at(uint16_t code, int j)
{
    return (code >> 2 * j & 3) - 1;
}

static inline int grid_iq2_at(uint16_t code, int j)
{
    static const uint8_t levels[4] = {8, 25, 43, 0};

    return levels[code >> 2 * j & 3];
}

static inline int grid_iq3_xxs_at(uint16_t code, int j)
{
    static const uint8_t levels[8] = {4, 12, 20, 28, 36, 44, 52, 62};

    return levels[code >> 3 * j & 7];
}

static inline int grid_iq3_s_at(uint16_t code, int j)
{
    return 2 * (code >> 3 * j & 7) + 1;
}

/* Eight signs of which seven are stored: the number of set bits is even. */
static inline int grid_signs(uint32_t seven)
{
    uint32_t s = seven & 127u, p = s ^ s >> 4;

    p ^= p >> 2;
    p ^= p >> 1;
    return (int)(s | (p & 1u) << 7);
}

/* v, or -v when bit j of signs is set. */
static inline int grid_sign(int v, int signs, int j)
{
    return signs >> j & 1 ? -v : v;
}

static inline uint32_t grid_load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

#endif

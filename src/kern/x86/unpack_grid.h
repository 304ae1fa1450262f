/* unpack_grid.h - as unpack.h, for the formats with codebooks (quant/grid.h).
 *
 * The rows' codes are gathered, spread to one byte a number, and mapped to the level by a
 * table of 16 bytes; signs are a bit of that table's index. All levels stay below the offset
 * of 16 or 64, so that the bytes are unsigned and need no wide product. IQ1 counts in eighths:
 * point and shift together are 8 point + 1 or 8 point - 1.
 */
#ifndef HEARTH_KERN_X86_UNPACK_GRID_H
#define HEARTH_KERN_X86_UNPACK_GRID_H

#include "kern/x86/unpack_level.h"

/* The code of each lane's point in the low 16 bits; the next point's above. */
INL part grid_codes(const uint16_t *grid, part at)
{
    return (part)vi_gather2(grid, (vi)at);
}

/* Bits 3j..3j+2 of each lane to byte j. */
INL part part_triples(part x)
{
    x &= 0xfffu;
    x = (x | x << 10) & 0x003f003fu;
    return (x | x << 5) & 0x07070707u;
}

/* grid_signs() of each lane. */
INL part part_signs(part x)
{
    part s = x & 127u, p = s ^ (s >> 4);

    p ^= p >> 2;
    p ^= p >> 1;
    return s | ((p & 1u) << 7);
}

/* scale * (2 s + 1). */
INL vf odd_scale(vf scale, part s)
{
    return vf_mul(scale, part_f(s + s + 1u));
}

/* -- IQ1 ----------------------------------------------------------------------------- */

/* A point and the sign of its shift (0 or 1) to quads t and t + 1. */
INL void iq1_put(const struct unpack *o, int t, int h, part at, part minus)
{
    part code = grid_codes(grid_iq1, at), base = 0x09090909u - minus * 0x02020202u;

    part_put(o, t, h, (part_pairs(code) << 3) + base);
    part_put(o, t + 1, h, (part_pairs(code >> 8) << 3) + base);
}

static void unpack_iq1_s(const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        vf d = vf_mul(vf_load_f16(p + 2 * h), vf_set(0.125f));

        for (int b = 0; b < 8; b++) {
            part qs = part_at(p + 32, b, h), qh = part_at(p + 32, 8 + b / 2, h) >> (b % 2 * 16),
                 minus = (qh >> 15) & 1u;

            part_d(o, b, h, odd_scale(d, (qh >> 12) & 7u));
            UNROLL for (int l = 0; l < 4; l++)
            {
                part at = ((qs >> (8 * l)) & 0xffu) | (((qh >> (3 * l)) & 7u) << 8);

                iq1_put(o, 8 * b + 2 * l, h, at, minus);
            }
        }
    }
}

static void unpack_iq1_m(const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        part s[2] = {part_at(p, 12, h), part_at(p, 13, h)};
        part bits = ((s[0] >> 12) & 15u) | ((s[0] >> 24) & 0xf0u) | ((s[1] >> 4) & 0xf00u) |
                    ((s[1] >> 16) & 0xf000u);
        vf d = vf_mul(part_half(bits), vf_set(0.125f));

        for (int b = 0; b < 8; b++) {
            part qs = part_at(p, b, h), qh = part_at(p, 8 + b / 2, h) >> (b % 2 * 16),
                 sc = s[b / 4] >> (b / 2 % 2 * 16 + b % 2 * 6);

            part_d(o, 2 * b, h, odd_scale(d, sc & 7u));
            part_d(o, 2 * b + 1, h, odd_scale(d, (sc >> 3) & 7u));
            UNROLL for (int l = 0; l < 4; l++)
            {
                part high = qh >> (4 * l), at = ((qs >> (8 * l)) & 0xffu) | ((high & 7u) << 8);

                iq1_put(o, 8 * b + 2 * l, h, at, (high >> 3) & 1u);
            }
        }
    }
}

/* -- IQ2 ----------------------------------------------------------------------------- */

struct iq2 {
    part levels; /* 64 + level, and from 4 on 64 - level */
    part signs;  /* of set bits: 4 */
};

INL struct iq2 iq2_tables(void)
{
    static const uint8_t levels[16] = {64 + 8, 64 + 25, 64 + 43, 64,
                                       64 - 8, 64 - 25, 64 - 43, 64};

    return (struct iq2){part_table(levels), bits_table(4)};
}

/* A point, with its signs spread to all bytes, to quads t and t + 1. */
INL void iq2_put(const struct unpack *o, const struct iq2 *q, int t, int h, part code,
                 part signs)
{
    part_put(o, t, h, part_lookup(q->levels, part_pairs(code) | part_bits(q->signs, signs, 0)));
    part_put(o, t + 1, h,
             part_lookup(q->levels, part_pairs(code >> 8) | part_bits(q->signs, signs, 1)));
}

static void unpack_iq2_xxs(const uint8_t *p, const struct unpack *o)
{
    struct iq2 q = iq2_tables();

    EACH_PART(h)
    {
        vf d = vf_mul(vf_load_f16(p + 2 * h), vf_set(0.125f));

        for (int b = 0; b < 8; b++) {
            part qs = part_at(p + 32, 2 * b, h), u = part_at(p + 32, 2 * b + 1, h);

            part_d(o, b, h, odd_scale(d, u >> 28));
            UNROLL for (int l = 0; l < 4; l++)
            {
                part code = grid_codes(grid_iq2_xxs, (qs >> (8 * l)) & 0xffu);

                iq2_put(o, &q, 8 * b + 2 * l, h, code,
                        part_spread(part_signs(u >> (7 * l)), 0));
            }
        }
    }
}

static void unpack_iq2_xs(const uint8_t *p, const struct unpack *o)
{
    struct iq2 q = iq2_tables();

    EACH_PART(h)
    {
        vf d = vf_mul(vf_load_f16(p + 2 * h), vf_set(0.125f));

        for (int g = 0; g < 16; g++) {
            part x = part_at(p + 32, g, h),
                 s = part_at(p + 32, 16 + g / 8, h) >> (g % 8 * 4) & 15u;

            part_d(o, g, h, odd_scale(d, s));
            UNROLL for (int l = 0; l < 2; l++)
            {
                part v = x >> (16 * l), code = grid_codes(grid_iq2_xs, v & 511u);

                iq2_put(o, &q, 4 * g + 2 * l, h, code, part_spread(part_signs(v >> 9), 0));
            }
        }
    }
}

static void unpack_iq2_s(const uint8_t *p, const struct unpack *o)
{
    struct iq2 q = iq2_tables();

    EACH_PART(h)
    {
        vf d = vf_mul(vf_load_f16(p + 2 * h), vf_set(0.125f));

        for (int b = 0; b < 8; b++) {
            part qs = part_at(p + 32, b, h), signs = part_at(p + 32, 8 + b, h),
                 qh = part_at(p + 32, 16 + b / 4, h) >> (b % 4 * 8),
                 s = part_at(p + 32, 18 + b / 4, h) >> (b % 4 * 8);

            part_d(o, 2 * b, h, odd_scale(d, s & 15u));
            part_d(o, 2 * b + 1, h, odd_scale(d, (s >> 4) & 15u));
            UNROLL for (int l = 0; l < 4; l++)
            {
                part at = ((qs >> (8 * l)) & 0xffu) | (((qh >> (2 * l)) & 3u) << 8);

                iq2_put(o, &q, 8 * b + 2 * l, h, grid_codes(grid_iq2_s, at),
                        part_spread(signs, l));
            }
        }
    }
}

/* -- IQ3 ----------------------------------------------------------------------------- */

static void unpack_iq3_xxs(const uint8_t *p, const struct unpack *o)
{
    static const uint8_t levels[16] = {64 + 4,  64 + 12, 64 + 20, 64 + 28, 64 + 36, 64 + 44,
                                       64 + 52, 64 + 62, 64 - 4,  64 - 12, 64 - 20, 64 - 28,
                                       64 - 36, 64 - 44, 64 - 52, 64 - 62};
    part table = part_table(levels), eight = bits_table(8);

    EACH_PART(h)
    {
        vf d = vf_mul(vf_load_f16(p + 2 * h), vf_set(0.25f));

        for (int b = 0; b < 8; b++) {
            part u = part_at(p + 32, 16 + b, h);

            part_d(o, b, h, odd_scale(d, u >> 28));
            UNROLL for (int l = 0; l < 4; l++)
            {
                part x = part_at(p + 32, 2 * b + l / 2, h) >> (l % 2 * 16),
                     signs = part_spread(part_signs(u >> (7 * l)), 0);

                UNROLL for (int k = 0; k < 2; k++)
                {
                    part code = grid_codes(grid_iq3_xxs, (x >> (8 * k)) & 0xffu);

                    part_put(
                        o, 8 * b + 2 * l + k, h,
                        part_lookup(table, part_triples(code) | part_bits(eight, signs, k)));
                }
            }
        }
    }
}

static void unpack_iq3_s(const uint8_t *p, const struct unpack *o)
{
    static const uint8_t levels[16] = {17, 19, 21, 23, 25, 27, 29, 31,
                                       15, 13, 11, 9,  7,  5,  3,  1};
    part table = part_table(levels), eight = bits_table(8);

    EACH_PART(h)
    {
        vf d = vf_load_f16(p + 2 * h);
        part scales = part_at(p + 32, 26, h);

        for (int b = 0; b < 8; b++) {
            part qh = part_at(p + 32, 16 + b / 4, h) >> (b % 4 * 8),
                 signs = part_at(p + 32, 18 + b, h);

            part_d(o, b, h, odd_scale(d, (scales >> (4 * b)) & 15u));
            UNROLL for (int i = 0; i < 8; i++)
            {
                part x = part_at(p + 32, 2 * b + i / 4, h) >> (i % 4 * 8),
                     code = grid_codes(grid_iq3_s, (x & 0xffu) | (((qh >> i) & 1u) << 8)),
                     sign = part_bits(eight, part_spread(signs, i / 2), i % 2);

                part_put(o, 8 * b + i, h, part_lookup(table, part_triples(code) | sign));
            }
        }
    }
}

#endif

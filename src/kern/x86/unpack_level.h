/* unpack_level.h - as unpack.h, for formats of few bits: digits and single bits (TQ, Q1_0,
 * Q2_0). */
#ifndef HEARTH_KERN_X86_UNPACK_LEVEL_H
#define HEARTH_KERN_X86_UNPACK_LEVEL_H

#include "kern/x86/unpack.h"

/* Byte b of each lane in all four bytes of it. */
INL part part_spread(part x, int b)
{
    static const uint8_t from[4][16] = {
        {0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12},
        {1, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13},
        {2, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14},
        {3, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15},
    };

    return part_lookup(x, part_table(from[b]));
}

/* Bits 2j..2j+1 of the low byte of each lane to byte j; the others count as zero. */
INL part part_pairs(part x)
{
    x &= 0xffu;
    x = (x | x << 12) & 0x000f000fu;
    return (x | x << 6) & 0x03030303u;
}

/* The scale of a whole block to its n groups of 32. */
INL void part_d_all(const struct unpack *o, int n, int h, vf d)
{
    for (int g = 0; g < n; g++)
        part_d(o, g, h, d);
}

/* A byte times three is its next digit and, below 256, what is left. Even and odd bytes go
 * apart, 16 bits each. */
INL void tq1_0_digits(const struct unpack *o, part x, int n, int t, int gap, int h)
{
    part_w even = (part_w)x & 0xff, odd = (part_w)x >> 8;

    for (int i = 0; i < n; i++) {
        even = even + even + even;
        odd = odd + odd + odd;
        part_put(o, t + gap * i, h, (part)((even >> 8) | (odd & 0xff00)));
        even &= 0xff;
        odd &= 0xff;
    }
}

static void unpack_tq1_0(const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        part_d_all(o, 8, h, vf_load_f16(p + 13 * LINE + 2 * h));
        for (int i = 0; i < 8; i++)
            tq1_0_digits(o, part_at(p, i, h), 5, i, 8, h);
        for (int i = 0; i < 4; i++)
            tq1_0_digits(o, part_at(p, 8 + i, h), 5, 40 + i, 4, h);
        tq1_0_digits(o, part_at(p, 12, h), 4, 60, 1, h);
    }
}

static void unpack_tq2_0(const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        part_d_all(o, 8, h, vf_load_f16(p + 16 * LINE + 2 * h));
        UNROLL for (int i = 0; i < 16; i++)
        {
            part x = part_at(p, i, h);
            int t = i / 8 * 32 + i % 8;

            UNROLL for (int s = 0; s < 4; s++)
                part_put(o, t + 8 * s, h, (x >> (2 * s)) & 0x03030303u);
        }
    }
}

/* Bit j of a byte that is in all bytes of a lane, to the table's entry 1, 2, 4 or 8 in byte j;
 * the low or the high four bits. */
INL part part_bits(part table, part spread, int high)
{
    return part_lookup(table, (high ? spread >> 4 : spread) & 0x08040201u);
}

/* A table for part_bits: v where the bit is set. */
INL part bits_table(int v)
{
    uint8_t t[16] = {0};

    t[1] = t[2] = t[4] = t[8] = (uint8_t)v;
    return part_table(t);
}

static void unpack_q1_0(const uint8_t *p, const struct unpack *o)
{
    part table = bits_table(2);

    EACH_PART(h)
    {
        part_d_all(o, 4, h, vf_load_f16(p + 2 * h));
        UNROLL for (int i = 0; i < 16; i++)
        {
            part x = part_spread(part_at(p + 32, i / 4, h), i % 4);

            part_put(o, 2 * i, h, part_bits(table, x, 0));
            part_put(o, 2 * i + 1, h, part_bits(table, x, 1));
        }
    }
}

static void unpack_q2_0(const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        part_d_all(o, 2, h, vf_load_f16(p + 2 * h));
        UNROLL for (int i = 0; i < 16; i++)
            part_put(o, i, h, part_pairs(part_at(p + 32, i / 4, h) >> (i % 4 * 8)));
    }
}

#endif

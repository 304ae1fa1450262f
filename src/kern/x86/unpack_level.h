/* unpack_level.h - as unpack.h, for formats whose few bits stand for a level: through a table
 * of 16 bytes (IQ4, FP4), or as digits and single bits (TQ, Q1_0, Q2_0).
 *
 * A line is taken in parts of one register, so that shuffles of the tier apply; h is the row
 * that a part begins with.
 */
#ifndef HEARTH_KERN_X86_UNPACK_LEVEL_H
#define HEARTH_KERN_X86_UNPACK_LEVEL_H

#include "kern/x86/unpack.h"
#include "quant/fp4.h"
#include "quant/grid.h"

typedef uint32_t part __attribute__((vector_size(4 * VL)));
typedef uint16_t part_w __attribute__((vector_size(4 * VL)));
typedef uint16_t part_h __attribute__((vector_size(2 * VL)));
typedef uint8_t part_b __attribute__((vector_size(VL)));

#define EACH_PART(h) for (int h = 0; h < TILE_ROWS; h += VL)

INL part part_at(const uint8_t *p, int i, int h)
{
    part x;

    memcpy(&x, p + i * LINE + 4 * h, sizeof(x));
    return x;
}

INL void part_put(const struct unpack *o, int t, int h, part x)
{
    memcpy(o->w + (size_t)t * GROUP * 4 + 4 * h, &x, sizeof(x));
}

INL void part_d(const struct unpack *o, int g, int h, vf d)
{
    vf_store(o->d + (size_t)g * GROUP + h, d);
}

INL vf part_f(part x)
{
    return vi_to_f((vi)x);
}

/* The half in the low 16 bits of each lane. */
INL vf part_half(part x)
{
    part_h v = __builtin_convertvector(x & 0xffffu, part_h);

    return vf_load_f16(&v);
}

/* 16 bytes in every 16 bytes of a register: a table for part_lookup. */
INL part part_table(const void *p)
{
    return (part)vi_table16(p);
}

/* Each byte of x, below 16, to that entry of the table. */
INL part part_lookup(part table, part x)
{
    return (part)vi_lookup16((vi)table, (vi)x);
}

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

/* Both nibbles of part i through the table, to quads t and t + gap. */
INL void part_nibbles(const struct unpack *o, part table, part x, int t, int gap, int h)
{
    part_put(o, t, h, part_lookup(table, x & 0x0f0f0f0fu));
    part_put(o, t + gap, h, part_lookup(table, (x >> 4) & 0x0f0f0f0fu));
}

INL part iq4_table(void)
{
    static const int8_t levels[16] = {GRID_IQ4_LEVELS};

    return part_table(levels) ^ (V_SIGNED8 ? 0 : 0x80808080u);
}

static void unpack_iq4_nl(const uint8_t *p, const struct unpack *o)
{
    part table = iq4_table();

    EACH_PART(h)
    {
        part_d(o, 0, h, vf_load_f16(p + 2 * h));
        UNROLL for (int i = 0; i < 4; i++)
            part_nibbles(o, table, part_at(p + 32, i, h), i, 4, h);
    }
}

static void unpack_iq4_xs(const uint8_t *p, const struct unpack *o)
{
    part table = iq4_table();

    EACH_PART(h)
    {
        part head = part_at(p, 0, h), low = part_at(p, 1, h);
        vf d = part_half(head);

        UNROLL for (int g = 0; g < 8; g++)
        {
            part s = ((low >> (4 * g)) & 15u) | (((head >> (16 + 2 * g)) & 3u) << 4);

            part_d(o, g, h, vf_mul(d, vf_sub(part_f(s), vf_set(32))));
        }
        for (int g = 0; g < 8; g++) {
            UNROLL for (int i = 0; i < 4; i++)
                part_nibbles(o, table, part_at(p, 2 + 4 * g + i, h), 8 * g + i, 4, h);
        }
    }
}

/* 16 more than twice an E2M1. */
INL part fp4_table(void)
{
    static const int8_t levels[16] = {FP4_LEVELS};

    /* As unsigned bytes, 128 more, so that nothing is borrowed from the next byte. */
    return (part_table(levels) ^ 0x80808080u) - 0x70707070u;
}

static void unpack_mxfp4(const uint8_t *p, const struct unpack *o)
{
    part table = fp4_table();

    EACH_PART(h)
    {
        part_b b;
        part e, tiny, d;

        memcpy(&b, p + h, sizeof(b));
        e = __builtin_convertvector(b, part);
        tiny = (part)(e < 2u);
        d = (tiny & ((e + 1) << 21)) | (~tiny & ((e - 1) << 23));
        part_d(o, 0, h, (vf)d);
        UNROLL for (int i = 0; i < 4; i++)
            part_nibbles(o, table, part_at(p + TILE_ROWS, i, h), i, 4, h);
    }
}

/* fp4_half_ue4m3() of each lane. */
INL vf half_ue4m3(part v)
{
    part tiny = (part)((v & 0x78u) == 0u), none = (part)(v == 0x7fu),
         large = ((v & 0x7fu) << 20) + (119u << 23),
         small = (part)vf_mul(part_f(v & 7u), vf_set(0x1p-10f));

    return (vf)(((tiny & small) | (~tiny & large)) & ~none);
}

static void unpack_nvfp4(const uint8_t *p, const struct unpack *o)
{
    part table = fp4_table();

    EACH_PART(h)
    {
        part d = part_at(p, 0, h);

        UNROLL for (int k = 0; k < 4; k++)
        {
            part_d(o, k, h, half_ue4m3((d >> (8 * k)) & 0xffu));
            UNROLL for (int i = 0; i < 2; i++)
                part_nibbles(o, table, part_at(p, 1 + 2 * k + i, h), 4 * k + i, 2, h);
        }
    }
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

/* unpack.h - the blocks of a tile (tile.h) as unsigned bytes and float scales.
 *
 * Every format is affine in its group of 16 or 32 numbers: value = d * (u - zero) - m, with u
 * an unsigned byte. A tile is read in parts of one register, a row a lane; h is the row that
 * the part begins with. A format says how to read a part of its block in four functions
 * (struct format), which two kernels use:
 *   unpack   (below) writes what it reads to memory that stays in the first-level cache, for
 *            products of many columns;
 *   direct   (direct.h) multiplies what it reads as it reads it, for a few columns.
 * Loops have fixed bounds and are unrolled, and all is inlined: in decode this is most of what
 * the processor does. Formats with codebooks, and those of few bits, only unpack
 * (unpack_level.h, unpack_grid.h). Source: the readers in quant/, which the kernel tests
 * compare with.
 */
#ifndef HEARTH_KERN_X86_UNPACK_H
#define HEARTH_KERN_X86_UNPACK_H

#include "quant/fp4.h"
#include "quant/grid.h"

#include <string.h>

enum { LINE = 64 };

/* -- parts of a line -------------------------------------------------------------------- */

typedef uint32_t part __attribute__((vector_size(4 * VL)));
typedef uint16_t part_w __attribute__((vector_size(4 * VL)));
typedef uint16_t part_h __attribute__((vector_size(2 * VL)));
typedef uint8_t part_b __attribute__((vector_size(VL)));

#define EACH_PART(h) for (int h = 0; h < TILE_ROWS; h += VL)

/* Dword i of the rows from h. */
INL part part_at(const uint8_t *p, int i, int h)
{
    part x;

    memcpy(&x, p + i * LINE + 4 * h, sizeof(x));
    return x;
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

/* Byte j of each lane as a float. */
INL vf part_byte(part x, int j)
{
    return part_f((x >> (8 * j)) & 0xffu);
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

/* The low or the high nibbles. */
INL part nibbles(part x, int high)
{
    return (high ? x >> 4 : x) & 0x0f0f0f0fu;
}

/* -- reading a block --------------------------------------------------------------------- */

/* What is read once of a block's part: scale and minimum of the whole, and the packed ones of
 * the groups; or a table. */
struct head {
    vf d, m;
    part s[4], n[2], table;
};

struct format {
    int block, per; /* numbers in a block and in a group */
    int bytes;      /* of a row's block */
    int zero;       /* the offset of u is 1 << zero; -1: none */
    int wide;       /* 1: 8-bit weights */
    /* NULL for formats that only unpack. */
    void (*head)(const uint8_t *p, int h, struct head *o);
    part (*quad)(const uint8_t *p, int h, const struct head *o, int t);
    vf (*d)(const struct head *o, int g);
    vf (*m)(const struct head *o, int g); /* NULL: no minimums */
};

INL vf d_whole(const struct head *o, int g)
{
    (void)g;
    return o->d;
}

INL vf m_whole(const struct head *o, int g)
{
    (void)g;
    return o->m;
}

/* A half-precision scale before the rest. */
INL void head_half(const uint8_t *p, int h, struct head *o)
{
    o->d = vf_load_f16(p + 2 * h);
}

/* d and m share a dword; m is what is added, so its sign is turned. */
INL void head_pair(const uint8_t *p, int h, struct head *o)
{
    part x = part_at(p, 0, h);

    o->d = part_half(x);
    o->m = vf_sub(vf_zero(), part_half(x >> 16));
}

INL part q4_0_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    (void)o;
    return nibbles(part_at(p + 32, t % 4, h), t / 4);
}

INL part q4_1_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    (void)o;
    return nibbles(part_at(p, 1 + t % 4, h), t / 4);
}

/* Bits 0..3 of x to bit 4 of the four bytes. */
INL part spread4(part x)
{
    return (((x & 15u) * 0x00204081u) & 0x01010101u) << 4;
}

INL void q5_0_head(const uint8_t *p, int h, struct head *o)
{
    head_half(p, h, o);
    o->s[0] = part_at(p + 32, 0, h);
}

INL part q5_0_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return nibbles(part_at(p + 32, 1 + t % 4, h), t / 4) | spread4(o->s[0] >> (4 * t));
}

INL void q5_1_head(const uint8_t *p, int h, struct head *o)
{
    head_pair(p, h, o);
    o->s[0] = part_at(p, 1, h);
}

INL part q5_1_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return nibbles(part_at(p, 2 + t % 4, h), t / 4) | spread4(o->s[0] >> (4 * t));
}

INL part q8_0_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    (void)o;
    return part_at(p + 32, t, h) ^ (V_SIGNED8 ? 0 : 0x80808080u);
}

INL void q2_k_head(const uint8_t *p, int h, struct head *o)
{
    part dm = part_at(p, 20, h);

    o->d = part_half(dm);
    o->m = part_half(dm >> 16);
    UNROLL for (int i = 0; i < 4; i++) o->s[i] = part_at(p, i, h);
}

INL part q2_k_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    (void)o;
    return (part_at(p, 4 + t / 32 * 8 + t % 8, h) >> (t % 32 / 8 * 2)) & 0x03030303u;
}

INL vf q2_k_d(const struct head *o, int g)
{
    return vf_mul(o->d, part_f((o->s[g / 4] >> (8 * (g % 4))) & 15u));
}

INL vf q2_k_m(const struct head *o, int g)
{
    return vf_mul(o->m, part_f((o->s[g / 4] >> (8 * (g % 4) + 4)) & 15u));
}

/* The 16 six-bit scales, four to a dword, in order. */
INL void q3_k_head(const uint8_t *p, int h, struct head *o)
{
    part a = part_at(p, 24, h), b = part_at(p, 25, h), c = part_at(p, 26, h);

    o->d = vf_load_f16(p + 27 * LINE + 2 * h);
    o->s[0] = (a & 0x0f0f0f0fu) | ((c & 0x03030303u) << 4);
    o->s[1] = (b & 0x0f0f0f0fu) | (((c >> 2) & 0x03030303u) << 4);
    o->s[2] = ((a >> 4) & 0x0f0f0f0fu) | (((c >> 4) & 0x03030303u) << 4);
    o->s[3] = ((b >> 4) & 0x0f0f0f0fu) | (((c >> 6) & 0x03030303u) << 4);
}

INL part q3_k_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    int half = t / 32, s = t % 32 / 8;
    part high = part_at(p, t % 8, h) >> (4 * half + s);

    (void)o;
    return ((part_at(p, 8 + 8 * half + t % 8, h) >> (2 * s)) & 0x03030303u) |
           ((high & 0x01010101u) << 2);
}

INL vf q3_k_d(const struct head *o, int g)
{
    return vf_mul(o->d, vf_sub(part_byte(o->s[g / 4], g % 4), vf_set(32.0f)));
}

/* Scales and minimums of Q4_K and Q5_K: 6 bits each, eight of either in three dwords. */
INL void k_head(const uint8_t *p, int h, struct head *o)
{
    part dm = part_at(p, 0, h), a = part_at(p, 1, h), b = part_at(p, 2, h),
         c = part_at(p, 3, h);

    o->d = part_half(dm);
    o->m = part_half(dm >> 16);
    o->s[0] = a & 0x3f3f3f3fu;
    o->s[1] = (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u);
    o->n[0] = b & 0x3f3f3f3fu;
    o->n[1] = ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u);
}

INL vf k_d(const struct head *o, int g)
{
    return vf_mul(o->d, part_byte(o->s[g / 4], g % 4));
}

INL vf k_m(const struct head *o, int g)
{
    return vf_mul(o->m, part_byte(o->n[g / 4], g % 4));
}

INL part q4_k_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    (void)o;
    return nibbles(part_at(p, 4 + t / 16 * 8 + t % 8, h), t / 8 % 2);
}

INL part q5_k_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    part high = part_at(p, 4 + t % 8, h) >> (t / 8);

    (void)o;
    return nibbles(part_at(p, 12 + t / 16 * 8 + t % 8, h), t / 8 % 2) |
           ((high & 0x01010101u) << 4);
}

INL void q6_k_head(const uint8_t *p, int h, struct head *o)
{
    UNROLL for (int i = 0; i < 4; i++) o->s[i] = part_at(p, 48 + i, h);
    o->d = vf_load_f16(p + 52 * LINE + 2 * h);
}

INL part q6_k_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    int half = t / 32, j = t % 32;
    part x = nibbles(part_at(p, 16 * half + j % 16, h), j / 16),
         high = part_at(p, 32 + 8 * half + j % 8, h);

    (void)o;
    switch (j / 8) {
    case 0:
        return x | ((high & 0x03030303u) << 4);
    case 1:
        return x | ((high & 0x0c0c0c0cu) << 2);
    case 2:
        return x | (high & 0x30303030u);
    default:
        return x | ((high >> 2) & 0x30303030u);
    }
}

/* Scales are signed bytes. */
INL vf q6_k_d(const struct head *o, int g)
{
    return vf_mul(o->d, vi_to_f(vi_sra((vi)(o->s[g / 4] << (24 - 8 * (g % 4))), 24)));
}

INL part iq4_table(void)
{
    static const int8_t levels[16] = {GRID_IQ4_LEVELS};

    return part_table(levels) ^ (V_SIGNED8 ? 0 : 0x80808080u);
}

INL void iq4_nl_head(const uint8_t *p, int h, struct head *o)
{
    head_half(p, h, o);
    o->table = iq4_table();
}

INL part iq4_nl_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return part_lookup(o->table, q4_0_quad(p, h, o, t));
}

INL void iq4_xs_head(const uint8_t *p, int h, struct head *o)
{
    o->s[0] = part_at(p, 0, h);
    o->s[1] = part_at(p, 1, h);
    o->d = part_half(o->s[0]);
    o->table = iq4_table();
}

INL part iq4_xs_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return part_lookup(o->table, nibbles(part_at(p, 2 + t / 8 * 4 + t % 4, h), t % 8 / 4));
}

INL vf iq4_xs_d(const struct head *o, int g)
{
    part s = ((o->s[1] >> (4 * g)) & 15u) | (((o->s[0] >> (16 + 2 * g)) & 3u) << 4);

    return vf_mul(o->d, vf_sub(part_f(s), vf_set(32)));
}

/* 16 more than twice an E2M1. */
INL part fp4_table(void)
{
    static const int8_t levels[16] = {FP4_LEVELS};

    /* As unsigned bytes, 128 more, so that nothing is borrowed from the next byte. */
    return (part_table(levels) ^ 0x80808080u) - 0x70707070u;
}

INL void mxfp4_head(const uint8_t *p, int h, struct head *o)
{
    part_b b;
    part e, tiny;

    memcpy(&b, p + h, sizeof(b));
    e = __builtin_convertvector(b, part);
    tiny = (part)(e < 2u);
    o->d = (vf)((tiny & ((e + 1) << 21)) | (~tiny & ((e - 1) << 23)));
    o->table = fp4_table();
}

INL part mxfp4_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return part_lookup(o->table, nibbles(part_at(p + TILE_ROWS, t % 4, h), t / 4));
}

/* fp4_half_ue4m3() of each lane. */
INL vf half_ue4m3(part v)
{
    part tiny = (part)((v & 0x78u) == 0u), none = (part)(v == 0x7fu),
         large = ((v & 0x7fu) << 20) + (119u << 23),
         small = (part)vf_mul(part_f(v & 7u), vf_set(0x1p-10f));

    return (vf)(((tiny & small) | (~tiny & large)) & ~none);
}

INL void nvfp4_head(const uint8_t *p, int h, struct head *o)
{
    o->s[0] = part_at(p, 0, h);
    o->table = fp4_table();
}

INL part nvfp4_quad(const uint8_t *p, int h, const struct head *o, int t)
{
    return part_lookup(o->table, nibbles(part_at(p, 1 + t / 4 * 2 + t % 2, h), t % 4 / 2));
}

INL vf nvfp4_d(const struct head *o, int g)
{
    return half_ue4m3((o->s[0] >> (8 * g)) & 0xffu);
}

/* The offset of 8-bit weights. */
enum { ZERO8 = V_SIGNED8 ? -1 : 7 };

/* clang-format off */
static const struct format
    format_q4_0    = { 32, 32,  18,     3, 0, head_half,   q4_0_quad,   d_whole,  NULL},
    format_q4_1    = { 32, 32,  20,    -1, 0, head_pair,   q4_1_quad,   d_whole,  m_whole},
    format_q5_0    = { 32, 32,  22,     4, 0, q5_0_head,   q5_0_quad,   d_whole,  NULL},
    format_q5_1    = { 32, 32,  24,    -1, 0, q5_1_head,   q5_1_quad,   d_whole,  m_whole},
    format_q8_0    = { 32, 32,  34, ZERO8, 1, head_half,   q8_0_quad,   d_whole,  NULL},
    format_q2_k    = {256, 16,  84,    -1, 0, q2_k_head,   q2_k_quad,   q2_k_d,   q2_k_m},
    format_q3_k    = {256, 16, 110,     2, 0, q3_k_head,   q3_k_quad,   q3_k_d,   NULL},
    format_q4_k    = {256, 32, 144,    -1, 0, k_head,      q4_k_quad,   k_d,      k_m},
    format_q5_k    = {256, 32, 176,    -1, 0, k_head,      q5_k_quad,   k_d,      k_m},
    format_q6_k    = {256, 16, 210,     5, 0, q6_k_head,   q6_k_quad,   q6_k_d,   NULL},
    format_iq4_nl  = { 32, 32,  18, ZERO8, 1, iq4_nl_head, iq4_nl_quad, d_whole,  NULL},
    format_iq4_xs  = {256, 32, 136, ZERO8, 1, iq4_xs_head, iq4_xs_quad, iq4_xs_d, NULL},
    format_mxfp4   = { 32, 32,  17,     4, 0, mxfp4_head,  mxfp4_quad,  d_whole,  NULL},
    format_nvfp4   = { 64, 16,  36,     4, 0, nvfp4_head,  nvfp4_quad,  nvfp4_d,  NULL};
/* clang-format on */

/* The list of them: X(name, type, arg) for each. */
#define READ_FORMATS(X, arg)                                                                   \
    X(q4_0, Q4_0, arg)                                                                         \
    X(q4_1, Q4_1, arg)                                                                         \
    X(q5_0, Q5_0, arg)                                                                         \
    X(q5_1, Q5_1, arg)                                                                         \
    X(q8_0, Q8_0, arg)                                                                         \
    X(q2_k, Q2_K, arg)                                                                         \
    X(q3_k, Q3_K, arg)                                                                         \
    X(q4_k, Q4_K, arg)                                                                         \
    X(q5_k, Q5_K, arg)                                                                         \
    X(q6_k, Q6_K, arg)                                                                         \
    X(iq4_nl, IQ4_NL, arg)                                                                     \
    X(iq4_xs, IQ4_XS, arg)                                                                     \
    X(mxfp4, MXFP4, arg)                                                                       \
    X(nvfp4, NVFP4, arg)

/* -- unpacking --------------------------------------------------------------------------- */

/* Where a tile's block goes:
 *   w   quads: quad t holds numbers 4 t .. 4 t + 3 of 16 rows, 4 bytes a row
 *   d   scale of each group, 16 rows
 *   m   minimum of each group, 16 rows; formats without minimums leave it alone */
struct unpack {
    uint8_t *w;   /* quad t at w + t * GROUP * 4 */
    float *d, *m; /* group g at d + g * GROUP */
};

INL void part_put(const struct unpack *o, int t, int h, part x)
{
    memcpy(o->w + (size_t)t * GROUP * 4 + 4 * h, &x, sizeof(x));
}

INL void part_d(const struct unpack *o, int g, int h, vf d)
{
    vf_store(o->d + (size_t)g * GROUP + h, d);
}

/* A block of 16 rows. */
INL void unpack_block(const struct format *f, const uint8_t *p, const struct unpack *o)
{
    EACH_PART(h)
    {
        struct head hd;

        f->head(p, h, &hd);
        UNROLL for (int g = 0; g < f->block / f->per; g++)
        {
            part_d(o, g, h, f->d(&hd, g));
            if (f->m)
                vf_store(o->m + (size_t)g * GROUP + h, f->m(&hd, g));
            UNROLL for (int i = 0; i < f->per / 4; i++)
                part_put(o, g * f->per / 4 + i, h, f->quad(p, h, &hd, g * f->per / 4 + i));
        }
    }
}

#define UNPACK_FN(name, type, arg)                                                             \
    static void unpack_##name(const uint8_t *p, const struct unpack *o)                        \
    {                                                                                          \
        unpack_block(&format_##name, p, o);                                                    \
    }

READ_FORMATS(UNPACK_FN, )

#endif

/* unpack.h - one tile (tile.h) of each format to unsigned bytes and float scales.
 *
 * Every format is affine in its group of 16 or 32 numbers: value = d * (u - zero) - m, with u
 * an unsigned byte. What comes out serves one product kernel for all formats:
 *   w   quads: quad t holds numbers 4 t .. 4 t + 3 of 16 rows, 4 bytes a row
 *   d   scale of each group, 16 rows
 *   m   minimum of each group, 16 rows; formats without minimums leave it alone
 * Lines are 16 dwords, one a row, as vector types of the compiler, which makes one or two
 * registers of the tier of each. Loops have fixed bounds and are unrolled: in decode this is
 * most of what the processor does. Source: the readers in quant/, which the kernel tests
 * compare with.
 */
#ifndef HEARTH_KERN_X86_UNPACK_H
#define HEARTH_KERN_X86_UNPACK_H

#include <string.h>

enum { LINE = 64 };

struct unpack {
    uint8_t *w;   /* quad t at w + t * GROUP * 4 */
    float *d, *m; /* group g at d + g * GROUP */
};

typedef uint32_t line __attribute__((vector_size(64)));
typedef int32_t line_i __attribute__((vector_size(64)));
typedef uint16_t line_h __attribute__((vector_size(32)));
typedef float line_f __attribute__((vector_size(64)));

INL line line_at(const uint8_t *p, int i)
{
    line l;

    memcpy(&l, p + i * LINE, sizeof(l));
    return l;
}

INL void quad_put(const struct unpack *o, int t, line l)
{
    memcpy(o->w + (size_t)t * GROUP * 4, &l, sizeof(l));
}

INL void d_put(const struct unpack *o, int g, line_f f)
{
    memcpy(o->d + (size_t)g * GROUP, &f, sizeof(f));
}

INL void m_put(const struct unpack *o, int g, line_f f)
{
    memcpy(o->m + (size_t)g * GROUP, &f, sizeof(f));
}

/* Where a line is four registers, gcc 12 would convert lane by lane. */
INL line_f to_f(line_i l)
{
    line_f f;

    if (VL > 4)
        return __builtin_convertvector(l, line_f);
    UNROLL for (int i = 0; i < 16; i += VL)
    {
        vf v = vi_to_f(vi_load((const uint8_t *)&l + 4 * i));

        memcpy((uint8_t *)&f + 4 * i, &v, sizeof(v));
    }
    return f;
}

/* 16 halves to float. */
INL line_f halves(const uint8_t *p)
{
    line_f f;
    float v[16];

    for (int i = 0; i < 16; i += VL)
        vf_store(v + i, vf_load_f16(p + 2 * i));
    memcpy(&f, v, sizeof(f));
    return f;
}

/* The low or the high halves of 16 dwords to float. */
INL line_f half_of(line l, int high)
{
    uint16_t h[16];
    line_h x = __builtin_convertvector(high ? l >> 16 : l & 0xffffu, line_h);

    memcpy(h, &x, sizeof(h));
    return halves((const uint8_t *)h);
}

/* Byte j of each dword as a float. */
INL line_f byte_f(line l, int j)
{
    return to_f((line_i)((l >> (8 * j)) & 0xffu));
}

/* Low nibbles to quad t, high nibbles to quad t + gap. */
INL void nibbles(const struct unpack *o, const uint8_t *p, int i, int t, int gap)
{
    line x = line_at(p, i);

    quad_put(o, t, x & 0x0f0f0f0fu);
    quad_put(o, t + gap, (x >> 4) & 0x0f0f0f0fu);
}

/* Bits 0..3 of x to bit 4 of the four bytes. */
INL line spread4(line x)
{
    return (((x & 15u) * 0x00204081u) & 0x01010101u) << 4;
}

/* 5-bit formats: nibbles with the fifth bits of qh. */
INL void nibbles5(const struct unpack *o, const uint8_t *p, line qh, int i)
{
    line x = line_at(p, i);

    quad_put(o, i, (x & 0x0f0f0f0fu) | spread4(qh >> (4 * i)));
    quad_put(o, i + 4, ((x >> 4) & 0x0f0f0f0fu) | spread4(qh >> (16 + 4 * i)));
}

static void unpack_q4_0(const uint8_t *p, const struct unpack *o)
{
    d_put(o, 0, halves(p));
    UNROLL for (int i = 0; i < 4; i++) nibbles(o, p + 32, i, i, 4);
}

/* d and m share a dword; m is what is added, so its sign is turned. */
INL void scale_and_min(const uint8_t *p, const struct unpack *o)
{
    line l = line_at(p, 0);

    d_put(o, 0, half_of(l, 0));
    m_put(o, 0, -half_of(l, 1));
}

static void unpack_q4_1(const uint8_t *p, const struct unpack *o)
{
    scale_and_min(p, o);
    UNROLL for (int i = 0; i < 4; i++) nibbles(o, p + LINE, i, i, 4);
}

static void unpack_q5_0(const uint8_t *p, const struct unpack *o)
{
    line qh = line_at(p + 32, 0);

    d_put(o, 0, halves(p));
    UNROLL for (int i = 0; i < 4; i++) nibbles5(o, p + 32 + LINE, qh, i);
}

static void unpack_q5_1(const uint8_t *p, const struct unpack *o)
{
    line qh = line_at(p, 1);

    scale_and_min(p, o);
    UNROLL for (int i = 0; i < 4; i++) nibbles5(o, p + 2 * LINE, qh, i);
}

static void unpack_q8_0(const uint8_t *p, const struct unpack *o)
{
    uint32_t flip = V_SIGNED8 ? 0 : 0x80808080u;

    d_put(o, 0, halves(p));
    UNROLL for (int i = 0; i < 8; i++) quad_put(o, i, line_at(p + 32, i) ^ flip);
}

static void unpack_q2_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qs = p + 4 * LINE;
    line dm = line_at(qs + 16 * LINE, 0);
    line_f d = half_of(dm, 0), min = half_of(dm, 1);

    UNROLL for (int g = 0; g < 16; g++)
    {
        line b = (line_at(p, g / 4) >> (8 * (g % 4))) & 0xffu;

        d_put(o, g, d * to_f((line_i)(b & 15u)));
        m_put(o, g, min * to_f((line_i)(b >> 4)));
    }
    UNROLL for (int i = 0; i < 16; i++)
    {
        line x = line_at(qs, i);
        int t = i / 8 * 32 + i % 8;

        UNROLL for (int s = 0; s < 4; s++) quad_put(o, t + 8 * s, (x >> (2 * s)) & 0x03030303u);
    }
}

/* The 16 six-bit scales of a Q3_K block, four to a dword, in order. */
INL void q3_k_scales(const uint8_t *p, line s[4])
{
    line a = line_at(p, 0), b = line_at(p, 1), c = line_at(p, 2);

    s[0] = (a & 0x0f0f0f0fu) | ((c & 0x03030303u) << 4);
    s[1] = (b & 0x0f0f0f0fu) | (((c >> 2) & 0x03030303u) << 4);
    s[2] = ((a >> 4) & 0x0f0f0f0fu) | (((c >> 4) & 0x03030303u) << 4);
    s[3] = ((b >> 4) & 0x0f0f0f0fu) | (((c >> 6) & 0x03030303u) << 4);
}

static void unpack_q3_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qs = p + 8 * LINE, *tail = p + 24 * LINE;
    line sc[4];
    line_f d = halves(tail + 3 * LINE);

    q3_k_scales(tail, sc);
    UNROLL for (int g = 0; g < 16; g++) d_put(o, g, d * (byte_f(sc[g / 4], g % 4) - 32.0f));
    UNROLL for (int i = 0; i < 16; i++)
    {
        line x = line_at(qs, i), h = line_at(p, i % 8);
        int half = i / 8, t = 32 * half + i % 8;

        UNROLL for (int s = 0; s < 4; s++) quad_put(
            o, t + 8 * s,
            ((x >> (2 * s)) & 0x03030303u) | (((h >> (4 * half + s)) & 0x01010101u) << 2));
    }
}

/* Scales and minimums of Q4_K and Q5_K: 6 bits each, eight of either in three dwords. */
INL void k_scales(const uint8_t *p, const struct unpack *o)
{
    line dm = line_at(p, 0), a = line_at(p, 1), b = line_at(p, 2), c = line_at(p, 3), sc[2],
         mn[2];
    line_f d = half_of(dm, 0), min = half_of(dm, 1);

    sc[0] = a & 0x3f3f3f3fu;
    mn[0] = b & 0x3f3f3f3fu;
    sc[1] = (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u);
    mn[1] = ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u);
    UNROLL for (int g = 0; g < 8; g++)
    {
        d_put(o, g, d * byte_f(sc[g / 4], g % 4));
        m_put(o, g, min * byte_f(mn[g / 4], g % 4));
    }
}

static void unpack_q4_k(const uint8_t *p, const struct unpack *o)
{
    k_scales(p, o);
    for (int h = 0; h < 4; h++) {
        UNROLL for (int i = 0; i < 8; i++) nibbles(o, p + (4 + 8 * h) * LINE, i, 16 * h + i, 8);
    }
}

static void unpack_q5_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qh = p + 4 * LINE, *qs = p + 12 * LINE;

    k_scales(p, o);
    for (int b = 0; b < 4; b++) {
        UNROLL for (int i = 0; i < 8; i++)
        {
            line x = line_at(qs, 8 * b + i), h = line_at(qh, i) >> (2 * b);

            quad_put(o, 16 * b + i, (x & 0x0f0f0f0fu) | ((h & 0x01010101u) << 4));
            quad_put(o, 16 * b + i + 8,
                     ((x >> 4) & 0x0f0f0f0fu) | (((h >> 1) & 0x01010101u) << 4));
        }
    }
}

static void unpack_q6_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qh = p + 32 * LINE, *scales = p + 48 * LINE;
    line_f d = halves(scales + 4 * LINE);

    UNROLL for (int g = 0; g < 16; g++)
    {
        line_i sc = (line_i)(line_at(scales, g / 4) << (24 - 8 * (g % 4)));

        d_put(o, g, d * to_f(sc >> 24));
    }
    for (int half = 0; half < 2; half++) {
        UNROLL for (int t = 0; t < 8; t++)
        {
            line a = line_at(p, 16 * half + t), b = line_at(p, 16 * half + 8 + t),
                 h = line_at(qh, 8 * half + t);

            quad_put(o, 32 * half + t, (a & 0x0f0f0f0fu) | ((h & 0x03030303u) << 4));
            quad_put(o, 32 * half + 8 + t, (b & 0x0f0f0f0fu) | ((h & 0x0c0c0c0cu) << 2));
            quad_put(o, 32 * half + 16 + t, ((a >> 4) & 0x0f0f0f0fu) | (h & 0x30303030u));
            quad_put(o, 32 * half + 24 + t,
                     ((b >> 4) & 0x0f0f0f0fu) | ((h >> 2) & 0x30303030u));
        }
    }
}

#endif

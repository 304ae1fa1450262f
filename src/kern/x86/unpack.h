/* unpack.h - one tile (tile.h) of each format to unsigned bytes and float scales.
 *
 * Every format is affine in its group of 16 or 32 numbers: value = d * (u - zero) - m, with u
 * an unsigned byte. What comes out serves one product kernel for all formats:
 *   w   quads: quad t holds numbers 4 t .. 4 t + 3 of 16 rows, 4 bytes a row
 *   d   scale of each group, 16 rows
 *   m   minimum of each group, 16 rows; formats without minimums leave it alone
 * Lines are 16 dwords, one a row. The loops are plain C over them; the compiler makes
 * vectors of the tier. Source: the readers in quant/, which the kernel tests compare with.
 */
#ifndef HEARTH_KERN_X86_UNPACK_H
#define HEARTH_KERN_X86_UNPACK_H

#include <string.h>

enum { LINE = 64 };

struct unpack {
    uint8_t *w;   /* quad t at w + t * w_stride */
    float *d, *m; /* group g at d + g * f_stride */
    size_t w_stride, f_stride;
};

#define LANES for (int r = 0; r < 16; r++)

struct line {
    uint32_t u[16];
};

INL struct line line_at(const uint8_t *p, int i)
{
    struct line l;

    memcpy(&l, p + i * LINE, sizeof(l));
    return l;
}

INL void quad_put(const struct unpack *o, int t, const struct line *l)
{
    memcpy(o->w + (size_t)t * o->w_stride, l, sizeof(*l));
}

INL float *group_d(const struct unpack *o, int g)
{
    return o->d + (size_t)g * o->f_stride;
}

INL float *group_m(const struct unpack *o, int g)
{
    return o->m + (size_t)g * o->f_stride;
}

/* 16 halves to float. */
INL void halves(const uint8_t *p, float out[16])
{
    for (int i = 0; i < 16; i += VL)
        vf_store(out + i, vf_load_f16(p + 2 * i));
}

/* The low and the high halves of 16 dwords to float. */
INL void half_pairs(const struct line *l, float lo[16], float hi[16])
{
    uint16_t a[16], b[16];

    LANES
    {
        a[r] = (uint16_t)l->u[r];
        b[r] = (uint16_t)(l->u[r] >> 16);
    }
    halves((const uint8_t *)a, lo);
    halves((const uint8_t *)b, hi);
}

/* Low nibbles to quad t, high nibbles to quad t + gap. */
INL void nibbles(const struct unpack *o, const uint8_t *p, int i, int t, int gap)
{
    struct line x = line_at(p, i), lo, hi;

    LANES
    {
        lo.u[r] = x.u[r] & 0x0f0f0f0fu;
        hi.u[r] = (x.u[r] >> 4) & 0x0f0f0f0fu;
    }
    quad_put(o, t, &lo);
    quad_put(o, t + gap, &hi);
}

/* Bits 0..3 of x to bit 4 of the four bytes. */
INL uint32_t spread4(uint32_t x)
{
    return (((x & 15u) * 0x00204081u) & 0x01010101u) << 4;
}

/* 5-bit formats: nibbles with the fifth bits of qh. */
INL void nibbles5(const struct unpack *o, const uint8_t *p, const struct line *qh, int i)
{
    struct line x = line_at(p, i), lo, hi;

    LANES
    {
        lo.u[r] = (x.u[r] & 0x0f0f0f0fu) | spread4(qh->u[r] >> (4 * i));
        hi.u[r] = ((x.u[r] >> 4) & 0x0f0f0f0fu) | spread4(qh->u[r] >> (16 + 4 * i));
    }
    quad_put(o, i, &lo);
    quad_put(o, i + 4, &hi);
}

static void unpack_q4_0(const uint8_t *p, const struct unpack *o)
{
    halves(p, group_d(o, 0));
    for (int i = 0; i < 4; i++)
        nibbles(o, p + 32, i, i, 4);
}

/* d and m share a dword; m is what is added, so its sign is turned. */
INL void scale_and_min(const uint8_t *p, const struct unpack *o)
{
    struct line l = line_at(p, 0);
    float *m = group_m(o, 0);

    half_pairs(&l, group_d(o, 0), m);
    LANES m[r] = -m[r];
}

static void unpack_q4_1(const uint8_t *p, const struct unpack *o)
{
    scale_and_min(p, o);
    for (int i = 0; i < 4; i++)
        nibbles(o, p + LINE, i, i, 4);
}

static void unpack_q5_0(const uint8_t *p, const struct unpack *o)
{
    struct line qh = line_at(p + 32, 0);

    halves(p, group_d(o, 0));
    for (int i = 0; i < 4; i++)
        nibbles5(o, p + 32 + LINE, &qh, i);
}

static void unpack_q5_1(const uint8_t *p, const struct unpack *o)
{
    struct line qh = line_at(p, 1);

    scale_and_min(p, o);
    for (int i = 0; i < 4; i++)
        nibbles5(o, p + 2 * LINE, &qh, i);
}

static void unpack_q8_0(const uint8_t *p, const struct unpack *o)
{
    uint32_t flip = V_SIGNED8 ? 0 : 0x80808080u;

    halves(p, group_d(o, 0));
    for (int i = 0; i < 8; i++) {
        struct line x = line_at(p + 32, i);

        LANES x.u[r] ^= flip;
        quad_put(o, i, &x);
    }
}

/* Byte j of each dword as a float. */
INL void bytes_f(const struct line *l, int j, float out[16])
{
    LANES out[r] = (float)(int32_t)((l->u[r] >> (8 * j)) & 0xffu);
}

static void unpack_q2_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qs = p + 4 * LINE;
    struct line dm = line_at(qs + 16 * LINE, 0);
    float d[16], min[16];

    half_pairs(&dm, d, min);
    for (int g = 0; g < 16; g++) {
        struct line sc = line_at(p, g / 4);

        LANES
        {
            uint32_t b = (sc.u[r] >> (8 * (g % 4))) & 0xffu;

            group_d(o, g)[r] = d[r] * (float)(int32_t)(b & 15u);
            group_m(o, g)[r] = min[r] * (float)(int32_t)(b >> 4);
        }
    }
    for (int g = 0; g < 16; g++) {
        int half = g / 8, s = g % 8;

        for (int t = 0; t < 4; t++) {
            struct line x = line_at(qs, half * 8 + 4 * (s % 2) + t);

            LANES x.u[r] = (x.u[r] >> (2 * (s / 2))) & 0x03030303u;
            quad_put(o, 4 * g + t, &x);
        }
    }
}

/* The 16 six-bit scales of a Q3_K block, four to a dword, in order. */
INL void q3_k_scales(const uint8_t *p, struct line s[4])
{
    struct line a = line_at(p, 0), b = line_at(p, 1), c = line_at(p, 2);

    LANES
    {
        s[0].u[r] = (a.u[r] & 0x0f0f0f0fu) | ((c.u[r] & 0x03030303u) << 4);
        s[1].u[r] = (b.u[r] & 0x0f0f0f0fu) | (((c.u[r] >> 2) & 0x03030303u) << 4);
        s[2].u[r] = ((a.u[r] >> 4) & 0x0f0f0f0fu) | (((c.u[r] >> 4) & 0x03030303u) << 4);
        s[3].u[r] = ((b.u[r] >> 4) & 0x0f0f0f0fu) | (((c.u[r] >> 6) & 0x03030303u) << 4);
    }
}

static void unpack_q3_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qs = p + 8 * LINE, *tail = p + 24 * LINE;
    struct line sc[4];
    float d[16];

    halves(tail + 3 * LINE, d);
    q3_k_scales(tail, sc);
    for (int g = 0; g < 16; g++) {
        int half = g / 8, s = g % 8;

        LANES group_d(o, g)[r] =
            d[r] * (float)((int32_t)((sc[g / 4].u[r] >> (8 * (g % 4))) & 0xffu) - 32);
        for (int t = 0; t < 4; t++) {
            int at = 4 * (s % 2) + t;
            struct line x = line_at(qs, half * 8 + at), h = line_at(p, at);

            LANES x.u[r] = ((x.u[r] >> (2 * (s / 2))) & 0x03030303u) |
                           (((h.u[r] >> (4 * half + s / 2)) & 0x01010101u) << 2);
            quad_put(o, 4 * g + t, &x);
        }
    }
}

/* Scales and minimums of Q4_K and Q5_K: 6 bits each, eight of either in three dwords. */
INL void k_scales(const uint8_t *p, const struct unpack *o)
{
    struct line dm = line_at(p, 0), a = line_at(p, 1), b = line_at(p, 2), c = line_at(p, 3),
                sc[2], mn[2];
    float d[16], min[16], v[16];

    half_pairs(&dm, d, min);
    LANES
    {
        sc[0].u[r] = a.u[r] & 0x3f3f3f3fu;
        mn[0].u[r] = b.u[r] & 0x3f3f3f3fu;
        sc[1].u[r] = (c.u[r] & 0x0f0f0f0fu) | ((a.u[r] >> 2) & 0x30303030u);
        mn[1].u[r] = ((c.u[r] >> 4) & 0x0f0f0f0fu) | ((b.u[r] >> 2) & 0x30303030u);
    }
    for (int g = 0; g < 8; g++) {
        bytes_f(&sc[g / 4], g % 4, v);
        LANES group_d(o, g)[r] = d[r] * v[r];
        bytes_f(&mn[g / 4], g % 4, v);
        LANES group_m(o, g)[r] = min[r] * v[r];
    }
}

static void unpack_q4_k(const uint8_t *p, const struct unpack *o)
{
    k_scales(p, o);
    for (int i = 0; i < 32; i++)
        nibbles(o, p + 4 * LINE, i, 16 * (i / 8) + i % 8, 8);
}

static void unpack_q5_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qh = p + 4 * LINE, *qs = p + 12 * LINE;

    k_scales(p, o);
    for (int i = 0; i < 32; i++) {
        struct line x = line_at(qs, i), h = line_at(qh, i % 8), lo, hi;
        int bit = 2 * (i / 8), t = 16 * (i / 8) + i % 8;

        LANES
        {
            lo.u[r] = (x.u[r] & 0x0f0f0f0fu) | (((h.u[r] >> bit) & 0x01010101u) << 4);
            hi.u[r] =
                ((x.u[r] >> 4) & 0x0f0f0f0fu) | (((h.u[r] >> (bit + 1)) & 0x01010101u) << 4);
        }
        quad_put(o, t, &lo);
        quad_put(o, t + 8, &hi);
    }
}

static void unpack_q6_k(const uint8_t *p, const struct unpack *o)
{
    const uint8_t *qh = p + 32 * LINE, *scales = p + 48 * LINE;
    float d[16];

    halves(scales + 4 * LINE, d);
    for (int g = 0; g < 16; g++) {
        struct line sc = line_at(scales, g / 4);

        LANES group_d(o, g)[r] =
            d[r] * (float)(int32_t)(int8_t)((sc.u[r] >> (8 * (g % 4))) & 0xffu);
    }
    for (int half = 0; half < 2; half++) {
        for (int t = 0; t < 8; t++) {
            struct line a = line_at(p, 16 * half + t), b = line_at(p, 16 * half + 8 + t),
                        h = line_at(qh, 8 * half + t), x;

            LANES x.u[r] = (a.u[r] & 0x0f0f0f0fu) | ((h.u[r] & 0x03030303u) << 4);
            quad_put(o, 32 * half + t, &x);
            LANES x.u[r] = (b.u[r] & 0x0f0f0f0fu) | ((h.u[r] & 0x0c0c0c0cu) << 2);
            quad_put(o, 32 * half + 8 + t, &x);
            LANES x.u[r] = ((a.u[r] >> 4) & 0x0f0f0f0fu) | (h.u[r] & 0x30303030u);
            quad_put(o, 32 * half + 16 + t, &x);
            LANES x.u[r] = ((b.u[r] >> 4) & 0x0f0f0f0fu) | ((h.u[r] >> 2) & 0x30303030u);
            quad_put(o, 32 * half + 24 + t, &x);
        }
    }
}

#endif

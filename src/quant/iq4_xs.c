/* iq4_xs.c - IQ4_XS: 256 numbers of 16 uneven levels, 8 sub-blocks with a 6-bit scale each,
 * 4.25 bits each.
 *
 *   byte 0    2      d         half
 *   byte 2    2      scales_h  bits 2g..2g+1: the high bits of scale g
 *   byte 4    4      scales_l  8 nibbles, low ones first: the low bits of the scales
 *   byte 8    128    qs        byte 16 g + j: number 32 g + j in the low nibble, number
 *                              32 g + j + 16 in the high one
 *
 *   x = d * (scale - 32) * level[q] (quant/grid.h)
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BYTES   136
#define LEN     32 /* numbers in a sub-block */
#define N_SUB   8
#define QS      8
#define N_REFIT 2 /* times that d is fitted again */

static const int8_t levels[16] = {GRID_IQ4_LEVELS};
static const struct fit_levels fit = {levels, 16};

static void iq4_xs_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float d = load_f16(p);
        int high = load_u16(p + 2);

        for (int i = 0; i < FIT_SUPER; i++) {
            int g = i / LEN, s = (p[4 + g / 2] >> g % 2 * 4 & 15) | (high >> 2 * g & 3) << 4;
            int q = p[QS + 16 * g + i % 16] >> i % LEN / 16 * 4 & 15;

            out[b + (size_t)i] = d * (float)(s - 32) * (float)levels[q];
        }
    }
}

/* The stored scales for a given d, the best of the nearest three each; returns the error and
 * the d that would suit these scales best. */
static float iq4_xs_scales(const float *x, float d, const float *want, int *scale, float *next)
{
    float sum = 0;
    double xa = 0, aa = 0;

    for (int g = 0; g < N_SUB; g++) {
        const float *sub = x + (ptrdiff_t)g * LEN;
        int near = fit_round(want[g], fit_inv(d), -32, 31);
        float best = -1.0f, inv;

        for (int c = near - 1; c <= near + 1; c++) {
            float e = fit_level_error(&fit, sub, LEN, d * (float)c);

            if (c < -32 || c > 31 || (best >= 0 && e >= best))
                continue;
            best = e;
            scale[g] = c;
        }
        sum += best;
        inv = fit_inv(d * (float)scale[g]);
        for (int i = 0; i < LEN; i++) {
            double a = scale[g] * levels[fit_level(&fit, sub[i] * inv)];

            xa += (double)sub[i] * a;
            aa += a * a;
        }
    }
    *next = aa > 0 ? (float)(xa / aa) : 0.0f;
    return sum;
}

static void iq4_xs_pack(uint8_t *p, const float *x, uint16_t d, const int *scale)
{
    int high = 0;

    memset(p, 0, BYTES);
    store_u16(p, d);
    for (int g = 0; g < N_SUB; g++) {
        float inv = fit_inv(f16_to_f32(d) * (float)scale[g]);

        high |= (scale[g] + 32) >> 4 << 2 * g;
        p[4 + g / 2] |= (uint8_t)(((scale[g] + 32) & 15) << g % 2 * 4);
        for (int i = 0; i < LEN; i++)
            p[QS + 16 * g + i % 16] |=
                (uint8_t)(fit_level(&fit, x[g * LEN + i] * inv) << i / 16 * 4);
    }
    store_u16(p + 2, (uint16_t)high);
}

static void iq4_xs_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float x[FIT_SUPER], want[N_SUB], d, best = -1.0f;

        fit_load(x, in + b, FIT_SUPER);
        for (int g = 0; g < N_SUB; g++)
            want[g] = fit_level_scale(&fit, x + (ptrdiff_t)g * LEN, LEN);
        d = fit_peak(want, N_SUB) / -32.0f;
        for (int r = 0; r <= N_REFIT; r++) {
            int scale[N_SUB];
            uint16_t h = fit_half(d);
            float e = iq4_xs_scales(x, f16_to_f32(h), want, scale, &d);

            if (best >= 0 && e >= best)
                break;
            best = e;
            iq4_xs_pack(p, x, h, scale);
        }
    }
}

const struct quant quant_iq4_xs = {
    .type = QUANT_IQ4_XS,
    .name = "IQ4_XS",
    .block = FIT_SUPER,
    .bytes = BYTES,
    .parts = {4, 132},
    .to_f32 = iq4_xs_read,
    .from_f32 = iq4_xs_write,
};

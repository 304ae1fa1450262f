/* q2_0.c - Q2_0: 64 numbers of 2 bits and one scale, 2.25 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   16      qs  bits 2j..2j+1 of byte i: number 4 i + j
 *
 *   x = d * (q - 1)
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/list.h"

#define BLOCK 64
#define BYTES 18

static void q2_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++)
            out[b + (size_t)i] = d * (float)((p[2 + i / 4] >> i % 4 * 2 & 3) - 1);
    }
}

static void q2_0_write(const float *in, void *blocks, size_t n)
{
    static const int8_t v[4] = {-1, 0, 1, 2};
    static const struct fit_levels l = {v, 4};
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float x[BLOCK], inv;

        fit_load(x, in + b, BLOCK);
        memset(p, 0, BYTES);
        store_u16(p, fit_half(fit_level_scale(&l, x, BLOCK)));
        inv = fit_inv(load_f16(p));
        for (int i = 0; i < BLOCK; i++)
            p[2 + i / 4] |= (uint8_t)(fit_level(&l, x[i] * inv) << i % 4 * 2);
    }
}

const struct quant quant_q2_0 = {
    .type = QUANT_Q2_0,
    .name = "Q2_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 16},
    .to_f32 = q2_0_read,
    .from_f32 = q2_0_write,
};

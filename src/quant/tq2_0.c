/* tq2_0.c - TQ2_0: 256 numbers of three levels in 2 bits and one scale, 2.0625 bits each.
 *
 *   byte 0    64     qs  bits 2t..2t+1 of byte 32 k + l: number 128 k + 32 t + l (k < 2, t < 4)
 *   byte 64   2      d   half
 *
 *   x = d * (q - 1)
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/list.h"

#define BLOCK 256
#define BYTES 66

static void tq2_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p + 64);

        for (int i = 0; i < BLOCK; i++) {
            int q = p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;

            out[b + (size_t)i] = d * (float)(q - 1);
        }
    }
}

static void tq2_0_write(const float *in, void *blocks, size_t n)
{
    static const int8_t v[3] = {-1, 0, 1};
    static const struct fit_levels l = {v, 3};
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float x[BLOCK], inv;

        fit_load(x, in + b, BLOCK);
        memset(p, 0, BYTES);
        store_u16(p + 64, fit_half(fit_level_scale(&l, x, BLOCK)));
        inv = fit_inv(load_f16(p + 64));
        for (int i = 0; i < BLOCK; i++)
            p[i / 128 * 32 + i % 32] |=
                (uint8_t)(fit_level(&l, x[i] * inv) << i % 128 / 32 * 2);
    }
}

const struct quant quant_tq2_0 = {
    .type = QUANT_TQ2_0,
    .name = "TQ2_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {64, 2},
    .to_f32 = tq2_0_read,
    .from_f32 = tq2_0_write,
};

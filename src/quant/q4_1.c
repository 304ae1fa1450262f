/* q4_1.c - Q4_1: 32 numbers of 4 bits, a scale and a minimum, 5 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   2       m   half
 *   byte 4   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = q * d + m
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 20

static void q4_1_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p), m = load_f16(p + 2);

        for (int j = 0; j < 16; j++) {
            out[i + (size_t)j] = (float)(p[4 + j] & 15) * d + m;
            out[i + (size_t)j + 16] = (float)(p[4 + j] >> 4) * d + m;
        }
    }
}

static void q4_1_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], lo, hi, m, inv;

        fit_load(x, in + i, BLOCK);
        fit_range(x, BLOCK, &lo, &hi);
        store_u16(p + 2, fit_half(lo));
        m = load_f16(p + 2);
        store_u16(p, fit_half((hi - m) / 15.0f));
        inv = fit_inv(load_f16(p));
        for (int j = 0; j < 16; j++) {
            int a = fit_round(x[j] - m, inv, 0, 15), b = fit_round(x[j + 16] - m, inv, 0, 15);

            p[4 + j] = (uint8_t)(a | (b << 4));
        }
    }
}

const struct quant quant_q4_1 = {
    .type = QUANT_Q4_1,
    .name = "Q4_1",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {4, 16},
    .to_f32 = q4_1_read,
    .from_f32 = q4_1_write,
};

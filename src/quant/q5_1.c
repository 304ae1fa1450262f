/* q5_1.c - Q5_1: 32 numbers of 5 bits, a scale and a minimum, 6 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   2       m   half
 *   byte 4   4       qh  bit j of the 32: the highest bit of number j
 *   byte 8   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = q * d + m
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 24

static void q5_1_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p), m = load_f16(p + 2);
        uint32_t h;

        memcpy(&h, p + 4, sizeof(h));
        for (int j = 0; j < 16; j++) {
            int a = (p[8 + j] & 15) | (int)(h >> j & 1) << 4;
            int b = (p[8 + j] >> 4) | (int)(h >> (j + 16) & 1) << 4;

            out[i + (size_t)j] = (float)a * d + m;
            out[i + (size_t)j + 16] = (float)b * d + m;
        }
    }
}

static void q5_1_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], lo, hi, m, inv;
        uint32_t h = 0;

        fit_load(x, in + i, BLOCK);
        fit_range(x, BLOCK, &lo, &hi);
        store_u16(p + 2, fit_half(lo));
        m = load_f16(p + 2);
        store_u16(p, fit_half((hi - m) / 31.0f));
        inv = fit_inv(load_f16(p));
        for (int j = 0; j < 16; j++) {
            int a = fit_round(x[j] - m, inv, 0, 31), b = fit_round(x[j + 16] - m, inv, 0, 31);

            p[8 + j] = (uint8_t)((a & 15) | (b & 15) << 4);
            h |= (uint32_t)(a >> 4) << j | (uint32_t)(b >> 4) << (j + 16);
        }
        memcpy(p + 4, &h, sizeof(h));
    }
}

const struct quant quant_q5_1 = {
    .type = QUANT_Q5_1,
    .name = "Q5_1",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {4, 4, 16},
    .to_f32 = q5_1_read,
    .from_f32 = q5_1_write,
};

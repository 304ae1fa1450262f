/* q4_0.c - Q4_0: 32 numbers of 4 bits and one scale, 4.5 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = (q - 8) * d
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 18

static void q4_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int j = 0; j < 16; j++) {
            out[i + (size_t)j] = (float)((p[2 + j] & 15) - 8) * d;
            out[i + (size_t)j + 16] = (float)((p[2 + j] >> 4) - 8) * d;
        }
    }
}

/* The number of largest size gets q = 0, that is -8: the side that reaches further. */
static void q4_0_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], inv;
        uint16_t d;

        fit_load(x, in + i, BLOCK);
        d = fit_half(fit_peak(x, BLOCK) / -8.0f);
        inv = fit_inv(f16_to_f32(d));
        store_u16(p, d);
        for (int j = 0; j < 16; j++) {
            int a = fit_round(x[j], inv, -8, 7) + 8, b = fit_round(x[j + 16], inv, -8, 7) + 8;

            p[2 + j] = (uint8_t)(a | (b << 4));
        }
    }
}

const struct quant quant_q4_0 = {
    .type = QUANT_Q4_0,
    .name = "Q4_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 16},
    .to_f32 = q4_0_read,
    .from_f32 = q4_0_write,
};

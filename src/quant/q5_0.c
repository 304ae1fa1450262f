/* q5_0.c - Q5_0: 32 numbers of 5 bits and one scale, 5.5 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   4       qh  bit j of the 32: the highest bit of number j
 *   byte 6   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = (q - 16) * d
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 22

static void q5_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p);
        uint32_t h;

        memcpy(&h, p + 2, sizeof(h));
        for (int j = 0; j < 16; j++) {
            int a = (p[6 + j] & 15) | (int)(h >> j & 1) << 4;
            int b = (p[6 + j] >> 4) | (int)(h >> (j + 16) & 1) << 4;

            out[i + (size_t)j] = (float)(a - 16) * d;
            out[i + (size_t)j + 16] = (float)(b - 16) * d;
        }
    }
}

/* The number of largest size gets q = 0, that is -16: the side that reaches further. */
static void q5_0_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], inv;
        uint32_t h = 0;

        fit_load(x, in + i, BLOCK);
        store_u16(p, fit_half(fit_peak(x, BLOCK) / -16.0f));
        inv = fit_inv(load_f16(p));
        for (int j = 0; j < 16; j++) {
            int a = fit_round(x[j], inv, -16, 15) + 16;
            int b = fit_round(x[j + 16], inv, -16, 15) + 16;

            p[6 + j] = (uint8_t)((a & 15) | (b & 15) << 4);
            h |= (uint32_t)(a >> 4) << j | (uint32_t)(b >> 4) << (j + 16);
        }
        memcpy(p + 2, &h, sizeof(h));
    }
}

const struct quant quant_q5_0 = {
    .type = QUANT_Q5_0,
    .name = "Q5_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 4, 16},
    .to_f32 = q5_0_read,
    .from_f32 = q5_0_write,
};

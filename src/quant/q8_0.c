/* q8_0.c - Q8_0: 32 numbers of 8 bits and one scale, 8.5 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   32      qs  int8, in order
 *
 *   x = q * d
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 34

static void q8_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int j = 0; j < BLOCK; j++)
            out[i + (size_t)j] = (float)(int8_t)p[2 + j] * d;
    }
}

/* -128 is never written, so that kernels may take the size of q in 8 bits. */
static void q8_0_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], inv;

        fit_load(x, in + i, BLOCK);
        store_u16(p, fit_half(fabsf(fit_peak(x, BLOCK)) / 127.0f));
        inv = fit_inv(load_f16(p));
        for (int j = 0; j < BLOCK; j++)
            p[2 + j] = (uint8_t)fit_round(x[j], inv, -127, 127);
    }
}

const struct quant quant_q8_0 = {
    .type = QUANT_Q8_0,
    .name = "Q8_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 32},
    .to_f32 = q8_0_read,
    .from_f32 = q8_0_write,
};

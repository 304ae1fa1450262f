/* mxfp4.c - MXFP4: 32 numbers of 4 bits and one power of two, 4.25 bits each.
 *
 *   byte 0   1       e   E8M0 (quant/fp4.h)
 *   byte 1   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = E2M1(q) * 2^(e - 127)
 *
 * A block has an odd number of bytes: blocks may begin at any address.
 */
#include "quant/fit.h"
#include "quant/fp4.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 17

static const int8_t levels[16] = {FP4_LEVELS};

static void mxfp4_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = fp4_half_e8m0(p[0]);

        for (int j = 0; j < 16; j++) {
            out[i + (size_t)j] = (float)levels[p[1 + j] & 15] * d;
            out[i + (size_t)j + 16] = (float)levels[p[1 + j] >> 4] * d;
        }
    }
}

/* The best exponent: of those about the one that puts the largest number at the last level. */
static int mxfp4_exp(const float *x)
{
    float peak = fabsf(fit_peak(x, BLOCK)), best = -1.0f;
    int first, e = 0;

    if (peak == 0)
        return 0;
    first = ilogbf(peak / FP4_PEAK) + 128 - 1;
    for (int c = first; c <= first + 3; c++) {
        float err;

        if (c < 0 || c > 254)
            continue;
        err = fp4_error(x, BLOCK, fp4_half_e8m0(c));
        if (best >= 0 && err >= best)
            continue;
        best = err;
        e = c;
    }
    return e;
}

static void mxfp4_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], inv;

        fit_load(x, in + i, BLOCK);
        p[0] = (uint8_t)mxfp4_exp(x);
        inv = fit_inv(fp4_half_e8m0(p[0]));
        for (int j = 0; j < 16; j++)
            p[1 + j] = (uint8_t)(fp4_code(x[j] * inv) | fp4_code(x[j + 16] * inv) << 4);
    }
}

const struct quant quant_mxfp4 = {
    .type = QUANT_MXFP4,
    .name = "MXFP4",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {1, 16},
    .to_f32 = mxfp4_read,
    .from_f32 = mxfp4_write,
};

/* nvfp4.c - NVFP4: 64 numbers of 4 bits, 4 sub-blocks with an 8-bit scale each, 4.5 bits each.
 *
 *   byte 0   4       d   UE4M3 (quant/fp4.h), one per sub-block
 *   byte 4   32      qs  byte 8 k + j: number 16 k + j in the low nibble, number 16 k + j + 8
 *                        in the high one
 *
 *   x = E2M1(q) * d
 *
 * Files may hold a scale of the whole tensor besides: it is the caller's to apply.
 */
#include "quant/fit.h"
#include "quant/fp4.h"
#include "quant/list.h"

#define BLOCK   64
#define BYTES   36
#define LEN     16   /* numbers in a sub-block */
#define D_LAST  0x7e /* the largest scale */
#define D_BELOW 4    /* scales tried below and above the one that suits the largest number */
#define D_ABOVE 8

static const int8_t levels[16] = {FP4_LEVELS};

static void nvfp4_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        for (int i = 0; i < BLOCK; i++) {
            int k = i / LEN, q = p[4 + 8 * k + i % 8] >> i % LEN / 8 * 4 & 15;

            out[b + (size_t)i] = fp4_half_ue4m3(p[k]) * (float)levels[q];
        }
    }
}

static int nvfp4_scale(const float *x)
{
    float peak = fabsf(fit_peak(x, LEN)), best = -1.0f;
    int near = 0, d = 0;

    while (near < D_LAST && fp4_half_ue4m3(near + 1) * FP4_PEAK <= peak)
        near++;
    for (int c = near - D_BELOW; c <= near + D_ABOVE; c++) {
        float err;

        if (c < 0 || c > D_LAST)
            continue;
        err = fp4_error(x, LEN, fp4_half_ue4m3(c));
        if (best >= 0 && err >= best)
            continue;
        best = err;
        d = c;
    }
    return d;
}

static void nvfp4_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float x[BLOCK];

        fit_load(x, in + b, BLOCK);
        for (int k = 0; k < BLOCK / LEN; k++) {
            const float *sub = x + (ptrdiff_t)k * LEN;
            float inv;

            p[k] = (uint8_t)nvfp4_scale(sub);
            inv = fit_inv(fp4_half_ue4m3(p[k]));
            for (int j = 0; j < 8; j++)
                p[4 + 8 * k + j] =
                    (uint8_t)(fp4_code(sub[j] * inv) | fp4_code(sub[j + 8] * inv) << 4);
        }
    }
}

const struct quant quant_nvfp4 = {
    .type = QUANT_NVFP4,
    .name = "NVFP4",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {36},
    .to_f32 = nvfp4_read,
    .from_f32 = nvfp4_write,
};

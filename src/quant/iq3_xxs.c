/* iq3_xxs.c - IQ3_XXS: 256 numbers as 64 points of a codebook, 3.0625 bits each.
 *
 *   byte 0    2      d   half
 *   byte 2    64     qs  indices of points of 4 numbers
 *   byte 66   32     ss  8 dwords, one per 32 numbers: bits 7l..7l+6 the signs of 8 numbers
 *                        (grid_signs), bits 28..31 the scale
 *
 *   x = d * (scale + 1/2) / 2 * point
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK 256
#define BYTES 98
#define QS    2
#define SS    66

static void iq3_xxs_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            int l = i % 32 / 8, v = grid_iq3_xxs_at(grid_iq3_xxs[p[QS + i / 4]], i % 4);
            uint32_t u = grid_load_u32(p + SS + i / 32 * 4);

            out[b + (size_t)i] = d * (0.5f + (float)(u >> 28)) * 0.5f *
                                 (float)grid_sign(v, grid_signs(u >> 7 * l), i % 8);
        }
    }
}

const struct quant quant_iq3_xxs = {
    .type = QUANT_IQ3_XXS,
    .name = "IQ3_XXS",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 96},
    .to_f32 = iq3_xxs_read,
};

/* iq2_xxs.c - IQ2_XXS: 256 numbers as 32 points of a codebook, 2.0625 bits each.
 *
 *   byte 0    2      d   half
 *   byte 2    64     qs  8 times 8 bytes, one per 32 numbers: 4 indices of points of 8 numbers,
 *                        then a dword: bits 7l..7l+6 the signs of point l (grid_signs), bits
 *                        28..31 the scale
 *
 *   x = d * (scale + 1/2) / 4 * point
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK 256
#define BYTES 66

static void iq2_xxs_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            const uint8_t *q = p + 2 + i / 32 * 8;
            int l = i % 32 / 8, v = grid_iq2_at(grid_iq2_xxs[q[l]], i % 8);
            uint32_t u = grid_load_u32(q + 4);

            out[b + (size_t)i] = d * (0.5f + (float)(u >> 28)) * 0.25f *
                                 (float)grid_sign(v, grid_signs(u >> 7 * l), i % 8);
        }
    }
}

const struct quant quant_iq2_xxs = {
    .type = QUANT_IQ2_XXS,
    .name = "IQ2_XXS",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 64},
    .to_f32 = iq2_xxs_read,
};

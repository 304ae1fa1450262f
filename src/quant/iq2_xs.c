/* iq2_xs.c - IQ2_XS: 256 numbers as 32 points of a codebook, 2.3125 bits each.
 *
 *   byte 0    2      d       half
 *   byte 2    64     qs      32 words, one per 8 numbers: bits 0..8 the index of a point, bits
 *                            9..15 its signs (grid_signs)
 *   byte 66   8      scales  16 nibbles, low ones first: the scale of 16 numbers
 *
 *   x = d * (scale + 1/2) / 4 * point
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK  256
#define BYTES  74
#define SCALES 66

static void iq2_xs_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            uint32_t q = load_u16(p + 2 + i / 8 * 2);
            int v = grid_iq2_at(grid_iq2_xs[q & 511], i % 8);
            int s = p[SCALES + i / 32] >> i % 32 / 16 * 4 & 15;

            out[b + (size_t)i] =
                d * (0.5f + (float)s) * 0.25f * (float)grid_sign(v, grid_signs(q >> 9), i % 8);
        }
    }
}

const struct quant quant_iq2_xs = {
    .type = QUANT_IQ2_XS,
    .name = "IQ2_XS",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 64, 8},
    .to_f32 = iq2_xs_read,
};

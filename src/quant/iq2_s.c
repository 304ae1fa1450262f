/* iq2_s.c - IQ2_S: 256 numbers as 32 points of a codebook, 2.5625 bits each.
 *
 *   byte 0    2      d       half
 *   byte 2    32     qs      low 8 bits of the indices of 32 points of 8 numbers
 *   byte 34   32     signs   of each point, bit j of number j
 *   byte 66   8      qh      bits 2l..2l+1 of byte i: the high bits of index 4 i + l
 *   byte 74   8      scales  16 nibbles, low ones first: the scale of 16 numbers
 *
 *   x = d * (scale + 1/2) / 4 * point
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK  256
#define BYTES  82
#define QS     2
#define SIGNS  34
#define QH     66
#define SCALES 74

static void iq2_s_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            int l = i / 8, at = p[QS + l] | (p[QH + l / 4] >> l % 4 * 2 & 3) << 8;
            int v = grid_iq2_at(grid_iq2_s[at], i % 8);
            int s = p[SCALES + i / 32] >> i % 32 / 16 * 4 & 15;

            out[b + (size_t)i] =
                d * (0.5f + (float)s) * 0.25f * (float)grid_sign(v, p[SIGNS + l], i % 8);
        }
    }
}

const struct quant quant_iq2_s = {
    .type = QUANT_IQ2_S,
    .name = "IQ2_S",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 80},
    .to_f32 = iq2_s_read,
};

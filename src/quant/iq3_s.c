/* iq3_s.c - IQ3_S: 256 numbers as 64 points of a codebook, 3.4375 bits each.
 *
 *   byte 0    2      d       half
 *   byte 2    64     qs      low 8 bits of the indices of points of 4 numbers
 *   byte 66   8      qh      bit j of byte i: the high bit of index 8 i + j
 *   byte 74   32     signs   bit j of byte i: the sign of number 8 i + j
 *   byte 106  4      scales  8 nibbles, low ones first: the scale of 32 numbers
 *
 *   x = d * (2 scale + 1) * point
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK  256
#define BYTES  110
#define QS     2
#define QH     66
#define SIGNS  74
#define SCALES 106

static void iq3_s_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            int l = i / 4, at = p[QS + l] | (p[QH + l / 8] >> l % 8 & 1) << 8;
            int v = grid_iq3_s_at(grid_iq3_s[at], i % 4);
            int s = p[SCALES + i / 64] >> i % 64 / 32 * 4 & 15;

            out[b + (size_t)i] =
                d * (float)(2 * s + 1) * (float)grid_sign(v, p[SIGNS + i / 8], i % 8);
        }
    }
}

const struct quant quant_iq3_s = {
    .type = QUANT_IQ3_S,
    .name = "IQ3_S",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 108},
    .to_f32 = iq3_s_read,
};

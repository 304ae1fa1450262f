/* iq1_s.c - IQ1_S: 256 numbers of three levels with a small shift, 1.5625 bits each.
 *
 *   byte 0    2      d   half
 *   byte 2    32     qs  low 8 bits of the indices of 32 points of 8 numbers
 *   byte 34   16     qh  8 words, one per 32 numbers: bits 3l..3l+2 the high bits of index l,
 *                        bits 12..14 the scale, bit 15 the sign of the shift
 *
 *   x = d * (2 scale + 1) * (point + shift), shift = 1/8 or -1/8
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK 256
#define BYTES 50
#define QS    2
#define QH    34

static void iq1_s_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++) {
            int l = i / 8, h = load_u16(p + QH + l / 4 * 2);
            int at = p[QS + l] | (h >> l % 4 * 3 & 7) << 8;
            float shift = h & 0x8000 ? -0.125f : 0.125f;

            out[b + (size_t)i] = d * (float)(2 * (h >> 12 & 7) + 1) *
                                 ((float)grid_iq1_at(grid_iq1[at], i % 8) + shift);
        }
    }
}

const struct quant quant_iq1_s = {
    .type = QUANT_IQ1_S,
    .name = "IQ1_S",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 48},
    .to_f32 = iq1_s_read,
};

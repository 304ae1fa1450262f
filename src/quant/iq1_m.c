/* iq1_m.c - IQ1_M: 256 numbers of three levels with a small shift, 1.75 bits each.
 *
 *   byte 0    32     qs      low 8 bits of the indices of 32 points of 8 numbers
 *   byte 32   16     qh      32 nibbles, low ones first: 3 high bits of the index, then the
 *                            sign of the shift
 *   byte 48   8      scales  4 words: bits 3i..3i+2 (i < 4) the scale of 16 numbers, bits
 *                            12..15 a fourth of d, the lowest first
 *
 *   x = d * (2 scale + 1) * (point + shift), shift = 1/8 or -1/8; d is a half
 */
#include "quant/f16.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK  256
#define BYTES  56
#define QH     32
#define SCALES 48

static float iq1_m_d(const uint8_t *scales)
{
    int d = 0;

    for (int i = 0; i < 4; i++)
        d |= load_u16(scales + 2 * i) >> 12 << 4 * i;
    return f16_to_f32((uint16_t)d);
}

static void iq1_m_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = iq1_m_d(p + SCALES);

        for (int i = 0; i < BLOCK; i++) {
            int l = i / 8, h = p[QH + l / 2] >> l % 2 * 4 & 15, at = p[l] | (h & 7) << 8;
            int s = load_u16(p + SCALES + i / 64 * 2) >> i % 64 / 16 * 3 & 7;
            float shift = h & 8 ? -0.125f : 0.125f;

            out[b + (size_t)i] =
                d * (float)(2 * s + 1) * ((float)grid_iq1_at(grid_iq1[at], i % 8) + shift);
        }
    }
}

const struct quant quant_iq1_m = {
    .type = QUANT_IQ1_M,
    .name = "IQ1_M",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {56},
    .to_f32 = iq1_m_read,
};

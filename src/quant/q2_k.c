/* q2_k.c - Q2_K: 256 numbers of 2 bits, 16 sub-blocks with a 4-bit scale and minimum each,
 * 2.625 bits each.
 *
 *   byte 0    16     scales  byte g: scale of sub-block g in the low nibble, minimum above
 *   byte 16   64     qs      two halves of 32 bytes; see below
 *   byte 80   2      d       half
 *   byte 82   2      dmin    half
 *
 *   x = d * scale * q - dmin * min
 *
 * Number 128 k + 32 t + l (k < 2, t < 4, l < 32) is bits 2t..2t+1 of byte 32 k + l of qs.
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BYTES 84
#define LEN   16 /* numbers in a sub-block */

/* Where number i lies in qs, and how far up its bits are. */
static inline int q2_k_at(int i, int *shift)
{
    *shift = i % 128 / 32 * 2;
    return i / 128 * 32 + i % 32;
}

static void q2_k_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float d = load_f16(p + 80), dmin = load_f16(p + 82);

        for (int i = 0; i < FIT_SUPER; i++) {
            int sc = p[i / LEN], shift, at = q2_k_at(i, &shift);
            float s = d * (float)(sc & 15), m = dmin * (float)(sc >> 4);

            out[b + (size_t)i] = s * (float)(p[16 + at] >> shift & 3) - m;
        }
    }
}

static void q2_k_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        struct fit_min f = {.len = LEN, .q_hi = 3, .s_hi = 15};
        float x[FIT_SUPER];

        fit_load(x, in + b, FIT_SUPER);
        fit_super_min(&f, x);
        memset(p, 0, BYTES);
        for (int g = 0; g < FIT_SUPER / LEN; g++)
            p[g] = (uint8_t)(f.scale[g] | f.min[g] << 4);
        for (int i = 0; i < FIT_SUPER; i++) {
            int shift, at = q2_k_at(i, &shift);

            p[16 + at] |= (uint8_t)(f.q[i] << shift);
        }
        store_u16(p + 80, f.d);
        store_u16(p + 82, f.dmin);
    }
}

const struct quant quant_q2_k = {
    .type = QUANT_Q2_K,
    .name = "Q2_K",
    .block = FIT_SUPER,
    .bytes = BYTES,
    .parts = {16, 64, 4},
    .to_f32 = q2_k_read,
    .from_f32 = q2_k_write,
};

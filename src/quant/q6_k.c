/* q6_k.c - Q6_K: 256 numbers of 6 bits, 16 sub-blocks with an 8-bit scale each, 6.5625 bits
 * each.
 *
 *   byte 0    128    ql      the low nibbles; see below
 *   byte 128  64     qh      the high two bits
 *   byte 192  16     scales  int8
 *   byte 208  2      d       half
 *
 *   x = d * scale * (q - 32)
 *
 * Number 128 k + 32 t + l (k < 2, t < 4, l < 32): the low nibble is in byte
 * 64 k + 32 (t % 2) + l of ql, its low half for t < 2; the high bits are bits 2t..2t+1 of byte
 * 32 k + l of qh.
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BYTES  210
#define LEN    16 /* numbers in a sub-block */
#define QH     128
#define SCALES 192

static void q6_k_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float d = load_f16(p + 208);

        for (int i = 0; i < FIT_SUPER; i++) {
            int k = i / 128, t = i % 128 / 32, l = i % 32;
            int lo = p[64 * k + t % 2 * 32 + l] >> (t / 2 * 4) & 15;
            int hi = p[QH + 32 * k + l] >> 2 * t & 3;
            float s = d * (float)(int8_t)p[SCALES + i / LEN];

            out[b + (size_t)i] = s * (float)((lo | hi << 4) - 32);
        }
    }
}

static void q6_k_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        struct fit_sym f = {.len = LEN, .q_lo = -32, .q_hi = 31, .s_lo = -128, .s_hi = 127};
        float x[FIT_SUPER];

        fit_load(x, in + b, FIT_SUPER);
        fit_super_sym(&f, x);
        memset(p, 0, BYTES);
        for (int i = 0; i < FIT_SUPER; i++) {
            int k = i / 128, t = i % 128 / 32, l = i % 32, q = f.q[i] + 32;

            p[64 * k + t % 2 * 32 + l] |= (uint8_t)((q & 15) << (t / 2 * 4));
            p[QH + 32 * k + l] |= (uint8_t)(q >> 4 << 2 * t);
        }
        for (int g = 0; g < FIT_SUPER / LEN; g++)
            p[SCALES + g] = (uint8_t)f.scale[g];
        store_u16(p + 208, f.d);
    }
}

const struct quant quant_q6_k = {
    .type = QUANT_Q6_K,
    .name = "Q6_K",
    .block = FIT_SUPER,
    .bytes = BYTES,
    .parts = {128, 64, 16, 2},
    .to_f32 = q6_k_read,
    .from_f32 = q6_k_write,
};

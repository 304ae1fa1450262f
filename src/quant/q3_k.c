/* q3_k.c - Q3_K: 256 numbers of 3 bits, 16 sub-blocks with a 6-bit scale each, 3.4375 bits
 * each.
 *
 *   byte 0    32     hmask   the high bits; see below
 *   byte 32   64     qs      the low two bits, in two halves of 32 bytes
 *   byte 96   12     scales  16 of 6 bits, stored plus 32
 *   byte 108  2      d       half
 *
 *   x = d * (scale - 32) * (q - 4)
 *
 * Number 128 k + 32 t + l (k < 2, t < 4, l < 32): low bits are bits 2t..2t+1 of byte
 * 32 k + l of qs, the high bit is bit 4k + t of byte l of hmask.
 *
 *   scales, byte 0..7    nibbles: low bits of scale i (low) and scale 8 + i (high)
 *   scales, byte 8..11   bits 2r..2r+1 of byte 8 + i: the high bits of scale 4r + i
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/list.h"

#define BYTES  110
#define LEN    16 /* numbers in a sub-block */
#define QS     32
#define SCALES 96

static void q3_k_scales(const uint8_t *p, int *scale)
{
    for (int i = 0; i < 16; i++) {
        int lo = p[i % 8] >> (i / 8 * 4) & 15, hi = p[8 + i % 4] >> (i / 4 * 2) & 3;

        scale[i] = (lo | hi << 4) - 32;
    }
}

static void q3_k_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float d = load_f16(p + 108);
        int scale[16];

        q3_k_scales(p + SCALES, scale);
        for (int i = 0; i < FIT_SUPER; i++) {
            int k = i / 128, t = i % 128 / 32, l = i % 32, g = i / LEN;
            int q = (p[QS + 32 * k + l] >> 2 * t & 3) | (p[l] >> (4 * k + t) & 1) << 2;

            out[b + (size_t)i] = d * (float)scale[g] * (float)(q - 4);
        }
    }
}

static void q3_k_pack(uint8_t *p, const struct fit_sym *f)
{
    memset(p, 0, BYTES);
    for (int i = 0; i < 16; i++) {
        int s = f->scale[i] + 32;

        p[SCALES + i % 8] |= (uint8_t)((s & 15) << (i / 8 * 4));
        p[SCALES + 8 + i % 4] |= (uint8_t)(s >> 4 << (i / 4 * 2));
    }
    for (int i = 0; i < FIT_SUPER; i++) {
        int k = i / 128, t = i % 128 / 32, l = i % 32, q = f->q[i] + 4;

        p[QS + 32 * k + l] |= (uint8_t)((q & 3) << 2 * t);
        p[l] |= (uint8_t)(q >> 2 << (4 * k + t));
    }
    store_u16(p + 108, f->d);
}

static void q3_k_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        struct fit_sym f = {.len = LEN, .q_lo = -4, .q_hi = 3, .s_lo = -32, .s_hi = 31};
        float x[FIT_SUPER];

        fit_load(x, in + b, FIT_SUPER);
        fit_super_sym(&f, x);
        q3_k_pack(p, &f);
    }
}

const struct quant quant_q3_k = {
    .type = QUANT_Q3_K,
    .name = "Q3_K",
    .block = FIT_SUPER,
    .bytes = BYTES,
    .parts = {32, 64, 12, 2},
    .to_f32 = q3_k_read,
    .from_f32 = q3_k_write,
};

/* q5_k.c - Q5_K: 256 numbers of 5 bits, 8 sub-blocks with a 6-bit scale and minimum each,
 * 5.5 bits each.
 *
 *   byte 0    2      d       half
 *   byte 2    2      dmin    half
 *   byte 4    12     scales  8 scales and 8 minima (quant/kscale.h)
 *   byte 16   32     qh      bit g of byte l: the highest bit of number 32 g + l
 *   byte 48   128    qs      byte 32 t + l (t < 4, l < 32): number 64 t + l in the low nibble,
 *                            number 64 t + 32 + l in the high one
 *
 *   x = d * scale * q - dmin * min
 */
#include "quant/f16.h"
#include "quant/fit.h"
#include "quant/kscale.h"
#include "quant/list.h"

#define BYTES 176
#define LEN   32 /* numbers in a sub-block */
#define QH    16
#define QS    48

static void q5_k_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        float d = load_f16(p), dmin = load_f16(p + 2);
        uint8_t scale[KSCALE_N], min[KSCALE_N];

        kscale_get(p + 4, scale, min);
        for (int i = 0; i < FIT_SUPER; i++) {
            int g = i / LEN, l = i % LEN, q = p[QS + g / 2 * 32 + l] >> (g % 2 * 4) & 15;
            float s = d * (float)scale[g], m = dmin * (float)min[g];

            q |= (p[QH + l] >> g & 1) << 4;
            out[b + (size_t)i] = s * (float)q - m;
        }
    }
}

static void q5_k_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += FIT_SUPER, p += BYTES) {
        struct fit_min f = {.len = LEN, .q_hi = 31, .s_hi = 63};
        float x[FIT_SUPER];

        fit_load(x, in + b, FIT_SUPER);
        fit_super_min(&f, x);
        memset(p, 0, BYTES);
        store_u16(p, f.d);
        store_u16(p + 2, f.dmin);
        kscale_put(p + 4, f.scale, f.min);
        for (int i = 0; i < FIT_SUPER; i++) {
            int g = i / LEN, l = i % LEN;

            p[QS + g / 2 * 32 + l] |= (uint8_t)((f.q[i] & 15) << (g % 2 * 4));
            p[QH + l] |= (uint8_t)(f.q[i] >> 4 << g);
        }
    }
}

const struct quant quant_q5_k = {
    .type = QUANT_Q5_K,
    .name = "Q5_K",
    .block = FIT_SUPER,
    .bytes = BYTES,
    .parts = {4, 12, 32, 128},
    .to_f32 = q5_k_read,
    .from_f32 = q5_k_write,
};

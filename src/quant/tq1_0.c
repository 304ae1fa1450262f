/* tq1_0.c - TQ1_0: 256 numbers of three levels, five to a byte, and one scale, 1.6875 bits
 * each.
 *
 *   byte 0    48     qs  five digits of base 3 a byte
 *   byte 48   4      qh  four digits a byte
 *   byte 52   2      d   half
 *
 *   x = d * (digit - 1)
 *
 * A byte is a fraction of 256 that begins with its digits: digit n is the whole part of three
 * times the fraction that n multiplications by three leave. Numbers, in order: digit n of
 * bytes 0..31 of qs for n = 0..4, digit n of bytes 32..47, digit n of qh.
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/list.h"

#define BLOCK 256
#define BYTES 54

static const uint8_t pow3[5] = {1, 3, 9, 27, 81};

/* Where number i is: its byte, and which digit of it. */
static int tq1_0_byte(int i, int *digit)
{
    if (i < 160) {
        *digit = i / 32;
        return i % 32;
    }
    if (i < 240) {
        *digit = (i - 160) / 16;
        return 32 + i % 16;
    }
    *digit = (i - 240) / 4;
    return 48 + i % 4;
}

static void tq1_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p + 52);

        for (int i = 0; i < BLOCK; i++) {
            int digit, at = tq1_0_byte(i, &digit), left = p[at] * pow3[digit] & 255;

            out[b + (size_t)i] = d * (float)((left * 3 >> 8) - 1);
        }
    }
}

static void tq1_0_write(const float *in, void *blocks, size_t n)
{
    static const int8_t v[3] = {-1, 0, 1};
    static const struct fit_levels l = {v, 3};
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float x[BLOCK], inv;
        int sum[52] = {0};

        fit_load(x, in + b, BLOCK);
        store_u16(p + 52, fit_half(fit_level_scale(&l, x, BLOCK)));
        inv = fit_inv(load_f16(p + 52));
        for (int i = 0; i < BLOCK; i++) {
            int digit, at = tq1_0_byte(i, &digit);

            sum[at] += fit_level(&l, x[i] * inv) * pow3[4 - digit];
        }
        /* Rounded up, so that no digit falls short by the fraction's end. */
        for (int at = 0; at < 52; at++)
            p[at] = (uint8_t)((sum[at] * 256 + 242) / 243);
    }
}

const struct quant quant_tq1_0 = {
    .type = QUANT_TQ1_0,
    .name = "TQ1_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {52, 2},
    .to_f32 = tq1_0_read,
    .from_f32 = tq1_0_write,
};

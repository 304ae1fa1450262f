/* q1_0.c - Q1_0: 128 signs and one scale, 1.125 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   16      qs  bit j of byte i: number 8 i + j
 *
 *   x = bit ? d : -d
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/list.h"

#define BLOCK 128
#define BYTES 18

static void q1_0_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int i = 0; i < BLOCK; i++)
            out[b + (size_t)i] = p[2 + i / 8] >> i % 8 & 1 ? d : -d;
    }
}

static void q1_0_write(const float *in, void *blocks, size_t n)
{
    static const int8_t v[2] = {-1, 1};
    static const struct fit_levels l = {v, 2};
    uint8_t *p = blocks;

    for (size_t b = 0; b < n; b += BLOCK, p += BYTES) {
        float x[BLOCK];

        fit_load(x, in + b, BLOCK);
        memset(p, 0, BYTES);
        store_u16(p, fit_half(fit_level_scale(&l, x, BLOCK)));
        for (int i = 0; i < BLOCK; i++)
            p[2 + i / 8] |= (uint8_t)((x[i] >= 0) << i % 8);
    }
}

const struct quant quant_q1_0 = {
    .type = QUANT_Q1_0,
    .name = "Q1_0",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 16},
    .to_f32 = q1_0_read,
    .from_f32 = q1_0_write,
};

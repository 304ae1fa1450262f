/* iq4_nl.c - IQ4_NL: 32 numbers of 16 uneven levels and one scale, 4.5 bits each.
 *
 *   byte 0   2       d   half
 *   byte 2   16      qs  byte j: number j in the low nibble, number j + 16 in the high one
 *
 *   x = level[q] * d (quant/grid.h)
 */
#include "quant/f16.h"
#include "quant/fit_level.h"
#include "quant/grid.h"
#include "quant/list.h"

#define BLOCK 32
#define BYTES 18

static const int8_t levels[16] = {GRID_IQ4_LEVELS};

static void iq4_nl_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float d = load_f16(p);

        for (int j = 0; j < 16; j++) {
            out[i + (size_t)j] = (float)levels[p[2 + j] & 15] * d;
            out[i + (size_t)j + 16] = (float)levels[p[2 + j] >> 4] * d;
        }
    }
}

static void iq4_nl_write(const float *in, void *blocks, size_t n)
{
    static const struct fit_levels l = {levels, 16};
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i += BLOCK, p += BYTES) {
        float x[BLOCK], inv;

        fit_load(x, in + i, BLOCK);
        store_u16(p, fit_half(fit_level_scale(&l, x, BLOCK)));
        inv = fit_inv(load_f16(p));
        for (int j = 0; j < 16; j++)
            p[2 + j] =
                (uint8_t)(fit_level(&l, x[j] * inv) | fit_level(&l, x[j + 16] * inv) << 4);
    }
}

const struct quant quant_iq4_nl = {
    .type = QUANT_IQ4_NL,
    .name = "IQ4_NL",
    .block = BLOCK,
    .bytes = BYTES,
    .parts = {2, 16},
    .to_f32 = iq4_nl_read,
    .from_f32 = iq4_nl_write,
};

/* float.c - the formats that are plain numbers: F32, F16 and BF16, blocks of one.
 *
 *   F32   4 bytes   IEEE 754 single
 *   F16   2 bytes   IEEE 754 half
 *   BF16  2 bytes   the upper half of a single
 *
 * Unlike the block formats these keep infinities and NaN as they are: they have a place for
 * them, and a converter must not hide a broken weight. */
#include "quant/f16.h"
#include "quant/list.h"

static void f32_read(const void *blocks, float *out, size_t n)
{
    if (n)
        memcpy(out, blocks, n * sizeof(float));
}

static void f32_write(const float *in, void *blocks, size_t n)
{
    if (n)
        memcpy(blocks, in, n * sizeof(float));
}

static void f16_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i++)
        out[i] = load_f16(p + 2 * i);
}

static void f16_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i++)
        store_u16(p + 2 * i, f32_to_f16(in[i]));
}

static void bf16_read(const void *blocks, float *out, size_t n)
{
    const uint8_t *p = blocks;

    for (size_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(load_u16(p + 2 * i));
}

static void bf16_write(const float *in, void *blocks, size_t n)
{
    uint8_t *p = blocks;

    for (size_t i = 0; i < n; i++)
        store_u16(p + 2 * i, f32_to_bf16(in[i]));
}

const struct quant quant_f32 = {
    .type = QUANT_F32,
    .name = "F32",
    .block = 1,
    .bytes = 4,
    .parts = {4},
    .to_f32 = f32_read,
    .from_f32 = f32_write,
};

const struct quant quant_f16 = {
    .type = QUANT_F16,
    .name = "F16",
    .block = 1,
    .bytes = 2,
    .parts = {2},
    .to_f32 = f16_read,
    .from_f32 = f16_write,
};

const struct quant quant_bf16 = {
    .type = QUANT_BF16,
    .name = "BF16",
    .block = 1,
    .bytes = 2,
    .parts = {2},
    .to_f32 = bf16_read,
    .from_f32 = bf16_write,
};

/* gelu.c - GELU as a table in half precision gives it. */
#include "model/block/block.h"

#include "quant/f16.h"

#include <math.h>

/* The nearest number that half precision has, ties to even; x is in its range. */
static float to_half(float x)
{
    uint32_t u = f32_bits(x);

    if (fabsf(x) < 0x1p-14f) /* the adder rounds to multiples of 2^-24 */
        return copysignf(fabsf(x) + 0.5f - 0.5f, x);
    return f32_of_bits((u + 0xfffu + ((u >> 13) & 1u)) & ~0x1fffu);
}

void blk_gelu_half(const struct kern *k, float *gate, const float *up, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gate[i] = fabsf(gate[i]) < 10 ? to_half(gate[i]) : gate[i];
    k->act(KERN_ACT_GELU, 0, gate, NULL, gate, n);
    for (size_t i = 0; i < n; i++)
        y[i] = (fabsf(gate[i]) < 10 ? to_half(gate[i]) : gate[i]) * up[i];
}

/* fp4.h - numbers of 4 bits (E2M1) and the scales that MXFP4 and NVFP4 give them.
 *
 * E2M1   sign, 2 bits of exponent, 1 of fraction: 0, 0.5, 1, 1.5, 2, 3, 4, 6. Here doubled, so
 *        that all are integers; the scales are halved for it.
 * E8M0   8 bits of exponent, no sign: 2^(e - 127).
 * UE4M3  4 bits of exponent, 3 of fraction; the top bit is not looked at; 0x7f is 0.
 *
 * Source   OCP Microscaling Formats (MX) v1.0, sections 5.3.3 and 5.4.1, for E2M1 and E8M0
 */
#ifndef HEARTH_QUANT_FP4_H
#define HEARTH_QUANT_FP4_H

#include "quant/f16.h"

#include <math.h>

/* Twice the value of each code; code 8 is minus zero. */
#define FP4_LEVELS 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12
#define FP4_PEAK   12

/* 2^(e - 128): half an E8M0. The two smallest are subnormal. */
static inline float fp4_half_e8m0(int e)
{
    return f32_of_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

/* Half a UE4M3. */
static inline float fp4_half_ue4m3(int v)
{
    int exp = v >> 3 & 15, man = v & 7;

    if (v == 0x7f)
        return 0.0f;
    if (exp == 0)
        return (float)man * 0x1p-10f;
    return f32_of_bits((uint32_t)(exp + 119) << 23 | (uint32_t)man << 20);
}

/* The code whose level is nearest to x. */
static inline int fp4_code(float x)
{
    static const float upto[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5.0f, 7.0f, 10.0f};
    float a = fabsf(x);
    int i = 0;

    while (i < 7 && a > upto[i])
        i++;
    return x < 0 && i > 0 ? i | 8 : i;
}

/* The squared error of n numbers with scale s. */
static inline float fp4_error(const float *x, int n, float s)
{
    static const int8_t level[16] = {FP4_LEVELS};
    float inv = s != 0 ? 1.0f / s : 0.0f, sum = 0;

    for (int i = 0; i < n; i++) {
        float e = s * (float)level[fp4_code(x[i] * inv)] - x[i];

        sum += e * e;
    }
    return sum;
}

#endif

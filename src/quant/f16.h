/* f16.h - half precision and bfloat16 to and from float, in plain C, exact and rounding to
 * nearest even. Kernels use the machine's instructions; these are what those must equal. */
#ifndef HEARTH_QUANT_F16_H
#define HEARTH_QUANT_F16_H

#include <stdint.h>
#include <string.h>

static inline float f32_of_bits(uint32_t u)
{
    float f;

    memcpy(&f, &u, sizeof(f));
    return f;
}

static inline uint32_t f32_bits(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof(u));
    return u;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exp = (h >> 10) & 31u, man = h & 0x3ffu;

    if (exp == 31)
        return f32_of_bits(sign | 0x7f800000u | (man << 13));
    if (exp == 0) {
        /* Subnormal: man * 2^-24, exact in float. */
        float f = (float)man * 0x1p-24f;

        return sign ? -f : f;
    }
    return f32_of_bits(sign | ((exp + 112) << 23) | (man << 13));
}

static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu, r;

    if (a > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (a >= 0x477ff000u) /* 65520 and more round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (a < 0x38800000u) {
        /* Below 2^-14: the adder aligns the bits and rounds them to nearest even. */
        float g = f32_of_bits(a) + 0.5f;

        return (uint16_t)(sign | (f32_bits(g) - 0x3f000000u));
    }
    r = a + 0xfffu + ((a >> 13) & 1u);
    return (uint16_t)(sign | ((r - 0x38000000u) >> 13));
}

static inline float bf16_to_f32(uint16_t h)
{
    return f32_of_bits((uint32_t)h << 16);
}

static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);

    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline uint16_t load_u16(const void *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static inline void store_u16(void *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static inline float load_f16(const void *p)
{
    return f16_to_f32(load_u16(p));
}

#endif

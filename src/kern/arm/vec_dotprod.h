/* vec_dotprod.h - the vectors of the Arm tiers: NEON's 4 lanes of 32 bits. Same names as in
 * x86/vec_avx512vnni.h, which says what they are for. */
#ifndef HEARTH_KERN_ARM_VEC_H
#define HEARTH_KERN_ARM_VEC_H

#include <arm_neon.h>
#include <stdint.h>
#include <string.h>

#define INL static inline __attribute__((always_inline))

/* 32 registers: 4 row vectors x 4 columns of integer sums, the weights, and some of the float
 * sums, which are touched once for 32 numbers. */
enum { VL = 4, V_ROWS = 4, V_PANEL = 4 };

/* Up to this many columns are multiplied as the weights are read (direct.h): one panel. */
enum { V_DIRECT = 4 };

/* Both sides of a product are signed. */
enum { V_SIGNED8 = 1 };

typedef float32x4_t vf;
typedef int32x4_t vi;

INL vf vf_zero(void)
{
    return vdupq_n_f32(0);
}
INL vf vf_set(float x)
{
    return vdupq_n_f32(x);
}
INL vf vf_load(const float *p)
{
    return vld1q_f32(p);
}
INL void vf_store(float *p, vf x)
{
    vst1q_f32(p, x);
}
INL vf vf_load_f16(const void *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}
INL vf vf_load_bf16(const void *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(p)), 16));
}
/* The 4 bytes at p in the low half of a vector. */
INL uint8x8_t v_bytes(const void *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof(x));
    return vcreate_u8(x);
}
/* Signed bytes to float, the first four. */
INL vf v_bytes_to_f(int8x8_t x)
{
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(x))));
}
INL vf vf_load_i8(const void *p)
{
    return v_bytes_to_f(vreinterpret_s8_u8(v_bytes(p)));
}
INL vf vf_load_low4(const void *p)
{
    uint8x8_t x = vand_u8(v_bytes(p), vdup_n_u8(15));

    return v_bytes_to_f(vsub_s8(vreinterpret_s8_u8(x), vdup_n_s8(8)));
}
INL vf vf_load_high4(const void *p)
{
    uint8x8_t x = vshr_n_u8(v_bytes(p), 4);

    return v_bytes_to_f(vsub_s8(vreinterpret_s8_u8(x), vdup_n_s8(8)));
}
INL void vf_store_f16(void *p, vf x)
{
    vst1_u8(p, vreinterpret_u8_f16(vcvt_f16_f32(x)));
}
INL vf vf_add(vf a, vf b)
{
    return vaddq_f32(a, b);
}
INL vf vf_sub(vf a, vf b)
{
    return vsubq_f32(a, b);
}
INL vf vf_mul(vf a, vf b)
{
    return vmulq_f32(a, b);
}
INL vf vf_div(vf a, vf b)
{
    return vdivq_f32(a, b);
}
/* As on x86 a bound wins over what is no number: such a value stays in the scale of its block
 * and is not hidden by a rounded 0. */
INL vf vf_max(vf a, vf b)
{
    return vmaxnmq_f32(a, b);
}
INL vf vf_min(vf a, vf b)
{
    return vminnmq_f32(a, b);
}
INL vf vf_abs(vf a)
{
    return vabsq_f32(a);
}
INL vf vf_fma(vf a, vf b, vf c)
{
    return vfmaq_f32(c, a, b);
}
INL vf vf_fnma(vf a, vf b, vf c)
{
    return vfmsq_f32(c, a, b);
}
INL vf vf_fmaddsub(vf a, vf b, vf c)
{
    uint32x4_t even = vreinterpretq_u32_u64(vdupq_n_u64(0x80000000u));

    return vfmaq_f32(vreinterpretq_f32_u32(veorq_u32(vreinterpretq_u32_f32(c), even)), a, b);
}
INL vf vf_dup_even(vf a)
{
    return vtrn1q_f32(a, a);
}
INL vf vf_dup_odd(vf a)
{
    return vtrn2q_f32(a, a);
}
INL vf vf_swap_pairs(vf a)
{
    return vrev64q_f32(a);
}
INL vf vf_evens(vf a, vf b)
{
    return vuzp1q_f32(a, b);
}
INL vf vf_odds(vf a, vf b)
{
    return vuzp2q_f32(a, b);
}
INL vf vf_round(vf a)
{
    return vrndnq_f32(a);
}
INL vf vf_scale2(vf a, vf n)
{
    int32x4_t e = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);

    return vmulq_f32(a, vreinterpretq_f32_s32(e));
}
INL vf vf_keep_ge(vf x, vf of, vf limit)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vcgeq_f32(of, limit)));
}
INL vf vf_pick_ge(vf x, vf y, vf of, vf limit)
{
    return vbslq_f32(vcgeq_f32(of, limit), x, y);
}
INL vf vf_lanes(vf x, vf y, int lo, int hi)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    int32x4_t at = vld1q_s32(lanes);

    return vbslq_f32(vandq_u32(vcgeq_s32(at, vdupq_n_s32(lo)), vcltq_s32(at, vdupq_n_s32(hi))),
                     x, y);
}
INL float vf_first(vf x)
{
    return vgetq_lane_f32(x, 0);
}
INL float vf_sum(vf x)
{
    return vaddvq_f32(x);
}
/* The sums of four vectors. */
INL void vf_sum4(vf a, vf b, vf c, vf d, float out[4])
{
    vst1q_f32(out, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d)));
}
INL float vf_hmax(vf x)
{
    return vmaxnmvq_f32(x);
}
/* The 16 bytes of one row. */
INL vi vi_pieces(const uint8_t *const *row, size_t off)
{
    return vreinterpretq_s32_u8(vld1q_u8(row[0] + off));
}
/* Lanes of a and b in turns, of their lower and upper halves; then pairs of lanes. */
INL vi vi_zip_lo(vi a, vi b)
{
    return vzip1q_s32(a, b);
}
INL vi vi_zip_hi(vi a, vi b)
{
    return vzip2q_s32(a, b);
}
INL vi vi_zip2_lo(vi a, vi b)
{
    return vreinterpretq_s32_s64(
        vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}
INL vi vi_zip2_hi(vi a, vi b)
{
    return vreinterpretq_s32_s64(
        vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
}

INL void v_prefetch(const void *p)
{
    __builtin_prefetch(p, 0, 2);
}

INL vi vi_load(const void *p)
{
    return vreinterpretq_s32_u8(vld1q_u8(p));
}
INL vi vi_fetch(vi x, const void *p)
{
    __asm__ volatile("prfm pldl2keep, %1" : "+w"(x) : "Q"(*(const char *)p));
    return x;
}
INL vi vi_set(int32_t x)
{
    return vdupq_n_s32(x);
}
INL vi vi_zero(void)
{
    return vdupq_n_s32(0);
}
INL vi vi_shl(vi a, int n)
{
    return vshlq_s32(a, vdupq_n_s32(n));
}
INL vi vi_sra(vi a, const int n)
{
    return a >> n;
}
INL vf vi_to_f(vi a)
{
    return vcvtq_f32_s32(a);
}
INL vi vf_to_i(vf a)
{
    return vcvtnq_s32_f32(a);
}
INL void vi_store_i8(int8_t *p, vi a)
{
    int16x4_t s = vqmovn_s32(a);
    int8x8_t b = vqmovn_s16(vcombine_s16(s, s));

    memcpy(p, &b, 4);
}
INL vi vi_dot(vi acc, vi w, vi a)
{
    return vdotq_s32(acc, vreinterpretq_s8_s32(w), vreinterpretq_s8_s32(a));
}
INL vi vi_dot8(vi acc, vi w, vi a)
{
    return vi_dot(acc, w, a);
}
INL vi vi_table16(const void *p)
{
    return vi_load(p);
}
INL vi vi_lookup16(vi table, vi x)
{
    return vreinterpretq_s32_u8(
        vqtbl1q_u8(vreinterpretq_u8_s32(table), vreinterpretq_u8_s32(x)));
}
/* There is no such instruction: four loads. */
INL vi vi_gather2(const void *p, vi i)
{
    int32_t at[4], v[4];

    vst1q_s32(at, i);
    for (int l = 0; l < 4; l++)
        memcpy(&v[l], (const uint8_t *)p + 2 * (int64_t)at[l], sizeof(v[l]));
    return vld1q_s32(v);
}
INL vi vi_bytes4(const void *p)
{
    return vld1q_dup_s32(p);
}
INL void vec_sums16(const int8_t q[32], int32_t sum[2])
{
    sum[0] = vaddlvq_s8(vld1q_s8(q));
    sum[1] = vaddlvq_s8(vld1q_s8(q + 16));
}

#endif

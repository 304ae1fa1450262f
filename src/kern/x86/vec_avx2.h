/* vec_avx2.h - the vectors of the AVX2 tier: 8 lanes of 32 bits. Same names as in
 * vec_avx512vnni.h, which says what they are for. */
#ifndef HEARTH_KERN_X86_VEC_H
#define HEARTH_KERN_X86_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define INL static inline __attribute__((always_inline))

/* 16 registers: 2 row vectors x 3 columns. */
enum { VL = 8, V_ROWS = 2, V_PANEL = 3 };

/* Up to this many columns are multiplied as the weights are read (direct.h). */
enum { V_DIRECT = 6 };

typedef __m256 vf;
typedef __m256i vi;

INL vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
INL vf vf_set(float x)
{
    return _mm256_set1_ps(x);
}
INL vf vf_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
INL void vf_store(float *p, vf x)
{
    _mm256_storeu_ps(p, x);
}
INL vf vf_load_f16(const void *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128(p));
}
INL vf vf_load_bf16(const void *p)
{
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}
INL vf vf_load_i8(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}
INL vf vf_load_low4(const void *p)
{
    __m256i x =
        _mm256_and_si256(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)), _mm256_set1_epi32(15));

    return _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(8)));
}
INL vf vf_load_high4(const void *p)
{
    __m256i x = _mm256_srli_epi32(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)), 4);

    return _mm256_cvtepi32_ps(_mm256_sub_epi32(x, _mm256_set1_epi32(8)));
}
INL void vf_store_f16(void *p, vf x)
{
    _mm_storeu_si128(p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INL vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
INL vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
INL vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
INL vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
INL vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
INL vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
INL vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a);
}
INL vf vf_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INL vf vf_fnma(vf a, vf b, vf c)
{
    return _mm256_fnmadd_ps(a, b, c);
}
INL vf vf_fmaddsub(vf a, vf b, vf c)
{
    return _mm256_fmaddsub_ps(a, b, c);
}
INL vf vf_dup_even(vf a)
{
    return _mm256_moveldup_ps(a);
}
INL vf vf_dup_odd(vf a)
{
    return _mm256_movehdup_ps(a);
}
INL vf vf_swap_pairs(vf a)
{
    return _mm256_permute_ps(a, 0xb1);
}
INL vf vf_evens(vf a, vf b)
{
    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), 0xd8));
}
INL vf vf_odds(vf a, vf b)
{
    return _mm256_castpd_ps(
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8));
}
INL vf vf_round(vf a)
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
INL vf vf_scale2(vf a, vf n)
{
    __m256i e =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);

    return _mm256_mul_ps(a, _mm256_castsi256_ps(e));
}
INL vf vf_keep_ge(vf x, vf of, vf limit)
{
    return _mm256_and_ps(x, _mm256_cmp_ps(of, limit, _CMP_GE_OQ));
}
INL vf vf_pick_ge(vf x, vf y, vf of, vf limit)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(of, limit, _CMP_GE_OQ));
}
INL vf vf_lanes(vf x, vf y, int lo, int hi)
{
    __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
            in = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), at),
                                     _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), at));

    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(in));
}
INL float vf_first(vf x)
{
    return _mm256_cvtss_f32(x);
}
INL float vf_sum(vf x)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
INL __m256 vf_fold(vf x)
{
    return x;
}
/* The sums of four vectors. */
INL void vf_sum4(vf a, vf b, vf c, vf d, float out[4])
{
    __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(vf_fold(a), vf_fold(b)),
                              _mm256_hadd_ps(vf_fold(c), vf_fold(d)));

    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
INL float vf_hmax(vf x)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));

    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}

INL void v_prefetch(const void *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T1);
}

INL vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
/* x, when the line at p has been asked for: tied to a value, since a compiler gathers free
 * prefetches in one place, where they fill the queue of misses and stall what comes after. */
INL vi vi_fetch(vi x, const void *p)
{
    __asm__ volatile("prefetcht1 %1" : "+x"(x) : "m"(*(const char *)p));
    return x;
}
INL vi vi_set(int32_t x)
{
    return _mm256_set1_epi32(x);
}
INL vi vi_zero(void)
{
    return _mm256_setzero_si256();
}
INL vi vi_shl(vi a, int n)
{
    return _mm256_sll_epi32(a, _mm_cvtsi32_si128(n));
}
INL vi vi_sra(vi a, const int n)
{
    return _mm256_srai_epi32(a, n);
}
INL vf vi_to_f(vi a)
{
    return _mm256_cvtepi32_ps(a);
}
INL vi vf_to_i(vf a)
{
    return _mm256_cvtps_epi32(a);
}
INL void vi_store_i8(int8_t *p, vi a)
{
    __m128i s = _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));

    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(s, s));
}
#ifndef V_DPBUSD
/* maddubs saturates at 16 bits: two products of 8-bit weights fit only as |w| <= 128 times
 * a with w's sign, so such weights are unpacked signed. */
enum { V_SIGNED8 = 1 };

/* Weights up to 6 bits: two products are at most 2 * 63 * 127 = 16,002. */
INL vi vi_dot(vi acc, vi w, vi a)
{
    return _mm256_add_epi32(
        acc, _mm256_madd_epi16(_mm256_maddubs_epi16(w, a), _mm256_set1_epi16(1)));
}
/* Signed weights: |w| <= 128, |a| <= 127, two products are at most 32,512. */
INL vi vi_dot8(vi acc, vi w, vi a)
{
    return vi_dot(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
}
#else
enum { V_SIGNED8 = 0 };

INL vi vi_dot(vi acc, vi w, vi a)
{
    return V_DPBUSD(acc, w, a);
}
INL vi vi_dot8(vi acc, vi w, vi a)
{
    return V_DPBUSD(acc, w, a);
}
#endif
INL vi vi_table16(const void *p)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(p));
}
INL vi vi_lookup16(vi table, vi x)
{
    return _mm256_shuffle_epi8(table, x);
}
INL vi vi_gather2(const void *p, vi i)
{
    return _mm256_i32gather_epi32(p, i, 2);
}
/* 16 bytes from each of row[0] and row[4]. */
INL vi vi_pieces(const uint8_t *const *row, size_t off)
{
    return _mm256_loadu2_m128i((const __m128i *)(const void *)(row[4] + off),
                               (const __m128i *)(const void *)(row[0] + off));
}
INL vi vi_zip_lo(vi a, vi b)
{
    return _mm256_unpacklo_epi32(a, b);
}
INL vi vi_zip_hi(vi a, vi b)
{
    return _mm256_unpackhi_epi32(a, b);
}
INL vi vi_zip2_lo(vi a, vi b)
{
    return _mm256_unpacklo_epi64(a, b);
}
INL vi vi_zip2_hi(vi a, vi b)
{
    return _mm256_unpackhi_epi64(a, b);
}
INL vi vi_bytes4(const void *p)
{
    return _mm256_set1_epi32(*(const int32_t *)p);
}
/* The sums of the first and of the last 16 of 32 bytes: sums of 8 unsigned ones, less the
 * offset. */
INL void vec_sums16(const int8_t q[32], int32_t sum[2])
{
    __m256i u = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(const void *)q),
                                 _mm256_set1_epi8((char)0x80)),
            s = _mm256_sad_epu8(u, _mm256_setzero_si256());
    int64_t part[4];

    _mm256_storeu_si256((__m256i *)(void *)part, s);
    sum[0] = (int32_t)(part[0] + part[1]) - 16 * 128;
    sum[1] = (int32_t)(part[2] + part[3]) - 16 * 128;
}

#endif

/* vec_avx512vnni.h - the vectors of the AVX-512 VNNI tier: 16 lanes of 32 bits.
 *
 * The templates (mul.h, attn.h, acts.h, seq.h) are written once over these names and compiled
 * once for each tier; vec_avx2.h gives the same names with 8 lanes, arm/vec_dotprod.h with 4.
 */
#ifndef HEARTH_KERN_X86_VEC_H
#define HEARTH_KERN_X86_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define INL static inline __attribute__((always_inline))

/* Vectors of rows in a group, and columns in a panel: 2 x 6 keep 12 sums and 12 results in
 * registers. */
enum { VL = 16, V_ROWS = 2, V_PANEL = 6 };

/* Up to this many columns are multiplied as the weights are read (direct.h). Unpacking them
 * once gains nothing before some hundreds, and costs as much as two dozen columns. */
enum { V_DIRECT = 128 };

/* Weights of 8 bits stay unsigned (offset 128): dpbusd does not saturate between. */
enum { V_SIGNED8 = 0 };

typedef __m512 vf;
typedef __m512i vi;

INL vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
INL vf vf_set(float x)
{
    return _mm512_set1_ps(x);
}
INL vf vf_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INL void vf_store(float *p, vf x)
{
    _mm512_storeu_ps(p, x);
}
INL vf vf_load_f16(const void *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
INL vf vf_load_bf16(const void *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}
/* VL signed bytes. */
INL vf vf_load_i8(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}
/* The low, or the high, 4 bits of VL bytes, less 8. */
INL vf vf_load_low4(const void *p)
{
    return _mm512_permutexvar_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(p)),
        _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
}
INL vf vf_load_high4(const void *p)
{
    return _mm512_permutexvar_ps(
        _mm512_srli_epi32(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)), 4),
        _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7));
}
INL void vf_store_f16(void *p, vf x)
{
    _mm256_storeu_si256(p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
INL vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
INL vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
INL vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
INL vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
INL vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
INL vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
INL vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
/* a * b + c and c - a * b, rounded once. */
INL vf vf_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INL vf vf_fnma(vf a, vf b, vf c)
{
    return _mm512_fnmadd_ps(a, b, c);
}
/* a * b - c in even lanes, a * b + c in odd ones. */
INL vf vf_fmaddsub(vf a, vf b, vf c)
{
    return _mm512_fmaddsub_ps(a, b, c);
}
/* Pairs of lanes: both the first, both the second, the two the other way round. */
INL vf vf_dup_even(vf a)
{
    return _mm512_moveldup_ps(a);
}
INL vf vf_dup_odd(vf a)
{
    return _mm512_movehdup_ps(a);
}
INL vf vf_swap_pairs(vf a)
{
    return _mm512_permute_ps(a, 0xb1);
}
/* The first, or the second, of the pairs of a, then of those of b. */
INL vf vf_evens(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), b);
}
INL vf vf_odds(vf a, vf b)
{
    return _mm512_permutex2var_ps(
        a, _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), b);
}
INL vf vf_round(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a * 2^n for integral n in [-126, 127]. */
INL vf vf_scale2(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}
/* x where x >= limit holds in `of`, else 0. */
INL vf vf_keep_ge(vf x, vf of, vf limit)
{
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(of, limit, _CMP_GE_OQ), x);
}
/* x where `of` >= limit, else y, also where one is no number. */
INL vf vf_pick_ge(vf x, vf y, vf of, vf limit)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(of, limit, _CMP_GE_OQ), x);
}
/* Lanes [lo, hi) of x, the others of y. */
INL vf vf_lanes(vf x, vf y, int lo, int hi)
{
    uint32_t m = hi >= VL ? 0xffffu : hi <= 0 ? 0 : (1u << hi) - 1;

    m &= lo <= 0 ? 0xffffu : lo >= VL ? 0 : 0xffffu << lo;
    return _mm512_mask_mov_ps(y, (__mmask16)m, x);
}
INL float vf_first(vf x)
{
    return _mm512_cvtss_f32(x);
}
INL float vf_sum(vf x)
{
    return _mm512_reduce_add_ps(x);
}
INL __m256 vf_fold(vf x)
{
    return _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
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
    return _mm512_reduce_max_ps(x);
}

/* A line that is read soon, into the second cache. */
INL void v_prefetch(const void *p)
{
    _mm_prefetch((const char *)p, _MM_HINT_T1);
}

INL vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
/* x, when the line at p has been asked for: tied to a value, since a compiler gathers free
 * prefetches in one place, where they fill the queue of misses and stall what comes after. */
INL vi vi_fetch(vi x, const void *p)
{
    __asm__ volatile("prefetcht1 %1" : "+v"(x) : "m"(*(const char *)p));
    return x;
}
INL vi vi_set(int32_t x)
{
    return _mm512_set1_epi32(x);
}
INL vi vi_zero(void)
{
    return _mm512_setzero_si512();
}
INL vi vi_shl(vi a, int n)
{
    return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n));
}
INL vi vi_sra(vi a, const int n)
{
    return _mm512_srai_epi32(a, n);
}
INL vf vi_to_f(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
INL vi vf_to_i(vf a)
{
    return _mm512_cvtps_epi32(a);
}
/* The low byte of each lane. */
INL void vi_store_i8(int8_t *p, vi a)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(a));
}
/* acc + the sum of 4 products of unsigned w and signed a, in each lane. */
INL vi vi_dot(vi acc, vi w, vi a)
{
    return _mm512_dpbusd_epi32(acc, w, a);
}
INL vi vi_dot8(vi acc, vi w, vi a)
{
    return _mm512_dpbusd_epi32(acc, w, a);
}
/* The same 16 bytes in every 16 bytes. */
INL vi vi_table16(const void *p)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128(p));
}
/* Each byte of x, below 16, to that byte of the table's same 16. */
INL vi vi_lookup16(vi table, vi x)
{
    return _mm512_shuffle_epi8(table, x);
}
/* The 4 bytes at p + 2 i of each lane. */
INL vi vi_gather2(const void *p, vi i)
{
    return _mm512_i32gather_epi32(i, p, 2);
}
/* 16 bytes from each of row[0], row[4], row[8] and row[12]. */
INL vi vi_pieces(const uint8_t *const *row, size_t off)
{
    vi x =
        _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)(const void *)(row[0] + off)));

    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)(row[4] + off)),
                           1);
    x = _mm512_inserti32x4(x, _mm_loadu_si128((const __m128i *)(const void *)(row[8] + off)),
                           2);
    return _mm512_inserti32x4(
        x, _mm_loadu_si128((const __m128i *)(const void *)(row[12] + off)), 3);
}
/* The low or high halves of each 16 bytes, interleaved by 4 bytes (zip) or by 8 (zip2). */
INL vi vi_zip_lo(vi a, vi b)
{
    return _mm512_unpacklo_epi32(a, b);
}
INL vi vi_zip_hi(vi a, vi b)
{
    return _mm512_unpackhi_epi32(a, b);
}
INL vi vi_zip2_lo(vi a, vi b)
{
    return _mm512_unpacklo_epi64(a, b);
}
INL vi vi_zip2_hi(vi a, vi b)
{
    return _mm512_unpackhi_epi64(a, b);
}
/* The same 4 bytes in every lane. */
INL vi vi_bytes4(const void *p)
{
    return _mm512_set1_epi32(*(const int32_t *)p);
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

#include "roof.h"

#include "base/clock.h"

#include <immintrin.h>
#include <stdint.h>

/* 32 products and 32 additions take three instructions here: multiply and add pairs to 16
 * bits, pairs of those to 32, and the sum. */
double roof_int8_avx2(void)
{
    enum { N = 200000, SUMS = 8 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m256i s[SUMS], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2),
                         one = _mm256_set1_epi16(1);
        uint64_t start;
        double rate;
        int32_t out[8];

        for (int i = 0; i < SUMS; i++)
            s[i] = _mm256_setzero_si256();
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 8") for (int i = 0; i < SUMS; i++) s[i] = _mm256_add_epi32(
                s[i],
                _mm256_madd_epi16(
                    _mm256_maddubs_epi16(a, _mm256_xor_si256(b, _mm256_srli_epi32(s[i], 31))),
                    one));
        }
        rate = (double)N * SUMS * 64 / (double)(clock_ns() - start);
        _mm256_storeu_si256((__m256i *)(void *)out, s[0]);
        rate += (double)(out[0] & 1) * 1e-12;
        best = rate > best ? rate : best;
    }
    return best;
}

/* 8 products and 8 additions in an instruction; 10 sums hide its latency. */
double roof_fma_avx2(void)
{
    enum { N = 200000, SUMS = 10 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m256 s[SUMS], a = _mm256_set1_ps(0.5f);
        uint64_t start;
        double rate;
        float out[8];

        for (int i = 0; i < SUMS; i++)
            s[i] = _mm256_set1_ps((float)i);
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 10") for (int i = 0; i < SUMS; i++) s[i] =
                _mm256_fmadd_ps(s[i], a, a);
        }
        rate = (double)N * SUMS * 16 / (double)(clock_ns() - start);
        for (int i = 1; i < SUMS; i++)
            s[0] = _mm256_add_ps(s[0], s[i]);
        _mm256_storeu_ps(out, s[0]);
        rate += (double)out[0] * 1e-12; /* the sums are used, so they are computed */
        best = rate > best ? rate : best;
    }
    return best;
}

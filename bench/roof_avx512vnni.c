#include "roof.h"

#include "base/clock.h"

#include <immintrin.h>
#include <stdint.h>

/* 64 products and 64 additions in an instruction; 16 sums hide its latency. */
double roof_int8_avx512vnni(void)
{
    enum { N = 200000, SUMS = 16 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m512i s[SUMS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
        uint64_t start;
        double rate;
        int32_t out = 0;

        for (int i = 0; i < SUMS; i++)
            s[i] = _mm512_setzero_si512();
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) s[i] =
                _mm512_dpbusd_epi32(s[i], a, b);
        }
        rate = (double)N * SUMS * 128 / (double)(clock_ns() - start);
        for (int i = 0; i < SUMS; i++)
            out += _mm512_reduce_add_epi32(s[i]);
        rate += (double)(out & 1) * 1e-12; /* the sums are used, so they are computed */
        best = rate > best ? rate : best;
    }
    return best;
}

/* 16 products and 16 additions in an instruction. */
double roof_fma_avx512vnni(void)
{
    enum { N = 200000, SUMS = 16 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m512 s[SUMS], a = _mm512_set1_ps(0.5f);
        uint64_t start;
        double rate;
        float out = 0;

        for (int i = 0; i < SUMS; i++)
            s[i] = _mm512_set1_ps((float)i);
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) s[i] =
                _mm512_fmadd_ps(s[i], a, a);
        }
        rate = (double)N * SUMS * 32 / (double)(clock_ns() - start);
        for (int i = 0; i < SUMS; i++)
            out += _mm512_reduce_add_ps(s[i]);
        rate += (double)out * 1e-12;
        best = rate > best ? rate : best;
    }
    return best;
}

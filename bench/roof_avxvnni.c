#include "kern/x86/vec_avxvnni.h"
#include "roof_vec.h"

/* 32 products and 32 additions in an instruction. */
double roof_int8_avxvnni(void)
{
    enum { N = 200000, SUMS8 = 12 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m256i s[SUMS8], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2);
        uint64_t start;
        double rate;
        int32_t out = 0;

        for (int i = 0; i < SUMS8; i++)
            s[i] = _mm256_setzero_si256();
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 12") for (int i = 0; i < SUMS8; i++) s[i] =
                _mm256_dpbusd_avx_epi32(s[i], a, b);
        }
        rate = (double)N * SUMS8 * 64 / (double)(clock_ns() - start);
        for (int i = 0; i < SUMS8; i++)
            out += _mm256_extract_epi32(s[i], 0);
        rate += (double)(out & 1) * 1e-12; /* the sums are used, so they are computed */
        best = rate > best ? rate : best;
    }
    return best;
}

ROOF_DEFINE(avxvnni)

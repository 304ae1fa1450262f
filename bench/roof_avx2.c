#include "kern/x86/vec_avx2.h"
#include "roof_vec.h"

/* 32 products and 32 additions take three instructions here: multiply and add pairs to 16
 * bits, pairs of those to 32, and the sum. */
double roof_int8_avx2(void)
{
    enum { N = 200000, SUMS8 = 8 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        __m256i s[SUMS8], a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(2),
                          one = _mm256_set1_epi16(1);
        uint64_t start;
        double rate;
        int32_t out = 0;

        for (int i = 0; i < SUMS8; i++)
            s[i] = _mm256_setzero_si256();
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 8") for (int i = 0; i < SUMS8; i++)
            {
                __asm__ volatile("" : "+x"(b)); /* as if b were new: nothing is hoisted */
                s[i] =
                    _mm256_add_epi32(s[i], _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), one));
            }
        }
        rate = (double)N * SUMS8 * 64 / (double)(clock_ns() - start);
        for (int i = 0; i < SUMS8; i++)
            out += _mm256_cvtsi256_si32(s[i]);
        rate += (double)(out & 1) * 1e-12;
        best = rate > best ? rate : best;
    }
    return best;
}

ROOF_DEFINE(avx2)

/* roof_vec.h - the roofs that are the same loop at every width, a template over
 * vec_<tier>.h. */
#ifndef HEARTH_BENCH_ROOF_VEC_H
#define HEARTH_BENCH_ROOF_VEC_H

#include "roof.h"

#include "base/clock.h"

#include <stdint.h>

/* Sums that hide the latency of an instruction: two of 4 or 5 cycles at a time. */
enum { SUMS = 12 };

static double fma_rate(void)
{
    enum { N = 100000 };
    double best = 0;

    for (int try = 0; try < 5; try++) {
        vf s[SUMS], a = vf_set(0.5f), b = vf_set(1.0f);
        uint64_t start;
        double rate;

        for (int i = 0; i < SUMS; i++)
            s[i] = vf_set((float)i);
        start = clock_ns();
        for (int k = 0; k < N; k++) {
            _Pragma("GCC unroll 16") for (int i = 0; i < SUMS; i++) s[i] = vf_fma(s[i], a, b);
        }
        rate = (double)N * SUMS * VL * 2 / (double)(clock_ns() - start);
        for (int i = 1; i < SUMS; i++)
            s[0] = vf_add(s[0], s[i]);
        rate += vf_sum(s[0]) > 0 ? 0 : 1e-12; /* the sums are used, so they are computed */
        best = rate > best ? rate : best;
    }
    return best;
}

static double cache_rate(const float *p, size_t n_byte)
{
    enum { TIMES = 40 };
    size_t n = n_byte / sizeof(*p) / (8 * VL) * (8 * VL);
    double best = 0;

    for (int try = 0; try < 9; try++) {
        vf s[8];
        uint64_t start;
        double rate;

        for (int i = 0; i < 8; i++)
            s[i] = vf_zero();
        start = clock_ns();
        for (int time = 0; time < TIMES; time++) {
            for (size_t at = 0; at < n; at += 8 * VL) {
                _Pragma("GCC unroll 8") for (int i = 0; i < 8; i++) s[i] =
                    vf_max(s[i], vf_load(p + at + i * VL));
            }
        }
        rate = (double)n * sizeof(*p) * TIMES / (double)(clock_ns() - start);
        for (int i = 1; i < 8; i++)
            s[0] = vf_add(s[0], s[i]);
        rate += vf_sum(s[0]) > 0 ? 0 : 1e-12;
        best = rate > best ? rate : best;
    }
    return best;
}

#define ROOF_DEFINE(tier)                                                                      \
    double roof_fma_##tier(void)                                                               \
    {                                                                                          \
        return fma_rate();                                                                     \
    }                                                                                          \
    double roof_cache_##tier(const void *p, size_t n)                                          \
    {                                                                                          \
        return cache_rate(p, n);                                                               \
    }

#endif

#include "roof.h"

#include "base/clock.h"

#include <stdint.h>

double roof_read(const void *p, size_t n)
{
    const volatile uint64_t *at = p;
    double best = 0;

    for (int try = 0; try < 5; try++) {
        uint64_t start = clock_ns(), sum = 0;
        double rate;

        /* One word of each line: the line comes whole. */
        for (size_t i = 0; i + 32 <= n / 8; i += 32)
            sum += at[i] + at[i + 8] + at[i + 16] + at[i + 24];
        rate = (double)n / (double)(clock_ns() - start) + (double)(sum & 1) * 1e-12;
        best = rate > best ? rate : best;
    }
    return best;
}

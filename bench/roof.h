/* roof.h - what this machine can do at best: the rates that kernels are measured against.
 *
 * Each runs a loop of its own for some milliseconds on one thread and returns the best of
 * several tries, so that a moment's disturbance does not lower the roof.
 */
#ifndef HEARTH_BENCH_ROOF_H
#define HEARTH_BENCH_ROOF_H

#include <stddef.h>

/* Bytes per nanosecond that one thread reads from n bytes at p (larger than the caches). */
double roof_read(const void *p, size_t n);

/* The roofs of a tier's instructions; NULL: this build has no loop for it. */
struct roof_tier {
    double (*int8)(void); /* 8-bit operations per nanosecond, from registers; a multiplication
                           * or an addition each */
    double (*fma)(void);  /* operations on floats, the same way */
    double (*cache)(const void *p, size_t n); /* bytes per nanosecond, n bytes in a cache */
};

const struct roof_tier *roof_of(int tier); /* enum kern_tier */

/* What a file roof_<tier>.c has. */
#define ROOF_DECLARE(tier)                                                                     \
    double roof_int8_##tier(void);                                                             \
    double roof_fma_##tier(void);                                                              \
    double roof_cache_##tier(const void *p, size_t n)

ROOF_DECLARE(avx2);
ROOF_DECLARE(avxvnni);
ROOF_DECLARE(avx512vnni);
ROOF_DECLARE(dotprod);
ROOF_DECLARE(i8mm);

#endif

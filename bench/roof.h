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

/* 8-bit operations (a multiplication or an addition each) per nanosecond of one thread, from
 * registers. 0: this build has no loop for the tier. */
double roof_int8_avx2(void);
double roof_int8_avxvnni(void);
double roof_int8_avx512vnni(void);
double roof_int8_dotprod(void);
double roof_int8_i8mm(void);

#endif

/* fit.h - how the writers choose scales: least squares over a few starting points.
 *
 * A block format stores x as s * q (symmetric) or s * q - m (with a minimum), q a small
 * integer. Which s and m are best depends on how the x round, and that depends on s and m:
 * the fits here go round that circle from several starts and keep the best. All errors count
 * alike, since nothing is known of the inputs that a weight will meet. The K formats also
 * store s and m themselves as small integers times a half-precision scale of 256 numbers;
 * fit_super_* settles both levels together. Deterministic; every scale is judged as stored.
 *
 * Threads  any
 */
#ifndef HEARTH_QUANT_FIT_H
#define HEARTH_QUANT_FIT_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define FIT_SUPER 256 /* numbers in a block of a K format */
#define FIT_SUBS  16  /* at most this many sub-blocks in it */

/* Copies n numbers with what no format can hold made harmless: NaN, infinities and what is
 * smaller than 1e-12 become 0, sizes are cut to 1e9, so that no square overflows and no scale
 * has an infinite inverse. */
void fit_load(float *out, const float *in, int n);

/* A scale as a block stores it: the nearest half, its size at most the largest finite one. */
uint16_t fit_half(float d);

/* The number of largest size, with its sign. */
float fit_peak(const float *x, int n);
void fit_range(const float *x, int n, float *lo, float *hi);

/* x / scale to the nearest integer within [lo, hi]; inv is 1 / scale. */
static inline int fit_round(float x, float inv, int lo, int hi)
{
    float v = x * inv;

    v = v < (float)lo ? (float)lo : v;
    v = v > (float)hi ? (float)hi : v;
    return (int)lrintf(v);
}

/* 1 / d, and 0 for a scale of 0: then everything rounds to 0. */
static inline float fit_inv(float d)
{
    return d != 0 ? 1.0f / d : 0.0f;
}

/* x = d * scale[sub] * q. */
struct fit_sym {
    int len;                /* numbers in a sub-block; divides 256 */
    int q_lo, q_hi;         /* range of q */
    int s_lo, s_hi;         /* range of scale */
    uint16_t d;             /* out, half precision */
    int8_t scale[FIT_SUBS]; /* out */
    int8_t q[FIT_SUPER];    /* out */
};

/* x = d * scale[sub] * q - dmin * min[sub], q from 0. */
struct fit_min {
    int len;
    int q_hi;
    int s_hi;                /* scale and min are 0..s_hi */
    uint16_t d, dmin;        /* out, half precision */
    uint8_t scale[FIT_SUBS]; /* out */
    uint8_t min[FIT_SUBS];   /* out */
    uint8_t q[FIT_SUPER];    /* out */
};

/* Fill the out fields for 256 numbers from fit_load(). */
void fit_super_sym(struct fit_sym *f, const float *x);
void fit_super_min(struct fit_min *f, const float *x);

#endif

/* fit_level.h - scales for formats whose numbers are a few fixed levels times a scale.
 *
 * Levels ascend; their largest is positive. As in fit.h, least squares from several starts,
 * all errors alike, and numbers that went through fit_load().
 *
 * Threads  any
 */
#ifndef HEARTH_QUANT_FIT_LEVEL_H
#define HEARTH_QUANT_FIT_LEVEL_H

#include "quant/fit.h"

struct fit_levels {
    const int8_t *v;
    int n;
};

/* The level nearest to x, as its index. */
int fit_level(const struct fit_levels *l, float x);

/* The scale that suits n numbers best; may be negative where levels are not symmetric. */
float fit_level_scale(const struct fit_levels *l, const float *x, int n);

/* The squared error of n numbers with scale s. */
float fit_level_error(const struct fit_levels *l, const float *x, int n, float s);

#endif

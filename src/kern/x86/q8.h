/* q8.h - a block of 32 activations in 8 bits, a template over vec_<tier>.h. kern/ref.c says
 * what it computes (ref_block). */
#ifndef HEARTH_KERN_X86_Q8_H
#define HEARTH_KERN_X86_Q8_H

#include "kern/kern.h"

#include <string.h>

/* Built with a sanitizer, loops of one turn are gone before they are unrolled, of which gcc
 * warns; nobody waits for those builds to be fast. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

enum { NV = 32 / VL }; /* vectors in a block of 32 */

/* How the largest magnitude of a block may be rounded: the best of these is taken. */
enum { TOPS = 3, TOP_FIRST = 127 };

/* The block rounded so that its largest magnitude becomes `top`, and the vectors whose sums
 * choose the scale and judge the fit (ref.c, ref_round). */
INL void q8_round(const vf v[NV], float inv, vf r[NV], vf *xq, vf *qq)
{
    *xq = *qq = vf_zero();
    UNROLL for (int i = 0; i < NV; i++)
    {
        vf f = vf_round(vf_mul(v[i], vf_set(inv)));

        r[i] = vf_max(vf_min(f, vf_set(127.0f)), vf_set(-127.0f));
        *xq = vf_fma(v[i], r[i], *xq);
        *qq = vf_fma(r[i], r[i], *qq);
    }
}

/* One block: rounded values to q, their two half sums, and the scale. */
INL float q8_block(const float *x, int8_t q[32], int32_t sum[2])
{
    vf v[NV], r[TOPS][NV], sxq[TOPS], sqq[TOPS], max = vf_zero();
    float xq[4], qq[4], top, inv;
    int best;

    UNROLL for (int i = 0; i < NV; i++)
    {
        v[i] = vf_load(x + i * VL);
        max = vf_max(max, vf_abs(v[i]));
    }
    top = vf_hmax(max);
    inv = top >= KERN_Q8_LEAST ? 1.0f / top : 0;
    UNROLL for (int t = 0; t < TOPS; t++)
        q8_round(v, (float)(TOP_FIRST - t) * inv, r[t], &sxq[t], &sqq[t]);
    vf_sum4(sxq[0], sxq[1], sxq[2], vf_zero(), xq);
    vf_sum4(sqq[0], sqq[1], sqq[2], vf_zero(), qq);
    /* The largest xq^2 / qq, without dividing; by index, since a branch would be a guess. */
    best = xq[0] * xq[0] * qq[1] < xq[1] * xq[1] * qq[0];
    best = xq[best] * xq[best] * qq[2] < xq[2] * xq[2] * qq[best] ? 2 : best;
    UNROLL for (int i = 0; i < NV; i++) vi_store_i8(q + i * VL, vf_to_i(r[best][i]));
    vec_sums16(q, sum);
    return qq[best] > 0 ? xq[best] / qq[best] : 0;
}

/* Where a column's blocks go: its places in the arrays of its panel, which is w wide. */
struct q8_column {
    size_t w;
    int8_t *q;
    float *d, *ds32, *ds16;
    int32_t *ns32, *ns16;
};

INL struct q8_column q8_column(const struct kern_acts *a, size_t c)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, at32 = kern_panel_at(a, p, a->k / 32) + i,
           at16 = kern_panel_at(a, p, a->k / 16) + i;

    return (struct q8_column){kern_panel_width(a, p),
                              a->q + kern_panel_at(a, p, a->k) + i * 4,
                              a->d + at32,
                              a->ds32 + at32,
                              a->ds16 + at16,
                              a->ns32 + at32,
                              a->ns16 + at16};
}

/* Block b of the column becomes x[32]. */
INL void q8_put(const struct q8_column *to, size_t b, const float *x)
{
    size_t w = to->w, at16 = 2 * b * w;
    int8_t v[32];
    int32_t sum[2];
    float d = q8_block(x, v, sum);

    UNROLL for (size_t t = 0; t < 8; t++) memcpy(to->q + (8 * b + t) * w * 4, v + 4 * t, 4);
    to->d[b * w] = d;
    to->ns16[at16] = -sum[0];
    to->ns16[at16 + w] = -sum[1];
    to->ns32[b * w] = -(sum[0] + sum[1]);
    to->ds16[at16] = d * (float)sum[0];
    to->ds16[at16 + w] = d * (float)sum[1];
    to->ds32[b * w] = d * (float)(sum[0] + sum[1]);
}

#endif

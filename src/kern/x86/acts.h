/* acts.h - row operations on activations, a template over vec_<tier>.h: the forms that the
 * product reads, norms, and rows of the key/value cache. kern/ref.c says what they compute. */
#ifndef HEARTH_KERN_X86_ACTS_H
#define HEARTH_KERN_X86_ACTS_H

#include "kern/kern.h"

#include <math.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 16")

enum { NV = 32 / VL }; /* vectors in a block of 32 */

/* How the largest magnitude of a block may be rounded: the best of these is taken. */
enum { TOPS = 3, TOP_FIRST = 127 };

/* The block rounded so that its largest magnitude becomes `top`, and the vectors whose sums
 * choose the scale and judge the fit (ref.c, ref_round). */
INL void block_round(const vf v[NV], float inv, vf r[NV], vf *xq, vf *qq)
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
INL float block_q8(const float *x, int8_t q[32], int32_t sum[2])
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
        block_round(v, (float)(TOP_FIRST - t) * inv, r[t], &sxq[t], &sqq[t]);
    vf_sum4(sxq[0], sxq[1], sxq[2], vf_zero(), xq);
    vf_sum4(sqq[0], sqq[1], sqq[2], vf_zero(), qq);
    /* The largest xq^2 / qq, without dividing; by index, since a branch would be a guess. */
    best = xq[0] * xq[0] * qq[1] < xq[1] * xq[1] * qq[0];
    best = xq[best] * xq[best] * qq[2] < xq[2] * xq[2] * qq[best] ? 2 : best;
    UNROLL for (int i = 0; i < NV; i++) vi_store_i8(q + i * VL, vf_to_i(r[best][i]));
    vec_sums16(q, sum);
    return qq[best] > 0 ? xq[best] / qq[best] : 0;
}

static void column_q8(struct kern_acts *a, size_t c)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, w = kern_panel_width(a, p);
    int8_t *q = a->q + kern_panel_at(a, p, a->k) + i * 4;

    for (size_t b = 0; b < a->k / 32; b++) {
        size_t at32 = kern_panel_at(a, p, a->k / 32) + b * w + i,
               at16 = kern_panel_at(a, p, a->k / 16) + 2 * b * w + i;
        int8_t v[32];
        int32_t sum[2];
        float d = block_q8(a->x + c * a->k + 32 * b, v, sum);

        for (size_t t = 0; t < 8; t++)
            memcpy(q + (8 * b + t) * w * 4, v + 4 * t, 4);
        a->d[at32] = d;
        a->ns16[at16] = -sum[0];
        a->ns16[at16 + w] = -sum[1];
        a->ns32[at32] = -(sum[0] + sum[1]);
        a->ds16[at16] = d * (float)sum[0];
        a->ds16[at16 + w] = d * (float)sum[1];
        a->ds32[at32] = d * (float)(sum[0] + sum[1]);
    }
}

static void acts_fill(struct kern_acts *a, int forms, size_t c0, size_t c1)
{
    for (size_t c = c0; c < c1; c++) {
        size_t p = c / a->n_panel, w = kern_panel_width(a, p);

        if (forms & KERN_FORM_Q8)
            column_q8(a, c);
        if (forms & KERN_FORM_F32) {
            float *f = a->f + kern_panel_at(a, p, a->k) + c % a->n_panel;

            for (size_t t = 0; t < a->k; t++)
                f[t * w] = a->x[c * a->k + t];
        }
    }
}

static void acts_rms_norm(const float *x, const float *w, float *y, size_t n, float eps)
{
    vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()}, f;
    size_t i = 0;
    float sum;

    for (; i + 4 * VL <= n; i += 4 * VL) {
        for (int j = 0; j < 4; j++) {
            vf v = vf_load(x + i + (size_t)j * VL);

            s[j] = vf_fma(v, v, s[j]);
        }
    }
    sum = vf_sum(vf_add(vf_add(s[0], s[1]), vf_add(s[2], s[3])));
    for (; i < n; i++)
        sum += x[i] * x[i];
    sum = 1.0f / sqrtf(sum / (float)n + eps);
    f = vf_set(sum);
    for (i = 0; i + VL <= n; i += VL) {
        vf v = vf_mul(vf_load(x + i), f);

        vf_store(y + i, w ? vf_mul(v, vf_load(w + i)) : v);
    }
    for (; i < n; i++)
        y[i] = w ? x[i] * sum * w[i] : x[i] * sum;
}

static void acts_kv_put(int kv, const float *k_row, const float *v_row, int d_k, int d_v,
                        int slot, void *keys, void *values)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15, s = (size_t)slot;
    float last[VL] = {0};
    uint16_t h[VL];

    for (int d = 0; d < d_k; d += VL) {
        int n = d_k - d < VL ? d_k - d : VL;

        memcpy(last, k_row + d, (size_t)n * sizeof(*last));
        vf_store_f16(h, vf_load(last));
        for (int i = 0; i < n; i++) {
            size_t at = (size_t)(d + i) * KERN_PAGE + s;

            if (kv == KERN_KV_F16)
                ((uint16_t *)keys)[at] = h[i];
            else
                ((float *)keys)[at] = last[i];
        }
    }
    for (size_t d = 0; d < wide; d += VL) {
        size_t n = (size_t)d_v > d ? ((size_t)d_v - d < VL ? (size_t)d_v - d : VL) : 0;

        memset(last, 0, sizeof(last));
        memcpy(last, v_row + d, n * sizeof(*last));
        if (kv == KERN_KV_F16)
            vf_store_f16((uint16_t *)values + s * wide + d, vf_load(last));
        else
            vf_store((float *)values + s * wide + d, vf_load(last));
    }
}

static void acts_add(struct kern *k)
{
    k->acts = acts_fill;
    k->rms_norm = acts_rms_norm;
    k->kv_put = acts_kv_put;
}

#endif

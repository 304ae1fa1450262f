/* acts.h - row operations on activations, a template over vec_<tier>.h: the forms that the
 * product reads, norms, and rows of the key/value cache. kern/ref.c says what they compute. */
#ifndef HEARTH_KERN_X86_ACTS_H
#define HEARTH_KERN_X86_ACTS_H

#include "kern/x86/q8.h"

#include <math.h>

#define UNROLL _Pragma("GCC unroll 16")

static void column_q8(struct kern_acts *a, size_t c)
{
    struct q8_column to = q8_column(a, c);

    for (size_t b = 0; b < a->k / 32; b++)
        q8_put(&to, b, a->x + c * a->k + 32 * b);
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

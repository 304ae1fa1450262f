/* acts.h - row operations on activations, a template over vec_<tier>.h: the forms that the
 * product reads, norms, functions of each number, and rows of the key/value cache. kern/ref.c
 * says what they compute. */
#ifndef HEARTH_KERN_X86_ACTS_H
#define HEARTH_KERN_X86_ACTS_H

#include "kern/x86/q8.h"
#include "kern/x86/vexp.h"

#include <float.h>
#include <math.h>

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

static void acts_layer_norm(const float *x, const float *w, const float *b, float *y, size_t n,
                            float eps)
{
    vf sum = vf_zero(), sq = vf_zero(), m, f;
    size_t whole = n / VL * VL;
    float mean, var;

    for (size_t i = 0; i < whole; i += VL)
        sum = vf_add(sum, vf_load(x + i));
    mean = vf_sum(sum);
    for (size_t i = whole; i < n; i++)
        mean += x[i];
    mean /= (float)n;
    m = vf_set(mean);
    for (size_t i = 0; i < whole; i += VL) {
        vf v = vf_sub(vf_load(x + i), m);

        sq = vf_fma(v, v, sq);
    }
    var = vf_sum(sq);
    for (size_t i = whole; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean);
    var = 1.0f / sqrtf(var / (float)n + eps);
    f = vf_set(var);
    for (size_t i = 0; i < whole; i += VL) {
        vf v = vf_mul(vf_sub(vf_load(x + i), m), f);

        v = w ? vf_mul(v, vf_load(w + i)) : v;
        vf_store(y + i, b ? vf_add(v, vf_load(b + i)) : v);
    }
    for (size_t i = whole; i < n; i++)
        y[i] = (x[i] - mean) * var * (w ? w[i] : 1) + (b ? b[i] : 0);
}

static void acts_l2_norm(const float *x, float *y, size_t n, float eps)
{
    vf s = vf_zero(), f;
    size_t whole = n / VL * VL;
    float sum;

    for (size_t i = 0; i < whole; i += VL) {
        vf v = vf_load(x + i);

        s = vf_fma(v, v, s);
    }
    sum = vf_sum(s);
    for (size_t i = whole; i < n; i++)
        sum += x[i] * x[i];
    sum = sqrtf(sum);
    sum = 1.0f / (sum < eps ? eps : sum);
    f = vf_set(sum);
    for (size_t i = 0; i < whole; i += VL)
        vf_store(y + i, vf_mul(vf_load(x + i), f));
    for (size_t i = whole; i < n; i++)
        y[i] = x[i] * sum;
}

/* -- functions of one number --------------------------------------------------------------- */

/* What the function of two numbers makes of the second. */
INL vf act_up(const int act, vf u, vf limit)
{
    if (act < KERN_ACT_OAI)
        return u;
    u = vf_neg(vf_below(vf_neg(vf_below(u, limit)), limit));
    return act == KERN_ACT_OAI ? vf_add(u, vf_set(1.0f)) : u;
}

INL vf act_vector(const int act, vf limit, const float *gate, const float *up)
{
    vf v = vf_act(act, vf_load(gate), limit);

    return up ? vf_mul(v, act_up(act, vf_load(up), limit)) : v;
}

/* What does not fill a vector is computed as one, so that a number's place changes no bit. */
INL void act_row(const int act, float limit, const float *gate, const float *up, float *y,
                 size_t n)
{
    vf l = vf_set(limit);
    float g[VL] = {0}, u[VL] = {0}, out[VL];
    size_t i = 0;

    for (; i + VL <= n; i += VL)
        vf_store(y + i, act_vector(act, l, gate + i, up ? up + i : NULL));
    if (i == n)
        return;
    memcpy(g, gate + i, (n - i) * sizeof(*g));
    if (up)
        memcpy(u, up + i, (n - i) * sizeof(*u));
    vf_store(out, act_vector(act, l, g, up ? u : NULL));
    memcpy(y + i, out, (n - i) * sizeof(*y));
}

typedef void act_fn(float limit, const float *gate, const float *up, float *y, size_t n);

#define ACT_FN(act)                                                                            \
    static void act_##act(float limit, const float *gate, const float *up, float *y, size_t n) \
    {                                                                                          \
        act_row(KERN_ACT_##act, limit, gate, up, y, n);                                        \
    }
#define ACT_ROW(act) [KERN_ACT_##act] = act_##act,
/* clang-format off */
#define ACTS_ALL(X)                                                       \
    X(SILU) X(GELU) X(GELU_ERF) X(GELU_QUICK) X(RELU) X(RELU2) X(SIGMOID) \
    X(SOFTPLUS) X(TANH) X(OAI) X(CLAMP_IN) X(CLAMP_OUT)
/* clang-format on */

ACTS_ALL(ACT_FN)

static act_fn *const act_fns[KERN_ACT_N] = {ACTS_ALL(ACT_ROW)};

static void acts_act(int act, float limit, const float *gate, const float *up, float *y,
                     size_t n)
{
    act_fns[act](limit, gate, up, y, n);
}

/* -- rotations ----------------------------------------------------------------------------- */

/* Pairs from `i` on that do not fill vectors. */
static void rope_rest(float *x, const float *cs, size_t half, size_t i, int kind)
{
    for (; i < half; i++) {
        size_t ia = kind == KERN_ROPE_NEOX ? i : 2 * i,
               ib = kind == KERN_ROPE_NEOX ? i + half : 2 * i + 1;
        float a = x[ia], b = x[ib], c = cs[2 * i], s = cs[2 * i + 1];

        x[ia] = a * c - b * s;
        x[ib] = a * s + b * c;
    }
}

static void acts_rope(float *x, const float *cs, size_t n_rot, int kind)
{
    size_t half = n_rot / 2, i = 0;

    if (kind == KERN_ROPE_NORM) {
        for (; i + VL / 2 <= half; i += VL / 2) {
            vf v = vf_load(x + 2 * i), t = vf_load(cs + 2 * i);

            vf_store(x + 2 * i,
                     vf_fmaddsub(v, vf_dup_even(t), vf_mul(vf_swap_pairs(v), vf_dup_odd(t))));
        }
    } else {
        for (; i + VL <= half; i += VL) {
            vf a = vf_load(x + i), b = vf_load(x + half + i), t0 = vf_load(cs + 2 * i),
               t1 = vf_load(cs + 2 * i + VL), c = vf_evens(t0, t1), s = vf_odds(t0, t1);

            vf_store(x + i, vf_fnma(b, s, vf_mul(a, c)));
            vf_store(x + half + i, vf_fma(b, c, vf_mul(a, s)));
        }
    }
    rope_rest(x, cs, half, i, kind);
}

/* -- rows of the cache --------------------------------------------------------------------- */

/* A block as quant/'s writers of Q8_0 and Q4_0 round it, to the bit: d and 32 integers. */
INL void kv_block(const int kv, const float *x, uint16_t d[VL], int8_t q[32])
{
    vf v[NV], top = vf_zero(), inv;
    float max, f, peak;

    /* fit_load(): what no format can hold is made harmless. */
    UNROLL for (int i = 0; i < NV; i++)
    {
        vf a;

        v[i] = vf_load(x + i * VL);
        v[i] = vf_keep_ge(v[i], vf_set(FLT_MAX), vf_abs(v[i]));
        v[i] = vf_max(vf_min(v[i], vf_set(1e9f)), vf_set(-1e9f));
        a = vf_abs(v[i]);
        v[i] = vf_keep_ge(v[i], a, vf_set(1e-12f));
        top = vf_max(top, vf_abs(v[i]));
    }
    peak = max = vf_hmax(top);
    if (kv == KERN_KV_Q4_0) { /* the first of the largest, with its sign */
        float y[32];
        int i = 0;

        UNROLL for (int j = 0; j < NV; j++) vf_store(y + j * VL, v[j]);
        while (fabsf(y[i]) < max)
            i++;
        peak = y[i];
    }
    f = kv == KERN_KV_Q8_0 ? max / 127.0f : peak / -8.0f;
    f = f > 65504.0f ? 65504.0f : f < -65504.0f ? -65504.0f : f;
    vf_store_f16(d, vf_set(f));
    f = vf_first(vf_load_f16(d)); /* as it is read */
    inv = vf_set(f != 0 ? 1.0f / f : 0.0f);
    UNROLL for (int i = 0; i < NV; i++)
    {
        vf lo = vf_set(kv == KERN_KV_Q8_0 ? -127.0f : -8.0f),
           hi = vf_set(kv == KERN_KV_Q8_0 ? 127.0f : 7.0f);

        vi_store_i8(q + i * VL, vf_to_i(vf_min(vf_max(vf_mul(v[i], inv), lo), hi)));
    }
}

/* The bytes of a block, in the file's order; returns how many. */
INL int block_bytes(const int kv, int8_t q[32])
{
    if (kv == KERN_KV_Q8_0)
        return 32;
    for (int i = 0; i < 16; i++)
        q[i] = (int8_t)((q[i] + 8) | (q[i + 16] + 8) << 4);
    return 16;
}

INL void key_blocks(const int kv, const float *x, int d_k, int slot, void *page)
{
    unsigned char *keys = page;

    for (int b = 0; b < d_k / 32; b++) {
        uint16_t d[VL];
        int8_t q[32];
        int n;

        kv_block(kv, x + 32 * b, d, q);
        n = block_bytes(kv, q);
        memcpy(keys + 2 * slot, d, 2);
        for (int i = 0; i < n; i++)
            keys[(2 + i) * KERN_PAGE + slot] = (unsigned char)q[i];
        keys += (2 + n) * KERN_PAGE;
    }
}

INL void value_blocks(const int kv, const float *x, int d_v, int slot, void *page)
{
    unsigned char *values = page;
    size_t n_block = (size_t)d_v / 32;

    for (size_t b = 0; b < n_block; b++) {
        size_t at = (size_t)slot * n_block + b, n;
        uint16_t d[VL];
        int8_t q[32];

        kv_block(kv, x + 32 * b, d, q);
        n = (size_t)block_bytes(kv, q);
        memcpy(values + 2 * at, d, 2);
        memcpy(values + 2 * n_block * KERN_PAGE + at * n, q, n);
    }
}

INL void key_floats(const int kv, const float *x, int d_k, int slot, void *keys)
{
    float last[VL] = {0};
    uint16_t h[VL];

    for (int d = 0; d < d_k; d += VL) {
        int n = d_k - d < VL ? d_k - d : VL;

        memcpy(last, x + d, (size_t)n * sizeof(*last));
        vf_store_f16(h, vf_load(last));
        for (int i = 0; i < n; i++) {
            size_t at = (size_t)(d + i) * KERN_PAGE + (size_t)slot;

            if (kv == KERN_KV_F16)
                ((uint16_t *)keys)[at] = h[i];
            else
                ((float *)keys)[at] = last[i];
        }
    }
}

INL void value_floats(const int kv, const float *x, int d_v, int slot, void *values)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15, s = (size_t)slot;
    float last[VL];

    for (size_t d = 0; d < wide; d += VL) {
        size_t n = (size_t)d_v > d ? ((size_t)d_v - d < VL ? (size_t)d_v - d : VL) : 0;

        memset(last, 0, sizeof(last));
        memcpy(last, x + d, n * sizeof(*last));
        if (kv == KERN_KV_F16)
            vf_store_f16((uint16_t *)values + s * wide + d, vf_load(last));
        else
            vf_store((float *)values + s * wide + d, vf_load(last));
    }
}

/* A row of the table for each type. */
struct kv_put {
    void (*key)(const float *x, int d, int slot, void *page);
    void (*value)(const float *x, int d, int slot, void *page);
};

#define KV_PUT(kv, how)                                                                        \
    static void key_##kv(const float *x, int d, int slot, void *page)                          \
    {                                                                                          \
        key_##how(KERN_KV_##kv, x, d, slot, page);                                             \
    }                                                                                          \
    static void value_##kv(const float *x, int d, int slot, void *page)                        \
    {                                                                                          \
        value_##how(KERN_KV_##kv, x, d, slot, page);                                           \
    }

KV_PUT(F16, floats)
KV_PUT(F32, floats)
KV_PUT(Q8_0, blocks)
KV_PUT(Q4_0, blocks)

static const struct kv_put kv_puts[KERN_KV_N] = {
    [KERN_KV_F16] = {key_F16, value_F16},
    [KERN_KV_F32] = {key_F32, value_F32},
    [KERN_KV_Q8_0] = {key_Q8_0, value_Q8_0},
    [KERN_KV_Q4_0] = {key_Q4_0, value_Q4_0},
};

static void acts_key_put(int kv, const float *x, int d_k, int slot, void *keys)
{
    kv_puts[kv].key(x, d_k, slot, keys);
}

static void acts_value_put(int kv, const float *x, int d_v, int slot, void *values)
{
    kv_puts[kv].value(x, d_v, slot, values);
}

static void acts_add(struct kern *k)
{
    k->acts = acts_fill;
    k->rms_norm = acts_rms_norm;
    k->layer_norm = acts_layer_norm;
    k->l2_norm = acts_l2_norm;
    k->act = acts_act;
    k->rope = acts_rope;
    k->key_put = acts_key_put;
    k->value_put = acts_value_put;
}

#endif

/* seq.h - operations along a sequence that keep a state, a template over vec_<tier>.h: the
 * convolution, and the recurrences of state space and delta layers. kern/ref.c says what they
 * compute.
 *
 * A lane is a channel (conv), a number of a state's row (ssm), a column of a state (delta).
 * Each number of a state goes through the same operations for each token, in the order of
 * tokens, and rests in memory as a float: so nothing depends on how tokens are cut into calls.
 * As much of a state as the first cache holds meets all tokens of a call before the next part
 * does. What does not fill a vector is computed as one.
 */
#ifndef HEARTH_KERN_X86_SEQ_H
#define HEARTH_KERN_X86_SEQ_H

#include "kern/kern.h"
#include "kern/x86/vexp.h"

#include <math.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 16")

/* n numbers, at most VL; the other lanes are 0. */
INL vf part_load(const float *p, size_t n)
{
    float x[VL] = {0};

    if (n >= VL)
        return vf_load(p);
    memcpy(x, p, n * sizeof(*x));
    return vf_load(x);
}

INL void part_store(float *p, size_t n, vf v)
{
    float x[VL];

    if (n >= VL) {
        vf_store(p, v);
        return;
    }
    vf_store(x, v);
    memcpy(p, x, n * sizeof(*x));
}

/* -- convolution --------------------------------------------------------------------------- */

enum { CONV_VECTORS = 2 };

/* Taps of n channels from c, each as a vector: of four each, four vectors are parted twice. */
INL void conv_taps(const size_t k, const struct kern_conv *j, size_t c, size_t n, vf *w)
{
    const float *from = j->w + c * k;
    float x[VL] = {0};

    if (k == 4 && n == VL) {
        vf a = vf_load(from), b = vf_load(from + VL), p = vf_load(from + 2 * VL),
           q = vf_load(from + 3 * VL), even = vf_evens(a, b), odd = vf_odds(a, b),
           even2 = vf_evens(p, q), odd2 = vf_odds(p, q);

        w[0] = vf_evens(even, even2);
        w[1] = vf_evens(odd, odd2);
        w[2] = vf_odds(even, even2);
        w[3] = vf_odds(odd, odd2);
        return;
    }
    for (size_t i = 0; i < k; i++) {
        for (size_t l = 0; l < n; l++)
            x[l] = from[l * k + i];
        w[i] = vf_load(x);
    }
}

/* nv vectors of channels from c through all tokens; or n channels of one, fewer than VL. Two
 * are a line on machines with short vectors: tokens are often apart by a power of two, and
 * lines of one place in the first cache push each other out. */
INL void conv_channels(const size_t k, const int act, const size_t nv,
                       const struct kern_conv *j, size_t c, size_t n)
{
    vf w[CONV_VECTORS][KERN_CONV_MAX], past[CONV_VECTORS][KERN_CONV_MAX], bias[CONV_VECTORS];

    UNROLL for (size_t v = 0; v < nv; v++)
    {
        conv_taps(k, j, c + v * VL, n, w[v]);
        bias[v] = j->bias ? part_load(j->bias + c + v * VL, n) : vf_zero();
        UNROLL for (size_t i = 0; i < k - 1; i++) past[v][i] =
            part_load(j->state + i * j->n_ch + c + v * VL, n);
    }
    for (size_t t = 0; t < j->n_tok; t++) {
        UNROLL for (size_t v = 0; v < nv; v++)
        {
            vf y = bias[v];

            past[v][k - 1] = part_load(j->x + t * j->ldx + c + v * VL, n);
            UNROLL for (size_t i = 0; i < k; i++) y = vf_fma(w[v][i], past[v][i], y);
            part_store(j->y + t * j->ldy + c + v * VL, n,
                       act < 0 ? y : vf_act(act, y, vf_zero()));
            UNROLL for (size_t i = 0; i < k - 1; i++) past[v][i] = past[v][i + 1];
        }
    }
    UNROLL for (size_t v = 0; v < nv; v++)
    {
        UNROLL for (size_t i = 0; i < k - 1; i++)
            part_store(j->state + i * j->n_ch + c + v * VL, n, past[v][i]);
    }
}

typedef void conv_fn(const struct kern_conv *j, size_t c);

/* As models have it: windows of 3 and of 4, with and without silu. */
static void conv_3(const struct kern_conv *j, size_t c)
{
    conv_channels(3, -1, CONV_VECTORS, j, c, VL);
}
static void conv_4(const struct kern_conv *j, size_t c)
{
    conv_channels(4, -1, CONV_VECTORS, j, c, VL);
}
static void conv_4_silu(const struct kern_conv *j, size_t c)
{
    conv_channels(4, KERN_ACT_SILU, CONV_VECTORS, j, c, VL);
}

/* Others, and channels that do not fill vectors. */
static void conv_part(const struct kern_conv *j, size_t c, size_t n)
{
    conv_channels(j->k, j->act, 1, j, c, n);
}

static void seq_conv(const struct kern_conv *j, size_t c0, size_t c1)
{
    conv_fn *fn = j->k == 4 && j->act == KERN_ACT_SILU ? conv_4_silu
                  : j->k == 4 && j->act < 0            ? conv_4
                  : j->k == 3 && j->act < 0            ? conv_3
                                                       : NULL;
    size_t c = c0;

    for (; fn && c + CONV_VECTORS * VL <= c1; c += CONV_VECTORS * VL)
        fn(j, c);
    for (; c < c1; c += VL)
        conv_part(j, c, c1 - c < VL ? c1 - c : VL);
}

/* -- state space --------------------------------------------------------------------------- */

/* Rows that share what they load; tokens whose b and c stay in the first cache meanwhile. */
enum { SSM_ROWS = 4, SSM_TOKENS = 16 };

/* n numbers of nr rows of the state through one token; what they add to the sums. */
INL void ssm_step(const int nr, float *s, size_t n_s, const float *b, const float *c, size_t n,
                  vf keep, const vf *x, vf *sum)
{
    vf bn = part_load(b, n), cn = part_load(c, n);

    UNROLL for (int r = 0; r < nr; r++)
    {
        vf v = vf_fma(x[r], bn, vf_mul(part_load(s, n), keep));

        part_store(s, n, v);
        sum[r] = vf_fma(v, cn, sum[r]);
        s += n_s;
    }
}

/* Rows p .. p + nr through tokens [t0, t1), whose factors e^(dt a) are in keep. */
INL void ssm_rows(const int nr, const struct kern_ssm *j, size_t p, size_t t0, size_t t1,
                  const float *keep)
{
    for (size_t t = t0; t < t1; t++) {
        const float *x = j->x + t * j->ldx + p, *b = j->b + t * j->ldbc,
                    *c = j->c + t * j->ldbc;
        float *s = j->state + p * j->n_s, dt = j->dt[t * j->lddt], out[SSM_ROWS];
        vf f = vf_set(keep[t - t0]), in[SSM_ROWS], sum[SSM_ROWS];
        size_t n = 0;

        UNROLL for (int r = 0; r < nr; r++)
        {
            in[r] = vf_set(dt * x[r]);
            sum[r] = vf_zero();
        }
        for (; n + VL <= j->n_s; n += VL)
            ssm_step(nr, s + n, j->n_s, b + n, c + n, VL, f, in, sum);
        if (n < j->n_s)
            ssm_step(nr, s + n, j->n_s, b + n, c + n, j->n_s - n, f, in, sum);
        if (nr == SSM_ROWS)
            vf_sum4(sum[0], sum[1], sum[2], sum[3], out);
        else
            out[0] = vf_sum(sum[0]);
        for (int r = 0; r < nr; r++)
            j->y[t * j->ldy + p + (size_t)r] = out[r] + j->d * x[r];
    }
}

static void seq_ssm(const struct kern_ssm *j)
{
    float keep[SSM_TOKENS];
    size_t t1;

    for (size_t t0 = 0; t0 < j->n_tok; t0 = t1) {
        size_t p = 0;

        t1 = t0 + SSM_TOKENS < j->n_tok ? t0 + SSM_TOKENS : j->n_tok;
        for (size_t t = t0; t < t1; t++)
            keep[t - t0] = expf(j->dt[t * j->lddt] * j->a);
        for (; p + SSM_ROWS <= j->n_p; p += SSM_ROWS)
            ssm_rows(SSM_ROWS, j, p, t0, t1, keep);
        for (; p < j->n_p; p++)
            ssm_rows(1, j, p, t0, t1, keep);
    }
}

/* -- the delta rule ------------------------------------------------------------------------ */

enum { DELTA_VECTORS = 4 };

/* nv vectors of columns from c, or n columns of one, through one token. The state is read
 * twice, written once: its numbers times the decay are the same both times. */
INL void delta_token(const int nv, const int per_row, const struct kern_delta *j, size_t c,
                     size_t n, size_t t)
{
    const float *q = j->q + t * j->ldq, *k = j->k + t * j->ldk,
                *decay = j->decay + t * j->lddecay;
    vf e[DELTA_VECTORS], y[DELTA_VECTORS], f = vf_set(decay[0]);
    float *s = j->state + c;

    UNROLL for (int v = 0; v < nv; v++) e[v] = y[v] = vf_zero();
    for (size_t i = 0; i < j->d_k; i++, s += j->d_v) {
        vf ki = vf_set(k[i]);

        if (per_row)
            f = vf_set(decay[i]);
        UNROLL for (int v = 0; v < nv; v++) e[v] =
            vf_fma(vf_mul(part_load(s + v * VL, n), f), ki, e[v]);
    }
    UNROLL for (int v = 0; v < nv; v++) e[v] =
        vf_mul(vf_set(j->beta[t * j->ldbeta]),
               vf_sub(part_load(j->v + t * j->ldv + c + v * VL, n), e[v]));
    s = j->state + c;
    for (size_t i = 0; i < j->d_k; i++, s += j->d_v) {
        vf ki = vf_set(k[i]), qi = vf_set(q[i]);

        if (per_row)
            f = vf_set(decay[i]);
        UNROLL for (int v = 0; v < nv; v++)
        {
            vf x = vf_fma(ki, e[v], vf_mul(part_load(s + v * VL, n), f));

            part_store(s + v * VL, n, x);
            y[v] = vf_fma(x, qi, y[v]);
        }
    }
    UNROLL for (int v = 0; v < nv; v++)
        part_store(j->y + t * j->ldy + c + v * VL, n, vf_mul(y[v], vf_set(j->scale)));
}

INL void delta_columns(const int per_row, const struct kern_delta *j)
{
    const size_t wide = DELTA_VECTORS * VL;
    size_t c = 0;

    for (; c + wide <= j->d_v; c += wide) {
        for (size_t t = 0; t < j->n_tok; t++)
            delta_token(DELTA_VECTORS, per_row, j, c, VL, t);
    }
    for (; c < j->d_v; c += VL) {
        size_t n = j->d_v - c < VL ? j->d_v - c : VL;

        for (size_t t = 0; t < j->n_tok; t++)
            delta_token(1, per_row, j, c, n, t);
    }
}

static void seq_delta(const struct kern_delta *j)
{
    if (j->per_row)
        delta_columns(1, j);
    else
        delta_columns(0, j);
}

static void seq_add(struct kern *k)
{
    k->conv = seq_conv;
    k->ssm = seq_ssm;
    k->delta = seq_delta;
}

#endif

/* attn.h - attention over pages of the key/value cache, a template over vec_<tier>.h.
 *
 * A page of 64 positions at a time: scores of all rows (a lane is a position, so no sum runs
 * across lanes), then the running maximum and sum (online softmax), then the values. The
 * order of a row's operations depends on its own positions only, not on the rows beside it.
 *
 * Source  Milakov and Gimelshein 2018, arXiv:1805.02867; Dao et al. 2022, arXiv:2205.14135
 */
#ifndef HEARTH_KERN_X86_ATTN_H
#define HEARTH_KERN_X86_ATTN_H

#include "kern/kern.h"
#include "kern/x86/vexp.h"

#include <math.h>
#include <string.h>

#define UNROLL _Pragma("GCC unroll 16")

/* Rows and vectors of one register block. */
enum { AR = V_PANEL, AV = 4 };

struct attn_state {
    float *s; /* [rows][KERN_PAGE] scores, then weights */
    float *o; /* [rows][wide] running outputs */
    float *max, *sum;
    size_t wide;
};

INL vf load_kv(const int kv, const unsigned char *p, size_t i)
{
    return kv == KERN_KV_F16 ? vf_load_f16(p + 2 * i)
                             : vf_load((const float *)(const void *)(p + 4 * i));
}

/* s[r][l] = sum_d q[r][d] keys[d][l] for nr rows and AV vectors of positions from l0. */
INL void score_block(const int kv, const int nr, const float *const *q, int d_k,
                     const unsigned char *keys, size_t l0, float *s)
{
    vf acc[AR * AV];

    UNROLL for (int i = 0; i < nr * AV; i++) acc[i] = vf_zero();
    for (int d = 0; d < d_k; d++) {
        vf k[AV];

        UNROLL for (int v = 0; v < AV; v++) k[v] =
            load_kv(kv, keys, (size_t)d * KERN_PAGE + l0 + (size_t)v * VL);
        UNROLL for (int r = 0; r < nr; r++)
        {
            vf x = vf_set(q[r][d]);

            UNROLL for (int v = 0; v < AV; v++) acc[r * AV + v] =
                vf_fma(x, k[v], acc[r * AV + v]);
        }
    }
    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int v = 0; v < AV; v++)
            vf_store(s + (size_t)r * KERN_PAGE + l0 + (size_t)v * VL, acc[r * AV + v]);
    }
}

/* o[r] = o[r] * keep[r] + sum_l w[r][l] values[l], for nr rows and nv vectors from i0. Row r
 * ends at end[r]: a weight of zero would not keep out a later value that is infinite. */
INL void value_block(const int kv, const int nr, const int nv, const float *w,
                     const float *keep, const unsigned char *values, size_t wide, size_t i0,
                     int lo, const int *end, float *o)
{
    vf acc[AR * AV];
    int all = end[0], hi = end[0], l = lo;

    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int v = 0; v < nv; v++) acc[r * AV + v] =
            vf_mul(vf_load(o + (size_t)r * wide + i0 + (size_t)v * VL), vf_set(keep[r]));
    }
    for (int r = 1; r < nr; r++) {
        all = end[r] < all ? end[r] : all;
        hi = end[r] > hi ? end[r] : hi;
    }
    for (; l < all; l++) {
        vf x[AV];

        UNROLL for (int v = 0; v < nv; v++) x[v] =
            load_kv(kv, values, (size_t)l * wide + i0 + (size_t)v * VL);
        UNROLL for (int r = 0; r < nr; r++)
        {
            vf a = vf_set(w[(size_t)r * KERN_PAGE + (size_t)l]);

            UNROLL for (int v = 0; v < nv; v++) acc[r * AV + v] =
                vf_fma(a, x[v], acc[r * AV + v]);
        }
    }
    for (; l < hi; l++) { /* a few positions, which only some of the rows see */
        UNROLL for (int r = 0; r < nr; r++)
        {
            vf a = vf_set(w[(size_t)r * KERN_PAGE + (size_t)l]);

            if (l >= end[r])
                continue;
            UNROLL for (int v = 0; v < nv; v++) acc[r * AV + v] =
                vf_fma(a, load_kv(kv, values, (size_t)l * wide + i0 + (size_t)v * VL),
                       acc[r * AV + v]);
        }
    }
    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int v = 0; v < nv; v++)
            vf_store(o + (size_t)r * wide + i0 + (size_t)v * VL, acc[r * AV + v]);
    }
}

/* Scores of one row to weights, its maximum and sum carried on; returns what its former
 * output is multiplied by. Positions [lo, hi) of the page are seen. */
INL float softmax_row(float *s, float scale, int lo, int hi, float *max, float *sum)
{
    vf top = vf_set(-INFINITY), total = vf_zero(), m;
    float was = *max, now, keep;

    if (lo >= hi) {
        memset(s, 0, KERN_PAGE * sizeof(*s));
        return 1;
    }
    for (int l = 0; l < KERN_PAGE; l += VL) {
        vf x =
            vf_lanes(vf_mul(vf_load(s + l), vf_set(scale)), vf_set(-INFINITY), lo - l, hi - l);

        vf_store(s + l, x);
        top = vf_max(top, x);
    }
    now = vf_hmax(top);
    now = now > was ? now : was;
    m = vf_set(now);
    for (int l = 0; l < KERN_PAGE; l += VL) {
        vf x = vf_exp(vf_sub(vf_load(s + l), m));

        vf_store(s + l, x);
        total = vf_add(total, x);
    }
    keep = expf(was - now);
    *max = now;
    *sum = *sum * keep + vf_sum(total);
    return keep;
}

typedef void attn_rows_fn(const struct kern_attn *a, const struct attn_state *st, int r0,
                          const unsigned char *page, int base, int lo);

/* nr rows from r0 over one page; its positions from lo on are seen. */
INL void attn_rows(const int kv, const int nr, const struct kern_attn *a,
                   const struct attn_state *st, int r0, const unsigned char *page, int base,
                   int lo)
{
    float *s = st->s + (size_t)r0 * KERN_PAGE, keep[AR];
    int end[AR];
    size_t i = 0;

    for (size_t l = 0; l < KERN_PAGE; l += AV * VL)
        score_block(kv, nr, a->q + r0, a->d_k, page + a->off_k, l, s);
    for (int r = 0; r < nr; r++) {
        int n = a->pos[r0 + r] - base + 1;

        end[r] = n > KERN_PAGE ? KERN_PAGE : n;
        keep[r] = softmax_row(s + (size_t)r * KERN_PAGE, a->scale, lo, end[r], &st->max[r0 + r],
                              &st->sum[r0 + r]);
    }
    for (; i + AV * VL <= st->wide; i += AV * VL)
        value_block(kv, nr, AV, s, keep, page + a->off_v, st->wide, i, lo, end,
                    st->o + (size_t)r0 * st->wide);
    for (; i < st->wide; i += VL)
        value_block(kv, nr, 1, s, keep, page + a->off_v, st->wide, i, lo, end,
                    st->o + (size_t)r0 * st->wide);
}

#define ATTN_FN(kv, nr)                                                                        \
    static void attn_##kv##_##nr(const struct kern_attn *a, const struct attn_state *st,       \
                                 int r0, const unsigned char *page, int base, int lo)          \
    {                                                                                          \
        attn_rows(kv, nr, a, st, r0, page, base, lo);                                          \
    }
#define ATTN_FNS(nr) ATTN_FN(0, nr) ATTN_FN(1, nr)

_Static_assert(KERN_KV_F16 == 0 && KERN_KV_F32 == 1, "attn_<kv>_<rows> name the cache types");

/* attn_<tier>.c instantiates the row counts that fit its registers. */
static attn_rows_fn *const attn_fns[2][AR + 1];

static void attn_run(const struct kern_attn *a, void *scratch)
{
    struct attn_state st = {.wide = ((size_t)a->d_v + 15) & ~(size_t)15};
    int last = 0;

    st.s = scratch;
    st.o = st.s + (size_t)a->n_q * KERN_PAGE;
    st.max = st.o + (size_t)a->n_q * st.wide;
    st.sum = st.max + a->n_q;
    memset(st.o, 0, (size_t)a->n_q * st.wide * sizeof(*st.o));
    for (int r = 0; r < a->n_q; r++) {
        st.max[r] = -INFINITY;
        st.sum[r] = 0;
        last = a->pos[r] > last ? a->pos[r] : last;
    }
    for (int p = a->first / KERN_PAGE; p <= last / KERN_PAGE; p++) {
        int base = p * KERN_PAGE;

        for (int r = 0; r < a->n_q; r += AR) {
            int nr = a->n_q - r < AR ? a->n_q - r : AR, lo = a->first - base, hi = 0;

            for (int i = r; i < r + nr; i++)
                hi = a->pos[i] - base + 1 > hi ? a->pos[i] - base + 1 : hi;
            if (hi > 0)
                attn_fns[a->kv][nr](a, &st, r, a->page[p], base, lo < 0 ? 0 : lo);
        }
    }
    for (int r = 0; r < a->n_q; r++) {
        float inv = 1.0f / st.sum[r];

        for (int d = 0; d < a->d_v; d++)
            a->out[r][d] = st.o[(size_t)r * st.wide + (size_t)d] * inv;
    }
}

#endif

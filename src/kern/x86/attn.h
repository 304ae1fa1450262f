/* attn.h - attention over pages of the key/value cache, a template over vec_<tier>.h.
 *
 * A segment at a time: the scores of all rows, page by page (a lane is a position, so no sum
 * runs across lanes), the softmax of each row, then the values, page by page. The order of a
 * row's operations depends on its own positions only, not on the rows beside it.
 *
 * With more rows than a register block holds, the keys of a page are turned into floats once
 * for all of them, and so are the values. What a number of the cache is as a float is exact
 * in every type (a half, or 8 bits by a half), so both ways give the same bits.
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

/* Rows and vectors of one register block, numbers of a quantised block, pages of a segment. */
enum { AR = V_PANEL, AV = 4, AB = 32, AP = KERN_SEG / KERN_PAGE };

/* The keys, or the values, of a head in one page. */
struct kv_page {
    const unsigned char *p; /* numbers, past the scales where values have them in front */
    const float *scale;     /* of quantised blocks: keys [d_k / 32][64], values [64][d_v / 32] */
    const unsigned char *next; /* what is read after it */
    size_t wide;               /* numbers of a position */
};

/* -- reading a type ---------------------------------------------------------------------- */

/* Dimension d of VL positions from l. */
INL vf key_at(const int kv, const struct kv_page *k, size_t d, size_t l)
{
    size_t b = d / AB, j = d % AB, at;

    if (kv == KERN_KV_F16)
        return vf_load_f16(k->p + 2 * (d * KERN_PAGE + l));
    if (kv == KERN_KV_F32)
        return vf_load((const float *)(const void *)k->p + d * KERN_PAGE + l);
    at = (kv == KERN_KV_Q8_0 ? d + 2 * b + 2 : b * 18 + 2 + j % 16) * KERN_PAGE + l;
    return vf_mul(kv == KERN_KV_Q8_0 ? vf_load_i8(k->p + at)
                  : j < 16           ? vf_load_low4(k->p + at)
                                     : vf_load_high4(k->p + at),
                  vf_load(k->scale + b * KERN_PAGE + l));
}

/* Numbers i .. i + VL - 1 of position l; i0: a multiple of 32 that i - i0 is known from. */
INL vf value_at(const int kv, const struct kv_page *v, size_t l, size_t i0, const size_t i)
{
    size_t at = l * v->wide + i0 + i, b = (i0 + i) / AB;
    vf d;

    if (kv == KERN_KV_F16)
        return vf_load_f16(v->p + 2 * at);
    if (kv == KERN_KV_F32)
        return vf_load((const float *)(const void *)v->p + at);
    d = vf_set(v->scale[l * (v->wide / AB) + b]);
    if (kv == KERN_KV_Q8_0)
        return vf_mul(vf_load_i8(v->p + at), d);
    at = l * v->wide / 2 + b * 16 + i % 16;
    return vf_mul(i % AB < 16 ? vf_load_low4(v->p + at) : vf_load_high4(v->p + at), d);
}

/* The same bytes of what is read next are fetched while these are used: its lines come in the
 * pace of reading, also where the machine's own prefetch stops, at the end of a page. */
INL void fetch_next(const int kv, const struct kv_page *g, const unsigned char *at)
{
    (void)kv;
    v_prefetch(g->next + (at - g->p));
}

/* -- a page for a block of rows ---------------------------------------------------------- */

/* s[r][l] = sum_d q[r][d] keys[d][l] for nr rows and AV vectors of positions from l0. */
INL void score_block(const int kv, const int nr, const float *const *q, size_t d_k,
                     const struct kv_page *k, size_t l0, float *s)
{
    vf acc[AR * AV];

    UNROLL for (int i = 0; i < nr * AV; i++) acc[i] = vf_zero();
    for (size_t d = 0; d < d_k; d++) {
        vf x[AV];

        UNROLL for (int v = 0; v < AV; v++) x[v] = key_at(kv, k, d, l0 + (size_t)v * VL);
        UNROLL for (int r = 0; r < nr; r++)
        {
            vf a = vf_set(q[r][d]);

            UNROLL for (int v = 0; v < AV; v++) acc[r * AV + v] =
                vf_fma(a, x[v], acc[r * AV + v]);
        }
    }
    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int v = 0; v < AV; v++)
            vf_store(s + (size_t)r * KERN_SEG + l0 + (size_t)v * VL, acc[r * AV + v]);
    }
}

typedef void score_fn(const float *const *q, size_t d_k, const struct kv_page *k, float *s);

INL void score_page(const int kv, const int nr, const float *const *q, size_t d_k,
                    const struct kv_page *k, float *s)
{
    for (size_t l = 0; l < KERN_PAGE; l += AV * VL)
        score_block(kv, nr, q, d_k, k, l, s);
}

/* Positions of a page that a row sees. */
struct span {
    int lo, hi;
};

/* o[r] += sum_l w[r][l] values[l], for nr rows and nv vectors from i0. A row ends where it
 * ends: a weight of zero would not keep out a value that is infinite, or was never written. */
INL void value_block(const int kv, const int nr, const int nv, const float *w,
                     const struct span *span, const struct kv_page *v, size_t i0, float *o,
                     size_t step)
{
    vf acc[AR * AV];
    struct span all = span[0], some = span[0];

    for (int r = 1; r < nr; r++) {
        all.lo = span[r].lo > all.lo ? span[r].lo : all.lo;
        all.hi = span[r].hi < all.hi ? span[r].hi : all.hi;
        some.lo = span[r].lo < some.lo ? span[r].lo : some.lo;
        some.hi = span[r].hi > some.hi ? span[r].hi : some.hi;
    }
    UNROLL for (int i = 0; i < nr * nv; i++) acc[i] =
        vf_load(o + (size_t)(i / nv) * step + i0 + (size_t)(i % nv) * VL);
    for (int l = some.lo; l < some.hi; l++) {
        vf x[AV];

        UNROLL for (int j = 0; j < nv; j++) x[j] =
            value_at(kv, v, (size_t)l, i0, (size_t)j * VL);
        if (l >= all.lo && l < all.hi) {
            UNROLL for (int r = 0; r < nr; r++)
            {
                vf a = vf_set(w[(size_t)r * KERN_SEG + (size_t)l]);

                UNROLL for (int j = 0; j < nv; j++) acc[r * nv + j] =
                    vf_fma(a, x[j], acc[r * nv + j]);
            }
            continue;
        }
        UNROLL for (int r = 0; r < nr; r++) /* a few positions, which only some rows see */
        {
            vf a = vf_set(w[(size_t)r * KERN_SEG + (size_t)l]);

            if (l < span[r].lo || l >= span[r].hi)
                continue;
            UNROLL for (int j = 0; j < nv; j++) acc[r * nv + j] =
                vf_fma(a, x[j], acc[r * nv + j]);
        }
    }
    UNROLL for (int i = 0; i < nr * nv; i++)
        vf_store(o + (size_t)(i / nv) * step + i0 + (size_t)(i % nv) * VL, acc[i]);
}

typedef void value_fn(const float *w, const struct span *span, const struct kv_page *v,
                      float *o, size_t step);

INL void value_page(const int kv, const int nr, const float *w, const struct span *span,
                    const struct kv_page *v, float *o, size_t step)
{
    size_t i = 0;

    for (; i + AV * VL <= v->wide; i += AV * VL)
        value_block(kv, nr, AV, w, span, v, i, o, step);
    for (; i + AB <= v->wide; i += AB)
        value_block(kv, nr, AB / VL, w, span, v, i, o, step);
    for (; i < v->wide; i += VL) /* float types only: the others fill blocks */
        value_block(kv < KERN_KV_Q8_0 ? kv : KERN_KV_F32, nr, 1, w, span, v, i, o, step);
}

/* -- a page in floats -------------------------------------------------------------------- */

typedef void unpack_fn(const struct kv_page *g, size_t d, float *out);

INL void unpack_keys(const int kv, const struct kv_page *k, size_t d_k, float *out)
{
    for (size_t d = 0; d < d_k; d++) {
        UNROLL for (size_t l = 0; l < KERN_PAGE; l += VL)
            vf_store(out + d * KERN_PAGE + l, key_at(kv, k, d, l));
    }
}

INL void unpack_values(const int kv, const struct kv_page *v, size_t wide, float *out)
{
    for (size_t l = 0; l < KERN_PAGE; l++) {
        size_t i = 0;

        for (; i + AB <= wide; i += AB) {
            UNROLL for (size_t j = 0; j < AB; j += VL)
                vf_store(out + l * wide + i + j, value_at(kv, v, l, i, j));
        }
        for (; i < wide; i += VL)
            vf_store(out + l * wide + i,
                     value_at(kv < KERN_KV_Q8_0 ? kv : KERN_KV_F32, v, l, i, 0));
    }
}

static void unpack_scales(const unsigned char *p, size_t n, float *out)
{
    for (size_t i = 0; i < n; i += VL)
        vf_store(out + i, vf_load_f16(p + 2 * i));
}

/* -- what each type and number of rows has ----------------------------------------------- */

struct attn_kv {
    int quantised;
    score_fn *score[AR + 1];
    value_fn *value[AR + 1];
    unpack_fn *keys, *values; /* NULL: they are floats */
};

/* attn_<tier>.c instantiates the row counts that fit its registers. */
static const struct attn_kv attn_kvs[KERN_KV_N];

#define ATTN_ROWS(kv, nr)                                                                      \
    static void score_##kv##_##nr(const float *const *q, size_t d_k, const struct kv_page *k,  \
                                  float *s)                                                    \
    {                                                                                          \
        score_page(KERN_KV_##kv, nr, q, d_k, k, s);                                            \
    }                                                                                          \
    static void value_##kv##_##nr(const float *w, const struct span *span,                     \
                                  const struct kv_page *v, float *o, size_t step)              \
    {                                                                                          \
        value_page(KERN_KV_##kv, nr, w, span, v, o, step);                                     \
    }
#define ATTN_UNPACK(kv)                                                                        \
    static void keys_##kv(const struct kv_page *g, size_t d, float *out)                       \
    {                                                                                          \
        unpack_keys(KERN_KV_##kv, g, d, out);                                                  \
    }                                                                                          \
    static void values_##kv(const struct kv_page *g, size_t d, float *out)                     \
    {                                                                                          \
        unpack_values(KERN_KV_##kv, g, d, out);                                                \
    }

/* -- a segment ---------------------------------------------------------------------------- */

struct attn_state {
    const struct attn_kv *k, *v;
    float *s;      /* [rows][KERN_SEG] scores, then weights */
    float *floats; /* a page's keys or values */
    float *scale;  /* of its blocks */
    size_t wide;
    struct span span[KERN_ATTN_ROWS]; /* of the segment's positions */
    int p0, p1;                       /* pages that some row sees */
};

static int clip(int x, int max)
{
    return x < 0 ? 0 : x > max ? max : x;
}

/* What rows see of a page; 0: nothing. */
static int page_spans(const struct attn_state *st, int r0, int nr, int page, struct span *out)
{
    int any = 0;

    for (int r = 0; r < nr; r++) {
        const struct span *s = &st->span[r0 + r];

        out[r].lo = clip(s->lo - page * KERN_PAGE, KERN_PAGE);
        out[r].hi = clip(s->hi - page * KERN_PAGE, KERN_PAGE);
        any |= out[r].lo < out[r].hi;
    }
    return any;
}

/* In floats when many rows read it. Returns 1 when it is. */
static int page_ready(const struct attn_state *st, const struct attn_kv *kv, unpack_fn *unpack,
                      size_t d, const int many, struct kv_page *g)
{
    (void)kv;
    if (!many || !unpack)
        return 0;
    unpack(g, d, st->floats);
    g->p = (const unsigned char *)st->floats;
    return 1;
}

static void scores(const struct kern_attn *a, const struct attn_state *st, int seg)
{
    size_t d_k = (size_t)a->d_k;

    for (int p = st->p0; p < st->p1; p++) {
        const unsigned char *keys = a->page[seg * AP + p] + a->off_k;
        struct kv_page g = {keys, st->scale, NULL, 0};
        const struct attn_kv *kv = st->k;

        for (size_t b = 0; kv->quantised && b < d_k / AB; b++)
            unpack_scales(keys + b * (size_t)kern_kv_bytes(a->kv_k, AB), KERN_PAGE,
                          st->scale + b * KERN_PAGE);
        if (page_ready(st, kv, kv->keys, d_k, a->n_q > AR, &g))
            kv = &attn_kvs[KERN_KV_F32];
        for (int r = 0; r < a->n_q; r += AR) {
            int nr = a->n_q - r < AR ? a->n_q - r : AR;
            struct span span[AR];

            if (page_spans(st, r, nr, p, span))
                kv->score[nr](a->q + r, d_k, &g,
                              st->s + (size_t)r * KERN_SEG + (size_t)p * KERN_PAGE);
        }
    }
}

/* Scores of one row to weights; what it does not see becomes 0 as far as vectors reach. */
static void softmax_row(float *s, float scale, struct span span, float *max, float *sum)
{
    vf top = vf_set(-INFINITY), total = vf_zero(), m;
    int from = span.lo / VL * VL;

    *max = -INFINITY;
    *sum = 0;
    if (span.lo >= span.hi)
        return;
    for (int l = from; l < span.hi; l += VL) {
        vf x = vf_mul(vf_load(s + l), vf_set(scale));

        if (l < span.lo || l + VL > span.hi)
            x = vf_lanes(x, vf_set(-INFINITY), span.lo - l, span.hi - l);
        vf_store(s + l, x);
        top = vf_max(top, x);
    }
    *max = vf_hmax(top);
    m = vf_set(*max);
    for (int l = from; l < span.hi; l += VL) {
        vf x = vf_exp(vf_sub(vf_load(s + l), m));

        vf_store(s + l, x);
        total = vf_add(total, x);
    }
    *sum = vf_sum(total);
}

static void values(const struct kern_attn *a, const struct attn_state *st, int seg, float *part)
{
    size_t step = kern_attn_part(a->d_v);

    for (int p = st->p0; p < st->p1; p++) {
        const unsigned char *v = a->page[seg * AP + p] + a->off_v;
        struct kv_page g = {v, st->scale, NULL, st->wide};
        const struct attn_kv *kv = st->v;

        if (kv->quantised) {
            unpack_scales(v, KERN_PAGE * (st->wide / AB), st->scale);
            g.p += 2 * KERN_PAGE * (st->wide / AB);
        }
        if (page_ready(st, kv, kv->values, st->wide, a->n_q > AR, &g))
            kv = &attn_kvs[KERN_KV_F32];
        for (int r = 0; r < a->n_q; r += AR) {
            int nr = a->n_q - r < AR ? a->n_q - r : AR;
            struct span span[AR];

            if (page_spans(st, r, nr, p, span))
                kv->value[nr](st->s + (size_t)r * KERN_SEG + (size_t)p * KERN_PAGE, span, &g,
                              part + (size_t)r * step, step);
        }
    }
}

static void attn_run(const struct kern_attn *a, int seg, float *part, void *scratch)
{
    struct attn_state st = {.k = &attn_kvs[a->kv_k],
                            .v = &attn_kvs[a->kv_v],
                            .s = scratch,
                            .wide = ((size_t)a->d_v + 15) & ~(size_t)15,
                            .p0 = AP};
    size_t step = kern_attn_part(a->d_v), d_k = ((size_t)a->d_k + 15) & ~(size_t)15,
           most = d_k > st.wide ? d_k : st.wide;

    st.floats = st.s + KERN_ATTN_ROWS * KERN_SEG;
    st.scale = st.floats + most * KERN_PAGE;
    for (int r = 0; r < a->n_q; r++) {
        struct span *s = &st.span[r];

        s->lo = clip(a->first[r] - seg * KERN_SEG, KERN_SEG);
        s->hi = clip(a->pos[r] + 1 - seg * KERN_SEG, KERN_SEG);
        if (s->lo < s->hi) {
            st.p0 = s->lo / KERN_PAGE < st.p0 ? s->lo / KERN_PAGE : st.p0;
            st.p1 = (s->hi + KERN_PAGE - 1) / KERN_PAGE > st.p1
                        ? (s->hi + KERN_PAGE - 1) / KERN_PAGE
                        : st.p1;
        }
    }
    scores(a, &st, seg);
    for (int r = 0; r < a->n_q; r++) {
        float *row = part + (size_t)r * step;

        memset(row, 0, st.wide * sizeof(*row));
        softmax_row(st.s + (size_t)r * KERN_SEG, a->scale, st.span[r], &row[st.wide],
                    &row[st.wide + 1]);
    }
    values(a, &st, seg, part);
}

static void attn_fold_row(float *into, const float *part, size_t wide)
{
    float max = into[wide] > part[wide] ? into[wide] : part[wide], keep, add;

    if (part[wide + 1] == 0) /* sees nothing of this segment */
        return;
    if (into[wide + 1] == 0) {
        memcpy(into, part, (wide + 2) * sizeof(*into));
        return;
    }
    keep = expf(into[wide] - max);
    add = expf(part[wide] - max);
    for (size_t i = 0; i < wide; i += VL)
        vf_store(into + i, vf_fma(vf_load(part + i), vf_set(add),
                                  vf_mul(vf_load(into + i), vf_set(keep))));
    into[wide] = max;
    into[wide + 1] = into[wide + 1] * keep + part[wide + 1] * add;
}

static void attn_fold(float *into, const float *part, int n, int d_v, float *const *out)
{
    size_t step = kern_attn_part(d_v), wide = step - 16;

    for (int r = 0; r < n; r++) {
        float *row = into + (size_t)r * step;

        if (part)
            attn_fold_row(row, part + (size_t)r * step, wide);
        for (int d = 0; d < d_v && out; d++)
            out[r][d] = row[d] * (1.0f / row[wide + 1]);
    }
}

static void attn_add(struct kern *k)
{
    k->attn = attn_run;
    k->attn_fold = attn_fold;
}

#endif

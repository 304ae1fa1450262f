/* attn.h - attention over pages of the key/value cache, a template over vec_<tier>.h.
 *
 * A segment at a time: the scores of all rows, page by page (a lane is a position, so no sum
 * runs across lanes), the softmax of each row, then the values, page by page. The order of a
 * row's operations depends on its own positions only, not on the rows beside it.
 *
 * With more rows than a register block holds, the keys of a page are turned into floats once
 * for all of them, and so are the values, where that is faster (AVX-512 converts halves beside
 * its sums at no cost). What a number of the cache is as a float is exact in every type (a
 * half, or 8 bits by a half), so both ways give the same bits.
 *
 * Queries stay in float also for quantised keys. With queries in two terms of 8 bits and
 * integer products the scores of 4 rows take 0.64 of the time (one term, as precise as the
 * keys: 0.26), on AVX-512 VNNI only, and in the caches only; the other half of the work is the
 * values.
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

/* Numbers of a quantised block; rows and vectors of one register block, which is no narrower;
 * pages of a segment. */
enum {
    AB = 32,
    AV = 4 * VL < AB ? AB / VL : 4,
    AR = V_PANEL * 4 / AV,
    AP = KERN_SEG / KERN_PAGE
};

/* The keys, or the values, of a head in one page. */
struct kv_page {
    const unsigned char *p; /* numbers, past the scales where values have them in front */
    const float *scale; /* of quantised blocks: keys [d_k / 32][64], values [64][d_v / 32] */
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

/* VL numbers of position l from i0 + i, where i0 is a multiple of 32. */
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

/* Of what is read next, fetches the bytes of numbers [i, i + n), the same that are read now:
 * its lines come in the pace of reading, also where the machine's own prefetch stops, at the
 * end of a head's part of a page. Measured, 2026-11, a token of 131,072 positions from memory:
 * half as fast without, and also where the first cache is to hold what comes. */
INL void fetch(const int kv, const struct kv_page *g, size_t i, const size_t n)
{
    const size_t bits = kv == KERN_KV_F16 ? 16 : kv == KERN_KV_Q8_0 ? 8 : 4;

    UNROLL for (size_t at = 0; at < n * bits / 8; at += 64)
        v_prefetch(g->next + i * bits / 8 + at);
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
        if (kv != KERN_KV_F32) /* mostly a page that was unpacked just now */
            fetch(kv, k, d * KERN_PAGE + l0, AV * VL);
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

/* o[r] += sum_l w[r][l] values[l] over positions [lo, hi), for nr rows and nv vectors. */
INL void value_block(const int kv, const int nr, const int nv, const float *w, int lo, int hi,
                     const struct kv_page *v, size_t i0, float *o, size_t step)
{
    vf acc[AR * AV];

    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int j = 0; j < nv; j++) acc[r * AV + j] =
            vf_load(o + (size_t)r * step + (size_t)j * VL);
    }
    for (size_t l = (size_t)lo; l < (size_t)hi; l++) {
        vf x[AV];

        UNROLL for (int j = 0; j < nv; j++) x[j] = value_at(kv, v, l, i0, (size_t)j * VL);
        if (kv != KERN_KV_F32)
            fetch(kv, v, l * v->wide + i0, (size_t)nv * VL);
        UNROLL for (int r = 0; r < nr; r++)
        {
            vf a = vf_set(w[(size_t)r * KERN_SEG + l]);

            UNROLL for (int j = 0; j < nv; j++) acc[r * AV + j] =
                vf_fma(a, x[j], acc[r * AV + j]);
        }
    }
    UNROLL for (int r = 0; r < nr; r++)
    {
        UNROLL for (int j = 0; j < nv; j++)
            vf_store(o + (size_t)r * step + (size_t)j * VL, acc[r * AV + j]);
    }
}

/* nv vectors of values from i0. A row begins and ends at its own positions: a weight of zero
 * would not keep out a value that is infinite, or was never written. Between are those that
 * all rows see. */
INL void value_rows(const int kv, const int nr, const int nv, const float *w,
                    const struct span *span, const struct kv_page *v, size_t i0, float *o,
                    size_t step)
{
    struct span all = span[0];

    for (int r = 1; r < nr; r++) {
        all.lo = span[r].lo > all.lo ? span[r].lo : all.lo;
        all.hi = span[r].hi < all.hi ? span[r].hi : all.hi;
    }
    if (all.lo > all.hi)
        all.lo = all.hi = KERN_PAGE;
    o += i0;
    for (size_t r = 0; r < (size_t)nr; r++) {
        int hi = span[r].hi < all.lo ? span[r].hi : all.lo;

        if (span[r].lo < hi)
            value_block(kv, 1, nv, w + r * KERN_SEG, span[r].lo, hi, v, i0, o + r * step, step);
    }
    value_block(kv, nr, nv, w, all.lo, all.hi, v, i0, o, step);
    for (size_t r = 0; r < (size_t)nr; r++) {
        if (all.hi < span[r].hi)
            value_block(kv, 1, nv, w + r * KERN_SEG, all.hi, span[r].hi, v, i0, o + r * step,
                        step);
    }
}

typedef void value_fn(const float *w, const struct span *span, const struct kv_page *v,
                      float *o, size_t step);

INL void value_page(const int kv, const int nr, const float *w, const struct span *span,
                    const struct kv_page *v, float *o, size_t step)
{
    size_t i = 0;

    for (; i + AV * VL <= v->wide; i += AV * VL)
        value_rows(kv, nr, AV, w, span, v, i, o, step);
    for (; i + AB <= v->wide; i += AB)
        value_rows(kv, nr, AB / VL, w, span, v, i, o, step);
    for (; i < v->wide; i += VL) /* float types only: the others fill blocks */
        value_rows(kv < KERN_KV_Q8_0 ? kv : KERN_KV_F32, nr, 1, w, span, v, i, o, step);
}

/* -- a page in floats -------------------------------------------------------------------- */

typedef void unpack_fn(const struct kv_page *g, size_t d, float *out);

INL void unpack_keys(const int kv, const struct kv_page *k, size_t d_k, float *out)
{
    for (size_t d = 0; d < d_k; d++) {
        UNROLL for (size_t l = 0; l < KERN_PAGE; l += VL)
            vf_store(out + d * KERN_PAGE + l, key_at(kv, k, d, l));
        fetch(kv, k, d * KERN_PAGE, KERN_PAGE);
    }
}

INL void unpack_values(const int kv, const struct kv_page *v, size_t wide, float *out)
{
    for (size_t l = 0; l < KERN_PAGE; l++) {
        size_t i = 0;

        for (; i + AB <= wide; i += AB) {
            UNROLL for (size_t j = 0; j < AB; j += VL)
                vf_store(out + l * wide + i + j, value_at(kv, v, l, i, j));
            fetch(kv, v, l * wide + i, AB);
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
    score_fn *score[AR + 1];
    value_fn *value[AR + 1];
    unpack_fn *keys, *values; /* NULL: they are floats */
    int quantised;
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

/* Rows of a register block, so that n_q fill blocks evenly. */
static int rows_of_block(int n_q)
{
    int n = (n_q + AR - 1) / AR;

    return (n_q + n - 1) / n;
}

static void scores(const struct kern_attn *a, const struct attn_state *st, int seg)
{
    const unsigned char *const *page = a->page + seg * AP;
    size_t d_k = (size_t)a->d_k;
    int rows = rows_of_block(a->n_q);

    for (int p = st->p0; p < st->p1; p++) {
        struct kv_page g = {page[p] + a->off_k, st->scale,
                            p + 1 < st->p1 ? page[p + 1] + a->off_k : page[st->p0] + a->off_v,
                            0};
        const struct attn_kv *kv = st->k;

        for (size_t b = 0; kv->quantised && b < d_k / AB; b++)
            unpack_scales(g.p + b * kern_kv_bytes(a->kv_k, AB), KERN_PAGE,
                          st->scale + b * KERN_PAGE);
        if (a->n_q > AR && kv->keys) {
            kv->keys(&g, d_k, st->floats);
            g.p = (const unsigned char *)st->floats;
            kv = &attn_kvs[KERN_KV_F32];
        }
        for (int r = 0; r < a->n_q; r += rows) {
            int nr = a->n_q - r < rows ? a->n_q - r : rows;
            struct span span[AR];

            if (page_spans(st, r, nr, p, span))
                kv->score[nr](a->q + r, d_k, &g,
                              st->s + (size_t)r * KERN_SEG + (size_t)p * KERN_PAGE);
        }
    }
}

/* Scores of one row to what the cap makes of them. */
static void cap_row(float *s, float scale, float cap, struct span span)
{
    vf by = vf_set(scale / cap), c = vf_set(cap);

    for (int l = span.lo / VL * VL; l < span.hi; l += VL)
        vf_store(s + l, vf_mul(vf_tanh(vf_mul(vf_load(s + l), by)), c));
}

/* Scores of one row to weights e^(scale (s - m)), m the largest: its weight is 1 exactly. What
 * the row does not see becomes almost 0 as far as vectors reach. */
static void softmax_row(float *s, float scale, struct span span, float *max, float *sum)
{
    vf top = vf_set(-INFINITY), total = vf_zero(), m, c = vf_set(scale * 1.44269504f);
    int from = span.lo / VL * VL, last = (span.hi - 1) / VL * VL;

    *max = -INFINITY;
    *sum = 0;
    if (span.lo >= span.hi)
        return;
    vf_store(s + from,
             vf_lanes(vf_load(s + from), vf_set(-INFINITY), span.lo - from, span.hi - from));
    vf_store(s + last,
             vf_lanes(vf_load(s + last), vf_set(-INFINITY), span.lo - last, span.hi - last));
    for (int l = from; l < span.hi; l += VL)
        top = vf_max(top, vf_load(s + l));
    *max = vf_hmax(top);
    m = vf_set(*max);
    *max *= scale;
    for (int l = from; l < span.hi; l += VL) {
        vf x = vf_exp2_neg(vf_mul(vf_sub(vf_load(s + l), m), c));

        vf_store(s + l, x);
        total = vf_add(total, x);
    }
    *sum = vf_sum(total);
}

/* more: 1 when keys of another segment follow. */
static void values(const struct kern_attn *a, const struct attn_state *st, int seg, int more,
                   float *part)
{
    const unsigned char *const *page = a->page + seg * AP;
    size_t step = kern_attn_part(a->d_v), n_scale = KERN_PAGE * (st->wide / AB);
    int rows = rows_of_block(a->n_q);

    for (int p = st->p0; p < st->p1; p++) {
        struct kv_page g = {page[p] + a->off_v, st->scale, NULL, st->wide};
        const struct attn_kv *kv = st->v;

        g.next = p + 1 < st->p1 ? page[p + 1] + a->off_v : more ? page[AP] + a->off_k : g.p;
        if (kv->quantised) {
            unpack_scales(g.p, n_scale, st->scale);
            g.p += 2 * n_scale;
        }
        if (a->n_q > AR && kv->values) {
            kv->values(&g, st->wide, st->floats);
            g.p = (const unsigned char *)st->floats;
            kv = &attn_kvs[KERN_KV_F32];
        }
        for (int r = 0; r < a->n_q; r += rows) {
            int nr = a->n_q - r < rows ? a->n_q - r : rows;
            struct span span[AR];

            if (page_spans(st, r, nr, p, span))
                kv->value[nr](st->s + (size_t)r * KERN_SEG + (size_t)p * KERN_PAGE, span, &g,
                              part + (size_t)r * step, step);
        }
    }
}

static struct attn_state state_of(const struct kern_attn *a, int seg, void *scratch)
{
    struct attn_state st = {.k = &attn_kvs[a->kv_k],
                            .v = &attn_kvs[a->kv_v],
                            .s = scratch,
                            .wide = ((size_t)a->d_v + 15) & ~(size_t)15,
                            .p0 = AP};
    size_t d_k = ((size_t)a->d_k + 15) & ~(size_t)15;

    st.floats = st.s + KERN_ATTN_ROWS * KERN_SEG;
    st.scale = st.floats + (d_k > st.wide ? d_k : st.wide) * KERN_PAGE;
    for (int r = 0; r < a->n_q; r++) {
        struct span *s = &st.span[r];
        int first, end;

        s->lo = clip(a->first[r] - seg * KERN_SEG, KERN_SEG);
        s->hi = clip(a->pos[r] + 1 - seg * KERN_SEG, KERN_SEG);
        first = s->lo / KERN_PAGE;
        end = (s->hi + KERN_PAGE - 1) / KERN_PAGE;
        if (s->lo < s->hi) {
            st.p0 = first < st.p0 ? first : st.p0;
            st.p1 = end > st.p1 ? end : st.p1;
        }
    }
    return st;
}

static void attn_run(const struct kern_attn *a, int seg, float *part, void *scratch)
{
    struct attn_state st = state_of(a, seg, scratch);
    size_t step = kern_attn_part(a->d_v);
    int more = 0;

    scores(a, &st, seg);
    for (int r = 0; r < a->n_q; r++) {
        float *row = part + (size_t)r * step, *s = st.s + (size_t)r * KERN_SEG;

        more |= a->pos[r] >= (seg + 1) * KERN_SEG;
        memset(row, 0, st.wide * sizeof(*row));
        if (a->cap != 0)
            cap_row(s, a->scale, a->cap, st.span[r]);
        softmax_row(s, a->cap != 0 ? 1 : a->scale, st.span[r], &row[st.wide],
                    &row[st.wide + 1]);
    }
    values(a, &st, seg, more, part);
}

static void attn_fold_row(float *into, const float *part, size_t wide)
{
    float max = into[wide] > part[wide] ? into[wide] : part[wide], keep, add;

    if (part[wide] == -INFINITY) /* sees nothing of this segment */
        return;
    if (into[wide] == -INFINITY) {
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

/* What a row's outputs are multiplied by at last: 1 / sum, with what the sink adds to it. */
static float attn_factor(float max, float sum, const float *sink)
{
    float top, keep;

    if (!sink)
        return 1.0f / sum;
    top = max > *sink ? max : *sink;
    keep = expf(max - top);
    return keep / (sum * keep + expf(*sink - top));
}

static void attn_fold(float *into, const float *part, int n, int d_v, float *const *out,
                      const float *sink)
{
    size_t step = kern_attn_part(d_v), wide = step - 16;

    for (int r = 0; r < n; r++) {
        float *row = into + (size_t)r * step, f;

        if (part)
            attn_fold_row(row, part + (size_t)r * step, wide);
        if (!out)
            continue;
        f = attn_factor(row[wide], row[wide + 1], sink ? &sink[r] : NULL);
        for (int d = 0; d < d_v; d++)
            out[r][d] = row[d] * f;
    }
}

static void attn_add(struct kern *k)
{
    k->attn = attn_run;
    k->attn_fold = attn_fold;
}

#endif

#include "model/head.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

int head_width(const struct model *m)
{
    const struct params *p = &m->p;
    int n = p->n_embd;

    if (p->pooling == POOL_RANK)
        return p->n_label ? p->n_label : n;
    for (int i = 0; i < 2; i++)
        n = p->n_dense[i] ? p->n_dense[i] : n;
    return n;
}

/* y = W x (+ b), by rows; once for a text. row: [n] for one row of W. */
static void dense(const struct weight *w, const struct weight *bias, const float *x, float *row,
                  float *y)
{
    const struct quant *q = quant_find(w->src->type);
    size_t n = (size_t)w->src->ne[0], n_byte = n / (size_t)q->block * (size_t)q->bytes;

    for (size_t r = 0; r < (size_t)w->src->ne[1]; r++) {
        double sum = bias ? (double)bias->vec[r] : 0;

        q->to_f32(w->src->data + r * n_byte, row, n);
        for (size_t i = 0; i < n; i++)
            sum += (double)row[i] * (double)x[i];
        y[r] = (float)sum;
    }
}

static void softmax(float *x, int n)
{
    double sum = 0, max = (double)x[0];

    for (int i = 1; i < n; i++)
        max = (double)x[i] > max ? (double)x[i] : max;
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    for (int i = 0; i < n; i++)
        x[i] = (float)(exp((double)x[i] - max) / sum);
}

int head_rank(const struct model *m, float *x, float *out, struct err *e)
{
    const struct layer *g = &m->global;
    size_t n = (size_t)m->p.n_embd;
    float *row;

    if (!g->t[T_CLS_OUTPUT])
        return err_set(e, E_UNSUPPORTED,
                       "this reranker has no classifier (tensor cls.output.weight)");
    row = mem_alloc(2 * n * sizeof(*row));
    if (!row)
        return err_set(e, E_NOMEM, "no memory for %zu numbers", 2 * n);
    if (g->t[T_CLS]) {
        dense(g->t[T_CLS], g->t[T_CLS_BIAS], x, row, row + n);
        for (size_t i = 0; i < n; i++)
            x[i] = tanhf(row[n + i]);
    }
    dense(g->t[T_CLS_OUTPUT], g->t[T_CLS_OUTPUT_BIAS], x, row, out);
    if (m->p.causal && m->p.n_label > 1)
        softmax(out, m->p.n_label);
    mem_free(row);
    return 0;
}

int head_embed(const struct model *m, const float *x, float *out, struct err *e)
{
    const struct weight *w[] = {m->global.t[T_DENSE_2], m->global.t[T_DENSE_3]};
    size_t n = (size_t)m->p.n_embd, n_mid = w[0] ? (size_t)m->p.n_dense[0] : 0;
    float *mid = mem_alloc((n_mid + (n > n_mid ? n : n_mid)) * sizeof(*mid));

    if (!mid)
        return err_set(e, E_NOMEM, "no memory for %zu numbers", n + n_mid);
    if (w[0])
        dense(w[0], NULL, x, mid + n_mid, w[1] ? mid : out);
    if (w[1])
        dense(w[1], NULL, w[0] ? mid : x, mid + n_mid, out);
    if (!w[0] && !w[1])
        memcpy(out, x, n * sizeof(*out));
    mem_free(mid);
    return 0;
}

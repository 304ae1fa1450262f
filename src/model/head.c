#include "model/head.h"

#include "base/mem.h"

#include <math.h>
#include <string.h>

int head_width(const struct model *m)
{
    return m->p.pooling == POOL_RANK && m->p.n_label ? m->p.n_label : m->p.n_embd;
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

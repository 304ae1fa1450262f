/* ple.c - embeddings of each layer's own: a table gives every token some numbers for each
 * layer, a layer adds what it makes of them, as far as it opens for them. */
#include "model/block/block.h"

#include "sys/mmap.h"

#include <math.h>

/* Tokens after which rows of the table that were read are let go. */
enum { PLE_ROWS_KEPT = 64 };

struct ple_job {
    const struct step *s;
    float *y;          /* [n_tok][n_layer][n] */
    const float *part; /* of a layer: [n_tok] rows of n, n_layer * n apart */
    size_t n, n_layer;
    int half;
};

/* y / sqrt(n_embd), normed for each layer, and the table's row times sqrt(n): their sum has the
 * size of one of them. */
static void mix_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct ple_job *j = ctx;
    const struct step *s = j->s;
    const struct layer *g = &s->m->global;
    size_t all = j->n * j->n_layer;
    float *row = (float *)(void *)(s->worker + (size_t)worker * s->n_worker);
    float shrink = 1 / sqrtf((float)s->m->p.n_embd), grow = sqrtf((float)j->n),
          half = sqrtf(0.5f);

    for (size_t t = lo; t < hi; t++) {
        float *y = j->y + t * all;

        blk_row(g->t[T_PLE_EMBD], (size_t)s->id[t], row);
        for (size_t i = 0; i < all; i++)
            y[i] *= shrink;
        for (size_t l = 0; l < j->n_layer; l++)
            s->k->rms_norm(y + l * j->n, g->t[T_PLE_PROJ_NORM]->vec, y + l * j->n, j->n,
                           s->m->p.eps);
        for (size_t i = 0; i < all; i++)
            y[i] = (y[i] + row[i] * grow) * half;
    }
}

float *blk_ple_inputs(struct step *s, const float *x)
{
    const struct layer *g = &s->m->global;
    size_t n_tok = (size_t)s->n_tok, n_embd = (size_t)s->m->p.n_embd, mark;
    struct ple_job j = {.s = s, .n = (size_t)s->m->p.n_ple, .n_layer = (size_t)s->m->p.n_layer};
    struct kern_acts a;

    j.y = step_floats(s, n_tok * j.n * j.n_layer);
    step_worker_needs(s, j.n * j.n_layer * sizeof(float));
    mark = step_mark(s);
    a = blk_acts(s, x, n_tok, n_embd, g->t[T_PLE_PROJ]);
    blk_linear(s, g->t[T_PLE_PROJ], NULL, &a, j.y, KERN_STORE);
    step_release(s, mark);
    if (step_stopped(s))
        return j.y;
    pool_run(s->pool, n_tok, 1, mix_rows, &j);
    if (n_tok > 1 || s->n_embed_rows % PLE_ROWS_KEPT == 0)
        vm_drop(g->t[T_PLE_EMBD]->src->data, (size_t)g->t[T_PLE_EMBD]->src->n_byte);
    return j.y;
}

static void gate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct ple_job *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *y = j->y + t * j->n;
        const float *part = j->part + t * j->n_layer * j->n;

        if (j->half)
            blk_gelu_half(j->s->k, y, part, y, j->n);
        else
            j->s->k->act(KERN_ACT_GELU, 0, y, part, y, j->n);
    }
}

void blk_ple(struct step *s, int layer, const float *inputs, const float *x, int half, float *y)
{
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok, n_embd = (size_t)s->m->p.n_embd,
           n = (size_t)s->m->p.n_ple;
    struct kern_acts a = blk_acts(s, x, n_tok, n_embd, l->t[T_PLE_GATE]);
    struct ple_job j = {.s = s,
                        .y = step_floats(s, n_tok * n),
                        .part = inputs ? inputs + (size_t)layer * n : NULL,
                        .n = n,
                        .n_layer = (size_t)s->m->p.n_layer,
                        .half = half};

    blk_linear(s, l->t[T_PLE_GATE], NULL, &a, j.y, KERN_STORE);
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 8, gate_rows, &j);
    a = blk_acts(s, j.y, n_tok, n, l->t[T_PLE_OUT]);
    blk_linear(s, l->t[T_PLE_OUT], NULL, &a, y, KERN_STORE);
    blk_norm_rows(s, y, n_tok, n_embd, l->t[T_PLE_NORM], NULL);
    step_release(s, mark);
}

/* delta.c - linear attention by the gated delta rule.
 *
 * Each head keeps a matrix that maps keys to values. A token first lets it fade, then corrects
 * what it says of the token's key, then asks it with the query. Queries and keys are divided by
 * their lengths; neighbouring heads may share them. Heads of runs are spread over the threads.
 *
 * Source  Yang et al. 2024, arXiv:2412.06464; fading of each number: arXiv:2510.26692
 */
#include "model/block/block.h"

#include <math.h>

struct job {
    const struct step *s;
    const struct delta *d;
    float *y;
};

size_t blk_delta_bytes(const struct delta *d)
{
    return d->n_head * d->d_k * d->d_v * sizeof(float);
}

/* Queries and keys of tokens [lo, hi). */
static void unit_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct job *j = ctx;
    const struct delta *d = j->d;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        for (size_t h = 0; h < d->n_head_k; h++) {
            float *q = d->q + t * d->ldq + h * d->d_k, *k = d->k + t * d->ldk + h * d->d_k;

            j->s->k->l2_norm(q, q, d->d_k, j->s->m->p.eps);
            j->s->k->l2_norm(k, k, d->d_k, j->s->m->p.eps);
        }
    }
}

/* Items are heads of runs. */
static void run_heads(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct job *j = ctx;
    const struct delta *d = j->d;
    size_t n = d->n_head, shared = n / d->n_head_k;

    (void)worker;
    for (size_t i = lo; i < hi && !step_stopped(j->s); i++) {
        const struct step_run *r = &j->s->run[i / n];
        size_t h = i % n, first = (size_t)r->first,
               kh = d->tiled ? h % d->n_head_k : h / shared;
        struct kern_delta rule = {
            .state = (float *)(void *)(r->state + d->off_state) + h * d->d_k * d->d_v,
            .d_k = d->d_k,
            .d_v = d->d_v,
            .n_tok = (size_t)r->n,
            .q = d->q + first * d->ldq + kh * d->d_k,
            .k = d->k + first * d->ldk + kh * d->d_k,
            .ldq = d->ldq,
            .ldk = d->ldk,
            .v = d->v + first * d->ldv + h * d->d_v,
            .ldv = d->ldv,
            .beta = d->beta + first * n + h,
            .ldbeta = n,
            .decay = d->decay + (first * n + h) * (d->per_row ? d->d_k : 1),
            .lddecay = n * (d->per_row ? d->d_k : 1),
            .per_row = d->per_row,
            .scale = (float)(1 / sqrt((double)d->d_k)),
            .y = j->y + (first * n + h) * d->d_v,
            .ldy = n * d->d_v};

        j->s->k->delta(&rule);
    }
}

/* What heads give for tokens [lo, hi): its norm, as far as the gate opens it. */
static void gate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct job *j = ctx;
    const struct delta *d = j->d;
    size_t n = d->d_v;

    (void)worker;
    for (size_t i = lo * d->n_head; i < hi * d->n_head; i++) {
        float *y = j->y + i * n;

        j->s->k->rms_norm(y, d->norm->vec, y, n, j->s->m->p.eps);
        j->s->k->act(d->gate_act, 0, d->gate + i * n, y, y, n);
    }
}

void blk_delta(struct step *s, const struct delta *d, float *y)
{
    struct job j = {s, d, y};
    size_t n_tok = (size_t)s->n_tok;

    if (step_stopped(s))
        return;
    pool_run(s->pool, n_tok, 8, unit_rows, &j);
    pool_run(s->pool, (size_t)s->n_run * d->n_head, n_tok < 16 ? 4 : 1, run_heads, &j);
    pool_run(s->pool, n_tok, 8, gate_rows, &j);
}

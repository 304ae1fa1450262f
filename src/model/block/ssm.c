/* ssm.c - the state space mixer of Mamba 2.
 *
 * One product gives, for each token, a gate z, what goes through the convolution - x, and B and
 * C of each group of heads - and dt of each head. Convolution and scan go along the runs, each
 * from the state of its sequence to the next: channels and heads are spread over the threads.
 *
 * State    the last inputs of the convolution, [k - 1][channels]; then S of each head, [p][n]
 * Source   Dao and Gu 2024, arXiv:2405.21060
 */
#include "model/block/block.h"

struct mixer {
    const struct step *s;
    const struct layer *l;
    size_t off_state;
    size_t inner, n_ch, n_head, n_p, n_s, width;
    float *u; /* [n_tok][width]: z, x, B, C, dt */
    float *y; /* [n_tok][inner] */
};

static size_t channels(const struct ssm_params *p)
{
    return (size_t)p->inner + 2 * (size_t)p->n_group * (size_t)p->state;
}

size_t blk_conv_bytes(size_t k, size_t n_ch)
{
    return ((k - 1) * n_ch * sizeof(float) + 63) & ~(size_t)63;
}

size_t blk_ssm_bytes(const struct params *p)
{
    return blk_conv_bytes((size_t)p->ssm.conv, channels(&p->ssm)) +
           (size_t)p->ssm.inner * (size_t)p->ssm.state * sizeof(float);
}

/* -- the convolution ------------------------------------------------------------------- */

struct conv_job {
    const struct step *s;
    const struct conv *c;
};

static void conv_channels(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct conv_job *j = ctx;
    const struct conv *c = j->c;

    (void)worker;
    for (int i = 0; i < j->s->n_run && !step_stopped(j->s); i++) {
        const struct step_run *r = &j->s->run[i];
        float *x = c->x + (size_t)r->first * c->ld;
        struct kern_conv conv = {.x = x,
                                 .ldx = c->ld,
                                 .y = x,
                                 .ldy = c->ld,
                                 .w = c->w->vec,
                                 .bias = c->bias ? c->bias->vec : NULL,
                                 .state = (float *)(void *)(r->state + c->off_state),
                                 .n_tok = (size_t)r->n,
                                 .n_ch = c->n_ch,
                                 .k = (size_t)j->s->m->p.ssm.conv,
                                 .act = KERN_ACT_SILU};

        j->s->k->conv(&conv, lo, hi);
    }
}

/* Of few tokens a piece has more channels: it is to take some microseconds. */
void blk_conv(struct step *s, const struct conv *c)
{
    struct conv_job j = {s, c};

    if (!step_stopped(s))
        pool_run(s->pool, c->n_ch, s->n_tok < 16 ? 1024 : 64, conv_channels, &j);
}

/* -- heads ----------------------------------------------------------------------------- */

/* dt of tokens [lo, hi): softplus of it and its bias. */
static void steps_of(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mixer *j = ctx;
    const float *bias = j->l->t[T_SSM_DT_BIAS]->vec;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *dt = j->u + (t + 1) * j->width - j->n_head;

        for (size_t h = 0; h < j->n_head; h++)
            dt[h] += bias[h];
        j->s->k->act(KERN_ACT_SOFTPLUS, 0, dt, NULL, dt, j->n_head);
    }
}

/* Items are heads of runs. */
static void scan_heads(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mixer *j = ctx;
    const struct ssm_params *p = &j->s->m->p.ssm;
    size_t per_group = j->n_head / (size_t)p->n_group,
           off = j->off_state + blk_conv_bytes((size_t)p->conv, j->n_ch);

    (void)worker;
    for (size_t i = lo; i < hi && !step_stopped(j->s); i++) {
        const struct step_run *r = &j->s->run[i / j->n_head];
        size_t h = i % j->n_head, first = (size_t)r->first;
        float *x = j->u + first * j->width + j->inner, *b = x + j->inner;
        struct kern_ssm scan = {.state =
                                    (float *)(void *)(r->state + off) + h * j->n_p * j->n_s,
                                .n_p = j->n_p,
                                .n_s = j->n_s,
                                .n_tok = (size_t)r->n,
                                .x = x + h * j->n_p,
                                .ldx = j->width,
                                .b = b + h / per_group * j->n_s,
                                .c = b + ((size_t)p->n_group + h / per_group) * j->n_s,
                                .ldbc = j->width,
                                .dt = x + j->n_ch + h,
                                .lddt = j->width,
                                .a = j->l->t[T_SSM_A]->vec[h],
                                .d = j->l->t[T_SSM_D]->vec[h],
                                .y = j->y + first * j->inner + h * j->n_p,
                                .ldy = j->inner};

        j->s->k->ssm(&scan);
    }
}

/* y of tokens [lo, hi) as far as z opens it; then the norm of each group, where there is one.
 */
static void gate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mixer *j = ctx;
    const struct params *p = &j->s->m->p;
    const struct weight *norm = j->l->t[T_SSM_NORM];
    size_t n_group = (size_t)p->ssm.n_group, n = j->inner / n_group;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *y = j->y + t * j->inner;

        j->s->k->act(KERN_ACT_SILU, 0, j->u + t * j->width, y, y, j->inner);
        for (size_t g = 0; g < n_group && norm; g++)
            j->s->k->rms_norm(y + g * n, norm->vec + g * n, y + g * n, n, p->eps);
    }
}

/* -- the block ------------------------------------------------------------------------- */

void blk_ssm(struct step *s, int layer, const struct kern_acts *a, float *y, int epilogue)
{
    const struct ssm_params *p = &s->m->p.ssm;
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok;
    struct mixer j = {.s = s,
                      .l = l,
                      .off_state = s->cache->layer[layer].off_state,
                      .inner = (size_t)p->inner,
                      .n_ch = channels(p),
                      .n_head = (size_t)p->n_head,
                      .n_p = (size_t)(p->inner / p->n_head),
                      .n_s = (size_t)p->state};
    struct kern_acts out;

    j.width = j.inner + j.n_ch + j.n_head;
    j.u = step_floats(s, n_tok * j.width);
    j.y = step_floats(s, n_tok * j.inner);
    blk_linear(s, l->t[T_SSM_IN], NULL, a, j.u, KERN_STORE);
    blk_conv(s, &(struct conv){.x = j.u + j.inner,
                               .ld = j.width,
                               .n_ch = j.n_ch,
                               .w = l->t[T_SSM_CONV],
                               .bias = l->t[T_SSM_CONV_BIAS],
                               .off_state = j.off_state});
    if (!step_stopped(s)) {
        pool_run(s->pool, n_tok, 16, steps_of, &j);
        pool_run(s->pool, (size_t)s->n_run * j.n_head, n_tok < 16 ? 4 : 1, scan_heads, &j);
        pool_run(s->pool, n_tok, 4, gate_rows, &j);
    }
    out = blk_acts(s, j.y, n_tok, j.inner, l->t[T_SSM_OUT]);
    blk_linear(s, l->t[T_SSM_OUT], NULL, &out, y, epilogue);
    step_release(s, mark);
}

struct kern_acts blk_ssm_norm(struct step *s, int layer, const float *x)
{
    const struct layer *l = &s->m->layer[layer];

    return blk_norm(s, x, l->t[T_ATTN_NORM], NULL, &l->t[T_SSM_IN], 1);
}

void blk_ssm_plain(struct step *s, int layer, float *x)
{
    size_t mark = step_mark(s);
    struct kern_acts a = blk_ssm_norm(s, layer, x);

    blk_ssm(s, layer, &a, x, KERN_ADD);
    step_release(s, mark);
}

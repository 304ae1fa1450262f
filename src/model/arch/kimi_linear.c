/* kimi_linear.c - Kimi Linear: three layers of linear attention to one of latent attention.
 *
 * The linear one (KDA) is the gated delta rule with a factor of decay for each number of a key:
 * queries, keys and values go through a convolution each; decay and the gate of what a head
 * gives come from products of low rank. Latent attention knows no positions: nothing of it
 * rotates. Layers without key/value heads are linear. Feed-forwards as DeepSeek V3.
 *
 * Source  Kimi Team 2025, arXiv:2510.26692
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/deepseek.h"

#include <math.h>

enum { T_CONV_Q = T_OWN, T_CONV_K, T_CONV_V, T_F_A, T_F_B, T_G_A, T_G_B };
/* Some files have biases of queries, keys and values, which the published model does not: they
 * are left alone. */
enum { T_NO_Q_BIAS = T_G_B + 1, T_NO_K_BIAS, T_NO_V_BIAS };

/* clang-format off */
static const struct tensor_spec tensors[] = {
    TENSORS_DEEPSEEK,
    LAYER(ATTN_NORM,   "attn_norm.weight",    VEC,       HAS_DELTA, DIM_EMBD),
    LAYER(ATTN_Q,      "attn_q.weight",       0,         HAS_DELTA, DIM_EMBD, DIM_SSM_INNER),
    LAYER(ATTN_K,      "attn_k.weight",       0,         HAS_DELTA, DIM_EMBD, DIM_SSM_INNER),
    LAYER(ATTN_V,      "attn_v.weight",       0,         HAS_DELTA, DIM_EMBD, DIM_SSM_INNER),
    LAYER(NO_Q_BIAS,   "attn_q.bias",         VEC | MAY, HAS_DELTA, DIM_SSM_INNER),
    LAYER(NO_K_BIAS,   "attn_k.bias",         VEC | MAY, HAS_DELTA, DIM_SSM_INNER),
    LAYER(NO_V_BIAS,   "attn_v.bias",         VEC | MAY, HAS_DELTA, DIM_SSM_INNER),
    LAYER(CONV_Q,      "ssm_conv1d_q.weight", VEC,       HAS_DELTA, DIM_SSM_CONV, DIM_ONE, DIM_SSM_INNER),
    LAYER(CONV_K,      "ssm_conv1d_k.weight", VEC,       HAS_DELTA, DIM_SSM_CONV, DIM_ONE, DIM_SSM_INNER),
    LAYER(CONV_V,      "ssm_conv1d_v.weight", VEC,       HAS_DELTA, DIM_SSM_CONV, DIM_ONE, DIM_SSM_INNER),
    LAYER(F_A,         "ssm_f_a.weight",      0,         HAS_DELTA, DIM_EMBD, DIM_SSM_STATE),
    LAYER(F_B,         "ssm_f_b.weight",      0,         HAS_DELTA, DIM_SSM_STATE, DIM_SSM_INNER),
    LAYER(G_A,         "ssm_g_a.weight",      0,         HAS_DELTA, DIM_EMBD, DIM_SSM_STATE),
    LAYER(G_B,         "ssm_g_b.weight",      0,         HAS_DELTA, DIM_SSM_STATE, DIM_SSM_INNER),
    LAYER(SSM_BETA,    "ssm_beta.weight",     0,         HAS_DELTA, DIM_EMBD, DIM_SSM_HEADS),
    LAYER(SSM_A,       "ssm_a",               VEC,       HAS_DELTA, DIM_ONE, DIM_SSM_HEADS),
    LAYER(SSM_DT_BIAS, "ssm_dt",              VEC | MAY, HAS_DELTA, DIM_SSM_INNER),
    LAYER(SSM_DT_BIAS, "ssm_dt.bias",         VEC,       HAS_DELTA, DIM_SSM_INNER),
    LAYER(SSM_NORM,    "ssm_norm.weight",     VEC,       HAS_DELTA, DIM_SSM_STATE),
    LAYER(ATTN_OUTPUT, "attn_output.weight",  0,         HAS_DELTA, DIM_SSM_INNER, DIM_EMBD),
};
/* clang-format on */

static int kimi_params(struct params *p, struct params_reader *r)
{
    struct ssm_params *m = &p->ssm;

    m->conv = params_int(r, "ssm.conv_kernel", 2, KERN_CONV_MAX, 0);
    m->state = params_int(r, "kda.head_dim", 1, PARAMS_HEAD_DIM_MAX, 0);
    m->n_head = m->n_group = params_int(r, "attention.head_count", 1, PARAMS_HEADS_MAX, 0);
    m->inner = m->n_head * m->state;
    return deepseek_params(p, r, MOE_SIGMOID);
}

static int kimi_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    if (l->n_head_kv > 0)
        return deepseek_layer(p, r, i, l);
    l->has = (l->has & ~(HAS_ATTN | HAS_KV)) | HAS_DELTA;
    return r->rc;
}

static struct delta sizes_of(const struct params *p)
{
    return (struct delta){.n_head = (size_t)p->ssm.n_head,
                          .n_head_k = (size_t)p->ssm.n_head,
                          .d_k = (size_t)p->ssm.state,
                          .d_v = (size_t)p->ssm.state};
}

static size_t conv_bytes(const struct params *p)
{
    return blk_conv_bytes((size_t)p->ssm.conv, (size_t)p->ssm.inner);
}

static struct cache_need kimi_cache(const struct params *p, const struct layer *l)
{
    struct delta d = sizes_of(p);

    return (struct cache_need){
        .state = l->has & HAS_DELTA ? 3 * conv_bytes(p) + blk_delta_bytes(&d) : 0};
}

/* -- the linear mixer ------------------------------------------------------------------ */

struct mixer {
    struct step *s;
    const struct layer *l;
    size_t n_tok, n_head, d, inner;
    float *qkv[3]; /* [n_tok][inner] each */
    float *decay;  /* [n_tok][inner] */
    float *gate;   /* [n_tok][inner] */
    float *beta;   /* [n_tok][n_head] */
};

/* How far the rows of tokens [lo, hi) are kept and replaced, from what products gave. */
static void ready_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mixer *j = ctx;
    const struct kern *k = j->s->k;
    const float *a = j->l->t[T_SSM_A]->vec, *dt = j->l->t[T_SSM_DT_BIAS]->vec;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *beta = j->beta + t * j->n_head, *decay = j->decay + t * j->inner;

        k->act(KERN_ACT_SIGMOID, 0, beta, NULL, beta, j->n_head);
        for (size_t i = 0; i < j->inner; i++)
            decay[i] += dt[i];
        k->act(KERN_ACT_SOFTPLUS, 0, decay, NULL, decay, j->inner);
        for (size_t i = 0; i < j->inner; i++)
            decay[i] = expf(a[i / j->d] * decay[i]);
    }
}

/* y = B A x */
static void low_rank(struct mixer *j, int b, const float *ax, float *y)
{
    struct step *s = j->s;
    size_t mark = step_mark(s);
    struct kern_acts a = blk_acts(s, ax, j->n_tok, j->d, j->l->t[b]);

    blk_linear(s, j->l->t[b], NULL, &a, y, KERN_STORE);
    step_release(s, mark);
}

static void project(struct mixer *j, const struct kern_acts *a)
{
    struct step *s = j->s;
    const struct layer *l = j->l;
    size_t all = j->n_tok * j->inner;
    float *f, *g;

    for (int i = 0; i < 3; i++)
        j->qkv[i] = step_floats(s, all);
    j->decay = step_floats(s, all);
    j->gate = step_floats(s, all);
    j->beta = step_floats(s, j->n_tok * j->n_head);
    f = step_floats(s, j->n_tok * j->d);
    g = step_floats(s, j->n_tok * j->d);
    blk_linears(s,
                (const struct linear[]){{l->t[T_ATTN_Q], NULL, j->qkv[0], KERN_STORE},
                                        {l->t[T_ATTN_K], NULL, j->qkv[1], KERN_STORE},
                                        {l->t[T_ATTN_V], NULL, j->qkv[2], KERN_STORE}},
                3, a);
    blk_linears(s,
                (const struct linear[]){{l->t[T_F_A], NULL, f, KERN_STORE},
                                        {l->t[T_G_A], NULL, g, KERN_STORE},
                                        {l->t[T_SSM_BETA], NULL, j->beta, KERN_STORE}},
                3, a);
    low_rank(j, T_F_B, f, j->decay);
    low_rank(j, T_G_B, g, j->gate);
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 4, ready_rows, j);
}

/* x += W_o mixer(norm(x)) */
static void linear_attention(struct step *s, int layer, float *x)
{
    const struct params *p = &s->m->p;
    const struct layer *l = &s->m->layer[layer];
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V],
                                      l->t[T_F_A],    l->t[T_G_A],    l->t[T_SSM_BETA]};
    size_t mark = step_mark(s), off = s->cache->layer[layer].off_state;
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], NULL, readers, 6);
    struct delta d = sizes_of(p);
    struct mixer j = {.s = s,
                      .l = l,
                      .n_tok = (size_t)s->n_tok,
                      .n_head = d.n_head,
                      .d = d.d_k,
                      .inner = (size_t)p->ssm.inner};
    float *y = step_floats(s, j.n_tok * j.inner);

    project(&j, &a);
    for (int i = 0; i < 3; i++, off += conv_bytes(p))
        blk_conv(s, &(struct conv){.x = j.qkv[i],
                                   .ld = j.inner,
                                   .n_ch = j.inner,
                                   .w = l->t[T_CONV_Q + i],
                                   .off_state = off});
    d.q = j.qkv[0];
    d.k = j.qkv[1];
    d.v = j.qkv[2];
    d.ldq = d.ldk = d.ldv = j.inner;
    d.beta = j.beta;
    d.decay = j.decay;
    d.per_row = 1;
    d.norm = l->t[T_SSM_NORM];
    d.gate = j.gate;
    d.gate_act = KERN_ACT_SIGMOID;
    d.off_state = off;
    blk_delta(s, &d, y);
    a = blk_acts(s, y, j.n_tok, j.inner, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], NULL, &a, x, KERN_ADD);
    step_release(s, mark);
}

/* -- the model ------------------------------------------------------------------------- */

/* Latent attention without positions: each token's angles are 0. */
static void no_rotation(struct step *s)
{
    size_t n = (size_t)s->n_tok * (size_t)s->m->p.rope[ROPE_MAIN].n_rot;
    float *cs = step_floats(s, n);

    for (size_t i = 0; i < n && !s->dry; i++)
        cs[i] = i % 2 == 0;
    s->angles[ROPE_MAIN] = cs;
}

static void kimi_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    no_rotation(s);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];

        if (l->has & HAS_DELTA)
            linear_attention(s, i, x);
        else
            blk_mla(s, i, &(struct mla){0}, x);
        if (l->has & HAS_MOE)
            blk_ffn_moe(s, l, x);
        else
            blk_ffn_gated(s, l, x);
    }
    blk_output(s, x);
}

const struct arch arch_kimi_linear = {
    .name = "kimi-linear",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = kimi_params,
    .layer = kimi_layer,
    .dim = deepseek_dim,
    .cache = kimi_cache,
    .forward = kimi_forward,
    .about = "Kimi Linear",
};

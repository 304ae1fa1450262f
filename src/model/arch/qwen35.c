/* qwen35.c - Qwen3-Next, Qwen3.5 and Qwen3.5 with experts: linear attention, and every few
 * layers a full one.
 *
 * Each layer: x += mixer(rms(x)), x += feed-forward(rms(x)). The linear mixer is the gated
 * delta rule over queries, keys and values that went through one short convolution; what a head
 * gives is normed, and gated by silu(z). Full attention has norms of each query and key head,
 * rotates the first numbers of a head, and a gate beside each query opens its result. Text has
 * one position for all sections of the rotation, so that it is the plain one.
 *
 * Value heads: of Qwen3-Next neighbours share a key head, of Qwen3.5 those n_group apart. Old
 * files of Qwen3-Next have q, k, v and z of a key head together in ssm_in.
 *
 * Source  Qwen team 2025; Yang et al. 2024, arXiv:2412.06464
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

#include <math.h>
#include <string.h>

/* Some files have biases of full attention, which the published model does not: they are left
 * alone. */
enum { T_QKV = T_OWN, T_NO_Q_BIAS, T_NO_K_BIAS, T_NO_V_BIAS };
enum { HAS_QKV = HAS_OWN, HAS_QKVZ = 2 * HAS_OWN };
enum { DIM_QKVZ = DIM_OWN, DIM_BA, DIM_VALUE };

/* clang-format off */
#define TENSORS_LAYER                                                                          \
    LAYER(ATTN_NORM,   "attn_norm.weight",           VEC,       HAS_ATTN | HAS_DELTA, DIM_EMBD), \
    LAYER(FFN_NORM,    "post_attention_norm.weight", VEC,       HAS_ATTN | HAS_DELTA, DIM_EMBD), \
    LAYER(ATTN_Q,      "attn_q.weight",              0,         HAS_ATTN,  DIM_EMBD, DIM_Q2),  \
    LAYER(ATTN_K,      "attn_k.weight",              0,         HAS_KV,    DIM_EMBD, DIM_K),   \
    LAYER(ATTN_V,      "attn_v.weight",              0,         HAS_KV,    DIM_EMBD, DIM_V),   \
    LAYER(ATTN_OUTPUT, "attn_output.weight",         0,         HAS_ATTN,  DIM_O,    DIM_EMBD), \
    LAYER(NO_Q_BIAS, "attn_q.bias",                VEC | MAY, HAS_ATTN,  DIM_Q2),            \
    LAYER(NO_K_BIAS, "attn_k.bias",                VEC | MAY, HAS_KV,    DIM_K),             \
    LAYER(NO_V_BIAS, "attn_v.bias",                VEC | MAY, HAS_KV,    DIM_V),             \
    TENSORS_ATTN_HEAD_NORM(0),                                                                 \
    LAYER(QKV,         "attn_qkv.weight",            0,         HAS_QKV,   DIM_EMBD, DIM_SSM_CHANNELS), \
    LAYER(ATTN_GATE,   "attn_gate.weight",           0,         HAS_QKV,   DIM_EMBD, DIM_SSM_INNER), \
    LAYER(SSM_CONV,    "ssm_conv1d.weight",          VEC,       HAS_DELTA, DIM_SSM_CONV, DIM_SSM_CHANNELS), \
    LAYER(SSM_DT_BIAS, "ssm_dt",                     VEC | MAY, HAS_DELTA, DIM_SSM_HEADS),     \
    LAYER(SSM_DT_BIAS, "ssm_dt.bias",                VEC,       HAS_DELTA, DIM_SSM_HEADS),     \
    LAYER(SSM_A,       "ssm_a",                      VEC,       HAS_DELTA, DIM_SSM_HEADS),     \
    LAYER(SSM_NORM,    "ssm_norm.weight",            VEC,       HAS_DELTA, DIM_VALUE),         \
    LAYER(SSM_OUT,     "ssm_out.weight",             0,         HAS_DELTA, DIM_SSM_INNER, DIM_EMBD)

/* One matrix for beta and alpha; and what old files have instead of qkv and gate. */
#define TENSORS_NEXT                                                                           \
    LAYER(SSM_BA, "ssm_ba.weight", 0, HAS_DELTA, DIM_EMBD, DIM_BA),                            \
    LAYER(SSM_IN, "ssm_in.weight", 0, HAS_QKVZ,  DIM_EMBD, DIM_QKVZ)

#define TENSORS_35                                                                             \
    LAYER(SSM_BETA,  "ssm_beta.weight",  0, HAS_DELTA, DIM_EMBD, DIM_SSM_HEADS),               \
    LAYER(SSM_ALPHA, "ssm_alpha.weight", 0, HAS_DELTA, DIM_EMBD, DIM_SSM_HEADS)
/* clang-format on */

static const struct tensor_spec tensors_next[] = {
    TENSORS_ENDS,   TENSORS_LAYER,       TENSORS_NEXT,  TENSORS_MOE,
    TENSORS_SHARED, TENSORS_SHARED_GATE, TENSORS_NEXTN,
};

static const struct tensor_spec tensors_35[] = {
    TENSORS_ENDS, TENSORS_LAYER, TENSORS_35, TENSORS_FFN_GATED, TENSORS_NEXTN,
};

static const struct tensor_spec tensors_35moe[] = {
    TENSORS_ENDS,   TENSORS_LAYER,       TENSORS_35,    TENSORS_MOE,
    TENSORS_SHARED, TENSORS_SHARED_GATE, TENSORS_NEXTN,
};

/* -- parameters ------------------------------------------------------------------------ */

static int dense_params(struct params *p, struct params_reader *r)
{
    params_ssm(r, p);
    return r->rc;
}

static int moe_params(struct params *p, struct params_reader *r)
{
    params_ssm(r, p);
    params_moe(r, p, &(struct moe_params){.n = 1, .norm = 1});
    p->moe.n_ff_shared = params_int(r, "expert_shared_feed_forward_length", 1, PARAMS_WIDTH_MAX,
                                    r->rc < 0 ? 1 : p->moe.n_ff);
    return r->rc;
}

static int is_linear(const struct params *p, struct params_reader *r, int i)
{
    int every = params_int(r, "full_attention_interval", 1, PARAMS_LAYERS_MAX, 4);

    return i < p->n_layer &&
           params_int_at(r, "attention.recurrent_layers", i, 0, 1, (i + 1) % every != 0);
}

static int layer_of(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    l->n_head_kv = p->n_head_kv; /* some files say 0 of linear layers */
    if (is_linear(p, r, i)) {
        int old = params_tensor(r, i, "ssm_in.weight") != NULL,
            now = params_tensor(r, i, "attn_qkv.weight") != NULL;

        l->has = (l->has & ~(HAS_ATTN | HAS_KV)) | HAS_DELTA | (old ? HAS_QKVZ : 0) |
                 (now || !old ? HAS_QKV : 0);
    }
    return r->rc;
}

static uint64_t dim_of(const struct params *p, const struct layer *l, int dim)
{
    const struct ssm_params *m = &p->ssm;

    (void)l;
    if (dim == DIM_QKVZ)
        return 2 * ((uint64_t)m->inner + (uint64_t)m->n_group * (uint64_t)m->state);
    return (uint64_t)(dim == DIM_BA ? 2 * m->n_head : m->inner / m->n_head);
}

/* -- the linear mixer ------------------------------------------------------------------ */

struct mixer {
    const struct step *s;
    const struct layer *l;
    struct delta d;
    size_t n_ch, inner, off_state;
    float *qkvz;         /* [n_tok][n_ch + inner] of old files */
    float *qkv, *z;      /* [n_tok][n_ch], [n_tok][inner] */
    float *ba;           /* [n_tok][2 n_head]: beta and alpha of each key head */
    float *beta, *alpha; /* [n_tok][n_head]; alpha becomes the decay */
};

static struct delta sizes_of(const struct params *p)
{
    return (struct delta){.n_head = (size_t)p->ssm.n_head,
                          .n_head_k = (size_t)p->ssm.n_group,
                          .d_k = (size_t)p->ssm.state,
                          .d_v = (size_t)(p->ssm.inner / p->ssm.n_head)};
}

static size_t channels(const struct params *p)
{
    return (size_t)p->ssm.inner + 2 * (size_t)p->ssm.n_group * (size_t)p->ssm.state;
}

static struct cache_need cache_of(const struct params *p, const struct layer *l)
{
    struct delta d = sizes_of(p);

    if (!(l->has & HAS_DELTA))
        return (struct cache_need){0};
    return (struct cache_need){.state = blk_conv_bytes((size_t)p->ssm.conv, channels(p)) +
                                        blk_delta_bytes(&d)};
}

/* Key head by key head q, k, v and z, as the others have them: all q, all k, all v; all z. */
static void part_qkvz(const struct mixer *j, size_t t)
{
    size_t n = j->d.n_head_k, d_k = j->d.d_k, v = j->inner / n, all_k = n * d_k;
    const float *from = j->qkvz + t * (j->n_ch + j->inner);
    float *to = j->qkv + t * j->n_ch, *z = j->z + t * j->inner;

    for (size_t h = 0; h < n; h++, from += 2 * (d_k + v)) {
        memcpy(to + h * d_k, from, d_k * sizeof(*to));
        memcpy(to + all_k + h * d_k, from + d_k, d_k * sizeof(*to));
        memcpy(to + 2 * all_k + h * v, from + 2 * d_k, v * sizeof(*to));
        memcpy(z + h * v, from + 2 * d_k + v, v * sizeof(*to));
    }
}

/* The betas of a key head's values, then its alphas. */
static void part_ba(const struct mixer *j, size_t t)
{
    size_t n = j->d.n_head, each = n / j->d.n_head_k;

    for (size_t h = 0; h < n; h++) {
        const float *of = j->ba + t * 2 * n + h / each * 2 * each + h % each;

        j->beta[t * n + h] = of[0];
        j->alpha[t * n + h] = of[each];
    }
}

/* What products gave for tokens [lo, hi), as the delta rule reads it. */
static void ready_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mixer *j = ctx;
    const struct kern *k = j->s->k;
    const float *a = j->l->t[T_SSM_A]->vec, *dt = j->l->t[T_SSM_DT_BIAS]->vec;
    size_t n = j->d.n_head;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *beta = j->beta + t * n, *decay = j->alpha + t * n;

        if (j->qkvz)
            part_qkvz(j, t);
        if (j->ba)
            part_ba(j, t);
        k->act(KERN_ACT_SIGMOID, 0, beta, NULL, beta, n);
        for (size_t h = 0; h < n; h++)
            decay[h] += dt[h];
        k->act(KERN_ACT_SOFTPLUS, 0, decay, NULL, decay, n);
        for (size_t h = 0; h < n; h++)
            decay[h] = expf(a[h] * decay[h]);
    }
}

static void project(struct step *s, struct mixer *j, const struct kern_acts *a)
{
    const struct layer *l = j->l;
    size_t n_tok = (size_t)s->n_tok, n = 0;
    struct linear of[LINEARS_MAX];

    j->qkv = step_floats(s, n_tok * j->n_ch);
    j->z = step_floats(s, n_tok * j->inner);
    j->beta = step_floats(s, n_tok * j->d.n_head);
    j->alpha = step_floats(s, n_tok * j->d.n_head);
    if (l->has & HAS_QKV) {
        of[n++] = (struct linear){l->t[T_QKV], NULL, j->qkv, KERN_STORE};
        of[n++] = (struct linear){l->t[T_ATTN_GATE], NULL, j->z, KERN_STORE};
    } else {
        j->qkvz = step_floats(s, n_tok * (j->n_ch + j->inner));
        of[n++] = (struct linear){l->t[T_SSM_IN], NULL, j->qkvz, KERN_STORE};
    }
    if (l->t[T_SSM_BA]) {
        j->ba = step_floats(s, n_tok * 2 * j->d.n_head);
        of[n++] = (struct linear){l->t[T_SSM_BA], NULL, j->ba, KERN_STORE};
    } else {
        of[n++] = (struct linear){l->t[T_SSM_BETA], NULL, j->beta, KERN_STORE};
        of[n++] = (struct linear){l->t[T_SSM_ALPHA], NULL, j->alpha, KERN_STORE};
    }
    blk_linears(s, of, n, a);
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 8, ready_rows, j);
}

/* x += W_out mixer(norm(x)) */
static void linear_attention(struct step *s, int layer, float *x)
{
    const struct params *p = &s->m->p;
    const struct layer *l = &s->m->layer[layer];
    const struct weight *readers[] = {l->t[T_QKV],    l->t[T_ATTN_GATE], l->t[T_SSM_IN],
                                      l->t[T_SSM_BA], l->t[T_SSM_BETA],  l->t[T_SSM_ALPHA]};
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok;
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], NULL, readers, 6), out;
    struct mixer j = {.s = s,
                      .l = l,
                      .d = sizes_of(p),
                      .n_ch = channels(p),
                      .inner = (size_t)p->ssm.inner,
                      .off_state = s->cache->layer[layer].off_state};
    size_t all_k = j.d.n_head_k * j.d.d_k;
    float *y = step_floats(s, n_tok * j.inner);

    project(s, &j, &a);
    blk_conv(s, &(struct conv){.x = j.qkv,
                               .ld = j.n_ch,
                               .n_ch = j.n_ch,
                               .w = l->t[T_SSM_CONV],
                               .off_state = j.off_state});
    j.d.tiled = !l->t[T_SSM_BA];
    j.d.q = j.qkv;
    j.d.k = j.qkv + all_k;
    j.d.v = j.qkv + 2 * all_k;
    j.d.ldq = j.d.ldk = j.d.ldv = j.n_ch;
    j.d.beta = j.beta;
    j.d.decay = j.alpha;
    j.d.norm = l->t[T_SSM_NORM];
    j.d.gate = j.z;
    j.d.gate_act = KERN_ACT_SILU;
    j.d.off_state = j.off_state + blk_conv_bytes((size_t)p->ssm.conv, j.n_ch);
    blk_delta(s, &j.d, y);
    out = blk_acts(s, y, n_tok, j.inner, l->t[T_SSM_OUT]);
    blk_linear(s, l->t[T_SSM_OUT], NULL, &out, x, KERN_ADD);
    step_release(s, mark);
}

/* -- the model ------------------------------------------------------------------------- */

static void full_attention(struct step *s, int layer, float *x)
{
    size_t mark = step_mark(s);
    struct kern_acts a = blk_attn_norm(s, layer, x);

    blk_attn(s, layer, &a, &(struct attn){.gated = 1}, x, KERN_ADD);
    step_release(s, mark);
}

static void layer_forward(struct step *s, int i, float *x)
{
    const struct layer *l = &s->m->layer[i];

    if (l->has & HAS_DELTA)
        linear_attention(s, i, x);
    else
        full_attention(s, i, x);
    if (l->has & HAS_MOE)
        blk_ffn_moe(s, l, x);
    else
        blk_ffn_gated(s, l, x);
}

static void forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++)
        layer_forward(s, i, x);
    blk_output(s, x);
}

static void nextn(struct step *s)
{
    float *u = blk_nextn_in(s, s->nextn_h);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    layer_forward(s, s->m->p.n_layer, u);
    blk_nextn_out(s, u);
}

#define QWEN(of, table, params, what)                                                          \
    const struct arch arch_##of = {                                                            \
        .name = #of,                                                                           \
        TENSORS(table),                                                                        \
        .rope_kind = KERN_ROPE_NEOX,                                                           \
        .read_params = (params),                                                               \
        .layer = layer_of,                                                                     \
        .dim = dim_of,                                                                         \
        .cache = cache_of,                                                                     \
        .forward = forward,                                                                    \
        .nextn = nextn,                                                                        \
        .about = what,                                                                         \
    }

QWEN(qwen3next, tensors_next, moe_params, "Qwen3-Next, Qwen3-Coder-Next");
QWEN(qwen35, tensors_35, dense_params, "Qwen3.5");
QWEN(qwen35moe, tensors_35moe, moe_params, "Qwen3.5 with experts");

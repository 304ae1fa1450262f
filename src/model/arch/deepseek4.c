/* deepseek4.c - DeepSeek V4.
 *
 * A token is n streams of numbers. Each part of a layer reads a weighted sum of them and writes
 * its result to all; the streams are mixed by a matrix whose rows and columns have the sum 1.
 *
 * Attention has one vector for each position, key and value of all heads, and sees a window of
 * them. Most layers also see compressed ones: an average of the vectors of `ratio` positions,
 * weighted for each number; with a ratio of 4, of the 4 before too, and only those that an
 * indexer chooses. Results are turned back by their position, since values were turned too.
 *
 * The first layers choose experts by the token's id.
 *
 * What is compressed, and the indexer's, is not rounded to 8 and 4 bits as in training.
 *
 * Source  DeepSeek-AI 2026, DeepSeek-V4; Zhu et al. 2024, arXiv:2409.19606 (hyper-connections)
 */
#include "model/arch/deepseek.h"

#include "model/arch/arch.h"
#include "model/block/block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { HYPER_MAX = 8, RATIO_MAX = 1024, RATIO_OVERLAP = 4 };

enum {
    T_HYPER_FN = T_OWN,
    T_HYPER_BASE,
    T_HYPER_SCALE,
    T_HYPER_ATTN_FN,
    T_HYPER_ATTN_BASE,
    T_HYPER_ATTN_SCALE,
    T_HYPER_FFN_FN,
    T_HYPER_FFN_BASE,
    T_HYPER_FFN_SCALE,
    T_ATTN_OUTPUT_A,
    T_COMPRESS_KV,
    T_COMPRESS_GATE,
    T_COMPRESS_APE,
    T_COMPRESS_NORM,
    T_INDEX_Q,
    T_INDEX_PROJ,
    T_INDEX_KV,
    T_INDEX_GATE,
    T_INDEX_APE,
    T_INDEX_NORM
};

enum {
    HAS_COMPRESSED = HAS_OWN,
    HAS_CHOICE = HAS_OWN * 2, /* of the compressed ones */
    HAS_FIXED = HAS_OWN * 4   /* experts by the token's id */
};

enum {
    DIM_STREAMS = DIM_OWN, /* numbers of all streams */
    DIM_STREAM_N,
    DIM_MIX, /* numbers of a mixing: in, out, and the matrix */
    DIM_MIX_SCALES,
    DIM_GROUP_IN, /* of the results of a group's heads */
    DIM_GROUP_OUT,
    DIM_GROUPS,
    DIM_GROUPS_OUT,
    DIM_COMPRESS,
    DIM_RATIO,
    DIM_CHOICE_HEADS,
    DIM_CHOICE_Q,
    DIM_CHOICE_COMPRESS,
    DIM_CHOICE,
    DIM_USED
};

/* clang-format off */
#define HYPER(name, file)                                                                      \
    LAYER(HYPER_##name##_FN,    file "_fn.weight",    0,   HAS_ATTN, DIM_STREAMS, DIM_MIX),    \
    LAYER(HYPER_##name##_BASE,  file "_base.weight",  VEC, HAS_ATTN, DIM_MIX),                 \
    LAYER(HYPER_##name##_SCALE, file "_scale.weight", VEC, HAS_ATTN, DIM_MIX_SCALES)
#define COMPRESS(name, file, when, dim, size)                                                  \
    LAYER(name##_KV,   file "_kv.weight",   0,   when, DIM_EMBD, dim),                         \
    LAYER(name##_GATE, file "_gate.weight", 0,   when, DIM_EMBD, dim),                         \
    LAYER(name##_APE,  file "_ape.weight",  VEC, when, dim, DIM_RATIO),                        \
    LAYER(name##_NORM, file "_norm.weight", VEC, when, size)

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    GLOBAL(HYPER_FN,    "output_hc_fn.weight",    0,   DIM_STREAMS, DIM_STREAM_N),
    GLOBAL(HYPER_BASE,  "output_hc_base.weight",  VEC, DIM_STREAM_N),
    GLOBAL(HYPER_SCALE, "output_hc_scale.weight", VEC, DIM_ONE),
    HYPER(ATTN, "hc_attn"),
    HYPER(FFN, "hc_ffn"),
    LAYER(ATTN_NORM,      "attn_norm.weight",      VEC, HAS_ATTN, DIM_EMBD),
    LAYER(ATTN_SINKS,     "attn_sinks.weight",     VEC, HAS_ATTN, DIM_HEADS),
    LAYER(ATTN_Q_A,       "attn_q_a.weight",       0,   HAS_ATTN, DIM_EMBD, DIM_Q_RANK),
    LAYER(ATTN_Q_A_NORM,  "attn_q_a_norm.weight",  VEC, HAS_ATTN, DIM_Q_RANK),
    LAYER(ATTN_Q_B,       "attn_q_b.weight",       0,   HAS_ATTN, DIM_Q_RANK, DIM_Q),
    LAYER(ATTN_KV_A,      "attn_kv.weight",        0,   HAS_ATTN, DIM_EMBD, DIM_HEAD),
    LAYER(ATTN_KV_A_NORM, "attn_kv_a_norm.weight", VEC, HAS_ATTN, DIM_HEAD),
    LAYER(ATTN_OUTPUT_A,  "attn_output_a.weight",  0,   HAS_ATTN, DIM_GROUP_IN, DIM_GROUP_OUT, DIM_GROUPS),
    LAYER(ATTN_OUTPUT,    "attn_output_b.weight",  0,   HAS_ATTN, DIM_GROUPS_OUT, DIM_EMBD),
    COMPRESS(COMPRESS, "attn_compressor", HAS_COMPRESSED, DIM_COMPRESS, DIM_HEAD),
    LAYER(INDEX_Q,        "indexer.attn_q_b.weight", 0, HAS_CHOICE, DIM_Q_RANK, DIM_CHOICE_Q),
    LAYER(INDEX_PROJ,     "indexer.proj.weight",     0, HAS_CHOICE, DIM_EMBD, DIM_CHOICE_HEADS),
    COMPRESS(INDEX, "indexer_compressor", HAS_CHOICE, DIM_CHOICE_COMPRESS, DIM_CHOICE),
    LAYER(FFN_NORM,       "ffn_norm.weight",         VEC, HAS_MOE, DIM_EMBD),
    LAYER(FFN_TID2EID,    "ffn_gate_tid2eid.weight", TENSOR_RAW, HAS_FIXED, DIM_USED, DIM_VOCAB),
    TENSORS_MOE,
    TENSORS_MOE_BIAS(MAY),
    TENSORS_SHARED,
    TENSORS_NEXTN,
};
/* clang-format on */

/* -- parameters ------------------------------------------------------------------------ */

/* Layers without compressed keys have plain positions; the others a base of their own, and
 * YaRN's frequencies without its multiplier of cos and sin. */
static void read_rope(struct params *p, struct params_reader *r)
{
    struct rope_params *main = &p->rope[ROPE_MAIN], *o = &p->rope[ROPE_SWA];

    *o = *main;
    o->base = params_f64(r, "attention.compress_rope_freq_base", 1, 1e15, 160000);
    o->attn = o->ext != 0 ? 1 / (1 + 0.1 * log(1 / o->scale)) : 1;
    *main = (struct rope_params){.n_rot = o->n_rot, .base = main->base, .scale = 1, .attn = 1};
}

static int ratio_of(struct params_reader *r, int layer)
{
    return params_int_at(r, "attention.compress_ratios", layer, 0, RATIO_MAX, 0);
}

static void read_groups(struct params *p, struct params_reader *r)
{
    struct mla_params *m = &p->mla;

    m->q_rank = params_int(r, "attention.q_lora_rank", 1, PARAMS_WIDTH_MAX, 0);
    m->n_group = params_int(r, "attention.output_group_count", 1, PARAMS_HEADS_MAX, 0);
    m->o_rank = params_int(r, "attention.output_lora_rank", 1, PARAMS_WIDTH_MAX, 0);
}

static int ds4_params(struct params *p, struct params_reader *r)
{
    struct hyper_params *h = &p->hyper;
    int chooses = 0;

    read_rope(p, r);
    read_groups(p, r);
    p->n_window = params_int(r, "attention.sliding_window", 1, PARAMS_CTX_MAX, 0);
    h->n = params_int(r, "hyper_connection.count", 1, HYPER_MAX, 0);
    h->n_iter = params_int(r, "hyper_connection.sinkhorn_iterations", 1, 1000, 20);
    h->eps = (float)params_f64(r, "hyper_connection.epsilon", 0, 1, 1e-6);
    params_moe(r, p, &(struct moe_params){.n = 1, .score = MOE_SQRT_SOFTPLUS, .norm = 1});
    deepseek_shared(p, r);
    for (int i = 0; i < p->n_layer && r->rc == 0; i++)
        chooses |= ratio_of(r, i) == RATIO_OVERLAP;
    if (chooses)
        params_index(r, p);
    return r->rc;
}

/* Whether the n ids of a token's experts are experts, and different ones. */
static int are_experts(const int32_t *id, int n, int n_expert)
{
    char taken[PARAMS_EXPERTS_MAX] = {0};

    for (int i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= n_expert || taken[id[i]])
            return 0;
        taken[id[i]] = 1;
    }
    return 1;
}

static int check_fixed(const struct params *p, struct params_reader *r, int i)
{
    char name[64];
    const struct gguf_tensor *t;
    uint64_t n = (uint64_t)p->moe.n_used;

    (void)snprintf(name, sizeof(name), "blk.%d.ffn_gate_tid2eid.weight", i);
    t = gguf_tensor(r->g, name);
    if (!t || t->n_byte != t->n_elem * sizeof(int32_t) || t->n_elem % n)
        return err_set(r->e, E_FORMAT, "tensor %s: %s", name,
                       t ? "expected 32-bit integers, so many for a token as experts are used"
                         : "missing");
    if (!t->data) /* of a file that is only looked at */
        return 0;
    if ((uintptr_t)t->data % sizeof(int32_t))
        return err_set(r->e, E_FORMAT, "tensor %s: not aligned to its numbers", name);
    for (uint64_t k = 0; k < t->n_elem; k += n) {
        if (!are_experts((const int32_t *)(const void *)t->data + k, (int)n, p->moe.n))
            return err_set(r->e, E_FORMAT,
                           "tensor %s: token %llu: expected %d different experts below %d",
                           name, (unsigned long long)(k / n), (int)n, p->moe.n);
    }
    return 0;
}

static int ds4_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    int n_hash = params_int(r, "hash_layer_count", 0, PARAMS_LAYERS_MAX, 0);

    if (i >= p->n_layer && !deepseek_has_tensor(r, i, "nextn.eh_proj.weight")) {
        l->has = 0; /* left out when the file was made */
        return r->rc;
    }
    if (r->rc == 0 && l->n_head % p->mla.n_group)
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.attention.output_group_count: %d does not divide head_count %d",
                        r->arch, p->mla.n_group, l->n_head);
    l->n_head_kv = 1;
    l->d_v = l->d_k;
    l->window = WINDOW_LAST;
    l->n_window = p->n_window;
    l->act_limit = (float)params_f64_at(r, "swiglu_clamp_exp", i, 0, 1e6, 0);
    l->act_limit_shared =
        (float)params_f64_at(r, "swiglu_clamp_shexp", i, 0, 1e6, (double)l->act_limit);
    if (i >= p->n_layer)
        return r->rc;
    l->ratio = ratio_of(r, i);
    l->rope = l->ratio ? ROPE_SWA : ROPE_MAIN;
    l->has |= l->ratio ? HAS_COMPRESSED : 0;
    l->has |= l->ratio == RATIO_OVERLAP ? HAS_CHOICE : 0;
    if (r->rc < 0 || i >= n_hash)
        return r->rc;
    l->has |= HAS_FIXED;
    return check_fixed(p, r, i);
}

/* Blocks that a compressed key is made of: with a short ratio that before its own too. */
static int blocks_of(const struct layer *l)
{
    return l && l->ratio == RATIO_OVERLAP ? 2 : 1;
}

static uint64_t ds4_dim(const struct params *p, const struct layer *l, int dim)
{
    const uint64_t n = (uint64_t)p->hyper.n, blocks = (uint64_t)blocks_of(l);
    const struct mla_params *m = &p->mla;
    const uint64_t size[] = {
        [DIM_STREAMS - DIM_OWN] = n * (uint64_t)p->n_embd,
        [DIM_STREAM_N - DIM_OWN] = n,
        [DIM_MIX - DIM_OWN] = (2 + n) * n,
        [DIM_MIX_SCALES - DIM_OWN] = 3,
        [DIM_GROUP_IN - DIM_OWN] =
            (uint64_t)(l ? l->n_head / m->n_group : 0) * (uint64_t)p->d_k,
        [DIM_GROUP_OUT - DIM_OWN] = (uint64_t)m->o_rank,
        [DIM_GROUPS - DIM_OWN] = (uint64_t)m->n_group,
        [DIM_GROUPS_OUT - DIM_OWN] = (uint64_t)m->n_group * (uint64_t)m->o_rank,
        [DIM_COMPRESS - DIM_OWN] = blocks * (uint64_t)p->d_k,
        [DIM_RATIO - DIM_OWN] = l ? (uint64_t)l->ratio : 0,
        [DIM_CHOICE_HEADS - DIM_OWN] = (uint64_t)p->index.n_head,
        [DIM_CHOICE_Q - DIM_OWN] = (uint64_t)p->index.n_head * (uint64_t)p->index.d,
        [DIM_CHOICE_COMPRESS - DIM_OWN] = blocks * (uint64_t)p->index.d,
        [DIM_CHOICE - DIM_OWN] = (uint64_t)p->index.d,
        [DIM_USED - DIM_OWN] = (uint64_t)p->moe.n_used,
    };

    return size[dim - DIM_OWN];
}

/* -- what a layer keeps ---------------------------------------------------------------- */

/* Of a page: compressed keys, then the indexer's. Of the state: for the positions of the blocks
 * that the next key is made of, a ring of rows [2][blocks x size]: what is averaged, and its
 * weights before their softmax; then the same for the indexer's. Floats. */
static size_t rows_bytes(const struct layer *l, int size)
{
    return (size_t)((KERN_PAGE + l->ratio - 1) / l->ratio) * (size_t)size * sizeof(float);
}

static size_t ring_bytes(const struct layer *l, int size)
{
    size_t blocks = (size_t)blocks_of(l);

    return blocks * (size_t)l->ratio * 2 * blocks * (size_t)size * sizeof(float);
}

static struct cache_need ds4_cache(const struct params *p, const struct layer *l)
{
    struct cache_need need = {0, 0};

    if (l->has & HAS_COMPRESSED)
        need = (struct cache_need){rows_bytes(l, l->d_k), ring_bytes(l, l->d_k)};
    if (l->has & HAS_CHOICE) {
        need.page += rows_bytes(l, p->index.d);
        need.state += ring_bytes(l, p->index.d);
    }
    return need;
}

/* -- streams --------------------------------------------------------------------------- */

struct streams {
    struct step *s;
    size_t n, n_embd, n_mix;
    float *r;    /* [n_tok][n][n_embd] */
    float *flat; /* the same, normed */
    float *mix;  /* [n_tok][n_mix]: in, out, matrix [from][to] */
    float *u;    /* [n_tok][n_embd]: what a part reads */
    float *y;    /* [n_tok][n_embd]: what it gives */
    const float *base, *scale;
};

static void norm_streams(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct streams *j = ctx;
    size_t n = j->n * j->n_embd;

    (void)worker;
    for (size_t t = lo; t < hi; t++)
        j->s->k->rms_norm(j->r + t * n, NULL, j->flat + t * n, n, j->s->m->p.eps);
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

/* Divides n numbers, `apart` from each other, by their sum. */
static void to_one(float *x, size_t n, size_t apart, float eps)
{
    float sum = eps;

    for (size_t i = 0; i < n; i++)
        sum += x[i * apart];
    for (size_t i = 0; i < n; i++)
        x[i * apart] /= sum;
}

/* A matrix whose rows and columns have the sum 1, or nearly (Sinkhorn). */
static void balance(const struct hyper_params *h, float *m)
{
    size_t n = (size_t)h->n;

    for (size_t i = 0; i < n; i++) {
        float *row = m + i * n, max = row[0];

        for (size_t k = 1; k < n; k++)
            max = row[k] > max ? row[k] : max;
        for (size_t k = 0; k < n; k++)
            row[k] = expf(row[k] - max);
        to_one(row, n, 1, 0);
        for (size_t k = 0; k < n; k++)
            row[k] += h->eps;
    }
    for (int k = 0; k < h->n_iter; k++) {
        for (size_t i = 0; i < n && k > 0; i++)
            to_one(m + i * n, n, 1, h->eps);
        for (size_t i = 0; i < n; i++)
            to_one(m + i, n, n, h->eps);
    }
}

static void sum_streams(const struct streams *j, size_t t, const float *weight)
{
    float *u = j->u + t * j->n_embd;

    memset(u, 0, j->n_embd * sizeof(*u));
    for (size_t i = 0; i < j->n; i++) {
        const float *r = j->r + (t * j->n + i) * j->n_embd;

        for (size_t k = 0; k < j->n_embd; k++)
            u[k] += weight[i] * r[k];
    }
}

static void gather_streams(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct streams *j = ctx;
    const struct hyper_params *h = &j->s->m->p.hyper;
    size_t n = j->n;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *m = j->mix + t * j->n_mix;

        for (size_t i = 0; i < j->n_mix; i++)
            m[i] = m[i] * j->scale[i < n ? 0 : i < 2 * n ? 1 : 2] + j->base[i];
        for (size_t i = 0; i < n; i++)
            m[i] = sigmoid(m[i]) + h->eps;
        for (size_t i = n; i < 2 * n && i < j->n_mix; i++)
            m[i] = 2 * sigmoid(m[i]);
        if (j->n_mix > n)
            balance(h, m + 2 * n);
        sum_streams(j, t, m);
    }
}

/* u = what a part reads, or the model's end; fn and its vectors say how the streams count. */
static void streams_in(struct streams *j, const struct weight *fn, const struct weight *base,
                       const struct weight *scale)
{
    struct step *s = j->s;
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok;
    struct kern_acts a;

    j->n_mix = fn->w.n_row;
    j->base = base->vec;
    j->scale = scale->vec;
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 4, norm_streams, j);
    a = blk_acts(s, j->flat, n_tok, j->n * j->n_embd, fn);
    blk_linear(s, fn, NULL, &a, j->mix, KERN_STORE);
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 4, gather_streams, j);
    step_release(s, mark);
}

static void spread_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct streams *j = ctx;
    size_t n = j->n;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        const float *out = j->mix + t * j->n_mix + n, *m = out + n, *y = j->y + t * j->n_embd;
        float *r = j->r + t * n * j->n_embd;

        for (size_t k = 0; k < j->n_embd; k++) {
            float x[HYPER_MAX];

            for (size_t i = 0; i < n; i++)
                x[i] = r[i * j->n_embd + k];
            for (size_t to = 0; to < n; to++) {
                float sum = out[to] * y[k];

                for (size_t i = 0; i < n; i++)
                    sum += m[i * n + to] * x[i];
                r[to * j->n_embd + k] = sum;
            }
        }
    }
}

static void streams_out(struct streams *j)
{
    if (!step_stopped(j->s))
        pool_run(j->s->pool, (size_t)j->s->n_tok, 4, spread_rows, j);
}

static struct streams streams_of(struct step *s)
{
    const struct params *p = &s->m->p;
    size_t n = (size_t)p->hyper.n, n_embd = (size_t)p->n_embd, n_tok = (size_t)s->n_tok;
    struct streams j = {.s = s, .n = n, .n_embd = n_embd};
    const float *x;

    j.r = step_floats(s, n_tok * n * n_embd);
    j.flat = step_floats(s, n_tok * n * n_embd);
    j.mix = step_floats(s, n_tok * (2 + n) * n);
    j.u = step_floats(s, n_tok * n_embd);
    j.y = step_floats(s, n_tok * n_embd);
    x = blk_embed(s);
    for (size_t i = 0; i < n_tok * n && !s->dry; i++)
        memcpy(j.r + i * n_embd, x + i / n * n_embd, n_embd * sizeof(*x));
    return j;
}

/* -- compressed keys ------------------------------------------------------------------- */

struct compress {
    const struct step *s;
    const struct layer *l;
    size_t size;        /* numbers of a key */
    const float *c, *g; /* [n_tok][blocks x size]: what is averaged; its weights */
    const float *ape;   /* [ratio][blocks x size], added to the weights by place in the block */
    const float *norm;  /* [size] */
    size_t off_state;   /* of the ring */
    float *z;           /* [n_tok][size], of the last tokens of blocks */
    const struct index *ix; /* where the keys go: NULL, into rows at off_page */
    size_t off_page;
};

/* Number ch of the key of the block that ends at place p. */
static float average(const struct compress *j, const float *ring, int p, size_t ch)
{
    int blocks = blocks_of(j->l), n = blocks * j->l->ratio;
    size_t wide = (size_t)blocks * j->size;
    float max = -INFINITY, sum = 0, z = 0;

    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            int at = p - n + 1 + i;
            const float *row = ring + ch + (size_t)(i / j->l->ratio) * j->size;

            if (at < 0)
                continue;
            row += (size_t)(at % n) * 2 * wide;
            if (pass == 0) {
                max = row[wide] > max ? row[wide] : max;
            } else {
                float w = expf(row[wide] - max);

                sum += w;
                z += w * row[0];
            }
        }
    }
    return z / sum;
}

/* Channels [lo, hi) of all tokens, in order. */
static void compress_channels(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct compress *j = ctx;
    const struct step *s = j->s;
    int ratio = j->l->ratio, blocks = blocks_of(j->l), n = blocks * ratio;
    size_t wide = (size_t)blocks * j->size;

    (void)worker;
    for (int i = 0; i < s->n_run; i++) {
        const struct step_run *r = &s->run[i];
        float *ring = (float *)(void *)(r->state + j->off_state);

        for (int k = 0; k < r->n; k++) {
            int p = r->pos + k;
            size_t t = (size_t)r->first + (size_t)k;
            float *row = ring + (size_t)(p % n) * 2 * wide;

            for (size_t b = 0; b < wide; b += j->size) {
                for (size_t ch = b + lo; ch < b + hi; ch++) {
                    row[ch] = j->c[t * wide + ch];
                    row[wide + ch] =
                        j->g[t * wide + ch] + j->ape[(size_t)(p % ratio) * wide + ch];
                }
            }
            for (size_t ch = lo; ch < hi && (p + 1) % ratio == 0; ch++)
                j->z[t * j->size + ch] = average(j, ring, p, ch);
        }
    }
}

/* Keys of the blocks that end with tokens [lo, hi): norm, rotation by the place of the block's
 * first position, and into the page. */
static void compress_store(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct compress *j = ctx;
    const struct step *s = j->s;
    const struct rope_params *rope = &s->m->p.rope[ROPE_SWA];
    int ratio = j->l->ratio;
    float cs[PARAMS_HEAD_DIM_MAX];

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        const struct step_run *r = blk_run_of(s, t);
        int p = r->pos + (int)t - r->first;
        float *z = j->z + t * j->size;

        if ((p + 1) % ratio)
            continue;
        s->k->rms_norm(z, j->norm, z, j->size, s->m->p.eps);
        rope_angles(rope, NULL, r->base + p + 1 - ratio, cs);
        s->k->rope(z + j->size - (size_t)rope->n_rot, cs, (size_t)rope->n_rot, KERN_ROPE_NORM);
        if (j->ix)
            blk_index_put(j->ix, r, p / ratio, z);
        else
            memcpy(blk_beside(r, p / ratio, j->off_page, ratio, j->size), z,
                   j->size * sizeof(*z));
    }
}

static void compress_run(struct step *s, struct compress *j)
{
    size_t n_tok = (size_t)s->n_tok;

    j->z = step_floats(s, n_tok * j->size);
    if (step_stopped(s))
        return;
    pool_run(s->pool, j->size, n_tok < 8 ? j->size : 16, compress_channels, j);
    pool_run(s->pool, n_tok, 8, compress_store, j);
}

/* -- attention ------------------------------------------------------------------------- */

struct ds4_attn {
    struct step *s;
    const struct layer *l;
    const struct cache_layer *cache;
    const float *back; /* [n_tok][n_rot]: angles that turn back */
    size_t n_tok, d;
    float *q;       /* [n_tok][n_head][d] */
    float *kv;      /* [n_tok][d] */
    float *out;     /* [n_group][n_tok][heads of a group][d] */
    float *part[4]; /* of the compressed: c and g, and of the indexer */
    int chooses;    /* more compressed keys than are seen may come */
    struct index index;
    float *index_q, *index_w;
    struct chosen chosen;
};

static void turn_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct ds4_attn *j = ctx;
    const struct step *s = j->s;
    const struct params *p = &s->m->p;
    size_t n_rot = (size_t)p->rope[j->l->rope].n_rot, n_head = (size_t)j->l->n_head,
           tail = j->d - n_rot;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        const float *cs = s->angles[j->l->rope] + t * n_rot;
        float *kv = j->kv + t * j->d;

        s->k->rms_norm(kv, j->l->t[T_ATTN_KV_A_NORM]->vec, kv, j->d, p->eps);
        s->k->rope(kv + tail, cs, n_rot, KERN_ROPE_NORM);
        for (size_t h = 0; h < n_head; h++) {
            float *q = j->q + (t * n_head + h) * j->d;

            s->k->rms_norm(q, NULL, q, j->d, p->eps);
            s->k->rope(q + tail, cs, n_rot, KERN_ROPE_NORM);
        }
        for (int h = 0; h < j->index.n_head && j->chooses; h++) {
            size_t d = (size_t)j->index.d;

            s->k->rope(j->index_q + (t * (size_t)j->index.n_head + (size_t)h + 1) * d - n_rot,
                       cs, n_rot, KERN_ROPE_NORM);
        }
    }
}

static void turn_back(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct ds4_attn *j = ctx;
    size_t n_rot = (size_t)j->s->m->p.rope[j->l->rope].n_rot,
           n_group = (size_t)j->s->m->p.mla.n_group, per = (size_t)j->l->n_head / n_group;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        for (size_t h = 0; h < n_group * per; h++) {
            size_t row = (h / per * j->n_tok + t) * per + h % per;

            j->s->k->rope(j->out + (row + 1) * j->d - n_rot, j->back + t * n_rot, n_rot,
                          KERN_ROPE_NORM);
        }
    }
}

/* What each token sees: its window, then compressed keys of blocks that are complete. */
static void choose_places(void *ctx, int worker, size_t lo, size_t hi)
{
    struct ds4_attn *j = ctx;
    const struct step *s = j->s;
    float *score = (float *)(void *)(s->worker + (size_t)worker * s->n_worker);

    for (size_t t = lo; t < hi && !step_stopped(s); t++) {
        const struct step_run *r = blk_run_of(s, t);
        int p = r->pos + (int)t - r->first, n = (p + 1) / j->l->ratio, at = 0, seen = n;
        int32_t *place = j->chosen.place + t * (size_t)j->chosen.max, *beside;

        j->chosen.n[t] = 0;
        if (n == 0) /* only its window */
            continue;
        for (int i = p < j->l->n_window ? 0 : p - j->l->n_window + 1; i <= p; i++)
            place[at++] = i;
        beside = place + at;
        if (j->chooses)
            seen = blk_index_best(&j->index, t, r, n, score, beside);
        for (int i = 0; i < seen; i++)
            beside[i] = ~(j->chooses ? beside[i] : i);
        j->chosen.n[t] = at + seen;
    }
}

/* Makes compressed keys, and the room for choices. */
static void compressed(struct ds4_attn *j)
{
    struct step *s = j->s;
    const struct layer *l = j->l;
    struct chosen *c = &j->chosen;
    int window = l->n_window < s->n_ctx ? l->n_window : s->n_ctx, most = s->n_ctx / l->ratio;
    struct compress of = {.s = s,
                          .l = l,
                          .size = j->d,
                          .c = j->part[0],
                          .g = j->part[1],
                          .ape = l->t[T_COMPRESS_APE]->vec,
                          .norm = l->t[T_COMPRESS_NORM]->vec,
                          .off_state = j->cache->off_state,
                          .off_page = j->cache->off_page};

    compress_run(s, &of);
    if (j->chooses) {
        of = (struct compress){.s = s,
                               .l = l,
                               .size = (size_t)j->index.d,
                               .c = j->part[2],
                               .g = j->part[3],
                               .ape = l->t[T_INDEX_APE]->vec,
                               .norm = l->t[T_INDEX_NORM]->vec,
                               .off_state = j->cache->off_state + ring_bytes(l, l->d_k),
                               .ix = &j->index};
        compress_run(s, &of);
        step_worker_needs(s, (size_t)most * sizeof(float));
        most = j->index.top;
    }
    *c = (struct chosen){.max = window + most, .off = j->cache->off_page, .ratio = l->ratio};
    c->n = step_alloc(s, j->n_tok * sizeof(*c->n));
    c->place = step_alloc(s, j->n_tok * (size_t)c->max * sizeof(*c->place));
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 1, choose_places, j);
}

/* The products of the normed input, and the queries that come from one of them. */
static void project(struct ds4_attn *j, const float *u)
{
    struct step *s = j->s;
    const struct layer *l = j->l;
    size_t n_rank = (size_t)s->m->p.mla.q_rank, n = 2;
    const struct weight *choice = j->chooses ? l->t[T_INDEX_Q] : NULL;
    const struct weight *w[] = {l->t[T_ATTN_Q_A],
                                l->t[T_ATTN_KV_A],
                                l->t[T_COMPRESS_KV],
                                l->t[T_COMPRESS_GATE],
                                choice ? l->t[T_INDEX_KV] : NULL,
                                choice ? l->t[T_INDEX_GATE] : NULL,
                                choice ? l->t[T_INDEX_PROJ] : NULL};
    struct kern_acts a = blk_norm(s, u, l->t[T_ATTN_NORM], NULL, w, 7);
    float *qr = step_floats(s, j->n_tok * n_rank);
    struct linear of[4] = {{w[0], NULL, qr, KERN_STORE}, {w[1], NULL, j->kv, KERN_STORE}};

    for (size_t i = 0; i < 4; i++)
        j->part[i] = w[2 + i] ? step_floats(s, j->n_tok * w[2 + i]->w.n_row) : NULL;
    for (; n < 4 && w[n]; n++)
        of[n] = (struct linear){w[n], NULL, j->part[n - 2], KERN_STORE};
    blk_linears(s, of, n, &a);
    if (choice) {
        for (n = 0; n < 2; n++)
            of[n] = (struct linear){w[4 + n], NULL, j->part[2 + n], KERN_STORE};
        of[n++] = (struct linear){w[6], NULL, j->index_w, KERN_STORE};
        blk_linears(s, of, n, &a);
    }
    blk_norm_rows(s, qr, j->n_tok, n_rank, l->t[T_ATTN_Q_A_NORM], NULL);
    a = blk_forms(s, qr, j->n_tok, n_rank, (const struct weight *[]){l->t[T_ATTN_Q_B], choice},
                  2);
    of[0] = (struct linear){l->t[T_ATTN_Q_B], NULL, j->q, KERN_STORE};
    of[1] = (struct linear){choice, NULL, j->index_q, KERN_STORE};
    blk_linears(s, of, choice ? 2 : 1, &a);
}

/* Only with more compressed keys than are seen at the longest context is anything chosen. */
static void choice_room(struct ds4_attn *j)
{
    struct step *s = j->s;
    const struct index_params *p = &s->m->p.index;

    j->chooses = (j->l->has & HAS_CHOICE) && s->n_ctx / j->l->ratio > p->top;
    if (!j->chooses)
        return;
    j->index_q = step_floats(s, j->n_tok * (size_t)p->n_head * (size_t)p->d);
    j->index_w = step_floats(s, j->n_tok * (size_t)p->n_head);
    j->index = (struct index){.n_head = p->n_head,
                              .d = p->d,
                              .top = p->top,
                              .ratio = j->l->ratio,
                              .off = j->cache->off_page + rows_bytes(j->l, j->l->d_k),
                              .q = j->index_q,
                              .w = j->index_w};
}

/* y = attention(norm(u)). */
static void attention(struct step *s, int layer, const float *u, const float *back, float *y)
{
    const struct layer *l = &s->m->layer[layer];
    const struct mla_params *m = &s->m->p.mla;
    size_t mark = step_mark(s), n = (size_t)s->n_tok, d = (size_t)l->d_k,
           n_head = (size_t)l->n_head, n_group = (size_t)m->n_group, rank = (size_t)m->o_rank;
    struct ds4_attn j = {
        .s = s, .l = l, .cache = &s->cache->layer[layer], .back = back, .n_tok = n, .d = d};
    float *z = step_floats(s, n * n_group * rank);
    struct kern_acts a;

    j.q = step_floats(s, n * n_head * d);
    j.kv = step_floats(s, n * d);
    j.out = step_floats(s, n * n_head * d);
    choice_room(&j);
    project(&j, u);
    if (!step_stopped(s))
        pool_run(s->pool, n, 8, turn_rows, &j);
    if (l->ratio)
        compressed(&j);
    blk_attend(s, layer,
               &(struct attend){.q = j.q,
                                .k = j.kv,
                                .v = j.kv,
                                .out = j.out,
                                .together = l->n_head / m->n_group,
                                .chosen = l->ratio ? &j.chosen : NULL});
    if (!step_stopped(s))
        pool_run(s->pool, n, 8, turn_back, &j);
    blk_heads(s, &(struct heads){.w = l->t[T_ATTN_OUTPUT_A],
                                 .n_head = n_group,
                                 .x = j.out,
                                 .y = z,
                                 .y_head = rank,
                                 .ldy = n_group * rank});
    a = blk_acts(s, z, n, n_group * rank, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], NULL, &a, y, KERN_STORE);
    step_release(s, mark);
}

/* -- the model ------------------------------------------------------------------------- */

static float limit_of(float v)
{
    return v > 0 ? v : INFINITY;
}

/* y = experts(norm(u)). */
static void experts(struct step *s, const struct layer *l, const float *u, float *y)
{
    size_t mark = step_mark(s);
    struct kern_acts a = blk_moe_norm(s, l, u, l->t[T_FFN_NORM]);
    const struct weight *fixed = l->t[T_FFN_TID2EID];
    int bounded = l->act_limit > 0 || l->act_limit_shared > 0;
    struct moe_kind kind = {.act = bounded ? KERN_ACT_CLAMP_IN : KERN_ACT_SILU,
                            .limit = limit_of(l->act_limit),
                            .limit_shared = limit_of(l->act_limit_shared),
                            .fixed =
                                fixed ? (const int32_t *)(const void *)fixed->src->data : NULL};

    if (!step_stopped(s))
        memset(y, 0, (size_t)s->n_tok * (size_t)s->m->p.n_embd * sizeof(*y));
    blk_moe(s, l, &a, &kind, y);
    step_release(s, mark);
}

/* Angles that turn back by as much as the step's turn. */
static const float *turning_back(struct step *s, int rope)
{
    size_t n = (size_t)s->n_tok * (size_t)s->m->p.rope[rope].n_rot;
    float *cs = step_floats(s, n);

    for (size_t i = 0; i < n && !s->dry; i++)
        cs[i] = i % 2 ? -s->angles[rope][i] : s->angles[rope][i];
    return cs;
}

static void ds4_forward(struct step *s)
{
    const struct model *m = s->m;
    const struct layer *g = &m->global;
    struct streams st = streams_of(s);
    const float *back[ROPE_N];

    for (int i = 0; i < ROPE_N; i++) {
        blk_rope_angles(s, i, NULL);
        back[i] = turning_back(s, i);
    }
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];

        streams_in(&st, l->t[T_HYPER_ATTN_FN], l->t[T_HYPER_ATTN_BASE],
                   l->t[T_HYPER_ATTN_SCALE]);
        attention(s, i, st.u, back[l->rope], st.y);
        streams_out(&st);
        streams_in(&st, l->t[T_HYPER_FFN_FN], l->t[T_HYPER_FFN_BASE], l->t[T_HYPER_FFN_SCALE]);
        experts(s, l, st.u, st.y);
        streams_out(&st);
    }
    streams_in(&st, g->t[T_HYPER_FN], g->t[T_HYPER_BASE], g->t[T_HYPER_SCALE]);
    blk_output(s, st.u);
}

const struct arch arch_deepseek4 = {
    .name = "deepseek4",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = ds4_params,
    .layer = ds4_layer,
    .dim = ds4_dim,
    .cache = ds4_cache,
    .forward = ds4_forward,
    .about = "DeepSeek V4",
};

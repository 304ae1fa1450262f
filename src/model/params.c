#include "model/params.h"

#include "kern/kern.h"

#include <math.h>
#include <stdio.h>

#define KEY_MAX 256

/* The whole key; its name in the file begins with the architecture's. */
static const char *full_key(struct params_reader *r, const char *name, char key[KEY_MAX])
{
    int n = snprintf(key, KEY_MAX, "%s.%s", r->arch, name);

    if ((n < 0 || n >= KEY_MAX) && r->rc == 0)
        r->rc =
            err_set(r->e, E_FORMAT, "general.architecture: a name of over %d bytes", KEY_MAX);
    return key;
}

/* The value of a key; of an array the largest, or that of element `at` if at >= 0. Returns 1
 * found, 0 absent, or an error. */
static int int_or_array(const struct gguf *g, const char *key, int at, int64_t *out,
                        struct err *e)
{
    const struct gguf_kv *kv = gguf_kv(g, key);

    if (!kv || kv->type != GGUF_ARR)
        return gguf_i64(g, key, out, e);
    if (kv->n == 0 || kv->elem_type == GGUF_STR || kv->elem_type == GGUF_F32 ||
        kv->elem_type == GGUF_F64)
        return err_set(e, E_FORMAT, "key %s: expected integers", key);
    if (at >= 0 && (uint64_t)at >= kv->n)
        return 0;
    *out = gguf_arr_int(kv, at >= 0 ? (uint64_t)at : 0);
    for (uint64_t i = 1; at < 0 && i < kv->n; i++)
        *out = gguf_arr_int(kv, i) > *out ? gguf_arr_int(kv, i) : *out;
    return 1;
}

int params_has(struct params_reader *r, const char *name)
{
    char key[KEY_MAX];

    return gguf_kv(r->g, full_key(r, name, key)) != NULL;
}

const struct gguf_tensor *params_tensor(struct params_reader *r, int layer, const char *name)
{
    char full[KEY_MAX];

    (void)snprintf(full, sizeof(full), "blk.%d.%s", layer, name);
    return gguf_tensor(r->g, full);
}

int params_int_at(struct params_reader *r, const char *name, int layer, int64_t min,
                  int64_t max, int64_t fallback)
{
    char key[KEY_MAX];
    int64_t v = fallback;
    int rc;

    (void)full_key(r, name, key);
    if (r->rc < 0)
        return (int)min;
    rc = int_or_array(r->g, key, layer, &v, r->e);
    if (rc < 0)
        r->rc = rc;
    else if (rc == 0 && fallback < min)
        r->rc = err_set(r->e, E_FORMAT, "key %s: missing", key);
    else if (v < min || v > max)
        r->rc = err_set(r->e, E_FORMAT, "key %s: %lld, expected %lld to %lld", key,
                        (long long)v, (long long)min, (long long)max);
    return (int)(r->rc < 0 ? min : v);
}

int params_int(struct params_reader *r, const char *name, int64_t min, int64_t max,
               int64_t fallback)
{
    return params_int_at(r, name, -1, min, max, fallback);
}

double params_f64(struct params_reader *r, const char *name, double min, double max,
                  double fallback)
{
    char key[KEY_MAX];
    double v = fallback;
    int rc;

    (void)full_key(r, name, key);
    if (r->rc < 0)
        return min;
    rc = gguf_f64(r->g, key, &v, r->e);
    if (rc < 0)
        r->rc = rc;
    else if (rc == 0 && isnan(fallback))
        r->rc = err_set(r->e, E_FORMAT, "key %s: missing", key);
    else if (!(v >= min && v <= max))
        r->rc = err_set(r->e, E_FORMAT, "key %s: %g, expected %g to %g", key, v, min, max);
    return r->rc < 0 ? min : v;
}

/* A key that some tools spell in another way. */
static double either_f64(struct params_reader *r, const char *name, const char *also,
                         double min, double max, double fallback)
{
    return params_f64(r, params_has(r, name) ? name : also, min, max, fallback);
}

double params_f64_at(struct params_reader *r, const char *name, int layer, double min,
                     double max, double fallback)
{
    char key[KEY_MAX];
    const struct gguf_kv *kv = gguf_kv(r->g, full_key(r, name, key));
    double v;

    if (!kv || kv->type != GGUF_ARR)
        return params_f64(r, name, min, max, fallback);
    if (r->rc == 0 && kv->elem_type == GGUF_STR)
        r->rc = err_set(r->e, E_FORMAT, "key %s: expected numbers", key);
    if (r->rc < 0)
        return min;
    v = (uint64_t)layer < kv->n ? gguf_arr_f64(kv, (uint64_t)layer) : fallback;
    if (!(v >= min && v <= max))
        r->rc = err_set(r->e, E_FORMAT, "key %s: %g (layer %d), expected %g to %g", key, v,
                        layer, min, max);
    return r->rc < 0 ? min : v;
}

static int scaling_read(struct params_reader *r)
{
    static const char *const name[ROPE_SCALING_N] = {"none", "linear", "yarn", "longrope"};
    char key[KEY_MAX];
    struct str s = {"linear", 6};

    (void)full_key(r, "rope.scaling.type", key);
    if (r->rc == 0) {
        int rc = gguf_str(r->g, key, &s, r->e);

        r->rc = rc < 0 ? rc : 0;
    }
    for (int i = 0; i < ROPE_SCALING_N; i++) {
        if (str_is(s, name[i]))
            return i;
    }
    if (r->rc == 0)
        r->rc = err_set(r->e, E_UNSUPPORTED,
                        "key %s: '%.*s' is not supported; none, linear, yarn and longrope are",
                        key, (int)(s.n < 40 ? s.n : 40), s.p);
    return ROPE_PLAIN;
}

static void rope_read(struct params_reader *r, const struct params *p, struct rope_params *o)
{
    double factor;

    if (p->d_k == 0 || r->rc < 0) {
        *o = (struct rope_params){.base = 10000, .scale = 1, .attn = 1};
        return;
    }
    o->n_rot = params_int(r, "rope.dimension_count", 0, p->d_k, p->d_k);
    if (r->rc == 0 && o->n_rot % 2)
        r->rc =
            err_set(r->e, E_FORMAT, "key %s.rope.dimension_count: %d, expected an even number",
                    r->arch, o->n_rot);
    o->base = params_f64(r, "rope.freq_base", 1, 1e15, 10000);
    o->scaling = scaling_read(r);
    factor = params_f64(r, "rope.scale_linear", 0, 1e9, 0);
    factor = params_f64(r, "rope.scaling.factor", 0, 1e9, factor);
    o->scale = o->scaling == ROPE_PLAIN || factor == 0 ? 1 : 1 / factor;
    o->n_ctx_orig = params_int(r, "rope.scaling.original_context_length", 1, PARAMS_CTX_MAX,
                               p->n_ctx_train);
    o->attn = params_f64(r, "rope.scaling.attn_factor", 0, 1e6, 1);
    o->ext = params_f64(r, "rope.scaling.yarn_ext_factor", -1, 1, -1);
    o->beta_fast =
        either_f64(r, "rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast", 1e-3, 1e6, 32);
    o->beta_slow =
        either_f64(r, "rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow", 1e-3, 1e6, 1);
    o->exact = !params_flag(r, "rope.scaling.yarn_truncate", 1);
    o->log_mul = either_f64(r, "rope.scaling.yarn_log_multiplier",
                            "rope.scaling.mscale_all_dim", 0, 1e3, 0);
    if (o->ext < 0)
        o->ext = o->scaling == ROPE_YARN ? 1 : 0;
    if (o->scaling == ROPE_YARN && factor > 0) {
        /* rope_angles multiplies by 1 + 0.1 ln(factor); the net multiplier shall be what the
         * file's log multiplier says. */
        double ln = log(factor), ms = o->log_mul == 0
                                          ? 0.1 * ln + 1
                                          : (0.1 * ln + 1) / (0.1 * o->log_mul * ln + 1);

        o->attn *= ms / (1 + 0.1 * ln);
    }
}

static void heads_read(struct params_reader *r, struct params *p)
{
    int d;

    p->n_head = params_int(r, "attention.head_count", 0, PARAMS_HEADS_MAX, 0);
    p->n_head_kv = params_int(r, "attention.head_count_kv", 0, PARAMS_HEADS_MAX, p->n_head);
    if (r->rc < 0 || p->n_head == 0)
        return;
    if (!params_has(r, "attention.key_length") && p->n_embd % p->n_head)
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.embedding_length: %d is not a multiple of head_count %d",
                        r->arch, p->n_embd, p->n_head);
    d = p->n_embd / p->n_head;
    p->d_k = params_int(r, "attention.key_length", 1, PARAMS_HEAD_DIM_MAX, d);
    p->d_v = params_int(r, "attention.value_length", 1, PARAMS_HEAD_DIM_MAX, d);
}

int params_flag(struct params_reader *r, const char *name, int fallback)
{
    char key[KEY_MAX];
    int v = fallback, rc;

    (void)full_key(r, name, key);
    if (r->rc < 0)
        return fallback;
    rc = gguf_bool(r->g, key, &v, r->e);
    if (rc < 0)
        r->rc = rc;
    return v;
}

int params_windowed(struct params_reader *r, int layer, int period)
{
    static const char name[] = "attention.sliding_window_pattern";
    char key[KEY_MAX];
    const struct gguf_kv *kv = gguf_kv(r->g, full_key(r, name, key));

    if (kv && kv->type == GGUF_ARR)
        return params_int_at(r, name, layer, 0, 1, 0);
    period = params_int(r, name, 0, PARAMS_LAYERS_MAX, period);
    return period == 0 || layer % period < period - 1;
}

void params_ssm(struct params_reader *r, struct params *p)
{
    struct ssm_params *m = &p->ssm;

    m->conv = params_int(r, "ssm.conv_kernel", 2, KERN_CONV_MAX, 0);
    m->inner = params_int(r, "ssm.inner_size", 1, PARAMS_WIDTH_MAX, 0);
    m->state = params_int(r, "ssm.state_size", 1, PARAMS_HEAD_DIM_MAX, 0);
    m->n_head = params_int(r, "ssm.time_step_rank", 1, PARAMS_HEADS_MAX, 0);
    m->n_group = params_int(r, "ssm.group_count", 1, PARAMS_HEADS_MAX, 0);
    if (r->rc == 0 && (m->inner % m->n_head || m->n_head % m->n_group))
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.ssm.time_step_rank: %d heads, expected a divisor of inner_size "
                        "%d and a multiple of group_count %d",
                        r->arch, m->n_head, m->inner, m->n_group);
}

void params_mla(struct params_reader *r, struct params *p)
{
    struct mla_params *m = &p->mla;

    m->q_rank = params_int(r, "attention.q_lora_rank", 0, PARAMS_WIDTH_MAX, 0);
    m->kv_rank = params_int(r, "attention.kv_lora_rank", 1, PARAMS_HEAD_DIM_MAX, 0);
    m->d_k = params_int(r, "attention.key_length_mla", 1, PARAMS_HEAD_DIM_MAX, p->d_k);
    m->d_v = params_int(r, "attention.value_length_mla", 1, PARAMS_HEAD_DIM_MAX, p->d_v);
    if (r->rc == 0 && m->d_k <= p->rope[ROPE_MAIN].n_rot)
        r->rc =
            err_set(r->e, E_FORMAT,
                    "key %s.attention.key_length_mla: %d, expected more than the %d numbers "
                    "that rotate",
                    r->arch, m->d_k, p->rope[ROPE_MAIN].n_rot);
}

void params_index(struct params_reader *r, struct params *p)
{
    struct index_params *m = &p->index;
    int n_rot = p->rope[ROPE_MAIN].n_rot;

    m->n_head = params_int(r, "attention.indexer.head_count", 1, PARAMS_HEADS_MAX, 0);
    m->d = params_int(r, "attention.indexer.key_length", 1, PARAMS_HEAD_DIM_MAX, 0);
    m->top = params_int(r, "attention.indexer.top_k", 1, PARAMS_CTX_MAX, 0);
    if (r->rc == 0 && m->d < n_rot)
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.attention.indexer.key_length: %d, and %d numbers rotate",
                        r->arch, m->d, n_rot);
}

/* Numbers of expert_gating_func; 0 is said by files that leave it to the family. */
static int score_read(struct params_reader *r, int usual)
{
    int v = params_int(r, "expert_gating_func", 0, 255, 0);

    if (r->rc == 0 && v > MOE_SPARSE)
        r->rc = err_set(r->e, E_UNSUPPORTED,
                        "key %s.expert_gating_func: %d is not supported; 1 (softmax), 2 "
                        "(sigmoid), 3 (softmax of the chosen) and 4 (sqrt of softplus) are",
                        r->arch, v);
    return r->rc < 0 || v == 0 ? usual : v - 1;
}

static void groups_check(struct params_reader *r, const struct moe_params *m)
{
    if (r->rc == 0 && (m->n % m->n_group || m->n / m->n_group * m->n_group_used < m->n_used))
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.expert_group_count: %d groups of which %d are used do not give "
                        "%d of %d experts",
                        r->arch, m->n_group, m->n_group_used, m->n_used, m->n);
}

void params_moe(struct params_reader *r, struct params *p, const struct moe_params *usual)
{
    struct moe_params *m = &p->moe;

    *m = *usual;
    m->n = params_int(r, "expert_count", usual->n, PARAMS_EXPERTS_MAX, 0);
    if (r->rc < 0 || m->n <= 0)
        return;
    m->n_used = params_int(r, "expert_used_count", 1, m->n, 0);
    m->n_ff = params_int(r, "expert_feed_forward_length", 1, PARAMS_WIDTH_MAX,
                         usual->n_ff ? usual->n_ff : p->n_ff / (r->rc < 0 ? 1 : m->n_used));
    if (usual->n_ff_shared)
        m->n_ff_shared = params_int(r, "expert_shared_feed_forward_length", 1, PARAMS_WIDTH_MAX,
                                    usual->n_ff_shared);
    m->score = score_read(r, usual->score);
    m->norm = params_flag(r, "expert_weights_norm", usual->norm);
    m->scale = (float)params_f64(r, "expert_weights_scale", 0, 1e6, 1);
    m->scale = m->scale > 0 ? m->scale : 1;
    m->n_group = params_int(r, "expert_group_count", 0, m->n, usual->n_group);
    m->n_group = m->n_group > 0 ? m->n_group : 1;
    m->n_group_used = params_int(r, "expert_group_used_count", 0, m->n_group,
                                 usual->n_group_used ? usual->n_group_used : m->n_group);
    m->n_group_used = m->n_group_used > 0 ? m->n_group_used : m->n_group;
    groups_check(r, m);
    m->n_dense = params_int(r, "leading_dense_block_count", 0, p->n_layer, usual->n_dense);
}

/* A factor that 0 or absence leaves at 1. */
static float factor_read(struct params_reader *r, const char *name)
{
    float v = (float)params_f64(r, name, 0, 1e6, 0);

    return v > 0 ? v : 1;
}

/* Windowed layers: a base and a width of their own, and positions as they are. */
static void swa_rope_read(struct params_reader *r, struct params *p)
{
    struct rope_params *o = &p->rope[ROPE_SWA];

    *o = p->rope[ROPE_MAIN];
    if (!params_has(r, "rope.freq_base_swa"))
        return;
    *o = (struct rope_params){.n_rot = o->n_rot, .scale = 1, .attn = 1};
    o->base = params_f64(r, "rope.freq_base_swa", 1, 1e15, 10000);
}

/* Rows of a matrix that says itself how many it has; 0: there is none, or too many. */
static int rows_of(const struct gguf *g, const char *name)
{
    const struct gguf_tensor *t = gguf_tensor(g, name);

    return t && t->ne[1] <= PARAMS_WIDTH_MAX ? (int)t->ne[1] : 0;
}

static int either_rows(const struct gguf *g, const char *name, const char *other)
{
    return rows_of(g, gguf_tensor(g, name) ? name : other);
}

/* Below 0: the file does not say. */
static float eps_read(struct params_reader *r, int norm)
{
    static const char *const name[] = {[NORM_RMS] = "attention.layer_norm_rms_epsilon",
                                       [NORM_LAYER] = "attention.layer_norm_epsilon"};

    if (!params_has(r, name[norm]) && params_has(r, name[!norm]))
        norm = !norm;
    if (!params_has(r, name[norm]))
        return -1;
    return (float)params_f64(r, name[norm], 0, 1, 0);
}

int params_read(struct params *p, const struct gguf *g, const char *arch, int norm,
                struct err *e)
{
    struct params_reader r = {g, arch, e, 0};
    const struct gguf_kv *tokens = gguf_kv(g, "tokenizer.ggml.tokens");

    *p = (struct params){.norm = norm};
    /* Files without the key have as many rows as tokens. */
    p->n_vocab = params_int(&r, "vocab_size", 1, PARAMS_VOCAB_MAX,
                            tokens && tokens->type == GGUF_ARR && tokens->n <= PARAMS_VOCAB_MAX
                                ? (int64_t)tokens->n
                                : 0);
    p->n_ctx_train = params_int(&r, "context_length", 1, PARAMS_CTX_MAX, 0);
    p->n_embd = params_int(&r, "embedding_length", 1, PARAMS_WIDTH_MAX, 0);
    p->n_layer = params_int(&r, "block_count", 1, PARAMS_LAYERS_MAX, 0);
    p->n_nextn = params_int(&r, "nextn_predict_layers", 0, p->n_layer - 1, 0);
    p->n_layer -= p->n_nextn;
    p->n_ff = params_int(&r, "feed_forward_length", 0, PARAMS_WIDTH_MAX, 0);
    heads_read(&r, p);
    p->eps = eps_read(&r, norm);
    p->kq_scale = (float)params_f64(&r, "attention.scale", 0, 1e6, 0);
    p->attn_cap = (float)params_f64(&r, "attn_logit_softcapping", 0, 1e6, 0);
    p->logit_cap = (float)params_f64(&r, "final_logit_softcapping", 0, 1e6, 0);
    p->embd_scale = factor_read(&r, "embedding_scale");
    p->residual_scale = factor_read(&r, "residual_scale");
    p->logit_scale = factor_read(&r, "logit_scale");
    p->n_window = params_int(&r, "attention.sliding_window", 0, PARAMS_CTX_MAX, 0);
    p->causal = params_flag(&r, "attention.causal", 1);
    rope_read(&r, p, &p->rope[ROPE_MAIN]);
    swa_rope_read(&r, p);
    p->pooling = params_int(&r, "pooling_type", POOL_NONE, POOL_RANK, POOL_NONE);
    p->n_label = rows_of(g, "cls.output.weight");
    p->n_token_row = rows_of(g, "token_embd.weight");
    p->n_type = rows_of(g, "token_types.weight");
    p->n_dense[0] = either_rows(g, "dense_2.weight", "dense.0.weight");
    p->n_dense[1] = either_rows(g, "dense_3.weight", "dense.1.weight");
    return r.rc;
}

/* The pair index at which a wavelength makes n turns over the original context. */
static double yarn_dim(const struct rope_params *r, double n)
{
    return r->n_rot * log(r->n_ctx_orig / (n * 2 * 3.14159265358979323846)) /
           (2 * log(r->base));
}

void rope_angles(const struct rope_params *r, const float *factors, int pos, float *cs)
{
    double low = 0, high = 0, m = r->attn;

    if (r->ext != 0) {
        low = yarn_dim(r, r->beta_fast);
        high = yarn_dim(r, r->beta_slow);
        low = fmax(0, r->exact ? low : floor(low));
        high = fmin(r->n_rot - 1, r->exact ? high : ceil(high));
        m *= 1 + 0.1 * log(1 / r->scale);
    }
    for (int i = 0; i < r->n_rot / 2; i++) {
        double far = pos * pow(r->base, -2.0 * i / r->n_rot) /
                     (factors ? (double)factors[i] : 1.0),
               theta = r->scale * far;

        if (r->ext != 0) {
            double ramp = (i - low) / fmax(0.001, high - low),
                   t = (1 - fmin(1, fmax(0, ramp))) * r->ext;

            theta = theta * (1 - t) + far * t;
        }
        cs[2 * i] = (float)(cos(theta) * m);
        cs[2 * i + 1] = (float)(sin(theta) * m);
    }
}

/* Families against each other: what a family adds is told to add nothing, and it computes what
 * the simpler one does, to the bit; or another way of saying the same gives the same. What the
 * golden vectors reach is not repeated here. */
#include "../infer/engine_test.h"

enum { N_IDS = 24, KEYS_MAX = 10, EXTRAS_MAX = 14, NUMS_MAX = 8192 };

/* A key of the model: an integer, a number (f) or words (s). */
struct key {
    const char *name;
    int i;
    double f;
    const char *s;
};

/* A tensor of each layer, or outside of layers where its name begins with '=': n numbers (n2
 * times) around mean, the same in every file. */
struct extra {
    const char *name;
    int n, n2;
    float mean, noise;
};

struct rename {
    const char *from, *to; /* to NULL: left out */
};

struct variant {
    const char *arch;
    int n_layer, n_expert, n_ctx;
    struct key key[KEYS_MAX];
    struct extra extra[EXTRAS_MAX];
    struct rename rename[4];
    const char *no_key;
    int extra_from; /* the first layer that has them */
};

/* -- writing --------------------------------------------------------------------------- */

static int on_key(void *ctx, struct gguf_writer *w, const char *key)
{
    const struct variant *v = ctx;

    if (v->no_key && strcmp(key, v->no_key) == 0)
        return 1;
    if (strcmp(key, "context_length") != 0)
        return 0;
    for (int i = 0; i < KEYS_MAX && v->key[i].name; i++) {
        const struct key *k = &v->key[i];
        char name[128];
        int rc;

        (void)snprintf(name, sizeof(name), "%s.%s", v->arch, k->name);
        if (k->s)
            rc = gguf_put_str(w, name, str_of(k->s), NULL);
        else if (k->f != 0)
            rc = gguf_put_f64(w, name, GGUF_F32, k->f, NULL);
        else
            rc = gguf_put_u64(w, name, GGUF_U32, (uint64_t)k->i, NULL);
        tiny_must(rc == 0, name);
    }
    return 0;
}

static void put_extra(struct gguf_writer *w, const struct extra *x, int layer, int seed)
{
    static float num[64][NUMS_MAX]; /* the writer borrows them */
    static int at;
    struct rng r;
    char name[128];
    float *v = num[at++ % 64];
    int n2 = x->n2 > 0 ? x->n2 : 1;

    assert_true(x->n * n2 <= NUMS_MAX);
    rng_seed(&r, (uint64_t)(seed * 1000 + layer));
    for (int i = 0; i < x->n * n2; i++)
        v[i] = x->mean + x->noise * rng_normal(&r);
    if (x->name[0] == '=')
        (void)snprintf(name, sizeof(name), "%s", x->name + 1);
    else
        (void)snprintf(name, sizeof(name), "blk.%d.%s", layer, x->name);
    tiny_must(gguf_put_tensor(w, name, QUANT_F32, n2 > 1 ? 2 : 1,
                              (uint64_t[]){(uint64_t)x->n, (uint64_t)n2}, v, NULL) == 0,
              name);
}

static int on_tensor(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    static char name[64][64]; /* of tensors that wait to be written */
    static int at;
    const struct variant *v = ctx;
    int layer = -1, end = 0;

    (void)sscanf(t->name, "blk.%d.%n", &layer, &end);
    if (strcmp(t->name, "token_embd.weight") == 0 || strstr(t->name, ".attn_q.weight")) {
        for (int i = 0; i < EXTRAS_MAX && v->extra[i].name; i++) {
            if (v->extra[i].name[0] == '=' ? layer < 0 : layer >= v->extra_from)
                put_extra(w, &v->extra[i], layer, i);
        }
    }
    for (int i = 0; i < 4 && v->rename[i].from && layer >= 0; i++) {
        if (strcmp(t->name + end, v->rename[i].from) != 0)
            continue;
        if (!v->rename[i].to)
            return 1;
        (void)snprintf(name[at % 64], sizeof(name[0]), "blk.%d.%s", layer, v->rename[i].to);
        t->name = name[at++ % 64];
        return 0;
    }
    return 0;
}

static struct tiny tiny_variant(struct variant *v)
{
    struct tiny t = tiny_of(QUANT_F32);

    t.arch = v->arch;
    t.n_layer = v->n_layer ? v->n_layer : 2;
    t.n_expert = v->n_expert;
    t.n_used = v->n_expert ? 2 : 0;
    t.key = on_key;
    t.tensor = on_tensor;
    t.ctx = v;
    return t;
}

/* -- computing ------------------------------------------------------------------------- */

/* The last of some tokens' logits. */
static void logits_of(struct variant v, float *out)
{
    struct tiny t = tiny_variant(&v);
    struct hearth_model *m = model_make(&t, KERN_REF, 1);
    struct hearth_engine *en =
        engine_make(m, (struct hearth_engine_options){.n_ctx = v.n_ctx ? v.n_ctx : 256,
                                                      .kv_type = HEARTH_KV_F32});
    struct hearth_seq *s = seq_make(en);
    int32_t ids[N_IDS];

    for (int i = 0; i < N_IDS; i++)
        ids[i] = TINY_WORD + i * 7 % TINY_WORDS;
    (void)feed(s, ids, N_IDS);
    memcpy(out, catch_up(en, s), TINY_VOCAB * sizeof(*out));
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* The relative size of what differs, b being multiplied by factor. */
static double apart(struct variant a, struct variant b, float factor)
{
    static float x[TINY_VOCAB], y[TINY_VOCAB];
    double d = 0, n = 0;

    logits_of(a, x);
    logits_of(b, y);
    for (int i = 0; i < TINY_VOCAB; i++) {
        double e = (double)x[i] - (double)(y[i] * factor);

        assert_true(isfinite(x[i]));
        d += e * e;
        n += (double)x[i] * (double)x[i];
    }
    return d / n;
}

#define SAME(a, b)   assert_true(apart(a, b, 1) == 0)
#define DIFFER(a, b) assert_true(apart(a, b, 1) > 1e-6)
#define NEAR(a, b)   assert_true(apart(a, b, 1) < 1e-9)

/* -- as llama -------------------------------------------------------------------------- */

static const struct variant llama = {.arch = "llama"};

static void test_mistral3(void **state)
{
    const struct variant plain = {.arch = "mistral3"},
                         far = {.arch = "mistral3",
                                .key = {{"rope.scaling.original_context_length", 4, 0, NULL},
                                        {"attention.temperature_scale", 0, 0.5, NULL}}},
                         other = {.arch = "mistral3",
                                  .key = {{"rope.scaling.original_context_length", 4, 0, NULL},
                                          {"rope.scaling_beta", 0, 0.5, NULL}}};

    (void)state;
    SAME(plain, llama);
    DIFFER(far, llama);
    SAME(far, other);
}

/* The fourth layer is the first without positions. */
static void test_smollm3(void **state)
{
    (void)state;
    SAME(((struct variant){.arch = "smollm3", .n_layer = 3}),
         ((struct variant){.arch = "llama", .n_layer = 3}));
    DIFFER(((struct variant){.arch = "smollm3", .n_layer = 4}),
           ((struct variant){.arch = "llama", .n_layer = 4}));
}

/* As large as Maverick it does not norm queries and keys; without a layer of experts and far
 * from the end of the first piece the rest is as in SmolLM3. */
static void test_llama4(void **state)
{
    struct variant v = {.arch = "llama4",
                        .n_layer = 4,
                        .key = {{"expert_count", 128, 0, NULL},
                                {"expert_used_count", 1, 0, NULL},
                                {"expert_feed_forward_length", 32, 0, NULL},
                                {"interleave_moe_layer_step", 0, 0, NULL}}};

    (void)state;
    SAME(v, ((struct variant){.arch = "smollm3", .n_layer = 4}));
    v.key[4] = (struct key){"attention.sliding_window", 0, 0, NULL};
    SAME(v, ((struct variant){.arch = "llama", .n_layer = 4}));
    v.key[0].i = 16;
    DIFFER(v, ((struct variant){.arch = "llama", .n_layer = 4}));
}

static void test_granite(void **state)
{
    struct variant halves = {.arch = "llama",
                             .extra = {{"attn_output.scale", 1, 1, 0.5f, 0},
                                       {"ffn_down.scale", 1, 1, 0.5f, 0}}},
                   granite = {.arch = "granite"};

    (void)state;
    SAME(granite, llama);
    granite.key[0] = (struct key){"logit_scale", 0, 4, NULL};
    assert_true(apart(llama, granite, 4) == 0);
    granite.key[0] = (struct key){"residual_scale", 0, 0.5, NULL};
    SAME(granite, halves);
    /* Twice the embedding is half of all that is added to it, for norms. */
    granite.key[0] = (struct key){"embedding_scale", 0, 2, NULL};
    assert_true(apart(granite, halves, 1) < 1e-5);
    granite.key[0] = (struct key){"attention.scale", 0, 0.25, NULL};
    SAME(granite, llama); /* the usual one of heads of 16 */
    granite.key[0] = (struct key){"rope.scaling.finetuned", 0, 0, NULL};
    DIFFER(granite, llama);
    NEAR(((struct variant){.arch = "granitemoe", .n_expert = 4}),
         ((struct variant){.arch = "llama", .n_expert = 4}));
}

/* -- Qwen: the text of vision models --------------------------------------------------- */

#define QKV_BIAS                                                                               \
    {"attn_q.bias", 64, 1, 0, 0.3f}, {"attn_k.bias", 32, 1, 0, 0.3f},                          \
    {                                                                                          \
        "attn_v.bias", 32, 1, 0, 0.3f                                                          \
    }

static void test_qwen(void **state)
{
    struct variant qwen2 = {.arch = "qwen2", .extra = {QKV_BIAS}}, vl = qwen2;

    (void)state;
    vl.arch = "qwen2vl";
    SAME(vl, qwen2);
    vl.arch = "qwen25vl";
    SAME(vl, qwen2);
    SAME(((struct variant){.arch = "qwen3vl", .key = {{"n_deepstack_layers", 3, 0, NULL}}}),
         ((struct variant){.arch = "qwen3"}));
    SAME(((struct variant){.arch = "qwen3vlmoe", .n_expert = 4}),
         ((struct variant){.arch = "qwen3moe", .n_expert = 4}));
}

/* -- OLMo ------------------------------------------------------------------------------ */

static void test_olmo(void **state)
{
    const struct variant base = {.arch = "olmo2",
                                 .extra = {{"attn_q_norm.weight", 64, 1, 1, 0.2f},
                                           {"attn_k_norm.weight", 32, 1, 1, 0.2f}},
                                 .rename = {{"attn_norm.weight", "post_attention_norm.weight"},
                                            {"ffn_norm.weight", "post_ffw_norm.weight"}}};
    const struct key window = {"attention.sliding_window", 3, 0, NULL},
                     wide = {"attention.sliding_window", 1000, 0, NULL},
                     yarn = {"rope.scaling.type", 0, 0, "yarn"},
                     factor = {"rope.scaling.factor", 0, 8, NULL},
                     none = {"attention.sliding_window_pattern", 1, 0, NULL};
    struct variant v = base, w;

    (void)state;
    v.key[0] = window;
    DIFFER(v, base);
    w = v;
    w.arch = "olmo3";
    SAME(v, w);
    v.key[1] = none; /* a period of 1: no layer has a window */
    SAME(v, base);
    /* Layers with a window, here both, are not stretched. */
    v.key[0] = wide;
    v.key[1] = yarn;
    v.key[2] = factor;
    SAME(v, base);
    v.key[3] = none;
    DIFFER(v, base);
}

/* -- Phi ------------------------------------------------------------------------------- */

/* Factors of 1 up to the first context, of 4 beyond it, which is a stretch by 4. */
static void test_phi3(void **state)
{
    const struct variant plain = {.arch = "phi3"};
    struct variant v = {.arch = "phi3",
                        .key = {{"rope.scaling.original_context_length", 256, 0, NULL}},
                        .extra = {{"=rope_factors_short.weight", 8, 1, 1, 0},
                                  {"=rope_factors_long.weight", 8, 1, 4, 0}}},
                   linear = {.arch = "phi3", .key = {{"rope.scaling.factor", 0, 4, NULL}}},
                   window = {.arch = "phi3",
                             .key = {{"attention.sliding_window", N_IDS, 0, NULL}}};

    (void)state;
    v.n_ctx = 256;
    SAME(v, plain);
    v.n_ctx = 257;
    SAME(v, linear);
    v.key[0].i = 300;
    v.n_ctx = 290; /* counts as 512 */
    SAME(v, linear);
    SAME(window, plain);
    window.key[0].i = N_IDS - 1;
    DIFFER(window, plain);
}

/* What a bias adds to all numbers of a token, norms by mean and variance take away again. Files
 * that name the epsilon of an RMS norm have that norm. */
static void test_phimoe(void **state)
{
    struct variant v = {.arch = "phimoe",
                        .n_expert = 4,
                        .key = {{"attention.layer_norm_epsilon", 0, 1e-5, NULL}},
                        .extra = {{"=output_norm.bias", 64, 1, 0, 0.2f},
                                  {"=output.bias", TINY_VOCAB, 1, 0, 0.2f},
                                  {"attn_norm.bias", 64, 1, 0, 0.2f},
                                  {"ffn_norm.bias", 64, 1, 0, 0.2f},
                                  QKV_BIAS,
                                  {"attn_output.bias", 64, 1, 0, 0.2f}}},
                   shifted = v;

    (void)state;
    shifted.extra[7].mean = 3;
    NEAR(shifted, v);
    v.key[0].name = shifted.key[0].name = NULL; /* a file of RMS norms, with biases */
    DIFFER(shifted, v);
    v.key[0].name = shifted.key[0].name = "attention.layer_norm_epsilon";
    shifted.extra[7].noise = 0.3f;
    DIFFER(shifted, v);
    shifted = v;
    shifted.key[0] = (struct key){NULL, 0, 0, NULL};
    DIFFER(shifted, v);
    v = shifted;
    shifted.extra[7].mean = 3;
    DIFFER(shifted, v);
}

/* A norm apart for attention that is like the other one. */
static void test_falcon(void **state)
{
    struct variant one = {.arch = "falcon",
                          .extra = {{"=output_norm.bias", 64, 1, 0, 0.2f},
                                    {"attn_norm.weight", 64, 1, 1, 0},
                                    {"attn_norm.bias", 64, 1, 0.1f, 0}},
                          .rename = {{"attn_norm.weight", NULL},
                                     {"ffn_norm.weight", NULL},
                                     {"ffn_gate.weight", NULL}}},
                   two = one;

    (void)state;
    two.extra[3] = (struct extra){"attn_norm_2.weight", 64, 1, 1, 0};
    two.extra[4] = (struct extra){"attn_norm_2.bias", 64, 1, 0.1f, 0};
    SAME(two, one);
    two.extra[3].mean = 2;
    DIFFER(two, one);
}

/* -- gpt-oss --------------------------------------------------------------------------- */

static void test_gpt_oss(void **state)
{
    struct variant v = {.arch = "gpt-oss",
                        .n_expert = 4,
                        .key = {{"rope.scaling.factor", 0, 8, NULL},
                                {"rope.scaling.original_context_length", 16, 0, NULL},
                                {"attention.sliding_window", 4, 0, NULL},
                                {"rope.scaling.type", 0, 0, "yarn"}},
                        .extra = {{"attn_sinks.weight", 4, 1, 1, 0.5f},
                                  QKV_BIAS,
                                  {"attn_output.bias", 64, 1, 0, 0.2f},
                                  {"ffn_gate_inp.bias", 4, 1, 0, 0.2f},
                                  {"ffn_gate_exps.bias", 96, 4, 0, 0.2f},
                                  {"ffn_up_exps.bias", 96, 4, 0, 0.2f},
                                  {"ffn_down_exps.bias", 64, 4, 0, 0.2f}},
                        .rename = {{"ffn_norm.weight", "post_attention_norm.weight"}}},
                   other = v, no_sinks = v;

    (void)state;
    no_sinks.extra[0].mean = -100;
    DIFFER(no_sinks, v);
    other.arch = "gptoss";
    other.no_key = "expert_feed_forward_length";
    other.key[3] = (struct key){.name = NULL};
    other.extra[0].name = "attn_sinks";
    other.extra[4].name = "attn_out.bias";
    other.rename[0] = (struct rename){"attn_output.weight", "attn_out.weight"};
    SAME(v, other);
}

/* -- GLM ------------------------------------------------------------------------------- */

static void test_glm4(void **state)
{
    struct variant v = {.arch = "glm4",
                        .extra = {{"post_attention_norm.weight", 64, 1, 1, 0.2f},
                                  {"post_ffw_norm.weight", 64, 1, 1, 0.2f}}},
                   sections = v;

    (void)state;
    sections.key[0] = (struct key){"rope.dimension_sections", 0, 0, NULL};
    SAME(sections, v);
    sections.key[0].i = 4; /* a vision model's file: other numbers make a pair */
    DIFFER(sections, v);
}

/* What predicts further tokens is read, and changes nothing. */
static void test_glm4moe(void **state)
{
    struct variant v = {.arch = "glm4moe",
                        .n_expert = 4,
                        .rename = {{"ffn_norm.weight", "post_attention_norm.weight"}}},
                   more = v;
    struct tiny t;
    struct hearth_model *m = NULL;
    struct hearth_error e = {0};

    (void)state;
    more.n_layer = 3;
    more.key[0] = (struct key){"nextn_predict_layers", 1, 0, NULL};
    more.extra_from = 2;
    more.extra[0] = (struct extra){"nextn.enorm.weight", 64, 1, 1, 0};
    more.extra[1] = (struct extra){"nextn.hnorm.weight", 64, 1, 1, 0};
    more.extra[2] = (struct extra){"nextn.shared_head_norm.weight", 64, 1, 1, 0};
    t = tiny_variant(&more);
    tiny_write(&t, tiny_path());
    assert_int_equal(
        hearth_model_open(&m, tiny_path(), &(struct hearth_model_options){.n_thread = 1}, &e),
        HEARTH_E_FORMAT);
    (void)unlink(tiny_path());
    assert_non_null(strstr(e.message, "blk.2.nextn.eh_proj.weight"));
    more.extra[3] = (struct extra){"nextn.eh_proj.weight", 128, 64, 0, 1};
    SAME(more, v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mistral3), cmocka_unit_test(test_smollm3),
        cmocka_unit_test(test_llama4),   cmocka_unit_test(test_granite),
        cmocka_unit_test(test_qwen),     cmocka_unit_test(test_olmo),
        cmocka_unit_test(test_phi3),     cmocka_unit_test(test_phimoe),
        cmocka_unit_test(test_falcon),   cmocka_unit_test(test_gpt_oss),
        cmocka_unit_test(test_glm4),     cmocka_unit_test(test_glm4moe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

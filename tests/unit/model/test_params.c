/* Keys that shape a model: each bad one is refused by its name, and the angles of rotary
 * positions are those of the formulas. */
#include "../infer/engine_test.h"

#include "model/params.h"

/* -- bad keys -------------------------------------------------------------------------- */

enum how { MISSING, INT, NUM, TEXT, INTS, NO_INTS, DIFFER };

struct change {
    const char *key; /* general.architecture, or behind "llama." */
    int how;
    int64_t i;
    double f;
    const char *s;
};

static void put(struct gguf_writer *w, const struct change *c)
{
    static const int32_t differ[] = {64, 32};
    int32_t same[2] = {(int32_t)c->i, (int32_t)c->i};
    char key[128];
    int rc = 0;

    (void)snprintf(key, sizeof(key), "%s%s", strncmp(c->key, "general.", 8) ? "llama." : "",
                   c->key);
    if (c->how == INT)
        rc = gguf_put_i64(w, key, GGUF_I64, c->i, NULL);
    else if (c->how == NUM)
        rc = gguf_put_f64(w, key, GGUF_F64, c->f, NULL);
    else if (c->how == TEXT)
        rc = gguf_put_str(w, key, str_of(c->s), NULL);
    else if (c->how == INTS)
        rc = gguf_put_arr(w, key, GGUF_I32, same, 2, NULL);
    else if (c->how == NO_INTS)
        rc = gguf_put_arr(w, key, GGUF_I32, same, 0, NULL);
    else if (c->how == DIFFER)
        rc = gguf_put_arr(w, key, GGUF_I32, differ, 2, NULL);
    assert_int_equal(rc, 0);
}

struct edit {
    struct change c;
    int done;
};

static int on_key(void *ctx, struct gguf_writer *w, const char *key)
{
    struct edit *e = ctx;

    if (strcmp(key, e->c.key) != 0)
        return 0;
    put(w, &e->c);
    e->done = 1;
    return 1;
}

/* Keys that the tiny model has not come last. */
static int on_tensor(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    struct edit *e = ctx;

    (void)t;
    if (!e->done)
        put(w, &e->c);
    e->done = 1;
    return 0;
}

static int open_changed(const struct change *c, int no_tok, struct hearth_error *e)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct edit edit = {.c = *c};
    struct hearth_model *m = NULL;
    int rc;

    if (strncmp(c->key, "expert_", 7) == 0 && strcmp(c->key, "expert_count") != 0) {
        t.n_expert = 4;
        t.n_used = 2;
    }
    t.no_tok = no_tok;
    t.key = on_key;
    t.tensor = on_tensor;
    t.ctx = &edit;
    tiny_write(&t, tiny_path());
    rc = hearth_model_open(&m, tiny_path(), &(struct hearth_model_options){.n_thread = 1}, e);
    (void)unlink(tiny_path());
    assert_true(rc == 0 || !m);
    hearth_model_close(m);
    return rc;
}

static void check_refused(const struct change *c, int code, const char *word)
{
    struct hearth_error e = {0};
    int rc = open_changed(c, 1, &e);

    if (rc != code || e.code != code || !strstr(e.message, word))
        fail_msg("%s, change %d (%lld, %g): %d '%s', expected %d with '%s'", c->key, c->how,
                 (long long)c->i, c->f, rc, e.message, code, word);
}

static void test_counts(void **state)
{
    static const char *const key[] = {"vocab_size",          "context_length",
                                      "embedding_length",    "block_count",
                                      "feed_forward_length", "attention.head_count"};
    static const struct change bad[] = {
        {NULL, MISSING, 0, 0, NULL},
        {NULL, INT, 0, 0, NULL},
        {NULL, INT, -1, 0, NULL},
        {NULL, INT, INT64_MIN, 0, NULL},
        {NULL, INT, 1000000000, 0, NULL},
        {NULL, INT, (int64_t)1 << 40, 0, NULL},
        {NULL, INT, ((int64_t)1 << 32) + 64, 0, NULL},
        {NULL, NUM, 0, 64, NULL},
        {NULL, TEXT, 0, 0, "64"},
        {NULL, NO_INTS, 0, 0, NULL},
        {NULL, INTS, -4, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++) {
        for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
            struct change c = bad[k];

            c.key = key[i];
            check_refused(&c, HEARTH_E_FORMAT, key[i]);
        }
    }
}

static void test_others(void **state)
{
    static const struct {
        struct change c;
        int code;
        const char *word;
    } bad[] = {
        {{"general.architecture", MISSING, 0, 0, NULL},
         HEARTH_E_FORMAT,
         "general.architecture"},
        {{"general.architecture", INT, 3, 0, NULL}, HEARTH_E_FORMAT, "general.architecture"},
        {{"general.architecture", TEXT, 0, 0, "zebra"}, HEARTH_E_UNSUPPORTED, "zebra"},
        {{"general.architecture", TEXT, 0, 0, "lama"},
         HEARTH_E_UNSUPPORTED,
         "nearest that are: llama,"},
        {{"general.architecture", TEXT, 0, 0, "qwen3x"},
         HEARTH_E_UNSUPPORTED,
         "nearest that are: qwen3,"},
        {{"attention.head_count", INT, 6, 0, NULL}, HEARTH_E_FORMAT, "embedding_length"},
        {{"attention.head_count", DIFFER, 0, 0, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"attention.head_count_kv", INT, 0, 0, NULL}, HEARTH_E_FORMAT, "head_count_kv"},
        {{"attention.head_count_kv", INT, -1, 0, NULL}, HEARTH_E_FORMAT, "head_count_kv"},
        {{"attention.head_count_kv", INT, 3, 0, NULL}, HEARTH_E_FORMAT, "head_count_kv"},
        {{"attention.head_count_kv", INT, 8, 0, NULL}, HEARTH_E_FORMAT, "head_count_kv"},
        {{"attention.head_count_kv", MISSING, 0, 0, NULL}, HEARTH_E_FORMAT, "attn_k.weight"},
        {{"attention.key_length", INT, 0, 0, NULL}, HEARTH_E_FORMAT, "key_length"},
        {{"attention.key_length", INT, 1 << 20, 0, NULL}, HEARTH_E_FORMAT, "key_length"},
        {{"attention.key_length", INT, 32, 0, NULL}, HEARTH_E_FORMAT, "attn_q.weight"},
        {{"attention.value_length", INT, -16, 0, NULL}, HEARTH_E_FORMAT, "value_length"},
        {{"attention.value_length", INT, 8, 0, NULL}, HEARTH_E_FORMAT, "attn_v.weight"},
        {{"attention.layer_norm_rms_epsilon", MISSING, 0, 0, NULL}, HEARTH_E_FORMAT, "epsilon"},
        {{"attention.layer_norm_rms_epsilon", NUM, 0, (double)NAN, NULL},
         HEARTH_E_FORMAT,
         "epsilon"},
        {{"attention.layer_norm_rms_epsilon", NUM, 0, -1, NULL}, HEARTH_E_FORMAT, "epsilon"},
        {{"attention.layer_norm_rms_epsilon", NUM, 0, (double)INFINITY, NULL},
         HEARTH_E_FORMAT,
         "eps"},
        {{"attention.layer_norm_rms_epsilon", TEXT, 0, 0, "x"}, HEARTH_E_FORMAT, "epsilon"},
        {{"attention.scale", NUM, 0, (double)NAN, NULL}, HEARTH_E_FORMAT, "attention.scale"},
        {{"rope.dimension_count", INT, 0, 0, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"rope.dimension_count", INT, -2, 0, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"rope.dimension_count", INT, 15, 0, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"rope.dimension_count", INT, 18, 0, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"rope.dimension_count", NUM, 0, 16, NULL}, HEARTH_E_FORMAT, "dimension_count"},
        {{"rope.freq_base", NUM, 0, 0, NULL}, HEARTH_E_FORMAT, "freq_base"},
        {{"rope.freq_base", NUM, 0, (double)NAN, NULL}, HEARTH_E_FORMAT, "freq_base"},
        {{"rope.freq_base", NUM, 0, (double)INFINITY, NULL}, HEARTH_E_FORMAT, "freq_base"},
        {{"rope.freq_base", TEXT, 0, 0, "x"}, HEARTH_E_FORMAT, "freq_base"},
        {{"rope.scaling.type", TEXT, 0, 0, "bent"}, HEARTH_E_UNSUPPORTED, "bent"},
        {{"rope.scaling.type", INT, 1, 0, NULL}, HEARTH_E_FORMAT, "rope.scaling.type"},
        {{"rope.scaling.factor", NUM, 0, (double)NAN, NULL}, HEARTH_E_FORMAT, "scaling.factor"},
        {{"rope.scaling.factor", NUM, 0, -2, NULL}, HEARTH_E_FORMAT, "scaling.factor"},
        {{"rope.scaling.original_context_length", INT, 0, 0, NULL},
         HEARTH_E_FORMAT,
         "original"},
        {{"rope.scaling.yarn_ext_factor", NUM, 0, 9, NULL}, HEARTH_E_FORMAT, "yarn_ext"},
        {{"rope.scaling.yarn_beta_fast", NUM, 0, 0, NULL}, HEARTH_E_FORMAT, "yarn_beta_fast"},
        {{"pooling_type", INT, 9, 0, NULL}, HEARTH_E_FORMAT, "pooling_type"},
        {{"expert_count", INT, 8, 0, NULL}, HEARTH_E_FORMAT, "expert_used_count"},
        {{"expert_count", INT, 513, 0, NULL}, HEARTH_E_FORMAT, "expert_count"},
        {{"expert_count", INT, -8, 0, NULL}, HEARTH_E_FORMAT, "expert_count"},
        {{"expert_used_count", INT, 5, 0, NULL}, HEARTH_E_FORMAT, "expert_used_count"},
        {{"expert_used_count", INT, 0, 0, NULL}, HEARTH_E_FORMAT, "expert_used_count"},
        {{"expert_used_count", MISSING, 0, 0, NULL}, HEARTH_E_FORMAT, "expert_used_count"},
        {{"expert_feed_forward_length", INT, 0, 0, NULL}, HEARTH_E_FORMAT, "feed_forward"},
        {{"expert_feed_forward_length", INT, 32, 0, NULL}, HEARTH_E_FORMAT, "ffn_gate_exps"},
        {{"expert_gating_func", INT, 5, 0, NULL}, HEARTH_E_UNSUPPORTED, "gating_func: 5"},
        {{"expert_gating_func", INT, -1, 0, NULL}, HEARTH_E_FORMAT, "gating_func"},
        {{"expert_group_count", INT, 8, 0, NULL}, HEARTH_E_FORMAT, "group_count: 8"},
        {{"expert_group_count", INT, 3, 0, NULL}, HEARTH_E_FORMAT, "group_count: 3"},
        {{"expert_weights_norm", TEXT, 0, 0, "x"}, HEARTH_E_FORMAT, "weights_norm"},
        {{"expert_weights_scale", NUM, 0, -1, NULL}, HEARTH_E_FORMAT, "weights_scale"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        check_refused(&bad[i].c, bad[i].code, bad[i].word);
}

static void test_good(void **state)
{
    static const struct change good[] = {
        {"expert_count", INT, 0, 0, NULL},
        {"expert_group_count", INT, 1, 0, NULL},
        {"expert_gating_func", INT, 2, 0, NULL},
        {"attention.head_count", INTS, 4, 0, NULL}, /* one for each layer, all the same */
        {"rope.dimension_count", MISSING, 0, 0, NULL},
        {"rope.dimension_count", INT, 8, 0, NULL},
        {"rope.freq_base", MISSING, 0, 0, NULL},
        {"attention.key_length", INT, 16, 0, NULL},
        {"rope.scaling.type", TEXT, 0, 0, "linear"},
    };
    struct hearth_error e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        if (open_changed(&good[i], 1, &e) != 0)
            fail_msg("%s: %s", good[i].key, e.message);
    }
    /* Without the key there are as many rows as tokens. */
    if (open_changed(&(struct change){"vocab_size", MISSING, 0, 0, NULL}, 0, &e) != 0)
        fail_msg("%s", e.message);
}

/* -- experts --------------------------------------------------------------------------- */

static int leave_out(void *ctx, struct gguf_writer *w, const char *key)
{
    (void)w;
    return strcmp(key, ctx) == 0;
}

static struct moe_params read_moe(const struct moe_params *usual, const char *without)
{
    char name[64];
    struct tiny t = tiny_of(QUANT_F32);
    struct gguf *g = NULL;
    struct params p;
    struct err e = {0};
    struct params_reader r = {NULL, "llama", &e, 0};

    (void)snprintf(name, sizeof(name), "%s", without);
    t.n_expert = 4;
    t.n_used = 3;
    t.n_ff = 96;
    t.key = leave_out;
    t.ctx = name;
    tiny_write(&t, tiny_path());
    assert_int_equal(gguf_open(&g, tiny_path(), &e), 0);
    (void)unlink(tiny_path());
    assert_int_equal(params_read(&p, g, "llama", NORM_RMS, &e), 0);
    r.g = g;
    params_moe(&r, &p, usual);
    if (r.rc < 0)
        fail_msg("%s", e.msg);
    gguf_free(g);
    return p.moe;
}

/* What the file says, then what is usual for the family, then what follows from other keys. */
static void test_expert_defaults(void **state)
{
    struct moe_params usual = {.n_ff = 64, .n_ff_shared = 80, .score = MOE_SIGMOID, .norm = 1},
                      m = read_moe(&usual, "none");

    (void)state;
    assert_true(m.n == 4 && m.n_used == 3 && m.n_ff == 96 && m.n_ff_shared == 80);
    assert_true(m.score == MOE_SIGMOID && m.norm == 1 && m.scale == 1);
    assert_int_equal(read_moe(&usual, "expert_feed_forward_length").n_ff, 64);
    usual = (struct moe_params){.score = MOE_SOFTMAX};
    m = read_moe(&usual, "expert_feed_forward_length");
    assert_true(m.n_ff == 32 && m.n_ff_shared == 0 && m.score == MOE_SOFTMAX && m.norm == 0);
    assert_int_equal(read_moe(&usual, "expert_count").n, 0);
}

/* -- angles ---------------------------------------------------------------------------- */

/* What a file says, and the angle of pair i at pos as the papers have it. */
struct said {
    int n_rot, n_orig;
    double base, factor, log_mul, attn, fast, slow;
    int yarn;
    int exact; /* a family whose range is not rounded */
    int other; /* the keys as another tool spells them */
};

static void slow_angle(const struct said *a, const float *f, int pos, int i, double cs[2])
{
    double pi = acos(-1.0), freq = pow(a->base, -2.0 * i / a->n_rot), far, near, theta, m;

    far = pos * freq / (f ? (double)f[i] : 1);
    near = a->factor > 0 ? far / a->factor : far;
    theta = near;
    m = a->attn;
    if (a->yarn) {
        double at[2], n[2] = {a->fast, a->slow}, ramp, low, high;

        for (int k = 0; k < 2; k++) /* the pair that makes n turns over the old context */
            at[k] = a->n_rot * log(a->n_orig / (n[k] * 2 * pi)) / (2 * log(a->base));
        low = a->exact ? at[0] : floor(at[0]);
        high = a->exact ? at[1] : ceil(at[1]);
        low = low < 0 ? 0 : low;
        high = high > a->n_rot - 1 ? a->n_rot - 1 : high;
        ramp = (i - low) / (high - low > 0.001 ? high - low : 0.001);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        theta = near * ramp + far * (1 - ramp);
        m *= a->log_mul == 0
                 ? 0.1 * log(a->factor) + 1
                 : (0.1 * log(a->factor) + 1) / (0.1 * a->log_mul * log(a->factor) + 1);
    }
    cs[0] = cos(theta) * m;
    cs[1] = sin(theta) * m;
}

static int said_tensor(void *ctx, struct gguf_writer *w, struct tiny_tensor *t)
{
    static const char *const key[2][3] = {
        {"llama.rope.scaling.yarn_beta_fast", "llama.rope.scaling.yarn_beta_slow",
         "llama.rope.scaling.yarn_log_multiplier"},
        {"llama.rope.scaling.beta_fast", "llama.rope.scaling.beta_slow",
         "llama.rope.scaling.mscale_all_dim"}};
    const struct said *a = ctx;
    int rc = 0;

    if (strcmp(t->name, "token_embd.weight") != 0)
        return 0;
    if (a->factor > 0) {
        rc |= gguf_put_str(w, "llama.rope.scaling.type", str_of(a->yarn ? "yarn" : "linear"),
                           NULL);
        rc |= gguf_put_f64(w, "llama.rope.scaling.factor", GGUF_F64, a->factor, NULL);
    }
    rc |= gguf_put_u64(w, "llama.rope.scaling.original_context_length", GGUF_U32,
                       (uint64_t)a->n_orig, NULL);
    rc |= gguf_put_f64(w, "llama.rope.scaling.attn_factor", GGUF_F64, a->attn, NULL);
    for (int i = 0; i < 3; i++)
        rc |= gguf_put_f64(w, key[a->other][i], GGUF_F64,
                           (double[]){a->fast, a->slow, a->log_mul}[i], NULL);
    assert_int_equal(rc, 0);
    return 0;
}

static int said_key(void *ctx, struct gguf_writer *w, const char *key)
{
    const struct said *a = ctx;

    if (strcmp(key, "rope.freq_base") == 0)
        return gguf_put_f64(w, "llama.rope.freq_base", GGUF_F64, a->base, NULL) == 0;
    if (strcmp(key, "rope.dimension_count") == 0)
        return gguf_put_u64(w, "llama.rope.dimension_count", GGUF_U32, (uint64_t)a->n_rot,
                            NULL) == 0;
    return 0;
}

static void check_angles(struct said a, const float *factors)
{
    static const int pos[] = {0, 1, 2, 63, 64, 1000, 32767, 1000000};
    struct tiny t = tiny_of(QUANT_F32);
    struct gguf *g = NULL;
    struct params p;
    struct err e = {0};
    float cs[128];

    t.n_embd = 512; /* heads of 128 */
    t.n_vocab = 8;
    t.n_layer = 1;
    t.no_tok = 1;
    t.key = said_key;
    t.tensor = said_tensor;
    t.ctx = &a;
    tiny_write(&t, tiny_path());
    assert_int_equal(gguf_open(&g, tiny_path(), &e), 0);
    (void)unlink(tiny_path());
    if (params_read(&p, g, "llama", NORM_RMS, &e) < 0)
        fail_msg("%s", e.msg);
    p.rope[ROPE_MAIN].exact = a.exact;
    for (size_t k = 0; k < sizeof(pos) / sizeof(*pos); k++) {
        rope_angles(&p.rope[ROPE_MAIN], factors, pos[k], cs);
        for (int i = 0; i < a.n_rot / 2; i++) {
            double want[2];

            slow_angle(&a, factors, pos[k], i, want);
            for (int s = 0; s < 2; s++) {
                if (!(fabs((double)cs[2 * i + s] - want[s]) < 1e-6))
                    fail_msg("yarn %d factor %g pos %d pair %d: %.9g, want %.9g", a.yarn,
                             a.factor, pos[k], i, (double)cs[2 * i + s], want[s]);
            }
        }
    }
    gguf_free(g);
}

static void test_angles(void **state)
{
    static const struct said plain = {128, 4096, 10000, 0, 0, 1, 32, 1, 0, 0, 0};
    struct said a = plain;
    float factors[64];

    (void)state;
    check_angles(a, NULL);
    a.base = 5e5;
    a.n_rot = 64;
    check_angles(a, NULL);
    for (int i = 0; i < 64; i++)
        factors[i] = i < 20 ? 1 : 1 + 0.11f * (float)i;
    check_angles(a, factors);
    a.factor = 4; /* linear */
    a.attn = 0.7;
    check_angles(a, NULL);
    a.yarn = 1;
    check_angles(a, NULL);
    a.attn = 1;
    a.n_rot = 128;
    a.factor = 40;
    a.base = 10000;
    check_angles(a, NULL);
    check_angles(a, factors);
    a.log_mul = 0.707;
    check_angles(a, NULL);
    a.exact = 1;
    check_angles(a, NULL);
    a.exact = 0;
    a.other = 1;
    a.fast = 20;
    check_angles(a, NULL);
    a.other = 0;
    a.fast = 32;
    a.log_mul = 1;
    a.fast = 4;
    a.slow = 4; /* an empty ramp */
    a.n_orig = 131072;
    check_angles(a, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts), cmocka_unit_test(test_others),
        cmocka_unit_test(test_good),   cmocka_unit_test(test_expert_defaults),
        cmocka_unit_test(test_angles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

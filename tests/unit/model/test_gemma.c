/* Gemma files that say the same in other words compute the same bits; files that contradict
 * themselves are refused by what is wrong. Made from the golden files, with keys and tensors
 * renamed, left out and added. */
#include "../infer/engine_test.h"

#include "model/block/block.h"
#include "quant/f16.h"

#include <math.h>

enum { N_ID = 24, ROW_MAX = 512, EXTRA_MAX = 16 };

/* A name of a key (behind the architecture's) or tensor, and what it becomes; NULL: nothing. */
struct edit {
    const char *from, *to;
};

struct extra {
    const char *name; /* of a tensor of floats */
    uint64_t ne[3];
};

struct variant {
    const char *arch; /* NULL: as it was */
    struct edit edit[12];
    struct edit num[6]; /* keys that are added, instead of others of the name: name, number */
    struct extra extra[EXTRA_MAX];
};

/* -- writing --------------------------------------------------------------------------- */

static const struct edit *edit_of(const struct variant *v, const char *name)
{
    for (size_t i = 0; v->edit[i].from; i++) {
        if (strcmp(v->edit[i].from, name) == 0)
            return &v->edit[i];
    }
    return NULL;
}

static int is_added(const struct variant *v, const char *name)
{
    for (size_t i = 0; v->num[i].from; i++) {
        if (strcmp(v->num[i].from, name) == 0)
            return 1;
    }
    return 0;
}

static void copy_keys(struct gguf_writer *w, const struct gguf *g, const struct variant *v,
                      const char *was, const char *arch)
{
    char name[128], full[160];

    assert_int_equal(gguf_put_str(w, "general.architecture", str_of(arch), NULL), 0);
    for (size_t i = 0; v->num[i].from; i++) {
        (void)snprintf(full, sizeof(full), "%s.%s", arch, v->num[i].from);
        assert_int_equal(gguf_put_u64(w, full, GGUF_U32, strtoul(v->num[i].to, NULL, 10), NULL),
                         0);
    }
    for (size_t i = 0; i < gguf_n_kv(g); i++) {
        struct gguf_kv kv = *gguf_kv_at(g, i);
        const struct edit *e;
        size_t n = strlen(was) + 1;

        if (kv.key.n < n || memcmp(kv.key.p, was, n - 1) != 0 || kv.key.p[n - 1] != '.') {
            if (!str_is(kv.key, "general.architecture"))
                assert_int_equal(gguf_put_kv(w, &kv, NULL), 0);
            continue;
        }
        (void)snprintf(name, sizeof(name), "%.*s", (int)(kv.key.n - n), kv.key.p + n);
        e = edit_of(v, name);
        if ((e && !e->to) || is_added(v, name))
            continue;
        (void)snprintf(full, sizeof(full), "%s.%s", arch, e ? e->to : name);
        kv.key = str_of(full);
        assert_int_equal(gguf_put_kv(w, &kv, NULL), 0);
    }
}

static void put_extra(struct gguf_writer *w, const struct extra *x, float *data)
{
    struct rng rng;
    size_t n = (size_t)(x->ne[0] * (x->ne[1] ? x->ne[1] : 1) * (x->ne[2] ? x->ne[2] : 1));

    rng_seed(&rng, x->ne[0]); /* the same whatever the name */
    for (size_t i = 0; i < n; i++)
        data[i] = (float)rng_unit(&rng) - 0.4f;
    assert_int_equal(gguf_put_tensor(w, x->name, QUANT_F32,
                                     x->ne[2]   ? 3
                                     : x->ne[1] ? 2
                                                : 1,
                                     x->ne, data, NULL),
                     0);
}

/* The golden file, changed, as tiny_path(). */
static void write_variant(const char *golden, const struct variant *v)
{
    static float data[EXTRA_MAX][16384];
    char path[128];
    struct gguf *g;
    struct gguf_writer *w;
    struct err e = {0};

    (void)snprintf(path, sizeof(path), "../shared/golden/models/%s.gguf", golden);
    if (access(path, R_OK) != 0)
        skip();
    assert_int_equal(gguf_open(&g, path, &e), 0);
    assert_int_equal(gguf_writer_new(&w, 3, NULL), 0);
    {
        struct str arch;
        char was[64];

        assert_int_equal(gguf_str(g, "general.architecture", &arch, NULL), 1);
        (void)snprintf(was, sizeof(was), "%.*s", (int)arch.n, arch.p);
        copy_keys(w, g, v, was, v->arch ? v->arch : was);
    }
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const struct edit *ed;
        char name[128];

        (void)snprintf(name, sizeof(name), "%.*s", (int)t->name.n, t->name.p);
        ed = edit_of(v, name);
        if (!ed || ed->to)
            assert_int_equal(
                gguf_put_tensor(w, ed ? ed->to : name, t->type, t->n_dim, t->ne, t->data, NULL),
                0);
    }
    for (size_t i = 0; i < EXTRA_MAX && v->extra[i].name; i++)
        put_extra(w, &v->extra[i], data[i]);
    assert_int_equal(gguf_write(w, tiny_path(), &e), 0);
    gguf_writer_free(w);
    gguf_free(g);
}

/* -- running --------------------------------------------------------------------------- */

static size_t is_text(const struct hearth_model *m)
{
    struct hearth_model_info info;

    hearth_model_info(m, &info);
    return info.pooling ? 0 : (size_t)info.n_vocab;
}

/* The last logits, or the embedding, of the same ids. Returns how many numbers. */
static size_t run(const char *golden, const struct variant *v, float out[ROW_MAX])
{
    struct hearth_model *m = NULL;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct hearth_model_info info;
    int32_t id[N_ID];
    size_t n;

    for (int i = 0; i < N_ID; i++)
        id[i] = 5 + i * 37 % 90;
    write_variant(golden, v);
    FINE(hearth_model_open(&m, tiny_path(), &(struct hearth_model_options){.cpu = "ref"},
                           &fine));
    (void)unlink(tiny_path());
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64, .kv_type = HEARTH_KV_F32});
    s = seq_make(en);
    n = is_text(m);
    if (n) {
        (void)feed(s, id, N_ID);
        memcpy(out, catch_up(en, s), n * sizeof(*out));
    } else {
        hearth_model_info(m, &info);
        n = (size_t)info.n_embd_out;
        FINE(hearth_seq_embed(s, id, N_ID, out, &fine));
    }
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
    return n;
}

static void expect_same(const char *golden, const struct variant *a, const struct variant *b)
{
    static float x[ROW_MAX], y[ROW_MAX];
    size_t n = run(golden, a, x);

    assert_int_equal(run(golden, b, y), n);
    assert_memory_equal(x, y, n * sizeof(*x));
}

static void expect_other(const char *golden, const struct variant *a, const struct variant *b)
{
    static float x[ROW_MAX], y[ROW_MAX];
    size_t n = run(golden, a, x);

    assert_int_equal(run(golden, b, y), n);
    assert_memory_not_equal(x, y, n * sizeof(*x));
}

static void expect_refused(const char *golden, const struct variant *v, const char *word)
{
    struct hearth_model *m = NULL;
    struct hearth_error e = {0};

    write_variant(golden, v);
    assert_int_equal(hearth_model_open(&m, tiny_path(), NULL, &e), HEARTH_E_FORMAT);
    (void)unlink(tiny_path());
    if (!strstr(e.message, word))
        fail_msg("'%s' does not name %s", e.message, word);
}

static const struct variant as_it_is;

/* -- the tests ------------------------------------------------------------------------- */

/* The golden gemma3 has what other files leave out: 1e-6, bases 1e6 and 1e4, factor 8. */
static void test_other_keys(void **state)
{
    const struct variant renamed = {
        .edit = {{"rope.freq_base", "rope.global.freq_base"},
                 {"rope.freq_base_swa", "rope.local.freq_base"},
                 {"attention.layer_norm_rms_epsilon", NULL},
                 {"rope.scaling.type", NULL},
                 {"rope.scaling.factor", NULL}},
        .num = {{"context_length", "131072"}},
    };
    const struct variant less = {.edit = {{"rope.freq_base", NULL},
                                          {"rope.freq_base_swa", NULL},
                                          {"attention.layer_norm_rms_epsilon", NULL}}};
    const struct variant short_one = {.edit = {{"rope.freq_base", "rope.global.freq_base"},
                                               {"rope.scaling.type", NULL},
                                               {"rope.scaling.factor", NULL}}};

    (void)state;
    expect_same("gemma3", &as_it_is, &renamed);
    expect_same("gemma3", &as_it_is, &less);
    expect_other("gemma3", &as_it_is, &short_one); /* no factor */
}

#define DENSE(a, b)                                                                            \
    {                                                                                          \
        {a, {64, 48}}, {b, {48, 32}},                                                          \
    }

/* An embedding model that says it is a Gemma 3. */
static void test_embedding(void **state)
{
    const struct variant own = {.extra = DENSE("dense_2.weight", "dense_3.weight")};
    const struct variant other = {
        .arch = "gemma3",
        .edit = {{"output_norm.weight", "norm.weight"}, {"attention.causal", NULL}},
        .extra = DENSE("dense.0.weight", "dense.1.weight")};
    const struct variant misfit = {.extra = DENSE("dense_3.weight", "dense_2.weight")};
    static float x[ROW_MAX], y[ROW_MAX];

    (void)state;
    assert_int_equal(run("gemma_embed", &as_it_is, x), 64);
    assert_int_equal(run("gemma_embed", &own, y), 32);
    expect_same("gemma_embed", &own, &other);
    expect_refused("gemma_embed", &misfit, "dense_");
    /* W3 W2 x, with the numbers that put_extra writes. */
    {
        static float w[2][64 * 48];
        struct rng rng;

        for (int k = 0; k < 2; k++) {
            size_t n = k ? 48 * 32 : 64 * 48;

            rng_seed(&rng, k ? 48 : 64);
            for (size_t i = 0; i < n; i++)
                w[k][i] = (float)rng_unit(&rng) - 0.4f;
        }
        for (size_t r = 0; r < 32; r++) {
            double sum = 0, size = 0;

            for (size_t k = 0; k < 48; k++) {
                double mid = 0;

                for (size_t i = 0; i < 64; i++)
                    mid += (double)w[0][k * 64 + i] * (double)x[i];
                sum += (double)w[1][r * 48 + k] * mid;
                size += fabs((double)w[1][r * 48 + k] * mid);
            }
            assert_true(fabs((double)y[r] - sum) < 1e-5 * size);
        }
    }
}

/* Layer 0 gets experts; the number of each may stand in two places. */
#define EXPERTS(scale)                                                                         \
    {                                                                                          \
        {"blk.0.ffn_gate_inp.weight", {64, 4}}, {"blk.0.ffn_gate_exps.weight", {64, 24, 4}},   \
            {"blk.0.ffn_up_exps.weight", {64, 24, 4}},                                         \
            {"blk.0.ffn_down_exps.weight", {24, 64, 4}},                                       \
            {"blk.0.pre_ffw_norm_2.weight", {64}}, {"blk.0.post_ffw_norm_1.weight", {64}},     \
            {"blk.0.post_ffw_norm_2.weight", {64}}, {scale, {4}},                              \
    }
#define EXPERT_KEYS                                                                            \
    {                                                                                          \
        {"expert_count", "4"}, {"expert_used_count", "2"},                                     \
        {                                                                                      \
            "expert_feed_forward_length", "24"                                                 \
        }                                                                                      \
    }

static void test_expert_scales(void **state)
{
    const struct variant usual = {.num = EXPERT_KEYS,
                                  .extra = EXPERTS("blk.0.ffn_down_exps.scale")};
    const struct variant other = {.num = EXPERT_KEYS,
                                  .extra = EXPERTS("blk.0.ffn_gate_inp.per_expert_scale")};
    const struct variant none = {.num = EXPERT_KEYS, .extra = EXPERTS(NULL)};

    (void)state;
    expect_same("gemma4", &usual, &other);
    expect_other("gemma4", &usual, &none);
    expect_other("gemma4", &as_it_is, &none);
}

static void test_refused(void **state)
{
    /* Windows in layers 0 to 3, all seen by 4: nobody before 3 sees all. */
    const struct variant borrows_nothing = {.num = {{"attention.shared_kv_layers", "2"}}};
    const struct variant values = {.edit = {{"blk.0.attn_v.weight", NULL}},
                                   .num = {{"attention.value_length_swa", "8"}}};
    const struct variant pattern = {.edit = {{"attention.sliding_window_pattern", NULL}}};
    const struct variant no_eps = {.edit = {{"attention.layer_norm_rms_epsilon", NULL}}};
    const struct variant streams = {.num = {{"altup.num_inputs", "3"}}};
    const struct variant rotates = {.num = {{"rope.dimension_count_swa", "64"}}};

    (void)state;
    expect_refused("gemma4", &borrows_nothing, "attention.shared_kv_layers");
    expect_refused("gemma4", &values, "blk.0.attn_v.weight");
    expect_refused("gemma4", &pattern, "sliding_window_pattern");
    expect_refused("gemma2", &no_eps, "layer_norm_rms_epsilon");
    expect_refused("gemma3n", &streams, "altup.num_inputs");
    expect_refused("gemma3", &rotates, "dimension_count_swa");
}

/* Layers that borrow may have keys and values that nobody reads. */
static void test_borrowed(void **state)
{
    const struct variant borrows = {.num = {{"attention.shared_kv_layers", "3"}},
                                    .edit = {{"attention.sliding_window_pattern", NULL}}};
    const struct variant less = {.edit = {{"blk.20.attn_k.weight", NULL},
                                          {"blk.20.attn_v.weight", NULL},
                                          {"blk.20.attn_k_norm.weight", NULL}}};

    (void)state;
    expect_same("gemma3n", &as_it_is, &less);
    expect_other("gemma3n", &as_it_is, &borrows);
}

/* Rows past the vocabulary: the output, which is the embedding, has none of them. */
static void test_more_rows(void **state)
{
    const struct edit gone[] = {{"token_embd.weight", NULL}, {"output.weight", NULL}};
    struct variant less = {.extra = {{"token_embd.weight", {32, 128}}}},
                   more = {.extra = {{"token_embd.weight", {32, 131}}}},
                   few = {.extra = {{"token_embd.weight", {32, 127}}}};

    (void)state;
    memcpy(less.edit, gone, sizeof(gone));
    memcpy(more.edit, gone, sizeof(gone));
    memcpy(few.edit, gone, sizeof(gone));
    expect_same("gemma3n", &less, &more);
    expect_refused("gemma3n", &few, "token_embd.weight");
}

static void test_gelu_half(void **state)
{
    static const float x[] = {0,       1,        -1,        0.3333333f, -2.7182818f, 9.999f,
                              -9.999f, 10.001f,  -12.5f,    1e-5f,      -1e-5f,      3e-8f,
                              2.5e-8f, 1.00049f, 1.000488f, 6.1e-5f,    -6.2e-5f,    5};
    enum { N = sizeof(x) / sizeof(*x) };
    float gate[N], up[N], y[N];
    struct kern k;

    (void)state;
    kern_init(&k, KERN_REF);
    for (int i = 0; i < N; i++) {
        gate[i] = x[i];
        up[i] = 1.5f;
    }
    blk_gelu_half(&k, gate, up, y, N);
    for (int i = 0; i < N; i++) {
        float v = fabsf(x[i]) < 10 ? f16_to_f32(f32_to_f16(x[i])) : x[i], g;

        k.act(KERN_ACT_GELU, 0, &v, NULL, &g, 1);
        g = fabsf(g) < 10 ? f16_to_f32(f32_to_f16(g)) : g;
        assert_true(y[i] == g * 1.5f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_other_keys),    cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_expert_scales), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_borrowed),      cmocka_unit_test(test_more_rows),
        cmocka_unit_test(test_gelu_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

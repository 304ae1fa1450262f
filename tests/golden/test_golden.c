/* The engine against golden vectors: logits of an independent engine in float32, on every tier
 * of this machine, and a story that a small trained model tells.
 *
 * Measured, all tiers, float weights: errors around 1e-13. The limits leave room for other
 * compilers and processors, not for mistakes: a wrong rotation or norm gives over 1e-3. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/mem.h"
#include "hearth.h"
#include "kern/kern.h"

enum { TOK_MAX = 256, GREEDY = 16, NAME_LEN = 64 };

/* The vectors were made with GELU from a table of half precision (GELU); with the experts of
 * one model in 4 bits and activations rounded to 8 (FP4): the reference tier, which rounds
 * none, is further from them than a limit would mean anything. */
static const struct {
    const char *name;
    /* Limits of the error on the reference tier and on the others; 0: not compared there. */
    double ref, tier;
} models[] = {
#define EXACT(name)                                                                            \
    {                                                                                          \
        name, 1e-6, 1e-5                                                                       \
    }
#define GELU(name)                                                                             \
    {                                                                                          \
        name, 3e-5, 3e-5                                                                       \
    }
#define FP4(name)                                                                              \
    {                                                                                          \
        name, 0, 1e-3                                                                          \
    }
    /* clang-format off */
    GELU("bert"),
    EXACT("deepseek32"),
    EXACT("deepseek_v2lite"),
    EXACT("deepseek_v3"),
    EXACT("deepseek_v4"),
    EXACT("falcon3"),
    EXACT("falcon_h1"),
    GELU("gemma2"),
    GELU("gemma3"),
    GELU("gemma3n"),
    GELU("gemma4"),
    GELU("gemma_embed"),
    EXACT("glm4"),
    EXACT("glm4moe"),
    EXACT("glm5_dsa"),
    FP4("gpt_oss"),
    EXACT("granite4h"),
    EXACT("kimi_linear"),
    EXACT("llama2"),
    EXACT("llama3"),
    EXACT("llama4"),
    EXACT("mamba2"),
    EXACT("ministral3"),
    EXACT("mistral_small"),
    EXACT("mixtral"),
    EXACT("nemotron3"),
    EXACT("nemotron_h"),
    GELU("nomic_bert"),
    EXACT("olmo2"),
    GELU("phi2"),
    EXACT("phi3"),
    EXACT("phi3_long"),
    EXACT("qwen2"),
    EXACT("qwen2moe"),
    EXACT("qwen3"),
    EXACT("qwen35"),
    EXACT("qwen35moe"),
    EXACT("qwen3_embed"),
    EXACT("qwen3moe"),
    EXACT("qwen3next"),
    GELU("starcoder2"),
    /* clang-format on */
};
static const char *const quants[] = {
    "f16",   "bf16",   "q4_0",   "q4_1",  "q5_0",  "q5_1",    "q8_0",   "q2_k",  "q3_k",
    "q4_k",  "q5_k",   "q6_k",   "iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs",
    "iq3_s", "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4",   "nvfp4",  "q1_0"};
static const char stories[] = "../shared/models/stories260k.gguf";

/* -- what is expected ------------------------------------------------------------------ */

struct expected {
    char path[256]; /* of the model */
    int32_t id[TOK_MAX];
    size_t n_id;
    int pooled; /* row is one embedding */
    int32_t greedy[GREEDY];
    double peer; /* the error of the most used runtime, 0 where none is given */
    float *row;  /* [n_id + 1][n_vocab]: each position, then after the last greedy token */
    size_t n_float;
};

static int there(const char *path)
{
    FILE *f = fopen(path, "rb");

    if (f)
        (void)fclose(f);
    return f != NULL;
}

static size_t read_ids(const json_t *doc, const char *key, int32_t *ids, size_t max)
{
    const json_t *a = json_object_get(doc, key);
    size_t n = json_array_size(a);

    assert_in_range(n, 1, max);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(a, i));
    return n;
}

static void read_rows(struct expected *x, const char *path)
{
    FILE *f = fopen(path, "rb");
    long n;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    n = ftell(f);
    assert_true(n > 0 && n % 4 == 0);
    rewind(f);
    x->n_float = (size_t)n / 4;
    x->row = mem_alloc((size_t)n);
    assert_non_null(x->row);
    assert_int_equal(fread(x->row, 4, x->n_float, f), x->n_float);
    (void)fclose(f);
}

/* Skips the test, aloud, when the vectors are not here. */
static struct expected expect_open(const char *dir, const char *name)
{
    struct expected x = {.peer = 0};
    char path[256];
    json_t *doc;

    (void)snprintf(x.path, sizeof(x.path), "../shared/golden/%s/%s.gguf", dir, name);
    if (!there(x.path)) {
        print_message("%s is not here\n", x.path);
        skip();
    }
    (void)snprintf(path, sizeof(path), "../shared/golden/%s/%s.json", dir, name);
    doc = json_load_file(path, 0, NULL);
    assert_non_null(doc);
    x.n_id = read_ids(doc, "tokens", x.id, TOK_MAX);
    x.pooled = strcmp(json_string_value(json_object_get(doc, "mode")), "embd-pooled") == 0;
    if (!x.pooled)
        assert_int_equal(read_ids(doc, "greedy", x.greedy, GREEDY), GREEDY);
    if (json_object_get(doc, "peer_nmse"))
        x.peer = json_number_value(json_object_get(doc, "peer_nmse"));
    json_decref(doc);
    (void)snprintf(path, sizeof(path), "../shared/golden/%s/%s.logits.f32", dir, name);
    read_rows(&x, path);
    return x;
}

/* -- what the engine computes ---------------------------------------------------------- */

struct run {
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq *s;
    size_t n_vocab;
};

static struct run run_open(const char *path, int tier, int kv)
{
    struct run r;
    struct hearth_error e = {0};
    struct hearth_model_info info;

    if (hearth_model_open(
            &r.m, path, &(struct hearth_model_options){.cpu = kern_tier_name(tier)}, &e) < 0 ||
        hearth_engine_new(
            &r.en, r.m, &(struct hearth_engine_options){.n_ctx = 512, .kv_type = kv}, &e) < 0 ||
        hearth_seq_open(&r.s, r.en, &e) < 0)
        fail_msg("%s", e.message);
    hearth_model_info(r.m, &info);
    assert_string_equal(info.cpu, kern_tier_name(tier));
    r.n_vocab = (size_t)info.n_vocab;
    return r;
}

static void run_close(struct run *r)
{
    hearth_seq_close(r->s);
    hearth_engine_free(r->en);
    hearth_model_close(r->m);
}

struct rows {
    float *out;
    size_t n_vocab;
};

static int keep_row(void *ctx, size_t i, const float *logits)
{
    struct rows *r = ctx;

    memcpy(r->out + i * r->n_vocab, logits, r->n_vocab * sizeof(*logits));
    return 0;
}

/* Rows of every position, the tokens given in pieces. */
static void rows_in_pieces(struct run *r, const struct expected *x, size_t piece, float *out)
{
    for (size_t i = 0; i < x->n_id; i += piece) {
        struct rows rows = {out + i * r->n_vocab, r->n_vocab};
        size_t n = x->n_id - i < piece ? x->n_id - i : piece;
        struct hearth_error e = {0};

        if (hearth_seq_logits_all(r->s, x->id + i, n, keep_row, &rows, &e) < 0)
            fail_msg("%s", e.message);
    }
}

static int best_of(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int)best;
}

static const float *step_all(struct run *r)
{
    struct hearth_error e = {0};
    int rc;

    while ((rc = hearth_engine_step(r->en, &e)) > 0)
        ;
    if (rc < 0)
        fail_msg("%s", e.message);
    assert_non_null(hearth_seq_logits(r->s));
    return hearth_seq_logits(r->s);
}

/* Follows the greedy ids from the last row of out, and writes one more row after it. */
static void rows_greedy(struct run *r, const struct expected *x, float *out)
{
    const float *at = out + (x->n_id - 1) * r->n_vocab;

    for (int i = 0; i < GREEDY; i++) {
        int32_t id = best_of(at, r->n_vocab);

        assert_int_equal(id, x->greedy[i]);
        assert_int_equal(hearth_seq_feed(r->s, &id, 1, NULL, NULL), 0);
        at = step_all(r);
    }
    memcpy(out + x->n_id * r->n_vocab, at, r->n_vocab * sizeof(*at));
}

/* Not a number anywhere makes this one not a number, which passes no limit. */
static double error_of(const float *got, const float *want, size_t n)
{
    double diff = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];

        diff += d * d;
        all += (double)want[i] * (double)want[i];
    }
    return diff / all;
}

/* -- the tests ------------------------------------------------------------------------- */

struct job {
    char name[NAME_LEN];
    const char *model;
    int tier;
    double limit;
};

static void check_error(const char *name, const char *what, double error, double limit)
{
    print_message("# %s %s: error %.2g, limit %.2g\n", name, what, error, limit);
    if (!(error < limit))
        fail_msg("%s %s: error %g, limit %g", name, what, error, limit);
}

static float *rows_new(const struct run *r, const struct expected *x)
{
    float *p;

    assert_int_equal(x->n_float, (x->n_id + 1) * r->n_vocab);
    p = mem_calloc(x->n_float, sizeof(*p));
    assert_non_null(p);
    return p;
}

static void check_pooled(const struct job *j, const struct expected *x, struct run *r)
{
    float *got = mem_calloc(x->n_float, sizeof(*got));
    struct hearth_model_info info;
    struct hearth_error e = {0};

    hearth_model_info(r->m, &info);
    assert_non_null(got);
    assert_int_equal(x->n_float, info.n_embd_out);
    for (int again = 0; again < 2; again++) {
        if (hearth_seq_embed(r->s, x->id, x->n_id, got, &e) < 0)
            fail_msg("%s", e.message);
        check_error(j->name, "embedding", error_of(got, x->row, x->n_float), j->limit);
    }
    mem_free(got);
}

static void test_model(void **state)
{
    const struct job *j = *state;
    struct expected x = expect_open("models", j->model);
    struct run r = run_open(x.path, j->tier, HEARTH_KV_F32);
    float *got;

    if (x.pooled) {
        check_pooled(j, &x, &r);
        mem_free(x.row);
        run_close(&r);
        return;
    }
    got = rows_new(&r, &x);
    rows_in_pieces(&r, &x, x.n_id, got);
    rows_greedy(&r, &x, got);
    check_error(j->name, "F32 cache", error_of(got, x.row, x.n_float), j->limit);
    mem_free(got);
    mem_free(x.row);
    run_close(&r);
}

static void test_quant(void **state)
{
    static const char *const kv_name[] = {
        [HEARTH_KV_F16] = "F16 cache", [HEARTH_KV_F32] = "F32 cache"};
    const struct job *j = *state;
    char name[NAME_LEN];
    struct expected x;

    (void)snprintf(name, sizeof(name), "llama-%s", j->model);
    x = expect_open("quants", name);
    for (int kv = j->tier == KERN_REF ? HEARTH_KV_F32 : HEARTH_KV_F16; kv <= HEARTH_KV_F32;
         kv++) {
        struct run r = run_open(x.path, j->tier, kv);
        float *got = rows_new(&r, &x);

        rows_in_pieces(&r, &x, x.n_id, got);
        check_error(j->name, kv_name[kv], error_of(got, x.row, x.n_id * r.n_vocab),
                    j->tier == KERN_REF ? 1e-6 : x.peer);
        mem_free(got);
        run_close(&r);
    }
    mem_free(x.row);
}

/* What each type of cache costs a model of float weights. Measured: F16 4e-8, Q8_0 3e-5,
 * Q4_0 7e-3. */
static void test_cache(void **state)
{
    static const struct {
        const char *name;
        double limit;
    } type[] = {
        [HEARTH_KV_F16] = {"F16 cache", 1e-6},
        [HEARTH_KV_F32] = {"F32 cache", 1e-6},
        [HEARTH_KV_Q8_0] = {"Q8_0 cache", 1e-4},
        [HEARTH_KV_Q4_0] = {"Q4_0 cache", 2e-2},
    };
    const struct job *j = *state;
    char name[NAME_LEN];
    struct expected x;

    (void)snprintf(name, sizeof(name), "llama-%s", j->model);
    x = expect_open("quants", name);
    for (int kv = HEARTH_KV_F16; kv <= HEARTH_KV_Q4_0; kv++) {
        struct run r = run_open(x.path, j->tier, kv);
        float *got = rows_new(&r, &x);

        rows_in_pieces(&r, &x, x.n_id, got);
        check_error(j->name, type[kv].name, error_of(got, x.row, x.n_id * r.n_vocab),
                    type[kv].limit);
        mem_free(got);
        run_close(&r);
    }
    mem_free(x.row);
}

/* However the prompt is cut, each position has the same bits. */
static void check_pieces(const char *dir, const char *name, int tier, int kv)
{
    static const size_t piece[] = {7, 1, 31};
    struct expected x = expect_open(dir, name);
    struct run r = run_open(x.path, tier, kv);
    float *want, *got;
    size_t n = x.n_id * r.n_vocab;

    if (x.pooled) {
        mem_free(x.row);
        run_close(&r);
        return;
    }
    want = rows_new(&r, &x);
    got = rows_new(&r, &x);
    rows_in_pieces(&r, &x, x.n_id, want);
    for (size_t i = 0; i < sizeof(piece) / sizeof(*piece); i++) {
        assert_int_equal(hearth_seq_truncate(r.s, 0, NULL), 0);
        memset(got, 0, x.n_float * sizeof(*got));
        rows_in_pieces(&r, &x, piece[i], got);
        assert_memory_equal(got, want, n * sizeof(*got));
    }
    assert_int_equal(hearth_seq_truncate(r.s, 0, NULL), 0);
    assert_int_equal(hearth_seq_feed(r.s, x.id, x.n_id, NULL, NULL), 0);
    assert_memory_equal(step_all(&r), want + n - r.n_vocab, r.n_vocab * sizeof(*want));
    mem_free(want);
    mem_free(got);
    mem_free(x.row);
    run_close(&r);
}

static void test_model_pieces(void **state)
{
    const struct job *j = *state;

    check_pieces("models", j->model, j->tier, HEARTH_KV_F32);
}

static void test_quant_pieces(void **state)
{
    const struct job *j = *state;
    char name[NAME_LEN];

    (void)snprintf(name, sizeof(name), "llama-%s", j->model);
    check_pieces("quants", name, j->tier, HEARTH_KV_F16);
}

static void test_cache_pieces(void **state)
{
    const struct job *j = *state;
    char name[NAME_LEN];

    (void)snprintf(name, sizeof(name), "llama-%s", j->model);
    check_pieces("quants", name, j->tier, HEARTH_KV_Q8_0);
    check_pieces("quants", name, j->tier, HEARTH_KV_Q4_0);
}

struct story {
    char text[1024];
    size_t n;
};

static int tell(void *ctx, const struct hearth_piece *p)
{
    struct story *s = ctx;

    assert_true(p->n_text < sizeof(s->text) - s->n);
    memcpy(s->text + s->n, p->text, p->n_text + 1);
    s->n += p->n_text;
    return 0;
}

static void check_story(int tier, int kv, const char *prompt, const char *goes_on)
{
    struct run r = run_open(stories, tier, kv);
    struct hearth_sampling greedy;
    struct story st = {.n = 0};
    struct hearth_error e = {0};
    int32_t ids[64];
    int n = hearth_encode(r.m, prompt, strlen(prompt), HEARTH_ADD_SPECIAL, ids, 64, &e);

    assert_in_range(n, 2, 64);
    hearth_sampling_defaults(&greedy);
    greedy.temperature = 0;
    if (hearth_generate(r.s, ids, (size_t)n,
                        &(struct hearth_generate_options){.n_predict = 64, .sampling = &greedy},
                        NULL, tell, &st, &e) < 0)
        fail_msg("%s", e.message);
    if (strncmp(st.text, goes_on, strlen(goes_on)) != 0)
        fail_msg("%s tells: %s", kern_tier_name(tier), st.text);
    run_close(&r);
}

static void test_story(void **state)
{
    const struct job *j = *state;

    if (!there(stories)) {
        print_message("%s is not here\n", stories);
        skip();
    }
    for (int kv = HEARTH_KV_F16; kv <= HEARTH_KV_F32; kv++) {
        check_story(j->tier, kv, "Once upon a time,",
                    " there was a little girl named Lily. She loved to play outside in the "
                    "park. One day, she saw a big, red ball.");
        check_story(j->tier, kv, "Once upon a time", ", there was a little girl");
    }
}

/* -- one test for each model and tier -------------------------------------------------- */

enum { TEST_MAX = 1024 };

static struct job jobs[TEST_MAX];
static struct CMUnitTest tests[TEST_MAX];
static size_t n_test;

static void add(CMUnitTestFunction fn, const char *what, const char *model, int tier,
                double limit)
{
    struct job *j = &jobs[n_test];

    assert_true(n_test < TEST_MAX);
    *j = (struct job){.model = model, .tier = tier, .limit = limit};
    (void)snprintf(j->name, sizeof(j->name), "%s %s %s", what, model, kern_tier_name(tier));
    tests[n_test++] = (struct CMUnitTest){.name = j->name, .test_func = fn, .initial_state = j};
}

int main(void)
{
    for (int t = 0; t <= kern_tier_best(); t++) {
        if (!kern_tier_here(t))
            continue;
        for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
            double limit = t == KERN_REF ? models[i].ref : models[i].tier;

            if (limit > 0)
                add(test_model, "model", models[i].name, t, limit);
            add(test_model_pieces, "pieces of model", models[i].name, t, 0);
        }
        for (size_t i = 0; i < sizeof(quants) / sizeof(*quants); i++) {
            add(test_quant, "quant", quants[i], t, 0);
            add(test_quant_pieces, "pieces of quant", quants[i], t, 0);
        }
        add(test_cache, "cache", "f16", t, 0);
        add(test_cache_pieces, "pieces of cache", "f16", t, 0);
        add(test_story, "story", "stories260k", t, 0);
    }
    return _cmocka_run_group_tests("golden", tests, n_test, NULL, NULL);
}

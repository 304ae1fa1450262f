/* Logits against an independent engine's, for tiny models of every architecture and weight
 * format that runs here, on every tier of this machine; and their independence of how the
 * prompt is cut, bit for bit. The fixtures lie beside the repository; without them the tests
 * are skipped. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "hearth.h"

#include "base/mem.h"
#include "kern/kern.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

#define FIXTURES "../shared/golden/"

struct fixture {
    int32_t ids[512];
    size_t n_id;
    int32_t greedy[64];
    size_t n_greedy;
    double peer; /* NMSE that the most used runtime reaches; 0: not given */
    float *want;
    size_t n_want;
};

static void read_ids(const json_t *j, int32_t *ids, size_t max, size_t *n)
{
    *n = json_array_size(j);
    assert_true(*n > 0 && *n <= max);
    for (size_t i = 0; i < *n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(j, i));
}

static void fixture_read(struct fixture *f, const char *name)
{
    char path[256];
    json_t *j;
    FILE *file;

    memset(f, 0, sizeof(*f));
    (void)snprintf(path, sizeof(path), FIXTURES "%s.json", name);
    j = json_load_file(path, 0, NULL);
    assert_non_null(j);
    read_ids(json_object_get(j, "tokens"), f->ids, 512, &f->n_id);
    read_ids(json_object_get(j, "greedy"), f->greedy, 64, &f->n_greedy);
    f->peer = json_real_value(json_object_get(j, "peer_nmse"));
    json_decref(j);
    (void)snprintf(path, sizeof(path), FIXTURES "%s.logits.f32", name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    f->n_want = (size_t)ftell(file) / sizeof(float);
    rewind(file);
    f->want = mem_alloc(f->n_want * sizeof(float));
    assert_non_null(f->want);
    assert_int_equal(fread(f->want, sizeof(float), f->n_want, file), f->n_want);
    (void)fclose(file);
}

struct rows {
    float *at;
    size_t n_vocab;
};

static int keep_row(void *ctx, size_t i, const float *logits)
{
    struct rows *r = ctx;

    (void)i;
    memcpy(r->at, logits, r->n_vocab * sizeof(*logits));
    r->at += r->n_vocab;
    return 0;
}

static int32_t best_of(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int32_t)best;
}

/* The rows of the prompt, fed `chunk` tokens at a time, then of the last greedy token; the
 * greedy ids to `greedy`. got has room for n_want floats. */
static void compute(const char *name, const char *tier, int kv, const struct fixture *f,
                    size_t chunk, float *got, int32_t *greedy)
{
    struct hearth_model_options mo = {.n_thread = 2, .cpu = tier};
    struct hearth_engine_options eo = {.kv_type = kv};
    struct hearth_model_info info;
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_seq *s;
    struct hearth_error e;
    struct rows r = {.at = got};
    char path[256];

    (void)snprintf(path, sizeof(path), FIXTURES "%s.gguf", name);
    if (hearth_model_open(&m, path, &mo, &e) < 0 || hearth_engine_new(&en, m, &eo, &e) < 0 ||
        hearth_seq_open(&s, en, &e) < 0)
        fail_msg("%s", e.message);
    hearth_model_info(m, &info);
    r.n_vocab = (size_t)info.n_vocab;
    assert_int_equal(f->n_want, (f->n_id + 1) * r.n_vocab);
    for (size_t i = 0; i < f->n_id; i += chunk) {
        size_t n = f->n_id - i < chunk ? f->n_id - i : chunk;

        assert_int_equal(hearth_seq_logits_all(s, f->ids + i, n, keep_row, &r, &e), 0);
    }
    for (size_t i = 0; i < f->n_greedy; i++) {
        int32_t id = best_of(r.at - r.n_vocab, r.n_vocab);

        greedy[i] = id;
        if (i)
            r.at -= r.n_vocab;
        assert_int_equal(hearth_seq_logits_all(s, &id, 1, keep_row, &r, &e), 0);
    }
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

static double nmse(const float *got, const float *want, size_t n)
{
    double num = 0, den = 0;

    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)want[i];

        num += d * d;
        den += (double)want[i] * (double)want[i];
    }
    return num / den;
}

/* One fixture on one tier. What quantised weights compute is compared over the prompt only:
 * the last row follows greedy ids, which rounded activations may turn. */
static void check(const char *name, const char *tier, int kv, double limit)
{
    static const size_t chunks[] = {512, 7, 1};
    struct fixture f;
    float *got[3];
    int32_t greedy[3][64];
    double err;
    size_t n;

    fixture_read(&f, name);
    for (size_t i = 0; i < 3; i++) {
        got[i] = mem_alloc(f.n_want * sizeof(float));
        assert_non_null(got[i]);
        compute(name, tier, kv, &f, chunks[i], got[i], greedy[i]);
    }
    n = f.peer > 0 ? f.n_want / (f.n_id + 1) * f.n_id : f.n_want;
    err = nmse(got[0], f.want, n);
    if (limit < 0)
        limit = f.peer;
    if (!(err <= limit))
        fail_msg("%s on %s, kv %s: error %.3g, at most %.3g", name, tier,
                 kv == HEARTH_KV_F32 ? "f32" : "f16", err, limit);
    if (!(f.peer > 0))
        assert_memory_equal(greedy[0], f.greedy, f.n_greedy * sizeof(*f.greedy));
    for (size_t i = 1; i < 3; i++) {
        assert_memory_equal(got[i], got[0], f.n_want * sizeof(float));
        assert_memory_equal(greedy[i], greedy[0], f.n_greedy * sizeof(**greedy));
    }
    for (size_t i = 0; i < 3; i++)
        mem_free(got[i]);
    mem_free(f.want);
}

static void skip_without(void)
{
    if (access(FIXTURES, R_OK) != 0) {
        print_message("no " FIXTURES "\n");
        skip();
    }
}

/* Weights in float: 1e-6 on the reference; measured 2e-13 there and 5e-13 on other tiers. */
static void architectures(void **state)
{
    static const char *const name[] = {"models/llama2", "models/llama3", "models/mistral_small",
                                       "models/falcon3", "models/qwen3"};
    int tier = *(int *)*state;

    skip_without();
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        check(name[i], kern_tier_name(tier), HEARTH_KV_F32, tier == KERN_REF ? 1e-6 : 1e-5);
        check(name[i], kern_tier_name(tier), HEARTH_KV_F16, 1e-5);
    }
}

/* Quantised weights: the reference leaves activations in float; other tiers round them, and
 * stay at or below the error that the most used runtime makes on the same file. */
static void formats(void **state)
{
    static const char *const name[] = {
        "quants/llama-f16",  "quants/llama-bf16", "quants/llama-q4_0", "quants/llama-q4_1",
        "quants/llama-q5_0", "quants/llama-q5_1", "quants/llama-q8_0", "quants/llama-q2_k",
        "quants/llama-q3_k", "quants/llama-q4_k", "quants/llama-q5_k", "quants/llama-q6_k"};
    int tier = *(int *)*state;

    skip_without();
    for (size_t i = 0; i < sizeof(name) / sizeof(*name); i++) {
        check(name[i], kern_tier_name(tier), HEARTH_KV_F32, tier == KERN_REF ? 1e-6 : -1);
        if (tier != KERN_REF)
            check(name[i], kern_tier_name(tier), HEARTH_KV_F16, -1);
    }
}

int main(void)
{
    static int tiers[KERN_TIER_N];
    static char names[KERN_TIER_N][2][48];
    struct CMUnitTest tests[2 * KERN_TIER_N];
    size_t n = 0;

    for (int t = 0; t <= kern_tier_best(); t++) {
        tiers[t] = t;
        (void)snprintf(names[t][0], sizeof(names[t][0]), "architectures_%s", kern_tier_name(t));
        (void)snprintf(names[t][1], sizeof(names[t][1]), "formats_%s", kern_tier_name(t));
        tests[n++] = (struct CMUnitTest){names[t][0], architectures, NULL, NULL, &tiers[t]};
        tests[n++] = (struct CMUnitTest){names[t][1], formats, NULL, NULL, &tiers[t]};
    }
    return _cmocka_run_group_tests("golden", tests, n, NULL, NULL);
}

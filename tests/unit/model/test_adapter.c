/* Adapters: what they add is what a merged matrix would add; what does not fit is refused by
 * name and changes nothing. */
#include "../infer/engine_test.h"

#include "base/rng.h"

enum { RANK = 3 };

/* One pair to be written, with what is odd about it. */
struct bad_pair {
    const char *name; /* of the matrix */
    uint64_t a[3], b[3];
    int type, only_a;
    const char *arch, *kind;
    double alpha;
    int code;
    const char *word; /* in the message */
};

static const char *adapter_path(void)
{
    static char path[64];

    if (!path[0])
        (void)snprintf(path, sizeof(path), "/tmp/hearth-adapter-%ld.gguf", (long)getpid());
    return path;
}

static void put_random(struct gguf_writer *w, const char *name, int type, const uint64_t ne[3],
                       float *v, struct rng *r)
{
    size_t n = (size_t)(ne[0] * ne[1] * ne[2]);

    for (size_t i = 0; i < n; i++)
        v[i] = 0.3f * rng_normal(r);
    assert_int_equal(gguf_put_tensor(w, name, type, ne[2] > 1 ? 3 : 2, ne, v, NULL), 0);
}

static void write_pair(const struct bad_pair *p, uint64_t seed)
{
    static float v[2][8 * 64 * 320];
    struct gguf_writer *w = NULL;
    struct rng r;
    char name[2][96];

    rng_seed(&r, seed);
    assert_int_equal(gguf_writer_new(&w, 3, NULL), 0);
    assert_int_equal(
        gguf_put_str(w, "general.architecture", str_of(p->arch ? p->arch : "llama"), NULL), 0);
    assert_int_equal(
        gguf_put_str(w, "general.type", str_of(p->kind ? p->kind : "adapter"), NULL), 0);
    assert_int_equal(gguf_put_str(w, "adapter.type", str_of("lora"), NULL), 0);
    assert_int_equal(gguf_put_f64(w, "adapter.lora.alpha", GGUF_F32, p->alpha, NULL), 0);
    for (int i = 0; i < 2 - p->only_a; i++) {
        (void)snprintf(name[i], sizeof(name[i]), "%s.lora_%c", p->name, 'a' + i);
        put_random(w, name[i], p->type, i ? p->b : p->a, v[i], &r);
    }
    assert_int_equal(gguf_write(w, adapter_path(), NULL), 0);
    gguf_writer_free(w);
}

static const struct bad_pair good = {
    .name = "blk.0.attn_q.weight", .a = {64, RANK, 1}, .b = {RANK, 64, 1}, .alpha = 6};

static void test_refused(void **state)
{
    static const struct bad_pair bad[] = {
        {.name = "blk.0.attn_q.weight",
         .a = {32, RANK, 1},
         .b = {RANK, 64, 1},
         .code = HEARTH_E_FORMAT,
         .word = "columns"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 63, 1},
         .code = HEARTH_E_FORMAT,
         .word = "rows"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK + 1, 64, 1},
         .code = HEARTH_E_FORMAT,
         .word = "other half"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .only_a = 1,
         .code = HEARTH_E_FORMAT,
         .word = "blk.0.attn_q.weight.lora_b: missing"},
        {.name = "blk.7.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .code = HEARTH_E_FORMAT,
         .word = "no matrix blk.7"},
        {.name = "blk.0.attn_norm.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .code = HEARTH_E_FORMAT,
         .word = "no matrix"},
        {.name = "token_embd.weight",
         .a = {RANK, 64, 1},
         .b = {RANK, 64, 1},
         .code = HEARTH_E_FORMAT,
         .word = "embedding"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .type = 24,
         .code = HEARTH_E_UNSUPPORTED,
         .word = "I8"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .arch = "qwen3",
         .code = HEARTH_E_FORMAT,
         .word = "general.architecture"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .kind = "model",
         .code = HEARTH_E_FORMAT,
         .word = "general.type"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .alpha = -1,
         .code = HEARTH_E_FORMAT,
         .word = "alpha"},
        {.name = "blk.0.attn_q.weight",
         .a = {64, RANK, 1},
         .b = {RANK, 64, 1},
         .alpha = (double)NAN,
         .code = HEARTH_E_FORMAT,
         .word = "alpha"},
    };
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&t, KERN_REF, 1);
    int32_t ids[] = {5, 6, 7, 8, 9};
    float *before = rows_alone(m, HEARTH_KV_F32, ids, 5), *after;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct hearth_error e = {0};
        int rc;

        write_pair(&bad[i], 1);
        rc = hearth_model_adapt(m, adapter_path(), 1, &e);
        if (rc != bad[i].code || !strstr(e.message, bad[i].word))
            fail_msg("pair %zu: %d '%s', expected %d with '%s'", i, rc, e.message, bad[i].code,
                     bad[i].word);
    }
    after = rows_alone(m, HEARTH_KV_F32, ids, 5);
    assert_memory_equal(before, after, 5 * vocab_of(m) * sizeof(*before));
    mem_free(before);
    mem_free(after);
    hearth_model_close(m);
    (void)unlink(adapter_path());
}

static double distance(const float *a, const float *b, size_t n)
{
    double d = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        all += (double)b[i] * (double)b[i];
    }
    return d / all;
}

/* An adapter counts; the same one taken away by a second with the opposite scale leaves what
 * was; scale 0 adds nothing, to the bit. On every tier, in pieces too. */
static void test_scales(void **state)
{
    int32_t ids[] = {5, 6, 7, 8, 9, 10, 11};

    (void)state;
    write_pair(&good, 5);
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        struct tiny t = tiny_of(QUANT_F32);
        struct hearth_model *m;
        float *row[4];
        size_t n;

        if (!kern_tier_here(tier))
            continue;
        m = model_make(&t, tier, 2);
        n = 7 * vocab_of(m);
        row[0] = rows_alone(m, HEARTH_KV_F32, ids, 7);
        FINE(hearth_model_adapt(m, adapter_path(), 0, &fine));
        row[1] = rows_alone(m, HEARTH_KV_F32, ids, 7);
        assert_memory_equal(row[0], row[1], n * sizeof(float));
        FINE(hearth_model_adapt(m, adapter_path(), 0.5f, &fine));
        row[2] = rows_alone(m, HEARTH_KV_F32, ids, 7);
        assert_true(distance(row[2], row[0], n) > 1e-6);
        FINE(hearth_model_adapt(m, adapter_path(), -0.5f, &fine));
        row[3] = rows_alone(m, HEARTH_KV_F32, ids, 7);
        assert_true(distance(row[3], row[0], n) < 1e-10);
        for (int i = 0; i < 4; i++)
            mem_free(row[i]);
        hearth_model_close(m);
    }
    (void)unlink(adapter_path());
}

/* Experts with tensors of their own: an adapter of the last alone counts, in pieces too. */
static void test_one_expert(void **state)
{
    static const struct bad_pair pair = {
        .name = "blk.0.ffn_up.3.weight", .a = {64, RANK, 1}, .b = {RANK, 96, 1}, .alpha = 6};
    int32_t ids[24];
    struct rng r;

    (void)state;
    rng_seed(&r, 8);
    for (int i = 0; i < 24; i++)
        ids[i] = (int32_t)(rng_u64(&r) % TINY_VOCAB);
    write_pair(&pair, 5);
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        struct tiny t = tiny_of(QUANT_F32);
        struct hearth_model *m;
        float *row[2];

        if (!kern_tier_here(tier))
            continue;
        t.n_expert = 4;
        t.n_used = 2;
        t.split = 1;
        m = model_make(&t, tier, 2);
        row[0] = rows_alone(m, HEARTH_KV_F32, ids, 24);
        FINE(hearth_model_adapt(m, adapter_path(), 1, &fine));
        row[1] = rows_alone(m, HEARTH_KV_F32, ids, 24);
        assert_true(distance(row[1], row[0], 24 * vocab_of(m)) > 1e-6);
        mem_free(row[0]);
        mem_free(row[1]);
        hearth_model_close(m);
    }
    (void)unlink(adapter_path());
}

static void test_no_memory(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&t, KERN_REF, 1);
    int n = 0, rc;

    (void)state;
    write_pair(&good, 5);
    do {
        (void)mem_fail_at((uint64_t)++n, 0);
        rc = hearth_model_adapt(m, adapter_path(), 1, NULL);
        (void)mem_fail_at(0, 0);
    } while (rc == HEARTH_E_NOMEM);
    assert_int_equal(rc, 0);
    assert_true(n > 2);
    hearth_model_close(m);
    (void)unlink(adapter_path());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_scales),
        cmocka_unit_test(test_one_expert),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

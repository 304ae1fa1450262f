/* The cache of prefixes on disk, through engines: what another engine computed gives the same
 * bits as what is computed, and what is not the same is not taken. */
#include "engine_test.h"

#include "infer/kv_tier.h"
#include "temp_dir.h"

#include <pthread.h>

enum { N = 300, CTX = 1024 };

struct rig {
    char path[300]; /* of the model; a restart opens it again */
    struct hearth_model *m;
    struct hearth_engine_options opt;
    size_t n_byte; /* of a row */
};

static struct hearth_model *model_again(const char *path, int tier)
{
    struct hearth_model *m = NULL;

    FINE(hearth_model_open(
        &m, path, &(struct hearth_model_options){.cpu = kern_tier_name(tier), .n_thread = 1},
        &fine));
    return m;
}

static struct rig rig_make(const char *arch)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct rig g = {.opt = {.n_ctx = CTX, .n_seq_max = 2, .kv_dir = temp_dir}};

    temp_dir_make();
    t.arch = arch;
    if (strcmp(arch, "qwen3next") == 0) {
        t.n_expert = 3;
        t.n_used = 2;
    }
    (void)snprintf(g.path, sizeof(g.path), "%s.gguf", temp_dir);
    tiny_write(&t, g.path);
    g.m = model_again(g.path, kern_tier_best());
    g.n_byte = vocab_of(g.m) * sizeof(float);
    return g;
}

static void rig_free(struct rig *g)
{
    hearth_model_close(g->m);
    (void)unlink(g->path);
    temp_dir_remove();
}

/* The program ends, and another begins. */
static void restart(struct rig *g)
{
    int tier = g->m->m->kern.tier;

    hearth_model_close(g->m);
    g->m = model_again(g->path, tier);
}

static struct hearth_engine_info info_of(struct hearth_engine *en)
{
    struct hearth_engine_info info;

    if (en->tier)
        kv_disk_flush(kv_tier_disk(en->tier));
    hearth_engine_info(en, &info);
    return info;
}

/* Computes a text under a salt; its last row must be `row` (NULL: any). Returns how many tokens
 * were not computed. */
static size_t compute(struct rig *g, struct hearth_engine *en, uint64_t salt,
                      const int32_t *ids, size_t n, const float *row)
{
    struct hearth_seq *s = seq_make(en);
    size_t reused;

    assert_int_equal(seq_set_salt(s, salt, NULL), 0);
    reused = feed(s, ids, n);
    (void)catch_up(en, s);
    if (row)
        assert_memory_equal(hearth_seq_logits(s), row, g->n_byte);
    hearth_seq_close(s);
    return reused;
}

/* The same in an engine of its own. */
static size_t compute_in(struct rig *g, struct hearth_engine_options opt, uint64_t salt,
                         const int32_t *ids, size_t n, const float *row)
{
    struct hearth_engine *en = engine_make(g->m, opt);
    size_t reused = compute(g, en, salt, ids, n, row);

    hearth_engine_free(en);
    return reused;
}

static void check_restart(const char *arch, uint64_t seed)
{
    struct rig g = rig_make(arch);
    int32_t ids[N];
    struct rng r;
    float *row, *longer;

    rng_seed(&r, seed);
    random_ids(&r, ids, N);
    row = last_alone(g.m, HEARTH_KV_AUTO, ids, N - 30);
    longer = last_alone(g.m, HEARTH_KV_AUTO, ids, N);
    assert_int_equal(compute_in(&g, g.opt, 0, ids, N - 30, row), 0);
    assert_int_equal(temp_dir_count(".page"), (N - 30) / KERN_PAGE);
    for (int k = 0; k < 3; k++) {
        if (k == 1)
            restart(&g);
        assert_int_equal(compute_in(&g, g.opt, 0, ids, N - 30, row), 256);
        assert_int_equal(compute_in(&g, g.opt, 0, ids, N, longer), 256);
    }
    /* Only its beginning is the same. */
    ids[100] = (ids[100] + 1) % TINY_VOCAB;
    mem_free(row);
    row = last_alone(g.m, HEARTH_KV_AUTO, ids, N);
    assert_in_range(compute_in(&g, g.opt, 0, ids, N, row), 0, 64);
    mem_free(row);
    mem_free(longer);
    rig_free(&g);
}

static void test_restart(void **state)
{
    static const char *const archs[] = {"llama",     "qwen3",  "qwen35",
                                        "qwen3next", "mamba2", "granitehybrid"};

    (void)state;
    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
        check_restart(archs[i], 31 + i);
}

/* Each thing that bits depend on, and the salt, keep texts apart. */
static void test_apart(void **state)
{
    struct rig g = rig_make("llama");
    struct hearth_engine_options f32 = g.opt, none = g.opt;
    int32_t ids[N];
    struct rng r;

    (void)state;
    f32.kv_type = HEARTH_KV_F32;
    none.kv_dir = NULL;
    rng_seed(&r, 41);
    random_ids(&r, ids, N);
    assert_int_equal(compute_in(&g, g.opt, 7, ids, N, NULL), 0);
    assert_int_equal(compute_in(&g, g.opt, 8, ids, N, NULL), 0);
    assert_int_equal(compute_in(&g, g.opt, 0, ids, N, NULL), 0);
    assert_int_equal(compute_in(&g, f32, 7, ids, N, NULL), 0);
    assert_int_equal(compute_in(&g, none, 7, ids, N, NULL), 0);
    assert_int_equal(compute_in(&g, g.opt, 7, ids, N, NULL), 256);
    assert_int_equal(compute_in(&g, g.opt, 8, ids, N, NULL), 256);
    hearth_model_close(g.m);
    g.m = model_again(g.path, KERN_REF);
    assert_int_equal(compute_in(&g, g.opt, 7, ids, N, NULL),
                     kern_tier_best() == KERN_REF ? 256 : 0);
    hearth_model_close(g.m);
    g.m = model_again(g.path, kern_tier_best());
    assert_int_equal(compute_in(&g, g.opt, 7, ids, N, NULL), 256);
    /* The same name and shape, other weights. */
    hearth_model_close(g.m);
    (void)unlink(g.path);
    tiny_write(&(struct tiny){.arch = "llama",
                              .type = QUANT_F32,
                              .n_vocab = TINY_VOCAB,
                              .n_ctx = 1024,
                              .n_embd = 64,
                              .n_layer = 2,
                              .n_head = 4,
                              .n_head_kv = 2,
                              .n_ff = 96,
                              .seed = 8},
               g.path);
    g.m = model_again(g.path, kern_tier_best());
    assert_int_equal(compute_in(&g, g.opt, 7, ids, N, NULL), 0);
    rig_free(&g);
}

/* In memory, too, only texts of one salt share pages. */
static void test_salt(void **state)
{
    struct rig g = rig_make("llama");
    struct hearth_engine_options opt = g.opt;
    struct hearth_engine *en;
    struct hearth_seq *s;
    int32_t ids[N];
    struct rng r;
    struct err e;

    (void)state;
    opt.kv_dir = NULL;
    en = engine_make(g.m, opt);
    rng_seed(&r, 42);
    random_ids(&r, ids, N);
    assert_int_equal(compute(&g, en, 1, ids, N, NULL), 0);
    assert_int_equal(compute(&g, en, 2, ids, N, NULL), 0);
    assert_int_equal(compute(&g, en, 0, ids, N, NULL), 0);
    assert_int_equal(compute(&g, en, UINT64_MAX, ids, N, NULL), 0);
    assert_int_equal(compute(&g, en, UINT64_MAX / 2, ids, N, NULL), 0);
    assert_int_equal(compute(&g, en, 1, ids, N, NULL), 256);
    assert_int_equal(compute(&g, en, 0, ids, N, NULL), 256);
    s = seq_make(en);
    (void)feed(s, ids, 1);
    assert_int_equal(seq_set_salt(s, 3, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "salt"));
    hearth_seq_close(s);
    hearth_engine_free(en);
    rig_free(&g);
}

/* Few pages: what leaves them comes back from disk while the engine runs. */
static void check_leaves(const char *arch)
{
    enum { TEXTS = 5, PAGES = 12 };
    struct rig g = rig_make(arch);
    struct hearth_engine_options opt = g.opt;
    struct hearth_engine *en = engine_make(g.m, opt);
    static int32_t ids[TEXTS][N];
    struct hearth_engine_info info = info_of(en);
    float *row[TEXTS];
    size_t reused = 0;
    struct rng r;

    opt.kv_bytes = PAGES * (uint64_t)en->layout.page_bytes;
    hearth_engine_free(en);
    en = engine_make(g.m, opt);
    rng_seed(&r, 43);
    for (int i = 0; i < TEXTS; i++) {
        random_ids(&r, ids[i], N);
        row[i] = last_alone(g.m, HEARTH_KV_AUTO, ids[i], N);
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < TEXTS; i++) {
            size_t got = compute(&g, en, 0, ids[i], N, row[i]);

            assert_int_equal(got % KERN_PAGE, 0);
            if (round == 0)
                assert_int_equal(got, 0);
            reused += round ? got : 0;
            info = info_of(en); /* what left is written */
        }
    }
    assert_int_equal(reused, 2 * TEXTS * 256);
    assert_true(info.disk_read > 0 && info.disk_written > 0);
    assert_int_equal(info.disk_bad, 0);
    for (int i = 0; i < TEXTS; i++)
        mem_free(row[i]);
    hearth_engine_free(en);
    rig_free(&g);
}

static void test_leaves(void **state)
{
    (void)state;
    check_leaves("llama");
    check_leaves("qwen35");
}

/* Read a page at a time, with others in between: the sequence is parked and comes back. */
static void check_slices(const char *arch, int parked)
{
    struct rig g = rig_make(arch);
    struct hearth_engine *en;
    struct hearth_seq *s;
    int32_t ids[N];
    int calls = 0;
    size_t reused = 0;
    struct rng r;
    float *row;

    rng_seed(&r, 48);
    random_ids(&r, ids, N);
    row = last_alone(g.m, HEARTH_KV_AUTO, ids, N);
    (void)compute_in(&g, g.opt, 0, ids, N, row);
    en = engine_make(g.m, g.opt);
    kv_tier_hurry(en->tier, 0);
    s = seq_make(en);
    assert_int_equal(seq_feed(s, ids, N, 0, NULL, NULL), 0);
    do {
        if (parked && calls) {
            seq_park(s);
            assert_int_equal(seq_unpark(s, NULL), 0);
            reused = 0;
        }
        reused += seq_reuse(s);
        calls++;
    } while (seq_loads(s));
    assert_int_equal(calls, 4);
    assert_int_equal(reused, 256);
    assert_memory_equal(catch_up(en, s), row, g.n_byte);
    hearth_seq_close(s);
    hearth_engine_free(en);
    /* Who feeds by himself gets all of it. */
    en = engine_make(g.m, g.opt);
    kv_tier_hurry(en->tier, 0);
    assert_int_equal(compute(&g, en, 0, ids, N, row), 256);
    hearth_engine_free(en);
    mem_free(row);
    rig_free(&g);
}

static void test_slices(void **state)
{
    (void)state;
    for (int parked = 0; parked < 2; parked++) {
        check_slices("llama", parked);
        check_slices("qwen35", parked);
    }
}

/* -- damage ----------------------------------------------------------------------------- */

static void flip_last(const char *path)
{
    temp_dir_flip(path, -1);
}

static void empty(const char *path)
{
    assert_int_equal(truncate(path, 0), 0);
}

static void check_damage(const char *arch, const char *end, void (*harm)(const char *path))
{
    struct rig g = rig_make(arch);
    struct hearth_engine *en;
    int32_t ids[N];
    struct rng r;
    float *row;
    int n;

    rng_seed(&r, 44);
    random_ids(&r, ids, N);
    row = last_alone(g.m, HEARTH_KV_AUTO, ids, N);
    (void)compute_in(&g, g.opt, 0, ids, N, row);
    n = temp_dir_each(end, harm);
    assert_true(n > 0);
    en = engine_make(g.m, g.opt);
    assert_int_equal(compute(&g, en, 0, ids, N, row), 0);
    assert_in_range(info_of(en).disk_bad, 1, n);
    hearth_engine_free(en); /* writes them anew */
    en = engine_make(g.m, g.opt);
    assert_in_range(compute(&g, en, 0, ids, N, row), 64, 256);
    hearth_engine_free(en);
    mem_free(row);
    rig_free(&g);
}

static void test_damage(void **state)
{
    (void)state;
    check_damage("llama", ".page", flip_last);
    check_damage("llama", ".page", empty);
    check_damage("qwen35", ".state", flip_last);
    check_damage("qwen35", ".page", empty);
}

/* A state that cannot be read leaves the one that is there as it was. */
static void test_state_stays(void **state)
{
    struct rig g = rig_make("qwen35");
    struct hearth_engine *en;
    struct hearth_seq *s;
    int32_t ids[N];
    struct rng r;
    float *row;

    (void)state;
    rng_seed(&r, 45);
    random_ids(&r, ids, N);
    row = last_alone(g.m, HEARTH_KV_AUTO, ids, N);
    (void)compute_in(&g, g.opt, 0, ids, N, row);
    (void)temp_dir_each(".state", flip_last);
    en = engine_make(g.m, g.opt);
    s = seq_make(en);
    assert_int_equal(seq_feed(s, ids, 64, 0, NULL, NULL), 0);
    (void)catch_up(en, s);
    (void)feed(s, ids + 64, N - 64);
    assert_memory_equal(catch_up(en, s), row, g.n_byte);
    hearth_seq_close(s);
    hearth_engine_free(en);
    mem_free(row);
    rig_free(&g);
}

/* -- together --------------------------------------------------------------------------- */

struct worker {
    struct rig *g;
    int32_t (*ids)[N];
    float **row;
    uint64_t seed;
    pthread_t thread;
};

enum { SHARED = 6 };

static void *work(void *ctx)
{
    struct worker *w = ctx;
    struct hearth_engine_options opt = w->g->opt;
    struct rng r;

    rng_seed(&r, w->seed);
    opt.kv_dir_bytes = 1 << 20; /* files come and go */
    for (int round = 0; round < 4; round++) {
        struct hearth_engine *en = engine_make(w->g->m, opt);

        for (int k = 0; k < 6; k++) {
            int i = (int)(rng_u64(&r) % SHARED);

            (void)compute(w->g, en, 0, w->ids[i], N, w->row[i]);
        }
        hearth_engine_free(en);
    }
    return NULL;
}

/* Two engines on one directory, as two processes would be. */
static void test_together(void **state)
{
    struct rig g = rig_make("llama");
    static int32_t ids[SHARED][N];
    float *row[SHARED];
    struct worker w[2];
    struct rng r;

    (void)state;
    rng_seed(&r, 46);
    for (int i = 0; i < SHARED; i++) {
        random_ids(&r, ids[i], N);
        row[i] = last_alone(g.m, HEARTH_KV_AUTO, ids[i], N);
    }
    for (int i = 0; i < 2; i++) {
        w[i] = (struct worker){&g, ids, row, (uint64_t)i, 0};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(w[i].thread, NULL), 0);
    assert_true(temp_dir_count(".page") > 0);
    assert_int_equal(temp_dir_count(".tmp"), 0);
    for (int i = 0; i < SHARED; i++)
        mem_free(row[i]);
    rig_free(&g);
}

/* Pages that leave and come are no reason to allocate. */
static void test_no_allocation(void **state)
{
    struct rig g = rig_make("llama");
    struct hearth_engine_options opt = g.opt;
    struct hearth_engine *en = engine_make(g.m, opt);
    struct hearth_seq *s;
    int32_t ids[N];
    uint64_t before;
    struct rng r;

    (void)state;
    opt.kv_bytes = 10 * (uint64_t)en->layout.page_bytes;
    hearth_engine_free(en);
    en = engine_make(g.m, opt);
    s = seq_make(en);
    rng_seed(&r, 47);
    for (int round = 0; round < 6; round++) {
        if (round == 3) { /* the writer has its buffers */
            (void)info_of(en);
            before = mem_count();
        }
        random_ids(&r, ids, N);
        (void)feed(s, ids, N);
        (void)catch_up(en, s);
        FINE(hearth_seq_truncate(s, 0, &fine));
    }
    assert_true(info_of(en).disk_written > 0);
    assert_int_equal(mem_count(), before);
    hearth_seq_close(s);
    hearth_engine_free(en);
    rig_free(&g);
}

static void test_refused(void **state)
{
    struct rig g = rig_make("llama");
    struct hearth_engine_options opt = g.opt;
    struct hearth_engine *en = NULL;
    struct hearth_error e;
    uint64_t nth = 0;
    int rc;

    (void)state;
    opt.kv_dir = g.path; /* a file */
    assert_int_equal(hearth_engine_new(&en, g.m, &opt, &e), HEARTH_E_IO);
    assert_null(en);
    do {
        (void)mem_fail_at(++nth, 0);
        rc = hearth_engine_new(&en, g.m, &g.opt, NULL);
        (void)mem_fail_at(0, 0);
    } while (rc < 0);
    assert_in_range(nth, 15, 80);
    hearth_engine_free(en);
    rig_free(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart),       cmocka_unit_test(test_apart),
        cmocka_unit_test(test_salt),          cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_state_stays),   cmocka_unit_test(test_together),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Packing while the model runs: the same bits at every moment, several engines at once, stopped
 * at any time, and a model that goes on from its file when there is no memory. */
#include "../infer/engine_test.h"

#include <pthread.h>

enum { N_IDS = 70 };

static void need_tiles(void)
{
    if (kern_tier_best() == KERN_REF) {
        print_message("# SKIP the reference tier packs nothing\n");
        skip();
    }
}

static struct hearth_model_info info_of(const struct hearth_model *m)
{
    struct hearth_model_info i;

    hearth_model_info(m, &i);
    return i;
}

/* Large enough for several pieces: the output matrix alone has 10 MB. */
static struct tiny large(int type)
{
    struct tiny t = tiny_of(type);

    t.n_vocab = 10240;
    t.n_embd = 1024;
    t.n_ff = 1024;
    return t;
}

static void test_states(void **state)
{
    struct tiny t = tiny_of(QUANT_Q4_0);

    (void)state;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        struct hearth_model *m = model_make(&t, tier, 1);
        struct hearth_engine *en =
            engine_make(m, (struct hearth_engine_options){.n_thread = 2});

        assert_int_equal(info_of(m).packing, tier == KERN_REF ? HEARTH_PACKED : HEARTH_PACKING);
        assert_string_equal(info_of(m).pack_note, "");
        FINE(hearth_engine_pack(en, NULL, NULL, &fine));
        assert_int_equal(info_of(m).packing, HEARTH_PACKED);
        assert_int_equal(info_of(m).pack_ns > 0, tier != KERN_REF);
        FINE(hearth_engine_pack(en, NULL, NULL, &fine));
        hearth_engine_free(en);
        hearth_model_close(m);
    }
}

/* Steps pack: after some of them nothing is left. All rows are those of a packed model. */
static void check_steps(int type, int tier)
{
    struct tiny t = tiny_of(type);
    struct hearth_model *m = model_make(&t, tier, 2), *packed = model_make(&t, tier, 2);
    struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 256}),
                         *other = engine_make(packed, (struct hearth_engine_options){0});
    struct hearth_seq *s = seq_make(en);
    size_t n_vocab = vocab_of(m);
    int32_t ids[N_IDS];
    float *want;
    struct rng r;
    int before = 0, after = 0;

    rng_seed(&r, 31);
    random_ids(&r, ids, N_IDS);
    FINE(hearth_engine_pack(other, NULL, NULL, &fine));
    want = rows_alone(packed, HEARTH_KV_F16, ids, N_IDS);
    for (size_t i = 0; i < N_IDS; i++) {
        int packing = info_of(m).packing;

        before += packing == HEARTH_PACKING;
        after += packing == HEARTH_PACKED;
        (void)feed(s, &ids[i], 1);
        if (memcmp(catch_up(en, s), want + i * n_vocab, n_vocab * sizeof(float)) != 0)
            fail_msg("%s: row %zu, state %d, differs", kern_tier_name(tier), i, packing);
    }
    assert_true(tier == KERN_REF || before > 0);
    assert_true(after > 0);
    mem_free(want);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_engine_free(other);
    hearth_model_close(m);
    hearth_model_close(packed);
}

static void test_steps(void **state)
{
    (void)state;
    for (int tier = 0; tier <= kern_tier_best(); tier++) {
        if (!kern_tier_here(tier))
            continue;
        check_steps(QUANT_Q4_K, tier);
        check_steps(QUANT_Q8_0, tier);
        check_steps(QUANT_F16, tier);
    }
}

/* Nothing is packed before the first step: somebody waits for its token. */
static void test_first_step(void **state)
{
    struct tiny t = large(QUANT_Q8_0);
    struct hearth_model *m = model_make(&t, kern_tier_best(), 1);
    struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    struct hearth_seq *s = seq_make(en);
    int steps = 1;

    (void)state;
    need_tiles();
    (void)feed(s, (int32_t[]){1, 2, 3}, 3);
    (void)catch_up(en, s);
    assert_int_equal(info_of(m).packing, HEARTH_PACKING);
    for (; info_of(m).packing == HEARTH_PACKING; steps++) {
        FINE(hearth_seq_truncate(s, 2, &fine));
        (void)feed(s, (int32_t[]){5}, 1);
        (void)catch_up(en, s);
        assert_true(steps < 10000);
    }
    print_message("# packed after %d steps\n", steps);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

static int ask_model(void *ctx, double done)
{
    (void)done;
    (void)info_of(ctx);
    return 0;
}

/* Who hears of progress may ask the model, which is busy packing. */
static void test_ask(void **state)
{
    struct tiny t = tiny_of(QUANT_Q8_0);
    struct hearth_model *m = model_make(&t, kern_tier_best(), 1);
    struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});

    (void)state;
    FINE(hearth_engine_pack(en, ask_model, m, &fine));
    assert_int_equal(info_of(m).packing, HEARTH_PACKED);
    hearth_engine_free(en);
    hearth_model_close(m);
}

static int stop_third(void *ctx, double done)
{
    int *calls = ctx;

    assert_true(done > 0 && done <= 1);
    return ++*calls == 2;
}

static void test_cancel(void **state)
{
    struct tiny t = large(QUANT_Q8_0);
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_error e = {0};
    int calls = 0;

    (void)state;
    need_tiles();
    m = model_make(&t, kern_tier_best(), 1);
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    assert_int_equal(hearth_engine_pack(en, stop_third, &calls, &e), HEARTH_E_CANCELLED);
    assert_int_equal(calls, 2);
    assert_int_equal(info_of(m).packing, HEARTH_PACKING);
    FINE(hearth_engine_pack(en, NULL, NULL, &fine));
    assert_int_equal(info_of(m).packing, HEARTH_PACKED);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* Closed in the middle. */
static void test_close(void **state)
{
    struct tiny t = large(QUANT_Q4_0);

    (void)state;
    need_tiles();
    for (int stop = 1; stop < 4; stop++) {
        struct hearth_model *m = model_make(&t, kern_tier_best(), 1);
        struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
        int calls = 2 - stop;

        (void)hearth_engine_pack(en, stop_third, &calls, NULL);
        hearth_engine_free(en);
        hearth_model_close(m);
    }
}

/* -- several engines ------------------------------------------------------------------- */

struct user {
    struct hearth_model *m;
    const int32_t *ids;
    const float *want;
    int all; /* packs all in the middle */
    int bad;
};

static void *use(void *ctx)
{
    struct user *u = ctx;
    struct hearth_engine *en = NULL;
    struct hearth_seq *s = NULL;
    size_t n_vocab = vocab_of(u->m);

    if (hearth_engine_new(&en, u->m,
                          &(struct hearth_engine_options){.n_ctx = 128, .n_thread = 2},
                          NULL) < 0 ||
        hearth_seq_open(&s, en, NULL) < 0)
        u->bad = 1;
    for (size_t i = 0; i < N_IDS && !u->bad; i++) {
        if ((i == 5 && u->all && hearth_engine_pack(en, NULL, NULL, NULL) < 0) ||
            hearth_seq_feed(s, &u->ids[i], 1, NULL, NULL) < 0 ||
            hearth_engine_step(en, NULL) != 1 ||
            memcmp(hearth_seq_logits(s), u->want + i * n_vocab, n_vocab * sizeof(float)) != 0)
            u->bad = 1;
    }
    hearth_seq_close(s);
    hearth_engine_free(en);
    return NULL;
}

static void test_engines(void **state)
{
    enum { N = 3 };
    struct tiny t = tiny_of(QUANT_Q4_K);
    struct hearth_model *m = model_make(&t, kern_tier_best(), 1),
                        *alone = model_make(&t, kern_tier_best(), 1);
    struct user user[N];
    pthread_t thread[N];
    int32_t ids[N_IDS];
    float *want;
    struct rng r;

    (void)state;
    rng_seed(&r, 32);
    random_ids(&r, ids, N_IDS);
    want = rows_alone(alone, HEARTH_KV_F16, ids, N_IDS);
    for (int i = 0; i < N; i++) {
        user[i] = (struct user){m, ids, want, i == 1, 0};
        assert_int_equal(pthread_create(&thread[i], NULL, use, &user[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(user[i].bad, 0);
    }
    assert_int_equal(info_of(m).packing, HEARTH_PACKED);
    mem_free(want);
    hearth_model_close(m);
    hearth_model_close(alone);
}

/* -- no memory ------------------------------------------------------------------------- */

static void test_no_memory(void **state)
{
    struct tiny t = tiny_of(QUANT_Q4_0);
    struct hearth_model *m = NULL, *whole;
    struct hearth_engine *en;
    struct hearth_seq *s;
    size_t n_byte;
    int rc, n = 0;
    float *want;

    (void)state;
    need_tiles();
    whole = model_make(&t, kern_tier_best(), 1);
    want = last_alone(whole, HEARTH_KV_F16, (int32_t[]){1, 2, 3}, 3);
    n_byte = vocab_of(whole) * sizeof(float);
    tiny_write(&t, tiny_path());
    do {
        (void)mem_fail_at((uint64_t)++n, 0);
        rc = hearth_model_open(&m, tiny_path(), NULL, NULL);
        (void)mem_fail_at(0, 0);
    } while (rc < 0);
    (void)unlink(tiny_path());
    /* The last request is the large one: without it the model opens all the same. */
    assert_int_equal(info_of(m).packing, HEARTH_NOT_PACKED);
    assert_non_null(strstr(info_of(m).pack_note, "no memory"));
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    s = seq_make(en);
    FINE(hearth_engine_pack(en, NULL, NULL, &fine));
    (void)feed(s, (int32_t[]){1, 2, 3}, 3);
    assert_memory_equal(catch_up(en, s), want, n_byte);
    assert_int_equal(info_of(m).pack_ns, 0);
    mem_free(want);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
    hearth_model_close(whole);
}

/* What counts is what packing took, not how long somebody thought about a prompt meanwhile. */
static void test_time(void **state)
{
    struct tiny t = tiny_of(QUANT_Q8_0);
    struct hearth_model *m;
    struct hearth_engine *en;

    (void)state;
    if (kern_tier_best() == KERN_REF) {
        print_message("# SKIP the reference tier packs nothing\n");
        skip();
    }
    m = model_make(&t, kern_tier_best(), 1);
    en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    assert_int_equal(usleep(1000000), 0);
    FINE(hearth_engine_pack(en, NULL, NULL, &fine));
    assert_int_equal(info_of(m).packing, HEARTH_PACKED);
    assert_in_range(info_of(m).pack_ns, 1, 800000000);
    hearth_engine_free(en);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),     cmocka_unit_test(test_steps),
        cmocka_unit_test(test_first_step), cmocka_unit_test(test_ask),
        cmocka_unit_test(test_cancel),     cmocka_unit_test(test_close),
        cmocka_unit_test(test_engines),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

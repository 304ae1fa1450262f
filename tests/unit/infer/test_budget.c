/* An engine whose pages have a budget of bytes, whatever its context may be. */
#include "engine_test.h"

#include "infer/engine.h"

static size_t page_bytes(struct hearth_model *m)
{
    struct hearth_engine *en =
        engine_make(m, (struct hearth_engine_options){.n_ctx = 64, .n_thread = 1});
    struct hearth_engine_info info;

    hearth_engine_info(en, &info);
    hearth_engine_free(en);
    return (size_t)(info.kv_bytes / (uint64_t)info.pages);
}

/* A context that is a bound and no plan: many sequences of it are open, pages are what the
 * budget says, and texts that fit them give what they give elsewhere. */
static void test_budget(void **state)
{
    enum { PAGES = 12, SEQS = 64, LONG = 1 << 20, N = 500 };
    struct tiny tiny = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, KERN_REF, 1);
    size_t n_byte = vocab_of(m) * sizeof(float);
    struct hearth_engine *en =
        engine_make(m, (struct hearth_engine_options){.n_ctx = LONG,
                                                      .n_seq_max = SEQS,
                                                      .n_thread = 1,
                                                      .kv_bytes = PAGES * page_bytes(m) + 5});
    struct hearth_seq *s[SEQS];
    struct hearth_engine_info info;
    struct hearth_error e = {0};
    static int32_t ids[LONG];
    float *row;
    struct rng r;

    (void)state;
    rng_seed(&r, 21);
    random_ids(&r, ids, N);
    row = last_alone(m, HEARTH_KV_AUTO, ids, N);
    hearth_engine_info(en, &info);
    assert_int_equal(info.pages, PAGES);
    assert_int_equal(info.n_ctx, LONG);
    assert_int_equal(info.page_tokens, KERN_PAGE);
    assert_int_equal(info.n_fit, PAGES * KERN_PAGE);
    for (int i = 0; i < SEQS; i++)
        s[i] = seq_make(en);
    /* What can never be computed is refused at once, with both numbers. */
    assert_int_equal(hearth_seq_feed(s[0], ids, PAGES * KERN_PAGE + 1, NULL, &e),
                     HEARTH_E_TOO_LONG);
    assert_non_null(strstr(e.message, "769"));
    assert_non_null(strstr(e.message, "768 (kv_bytes)"));
    assert_int_equal(hearth_seq_len(s[0]), 0);
    (void)feed(s[0], ids, N);
    assert_memory_equal(catch_up(en, s[0]), row, n_byte);
    (void)feed(s[1], ids, N); /* shares all but the last page */
    assert_memory_equal(catch_up(en, s[1]), row, n_byte);
    random_ids(&r, ids, N);
    (void)feed(s[2], ids, N);
    assert_int_equal(hearth_engine_step(en, &e), HEARTH_E_BUSY);
    hearth_seq_close(s[0]);
    hearth_seq_close(s[1]);
    (void)catch_up(en, s[2]);
    for (int i = 2; i < SEQS; i++)
        hearth_seq_close(s[i]);
    mem_free(row);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* With a budget the context is the model's own unless something else is asked for; and room for
 * tokens grows with them. */
static void test_grows(void **state)
{
    enum { N = 10000 };
    struct tiny tiny = tiny_of(QUANT_F32);
    struct hearth_model *m;
    struct hearth_engine *en;
    struct hearth_engine_info info;
    struct hearth_seq *s;
    static int32_t ids[N];
    struct rng r;
    uint64_t before;

    (void)state;
    tiny.n_ctx = 3 * N;
    m = model_make(&tiny, kern_tier_best(), 1);
    en = engine_make(m, (struct hearth_engine_options){.kv_bytes = 200 * page_bytes(m)});
    hearth_engine_info(en, &info);
    assert_int_equal(info.n_ctx, 3 * N);
    rng_seed(&r, 22);
    random_ids(&r, ids, N);
    s = seq_make(en);
    for (int i = 0; i < N; i += 100) /* past what is there first */
        (void)feed(s, ids + i, 100);
    before = mem_count();
    (void)catch_up(en, s);
    assert_int_equal(mem_count(), before);
    assert_int_equal(hearth_seq_len(s), N);
    assert_memory_equal(s->ids, ids, sizeof(ids));
    hearth_seq_close(s);
    /* It fails without harm. */
    s = seq_make(en);
    (void)feed(s, ids, 10);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        (void)mem_fail_at(nth, 0);
        assert_int_equal(hearth_seq_feed(s, ids, N - 10, NULL, NULL), HEARTH_E_NOMEM);
        (void)mem_fail_at(0, 0);
        assert_int_equal(hearth_seq_len(s), 10);
    }
    (void)feed(s, ids + 10, N - 10);
    assert_memory_equal(s->ids, ids, sizeof(ids));
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* A text ends when its pages do, as at the end of a context. */
static void test_length_of_pages(void **state)
{
    struct tiny tiny = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, kern_tier_best(), 1);
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 4096, .kv_bytes = 9 * page_bytes(m)});
    struct hearth_seq *s = seq_make(en);
    struct hearth_stats st;
    int32_t id = TINY_WORD;

    (void)state;
    FINE(hearth_generate(s, &id, 1, &(struct hearth_generate_options){.ignore_eog = 1}, &st,
                         NULL, NULL, &fine));
    assert_int_equal(st.finish, HEARTH_FINISH_LENGTH);
    assert_int_equal(st.n_output, 9 * KERN_PAGE);
    hearth_seq_close(s);
    hearth_engine_free(en);
    hearth_model_close(m);
}

/* The cache is made for usual texts, of which one may take what others leave. */
static void test_beyond(void **state)
{
    enum { N = 300 };
    struct tiny tiny = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&tiny, KERN_REF, 1);
    size_t n_byte = vocab_of(m) * sizeof(float);
    struct hearth_engine_options o = {.n_ctx = 64, .n_seq_max = 4, .n_thread = 1};
    struct hearth_engine *en = engine_make(m, o);
    struct hearth_engine_info small, grown;
    struct hearth_error e = {0};
    static int32_t ids[N];
    struct hearth_seq *s;
    float *row;
    struct rng r;

    (void)state;
    hearth_engine_info(en, &small);
    hearth_engine_free(en);
    o.n_ctx_most = 1 << 20;
    en = engine_make(m, o);
    hearth_engine_info(en, &grown);
    assert_int_equal(small.n_fit, 64);
    assert_int_equal(grown.kv_bytes, small.kv_bytes);
    assert_int_equal(grown.n_fit, grown.pages * KERN_PAGE);
    assert_int_equal(grown.n_ctx, grown.n_fit); /* no scratch for what there are no pages for */
    assert_true(grown.scratch_bytes < 2 * small.scratch_bytes);
    assert_true(grown.n_fit >= N);
    rng_seed(&r, 5);
    random_ids(&r, ids, N);
    row = last_alone(m, HEARTH_KV_AUTO, ids, N);
    s = seq_make(en);
    (void)feed(s, ids, N);
    assert_memory_equal(catch_up(en, s), row, n_byte);
    assert_int_equal(hearth_seq_feed(s, ids, (size_t)grown.n_fit, NULL, &e), HEARTH_E_TOO_LONG);
    mem_free(row);
    hearth_seq_close(s);
    hearth_engine_free(en);
    /* Less than the usual is no bound. */
    o.n_ctx_most = 10;
    en = engine_make(m, o);
    hearth_engine_info(en, &grown);
    assert_int_equal(grown.n_ctx, 64);
    hearth_engine_free(en);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_grows),
        cmocka_unit_test(test_beyond),
        cmocka_unit_test(test_length_of_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

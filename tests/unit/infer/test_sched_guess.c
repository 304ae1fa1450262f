/* Guessing ahead in shared steps: the tokens are those that come without. */
#include "sched_test.h"

#include "infer/lookup.h"
#include "infer/sched_priv.h"

static struct hearth_model *model_of(const char *arch, int n_nextn)
{
    struct tiny t = tiny_of(QUANT_F32);

    t.arch = arch;
    t.n_nextn = n_nextn;
    return model_make(&t, kern_tier_best(), 1);
}

/* Steps of any size are said to take the same time, and guessing none, so that guesses pay. */
static void set_costs(struct sched *s)
{
    for (int i = 1; i <= COST_ROWS; i++)
        s->cost.base[i] = 1;
    s->cost.per_token = 0;
    s->draft_ns = 0;
}

/* What this machine took for the step is forgotten before the next one: how much is guessed,
 * and how much of it comes true, depends on no time. */
static void forget_costs(struct bench_of_jobs *b, struct seen_job *j)
{
    (void)j;
    set_costs(b->s);
}

static struct bench_of_jobs *guessers(struct hearth_model *m, struct hearth_engine_options eo,
                                      struct sched_options so)
{
    struct bench_of_jobs *b = jobs_make(m, eo, so);

    set_costs(b->s);
    b->each_token = forget_costs;
    return b;
}

/* A prompt of few different tokens, whose text soon repeats itself. */
static struct seen_job *job_loops(struct bench_of_jobs *b, int n, uint64_t seed, int n_predict)
{
    struct seen_job *j = job_make(b, n, 0, 0, seed, n_predict);

    for (int i = 0; i < n; i++)
        j->prompt[i] = TINY_WORD + (i + (int)seed) % 5;
    j->q.sampling.top_k = 3;
    j->q.sampling.temperature = seed % 2 ? 0.7F : 0;
    return j;
}

/* -- the parts ------------------------------------------------------------------------- */

static void test_lookup(void **state)
{
    static const int32_t text[] = {7, 1, 2, 3, 4, 5, 9, 3, 4, 6, 2, 3, 4};
    static const int32_t loop[] = {5, 8, 9, 8, 9};
    static const int32_t once[] = {1, 2, 3, 4, 5, 6};
    int32_t g[16];

    (void)state;
    assert_int_equal(lookup_guess(text, 13, g, 3), 3); /* after 2 3 4, not after 3 4 */
    assert_int_equal(g[0], 5);
    assert_int_equal(g[1], 9);
    assert_int_equal(g[2], 3);
    assert_int_equal(lookup_guess(text, 9, g, 2), 2); /* after 3 4 */
    assert_int_equal(g[0], 5);
    assert_int_equal(lookup_guess(loop, 5, g, 7), 7); /* 8 9 8 9 ... */
    for (int i = 0; i < 7; i++)
        assert_int_equal(g[i], 8 + i % 2);
    assert_int_equal(lookup_guess(once, 6, g, 3), 0);
    for (int n = 0; n < 3; n++)
        assert_int_equal(lookup_guess(loop + 1, n, g, 3), 0);
}

/* What is known of steps decides how many guesses there are. */
static void test_worth(void **state)
{
    static struct sched s;

    (void)state;
    s = (struct sched){.opt.gap_ratio = 2};
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.9F, 8), 0); /* nothing is known */
    for (int i = 1; i <= COST_ROWS; i++)
        s.cost.base[i] = 100; /* rows cost nothing */
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.9F, 8), 8);
    assert_int_equal(sched_guess_worth(&s, 8, 8, 0.1F, 8), 8);
    for (int i = 1; i <= COST_ROWS; i++)
        s.cost.base[i] = 100 * (float)i; /* each costs what a token costs */
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.9F, 8), 0);
    for (int i = 1; i <= COST_ROWS; i++)
        s.cost.base[i] = 100 + 20 * (float)i;
    assert_in_range(sched_guess_worth(&s, 1, 1, 0.9F, 8), 4, 8);
    assert_in_range(sched_guess_worth(&s, 1, 1, 0.5F, 8), 1, 3);
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.1F, 8), 0);
    s.opt.gap_ratio = 1.4F; /* a step must not become longer than that */
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.9F, 8), 2);
    s.opt.gap_ratio = 2;
    s.draft_ns = 60; /* the guesses themselves cost something */
    assert_in_range(sched_guess_worth(&s, 1, 1, 0.9F, 8), 1, 5);
    assert_int_equal(sched_guess_worth(&s, 1, 1, 0.5F, 8), 0);
}

/* -- texts ----------------------------------------------------------------------------- */

static void test_from_text(void **state)
{
    struct hearth_model *m = model_of("llama", 0);
    struct bench_of_jobs *b =
        guessers(m,
                 (struct hearth_engine_options){
                     .n_ctx = 300, .n_seq_max = 16, .n_batch = 64, .n_thread = 1},
                 (struct sched_options){.n_lookup = 8});
    struct sched_stats st;
    int drafted = 0, accepted = 0;

    (void)state;
    for (int i = 0; i < 16; i++) {
        struct seen_job *j = job_loops(b, 20 + 5 * i, (uint64_t)i, 60 + i);

        j->q.no_guess = i % 5 == 4;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 16; i++) {
        const struct hearth_stats *h = &b->j[i].stats;

        assert_as_alone(m, &b->j[i], -1);
        assert_true(h->n_accepted <= h->n_drafted);
        assert_true(i % 5 != 4 || h->n_drafted == 0);
        drafted += h->n_drafted;
        accepted += h->n_accepted;
    }
    sched_stats(b->s, &st);
    assert_int_equal(st.drafted, drafted);
    assert_int_equal(st.accepted, accepted);
    assert_true(drafted > 20 && accepted > 5);
    jobs_free(b);
    hearth_model_close(m);
}

/* Few pages, cancels, a context that ends: guesses change nothing about these either. */
static void test_in_trouble(void **state)
{
    struct hearth_model *m = model_of("llama", 0);
    struct bench_of_jobs *b =
        guessers(m,
                 (struct hearth_engine_options){
                     .n_ctx = 300, .n_seq_max = 6, .n_batch = 64, .n_thread = 1},
                 (struct sched_options){.n_lookup = 16});
    int page[64], n_page = 0;

    (void)state;
    b->each_token = NULL; /* and steps take what they take */
    while (n_page < 6 * 6 - 8) {
        page[n_page] = kv_take(b->en->kv, NULL);
        assert_true(page[n_page++] >= 0);
    }
    for (int i = 0; i < 10; i++) {
        struct seen_job *j = job_loops(b, 40 + i, (uint64_t)i, i % 3 ? 120 : 0);

        j->q.n_ctx = i % 3 ? 0 : 100;
        j->cancel_at = i == 4 ? 17 : 0;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 10; i++) {
        struct seen_job *j = &b->j[i];

        if (i % 3 == 0) {
            assert_int_equal(j->n, 100 - (int)j->q.n + 1);
            j->q.n_predict = j->n;
        }
        assert_as_alone(m, j, i == 4 ? 0 : -1);
    }
    assert_int_equal(b->j[4].code, E_CANCELLED);
    while (n_page)
        kv_unref(b->en->kv, page[--n_page]);
    jobs_free(b);
    hearth_model_close(m);
}

/* A guide of words in turns: its text repeats itself, and each guess is asked of it. */
struct turns {
    int n, max;
};

static int turns_mask(void *ctx, uint32_t *bits, struct hearth_error *e)
{
    struct turns *t = ctx;
    int32_t id = TINY_WORD + 5 + t->n % 3;

    (void)e;
    if (t->n == t->max)
        return 2;
    bits[id / 32] |= 1u << (id % 32);
    return 1;
}

static int turns_accept(void *ctx, int32_t id, struct hearth_error *e)
{
    struct turns *t = ctx;

    (void)e;
    assert_int_equal(id, TINY_WORD + 5 + t->n % 3);
    t->n++;
    return 0;
}

static void test_guides(void **state)
{
    struct hearth_model *m = model_of("llama", 0);
    struct bench_of_jobs *b =
        guessers(m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 4, .n_thread = 1},
                 (struct sched_options){.n_lookup = 5});
    struct turns t[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        struct seen_job *j = job_make(b, 30, 0, 0, (uint64_t)i, 0);

        t[i] = (struct turns){.max = 40 + i};
        j->q.guide = &(struct hearth_guide){&t[i], turns_mask, turns_accept, NULL};
        j->q.ignore_eog = 0;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(b->j[i].stats.finish, HEARTH_FINISH_EOG);
        assert_int_equal(b->j[i].n, 40 + i);
        assert_true(b->j[i].stats.n_accepted > 5);
    }
    jobs_free(b);
    hearth_model_close(m);
}

/* Models with state go back to what was kept before the guesses. */
static void test_heads(void **state)
{
    (void)state;
    {
        struct hearth_model *m = model_of("qwen35", 1);
        struct bench_of_jobs *b = guessers(
            m,
            (struct hearth_engine_options){
                .n_ctx = 300, .n_seq_max = 4, .n_batch = 64, .n_draft = 3, .n_thread = 1},
            (struct sched_options){.n_queue = 0});
        int drafted = 0;

        for (int i = 0; i < 8; i++)
            job_submit(job_loops(b, 20 + 13 * i, (uint64_t)i, 60));
        jobs_run(b);
        for (int i = 0; i < 8; i++) {
            assert_as_alone(m, &b->j[i], -1);
            drafted += b->j[i].stats.n_drafted;
        }
        assert_true(drafted > 10);
        jobs_free(b);
        hearth_model_close(m);
    }
}

/* A draft that is the model itself is always right where the text is greedy; one that is
 * another is seldom right, and the text is the same. */
static void test_draft_model(void **state)
{
    struct hearth_model *m = model_of("llama", 0), *other = model_of("qwen3", 0);

    (void)state;
    for (int k = 0; k < 2; k++) {
        struct hearth_engine *draft = engine_make(
            k ? other : m, (struct hearth_engine_options){
                               .n_ctx = 250, .n_seq_max = 4, .n_batch = 48, .n_thread = 1});
        struct bench_of_jobs *b =
            guessers(m,
                     (struct hearth_engine_options){
                         .n_ctx = 300, .n_seq_max = 4, .n_batch = 64, .n_thread = 1},
                     (struct sched_options){.draft = draft});
        struct hearth_engine_info info;
        int drafted = 0, accepted = 0;

        for (int i = 0; i < 8; i++) {
            struct seen_job *j = job_make(b, 20 + 20 * i, 0, 0, (uint64_t)i, 60);

            j->q.sampling.temperature = i % 2 ? 0.7F : 0;
            job_submit(j);
        }
        jobs_run(b);
        for (int i = 0; i < 8; i++) {
            assert_as_alone(m, &b->j[i], -1);
            if (i % 2)
                continue;
            drafted += b->j[i].stats.n_drafted;
            accepted += b->j[i].stats.n_accepted;
        }
        assert_true(drafted > 5);
        assert_true(k ? accepted < drafted : accepted == drafted);
        jobs_free(b);
        hearth_engine_info(draft, &info);
        assert_int_equal(info.pages_used, 0);
        hearth_engine_free(draft);
    }
    hearth_model_close(m);
    hearth_model_close(other);
}

static void test_other_vocabulary(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_model *m = model_of("llama", 0), *none;
    struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 64});
    struct hearth_engine *draft;
    struct sched *s = NULL;
    struct err e = {0};

    (void)state;
    t.no_tok = 1;
    none = model_make(&t, kern_tier_best(), 1);
    draft = engine_make(none, (struct hearth_engine_options){.n_ctx = 64});
    assert_int_equal(sched_new(&s, en, &(struct sched_options){.draft = draft}, &e),
                     E_UNSUPPORTED);
    assert_non_null(strstr(e.msg, "draft"));
    assert_null(s);
    hearth_engine_free(draft);
    hearth_model_close(none);
    hearth_engine_free(en);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookup),      cmocka_unit_test(test_worth),
        cmocka_unit_test(test_from_text),   cmocka_unit_test(test_in_trouble),
        cmocka_unit_test(test_guides),      cmocka_unit_test(test_heads),
        cmocka_unit_test(test_draft_model), cmocka_unit_test(test_other_vocabulary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

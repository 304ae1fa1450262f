/* The scheduler on tiny models, in one thread: what a job says depends on its request alone,
 * and each ends exactly once. */
#include "sched_test.h"

#include "base/clock.h"
#include "model/head.h"

static struct hearth_model *model_of(const char *arch)
{
    struct tiny t = tiny_of(QUANT_F32);

    t.arch = arch;
    return model_make(&t, kern_tier_best(), 1);
}

static const char *const archs[] = {"llama", "qwen35", "mamba2"};
enum { N_ARCH = sizeof(archs) / sizeof(*archs) };

/* Prompts of all lengths, half of them with a common beginning. */
static void submit_mix(struct bench_of_jobs *b, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++) {
        int len = 1 + (i * 37 + (int)seed * 11) % 300, same = i % 2 && len > 150 ? 140 : 0;

        job_submit(job_make(b, len, same, 5, seed + (uint64_t)i, 12 + i));
    }
}

static void test_batch(void **state)
{
    (void)state;
    for (int a = 0; a < N_ARCH; a++) {
        struct hearth_model *m = model_of(archs[a]);
        struct bench_of_jobs *b =
            jobs_make(m,
                      (struct hearth_engine_options){
                          .n_ctx = 400, .n_seq_max = 8, .n_batch = 48, .n_thread = 1},
                      (struct sched_options){.n_queue = 0});
        struct sched_stats st;

        submit_mix(b, 16, 1);
        jobs_run(b);
        for (int i = 0; i < 16; i++)
            assert_as_alone(m, &b->j[i], -1);
        sched_stats(b->s, &st);
        assert_true(st.output_tokens > 16 * 12 && st.prompt_tokens > 1000);
        assert_true(st.steps < st.output_tokens); /* several in a step */
        jobs_free(b);
        hearth_model_close(m);
    }
}

struct guide_count {
    int n_asked;
};

static int count_mask(void *ctx, uint32_t *mask, struct hearth_error *e)
{
    (void)mask, (void)e;
    ((struct guide_count *)ctx)->n_asked++;
    return 2;
}

static int count_forced(void *ctx, int32_t *ids, int max, struct hearth_error *e)
{
    (void)ids, (void)max, (void)e;
    ((struct guide_count *)ctx)->n_asked++;
    return 0;
}

/* The prompts once more, when their pages are there: the same tokens. */
static void test_cached(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 4, .n_thread = 1},
        (struct sched_options){.n_running = 1});

    (void)state;
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 4; i++) {
            struct seen_job *j = job_make(b, 130 + i * 70, 64, 3, (uint64_t)i, 20);

            j->q.no_cache = k == 2;
            job_submit(j);
        }
    }
    jobs_run(b);
    for (int i = 0; i < 12; i++) {
        struct seen_job *j = &b->j[i];

        assert_as_alone(m, j, -1);
        assert_int_equal(j->stats.n_prompt_reused, j->n_reused);
        assert_int_equal(j->n_reused, i == 0 || i >= 8 ? 0
                                      : i < 4          ? 64
                                                       : ((int)j->q.n - 1) / 64 * 64);
        assert_int_equal(j->prefill, (int)j->q.n);
    }
    jobs_free(b);
    hearth_model_close(m);
}

/* A prompt alone: it is computed and kept for who comes next, and nothing is written. */
static void test_prompt_only(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 4, .n_thread = 1},
        (struct sched_options){.n_running = 1});
    struct guide_count g = {.n_asked = 0};
    const struct hearth_guide guide = {.ctx = &g, .mask = count_mask, .forced = count_forced};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct seen_job *j = job_make(b, i < 2 ? 200 : 400, 0, 0, i < 2 ? 7 : 8, 20);

        j->q.prompt_only = i != 1;
        j->q.guide = j->q.prompt_only ? &guide : NULL;
        j->q.ignore_eog = !j->q.prompt_only;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 3; i += 2) {
        struct seen_job *j = &b->j[i];

        assert_int_equal(j->done, 1);
        assert_int_equal(j->n, 0);
        assert_int_equal(j->n_text, 0);
        assert_int_equal(j->stats.n_output, 0);
        assert_int_equal(j->stats.finish, HEARTH_FINISH_LENGTH);
        assert_int_equal(j->prefill, (int)j->q.n);
    }
    assert_int_equal(g.n_asked, 0);
    assert_int_equal(b->j[1].n_reused, 192);
    assert_as_alone(m, &b->j[1], -1);
    jobs_free(b);
    hearth_model_close(m);
}

/* Jobs that come together and begin alike: one computes the beginning, the others take it. */
static void test_common_beginning(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b =
        jobs_make(m,
                  (struct hearth_engine_options){
                      .n_ctx = 400, .n_seq_max = 8, .n_batch = 32, .n_thread = 1},
                  (struct sched_options){.n_queue = 0});
    struct sched_stats st;

    (void)state;
    for (int i = 0; i < 6; i++)
        job_submit(job_make(b, 220, 200, 3, (uint64_t)i, 10));
    job_submit(job_make(b, 50, 0, 3, 99, 10)); /* does not wait for anybody */
    jobs_run(b);
    for (int i = 0; i < 7; i++)
        assert_as_alone(m, &b->j[i], -1);
    for (int i = 1; i < 6; i++)
        assert_int_equal(b->j[i].n_reused, 192);
    assert_int_equal(b->j[6].started, 2);
    sched_stats(b->s, &st);
    assert_int_equal(st.cached_tokens, 5 * 192);
    assert_int_equal(st.prompt_tokens, 220 + 5 * 28 + 50);
    jobs_free(b);
    hearth_model_close(m);
}

/* Pages for some of the texts only: those that give up theirs say nothing twice. */
static void test_few_pages(void **state)
{
    (void)state;
    for (int a = 0; a < N_ARCH; a++) {
        struct hearth_model *m = model_of(archs[a]);
        struct bench_of_jobs *b =
            jobs_make(m,
                      (struct hearth_engine_options){
                          .n_ctx = 400, .n_seq_max = 6, .n_batch = 64, .n_thread = 1},
                      (struct sched_options){.n_queue = 0});
        struct sched_stats st;
        int page[64], n_page = 0;

        while (n_page < 6 * 8 - 9) {
            page[n_page] = kv_take(b->en->kv, NULL);
            assert_true(page[n_page++] >= 0);
        }
        for (int i = 0; i < 8; i++)
            job_submit(job_make(b, 50 + i, 0, 0, (uint64_t)(3 * i + 1), 120));
        jobs_run(b);
        for (int i = 0; i < 8; i++)
            assert_as_alone(m, &b->j[i], -1);
        sched_stats(b->s, &st);
        assert_true(st.preempted > 0);
        while (n_page)
            kv_unref(b->en->kv, page[--n_page]);
        jobs_free(b);
        hearth_model_close(m);
    }
}

static struct rng chance;

/* Now and then somebody is cancelled, resumed, or both. */
static void disturb(struct bench_of_jobs *b, struct seen_job *j)
{
    struct seen_job *k = &b->j[rng_u64(&chance) % (uint64_t)b->n];

    (void)j;
    if (rng_u64(&chance) % 40 == 0 && k->job && (k - b->j) % 2)
        sched_cancel(k->job);
}

static void test_cancel(void **state)
{
    struct hearth_model *m = model_of("llama");

    (void)state;
    rng_seed(&chance, 4);
    for (int turn = 0; turn < 6; turn++) {
        struct bench_of_jobs *b =
            jobs_make(m,
                      (struct hearth_engine_options){
                          .n_ctx = 400, .n_seq_max = 5, .n_batch = 40, .n_thread = 1},
                      (struct sched_options){.n_queue = 0});
        int cancelled = 0;

        b->each_token = disturb;
        submit_mix(b, 16, (uint64_t)turn + 1);
        b->j[3].cancel_at = 5;
        sched_cancel(b->j[7].job); /* before it begins */
        jobs_run(b);
        for (int i = 0; i < 16; i++) {
            cancelled += b->j[i].failed;
            if (b->j[i].failed)
                assert_int_equal(b->j[i].code, E_CANCELLED);
            assert_true(i % 2 || b->j[i].done);
            assert_as_alone(m, &b->j[i], b->j[i].done ? -1 : 0);
        }
        assert_true(b->j[3].failed && b->j[3].n <= 5 && b->j[7].failed);
        assert_int_equal(b->j[7].start, 0);
        assert_true(cancelled >= 2);
        jobs_free(b);
    }
    hearth_model_close(m);
}

/* -- order ----------------------------------------------------------------------------- */

static struct bench_of_jobs *one_at_a_time(struct hearth_model *m, int n_queue)
{
    return jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 1, .n_thread = 1},
        (struct sched_options){.n_running = 1, .n_queue = n_queue});
}

static void test_order(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 0);
    /* Of three clients; the first one has sent most, and one is urgent. */
    static const struct {
        uint64_t share;
        int priority, started;
    } job[] = {{7, 0, 2}, {7, 0, 5}, {7, 0, 8}, {7, 0, 9}, {8, 0, 3},
               {8, 0, 6}, {9, 0, 4}, {9, 0, 7}, {7, 1, 1}};

    (void)state;
    for (int i = 0; i < 9; i++) {
        struct seen_job *j = job_make(b, 20, 0, 0, (uint64_t)i, 10);

        j->q.share = job[i].share;
        j->q.priority = job[i].priority;
        job_submit(j);
    }
    jobs_run(b);
    /* The urgent job was work for 7, so 8 and 9 come first among the others. */
    for (int i = 0; i < 9; i++) {
        static const int started[] = {4, 7, 8, 9, 2, 5, 3, 6, 1};

        assert_int_equal(b->j[i].started, started[i]);
        assert_int_equal(b->j[i].finished, started[i]);
        assert_true(b->j[i].started == 1 || b->j[i].queued > 0);
    }
    jobs_free(b);
    hearth_model_close(m);
}

static void test_queue_full(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 3);
    struct seen_job *more;
    struct sched_job *none = NULL;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 3; i++)
        job_submit(job_make(b, 20, 0, 0, (uint64_t)i, 10));
    more = job_make(b, 20, 0, 0, 9, 10);
    b->n--;
    assert_int_equal(sched_submit(b->s, &more->q, see_event, more, &none, &e), E_BUSY);
    assert_non_null(strstr(e.msg, "queue is full"));
    assert_null(none);
    jobs_run(b);
    assert_int_equal(sched_submit(b->s, &more->q, see_event, more, &none, &e), E_BUSY);
    assert_non_null(strstr(e.msg, "stopped"));
    jobs_free(b);
    hearth_model_close(m);
}

/* Texts of a request that was let in are, too; no others are. */
static void test_queue_more(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 2);
    struct seen_job *other;
    struct sched_job *none = NULL;
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 10; i++) {
        struct seen_job *j = job_make(b, 20, 0, 0, (uint64_t)i, 3);

        j->q.more = i > 1;
        j->q.share = (uint64_t)i;
        job_submit(j);
    }
    other = job_make(b, 20, 0, 0, 99, 10);
    b->n--;
    assert_int_equal(sched_submit(b->s, &other->q, see_event, other, &none, &e), E_BUSY);
    b->n++;
    other->q.more = SCHED_MUST; /* nor is one that nobody else would let in */
    job_submit(other);
    jobs_run(b);
    for (int i = 0; i < 11; i++)
        assert_true(b->j[i].finished > 0);
    jobs_free(b);
    hearth_model_close(m);
}

static void test_refusals(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 3);
    struct seen_job *j = job_make(b, 100, 0, 0, 1, 10);
    struct sched_job *none = NULL;
    struct sched_request q = j->q;
    const char *empty = "";
    struct err e = {0};

#define REFUSED(code, word)                                                                    \
    assert_int_equal(sched_submit(b->s, &q, see_event, j, &none, &e), code);                   \
    assert_non_null(strstr(e.msg, word));                                                      \
    q = j->q
    (void)state;
    q.n_ctx = 99;
    REFUSED(E_TOO_LONG, "100 tokens");
    q.n_ctx = 99;
    REFUSED(E_TOO_LONG, "99");
    q.n = 0;
    REFUSED(E_INVALID, "no tokens");
    q.sampling.top_p = 7;
    REFUSED(E_INVALID, "top_p");
    q.stop = &empty;
    q.n_stop = 1;
    REFUSED(E_INVALID, "stop string");
    q.n_logprobs = 30;
    REFUSED(E_INVALID, "n_logprobs");
    j->prompt[5] = 100000;
    REFUSED(E_INVALID, "100000");
#undef REFUSED
    b->n = 0;
    jobs_free(b);
    hearth_model_close(m);
}

static void test_deadline(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 0);

    (void)state;
    job_make(b, 20, 0, 0, 1, 30)->q.deadline_ns = clock_ns() + 3600 * (uint64_t)1000000000;
    job_make(b, 20, 0, 0, 2, 30)->q.deadline_ns = 1; /* long ago */
    job_make(b, 20, 0, 0, 3, 30);
    for (int i = 0; i < 3; i++)
        job_submit(&b->j[i]);
    jobs_run(b);
    assert_as_alone(m, &b->j[0], -1);
    assert_int_equal(b->j[1].code, E_CANCELLED);
    assert_non_null(strstr(b->j[1].why, "deadline"));
    assert_int_equal(b->j[1].start, 0);
    assert_as_alone(m, &b->j[2], -1);
    jobs_free(b);
    hearth_model_close(m);
}

/* -- pausing --------------------------------------------------------------------------- */

/* The paused one is asked to go on when all others are over. */
static void wake_first(struct bench_of_jobs *b, struct seen_job *j)
{
    if (b->n_over == b->n - 1 || (j == &b->j[5] && j->n == 8))
        sched_resume(b->j[0].job);
}

static void test_pause(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 2, .n_thread = 1},
        (struct sched_options){.n_queue = 0});

    (void)state;
    b->each_token = wake_first;
    for (int i = 0; i < 6; i++)
        job_submit(job_make(b, 70, 0, 0, (uint64_t)i, 20));
    b->j[0].pause_at = 3;
    b->j[1].pause_at = 4;
    b->j[1].q.n_predict = 20;
    /* The others need its place; the second is resumed before it pauses, which is forgotten. */
    sched_resume(b->j[1].job);
    b->j[1].pause_at = 0;
    jobs_run(b);
    for (int i = 0; i < 6; i++)
        assert_as_alone(m, &b->j[i], -1);
    assert_int_equal(b->j[0].finished, 6);
    jobs_free(b);
    hearth_model_close(m);
}

/* -- what comes out -------------------------------------------------------------------- */

static void test_stop_and_logprobs(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 0);
    const char *stops[2] = {"never this", NULL};
    char two[64];
    struct seen_job *j;
    struct alone a;
    int64_t n;

    (void)state;
    j = job_make(b, 20, 0, 0, 2, 40);
    a = job_alone(m, j);
    n = hearth_decode(m, a.id, 40, 0, two, sizeof(two) - 1, NULL);
    assert_true(n > 3);
    two[5] = '\0';
    stops[1] = two + 3;
    j->q.stop = stops;
    j->q.n_stop = 2;
    j->q.n_logprobs = 0;
    job_submit(j);
    memset(two, 'x', sizeof(two) - 1); /* it was copied */
    stops[1] = NULL;
    job_submit(job_make(b, 20, 0, 0, 2, 40));
    jobs_run(b);
    assert_true(j->done);
    assert_int_equal(j->stats.finish, HEARTH_FINISH_STOP);
    assert_int_equal(j->stop, 1);
    assert_true(j->logprob[0] < 0);
    assert_memory_equal(j->id, a.id, (size_t)j->n * sizeof(*a.id));
    assert_int_equal(b->j[1].stop, -1);
    assert_int_equal(b->j[1].stats.finish, HEARTH_FINISH_LENGTH);
    assert_true(b->j[1].logprob[0] == 0);
    jobs_free(b);
    hearth_model_close(m);
}

/* The context of a job is its own. */
static void test_context(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = one_at_a_time(m, 0);

    (void)state;
    job_make(b, 90, 0, 0, 1, 0)->q.n_ctx = 100;
    job_make(b, 100, 0, 0, 1, 0)->q.n_ctx = 100;
    job_submit(&b->j[0]);
    job_submit(&b->j[1]);
    jobs_run(b);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(b->j[i].stats.finish, HEARTH_FINISH_LENGTH);
        assert_int_equal(b->j[i].n, i ? 1 : 11);
    }
    jobs_free(b);
    hearth_model_close(m);
}

/* A guide of two words in turns, of which every second is certain. */
struct turns {
    int n, max;
};

static int turns_mask(void *ctx, uint32_t *bits, struct hearth_error *e)
{
    struct turns *t = ctx;
    int32_t id = TINY_WORD + 5 + t->n % 2;

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
    assert_int_equal(id, TINY_WORD + 5 + t->n % 2);
    t->n++;
    return 0;
}

static int turns_forced(void *ctx, int32_t *ids, int max, struct hearth_error *e)
{
    struct turns *t = ctx;

    (void)e;
    ids[0] = TINY_WORD + 5 + t->n % 2;
    return max > 0 && t->n % 2 && t->n < t->max;
}

static void test_guides(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 4, .n_thread = 1},
        (struct sched_options){.n_queue = 0});
    struct turns t[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        struct seen_job *j = job_make(b, 30, 0, 0, (uint64_t)i, 0);

        t[i] = (struct turns){.max = 9 + i};
        j->q.guide = &(struct hearth_guide){&t[i], turns_mask, turns_accept,
                                            i % 2 ? turns_forced : NULL};
        j->q.ignore_eog = 0;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(b->j[i].stats.finish, HEARTH_FINISH_EOG);
        assert_int_equal(b->j[i].n, 9 + i);
        assert_true((b->j[i].stats.n_forced > 2) == i % 2);
    }
    jobs_free(b);
    hearth_model_close(m);
}

/* Vectors between texts: the same bits as alone, several in a step. */
static void test_vectors(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b =
        jobs_make(m,
                  (struct hearth_engine_options){
                      .n_ctx = 400, .n_seq_max = 6, .n_batch = 64, .n_thread = 1},
                  (struct sched_options){.n_queue = 0});
    struct hearth_engine *en = engine_make(m, (struct hearth_engine_options){.n_ctx = 400});
    struct hearth_seq *s = seq_make(en);
    float alone[256];

    (void)state;
    for (int i = 0; i < 12; i++) {
        struct seen_job *j = job_make(b, 10 + i * 17, i % 3 ? 0 : 10, 6, (uint64_t)i, 10);

        j->q.want = i % 2 ? SCHED_EMBED : SCHED_TEXT;
        job_submit(j);
    }
    jobs_run(b);
    for (int i = 0; i < 12; i++) {
        struct seen_job *j = &b->j[i];

        if (i % 2 == 0) {
            assert_as_alone(m, j, -1);
            continue;
        }
        assert_true(j->done);
        FINE(hearth_seq_embed(s, j->prompt, j->q.n, alone, &fine));
        assert_int_equal(j->n_vector, head_width(m->m));
        assert_memory_equal(j->vector, alone, (size_t)j->n_vector * sizeof(float));
    }
    hearth_seq_close(s);
    hearth_engine_free(en);
    jobs_free(b);
    hearth_model_close(m);
}

/* -- trouble --------------------------------------------------------------------------- */

static uint64_t n_alloc;
static int n_moved, n_looked;

static void count_allocations(struct bench_of_jobs *b, struct seen_job *j)
{
    (void)j;
    for (int i = 0; i < b->n; i++) {
        if (b->j[i].n < 20 || b->j[i].n == 190)
            return;
    }
    n_moved += n_looked++ && n_alloc != mem_count();
    n_alloc = mem_count();
}

/* Once all are under way nothing is allocated. */
static void test_no_allocation(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b =
        jobs_make(m,
                  (struct hearth_engine_options){
                      .n_ctx = 400, .n_seq_max = 4, .n_batch = 32, .n_thread = 1},
                  (struct sched_options){.n_queue = 0});

    (void)state;
    b->each_token = count_allocations;
    for (int i = 0; i < 4; i++)
        job_submit(job_make(b, 30 + i * 40, 0, 0, (uint64_t)i, 190));
    jobs_run(b);
    assert_true(n_looked > 100);
    assert_int_equal(n_moved, 0);
    jobs_free(b);
    hearth_model_close(m);
}

/* Each allocation fails once, and then all from one on: every job ends once. */
static void test_no_memory(void **state)
{
    struct hearth_model *m = model_of("llama");

    (void)state;
    for (int turn = 1; turn < 120; turn++) {
        struct bench_of_jobs *b =
            jobs_make(m,
                      (struct hearth_engine_options){
                          .n_ctx = 200, .n_seq_max = 2, .n_batch = 64, .n_thread = 1},
                      (struct sched_options){.n_queue = 0});
        int n_in = 0;

        (void)mem_fail_at((uint64_t)turn, turn % 2);
        for (int i = 0; i < 5; i++) {
            struct seen_job *j = job_make(b, 30 + i * 20, 0, 0, (uint64_t)i, 6);
            struct err e = {0};

            j->q.want = i == 3 ? SCHED_EMBED : SCHED_TEXT;
            if (sched_submit(b->s, &j->q, see_event, j, &j->job, &e) < 0) {
                assert_int_equal(e.code, E_NOMEM);
                assert_null(j->job);
            }
            n_in += j->job != NULL;
        }
        b->expect = n_in;
        if (n_in)
            assert_int_equal(sched_run(b->s, NULL), 0);
        (void)mem_fail_at(0, 0);
        assert_int_equal(b->n_over, n_in);
        for (int i = 0; i < 5; i++) {
            struct seen_job *j = &b->j[i];

            if (j->failed)
                assert_int_equal(j->code, E_NOMEM);
            if (j->done && j->q.want == SCHED_TEXT)
                assert_as_alone(m, j, -1);
        }
        jobs_free(b);
    }
    hearth_model_close(m);
}

static void stop_now(struct bench_of_jobs *b, struct seen_job *j)
{
    (void)j;
    if (b->n_token == 30)
        sched_stop(b->s);
}

static void test_stop(void **state)
{
    struct hearth_model *m = model_of("llama");
    struct bench_of_jobs *b = jobs_make(
        m, (struct hearth_engine_options){.n_ctx = 400, .n_seq_max = 3, .n_thread = 1},
        (struct sched_options){.n_queue = 0});

    (void)state;
    b->each_token = stop_now;
    submit_mix(b, 10, 3);
    b->j[2].release_within = 1;
    jobs_run(b);
    for (int i = 0; i < 10; i++) {
        assert_true(b->j[i].done || b->j[i].code == E_CANCELLED);
        assert_as_alone(m, &b->j[i], 0);
    }
    jobs_free(b);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_cached),
        cmocka_unit_test(test_prompt_only),
        cmocka_unit_test(test_common_beginning),
        cmocka_unit_test(test_few_pages),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_queue_full),
        cmocka_unit_test(test_queue_more),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_stop_and_logprobs),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_guides),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

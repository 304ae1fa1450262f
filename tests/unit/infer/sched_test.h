/* sched_test.h - what tests of the scheduler share: jobs that remember what their sink saw, and
 * a loop that ends when all of them have ended. */
#ifndef HEARTH_TESTS_SCHED_TEST_H
#define HEARTH_TESTS_SCHED_TEST_H

#include "engine_test.h"
#include "infer/engine.h"
#include "infer/sched.h"

enum { MOST_PROMPT = 400, MOST_OUT = 200, MOST_JOBS = 64 };

struct bench_of_jobs;

struct seen_job {
    struct bench_of_jobs *all;
    struct sched_request q;
    int32_t prompt[MOST_PROMPT];
    struct sched_job *job;
    int32_t id[MOST_OUT];
    float logprob[MOST_OUT];
    int n, n_last; /* tokens; pieces without one */
    char text[4096];
    size_t n_text;
    int start, n_reused, prefill, queued, last_place, n_vector, done, failed, code, stop;
    int finished;                  /* as the how many-th of all */
    int started;                   /* the same */
    int pause_at, cancel_at, says; /* after so many tokens; 0: never. What the sink says then */
    int allocs_move;               /* times that mem_count moved between two tokens */
    uint64_t allocs;
    float vector[256];
    struct hearth_stats stats;
    char why[ERR_MAX];
    int release_within;
};

struct bench_of_jobs {
    struct hearth_model *m;
    struct hearth_engine *en;
    struct sched *s;
    int n, n_over, n_started, n_token, expect; /* stops when so many are over */
    void (*each_token)(struct bench_of_jobs *b, struct seen_job *j);
    struct seen_job j[MOST_JOBS];
};

static inline void see_piece(struct seen_job *j, const struct hearth_piece *p)
{
    assert_int_equal(j->start, 1);
    assert_false(j->n_last);
    assert_true(j->n_text + p->n_text < sizeof(j->text));
    memcpy(j->text + j->n_text, p->text, p->n_text + 1);
    j->n_text += p->n_text;
    if (p->id < 0) {
        j->n_last++;
        return;
    }
    assert_true(j->n < MOST_OUT);
    j->logprob[j->n] = p->logprob;
    j->id[j->n++] = p->id;
    j->all->n_token++;
    if (j->all->each_token)
        j->all->each_token(j->all, j);
}

static inline void see_end(struct seen_job *j, const struct sched_event *ev)
{
    assert_false(j->done || j->failed);
    j->done = ev->kind == SCHED_DONE;
    j->failed = ev->kind == SCHED_ERROR;
    if (j->done)
        j->stats = *ev->stats;
    j->stop = j->done ? ev->stop : -1;
    j->code = j->failed ? ev->err->code : 0;
    (void)snprintf(j->why, sizeof(j->why), "%s", j->failed ? ev->err->msg : "");
    j->finished = ++j->all->n_over;
    if (j->release_within)
        sched_release(j->job);
    if (j->all->n_over == j->all->expect)
        sched_stop(j->all->s);
}

static inline int see_event(void *ctx, const struct sched_event *ev)
{
    struct seen_job *j = ctx;

    assert_false(j->done || j->failed);
    switch (ev->kind) {
    case SCHED_QUEUED:
        assert_false(j->start);
        j->queued++;
        j->last_place = (int)ev->n;
        break;
    case SCHED_START:
        assert_false(j->start);
        j->start = 1;
        j->started = ++j->all->n_started;
        j->n_reused = ev->n_reused;
        break;
    case SCHED_PREFILL:
        assert_true(ev->n > j->prefill && ev->n <= (int64_t)j->q.n && !j->n);
        j->prefill = (int)ev->n;
        break;
    case SCHED_PIECE:
        see_piece(j, ev->piece);
        if (j->n == j->pause_at && ev->piece->id >= 0) {
            j->pause_at = 0;
            return 1;
        }
        if (j->n == j->cancel_at)
            return -1;
        break;
    case SCHED_VECTOR:
        assert_true(j->start && !j->n_vector && ev->n <= 256);
        j->n_vector = (int)ev->n;
        memcpy(j->vector, ev->vector, (size_t)ev->n * sizeof(float));
        break;
    default:
        see_end(j, ev);
    }
    return j->says;
}

static inline struct bench_of_jobs *jobs_make(struct hearth_model *m,
                                              struct hearth_engine_options eo,
                                              struct sched_options so)
{
    struct bench_of_jobs *b = mem_calloc(1, sizeof(*b));

    assert_non_null(b);
    b->m = m;
    b->en = engine_make(m, eo);
    assert_int_equal(sched_new(&b->s, b->en, &so, NULL), 0);
    return b;
}

static inline void jobs_free(struct bench_of_jobs *b)
{
    struct hearth_engine_info info;

    for (int i = 0; i < b->n; i++) {
        if (b->j[i].job && !b->j[i].release_within)
            sched_release(b->j[i].job);
    }
    sched_free(b->s);
    hearth_engine_info(b->en, &info);
    assert_int_equal(info.pages_used, 0);
    hearth_engine_free(b->en);
    mem_free(b);
}

/* A job with a prompt of n tokens made from seed, of which the first n_same depend on `same`
 * only; not yet submitted. */
static inline struct seen_job *job_make(struct bench_of_jobs *b, int n, int n_same,
                                        uint64_t same, uint64_t seed, int n_predict)
{
    struct seen_job *j = &b->j[b->n++];
    struct rng r;

    assert_true(b->n <= MOST_JOBS && n <= MOST_PROMPT);
    j->all = b;
    rng_seed(&r, same);
    random_ids(&r, j->prompt, (size_t)n_same);
    rng_seed(&r, seed);
    random_ids(&r, j->prompt + n_same, (size_t)(n - n_same));
    j->q = (struct sched_request){.ids = j->prompt,
                                  .n = (size_t)n,
                                  .n_predict = n_predict,
                                  .n_logprobs = -1,
                                  .ignore_eog = 1};
    sampler_defaults(&j->q.sampling);
    j->q.sampling.seed = seed;
    j->q.sampling.temperature = seed % 3 ? 1.5F : 0;
    return j;
}

static inline void job_submit(struct seen_job *j)
{
    struct err e = {0};

    if (sched_submit(j->all->s, &j->q, see_event, j, &j->job, &e) < 0)
        fail_msg("submit: %s", e.msg);
}

/* Computes until all have ended. */
static inline void jobs_run(struct bench_of_jobs *b)
{
    struct err e = {0};

    b->expect = b->n;
    if (sched_run(b->s, &e) < 0)
        fail_msg("run: %s", e.msg);
    assert_int_equal(b->n_over, b->n);
}

/* -- the same alone -------------------------------------------------------------------- */

struct alone {
    int32_t id[MOST_OUT];
    int n;
};

static inline int keep_id(void *ctx, const struct hearth_piece *p)
{
    struct alone *a = ctx;

    if (p->id >= 0)
        a->id[a->n++] = p->id;
    return 0;
}

/* What the job's request gives in an engine of its own. */
static inline struct alone job_alone(struct hearth_model *m, const struct seen_job *j)
{
    struct hearth_engine *en =
        engine_make(m, (struct hearth_engine_options){.n_ctx = 600, .n_thread = 1});
    struct hearth_seq *s = seq_make(en);
    const struct sampler_options *o = &j->q.sampling;
    struct hearth_sampling sampling = {.temperature = o->temperature,
                                       .top_k = o->top_k,
                                       .top_p = o->top_p,
                                       .min_p = o->min_p,
                                       .typical_p = o->typical_p,
                                       .repeat_penalty = o->repeat_penalty,
                                       .presence_penalty = o->presence_penalty,
                                       .frequency_penalty = o->frequency_penalty,
                                       .repeat_last_n = o->repeat_last_n,
                                       .seed = o->seed};
    struct alone a = {.n = 0};

    FINE(hearth_generate(s, j->q.ids, j->q.n,
                         &(struct hearth_generate_options){.n_predict = j->q.n_predict,
                                                           .sampling = &sampling,
                                                           .stop = j->q.stop,
                                                           .n_stop = j->q.n_stop,
                                                           .ignore_eog = j->q.ignore_eog},
                         NULL, keep_id, &a, &fine));
    hearth_seq_close(s);
    hearth_engine_free(en);
    return a;
}

/* The first n tokens that the job gave are those that it gives alone; -1: all of them. */
static inline void assert_as_alone(struct hearth_model *m, const struct seen_job *j, int n)
{
    struct alone a = job_alone(m, j);

    if (n < 0) {
        if (!j->done)
            fail_msg("job %d: %s", (int)(j - j->all->j), j->why);
        assert_int_equal(j->n, a.n);
        assert_int_equal(j->n_last, 1);
        assert_int_equal(j->stats.n_output, a.n);
        assert_int_equal(j->stats.n_prompt, (int)j->q.n);
    }
    assert_true(j->n <= a.n);
    assert_memory_equal(j->id, a.id, (size_t)j->n * sizeof(*a.id));
}

#endif

/* The scheduler from several threads at once; for SAN=tsan above all. */
#include "sched_test.h"

#include <pthread.h>

enum { N_THREAD = 4, N_EACH = 12 };

struct client {
    pthread_t thread;
    struct sched *s;
    int number;
    pthread_mutex_t lock;
    pthread_cond_t over;
    int n_over, n_done, n_error, n_busy, n_piece;
};

struct call {
    struct client *c;
    struct sched_job *job;
    int n, over, cancel_at;
};

static int see(void *ctx, const struct sched_event *ev)
{
    struct call *k = ctx;
    struct client *c = k->c;
    int says = 0;

    (void)pthread_mutex_lock(&c->lock);
    assert_false(k->over);
    if (ev->kind == SCHED_PIECE) {
        c->n_piece++;
        says = ++k->n % 7 == 3; /* the reader is slow now and then */
        if (k->n == k->cancel_at)
            says = -1;
    }
    if (ev->kind == SCHED_DONE || ev->kind == SCHED_ERROR) {
        k->over = 1;
        c->n_over++;
        c->n_done += ev->kind == SCHED_DONE;
        c->n_error += ev->kind == SCHED_ERROR;
        (void)pthread_cond_signal(&c->over);
    }
    (void)pthread_mutex_unlock(&c->lock);
    return says;
}

/* Whoever it is of the first n that waits for it. */
static void resume(struct call *k, int n)
{
    for (int i = 0; i < n; i++)
        sched_resume(k[i].job);
}

/* The client's i-th call. While there is no room for it those before go on, for it may be they
 * who fill the place, all of them paused. */
static void submit(struct client *c, struct call *all, int i)
{
    struct call *k = &all[i];
    struct rng r;
    int32_t ids[100];
    struct sched_request q = {.ids = ids,
                              .n = (size_t)(10 + (i * 17 + c->number) % 90),
                              .n_predict = 10,
                              .n_logprobs = -1,
                              .share = (uint64_t)c->number,
                              .priority = i % 2};
    struct err e = {0};

    rng_seed(&r, (uint64_t)(i % 3));
    random_ids(&r, ids, 100);
    sampler_defaults(&q.sampling);
    *k = (struct call){.c = c, .cancel_at = i % 5 == 4 ? 4 : -1};
    if (i % 6 == 5)
        q.want = SCHED_EMBED;
    while (sched_submit(c->s, &q, see, k, &k->job, &e) < 0) {
        assert_int_equal(e.code, E_BUSY);
        c->n_busy++;
        resume(all, i);
        (void)usleep(100);
    }
}

static void count_slot(void *ctx, const struct sched_slot *slot)
{
    *(int *)ctx += slot->id > 0;
}

static void *client_main(void *ctx)
{
    struct client *c = ctx;
    struct call k[N_EACH];
    struct sched_stats st;
    int n;

    for (int i = 0; i < N_EACH; i++)
        submit(c, k, i);
    sched_cancel(k[N_EACH - 1].job);
    for (;;) {
        (void)pthread_mutex_lock(&c->lock);
        n = c->n_over;
        (void)pthread_mutex_unlock(&c->lock);
        if (n == N_EACH)
            break;
        resume(k, N_EACH);
        n = 0;
        sched_each(c->s, count_slot, &n);
        sched_stats(c->s, &st);
        (void)usleep(500);
    }
    for (int i = 0; i < N_EACH; i++)
        sched_release(k[i].job);
    return NULL;
}

static void *run_main(void *s)
{
    return sched_run(s, NULL) == 0 ? s : NULL;
}

static void test_threads(void **state)
{
    struct tiny t = tiny_of(QUANT_F32);
    struct hearth_model *m = model_make(&t, kern_tier_best(), 1);
    struct hearth_engine *en = engine_make(
        m, (struct hearth_engine_options){.n_ctx = 200, .n_seq_max = 3, .n_thread = 2});
    struct client c[N_THREAD];
    struct hearth_engine_info info;
    struct sched *s;
    struct sched_stats st;
    pthread_t run;
    void *ran = NULL;

    (void)state;
    assert_int_equal(sched_new(&s, en, &(struct sched_options){.n_queue = 20}, NULL), 0);
    assert_int_equal(pthread_create(&run, NULL, run_main, s), 0);
    for (int i = 0; i < N_THREAD; i++) {
        c[i] = (struct client){.s = s, .number = i};
        (void)pthread_mutex_init(&c[i].lock, NULL);
        (void)pthread_cond_init(&c[i].over, NULL);
        assert_int_equal(pthread_create(&c[i].thread, NULL, client_main, &c[i]), 0);
    }
    for (int i = 0; i < N_THREAD; i++) {
        (void)pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].n_done + c[i].n_error, N_EACH);
        assert_true(c[i].n_error >= 1 && c[i].n_done >= N_EACH - 4 && c[i].n_piece > 50);
        (void)pthread_cond_destroy(&c[i].over);
        (void)pthread_mutex_destroy(&c[i].lock);
    }
    sched_stop(s);
    (void)pthread_join(run, &ran);
    assert_ptr_equal(ran, s);
    sched_stats(s, &st);
    assert_int_equal(st.n_waiting + st.n_running, 0);
    sched_free(s);
    hearth_engine_info(en, &info);
    assert_int_equal(info.pages_used, 0);
    hearth_engine_free(en);
    hearth_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

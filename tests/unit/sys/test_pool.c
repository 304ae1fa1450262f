/* test_pool.c - every item exactly once, whatever the sizes; slow workers are helped; idle
 * ones sleep. Times are printed; limits on them are wide, for machines that others share. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sys/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define N_MAX 5000

static struct pool *make(int n_thread, int pin)
{
    struct pool_options opt = {.n_thread = n_thread, .pin = pin};
    struct pool *p = NULL;
    struct err e = {0};

    if (pool_new(&p, &opt, &e) < 0)
        fail_msg("pool of %d: %s", n_thread, e.msg);
    return p;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&t, NULL);
}

struct count {
    int n_worker;
    size_t n, grain;
    unsigned char seen[N_MAX]; /* plain on purpose: a race is an error that TSan reports */
    _Atomic int bad;
};

static void count_items(void *ctx, int worker, size_t lo, size_t hi)
{
    struct count *c = ctx;

    if (worker < 0 || worker >= c->n_worker || lo >= hi || hi > c->n || hi - lo > c->grain ||
        lo % c->grain != 0)
        c->bad = 1;
    for (size_t i = lo; i < hi; i++)
        c->seen[i]++;
}

static void test_each_item_once(void **state)
{
    static const int threads[] = {1, 2, 3, 4, 7, 16};
    static const size_t sizes[] = {0, 1, 2, 3, 5, 8, 63, 64, 65, 1000, N_MAX};
    static const size_t grains[] = {1, 2, 3, 7, 64, 999, N_MAX};
    static struct count c;

    (void)state;
    for (size_t t = 0; t < sizeof(threads) / sizeof(threads[0]); t++) {
        struct pool *p = make(threads[t], 0);

        assert_int_equal(pool_size(p), threads[t]);
        for (size_t k = 0; k < 11 * 7; k++) {
            memset(c.seen, 0, sizeof(c.seen));
            c.n_worker = threads[t];
            c.n = sizes[k / 7];
            c.grain = grains[k % 7];
            pool_run(p, c.n, c.grain, count_items, &c);
            for (size_t i = 0; i < N_MAX; i++) {
                if (c.seen[i] != (i < c.n))
                    fail_msg("%d threads, n %zu, grain %zu: item %zu ran %d times", threads[t],
                             c.n, c.grain, i, c.seen[i]);
            }
            assert_int_equal(c.bad, 0);
        }
        pool_free(p);
    }
}

struct where {
    pthread_t caller;
    int calls, elsewhere;
};

static void note_thread(void *ctx, int worker, size_t lo, size_t hi)
{
    struct where *w = ctx;

    (void)lo;
    (void)hi;
    w->calls++;
    w->elsewhere += worker != 0 || !pthread_equal(w->caller, pthread_self());
}

static void test_small_stays_home(void **state)
{
    struct pool *p = make(4, 0);
    struct where w = {.caller = pthread_self()};

    (void)state;
    pool_run(p, 100, 100, note_thread, &w);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.elsewhere, 0);
    pool_run(p, 0, 1, note_thread, &w);
    assert_int_equal(w.calls, 1);
    pool_free(p);
}

struct slow {
    _Atomic int by[2], first;
};

/* Whoever is worker 1 falls asleep in its first piece; worker 0 must do the rest. */
static void slow_worker(void *ctx, int worker, size_t lo, size_t hi)
{
    struct slow *s = ctx;

    (void)lo;
    (void)hi;
    if (worker == 0 && s->by[0] == 0) {
        for (int i = 0; i < 1000 && s->by[1] == 0; i++)
            sleep_ms(1); /* so that worker 1 surely has its piece */
    }
    s->by[worker]++;
    if (worker == 1)
        sleep_ms(100);
}

static void test_steals_from_slow(void **state)
{
    struct pool *p = make(2, 0);
    struct slow s = {0};
    uint64_t t = clock_ns();

    (void)state;
    pool_run(p, 64, 1, slow_worker, &s);
    t = clock_ns() - t;
    assert_int_equal(s.by[0] + s.by[1], 64);
    printf("slow worker did %d of 64 pieces, %.0f ms\n", s.by[1], (double)t * 1e-6);
    /* Its own share of 32 would take it 3.2 s. */
    assert_in_range(s.by[1], 1, 8);
    assert_true(t >= 90000000u);
    pool_free(p);
}

/* The caller naps in its first piece: its share of 32 is taken over by the others. */
static void slow_caller(void *ctx, int worker, size_t lo, size_t hi)
{
    struct slow *s = ctx;

    (void)lo;
    (void)hi;
    s->by[worker != 0]++;
    if (worker == 0)
        sleep_ms(200);
}

static void test_steals_from_caller(void **state)
{
    struct pool *p = make(2, 0);
    struct slow s = {0};

    (void)state;
    pool_run(p, 64, 1, slow_caller, &s);
    assert_int_equal(s.by[0] + s.by[1], 64);
    assert_in_range(s.by[0], 0, 4);
    pool_free(p);
}

static void add_items(void *ctx, int worker, size_t lo, size_t hi)
{
    uint64_t *sum = ctx;

    (void)worker;
    for (size_t i = lo; i < hi; i++)
        sum[i] += i;
}

static void tiny_loops(int n_thread, int n_loop)
{
    struct pool *p = make(n_thread, 0);
    uint64_t sum[8] = {0}, t = clock_ns();

    for (int i = 0; i < n_loop; i++)
        pool_run(p, 8, 1, add_items, sum);
    t = clock_ns() - t;
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(sum[i], i * (uint64_t)n_loop);
    printf("%d loops on %d threads: %.2f us each\n", n_loop, n_thread,
           (double)t * 1e-3 / n_loop);
    assert_true(t < 60000000000u);
    pool_free(p);
}

static void test_tiny_loops(void **state)
{
    (void)state;
    tiny_loops(2, 100000);
    tiny_loops(8, SANITIZED ? 5000 : 20000);
}

/* Loops that begin when the workers have just gone to sleep, or are about to. */
static void test_loops_after_naps(void **state)
{
    struct pool *p = make(3, 0);
    static struct count c;

    (void)state;
    c.n_worker = 3;
    c.n = 99;
    c.grain = 1;
    for (int i = 0; i < 300; i++) {
        uint64_t until = clock_ns() + (uint64_t)(i % 60) * 2000;

        while (clock_ns() < until)
            continue;
        memset(c.seen, 0, sizeof(c.seen));
        pool_run(p, c.n, c.grain, count_items, &c);
        for (size_t k = 0; k < c.n; k++)
            assert_int_equal(c.seen[k], 1);
    }
    assert_int_equal(c.bad, 0);
    pool_free(p);
}

static void test_idle_sleeps(void **state)
{
    struct pool *p = make(4, 0);
    uint64_t sum[8] = {0}, cpu;

    (void)state;
    pool_run(p, 8, 1, add_items, sum);
    cpu = clock_cpu_ns();
    sleep_ms(200);
    cpu = clock_cpu_ns() - cpu;
    printf("200 ms idle: %.2f ms of CPU time\n", (double)cpu * 1e-6);
    assert_true(cpu < 50000000u);
    pool_free(p);
}

static void test_default_threads(void **state)
{
    cpu_set_t all, one;
    int n = pool_default_threads();
    struct pool *p = make(0, 0);

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    printf("%d CPUs allowed, %d threads by default\n", CPU_COUNT(&all), n);
    assert_in_range(n, 1, CPU_COUNT(&all));
    assert_int_equal(pool_size(p), n);
    pool_free(p);
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && CPU_COUNT(&one) == 0)
            CPU_SET(cpu, &one);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    n = pool_default_threads();
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    assert_int_equal(n, 1);
}

struct pins {
    _Atomic int arrived;
    cpu_set_t set[2];
};

static void note_cpu(void *ctx, int worker, size_t lo, size_t hi)
{
    struct pins *s = ctx;

    (void)lo;
    (void)hi;
    (void)sched_getaffinity(0, sizeof(s->set[worker]), &s->set[worker]);
    s->arrived++;
    while (s->arrived < 2) /* both workers must take one */
        sched_yield();
}

static void test_pins(void **state)
{
    cpu_set_t before, after;
    struct pins s = {0};
    struct pool *p;

    (void)state;
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    p = make(2, 1);
    pool_run(p, 2, 1, note_cpu, &s);
    pool_free(p);
    assert_int_equal(CPU_COUNT(&s.set[0]), 1);
    assert_int_equal(CPU_COUNT(&s.set[1]), 1);
    assert_int_equal(CPU_EQUAL(&s.set[0], &s.set[1]), CPU_COUNT(&before) == 1);
    assert_int_equal(sched_getaffinity(0, sizeof(after), &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
}

/* -- moving ------------------------------------------------------------------------------ */

struct aside {
    _Atomic int came;
    cpu_set_t at_first, at_last; /* of worker 1 */
};

/* Both workers come; then worker 1 is off its CPU for a while, as if another process had it. */
static void be_put_aside(void *ctx, int worker, size_t lo, size_t hi)
{
    struct aside *a = ctx;

    (void)lo;
    (void)hi;
    a->came++;
    while (a->came < 2)
        sched_yield();
    if (worker == 0)
        return;
    (void)sched_getaffinity(0, sizeof(a->at_first), &a->at_first);
    sleep_ms(50);
    (void)sched_getaffinity(0, sizeof(a->at_last), &a->at_last);
}

/* Runs the loop whose worker is put aside: how often it was moved, and whether it may use the
 * same CPUs after as before. */
static int fetched(int pin, int *as_before)
{
    struct pool *p = make(2, pin);
    struct aside a = {0};
    int n;

    pool_run(p, 2, 1, be_put_aside, &a);
    n = (int)pool_moved(p);
    printf("%s: moved %d times\n", pin ? "pinned" : "free", n);
    *as_before = CPU_EQUAL(&a.at_first, &a.at_last);
    pool_free(p);
    return n;
}

/* Who waits for a worker that does not run brings it to its own CPU, and leaves its choice of
 * CPUs as it was; pinned threads stay where they are. On a busy machine a free worker may look
 * at its CPUs just while it is moved: that is asked for once in a few tries. */
static void test_fetches(void **state)
{
    int as_before = 0;

    (void)state;
    if (pool_default_threads() < 2) {
        print_message("one CPU\n");
        skip();
    }
    assert_int_equal(fetched(1, &as_before), 0);
    assert_true(as_before);
    as_before = 0;
    for (int i = 0; i < 8 && !as_before; i++)
        assert_true(fetched(0, &as_before) > 0);
    assert_true(as_before);
}

struct crowd {
    _Atomic int came;
    int cpu;     /* of the caller */
    int n_there; /* how often worker 1 began on it */
};

/* Both workers come; worker 1 goes to the CPU of the caller, and may run anywhere then. */
static void crowd_in(void *ctx, int worker, size_t lo, size_t hi)
{
    struct crowd *c = ctx;
    cpu_set_t all, one;

    (void)lo;
    (void)hi;
    if (worker == 1)
        c->n_there += sched_getcpu() == c->cpu;
    c->came++;
    while (c->came < 2)
        sched_yield();
    if (worker == 0)
        return;
    CPU_ZERO(&one);
    CPU_SET((size_t)c->cpu, &one);
    (void)sched_getaffinity(0, sizeof(all), &all);
    (void)sched_setaffinity(0, sizeof(one), &one);
    (void)sched_setaffinity(0, sizeof(all), &all);
}

/* How many of LOOPS loops worker 1 began on the CPU of the caller, to which it went in the one
 * before. */
enum { LOOPS = 200 };

static int crowded(void)
{
    struct pool *p = make(2, 0);
    cpu_set_t all, one;
    struct crowd c = {.cpu = sched_getcpu()};

    assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t)c.cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    for (int i = 0; i < LOOPS; i++) {
        c.came = 0;
        pool_run(p, 2, 1, crowd_in, &c);
    }
    assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
    printf("began on the caller's CPU in %d of %d loops\n", c.n_there, LOOPS);
    pool_free(p);
    return c.n_there;
}

/* A worker that finds itself on the CPU of the caller leaves it before it begins. The system
 * may bring it back between, the oftener the busier the machine is, so there are a few tries;
 * a worker that never leaves is there in every loop of each. */
static void test_leaves(void **state)
{
    int n = LOOPS;

    (void)state;
    if (pool_default_threads() < 2) {
        print_message("one CPU\n");
        skip();
    }
    for (int i = 0; i < 5 && n >= LOOPS / 4; i++)
        n = crowded();
    assert_true(n < LOOPS / 4);
}

static void test_refusals(void **state)
{
    struct pool_options opt = {.n_thread = -1};
    struct pool *p = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(pool_new(&p, &opt, &e), E_INVALID);
    opt.n_thread = POOL_THREADS_MAX + 1;
    assert_int_equal(pool_new(&p, &opt, &e), E_INVALID);
    opt.n_thread = 2;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        (void)mem_fail_at(nth, 0);
        assert_int_equal(pool_new(&p, &opt, &e), E_NOMEM);
        assert_int_equal(e.code, E_NOMEM);
    }
    (void)mem_fail_at(0, 0);
    assert_null(p);
    pool_free(NULL);
}

/* With no address space for their stacks, some threads start and then one does not. */
static void test_no_threads(void **state)
{
    struct pool_options opt = {.n_thread = POOL_THREADS_MAX};
    struct rlimit old, tight;
    struct pool *p = NULL;
    struct err e = {0};
    int rc;

    (void)state;
    if (SANITIZED) {
        print_message("no address space limit under a sanitizer\n");
        skip();
    }
    assert_int_equal(getrlimit(RLIMIT_AS, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)400 << 20;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    rc = pool_new(&p, &opt, &e);
    assert_int_equal(setrlimit(RLIMIT_AS, &old), 0);
    assert_int_equal(rc, E_IO);
    assert_null(p);
    printf("refused: %s\n", e.msg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_once),
        cmocka_unit_test(test_small_stays_home),
        cmocka_unit_test(test_steals_from_slow),
        cmocka_unit_test(test_steals_from_caller),
        cmocka_unit_test(test_tiny_loops),
        cmocka_unit_test(test_loops_after_naps),
        cmocka_unit_test(test_idle_sleeps),
        cmocka_unit_test(test_default_threads),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_fetches),
        cmocka_unit_test(test_leaves),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_no_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

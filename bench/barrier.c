/* barrier.c - what it costs to run a loop on all threads and to wait for them: an empty one,
 * of which a thread may find nothing left, and one in which every thread takes part. */
#include "bench.h"

#include "base/clock.h"
#include "sys/pool.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* A token of a model of 30 layers has about 300 loops: at 2 microseconds, 0.6 ms of it. */
enum { GOAL_NS = 2000, LOOPS = 20000 };

struct meeting {
    atomic_int came;
    int n;
};

static void nothing(void *ctx, int worker, size_t lo, size_t hi)
{
    (void)ctx;
    (void)worker;
    (void)lo;
    (void)hi;
}

/* Holds every worker until all have come. */
static void meet(void *ctx, int worker, size_t lo, size_t hi)
{
    struct meeting *m = ctx;

    (void)worker;
    (void)lo;
    (void)hi;
    atomic_fetch_add(&m->came, 1);
    while (atomic_load(&m->came) < m->n)
        (void)0;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The median, not the best: a barrier waits for the slowest. */
static void report(const char *name, struct pool *p, pool_fn *fn)
{
    static double ns[LOOPS];
    struct meeting m = {.n = pool_size(p)};

    for (int i = 0; i < LOOPS; i++) {
        uint64_t start = clock_ns();

        atomic_store(&m.came, 0);
        pool_run(p, (size_t)m.n, 1, fn, &m);
        ns[i] = (double)(clock_ns() - start);
    }
    qsort(ns, LOOPS, sizeof(*ns), compare);
    (void)printf(
        "%-10s %-8s %2d threads  %8.0f ns    median; 90%% below %.0f, 99%% below %.0f; "
        "goal %d\n",
        "barrier", name, m.n, ns[LOOPS / 2], ns[LOOPS * 9 / 10], ns[LOOPS / 100 * 99], GOAL_NS);
}

void bench_barrier(struct bench *b)
{
    static int done; /* it is the same with every tier */
    struct pool *p = NULL;
    struct err e = {0};

    if (done++)
        return;
    if (pool_new(&p, &(struct pool_options){0}, &e) < 0) {
        (void)printf("%-10s %s\n", "barrier", e.msg);
        return;
    }
    if (bench_wants(b, "empty"))
        report("empty", p, nothing);
    if (bench_wants(b, "meet"))
        report("meet", p, meet);
    pool_free(p);
}

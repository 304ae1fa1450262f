/* pool.c - see pool.h.
 *
 * A loop is cut into pieces of `grain` items, numbered from 0. Each worker that takes part has
 * a share, the pieces [lo, hi), packed in one atomic word: its owner takes lo, thieves take
 * hi - 1, both by compare-and-swap. Shares only shrink, so whoever finds all of them empty in
 * one walk is done.
 *
 * Each worker thread has a state, which is also what it sleeps on:
 *
 *   state    what                          left by
 *   IDLE     spins for work                worker_sleep -> ASLEEP; pool_run -> POSTED
 *   ASLEEP   waits in the kernel           pool_run -> POSTED, and wakes it
 *   POSTED   may join the loop             worker_main -> RUNNING; worker_settle -> IDLE
 *   RUNNING  takes pieces                  worker_main -> IDLE; worker_settle -> WAITED
 *   WAITED   takes pieces, caller asleep   worker_main -> IDLE, and wakes the caller
 *   QUIT     ends                          -
 *
 * Invariants:
 * 1. The job and the shares change only while no worker is RUNNING or WAITED: pool_run returns
 *    when every worker it posted is IDLE or ASLEEP again.
 * 2. A worker that has not joined when the work is gone is called off (POSTED -> IDLE) and not
 *    waited for: a thread that the system does not run costs nothing.
 * 3. Posting releases the job to the worker; becoming IDLE releases its results to the caller.
 *
 * Another process may want a CPU too, and the system then puts a worker aside for milliseconds,
 * a thousand times what a loop takes. Three things keep that from stopping all of them:
 *
 *   between loops    it is called off, invariant 2
 *   within a piece   the caller has nothing left to do but to wait: it moves the worker to its
 *                    own CPU and sleeps (worker_fetch)
 *   and then         the two would stay on one CPU, and leave the other to the stranger: a
 *                    worker that joins where the caller is goes elsewhere first (worker_leave)
 *
 * Measured on 2 CPUs beside a process that computes on one of them, 2026-11, as a share of the
 * speed alone, of which 0.75 is fair: loops of 16 pieces of 30 us 0.50 without the moves (as
 * much as one thread has) and 0.67 to 0.77 with them; a Llama of 1.2 billion weights in Q4_K_M
 * 0.65 and 0.76 in prefill, 0.57 and 0.75 in decode.
 */
#include "sys/pool.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sys/cgroup.h"
#include "sys/thread.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define CPU_SETS      8       /* times 1024 CPUs: the most that Linux is built for */
#define SPIN_NS       40000   /* a decode step's serial part is shorter than this */
#define SPIN_SHARE_NS 1000    /* with more threads than CPUs, spinning takes time from work */
#define WAIT_NS       1000000 /* how often the caller looks whether a worker is put aside */
#define LINE          128     /* two cache lines: the prefetcher of x86 pulls them in pairs */

enum { IDLE, ASLEEP, POSTED, RUNNING, WAITED, QUIT };

struct worker {
    _Alignas(LINE) _Atomic uint32_t state;
    int index;
    struct pool *pool;
    pthread_t thread;
    _Alignas(LINE) _Atomic uint64_t share; /* lo in the upper half, hi in the lower */
};

struct pool {
    int n_worker;
    int n_thread; /* threads made: workers 1..n_thread */
    int pin, maker_pinned;
    int moves; /* 1: threads may be moved. Not pinned ones; nor where there are more than CPUs,
                * and all are put aside by turns */
    _Atomic uint64_t n_moved;
    uint64_t spin_ns;
    cpu_set_t cpus[CPU_SETS]; /* what the maker of the pool might use */
    /* The job; see invariant 1. */
    pool_fn *fn;
    void *ctx;
    size_t n, grain;
    _Atomic int cpu; /* where the caller was at its start */
    int n_active;    /* workers that have a share: 0..n_active-1 */
    struct worker *workers;
};

static void cpu_relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* At most ns; 0: until it is woken. */
static void futex_wait(_Atomic uint32_t *word, uint32_t value, long ns)
{
    struct timespec t = {0, ns};

    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, ns ? &t : NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Spins until the state is not `from`, or the time is up. Returns the state. */
static uint32_t state_spin(const struct worker *w, uint32_t from)
{
    uint64_t end = 0;

    for (;;) {
        uint64_t now;

        for (int i = 0; i < 32; i++) {
            uint32_t s = atomic_load_explicit(&w->state, memory_order_acquire);

            if (s != from)
                return s;
            cpu_relax();
        }
        now = clock_ns();
        end = end ? end : now + w->pool->spin_ns;
        if (now >= end)
            return from;
    }
}

static int state_move(struct worker *w, uint32_t from, uint32_t to)
{
    /* Acquire also when it fails: the worker may have finished just now. */
    return atomic_compare_exchange_strong_explicit(&w->state, &from, to, memory_order_acq_rel,
                                                   memory_order_acquire);
}

static uint64_t share_pack(uint64_t lo, uint64_t hi)
{
    return lo << 32 | hi;
}

/* Takes one piece of a share: the first for its owner, the last for a thief. 0: it is empty. */
static int share_take(struct worker *w, int thief, size_t *piece)
{
    uint64_t old = atomic_load_explicit(&w->share, memory_order_relaxed);

    for (;;) {
        uint64_t lo = old >> 32, hi = old & 0xffffffffu;
        uint64_t new = thief ? share_pack(lo, hi - 1) : share_pack(lo + 1, hi);

        if (lo >= hi)
            return 0;
        if (atomic_compare_exchange_weak_explicit(&w->share, &old, new, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            *piece = thief ? hi - 1 : lo;
            return 1;
        }
    }
}

static void run_piece(const struct pool *p, int worker, size_t piece)
{
    size_t lo = piece * p->grain, hi = p->n - lo < p->grain ? p->n : lo + p->grain;

    p->fn(p->ctx, worker, lo, hi);
}

/* Runs the own share, then what is left of the others', until all is taken. */
static void run_pieces(struct pool *p, int me)
{
    size_t piece;

    while (share_take(&p->workers[me], 0, &piece))
        run_piece(p, me, piece);
    for (int k = 1; k < p->n_active; k++) {
        struct worker *victim = &p->workers[(me + k) % p->n_active];

        while (share_take(victim, 1, &piece))
            run_piece(p, me, piece);
    }
}

static void worker_pin(const struct pool *p, int index)
{
    cpu_set_t one[CPU_SETS];
    int n = CPU_COUNT_S(sizeof(p->cpus), p->cpus), want = n ? index % n : 0;

    CPU_ZERO_S(sizeof(one), one);
    for (int cpu = 0; cpu < CPU_SETS * CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET_S((size_t)cpu, sizeof(p->cpus), p->cpus) || want-- > 0)
            continue;
        CPU_SET_S((size_t)cpu, sizeof(one), one);
        break;
    }
    /* A refusal leaves the thread where the system likes it: slower, not wrong. */
    (void)sched_setaffinity(0, sizeof(one), one);
}

/* -- moving workers ---------------------------------------------------------------------- */

/* Lets a thread run on the given ones of the CPUs that it may use, then on all of these again:
 * it stays where that has moved it. A refusal moves nothing. */
static void worker_move(struct worker *w, int cpu, int away)
{
    cpu_set_t home[CPU_SETS], some[CPU_SETS];

    if (cpu < 0 || cpu >= CPU_SETS * CPU_SETSIZE ||
        pthread_getaffinity_np(w->thread, sizeof(home), home) != 0 ||
        !CPU_ISSET_S((size_t)cpu, sizeof(home), home))
        return;
    if (away) {
        memcpy(some, home, sizeof(some));
        CPU_CLR_S((size_t)cpu, sizeof(some), some);
    } else {
        CPU_ZERO_S(sizeof(some), some);
        CPU_SET_S((size_t)cpu, sizeof(some), some);
    }
    if (pthread_setaffinity_np(w->thread, sizeof(some), some) != 0)
        return;
    (void)pthread_setaffinity_np(w->thread, sizeof(home), home);
    atomic_fetch_add_explicit(&w->pool->n_moved, 1, memory_order_relaxed);
}

/* Has the system put the thread aside? Its CPU time stands still then. */
static int worker_aside(const struct worker *w)
{
    clockid_t clock;
    uint64_t before;

    if (pthread_getcpuclockid(w->thread, &clock) != 0)
        return 0;
    before = clock_read(clock);
    for (int i = 0; i < 64; i++)
        cpu_relax();
    return clock_read(clock) == before;
}

/* Brings a worker that is put aside to the CPU of this thread, which is about to sleep. */
static void worker_fetch(struct worker *w)
{
    if (w->pool->moves && worker_aside(w))
        worker_move(w, sched_getcpu(), 0);
}

/* Leaves the CPU of the caller. */
static void worker_leave(struct worker *w)
{
    int cpu = atomic_load_explicit(&w->pool->cpu, memory_order_relaxed);

    if (w->pool->moves && cpu == sched_getcpu())
        worker_move(w, cpu, 1);
}

/* -- workers ----------------------------------------------------------------------------- */

/* Waits in the kernel until there is something to do. */
static void worker_sleep(struct worker *w)
{
    if (!state_move(w, IDLE, ASLEEP))
        return;
    while (atomic_load_explicit(&w->state, memory_order_acquire) == ASLEEP)
        futex_wait(&w->state, ASLEEP, 0);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    if (w->pool->pin)
        worker_pin(w->pool, w->index);
    for (;;) {
        uint32_t s = state_spin(w, IDLE);

        if (s == QUIT)
            return NULL;
        if (s == IDLE)
            worker_sleep(w);
        if (s == POSTED)
            worker_leave(w); /* before it joins, so that nobody waits for that */
        if (s != POSTED || !state_move(w, POSTED, RUNNING))
            continue;
        run_pieces(w->pool, w->index);
        if (atomic_exchange_explicit(&w->state, IDLE, memory_order_acq_rel) == WAITED)
            futex_wake(&w->state);
    }
}

static void worker_post(struct worker *w, uint32_t state)
{
    if (atomic_exchange_explicit(&w->state, state, memory_order_acq_rel) == ASLEEP)
        futex_wake(&w->state);
}

/* Calls a worker off, or waits until it has finished the piece that it is in. */
static void worker_settle(struct worker *w)
{
    if (state_move(w, POSTED, IDLE))
        return;
    if (state_spin(w, RUNNING) != RUNNING || !state_move(w, RUNNING, WAITED))
        return;
    while (atomic_load_explicit(&w->state, memory_order_acquire) == WAITED) {
        worker_fetch(w);
        futex_wait(&w->state, WAITED, w->pool->moves ? WAIT_NS : 0);
    }
}

void pool_run(struct pool *p, size_t n, size_t grain, pool_fn *fn, void *ctx)
{
    size_t n_piece;

    grain = grain ? grain : 1;
    if (n <= grain) {
        if (n)
            fn(ctx, 0, 0, n);
        return;
    }
    n_piece = (n - 1) / grain + 1;
    atomic_store_explicit(&p->cpu, sched_getcpu(), memory_order_relaxed);
    p->fn = fn;
    p->ctx = ctx;
    p->n = n;
    p->grain = grain;
    p->n_active = n_piece < (size_t)p->n_worker ? (int)n_piece : p->n_worker;
    for (int i = 0; i < p->n_active; i++) {
        size_t k = (size_t)p->n_active, lo = n_piece * (size_t)i / k;
        size_t hi = n_piece * ((size_t)i + 1) / k;

        atomic_store_explicit(&p->workers[i].share, share_pack(lo, hi), memory_order_relaxed);
    }
    for (int i = 1; i < p->n_active; i++)
        worker_post(&p->workers[i], POSTED);
    run_pieces(p, 0);
    for (int i = 1; i < p->n_active; i++)
        worker_settle(&p->workers[i]);
}

/* The CPUs of this thread's mask; the set is empty and the answer 1 when it is not known. */
static int cpus_allowed(cpu_set_t *set, size_t size)
{
    CPU_ZERO_S(size, set);
    if (sched_getaffinity(0, size, set) < 0)
        CPU_ZERO_S(size, set);
    return CPU_COUNT_S(size, set) > 0 ? CPU_COUNT_S(size, set) : 1;
}

int pool_default_threads(void)
{
    cpu_set_t set[CPU_SETS];
    int n = cpus_allowed(set, sizeof(set)), quota = cgroup_cpus(NULL, NULL);

    n = n < POOL_THREADS_MAX ? n : POOL_THREADS_MAX;
    return quota > 0 && quota < n ? quota : n;
}

/* Workers leave signals to the program's own threads. */
static int pool_start(struct pool *p, struct err *e)
{
    int rc = 0;

    while (p->n_thread < p->n_worker - 1) {
        struct worker *w = &p->workers[p->n_thread + 1];

        rc = thread_start(&w->thread, worker_main, w);
        if (rc != 0) {
            rc = err_sys(e, E_IO, rc, "thread %d of %d", p->n_thread + 1, p->n_worker - 1);
            break;
        }
        p->n_thread++;
    }
    return rc;
}

int pool_new(struct pool **out, const struct pool_options *opt, struct err *e)
{
    int n = opt->n_thread, n_cpu = pool_default_threads(), rc;
    struct pool *p;

    if (n < 0 || n > POOL_THREADS_MAX)
        return err_set(e, E_INVALID, "%d threads: 1 to %d, or 0 for all CPUs", n,
                       POOL_THREADS_MAX);
    n = n ? n : n_cpu;
    p = mem_calloc(1, sizeof(*p));
    if (!p)
        return err_set(e, E_NOMEM, "pool of %d threads", n);
    p->n_worker = n;
    p->pin = opt->pin;
    p->spin_ns = n > n_cpu ? SPIN_SHARE_NS : SPIN_NS;
    p->moves = n <= n_cpu && !p->pin;
    (void)cpus_allowed(p->cpus, sizeof(p->cpus));
    p->workers = mem_aligned((size_t)n * sizeof(*p->workers), LINE);
    if (!p->workers) {
        mem_free(p);
        return err_set(e, E_NOMEM, "pool of %d threads", n);
    }
    memset(p->workers, 0, (size_t)n * sizeof(*p->workers));
    for (int i = 0; i < n; i++) {
        p->workers[i].index = i;
        p->workers[i].pool = p;
    }
    rc = pool_start(p, e);
    if (rc < 0) {
        pool_free(p);
        return rc;
    }
    if (p->pin) {
        worker_pin(p, 0);
        p->maker_pinned = 1;
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    for (int i = 1; i <= p->n_thread; i++)
        worker_post(&p->workers[i], QUIT);
    for (int i = 1; i <= p->n_thread; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    if (p->maker_pinned && CPU_COUNT_S(sizeof(p->cpus), p->cpus) > 0)
        (void)sched_setaffinity(0, sizeof(p->cpus), p->cpus);
    mem_free(p->workers);
    mem_free(p);
}

int pool_size(const struct pool *p)
{
    return p->n_worker;
}

uint64_t pool_moved(const struct pool *p)
{
    return atomic_load_explicit(&p->n_moved, memory_order_relaxed);
}

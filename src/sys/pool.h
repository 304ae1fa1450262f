/* pool.h - the compute pool: a few threads that run one loop together.
 *
 * pool_run() splits [0, n) over the workers, the caller being one of them, and returns when
 * all of it is done. Each worker takes pieces from the front of its own contiguous share and,
 * when that is empty, steals from the back of another's: a thread that the system has put
 * aside costs its current piece only, and is moved to the CPU of the caller, who waits for it.
 * Between loops workers spin for some microseconds, then sleep, so that an idle model uses no
 * CPU.
 *
 * Threads  one thread at a time may call pool_run(); loops do not nest. What the caller wrote
 *          before is seen by the workers, what they wrote is seen by the caller after.
 */
#ifndef HEARTH_SYS_POOL_H
#define HEARTH_SYS_POOL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct pool;

struct pool_options {
    int n_thread; /* workers in all, the caller included; 0: as many as the machine allows */
    int pin;      /* 1: worker i stays on the i-th CPU that the maker of the pool may use;
                   * worker 0 is its maker then, who is set free by pool_free() */
};

#define POOL_THREADS_MAX 256

/* Fails: E_INVALID n_thread out of range; E_NOMEM; E_IO threads cannot be made. */
MUST_CHECK int pool_new(struct pool **out, const struct pool_options *opt, struct err *e);
void pool_free(struct pool *p); /* NULL is fine */
int pool_size(const struct pool *p);

/* How often a worker was moved between the CPUs that it may use, because another process had
 * the one that it was on. Any thread. */
uint64_t pool_moved(const struct pool *p);

/* How many threads make sense here: CPUs of the affinity mask, bounded by the cgroup quota. */
int pool_default_threads(void);

/* Runs items [lo, hi) as worker number `worker`, 0 <= worker < pool_size. */
typedef void pool_fn(void *ctx, int worker, size_t lo, size_t hi);

/* Calls fn for all of [0, n), n < 2^31, in pieces of at most grain items: each
 * begins at a multiple of grain and does not pass the next. Small loops
 * (n <= grain) run in the caller without waking anyone. Allocates nothing. */
void pool_run(struct pool *p, size_t n, size_t grain, pool_fn *fn, void *ctx);

#endif

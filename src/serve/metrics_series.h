/* metrics_series.h - what metrics.c keeps and metrics_text.c writes: a series for each metric
 * and set of labels.
 *
 * Invariants
 *   - A series is found and made under `lock`; once made, its numbers are changed by atomic
 *     additions, by whoever holds the lock for reading.
 *   - A series goes away under the lock for writing only (metrics_forget).
 */
#ifndef HEARTH_SERVE_METRICS_SERIES_H
#define HEARTH_SERVE_METRICS_SERIES_H

#include "serve/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { METRICS_SLOTS = 1024, METRICS_SERIES_MAX = 8192 };

struct metrics_series {
    struct metrics_series *next;  /* of its slot */
    struct metrics_series *after; /* of its metric, as they were made */
    uint64_t hash;
    enum metric id;
    char *model, *route, *what; /* NULL: none */
    _Atomic uint64_t bits;      /* a double: the value; of a histogram the sum */
    _Atomic uint64_t n[]; /* of a histogram: in each bucket, the last one's bound is infinity */
};

struct metrics {
    pthread_rwlock_t lock;
    struct metrics_series *slot[METRICS_SLOTS];
    struct metrics_series *first[METRIC_N], *last[METRIC_N];
    size_t n_series;
    time_t start_time;
};

/* Brings the metrics of the process up to date. */
void metrics_process(struct metrics *m);

static inline double metrics_value(uint64_t bits)
{
    double v;

    memcpy(&v, &bits, sizeof(v));
    return v;
}

#endif

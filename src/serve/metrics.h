/* metrics.h - what the server counts, in Prometheus' text format.
 *
 * A metric is a row of a table (metrics.c): name, kind, help, buckets. Its labels are the model
 * and the route, from known sets only: whoever asks for a model that does not exist makes no
 * new series. Adding to a metric is a few atomic additions.
 *
 * Threads  any
 * Uses     base/
 */
#ifndef HEARTH_SERVE_METRICS_H
#define HEARTH_SERVE_METRICS_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

/* clang-format off */
/* id, kind, name, buckets, what the third label is called, help */
#define METRICS_TABLE(X) \
    X(REQUESTS,      COUNTER,   "hearth_requests_total", NONE, "status", "requests, by HTTP status") \
    X(ERRORS,        COUNTER,   "hearth_errors_total", NONE, "class", "requests that failed, by class") \
    X(QUEUE,         HISTOGRAM, "hearth_queue_seconds", SECONDS, "", "from a request to its start") \
    X(TTFT,          HISTOGRAM, "hearth_time_to_first_token_seconds", SECONDS, "", "from a request to its first token") \
    X(ITL,           HISTOGRAM, "hearth_inter_token_seconds", SECONDS, "", "between two tokens of an answer") \
    X(DURATION,      HISTOGRAM, "hearth_request_seconds", SECONDS, "", "from a request to its end") \
    X(PROMPT,        HISTOGRAM, "hearth_prompt_tokens", TOKENS, "", "tokens of prompts") \
    X(OUTPUT,        HISTOGRAM, "hearth_output_tokens", TOKENS, "", "tokens of answers") \
    X(PROMPT_TOKENS, COUNTER,   "hearth_prompt_tokens_total", NONE, "", "tokens of prompts that were computed") \
    X(CACHED_TOKENS, COUNTER,   "hearth_cached_tokens_total", NONE, "", "tokens of prompts that were taken from the cache") \
    X(OUTPUT_TOKENS, COUNTER,   "hearth_output_tokens_total", NONE, "", "tokens of answers") \
    X(DRAFTED,       COUNTER,   "hearth_drafted_tokens_total", NONE, "", "tokens guessed ahead") \
    X(ACCEPTED,      COUNTER,   "hearth_accepted_tokens_total", NONE, "", "guesses that came true") \
    X(PREEMPTED,     COUNTER,   "hearth_preemptions_total", NONE, "", "running texts put back for others") \
    X(LOADS,         COUNTER,   "hearth_model_loads_total", NONE, "", "models loaded") \
    X(EVICTIONS,     COUNTER,   "hearth_model_evictions_total", NONE, "", "models unloaded for the room of others") \
    X(LOAD_TIME,     HISTOGRAM, "hearth_model_load_seconds", SECONDS, "", "how long loading took") \
    X(BATCH,         HISTOGRAM, "hearth_batch_texts", COUNT, "", "texts computed together in a step") \
    X(RUNNING,       GAUGE,     "hearth_requests_running", NONE, "", "texts under way") \
    X(WAITING,       GAUGE,     "hearth_requests_waiting", NONE, "", "requests in the queue") \
    X(KV_PAGES,      GAUGE,     "hearth_kv_pages", NONE, "", "pages of the key/value cache") \
    X(KV_USED,       GAUGE,     "hearth_kv_pages_used", NONE, "", "pages in use") \
    X(KV_CACHED,     GAUGE,     "hearth_kv_pages_cached", NONE, "", "pages kept for later") \
    X(MODEL_BYTES,   GAUGE,     "hearth_model_bytes", NONE, "", "memory of a loaded model") \
    X(CONNECTIONS,   GAUGE,     "hearth_connections", NONE, "", "open connections") \
    X(RELOAD_FAILED, COUNTER,   "hearth_config_reload_failed_total", NONE, "", "configurations that were not taken") \
    X(BUILD,         GAUGE,     "hearth_build_info", NONE, "version", "1; the version of the program as a label") \
    X(START_TIME,    GAUGE,     "process_start_time_seconds", NONE, "", "when the process began, in seconds since 1970") \
    X(CPU,           COUNTER,   "process_cpu_seconds_total", NONE, "", "processor time of the process") \
    X(RSS,           GAUGE,     "process_resident_memory_bytes", NONE, "", "memory that the process holds, mapped model files included") \
    X(FDS,           GAUGE,     "process_open_fds", NONE, "", "open file descriptors") \
    X(FDS_MAX,       GAUGE,     "process_max_fds", NONE, "", "file descriptors that it may open")
/* clang-format on */

enum metric {
#define X(id, kind, name, buckets, what, help) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_N
};

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM };

struct metrics_row {
    const char *name, *what, *help; /* what: name of the third label; "": it has none */
    int kind;                       /* enum metrics_kind */
    const double *bound;            /* of buckets, rising; none is infinite */
    int n_bound;
};

extern const struct metrics_row metrics_table[METRIC_N];

struct metrics;

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8" /* of metrics_text */

MUST_CHECK int metrics_new(struct metrics **out, struct err *e);
void metrics_free(struct metrics *m);

/* Adds to a counter, sets a gauge, or puts a value into a histogram. model: a model that
 * exists, NULL: none; route: a literal, NULL: none; what: a third label's value, a literal or
 * of a small set (the HTTP status, the class of an error), NULL: none. Past a number of series
 * that no server needs, new ones go into one with the model "other". What is no number, and
 * what would make a counter less, is left out. */
void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                 const char *what, double value);
/* The series of a model that is gone for good. */
void metrics_forget(struct metrics *m, const char *model);

/* Sets a counter that somebody else counts. */
void metrics_set(struct metrics *m, enum metric id, const char *model, const char *what,
                 double value);

/* Appends all series, those of the process brought up to date. Fails: E_NOMEM; E_TOO_LONG. */
MUST_CHECK int metrics_text(struct metrics *m, struct buf *out);

#endif

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
#define METRICS_TABLE(X) /* id, kind, name, buckets, help */                                        \
    X(REQUESTS,      COUNTER,   "hearth_requests_total", NONE, "requests, by HTTP status")       \
    X(ERRORS,        COUNTER,   "hearth_errors_total", NONE, "requests that failed, by class")   \
    X(QUEUE,         HISTOGRAM, "hearth_queue_seconds", SECONDS, "from a request to its start")  \
    X(TTFT,          HISTOGRAM, "hearth_time_to_first_token_seconds", SECONDS, "from a request to its first token") \
    X(ITL,           HISTOGRAM, "hearth_inter_token_seconds", SECONDS, "between two tokens of an answer") \
    X(DURATION,      HISTOGRAM, "hearth_request_seconds", SECONDS, "from a request to its end")  \
    X(PROMPT,        HISTOGRAM, "hearth_prompt_tokens", TOKENS, "tokens of prompts")             \
    X(OUTPUT,        HISTOGRAM, "hearth_output_tokens", TOKENS, "tokens of answers")             \
    X(PROMPT_TOKENS, COUNTER,   "hearth_prompt_tokens_total", NONE, "tokens of prompts that were computed") \
    X(CACHED_TOKENS, COUNTER,   "hearth_cached_tokens_total", NONE, "tokens of prompts that were taken from the cache") \
    X(OUTPUT_TOKENS, COUNTER,   "hearth_output_tokens_total", NONE, "tokens of answers")         \
    X(DRAFTED,       COUNTER,   "hearth_drafted_tokens_total", NONE, "tokens guessed ahead")     \
    X(ACCEPTED,      COUNTER,   "hearth_accepted_tokens_total", NONE, "guesses that came true")  \
    X(PREEMPTED,     COUNTER,   "hearth_preemptions_total", NONE, "running texts put back for others") \
    X(LOADS,         COUNTER,   "hearth_model_loads_total", NONE, "models loaded")               \
    X(EVICTIONS,     COUNTER,   "hearth_model_evictions_total", NONE, "models unloaded for the room of others") \
    X(LOAD_TIME,     HISTOGRAM, "hearth_model_load_seconds", SECONDS, "how long loading took")   \
    X(BATCH,         HISTOGRAM, "hearth_batch_texts", COUNT, "texts computed together in a step") \
    X(RUNNING,       GAUGE,     "hearth_requests_running", NONE, "texts under way")              \
    X(WAITING,       GAUGE,     "hearth_requests_waiting", NONE, "requests in the queue")        \
    X(KV_PAGES,      GAUGE,     "hearth_kv_pages", NONE, "pages of the key/value cache")         \
    X(KV_USED,       GAUGE,     "hearth_kv_pages_used", NONE, "pages in use")                    \
    X(KV_CACHED,     GAUGE,     "hearth_kv_pages_cached", NONE, "pages kept for later")          \
    X(MODEL_BYTES,   GAUGE,     "hearth_model_bytes", NONE, "memory of a loaded model")          \
    X(CONNECTIONS,   GAUGE,     "hearth_connections", NONE, "open connections")                  \
    X(RELOAD_FAILED, COUNTER,   "hearth_config_reload_failed_total", NONE, "configurations that were not taken")
/* clang-format on */

enum metric {
#define X(id, kind, name, buckets, help) METRIC_##id,
    METRICS_TABLE(X)
#undef X
        METRIC_N
};

struct metrics;

MUST_CHECK int metrics_new(struct metrics **out, struct err *e);
void metrics_free(struct metrics *m);

/* Adds to a counter, sets a gauge, or puts a value into a histogram. model: a model that
 * exists, NULL: none; route: a literal, NULL: none; what: a third label's value, a literal or
 * of a small set (the HTTP status, the class of an error), NULL: none. */
void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                 const char *what, double value);
/* The series of a model that is gone for good. */
void metrics_forget(struct metrics *m, const char *model);

/* Appends all series. Fails: E_NOMEM. */
MUST_CHECK int metrics_text(struct metrics *m, struct buf *out);

#endif

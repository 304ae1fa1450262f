/* sched.h - many texts at once on one engine: who is computed in which step.
 *
 * A job is a prompt and what is to be done with it: text, or a pooled embedding. Jobs wait in a
 * queue until pages for their prompt can be had, are computed together with all others in each
 * step, and end with exactly one DONE or ERROR event.
 *
 * Steps    tokens of running texts go first, one (or some guesses) each; what is left of the
 *          step's budget goes to prompts. The budget follows the measured time of steps, so
 *          that a long prompt makes no step longer than twice what it takes without one
 * Order    by priority, then by who had least of late (share: an id, of a key or a client),
 *          then by arrival. A job that begins like one whose prompt is being computed waits for
 *          it and takes over its pages
 * Pages    are taken as texts grow. When there are none, the job of the lowest priority that
 *          came last gives up its own and is computed again later, from its text: what it has
 *          said is not said twice, and its random numbers go on where they were
 * Result   the tokens of a job depend on nothing but its own request: not on the others, on
 *          the order, on what was cached, on preemption, or on guessing ahead (greedy: the same
 *          tokens; else: the same distribution)
 *
 * Threads  sched_run is the engine's thread, which calls sinks and guides; all else: any thread
 * Uses     infer/engine.h
 */
#ifndef HEARTH_INFER_SCHED_H
#define HEARTH_INFER_SCHED_H

#include "base/err.h"
#include "infer/sampler.h"

#include "hearth.h"

#include <stdint.h>

struct sched;
struct sched_job;

struct sched_options {
    int n_queue;     /* most jobs waiting, `more` ones not counted; 0: 512 */
    int n_running;   /* most at once; 0: the engine's n_seq_max */
    int n_lookup;    /* tokens guessed ahead from the text itself, where that pays: at most 16;
                        0: none. Engines made with n_draft guess by the model's own heads */
    float gap_ratio; /* how much longer than without prompts a step may take; 0: 2 */
    struct hearth_engine *draft; /* guesses ahead with a small model; NULL: none. Owned by the
                                    caller, used by sched_run's thread only */
    /* The engine cannot go on after `why`. Called by sched_run's thread before its jobs end
     * with that, so that who is told finds the model gone. NULL: nobody wants to know. */
    void (*broken)(void *ctx, const struct err *why);
    void *ctx;
};

/* The engine is the scheduler's until sched_free; borrowed. Fails: E_UNSUPPORTED the draft
 * model has another vocabulary; E_NOMEM. */
MUST_CHECK int sched_new(struct sched **out, struct hearth_engine *en,
                         const struct sched_options *opt, struct err *e);
/* sched_run must have returned, or never have been called; all jobs have ended. */
void sched_free(struct sched *s);

/* Computes until sched_stop; then every job that is left ends with E_CANCELLED. Returns 0, or
 * what the engine cannot go on after; then all jobs have ended with it. */
MUST_CHECK int sched_run(struct sched *s, struct err *e);
void sched_stop(struct sched *s);

enum { SCHED_MORE = 4096, SCHED_MORE_EMBED = 1024 };
enum { SCHED_MUST = 2 };
enum sched_want { SCHED_TEXT, SCHED_EMBED };

struct sched_request {
    int want; /* enum sched_want */
    const int32_t *ids;
    size_t n;
    /* Of texts. */
    struct sampler_options sampling;
    const struct sampler_bias *bias; /* copied */
    size_t n_bias;
    const char *const *stop; /* copied; n_stop of at most 1024 bytes */
    int n_stop;
    int n_predict;    /* 0 or less: until n_ctx */
    int prompt_only;  /* 1: the prompt is computed and kept, nothing is written */
    uint64_t most_ns; /* so long after its first token it ends, once it has the end of a line;
                         0: never */
    int n_ctx;        /* most tokens of prompt and answer; 0: the engine's */
    int n_logprobs;   /* -1: none; 0: the chosen token's; n: and the n best ones' */
    int show_control; /* control tokens appear in the text */
    int ignore_eog;
    const struct hearth_guide *guide; /* copied; what ctx is stays alive until the job ended.
                                         Must be able to be used by sched_run's thread */
    const uint32_t *hidden;           /* as in hearth.h; stays alive until the job ended */
    int no_cache;
    int no_guess; /* no guessing ahead */
    /* Of all. */
    int more;             /* 1: another text of a request of which one was let in already; at
                           * most SCHED_MORE of these are there at once, and beside them
                           * SCHED_MORE_EMBED embeddings; SCHED_MUST: and none of that request is
                           * under way, which would let in this one when it ends: never refused */
    int priority;         /* higher first */
    uint64_t share;       /* whose job it is */
    uint64_t salt;        /* only jobs of one salt take over each other's pages */
    uint64_t deadline_ns; /* monotonic; begun later it ends with E_CANCELLED; 0: none */
};

enum sched_event_kind {
    SCHED_QUEUED,  /* n jobs are before it; when it changes, and not more often than each 100 ms
                    */
    SCHED_START,   /* n_reused tokens of the prompt were there */
    SCHED_PREFILL, /* n tokens of the prompt are done */
    SCHED_PIECE,  /* piece: a token and the text that is ready; id -1, the last one: the rest */
    SCHED_VECTOR, /* vector[n] */
    SCHED_DONE,   /* stats, stop: the index of the stop string that came, or -1 */
    SCHED_ERROR   /* err */
};

struct sched_event {
    int kind;
    int64_t n;
    int n_reused;
    const struct hearth_piece *piece;
    const float *vector;
    const struct hearth_stats *stats;
    int stop;
    uint64_t queue_ns; /* START, DONE */
    const struct err *err;
};

/* Returns 0: go on; 1: pause until sched_resume; negative: cancel. */
typedef int sched_sink(void *ctx, const struct sched_event *ev);

/* Copies the request. *out stays valid until sched_release. Fails (no event comes then): E_BUSY
 * the queue is full; E_TOO_LONG the prompt does not fit n_ctx or can never have the pages it
 * needs, with both numbers; E_INVALID; E_NOMEM. */
MUST_CHECK int sched_submit(struct sched *s, const struct sched_request *q, sched_sink *sink,
                            void *ctx, struct sched_job **out, struct err *e);
void sched_cancel(struct sched_job *j); /* ends with E_CANCELLED within a step */
void sched_resume(struct sched_job *j);
void sched_release(struct sched_job *j); /* after its last event, or within it */

struct sched_stats {
    int n_waiting, n_running, n_paused;
    int pages, pages_used, pages_cached;
    uint64_t steps, step_tokens, step_ns; /* since the start */
    uint64_t prompt_tokens, cached_tokens, output_tokens, drafted, accepted, preempted;
    uint64_t last_step_ns; /* when the last step ended, monotonic: for a watchdog; 0: idle */
    int last_step_rows;    /* texts in it */
};

void sched_stats(struct sched *s, struct sched_stats *out);

/* What each job is doing, for who lists them. */
struct sched_slot {
    uint64_t id; /* 1, 2, ... by arrival */
    int running, paused, priority;
    int n_prompt, n_prompt_done, n_output, n_ctx;
    uint64_t age_ns;
};

/* Calls visit for each job under the scheduler's lock: it must not call back. */
void sched_each(struct sched *s, void (*visit)(void *ctx, const struct sched_slot *slot),
                void *ctx);

#endif

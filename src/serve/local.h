/* local.h - the models of this machine as a provider: loaded on demand, kept for a while, let
 * go when others need the room.
 *
 * Names of the same file that are to be run in the same way share weights, cache and scheduler:
 * an engine. It goes with the last of its names.
 *
 * A name is looked up in the store (or is a path, where the configuration allows it). Its model
 * is loaded when it is first asked for, by a thread of its own, while others go on; then a
 * thread runs its scheduler (infer/sched.h). It stays for its keep_alive after the last
 * request. When the bytes of loaded models would pass the budget, idle ones leave: those of low
 * priority first, then the one used longest ago; pinned ones never. When that is not enough the
 * new one waits for busy ones, which leave after what they are answering (local_room.c).
 *
 * Conversations become tokens by text/chat.h, forms become grammars, and what is written is
 * taken apart by text/reply: all outside the engine's thread but the last.
 *
 * Threads  any
 * Uses     gate/, store/, infer/, text/, serve/
 */
#ifndef HEARTH_SERVE_LOCAL_H
#define HEARTH_SERVE_LOCAL_H

#include "base/buf.h"
#include "base/err.h"
#include "gate/provider.h"
#include "infer/sched.h"

#include <jansson.h>

struct config;
struct local;
struct metrics;
struct store;
struct store_model;

/* All are borrowed and outlive it. Fails: E_NOMEM. */
MUST_CHECK int local_new(struct local **out, const struct config *config, struct store *store,
                         struct metrics *metrics, struct err *e);
/* The server is about to end: what is loaded goes on, nothing more is loaded, and who waits for
 * that fails with E_BUSY. */
void local_quiesce(struct local *l);
/* Ends all requests with E_CANCELLED, unloads all. */
void local_free(struct local *l);
struct provider *local_provider(struct local *l);

/* The configuration has changed: keep-alive, budgets and queues take effect for what comes. */
void local_reload(struct local *l, const struct config *config);

enum local_state { LOCAL_LOADING, LOCAL_READY, LOCAL_LEAVING };

struct local_info {
    const char *name, *path, *digest;
    const char *engine; /* the name under which its engine was loaded, which others may share:
                         * one engine has one such name, and sums go by it */
    int state;          /* enum local_state */
    int pinned;
    double load_progress;
    uint64_t bytes; /* weights, cache in use, scratch */
    uint64_t weight_bytes, kv_bytes;
    int n_ctx, n_thread;
    uint64_t used_ns; /* when it was asked for last, of clock_ns; now, while it is in use */
    int64_t expires_at_ns; /* of CLOCK_REALTIME; GATE_KEEP_FOREVER */
    struct sched_stats sched;
};

/* Most tokens of a request that says nothing of it: as it is loaded; else as it will be, unless
 * its cache turns out to be too small for that. 0: not known. */
int local_context(struct local *l, const struct store_model *sm);

/* Calls visit for each loaded or loading model, longest-lived first, under a lock. */
void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                void *ctx);

/* The store has another model of that name now, or none any more: who asks from now on gets
 * that one. What is loaded stays if that can use it, else it goes when its requests have ended.
 */
void local_renewed(struct local *l, struct str name);

/* 1: the engine of some model has not ended a step for so long that it hangs; its name in *e.
 */
int local_hangs(struct local *l, struct err *e);

/* -- for those who speak of tokens; they load the model when they must, and wait for it  */

struct local_model; /* held: is not unloaded meanwhile */

MUST_CHECK int local_hold(struct local *l, struct str name, struct local_model **out,
                          struct err *e);
void local_let_go(struct local_model *m);

const struct tok *local_tok(const struct local_model *m); /* NULL: none */
const struct hearth_model *local_hearth(const struct local_model *m);
struct str local_template(const struct local_model *m); /* of its name, or of its file; n 0 */
const struct chat *local_chat(const struct local_model *m); /* NULL: no template */
void local_model_info(const struct local_model *m, struct local_info *out);
/* Visits its jobs, as sched_each. */
void local_slots(const struct local_model *m,
                 void (*visit)(void *ctx, const struct sched_slot *slot), void *ctx);

#endif

/* local_priv.h - the inside of local.h: models, calls, and how they pass between threads.
 *
 * A call goes through stages, each owned by one place:
 *
 *     QUEUED     in the queue of what is to be prepared
 *     PREPARING  a preparing thread has it: looks up the model, renders, tokenises, compiles
 *     WAITING    at a model that is being loaded (then QUEUED again)
 *     RUNNING    its jobs are the scheduler's; events come from the engine's thread
 *     ENDED      its last event was said
 *
 * Who takes the last share of a call (`n_live`: the preparing thread's own and one for each
 * job) says DONE or ERROR, so it is said once.
 *
 * A name (local_model) has its texts and an engine (local_engine): names of the same file that
 * are to be run in the same way share one. An engine has a thread of its own, which loads it,
 * runs its scheduler, and takes it down. A name stays while it has references, one of each call
 * and of each holder; an engine while it has names.
 *
 * Locks, in this order; a sink is called with `emit` only:
 *     call.emit    the sink, one at a time
 *     embed.turn   which input is next
 *     local.lock   models, queue, stages
 *     call.lock    jobs of the call
 *     local.door   which part of a party its scheduler has let in
 *     (the scheduler's own)
 *
 * Files    local.c the provider; local_model.c names and references; local_engine.c which names
 *          share an engine; local_room.c room for engines; local_load.c an engine's thread;
 *          local_call.c events and ends; local_prep.c from a request to jobs; local_prompt.c
 *          conversations and texts as ids; local_sample.c sampling; local_answer.c from a job's
 *          events to the request's; local_tokens.c which tokens a text has; local_pair.c texts
 *          that stand together; local_embed.c vectors and scores; local_look.c for who looks on
 */
#ifndef HEARTH_SERVE_LOCAL_PRIV_H
#define HEARTH_SERVE_LOCAL_PRIV_H

#include "serve/local.h"

#include "serve/config.h"
#include "serve/metrics.h"
#include "store/store.h"
#include "text/chat.h"
#include "text/guide.h"

#include "hearth.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    LOCAL_PREPARERS = 4,
    LOCAL_QUEUE = 512,   /* calls before their model's scheduler, when nothing else is said */
    LOCAL_PARALLEL = 16, /* texts at once */
    LOCAL_MORE = SCHED_MORE, /* further answers of requests, under way: so no scheduler ever
                              * refuses one */
    LOCAL_HOLDERS = 4, /* threads that may wait for models: others are to go on meanwhile */
    LOCAL_HANG_S = 60  /* a step that takes longer hangs */
};

/* How a model is to be run; its strings are its own. */
struct local_setup {
    int n_ctx; /* 0: by the model */
    int n_parallel, n_thread, lookup;
    int kv_k, kv_v; /* enum hearth_kv_type */
    uint64_t kv_bytes, kv_disk_bytes;
    char *pack_cache, *draft, *kv_disk; /* NULL: none */
};

/* Which files, by what the system knows of them; those of adapters and of a draft model, too.
 */
struct local_file {
    uint64_t device, node, size, time_ns;
};

/* What is loaded: its strings are its own. */
struct local_source {
    char *path, *draft; /* draft NULL: none */
    char **adapter;
    size_t n_adapter;
    uint64_t size;
    struct local_file *file; /* NULL: not to be found, so the same as no other */
    size_t n_file;
};

/* Loaded weights, their cache and their scheduler, for all names of the same files that are to
 * be run in the same way. Its thread makes it and takes it down; others may use what is made
 * while they hold a reference to one of its names, once `loaded` is 1 and `why` is none. */
struct local_engine {
    struct local_engine *next;
    struct local *l;
    char *name; /* of the model for which it was made: for logs, and for metrics */
    struct local_source source;
    struct local_setup setup;
    pthread_t thread;
    struct hearth_model *model, *draft_model;
    struct hearth_engine *engine, *draft;
    struct sched *sched;
    struct hearth_model_info info;
    struct hearth_engine_info size;
    int n_usual; /* tokens of a text of which nothing else is said; size.n_fit: at most */
    pthread_mutex_t vocab_lock;
    struct mask_vocab *vocab; /* made when first asked for */
    /* Under local.lock. */
    int state;  /* enum local_state; if not LOCAL_LEAVING, one of its names is not, either */
    int loaded; /* 1: loading is over; `why` says how it went */
    int gone;   /* its thread is about to end: join it */
    int refs, n_name;          /* of all its names */
    int running;               /* 1: sched_run is on */
    int waits;                 /* 1: for room, for `need` bytes in all */
    int settled;               /* 1: it has all the room that it needs, or will never have it */
    int stays;                 /* 1: is loaded to the end, though nobody waits for it */
    uint64_t number;           /* of loads, by their beginning */
    uint64_t used_ns, load_ns; /* when it was used, began to load */
    uint64_t bytes, need;      /* of the budget; and what it needs, as far as it knows */
    uint64_t preempted;        /* as the metrics know it */
    double progress;
    struct err why; /* why it could not be loaded; code 0: it could */
    struct local_call *waiting;
};

/* A name that is loaded, and what belongs to the name alone. */
struct local_model {
    struct local_model *next;
    struct local *l;
    struct local_engine *en; /* one for its whole life */
    struct store_model sm;
    /* Made when it is first used, under the lock. */
    pthread_mutex_t chat_lock;
    int chat_made;
    struct chat *chat;   /* NULL: there can be no conversation, */
    struct err chat_why; /* and why not */
    int plain;           /* 1: the chat is the fallback: the model has no template */
    uint32_t *hidden[2]; /* of conversations without and with tools */
    /* Under local.lock. */
    int leaving, refs, pinned, priority;
    int64_t keep_ns;
    uint64_t idle_ns; /* when it became idle */
    uint64_t sent_by; /* number of the load that it makes room for */
};

enum local_stage { STAGE_QUEUED, STAGE_PREPARING, STAGE_WAITING, STAGE_RUNNING, STAGE_ENDED };

struct local_answer;

struct local_call {
    struct local *l;
    struct local_call *next;            /* in the queue, or at a model */
    struct local_call *after, **before; /* among all */
    struct gate_request *q;
    gate_sink *sink;
    void *ctx;
    atomic_int refs; /* the client's and our own */
    atomic_int cancelled;
    atomic_uint resumes;
    uint64_t start_ns, wait_ns; /* when it came; when it began to wait for its model */
    const char *blamed;         /* the preparing thread's: what the error at hand is about */
    int stage, counted;         /* under local.lock; counted: it is one of n_before */
    int n_more;                 /* of l->n_more */
    struct local_model *m;      /* holds a reference; the preparing thread's, then fixed */
    /* Under emit. */
    pthread_mutex_t emit;
    int ended, started;
    struct gate_usage usage; /* the preparing thread's, from its first job on the engine's */
    /* Under lock. */
    pthread_mutex_t lock;
    int n_live;
    struct err failed; /* what it ends with; code 0: DONE */
    const char *param; /* the field that it is about, or NULL */
    struct sched_job **job;
    size_t n_job;
    /* Of texts: [n_choice]. */
    struct local_answer *answer;
    size_t n_answer;
    struct local_embed *embed; /* of vectors and scores */
};

struct local {
    struct provider provider;
    struct store *store;
    struct metrics *metrics;
    pthread_mutex_t lock, door;
    pthread_cond_t work;   /* the queue has something */
    pthread_cond_t change; /* anything else: models, calls */
    const struct config *config;
    struct local_model *models;
    struct local_engine *engines;
    struct local_call *calls;         /* all */
    struct local_call *first, **last; /* the queue */
    int n_before;    /* calls that are queued, being prepared, or waiting for a model */
    int n_more;      /* answers of calls under way, and of parts to come, beyond the first of
                      * each request */
    int n_holder;    /* threads that wait for a model */
    uint64_t n_load; /* loads so far */
    int draining;    /* 1: nothing is loaded any more */
    int stopping;
    uint64_t tell_ns; /* when the metrics hear of schedulers again */
    int pins;         /* 1: what is pinned is to be loaded */
    pthread_t preparer[LOCAL_PREPARERS], timer;
    int n_preparer, has_timer;
};

static inline void local_lock(struct local *l)
{
    (void)pthread_mutex_lock(&l->lock);
}

static inline void local_unlock(struct local *l)
{
    (void)pthread_mutex_unlock(&l->lock);
}

/* The name by which a model is known among the loaded ones. */
static inline const char *local_key(const struct store_model *sm)
{
    return sm->name[0] ? sm->name : sm->path;
}

static inline const char *local_name(const struct local_model *m)
{
    return local_key(&m->sm);
}

/* -- models (local_model.c) --------------------------------------------------------------- */

/* What a name means: a model of the store, or a path where these are allowed. The caller calls
 * store_model_done, also after a failure. Fails: E_NOT_FOUND, with the same words whether it is
 * not there or not allowed; as store_find. */
MUST_CHECK int local_resolve(struct local *l, struct str name, struct store_model *out,
                             struct err *e);

/* The model of that name, with a reference; it is being loaded if it was not. words: it is to
 * read or write text. Fails: as local_resolve; E_UNSUPPORTED it has no words; E_IO no thread;
 * E_CANCELLED the server ends. */
MUST_CHECK int local_take(struct local *l, struct str name, int words, struct local_model **out,
                          struct err *e);
/* Gives the reference back. keep_ns: how long it stays, from now on; GATE_KEEP_DEFAULT. */
void local_give(struct local_model *m, int64_t keep_ns);

/* Under the lock: it goes as soon as nobody refers to it, and its engine with the last name. */
void local_leave(struct local_model *m);
/* Under the lock: those of that name that make room for others will not come back, whatever
 * becomes of these. */
void local_stay_away(struct local *l, const char *name);
/* Under the lock: all names of an engine. */
void local_leave_all(struct local_engine *en);
/* Under the lock: a loaded or loading model of that name that is not leaving; NULL. */
struct local_model *local_loaded(struct local *l, const char *name);
/* Makes what a conversation needs of it, once, when its engine is loaded. Fails: E_NOMEM. */
MUST_CHECK int local_words(struct local_model *m, struct err *e);

/* When it goes by itself: of CLOCK_MONOTONIC; UINT64_MAX: not. Under the lock. */
uint64_t local_expiry(const struct local_model *m);
/* Under the lock: nobody refers to it, and its engine does without it. */
int local_is_over(const struct local_model *m);
void local_model_free(struct local_model *m);

/* Begins to load what the configuration pins. */
void local_pins(struct local *l);

/* -- engines (local_engine.c) ------------------------------------------------------------- */

/* What is to be loaded for a model. Fails: E_NOMEM. */
MUST_CHECK int local_source(struct local_source *out, const struct store_model *sm,
                            struct err *e);
void local_source_done(struct local_source *s);

/* Under the lock: the engine for such a source, run as the configuration says for that name:
 * one that is there, or a new one that begins to load. Takes *s over when it is a new one.
 * Fails: E_NOMEM; E_IO no thread. */
MUST_CHECK int local_engine_get(struct local *l, struct local_source *s,
                                const struct store_model *sm, struct local_engine **out,
                                struct err *e);
/* Under the lock: that would be this one. */
int local_engine_is_for(const struct local_engine *en, const struct local_source *s,
                        const struct store_model *sm);
/* Frees an engine whose thread was joined, or never began. */
void local_engine_free(struct local_engine *en);

/* Under the lock: no name has it any more, or is to have it: it goes when nobody refers to it.
 */
void local_engine_leave(struct local_engine *en);
/* Under the lock: of its names that are not leaving. */
int local_engine_pinned(const struct local_engine *en);
/* Under the lock: the highest of these; if all are leaving, of all. */
int local_engine_priority(const struct local_engine *en);

/* -- room (local_room.c) ------------------------------------------------------------------ */

/* Finds room for so many bytes of it in all, letting idle ones go and waiting for busy ones;
 * all: it needs no more. Returns 0; 1: what it was granted before is to be given back
 * (local_room_back), and it begins again. Fails: E_NOMEM there can be none: with what is in the
 * way and what to do; E_CANCELLED nobody wants it any more. */
MUST_CHECK int local_room(struct local_engine *en, uint64_t bytes, int all, struct err *e);
/* What was made of it is gone. */
void local_room_back(struct local_engine *en);
/* Under the lock: it was not loaded; those that make room for it need not. */
void local_room_lost(struct local_engine *en);
/* Under the lock, while it is loaded. Fails: E_CANCELLED nobody wants it, and nobody can from
 * now on; E_BUSY the server ends. */
MUST_CHECK int local_wanted(struct local_engine *en, struct err *e);

/* Bytes of one model's key/value cache, when nothing is configured. */
uint64_t local_kv_most(struct local *l);

/* -- an engine's thread (local_load.c) ---------------------------------------------------- */

void *local_engine_thread(void *engine);
/* The vocabulary for masks, made once. Fails: E_UNSUPPORTED no tokenizer; E_NOMEM. */
MUST_CHECK int local_vocab(struct local_engine *en, const struct mask_vocab **out,
                           struct err *e);

/* -- for who looks on (local_look.c) ------------------------------------------------------- */

/* Under the lock: the metrics hear what the scheduler says of itself; nothing before it runs.
 */
void local_tell(struct local_engine *en);
/* Under the lock: nothing is left of it that could be counted, but that it went, if it was sent
 * away. */
void local_tell_gone(const struct local_engine *en);

/* -- calls (local_call.c) -------------------------------------------------------------- */

/* Takes q over. NULL: no memory. */
struct local_call *local_call_new(struct local *l, struct gate_request *q, gate_sink *sink,
                                  void *ctx);
void local_call_unref(struct local_call *c);

/* Under the lock: to be prepared, or to be ended if it was cancelled or has failed. */
void local_enqueue(struct local_call *c);
/* Under the lock: it is no longer one of those before their scheduler. */
void local_begun(struct local_call *c);

/* Says an event. Returns GATE_MORE; GATE_PAUSE; GATE_STOP_NOW, and the call is being cancelled.
 */
int local_say(struct local_call *c, struct gate_event *ev);
/* Under the lock, of a call that waits at its model, whose place in the queue is *at: waits no
 * more. */
void local_wait_end(struct local_call **at);
/* Says START, if nobody has. */
int local_say_start(struct local_call *c);
void local_warn(struct local_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* It will end with this, unless it is to end with something else already; its jobs are stopped.
 */
void local_fail(struct local_call *c, const struct err *e);
/* As that; param: the client's name of the field that is wrong, or NULL. */
void local_fail_param(struct local_call *c, const struct err *e, const char *param);
void local_cancel(struct local_call *c);

/* How the client calls a field (enum gate_field). */
static inline const char *local_field(const struct local_call *c, int field)
{
    return c->q->field[field];
}

/* The error that preparing ends with is about that field. Returns rc. */
static inline int local_blame(struct local_call *c, int field, int rc)
{
    if (rc < 0 && !c->blamed)
        c->blamed = local_field(c, field);
    return rc;
}

/* Takes one share more; gives one back, and says the end when it was the last. */
void local_share(struct local_call *c);
void local_share_end(struct local_call *c);

/* Answers that are jobs of the scheduler all at once. */
static inline int local_n_text(const struct gate_request *q)
{
    int texts = q->kind == GATE_CHAT || q->kind == GATE_TEXT || q->kind == GATE_INFILL;

    return texts && q->n_choice > 1 ? q->n_choice : 1;
}

/* Room for n jobs. Fails: E_NOMEM. */
MUST_CHECK int local_jobs(struct local_call *c, size_t n);
/* Hands a job to the model's scheduler as the call's job i, unless the call was cancelled or
 * has failed: then E_CANCELLED. Takes a share for it. The first job of a request is let in or
 * not by the scheduler's queue; the others, those of other parts included, go with it. Fails:
 * as sched_submit. */
MUST_CHECK int local_submit(struct local_call *c, size_t i, const struct sched_request *r,
                            sched_sink *sink, void *ctx, struct err *e);
/* After the last event of job i: forgets it, and gives its share back. */
void local_job_ended(struct local_call *c, size_t i);

/* -- preparing (local_prep.c, local_prompt.c, local_sample.c, local_embed.c) ----------- */

/* One call, from the queue: to its end, to its model, or to its scheduler. */
void local_prepare(struct local_call *c);

/* The tokens of a request, and what its answer is. */
struct local_prompt {
    struct chat_prompt p; /* ids; of conversations: the text, and whether reasoning is open */
    const struct chat *chat; /* NULL: text is completed */
    struct chat *own;        /* of a template that came with the request */
    int with_tools;
    int dropped_messages;
    size_t dropped; /* tokens */
    json_t *messages;
};

void local_prompt_done(struct local_prompt *p);

/* Texts of the same salt share pages. */
uint64_t local_salt(const struct local_call *c);
/* Most tokens of prompt and answer: as asked, as far as the model and its cache go. */
int local_n_ctx(const struct local_call *c);
/* Warns of a request that asks for more than it can have. */
void local_warn_n_ctx(struct local_call *c);

/* Fails: E_TOO_LONG with both numbers; E_INVALID, E_UNSUPPORTED what cannot be done. */
MUST_CHECK int local_prompt_make(struct local_call *c, struct local_prompt *out, struct err *e);

/* Sampling, limits and stop strings: what the request says, else the model's parameters, else
 * the defaults. Arrays are in the request's memory. Fails: E_INVALID; E_NOMEM. */
MUST_CHECK int local_sample(struct local_call *c, struct sched_request *out, struct err *e);
/* Blames the number that the sampler's error is about, if the request gave it. Returns rc. */
int local_blame_sampling(struct local_call *c, int rc, const struct err *e);

/* -- texts that stand together (local_pair.c) ------------------------------------------ */

MUST_CHECK int local_put_ids(struct tok_ids *ids, const int32_t *id, size_t n); /* E_NOMEM */
/* Fails: E_INVALID one that the model has not, with the field's name in front. */
MUST_CHECK int local_check_ids(const struct local_call *c, const int32_t *id, size_t n,
                               struct err *e);
/* Leaves `room` of them: the beginning goes, but for a BOS. tok NULL: that, too. */
void local_cut_front(struct tok_ids *ids, size_t room, const struct tok *tok);

/* The prompt of a GATE_INFILL, in at most room tokens (SIZE_MAX: any number), *dropped less
 * than it would have. *left_out: 1: the model has no place for other files. Fails:
 * E_UNSUPPORTED the model has no marks for gaps; E_NOMEM. */
MUST_CHECK int local_gap(const struct gate_request *q, const struct tok *tok, size_t room,
                         struct tok_ids *ids, size_t *dropped, int *left_out, struct err *e);

/* A query and a document as a reranker wants them: by a template with {query} and {document} in
 * it, or (form.n 0) [CLS] query [SEP] document [SEP]. Fails: as tok_encode. */
MUST_CHECK int local_pair(const struct tok *tok, struct str form, struct str query,
                          struct str doc, struct tok_ids *ids, struct err *e);

/* Vectors and scores. */
MUST_CHECK int local_embed_start(struct local_call *c, struct err *e);
void local_embed_free(struct local_embed *em);

/* -- answers (local_answer.c, local_tokens.c) ------------------------------------------ */

/* Makes the answers of a call and hands their jobs over. Fails: as form_grammar, sched_submit;
 * some jobs may be under way. */
MUST_CHECK int local_answer_start(struct local_call *c, const struct local_prompt *p,
                                  const struct sched_request *r, struct err *e);
/* Also where there are none. They look into the model, so they go before it is given back. */
void local_answers_free(struct local_call *c);

/* Which tokens the text of events comes from: tokens go in with their bytes, text comes out
 * with the tokens that it is made of, cut between tokens only. */
struct local_tokens {
    int wanted;
    size_t n_top;
    struct gate_token *token; /* n of them, whose text lies at `at` of bytes */
    struct gate_token *top;   /* [n_top] for each */
    size_t *at;
    size_t n, cap;
    struct buf bytes; /* theirs */
    size_t pos;       /* so many of them were shown, or left out */
    struct buf text;  /* what is to be shown */
};

void local_tokens_init(struct local_tokens *t, int wanted, int n_top);
void local_tokens_done(struct local_tokens *t);
/* A token that was taken, and the bytes that it stands for. Fails: E_NOMEM. */
MUST_CHECK int local_tokens_put(struct local_tokens *t, const struct tok *tok,
                                const struct hearth_piece *p, struct str bytes);
/* Text that is to be shown. Fails: E_NOMEM. */
MUST_CHECK int local_tokens_text(struct local_tokens *t, struct str text);
/* What can be shown now (all: 1, all of it): text, with its tokens. */
size_t local_tokens_ready(struct local_tokens *t, int all, size_t *n_token);
/* Forgets what was shown. */
void local_tokens_shown(struct local_tokens *t, size_t n_text, size_t n_token);

#endif

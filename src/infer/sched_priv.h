/* sched_priv.h - what the files of the scheduler share.
 *
 *   sched.c        the face: submitting, cancelling, the loop of sched_run
 *   sched_job.c    a job's life: its copy of the request, its events, its end
 *   sched_queue.c  whose turn it is, room for it, giving up pages
 *   sched_step.c   what a step computes, and what becomes of its rows
 *   sched_cost.c   how long steps take, and so how much of a prompt fits one
 *   sched_guess.c  how many tokens are guessed ahead
 *   sched_draft.c  guesses by a small model
 *
 * States of a job, and who moves it:
 *
 *   NEW      in the inbox            take_in -> WAITING
 *   WAITING  may hold a parked text  sched_admit -> RUNNING
 *   RUNNING  has a place and pages   sched_park -> WAITING
 *   ENDED    its last event came     sched_release frees it, or has before
 *
 * Threads  `lock` guards what is marked; atomics are any thread's; the rest is sched_run's
 */
#ifndef HEARTH_INFER_SCHED_PRIV_H
#define HEARTH_INFER_SCHED_PRIV_H

#include "infer/embed.h"
#include "infer/gen.h"
#include "infer/sched.h"

#include <pthread.h>

enum {
    SCHED_QUEUE = 512,
    SCHED_TELL_NS = 100 * 1000000,
    SCHED_DECODE_MAX = 33, /* tokens that wait of a text that is being written: one is sampled,
                              others its guide was certain of */
    SCHED_SHARE_CREDIT = 32768 /* tokens that a share which worked less is ahead at most */
};

enum sched_state { SCHED_NEW, SCHED_WAITING, SCHED_RUNNING, SCHED_ENDED };

/* Whose work: tokens computed, lifted to the others' when it begins after a rest. */
struct sched_share {
    uint64_t id;
    double work;
    int n_job; /* 0: at rest */
};

/* Guesses of a text. */
struct sched_guess {
    float rate;          /* of guesses that come true, given that those before did */
    int wait, backoff;   /* steps without guesses since, and after which they are tried again */
    int n_draft, n_have; /* asked of the draft model; guessed by it */
    int32_t id[ENGINE_DRAFT_MAX];
};

struct sched_job {
    struct sched *s;
    struct sched_request q; /* its pointers lead into block, but for guide's ctx and hidden */
    void *block;
    struct hearth_guide guide;
    sched_sink *sink;
    void *ctx;
    uint64_t id, born_ns;
    int n_ctx;
    atomic_int cancel, resumed;
    /* Under lock. */
    struct sched_job *prev, *next; /* of all jobs */
    struct sched_job *inbox;       /* the one behind it there */
    int released, over;
    struct sched_slot slot;
    /* Of sched_run. */
    int state; /* enum sched_state */
    int begun; /* START came */
    int paused;
    int place; /* in the queue, as it was told; -1: not yet */
    uint64_t told_ns, start_ns, first_ns;
    struct sched_share *share;
    struct hearth_seq *seq; /* parked while WAITING; NULL: none yet */
    struct gen *gen;
    struct sched_guess guess;
    struct hearth_seq *draft; /* its text in the draft model's engine, or NULL */
    struct embed embed;
    float *vector; /* [head_width] */
    int n_told;    /* of the prompt, by PREFILL */
    uint64_t step; /* the last one that it was part of */
};

/* Measured times of steps. */
enum { COST_ROWS = 1024 };
struct sched_cost {
    float base[COST_ROWS + 1]; /* ns of a step of so many written tokens alone; 0: not known */
    float per_token;           /* what each token of a prompt adds */
    int mixed;                 /* steps with prompts since one without */
};

void sched_cost_note(struct sched_cost *c, int n_written, int n_prompt, uint64_t ns);
/* ns of a step of so many written tokens, as far as can be told; 0: it cannot. */
float sched_cost_of(const struct sched_cost *c, int n_written);
/* How many tokens of prompts go beside n_written others, when n_text texts have a place. */
int sched_cost_prompt(struct sched_cost *c, int n_written, int n_text, float ratio, int most);

struct sched {
    struct hearth_engine *en;
    struct sched_options opt; /* with its defaults */
    int n_page;               /* of the engine's cache */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under lock. */
    struct sched_job *all, *inbox, **inbox_end;
    int n_queued, n_job; /* jobs that have not begun; that are not over */
    int n_more[2];       /* by enum sched_want: jobs that are not over and are of another one's
                          * request: they are not counted above */
    int stop, poked;
    uint64_t n_id;
    struct sched_job *alone; /* whom the step that is computed now is for, when it is one */
    struct sched_stats stats;
    /* Of sched_run. */
    struct sched_job **waiting, **running; /* [as many as there can be]; [n_running] */
    int n_waiting, n_running;
    struct sched_share *share;
    int n_share;
    struct engine_part *part; /* [n_running] */
    struct sched_job **part_job;
    int n_part;
    struct sched_cost cost;
    struct hearth_engine *draft; /* opt.draft */
    float draft_ns;              /* what one guess by it takes, for all texts together */
    uint64_t n_step;             /* of which some were stopped */
    struct sched_stats now;      /* what stats becomes after each step */
};

/* -- sched_job.c ------------------------------------------------------------------------- */

/* Checks the request and copies it. Any thread. */
MUST_CHECK int sched_job_new(struct sched_job **out, struct sched *s,
                             const struct sched_request *q, struct err *e);
void sched_job_unlink(struct sched_job *j); /* with the lock: it is one of all no more */
/* With the lock: it comes (by 1) or is over (-1). */
void sched_job_count(struct sched_job *j, int by);
void sched_job_free(struct sched_job *j);

/* Its text so far. */
const int32_t *sched_job_ids(const struct sched_job *j, int *n);
/* Has a sequence with its text, parked; a no-op when there is one. */
MUST_CHECK int sched_job_prepare(struct sched_job *j, struct err *e);
/* START, and what there is to do before the first step. */
MUST_CHECK int sched_job_begin(struct sched_job *j, int n_reused, struct err *e);
/* Its step is done: takes tokens, tells how far it is. 1: it is complete. */
MUST_CHECK int sched_job_go(struct sched_job *j, struct err *e);
void sched_job_tell_place(struct sched_job *j, int place, uint64_t now);
/* Its last event: DONE where why->code is 0, else ERROR. Lets go of all it holds; afterwards j
 * may be gone. */
void sched_job_end(struct sched_job *j, const struct err *why);

/* -- sched_queue.c ----------------------------------------------------------------------- */

/* a runs rather than b, when pages are short: paused ones last, by priority, then arrival. */
int sched_ranks_before(const struct sched_job *a, const struct sched_job *b);
/* a is begun before b: by priority, then the share that had less, then arrival. */
int sched_goes_before(const struct sched_job *a, const struct sched_job *b);
void sched_sort(struct sched_job **j, int n,
                int (*before)(const struct sched_job *a, const struct sched_job *b));

void sched_share_join(struct sched *s, struct sched_job *j);
void sched_share_leave(struct sched_job *j);

/* Begins, or goes on with, those for whom there is room. */
void sched_admit(struct sched *s);
/* Takes j out of the running ones, back into the queue. */
void sched_park(struct sched_job *j);
/* The running job that gives up its pages first: a paused one, else the last in rank of those
 * with a priority below `below`; NULL: none. */
struct sched_job *sched_victim(const struct sched *s, int below);
void sched_remove(struct sched_job **list, int *n, const struct sched_job *j);

/* -- sched_guess.c, sched_draft.c -------------------------------------------------------- */

/* What a step is made of so far. */
struct sched_plan {
    int n_tok, n_row;
    int n_written, n_prompt; /* tokens of texts that are being written; of prompts */
    int texts, embeds;       /* parts of each */
};

void sched_guess_init(struct sched_guess *g);
/* So many of the guesses came true. */
void sched_guess_learn(struct sched_guess *g, int drafted, int accepted);
/* How many guesses of at most `most` pay for one of n_text texts, in a step that has n_now
 * tokens without them. */
int sched_guess_worth(const struct sched *s, int n_text, int n_now, float rate, int most);
/* Adds guesses to the parts of the step, which are all texts that are being written. */
void sched_guess_all(struct sched *s, struct sched_plan *p);

/* Fails: E_UNSUPPORTED the vocabularies differ. */
MUST_CHECK int sched_draft_check(const struct hearth_engine *en,
                                 const struct hearth_engine *draft, struct err *e);
/* Fills guess.id and n_have of the parts' jobs that have an n_draft. */
void sched_draft_guess(struct sched *s);

/* -- sched_step.c ------------------------------------------------------------------------ */

/* One step. Returns how many tokens it computed, 0: nobody can go on. Fails with what the
 * engine cannot go on after. */
MUST_CHECK int sched_step(struct sched *s, struct err *e);

#endif

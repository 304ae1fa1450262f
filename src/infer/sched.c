#include "infer/sched_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>
#include <time.h>

/* -- making ---------------------------------------------------------------------------- */

static int make_arrays(struct sched *s, struct err *e)
{
    size_t n_run = (size_t)s->opt.n_running,
           n_all = (size_t)s->opt.n_queue + n_run + SCHED_MORE + SCHED_MORE_EMBED;

    s->waiting = mem_calloc(n_all, sizeof(struct sched_job *));
    s->running = mem_calloc(n_run, sizeof(struct sched_job *));
    s->part = mem_calloc(n_run, sizeof(*s->part));
    s->part_job = mem_calloc(n_run, sizeof(struct sched_job *));
    s->n_share = (int)n_all + 1;
    s->share = mem_calloc(n_all + 1, sizeof(*s->share));
    if (!s->waiting || !s->running || !s->part || !s->part_job || !s->share)
        return err_set(e, E_NOMEM, "no memory for a queue of %d jobs", s->opt.n_queue);
    return 0;
}

static int make_wake(struct sched *s)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);

    if (rc == 0)
        rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0)
        rc = pthread_cond_init(&s->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return rc;
}

int sched_new(struct sched **out, struct hearth_engine *en, const struct sched_options *opt,
              struct err *e)
{
    static const struct sched_options none;
    struct sched *s = mem_calloc(1, sizeof(*s));
    struct kv_stats kv;
    int rc;

    if (!s)
        return err_set(e, E_NOMEM, "no memory for a scheduler");
    s->en = en;
    kv_stats(en->kv, &kv);
    s->n_page = kv.n_page;
    s->opt = opt ? *opt : none;
    if (s->opt.n_queue <= 0)
        s->opt.n_queue = SCHED_QUEUE;
    if (s->opt.n_running <= 0 || s->opt.n_running > en->n_seq_max)
        s->opt.n_running = en->n_seq_max;
    if (!(s->opt.gap_ratio > 1))
        s->opt.gap_ratio = 2;
    if (s->opt.n_lookup > ENGINE_DRAFT_MAX)
        s->opt.n_lookup = ENGINE_DRAFT_MAX;
    s->inbox_end = &s->inbox;
    s->draft = s->opt.draft;
    rc = s->draft ? sched_draft_check(en, s->draft, e) : 0;
    if (rc == 0)
        rc = make_arrays(s, e);
    if (rc == 0 && pthread_mutex_init(&s->lock, NULL) != 0)
        rc = err_set(e, E_NOMEM, "no memory for a lock");
    if (rc == 0 && make_wake(s) != 0) {
        (void)pthread_mutex_destroy(&s->lock);
        rc = err_set(e, E_NOMEM, "no memory for a condition");
    }
    if (rc < 0) {
        s->en = NULL;
        sched_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void sched_free(struct sched *s)
{
    if (!s)
        return;
    if (s->en) {
        (void)pthread_cond_destroy(&s->wake);
        (void)pthread_mutex_destroy(&s->lock);
    }
    mem_free(s->waiting);
    mem_free(s->running);
    mem_free(s->part);
    mem_free(s->part_job);
    mem_free(s->share);
    mem_free(s);
}

/* -- any thread ------------------------------------------------------------------------ */

/* With the lock: sched_run looks again. */
static void poke(struct sched *s)
{
    s->poked = 1;
    (void)pthread_cond_signal(&s->wake);
}

static int is_full(const struct sched *s, const struct sched_request *q)
{
    if (q->more)
        return s->n_more[q->want] >= (q->want == SCHED_TEXT ? SCHED_MORE : SCHED_MORE_EMBED);
    return s->n_queued >= s->opt.n_queue || s->n_job >= s->opt.n_queue + s->opt.n_running;
}

static int enter(struct sched *s, struct sched_job *j, struct err *e)
{
    if (s->stop)
        return err_set(e, E_BUSY, "the model is being stopped");
    if (j->q.more != SCHED_MUST && is_full(s, &j->q))
        return err_set(e, E_BUSY, "the queue is full: %d requests wait; try again later",
                       s->n_queued);
    j->id = j->slot.id = ++s->n_id;
    sched_job_count(j, 1);
    j->next = s->all;
    if (s->all)
        s->all->prev = j;
    s->all = j;
    *s->inbox_end = j;
    s->inbox_end = &j->inbox;
    poke(s);
    return 0;
}

int sched_submit(struct sched *s, const struct sched_request *q, sched_sink *sink, void *ctx,
                 struct sched_job **out, struct err *e)
{
    struct sched_job *j;
    int rc = sched_job_new(&j, s, q, e);

    if (rc < 0)
        return rc;
    j->sink = sink;
    j->ctx = ctx;
    (void)pthread_mutex_lock(&s->lock);
    rc = enter(s, j, e);
    if (rc == 0)
        *out = j; /* before its first event */
    (void)pthread_mutex_unlock(&s->lock);
    if (rc < 0)
        sched_job_free(j);
    return rc;
}

void sched_cancel(struct sched_job *j)
{
    struct sched *s = j->s;

    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&j->cancel, 1);
    if (s->alone == j)
        hearth_engine_cancel(s->en);
    poke(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void sched_resume(struct sched_job *j)
{
    struct sched *s = j->s;

    (void)pthread_mutex_lock(&s->lock);
    atomic_store(&j->resumed, 1);
    poke(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void sched_release(struct sched_job *j)
{
    struct sched *s = j->s;
    int gone;

    (void)pthread_mutex_lock(&s->lock);
    j->released = 1;
    gone = j->over;
    if (gone)
        sched_job_unlink(j);
    (void)pthread_mutex_unlock(&s->lock);
    if (gone)
        sched_job_free(j);
}

void sched_stop(struct sched *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = 1;
    hearth_engine_cancel(s->en);
    poke(s);
    (void)pthread_mutex_unlock(&s->lock);
}

void sched_stats(struct sched *s, struct sched_stats *out)
{
    (void)pthread_mutex_lock(&s->lock);
    *out = s->stats;
    (void)pthread_mutex_unlock(&s->lock);
}

void sched_each(struct sched *s, void (*visit)(void *ctx, const struct sched_slot *slot),
                void *ctx)
{
    uint64_t now = clock_ns();

    (void)pthread_mutex_lock(&s->lock);
    for (struct sched_job *j = s->all; j; j = j->next) {
        if (j->over)
            continue;
        j->slot.age_ns = now - j->born_ns;
        visit(ctx, &j->slot);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* -- the loop -------------------------------------------------------------------------- */

/* New jobs join the queue. 1: it is time to stop. */
static int take_in(struct sched *s)
{
    struct sched_job *j;
    int stop;

    (void)pthread_mutex_lock(&s->lock);
    j = s->inbox;
    s->inbox = NULL;
    s->inbox_end = &s->inbox;
    stop = s->stop;
    s->poked = 0;
    (void)pthread_mutex_unlock(&s->lock);
    for (; j; j = j->inbox) {
        sched_share_join(s, j);
        j->state = SCHED_WAITING;
        s->waiting[s->n_waiting++] = j;
    }
    return stop;
}

/* What others want of a job. */
static void look_at(struct sched_job *j, uint64_t now)
{
    struct err e = {0};

    if (j->paused && atomic_exchange(&j->resumed, 0))
        j->paused = 0;
    if (atomic_load(&j->cancel))
        (void)err_set(&e, E_CANCELLED, "cancelled");
    else if (!j->begun && j->q.deadline_ns && now > j->q.deadline_ns)
        (void)err_set(&e, E_CANCELLED, "its deadline passed before it was begun");
    if (e.code)
        sched_job_end(j, &e);
}

static void look_at_all(struct sched *s)
{
    uint64_t now = clock_ns();

    for (int i = s->n_waiting; i-- > 0;)
        look_at(s->waiting[i], now);
    for (int i = s->n_running; i-- > 0;)
        look_at(s->running[i], now);
}

/* With the lock. */
static void show(struct sched_job *j)
{
    const struct hearth_seq *q = j->seq;
    struct sched_slot *t = &j->slot;

    t->running = j->state == SCHED_RUNNING;
    t->paused = j->paused;
    t->n_prompt_done = q && q->n_done < t->n_prompt ? q->n_done : q ? t->n_prompt : 0;
    t->n_output = j->gen ? gen_stats(j->gen)->n_output : 0;
}

static void publish(struct sched *s)
{
    struct kv_stats kv;

    kv_stats(s->en->kv, &kv);
    s->now.pages = kv.n_page;
    s->now.pages_used = kv.used;
    s->now.pages_cached = kv.cached;
    s->now.n_waiting = s->n_waiting;
    s->now.n_running = s->n_running;
    s->now.n_paused = 0;
    (void)pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n_waiting; i++) {
        show(s->waiting[i]);
        s->now.n_paused += s->waiting[i]->paused;
    }
    for (int i = 0; i < s->n_running; i++) {
        show(s->running[i]);
        s->now.n_paused += s->running[i]->paused;
    }
    s->stats = s->now;
    (void)pthread_mutex_unlock(&s->lock);
}

/* When a deadline passes, or 0: nothing will happen by itself. */
static uint64_t next_deadline(const struct sched *s)
{
    uint64_t at = 0;

    for (int i = 0; i < s->n_waiting; i++) {
        const struct sched_job *j = s->waiting[i];

        if (!j->begun && j->q.deadline_ns && (!at || j->q.deadline_ns < at))
            at = j->q.deadline_ns;
    }
    return at;
}

/* Nobody can go on: sleeps until somebody wants something. */
static void idle(struct sched *s)
{
    uint64_t at = next_deadline(s);
    struct timespec t = {(time_t)(at / 1000000000u), (long)(at % 1000000000u)};
    int rc = 0;

    s->now.last_step_ns = 0;
    s->now.last_step_rows = 0;
    publish(s);
    (void)pthread_mutex_lock(&s->lock);
    while (!s->poked && rc != ETIMEDOUT)
        rc = at ? pthread_cond_timedwait(&s->wake, &s->lock, &t)
                : pthread_cond_wait(&s->wake, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
}

static void end_all(struct sched *s, const struct err *why)
{
    (void)pthread_mutex_lock(&s->lock);
    s->stop = 1; /* nobody comes in any more */
    (void)pthread_mutex_unlock(&s->lock);
    (void)take_in(s);
    while (s->n_running)
        sched_job_end(s->running[s->n_running - 1], why);
    while (s->n_waiting)
        sched_job_end(s->waiting[s->n_waiting - 1], why);
    publish(s);
}

int sched_run(struct sched *s, struct err *e)
{
    struct err why = {0};
    int rc = 0;

    while (rc >= 0 && !take_in(s)) {
        look_at_all(s);
        sched_admit(s);
        rc = sched_step(s, &why);
        if (rc > 0)
            publish(s);
        else if (rc == 0)
            idle(s);
    }
    if (rc >= 0)
        (void)err_set(&why, E_CANCELLED, "the model is being stopped");
    else if (s->opt.broken)
        s->opt.broken(s->opt.ctx, &why);
    end_all(s, &why);
    if (rc >= 0)
        return 0;
    if (e)
        *e = why;
    return rc;
}

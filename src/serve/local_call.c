/* local_call.c - a call's events, its shares, and its end. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/mem.h"

struct local_call *local_call_new(struct local *l, struct gate_request *q, gate_sink *sink,
                                  void *ctx)
{
    struct local_call *c = mem_calloc(1, sizeof(*c));

    if (!c)
        return NULL;
    c->l = l;
    c->q = q;
    c->sink = sink;
    c->ctx = ctx;
    c->start_ns = clock_ns();
    c->n_live = 1;
    atomic_init(&c->refs, 2);
    (void)pthread_mutex_init(&c->emit, NULL);
    (void)pthread_mutex_init(&c->lock, NULL);
    return c;
}

/* Calls that have ended know nothing of `local`, which may be gone. */
void local_call_unref(struct local_call *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    local_answers_free(c);
    local_embed_free(c->embed);
    mem_free(c->job);
    gate_request_free(c->q);
    (void)pthread_mutex_destroy(&c->emit);
    (void)pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

void local_enqueue(struct local_call *c)
{
    struct local *l = c->l;

    c->stage = STAGE_QUEUED;
    c->next = NULL;
    *l->last = c;
    l->last = &c->next;
    (void)pthread_cond_signal(&l->work);
}

void local_wait_end(struct local_call **at)
{
    struct local_call *c = *at;

    *at = c->next;
    local_enqueue(c);
}

void local_begun(struct local_call *c)
{
    c->l->n_before -= c->counted;
    c->counted = 0;
}

/* -- events ---------------------------------------------------------------------------- */

/* Once it has begun nobody wants to know how long it will have to wait. */
static int is_of_waiting(const struct gate_event *ev)
{
    return ev->kind == GATE_EV_QUEUED || ev->kind == GATE_EV_LOADING ||
           ev->kind == GATE_EV_PREFILL;
}

int local_say(struct local_call *c, struct gate_event *ev)
{
    unsigned resumes;
    int says = GATE_MORE;

    (void)pthread_mutex_lock(&c->emit);
    if (!c->ended && !(c->started && is_of_waiting(ev))) {
        resumes = atomic_load(&c->resumes);
        says = c->sink(c->ctx, ev);
        /* The reader may have caught up while the sink was still saying that it had not. */
        if (says == GATE_PAUSE && atomic_load(&c->resumes) != resumes)
            says = GATE_MORE;
    }
    (void)pthread_mutex_unlock(&c->emit);
    if (says == GATE_STOP_NOW)
        local_cancel(c);
    return says;
}

int local_say_start(struct local_call *c)
{
    struct gate_event ev = {.kind = GATE_EV_START, .usage = &c->usage};
    int was;

    ev.name = c->m ? str_of(local_name(c->m)) : c->q->model;
    (void)pthread_mutex_lock(&c->emit);
    was = c->started;
    c->started = 1;
    (void)pthread_mutex_unlock(&c->emit);
    return was ? GATE_MORE : local_say(c, &ev);
}

void local_warn(struct local_call *c, const char *fmt, ...)
{
    struct gate_event ev = {.kind = GATE_EV_WARNING};
    struct err text = {0};
    va_list ap;

    va_start(ap, fmt);
    (void)err_setv(&text, E_UNSUPPORTED, fmt, ap);
    va_end(ap);
    ev.text = str_of(text.msg);
    (void)local_say(c, &ev);
}

/* -- the end --------------------------------------------------------------------------- */

void local_fail(struct local_call *c, const struct err *e)
{
    local_fail_param(c, e, NULL);
}

/* 1: the request could have been another one. */
static int is_of_request(int code)
{
    return code == E_INVALID || code == E_UNSUPPORTED || code == E_TOO_LONG ||
           code == E_NOT_FOUND;
}

void local_fail_param(struct local_call *c, const struct err *e, const char *param)
{
    (void)pthread_mutex_lock(&c->lock);
    if (!c->failed.code) {
        c->failed = *e;
        c->param = is_of_request(e->code) ? param : NULL;
        if (!c->failed.code)
            c->failed.code = E_INTERNAL;
    }
    for (size_t i = 0; i < c->n_job; i++) {
        if (c->job[i])
            sched_cancel(c->job[i]);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void local_cancel(struct local_call *c)
{
    struct local *l = c->l;

    atomic_store(&c->cancelled, 1);
    local_lock(l);
    if (c->stage == STAGE_WAITING) {
        struct local_call **at = &c->m->en->waiting;

        while (*at && *at != c)
            at = &(*at)->next;
        if (*at)
            local_wait_end(at);
    }
    local_unlock(l);
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n_job; i++) {
        if (c->job[i])
            sched_cancel(c->job[i]);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

void local_share(struct local_call *c)
{
    (void)pthread_mutex_lock(&c->lock);
    c->n_live++;
    (void)pthread_mutex_unlock(&c->lock);
}

/* The last event. The model is given back before, so that who hears of the end finds the model
 * as it is then; and before that goes what looks into the model, which may then be freed. */
static void say_end(struct local_call *c)
{
    struct gate_event ev = {.kind = GATE_EV_DONE, .usage = &c->usage};
    struct local *l = c->l;

    if (!c->failed.code && atomic_load(&c->cancelled))
        (void)err_set(&c->failed, E_CANCELLED, "the request was cancelled");
    if (c->failed.code)
        ev = (struct gate_event){
            .kind = GATE_EV_ERROR, .err = &c->failed, .param = c->param, .usage = &c->usage};
    local_answers_free(c);
    if (c->m)
        local_give(c->m, c->q->keep_alive_ns);
    local_lock(l);
    c->stage = STAGE_ENDED;
    local_begun(c);
    l->n_more -= c->n_more;
    *c->before = c->after;
    if (c->after)
        c->after->before = c->before;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    c->usage.total_ns = clock_ns() - c->start_ns;
    (void)pthread_mutex_lock(&c->emit);
    c->ended = 1;
    (void)c->sink(c->ctx, &ev);
    (void)pthread_mutex_unlock(&c->emit);
    local_call_unref(c);
}

void local_share_end(struct local_call *c)
{
    int left;

    (void)pthread_mutex_lock(&c->lock);
    left = --c->n_live;
    (void)pthread_mutex_unlock(&c->lock);
    if (left == 0)
        say_end(c);
}

/* -- jobs ------------------------------------------------------------------------------ */

int local_jobs(struct local_call *c, size_t n)
{
    struct sched_job **job = mem_calloc(n ? n : 1, sizeof(*job));

    if (!job)
        return E_NOMEM;
    (void)pthread_mutex_lock(&c->lock);
    c->job = job;
    c->n_job = n;
    (void)pthread_mutex_unlock(&c->lock);
    return 0;
}

/* Of a party the part whose job comes first stands for all. */
static int submit_part(struct local_call *c, size_t i, struct sched_request *r,
                       sched_sink *sink, void *ctx, struct err *e)
{
    enum { REFUSED = -1 };
    struct gate_party *party = c->q->party;
    int rc;

    (void)pthread_mutex_lock(&c->l->door);
    if (party->let_in == REFUSED) {
        rc = err_set(e, E_BUSY, "the queue is full; try again later");
    } else {
        r->more = party->let_in;
        rc = sched_submit(c->m->en->sched, r, sink, ctx, &c->job[i], e);
        if (!party->let_in && (rc == 0 || rc == E_BUSY))
            party->let_in = rc == 0 ? 1 : REFUSED;
    }
    (void)pthread_mutex_unlock(&c->l->door);
    return rc;
}

int local_submit(struct local_call *c, size_t i, const struct sched_request *r,
                 sched_sink *sink, void *ctx, struct err *e)
{
    struct sched_request own = *r;
    int rc;

    if (!own.more)
        own.more = i > 0;
    (void)pthread_mutex_lock(&c->lock);
    if (c->failed.code || atomic_load(&c->cancelled))
        rc = err_set(e, E_CANCELLED, "the request was cancelled");
    else if (c->q->party)
        rc = submit_part(c, i, &own, sink, ctx, e);
    else
        rc = sched_submit(c->m->en->sched, &own, sink, ctx, &c->job[i], e);
    if (rc == 0)
        c->n_live++;
    (void)pthread_mutex_unlock(&c->lock);
    return rc;
}

void local_job_ended(struct local_call *c, size_t i)
{
    struct sched_job *j;

    (void)pthread_mutex_lock(&c->lock);
    j = c->job[i];
    c->job[i] = NULL;
    (void)pthread_mutex_unlock(&c->lock);
    if (j)
        sched_release(j);
    local_share_end(c);
}

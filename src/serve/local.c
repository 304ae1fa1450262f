/* local.c - the provider: takes requests in, has them prepared, keeps time. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sys/slice.h"

#include <errno.h>

#define TELL_NS 1000000000u /* how often the metrics hear of a model's scheduler */

/* -- the provider ---------------------------------------------------------------------- */

static struct local_call *call_of(struct gate_call *c)
{
    return (struct local_call *)(void *)c;
}

/* Under the lock: lets a request in, or does not: with room for all answers of all its parts,
 * when it is the first of them. *more: another part was let in before. */
static int let_in(struct local *l, const struct gate_request *q, int *more, struct err *e)
{
    int most = l->config->n_queue ? l->config->n_queue : LOCAL_QUEUE;
    int after = local_n_text(q) - 1;

    *more = q->party && q->party->taken;
    if (l->stopping)
        return err_set(e, E_BUSY, "the server is shutting down");
    if (*more)
        return 0;
    if (q->party)
        after = q->party->n_text <= LOCAL_MORE ? (int)q->party->n_text - 1 : LOCAL_MORE + 1;
    if (l->n_before >= most)
        return err_set(e, E_BUSY, "the queue is full: %d requests wait", most);
    if (after > LOCAL_MORE - l->n_more)
        return err_set(
            e, E_BUSY,
            "the queue is full: requests for several answers have %d more under way, "
            "and this one wants %d; try again later",
            l->n_more, after + 1);
    l->n_more += after;
    if (q->party)
        q->party->taken = 1;
    return 0;
}

/* Under the lock: a part of what was let in will not come. */
static void let_out(struct local *l, const struct gate_request *q)
{
    if (q->party && q->party->taken)
        l->n_more -= local_n_text(q);
}

/* Under the lock. */
static void begin_call(struct local_call *c, int more)
{
    struct local *l = c->l;

    c->after = l->calls;
    c->before = &l->calls;
    if (l->calls)
        l->calls->before = &c->after;
    l->calls = c;
    c->n_more = local_n_text(c->q) - !more;
    c->counted = !more;
    l->n_before += c->counted;
    local_enqueue(c);
}

static int local_start(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                       struct gate_call **out, struct err *e)
{
    struct local *l = (struct local *)(void *)p;
    struct local_call *c = local_call_new(l, q, sink, ctx);
    int more = 0, rc;

    local_lock(l);
    rc = c ? let_in(l, q, &more, e) : err_set(e, E_NOMEM, "no memory for a request");
    if (rc == 0) {
        *out = (struct gate_call *)(void *)c; /* before its first event */
        begin_call(c, more);
    } else {
        let_out(l, q);
    }
    local_unlock(l);
    if (rc < 0 && c) {
        atomic_store(&c->refs, 1);
        local_call_unref(c);
    } else if (rc < 0) {
        gate_request_free(q);
    }
    return rc;
}

static void local_stop(struct gate_call *call)
{
    local_cancel(call_of(call));
}

static void local_resume(struct gate_call *call)
{
    struct local_call *c = call_of(call);

    (void)atomic_fetch_add(&c->resumes, 1);
    (void)pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < c->n_job; i++) {
        if (c->job[i])
            sched_resume(c->job[i]);
    }
    (void)pthread_mutex_unlock(&c->lock);
}

static void local_forget(struct gate_call *call)
{
    local_call_unref(call_of(call));
}

static const struct provider_ops local_ops = {.name = "local",
                                              .start = local_start,
                                              .cancel = local_stop,
                                              .resume = local_resume,
                                              .free = local_forget};

struct provider *local_provider(struct local *l)
{
    return &l->provider;
}

/* -- preparing threads ----------------------------------------------------------------- */

static void *prepare(void *arg)
{
    struct local *l = arg;

    slice_short();
    local_lock(l);
    for (;;) {
        struct local_call *c = l->first;

        if (!c) {
            if (l->stopping > 1)
                break;
            (void)pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        l->first = c->next;
        if (!l->first)
            l->last = &l->first;
        c->next = NULL;
        c->stage = STAGE_PREPARING;
        local_unlock(l);
        local_prepare(c);
        local_lock(l);
    }
    local_unlock(l);
    return NULL;
}

/* -- the clock ------------------------------------------------------------------------- */

/* Under the lock, which is left meanwhile: frees a name that is over. 1: there was one. */
static int bury_name(struct local *l)
{
    struct local_model **at = &l->models, *m;

    while (*at && !local_is_over(*at))
        at = &(*at)->next;
    m = *at;
    if (!m)
        return 0;
    *at = m->next;
    m->en->n_name--;
    local_unlock(l);
    local_model_free(m);
    local_lock(l);
    return 1;
}

/* Under the lock, which is left meanwhile: frees an engine whose thread has ended, once its
 * names are no more. 1: there was one. */
static int bury(struct local *l)
{
    struct local_engine **at = &l->engines, *en;

    if (bury_name(l))
        return 1;
    while (*at && (!(*at)->gone || (*at)->n_name))
        at = &(*at)->next;
    en = *at;
    if (!en)
        return 0;
    *at = en->next;
    local_unlock(l);
    (void)pthread_join(en->thread, NULL);
    local_engine_free(en);
    local_lock(l);
    return 1;
}

/* Until when a call waits for its model to be loaded. */
static uint64_t patience(const struct local *l, const struct local_call *c)
{
    int most = l->config->load_timeout_s;
    uint64_t end = most > 0 ? c->wait_ns + (uint64_t)most * 1000000000u : UINT64_MAX,
             late = c->q->deadline_ns;

    return late && late < end ? late + 1 : end;
}

/* Why a call waits no more. */
static void out_of_patience(const struct local *l, struct local_call *c)
{
    (void)pthread_mutex_lock(&c->lock);
    if (l->draining)
        (void)err_set(&c->failed, E_BUSY, "the server is shutting down");
    else
        (void)err_set(&c->failed, E_BUSY,
                      "model '%s' is not loaded yet after %d s (load_timeout)",
                      local_name(c->m), l->config->load_timeout_s);
    (void)pthread_mutex_unlock(&c->lock);
}

/* Under the lock: who waits too long for a model waits no more. A model that has room is loaded
 * on, so that it is there for who asks next. When the server ends nobody waits: some of a load
 * cannot be ended. Returns when to look again. */
static uint64_t give_up(struct local *l, struct local_engine *en, uint64_t now)
{
    struct local_call **at = &en->waiting;
    uint64_t next = UINT64_MAX;

    while (*at) {
        struct local_call *c = *at;
        uint64_t end = l->draining ? now : patience(l, c);

        if (now < end) {
            next = end < next ? end : next;
            at = &c->next;
            continue;
        }
        if (!c->q->deadline_ns || now <= c->q->deadline_ns) {
            out_of_patience(l, c);
            en->stays |= en->settled && !l->draining;
        }
        local_wait_end(at);
    }
    return next;
}

/* Under the lock: lets go what has stayed long enough. Returns when to look again. */
static uint64_t tick(struct local *l)
{
    uint64_t now = clock_ns(), next = UINT64_MAX;
    int tell = now >= l->tell_ns;

    if (tell)
        l->tell_ns = now + TELL_NS;
    for (struct local_model *m = l->models; m; m = m->next) {
        uint64_t end = local_expiry(m);

        if (end <= now)
            local_leave(m);
        else if (end < next)
            next = end;
    }
    for (struct local_engine *en = l->engines; en; en = en->next) {
        uint64_t end = give_up(l, en, now);

        next = end < next ? end : next;
        if (tell)
            local_tell(en);
        if (en->running && l->tell_ns < next)
            next = l->tell_ns;
    }
    return next;
}

static void *keep_time(void *arg)
{
    struct local *l = arg;

    local_lock(l);
    while (l->stopping < 2 || l->models || l->engines) {
        struct timespec until;
        uint64_t next;

        if (l->pins) {
            l->pins = 0;
            local_unlock(l);
            local_pins(l);
            local_lock(l);
            continue; /* it may have been told to stop meanwhile */
        }
        if (bury(l))
            continue;
        next = tick(l);
        if (next == UINT64_MAX) {
            (void)pthread_cond_wait(&l->change, &l->lock);
            continue;
        }
        until.tv_sec = (time_t)(next / 1000000000u);
        until.tv_nsec = (long)(next % 1000000000u);
        (void)pthread_cond_timedwait(&l->change, &l->lock, &until);
    }
    local_unlock(l);
    return NULL;
}

/* -- life ------------------------------------------------------------------------------ */

static int threads_begin(struct local *l, struct err *e)
{
    int why = 0;

    while (l->n_preparer < LOCAL_PREPARERS && !why) {
        why = pthread_create(&l->preparer[l->n_preparer], NULL, prepare, l);
        if (!why)
            l->n_preparer++;
    }
    if (!why) {
        why = pthread_create(&l->timer, NULL, keep_time, l);
        l->has_timer = !why;
    }
    return why ? err_sys(e, E_NOMEM, why, "threads for requests") : 0;
}

int local_new(struct local **out, const struct config *config, struct store *store,
              struct metrics *metrics, struct err *e)
{
    struct local *l = mem_calloc(1, sizeof(*l));
    pthread_condattr_t attr;
    int rc;

    if (!l)
        return err_set(e, E_NOMEM, "no memory for models");
    l->provider.ops = &local_ops;
    l->config = config;
    l->store = store;
    l->metrics = metrics;
    l->last = &l->first;
    l->pins = 1;
    (void)pthread_mutex_init(&l->lock, NULL);
    (void)pthread_mutex_init(&l->door, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&l->work, NULL);
    (void)pthread_cond_init(&l->change, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = threads_begin(l, e);
    if (rc < 0) {
        local_free(l);
        return rc;
    }
    *out = l;
    return 0;
}

/* Under the lock, which is left meanwhile: ends every call. Their threads are joined later, so
 * the last events have been said when local_free returns. */
static void end_calls(struct local *l)
{
    struct local_call *c = l->calls;

    while (c) {
        if (atomic_load(&c->cancelled)) {
            c = c->after;
            continue;
        }
        (void)atomic_fetch_add(&c->refs, 1);
        local_unlock(l);
        local_cancel(c);
        local_call_unref(c);
        local_lock(l);
        c = l->calls; /* it may be another list by now */
    }
    while (l->calls)
        (void)pthread_cond_wait(&l->change, &l->lock);
}

void local_quiesce(struct local *l)
{
    local_lock(l);
    l->draining = 1;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
}

void local_free(struct local *l)
{
    if (!l)
        return;
    local_lock(l);
    l->stopping = 1;
    end_calls(l);
    for (struct local_model *m = l->models; m; m = m->next)
        local_leave(m);
    l->stopping = 2;
    (void)pthread_cond_broadcast(&l->work);
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    for (int i = 0; i < l->n_preparer; i++)
        (void)pthread_join(l->preparer[i], NULL);
    if (l->has_timer)
        (void)pthread_join(l->timer, NULL);
    (void)pthread_cond_destroy(&l->work);
    (void)pthread_cond_destroy(&l->change);
    (void)pthread_mutex_destroy(&l->door);
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

void local_reload(struct local *l, const struct config *config)
{
    local_lock(l);
    l->config = config;
    l->pins = 1;
    for (struct local_model *m = l->models; m; m = m->next) {
        struct config_model set;

        config_model(config, local_name(m), &set);
        m->pinned = set.pin > 0;
        m->priority = set.priority;
    }
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
}

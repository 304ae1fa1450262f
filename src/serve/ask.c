/* What may happen at once: the provider calls the sink, the timer looks at the request, the I/O
 * thread says that the client is gone or can take more. The sink and the timer take `lock`. The
 * listener takes nothing, as the I/O thread may hold locks of its own when it calls: it sets a
 * flag and tells the provider.
 *
 * Life: `refs` is one for the provider, which lets go at the last event, and one for ask_start.
 * A request is in the list while the provider has its own. */
#include "serve/ask.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/auth.h"
#include "serve/config.h"
#include "serve/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define SECOND   ((uint64_t)1000000000)
#define BODY_MAX ((size_t)512 << 20) /* bytes of one answer */

struct ask_list {
    pthread_mutex_t lock;
    struct ask *first;
    int n, closed; /* closed: all are cancelled, and none may come */
};

struct ask {
    struct ask *next, *prev;
    atomic_int refs;
    struct serve *s;
    struct call *c; /* NULL: answered */
    _Atomic(struct gate_call *) under_way;
    const struct ask_ops *ops;
    void *ctx;
    int stream;
    struct field_report report;
    pthread_mutex_t lock;
    struct buf out;
    int begun, timed_out, stalled;
    atomic_int gone, drained, paused;
    atomic_int shut; /* cancelled by the server's end, not by its client */
    uint64_t start_ns, wrote_ns, paused_ns, text_ns;
    const char *route;
    char model[600]; /* its full name, once it is known */
};

int ask_list_new(struct ask_list **out, struct err *e)
{
    struct ask_list *l = mem_calloc(1, sizeof(*l));

    if (!l)
        return err_set(e, E_NOMEM, "no memory for a list of requests");
    (void)pthread_mutex_init(&l->lock, NULL);
    *out = l;
    return 0;
}

void ask_list_free(struct ask_list *l)
{
    if (!l)
        return;
    (void)pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

static const struct err shutting = {E_BUSY, "the server is shutting down"};

/* 1: the request may begin. */
static int list_add(struct ask *a)
{
    struct ask_list *l = a->s->asks;
    int closed;

    (void)pthread_mutex_lock(&l->lock);
    closed = l->closed;
    a->next = l->first;
    if (l->first)
        l->first->prev = a;
    l->first = a;
    l->n++;
    (void)pthread_mutex_unlock(&l->lock);
    return !closed;
}

static void list_drop(struct ask *a)
{
    struct ask_list *l = a->s->asks;

    (void)pthread_mutex_lock(&l->lock);
    if (a->next)
        a->next->prev = a->prev;
    if (a->prev)
        a->prev->next = a->next;
    else
        l->first = a->next;
    l->n--;
    (void)pthread_mutex_unlock(&l->lock);
}

static void release(struct ask *a)
{
    struct gate_call *call;

    if (atomic_fetch_sub(&a->refs, 1) != 1)
        return;
    call = atomic_load(&a->under_way);
    /* Before the call, whose request may share JSON with it: that ends on the provider's thread
     * where it is the last to let go. */
    if (a->ops->free)
        a->ops->free(a->ctx);
    if (call)
        a->s->provider->ops->free(call);
    field_report_done(&a->report);
    buf_done(&a->out);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

static void cancel(struct ask *a)
{
    struct gate_call *call = atomic_load(&a->under_way);

    if (call)
        a->s->provider->ops->cancel(call);
}

static void resume(struct ask *a)
{
    struct gate_call *call = atomic_load(&a->under_way);

    if (call)
        a->s->provider->ops->resume(call);
}

/* -- metrics ------------------------------------------------------------------------------ */

static void count(struct ask *a, enum metric id, const char *what, double value)
{
    if (a->s->metrics)
        metrics_put(a->s->metrics, id, a->model[0] ? a->model : NULL, a->route, what, value);
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)SECOND;
}

/* A token's text has come: the first, or another. */
static void count_text(struct ask *a, uint64_t now)
{
    if (a->text_ns)
        count(a, METRIC_ITL, NULL, seconds(now - a->text_ns));
    else
        count(a, METRIC_TTFT, NULL, seconds(now - a->start_ns));
    a->text_ns = now;
}

/* What the client hears: nobody but the server's end cancelled it. */
static const struct err *reason(struct ask *a, const struct err *e)
{
    return e->code == E_CANCELLED && atomic_load(&a->shut) ? &shutting : e;
}

static void count_end(struct ask *a, const struct gate_event *ev, uint64_t now)
{
    const struct gate_usage *u = ev->usage;

    count(a, METRIC_DURATION, NULL, seconds(now - a->start_ns));
    if (ev->kind == GATE_EV_ERROR) {
        count(a, METRIC_ERRORS, err_row(reason(a, ev->err)->code)->type, 1);
        return;
    }
    if (!u)
        return;
    count(a, METRIC_PROMPT, NULL, u->n_prompt);
    count(a, METRIC_OUTPUT, NULL, u->n_output);
    count(a, METRIC_PROMPT_TOKENS, NULL, u->n_prompt - u->n_cached);
    count(a, METRIC_CACHED_TOKENS, NULL, u->n_cached);
    count(a, METRIC_OUTPUT_TOKENS, NULL, u->n_output);
    if (u->n_drafted) {
        count(a, METRIC_DRAFTED, NULL, u->n_drafted);
        count(a, METRIC_ACCEPTED, NULL, u->n_accepted);
    }
}

/* -- the answer --------------------------------------------------------------------------- */

/* Sends what is in out; the first time, status and headers before it. */
static int send_out(struct ask *a)
{
    int says = CALL_TAKEN, was_paused;

    if (a->out.n == 0)
        return GATE_MORE;
    if (!a->begun) {
        ask_warn(a->c, &a->report);
        a->begun = 1;
        says = call_begin(a->c, 200, a->ops->stream_type);
    }
    /* Before it is known: room may be announced at any time from the write on. */
    was_paused = atomic_exchange(&a->paused, 1);
    if (says != CALL_GONE)
        says = call_write(a->c, a->out.p, a->out.n);
    buf_clear(&a->out);
    a->wrote_ns = clock_ns();
    if (says == CALL_FULL) {
        if (!was_paused)
            a->paused_ns = a->wrote_ns;
        return GATE_PAUSE;
    }
    if (!was_paused)
        atomic_store(&a->paused, 0);
    return says == CALL_GONE ? GATE_STOP_NOW : GATE_MORE;
}

/* The call is given back; nobody listens any more. */
static void end_call(struct ask *a, int cut)
{
    struct call *c = a->c;

    a->c = NULL;
    call_listen(c, NULL, NULL);
    call_end(c, cut);
}

static void reply_done(struct ask *a)
{
    struct call *c = a->c;

    a->c = NULL;
    call_listen(c, NULL, NULL);
    ask_warn(c, &a->report);
    call_reply(c, 200, c->route->dialect->json_type, a->out.p, a->out.n);
}

/* The last thing that the client gets, when something went wrong. */
static void fail(struct ask *a, const struct err *e, const char *param)
{
    static const struct err slow = {E_BUSY, "the request took longer than the server allows"};
    struct call *c = a->c;

    if (a->timed_out)
        e = &slow, param = NULL;
    if (!c)
        return;
    if (!a->begun) {
        a->c = NULL;
        call_listen(c, NULL, NULL);
        ask_warn(c, &a->report);
        ask_error(c, e, param);
        return;
    }
    buf_clear(&a->out);
    if (a->stalled || atomic_load(&a->gone) || !a->ops->fail ||
        a->ops->fail(a->ctx, e, param, &a->out) < 0) {
        end_call(a, 1);
        return;
    }
    (void)send_out(a);
    end_call(a, 0);
}

/* A header, or a line of the log once there is no place for headers. */
static void warn(struct ask *a, struct str text)
{
    if (a->begun)
        log_line(LOG_WARN, "%.*s", (int)text.n, text.p);
    else
        field_warn(&a->report, "%.*s", (int)text.n, text.p);
}

/* In all dialects: few have a member for it. */
static void warn_dropped(struct ask *a, const struct gate_usage *u)
{
    char text[120];

    if (!u || u->n_dropped <= 0)
        return;
    (void)snprintf(
        text, sizeof(text),
        "the prompt is longer than the context: %d tokens were left out (%d messages)",
        u->n_dropped, u->n_dropped_messages);
    warn(a, str_of(text));
}

static int hand_on(struct ask *a, const struct gate_event *ev)
{
    struct err e = {0};
    const char *lacks = NULL;
    int rc = a->c ? a->ops->event(a->ctx, ev, &a->out) : 0;

    if (rc < 0) {
        (void)err_set(&e, rc, "the answer could not be written");
        fail(a, &e, NULL);
        return GATE_STOP_NOW;
    }
    if (!a->c)
        return GATE_STOP_NOW;
    if (ev->kind != GATE_EV_DONE)
        return a->stream ? send_out(a) : GATE_MORE;
    if (a->ops->lacks)
        lacks = a->ops->lacks(a->ctx);
    if (lacks)
        warn(a, str_of(lacks));
    if (!a->stream) {
        reply_done(a);
    } else {
        (void)send_out(a);
        end_call(a, atomic_load(&a->gone));
    }
    return GATE_MORE;
}

static int on_event(void *ctx, const struct gate_event *ev)
{
    struct ask *a = ctx;
    int says = GATE_MORE, last = ev->kind == GATE_EV_DONE || ev->kind == GATE_EV_ERROR;
    uint64_t now = clock_ns();

    (void)pthread_mutex_lock(&a->lock);
    if (ev->kind == GATE_EV_START && ev->name.n) {
        (void)snprintf(a->model, sizeof(a->model), "%.*s", (int)ev->name.n, ev->name.p);
        if (a->c)
            call_name_model(a->c, ev->name);
    }
    if (ev->kind == GATE_EV_START && ev->usage)
        count(a, METRIC_QUEUE, NULL, seconds(ev->usage->queue_ns));
    if (ev->kind >= GATE_EV_REASONING && ev->kind <= GATE_EV_ARGUMENTS)
        count_text(a, now);
    if (last)
        count_end(a, ev, now);
    if (ev->kind == GATE_EV_START)
        warn_dropped(a, ev->usage);
    if (ev->kind == GATE_EV_WARNING) {
        warn(a, ev->text);
    } else if (ev->kind == GATE_EV_ERROR) {
        fail(a, reason(a, ev->err), ev->param);
    } else {
        says = hand_on(a, ev);
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (last) {
        list_drop(a);
        release(a);
        return GATE_MORE;
    }
    return says;
}

/* By the I/O thread. */
static void on_call(void *ctx, int what)
{
    struct ask *a = ctx;

    if (what == CALL_GONE) {
        atomic_store(&a->gone, 1);
        cancel(a);
    } else {
        atomic_store(&a->drained, 1);
        if (atomic_exchange(&a->paused, 0))
            resume(a);
    }
}

/* -- starting ------------------------------------------------------------------------------ */

static struct ask *ask_new(struct serve *s, struct call *c, const struct gate_request *q,
                           const struct ask_ops *ops, int stream, void *ctx,
                           struct field_report *report)
{
    struct ask *a = mem_calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->s = s;
    a->c = c;
    a->ops = ops;
    a->ctx = ctx;
    a->stream = stream;
    a->report = *report;
    field_report_init(report, 0); /* ours now */
    a->route = q->route;
    a->start_ns = a->wrote_ns = clock_ns();
    atomic_init(&a->refs, 2);
    buf_init(&a->out, BODY_MAX);
    (void)pthread_mutex_init(&a->lock, NULL);
    return a;
}

void ask_start(struct serve *s, struct call *c, struct gate_request *q,
               const struct ask_ops *ops, int stream, void *ctx, struct field_report *report)
{
    struct err e = {0};
    struct gate_call *under_way = NULL;
    struct ask *a;
    const char *param = NULL;
    int status = 507, rc = ask_key(c, q, report, &status, &param, &e);

    call_name_model(c, q->model); /* as it was asked for; later by its full name */
    a = rc < 0 ? NULL : ask_new(s, c, q, ops, stream, ctx, report);
    if (!a) {
        if (rc == 0)
            (void)err_set(&e, E_NOMEM, "no memory for a request");
        ask_error_status(c, status, &e, param);
        gate_request_free(q);
        field_report_done(report);
        if (ops->free)
            ops->free(ctx);
        return;
    }
    q->tenant = c->tenant;
    q->priority += c->who ? c->who->priority : 0;
    if (!list_add(a)) {
        e = shutting;
        rc = e.code;
        gate_request_free(q);
    } else {
        call_listen(c, on_call, a);
        rc = gate_start(s->provider, q, on_event, a, &under_way, &e);
    }
    if (rc < 0) { /* no event came, none will */
        (void)pthread_mutex_lock(&a->lock);
        count(a, METRIC_ERRORS, err_row(rc)->type, 1);
        fail(a, &e, NULL);
        (void)pthread_mutex_unlock(&a->lock);
        list_drop(a);
        release(a);
    } else {
        atomic_store(&a->under_way, under_way);
        if (atomic_load(&a->gone) || atomic_load(&a->shut))
            cancel(a);
    }
    release(a);
}

/* -- once a second ------------------------------------------------------------------------ */

static void look_at(struct ask *a, uint64_t now)
{
    int most = a->s->config ? a->s->config->request_timeout_s : 0;

    (void)pthread_mutex_lock(&a->lock);
    if (!a->c) {
        /* answered; the provider has yet to notice */
    } else if (most > 0 && now - a->start_ns > (uint64_t)most * SECOND) {
        a->timed_out = 1;
        cancel(a);
    } else if (atomic_load(&a->paused)) {
        if (now > a->paused_ns && now - a->paused_ns > ASK_STALL_S * SECOND) {
            a->stalled = 1;
            cancel(a);
        }
    } else if (atomic_load(&a->drained)) {
        /* Room may have been announced before the provider had stopped: say it again. */
        atomic_store(&a->drained, 0);
        resume(a);
    } else if (a->stream && a->ops->ping && now > a->wrote_ns &&
               now - a->wrote_ns > ASK_PATIENCE_S * SECOND) {
        buf_clear(&a->out);
        if (a->ops->ping(a->ctx, &a->out) == 0 && send_out(a) == GATE_STOP_NOW)
            cancel(a);
    }
    (void)pthread_mutex_unlock(&a->lock);
}

/* Calls fn for all that are under way, without holding up the list. */
static void for_each(struct serve *s, void (*fn)(struct ask *a, uint64_t now))
{
    struct ask_list *l = s->asks;
    struct ask **all;
    int n = 0;

    (void)pthread_mutex_lock(&l->lock);
    all = mem_calloc((size_t)l->n, sizeof(*all)); /* NULL: none, or another time */
    for (struct ask *a = l->first; a && all; a = a->next) {
        atomic_fetch_add(&a->refs, 1);
        all[n++] = a;
    }
    (void)pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < n; i++) {
        fn(all[i], clock_ns());
        release(all[i]);
    }
    mem_free(all);
}

void ask_tick(struct serve *s)
{
    for_each(s, look_at);
}

static void cancel_one(struct ask *a, uint64_t now)
{
    (void)now;
    atomic_store(&a->shut, 1);
    cancel(a);
}

void ask_cancel_all(struct serve *s)
{
    (void)pthread_mutex_lock(&s->asks->lock);
    s->asks->closed = 1;
    (void)pthread_mutex_unlock(&s->asks->lock);
    for_each(s, cancel_one);
}

int ask_count(struct serve *s)
{
    int n;

    (void)pthread_mutex_lock(&s->asks->lock);
    n = s->asks->n;
    (void)pthread_mutex_unlock(&s->asks->lock);
    return n;
}

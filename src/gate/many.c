/* Shares: each part has one until its last event, and who starts them has one until all are
 * started; whoever gives the last one back says the end. So the end comes once, and not before
 * the calls of all parts are known, which are to be freed.
 *
 * The lock is held while the client's sink is called, for events of different parts must not
 * come at once. cancel and resume may be called from there, so they take no lock: the parts'
 * calls are set once, each in one step. */
#include "gate/many.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>

struct many {
    struct provider provider; /* first: what others see */
    struct provider *inner;
};

struct part {
    struct all *all;
    int first;              /* number of its first choice */
    struct gate_request *q; /* until it is started */
    _Atomic(struct gate_call *) call;
};

/* A request of any number of parts: what a gate_call of this provider is. */
struct all {
    struct provider *inner;
    struct gate_request *q; /* what the parts' requests point into; NULL: passed on */
    gate_sink *sink;
    void *ctx;
    pthread_mutex_t lock;
    int n_live, started;
    struct gate_party party;
    atomic_int cancelled;
    struct gate_usage usage; /* of all */
    struct err failed;       /* code 0: nothing has */
    const char *param;       /* of it */
    size_t n;
    struct part part[];
};

static void cancel_parts(struct all *a)
{
    atomic_store(&a->cancelled, 1);
    for (size_t i = 0; i < a->n; i++) {
        struct gate_call *c = atomic_load(&a->part[i].call);

        if (c)
            a->inner->ops->cancel(c);
    }
}

static void add_usage(struct gate_usage *sum, const struct gate_usage *u)
{
    sum->n_prompt += u->n_prompt;
    sum->n_cached += u->n_cached;
    sum->n_output += u->n_output;
    sum->n_reasoning += u->n_reasoning;
    sum->n_drafted += u->n_drafted;
    sum->n_accepted += u->n_accepted;
    sum->n_dropped += u->n_dropped;
    sum->n_dropped_messages += u->n_dropped_messages;
    sum->n_ctx = u->n_ctx;
    sum->queue_ns += u->queue_ns;
    sum->load_ns += u->load_ns;
    sum->prompt_ns += u->prompt_ns;
    sum->output_ns += u->output_ns;
    if (u->total_ns > sum->total_ns) /* they run side by side */
        sum->total_ns = u->total_ns;
}

/* Gives a share back; the last one says the end. e: what a part failed with, or NULL. The
 * others are cancelled before the share is given back: afterwards the client may hear the end,
 * and free everything, at any time. */
static int end_part(struct all *a, const struct err *e, const char *param)
{
    struct gate_event ev = {.kind = GATE_EV_DONE, .usage = &a->usage};
    int left, first;

    (void)pthread_mutex_lock(&a->lock);
    first = e && !a->failed.code;
    if (first) {
        a->failed = *e;
        a->param = param; /* parts' names are the request's */
    }
    (void)pthread_mutex_unlock(&a->lock);
    if (first)
        cancel_parts(a);
    (void)pthread_mutex_lock(&a->lock);
    left = --a->n_live;
    (void)pthread_mutex_unlock(&a->lock);
    if (left)
        return GATE_MORE;
    if (a->failed.code) {
        ev.kind = GATE_EV_ERROR;
        ev.err = &a->failed;
        ev.param = a->param;
    }
    return a->sink(a->ctx, &ev);
}

/* 1: the client is to hear of it. */
static int is_told(struct all *a, const struct gate_event *ev)
{
    if (ev->kind == GATE_EV_START)
        return !a->started++;
    return ev->kind > GATE_EV_START || ev->kind == GATE_EV_WARNING || !a->started;
}

static int on_event(void *ctx, const struct gate_event *ev)
{
    struct part *p = ctx;
    struct all *a = p->all;
    struct gate_event copy = *ev;
    int says = GATE_MORE;

    if (ev->kind == GATE_EV_DONE && ev->usage) {
        (void)pthread_mutex_lock(&a->lock);
        add_usage(&a->usage, ev->usage);
        (void)pthread_mutex_unlock(&a->lock);
    }
    if (ev->kind == GATE_EV_DONE || ev->kind == GATE_EV_ERROR)
        return end_part(a, ev->kind == GATE_EV_ERROR ? ev->err : NULL, ev->param);
    copy.choice += p->first;
    (void)pthread_mutex_lock(&a->lock);
    if (is_told(a, ev))
        says = a->sink(a->ctx, &copy);
    (void)pthread_mutex_unlock(&a->lock);
    if (says == GATE_STOP_NOW)
        cancel_parts(a);
    return says;
}

/* -- starting -------------------------------------------------------------------------- */

/* A request for one of the prompts. What it points to stays in q, but JSON: each ends on a
 * thread of its own, and jansson's counts do not order what others read before the last one
 * frees it. */
static struct gate_request *request_of(const struct gate_request *q, size_t i,
                                       struct gate_party *party)
{
    struct gate_request *r = gate_request_new(q->kind);
    struct arena mem;

    if (!r)
        return NULL;
    mem = r->mem;
    *r = *q;
    r->mem = mem;
    r->input = &q->input[i];
    r->n_input = 1;
    r->party = party;
    r->messages = json_deep_copy(q->messages);
    r->tools = json_deep_copy(q->tools);
    r->vars = json_deep_copy(q->vars);
    r->schema = json_deep_copy(q->schema);
    if (!r->messages == !q->messages && !r->tools == !q->tools && !r->vars == !q->vars &&
        !r->schema == !q->schema)
        return r;
    gate_request_free(r);
    return NULL;
}

static int start_part(struct all *a, size_t i, struct err *e)
{
    struct gate_request *r = a->part[i].q;
    struct gate_call *c = NULL;
    int rc;

    a->part[i].q = NULL;
    rc = gate_start(a->inner, r, on_event, &a->part[i], &c, e);
    if (rc < 0)
        return rc;
    atomic_store(&a->part[i].call, c);
    if (atomic_load(&a->cancelled))
        a->inner->ops->cancel(c);
    return 0;
}

static void all_free(struct all *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct gate_call *c = atomic_load(&a->part[i].call);

        if (c)
            a->inner->ops->free(c);
        gate_request_free(a->part[i].q);
    }
    gate_request_free(a->q);
    (void)pthread_mutex_destroy(&a->lock);
    mem_free(a);
}

static struct all *all_new(struct many *m, struct gate_request *q, gate_sink *sink, void *ctx)
{
    size_t n = q->kind == GATE_TEXT && q->n_input > 1 ? q->n_input : 1;
    struct all *a = mem_calloc(1, sizeof(*a) + n * sizeof(a->part[0]));

    if (!a)
        return NULL;
    a->inner = m->inner;
    a->sink = sink;
    a->ctx = ctx;
    a->n = n;
    a->party.n_text = n * (size_t)(q->n_choice > 0 ? q->n_choice : 1);
    a->n_live = (int)n + 1;
    (void)pthread_mutex_init(&a->lock, NULL);
    for (size_t i = 0; i < n; i++) {
        a->part[i].all = a;
        a->part[i].first = (int)i * q->n_choice;
    }
    return a;
}

/* All parts, also when the first one has failed by then: room was taken for all. The first
 * one's failure to start is the request's. */
static int start_parts(struct all *a, struct err *e)
{
    struct err why;
    int rc;

    for (size_t i = 0; i < a->n; i++) {
        a->part[i].q = request_of(a->q, i, &a->party);
        if (!a->part[i].q)
            return err_set(e, E_NOMEM, "no memory for a request");
    }
    rc = start_part(a, 0, e);
    if (rc < 0)
        return rc;
    for (size_t i = 1; i < a->n; i++) {
        if (start_part(a, i, &why) < 0)
            (void)end_part(a, &why, NULL);
    }
    (void)end_part(a, NULL, NULL);
    return 0;
}

static int op_start(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                    struct gate_call **out, struct err *e)
{
    struct all *a = all_new((struct many *)p, q, sink, ctx);
    struct gate_call *c = NULL;
    int rc;

    if (!a) {
        gate_request_free(q);
        return err_set(e, E_NOMEM, "no memory for a request");
    }
    *out = (struct gate_call *)a;
    if (a->n > 1) {
        a->q = q;
        rc = start_parts(a, e);
    } else {
        rc = gate_start(a->inner, q, on_event, &a->part[0], &c, e);
        if (rc == 0) {
            atomic_store(&a->part[0].call, c);
            if (atomic_load(&a->cancelled))
                a->inner->ops->cancel(c);
            (void)end_part(a, NULL, NULL);
        }
    }
    if (rc < 0)
        all_free(a);
    return rc;
}

static void op_cancel(struct gate_call *c)
{
    cancel_parts((struct all *)c);
}

static void op_resume(struct gate_call *c)
{
    struct all *a = (struct all *)c;

    for (size_t i = 0; i < a->n; i++) {
        struct gate_call *part = atomic_load(&a->part[i].call);

        if (part)
            a->inner->ops->resume(part);
    }
}

static void op_free(struct gate_call *c)
{
    all_free((struct all *)c);
}

static const struct provider_ops ops = {"many", op_start, op_cancel, op_resume, op_free};

int many_new(struct many **out, struct provider *inner, struct err *e)
{
    struct many *m = mem_calloc(1, sizeof(*m));

    if (!m)
        return err_set(e, E_NOMEM, "no memory for a provider");
    m->provider.ops = &ops;
    m->inner = inner;
    *out = m;
    return 0;
}

void many_free(struct many *m)
{
    mem_free(m);
}

struct provider *many_provider(struct many *m)
{
    return &m->provider;
}

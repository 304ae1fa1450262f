/* Requests, as libmicrohttpd brings them, and answers, as it takes them: the I/O thread's side
 * of an exchange.
 *
 *   state      who moves it on                                              to
 *   X_READING  the I/O thread, when the body is complete                    X_RUNNING
 *   X_RUNNING  the handler: call_begin                                      X_BEGUN
 *              the handler: call_reply                                      X_ENDED
 *   X_BEGUN    the handler: call_end                                        X_ENDED
 *
 * While libmicrohttpd has nothing to do for a connection it is suspended, and resumed by the
 * I/O thread, which a handler tells by putting the exchange into http->ready.
 */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "serve/ask.h"

#include <string.h>

/* -- the answer, given to libmicrohttpd --------------------------------------------------- */

static void suspend(struct exchange *x)
{
    x->suspended = 1;
    MHD_suspend_connection(x->conn->mhd);
}

/* libmicrohttpd wants up to max bytes more of a body that comes in pieces. */
static ssize_t take(void *ctx, uint64_t at, char *p, size_t max)
{
    struct exchange *x = ctx;
    int drained = 0;
    size_t n;

    (void)at;
    (void)pthread_mutex_lock(&x->lock);
    n = x->out.n - x->taken;
    if (n == 0 || x->gone) {
        ssize_t says = 0;

        if (x->cut || x->gone)
            says = MHD_CONTENT_READER_END_WITH_ERROR;
        else if (x->state == X_ENDED)
            says = MHD_CONTENT_READER_END_OF_STREAM;
        (void)pthread_mutex_unlock(&x->lock);
        if (says == 0)
            suspend(x);
        return says;
    }
    n = n < max ? n : max;
    memcpy(p, x->out.p + x->taken, n);
    x->taken += n;
    x->n_sent += n;
    if (x->taken == x->out.n || x->taken > CALL_BUFFER) {
        buf_shift(&x->out, x->taken);
        x->taken = 0;
    }
    if (x->full && x->out.n - x->taken <= CALL_BUFFER / 2) {
        x->full = 0;
        drained = 1;
    }
    (void)pthread_mutex_unlock(&x->lock);
    if (drained)
        http_exchange_tell(x, CALL_DRAINED);
    return (ssize_t)n;
}

static void add_headers(struct exchange *x, struct MHD_Response *r)
{
    if (x->type[0])
        (void)MHD_add_response_header(r, "Content-Type", x->type);
    (void)MHD_add_response_header(r, "x-request-id", x->call.id);
    if (x->chunked) {
        (void)MHD_add_response_header(r, "Cache-Control", "no-cache");
        (void)MHD_add_response_header(r, "X-Accel-Buffering", "no");
    }
    for (const struct field *f = x->answer; f; f = f->next)
        (void)MHD_add_response_header(r, f->name, f->value);
    if (x->close_now || x->last || x->http->quiet)
        (void)MHD_add_response_header(r, "Connection", "close");
}

/* Status and headers are known, and change no more. */
static enum MHD_Result queue(struct exchange *x, struct MHD_Connection *mhd)
{
    struct MHD_Response *r;
    enum MHD_Result done;

    if (x->chunked) {
        r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CALL_BUFFER / 8, take, x, NULL);
    } else {
        r = MHD_create_response_from_buffer(x->out.n, x->out.p, MHD_RESPMEM_PERSISTENT);
        x->n_sent = x->out.n;
    }
    if (!r)
        return MHD_NO;
    add_headers(x, r);
    x->queued = 1;
    done = MHD_queue_response(mhd, (unsigned)x->status, r);
    MHD_destroy_response(r);
    return done;
}

/* -- the request, as libmicrohttpd brings it ---------------------------------------------- */

/* More than the limit, of a body that did not say how long it is. */
static enum MHD_Result too_much(struct exchange *x)
{
    struct err e = {0};

    (void)err_set(&e, E_TOO_LONG, "the body has more than %zu bytes", x->body.max);
    http_refuse(x, 413, &e);
    buf_done(&x->body);
    http_answer_raw(x->http, x->conn);
    return MHD_NO;
}

static enum MHD_Result take_body(struct exchange *x, const char *p, size_t *n)
{
    struct err e = {0};
    size_t k = *n;

    x->n_body += k;
    *n = 0;
    if (x->refused && x->n_body > x->body.max) {
        http_answer_raw(x->http, x->conn);
        return MHD_NO;
    }
    if (x->refused)
        return MHD_YES;
    if (k > x->body.max - x->body.n)
        return too_much(x);
    if (http_body_put(x, p, k, &e) < 0) {
        if (http_add_header(x, "Retry-After", "1") < 0)
            log_line(LOG_DEBUG, "no memory for a header");
        http_refuse(x, 503, &e);
        buf_done(&x->body);
    }
    return MHD_YES;
}

static void start(struct exchange *x)
{
    struct err e = {0};

    x->call.body = (struct str){x->body.p ? x->body.p : "", x->body.n};
    x->started = 1;
    x->state = X_RUNNING;
    if (x->conn->half_closed)
        x->http->sweep_ns = 0;     /* is it still there? */
    atomic_fetch_add(&x->refs, 1); /* the handler's */
    if (x->call.route->flags & ROUTE_QUICK) {
        ask_run(x->http->s, &x->call);
    } else if (!http_pool_put(x->http->pool, x)) {
        http_exchange_unref(x);
        (void)err_set(&e, E_BUSY, "the server has too many requests waiting");
        if (http_add_header(x, "Retry-After", "1") < 0)
            log_line(LOG_DEBUG, "no memory for a header");
        http_refuse(x, 503, &e);
    }
}

enum MHD_Result http_on_request(void *ctx, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *n, void **con_cls)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct exchange *x = *con_cls;
    struct http *h = ctx;
    int gone, known, fresh = 0;

    if (atomic_load(&h->stop))
        return MHD_NO;
    if (!x) {
        struct conn *c = info ? info->socket_context : NULL;

        x = c && !c->turned_away ? http_exchange_new(h, c, method) : NULL;
        if (!x)
            return MHD_NO;
        *con_cls = x;
        atomic_fetch_add(&h->n_active, 1);
        c->x = x;
        c->pool = method;
        /* In the round of the loop in which the former one ended its head was there already. */
        c->n_piped = c->n_served && c->done_round == h->round ? c->n_piped + 1 : 0;
        x->last = c->n_piped >= HTTP_PIPELINE_MAX - 1;
        c->n_served++;
        http_door(x, mhd, url, version);
        x->rate_ns = x->call.start_ns;
        if (!x->refused || !x->close_now)
            return MHD_YES;
    } else if (*n) {
        return take_body(x, data, n);
    } else if (!x->started && !x->refused) {
        start(x);
        fresh = 1;
    }
    (void)pthread_mutex_lock(&x->lock);
    gone = x->gone;
    known = x->state >= X_BEGUN;
    (void)pthread_mutex_unlock(&x->lock);
    /* libmicrohttpd has locks of its own: ours is not held when it is called. What a handler
     * does meanwhile is looked at when the ready ones are. */
    if (gone)
        return MHD_NO; /* closes the connection */
    if (known && !x->queued)
        return queue(x, mhd);
    /* Not the first time: libmicrohttpd would still think that it was reading, and when resumed
     * take a client that has closed its half for one that is gone. It asks again at once. */
    if (!fresh)
        suspend(x);
    return MHD_YES;
}

void http_on_completed(void *ctx, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode why)
{
    struct exchange *x = *con_cls;
    struct conn *c;

    (void)ctx;
    (void)mhd;
    if (!x)
        return;
    *con_cls = NULL;
    atomic_fetch_sub(&x->http->n_active, 1);
    c = x->conn;
    if (c) {
        c->done_round = x->http->round;
        if (x->close_now || x->last ||
            (x->refused && why != MHD_REQUEST_TERMINATED_COMPLETED_OK))
            http_linger(x->http, c);
        c->x = NULL;
        c->idle_ns = clock_ns();
        c->head_ns = 0;
        c->swept = 0;
        c->n_received = 0;
    }
    x->conn = NULL;
    http_exchange_gone(x);
    http_log(x);
    http_exchange_unref(x);
}

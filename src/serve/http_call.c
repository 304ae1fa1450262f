/* Exchanges: from the first byte of a request's head to the last of its answer.
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
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define HEAD_MEM  ((size_t)512 << 10)
#define REPLY_MAX ((size_t)512 << 20)

/* -- what the I/O thread hears ------------------------------------------------------------ */

/* Under x->lock. A call whose client is gone must not touch the server, which may be gone too.
 */
static void make_ready(struct exchange *x)
{
    struct http *h = x->http;
    int first;

    if (x->gone || x->listed)
        return;
    x->listed = 1;
    atomic_fetch_add(&x->refs, 1);
    (void)pthread_mutex_lock(&h->lock);
    first = !h->ready;
    x->next_ready = h->ready;
    h->ready = x;
    (void)pthread_mutex_unlock(&h->lock);
    if (first)
        http_wake(h);
}

void http_take_ready(struct http *h)
{
    struct exchange *x, *next;

    (void)pthread_mutex_lock(&h->lock);
    x = h->ready;
    h->ready = NULL;
    (void)pthread_mutex_unlock(&h->lock);
    for (; x; x = next) {
        next = x->next_ready;
        (void)pthread_mutex_lock(&x->lock);
        x->listed = 0;
        (void)pthread_mutex_unlock(&x->lock);
        if (x->conn && x->suspended) {
            x->suspended = 0;
            MHD_resume_connection(x->conn->mhd);
        }
        http_exchange_unref(x);
    }
}

static void tell(struct exchange *x, int what)
{
    (void)pthread_mutex_lock(&x->listen_lock);
    if (x->listener)
        x->listener(x->listener_ctx, what);
    (void)pthread_mutex_unlock(&x->listen_lock);
}

void http_exchange_gone(struct exchange *x)
{
    int was;

    (void)pthread_mutex_lock(&x->lock);
    was = x->gone;
    x->gone = 1;
    (void)pthread_mutex_unlock(&x->lock);
    if (!was)
        tell(x, CALL_GONE);
}

/* -- what handlers do ---------------------------------------------------------------------- */

static struct exchange *of(const struct call *c)
{
    return (struct exchange *)(uintptr_t)c; /* its first member */
}

static const char *op_header(const struct call *c, const char *name)
{
    return http_head_find(of(c)->field, name);
}

static const char *op_query(const struct call *c, const char *name)
{
    for (const struct field *f = of(c)->query; f; f = f->next) {
        if (strcmp(f->name, name) == 0)
            return f->value;
    }
    return NULL;
}

int http_add_header(struct exchange *x, const char *name, const char *value)
{
    struct field *f = arena_alloc(&x->mem, sizeof(*f));
    char *copy[2];

    copy[0] = arena_strdup(&x->mem, str_of(name));
    copy[1] = arena_strdup(&x->mem, str_of(value));
    if (!f || !copy[0] || !copy[1])
        return E_NOMEM;
    for (int i = 0; i < 2; i++) {
        for (char *p = copy[i]; *p; p++) {
            if ((unsigned char)*p < 0x20 && *p != '\t')
                *p = ' ';
        }
    }
    *f = (struct field){copy[0], copy[1], x->answer};
    x->answer = f;
    return 0;
}

static int op_add_header(struct call *c, const char *name, const char *value)
{
    struct exchange *x = of(c);
    int rc;

    (void)pthread_mutex_lock(&x->lock);
    rc = http_add_header(x, name, value);
    (void)pthread_mutex_unlock(&x->lock);
    return rc;
}

/* Under x->lock, or before others know of it. What does not fit into memory is an empty 500. */
void http_set_answer(struct exchange *x, int status, const char *type, const char *p, size_t n)
{
    x->status = status;
    x->type[0] = '\0';
    if (type)
        (void)snprintf(x->type, sizeof(x->type), "%s", type);
    buf_clear(&x->out);
    if (n && !x->gone && buf_put(&x->out, p, n) < 0) {
        x->status = 500;
        x->type[0] = '\0';
    }
    x->state = X_ENDED;
}

/* Who has given the call back hears nothing more of it. */
static void deafen(struct exchange *x)
{
    (void)pthread_mutex_lock(&x->listen_lock);
    x->listener = NULL;
    (void)pthread_mutex_unlock(&x->listen_lock);
}

static void op_reply(struct call *c, int status, const char *type, const char *p, size_t n)
{
    struct exchange *x = of(c);

    deafen(x);
    (void)pthread_mutex_lock(&x->lock);
    http_set_answer(x, status, type, p, n);
    make_ready(x);
    (void)pthread_mutex_unlock(&x->lock);
    http_exchange_unref(x);
}

static int op_begin(struct call *c, int status, const char *type)
{
    struct exchange *x = of(c);
    int says;

    (void)pthread_mutex_lock(&x->lock);
    x->status = status;
    (void)snprintf(x->type, sizeof(x->type), "%s", type ? type : "");
    x->chunked = 1;
    x->state = X_BEGUN;
    make_ready(x);
    says = x->gone ? CALL_GONE : CALL_TAKEN;
    (void)pthread_mutex_unlock(&x->lock);
    return says;
}

static int op_write(struct call *c, const char *p, size_t n)
{
    struct exchange *x = of(c);
    int says = CALL_TAKEN;

    (void)pthread_mutex_lock(&x->lock);
    if (!x->gone && n && buf_put(&x->out, p, n) < 0) {
        x->cut = 1; /* a stream with a hole in it must not end well */
        x->state = X_ENDED;
        make_ready(x);
    }
    if (x->gone || x->cut) {
        says = CALL_GONE;
    } else {
        make_ready(x);
        x->full = x->out.n - x->taken > CALL_BUFFER;
        says = x->full ? CALL_FULL : CALL_TAKEN;
    }
    (void)pthread_mutex_unlock(&x->lock);
    return says;
}

static void op_end(struct call *c, int cut)
{
    struct exchange *x = of(c);

    deafen(x);
    (void)pthread_mutex_lock(&x->lock);
    x->cut |= cut;
    x->state = X_ENDED;
    make_ready(x);
    (void)pthread_mutex_unlock(&x->lock);
    http_exchange_unref(x);
}

static void op_listen(struct call *c, call_listener *fn, void *ctx)
{
    struct exchange *x = of(c);
    int gone;

    (void)pthread_mutex_lock(&x->listen_lock);
    x->listener = fn;
    x->listener_ctx = ctx;
    (void)pthread_mutex_unlock(&x->listen_lock);
    (void)pthread_mutex_lock(&x->lock);
    gone = x->gone;
    (void)pthread_mutex_unlock(&x->lock);
    if (gone && fn)
        fn(ctx, CALL_GONE);
}

static const struct call_ops ops = {
    .header = op_header,
    .query = op_query,
    .add_header = op_add_header,
    .reply = op_reply,
    .begin = op_begin,
    .write = op_write,
    .end = op_end,
    .listen = op_listen,
};

/* -- life ---------------------------------------------------------------------------------- */

static void make_id(char id[CALL_ID_LEN + 1])
{
    static const char digit[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    unsigned char r[CALL_ID_LEN - 4];
    ssize_t n = getrandom(r, sizeof(r), GRND_NONBLOCK);

    memcpy(id, "req_", 4);
    for (int i = 0; i < CALL_ID_LEN - 4; i++)
        id[4 + i] = digit[(n == (ssize_t)sizeof(r) ? r[i] : (clock_ns() >> i)) % 36];
    id[CALL_ID_LEN] = '\0';
}

struct exchange *http_exchange_new(struct http *h, struct conn *c, const char *method)
{
    struct exchange *x = mem_calloc(1, sizeof(*x));

    if (!x)
        return NULL;
    x->call.ops = &ops;
    x->call.start_ns = clock_ns();
    make_id(x->call.id);
    x->http = h;
    x->conn = c;
    x->tls = h->tls;
    atomic_init(&x->refs, 1);
    arena_init(&x->mem, HEAD_MEM);
    buf_init(&x->body, (size_t)http_config(h)->body_max);
    buf_init(&x->out, REPLY_MAX);
    (void)pthread_mutex_init(&x->lock, NULL);
    (void)pthread_mutex_init(&x->listen_lock, NULL);
    x->call.method = arena_strdup(&x->mem, str_of(method));
    if (!x->call.method) {
        http_exchange_unref(x);
        return NULL;
    }
    return x;
}

void http_exchange_unref(struct exchange *x)
{
    if (atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    buf_done(&x->body);
    buf_done(&x->out);
    arena_done(&x->mem);
    (void)pthread_mutex_destroy(&x->lock);
    (void)pthread_mutex_destroy(&x->listen_lock);
    mem_free(x);
}

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
        else
            suspend(x);
        (void)pthread_mutex_unlock(&x->lock);
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
        tell(x, CALL_DRAINED);
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
    if (x->close_now || x->http->quiet)
        (void)MHD_add_response_header(r, "Connection", "close");
}

/* Under x->lock. */
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
    if (buf_put(&x->body, p, k) < 0) {
        (void)err_set(&e, E_NOMEM, "no memory for a body of %zu bytes", x->body.n + k);
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
        x->call.route->run(x->http->s, &x->call);
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
    enum MHD_Result done = MHD_YES;

    if (atomic_load(&h->stop))
        return MHD_NO;
    if (!x) {
        struct conn *c = info ? info->socket_context : NULL;

        x = c ? http_exchange_new(h, c, method) : NULL;
        if (!x)
            return MHD_NO;
        *con_cls = x;
        atomic_fetch_add(&h->n_active, 1);
        c->x = x;
        c->pool = method;
        c->n_served++;
        http_door(x, mhd, url, version);
        x->rate_ns = x->call.start_ns;
        if (!x->refused || !x->close_now)
            return MHD_YES;
    } else if (*n) {
        return take_body(x, data, n);
    } else if (!x->started && !x->refused) {
        start(x);
        /* Not suspended yet: libmicrohttpd would still think that it was reading, and when
         * resumed take a client that has closed its half for one that is gone. It asks again
         * at once. */
        return MHD_YES;
    }
    (void)pthread_mutex_lock(&x->lock);
    if (x->gone)
        done = MHD_NO; /* closes the connection */
    else if (x->state >= X_BEGUN && !x->queued)
        done = queue(x, mhd);
    else
        suspend(x);
    (void)pthread_mutex_unlock(&x->lock);
    return done;
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
        if (x->close_now || (x->refused && why != MHD_REQUEST_TERMINATED_COMPLETED_OK))
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

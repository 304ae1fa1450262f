/* Exchanges, as handlers see them: the operations of a call. */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define HEAD_MEM  ((size_t)512 << 10)
#define REPLY_MAX ((size_t)512 << 20)

/* -- bodies ------------------------------------------------------------------------------- */

/* One may be long, and there may be many: bytes of those in memory, from the first that comes
 * to the end of its exchange, which may outlive the server. */
static atomic_size_t bodies;

enum { BODIES_LONG = 16 }; /* of the greatest length */
#define BODIES_LEAST ((size_t)64 << 20)

int http_body_put(struct exchange *x, const char *p, size_t n, struct err *e)
{
    size_t most = BODIES_LONG * x->body.max;

    if (most < BODIES_LEAST)
        most = BODIES_LEAST;
    x->n_kept += n;
    if (atomic_fetch_add(&bodies, n) + n > most)
        return err_set(e, E_BUSY, "too many long requests at once");
    if (buf_put(&x->body, p, n) < 0)
        return err_set(e, E_NOMEM, "no memory for a body of %zu bytes", x->body.n + n);
    return 0;
}

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

int http_take_ready(struct http *h)
{
    struct exchange *x, *next;
    int n = 0;

    (void)pthread_mutex_lock(&h->lock);
    x = h->ready;
    h->ready = NULL;
    (void)pthread_mutex_unlock(&h->lock);
    for (; x; x = next) {
        next = x->next_ready;
        (void)pthread_mutex_lock(&x->lock);
        x->listed = 0;
        n += x->state < X_ENDED;
        (void)pthread_mutex_unlock(&x->lock);
        if (x->conn && x->suspended) {
            x->suspended = 0;
            MHD_resume_connection(x->conn->mhd);
        }
        http_exchange_unref(x);
    }
    return n;
}

void http_exchange_tell(struct exchange *x, int what)
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
        http_exchange_tell(x, CALL_GONE);
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

static const char *op_query_name(const struct call *c, size_t i)
{
    const struct field *f = of(c)->query;

    while (f && i-- > 0)
        f = f->next;
    return f ? f->name : NULL;
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
        /* Until CALL_DRAINED is told, which nobody would without the mark: who was told to wait
         * may still write what was under way. */
        if (x->out.n - x->taken > CALL_BUFFER)
            x->full = 1;
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

static void op_name_model(struct call *c, struct str model)
{
    struct exchange *x = of(c);

    (void)pthread_mutex_lock(&x->lock);
    (void)snprintf(x->model, sizeof(x->model), "%.*s", (int)model.n, model.n ? model.p : "");
    (void)pthread_mutex_unlock(&x->lock);
}

static const struct call_ops ops = {
    .header = op_header,
    .query = op_query,
    .query_name = op_query_name,
    .add_header = op_add_header,
    .reply = op_reply,
    .begin = op_begin,
    .write = op_write,
    .end = op_end,
    .listen = op_listen,
    .name_model = op_name_model,
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
    (void)atomic_fetch_sub(&bodies, x->n_kept);
    buf_done(&x->out);
    arena_done(&x->mem);
    (void)pthread_mutex_destroy(&x->lock);
    (void)pthread_mutex_destroy(&x->listen_lock);
    mem_free(x);
}

/* The I/O thread. */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "serve/auth.h"
#include "sys/pool.h"
#include "sys/slice.h"
#include "sys/thread.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define LULL_NS 300000

enum {
    EVENTS = 256,
    HANDLERS_MIN = 8, /* some wait for models that are loading */
    SPARE_FDS = 128   /* for models, the database, logs */
};

void http_wake(struct http *h)
{
    uint64_t one = 1;

    if (write(h->wake, &one, sizeof(one)) < 0)
        return; /* it is awake: the counter is full */
}

/* -- the loop ------------------------------------------------------------------------------ */

static void watch_listeners(struct http *h, int op)
{
    for (int i = 0; i < h->n_listener; i++) {
        struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = &h->listener[i]}};

        (void)epoll_ctl(h->epoll, op, h->listener[i].fd, &ev);
    }
}

static void handle(struct http *h, const struct epoll_event *ev)
{
    uint64_t n;

    switch (*(const int *)ev->data.ptr) {
    case WATCH_WAKE:
        if (read(h->wake, &n, sizeof(n)) < 0 && errno != EAGAIN)
            log_line(LOG_WARN, "cannot be woken: %s", strerror(errno));
        break;
    case WATCH_LISTEN:
        if (!h->accept_stopped)
            http_accept(h, ev->data.ptr);
        break;
    case WATCH_CONN:
        http_conn_event(h, ev->data.ptr, ev->events);
        break;
    case WATCH_LINGER:
        http_linger_event(h, ev->data.ptr);
        break;
    default:
        break; /* libmicrohttpd's: MHD_run comes anyway */
    }
}

/* Milliseconds until something must be done without an event; -1: never. */
static int wait_ms(struct http *h, uint64_t now)
{
    if (http_daemons_are_busy(h))
        return 0;
    if (!h->first && !h->leaving && !h->accept_stopped)
        return -1;
    return h->sweep_ns <= now ? 0 : (int)((h->sweep_ns - now) / 1000000 + 1);
}

/* Without file descriptors the listening sockets would be ready for ever. */
static void pause_listening(struct http *h, int *paused)
{
    if (h->accept_stopped == *paused || h->quiet)
        return;
    *paused = h->accept_stopped;
    watch_listeners(h, *paused ? EPOLL_CTL_DEL : EPOLL_CTL_ADD);
}

/* Every connection ends, whatever it was doing: libmicrohttpd must have no suspended ones. */
static void close_all(struct http *h)
{
    http_conn_drop_new(h);
    for (struct conn *c = h->first; c; c = c->next) {
        (void)shutdown(c->fd, SHUT_RDWR);
        if (!c->x)
            continue;
        http_exchange_gone(c->x);
        if (c->x->suspended) {
            c->x->suspended = 0;
            MHD_resume_connection(c->mhd);
        }
    }
    http_daemons_run(h);
}

/* A stream of thousands of pieces a second would wake this thread for each of them, which costs
 * the engine more than a small model's token. Nobody reads that fast: pieces that come within
 * LULL_NS of others are sent together. */
static void lull(struct http *h, int n_ready)
{
    struct timespec t = {.tv_nsec = LULL_NS};
    uint64_t now;

    if (!n_ready)
        return;
    now = clock_ns();
    if (now - h->ready_ns < LULL_NS) {
        (void)nanosleep(&t, NULL);
        now = clock_ns();
    }
    h->ready_ns = now;
}

static void *io_thread(void *ctx)
{
    struct http *h = ctx;
    struct epoll_event ev[EVENTS];
    int paused = 0, n_ready;

    slice_short();
    while (!atomic_load(&h->stop)) {
        int n = epoll_wait(h->epoll, ev, EVENTS, wait_ms(h, clock_ns()));
        uint64_t now;

        for (int i = 0; i < n; i++)
            handle(h, &ev[i]);
        n_ready = http_take_ready(h);
        h->round++;
        http_daemons_run(h);
        lull(h, n_ready);
        if (atomic_load(&h->quiesce) && !h->quiet) {
            watch_listeners(h, EPOLL_CTL_DEL);
            http_listen_close(h);
            h->quiet = 1;
        }
        now = clock_ns();
        if (h->sweep_ns <= now && (h->first || h->leaving || h->accept_stopped))
            http_sweep(h, now);
        pause_listening(h, &paused);
    }
    close_all(h);
    return NULL;
}

/* -- starting ------------------------------------------------------------------------------ */

int http_check(const struct config *c, int where, int has_keys, struct err *e)
{
    return where ? http_daemon_check(c, e) : http_listen_check(c, has_keys, e);
}

/* As many files as the connections need, if the system lets us. */
static void raise_file_limit(const struct config *c)
{
    rlim_t want = (rlim_t)c->n_connection + SPARE_FDS;
    struct rlimit r;

    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want)
        return;
    r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur < want)
        log_line(LOG_WARN,
                 "limits.connections is %d, but this process may open only %llu files",
                 c->n_connection, (unsigned long long)r.rlim_cur);
}

static int start(struct http *h, struct err *e)
{
    const struct config *c = http_config(h);
    struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = &h->watch_wake}};
    int n = c->n_handler ? c->n_handler : 2 * pool_default_threads(), rc;

    raise_file_limit(c);
    h->epoll = epoll_create1(EPOLL_CLOEXEC);
    h->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (h->epoll < 0 || h->wake < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, h->wake, &ev) < 0)
        return err_sys(e, E_IO, errno, "make the server's epoll");
    h->tls = c->tls_cert || c->tls_key;
    if ((rc = http_daemon_start(h, e)) < 0 || (rc = http_listen(h, e)) < 0)
        return rc;
    if (!c->n_handler && n < HANDLERS_MIN)
        n = HANDLERS_MIN;
    rc = http_pool_new(&h->pool, h->s, n, c->n_queue, e);
    if (rc < 0)
        return rc;
    watch_listeners(h, EPOLL_CTL_ADD);
    rc = thread_start(&h->thread, io_thread, h);
    if (rc != 0)
        return err_sys(e, E_IO, rc, "make the server's thread");
    h->running = 1;
    return 0;
}

int http_start(struct http **out, struct serve *s, struct err *e)
{
    struct http *h = mem_calloc(1, sizeof(*h));
    int rc;

    if (!h)
        return err_set(e, E_NOMEM, "no memory for a server");
    h->s = s;
    h->epoll = h->wake = -1;
    h->watch_wake = WATCH_WAKE;
    (void)pthread_mutex_init(&h->lock, NULL);
    rc = start(h, e);
    if (rc < 0) {
        http_stop(h);
        return rc;
    }
    *out = h;
    return 0;
}

int http_port(const struct http *h)
{
    return h->port;
}

int http_is_open(const struct http *h)
{
    return h->beyond_loopback;
}

const char *http_address(const struct http *h)
{
    return h->address;
}

int http_connections(const struct http *h)
{
    return atomic_load(&h->n_conn);
}

int http_active(const struct http *h)
{
    return atomic_load(&h->n_active);
}

void http_quiesce(struct http *h)
{
    atomic_store(&h->quiesce, 1);
    http_wake(h);
}

void http_stop(struct http *h)
{
    if (!h)
        return;
    atomic_store(&h->stop, 1);
    if (h->running) {
        http_wake(h);
        (void)pthread_join(h->thread, NULL);
    }
    http_pool_free(h->pool);
    http_take_ready(h);
    http_daemons_stop(h);
    http_listen_close(h);
    http_linger_end(h, 0, 1);
    if (h->epoll >= 0)
        (void)close(h->epoll);
    if (h->wake >= 0)
        (void)close(h->wake);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

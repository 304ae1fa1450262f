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
#include <fcntl.h>
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
    SPARE_FDS = 128,  /* for models, the database, logs */
    PEM_MAX = 1 << 20
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
    MHD_UNSIGNED_LONG_LONG ms;

    if (MHD_get_timeout(h->mhd, &ms) == MHD_YES && ms == 0)
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
    (void)MHD_run(h->mhd);
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
        (void)MHD_run(h->mhd);
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

static void say(void *ctx, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void say(void *ctx, const char *fmt, va_list ap)
{
    char line[512];
    int n = vsnprintf(line, sizeof(line), fmt, ap);

    (void)ctx;
    while (n > 0 && n < (int)sizeof(line) && line[n - 1] == '\n')
        line[--n] = '\0';
    log_line(LOG_DEBUG, "http: %s", line);
}

/* Escapes are undone by http_head.c, which knows which ones may be there. */
static size_t keep_escaped(void *ctx, struct MHD_Connection *mhd, char *s)
{
    (void)ctx;
    (void)mhd;
    return strlen(s);
}

static int read_pem(char **out, const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return err_sys(e, errno == ENOENT ? E_NOT_FOUND : E_IO, errno, "TLS: %s", path);
    *out = mem_alloc(PEM_MAX);
    n = *out ? read(fd, *out, PEM_MAX - 1) : -1;
    (void)close(fd);
    if (n < 0)
        return err_set(e, E_IO, "TLS: %s cannot be read", path);
    (*out)[n] = '\0';
    return 0;
}

static int read_tls(struct http *h, struct err *e)
{
    const struct config *c = http_config(h);

    if (!c->tls_cert && !c->tls_key)
        return 0;
    if (!c->tls_cert || !c->tls_key)
        return err_set(e, E_INVALID, "TLS needs both: listen.tls_cert and listen.tls_key");
    h->tls = 1;
    if (read_pem(&h->cert, c->tls_cert, e) < 0 || read_pem(&h->key, c->tls_key, e) < 0)
        return e->code;
    return 0;
}

static int start_mhd(struct http *h, struct err *e)
{
    static char versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"; /* GnuTLS would take them */
    const struct config *c = http_config(h);
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG | (h->tls ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, versions},
                                   {MHD_OPTION_END, 0, NULL}};
    const union MHD_DaemonInfo *info;
    struct epoll_event ev = {.events = EPOLLIN, .data = {.ptr = &h->watch_mhd}};

    h->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, h, MHD_OPTION_EXTERNAL_LOGGER, say, NULL,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)c->n_connection + 1, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        http_conn_notify, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY, h->tls ? tls : tls + 3,
        MHD_OPTION_END);
    info = h->mhd ? MHD_get_daemon_info(h->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info)
        return h->tls ? err_set(e, E_INVALID, "TLS: %s and %s are no certificate and its key",
                                c->tls_cert, c->tls_key)
                      : err_set(e, E_IO, "libmicrohttpd does not start");
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, info->epoll_fd, &ev) < 0)
        return err_sys(e, E_IO, errno, "watch libmicrohttpd");
    return 0;
}

static int check_tls(const struct config *c, struct err *e)
{
    struct serve s = {.config = c};
    struct http h = {.s = &s, .epoll = epoll_create1(EPOLL_CLOEXEC)};
    int rc = h.epoll < 0 ? err_sys(e, E_IO, errno, "make an epoll") : read_tls(&h, e);

    if (rc == 0 && h.tls)
        rc = start_mhd(&h, e);
    if (h.mhd)
        MHD_stop_daemon(h.mhd);
    mem_free(h.cert);
    mem_free(h.key);
    if (h.epoll >= 0)
        (void)close(h.epoll);
    return rc;
}

int http_check(const struct config *c, int where, int has_keys, struct err *e)
{
    return where ? check_tls(c, e) : http_listen_check(c, has_keys, e);
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
    if ((rc = read_tls(h, e)) < 0 || (rc = http_listen(h, e)) < 0 || (rc = start_mhd(h, e)) < 0)
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
    h->watch_mhd = WATCH_MHD;
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
    if (h->mhd)
        MHD_stop_daemon(h->mhd);
    http_listen_close(h);
    http_linger_end(h, 0, 1);
    if (h->epoll >= 0)
        (void)close(h->epoll);
    if (h->wake >= 0)
        (void)close(h->wake);
    mem_free(h->cert);
    mem_free(h->key);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

/* http_daemon.c - libmicrohttpd's daemons: one, and with TLS another for each certificate that
 * has come since.
 *
 * A daemon reads its certificate when it starts. We accept connections ourselves and give each
 * to the newest daemon, so a renewed certificate is another daemon, and the older one stays
 * until its last connection has ended: those who have begun with a certificate go on with it.
 * Starting it is also the proof that certificate and key are some, and belong together.
 *
 * Daemons are made by the thread that reads the configuration and handed to the I/O thread,
 * which alone runs them.
 */
#include "serve/http_priv.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { PEM_MAX = 1 << 20 };

/* -- making ----------------------------------------------------------------------------------
 */

static void say(void *ctx, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

static void say(void *ctx, const char *fmt, va_list ap)
{
    char line[512];
    int n = vsnprintf(line, sizeof(line), fmt, ap);

    http_early_said(ctx, fmt);
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

static int read_tls(struct http_daemon *d, const struct config *c, struct err *e)
{
    if (!c->tls_cert || !c->tls_key)
        return err_set(e, E_INVALID, "TLS needs both: listen.tls_cert and listen.tls_key");
    if (read_pem(&d->cert, c->tls_cert, e) < 0 || read_pem(&d->key, c->tls_key, e) < 0)
        return e->code;
    return 0;
}

static int start_mhd(struct http_daemon *d, struct http *h, const struct config *c,
                     struct err *e)
{
    static char versions[] = "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"; /* GnuTLS would take them */
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
                     MHD_USE_ERROR_LOG | (h->tls ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, d->cert},
                                   {MHD_OPTION_HTTPS_MEM_KEY, 0, d->key},
                                   {MHD_OPTION_HTTPS_PRIORITIES, 0, versions},
                                   {MHD_OPTION_END, 0, NULL}};

    d->mhd = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, h, MHD_OPTION_EXTERNAL_LOGGER, say, h,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_POOL, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)c->n_connection + 1, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, h, MHD_OPTION_NOTIFY_CONNECTION,
        http_conn_notify, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, http_early_target, h, MHD_OPTION_ARRAY,
        h->tls ? tls : tls + 3, MHD_OPTION_END);
    if (d->mhd && MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD))
        return 0;
    return h->tls ? err_set(e, E_INVALID, "TLS: %s and %s are no certificate and its key",
                            c->tls_cert, c->tls_key)
                  : err_set(e, E_IO, "libmicrohttpd does not start");
}

void http_daemon_free(struct http_daemon *d)
{
    if (!d)
        return;
    if (d->mhd)
        MHD_stop_daemon(d->mhd);
    if (d->key)
        explicit_bzero(d->key, strlen(d->key));
    mem_free(d->cert);
    mem_free(d->key);
    mem_free(d);
}

/* The newest one; NULL: none yet. Nobody takes it away while it is that. */
static const struct http_daemon *newest(struct http *h)
{
    const struct http_daemon *d;

    (void)pthread_mutex_lock(&h->lock);
    d = h->fresh ? h->fresh : h->daemon;
    (void)pthread_mutex_unlock(&h->lock);
    return d;
}

/* *out NULL: there is one already, and the texts are its own. */
static int make(struct http_daemon **out, struct http *h, const struct config *c, struct err *e)
{
    const struct http_daemon *last = newest(h);
    struct http_daemon *d = mem_calloc(1, sizeof(*d));
    int rc;

    *out = NULL;
    if (!d)
        return err_set(e, E_NOMEM, "no memory for a server");
    d->watch = WATCH_MHD;
    rc = h->tls ? read_tls(d, c, e) : 0;
    if (rc == 0 && last && strcmp(d->cert, last->cert) == 0 && strcmp(d->key, last->key) == 0) {
        http_daemon_free(d);
        return 0;
    }
    if (rc == 0)
        rc = start_mhd(d, h, c, e);
    if (rc < 0)
        http_daemon_free(d);
    else
        *out = d;
    return rc;
}

int http_daemon_check(const struct config *c, struct err *e)
{
    struct http h = {.tls = c->tls_cert || c->tls_key};
    struct http_daemon *d;
    int rc;

    if (!h.tls)
        return 0;
    d = mem_calloc(1, sizeof(*d));
    rc = d ? read_tls(d, c, e) : err_set(e, E_NOMEM, "no memory for a server");
    if (rc == 0)
        rc = start_mhd(d, &h, c, e);
    http_daemon_free(d);
    return rc;
}

/* -- handing over ----------------------------------------------------------------------------
 */

int http_tls_load(struct http *h, const struct config *c, struct http_daemon **out,
                  struct err *e)
{
    *out = NULL;
    /* Whether there is TLS changes with the next start only. */
    return h->tls && c->tls_cert ? make(out, h, c, e) : 0;
}

void http_tls_use(struct http *h, struct http_daemon *d)
{
    struct http_daemon *unused;

    if (!d)
        return;
    (void)pthread_mutex_lock(&h->lock);
    unused = h->fresh;
    h->fresh = d;
    (void)pthread_mutex_unlock(&h->lock);
    http_daemon_free(unused);
    http_wake(h);
}

/* New connections are the fresh one's from now on. */
static int take_fresh(struct http *h, struct err *e)
{
    struct epoll_event ev = {.events = EPOLLIN};
    const union MHD_DaemonInfo *info;
    struct http_daemon *d;
    int why = 0;

    (void)pthread_mutex_lock(&h->lock);
    d = h->fresh;
    h->fresh = NULL;
    if (d) {
        info = MHD_get_daemon_info(d->mhd, MHD_DAEMON_INFO_EPOLL_FD);
        ev.data.ptr = &d->watch;
        why = epoll_ctl(h->epoll, EPOLL_CTL_ADD, info->epoll_fd, &ev) < 0 ? errno : 0;
    }
    if (d && !why) {
        d->next = h->daemon;
        h->daemon = d;
    }
    (void)pthread_mutex_unlock(&h->lock);
    if (!why)
        return 0;
    http_daemon_free(d);
    return err_sys(e, E_IO, why, "watch libmicrohttpd");
}

int http_daemon_start(struct http *h, struct err *e)
{
    const struct config *c = http_config(h);
    int rc = make(&h->fresh, h, c, e);

    return rc < 0 ? rc : take_fresh(h, e);
}

/* -- running ---------------------------------------------------------------------------------
 */

int http_daemons_are_busy(const struct http *h)
{
    for (const struct http_daemon *d = h->daemon; d; d = d->next) {
        MHD_UNSIGNED_LONG_LONG ms;

        if (MHD_get_timeout(d->mhd, &ms) == MHD_YES && ms == 0)
            return 1;
    }
    return 0;
}

void http_daemons_run(struct http *h)
{
    struct err e;

    if (take_fresh(h, &e) < 0)
        log_line(LOG_ERROR, "%s", e.msg);
    (void)MHD_run(h->daemon->mhd);
    for (struct http_daemon **at = &h->daemon->next, *d; (d = *at) != NULL;) {
        (void)MHD_run(d->mhd);
        if (d->n_conn) {
            at = &d->next;
            continue;
        }
        *at = d->next;
        http_daemon_free(d); /* its epoll closes, which ends our watching it */
    }
}

void http_daemons_stop(struct http *h)
{
    http_daemon_free(h->fresh);
    h->fresh = NULL;
    for (struct http_daemon *d = h->daemon, *next; d; d = next) {
        next = d->next;
        http_daemon_free(d);
    }
    h->daemon = NULL;
}

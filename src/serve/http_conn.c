/* Connections. All by the I/O thread.
 *
 * Once a second the sweep looks at each: a head that is not complete after head_timeout_s, a
 * body that comes too slowly, a connection that nothing happens on. libmicrohttpd knows only
 * how long ago a byte came, which one byte every ten seconds defeats, so its own timeout is
 * off.
 *
 * libmicrohttpd does not look at a suspended connection. Our epoll has all of them, for the one
 * event that the client's side is closed.
 */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define SECOND ((uint64_t)1000000000)

enum {
    ACCEPT_AT_ONCE = 64,
    UNSENT_MAX = 128 << 10, /* bytes that the system keeps for a slow reader */
    LINGER_MAX = 64,        /* connections; LINGER_S seconds */
    LINGER_S = 2,
    RATE_WINDOW_S = 30,
    PROBE_S = 5,
    MANY = 1000
};

/* -- taking -------------------------------------------------------------------------------- */

static int from_same(const struct conn *a, const struct sockaddr_in6 *b)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&a->peer,
                             *other = (const struct sockaddr_in *)(const void *)b;

    if (a->is_unix || a->peer.sin6_family != b->sin6_family)
        return 0;
    if (b->sin6_family == AF_INET)
        return four->sin_addr.s_addr == other->sin_addr.s_addr;
    return IN6_ARE_ADDR_EQUAL(&a->peer.sin6_addr, &b->sin6_addr);
}

static int too_many(const struct http *h, const struct listener *l,
                    const struct sockaddr_in6 *peer)
{
    const struct config *config = http_config(h);
    int n = 0;

    if (atomic_load(&h->n_conn) >= config->n_connection)
        return 1;
    if (l->is_unix || config->n_connection_per_ip <= 0)
        return 0;
    for (const struct conn *c = h->first; c; c = c->next)
        n += from_same(c, peer);
    return n >= config->n_connection_per_ip;
}

static void turn_away(int fd)
{
    static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n"
                               "Connection: close\r\nContent-Length: 0\r\n\r\n";

    if (send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        (void)shutdown(fd, SHUT_WR);
    (void)close(fd);
}

/* The connection that nothing has happened on for longest makes room. */
static void close_idlest(struct http *h)
{
    struct conn *oldest = NULL;

    for (struct conn *c = h->first; c; c = c->next) {
        if (!c->x && (!oldest || c->idle_ns < oldest->idle_ns))
            oldest = c;
    }
    if (oldest)
        (void)shutdown(oldest->fd, SHUT_RDWR);
}

static void forget(struct http *h, struct conn *c)
{
    if (c->next)
        c->next->prev = c->prev;
    if (c->prev)
        c->prev->next = c->next;
    else
        h->first = c->next;
    atomic_fetch_sub(&h->n_conn, 1);
    c->daemon->n_conn--;
    mem_free(c);
}

static void add(struct http *h, const struct listener *l, int fd,
                const struct sockaddr_storage *peer, socklen_t n)
{
    struct conn *c = mem_calloc(1, sizeof(*c));
    struct epoll_event ev = {.events = EPOLLRDHUP | EPOLLET, .data = {.ptr = c}};
    int on = 1, unsent = UNSENT_MAX;

    if (!c) {
        (void)close(fd);
        return;
    }
    c->watch = WATCH_CONN;
    c->fd = fd;
    c->is_unix = l->is_unix;
    c->daemon = h->daemon;
    c->daemon->n_conn++;
    memcpy(&c->peer, peer, n < sizeof(c->peer) ? n : sizeof(c->peer));
    if (!c->is_unix) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    }
    c->idle_ns = clock_ns();
    c->next = h->first;
    if (h->first)
        h->first->prev = c;
    h->first = c;
    atomic_fetch_add(&h->n_conn, 1);
    if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
        log_line(LOG_WARN, "a connection cannot be watched: %s", strerror(errno));
    h->adding = c;
    if (MHD_add_connection(c->daemon->mhd, fd, (const struct sockaddr *)peer, n) == MHD_NO &&
        h->adding)
        forget(h, c); /* the file descriptor is closed */
    h->adding = NULL;
}

void http_accept(struct http *h, struct listener *l)
{
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage peer = {0};
        struct sockaddr_in6 from = {0};
        socklen_t n = sizeof(peer);
        int fd = accept4(l->fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 &&
            (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
            log_line(LOG_WARN, "no more connections for now: %s", strerror(errno));
            h->accept_stopped = 1;
            close_idlest(h);
        }
        if (fd < 0)
            return;
        memcpy(&from, &peer, sizeof(from));
        if (too_many(h, l, &from))
            turn_away(fd);
        else
            add(h, l, fd, &peer, n);
    }
}

void http_conn_notify(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                      enum MHD_ConnectionNotificationCode what)
{
    struct http *h = ctx;
    struct conn *c = h->adding;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        if (c)
            c->mhd = mhd;
        *socket_context = c;
        return;
    }
    c = *socket_context;
    if (!c)
        return;
    (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, c->fd, NULL);
    if (h->adding == c)
        h->adding = NULL;
    *socket_context = NULL;
    forget(h, c);
}

/* -- who is gone --------------------------------------------------------------------------- */

static void drop(struct conn *c)
{
    struct exchange *x = c->x;

    if (!x) {
        (void)shutdown(c->fd, SHUT_RDWR);
        return;
    }
    (void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd finds it closed */
    http_exchange_gone(x);
    if (x->suspended) {
        x->suspended = 0;
        MHD_resume_connection(c->mhd);
    }
}

/* The client sends nothing more: is it still there? */
static void look_for(struct conn *c, uint64_t now)
{
    static const char interim[] = "HTTP/1.1 102 Processing\r\n\r\n";
    struct exchange *x = c->x;
    int gone = http_peer_gone(c);

    if (gone == 1 || x->tls) { /* TLS says goodbye before it closes */
        drop(c);
        return;
    }
    if (gone == 0 || c->is_unix || x->v10 || x->queued || !x->suspended ||
        now - c->asked_ns < PROBE_S * SECOND)
        return;
    c->asked_ns = now;
    (void)send(c->fd, interim, sizeof(interim) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void http_conn_event(struct http *h, struct conn *c, uint32_t events)
{
    c->half_closed |= (events & EPOLLRDHUP) != 0;
    if (!c->x || c->x->close_now)
        return; /* libmicrohttpd is looking at it */
    if (events & (EPOLLHUP | EPOLLERR)) {
        drop(c);
    } else if (c->half_closed) {
        if (c->x->started)
            look_for(c, clock_ns());
        h->sweep_ns = 0;
    }
}

/* -- closing ------------------------------------------------------------------------------- */

/* Without it the system would answer what the client still sends with a reset, which makes it
 * forget the answer that it has not read yet. */
void http_linger(struct http *h, struct conn *c)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLRDHUP};
    struct leaving *l;

    if (c->is_unix || h->n_leaving >= LINGER_MAX)
        return;
    l = mem_calloc(1, sizeof(*l));
    if (!l)
        return;
    l->watch = WATCH_LINGER;
    l->fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 3);
    l->until_ns = clock_ns() + LINGER_S * SECOND;
    ev.data.ptr = l;
    if (l->fd < 0 || epoll_ctl(h->epoll, EPOLL_CTL_ADD, l->fd, &ev) < 0) {
        if (l->fd >= 0)
            (void)close(l->fd);
        mem_free(l);
        return;
    }
    l->next = h->leaving;
    h->leaving = l;
    h->n_leaving++;
}

void http_linger_event(struct http *h, struct leaving *l)
{
    char waste[16384];
    ssize_t n;

    do
        n = recv(l->fd, waste, sizeof(waste), MSG_DONTWAIT);
    while (n > 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    l->until_ns = 0;
    (void)epoll_ctl(h->epoll, EPOLL_CTL_DEL, l->fd, NULL);
}

void http_linger_end(struct http *h, uint64_t now, int all)
{
    struct leaving **at = &h->leaving, *l;

    while ((l = *at)) {
        if (!all && l->until_ns > now) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        h->n_leaving--;
        (void)close(l->fd);
        mem_free(l);
    }
}

void http_answer_raw(struct http *h, struct conn *c)
{
    struct exchange *x = c->x;
    int status = x && x->refused ? x->refused : 408;
    size_t n = x && x->refused ? x->out.n : 0;
    struct buf out;

    buf_init(&out, 1 << 17);
    if (!h->tls &&
        buf_fmt(&out,
                "HTTP/1.1 %d %s\r\nConnection: close\r\n%s%s%sx-request-id: %s\r\n"
                "Content-Length: %zu\r\n\r\n",
                status, MHD_get_reason_phrase_for((unsigned)status), n ? "Content-Type: " : "",
                n ? x->type : "", n ? "\r\n" : "", x ? x->call.id : "none", n) == 0 &&
        buf_put(&out, n ? x->out.p : "", n) == 0)
        (void)send(c->fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    buf_done(&out);
    if (x)
        x->close_now = 1;
    else
        (void)shutdown(c->fd, SHUT_RDWR);
}

/* -- the sweep ----------------------------------------------------------------------------- */

/* libmicrohttpd wipes all of a connection's memory after each request, which makes all of it
 * resident. Pages of zeros are given back: they read as zeros afterwards too, so this is safe
 * even if they were somebody else's; that they are mapped is asked first. */
static void give_back(struct conn *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = HTTP_POOL / page;
    static const char zeros[64];
    unsigned char resident[HTTP_POOL / 4096];
    char *base = (char *)((uintptr_t)c->pool & ~(uintptr_t)(page - 1));

    c->swept = 1;
    if (!c->pool || n > sizeof(resident) || mincore(base, HTTP_POOL, resident) != 0)
        return;
    for (size_t i = 1, from = 0; i <= n; i++) {
        const char *p = base + i * page;
        int empty = i < n && memcmp(p, zeros, sizeof(zeros)) == 0 &&
                    memcmp(p, p + sizeof(zeros), page - sizeof(zeros)) == 0;

        if (empty && !from)
            from = i;
        if (empty || !from)
            continue;
        (void)madvise(base + from * page, (i - from) * page, MADV_DONTNEED);
        from = 0;
    }
}

/* TCP's count of bytes that came; 0: not known. */
static uint64_t received(const struct conn *c)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);

    if (c->is_unix || getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0 ||
        n < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(info.tcpi_bytes_received))
        return 0;
    return info.tcpi_bytes_received;
}

/* Between two requests. */
static void sweep_idle(struct http *h, struct conn *c, uint64_t now)
{
    const struct config *config = http_config(h);
    uint64_t n = received(c);

    if (c->n_served && !c->n_received) {
        c->n_received = n; /* what came with the last request */
    } else if (n > c->n_received && !c->head_ns) {
        c->head_ns = c->n_served ? now : c->idle_ns;
    }
    if (c->head_ns && now - c->head_ns > (uint64_t)config->head_timeout_s * SECOND)
        http_answer_raw(h, c);
    else if (now - c->idle_ns > (uint64_t)config->idle_timeout_s * SECOND)
        (void)shutdown(c->fd, SHUT_RDWR);
    else if (c->half_closed && c->mhd && now - c->idle_ns > SECOND)
        /* It was reset, which libmicrohttpd misses when that comes while the connection is
         * suspended: it would wait for the socket, which has nothing more to say. */
        (void)MHD_set_connection_option(c->mhd, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
    else if (c->n_served && !c->swept && !c->head_ns && now - c->idle_ns > SECOND)
        give_back(c);
}

static void give_up(struct http *h, struct conn *c, int status, const char *why)
{
    struct err e = {0};

    (void)err_set(&e, E_INVALID, "%s", why);
    http_refuse(c->x, status, &e);
    http_answer_raw(h, c);
    (void)shutdown(c->fd, SHUT_RDWR);
}

/* libmicrohttpd reads whatever comes, but waits for ever where its memory is full of a line
 * between two chunks that it has not seen the end of. */
static int is_stuck(struct conn *c, uint64_t now)
{
    struct exchange *x = c->x;
    int n = 0;

    if (ioctl(c->fd, FIONREAD, &n) != 0 || n == 0 || !x->stuck_ns || x->stuck_at != x->n_body) {
        x->stuck_ns = n > 0 ? now : 0;
        x->stuck_at = x->n_body;
    }
    return x->stuck_ns && now - x->stuck_ns > SECOND;
}

static void sweep_busy(struct http *h, struct conn *c, uint64_t now)
{
    struct exchange *x = c->x;
    uint64_t rate = (uint64_t)http_config(h)->body_rate_min;

    if (x->started && c->half_closed)
        look_for(c, now);
    if (x->started || x->queued || x->close_now)
        return;
    if (x->length < 0 && is_stuck(c, now))
        give_up(h, c, 400, "a line between two chunks of the body is too long");
    if (now - x->rate_ns < RATE_WINDOW_S * SECOND)
        return;
    if (x->n_body - x->rate_seen < rate * RATE_WINDOW_S)
        give_up(h, c, 408, "the body came too slowly");
    x->rate_ns = now;
    x->rate_seen = x->n_body;
}

void http_sweep(struct http *h, uint64_t now)
{
    int half_closed = 0;

    int apart = atomic_load(&h->n_conn) > MANY ? 3 : 0;

    h->n_sweep++;
    for (struct conn *c = h->first, *next; c; c = next) {
        next = c->next;
        if (c->x)
            sweep_busy(h, c, now);
        else if (((c->fd ^ h->n_sweep) & apart) == 0)
            sweep_idle(h, c, now); /* of many, a quarter each time */
        half_closed |= c->x && c->half_closed;
    }
    http_linger_end(h, now, 0);
    h->accept_stopped = 0;
    h->sweep_ns = now + (half_closed ? SECOND / 10 : SECOND);
}

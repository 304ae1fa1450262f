/* Sockets that are listened on: what the configuration names, or what systemd hands over
 * (LISTEN_FDS, see sd_listen_fds(3); the protocol is three variables, no library is needed). */
#include "serve/http_priv.h"

#include "base/log.h"
#include "serve/auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BACKLOG = 4096, FIRST_FD = 3 };

static void take(struct http *h, int fd, int is_unix)
{
    h->listener[h->n_listener++] = (struct listener){WATCH_LISTEN, fd, is_unix};
}

static int is_loopback(const struct sockaddr *a)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)a;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)a;

    if (a->sa_family == AF_INET)
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    if (a->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    return a->sa_family == AF_UNIX;
}

/* -- TCP ----------------------------------------------------------------------------------- */

static int tcp_failed(const struct config *c, int error, struct err *e)
{
    if (error == EADDRINUSE)
        return err_set(e, E_IO,
                       "port %d of %s is in use; stop what listens there (is a server running "
                       "already?) or give another with --port or listen.port",
                       c->port, c->host);
    if (error == EACCES)
        return err_set(e, E_IO,
                       "port %d may not be opened by this user; ports from 1024 on may be",
                       c->port);
    if (error == EADDRNOTAVAIL)
        return err_set(e, E_IO, "'%s' is no address of this machine", c->host);
    return err_sys(e, E_IO, error, "listen on %s port %d", c->host, c->port);
}

static int open_tcp(const struct addrinfo *a, int *error)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    *error = errno;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ai_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)(const void *)a->ai_addr;
        int only = !IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);

        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
    }
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    *error = errno;
    (void)close(fd);
    return -1;
}

static int bound_port(int fd)
{
    struct sockaddr_in6 own = {0};
    socklen_t n = sizeof(own);

    return getsockname(fd, (struct sockaddr *)&own, &n) == 0 ? ntohs(own.sin6_port) : 0;
}

/* A name with several addresses ("localhost": 127.0.0.1 and ::1) gets a socket for each that
 * can be had, on the same port. */
static int listen_tcp(struct http *h, struct err *e)
{
    const struct config *c = http_config(h);
    struct addrinfo hint = {.ai_family = AF_UNSPEC,
                            .ai_socktype = SOCK_STREAM,
                            .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *all = NULL;
    int rc, error = EADDRNOTAVAIL;
    char port[8];

    (void)snprintf(port, sizeof(port), "%d", c->port);
    rc = getaddrinfo(c->host, port, &hint, &all);
    if (rc != 0)
        return err_set(e, E_INVALID, "host '%s': %s", c->host, gai_strerror(rc));
    for (const struct addrinfo *a = all; a && h->n_listener < HTTP_LISTEN_MAX; a = a->ai_next) {
        struct sockaddr_in6 *same = (struct sockaddr_in6 *)(void *)a->ai_addr;
        int fd;

        if (h->port)
            same->sin6_port = htons((uint16_t)h->port);
        fd = open_tcp(a, &error);
        if (fd < 0 && error == EADDRINUSE)
            break;
        if (fd < 0)
            continue;
        h->port = h->port ? h->port : bound_port(fd);
        h->beyond_loopback |= !is_loopback(a->ai_addr);
        take(h, fd, 0);
    }
    freeaddrinfo(all);
    if (h->n_listener == 0 || error == EADDRINUSE) {
        http_listen_close(h);
        return tcp_failed(c, error, e);
    }
    (void)snprintf(h->address, sizeof(h->address), "%s://%s%s%s:%d", h->tls ? "https" : "http",
                   strchr(c->host, ':') ? "[" : "", c->host, strchr(c->host, ':') ? "]" : "",
                   h->port);
    return 0;
}

/* -- unix sockets -------------------------------------------------------------------------- */

/* A socket that nobody listens on any more is in the way; any other file stays. */
static int clear_stale(const struct sockaddr_un *a, struct err *e)
{
    struct stat st;
    int fd, alive;

    if (lstat(a->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, E_IO, "'%s' is there and is no socket", a->sun_path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    alive = fd >= 0 &&
            (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN);
    if (fd >= 0)
        (void)close(fd);
    if (alive)
        return err_set(e, E_IO, "a server listens on '%s' already", a->sun_path);
    return unlink(a->sun_path) == 0 ? 0 : err_sys(e, E_IO, errno, "remove %s", a->sun_path);
}

static int listen_unix(struct http *h, const char *path, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd, bad;

    if (!*path || strlen(path) >= sizeof(a.sun_path))
        return err_set(e, E_INVALID, "'%s' is no path for a socket: 1 to %zu bytes", path,
                       sizeof(a.sun_path) - 1);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (clear_stale(&a, e) < 0)
        return e->code;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_sys(e, E_IO, errno, "make a socket");
    /* 0600 from the first moment on; umask would be other threads', too. */
    bad = fchmod(fd, 0600) != 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 ||
          listen(fd, BACKLOG) != 0;
    if (bad) {
        int error = errno;

        (void)close(fd);
        return err_sys(e, E_IO, error, "listen on %s", path);
    }
    (void)snprintf(h->unix_path, sizeof(h->unix_path), "%s", path);
    (void)snprintf(h->address, sizeof(h->address), "unix:%s", path);
    take(h, fd, 1);
    return 0;
}

/* -- handed over --------------------------------------------------------------------------- */

static long number_of(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long n;

    if (!text || !*text)
        return -1;
    n = strtol(text, &end, 10);
    return *end ? -1 : n;
}

static int take_handed(struct http *h, int fd, struct err *e)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a), k = sizeof(int);
    int listening = 0, flags;

    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &k) != 0 || !listening)
        return err_set(e, E_INVALID,
                       "file descriptor %d of socket activation is no listening socket", fd);
    flags = fcntl(fd, F_GETFL);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (a.ss_family != AF_UNIX) {
        h->port = bound_port(fd);
        h->beyond_loopback |= !is_loopback((const struct sockaddr *)&a);
        (void)snprintf(h->address, sizeof(h->address), "%s://127.0.0.1:%d",
                       h->tls ? "https" : "http", h->port);
    } else if (!h->address[0]) {
        (void)snprintf(h->address, sizeof(h->address), "unix:%s",
                       ((const struct sockaddr_un *)(const void *)&a)->sun_path);
    }
    take(h, fd, a.ss_family == AF_UNIX);
    return 0;
}

/* How many sockets were handed over to this process. The variables stay, since other threads
 * may be reading others; nobody else is LISTEN_PID. */
static int n_handed(void)
{
    long n = number_of("LISTEN_FDS");
    int ours = number_of("LISTEN_PID") == (long)getpid();

    return ours && n > 0 ? (int)(n < HTTP_LISTEN_MAX ? n : HTTP_LISTEN_MAX) : 0;
}

/* -- all ----------------------------------------------------------------------------------- */

static int too_open(const struct config *c, struct err *e)
{
    return err_set(e, E_INVALID,
                   "%s can be reached from other machines and no keys are asked for; make one "
                   "with 'hearth key add NAME' and set listen.keys, or allow it with "
                   "listen.allow_no_key: true",
                   c->host);
}

static int check_open(struct http *h, struct err *e)
{
    const struct config *c = http_config(h);

    if (!h->beyond_loopback || c->allow_no_key || (h->s->auth && auth_any(h->s->auth)))
        return 0;
    http_listen_close(h);
    return too_open(c, e);
}

int http_listen_check(const struct config *c, int has_keys, struct err *e)
{
    struct addrinfo hint = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *all = NULL;
    int rc, open = 0;

    if (strncmp(c->host, "unix:", 5) == 0)
        return 0;
    rc = getaddrinfo(c->host, NULL, &hint, &all);
    if (rc != 0)
        return err_set(e, E_INVALID, "host '%s': %s", c->host, gai_strerror(rc));
    for (const struct addrinfo *a = all; a; a = a->ai_next)
        open |= !is_loopback(a->ai_addr);
    freeaddrinfo(all);
    return open && !c->allow_no_key && !has_keys ? too_open(c, e) : 0;
}

int http_listen(struct http *h, struct err *e)
{
    const char *host = http_config(h)->host;
    int n = n_handed(), rc = 0;

    for (int i = 0; i < n && rc == 0; i++)
        rc = take_handed(h, FIRST_FD + i, e);
    if (n == 0)
        rc = strncmp(host, "unix:", 5) == 0 ? listen_unix(h, host + 5, e) : listen_tcp(h, e);
    return rc < 0 ? rc : check_open(h, e);
}

void http_listen_close(struct http *h)
{
    for (int i = 0; i < h->n_listener; i++)
        (void)close(h->listener[i].fd);
    h->n_listener = 0;
    if (h->unix_path[0])
        (void)unlink(h->unix_path);
    h->unix_path[0] = '\0';
}

/* http_priv.h - what the files of the front share.
 *
 * Layout
 *   http.c         the I/O thread: one loop over sockets, libmicrohttpd, what others ask for
 *   http_daemon.c  libmicrohttpd's daemons, and the certificates that they have
 *   http_listen.c  sockets: TCP, unix, handed over by systemd
 *   http_conn.c    connections: taking them, limits, timeouts, who is gone
 *   http_peer.c    has a client that sends no more gone, or does it still listen?
 *   http_stall.c   bodies in chunks that will never be whole
 *   http_door.c    who may speak at all: framing, Host, Origin, key, type, size of the body
 *   http_head.c    a request's target and headers, taken apart
 *   http_early.c   what is refused before libmicrohttpd has shown us a request
 *   http_request.c exchanges: requests as they come, answers as they go
 *   http_call.c    the same, as handlers see them
 *   http_pool.c    the threads that run handlers
 *
 * libmicrohttpd runs in "external epoll" mode: it owns no thread and no listening socket, so
 * that everything of a connection happens on our I/O thread and nothing needs a lock but what
 * handlers share with it: the exchange's answer, and the list of exchanges that have something
 * for the I/O thread.
 *
 * An exchange lives until both have let go: the I/O thread when libmicrohttpd is done with the
 * request, the handler when it has answered.
 */
#ifndef HEARTH_SERVE_HTTP_PRIV_H
#define HEARTH_SERVE_HTTP_PRIV_H

#include "base/arena.h"
#include "serve/call.h"
#include "serve/config.h"
#include "serve/http.h"
#include "serve/route.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

enum {
    HTTP_URI_MAX = 8192,
    HTTP_FIELDS_MAX = 100,
    HTTP_PIPELINE_MAX = 16, /* requests that are sent without waiting for answers */
    HTTP_LISTEN_MAX = 8,    /* sockets */
    HTTP_POOL = 96 << 10    /* of libmicrohttpd, for each connection: a head of 64 kB, and the
                             * answer's; pages that nobody wrote to cost nothing */
};

/* What an event of the I/O thread's epoll is about: the first member of each. */
enum http_watch { WATCH_MHD, WATCH_WAKE, WATCH_LISTEN, WATCH_CONN, WATCH_LINGER };

struct listener {
    int watch;
    int fd;
    int is_unix;
};

/* One of libmicrohttpd's daemons. */
struct http_daemon {
    int watch;
    struct MHD_Daemon *mhd;
    int n_conn;       /* the I/O thread's */
    char *cert, *key; /* PEM texts; NULL: no TLS */
    struct http_daemon *next;
};

struct conn {
    int watch;
    int fd;
    int is_unix;
    struct http_daemon *daemon; /* NULL: nothing has come yet */
    struct conn *next, *prev;
    struct MHD_Connection *mhd; /* as is this */
    struct exchange *x;         /* under way, or NULL */
    uint64_t idle_ns;           /* since when nothing is under way */
    uint64_t head_ns;           /* when a head was seen to have begun; 0: none */
    uint64_t n_received;        /* TCP's count of bytes at idle_ns */
    uint64_t asked_ns;          /* when the peer was last asked whether it is there */
    int n_served;               /* exchanges so far */
    int n_piped;              /* of these the last, each sent before the former was answered */
    unsigned done_round;      /* of h->round: when the last one ended */
    int half_closed;          /* the client sends nothing more */
    int probed;               /* an interim answer went out to see whether it is there */
    int turned_away;          /* answered past libmicrohttpd, which is to see no more of it */
    int bad_target;           /* of the request whose head is coming: 414, 400; or 0 */
    const char *after_target; /* where its version is to stand: only compared */
    int swept;                /* memory of libmicrohttpd was given back since it became idle */
    const void *pool;         /* an address in the first page of that memory */
    socklen_t n_peer;         /* bytes of peer */
    struct sockaddr_in6 peer; /* or a sockaddr_in; a unix socket: family only */
};

/* A closed connection whose last bytes are still read, so that the client gets to see the
 * answer: closing with unread bytes would send a reset. */
struct leaving {
    int watch;
    int fd;
    uint64_t until_ns;
    struct leaving *next;
};

struct field {
    const char *name, *value;
    struct field *next;
};

enum exchange_state {
    X_READING, /* the request is still coming */
    X_RUNNING, /* a handler has it */
    X_BEGUN,   /* status and headers are known, the body comes in pieces */
    X_ENDED    /* all of the answer is known */
};

struct exchange {
    struct call call; /* the first member */
    struct http *http;
    atomic_int refs;
    struct arena mem;    /* the request's head, later the answer's headers */
    struct field *field; /* of the request */
    struct field *query;
    struct buf body;
    size_t n_kept; /* bytes that it counts for among all bodies */

    /* The I/O thread's own. */
    struct conn *conn; /* NULL: libmicrohttpd is done with it */
    int suspended;     /* libmicrohttpd looks at the connection only when it is resumed */
    int started;       /* a handler has got it */
    int queued;        /* the answer was handed to libmicrohttpd */
    int refused;       /* status of the door's answer; 0: let in */
    int close_now;     /* the refusal goes out before the body is read */
    int last;          /* the connection ends with it */
    int v10;           /* HTTP/1.0 */
    int tls;
    int64_t length;     /* of the body as declared; -1: chunked */
    uint64_t rate_ns;   /* start of the current window of the body's rate */
    uint64_t rate_seen; /* bytes of the body before it */
    uint64_t n_body;    /* bytes of the body so far, dropped ones included */
    uint64_t stall_ns;  /* http_stall.c: since when all is as it was; 0: not looked at */
    uint64_t stall_at;  /* n_body then */
    int stall_unread;   /* bytes that came were not read then */
    size_t stall_seen;  /* bytes of the body that were looked at */
    uint64_t n_sent;    /* bytes of the answer's body */

    /* What the handler shares with the I/O thread: under lock. */
    pthread_mutex_t lock;
    int state; /* enum exchange_state */
    int status;
    int chunked; /* the body comes in pieces */
    int gone, cut, full;
    int listed; /* in http->ready */
    struct exchange *next_ready, *next_job;
    char type[80];
    char model[160];      /* that is asked, as far as it is known */
    struct field *answer; /* headers */
    struct buf out;
    size_t taken; /* bytes of out that went to libmicrohttpd */

    pthread_mutex_t listen_lock; /* held while the listener runs; no other is taken within it */
    call_listener *listener;
    void *listener_ctx;
};

struct http_pool;

struct http {
    struct serve *s;
    struct http_daemon *daemon; /* the newest one, then older ones that still have connections;
                                 * the first changes under lock */
    struct http_daemon *fresh;  /* under lock: one that the I/O thread has not taken yet */
    int epoll, wake;
    pthread_t thread;
    int running; /* the thread was made */
    int watch_wake;
    struct listener listener[HTTP_LISTEN_MAX];
    int n_listener;
    int port, tls, beyond_loopback;
    char address[192], unix_path[108];
    struct conn *first;
    struct conn *adding; /* libmicrohttpd is being told of it */
    struct leaving *leaving;
    int n_leaving;
    int accept_stopped; /* no file descriptors: not before the next sweep */
    uint64_t sweep_ns;  /* when */
    uint64_t ready_ns;  /* when exchanges last were ready */
    uint64_t tls_ns;    /* when TLS on a plain port was last spoken of; 0: never */
    unsigned round;     /* of the loop */
    int n_sweep;
    atomic_int n_conn, n_active;
    atomic_int quiesce, stop;
    int quiet; /* has quiesced */
    struct http_pool *pool;

    pthread_mutex_t lock;
    struct exchange *ready; /* have something for the I/O thread, each with a reference */
};

static inline const struct config *http_config(const struct http *h)
{
    return h->s->config;
}

void http_wake(struct http *h);

/* http_daemon.c. */
MUST_CHECK int http_daemon_start(struct http *h, struct err *e); /* the first one */
/* Certificate and key are some, and belong together; or there is to be no TLS. */
MUST_CHECK int http_daemon_check(const struct config *c, struct err *e);
/* By the I/O thread. */
int http_daemons_are_busy(const struct http *h); /* 1: there is something to do at once */
void http_daemons_run(struct http *h);
void http_daemons_stop(struct http *h); /* when that thread has ended */

/* http_listen.c. Opens what the configuration names, or takes what systemd hands over; also
 * fills in port, address and beyond_loopback. */
MUST_CHECK int http_listen(struct http *h, struct err *e);
/* What it would refuse, as far as that shows without listening. */
MUST_CHECK int http_listen_check(const struct config *c, int has_keys, struct err *e);
void http_listen_close(struct http *h);

/* http_conn.c. All by the I/O thread. */
void http_accept(struct http *h, struct listener *l);
void http_conn_event(struct http *h, struct conn *c, uint32_t events);
void http_conn_drop_new(struct http *h); /* those that have said nothing */
void http_conn_notify(void *ctx, struct MHD_Connection *mhd, void **socket_context,
                      enum MHD_ConnectionNotificationCode what);
void http_sweep(struct http *h, uint64_t now);
void http_linger(struct http *h, struct conn *c);
void http_linger_event(struct http *h, struct leaving *l);
void http_linger_end(struct http *h, uint64_t now, int all);
/* Writes the answer of the refused exchange past libmicrohttpd, which waits for more of the
 * request. */
void http_answer_raw(struct http *h, struct conn *c);

/* http_early.c. Hears what libmicrohttpd says to its log, and refuses what it would refuse
 * itself. It says other things to other threads, when a daemon is made. */
void http_early_said(struct http *h, const char *fmt);
/* Answers past libmicrohttpd, which shows no request, and closes; target NULL: not known. */
void http_early_refuse(struct http *h, struct conn *c, const char *target, int status,
                       const struct err *e);
/* Looks at what a connection begins with. */
void http_early_bytes(struct http *h, struct conn *c);
/* Sees each target before it is taken apart. Returns NULL. */
void *http_early_target(void *ctx, const char *target, struct MHD_Connection *mhd);
/* Says why, and returns the status. */
int http_target_refusal(int status, struct err *e);

/* http_stall.c. Looks, once a second, at a body in chunks. NULL, or why no more is waited for.
 */
const char *http_stall_look(struct conn *c, uint64_t now);

/* http_peer.c. 1: nobody is behind the other end any more; 0: somebody listens still; -1: it
 * cannot be told. */
int http_peer_gone(const struct conn *c);

/* http_head.c. Copies the head into the exchange. 0, or the status of a refusal and the reason
 * in e. */
int http_head_read(struct exchange *x, struct MHD_Connection *mhd, const char *url,
                   const char *version, struct err *e);
const char *http_head_find(const struct field *f, const char *name);
/* Splits "host:port"; brackets go. 1: it is one. */
int http_host_split(const char *text, char host[256], int *port);

/* http_door.c. Sees whether the exchange is let in; if not, x->refused and the answer are set,
 * and close_now when it must not be waited for the body. */
void http_door(struct exchange *x, struct MHD_Connection *mhd, const char *url,
               const char *version);
void http_refuse(struct exchange *x, int status, const struct err *e);
int http_host_allowed(const struct http *h, const struct conn *c, const char *text);
int http_origin_allowed(const struct config *config, const char *origin);

/* http_call.c. */
struct exchange *http_exchange_new(struct http *h, struct conn *c, const char *method);
void http_exchange_unref(struct exchange *x);
/* Appends to the body. Fails: E_BUSY all bodies together are too much; E_NOMEM. */
MUST_CHECK int http_body_put(struct exchange *x, const char *p, size_t n, struct err *e);
/* Goes on with the exchanges that have something to send. Returns how many will have more. */
int http_take_ready(struct http *h);
void http_exchange_gone(struct exchange *x); /* tells the listener, once */
void http_exchange_tell(struct exchange *x, int what);
void http_set_answer(struct exchange *x, int status, const char *type, const char *p, size_t n);
MUST_CHECK int http_add_header(struct exchange *x, const char *name, const char *value);

/* http_request.c. What libmicrohttpd calls. */
enum MHD_Result http_on_request(void *ctx, struct MHD_Connection *mhd, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *n, void **con_cls);
void http_on_completed(void *ctx, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode why);

/* http_log.c. A line for a finished exchange. */
void http_log(struct exchange *x);

/* http_pool.c. n: threads; room: exchanges that may wait. */
MUST_CHECK int http_pool_new(struct http_pool **out, struct serve *s, int n, int room,
                             struct err *e);
int http_pool_put(struct http_pool *p, struct exchange *x); /* 0: there is no room */
void http_pool_free(struct http_pool *p); /* after the last handler has returned */

#endif

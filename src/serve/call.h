/* call.h - one HTTP exchange, as handlers see it: what was asked, and how to answer.
 *
 * A handler gets a call and answers it once: call_reply with all of it, or call_begin, any
 * number of call_write, and call_end. Who carries the call (http.c; in tests, memory) is behind
 * `ops`.
 *
 * Slow readers: what was written and not yet taken is kept up to CALL_BUFFER bytes. Past that
 * call_write still takes what it is given, once, and says CALL_FULL: write no more until the
 * listener hears CALL_DRAINED.
 *
 * Life     the call is the handler's until call_reply or call_end, which gives it back. A
 * client that goes away in between is told to the listener as CALL_GONE; writes then do
 *          nothing, and the call must still be ended
 * Threads  one at a time; the listener is called by the I/O thread and must not block, nor use
 *          the call beyond marking something for others
 * Uses     base/
 */
#ifndef HEARTH_SERVE_CALL_H
#define HEARTH_SERVE_CALL_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum { CALL_BUFFER = 256 << 10, CALL_ARG_MAX = 4, CALL_ID_LEN = 24 };

struct call;
struct route;
struct auth_key;

enum call_says { CALL_TAKEN = 0, CALL_FULL = 1, CALL_GONE = -1, CALL_DRAINED = 2 };

typedef void call_listener(void *ctx, int what); /* CALL_DRAINED or CALL_GONE */

struct call_ops {
    const char *(*header)(const struct call *c, const char *name); /* NULL: absent */
    const char *(*query)(const struct call *c, const char *name);  /* decoded; NULL: absent */
    const char *(*query_name)(const struct call *c, size_t i); /* of the one number i, decoded;
                                                                  NULL: there are fewer */
    int (*add_header)(struct call *c, const char *name, const char *value);
    void (*reply)(struct call *c, int status, const char *type, const char *p, size_t n);
    int (*begin)(struct call *c, int status, const char *type);
    int (*write)(struct call *c, const char *p, size_t n);
    void (*end)(struct call *c, int cut);
    void (*listen)(struct call *c, call_listener *fn, void *ctx);
    void (*name_model)(struct call *c, struct str model); /* NULL: nobody wants to know */
};

struct call {
    const struct call_ops *ops;
    const struct route *route;
    const char *method;           /* "POST" */
    struct str path;              /* decoded, without the query */
    struct str arg[CALL_ARG_MAX]; /* what the route's :names and * stand for */
    struct str body;              /* whole; NUL behind it */
    const struct auth_key *who;   /* NULL: no keys are in use, or the route needs none */
    uint64_t tenant;              /* a number for `who`, or for the client's address */
    uint64_t start_ns;
    char id[CALL_ID_LEN + 1]; /* "req_..." of this exchange, for logs and error bodies */
};

static inline const char *call_header(const struct call *c, const char *name)
{
    return c->ops->header(c, name);
}

static inline const char *call_query(const struct call *c, const char *name)
{
    return c->ops->query(c, name);
}

/* Before the answer begins. Both are copied; line ends in them are blanked. Fails: E_NOMEM. */
MUST_CHECK static inline int call_add_header(struct call *c, const char *name,
                                             const char *value)
{
    return c->ops->add_header(c, name, value);
}

/* Whom the call asks: for the log. Copied; the last one counts. */
static inline void call_name_model(struct call *c, struct str model)
{
    if (c->ops->name_model)
        c->ops->name_model(c, model);
}

/* The whole answer, copied; type NULL: no body's type. Ends the call. */
static inline void call_reply(struct call *c, int status, const char *type, const char *p,
                              size_t n)
{
    c->ops->reply(c, status, type, p, n);
}

/* Sends status and headers; the body comes in pieces. Returns CALL_TAKEN or CALL_GONE. */
static inline int call_begin(struct call *c, int status, const char *type)
{
    return c->ops->begin(c, status, type);
}

/* CALL_TAKEN, CALL_FULL, CALL_GONE. */
static inline int call_write(struct call *c, const char *p, size_t n)
{
    return c->ops->write(c, p, n);
}

/* cut 1: the connection is closed without the body's proper end. Gives the call back. */
static inline void call_end(struct call *c, int cut)
{
    c->ops->end(c, cut);
}

/* Who hears of CALL_DRAINED and CALL_GONE from now on; at once if the client is gone already.
 * fn NULL: nobody; when this returns the former one is not being called any more. */
static inline void call_listen(struct call *c, call_listener *fn, void *ctx)
{
    c->ops->listen(c, fn, ctx);
}

#endif

/* client.h - asking HTTP servers, by libcurl: whole answers, and streams of lines or events.
 *
 * Threads  a client belongs to one thread at a time; client_cancel: any, also a signal handler
 * Uses     base/; libcurl
 */
#ifndef HEARTH_NET_CLIENT_H
#define HEARTH_NET_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

#include <stdatomic.h>

struct client;

struct client_options {
    const char *base;       /* "http://127.0.0.1:11434", or "unix:/path" */
    const char *key;        /* sent as a bearer token; NULL: none. Never to another host */
    const char *ca_file;    /* NULL: the system's */
    int connect_timeout_ms; /* 0: 3000 */
    int idle_timeout_ms;    /* without a byte; 0: none */
};

MUST_CHECK int client_new(struct client **out, const struct client_options *o, struct err *e);
void client_free(struct client *c);
void client_cancel(struct client *c); /* the request under way ends with E_CANCELLED */

struct client_answer {
    int status;
    char type[64];   /* Content-Type */
    char error[64];  /* x-hearth-error: the type of an error (base/err.h) */
    char *warning;   /* texts of its warning headers, a line each, bounded; NULL: none. There
                      * before the sink hears of the body */
    struct buf body; /* without a sink: all; with one: of a status other than 2xx. Its max is
                      * the caller's; 0: 64 MiB */
};

/* Hands over what came, in pieces; nonzero ends the request with E_CANCELLED. */
typedef int client_sink(void *ctx, const char *p, size_t n);

/* method, path ("/api/chat"), body (NULL: none, else JSON). The caller calls
 * client_answer_done.
 * An answer of any status is no failure; redirects are such answers. Fails: E_IO nobody
 * listens, in words, or the connection broke; E_BUSY time is up; E_TOO_LONG more than body.max;
 * E_FORMAT a compressed answer; E_CANCELLED; E_INVALID the path; E_NOMEM. */
MUST_CHECK int client_ask(struct client *c, const char *method, const char *path,
                          const char *body, size_t n_body, client_sink *sink, void *ctx,
                          struct client_answer *a, struct err *e);

void client_answer_done(struct client_answer *a);

/* $HEARTH_HOST, then $OLLAMA_HOST, as a URL: host:port, :port, host, a whole URL, unix:/path;
 * "http://127.0.0.1:11434" when there is none. 0.0.0.0 and :: mean this machine.
 * Fails: E_INVALID. */
MUST_CHECK int client_host(struct buf *out, struct err *e);

#endif

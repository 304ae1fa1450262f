/* http.h - the front: connections into calls, and who may speak at all.
 *
 * libmicrohttpd reads and writes; this module adds the limits (config.h), checks Host, Origin,
 * Content-Type and the key before a handler sees anything, and lets a few threads run handlers,
 * so that the I/O thread never waits. What is refused is answered in the dialect of its path.
 *
 * Threads  http_start, http_tls_load, http_tls_use, http_stop: one; handlers have their own
 * Uses     serve/, sys/; libmicrohttpd
 */
#ifndef HEARTH_SERVE_HTTP_H
#define HEARTH_SERVE_HTTP_H

#include "base/err.h"
#include "serve/serve.h"

struct config;
struct http;

/* Listens as s->config says, or on the socket that systemd handed over. Fails: E_INVALID it
 * would be open beyond loopback without keys, ...; E_IO in words: port in use, no permission.
 */
MUST_CHECK int http_start(struct http **out, struct serve *s, struct err *e);
/* What http_start would refuse of a configuration, as far as that shows without listening: at
 * where = 0, 1, ... until HTTP_CHECKS. has_keys: some are asked for. Fails: as http_start. */
enum { HTTP_CHECKS = 2 };
MUST_CHECK int http_check(const struct config *c, int where, int has_keys, struct err *e);
int http_port(const struct http *h);            /* of TCP; 0: a unix socket */
int http_is_open(const struct http *h);         /* 1: other machines can reach it */
const char *http_address(const struct http *h); /* "http://127.0.0.1:11434" */
int http_connections(const struct http *h);
int http_active(const struct http *h); /* requests under way, those still coming included */

/* TLS: reads certificate and key of the new configuration again, in two steps, so that what is
 * wrong with them changes nothing. *out is for http_tls_use, or for http_daemon_free; NULL:
 * they are as they were, or there is no TLS. Fails: E_NOT_FOUND, E_IO a file; E_INVALID they
 * are none, or not of each other. */
struct http_daemon;
MUST_CHECK int http_tls_load(struct http *h, const struct config *c, struct http_daemon **out,
                             struct err *e);
/* Connections that come get it; those that are there keep theirs. NULL is fine. */
void http_tls_use(struct http *h, struct http_daemon *d);
void http_daemon_free(struct http_daemon *d); /* NULL is fine */

/* Takes no more connections; what is under way goes on. */
void http_quiesce(struct http *h);
void http_stop(struct http *h); /* closes all; no handler is running any more when it returns */

/* Runs the server until SIGTERM or SIGINT, then drains it: the command's whole work. SIGHUP
 * reads the configuration again. Returns 0, or why it did not start. */
struct server_options {
    const char *config_path;
    const char *const *set;
    int n_set;
    int quiet; /* no line about where it listens */
};
MUST_CHECK int server_run(const struct server_options *o, struct err *e);

#endif

/* What is refused before libmicrohttpd has shown us a request.
 *
 * It answers some errors by itself, in HTML, without a request's id, and with a bad
 * Content-Length it sends its head twice: 0.9.75 forgets, once the error is queued, that it is
 * (MHD_CONNECTION_HEADERS_RECEIVED in its connection.c). But it tells its log first. There the
 * connection is looked for, our answer goes out, and our side of the socket is closed, so that
 * nothing can follow.
 *
 * With TLS nothing can be written past libmicrohttpd: the connection just closes. */
#include "serve/http_priv.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define TLS_SAID_NS ((uint64_t)60000000000)

void http_early_refuse(struct http *h, struct conn *c, const char *target, int status,
                       const struct err *e)
{
    struct exchange *x = http_exchange_new(h, c, "-");

    c->turned_away = 1;
    c->idle_ns = clock_ns();
    if (x && target) {
        x->call.path.n = strcspn(target, "?");
        x->call.path.p = arena_strdup(&x->mem, (struct str){target, x->call.path.n});
    }
    if (x) {
        http_refuse(x, status, e);
        c->x = x;
        http_answer_raw(h, c);
        c->x = NULL;
        x->conn = NULL;
        http_log(x);
        http_exchange_unref(x);
        http_linger(h, c);
    }
    (void)shutdown(c->fd, h->tls ? SHUT_RDWR : SHUT_WR);
}

/* -- what it says ------------------------------------------------------------------------- */

/* The one whose head is complete and that no handler has seen: only an error leaves it so. */
static struct conn *in_error(const struct http *h)
{
    for (struct conn *c = h->first; c; c = c->next) {
        if (!c->x && !c->turned_away && c->mhd &&
            MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE))
            return c;
    }
    return NULL;
}

void http_early_said(struct http *h, const char *fmt)
{
    static const char error[] = "Error processing request";
    struct conn *c =
        strncmp(fmt, error, sizeof(error) - 1) == 0 && !h->adding ? in_error(h) : NULL;
    const char *length = NULL;
    struct err e = {0};

    if (!c)
        return;
    length = MHD_lookup_connection_value(c->mhd, MHD_HEADER_KIND, "Content-Length");
    if (length)
        (void)err_set(&e, E_INVALID, "content-length '%.40s' is not a number of bytes", length);
    else
        (void)err_set(&e, E_INVALID, "the head of the request is malformed");
    http_early_refuse(h, c, NULL, 400, &e);
}

/* -- the first bytes ---------------------------------------------------------------------- */

/* A hint for who set up a client, so a look at the first byte is enough: no HTTP begins so. */
void http_early_bytes(struct http *h, struct conn *c)
{
    enum { HANDSHAKE = 0x16 };
    uint64_t now;
    char first;

    if (h->tls || recv(c->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) != 1 || first != HANDSHAKE)
        return;
    c->turned_away = 1;
    (void)shutdown(c->fd, SHUT_RDWR);
    now = clock_ns();
    if (h->tls_ns && now - h->tls_ns < TLS_SAID_NS)
        return;
    h->tls_ns = now;
    log_line(LOG_WARN, "TLS on a plain port: a client that asks for https:// was turned away; "
                       "it is http:// here (listen.tls_cert is not set)");
}

/* -- the target --------------------------------------------------------------------------- */

/* Each part of a query costs it memory, which it has little of, and it closes without a word
 * when there is no more. */
void *http_early_target(void *ctx, const char *target, struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *c = info ? info->socket_context : NULL;
    struct http *h = ctx;
    struct err e = {0};
    int n_part = 1;

    if (!c || !target)
        return NULL;
    for (const char *p = target; (p = strchr(p, '&')); p++)
        n_part++;
    c->bad_target = strlen(target) > HTTP_URI_MAX || n_part > HTTP_FIELDS_MAX ? 414
                    : strchr(target, ' ')                                     ? 400
                                                                              : 0;
    c->after_target = target + strlen(target) + 1;
    if (c->bad_target == 414 && !h->tls)
        http_early_refuse(h, c, target, http_target_refusal(414, &e), &e);
    return NULL;
}

int http_target_refusal(int status, struct err *e)
{
    if (status == 414)
        (void)err_set(e, E_TOO_LONG,
                      "the request's target has more than %d bytes, or its query more than %d "
                      "parts",
                      HTTP_URI_MAX, HTTP_FIELDS_MAX);
    else
        (void)err_set(e, E_INVALID, "there is a space in the request's target");
    return status;
}

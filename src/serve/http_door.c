/* The door: who may speak, before a handler or even the body is looked at.
 *
 * The order matters. First what the bytes mean (framing), then whom they are for (Host), then
 * on whose behalf a browser sends them (Origin), then where they go (route), then who asks
 * (key), then what they bring (type, size). A page on the Internet that a user of this machine
 * has open fails at Host (it made its own name point here) or at Origin (it asks here openly).
 */
#include "serve/http_priv.h"

#include "base/digest.h"
#include "base/log.h"
#include "serve/auth.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static int is(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

/* -- refusing ------------------------------------------------------------------------------ */

static int is_below(const char *path, const char *root)
{
    size_t n = strlen(root);

    return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Whose words a refusal is in. Of what is unknown below /v1 all is OpenAI's but Anthropic's
 * messages. path NULL: it was not read. */
static const struct dialect *speaks(const struct exchange *x, const char *path)
{
    const struct route_list *lists = x->http->s->routes;
    struct str arg[CALL_ARG_MAX];
    const struct dialect *near = NULL;
    char allow[64];

    if (x->call.route)
        return x->call.route->dialect;
    if (!path)
        return &dialect_openai;
    if (is_below(path, "/v1"))
        return is_below(path, "/v1/messages") ? &dialect_anthropic : &dialect_openai;
    (void)route_find(lists ? lists : route_lists, x->call.method, str_of(path), arg, allow,
                     &near);
    return near ? near : &dialect_openai;
}

static void refuse_as(struct exchange *x, int status, const struct err *e,
                      const struct dialect *d)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    x->refused = status;
    if (d->error(&out, status, e, NULL, x->call.id) == 0)
        http_set_answer(x, status, d->json_type, out.p, out.n);
    else
        http_set_answer(x, status, NULL, NULL, 0);
    buf_done(&out);
}

void http_refuse(struct exchange *x, int status, const struct err *e)
{
    refuse_as(x, status, e, speaks(x, x->call.path.p));
}

static void header(struct exchange *x, const char *name, const char *value)
{
    if (http_add_header(x, name, value) < 0)
        log_line(LOG_DEBUG, "no memory for a header");
}

/* -- Host ---------------------------------------------------------------------------------- */

/* 1: an address of this machine for itself; -1: another address; 0: a name. */
static int is_address(const char *host)
{
    struct in6_addr six;
    struct in_addr four;

    if (inet_pton(AF_INET, host, &four) == 1)
        return ntohl(four.s_addr) >> 24 == 127 ? 1 : -1;
    if (inet_pton(AF_INET6, host, &six) == 1)
        return IN6_IS_ADDR_LOOPBACK(&six) ? 1 : -1;
    return 0;
}

/* "example.com", ".example.com" with all below it, "*" */
static int host_matches(const char *pattern, const char *host)
{
    size_t n = strlen(host), k = strlen(pattern);

    if (strcmp(pattern, "*") == 0)
        return 1;
    if (pattern[0] == '.' && n > k)
        return is(host + n - k, pattern);
    return is(host, pattern);
}

/* Names can be made to point here by whoever owns them; addresses cannot. */
int http_host_allowed(const struct http *h, const struct conn *c, const char *text)
{
    const struct config *config = http_config(h);
    char host[256], own[256];
    int port, address;
    size_t n;

    if (c->is_unix)
        return 1;
    if (!http_host_split(text, host, &port))
        return 0;
    n = strlen(host);
    if (n > 1 && host[n - 1] == '.')
        host[n - 1] = '\0';
    address = is_address(host);
    if (address == 1 || is(host, "localhost") || is(host, config->host))
        return 1;
    if (address == -1 && h->beyond_loopback)
        return 1;
    for (int i = 0; i < config->n_host; i++) {
        if (host_matches(config->hosts[i], host))
            return 1;
    }
    return h->beyond_loopback && gethostname(own, sizeof(own)) == 0 && is(host, own);
}

/* -- Origin -------------------------------------------------------------------------------- */

int http_origin_allowed(const struct config *config, const char *origin)
{
    for (int i = 0; i < config->n_origin; i++) {
        if (fnmatch(config->origins[i], origin, FNM_NOESCAPE | FNM_CASEFOLD) == 0)
            return 1;
    }
    return 0;
}

/* A page that this server itself has sent. */
static int is_own_origin(const struct exchange *x, const char *origin)
{
    const char *host = http_head_find(x->field, "host"),
               *scheme = x->tls ? "https://" : "http://";
    size_t n = strlen(scheme);

    return host && strncasecmp(origin, scheme, n) == 0 && is(origin + n, host);
}

static int reads_only(const struct exchange *x)
{
    return strcmp(x->call.method, "GET") == 0 || strcmp(x->call.method, "HEAD") == 0;
}

/* 1: go on; else it is refused. */
static int check_origin(struct exchange *x, struct err *e)
{
    const struct config *config = http_config(x->http);
    const char *origin = http_head_find(x->field, "origin"),
               *site = http_head_find(x->field, "sec-fetch-site");

    if (origin && is_own_origin(x, origin))
        return 1;
    if (origin && http_origin_allowed(config, origin)) {
        int any = config->n_origin == 1 && strcmp(config->origins[0], "*") == 0;

        header(x, "Access-Control-Allow-Origin", any ? "*" : origin);
        header(x, "Access-Control-Expose-Headers", "x-request-id, warning, retry-after");
        if (!any)
            header(x, "Vary", "Origin");
        return 1;
    }
    if (site && is(site, "cross-site")) {
        (void)err_set(e, E_INVALID, "requests from other sites are not allowed");
        return 0;
    }
    if (origin && !reads_only(x) && strcmp(x->call.method, "OPTIONS") != 0) {
        (void)err_set(e, E_INVALID,
                      "origin '%.80s' is not allowed; listen.origins lists those "
                      "that are",
                      origin);
        return 0;
    }
    return 1;
}

/* A browser asks before it sends: answered here, whatever the path is. */
static void preflight(struct exchange *x, const char *allow)
{
    const char *wants = http_head_find(x->field, "access-control-request-headers"),
               *origin = http_head_find(x->field, "origin");

    x->refused = 204;
    http_set_answer(x, 204, NULL, NULL, 0);
    if (!origin || !http_origin_allowed(http_config(x->http), origin)) {
        header(x, "Allow", allow);
        return;
    }
    header(x, "Access-Control-Allow-Methods", allow);
    if (wants)
        header(x, "Access-Control-Allow-Headers", wants);
    header(x, "Access-Control-Max-Age", "600");
}

/* -- who ----------------------------------------------------------------------------------- */

static struct str token_of(const struct exchange *x)
{
    const char *auth = http_head_find(x->field, "authorization"), *key;

    if (auth && strncasecmp(auth, "bearer ", 7) == 0) {
        auth += 7;
        return str_of(auth + strspn(auth, " "));
    }
    key = http_head_find(x->field, "x-api-key");
    if (!key)
        key = http_head_find(x->field, "api-key");
    return key ? str_of(key) : (struct str){"", 0};
}

/* The same after a restart, as what is kept belongs to it. All of this machine are one. */
static uint64_t address_number(const struct conn *c)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)(const void *)&c->peer;

    if (c->is_unix)
        return 1;
    if (c->peer.sin6_family == AF_INET)
        return ntohl(four->sin_addr.s_addr) >> 24 == 127
                   ? 1
                   : digest_bytes(0, &four->sin_addr, sizeof(four->sin_addr)) | 1;
    if (IN6_IS_ADDR_LOOPBACK(&c->peer.sin6_addr))
        return 1;
    return digest_bytes(0, &c->peer.sin6_addr, 8) |
           1; /* a network, not each of its addresses */
}

static int check_key(struct exchange *x, struct err *e)
{
    struct auth *auth = x->http->s->auth;
    const struct route *r = x->call.route;
    char text[16];
    int retry = 1;

    x->call.tenant = address_number(x->conn);
    if (!auth || !auth_any(auth) || r->scope == SCOPE_PUBLIC)
        return 0;
    switch (auth_check(auth, token_of(x), r->scope, &x->call.who, &retry)) {
    case AUTH_OK:
        x->call.tenant = x->call.who->id;
        return 0;
    case AUTH_SCOPE:
        return err_set(e, E_INVALID, "this key may not be used for that"), 403;
    case AUTH_SLOW:
        (void)snprintf(text, sizeof(text), "%d", retry > 0 ? retry : 1);
        header(x, "Retry-After", text);
        return err_set(e, E_BUSY, "too many requests with this key; try again in %s s", text),
               429;
    default:
        header(x, "WWW-Authenticate", "Bearer");
        return err_set(e, E_INVALID, "an API key is needed, as 'Authorization: Bearer KEY'"),
               401;
    }
}

/* -- what it brings ------------------------------------------------------------------------ */

/* 1: no other charset is named than the one that JSON has, or a part of it. */
static int is_utf8(const char *type)
{
    static const char *const names[] = {"utf-8", "utf8", "us-ascii", "ascii"};
    const char *at = type;

    while ((at = strchr(at, ';'))) {
        size_t n;

        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, "charset=", 8) != 0)
            continue;
        at += 8 + (at[8] == '"');
        n = strcspn(at, "\"; \t");
        if (n == 0)
            return 1;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            if (strlen(names[i]) == n && strncasecmp(at, names[i], n) == 0)
                return 1;
        }
        return 0;
    }
    return 1;
}

/* A page may send text/plain and forms anywhere without asking; JSON only where it is let. */
static int check_type(const struct exchange *x, struct err *e)
{
    const char *type = http_head_find(x->field, "content-type"),
               *coding = http_head_find(x->field, "content-encoding");
    size_t n = type ? strcspn(type, "; \t") : 0;

    if (coding && !is(coding, "identity"))
        return err_set(e, E_INVALID, "content-encoding '%.40s' is not supported", coding), 415;
    if (x->length == 0 || (x->call.route->flags & ROUTE_ANY_TYPE))
        return 0;
    if (type && !is_utf8(type))
        return err_set(e, E_INVALID, "the body must be utf-8, not '%.60s'", type), 415;
    if (type && n == 16 && strncasecmp(type, "application/json", 16) == 0)
        return 0;
    if (!http_head_find(x->field, "origin") && !http_head_find(x->field, "sec-fetch-site") &&
        (!type || (x->call.route->flags & ROUTE_CURL && n == 33 &&
                   strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0)))
        return 0;
    return err_set(e, E_INVALID, "the body must be sent as 'Content-Type: application/json'"),
           415;
}

static int check_size(const struct exchange *x, struct err *e)
{
    long long most = (long long)http_config(x->http)->body_max;

    if (x->length <= most)
        return 0;
    return err_set(e, E_TOO_LONG, "the body has %lld bytes, at most %lld", (long long)x->length,
                   most),
           413;
}

/* -- all of it ----------------------------------------------------------------------------- */

static int known_method(const char *method)
{
    static const char *const all[] = {"GET",   "HEAD",    "POST",  "PUT",    "DELETE",
                                      "PATCH", "OPTIONS", "TRACE", "CONNECT"};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (strcmp(method, all[i]) == 0)
            return 1;
    }
    return 0;
}

static int find(struct exchange *x, struct err *e)
{
    struct call *c = &x->call;
    const struct route_list *lists = x->http->s->routes;
    const struct dialect *near;
    char allow[64] = "";

    c->route =
        route_find(lists ? lists : route_lists, c->method, c->path, c->arg, allow, &near);
    if (strcmp(c->method, "OPTIONS") == 0 && !c->route) {
        preflight(x, allow[0] ? allow : "GET, HEAD, POST, DELETE");
        return 0;
    }
    if (c->route)
        return 0;
    if (!known_method(c->method))
        return err_set(e, E_INVALID, "method '%.20s' is not known", c->method), 501;
    if (allow[0] || strcmp(c->method, "TRACE") == 0 || strcmp(c->method, "CONNECT") == 0) {
        header(x, "Allow", allow[0] ? allow : "GET, HEAD, POST");
        return err_set(e, E_INVALID, "%s is not allowed here", c->method), 405;
    }
    return err_set(e, E_NOT_FOUND, "there is nothing at %.200s", c->path.p), 404;
}

static int check(struct exchange *x, struct MHD_Connection *mhd, const char *url,
                 const char *version, struct err *e)
{
    const char *host;
    int status = http_head_read(x, mhd, url, version, e);

    if (status) {
        x->close_now = 1; /* what follows cannot be told apart */
        return status;
    }
    host = http_head_find(x->field, "host");
    if (host && !http_host_allowed(x->http, x->conn, host))
        return err_set(e, E_INVALID, "this server is not '%.80s'; listen.hosts lists its names",
                       host),
               421;
    if (!check_origin(x, e))
        status = 403;
    if (status == 0)
        status = find(x, e);
    if (status || x->refused)
        return status;
    status = check_key(x, e);
    if (status == 0)
        status = check_type(x, e);
    if (status == 0)
        status = check_size(x, e);
    return status;
}

void http_door(struct exchange *x, struct MHD_Connection *mhd, const char *url,
               const char *version)
{
    struct err e = {0};
    int status = check(x, mhd, url, version, &e);

    if (status)
        refuse_as(x, status, &e, speaks(x, x->call.path.p ? x->call.path.p : url));
    if (!x->refused)
        return;
    /* A short body is read and dropped, so that the connection can go on. */
    if (http_head_find(x->field, "expect") ||
        x->length > (int64_t)http_config(x->http)->body_max)
        x->close_now = 1;
}

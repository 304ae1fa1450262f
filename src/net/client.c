#include "net/client.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/host.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* One transfer at a time, driven by a multi handle for its poll: that one also waits for a
 * pipe, so that client_cancel, which may come from a signal handler, ends the wait at once.
 * Redirects are not followed: the key goes to the host that was named and to no other. */

enum { CONNECT_MS = 3000, TICK_MS = 250, URL_MAX = 8192, WARNINGS_MAX = 16384 };

#define BODY_MAX ((size_t)64 << 20) /* of an answer whose buffer says no limit */

struct client {
    CURL *easy;
    CURLM *multi;
    struct host host;
    struct curl_slist *head;
    int idle_ms;
    int wake[2];
    atomic_int cancelled;
};

static void curl_start(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* 1: a header's value that cannot begin another header. */
static int is_clean(const char *s)
{
    for (; *s; s++) {
        if ((unsigned char)*s < ' ' || *s == 127)
            return 0;
    }
    return 1;
}

static int add_head(struct client *c, const char *line)
{
    struct curl_slist *head = curl_slist_append(c->head, line);

    if (!head)
        return E_NOMEM;
    c->head = head;
    return 0;
}

static int set_head(struct client *c, const char *key, struct err *e)
{
    struct buf line;
    int rc;

    if (key && !is_clean(key))
        return err_set(e, E_INVALID, "the key holds a control character");
    buf_init(&line, URL_MAX);
    rc = add_head(c, "Content-Type: application/json");
    if (rc == 0)
        rc = add_head(c, "Expect:"); /* no round trip before a long body */
    if (rc == 0 && key)
        rc = buf_fmt(&line, "Authorization: Bearer %s", key);
    if (rc == 0 && key)
        rc = add_head(c, line.p);
    buf_done(&line);
    return rc < 0 ? err_set(e, rc, "the key is too long, or there is no memory") : 0;
}

static int set_wake(struct client *c, struct err *e)
{
    if (pipe2(c->wake, O_CLOEXEC | O_NONBLOCK) == 0)
        return 0;
    c->wake[0] = c->wake[1] = -1;
    return err_sys(e, E_IO, errno, "pipe");
}

/* What is the same for all requests. */
static void set_options(struct client *c, const struct client_options *o)
{
    long ms = o->connect_timeout_ms > 0 ? o->connect_timeout_ms : CONNECT_MS;

    (void)curl_easy_setopt(c->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(c->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(c->easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(c->easy, CURLOPT_CONNECTTIMEOUT_MS, ms);
    (void)curl_easy_setopt(c->easy, CURLOPT_HTTPHEADER, c->head);
    (void)curl_easy_setopt(c->easy, CURLOPT_USERAGENT, "hearth");
    if (o->ca_file)
        (void)curl_easy_setopt(c->easy, CURLOPT_CAINFO, o->ca_file);
    if (c->host.socket.n)
        (void)curl_easy_setopt(c->easy, CURLOPT_UNIX_SOCKET_PATH, c->host.socket.p);
    if (c->host.is_local) /* a proxy is for others */
        (void)curl_easy_setopt(c->easy, CURLOPT_PROXY, "");
}

int client_new(struct client **out, const struct client_options *o, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct client *c = mem_calloc(1, sizeof(*c));
    int rc;

    (void)pthread_once(&once, curl_start);
    if (!c)
        return err_set(e, E_NOMEM, "no memory for a client");
    c->wake[0] = c->wake[1] = -1;
    c->idle_ms = o->idle_timeout_ms;
    rc = host_read(&c->host, o->base, e);
    if (rc == 0)
        rc = set_head(c, o->key, e);
    if (rc == 0)
        rc = set_wake(c, e);
    if (rc == 0) {
        c->easy = curl_easy_init();
        c->multi = curl_multi_init();
        if (!c->easy || !c->multi)
            rc = err_set(e, E_NOMEM, "no memory for a client");
    }
    if (rc < 0) {
        client_free(c);
        return rc;
    }
    set_options(c, o);
    *out = c;
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->easy);
    (void)curl_multi_cleanup(c->multi);
    curl_slist_free_all(c->head);
    for (int i = 0; i < 2; i++) {
        if (c->wake[i] >= 0)
            (void)close(c->wake[i]);
    }
    host_done(&c->host);
    mem_free(c);
}

void client_cancel(struct client *c)
{
    int saved = errno;

    atomic_store(&c->cancelled, 1);
    if (write(c->wake[1], "", 1) < 0) /* full: it wakes just as well */
        errno = saved;
}

/* -- one request ------------------------------------------------------------------------- */

struct asking {
    struct client *c;
    client_sink *sink;
    void *ctx;
    struct client_answer *a;
    uint64_t heard_ns; /* when the last byte came */
    int encoded;       /* the body is compressed, which nobody asked for */
    int rc;            /* why a callback ended it */
};

static void clear_head(struct asking *q)
{
    q->encoded = 0;
    q->a->error[0] = '\0';
    mem_free(q->a->warning);
    q->a->warning = NULL;
}

/* Adds the text of `299 agent "text"`, whose quotes and backslashes have backslashes before
 * them. What does not fit, or is none, is left out. */
static void keep_warning(struct client_answer *a, struct str v)
{
    const char *at = memchr(v.p, '"', v.n);
    size_t n = a->warning ? strlen(a->warning) : 0;
    char *to;

    if (!at || n + v.n + 2 > WARNINGS_MAX)
        return;
    to = mem_realloc(a->warning, n + v.n + 2);
    if (!to)
        return;
    a->warning = to;
    to += n;
    for (at++; at < v.p + v.n && *at != '"'; at++) {
        at += *at == '\\' && at + 1 < v.p + v.n;
        *to++ = *at;
    }
    *to++ = '\n';
    *to = '\0';
}

/* The value of the header line, when it has that name. */
static int is_header(struct str line, const char *name, struct str *v)
{
    size_t n = strlen(name);

    if (line.n <= n || line.p[n] != ':' || strncasecmp(line.p, name, n) != 0)
        return 0;
    *v = (struct str){line.p + n + 1, line.n - n - 1};
    while (v->n && (*v->p == ' ' || *v->p == '\t'))
        *v = (struct str){v->p + 1, v->n - 1};
    while (v->n && (unsigned char)v->p[v->n - 1] <= ' ')
        v->n--;
    return 1;
}

static size_t on_head(char *p, size_t size, size_t n, void *ctx)
{
    struct asking *q = ctx;
    struct client_answer *a = q->a;
    struct str line, v;

    n *= size;
    line = (struct str){p, n};
    q->heard_ns = clock_ns();
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
        clear_head(q); /* the next answer, behind an interim one */
    else if (is_header(line, "content-encoding", &v))
        q->encoded = v.n != 8 || strncasecmp(v.p, "identity", 8) != 0;
    else if (is_header(line, "x-hearth-error", &v))
        (void)snprintf(a->error, sizeof(a->error), "%.*s", v.n > 60 ? 60 : (int)v.n, v.p);
    else if (is_header(line, "warning", &v))
        keep_warning(a, v);
    return n;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct asking *q = ctx;
    long status = 0;

    n *= size;
    q->heard_ns = clock_ns();
    (void)curl_easy_getinfo(q->c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (q->encoded)
        q->rc = E_FORMAT;
    else if (q->sink && status / 100 == 2)
        q->rc = q->sink(q->ctx, p, n) ? E_CANCELLED : 0;
    else
        q->rc = buf_put(&q->a->body, p, n);
    return q->rc == 0 ? n : (size_t)CURL_WRITEFUNC_ERROR;
}

/* A message for what a callback found. */
static int own_error(const struct asking *q, struct err *e)
{
    switch (q->rc) {
    case E_FORMAT:
        return err_set(e, q->rc, "the answer of %s is compressed, which was not asked for",
                       q->c->host.url.p);
    case E_TOO_LONG:
        return err_set(e, q->rc, "the answer has more than %zu bytes", q->a->body.max);
    case E_CANCELLED:
        return err_set(e, q->rc, "stopped on request");
    default:
        return err_set(e, q->rc, "no memory for the answer");
    }
}

static int curl_error(const struct client *c, CURLcode code, const char *why, struct err *e)
{
    const char *at = c->host.socket.n ? c->host.socket.p : c->host.url.p;

    switch (code) {
    case CURLE_COULDNT_CONNECT:
        return err_set(e, E_IO, "nobody answers at %s; 'hearth serve' starts a server", at);
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_set(e, E_IO, "%s: there is no host of that name", at);
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(e, E_BUSY, "%s did not answer in time", at);
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return err_set(e, E_IO, "%s closed the connection in the middle", at);
    case CURLE_OUT_OF_MEMORY:
        return err_set(e, E_NOMEM, "no memory for a request");
    default:
        return err_set(e, E_IO, "%s: %s", at, *why ? why : curl_easy_strerror(code));
    }
}

/* Waits and works until the transfer has ended: 1 with *code, or a failure. */
static int drive(struct asking *q, CURLcode *code, struct err *e)
{
    struct client *c = q->c;
    struct curl_waitfd wake = {.fd = c->wake[0], .events = CURL_WAIT_POLLIN};
    int running = 1, left;
    const CURLMsg *m;

    q->heard_ns = clock_ns();
    for (;;) {
        if (curl_multi_perform(c->multi, &running) != CURLM_OK)
            return err_set(e, E_NOMEM, "no memory for a request");
        if (atomic_load(&c->cancelled))
            return err_set(e, E_CANCELLED, "stopped on request");
        m = running ? NULL : curl_multi_info_read(c->multi, &left);
        if (m && m->msg == CURLMSG_DONE) {
            *code = m->data.result;
            return 1;
        }
        if (c->idle_ms > 0 &&
            clock_ns() - q->heard_ns > (uint64_t)(unsigned)c->idle_ms * 1000000)
            return err_set(e, E_BUSY, "nothing came from %s for %d ms", c->host.url.p,
                           c->idle_ms);
        wake.revents = 0;
        if (curl_multi_poll(c->multi, &wake, 1, TICK_MS, NULL) != CURLM_OK)
            return err_set(e, E_IO, "waiting for %s failed", c->host.url.p);
    }
}

static void take_type(struct client *c, struct client_answer *a)
{
    const char *type = NULL;
    long status = 0;

    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
    a->status = (int)status;
    (void)snprintf(a->type, sizeof(a->type), "%s", type ? type : "");
}

static int transfer(struct asking *q, struct err *e)
{
    struct client *c = q->c;
    char why[CURL_ERROR_SIZE] = "", drop[16];
    CURLcode code = CURLE_OK;
    int rc;

    while (read(c->wake[0], drop, sizeof(drop)) > 0)
        ; /* a cancel that came too late for the request before */
    atomic_store(&c->cancelled, 0);
    (void)curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, why);
    if (curl_multi_add_handle(c->multi, c->easy) != CURLM_OK)
        return err_set(e, E_NOMEM, "no memory for a request");
    rc = drive(q, &code, e);
    take_type(c, q->a);
    (void)curl_multi_remove_handle(c->multi, c->easy);
    (void)curl_easy_setopt(c->easy, CURLOPT_ERRORBUFFER, NULL);
    if (q->rc < 0)
        return own_error(q, e);
    if (rc < 0)
        return rc;
    return code == CURLE_OK ? 0 : curl_error(c, code, why, e);
}

int client_ask(struct client *c, const char *method, const char *path, const char *body,
               size_t n_body, client_sink *sink, void *ctx, struct client_answer *a,
               struct err *e)
{
    struct asking q = {.c = c, .sink = sink, .ctx = ctx, .a = a};
    struct buf url;
    int rc;

    a->status = 0;
    a->type[0] = '\0';
    clear_head(&q);
    if (a->body.max == 0)
        buf_init(&a->body, BODY_MAX);
    buf_clear(&a->body);
    buf_init(&url, URL_MAX);
    rc = path[0] == '/' && is_clean(path) && !strchr(path, ' ')
             ? buf_fmt(&url, "%s%s", c->host.url.p, path)
             : E_INVALID;
    if (rc < 0) {
        buf_done(&url);
        return err_set(e, rc, "no path of a request: '%.64s'", path);
    }
    (void)curl_easy_setopt(c->easy, CURLOPT_URL, url.p);
    (void)curl_easy_setopt(c->easy, CURLOPT_HTTPGET, 1L);
    if (body) {
        (void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDS, body);
        (void)curl_easy_setopt(c->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n_body);
    }
    (void)curl_easy_setopt(c->easy, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
    (void)curl_easy_setopt(c->easy, CURLOPT_CUSTOMREQUEST, method);
    (void)curl_easy_setopt(c->easy, CURLOPT_HEADERFUNCTION, on_head);
    (void)curl_easy_setopt(c->easy, CURLOPT_HEADERDATA, &q);
    (void)curl_easy_setopt(c->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(c->easy, CURLOPT_WRITEDATA, &q);
    rc = transfer(&q, e);
    buf_done(&url);
    return rc;
}

/* -- where the server is ------------------------------------------------------------------ */

int client_host(struct buf *out, struct err *e)
{
    static const char *const name[] = {"HEARTH_HOST", "OLLAMA_HOST"};
    const char *text = NULL, *from = NULL;
    struct host h;
    int rc;

    for (int i = 0; i < 2 && !text; i++) {
        from = name[i];
        text = getenv(from);
        if (text && strspn(text, " \t\r\n\"'") == strlen(text))
            text = NULL;
    }
    if (!text)
        from = "the address";
    rc = host_read(&h, text, e);
    if (rc < 0)
        return err_wrap(e, rc, "%s", from);
    rc = h.socket.n ? buf_fmt(out, "unix:%s", h.socket.p) : buf_str(out, h.url.p);
    host_done(&h);
    return rc < 0 ? err_set(e, rc, "no memory for an address") : 0;
}

void client_answer_done(struct client_answer *a)
{
    buf_done(&a->body);
    mem_free(a->warning);
    a->warning = NULL;
}

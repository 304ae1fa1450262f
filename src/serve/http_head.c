/* A request's target and headers. libmicrohttpd has split the lines; what it lets pass and HTTP
 * does not (RFC 9110, 9112) is refused here, above all whatever two readers could understand in
 * two ways. */
#include "serve/http_priv.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

const char *http_head_find(const struct field *f, const char *name)
{
    for (; f; f = f->next) {
        if (strcasecmp(f->name, name) == 0)
            return f->value;
    }
    return NULL;
}

/* -- fields -------------------------------------------------------------------------------- */

struct reading {
    struct exchange *x;
    struct field **end;
    int n, n_host, n_length, n_coding, n_type, n_auth;
    int bad; /* a name or a value that may not be; no memory */
};

static int is_token(const char *p, size_t n)
{
    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if (c <= 0x20 || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return 0;
    }
    return 1;
}

static int is_value(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return 0;
    }
    return 1;
}

/* 1: this libmicrohttpd hands out its pointers into the head as it came, which is what can be
 * told by where they point; later ones know folds and NULs. */
static int shows_head(void)
{
    return strncmp(MHD_get_version(), "0.9.7", 5) == 0;
}

/* 1: the value stands where its line has it, behind the name and a colon. libmicrohttpd joins a
 * folded line to the name before it, which makes another name. */
static int is_of_line(const char *name, size_t n_name, const char *value)
{
    const char *p = name + n_name + 1;

    if (!shows_head())
        return 1;
    while (p < value && (*p == ' ' || *p == '\t'))
        p++;
    return p == value;
}

static enum MHD_Result one_field(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t n_name, const char *value, size_t n_value)
{
    struct reading *r = ctx;
    struct arena *mem = &r->x->mem;
    struct field *f = arena_alloc(mem, sizeof(*f));

    (void)kind;
    r->n++;
    if (!value)
        n_value = 0;
    if (!f || !is_token(name, n_name) || !is_value(value, n_value) ||
        (value && !is_of_line(name, n_name, value))) {
        r->bad = 1;
        return MHD_NO;
    }
    *f = (struct field){arena_strdup(mem, (struct str){name, n_name}),
                        arena_strdup(mem, (struct str){value ? value : "", n_value}), NULL};
    if (!f->name || !f->value) {
        r->bad = 1;
        return MHD_NO;
    }
    *r->end = f;
    r->end = &f->next;
    r->n_host += strcasecmp(f->name, "host") == 0;
    r->n_length += strcasecmp(f->name, "content-length") == 0;
    r->n_coding += strcasecmp(f->name, "transfer-encoding") == 0;
    r->n_type += strcasecmp(f->name, "content-type") == 0;
    r->n_auth += strcasecmp(f->name, "authorization") == 0;
    return MHD_YES;
}

/* How long the body is, in one way only. */
static int check_framing(struct exchange *x, const struct reading *r, struct err *e)
{
    const char *length = http_head_find(x->field, "content-length"),
               *coding = http_head_find(x->field, "transfer-encoding");

    if (r->n_length > 1 || r->n_coding > 1 || (r->n_length && r->n_coding))
        return err_set(e, E_INVALID, "the length of the body is declared more than once"), 400;
    if (coding && strcasecmp(coding, "chunked") != 0)
        return err_set(e, E_INVALID, "transfer-encoding '%.40s' is not known", coding), 501;
    if (coding && x->v10)
        return err_set(e, E_INVALID, "HTTP/1.0 has no transfer-encoding"), 400;
    x->length = coding ? -1 : 0;
    if (!length)
        return 0;
    if (!*length || strlen(length) > 18 || length[strspn(length, "0123456789")])
        return err_set(e, E_INVALID, "content-length '%.40s' is not a number of bytes", length),
               400;
    for (; *length; length++)
        x->length = x->length * 10 + (*length - '0');
    return 0;
}

static int check_fields(struct exchange *x, const struct reading *r, struct err *e)
{
    const char *expect = http_head_find(x->field, "expect");

    if (r->n > HTTP_FIELDS_MAX)
        return err_set(e, E_TOO_LONG, "more than %d header fields", HTTP_FIELDS_MAX), 431;
    if (r->bad)
        return err_set(e, E_INVALID, "a header field has characters that it may not have"), 400;
    if (r->n_host > 1)
        return err_set(e, E_INVALID, "more than one Host header"), 400;
    if (r->n_host == 0 && !x->v10)
        return err_set(e, E_INVALID, "there is no Host header"), 400;
    if (r->n_type > 1 || r->n_auth > 1)
        return err_set(e, E_INVALID, "a header field that may stand once stands twice"), 400;
    if (expect && strcasecmp(expect, "100-continue") != 0)
        return err_set(e, E_INVALID, "expectation '%.40s' is not known", expect), 417;
    return check_framing(x, r, e);
}

/* -- the target ---------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX (and '+' with plus) into the arena. p NULL: an escape that is none, a NUL, or no
 * UTF-8. */
static struct str unescape(struct arena *mem, const char *p, size_t n, int plus)
{
    char *out = arena_alloc(mem, n + 1);
    size_t k = 0;

    if (!out)
        return (struct str){NULL, 0};
    for (size_t i = 0; i < n; i++) {
        int c = (unsigned char)p[i];

        if (c == '%') {
            int hi = i + 2 < n ? hex(p[i + 1]) : -1, lo = hi < 0 ? -1 : hex(p[i + 2]);

            if (hi < 0 || lo < 0)
                return (struct str){NULL, 0};
            c = hi * 16 + lo;
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0)
            return (struct str){NULL, 0};
        out[k++] = (char)c;
    }
    out[k] = '\0';
    if (!utf8_valid(out, k))
        return (struct str){NULL, 0};
    return (struct str){out, k};
}

/* No segment goes up or stays, and there is no second kind of slash. */
static int is_plain_path(struct str path)
{
    const char *p = path.p, *end = path.p + path.n;

    if (path.n == 0 || *p != '/')
        return 0;
    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] == '\\' || (unsigned char)path.p[i] < 0x20)
            return 0;
    }
    while (p < end) {
        const char *slash = memchr(p + 1, '/', (size_t)(end - p - 1)),
                   *stop = slash ? slash : end;
        size_t n = (size_t)(stop - p - 1);

        if ((n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
            return 0;
        p = stop;
    }
    return 1;
}

int http_host_split(const char *text, char host[256], int *port)
{
    const char *end;
    size_t n;

    *port = 0;
    if (*text == '[') {
        text++;
        end = strchr(text, ']');
        n = end ? (size_t)(end - text) : 0;
        end = end ? end + 1 : "";
    } else {
        n = strcspn(text, ":");
        end = text + n;
    }
    if (n == 0 || n > 255)
        return 0;
    memcpy(host, text, n);
    host[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)host[i];

        if (c <= 0x20 || c >= 0x7f || strchr("/\\?#@\"<>", c))
            return 0;
    }
    if (*end == '\0')
        return 1;
    if (*end != ':' || !end[1] || strlen(end) > 6 || end[1 + strspn(end + 1, "0123456789")])
        return 0;
    for (end++; *end; end++)
        *port = *port * 10 + (*end - '0');
    return *port <= 65535;
}

/* "http://host/path": the host must be that of the header. Moves *url behind it. */
static int absolute_form(const struct exchange *x, const char **url)
{
    const char *host = http_head_find(x->field, "host"), *at = *url, *slash;
    size_t n;

    if (strncasecmp(at, "http://", 7) == 0)
        at += 7;
    else if (strncasecmp(at, "https://", 8) == 0)
        at += 8;
    else
        return 0;
    slash = strchr(at, '/');
    n = slash ? (size_t)(slash - at) : strlen(at);
    if (!host || strlen(host) != n || strncasecmp(host, at, n) != 0)
        return 0;
    *url = slash ? slash : "/";
    return 1;
}

static enum MHD_Result one_query(void *ctx, enum MHD_ValueKind kind, const char *name,
                                 size_t n_name, const char *value, size_t n_value)
{
    struct reading *r = ctx;
    struct arena *mem = &r->x->mem;
    struct field *f = arena_alloc(mem, sizeof(*f));
    struct str key = unescape(mem, name, n_name, 1),
               v = unescape(mem, value ? value : "", value ? n_value : 0, 1);

    (void)kind;
    if (!f || !key.p || !v.p) {
        r->bad = 1;
        return MHD_NO;
    }
    *f = (struct field){key.p, v.p, NULL};
    *r->end = f;
    r->end = &f->next;
    return MHD_YES;
}

static int read_target(struct exchange *x, struct MHD_Connection *mhd, const char *url,
                       struct err *e)
{
    struct reading r = {.x = x, .end = &x->query};

    if (x->conn->bad_target)
        return http_target_refusal(x->conn->bad_target, e);
    if (strcmp(url, "*") == 0 && strcmp(x->call.method, "OPTIONS") == 0)
        url = "/";
    if (*url != '/' && !absolute_form(x, &url))
        return err_set(e, E_INVALID, "the request's target is no path"), 400;
    x->call.path = unescape(&x->mem, url, strlen(url), 0);
    if (!x->call.path.p || !is_plain_path(x->call.path))
        return err_set(e, E_INVALID, "the path has parts that it may not have"), 400;
    (void)MHD_get_connection_values_n(mhd, MHD_GET_ARGUMENT_KIND, one_query, &r);
    if (r.bad)
        return err_set(e, E_INVALID, "the query has characters that it may not have"), 400;
    return 0;
}

int http_head_read(struct exchange *x, struct MHD_Connection *mhd, const char *url,
                   const char *version, struct err *e)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct reading r = {.x = x, .end = &x->field};
    int status;

    x->v10 = strcmp(version, "HTTP/1.0") == 0;
    (void)MHD_get_connection_values_n(mhd, MHD_HEADER_KIND, one_field, &r);
    if (info && info->header_size > (size_t)http_config(x->http)->head_max)
        return err_set(e, E_TOO_LONG, "the head of the request has %zu bytes, at most %lld",
                       info->header_size, (long long)http_config(x->http)->head_max),
               431;
    if (shows_head() && version != x->conn->after_target)
        return err_set(e, E_INVALID, "the request's first line is malformed"), 400;
    status = check_fields(x, &r, e);
    return status ? status : read_target(x, mhd, url, e);
}

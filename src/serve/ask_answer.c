/* ask_answer.c - answers that need no provider: errors, small JSON; and bodies. */
#include "serve/ask.h"

#include "base/log.h"
#include "fmt/jtext.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)512 << 20)

enum { RETRY_AFTER_S = 1 };

/* Clients read a hundred headers, or 16 kB of them (Python, Node.js), and drop the answer that
 * has more. */
enum { WARNINGS_MAX = 16, WARNINGS_BYTES = 4096 };

static int status_of(int code)
{
    /* What is refused is the request's doing; a file that cannot be read is ours. */
    return code == E_UNSUPPORTED ? 400 : err_row(code)->http;
}

void ask_error_status(struct call *c, int status, const struct err *e, const char *param)
{
    const struct dialect *d = c->route ? c->route->dialect : &dialect_openai;
    struct buf out;
    char after[16];

    buf_init(&out, ANSWER_MAX);
    if (status == 503) {
        (void)snprintf(after, sizeof(after), "%d", RETRY_AFTER_S);
        if (call_add_header(c, "Retry-After", after) < 0)
            log_line(LOG_DEBUG, "no memory for a header");
    }
    /* For clients of our own: dialects have fewer words, and some have none. */
    if (call_add_header(c, "x-hearth-error", err_row(e->code)->type) < 0)
        log_line(LOG_DEBUG, "no memory for a header");
    if (d->error(&out, status, e, param && *param ? param : NULL, c->id) < 0)
        call_reply(c, status, NULL, NULL, 0);
    else
        call_reply(c, status, d->json_type, out.p, out.n);
    buf_done(&out);
}

void ask_error(struct call *c, const struct err *e, const char *param)
{
    ask_error_status(c, status_of(e->code), e, param);
}

void ask_json(struct call *c, int status, json_t *value)
{
    static const struct err none = {E_NOMEM, "no memory for the answer"};
    struct buf out;

    buf_init(&out, ANSWER_MAX);
    if (value && jtext_put(&out, value, 0) == 0)
        call_reply(c, status, c->route->dialect->json_type, out.p, out.n);
    else
        ask_error(c, &none, NULL);
    json_decref(value);
    buf_done(&out);
}

static int put_warning(struct call *c, const char *text, size_t n)
{
    char value[600];

    (void)snprintf(value, sizeof(value), "299 hearth \"%.*s\"", (int)n, text);
    for (char *q = value + 12; q[0] && q[1]; q++) {
        if (*q == '"' || *q == '\\' || (unsigned char)*q > 126)
            *q = '\'';
    }
    return call_add_header(c, "warning", value);
}

/* Header "warning" for each line, as far as clients take them; then one that says how many
 * there are besides. */
static void put_warnings(struct call *c, const struct field_report *r)
{
    const char *at = r->warnings.p, *end;
    size_t n = 0, more = 0, bytes = 0;
    char rest[64];

    for (; at && (end = strchr(at, '\n')); at = end + 1) {
        bytes += (size_t)(end - at);
        if (n >= WARNINGS_MAX || bytes > WARNINGS_BYTES)
            more++;
        else if (put_warning(c, at, (size_t)(end - at)) < 0)
            return;
        else
            n++;
    }
    (void)snprintf(rest, sizeof(rest), "and %zu more at least", more);
    if (more && put_warning(c, rest, strlen(rest)) < 0)
        log_line(LOG_DEBUG, "no memory for a header");
}

void ask_warn(struct call *c, struct field_report *report)
{
    put_warnings(c, report);
    buf_clear(&report->warnings);
}

int ask_body(struct call *c, json_t **out)
{
    struct err e = {0};

    if (field_parse(out, c->body, &e) == 0) {
        if (json_is_object(*out))
            return 1;
        json_decref(*out);
        (void)err_set(&e, E_INVALID, "the body must be a JSON object");
    }
    ask_error(c, &e, NULL);
    return 0;
}

int ask_strict(const struct call *c)
{
    const char *q = call_query(c, "strict"), *h = call_header(c, "x-hearth-strict");

    return (q && strcmp(q, "0") != 0) || (h && strcmp(h, "0") != 0);
}

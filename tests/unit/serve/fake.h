/* fake.h - dialects without a network and without an engine: calls in memory, and a provider
 * whose events the test says one by one.
 *
 *     struct fake f;
 *
 *     fake_open(&f);
 *     fake_post(&f, api_openai_routes, n, "/v1/chat/completions", "{...}");
 *     f.q->...                               what was asked of the provider, if it got that far
 *     fake_start(&f, 5, 0);                  its events, delivered by the test's own thread
 *     fake_text(&f, 0, "Hello");
 *     fake_finish(&f, 0, GATE_END);
 *     fake_done(&f);
 *     f.call.status, f.call.out.p ...        what the client got
 *     fake_close(&f);
 *
 * One call at a time; fake_post forgets the one before.
 */
#ifndef TESTS_UNIT_SERVE_FAKE_H
#define TESTS_UNIT_SERVE_FAKE_H

#include "base/clock.h"
#include "gate/provider.h"
#include "serve/ask.h"
#include "serve/call.h"
#include "serve/config.h"
#include "serve/metrics.h"
#include "serve/route.h"
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FAKE_HELD_MAX = 1 << 20 };

#define FAKE_UNUSED __attribute__((unused))

/* -- a call ------------------------------------------------------------------------------ */

struct fake_call {
    struct call call;        /* first: ops get this one */
    const char *query_text;  /* "a=1&b=2", already decoded */
    const char *header_text; /* "name: value\nname: value" */
    int status, begun, ended, cut;
    char type[80];
    struct buf headers; /* "name: value\n" of the answer */
    struct buf out;     /* its body */
    char found[256];    /* what header or query found last */
    char name[256];     /* what query_name did */
    size_t room;        /* bytes until write says CALL_FULL; 0: any number */
    int gone;
    call_listener *listener;
    void *listener_ctx;
};

static const char *fake_find(const struct fake_call *f, const char *text, const char *name,
                             char eq, char sep)
{
    size_t n = strlen(name);

    for (const char *at = text; at && *at;) {
        const char *end = strchr(at, sep);
        size_t len = end ? (size_t)(end - at) : strlen(at);

        if (len > n && at[n] == eq && strncasecmp(at, name, n) == 0) {
            const char *v = at + n + 1;

            while (*v == ' ')
                v++;
            (void)snprintf((char *)f->found, sizeof(f->found), "%.*s", (int)(at + len - v), v);
            return f->found;
        }
        at = end ? end + 1 : NULL;
    }
    return NULL;
}

static const char *fake_op_header(const struct call *c, const char *name)
{
    const struct fake_call *f = (const struct fake_call *)c;

    return fake_find(f, f->header_text, name, ':', '\n');
}

static const char *fake_op_query(const struct call *c, const char *name)
{
    const struct fake_call *f = (const struct fake_call *)c;

    return fake_find(f, f->query_text, name, '=', '&');
}

static const char *fake_op_query_name(const struct call *c, size_t i)
{
    const struct fake_call *f = (const struct fake_call *)c;
    const char *at = f->query_text;

    while (at && i-- > 0) {
        at = strchr(at, '&');
        at = at ? at + 1 : NULL;
    }
    if (!at || !*at)
        return NULL;
    (void)snprintf((char *)f->name, sizeof(f->name), "%.*s", (int)strcspn(at, "=&"), at);
    return f->name;
}

static int fake_op_add_header(struct call *c, const char *name, const char *value)
{
    struct fake_call *f = (struct fake_call *)c;

    if (strcmp(name, "x-hearth-error") == 0) /* the same for all dialects: tests/cli sees it */
        return 0;
    return buf_fmt(&f->headers, "%s: %s\n", name, value);
}

static int fake_op_begin(struct call *c, int status, const char *type)
{
    struct fake_call *f = (struct fake_call *)c;

    f->begun++;
    f->status = status;
    (void)snprintf(f->type, sizeof(f->type), "%s", type ? type : "");
    return f->gone ? CALL_GONE : CALL_TAKEN;
}

static int fake_op_write(struct call *c, const char *p, size_t n)
{
    struct fake_call *f = (struct fake_call *)c;

    if (f->gone)
        return CALL_GONE;
    if (buf_put(&f->out, p, n) < 0)
        f->cut = 2;
    return f->room && f->out.n > f->room ? CALL_FULL : CALL_TAKEN;
}

static void fake_op_end(struct call *c, int cut)
{
    struct fake_call *f = (struct fake_call *)c;

    f->ended++;
    f->cut = cut;
}

static void fake_op_reply(struct call *c, int status, const char *type, const char *p, size_t n)
{
    (void)fake_op_begin(c, status, type);
    (void)fake_op_write(c, p, n);
    fake_op_end(c, 0);
}

static void fake_op_listen(struct call *c, call_listener *fn, void *ctx)
{
    struct fake_call *f = (struct fake_call *)c;

    f->listener = fn;
    f->listener_ctx = ctx;
    if (f->gone && fn)
        fn(ctx, CALL_GONE);
}

static const struct call_ops fake_call_ops = {
    .header = fake_op_header,
    .query = fake_op_query,
    .query_name = fake_op_query_name,
    .add_header = fake_op_add_header,
    .reply = fake_op_reply,
    .begin = fake_op_begin,
    .write = fake_op_write,
    .end = fake_op_end,
    .listen = fake_op_listen,
};

/* -- a provider, and all around it --------------------------------------------------------- */

struct fake;

struct gate_call {
    struct fake *f;
};

struct fake {
    struct serve serve;
    struct config config;
    struct provider provider;
    struct gate_call gate_call;
    struct fake_call call;

    struct gate_request *q; /* the request under way, or the last one; NULL: none came so far */
    gate_sink *sink;        /* NULL: nothing is under way */
    void *ctx;
    int n_started, n_freed, cancelled, resumed;
    int n_shared;               /* JSON values of the request that others held at its start */
    int says;                   /* what the sink said last */
    int start_fails;            /* an error code: start says no */
    uint64_t tenant;            /* of calls; 0: 1 */
    const struct auth_key *who; /* of calls */
    struct gate_usage usage;    /* of START, FINISH and DONE */
};

static struct fake *fake_of_provider; /* ops get no context but the provider */

/* Fuzz targets use this file, too: no assertions of a test. */
static void fake_must(int ok, const char *why)
{
    if (ok)
        return;
    (void)fprintf(stderr, "%s\n", why);
    abort();
}

/* The values below v, one for each time that something there holds one. */
static size_t fake_held(json_t *v, json_t **list, size_t n)
{
    const char *key;
    json_t *in;
    size_t i;

    fake_must(n < FAKE_HELD_MAX, "fake.h: more JSON than a test may send");
    if (v && v->refcount != (size_t)-1)
        list[n++] = v;
    json_object_foreach(v, key, in)
    {
        n = fake_held(in, list, n);
    }
    json_array_foreach(v, i, in)
    {
        n = fake_held(in, list, n);
    }
    return n;
}

static int fake_by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t) * (json_t *const *)a, y = (uintptr_t) * (json_t *const *)b;

    return x < y ? -1 : x > y;
}

/* How many values of a request others hold, too. */
static int fake_n_shared(const struct gate_request *q)
{
    static json_t *list[FAKE_HELD_MAX];
    json_t *const root[] = {q->messages, q->tools, q->vars, q->schema};
    size_t n = 0, k;
    int n_shared = 0;

    for (size_t i = 0; i < sizeof(root) / sizeof(root[0]); i++)
        n = fake_held(root[i], list, n);
    qsort(list, n, sizeof(list[0]), fake_by_address);
    for (size_t i = 0; i < n; i += k) {
        for (k = 1; i + k < n && list[i + k] == list[i]; k++)
            ;
        n_shared += list[i]->refcount != k;
    }
    return n_shared;
}

static int fake_op_start(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                         struct gate_call **out, struct err *e)
{
    struct fake *f = fake_of_provider;

    (void)p;
    gate_request_free(f->q);
    f->q = q;
    if (f->start_fails)
        return err_set(e, f->start_fails, "the fake provider says no");
    f->n_started++;
    f->n_shared = fake_n_shared(q);
    f->sink = sink;
    f->ctx = ctx;
    f->gate_call.f = f;
    *out = &f->gate_call;
    return 0;
}

static void fake_op_cancel(struct gate_call *c)
{
    c->f->cancelled++;
}

static void fake_op_resume(struct gate_call *c)
{
    c->f->resumed++;
}

static void fake_op_free(struct gate_call *c)
{
    c->f->n_freed++;
}

static const struct provider_ops fake_provider_ops = {
    .name = "fake",
    .start = fake_op_start,
    .cancel = fake_op_cancel,
    .resume = fake_op_resume,
    .free = fake_op_free,
};

static void fake_call_clear(struct fake_call *f)
{
    buf_done(&f->headers);
    buf_done(&f->out);
    memset(f, 0, sizeof(*f));
    f->call.ops = &fake_call_ops;
    buf_init(&f->headers, 64 << 10);
    buf_init(&f->out, 64 << 20);
}

/* Metrics that are nobody's are NULL here, unless the test brings some. */
FAKE_UNUSED static void fake_open(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->provider.ops = &fake_provider_ops;
    f->serve.config = &f->config;
    f->serve.provider = &f->provider;
    f->serve.start_ns = clock_ns();
    fake_call_clear(&f->call);
    fake_of_provider = f;
}

FAKE_UNUSED static void fake_close(struct fake *f)
{
    buf_done(&f->call.headers);
    buf_done(&f->call.out);
    gate_request_free(f->q);
    f->q = NULL;
}

/* Sends a request to the route that lists have for it; what f->call had of headers and query is
 * kept by the caller setting them through `headers` and `query` (NULL: none). 1: a route was
 * found. */
FAKE_UNUSED static int fake_send(struct fake *f, const struct route_list *lists,
                                 const char *method, const char *path, const char *query,
                                 const char *headers, struct str body)
{
    struct fake_call *c = &f->call;
    const struct dialect *near;
    char allow[64];

    fake_call_clear(c);
    c->call.who = f->who;
    gate_request_free(f->q);
    f->q = NULL;
    f->sink = NULL;
    f->n_started = f->n_freed = f->cancelled = f->resumed = f->says = 0;
    c->query_text = query;
    c->header_text = headers;
    c->call.method = method;
    c->call.path = str_of(path);
    c->call.body = body;
    c->call.tenant = f->tenant ? f->tenant : 1;
    c->call.start_ns = clock_ns();
    (void)snprintf(c->call.id, sizeof(c->call.id), "req_00000000000000000000");
    c->call.route = route_find(lists, method, c->call.path, c->call.arg, allow, &near);
    if (!c->call.route)
        return 0;
    f->n_shared = 0;
    ask_run(&f->serve, &c->call);
    /* A request is its provider's: other threads read and free it, which jansson does not
     * order. What /v1/responses shares with its answer is let go before the request. */
    fake_must(f->n_shared == 0 || strstr(path, "/responses"),
              "others hold JSON of a request that was started");
    return 1;
}

FAKE_UNUSED static int fake_post(struct fake *f, const struct route_list *lists,
                                 const char *path, const char *body)
{
    return fake_send(f, lists, "POST", path, NULL, NULL, str_of(body));
}

FAKE_UNUSED static int fake_get(struct fake *f, const struct route_list *lists,
                                const char *path)
{
    return fake_send(f, lists, "GET", path, NULL, NULL, str_of(""));
}

/* Tells the call's listener; `gone` also makes writes fail from now on. */
FAKE_UNUSED static void fake_tell(struct fake *f, int what)
{
    if (what == CALL_GONE)
        f->call.gone = 1;
    if (f->call.listener)
        f->call.listener(f->call.listener_ctx, what);
}

/* -- events -------------------------------------------------------------------------------- */

/* Delivers an event; the last one ends what is under way. */
FAKE_UNUSED static void fake_say(struct fake *f, const struct gate_event *ev)
{
    gate_sink *sink = f->sink;

    if (!sink)
        return;
    if (ev->kind == GATE_EV_DONE || ev->kind == GATE_EV_ERROR)
        f->sink = NULL;
    f->says = sink(f->ctx, ev);
}

FAKE_UNUSED static void fake_start(struct fake *f, int n_prompt, int n_cached)
{
    f->usage.n_prompt = n_prompt;
    f->usage.n_cached = n_cached;
    fake_say(f, &(struct gate_event){.kind = GATE_EV_START, .usage = &f->usage});
}

FAKE_UNUSED static void fake_text(struct fake *f, int choice, const char *text)
{
    f->usage.n_output++;
    fake_say(f, &(struct gate_event){
                    .kind = GATE_EV_CONTENT, .choice = choice, .text = str_of(text)});
}

FAKE_UNUSED static void fake_reasoning(struct fake *f, int choice, const char *text)
{
    f->usage.n_output++;
    f->usage.n_reasoning++;
    fake_say(f, &(struct gate_event){
                    .kind = GATE_EV_REASONING, .choice = choice, .text = str_of(text)});
}

/* A whole call; arguments in pieces of so many bytes. */
FAKE_UNUSED static void fake_tool(struct fake *f, int choice, int call, const char *id,
                                  const char *name, const char *arguments, size_t piece)
{
    struct gate_event ev = {.choice = choice, .call = call};
    size_t n = strlen(arguments);

    ev.kind = GATE_EV_CALL;
    ev.name = str_of(name);
    ev.id = str_of(id);
    fake_say(f, &ev);
    ev.name = ev.id = (struct str){NULL, 0};
    ev.kind = GATE_EV_ARGUMENTS;
    for (size_t at = 0; at < n; at += piece) {
        ev.text = (struct str){arguments + at, n - at < piece ? n - at : piece};
        f->usage.n_output++;
        fake_say(f, &ev);
    }
    ev.text = (struct str){NULL, 0};
    ev.kind = GATE_EV_CALL_END;
    fake_say(f, &ev);
}

FAKE_UNUSED static void fake_finish(struct fake *f, int choice, int finish)
{
    fake_say(
        f, &(struct gate_event){
               .kind = GATE_EV_FINISH, .choice = choice, .finish = finish, .usage = &f->usage});
}

FAKE_UNUSED static void fake_done(struct fake *f)
{
    fake_say(f, &(struct gate_event){.kind = GATE_EV_DONE, .usage = &f->usage});
}

/* An error about a field. */
FAKE_UNUSED static void fake_error_param(struct fake *f, int code, const char *text,
                                         const char *param)
{
    struct err e;

    (void)err_set(&e, code, "%s", text);
    fake_say(f, &(struct gate_event){.kind = GATE_EV_ERROR, .err = &e, .param = param});
}

FAKE_UNUSED static void fake_error(struct fake *f, int code, const char *text)
{
    struct err e;

    (void)err_set(&e, code, "%s", text);
    fake_say(f, &(struct gate_event){.kind = GATE_EV_ERROR, .err = &e});
}

#endif

/* A server with routes of its own, for the tests of the front: what is between a socket and a
 * handler, without models.
 *
 *     http_server [NAME=VALUE...]     settings; prints its address; ends when its input does
 */
#include "base/clock.h"
#include "base/log.h"
#include "serve/auth.h"
#include "serve/call.h"
#include "serve/config.h"
#include "serve/http.h"
#include "serve/local.h"
#include "serve/metrics.h"
#include "serve/route.h"
#include "serve/serve.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What this program does not have; the real ones win where they are linked. */
#define WEAK __attribute__((weak))

void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                 const char *what, double value) WEAK;
int local_hangs(struct local *l, struct err *e) WEAK;
void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                void *ctx) WEAK;
int metrics_text(struct metrics *m, struct buf *out) WEAK;

void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                 const char *what, double value)
{
    (void)m, (void)id, (void)model, (void)route, (void)what, (void)value;
}

int local_hangs(struct local *l, struct err *e)
{
    (void)l, (void)e;
    return 0;
}

void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                void *ctx)
{
    (void)l, (void)visit, (void)ctx;
}

int metrics_text(struct metrics *m, struct buf *out)
{
    (void)m, (void)out;
    return 0;
}

static int error_body(struct buf *out, int status, const struct err *e, const char *param,
                      const char *id)
{
    (void)param, (void)id;
    return buf_fmt(out, "{\"error\":{\"code\":%d,\"message\":\"%.200s\"}}", status, e->msg);
}

#define DIALECT(v)                                                                             \
    extern const struct dialect v WEAK;                                                        \
    const struct dialect v = {"test", "application/json", error_body}

DIALECT(dialect_openai);
DIALECT(dialect_ollama);
DIALECT(dialect_anthropic);
DIALECT(dialect_llama);

/* -- routes -------------------------------------------------------------------------------- */

static atomic_int n_gone, n_running;

static void sleep_ms(int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

    (void)nanosleep(&t, NULL);
}

static void quick(struct serve *s, struct call *c)
{
    (void)s;
    call_reply(c, 200, "application/json", "{\"status\":\"ok\"}", 15);
}

static void echo(struct serve *s, struct call *c)
{
    const char *type = call_header(c, "content-type");

    (void)s;
    call_reply(c, 200, type ? type : "text/plain", c->body.p, c->body.n);
}

static void query(struct serve *s, struct call *c)
{
    const char *v = call_query(c, "v");
    char text[512];

    (void)s;
    (void)snprintf(text, sizeof(text), "%.*s|%s", (int)c->path.n, c->path.p, v ? v : "-");
    call_reply(c, 200, "text/plain", text, strlen(text));
}

struct waiter {
    atomic_int gone, drained;
};

static void on_call(void *ctx, int what)
{
    struct waiter *w = ctx;

    atomic_store(what == CALL_GONE ? &w->gone : &w->drained, 1);
}

static int number(const struct call *c, const char *name, int otherwise)
{
    const char *v = call_query(c, name);

    return v ? (int)strtol(v, NULL, 10) : otherwise;
}

/* Answers after so many milliseconds, or when the client is gone. */
static void slow(struct serve *s, struct call *c)
{
    struct waiter w = {0, 0};
    int ms = number(c, "ms", 100);

    (void)s;
    atomic_fetch_add(&n_running, 1);
    call_listen(c, on_call, &w);
    while (ms > 0 && !atomic_load(&w.gone)) {
        sleep_ms(2);
        ms -= 2;
    }
    call_listen(c, NULL, NULL);
    if (atomic_load(&w.gone))
        atomic_fetch_add(&n_gone, 1);
    atomic_fetch_sub(&n_running, 1);
    call_reply(c, 200, "text/plain", "slow", 4);
}

/* n pieces of `size` bytes, one each ms milliseconds; cut: without a proper end. */
static void stream(struct serve *s, struct call *c)
{
    struct waiter w = {0, 0};
    int n = number(c, "n", 10), ms = number(c, "ms", 0), size = number(c, "size", 32),
        before = number(c, "before", 0);
    char *piece = malloc((size_t)size);

    (void)s;
    atomic_fetch_add(&n_running, 1);
    memset(piece, 'x', (size_t)size);
    piece[size - 1] = '\n';
    call_listen(c, on_call, &w);
    for (int left = before; left > 0 && !atomic_load(&w.gone); left -= 2)
        sleep_ms(2);
    (void)call_begin(c, 200, "text/event-stream");
    for (int i = 0; i < n && !atomic_load(&w.gone); i++) {
        int says;

        atomic_store(&w.drained, 0);
        says = call_write(c, piece, (size_t)size);
        while (says == CALL_FULL && !atomic_load(&w.drained) && !atomic_load(&w.gone))
            sleep_ms(1);
        for (int left = ms; left > 0 && !atomic_load(&w.gone); left -= 1)
            sleep_ms(1);
    }
    call_listen(c, NULL, NULL);
    if (atomic_load(&w.gone))
        atomic_fetch_add(&n_gone, 1);
    atomic_fetch_sub(&n_running, 1);
    free(piece);
    call_end(c, number(c, "cut", 0));
}

/* Writes until it is told to wait, and then a little more each millisecond, as a provider does
 * with what is under way. "lost" when it is told to go on and never heard of the room. */
static void eager(struct serve *s, struct call *c)
{
    static const char piece[8192] = {'x'};
    struct waiter w = {0, 0};
    const char *end = "heard";
    int says;

    (void)s;
    call_listen(c, on_call, &w);
    says = call_begin(c, 200, "text/plain");
    while (says == CALL_TAKEN)
        says = call_write(c, piece, sizeof(piece));
    for (int i = 0; i < 12 && says == CALL_FULL; i++)
        says = call_write(c, piece, sizeof(piece));
    while (says == CALL_FULL && !atomic_load(&w.drained)) {
        sleep_ms(1);
        says = call_write(c, "y", 1);
    }
    for (int ms = 1000; ms > 0 && !atomic_load(&w.drained) && !atomic_load(&w.gone); ms--)
        sleep_ms(1);
    if (!atomic_load(&w.drained))
        end = "lost";
    (void)call_write(c, end, strlen(end));
    call_listen(c, NULL, NULL);
    call_end(c, 0);
}

static void counts(struct serve *s, struct call *c)
{
    char text[64];

    (void)s;
    (void)snprintf(text, sizeof(text), "%d %d", atomic_load(&n_gone), atomic_load(&n_running));
    call_reply(c, 200, "text/plain", text, strlen(text));
}

static const struct dialect test = {"test", "application/json", error_body};

/* clang-format off */
static const struct route rows[] = {
    {"GET",    "/health",     SCOPE_PUBLIC,  ROUTE_QUICK,    "test.health", &test, quick},
    {"GET",    "/counts",     SCOPE_PUBLIC,  ROUTE_QUICK,    "test.counts", &test, counts},
    {"POST",   "/echo",       SCOPE_INFER,   0,              "test.echo",   &test, echo},
    {"POST",   "/curl",       SCOPE_INFER,   ROUTE_CURL,     "test.curl",   &test, echo},
    {"POST",   "/blob/:name", SCOPE_MANAGE,  ROUTE_ANY_TYPE, "test.blob",   &test, echo},
    {"DELETE", "/thing",      SCOPE_MANAGE,  0,              "test.thing",  &test, echo},
    {"GET",    "/query/*rest", SCOPE_INFER,  0,              "test.query",  &test, query},
    {"GET",    "/slow",       SCOPE_INFER,   0,              "test.slow",   &test, slow},
    {"POST",   "/slow",       SCOPE_INFER,   0,              "test.slow",   &test, slow},
    {"GET",    "/stream",     SCOPE_INFER,   0,              "test.stream", &test, stream},
    {"POST",   "/stream",     SCOPE_INFER,   0,              "test.stream", &test, stream},
    {"GET",    "/eager",      SCOPE_INFER,   0,              "test.eager",  &test, eager},
};
/* clang-format on */

static const struct route_list lists[] = {{rows, sizeof(rows) / sizeof(rows[0])}, {NULL, 0}};

int main(int argc, char **argv)
{
    struct serve s = {.routes = lists};
    struct config *config = NULL;
    struct http *h = NULL;
    struct err e = {0};
    char c;

    if (config_load(&config, "", (const char *const *)argv + 1, argc - 1, &e) == 0) {
        s.config = config;
        log_set_level((enum log_level)config->log_level);
        if (auth_new(&s.auth, config->keys, &e) == 0 && http_start(&h, &s, &e) == 0) {
            (void)printf("%s\n", http_address(h));
            (void)fflush(stdout);
            while (read(STDIN_FILENO, &c, 1) > 0) {
                if (c == 'q')
                    http_quiesce(h);
            }
        }
    }
    if (e.code)
        (void)fprintf(stderr, "error: %s\n", e.msg);
    http_stop(h);
    auth_free(s.auth);
    config_free(config);
    return e.code ? err_row(e.code)->exit_status : 0;
}

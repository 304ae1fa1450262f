/* A request between a call and a provider: every way that it can end, and slow readers. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake.h"

#include "base/mem.h"
#include "serve/auth.h"

static int t_error(struct buf *out, int status, const struct err *e, const char *param,
                   const char *id)
{
    (void)id;
    return buf_fmt(out, "E%d %s %s", status, param ? param : "-", e->msg);
}

static const struct dialect dialect_t = {"t", "application/json", t_error};

static int freed;

static int t_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct buf *kept = ctx;

    switch (ev->kind) {
    case GATE_EV_START: /* a stream says something at once */
        return kept ? 0 : buf_str(out, "<");
    case GATE_EV_CONTENT:
        if (str_is(ev->text, "break"))
            return E_NOMEM;
        return buf_put(kept ? kept : out, ev->text.p, ev->text.n);
    case GATE_EV_DONE:
        return kept ? buf_put(out, kept->p, kept->n) : buf_str(out, ">");
    default:
        return 0;
    }
}

static int t_ping(void *ctx, struct buf *out)
{
    (void)ctx;
    return buf_str(out, "~");
}

static int t_fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    (void)ctx;
    return buf_fmt(out, "!%s%s", e->msg, param ? param : "");
}

static void t_free(void *ctx)
{
    struct buf *kept = ctx;

    freed++;
    if (kept)
        buf_done(kept);
    mem_free(kept);
}

static int kind = GATE_TEXT; /* what run asks for */
static int64_t keep_alive_ns = GATE_KEEP_DEFAULT;

static const struct ask_ops ops = {"text/t", t_event, t_ping, t_fail, NULL, t_free};

static void run(struct serve *s, struct call *c, int stream)
{
    struct gate_request *q = gate_request_new(kind);
    struct field_report report;
    struct buf *kept = stream ? NULL : mem_calloc(1, sizeof(*kept));

    assert_non_null(q);
    q->model = gate_str(q, "m", 1);
    q->route = "t.run";
    q->keep_alive_ns = keep_alive_ns;
    field_report_init(&report, 0);
    if (c->body.n)
        field_warn(&report, "%.*s", (int)c->body.n, c->body.p);
    if (kept)
        buf_init(kept, 1 << 20);
    ask_start(s, c, q, &ops, stream, kept, &report);
    field_report_done(&report);
}

static void run_stream(struct serve *s, struct call *c)
{
    run(s, c, 1);
}

static void run_whole(struct serve *s, struct call *c)
{
    run(s, c, 0);
}

static const struct route rows[] = {
    {"POST", "/stream", SCOPE_INFER, 0, "t.stream", &dialect_t, run_stream},
    {"POST", "/whole", SCOPE_INFER, 0, "t.whole", &dialect_t, run_whole},
};

static const struct route_list lists[] = {{rows, 2}, {NULL, 0}};

static struct fake f;

static const char *body(void)
{
    return f.call.out.p ? f.call.out.p : "";
}

/* Ended once, given back, forgotten. */
static void assert_ended(int status, const char *text)
{
    assert_int_equal(f.call.status, status);
    assert_string_equal(body(), text);
    assert_int_equal(f.call.ended, 1);
    assert_int_equal(f.call.begun, 1);
    assert_int_equal(ask_count(&f.serve), 0);
    assert_int_equal(freed, 1);
    assert_null(f.call.listener);
}

static int setup(void **state)
{
    struct err e;

    (void)state;
    freed = 0;
    fake_open(&f);
    return ask_list_new(&f.serve.asks, &e);
}

static int teardown(void **state)
{
    (void)state;
    ask_list_free(f.serve.asks);
    fake_close(&f);
    return 0;
}

static void test_stream(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", "a warning\nanother"));
    assert_int_equal(f.call.begun, 0);
    assert_int_equal(ask_count(&f.serve), 1);
    fake_start(&f, 3, 0);
    assert_string_equal(body(), "<");
    assert_string_equal(f.call.type, "text/t");
    assert_non_null(strstr(f.call.headers.p, "warning: 299 hearth \"a warning another\""));
    fake_text(&f, 0, "x");
    fake_text(&f, 0, "y");
    assert_string_equal(body(), "<xy");
    fake_finish(&f, 0, GATE_END);
    fake_done(&f);
    assert_ended(200, "<xy>");
    assert_int_equal(f.call.cut, 0);
    assert_int_equal(f.n_freed, 1);
}

static void test_keep_alive(void **state)
{
    static const struct auth_key infer = {.name = "a", .scopes = SCOPE_INFER},
                                 both = {.name = "b", .scopes = SCOPE_INFER | SCOPE_MANAGE};
    static const struct {
        const struct auth_key *who;
        int kind;
        int64_t asked, given;
        int status; /* 0: it gets to the provider */
    } cases[] = {
        {NULL, GATE_LOAD, 0, 0, 0},
        {&both, GATE_LOAD, 0, 0, 0},
        {&both, GATE_TEXT, GATE_KEEP_FOREVER, GATE_KEEP_FOREVER, 0},
        {&infer, GATE_LOAD, 0, 0, 403},
        {&infer, GATE_LOAD, GATE_KEEP_FOREVER, GATE_KEEP_DEFAULT, 0},
        {&infer, GATE_LOAD, GATE_KEEP_DEFAULT, GATE_KEEP_DEFAULT, 0},
        {&infer, GATE_TEXT, 0, GATE_KEEP_DEFAULT, 0},
        {&infer, GATE_EMBED, 7, GATE_KEEP_DEFAULT, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int warned = !cases[i].status && cases[i].asked != cases[i].given;

        f.who = cases[i].who;
        kind = cases[i].kind;
        keep_alive_ns = cases[i].asked;
        assert_true(fake_post(&f, lists, "/whole", ""));
        if (cases[i].status) {
            assert_int_equal(f.call.status, 403);
            assert_string_equal(
                f.call.out.p,
                "E403 keep_alive this key may not unload models: it has no scope manage");
            continue;
        }
        assert_true(f.q->keep_alive_ns == cases[i].given);
        fake_start(&f, 3, 0);
        fake_done(&f);
        assert_int_equal(f.call.status, 200);
        assert_true(warned == (strstr(f.call.headers.p ? f.call.headers.p : "",
                                      "keep_alive has no effect") != NULL));
    }
    f.who = NULL;
    kind = GATE_TEXT;
    keep_alive_ns = GATE_KEEP_DEFAULT;
}

static void test_whole(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/whole", ""));
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "xy");
    assert_int_equal(f.call.begun, 0);
    fake_done(&f);
    assert_ended(200, "xy");
    assert_string_equal(f.call.type, "application/json");
}

/* What the provider warns of before the answer begins is in its head. */
static void test_late_warning(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/whole", ""));
    fake_say(&f, &(struct gate_event){.kind = GATE_EV_WARNING, .text = str_of("no \"t\"")});
    fake_start(&f, 3, 0);
    fake_done(&f);
    assert_non_null(strstr(f.call.headers.p, "warning: 299 hearth \"no 't'\""));
}

static void test_errors_before(void **state)
{
    static const struct {
        int code, status;
    } cases[] = {{E_NOT_FOUND, 404}, {E_TOO_LONG, 400}, {E_BUSY, 503},  {E_UNSUPPORTED, 400},
                 {E_INVALID, 400},   {E_INTERNAL, 500}, {E_NOMEM, 507}, {E_IO, 500}};
    char want[64];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int stream = 0; stream < 2; stream++) {
            freed = 0;
            assert_true(fake_post(&f, lists, stream ? "/stream" : "/whole", ""));
            fake_error(&f, cases[i].code, "why");
            (void)snprintf(want, sizeof(want), "E%d - why", cases[i].status);
            assert_ended(cases[i].status, want);
            assert_int_equal(cases[i].status == 503,
                             f.call.headers.n && strstr(f.call.headers.p, "Retry-After: "));
        }
    }
}

static void test_start_fails(void **state)
{
    (void)state;
    f.start_fails = E_BUSY;
    assert_true(fake_post(&f, lists, "/stream", ""));
    assert_ended(503, "E503 - the fake provider says no");
    assert_int_equal(f.n_freed, 0);
}

static void test_error_in_the_middle(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "x");
    fake_error(&f, E_NUMERIC, "NaN");
    assert_ended(200, "<x!NaN");
    assert_int_equal(f.call.cut, 0);

    freed = 0;
    assert_true(fake_post(&f, lists, "/whole", ""));
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "x");
    fake_error(&f, E_NUMERIC, "NaN");
    assert_ended(500, "E500 - NaN");
}

static void test_writer_fails(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "break");
    assert_int_equal(f.says, GATE_STOP_NOW);
    assert_string_equal(body(), "<!the answer could not be written");
    assert_int_equal(f.call.ended, 1);
    fake_error(&f, E_CANCELLED, "stopped");
    assert_int_equal(f.call.ended, 1);
    assert_int_equal(freed, 1);
}

static void test_client_leaves(void **state)
{
    (void)state;
    for (int stream = 0; stream < 2; stream++) {
        freed = 0;
        assert_true(fake_post(&f, lists, stream ? "/stream" : "/whole", ""));
        fake_start(&f, 3, 0);
        fake_tell(&f, CALL_GONE);
        assert_int_equal(f.cancelled, 1);
        fake_text(&f, 0, "x");
        assert_true(!stream || f.says == GATE_STOP_NOW);
        fake_error(&f, E_CANCELLED, "stopped");
        assert_int_equal(f.call.ended, 1);
        assert_int_equal(freed, 1);
        assert_int_equal(ask_count(&f.serve), 0);
    }
}

static void test_slow_reader(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    f.call.room = 3;
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "xx");
    assert_int_equal(f.says, GATE_MORE);
    fake_text(&f, 0, "yy");
    assert_int_equal(f.says, GATE_PAUSE);
    assert_int_equal(f.resumed, 0);
    f.call.room = 0;
    fake_tell(&f, CALL_DRAINED);
    assert_int_equal(f.resumed, 1);
    fake_text(&f, 0, "z");
    assert_int_equal(f.says, GATE_MORE);
    fake_done(&f);
    assert_ended(200, "<xxyyz>");
}

/* Room that is announced before the provider could stop is announced again by the timer. */
static void test_drained_early(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    f.call.room = 1;
    fake_start(&f, 3, 0);
    fake_text(&f, 0, "xx");
    assert_int_equal(f.says, GATE_PAUSE);
    fake_tell(&f, CALL_DRAINED);
    assert_int_equal(f.resumed, 1);
    ask_tick(&f.serve);
    assert_int_equal(f.resumed, 2);
    ask_tick(&f.serve);
    assert_int_equal(f.resumed, 2);
    fake_done(&f);
    assert_int_equal(freed, 1);
}

static void test_cancel_all(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    ask_cancel_all(&f.serve);
    assert_int_equal(f.cancelled, 1);
    fake_error(&f, E_CANCELLED, "cancelled");
    assert_ended(503, "E503 - the server is shutting down");
    assert_non_null(strstr(f.call.headers.p, "Retry-After: 1"));
}

/* In the middle of a stream; and what went wrong by itself keeps its name. */
static void test_cancel_all_begun(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/stream", ""));
    fake_start(&f, 3, 0);
    ask_cancel_all(&f.serve);
    fake_error(&f, E_CANCELLED, "cancelled");
    assert_ended(200, "<!the server is shutting down");
}

static void test_cancel_all_failed(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/whole", ""));
    ask_cancel_all(&f.serve);
    fake_error(&f, E_NUMERIC, "NaN");
    assert_ended(500, "E500 - NaN");
}

/* Who comes behind it is not begun. */
static void test_cancel_all_late(void **state)
{
    (void)state;
    ask_cancel_all(&f.serve);
    assert_true(fake_post(&f, lists, "/whole", ""));
    assert_int_equal(f.n_started, 0);
    assert_ended(503, "E503 - the server is shutting down");
}

static void test_cancelled(void **state)
{
    (void)state;
    assert_true(fake_post(&f, lists, "/whole", ""));
    fake_error(&f, E_CANCELLED, "by another request");
    assert_ended(499, "E499 - by another request");
}

static void test_bodies(void **state)
{
    static const struct {
        const char *body, *says;
    } cases[] = {{"", "E400 - the request has no body"},
                 {"[]", "E400 - the body must be a JSON object"},
                 {"{", "E400 - the body is not valid JSON"}};
    json_t *o = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        fake_call_clear(&f.call);
        f.call.call.route = &rows[0];
        f.call.call.body = str_of(cases[i].body);
        assert_int_equal(ask_body(&f.call.call, &o), 0);
        assert_memory_equal(body(), cases[i].says, strlen(cases[i].says));
        assert_int_equal(f.call.ended, 1);
    }
    fake_call_clear(&f.call);
    f.call.call.body = str_of("{\"a\":1}");
    assert_int_equal(ask_body(&f.call.call, &o), 1);
    assert_int_equal(f.call.ended, 0);
    json_decref(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_keep_alive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_late_warning, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_before, setup, teardown),
        cmocka_unit_test_setup_teardown(test_start_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_error_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_writer_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slow_reader, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drained_early, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_all_begun, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_all_failed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_all_late, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bodies, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

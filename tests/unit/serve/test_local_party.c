/* The local engine asked for several answers in one request: they are let in together. */
#include "local_test.h"

#include "gate/many.h"
#include "serve/local_priv.h"

static int n_more(struct local *l)
{
    int n;

    local_lock(l);
    n = l->n_more;
    local_unlock(l);
    return n;
}

/* -- a request of several prompts, slowly ------------------------------------------------- */

/* In front of the local engine: starts the first part and lets it end, fills the queue, and
 * only then goes on. */
struct slowly {
    struct provider provider;
    struct local *l;
    gate_sink *sink;
    atomic_int n, ended;
    struct got filler;
};

static struct slowly slowly;

static int slow_sink(void *ctx, const struct gate_event *ev)
{
    int ends = ev->kind == GATE_EV_DONE || ev->kind == GATE_EV_ERROR,
        says = slowly.sink(ctx, ev);

    (void)atomic_fetch_add(&slowly.ended, ends);
    return says;
}

static int slow_start(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                      struct gate_call **out, struct err *e)
{
    int rc;

    (void)p;
    slowly.sink = sink;
    rc = local_provider(slowly.l)->ops->start(local_provider(slowly.l), q, slow_sink, ctx, out,
                                              e);
    if (rc == 0 && atomic_fetch_add(&slowly.n, 1) == 0) {
        while (!atomic_load(&slowly.ended))
            (void)usleep(1000);
        got_start(slowly.l, &slowly.filler, ask_text("other", "Once", 3));
    }
    return rc;
}

static void slow_cancel(struct gate_call *c)
{
    local_provider(slowly.l)->ops->cancel(c);
}

static void slow_resume(struct gate_call *c)
{
    local_provider(slowly.l)->ops->resume(c);
}

static void slow_free(struct gate_call *c)
{
    local_provider(slowly.l)->ops->free(c);
}

static const struct provider_ops slow_ops = {"slow", slow_start, slow_cancel, slow_resume,
                                             slow_free};

static struct config_model above[] = {
    {.name = "tiny:latest", .priority = 1, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};

/* Also when the first part is over, and the queue full, before the next one comes. */
static void test_let_in_whole(void **state)
{
    static const char *const texts[] = {"Once", "upon", "a"};
    struct config c = config_small();
    struct gate_request *q;
    struct gate_call *call;
    struct local_model *m = NULL;
    struct many *many;
    struct err e = {0};
    struct got g;

    (void)state;
    NEEDS_TINY();
    c.model = above;
    c.n_model = 1;
    c.n_queue = 1;
    slowly.l = local_make(&c);
    slowly.provider.ops = &slow_ops;
    assert_int_equal(local_hold(slowly.l, str_of("tiny"), &m, &e), 0);
    c.memory = (int64_t)(count_models(slowly.l, -1).bytes * 3 / 2); /* "other" has to wait */
    local_reload(slowly.l, config_kept(&c));
    got_init(&g);
    got_init(&slowly.filler);
    assert_int_equal(many_new(&many, &slowly.provider, &e), 0);
    q = ask_inputs(GATE_TEXT, "tiny", texts, 3);
    q->n_predict = 4;
    q->n_choice = 2;
    assert_int_equal(gate_start(many_provider(many), q, got_sink, &g, &call, &e), 0);
    got_wait(&g);
    many_provider(many)->ops->free(call);
    if (g.terminal != GATE_EV_DONE)
        fail_msg("%s", g.err.msg);
    for (int i = 0; i < 6; i++)
        assert_true(g.finished[i]);
    got_done(&g);
    many_free(many);
    assert_int_equal(n_more(slowly.l), 0);
    got_init(&g);
    got_start(slowly.l, &g, ask_text("tiny", "Once", 3));
    got_error(&g, E_BUSY, "queue is full");
    got_done(&g);
    local_let_go(m);
    got_fine(&slowly.filler);
    got_done(&slowly.filler);
    local_free(slowly.l);
}

/* -- no room ------------------------------------------------------------------------------- */

/* Not at all where there is no room for all of its answers. */
static void test_refused_whole(void **state)
{
    struct gate_party party[2] = {{.n_text = LOCAL_MORE - 2}, {.n_text = 2 * LOCAL_MORE}};
    struct config c = config_small();
    struct gate_request *q;
    struct local *l;
    struct got g[3];

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    for (int i = 0; i < 3; i++) {
        got_init(&g[i]);
        q = ask_text("tiny", "Once", 3);
        q->party = i == 1 ? NULL : &party[i / 2];
        q->n_choice = i == 1 ? 8 : 1;
        got_start(l, &g[i], q);
    }
    got_fine(&g[0]);
    got_error(&g[1], E_BUSY, "wants 8");
    got_error(&g[2], E_BUSY, "queue is full");
    assert_int_equal(n_more(l), LOCAL_MORE - 3); /* of parts that have not come */
    for (int i = 0; i < 3; i++)
        got_done(&g[i]);
    local_free(l);
}

/* What its scheduler's queue refuses it refuses as a whole, and later it may come in. */
static void test_refused_by_the_scheduler(void **state)
{
    static const char *const texts[] = {"Once", "upon", "a", "time"};
    struct config c = config_small();
    struct gate_request *q;
    struct gate_call *call;
    struct many *many;
    struct err e = {0};
    struct local *l;
    struct got g[3];

    (void)state;
    NEEDS_TINY();
    c.n_queue = c.n_parallel = 1;
    l = local_make(&c);
    assert_int_equal(many_new(&many, local_provider(l), &e), 0);
    for (int i = 0; i < 2; i++) { /* one is written, and one waits there */
        got_init(&g[i]);
        g[i].pause_at = 1;
        got_start(l, &g[i], ask_text("tiny", "Once", 40));
        if (i == 0)
            got_wait_text(&g[i], 1);
    }
    for (int before = 1; before;) {
        local_lock(l);
        before = l->n_before;
        local_unlock(l);
    }
    for (int i = 0; i < 2; i++) {
        got_init(&g[2]);
        q = ask_inputs(GATE_TEXT, "tiny", texts, 4);
        q->n_predict = 4;
        assert_int_equal(gate_start(many_provider(many), q, got_sink, &g[2], &call, &e), 0);
        got_wait(&g[2]);
        many_provider(many)->ops->free(call);
        assert_int_equal(g[2].terminal, i ? GATE_EV_DONE : GATE_EV_ERROR);
        assert_int_equal(g[2].started, i);
        if (i == 0)
            assert_int_equal(g[2].err.code, E_BUSY);
        got_done(&g[2]);
        assert_int_equal(n_more(l), 0);
        for (int k = 0; k < 2 && i == 0; k++) {
            g[k].ops->cancel(g[k].call);
            got_end(&g[k]);
            got_done(&g[k]);
        }
    }
    many_free(many);
    local_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_let_in_whole),
        cmocka_unit_test(test_refused_whole),
        cmocka_unit_test(test_refused_by_the_scheduler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

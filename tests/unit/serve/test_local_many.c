/* The local engine with many models and many clients: who leaves, who waits, how it ends. */
#include "local_test.h"

#include "base/log.h"
#include "gate/many.h"

static void run(struct local *l, struct got *g, struct gate_request *q)
{
    got_init(g);
    got_start(l, g, q);
    got_fine(g);
}

static void run_fine(struct local *l, struct gate_request *q)
{
    struct got g;

    run(l, &g, q);
    got_done(&g);
}

static void run_error(struct local *l, struct gate_request *q, int code, const char *words)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_error(&g, code, words);
    got_done(&g);
}

static void test_names(void **state)
{
    struct config c = config_small();
    struct local *l = local_make(&c);

    (void)state;
    run_error(l, ask_text("nobody", "x", 1), E_NOT_FOUND, "model 'nobody' not found");
    /* Whether a path is there is nobody's business where paths are no names. */
    run_error(l, ask_text("/etc/passwd", "x", 1), E_NOT_FOUND, "model '/etc/passwd' not found");
    run_error(l, ask_text("/no/such", "x", 1), E_NOT_FOUND, "model '/no/such' not found");
    local_free(l);
}

static void test_paths(void **state)
{
    struct config c = config_small();
    const char *dirs[] = {"/usr/share"};
    struct local *l;

    (void)state;
    NEEDS_TINY();
    c.allow_paths = 1;
    l = local_make(&c);
    run_fine(l, ask_text(TINY, "x", 1));
    local_free(l);
    c.path_dirs = dirs;
    c.n_path_dir = 1;
    l = local_make(&c);
    run_error(l, ask_text(TINY, "x", 1), E_NOT_FOUND, "not found");
    local_free(l);
}

static void test_load_fails(void **state)
{
    struct config c = config_small();
    struct local *l = local_make(&c);
    struct got g[6];

    (void)state;
    for (int i = 0; i < 6; i++) {
        got_init(&g[i]);
        got_start(l, &g[i], ask_text("lost", "x", 4));
    }
    for (int i = 0; i < 6; i++) {
        got_error(&g[i], E_NOT_FOUND, "/nowhere/at/all.gguf");
        got_done(&g[i]);
    }
    wait_models(l, 0);
    local_free(l);
}

/* What loads and unloads does so by itself, too: an empty request. */
static void test_keep(void **state)
{
    struct config c = config_small();
    struct gate_request *q;
    struct local_model *m = NULL;
    struct err e = {0};
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run_fine(l, ask(GATE_LOAD, "tiny"));
    assert_int_equal(count_models(l, LOCAL_READY).n, 1);
    q = ask_text("tiny", "Once", 3);
    q->keep_alive_ns = 0;
    run_fine(l, q);
    wait_models(l, 0);
    q = ask_text("tiny", "Once", 3);
    q->keep_alive_ns = 30000000;
    run_fine(l, q);
    wait_models(l, 0);
    run_fine(l, ask(GATE_LOAD, "tiny"));
    q = ask(GATE_LOAD, "tiny");
    q->keep_alive_ns = 0;
    run_fine(l, q);
    wait_models(l, 0);
    q = ask(GATE_LOAD, "tiny"); /* which is not loaded for that */
    q->keep_alive_ns = 0;
    run_fine(l, q);
    assert_int_equal(count_models(l, -1).n, 0);
    /* Who holds it keeps it. */
    assert_int_equal(local_hold(l, str_of("tiny"), &m, &e), 0);
    assert_non_null(local_tok(m));
    assert_null(local_chat(m));
    unload(l, "tiny");
    assert_int_equal(count_models(l, LOCAL_LEAVING).n, 1);
    assert_true(tok_count(local_tok(m)) > 100);
    /* A new one is loaded beside it. */
    run_fine(l, ask_text("tiny", "Once", 3));
    assert_int_equal(count_models(l, -1).n, 2);
    local_let_go(m);
    wait_models(l, 1);
    assert_int_equal(local_hangs(l, &e), 0);
    local_free(l);
}

/* While a text is written its model is not unloaded under it. */
static void test_unload_busy(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    got_init(&g);
    got_start(l, &g, ask_text("tiny", "Once", 150));
    got_wait_text(&g, 1);
    unload(l, "tiny");
    got_fine(&g);
    assert_int_equal(g.usage.n_output, 150);
    got_done(&g);
    wait_models(l, 0);
    local_free(l);
}

/* The gauges of a model that has left are those of one that does nothing and has nothing. */
static void test_gauges(void **state)
{
    static const enum metric of[] = {METRIC_RUNNING, METRIC_WAITING,   METRIC_KV_PAGES,
                                     METRIC_KV_USED, METRIC_KV_CACHED, METRIC_MODEL_BYTES};
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    got_init(&g);
    g.pause_at = 1;
    got_start(l, &g, ask_text("tiny", "Once", 150));
    for (int i = 0; i < 6000 && !atomic_load(&metric_put[METRIC_KV_USED]); i++)
        (void)usleep(10000);
    assert_int_equal(atomic_load(&metric_put[METRIC_RUNNING]), 1);
    assert_true(atomic_load(&metric_put[METRIC_KV_USED]) > 0);
    unload(l, "tiny");
    local_provider(l)->ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancel");
    got_done(&g);
    wait_models(l, 0);
    for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
        assert_int_equal(atomic_load(&metric_put[of[i]]), 0);
    local_free(l);
}

/* One that is on its way out and a new one of the same name are counted together: neither says
 * the other's numbers away. */
static void test_gauges_of_two(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g[2];
    int bytes;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    for (int i = 0; i < 2; i++) {
        got_init(&g[i]);
        g[i].pause_at = 1;
        got_start(l, &g[i], ask_text("tiny", "Once", 150));
        got_wait_text(&g[i], 1);
        if (i == 0)
            unload(l, "tiny");
    }
    assert_int_equal(count_models(l, -1).n, 2);
    bytes = (int)count_models(l, -1).bytes;
    for (int i = 0; i < 6000 && (atomic_load(&metric_put[METRIC_RUNNING]) != 2 ||
                                 atomic_load(&metric_put[METRIC_MODEL_BYTES]) != bytes);
         i++)
        (void)usleep(10000);
    assert_int_equal(atomic_load(&metric_put[METRIC_RUNNING]), 2);
    assert_int_equal(atomic_load(&metric_put[METRIC_MODEL_BYTES]), bytes);
    local_provider(l)->ops->cancel(g[0].call);
    got_error(&g[0], E_CANCELLED, "cancel");
    got_done(&g[0]);
    wait_models(l, 1);
    assert_int_equal(atomic_load(&metric_put[METRIC_RUNNING]), 1);
    assert_int_equal(atomic_load(&metric_put[METRIC_MODEL_BYTES]), bytes / 2);
    assert_true(atomic_load(&metric_put[METRIC_KV_USED]) > 0);
    local_provider(l)->ops->cancel(g[1].call);
    got_error(&g[1], E_CANCELLED, "cancel");
    got_done(&g[1]);
    local_free(l);
}

static void test_budget(void **state)
{
    struct config c = config_small(), small;
    struct local *l;
    uint64_t one;
    int before = atomic_load(&evicted);

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run_fine(l, ask_text("tiny", "Once", 3));
    one = count_models(l, -1).bytes;
    assert_true(one > 1000000);
    /* There is room for one and a half. */
    small = c;
    small.memory = (int64_t)(one + one / 2);
    local_reload(l, config_kept(&small));
    run_fine(l, ask_text("other", "Once", 3));
    assert_int_equal(count_models(l, LOCAL_READY).n, 1);
    assert_int_equal(atomic_load(&evicted), before + 1);
    for (int i = 0; i < 4; i++)
        run_fine(l, ask_text(i % 2 ? "other" : "tiny", "Once", 3));
    assert_true(count_models(l, -1).bytes <= (uint64_t)small.memory);
    /* One that is pinned does not leave, so there is nothing to wait for. */
    run_fine(l, ask_text("other", "Once", 3));
    {
        static struct config_model pin[] = {{.name = "other:latest",
                                             .pin = 1,
                                             .lookup = -1,
                                             .keep_alive_ns = GATE_KEEP_DEFAULT}};
        struct config pinned = small;

        pinned.model = pin;
        pinned.n_model = 1;
        local_reload(l, config_kept(&pinned));
        run_error(l, ask_text("tiny", "Once", 3), E_NOMEM, "needs");
        local_free(l);
    }
}

static void *hold(void *arg)
{
    struct local_model *m = NULL;
    struct err e = {0};

    if (local_hold(arg, str_of("other"), &m, &e) == 0)
        local_let_go(m);
    return e.code == E_BUSY ? arg : NULL;
}

/* A model that finds no room until another one has left: who asks waits no longer than
 * load_timeout says, and holders neither. */
static void test_load_timeout(void **state)
{
    struct config c = config_small(), small;
    struct local_model *m = NULL;
    struct err e = {0};
    struct local *l;
    pthread_t t[6];
    void *busy;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    assert_int_equal(local_hold(l, str_of("tiny"), &m, &e), 0);
    small = c;
    small.memory = (int64_t)(count_models(l, -1).bytes * 3 / 2);
    small.load_timeout_s = 1;
    local_reload(l, config_kept(&small));
    unload(l, "tiny");
    run_error(l, ask_text("other", "Once", 3), E_BUSY, "load_timeout");
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hold, l), 0);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(pthread_join(t[i], &busy), 0);
        assert_ptr_equal(busy, l);
    }
    local_reload(l, config_kept(&c));
    local_let_go(m);
    run_fine(l, ask_text("other", "Once", 3));
    local_free(l);
}

/* What the configuration pins is loaded before anybody asks. */
static void test_pinned_at_start(void **state)
{
    static struct config_model pin[] = {
        {.name = "tiny", .pin = 1, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;

    (void)state;
    NEEDS_TINY();
    c.model = pin;
    c.n_model = 1;
    l = local_make(&c);
    wait_models(l, 1);
    local_free(l);
}

/* It ends also while that is being done. */
static void test_free_while_pinning(void **state)
{
    struct config_model pin[256];
    struct config c = config_small();

    (void)state;
    for (int i = 0; i < 256; i++)
        pin[i] = (struct config_model){.name = "nobody", .pin = 1, .lookup = -1};
    c.model = pin;
    c.n_model = 256;
    log_set_level(LOG_ERROR);
    for (int i = 0; i < 100; i++) {
        struct local *l = local_make(&c);

        (void)usleep((useconds_t)(10 * i)); /* some time in the middle of it */
        local_free(l);
    }
    log_set_level(LOG_WARN);
}

static void test_queue(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g[8];
    int busy = 0;

    (void)state;
    NEEDS_TINY();
    c.n_queue = 2;
    c.n_parallel = 1;
    l = local_make(&c);
    for (int i = 0; i < 8; i++) {
        got_init(&g[i]);
        got_start(l, &g[i], ask_text("tiny", "Once", 40));
    }
    for (int i = 0; i < 8; i++) {
        got_end(&g[i]);
        if (g[i].terminal == GATE_EV_ERROR) {
            assert_int_equal(g[i].err.code, E_BUSY);
            busy++;
        }
        got_done(&g[i]);
    }
    assert_true(busy >= 4);
    run_fine(l, ask_text("tiny", "Once", 4));
    local_free(l);
}

/* What counts are requests, not the texts that they ask for. */
static void test_queue_of_requests(void **state)
{
    static const char *const texts[] = {"Once",  "upon", "a", "time",
                                        "there", "was",  "a", "dog"};
    struct config c = config_small();
    struct gate_request *q;
    struct gate_call *call;
    struct many *many;
    struct local *l;
    struct got g;
    struct err e = {0};

    (void)state;
    NEEDS_TINY();
    c.n_queue = 1;
    c.n_parallel = 1;
    l = local_make(&c);
    q = ask_text("tiny", "Once", 4);
    q->n_choice = 8;
    run_fine(l, q);
    run_fine(l, ask_inputs(GATE_EMBED, "tiny", texts, 8));
    /* Several prompts are one request, too. */
    assert_int_equal(many_new(&many, local_provider(l), &e), 0);
    got_init(&g);
    q = ask_inputs(GATE_TEXT, "tiny", texts, 8);
    q->n_predict = 4;
    assert_int_equal(gate_start(many_provider(many), q, got_sink, &g, &call, &e), 0);
    got_wait(&g);
    many_provider(many)->ops->free(call);
    if (g.terminal != GATE_EV_DONE)
        fail_msg("%s", g.err.msg);
    for (int i = 0; i < 8; i++)
        assert_true(g.finished[i]);
    got_done(&g);
    many_free(many);
    local_free(l);
}

/* Told to end while its clock is busy with what is pinned: it must not miss that. */
static void test_free_at_once(void **state)
{
    static struct config_model pin[] = {
        {.name = "slow", .pin = 1, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();

    (void)state;
    c.model = pin;
    c.n_model = 1;
    for (int i = 0; i < 3; i++) {
        struct local *l = local_make(&c);

        (void)usleep(20000);
        local_free(l);
    }
}

static void test_free_while_busy(void **state)
{
    struct config c = config_small();
    struct provider *p;
    struct local *l;
    struct got g[6];

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    p = local_provider(l);
    for (int i = 0; i < 6; i++) {
        got_init(&g[i]);
        got_start(l, &g[i], ask_text(i % 2 ? "tiny" : "other", "Once", 200));
    }
    got_wait_text(&g[0], 1);
    (void)p;
    local_free(l);
    for (int i = 0; i < 6; i++) {
        assert_true(g[i].terminal != 0);
        if (g[i].terminal == GATE_EV_ERROR)
            assert_int_equal(g[i].err.code, E_CANCELLED);
        got_free(&g[i]);
        got_done(&g[i]);
    }
}

/* -- many at once ------------------------------------------------------------------------- */

enum { CLIENTS = 4, EACH = 25 };

struct client {
    struct local *l;
    int number, fine, failed;
    struct buf want;
};

static void one(struct client *k, int i)
{
    static const char *const texts[] = {"Once", "The cat", "One day", "Tom"};
    struct provider *p = local_provider(k->l);
    struct gate_request *q;
    struct got g;
    int kind = (k->number + i) % 6;

    got_init(&g);
    if (kind == 1) {
        q = ask_inputs(GATE_EMBED, "tiny", texts, 4);
        q->normalize = 1;
    } else if (kind == 2) {
        q = ask_chat("talker", "[{\"role\":\"user\",\"content\":\"Hello\"}]");
        q->n_choice = 2;
    } else if (kind == 3) {
        q = ask_text(i % 2 ? "other" : "tiny", "Say", 8);
        q->form = GATE_REGEX;
        q->grammar = gate_str(q, "[a-z]{4}", 8);
    } else {
        q = ask_text("tiny", "Once upon a time", 24);
    }
    if (kind == 5)
        q->n_logprobs = 2;
    if (kind == 4)
        g.stop_at = 1 + i % 7;
    got_start(k->l, &g, q);
    got_wait(&g);
    if (g.call)
        p->ops->free(g.call);
    k->fine += g.terminal == GATE_EV_DONE;
    k->failed += g.terminal == GATE_EV_ERROR && kind != 4;
    if (kind == 0 || kind == 5)
        k->failed += !same(&g.content[0], &k->want);
    got_done(&g);
}

static void *client(void *arg)
{
    struct client *k = arg;

    for (int i = 0; i < EACH; i++)
        one(k, i);
    return NULL;
}

static void test_many(void **state)
{
    struct config c = config_small();
    struct client k[CLIENTS];
    pthread_t t[CLIENTS];
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &g, ask_text("tiny", "Once upon a time", 24));
    for (int i = 0; i < CLIENTS; i++) {
        k[i] = (struct client){.l = l, .number = i, .want = g.content[0]};
        assert_int_equal(pthread_create(&t[i], NULL, client, &k[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        (void)pthread_join(t[i], NULL);
        assert_int_equal(k[i].failed, 0);
        assert_true(k[i].fine >= EACH * 4 / 5 - 1);
    }
    got_done(&g);
    local_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_load_fails),
        cmocka_unit_test(test_keep),
        cmocka_unit_test(test_unload_busy),
        cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_gauges_of_two),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_pinned_at_start),
        cmocka_unit_test(test_free_while_pinning),
        cmocka_unit_test(test_load_timeout),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_queue_of_requests),
        cmocka_unit_test(test_free_at_once),
        cmocka_unit_test(test_free_while_busy),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

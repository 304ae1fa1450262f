/* The local engine with less memory than its models need: who waits, who leaves, in which
 * order. */
#include "local_test.h"

/* An engine with room for so many halves of a model. */
struct place {
    struct config c;
    struct local *l;
    struct local_model *m; /* held */
};

static void fine(struct local *l, struct gate_request *q)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_fine(&g);
    got_done(&g);
}

static void place_make(struct place *p, int halves)
{
    static uint64_t one;

    *p = (struct place){.c = config_small()};
    p->l = local_make(&p->c);
    if (!one) {
        fine(p->l, ask_text("tiny", "Once", 3));
        one = count_models(p->l, -1).bytes;
        assert_true(one > 1000000);
        local_free(p->l);
        p->l = local_make(&p->c);
    }
    p->c.memory = (int64_t)(one * (uint64_t)halves / 2);
    local_reload(p->l, &p->c);
}

static void place_hold(struct place *p, const char *name)
{
    struct err e = {0};

    if (local_hold(p->l, str_of(name), &p->m, &e) < 0)
        fail_msg("%s", e.msg);
}

static void test_waits(void **state)
{
    struct place p;
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    assert_int_equal(state_of(p.l, "other"), LOCAL_LOADING);
    local_let_go(p.m);
    got_fine(&g);
    assert_true(g.n_loading > 0);
    assert_true(g.usage.load_ns > 0);
    got_done(&g);
    wait_models(p.l, 1);
    local_free(p.l);
}

/* No answer is cut, and none that comes later keeps the model for ever: first come, first
 * served. What is waited for is loaded once for all who wait. */
static void test_in_turn(void **state)
{
    struct place p;
    struct got g[6];
    int gone, made;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    gone = atomic_load(&evicted);
    made = atomic_load(&loads);
    place_hold(&p, "tiny");
    for (int i = 0; i < 6; i++)
        got_init(&g[i]);
    got_start(p.l, &g[0], ask_text("other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    for (int i = 1; i < 6; i++)
        got_start(p.l, &g[i], ask_text(i % 2 ? "tiny" : "other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LOADING);
    local_let_go(p.m);
    for (int i = 0; i < 6; i++) {
        got_fine(&g[i]);
        got_done(&g[i]);
    }
    assert_int_equal(atomic_load(&evicted), gone + 2);
    assert_int_equal(atomic_load(&loads), made + 3);
    local_free(p.l);
}

/* Nobody waits for it any more: it is not loaded, and who was to make room stays, and does not
 * count as one that went. */
static void test_cancelled(void **state)
{
    struct place p;
    struct got g;
    int made, gone = atomic_load(&evicted);

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    made = atomic_load(&loads);
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    g.ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancelled");
    got_done(&g);
    wait_state(p.l, "tiny", LOCAL_READY);
    local_let_go(p.m);
    fine(p.l, ask_text("tiny", "Once", 3));
    assert_int_equal(atomic_load(&loads), made);
    wait_models(p.l, 1);
    assert_int_equal(atomic_load(&evicted), gone);
    fine(p.l, ask_text("other", "Once", 3)); /* now it goes, and is idle */
    assert_int_equal(atomic_load(&evicted), gone + 1);
    local_free(p.l);
}

/* Who was stopped goes, whatever becomes of the load that it was to make room for. */
static void test_cancelled_stopped(void **state)
{
    struct place p;
    struct err e = {0};
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    assert_int_equal(local_unload(p.l, str_of("tiny"), &e), 0);
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "other", LOCAL_LOADING);
    g.ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancelled");
    got_done(&g);
    wait_models(p.l, 1);
    assert_int_equal(state_of(p.l, "tiny"), LOCAL_LEAVING);
    local_let_go(p.m);
    wait_models(p.l, 0);
    local_free(p.l);
}

/* And who is stopped when it was sent away already. */
static void test_cancelled_stopped_late(void **state)
{
    struct place p;
    struct err e = {0};
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    assert_int_equal(local_unload(p.l, str_of("tiny"), &e), 0);
    g.ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancelled");
    got_done(&g);
    wait_models(p.l, 1);
    assert_int_equal(state_of(p.l, "tiny"), LOCAL_LEAVING);
    local_let_go(p.m);
    wait_models(p.l, 0);
    local_free(p.l);
}

static void test_deadline(void **state)
{
    struct place p;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    q = ask_text("other", "Once", 3);
    q->deadline_ns = clock_ns() + 100000000;
    got_init(&g);
    got_start(p.l, &g, q);
    got_error(&g, E_CANCELLED, "waited longer than it may");
    got_done(&g);
    wait_models(p.l, 1);
    local_let_go(p.m);
    local_free(p.l);
}

/* What can never be there is said at once. */
static void test_never(void **state)
{
    static struct config_model pin[] = {
        {.name = "tiny:latest", .pin = 1, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct place p;
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    p.c.model = pin;
    p.c.n_model = 1;
    local_reload(p.l, &p.c);
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    got_error(&g, E_NOMEM, "needs");
    got_done(&g);
    assert_int_equal(state_of(p.l, "tiny"), LOCAL_READY);
    local_let_go(p.m);
    local_free(p.l);
    place_make(&p, 1); /* half of one */
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    got_error(&g, E_NOMEM, "needs");
    got_done(&g);
    local_free(p.l);
}

/* A busy model of higher priority is waited for, but not kept from anybody. */
static void test_priority(void **state)
{
    static struct config_model own[] = {{.name = "tiny:latest",
                                         .priority = 1,
                                         .lookup = -1,
                                         .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct place p;
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    p.c.model = own;
    p.c.n_model = 1;
    local_reload(p.l, &p.c);
    place_hold(&p, "tiny");
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "other", LOCAL_LOADING);
    for (int i = 0; i < 3; i++)
        fine(p.l, ask_text("tiny", "Once", 3));
    assert_int_equal(state_of(p.l, "tiny"), LOCAL_READY);
    local_let_go(p.m);
    got_fine(&g);
    got_done(&g);
    local_free(p.l);
}

static void test_free_while_waiting(void **state)
{
    struct place p;
    struct got g[3];

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    for (int i = 0; i < 3; i++) {
        got_init(&g[i]);
        got_start(p.l, &g[i], ask_text(i ? i > 1 ? "talker" : "other" : "tiny", "Once", 200));
        if (!i)
            got_wait_text(&g[i], 1);
    }
    local_free(p.l);
    for (int i = 0; i < 3; i++) {
        assert_true(g[i].terminal != 0);
        got_free(&g[i]);
        got_done(&g[i]);
    }
}

/* -- many at once ------------------------------------------------------------------------- */

enum { CLIENTS = 4, EACH = 10 };

static void *client(void *arg)
{
    static const char *const names[] = {"tiny", "other", "talker"};
    struct local *l = arg;
    uintptr_t fine_ones = 0;

    for (int i = 0; i < EACH; i++) {
        struct got g;

        got_init(&g);
        if (i % 5 == 4)
            g.stop_at = 2;
        got_start(l, &g, ask_text(names[(i + i / 3) % 3], "Once", 6));
        if (i % 5 == 2 && g.call)
            g.ops->cancel(g.call);
        got_wait(&g);
        got_free(&g);
        must(g.terminal == GATE_EV_DONE || g.err.code == E_CANCELLED, g.err.msg);
        fine_ones += g.terminal == GATE_EV_DONE;
        got_done(&g);
    }
    return (void *)fine_ones;
}

static void test_many(void **state)
{
    pthread_t t[CLIENTS];
    struct place p;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, client, p.l), 0);
    for (int i = 0; i < CLIENTS; i++) {
        void *n;

        assert_int_equal(pthread_join(t[i], &n), 0);
        assert_true((uintptr_t)n >= EACH * 3 / 5);
    }
    assert_true(count_models(p.l, -1).bytes <= (uint64_t)p.c.memory);
    local_free(p.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_waits),
        cmocka_unit_test(test_in_turn),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_cancelled_stopped),
        cmocka_unit_test(test_cancelled_stopped_late),
        cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_priority),
        cmocka_unit_test(test_free_while_waiting),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

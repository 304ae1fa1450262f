/* The local engine with less memory than its models need: who waits, who leaves, in which
 * order. */
#include "local_test.h"

#include "serve/local_priv.h"

/* An engine with room for so many halves of a model. */
struct place {
    struct config c;
    struct local *l;
    struct local_model *m; /* held */
    atomic_int over, n_done;
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
    local_reload(p->l, config_kept(&p->c));
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
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    unload(p.l, "tiny");
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
    struct got g;

    (void)state;
    NEEDS_TINY();
    place_make(&p, 3);
    place_hold(&p, "tiny");
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    unload(p.l, "tiny");
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
    local_reload(p.l, config_kept(&p.c));
    got_init(&g);
    got_start(p.l, &g, ask_text("other", "Once", 3));
    got_error(&g, E_NOMEM, "'tiny:latest'");
    assert_non_null(strstr(g.err.msg, "pinned"));
    assert_non_null(strstr(g.err.msg, "models.memory"));
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
    local_reload(p.l, config_kept(&p.c));
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

/* -- a large one and small ones ------------------------------------------------------------ */

/* "wide" is "tiny"'s file with a cache four times as large: the big one. */
static struct config_model sizes[] = {
    {.name = "tiny:latest", .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT},
    {.name = "wide:latest",
     .lookup = -1,
     .n_parallel = 16,
     .n_ctx = 512,
     .keep_alive_ns = GATE_KEEP_DEFAULT},
};

static uint64_t size_of(const char *name)
{
    struct place p;
    uint64_t bytes;

    p.c = config_small();
    p.c.kv_memory = (int64_t)1 << 30; /* whatever the budget */
    p.c.model = sizes;
    p.c.n_model = 2;
    p.l = local_make(&p.c);
    fine(p.l, ask_text(name, "Once", 1));
    bytes = count_models(p.l, -1).bytes;
    local_free(p.l);
    return bytes;
}

/* "tiny" is held, of which more than `priority` 0 may not be sent away. */
static void mixed_make(struct place *p, uint64_t memory, int priority)
{
    sizes[0].priority = priority;
    p->c = config_small();
    p->c.kv_memory = (int64_t)1 << 30;
    p->c.model = sizes;
    p->c.n_model = 2;
    p->c.memory = (int64_t)memory;
    p->l = local_make(&p->c);
    place_hold(p, "tiny");
}

/* Waits until the load of a name waits for room. back: and has stepped back, so that others do
 * not wait for what it has, while it knows what it needs. */
static void wait_waiting(struct local *l, const char *name, int back)
{
    int waits = 0;

    for (int i = 0; i < 6000 && !waits; i++) {
        (void)usleep(i ? 10000 : 0);
        local_lock(l);
        for (const struct local_engine *en = l->engines; en; en = en->next)
            waits |= en->waits && strncmp(en->name, name, strlen(name)) == 0 &&
                     (!back || (en->bytes == 0 && en->need > en->source.size));
        local_unlock(l);
    }
    assert_int_equal(waits, 1);
}

/* What waits for one that may not be sent away, and may be busy for ever, is in nobody's way.
 */
static void test_stuck_is_passed(void **state)
{
    uint64_t small, big;
    struct place p;
    struct got g;

    (void)state;
    NEEDS_TINY();
    small = size_of("tiny");
    big = size_of("wide");
    mixed_make(&p, big + small - 1000, 1);
    got_init(&g);
    got_start(p.l, &g, ask_text("wide", "Once", 3));
    wait_waiting(p.l, "wide", 1);
    for (int i = 0; i < 4; i++) /* which also send away each other, but not what is held */
        fine(p.l, ask_text(i % 2 ? "talker" : "other", "Once", 3));
    assert_int_equal(state_of(p.l, "tiny"), LOCAL_READY);
    assert_int_equal(state_of(p.l, "wide"), LOCAL_LOADING);
    local_let_go(p.m);
    got_fine(&g);
    got_done(&g);
    local_free(p.l);
}

/* What a large one waits for that will come is not taken by small ones. */
static void test_big_has_its_turn(void **state)
{
    uint64_t small, big;
    struct place p;
    struct got g[4];

    (void)state;
    NEEDS_TINY();
    small = size_of("tiny");
    big = size_of("wide");
    assert_true(big > 2 * small);
    load_order[0] = '\0';
    mixed_make(&p, big + small / 2, 0);
    for (int i = 0; i < 4; i++)
        got_init(&g[i]);
    got_start(p.l, &g[0], ask_text("wide", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    got_start(p.l, &g[1], ask_text("other", "Once", 3));
    wait_waiting(p.l, "other", 1);
    got_start(p.l, &g[2], ask_text("talker", "Once", 3));
    wait_waiting(p.l, "talker", 0);
    got_start(p.l, &g[3], ask_text("tiny", "Once", 3));
    (void)usleep(20000); /* whoever could go on would */
    assert_int_equal(count_models(p.l, LOCAL_READY).n, 0);
    local_let_go(p.m);
    for (int i = 0; i < 4; i++) {
        got_fine(&g[i]);
        got_done(&g[i]);
    }
    local_free(p.l);
    assert_true(strncmp(load_order, "tiny:latest wide:latest ", 24) == 0);
}

/* What fits beside it is loaded meanwhile, and sends away what is its own to send. */
static void test_small_goes_beside(void **state)
{
    uint64_t small, middle, big;
    struct place p;
    struct got g;

    (void)state;
    NEEDS_TINY();
    small = size_of("tiny");
    big = size_of("wide");
    sizes[0].n_parallel = 12;
    middle = size_of("tiny"); /* it has to go, for a small one that need not */
    assert_true(big > middle && middle > small + 4096);
    mixed_make(&p, big + (small + middle) / 2, 0);
    sizes[0].n_parallel = 0;
    fine(p.l, ask_text("other", "Once", 3)); /* idle, and goes first */
    got_init(&g);
    got_start(p.l, &g, ask_text("wide", "Once", 3));
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    fine(p.l, ask_text("talker", "Once", 3));
    fine(p.l, ask_text("other", "Once", 3));
    assert_int_equal(state_of(p.l, "wide"), LOCAL_LOADING);
    assert_int_equal(state_of(p.l, "other"), LOCAL_READY);
    local_let_go(p.m);
    got_fine(&g);
    got_done(&g);
    local_free(p.l);
}

/* Two who ask for the same model all the time, so that it is never idle. */
struct stream {
    struct place *p;
    const char *name;
};

static void *stream(void *arg)
{
    struct stream *s = arg;

    while (!atomic_load(&s->p->over)) {
        struct got g;

        got_init(&g);
        got_start(s->p->l, &g, ask_text(s->name, "Once", 20));
        got_end(&g);
        must(g.terminal == GATE_EV_DONE, g.err.msg);
        got_done(&g);
        (void)atomic_fetch_add(&s->p->n_done, 1);
    }
    return NULL;
}

/* The large one has its turns, and they have theirs. */
static void test_big_against_a_stream(void **state)
{
    uint64_t small, big;
    struct place p = {0};
    struct stream s[4] = {{&p, "other"}, {&p, "other"}, {&p, "talker"}, {&p, "talker"}};
    pthread_t t[4];

    (void)state;
    NEEDS_TINY();
    small = size_of("tiny");
    big = size_of("wide");
    mixed_make(&p, big + small / 2, 0);
    local_let_go(p.m);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, stream, &s[i]), 0);
    for (int i = 0; i < 3; i++) {
        int done = atomic_load(&p.n_done);

        while (atomic_load(&p.n_done) < done + 8)
            (void)usleep(1000);
        fine(p.l, ask_text("wide", "Once", 3));
    }
    atomic_store(&p.over, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
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
        cmocka_unit_test(test_stuck_is_passed),
        cmocka_unit_test(test_big_has_its_turn),
        cmocka_unit_test(test_small_goes_beside),
        cmocka_unit_test(test_big_against_a_stream),
        cmocka_unit_test(test_free_while_waiting),
        cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

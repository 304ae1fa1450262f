/* The local engine with several names for one file: what they share, and what is each one's. */
#include "local_test.h"

#include <fcntl.h>
#include <sys/stat.h>

static void run(struct local *l, struct got *g, struct gate_request *q)
{
    got_init(g);
    got_start(l, g, q);
    got_fine(g);
}

static struct gate_usage fine(struct local *l, struct gate_request *q)
{
    struct got g;

    run(l, &g, q);
    got_done(&g);
    return g.usage;
}

static const char long_text[] =
    "Once upon a time there was a little girl who had a red ball. She played with it all day "
    "in "
    "the garden, and when the sun went down she took it home with her. One day the ball was "
    "gone, "
    "and she looked for it behind the house, below the tree and in the dark wood.";

static struct gate_request *ask_long(const char *model, uint64_t tenant)
{
    struct gate_request *q = ask_text(model, long_text, 2);

    q->tenant = tenant;
    return q;
}

/* -- what they share ---------------------------------------------------------------------- */

#define HELLO "[{\"role\":\"user\",\"content\":\"Hello\"}]"

static void rendered(struct local *l, const char *model, const char *text)
{
    struct gate_request *q = ask_chat(model, HELLO);
    struct got g;

    q->render_only = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], text));
    got_done(&g);
}

static void same_engine(void *ctx, const struct local_info *i)
{
    (void)ctx;
    assert_string_equal(i->engine, "tiny:latest");
    assert_int_equal(i->state, LOCAL_READY);
    assert_true(i->bytes > 1000000);
}

static void test_once(void **state)
{
    struct config c = config_small();
    struct local *l;
    int made = atomic_load(&loads);
    struct got a, b;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &a, ask_text("tiny", "Once upon a time", 12));
    run(l, &b, ask_text("thinker", "Once upon a time", 12));
    assert_true(same(&a.content[0], &b.content[0]));
    got_done(&a);
    got_done(&b);
    rendered(l, "tiny", "User: Hello\nAssistant:");
    rendered(l, "thinker", "[user|Hello][assistant|<think>\n");
    assert_int_equal(atomic_load(&loads), made + 1);
    assert_int_equal(count_models(l, -1).n, 2);
    local_each(l, same_engine, NULL);
    local_free(l);
}

/* Prefixes are shared between names as between the requests of one: by tenants, if those are
 * kept apart. */
static void test_prefixes(void **state)
{
    struct config c = config_small();
    struct gate_request *q;
    struct gate_usage u;
    struct local *l;

    (void)state;
    NEEDS_TINY();
    c.n_ctx = 512;
    l = local_make(&c);
    assert_int_equal(fine(l, ask_long("tiny", 1)).n_cached, 0);
    assert_true(fine(l, ask_long("thinker", 2)).n_cached > 0);
    local_free(l);
    l = local_make(&c); /* nothing is to be written: the prompt is computed all the same */
    q = ask_long("tiny", 1);
    q->n_predict = 0;
    u = fine(l, q);
    assert_int_equal(u.n_output, 0);
    assert_int_equal(u.n_cached, 0);
    assert_true(u.n_prompt > 0);
    assert_true(fine(l, ask_long("tiny", 1)).n_cached > 0);
    local_free(l);
    c.share_prefixes = 0;
    l = local_make(&c);
    assert_int_equal(fine(l, ask_long("tiny", 1)).n_cached, 0);
    assert_int_equal(fine(l, ask_long("thinker", 2)).n_cached, 0);
    assert_true(fine(l, ask_long("thinker", 1)).n_cached > 0);
    local_free(l);
}

/* What must be known when it is loaded is part of what an engine is. */
static void test_other_setup(void **state)
{
    static struct config_model own[] = {
        {.name = "thinker:latest", .kv = "f32", .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;
    int made = atomic_load(&loads);

    (void)state;
    NEEDS_TINY();
    c.model = own;
    c.n_model = 1;
    l = local_make(&c);
    (void)fine(l, ask_text("tiny", "Once", 2));
    assert_int_equal(fine(l, ask_text("wide", "Once", 2)).n_ctx, 128);
    (void)fine(l, ask_text("thinker", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 3);
    (void)fine(l, ask_text("broken", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 3);
    local_free(l);
}

/* What a request asks for counts: PARAMETER num_ctx is for those that say nothing. */
static void test_grows(void **state)
{
    static const struct {
        int asked, given;
        const char *warning;
    } cases[] = {
        {GATE_UNSET, 128, NULL},
        {64, 64, NULL},
        {400, 400, NULL},
        {512, 512, NULL},
        {100000, 512, "num_ctx: 100000 is more than this model was trained for; 512 is taken"},
    };
    struct config c = config_small();
    struct local *l = local_make(&c);
    struct gate_request *q;
    uint64_t small;

    (void)state;
    if (access(TINY, R_OK) != 0)
        local_free(l);
    NEEDS_TINY();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct got g;

        q = ask_text("wide", "Once upon a time", 600);
        q->n_ctx = cases[i].asked;
        q->sampling.ignore_eos = 1;
        run(l, &g, q);
        assert_int_equal(g.usage.n_ctx, cases[i].given);
        assert_in_range(g.usage.n_prompt + g.usage.n_output, cases[i].given - 1,
                        cases[i].given + 1); /* the last one is in no cache */
        if (cases[i].warning)
            assert_true(is_text(&g.warnings, cases[i].warning));
        else
            assert_int_equal(g.warnings.n, 0);
        got_done(&g);
    }
    /* Its cache is no larger for that; and where that is too small, that is said. */
    small = count_models(l, -1).bytes;
    (void)fine(l, ask_text("tiny", "Once", 2));
    assert_true(count_models(l, -1).bytes > 2 * small);
    local_free(l);
    c.n_parallel = 1;
    l = local_make(&c);
    for (int i = 0; i < 2; i++) {
        struct got g;

        q = ask_text("wide", "Once", 2);
        q->n_ctx = 512;
        run(l, &g, q);
        assert_in_range(g.usage.n_ctx, 128, 511);
        assert_non_null(strstr(g.warnings.p, "512 is more than the key/value cache can hold"));
        got_done(&g);
    }
    local_free(l);
}

/* What is said of a model that is not loaded holds when it is. */
static void test_context(void **state)
{
    static const struct {
        const char *name;
        int n_ctx; /* of the configuration */
        int n;
    } cases[] = {{"wide", 256, 128}, {"tiny", 256, 256}, {"tiny", 0, 512}, {"tiny", 900, 900}};

    (void)state;
    NEEDS_TINY();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config c = config_small();
        struct store_model sm;
        struct err e = {0};
        struct local *l;

        c.n_ctx = cases[i].n_ctx;
        l = local_make(&c);
        assert_int_equal(store_find(NULL, str_of(cases[i].name), &sm, &e), 0);
        sm.n_ctx_train = 512;
        assert_int_equal(local_context(l, &sm), cases[i].n);
        assert_int_equal(fine(l, ask_text(cases[i].name, "Once", 2)).n_ctx, cases[i].n);
        assert_int_equal(local_context(l, &sm), cases[i].n);
        store_model_done(&sm);
        local_free(l);
    }
}

/* A name that has come to mean something else takes its engine along, unless the file is
 * another one, too. */
static void test_changed(void **state)
{
    struct config c = config_small();
    struct local_model *m = NULL;
    struct timespec when[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    struct err e = {0};
    struct local *l;
    int made = atomic_load(&loads);

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    assert_int_equal(local_hold(l, str_of("other"), &m, &e), 0);
    (void)atomic_fetch_add(&edition, 1);
    (void)fine(l, ask_text("other", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 1);
    (void)atomic_fetch_add(&edition, 1);
    assert_int_equal(utimensat(AT_FDCWD, own_path(1), when, 0), 0);
    (void)fine(l, ask_text("other", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 2);
    local_let_go(m);
    wait_models(l, 1);
    local_free(l);
}

/* A name that was made anew keeps its engine, and how long it stays, and has its new texts at
 * once; one of another file, or of none, goes. */
static void test_renewed(void **state)
{
    struct config c = config_small();
    struct timespec when[2] = {{.tv_sec = 2000}, {.tv_sec = 2000}};
    struct gate_request *q;
    struct local *l;
    struct got g;
    int made = atomic_load(&loads), i;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    local_renewed(l, str_of("other")); /* it is not loaded */
    q = ask_text("other", "Once", 150);
    got_init(&g);
    got_start(l, &g, q);
    got_wait_text(&g, 1);
    (void)atomic_fetch_add(&edition, 1);
    local_renewed(l, str_of("other"));
    assert_int_equal(count_models(l, LOCAL_READY).n, 1);
    got_fine(&g);
    got_done(&g);
    wait_models(l, 1);
    (void)fine(l, ask_text("other", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 1);
    q = ask_text("other", "Once", 2);
    q->keep_alive_ns = 100000000;
    (void)fine(l, q);
    (void)atomic_fetch_add(&edition, 1);
    local_renewed(l, str_of("OTHER:latest"));
    wait_models(l, 0); /* config_small keeps them for ever */
    (void)fine(l, ask_text("other", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 2);
    assert_int_equal(utimensat(AT_FDCWD, own_path(1), when, 0), 0);
    (void)atomic_fetch_add(&edition, 1);
    local_renewed(l, str_of("other"));
    wait_models(l, 0);
    (void)fine(l, ask_text("other", "Once", 2));
    for (i = 0; strcmp(known[i].name, "other:latest") != 0; i++)
        continue;
    atomic_store(&removed, i + 1);
    local_renewed(l, str_of("other"));
    wait_models(l, 0);
    atomic_store(&removed, 0);
    local_free(l);
}

/* -- how they leave ----------------------------------------------------------------------- */

static void test_stop_one(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    int made = atomic_load(&loads);

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    (void)fine(l, ask_text("tiny", "Once", 2));
    (void)fine(l, ask_text("thinker", "Once", 2));
    (void)fine(l, ask_text("broken", "Once", 2));
    unload(l, "tiny"); /* the one that was first */
    wait_models(l, 2);
    q = ask_text("broken", "Once", 2);
    q->keep_alive_ns = 0;
    (void)fine(l, q);
    wait_models(l, 1);
    (void)fine(l, ask_text("thinker", "Once", 2));
    (void)fine(l, ask_text("tiny", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 1);
    unload(l, "tiny");
    unload(l, "thinker");
    wait_models(l, 0);
    (void)fine(l, ask_text("tiny", "Once", 2));
    assert_int_equal(atomic_load(&loads), made + 2);
    local_free(l);
}

/* A name that is written with stays until it is done; the others do not wait for it. */
static void test_stop_busy(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    (void)fine(l, ask_text("thinker", "Once", 2));
    got_init(&g);
    got_start(l, &g, ask_text("tiny", "Once", 150));
    got_wait_text(&g, 1);
    unload(l, "thinker");
    unload(l, "tiny");
    got_fine(&g);
    assert_int_equal(g.usage.n_output, 150);
    got_done(&g);
    wait_models(l, 0);
    local_free(l);
}

/* One that is pinned keeps the engine for all. */
static void test_pinned(void **state)
{
    static struct config_model own[] = {
        {.name = "thinker:latest", .pin = 1, .lookup = -1, .keep_alive_ns = GATE_KEEP_DEFAULT}};
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    (void)fine(l, ask_text("thinker", "Once", 2));
    (void)fine(l, ask_text("tiny", "Once", 2));
    c.memory = (int64_t)(count_models(l, -1).bytes * 3 / 4); /* of two names of one engine */
    c.model = own;
    c.n_model = 1;
    local_reload(l, config_kept(&c));
    got_init(&g);
    got_start(l, &g, ask_text("other", "Once", 2));
    got_error(&g, E_NOMEM, "needs");
    got_done(&g);
    assert_int_equal(count_models(l, LOCAL_READY).n, 2);
    c.n_model = 0;
    local_reload(l, config_kept(&c));
    (void)fine(l, ask_text("other", "Once", 2));
    wait_models(l, 1);
    local_free(l);
}

/* All names of a file that is not there hear so. */
static void test_lost(void **state)
{
    struct config c = config_small();
    struct local *l = local_make(&c);
    struct got g[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        got_init(&g[i]);
        got_start(l, &g[i], ask_text("lost", "x", 4));
    }
    for (int i = 0; i < 2; i++) {
        got_error(&g[i], E_NOT_FOUND, "/nowhere/at/all.gguf");
        got_done(&g[i]);
    }
    wait_models(l, 0);
    local_free(l);
}

/* -- many at once ------------------------------------------------------------------------- */

enum { CLIENTS = 4, EACH = 16 };

static void *client(void *arg)
{
    static const char *const names[] = {"tiny", "thinker", "broken", "other"};
    struct local *l = arg;

    for (int i = 0; i < EACH; i++) {
        struct gate_request *q = ask_text(names[(i + i / 4) % 4], "Once", 6);
        struct got g;

        if (i % 4 == 3)
            q->keep_alive_ns = 0;
        got_init(&g);
        got_start(l, &g, q);
        if (i % 5 == 2) {
            struct got away;

            got_init(&away);
            got_start(l, &away, ask_unload(names[i % 4]));
            got_wait(&away);
            got_free(&away);
            must(away.terminal == GATE_EV_DONE, away.err.msg);
            got_done(&away);
        }
        got_wait(&g);
        got_free(&g);
        must(g.terminal == GATE_EV_DONE, g.err.msg);
        got_done(&g);
    }
    return NULL;
}

static void test_many(void **state)
{
    struct config c = config_small();
    pthread_t t[CLIENTS];
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, client, l), 0);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_join(t[i], NULL), 0);
    local_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_other_setup), cmocka_unit_test(test_grows),
        cmocka_unit_test(test_context),     cmocka_unit_test(test_changed),
        cmocka_unit_test(test_stop_one),    cmocka_unit_test(test_stop_busy),
        cmocka_unit_test(test_pinned),      cmocka_unit_test(test_lost),
        cmocka_unit_test(test_renewed),     cmocka_unit_test(test_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The local engine while it loads: who may end that, and what is left of it. */
#include "local_test.h"

#include "serve/local_priv.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static void fine(struct local *l, struct gate_request *q)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_fine(&g);
    got_done(&g);
}

/* Of "tiny", which is held, and of what waits until it goes. */
struct place {
    struct config c;
    struct local *l;
    struct local_model *m;
};

static void place_make(struct place *p)
{
    struct err e = {0};

    *p = (struct place){.c = config_small()};
    p->l = local_make(&p->c);
    assert_int_equal(local_hold(p->l, str_of("tiny"), &p->m, &e), 0);
    p->c.memory = (int64_t)(count_models(p->l, -1).bytes * 3 / 2);
    local_reload(p->l, config_kept(&p->c));
}

static void *hold(void *arg)
{
    struct local_model *m = NULL;
    struct err e = {0};

    if (local_hold(arg, str_of("other"), &m, &e) == 0)
        local_let_go(m);
    return (void *)(intptr_t)e.code;
}

static int n_holder(struct local *l)
{
    int n;

    local_lock(l);
    n = l->n_holder;
    local_unlock(l);
    return n;
}

/* Who stops a model does not end what others wait for: they get it, and then it goes. */
static void test_stop(void **state)
{
    struct gate_request *q;
    struct place p;
    struct got g[2];
    pthread_t t;
    void *code;

    (void)state;
    NEEDS_TINY();
    place_make(&p);
    for (int i = 0; i < 2; i++) {
        got_init(&g[i]);
        got_start(p.l, &g[i], ask_text("other", "Once", 3));
    }
    assert_int_equal(pthread_create(&t, NULL, hold, p.l), 0);
    while (n_holder(p.l) == 0)
        (void)usleep(1000);
    wait_state(p.l, "tiny", LOCAL_LEAVING);
    q = ask(GATE_LOAD, "other");
    q->keep_alive_ns = 0;
    fine(p.l, q);
    wait_state(p.l, "other", LOCAL_LEAVING);
    local_let_go(p.m);
    for (int i = 0; i < 2; i++) {
        got_fine(&g[i]);
        got_done(&g[i]);
    }
    assert_int_equal(pthread_join(t, &code), 0);
    assert_int_equal((intptr_t)code, 0);
    wait_models(p.l, 0);
    fine(p.l, ask_text("other", "Once", 3));
    local_free(p.l);
}

/* What is loaded answers, what is not will not be. */
static void test_quiesce(void **state)
{
    struct place p;
    struct got g[2];

    (void)state;
    NEEDS_TINY();
    place_make(&p);
    got_init(&g[0]);
    got_start(p.l, &g[0], ask_text("tiny", "Once", 150));
    got_wait_text(&g[0], 1);
    got_init(&g[1]);
    got_start(p.l, &g[1], ask_text("other", "Once", 3));
    wait_state(p.l, "other", LOCAL_LOADING);
    local_quiesce(p.l);
    got_error(&g[1], E_BUSY, "shutting down");
    got_fine(&g[0]);
    assert_int_equal(g[0].usage.n_output, 150);
    got_done(&g[0]);
    got_done(&g[1]);
    got_init(&g[1]);
    got_start(p.l, &g[1], ask_text("talker", "Once", 3));
    got_error(&g[1], E_BUSY, "shutting down");
    got_done(&g[1]);
    local_let_go(p.m);
    local_free(p.l);
}

/* -- what cannot be ended at once ---------------------------------------------------------- */

struct slow {
    struct got g;
    atomic_int held, release, ended;
    struct local *l;
    struct err e;
};

/* Holds the loading thread when all but the scheduler is there: nobody ends that any more. */
static int slow_sink(void *ctx, const struct gate_event *ev)
{
    struct slow *s = ctx;

    if (ev->kind == GATE_EV_LOADING && ev->done > 0.79 && !atomic_exchange(&s->held, 1)) {
        while (!atomic_load(&s->release))
            (void)usleep(1000);
    }
    return got_sink(&s->g, ev);
}

static void *hold_slow(void *arg)
{
    struct local_model *m = NULL;
    struct slow *s = arg;

    if (local_hold(s->l, str_of("other"), &m, &s->e) == 0)
        local_let_go(m);
    atomic_store(&s->ended, 1);
    return NULL;
}

/* Who waits for a load that nobody can end just now waits no longer than the server goes on. */
static void test_quiesce_holders(void **state)
{
    struct slow s = {0};
    struct err e = {0};
    struct place p;
    struct got g;
    pthread_t t;

    (void)state;
    NEEDS_TINY();
    place_make(&p);
    s.l = p.l;
    got_init(&s.g);
    got_init(&g);
    s.g.ops = local_provider(s.l)->ops;
    assert_int_equal(gate_start(local_provider(s.l), ask_text("other", "Once", 3), slow_sink,
                                &s, &s.g.call, &e),
                     0);
    wait_state(p.l, "tiny", LOCAL_LEAVING); /* it waits, and hears of all that comes */
    local_let_go(p.m);
    while (!atomic_load(&s.held))
        (void)usleep(1000);
    got_start(s.l, &g, ask_text("other", "Once", 3));
    assert_int_equal(pthread_create(&t, NULL, hold_slow, &s), 0);
    while (n_holder(s.l) == 0)
        (void)usleep(1000);
    local_quiesce(s.l);
    for (int i = 0; i < 1000 && !atomic_load(&s.ended); i++)
        (void)usleep(10000);
    if (!atomic_load(&s.ended))
        fail_msg("it waits on");
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_int_equal(s.e.code, E_BUSY);
    assert_non_null(strstr(s.e.msg, "shutting down"));
    got_error(&g, E_BUSY, "shutting down"); /* and so are requests */
    got_done(&g);
    atomic_store(&s.release, 1);
    got_error(&s.g, E_BUSY, "shutting down");
    got_done(&s.g);
    local_free(s.l);
}

/* -- in the midst of it ------------------------------------------------------------------- */

struct hasty {
    struct got g;
    struct local *l;
    double past;   /* cancels when it hears that more than this is done, */
    double before; /* and less than this */
    int quiesce;   /* 1: the server is told to end instead */
    int packing;   /* 1: it was heard of */
    int hit;
};

static int n_ref(struct local *l)
{
    int n;

    local_lock(l);
    n = l->engines ? l->engines->refs : 0;
    local_unlock(l);
    return n;
}

/* The first event is said when the request comes to wait, the others by the loading thread.
 * What is heard behind packing is writing only if packing was heard of, too. */
static int is_time(struct hasty *h, const struct gate_event *ev)
{
    if (ev->kind != GATE_EV_LOADING || h->g.n_loading == 0 || h->hit)
        return 0;
    h->packing |= ev->done > 0.5 && ev->done < 0.79;
    return ev->done > h->past && ev->done < h->before && (h->packing || h->past < 0.79);
}

/* Holds the loading thread until the request has given its model back. */
static int hasty_sink(void *ctx, const struct gate_event *ev)
{
    struct hasty *h = ctx;

    if (is_time(h, ev)) {
        h->hit = 1;
        if (h->quiesce)
            local_quiesce(h->l);
        else
            local_provider(h->l)->ops->cancel(h->g.call);
        while (!h->quiesce && n_ref(h->l))
            (void)usleep(1000);
    }
    return got_sink(&h->g, ev);
}

static int count_files(const char *path, int remove)
{
    DIR *d = opendir(path);
    int n = 0;

    assert_non_null(d);
    for (struct dirent *f = readdir(d); f; f = readdir(d))
        n += f->d_name[0] != '.' && (!remove || unlinkat(dirfd(d), f->d_name, 0) == 0);
    (void)closedir(d);
    return n;
}

static int end_between(const struct config *c, double past, double before, int quiesce)
{
    struct hasty h = {.l = local_make(c), .past = past, .before = before, .quiesce = quiesce};
    struct err e = {0};
    int made = atomic_load(&loads);

    got_init(&h.g);
    h.g.ops = local_provider(h.l)->ops;
    assert_int_equal(gate_start(local_provider(h.l), ask_text("tiny", "Once", 3), hasty_sink,
                                &h, &h.g.call, &e),
                     0);
    got_end(&h.g);
    assert_int_equal(h.g.terminal, h.hit ? GATE_EV_ERROR : GATE_EV_DONE);
    if (h.hit)
        assert_int_equal(h.g.err.code, quiesce ? E_BUSY : E_CANCELLED);
    wait_models(h.l, h.hit ? 0 : 1);
    assert_int_equal(atomic_load(&loads), made + !h.hit);
    got_done(&h.g);
    local_free(h.l);
    return h.hit;
}

/* A load may be over before the request has come to wait for it: then it is tried again. fresh:
 * without what was packed before. */
static void end_within(const struct config *c, double past, double before, int quiesce,
                       int fresh)
{
    int hit = 0;

    for (int i = 0; i < 1000 && !hit; i++) {
        if (fresh)
            (void)count_files(c->pack_cache, 1);
        hit = end_between(c, past, before, quiesce);
    }
    assert_true(hit);
    assert_int_equal(count_files(c->pack_cache, 0), !fresh);
}

/* 1: this machine's tier packs weights, and they are in the directory now. */
static int packs(const struct config *c)
{
    assert_false(end_between(c, 2, 2, 0));
    return count_files(c->pack_cache, 0);
}

/* Packing is ended, and so is the writing and the reading of what was packed. */
static void test_midway(void **state)
{
    struct config c = config_small();
    char dir[] = "/tmp/hearth-test-XXXXXX";

    (void)state;
    NEEDS_TINY();
    assert_non_null(mkdtemp(dir));
    c.pack_cache = dir;
    if (packs(&c)) {
        end_within(&c, 1e-9, 0.49, 0, 0); /* it is read */
        end_within(&c, 0.5, 0.79, 0, 1);  /* packed */
        end_within(&c, 0.5, 0.79, 1, 1);
        end_within(&c, 0.795, 0.8001, 0, 1); /* written */
        assert_int_equal(packs(&c), 1);
    }
    (void)count_files(dir, 1);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_quiesce),
        cmocka_unit_test(test_quiesce_holders),
        cmocka_unit_test(test_midway),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Several prompts as one request: numbers of choices, ends, failures, and many threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gate/many.h"

#include "base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum { PARTS_MAX = 8 };

/* The provider behind: its calls are the test's to answer, or a thread's each. */
struct gate_call {
    struct gate_request *q;
    gate_sink *sink;
    void *ctx;
    atomic_int cancelled, resumed;
    int freed;
    pthread_t thread;
};

static struct inner {
    struct provider provider;
    struct gate_call call[PARTS_MAX];
    int n, fails_at, threads;
    int ends_at_once; /* a cancelled call says its end before cancel returns */
} inner;

/* What the client heard. */
static struct heard {
    char text[4096];
    size_t n_text;
    struct gate_usage usage;
    int ends, says, in_sink;
    struct gate_call *frees; /* freed within the last event */
    struct many *many;       /* whose call that is */
} heard;

static void say(struct gate_call *c, struct gate_event ev)
{
    (void)c->sink(c->ctx, &ev);
}

static void *answer(void *arg)
{
    struct gate_call *c = arg;
    struct gate_usage u = {.n_prompt = 2, .n_output = 50};

    say(c, (struct gate_event){.kind = GATE_EV_START, .usage = &u});
    for (int i = 0; i < 50; i++)
        say(c, (struct gate_event){.kind = GATE_EV_CONTENT, .text = str_of("x")});
    say(c, (struct gate_event){.kind = GATE_EV_FINISH, .usage = &u});
    say(c, (struct gate_event){.kind = GATE_EV_DONE, .usage = &u});
    return NULL;
}

static int inner_start(struct provider *p, struct gate_request *q, gate_sink *sink, void *ctx,
                       struct gate_call **out, struct err *e)
{
    struct gate_call *c = &inner.call[inner.n];

    (void)p;
    if (inner.n == inner.fails_at) {
        gate_request_free(q);
        return err_set(e, E_BUSY, "the queue is full");
    }
    inner.n++;
    c->q = q;
    c->sink = sink;
    c->ctx = ctx;
    *out = c;
    if (inner.threads)
        return pthread_create(&c->thread, NULL, answer, c);
    return 0;
}

static void inner_cancel(struct gate_call *c)
{
    static const struct err cancelled = {E_CANCELLED, "cancelled"};

    if (atomic_fetch_add(&c->cancelled, 1) == 0 && inner.ends_at_once)
        say(c, (struct gate_event){.kind = GATE_EV_ERROR, .err = &cancelled});
}

static void inner_resume(struct gate_call *c)
{
    atomic_fetch_add(&c->resumed, 1);
}

static void inner_free(struct gate_call *c)
{
    gate_request_free(c->q);
    c->q = NULL;
    c->freed++;
}

static const struct provider_ops inner_ops = {"inner", inner_start, inner_cancel, inner_resume,
                                              inner_free};

static int sink(void *ctx, const struct gate_event *ev)
{
    static const char *const names[] = {
        [GATE_EV_WARNING] = "warning", [GATE_EV_QUEUED] = "queued",  [GATE_EV_START] = "start",
        [GATE_EV_CONTENT] = "text",    [GATE_EV_FINISH] = "finish",  [GATE_EV_DONE] = "done",
        [GATE_EV_ERROR] = "error",     [GATE_EV_PREFILL] = "prefill"};

    (void)ctx;
    assert_int_equal(heard.in_sink++, 0);
    assert_int_equal(heard.ends, 0);
    if (heard.n_text < sizeof(heard.text) - 32)
        heard.n_text += (size_t)snprintf(heard.text + heard.n_text, 32, "%s%d ",
                                         names[ev->kind], ev->choice);
    if (ev->kind == GATE_EV_DONE || ev->kind == GATE_EV_ERROR) {
        heard.ends++;
        heard.usage = *ev->usage;
    }
    heard.in_sink--;
    if (heard.ends && heard.frees)
        many_provider(heard.many)->ops->free(heard.frees);
    return heard.says;
}

static int setup(void **state)
{
    (void)state;
    memset(&inner, 0, sizeof(inner));
    memset(&heard, 0, sizeof(heard));
    inner.provider.ops = &inner_ops;
    inner.fails_at = -1;
    return 0;
}

static struct gate_request *request(size_t n, int n_choice)
{
    struct gate_request *q = gate_request_new(GATE_TEXT);
    struct gate_input *input = arena_calloc(&q->mem, n, sizeof(*input));

    for (size_t i = 0; i < n; i++)
        input[i].text = gate_str(q, "prompts of a test", i + 1);
    q->input = input;
    q->n_input = n;
    q->n_choice = n_choice;
    q->schema = json_object();
    return q;
}

static struct many *many_of(struct gate_request *q, struct gate_call **c, int want)
{
    struct many *m;
    struct err e = {0};

    assert_int_equal(many_new(&m, &inner.provider, &e), 0);
    assert_int_equal(gate_start(many_provider(m), q, sink, NULL, c, &e), want);
    return m;
}

static void finish(struct gate_call *c, int n_prompt)
{
    struct gate_usage u = {.n_prompt = n_prompt, .n_output = 1};

    say(c, (struct gate_event){.kind = GATE_EV_DONE, .usage = &u});
}

static void test_choices(void **state)
{
    struct gate_call *c;
    struct many *m = many_of(request(2, 2), &c, 0);

    (void)state;
    assert_int_equal(inner.n, 2);
    assert_int_equal(inner.call[1].q->n_input, 1);
    assert_true(str_is(inner.call[1].q->input->text, "pr"));
    for (int i = 0; i < 2; i++) /* threads of their own free them */
        assert_int_equal(inner.call[i].q->schema->refcount, 1);
    say(&inner.call[1], (struct gate_event){.kind = GATE_EV_QUEUED});
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_START});
    say(&inner.call[1], (struct gate_event){.kind = GATE_EV_PREFILL});
    say(&inner.call[1], (struct gate_event){.kind = GATE_EV_START});
    say(&inner.call[1], (struct gate_event){.kind = GATE_EV_CONTENT, .choice = 1});
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_CONTENT});
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_FINISH, .choice = 1});
    finish(&inner.call[0], 3);
    assert_int_equal(heard.ends, 0);
    finish(&inner.call[1], 4);
    assert_string_equal(heard.text, "queued2 start0 text3 text0 finish1 done0 ");
    assert_int_equal(heard.usage.n_prompt, 7);
    assert_int_equal(heard.usage.n_output, 2);
    many_provider(m)->ops->resume(c);
    assert_int_equal(inner.call[1].resumed, 1);
    many_provider(m)->ops->free(c);
    assert_int_equal(inner.call[0].freed + inner.call[1].freed, 2);
    many_free(m);
}

static void test_one(void **state)
{
    struct gate_call *c;
    struct gate_request *q = request(1, 1);
    struct many *m = many_of(q, &c, 0);

    (void)state;
    assert_ptr_equal(inner.call[0].q, q);
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_START});
    finish(&inner.call[0], 3);
    assert_string_equal(heard.text, "start0 done0 ");
    many_provider(m)->ops->free(c);
    many_free(m);
}

static void test_part_fails(void **state)
{
    struct gate_call *c;
    struct many *m = many_of(request(3, 1), &c, 0);
    struct err e = {E_NUMERIC, "NaN"};

    (void)state;
    say(&inner.call[1], (struct gate_event){.kind = GATE_EV_ERROR, .err = &e});
    assert_int_equal(heard.ends, 0);
    assert_true(inner.call[0].cancelled && inner.call[2].cancelled);
    finish(&inner.call[0], 1);
    e.code = E_CANCELLED;
    say(&inner.call[2], (struct gate_event){.kind = GATE_EV_ERROR, .err = &e});
    assert_string_equal(heard.text, "error0 ");
    many_provider(m)->ops->free(c);
    many_free(m);
}

/* The others end while the one that failed still tells them to, and the client frees it all
 * within the last event: what it tells them from must not be gone by then. */
static void test_part_fails_others_end(void **state)
{
    struct gate_call *c;
    struct many *m = many_of(request(3, 1), &c, 0);
    struct err e = {E_NUMERIC, "NaN"};

    (void)state;
    inner.ends_at_once = 1;
    heard.many = m;
    heard.frees = c;
    atomic_store(&inner.call[0].cancelled, 1); /* it ends by itself */
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_ERROR, .err = &e});
    assert_int_equal(heard.ends, 1);
    assert_string_equal(heard.text, "error0 ");
    assert_int_equal(inner.call[1].cancelled, 1);
    assert_int_equal(inner.call[2].cancelled, 1);
    assert_int_equal(inner.call[0].freed + inner.call[1].freed + inner.call[2].freed, 3);
    many_free(m);
}

static void test_start_fails(void **state)
{
    struct gate_call *c;
    struct many *m;

    (void)state;
    inner.fails_at = 0;
    many_free(many_of(request(2, 1), &c, E_BUSY));
    assert_int_equal(heard.ends, 0);
    many_free(many_of(request(1, 1), &c, E_BUSY));
    inner.fails_at = 1;
    m = many_of(request(3, 1), &c, 0);
    assert_int_equal(inner.n, 1);
    assert_int_equal(inner.call[0].cancelled, 1);
    finish(&inner.call[0], 1);
    assert_string_equal(heard.text, "error0 ");
    many_provider(m)->ops->free(c);
    many_free(m);
}

static void test_cancel(void **state)
{
    struct gate_call *c;
    struct many *m = many_of(request(2, 1), &c, 0);

    (void)state;
    heard.says = GATE_STOP_NOW;
    say(&inner.call[0], (struct gate_event){.kind = GATE_EV_START});
    assert_true(inner.call[0].cancelled && inner.call[1].cancelled);
    many_provider(m)->ops->cancel(c);
    finish(&inner.call[0], 1);
    finish(&inner.call[1], 1);
    assert_int_equal(heard.ends, 1);
    many_provider(m)->ops->free(c);
    many_free(m);
}

/* All at once: the sink hears one at a time, and one end. */
static void test_threads(void **state)
{
    struct gate_call *c;
    struct many *m;

    (void)state;
    inner.threads = 1;
    m = many_of(request(PARTS_MAX, 1), &c, 0);
    for (int i = 0; i < PARTS_MAX; i++)
        assert_int_equal(pthread_join(inner.call[i].thread, NULL), 0);
    assert_int_equal(heard.ends, 1);
    assert_int_equal(heard.usage.n_output, PARTS_MAX * 50);
    many_provider(m)->ops->free(c);
    many_free(m);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 20; n++) {
        struct gate_request *q = request(3, 1);
        struct gate_call *c = NULL;
        struct many *m;
        struct err e = {0};
        int rc;

        (void)setup(NULL);
        assert_int_equal(many_new(&m, &inner.provider, &e), 0);
        (void)mem_fail_at(n, 0);
        rc = gate_start(many_provider(m), q, sink, NULL, &c, &e);
        (void)mem_fail_at(0, 0);
        for (int i = 0; i < inner.n; i++)
            finish(&inner.call[i], 1);
        assert_int_equal(heard.ends, rc == 0);
        if (rc == 0)
            many_provider(m)->ops->free(c);
        many_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_choices, setup),
        cmocka_unit_test_setup(test_one, setup),
        cmocka_unit_test_setup(test_part_fails, setup),
        cmocka_unit_test_setup(test_part_fails_others_end, setup),
        cmocka_unit_test_setup(test_cancel, setup),
        cmocka_unit_test_setup(test_start_fails, setup),
        cmocka_unit_test_setup(test_threads, setup),
        cmocka_unit_test_setup(test_no_memory, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

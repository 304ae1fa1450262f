/* test_load.c - the load generator against a server of a few lines: what it counts, and what it
 * calls what went wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "cmd/bench_load.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the answers are, for each of the APIs: three pieces of text, then the counts. */
static const char *const good[LOAD_APIS] = {
    [LOAD_OPENAI] =
        "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"b\"}}]}\n\n"
        "data: {\"choices\":[{\"delta\":{\"content\":\"c\"}}]}\n\n"
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":4,"
        "\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\ndata: [DONE]\n\n",
    [LOAD_OPENAI_TEXT] =
        "data: {\"choices\":[{\"text\":\"a\"}]}\r\n\r\n"
        "data: {\"choices\":[{\"text\":\"b\"}]}\r\n\r\n"
        "data: {\"choices\":[{\"text\":\"c\"}],\"usage\":{\"prompt_tokens\":7,"
        "\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":2}}}"
        "\r\n\r\ndata: [DONE]\r\n\r\n",
    [LOAD_OLLAMA] = "{\"message\":{\"content\":\"a\"},\"done\":false}\n"
                    "{\"message\":{\"thinking\":\"b\"},\"done\":false}\n"
                    "{\"message\":{\"content\":\"c\"},\"done\":false}\n"
                    "{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":7,"
                    "\"eval_count\":4}\n",
    [LOAD_LLAMA] = "data: {\"content\":\"a\",\"stop\":false}\n\n"
                   "data: {\"content\":\"b\",\"stop\":false}\n\n"
                   "data: {\"content\":\"c\",\"stop\":false}\n\n"
                   "data: {\"content\":\"\",\"stop\":true,\"tokens_evaluated\":7,"
                   "\"tokens_predicted\":4,\"timings\":{\"cache_n\":2}}\n\n",
    [LOAD_ANTHROPIC] =
        "event: message_start\ndata: {\"message\":{\"usage\":{\"input_tokens\":5,"
        "\"cache_read_input_tokens\":2}}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n"
        "event: content_block_delta\ndata: {\"delta\":{\"text\":\"a\"}}\n\n"
        "event: content_block_delta\ndata: {\"delta\":{\"thinking\":\"b\"}}\n\n"
        "event: content_block_delta\ndata: {\"delta\":{\"text\":\"c\"}}\n\n"
        "event: message_delta\ndata: {\"usage\":{\"output_tokens\":4}}\n\n"
        "event: message_stop\ndata: {}\n\n",
};

static struct {
    int fd;
    pthread_t thread;
    char url[64];
    pthread_mutex_t lock;    /* of what follows */
    const char *head, *body; /* of every answer */
    char seen[8192];         /* the last request */
} toy = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void set_answer(const char *head, const char *body)
{
    (void)pthread_mutex_lock(&toy.lock);
    toy.head = head;
    toy.body = body;
    (void)pthread_mutex_unlock(&toy.lock);
}

static int saw(const char *text)
{
    int found;

    (void)pthread_mutex_lock(&toy.lock);
    found = strstr(toy.seen, text) != NULL;
    (void)pthread_mutex_unlock(&toy.lock);
    return found;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    ssize_t k;

    while (n && (k = send(fd, text, n, MSG_NOSIGNAL)) > 0) {
        text += k;
        n -= (size_t)k;
    }
}

/* One request for each connection; its end is the connection's. */
static void *serve(void *ctx)
{
    static char text[sizeof(toy.seen)];
    int fd;

    (void)ctx;
    while ((fd = accept(toy.fd, NULL, NULL)) >= 0) {
        size_t n = 0;
        char *body = NULL;
        ssize_t k;

        while (!(body && strchr(body, '}') && text[n - 1] == '}') &&
               (k = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
            n += (size_t)k;
            text[n] = '\0';
            body = strstr(text, "\r\n\r\n");
        }
        (void)pthread_mutex_lock(&toy.lock);
        memcpy(toy.seen, text, n + 1);
        say(fd, toy.head);
        say(fd, toy.body);
        (void)pthread_mutex_unlock(&toy.lock);
        (void)close(fd);
    }
    return NULL;
}

static int start(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(in);

    (void)state;
    toy.fd = socket(AF_INET, SOCK_STREAM, 0);
    if (toy.fd < 0 || bind(toy.fd, (struct sockaddr *)&in, sizeof(in)) != 0 ||
        getsockname(toy.fd, (struct sockaddr *)&in, &n) != 0 || listen(toy.fd, 64) != 0)
        return -1;
    (void)snprintf(toy.url, sizeof(toy.url), "127.0.0.1:%d", ntohs(in.sin_port));
    return pthread_create(&toy.thread, NULL, serve, NULL);
}

static int stop(void **state)
{
    (void)state;
    (void)shutdown(toy.fd, SHUT_RDWR);
    (void)pthread_join(toy.thread, NULL);
    return close(toy.fd);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

struct ran {
    struct load_request r[6];
    struct load_gaps gaps;
    char told[ERR_MAX];
};

static void run(struct ran *x, int api, int n, int leave_after, const char *head,
                const char *body)
{
    struct load_options o = {.url = toy.url,
                             .model = "m\"1",
                             .api = api,
                             .at_once = 3,
                             .seed = 5,
                             .timeout_s = 20,
                             .slo_gap_s = 100,
                             .key = "k"};
    struct err e = {0};
    uint64_t wall = 0;

    *x = (struct ran){0};
    set_answer(head, body);
    for (int i = 0; i < n; i++)
        x->r[i] = (struct load_request){.text = (uint64_t)i,
                                        .n_word = 9,
                                        .n_shared = 4,
                                        .n_output = 4,
                                        .leave_after = leave_after};
    if (load_run(&o, x->r, n, &x->gaps, &wall, x->told, &e) < 0)
        fail_msg("%s", e.msg);
    assert_true(wall > 0);
}

static void test_apis(void **state)
{
    struct ran x;

    (void)state;
    for (int api = 0; api < LOAD_APIS; api++) {
        run(&x, api, 6, 0, OK_HEAD, good[api]);
        for (int i = 0; i < 6; i++) {
            const struct load_request *r = &x.r[i];

            assert_int_equal(r->outcome, LOAD_OK);
            assert_int_equal(r->n_piece, 3);
            assert_int_equal(r->got_prompt, 7);
            assert_int_equal(r->got_output, 4);
            assert_int_equal(r->got_cached, api == LOAD_OLLAMA ? -1 : 2);
            assert_true(r->start_ns <= r->first_ns && r->first_ns <= r->last_ns &&
                        r->last_ns <= r->end_ns);
        }
        assert_int_equal(x.gaps.n, 12);
        assert_string_equal(x.told, "");
        assert_true(saw(load_apis[api].path));
        assert_true(saw("\"m\\\"1\""));
        assert_true(saw("Authorization: Bearer k\r\n"));
        mem_free(x.gaps.v);
    }
}

static void test_outcomes(void **state)
{
    /* clang-format off */
    static const struct { const char *head, *body; int outcome; const char *told; } cases[] = {
        {"HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n", "try later", LOAD_STATUS, "HTTP status 503: try later"},
        {OK_HEAD, "data: {\"choices\":[{\"text\":\"a\"}]}\n\n", LOAD_CUT, "cut"},
        {OK_HEAD, "data: {\"choices\":[{\"text\":\"a\"}]}\n\ndata: {\"error\":{\"message\":\"no more\"}}\n\n", LOAD_TOLD, "no more"},
        {OK_HEAD, "data: {\"error\":\"words\"}\n\n", LOAD_TOLD, "words"},
        {OK_HEAD, "data: {broken\n\n", LOAD_FORMAT, "no JSON"},
        {"", "", LOAD_CONNECT, "connect"},
    };
    /* clang-format on */
    struct ran x;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        run(&x, LOAD_OPENAI_TEXT, 2, 0, cases[i].head, cases[i].body);
        assert_int_equal(x.r[0].outcome, cases[i].outcome);
        assert_int_equal(x.r[1].outcome, cases[i].outcome);
        assert_non_null(strstr(x.told, cases[i].told));
        mem_free(x.gaps.v);
    }
}

static void test_leave(void **state)
{
    struct ran x;

    (void)state;
    run(&x, LOAD_OPENAI, 3, 2, OK_HEAD, good[LOAD_OPENAI]);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(x.r[i].outcome, LOAD_LEFT);
        assert_int_equal(x.r[i].n_piece, 2);
    }
    mem_free(x.gaps.v);
}

/* Requests that arrive begin at their times, in their order, whatever is under way. */
static void test_open_loop(void **state)
{
    struct load_options o = {
        .url = toy.url, .model = "m", .api = LOAD_OPENAI, .seed = 5, .timeout_s = 20};
    struct load_request r[4] = {{0}};
    struct load_gaps gaps = {0};
    struct err e = {0};
    char told[ERR_MAX];
    uint64_t wall;

    (void)state;
    set_answer(OK_HEAD, good[LOAD_OPENAI]);
    for (int i = 0; i < 4; i++)
        r[i] =
            (struct load_request){.at_ns = (uint64_t)i * 5000000, .n_word = 5, .n_output = 4};
    assert_int_equal(load_run(&o, r, 4, &gaps, &wall, told, &e), 0);
    assert_true(wall >= 15000000);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(r[i].outcome, LOAD_OK);
        assert_true(r[i].start_ns - r[0].start_ns == (uint64_t)i * 5000000);
        assert_true(r[i].first_ns >= r[i].start_ns);
    }
    mem_free(gaps.v);
    o.url = "ftp://x";
    assert_int_equal(load_run(&o, r, 4, &gaps, &wall, told, &e), E_INVALID);
}

static char *body(const struct load_options *o, struct load_request r, struct buf *b)
{
    buf_init(b, 1 << 20);
    assert_int_equal(load_body(o, &r, b), 0);
    assert_int_equal(buf_byte(b, '\0'), 0);
    return b->p;
}

static void test_prompts(void **state)
{
    struct load_options o = {.model = "m", .api = LOAD_OPENAI_TEXT, .seed = 9};
    struct load_request r = {.text = 3, .n_word = 50, .n_shared = 30, .n_output = 8}, s = r;
    struct buf a, b;
    const char *p, *q;
    size_t same = 0;

    (void)state;
    assert_string_equal(body(&o, r, &a), body(&o, r, &b));
    buf_done(&b);
    s.text = 4;
    q = strstr(body(&o, s, &b), "\"prompt\":\"");
    p = strstr(a.p, "\"prompt\":\"");
    assert_true(p && q);
    while (p[same] && p[same] == q[same])
        same++;
    assert_in_range(same, 100, 400); /* the words that are shared, and perhaps the next one */
    assert_null(strstr(a.p, "ignore_eos"));
    buf_done(&b);
    o.ignore_eos = 1;
    assert_non_null(strstr(body(&o, r, &b), "\"ignore_eos\":true"));
    buf_done(&b);
    o.seed = 10;
    assert_string_not_equal(a.p, body(&o, r, &b));
    buf_done(&b);
    buf_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apis),    cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_leave),   cmocka_unit_test(test_open_loop),
        cmocka_unit_test(test_prompts),
    };

    return cmocka_run_group_tests(tests, start, stop);
}

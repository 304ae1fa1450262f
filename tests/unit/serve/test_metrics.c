#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "serve/metrics_series.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static struct metrics *fresh(void)
{
    struct metrics *m = NULL;
    struct err e = {0};

    assert_int_equal(metrics_new(&m, &e), 0);
    return m;
}

static char *text_of(struct metrics *m, struct buf *b)
{
    buf_init(b, 64 << 20);
    assert_int_equal(metrics_text(m, b), 0);
    return b->p;
}

/* 1: the text has this whole line. */
static int has(const char *text, const char *line)
{
    size_t n = strlen(line);

    for (const char *p = strstr(text, line); p; p = strstr(p + 1, line)) {
        if ((p == text || p[-1] == '\n') && p[n] == '\n')
            return 1;
    }
    return 0;
}

static void test_kinds(void **state)
{
    struct metrics *m = fresh();
    struct buf b;
    char *text;

    (void)state;
    metrics_put(m, METRIC_REQUESTS, "a", "openai.chat", "200", 1);
    metrics_put(m, METRIC_REQUESTS, "a", "openai.chat", "200", 2);
    metrics_put(m, METRIC_REQUESTS, NULL, "openai.chat", "404", 1);
    metrics_put(m, METRIC_REQUESTS, "a", "openai.chat", "200", -5);
    metrics_put(m, METRIC_REQUESTS, "a", "openai.chat", "200", (double)NAN);
    metrics_put(m, METRIC_RUNNING, "a", NULL, NULL, 7);
    metrics_put(m, METRIC_RUNNING, "a", NULL, NULL, 3);
    metrics_put(m, METRIC_CONNECTIONS, NULL, NULL, "ignored", 12);
    metrics_set(m, METRIC_RELOAD_FAILED, NULL, NULL, 4);
    metrics_set(m, METRIC_RELOAD_FAILED, NULL, NULL, 5);
    text = text_of(m, &b);
    assert_true(has(text, "# TYPE hearth_requests_total counter"));
    assert_true(has(text, "# HELP hearth_requests_total requests, by HTTP status"));
    assert_true(
        has(text, "hearth_requests_total{model=\"a\",route=\"openai.chat\",status=\"200\"} 3"));
    assert_true(has(text, "hearth_requests_total{route=\"openai.chat\",status=\"404\"} 1"));
    assert_true(has(text, "hearth_requests_running{model=\"a\"} 3"));
    assert_true(has(text, "hearth_connections 12"));
    assert_true(has(text, "hearth_config_reload_failed_total 5"));
    buf_done(&b);
    metrics_free(m);
}

static void test_histogram(void **state)
{
    static const double v[] = {0, 1, 1.5, 2, 300, 3};
    struct metrics *m = fresh();
    struct buf b;
    char *text;

    (void)state;
    for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++)
        metrics_put(m, METRIC_BATCH, "a", NULL, NULL, v[i]);
    metrics_put(m, METRIC_TTFT, "a", "r", NULL, 0.25);
    text = text_of(m, &b);
    assert_true(has(text, "# TYPE hearth_batch_texts histogram"));
    assert_true(has(text, "hearth_batch_texts_bucket{model=\"a\",le=\"1\"} 2"));
    assert_true(has(text, "hearth_batch_texts_bucket{model=\"a\",le=\"2\"} 4"));
    assert_true(has(text, "hearth_batch_texts_bucket{model=\"a\",le=\"3\"} 5"));
    assert_true(has(text, "hearth_batch_texts_bucket{model=\"a\",le=\"256\"} 5"));
    assert_true(has(text, "hearth_batch_texts_bucket{model=\"a\",le=\"+Inf\"} 6"));
    assert_true(has(text, "hearth_batch_texts_sum{model=\"a\"} 307.5"));
    assert_true(has(text, "hearth_batch_texts_count{model=\"a\"} 6"));
    assert_true(has(text, "hearth_time_to_first_token_seconds_bucket{model=\"a\",route=\"r\","
                          "le=\"0.1\"} 0"));
    assert_true(has(text, "hearth_time_to_first_token_seconds_bucket{model=\"a\",route=\"r\","
                          "le=\"0.25\"} 1"));
    buf_done(&b);
    metrics_free(m);
}

static void test_escapes(void **state)
{
    struct metrics *m = fresh();
    struct buf b;
    char *text;

    (void)state;
    metrics_put(m, METRIC_LOADS, "a\"b\\c\nd\xff\xc3\xa4", NULL, NULL, 1);
    text = text_of(m, &b);
    assert_true(has(text, "hearth_model_loads_total{model=\"a\\\"b\\\\c\\nd?\xc3\xa4\"} 1"));
    buf_done(&b);
    metrics_free(m);
}

static void test_forget(void **state)
{
    struct metrics *m = fresh();
    struct buf b;
    char *text;

    (void)state;
    metrics_put(m, METRIC_LOADS, "a", NULL, NULL, 1);
    metrics_put(m, METRIC_LOADS, "b", NULL, NULL, 2);
    metrics_put(m, METRIC_LOADS, "c", NULL, NULL, 3);
    metrics_put(m, METRIC_TTFT, "c", "r", NULL, 3);
    metrics_forget(m, "c");
    metrics_forget(m, "a");
    metrics_forget(m, "none");
    metrics_put(m, METRIC_LOADS, "d", NULL, NULL, 4);
    metrics_put(m, METRIC_LOADS, "c", NULL, NULL, 1);
    text = text_of(m, &b);
    assert_true(has(text, "hearth_model_loads_total{model=\"b\"} 2"));
    assert_true(has(text, "hearth_model_loads_total{model=\"d\"} 4"));
    assert_true(has(text, "hearth_model_loads_total{model=\"c\"} 1"));
    assert_null(strstr(text, "model=\"a\""));
    assert_null(strstr(text, "time_to_first_token_seconds_count"));
    buf_done(&b);
    metrics_free(m);
}

/* However many names there are, there are not more series than that. */
static void test_bound(void **state)
{
    struct metrics *m = fresh();
    struct buf b;
    char name[32], *text;
    size_t n = METRICS_SERIES_MAX + 50;

    (void)state;
    for (size_t i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "m%zu", i);
        metrics_put(m, METRIC_LOADS, name, NULL, NULL, 1);
    }
    assert_true(m->n_series <= METRICS_SERIES_MAX + 1);
    text = text_of(m, &b);
    assert_true(has(text, "hearth_model_loads_total{model=\"other\"} 50"));
    buf_done(&b);
    metrics_free(m);
}

static void test_process(void **state)
{
    struct metrics *m = fresh();
    struct buf b;
    char *text = text_of(m, &b), *rss;

    (void)state;
    assert_non_null(strstr(text, "\nhearth_build_info{version=\""));
    rss = strstr(text, "\nprocess_resident_memory_bytes ");
    assert_non_null(rss);
    assert_true(strtod(rss + strlen("\nprocess_resident_memory_bytes "), NULL) > 100000);
    assert_non_null(strstr(text, "\nprocess_start_time_seconds 1"));
    assert_non_null(strstr(text, "\nprocess_cpu_seconds_total "));
    assert_non_null(strstr(text, "\nprocess_open_fds "));
    assert_non_null(strstr(text, "\nprocess_max_fds "));
    buf_done(&b);
    metrics_free(m);
}

/* Names and help as the format wants them: counters end with _total, nothing to escape. */
static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < METRIC_N; i++) {
        const struct metrics_row *row = &metrics_table[i];
        size_t n = strlen(row->name);
        int total = n > 6 && strcmp(row->name + n - 6, "_total") == 0;

        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz_"), n);
        assert_int_equal(total, row->kind == METRICS_COUNTER);
        assert_null(strpbrk(row->help, "\\\n"));
        assert_int_equal(row->n_bound > 0, row->kind == METRICS_HISTOGRAM);
        for (int k = 1; k < row->n_bound; k++)
            assert_true(row->bound[k] > row->bound[k - 1]);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(row->name, metrics_table[k].name);
    }
}

static void test_no_memory(void **state)
{
    struct buf b;
    struct metrics *m = NULL;
    struct err e = {0};

    (void)state;
    (void)mem_fail_at(1, 0);
    assert_int_equal(metrics_new(&m, &e), E_NOMEM);
    m = fresh();
    for (uint64_t nth = 1; nth <= 4; nth++) {
        (void)mem_fail_at(nth, 0);
        metrics_put(m, METRIC_REQUESTS, "a", "b", "c", 1);
        (void)mem_fail_at(0, 0);
    }
    metrics_put(m, METRIC_REQUESTS, "a", "b", "c", 1);
    buf_init(&b, 1000);
    assert_int_equal(metrics_text(m, &b), E_TOO_LONG);
    buf_done(&b);
    assert_non_null(strstr(text_of(m, &b), "status=\"c\"} 1\n"));
    buf_done(&b);
    metrics_free(m);
}

enum { THREADS = 4, ROUNDS = 2000 };

static void *hammer(void *ctx)
{
    struct metrics *m = ctx;

    for (int i = 0; i < ROUNDS; i++) {
        char name[8];

        (void)snprintf(name, sizeof(name), "m%d", i % 10);
        metrics_put(m, METRIC_OUTPUT_TOKENS, "all", NULL, NULL, 1);
        metrics_put(m, METRIC_ITL, name, "r", NULL, 0.001 * i);
        metrics_put(m, METRIC_RUNNING, name, NULL, NULL, i);
        if (i % 500 == 0)
            metrics_forget(m, "m3");
    }
    return NULL;
}

static void test_threads(void **state)
{
    struct metrics *m = fresh();
    pthread_t t[THREADS];
    struct buf b;
    char want[64];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, m), 0);
    for (int i = 0; i < 5; i++) {
        (void)text_of(m, &b);
        buf_done(&b);
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(t[i], NULL);
    (void)snprintf(want, sizeof(want), "hearth_output_tokens_total{model=\"all\"} %d",
                   THREADS * ROUNDS);
    assert_true(has(text_of(m, &b), want));
    (void)snprintf(want, sizeof(want),
                   "hearth_inter_token_seconds_count{model=\"m4\",route=\"r\"} %d",
                   THREADS * ROUNDS / 10);
    assert_true(has(b.p, want));
    buf_done(&b);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),   cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_forget),
        cmocka_unit_test(test_bound),   cmocka_unit_test(test_process),
        cmocka_unit_test(test_table),   cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_config.c - settings: what is taken, in which order, and what is refused where. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gate/provider.h"
#include "serve/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/hearth-config-XXXXXX";
static char path[64];

static void write_file(const char *text, size_t n)
{
    FILE *f = fopen(path, "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static struct config *good(const char *text)
{
    struct config *c = NULL;
    struct err e = {0};

    write_file(text, strlen(text));
    if (config_load(&c, path, NULL, 0, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    return c;
}

static void bad_n(const char *text, size_t n, const char *place, const char *what)
{
    struct config *c = NULL;
    struct err e = {0};
    char begin[128];

    write_file(text, n);
    if (config_load(&c, path, NULL, 0, &e) == 0)
        fail_msg("taken: %s", text);
    (void)snprintf(begin, sizeof(begin), "%s%s", place ? path : "", place ? place : "");
    if (strncmp(e.msg, begin, strlen(begin)) != 0 || !strstr(e.msg, what))
        fail_msg("'%s' gives '%s', want '%s' and '%s'", text, e.msg, begin, what);
}

static void bad(const char *text, const char *place, const char *what)
{
    bad_n(text, strlen(text), place, what);
}

static void test_defaults(void **state)
{
    struct config *c = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(config_load(&c, "", NULL, 0, &e), 0);
    assert_null(c->path);
    assert_string_equal(c->host, "127.0.0.1");
    assert_int_equal(c->port, 11434);
    assert_int_equal(c->body_max, 32 << 20);
    assert_int_equal(c->head_max, 64 << 10);
    assert_int_equal(c->n_connection, 10000);
    assert_int_equal(c->head_timeout_s, 10);
    assert_int_equal(c->idle_timeout_s, 75);
    assert_int_equal(c->body_rate_min, 1024);
    assert_int_equal(c->drain_timeout_s, 30);
    assert_int_equal(c->n_queue, 512);
    assert_true(c->keep_alive_ns == (int64_t)300 * 1000000000);
    assert_int_equal(c->responses_ttl_s, 30 * 86400);
    assert_int_equal(c->responses_bytes, 1 << 30);
    assert_int_equal(c->share_prefixes, 0);
    assert_string_equal(c->kv, "f16");
    assert_int_equal(c->n_host + c->n_origin + c->allow_no_key + c->allow_paths, 0);
    assert_null(c->keys);
    config_free(c);
    config_free(NULL);
}

static void test_file(void **state)
{
    struct config *c;

    (void)state;
    c = good("# a comment\n"
             "listen:\n  host: \"::1\"\n  port: 8080\n  origins: [https://a.example, \"*\"]\n"
             "  hosts:\n  - x.example\n  - .lan\n"
             "limits: {body: 4MiB, idle_timeout: 1m30s}\n"
             "models:\n  keep_alive: -1\n  memory: 12GiB\n  kv: q8_0\n  share_prefixes: true\n"
             "  dir: ~\n"
             "log:\n  level: info\n"
             "responses:\n  path: none\n");
    assert_string_equal(c->path, path);
    assert_string_equal(c->host, "::1");
    assert_int_equal(c->port, 8080);
    assert_int_equal(c->n_origin, 2);
    assert_string_equal(c->origins[1], "*");
    assert_int_equal(c->n_host, 2);
    assert_string_equal(c->hosts[1], ".lan");
    assert_int_equal(c->body_max, 4 << 20);
    assert_int_equal(c->idle_timeout_s, 90);
    assert_true(c->keep_alive_ns == GATE_KEEP_FOREVER);
    assert_true(c->memory == (int64_t)12 << 30);
    assert_string_equal(c->kv, "q8_0");
    assert_int_equal(c->share_prefixes, 1);
    assert_null(c->models);
    assert_int_equal(c->log_level, 2);
    assert_string_equal(c->responses, "");
    config_free(c);
    config_free(good(""));
    config_free(good("# nothing\n"));
    config_free(good("listen:\nmodel:\n"));
}

static void test_models(void **state)
{
    struct config_model m;
    struct config *c;

    (void)state;
    c = good(
        "models: {context: 1000, lookup: 3, kv: q8_0}\n"
        "model:\n"
        "  \"*\": {parallel: 4, kv_k: f32, keep_alive: 1h}\n"
        "  llama3.2:\n    context: 2000\n    pin: true\n    priority: -2\n    draft: small\n"
        "  other: {kv: f16, lookup: 0}\n");
    config_model(c, "llama3.2:latest", &m);
    assert_int_equal(m.n_ctx, 2000);
    assert_int_equal(m.n_parallel, 4);
    assert_int_equal(m.lookup, 3);
    assert_int_equal(m.pin, 1);
    assert_int_equal(m.priority, -2);
    assert_string_equal(m.draft, "small");
    assert_string_equal(m.kv, "q8_0");
    assert_true(m.keep_alive_ns == (int64_t)3600 * 1000000000);
    config_model(c, "other", &m);
    assert_int_equal(m.n_ctx, 1000);
    assert_int_equal(m.lookup, 0);
    assert_string_equal(m.kv, "f16");
    assert_null(m.kv_k); /* its own type is for both */
    config_model(c, "other:7b", &m);
    assert_string_equal(m.kv, "q8_0");
    assert_string_equal(m.kv_k, "f32");
    assert_int_equal(m.pin, 0);
    config_free(c);
    /* What is said of one model comes before what is said of all, also "no" and 0. */
    c = good("model: {\"*\": {pin: true, priority: 5}, a: {pin: false, priority: 0}}\n");
    config_model(c, "a", &m);
    assert_int_equal(m.pin, 0);
    assert_int_equal(m.priority, 0);
    config_model(c, "b", &m);
    assert_int_equal(m.pin, 1);
    assert_int_equal(m.priority, 5);
    config_free(c);
    bad("model: {a: {context: 0}}\n", ":1:22", "outside 1..");
    bad("models: {kv_disk_size: 0}\n", ":1:24", "outside 1048576..");
    bad("model: {a: {contxt: 1}}\n", ":1:13", "did you mean 'context'");
    bad("model: {a: {pin: true}, a: {pin: false}}\n", ":1:25", "set twice");
    bad("model: {a: 5}\n", ":1:12", "has settings below it");
    bad("model: {a: {kv: q9}}\n", ":1:17", "none of f32|f16|q8_0|q4_0");
}

/* Y1 to Y4, Y6, Y11, Y12 */
static void test_refused(void **state)
{
    (void)state;
    bad("a: &a [x]\nlisten: {hosts: *a}\n", ":1:1", "no setting 'a'");
    bad("listen:\n  hosts: &a [x]\n", ":2:10", "anchors (&a)");
    bad("listen:\n  host: &a x\n", ":2:9", "anchors (&a)");
    bad("listen:\n  hosts: [x, *a]\n", ":2:14", "aliases (*a)");
    bad("listen:\n  <<: {port: 1}\n", ":2:3", "no setting 'listen.<<'");
    bad("listen:\n\thost: x\n", ":2:1", "");
    bad("listen: {port: 1, port: 2}\n", ":1:19", "'listen.port' is set twice");
    bad("listen: {port: 1}\nlisten: {host: a}\n", ":2:1", "'listen' is set twice");
    for (int i = 0; i < 6; i++) {
        static const char *const flags[] = {"yes", "no", "on", "True", "1", "\"yes\""};
        char text[64];

        (void)snprintf(text, sizeof(text), "log: {json: %s}\n", flags[i]);
        bad(text, ":1:13: log.json", "is neither true nor false");
    }
    bad("listen: {port: 0777}\n", ":1:16: listen.port", "whole number");
    bad("listen: {port: 1e3}\n", ":1:16", "whole number");
    bad("listen: {port: 0x50}\n", ":1:16", "whole number");
    bad("listen: {port: 8080.0}\n", ":1:16", "whole number");
    bad("listen: {port: 2026-01-01}\n", ":1:16", "whole number");
    bad("listen: {port: 70000}\n", ":1:16", "outside 0..65535: '70000'");
    bad("listen: {port: -1}\n", ":1:16", "outside");
    bad("listen: {prot: 1}\n", ":1:10", "did you mean 'listen.port'");
    bad("port: 1\n", ":1:1", "did you mean 'listen.port'");
    bad("limits: {keep_alive: 5m}\n", ":1:10", "did you mean 'models.keep_alive'");
    bad("listen: {zzzzzzzzz: 1}\n", ":1:10", "'hearth config example' lists all");
    bad("limits: {body: 10 bananas}\n", ":1:16: limits.body", "is no size");
    bad("limits: {body: 5GBB}\n", ":1:16", "is no size");
    bad("limits: {body: -5MiB}\n", ":1:16", "is no size");
    bad("limits: {body: 99999TiB}\n", ":1:16", "outside");
    bad("limits: {idle_timeout: -1s}\n", ":1:24", "is no time");
    bad("limits: {idle_timeout: 5 minutes}\n", ":1:24", "is no time");
    bad("limits: {idle_timeout: 0}\n", ":1:24", "outside 1..86400");
    bad("models: {keep_alive: banana}\n", ":1:22", "is no time");
    bad("models: {kv: Q8_0}\n", ":1:14", "is none of");
    bad("listen: {port: [1]}\n", ":1:16", "is one value");
    bad("listen: {hosts: x: y}\n", ":1:18", "");
    bad("listen: {hosts: {a: b}}\n", ":1:17", "is a list");
    bad("listen: {hosts: [[a]]}\n", ":1:18", "list of texts");
    bad("listen:\n  host: ${HEARTH_TEST_NONE}\n", ":2:9: listen.host", "HEARTH_TEST_NONE");
    bad("listen: {host: \"${\"}\n", ":1:16", "${ without a name");
    bad("listen: {host: !!str x}\n", ":1:16", "tags (tag:yaml.org,2002:str)");
    bad("listen: !!python/object:os.system {host: x}\n", ":1:9", "tags (");
    bad("listen: {host: a}\n---\nlisten: {host: b}\n", ":2:1", "second document");
    bad("- a\n", ":1:1", "has settings below it");
    bad("listen: 5\n", ":1:9", "'listen' has settings below it");
    bad("listen: {\n", ":2:1", "");
    bad("listen: {host: \"a\\0b\"}\n", ":1:16", "NUL");
    bad("? [a]\n: b\n", ":1:3", "no name of a setting");
    bad_n("listen: {host: \xff}\n", 18, "", "byte 15");
    bad("listen: {tls_cert: a}\n", NULL, "listen.tls_key is not");
}

static void add_fault(void *ctx, const struct err *e)
{
    struct buf *all = ctx;

    assert_int_equal(buf_fmt(all, "%s\n", e->msg), 0);
}

/* One mistake hides none of the others, and each has its place. */
static void test_all(void **state)
{
    static const char *const set[] = {"listen.port=x", "limits.queu=5"};
    static const struct {
        const char *place, *what;
    } wanted[] = {
        {":2:3", "did you mean 'listen.port'"},
        {":3:10", "listen.hosts"},
        {":4:1", "'listen'"},
        {":5:1", "'x'"},
        {":8:9", "limits.body"},
        {":9:3", "set twice"},
        {":10:10", "limits.queue: "},
        {":13:15", "model.m.parallel: "},
        {":14:5", "'lokup'"},
        {":15:6", "settings below it"},
        {":16:3", "set twice"},
        {":17:12", "anchors"},
        {NULL, "variable HEARTH_PORT: "},
        {NULL, "listen.port: "},
        {NULL, "did you mean 'limits.queue'"},
        {NULL, "listen.tls_cert is set, and listen.tls_key is not"},
    };
    static const char text[] = "listen:\n"
                               "  prot: {a: [1, {b: 2}], c: d}\n"
                               "  hosts: {a: b}\n"
                               "listen: [1, 2]\n" /* again */
                               "x: {y: z}\n"
                               "limits:\n"
                               "  head: 2KiB\n"
                               "  body: big\n"
                               "  body: 4MiB\n"
                               "  queue: [1]\n"
                               "model:\n"
                               "  m:\n"
                               "    parallel: 0\n"
                               "    lokup: 4\n"
                               "  n: 5\n"
                               "  m: {lookup: x}\n"
                               "responses: &a {}\n"
                               "log:\n"
                               "  level: debug\n";
    struct config *c = NULL;
    struct err e = {0};
    struct buf all;
    const char *at;

    (void)state;
    buf_init(&all, 1 << 16);
    write_file(text, sizeof(text) - 1);
    assert_int_equal(setenv("HEARTH_PORT", "y", 1), 0);
    assert_int_equal(setenv("HEARTH_TLS_CERT", "/c", 1), 0);
    assert_int_equal(config_load_all(&c, path, set, 2, add_fault, &all, &e), E_INVALID);
    (void)unsetenv("HEARTH_PORT");
    (void)unsetenv("HEARTH_TLS_CERT");
    at = all.p;
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        const char *end = at ? strchr(at, '\n') : NULL, *what;
        char begin[128];

        if (!end)
            fail_msg("there is no '%s' in\n%s", wanted[i].what, all.p);
        (void)snprintf(begin, sizeof(begin), "%s%s", wanted[i].place ? path : "",
                       wanted[i].place ? wanted[i].place : "");
        what = strstr(at, wanted[i].what);
        if (strncmp(at, begin, strlen(begin)) != 0 || !what || what > end)
            fail_msg("want '%s' and '%s' for\n%s", begin, wanted[i].what, at);
        at = end + 1;
    }
    assert_int_equal(*at, 0);
    /* What is right holds. */
    assert_non_null(c);
    assert_int_equal(c->head_max, 2048);
    assert_int_equal(c->log_level, 3);
    config_free(c);
    /* No YAML: the rest cannot be read. */
    c = NULL;
    buf_clear(&all);
    write_file("limits:\n  bdy: 1\nlog:\n\tx: 1\n  queue: x\n", 39);
    assert_int_equal(config_load_all(&c, path, NULL, 0, add_fault, &all, &e), E_INVALID);
    assert_null(c);
    assert_non_null(strstr(all.p, ":2:3: there is no setting 'limits.bdy'"));
    assert_non_null(strstr(all.p, ":4:1: "));
    assert_null(strstr(all.p, "queue"));
    buf_done(&all);
}

static void test_huge(void **state)
{
    size_t n = (10 << 20);
    char *text = mem_alloc(n);

    (void)state;
    memset(text, '#', n);
    bad_n(text, n, "", "more than 1048576 bytes");
    memset(text, '[', 100000);
    bad_n(text, 100000, ":1:1", "");
    mem_free(text);
}

static void test_order(void **state)
{
    const char *set[] = {"listen.port=4", "listen.hosts=a,b"};
    struct config *c = NULL;
    struct err e = {0};

    (void)state;
    write_file("listen: {port: 1, host: a}\n", 27);
    assert_int_equal(setenv("OLLAMA_HOST", "http://b.example:2/", 1), 0);
    assert_int_equal(setenv("OLLAMA_KEEP_ALIVE", "-1", 1), 0);
    assert_int_equal(config_load(&c, path, NULL, 0, &e), 0);
    assert_string_equal(c->host, "b.example");
    assert_int_equal(c->port, 2);
    assert_true(c->keep_alive_ns == GATE_KEEP_FOREVER);
    config_free(c);
    assert_int_equal(setenv("HEARTH_HOST", "[::1]:3", 1), 0);
    assert_int_equal(config_load(&c, path, NULL, 0, &e), 0);
    assert_string_equal(c->host, "::1");
    assert_int_equal(c->port, 3);
    config_free(c);
    assert_int_equal(config_load(&c, path, set, 2, &e), 0);
    assert_int_equal(c->port, 4);
    assert_int_equal(c->n_host, 2);
    config_free(c);
    assert_int_equal(setenv("HEARTH_PORT", "x", 1), 0);
    assert_int_equal(config_load(&c, path, NULL, 0, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "variable HEARTH_PORT"));
    assert_int_equal(unsetenv("HEARTH_PORT"), 0);
    set[0] = "listen.prot=1";
    assert_int_equal(config_load(&c, path, set, 1, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "did you mean 'listen.port'"));
    set[0] = "listen.port";
    assert_int_equal(config_load(&c, path, set, 1, &e), E_INVALID);
    assert_int_equal(unsetenv("HEARTH_HOST"), 0);
    assert_int_equal(unsetenv("OLLAMA_HOST"), 0);
    assert_int_equal(unsetenv("OLLAMA_KEEP_ALIVE"), 0);
    assert_int_equal(config_load(&c, "/nowhere/hearth.yaml", NULL, 0, &e), E_NOT_FOUND);
}

static void test_hosts(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
    } all[] = {
        {"0.0.0.0", "0.0.0.0", 11434},
        {"0.0.0.0:80", "0.0.0.0", 80},
        {":8080", "127.0.0.1", 8080},
        {"8080", "127.0.0.1", 8080},
        {"::1", "::1", 11434},
        {"[::]:1", "::", 1},
        {"https://x.example:9/", "x.example", 9},
        {"unix:/run/h.sock", "unix:/run/h.sock", 11434},
    };
    const char *set[1];
    struct err e = {0};
    char text[128];

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        struct config *c = NULL;

        (void)snprintf(text, sizeof(text), "listen.host=%s", all[i].text);
        set[0] = text;
        assert_int_equal(config_load(&c, "", set, 1, &e), 0);
        assert_string_equal(c->host, all[i].host);
        assert_int_equal(c->port, all[i].port);
        config_free(c);
    }
    for (int i = 0; i < 3; i++) {
        static const char *const wrong[] = {"listen.host=a:70000", "listen.host=a:b",
                                            "listen.host=http://a/b"};
        struct config *c = NULL;

        assert_int_equal(config_load(&c, "", &wrong[i], 1, &e), E_INVALID);
    }
}

static void test_variables(void **state)
{
    struct config *c;

    (void)state;
    assert_int_equal(setenv("HEARTH_TEST_A", "b: c", 1), 0);
    c = good("listen: {keys: \"/x/${HEARTH_TEST_A}/$$y/$z\"}\n");
    assert_string_equal(c->keys, "/x/b: c/$y/$z");
    config_free(c);
    assert_int_equal(setenv("HOME", "/home/u", 1), 0);
    c = good("models: {dir: ~/m, path_dirs: [~/p, /q]}\n");
    assert_string_equal(c->models, "/home/u/m");
    assert_string_equal(c->path_dirs[0], "/home/u/p");
    config_free(c);
    bad("models: {path_dirs: [a]}\n", NULL, "'a' does not begin with /");
}

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        double s;
    } all[] = {{"0", 0},      {"300", 300},  {"5m", 300},    {"1h30m", 5400},
               {"1.5s", 1.5}, {"100ms", .1}, {"2d", 172800}, {"1h0m10s", 3610}};
    static const char *const wrong[] = {"",    "-",  "s",     "5x",
                                        "5m3", "m5", "1h 3m", "5.",
                                        "1e3", "05", "1..5s", "99999999999999999999s"};
    int64_t ns;

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!config_duration(all[i].text, &ns) || ns != (int64_t)(all[i].s * 1e9))
            fail_msg("%s: %lld", all[i].text, (long long)ns);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (config_duration(wrong[i], &ns))
            fail_msg("taken: '%s'", wrong[i]);
    }
    assert_int_equal(config_duration("-1", &ns), 1);
    assert_true(ns == GATE_KEEP_FOREVER);
    assert_int_equal(config_duration("-5m", &ns), 1);
    assert_true(ns == GATE_KEEP_FOREVER);
}

static char *printed(const struct config *c)
{
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);

    assert_non_null(f);
    if (c)
        config_print(c, f);
    else
        config_example(f);
    assert_int_equal(fclose(f), 0);
    return text;
}

/* What is printed is what it was made from; the example says the defaults. */
static void test_round(void **state)
{
    struct config *c, *again;
    char *text, *other;
    struct err e = {0};

    (void)state;
    c = good("listen: {hosts: [\"a,b\", \"$$x\"], keys: \"/k \\\" y\"}\n"
             "limits: {body: 5000, idle_timeout: 2m}\nresponses: {path: none}\n"
             "model: {\"m:1\": {pin: true, keep_alive: -1, lookup: 0, kv: f32}}\n");
    text = printed(c);
    again = good(text);
    other = printed(again);
    assert_string_equal(text, other);
    assert_int_equal(config_same(c, again), 1);
    assert_string_equal(again->hosts[1], "$x");
    assert_int_equal(again->body_max, 5000);
    assert_string_equal(again->responses, "");
    assert_int_equal(again->n_model, 1);
    config_free(c);
    c = good("model: {\"m:1\": {pin: true, keep_alive: -1, lookup: 1, kv: f32}}\n");
    config_free(again);
    again = good("model: {\"m:1\": {pin: true, keep_alive: -1, lookup: 2, kv: f32}}\n");
    assert_int_equal(config_same(c, again), 0);
    config_free(c);
    config_free(again);
    free(text);
    free(other);
    text = printed(NULL);
    assert_int_equal(config_load(&c, "", NULL, 0, &e), 0);
    again = good(text);
    free(text);
    text = printed(c);
    other = printed(again);
    assert_string_equal(text, other);
    config_free(c);
    config_free(again);
    free(text);
    free(other);
    /* Each line of the example, without its mark, is right as well. */
    text = printed(NULL);
    for (char *p = strstr(text, "\n\n");
         p && (p = strstr(p, "\n  #")) && p < strstr(text, "\nmodel:");)
        memcpy(p, "\n   ", 4);
    config_free(good(text));
    free(text);
}

static void test_memory(void **state)
{
    static const char text[] = "listen: {hosts: [a, b], host: x}\nmodel: {a: {pin: true}}\n";

    (void)state;
    write_file(text, sizeof(text) - 1);
    for (uint64_t n = 1; n < 10000; n++) {
        struct config *c = NULL;
        struct err e = {0};
        int rc;

        (void)mem_fail_at(n, 0);
        rc = config_load(&c, path, NULL, 0, &e);
        if (mem_fail_at(0, 0) < n) {
            config_free(c);
            return;
        }
        if (rc == 0)
            fail_msg("allocation %d was not needed", (int)n);
        assert_int_equal(rc, E_NOMEM);
    }
}

static int set_up(void **state)
{
    static const char *const names[] = {"HEARTH_HOST",   "HEARTH_PORT",   "OLLAMA_HOST",
                                        "HEARTH_CONFIG", "HEARTH_MODELS", "OLLAMA_MODELS"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unsetenv(names[i]);
    if (!mkdtemp(dir))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/h.yaml", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_file),
        cmocka_unit_test(test_models),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_all),       cmocka_unit_test(test_huge),
        cmocka_unit_test(test_order),     cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_variables), cmocka_unit_test(test_duration),
        cmocka_unit_test(test_round),     cmocka_unit_test(test_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

/* test_client.c - against a server of a few lines, on a port of its own and on a unix socket.
 * The path says what it does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/client.h"
#include "net/host.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct toy {
    int fd;
    pthread_t thread;
    char base[128], path[64];
    pthread_mutex_t lock;
    char seen[4096]; /* the last request */
};

static void say(int fd, const char *text)
{
    size_t n = strlen(text);

    while (n) {
        ssize_t k = send(fd, text, n, MSG_NOSIGNAL);

        if (k <= 0)
            return;
        text += k;
        n -= (size_t)k;
    }
}

/* Head and body of one request; 0: the other side is gone. */
static size_t hear(int fd, char *text, size_t cap)
{
    size_t n = 0, want = 0;

    while (n + 1 < cap) {
        ssize_t k = read(fd, text + n, cap - 1 - n);
        const char *end, *length;

        if (k <= 0)
            return 0;
        n += (size_t)k;
        text[n] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (!end)
            continue;
        length = strstr(text, "Content-Length: ");
        if (length)
            want = strtoul(length + 16, NULL, 10);
        if (n >= (size_t)(end + 4 - text) + want)
            return n;
    }
    return 0;
}

static int is_path(const char *request, const char *path)
{
    const char *blank = strchr(request, ' ');

    return blank && strncmp(blank + 1, path, strlen(path)) == 0;
}

static void stream(int fd)
{
    say(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"
            "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        say(fd, "5\r\nline\n\r\n");
        (void)usleep(1000);
    }
    say(fd, "0\r\n\r\n");
}

/* 0: the connection is to be closed. */
static int answer(struct toy *t, int fd, const char *text)
{
    char c;

    if (is_path(text, "/hello")) {
        say(fd,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    } else if (is_path(text, "/none")) {
        say(fd, "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: "
                "4\r\n\r\nnone");
    } else if (is_path(text, "/move")) {
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n");
    } else if (is_path(text, "/early")) {
        say(fd,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
    } else if (is_path(text, "/gzip")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nxx");
    } else if (is_path(text, "/stream")) {
        stream(fd);
    } else if (is_path(text, "/long")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n");
        for (int i = 0; i < 8; i++)
            say(fd, "12345678");
    } else if (is_path(text, "/cut")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        return 0;
    } else if (is_path(text, "/mute")) {
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        (void)!read(fd, &c, 1); /* until the client gives up */
        return 0;
    } else {
        return 0;
    }
    (void)t;
    return 1;
}

static void *serve(void *ctx)
{
    struct toy *t = ctx;
    char text[4096];
    int fd;

    while ((fd = accept(t->fd, NULL, NULL)) >= 0) {
        size_t n;

        while ((n = hear(fd, text, sizeof(text)))) {
            (void)pthread_mutex_lock(&t->lock);
            memcpy(t->seen, text, n + 1);
            (void)pthread_mutex_unlock(&t->lock);
            if (!answer(t, fd, text))
                break;
        }
        (void)close(fd);
    }
    return NULL;
}

static void toy_start(struct toy *t, int is_unix)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    socklen_t n = sizeof(in);

    *t = (struct toy){0};
    assert_int_equal(pthread_mutex_init(&t->lock, NULL), 0);
    t->fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    assert_true(t->fd >= 0);
    if (is_unix) {
        (void)snprintf(t->path, sizeof(t->path), "/tmp/hearth-client-XXXXXX");
        assert_non_null(mkdtemp(t->path));
        (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", t->path);
        assert_int_equal(bind(t->fd, (struct sockaddr *)&un, sizeof(un)), 0);
        (void)snprintf(t->base, sizeof(t->base), "unix:%s", un.sun_path);
    } else {
        assert_int_equal(bind(t->fd, (struct sockaddr *)&in, sizeof(in)), 0);
        assert_int_equal(getsockname(t->fd, (struct sockaddr *)&in, &n), 0);
        (void)snprintf(t->base, sizeof(t->base), "http://127.0.0.1:%d", ntohs(in.sin_port));
    }
    assert_int_equal(listen(t->fd, 8), 0);
    assert_int_equal(pthread_create(&t->thread, NULL, serve, t), 0);
}

static void toy_stop(struct toy *t)
{
    char name[128];

    (void)shutdown(t->fd, SHUT_RDWR);
    (void)pthread_join(t->thread, NULL);
    (void)close(t->fd);
    if (t->path[0]) {
        (void)snprintf(name, sizeof(name), "%s/s", t->path);
        (void)unlink(name);
        (void)rmdir(t->path);
    }
    (void)pthread_mutex_destroy(&t->lock);
}

static struct client *open_client(const struct toy *t, const char *key, int idle_ms)
{
    struct client_options o = {.base = t->base, .key = key, .idle_timeout_ms = idle_ms};
    struct client *c = NULL;
    struct err e = {0};

    if (client_new(&c, &o, &e) < 0)
        fail_msg("%s", e.msg);
    return c;
}

static int saw(struct toy *t, const char *text)
{
    int found;

    (void)pthread_mutex_lock(&t->lock);
    found = strstr(t->seen, text) != NULL;
    (void)pthread_mutex_unlock(&t->lock);
    return found;
}

static void ask_all(struct toy *t)
{
    struct client *c = open_client(t, "secret", 0);
    struct client_answer a = {0};
    struct err e = {0};

    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.type, "application/json");
    assert_string_equal(a.body.p, "{}");
    assert_true(saw(t, "GET /hello HTTP/1.1\r\n"));
    assert_true(saw(t, "Authorization: Bearer secret\r\n"));
    assert_int_equal(client_ask(c, "POST", "/none", "{\"a\":1}", 7, NULL, NULL, &a, &e), 0);
    assert_int_equal(a.status, 404);
    assert_string_equal(a.body.p, "none");
    assert_true(saw(t, "POST /none") && saw(t, "\r\n\r\n{\"a\":1}") &&
                saw(t, "Content-Type: application/json\r\n"));
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_false(saw(t, "Content-Length"));
    assert_int_equal(client_ask(c, "DELETE", "/hello", "{}", 2, NULL, NULL, &a, &e), 0);
    assert_true(saw(t, "DELETE /hello") && saw(t, "\r\n\r\n{}"));
    assert_int_equal(client_ask(c, "GET", "/move", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_int_equal(a.status, 302);
    assert_true(saw(t, "GET /move"));
    assert_int_equal(client_ask(c, "GET", "/early", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_int_equal(a.status, 201);
    client_answer_done(&a);
    client_free(c);
}

static void test_answers(void **state)
{
    struct toy t;

    (void)state;
    for (int is_unix = 0; is_unix < 2; is_unix++) {
        toy_start(&t, is_unix);
        ask_all(&t);
        toy_stop(&t);
    }
}

static int gather(void *ctx, const char *p, size_t n)
{
    return buf_put(ctx, p, n) < 0;
}

static int refuse(void *ctx, const char *p, size_t n)
{
    (void)ctx;
    (void)p;
    return n > 0;
}

static void test_streams(void **state)
{
    struct client_answer a = {0};
    struct client *c;
    struct err e = {0};
    struct buf got;
    struct toy t;

    (void)state;
    toy_start(&t, 0);
    c = open_client(&t, NULL, 0);
    buf_init(&got, 100);
    assert_int_equal(client_ask(c, "POST", "/stream", "{}", 2, gather, &got, &a, &e), 0);
    assert_string_equal(got.p, "line\nline\nline\n");
    assert_int_equal(a.body.n, 0);
    assert_string_equal(a.type, "application/x-ndjson");
    assert_false(saw(&t, "Authorization"));
    buf_clear(&got);
    assert_int_equal(client_ask(c, "GET", "/none", NULL, 0, gather, &got, &a, &e), 0);
    assert_int_equal(got.n, 0);
    assert_string_equal(a.body.p, "none");
    assert_int_equal(client_ask(c, "GET", "/stream", NULL, 0, refuse, NULL, &a, &e),
                     E_CANCELLED);
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_int_equal(a.status, 200);
    buf_done(&got);
    client_answer_done(&a);
    client_free(c);
    toy_stop(&t);
}

static void test_failures(void **state)
{
    struct client_answer a = {0};
    struct client *c;
    struct err e = {0};
    struct toy t;

    (void)state;
    toy_start(&t, 0);
    c = open_client(&t, NULL, 0);
    buf_init(&a.body, 63);
    assert_int_equal(client_ask(c, "GET", "/long", NULL, 0, NULL, NULL, &a, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "63 bytes"));
    assert_int_equal(client_ask(c, "GET", "/cut", NULL, 0, NULL, NULL, &a, &e), E_IO);
    assert_int_equal(client_ask(c, "GET", "/close", NULL, 0, NULL, NULL, &a, &e), E_IO);
    assert_int_equal(client_ask(c, "GET", "/gzip", NULL, 0, NULL, NULL, &a, &e), E_FORMAT);
    assert_int_equal(client_ask(c, "GET", "no/path", NULL, 0, NULL, NULL, &a, &e), E_INVALID);
    assert_int_equal(client_ask(c, "GET", "/a b", NULL, 0, NULL, NULL, &a, &e), E_INVALID);
    assert_int_equal(client_ask(c, "GET", "/a\r\nx: y", NULL, 0, NULL, NULL, &a, &e),
                     E_INVALID);
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    client_free(c);
    c = open_client(&t, NULL, 50);
    assert_int_equal(client_ask(c, "GET", "/mute", NULL, 0, NULL, NULL, &a, &e), E_BUSY);
    toy_stop(&t);
    client_free(c);
    c = open_client(&t, NULL, 0); /* nobody listens any more */
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), E_IO);
    assert_non_null(strstr(e.msg, "hearth serve"));
    client_free(c);
    client_answer_done(&a);
}

static void *cancel(void *ctx)
{
    (void)usleep(20000);
    client_cancel(ctx);
    return NULL;
}

static void test_cancel(void **state)
{
    struct client_answer a = {0};
    struct client *c;
    struct err e = {0};
    struct toy t;
    pthread_t other;

    (void)state;
    toy_start(&t, 0);
    c = open_client(&t, NULL, 0);
    client_cancel(c); /* nothing is under way: no request is meant */
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    assert_int_equal(pthread_create(&other, NULL, cancel, c), 0);
    assert_int_equal(client_ask(c, "GET", "/mute", NULL, 0, NULL, NULL, &a, &e), E_CANCELLED);
    (void)pthread_join(other, NULL);
    assert_int_equal(client_ask(c, "GET", "/hello", NULL, 0, NULL, NULL, &a, &e), 0);
    client_answer_done(&a);
    client_free(c);
    toy_stop(&t);
}

static void test_options(void **state)
{
    struct client_options bad_key = {.base = "http://127.0.0.1:1", .key = "a\r\nHost: b"};
    struct client_options bad_base = {.base = "ftp://127.0.0.1"};
    struct client *c = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(client_new(&c, &bad_key, &e), E_INVALID);
    assert_int_equal(client_new(&c, &bad_base, &e), E_INVALID);
    assert_null(c);
}

/* -- addresses --------------------------------------------------------------------------- */

static void test_hosts(void **state)
{
    /* clang-format off */
    static const struct { const char *text, *want; } cases[] = {
        {"", "http://127.0.0.1:11434"},
        {"  ", "http://127.0.0.1:11434"},
        {"example.org", "http://example.org:11434"},
        {"example.org:80", "http://example.org:80"},
        {" \"10.0.0.1:99\" ", "http://10.0.0.1:99"},
        {":1234", "http://127.0.0.1:1234"},
        {"1234", "http://127.0.0.1:1234"},
        {"0.0.0.0", "http://127.0.0.1:11434"},
        {"0.0.0.0:1", "http://127.0.0.1:1"},
        {"[::]:8080", "http://[::1]:8080"},
        {"::", "http://[::1]:11434"},
        {"::1", "http://[::1]:11434"},
        {"[fe80::1%eth0]:5", "http://[fe80::1%eth0]:5"},
        {"http://example.org", "http://example.org:80"},
        {"https://example.org/", "https://example.org:443"},
        {"https://example.org:8443/a/b/", "https://example.org:8443/a/b"},
        {"http://0.0.0.0:11434", "http://127.0.0.1:11434"},
        {"unix:/run/hearth.sock", "unix:/run/hearth.sock"},
        {"host:0", NULL}, {"host:65536", NULL}, {"host:", NULL}, {"host:12x", NULL},
        {"ftp://host", NULL}, {"http://", NULL}, {"a b", NULL}, {"a@b", NULL}, {"[::1", NULL},
        {"[::1]x", NULL}, {"http://h/?a", NULL}, {"h\r\nx", NULL},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err e = {0};
        struct buf out;
        int rc;

        buf_init(&out, 1000);
        assert_int_equal(setenv("HEARTH_HOST", cases[i].text, 1), 0);
        rc = client_host(&out, &e);
        if (cases[i].want) {
            assert_int_equal(rc, 0);
            assert_string_equal(out.p, cases[i].want);
        } else {
            assert_int_equal(rc, E_INVALID);
            assert_non_null(strstr(e.msg, "HEARTH_HOST"));
        }
        buf_done(&out);
    }
}

static void test_host_order(void **state)
{
    struct err e = {0};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    (void)setenv("HEARTH_HOST", "one", 1);
    (void)setenv("OLLAMA_HOST", "two", 1);
    assert_int_equal(client_host(&out, &e), 0);
    assert_string_equal(out.p, "http://one:11434");
    buf_clear(&out);
    (void)unsetenv("HEARTH_HOST");
    assert_int_equal(client_host(&out, &e), 0);
    assert_string_equal(out.p, "http://two:11434");
    buf_clear(&out);
    (void)unsetenv("OLLAMA_HOST");
    assert_int_equal(client_host(&out, &e), 0);
    assert_string_equal(out.p, HOST_DEFAULT);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),    cmocka_unit_test(test_streams),
        cmocka_unit_test(test_failures),   cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_options),    cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_host_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

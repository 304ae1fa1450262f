#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "base/utf8.h"
#include "cmd/term.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#define NOT "\xEF\xBF\xBD"

static void test_clean(void **state)
{
    static const char *const t[][2] = {
        {"plain\ttext\n", "plain\ttext\n"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
         "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\x1b[31mred\x1b[0m", "^[[31mred^[[0m"},
        {"\x1b]0;title\x07", "^[]0;title^G"},
        {"over\rwritten\b", "over^Mwritten^H"},
        {"\x7f", NOT},
        {"\xc2\x9b"
         "31m",
         NOT "31m"},           /* CSI as one character */
        {"\x9b", NOT},         /* and as one byte */
        {"\xe2\x80\xae", NOT}, /* right-to-left override */
        {"\xe2\x81\xa6", NOT},
        {"\xe2\x80\x9d", "\xe2\x80\x9d"}, /* a quotation mark is near those, and stays */
        {"a\xff\xc3", "a" NOT NOT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct buf b;

        buf_init(&b, 1000);
        assert_int_equal(term_clean(&b, t[i][0], strlen(t[i][0])), 0);
        assert_string_equal(b.p, t[i][1]);
        buf_done(&b);
    }
}

/* Whatever goes in, what comes out is UTF-8 without a byte that a terminal obeys. */
static void test_clean_random(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 3);
    for (int round = 0; round < 20000; round++) {
        char in[24];
        size_t n = rng_u64(&r) % sizeof(in);
        struct buf a, b;

        for (size_t i = 0; i < n; i++)
            in[i] = (char)(rng_u64(&r) % 3 ? rng_u64(&r) % 256 : 0xc2);
        buf_init(&a, 1000);
        buf_init(&b, 1000);
        assert_int_equal(term_clean(&a, in, n), 0);
        assert_int_equal(utf8_mend(&b, in, n), 0);
        assert_true(utf8_valid(a.p ? a.p : "", a.n) && utf8_valid(b.p ? b.p : "", b.n));
        for (size_t i = 0; i < a.n; i++) {
            unsigned char c = (unsigned char)a.p[i], next = (unsigned char)a.p[i + 1];

            assert_true(c >= 0x20 || c == '\n' || c == '\t');
            assert_false(c == 0x7f || (c == 0xc2 && next < 0xa0));
        }
        if (utf8_valid(in, n)) {
            assert_int_equal(b.n, n);
            assert_memory_equal(b.p ? b.p : "", in, n);
        }
        buf_done(&a);
        buf_done(&b);
    }
}

static void test_bounds(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 3);
    assert_int_equal(term_clean(&b, "ab\x1b", 3), E_TOO_LONG);
    buf_clear(&b);
    assert_int_equal(utf8_mend(&b, "ab\xff", 3), E_TOO_LONG);
    buf_done(&b);
}

static void test_duration(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } t[] = {
        {0, "0s"},
        {1, "0.001\xC2\xB5s"},
        {1500, "1.5\xC2\xB5s"},
        {1000000, "1ms"},
        {12345678, "12.346ms"},
        {1200000000, "1.2s"},
        {59000000000, "59s"},
        {60000000000, "1m0s"},
        {123400000000, "2m3.4s"},
        {7384050000000, "123m4.05s"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        char text[48];

        term_duration(t[i].ns, text, sizeof(text));
        assert_string_equal(text, t[i].text);
    }
}

static void *drain(void *arg)
{
    char mem[4096];
    size_t sum = 0;
    ssize_t k;

    while ((k = read(*(int *)arg, mem, sizeof(mem))) > 0)
        sum += (size_t)k;
    return (void *)sum;
}

/* A pipe that does not block still gets every byte; one without a reader says EPIPE. */
static void test_write(void **state)
{
    static char big[1 << 20];
    int fd[2];
    pthread_t reader;
    void *got;

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(fd), 0);
    assert_int_equal(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&reader, NULL, drain, &fd[0]), 0);
    assert_int_equal(term_write(fd[1], big, sizeof(big)), 0);
    (void)close(fd[1]);
    assert_int_equal(pthread_join(reader, &got), 0);
    assert_int_equal((size_t)got, sizeof(big));
    (void)close(fd[0]);
    assert_int_equal(pipe(fd), 0);
    (void)close(fd[0]);
    assert_int_equal(term_write(fd[1], "x", 1), EPIPE);
    (void)close(fd[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),  cmocka_unit_test(test_clean_random),
        cmocka_unit_test(test_bounds), cmocka_unit_test(test_duration),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

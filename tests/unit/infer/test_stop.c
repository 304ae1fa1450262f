#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/stop.h"

#include <stdio.h>

#define TEXT_MAX 200

/* The slow, obvious version, over the whole text at once: the first end of a stop string, of
 * several the longest. Returns the length of the text to show, and which string or -1. */
static size_t slow_stop(const char *text, size_t n, const char *const *pat, int n_pat,
                        int *which)
{
    for (size_t end = 1; end <= n; end++) {
        size_t longest = 0;

        for (int i = 0; i < n_pat; i++) {
            size_t m = strlen(pat[i]);

            if (m > longest && m <= end && memcmp(text + end - m, pat[i], m) == 0) {
                longest = m;
                *which = i;
            }
        }
        if (longest)
            return end - longest;
    }
    *which = -1;
    return n;
}

/* How many bytes at the end of text could become a stop string. */
static size_t slow_held(const char *text, size_t n, const char *const *pat, int n_pat)
{
    for (size_t k = n; k > 0; k--) {
        for (int i = 0; i < n_pat; i++) {
            if (strlen(pat[i]) > k && memcmp(text + n - k, pat[i], k) == 0)
                return k;
        }
    }
    return 0;
}

static void fill(struct rng *r, char *p, size_t n, unsigned letters)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + (int)(rng_u64(r) % letters));
    p[n] = '\0';
}

/* Feeds text in random pieces and compares with the slow version after each of them. */
static void check_cuts(struct rng *r, const char *text, size_t n, const char *const *pat,
                       int n_pat)
{
    struct stop *s = NULL;
    struct buf out;
    size_t at = 0, want;
    int which, rc = 0;

    buf_init(&out, 1u << 20);
    want = slow_stop(text, n, pat, n_pat, &which);
    assert_int_equal(stop_new(&s, pat, n_pat, NULL), 0);
    while (at < n && rc == 0) {
        size_t k = rng_u64(r) % 4 ? rng_u64(r) % 4 : rng_u64(r) % (n - at + 1);

        if (k > n - at)
            k = n - at;
        rc = stop_put(s, text + at, k, &out);
        at += k;
        assert_true(rc == 0 || rc == 1);
        if (rc == 0)
            assert_int_equal(out.n, at - slow_held(text, at, pat, n_pat));
    }
    assert_int_equal(rc, which >= 0);
    assert_int_equal(stop_which(s), which);
    if (rc == 1) /* what comes later does not matter */
        assert_int_equal(stop_put(s, "abc", 3, &out), 1);
    assert_int_equal(stop_end(s, &out), 0);
    assert_int_equal(out.n, want);
    assert_memory_equal(out.n ? out.p : "", text, want);
    buf_done(&out);
    stop_free(s);
}

static void test_random_cuts(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 7);
    for (int round = 0; round < 20000; round++) {
        char mem[6][12], text[TEXT_MAX + 1];
        const char *pat[6];
        unsigned letters = 1 + (unsigned)(rng_u64(&r) % 3);
        int n_pat = (int)(rng_u64(&r) % 7);
        size_t n = rng_u64(&r) % TEXT_MAX;

        for (int i = 0; i < n_pat; i++) {
            fill(&r, mem[i], 1 + rng_u64(&r) % 10, letters);
            pat[i] = mem[i];
        }
        fill(&r, text, n, letters);
        check_cuts(&r, text, n, pat, n_pat);
    }
}

static void test_examples(void **state)
{
    static const struct {
        const char *pat[3], *text, *shown;
        int n_pat, which;
    } t[] = {
        {{"###"}, "one ## two ### three", "one ## two ", 1, 0},
        {{"abc", "b"}, "xabc", "xa", 2, 1}, /* "b" is complete first */
        {{"b", "ab"}, "xab", "x", 2, 1},    /* both end here: the longest */
        {{"\n\n"}, "a\nb\n", "a\nb\n", 1, -1},
        {{"aab"}, "aaab", "a", 1, 0},
        {{"é"}, "caf\xc3\xa8 caf\xc3\xa9", "caf\xc3\xa8 caf", 1, 0},
        {{NULL}, "nothing to stop at", "nothing to stop at", 0, -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct stop *s = NULL;
        struct buf out;

        buf_init(&out, 100);
        assert_int_equal(stop_new(&s, t[i].pat, t[i].n_pat, NULL), 0);
        for (int again = 0; again < 2; again++) {
            buf_clear(&out);
            assert_int_equal(stop_put(s, t[i].text, strlen(t[i].text), &out), t[i].which >= 0);
            assert_int_equal(stop_end(s, &out), 0);
            assert_string_equal(out.p, t[i].shown);
            assert_int_equal(stop_which(s), t[i].which);
            stop_reset(s);
            assert_int_equal(stop_which(s), -1);
        }
        stop_free(s);
        buf_done(&out);
    }
}

/* A string of the greatest length: all but its last byte is held back, then released. */
static void test_longest(void **state)
{
    char long_pat[STOP_LEN_MAX + 2], text[STOP_LEN_MAX + 2];
    const char *pat[] = {long_pat};
    struct stop *s = NULL;
    struct err e;
    struct buf out;

    (void)state;
    buf_init(&out, 1u << 16);
    memset(long_pat, 'a', sizeof(long_pat));
    long_pat[STOP_LEN_MAX + 1] = '\0';
    assert_int_equal(stop_new(&s, pat, 1, &e), E_INVALID);
    long_pat[STOP_LEN_MAX] = '\0';
    assert_int_equal(stop_new(&s, pat, 1, &e), 0);
    memset(text, 'a', sizeof(text));
    assert_int_equal(stop_put(s, text, STOP_LEN_MAX - 1, &out), 0);
    assert_int_equal(out.n, 0);
    assert_int_equal(stop_put(s, "b", 1, &out), 0);
    assert_int_equal(out.n, STOP_LEN_MAX);
    assert_int_equal(stop_put(s, text, STOP_LEN_MAX, &out), 1);
    assert_int_equal(out.n, STOP_LEN_MAX);
    stop_free(s);
    buf_done(&out);
}

static void test_limits(void **state)
{
    const char *pat[STOP_MAX + 1];
    struct stop *s = NULL;
    struct err e;

    (void)state;
    for (int i = 0; i <= STOP_MAX; i++)
        pat[i] = "x";
    assert_int_equal(stop_new(&s, pat, STOP_MAX + 1, &e), E_INVALID);
    assert_int_equal(stop_new(&s, pat, -1, &e), E_INVALID);
    pat[1] = "";
    assert_int_equal(stop_new(&s, pat, 2, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "stop string 2 is empty"));
    assert_null(s);
    pat[1] = "y";
    assert_int_equal(stop_new(&s, pat, STOP_MAX, &e), 0);
    stop_free(s);
    stop_free(NULL);
}

static void test_no_memory(void **state)
{
    const char *pat[] = {"one", "two"};
    int failed = 0;

    (void)state;
    for (uint64_t nth = 1;; nth++) {
        struct stop *s = NULL;
        int rc;

        mem_fail_at(nth, 0);
        rc = stop_new(&s, pat, 2, NULL);
        mem_fail_at(0, 0);
        stop_free(s);
        if (rc == 0)
            break;
        assert_int_equal(rc, E_NOMEM);
        assert_null(s);
        failed++;
    }
    assert_int_equal(failed, 5); /* itself, and two for each string */
}

static void test_full_output(void **state)
{
    const char *pat[] = {"zz"};
    struct stop *s = NULL;
    struct buf out;

    (void)state;
    buf_init(&out, 4);
    assert_int_equal(stop_new(&s, pat, 1, NULL), 0);
    assert_int_equal(stop_put(s, "12345", 5, &out), E_TOO_LONG);
    stop_free(s);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_cuts), cmocka_unit_test(test_examples),
        cmocka_unit_test(test_longest),     cmocka_unit_test(test_limits),
        cmocka_unit_test(test_no_memory),   cmocka_unit_test(test_full_output),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

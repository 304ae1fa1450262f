/* Texts of numbers between bounds, against comparing the numbers. */
#include "text/gram/rx.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "walk.h"

static int matches(struct rx *r, rx_id id, const char *s)
{
    struct err e;
    int rc = walk(r, id, str_of(s), &e);

    if (rc < 0)
        fail_msg("\"%.60s\": %s", s, e.msg);
    return rc;
}

static struct rx *store(void)
{
    struct rx *r = NULL;
    struct err e;

    assert_int_equal(rx_new(&r, NULL, &e), 0);
    return r;
}

static void test_integers(void **state)
{
    static const int64_t bound[] = {-1250, -100, -99, -10, -7, -1,  0,   1,
                                    5,     9,    10,  42,  99, 100, 1205};
    enum { N = sizeof(bound) / sizeof(*bound) };
    char s[32];

    (void)state;
    for (int a = -1; a < N; a++) {
        for (int b = -1; b < N; b++) {
            struct rx *r = store();
            rx_id id =
                rx_integer(r, a >= 0, a >= 0 ? bound[a] : 0, b >= 0, b >= 0 ? bound[b] : 0);

            for (int64_t v = -1500; v <= 1500; v += v > -130 && v < 130 ? 1 : 5) {
                int want = (a < 0 || v >= bound[a]) && (b < 0 || v <= bound[b]);

                (void)snprintf(s, sizeof(s), "%lld", (long long)v);
                if (matches(r, id, s) != want)
                    fail_msg("%s in %lld..%lld", s, a < 0 ? 0LL : (long long)bound[a],
                             b < 0 ? 0LL : (long long)bound[b]);
            }
            assert_int_equal(matches(r, id, "-0"), 0);
            assert_int_equal(matches(r, id, "007"), 0);
            assert_int_equal(matches(r, id, "-"), 0);
            assert_int_equal(matches(r, id, ""), 0);
            rx_free(r);
        }
    }
}

static void test_integer_ends(void **state)
{
    struct rx *r = store();
    rx_id id = rx_integer(r, 1, INT64_MIN, 1, INT64_MAX);

    (void)state;
    assert_int_equal(matches(r, id, "9223372036854775807"), 1);
    assert_int_equal(matches(r, id, "9223372036854775808"), 0);
    assert_int_equal(matches(r, id, "-9223372036854775808"), 1);
    assert_int_equal(matches(r, id, "-9223372036854775809"), 0);
    assert_int_equal(matches(r, rx_integer(r, 0, 0, 0, 0), "123456789012345678901234567890"),
                     1);
    rx_free(r);
}

static void test_multiples(void **state)
{
    static const uint32_t by[] = {1, 2, 3, 7, 10, 12, 97, 1000, 1000000007, UINT32_MAX};
    struct rx *r = store();
    struct err e;
    char s[32];

    (void)state;
    for (size_t i = 0; i < sizeof(by) / sizeof(*by); i++) {
        rx_id id = rx_multiple_of(r, by[i]), some;

        for (int64_t v = -1100; v <= 1100; v++) {
            (void)snprintf(s, sizeof(s), "%lld", (long long)v);
            if (matches(r, id, s) != (v % (int64_t)by[i] == 0))
                fail_msg("%s as a multiple of %u", s, (unsigned)by[i]);
        }
        (void)snprintf(s, sizeof(s), "%llu", (unsigned long long)by[i] * 12345);
        assert_int_equal(matches(r, id, s), 1);
        assert_int_equal(matches(r, id, "-0"), 0);
        assert_int_equal(matches(r, id, "00"), 0);
        assert_int_equal(rx_finite(r, id, &e), 0);
        some = rx_and(r, id, rx_integer(r, 1, 1, 1, 500));
        assert_int_equal(rx_live(r, some, &e), by[i] <= 500);
        assert_int_equal(rx_finite(r, some, &e), 1);
    }
    assert_int_equal(rx_multiple_of(r, 0), RX_NONE);
    assert_int_equal(rx_error(r, &e), E_INVALID);
    rx_free(r);
}

/* Values in thousandths, with their ways to be written. */
static void check_number(struct rx *r, rx_id id, int64_t v, int want, const char *what)
{
    int64_t u = v < 0 ? -v : v;
    char s[40];
    int n = snprintf(s, sizeof(s), "%s%lld.%03lld", v < 0 ? "-" : "", (long long)(u / 1000),
                     (long long)(u % 1000));

    /* Without the zeros at its end, one after the other, and without the point. */
    while (s[n - 1] != '.') {
        if (matches(r, id, s) != want)
            fail_msg("%s %s", s, what);
        if (s[n - 1] != '0')
            return;
        s[--n] = '\0';
    }
    assert_int_equal(matches(r, id, s), 0);
    s[--n] = '\0';
    if (matches(r, id, s) != want)
        fail_msg("%s %s", s, what);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        int64_t value; /* in thousandths */
    } bound[] = {{"-10.5", -10500}, {"-1", -1000}, {"-25e-2", -250}, {"0", 0},
                 {"0.001", 1},      {"0.05", 50},  {"1", 1000},      {"1.25E1", 12500},
                 {"99.990", 99990}, {"-0.0", 0}};
    enum { N = sizeof(bound) / sizeof(*bound) };
    char what[80];
    struct err e;

    (void)state;
    for (int i = 0; i < 4 * (N + 1) * (N + 1); i++) {
        int a = i / 4 % (N + 1) - 1, b = i / 4 / (N + 1) - 1, xa = i & 1, xb = i >> 1 & 1;
        struct rx_bound min = {{NULL, 0}, xa}, max = {{NULL, 0}, xb};
        struct rx *r = store();
        rx_id id;

        min.number = a < 0 ? min.number : str_of(bound[a].text);
        max.number = b < 0 ? max.number : str_of(bound[b].text);
        assert_int_equal(rx_number(r, min, max, &id, &e), 0);
        (void)snprintf(what, sizeof(what), "in %s%s..%s%s", xa ? "]" : "[",
                       a < 0 ? "" : bound[a].text, b < 0 ? "" : bound[b].text, xb ? "[" : "]");
        for (int64_t v = -11000; v <= 101000; v += v > -300 && v < 300 ? 1 : 250) {
            int want =
                (a < 0 || v > bound[a].value - !xa) && (b < 0 || v < bound[b].value + !xb);

            check_number(r, id, v, want, what);
        }
        assert_int_equal(matches(r, id, "-0"), 0);
        assert_int_equal(matches(r, id, "01"), 0);
        assert_int_equal(matches(r, id, "1e1"), 0);
        assert_int_equal(matches(r, id, ".5"), 0);
        rx_free(r);
    }
}

static void test_bad_bounds(void **state)
{
    static const char *const bad[] = {"x",  "-",   ".",   "1.",    ".5",
                                      "1e", "1e+", "--1", "1.2.3", "1 "};
    struct rx *r = store();
    struct rx_bound none = {{NULL, 0}, 0};
    struct err e;
    rx_id id;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct rx_bound b = {str_of(bad[i]), 0};

        if (rx_number(r, b, none, &id, &e) != E_INVALID)
            fail_msg("%s is taken", bad[i]);
        assert_int_equal(rx_number(r, none, b, &id, &e), E_INVALID);
    }
    assert_int_equal(rx_number(r, none, (struct rx_bound){str_of("1e401"), 0}, &id, &e),
                     E_TOO_LONG);
    assert_int_equal(
        rx_number(r, none, (struct rx_bound){str_of("1e-99999999999"), 0}, &id, &e),
        E_TOO_LONG);
    assert_int_equal(rx_number(r, none, (struct rx_bound){str_of("0e99999999999"), 0}, &id, &e),
                     0);
    assert_int_equal(rx_number(r, (struct rx_bound){str_of("1e-400"), 1}, none, &id, &e), 0);
    assert_int_equal(matches(r, id, "0.1"), 1);
    assert_int_equal(matches(r, id, "0.0"), 0);
    assert_int_equal(rx_number(r, (struct rx_bound){str_of("1e400"), 0}, none, &id, &e), 0);
    assert_int_equal(matches(r, id, "99999999999999999999"), 0);
    assert_int_equal(rx_error(r, &e), 0);
    rx_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),   cmocka_unit_test(test_integer_ends),
        cmocka_unit_test(test_multiples),  cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_bad_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"

#define TOP ((uint64_t)1 << 63)

static void test_add(void **state)
{
    uint64_t r = 77;

    (void)state;
    assert_int_equal(check_add(UINT64_MAX, 1, &r), 0);
    assert_int_equal(check_add(TOP, TOP, &r), 0);
    assert_int_equal(r, 77);
    assert_int_equal(check_add(UINT64_MAX - 5, 5, &r), 1);
    assert_true(r == UINT64_MAX);
}

static void test_mul(void **state)
{
    uint64_t r = 77;

    (void)state;
    assert_int_equal(check_mul(TOP, 2, &r), 0);
    assert_int_equal(check_mul((uint64_t)1 << 32, (uint64_t)1 << 32, &r), 0);
    assert_int_equal(check_mul(UINT64_MAX, UINT64_MAX, &r), 0);
    assert_int_equal(r, 77);
    assert_int_equal(check_mul(UINT64_MAX, 1, &r), 1);
    assert_true(r == UINT64_MAX);
    assert_int_equal(check_mul(UINT64_MAX, 0, &r), 1);
    assert_int_equal(r, 0);
    r = 6;
    assert_int_equal(check_mul(r, 7, &r), 1); /* in place */
    assert_int_equal(r, 42);
}

static void test_align(void **state)
{
    uint64_t r = 77;

    (void)state;
    assert_int_equal(check_align(UINT64_MAX, 2, &r), 0);
    assert_int_equal(check_align(UINT64_MAX - 30, 32, &r), 0);
    assert_int_equal(r, 77);
    assert_int_equal(check_align(UINT64_MAX - 31, 32, &r), 1);
    assert_true(r == UINT64_MAX - 31);
    for (uint64_t a = 0; a < 200; a++) {
        assert_int_equal(check_align(a, 32, &r), 1);
        assert_true(r >= a && r < a + 32 && r % 32 == 0);
    }
    assert_int_equal(check_align(13, 1, &r), 1);
    assert_int_equal(r, 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),
        cmocka_unit_test(test_mul),
        cmocka_unit_test(test_align),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

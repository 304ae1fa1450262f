#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"

#include <string.h>

static void test_none(void **state)
{
    (void)state;
    assert_null(mem_alloc(0));
    assert_null(mem_calloc(0, 8));
    assert_null(mem_calloc(8, 0));
    assert_null(mem_calloc(SIZE_MAX / 4, 8));
    assert_null(mem_aligned(0, 64));
    mem_free(NULL);
}

static void test_some(void **state)
{
    char *p = mem_alloc(10), *q;

    (void)state;
    assert_non_null(p);
    memcpy(p, "123456789", 10);
    q = mem_realloc(p, 100000);
    assert_non_null(q);
    assert_string_equal(q, "123456789");
    mem_free(q);
    q = mem_calloc(100, 10);
    assert_non_null(q);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(q[i], 0);
    mem_free(q);
    q = mem_strdup("copy");
    assert_string_equal(q, "copy");
    mem_free(q);
}

/* Any power of two, also those below what the system's call takes. */
static void test_aligned(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 4096; align *= 2) {
        void *p = mem_aligned(100, align);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % align, 0);
        mem_free(p);
    }
}

static void test_count(void **state)
{
    uint64_t before = mem_count();

    (void)state;
    mem_free(mem_alloc(1));
    mem_free(mem_calloc(1, 1));
    mem_free(mem_aligned(1, 64));
    mem_free(mem_strdup(""));
    mem_free(mem_realloc(NULL, 1));
    assert_int_equal(mem_count() - before, 5);
    (void)mem_fail_at(1, 0);
    assert_null(mem_alloc(1));
    (void)mem_fail_at(0, 0);
    assert_int_equal(mem_count() - before, 5); /* only those that succeeded */
}

static void test_fail_at(void **state)
{
    void *p = NULL;

    (void)state;
    (void)mem_fail_at(3, 0);
    for (int i = 1; i <= 5; i++) {
        p = mem_alloc(1);
        assert_int_equal(p == NULL, i == 3);
        mem_free(p);
    }
    assert_int_equal(mem_fail_at(2, 1), 5);
    for (int i = 1; i <= 5; i++) {
        p = mem_calloc(1, 1);
        assert_int_equal(p == NULL, i >= 2);
        mem_free(p);
    }
    (void)mem_fail_at(1, 1);
    assert_null(mem_alloc(1));
    assert_null(mem_aligned(1, 64));
    assert_null(mem_strdup("x"));
    assert_int_equal(mem_should_fail(), 1);
    (void)mem_fail_at(0, 0);
    assert_int_equal(mem_should_fail(), 0);
}

/* A failed realloc leaves the old bytes to their owner. */
static void test_realloc_fails(void **state)
{
    char *p = mem_strdup("kept");

    (void)state;
    assert_non_null(p);
    (void)mem_fail_at(1, 0);
    assert_null(mem_realloc(p, 1000));
    (void)mem_fail_at(0, 0);
    assert_string_equal(p, "kept");
    mem_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),    cmocka_unit_test(test_some),
        cmocka_unit_test(test_aligned), cmocka_unit_test(test_count),
        cmocka_unit_test(test_fail_at), cmocka_unit_test(test_realloc_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/mem.h"

static void test_alloc(void **state)
{
    unsigned char *p[1000];
    struct arena a;

    (void)state;
    arena_init(&a, (size_t)1 << 24);
    for (size_t i = 0; i < 1000; i++) {
        size_t n = i * 13 % 700 + 1;

        p[i] = arena_alloc(&a, n);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)(i % 251), n);
    }
    for (size_t i = 0; i < 1000; i++) { /* nobody wrote over another's */
        size_t n = i * 13 % 700 + 1;

        assert_int_equal(p[i][0], i % 251);
        assert_int_equal(p[i][n - 1], i % 251);
    }
    arena_done(&a);
    assert_int_equal(a.used, 0);
}

static void test_large_and_none(void **state)
{
    struct arena a;
    char *p;

    (void)state;
    arena_init(&a, (size_t)1 << 24);
    assert_non_null(arena_alloc(&a, 0));
    p = arena_alloc(&a, 1000000); /* more than a chunk */
    assert_non_null(p);
    memset(p, 1, 1000000);
    assert_non_null(arena_alloc(&a, 1));
    arena_done(&a);
    assert_non_null(arena_alloc(&a, 1)); /* usable again */
    arena_done(&a);
}

static void test_max(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 100);
    assert_null(arena_alloc(&a, 101));
    assert_non_null(arena_alloc(&a, 33)); /* counts as 48 */
    assert_int_equal(a.used, 48);
    assert_null(arena_alloc(&a, 53));
    assert_non_null(arena_alloc(&a, 48));
    assert_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX / 2));
    arena_done(&a);
}

static void test_zeroed(void **state)
{
    struct arena a;
    unsigned char *p;

    (void)state;
    arena_init(&a, SIZE_MAX);
    p = arena_alloc(&a, 4096);
    assert_non_null(p);
    memset(p, 0xff, 4096);
    arena_done(&a);
    p = arena_calloc(&a, 512, 8);
    assert_non_null(p);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(p[i], 0);
    assert_null(arena_calloc(&a, SIZE_MAX / 4, 8));
    assert_null(arena_calloc(&a, (size_t)1 << 32, (size_t)1 << 32));
    assert_non_null(arena_calloc(&a, 0, 8));
    arena_done(&a);
}

static void test_strdup(void **state)
{
    struct arena a;
    char *p;

    (void)state;
    arena_init(&a, 64);
    p = arena_strdup(&a, (struct str){"abcdef", 3});
    assert_string_equal(p, "abc");
    p = arena_strdup(&a, (struct str){NULL, 0});
    assert_string_equal(p, "");
    assert_null(arena_strdup(&a, (struct str){"x", SIZE_MAX}));
    arena_done(&a);
}

static void test_no_memory(void **state)
{
    struct arena a;

    (void)state;
    arena_init(&a, 1000);
    (void)mem_fail_at(1, 0);
    assert_null(arena_alloc(&a, 10));
    (void)mem_fail_at(0, 0);
    assert_int_equal(a.used, 0);
    assert_non_null(arena_alloc(&a, 10));
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),  cmocka_unit_test(test_large_and_none),
        cmocka_unit_test(test_max),    cmocka_unit_test(test_zeroed),
        cmocka_unit_test(test_strdup), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

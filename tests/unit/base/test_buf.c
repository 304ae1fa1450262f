#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"

static void test_empty(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    assert_null(b.p);
    assert_int_equal(buf_put(&b, NULL, 0), 0);
    assert_int_equal(b.n, 0);
    buf_clear(&b);
    buf_done(&b);
    assert_null(b.p);
    assert_int_equal(buf_str(&b, "again"), 0); /* usable after buf_done */
    assert_string_equal(b.p, "again");
    buf_done(&b);
}

static void test_append(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100000);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buf_byte(&b, 'a' + i % 26), 0);
        assert_int_equal(b.p[b.n], 0);
    }
    assert_int_equal(b.n, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    buf_clear(&b);
    assert_int_equal(b.n, 0);
    assert_string_equal(b.p, "");
    assert_int_equal(buf_put(&b, "a\0b", 3), 0);
    assert_memory_equal(b.p, "a\0b\0", 4);
    buf_done(&b);
}

/* What would pass the maximum is refused whole. */
static void test_max(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    assert_int_equal(buf_str(&b, "12345678"), 0);
    assert_int_equal(buf_byte(&b, '9'), E_TOO_LONG);
    assert_string_equal(b.p, "12345678");
    buf_clear(&b);
    assert_int_equal(buf_str(&b, "123456"), 0);
    assert_int_equal(buf_str(&b, "789"), E_TOO_LONG);
    assert_int_equal(buf_fmt(&b, "%d", 789), E_TOO_LONG);
    assert_int_equal(buf_put(&b, "x", SIZE_MAX), E_TOO_LONG);
    assert_null(buf_reserve(&b, 3));
    assert_non_null(buf_reserve(&b, 2));
    assert_string_equal(b.p, "123456");
    buf_done(&b);
    buf_init(&b, SIZE_MAX);
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_done(&b);
}

static void test_fmt(void **state)
{
    char wide[400];
    struct buf b;

    (void)state;
    memset(wide, 'w', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    for (int n = 250; n < 260; n++) { /* around the size of the small buffer inside */
        buf_init(&b, 1000);
        assert_int_equal(buf_fmt(&b, "<%d %.*s>", 7, n, wide), 0);
        assert_int_equal(b.n, n + 4);
        assert_int_equal(strlen(b.p), b.n);
        assert_memory_equal(b.p, "<7 w", 4);
        assert_int_equal(b.p[b.n - 1], '>');
        buf_done(&b);
    }
    buf_init(&b, 300);
    assert_int_equal(buf_fmt(&b, "%s", wide), E_TOO_LONG);
    assert_int_equal(b.n, 0);
    buf_done(&b);
}

static void test_reserve(void **state)
{
    struct buf b;
    char *p;

    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(buf_str(&b, "head "), 0);
    p = buf_reserve(&b, 500);
    assert_ptr_equal(p, b.p + 5);
    memset(p, 'x', 500);
    b.n += 500;
    assert_int_equal(buf_str(&b, "tail"), 0);
    assert_int_equal(b.n, 509);
    assert_string_equal(b.p + 505, "tail");
    buf_done(&b);
}

static void test_shift(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_shift(&b, 0);
    assert_int_equal(buf_str(&b, "abcdef"), 0);
    buf_shift(&b, 2);
    assert_string_equal(b.p, "cdef");
    buf_shift(&b, 4);
    assert_string_equal(b.p, "");
    assert_int_equal(b.n, 0);
    buf_done(&b);
}

static void test_no_memory(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(buf_str(&b, "kept"), 0);
    (void)mem_fail_at(1, 1);
    assert_int_equal(buf_put(&b, (char[500]){0}, 500), E_NOMEM);
    assert_int_equal(buf_fmt(&b, "%500d", 1), E_NOMEM);
    assert_null(buf_reserve(&b, 500));
    (void)mem_fail_at(0, 0);
    assert_string_equal(b.p, "kept");
    buf_done(&b);
}

static void test_str(void **state)
{
    (void)state;
    assert_true(str_is((struct str){"abcd", 3}, "abc"));
    assert_false(str_is((struct str){"abcd", 3}, "abcd"));
    assert_true(str_eq((struct str){NULL, 0}, (struct str){"x", 0}));
    assert_false(str_eq(str_of("a"), str_of("b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),     cmocka_unit_test(test_append),
        cmocka_unit_test(test_max),       cmocka_unit_test(test_fmt),
        cmocka_unit_test(test_reserve),   cmocka_unit_test(test_shift),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_str),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/err.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < ERR_N; i++) {
        const struct err_row *row = err_row(-1 - i);

        assert_int_equal(row->code, -1 - i);
        assert_int_equal(strncmp(row->name, "E_", 2), 0);
        assert_in_range(row->http, 400, 599);
        assert_in_range(row->exit_status, 1, 64);
        assert_true(row->type[0] && row->text[0]);
        for (int k = 0; k < i; k++) /* a script can tell them apart */
            assert_int_not_equal(row->exit_status, err_row(-1 - k)->exit_status);
    }
    assert_string_equal(err_row(E_FORMAT)->name, "E_FORMAT");
    assert_int_equal(err_row(0)->code, E_INTERNAL);
    assert_int_equal(err_row(-1 - ERR_N)->code, E_INTERNAL);
    assert_int_equal(err_row(INT_MAX)->code, E_INTERNAL);
    assert_int_equal(err_row(INT_MIN)->code, E_INTERNAL);
}

static void test_set_and_wrap(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_set(&e, E_FORMAT, "row %d", 12), E_FORMAT);
    assert_int_equal(e.code, E_FORMAT);
    assert_string_equal(e.msg, "row 12");
    assert_int_equal(err_wrap(&e, E_INVALID, "open %s", "x"), E_INVALID);
    assert_int_equal(e.code, E_INVALID);
    assert_string_equal(e.msg, "open x: row 12");
    assert_int_equal(err_sys(&e, E_IO, ENOENT, "read %s", "y"), E_IO);
    assert_string_equal(e.msg, "read y: No such file or directory");
    assert_int_equal(err_set(NULL, E_IO, "nobody listens"), E_IO);
    assert_int_equal(err_wrap(NULL, E_IO, "nobody listens"), E_IO);
    assert_int_equal(err_sys(NULL, E_IO, ENOENT, "nobody listens"), E_IO);
}

/* Long texts are cut at the end, and what follows the struct is not written. */
static void test_long(void **state)
{
    struct {
        struct err e;
        char guard[8];
    } s = {{0}, "guard"};
    char text[2 * ERR_MAX];

    (void)state;
    memset(text, 't', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    err_set(&s.e, E_IO, "%s", text);
    assert_int_equal(strlen(s.e.msg), ERR_MAX - 1);
    err_wrap(&s.e, E_IO, "head");
    assert_int_equal(strlen(s.e.msg), ERR_MAX - 1);
    assert_memory_equal(s.e.msg, "head: tttt", 10);
    err_sys(&s.e, E_IO, ENOENT, "%s", text);
    assert_int_equal(strlen(s.e.msg), ERR_MAX - 1);
    err_set(&s.e, E_IO, "why");
    for (size_t n = ERR_MAX - 8; n < ERR_MAX + 8; n++) {
        err_set(&s.e, E_IO, "why");
        assert_int_equal(err_wrap(&s.e, E_NOMEM, "%.*s", (int)n, text), E_NOMEM);
        assert_int_equal(s.e.code, E_NOMEM);
        assert_true(strlen(s.e.msg) < ERR_MAX);
    }
    assert_string_equal(s.guard, "guard");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_set_and_wrap),
        cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

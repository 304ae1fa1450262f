/* Scanners of pre-tokenizers against words that the published expressions make:
 * tests/golden/tok_regex.py wrote the cases. */
#include "text/pre.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>

static void check(const json_t *x)
{
    const char *name = json_string_value(json_object_get(x, "pre"));
    const json_t *text = json_object_get(x, "text"), *want = json_object_get(x, "words");
    const struct pre *pre = pre_find(str_of(name));
    struct pre_iter it;
    struct str word;
    size_t n = 0;

    assert_non_null(pre);
    pre_iter_init(&it, pre, (struct str){json_string_value(text), json_string_length(text)});
    for (; pre_iter_next(&it, &word); n++) {
        if (word.n != (size_t)json_integer_value(json_array_get(want, n)))
            fail_msg("%s, \"%s\": word %zu has %zu bytes", name, json_string_value(text), n,
                     word.n);
    }
    assert_int_equal(n, json_array_size(want));
}

static void test_cases(void **state)
{
    json_error_t je;
    json_t *all = json_load_file("tests/data/pre.json", 0, &je), *x;
    size_t i;

    (void)state;
    assert_non_null(all);
    assert_true(json_array_size(all) > 200);
    json_array_foreach(all, i, x)
    {
        check(x);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

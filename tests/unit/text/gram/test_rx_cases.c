/* Random patterns against what another program says: tests/data/rx_cases.json, or the file in
 * RX_CASES. tests/data/rx_cases.py makes such files. */
#include "text/gram/rx.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "walk.h"

static struct str of_json(const json_t *s)
{
    return (struct str){json_string_value(s), json_string_length(s)};
}

static void check(struct rx *r, rx_id id, const json_t *one, const char *key, int want)
{
    const json_t *list = json_object_get(one, key), *t;
    struct err e;
    size_t i;

    json_array_foreach(list, i, t)
    {
        int got = walk(r, id, of_json(t), &e);

        if (got != want)
            fail_msg("/%s/ on text %zu of \"%s\": %d, %s",
                     json_string_value(json_object_get(one, "pattern")), i, key, got,
                     got < 0 ? e.msg : "");
    }
}

static void test_cases(void **state)
{
    const char *path = getenv("RX_CASES");
    json_error_t je;
    json_t *all = json_load_file(path ? path : "tests/data/rx_cases.json", 0, &je), *one;
    struct err e;
    size_t i;

    (void)state;
    if (!all)
        fail_msg("%s", je.text);
    assert_true(json_array_size(all) > 0);
    json_array_foreach(all, i, one)
    {
        const json_t *pattern = json_object_get(one, "pattern");
        int search = json_integer_value(json_object_get(one, "search")) != 0;
        struct rx *r = NULL;
        rx_id id;

        assert_int_equal(rx_new(&r, NULL, &e), 0);
        if (rx_parse(r, of_json(pattern), search ? RX_SEARCH : 0, &id, &e) < 0)
            fail_msg("/%s/: %s", json_string_value(pattern), e.msg);
        check(r, id, one, "yes", 1);
        check(r, id, one, "no", 0);
        rx_free(r);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

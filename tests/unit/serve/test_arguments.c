/* What a model wrote as a call's arguments, as an object on one line. */
#include "serve/api/arguments.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>

static const struct {
    const char *in, *out;
    int whole;
} rows[] = {
    {"{}", "{}", 1},
    {" {\r\n\t\"b\" : 1.50 ,\n\"a\":[ 1e2, {\"c\": null} ] } ",
     "{\"b\":1.50,\"a\":[1e2,{\"c\":null}]}", 1},
    {"{\"a b\": \"c, d\\n\\\\\"}", "{\"a b\":\"c, d\\n\\\\\"}", 1},
    {"{\"a\": \"\\\"} ,{\"}", "{\"a\":\"\\\"} ,{\"}", 1},
    {"{\"n\": 18446744073709551615}", "{\"n\":18446744073709551615}", 1},
    {"{\"a\": 1, \"b\": 2", "{\"a\":1}", 0},
    {"{\"a\": 1,", "{\"a\":1}", 0},
    {"{\"a\": 1", "{}", 0},
    {"{\"a\": [1, 2], \"b\": {\"c\": 3, \"d\"", "{\"a\":[1,2]}", 0},
    {"{\"a\": \"x\", \"b\": \"y, z", "{\"a\":\"x\"}", 0},
    {"{\"a\": \"x\", \"b\\", "{\"a\":\"x\"}", 0},
    {"{", "{}", 0},
    {"", "{}", 0},
    {" \n", "{}", 0},
    {"no JSON", "{}", 0},
    {"[1, 2]", "{}", 0},
    {"[{\"a\": 1, ", "{}", 0},
    {"\"{\"", "{}", 0},
    {"{\"a\": 1} {\"b\": 2}", "{}", 0},
    {"{\"a\": 1}}", "{}", 0},
    {"{a, b", "{}", 0},
};

static void test_rows(void **state)
{
    struct buf b;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        buf_init(&b, 1000);
        assert_int_equal(buf_str(&b, "before"), 0); /* stays */
        assert_int_equal(arguments_put(&b, str_of(rows[i].in)), 0);
        assert_memory_equal(b.p, "before", 6);
        assert_string_equal(b.p + 6, rows[i].out);
        assert_int_equal(arguments_whole(str_of(rows[i].in)), rows[i].whole);
        buf_done(&b);
    }
}

/* Wherever a text is cut, what comes of it is an object whose members it has, on one line. */
static void test_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *all = json_loads(rows[i].in, JSON_DECODE_INT_AS_REAL, NULL);

        for (size_t n = 0; all && rows[i].in[n]; n++) {
            const char *key;
            json_t *v, *part;
            struct buf b;

            buf_init(&b, 1000);
            assert_int_equal(arguments_put(&b, (struct str){rows[i].in, n}), 0);
            assert_null(strchr(b.p, '\n'));
            part = json_loads(b.p, JSON_DECODE_INT_AS_REAL, NULL);
            assert_true(json_is_object(part));
            json_object_foreach(part, key, v)
            {
                assert_true(json_equal(v, json_object_get(all, key)));
            }
            json_decref(part);
            buf_done(&b);
        }
        json_decref(all);
    }
}

static void test_no_room(void **state)
{
    (void)state;
    for (size_t most = 0; most < 7; most++) {
        struct buf b;

        buf_init(&b, most);
        assert_int_equal(arguments_put(&b, str_of("{\"a\":1}")), E_TOO_LONG);
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "fmt/jtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* What came in and what goes out: the same, white space aside, but for reals and DEL. */
static const struct {
    const char *in, *out; /* out NULL: as in */
} rows[] = {
    {"0.2", NULL},
    {"0.20000000000000001", "0.2"},
    {"0.30000000000000004", NULL},
    {"[1.0,-0.0,1e300,1,1e2]", "[1.0,-0.0,1e+300,1,100.0]"},
    {"9223372036854775807", NULL},
    {"[null,true,false,\"\",[],{}]", NULL},
    {"{\"b\":{\"\":[{}]},\"a\":[[1],[2]]}", NULL},
    {"\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\"", NULL},
    {"\"\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbd\"", NULL},
    {"{\"\xc3\xa9\\n\":1}", NULL},
};

static void compact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *v = json_loads(rows[i].in, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        struct buf b;

        assert_non_null(v);
        buf_init(&b, 1000);
        assert_int_equal(jtext_put(&b, v, 0), 0);
        assert_string_equal(b.p, rows[i].out ? rows[i].out : rows[i].in);
        json_decref(v);
        buf_done(&b);
    }
}

/* Where no real is, jansson is the judge of forms. */
static void as_jansson(void **state)
{
    static const char text[] =
        "{\"a\": [1, [], {}, [[2], {\"x\": {\"y\": null}}]], \"\\u00e9\": "
        "\"\\ud83d\\ude00 \\u0001 \\uffff \xf4\x8f\xbf\xbf\", \"z\": {}}";
    static const int forms[] = {0, JSON_INDENT(1), JSON_INDENT(2), JSON_ENSURE_ASCII,
                                JSON_INDENT(31) | JSON_ENSURE_ASCII};
    json_t *v = json_loads(text, 0, NULL);

    (void)state;
    assert_non_null(v);
    for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
        size_t form = (size_t)forms[i];
        char *want = json_dumps(v, form & JSON_MAX_INDENT ? form : form | JSON_COMPACT);
        struct buf b;

        buf_init(&b, 10000);
        assert_int_equal(jtext_put(&b, v, forms[i]), 0);
        for (char *p = want; *p; p++) /* the digits of escapes are capital letters there */
            if (p[0] == '\\' && p[1] == 'u')
                for (int k = 2; k < 6; k++)
                    p[k] = (char)(p[k] >= 'A' && p[k] <= 'F' ? p[k] + 32 : p[k]);
        assert_string_equal(b.p, want);
        free(want); /* jansson's */
        buf_done(&b);
    }
    json_decref(v);
}

static void full(void **state)
{
    json_t *v = json_loads("{\"a\":[1.5,\"x\",null]}", 0, NULL);
    size_t n = strlen("{\"a\":[1.5,\"x\",null]}");
    struct buf b;

    (void)state;
    for (size_t max = 1; max <= n; max++) {
        buf_init(&b, max);
        assert_int_equal(jtext_put(&b, v, 0), max < n ? E_TOO_LONG : 0);
        buf_done(&b);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact),
        cmocka_unit_test(as_jansson),
        cmocka_unit_test(full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "serve/json_out.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void structure(void **state)
{
    struct json_out w;
    struct buf b;
    json_t *v = json_pack("{s:[i,n]}", "a", 1);

    (void)state;
    buf_init(&b, 1000);
    json_out_init(&w, &b);
    json_out_open(&w, '{');
    json_out_key(&w, "a");
    json_out_open(&w, '[');
    json_out_close(&w, ']');
    json_out_key(&w, "b");
    json_out_open(&w, '[');
    json_out_int(&w, INT64_MIN);
    json_out_bool(&w, 1);
    json_out_null(&w);
    json_out_str(&w, NULL);
    json_out_str(&w, "x");
    json_out_open(&w, '{');
    json_out_close(&w, '}');
    json_out_value(&w, v);
    json_out_value(&w, NULL);
    json_out_close(&w, ']');
    json_out_key(&w, "c");
    json_out_raw(&w, str_of("1e5"));
    json_out_close(&w, '}');
    assert_int_equal(json_out_end(&w), 0);
    assert_string_equal(b.p, "{\"a\":[],\"b\":[-9223372036854775808,true,null,null,\"x\",{},"
                             "{\"a\":[1,null]},null],\"c\":1e5}");
    json_decref(v);
    buf_done(&b);
}

static void strings(void **state)
{
    static const struct {
        const char *in;
        size_t n;
        const char *out;
    } rows[] = {
        {"", 0, "\"\""},
        {NULL, 0, "\"\""},
        {"a\"b\\c/", 6, "\"a\\\"b\\\\c/\""},
        {"\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\""},
        {"\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\""},
        {"\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {"a\xc3", 2, "\"a\xef\xbf\xbd\""},                               /* cut */
        {"\xc0\x80z", 3, "\"\xef\xbf\xbd\xef\xbf\xbdz\""},               /* overlong */
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct json_out w;
        struct buf b;
        json_t *v;

        buf_init(&b, 1000);
        json_out_init(&w, &b);
        json_out_text(&w, (struct str){rows[i].in, rows[i].n});
        assert_int_equal(json_out_end(&w), 0);
        assert_string_equal(b.p, rows[i].out);
        v = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(v);
        json_decref(v);
        buf_done(&b);
    }
}

static void numbers(void **state)
{
    static const float floats[] = {0,     1,       -1.5f,  0.1f,      1e-38f, 3.4028235e38f,
                                   1e-45, 1 / 3.f, 123456, 16777217.f};
    static const double doubles[] = {0, 0.1, 1 / 3., 1e308, 5e-324, -123456789.125};
    struct json_out w;
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(floats) / sizeof(*floats); i++) {
        buf_clear(&b);
        json_out_init(&w, &b);
        json_out_float(&w, floats[i]);
        assert_int_equal(json_out_end(&w), 0);
        assert_true(strtof(b.p, NULL) == floats[i]);
    }
    for (size_t i = 0; i < sizeof(doubles) / sizeof(*doubles); i++) {
        buf_clear(&b);
        json_out_init(&w, &b);
        json_out_double(&w, doubles[i]);
        assert_true(strtod(b.p, NULL) == doubles[i]);
    }
    buf_clear(&b);
    json_out_init(&w, &b);
    json_out_open(&w, '[');
    json_out_float(&w, 0.1f);
    json_out_double(&w, 0.1);
    json_out_float(&w, NAN);
    json_out_double(&w, (double)INFINITY);
    json_out_close(&w, ']');
    assert_string_equal(b.p, "[0.1,0.1,null,null]");
    buf_done(&b);
}

/* The first failure stays, and nothing half is taken for whole. */
static void full(void **state)
{
    struct json_out w;
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    json_out_init(&w, &b);
    json_out_open(&w, '[');
    json_out_str(&w, "longer");
    json_out_int(&w, 1);
    json_out_close(&w, ']');
    assert_int_equal(json_out_end(&w), E_TOO_LONG);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(structure),
        cmocka_unit_test(strings),
        cmocka_unit_test(numbers),
        cmocka_unit_test(full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Whole numbers of any size in JSON: kept digit by digit, and never taken for others. */
#include "fmt/jbig.h"

#include "fmt/jtext.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void same(const char *in, const char *out)
{
    struct err e = {0};
    struct buf b;
    json_t *v;

    buf_init(&b, 4000);
    if (jbig_load(&v, str_of(in), JSON_DECODE_ANY | JSON_ALLOW_NUL, &e) < 0)
        fail_msg("%s: %s", in, e.msg);
    assert_int_equal(jtext_put(&b, v, 0), 0);
    assert_string_equal(b.p, out);
    json_decref(v);
    buf_done(&b);
}

static void kept(void **state)
{
    static const char *const texts[] = {
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615",
        "[18446744073709551615,{\"a\":340282366920938463463374607431768211455,\"b\":[1,2.5]}]",
        "{\"18446744073709551616\":\"18446744073709551616\",\"\\\"1\":99999999999999999999}",
        "[\"\\\\\",99999999999999999999,5,-0.5,\"x\"]",
    };
    json_t *v = NULL, *copy;
    struct buf b;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
        same(texts[i], texts[i]);
    /* In copies, too. */
    assert_int_equal(jbig_load(&v, str_of(texts[5]), 0, NULL), 0);
    copy = json_deep_copy(v);
    buf_init(&b, 4000);
    assert_int_equal(jtext_put(&b, copy, 0), 0);
    assert_string_equal(b.p, texts[5]);
    assert_true(json_equal(v, copy));
    buf_done(&b);
    json_decref(copy);
    json_decref(v);
}

static void values(void **state)
{
    json_t *v = NULL;

    (void)state;
    assert_int_equal(jbig_load(&v, str_of("[9223372036854775808,5,2.5,\"5\",{}]"), 0, NULL), 0);
    assert_true(str_is(jbig_digits(json_array_get(v, 0)), "9223372036854775808"));
    assert_true(jbig_value(json_array_get(v, 0)) == 0x1p63);
    assert_true(jbig_value(json_array_get(v, 1)) == 5 &&
                jbig_value(json_array_get(v, 2)) == 2.5);
    assert_true(jbig_value(json_array_get(v, 3)) == 0);
    for (size_t i = 1; i < 5; i++)
        assert_null(jbig_digits(json_array_get(v, i)).p);
    assert_false(json_is_number(json_array_get(v, 0)) || json_is_string(json_array_get(v, 0)));
    json_decref(v);
}

static void refused(void **state)
{
    static const struct {
        const char *text, *says;
        int code;
    } rows[] = {
        {"1e400", "the number 1e400 is out of range (byte 0)", E_TOO_LONG},
        {"[99999999999999999999,-1e999]", "-1e999 is out of range (byte 22)", E_TOO_LONG},
        {"[099999999999999999999]", "near", E_INVALID},
        {"[99999999999999999999-7]", "near", E_INVALID},
        {"[99999999999999999999", "']' expected", E_INVALID},
        {"{\"a\":99999999999999999999,\"a\":1}", "duplicate", E_INVALID},
        {"[99999999999999999999,\"\\u0000123\"]", "too big", E_INVALID},
        {"", "'[' or '{' expected", E_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *v = NULL;
        struct err e = {0};
        int rc = jbig_load(&v, str_of(rows[i].text),
                           JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL |
                               (rows[i].text[0] ? JSON_DECODE_ANY : 0),
                           &e);

        if (rc != rows[i].code || v || !strstr(e.msg, rows[i].says))
            fail_msg("%s: %d %s", rows[i].text, rc, e.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kept),
        cmocka_unit_test(values),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Requests read by tables: what is taken, refused, noted; and JSON as it comes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "serve/field.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct into {
    int flag, k;
    int64_t seed;
    float t;
    struct str name;
    const json_t *list, *object, *any;
    int called;
};

static int read_even(void *into, const json_t *v, struct err *e)
{
    struct into *t = into;

    if (!json_is_integer(v) || json_integer_value(v) % 2)
        return err_set(e, E_INVALID, "is not an even number");
    t->called = (int)json_integer_value(v);
    return 0;
}

static const struct field_row rows[] = {
    {.name = "flag", .type = FIELD_BOOL, .at = offsetof(struct into, flag)},
    {.name = "k", .type = FIELD_INT, .at = offsetof(struct into, k), .min = 0, .max = 100},
    {.name = "clamped",
     .type = FIELD_INT,
     .at = offsetof(struct into, k),
     .min = 1,
     .max = 10,
     .flags = FIELD_CLAMP},
    {.name = "seed",
     .type = FIELD_I64,
     .at = offsetof(struct into, seed),
     .min = -9223372036854775808.0,
     .max = 9223372036854775807.0},
    {.name = "t",
     .type = FIELD_FLOAT,
     .at = offsetof(struct into, t),
     .min = 0,
     .max = 1,
     .flags = FIELD_ABOVE},
    {.name = "name",
     .type = FIELD_STR,
     .at = offsetof(struct into, name),
     .min = 1,
     .max = 5,
     .flags = FIELD_NEEDED},
    {.name = "list",
     .type = FIELD_ARRAY,
     .at = offsetof(struct into, list),
     .min = 1,
     .max = 2},
    {.name = "object", .type = FIELD_OBJECT, .at = offsetof(struct into, object)},
    {.name = "any", .type = FIELD_JSON, .at = offsetof(struct into, any)},
    {.name = "even", .type = FIELD_CALL, .read = read_even},
    {.name = "user", .type = FIELD_NOTED},
    {.name = "who", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "meta", .type = FIELD_NOTED, .is = FIELD_IS_STRS},
    {.name = "threads", .type = FIELD_WARNED, .is = FIELD_IS_INT},
    {.name = "mmap", .type = FIELD_WARNED, .is = FIELD_IS_BOOL},
    {.name = "search", .type = FIELD_REFUSED, .flags = FIELD_ASKS},
    {.name = "best_of",
     .type = FIELD_REFUSED,
     .harmless = "1|\"one\"|false",
     .why = "is not supported; ask for n instead"},
    {.name = "tier", .type = FIELD_WARNED, .harmless = "\"auto\""},
};

static struct into got;
static struct field_report report;
static struct err err;
static json_t *json;

static int read_text(const char *text, int strict)
{
    memset(&got, 0, sizeof(got));
    field_report_done(&report);
    field_report_init(&report, strict);
    memset(&err, 0, sizeof(err));
    json_decref(json);
    assert_int_equal(field_parse(&json, str_of(text), &err), 0);
    return field_read(rows, sizeof(rows) / sizeof(*rows), "", json, &got, &report, &err);
}

static void test_taken(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"name\":\"a\",\"flag\":true,\"k\":100,\"seed\":-5,\"t\":1,"
                               "\"list\":[1],\"object\":{},\"any\":\"x\",\"even\":4,"
                               "\"user\":[1,2],\"best_of\":1.0,\"tier\":\"auto\"}",
                               1),
                     0);
    assert_true(got.flag && got.k == 100 && got.seed == -5 && got.called == 4);
    assert_true(fabsf(got.t - 1.0f) < 1e-9f);
    assert_true(str_is(got.name, "a"));
    assert_int_equal(json_array_size(got.list), 1);
    assert_true(json_is_object(got.object) && json_is_string(got.any));
    assert_int_equal(report.warnings.n, 0);
    /* null is as if it were not there. */
    assert_int_equal(read_text("{\"name\":\"a\",\"k\":null,\"best_of\":null}", 1), 0);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *param, *says;
        int code;
    } cases[] = {
        {"{}", "name", "name is required", E_INVALID},
        {"{\"name\":null}", "name", "is required", E_INVALID},
        {"{\"name\":\"\"}", "name", "is empty", E_INVALID},
        {"{\"name\":\"abcdef\"}", "name", "6 bytes, expected 5 at most", E_INVALID},
        {"{\"name\":5}", "name", "must be a string, not an integer", E_INVALID},
        {"{\"name\":\"a\",\"flag\":1}", "flag", "true or false", E_INVALID},
        {"{\"name\":\"a\",\"flag\":\"yes\"}", "flag", "not a string", E_INVALID},
        {"{\"name\":\"a\",\"k\":1.5}", "k", "must be an integer, not a number", E_INVALID},
        {"{\"name\":\"a\",\"k\":-1}", "k", "is -1, expected 0 to 100", E_INVALID},
        {"{\"name\":\"a\",\"k\":101}", "k", "is 101", E_INVALID},
        {"{\"name\":\"a\",\"t\":0}", "t", "more than 0", E_INVALID},
        {"{\"name\":\"a\",\"t\":\"1\"}", "t", "must be a number", E_INVALID},
        {"{\"name\":\"a\",\"list\":[]}", "list", "is empty", E_INVALID},
        {"{\"name\":\"a\",\"list\":[1,2,3]}", "list", "3 items", E_INVALID},
        {"{\"name\":\"a\",\"list\":{}}", "list", "not an object", E_INVALID},
        {"{\"name\":\"a\",\"object\":[]}", "object", "not an array", E_INVALID},
        {"{\"name\":\"a\",\"even\":3}", "even", "even is not an even number", E_INVALID},
        {"{\"name\":\"a\",\"best_of\":2}", "best_of", "best_of is not supported; ask",
         E_UNSUPPORTED},
        {"{\"name\":\"a\",\"best_of\":\"two\"}", "best_of", "is not supported", E_UNSUPPORTED},
        {"{\"name\":\"a\",\"best_of\":true}", "best_of", "is not supported", E_UNSUPPORTED},
        {"{\"name\":\"a\",\"seed\":9223372036854775808}", "seed",
         "seed is 9223372036854775808, expected -9223372036854775808 to 9223372036854775807",
         E_INVALID},
        {"{\"name\":\"a\",\"seed\":-9223372036854775809}", "seed", "is -9223372036854775809,",
         E_INVALID},
        {"{\"name\":\"a\",\"seed\":9223372036854775808.0}", "seed", "is 9.22337203685478e+18,",
         E_INVALID},
        {"{\"name\":\"a\",\"clamped\":9223372036854775808}", "clamped",
         "is 9223372036854775808, expected 1 to 10", E_INVALID},
        {"{\"name\":\"a\",\"seed\":1e19}", "seed", "is 1e+19", E_INVALID},
        {"{\"name\":\"a\",\"k\":-99999999999999999999}", "k", "is -99999999999999999999, ",
         E_INVALID},
        {"{\"name\":\"a\",\"t\":99999999999999999999}", "t", "is 99999999999999999999, ",
         E_INVALID},
        {"{\"name\":99999999999999999999}", "name", "a string, not an integer", E_INVALID},
        {"{\"name\":\"a\",\"object\":99999999999999999999}", "object",
         "an object, not an integer", E_INVALID},
        {"{\"name\":\"a\",\"any\":99999999999999999999}", "any",
         "any is 99999999999999999999, which is out of range", E_INVALID},
        {"{\"name\":\"a\",\"who\":5}", "who", "must be a string, not an integer", E_INVALID},
        {"{\"name\":\"a\",\"meta\":[]}", "meta", "must be an object of strings", E_INVALID},
        {"{\"name\":\"a\",\"meta\":{\"a\":\"b\",\"c\":5}}", "meta.c", "meta.c must be a string",
         E_INVALID},
        {"{\"name\":\"a\",\"threads\":\"x\"}", "threads", "must be an integer", E_INVALID},
        {"{\"name\":\"a\",\"threads\":1.5}", "threads", "must be an integer", E_INVALID},
        {"{\"name\":\"a\",\"mmap\":5}", "mmap", "must be true or false", E_INVALID},
        {"{\"name\":\"a\",\"search\":{}}", "search", "search is not supported", E_UNSUPPORTED},
        {"99999999999999999999", "", "must be an object, not an integer", E_INVALID},
        {"[]", "", "must be an object, not an array", E_INVALID},
        {"5", "", "must be an object, not an integer", E_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        int rc = read_text(cases[i].text, 0);

        if (rc != cases[i].code || !strstr(err.msg, cases[i].says) ||
            strcmp(report.param, cases[i].param) != 0)
            fail_msg("%s: %d, param \"%s\": %s", cases[i].text, rc, report.param, err.msg);
    }
}

/* Whole numbers are integers, however they are written. */
static void test_whole(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"name\":\"a\",\"k\":40.0,\"seed\":-4.2e1}", 1), 0);
    assert_true(got.k == 40 && got.seed == -42);
    assert_int_equal(read_text("{\"name\":\"a\",\"seed\":9223372036854775807}", 1), 0);
    assert_true(got.seed == INT64_MAX);
    assert_int_equal(read_text("{\"name\":\"a\",\"seed\":-9223372036854775808}", 1), 0);
    assert_true(got.seed == INT64_MIN);
}

/* In an object that a list has: where it is, without a dot behind it. */
static void test_place(void **state)
{
    (void)state;
    json_decref(json);
    assert_int_equal(field_parse(&json, str_of("[5]"), &err), 0);
    assert_int_equal(field_read(rows, sizeof(rows) / sizeof(*rows), "messages[0].",
                                json_array_get(json, 0), &got, &report, &err),
                     E_INVALID);
    assert_string_equal(err.msg, "messages[0] must be an object, not an integer");
    assert_string_equal(report.param, "messages[0]");
}

static void test_warned(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"name\":\"a\",\"clamped\":9223372036854775807,\"\":1}", 0),
                     0);
    assert_non_null(strstr(report.warnings.p, "clamped: 9223372036854775807 is taken as 10,"));
    assert_non_null(strstr(report.warnings.p, "\"\" is not known here"));
    assert_int_equal(read_text("{\"name\":\"a\",\"threads\":4}", 0), 0);
    assert_non_null(strstr(report.warnings.p, "threads is not supported and has no effect"));
    assert_int_equal(
        read_text("{\"name\":\"a\",\"clamped\":1000,\"tier\":\"flex\",\"what\":1}", 0), 0);
    assert_int_equal(got.k, 10);
    assert_non_null(strstr(report.warnings.p, "clamped: 1000 is taken as 10"));
    assert_non_null(strstr(report.warnings.p, "tier is not supported and has no effect"));
    assert_non_null(strstr(report.warnings.p, "what is not known here"));
    assert_int_equal(read_text("{\"name\":\"a\",\"what\":1}", 1), E_INVALID);
    assert_string_equal(report.param, "what");
}

/* A report has an end, and a header must not be split. */
static void test_warnings_bounded(void **state)
{
    (void)state;
    field_report_done(&report);
    field_report_init(&report, 0);
    for (int i = 0; i < 10000; i++)
        field_warn(&report, "number %d\r\nx: y", i);
    assert_true(report.warnings.n <= (size_t)16 << 10);
    assert_null(strchr(report.warnings.p, '\r'));
    assert_null(strstr(report.warnings.p, "\nx"));
}

/* Of very many fields some are named, and that there are more. */
static void test_unknown_bounded(void **state)
{
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    assert_int_equal(buf_str(&text, "{\"name\":\"a\""), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_fmt(&text, ",\"x%d\":1", i), 0);
    assert_int_equal(buf_str(&text, "}"), 0);
    assert_int_equal(read_text(text.p, 0), 0);
    assert_non_null(strstr(report.warnings.p, "x0 is not known here"));
    assert_non_null(strstr(report.warnings.p, "further fields are not known here"));
    assert_null(strstr(report.warnings.p, "x900 "));
    assert_int_equal(read_text(text.p, 1), E_INVALID);
    buf_done(&text);
}

static void test_json(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "{} x",
        "{\"a\":1,}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":1e999}",
        "{\"a\":01}",
        "{\"a\":0x1}",
        "{\"a\":\"\xff\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\xc0\x80\"}",
        "{'a':1}",
        "{\"a\":-1e400}",
        "\xef\xbb\xbf",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        json_t *o = NULL;

        if (field_parse(&o, str_of(wrong[i]), &err) != E_INVALID || o)
            fail_msg("taken: %s", wrong[i]);
    }
    json_decref(json);
    assert_int_equal(field_parse(&json, str_of("\xef\xbb\xbf{\"a\":\"\\u0000\"}"), &err), 0);
    assert_int_equal(json_string_length(json_object_get(json, "a")), 1);
}

/* A value takes many times the bytes that it is written in. */
static void test_values(void **state)
{
    size_t n = (size_t)2 * FIELD_VALUES + 8;
    char *text = mem_alloc(n);
    json_t *o = NULL;

    (void)state;
    assert_non_null(text);
    err = (struct err){0};
    for (size_t i = 0; i < n; i += 2)
        memcpy(text + i, "0,", 2);
    text[0] = '[';
    text[1] = '0';
    text[n - 1] = ']';
    assert_int_equal(field_parse(&o, (struct str){text, n}, &err), E_INVALID);
    assert_null(o);
    memset(text + 2, ' ', 64);
    assert_int_equal(field_parse(&o, (struct str){text, n}, &err), E_INVALID); /* "[0   ,0" */
    mem_free(text);
}

static void test_depth(void **state)
{
    char text[2 * 200 + 1];

    (void)state;
    for (int depth = FIELD_DEPTH - 1; depth <= FIELD_DEPTH + 1; depth++) {
        json_t *o = NULL;
        int rc;

        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        rc = field_parse(&o, (struct str){text, (size_t)depth * 2}, &err);
        assert_int_equal(rc, depth > FIELD_DEPTH ? E_INVALID : 0);
        json_decref(o);
    }
    /* Brackets in strings do not nest. */
    json_decref(json);
    memset(text, '[', 400);
    text[0] = '"';
    text[399] = '"';
    assert_int_equal(field_parse(&json, (struct str){text, 400}, &err), 0);
}

static int done(void **state)
{
    (void)state;
    json_decref(json);
    field_report_done(&report);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_warned),
        cmocka_unit_test(test_warnings_bounded),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_values),

        cmocka_unit_test(test_unknown_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, done);
}

/* Lines of the log, plain and as JSON: what came from outside makes no second line, and breaks
 * no JSON. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int kept, ends[2];
static char said[2 * LOG_LINE_MAX];

static int setup(void **state)
{
    (void)state;
    kept = dup(STDERR_FILENO);
    log_set_level(LOG_INFO);
    return pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0;
}

static int teardown(void **state)
{
    (void)state;
    log_set_json(0);
    (void)dup2(kept, STDERR_FILENO);
    (void)close(kept);
    (void)close(ends[0]);
    return close(ends[1]);
}

/* What was written since the last time: one line. */
static const char *line(void)
{
    ssize_t n = read(ends[0], said, sizeof(said) - 1);

    assert_true(n > 0);
    said[n] = '\0';
    assert_ptr_equal(strchr(said, '\n'), said + n - 1);
    return said;
}

static void assert_member(const char *name, const char *want)
{
    json_error_t why;
    json_t *o = json_loads(line(), 0, &why);

    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, name)), want);
    json_decref(o);
}

static void test_plain(void **state)
{
    static const struct log_field f[] = {{"model", LOG_TEXT, "m", 0}};
    char big[3000];

    (void)state;
    log_line(LOG_WARN, "a %d", 1);
    assert_string_equal(line(), "warning: a 1\n");
    log_line(LOG_DEBUG, "dropped");
    log_line(LOG_ERROR, "a\n\x1b[31mb");
    assert_string_equal(line(), "error: a  [31mb\n");
    log_fields(LOG_INFO, f, 1, "words");
    assert_string_equal(line(), "words\n");
    memset(big, 'x', sizeof(big));
    big[sizeof(big) - 1] = '\0';
    log_line(LOG_INFO, "%s", big);
    assert_int_equal(strlen(line()), 1023);
    log_set_level(LOG_ERROR);
    log_say("at any level");
    assert_string_equal(line(), "at any level\n");
}

static void test_json(void **state)
{
    const struct log_field f[] = {{"model", LOG_TEXT, "a\"\\\n\xff", 0},
                                  {"none", LOG_TEXT, NULL, 0},
                                  {"status", LOG_NUMBER, NULL, 200},
                                  {"ms", LOG_NUMBER, NULL, 1.5},
                                  {"whole", LOG_FLAG, NULL, 1}};
    int y, mo, d, h, mi, s, ms, at = 0;
    char *end;

    (void)state;
    log_set_json(1);
    log_fields(LOG_INFO, f, 5, "GET %s", "\xc3\xa9\x01");
    assert_int_equal(sscanf(line(), "{\"time\":\"%4d-%2d-%2dT%2d:%2d:%2d.%3dZ\",%n", &y, &mo,
                            &d, &h, &mi, &s, &ms, &at),
                     7);
    assert_true(y > 2024 && at > 0);
    end = said + at;
    assert_string_equal(end,
                        "\"level\":\"info\",\"model\":\"a\\u0022\\u005c\\u000a\xef\xbf\xbd\","
                        "\"status\":200,\"ms\":1.5,\"whole\":true,"
                        "\"message\":\"GET \xc3\xa9\\u0001\"}\n");
    log_line(LOG_WARN, "w");
    assert_member("level", "warn");
    log_say("s");
    assert_member("message", "s");
}

/* Cut, wherever that is: still one line of JSON. */
static void test_json_long(void **state)
{
    char words[2000], name[LOG_LINE_MAX + 100];
    struct log_field f = {"model", LOG_TEXT, name, 0};

    (void)state;
    log_set_json(1);
    for (size_t n = 0; n < sizeof(name); n += 17) {
        json_t *o;

        memset(name, n % 2 ? '\n' : 'x', n);
        name[n] = '\0';
        memset(words, '"', sizeof(words));
        words[sizeof(words) - 1] = '\0';
        log_fields(LOG_ERROR, &f, 1, "%s", words);
        o = json_loads(line(), 0, NULL);
        assert_non_null(o);
        json_decref(o);
    }
}

static void test_format(void **state)
{
    char text[LOG_LINE_MAX];

    (void)state;
    assert_int_equal(log_format(text, LOG_WARN, "cut"), 13);
    assert_memory_equal(text, "warning: cut\n", 13);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_format, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

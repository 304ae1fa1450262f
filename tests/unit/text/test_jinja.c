/* Every statement, filter, test and method of Jinja, as Jinja2 answers
 * (tests/data/jinja_cases.py); limits; and the marks that strings keep. */
#include "text/tmpl/tmpl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct tm fixed_now(void)
{
    struct tm tm = {
        .tm_year = 126, .tm_mon = 2, .tm_mday = 14, .tm_hour = 9, .tm_min = 26, .tm_sec = 53};

    (void)timegm(&tm);
    return tm;
}

/* Compiles and renders; out is filled on success. */
static int render(const char *source, const json_t *vars, const struct tmpl_limits *limits,
                  struct marked *out, struct err *e)
{
    struct tm now = fixed_now();
    struct tmpl *t;
    int rc = tmpl_new(&t, TMPL_JINJA, str_of(source), e);

    if (rc < 0)
        return rc;
    rc = tmpl_render(t, vars, &now, limits, out, e);
    tmpl_free(t);
    return rc;
}

static void test_cases(void **state)
{
    const struct tmpl_limits strict = {.strict = 1};
    json_error_t je;
    json_t *all = json_load_file("tests/data/jinja_cases.json", JSON_ALLOW_NUL, &je), *c;
    const json_t *vars;
    size_t i;
    int bad = 0;

    (void)state;
    assert_non_null(all);
    vars = json_object_get(all, "vars");
    assert_true(json_array_size(json_object_get(all, "cases")) > 300);
    json_array_foreach(json_object_get(all, "cases"), i, c)
    {
        const char *source = json_string_value(json_object_get(c, "template"));
        const json_t *text = json_object_get(c, "text");
        struct marked out;
        struct err e = {0};
        int rc;

        marked_init(&out, 1 << 20);
        rc = render(source, vars, &strict, &out, &e);
        if (text ? rc < 0 || out.text.n != json_string_length(text) ||
                       (out.text.n &&
                        memcmp(out.text.p, json_string_value(text), out.text.n) != 0)
                 : rc == 0) {
            print_message("%s\n  gives %d \"%s\" (%s)\n  not   \"%s\" (%s)\n", source, rc,
                          rc < 0       ? ""
                          : out.text.p ? out.text.p
                                       : "",
                          rc < 0 ? e.msg : "", text ? json_string_value(text) : "",
                          text ? "" : json_string_value(json_object_get(c, "error")));
            bad++;
        }
        marked_done(&out);
    }
    json_decref(all);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The chat templates of ../shared/templates, each with every conversation of cases.json: byte
 * for byte what NAME.expected.json has, or an error where that has one. */
#include "text/tmpl/tmpl.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DIR_NAME "../shared/templates"

static int failures, renders;

static void fail_case(const char *name, const char *which, const char *what, const char *more)
{
    print_message("%s, %s: %s %s\n", name, which, what, more);
    failures++;
}

static json_t *load(const char *name, const char *end)
{
    char path[1024];
    json_error_t je;
    json_t *j;

    (void)snprintf(path, sizeof(path), DIR_NAME "/%s%s", name, end);
    j = json_load_file(path, JSON_ALLOW_NUL, &je);
    if (!j)
        fail_case(name, end, "cannot be read:", je.text);
    return j;
}

static struct tmpl *compile(const char *name)
{
    char path[1024];
    struct tmpl *t = NULL;
    struct err e = {0};
    struct buf text;
    char part[4096];
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof(path), DIR_NAME "/%s.jinja", name);
    buf_init(&text, 1 << 24);
    f = fopen(path, "rb");
    assert_non_null(f);
    while ((n = fread(part, 1, sizeof(part), f)) > 0)
        assert_int_equal(buf_put(&text, part, n), 0);
    (void)fclose(f);
    if (tmpl_new(&t, TMPL_JINJA, (struct str){text.p, text.n}, &e) < 0)
        fail_case(name, "compiling", e.msg, "");
    buf_done(&text);
    return t;
}

static void check_case(const char *name, const struct tmpl *t, const char *which, json_t *vars,
                       const json_t *want)
{
    static const struct tm at = {.tm_year = 126,
                                 .tm_mon = 2,
                                 .tm_mday = 14,
                                 .tm_hour = 9,
                                 .tm_min = 26,
                                 .tm_sec = 53,
                                 .tm_wday = 6,
                                 .tm_yday = 72};
    const struct tmpl_limits strict = {.strict = 1};
    const json_t *text = json_object_get(want, "text");
    struct err e = {0};
    struct marked out;
    int rc;

    assert_int_equal(json_object_set_new(vars, "bos_token", json_string("<s>")), 0);
    assert_int_equal(json_object_set_new(vars, "eos_token", json_string("</s>")), 0);
    marked_init(&out, 1 << 24);
    rc = tmpl_render(t, vars, &at, &strict, &out, &e);
    renders++;
    if (text && rc < 0)
        fail_case(name, which, "fails:", e.msg);
    else if (!text && rc == 0)
        fail_case(name, which,
                  "does not fail:", json_string_value(json_object_get(want, "error")));
    else if (text && (out.text.n != json_string_length(text) ||
                      memcmp(out.text.p, json_string_value(text), out.text.n) != 0))
        fail_case(name, which, "differs:", out.text.p);
    for (size_t i = 0; rc == 0 && i < out.n; i++) /* well-formed marks */
        assert_true(out.mark[i].end > (i ? out.mark[i - 1].end : 0) &&
                    (i == 0 || out.mark[i].user != out.mark[i - 1].user));
    assert_true(rc < 0 || (out.n ? out.mark[out.n - 1].end : 0) == out.text.n);
    marked_done(&out);
}

static void check_template(const char *name, json_t *cases)
{
    json_t *want = load(name, ".expected.json"), *vars;
    struct tmpl *t = compile(name);
    const char *which;

    if (want && t) {
        json_object_foreach(cases, which, vars)
        {
            check_case(name, t, which, vars, json_object_get(want, which));
        }
    }
    tmpl_free(t);
    json_decref(want);
}

static void test_all(void **state)
{
    json_t *all;
    struct dirent *entry;
    DIR *dir = opendir(DIR_NAME);

    (void)state;
    if (!dir) {
        print_message("SKIP: " DIR_NAME " is missing\n");
        skip();
    }
    all = load("cases", ".json");
    assert_non_null(all);
    while ((entry = readdir(dir))) {
        char *end = strstr(entry->d_name, ".jinja");

        if (!end || strcmp(end, ".jinja") != 0)
            continue;
        *end = '\0';
        check_template(entry->d_name, json_object_get(all, "cases"));
    }
    (void)closedir(dir);
    json_decref(all);
    print_message("%d renders, %d wrong\n", renders, failures);
    assert_true(renders > 0);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

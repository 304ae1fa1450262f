/* What the cases of test_go_cases.c cannot say: who wrote what, limits, where an error is,
 * days, and where we do better than Ollama. */
#include "text/tmpl/go_tree.h"
#include "text/tmpl/tmpl.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

static json_t *parse(const char *json)
{
    json_error_t je;
    json_t *j = json_loads(json, 0, &je);

    if (!j)
        fail_msg("%s: %s", json, je.text);
    return j;
}

static int render(const char *text, const char *json, const struct tm *now,
                  const struct tmpl_limits *limits, struct marked *out, struct err *e)
{
    json_t *vars = parse(json);
    struct tmpl *t = NULL;
    int rc = tmpl_new(&t, TMPL_GO, str_of(text), e);

    if (rc == 0)
        rc = tmpl_render(t, vars, now, limits, out, e);
    tmpl_free(t);
    json_decref(vars);
    return rc;
}

/* The text, with what a user wrote between « and ». */
static void expect(const char *text, const char *json, const char *want)
{
    struct marked out;
    struct err e = {0};
    struct buf got;
    size_t from = 0;

    marked_init(&out, 1 << 20);
    buf_init(&got, 1 << 20);
    if (render(text, json, NULL, NULL, &out, &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    for (size_t i = 0; i < out.n; i++) {
        int n = (int)(out.mark[i].end - from);

        assert_int_equal(
            buf_fmt(&got, out.mark[i].user ? "«%.*s»" : "%.*s", n, out.text.p + from), 0);
        from = out.mark[i].end;
    }
    assert_string_equal(got.p ? got.p : "", want);
    buf_done(&got);
    marked_done(&out);
}

static void expect_error(const char *text, const char *json, const struct tmpl_limits *limits,
                         int code, const char *words)
{
    struct marked out;
    struct err e = {0};
    int rc;

    marked_init(&out, (size_t)1 << 40);
    rc = render(text, json, NULL, limits, &out, &e);
    if (rc != code || !strstr(e.msg, words))
        fail_msg("%s: %d \"%s\", not %d \"%s\"", text, rc, e.msg, code, words);
    marked_done(&out);
}

#define ONE "{\"messages\": [{\"role\": \"user\", \"content\": \"a<b\"}]}"
#define CALL                                                                                   \
    "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"7\", "              \
    "\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"x\\\": [1, \\\"y\\\"]}\"}}]}]}"
#define TOOL                                                                                   \
    "{\"messages\": [], \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", " \
    "\"parameters\": {\"type\": \"object\", \"properties\": {\"p\": {\"type\": "               \
    "\"string\"}}}}}]}"

static void test_marks(void **state)
{
    (void)state;
    expect("<s>{{ range .Messages }}{{ .Role }}: {{ .Content }}{{ end }}</s>", ONE,
           "<s>«user»: «a<b»</s>");
    expect("{{ range .Messages }}{{ printf \"<%s|%4s>\" .Content \"x\" }}{{ end }}", ONE,
           "<«a<b»|   x>");
    expect("{{ range .Messages }}{{ print \"<\" .Content 1 \">\" }}{{ end }}", ONE, "<«a<b»1>");
    expect("{{ range .Messages }}{{ slice (print \"12\" .Content) 1 4 }}{{ end }}", ONE,
           "2«a<»");
    expect("{{ range .Messages }}{{ json .Content }}{{ html .Content }}{{ end }}", ONE,
           "\"«a\\u003cb»\"«a&lt;b»");
    expect("{{ range .Messages }}{{ printf \"%q\" .Content }}{{ end }}", ONE, "\"«a<b»\"");
    expect("{{ $x := \"\" }}{{ range .Messages }}{{ $x = print $x .Content \"|\" }}{{ end }}"
           "{{ $x }}",
           ONE, "«a<b»|");
    expect(
        "{{ range .Messages }}{{ range .ToolCalls }}{{ .ID }}{{ .Function.Arguments }}"
        "{{ range $k, $v := .Function.Arguments }}{{ $k }}{{ $v }}{{ end }}{{ end }}{{ end }}",
        CALL, "«7»{\"«x»\":[1,\"«y»\"]}«x»[1 «y»]");
    expect("{{ .Tools }}{{ .Messages }}", TOOL,
           "[{\"type\":\"«function»\",\"function\":{\"name\":\"«f»\",\"description\":\"\","
           "\"parameters\":{\"type\":\"«object»\",\"properties\":{\"«p»\":{\"type\":\"«string»"
           "\"}}}}}][]");
    /* Neighbours of one role are joined by us, and an image's tag is ours. */
    expect("{{ range .Messages }}{{ .Content }}{{ end }}",
           "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": "
           "\"[img-9]\"}, {\"type\": \"image_url\", \"image_url\": {\"url\": \"u\"}}]}]}",
           "«[img-9]»\n\n[img-0]");
    expect("{{ range .Messages }}{{ .Content }}{{ len .Images }}{{ end }}",
           "{\"messages\": [{\"role\": \"user\", \"content\": \"x\", \"images\": [\"AA\"]}]}",
           "[img-0]«x»1");
    expect("{{ if .System }}<{{ .System }}>{{ end }}({{ .Prompt }}){{ .Response }}.",
           "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", "
           "\"content\": \"u\"}, {\"role\": \"assistant\", \"content\": \"a\"}]}",
           "<«s»>(«u»)«a»");
    expect("{{ .ThinkLevel }}", "{\"messages\": [], \"enable_thinking\": true}", "medium");
}

static void test_better(void **state)
{
    (void)state;
    /* A tool's function prints as JSON, as templates of the library want it. */
    expect(
        "{{ range .Tools }}{{ .Function }}{{ .Function.Parameters }}{{ end }}{{ .Messages }}",
        TOOL,
        "{\"name\":\"«f»\",\"description\":\"\",\"parameters\":{\"type\":\"«object»\","
        "\"properties\":{\"«p»\":{\"type\":\"«string»\"}}}}{\"type\":\"«object»\","
        "\"properties\":{\"«p»\":{\"type\":\"«string»\"}}}[]");
    /* The last turn ends at $.Response, too, in a branch with an else part, and knows the
     * templates and functions that others know. */
    expect("({{ .Prompt }}){{ $.Response }}.", ONE, "(«a<b»)");
    expect("({{ .Prompt }}){{ if .Prompt }}{{ .Response }}.{{ else }}!{{ end }}?", ONE,
           "(«a<b»)");
    expect("{{ define \"p\" }}<{{ json . }}>{{ end }}{{ template \"p\" .Prompt }}"
           "{{ .Response }}.",
           ONE, "<\"«a\\u003cb»\">");
    /* What a template defines is not rendered on the way. */
    expect("{{ define \"p\" }}{{ .Response }}{{ end }}{{ .Prompt }}{{ template \"p\" . }}.",
           ONE, "«a<b».");
}

static void test_shapes(void **state)
{
    static const struct tmpl_limits shallow = {.depth = 20};
    const char *all = "{{ range .Messages }}{{ .Role }}{{ .Content }}{{ end }}";
    struct buf deep;

    (void)state;
    expect_error(all, "{\"messages\": {}}", NULL, E_INVALID, "messages is not a list");
    expect_error(all, "{\"messages\": [1]}", NULL, E_INVALID, "messages[0] is not an object");
    expect_error(all, "{\"messages\": [{\"role\": \"user\", \"content\": 5}]}", NULL, E_INVALID,
                 "messages[0]: the content is neither");
    expect_error(all, "{\"messages\": [{\"role\": \"user\", \"content\": [{}]}]}", NULL,
                 E_INVALID, "has no type");
    expect_error(all,
                 "{\"messages\": [{\"role\": \"x\"}, {\"role\": \"y\", \"tool_calls\": "
                 "[{\"function\": {\"name\": \"f\", \"arguments\": \"{x\"}}]}]}",
                 NULL, E_INVALID, "messages[1]: the arguments of a tool call: no JSON");
    expect_error(all,
                 "{\"messages\": [{\"role\": \"y\", \"tool_calls\": [{\"function\": "
                 "{\"arguments\": [1]}}]}]}",
                 NULL, E_INVALID, "not an object");
    expect_error(all, "{\"messages\": [], \"tools\": 3}", NULL, E_INVALID,
                 "tools is not a list");
    expect(all, "{}", "");
    expect(all, "[]", "");
    expect(
        "{{ range .Messages }}{{ .Role }}|{{ .ToolName }}|{{ .ToolCallID }};{{ end }}",
        "{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"i\", "
        "\"function\": {\"name\": \"f\"}}]}, {\"role\": \"TOOL\", \"tool_call_id\": \"i\"}]}",
        "«assistant»||;«tool»|«f»|«i»;");
    buf_init(&deep, 1 << 20);
    for (int i = 0; i < 30; i++)
        assert_int_equal(buf_str(&deep, "{\"anyOf\": ["), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(buf_str(&deep, i ? "]}" : "{}]}"), 0);
    {
        char vars[2048];

        (void)snprintf(vars, sizeof(vars),
                       "{\"messages\": [], \"tools\": [{\"function\": {\"parameters\": "
                       "{\"properties\": {\"p\": %s}}}}]}",
                       deep.p);
        expect_error(all, vars, &shallow, E_TOO_LONG, "more than 20 deep");
    }
    buf_done(&deep);
}

static void test_limits(void **state)
{
    static const struct tmpl_limits few = {.steps = 100000, .bytes = 1 << 20, .depth = 50};
    const char *grow = "{{ $x := \"0123456789\" }}{{ range 1000000 }}{{ $x = print $x $x }}"
                       "{{ end }}{{ .Messages }}";

    (void)state;
    expect_error("{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}", ONE,
                 NULL, E_TOO_LONG, "200 deep");
    expect_error("{{ define \"a\" }}x{{ template \"a\" . }}{{ template \"a\" . }}{{ end }}"
                 "{{ template \"a\" . }}",
                 ONE, &few, E_TOO_LONG, "50 deep");
    expect_error("{{ range 9000000000000000000 }}{{ end }}", ONE, NULL, E_TOO_LONG, "steps");
    expect_error("{{ range 9000000000000000000 }}{{ range 0 }}{{ else }}{{ end }}{{ end }}",
                 ONE, &few, E_TOO_LONG, "steps");
    expect_error("{{ range 1000000 }}0123456789012345678901234567890123456789{{ end }}", ONE,
                 &(struct tmpl_limits){.bytes = 1 << 16}, E_TOO_LONG, "65536 bytes");
    expect_error(grow, ONE, &few, E_TOO_LONG, "");
    expect_error("{{ range 1000000 }}{{ printf \"%1000000d\" 1 }}{{ end }}", ONE, &few,
                 E_TOO_LONG, "");
    expect_error("{{ range 100000 }}{{ json $.Messages }}{{ end }}", ONE, &few, E_TOO_LONG, "");
    expect_error("{{ range 1000000 }}{{ $x := 1 }}{{ if $x }}{{ end }}{{ end }}", ONE, &few,
                 E_TOO_LONG, "");
}

/* n times what, in a template of its own; # stands for its number. */
static int compile_many(const char *before, const char *what, const char *after, size_t n,
                        struct err *e)
{
    struct tmpl *t = NULL;
    struct buf b;
    int rc;

    buf_init(&b, (size_t)1 << 30);
    assert_int_equal(buf_str(&b, before), 0);
    for (size_t i = 0; i < n; i++)
        for (const char *c = what; *c; c++)
            assert_int_equal(*c == '#' ? buf_fmt(&b, "%zu", i) : buf_byte(&b, *c), 0);
    assert_int_equal(buf_str(&b, after), 0);
    rc = tmpl_new(&t, TMPL_GO, (struct str){b.p, b.n}, e);
    tmpl_free(t);
    buf_done(&b);
    return rc;
}

static void test_sizes(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(compile_many("{{ ", "(", "", 100000, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "nested deeper than 400"));
    assert_int_equal(compile_many("", "{{ if 1 }}", "", 50000, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "nested deeper than 400"));
    assert_int_equal(compile_many("", "{{ $x# := 1 }}", "", 2000, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "1000 variables"));
    assert_int_equal(compile_many("", "{{ define \"x#\" }}y{{ end }}", "", 2000, &e),
                     E_TOO_LONG);
    assert_non_null(strstr(e.msg, "1000 definitions"));
    assert_int_equal(compile_many("", "0123456789", "", 200000, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "2000000 bytes"));
    /* A chain of else-ifs is not deep. */
    assert_int_equal(compile_many("{{ if 0 }}", "{{ else if 0 }}#", "{{ end }}", 20000, &e), 0);
    assert_int_equal(compile_many("{{ .A", ".A", " }}", 200000, &e), E_TOO_LONG);
}

static void test_places(void **state)
{
    (void)state;
    expect_error("a\nb {{ nofunc }}", ONE, NULL, E_INVALID,
                 "line 2, column 6: function \"nofunc\" not defined");
    expect_error("a\n\n  {{ if .X }}", ONE, NULL, E_INVALID,
                 "line 3, column 14: unexpected end");
    expect_error(
        "x\n{{ range .Messages }}\n{{ .Name }}{{ end }}", ONE, NULL, E_INVALID,
        "line 3, column 4: can't evaluate field Name in type *template.templateMessage");
    expect_error("x\n{{ len 3 }}", ONE, NULL, E_INVALID,
                 "line 2, column 4: len: len of type int");
    expect_error("{{ define \"a\" }}\n\n{{ .x.y }}{{ end }}\n{{ template \"a\" . }}", ONE, NULL,
                 E_INVALID, "line 3, column 4: nil pointer");
    expect_error("{{ currentDate 3 }}", ONE, NULL, E_INVALID, "expected string; got int");
    expect_error("{{ 1i }}", ONE, NULL, E_INVALID, "illegal number");
}

static void expect_day(const char *text, int year, int month, int day, const char *want)
{
    const struct tm now = {.tm_year = year - 1900,
                           .tm_mon = month - 1,
                           .tm_mday = day,
                           .tm_hour = 23,
                           .tm_min = 59,
                           .tm_isdst = 1};
    struct marked out;

    marked_init(&out, 1 << 10);
    assert_int_equal(render(text, "{\"messages\": []}", &now, NULL, &out, NULL), 0);
    assert_string_equal(out.text.p, want);
    marked_done(&out);
}

static void test_days(void **state)
{
    (void)state;
    expect_day("{{ currentDate }}", 2025, 3, 9, "2025-03-09");
    expect_day("{{ currentDate \"2006\" \"x\" }}", 2025, 12, 31, "2025-12-31");
    expect_day("{{ yesterdayDate }}", 2024, 3, 1, "2024-02-29");
    expect_day("{{ yesterdayDate }}", 2025, 1, 1, "2024-12-31");
}

static int says(const char *text, const char *name)
{
    struct tmpl *t = NULL;
    int is;

    assert_int_equal(tmpl_new(&t, TMPL_GO, str_of(text), NULL), 0);
    is = tmpl_mentions(t, name);
    tmpl_free(t);
    return is;
}

static void test_mentions(void **state)
{
    (void)state;
    assert_true(says("{{ .Messages }}", "Messages"));
    assert_true(says("{{ range $.Messages }}{{ end }}", "Messages"));
    assert_true(says("{{ if and .A (or .B .C.Tools) }}{{ end }}", "Tools"));
    assert_true(
        says("{{ if .A }}{{ else if .B }}{{ else }}{{ with .Q }}{{ end }}{{ end }}", "Q"));
    assert_true(says("{{ if .A }}{{ else if .B }}{{ else }}x{{ .R }}{{ end }}", "R"));
    assert_true(says("{{ define \"x\" }}{{ (index .A 0).Suffix }}{{ end }}", "Suffix"));
    assert_true(says("{{ template \"x\" .Z }}", "Z"));
    assert_true(says("{{ .Prompt }}", "Response")); /* which is put behind it */
    assert_false(says("{{ .Messages }}", "Response"));
    assert_false(says("Messages {{ \"Messages\" }}{{/* .Messages */}}", "Messages"));
    assert_false(says("{{ .Messages }}", "messages"));
    /* What a request calls otherwise. */
    assert_true(says("{{ if .Think }}{{ end }}", "enable_thinking"));
    assert_true(says("{{ if and $.IsThinkSet .A }}{{ end }}", "enable_thinking"));
    assert_true(says("{{ .ThinkLevel }}", "reasoning_effort"));
    assert_false(says("{{ .Thinking }}", "enable_thinking"));
}

/* Every allocation may fail, and nothing is lost. */
static void test_no_memory(void **state)
{
    const char *text = "{{ define \"a\" }}{{ json . }}{{ end }}{{ range $i, $m := .Messages }}"
                       "{{ template \"a\" $m.ToolCalls }}{{ printf \"%5s\" .Role }}{{ end }}";
    uint64_t nth = 1;
    int rc = E_NOMEM;

    (void)state;
    for (; rc == E_NOMEM && nth < 1000; nth++) {
        struct marked out;
        struct err e = {0};

        marked_init(&out, 1 << 20);
        mem_fail_at(nth, 1);
        rc = render(text, CALL, NULL, NULL, &out, &e);
        mem_fail_at(0, 0);
        marked_done(&out);
    }
    assert_int_equal(rc, 0);
    assert_true(nth > 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_marks),     cmocka_unit_test(test_better),
        cmocka_unit_test(test_shapes),    cmocka_unit_test(test_limits),
        cmocka_unit_test(test_sizes),     cmocka_unit_test(test_places),
        cmocka_unit_test(test_days),      cmocka_unit_test(test_mentions),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Every statement, filter, test and method of Jinja, as Jinja2 answers
 * (tests/data/jinja_cases.py); limits; and the marks that strings keep. */
#include "text/tmpl/tmpl.h"

#include "base/mem.h"

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

/* -- marks ---------------------------------------------------------------------------- */

/* Renders with {"messages": [{"role": "user", "content": content}], "bos": "<b>"} and writes
 * the text with the user's bytes in [ ]. */
static void expect_marks(const char *source, const char *content, const char *want)
{
    json_t *vars = json_pack("{s:[{s:s, s:s, s:{s:s}}], s:s}", "messages", "role", "user",
                             "content", content, "args", "k\"y", content, "bos", "<b>");
    struct marked out;
    struct err e = {0};
    struct buf got;
    size_t from = 0;

    assert_non_null(vars);
    marked_init(&out, 1 << 20);
    buf_init(&got, 1 << 20);
    if (render(source, vars, NULL, &out, &e) < 0)
        fail_msg("%s: %s", source, e.msg);
    for (size_t i = 0; i < out.n; i++) {
        assert_int_equal(buf_fmt(&got, out.mark[i].user ? "[%.*s]" : "%.*s",
                                 (int)(out.mark[i].end - from), out.text.p + from),
                         0);
        from = out.mark[i].end;
    }
    assert_int_equal(from, out.text.n);
    assert_string_equal(got.n ? got.p : "", want);
    buf_done(&got);
    marked_done(&out);
    json_decref(vars);
}

static void test_marks(void **state)
{
    static const struct {
        const char *source, *content, *want;
    } cases[] = {
        {"<s>{{ messages[0].content }}</s>", "hi", "<s>[hi]</s>"},
        {"{{ bos }}{{ messages[0]['role'] }}", "x", "<b>[user]"},
        {"{% set m = messages[0] %}{{ 'a' + m.content + 'b' ~ m.content }}", "x", "a[x]b[x]"},
        {"{{ messages[0].content | trim }}.", " \n x y \t", "[x y]."},
        {"{{ ('<' ~ messages[0].content ~ '>').strip('<>') }}", "a", "[a]"},
        {"{{ ('ab' ~ messages[0].content ~ 'cd')[1:-1] }}", "xy", "b[xy]c"},
        {"{{ ('ab' ~ messages[0].content)[::-1] }}", "xy", "[yx]ba"},
        {"{{ ('ab' ~ messages[0].content)[::2] }}{{ ('a' ~ messages[0].content)[1] }}", "xy",
         "a[xx]"},
        {"{{ messages[0].content.split('|')[1] }}-{{ messages[0].content.split() | join('-') "
         "}}",
         "a |b", "[b]-[a]-[|b]"},
        {"{{ messages[0].content.replace('a', '<t>') }}", "bab", "[b]<t>[b]"},
        {"{{ '<t>x<t>'.replace('x', messages[0].content) }}", "q", "<t>[q]<t>"},
        {"{{ messages[0].content | upper }}{{ messages[0].content | title }}!", "ab c",
         "[AB CAb C]!"},
        {"{{ ('x' ~ messages[0].content) | capitalize }}", "YZ", "X[yz]"},
        {"{{ messages[0].content | tojson }}", "a\"\n<", "\"[a\\\"\\n<]\""},
        {"{{ messages[0].args | tojson }}", "v", "{\"[k\\\"y]\": \"[v]\"}"},
        {"{{ messages[0].args | tojson(indent=1) }}", "v", "{\n \"[k\\\"y]\": \"[v]\"\n}"},
        {"{{ messages[0].args | string }}", "v'", "{'[k\"y]': \"[v']\"}"},
        {"{{ messages[0].content | indent(2, true) }}", "a\nb", "  [a]\n  [b]"},
        {"{{ messages | map(attribute='content') | join(', ') }}", "c", "[c]"},
        {"{{ '%s=%5s' % ('k', messages[0].content) }}", "v", "k=    [v]"},
        {"{{ '{}:{:>3}'.format('k', messages[0].content) }}", "v", "k:  [v]"},
        {"{% for c in messages[0].content %}{{ c }}.{% endfor %}", "ab", "[a].[b]."},
        {"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(messages[0].content) | upper }}", "a",
         "<[A]>"},
        {"{% set x %}<{{ messages[0].content }}>{% endset %}{{ x }}{{ x[1:] }}", "a",
         "<[a]>[a]>"},
        {"{% set ns = namespace(t='') %}{% for i in range(3) %}{% set ns.t = ns.t ~ '<' ~ "
         "messages[0].content %}{% endfor %}{{ ns.t }}",
         "a", "<[a]<[a]<[a]"},
        {"{{ (messages[0].content | from_json).k }}", "{\"k\": \"v\"}", "[v]"},
        {"{{ ('{\"k\": \"v\"}' | from_json).k }}", "", "v"},
        {"{{ messages[0].content | e }}{{ messages[0].content | urlencode }}", "<",
         "[&lt;%3C]"},
        {"{{ 'x' if messages[0].content == 'a' else 'y' }}", "a", "x"},
        {"{% if messages[0].content.startswith('/') %}{{ messages[0].content[1:] }}{% endif %}",
         "/no", "[no]"},
        {"{{ messages[0].content.removeprefix('a').removesuffix('c').center(5, '-') }}", "abc",
         "--[b]--"},
        {"{{ ('<a>' ~ messages[0].content) | truncate(4, true, '..', 0) }}", "bcdef", "<a.."},
        {"{{ messages[0].content | wordwrap(3) }}", "ab cd", "[ab]\n[cd]"},
        {"{{ messages[0].content | list | last }}{{ messages[0].content | first }}", "ab",
         "[ba]"},
        {"{{ messages[0].content }}", "", ""},
        {"{{ messages[0].content * 2 }}{{ 'ab' * 2 }}", "x", "[xx]abab"},
        {"{{ messages[0].content.partition(':') | join('+') }}", "a:b", "[a]+[:]+[b]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_marks(cases[i].source, cases[i].content, cases[i].want);
}

/* -- limits --------------------------------------------------------------------------- */

static void expect_error(const char *source, const struct tmpl_limits *limits, int code,
                         const char *words)
{
    json_t *vars = json_pack("{s:[{s:s}]}", "messages", "content", "some text of a user");
    struct marked out;
    struct err e = {0};
    int rc;

    marked_init(&out, 1 << 28);
    rc = render(source, vars, limits, &out, &e);
    if (rc != code || !strstr(e.msg, words))
        fail_msg("%.100s: %d \"%s\", not %d \"%s\"", source, rc, e.msg, code, words);
    marked_done(&out);
    json_decref(vars);
}

static void test_limits(void **state)
{
    static const char *const long_ones[] = {
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ 'a' * 10**9 }}",
        "{{ [1] * 10**9 }}",
        "{{ range(10**18) | list }}",
        "{{ 'x'.center(10**12) }}",
        "{{ 'x'.ljust(10**9) | length }}",
        "{{ '%0999999999d' % 1 }}",
        "{{ '1'.zfill(10**10) }}",
        "{{ 'a\t'.expandtabs(10**10) }}",
        "{% set ns = namespace(s='ab') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}"
        "{% endfor %}",
        "{% set l = [] %}{% for i in l %}{% endfor %}{% set _ = l.append(l) %}{{ l }}",
        "{% set l = [1] %}{% for i in l %}{% set _ = l.append(i) %}{% endfor %}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l | tojson }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{% set k = [] %}{% set _ = k.append(k) %}{{ "
        "l == k }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(f) %}{{ f(f) }}{% endmacro %}{{ m(m) }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% set s = 'ab' * 99999 %}{% for a in range(999999) %}{{ 'c' in s }}{% endfor %}",
        "{% set s = 'a' * 999999 %}{{ s.replace('', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa' * "
        "99) }}",
        "{% set s = 'a' * 9999999 %}{{ s.rfind('a' * 4999999 + 'b') }}",
        "{{ [1, 2] | batch(10**9, 0) | list }}",
        "{{ [1, 2] | slice(10**9) | list }}",
        "{{ {'a': 1} | tojson(indent=10**9) }}",
        "{{ 'a' | indent(10**9) }}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(long_ones) / sizeof(long_ones[0]); i++)
        expect_error(long_ones[i], NULL, E_TOO_LONG, "line 1");
    expect_error("{% for i in range(49) %}{% endfor %}", &(struct tmpl_limits){.steps = 50},
                 E_TOO_LONG, "50 steps");
    expect_error("{{ 'abc' * 1000 }}", &(struct tmpl_limits){.bytes = 2000}, E_TOO_LONG,
                 "2000 bytes");
    expect_error("{% macro m(n) %}{% if n %}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(9) }}",
                 &(struct tmpl_limits){.depth = 8}, E_TOO_LONG, "8 deep");
    expect_error("\n\n{{ 9223372036854775807 + 1 }}", NULL, E_INVALID, "line 3");
    /* What is looked at is paid for. */
    for (size_t i = 0; i < 3; i++) {
        static const char *const looks[] = {
            "{% set s = ' ' * 9999 %}{% for a in range(99) %}{{ s.strip() }}{% endfor %}",
            "{% set s = ' ' * 9999 %}{% for a in range(99) %}{% set _ = s | int %}{% endfor %}",
            "{% set s = ' ' * 9999 %}{% for a in range(99) %}{{ s | float }}{% endfor %}"};

        expect_error(looks[i], &(struct tmpl_limits){.steps = 20000}, E_TOO_LONG, "steps");
    }
    /* In time that grows like the text, so that it comes to what is behind. */
    expect_error("{% set _ = ('a' * 999999) | wordwrap(1) %}{{ 2 ** 64 }}", NULL, E_INVALID,
                 "64 bits");
    expect_error("{{ 2 ** 64 }}", NULL, E_INVALID, "64 bits");
    expect_error("{{ 99999999999999999999 }}", NULL, E_INVALID, "too large");
    expect_error("{{ (-9223372036854775807 - 1) // -1 }}", NULL, E_INVALID, "64 bits");
    expect_error("{% include 'x' %}", NULL, E_INVALID, "stands alone");
    expect_error("{{ [1] | random }}", NULL, E_INVALID, "'random' is refused");
    expect_error("a\n{% if x %}\nb", NULL, E_INVALID, "'endif' is missing");
    expect_error("\xff", NULL, E_INVALID, "UTF-8");
}

/* What is nested deep in the source is refused, whatever it is; what is only long is not. */
static void test_nesting(void **state)
{
    static const struct {
        const char *open, *middle, *close;
        int refused;
    } cases[] = {
        {"(", "1", ")", 1},        {"[", "1", "]", 1},           {"{1:", "1", "}", 1},
        {"-", "1", "", 1},         {"not ", "1", "", 1},         {"x[", "1", "]", 1},
        {"f(", "1", ")", 1},       {"1 if 1 else ", "1", "", 1}, {"a|f(", "1", ")", 1},
        {"1 is eq(", "1", ")", 1}, {"1 + ", "1", "", 0},         {"'a' ~ ", "1", "", 0},
        {"1 and ", "1", "", 0},    {"1 < ", "1", "", 0},
    };
    struct buf b;
    struct tmpl *t;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int rc;

        buf_init(&b, 1 << 24);
        rc = buf_str(&b, "{{ ");
        for (int k = 0; k < 5000 && rc == 0; k++)
            rc = buf_str(&b, cases[i].open);
        rc = rc < 0 ? rc : buf_str(&b, cases[i].middle);
        for (int k = 0; k < 5000 && rc == 0; k++)
            rc = buf_str(&b, cases[i].close);
        assert_int_equal(rc < 0 ? rc : buf_str(&b, " }}"), 0);
        rc = tmpl_new(&t, TMPL_JINJA, (struct str){b.p, b.n}, &e);
        assert_int_equal(rc, cases[i].refused ? E_INVALID : 0);
        if (rc < 0)
            assert_non_null(strstr(e.msg, "deep"));
        else
            tmpl_free(t);
        buf_done(&b);
    }
    buf_init(&b, 1 << 24);
    for (int k = 0; k < 5000; k++)
        assert_int_equal(buf_str(&b, "{% if 1 %}"), 0);
    assert_int_equal(tmpl_new(&t, TMPL_JINJA, (struct str){b.p, b.n}, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "deep"));
    buf_done(&b);
}

/* -- other parts of the contract ------------------------------------------------------ */

static void test_mentions(void **state)
{
    struct tmpl *t;

    (void)state;
    assert_int_equal(
        tmpl_new(&t, TMPL_JINJA,
                 str_of("{% if tools is defined %}{{ enable_thinking }}{{ m.docs }}"
                        "{# comment #}{% endif %}{{ 'text' }}raw"),
                 NULL),
        0);
    assert_int_equal(tmpl_mentions(t, "tools"), 1);
    assert_int_equal(tmpl_mentions(t, "enable_thinking"), 1);
    assert_int_equal(tmpl_mentions(t, "m"), 1);
    assert_int_equal(tmpl_mentions(t, "docs"), 0);
    assert_int_equal(tmpl_mentions(t, "comment"), 0);
    assert_int_equal(tmpl_mentions(t, "text"), 0);
    assert_int_equal(tmpl_mentions(t, "raw"), 0);
    assert_int_equal(tmpl_mentions(t, "caller"), 0);
    tmpl_free(t);
}

/* Lists change where the caller does not ask for the reference's strictness. */
static void test_lenient(void **state)
{
    static const struct {
        const char *source, *want;
    } cases[] = {
        {"{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}{{ l.pop() }}{{ l.pop(0) }}{{ l }}",
         "[1, 2]21[]"},
        {"{% set l = [3, 1] %}{{ l.insert(1, 2) }}{{ l.extend([9]) }}{{ l.sort() }}{{ l }}",
         "NoneNoneNone[1, 2, 3, 9]"},
        {"{% set l = [1, 2, 1] %}{{ l.remove(1) }}{{ l.reverse() }}{{ l }}{{ l.clear() }}{{ l "
         "}}",
         "NoneNone[1, 2]None[]"},
        {"{% set d = {'a': 1} %}{{ d.update(b=2) }}{{ d.pop('a') }}{{ d.setdefault('c', 3) "
         "}}{{ d }}{{ d.clear() }}{{ d }}",
         "None13{'b': 2, 'c': 3}None{}"},
        {"{% set d = {} %}{% for i in range(100) %}{% set _ = d.update({i: i}) %}{% endfor "
         "%}{% for i in range(0, 100, 2) %}{% set _ = d.pop(i) %}{% endfor %}{{ d | length "
         "}}{{ d[51] }}{{ d[50] is defined }}{{ d | first }}",
         "5051False1"},
        {"{% do [1].append(2) %}ok", "ok"},
    };
    struct marked out;
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        marked_init(&out, 1 << 20);
        if (render(cases[i].source, NULL, NULL, &out, &e) < 0)
            fail_msg("%s", e.msg);
        assert_string_equal(out.text.p, cases[i].want);
        marked_done(&out);
    }
    expect_error("{{ [].append(1) }}", &(struct tmpl_limits){.strict = 1}, E_INVALID, "unsafe");
    expect_error("{{ (1, 2).append(1) }}", NULL, E_INVALID, "tuple");
}

/* Whatever allocation fails, nothing leaks, and it is said. */
static void test_no_memory(void **state)
{
    json_t *vars = json_pack("{s:[{s:s}]}", "messages", "content", "x");
    uint64_t n = 1;

    (void)state;
    for (;; n++) {
        struct marked out;
        struct err e = {0};
        int rc;

        marked_init(&out, 1 << 20);
        (void)mem_fail_at(n, 0);
        rc = render("{% macro m(a) %}{{ a | upper }}{% endmacro %}{% for c in messages %}{{ "
                    "m(c.content) }}"
                    "{{ 'x' * 100000 }}{% endfor %}",
                    vars, NULL, &out, &e);
        (void)mem_fail_at(0, 0);
        marked_done(&out);
        if (rc == 0)
            break;
        assert_int_equal(rc, E_NOMEM);
    }
    assert_true(n > 5);
    json_decref(vars);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),     cmocka_unit_test(test_marks),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_mentions),  cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

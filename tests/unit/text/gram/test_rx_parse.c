/* Patterns: what they match, and how wrong ones are refused. */
#include "text/gram/rx.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "walk.h"

/* clang-format off */
/* Texts are parted by "~"; they are searched for a match. */
static const struct {
    const char *pattern, *yes, *no;
} cases[] = {
    {"", "~a~abc", NULL},
    {"b", "b~abc~bb", "~a~ac"},
    {"^a", "a~ab~aa", "~ba"},
    {"a$", "a~ba~aa", "~ab~a\n"},
    {"^a$", "a", "~aa~a\n~\na"},
    {"^$", "", "a~\n"},
    {"^", "~a", NULL},
    {"$^", "", "a~ab"},
    {"^a|b$", "a~ax~b~xb~ab", "~xa~bx"},
    {"(^a|b)c", "ac~acx~bc~xbc", "xac~a"},
    {"(?:^|,)x(?:,|$)", "x~a,x~x,b~a,x,b", "ax~xa~a,xa"},
    {"a^b", NULL, "~a~b~ab~a^b"},
    {"a$b", NULL, "~ab~a$b"},
    {"a*^b", "b~bc", "ab~xb"},
    {"b$a*", "b~ab", "ba"},
    {"(a|^)b", "b~bx~ab~xab", "xb~"},
    {"(^a)*b", "b~ab~xb~aab", "~a"},
    {"^(^a)*b$", "b~ab", "aab"},
    {"(^a)+", "a~ab~aa", "ba"},
    {"^(^a){2}", NULL, "a~aa"},
    {"(^){3}a", "a~ab", "ba"},
    {"(^|a){2,3}b$", "b~ab~aab~xaab~xaaab", "xb~xab"},
    {"(a|$){2}", "aa~a~~b~ba", NULL},
    {"^(a|$){2}", "aa~a~~aab", "b~ba~ab"},
    {"^[a-c]+$", "a~abc~cc", "~d~abd"},
    {"^[^a-c]$", "d~\xC3\xA9~\n", "a~~dd"},
    {"^[]$", NULL, "~a~]"},
    {"^[^]$", "a~\n~\xF0\x9F\x98\x80", "~aa"},
    {"^[-a]$", "-~a", "b"},
    {"^[a-]$", "-~a", "b"},
    {"^[\\w-]+$", "a-b_9", "a b~~\xC3\xA9"},
    {"^[\\d\\-.]$", "1~-~.", "a"},
    {"^[\\b]$", "\b", "b"},
    {"^[.*+?(){}|^$/]+$", ".*+?(){}|^$/", "a~["},
    {"^[\\]\\[\\\\]$", "]~[~\\", "a"},
    {"^.$", "a~\xC3\xA9~\xF0\x9F\x98\x80~\t", "~ab~\n~\r~\xE2\x80\xA8~\xE2\x80\xA9"},
    {"^\\d$", "0~9", "a~\xE0\xA7\xAA~\xD9\xA1"},
    {"^\\D$", "a~\xE0\xA7\xAA", "0~9"},
    {"^\\w$", "a~Z~_~5", "\xC3\xA9~-~ "},
    {"^\\W$", "\xC3\xA9~-", "a~_"},
    {"^\\s$", " ~\t~\n~\v~\f~\r~\xC2\xA0~\xEF\xBB\xBF~\xE2\x80\x83~\xE2\x80\xA9~\xE3\x80\x80", "a~\x01~\xE2\x80\x93~\xE1\xA0\x8E~\xC2\x85"},
    {"^\\S$", "a~\x01~\xE2\x80\x93", " ~\n~\xC2\xA0"},
    {"^\\t\\n\\v\\f\\r$", "\t\n\v\f\r", "tnvfr"},
    {"^\\cC\\cc$", "\x03\x03", "cc"},
    {"^\\x41\\u0042\\u{43}\\u{1F600}$", "ABC\xF0\x9F\x98\x80", "ABC"},
    {"^\\uD83D\\uDE00$", "\xF0\x9F\x98\x80", "a"},
    {"^[\\uD83D\\uDE00-\\uD83D\\uDE02]$", "\xF0\x9F\x98\x80~\xF0\x9F\x98\x81", "\xF0\x9F\x98\x83"},
    {"\\uD83D", NULL, "~a~\xF0\x9F\x98\x80"},
    {"a|\\uDE00b", "a", "b"},
    {"^\xF0\x9F\x90\xB2*$", "~\xF0\x9F\x90\xB2~\xF0\x9F\x90\xB2\xF0\x9F\x90\xB2", "\xF0\x9F\x90\x89"},
    {"^\\p{L}+$", "abc~\xC3\xA9\xD7\x90", "1~a1~"},
    {"^\\p{Letter}\\p{Lu}\\p{gc=Nd}\\p{General_Category=Decimal_Number}$", "aA1\xE0\xA7\xAA", "aa11"},
    {"^\\P{L}$", "1~ ", "a~\xC3\xA9"},
    {"^[\\p{L}\\p{Nd}]+$", "a1\xE0\xA7\xAA", " "},
    {"^[^\\p{L}]$", "1", "a"},
    {"^\\p{ASCII}\\p{Any}$", "a\xC3\xA9", "\xC3\xA9\x61"},
    {"^\\p{Lowercase_Letter}$", "a~\xC3\xA9", "A"},
    {"^(?:ab|cd)+$", "ab~cdab", "~a~abc"},
    {"^(?<year>\\d{4})-(\\d\\d)$", "2024-06", "24-06~2024-6"},
    {"^a?b+c*$", "b~abbcc", "~a~ac"},
    {"^a{3}$", "aaa", "aa~aaaa"},
    {"^a{2,}$", "aa~aaaaaa", "a~"},
    {"^a{2,3}$", "aa~aaa", "a~aaaa"},
    {"^a{0}$", "", "a"},
    {"^a*?b+?c??d{1,2}?$", "bd~aabbcdd", "ad"},
    {"^(a{2,3}){2}$", "aaaa~aaaaa~aaaaaa", "aaa~aaaaaaa"},
    {"^(a{2}){0,2}$", "~aa~aaaa", "a~aaa~aaaaaa"},
    {"^(ab{2}){2}$", "abbabb", "abab"},
    {"^(|a|bc)d$", "d~ad~bcd", "bd"},
    {"^(a*)*$", "~aaa", "b"},
    {"^(a|a)*$", "~aaa", "ab"},
    {"^([x]*)*$", "~xx", "y"},
    {"^(a|aa)+$", "a~aaaaaaa", "~aaab"},
    {"^((a?)+)*b$", "b~aab", "aac"},
    {"^(.*a){3}$", "aaa~xaxaxa", "aa~aaab"},
    {"^\\/\\-\\.\\@\\#\\\"\\'$", "/-.@#\"'", "a"},
    {"^a\\0b$", NULL, "ab"},
    {"foo|bar|baz|qux|quux|corge|grault|garply|waldo|fred", "xfoo~garply!~waldo", "fo~plugh"},
    {"^(foo|foobar|foob|f|fo|fool|foolish|bar|ba|b)$", "f~fo~foo~foob~foobar~fool~foolish~b~ba~bar", "foo!~fooba~~c"},
};
/* clang-format on */

/* Checks the texts of a list, parted by "~". */
static void check_list(struct rx *r, rx_id id, const char *pattern, const char *list, int want)
{
    struct err e;

    while (list) {
        size_t n = strcspn(list, "~");
        int got = walk(r, id, (struct str){list, n}, &e);

        if (got < 0)
            fail_msg("/%s/ on \"%.*s\": %s", pattern, (int)n, list, e.msg);
        if (got != want)
            fail_msg("/%s/ should%s match \"%.*s\"", pattern, want ? "" : " not", (int)n, list);
        list = list[n] ? list + n + 1 : NULL;
    }
}

static void test_cases(void **state)
{
    struct rx *r = NULL;
    struct err e;
    rx_id id;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        if (rx_parse(r, str_of(cases[i].pattern), RX_SEARCH, &id, &e) < 0)
            fail_msg("/%s/: %s", cases[i].pattern, e.msg);
        check_list(r, id, cases[i].pattern, cases[i].yes, 1);
        check_list(r, id, cases[i].pattern, cases[i].no, 0);
    }
    rx_free(r);
}

static void test_whole(void **state)
{
    struct rx *r = NULL;
    struct err e;
    rx_id a, b;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    assert_int_equal(rx_parse(r, str_of("^(a|b)c$"), 0, &a, &e), 0);
    assert_int_equal(rx_parse(r, str_of("[ab]c"), 0, &b, &e), 0);
    assert_int_equal(a, b);
    check_list(r, a, "[ab]c", "ac~bc", 1);
    check_list(r, a, "[ab]c", "xac~acx~c~", 0);
    assert_int_equal(rx_parse(r, (struct str){"^a\\0b\0c$", 8}, 0, &a, &e), 0);
    assert_int_equal(walk(r, a, (struct str){"a\0b\0c", 5}, &e), 1);
    rx_free(r);
}

/* clang-format off */
static const struct {
    const char *pattern;
    int code;
    const char *words, *at;
} wrong[] = {
    {"^+a", E_INVALID, "nothing to repeat", "byte 1:"}, {"^{2}x", E_INVALID, "nothing to repeat", "byte 1:"},
    {"$*", E_INVALID, "nothing to repeat", "byte 1:"}, {"*a", E_INVALID, "nothing to repeat", "byte 0:"},
    {"a**", E_INVALID, "nothing to repeat", "byte 2:"}, {"a???", E_INVALID, "nothing to repeat", "byte 3:"},
    {"{1}", E_INVALID, "nothing to repeat", "byte 0:"}, {"a|*", E_INVALID, "nothing to repeat", "byte 2:"},
    {"(?:+a)", E_INVALID, "nothing to repeat", "byte 3:"}, {"a{1}{2}", E_INVALID, "nothing to repeat", "byte 4:"},
    {"(a", E_INVALID, "( without )", "byte 0:"}, {"a(b(c)", E_INVALID, "( without )", "byte 1:"},
    {"a)", E_INVALID, ") without (", "byte 1:"}, {"[z-a]", E_INVALID, "out of order", "byte 1:"},
    {"[a", E_INVALID, "without ]", "byte 0:"}, {"x[", E_INVALID, "without ]", "byte 1:"}, {"[\\d-z]", E_INVALID, "range", "byte 1:"},
    {"[a-\\d]", E_INVALID, "range", "byte 1:"}, {"a\\", E_INVALID, "backslash at the end", "byte 1:"},
    {"[a\\", E_INVALID, "backslash at the end", "byte 2:"}, {"]", E_INVALID, "]", "byte 0:"}, {"a}", E_INVALID, "}", "byte 1:"},
    {"a{", E_INVALID, "repetition", "byte 1:"}, {"a{,5}", E_INVALID, "repetition", "byte 1:"}, {"a{1,2", E_INVALID, "repetition", "byte 1:"},
    {"a{2,1}", E_INVALID, "out of order", "byte 1:"}, {"a{4294967295}", E_TOO_LONG, "more than", "byte 2:"},
    {"a{99999999999999999999}", E_TOO_LONG, "more than", "byte 2:"}, {"\\a", E_INVALID, "\\a", "byte 0:"}, {"^\\S\\Z", E_INVALID, "\\Z", "byte 3:"},
    {"\\_", E_INVALID, "\\_", "byte 0:"}, {"\\-\\é", E_INVALID, "", "byte 2:"}, {"\\xg1", E_INVALID, "\\x", "byte 0:"}, {"\\x1", E_INVALID, "\\x", "byte 0:"},
    {"\\u12", E_INVALID, "\\u", "byte 0:"}, {"\\u{}", E_INVALID, "\\u", "byte 0:"}, {"\\u{110000}", E_INVALID, "code point", "byte 0:"},
    {"\\u{41", E_INVALID, "\\u", "byte 0:"}, {"\\c1", E_INVALID, "\\c", "byte 0:"}, {"\\01", E_INVALID, "\\0", "byte 0:"},
    {"[\\1]", E_INVALID, "\\1", "byte 1:"}, {"[\\B]", E_INVALID, "\\B", "byte 1:"}, {"\\p", E_INVALID, "\\p", "byte 0:"}, {"\\p{L", E_INVALID, "\\p", "byte 0:"}, {"\\p{}", E_INVALID, "\\p", "byte 0:"},
    {"(?<>a)", E_INVALID, "name", "byte 0:"}, {"(?<1>a)", E_INVALID, "name", "byte 0:"}, {"(?<a", E_INVALID, "name", "byte 0:"}, {"(?", E_INVALID, "(?", "byte 0:"}, {"(?P<a>b)", E_INVALID, "(?", "byte 0:"},
    {"a\xFF", E_INVALID, "UTF-8", "byte 1:"}, {"[\xC3]", E_INVALID, "UTF-8", "byte 1:"},
    {"a(?=b)", E_UNSUPPORTED, "lookahead", "byte 1:"}, {"(?!b)", E_UNSUPPORTED, "negative lookahead", "byte 0:"},
    {"(?<=b)", E_UNSUPPORTED, "lookbehind", "byte 0:"}, {"(?<!b)", E_UNSUPPORTED, "negative lookbehind", "byte 0:"},
    {"(a)\\1", E_UNSUPPORTED, "backreference", "byte 3:"}, {"(?<n>a)\\k<n>", E_UNSUPPORTED, "backreference", "byte 7:"},
    {"\\bfoo", E_UNSUPPORTED, "word boundary", "byte 0:"}, {"foo\\B", E_UNSUPPORTED, "word boundary", "byte 3:"}, {"(?i:a)", E_UNSUPPORTED, "flags", "byte 0:"},
    {"\\p{Script=Greek}", E_UNSUPPORTED, "Script=Greek", "byte 0:"}, {"x\\p{Alphabetic}", E_UNSUPPORTED, "Alphabetic", "byte 1:"}, {"\\p{letter}", E_UNSUPPORTED, "letter", "byte 0:"},
};
/* clang-format on */

static void test_wrong(void **state)
{
    struct rx *r = NULL;
    struct err e;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        rx_id id = 12345;
        int rc = rx_parse(r, str_of(wrong[i].pattern), 0, &id, &e);

        if (rc != wrong[i].code || e.code != rc || id != 12345)
            fail_msg("/%s/: %d: %s", wrong[i].pattern, rc, rc < 0 ? e.msg : "parsed");
        if (!strstr(e.msg, wrong[i].words) || !strstr(e.msg, wrong[i].at))
            fail_msg("/%s/: no \"%s\" and \"%s\" in: %s", wrong[i].pattern, wrong[i].words,
                     wrong[i].at, e.msg);
        assert_int_equal(rx_error(r, &e), 0);
    }
    rx_free(r);
}

static void test_nesting(void **state)
{
    static char pattern[120001];
    struct rx *r = NULL;
    struct err e;
    rx_id id;

    (void)state;
    assert_int_equal(rx_new(&r, NULL, &e), 0);
    memset(pattern, '(', 60000);
    memset(pattern + 60000, ')', 60000);
    assert_int_equal(rx_parse(r, str_of(pattern), 0, &id, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "1000"));
    assert_int_equal(rx_parse(r, (struct str){pattern + 59000, 2000}, 0, &id, &e), 0);
    assert_int_equal(id, RX_EMPTY);
    memset(pattern, '[', sizeof(pattern) - 1);
    assert_int_equal(rx_parse(r, str_of(pattern), 0, &id, &e), E_INVALID);
    rx_free(r);
}

/* Memory that is refused at any place is an error, and nothing leaks. */
static void test_no_memory(void **state)
{
    static const char text[] = "^((a|b){2,9}|foo|fop|fox|fry|fly|fan|fun|fat|[^x]y)*\\p{Lu}$";
    uint64_t asked = UINT64_MAX;

    (void)state;
    for (uint64_t nth = 1; asked >= nth; nth++) {
        struct rx *r = NULL;
        struct err e;
        rx_id id = RX_NONE;
        int rc;

        mem_fail_at(nth, 1);
        rc = rx_new(&r, NULL, &e);
        if (rc == 0)
            rc = rx_parse(r, str_of(text), 0, &id, &e);
        if (rc == 0) {
            id = rx_and(r, id, rx_not(r, rx_text(r, str_of("foo"))));
            rc = walk(r, id, str_of("fooaby\xC3\x89"), &e);
        }
        asked = mem_fail_at(0, 0);
        assert_int_equal(rc, asked >= nth ? E_NOMEM : 1);
        rx_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),     cmocka_unit_test(test_whole),
        cmocka_unit_test(test_wrong),     cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* GBNF: what its grammars accept, and where it says what is wrong. */
#include "text/gram/gbnf.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static struct gram *read_gbnf(struct str text, struct err *e)
{
    struct gram *g;
    gram_ref root;

    assert_int_equal(gram_new(&g, NULL, e), 0);
    e->code = 0;
    if (gbnf_parse(g, text, &root, e) < 0 || gram_finish(g, root, e) < 0) {
        assert_int_not_equal(e->code, 0);
        gram_free(g);
        return NULL;
    }
    return g;
}

/* The texts, up to a NULL, are accepted; then those, up to a NULL, are not. */
static void expect(const char *grammar, ...)
{
    struct err e;
    struct gram *g = read_gbnf(str_of(grammar), &e);
    va_list ap;

    if (!g)
        fail_msg("%s: %s", grammar, e.msg);
    va_start(ap, grammar);
    for (int want = 1; want >= 0; want--) {
        for (const char *s; (s = va_arg(ap, const char *)) != NULL;) {
            gram_state to = 0;

            assert_int_equal(gram_put(g, gram_start(g), s, strlen(s), &to, NULL, &e), 0);
            if (gram_may_end(g, to) != want)
                fail_msg("%s\n\"%s\": %d, not %d", grammar, s, !want, want);
        }
    }
    va_end(ap);
    gram_free(g);
}

static void expect_wrong(const char *grammar, int code, const char *words)
{
    struct err e;
    struct gram *g = read_gbnf(str_of(grammar), &e);

    if (g)
        fail_msg("%s: is fine, not \"%s\"", grammar, words);
    if (e.code != code || !strstr(e.msg, words))
        fail_msg("%s: %d \"%s\", not %d \"%s\"", grammar, e.code, e.msg, code, words);
}

static void test_accepts(void **state)
{
    (void)state;
    expect("root ::= \"a\"", "a", NULL, "", "aa", "b", NULL);
    expect("root ::= \"a\" | \"b\" \"c\"\n", "a", "bc", NULL, "b", "ac", NULL);
    expect("root ::= a-1*\na-1 ::= [a-c_x]", "", "abx_c", NULL, "d", "-", NULL);
    expect("root ::= [^a-c\\n]+ [-z] [a-]", "xyz-a", "d--", NULL, "azz", "\n-a", "", NULL);
    expect("root ::= .", "a", "\n", "\xe6\x97\xa5", NULL, "", "ab", NULL);
    expect("root ::= [^]", "a", NULL, "", NULL);
    expect("root ::= (\"a\" | \"b\")? \"c\"{2} \"d\"{1,} \"e\"{0,2}", "accd", "ccdde", "bccdee",
           NULL, "acd", "cc", "ccdeee", NULL);
    expect("root ::= \"a\"{ 2 , 3 }", "aa", "aaa", NULL, "a", "aaaa", NULL);
    expect("root ::= \"ab\"* \"\"", "", "abab", NULL, "aba", NULL);
    expect("root ::= \"\\n\\r\\t\\\\\\\"\\[\\]\\x41\\u00e9\\U0001F600\"",
           "\n\r\t\\\"[]A\xc3\xa9\xf0\x9f\x98\x80", NULL, "", NULL);
    expect("root ::= [\\x30-\\x39\\u00C0-\\u00ff\\]\"]", "5", "\xc3\xa9", "]", "\"", NULL, "a",
           NULL);
    expect("root ::= \"\xe6\x97\xa5\" [\xe0\xa4\x80-\xe0\xa5\xbf]", "\xe6\x97\xa5\xe0\xa4\xa8",
           NULL,
           "\xe6\x97\xa5"
           "a",
           NULL);
    expect("root ::= | \"a\" |", "", "a", NULL, "b", NULL);
    expect("root ::= \"a\"**", "", "aa", NULL, "b", NULL);
    expect("root ::= ( \"x\"* )* y*\ny ::= \"\"", "", "xx", NULL, "y", NULL);
    expect("root ::= \"a\"{1000000000}", NULL, "a", NULL);
}

static void test_lines(void **state)
{
    (void)state;
    expect("# a comment\n\nroot ::= # another\n  \"a\" |\n  \"b\" # and\n\nb ::= \"x\"", "a",
           "b", NULL, "x", NULL);
    expect("root ::= \"a\"\n  | \"b\" # later\n  # between\n  | \"c\"\n", "a", "b", "c", NULL,
           "", NULL);
    expect("root ::= (\n  \"a\"\n  \"b\" # in a group\n)\r\n", "ab", NULL, "a", NULL);
    expect("b ::= \"x\"\r\nroot ::= b", "x", NULL, "", NULL);
    expect("root::=\"a\"b\nb\t::=\n\"b\"", "ab", NULL, "a", NULL);
    expect("root ::= \"#\" [#] #", "##", NULL, "#", NULL);
}

static void test_recursion(void **state)
{
    (void)state;
    expect("root ::= \"(\" root \")\" root | \"\"", "", "(())()", NULL, "(", ")(", NULL);
    expect("root ::= sum\nsum ::= one (\"+\" one)*\none ::= [0-9]+ | \"(\" sum \")\"",
           "1+(2+3)", "((7))", NULL, "(1", "1+", NULL);
    expect_wrong("root ::= root \"a\" | \"a\"", E_INVALID, "root begins with itself");
    expect_wrong("root ::= a\na ::= b? a \"x\" | \"y\"\nb ::= \"b\"", E_INVALID,
                 "the rule a begins with itself");
    expect_wrong("root ::= \"a\" root", E_INVALID, "no text");
}

static void test_wrong(void **state)
{
    (void)state;
    expect_wrong("", E_INVALID, "no rule named root");
    expect_wrong("a ::= \"a\"", E_INVALID, "no rule named root");
    expect_wrong("root ::= \"a\"\nroot ::= \"b\"", E_INVALID,
                 "2:1: the rule root is defined twice");
    expect_wrong("root ::= \"a\" |\n  bc", E_INVALID, "2:3: the rule bc is nowhere defined");
    expect_wrong("root ::= \"a", E_INVALID, "1:10: the literal has no end");
    expect_wrong("root ::= \"a\nb\"", E_INVALID, "1:10: the literal has no end");
    expect_wrong("root ::= [a", E_INVALID, "1:10: the class has no ]");
    expect_wrong("root ::= []", E_INVALID, "1:10: a class without");
    expect_wrong("root ::= [z-a]", E_INVALID, "1:13: the range ends before");
    expect_wrong("root ::= \"\xc3\xa9\\q\"", E_INVALID, "1:12: unknown escape \\q");
    expect_wrong("root ::= \"\\x4g\"", E_INVALID, "1:11: \\x wants 2");
    expect_wrong("root ::= \"\\u12\"", E_INVALID, "1:11: \\u wants 4");
    expect_wrong("root ::= \"\\ud800\"", E_INVALID, "1:11: U+D800 is no character");
    expect_wrong("root ::= \"\\U00110000\"", E_INVALID, "U+110000 is no character");
    expect_wrong("root ::= \"\\", E_INVALID, "ends in an escape");
    expect_wrong("root ::= \"\xff\"", E_INVALID, "byte 0xFF is no UTF-8");
    expect_wrong("root ::= *", E_INVALID, "1:10: * has nothing before");
    expect_wrong("root ::= \"a\" | +", E_INVALID, "1:16: + has nothing before");
    expect_wrong("root ::= (?)", E_INVALID, "? has nothing before");
    expect_wrong("root ::= \"a\"{", E_INVALID, "a number is missing");
    expect_wrong("root ::= \"a\"{,3}", E_INVALID, "a number is missing");
    expect_wrong("root ::= \"a\"{3,2}", E_INVALID, "wrong way round");
    expect_wrong("root ::= \"a\"{3", E_INVALID, "} is missing");
    expect_wrong("root ::= \"a\"{99999999999}", E_INVALID, "more than 4294967295 repetitions");
    expect_wrong("root ::= (\"a\"", E_INVALID, "1:14: 1 ( without a )");
    expect_wrong("root ::= \"a\")", E_INVALID, "1:13: ) without a (");
    expect_wrong("root \"a\"", E_INVALID, "1:6: ::= is expected behind the name root");
    expect_wrong("root ::= \"a\"\n= b", E_INVALID, "2:1: a rule's name is expected");
    expect_wrong("root ::= \"a\" & b", E_INVALID, "1:14: unexpected '&'");
    expect_wrong("root ::= \"a\" \x01", E_INVALID, "1:14: unexpected byte 0x01");
    expect_wrong("root ::= <think> \"a\"", E_INVALID, "1:10: <think> names a token");
    expect_wrong("root ::= !<|end|>", E_INVALID, "1:10: !<|end|> names a token");
    expect_wrong("root ::= <[1000]>", E_INVALID, "1:10: <[1000]> names a token");
}

/* -- harm ----------------------------------------------------------------------------- */

static char *repeated(const char *unit, size_t n, const char *front, const char *back)
{
    size_t len = strlen(unit);
    char *s = malloc(strlen(front) + n * len + strlen(back) + 1), *p = s;

    p = stpcpy(p, front);
    for (size_t i = 0; i < n; i++)
        p = stpcpy(p, unit);
    (void)stpcpy(p, back);
    return s;
}

static void test_nested(void **state)
{
    char *open = repeated("(", 60000, "root ::= ", " \"a\" "),
         *close = repeated(")", 60000, open, "");
    char *few = repeated("(", 900, "root ::= ", " \"a\" "), *all = repeated(")", 900, few, "");

    (void)state;
    expect_wrong(close, E_TOO_LONG, "groups nested deeper than 1000");
    expect_wrong(open, E_TOO_LONG, "groups nested deeper than 1000");
    expect(all, "a", NULL, "", NULL);
    free(open);
    free(close);
    free(few);
    free(all);
}

static void test_long(void **state)
{
    struct buf b;
    char *alts = repeated(" | \"a\" [bc]", 20000, "root ::= \"x\"", ""),
         *stars = repeated("*", 50000, "root ::= \"x\"", ""),
         *opt = repeated("(\"a\"?)?", 2000, "root ::= ", "");

    (void)state;
    expect(alts, "x", "ab", NULL, "a", NULL);
    expect(stars, "", "xxx", NULL, "y", NULL);
    expect(opt, "", "aaa", NULL, "b", NULL);
    free(alts);
    free(stars);
    free(opt);
    /* Chains of rules. */
    buf_init(&b, 1 << 24);
    for (int i = 0; i < 30000; i++)
        assert_int_equal(buf_fmt(&b, "r%d ::= r%d\n", i, i + 1), 0);
    assert_int_equal(buf_str(&b, "r30000 ::= \"a\"\nroot ::= r0"), 0);
    expect(b.p, "a", NULL, "", NULL);
    buf_clear(&b);
    /* Each rule twice the one behind it. */
    for (int i = 0; i < 60; i++)
        assert_int_equal(buf_fmt(&b, "r%d ::= r%d r%d\n", i, i + 1, i + 1), 0);
    assert_int_equal(buf_str(&b, "r60 ::= \"a\" | \"b\" root\nroot ::= r0"), 0);
    expect(b.p, NULL, "a", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),   cmocka_unit_test(test_lines),
        cmocka_unit_test(test_recursion), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_nested),    cmocka_unit_test(test_long),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

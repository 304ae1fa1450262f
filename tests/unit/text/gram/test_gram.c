/* Builders, what they refuse, JSON strings against jansson, limits, and grammars that mean
 * harm. */
#include "gram_make.h"

#include "base/rng.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

static struct gram *fresh(const struct gram_limits *limits)
{
    struct gram *g;
    struct err e = {0};

    if (gram_new(&g, limits, &e) < 0)
        fail_msg("%s", e.msg);
    return g;
}

static void finish(struct gram *g, gram_ref root)
{
    struct err e = {0};

    if (gram_finish(g, root, &e) < 0)
        fail_msg("%s", e.msg);
}

enum answer { REJECTED, MORE, MAY, MUST };

static enum answer ask(struct gram *g, struct str text, size_t *ok)
{
    gram_state s = 0;
    struct err e = {0};

    if (gram_put(g, gram_start(g), text.p, text.n, &s, ok, &e) < 0)
        fail_msg("%.*s: %s", (int)(text.n < 200 ? text.n : 200), text.p, e.msg);
    return !s ? REJECTED : gram_must_end(g, s) ? MUST : gram_may_end(g, s) ? MAY : MORE;
}

static void expect(struct gram *g, const char *text, enum answer want)
{
    enum answer got = ask(g, str_of(text), NULL);

    if (got != want)
        fail_msg("%s: %d, not %d", text, got, want);
}

static void expect_fail(struct gram *g, gram_ref root, int code, const char *words)
{
    struct err e = {0};

    assert_int_equal(gram_finish(g, root, &e), code);
    if (!strstr(e.msg, words))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, words);
    gram_free(g);
}

/* -- builders ------------------------------------------------------------------------- */

static void test_same(void **state)
{
    struct gram *g = fresh(NULL);
    gram_ref a = gram_bytes(g, str_of("a")), b = gram_bytes(g, str_of("b"));
    gram_ref ab[] = {a, b}, ba[] = {b, a}, none[] = {a, GRAM_NEVER}, idle[] = {GRAM_EMPTY, a};

    (void)state;
    assert_int_equal(gram_bytes(g, str_of("")), GRAM_EMPTY);
    assert_int_equal(gram_bytes(g, str_of("a")), a);
    assert_int_equal(gram_seq(g, ab, 2), gram_bytes(g, str_of("ab")));
    assert_int_equal(gram_seq(g, none, 2), GRAM_NEVER);
    assert_int_equal(gram_seq(g, idle, 2), a);
    assert_int_equal(gram_seq(g, NULL, 0), GRAM_EMPTY);
    assert_int_equal(gram_alt(g, none, 2), a);
    assert_int_equal(gram_alt(g, NULL, 0), GRAM_NEVER);
    assert_int_equal(gram_repeat(g, a, 1, 1), a);
    assert_int_equal(gram_repeat(g, a, 0, 0), GRAM_EMPTY);
    assert_int_equal(gram_repeat(g, a, 2, 1), GRAM_NEVER);
    assert_int_equal(gram_repeat(g, GRAM_NEVER, 0, 5), GRAM_EMPTY);
    assert_int_equal(gram_repeat(g, a, 2, 3), gram_repeat(g, a, 2, 3));
    ab[0] = gram_repeat(g, a, 2, 3);
    ba[1] = ab[0];
    assert_int_equal(gram_alt(g, ab, 2), gram_alt(g, ba, 2));
    assert_int_equal(gram_text(g, RX_NONE), GRAM_NEVER);
    assert_int_equal(gram_text(g, RX_EMPTY), GRAM_EMPTY);
    finish(g, gram_alt(g, ab, 2));
    expect(g, "aaa", MUST);
    expect(g, "aa", MAY);
    expect(g, "b", MUST);
    expect(g, "", MORE);
    gram_free(g);
    gram_free(NULL);
}

static void test_refused(void **state)
{
    struct gram *g = fresh(NULL);
    gram_ref a, r, part[2];

    (void)state;
    expect_fail(g, GRAM_NEVER, E_INVALID, "no text");
    g = fresh(NULL);
    r = gram_rule(g);
    gram_rule_name(g, r, str_of("lost"));
    expect_fail(g, r, E_INVALID, "the rule lost is used and nowhere defined");
    g = fresh(NULL);
    r = gram_rule(g);
    gram_rule_set(g, r, r);
    expect_fail(g, r, E_INVALID, "no text");
    g = fresh(NULL);
    a = gram_bytes(g, str_of("a"));
    r = gram_rule(g);
    gram_rule_name(g, r, str_of("expr"));
    part[0] = gram_repeat(g, a, 0, 1);
    part[1] = r;
    part[0] = gram_seq(g, part, 2);
    part[1] = a;
    gram_rule_set(g, r, gram_alt(g, part, 2));
    expect_fail(g, r, E_INVALID, "the rule expr begins with itself");
    g = fresh(NULL);
    a = gram_bytes(g, str_of("a"));
    gram_rule_set(g, a, a);
    expect_fail(g, a, E_INTERNAL, "no rule");
    g = fresh(NULL);
    (void)gram_until(g, str_of("\xff"));
    expect_fail(g, GRAM_EMPTY, E_INVALID, "UTF-8");
    g = fresh(NULL);
    finish(g, gram_bytes(g, str_of("a")));
    (void)gram_bytes(g, str_of("b"));
    expect_fail(g, GRAM_EMPTY, E_INTERNAL, "finished");
}

static void test_bytes_and_until(void **state)
{
    struct gram *g = fresh(NULL);
    gram_ref part[] = {gram_bytes(g, str_of("\xff\xfe")), gram_until(g, str_of("</x>")),
                       gram_bytes(g, str_of("."))};
    size_t ok;

    (void)state;
    finish(g, gram_seq(g, part, 3));
    expect(g, "\xff\xfe</x>.", MUST);
    expect(g, "\xff\xfe\xe6\x97\xa5<</x</x>", MORE);
    expect(g, "\xff\xfe</x>.a", REJECTED);
    assert_int_equal(ask(g, str_of("\xff\xfe ab \xe6\xff"), &ok), REJECTED);
    assert_int_equal(ok, 7);
    expect(g, "\xff\xfe\xc0\x80", REJECTED);
    expect(g, "\xff\xfe\xed\xa0\x80", REJECTED);
    expect(g, "\xff\xfe\xf4\x90\x80\x80", REJECTED);
    expect(g, "\xff\xfe\xf4\x8f\xbf\xbf", MORE);
    gram_free(g);
}

static void test_arrays(void **state)
{
    struct gram *g = fresh(NULL);
    gram_ref prefix[] = {gram_bytes(g, str_of("a")), gram_bytes(g, str_of("b"))};
    struct gram_array a = make_array(g, gram_bytes(g, str_of("c")), 0);

    (void)state;
    a.prefix = prefix;
    a.n_prefix = 2;
    a.min = 1;
    a.max = 1000000000;
    finish(g, gram_array(g, &a));
    expect(g, "[]", REJECTED);
    expect(g, "[a]", MUST);
    expect(g, "[a,b]", MUST);
    expect(g, "[a,c]", REJECTED);
    expect(g, "[a,b,c,c,c]", MUST);
    expect(g, "[a,b,c,c,", MORE);
    gram_free(g);

    g = fresh(NULL);
    a = make_array(g, GRAM_NEVER, 0);
    prefix[0] = gram_bytes(g, str_of("a"));
    a.prefix = prefix;
    a.n_prefix = 1;
    finish(g, gram_array(g, &a));
    expect(g, "[]", MUST);
    expect(g, "[a]", MUST);
    expect(g, "[a,", REJECTED);
    gram_free(g);

    g = fresh(NULL);
    a = make_array(g, GRAM_NEVER, 0);
    a.min = 1;
    expect_fail(g, gram_array(g, &a), E_INVALID, "no text");

    g = fresh(NULL);
    a = make_array(g, gram_bytes(g, str_of("a")), 0);
    a.min = a.max = 3;
    finish(g, gram_array(g, &a));
    expect(g, "[a,a,a]", MUST);
    expect(g, "[a,a]", REJECTED);
    expect(g, "[a,a,a,", REJECTED);
    gram_free(g);
}

/* -- JSON strings --------------------------------------------------------------------- */

/* Random bytes that are often nearly a string: jansson says which are. */
static void test_strings(void **state)
{
    static const char *const bits[] = {
        "\"", "\\",   "\\u",     "d8", "D83d",     "\\ude00",          "dc00",     "00",   "0",
        "e9", "n",    "/",       "b",  "\xc3\xa9", "\xf0\x9f\x98\x80", "\xe6\x97", "\x7f", "\n",
        "a",  "\\\"", "\\uD83D", "Z"};
    struct gram *g = fresh(NULL);
    struct rng rng;
    int n_good = 0;

    (void)state;
    rng_seed(&rng, 1);
    finish(g, gram_json_string(g, make_any(g), 0));
    for (int i = 0; i < 200000; i++) {
        char text[128] = "\"";
        int n = (int)(rng_u64(&rng) % 8);
        size_t len;
        json_t *j;

        len = 1;
        for (int k = 0; k < n; k++) {
            struct str bit = str_of(bits[rng_u64(&rng) % (sizeof(bits) / sizeof(*bits))]);

            memcpy(text + len, bit.p, bit.n);
            len += bit.n;
        }
        text[len] = '"';
        len++;
        j = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        if ((ask(g, (struct str){text, len}, NULL) == MUST) != (j != NULL))
            fail_msg("%.*s: jansson says %s", (int)len, text, j ? "yes" : "no");
        n_good += j != NULL;
        json_decref(j);
    }
    assert_in_range(n_good, 20000, 180000);
    gram_free(g);
}

/* Every way to write some characters, each accepted; plain: the shortest way only. */
static void test_ways_to_write(void **state)
{
    static const struct {
        uint32_t cp;
        const char *way[6], *no[4]; /* the first way is the plain one */
    } all[] = {
        {'a', {"a", "\\u0061"}, {"\\a", "\\u0062", "\\u061"}},
        {'"', {"\\\"", "\\u0022"}, {"'"}},
        {'\\', {"\\\\", "\\u005C", "\\u005c"}, {"/"}},
        {'/', {"/", "\\/", "\\u002f"}, {"\\\\"}},
        {'\n', {"\\n", "\\u000a", "\\u000A"}, {"\n", "n", "\\r"}},
        {0x1F, {"\\u001f", "\\u001F"}, {"\x1f", "\\u001e"}},
        {0x7F, {"\x7f", "\\u007f"}, {"\\u017f"}},
        {0xE9, {"\xc3\xa9", "\\u00e9", "\\u00E9"}, {"\xc3\xa8", "\xe9"}},
        {0xD7FF, {"\xed\x9f\xbf", "\\ud7ff"}, {"\\ud800", "\\ud7fe"}},
        {0xE000, {"\xee\x80\x80", "\\ue000"}, {"\\udfff"}},
        {0x1F600,
         {"\xf0\x9f\x98\x80", "\\ud83d\\ude00", "\\uD83D\\uDE00"},
         {"\\ud83d", "\\ud83d\\ude01", "\\ud83c\\ude00", "\\ud83d\xf0\x9f\x98\x80"}},
        {0x10FFFF, {"\xf4\x8f\xbf\xbf", "\\udbff\\udfff"}, {"\\udbff\\udffe"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        for (int plain = 0; plain < 2; plain++) {
            struct gram *g = fresh(NULL);
            char text[64], out[4];
            struct str one = {out, (size_t)utf8_put((int32_t)all[i].cp, out)};

            finish(g, gram_json_string(g, rx_text(gram_rx(g), one), plain));
            for (int k = 0; k < 6 && all[i].way[k]; k++) {
                int same = all[i].cp == 0x1F; /* both cases are as short */

                (void)snprintf(text, sizeof(text), "\"%s\"", all[i].way[k]);
                expect(g, text, plain && k && !same ? REJECTED : MUST);
            }
            for (int k = 0; k < 4 && all[i].no[k]; k++) {
                (void)snprintf(text, sizeof(text), "\"%s\"", all[i].no[k]);
                expect(g, text, REJECTED);
            }
            gram_free(g);
        }
    }
}

/* -- limits and harm ------------------------------------------------------------------ */

static void test_depth(void **state)
{
    struct gram *g = fresh(&(struct gram_limits){.depth = 60});
    gram_state s = 0;
    struct err e = {0};
    size_t ok, deep = 0;
    char open[200], close[200];

    (void)state;
    finish(g, make_json(g, 0));
    memset(open, '[', sizeof(open));
    memset(close, ']', sizeof(close));
    assert_int_equal(gram_put(g, gram_start(g), open, sizeof(open), &s, &ok, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "nested deeper than 60"));
    deep = ok;
    assert_in_range(deep, 15, 60);
    /* What is accepted can be finished. */
    assert_int_equal(gram_put(g, gram_start(g), open, deep, &s, NULL, &e), 0);
    assert_int_equal(gram_put(g, s, close, deep, &s, NULL, &e), 0);
    assert_true(gram_must_end(g, s));
    gram_free(g);

    /* No stack for what recurs at its own end. */
    g = fresh(&(struct gram_limits){.depth = 5});
    gram_ref r = gram_rule(g), part[] = {gram_bytes(g, str_of("\xff")), r}, all[2];
    all[0] = gram_seq(g, part, 2);
    all[1] = gram_bytes(g, str_of("."));
    gram_rule_set(g, r, gram_alt(g, all, 2));
    finish(g, r);
    memset(open, 0xff, sizeof(open));
    assert_int_equal(ask(g, (struct str){open, sizeof(open)}, NULL), MORE);
    gram_free(g);
}

static void test_width(void **state)
{
    struct gram *g = fresh(&(struct gram_limits){.width = 300});
    gram_ref r = gram_rule(g), x = gram_bytes(g, str_of("\xff")), y[2], part[4], both[2];
    gram_state s = 0;
    struct err e = {0};
    char text[100];
    size_t ok;

    (void)state;
    /* r ::= x (y1 r)? (y2 r)? r?: stacks double with every byte. */
    y[0] = gram_bytes(g, str_of("\xfe"));
    y[1] = gram_repeat(g, y[0], 0, 1);
    part[0] = x;
    both[0] = r;
    both[1] = y[1];
    part[1] = gram_repeat(g, gram_seq(g, both, 2), 0, 1);
    part[2] = gram_repeat(g, r, 0, 2);
    part[3] = gram_repeat(g, r, 0, 1);
    gram_rule_set(g, r, gram_seq(g, part, 4));
    finish(g, r);
    memset(text, 0xff, sizeof(text));
    assert_int_equal(gram_put(g, gram_start(g), text, sizeof(text), &s, &ok, &e), E_TOO_LONG);
    assert_non_null(strstr(e.msg, "too many ways"));
    assert_in_range(ok, 2, 99);
    gram_free(g);
}

static void test_counts(void **state)
{
    struct gram *g = fresh(NULL);
    gram_ref a = gram_bytes(g, str_of("\xff")), part[2];
    char text[3000];

    (void)state;
    memset(text, 0xff, sizeof(text));
    part[0] = gram_repeat(g, a, 2000, 1000000000);
    part[1] = gram_bytes(g, str_of("."));
    finish(g, gram_repeat(g, gram_seq(g, part, 2), 1, UINT64_MAX - 1));
    text[1999] = '.';
    assert_int_equal(ask(g, (struct str){text, 2000}, NULL), REJECTED);
    text[1999] = (char)0xff;
    text[2000] = '.';
    assert_int_equal(ask(g, (struct str){text, 2001}, NULL), MAY);
    gram_free(g);

    /* Of what may be empty, any number is there at once. */
    g = fresh(NULL);
    part[0] = gram_bytes(g, str_of("\xff"));
    part[0] = gram_repeat(g, part[0], 0, GRAM_INF);
    part[0] = gram_repeat(g, part[0], 1000000000, GRAM_INF);
    finish(g, gram_repeat(g, part[0], 3, 1000000007));
    assert_int_equal(ask(g, str_of(""), NULL), MAY);
    assert_int_equal(ask(g, (struct str){text, 1000}, NULL), MAY);
    gram_free(g);

    g = fresh(NULL);
    part[0] = gram_repeat(g, GRAM_EMPTY, 5, GRAM_INF);
    part[1] = gram_bytes(g, str_of("x"));
    finish(g, gram_seq(g, part, 2));
    expect(g, "x", MUST);
    gram_free(g);
}

static void test_limits(void **state)
{
    struct gram *g = fresh(&(struct gram_limits){.nodes = 10});
    struct err e = {0};

    (void)state;
    for (int i = 0; i < 20; i++)
        (void)gram_rule(g);
    expect_fail(g, GRAM_EMPTY, E_TOO_LONG, "more than 10 expressions");
    g = fresh(&(struct gram_limits){.bytes = 256 * 1024});
    for (int i = 0; i < 20000; i++) {
        char text[16];

        (void)snprintf(text, sizeof(text), "word%d", i);
        (void)gram_bytes(g, str_of(text));
    }
    expect_fail(g, GRAM_EMPTY, E_TOO_LONG, "limit of 256 KiB");
    assert_int_equal(gram_new(&g, &(struct gram_limits){.bytes = 100}, &e), E_TOO_LONG);
}

static void test_many_literals(void **state)
{
    enum { N = 50000 };
    struct gram *g = fresh(NULL);
    gram_ref *all = malloc(N * sizeof(*all));

    (void)state;
    for (int i = 0; i < N; i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "\"value %d\"", i * 7);
        all[i] = gram_bytes(g, str_of(text));
    }
    finish(g, gram_alt(g, all, N));
    expect(g, "\"value 7\"", MUST);
    expect(g, "\"value 349993\"", MUST);
    expect(g, "\"value 8\"", REJECTED);
    expect(g, "\"value 34", MORE);
    free(all);
    gram_free(g);
}

static void test_many_properties(void **state)
{
    enum { N = 5000 };
    struct gram_prop *prop = calloc(N, sizeof(*prop));
    char(*name)[16] = calloc(N, sizeof(*name));
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 20);
    for (int ordered = 0; ordered < 2; ordered++) {
        struct gram *g = fresh(NULL);
        struct gram_object o;

        for (int i = 0; i < N; i++) {
            (void)snprintf(name[i], sizeof(name[i]), "prop%d", i);
            prop[i] = (struct gram_prop){.name = str_of(name[i]), .value = make_number(g)};
        }
        o = make_object(g, prop, N, 1);
        o.ordered = ordered;
        o.plain = 1;
        finish(g, gram_object(g, &o));
        buf_clear(&text);
        assert_int_equal(buf_str(&text, "{"), 0);
        for (int i = 0; i < N; i++)
            assert_int_equal(buf_fmt(&text, "%s\"prop%d\": %d", i ? ", " : "", i, i), 0);
        assert_int_equal(buf_str(&text, "}"), 0);
        assert_int_equal(ask(g, (struct str){text.p, text.n}, NULL), MUST);
        expect(g, "{\"prop4999\": 1}", MUST);
        expect(g, "{\"prop7\": 1, \"prop7\"", REJECTED);
        expect(g, "{\"prop7\": 1, \"prop6\"", ordered ? REJECTED : MORE);
        expect(g, "{\"prop5000\"", REJECTED);
        gram_free(g);
    }
    buf_done(&text);
    free(prop);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bytes_and_until),
        cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_ways_to_write),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_width),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many_literals),
        cmocka_unit_test(test_many_properties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Expressions: the laws that keep them small, limits, and what strangers could send. */
#include "text/gram/rx.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "walk.h"

static struct rx *store(void)
{
    struct rx *r = NULL;
    struct err e;

    assert_int_equal(rx_new(&r, NULL, &e), 0);
    return r;
}

static rx_id text(struct rx *r, const char *s)
{
    return rx_text(r, str_of(s));
}

static rx_id chr(struct rx *r, uint32_t lo, uint32_t hi)
{
    return rx_set(r, &(struct rx_range){lo, hi}, 1);
}

static rx_id parsed(struct rx *r, const char *pattern)
{
    struct err e;
    rx_id id;

    if (rx_parse(r, str_of(pattern), 0, &id, &e) < 0)
        fail_msg("/%s/: %s", pattern, e.msg);
    return id;
}

static int matches(struct rx *r, rx_id id, const char *s)
{
    struct err e;
    int rc = walk(r, id, str_of(s), &e);

    if (rc < 0)
        fail_msg("\"%.60s\": %s", s, e.msg);
    return rc;
}

static int live(struct rx *r, rx_id id)
{
    struct err e;
    int rc = rx_live(r, id, &e);

    if (rc < 0)
        fail_msg("live: %s", e.msg);
    return rc;
}

static int finite(struct rx *r, rx_id id)
{
    struct err e;
    int rc = rx_finite(r, id, &e);

    if (rc < 0)
        fail_msg("finite: %s", e.msg);
    return rc;
}

static void test_sets(void **state)
{
    static const struct rx_range mixed[] = {{'x', 'z'}, {'a', 'c'}, {'d', 'e'}, {'b', 'd'}};
    static const struct rx_range tidy[] = {{'a', 'e'}, {'x', 'z'}};
    static const struct rx_range gap[] = {{0xD7FF, 0xE000}}, none[] = {{0xD800, 0xDFFF}};
    struct rx *r = store();
    const struct rx_edge *edge;
    struct err e;
    size_t n;

    (void)state;
    assert_int_equal(rx_set(r, mixed, 4), rx_set(r, tidy, 2));
    assert_int_equal(rx_set(r, NULL, 0), RX_NONE);
    assert_int_equal(rx_set(r, none, 1), RX_NONE);
    assert_int_equal(rx_edges(r, rx_set(r, gap, 1), &edge, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(edge[0].lo, 0xD7FF);
    assert_int_equal(edge[0].hi, 0xD7FF);
    assert_int_equal(edge[1].lo, 0xE000);
    assert_int_equal(edge[1].hi, 0xE000);
    assert_int_equal(rx_edges(r, rx_any(r), &edge, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_int_equal(edge[1].hi, RX_CP_MAX);
    assert_int_equal(chr(r, 0, UINT32_MAX), rx_any(r));
    assert_int_equal(matches(r, rx_any(r), "\xF4\x8F\xBF\xBF"), 1);
    rx_free(r);
}

static void test_laws(void **state)
{
    struct rx *r = store();
    rx_id a = text(r, "a"), b = text(r, "b"), ab = text(r, "ab"), any = rx_any(r);
    rx_id all = rx_repeat(r, any, 0, RX_INF), x = rx_alt(r, ab, text(r, "xyz"));

    (void)state;
    assert_int_equal(text(r, ""), RX_EMPTY);
    assert_int_equal(rx_seq(r, a, b), ab);
    assert_int_equal(rx_seq(r, rx_seq(r, x, a), x), rx_seq(r, x, rx_seq(r, a, x)));
    assert_int_equal(rx_seq(r, x, RX_NONE), RX_NONE);
    assert_int_equal(rx_seq(r, RX_NONE, x), RX_NONE);
    assert_int_equal(rx_seq(r, x, RX_EMPTY), x);
    assert_int_equal(rx_seq(r, RX_EMPTY, x), x);
    assert_int_equal(rx_seq(r, all, all), all);
    assert_int_equal(rx_seqs(r, NULL, 0), RX_EMPTY);
    assert_int_equal(rx_seqs(r, (rx_id[3]){a, b, a}, 3), text(r, "aba"));

    assert_int_equal(rx_alt(r, a, b), chr(r, 'a', 'b'));
    assert_int_equal(rx_alt(r, x, ab), x);
    assert_int_equal(rx_alt(r, ab, x), x);
    assert_int_equal(rx_alt(r, x, RX_NONE), x);
    assert_int_equal(rx_alt(r, x, all), all);
    assert_int_equal(rx_alt(r, x, rx_not(r, x)), all);
    assert_int_equal(rx_alt(r, ab, rx_and(r, ab, x)), ab);
    assert_int_equal(rx_alts(r, NULL, 0), RX_NONE);
    assert_int_equal(rx_alts(r, (rx_id[4]){b, x, a, ab}, 4), rx_alt(r, rx_alt(r, x, a), b));
    assert_int_equal(rx_alt(r, RX_EMPTY, rx_repeat(r, a, 0, RX_INF)),
                     rx_repeat(r, a, 0, RX_INF));
    assert_int_equal(rx_alt(r, RX_EMPTY, rx_repeat(r, a, 1, 7)), rx_repeat(r, a, 0, 7));
    assert_int_equal(rx_alt(r, rx_repeat(r, a, 2, 4), rx_repeat(r, a, 5, 9)),
                     rx_repeat(r, a, 2, 9));

    assert_int_equal(rx_and(r, x, all), x);
    assert_int_equal(rx_and(r, x, RX_NONE), RX_NONE);
    assert_int_equal(rx_and(r, x, x), x);
    assert_int_equal(rx_and(r, x, rx_not(r, x)), RX_NONE);
    assert_int_equal(rx_and(r, x, RX_EMPTY), RX_NONE);
    assert_int_equal(rx_and(r, rx_repeat(r, x, 0, 5), RX_EMPTY), RX_EMPTY);
    assert_int_equal(rx_and(r, chr(r, 'a', 'm'), chr(r, 'k', 'z')), chr(r, 'k', 'm'));
    assert_int_equal(rx_and(r, chr(r, 'a', 'b'), chr(r, 'k', 'z')), RX_NONE);
    assert_int_equal(rx_and(r, ab, rx_alt(r, ab, rx_seq(r, x, x))), ab);
    assert_int_equal(rx_and(r, rx_repeat(r, any, 2, 9), rx_repeat(r, any, 5, RX_INF)),
                     rx_repeat(r, any, 5, 9));
    assert_int_equal(rx_and(r, rx_repeat(r, any, 2, 3), rx_repeat(r, any, 5, RX_INF)), RX_NONE);

    assert_int_equal(rx_not(r, rx_not(r, x)), x);
    assert_int_equal(rx_not(r, RX_NONE), all);
    assert_int_equal(rx_not(r, all), RX_NONE);
    assert_int_equal(rx_not(r, RX_EMPTY), rx_repeat(r, any, 1, RX_INF));
    assert_int_equal(rx_not(r, rx_repeat(r, any, 1, RX_INF)), RX_EMPTY);
    rx_free(r);
}

static void test_repeat_laws(void **state)
{
    struct rx *r = store();
    struct err e;
    rx_id a = text(r, "a"), x = text(r, "xyz");

    (void)state;
    assert_int_equal(rx_repeat(r, x, 0, 0), RX_EMPTY);
    assert_int_equal(rx_repeat(r, x, 1, 1), x);
    assert_int_equal(rx_repeat(r, x, 0, 1), rx_alt(r, RX_EMPTY, x));
    assert_int_equal(rx_repeat(r, RX_NONE, 0, 5), RX_EMPTY);
    assert_int_equal(rx_repeat(r, RX_NONE, 1, 5), RX_NONE);
    assert_int_equal(rx_repeat(r, RX_EMPTY, 3, RX_INF), RX_EMPTY);
    assert_int_equal(parsed(r, "(a*)*"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "(a+)*"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "(a?)*"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "(a*)+"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "(|a)+"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "(a{2,3}){2,5}"), parsed(r, "a{4,15}"));
    assert_int_equal(parsed(r, "(a{7}){9}"), parsed(r, "a{63}"));
    assert_int_equal(parsed(r, "(a{1,2000}){1,2000}"), parsed(r, "a{1,4000000}"));
    assert_int_not_equal(parsed(r, "(a{2}){0,3}"), parsed(r, "a{0,6}"));
    assert_int_equal(parsed(r, "a*a*"), parsed(r, "a*"));
    assert_int_equal(parsed(r, "aa*"), parsed(r, "a+"));
    assert_int_equal(parsed(r, "a*a"), parsed(r, "a+"));
    assert_int_equal(parsed(r, "a{2,3}a{4,5}b"), parsed(r, "a{6,8}b"));
    /* Numbers that would not fit are not folded. */
    assert_int_equal(matches(r, parsed(r, "(a{3,4000000000}){0,4000000000}"), "aaa"), 1);
    assert_int_equal(matches(r, parsed(r, "(a{4000000000}){4000000000}"), "aaa"), 0);
    assert_int_equal(matches(r, parsed(r, "a{4000000000}a{4000000000}"), "aaa"), 0);
    assert_int_equal(rx_error(r, &e), 0);
    assert_int_equal(rx_repeat(r, a, 3, 2), RX_NONE);
    assert_int_equal(rx_error(r, &e), E_INVALID);
    rx_free(r);
}

/* Errors stick, and everything gives them from then on. */
static void test_errors_stick(void **state)
{
    struct rx *r = store();
    rx_id a = text(r, "a"), to;
    const struct rx_edge *edge;
    struct err e;
    size_t n;

    (void)state;
    assert_int_equal(text(r, "a\xFFz"), RX_NONE);
    assert_int_equal(rx_error(r, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "UTF-8"));
    assert_int_equal(text(r, "b"), RX_NONE);
    assert_int_equal(rx_any(r), RX_NONE);
    assert_int_equal(rx_alt(r, a, a), RX_NONE);
    assert_int_equal(rx_and(r, a, a), RX_NONE);
    assert_int_equal(rx_seq(r, a, a), RX_NONE);
    assert_int_equal(rx_not(r, a), RX_NONE);
    assert_int_equal(rx_repeat(r, a, 0, 9), RX_NONE);
    assert_int_equal(rx_edges(r, a, &edge, &n, &e), E_INVALID);
    assert_int_equal(rx_step(r, a, 'a', &to, &e), E_INVALID);
    assert_int_equal(rx_live(r, a, &e), E_INVALID);
    assert_int_equal(rx_finite(r, a, &e), E_INVALID);
    assert_int_equal(rx_parse(r, str_of("a"), 0, &to, &e), E_INVALID);
    rx_free(r);
}

static void test_no_such_state(void **state)
{
    struct rx *r = store();
    const struct rx_edge *edge;
    struct err e;
    rx_id to;
    size_t n;

    (void)state;
    assert_int_equal(rx_edges(r, 99999, &edge, &n, &e), E_INTERNAL);
    assert_int_equal(rx_step(r, 99999, 'a', &to, &e), E_INTERNAL);
    assert_int_equal(rx_live(r, 99999, &e), E_INTERNAL);
    assert_int_equal(rx_finite(r, 99999, &e), E_INTERNAL);
    assert_int_equal(rx_accepts(r, 99999), 0);
    assert_int_equal(rx_step(r, rx_any(r), 0xD800, &to, &e), 0);
    assert_int_equal(to, RX_NONE);
    assert_int_equal(rx_step(r, rx_any(r), 0x110000, &to, &e), 0);
    assert_int_equal(to, RX_NONE);
    rx_free(r);
}

static void test_live(void **state)
{
    static const struct {
        const char *a, *b; /* what is in both */
        int live;
    } both[] = {
        {"[ab]*a", "[ab]*b", 0},      {"(aa)*", "a(aa)*", 0},
        {"(aa)*b", "(aaa)*b", 1},     {"a{50,}", "[a-c]*", 1},
        {"(ab)+", "(ba)+", 0},        {"a{100000000,}b|cd", "[b-d]{1,9}", 1},
        {"(a|b){30}", "(a{7})*", 0},  {"(a{6})+", "(a{10})+", 1},
        {".*foo.*", ".*bar.*", 1},    {"x.*foo", "y.*", 0},
        {"(a{97})+", "(a{89})+b", 0},
    };
    struct rx *r = store();

    (void)state;
    assert_int_equal(live(r, RX_NONE), 0);
    assert_int_equal(live(r, RX_EMPTY), 1);
    for (size_t i = 0; i < sizeof(both) / sizeof(*both); i++) {
        rx_id id = rx_and(r, parsed(r, both[i].a), parsed(r, both[i].b)), tail;

        if (live(r, id) != both[i].live)
            fail_msg("%s and %s: should%s be live", both[i].a, both[i].b,
                     both[i].live ? "" : " not");
        /* As a part of something else, far from the begin, too. */
        tail = rx_seq(r, parsed(r, "z{1000000000}"), rx_seq(r, id, text(r, "!")));
        assert_int_equal(live(r, tail), both[i].live);
        assert_int_equal(live(r, rx_repeat(r, id, 2, 1000000)), both[i].live);
        assert_int_equal(live(r, rx_alt(r, text(r, "no"), id)), 1);
        assert_int_equal(live(r, rx_not(r, id)), 1);
    }
    assert_int_equal(live(r, rx_not(r, parsed(r, "[^]*"))), 0);
    assert_int_equal(live(r, rx_not(r, parsed(r, "([^][^])*|[^]([^][^])*"))), 0);
    rx_free(r);
}

/* A dead end is not entered: after "a" only the first way goes on. */
static void test_dead_edges(void **state)
{
    struct rx *r = store();
    rx_id id = rx_and(r, parsed(r, "(ab|cd|c[xy])e*"), rx_not(r, parsed(r, ".*[dxy]e*"))), to;
    const struct rx_edge *edge;
    struct err e;
    size_t n;

    (void)state;
    assert_int_equal(rx_edges(r, id, &edge, &n, &e), 0);
    assert_int_equal(n, 1);
    assert_int_equal(edge[0].lo, 'a');
    assert_int_equal(edge[0].hi, 'a');
    assert_int_equal(rx_step(r, id, 'c', &to, &e), 0);
    assert_int_equal(to, RX_NONE);
    rx_free(r);
}

static void test_finite(void **state)
{
    struct rx *r = store();
    rx_id odd = parsed(r, "a(aa)*"), five = parsed(r, ".{0,5}"),
          foo = parsed(r, "foo|ba{1,9}r");

    (void)state;
    assert_int_equal(finite(r, RX_NONE), 1);
    assert_int_equal(finite(r, RX_EMPTY), 1);
    assert_int_equal(finite(r, foo), 1);
    assert_int_equal(finite(r, parsed(r, "a{1,1000000000}")), 1);
    assert_int_equal(finite(r, odd), 0);
    assert_int_equal(finite(r, parsed(r, "a|b+c")), 0);
    assert_int_equal(finite(r, rx_and(r, odd, five)), 1);
    assert_int_equal(finite(r, rx_and(r, odd, parsed(r, "a*"))), 0);
    assert_int_equal(finite(r, rx_and(r, odd, rx_not(r, parsed(r, "a{7,}")))), 1);
    assert_int_equal(finite(r, rx_and(r, odd, rx_not(r, parsed(r, "a{2,7}")))), 0);
    assert_int_equal(finite(r, rx_and(r, odd, parsed(r, "(aa)*"))), 1);
    assert_int_equal(finite(r, rx_not(r, foo)), 0);
    assert_int_equal(finite(r, rx_not(r, rx_not(r, foo))), 1);
    assert_int_equal(finite(r, rx_not(r, parsed(r, "[^]{3,}"))), 1);
    assert_int_equal(finite(r, rx_seq(r, foo, rx_and(r, odd, five))), 1);
    rx_free(r);
}

/* An enumeration: made at once, one after the other, or from a pattern; each text of it is
 * accepted, and some that are nearly there are not. */
enum { MANY = 50000 };

static void enum_text(char out[32], int i)
{
    uint64_t h = (uint64_t)i * 0x9E3779B97F4A7C15u;
    int n;

    n = snprintf(out, 32, i % 3 ? "item/" : "");
    for (int k = 0; k < 6 + i % 5; k++, h /= 26)
        out[n++] = (char)('a' + h % 26);
    (void)snprintf(out + n, (size_t)(32 - n), "%d", i);
}

static void check_enum(struct rx *r, rx_id id)
{
    char s[40];

    for (int i = 0; i < MANY; i += 97) {
        enum_text(s, i);
        assert_int_equal(matches(r, id, s), 1);
        memcpy(s + strlen(s), "x", 2);
        assert_int_equal(matches(r, id, s), 0);
        s[strlen(s) - 2] = '\0';
        assert_int_equal(matches(r, id, s), 0);
    }
}

static void test_enum(void **state)
{
    static rx_id part[MANY];
    struct rx *r = store();
    uint64_t begin = clock_ns();
    rx_id id, slow = RX_NONE, to;
    struct err e;
    char s[32];

    (void)state;
    for (int i = 0; i < MANY; i++) {
        enum_text(s, i);
        part[i] = text(r, s);
    }
    id = rx_alts(r, part, MANY);
    assert_int_equal(rx_step(r, id, 'i', &to, &e), 0);
    print_message("50,000 texts: %.1f ms to the first step\n",
                  (double)(clock_ns() - begin) / 1e6);
    check_enum(r, id);
    assert_int_equal(finite(r, id), 1);
    rx_free(r);

    r = store();
    begin = clock_ns();
    for (int i = 0; i < MANY; i++) {
        enum_text(s, i);
        slow = rx_alt(r, slow, text(r, s));
    }
    assert_int_equal(rx_error(r, &e), 0);
    print_message("one after the other: %.1f ms\n", (double)(clock_ns() - begin) / 1e6);
    check_enum(r, slow);
    /* Together with something else. */
    id = rx_and(r, slow, parsed(r, "item/.*0"));
    enum_text(s, 20);
    assert_int_equal(matches(r, id, s), 1);
    enum_text(s, 21);
    assert_int_equal(matches(r, id, s), 0);
    rx_free(r);
}

/* What is known to take a backtracking matcher for ever takes a bounded time for a character.
 */
static void test_classics(void **state)
{
    static const struct {
        const char *pattern, *unit;
        int times, want;
    } run[] = {
        {"(a*)*b", "a", 20000, 0},
        {"(a|a)*", "a", 20000, 1},
        {"(a|aa)+", "a", 20000, 1},
        {"([x]*)*", "x", 20000, 1},
        {"(x+x+)+y", "x", 20000, 0},
        {"(.*)*(.*)*(.*)*=", "x", 20000, 0},
        {"(.*a){20}", "ab", 2000, 0},
        {"(.*a){20}.*", "ab", 2000, 1},
        {"(([a-z])+.)+[A-Z]([a-z])+", "a", 20000, 0},
        {"(a|aa){1,20000}", "a", 20000, 1},
        {"(a|aa){500,1000000000}", "a", 2000, 1},
        {"(a|b|ab)*(c|bc){1,500}", "ab", 2000, 0},
        {"a{1000000000}", "a", 5000, 0},
        {"(a{1,2000}){1,2000}", "a", 5000, 1},
        {"((ab{1,2000}c?){1,2000}){3,2000}", "abb", 1500, 1},
        {"[ab]*a[ab]{16}", "abaab", 4000, 1},
        {"(a?){5000}a{5000}", "a", 6000, 1},
        {"(a?b?c?d?e?){500}", "ace", 100, 1},
        {"((((a?)?)?)?){100}b", "a", 90, 0},
        {"(\\w+\\s?)*!", "word ", 4000, 0},
    };
    static char s[40001];
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(run) / sizeof(*run); i++) {
        struct rx *r = store();
        size_t n = strlen(run[i].unit), all = n * (size_t)run[i].times;
        uint64_t begin = clock_ns();
        int rc;

        for (size_t k = 0; k < all; k++)
            s[k] = run[i].unit[k % n];
        rc = walk(r, parsed(r, run[i].pattern), (struct str){s, all}, &e);
        if (rc != run[i].want)
            fail_msg("/%s/: %d %s", run[i].pattern, rc, rc < 0 ? e.msg : "");
        if (clock_ns() - begin > UINT64_C(2000000000))
            fail_msg("/%s/: %.1f s", run[i].pattern, (double)(clock_ns() - begin) / 1e9);
        rx_free(r);
    }
}

/* Limits are errors that say so; nothing is ever accepted because of one. */
static void test_limits(void **state)
{
    static const char *const hungry[] = {
        "[ab]*a[ab]{3000}",
        "(a|b[ab]{0,900}c|[ab]{5}d)*x",
        "((a|b){1,50}(b|c){1,50}(a|c){1,50}){1,50}",
        "(.*a.{50}|.*b.{60}|.*c.{70})*",
    };
    static const struct rx_limits few = {.nodes = 3000}, small = {.bytes = 200 * 1000};
    struct err e;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof(hungry) / sizeof(*hungry); i++) {
        struct rx *r = NULL;
        struct rng g;
        rx_id id;
        int rc;

        assert_int_equal(rx_new(&r, i % 2 ? &few : &small, &e), 0);
        rc = rx_parse(r, str_of(hungry[i / 2]), 0, &id, &e);
        rng_seed(&g, i);
        for (int k = 0; k < 1000000 && rc == 0 && id != RX_NONE; k++)
            rc = rx_step(r, id, 'a' + (uint32_t)(rng_u64(&g) >> 40) % 3, &id, &e);
        if (rc != 0 && rc != E_TOO_LONG)
            fail_msg("/%s/: %d: %s", hungry[i / 2], rc, e.msg);
        if (rc == E_TOO_LONG) {
            assert_true(strstr(e.msg, "3000") || strstr(e.msg, "200000"));
            assert_int_equal(rx_error(r, NULL), E_TOO_LONG);
            assert_int_equal(rx_live(r, id, &e), E_TOO_LONG);
        }
        rx_free(r);
    }
}

/* Emptiness that cannot be decided within the limits is an error, too, and soon. */
static void test_work_limit(void **state)
{
    struct rx *r = store();
    struct err e;
    uint64_t begin = clock_ns();
    rx_id a = parsed(r, "(a{99991})+b"), b = parsed(r, "(a{99989})+b");
    int rc = rx_live(r, rx_and(r, a, rx_and(r, b, parsed(r, "(a{99971})*b"))), &e);

    (void)state;
    assert_int_equal(rc, E_TOO_LONG);
    assert_true(clock_ns() - begin < UINT64_C(20000000000));
    rx_free(r);
}

static void test_long_text(void **state)
{
    enum { LONG = 100000 };
    static char s[LONG + 1];
    struct rx *r = store();
    rx_id id;

    (void)state;
    for (int i = 0; i < LONG; i++)
        s[i] = (char)('a' + i % 23);
    id = text(r, s);
    assert_int_equal(matches(r, id, s), 1);
    assert_int_equal(parsed(r, s), id);
    s[LONG - 1] = '!';
    assert_int_equal(matches(r, id, s), 0);
    s[LONG - 1] = '\0';
    assert_int_equal(matches(r, id, s), 0);
    rx_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets),          cmocka_unit_test(test_laws),
        cmocka_unit_test(test_repeat_laws),   cmocka_unit_test(test_errors_stick),
        cmocka_unit_test(test_no_such_state), cmocka_unit_test(test_live),
        cmocka_unit_test(test_dead_edges),    cmocka_unit_test(test_finite),
        cmocka_unit_test(test_enum),          cmocka_unit_test(test_classics),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_work_limit),
        cmocka_unit_test(test_long_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Sets of numbers against arithmetic in thousandths. */
#include "text/gram/numset.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

enum { UNIT = 1000, MEMORY = 64 << 20 };

static struct numset_room room;

static int accepts(const struct numset *s, const char *text)
{
    uint32_t at = 1;

    for (; *text && at; text++)
        at = s->next[at][*text == '-'   ? NUMSET_MINUS
                         : *text == '.' ? NUMSET_POINT
                                        : *text - '0'];
    return at && s->accept[at];
}

static struct decimal dec(const char *text)
{
    struct decimal d;

    assert_int_equal(decimal_parse(&d, str_of(text), NULL), 0);
    return d;
}

/* A text by chance, and its value in thousandths. */
static long draw(struct rng *r, char text[16])
{
    unsigned before = (unsigned)(rng_u64(r) % (rng_u64(r) % 2 ? 20 : 1500));
    unsigned n = (unsigned)(rng_u64(r) % 4), after = (unsigned)(rng_u64(r) % 1000);
    int neg = rng_u64(r) % 2 != 0;
    long value;

    if (rng_u64(r) % 3 == 0)
        after = 0;
    after -= n == 2 ? after % 10 : n == 1 ? after % 100 : n == 0 ? after : 0;
    value = (long)before * UNIT + (long)after;
    if (n)
        (void)snprintf(text, 16, "%s%u.%0*u", neg ? "-" : "", before, (int)n,
                       n == 1   ? after / 100
                       : n == 2 ? after / 10
                                : after);
    else
        (void)snprintf(text, 16, "%s%u", neg ? "-" : "", before);
    return neg ? -value : value;
}

static void test_compare(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (int round = 0; round < 300; round++) {
        char text[16], other[16];
        long x = draw(&r, text), y;
        int which = (int)(1 + rng_u64(&r) % 6);
        struct decimal d = dec(text);
        struct numset s;
        struct arena a;

        arena_init(&a, MEMORY);
        room = (struct numset_room){.arena = &a};
        assert_int_equal(numset_compare(&room, &d, which, &s, NULL), 0);
        for (int i = 0; i < 1000; i++) {
            int is;

            y = draw(&r, other);
            is = y < x ? NUMSET_LESS : y == x ? NUMSET_EQUAL : NUMSET_MORE;
            if (accepts(&s, other) != ((is & which) != 0))
                fail_msg("%s beside %s, %d", other, text, which);
        }
        arena_done(&a);
    }
}

static void test_multiples(void **state)
{
    static const char *const factors[] = {"1",    "2",    "3",   "7",   "10",
                                          "30",   "100",  "250", "0.1", "0.25",
                                          "0.01", "0.75", "1.5", "125", "0.003"};
    struct rng r;

    (void)state;
    rng_seed(&r, 2);
    for (size_t k = 0; k < sizeof(factors) / sizeof(*factors); k++) {
        struct decimal d = dec(factors[k]);
        long m = 0;
        struct numset s;
        struct arena a;
        char text[16];

        for (int i = 0; i < d.n_int + 3; i++)
            m = m * 10 + (i < d.n_int + d.n_frac ? d.d[i] - '0' : 0);
        arena_init(&a, MEMORY);
        room = (struct numset_room){.arena = &a};
        assert_int_equal(numset_multiples(&room, &d, &s, NULL), 0);
        for (int i = 0; i < 20000; i++) {
            long y = draw(&r, text);

            if (accepts(&s, text) != (y % m == 0))
                fail_msg("%s and multiples of %s", text, factors[k]);
        }
        arena_done(&a);
    }
}

static void test_list(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 3);
    for (int round = 0; round < 200; round++) {
        struct decimal d[12];
        long v[12];
        size_t n = 1 + rng_u64(&r) % 12;
        struct numset s;
        struct arena a;
        char text[16];

        for (size_t i = 0; i < n; i++) {
            v[i] = draw(&r, text);
            d[i] = dec(text);
        }
        arena_init(&a, MEMORY);
        room = (struct numset_room){.arena = &a};
        assert_int_equal(numset_list(&room, d, n, &s, NULL), 0);
        for (int i = 0; i < 1000; i++) {
            long y = draw(&r, text);
            int want = 0;

            for (size_t k = 0; k < n; k++)
                want |= v[k] == y;
            if (accepts(&s, text) != want)
                fail_msg("%s", text);
        }
        arena_done(&a);
    }
}

/* Sets that are joined say of each text what the join of the answers is; and stay small. */
static void test_join(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 4);
    for (int round = 0; round < 100; round++) {
        char t1[16], t2[16], text[16];
        struct decimal x, y;
        struct numset a, b, both, any, less;
        struct arena mem;

        (void)draw(&r, t1);
        (void)draw(&r, t2);
        x = dec(t1);
        y = dec(t2);
        arena_init(&mem, MEMORY);
        room = (struct numset_room){.arena = &mem};
        assert_int_equal(numset_compare(&room, &x, NUMSET_LESS | NUMSET_EQUAL, &a, NULL), 0);
        assert_int_equal(numset_compare(&room, &y, NUMSET_MORE, &b, NULL), 0);
        assert_int_equal(numset_and(&room, &a, &b, &both, NULL), 0);
        assert_int_equal(numset_or(&room, &a, &b, &any, NULL), 0);
        assert_int_equal(numset_minus(&room, &a, &b, &less, NULL), 0);
        for (int i = 0; i < 500; i++) {
            int in_a, in_b;

            (void)draw(&r, text);
            in_a = accepts(&a, text);
            in_b = accepts(&b, text);
            assert_int_equal(accepts(&both, text), in_a && in_b);
            assert_int_equal(accepts(&any, text), in_a || in_b);
            assert_int_equal(accepts(&less, text), in_a && !in_b);
        }
        assert_int_equal(numset_is_empty(&both), decimal_cmp(&x, &y) <= 0);
        assert_int_equal(numset_minus(&room, &a, &a, &less, NULL), 0);
        assert_true(numset_is_empty(&less));
        assert_int_equal(less.n, 2);
        arena_done(&mem);
    }
}

static void test_exponents(void **state)
{
    struct decimal zero = dec("0"), one = dec("1"), five = dec("5"), less = dec("-3");
    struct numset s, t;
    struct arena a;

    (void)state;
    arena_init(&a, MEMORY);
    room = (struct numset_room){.arena = &a};
    assert_int_equal(numset_compare(&room, &zero, NUMSET_MORE | NUMSET_EQUAL, &s, NULL), 0);
    assert_int_equal(s.must, NUMSET_E_ZERO | NUMSET_E_WHOLE | NUMSET_E_OTHER);
    assert_int_equal(s.may, s.must);
    assert_int_equal(numset_compare(&room, &one, NUMSET_MORE | NUMSET_EQUAL, &s, NULL), 0);
    assert_int_equal(s.must, NUMSET_E_WHOLE);
    assert_int_equal(s.may, NUMSET_E_WHOLE | NUMSET_E_OTHER);
    assert_int_equal(numset_compare(&room, &five, NUMSET_LESS, &s, NULL), 0);
    assert_int_equal(s.must, NUMSET_E_ZERO | NUMSET_E_NEG_WHOLE | NUMSET_E_NEG_OTHER);
    assert_int_equal(s.may, NUMSET_E_ALL);
    assert_int_equal(numset_all(&room, &t, NULL), 0);
    assert_int_equal(numset_minus(&room, &t, &s, &s, NULL), 0); /* 5 or more */
    assert_int_equal(s.must, 0);
    assert_int_equal(s.may, NUMSET_E_WHOLE | NUMSET_E_OTHER);
    assert_int_equal(numset_compare(&room, &less, NUMSET_EQUAL, &s, NULL), 0);
    assert_int_equal(s.must, 0);
    assert_int_equal(numset_integers(&room, &s, NULL), 0);
    assert_int_equal(s.must, NUMSET_E_ZERO | NUMSET_E_WHOLE | NUMSET_E_NEG_WHOLE);
    arena_done(&a);
}

static void test_decimal(void **state)
{
    static const struct {
        const char *text, *whole;
        int n_int;
    } cases[] = {{"0", "0", 1},       {"-0.00", "0", 1},    {"12.50", "125", 2},
                 {"1e3", "1000", 4},  {"1.25e1", "125", 2}, {"5e-3", "0005", 1},
                 {"120e-1", "12", 2}, {"0.1", "01", 1}};
    static const char *const wrong[] = {"", "-", "1.", ".5", "1e", "1e+", "0x1", "1 ", "--1"};
    struct decimal d;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        d = dec(cases[i].text);
        assert_int_equal(d.n_int, cases[i].n_int);
        assert_int_equal(d.n_int + d.n_frac, (int)strlen(cases[i].whole));
        assert_memory_equal(d.d, cases[i].whole, strlen(cases[i].whole));
        assert_int_equal(d.neg, 0);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(decimal_parse(&d, str_of(wrong[i]), NULL), E_INVALID);
    assert_int_equal(decimal_parse(&d, str_of("1e700"), NULL), 0);
    assert_int_equal(decimal_parse(&d, str_of("1e800"), NULL), E_TOO_LONG);
    assert_int_equal(decimal_parse(&d, str_of("1e-99999999999999999999"), NULL), E_TOO_LONG);
    assert_int_equal(decimal_parse(&d, str_of("0e99999999999999999999"), NULL), 0);
}

static void test_limits(void **state)
{
    struct decimal d = dec("99991");
    struct numset s;
    struct arena a;

    (void)state;
    arena_init(&a, MEMORY);
    room = (struct numset_room){.arena = &a};
    assert_int_equal(numset_multiples(&room, &d, &s, NULL), E_TOO_LONG);
    d = dec("7");
    for (uint64_t n = 1, rc = 1; rc; n++) {
        (void)mem_fail_at(n, 1);
        rc = (uint64_t)numset_multiples(&room, &d, &s, NULL);
        (void)mem_fail_at(0, 0);
        if (rc)
            assert_int_equal((int)rc, E_NOMEM);
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),   cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_list),      cmocka_unit_test(test_join),
        cmocka_unit_test(test_exponents), cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

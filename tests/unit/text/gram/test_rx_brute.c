/* Random expressions against sets of words: every word of three letters up to length 5. */
#include "text/gram/rx.h"

#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

enum { LETTERS = 3, LONGEST = 5, WORDS = 1 + 3 + 9 + 27 + 81 + 243, SETS = (WORDS + 63) / 64 };

/* Words are numbered by length, then by letters. */
static int length_of[WORDS], first_of[LONGEST + 2], value_of[WORDS];

struct language {
    uint64_t w[SETS];
};

static int in(const struct language *l, int word)
{
    return (int)(l->w[word / 64] >> (word % 64) & 1);
}

static void put(struct language *l, int word)
{
    l->w[word / 64] |= (uint64_t)1 << (word % 64);
}

static void number_words(void)
{
    int n = 0, count = 1;

    for (int len = 0; len <= LONGEST; len++, count *= LETTERS) {
        first_of[len] = n;
        for (int v = 0; v < count; v++, n++) {
            length_of[n] = len;
            value_of[n] = v;
        }
    }
    first_of[LONGEST + 1] = n;
}

static int joined(int a, int b) /* -1: too long */
{
    int len = length_of[a] + length_of[b], v = value_of[a];

    if (len > LONGEST)
        return -1;
    for (int i = 0; i < length_of[b]; i++)
        v *= LETTERS;
    return first_of[len] + v + value_of[b];
}

static struct language lang_seq(const struct language *a, const struct language *b)
{
    struct language r = {{0}};

    for (int i = 0; i < WORDS; i++) {
        for (int k = 0; in(a, i) && k < WORDS; k++) {
            if (in(b, k) && joined(i, k) >= 0)
                put(&r, joined(i, k));
        }
    }
    return r;
}

static struct language lang_repeat(const struct language *a, uint32_t min, uint32_t max)
{
    struct language r = {{0}}, power = {{1}};

    for (uint32_t i = 0; i <= max && i <= min + LONGEST + 1; i++) {
        for (int s = 0; i >= min && s < SETS; s++)
            r.w[s] |= power.w[s];
        power = lang_seq(&power, a);
    }
    return r;
}

struct pair {
    rx_id id;
    struct language is;
};

static struct pair leaf(struct rx *r, uint32_t kind)
{
    struct pair p = {RX_NONE, {{0}}};
    char text[8] = "";
    uint32_t set = kind % 7 + 1;
    struct rx_range range[3];
    size_t n = 0;
    int word;

    if (kind % 16 == 0)
        return p;
    if (kind % 16 == 1) {
        put(&p.is, 0);
        p.id = RX_EMPTY;
        return p;
    }
    if (kind % 2) {
        word = (int)(kind / 2 % WORDS);
        for (int i = length_of[word] - 1, v = value_of[word]; i >= 0; i--, v /= LETTERS)
            text[i] = (char)('a' + v % LETTERS);
        put(&p.is, word);
        p.id = rx_text(r, str_of(text));
        return p;
    }
    for (uint32_t i = 0; i < LETTERS; i++) {
        if (set >> i & 1) {
            range[n++] = (struct rx_range){'a' + i, 'a' + i};
            put(&p.is, 1 + (int)i);
        }
    }
    p.id = rx_set(r, range, n);
    return p;
}

static uint32_t draw(struct rng *g)
{
    return (uint32_t)(rng_u64(g) >> 33);
}

static struct pair make(struct rx *r, struct rng *g, int depth);

static struct pair make_repeat(struct rx *r, struct rng *g, int depth)
{
    static const uint32_t bound[] = {0, 0, 0, 1, 1, 2, 3};
    struct pair a = make(r, g, depth - 1), p;
    uint32_t min = bound[draw(g) % 7], max = min + bound[draw(g) % 7];

    if (draw(g) % 2)
        max = RX_INF;
    p.id = rx_repeat(r, a.id, min, max);
    p.is = lang_repeat(&a.is, min, max);
    return p;
}

static struct pair make(struct rx *r, struct rng *g, int depth)
{
    struct pair a, b, p;
    uint32_t op = draw(g) % 10;

    if (depth == 0 || op == 0)
        return leaf(r, draw(g));
    if (op <= 2)
        return make_repeat(r, g, depth);
    a = make(r, g, depth - 1);
    if (op == 3) {
        /* The complement within all words over all letters: those over ours are what is seen.
         */
        p.id = rx_not(r, a.id);
        for (int s = 0; s < SETS; s++)
            p.is.w[s] = ~a.is.w[s];
        return p;
    }
    b = make(r, g, depth - 1);
    p.is = lang_seq(&a.is, &b.is);
    if (op <= 5) {
        p.id = rx_seq(r, a.id, b.id);
        return p;
    }
    p.id = op <= 7 ? rx_alt(r, a.id, b.id) : rx_and(r, a.id, b.id);
    for (int s = 0; s < SETS; s++)
        p.is.w[s] = op <= 7 ? a.is.w[s] | b.is.w[s] : a.is.w[s] & b.is.w[s];
    return p;
}

static int accepts(struct rx *r, rx_id id, int word)
{
    struct err e;

    for (int i = length_of[word] - 1; i >= 0 && id != RX_NONE; i--) {
        int v = value_of[word];

        for (int k = 0; k < i; k++)
            v /= LETTERS;
        if (rx_step(r, id, (uint32_t)('a' + v % LETTERS), &id, &e) < 0)
            fail_msg("step: %s", e.msg);
    }
    return rx_accepts(r, id);
}

/* Edges are sorted and disjoint, agree with steps, and lead to live states. */
static void check_edges(struct rx *r, rx_id id)
{
    const struct rx_edge *edge;
    struct rx_edge copy[64];
    size_t n;
    struct err e;
    rx_id to;

    assert_int_equal(rx_edges(r, id, &edge, &n, &e), 0);
    assert_true(n <= 64);
    if (n > 0)
        memcpy(copy, edge, n * sizeof(*copy));
    for (size_t i = 0; i < n; i++) {
        assert_true(copy[i].lo <= copy[i].hi && copy[i].hi <= RX_CP_MAX);
        assert_true(i == 0 || copy[i - 1].hi < copy[i].lo);
        assert_int_equal(rx_live(r, copy[i].to, &e), 1);
        assert_int_equal(rx_step(r, id, copy[i].lo, &to, &e), 0);
        assert_int_equal(to, copy[i].to);
        assert_int_equal(rx_step(r, id, copy[i].hi, &to, &e), 0);
        assert_int_equal(to, copy[i].to);
        if (i > 0 && copy[i - 1].hi + 1 < copy[i].lo) {
            assert_int_equal(rx_step(r, id, copy[i].lo - 1, &to, &e), 0);
            assert_int_equal(to, RX_NONE);
        }
    }
}

static void test_random(void **state)
{
    struct rng g;
    struct rx *r = NULL;
    struct err e;

    (void)state;
    number_words();
    rng_seed(&g, 20240607);
    for (int round = 0; round < 3000; round++) {
        struct pair p;
        int some = 0, live;

        if (round % 100 == 0) {
            rx_free(r);
            assert_int_equal(rx_new(&r, NULL, &e), 0);
        }
        p = make(r, &g, 1 + round % 5);
        if (rx_error(r, &e) < 0)
            fail_msg("round %d: %s", round, e.msg);
        live = rx_live(r, p.id, &e);
        for (int w = 0; w < WORDS; w++) {
            if (accepts(r, p.id, w) != in(&p.is, w))
                fail_msg("round %d: word %d of length %d should%s match", round, value_of[w],
                         length_of[w], in(&p.is, w) ? "" : " not");
            some |= in(&p.is, w);
        }
        if (live < some)
            fail_msg("round %d: live is %d", round, live);
        check_edges(r, p.id);
    }
    rx_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

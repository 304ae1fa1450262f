/* Random objects against all orders of their keys: whole ones, and where each may go on. */
#include "gram_make.h"

#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { PROPS = 4, REST = 4, KEYS = PROPS + REST, LONGEST = 6, OBJECTS = 5000 };

/* Keys PROPS and later are those of the rest: r0, r1, ... */
struct object {
    int n_prop, n_rest; /* keys that exist; n_rest: REST stands for any number */
    unsigned required, dead, needs[PROPS];
    unsigned min, max;
    int ordered;
};

static struct rng rng;

static unsigned below(unsigned n)
{
    return (unsigned)(rng_u64(&rng) % n);
}

static int exists(const struct object *o, int key)
{
    return key < PROPS ? key < o->n_prop && !(o->dead >> key & 1) : key < PROPS + o->n_rest;
}

static int may_follow(const struct object *o, const int *key, int n, int next)
{
    for (int i = 0; i < n; i++) {
        if (key[i] == next)
            return 0;
    }
    if (!exists(o, next))
        return 0;
    return !o->ordered || n == 0 || (next < PROPS ? key[n - 1] < next : 1);
}

static int is_whole(const struct object *o, const int *key, int n)
{
    unsigned there = 0;

    for (int i = 0; i < n; i++)
        there |= key[i] < PROPS ? 1u << key[i] : 0;
    for (int i = 0; i < PROPS; i++) {
        if (there >> i & 1 && o->needs[i] & ~there)
            return 0;
    }
    return !(o->required & ~there) && (unsigned)n >= o->min && (unsigned)n <= o->max;
}

/* 1: the keys can be completed to an object. */
static int completes(const struct object *o, int *key, int n)
{
    if (is_whole(o, key, n))
        return 1;
    for (int next = 0; n < LONGEST && next < KEYS; next++) {
        if (!may_follow(o, key, n, next))
            continue;
        key[n] = next;
        if (completes(o, key, n + 1))
            return 1;
    }
    return 0;
}

static void write_key(struct buf *b, int key)
{
    if (key < PROPS)
        assert_int_equal(buf_fmt(b, "\"%c\"", "abcd"[key]), 0);
    else
        assert_int_equal(
            buf_fmt(b, rng_u64(&rng) % 2 ? "\"r%d\"" : "\"\\u0072%d\"", key - PROPS), 0);
}

static gram_state put(struct gram *g, gram_state s, const char *p, size_t n)
{
    struct err e = {0};

    if (gram_put(g, s, p, n, &s, NULL, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

/* All that may come behind the first n keys, and so on. s: behind { or the last value. */
static void compare(struct gram *g, const struct object *o, int *key, int n, gram_state s,
                    int most)
{
    gram_state end = put(g, s, "}", 1);
    int any = 0;

    assert_int_equal(gram_must_end(g, end), is_whole(o, key, n));
    if (n)
        s = put(g, s, ",", 1);
    for (int next = 0; n < most && next < KEYS; next++) {
        struct buf text;
        gram_state to;
        int ok;

        key[n] = next;
        ok = may_follow(o, key, n, next) && completes(o, key, n + 1);
        any |= ok;
        buf_init(&text, 100);
        write_key(&text, next);
        to = s ? put(g, s, text.p, text.n) : 0;
        buf_done(&text);
        if ((to != 0) != ok)
            fail_msg("key %d behind %d: %d, not %d", next, n ? key[n - 1] : -1, to != 0, ok);
        if (ok) {
            to = put(g, to, ":1", 2);
            assert_true(to);
            compare(g, o, key, n + 1, to, most);
        }
    }
    if (n && n < most)
        assert_int_equal(s != 0, any);
}

static void random_object(struct object *o)
{
    *o = (struct object){.n_prop = (int)below(PROPS + 1), .ordered = (int)below(2)};
    o->n_rest = below(2) ? 0 : below(2) ? 2 : REST;
    o->required = below(2) ? below(16) & ((1u << o->n_prop) - 1) : 0;
    o->dead = below(3) ? 0 : below(16) & below(16);
    o->min = below(2) ? 0 : below(5);
    /* More would have to be looked at than there are keys of the rest. */
    o->max = below(3) ? below(5) : o->n_rest == REST ? LONGEST : 100;
    for (int i = 0; i < o->n_prop; i++)
        o->needs[i] = below(3) ? 0 : below(16) & ((1u << o->n_prop) - 1);
}

static gram_ref build(struct gram *g, const struct object *o)
{
    struct rx *r = gram_rx(g);
    gram_ref one = gram_bytes(g, str_of("1"));
    static uint32_t needs[PROPS][PROPS];
    struct gram_prop prop[PROPS];
    struct gram_rest rest = {rx_seq(r, rx_text(r, str_of("r")), make_range(g, '0', '1')), one};
    struct gram_object from;
    static const char *const names[] = {"a", "b", "c", "d"};

    if (o->n_rest == REST)
        rest.key = rx_seq(r, rx_text(r, str_of("r")),
                          rx_repeat(r, make_range(g, '0', '9'), 1, RX_INF));
    for (int i = 0; i < o->n_prop; i++) {
        prop[i] = (struct gram_prop){.name = str_of(names[i]),
                                     .value = o->dead >> i & 1 ? GRAM_NEVER : one,
                                     .required = o->required >> i & 1,
                                     .needs = needs[i]};
        for (unsigned k = 0; k < PROPS; k++) {
            if (o->needs[i] >> k & 1)
                needs[i][prop[i].n_needs++] = k;
        }
    }
    from = make_object(g, prop, (uint32_t)o->n_prop, 0);
    from.rest = &rest;
    from.n_rest = o->n_rest > 0;
    from.min = o->min;
    from.max = o->max;
    from.ordered = o->ordered;
    return gram_object(g, &from);
}

static void test_random(void **state)
{
    int n_done = 0, n_empty = 0, n_knots = 0;

    (void)state;
    rng_seed(&rng, 3);
    for (int i = 0; i < OBJECTS; i++) {
        struct object o;
        struct gram *g;
        struct err e = {0};
        int key[LONGEST + 1], rc;

        random_object(&o);
        assert_int_equal(gram_new(&g, NULL, NULL), 0);
        rc = gram_finish(g, build(g, &o), &e);
        if (rc == 0) {
            n_done++;
            assert_true(completes(&o, key, 0));
            compare(g, &o, key, 0, put(g, gram_start(g), "{", 1), 4);
        } else {
            assert_int_equal(rc, E_INVALID);
            n_knots += strstr(e.msg, "need each other") != NULL;
            if (strstr(e.msg, "no text")) {
                n_empty++;
                assert_false(completes(&o, key, 0));
            }
        }
        gram_free(g);
    }
    print_message("%d objects, %d impossible, %d with knots\n", n_done, n_empty, n_knots);
    assert_true(n_done > OBJECTS / 2);
    assert_true(n_knots < OBJECTS / 20);
    assert_int_equal(n_done + n_empty + n_knots, OBJECTS);
}

/* -- by hand -------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    struct gram *g;
    struct gram_object o;
    struct err e = {0};

    (void)state;
    assert_int_equal(gram_new(&g, NULL, NULL), 0);
    struct gram_prop twice[] = {{.name = str_of("a"), .value = GRAM_EMPTY},
                                {.name = str_of("a"), .value = GRAM_EMPTY}};
    o = make_object(g, twice, 2, 0);
    (void)gram_object(g, &o);
    assert_int_equal(gram_finish(g, GRAM_EMPTY, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "property a is there twice"));
    gram_free(g);

    assert_int_equal(gram_new(&g, NULL, NULL), 0);
    struct gram_prop broken[] = {{.name = str_of("a\xff"), .value = GRAM_EMPTY}};
    o = make_object(g, broken, 1, 0);
    (void)gram_object(g, &o);
    assert_int_equal(gram_finish(g, GRAM_EMPTY, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "not UTF-8"));
    gram_free(g);

    /* Two by two, but three in all. */
    assert_int_equal(gram_new(&g, NULL, NULL), 0);
    static const uint32_t of[] = {1, 0, 3, 2};
    struct gram_prop pair[4];
    for (int i = 0; i < 4; i++)
        pair[i] = (struct gram_prop){.name = (struct str){&"abcd"[i], 1},
                                     .value = gram_bytes(g, str_of("1")),
                                     .needs = of + i,
                                     .n_needs = 1};
    o = make_object(g, pair, 4, 0);
    o.min = o.max = 3;
    assert_int_equal(gram_finish(g, gram_object(g, &o), &e), E_INVALID);
    assert_non_null(strstr(e.msg, "need each other"));
    gram_free(g);
}

/* Keys of the rest are remembered however they are written, also the empty one. */
static void test_keys_once(void **state)
{
    struct gram *g;
    static const char some[] = "{\"\":1,\"\\ud83d\\ude00\":{\"\":2},\"a\":3,";
    gram_state s;
    struct buf text;

    (void)state;
    assert_int_equal(gram_new(&g, NULL, NULL), 0);
    assert_int_equal(gram_finish(g, make_json(g, 0), NULL), 0);
    s = put(g, gram_start(g), some, strlen(some));
    assert_true(s);
    assert_int_equal(put(g, s, "\"\"", 2), 0);
    assert_int_equal(put(g, s, "\"a\"", 3), 0);
    assert_int_equal(put(g, s, "\"\\u0061\"", 8), 0);
    assert_int_equal(put(g, s, "\"\xf0\x9f\x98\x80\"", 6), 0);
    assert_true(put(g, s, "\"ab\"", 4));
    assert_true(put(g, s, "\"\\u00e9\"", 8));
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 500; i++)
        assert_int_equal(buf_fmt(&text, "%s\"key%d\":0", i ? "," : "{", i), 0);
    s = put(g, gram_start(g), text.p, text.n);
    assert_true(s);
    assert_int_equal(put(g, s, ",\"key77\"", 8), 0);
    assert_true(put(g, s, ",\"key777\"", 9));
    buf_done(&text);
    gram_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_keys_once)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

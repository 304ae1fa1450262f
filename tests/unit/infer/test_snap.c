/* Copies of state: found by the page that they stand behind, few, the oldest leaves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "infer/snap.h"

#include <string.h>

enum { BYTES = 100, ROOM = 3 };

static void put(struct snap *p, uint64_t serial)
{
    unsigned char state[BYTES];

    memset(state, (int)serial, BYTES);
    (void)snap_put(p, serial, state);
}

static int has(struct snap *p, uint64_t serial)
{
    unsigned char want[BYTES];
    const unsigned char *got = snap_find(p, serial);

    memset(want, (int)serial, BYTES);
    if (got)
        assert_memory_equal(got, want, BYTES);
    return got != NULL;
}

static void test_oldest_leaves(void **state)
{
    struct snap *p = NULL;

    (void)state;
    assert_int_equal(snap_new(&p, BYTES, ROOM, NULL), 0);
    assert_int_equal(snap_room(p), ROOM);
    assert_false(has(p, 1));
    for (uint64_t i = 1; i <= 3; i++)
        put(p, i);
    assert_true(has(p, 1));
    put(p, 4); /* in the place of 2: 1 was asked for since */
    assert_false(has(p, 2));
    put(p, 3); /* there already: it is used again, not twice there */
    put(p, 5);
    assert_false(has(p, 1));
    assert_true(has(p, 3));
    assert_true(has(p, 4));
    assert_true(has(p, 5));
    snap_free(p);
}

/* Without room, and without a serial, nothing is kept. */
static void test_none(void **state)
{
    struct snap *p = NULL;

    (void)state;
    assert_int_equal(snap_new(&p, BYTES, 0, NULL), 0);
    put(p, 1);
    assert_false(has(p, 1));
    snap_free(p);
    assert_int_equal(snap_new(&p, BYTES, 1, NULL), 0);
    put(p, 0);
    assert_null(snap_find(p, 0));
    snap_free(p);
    snap_free(NULL);
}

/* Every 8 pages in a short text, a few for each doubling of a long one. */
static void test_wanted(void **state)
{
    int n = 0;

    (void)state;
    assert_false(snap_wanted(0));
    for (int i = 1; i < 64; i++)
        assert_int_equal(snap_wanted(i), i % 8 == 0);
    for (int i = 1 << 14; i < 1 << 15; i++)
        n += snap_wanted(i);
    assert_in_range(n, 2, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_leaves),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_wanted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>

enum { MANY = 20000 };

static char names[MANY][12];

static struct str name(int i)
{
    (void)snprintf(names[i], sizeof(names[i]), "key%d", i);
    return str_of(names[i]);
}

static void test_put_get(void **state)
{
    struct map m;
    uint32_t v = 77;

    (void)state;
    assert_int_equal(map_init(&m, 0), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(map_put(&m, name(i), (uint32_t)i, NULL), 0);
    assert_int_equal(m.n, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(map_get(&m, name(i), &v), 1);
        assert_int_equal(v, i);
    }
    v = 77;
    assert_int_equal(map_get(&m, str_of("key"), &v), 0);
    assert_int_equal(map_get(&m, str_of("key20000"), &v), 0);
    assert_int_equal(v, 77);
    assert_int_equal(map_put(&m, name(5), 1000, &v), 1);
    assert_int_equal(v, 5);
    assert_int_equal(m.n, MANY);
    assert_int_equal(map_get(&m, name(5), &v), 1);
    assert_int_equal(v, 1000);
    map_done(&m);
    assert_int_equal(map_get(&m, name(5), &v), 0); /* an empty map has nothing */
}

/* Keys are bytes: NULs and the empty key count. */
static void test_odd_keys(void **state)
{
    struct map m = {0}; /* map_put makes the room that map_init would have */
    uint32_t v = 0;

    (void)state;
    assert_int_equal(map_put(&m, (struct str){"", 0}, 1, NULL), 0);
    assert_int_equal(map_put(&m, (struct str){"\0", 1}, 2, NULL), 0);
    assert_int_equal(map_put(&m, (struct str){"\0\0", 2}, 3, NULL), 0);
    assert_int_equal(map_put(&m, (struct str){"12345678", 8}, 4, NULL), 0);
    assert_int_equal(map_put(&m, (struct str){"12345678\0", 9}, 5, NULL), 0);
    assert_int_equal(m.n, 5);
    assert_int_equal(map_get(&m, (struct str){"\0\0", 2}, &v), 1);
    assert_int_equal(v, 3);
    assert_int_equal(map_get(&m, (struct str){"12345678\0", 9}, &v), 1);
    assert_int_equal(v, 5);
    map_done(&m);
}

/* Room that was asked for is there: no allocation until it is used up. */
static void test_room(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n++) {
        struct map m;

        assert_int_equal(map_init(&m, n), 0);
        (void)mem_fail_at(1, 1);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(map_put(&m, name((int)i), 0, NULL), 0);
        (void)mem_fail_at(0, 0);
        map_done(&m);
    }
}

static void test_no_memory(void **state)
{
    struct map m;
    struct map64 m64;
    uint32_t v = 0;
    int n = 0;

    (void)state;
    assert_int_equal(map_init(&m, SIZE_MAX), E_NOMEM);
    assert_int_equal(map64_init(&m64, SIZE_MAX), E_NOMEM);
    (void)mem_fail_at(1, 1);
    assert_int_equal(map_init(&m, 10), E_NOMEM);
    (void)mem_fail_at(0, 0);
    assert_int_equal(map_init(&m, 0), 0);
    (void)mem_fail_at(1, 1);
    while (n < 1000 && map_put(&m, name(n), (uint32_t)n, NULL) == 0)
        n++;
    (void)mem_fail_at(0, 0);
    assert_in_range(n, 1, 999);
    assert_int_equal(m.n, n); /* what was in it still is */
    for (int i = 0; i < n; i++)
        assert_int_equal(map_get(&m, name(i), &v), 1);
    map_done(&m);
}

/* Puts, changes and deletes in a random order, against a plain array. */
static void test_map64(void **state)
{
    static uint32_t want[512]; /* 0: not there */
    struct map64 m = {0};
    struct rng r;
    size_t n = 0;

    (void)state;
    rng_seed(&r, 7);
    for (int step = 0; step < 200000; step++) {
        uint64_t i = rng_u64(&r) % 512, key = i * 0x100000001u;
        uint32_t v = 0, to = (uint32_t)(rng_u64(&r) >> 33) + 1;

        switch (rng_u64(&r) % 3) {
        case 0:
            assert_int_equal(map64_put(&m, key, to), want[i] != 0);
            n += want[i] == 0;
            want[i] = to;
            break;
        case 1:
            assert_int_equal(map64_del(&m, key), want[i] != 0);
            n -= want[i] != 0;
            want[i] = 0;
            break;
        default:
            assert_int_equal(map64_get(&m, key, &v), want[i] != 0);
            assert_int_equal(v, want[i]);
        }
        assert_int_equal(m.n, n);
    }
    for (uint64_t i = 0; i < 512; i++) {
        uint32_t v = 0;

        assert_int_equal(map64_get(&m, i * 0x100000001u, &v), want[i] != 0);
        assert_int_equal(v, want[i]);
    }
    map64_done(&m);
    assert_int_equal(map64_del(&m, 1), 0);
}

static void test_hash(void **state)
{
    unsigned seen[256] = {0}, most = 0;

    (void)state;
    assert_true(map_hash("abc", 3) == map_hash("abc", 3));
    assert_true(map_hash("abc", 3) != map_hash("abd", 3));
    assert_true(map_hash("abc", 2) != map_hash("abc", 3));
    for (uint64_t i = 0; i < 25600; i++) /* numbers in a row spread over the low bits */
        seen[map_hash64(i) % 256]++;
    for (int i = 0; i < 256; i++)
        most = seen[i] > most ? seen[i] : most;
    assert_in_range(most, 100, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_get), cmocka_unit_test(test_odd_keys),
        cmocka_unit_test(test_room),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_map64),   cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The memory of words: right ids or none; and the array of ids under it. */
#include "text/words.h"

#include "base/mem.h"
#include "text/tok_ids.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

/* The ids of the word numbered k are k, k + 1, .. k % 5 of them. */
static int put(struct words *w, struct tok_ids *out, char (*name)[8], uint32_t k)
{
    struct str word = str_of(name[k]);
    struct words_slot *slot;
    size_t at = out->n;
    int hit = words_get(w, word, out, &slot);

    if (hit == 0) {
        for (uint32_t i = 0; i < k % 5; i++)
            assert_int_equal(tok_ids_put(out, (int32_t)(k + i)), 0);
        words_put(slot, word, out, at);
    }
    assert_int_equal(out->n - at, k % 5);
    for (uint32_t i = 0; i < k % 5; i++)
        assert_int_equal(out->id[at + i], k + i);
    return hit;
}

static void test_hits(void **state)
{
    static char name[5000][8];
    struct tok_ids out = {0};
    struct words w;
    int hits = 0;

    (void)state;
    for (int i = 0; i < 5000; i++)
        (void)snprintf(name[i], sizeof(name[i]), "w%d", i);
    assert_int_equal(words_init(&w, 20000), 0);
    for (uint32_t i = 0; i < 40000; i++)
        hits += put(&w, &out, name, i * i % 5000);
    assert_true(hits > 10000);
    (void)put(&w, &out, name, 77);
    assert_int_equal(put(&w, &out, name, 77), 1);
    words_done(&w);
    tok_ids_done(&out);
}

static void test_none(void **state)
{
    static const char big[100] = "x";
    struct tok_ids out = {0};
    struct words_slot *slot;
    struct words w;

    (void)state;
    assert_int_equal(words_init(&w, 10), 0);
    assert_int_equal(words_get(&w, str_of("a"), &out, &slot), 0);
    assert_null(slot);
    words_put(slot, str_of("a"), &out, 0);
    words_done(&w);
    assert_int_equal(words_init(&w, 100000), 0);
    assert_int_equal(words_get(&w, (struct str){big, sizeof(big)}, &out, &slot), 0);
    assert_null(slot);
    words_done(&w);
    mem_fail_at(1, 0);
    assert_int_equal(words_init(&w, 100000), E_NOMEM);
    mem_fail_at(0, 0);
    words_done(&w);
}

static void test_ids(void **state)
{
    struct tok_ids ids = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(tok_ids_put(&ids, i), 0);
    assert_int_equal(ids.n, 1000);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(ids.id[i], i);
    assert_int_equal(tok_ids_room(&ids, SIZE_MAX), E_NOMEM);
    assert_int_equal(tok_ids_room(&ids, SIZE_MAX / 8), E_NOMEM);
    assert_int_equal(tok_ids_room(&ids, 5000), 0);
    assert_true(ids.cap >= 6000);
    assert_int_equal(ids.n, 1000);
    tok_ids_done(&ids);
    assert_null(ids.id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

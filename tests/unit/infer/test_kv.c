/* Pages of the cache against a slow model of what kv.h says: states, order of leaving, and
 * what can be found. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "infer/kv.h"

enum { TOKENS = 4, PAGES = 6 };

static const int32_t text_a[TOKENS] = {1, 2, 3, 4}, text_b[TOKENS] = {1, 2, 3, 5};

static struct kv *make(int n_page)
{
    struct kv *kv = NULL;

    assert_int_equal(kv_new(&kv, 64, n_page, TOKENS, NULL), 0);
    return kv;
}

static void check_stats(const struct kv *kv, int n_page, int used, int cached)
{
    struct kv_stats st;

    kv_stats(kv, &st);
    assert_int_equal(st.n_page, n_page);
    assert_int_equal(st.used, used);
    assert_int_equal(st.cached, cached);
}

static void test_states(void **state)
{
    struct kv *kv = make(2);
    struct err e = {0};
    uint64_t serial, again = 0;
    int a = kv_take(kv, NULL), b;

    (void)state;
    assert_in_range(a, 0, 1);
    assert_true(kv_private(kv, a));
    memset(kv_data(kv, a), 7, 64);
    check_stats(kv, 2, 1, 0);
    kv_ref(kv, a);
    assert_false(kv_private(kv, a)); /* held twice */
    kv_unref(kv, a);
    assert_true(kv_private(kv, a));
    serial = kv_publish(kv, a, 0, text_a);
    assert_true(serial != 0);
    assert_false(kv_private(kv, a)); /* can be found */
    kv_unref(kv, a);
    check_stats(kv, 2, 0, 1);
    assert_int_equal(kv_find(kv, 0, text_b, &again), -1);
    assert_int_equal(kv_find(kv, serial, text_a, &again), -1); /* not behind that page */
    assert_int_equal(kv_find(kv, 0, text_a, &again), a);
    assert_true(again == serial);
    assert_int_equal(kv_data(kv, a)[63], 7);
    check_stats(kv, 2, 1, 0);
    b = kv_take(kv, NULL);
    assert_int_equal(b, 1 - a);
    assert_int_equal(kv_data(kv, b)[0], 0); /* zero before its first use */
    assert_int_equal(kv_take(kv, &e), E_BUSY);
    assert_int_equal(e.code, E_BUSY);
    kv_unref(kv, b); /* was private: free, not cached */
    check_stats(kv, 2, 1, 0);
    kv_unref(kv, a);
    kv_free(kv);
    kv_free(NULL);
}

/* Free pages are taken before cached ones, and of these the one let go longest ago. */
static void test_order(void **state)
{
    struct kv *kv = make(4);
    int page[3], at;
    uint64_t serial[3], got;

    (void)state;
    for (int i = 0; i < 3; i++) {
        int32_t ids[TOKENS] = {i};

        page[i] = kv_take(kv, NULL);
        serial[i] = kv_publish(kv, page[i], 0, ids);
    }
    kv_unref(kv, page[1]);
    kv_unref(kv, page[0]);
    kv_unref(kv, page[2]);
    /* Found and let go again: now the youngest. */
    assert_int_equal(kv_find(kv, 0, (int32_t[TOKENS]){1}, &got), page[1]);
    assert_true(got == serial[1]);
    kv_unref(kv, page[1]);
    at = kv_take(kv, NULL);
    assert_true(at != page[0] && at != page[1] && at != page[2]);
    assert_int_equal(kv_take(kv, NULL), page[0]);
    assert_int_equal(kv_find(kv, 0, (int32_t[TOKENS]){0}, &got), -1);
    assert_int_equal(kv_take(kv, NULL), page[2]);
    assert_int_equal(kv_take(kv, NULL), page[1]);
    assert_int_equal(kv_take(kv, NULL), E_BUSY);
    kv_free(kv);
}

/* The same content twice: both pages stay with their holders, one can be found. */
static void test_duplicates(void **state)
{
    struct kv *kv = make(3);
    int a = kv_take(kv, NULL), b = kv_take(kv, NULL);
    uint64_t serial = kv_publish(kv, a, 0, text_a), got;

    (void)state;
    assert_true(kv_publish(kv, b, 0, text_a) == serial);
    assert_true(kv_private(kv, b));
    assert_true(kv_publish(kv, b, serial, text_a) != serial); /* other place, other content */
    assert_int_equal(kv_find(kv, 0, text_a, &got), a);
    assert_int_equal(kv_find(kv, serial, text_a, &got), b);
    kv_free(kv);
}

/* Texts of different salts stand behind different roots; the oldest of too many is forgotten.
 */
static void test_roots(void **state)
{
    struct kv *kv = make(4);
    uint64_t one = kv_root(kv, 1), two = kv_root(kv, UINT64_MAX), got;
    int a = kv_take(kv, NULL), b = kv_take(kv, NULL);

    (void)state;
    assert_true(kv_root(kv, 0) == 0);
    assert_true(one && two && one != two);
    assert_true(kv_publish(kv, a, one, text_a) != kv_publish(kv, b, two, text_a));
    assert_int_equal(kv_find(kv, 0, text_a, &got), -1);
    assert_int_equal(kv_find(kv, one, text_a, &got), a);
    assert_int_equal(kv_find(kv, two, text_a, &got), b);
    for (uint64_t i = 0; i < KV_ROOTS - 1; i++) {
        (void)kv_root(kv, 100 + i);
        assert_true(kv_root(kv, 1) == one);
    }
    assert_true(kv_root(kv, UINT64_MAX) != two);
    kv_free(kv);
}

struct left {
    int page[8], n;
    int32_t first[8];
    const struct kv *kv;
};

static void note(void *ctx, int i)
{
    struct left *l = ctx;

    l->first[l->n] = kv_ids(l->kv, i)[0];
    l->page[l->n++] = i;
}

/* Who watches hears of published pages before they lose their content, and of no others. */
static void test_watch(void **state)
{
    struct kv *kv = make(3);
    struct left l = {.kv = kv}, all = {.kv = kv};
    int page[3];

    (void)state;
    kv_watch(kv, note, &l);
    for (int i = 0; i < 3; i++) {
        page[i] = kv_take(kv, NULL);
        if (i < 2)
            (void)kv_publish(kv, page[i], 0, (int32_t[TOKENS]){7 + i});
    }
    for (int i = 0; i < 3; i++)
        kv_unref(kv, page[i]);
    kv_each_cached(kv, note, &all);
    assert_int_equal(all.n, 2);
    assert_int_equal(all.page[0], page[1]); /* let go last */
    assert_int_equal(all.first[1], 7);
    assert_int_equal(kv_take(kv, NULL), page[2]);
    assert_int_equal(l.n, 0);
    assert_int_equal(kv_take(kv, NULL), page[0]);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.page[0], page[0]);
    assert_int_equal(l.first[0], 7);
    kv_free(kv);
}

static void test_no_memory(void **state)
{
    struct err e = {0};
    int n = 0, rc;

    (void)state;
    do {
        struct kv *kv = NULL;

        (void)mem_fail_at((uint64_t)++n, 0);
        rc = kv_new(&kv, 4096, 8, TOKENS, &e);
        (void)mem_fail_at(0, 0);
        assert_true(rc == 0 || (rc == E_NOMEM && !kv));
        kv_free(kv);
    } while (rc < 0);
    assert_in_range(n, 4, 20); /* it has some allocations, and all of them can fail */
}

/* -- against a model ------------------------------------------------------------------- */

/* What kv.h says, as a list: `age` orders those that nobody holds. */
struct slow {
    int refs[PAGES];
    uint64_t serial[PAGES], parent[PAGES], age[PAGES], clock;
    int32_t ids[PAGES][TOKENS];
};

static int slow_oldest(const struct slow *m, int cached)
{
    int best = -1;

    for (int i = 0; i < PAGES; i++) {
        if (m->refs[i] == 0 && !!m->serial[i] == cached &&
            (best < 0 || m->age[i] < m->age[best]))
            best = i;
    }
    return best;
}

static int slow_find(const struct slow *m, uint64_t parent, const int32_t *ids)
{
    for (int i = 0; i < PAGES; i++) {
        if (m->serial[i] && m->parent[i] == parent &&
            memcmp(m->ids[i], ids, sizeof(m->ids[i])) == 0)
            return i;
    }
    return -1;
}

static void random_take(struct kv *kv, struct slow *m)
{
    int got = kv_take(kv, NULL), any = slow_oldest(m, 0) >= 0, cached = slow_oldest(m, 1);

    if (!any && cached < 0) {
        assert_int_equal(got, E_BUSY);
        return;
    }
    assert_in_range(got, 0, PAGES - 1);
    assert_int_equal(m->refs[got], 0);
    if (any)
        assert_true(m->serial[got] == 0);
    else
        assert_int_equal(got, cached);
    m->refs[got] = 1;
    m->serial[got] = 0;
}

static void random_publish(struct kv *kv, struct slow *m, int page, uint64_t parent,
                           const int32_t *ids)
{
    int same = slow_find(m, parent, ids);
    uint64_t serial;

    if (m->refs[page] != 1 || m->serial[page])
        return;
    serial = kv_publish(kv, page, parent, ids);
    assert_true(serial != 0);
    if (same >= 0) {
        assert_true(serial == m->serial[same]);
        return;
    }
    for (int i = 0; i < PAGES; i++)
        assert_true(serial != m->serial[i]);
    m->serial[page] = serial;
    m->parent[page] = parent;
    memcpy(m->ids[page], ids, sizeof(m->ids[page]));
}

static void check_all(const struct kv *kv, const struct slow *m)
{
    int used = 0, cached = 0;

    for (int i = 0; i < PAGES; i++) {
        used += m->refs[i] > 0;
        cached += m->refs[i] == 0 && m->serial[i];
        assert_int_equal(kv_private(kv, i), m->refs[i] == 1 && !m->serial[i]);
    }
    check_stats(kv, PAGES, used, cached);
}

static void test_random(void **state)
{
    struct kv *kv = make(PAGES);
    struct slow m = {.clock = 1};
    struct rng r;

    (void)state;
    rng_seed(&r, 77);
    for (int step = 0; step < 200000; step++) {
        int page = (int)(rng_u64(&r) % PAGES), what = (int)(rng_u64(&r) % 6), want;
        int32_t ids[TOKENS] = {(int32_t)(rng_u64(&r) % 3)};
        uint64_t parent = rng_u64(&r) % 2 ? 0 : m.serial[rng_u64(&r) % PAGES], serial = 0;

        if (what == 0) {
            random_take(kv, &m);
        } else if (what == 1) {
            random_publish(kv, &m, page, parent, ids);
        } else if (what == 2) {
            want = slow_find(&m, parent, ids);
            assert_int_equal(kv_find(kv, parent, ids, &serial), want);
            assert_true(want < 0 || serial == m.serial[want]);
            if (want >= 0)
                m.refs[want]++;
        } else if (what == 3 && m.refs[page] > 0 && m.refs[page] < 4) {
            kv_ref(kv, page);
            m.refs[page]++;
        } else if (what >= 4 && m.refs[page] > 0) {
            kv_unref(kv, page);
            m.refs[page]--;
            m.age[page] = m.clock++;
        }
        check_all(kv, &m);
    }
    kv_free(kv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_duplicates), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_random),     cmocka_unit_test(test_roots),
        cmocka_unit_test(test_watch),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The two ways to join symbols against the definition, on random rules. */
#include "text/merge.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { N_ID = 12, N_MAX = 300 };

struct rules {
    uint32_t pair[N_ID][N_ID]; /* number of the pair, or MERGE_NONE */
    uint32_t rank[N_ID * N_ID], made[N_ID * N_ID];
};

static uint32_t pair_of(const void *ctx, const struct merge_sym *l, const struct merge_sym *r,
                        size_t n_byte)
{
    const struct rules *x = ctx;

    assert_true(n_byte >= 2);
    return x->pair[l->id][r->id];
}

static void fill(struct rules *x, struct rng *r)
{
    unsigned n_rank = 1 + (unsigned)(rng_u64(r) % 40), sparse = (unsigned)(rng_u64(r) % 4);

    for (uint32_t i = 0; i < N_ID * N_ID; i++) {
        x->pair[i / N_ID][i % N_ID] = rng_u64(r) % 4 >= sparse ? i : MERGE_NONE;
        x->rank[i] = (uint32_t)(rng_u64(r) % n_rank);
        x->made[i] = (uint32_t)(rng_u64(r) % N_ID);
    }
}

/* Scans the whole row for each join. */
static size_t slow(const struct rules *x, uint32_t *id, uint32_t *len, size_t n)
{
    for (;;) {
        size_t best = n;

        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t p = x->pair[id[i]][id[i + 1]];

            if (p != MERGE_NONE &&
                (best == n || x->rank[p] < x->rank[x->pair[id[best]][id[best + 1]]]))
                best = i;
        }
        if (best == n)
            return n;
        id[best] = x->made[x->pair[id[best]][id[best + 1]]];
        len[best] += len[best + 1];
        memmove(id + best + 1, id + best + 2, (n - best - 2) * sizeof(*id));
        memmove(len + best + 1, len + best + 2, (n - best - 2) * sizeof(*len));
        n--;
    }
}

static void one_round(struct merge *m, struct rng *r)
{
    struct rules x;
    struct merge_rules rules = {pair_of, &x, x.rank, x.made};
    uint32_t id[N_MAX], len[N_MAX];
    size_t n = (size_t)(rng_u64(r) % N_MAX), k = 0;

    if (rng_u64(r) % 2)
        n %= 40;
    fill(&x, r);
    assert_int_equal(merge_start(m, n), 0);
    for (size_t i = 0; i < n; i++) {
        id[i] = (uint32_t)(rng_u64(r) % N_ID);
        len[i] = 1;
        merge_add(m, id[i], (uint32_t)i);
    }
    assert_int_equal(merge_run(m, &rules, (uint32_t)n), 0);
    n = slow(&x, id, len, n);
    for (uint32_t i = 0; i < m->n; i = m->sym[i].next, k++) {
        assert_true(k < n);
        assert_int_equal(m->sym[i].id, id[k]);
        assert_int_equal(m->sym[m->sym[i].next].at - m->sym[i].at, len[k]);
    }
    assert_int_equal(k, n);
}

static void test_random(void **state)
{
    struct merge m = {0};
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (int i = 0; i < 3000; i++)
        one_round(&m, &r);
    merge_done(&m);
}

/* Without tables a pair is its own rank and its own id. */
static uint32_t sum(const void *ctx, const struct merge_sym *l, const struct merge_sym *r,
                    size_t n_byte)
{
    (void)ctx;
    (void)n_byte;
    return l->id + r->id <= 4 ? l->id + r->id : MERGE_NONE;
}

static void test_no_tables(void **state)
{
    struct merge_rules rules = {sum, NULL, NULL, NULL};
    struct merge m = {0};

    (void)state;
    for (uint32_t n = 8; n <= 800; n *= 10) {
        assert_int_equal(merge_start(&m, n), 0);
        for (uint32_t i = 0; i < n; i++)
            merge_add(&m, 1, i);
        assert_int_equal(merge_run(&m, &rules, n), 0);
        for (uint32_t i = 0; i < n; i = m.sym[i].next) {
            assert_int_equal(m.sym[i].id, 4);
            assert_int_equal(m.sym[i].next, i + 4);
        }
    }
    merge_done(&m);
}

static void test_no_memory(void **state)
{
    struct merge_rules rules = {sum, NULL, NULL, NULL};
    struct merge m = {0};

    (void)state;
    mem_fail_at(1, 0);
    assert_int_equal(merge_start(&m, 10), E_NOMEM);
    mem_fail_at(0, 0);
    assert_int_equal(merge_start(&m, MERGE_NONE), E_NOMEM);
    assert_int_equal(merge_start(&m, 100), 0);
    for (uint32_t i = 0; i < 100; i++)
        merge_add(&m, 1, i);
    mem_fail_at(1, 0);
    assert_int_equal(merge_run(&m, &rules, 100), E_NOMEM);
    mem_fail_at(0, 0);
    merge_done(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_no_tables),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

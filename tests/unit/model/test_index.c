/* Choosing positions, against the obvious way; equal scores, and what no score should be. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

#include "base/rng.h"
#include "model/block/block.h"

enum { D = 24, HEADS = 3, N = 200, PAGES = 16 };

/* Keys in pages behind something else, and the queries of one token. */
struct fixture {
    struct index ix;
    struct step_run run;
    float pages[PAGES][16 + D * KERN_PAGE];
    unsigned char *page[PAGES];
    float key[N][D], q[HEADS * D], w[HEADS];
};

static void init(struct fixture *f, struct rng *r, int ratio, int top)
{
    for (int i = 0; i < PAGES; i++)
        f->page[i] = (unsigned char *)f->pages[i];
    f->run = (struct step_run){.n = 1, .page = f->page};
    f->ix = (struct index){.n_head = HEADS,
                           .d = D,
                           .top = top,
                           .ratio = ratio,
                           .off = 16 * sizeof(float),
                           .q = f->q,
                           .w = f->w};
    for (int i = 0; i < HEADS * D; i++)
        f->q[i] = rng_normal(r);
    for (int h = 0; h < HEADS; h++)
        f->w[h] = rng_normal(r) + 0.3F;
    for (int i = 0; i < N; i++) {
        for (int d = 0; d < D; d++)
            f->key[i][d] = rng_normal(r);
        blk_index_put(&f->ix, &f->run, i, f->key[i]);
    }
}

static float score_of(const struct fixture *f, int i)
{
    float score = 0;

    for (int h = 0; h < HEADS; h++) {
        float sum = 0;

        for (int d = 0; d < D; d++)
            sum += f->q[h * D + d] * f->key[i][d];
        score += f->w[h] * (sum > 0 ? sum : 0);
    }
    return score;
}

/* What is chosen of n keys is ascending, of the right number, and nothing else is better. */
static void check(const struct fixture *f, int n)
{
    float score[N], least = INFINITY;
    int32_t best[N];
    int chosen[N] = {0}, got = blk_index_best(&f->ix, 0, &f->run, n, score, best);

    assert_int_equal(got, n < f->ix.top ? n : f->ix.top);
    for (int i = 0; i < got; i++) {
        assert_in_range(best[i], i ? best[i - 1] + 1 : 0, n - 1);
        chosen[best[i]] = 1;
        least = fminf(least, score_of(f, best[i]));
    }
    for (int i = 0; i < n; i++)
        assert_true(chosen[i] || score_of(f, i) <= least);
}

static void test_best(void **state)
{
    static struct fixture f;
    struct rng r;

    (void)state;
    rng_seed(&r, 5);
    for (int round = 0; round < 60; round++) {
        init(&f, &r, round % 2 ? 4 : 1, 1 + round * 2);
        for (int n = 1; n <= N; n += 1 + round % 7)
            check(&f, n);
    }
}

/* Scores that are all equal, infinite, or no numbers still give so many positions. */
static void test_odd(void **state)
{
    static const float odd[] = {0, INFINITY, NAN, -INFINITY, 1};
    static struct fixture f;
    struct rng r;

    (void)state;
    rng_seed(&r, 6);
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        float score[N];
        int32_t best[N];

        init(&f, &r, 1, 50);
        for (int h = 0; h < HEADS; h++)
            f.w[h] = odd[i];
        assert_int_equal(blk_index_best(&f.ix, 0, &f.run, N, score, best), 50);
        for (int k = 0; k < 50; k++)
            assert_in_range(best[k], k ? best[k - 1] + 1 : 0, N - 1);
    }
}

/* The choice among equals is that of the heap, by hand: of six positions the first four are in
 * it, with the scores 2 0 0 0, of which position 2 is the root; 4 replaces it, then 3 is. */
static void test_equal(void **state)
{
    static const float key[] = {2, 0, 0, 0, 3, 1};
    static const int32_t want[] = {0, 1, 4, 5};
    static struct fixture f;
    struct rng r;
    float score[6];
    int32_t best[6];

    (void)state;
    rng_seed(&r, 7);
    init(&f, &r, 1, 4);
    for (int i = 0; i < HEADS * D; i++)
        f.q[i] = i == 0;
    f.w[0] = 1;
    for (int i = 0; i < 6; i++) {
        f.key[i][0] = key[i];
        blk_index_put(&f.ix, &f.run, i, f.key[i]);
    }
    assert_int_equal(blk_index_best(&f.ix, 0, &f.run, 6, score, best), 4);
    assert_memory_equal(best, want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_best),
        cmocka_unit_test(test_odd),
        cmocka_unit_test(test_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

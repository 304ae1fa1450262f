/* Choosing experts, against the obvious way; and what no router should say but may. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <math.h>
#include <cmocka.h>

#include "base/rng.h"
#include "model/block/block.h"

#include <string.h>

enum { N_MAX = 128 };

static void slow_scores(const struct moe_params *m, const float *logit, double *p)
{
    double sum = 0;

    for (int i = 0; i < m->n; i++) {
        p[i] =
            m->score == MOE_SIGMOID ? 1 / (1 + exp(-(double)logit[i])) : exp((double)logit[i]);
        sum += p[i];
    }
    for (int i = 0; i < m->n && m->score == MOE_SOFTMAX; i++)
        p[i] /= sum;
}

/* The best of those that `taken` does not mark. */
static int slow_best(const struct moe_params *m, const double *p, const int *taken)
{
    int best = -1;

    for (int i = 0; i < m->n; i++) {
        if (!taken[i] && (best < 0 || p[i] > p[best]))
            best = i;
    }
    return best;
}

static void check(const struct moe_params *m, const float *logit)
{
    float score[N_MAX], weight[N_MAX];
    int32_t expert[N_MAX];
    double p[N_MAX], sum = 0;
    int taken[N_MAX] = {0};

    slow_scores(m, logit, p);
    memcpy(score, logit, (size_t)m->n * sizeof(*score));
    blk_moe_choose(m, NULL, NULL, score, expert, weight);
    for (int i = 0; i < m->n_used; i++) {
        int best = slow_best(m, p, taken);

        assert_int_equal(expert[i], best);
        taken[best] = 1;
        sum += p[best];
    }
    for (int i = 0; i < m->n_used; i++) {
        double want = p[expert[i]] / (m->norm ? sum : 1) * (double)m->scale;

        if (!(fabs((double)weight[i] - want) <= 2e-6 * want))
            fail_msg("%d of %d, score %d, norm %d: weight %d is %.9g, want %.9g", m->n_used,
                     m->n, m->score, m->norm, i, (double)weight[i], want);
    }
}

static void test_choice(void **state)
{
    static const int n[] = {1, 2, 5, 8, 64, N_MAX};
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (int round = 0; round < 600; round++) {
        struct moe_params m = {.n = n[round % 6],
                               .score = round / 6 % 2 ? MOE_SIGMOID : MOE_SOFTMAX,
                               .norm = round / 12 % 2,
                               .scale = round % 5 ? 1 : 2.5f};
        float logit[N_MAX];

        m.n_used = 1 + (int)(rng_u64(&r) % (uint64_t)(m.n < 10 ? m.n : 10));
        for (int i = 0; i < m.n; i++)
            logit[i] = rng_normal(&r) * 3;
        check(&m, logit);
    }
}

/* Of equal ones the first. */
static void test_ties(void **state)
{
    struct moe_params m = {.n = 9, .n_used = 4, .score = MOE_SOFTMAX, .norm = 1, .scale = 1};
    const float logit[] = {0, 2, 1, 2, 0, 2, 1, 1, 0};
    const int32_t want[] = {1, 3, 5, 2};
    float score[9], weight[4];
    int32_t expert[4];

    (void)state;
    check(&m, logit);
    memcpy(score, logit, sizeof(score));
    blk_moe_choose(&m, NULL, NULL, score, expert, weight);
    assert_memory_equal(expert, want, sizeof(want));
}

/* Damaged weights may give anything: still different experts that exist. */
static void test_odd_scores(void **state)
{
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0, -0.0f, 1e30f, -1e30f, 1};
    struct rng r;

    (void)state;
    rng_seed(&r, 2);
    for (int round = 0; round < 2000; round++) {
        struct moe_params m = {.n = 1 + (int)(rng_u64(&r) % 12),
                               .score = round % MOE_SCORE_N,
                               .norm = round / 2 % 2,
                               .scale = 1};
        float score[12], weight[12];
        int32_t expert[12];
        int seen[12] = {0};

        m.n_used = 1 + (int)(rng_u64(&r) % (uint64_t)m.n);
        for (int i = 0; i < m.n; i++)
            score[i] = odd[rng_u64(&r) % (sizeof(odd) / sizeof(*odd))];
        blk_moe_choose(&m, NULL, NULL, score, expert, weight);
        for (int i = 0; i < m.n_used; i++) {
            assert_in_range(expert[i], 0, m.n - 1);
            assert_int_equal(seen[expert[i]]++, 0);
        }
    }
}

/* Weights too small for their sum to divide by. */
static void test_small_sum(void **state)
{
    struct moe_params m = {.n = 3, .n_used = 2, .score = MOE_SIGMOID, .norm = 1, .scale = 1};
    float score[] = {-20, -21, -30}, weight[2];
    int32_t expert[2];

    (void)state;
    blk_moe_choose(&m, NULL, NULL, score, expert, weight);
    assert_true(fabs((double)weight[0] / (exp(-20.0) / 6.103515625e-5) - 1) < 1e-5);
    assert_true(fabs((double)weight[1] / (exp(-21.0) / 6.103515625e-5) - 1) < 1e-5);
}

/* Sigmoids of large results are the same number; the best is still known. */
static void test_large(void **state)
{
    struct moe_params m = {.n = 4, .n_used = 2, .score = MOE_SIGMOID, .scale = 1};
    float score[] = {30, 20, 50, 40}, weight[2];
    int32_t expert[2];

    (void)state;
    blk_moe_choose(&m, NULL, NULL, score, expert, weight);
    assert_int_equal(expert[0], 2);
    assert_int_equal(expert[1], 3);
    assert_true(weight[0] == 1 && weight[1] == 1);
}

/* SparseMixer: an expert shares with those that are within 2 % of it, but for those that were
 * chosen before. */
static void test_sparse(void **state)
{
    struct moe_params m = {.n = 5, .n_used = 2, .score = MOE_SPARSE, .scale = 1};
    static const struct {
        float score[5];
        int expert[2];
        double sum[2]; /* of exponentials, relative to the chosen one's */
    } want[] = {
        {{1, 4, 2, 3, 0}, {1, 3}, {1, 1}},                /* far apart */
        {{1, 4, 3.95f, 3, 0}, {1, 2}, {1 + 0.951229, 1}}, /* the second is near the first */
        {{1, 4, 3, 2.97f, 2.95f}, {1, 2}, {1, 1 + 0.970446 + 0.951229}},
        {{-4, -4.05f, -9, -8, -7}, {0, 1}, {1 + 0.951229, 1}}, /* of sizes that are negative */
    };

    (void)state;
    for (size_t k = 0; k < sizeof(want) / sizeof(*want); k++) {
        float score[5], weight[2];
        int32_t expert[2];

        memcpy(score, want[k].score, sizeof(score));
        blk_moe_choose(&m, NULL, NULL, score, expert, weight);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(expert[i], want[k].expert[i]);
            if (!(fabs((double)weight[i] * want[k].sum[i] - 1) < 1e-5))
                fail_msg("case %zu, expert %d: weight %g", k, i, (double)weight[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),     cmocka_unit_test(test_ties),
        cmocka_unit_test(test_odd_scores), cmocka_unit_test(test_small_sum),
        cmocka_unit_test(test_large),      cmocka_unit_test(test_sparse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Functions of one number (enum kern_act), each tier against formulas in double: over their
 * range, at bounds, with and without a second number, at every place in a row. */
#include "kern_test.h"

#include <float.h>

static const char *const names[KERN_ACT_N] = {
    [KERN_ACT_SILU] = "silu",         [KERN_ACT_GELU] = "gelu",
    [KERN_ACT_GELU_ERF] = "gelu_erf", [KERN_ACT_GELU_QUICK] = "gelu_quick",
    [KERN_ACT_RELU] = "relu",         [KERN_ACT_RELU2] = "relu2",
    [KERN_ACT_SIGMOID] = "sigmoid",   [KERN_ACT_SOFTPLUS] = "softplus",
    [KERN_ACT_TANH] = "tanh",         [KERN_ACT_OAI] = "oai",
    [KERN_ACT_CLAMP_IN] = "clamp_in", [KERN_ACT_CLAMP_OUT] = "clamp_out",
};

static double min2(double a, double b)
{
    return a < b ? a : b;
}

/* As the models' papers write them. */
static double formula(int act, double limit, double x)
{
    switch (act) {
    case KERN_ACT_GELU:
        return x / (1 + exp(-2 * sqrt(2 / M_PI) * x * (1 + 0.044715 * x * x)));
    case KERN_ACT_GELU_ERF:
        return 0.5 * x * erfc(-x / sqrt(2));
    case KERN_ACT_GELU_QUICK:
        return x / (1 + exp(-1.702 * x));
    case KERN_ACT_RELU:
        return x > 0 ? x : 0;
    case KERN_ACT_RELU2:
        return x > 0 ? x * x : 0;
    case KERN_ACT_SIGMOID:
        return 1 / (1 + exp(-x));
    case KERN_ACT_SOFTPLUS:
        return x > 30 ? x : log1p(exp(x));
    case KERN_ACT_TANH:
        return tanh(x);
    case KERN_ACT_OAI:
        return min2(x, limit) / (1 + exp(-1.702 * min2(x, limit)));
    case KERN_ACT_CLAMP_IN:
        return min2(x, limit) / (1 + exp(-min2(x, limit)));
    case KERN_ACT_CLAMP_OUT:
        return min2(x / (1 + exp(-x)), limit);
    default:
        return x / (1 + exp(-x));
    }
}

static double formula_up(int act, double limit, double u)
{
    double bounded = u > limit ? limit : u < -limit ? -limit : u;

    return act < KERN_ACT_OAI ? u : act == KERN_ACT_OAI ? bounded + 1 : bounded;
}

/* Steps over the range, then ever smaller numbers of both signs. */
static size_t fill_range(float *x)
{
    size_t n = 0;

    for (int i = -3000; i <= 3000; i++)
        x[n++] = (float)i * 0.0101f;
    for (float v = 90; v > 1e-6f; v *= 0.97f) {
        x[n++] = v;
        x[n++] = -v;
    }
    x[n++] = 0;
    return n;
}

/* The error beside the result, and beside the argument, as vexp.h states them. */
static void range_of_tier(const struct kern *k)
{
    enum { MAX = 8000 };
    static float x[MAX], up[MAX], y[MAX + 1], two[MAX];
    static const float limit = 7;
    size_t n = fill_range(x);
    struct rng r;

    assert_true(n <= MAX);
    rng_seed(&r, 41);
    fill_normal(&r, up, n, 5);
    for (int act = 0; act < KERN_ACT_N; act++) {
        double most = 0, small = 0;

        y[n] = 77;
        k->act(act, limit, x, NULL, y, n);
        assert_true(y[n] == 77);
        k->act(act, limit, x, up, two, n);
        for (size_t i = 0; i < n; i++) {
            double want = formula(act, (double)limit, (double)x[i]),
                   u = formula_up(act, (double)limit, (double)up[i]), error,
                   size = fabs((double)x[i]) < 1 ? fabs((double)x[i]) : 1;

            error = fabs((double)y[i] - want);
            most = want != 0 && fabs((double)x[i]) < 5 && error / fabs(want) > most
                       ? error / fabs(want)
                       : most;
            small = error > small ? error : small;
            if (!(error <= 6e-7 * fabs(want) + 1e-7 * size))
                fail_msg("%s %s(%.9g) = %.9g, want %.9g", kern_tier_name(k->tier), names[act],
                         (double)x[i], (double)y[i], want);
            error = fabs((double)two[i] - want * u);
            if (!(error <= 8e-7 * fabs(want * u) + 1e-7 * size * (fabs(u) + 1)))
                fail_msg("%s %s(%.9g, %.9g) = %.9g, want %.9g", kern_tier_name(k->tier),
                         names[act], (double)x[i], (double)up[i], (double)two[i], want * u);
        }
        print_message("# %s %s: relative %.2g below 5, absolute %.2g\n",
                      kern_tier_name(k->tier), names[act], most, small);
    }
}

static void test_range(void **state)
{
    (void)state;
    each_tier(range_of_tier);
}

/* A number's place in a row and the row's length change no bit; results may go to the place of
 * either argument; nothing is written past the end. */
static void places_of_tier(const struct kern *k)
{
    enum { N = 70 };
    float x[N], up[N], all[N], one, row[N + 1];
    struct rng r;

    rng_seed(&r, 42);
    fill_normal(&r, x, N, 3);
    fill_normal(&r, up, N, 3);
    for (int act = 0; act < KERN_ACT_N; act++) {
        k->act(act, 2, x, up, all, N);
        for (size_t i = 0; i < N; i++) {
            k->act(act, 2, x + i, up + i, &one, 1);
            assert_memory_equal(&one, &all[i], sizeof(one));
        }
        for (size_t n = 0; n <= N; n++) {
            memcpy(row, n % 2 ? x : up, n * sizeof(*row));
            row[n] = 77;
            k->act(act, 2, n % 2 ? row : x, n % 2 ? up : row, row, n);
            assert_memory_equal(row, all, n * sizeof(*row));
            assert_true(row[n] == 77);
        }
    }
}

static void test_places(void **state)
{
    (void)state;
    each_tier(places_of_tier);
}

/* What is no number stays none and is not bounded away; the largest numbers stay in range. */
static void odd_of_tier(const struct kern *k)
{
    static const float big[] = {FLT_MAX, INFINITY};
    float nan = NAN, one = 1, low = -FLT_MAX, y;

    for (int act = 0; act < KERN_ACT_N; act++) {
        k->act(act, 7, &nan, NULL, &y, 1);
        assert_true(isnan(y));
        k->act(act, 7, &one, &nan, &y, 1);
        assert_true(isnan(y));
        for (int i = 0; i < 2; i++) {
            double want = act == KERN_ACT_SIGMOID || act == KERN_ACT_TANH ? 1
                          : act >= KERN_ACT_OAI                           ? 7
                                                                          : (double)INFINITY;

            if (i == 0 && want > 7 && act != KERN_ACT_RELU2)
                want = (double)FLT_MAX;
            k->act(act, 7, &big[i], NULL, &y, 1);
            if (!((double)y == want || fabs((double)y - want) <= 0.01 * (want <= 7)))
                fail_msg("%s %s(%g) = %g, want %g", kern_tier_name(k->tier), names[act],
                         (double)big[i], (double)y, want);
        }
        k->act(act, 7, &low, NULL, &y, 1);
        assert_true(act == KERN_ACT_TANH ? y == -1 : fabsf(y) <= 10);
    }
}

static void test_odd(void **state)
{
    (void)state;
    each_tier(odd_of_tier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_range),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_odd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

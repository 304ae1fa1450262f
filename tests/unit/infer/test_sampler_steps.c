/* Each step of the sampler on small vectors whose results can be worked out by hand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "infer/sampler.h"

#include <math.h>

static const struct sampler_options off = {
    .temperature = 1, .top_p = 1, .typical_p = 1, .repeat_penalty = 1, .seed = 1};

static struct sampler *make(const struct sampler_options *o, int n_vocab, int n_ctx)
{
    struct sampler *s = NULL;
    struct err e = {0};

    if (sampler_new(&s, o, n_vocab, n_ctx, &e) < 0)
        fail_msg("%s", e.msg);
    return s;
}

static int greedy_after(struct sampler_options o, const float *x, int n, int n_ctx,
                        const int *text, int n_text)
{
    struct sampler *s;
    int id;

    o.temperature = 0;
    s = make(&o, n, n_ctx);
    for (int i = 0; i < n_text; i++)
        sampler_accept(s, text[i]);
    id = sampler_pick(s, x, NULL, NULL);
    sampler_free(s);
    return id;
}

/* -- bias, and repetitions ----------------------------------------------------------- */

static int greedy_biased(const struct sampler_bias *b, size_t n_b, const float *x, int n)
{
    struct sampler_options o = off;

    o.bias = b;
    o.n_bias = n_b;
    return greedy_after(o, x, n, 8, NULL, 0);
}

static void test_bias(void **state)
{
    const float x[4] = {1, 2, 3, -INFINITY};
    const struct sampler_bias less = {2, -1.5F}, more = {0, 2.5F}, none = {2, -INFINITY},
                              twice[] = {{2, -0.6F}, {0, -9}, {2, -0.6F}}, last = {3, 100},
                              all[] = {{2, -INFINITY}, {0, -INFINITY}, {1, -INFINITY}, {1, 5}};
    const uint32_t mask = 1, seven = 7, last_only = 8;
    struct sampler_options o = off;
    struct sampler *s;
    struct err e;

    (void)state;
    assert_int_equal(greedy_biased(&less, 1, x, 4), 1);
    assert_int_equal(greedy_biased(&more, 1, x, 4), 0);
    assert_int_equal(greedy_biased(&none, 1, x, 4), 1);
    assert_int_equal(greedy_biased(twice, 1, x, 4), 2);
    assert_int_equal(greedy_biased(twice, 3, x, 4), 1); /* 3 - 0.6 - 0.6 */
    assert_int_equal(greedy_biased(&last, 1, x, 4), 2); /* what is ruled out stays out */
    for (int t = 0; t < 2; t++) {
        o.temperature = (float)t;
        o.bias = all;
        o.n_bias = 4;
        s = make(&o, 4, 4);
        assert_int_equal(sampler_pick(s, x, NULL, &e), E_INVALID);
        assert_string_equal(e.msg, "logit_bias: rules out every token that there is");
        assert_int_equal(sampler_pick(s, x, &seven, &e), E_INVALID);
        assert_int_equal(sampler_pick(s, x, &last_only, &e), E_NUMERIC); /* it was never one */
        sampler_free(s);
        o.bias = &more;
        o.n_bias = 1;
        s = make(&o, 4, 4);
        assert_int_equal(sampler_pick(s, x, &mask, NULL), 0);
        sampler_free(s);
    }
    /* Before the penalties: (3 + 1) / 2 is less than 2.2, 3 / 2 + 1 would not be. */
    o = off;
    o.bias = &(struct sampler_bias){0, 1};
    o.n_bias = 1;
    o.repeat_penalty = 2;
    o.repeat_last_n = 4;
    assert_int_equal(greedy_after(o, (const float[]){3, 2.2F}, 2, 8, (const int[]){0}, 1), 1);
}

static void test_bias_checked(void **state)
{
    static const struct {
        struct sampler_bias b;
        const char *words;
    } bad[] = {
        {{-1, 0}, "logit_bias of token id -1: expected 0 to 9"},
        {{10, 0}, "logit_bias of token id 10: expected 0 to 9"},
        {{3, NAN},
         "logit_bias of token 3 must be a number, or minus infinity, which rules it "
         "out"},
        {{3, INFINITY},
         "logit_bias of token 3 must be a number, or minus infinity, which "
         "rules it out"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct sampler_bias b[2] = {{9, 1}, bad[i].b};
        struct sampler_options o = off;
        struct sampler *s = NULL;
        struct err e;

        o.bias = b;
        o.n_bias = 2;
        assert_int_equal(sampler_new(&s, &o, 10, 10, &e), E_INVALID);
        assert_string_equal(e.msg, bad[i].words);
        assert_null(s);
    }
}

/* What token 3 must have above token 9 to be chosen. */
static void check_dry(struct sampler_options o, const int *text, int n_text, float penalty)
{
    float x[10];

    for (int i = 0; i < 10; i++)
        x[i] = i == 9 ? 0 : -50;
    x[3] = penalty * 0.999F - 0.001F;
    assert_int_equal(greedy_after(o, x, 10, 64, text, n_text), 9);
    x[3] = penalty * 1.001F + 0.001F;
    assert_int_equal(greedy_after(o, x, 10, 64, text, n_text), 3);
}

static void test_dry(void **state)
{
    const int two[] = {1, 2, 3, 1, 2}, three[] = {0, 1, 2, 3, 0, 1, 2},
              both[] = {0, 1, 2, 3, 5, 2, 3, 0, 1, 2}, same[] = {3, 3, 3, 3, 3, 3};
    const uint32_t one = 1U << 1, two_breaks = 1U << 2, zero = 1U << 0;
    struct sampler_options o = off;

    (void)state;
    sampler_defaults(&o);
    check_dry(o, two, 5, 0); /* off */
    o.dry_multiplier = 0.8F;
    check_dry(o, two, 5, 0.8F);
    check_dry(o, two, 4, 0);      /* what goes on with one token is no repetition */
    check_dry(o, three, 7, 1.4F); /* 0.8 * 1.75 */
    check_dry(o, both, 10, 1.4F); /* the longer of two */
    check_dry(o, same, 6, 0.8F * 1.75F * 1.75F * 1.75F); /* 5 tokens */
    o.dry_base = 3;
    check_dry(o, three, 7, 2.4F);
    o.dry_base = 1;
    check_dry(o, three, 7, 0.8F);
    o.dry_base = 1.75F;
    o.dry_allowed_length = 3;
    check_dry(o, two, 5, 0);
    check_dry(o, three, 7, 0.8F);
    o.dry_allowed_length = 1;
    check_dry(o, two, 4, 0);
    check_dry(o, three, 7, 0.8F * 1.75F * 1.75F);
    o.dry_allowed_length = 2;
    o.dry_last_n = 4;
    check_dry(o, two, 5, 0);
    o.dry_last_n = 5;
    check_dry(o, two, 5, 0.8F);
    o.dry_last_n = 0;
    check_dry(o, two, 5, 0);
    o.dry_last_n = -1;
    /* Repetitions go over no breaker. */
    o.dry_breakers = &one;
    check_dry(o, two, 5, 0);
    o.dry_breakers = &two_breaks;
    check_dry(o, three, 7, 0);
    o.dry_breakers = &zero;
    check_dry(o, three, 7, 0.8F);
}

static double slow_dry(const struct sampler_options *o, uint32_t breakers, const int *text,
                       int n, int id)
{
    int most = 0;

    for (int i = 0; i + 1 < n; i++) {
        int k = 0;

        while (k <= i && text[i - k] == text[n - 1 - k] && !(breakers >> text[i - k] & 1))
            k++;
        if (text[i + 1] == id && k > most)
            most = k;
    }
    return most == 0 || most < o->dry_allowed_length
               ? 0
               : (double)o->dry_multiplier *
                     pow((double)o->dry_base, most - o->dry_allowed_length);
}

static void test_dry_random(void **state)
{
    enum { N = 6, TEXT = 40 };
    struct rng r;
    int hit = 0;

    (void)state;
    rng_seed(&r, 16);
    for (int round = 0; round < 20000; round++) {
        int text[TEXT], n = (int)(rng_u64(&r) % TEXT), best = 0, got,
                        last = 1 + (int)(rng_u64(&r) % TEXT), seen = n < last ? n : last;
        uint32_t breakers = rng_u64(&r) % 2 ? 0 : (uint32_t)(rng_u64(&r) % 64);
        struct sampler_options o = off;
        float x[N];
        double y[N];

        for (int i = 0; i < n; i++)
            text[i] = (int)(rng_u64(&r) % 3) + (rng_u64(&r) % 8 == 0 ? 3 : 0);
        o.dry_multiplier = 0.5F;
        o.dry_base = 1.3F;
        o.dry_allowed_length = (int)(rng_u64(&r) % 4);
        o.dry_last_n = last;
        o.dry_breakers = &breakers;
        for (int i = 0; i < N; i++) {
            x[i] = (float)rng_unit(&r) * 3;
            y[i] = (double)x[i] - slow_dry(&o, breakers, text + n - seen, seen, i);
            best = y[i] > y[best] ? i : best;
            hit += y[i] < (double)x[i];
        }
        got = greedy_after(o, x, N, 64, text, n);
        assert_true(got == best || fabs(y[got] - y[best]) < 1e-5);
    }
    assert_true(hit > 5000);
}

static void test_dry_bounded(void **state)
{
    const float x[2] = {30, -30};
    struct sampler_options o = off;
    struct sampler *s;

    (void)state;
    o.dry_multiplier = 1;
    o.dry_base = 1.75F;
    o.dry_last_n = -1;
    s = make(&o, 2, 4096);
    for (int i = 0; i < 4000; i++) /* base to the power of that is no float */
        sampler_accept(s, 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(sampler_pick(s, x, NULL, NULL), 1);
    sampler_reset(s, 1);
    assert_int_equal(sampler_pick(s, x, NULL, NULL), 0);
    sampler_free(s);
}

/* -- what leaves candidates out ------------------------------------------------------- */

/* Bit i: token i came in many draws. */
static unsigned came(const struct sampler_options *o, const float *x, int n)
{
    struct sampler *s = make(o, n, 8);
    unsigned bits = 0;

    for (int i = 0; i < 400; i++)
        bits |= 1U << sampler_pick(s, x, NULL, NULL);
    sampler_free(s);
    return bits;
}

static void test_top_n_sigma(void **state)
{
    const float x[4] = {0, 0, 0, 4}; /* mean 1, deviation sqrt(3) */
    struct sampler_options o = off;

    (void)state;
    assert_int_equal(came(&o, x, 4), 15);
    o.top_n_sigma = 1;
    assert_int_equal(came(&o, x, 4), 8);
    o.top_n_sigma = 2.3F; /* down to 0.016 */
    assert_int_equal(came(&o, x, 4), 8);
    o.top_n_sigma = 2.32F; /* down to -0.018 */
    assert_int_equal(came(&o, x, 4), 15);
    o.top_n_sigma = -1;
    assert_int_equal(came(&o, x, 4), 15);
}

static void test_xtc(void **state)
{
    const float x[4] = {logf(0.2F), logf(0.4F), logf(0.1F), logf(0.3F)};
    struct sampler_options o = off;
    struct sampler *s;
    int n = 0;

    (void)state;
    o.xtc_probability = 1;
    o.xtc_threshold = 0.15F; /* 0.4, 0.3 and 0.2 have it: the last of them stays */
    assert_int_equal(came(&o, x, 4), 1 << 0 | 1 << 2);
    o.xtc_threshold = 0.25F;
    assert_int_equal(came(&o, x, 4), 1 << 0 | 1 << 2 | 1 << 3);
    o.xtc_threshold = 0.35F;
    assert_int_equal(came(&o, x, 4), 15);
    o.xtc_threshold = 0;
    assert_int_equal(came(&o, x, 4), 1 << 2);
    o.min_keep = 2;
    assert_int_equal(came(&o, x, 4), 15);
    o.min_keep = 0;
    o.xtc_threshold = 0.51F; /* off: no two can have it */
    assert_int_equal(came(&o, (const float[]){9, 0, 0, 0}, 4) & 1, 1);
    o.xtc_threshold = 0.15F;
    o.top_k = 2; /* 4/7 and 3/7 */
    assert_int_equal(came(&o, x, 4), 1 << 3);
    o.top_k = 0;
    o.xtc_probability = 0.5F; /* token 1 comes with 0.5 * 0.4 */
    s = make(&o, 4, 8);
    for (int i = 0; i < 20000; i++)
        n += sampler_pick(s, x, NULL, NULL) == 1;
    assert_in_range(n, 3800, 4200);
    sampler_free(s);
}

/* Off, it takes nothing from the random numbers: the tokens are those of before. */
static void test_xtc_off(void **state)
{
    struct sampler_options a = off, b = off;
    struct sampler *s, *t;
    struct rng r;
    float x[50];

    (void)state;
    b.xtc_threshold = 0.1F;
    b.dry_base = 1.75F;
    b.dry_allowed_length = 2;
    b.dry_last_n = -1;
    b.dynatemp_exponent = 2;
    b.top_n_sigma = -1;
    rng_seed(&r, 17);
    for (int i = 0; i < 50; i++)
        x[i] = rng_normal(&r) * 2;
    s = make(&a, 50, 8);
    t = make(&b, 50, 8);
    for (int i = 0; i < 200; i++)
        assert_int_equal(sampler_pick(s, x, NULL, NULL), sampler_pick(t, x, NULL, NULL));
    sampler_free(s);
    sampler_free(t);
}

static void test_dynatemp(void **state)
{
    const float x[2] = {logf(3), 0}; /* entropy 0.5623 of 0.6931 */
    struct sampler_options o = off;
    struct sampler *s;
    struct rng r;

    (void)state;
    o.dynatemp_range = 1; /* from 0 to 2: 1.6226, and 1 / (1 + 3 ^ (-1 / 1.6226)) = 0.6631 */
    o.dynatemp_exponent = 1;
    rng_seed(&r, o.seed);
    s = make(&o, 2, 8);
    for (int i = 0; i < 2000; i++) {
        double u = rng_unit(&r);
        int got = sampler_pick(s, x, NULL, NULL);

        if (fabs(u - 0.6631) > 1e-3)
            assert_int_equal(got, u > 0.6631);
    }
    sampler_free(s);
    o.dynatemp_range = 5; /* temperatures below 0 count as 0; certain: the lowest */
    assert_int_equal(came(&o, (const float[]){800, 0}, 2), 1);
    assert_int_equal(came(&o, (const float[]){0, 0}, 2), 3);
    o.dynatemp_exponent = 0; /* always the highest */
    assert_int_equal(came(&o, (const float[]){20, 0}, 2), 3);
}

static void test_min_keep(void **state)
{
    const float x[4] = {4, 3, 2, 1};
    struct sampler_options o = off;

    (void)state;
    for (int k = 0; k < 6; k++) {
        unsigned want = k < 2 ? 1 : k < 4 ? (1U << k) - 1 : 15;

        o = off;
        o.temperature = 5;
        o.min_keep = k;
        o.top_p = 0.01F;
        assert_int_equal(came(&o, x, 4), want);
        o.top_p = 1;
        o.min_p = 0.9F;
        assert_int_equal(came(&o, x, 4), want);
        o.min_p = 0;
        o.typical_p = 0.01F; /* entropy 0.95: nearest is the best, 0.44 */
        assert_int_equal(__builtin_popcount(came(&o, x, 4)), __builtin_popcount(want));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bias),        cmocka_unit_test(test_bias_checked),
        cmocka_unit_test(test_dry),         cmocka_unit_test(test_dry_random),
        cmocka_unit_test(test_dry_bounded), cmocka_unit_test(test_top_n_sigma),
        cmocka_unit_test(test_xtc),         cmocka_unit_test(test_xtc_off),
        cmocka_unit_test(test_dynatemp),    cmocka_unit_test(test_min_keep),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

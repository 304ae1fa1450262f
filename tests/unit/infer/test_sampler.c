#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "infer/sampler.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_BIG 150000

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

/* -- the slow, obvious chain --------------------------------------------------------- */

struct slow {
    int id;
    float logit;
    double p, order;
};

static int by_logit(const void *a, const void *b)
{
    const struct slow *x = a, *y = b;

    return x->logit != y->logit ? (x->logit < y->logit) - (x->logit > y->logit) : x->id - y->id;
}

static int by_order(const void *a, const void *b)
{
    const struct slow *x = a, *y = b;

    return x->order != y->order ? (x->order > y->order) - (x->order < y->order) : x->id - y->id;
}

static void slow_softmax(struct slow *c, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += c[i].p = exp((double)c[i].logit - (double)c[0].logit);
    for (int i = 0; i < n; i++)
        c[i].p /= sum;
}

static void slow_penalties(struct slow *c, int n, const struct sampler_options *o,
                           const int *text, int n_text, int n_ctx)
{
    int last = o->repeat_last_n < 0 || o->repeat_last_n > n_ctx ? n_ctx : o->repeat_last_n;

    for (int i = 0; i < n; i++) {
        int count = 0;
        float x = c[i].logit;

        for (int k = n_text > last ? n_text - last : 0; k < n_text; k++)
            count += text[k] == i;
        if (!count)
            continue;
        x = x > 0 ? x / o->repeat_penalty : x * o->repeat_penalty;
        x -= (float)count * o->frequency_penalty + o->presence_penalty;
        c[i].logit = x;
    }
}

/* Cuts after the first tokens (in the array's order) that reach share, but not before the
 * keep-th; n when none do. */
static int slow_reach(const struct slow *c, int n, double share, int keep)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        sum += c[i].p;
        if (sum >= share && i + 1 >= keep)
            return i + 1;
    }
    return n;
}

static int slow_typical(struct slow *c, int n, double share, int keep)
{
    double entropy = 0;

    slow_softmax(c, n);
    for (int i = 0; i < n; i++)
        entropy -= c[i].p > 0 ? c[i].p * log(c[i].p) : 0;
    for (int i = 0; i < n; i++) /* as float: where the sampler sees a tie, so do we */
        c[i].order = (double)(float)fabs(-log(c[i].p) - entropy);
    qsort(c, (size_t)n, sizeof(*c), by_order);
    n = slow_reach(c, n, share, keep);
    qsort(c, (size_t)n, sizeof(*c), by_logit);
    return n;
}

static int slow_sigma(const struct slow *c, int n, double sigmas)
{
    double mean = 0, var = 0;

    for (int i = 0; i < n; i++)
        mean += (double)c[i].logit / n;
    for (int i = 0; i < n; i++)
        var += ((double)c[i].logit - mean) * ((double)c[i].logit - mean) / n;
    while (sigmas > 0 && n > 0 &&
           (double)c[n - 1].logit < (double)c[0].logit - sigmas * sqrt(var))
        n--;
    return n;
}

static float slow_temperature(struct slow *c, int n, const struct sampler_options *o)
{
    double t = (double)o->temperature, range = (double)o->dynatemp_range, h = 0,
           lo = t > range ? t - range : 0;

    if (range <= 0 || n < 2)
        return o->temperature;
    slow_softmax(c, n);
    for (int i = 0; i < n; i++)
        h -= c[i].p > 0 ? c[i].p * log(c[i].p) : 0;
    return (float)(lo + (t + range - lo) * pow(h / log(n), (double)o->dynatemp_exponent));
}

/* Leaves the distribution in c, best first, and returns how many tokens it has. */
static int slow_chain(struct slow *c, int n, const struct sampler_options *o)
{
    int m = 0;
    float t;

    qsort(c, (size_t)n, sizeof(*c), by_logit);
    while (n > 0 && !(c[n - 1].logit >= -FLT_MAX))
        n--;
    n = slow_sigma(c, n, (double)o->top_n_sigma);
    if (o->top_k > 0 && o->top_k < n)
        n = o->top_k;
    if (o->typical_p < 1)
        n = slow_typical(c, n, (double)o->typical_p, o->min_keep);
    slow_softmax(c, n);
    if (o->top_p < 1)
        n = slow_reach(c, n, (double)o->top_p, o->min_keep);
    for (int i = 0; i < n && o->min_p > 0; i++) {
        if (c[i].p / c[0].p >= (double)o->min_p || i < o->min_keep)
            c[m++] = c[i];
    }
    if (o->min_p > 0)
        n = m;
    t = slow_temperature(c, n, o);
    for (int i = n - 1; i >= 0; i--)
        c[i].logit = (c[i].logit - c[0].logit) / t;
    slow_softmax(c, n);
    return n;
}

/* The token for a draw u in [0, 1), or -1 when u is too near a border to say. */
static int slow_draw(const struct slow *c, int n, double u)
{
    double sum = 0;

    for (int i = 0; i < n; i++) {
        if (fabs(sum - u) < 1e-9 && i > 0)
            return -1;
        sum += c[i].p;
        if (sum > u)
            return fabs(sum - u) < 1e-9 ? -1 : c[i].id;
    }
    return -1;
}

/* Draws many times from the same logits and compares each token with the slow chain's. */
static void check_chain(const struct sampler_options *o, const float *logits, int n,
                        const int *text, int n_text, int n_ctx, int draws)
{
    struct slow *c = calloc((size_t)n, sizeof(*c));
    struct sampler *s = make(o, n, n_ctx);
    struct rng r;
    int left, unsure = 0;

    assert_non_null(c);
    for (int i = 0; i < n; i++)
        c[i] = (struct slow){.id = i, .logit = logits[i]};
    for (int i = 0; i < n_text; i++)
        sampler_accept(s, text[i]);
    for (size_t i = 0; i < o->n_bias; i++)
        c[o->bias[i].id].logit += o->bias[i].bias;
    slow_penalties(c, n, o, text, n_text, n_ctx);
    left = slow_chain(c, n, o);
    rng_seed(&r, o->seed);
    for (int i = 0; i < draws; i++) {
        int want = slow_draw(c, left, rng_unit(&r)), got = sampler_pick(s, logits, NULL, NULL);

        unsure += want < 0;
        if (want >= 0 && got != want)
            fail_msg("draw %d: token %d, want %d of %d (n %d temp %g k %d p %g min %g typ %g)",
                     i, got, want, left, n, (double)o->temperature, o->top_k, (double)o->top_p,
                     (double)o->min_p, (double)o->typical_p);
    }
    assert_true(unsure <= draws / 10);
    sampler_free(s);
    free(c);
}

static void random_logits(struct rng *r, float *x, int n, float spread)
{
    for (int i = 0; i < n; i++) {
        x[i] = rng_normal(r) * spread;
        if (rng_u64(r) % 16 == 0 && i > 0)
            x[i] = x[i - 1]; /* ties */
        if (rng_u64(r) % 32 == 0)
            x[i] = -INFINITY;
    }
    x[n - 1] = 0; /* one at least is finite */
}

static float coin(struct rng *r, float off_value, float lo, float hi)
{
    return rng_u64(r) % 2 ? off_value : lo + (hi - lo) * (float)rng_unit(r);
}

/* Every mixture of steps. */
static void test_chain(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 11);
    for (int round = 0; round < 4000; round++) {
        struct sampler_options o = off;
        struct sampler_bias bias[5];
        float x[120];
        int n = 1 + (int)(rng_u64(&r) % 120), text[40], n_text = (int)(rng_u64(&r) % 40);

        random_logits(&r, x, n, coin(&r, 1, 0.01F, 6));
        for (int i = 0; i < n_text; i++)
            text[i] = (int)(rng_u64(&r) % (uint64_t)n);
        o.temperature = coin(&r, 1, 0.05F, 3);
        o.top_k = rng_u64(&r) % 2 ? 0 : (int)(rng_u64(&r) % 130);
        o.top_p = coin(&r, 1, 0.02F, 1);
        o.min_p = coin(&r, 0, 0, 1);
        o.typical_p = coin(&r, 1, 0.05F, 1);
        o.repeat_penalty = coin(&r, 1, 0.5F, 2);
        o.presence_penalty = coin(&r, 0, -2, 2);
        o.frequency_penalty = coin(&r, 0, -2, 2);
        o.repeat_last_n = (int)(rng_u64(&r) % 50) - 1;
        o.min_keep = (int)coin(&r, 0, 1, 20);
        o.top_n_sigma = coin(&r, 0, -1, 3);
        o.dynatemp_range = coin(&r, 0, 0, 2);
        o.dynatemp_exponent = coin(&r, 1, 0.2F, 2);
        for (o.n_bias = 0; o.n_bias < 5 && rng_u64(&r) % 3; o.n_bias++)
            bias[o.n_bias] =
                (struct sampler_bias){(int)(rng_u64(&r) % (uint64_t)n), coin(&r, 1, -3, 3)};
        o.bias = bias;
        o.seed = rng_u64(&r);
        check_chain(&o, x, n, text, n_text, 1 + (int)(rng_u64(&r) % 45), 30);
    }
}

/* Each step alone, on a vocabulary of the usual size: order and ties far down the list. */
static void test_big(void **state)
{
    static float x[N_BIG];
    const struct sampler_options steps[] = {
#define STEP(t, k, p, min, typ, rep, pres, freq, last, s)                                      \
    {.temperature = (t),                                                                       \
     .top_k = (k),                                                                             \
     .top_p = (p),                                                                             \
     .min_p = (min),                                                                           \
     .typical_p = (typ),                                                                       \
     .repeat_penalty = (rep),                                                                  \
     .presence_penalty = (pres),                                                               \
     .frequency_penalty = (freq),                                                              \
     .repeat_last_n = (last),                                                                  \
     .seed = (s)}
        STEP(1, 1000, 1, 0, 1, 1, 0, 0, 0, 1),
        STEP(1, 0, 0.5F, 0, 1, 1, 0, 0, 0, 2),
        STEP(1, 0, 0.99F, 0, 1, 1, 0, 0, 0, 3),
        STEP(1, 0, 1, 0.05F, 1, 1, 0, 0, 0, 4),
        STEP(1, 0, 1, 0, 0.6F, 1, 0, 0, 0, 5),
        STEP(0.3F, 0, 1, 0, 1, 1, 0, 0, 0, 6),
        STEP(2, 0, 1, 0, 1, 1, 0, 0, 0, 7),
        STEP(1, N_BIG - 1, 1, 0, 1, 1, 0, 0, 0, 8),
        STEP(0.8F, 40, 0.9F, 0, 1, 1, 0, 0, 0, 9),
        STEP(1, 0, 0.7F, 0, 1, 1.5F, 0.5F, 1, -1, 10),
#undef STEP
    };
    struct rng r;
    int text[100];

    (void)state;
    rng_seed(&r, 12);
    for (int i = 0; i < 100; i++)
        text[i] = (int)(rng_u64(&r) % N_BIG);
    for (float spread = 0.5F; spread < 5; spread *= 2) {
        random_logits(&r, x, N_BIG, spread);
        for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
            check_chain(&steps[i], x, N_BIG, text, 100, 4096, 5);
    }
}

/* -- chance -------------------------------------------------------------------------- */

/* Frequencies against probabilities: chi square over 8 tokens, 7 degrees of freedom; 24.3 is
 * passed by chance once in a thousand, and the seed is fixed. */
static void test_frequencies(void **state)
{
    const double p[8] = {0.3, 0.2, 0.15, 0.12, 0.1, 0.06, 0.04, 0.03};
    struct sampler *s = make(&off, 8, 16);
    int count[8] = {0}, draws = 200000;
    double chi = 0;
    float x[8];

    (void)state;
    for (int i = 0; i < 8; i++)
        x[i] = (float)log(p[i]) + 3;
    for (int i = 0; i < draws; i++)
        count[sampler_pick(s, x, NULL, NULL)]++;
    for (int i = 0; i < 8; i++)
        chi += (count[i] - draws * p[i]) * (count[i] - draws * p[i]) / (draws * p[i]);
    assert_true(chi < 24.3);
    sampler_free(s);
}

static void test_seed(void **state)
{
    struct sampler_options o = off;
    struct sampler *a = make(&o, 100, 16), *b = make(&o, 100, 16);
    float x[100] = {0};
    int first[50], same = 0;

    (void)state;
    for (int i = 0; i < 50; i++) {
        first[i] = sampler_pick(a, x, NULL, NULL);
        assert_int_equal(sampler_pick(b, x, NULL, NULL), first[i]);
    }
    sampler_reset(a, o.seed);
    for (int i = 0; i < 50; i++)
        assert_int_equal(sampler_pick(a, x, NULL, NULL), first[i]);
    sampler_reset(a, o.seed + 1);
    for (int i = 0; i < 50; i++)
        same += sampler_pick(a, x, NULL, NULL) == first[i];
    assert_true(same < 10);
    sampler_free(a);
    sampler_free(b);
}

/* -- greedy and the edges of temperature --------------------------------------------- */

static void test_greedy(void **state)
{
    struct sampler_options o = off;
    struct rng r;
    float x[64];

    (void)state;
    rng_seed(&r, 13);
    for (int round = 0; round < 500; round++) {
        const float temps[] = {0, 1e-38F, 1e-45F};
        int best = 0;

        random_logits(&r, x, 64, 3);
        for (int i = 1; i < 64; i++) {
            if (x[i] > x[best])
                best = i;
        }
        x[(best + 7) % 64] = x[best]; /* a tie: the lower id, when greedy */
        for (int t = 0; t < 3; t++) {
            struct sampler *s;
            int got, low = best < (best + 7) % 64 ? best : (best + 7) % 64;

            o.temperature = temps[t];
            s = make(&o, 64, 16);
            got = sampler_pick(s, x, NULL, NULL);
            assert_true(got >= 0 && x[got] == x[best]);
            if (temps[t] == 0)
                assert_int_equal(got, low);
            sampler_free(s);
        }
    }
}

/* Many logits are looked through in blocks; the obvious loop says what is right. */
static void test_greedy_blocks(void **state)
{
    enum { N = 3 * 128 + 5 };
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    struct sampler_options o = off;
    uint32_t allowed[(N + 31) / 32];
    struct sampler *s;
    float x[N];
    struct rng r;

    (void)state;
    o.temperature = 0;
    rng_seed(&r, 17);
    s = make(&o, N, 16);
    for (int round = 0; round < 3000; round++) {
        int masked = round % 3 == 1, best = -1, at = (int)(rng_u64(&r) % N), code;

        random_logits(&r, x, N, 3);
        for (int i = 0; round % 4 == 0 && i < N; i++)
            x[i] = (float)(int)x[i]; /* ties within and between blocks */
        for (int i = 0; i < (N + 31) / 32; i++)
            allowed[i] = (uint32_t)rng_u64(&r);
        allowed[at / 32] |= 1u << (at % 32);
        for (int i = 0; i < N; i++) {
            if ((best < 0 || x[i] > x[best]) && (!masked || (allowed[i / 32] >> (i % 32) & 1)))
                best = i;
        }
        assert_int_equal(sampler_pick(s, x, masked ? allowed : NULL, NULL), best);
        x[at] = odd[round % 3];
        code = sampler_pick(s, x, NULL, NULL);
        if (round % 3 < 2)
            assert_int_equal(code, E_NUMERIC);
        else
            assert_true(code >= 0 && code != at);
    }
    for (int i = 0; i < N; i++)
        x[i] = -INFINITY;
    assert_int_equal(sampler_pick(s, x, NULL, NULL), E_NUMERIC);
    x[200] = -FLT_MAX;
    assert_int_equal(sampler_pick(s, x, NULL, NULL), 200);
    sampler_free(s);
}

static void test_extremes(void **state)
{
    const float x[4] = {FLT_MAX, -FLT_MAX, 1, -INFINITY};
    struct sampler_options o = off;
    struct sampler *s;
    int seen[2] = {0};

    (void)state;
    for (int t = 0; t < 4; t++) {
        o.temperature = (const float[]){0, 1e-38F, 1, 1e38F}[t];
        s = make(&o, 4, 4);
        for (int i = 0; i < 100; i++) {
            int id = sampler_pick(s, x, NULL, NULL);

            assert_true(o.temperature > 1 ? id >= 0 && id < 3 : id == 0);
        }
        sampler_free(s);
    }
    /* Penalties that pass what a float holds leave finite logits finite. */
    o = off;
    o.repeat_last_n = 4;
    for (int t = 0; t < 4; t++) {
        o.temperature = t % 2 ? 1 : 0;
        o.repeat_penalty = t < 2 ? 1e-38F : 1e38F;
        o.presence_penalty = t < 2 ? FLT_MAX : -FLT_MAX;
        o.frequency_penalty = t < 2 ? FLT_MAX : -FLT_MAX;
        s = make(&o, 4, 4);
        for (int i = 0; i < 3; i++)
            sampler_accept(s, i);
        assert_true(sampler_pick(s, x, NULL, NULL) >= 0);
        sampler_free(s);
    }
    /* Two logits that a penalty sends to the same end are equally likely there. */
    o.presence_penalty = o.frequency_penalty = 0;
    o.temperature = 1;
    o.repeat_penalty = 1e-38F;
    s = make(&o, 2, 4);
    sampler_accept(s, 0);
    sampler_accept(s, 1);
    for (int i = 0; i < 100; i++)
        seen[sampler_pick(s, (const float[]){20, 30}, NULL, NULL)]++;
    assert_true(seen[0] > 20 && seen[1] > 20);
    sampler_free(s);
}

static void test_not_numbers(void **state)
{
    struct sampler_options o = off;
    struct err e;

    (void)state;
    for (int t = 0; t < 2; t++) {
        struct sampler *s;
        float x[4] = {1, 2, NAN, 3};

        o.temperature = (float)t;
        s = make(&o, 4, 4);
        assert_int_equal(sampler_pick(s, x, NULL, &e), E_NUMERIC);
        assert_string_equal(e.msg, "the logit of token 2 is NaN");
        x[2] = INFINITY;
        assert_int_equal(sampler_pick(s, x, NULL, &e), E_NUMERIC);
        assert_string_equal(e.msg, "the logit of token 2 is infinite");
        x[2] = -INFINITY;
        assert_true(sampler_pick(s, x, NULL, &e) >= 0);
        x[0] = x[1] = x[3] = -INFINITY;
        assert_int_equal(sampler_pick(s, x, NULL, &e), E_NUMERIC);
        assert_string_equal(e.msg, "no token has a finite logit");
        sampler_free(s);
    }
}

/* -- penalties ----------------------------------------------------------------------- */

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

static void test_penalties(void **state)
{
    const float up[3] = {4, 3, 0}, down[3] = {-1, -1.5F, -9};
    const int once[] = {0}, twice[] = {0, 0}, old[] = {0, 2, 2, 2};
    struct sampler_options o = off;

    (void)state;
    o.repeat_last_n = 64;
    o.repeat_penalty = 1.3F; /* 4 / 1.3 is above 3 */
    assert_int_equal(greedy_after(o, up, 3, 64, once, 1), 0);
    o.repeat_penalty = 1.4F; /* 4 / 1.4 is not */
    assert_int_equal(greedy_after(o, up, 3, 64, once, 1), 1);
    assert_int_equal(greedy_after(o, down, 3, 64, once, 1), 0); /* -1.4 */
    o.repeat_penalty = 1.6F;
    assert_int_equal(greedy_after(o, down, 3, 64, once, 1), 1); /* -1.6 */
    o.repeat_penalty = 1;
    o.frequency_penalty = 0.6F;
    assert_int_equal(greedy_after(o, up, 3, 64, once, 1), 0);
    assert_int_equal(greedy_after(o, up, 3, 64, twice, 2), 1);
    o.frequency_penalty = 0;
    o.presence_penalty = 0.9F;
    assert_int_equal(greedy_after(o, up, 3, 64, twice, 2), 0); /* once for any number */
    o.presence_penalty = 1.1F;
    assert_int_equal(greedy_after(o, up, 3, 64, twice, 2), 1);
    o.repeat_last_n = 3; /* token 0 is four back */
    assert_int_equal(greedy_after(o, up, 3, 64, old, 4), 0);
    o.repeat_last_n = 4;
    assert_int_equal(greedy_after(o, up, 3, 64, old, 4), 1);
    o.repeat_last_n = -1;
    assert_int_equal(greedy_after(o, up, 3, 64, old, 4), 1);
    assert_int_equal(greedy_after(o, up, 3, 3, old, 4), 0); /* no more than the context */
    o.repeat_last_n = INT32_MAX;
    assert_int_equal(greedy_after(o, up, 3, 64, old, 4), 1);
    assert_int_equal(greedy_after(o, up, 3, 3, old, 4), 0);
    o.repeat_last_n = 0;
    assert_int_equal(greedy_after(o, up, 3, 64, old, 4), 0);
}

static void test_reset_forgets(void **state)
{
    const float x[2] = {2, 1};
    struct sampler_options o = off;
    struct sampler *s;

    (void)state;
    o.temperature = 0;
    o.repeat_last_n = 2;
    o.repeat_penalty = 10;
    s = make(&o, 2, 8);
    for (int i = 0; i < 5; i++)
        sampler_accept(s, 0);
    assert_int_equal(sampler_pick(s, x, NULL, NULL), 1);
    sampler_reset(s, 1);
    assert_int_equal(sampler_pick(s, x, NULL, NULL), 0);
    sampler_free(s);
}

/* -- options and memory -------------------------------------------------------------- */

static void test_options(void **state)
{
    static const struct {
        const char *name;
        size_t at;
        float bad[4], good[3];
    } floats[] = {
#define F(f) #f, offsetof(struct sampler_options, f)
        {F(temperature), {-1, NAN, INFINITY, -1e-30F}, {0, 1e-45F, 1e30F}},
        {F(top_p), {0, -1, 1.01F, NAN}, {1e-30F, 0.5F, 1}},
        {F(min_p), {-0.1F, 1.1F, NAN, INFINITY}, {0, 0.5F, 1}},
        {F(typical_p), {0, -1, 1.01F, NAN}, {1e-30F, 0.5F, 1}},
        {F(repeat_penalty), {0, -1, NAN, INFINITY}, {1e-30F, 1, 1e30F}},
        {F(presence_penalty), {NAN, INFINITY, -INFINITY, NAN}, {-2, 5, FLT_MAX}},
        {F(frequency_penalty), {NAN, INFINITY, -INFINITY, NAN}, {-2, 5, FLT_MAX}},
        {F(top_n_sigma), {NAN, INFINITY, -INFINITY, NAN}, {-1, 0, 2}},
        {F(xtc_probability), {-0.1F, 1.1F, NAN, INFINITY}, {0, 0.5F, 1}},
        {F(xtc_threshold), {-0.1F, 1.1F, NAN, INFINITY}, {0, 0.5F, 1}},
        {F(dry_multiplier), {-0.1F, -1, NAN, INFINITY}, {0, 0.8F, 1e30F}},
        {F(dry_base), {-0.1F, -1, NAN, INFINITY}, {0, 1.75F, 1e30F}},
        {F(dynatemp_range), {-0.1F, -1, NAN, INFINITY}, {0, 0.8F, 1e30F}},
        {F(dynatemp_exponent), {-0.1F, -1, NAN, INFINITY}, {0, 0.8F, 1e30F}},
    };
    static const struct {
        const char *name;
        size_t at;
        int bad;
    } ints[] = {
        {F(top_k), -1},      {F(repeat_last_n), -2},      {F(min_keep), -1},
        {F(dry_last_n), -2}, {F(dry_allowed_length), -1},
#undef F
    };
    struct sampler_options o;
    struct sampler *s = NULL;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        for (int k = 0; k < 7; k++) {
            sampler_defaults(&o);
            memcpy((char *)&o + floats[i].at,
                   k < 4 ? &floats[i].bad[k] : &floats[i].good[k - 4], sizeof(float));
            assert_int_equal(sampler_new(&s, &o, 10, 10, &e), k < 4 ? E_INVALID : 0);
            if (k < 4)
                assert_memory_equal(e.msg, floats[i].name, strlen(floats[i].name));
            sampler_free(s);
            s = NULL;
        }
    }
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        sampler_defaults(&o);
        memcpy((char *)&o + ints[i].at, &ints[i].bad, sizeof(int));
        assert_int_equal(sampler_new(&s, &o, 10, 10, &e), E_INVALID);
        assert_memory_equal(e.msg, ints[i].name, strlen(ints[i].name));
    }
    sampler_defaults(&o);
    assert_int_equal(sampler_new(&s, &o, 0, 10, &e), E_INVALID);
    assert_int_equal(sampler_new(&s, &o, 10, 0, &e), E_INVALID);
    assert_null(s);
    sampler_free(NULL);
}

static void test_no_memory(void **state)
{
    const uint32_t breakers = 1;
    struct sampler_options o;
    int failed = 0;

    (void)state;
    sampler_defaults(&o);
    o.repeat_penalty = 1.1F; /* penalties have memory of their own, and so on */
    o.dry_multiplier = 1;
    o.dry_breakers = &breakers;
    o.bias = &(struct sampler_bias){1, 1};
    o.n_bias = 1;
    for (uint64_t nth = 1;; nth++) {
        struct sampler *s = NULL;
        int rc;

        mem_fail_at(nth, 0);
        rc = sampler_new(&s, &o, 10, 10, NULL);
        mem_fail_at(0, 0);
        sampler_free(s);
        if (rc == 0)
            break;
        assert_int_equal(rc, E_NOMEM);
        assert_null(s);
        failed++;
    }
    assert_int_equal(failed, 9);
}

/* Nothing is allocated for a token. Prints what a pick costs; no limit is set on it here,
 * because machines differ. */
static void test_cost(void **state)
{
    static float x[N_BIG];
    struct sampler_options mix[6];
    const char *const names[] = {"defaults", "top_p 0.9 alone", "typical_p 0.99",
                                 "greedy",   "DRY and bias",    "top_n_sigma, XTC, dynatemp"};
    struct rng r;

    (void)state;
    rng_seed(&r, 14);
    for (int i = 0; i < N_BIG; i++) /* a model's: a few hundred tokens have nearly all of it */
        x[i] = rng_normal(&r) * 2 + (i % 500 == 0 ? 10 : 0);
    sampler_defaults(&mix[0]);
    mix[1] = mix[2] = mix[3] = off;
    mix[1].top_p = 0.9F;
    mix[2].typical_p = 0.99F;
    mix[3].temperature = 0;
    mix[4] = mix[5] = mix[0];
    mix[4].dry_multiplier = 0.8F;
    mix[4].bias = &(struct sampler_bias){1, 1};
    mix[4].n_bias = 1;
    mix[5].top_n_sigma = 1;
    mix[5].xtc_probability = mix[5].dynatemp_range = 0.5F;
    for (int k = 0; k < 6; k++) {
        struct sampler *s = make(&mix[k], N_BIG, 4096);
        uint64_t before = mem_count(), start = clock_ns();

        for (int i = 0; i < 10; i++) {
            int id = sampler_pick(s, x, NULL, NULL);

            assert_true(id >= 0);
            sampler_accept(s, id);
        }
        (void)printf("%d tokens, %s: %.3f ms a pick\n", N_BIG, names[k],
                     (double)(clock_ns() - start) / 1e7);
        assert_int_equal(mem_count(), before);
        sampler_free(s);
    }
}

/* -- logprobs and names -------------------------------------------------------------- */

static void test_logprobs(void **state)
{
    struct rng r;
    float x[300];

    (void)state;
    rng_seed(&r, 15);
    for (int round = 0; round < 300; round++) {
        int n = 1 + (int)(rng_u64(&r) % 300), top_n = (int)(rng_u64(&r) % 21), chosen;
        struct sampler_logprob top[20];
        struct slow c[300];
        float of_chosen;
        double sum = 0;

        random_logits(&r, x, n, 4);
        if (top_n > n)
            top_n = n;
        chosen = (int)(rng_u64(&r) % (uint64_t)n);
        for (int i = 0; i < n; i++) {
            c[i] = (struct slow){.id = i, .logit = x[i]};
            sum += exp((double)x[i]);
        }
        qsort(c, (size_t)n, sizeof(c[0]), by_logit);
        sampler_logprobs(x, n, chosen, &of_chosen, top, top_n);
        for (int i = 0; i < top_n; i++) {
            assert_int_equal(top[i].id, c[i].id);
            if (isfinite(c[i].logit))
                assert_true(fabs((double)top[i].logprob - ((double)c[i].logit - log(sum))) <
                            1e-5);
        }
        if (isfinite(x[chosen]))
            assert_true(fabs((double)of_chosen - ((double)x[chosen] - log(sum))) < 1e-5);
        else
            assert_true(isinf(of_chosen));
        sampler_logprobs(x, n, chosen, NULL, NULL, 0);
    }
    for (int i = 0; i < 4; i++)
        x[i] = -INFINITY;
    sampler_logprobs(x, 4, 1, x + 5, NULL, 0);
    assert_true(x[5] < -FLT_MAX); /* not NaN */
}

static void test_step_names(void **state)
{
    static const char *const want[] = {"logit_bias", "penalties",   "dry",   "top_n_sigma",
                                       "top_k",      "typical_p",   "top_p", "min_p",
                                       "xtc",        "temperature", "draw"};

    (void)state;
    for (int i = 0; i < 11; i++)
        assert_string_equal(sampler_step_name(i), want[i]);
    assert_null(sampler_step_name(11));
    assert_null(sampler_step_name(-1));
}

static void test_allowed(void **state)
{
    const float x[] = {5, 1, -INFINITY, 2, 4};
    const uint32_t two = 1u << 1 | 1u << 3, none = 1u << 2;
    struct err e = {0};

    (void)state;
    for (int greedy = 0; greedy < 2; greedy++) {
        struct sampler_options o;
        struct sampler *s = NULL;
        int seen[5] = {0};

        sampler_defaults(&o);
        o.seed = 7;
        o.temperature = greedy ? 0 : 2;
        assert_int_equal(sampler_new(&s, &o, 5, 16, &e), 0);
        for (int i = 0; i < 200; i++)
            seen[sampler_pick(s, x, &two, NULL)]++;
        assert_int_equal(seen[1] + seen[3], 200);
        assert_true(seen[3] > seen[1]);
        assert_int_equal(seen[1] > 0, !greedy);
        assert_int_equal(sampler_pick(s, x, &none, &e), E_NUMERIC);
        assert_non_null(strstr(e.msg, "no allowed token"));
        sampler_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allowed),    cmocka_unit_test(test_chain),
        cmocka_unit_test(test_big),        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_seed),       cmocka_unit_test(test_greedy),
        cmocka_unit_test(test_extremes),   cmocka_unit_test(test_not_numbers),
        cmocka_unit_test(test_penalties),  cmocka_unit_test(test_reset_forgets),
        cmocka_unit_test(test_options),    cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_cost),       cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_step_names), cmocka_unit_test(test_greedy_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

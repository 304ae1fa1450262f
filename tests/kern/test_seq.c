/* Operations along a sequence, each tier against the reference: the convolution, state space
 * and delta recurrences; and that no cut of the tokens into calls changes a bit. */
#include "kern_test.h"

enum { TOKENS = 37, MARK = 77 };

/* Rows of an array are wider than what is used of them; between rows and behind stands a mark
 * that nobody may touch. */
enum { GAP = 3 };

static float *rows_new(size_t n, size_t wide)
{
    float *x = test_alloc(n * (wide + GAP) * sizeof(*x));

    for (size_t i = 0; i < n * (wide + GAP); i++)
        x[i] = MARK;
    return x;
}

static void rows_check(const float *x, size_t n, size_t wide)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < GAP; j++)
            assert_true(x[i * (wide + GAP) + wide + j] == MARK);
    }
}

static float *rows_normal(struct rng *r, size_t n, size_t wide, float scale)
{
    float *x = rows_new(n, wide);

    for (size_t i = 0; i < n; i++)
        fill_normal(r, x + i * (wide + GAP), wide, scale);
    return x;
}

static float *copy_of(const float *x, size_t n)
{
    float *y = test_alloc(n * sizeof(*y));

    memcpy(y, x, n * sizeof(*y));
    return y;
}

/* The largest difference of what is used, as a part of the largest number, or of the size that
 * numbers have where there are a few only. */
static double apart(const float *got, const float *want, size_t n, size_t wide, size_t ld,
                    double size)
{
    double most = 0, top = size;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < wide; j++) {
            double w = (double)want[i * ld + j], d = fabs((double)got[i * ld + j] - w);

            assert_true(isfinite(w) && isfinite(d));
            most = d > most ? d : most;
            top = fabs(w) > top ? fabs(w) : top;
        }
    }
    return most / top;
}

static double worst;

static void within(double error, double limit, const char *what, const struct kern *k)
{
    if (!(error <= limit))
        fail_msg("%s: %s is off by %.2g of the largest number", kern_tier_name(k->tier), what,
                 error);
    worst = error > worst ? error : worst;
}

/* A cut of n tokens: how many are next. */
static size_t cut(struct rng *r, size_t left)
{
    size_t most = rng_u64(r) % 2 ? 3 : 20, n = 1 + rng_u64(r) % most;

    return n < left ? n : left;
}

/* -- convolution ------------------------------------------------------------------------- */

/* All tokens in place, a few at a time, and channels in two parts. */
static void conv_in_parts(const struct kern *k, struct kern_conv j, struct rng *r)
{
    size_t left = j.n_tok;

    while (left) {
        size_t half = rng_u64(r) % (j.n_ch + 1);

        j.n_tok = cut(r, left);
        k->conv(&j, half, j.n_ch);
        k->conv(&j, 0, half);
        j.x += j.n_tok * j.ldx;
        j.y += j.n_tok * j.ldy;
        left -= j.n_tok;
    }
}

static void check_conv(const struct kern *k, size_t n_ch, size_t size, size_t n_tok, int act,
                       struct rng *r)
{
    size_t ld = n_ch + GAP, n = n_tok * ld, n_state = (size - 1) * n_ch;
    float *x = rows_normal(r, n_tok, n_ch, 1), *w = test_alloc(n_ch * size * 4),
          *bias = test_alloc(n_ch * 4), *state = test_alloc(n_state * 4), *state2, *state3,
          *y = rows_new(n_tok, n_ch), *want = rows_new(n_tok, n_ch);
    struct kern_conv j = {.x = x,
                          .ldx = ld,
                          .y = want,
                          .ldy = ld,
                          .w = w,
                          .bias = rng_u64(r) % 2 ? bias : NULL,
                          .state = state,
                          .n_tok = n_tok,
                          .n_ch = n_ch,
                          .k = size,
                          .act = act};
    struct kern ref;

    kern_init(&ref, KERN_REF);
    fill_normal(r, w, n_ch * size, 1);
    fill_normal(r, bias, n_ch, 1);
    fill_normal(r, state, n_state, 1);
    state2 = copy_of(state, n_state);
    state3 = copy_of(state, n_state);
    ref.conv(&j, 0, n_ch);
    j.y = y;
    j.state = state2;
    k->conv(&j, 0, n_ch);
    within(apart(y, want, n_tok, n_ch, ld, sqrt((double)size)), 1e-6, "conv", k);
    assert_memory_equal(state2, state, n_state * 4);
    rows_check(y, n_tok, n_ch);
    j.y = x;
    j.state = state3;
    conv_in_parts(k, j, r);
    assert_memory_equal(x, y, n * 4);
    assert_memory_equal(state3, state, n_state * 4);
    mem_free(x);
    mem_free(w);
    mem_free(bias);
    mem_free(state);
    mem_free(state2);
    mem_free(state3);
    mem_free(y);
    mem_free(want);
}

static void conv_of_tier(const struct kern *k)
{
    static const int acts[] = {-1, KERN_ACT_SILU, KERN_ACT_GELU, KERN_ACT_TANH};
    struct rng r;

    rng_seed(&r, 51);
    worst = 0;
    for (size_t size = 1; size <= KERN_CONV_MAX; size += size < 6 ? 1 : 10) {
        for (size_t i = 0; i < sizeof(acts) / sizeof(*acts); i++) {
            for (size_t n_ch = 1; n_ch <= 100; n_ch += n_ch < 34 ? 1 : 30)
                check_conv(k, n_ch, size, 1 + rng_u64(&r) % TOKENS, acts[i], &r);
        }
    }
    print_message("# %s: conv within %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_conv(void **state)
{
    (void)state;
    each_tier(conv_of_tier);
}

/* By hand: 1, 2, 3 through taps 100, 10, 1 after a state of 7, 8. */
static void taps_of_tier(const struct kern *k)
{
    float x[] = {1, 2, 3}, y[3], w[] = {100, 10, 1}, bias = 0.5f, state[] = {7, 8};
    struct kern_conv j = {.x = x,
                          .ldx = 1,
                          .y = y,
                          .ldy = 1,
                          .w = w,
                          .bias = &bias,
                          .state = state,
                          .n_tok = 3,
                          .n_ch = 1,
                          .k = 3,
                          .act = -1};

    k->conv(&j, 0, 1);
    assert_true(y[0] == 781.5f && y[1] == 812.5f && y[2] == 123.5f);
    assert_true(state[0] == 2 && state[1] == 3);
}

static void test_taps(void **state)
{
    (void)state;
    each_tier(taps_of_tier);
}

/* -- state space ------------------------------------------------------------------------- */

static void check_ssm(const struct kern *k, size_t n_p, size_t n_s, size_t n_tok, struct rng *r)
{
    size_t ld = n_p + GAP, ldbc = n_s + GAP, n_state = n_p * n_s, left = n_tok;
    float *x = rows_normal(r, n_tok, n_p, 1), *b = rows_normal(r, n_tok, n_s, 1),
          *c = rows_normal(r, n_tok, n_s, 1), *dt = rows_normal(r, n_tok, 1, 1),
          *state = test_alloc(n_state * 4), *state2, *state3, *want = rows_new(n_tok, n_p),
          *y = rows_new(n_tok, n_p), *parts = rows_new(n_tok, n_p);
    struct kern_ssm j = {.state = state,
                         .n_p = n_p,
                         .n_s = n_s,
                         .n_tok = n_tok,
                         .x = x,
                         .ldx = ld,
                         .b = b,
                         .c = c,
                         .ldbc = ldbc,
                         .dt = dt,
                         .lddt = 1 + GAP,
                         .a = -0.3f - (float)(rng_u64(r) % 100) * 0.05f,
                         .d = rng_normal(r),
                         .y = want,
                         .ldy = ld};
    struct kern ref;

    kern_init(&ref, KERN_REF);
    for (size_t t = 0; t < n_tok; t++)
        dt[t * (1 + GAP)] = log1pf(expf(dt[t * (1 + GAP)] - 2));
    fill_normal(r, state, n_state, 1);
    state2 = copy_of(state, n_state);
    state3 = copy_of(state, n_state);
    ref.ssm(&j);
    j.state = state2;
    j.y = y;
    k->ssm(&j);
    within(apart(y, want, n_tok, n_p, ld, sqrt((double)n_s)), 2e-6, "ssm", k);
    within(apart(state2, state, 1, n_state, 0, 1), 2e-6, "ssm's state", k);
    rows_check(y, n_tok, n_p);
    j.state = state3;
    j.y = parts;
    while (left) {
        j.n_tok = cut(r, left);
        k->ssm(&j);
        j.x += j.n_tok * ld;
        j.b += j.n_tok * ldbc;
        j.c += j.n_tok * ldbc;
        j.dt += j.n_tok * (1 + GAP);
        j.y += j.n_tok * ld;
        left -= j.n_tok;
    }
    assert_memory_equal(parts, y, n_tok * ld * 4);
    assert_memory_equal(state3, state2, n_state * 4);
    mem_free(x);
    mem_free(b);
    mem_free(c);
    mem_free(dt);
    mem_free(state);
    mem_free(state2);
    mem_free(state3);
    mem_free(want);
    mem_free(y);
    mem_free(parts);
}

static void ssm_of_tier(const struct kern *k)
{
    static const size_t n_p[] = {1, 2, 3, 4, 5, 7, 64, 80},
                        n_s[] = {1, 3, 8, 15, 16, 17, 32, 48, 128, 130};
    struct rng r;

    rng_seed(&r, 52);
    worst = 0;
    for (size_t i = 0; i < sizeof(n_p) / sizeof(*n_p); i++) {
        for (size_t h = 0; h < sizeof(n_s) / sizeof(*n_s); h++) {
            check_ssm(k, n_p[i], n_s[h], 1 + rng_u64(&r) % TOKENS, &r);
            check_ssm(k, n_p[i], n_s[h], TOKENS, &r);
        }
    }
    print_message("# %s: ssm within %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_ssm(void **state)
{
    (void)state;
    each_tier(ssm_of_tier);
}

/* -- the delta rule ---------------------------------------------------------------------- */

static void unit_rows(float *x, size_t n, size_t wide)
{
    for (size_t i = 0; i < n; i++, x += wide + GAP) {
        float sum = 0;

        for (size_t j = 0; j < wide; j++)
            sum += x[j] * x[j];
        for (size_t j = 0; j < wide; j++)
            x[j] /= sqrtf(sum);
    }
}

/* Factors between 0 and 1, most of them near 1. */
static void to_factors(float *x, size_t n, size_t wide)
{
    for (size_t i = 0; i < n; i++, x += wide + GAP) {
        for (size_t j = 0; j < wide; j++)
            x[j] = expf(-0.1f * x[j] * x[j]);
    }
}

static void check_delta(const struct kern *k, size_t d_k, size_t d_v, size_t n_tok, int per_row,
                        struct rng *r)
{
    size_t ldk = d_k + GAP, ldv = d_v + GAP, n_decay = per_row ? d_k : 1, n_state = d_k * d_v,
           left = n_tok;
    float *q = rows_normal(r, n_tok, d_k, 1), *key = rows_normal(r, n_tok, d_k, 1),
          *v = rows_normal(r, n_tok, d_v, 1), *beta = rows_normal(r, n_tok, 1, 1),
          *decay = rows_normal(r, n_tok, n_decay, 1), *state = test_alloc(n_state * 4), *state2,
          *state3, *want = rows_new(n_tok, d_v), *y = rows_new(n_tok, d_v),
          *parts = rows_new(n_tok, d_v);
    struct kern_delta j = {.state = state,
                           .d_k = d_k,
                           .d_v = d_v,
                           .n_tok = n_tok,
                           .q = q,
                           .k = key,
                           .ldq = ldk,
                           .ldk = ldk,
                           .v = v,
                           .ldv = ldv,
                           .beta = beta,
                           .ldbeta = 1 + GAP,
                           .decay = decay,
                           .lddecay = n_decay + GAP,
                           .per_row = per_row,
                           .scale = 1 / sqrtf((float)d_k),
                           .y = want,
                           .ldy = ldv};
    struct kern ref;

    kern_init(&ref, KERN_REF);
    unit_rows(q, n_tok, d_k);
    unit_rows(key, n_tok, d_k);
    to_factors(beta, n_tok, 1);
    to_factors(decay, n_tok, n_decay);
    fill_normal(r, state, n_state, 1);
    state2 = copy_of(state, n_state);
    state3 = copy_of(state, n_state);
    ref.delta(&j);
    j.state = state2;
    j.y = y;
    k->delta(&j);
    within(apart(y, want, n_tok, d_v, ldv, (double)j.scale), 2e-6, "delta", k);
    within(apart(state2, state, 1, n_state, 0, 1), 2e-6, "delta's state", k);
    rows_check(y, n_tok, d_v);
    j.state = state3;
    j.y = parts;
    while (left) {
        j.n_tok = cut(r, left);
        k->delta(&j);
        j.q += j.n_tok * ldk;
        j.k += j.n_tok * ldk;
        j.v += j.n_tok * ldv;
        j.beta += j.n_tok * (1 + GAP);
        j.decay += j.n_tok * j.lddecay;
        j.y += j.n_tok * ldv;
        left -= j.n_tok;
    }
    assert_memory_equal(parts, y, n_tok * ldv * 4);
    assert_memory_equal(state3, state2, n_state * 4);
    mem_free(q);
    mem_free(key);
    mem_free(v);
    mem_free(beta);
    mem_free(decay);
    mem_free(state);
    mem_free(state2);
    mem_free(state3);
    mem_free(want);
    mem_free(y);
    mem_free(parts);
}

static void delta_of_tier(const struct kern *k)
{
    static const size_t d_k[] = {1, 2, 7, 32, 64, 128},
                        d_v[] = {1, 7, 8, 15, 16, 33, 64, 100, 128, 130};
    struct rng r;

    rng_seed(&r, 53);
    worst = 0;
    for (size_t i = 0; i < sizeof(d_k) / sizeof(*d_k); i++) {
        for (size_t h = 0; h < sizeof(d_v) / sizeof(*d_v); h++) {
            for (int per_row = 0; per_row < 2; per_row++)
                check_delta(k, d_k[i], d_v[h], 1 + rng_u64(&r) % TOKENS, per_row, &r);
        }
    }
    print_message("# %s: delta within %.2g\n", kern_tier_name(k->tier), worst);
}

static void test_delta(void **state)
{
    (void)state;
    each_tier(delta_of_tier);
}

/* The rule itself: what is written with beta 1 under a key is read back under it, and what
 * stood there before is gone. */
static void recall_of_tier(const struct kern *k)
{
    enum { DK = 8, DV = 20 };
    float state[DK * DV], key[DK] = {0}, v[DV], y[DV], one = 1;
    struct kern_delta j = {.state = state,
                           .d_k = DK,
                           .d_v = DV,
                           .n_tok = 1,
                           .q = key,
                           .k = key,
                           .v = v,
                           .beta = &one,
                           .decay = &one,
                           .scale = 1,
                           .y = y};
    struct rng r;

    rng_seed(&r, 54);
    fill_normal(&r, state, DK * DV, 1);
    for (int round = 0; round < 3; round++) {
        fill_normal(&r, v, DV, 1);
        key[0] = 0.6f;
        key[5] = -0.8f;
        k->delta(&j);
        for (int i = 0; i < DV; i++)
            assert_true(fabsf(y[i] - v[i]) < 1e-6f);
    }
}

static void test_recall(void **state)
{
    (void)state;
    each_tier(recall_of_tier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv),  cmocka_unit_test(test_taps),   cmocka_unit_test(test_ssm),
        cmocka_unit_test(test_delta), cmocka_unit_test(test_recall),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

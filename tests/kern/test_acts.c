/* What is done to activations, each tier against plain formulas: 8-bit forms, panels of
 * floats, norms, rotations, and silu. */
#include "kern_test.h"

#include "kern/tile.h"

/* -- 8 bits ---------------------------------------------------------------------------- */

/* The square error of the obvious rounding, where the largest magnitude becomes 127, and what
 * float sums may get wrong when they judge a better one: some 5e-7 of the square sum, a
 * fiftieth of the usual error. */
static double plain_error(const float *x)
{
    double sum = 0, max = 0, all = 0;

    for (int i = 0; i < 32; i++)
        max = fabs((double)x[i]) > max ? fabs((double)x[i]) : max;
    for (int i = 0; i < 32 && max > 0; i++) {
        double d = max / 127, e = rint((double)x[i] / d) * d - (double)x[i];

        sum += e * e;
        all += (double)x[i] * (double)x[i];
    }
    return sum * 1.001 + all * 5e-7;
}

static void check_block(const struct kern_acts *a, size_t c, size_t b)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, w = kern_panel_width(a, p),
           at32 = kern_panel_at(a, p, a->k / 32) + b * w + i,
           at16 = kern_panel_at(a, p, a->k / 16) + 2 * b * w + i;
    const float *x = a->x + c * a->k + 32 * b;
    float d = a->d[at32];
    double error = 0, limit = plain_error(x);
    int sum[2] = {0, 0};

    for (size_t t = 0; t < 32; t++) {
        int q = a->q[kern_panel_at(a, p, a->k) + ((8 * b + t / 4) * w + i) * 4 + t % 4];
        double e = (double)d * q - (double)x[t];

        assert_in_range(q + 127, 0, 254);
        sum[t / 16] += q;
        error += e * e;
    }
    if (!(error <= limit))
        fail_msg("column %zu block %zu: error %g, plain rounding has %g", c, b, error, limit);
    assert_int_equal(a->ns16[at16], -sum[0]);
    assert_int_equal(a->ns16[at16 + w], -sum[1]);
    assert_int_equal(a->ns32[at32], -(sum[0] + sum[1]));
    assert_true(a->ds16[at16] == d * (float)sum[0]);
    assert_true(a->ds16[at16 + w] == d * (float)sum[1]);
    assert_true(a->ds32[at32] == d * (float)(sum[0] + sum[1]));
}

/* Columns of all kinds: noise, one value alone, an outlier, small and large ones, steps that
 * fall on ties. */
static void fill_kinds(struct rng *r, float *x, size_t k, size_t c)
{
    float scale = c % 7 == 5 ? 1e-15f : c % 7 == 6 ? 1e15f : 1;

    fill_normal(r, x, k, scale);
    for (size_t i = 0; i < k; i++) {
        if (c % 7 == 1)
            x[i] = i % 32 == 9 ? 3 : 0;
        if (c % 7 == 2 && i % 32 == c % 32)
            x[i] *= 300;
        if (c % 7 == 3)
            x[i] = (float)((int)(rng_u64(r) % 255) - 127) * 0.5f;
        if (c % 7 == 4)
            x[i] = i % 2 ? 1 : -1;
    }
}

static void q8_of_tier(const struct kern *k)
{
    struct rng r;

    rng_seed(&r, 31);
    for (size_t n = 1; n <= 30; n++) {
        size_t width = 32 * (1 + n % 9);
        float *x = test_alloc(n * width * sizeof(*x));
        void *buf = test_alloc(kern_acts_bytes(n, width, KERN_FORM_Q8 | KERN_FORM_F32));
        struct kern_acts a;

        for (size_t c = 0; c < n; c++)
            fill_kinds(&r, x + c * width, width, c + n);
        kern_acts_bind(k, &a, buf, n, width, KERN_FORM_Q8 | KERN_FORM_F32);
        a.x = x;
        k->acts(&a, KERN_FORM_Q8 | KERN_FORM_F32, 0, n / 2); /* in two parts */
        k->acts(&a, KERN_FORM_Q8 | KERN_FORM_F32, n / 2, n);
        for (size_t c = 0; c < n; c++) {
            size_t p = c / a.n_panel, w = kern_panel_width(&a, p);

            for (size_t b = 0; b < width / 32; b++)
                check_block(&a, c, b);
            for (size_t t = 0; t < width; t++)
                assert_true(a.f[kern_panel_at(&a, p, width) + t * w + c % a.n_panel] ==
                            x[c * width + t]);
        }
        mem_free(x);
        mem_free(buf);
    }
}

static void test_q8(void **state)
{
    (void)state;
    each_tier(q8_of_tier);
}

/* Zeros, and what is too small for a scale of 8 bits, become zeros. */
static void least_of_tier(const struct kern *k)
{
    static const float max[] = {0, 1e-45f, 1e-38f, 1e-36f, 0.9e-30f};
    float x[32];
    unsigned char buf[1024] __attribute__((aligned(64)));
    struct kern_acts a;

    assert_true(kern_acts_bytes(1, 32, KERN_FORM_Q8) <= sizeof(buf));
    for (size_t i = 0; i < sizeof(max) / sizeof(*max); i++) {
        for (int t = 0; t < 32; t++)
            x[t] = max[i] * (float)(t % 2 ? 1 : -0.5);
        memset(buf, 0xff, sizeof(buf));
        kern_acts_bind(k, &a, buf, 1, 32, KERN_FORM_Q8);
        a.x = x;
        k->acts(&a, KERN_FORM_Q8, 0, 1);
        for (int t = 0; t < 32; t++)
            assert_int_equal(a.q[t], 0);
        assert_true(a.d[0] == 0 && a.ds32[0] == 0 && a.ds16[0] == 0 && a.ds16[1] == 0);
        assert_true(a.ns32[0] == 0 && a.ns16[0] == 0 && a.ns16[1] == 0);
    }
}

static void test_least(void **state)
{
    (void)state;
    each_tier(least_of_tier);
}

/* -- norms and rotations --------------------------------------------------------------- */

static void norm_of_tier(const struct kern *k)
{
    struct rng r;

    rng_seed(&r, 32);
    for (size_t n = 1; n <= 300; n++) {
        float *x = test_alloc(n * 4), *w = test_alloc(n * 4), *y = test_alloc(n * 4 + 4);
        double sum = 0, s;

        fill_normal(&r, x, n, n % 3 ? 1 : 1e-3f);
        fill_normal(&r, w, n, 1);
        for (size_t i = 0; i < n; i++)
            sum += (double)x[i] * (double)x[i];
        s = 1 / sqrt(sum / (double)n + (double)1e-5f);
        y[n] = 77;
        k->rms_norm(x, w, y, n, 1e-5f);
        assert_true(y[n] == 77);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)y[i] - (double)x[i] * s * (double)w[i]) <=
                        1e-6 * fabs((double)x[i] * s * (double)w[i]) + 1e-40);
        k->rms_norm(x, NULL, x, n, 1e-5f); /* in place, without weights */
        for (size_t i = 0; i < n && fabsf(w[i]) > 1e-3f; i++)
            assert_true(fabs((double)x[i] * (double)w[i] - (double)y[i]) <=
                        1e-6 * fabs((double)y[i]) + 1e-40);
        mem_free(x);
        mem_free(w);
        mem_free(y);
    }
}

static void test_norm(void **state)
{
    (void)state;
    each_tier(norm_of_tier);
}

/* Numbers far from zero: their mean is taken off before they are squared. */
static void layer_of_tier(const struct kern *k)
{
    struct rng r;

    rng_seed(&r, 34);
    for (size_t n = 1; n <= 300; n++) {
        float *x = test_alloc(n * 4), *w = test_alloc(n * 4), *b = test_alloc(n * 4),
              *y = test_alloc(n * 4 + 4);
        double mean = 0, var = 0, far = n % 3 ? 0 : 10;
        const float *wp = n % 4 ? w : NULL, *bp = n % 5 ? b : NULL;

        fill_normal(&r, x, n, 1);
        fill_normal(&r, w, n, 1);
        fill_normal(&r, b, n, 1);
        for (size_t i = 0; i < n; i++) {
            x[i] += (float)far;
            mean += (double)x[i] / (double)n;
        }
        for (size_t i = 0; i < n; i++)
            var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
        y[n] = 77;
        k->layer_norm(x, wp, bp, y, n, 1e-5f);
        assert_true(y[n] == 77);
        for (size_t i = 0; i < n; i++) {
            double s = (wp ? (double)w[i] : 1) / sqrt(var + (double)1e-5f),
                   want = ((double)x[i] - mean) * s + (bp ? (double)b[i] : 0);

            if (!(fabs((double)y[i] - want) <=
                  1e-6 * fabs(want) + 3e-7 * (3 + far) * (fabs(s) + 1)))
                fail_msg("n=%zu: y[%zu] = %.9g, want %.9g", n, i, (double)y[i], want);
        }
        k->layer_norm(x, wp, bp, x, n, 1e-5f);
        assert_memory_equal(x, y, n * sizeof(*x));
        mem_free(x);
        mem_free(w);
        mem_free(b);
        mem_free(y);
    }
}

static void test_layer_norm(void **state)
{
    (void)state;
    each_tier(layer_of_tier);
}

static void l2_of_tier(const struct kern *k)
{
    static const float scale[] = {1, 1e-3f, 1e6f, 1e-9f, 0};
    struct rng r;

    rng_seed(&r, 35);
    for (size_t n = 1; n <= 300; n++) {
        float *x = test_alloc(n * 4), *y = test_alloc(n * 4 + 4);
        double len = 0;

        fill_normal(&r, x, n, scale[n % 5]);
        for (size_t i = 0; i < n; i++)
            len += (double)x[i] * (double)x[i];
        len = sqrt(len) > 1e-6 ? sqrt(len) : (double)1e-6f;
        y[n] = 77;
        k->l2_norm(x, y, n, 1e-6f);
        assert_true(y[n] == 77);
        for (size_t i = 0; i < n; i++)
            assert_true(fabs((double)y[i] - (double)x[i] / len) <=
                        1e-6 * fabs((double)x[i]) / len);
        k->l2_norm(x, x, n, 1e-6f);
        assert_memory_equal(x, y, n * sizeof(*x));
        mem_free(x);
        mem_free(y);
    }
}

static void test_l2_norm(void **state)
{
    (void)state;
    each_tier(l2_of_tier);
}

static void rope_of_tier(const struct kern *k)
{
    struct rng r;

    rng_seed(&r, 33);
    for (size_t n = 2; n <= 130; n += 2) {
        for (int kind = KERN_ROPE_NORM; kind <= KERN_ROPE_NEOX; kind++) {
            float *x = test_alloc((n + 3) * 4), *y = test_alloc((n + 3) * 4),
                  *cs = test_alloc(n * 4);

            fill_normal(&r, x, n + 3, 1);
            fill_normal(&r, cs, n, 1);
            memcpy(y, x, (n + 3) * 4);
            k->rope(y, cs, n, kind);
            for (size_t i = 0; i < n / 2; i++) {
                size_t ia = kind == KERN_ROPE_NEOX ? i : 2 * i,
                       ib = kind == KERN_ROPE_NEOX ? i + n / 2 : ia + 1;
                double a = (double)x[ia], b = (double)x[ib], c = (double)cs[2 * i],
                       s = (double)cs[2 * i + 1];

                assert_true(fabs((double)y[ia] - (a * c - b * s)) < 2e-6);
                assert_true(fabs((double)y[ib] - (a * s + b * c)) < 2e-6);
            }
            assert_memory_equal(y + n, x + n, 3 * sizeof(*x)); /* the rest does not rotate */
            mem_free(x);
            mem_free(y);
            mem_free(cs);
        }
    }
}

static void test_rope(void **state)
{
    (void)state;
    each_tier(rope_of_tier);
}

/* -- silu ------------------------------------------------------------------------------ */

/* Gate and up of a gated feed-forward that hand through the first number and the second, 1. */
static void silu_of_tier(const struct kern *k)
{
    enum { K = 32, N = 2001 };
    static float x[N * K], gate[K], up[K], y[N];
    struct kern_weight w[2];
    struct kern_acts a;
    size_t group;
    void *buf, *scratch = test_alloc(kern_mul_scratch(N));
    const struct kern_mm *mm = &k->mm[QUANT_F32];
    unsigned char *tiles[2];
    double most = 0;

    memset(x, 0, sizeof(x));
    for (int c = 0; c < N; c++) {
        x[c * K] = (float)(c - N / 2) * 0.1f;
        x[c * K + 1] = 1;
    }
    gate[0] = up[1] = 1;
    group = k->n_group * K * sizeof(float);
    for (int i = 0; i < 2; i++) {
        const float *row = i ? up : gate;

        tiles[i] = test_alloc(group);
        if (mm->layout == KERN_TILES)
            tile_pack(k, quant_find(QUANT_F32), row, 1, K, tiles[i], 0, 1);
        else
            memcpy(tiles[i], row, K * sizeof(*row));
        w[i] = (struct kern_weight){QUANT_F32, mm->layout, 1, K, tiles[i], group};
    }
    buf = test_alloc(kern_acts_bytes(N, K, mm->form));
    kern_acts_bind(k, &a, buf, N, K, mm->form);
    a.x = x;
    k->acts(&a, mm->form, 0, N);
    mm->mul(k,
            &(struct kern_mul){
                .w = {&w[0], &w[1]}, .x = &a, .y = y, .ldy = 1, .epilogue = KERN_SILU_MUL},
            0, 1, scratch);
    for (int c = 0; c < N; c++) {
        double v = (double)x[c * K], want = v / (1 + exp(-v)),
               error = fabs((double)y[c] - want) / (fabs(want) + 1e-29);

        most = error > most ? error : most;
    }
    print_message("# %s: silu within %.2g\n", kern_tier_name(k->tier), most);
    assert_true(most < 1e-6);
    for (int i = 0; i < 2; i++)
        mem_free(tiles[i]);
    mem_free(buf);
    mem_free(scratch);
}

static void test_silu(void **state)
{
    (void)state;
    each_tier(silu_of_tier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_q8),      cmocka_unit_test(test_least),
        cmocka_unit_test(test_norm),    cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_l2_norm), cmocka_unit_test(test_rope),
        cmocka_unit_test(test_silu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

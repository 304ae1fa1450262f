/* test_quant.c - each format's reader against its definition, bit by bit, and what its writer
 * loses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "block_bits.h"
#include "quant/f16.h"
#include "quant/quant.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define N       (256 * 64)
#define MAX_B   (N * 4 + 16)
#define N_TABLE 28 /* rows */
#define N_WRITE 21 /* rows with a writer */

/* Half a step of bfloat16, or of a scale that is subnormal as a half: 0.02 in Q6_K. */
#define HALF_STEP 3e-3

/* The largest that NVFP4's scales reach without one of the whole tensor. */
#define NVFP4_MAX 2688.0f

static float x[N], y[N], z[N];
static unsigned char mem[MAX_B], mem2[MAX_B];

/* ---- the definition of each format, as positions of bits in a block ---- */

static int signed8(int v)
{
    return v < 128 ? v : v - 256;
}

/* Low or high nibble of the 16 bytes at `byte`: number i of 32. */
static int nibble(const unsigned char *b, int byte, int i)
{
    return bits(b, 8 * (byte + i % 16) + i / 16 * 4, 4);
}

/* Scale j (of 8) of Q4_K and Q5_K, or its minimum. */
static int pair(const unsigned char *b, int j, int min)
{
    int at = 8 * (4 + 4 * min);

    if (j < 4)
        return bits(b, at + 8 * j, 6);
    return bits(b, 8 * (12 + j - 4) + 4 * min, 4) | bits(b, at + 8 * (j - 4) + 6, 2) << 4;
}

/* What number i of a block is: a - m. Every a and m here is exact in float, so that only the
 * subtraction rounds. */
struct want {
    double a, m;
};

static struct want want_q2_k(const unsigned char *b, int i)
{
    int k = i / 128, s = i % 128 / 16, l = i % 16, g = 8 * k + s;
    int q = bits(b, 8 * (16 + 32 * k + 16 * (s % 2) + l) + 2 * (s / 2), 2);

    return (struct want){half_at(b, 80) * bits(b, 8 * g, 4) * q,
                         half_at(b, 82) * bits(b, 8 * g + 4, 4)};
}

static struct want want_q3_k(const unsigned char *b, int i)
{
    int k = i / 128, s = i % 128 / 16, l = i % 16, g = 8 * k + s;
    int q = bits(b, 8 * (32 + 32 * k + 16 * (s % 2) + l) + 2 * (s / 2), 2);
    int high = bits(b, 8 * (16 * (s % 2) + l) + 4 * k + s / 2, 1);
    int lo = g < 8 ? bits(b, 8 * (96 + g), 4) : bits(b, 8 * (96 + g - 8) + 4, 4);
    int hi = bits(b, 8 * (104 + g % 4) + 2 * (g / 4), 2);

    return (struct want){half_at(b, 108) * ((lo | hi << 4) - 32) * (q - (high ? 0 : 4)), 0};
}

static struct want want_q4_k(const unsigned char *b, int i)
{
    int j = i / 32, q = bits(b, 8 * (16 + 32 * (j / 2) + i % 32) + 4 * (j % 2), 4);

    return (struct want){half_at(b, 0) * pair(b, j, 0) * q, half_at(b, 2) * pair(b, j, 1)};
}

static struct want want_q5_k(const unsigned char *b, int i)
{
    int j = i / 32, q = bits(b, 8 * (48 + 32 * (j / 2) + i % 32) + 4 * (j % 2), 4);

    q += 16 * bits(b, 8 * (16 + i % 32) + j, 1);
    return (struct want){half_at(b, 0) * pair(b, j, 0) * q, half_at(b, 2) * pair(b, j, 1)};
}

static struct want want_q6_k(const unsigned char *b, int i)
{
    static const int ql_byte[4] = {0, 32, 0, 32}, ql_bit[4] = {0, 0, 4, 4};
    int k = i / 128, t = i % 128 / 32, l = i % 32;
    int lo = bits(b, 8 * (64 * k + ql_byte[t] + l) + ql_bit[t], 4);
    int hi = bits(b, 8 * (128 + 32 * k + l) + 2 * t, 2);
    int sc = signed8(bits(b, 8 * (192 + 8 * k + l / 16 + 2 * t), 8));

    return (struct want){half_at(b, 208) * sc * ((lo | hi << 4) - 32), 0};
}

static const int iq4_level[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};

static struct want want_iq4_xs(const unsigned char *b, int i)
{
    int g = i / 32, q = bits(b, 8 * (8 + 16 * g + i % 16) + i % 32 / 16 * 4, 4);
    int scale = bits(b, 8 * 4 + 4 * g, 4) | bits(b, 8 * 2 + 2 * g, 2) << 4;

    return (struct want){half_at(b, 0) * (scale - 32) * iq4_level[q], 0};
}

/* Digit n (from 0, of base 3) of the fraction that a byte is of 256. */
static int digit3(int byte, int n)
{
    static const int pow3[6] = {1, 3, 9, 27, 81, 243};

    return byte * pow3[n + 1] / 256 % 3;
}

static struct want want_tq1_0(const unsigned char *b, int i)
{
    int v = i < 160   ? digit3(b[i % 32], i / 32)
            : i < 240 ? digit3(b[32 + (i - 160) % 16], (i - 160) / 16)
                      : digit3(b[48 + (i - 240) % 4], (i - 240) / 4);

    return (struct want){half_at(b, 52) * (v - 1), 0};
}

/* A number of 4 bits: a sign, 2 bits of exponent with bias 1, 1 of fraction. */
static double e2m1(int v)
{
    int exp = v >> 1 & 3, man = v & 1;
    double size = exp ? ldexp(2 + man, exp - 2) : 0.5 * man;

    return v & 8 && size != 0 ? -size : size;
}

/* 4 bits of exponent with bias 7, 3 of fraction; the last code is none. */
static double ue4m3(int v)
{
    int exp = v >> 3 & 15, man = v & 7;

    if (v == 127)
        return 0;
    return exp ? ldexp(8 + man, exp - 10) : ldexp(man, -9);
}

static struct want want_nvfp4(const unsigned char *b, int i)
{
    int k = i / 16, q = bits(b, 8 * (4 + 8 * k + i % 8) + i % 16 / 8 * 4, 4);

    return (struct want){ue4m3(b[k]) * e2m1(q), 0};
}

static struct want want_of(int type, const unsigned char *b, int i)
{
    switch (type) {
    case QUANT_F16:
        return (struct want){half_at(b, 0), 0};
    case QUANT_Q4_0:
        return (struct want){(nibble(b, 2, i) - 8) * half_at(b, 0), 0};
    case QUANT_Q4_1:
        return (struct want){nibble(b, 4, i) * half_at(b, 0), -half_at(b, 2)};
    case QUANT_Q5_0:
        return (struct want){(nibble(b, 6, i) + 16 * bits(b, 16 + i, 1) - 16) * half_at(b, 0),
                             0};
    case QUANT_Q5_1:
        return (struct want){(nibble(b, 8, i) + 16 * bits(b, 32 + i, 1)) * half_at(b, 0),
                             -half_at(b, 2)};
    case QUANT_Q8_0:
        return (struct want){signed8(bits(b, 16 + 8 * i, 8)) * half_at(b, 0), 0};
    case QUANT_Q2_K:
        return want_q2_k(b, i);
    case QUANT_Q3_K:
        return want_q3_k(b, i);
    case QUANT_Q4_K:
        return want_q4_k(b, i);
    case QUANT_Q5_K:
        return want_q5_k(b, i);
    case QUANT_Q6_K:
        return want_q6_k(b, i);
    case QUANT_IQ4_NL:
        return (struct want){iq4_level[nibble(b, 2, i)] * half_at(b, 0), 0};
    case QUANT_IQ4_XS:
        return want_iq4_xs(b, i);
    case QUANT_TQ1_0:
        return want_tq1_0(b, i);
    case QUANT_TQ2_0:
        return (struct want){
            half_at(b, 64) * (bits(b, 8 * (i / 128 * 32 + i % 32) + i % 128 / 32 * 2, 2) - 1),
            0};
    case QUANT_MXFP4:
        return (struct want){e2m1(nibble(b, 1, i)) * ldexp(1, b[0] - 127), 0};
    case QUANT_NVFP4:
        return want_nvfp4(b, i);
    case QUANT_Q1_0:
        return (struct want){half_at(b, 0) * (bits(b, 16 + i, 1) ? 1 : -1), 0};
    case QUANT_Q2_0:
        return (struct want){half_at(b, 0) * (bits(b, 16 + 2 * i, 2) - 1), 0};
    default:
        fail_msg("no definition of type %d", type);
        return (struct want){0, 0};
    }
}

static float want_number(int type, const unsigned char *b, int i)
{
    struct want w;
    uint32_t u = (uint32_t)bits(b, 0, type == QUANT_F32 ? 32 : 16);
    float f;

    if (type == QUANT_F32 || type == QUANT_BF16) {
        u = type == QUANT_BF16 ? u << 16 : u;
        memcpy(&f, &u, sizeof(f));
        return f;
    }
    w = want_of(type, b, i);
    return (float)w.a - (float)w.m;
}

/* ---- */

static void fill_random(unsigned char *p, size_t n, struct rng *r)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)rng_u64(r);
}

static void fill_normal(float *p, float size, uint64_t seed)
{
    struct rng r;

    rng_seed(&r, seed);
    for (int i = 0; i < N; i++)
        p[i] = size * rng_normal(&r);
}

static void fill_laplace(float *p, float size, uint64_t seed)
{
    struct rng r;

    rng_seed(&r, seed);
    for (int i = 0; i < N; i++) {
        double u = rng_unit(&r) - 0.5;

        p[i] = (float)((double)size * (u < 0 ? 1 : -1) * log(1 - 2 * fabs(u)));
    }
}

static void round_trip(const struct quant *q, const float *in, float *out)
{
    q->from_f32(in, mem, N);
    q->to_f32(mem, out, N);
}

static double nmse(const float *got, const float *want)
{
    double e = 0, s = 0;

    for (int i = 0; i < N; i++) {
        double d = (double)got[i] - (double)want[i];

        e += d * d;
        s += (double)want[i] * (double)want[i];
    }
    return s > 0 ? e / s : e;
}

static double worst(const float *got, const float *want)
{
    double e = 0;

    for (int i = 0; i < N; i++) {
        double d = fabs((double)got[i] - (double)want[i]);

        e = d > e ? d : e; /* fmax() here breaks gcc 12 for Arm */
    }
    return e;
}

static void test_table(void **state)
{
    int n = 0, n_write = 0;

    (void)state;
    for (const struct quant *q; (q = quant_at(n)) != NULL; n++) {
        char name[16] = {0};
        int sum = 0, block = 0, bytes = 0;

        assert_ptr_equal(quant_find(q->type), q);
        for (size_t i = 0; q->name[i]; i++)
            name[i] = (char)tolower((unsigned char)q->name[i]);
        assert_ptr_equal(quant_by_name(q->name), q);
        assert_ptr_equal(quant_by_name(name), q);
        assert_string_equal(quant_type_name(q->type), q->name);
        assert_int_equal(quant_type_size(q->type, &block, &bytes), 1);
        assert_int_equal(block, q->block);
        assert_int_equal(bytes, q->bytes);
        for (int i = 0; i < QUANT_PARTS && q->parts[i]; i++) {
            assert_true(q->parts[i] <= 2 || q->parts[i] % 4 == 0);
            sum += q->parts[i];
        }
        assert_int_equal(sum, q->bytes);
        assert_int_equal(q->parts[QUANT_PARTS], 0);
        n_write += q->from_f32 != NULL;
    }
    assert_int_equal(n, N_TABLE);
    assert_int_equal(n_write, N_WRITE);
    assert_null(quant_at(-1));
    assert_null(quant_find(9)); /* Q8_1: known by name only */
    assert_null(quant_by_name("Q9_Z"));
    assert_null(quant_by_name(""));
}

static void test_names_without_rows(void **state)
{
    static const int gone[] = {-1, 4, 5, 31, 32, 33, 36, 37, 38, 43, 63, 64, 99, 1 << 30};
    int block = 7, bytes = 7, n = 0;

    (void)state;
    assert_string_equal(quant_type_name(39), "MXFP4");
    assert_int_equal(quant_type_size(39, &block, &bytes), 1);
    assert_int_equal(block, 32);
    assert_int_equal(bytes, 17);
    assert_string_equal(quant_type_name(29), "IQ1_M");
    assert_int_equal(quant_type_size(27, &block, &bytes), 1);
    assert_int_equal(block, 1);
    assert_int_equal(bytes, 8);
    for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++) {
        assert_null(quant_type_name(gone[i]));
        assert_int_equal(quant_type_size(gone[i], &block, &bytes), 0);
    }
    assert_int_equal(bytes, 8); /* outputs are written on success only */
    for (int t = 0; t < QUANT_TYPE_MAX; t++)
        n += quant_type_name(t) != NULL;
    assert_int_equal(n, 35);
}

static void test_reads_as_defined(void **state)
{
    uint64_t seed = rng_entropy();
    struct rng r;

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_seed(&r, seed);
    for (int t = 0; quant_at(t); t++) {
        const struct quant *q = quant_at(t);
        size_t n_block = (size_t)(N / q->block);
        unsigned char *p = mem + 1; /* any address will do */

        if (!q->from_f32) /* one with a codebook: test_grid.c */
            continue;

        fill_random(p, n_block * (size_t)q->bytes, &r);
        q->to_f32(p, y, N);
        for (int i = 0; i < N; i++) {
            float want = want_number(q->type, p + i / q->block * q->bytes, i % q->block);

            if (f32_bits(y[i]) == f32_bits(want) || (isnan(y[i]) && isnan(want)))
                continue;
            fail_msg("%s: number %d is %a, want %a (seed %llu)", q->name, i, (double)y[i],
                     (double)want, (unsigned long long)seed);
        }
    }
}

/* Errors as sum((y - x)^2) / sum(x^2), measured with this file's data, plus 3 %; `again` is
 * what a second round trip adds, plus 50 %. The usual tools reach on such data the same for
 * Q4_0 to Q8_0, and 8.8e-2, 2.3e-2, 5.1e-3, 1.3e-3, 3.2e-4 (normal) for Q2_K to Q6_K, 6.6e-1
 * for TQ1_0 and TQ2_0, 1.3e-2 for MXFP4. */
/* clang-format off */
static const struct {
    int type;
    double normal, laplace, again;
    double constant; /* relative error of a block of equal numbers */
} limits[N_WRITE] = {
    {QUANT_F32,    0,       0,       0,      HALF_STEP},
    {QUANT_F16,    5.0e-8,  5.0e-8,  0,      HALF_STEP},
    {QUANT_BF16,   3.0e-6,  3.0e-6,  0,      HALF_STEP},
    {QUANT_Q4_0,   7.50e-3, 1.18e-2, 0,      HALF_STEP},
    {QUANT_Q4_1,   6.25e-3, 8.64e-3, 0,      HALF_STEP},
    {QUANT_Q5_0,   1.84e-3, 2.89e-3, 0,      HALF_STEP},
    {QUANT_Q5_1,   1.48e-3, 2.00e-3, 0,      HALF_STEP},
    {QUANT_Q8_0,   2.92e-5, 4.52e-5, 0,      HALF_STEP},
    {QUANT_Q2_K,   6.91e-2, 8.56e-2, 5.7e-4, HALF_STEP},
    {QUANT_Q3_K,   2.11e-2, 2.92e-2, 2.1e-6, HALF_STEP},
    {QUANT_Q4_K,   5.02e-3, 7.00e-3, 3.6e-5, HALF_STEP},
    {QUANT_Q5_K,   1.24e-3, 1.71e-3, 3.3e-5, HALF_STEP},
    {QUANT_Q6_K,   3.02e-4, 4.51e-4, 4.6e-6, HALF_STEP},
    {QUANT_IQ4_NL, 5.53e-3, 7.32e-3, 0,      HALF_STEP},
    {QUANT_IQ4_XS, 5.61e-3, 7.45e-3, 1.7e-6, HALF_STEP},
    {QUANT_TQ1_0,  1.93e-1, 2.66e-1, 0,      HALF_STEP},
    {QUANT_TQ2_0,  1.93e-1, 2.66e-1, 0,      HALF_STEP},
    {QUANT_MXFP4,  1.29e-2, 1.55e-2, 0,      0.18},
    {QUANT_NVFP4,  8.04e-3, 7.72e-3, 0,      0.03},
    {QUANT_Q1_0,   3.68e-1, 5.06e-1, 0,      HALF_STEP},
    {QUANT_Q2_0,   1.27e-1, 1.65e-1, 0,      HALF_STEP},
};
/* clang-format on */

static void test_write_error(void **state)
{
    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);
        double e1, e2, again;

        fill_laplace(x, 0.02f, 2);
        round_trip(q, x, y);
        e2 = nmse(y, x);
        fill_normal(x, 0.02f, 1);
        round_trip(q, x, y);
        e1 = nmse(y, x);
        round_trip(q, y, z);
        again = nmse(z, y);
        printf("%-5s normal %.4e  laplace %.4e  again %.1e\n", q->name, e1, e2, again);
        assert_true(e1 <= limits[t].normal);
        assert_true(e2 <= limits[t].laplace);
        assert_true(again <= limits[t].again);
    }
}

/* The same numbers times a power of two have the same error while the scales are normal. */
static void test_sizes_of_numbers(void **state)
{
    static const float sizes[] = {1.0f, 64.0f, 8192.0f};

    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);

        for (size_t s = 0; s < 3; s++) {
            if (q->type == QUANT_NVFP4 && 4 * sizes[s] > NVFP4_MAX)
                continue;
            fill_normal(x, sizes[s], 1);
            round_trip(q, x, y);
            if (nmse(y, x) > limits[t].normal)
                fail_msg("%s: error %.3e at size %g", q->name, nmse(y, x), (double)sizes[s]);
        }
    }
}

static void check_constant(const struct quant *q, float c, double limit)
{
    for (int i = 0; i < N; i++)
        x[i] = c;
    round_trip(q, x, y);
    for (int i = 0; i < N; i++) {
        if (!(fabs((double)y[i] - (double)c) <= limit * fabs((double)c)))
            fail_msg("%s: constant %g became %g", q->name, (double)c, (double)y[i]);
    }
}

static void test_constants(void **state)
{
    static const float c[] = {0.0f, 1.0f, -1.0f, 0.02f, -0.02f, 3.7f, -3.7f, 6e4f, -6e4f};

    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        for (size_t i = 0; i < sizeof(c) / sizeof(c[0]); i++) {
            if (limits[t].type == QUANT_NVFP4 && fabsf(c[i]) > NVFP4_MAX)
                continue;
            check_constant(quant_find(limits[t].type), c[i], limits[t].constant);
        }
    }
}

/* One number that is not zero, in each place: the rest stays zero, or nearly. Q1_0 has no
 * zero. */
static void test_spikes(void **state)
{
    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);

        if (q->type == QUANT_Q1_0)
            continue;
        memset(x, 0, sizeof(x));
        for (int i = 0; i < 64; i++)
            x[256 * i + (i * 37) % 256] = i % 2 ? -1.0f : 1.0f;
        round_trip(q, x, y);
        if (nmse(y, x) > 2e-3)
            fail_msg("%s: error of spikes %.3e", q->name, nmse(y, x));
    }
}

/* Too small and too large for a half-precision scale: never NaN. The small ones come back no
 * worse than as zeros, or within 1e-6, some steps of the smallest scale. */
static void test_out_of_range(void **state)
{
    static const float sizes[] = {1e-42f, 1e-38f, 1e-20f, 1e-9f, 1e-8f, 1e-7f, 1e-6f,
                                  1e-5f,  6e4f,   1e7f,   1e10f, 1e20f, 3e37f};

    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);

        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            fill_normal(x, sizes[s], 3);
            round_trip(q, x, y);
            for (int i = 0; i < N; i++) {
                if (isnan(y[i]) || (q->block > 1 && isinf(y[i])))
                    fail_msg("%s: %g became %g", q->name, (double)x[i], (double)y[i]);
            }
            if (sizes[s] < 1 && !(nmse(y, x) <= 1.0001) && !(worst(y, x) <= 1e-6))
                fail_msg("%s: error %.3e at size %g", q->name, nmse(y, x), (double)sizes[s]);
        }
    }
}

/* Blocks take NaN and infinities for zeros; plain numbers keep them. */
static void test_not_finite(void **state)
{
    (void)state;
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);

        fill_normal(x, 1.0f, 4);
        for (int i = 0; i < N; i += 19)
            x[i] = i % 3 == 0 ? NAN : i % 3 == 1 ? INFINITY : -INFINITY;
        memcpy(z, x, sizeof(z));
        for (int i = 0; i < N; i += 19)
            z[i] = 0;
        q->from_f32(x, mem, N);
        if (q->block == 1) {
            q->to_f32(mem, y, N);
            assert_true(isnan(y[0]) && isinf(y[19]) && y[38] == -INFINITY);
            continue;
        }
        q->from_f32(z, mem2, N);
        assert_memory_equal(mem, mem2, (size_t)(N / q->block * q->bytes));
    }
}

/* Nothing outside of the blocks and the numbers is touched; n = 0 touches nothing. */
static void test_bounds(void **state)
{
    (void)state;
    fill_normal(x, 1.0f, 5);
    for (int t = 0; t < N_WRITE; t++) {
        const struct quant *q = quant_find(limits[t].type);
        size_t n = (size_t)q->block * 3, n_byte = (size_t)q->bytes * 3;

        memset(mem, 0xa5, n_byte + 8);
        for (size_t i = 0; i <= n; i++)
            y[i] = 42;
        q->from_f32(x, mem + 2, 0);
        q->to_f32(mem + 2, y, 0);
        assert_int_equal(mem[2], 0xa5);
        assert_true(y[0] == 42);
        q->from_f32(x, mem + 2, n);
        q->to_f32(mem + 2, y, n);
        assert_int_equal(mem[1], 0xa5);
        assert_int_equal(mem[n_byte + 2], 0xa5);
        assert_true(y[n] == 42);
        assert_true(y[n - 1] != 42);
    }
}

static void test_q8_0_symmetric(void **state)
{
    const struct quant *q = quant_find(QUANT_Q8_0);

    (void)state;
    for (int e = -20; e < 30; e += 3) {
        fill_normal(x, ldexpf(1.0f, e), 6);
        q->from_f32(x, mem, N);
        for (int i = 0; i < N; i++)
            assert_int_not_equal(mem[i / 32 * 34 + 2 + i % 32], 0x80);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_names_without_rows),
        cmocka_unit_test(test_reads_as_defined),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test(test_sizes_of_numbers),
        cmocka_unit_test(test_constants),
        cmocka_unit_test(test_spikes),
        cmocka_unit_test(test_out_of_range),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_q8_0_symmetric),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* test_f16.c - half precision and bfloat16 against tables of all their values: the nearest one
 * is found by search, in double, where all of this is exact. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"
#include "quant/f16.h"

#include <math.h>
#include <stdio.h>

#define N_RANDOM 2000000

struct kind {
    const char *name;
    int exp_bits, man_bits;
    float (*widen)(uint16_t h);
    uint16_t (*narrow)(float f);
    double value[1 << 15]; /* of each positive number; infinity's is one step past the last */
    int n;                 /* up to and with infinity */
};

static struct kind half = {"f16", 5, 10, f16_to_f32, f32_to_f16, {0}, 0};
static struct kind brain = {"bf16", 8, 7, bf16_to_f32, f32_to_bf16, {0}, 0};

/* What the bits of h mean, by the definition of the format. */
static double value_of(const struct kind *k, int h)
{
    int exp = h >> k->man_bits, man = h & ((1 << k->man_bits) - 1);
    int bias = (1 << (k->exp_bits - 1)) - 1;

    if (exp == 0)
        return ldexp(man, 1 - bias - k->man_bits);
    return ldexp(man + (1 << k->man_bits), exp - bias - k->man_bits);
}

static void make_table(struct kind *k)
{
    k->n = (((1 << k->exp_bits) - 1) << k->man_bits) + 1;
    for (int h = 0; h < k->n; h++)
        k->value[h] = value_of(k, h);
}

/* The nearest number to f, the even one of two; overflow goes to infinity by the same rule. */
static uint16_t nearest(const struct kind *k, float f)
{
    double x = fabs((double)f);
    int lo = 0, hi = k->n - 1, sign = signbit(f) ? 0x8000 : 0;

    if (x >= k->value[hi])
        return (uint16_t)(sign | hi);
    while (hi - lo > 1) {
        int mid = (lo + hi) / 2;

        if (x >= k->value[mid])
            lo = mid;
        else
            hi = mid;
    }
    if (x - k->value[lo] > k->value[hi] - x ||
        (x - k->value[lo] == k->value[hi] - x && (lo & 1)))
        lo = hi;
    return (uint16_t)(sign | lo);
}

static void check_narrow(const struct kind *k, float f)
{
    uint16_t got = k->narrow(f);

    if (isnan(f)) {
        if (!isnan(k->widen(got)))
            fail_msg("%s of NaN %08x: %04x", k->name, f32_bits(f), got);
    } else if (got != nearest(k, f)) {
        fail_msg("%s of %a (%08x): %04x, want %04x", k->name, (double)f, f32_bits(f), got,
                 nearest(k, f));
    }
}

static void check_all_values(struct kind *k)
{
    make_table(k);
    for (int h = 0; h < 0x10000; h++) {
        float f = k->widen((uint16_t)h);
        int a = h & 0x7fff;

        if (a >= k->n) {
            assert_true(isnan(f));
        } else if (a == k->n - 1) {
            assert_true(isinf(f));
        } else if ((double)fabsf(f) != k->value[a]) {
            fail_msg("%s %04x: %a, want %a", k->name, h, (double)f, k->value[a]);
        }
        if (a < k->n) {
            assert_int_equal(signbit(f) != 0, h >> 15);
            assert_int_equal(k->narrow(f), h);
        } else {
            assert_true(isnan(k->widen(k->narrow(f))));
        }
    }
}

/* Halfway between all neighbours, and one float to either side; both signs. */
static void check_ties(struct kind *k)
{
    make_table(k);
    for (int h = 0; h + 1 < k->n; h++) {
        float f = (float)((k->value[h] + k->value[h + 1]) / 2);

        check_narrow(k, f);
        check_narrow(k, -f);
        check_narrow(k, nextafterf(f, 0.0f));
        check_narrow(k, nextafterf(f, INFINITY));
        check_narrow(k, -nextafterf(f, INFINITY));
    }
}

static void check_random(struct kind *k)
{
    uint64_t seed = rng_entropy();
    struct rng r;

    make_table(k);
    printf("%s: seed %llu\n", k->name, (unsigned long long)seed);
    rng_seed(&r, seed);
    for (int i = 0; i < N_RANDOM; i++) {
        uint32_t u = (uint32_t)rng_u64(&r);

        check_narrow(k, f32_of_bits(u));
        /* And in the range of half precision, which few random floats hit. */
        check_narrow(k, f32_of_bits((u & 0x807fffffu) | (100 + (u >> 23 & 63)) << 23));
    }
}

static void test_all_values(void **state)
{
    (void)state;
    check_all_values(&half);
    check_all_values(&brain);
}

static void test_ties(void **state)
{
    (void)state;
    check_ties(&half);
    check_ties(&brain);
}

static void test_random(void **state)
{
    (void)state;
    check_random(&half);
    check_random(&brain);
}

static void test_edges(void **state)
{
    (void)state;
    assert_int_equal(f32_to_f16(65504.0f), 0x7bff);
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(0x1p-24f), 0x0001);
    assert_int_equal(f32_to_f16(0x1p-25f), 0x0000);
    assert_int_equal(f32_to_f16(0x1.000002p-25f), 0x0001);
    assert_int_equal(f32_to_f16(-0.0f), 0x8000);
    assert_int_equal(f32_to_bf16(0x1.fffffep127f), 0x7f80);
    assert_int_equal(f32_to_bf16(f32_of_bits(0x7f800001u)), 0x7fc0);
    assert_int_equal(f32_to_bf16(1.00390625f), 0x3f80);
    assert_int_equal(f32_to_bf16(1.01171875f), 0x3f82);
}

static void test_load_store(void **state)
{
    unsigned char p[3] = {0};

    (void)state;
    store_u16(p + 1, 0x3c01);
    assert_int_equal(p[1], 0x01); /* little endian */
    assert_int_equal(p[2], 0x3c);
    assert_int_equal(load_u16(p + 1), 0x3c01);
    assert_true(load_f16(p + 1) == 1.0009765625f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_values), cmocka_unit_test(test_ties),
        cmocka_unit_test(test_random),     cmocka_unit_test(test_edges),
        cmocka_unit_test(test_load_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

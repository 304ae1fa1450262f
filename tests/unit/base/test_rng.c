#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/rng.h"

#include <math.h>

/* Computed by a second implementation, in another language, from the paper's text. */
static void test_known_numbers(void **state)
{
    static const struct {
        uint64_t seed, want[3];
    } rows[] = {
        {0, {0x53175d61490b23dfu, 0x61da6f3dc380d507u, 0x5c0fdf91ec9a7bfcu}},
        {42, {0xd0764d4f4476689fu, 0x519e4174576f3791u, 0xfbe07cfb0c24ed8cu}},
    };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct rng r;

        rng_seed(&r, rows[i].seed);
        for (int k = 0; k < 3; k++)
            assert_true(rng_u64(&r) == rows[i].want[k]);
    }
}

static void test_unit(void **state)
{
    double sum = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (int i = 0; i < 100000; i++) {
        double u = rng_unit(&r);

        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(fabs(sum / 100000 - 0.5) < 0.005); /* 5 deviations of the mean */
}

static void test_normal(void **state)
{
    double sum = 0, square = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 2);
    for (int i = 0; i < 100000; i++) {
        double v = (double)rng_normal(&r);

        assert_true(isfinite(v));
        sum += v;
        square += v * v;
    }
    assert_true(fabs(sum / 100000) < 0.016);
    assert_true(fabs(square / 100000 - 1) < 0.025);
}

static void test_entropy(void **state)
{
    (void)state;
    assert_true(rng_entropy() != rng_entropy());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_numbers),
        cmocka_unit_test(test_unit),
        cmocka_unit_test(test_normal),
        cmocka_unit_test(test_entropy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

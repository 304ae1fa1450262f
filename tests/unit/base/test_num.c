#include "base/num.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void known(void **state)
{
    static const struct {
        double x;
        const char *as_double, *as_float;
    } rows[] = {
        {0, "0", "0"},
        {-0.0, "-0", "-0"},
        {1, "1", "1"},
        {0.2, "0.2", "0.2"},
        {-1.5, "-1.5", "-1.5"},
        {0.1 + 0.2, "0.30000000000000004", "0.3"},
        {1 / 3., "0.3333333333333333", "0.33333334"},
        {16777217, "16777217", "16777216"},
        {1e22, "1e+22", "1e+22"},
        {9007199254740992.0, "9007199254740992", "9.007199e+15"},
        {1e-45, "1e-45", "1e-45"},
        {5e-324, "5e-324", "0"},
    };
    char text[NUM_TEXT];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_int_equal(num_double(text, rows[i].x), strlen(rows[i].as_double));
        assert_string_equal(text, rows[i].as_double);
        assert_int_equal(num_float(text, (float)rows[i].x), strlen(rows[i].as_float));
        assert_string_equal(text, rows[i].as_float);
    }
    assert_true(num_widen(0.2F) == 0.2);
    assert_true(num_widen(3.4028235e38F) == 3.4028235e38);
}

/* All bits are read back, and with one digit less some would not be. */
static void by_chance(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 7);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&r);
        uint32_t half = (uint32_t)(bits >> 32);
        char text[NUM_TEXT];
        double d;
        float f;

        memcpy(&d, &bits, sizeof(d));
        memcpy(&f, &half, sizeof(f));
        if (d == d) {
            assert_in_range(num_double(text, d), 1, NUM_TEXT - 1);
            assert_true(strtod(text, NULL) == d);
        }
        if (f == f) {
            assert_in_range(num_float(text, f), 1, NUM_TEXT - 1);
            assert_true(strtof(text, NULL) == f);
            assert_true((float)num_widen(f) == f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(by_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

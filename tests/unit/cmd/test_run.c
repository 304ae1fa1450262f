#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/run.h"

#include <string.h>

/* The command's table and the library must not drift apart. */
static void test_defaults(void **state)
{
    struct run_options o = {0};
    struct hearth_sampling lib;

    (void)state;
    opt_defaults(&run_spec, &o);
    hearth_sampling_defaults(&lib);
    assert_true(o.sampling.temperature == lib.temperature);
    assert_int_equal(o.sampling.top_k, lib.top_k);
    assert_true(o.sampling.top_p == lib.top_p);
    assert_true(o.sampling.min_p == lib.min_p);
    assert_true(o.sampling.typical_p == lib.typical_p);
    assert_true(o.sampling.repeat_penalty == lib.repeat_penalty);
    assert_true(o.sampling.presence_penalty == lib.presence_penalty);
    assert_true(o.sampling.frequency_penalty == lib.frequency_penalty);
    assert_int_equal(o.sampling.repeat_last_n, lib.repeat_last_n);
    assert_true(o.sampling.top_n_sigma == lib.top_n_sigma);
    assert_true(o.sampling.xtc_probability == lib.xtc_probability);
    assert_true(o.sampling.xtc_threshold == lib.xtc_threshold);
    assert_true(o.sampling.dry_multiplier == lib.dry_multiplier);
    assert_true(o.sampling.dry_base == lib.dry_base);
    assert_int_equal(o.sampling.dry_allowed_length, lib.dry_allowed_length);
    assert_int_equal(o.sampling.dry_last_n, lib.dry_last_n);
    assert_true(o.sampling.dynatemp_range == lib.dynatemp_range);
    assert_true(o.sampling.dynatemp_exponent == lib.dynatemp_exponent);
    assert_int_equal(o.sampling.min_keep, lib.min_keep);
    assert_int_equal(o.num_predict, -1);
    assert_int_equal(o.kv.both, HEARTH_KV_F16);
    assert_string_equal(o.format, "text");
    assert_false(o.seed.given);
}

/* Parameters have the names that Ollama gives them. */
static void test_parameters(void **state)
{
    static const char *const names[] = {
        "temperature",       "top_k",         "top_p", "min_p",       "typical_p",
        "repeat_penalty",    "seed",          "stop",  "num_predict", "presence_penalty",
        "frequency_penalty", "repeat_last_n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_non_null(opt_param(&run_spec, names[i]));
}

/* Each name and letter means one option, and each has words for --help. */
static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < run_spec.n; i++) {
        const struct opt_row *a = &run_spec.rows[i];

        assert_true(a->help && a->help[0]);
        assert_true(a->type == OPT_FLAG || a->arg);
        for (int k = 0; k < i; k++) {
            const struct opt_row *b = &run_spec.rows[k];

            assert_string_not_equal(a->name, b->name);
            assert_true(!a->letter || a->letter != b->letter);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_parameters),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

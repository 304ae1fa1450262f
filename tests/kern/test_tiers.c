/* The table of tiers: names, which of them run here, and what each starts from. */
#include "kern_test.h"

#include <stdlib.h>

static void names(void **state)
{
    char all[200] = "";

    (void)state;
    for (int t = 0; t < KERN_TIER_N; t++) {
        assert_int_equal(kern_tier_of(kern_tier_name(t)), t);
        (void)snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", t ? ", " : "",
                       kern_tier_name(t));
    }
    assert_string_equal(all, KERN_TIER_NAMES);
    assert_int_equal(kern_tier_of("AVX2"), KERN_AVX2);
    assert_int_equal(kern_tier_of("avx"), -1);
    assert_null(kern_tier_name(KERN_TIER_N));
    assert_null(kern_tier_name(-1));
}

static void here(void **state)
{
    const char *want = getenv("TEST_BEST_TIER");
    int x86 = 0, arm = 0;

    (void)state;
    assert_true(kern_tier_here(KERN_REF));
    assert_false(kern_tier_here(-1));
    assert_false(kern_tier_here(KERN_TIER_N));
    for (int t = 0; t < KERN_TIER_N; t++) {
        if (kern_tier_here(t))
            assert_true(t <= kern_tier_best());
        x86 += t >= KERN_AVX2 && t <= KERN_AVX512VNNI && kern_tier_here(t);
        arm += t >= KERN_DOTPROD && kern_tier_here(t);
    }
    assert_true(kern_tier_here(kern_tier_best()));
    if (want) /* the caller knows this machine */
        assert_string_equal(kern_tier_name(kern_tier_best()), want);
    assert_true(x86 == 0 || arm == 0);
    if (kern_tier_here(KERN_AVXVNNI) || kern_tier_here(KERN_AVX512VNNI))
        assert_true(kern_tier_here(KERN_AVX2));
    if (kern_tier_here(KERN_I8MM))
        assert_true(kern_tier_here(KERN_DOTPROD));
}

/* As few panels as the widest make, and none of them wider than the last by more than there are
 * panels. */
static void check_panels(const struct kern *k)
{
    for (size_t n = 1; n <= 100; n++) {
        struct kern_acts a = {.n = n, .n_panel = kern_panel_of(k, n)}, all;
        size_t n_panel = (n + k->n_panel - 1) / k->n_panel;

        assert_in_range(a.n_panel, 1, k->n_panel);
        assert_int_equal((n + a.n_panel - 1) / a.n_panel, n_panel);
        assert_true(kern_panel_width(&a, n_panel - 1) + n_panel > a.n_panel);
        kern_acts_bind(k, &all, NULL, 100, 32, 0);
        assert_int_equal(kern_acts_part(k, &all, 0, n).n_panel, a.n_panel);
    }
    assert_int_equal(kern_panel_of(k, 0), 1);
}

/* Each has every slot and type of the reference; and its name is the tier of its product, so
 * that none is another one in disguise. */
static void whole(const struct kern *k)
{
    char line[160], first[16];
    int n = 0;

    for (int i = 0; quant_at(i); i++, n++)
        assert_non_null(k->mm[quant_at(i)->type].mul);
    assert_true(k->acts && k->rms_norm && k->rope && k->key_put && k->value_put);
    assert_true(k->layer_norm && k->l2_norm && k->act);
    assert_true(k->attn && k->attn_fold && k->conv && k->ssm && k->delta);
    assert_true(k->n_panel > 0 && k->n_group > 0);
    check_panels(k);
    for (int i = 0; i < n; i++) {
        assert_int_equal(kern_describe(k, i, line, sizeof(line)), 1);
        assert_int_equal(sscanf(line, "mul %*s %15s", first), 1);
        if (kern_tier_here(k->tier))
            assert_string_equal(first, kern_tier_name(k->tier));
    }
    assert_int_equal(kern_describe(k, n, line, sizeof(line)), 0);
}

static void tables(void **state)
{
    (void)state;
    each_tier(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(here),
        cmocka_unit_test(tables),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

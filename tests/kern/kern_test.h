/* kern_test.h - what the checkers of kernels share: seeded data, tiers, and comparison. */
#ifndef HEARTH_TESTS_KERN_TEST_H
#define HEARTH_TESTS_KERN_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <math.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "kern/kern.h"

#include <string.h>

/* Calls body with each tier that this machine has; says which ones it has not. */
static inline void each_tier(void (*body)(const struct kern *k))
{
    int best = kern_tier_best();

    for (int t = 0; t < KERN_TIER_N; t++) {
        struct kern k;

        if (t > best) {
            print_message("# SKIP tier %s: this machine has none\n", kern_tier_name(t));
            continue;
        }
        kern_init(&k, t);
        assert_int_equal(k.tier, t);
        body(&k);
    }
}

static inline void *test_alloc(size_t n)
{
    void *p = mem_aligned(n ? n : 64, 64);

    assert_non_null(p);
    return p;
}

static inline void fill_normal(struct rng *r, float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        x[i] = rng_normal(r) * scale;
}

#endif

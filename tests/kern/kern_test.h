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

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
/* mul_evex.c: what the avxvnni tier adds, by the other coding of its instruction. */
void kern_mul_add_evex(struct kern *k);

/* Client processors code the product of AVX-VNNI as AVX2 does, servers as AVX-512 does; the
 * numbers are the same. So a machine that has only the second can check the arithmetic. */
static inline int avxvnni_by_evex(struct kern *k)
{
    if (!kern_tier_here(KERN_AVX512VNNI))
        return 0;
    print_message("# tier avxvnni: this machine has its product, but coded as AVX-512\n");
    kern_init(k, KERN_AVX2);
    kern_mul_add_evex(k);
    k->tier = KERN_AVXVNNI;
    return 1;
}
#else
static inline int avxvnni_by_evex(struct kern *k)
{
    (void)k;
    return 0;
}
#endif

/* Calls body with each tier that this machine has; says which ones it has not. TEST_TIER names
 * the only one, for an emulator, which is slow. */
static inline void each_tier(void (*body)(const struct kern *k))
{
    const char *only = getenv("TEST_TIER");
    int n = 0;

    for (int t = 0; t < KERN_TIER_N; t++) {
        struct kern k;

        if (only && strcmp(only, kern_tier_name(t)) != 0)
            continue;
        if (kern_tier_here(t)) {
            kern_init(&k, t);
            assert_int_equal(k.tier, t);
        } else if (t != KERN_AVXVNNI || !avxvnni_by_evex(&k)) {
            print_message("# SKIP tier %s: this machine has none\n", kern_tier_name(t));
            continue;
        }
        body(&k);
        n++;
    }
    assert_true(n > 0);
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

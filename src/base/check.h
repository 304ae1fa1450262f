/* check.h - arithmetic on sizes from outside: every one says when it overflows.
 *
 * Each returns 1 and writes *out when the result fits, and returns 0 and leaves *out alone
 * when it does not.
 */
#ifndef HEARTH_BASE_CHECK_H
#define HEARTH_BASE_CHECK_H

#include <stddef.h>
#include <stdint.h>

static inline int check_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;

    if (__builtin_add_overflow(a, b, &r))
        return 0;
    *out = r;
    return 1;
}

static inline int check_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t r;

    if (__builtin_mul_overflow(a, b, &r))
        return 0;
    *out = r;
    return 1;
}

/* Rounds a up to a multiple of align, a power of two. */
static inline int check_align(uint64_t a, uint64_t align, uint64_t *out)
{
    uint64_t r;

    if (!check_add(a, align - 1, &r))
        return 0;
    *out = r & ~(align - 1);
    return 1;
}

#endif

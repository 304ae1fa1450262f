#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint_fast64_t n_done, n_asked, fail_nth;
static atomic_int fail_sticky;

int mem_should_fail(void)
{
    uint64_t nth = atomic_load_explicit(&fail_nth, memory_order_relaxed), now;

    if (!nth)
        return 0;
    now = atomic_fetch_add(&n_asked, 1) + 1;
    return now == nth || (now > nth && atomic_load(&fail_sticky));
}

uint64_t mem_fail_at(uint64_t nth, int sticky)
{
    uint64_t asked = atomic_exchange(&n_asked, 0);

    atomic_store(&fail_sticky, sticky);
    atomic_store(&fail_nth, nth);
    return asked;
}

uint64_t mem_count(void)
{
    return atomic_load_explicit(&n_done, memory_order_relaxed);
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add_explicit(&n_done, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t n)
{
    return n == 0 || mem_should_fail() ? NULL : counted(malloc(n));
}

void *mem_calloc(size_t n, size_t size)
{
    if (n == 0 || size == 0 || n > SIZE_MAX / size || mem_should_fail())
        return NULL;
    return counted(calloc(n, size));
}

void *mem_realloc(void *p, size_t n)
{
    return n == 0 || mem_should_fail() ? NULL : counted(realloc(p, n));
}

void *mem_aligned(size_t n, size_t align)
{
    void *p = NULL;

    if (align < sizeof(void *)) /* posix_memalign takes no less */
        align = sizeof(void *);
    if (n == 0 || mem_should_fail() || posix_memalign(&p, align, n) != 0)
        return NULL;
    return counted(p);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = mem_alloc(n);

    return p ? memcpy(p, s, n) : NULL;
}

void mem_free(void *p)
{
    free(p);
}

void mem_trim(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

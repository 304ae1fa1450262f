/* mem.h - the one door to the heap.
 *
 * Every allocation of hearth's own goes through here, so that a test can count them
 * (nothing is allocated in the decode step) and make the Nth one fail (each loader must
 * survive it). Sizes that an outside party decides must be checked before they get here.
 *
 * Threads  any. The failure hook is for single-threaded tests.
 */
#ifndef HEARTH_BASE_MEM_H
#define HEARTH_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* NULL when the system has no memory, or n is 0. The caller owns the result: mem_free(). */
void *mem_alloc(size_t n);
void *mem_calloc(size_t n, size_t size);   /* zeroed; NULL also when n * size overflows */
void *mem_realloc(void *p, size_t n);      /* on failure p is still the caller's */
void *mem_aligned(size_t n, size_t align); /* align: a power of two; mem_free() it */
char *mem_strdup(const char *s);
void mem_free(void *p); /* NULL is fine */

/* Gives the system back what the heap holds and nobody uses. Takes milliseconds. */
void mem_trim(void);

/* How many allocations succeeded since the program began, all threads together. */
uint64_t mem_count(void);

/* Makes the nth allocation from now fail (1 = the next one), and all after it when sticky.
 * 0 turns it off. Returns how many allocations were asked for since the last call, which are
 * counted while it is on only. */
uint64_t mem_fail_at(uint64_t nth, int sticky);

/* 1 when the caller must act as if the system refused memory: sys/ asks before it maps. */
int mem_should_fail(void);

#endif

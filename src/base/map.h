/* map.h - hash maps to a 32-bit value: from bytes (map) and from a 64-bit number (map64).
 *
 * Open addressing, keys of `map` are borrowed and must outlive it. The hash is seeded once
 * per process from the system's randomness, so that a file cannot be written to collide.
 *
 * Threads  readers may share a map that nobody writes.
 */
#ifndef HEARTH_BASE_MAP_H
#define HEARTH_BASE_MAP_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct map_slot {
    struct str key;
    uint32_t hash; /* 0: free */
    uint32_t value;
};

struct map {
    struct map_slot *slots;
    size_t n, cap; /* keys; slots, a power of two or 0 */
};

/* Room for n keys is made at once; it grows when there are more. Fails: E_NOMEM. */
MUST_CHECK int map_init(struct map *m, size_t n);
void map_done(struct map *m);

/* Sets key to value. Returns 1 when the key was there (then *old, if not NULL, is its
 * former value), 0 when it is new, E_NOMEM. */
MUST_CHECK int map_put(struct map *m, struct str key, uint32_t value, uint32_t *old);

/* 1 and *value when the key is there, else 0. */
int map_get(const struct map *m, struct str key, uint32_t *value);

/* Asking for many keys at once, so that memory is waited for once and not for each: begin all,
 * then reach all, then get each. The number is that of map_begin. */
uint32_t map_begin(const struct map *m, struct str key);
void map_reach(const struct map *m, uint32_t begun);
int map_get_begun(const struct map *m, struct str key, uint32_t begun, uint32_t *value);

struct map64_slot {
    uint64_t key;
    uint32_t value, used;
};

struct map64 {
    struct map64_slot *slots;
    size_t n, cap;
};

MUST_CHECK int map64_init(struct map64 *m, size_t n);
void map64_done(struct map64 *m);
MUST_CHECK int map64_put(struct map64 *m, uint64_t key, uint32_t value); /* as map_put */
void map64_begin(const struct map64 *m, uint64_t key);                   /* soon put or got */
int map64_get(const struct map64 *m, uint64_t key, uint32_t *value);
int map64_del(struct map64 *m, uint64_t key); /* 1 when it was there */

/* The seeded hash of some bytes, and of a number. */
uint64_t map_hash(const void *p, size_t n);
uint64_t map_hash64(uint64_t x);

#endif

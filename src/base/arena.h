/* arena.h - memory with one lifetime: many allocations, one release.
 *
 * Threads  an arena belongs to one thread at a time.
 */
#ifndef HEARTH_BASE_ARENA_H
#define HEARTH_BASE_ARENA_H

#include "base/buf.h"

#include <stddef.h>

struct arena_chunk;

struct arena {
    struct arena_chunk *head;
    size_t used; /* bytes handed out, padding included */
    size_t max;  /* used never passes this */
};

void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a); /* frees everything; the arena is empty and usable again */

/* n bytes aligned to 16, not zeroed. NULL: past max, or no memory. n = 0 gives a pointer
 * that must not be read. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_calloc(struct arena *a, size_t n, size_t size); /* zeroed, overflow-checked */

/* A NUL-terminated copy. NULL as above. */
char *arena_strdup(struct arena *a, struct str s);

#endif

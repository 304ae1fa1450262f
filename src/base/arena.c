#include "base/arena.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

/* Chunks grow with what there is: most arenas stay small. */
enum { ARENA_CHUNK = 64 * 1024, ARENA_FIRST = 4 * 1024, ARENA_ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t n, cap; /* bytes of data[] in use and in all */
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_done(struct arena *a)
{
    struct arena_chunk *c = a->head;

    while (c) {
        struct arena_chunk *next = c->next;

        mem_free(c);
        c = next;
    }
    a->head = NULL;
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_chunk *c = a->head;
    size_t cap;
    void *p;

    if (n > SIZE_MAX / 2)
        return NULL;
    n = (n + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->used > a->max || n > a->max - a->used)
        return NULL;
    if (!c || n > c->cap - c->n) {
        cap = a->used < ARENA_FIRST   ? ARENA_FIRST
              : a->used < ARENA_CHUNK ? a->used
                                      : ARENA_CHUNK;
        cap = n > cap ? n : cap;
        c = mem_alloc(sizeof(*c) + cap);
        if (!c)
            return NULL;
        c->n = 0;
        c->cap = cap;
        c->next = a->head;
        a->head = c;
    }
    p = c->data + c->n;
    c->n += n;
    a->used += n;
    return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    void *p;

    if (size && n > SIZE_MAX / size)
        return NULL;
    p = arena_alloc(a, n * size);
    return p ? memset(p, 0, n * size) : NULL;
}

char *arena_strdup(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (!p)
        return NULL;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

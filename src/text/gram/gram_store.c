/* gram_store.c - where a grammar keeps things: arrays, records by number, and the first error.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"

#include <stdio.h>

int gram_fail(struct gram *g, int code, const char *fmt, ...)
{
    va_list ap;

    if (g->failed.code == 0) {
        va_start(ap, fmt);
        (void)err_setv(&g->failed, code, fmt, ap);
        va_end(ap);
    }
    return g->failed.code;
}

static size_t used(const struct gram *g)
{
    return g->heap + g->kept.used + g->walk.used;
}

int gram_full(const struct gram *g, struct err *e)
{
    if (used(g) > g->limits.bytes - g->limits.bytes / 8)
        return err_set(e, E_TOO_LONG, "the grammar needs more than its limit of %zu KiB",
                       g->limits.bytes / 1024);
    return err_set(e, E_NOMEM, "no memory for the grammar");
}

int gram_room(struct gram *g, struct gram_vec *v, size_t more, size_t size)
{
    size_t cap = v->cap ? v->cap : 16, add;
    void *p;

    if (more <= v->cap - v->n)
        return 0;
    if (more > g->limits.bytes / size)
        return E_TOO_LONG;
    while (cap < v->n + more)
        cap *= 2;
    add = (cap - v->cap) * size;
    if (used(g) > g->limits.bytes || add > g->limits.bytes - used(g))
        return E_TOO_LONG;
    p = mem_realloc(v->p, cap * size);
    if (!p)
        return E_NOMEM;
    v->p = p;
    v->cap = cap;
    g->heap += add;
    return 0;
}

void *gram_keep(struct gram *g, struct arena *a, const void *p, size_t n)
{
    void *to;

    if (used(g) > g->limits.bytes || n > g->limits.bytes - used(g))
        return NULL;
    to = arena_alloc(a, n);
    if (to && n && p)
        memcpy(to, p, n);
    return to;
}

void gram_vec_done(struct gram_vec *v)
{
    mem_free(v->p);
    *v = (struct gram_vec){0};
}

void gram_give(struct gram *g, struct gram_vec *v, size_t size)
{
    g->heap -= v->cap * size;
    gram_vec_done(v);
}

int gram_table_init(struct gram *g, struct gram_table *t)
{
    *t = (struct gram_table){0};
    if (map_init(&t->by, 16) < 0)
        return E_NOMEM;
    g->heap += t->by.cap * sizeof(struct map_slot);
    if (gram_room(g, &t->rec, 1, sizeof(void *)) < 0)
        return E_NOMEM;
    GRAM_AT(const void *, t->rec)[t->rec.n++] = NULL;
    return 0;
}

void gram_table_done(struct gram_table *t)
{
    map_done(&t->by);
    gram_vec_done(&t->rec);
}

uint32_t gram_intern(struct gram *g, struct gram_table *t, struct arena *a, const void *rec,
                     size_t n, int *fresh)
{
    size_t slots = t->by.cap;
    uint32_t id;
    void *own;

    if (fresh)
        *fresh = 0;
    if (map_get(&t->by, (struct str){rec, n}, &id))
        return id;
    if (t->rec.n >= UINT32_MAX / 4 || gram_room(g, &t->rec, 1, sizeof(void *)) < 0)
        return 0;
    own = gram_keep(g, a, rec, n);
    id = (uint32_t)t->rec.n;
    if (!own || map_put(&t->by, (struct str){own, n}, id, NULL) < 0)
        return 0;
    g->heap += (t->by.cap - slots) * sizeof(struct map_slot);
    GRAM_AT(const void *, t->rec)[t->rec.n++] = own;
    if (fresh)
        *fresh = 1;
    return id;
}

int gram_walk_init(struct gram *g)
{
    struct gram_set too_deep = {.flags = GRAM_CUT};

    if (gram_table_init(g, &g->frames) < 0 || gram_table_init(g, &g->states) < 0 ||
        gram_table_init(g, &g->os) < 0 || map64_init(&g->raw, 0) < 0 ||
        map64_init(&g->steps, 0) < 0 || gram_room(g, &g->raws, 1, sizeof(uint64_t)) < 0)
        return E_NOMEM;
    g->heap += (g->raw.cap + g->steps.cap) * sizeof(struct map64_slot);
    g->raws.n = 1; /* number 0 is none */
    GRAM_AT(uint64_t, g->raws)[0] = 0;
    return gram_intern(g, &g->states, &g->walk, &too_deep, sizeof(too_deep), NULL) ==
                   GRAM_TOO_DEEP
               ? 0
               : E_NOMEM;
}

uint32_t gram_key(struct gram *g, struct str s)
{
    buf_clear(&g->text);
    if (buf_put(&g->text, &s.n, sizeof(s.n)) < 0 || buf_put(&g->text, s.p, s.n) < 0)
        return 0;
    return gram_intern(g, &g->keys, &g->kept, g->text.p, g->text.n, NULL);
}

struct str gram_key_text(const struct gram *g, uint32_t key)
{
    const struct gram_key *k = GRAM_REC(struct gram_key, g->keys, key);

    return (struct str){k->p, k->n};
}

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

/* -- a grammar ------------------------------------------------------------------------ */

static void set_limits(struct gram *g, const struct gram_limits *limits)
{
    static const struct gram_limits usual = {GRAM_NODES, GRAM_DEPTH, GRAM_WIDTH, GRAM_BYTES};

    g->limits = limits ? *limits : usual;
    g->limits.nodes = g->limits.nodes ? g->limits.nodes : usual.nodes;
    g->limits.depth = g->limits.depth ? g->limits.depth : usual.depth;
    g->limits.width = g->limits.width ? g->limits.width : usual.width;
    g->limits.bytes = g->limits.bytes ? g->limits.bytes : usual.bytes;
    /* Numbers of expressions share a word with their kind. */
    if (g->limits.nodes > 1u << 28)
        g->limits.nodes = 1u << 28;
    buf_init(&g->text, g->limits.bytes);
    arena_init(&g->kept, g->limits.bytes);
    arena_init(&g->walk, g->limits.bytes);
}

/* Number 0 is none everywhere; of expressions the first two are always the same. */
static int make_empty(struct gram *g)
{
    struct gram_node first[] = {{.kind = GRAM_K_NEVER}, {.kind = GRAM_K_EMPTY}};
    struct gram_table *tables[] = {&g->same,    &g->cs,   &g->ranges,  &g->names,
                                   &g->bs_keys, &g->keys, &g->key_sets};
    gram_ref r;
    int rc = gram_walk_init(g);

    for (size_t i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++)
        rc = gram_table_init(g, tables[i]);
    if (rc == 0 && (map64_init(&g->sizes, 0) < 0 || map64_init(&g->lone, 0) < 0 ||
                    gram_room(g, &g->bs, 1, sizeof(struct gram_bs)) < 0 ||
                    gram_room(g, &g->by_node, 1, sizeof(uint32_t)) < 0))
        rc = E_NOMEM;
    for (size_t i = 0; rc == 0 && i < 2; i++)
        rc = gram_add(g, &first[i], &r);
    if (rc < 0)
        return rc;
    g->bs.n = g->by_node.n = 1;
    GRAM_AT(struct gram_bs, g->bs)[0] = (struct gram_bs){.made = 1};
    GRAM_AT(uint32_t, g->by_node)[0] = 0;
    return 0;
}

int gram_new(struct gram **out, const struct gram_limits *limits, struct err *e)
{
    struct gram *g = mem_calloc(1, sizeof(*g));
    int rc;

    if (!g)
        return err_set(e, E_NOMEM, "no memory for a grammar");
    set_limits(g, limits);
    rc = make_empty(g) < 0 ? gram_full(g, e) : 0;
    if (rc == 0)
        rc = rx_new(&g->rx, &(struct rx_limits){.bytes = g->limits.bytes}, e);
    if (rc < 0) {
        gram_free(g);
        return rc;
    }
    *out = g;
    return 0;
}

void gram_free(struct gram *g)
{
    if (!g)
        return;
    struct gram_table *tables[] = {&g->same,   &g->cs, &g->ranges, &g->names,    &g->bs_keys,
                                   &g->frames, &g->os, &g->keys,   &g->key_sets, &g->states};
    struct gram_vec *vecs[] = {&g->node,  &g->by_node, &g->lits, &g->obj,    &g->bs,
                               &g->range, &g->range2,  &g->size, &g->raws,   &g->os_facts,
                               &g->items, &g->places,  &g->seen, &g->seen_at};
    struct map64 *maps[] = {&g->sizes, &g->lone, &g->raw, &g->steps};

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        gram_table_done(tables[i]);
    for (size_t i = 0; i < sizeof(vecs) / sizeof(vecs[0]); i++)
        gram_vec_done(vecs[i]);
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        map64_done(maps[i]);
    arena_done(&g->kept);
    arena_done(&g->walk);
    buf_done(&g->text);
    rx_free(g->rx);
    mem_free(g);
}

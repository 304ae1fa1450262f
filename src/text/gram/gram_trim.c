/* gram_trim.c - forgetting: what nobody stands in any more goes, the rest moves to new tables.
 *
 * A long text, and looking at all tokens at each of its places, makes states without end.
 * Expressions and the automata of terminals stay; frames, states and object states that the
 * pinned states need are copied, as a copying collector does. Cost: what is kept.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"

/* The old tables while the new ones fill. */
struct move {
    struct gram *g;
    struct arena walk;
    struct gram_table frames, states, os;
    struct gram_vec raws;
    struct map64 frame, oss; /* old numbers to new ones */
    struct gram_vec chain;
    struct err *e;
};

void gram_pin(struct gram *g, struct gram_pin *p)
{
    p->next = g->pins;
    g->pins = p;
}

void gram_unpin(struct gram *g, struct gram_pin *p)
{
    for (struct gram_pin **at = &g->pins; *at; at = &(*at)->next) {
        if (*at == p) {
            *at = p->next;
            return;
        }
    }
}

static int push(struct move *m, uint32_t number)
{
    if (gram_room(m->g, &m->chain, 1, sizeof(number)) < 0)
        return gram_full(m->g, m->e);
    GRAM_AT(uint32_t, m->chain)[m->chain.n++] = number;
    return 0;
}

static uint32_t move_os(struct move *m, uint32_t os)
{
    const struct gram_os *s = GRAM_REC(struct gram_os, m->os, os);
    uint32_t id;

    if (os == 0 || map64_get(&m->oss, os, &id))
        return os ? id : 0;
    id = gram_os_again(m->g, s, m->e);
    return id && map64_put(&m->oss, os, id) >= 0 ? id : 0;
}

/* What was read of a key, from its first byte on. */
static int move_raw(struct move *m, uint32_t raw, uint32_t *to)
{
    int rc = 0;

    *to = 0;
    if (raw == GRAM_RAW_UNKNOWN) {
        *to = raw;
        return 0;
    }
    m->chain.n = 0;
    for (uint32_t r = raw; rc == 0 && r; r = (uint32_t)(GRAM_AT(uint64_t, m->raws)[r] >> 8))
        rc = push(m, (uint32_t)(GRAM_AT(uint64_t, m->raws)[r] & 0xFF));
    while (rc == 0 && m->chain.n) {
        *to = gram_raw(m->g, *to, GRAM_AT(uint32_t, m->chain)[--m->chain.n], m->e);
        rc = *to ? 0 : m->e->code;
    }
    return rc;
}

static int move_one(struct move *m, uint32_t old, uint32_t parent)
{
    struct gram_frame f = *GRAM_REC(struct gram_frame, m->frames, old);
    uint32_t raw, id;
    int rc;

    f.parent = parent;
    if (f.os) {
        f.os = move_os(m, f.os);
        if (!f.os)
            return gram_full(m->g, m->e);
        if (GRAM_PHASE(f.at) == GRAM_P_REST) {
            rc = move_raw(m, GRAM_WITH(f.at), &raw);
            if (rc < 0)
                return rc;
            f.at = GRAM_POINT(GRAM_P_REST, raw);
        }
    }
    id = gram_intern(m->g, &m->g->frames, &m->g->walk, &f, sizeof(f), NULL);
    if (!id || map64_put(&m->frame, old, id) < 0)
        return gram_full(m->g, m->e);
    return 0;
}

/* A frame and those under it, the lowest first. */
static int move_frame(struct move *m, uint32_t frame, uint32_t *to)
{
    uint32_t *stack = NULL, n = 0, id = 0, f = frame, depth;
    int rc = 0;

    depth = frame ? GRAM_REC(struct gram_frame, m->frames, frame)->depth : 0;
    stack = mem_alloc((depth + (size_t)1) * sizeof(*stack));
    if (!stack)
        return gram_full(m->g, m->e);
    for (; f && !map64_get(&m->frame, f, &id);
         f = GRAM_REC(struct gram_frame, m->frames, f)->parent)
        stack[n++] = f;
    id = f ? id : 0;
    while (rc == 0 && n) {
        rc = move_one(m, stack[--n], id);
        if (rc == 0)
            (void)map64_get(&m->frame, stack[n], &id);
    }
    mem_free(stack);
    *to = id;
    return rc;
}

static int move_state(struct move *m, gram_state *s)
{
    struct gram *g = m->g;
    const struct gram_set *set;
    int rc = 0;

    if (*s <= GRAM_TOO_DEEP)
        return 0;
    set = GRAM_REC(struct gram_set, m->states, *s);
    g->places.n = 0;
    if (gram_room(g, &g->places, set->n, sizeof(struct gram_place)) < 0)
        return gram_full(g, m->e);
    for (uint32_t i = 0; rc == 0 && i < set->n; i++) {
        struct gram_place p = set->place[i];

        rc = move_frame(m, p.frame, &p.frame);
        GRAM_AT(struct gram_place, g->places)[g->places.n++] = p;
    }
    g->flags = set->flags;
    return rc == 0 ? gram_take_state(g, s, m->e) : rc;
}

static int move_all(struct move *m)
{
    int rc = move_state(m, &m->g->start);

    for (struct gram_pin *p = m->g->pins; rc == 0 && p; p = p->next)
        rc = move_state(m, &p->s);
    return rc;
}

/* The old tables go, and what they took is free again. */
static void forget(struct move *m)
{
    struct gram_table *tables[] = {&m->frames, &m->states, &m->os};
    size_t gone = m->raws.cap * sizeof(uint64_t) + m->chain.cap * sizeof(uint32_t);

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        gone +=
            tables[i]->by.cap * sizeof(struct map_slot) + tables[i]->rec.cap * sizeof(void *);
        gram_table_done(tables[i]);
    }
    gram_vec_done(&m->raws);
    gram_vec_done(&m->chain);
    map64_done(&m->frame);
    map64_done(&m->oss);
    arena_done(&m->walk);
    m->g->heap -= gone;
}

int gram_trim(struct gram *g, struct err *e)
{
    size_t used = g->heap + g->kept.used + g->walk.used;
    struct move m = {.g = g, .e = e};
    int rc;

    if (used < g->limits.bytes / 2 || g->walk.used < g->limits.bytes / 8)
        return 0;
    m.walk = g->walk;
    m.frames = g->frames;
    m.states = g->states;
    m.os = g->os;
    g->frames = g->states = g->os = (struct gram_table){0};
    m.raws = g->raws;
    g->heap -= (g->raw.cap + g->steps.cap) * sizeof(struct map64_slot);
    map64_done(&g->raw);
    map64_done(&g->steps);
    arena_init(&g->walk, g->limits.bytes);
    g->raws = (struct gram_vec){0};
    g->os_facts.n = 0;
    rc = gram_walk_init(g);
    if (rc == 0 && (map64_init(&m.frame, 0) < 0 || map64_init(&m.oss, 0) < 0))
        rc = E_NOMEM;
    if (rc == 0)
        rc = move_all(&m);
    if (rc < 0) { /* of some states there are only old numbers: nobody may go on from those */
        g->start = 0;
        for (struct gram_pin *p = g->pins; p; p = p->next)
            p->s = 0;
    }
    g->epoch++;
    forget(&m);
    return rc < 0 ? gram_full(g, e) : 0;
}

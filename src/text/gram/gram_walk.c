/* gram_walk.c - one byte further: terminals move on, what has ended makes way for what follows.
 *
 * Entering an expression means: push frames until terminals are on top. Popping a frame means:
 * what stood on it has ended, go on where the frame says. The last part of a sequence takes the
 * sequence's place, so that what recurs at the end of itself needs no stack.
 *
 * An expression that may be empty is passed over where it is entered, at once; so inside of it
 * the empty way is not taken again: a pop on which nothing was read since the push (`empty`)
 * leads on, but not out of the expression. Repetitions of what may be empty end by that.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"

#include <stdlib.h>

/* -- scratch -------------------------------------------------------------------------- */

/* 1: this was not done yet in this step. */
static int first_time(struct gram *g, uint64_t what, int *rc, struct err *e)
{
    size_t cap = g->seen.cap, i;
    uint64_t *key;
    uint32_t *at;

    if (g->n_seen * 2 >= cap) { /* grow, and put those of this step again */
        struct gram_vec old = g->seen, old_at = g->seen_at, none = {0};

        g->seen = g->seen_at = none;
        if (gram_room(g, &g->seen, cap ? cap * 2 : 1024, sizeof(uint64_t)) < 0 ||
            gram_room(g, &g->seen_at, g->seen.cap, sizeof(uint32_t)) < 0) {
            gram_vec_done(&g->seen);
            gram_vec_done(&g->seen_at);
            g->seen = old;
            g->seen_at = old_at;
            *rc = gram_full(g, e);
            return 0;
        }
        memset(g->seen_at.p, 0, g->seen.cap * sizeof(uint32_t));
        g->n_seen = 0;
        for (size_t k = 0; k < cap; k++) {
            if (GRAM_AT(uint32_t, old_at)[k] == g->seen_now)
                (void)first_time(g, GRAM_AT(uint64_t, old)[k], rc, e);
        }
        g->heap -= cap * (sizeof(uint64_t) + sizeof(uint32_t));
        gram_vec_done(&old);
        gram_vec_done(&old_at);
        cap = g->seen.cap;
    }
    key = g->seen.p;
    at = g->seen_at.p;
    i = (what * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);
    for (; at[i] == g->seen_now; i = (i + 1) & (cap - 1)) {
        if (key[i] == what)
            return 0;
    }
    key[i] = what;
    at[i] = g->seen_now;
    g->n_seen++;
    return 1;
}

void gram_walk_begin(struct gram *g)
{
    g->items.n = g->places.n = 0;
    g->n_seen = 0;
    g->flags = 0;
    if (++g->seen_now == 0) {
        memset(g->seen_at.p, 0, g->seen_at.cap * sizeof(uint32_t));
        g->seen_now = 1;
    }
}

int gram_walk_item(struct gram *g, int kind, uint32_t what, uint32_t frame, struct err *e)
{
    /* 30 bits are enough for what, which is a node or what is known of a key. */
    int rc = 0;

    if (!first_time(g, (uint64_t)kind << 62 | (uint64_t)what << 32 | frame, &rc, e))
        return rc;
    if (g->n_seen > 16 * (size_t)g->limits.width + 1024)
        return err_set(e, E_TOO_LONG, "the grammar has too many ways to read the text");
    if (gram_room(g, &g->items, 1, sizeof(struct gram_item)) < 0)
        return gram_full(g, e);
    GRAM_AT(struct gram_item, g->items)[g->items.n++] = (struct gram_item){what, frame, kind};
    return 0;
}

static uint32_t depth_at(const struct gram *g, uint32_t f)
{
    return f ? gram_frame_at(g, f)->depth : 0;
}

int gram_push(struct gram *g, const struct gram_frame *f, uint32_t *out, struct err *e)
{
    struct gram_frame own = *f;

    own.depth = depth_at(g, f->parent) + 1;
    *out = gram_intern(g, &g->frames, &g->walk, &own, sizeof(own), NULL);
    return *out ? 0 : gram_full(g, e);
}

/* -- ways on -------------------------------------------------------------------------- */

int gram_walk_place(struct gram *g, uint32_t bs, uint32_t frame, struct err *e)
{
    int rc = gram_bs_make(g, bs, e);

    if (rc < 0)
        return rc;
    if (!gram_bs_at(g, bs)->row)
        return 0; /* it has ended, and cannot go on */
    if (g->places.n >= 4 * (size_t)g->limits.width)
        return err_set(e, E_TOO_LONG, "the grammar has too many ways to read the text");
    if (gram_room(g, &g->places, 1, sizeof(struct gram_place)) < 0)
        return gram_full(g, e);
    GRAM_AT(struct gram_place, g->places)[g->places.n++] = (struct gram_place){bs, frame};
    return 0;
}

int gram_walk_enter(struct gram *g, gram_ref r, uint32_t frame, struct err *e)
{
    uint32_t height = gram_at(g, r)->height;

    if (height == GRAM_NO_HEIGHT)
        return 0;
    if (height > g->limits.depth || depth_at(g, frame) > g->limits.depth - height) {
        g->flags |= GRAM_CUT;
        return 0;
    }
    return gram_walk_item(g, GRAM_ENTER, r, frame, e);
}

/* Enters r on a frame of its own: when r may be empty, the frame is popped, too. */
static int enter_on(struct gram *g, gram_ref r, const struct gram_frame *f, struct err *e)
{
    uint32_t frame;
    int rc = gram_push(g, f, &frame, e);

    if (rc == 0 && gram_at(g, r)->nullable)
        rc = gram_walk_item(g, GRAM_POP_EMPTY, 0, frame, e);
    return rc == 0 ? gram_walk_enter(g, r, frame, e) : rc;
}

/* Part i of a sequence, whose parent is the frame `under`. */
static int enter_part(struct gram *g, gram_ref r, uint32_t i, uint32_t under, struct err *e)
{
    const struct gram_node *n = gram_at(g, r);

    if (i + 1 == n->n)
        return gram_walk_enter(g, n->part[i], under, e);
    return enter_on(g, n->part[i], &(struct gram_frame){r, under, i + 1, 0, 0}, e);
}

static int enter_again(struct gram *g, gram_ref r, uint64_t done, uint32_t under, struct err *e)
{
    const struct gram_node *n = gram_at(g, r);
    uint64_t top = n->max == GRAM_INF ? n->min : n->max; /* more is not counted */

    if (done >= n->max)
        return 0;
    done += done < top;
    return enter_on(g, n->part[0], &(struct gram_frame){r, under, done, 0, 0}, e);
}

/* -- objects -------------------------------------------------------------------------- */

static int facts_at(struct gram *g, uint32_t os, uint32_t under, struct gram_os_facts *f,
                    struct err *e)
{
    uint32_t depth = depth_at(g, under) + 1;

    return gram_os_facts(g, os, depth < g->limits.depth ? g->limits.depth - depth : 0, f, e);
}

static int enter_keys(struct gram *g, gram_ref r, uint32_t os, uint32_t under, struct err *e)
{
    const struct gram_obj *o = gram_obj_at(g, gram_at(g, r)->a);
    struct gram_frame f = {.node = r, .parent = under, .os = os};
    struct gram_os_facts facts;
    uint32_t bs, frame;
    int rc = facts_at(g, os, under, &facts, e);

    if (rc == 0 && facts.names) {
        f.at = GRAM_POINT(GRAM_P_KEY, 0);
        rc = gram_push(g, &f, &frame, e);
        if (rc == 0)
            rc = gram_os_name(g, os, facts.names, &bs, e);
        if (rc == 0)
            rc = gram_walk_place(g, bs, frame, e);
    }
    for (uint32_t i = 0; rc == 0 && facts.rest && i < o->n_rest; i++) {
        rc = gram_os_key(g, os, i, &bs, e);
        if (rc < 0 || !bs)
            continue;
        f.at = GRAM_POINT(GRAM_P_REST, 0);
        rc = gram_push(g, &f, &frame, e);
        if (rc == 0)
            rc = gram_walk_place(g, bs, frame, e);
    }
    return rc;
}

/* The object may end here: its last part takes its place. */
static int enter_close(struct gram *g, const struct gram_obj *o, uint32_t under, int empty,
                       struct err *e)
{
    int rc = 0;

    if (!empty && gram_at(g, o->close)->nullable)
        rc = gram_walk_item(g, GRAM_POP, 0, under, e);
    return rc == 0 ? gram_walk_enter(g, o->close, under, e) : rc;
}

static int pop_open(struct gram *g, const struct gram_frame *f, const struct gram_obj *o,
                    int empty, struct err *e)
{
    struct gram_os_facts facts;
    int rc = facts_at(g, f->os, f->parent, &facts, e);

    if (rc == 0 && facts.may_close)
        rc = enter_close(g, o, f->parent, empty, e);
    return rc == 0 ? enter_keys(g, f->node, f->os, f->parent, e) : rc;
}

/* A key has ended: from now on it counts as seen. */
static int pop_key(struct gram *g, const struct gram_frame *f, const struct gram_obj *o,
                   uint32_t pay, struct err *e)
{
    struct gram_frame next = *f;
    uint32_t with;

    if (pay > o->n_rest) {
        with = o->prop_of[pay - 1 - o->n_rest];
        next.os = gram_os_prop(g, f->os, with, e);
    } else {
        with = o->n_prop + pay - 1;
        next.os = gram_os_rest(g, f->os, pay - 1, GRAM_WITH(f->at), e);
    }
    next.at = GRAM_POINT(GRAM_P_COLON, with);
    return next.os ? enter_on(g, o->colon, &next, e) : e->code;
}

static int pop_value(struct gram *g, const struct gram_frame *f, const struct gram_obj *o,
                     struct err *e)
{
    struct gram_frame next = *f;
    struct gram_os_facts facts;
    int rc = facts_at(g, f->os, f->parent, &facts, e);

    next.at = GRAM_POINT(GRAM_P_COMMA, 0);
    if (rc == 0 && facts.may_close)
        rc = enter_close(g, o, f->parent, 0, e);
    if (rc == 0 && (facts.names || facts.rest))
        rc = enter_on(g, o->comma, &next, e);
    return rc;
}

static int pop_object(struct gram *g, const struct gram_frame *f, uint32_t pay, int empty,
                      struct err *e)
{
    const struct gram_obj *o = gram_obj_at(g, gram_at(g, f->node)->a);
    struct gram_frame next = *f;

    switch (GRAM_PHASE(f->at)) {
    case GRAM_P_OPEN:
        return pop_open(g, f, o, empty, e);
    case GRAM_P_KEY:
    case GRAM_P_REST:
        return pop_key(g, f, o, pay, e);
    case GRAM_P_COLON:
        next.at = GRAM_POINT(GRAM_P_VALUE, 0);
        return enter_on(g, o->value[GRAM_WITH(f->at)], &next, e);
    case GRAM_P_VALUE:
        return pop_value(g, f, o, e);
    default:
        return enter_keys(g, f->node, f->os, f->parent, e);
    }
}

/* -- expressions ---------------------------------------------------------------------- */

static int do_enter(struct gram *g, gram_ref r, uint32_t under, struct err *e)
{
    const struct gram_node *n = gram_at(g, r);
    uint32_t id;
    int rc = 0;

    switch (n->kind) {
    case GRAM_K_LIT:
    case GRAM_K_TEXT:
    case GRAM_K_JSON:
        id = gram_bs_start(g, r, e);
        return id ? gram_walk_place(g, id, under, e) : e->code;
    case GRAM_K_SEQ:
        return enter_part(g, r, 0, under, e);
    case GRAM_K_ALT:
        for (uint32_t i = 0; rc == 0 && i < n->n; i++)
            rc = gram_walk_enter(g, n->part[i], under, e);
        return rc;
    case GRAM_K_REP:
        return enter_again(g, r, 0, under, e);
    case GRAM_K_RULE:
        return gram_walk_enter(g, n->part[0], under, e);
    case GRAM_K_OBJ:
        id = gram_os_start(g, n->a, e);
        if (!id)
            return e->code;
        return enter_on(g, gram_obj_at(g, n->a)->open,
                        &(struct gram_frame){r, under, GRAM_POINT(GRAM_P_OPEN, 0), id, 0}, e);
    default:
        return 0;
    }
}

static int do_pop(struct gram *g, uint32_t frame, uint32_t pay, int empty, struct err *e)
{
    const struct gram_frame *f = frame ? gram_frame_at(g, frame) : NULL;
    const struct gram_node *n;
    int rc = 0;

    if (!f) {
        g->flags |= GRAM_MAY_END;
        return 0;
    }
    n = gram_at(g, f->node);
    if (n->kind == GRAM_K_OBJ)
        return pop_object(g, f, pay, empty, e);
    if (n->kind == GRAM_K_SEQ) {
        if (!empty && f->at >= n->tail)
            rc = gram_walk_item(g, GRAM_POP, 0, f->parent, e);
        return rc == 0 ? enter_part(g, f->node, (uint32_t)f->at, f->parent, e) : rc;
    }
    /* A repetition; a round without a byte was passed over where it began. */
    if (empty)
        return 0;
    if (f->at >= n->min)
        rc = gram_walk_item(g, GRAM_POP, 0, f->parent, e);
    return rc == 0 ? enter_again(g, f->node, f->at, f->parent, e) : rc;
}

int gram_walk_run(struct gram *g, gram_state *to, struct err *e)
{
    int rc = 0;

    while (rc == 0 && g->items.n) {
        struct gram_item it = GRAM_AT(struct gram_item, g->items)[--g->items.n];

        if (it.kind == GRAM_ENTER)
            rc = do_enter(g, it.what, it.frame, e);
        else
            rc = do_pop(g, it.frame, it.what, it.kind == GRAM_POP_EMPTY, e);
    }
    return rc == 0 ? gram_take_state(g, to, e) : rc;
}

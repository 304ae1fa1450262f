/* gram_step.c - states: the places of one, found again, and where a byte leads from them. */
#include "text/gram/gram_priv.h"

#include <stdlib.h>

/* -- states --------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct gram_place *x = a, *y = b;

    if (x->bs != y->bs)
        return x->bs < y->bs ? -1 : 1;
    return (x->frame > y->frame) - (x->frame < y->frame);
}

/* The state of the places that were found; 0 when there are none and the text may not end. */
int gram_take_state(struct gram *g, gram_state *to, struct err *e)
{
    struct gram_place *p = g->places.p;
    struct gram_set head = {.flags = g->flags};
    size_t n = g->places.n;

    *to = 0;
    if (n == 0 && !(g->flags & (GRAM_MAY_END | GRAM_CUT)))
        return 0;
    if (n > 1)
        qsort(p, n, sizeof(*p), by_place);
    for (size_t i = 0; i < n; i++) {
        if (head.n == 0 || by_place(&p[head.n - 1], &p[i]) != 0)
            p[head.n++] = p[i];
    }
    if (head.n > g->limits.width)
        return err_set(e, E_TOO_LONG, "the grammar has too many ways to read the text");
    buf_clear(&g->text);
    if (buf_put(&g->text, &head, sizeof(head)) < 0 ||
        buf_put(&g->text, p, head.n * sizeof(*p)) < 0)
        return gram_full(g, e);
    *to = gram_intern(g, &g->states, &g->walk, g->text.p, g->text.n, NULL);
    return *to ? 0 : gram_full(g, e);
}

int gram_begin(struct gram *g, gram_ref root, struct err *e)
{
    int rc;

    gram_walk_begin(g);
    if (gram_at(g, root)->nullable)
        g->flags |= GRAM_MAY_END;
    rc = gram_walk_enter(g, root, 0, e);
    return rc == 0 ? gram_walk_run(g, &g->start, e) : rc;
}

int gram_is_rest(const struct gram *g, uint32_t frame)
{
    const struct gram_frame *f = frame ? gram_frame_at(g, frame) : NULL;

    return f && gram_at(g, f->node)->kind == GRAM_K_OBJ && GRAM_PHASE(f->at) == GRAM_P_REST;
}

int gram_pop(struct gram *g, uint32_t frame, uint32_t pay, gram_state *to, struct err *e)
{
    struct gram_frame any;
    int rc = 0;

    gram_walk_begin(g);
    if (gram_is_rest(g, frame)) {
        any = *gram_frame_at(g, frame);
        any.at = GRAM_POINT(GRAM_P_REST, GRAM_RAW_UNKNOWN);
        rc = gram_push(g, &any, &frame, e);
    }
    if (rc == 0)
        rc = gram_walk_item(g, GRAM_POP, pay, frame, e);
    return rc == 0 ? gram_walk_run(g, to, e) : rc;
}

int gram_is_guess(const struct gram *g, gram_state s)
{
    const struct gram_set *set = gram_set_at(g, s);

    for (uint32_t i = 0; i < set->n; i++) {
        const struct gram_os *os;
        const struct gram_obj *o;

        if (!gram_is_rest(g, set->place[i].frame))
            continue;
        os = GRAM_REC(struct gram_os, g->os, gram_frame_at(g, set->place[i].frame)->os);
        o = gram_obj_at(g, os->obj);
        for (uint32_t k = 0; k < o->n_rest; k++) {
            if (GRAM_USED_N(os->word[k]) > gram_keys_in(g, GRAM_USED_SET(os->word[k])))
                return 1;
        }
    }
    return 0;
}

/* A key of the rest remembers its bytes. */
static int remember(struct gram *g, uint32_t *frame, unsigned char b, struct err *e)
{
    const struct gram_frame *f;
    struct gram_frame longer;
    uint32_t raw;

    if (!gram_is_rest(g, *frame))
        return 0;
    f = gram_frame_at(g, *frame);
    if (GRAM_WITH(f->at) == GRAM_RAW_UNKNOWN)
        return 0;
    longer = *f;
    raw = gram_raw(g, GRAM_WITH(f->at), b, e);
    longer.at = GRAM_POINT(GRAM_P_REST, raw);
    return raw ? gram_push(g, &longer, frame, e) : e->code;
}

static int step_place(struct gram *g, struct gram_place p, unsigned char b, struct err *e)
{
    uint32_t next = gram_bs_next(gram_bs_at(g, p.bs), b), accept;
    int rc;

    if (!next)
        return 0;
    rc = remember(g, &p.frame, b, e);
    if (rc == 0)
        rc = gram_walk_place(g, next, p.frame, e);
    accept = gram_bs_at(g, next)->accept;
    return rc == 0 && accept ? gram_walk_item(g, GRAM_POP, accept - 1, p.frame, e) : rc;
}

int gram_step(struct gram *g, gram_state s, unsigned char b, gram_state *to, struct err *e)
{
    uint64_t key = (uint64_t)s << 8 | b;
    const struct gram_set *set = gram_set_at(g, s);
    size_t slots = g->steps.cap;
    int rc = 0;

    if (map64_get(&g->steps, key, to))
        return 0;
    gram_walk_begin(g);
    g->flags = set->flags & GRAM_CUT;
    for (uint32_t i = 0; rc == 0 && i < set->n; i++)
        rc = step_place(g, set->place[i], b, e);
    if (rc == 0)
        rc = gram_walk_run(g, to, e);
    if (rc == 0 && map64_put(&g->steps, key, *to) < 0)
        rc = gram_full(g, e);
    g->heap += (g->steps.cap - slots) * sizeof(struct map64_slot);
    return rc;
}

/* -- for everyone --------------------------------------------------------------------- */

gram_state gram_start(const struct gram *g)
{
    return g->start;
}

int gram_put(struct gram *g, gram_state s, const char *p, size_t n, gram_state *to, size_t *ok,
             struct err *e)
{
    struct err own = {0};
    size_t i = 0;
    int rc = 0;

    while (rc == 0 && s && i < n) {
        rc = gram_step(g, s, (unsigned char)p[i], &s, &own);
        if (rc == 0 && s == GRAM_TOO_DEEP)
            rc = err_set(&own, E_TOO_LONG, "the text is nested deeper than %u",
                         (unsigned)g->limits.depth);
        i += rc == 0 && s;
    }
    if (ok)
        *ok = i;
    if (rc < 0) {
        if (e)
            *e = own;
        return rc;
    }
    *to = s;
    return 0;
}

int gram_may_end(const struct gram *g, gram_state s)
{
    return s && gram_set_at(g, s)->flags & GRAM_MAY_END;
}

int gram_must_end(const struct gram *g, gram_state s)
{
    return gram_may_end(g, s) && gram_set_at(g, s)->n == 0;
}

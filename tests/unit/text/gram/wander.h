/* wander.h - for tests of grammars: texts by chance, byte by byte among those that are allowed.
 */
#ifndef HEARTH_TESTS_TEXT_WANDER_H
#define HEARTH_TESTS_TEXT_WANDER_H

#include "base/rng.h"
#include "text/gram/gram.h"

enum { WANDER_MAX = 1 << 13 };

struct wander {
    struct gram *g;
    struct rng *r;
    int limited; /* some step met a limit, as of depth */
};

/* Where one byte leads; 0: nowhere. */
static inline gram_state wander_step(struct wander *w, gram_state s, int byte)
{
    char c = (char)byte;
    gram_state to = 0;

    if (gram_put(w->g, s, &c, 1, &to, NULL, NULL) < 0) {
        w->limited = 1;
        return 0;
    }
    return to;
}

/* A byte that is allowed: mostly what ends things soonest when hurry is set, else any; -1: none
 * is. */
static inline int wander_byte(struct wander *w, gram_state s, int hurry, gram_state *to)
{
    static const char soonest[] = "\"}]0123456789abcdefnrstuelADTZ:,./-@ ",
                      often[] = "\"}]{[:,0123456789-.eE \\nabcdefghijklmnopqrstuvwxyzABCXYZ_/";
    int from = (int)(rng_u64(w->r) & 255);

    hurry = hurry && rng_u64(w->r) % 4 != 0;
    /* A quote ends a string, but it may begin one, too. */
    for (size_t i = (size_t)from & 1; hurry && i < sizeof(soonest) - 1; i++) {
        if ((*to = wander_step(w, s, soonest[i])) != 0)
            return soonest[i];
    }
    for (int i = 0; i < 24; i++) {
        uint64_t x = rng_u64(w->r);
        int c = x & 7 ? often[(x >> 8) % (sizeof(often) - 1)] : (int)(x >> 8 & 255);

        if ((*to = wander_step(w, s, c)) != 0)
            return c;
    }
    for (int i = 0; i < 256; i++) {
        int c = (from + i) & 255;

        /* Nesting comes last. */
        if (c != '{' && c != '[' && (*to = wander_step(w, s, c)) != 0)
            return c;
    }
    if ((*to = wander_step(w, s, '[')) != 0)
        return '[';
    return (*to = wander_step(w, s, '{')) != 0 ? '{' : -1;
}

/* Writes a text that the grammar accepts: 0. 1: it became too long or too deep, which chance
 * may do; -1: it got stuck, which must not be. */
static inline int wander(struct gram *g, struct rng *r, struct buf *out)
{
    struct wander w = {g, r, 0};
    gram_state s = gram_start(g), to = 0;
    size_t soon = 1 + rng_u64(r) % 120;

    buf_clear(out);
    for (;;) {
        int c;

        if (gram_may_end(g, s) && (gram_must_end(g, s) || out->n > soon || rng_u64(r) % 3 == 0))
            return 0;
        if (out->n == WANDER_MAX)
            return 1;
        if ((c = wander_byte(&w, s, out->n > soon, &to)) < 0)
            return w.limited ? 1 : -1;
        if (buf_byte(out, c) < 0)
            return -1;
        s = to;
    }
}

#endif

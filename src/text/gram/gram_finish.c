/* gram_finish.c - the end of building: what is reached, what can be written, what may be empty.
 *
 * Facts spread from parts to what they are part of: each is found once, when enough parts have
 * it (gram_spread.h). What no text matches gets no height and is never entered. Expressions
 * that are regular all through become one terminal, so that a class under a star is walked in
 * one table and not by frames.
 */
#include "text/gram/gram_spread.h"

/* -- what can be written, in how many frames ------------------------------------------ */

static uint32_t highest(const struct gram *g, const struct gram_node *n)
{
    uint32_t h = 0;

    for (uint32_t i = 0; i < n->n; i++) {
        uint32_t part = gram_at(g, n->part[i])->height;

        if (part != GRAM_NO_HEIGHT && part > h)
            h = part;
    }
    return h;
}

static void set_height(struct gram_spread *s, gram_ref r, uint32_t h)
{
    gram_at(s->g, r)->height = h;
    gram_spread_mark(s, r);
}

static int tell_height(struct gram_spread *s, gram_ref user, gram_ref part)
{
    struct gram *g = s->g;
    const struct gram_node *n = gram_at(g, user);
    int rc;

    switch (n->kind) {
    case GRAM_K_EMPTY:
    case GRAM_K_TEXT: /* it had parts before it became a terminal */
        return 0;
    case GRAM_K_SEQ:
        if (--s->left[user] == 0)
            set_height(s, user, highest(g, n) + 1);
        return 0;
    case GRAM_K_OBJ:
        s->left[user]--;
        if (gram_obj_at(g, n->a)->n_rest == 0 &&
            n->n - s->left[user] < gram_obj_at(g, n->a)->min)
            return 0; /* no need to look closer */
        rc = gram_obj_live(g, gram_obj_at(g, n->a), s->e);
        if (rc > 0)
            set_height(s, user, highest(g, n) + 1);
        return rc < 0 ? rc : 0;
    case GRAM_K_REP:
        set_height(s, user, gram_at(g, part)->height + 1);
        return 0;
    default:
        set_height(s, user, gram_at(g, part)->height);
        return 0;
    }
}

static int find_heights(struct gram_spread *s)
{
    gram_spread_begin(s);
    for (uint32_t i = 0; i < s->n; i++)
        gram_at(s->g, i)->height = GRAM_NO_HEIGHT;
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);
        int live = n->kind == GRAM_K_EMPTY || n->kind == GRAM_K_LIT ||
                   (n->kind == GRAM_K_REP && n->min == 0);

        if (n->kind == GRAM_K_TEXT || n->kind == GRAM_K_JSON)
            live = rx_live(s->g->rx, n->a, s->e);
        if (live < 0)
            return live;
        if (live)
            set_height(s, s->order[i], 0);
    }
    return gram_spread_run(s, tell_height);
}

/* -- what may be empty ---------------------------------------------------------------- */

static int may_be_empty(struct gram *g, const struct gram_node *n)
{
    if (n->height == GRAM_NO_HEIGHT)
        return 0;
    if (n->kind == GRAM_K_LIT)
        return GRAM_AT(struct gram_lits, g->lits)[n->a].s[0].n == 0;
    if (n->kind == GRAM_K_TEXT)
        return rx_accepts(g->rx, n->a);
    return n->kind == GRAM_K_EMPTY || (n->kind == GRAM_K_REP && n->min == 0);
}

static int object_may_be_empty(const struct gram *g, const struct gram_obj *o)
{
    for (uint32_t i = 0; i < o->words; i++) {
        if (o->required[i])
            return 0;
    }
    return o->min == 0 && gram_at(g, o->open)->nullable && gram_at(g, o->close)->nullable;
}

static void set_nullable(struct gram_spread *s, gram_ref r)
{
    gram_at(s->g, r)->nullable = 1;
    gram_spread_mark(s, r);
}

static int tell_nullable(struct gram_spread *s, gram_ref user, gram_ref part)
{
    const struct gram_node *n = gram_at(s->g, user);

    (void)part;
    if (n->height == GRAM_NO_HEIGHT || n->n == 0 ||
        (n->kind == GRAM_K_SEQ && --s->left[user] > 0) ||
        (n->kind == GRAM_K_OBJ && !object_may_be_empty(s->g, gram_obj_at(s->g, n->a))))
        return 0;
    set_nullable(s, user);
    return 0;
}

static int find_nullable(struct gram_spread *s)
{
    int rc;

    gram_spread_begin(s);
    for (uint32_t i = 0; i < s->n_order; i++) {
        if (may_be_empty(s->g, gram_at(s->g, s->order[i])))
            set_nullable(s, s->order[i]);
    }
    rc = gram_spread_run(s, tell_nullable);
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct gram_node *n = gram_at(s->g, s->order[i]);

        if (n->kind == GRAM_K_REP && gram_at(s->g, n->part[0])->nullable)
            n->min = 0; /* rounds without a byte make up for what is missing */
        n->tail = n->n;
        while (n->kind == GRAM_K_SEQ && n->tail &&
               gram_at(s->g, n->part[n->tail - 1])->nullable)
            n->tail--;
    }
    return rc;
}

/* -- rules that begin with themselves ------------------------------------------------- */

/* The next part after `*i` parts with which a node may begin; 0: there is none. */
static gram_ref begins_with(const struct gram *g, const struct gram_node *n, uint32_t *i)
{
    const struct gram_obj *o;

    if (n->height == GRAM_NO_HEIGHT)
        return 0;
    if (n->kind == GRAM_K_OBJ) {
        o = gram_obj_at(g, n->a);
        if (*i == 1 && !gram_at(g, o->open)->nullable)
            return 0;
        return ++*i == 1 ? o->open : *i == 2 ? o->close : 0;
    }
    if (*i >= n->n || (n->kind == GRAM_K_SEQ && *i && !gram_at(g, n->part[*i - 1])->nullable))
        return 0;
    return n->part[(*i)++];
}

/* r is met again on the way from it, which queue[0..head-1] is the end of. */
static int refuse_recursion(struct gram_spread *s, gram_ref r)
{
    for (uint32_t i = s->head; i-- > 0;) {
        struct str name = str_of("");

        if (gram_at(s->g, s->queue[i])->kind == GRAM_K_RULE)
            name = gram_rule_text(s->g, s->queue[i]);
        if (name.n)
            return err_set(s->e, E_INVALID, "the rule %.*s begins with itself (left recursion)",
                           (int)(name.n < 100 ? name.n : 100), name.p);
        if (s->queue[i] == r)
            break;
    }
    return err_set(s->e, E_INVALID, "a rule begins with itself, without a byte in between");
}

static int find_left_recursion(struct gram_spread *s)
{
    enum { NEW, OPEN, CLOSED };

    memset(s->done, NEW, s->n);
    memset(s->left, 0, s->n * sizeof(*s->left));
    for (uint32_t k = 0; k < s->n_order; k++) {
        s->head = 0;
        if (s->done[s->order[k]] != NEW)
            continue;
        s->queue[s->head++] = s->order[k];
        s->done[s->order[k]] = OPEN;
        while (s->head) {
            gram_ref top = s->queue[s->head - 1];
            gram_ref next = begins_with(s->g, gram_at(s->g, top), &s->left[top]);

            if (!next) {
                s->done[top] = CLOSED;
                s->head--;
            } else if (s->done[next] == OPEN) {
                return refuse_recursion(s, next);
            } else if (s->done[next] == NEW) {
                s->done[next] = OPEN;
                s->queue[s->head++] = next;
            }
        }
    }
    return 0;
}

/* -- all of it ------------------------------------------------------------------------ */

static int finish_objects(struct gram_spread *s)
{
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);

        if (n->kind == GRAM_K_OBJ && n->height != GRAM_NO_HEIGHT)
            rc = gram_obj_finish(s->g, gram_obj_at(s->g, n->a), s->e);
    }
    return rc;
}

static int analyse(struct gram *g, gram_ref root, struct err *e)
{
    struct gram_spread s;
    int rc = gram_spread_init(&s, g, root, e);

    if (rc == 0)
        rc = gram_find_regular(&s);
    if (rc == 0)
        rc = find_heights(&s);
    if (rc == 0 && gram_at(g, root)->height == GRAM_NO_HEIGHT)
        rc = err_set(e, E_INVALID, "the grammar matches no text at all");
    if (rc == 0 && gram_at(g, root)->height > g->limits.depth)
        rc = err_set(e, E_TOO_LONG, "the grammar's shortest text is nested deeper than %u",
                     (unsigned)g->limits.depth);
    if (rc == 0)
        rc = find_nullable(&s);
    if (rc == 0)
        rc = find_left_recursion(&s);
    if (rc == 0)
        rc = finish_objects(&s);
    gram_spread_done(&s);
    return rc;
}

int gram_finish(struct gram *g, gram_ref root, struct err *e)
{
    struct err own = {0};
    int rc = g->failed.code;

    if (rc == 0)
        rc = rx_error(g->rx, &g->failed);
    if (rc == 0 && (root >= g->node.n || g->finished))
        rc =
            gram_fail(g, E_INTERNAL, "a grammar is finished once, with one of its expressions");
    if (rc == 0) {
        g->finished = 1;
        rc = analyse(g, root, &own);
        if (rc == 0)
            rc = gram_begin(g, root, &own);
        if (rc < 0)
            g->failed = own;
    }
    if (rc < 0 && e)
        *e = g->failed;
    return rc;
}

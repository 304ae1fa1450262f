/* gram_finish.c - the end of building: what is reached, what can be written, what may be empty.
 *
 * Facts spread from parts to what they are part of: each is found once, when enough parts have
 * it (struct spread). What no text matches gets no height and is never entered. Expressions
 * that are regular all through become one terminal, so that a class under a star is walked in
 * one table and not by frames.
 */
#include "text/gram/gram_priv.h"

#include "base/mem.h"
#include "base/utf8.h"

/* -- spreading
 * ----------------------------------------------------------------------------------- */

struct spread {
    struct gram *g;
    uint32_t n;
    uint32_t *order, n_order; /* nodes that are reached, root first */
    uint32_t *first, *user;   /* of each node: who has it as a part, from first[i] on */
    uint32_t *left;           /* parts that are not known yet */
    uint32_t *queue, head, tail;
    uint8_t *done;
    struct err *e;
};

static void spread_done(struct spread *s)
{
    mem_free(s->order);
    mem_free(s->first);
    mem_free(s->user);
    mem_free(s->left);
    mem_free(s->queue);
    mem_free(s->done);
}

static void mark_done(struct spread *s, uint32_t r)
{
    if (!s->done[r]) {
        s->done[r] = 1;
        s->queue[s->tail++] = r;
    }
}

/* Everything again from the start, for another fact. */
static void spread_begin(struct spread *s)
{
    memset(s->done, 0, s->n);
    s->head = s->tail = 0;
    for (uint32_t i = 0; i < s->n_order; i++)
        s->left[s->order[i]] = gram_at(s->g, s->order[i])->n;
}

static struct str rule_name(const struct gram *g, gram_ref r)
{
    uint32_t key = gram_at(g, r)->a;

    return key ? gram_key_text(g, key) : str_of("");
}

static int unset(const struct spread *s, gram_ref r)
{
    struct str name = rule_name(s->g, r);

    return err_set(s->e, E_INVALID, "the rule %.*s is used and nowhere defined",
                   (int)(name.n < 100 ? name.n : 100), name.p);
}

static int reach(struct spread *s, gram_ref root)
{
    struct gram *g = s->g;

    s->order[s->n_order++] = root;
    gram_at(g, root)->reached = 1;
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(g, s->order[i]);

        if (n->kind == GRAM_K_RULE && n->n == 0)
            return unset(s, s->order[i]);
        for (uint32_t k = 0; k < n->n; k++) {
            struct gram_node *part = gram_at(g, n->part[k]);

            s->first[n->part[k] + 1]++;
            if (!part->reached) {
                part->reached = 1;
                s->order[s->n_order++] = n->part[k];
            }
        }
    }
    return 0;
}

/* Who uses whom, from the counts that reach made. */
static int find_users(struct spread *s)
{
    uint32_t *at = mem_calloc((size_t)s->n + 1, sizeof(*at));

    for (uint32_t i = 0; i < s->n; i++)
        s->first[i + 1] += s->first[i];
    s->user = mem_alloc(((size_t)s->first[s->n] + 1) * sizeof(*s->user));
    if (!at || !s->user) {
        mem_free(at);
        return err_set(s->e, E_NOMEM, "no memory for the grammar");
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);

        for (uint32_t k = 0; k < n->n; k++)
            s->user[s->first[n->part[k]] + at[n->part[k]]++] = s->order[i];
    }
    mem_free(at);
    return 0;
}

static int spread_init(struct spread *s, struct gram *g, gram_ref root, struct err *e)
{
    size_t n = g->node.n;
    int rc;

    *s = (struct spread){.g = g, .n = (uint32_t)n, .e = e};
    s->order = mem_alloc(n * sizeof(*s->order));
    s->first = mem_calloc(n + 1, sizeof(*s->first));
    s->left = mem_alloc(n * sizeof(*s->left));
    s->queue = mem_alloc(n * sizeof(*s->queue));
    s->done = mem_calloc(n, 1);
    if (!s->order || !s->first || !s->left || !s->queue || !s->done)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    rc = reach(s, root);
    return rc == 0 ? find_users(s) : rc;
}

/* Calls `tell` for each node that uses one which is done, once for each use. */
static int spread_run(struct spread *s,
                      int (*tell)(struct spread *, gram_ref user, gram_ref part))
{
    int rc = 0;

    while (rc == 0 && s->head < s->tail) {
        uint32_t r = s->queue[s->head++];

        for (uint32_t i = s->first[r]; rc == 0 && i < s->first[r + 1]; i++)
            rc = s->done[s->user[i]] ? 0 : tell(s, s->user[i], r);
    }
    return rc;
}

/* -- what is regular
 * ---------------------------------------------------------------------------------- */

enum { LIT_TEXTS = 64, LIT_BYTES = 4096, REP_MAX = 256, REP_MAX_CHAR = 4096, PARTS_MAX = 4096 };

/* A set of literals as an expression; 0: better left as it is. */
static rx_id rx_of_lits(struct gram *g, const struct gram_lits *s)
{
    rx_id all[LIT_TEXTS], r = RX_NONE;
    size_t n_byte = 0;

    if (s->n > LIT_TEXTS)
        return RX_NONE;
    for (uint32_t i = 0; i < s->n; i++) {
        n_byte += s->s[i].n;
        if (n_byte > LIT_BYTES || !utf8_valid(s->s[i].p, s->s[i].n))
            return RX_NONE;
    }
    for (uint32_t i = 0; i < s->n; i++)
        all[i] = rx_text(g->rx, s->s[i]);
    r = rx_alts(g->rx, all, s->n);
    return r;
}

static int is_terminal(const struct gram_node *n)
{
    return n->kind == GRAM_K_LIT || n->kind == GRAM_K_TEXT;
}

/* The expression of a part; *ok 0: it has none. */
static rx_id rx_of_part(struct gram *g, gram_ref r, int *ok)
{
    const struct gram_node *n = gram_at(g, r);
    rx_id rx = RX_NONE;

    if (n->kind == GRAM_K_RULE) /* min: what the rules in between lead to */
        n = gram_at(g, (gram_ref)n->min);
    if (n->kind == GRAM_K_EMPTY)
        return RX_EMPTY;
    if (n->kind == GRAM_K_NEVER)
        return RX_NONE;
    if (n->kind == GRAM_K_TEXT)
        rx = n->a;
    else if (n->kind == GRAM_K_LIT)
        rx = rx_of_lits(g, &GRAM_AT(struct gram_lits, g->lits)[n->a]);
    *ok &= rx != RX_NONE;
    return rx;
}

static int may_count(const struct gram *g, const struct gram_node *n)
{
    uint64_t most = is_terminal(gram_at(g, n->part[0])) ? REP_MAX_CHAR : REP_MAX;

    return n->min <= most && (n->max <= most || n->max == GRAM_INF);
}

/* All parts are regular: it becomes a terminal, if that is wise. */
static int make_terminal(struct spread *s, gram_ref r)
{
    struct gram_node *n = gram_at(s->g, r);
    struct rx *rx = s->g->rx;
    rx_id all[64], joined = n->kind == GRAM_K_ALT ? RX_NONE : RX_EMPTY;
    uint32_t k = 0;
    int ok = n->n <= PARTS_MAX && (n->kind != GRAM_K_REP || may_count(s->g, n));

    if (n->kind == GRAM_K_RULE) {
        const struct gram_node *body = gram_at(s->g, n->part[0]);

        n->min = body->kind == GRAM_K_RULE ? body->min : n->part[0];
        mark_done(s, r);
        return 0;
    }
    for (uint32_t i = 0; ok && i < n->n; i++) {
        all[k++] = rx_of_part(s->g, n->part[i], &ok);
        if (!ok || (k < 63 && i + 1 < n->n))
            continue;
        if (n->kind == GRAM_K_REP) {
            joined = rx_repeat(rx, all[0], (uint32_t)n->min,
                               n->max == GRAM_INF ? RX_INF : (uint32_t)n->max);
            break;
        }
        all[k++] = joined;
        if (n->kind == GRAM_K_SEQ) { /* what was joined stands in front */
            memmove(all + 1, all, (k - 1) * sizeof(*all));
            all[0] = joined;
        }
        joined = n->kind == GRAM_K_SEQ ? rx_seqs(rx, all, k) : rx_alts(rx, all, k);
        k = 0;
    }
    if (!ok)
        return 0;
    n->kind = joined == RX_EMPTY ? GRAM_K_EMPTY : GRAM_K_TEXT;
    n->a = joined;
    n->n = 0;
    mark_done(s, r);
    return rx_error(rx, s->e);
}

static int tell_regular(struct spread *s, gram_ref user, gram_ref part)
{
    (void)part;
    if (--s->left[user] > 0 || gram_at(s->g, user)->kind == GRAM_K_OBJ)
        return 0;
    return make_terminal(s, user);
}

static int find_regular(struct spread *s)
{
    spread_begin(s);
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);

        if (is_terminal(n) || n->kind <= GRAM_K_EMPTY)
            mark_done(s, s->order[i]);
    }
    return spread_run(s, tell_regular);
}

/* -- what can be written, in how many frames
 * -------------------------------------------------------------- */

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

static void set_height(struct spread *s, gram_ref r, uint32_t h)
{
    gram_at(s->g, r)->height = h;
    mark_done(s, r);
}

static int tell_height(struct spread *s, gram_ref user, gram_ref part)
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

static int find_heights(struct spread *s)
{
    spread_begin(s);
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
    return spread_run(s, tell_height);
}

/* -- what may be empty
 * ---------------------------------------------------------------------------------------- */

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

static void set_nullable(struct spread *s, gram_ref r)
{
    gram_at(s->g, r)->nullable = 1;
    mark_done(s, r);
}

static int tell_nullable(struct spread *s, gram_ref user, gram_ref part)
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

static int find_nullable(struct spread *s)
{
    int rc;

    spread_begin(s);
    for (uint32_t i = 0; i < s->n_order; i++) {
        if (may_be_empty(s->g, gram_at(s->g, s->order[i])))
            set_nullable(s, s->order[i]);
    }
    rc = spread_run(s, tell_nullable);
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

/* -- rules that begin with themselves
 * ------------------------------------------------------------------------------ */

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
static int refuse_recursion(struct spread *s, gram_ref r)
{
    for (uint32_t i = s->head; i-- > 0;) {
        struct str name = str_of("");

        if (gram_at(s->g, s->queue[i])->kind == GRAM_K_RULE)
            name = rule_name(s->g, s->queue[i]);
        if (name.n)
            return err_set(s->e, E_INVALID, "the rule %.*s begins with itself (left recursion)",
                           (int)(name.n < 100 ? name.n : 100), name.p);
        if (s->queue[i] == r)
            break;
    }
    return err_set(s->e, E_INVALID, "a rule begins with itself, without a byte in between");
}

static int find_left_recursion(struct spread *s)
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

/* -- all of it
 * --------------------------------------------------------------------------------------------------------
 */

static int finish_objects(struct spread *s)
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
    struct spread s;
    int rc = spread_init(&s, g, root, e);

    if (rc == 0)
        rc = find_regular(&s);
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
    spread_done(&s);
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

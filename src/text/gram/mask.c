/* mask.c - the mask of a state, and a text that grows by tokens. */
#include "text/gram/mask_priv.h"

#include "base/mem.h"

/* -- caches --------------------------------------------------------------------------- */

static void drop_masks(struct mask *m)
{
    for (size_t i = 0; i < m->mask.n; i++)
        mem_free(GRAM_AT(uint32_t *, m->mask)[i]);
    m->bytes -= m->mask.n * (m->v->n_word + (size_t)1) * sizeof(uint32_t);
    m->mask.n = 0;
    map64_done(&m->masks);
    m->epoch = m->g->epoch;
}

static void drop_tops(struct mask *m)
{
    for (size_t i = 0; i < m->top.n; i++) {
        struct mask_top *t = &GRAM_AT(struct mask_top, m->top)[i];

        mem_free(t->bits);
        mem_free(t->id);
        mem_free(t->end);
    }
    for (size_t i = 1; i < m->exit.n; i++)
        mem_free(mask_exit_at(m, (uint32_t)i)->node);
    m->top.n = 0;
    m->exit.n = m->exit.n ? 1 : 0;
    m->bytes = 0;
    map64_done(&m->tops);
}

/* Before a state is looked at: caches that are too large, or of states that have other numbers
 * now, go. */
static int tidy(struct mask *m, struct err *e)
{
    int rc = gram_trim(m->g, e);

    if (rc == 0 && (m->bytes > MASK_CACHE || m->epoch != m->g->epoch)) {
        int large = m->bytes > MASK_CACHE;

        drop_masks(m);
        if (large)
            drop_tops(m);
    }
    if (rc == 0 && ((!m->masks.cap && map64_init(&m->masks, 0) < 0) ||
                    (!m->tops.cap && map64_init(&m->tops, 0) < 0)))
        rc = mask_full(e);
    return rc;
}

int mask_new(struct mask **out, struct gram *g, const struct mask_vocab *v, struct err *e)
{
    struct mask *m = mem_calloc(1, sizeof(*m));

    if (!m)
        return mask_full(e);
    m->g = g;
    m->v = v;
    m->stay = mem_alloc(((size_t)v->n_text / 32 + 1) * sizeof(*m->stay));
    m->stack = mem_alloc((MASK_LONGEST + (size_t)1) * sizeof(*m->stack));
    m->epoch = g->epoch;
    m->at.s = gram_start(g);
    if (!m->stay || !m->stack || gram_room(g, &m->exit, 1, sizeof(struct mask_exit)) < 0) {
        mask_free(m);
        return mask_full(e);
    }
    m->exit.n = 1; /* number 0 is none */
    gram_pin(g, &m->at);
    *out = m;
    return 0;
}

void mask_free(struct mask *m)
{
    if (!m)
        return;
    gram_unpin(m->g, &m->at);
    drop_masks(m);
    drop_tops(m);
    gram_give(m->g, &m->top, sizeof(struct mask_top));
    gram_give(m->g, &m->exit, sizeof(struct mask_exit));
    gram_give(m->g, &m->mask, sizeof(uint32_t *));
    gram_give(m->g, &m->ends, sizeof(struct mask_end));
    gram_give(m->g, &m->todo, sizeof(struct mask_visit));
    mem_free(m->stay);
    mem_free(m->stack);
    mem_free(m);
}

void mask_reset(struct mask *m, gram_state s)
{
    m->at.s = s;
}

gram_state mask_state(const struct mask *m)
{
    return m->at.s;
}

/* -- tokens that leave a terminal ----------------------------------------------------- */

int mask_live(struct mask *m, gram_state s, uint64_t live[4], struct err *e)
{
    const struct gram_set *set = gram_set_at(m->g, s);
    int rc = 0;

    memset(live, 0, 4 * sizeof(*live));
    for (uint32_t i = 0; rc == 0 && i < set->n; i++) {
        const struct gram_bs *b;

        rc = gram_bs_make(m->g, set->place[i].bs, e);
        b = gram_bs_at(m->g, set->place[i].bs);
        for (unsigned k = b->lo; rc == 0 && b->row && k <= b->hi; k++)
            live[k / 64] |= (uint64_t)(b->row[k - b->lo] != 0) << (k % 64);
    }
    return rc;
}

static void allow(uint32_t *bits, int32_t id)
{
    bits[id / 32] |= 1u << (id % 32);
}

/* The tokens below a node, one by one, from where the text stands. */
static int try_each(struct mask *m, uint32_t exit, uint32_t *bits, struct err *e)
{
    const struct mask_vocab *v = m->v;
    const struct mask_exit *x = mask_exit_at(m, exit);
    int rc = 0;

    for (uint32_t i = 0; rc == 0 && i < x->n; i++) {
        uint32_t end = v->first[v->skip[x->node[i]]];

        for (uint32_t k = v->first[x->node[i]]; rc == 0 && k < end; k++) {
            struct str s = tok_piece(v->t, v->tok[k], 0);
            gram_state to = m->at.s;

            for (size_t j = 0; rc == 0 && to && j < s.n; j++)
                rc = gram_step(m->g, to, (unsigned char)s.p[j], &to, e);
            if (rc == 0 && to && to != GRAM_TOO_DEEP)
                allow(bits, v->tok[k]);
        }
    }
    return rc;
}

static int visit(struct mask *m, uint32_t exit, gram_state s, struct err *e)
{
    if (gram_room(m->g, &m->todo, 1, sizeof(struct mask_visit)) < 0)
        return mask_full(e);
    GRAM_AT(struct mask_visit, m->todo)[m->todo.n++] = (struct mask_visit){exit, s};
    return 0;
}

/* Child x of an exit, to where byte x->byte leads from s. `guess`: a key before it was taken
 * for any, so that where the next one begins, only trying tells. */
static int take_child(struct mask *m, uint32_t exit, gram_state s, int guess, uint32_t *bits,
                      struct err *e)
{
    const struct mask_vocab *v = m->v;
    const struct mask_exit *x = mask_exit_at(m, exit);
    int rc = gram_step(m->g, s, (unsigned char)x->byte, &s, e), deeper = 0;

    if (rc < 0 || !s || s == GRAM_TOO_DEEP)
        return rc;
    if (guess && gram_is_guess(m->g, s))
        return try_each(m, exit, bits, e);
    x = mask_exit_at(m, exit);
    for (uint32_t i = 0; i < x->n; i++) {
        uint32_t node = x->node[i];

        for (uint32_t k = v->first[node]; k < v->first[node + 1]; k++)
            allow(bits, v->tok[k]);
        deeper |= v->skip[node] > node + 1;
    }
    return deeper ? visit(m, exit, s, e) : 0;
}

static int follow(struct mask *m, uint32_t exit, gram_state s, int guess, uint32_t *bits,
                  struct err *e)
{
    int rc;

    m->todo.n = 0;
    rc = visit(m, exit, s, e);
    while (rc == 0 && m->todo.n) {
        struct mask_visit at = GRAM_AT(struct mask_visit, m->todo)[--m->todo.n];
        uint64_t live[4];
        uint32_t c;

        rc = mask_live(m, at.s, live, e);
        if (rc == 0)
            rc = mask_exits(m, at.exit, live, e);
        for (c = mask_exit_at(m, at.exit)->child; rc == 0 && c; c = mask_exit_at(m, c)->next) {
            unsigned b = mask_exit_at(m, c)->byte;

            if (live[b / 64] >> (b % 64) & 1)
                rc = take_child(m, c, at.s, guess, bits, e);
        }
    }
    return rc;
}

/* -- the mask of a state -------------------------------------------------------------- */

static int add_place(struct mask *m, struct gram_place p, uint32_t *bits, struct err *e)
{
    struct mask_top *t;
    uint32_t n_end;
    int rc = mask_top(m, p.bs, &t, e);
    size_t at = rc == 0 ? (size_t)(t - GRAM_AT(struct mask_top, m->top)) : 0;

    if (rc < 0)
        return rc;
    for (uint32_t i = 0; t->bits && i < m->v->n_word; i++)
        bits[i] |= t->bits[i];
    for (uint32_t i = 0; i < t->n_id; i++)
        allow(bits, t->id[i]);
    n_end = t->n_end;
    for (uint32_t i = 0; rc == 0 && i < n_end; i++) {
        struct mask_end end = GRAM_AT(struct mask_top, m->top)[at].end[i];
        gram_state s;

        rc = gram_pop(m->g, p.frame, end.pay, &s, e);
        if (rc == 0 && s && s != GRAM_TOO_DEEP)
            rc = follow(m, end.exit, s, gram_is_rest(m->g, p.frame), bits, e);
    }
    return rc;
}

static int make_mask(struct mask *m, uint32_t *bits, struct err *e)
{
    const struct gram_set *set = gram_set_at(m->g, m->at.s);
    int rc = 0;

    memset(bits, 0, m->v->n_word * sizeof(*bits));
    for (uint32_t i = 0; rc == 0 && i < set->n; i++)
        rc = add_place(m, set->place[i], bits, e);
    mask_marks(m, bits);
    if (set->flags & GRAM_MAY_END) {
        for (uint32_t i = 0; i < m->v->n_eog; i++)
            allow(bits, m->v->eog[i]);
    }
    return rc;
}

static int nothing(const struct mask *m, struct err *e)
{
    if (!m->at.s)
        return err_set(e, E_INVALID, "the text broke its grammar before");
    if (gram_set_at(m->g, m->at.s)->flags & GRAM_CUT)
        return err_set(e, E_TOO_LONG, "the text is nested deeper than %u",
                       (unsigned)m->g->limits.depth);
    return err_set(e, E_INVALID,
                   "the grammar wants what no token of the model's vocabulary can write");
}

/* The words of the state's mask, with the count behind them; borrowed. */
static int find_mask(struct mask *m, const uint32_t **out, struct err *e)
{
    uint32_t at, *own, n = 0;
    int rc;

    if (!m->at.s)
        return nothing(m, e);
    rc = tidy(m, e);
    if (rc < 0)
        return rc;
    if (map64_get(&m->masks, m->at.s, &at)) {
        *out = GRAM_AT(uint32_t *, m->mask)[at];
        return 0;
    }
    own = mem_alloc((m->v->n_word + (size_t)1) * sizeof(*own));
    if (!own)
        return mask_full(e);
    rc = make_mask(m, own, e);
    for (uint32_t i = 0; rc == 0 && i < m->v->n_word; i++)
        n += (uint32_t)__builtin_popcount(own[i]);
    own[m->v->n_word] = n;
    if (rc == 0 && (gram_room(m->g, &m->mask, 1, sizeof(own)) < 0 ||
                    map64_put(&m->masks, m->at.s, (uint32_t)m->mask.n) < 0))
        rc = mask_full(e);
    if (rc < 0) {
        mem_free(own);
        return rc;
    }
    m->bytes += (m->v->n_word + (size_t)1) * sizeof(*own);
    GRAM_AT(uint32_t *, m->mask)[m->mask.n++] = own;
    *out = own;
    return 0;
}

int mask_fill(struct mask *m, uint32_t *bits, struct err *e)
{
    struct err own = {0};
    const uint32_t *words = NULL;
    int rc = find_mask(m, &words, &own);

    if (rc == 0 && words && words[m->v->n_word] == 0)
        rc = nothing(m, &own);
    if (rc < 0 || !words) {
        if (e)
            *e = own;
        return rc;
    }
    memcpy(bits, words, m->v->n_word * sizeof(*bits));
    return (int)words[m->v->n_word];
}

int mask_accept(struct mask *m, int32_t id, struct err *e)
{
    struct str s = id >= 0 && (uint32_t)id < m->v->n_tok ? tok_piece(m->v->t, id, 0)
                                                         : (struct str){NULL, 0};
    gram_state to = 0;
    int rc;

    if (tok_is_eog(m->v->t, id)) {
        if (gram_may_end(m->g, m->at.s))
            return 0;
        return err_set(e, E_INVALID, "the text cannot end here under its grammar");
    }
    if (!s.n && m->at.s && id >= 0 && (uint32_t)id < m->v->n_tok && mask_is_mark(m, id))
        s = tok_piece(m->v->t, id, 1);
    rc = m->at.s && s.n ? gram_put(m->g, m->at.s, s.p, s.n, &to, NULL, e) : 0;
    if (rc == 0 && !to)
        rc = err_set(e, E_INVALID, "token %d is not allowed here by the grammar", (int)id);
    if (rc == 0)
        m->at.s = to;
    return rc;
}

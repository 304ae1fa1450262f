/* gram_regular.c - expressions that are regular all through become one terminal. */
#include "text/gram/gram_spread.h"

#include "base/utf8.h"

enum { LIT_TEXTS = 64, LIT_BYTES = 4096, REP_MAX = 256, REP_MAX_CHAR = 4096, PARTS_MAX = 4096 };

/* 1: it looks like the text of a control token, which only a literal may become (mask_mark.c).
 */
static int is_mark(struct str s)
{
    return s.n >= 4 && (s.p[0] == '<' || s.p[0] == '[');
}

/* A set of literals as an expression; 0: better left as it is. */
static rx_id rx_of_lits(struct gram *g, const struct gram_lits *s)
{
    rx_id all[LIT_TEXTS], r = RX_NONE;
    size_t n_byte = 0;

    if (s->n > LIT_TEXTS)
        return RX_NONE;
    for (uint32_t i = 0; i < s->n; i++) {
        n_byte += s->s[i].n;
        if (n_byte > LIT_BYTES || is_mark(s->s[i]) || !utf8_valid(s->s[i].p, s->s[i].n))
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
static int make_terminal(struct gram_spread *s, gram_ref r)
{
    struct gram_node *n = gram_at(s->g, r);
    struct rx *rx = s->g->rx;
    rx_id all[64], joined = n->kind == GRAM_K_ALT ? RX_NONE : RX_EMPTY;
    uint32_t k = 0;
    int ok = n->n <= PARTS_MAX && (n->kind != GRAM_K_REP || may_count(s->g, n));

    if (n->kind == GRAM_K_RULE) {
        const struct gram_node *body = gram_at(s->g, n->part[0]);

        n->min = body->kind == GRAM_K_RULE ? body->min : n->part[0];
        gram_spread_mark(s, r);
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
    gram_spread_mark(s, r);
    return rx_error(rx, s->e);
}

static int tell_regular(struct gram_spread *s, gram_ref user, gram_ref part)
{
    (void)part;
    if (--s->left[user] > 0 || gram_at(s->g, user)->kind == GRAM_K_OBJ)
        return 0;
    return make_terminal(s, user);
}

int gram_find_regular(struct gram_spread *s)
{
    gram_spread_begin(s);
    for (uint32_t i = 0; i < s->n_order; i++) {
        const struct gram_node *n = gram_at(s->g, s->order[i]);

        if (is_terminal(n) || n->kind <= GRAM_K_EMPTY)
            gram_spread_mark(s, s->order[i]);
    }
    return gram_spread_run(s, tell_regular);
}

/* mask_mark.c - control tokens under a grammar.
 *
 * A control token stands for no text: no string and no free text may hold one. But the marks
 * that models put around calls and answers are control tokens in many vocabularies, and a
 * grammar says them as literals. So a control token is allowed where its whole text lies in a
 * literal of the grammar, and nowhere else.
 */
#include "text/gram/mask_priv.h"

#include "base/mem.h"

int mask_marks_find(struct mask_vocab *v)
{
    v->mark = mem_alloc((v->n_tok + (size_t)1) * sizeof(*v->mark));
    if (!v->mark)
        return E_NOMEM;
    for (uint32_t i = 0; i < v->n_tok; i++) {
        struct str s = tok_piece(v->t, (int)i, 1);

        if (tok_type_of(v->t, (int)i) == TOK_CONTROL && !tok_is_eog(v->t, (int)i) && s.n &&
            s.n <= MASK_LONGEST)
            v->mark[v->n_mark++] = (struct mask_mark){s, (int32_t)i};
    }
    return 0;
}

/* How s compares to all texts that begin with `text`: 0: it is one. */
static int begins(struct str s, struct str text)
{
    size_t n = s.n < text.n ? s.n : text.n;
    int c = n ? memcmp(s.p, text.p, n) : 0;

    return c ? c : s.n < text.n ? -1 : 0;
}

/* 1: a text of the literal goes on with `mark`. The texts lo..hi are sorted and have their
 * first `depth` bytes in common. */
static int goes_on(const struct str *s, const struct gram_bs_key *k, struct str mark)
{
    uint32_t lo = k->lo, hi = k->hi;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct str rest = {s[mid].p + k->depth, s[mid].n - k->depth};
        int c = begins(rest, mark);

        if (c == 0)
            return 1;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return 0;
}

static int takes(const struct mask *m, uint32_t bs, struct str mark)
{
    const struct gram_bs_key *k = &gram_bs_at(m->g, bs)->key;

    return k->kind == GRAM_BS_LIT &&
           goes_on(GRAM_AT(struct gram_lits, m->g->lits)[k->x].s, k, mark);
}

void mask_marks(const struct mask *m, uint32_t *bits)
{
    const struct gram_set *set = gram_set_at(m->g, m->at.s);

    for (uint32_t i = 0; i < set->n; i++) {
        for (uint32_t k = 0; k < m->v->n_mark; k++) {
            int32_t id = m->v->mark[k].id;

            if (takes(m, set->place[i].bs, m->v->mark[k].text))
                bits[id / 32] |= 1u << (id % 32);
        }
    }
}

int mask_is_mark(const struct mask *m, int32_t id)
{
    const struct gram_set *set = gram_set_at(m->g, m->at.s);
    struct str mark = tok_piece(m->v->t, id, 1);

    if (tok_type_of(m->v->t, id) != TOK_CONTROL || tok_is_eog(m->v->t, id) || !mark.n)
        return 0;
    for (uint32_t i = 0; i < set->n; i++)
        if (takes(m, set->place[i].bs, mark))
            return 1;
    return 0;
}

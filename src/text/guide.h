/* guide.h - holds an answer to a grammar, from the place where its content begins, and its
 * reasoning to a length.
 *
 * A model may reason first: while it does, any token may come but one that ends the answer, so
 * that it cannot end without its content. The grammar begins where the reasoning's close
 * marker ends.
 *
 * With a budget, reasoning that has so many tokens is closed: the marker's own tokens are all
 * that may come then. What comes before is what would come without.
 *
 * Threads  one
 * Uses     base/, text/gram/, text/reply/
 */
#ifndef HEARTH_TEXT_GUIDE_H
#define HEARTH_TEXT_GUIDE_H

#include "text/gram/mask.h"
#include "text/reply/reply.h"

struct guide;

struct guide_options {
    struct gram *gram;               /* finished; borrowed. NULL: content is any text */
    const struct mask_vocab *vocab;  /* borrowed; not needed without a grammar */
    const struct tok *tok;           /* borrowed */
    const struct reply_style *style; /* NULL: no reasoning */
    int open;                        /* 1: the answer begins inside reasoning */
    int may_think;                   /* 1: it may begin with reasoning */
    int limited, budget;             /* limited 1: at most `budget` tokens of reasoning */
};

/* Fails: E_NOMEM. */
MUST_CHECK int guide_new(struct guide **out, const struct guide_options *o, struct err *e);
void guide_free(struct guide *g); /* NULL is fine */

enum guide_says {
    GUIDE_ANY,  /* any token may come */
    GUIDE_MASK, /* those whose bits are set */
    GUIDE_END   /* none: the text is whole */
};

/* What may come next; bits has MASK_WORDS(tok_count). Fails: as mask_fill. */
MUST_CHECK int guide_mask(struct guide *g, uint32_t *bits, struct err *e);
/* Token id was taken. Fails: as mask_accept. */
MUST_CHECK int guide_accept(struct guide *g, int32_t id, struct err *e);
/* Tokens that are certain to come next, at most max. Fails: as mask_forced. */
MUST_CHECK int guide_forced(struct guide *g, int32_t *ids, int max, struct err *e);
/* 1: what came so far is whole, so that it may end here. */
int guide_may_end(const struct guide *g);

#endif

/* gram_spread.h - facts that go from expressions to those that they are part of.
 *
 * Who knows a fact of an expression marks it; gram_spread_run then tells each expression that
 * uses a marked one, once for each use, until nobody learns anything new. Cost: one step for
 * each part of each expression.
 */
#ifndef HEARTH_TEXT_GRAM_GRAM_SPREAD_H
#define HEARTH_TEXT_GRAM_GRAM_SPREAD_H

#include "text/gram/gram_priv.h"

struct gram_spread {
    struct gram *g;
    uint32_t n;
    uint32_t *order, n_order; /* nodes that are reached, root first */
    uint32_t *first, *user;   /* of each node: who has it as a part, from first[i] on */
    uint32_t *left;           /* parts that are not known yet */
    uint32_t *queue, head, tail;
    uint8_t *done;
    struct err *e;
};

/* Everything that is reached from root. Fails: E_INVALID a rule is not set; E_NOMEM. */
MUST_CHECK int gram_spread_init(struct gram_spread *s, struct gram *g, gram_ref root,
                                struct err *e);
void gram_spread_done(struct gram_spread *s);
void gram_spread_begin(struct gram_spread *s);
void gram_spread_mark(struct gram_spread *s, uint32_t r);
MUST_CHECK int gram_spread_run(struct gram_spread *s,
                               int (*tell)(struct gram_spread *, gram_ref user, gram_ref part));

/* The name that a rule was given, or nothing. */
struct str gram_rule_text(const struct gram *g, gram_ref r);

/* gram_regular.c. Fails: what rx.h says. */
MUST_CHECK int gram_find_regular(struct gram_spread *s);

#endif

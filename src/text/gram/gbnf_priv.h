/* gbnf_priv.h - the inside of the reader of GBNF. */
#ifndef HEARTH_TEXT_GRAM_GBNF_PRIV_H
#define HEARTH_TEXT_GRAM_GBNF_PRIV_H

#include "base/map.h"
#include "text/gram/gbnf.h"

enum { GBNF_DEPTH = 1000, GBNF_RANGES = 100 * 1000 };

struct gbnf_rule {
    gram_ref ref;
    const char *used; /* where it was named first */
    int set;
};

struct gbnf_group {
    size_t alts, seq; /* in the items: its alternatives, then its current sequence */
};

struct gbnf_reader {
    struct gram *g;
    const char *begin, *p, *end;
    struct map names; /* of a rule: its place in rule */
    struct gbnf_rule *rule;
    size_t n_rule, cap_rule;
    gram_ref *item;
    size_t n_item, cap_item;
    struct gbnf_group group[GBNF_DEPTH];
    size_t n_group;
    struct err *e;
};

/* An error at a place of the text, with its line and column in front. Returns code. */
int gbnf_wrong(struct gbnf_reader *r, const char *at, int code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
int gbnf_no_memory(struct gbnf_reader *r);
/* One item more in the current sequence. */
MUST_CHECK int gbnf_put(struct gbnf_reader *r, gram_ref ref);

/* gbnf_chars.c: "..." and [...], at which the text stands. */
MUST_CHECK int gbnf_literal(struct gbnf_reader *r);
MUST_CHECK int gbnf_class(struct gbnf_reader *r);

static inline int gbnf_peek(const struct gbnf_reader *r)
{
    return r->p < r->end ? (unsigned char)*r->p : -1;
}

static inline int gbnf_is_digit(int c)
{
    return c >= '0' && c <= '9';
}

#endif

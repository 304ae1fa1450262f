/* numset.h - sets of numbers, as automata over the ways to write them in JSON.
 *
 * A set holds all texts of a number or none of them: 1, 1.0 and 1.00 go together. Numbers
 * without an exponent are followed exactly, digit by digit, so that sets can be cut, joined and
 * turned round without end: ranges, multiples, lists.
 *
 * What an exponent makes of digits no finite automaton can say; therefore such texts are
 * sorted by their look into five classes, and a set says of each class whether it holds all of
 * it (`must`) and whether it may hold some (`may`). Whoever accepts by `must` never accepts
 * wrongly, and misses texts with exponents where a bound would have to look at the value.
 *
 * Threads  as the arena
 * Uses     base/, text/gram/decimal.h
 */
#ifndef HEARTH_TEXT_GRAM_NUMSET_H
#define HEARTH_TEXT_GRAM_NUMSET_H

#include "base/arena.h"
#include "text/gram/decimal.h"

enum {
    NUMSET_MINUS = 10, /* symbols: 0 to 9 are digits */
    NUMSET_POINT,
    NUMSET_SYMBOLS,
    NUMSET_STATES = 20000,         /* of one set, at most */
    NUMSET_WORK = 16 * 1000 * 1000 /* in one room */
};

/* Texts with an exponent. Whole: no fraction but zeros, and no minus in the exponent. */
enum {
    NUMSET_E_ZERO = 1, /* digits all zero */
    NUMSET_E_WHOLE = 2,
    NUMSET_E_OTHER = 4,
    NUMSET_E_NEG_WHOLE = 8, /* with a minus in front */
    NUMSET_E_NEG_OTHER = 16,
    NUMSET_E_ALL = 31
};

struct numset {
    uint32_t n; /* states; 0: where nothing leads on, 1: the first */
    const uint32_t (*next)[NUMSET_SYMBOLS]; /* 0: none, or where nothing is accepted */
    const uint8_t *accept;
    uint8_t must, may; /* NUMSET_E_ */
};

/* Where sets live, and how much has been done for them. */
struct numset_room {
    struct arena *arena;
    uint64_t work; /* states that were looked at; begins with 0 */
};

enum { NUMSET_LESS = 1, NUMSET_EQUAL = 2, NUMSET_MORE = 4 };

/* Sets live as long as the arena. All fail: E_TOO_LONG more states than NUMSET_STATES, or work
 * than NUMSET_WORK; E_NOMEM. */
MUST_CHECK int numset_all(struct numset_room *m, struct numset *out, struct err *e);
MUST_CHECK int numset_integers(struct numset_room *m, struct numset *out, struct err *e);
/* Numbers that are less than, equal to, more than x (any of them together). */
MUST_CHECK int numset_compare(struct numset_room *m, const struct decimal *x, int which,
                              struct numset *out, struct err *e);
/* x times a whole number; x > 0. */
MUST_CHECK int numset_multiples(struct numset_room *m, const struct decimal *x,
                                struct numset *out, struct err *e);
MUST_CHECK int numset_list(struct numset_room *m, const struct decimal *x, size_t n,
                           struct numset *out, struct err *e);
/* Texts of so many digits at most, without a point and with one (0: never with one). The one
 * set that does not hold all texts of a number, for cutting others at the end. */
MUST_CHECK int numset_short(struct numset_room *m, uint32_t whole, uint32_t broken,
                            struct numset *out, struct err *e);

MUST_CHECK int numset_and(struct numset_room *m, const struct numset *x, const struct numset *y,
                          struct numset *out, struct err *e);
MUST_CHECK int numset_or(struct numset_room *m, const struct numset *x, const struct numset *y,
                         struct numset *out, struct err *e);
/* x without y. */
MUST_CHECK int numset_minus(struct numset_room *m, const struct numset *x,
                            const struct numset *y, struct numset *out, struct err *e);

/* 1: no text is accepted. */
int numset_is_empty(const struct numset *s);

/* -- for those who make sets (numset_make.c) ------------------------------------------- */

/* An automaton as two functions: states are any numbers, 0 leads nowhere, 1 is the first. */
struct numset_gen {
    const void *ctx;
    uint64_t (*step)(const void *ctx, uint64_t state, int symbol);
    int (*accepts)(const void *ctx, uint64_t state);
};

/* Walks it, and keeps the smallest automaton that does the same; must and may are left alone.
 */
MUST_CHECK int numset_build(struct numset_room *m, const struct numset_gen *g,
                            struct numset *out, struct err *e);

#endif

/* rx.h - regular expressions over code points, as an automaton that is made while it is used.
 *
 * An expression is a number: equal expressions have the same one, so that states found twice
 * are one state. A state of the automaton is an expression, too: what may still come. Its
 * edges (ranges of code points and where they lead) are worked out when they are first asked
 * for and kept. Intersection and complement are operators like the others. Nothing recurses
 * over its input, and every store counts nodes, edges and bytes against limits, so that an
 * expression from a stranger costs a bounded amount or gives an error.
 *
 * An edge leads only to live states: such from which some word is accepted. So whoever walks
 * along edges can always finish. Surrogates are no characters: nothing matches them.
 *
 * Threads  a store belongs to one thread at a time
 * Uses     base/; utf8proc for \p{...} and \w
 * Source   Brzozowski's derivatives; patterns as ECMA-262 with the u flag has them
 */
#ifndef HEARTH_TEXT_GRAM_RX_H
#define HEARTH_TEXT_GRAM_RX_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

#define RX_CP_MAX 0x10FFFFu
#define RX_INF    UINT32_MAX /* no upper bound */

typedef uint32_t rx_id;

struct rx;

struct rx_limits {
    uint32_t nodes; /* expressions, 0: 1,000,000 */
    size_t bytes;   /* of everything, 0: 64 MiB */
};

struct rx_range {
    uint32_t lo, hi; /* code points, both included */
};

struct rx_edge {
    uint32_t lo, hi;
    rx_id to; /* live */
};

/* Fails: E_NOMEM. */
MUST_CHECK int rx_new(struct rx **out, const struct rx_limits *limits, struct err *e);
void rx_free(struct rx *r); /* NULL is fine */

/* Always the same two. */
#define RX_NONE  ((rx_id)0) /* matches nothing */
#define RX_EMPTY ((rx_id)1) /* matches the empty text only */

/* Build expressions. What goes wrong (a limit, no memory) sticks to the store: the result is
 * RX_NONE, and rx_error tells. So builders need no check after each call, but one at the end.
 */
rx_id rx_set(struct rx *r, const struct rx_range *range, size_t n); /* any order; may overlap */
rx_id rx_any(struct rx *r);                                         /* any one code point */
rx_id rx_text(struct rx *r, struct str utf8);                       /* that text */
rx_id rx_seq(struct rx *r, rx_id a, rx_id b);
rx_id rx_alt(struct rx *r, rx_id a, rx_id b);
rx_id rx_and(struct rx *r, rx_id a, rx_id b);
rx_id rx_not(struct rx *r, rx_id a); /* all texts that a does not match */
rx_id rx_repeat(struct rx *r, rx_id a, uint32_t min, uint32_t max);
/* Of many parts at once, which is cheaper than one after the other. No parts: RX_EMPTY,
 * RX_NONE. */
rx_id rx_seqs(struct rx *r, const rx_id *part, size_t n);
rx_id rx_alts(struct rx *r, const rx_id *part, size_t n);

/* 0, or the first thing that went wrong, with words. */
int rx_error(const struct rx *r, struct err *e);

enum rx_flags {
    RX_SEARCH = 1 /* matches texts that hold a match, as JSON Schema's "pattern"; ^ and $ bind
                     it. Without: the whole text must match, and ^ and $ at the ends are idle */
};

/* Parses a pattern. Beyond ECMA-262, a backslash may stand before any ASCII punctuation. Fails:
 * E_INVALID what is wrong, at which byte of the pattern; E_UNSUPPORTED the name of what cannot
 * be an automaton (lookaround, backreferences, \b) or needs tables that we have not (scripts);
 * E_TOO_LONG a limit; E_NOMEM. What is wrong with the pattern does not stick to the store. */
MUST_CHECK int rx_parse(struct rx *r, struct str pattern, int flags, rx_id *out, struct err *e);

/* -- ready-made ------------------------------------------------------------------------ */

/* Texts of a format that JSON Schema names: date-time, date, time, duration, email, hostname,
 * ipv4, ipv6, uuid, uri, uri-reference, iri, iri-reference, uri-template, json-pointer,
 * relative-json-pointer. Each text is valid; of leap seconds only 23:59:60 in UTC is taken, and
 * no hostname with -- where xn-- has it. Fails: E_UNSUPPORTED an unknown name. */
MUST_CHECK int rx_format(struct rx *r, struct str name, rx_id *out, struct err *e);

/* Integers as JSON writes them, plainly: no fraction, no exponent, no -0. */
rx_id rx_integer(struct rx *r, int has_min, int64_t min, int has_max, int64_t max);
rx_id rx_multiple_of(struct rx *r, uint32_t n); /* integers; n > 0 */

struct rx_bound {
    struct str number; /* as JSON writes it; n = 0: no bound */
    int exclusive;
};

/* Numbers as JSON writes them between exact bounds, without exponent and without -0. Fails:
 * E_INVALID a bound is no number; E_TOO_LONG one of more than 400 digits; E_NOMEM. */
MUST_CHECK int rx_number(struct rx *r, struct rx_bound min, struct rx_bound max, rx_id *out,
                         struct err *e);

/* -- walking ------------------------------------------------------------------------- */

/* The edges of a state, sorted and disjoint; code points without one lead nowhere. Borrowed,
 * until the next call with r. Fails: E_TOO_LONG a limit; E_NOMEM. */
MUST_CHECK int rx_edges(struct rx *r, rx_id state, const struct rx_edge **out, size_t *n,
                        struct err *e);

/* Where a code point leads: RX_NONE when nowhere. Fails as rx_edges. */
MUST_CHECK int rx_step(struct rx *r, rx_id state, uint32_t cp, rx_id *to, struct err *e);

int rx_accepts(const struct rx *r, rx_id state); /* 1: the text may end here */

/* 1: some text matches; 0: none does. Fails as rx_edges. */
MUST_CHECK int rx_live(struct rx *r, rx_id state, struct err *e);

/* 1: only finitely many texts match. Fails as rx_edges. */
MUST_CHECK int rx_finite(struct rx *r, rx_id state, struct err *e);

#endif

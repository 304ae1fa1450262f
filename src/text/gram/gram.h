/* gram.h - grammars: what a text may be, byte by byte, as an automaton with a stack.
 *
 * A grammar is built from expressions, bottom up: regular parts (rx.h), sequences, choices,
 * repetitions, rules that may refer to each other, and two shapes of JSON that a plain grammar
 * cannot say in bounded size: objects, whose keys come in any order and once each, and arrays
 * with bounds. Equal expressions are one, as in rx.h.
 *
 * A state is the set of places where a text may stand, each with the stack of what follows it;
 * stacks share their tails, equal ones are one. Counters (repetitions, keys already seen) are
 * part of a place, so that {1,1000000} costs as much as {1,2}. What leads nowhere is cut off
 * when the grammar is finished and never entered: a text that is accepted so far can be
 * finished. Nothing recurses over its input; nodes, places and bytes have limits.
 *
 * Threads  a grammar and its states belong to one thread at a time
 * Uses     base/, text/gram/rx.h
 */
#ifndef HEARTH_TEXT_GRAM_GRAM_H
#define HEARTH_TEXT_GRAM_GRAM_H

#include "base/buf.h"
#include "base/err.h"
#include "text/gram/rx.h"

#include <stdint.h>

#define GRAM_INF UINT64_MAX

struct gram;

struct gram_limits {
    uint32_t nodes; /* expressions, 0: 200,000 */
    uint32_t depth; /* of a text's stack, 0: 1,000 */
    uint32_t width; /* places of a state, 0: 4,096 */
    size_t bytes;   /* of everything, 0: 64 MiB */
};

/* -- building ------------------------------------------------------------------------- */

typedef uint32_t gram_ref;

#define GRAM_NEVER ((gram_ref)0) /* matches nothing */
#define GRAM_EMPTY ((gram_ref)1) /* matches the empty text */

/* Fails: E_NOMEM. The grammar owns a store of regular expressions. */
MUST_CHECK int gram_new(struct gram **out, const struct gram_limits *limits, struct err *e);
void gram_free(struct gram *g); /* NULL is fine */
struct rx *gram_rx(struct gram *g);

/* As in rx.h, what goes wrong sticks, the result is GRAM_NEVER, and gram_finish tells. */
gram_ref gram_bytes(struct gram *g, struct str bytes); /* these bytes, UTF-8 or not */
gram_ref gram_text(struct gram *g, rx_id rx);          /* UTF-8 that rx matches */
/* A JSON string, quotes and all, whose value rx matches; any way to escape it is accepted,
 * unless `plain`: then only what must be escaped is, in the shortest way. */
gram_ref gram_json_string(struct gram *g, rx_id rx, int plain);
/* Any text up to and without `end`, then end: <x> ... </x>. */
gram_ref gram_until(struct gram *g, struct str end);
gram_ref gram_seq(struct gram *g, const gram_ref *part, size_t n);
gram_ref gram_alt(struct gram *g, const gram_ref *part, size_t n);
gram_ref gram_repeat(struct gram *g, gram_ref a, uint64_t min, uint64_t max);
/* a, sep a, sep a, ...: min to max of a. */
gram_ref gram_list(struct gram *g, gram_ref a, gram_ref sep, uint64_t min, uint64_t max);
/* A rule may be used before it is set, also by itself. Set once. */
gram_ref gram_rule(struct gram *g);
void gram_rule_set(struct gram *g, gram_ref rule, gram_ref body);
void gram_rule_name(struct gram *g, gram_ref rule, struct str name); /* for messages */

struct gram_prop {
    struct str name; /* decoded; copied */
    gram_ref value;
    int required;
    /* Names of properties that must be there when this one is (indices; copied). */
    const uint32_t *needs;
    uint32_t n_needs;
};

struct gram_rest {
    rx_id key; /* of names that no prop has, and no other rest: made disjoint by the caller */
    gram_ref value;
};

struct gram_object {
    const struct gram_prop *prop;
    uint32_t n_prop;
    const struct gram_rest *rest;
    uint32_t n_rest;
    uint64_t min, max;                  /* properties */
    int ordered;                        /* props only in their order, before the rest */
    int plain;                          /* keys as gram_json_string's plain */
    gram_ref open, colon, comma, close; /* with the whitespace that is allowed around them */
};

/* { "key": value, ... }. No key comes twice, also none of the rest. An object that cannot be
 * completed from some point on is never let there (e.g. max is reached before all required). */
gram_ref gram_object(struct gram *g, const struct gram_object *from);

struct gram_array {
    const gram_ref *prefix; /* of the first items */
    uint32_t n_prefix;
    gram_ref items; /* of those after; GRAM_NEVER: none */
    uint64_t min, max;
    gram_ref open, comma, close;
};

gram_ref gram_array(struct gram *g, const struct gram_array *a);

/* Ends building; root is what a whole text is. Fails: E_INVALID a rule was never set, or
 * matches nothing so that no text can be; a rule that begins with itself without a byte
 * between; E_TOO_LONG a limit; E_NOMEM; what went wrong before. */
MUST_CHECK int gram_finish(struct gram *g, gram_ref root, struct err *e);

/* -- walking -------------------------------------------------------------------------- */

/* States are numbers that the grammar owns: equal states have the same one. They stay valid as
 * long as the grammar, but masks may forget those that they do not stand in (mask.h). 0: none,
 * the text is rejected. */
typedef uint32_t gram_state;

/* Where every text begins. */
gram_state gram_start(const struct gram *g);

/* Where n bytes lead from s; *ok (may be NULL) says how many were accepted: n, or fewer when
 * the result is 0. Fails: E_TOO_LONG a limit; E_NOMEM. Never accepts because of a failure. */
MUST_CHECK int gram_put(struct gram *g, gram_state s, const char *p, size_t n, gram_state *to,
                        size_t *ok, struct err *e);

int gram_may_end(const struct gram *g, gram_state s);  /* 1: a whole text */
int gram_must_end(const struct gram *g, gram_state s); /* 1: and nothing may follow */

#endif

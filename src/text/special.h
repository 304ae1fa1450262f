/* special.h - finds the special tokens that stand in a text.
 *
 * The rule: special tokens take their places one after another, the longest text first and
 * of equally long ones the lower id first; each takes all the places that are still free,
 * from left to right, and some the free spaces beside them. This is not "the longest match at
 * the leftmost place": with tokens "abcd" and "xab", "xabcd" is x and abcd.
 *
 * A trie finds the places. Where they do not overlap (the usual case) each is taken; a group
 * of places that do is worked out by the rule alone. Time is linear in the text, times how
 * much of a special token the text holds at each byte.
 *
 * Threads  any number may read
 * Uses     base/
 */
#ifndef HEARTH_TEXT_SPECIAL_H
#define HEARTH_TEXT_SPECIAL_H

#include "base/buf.h"
#include "text/tmpl/marked.h"
#include "text/vocab.h"

#include <stdint.h>

struct special_node;

struct special {
    struct str *text; /* of each special token, in the order of the rule */
    int32_t *id;
    unsigned char *user;  /* 1: user-defined */
    unsigned char *strip; /* VOCAB_LSTRIP, VOCAB_RSTRIP */
    uint32_t n;
    struct special_node *node;
    uint32_t n_node, cap_node;
    uint32_t root[256]; /* node of each first byte; 0: none */
};

/* What a text is made of: the sink gets each piece of ordinary text (never empty) and
 * each special token, in order; it returns 0, or a negative code that ends the search. */
struct special_sink {
    int (*text)(void *ctx, struct str text);
    int (*token)(void *ctx, int32_t id);
    void *ctx;
};

/* The user-defined, control and unknown tokens of v, which must outlive it. Fails: E_NOMEM. */
MUST_CHECK int special_init(struct special *s, const struct vocab *v);
void special_done(struct special *s);

/* Without `control` only user-defined tokens are found; with it and with marks (of the same
 * text; NULL: none) others only where all their bytes are the template's.
 * Fails: E_NOMEM; as the sink. */
MUST_CHECK int special_split(const struct special *s, struct str text, int control,
                             const struct marked *marks, const struct special_sink *sink);

#endif

/* words.h - remembers the ids of words already met in a text, for as long as it is encoded.
 *
 * Prose repeats its words: nine of ten need no merging. A word that is met again gets its ids
 * from where they stand in the output. The table keeps views only, and each word has one
 * place in it: a later word takes the place of an earlier one.
 *
 * Threads  belongs to one encoding
 * Uses     base/
 */
#ifndef HEARTH_TEXT_WORDS_H
#define HEARTH_TEXT_WORDS_H

#include "base/buf.h"
#include "text/tok.h"

struct words_slot {
    struct str word; /* a view into the text; p is NULL when free */
    size_t at;       /* its ids in the output begin here */
    uint32_t n_id;
};

struct words {
    struct words_slot *slots;
    size_t mask;
};

/* For a text of n bytes; a short one gets no table. Fails: E_NOMEM. */
MUST_CHECK int words_init(struct words *w, size_t n);
void words_done(struct words *w);

/* Appends the word's ids to out: 1, 0 when it is not known, or E_NOMEM. *slot is its place
 * (NULL: none) for words_put, until the next words_get. */
MUST_CHECK int words_get(const struct words *w, struct str word, struct tok_ids *out,
                         struct words_slot **slot);

/* The ids from at to the end of out are the word's. */
static inline void words_put(struct words_slot *slot, struct str word,
                             const struct tok_ids *out, size_t at)
{
    if (slot)
        *slot = (struct words_slot){word, at, (uint32_t)(out->n - at)};
}

#endif

/* mask.h - which tokens a grammar allows next.
 *
 * The bytes of a vocabulary stand in a trie, so that tokens which begin alike are looked at
 * together. Which tokens stay inside a place of the grammar is worked out once and kept, for
 * all states that have that place on top; only tokens that leave it are followed each time.
 *
 * Control tokens stand for no text and are never allowed inside of one, but those that end a
 * generation, where the text may end, and those whose text is, or begins, what is left of a
 * literal of the grammar (<tool_call>). When nothing else is allowed and the text may not end,
 * that is an error: generation never goes on unguided.
 *
 * Threads  a vocabulary: any number may read; masks: as the grammar
 * Uses     base/, text/tok.h, text/gram/gram.h
 */
#ifndef HEARTH_TEXT_GRAM_MASK_H
#define HEARTH_TEXT_GRAM_MASK_H

#include "text/gram/gram.h"
#include "text/tok.h"

#include <stdint.h>

struct mask_vocab;

/* Borrows t. Fails: E_NOMEM. */
MUST_CHECK int mask_vocab_new(struct mask_vocab **out, const struct tok *t, struct err *e);
void mask_vocab_free(struct mask_vocab *v); /* NULL is fine */

/* A grammar over a vocabulary, at one place of a text. Borrows both. When the grammar is half
 * full, mask_fill forgets its states but for gram_start and those in which masks
 * stand, whose numbers change: ask for them again. */
struct mask;

MUST_CHECK int mask_new(struct mask **out, struct gram *g, const struct mask_vocab *v,
                        struct err *e);
void mask_free(struct mask *m); /* NULL is fine */

void mask_reset(struct mask *m, gram_state s); /* the text stands here now */
gram_state mask_state(const struct mask *m);

/* Words of a mask for n tokens: bit i % 32 of word i / 32 is token i. */
#define MASK_WORDS(n) (((size_t)(n) + 31) / 32)

/* Writes MASK_WORDS(tok_count) words: 1 for each token that may come next. Returns how many
 * those are. Fails: E_INVALID none may (the vocabulary cannot write what the grammar wants);
 * E_TOO_LONG a limit; E_NOMEM. */
MUST_CHECK int mask_fill(struct mask *m, uint32_t *bits, struct err *e);

/* Token id was taken. Fails: E_INVALID it was not allowed; as mask_fill. */
MUST_CHECK int mask_accept(struct mask *m, int32_t id, struct err *e);

/* Tokens that are certain to come next, as the tokenizer would cut them, at most max; 0 when
 * the next byte is open. Tokens that reach into bytes with which a longer one could begin are
 * not among them. The place stays. Fails as mask_fill. */
MUST_CHECK int mask_forced(struct mask *m, int32_t *ids, int max, struct err *e);

#endif

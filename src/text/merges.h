/* merges.h - the merges of a BPE: which two texts may be joined, in which order, into what.
 *
 * Texts are numbers: a token's id, or for a text that merges use and no token has a number past
 * the vocabulary, so that it can be joined further like any other.
 *
 * Threads  any number may read
 * Uses     base/, fmt/
 */
#ifndef HEARTH_TEXT_MERGES_H
#define HEARTH_TEXT_MERGES_H

#include "base/arena.h"
#include "base/map.h"
#include "text/merge.h"
#include "text/vocab.h"

#include <stdint.h>

struct merges {
    struct map64 pairs; /* left << 32 | right, to the number of the merge */
    uint32_t *made;     /* what each merge makes */
    struct map extra;   /* texts that are no tokens */
    struct arena texts; /* of extra */
    uint32_t next;      /* number of the next such text */
    int given;          /* 1: the file has the key */
    const struct vocab *v;
};

/* Reads tokenizer.ggml.merges, which may be absent unless needed; v must outlive it. Fails:
 * E_FORMAT with the element; E_NOMEM. */
MUST_CHECK int merges_init(struct merges *m, const struct vocab *v, const struct gguf *g,
                           int needed, struct err *e);
void merges_done(struct merges *m); /* a zeroed struct is an empty one */

/* The number of a text, a new one where it has none. The text must outlive m. Fails: E_NOMEM.
 */
MUST_CHECK int merges_name(struct merges *m, struct str text, uint32_t *id);
/* 1 and the number, or 0. */
int merges_find(const struct merges *m, struct str text, uint32_t *id);

/* The merge of two neighbours, or MERGE_NONE. */
static inline uint32_t merges_pair(const struct merges *m, uint32_t left, uint32_t right)
{
    uint32_t number;

    return map64_get(&m->pairs, (uint64_t)left << 32 | right, &number) ? number : MERGE_NONE;
}

#endif

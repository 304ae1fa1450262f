/* merge.h - joins neighbours in a row of symbols, best pair first, until none can be joined.
 *
 * SentencePiece's BPE and byte-level BPE differ only in what makes two neighbours a pair and
 * how good it is; that is what merge_rules says. A pair is a number: its rank (less is
 * better; of equal ones the leftmost goes first) and the id that it makes are looked up in
 * arrays, or are the number itself.
 *
 * Short rows are searched from end to end for each join; long ones keep their pairs in a
 * heap. An entry of the heap is a rank and a position; it is stale when the pair at that
 * position has another rank by now. So n symbols take O(n log n).
 *
 * Threads  a struct merge belongs to one thread at a time
 * Uses     base/
 */
#ifndef HEARTH_TEXT_MERGE_H
#define HEARTH_TEXT_MERGE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define MERGE_NONE UINT32_MAX

/* Symbols form a list; the first is number 0 for ever, since a pair lives on as its left
 * symbol. next == n ends it. */
struct merge_sym {
    uint32_t id; /* the caller's; what the last join made */
    uint32_t at; /* where its text begins, in bytes */
    uint32_t prev, next;
    uint32_t pair; /* with the next one; MERGE_NONE when they do not pair */
};

struct merge {
    struct merge_sym *sym; /* n of them and one behind them, whose `at` is the end */
    uint32_t n;
    size_t cap;
    uint64_t *heap; /* rank << 32 | position */
    size_t n_heap, cap_heap;
};

struct merge_rules {
    /* The pair of two neighbours, or MERGE_NONE. */
    uint32_t (*pair)(const void *ctx, const struct merge_sym *left,
                     const struct merge_sym *right, size_t n_byte);
    const void *ctx;
    const uint32_t *rank; /* of each pair, not UINT32_MAX; NULL: its number */
    const uint32_t *made; /* id that each pair makes; NULL: its number */
};

void merge_done(struct merge *m); /* frees; a zeroed struct is an empty one */

/* Forgets all symbols and makes room for max more. Fails: E_NOMEM. */
MUST_CHECK int merge_start(struct merge *m, size_t max);

static inline void merge_add(struct merge *m, uint32_t id, uint32_t at)
{
    m->sym[m->n] = (struct merge_sym){id, at, m->n - 1, m->n + 1, MERGE_NONE};
    m->n++;
}

/* Joins all that can be; end is where the text ends. Fails: E_NOMEM. */
MUST_CHECK int merge_run(struct merge *m, const struct merge_rules *r, uint32_t end);

#endif

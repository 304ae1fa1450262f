/* snap.h - copies of sequences' states, so that a text is gone on with from its middle.
 *
 * State (struct step_run) moves on with each token and does not go back. Where a sequence
 * passes the end of a page it may leave a copy, under the serial of that page, which stands for
 * all tokens up to there (kv.h): whoever comes to the same page later goes on from the copy.
 * There is room for a few; the one that was asked for longest ago leaves first. A serial is
 * given once, so a copy whose page is forgotten is never found again, and leaves in its turn.
 *
 * Threads  the engine's thread
 * Uses     base/, sys/
 */
#ifndef HEARTH_INFER_SNAP_H
#define HEARTH_INFER_SNAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct snap;

/* Room for n copies (0: it keeps none) of n_byte each; their memory is not touched before use.
 * Fails: E_NOMEM. */
MUST_CHECK int snap_new(struct snap **out, size_t n_byte, int n, struct err *e);
void snap_free(struct snap *p); /* NULL is fine */

int snap_room(const struct snap *p); /* n */

/* The copy behind this page, or NULL. */
const unsigned char *snap_find(struct snap *p, uint64_t serial);

/* Keeps a copy of state behind this page, if there is none. Returns its number, 0 .. n - 1; -1:
 * there was one, or there is no room for any. */
int snap_put(struct snap *p, uint64_t serial, const unsigned char *state);

/* leaves(ctx, i): copy i, of that serial, is about to leave. */
void snap_watch(struct snap *p, void (*leaves)(void *ctx, int i), void *ctx);
/* Copy i, or NULL: there is none. It does not count as asked for. */
const unsigned char *snap_at(const struct snap *p, int i);

/* Whether a copy is worth its room after so many pages: the longer the text, the fewer. */
int snap_wanted(int n_page);

#endif

/* stop.h - stop strings in a stream: text is let through as soon as it cannot belong to one.
 *
 * The stream stops at the first byte that completes a stop string; when several end at that
 * byte, the longest counts. After an error only stop_reset and stop_free may follow.
 *
 * Threads  one stream, one thread
 */
#ifndef HEARTH_INFER_STOP_H
#define HEARTH_INFER_STOP_H

#include "base/buf.h"

struct stop;

#define STOP_MAX     64   /* strings */
#define STOP_LEN_MAX 1024 /* bytes of each */

/* Copies the strings; empty ones are refused (E_INVALID), as is more than the limits above. */
MUST_CHECK int stop_new(struct stop **out, const char *const *strings, int n, struct err *e);
void stop_free(struct stop *s);  /* NULL is fine */
void stop_reset(struct stop *s); /* a new stream */

/* Takes n more bytes and appends to out those that are now known to be outside of any stop
 * string. Returns 1 when a stop string is complete: the text before it is in out, the rest is
 * dropped, and further calls return 1 and add nothing. Else 0, or an error of buf_put. The
 * result does not depend on how the text is cut into calls. */
MUST_CHECK int stop_put(struct stop *s, const char *p, size_t n, struct buf *out);
/* The stream ends: appends what was held back. */
MUST_CHECK int stop_end(struct stop *s, struct buf *out);

/* Which string stopped it (index), or -1. */
int stop_which(const struct stop *s);

#endif

/* lines.h - streams of events taken apart: NDJSON, and server-sent events (SSE).
 *
 * How the bytes are cut changes nothing. Lines end with LF, CRLF or CR (SSE); a byte order mark
 * at the start is skipped; comments, id and retry lines are read over.
 *
 * Threads  one
 * Uses     base/
 * Source   WHATWG HTML, section 9.2 (server-sent events)
 */
#ifndef HEARTH_NET_LINES_H
#define HEARTH_NET_LINES_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum lines_kind { LINES_NDJSON, LINES_SSE };

struct lines {
    int kind;
    struct buf line, data, event; /* what is not complete yet */
    int seen_cr, begun;
    int (*each)(void *ctx, struct str event, struct str data); /* nonzero ends it */
    void *ctx;
};

/* max: bytes of one event. */
void lines_init(struct lines *l, int kind, size_t max,
                int (*each)(void *ctx, struct str event, struct str data), void *ctx);
void lines_done(struct lines *l);
/* each: event is empty where none was named; both are borrowed for the call.
 * Fails: E_TOO_LONG; E_NOMEM; what each returned, if negative (then *e is as it left it);
 * E_CANCELLED if positive. Afterwards nothing but lines_done may be called. */
MUST_CHECK int lines_put(struct lines *l, const char *p, size_t n, struct err *e);
/* The stream has ended: an NDJSON line without its end still counts, an SSE event does not. */
MUST_CHECK int lines_end(struct lines *l, struct err *e);

#endif

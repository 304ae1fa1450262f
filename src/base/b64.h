/* b64.h - base64: bytes as text of 64 characters (RFC 4648, section 4).
 *
 * Threads  any
 */
#ifndef HEARTH_BASE_B64_H
#define HEARTH_BASE_B64_H

#include "base/buf.h"

/* At most how many bytes n characters stand for. */
#define B64_MAX(n) ((n) / 4 * 3 + 3)

/* Writes the bytes that s stands for to out, which has room for B64_MAX(s.n). The padding may
 * be left out; white space and other characters may not stand in it. Returns the number of
 * bytes, or -1 and in *bad (may be NULL) the place of the first character that is wrong. */
long b64_decode(struct str s, unsigned char *out, size_t *bad);

/* Appends n bytes as text, with its padding. Fails: as buf_put. */
MUST_CHECK int b64_encode(struct buf *out, const void *p, size_t n);

#endif

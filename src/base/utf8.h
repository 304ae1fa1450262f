/* utf8.h - UTF-8: decode, encode, and find where whole characters end.
 *
 * Source  RFC 3629: no surrogates, nothing above U+10FFFF, no overlong forms.
 */
#ifndef HEARTH_BASE_UTF8_H
#define HEARTH_BASE_UTF8_H

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Reads the character at s (n > 0 bytes are there): its length in bytes and *cp. Bytes that
 * are no character give -1 in *cp and length 1. */
int utf8_next(const char *s, size_t n, int32_t *cp);

/* Writes cp (0..0x10FFFF) as 1 to 4 bytes and returns how many. */
int utf8_put(int32_t cp, char out[4]);

/* How many of the n bytes can be shown now: all but a character at the end that is only
 * begun. Broken bytes count as complete, so that nothing is held back for ever. */
size_t utf8_whole(const char *s, size_t n);

/* Appends text as well-formed UTF-8: other bytes become U+FFFD. Fails: as buf_put. */
MUST_CHECK int utf8_mend(struct buf *out, const char *p, size_t n);

/* 1 when all n bytes are well-formed. */
int utf8_valid(const char *p, size_t n);

#endif

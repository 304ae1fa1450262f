/* term.h - writing for people: whole writes, text that cannot drive a terminal, durations. */
#ifndef HEARTH_CMD_TERM_H
#define HEARTH_CMD_TERM_H

#include "base/buf.h"

#include <stdint.h>

/* Writes all n bytes, also to a descriptor that does not block. Returns 0 or an errno. */
int term_write(int fd, const char *p, size_t n);

/* Appends text with everything taken out of its way that a terminal would obey: control
 * characters other than newline and tab appear as ^X or U+FFFD, bytes that are no UTF-8 as
 * U+FFFD, so do the marks that turn the direction of writing. Fails: as buf_put. */
MUST_CHECK int term_clean(struct buf *out, const char *p, size_t n);

/* "1.25s", "16.5ms", "2m3.4s": at most three digits after the point. */
void term_duration(uint64_t ns, char *out, size_t cap);

#endif

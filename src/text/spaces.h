/* spaces.h - what the kinds that write spaces as U+2581 share: the way there and back, byte
 * tokens, and where a text may be cut.
 *
 * Uses  base/
 */
#ifndef HEARTH_TEXT_SPACES_H
#define HEARTH_TEXT_SPACES_H

#include "base/buf.h"
#include "text/vocab.h"

#define SPACES_MARK "\xe2\x96\x81" /* U+2581 */

enum { SPACES_LEN = 3 };

/* Replaces what is in out by the text with its spaces as U+2581, one more in front when
 * add_space is set. Fails: E_TOO_LONG it would reach 4 GiB; E_NOMEM. */
MUST_CHECK int spaces_escape(struct buf *out, struct str text, int add_space);

/* What the tokens' texts have in front of a U+2581 inside them: bytes before which a text must
 * not be cut. */
struct spaces_joins {
    unsigned char before[256];
};

void spaces_see(struct spaces_joins *j, struct str token);
/* After all tokens were seen: a text in which spaces are still spaces may be cut in front of
 * each space behind a byte that is 0. */
void spaces_seen(struct spaces_joins *j);
/* The length of the first piece of n > 0 bytes. */
size_t spaces_piece(const struct spaces_joins *j, const char *p, size_t n);

/* Ids of the tokens <0x00> to <0xFF>; -1: none. */
void spaces_byte_ids(const struct vocab *v, int32_t id[256]);
/* Appends the bytes that an ordinary token stands for. Fails: as buf_put. */
MUST_CHECK int spaces_text(const struct vocab *v, int id, struct buf *out);

#endif

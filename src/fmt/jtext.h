/* jtext.h - JSON values as text, whose numbers have as few digits as say the same again
 * (base/num.h); jansson writes 0.2 as 0.20000000000000001.
 *
 * Threads  any, where nobody changes the value
 * Uses     base/; jansson
 */
#ifndef HEARTH_FMT_JTEXT_H
#define HEARTH_FMT_JTEXT_H

#include "base/buf.h"

#include <jansson.h>

/* Appends v, of any kind. form is made of jansson's JSON_INDENT(n) and JSON_ENSURE_ASCII;
 * without an indent there is no white space. A real number stays one: 1.0 is written so. Fails:
 * as buf_put. */
MUST_CHECK int jtext_put(struct buf *out, const json_t *v, int form);

/* Appends text that becomes part of a string whose quotes others write. What is not UTF-8
 * becomes U+FFFD. form: 0, or JSON_ENSURE_ASCII. Fails: as buf_put. */
MUST_CHECK int jtext_escape(struct buf *out, struct str s, int form);

#endif

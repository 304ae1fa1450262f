/* modelfile_text.h - what encoding, line ends and control characters of Modelfiles become.
 *
 * Uses     base/
 */
#ifndef HEARTH_STORE_MODELFILE_TEXT_H
#define HEARTH_STORE_MODELFILE_TEXT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends text, as modelfile.h says that it is read: UTF-8 with LF. Fails: E_INVALID with the
 * line, bytes that are no text; E_TOO_LONG, E_NOMEM. */
MUST_CHECK int modelfile_text(struct buf *out, struct str text, struct err *e);

#endif

/* path.h - where hearth keeps things: the XDG base directories.
 *
 * Source  XDG Base Directory Specification 0.8. A variable that is not an absolute path is
 * ignored, as the specification says.
 */
#ifndef HEARTH_SYS_PATH_H
#define HEARTH_SYS_PATH_H

#include "base/buf.h"

enum path_kind { PATH_CONFIG, PATH_DATA, PATH_CACHE, PATH_STATE };

/* Appends ".../hearth" (and "/name" when name is not NULL) to b. The directory is not made.
 * Fails: E_NOT_FOUND neither the variable nor HOME is set; E_NOMEM, E_TOO_LONG. */
MUST_CHECK int path_xdg(struct buf *b, enum path_kind kind, const char *name, struct err *e);

/* Makes a directory and its parents, mode 0700. Fails: E_IO; E_NOMEM. */
MUST_CHECK int path_mkdirs(const char *dir, struct err *e);

#endif

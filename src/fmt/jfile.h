/* jfile.h - JSON files: read whole, bounded, with words for what is wrong.
 *
 * Uses     base/, sys/; jansson
 */
#ifndef HEARTH_FMT_JFILE_H
#define HEARTH_FMT_JFILE_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>

/* Parses n bytes, which must be one object in which no key is twice. Texts, but no keys, may
 * have a NUL inside: json_string_length() tells. The caller owns *out:
 * json_decref(). Fails: E_FORMAT with the line, what in front of it; E_NOMEM. */
MUST_CHECK int jfile_parse(json_t **out, const char *what, const char *p, size_t n,
                           struct err *e);

/* The same of a file of at most max bytes. Fails: also as mmap_open; E_TOO_LONG. */
MUST_CHECK int jfile_load(json_t **out, const char *path, size_t max, struct err *e);

#endif

/* jbig.h - JSON whose whole numbers may be of any size, where jansson ends at 64 bits with a
 * sign: one that is larger becomes an object that no text can say, which holds its digits.
 * Nothing is rounded, and nothing takes such a value for a number that it can calculate with.
 *
 * Threads  any, where nobody changes the value
 * Uses     base/; jansson
 */
#ifndef HEARTH_FMT_JBIG_H
#define HEARTH_FMT_JBIG_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

/* n bytes as JSON, with jansson's flags. The caller owns *out. Fails: E_INVALID with what is
 * wrong and at which byte and line; E_TOO_LONG a number that no double can hold; E_NOMEM. */
MUST_CHECK int jbig_load(json_t **out, struct str text, size_t flags, struct err *e);

/* The digits of a number that is larger, with its sign. p NULL: it is none. */
struct str jbig_digits(const json_t *v);

/* The nearest double of any number; 0 of what is none. */
double jbig_value(const json_t *v);

#endif

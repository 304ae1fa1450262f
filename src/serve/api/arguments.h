/* arguments.h - what a model wrote as the arguments of a call, for the dialects in which they
 * are an object and not a text.
 *
 * A model lays JSON out as it likes, and may be cut within it. Lines and events of a stream
 * have no room for line ends, and nobody is to get arguments that the model did not write.
 *
 * Threads  any
 * Uses     base/; jansson
 */
#ifndef HEARTH_SERVE_API_ARGUMENTS_H
#define HEARTH_SERVE_API_ARGUMENTS_H

#include "base/buf.h"

/* 1: they are the JSON of an object, all of it. */
int arguments_whole(struct str text);

/* Appends them as an object on one line; keys keep their order and numbers their digits. What
 * was cut is written as far as its members are complete, so that {"a":1,"b":[2 becomes
 * {"a":1}; what is no object becomes {}. Fails: as buf_put. */
MUST_CHECK int arguments_put(struct buf *out, struct str text);

#endif

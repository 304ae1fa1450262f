/* name.h - names of models: [host/][namespace/]model[:tag].
 *
 * The tag is what follows the last colon behind the last slash; "latest" when there is none.
 * Each part begins with a letter, a digit or _, and goes on with these, - and . (a namespace
 * without .; a host also with :); at most 80 bytes, a host 350. Names are the same whatever
 * their case; the one that was stored first keeps its spelling.
 *
 * Uses     base/
 */
#ifndef HEARTH_STORE_NAME_H
#define HEARTH_STORE_NAME_H

#include "base/buf.h"
#include "base/err.h"

#define NAME_DEFAULT_HOST  "registry.ollama.ai"
#define NAME_DEFAULT_SPACE "library"
#define NAME_DEFAULT_TAG   "latest"

struct name {
    char host[351], space[81], model[81], tag[81];
};

/* Fails: E_INVALID which part is wrong and why. */
MUST_CHECK int name_parse(struct name *out, struct str text, struct err *e);
/* The shortest text that means it: "llama3:latest", "user/x:tag", "host/ns/x:tag". */
#define NAME_MAX_TEXT 600
void name_text(const struct name *n, char out[NAME_MAX_TEXT]);
int name_same(const struct name *a, const struct name *b); /* case aside */

#endif

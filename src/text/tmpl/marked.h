/* marked.h - a text that remembers which of its bytes a user wrote.
 *
 * What a chat template says may become control tokens; what came in with the conversation
 * never does. So rendered text carries marks, and the tokenizer looks for control tokens only
 * where the template wrote (tok_encode_marked).
 *
 * Uses     base/
 */
#ifndef HEARTH_TEXT_TMPL_MARKED_H
#define HEARTH_TEXT_TMPL_MARKED_H

#include "base/buf.h"

#include <stddef.h>

struct mark {
    size_t end; /* in bytes; where the next one begins */
    int user;   /* 1: from the conversation, 0: from the template */
};

struct marked {
    struct buf text;
    struct mark *mark; /* n of them; neighbours differ; the last ends where the text does */
    size_t n, cap;
};

void marked_init(struct marked *m, size_t max); /* bytes of text */
void marked_done(struct marked *m);
void marked_clear(struct marked *m);
/* Appends. Fails: E_TOO_LONG, E_NOMEM; then it is as it was. */
MUST_CHECK int marked_put(struct marked *m, struct str s, int user);

#endif

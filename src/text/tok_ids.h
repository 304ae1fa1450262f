/* tok_ids.h - appending to a growing array of token ids.
 *
 * Uses  base/
 */
#ifndef HEARTH_TEXT_TOK_IDS_H
#define HEARTH_TEXT_TOK_IDS_H

#include "text/tok.h"

/* Makes room for n more. Fails: E_NOMEM; then the array is as it was. */
MUST_CHECK int tok_ids_room(struct tok_ids *ids, size_t n);

static inline int tok_ids_put(struct tok_ids *ids, int32_t id)
{
    if (ids->n == ids->cap && tok_ids_room(ids, 1) < 0)
        return E_NOMEM;
    ids->id[ids->n++] = id;
    return 0;
}

#endif

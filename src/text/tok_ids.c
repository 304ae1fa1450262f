#include "text/tok_ids.h"

#include "base/mem.h"

int tok_ids_room(struct tok_ids *ids, size_t n)
{
    size_t cap = ids->cap < 32 ? 64 : ids->cap + ids->cap / 2;
    int32_t *id;

    if (n <= ids->cap - ids->n)
        return 0;
    if (n > SIZE_MAX / 8 - ids->n)
        return E_NOMEM;
    if (cap < ids->n + n)
        cap = ids->n + n;
    if (cap > SIZE_MAX / sizeof(*id))
        return E_NOMEM;
    id = mem_realloc(ids->id, cap * sizeof(*id));
    if (!id)
        return E_NOMEM;
    ids->id = id;
    ids->cap = cap;
    return 0;
}

void tok_ids_done(struct tok_ids *ids)
{
    mem_free(ids->id);
    *ids = (struct tok_ids){0};
}

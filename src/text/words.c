#include "text/words.h"

#include "base/map.h"
#include "base/mem.h"
#include "text/tok_ids.h"

/* Below WORDS_TEXT bytes clearing the table costs more than it saves; words over WORDS_LONG
 * are not words. The largest table is half a megabyte, which the cache of a core holds. */
enum { WORDS_TEXT = 1024, WORDS_LONG = 64, WORDS_MAX = 16384 };

int words_init(struct words *w, size_t n)
{
    size_t cap = 64;

    *w = (struct words){0};
    if (n < WORDS_TEXT)
        return 0;
    while (cap < WORDS_MAX && cap < n / 8)
        cap *= 2;
    w->slots = mem_calloc(cap, sizeof(*w->slots));
    w->mask = cap - 1;
    return w->slots ? 0 : E_NOMEM;
}

void words_done(struct words *w)
{
    mem_free(w->slots);
    *w = (struct words){0};
}

int words_get(const struct words *w, struct str word, struct tok_ids *out,
              struct words_slot **slot)
{
    struct words_slot *s;
    uint64_t h;

    *slot = NULL;
    if (!w->slots || word.n > WORDS_LONG)
        return 0;
    h = map_hash(word.p, word.n);
    *slot = s = &w->slots[(h ^ h >> 32) & w->mask];
    if (!s->word.p || !str_eq(s->word, word))
        return 0;
    if (tok_ids_room(out, s->n_id) < 0)
        return E_NOMEM;
    if (s->n_id)
        memcpy(out->id + out->n, out->id + s->at, s->n_id * sizeof(*out->id));
    out->n += s->n_id;
    return 1;
}

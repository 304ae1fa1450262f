/* tok_any.h - what fuzz targets of tokenizers share: whatever text one gets, its ids are of the
 * vocabulary, and it fails for no text. */
#ifndef HEARTH_TESTS_FUZZ_TOK_ANY_H
#define HEARTH_TESTS_FUZZ_TOK_ANY_H

#include "../unit/text/small.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline struct tok *tok_any_open(void (*make)(struct small *))
{
    struct small s;

    make(&s);
    return small_tok(&s);
}

static inline void tok_any_encode(const struct tok *t, const uint8_t *data, size_t size)
{
    for (int flags = 0; flags < 4; flags++) {
        struct tok_ids ids = {0};

        small_must(tok_encode(t, (const char *)data, size, flags, &ids, NULL) == 0, "encode");
        for (size_t i = 0; i < ids.n; i++)
            small_must(ids.id[i] >= 0 && ids.id[i] < tok_count(t), "id");
        small_must(ids.n <= 3 * size + 2, "too many");
        tok_ids_done(&ids);
    }
}

#endif

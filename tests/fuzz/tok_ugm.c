/* Whatever text a unigram tokenizer gets: its ids are of the
 * vocabulary, and it fails for no text. */
#include "../unit/text/small.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tok *t;

    if (!t) {
        struct small s;

        small_ugm(&s);
        t = small_tok(&s);
    }
    for (int flags = 0; flags < 4; flags++) {
        struct tok_ids ids = {0};

        small_must(tok_encode(t, (const char *)data, size, flags, &ids, NULL) == 0, "encode");
        for (size_t i = 0; i < ids.n; i++)
            small_must(ids.id[i] >= 0 && ids.id[i] < tok_count(t), "id");
        small_must(ids.n <= 3 * size + 2, "too many");
        tok_ids_done(&ids);
    }
    return 0;
}

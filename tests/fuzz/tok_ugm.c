/* A unigram tokenizer gets any text. */
#include "tok_any.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct tok *t;

    if (!t)
        t = tok_any_open(small_ugm);
    tok_any_encode(t, data, size);
    return 0;
}

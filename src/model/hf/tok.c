#include "model/hf/hf_priv.h"

void hf_tokenizer(struct hf *h)
{
    if (h->rc == 0)
        h->rc = gguf_put_str(h->keys, "tokenizer.ggml.model", str_of("no_vocab"), h->e);
}

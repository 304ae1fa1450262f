/* Whatever tekken.json a folder has. */
#include "hf_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!hf_tok_dir[0])
        hf_tok_begin("tekken.json", "{\"architectures\":[\"MistralForCausalLM\"]," HF_TOK_SIZES,
                     "{}");
    hf_tok_run("tekken.json", data, size);
    return 0;
}

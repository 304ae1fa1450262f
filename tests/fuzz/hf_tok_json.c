/* Whatever tokenizer.json a folder has. */
#include "hf_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!hf_tok_dir[0])
        hf_tok_begin("tokenizer.json",
                     "{\"architectures\":[\"LlamaForCausalLM\"]," HF_TOK_SIZES,
                     "{\"eos_token\":\"</s>\"}");
    hf_tok_run("tokenizer.json", data, size);
    return 0;
}

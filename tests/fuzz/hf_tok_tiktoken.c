/* Whatever tokens by rank a folder has, as tiktoken's text. */
#include "hf_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!hf_tok_dir[0])
        hf_tok_begin(
            "tiktoken.model", "{\"architectures\":[\"Qwen2ForCausalLM\"]," HF_TOK_SIZES,
            "{\"added_tokens_decoder\":{\"20\":{\"content\":\"<s>\",\"special\":true}}}");
    hf_tok_run("tiktoken.model", data, size);
    return 0;
}

/* Whatever SentencePiece model a folder has (or tiktoken's text by the same name). */
#include "hf_tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!hf_tok_dir[0])
        hf_tok_begin("tokenizer.model",
                     "{\"architectures\":[\"LlamaForCausalLM\"]," HF_TOK_SIZES,
                     "{\"added_tokens_decoder\":{\"20\":{\"content\":\"<|e|>\"}}}");
    hf_tok_run("tokenizer.model", data, size);
    return 0;
}

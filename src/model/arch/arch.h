/* arch.h - the list of architectures: a line here for each, and a file in this folder for
 * each or a few. */
#ifndef HEARTH_MODEL_ARCH_ARCH_H
#define HEARTH_MODEL_ARCH_ARCH_H

#include "model/model.h"

#define ARCH_LIST(X)                                                                           \
    X(bert)                                                                                    \
    X(deepseek2)                                                                               \
    X(deepseek32)                                                                              \
    X(deepseek4)                                                                               \
    X(falcon)                                                                                  \
    X(falcon_h1)                                                                               \
    X(gemma)                                                                                   \
    X(gemma2)                                                                                  \
    X(gemma3)                                                                                  \
    X(gemma3n)                                                                                 \
    X(gemma4)                                                                                  \
    X(gemma_embedding)                                                                         \
    X(glm4)                                                                                    \
    X(glm4moe)                                                                                 \
    X(glm_dsa)                                                                                 \
    X(gpt_oss)                                                                                 \
    X(granite)                                                                                 \
    X(granitehybrid)                                                                           \
    X(granitemoe)                                                                              \
    X(kimi_linear)                                                                             \
    X(llama)                                                                                   \
    X(llama4)                                                                                  \
    X(mamba2)                                                                                  \
    X(mistral3)                                                                                \
    X(mistral4)                                                                                \
    X(nemotron_h)                                                                              \
    X(nemotron_h_moe)                                                                          \
    X(nemotron_h_omni)                                                                         \
    X(nomic_bert)                                                                              \
    X(nomic_bert_moe)                                                                          \
    X(olmo2)                                                                                   \
    X(phi2)                                                                                    \
    X(phi3)                                                                                    \
    X(phimoe)                                                                                  \
    X(qwen2)                                                                                   \
    X(qwen2moe)                                                                                \
    X(qwen2vl)                                                                                 \
    X(qwen3)                                                                                   \
    X(qwen35)                                                                                  \
    X(qwen35moe)                                                                               \
    X(qwen3moe)                                                                                \
    X(qwen3next)                                                                               \
    X(qwen3vl)                                                                                 \
    X(qwen3vlmoe)                                                                              \
    X(smollm3)                                                                                 \
    X(starcoder2)

#define X(name) extern const struct arch arch_##name;
ARCH_LIST(X)
#undef X

#endif

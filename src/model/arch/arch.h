/* arch.h - the list of architectures: a line here for each, and a file in this folder for
 * each or a few. */
#ifndef HEARTH_MODEL_ARCH_ARCH_H
#define HEARTH_MODEL_ARCH_ARCH_H

#include "model/model.h"

#define ARCH_LIST(X)                                                                           \
    X(bert)                                                                                    \
    X(deepseek2)                                                                               \
    X(deepseek32)                                                                              \
    X(falcon_h1)                                                                               \
    X(glm4moelite)                                                                             \
    X(glm_dsa)                                                                                 \
    X(granitehybrid)                                                                           \
    X(kimi_linear)                                                                             \
    X(llama)                                                                                   \
    X(mamba2)                                                                                  \
    X(mistral4)                                                                                \
    X(nemotron_h)                                                                              \
    X(nemotron_h_moe)                                                                          \
    X(nemotron_h_omni)                                                                         \
    X(nomic_bert)                                                                              \
    X(nomic_bert_moe)                                                                          \
    X(qwen2moe)                                                                                \
    X(qwen3)                                                                                   \
    X(qwen35)                                                                                  \
    X(qwen35moe)                                                                               \
    X(qwen3moe)                                                                                \
    X(qwen3next)

#define X(name) extern const struct arch arch_##name;
ARCH_LIST(X)
#undef X

#endif

/* deepseek.h - what the families of DeepSeek V2 and later share: latent attention, and layers
 * of experts behind a few plain ones.
 *
 * Threads  as params.h
 * Uses     model/model.h
 */
#ifndef HEARTH_MODEL_ARCH_DEEPSEEK_H
#define HEARTH_MODEL_ARCH_DEEPSEEK_H

#include "model/model.h"
#include "model/arch/tensors.h"

/* Queries come from one product or from two; keys and values from a matrix for each head, or
 * from one that holds both. */
enum deepseek_has {
    HAS_Q_WHOLE = HAS_OWN,
    HAS_Q_SPLIT = HAS_OWN * 2,
    HAS_KV_SPLIT = HAS_OWN * 4,
    HAS_KV_JOINED = HAS_OWN * 8,
    HAS_INDEX = HAS_OWN * 16 /* chooses the positions that it sees */
};

enum deepseek_dim { DIM_KV_JOINED = DIM_OWN, DIM_INDEX_HEADS, DIM_INDEX_Q, DIM_INDEX };

/* clang-format off */

#define TENSORS_MLA                                                                            \
    LAYER(ATTN_NORM,      "attn_norm.weight",      VEC, HAS_MLA,       DIM_EMBD),              \
    LAYER(ATTN_Q,         "attn_q.weight",         0,   HAS_Q_WHOLE,   DIM_EMBD, DIM_MLA_Q),   \
    LAYER(ATTN_Q_A,       "attn_q_a.weight",       0,   HAS_Q_SPLIT,   DIM_EMBD, DIM_Q_RANK),  \
    LAYER(ATTN_Q_A_NORM,  "attn_q_a_norm.weight",  VEC, HAS_Q_SPLIT,   DIM_Q_RANK),            \
    LAYER(ATTN_Q_B,       "attn_q_b.weight",       0,   HAS_Q_SPLIT,   DIM_Q_RANK, DIM_MLA_Q), \
    LAYER(ATTN_KV_A,      "attn_kv_a_mqa.weight",  0,   HAS_MLA,       DIM_EMBD, DIM_KV_RANK_ROT), \
    LAYER(ATTN_KV_A_NORM, "attn_kv_a_norm.weight", VEC, HAS_MLA,       DIM_KV_RANK),           \
    LAYER(ATTN_K_B,       "attn_k_b.weight",       0,   HAS_KV_SPLIT,  DIM_MLA_NOPE, DIM_KV_RANK, DIM_HEADS), \
    LAYER(ATTN_V_B,       "attn_v_b.weight",       0,   HAS_KV_SPLIT,  DIM_KV_RANK, DIM_MLA_V, DIM_HEADS), \
    LAYER(ATTN_KV_B,      "attn_kv_b.weight",      TENSOR_RAW, HAS_KV_JOINED, DIM_KV_RANK, DIM_KV_JOINED), \
    LAYER(ATTN_OUTPUT,    "attn_output.weight",    0,   HAS_MLA,       DIM_MLA_O, DIM_EMBD)

#define TENSORS_DEEPSEEK                                                                       \
    TENSORS_ENDS,                                                                              \
    TENSORS_MLA,                                                                               \
    LAYER(FFN_NORM, "ffn_norm.weight", VEC, HAS_FFN | HAS_MOE, DIM_EMBD),                      \
    TENSORS_FFN_GATED,                                                                         \
    TENSORS_MOE,                                                                               \
    TENSORS_MOE_BIAS(MAY),                                                                     \
    TENSORS_SHARED

/* clang-format on */

/* Keys beyond params_read's; usual score: enum moe_score where the file does not say. */
int deepseek_params(struct params *p, struct params_reader *r, int score);
int deepseek_layer(const struct params *p, struct params_reader *r, int i, struct layer *l);
uint64_t deepseek_dim(const struct params *p, const struct layer *l, int dim);
/* x += feed-forward(norm(x)), with experts or without. */
void deepseek_ffn(struct step *s, const struct layer *l, float *x);
/* The hook of struct arch. */
void deepseek_nextn(struct step *s);
/* The width of the shared expert: so many experts, or what its own key says. */
void deepseek_shared(struct params *p, struct params_reader *r);
/* Whether the file has this tensor of layer i. */
int deepseek_has_tensor(const struct params_reader *r, int i, const char *name);

#endif

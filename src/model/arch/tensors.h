/* tensors.h - what the tables of tensors are written with, and the rows that many share.
 *
 * A row is  GLOBAL (role, name, flags, dims), or GLOBAL_OF or LAYER (role, name, flags, when,
 * dims);  flags: 0, MAY, or VEC for small
 * ones that are kept as floats, or both; dims: up to three sizes without their DIM_.  A group
 * is a piece of a table, for what families have in common to the letter; a family that differs
 * in a row writes its rows itself.
 */
#ifndef HEARTH_MODEL_ARCH_TENSORS_H
#define HEARTH_MODEL_ARCH_TENSORS_H

#include "model/model.h"

#define MAY  TENSOR_MAY
#define VEC  TENSOR_VEC
#define ROWS TENSOR_ROWS
#define RAW  TENSOR_RAW

#define DIMS_(a, b, c, ...)                                                                    \
    {                                                                                          \
        a, b, c                                                                                \
    }
#define DIMS(...)                      DIMS_(__VA_ARGS__, DIM_ONE, DIM_ONE, DIM_ONE, )
#define GLOBAL(role, name, flags, ...) GLOBAL_OF(role, name, flags, 0, __VA_ARGS__)
#define GLOBAL_OF(role, name, flags, when, ...)                                                \
    {                                                                                          \
        T_##role, name, flags, DIMS(__VA_ARGS__), when                                         \
    }
#define LAYER(role, name, flags, when, ...)                                                    \
    {                                                                                          \
        T_##role, name, TENSOR_LAYER | (flags), DIMS(__VA_ARGS__), when                        \
    }

/* clang-format off */

/* The embedding, the last norm, and the output, which may be the embedding. */
#define TENSORS_ENDS                                                                           \
    GLOBAL(TOKEN_EMBD,  "token_embd.weight",  0,   DIM_EMBD, DIM_VOCAB),                       \
    GLOBAL(OUTPUT_NORM, "output_norm.weight", VEC, DIM_EMBD),                                  \
    GLOBAL(OUTPUT,      "output.weight",      MAY, DIM_EMBD, DIM_VOCAB)

#define TENSORS_ROPE_FREQS                                                                     \
    GLOBAL(ROPE_FREQS, "rope_freqs.weight", VEC | MAY, DIM_FREQS)

/* What rerankers and classifiers have behind the last norm. */
#define TENSORS_CLS                                                                            \
    GLOBAL(CLS,             "cls.weight",        ROWS | MAY, DIM_EMBD, DIM_EMBD),              \
    GLOBAL(CLS_BIAS,        "cls.bias",          VEC | MAY,  DIM_EMBD),                        \
    GLOBAL(CLS_OUTPUT,      "cls.output.weight", ROWS | MAY, DIM_EMBD, DIM_LABELS),            \
    GLOBAL(CLS_OUTPUT_BIAS, "cls.output.bias",   VEC | MAY,  DIM_LABELS)

/* Attention, without its norm; fused ones are found as well. */
#define TENSORS_ATTN                                                                           \
    LAYER(ATTN_Q,      "attn_q.weight",      0, HAS_ATTN, DIM_EMBD, DIM_Q),                    \
    LAYER(ATTN_K,      "attn_k.weight",      0, HAS_KV,   DIM_EMBD, DIM_K),                    \
    LAYER(ATTN_V,      "attn_v.weight",      0, HAS_KV,   DIM_EMBD, DIM_V),                    \
    LAYER(ATTN_OUTPUT, "attn_output.weight", 0, HAS_ATTN, DIM_O,    DIM_EMBD)

/* may: MAY, or 0 where the family must have them */
#define TENSORS_ATTN_QKV_BIAS(may)                                                             \
    LAYER(ATTN_Q_BIAS, "attn_q.bias", VEC | (may), HAS_ATTN, DIM_Q),                           \
    LAYER(ATTN_K_BIAS, "attn_k.bias", VEC | (may), HAS_KV,   DIM_K),                           \
    LAYER(ATTN_V_BIAS, "attn_v.bias", VEC | (may), HAS_KV,   DIM_V)

#define TENSORS_ATTN_OUTPUT_BIAS(may)                                                          \
    LAYER(ATTN_OUTPUT_BIAS, "attn_output.bias", VEC | (may), HAS_ATTN, DIM_EMBD)

/* Norms of each query and key head. */
#define TENSORS_ATTN_HEAD_NORM(may)                                                            \
    LAYER(ATTN_Q_NORM, "attn_q_norm.weight", VEC | (may), HAS_ATTN, DIM_HEAD),                 \
    LAYER(ATTN_K_NORM, "attn_k_norm.weight", VEC | (may), HAS_KV,   DIM_HEAD)

#define TENSORS_FFN_GATED                                                                      \
    LAYER(FFN_GATE, "ffn_gate.weight", 0, HAS_FFN, DIM_EMBD, DIM_FF),                          \
    LAYER(FFN_UP,   "ffn_up.weight",   0, HAS_FFN, DIM_EMBD, DIM_FF),                          \
    LAYER(FFN_DOWN, "ffn_down.weight", 0, HAS_FFN, DIM_FF,   DIM_EMBD)

#define TENSORS_FFN_PLAIN                                                                      \
    LAYER(FFN_UP,   "ffn_up.weight",   0, HAS_FFN, DIM_EMBD, DIM_FF),                          \
    LAYER(FFN_DOWN, "ffn_down.weight", 0, HAS_FFN, DIM_FF,   DIM_EMBD)

#define TENSORS_FFN_BIAS(may)                                                                  \
    LAYER(FFN_UP_BIAS,   "ffn_up.bias",   VEC | (may), HAS_FFN, DIM_FF),                       \
    LAYER(FFN_DOWN_BIAS, "ffn_down.bias", VEC | (may), HAS_FFN, DIM_EMBD)

/* The two norms of a layer that are before its parts. */
#define TENSORS_PRE_NORMS                                                                      \
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, 0, DIM_EMBD),                                    \
    LAYER(FFN_NORM,  "ffn_norm.weight",  VEC, 0, DIM_EMBD)

#define TENSORS_MOE                                                                            \
    LAYER(FFN_GATE_INP,  "ffn_gate_inp.weight",  0, HAS_MOE, DIM_EMBD, DIM_EXPERT),            \
    LAYER(FFN_GATE_EXPS, "ffn_gate_exps.weight", 0, HAS_MOE, DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT), \
    LAYER(FFN_UP_EXPS,   "ffn_up_exps.weight",   0, HAS_MOE, DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT), \
    LAYER(FFN_DOWN_EXPS, "ffn_down_exps.weight", 0, HAS_MOE, DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERT)

/* For choosing only. */
#define TENSORS_MOE_BIAS(may)                                                                  \
    LAYER(EXP_PROBS_BIAS, "exp_probs_b.bias", VEC | (may), HAS_MOE, DIM_EXPERT)

#define TENSORS_SHARED                                                                         \
    LAYER(FFN_GATE_SHEXP, "ffn_gate_shexp.weight", 0, HAS_SHARED, DIM_EMBD, DIM_FF_SHARED),    \
    LAYER(FFN_UP_SHEXP,   "ffn_up_shexp.weight",   0, HAS_SHARED, DIM_EMBD, DIM_FF_SHARED),    \
    LAYER(FFN_DOWN_SHEXP, "ffn_down_shexp.weight", 0, HAS_SHARED, DIM_FF_SHARED, DIM_EMBD)

#define TENSORS_SHARED_GATE                                                                    \
    LAYER(FFN_GATE_INP_SHEXP, "ffn_gate_inp_shexp.weight", VEC, HAS_SHARED, DIM_EMBD)

/* What a layer that predicts the token after the next has beside a layer's tensors. */
#define TENSORS_NEXTN                                                                          \
    LAYER(NEXTN_EH_PROJ,   "nextn.eh_proj.weight",          0,         HAS_NEXTN, DIM_EMBD2, DIM_EMBD), \
    LAYER(NEXTN_ENORM,     "nextn.enorm.weight",            VEC,       HAS_NEXTN, DIM_EMBD),   \
    LAYER(NEXTN_HNORM,     "nextn.hnorm.weight",            VEC,       HAS_NEXTN, DIM_EMBD),   \
    LAYER(NEXTN_EMBED,     "nextn.embed_tokens.weight",     MAY | ROWS, HAS_NEXTN, DIM_EMBD, DIM_VOCAB), \
    LAYER(NEXTN_HEAD,      "nextn.shared_head_head.weight", MAY,       HAS_NEXTN, DIM_EMBD, DIM_VOCAB), \
    LAYER(NEXTN_HEAD_NORM, "nextn.shared_head_norm.weight", MAY | VEC, HAS_NEXTN, DIM_EMBD)

/* Mamba 2. conv_bias, norm: MAY, or 0 where the family must have them. */
#define TENSORS_SSM(conv_bias, norm)                                                           \
    LAYER(SSM_IN,        "ssm_in.weight",     0,   HAS_SSM, DIM_EMBD, DIM_SSM_IN),             \
    LAYER(SSM_CONV,      "ssm_conv1d.weight", VEC, HAS_SSM, DIM_SSM_CONV, DIM_SSM_CHANNELS),   \
    LAYER(SSM_CONV_BIAS, "ssm_conv1d.bias",   VEC | (conv_bias), HAS_SSM, DIM_SSM_CHANNELS),   \
    LAYER(SSM_DT_BIAS,   "ssm_dt",            VEC | MAY, HAS_SSM, DIM_SSM_HEADS),              \
    LAYER(SSM_DT_BIAS,   "ssm_dt.bias",       VEC, HAS_SSM, DIM_SSM_HEADS),                    \
    LAYER(SSM_A,         "ssm_a",             VEC, HAS_SSM, DIM_ONE, DIM_SSM_HEADS),           \
    LAYER(SSM_D,         "ssm_d",             VEC, HAS_SSM, DIM_ONE, DIM_SSM_HEADS),           \
    LAYER(SSM_NORM,      "ssm_norm.weight",   VEC | (norm), HAS_SSM, DIM_SSM_GROUP, DIM_SSM_GROUPS), \
    LAYER(SSM_OUT,       "ssm_out.weight",    0,   HAS_SSM, DIM_SSM_INNER, DIM_EMBD)

/* clang-format on */

#define TENSORS(table) .tensors = (table), .n_tensor = (int)(sizeof(table) / sizeof((table)[0]))

#endif

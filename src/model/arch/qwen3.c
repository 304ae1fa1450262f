/* qwen3.c - Qwen3 dense models and Qwen3-Embedding.
 *
 * As llama, with an RMS norm of every query and key head before the rotation, and pairs that
 * lie half a head apart. The head size is a key of its own (128 whatever the width).
 *
 * Source  Yang et al. 2025, arXiv:2505.09388
 */
#include "model/block/block.h"
#include "model/arch/arch.h"

static const struct tensor_spec tensors[] = {
    /* clang-format off */
    {T_TOKEN_EMBD,  "token_embd.weight",  0,                         {DIM_EMBD, DIM_VOCAB}},
    {T_OUTPUT_NORM, "output_norm.weight", TENSOR_VEC,                {DIM_EMBD}},
    {T_OUTPUT,      "output.weight",      TENSOR_MAY,                {DIM_EMBD, DIM_VOCAB}},
    {T_ATTN_NORM,   "attn_norm.weight",   TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_ATTN_Q,      "attn_q.weight",      TENSOR_LAYER,              {DIM_EMBD, DIM_Q}},
    {T_ATTN_K,      "attn_k.weight",      TENSOR_LAYER,              {DIM_EMBD, DIM_K}},
    {T_ATTN_V,      "attn_v.weight",      TENSOR_LAYER,              {DIM_EMBD, DIM_V}},
    {T_ATTN_Q_NORM, "attn_q_norm.weight", TENSOR_LAYER | TENSOR_VEC, {DIM_HEAD}},
    {T_ATTN_K_NORM, "attn_k_norm.weight", TENSOR_LAYER | TENSOR_VEC, {DIM_HEAD}},
    {T_ATTN_OUTPUT, "attn_output.weight", TENSOR_LAYER,              {DIM_O, DIM_EMBD}},
    {T_FFN_NORM,    "ffn_norm.weight",    TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_FFN_GATE,    "ffn_gate.weight",    TENSOR_LAYER,              {DIM_EMBD, DIM_FF}},
    {T_FFN_UP,      "ffn_up.weight",      TENSOR_LAYER,              {DIM_EMBD, DIM_FF}},
    {T_FFN_DOWN,    "ffn_down.weight",    TENSOR_LAYER,              {DIM_FF, DIM_EMBD}},
    /* clang-format on */
};

static void qwen3_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    s->angles = blk_rope_angles(s, &m->p.rope, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_qwen3 = {
    .name = "qwen3",
    .tensors = tensors,
    .n_tensor = sizeof(tensors) / sizeof(*tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .forward = qwen3_forward,
};

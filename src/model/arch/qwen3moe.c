/* qwen3moe.c - Qwen3 with experts: 30B-A3B, 235B-A22B and Qwen3-Coder.
 *
 * As qwen3, with a mixture of experts in every layer: the softmax of the router's results, the
 * best 8 (of 128), their weights divided by their sum; no shared expert.
 *
 * Source  Yang et al. 2025, arXiv:2505.09388
 */
#include "model/block/block.h"
#include "model/arch/arch.h"

static const struct tensor_spec tensors[] = {
    /* clang-format off */
    {T_TOKEN_EMBD,    "token_embd.weight",    0,                         {DIM_EMBD, DIM_VOCAB}},
    {T_OUTPUT_NORM,   "output_norm.weight",   TENSOR_VEC,                {DIM_EMBD}},
    {T_OUTPUT,        "output.weight",        TENSOR_MAY,                {DIM_EMBD, DIM_VOCAB}},
    {T_ATTN_NORM,     "attn_norm.weight",     TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_ATTN_Q,        "attn_q.weight",        TENSOR_LAYER,              {DIM_EMBD, DIM_Q}},
    {T_ATTN_K,        "attn_k.weight",        TENSOR_LAYER,              {DIM_EMBD, DIM_K}},
    {T_ATTN_V,        "attn_v.weight",        TENSOR_LAYER,              {DIM_EMBD, DIM_V}},
    {T_ATTN_Q_NORM,   "attn_q_norm.weight",   TENSOR_LAYER | TENSOR_VEC, {DIM_HEAD}},
    {T_ATTN_K_NORM,   "attn_k_norm.weight",   TENSOR_LAYER | TENSOR_VEC, {DIM_HEAD}},
    {T_ATTN_OUTPUT,   "attn_output.weight",   TENSOR_LAYER,              {DIM_O, DIM_EMBD}},
    {T_FFN_NORM,      "ffn_norm.weight",      TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_FFN_GATE_INP,  "ffn_gate_inp.weight",  TENSOR_LAYER,              {DIM_EMBD, DIM_EXPERT}},
    {T_FFN_GATE_EXPS, "ffn_gate_exps.weight", TENSOR_LAYER,              {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_UP_EXPS,   "ffn_up_exps.weight",   TENSOR_LAYER,              {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_DOWN_EXPS, "ffn_down_exps.weight", TENSOR_LAYER,              {DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERT}},
    /* clang-format on */
};

static int qwen3moe_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n = 1, .score = MOE_SOFTMAX, .norm = 1});
    return r->rc;
}

static void qwen3moe_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    s->angles = blk_rope_angles(s, &m->p.rope, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        blk_ffn_moe(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_qwen3moe = {
    .name = "qwen3moe",
    .tensors = tensors,
    .n_tensor = sizeof(tensors) / sizeof(*tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = qwen3moe_params,
    .forward = qwen3moe_forward,
};

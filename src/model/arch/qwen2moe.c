/* qwen2moe.c - Qwen1.5-MoE-A2.7B and Qwen2-57B-A14B.
 *
 * Queries, keys and values have a bias, no norm. In every layer a mixture of experts whose
 * weights are the softmax of all the router's results, as they are; and a shared expert that
 * every token goes through, as far as a router of its own opens it.
 *
 * Source  Yang et al. 2024, arXiv:2407.10671
 */
#include "model/block/block.h"
#include "model/arch/arch.h"

static const struct tensor_spec tensors[] = {
    /* clang-format off */
    {T_TOKEN_EMBD,         "token_embd.weight",         0,                         {DIM_EMBD, DIM_VOCAB}},
    {T_OUTPUT_NORM,        "output_norm.weight",        TENSOR_VEC,                {DIM_EMBD}},
    {T_OUTPUT,             "output.weight",             TENSOR_MAY,                {DIM_EMBD, DIM_VOCAB}},
    {T_ATTN_NORM,          "attn_norm.weight",          TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_ATTN_Q,             "attn_q.weight",             TENSOR_LAYER,              {DIM_EMBD, DIM_Q}},
    {T_ATTN_K,             "attn_k.weight",             TENSOR_LAYER,              {DIM_EMBD, DIM_K}},
    {T_ATTN_V,             "attn_v.weight",             TENSOR_LAYER,              {DIM_EMBD, DIM_V}},
    {T_ATTN_Q_BIAS,        "attn_q.bias",               TENSOR_LAYER | TENSOR_VEC, {DIM_Q}},
    {T_ATTN_K_BIAS,        "attn_k.bias",               TENSOR_LAYER | TENSOR_VEC, {DIM_K}},
    {T_ATTN_V_BIAS,        "attn_v.bias",               TENSOR_LAYER | TENSOR_VEC, {DIM_V}},
    {T_ATTN_OUTPUT,        "attn_output.weight",        TENSOR_LAYER,              {DIM_O, DIM_EMBD}},
    {T_FFN_NORM,           "ffn_norm.weight",           TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_FFN_GATE_INP,       "ffn_gate_inp.weight",       TENSOR_LAYER,              {DIM_EMBD, DIM_EXPERT}},
    {T_FFN_GATE_EXPS,      "ffn_gate_exps.weight",      TENSOR_LAYER,              {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_UP_EXPS,        "ffn_up_exps.weight",        TENSOR_LAYER,              {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_DOWN_EXPS,      "ffn_down_exps.weight",      TENSOR_LAYER,              {DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERT}},
    {T_FFN_GATE_INP_SHEXP, "ffn_gate_inp_shexp.weight", TENSOR_LAYER | TENSOR_VEC, {DIM_EMBD}},
    {T_FFN_GATE_SHEXP,     "ffn_gate_shexp.weight",     TENSOR_LAYER,              {DIM_EMBD, DIM_FF_SHARED}},
    {T_FFN_UP_SHEXP,       "ffn_up_shexp.weight",       TENSOR_LAYER,              {DIM_EMBD, DIM_FF_SHARED}},
    {T_FFN_DOWN_SHEXP,     "ffn_down_shexp.weight",     TENSOR_LAYER,              {DIM_FF_SHARED, DIM_EMBD}},
    /* clang-format on */
};

static int qwen2moe_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n = 1, .n_ff_shared = p->n_ff});
    return r->rc;
}

static void qwen2moe_forward(struct step *s)
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

const struct arch arch_qwen2moe = {
    .name = "qwen2moe",
    .tensors = tensors,
    .n_tensor = sizeof(tensors) / sizeof(*tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = qwen2moe_params,
    .forward = qwen2moe_forward,
};

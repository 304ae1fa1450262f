/* llama.c - Llama 1 to 3.x, Mistral, CodeLlama, Falcon 3, SmolLM and what is shaped like them.
 *
 * Each layer: x += attention(rms(x)), x += gated feed-forward(rms(x)); grouped queries,
 * rotary positions on neighbouring pairs, frequencies divided by rope_freqs where the file
 * has them (Llama 3.1 and later), output tied to the embedding where it has no own.
 *
 * Source  Touvron et al. 2023, arXiv:2302.13971; Grattafiori et al. 2024, arXiv:2407.21783
 */
#include "model/block/block.h"
#include "model/arch/arch.h"

static const struct tensor_spec tensors[] = {
    /* clang-format off */
    {T_TOKEN_EMBD,       "token_embd.weight",    0,                                                     {DIM_EMBD, DIM_VOCAB}},
    {T_OUTPUT_NORM,      "output_norm.weight",   TENSOR_VEC,                                            {DIM_EMBD}},
    {T_OUTPUT,           "output.weight",        TENSOR_MAY,                                            {DIM_EMBD, DIM_VOCAB}},
    {T_ROPE_FREQS,       "rope_freqs.weight",    TENSOR_VEC | TENSOR_MAY,                               {DIM_FREQS}},
    {T_ATTN_NORM,        "attn_norm.weight",     TENSOR_LAYER | TENSOR_VEC,                             {DIM_EMBD}},
    {T_ATTN_Q,           "attn_q.weight",        TENSOR_LAYER,                                          {DIM_EMBD, DIM_Q}},
    {T_ATTN_K,           "attn_k.weight",        TENSOR_LAYER,                                          {DIM_EMBD, DIM_K}},
    {T_ATTN_V,           "attn_v.weight",        TENSOR_LAYER,                                          {DIM_EMBD, DIM_V}},
    {T_ATTN_OUTPUT,      "attn_output.weight",   TENSOR_LAYER,                                          {DIM_O, DIM_EMBD}},
    {T_ATTN_Q_BIAS,      "attn_q.bias",          TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY,                {DIM_Q}},
    {T_ATTN_K_BIAS,      "attn_k.bias",          TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY,                {DIM_K}},
    {T_ATTN_V_BIAS,      "attn_v.bias",          TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY,                {DIM_V}},
    {T_ATTN_OUTPUT_BIAS, "attn_output.bias",     TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY,                {DIM_EMBD}},
    {T_FFN_NORM,         "ffn_norm.weight",      TENSOR_LAYER | TENSOR_VEC,                             {DIM_EMBD}},
    {T_FFN_GATE,         "ffn_gate.weight",      TENSOR_LAYER | TENSOR_DENSE,                           {DIM_EMBD, DIM_FF}},
    {T_FFN_UP,           "ffn_up.weight",        TENSOR_LAYER | TENSOR_DENSE,                           {DIM_EMBD, DIM_FF}},
    {T_FFN_DOWN,         "ffn_down.weight",      TENSOR_LAYER | TENSOR_DENSE,                           {DIM_FF, DIM_EMBD}},
    {T_FFN_GATE_BIAS,    "ffn_gate.bias",        TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY | TENSOR_DENSE, {DIM_FF}},
    {T_FFN_UP_BIAS,      "ffn_up.bias",          TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY | TENSOR_DENSE, {DIM_FF}},
    {T_FFN_DOWN_BIAS,    "ffn_down.bias",        TENSOR_LAYER | TENSOR_VEC | TENSOR_MAY | TENSOR_DENSE, {DIM_EMBD}},
    {T_FFN_GATE_INP,     "ffn_gate_inp.weight",  TENSOR_LAYER | TENSOR_SPARSE,                          {DIM_EMBD, DIM_EXPERT}},
    {T_FFN_GATE_EXPS,    "ffn_gate_exps.weight", TENSOR_LAYER | TENSOR_SPARSE,                          {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_UP_EXPS,      "ffn_up_exps.weight",   TENSOR_LAYER | TENSOR_SPARSE,                          {DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT}},
    {T_FFN_DOWN_EXPS,    "ffn_down_exps.weight", TENSOR_LAYER | TENSOR_SPARSE,                          {DIM_FF_EXPERT, DIM_EMBD, DIM_EXPERT}},
    /* clang-format on */
};

/* Mixtral's files have this name too; their experts are as wide as a plain feed-forward. */
static int llama_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n_ff = p->n_ff, .score = MOE_SOFTMAX, .norm = 1});
    return r->rc;
}

static void llama_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    s->angles = blk_rope_angles(s, &m->p.rope, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        if (m->p.moe.n)
            blk_ffn_moe(s, &m->layer[i], x);
        else
            blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_llama = {
    .name = "llama",
    .tensors = tensors,
    .n_tensor = sizeof(tensors) / sizeof(*tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = llama_params,
    .forward = llama_forward,
};

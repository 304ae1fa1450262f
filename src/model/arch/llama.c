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
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    TENSORS_ROPE_FREQS,
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    TENSORS_ATTN_OUTPUT_BIAS(MAY),
    TENSORS_FFN_GATED,
    LAYER(FFN_GATE_BIAS, "ffn_gate.bias", VEC | MAY, HAS_FFN, DIM_FF),
    TENSORS_FFN_BIAS(MAY),
    TENSORS_MOE,
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

    blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        if (m->layer[i].has & HAS_MOE)
            blk_ffn_moe(s, &m->layer[i], x);
        else
            blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_llama = {
    .name = "llama",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = llama_params,
    .forward = llama_forward,
};

/* llama.c - Llama 1 to 3.x, Mistral, CodeLlama, Falcon 3, SmolLM and what is shaped like them.
 *
 * Each layer: x += attention(rms(x)), x += gated feed-forward(rms(x)); grouped queries,
 * rotary positions on neighbouring pairs, frequencies divided by rope_freqs where the file
 * has them (Llama 3.1 and later), output tied to the embedding where it has no own.
 *
 * Ministral 3 stretches its positions (YaRN), and its queries grow with the logarithm of how
 * often the original context has passed. SmolLM3 leaves out the rotation in every fourth layer.
 *
 * Source  Touvron et al. 2023, arXiv:2302.13971; Grattafiori et al. 2024, arXiv:2407.21783
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

/* clang-format off */
#define TENSORS_LLAMA                                                                          \
    TENSORS_ENDS, TENSORS_ROPE_FREQS, TENSORS_PRE_NORMS,                                       \
    TENSORS_ATTN, TENSORS_ATTN_QKV_BIAS(MAY), TENSORS_ATTN_OUTPUT_BIAS(MAY),                   \
    TENSORS_FFN_GATED,                                                                         \
    LAYER(FFN_GATE_BIAS, "ffn_gate.bias", VEC | MAY, HAS_FFN, DIM_FF),                         \
    TENSORS_FFN_BIAS(MAY)
/* clang-format on */

static const struct tensor_spec tensors[] = {TENSORS_LLAMA, TENSORS_MOE};

static const struct tensor_spec dense_tensors[] = {TENSORS_LLAMA};

/* Mixtral's files have this name too; their experts are as wide as a plain feed-forward. */
static int llama_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n_ff = p->n_ff, .score = MOE_SOFTMAX, .norm = 1});
    return r->rc;
}

static int mistral3_params(struct params *p, struct params_reader *r)
{
    const char *name = params_has(r, "rope.scaling_beta") ? "rope.scaling_beta"
                                                          : "attention.temperature_scale";

    p->temp_scale = params_f64(r, name, 0, 1e6, 0);
    p->temp_length = p->rope[ROPE_MAIN].n_ctx_orig;
    return llama_params(p, r);
}

static int smollm3_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    enum { PERIOD = 4 };

    (void)p;
    l->rope = i % PERIOD == PERIOD - 1 ? -1 : ROPE_MAIN;
    return r->rc;
}

static void llama_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);
    struct attn o = {.q_factor = blk_q_factor(s)};

    blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_pre(s, i, &o, x);
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
    .about = "Llama 1 to 3.3, Mistral, Mixtral, CodeLlama, Falcon 3",
};

const struct arch arch_mistral3 = {
    .name = "mistral3",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = mistral3_params,
    .forward = llama_forward,
    .about = "Ministral 3, Mistral Small 3",
};

const struct arch arch_smollm3 = {
    .name = "smollm3",
    TENSORS(dense_tensors),
    .rope_kind = KERN_ROPE_NORM,
    .layer = smollm3_layer,
    .forward = llama_forward,
    .about = "SmolLM3",
};

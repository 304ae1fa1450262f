/* phi3.c - Phi-3, Phi-3.5, Phi-4 and Phi-4-mini; Phi-3.5-MoE.
 *
 * As llama, with pairs that lie half a rotating part apart (Phi-4-mini rotates three quarters
 * of a head), and frequencies divided by one list of factors up to the context that was trained
 * first, by another beyond it. Which one is chosen by the context that is planned for: keys
 * that are in the cache stay as they are. Where the file names a window, all layers have it.
 *
 * Phi-3.5-MoE norms with mean and bias, and weighs its two experts in its own way: SparseMixer.
 *
 * Source  Abdin et al. 2024, arXiv:2404.14219; Liu et al. 2023, arXiv:2310.00811
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

/* clang-format off */
#define TENSORS_ROPE_FACTORS                                                                   \
    GLOBAL(ROPE_FACTORS_LONG,  "rope_factors_long.weight",  VEC | MAY, DIM_FREQS),             \
    GLOBAL(ROPE_FACTORS_SHORT, "rope_factors_short.weight", VEC | MAY, DIM_FREQS)
/* clang-format on */

static const struct tensor_spec phi3_tensors[] = {
    TENSORS_ENDS, TENSORS_ROPE_FACTORS, TENSORS_PRE_NORMS, TENSORS_ATTN, TENSORS_FFN_GATED,
};

static const struct tensor_spec phimoe_tensors[] = {
    TENSORS_ENDS,
    GLOBAL(OUTPUT_NORM_BIAS, "output_norm.bias", VEC, DIM_EMBD),
    GLOBAL(OUTPUT_BIAS, "output.bias", VEC, DIM_VOCAB),
    TENSORS_ROPE_FACTORS,
    TENSORS_PRE_NORMS,
    LAYER(ATTN_NORM_BIAS, "attn_norm.bias", VEC, 0, DIM_EMBD),
    LAYER(FFN_NORM_BIAS, "ffn_norm.bias", VEC, 0, DIM_EMBD),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(0),
    TENSORS_ATTN_OUTPUT_BIAS(0),
    TENSORS_MOE,
};

/* The published model has norms with mean and bias, and SparseMixer. The files that people have
 * name the epsilon of an RMS norm, and are run everywhere with that norm and plain weights:
 * they are followed in what they say. */
static int phimoe_params(struct params *p, struct params_reader *r)
{
    int published = params_has(r, "attention.layer_norm_epsilon");

    p->norm = published ? NORM_LAYER : NORM_RMS;
    params_moe(r, p,
               &(struct moe_params){.n = 1,
                                    .n_ff = p->n_ff,
                                    .score = published ? MOE_SPARSE : MOE_SOFTMAX,
                                    .norm = !published});
    return r->rc;
}

static int phi3_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    (void)i;
    l->window = WINDOW_LAST;
    l->n_window = p->n_window;
    return r->rc;
}

static const struct weight *factors_of(const struct step *s)
{
    const struct layer *g = &s->m->global;
    int n_ctx = (s->n_ctx + 255) / 256 * 256; /* as the factors' other users count */

    return g->t[n_ctx > s->m->p.rope[ROPE_MAIN].n_ctx_orig ? T_ROPE_FACTORS_LONG
                                                           : T_ROPE_FACTORS_SHORT];
}

static void phi3_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, factors_of(s));
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

static void phimoe_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, factors_of(s));
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        size_t mark;
        struct kern_acts a;

        blk_attn_gqa(s, i, x);
        mark = step_mark(s);
        a = blk_norm(s, x, l->t[T_FFN_NORM], l->t[T_FFN_NORM_BIAS], &l->t[T_FFN_GATE_INP], 1);
        blk_moe(s, l, &a, NULL, x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_phi3 = {
    .name = "phi3",
    TENSORS(phi3_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .layer = phi3_layer,
    .forward = phi3_forward,
    .about = "Phi-3, Phi-3.5, Phi-4, Phi-4-mini",
};

const struct arch arch_phimoe = {
    .name = "phimoe",
    TENSORS(phimoe_tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = phimoe_params,
    .layer = phi3_layer,
    .forward = phimoe_forward,
    .about = "Phi-3.5-MoE",
};

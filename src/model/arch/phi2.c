/* phi2.c - Phi-1, Phi-1.5 and Phi-2; Falcon 7B, 40B, 180B and Falcon 2.
 *
 * Both parts of a layer read the same: x += attention(ln(x)) + feed-forward(ln(x)), with norms
 * by mean and variance and a plain feed-forward with GELU. Phi has a bias on everything and
 * rotates a part of each head. Falcon has biases on its norms only, and its GELU is the one by
 * the error function; 40B and larger norm apart for attention.
 *
 * Source  Gunasekar et al. 2023, arXiv:2306.11644; Almazrouei et al. 2023, arXiv:2311.16867
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

/* clang-format off */
#define TENSORS_PARALLEL                                                                       \
    TENSORS_ENDS,                                                                              \
    GLOBAL(OUTPUT_NORM_BIAS, "output_norm.bias", VEC, DIM_EMBD),                               \
    LAYER(ATTN_NORM,      "attn_norm.weight", VEC, 0, DIM_EMBD),                               \
    LAYER(ATTN_NORM_BIAS, "attn_norm.bias",   VEC, 0, DIM_EMBD),                               \
    TENSORS_ATTN, TENSORS_FFN_PLAIN
/* clang-format on */

static const struct tensor_spec phi2_tensors[] = {
    TENSORS_PARALLEL,         GLOBAL(OUTPUT_BIAS, "output.bias", VEC, DIM_VOCAB),
    TENSORS_ATTN_QKV_BIAS(0), TENSORS_ATTN_OUTPUT_BIAS(0),
    TENSORS_FFN_BIAS(0),
};

static const struct tensor_spec falcon_tensors[] = {
    TENSORS_PARALLEL,
    LAYER(ATTN_NORM_2, "attn_norm_2.weight", VEC | MAY, 0, DIM_EMBD),
    LAYER(ATTN_NORM_2_BIAS, "attn_norm_2.bias", VEC | MAY, 0, DIM_EMBD),
};

static void parallel_layer(struct step *s, int i, int act, float *x)
{
    const struct layer *l = &s->m->layer[i];
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V],
                                      l->t[T_FFN_UP]};
    size_t mark = step_mark(s);
    struct ffn f = blk_ffn_of(l, act);
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], l->t[T_ATTN_NORM_BIAS], readers, 4),
                     b = a;

    if (l->t[T_ATTN_NORM_2])
        b = blk_norm(s, x, l->t[T_ATTN_NORM_2], l->t[T_ATTN_NORM_2_BIAS], readers, 3);
    blk_attn(s, i, &b, NULL, x, KERN_ADD);
    blk_ffn(s, &f, &a, x, KERN_ADD);
    step_release(s, mark);
}

static void parallel(struct step *s, int act)
{
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < s->m->p.n_layer; i++)
        parallel_layer(s, i, act, x);
    blk_output(s, x);
}

static void phi2_forward(struct step *s)
{
    parallel(s, KERN_ACT_GELU);
}

static void falcon_forward(struct step *s)
{
    parallel(s, KERN_ACT_GELU_ERF);
}

const struct arch arch_phi2 = {
    .name = "phi2",
    TENSORS(phi2_tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .forward = phi2_forward,
    .about = "Phi-1, Phi-1.5, Phi-2",
};

const struct arch arch_falcon = {
    .name = "falcon",
    TENSORS(falcon_tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .forward = falcon_forward,
    .about = "Falcon 7B, 40B, 180B, Falcon 2",
};

/* starcoder2.c - StarCoder2 3B, 7B and 15B.
 *
 * As llama in shape, with norms by mean and variance, a bias on everything, pairs that lie half
 * a head apart, and a plain feed-forward with GELU. Where the file names a window, all layers
 * have it.
 *
 * Source  Lozhkov et al. 2024, arXiv:2402.19173
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    GLOBAL(OUTPUT_NORM_BIAS, "output_norm.bias", VEC, DIM_EMBD),
    TENSORS_PRE_NORMS,
    LAYER(ATTN_NORM_BIAS, "attn_norm.bias", VEC, 0, DIM_EMBD),
    LAYER(FFN_NORM_BIAS, "ffn_norm.bias", VEC, 0, DIM_EMBD),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(0),
    TENSORS_ATTN_OUTPUT_BIAS(0),
    TENSORS_FFN_PLAIN,
    TENSORS_FFN_BIAS(0),
};

static int starcoder2_layer(const struct params *p, struct params_reader *r, int i,
                            struct layer *l)
{
    (void)i;
    l->window = WINDOW_LAST;
    l->n_window = p->n_window;
    return r->rc;
}

static void starcoder2_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct ffn f = blk_ffn_of(l, KERN_ACT_GELU);
        size_t mark;
        struct kern_acts a;

        blk_attn_gqa(s, i, x);
        mark = step_mark(s);
        a = blk_ffn_norm(s, l, x);
        blk_ffn(s, &f, &a, x, KERN_ADD);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_starcoder2 = {
    .name = "starcoder2",
    TENSORS(tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .layer = starcoder2_layer,
    .forward = starcoder2_forward,
    .about = "StarCoder2",
};

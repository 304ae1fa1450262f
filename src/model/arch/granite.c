/* granite.c - Granite 3 and 4 dense models, and with experts Granite 3 MoE.
 *
 * As llama, with numbers that embeddings and what each part adds are multiplied by and logits
 * are divided by, and a scale of scores from the file. Experts are chosen as in Mixtral; some
 * files have a shared one.
 *
 * Source  Granite Team 2024, Granite 3.0 language models
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

#include <string.h>

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
    TENSORS_SHARED,
};

static int granite_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n_ff = p->n_ff, .score = MOE_SOFTMAX, .norm = 1});
    p->moe.n_ff_shared =
        params_int(r, "expert_shared_feed_forward_length", 0, PARAMS_WIDTH_MAX, 0);
    p->logit_scale = 1 / p->logit_scale;
    return r->rc;
}

/* Files of models without positions say so by this key. */
static int granite_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    (void)p;
    (void)i;
    l->rope = params_flag(r, "rope.scaling.finetuned", 1) ? ROPE_MAIN : -1;
    return r->rc;
}

static void granite_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s), factor = m->p.residual_scale;

    blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct ffn f = blk_ffn_of(l, KERN_ACT_SILU);
        size_t mark = step_mark(s), n = (size_t)s->n_tok * (size_t)m->p.n_embd;
        float *y = step_floats(s, n);
        struct kern_acts a = blk_attn_norm(s, i, x);

        blk_attn(s, i, &a, NULL, y, KERN_STORE);
        blk_add(s, y, factor, x);
        if (l->has & HAS_MOE) {
            a = blk_moe_norm(s, l, x, l->t[T_FFN_NORM]);
            if (!s->dry)
                memset(y, 0, n * sizeof(*y));
            blk_moe(s, l, &a, NULL, y);
        } else {
            a = blk_ffn_norm(s, l, x);
            blk_ffn(s, &f, &a, y, KERN_STORE);
        }
        blk_add(s, y, factor, x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_granite = {
    .name = "granite",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = granite_params,
    .layer = granite_layer,
    .forward = granite_forward,
    .about = "Granite 3 and 4",
};

const struct arch arch_granitemoe = {
    .name = "granitemoe",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = granite_params,
    .layer = granite_layer,
    .forward = granite_forward,
    .about = "Granite 3 MoE",
};

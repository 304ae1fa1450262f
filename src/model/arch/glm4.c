/* glm4.c - GLM-4-0414 and GLM-Z1; with experts GLM-4.5 to 4.7 and Air.
 *
 * glm4: norms before and behind each part, x += rms(part(rms(x))). Half of a head rotates, on
 * neighbouring pairs; files of vision models, which have sections of a rotation by three
 * positions (of text, three equal ones), have their rows ordered for pairs half a part apart.
 *
 * glm4moe: norms before the parts only. Some sizes norm each query and key head. After the
 * first dense layers mixtures of experts, chosen by sigmoids with a bias, and a shared expert.
 * What predicts the token after the next stands behind the layers, and is not run.
 *
 * Source  GLM-4.5 Team 2025, arXiv:2508.06471
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec glm4_tensors[] = {
    TENSORS_ENDS,
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    LAYER(ATTN_POST_NORM, "post_attention_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_FFN_GATED,
    LAYER(FFN_POST_NORM, "post_ffw_norm.weight", VEC, 0, DIM_EMBD),
};

static const struct tensor_spec glm4moe_tensors[] = {
    TENSORS_ENDS,
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, HAS_ATTN, DIM_EMBD),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    TENSORS_ATTN_HEAD_NORM(MAY),
    LAYER(FFN_NORM, "post_attention_norm.weight", VEC, HAS_FFN | HAS_MOE, DIM_EMBD),
    TENSORS_FFN_GATED,
    TENSORS_MOE,
    TENSORS_MOE_BIAS(MAY),
    TENSORS_SHARED,
    TENSORS_NEXTN,
};

static int glm4_params(struct params *p, struct params_reader *r)
{
    if (params_int(r, "rope.dimension_sections", 0, PARAMS_HEAD_DIM_MAX, 0) > 0)
        p->rope_kind = KERN_ROPE_NEOX;
    return r->rc;
}

static int glm4moe_params(struct params *p, struct params_reader *r)
{
    int n;

    params_moe(r, p, &(struct moe_params){.n = 1, .score = MOE_SIGMOID});
    n = params_int(r, "expert_shared_count", 0, PARAMS_EXPERTS_MAX, 0);
    if (r->rc == 0)
        p->moe.n_ff_shared = params_int(r, "expert_shared_feed_forward_length", 0,
                                        PARAMS_WIDTH_MAX, (int64_t)n * p->moe.n_ff);
    return r->rc;
}

static void glm4_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);
    size_t mark, n = (size_t)s->n_tok * (size_t)m->p.n_embd;

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct ffn f = blk_ffn_of(l, KERN_ACT_SILU);
        struct kern_acts a;
        float *y;

        mark = step_mark(s);
        y = step_floats(s, n);
        a = blk_attn_norm(s, i, x);
        blk_attn(s, i, &a, NULL, y, KERN_STORE);
        blk_add_norm(s, y, l->t[T_ATTN_POST_NORM], x);
        a = blk_ffn_norm(s, l, x);
        blk_ffn(s, &f, &a, y, KERN_STORE);
        blk_add_norm(s, y, l->t[T_FFN_POST_NORM], x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

static void glm4moe_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        if (m->layer[i].has & HAS_MOE)
            blk_ffn_moe(s, &m->layer[i], x);
        else
            blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_glm4 = {
    .name = "glm4",
    TENSORS(glm4_tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = glm4_params,
    .forward = glm4_forward,
    .about = "GLM-4-0414, GLM-Z1",
};

const struct arch arch_glm4moe = {
    .name = "glm4moe",
    TENSORS(glm4moe_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = glm4moe_params,
    .forward = glm4moe_forward,
    .about = "GLM-4.5, 4.6, 4.7, Air",
};

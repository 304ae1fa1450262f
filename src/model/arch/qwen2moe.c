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
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS, TENSORS_PRE_NORMS, TENSORS_ATTN,        TENSORS_ATTN_QKV_BIAS(0),
    TENSORS_MOE,  TENSORS_SHARED,    TENSORS_SHARED_GATE,
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

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        blk_ffn_moe(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_qwen2moe = {
    .name = "qwen2moe",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = qwen2moe_params,
    .forward = qwen2moe_forward,
    .about = "Qwen1.5-MoE, Qwen2-57B-A14B",
};

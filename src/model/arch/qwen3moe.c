/* qwen3moe.c - Qwen3 with experts: 30B-A3B, 235B-A22B and Qwen3-Coder.
 *
 * As qwen3, with a mixture of experts in every layer: the softmax of the router's results, the
 * best 8 (of 128), their weights divided by their sum; no shared expert.
 *
 * Source  Yang et al. 2025, arXiv:2505.09388
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS, TENSORS_PRE_NORMS, TENSORS_ATTN, TENSORS_ATTN_HEAD_NORM(0), TENSORS_MOE,
};

static int qwen3moe_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p, &(struct moe_params){.n = 1, .score = MOE_SOFTMAX, .norm = 1});
    return r->rc;
}

static void qwen3moe_forward(struct step *s)
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

const struct arch arch_qwen3moe = {
    .name = "qwen3moe",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = qwen3moe_params,
    .forward = qwen3moe_forward,
    .about = "Qwen3 with experts, Qwen3-Coder",
};

/* The text of Qwen3-VL with experts, whose three positions of a token are equal. */
const struct arch arch_qwen3vlmoe = {
    .name = "qwen3vlmoe",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = qwen3moe_params,
    .forward = qwen3moe_forward,
    .about = "the text of Qwen3-VL with experts",
};

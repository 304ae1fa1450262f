/* qwen3.c - Qwen3 dense models and Qwen3-Embedding.
 *
 * As llama, with an RMS norm of every query and key head before the rotation, and pairs that
 * lie half a head apart. The head size is a key of its own (128 whatever the width).
 *
 * Source  Yang et al. 2025, arXiv:2505.09388
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,      TENSORS_PRE_NORMS, TENSORS_ATTN, TENSORS_ATTN_HEAD_NORM(0),
    TENSORS_FFN_GATED, TENSORS_CLS,
};

static void qwen3_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        blk_attn_gqa(s, i, x);
        blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_qwen3 = {
    .name = "qwen3",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .forward = qwen3_forward,
    .about = "Qwen3, Qwen3-Embedding and -Reranker",
};

/* The text of Qwen3-VL, whose three positions of a token are equal. */
const struct arch arch_qwen3vl = {
    .name = "qwen3vl",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .forward = qwen3_forward,
    .about = "the text of Qwen3-VL",
};

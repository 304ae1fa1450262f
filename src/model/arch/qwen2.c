/* qwen2.c - Qwen1.5, Qwen2 and Qwen2.5, R1-Distill-Qwen; the text of Qwen2-VL and Qwen2.5-VL.
 *
 * As llama, with a bias on queries, keys and values, and pairs that lie half a head apart. The
 * vision models give each token three positions; those of text are equal, which is the plain
 * rotation.
 *
 * Source  Yang et al. 2024, arXiv:2407.10671; Wang et al. 2024, arXiv:2409.12191
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    GLOBAL(OUTPUT_BIAS, "output.bias", VEC | MAY, DIM_VOCAB),
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(0),
    TENSORS_FFN_GATED,
};

static void qwen2_forward(struct step *s)
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

const struct arch arch_qwen2 = {
    .name = "qwen2",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .forward = qwen2_forward,
    .about = "Qwen1.5, Qwen2, Qwen2.5, R1-Distill-Qwen",
};

const struct arch arch_qwen2vl = {
    .name = "qwen2vl",
    .also = "qwen25vl",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .forward = qwen2_forward,
    .about = "the text of Qwen2-VL and Qwen2.5-VL",
};

/* deepseek2.c - DeepSeek V2, V3 and R1, Kimi K2, GLM-4.7-Flash, Mistral 4.
 *
 * Latent attention (block/mla.c); after some layers with a plain feed-forward, experts of which
 * only those of the best groups are chosen, and a shared one. YaRN changes the scale of scores
 * instead of queries and keys.
 *
 * Source  DeepSeek-AI 2024, arXiv:2405.04434 and arXiv:2412.19437
 */
#include "model/arch/deepseek.h"

#include "model/arch/arch.h"
#include "model/block/block.h"

static const struct tensor_spec tensors[] = {TENSORS_DEEPSEEK, TENSORS_NEXTN};

static int deepseek2_params(struct params *p, struct params_reader *r)
{
    int n = p->n_layer + p->n_nextn,
        is_glm = (n == 47 || n == 48) && p->n_vocab == 154880; /* GLM-4.7-Flash */

    return deepseek_params(p, r, is_glm ? MOE_SIGMOID : MOE_SOFTMAX);
}

static void deepseek2_forward(struct step *s)
{
    float *x = blk_embed(s);
    struct mla o = {.q_factor = blk_q_factor(s)};

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < s->m->p.n_layer; i++) {
        blk_mla(s, i, &o, x);
        deepseek_ffn(s, &s->m->layer[i], x);
    }
    blk_output(s, x);
}

#define DEEPSEEK2(id, other, what)                                                             \
    const struct arch arch_##id = {                                                            \
        .name = #id,                                                                           \
        .also = (other),                                                                       \
        TENSORS(tensors),                                                                      \
        .rope_kind = KERN_ROPE_NORM,                                                           \
        .read_params = deepseek2_params,                                                       \
        .layer = deepseek_layer,                                                               \
        .dim = deepseek_dim,                                                                   \
        .forward = deepseek2_forward,                                                          \
        .nextn = deepseek_nextn,                                                               \
        .about = (what),                                                                       \
    }

DEEPSEEK2(deepseek2, "glm4moelite",
          "DeepSeek V2, V3, V3.1 and R1, Kimi K2, Moonlight, GLM-4.7-Flash");
DEEPSEEK2(mistral4, NULL, "Mistral 4");

/* falcon_h1.c - Falcon-H1: attention and Mamba 2 side by side in every layer.
 *
 * a = rms(x); x += attention(a) + mamba2(a); x += gated feed-forward(rms(x)). The multipliers
 * of the published model (of embeddings, keys, gates, logits ...) are within the weights of the
 * file. The mixer's norm is there in some sizes only.
 *
 * Source  Zuo et al. 2025, arXiv:2507.22448
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, 0, DIM_EMBD),
    LAYER(FFN_NORM, "ffn_norm", VEC | MAY, 0, DIM_EMBD),
    LAYER(FFN_NORM, "ffn_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_SSM(MAY, MAY),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    TENSORS_ATTN_OUTPUT_BIAS(MAY),
    TENSORS_FFN_GATED,
    LAYER(FFN_GATE_BIAS, "ffn_gate.bias", VEC | MAY, HAS_FFN, DIM_FF),
    TENSORS_FFN_BIAS(MAY),
};

static int falcon_params(struct params *p, struct params_reader *r)
{
    params_ssm(r, p);
    return r->rc;
}

static int falcon_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    (void)p;
    (void)i;
    l->has |= HAS_SSM;
    return r->rc;
}

static struct cache_need falcon_cache(const struct params *p, const struct layer *l)
{
    (void)l;
    return (struct cache_need){.state = blk_ssm_bytes(p)};
}

static void mixers(struct step *s, int i, float *x)
{
    const struct layer *l = &s->m->layer[i];
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V],
                                      l->t[T_SSM_IN]};
    size_t mark = step_mark(s);
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], NULL, readers, 4);

    blk_attn(s, i, &a, NULL, x, KERN_ADD);
    blk_ssm(s, i, &a, x, KERN_ADD);
    step_release(s, mark);
}

static void falcon_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        mixers(s, i, x);
        blk_ffn_gated(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_falcon_h1 = {
    .name = "falcon-h1",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = falcon_params,
    .layer = falcon_layer,
    .cache = falcon_cache,
    .forward = falcon_forward,
    .about = "Falcon-H1",
};

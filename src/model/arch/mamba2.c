/* mamba2.c - Mamba 2, Codestral Mamba: x += mamba2(rms(x)) in every layer, and nothing else.
 *
 * Source  Dao and Gu 2024, arXiv:2405.21060
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_SSM(MAY, 0),
};

static int mamba2_params(struct params *p, struct params_reader *r)
{
    params_ssm(r, p);
    return r->rc;
}

static int mamba2_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    (void)p;
    (void)i;
    l->has = HAS_SSM;
    return r->rc;
}

static struct cache_need mamba2_cache(const struct params *p, const struct layer *l)
{
    (void)l;
    return (struct cache_need){.state = blk_ssm_bytes(p)};
}

static void mamba2_forward(struct step *s)
{
    float *x = blk_embed(s);

    for (int i = 0; i < s->m->p.n_layer; i++)
        blk_ssm_plain(s, i, x);
    blk_output(s, x);
}

const struct arch arch_mamba2 = {
    .name = "mamba2",
    TENSORS(tensors),
    .read_params = mamba2_params,
    .layer = mamba2_layer,
    .cache = mamba2_cache,
    .forward = mamba2_forward,
    .about = "Mamba 2, Codestral Mamba",
};

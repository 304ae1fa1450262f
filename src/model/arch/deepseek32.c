/* deepseek32.c - DeepSeek V3.2 and GLM-5: as deepseek2, but tokens see only the positions that
 * an indexer chooses.
 *
 * GLM-5.2 has an indexer in some layers; the others see what the last of these chose.
 *
 * Source  DeepSeek-AI 2025, arXiv:2512.02556
 */
#include "model/arch/deepseek.h"

#include "model/arch/arch.h"
#include "model/block/block.h"

enum { T_INDEX_Q = T_OWN, T_INDEX_K, T_INDEX_K_NORM, T_INDEX_K_NORM_BIAS, T_INDEX_PROJ };

/* clang-format off */
static const struct tensor_spec tensors[] = {
    TENSORS_DEEPSEEK,
    LAYER(INDEX_Q,           "indexer.attn_q_b.weight", 0,   HAS_INDEX, DIM_Q_RANK, DIM_INDEX_Q),
    LAYER(INDEX_K,           "indexer.attn_k.weight",   0,   HAS_INDEX, DIM_EMBD, DIM_INDEX),
    LAYER(INDEX_K_NORM,      "indexer.k_norm.weight",   VEC, HAS_INDEX, DIM_INDEX),
    LAYER(INDEX_K_NORM_BIAS, "indexer.k_norm.bias",     VEC, HAS_INDEX, DIM_INDEX),
    LAYER(INDEX_PROJ,        "indexer.proj.weight",     0,   HAS_INDEX, DIM_EMBD, DIM_INDEX_HEADS),
    TENSORS_NEXTN,
};
/* clang-format on */

/* The context from which on GLM-5 leaves out indexers where the file does not say. */
enum { GLM_SHARED_CTX = 1 << 20 };

static int dsa_params(struct params *p, struct params_reader *r)
{
    (void)deepseek_params(p, r, MOE_SIGMOID);
    params_index(r, p);
    return r->rc;
}

static int has_q_split(struct params_reader *r, int i, const struct layer *l)
{
    if (l->has & HAS_Q_SPLIT)
        return 0;
    return err_set(r->e, E_FORMAT, "tensor blk.%d.attn_q_a.weight: missing, and %s needs it", i,
                   r->arch);
}

static int dsa_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    int rc = deepseek_layer(p, r, i, l);

    if (rc < 0 || !l->has)
        return rc;
    if (i < p->n_layer || deepseek_has_tensor(r, i, "indexer.attn_k.weight"))
        l->has |= HAS_INDEX;
    return has_q_split(r, i, l);
}

static int glm_dsa_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    int all = p->n_ctx_train < GLM_SHARED_CTX, full, rc = dsa_layer(p, r, i, l);

    if (rc < 0 || i >= p->n_layer)
        return rc;
    full =
        params_int_at(r, "attention.indexer.types", i, 0, 1, all || i < 3 || (i - 2) % 4 == 0);
    if (r->rc == 0 && !full && i == 0)
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.attention.indexer.types: the first layer shares the choice of "
                        "none",
                        r->arch);
    if (!full)
        l->has &= ~HAS_INDEX;
    return r->rc;
}

/* The keys of indexers, floats. */
static struct cache_need dsa_cache(const struct params *p, const struct layer *l)
{
    int keeps = (l->has & HAS_INDEX) && !(l->has & HAS_NEXTN);

    return (struct cache_need){.page =
                                   keeps ? (size_t)p->index.d * KERN_PAGE * sizeof(float) : 0};
}

/* Room for choices; as long as all positions can be seen, nothing is chosen. */
static struct chosen *chosen_room(struct step *s, struct chosen *c)
{
    int top = s->m->p.index.top;

    if (s->n_ctx <= top)
        return NULL;
    c->max = top;
    c->ratio = 1;
    c->n = step_alloc(s, (size_t)s->n_tok * sizeof(*c->n));
    c->place = step_alloc(s, (size_t)s->n_tok * (size_t)top * sizeof(*c->place));
    return c;
}

static void dsa_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);
    struct chosen room, *chosen = chosen_room(s, &room);
    int is_glm = m->arch != &arch_deepseek32;

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        struct mla o = {.chosen = chosen,
                        .index_q = chosen ? l->t[T_INDEX_Q] : NULL,
                        .index_k = l->t[T_INDEX_K],
                        .index_k_norm = l->t[T_INDEX_K_NORM],
                        .index_k_norm_bias = l->t[T_INDEX_K_NORM_BIAS],
                        .index_proj = l->t[T_INDEX_PROJ],
                        .index_rope = is_glm ? KERN_ROPE_NORM : KERN_ROPE_NEOX};

        blk_mla(s, i, &o, x);
        deepseek_ffn(s, l, x);
    }
    blk_output(s, x);
}

const struct arch arch_deepseek32 = {
    .name = "deepseek32",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = dsa_params,
    .layer = dsa_layer,
    .dim = deepseek_dim,
    .cache = dsa_cache,
    .forward = dsa_forward,
    .nextn = deepseek_nextn, /* sees all */
    .about = "DeepSeek V3.2",
};

const struct arch arch_glm_dsa = {
    .name = "glm-dsa",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = dsa_params,
    .layer = glm_dsa_layer,
    .dim = deepseek_dim,
    .cache = dsa_cache,
    .forward = dsa_forward,
    .nextn = deepseek_nextn, /* sees all */
    .about = "GLM-5, GLM-5.1 and GLM-5.2",
};

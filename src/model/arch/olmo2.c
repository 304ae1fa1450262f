/* olmo2.c - OLMo 2 and OLMo 3.
 *
 * No norms before the parts: x += rms(attention(x)), x += rms(feed-forward(x)). Queries and
 * keys are normed over all heads together, then rotated on pairs half a head apart. OLMo 3
 * looks back through a window in three of four layers, and stretches positions (YaRN) only in
 * the others.
 *
 * Source  OLMo Team 2024, arXiv:2501.00656
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    TENSORS_ATTN,
    LAYER(ATTN_Q_NORM, "attn_q_norm.weight", VEC, HAS_ATTN, DIM_Q),
    LAYER(ATTN_K_NORM, "attn_k_norm.weight", VEC, HAS_KV, DIM_K),
    LAYER(ATTN_POST_NORM, "post_attention_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_FFN_GATED,
    LAYER(FFN_POST_NORM, "post_ffw_norm.weight", VEC, 0, DIM_EMBD),
};

/* Windowed layers take positions as they are. */
static int olmo2_params(struct params *p, struct params_reader *r)
{
    struct rope_params *o = &p->rope[ROPE_SWA];

    *o = (struct rope_params){.n_rot = o->n_rot, .base = o->base, .scale = 1, .attn = 1};
    return r->rc;
}

static int olmo2_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    if (p->n_window > 0 && params_windowed(r, i, 4)) {
        l->window = WINDOW_LAST;
        l->n_window = p->n_window;
        l->rope = ROPE_SWA;
    }
    return r->rc;
}

static void olmo2_forward(struct step *s)
{
    static const struct attn all_heads = {.norm_all = 1};
    const struct model *m = s->m;
    float *x = blk_embed(s);
    size_t n_tok = (size_t)s->n_tok, n = (size_t)m->p.n_embd;

    blk_rope_angles(s, ROPE_MAIN, NULL);
    blk_rope_angles(s, ROPE_SWA, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        const struct weight *qkv[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V]};
        const struct weight *gate_up[] = {l->t[T_FFN_GATE], l->t[T_FFN_UP]};
        struct ffn f = blk_ffn_of(l, KERN_ACT_SILU);
        size_t mark = step_mark(s);
        float *y = step_floats(s, n_tok * n);
        struct kern_acts a = blk_forms(s, x, n_tok, n, qkv, 3);

        blk_attn(s, i, &a, &all_heads, y, KERN_STORE);
        blk_add_norm(s, y, l->t[T_ATTN_POST_NORM], x);
        a = blk_forms(s, x, n_tok, n, gate_up, 2);
        blk_ffn(s, &f, &a, y, KERN_STORE);
        blk_add_norm(s, y, l->t[T_FFN_POST_NORM], x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_olmo2 = {
    .name = "olmo2",
    .also = "olmo3",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = olmo2_params,
    .layer = olmo2_layer,
    .forward = olmo2_forward,
    .about = "OLMo 2 and 3",
};

/* llama4.c - Llama 4 Scout and Maverick, MobileLLM-R1.
 *
 * Three of four layers rotate, and see their own piece of 8192 positions; every fourth has no
 * positions, sees all, and its queries grow with the logarithm of how many pieces have passed.
 * Queries and keys are normed without weights after the rotation, but in Maverick. Every n-th
 * layer has a mixture of experts of which a token goes through one, chosen by the router and
 * weighed by a sigmoid at its input, and a shared expert. Files that say that there is no
 * window have rotation in all layers.
 *
 * Source  Meta 2025, The Llama 4 herd; github.com/meta-llama/llama-models
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

enum { PERIOD = 4, PIECE = 8192, MAVERICK_EXPERTS = 128 };

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,      TENSORS_ROPE_FREQS, TENSORS_PRE_NORMS, TENSORS_ATTN,
    TENSORS_FFN_GATED, TENSORS_MOE,        TENSORS_SHARED,
};

static int llama4_params(struct params *p, struct params_reader *r)
{
    p->n_window =
        params_int(r, "attention.sliding_window", 0, PARAMS_CTX_MAX, PIECE) ? PIECE : 0;
    p->temp_scale = p->n_window ? params_f64(r, "attention.temperature_scale", 0, 1e6, 0.1) : 0;
    p->temp_length = params_int(r, "attention.temperature_length", 1, PARAMS_CTX_MAX, PIECE);
    p->temp_offset = 1;
    params_moe(r, p, &(struct moe_params){.score = MOE_SIGMOID});
    p->moe.n_ff_shared = p->moe.n_ff;
    return r->rc;
}

static int llama4_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    int step = params_int(r, "interleave_moe_layer_step", 0, PARAMS_LAYERS_MAX, 1);

    l->has &= ~(HAS_FFN | HAS_MOE | HAS_SHARED);
    l->has |= p->moe.n > 0 && step > 0 && i % step == step - 1 ? HAS_MOE | HAS_SHARED : HAS_FFN;
    if (p->n_window > 0 && params_windowed(r, i, PERIOD)) {
        l->window = WINDOW_CHUNK;
        l->n_window = p->n_window;
    }
    if (p->n_window > 0 && i % PERIOD == PERIOD - 1)
        l->rope = -1;
    return r->rc;
}

static void llama4_forward(struct step *s)
{
    static const struct moe_kind experts = {.act = KERN_ACT_SILU, .weigh_input = 1};
    const struct model *m = s->m;
    float *x = blk_embed(s);
    struct attn far = {.q_factor = blk_q_factor(s)},
                near = {.norm_after = m->p.moe.n != MAVERICK_EXPERTS};

    blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        size_t mark;
        struct kern_acts a;

        blk_attn_pre(s, i, l->rope < 0 ? &far : &near, x);
        if (l->has & HAS_FFN) {
            blk_ffn_gated(s, l, x);
            continue;
        }
        mark = step_mark(s);
        a = blk_moe_norm(s, l, x, l->t[T_FFN_NORM]);
        blk_moe(s, l, &a, &experts, x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_llama4 = {
    .name = "llama4",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = llama4_params,
    .layer = llama4_layer,
    .forward = llama4_forward,
    .about = "Llama 4 Scout and Maverick, MobileLLM-R1",
};

/* gpt_oss.c - gpt-oss 20B and 120B.
 *
 * Each head has a sink: a score beside those of the positions that takes a share of the softmax
 * and gives no value. Every second layer, from the first on, looks back through a window of
 * 128. All feed-forwards are mixtures of experts: the softmax of the chosen results of a router
 * with a bias; experts have biases too, and an activation that is clamped.
 *
 * Files of another tool say gptoss, and call some tensors by other names.
 *
 * Source  OpenAI 2025, arXiv:2508.10925
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, 0, DIM_EMBD),
    LAYER(ATTN_OUTPUT, "attn_out.weight", MAY, HAS_ATTN, DIM_O, DIM_EMBD),
    LAYER(ATTN_OUTPUT_BIAS, "attn_out.bias", VEC | MAY, HAS_ATTN, DIM_EMBD),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(0),
    TENSORS_ATTN_OUTPUT_BIAS(0),
    LAYER(ATTN_SINKS, "attn_sinks", VEC | MAY, HAS_ATTN, DIM_HEADS),
    LAYER(ATTN_SINKS, "attn_sinks.weight", VEC, HAS_ATTN, DIM_HEADS),
    LAYER(FFN_NORM, "ffn_norm.weight", VEC | MAY, 0, DIM_EMBD),
    LAYER(FFN_NORM, "post_attention_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_MOE,
    LAYER(FFN_GATE_INP_BIAS, "ffn_gate_inp.bias", VEC, HAS_MOE, DIM_EXPERT),
    LAYER(FFN_GATE_EXPS_BIAS, "ffn_gate_exps.bias", VEC, HAS_MOE, DIM_FF_EXPERT, DIM_EXPERT),
    LAYER(FFN_UP_EXPS_BIAS, "ffn_up_exps.bias", VEC, HAS_MOE, DIM_FF_EXPERT, DIM_EXPERT),
    LAYER(FFN_DOWN_EXPS_BIAS, "ffn_down_exps.bias", VEC, HAS_MOE, DIM_EMBD, DIM_EXPERT),
};

/* The other tool's files leave out how wide an expert is, and the name of the stretching. */
static int gpt_oss_params(struct params *p, struct params_reader *r)
{
    const struct gguf_tensor *t = gguf_tensor(r->g, "blk.0.ffn_gate_exps.weight");
    struct moe_params usual = {.n = 1, .n_ff = p->n_ff, .score = MOE_CHOSEN};
    struct rope_params *o = &p->rope[ROPE_MAIN];

    if (t && t->ne[1] <= PARAMS_WIDTH_MAX)
        usual.n_ff = (int)t->ne[1];
    params_moe(r, p, &usual);
    p->n_window = params_int(r, "attention.sliding_window", 0, PARAMS_CTX_MAX, 128);
    if (!params_has(r, "rope.scaling.type") && o->scale != 1) {
        o->scaling = ROPE_YARN;
        o->ext = 1;
    }
    return r->rc;
}

static int gpt_oss_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    if (params_windowed(r, i, 2)) {
        l->window = WINDOW_LAST;
        l->n_window = p->n_window;
    }
    return r->rc;
}

static void gpt_oss_forward(struct step *s)
{
    static const struct moe_kind experts = {.act = KERN_ACT_OAI, .limit = 7};
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        const struct layer *l = &m->layer[i];
        size_t mark;
        struct kern_acts a;

        blk_attn_gqa(s, i, x);
        mark = step_mark(s);
        a = blk_moe_norm(s, l, x, l->t[T_FFN_NORM]);
        blk_moe(s, l, &a, &experts, x);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_gpt_oss = {
    .name = "gpt-oss",
    .also = "gptoss",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gpt_oss_params,
    .layer = gpt_oss_layer,
    .forward = gpt_oss_forward,
    .about = "gpt-oss 20B and 120B",
};

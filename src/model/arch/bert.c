/* bert.c - encoders: BERT and what is made like it (BGE, E5, MiniLM, mxbai), nomic-embed v1 and
 * v2.
 *
 * Every token sees all others. Norms with mean and bias stand behind the sums:
 * x = ln(x + attention(x)), x = ln(x + feed-forward(x)). BERT has a learned embedding for each
 * position and a plain feed-forward with GELU; nomic rotates, v1 with a gated feed-forward, v2
 * with a mixture of experts in every second layer, whose weights are the softmax of all.
 *
 * Source  Devlin et al. 2019, arXiv:1810.04805; Nussbaum et al. 2024, arXiv:2402.01613 and
 * 2025, arXiv:2502.07972
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

/* clang-format off */
#define TENSORS_ENCODER                                                                        \
    GLOBAL(TOKEN_EMBD,           "token_embd.weight",      ROWS,       DIM_EMBD, DIM_VOCAB),   \
    GLOBAL(TOKEN_TYPES,          "token_types.weight",     ROWS | MAY, DIM_EMBD, DIM_TYPES),   \
    GLOBAL(TOKEN_EMBD_NORM,      "token_embd_norm.weight", VEC,        DIM_EMBD),              \
    GLOBAL(TOKEN_EMBD_NORM_BIAS, "token_embd_norm.bias",   VEC,        DIM_EMBD),              \
    LAYER(ATTN_OUTPUT_NORM,       "attn_output_norm.weight",  VEC, 0, DIM_EMBD),               \
    LAYER(ATTN_OUTPUT_NORM_BIAS,  "attn_output_norm.bias",    VEC, 0, DIM_EMBD),               \
    LAYER(LAYER_OUTPUT_NORM,      "layer_output_norm.weight", VEC, 0, DIM_EMBD),               \
    LAYER(LAYER_OUTPUT_NORM_BIAS, "layer_output_norm.bias",   VEC, 0, DIM_EMBD),               \
    TENSORS_ATTN, TENSORS_ATTN_QKV_BIAS(MAY), TENSORS_ATTN_OUTPUT_BIAS(MAY),                   \
    LAYER(FFN_UP,   "ffn_up.weight",   0, HAS_FFN, DIM_EMBD, DIM_FF),                          \
    LAYER(FFN_DOWN, "ffn_down.weight", 0, HAS_FFN, DIM_FF,   DIM_EMBD),                        \
    TENSORS_FFN_BIAS(MAY), TENSORS_CLS
/* clang-format on */

static const struct tensor_spec bert_tensors[] = {
    TENSORS_ENCODER,
    GLOBAL(POSITION_EMBD, "position_embd.weight", ROWS, DIM_EMBD, DIM_CTX),
};

static const struct tensor_spec nomic_tensors[] = {
    TENSORS_ENCODER,
    LAYER(FFN_GATE, "ffn_gate.weight", 0, HAS_FFN, DIM_EMBD, DIM_FF),
};

static const struct tensor_spec nomic_moe_tensors[] = {
    TENSORS_ENCODER,
    LAYER(FFN_GATE_INP, "ffn_gate_inp.weight", 0, HAS_MOE, DIM_EMBD, DIM_EXPERT),
    LAYER(FFN_UP_EXPS, "ffn_up_exps.weight", 0, HAS_MOE, DIM_EMBD, DIM_FF_EXPERT, DIM_EXPERT),
    LAYER(FFN_DOWN_EXPS, "ffn_down_exps.weight", 0, HAS_MOE, DIM_FF_EXPERT, DIM_EMBD,
          DIM_EXPERT),
};

/* Files of encoders often leave out what follows from the architecture. */
static int encoder_params(struct params *p, struct params_reader *r)
{
    p->causal = params_flag(r, "attention.causal", 0);
    return r->rc;
}

static int nomic_moe_params(struct params *p, struct params_reader *r)
{
    params_moe(r, p,
               &(struct moe_params){.n = 1, .n_ff = p->n_ff, .score = MOE_SOFTMAX, .scale = 1});
    return encoder_params(p, r);
}

static int bert_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    (void)p;
    (void)i;
    l->rope = -1;
    return r->rc;
}

/* Experts in layers 1, 3, 5, ... */
static int nomic_moe_layer(const struct params *p, struct params_reader *r, int i,
                           struct layer *l)
{
    int every = params_int(r, "moe_every_n_layers", 1, PARAMS_LAYERS_MAX, 2);

    (void)p;
    l->has &= ~(HAS_FFN | HAS_MOE);
    l->has |= i % every == every - 1 ? HAS_MOE : HAS_FFN;
    return r->rc;
}

/* What tokens are before the first layer: also of which kind (the first), and where. */
static float *embed(struct step *s)
{
    const struct layer *g = &s->m->global;
    const struct weight *also[] = {g->t[T_TOKEN_TYPES], g->t[T_POSITION_EMBD]};
    size_t mark, n = (size_t)s->m->p.n_embd;
    float *x = blk_embed(s), *row;

    mark = step_mark(s);
    row = step_floats(s, n);
    for (int t = 0; t < s->n_tok && !s->dry; t++) {
        for (int k = 0; k < 2; k++) {
            if (!also[k])
                continue;
            blk_row(also[k], k ? (size_t)s->pos[t] : 0, row);
            for (size_t i = 0; i < n; i++)
                x[(size_t)t * n + i] += row[i];
        }
    }
    step_release(s, mark);
    blk_norm_rows(s, x, (size_t)s->n_tok, n, g->t[T_TOKEN_EMBD_NORM],
                  g->t[T_TOKEN_EMBD_NORM_BIAS]);
    return x;
}

/* The published models have GELU by the error function. */
static void feed_forward(struct step *s, const struct layer *l, float *x)
{
    static const struct moe_kind experts = {.act = KERN_ACT_GELU_ERF};
    const struct weight *readers[] = {l->t[T_FFN_UP], l->t[T_FFN_GATE], l->t[T_FFN_GATE_INP]};
    struct ffn f = blk_ffn_of(l, l->t[T_FFN_GATE] ? KERN_ACT_SILU : KERN_ACT_GELU_ERF);
    struct kern_acts a = blk_forms(s, x, (size_t)s->n_tok, (size_t)s->m->p.n_embd, readers, 3);

    if (l->has & HAS_MOE)
        blk_moe(s, l, &a, &experts, x);
    else
        blk_ffn(s, &f, &a, x, KERN_ADD);
}

static void encode(struct step *s)
{
    size_t n_tok = (size_t)s->n_tok, n = (size_t)s->m->p.n_embd;
    float *x = embed(s);

    if (s->m->layer[0].rope >= 0)
        blk_rope_angles(s, ROPE_MAIN, NULL);
    for (int i = 0; i < s->m->p.n_layer; i++) {
        const struct layer *l = &s->m->layer[i];
        const struct weight *qkv[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V]};
        size_t mark = step_mark(s);
        struct kern_acts a = blk_forms(s, x, n_tok, n, qkv, 3);

        blk_attn(s, i, &a, NULL, x, KERN_ADD);
        blk_norm_rows(s, x, n_tok, n, l->t[T_ATTN_OUTPUT_NORM], l->t[T_ATTN_OUTPUT_NORM_BIAS]);
        feed_forward(s, l, x);
        blk_norm_rows(s, x, n_tok, n, l->t[T_LAYER_OUTPUT_NORM],
                      l->t[T_LAYER_OUTPUT_NORM_BIAS]);
        step_release(s, mark);
    }
    blk_output(s, x);
}

const struct arch arch_bert = {
    .name = "bert",
    TENSORS(bert_tensors),
    .norm = NORM_LAYER,
    .read_params = encoder_params,
    .layer = bert_layer,
    .forward = encode,
    .about = "BERT, BGE, E5, MiniLM, mxbai, arctic-embed",
};

const struct arch arch_nomic_bert = {
    .name = "nomic-bert",
    TENSORS(nomic_tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = encoder_params,
    .forward = encode,
    .about = "nomic-embed-text v1",
};

const struct arch arch_nomic_bert_moe = {
    .name = "nomic-bert-moe",
    TENSORS(nomic_moe_tensors),
    .norm = NORM_LAYER,
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = nomic_moe_params,
    .layer = nomic_moe_layer,
    .forward = encode,
    .about = "nomic-embed-text v2",
};

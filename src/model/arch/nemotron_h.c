/* nemotron_h.c - Nemotron-H and Nemotron 3: Mamba 2, attention and feed-forwards mixed.
 *
 * A layer is one of them, x += part(rms(x)), as two arrays of the file say: without key/value
 * heads and without a width it is Mamba 2, without a width it is attention, else a feed-forward
 * of max(up x, 0)^2 with no gate. Attention knows no positions. Nemotron 3 has experts in all
 * feed-forwards, which may read and give a narrower latent; its router and the shared expert
 * read the whole.
 *
 * Source  NVIDIA 2025, arXiv:2504.03624; Nemotron 3: arXiv:2512.20856
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

#include <string.h>

enum { HAS_LATENT = HAS_OWN };

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    LAYER(ATTN_NORM, "attn_norm.weight", VEC, 0, DIM_EMBD),
    TENSORS_SSM(0, 0),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    TENSORS_ATTN_OUTPUT_BIAS(MAY),
    LAYER(FFN_UP, "ffn_up.weight", 0, HAS_FFN, DIM_EMBD, DIM_FF),
    LAYER(FFN_DOWN, "ffn_down.weight", 0, HAS_FFN, DIM_FF, DIM_EMBD),
    TENSORS_FFN_BIAS(MAY),
    LAYER(FFN_GATE_INP, "ffn_gate_inp.weight", 0, HAS_MOE, DIM_EMBD, DIM_EXPERT),
    TENSORS_MOE_BIAS(MAY),
    LAYER(FFN_UP_EXPS, "ffn_up_exps.weight", 0, HAS_MOE, DIM_MOE_IN, DIM_FF_EXPERT, DIM_EXPERT),
    LAYER(FFN_DOWN_EXPS, "ffn_down_exps.weight", 0, HAS_MOE, DIM_FF_EXPERT, DIM_MOE_IN,
          DIM_EXPERT),
    LAYER(FFN_LATENT_DOWN, "ffn_latent_in.weight", MAY, HAS_LATENT, DIM_EMBD, DIM_MOE_IN),
    LAYER(FFN_LATENT_UP, "ffn_latent_out.weight", MAY, HAS_LATENT, DIM_MOE_IN, DIM_EMBD),
    LAYER(FFN_LATENT_DOWN, "ffn_latent_down.weight", 0, HAS_LATENT, DIM_EMBD, DIM_MOE_IN),
    LAYER(FFN_LATENT_UP, "ffn_latent_up.weight", 0, HAS_LATENT, DIM_MOE_IN, DIM_EMBD),
    LAYER(FFN_UP_SHEXP, "ffn_up_shexp.weight", 0, HAS_SHARED, DIM_EMBD, DIM_FF_SHARED),
    LAYER(FFN_DOWN_SHEXP, "ffn_down_shexp.weight", 0, HAS_SHARED, DIM_FF_SHARED, DIM_EMBD),
};

/* The latent's width: a key, or what the tensors have. */
static int latent_width(const struct params *p, struct params_reader *r)
{
    static const char *const name[] = {"ffn_latent_down.weight", "ffn_latent_in.weight"};
    int n = params_int(r, "moe_latent_size", 0, PARAMS_WIDTH_MAX, 0);

    for (int i = 0; i < 2 * p->n_layer && n == 0; i++) {
        const struct gguf_tensor *t = params_tensor(r, i / 2, name[i % 2]);

        if (t && t->ne[1] <= PARAMS_WIDTH_MAX)
            n = (int)t->ne[1];
    }
    return n;
}

static int nemotron_params(struct params *p, struct params_reader *r)
{
    int n_shared;

    params_ssm(r, p);
    params_moe(r, p, &(struct moe_params){.score = MOE_SIGMOID});
    if (r->rc < 0 || p->moe.n == 0)
        return r->rc;
    p->moe.n_in = latent_width(p, r);
    n_shared = params_int(r, "expert_shared_count", 0, PARAMS_EXPERTS_MAX, 0);
    p->moe.n_ff_shared = params_int(r, "expert_shared_feed_forward_length", 0, PARAMS_WIDTH_MAX,
                                    (int64_t)p->moe.n_ff * n_shared);
    return r->rc;
}

static int nemotron_layer(const struct params *p, struct params_reader *r, int i,
                          struct layer *l)
{
    (void)i;
    l->rope = -1;
    if (l->n_ff > 0 && p->moe.n)
        l->has =
            HAS_MOE | (p->moe.n_ff_shared ? HAS_SHARED : 0) | (p->moe.n_in ? HAS_LATENT : 0);
    else if (l->n_ff > 0)
        l->has = HAS_FFN;
    else
        l->has = l->n_head_kv > 0 ? HAS_ATTN | HAS_KV : HAS_SSM;
    return r->rc;
}

static struct cache_need nemotron_cache(const struct params *p, const struct layer *l)
{
    return (struct cache_need){.state = l->has & HAS_SSM ? blk_ssm_bytes(p) : 0};
}

/* x += up(experts(down a)); the shared expert has its place beside the latent. */
static void latent_moe(struct step *s, const struct layer *l, const struct kern_acts *a,
                       float *x)
{
    size_t n_tok = (size_t)s->n_tok, n = (size_t)s->m->p.moe.n_in;
    float *in = step_floats(s, n_tok * n), *out = step_floats(s, n_tok * n);
    struct moe_kind kind = {.act = KERN_ACT_RELU2, .no_shared = 1, .in = in};
    struct ffn shared = {
        .act = KERN_ACT_RELU2, .up = l->t[T_FFN_UP_SHEXP], .down = l->t[T_FFN_DOWN_SHEXP]};
    struct kern_acts b;

    blk_linear(s, l->t[T_FFN_LATENT_DOWN], NULL, a, in, KERN_STORE);
    if (!s->dry)
        memset(out, 0, n_tok * n * sizeof(*out));
    blk_moe(s, l, a, &kind, out);
    b = blk_acts(s, out, n_tok, n, l->t[T_FFN_LATENT_UP]);
    blk_linear(s, l->t[T_FFN_LATENT_UP], NULL, &b, x, KERN_ADD);
    if (shared.up)
        blk_ffn(s, &shared, a, x, KERN_ADD);
}

static void feed_forward(struct step *s, const struct layer *l, float *x)
{
    const struct weight *readers[] = {l->t[T_FFN_UP], l->t[T_FFN_GATE_INP],
                                      l->t[T_FFN_LATENT_DOWN], l->t[T_FFN_UP_SHEXP]};
    size_t mark = step_mark(s);
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], NULL, readers, 4);
    struct ffn f = blk_ffn_of(l, KERN_ACT_RELU2);

    if (l->has & HAS_LATENT)
        latent_moe(s, l, &a, x);
    else if (l->has & HAS_MOE)
        blk_moe(s, l, &a, &(struct moe_kind){.act = KERN_ACT_RELU2}, x);
    else
        blk_ffn(s, &f, &a, x, KERN_ADD);
    step_release(s, mark);
}

static void nemotron_forward(struct step *s)
{
    float *x = blk_embed(s);

    for (int i = 0; i < s->m->p.n_layer; i++) {
        const struct layer *l = &s->m->layer[i];

        if (l->has & HAS_SSM)
            blk_ssm_plain(s, i, x);
        else if (l->has & HAS_ATTN)
            blk_attn_gqa(s, i, x);
        else
            feed_forward(s, l, x);
    }
    blk_output(s, x);
}

#define NEMOTRON(of, what)                                                                     \
    const struct arch arch_##of = {                                                            \
        .name = #of,                                                                           \
        TENSORS(tensors),                                                                      \
        .read_params = nemotron_params,                                                        \
        .layer = nemotron_layer,                                                               \
        .cache = nemotron_cache,                                                               \
        .forward = nemotron_forward,                                                           \
        .about = what,                                                                         \
    }

NEMOTRON(nemotron_h, "Nemotron-H, Nemotron Nano 2");
NEMOTRON(nemotron_h_moe, "Nemotron 3");
NEMOTRON(nemotron_h_omni, "Ollama's name for Nemotron with other inputs");

/* granitehybrid.c - Granite 4.0 H, Bamba: Mamba 2 or attention, then a feed-forward or experts.
 *
 * Layers without key/value heads are Mamba 2. What each part adds is multiplied by a number of
 * the model, as are embeddings; logits are divided by one. Attention rotates unless the
 * file says that it was not trained so.
 *
 * Source  IBM 2025, Granite 4.0; Mamba 2: arXiv:2405.21060
 */
#include "model/block/block.h"
#include "model/arch/arch.h"
#include "model/arch/tensors.h"

#include <string.h>

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    TENSORS_ROPE_FREQS,
    TENSORS_PRE_NORMS,
    TENSORS_SSM(MAY, 0),
    TENSORS_ATTN,
    TENSORS_ATTN_QKV_BIAS(MAY),
    TENSORS_ATTN_OUTPUT_BIAS(MAY),
    TENSORS_FFN_GATED,
    LAYER(FFN_GATE_BIAS, "ffn_gate.bias", VEC | MAY, HAS_FFN, DIM_FF),
    TENSORS_FFN_BIAS(MAY),
    TENSORS_MOE,
    TENSORS_SHARED,
};

static int granite_params(struct params *p, struct params_reader *r)
{
    params_ssm(r, p);
    params_moe(r, p, &(struct moe_params){.norm = 1});
    p->moe.n_ff_shared =
        params_int(r, "expert_shared_feed_forward_length", 0, PARAMS_WIDTH_MAX, 0);
    p->logit_scale = 1 / p->logit_scale;
    return r->rc;
}

static int granite_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    (void)p;
    (void)i;
    if (l->n_head_kv == 0)
        l->has = (l->has & ~(HAS_ATTN | HAS_KV)) | HAS_SSM;
    if (!params_flag(r, "rope.scaling.finetuned", 1))
        l->rope = -1;
    return r->rc;
}

static struct cache_need granite_cache(const struct params *p, const struct layer *l)
{
    return (struct cache_need){.state = l->has & HAS_SSM ? blk_ssm_bytes(p) : 0};
}

struct scaled_sum {
    float *x;
    const float *y;
    size_t n;
    float scale;
};

static void add_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct scaled_sum *j = ctx;

    (void)worker;
    for (size_t i = lo * j->n; i < hi * j->n; i++)
        j->x[i] += j->scale * j->y[i];
}

/* x += residual_scale y */
static void add_part(struct step *s, float *x, const float *y)
{
    struct scaled_sum j = {x, y, (size_t)s->m->p.n_embd, s->m->p.residual_scale};

    if (!step_stopped(s))
        pool_run(s->pool, (size_t)s->n_tok, 16, add_rows, &j);
}

static void mixer(struct step *s, int i, const float *x, float *y)
{
    size_t mark = step_mark(s);
    struct kern_acts a;

    if (s->m->layer[i].has & HAS_SSM) {
        a = blk_ssm_norm(s, i, x);
        blk_ssm(s, i, &a, y, KERN_STORE);
    } else {
        a = blk_attn_norm(s, i, x);
        blk_attn(s, i, &a, NULL, y, KERN_STORE);
    }
    step_release(s, mark);
}

static void feed_forward(struct step *s, const struct layer *l, const float *x, float *y)
{
    size_t mark = step_mark(s);
    struct ffn f = blk_ffn_of(l, KERN_ACT_SILU);
    struct kern_acts a;

    if (l->has & HAS_MOE) {
        a = blk_moe_norm(s, l, x, l->t[T_FFN_NORM]);
        if (!s->dry)
            memset(y, 0, (size_t)s->n_tok * (size_t)s->m->p.n_embd * sizeof(*y));
        blk_moe(s, l, &a, NULL, y);
    } else {
        a = blk_ffn_norm(s, l, x);
        blk_ffn(s, &f, &a, y, KERN_STORE);
    }
    step_release(s, mark);
}

static void granite_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s), *y = step_floats(s, (size_t)s->n_tok * (size_t)m->p.n_embd);

    if (m->p.n_head)
        blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    for (int i = 0; i < m->p.n_layer; i++) {
        mixer(s, i, x, y);
        add_part(s, x, y);
        feed_forward(s, &m->layer[i], x, y);
        add_part(s, x, y);
    }
    blk_output(s, x);
}

const struct arch arch_granitehybrid = {
    .name = "granitehybrid",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NORM,
    .read_params = granite_params,
    .layer = granite_layer,
    .cache = granite_cache,
    .forward = granite_forward,
    .about = "Granite 4.0 H, Bamba",
};

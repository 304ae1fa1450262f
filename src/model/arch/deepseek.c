/* deepseek.c - what the families of DeepSeek V2 and later share. */
#include "model/arch/deepseek.h"

#include "model/block/block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int deepseek_has_tensor(const struct params_reader *r, int i, const char *name)
{
    char full[128];

    (void)snprintf(full, sizeof(full), "blk.%d.%s", i, name);
    return gguf_tensor(r->g, full) != NULL;
}

void deepseek_shared(struct params *p, struct params_reader *r)
{
    int n = params_int(r, "expert_shared_count", 0, PARAMS_EXPERTS_MAX, 0);

    p->moe.n_ff_shared = n ? params_int(r, "expert_shared_feed_forward_length", 1,
                                        PARAMS_WIDTH_MAX, (int64_t)p->moe.n_ff * n)
                           : 0;
}

/* What scores are multiplied by on top of the root of the head size, squared. Files have a
 * tenth of the multiplier of the logarithm (mscale_all_dim); cos and sin are multiplied by what
 * is left of the other one (mscale), which is the same in all models of the first name. */
static double yarn(struct params *p, struct params_reader *r)
{
    struct rope_params *o = &p->rope[ROPE_MAIN];
    double ln = log(1 / o->scale), all = (double)(float)(o->log_mul * 10), attn;
    double one = str_is((struct str){r->arch, strlen(r->arch)}, "deepseek2") ? all : 1;

    if (o->scaling != ROPE_YARN || o->scale >= 1)
        return 1;
    attn = params_f64(r, "rope.scaling.attn_factor", 0, 1e6, 1);
    attn *= all > 0 ? (0.1 * one * ln + 1) / (0.1 * all * ln + 1) : 0.1 * ln + 1;
    o->attn = attn / (1 + 0.1 * ln); /* which rope_angles multiplies by */
    return all > 0 ? attn * (1 + 0.1 * all * ln) : 1;
}

static void read_mla(struct params *p, struct params_reader *r)
{
    struct mla_params *m = &p->mla;
    double scale;

    params_mla(r, p);
    p->temp_scale = params_f64(r, "attention.temperature_scale", 0, 1e6, 0);
    if (p->temp_scale > 0)
        p->temp_length = params_int(r, "attention.temperature_length", 1, PARAMS_CTX_MAX, 0);
    scale = yarn(p, r);
    if (r->rc < 0)
        return;
    if (m->kv_rank + p->rope[ROPE_MAIN].n_rot > PARAMS_HEAD_DIM_MAX)
        r->rc = err_set(r->e, E_FORMAT,
                        "key %s.attention.kv_lora_rank: %d, and %d numbers rotate; expected at "
                        "most %d together",
                        r->arch, m->kv_rank, p->rope[ROPE_MAIN].n_rot, PARAMS_HEAD_DIM_MAX);
    else if (p->rope[ROPE_MAIN].n_rot < 2)
        r->rc = err_set(r->e, E_FORMAT, "key %s.rope.dimension_count: missing", r->arch);
    else if (m->q_rank == 0 && deepseek_has_tensor(r, 0, "attn_q_a.weight"))
        r->rc = err_set(r->e, E_FORMAT, "key %s.attention.q_lora_rank: missing", r->arch);
    p->kq_scale = (float)(scale * scale / sqrt((double)m->d_k));
}

int deepseek_params(struct params *p, struct params_reader *r, int score)
{
    read_mla(p, r);
    params_moe(r, p, &(struct moe_params){.score = score});
    if (p->moe.n)
        deepseek_shared(p, r);
    /* DeepSeek V2 takes the best expert of a group for it; later ones the two best. */
    p->moe.group_max = p->moe.score == MOE_SOFTMAX;
    return r->rc;
}

/* K and V in one matrix are read row by row. */
static int check_joined(struct params_reader *r, int i)
{
    char name[64];
    const struct gguf_tensor *t;

    (void)snprintf(name, sizeof(name), "blk.%d.attn_kv_b.weight", i);
    t = gguf_tensor(r->g, name);
    if (t && t->type < QUANT_TYPE_MAX && quant_find(t->type))
        return 0;
    return err_set(r->e, t ? E_UNSUPPORTED : E_FORMAT, "tensor %s: %s%s", name,
                   t ? "not computed from type " : "missing",
                   t ? gguf_tensor_type_name(t->type) : "");
}

int deepseek_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    if (i >= p->n_layer && !deepseek_has_tensor(r, i, "nextn.eh_proj.weight")) {
        l->has = 0; /* left out when the file was made */
        return 0;
    }
    l->has |= HAS_MLA;
    l->has |= deepseek_has_tensor(r, i, "attn_q.weight") ? HAS_Q_WHOLE : HAS_Q_SPLIT;
    l->n_head_kv = 1;
    l->d_k = p->mla.kv_rank + p->rope[ROPE_MAIN].n_rot;
    l->d_v = p->mla.kv_rank;
    if (!deepseek_has_tensor(r, i, "attn_kv_b.weight") ||
        deepseek_has_tensor(r, i, "attn_k_b.weight")) {
        l->has |= HAS_KV_SPLIT;
        return 0;
    }
    l->has |= HAS_KV_JOINED;
    return check_joined(r, i);
}

uint64_t deepseek_dim(const struct params *p, const struct layer *l, int dim)
{
    const struct mla_params *m = &p->mla;

    switch (dim) {
    case DIM_INDEX_HEADS:
        return (uint64_t)p->index.n_head;
    case DIM_INDEX_Q:
        return (uint64_t)p->index.n_head * (uint64_t)p->index.d;
    case DIM_INDEX:
        return (uint64_t)p->index.d;
    default: /* DIM_KV_JOINED */
        return (uint64_t)(m->d_k - p->rope[ROPE_MAIN].n_rot + m->d_v) * (uint64_t)l->n_head;
    }
}

void deepseek_ffn(struct step *s, const struct layer *l, float *x)
{
    if (l->has & HAS_MOE)
        blk_ffn_moe(s, l, x);
    else
        blk_ffn_gated(s, l, x);
}

void deepseek_nextn(struct step *s)
{
    int i = s->m->p.n_layer;
    float *u = blk_nextn_in(s, s->nextn_h);
    struct mla o = {.q_factor = blk_q_factor(s)};

    blk_rope_angles(s, ROPE_MAIN, NULL);
    blk_mla(s, i, &o, u);
    deepseek_ffn(s, &s->m->layer[i], u);
    blk_nextn_out(s, u);
}

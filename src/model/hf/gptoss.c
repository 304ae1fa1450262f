/* GPT-OSS. Its experts come as MXFP4, or as BF16 with matrices of [in, out]; gate and up
 * alternate, row by row. */
#include "model/hf/hf_priv.h"

#include <stdio.h>

/* Blocks of 16 bytes, [E, rows, blocks, 16], and beside them the scales, [E, rows, blocks].
 * Rows first, first + step, ... */
static int emit_mxfp4(struct hf *h, const struct hf_match *m, uint64_t first, uint64_t step)
{
    struct hf_match each = *m;
    uint64_t n_block = hf_dim(m->t, 1), rows = hf_dim(m->t, 2), n = hf_dim(m->t, 3);
    char name[600];

    (void)snprintf(name, sizeof(name), "%.*s_scales", (int)(m->t->name.n - strlen("_blocks")),
                   m->t->name.p);
    each.scale = st_tensor(h->st, str_of(name));
    if (!each.scale || hf_dim(m->t, 0) != 16 || m->t->n_dim != 4)
        return hf_misfit(h, m);
    for (uint64_t e = 0; h->rc == 0 && e < n; e++) {
        struct hf_seg s = hf_walk(&each, (e * rows + first) * n_block, 2,
                                  (uint64_t[]){rows / step, step * n_block, n_block, 1});

        each.index = (int)e;
        (void)hf_emit(h, &each, m->name, 2, (uint64_t[]){n_block * 32, rows / step}, HF_MXFP4,
                      &s, 1);
    }
    return h->rc;
}

static int gate_blocks(struct hf *h, const struct hf_match *m)
{
    return emit_mxfp4(h, m, 0, 2);
}

static int up_blocks(struct hf *h, const struct hf_match *m)
{
    return emit_mxfp4(h, m, 1, 2);
}

static int down_blocks(struct hf *h, const struct hf_match *m)
{
    return emit_mxfp4(h, m, 0, 1);
}

/* Every other one of the last dimension: [E, in, 2F] to F rows of in for each expert. */
static int emit_other(struct hf *h, const struct hf_match *m, uint64_t first)
{
    uint64_t wide = hf_dim(m->t, 0), in = hf_dim(m->t, 1), n = hf_dim(m->t, 2);
    struct hf_match each = *m;

    for (uint64_t e = 0; h->rc == 0 && e < n; e++) {
        struct hf_seg s =
            hf_walk(m, e * in * wide + first, 2, (uint64_t[]){wide / 2, 2, in, wide});

        each.index = (int)e;
        (void)hf_emit(h, &each, m->name, 2, (uint64_t[]){in, wide / 2}, HF_COPY, &s, 1);
    }
    return h->rc;
}

static int gate_rows(struct hf *h, const struct hf_match *m)
{
    return emit_other(h, m, 0);
}

static int up_rows(struct hf *h, const struct hf_match *m)
{
    return emit_other(h, m, 1);
}

static int emit_bias(struct hf *h, const struct hf_match *m, uint64_t first)
{
    uint64_t wide = hf_dim(m->t, 0), n = hf_dim(m->t, 1);
    struct hf_seg s = hf_walk(m, first, 2, (uint64_t[]){n, wide, wide / 2, 2});

    return hf_emit(h, m, m->name, 2, (uint64_t[]){wide / 2, n}, HF_COPY, &s, 1);
}

static int gate_bias(struct hf *h, const struct hf_match *m)
{
    return emit_bias(h, m, 0);
}

static int up_bias(struct hf *h, const struct hf_match *m)
{
    return emit_bias(h, m, 1);
}

/* clang-format off */
static const struct hf_row rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL),
    {"layers.%.input_layernorm.weight",           "blk.%.attn_norm.weight",           NULL},
    {"layers.%.post_attention_layernorm.weight",  "blk.%.post_attention_norm.weight", NULL},
    {"layers.%.self_attn.sinks",                  "blk.%.attn_sinks.weight",          NULL},
    {"layers.%.mlp.router.*",                     "blk.%.ffn_gate_inp.*",             NULL},
    {"layers.%.mlp.experts.gate_up_proj_blocks",  "blk.%.ffn_gate_exps.weight",       gate_blocks},
    {"layers.%.mlp.experts.gate_up_proj_blocks",  "blk.%.ffn_up_exps.weight",         up_blocks},
    {"layers.%.mlp.experts.gate_up_proj_scales",  NULL,                               NULL},
    {"layers.%.mlp.experts.gate_up_proj",         "blk.%.ffn_gate_exps.weight",       gate_rows},
    {"layers.%.mlp.experts.gate_up_proj",         "blk.%.ffn_up_exps.weight",         up_rows},
    {"layers.%.mlp.experts.gate_up_proj_bias",    "blk.%.ffn_gate_exps.bias",         gate_bias},
    {"layers.%.mlp.experts.gate_up_proj_bias",    "blk.%.ffn_up_exps.bias",           up_bias},
    {"layers.%.mlp.experts.down_proj_blocks",     "blk.%.ffn_down_exps.weight",       down_blocks},
    {"layers.%.mlp.experts.down_proj_scales",     NULL,                               NULL},
    {"layers.%.mlp.experts.down_proj",            "blk.%.ffn_down_exps.weight",       hf_each_t},
    {"layers.%.mlp.experts.down_proj_bias",       "blk.%.ffn_down_exps.bias",         NULL},
};

static const struct hf_key keys[] = {
    {"attention.sliding_window",   HF_U32, 0, "sliding_window"},
    {"expert_feed_forward_length", HF_U32, 1, "intermediate_size"},
    {"expert_count",               HF_U32, 1, "num_local_experts"},
    {"expert_used_count",          HF_U32, 1, "num_experts_per_tok|experts_per_token"},
};
/* clang-format on */

const struct hf_family hf_gptoss[] = {
    {
        .arch = "gpt-oss",
        .classes = "GptOssForCausalLM",
        .types = "gpt_oss",
        HF_TABLES(keys, rows),
        .more = hf_put_heads,
    },
    {0},
};

/* DeepSeek V2 to V4, and what has its attention: Kimi K2 and Kimi Linear, GLM 4.7 Flash, GLM 5.
 */
#include "model/hf/hf_priv.h"

#include <stdio.h>

/* clang-format off */
#define ROWS_MLA                                                                               \
    {"layers.%.self_attn.q_proj.*",                     "blk.%.attn_q.*",               NULL}, \
    {"layers.%.self_attn.q_a_proj.weight",              "blk.%.attn_q_a.weight",        NULL}, \
    {"layers.%.self_attn.q_a_layernorm.weight",         "blk.%.attn_q_a_norm.weight",   NULL}, \
    {"layers.%.self_attn.q_b_proj.weight",              "blk.%.attn_q_b.weight",        NULL}, \
    {"layers.%.self_attn.kv_a_proj_with_mqa.weight",    "blk.%.attn_kv_a_mqa.weight",   NULL}, \
    {"layers.%.self_attn.kv_a_layernorm.weight",        "blk.%.attn_kv_a_norm.weight",  NULL}, \
    {"layers.%.self_attn.kv_b_proj.weight",             "blk.%.attn_k_b.weight",        hf_kv_b_keys}, \
    {"layers.%.self_attn.kv_b_proj.weight",             "blk.%.attn_v_b.weight",        hf_kv_b_values}, \
    {"layers.%.self_attn.o_proj.weight",                "blk.%.attn_output.weight",     NULL}

static const struct hf_row deepseek_rows[] = {
    HF_ROWS_MODEL, ROWS_MLA, HF_ROWS_NORMS, HF_ROWS_FFN, HF_ROWS_EXPERTS,
    HF_ROWS_SHARED("shared_experts"),
    {"layers.%.mlp.gate.e_score_correction_bias",       "blk.%.exp_probs_b.bias",         NULL},
    {"layers.%.self_attn.indexer.wq_b.weight",          "blk.%.indexer.attn_q_b.weight",  NULL},
    {"layers.%.self_attn.indexer.wk.weight",            "blk.%.indexer.attn_k.weight",    NULL},
    {"layers.%.self_attn.indexer.k_norm.*",             "blk.%.indexer.k_norm.*",         NULL},
    {"layers.%.self_attn.indexer.weights_proj.weight",  "blk.%.indexer.proj.weight",      NULL},
    HF_ROWS_AHEAD(NULL),
};

#define ROWS_KDA_CONV(part)                                                                    \
    {"layers.%.self_attn." part "_conv1d.weight", "blk.%.ssm_conv1d_" part ".weight", take_conv}

static int take_conv(struct hf *h, const struct hf_match *m)
{
    struct hf_seg all = hf_whole(m);

    return hf_emit(h, m, m->name, 3, (uint64_t[]){hf_dim(m->t, 0), 1, hf_dim(m->t, m->t->n_dim - 1)},
                   HF_COPY, &all, 1);
}

static const struct hf_row kimi_rows[] = {
    HF_ROWS_MODEL, ROWS_MLA, HF_ROWS_NORMS, HF_ROWS_FFN,
    {"layers.%.self_attn.k_proj.*",                     "blk.%.attn_k.*",              NULL},
    {"layers.%.self_attn.v_proj.*",                     "blk.%.attn_v.*",              NULL},
    ROWS_KDA_CONV("q"), ROWS_KDA_CONV("k"), ROWS_KDA_CONV("v"),
    {"layers.%.self_attn.A_log",                        "blk.%.ssm_a",                 hf_neg_exp_column},
    {"layers.%.self_attn.dt_bias",                      "blk.%.ssm_dt.bias",           NULL},
    {"layers.%.self_attn.f_a_proj.weight",              "blk.%.ssm_f_a.weight",        NULL},
    {"layers.%.self_attn.f_b_proj.weight",              "blk.%.ssm_f_b.weight",        NULL},
    {"layers.%.self_attn.b_proj.weight",                "blk.%.ssm_beta.weight",       NULL},
    {"layers.%.self_attn.g_a_proj.weight",              "blk.%.ssm_g_a.weight",        NULL},
    {"layers.%.self_attn.g_b_proj.weight",              "blk.%.ssm_g_b.weight",        NULL},
    {"layers.%.self_attn.o_norm.weight",                "blk.%.ssm_norm.weight",       NULL},
    {"layers.%.block_sparse_moe.gate.weight",           "blk.%.ffn_gate_inp.weight",   NULL},
    {"layers.%.block_sparse_moe.gate.e_score_correction_bias", "blk.%.exp_probs_b.bias", NULL},
    {"layers.%.block_sparse_moe.experts.$.w1.weight",   "blk.%.ffn_gate_exps.weight",  NULL},
    {"layers.%.block_sparse_moe.experts.$.w3.weight",   "blk.%.ffn_up_exps.weight",    NULL},
    {"layers.%.block_sparse_moe.experts.$.w2.weight",   "blk.%.ffn_down_exps.weight",  NULL},
    {"layers.%.block_sparse_moe.shared_experts.gate_proj.weight", "blk.%.ffn_gate_shexp.weight", NULL},
    {"layers.%.block_sparse_moe.shared_experts.up_proj.weight",   "blk.%.ffn_up_shexp.weight",   NULL},
    {"layers.%.block_sparse_moe.shared_experts.down_proj.weight", "blk.%.ffn_down_shexp.weight", NULL},
};

/* V4 has names of its own. Some come without "layers."' attn and ffn in front: hyper-connections. */
static int take_groups(struct hf *h, const struct hf_match *m)
{
    struct hf_seg all = hf_whole(m);
    uint64_t g = hf_size(h, "o_groups"), in = hf_dim(m->t, 0);

    return hf_emit(h, m, m->name, 3, (uint64_t[]){in, hf_dim(m->t, 1) / g, g}, HF_COPY, &all, 1);
}

/* V4's experts may be MXFP4: [out, in / 2] bytes and [out, in / 32] scales. */
static int take_expert(struct hf *h, const struct hf_match *m)
{
    struct hf_match packed = *m;
    uint64_t in = hf_dim(m->t, 0) * 2, out = hf_dim(m->t, 1);
    struct hf_seg s = hf_whole(m);
    char name[600];

    if (m->t->dtype != ST_I8 && m->t->dtype != ST_U8)
        return hf_emit(h, m, m->name, 2, (uint64_t[]){in / 2, out}, HF_COPY, &s, 1);
    (void)snprintf(name, sizeof(name), "%.*sscale", (int)(m->t->name.n - strlen("weight")),
                   m->t->name.p);
    packed.scale = st_tensor(h->st, str_of(name));
    s = hf_walk(&packed, 0, 1, (uint64_t[]){m->t->n_elem / 16, 1});
    if (!packed.scale || in % 32)
        return hf_misfit(h, m);
    return hf_emit(h, &packed, m->name, 2, (uint64_t[]){in, out}, HF_MXFP4, &s, 1);
}

static const struct hf_row v4_rows[] = {
    {"embed.weight",                            "token_embd.weight",                     NULL},
    {"norm.weight",                             "output_norm.weight",                    NULL},
    {"head.weight",                             "output.weight",                         NULL},
    {"hc_head_fn",                              "output_hc_fn.weight",                   NULL},
    {"hc_head_base",                            "output_hc_base.weight",                 NULL},
    {"hc_head_scale",                           "output_hc_scale.weight",                NULL},
    {"layers.%.hc_attn_fn",                     "blk.%.hc_attn_fn.weight",               NULL},
    {"layers.%.hc_attn_base",                   "blk.%.hc_attn_base.weight",             NULL},
    {"layers.%.hc_attn_scale",                  "blk.%.hc_attn_scale.weight",            NULL},
    {"layers.%.hc_ffn_fn",                      "blk.%.hc_ffn_fn.weight",                NULL},
    {"layers.%.hc_ffn_base",                    "blk.%.hc_ffn_base.weight",              NULL},
    {"layers.%.hc_ffn_scale",                   "blk.%.hc_ffn_scale.weight",             NULL},
    {"layers.%.attn_norm.weight",               "blk.%.attn_norm.weight",                NULL},
    {"layers.%.ffn_norm.weight",                "blk.%.ffn_norm.weight",                 NULL},
    {"layers.%.attn.attn_sink",                 "blk.%.attn_sinks.weight",               NULL},
    {"layers.%.attn.wq_a.weight",               "blk.%.attn_q_a.weight",                 NULL},
    {"layers.%.attn.q_norm.weight",             "blk.%.attn_q_a_norm.weight",            NULL},
    {"layers.%.attn.wq_b.weight",               "blk.%.attn_q_b.weight",                 NULL},
    {"layers.%.attn.wkv.weight",                "blk.%.attn_kv.weight",                  NULL},
    {"layers.%.attn.kv_norm.weight",            "blk.%.attn_kv_a_norm.weight",           NULL},
    {"layers.%.attn.wo_a.weight",               "blk.%.attn_output_a.weight",            take_groups},
    {"layers.%.attn.wo_b.weight",               "blk.%.attn_output_b.weight",            NULL},
    {"layers.%.attn.compressor.wkv.weight",     "blk.%.attn_compressor_kv.weight",       NULL},
    {"layers.%.attn.compressor.wgate.weight",   "blk.%.attn_compressor_gate.weight",     NULL},
    {"layers.%.attn.compressor.ape",            "blk.%.attn_compressor_ape.weight",      NULL},
    {"layers.%.attn.compressor.norm.weight",    "blk.%.attn_compressor_norm.weight",     NULL},
    {"layers.%.attn.indexer.wq_b.weight",       "blk.%.indexer.attn_q_b.weight",         NULL},
    {"layers.%.attn.indexer.weights_proj.weight", "blk.%.indexer.proj.weight",           NULL},
    {"layers.%.attn.indexer.compressor.wkv.weight", "blk.%.indexer_compressor_kv.weight", NULL},
    {"layers.%.attn.indexer.compressor.wgate.weight", "blk.%.indexer_compressor_gate.weight", NULL},
    {"layers.%.attn.indexer.compressor.ape",    "blk.%.indexer_compressor_ape.weight",   NULL},
    {"layers.%.attn.indexer.compressor.norm.weight", "blk.%.indexer_compressor_norm.weight", NULL},
    {"layers.%.ffn.gate.weight",                "blk.%.ffn_gate_inp.weight",             NULL},
    {"layers.%.ffn.gate.bias",                  "blk.%.exp_probs_b.bias",                NULL},
    {"layers.%.ffn.gate.tid2eid",               "blk.%.ffn_gate_tid2eid.weight",         NULL},
    {"layers.%.ffn.experts.$.w1.weight",        "blk.%.ffn_gate_exps.weight",            take_expert},
    {"layers.%.ffn.experts.$.w3.weight",        "blk.%.ffn_up_exps.weight",              take_expert},
    {"layers.%.ffn.experts.$.w2.weight",        "blk.%.ffn_down_exps.weight",            take_expert},
    {"layers.%.ffn.shared_experts.w1.weight",   "blk.%.ffn_gate_shexp.weight",           NULL},
    {"layers.%.ffn.shared_experts.w3.weight",   "blk.%.ffn_up_shexp.weight",             NULL},
    {"layers.%.ffn.shared_experts.w2.weight",   "blk.%.ffn_down_shexp.weight",           NULL},
};

static const struct hf_key mla_keys[] = {
    {"attention.q_lora_rank",  HF_U32, 0, "q_lora_rank"},
    {"attention.kv_lora_rank", HF_U32, 1, "kv_lora_rank"},
    {"attention.value_length_mla", HF_U32, 1, "v_head_dim"},
};

static const struct hf_key indexer_keys[] = {
    {"attention.indexer.head_count", HF_U32, 1, "index_n_heads"},
    {"attention.indexer.key_length", HF_U32, 1, "index_head_dim"},
    {"attention.indexer.top_k",      HF_U32, 1, "index_topk"},
};

static const struct hf_key v4_keys[] = {
    {"attention.q_lora_rank",             HF_U32, 1, "q_lora_rank"},
    {"attention.output_group_count",      HF_U32, 1, "o_groups"},
    {"attention.output_lora_rank",        HF_U32, 1, "o_lora_rank"},
    {"attention.sliding_window",          HF_U32, 1, "sliding_window"},
    {"attention.compress_rope_freq_base", HF_F32, 0, "compress_rope_theta"},
    {"hyper_connection.count",            HF_U32, 1, "hc_mult"},
    {"hyper_connection.sinkhorn_iterations", HF_U32, 1, "hc_sinkhorn_iters"},
    {"hyper_connection.epsilon",          HF_F32, 1, "hc_eps"},
    {"hash_layer_count",                  HF_U32, 0, "num_hash_layers"},
};
/* clang-format on */

/* One head that all share: the compressed state, and the part that rotates. */
static void put_mla(struct hf *h)
{
    uint64_t turned = hf_size(h, "qk_rope_head_dim"), c = hf_size(h, "kv_lora_rank");

    hf_put_u32(h, "attention.head_count_kv", 1);
    hf_put_keys(h, mla_keys, HF_COUNT(mla_keys));
    hf_put_u32(h, "attention.key_length_mla", hf_size(h, "qk_nope_head_dim") + turned);
    hf_put_u32(h, "attention.key_length", c + turned);
    hf_put_u32(h, "attention.value_length", c);
    hf_put_rope(h, turned);
    if (hf_has(h, "rope_scaling.mscale_all_dim|rope_parameters.mscale_all_dim"))
        hf_put_f32(
            h, "rope.scaling.yarn_log_multiplier",
            0.1 * hf_num(h, "rope_scaling.mscale_all_dim|rope_parameters.mscale_all_dim", 0));
}

static void deepseek_more(struct hf *h)
{
    put_mla(h);
    hf_put_router(h);
}

static void dsa_more(struct hf *h)
{
    unsigned char *own;
    size_t n = (size_t)h->n_layer;

    deepseek_more(h);
    hf_put_keys(h, indexer_keys, HF_COUNT(indexer_keys));
    if (!hf_has(h, "indexer_types"))
        return;
    own = hf_alloc(h, n, 1);
    for (size_t i = 0; h->rc == 0 && i < n; i++)
        own[i] = strcmp(hf_text_at(h, "indexer_types", i), "full") == 0;
    hf_put_bools(h, "attention.indexer.types", own, n);
}

/* Layers of the two kinds are told apart by their key heads. */
static void kimi_more(struct hf *h)
{
    const json_t *full = hf_get(h, "linear_attn_config.full_attn_layers");
    size_t n = (size_t)h->n_layer;
    uint32_t *heads = hf_alloc(h, n, sizeof(*heads));
    uint64_t turned = hf_size(h, "qk_rope_head_dim"), c = hf_size(h, "kv_lora_rank");

    for (size_t i = 0; h->rc == 0 && i < json_array_size(full); i++) {
        json_int_t layer = json_integer_value(json_array_get(full, i)); /* counted from 1 */

        if (layer >= 1 && (size_t)layer <= n)
            heads[layer - 1] = 1;
    }
    hf_put_u32s(h, "attention.head_count_kv", heads, h->rc < 0 ? 0 : n);
    hf_put_keys(h, mla_keys, HF_COUNT(mla_keys));
    hf_put_u32(h, "attention.key_length_mla", hf_size(h, "qk_nope_head_dim") + turned);
    hf_put_u32(h, "attention.key_length", c + turned);
    hf_put_u32(h, "attention.value_length", c);
    hf_put_rope(h, turned);
    hf_put_u32(h, "ssm.conv_kernel", hf_size(h, "linear_attn_config.short_conv_kernel_size"));
    hf_put_u32(h, "kda.head_dim", hf_size(h, "linear_attn_config.head_dim"));
    hf_put_router(h);
}

static void v4_more(struct hf *h)
{
    const json_t *ratios = hf_get(h, "compress_ratios");
    size_t n = (size_t)h->n_layer;
    uint32_t *ratio = hf_alloc(h, n, sizeof(*ratio));
    float *limit = hf_alloc(h, n, sizeof(*limit));

    hf_put_u32(h, "attention.head_count_kv", 1);
    hf_put_u32(h, "attention.key_length", hf_size(h, "head_dim"));
    hf_put_u32(h, "attention.value_length", hf_size(h, "head_dim"));
    hf_put_rope(h, hf_size(h, "qk_rope_head_dim"));
    hf_put_keys(h, indexer_keys, HF_COUNT(indexer_keys));
    hf_put_router(h);
    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        ratio[i] = (uint32_t)json_integer_value(json_array_get(ratios, i));
        limit[i] = (float)hf_num(h, "swiglu_limit", 0);
    }
    hf_put_u32s(h, "attention.compress_ratios", ratio, h->rc < 0 ? 0 : n);
    if (hf_has(h, "swiglu_limit")) {
        hf_put_f32s(h, "swiglu_clamp_exp", limit, h->rc < 0 ? 0 : n);
        hf_put_f32s(h, "swiglu_clamp_shexp", limit, h->rc < 0 ? 0 : n);
    }
}

const struct hf_family hf_deepseek[] = {
    {
        .arch = "deepseek2",
        .classes =
            "DeepseekV3ForCausalLM|DeepseekV2ForCausalLM|KimiK25ForConditionalGeneration|"
            "Glm4MoeLiteForCausalLM",
        .types = "deepseek_v3|deepseek_v2|kimi_k2|glm4_moe_lite",
        .rows = deepseek_rows,
        .n_row = HF_COUNT(deepseek_rows),
        .more = deepseek_more,
        .ahead = 1,
    },
    {
        .arch = "deepseek32",
        .classes = "DeepseekV32ForCausalLM",
        .types = "deepseek_v32",
        .rows = deepseek_rows,
        .n_row = HF_COUNT(deepseek_rows),
        .more = dsa_more,
        .ahead = 1,
    },
    {
        .arch = "glm-dsa",
        .classes = "GlmMoeDsaForCausalLM",
        .types = "glm_moe_dsa",
        .rows = deepseek_rows,
        .n_row = HF_COUNT(deepseek_rows),
        .more = dsa_more,
        .ahead = 1,
        .defaults = "{\"scoring_func\": \"sigmoid\"}",
    },
    {
        .arch = "deepseek4",
        .classes = "DeepseekV4ForCausalLM",
        .types = "deepseek_v4",
        HF_TABLES(v4_keys, v4_rows),
        .more = v4_more,
        .defaults = "{\"scoring_func\": \"sqrtsoftplus\"}",
    },
    {
        .arch = "kimi-linear",
        .classes = "KimiLinearForCausalLM",
        .types = "kimi_linear",
        .rows = kimi_rows,
        .n_row = HF_COUNT(kimi_rows),
        .more = kimi_more,
    },
    {0},
};

/* Llama 1 to 4, Mistral, Mixtral, Ministral 3, SmolLM 3, and Granite 3 and 4 without states. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row llama_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(hf_rope_q, hf_rope_k), HF_ROWS_NORMS, HF_ROWS_FFN,
    HF_ROWS_EXPERTS_W,
};

static const struct hf_row granite_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(hf_rope_q, hf_rope_k), HF_ROWS_NORMS, HF_ROWS_FFN,
    {"layers.%.shared_mlp.input_linear.weight",        "blk.%.ffn_gate_shexp.weight", hf_half_0},
    {"layers.%.shared_mlp.input_linear.weight",        "blk.%.ffn_up_shexp.weight",   hf_half_1},
    {"layers.%.shared_mlp.output_linear.weight",       "blk.%.ffn_down_shexp.weight", NULL},
    {"layers.%.block_sparse_moe.router.layer.weight",  "blk.%.ffn_gate_inp.weight",   NULL},
    {"layers.%.block_sparse_moe.input_linear.weight",  "blk.%.ffn_gate_exps.weight",  hf_half_0},
    {"layers.%.block_sparse_moe.input_linear.weight",  "blk.%.ffn_up_exps.weight",    hf_half_1},
    {"layers.%.block_sparse_moe.output_linear.weight", "blk.%.ffn_down_exps.weight",  hf_each},
};

static const struct hf_key granite_keys[] = {
    {"embedding_scale", HF_F32, 0, "embedding_multiplier"},
    {"residual_scale",  HF_F32, 0, "residual_multiplier"},
    {"attention.scale", HF_F32, 0, "attention_multiplier"},
    {"logit_scale",     HF_F32, 0, "logits_scaling"},
    {"expert_shared_feed_forward_length", HF_U32, 0, "shared_intermediate_size"},
};

/* Its rows are in GGUF's order already, its experts' matrices are [in, out]. */
static const struct hf_row llama4_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_NORMS,
    {"layers.%.feed_forward.gate_proj.weight",       "blk.%.ffn_gate.weight",       NULL},
    {"layers.%.feed_forward.up_proj.weight",         "blk.%.ffn_up.weight",         NULL},
    {"layers.%.feed_forward.down_proj.weight",       "blk.%.ffn_down.weight",       NULL},
    {"layers.%.feed_forward.router.weight",          "blk.%.ffn_gate_inp.weight",   NULL},
    {"layers.%.feed_forward.experts.gate_up_proj",   "blk.%.ffn_gate_exps.weight",  hf_half_0_t},
    {"layers.%.feed_forward.experts.gate_up_proj",   "blk.%.ffn_up_exps.weight",    hf_half_1_t},
    {"layers.%.feed_forward.experts.down_proj",      "blk.%.ffn_down_exps.weight",  hf_each_t},
    {"layers.%.feed_forward.shared_expert.gate_proj.weight", "blk.%.ffn_gate_shexp.weight", NULL},
    {"layers.%.feed_forward.shared_expert.up_proj.weight",   "blk.%.ffn_up_shexp.weight",   NULL},
    {"layers.%.feed_forward.shared_expert.down_proj.weight", "blk.%.ffn_down_shexp.weight", NULL},
};

static const struct hf_key mistral3_keys[] = {
    {"attention.temperature_scale",      HF_F32, 0, "rope_parameters.llama_4_scaling_beta|rope_scaling.llama_4_scaling_beta"},
    {"rope.scaling.yarn_log_multiplier", HF_F32, 0, "rope_parameters.mscale_all_dim|rope_scaling.mscale_all_dim"},
};

static const struct hf_key llama4_keys[] = {
    {"feed_forward_length",         HF_U32, 1, "intermediate_size_mlp"},
    {"expert_feed_forward_length",  HF_U32, 1, "intermediate_size"},
    {"interleave_moe_layer_step",   HF_U32, 0, "interleave_moe_layer_step"},
    {"attention.sliding_window",    HF_U32, 0, "attention_chunk_size"},
    {"expert_count",                HF_U32, 1, "num_local_experts"},
    {"expert_used_count",           HF_U32, 1, "num_experts_per_tok"},
    {"context_length",              HF_U32, 1, "max_position_embeddings"},
    {"embedding_length",            HF_U32, 1, "hidden_size"},
    {"attention.head_count",        HF_U32, 1, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", HF_F32, 1, "rms_norm_eps"},
};
/* clang-format on */

static void llama_more(struct hf *h)
{
    hf_put_heads(h);
    if (hf_has(h, "num_local_experts"))
        hf_put_experts(h);
    if (hf_int(h, "sliding_window", 0) > 0)
        hf_add_note(h,
                    "sliding_window %lld is not kept: texts longer than that see further back",
                    (long long)hf_int(h, "sliding_window", 0));
}

/* GGUF has no key for the layers without positions: it is every fourth. */
static void smollm3_more(struct hf *h)
{
    const json_t *list = hf_get(h, "no_rope_layers");
    int64_t every = list ? 4 : hf_int(h, "no_rope_layer_interval", 4);

    for (int i = 0; list && i < h->n_layer; i++) {
        int turned = json_integer_value(json_array_get(list, (size_t)i)) != 0;

        if (turned != (i % 4 != 3))
            every = 0;
    }
    if (every != 4)
        hf_fail(h, E_UNSUPPORTED,
                "config.json: no_rope_layers: only models whose every fourth layer is without "
                "positions are supported");
    llama_more(h);
}

const struct hf_family hf_llama[] = {
    {
        .arch = "llama",
        .classes = "LlamaForCausalLM|MistralForCausalLM|MixtralForCausalLM|LlamaModel|"
                   "MistralModel",
        .types = "llama|mistral|mixtral",
        .rows = llama_rows,
        .n_row = HF_COUNT(llama_rows),
        .more = llama_more,
    },
    {
        .arch = "mistral3",
        .classes = "Mistral3ForConditionalGeneration|Ministral3ForCausalLM",
        .types = "mistral3|ministral3",
        HF_TABLES(mistral3_keys, llama_rows),
        .more = llama_more,
    },
    {
        .arch = "smollm3",
        .classes = "SmolLM3ForCausalLM",
        .types = "smollm3",
        .rows = llama_rows,
        .n_row = HF_COUNT(llama_rows),
        .more = smollm3_more,
    },
    {
        .arch = "granite",
        .classes = "GraniteForCausalLM",
        .types = "granite",
        HF_TABLES(granite_keys, granite_rows),
        .more = llama_more,
    },
    {
        .arch = "granitemoe",
        .classes = "GraniteMoeForCausalLM|GraniteMoeSharedForCausalLM",
        .types = "granitemoe|granitemoeshared",
        HF_TABLES(granite_keys, granite_rows),
        .more = llama_more,
    },
    {
        .arch = "llama4",
        .classes = "Llama4ForConditionalGeneration|Llama4ForCausalLM",
        .types = "llama4|llama4_text",
        HF_TABLES(llama4_keys, llama4_rows),
        .own_keys = 1,
        .more = hf_put_heads,
    },
    {0},
};

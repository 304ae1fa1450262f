/* Llama 1 to 3, Mistral, Mixtral, and Ministral 3. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row llama_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(hf_rope_q, hf_rope_k), HF_ROWS_NORMS, HF_ROWS_FFN,
    {"layers.%.block_sparse_moe.gate.weight",         "blk.%.ffn_gate_inp.weight",  NULL},
    {"layers.%.block_sparse_moe.experts.$.w1.weight", "blk.%.ffn_gate_exps.weight", NULL},
    {"layers.%.block_sparse_moe.experts.$.w3.weight", "blk.%.ffn_up_exps.weight",   NULL},
    {"layers.%.block_sparse_moe.experts.$.w2.weight", "blk.%.ffn_down_exps.weight", NULL},
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

static const struct hf_key mistral3_keys[] = {
    {"attention.temperature_scale", HF_F32, 0,
     "rope_parameters.llama_4_scaling_beta|rope_scaling.llama_4_scaling_beta"},
    {"rope.scaling.yarn_log_multiplier", HF_F32, 0,
     "rope_parameters.mscale_all_dim|rope_scaling.mscale_all_dim"},
};

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
    {0},
};

/* Qwen 1.5 to 3, the language models of Qwen2-VL to Qwen3-VL, and what is shaped like them. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row qwen_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(NULL), HF_ROWS_NORMS, HF_ROWS_FFN,
    HF_ROWS_EXPERTS, HF_ROWS_SHARED("shared_expert"),
    {"layers.%.mlp.shared_expert_gate.weight", "blk.%.ffn_gate_inp_shexp.weight", hf_squeeze},
    {"layers.%.mlp.experts.gate_up_proj",      "blk.%.ffn_gate_exps.weight",      hf_half_0_t},
    {"layers.%.mlp.experts.gate_up_proj",      "blk.%.ffn_up_exps.weight",        hf_half_1_t},
    {"layers.%.mlp.experts.down_proj",         "blk.%.ffn_down_exps.weight",      hf_each_t},
};
/* clang-format on */

static void qwen_more(struct hf *h)
{
    hf_put_heads(h);
    if (hf_has(h, "num_experts"))
        hf_put_experts(h);
    if (hf_flag(h, "use_sliding_window", 0))
        hf_add_note(h,
                    "sliding_window %lld is not kept: texts longer than that see further "
                    "back",
                    (long long)hf_int(h, "sliding_window", 0));
}

static void qwen2vl_more(struct hf *h)
{
    qwen_more(h);
    hf_put_sections(h, 16, 24, 24);
}

/* Its images also go into the first layers: how many, the vision tower tells. */
static void qwen3vl_more(struct hf *h)
{
    qwen_more(h);
    hf_put_sections(h, 24, 20, 20);
    hf_put_u32(h, "n_deepstack_layers",
               json_array_size(hf_get(h, "vision_config.deepstack_visual_indexes")));
}

#define QWEN(name, class, type, then)                                                          \
    {                                                                                          \
        .arch = (name), .classes = (class), .types = (type), .rows = qwen_rows,                \
        .n_row = HF_COUNT(qwen_rows), .more = (then),                                          \
    }

const struct hf_family hf_qwen[] = {
    QWEN("qwen2", "Qwen2ForCausalLM|Qwen2Model", "qwen2", qwen_more),
    QWEN("qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", qwen_more),
    QWEN("qwen3", "Qwen3ForCausalLM|Qwen3Model", "qwen3", qwen_more),
    QWEN("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", qwen_more),
    QWEN("qwen2vl", "Qwen2VLForConditionalGeneration|Qwen2_5_VLForConditionalGeneration",
         "qwen2_vl|qwen2_5_vl|qwen2_vl_text|qwen2_5_vl_text", qwen2vl_more),
    QWEN("qwen3vl", "Qwen3VLForConditionalGeneration", "qwen3_vl|qwen3_vl_text", qwen3vl_more),
    QWEN("qwen3vlmoe", "Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe|qwen3_vl_moe_text",
         qwen3vl_more),
    {0},
};

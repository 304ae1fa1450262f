/* Qwen 1.5 to 3, the language models of Qwen2-VL to Qwen3-VL, and what is shaped like them. */
#include "model/hf/hf_priv.h"

/* Experts of Qwen3-VL in one tensor: [E, in, out] as they were published, [E, out, in] as some
 * programs save them. axis: the one that is as long as the embedding if it is the first. */
static int take_experts(struct hf *h, const struct hf_match *m, int axis, hf_how *turned,
                        hf_how *plain)
{
    return hf_dim(m->t, axis) == hf_size(h, "hidden_size") ? turned(h, m) : plain(h, m);
}

static int take_gate(struct hf *h, const struct hf_match *m)
{
    return take_experts(h, m, 1, hf_half_0_t, hf_half_0);
}

static int take_up(struct hf *h, const struct hf_match *m)
{
    return take_experts(h, m, 1, hf_half_1_t, hf_half_1);
}

static int take_down(struct hf *h, const struct hf_match *m)
{
    return take_experts(h, m, 0, hf_each_t, hf_each);
}

/* clang-format off */
#define ROWS_QWEN                                                                              \
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(NULL), HF_ROWS_NORMS, HF_ROWS_FFN, \
    HF_ROWS_EXPERTS, HF_ROWS_SHARED("shared_expert"),                                          \
    {"layers.%.mlp.shared_expert_gate.weight", "blk.%.ffn_gate_inp_shexp.weight", hf_squeeze}

static const struct hf_row qwen_rows[] = {ROWS_QWEN};

static const struct hf_row qwen3vlmoe_rows[] = {
    ROWS_QWEN,
    {"layers.%.mlp.experts.gate_up_proj", "blk.%.ffn_gate_exps.weight", take_gate},
    {"layers.%.mlp.experts.gate_up_proj", "blk.%.ffn_up_exps.weight",   take_up},
    {"layers.%.mlp.experts.down_proj",    "blk.%.ffn_down_exps.weight", take_down},
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

#define QWEN(name, class, type, table, then)                                                   \
    {                                                                                          \
        .arch = (name), .classes = (class), .types = (type), .rows = (table),                  \
        .n_row = HF_COUNT(table), .more = (then),                                              \
    }

const struct hf_family hf_qwen[] = {
    QWEN("qwen2", "Qwen2ForCausalLM|Qwen2Model", "qwen2", qwen_rows, qwen_more),
    QWEN("qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe", qwen_rows, qwen_more),
    QWEN("qwen3", "Qwen3ForCausalLM|Qwen3Model", "qwen3", qwen_rows, qwen_more),
    QWEN("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe", qwen_rows, qwen_more),
    QWEN("qwen2vl", "Qwen2VLForConditionalGeneration|Qwen2_5_VLForConditionalGeneration",
         "qwen2_vl|qwen2_5_vl|qwen2_vl_text|qwen2_5_vl_text", qwen_rows, qwen2vl_more),
    QWEN("qwen3vl", "Qwen3VLForConditionalGeneration", "qwen3_vl|qwen3_vl_text", qwen_rows,
         qwen3vl_more),
    QWEN("qwen3vlmoe", "Qwen3VLMoeForConditionalGeneration", "qwen3_vl_moe|qwen3_vl_moe_text",
         qwen3vlmoe_rows, qwen3vl_more),
    {0},
};

/* Qwen 1.5 to 3, and what is shaped like them. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row qwen_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(NULL), HF_ROWS_NORMS, HF_ROWS_FFN,
    HF_ROWS_EXPERTS, HF_ROWS_SHARED("shared_expert"),
    {"layers.%.mlp.shared_expert_gate.weight", "blk.%.ffn_gate_inp_shexp.weight", hf_squeeze},
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

#define QWEN(name, class, type)                                                                \
    {                                                                                          \
        .arch = (name), .classes = (class), .types = (type), .rows = qwen_rows,                \
        .n_row = HF_COUNT(qwen_rows), .more = qwen_more,                                       \
    }

const struct hf_family hf_qwen[] = {
    QWEN("qwen2", "Qwen2ForCausalLM|Qwen2Model", "qwen2"),
    QWEN("qwen2moe", "Qwen2MoeForCausalLM", "qwen2_moe"),
    QWEN("qwen3", "Qwen3ForCausalLM|Qwen3Model", "qwen3"),
    QWEN("qwen3moe", "Qwen3MoeForCausalLM", "qwen3_moe"),
    {0},
};

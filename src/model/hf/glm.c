/* GLM 4 (0414) and GLM 4.5 to 4.7. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row glm4_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_NORMS,
    {"layers.%.post_self_attn_layernorm.weight",  "blk.%.post_attention_norm.weight", NULL},
    {"layers.%.post_mlp_layernorm.weight",        "blk.%.post_ffw_norm.weight",       NULL},
    {"layers.%.mlp.gate_up_proj.weight",          "blk.%.ffn_up.weight",              NULL},
    {"layers.%.mlp.down_proj.weight",             "blk.%.ffn_down.weight",            NULL},
};

static const struct hf_row glm4moe_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(NULL), HF_ROWS_FFN,
    HF_ROWS_EXPERTS, HF_ROWS_SHARED("shared_experts"),
    {"layers.%.input_layernorm.weight",           "blk.%.attn_norm.weight",           NULL},
    {"layers.%.post_attention_layernorm.weight",  "blk.%.post_attention_norm.weight", NULL},
    {"layers.%.mlp.gate.e_score_correction_bias", "blk.%.exp_probs_b.bias",           NULL},
};
/* clang-format on */

static void glm4moe_more(struct hf *h)
{
    hf_put_heads(h);
    hf_put_router(h);
}

const struct hf_family hf_glm[] = {
    {
        .arch = "glm4",
        .classes = "Glm4ForCausalLM",
        .types = "glm4",
        .rows = glm4_rows,
        .n_row = HF_COUNT(glm4_rows),
        .more = hf_put_heads,
        .defaults = "{\"partial_rotary_factor\": 0.5}",
    },
    {
        .arch = "glm4moe",
        .classes = "Glm4MoeForCausalLM|Glm4vMoeForConditionalGeneration",
        .types = "glm4_moe|glm4v_moe",
        .rows = glm4moe_rows,
        .n_row = HF_COUNT(glm4moe_rows),
        .more = glm4moe_more,
        .defaults = "{\"partial_rotary_factor\": 0.5, \"scoring_func\": \"sigmoid\"}",
    },
    {0},
};

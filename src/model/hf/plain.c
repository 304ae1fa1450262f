/* Families that need nothing of their own: OLMo 2 and 3, StarCoder 2. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row olmo2_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(NULL), HF_ROWS_FFN,
    {"layers.%.post_attention_layernorm.weight",   "blk.%.post_attention_norm.weight", NULL},
    {"layers.%.post_feedforward_layernorm.weight", "blk.%.post_ffw_norm.weight",       NULL},
};

static const struct hf_key olmo2_keys[] = {
    {"attention.sliding_window", HF_U32, 0, "sliding_window"},
};

static const struct hf_row starcoder2_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_NORMS,
    {"layers.%.mlp.c_fc.*",   "blk.%.ffn_up.*",   NULL},
    {"layers.%.mlp.c_proj.*", "blk.%.ffn_down.*", NULL},
};
/* clang-format on */

const struct hf_family hf_plain[] = {
    {
        .arch = "olmo2",
        .classes = "Olmo2ForCausalLM|Olmo3ForCausalLM",
        .types = "olmo2|olmo3",
        HF_TABLES(olmo2_keys, olmo2_rows),
        .more = hf_put_heads,
    },
    {
        .arch = "starcoder2",
        .classes = "Starcoder2ForCausalLM",
        .types = "starcoder2",
        .rows = starcoder2_rows,
        .n_row = HF_COUNT(starcoder2_rows),
        .more = hf_put_heads,
        .defaults = "{\"tie_word_embeddings\": true}",
    },
    {0},
};

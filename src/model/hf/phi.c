/* Phi 2 to 4, and Phi 3.5 MoE. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row phi3_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_NORMS,
    {"layers.%.self_attn.qkv_proj.weight", "blk.%.attn_qkv.weight",    NULL},
    {"layers.%.self_attn.o_proj.weight",   "blk.%.attn_output.weight", NULL},
    {"layers.%.mlp.gate_up_proj.weight",   "blk.%.ffn_up.weight",      NULL},
    {"layers.%.mlp.down_proj.weight",      "blk.%.ffn_down.weight",    NULL},
};

/* Whose windows are as long as its context, or shorter. */
static const struct hf_key phi3_keys[] = {
    {"attention.sliding_window", HF_U32, 0, "sliding_window"},
};

static const struct hf_row phimoe_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_QKV(NULL, NULL), HF_ROWS_NORMS, HF_ROWS_EXPERTS_W,
};

/* Its norms have mean and bias; the name of their epsilon in the config is that of another
 * kind. GGUF's key for it says that norms and experts are the published ones. */
static const struct hf_key phimoe_keys[] = {
    {"attention.layer_norm_epsilon", HF_F32, 1, "rms_norm_eps"},
    {"attention.sliding_window",     HF_U32, 0, "sliding_window"},
};

static const struct hf_row phi2_rows[] = {
    {"embed_tokens.weight",         "token_embd.weight",   NULL},
    {"final_layernorm.*",           "output_norm.*",       NULL},
    {"lm_head.*",                   "output.*",            NULL},
    {"layers.%.input_layernorm.*",  "blk.%.attn_norm.*",   NULL},
    {"layers.%.self_attn.q_proj.*", "blk.%.attn_qkv.*",    hf_join_0},
    {"layers.%.self_attn.k_proj.*", "blk.%.attn_qkv.*",    hf_join_1},
    {"layers.%.self_attn.v_proj.*", "blk.%.attn_qkv.*",    hf_join_2},
    {"layers.%.self_attn.dense.*",  "blk.%.attn_output.*", NULL},
    {"layers.%.mlp.fc1.*",          "blk.%.ffn_up.*",      NULL},
    {"layers.%.mlp.fc2.*",          "blk.%.ffn_down.*",    NULL},
    {"layers.%.self_attn.rotary_emb.inv_freq", NULL,       NULL},
};
/* clang-format on */

static void phimoe_more(struct hf *h)
{
    hf_put_heads(h);
    hf_put_experts(h);
}

const struct hf_family hf_phi[] = {
    {
        .arch = "phi3",
        .classes = "Phi3ForCausalLM",
        .types = "phi3",
        HF_TABLES(phi3_keys, phi3_rows),
        .more = hf_put_heads,
    },
    {
        .arch = "phimoe",
        .classes = "PhiMoEForCausalLM|PhimoeForCausalLM",
        .types = "phimoe",
        HF_TABLES(phimoe_keys, phimoe_rows),
        .more = phimoe_more,
    },
    {
        .arch = "phi2",
        .classes = "PhiForCausalLM",
        .types = "phi",
        .rows = phi2_rows,
        .n_row = HF_COUNT(phi2_rows),
        .more = hf_put_heads,
    },
    {0},
};

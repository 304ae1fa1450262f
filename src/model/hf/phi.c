/* Phi 2 to 4. */
#include "model/hf/hf_priv.h"

/* clang-format off */
static const struct hf_row phi3_rows[] = {
    HF_ROWS_MODEL, HF_ROWS_NORMS,
    {"layers.%.self_attn.qkv_proj.weight", "blk.%.attn_qkv.weight",    NULL},
    {"layers.%.self_attn.o_proj.weight",   "blk.%.attn_output.weight", NULL},
    {"layers.%.mlp.gate_up_proj.weight",   "blk.%.ffn_up.weight",      NULL},
    {"layers.%.mlp.down_proj.weight",      "blk.%.ffn_down.weight",    NULL},
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

const struct hf_family hf_phi[] = {
    {
        .arch = "phi3",
        .classes = "Phi3ForCausalLM",
        .types = "phi3",
        .rows = phi3_rows,
        .n_row = HF_COUNT(phi3_rows),
        .more = hf_put_heads,
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

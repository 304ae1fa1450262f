/* Falcon 7B, 40B and 180B, and Falcon 2. Queries, keys and values are one matrix: for each key
 * head its queries, then the key, then the value, where GGUF has all queries first. */
#include "model/hf/hf_priv.h"

/* Before 40B all queries share one key head, whatever the config calls their number. */
static uint64_t n_head_kv(struct hf *h)
{
    int one = hf_flag(h, "multi_query", !hf_has(h, "n_head_kv"));

    if (one && !hf_flag(h, "new_decoder_architecture", 0))
        return 1;
    return hf_size(h, "num_kv_heads|n_head_kv|num_attention_heads|n_head");
}

static int take_qkv(struct hf *h, const struct hf_match *m)
{
    uint64_t n_head = hf_size(h, "num_attention_heads|n_head"), kv = n_head_kv(h),
             head = hf_head_dim(h) * hf_dim(m->t, 0), q = n_head / kv * head,
             all = q + 2 * head;
    struct hf_seg s[3] = {hf_walk(m, 0, 2, (uint64_t[]){kv, all, q, 1}),
                          hf_walk(m, q, 2, (uint64_t[]){kv, all, head, 1}),
                          hf_walk(m, q + head, 2, (uint64_t[]){kv, all, head, 1})};
    uint64_t ne[GGUF_DIMS];
    int n_dim = hf_dims(m->t, ne);

    if (h->rc == 0 && (n_dim != 2 || n_head % kv || kv * all != m->t->n_elem))
        return hf_misfit(h, m);
    return hf_emit(h, m, m->name, n_dim, ne, HF_COPY, s, 3);
}

/* clang-format off */
static const struct hf_row rows[] = {
    {"word_embeddings.weight",                     "token_embd.weight",        NULL},
    {"ln_f.*",                                     "output_norm.*",            NULL},
    {"lm_head.weight",                             "output.weight",            NULL},
    {"h.%.input_layernorm.*",                      "blk.%.attn_norm.*",        NULL},
    {"h.%.ln_mlp.*",                               "blk.%.attn_norm.*",        NULL},
    {"h.%.ln_attn.*",                              "blk.%.attn_norm_2.*",      NULL},
    {"h.%.self_attention.query_key_value.weight",  "blk.%.attn_qkv.weight",    take_qkv},
    {"h.%.self_attention.dense.weight",            "blk.%.attn_output.weight", NULL},
    {"h.%.mlp.dense_h_to_4h.weight",               "blk.%.ffn_up.weight",      NULL},
    {"h.%.mlp.dense_4h_to_h.weight",               "blk.%.ffn_down.weight",    NULL},
    {"h.%.self_attention.rotary_emb.inv_freq",     NULL,                       NULL},
};
/* clang-format on */

static void more(struct hf *h)
{
    if (hf_flag(h, "alibi", 0) || !hf_flag(h, "parallel_attn", 1))
        hf_fail(
            h, E_UNSUPPORTED,
            "config.json: %s: Falcon is supported with rotary positions and with both parts "
            "of a layer side by side",
            hf_flag(h, "alibi", 0) ? "alibi true" : "parallel_attn false");
    hf_put_u32(h, "feed_forward_length",
               hf_has(h, "ffn_hidden_size") ? hf_size(h, "ffn_hidden_size")
                                            : 4 * hf_size(h, "hidden_size"));
    hf_put_u32(h, "attention.head_count_kv", n_head_kv(h));
    hf_put_rope(h, hf_head_dim(h));
}

const struct hf_family hf_falcon[] = {
    {
        .arch = "falcon",
        .classes = "FalconForCausalLM|RWForCausalLM",
        .types = "falcon|RefinedWeb|RefinedWebModel",
        .rows = rows,
        .n_row = HF_COUNT(rows),
        .more = more,
        .defaults = "{\"max_position_embeddings\": 2048, \"layer_norm_epsilon\": 1e-5}",
    },
    {0},
};

/* Mamba 2, and what mixes it with attention: Nemotron-H, Granite 4, Falcon-H1. */
#include "model/params.h"
#include "model/hf/hf_priv.h"

/* clang-format off */
#define ROWS_MAMBA(at)                                                                         \
    {at "in_proj.weight",  "blk.%.ssm_in.weight",     NULL},                                   \
    {at "conv1d.weight",   "blk.%.ssm_conv1d.weight", hf_squeeze},                             \
    {at "conv1d.bias",     "blk.%.ssm_conv1d.bias",   NULL},                                   \
    {at "dt_bias",         "blk.%.ssm_dt.bias",       NULL},                                   \
    {at "A_log",           "blk.%.ssm_a",             hf_neg_exp_column},                      \
    {at "D",               "blk.%.ssm_d",             hf_column},                              \
    {at "norm.weight",     "blk.%.ssm_norm.weight",   hf_group_norm},                          \
    {at "out_proj.weight", "blk.%.ssm_out.weight",    NULL}

static const struct hf_row mamba2_rows[] = {
    {"embeddings.weight",     "token_embd.weight",      NULL},
    {"embedding.weight",      "token_embd.weight",      NULL},
    {"norm_f.weight",         "output_norm.weight",     NULL},
    {"lm_head.weight",        "output.weight",          NULL},
    {"layers.%.norm.weight",  "blk.%.attn_norm.weight", NULL},
    ROWS_MAMBA("layers.%.mixer."),
};

/* One mixer a layer, of four kinds. */
static const struct hf_row nemotron_rows[] = {
    {"embeddings.weight",     "token_embd.weight",      NULL},
    {"embed_tokens.weight",   "token_embd.weight",      NULL},
    {"norm_f.weight",         "output_norm.weight",     NULL},
    {"lm_head.weight",        "output.weight",          NULL},
    {"layers.%.norm.weight",  "blk.%.attn_norm.weight", NULL},
    ROWS_MAMBA("layers.%.mixer."),
    {"layers.%.mixer.q_proj.*",                       "blk.%.attn_q.*",                NULL},
    {"layers.%.mixer.k_proj.*",                       "blk.%.attn_k.*",                NULL},
    {"layers.%.mixer.v_proj.*",                       "blk.%.attn_v.*",                NULL},
    {"layers.%.mixer.o_proj.*",                       "blk.%.attn_output.*",           NULL},
    {"layers.%.mixer.up_proj.*",                      "blk.%.ffn_up.*",                NULL},
    {"layers.%.mixer.down_proj.*",                    "blk.%.ffn_down.*",              NULL},
    {"layers.%.mixer.gate.weight",                    "blk.%.ffn_gate_inp.weight",     NULL},
    {"layers.%.mixer.gate.e_score_correction_bias",   "blk.%.exp_probs_b.bias",        NULL},
    {"layers.%.mixer.experts.$.up_proj.weight",       "blk.%.ffn_up_exps.weight",      NULL},
    {"layers.%.mixer.experts.$.down_proj.weight",     "blk.%.ffn_down_exps.weight",    NULL},
    {"layers.%.mixer.shared_experts.up_proj.weight",  "blk.%.ffn_up_shexp.weight",     NULL},
    {"layers.%.mixer.shared_experts.down_proj.weight", "blk.%.ffn_down_shexp.weight",  NULL},
    {"layers.%.mixer.fc1_latent_proj.weight",         "blk.%.ffn_latent_down.weight",  NULL},
    {"layers.%.mixer.fc2_latent_proj.weight",         "blk.%.ffn_latent_up.weight",    NULL},
};

#define ROWS_GRANITE                                                                           \
    HF_ROWS_MODEL, HF_ROWS_QKV(hf_rope_q, hf_rope_k), HF_ROWS_NORMS,                           \
    ROWS_MAMBA("layers.%.mamba.")

/* Without experts the feed-forward is what is shared with them otherwise. */
static const struct hf_row granite_rows[] = {
    ROWS_GRANITE,
    {"layers.%.shared_mlp.input_linear.weight",  "blk.%.ffn_gate.weight",  hf_half_0},
    {"layers.%.shared_mlp.input_linear.weight",  "blk.%.ffn_up.weight",    hf_half_1},
    {"layers.%.shared_mlp.output_linear.weight", "blk.%.ffn_down.weight",  NULL},
};

static const struct hf_row granite_moe_rows[] = {
    ROWS_GRANITE,
    {"layers.%.shared_mlp.input_linear.weight",        "blk.%.ffn_gate_shexp.weight", hf_half_0},
    {"layers.%.shared_mlp.input_linear.weight",        "blk.%.ffn_up_shexp.weight",   hf_half_1},
    {"layers.%.shared_mlp.output_linear.weight",       "blk.%.ffn_down_shexp.weight", NULL},
    {"layers.%.block_sparse_moe.router.layer.weight",  "blk.%.ffn_gate_inp.weight",   NULL},
    {"layers.%.block_sparse_moe.input_linear.weight",  "blk.%.ffn_gate_exps.weight",  hf_half_0},
    {"layers.%.block_sparse_moe.input_linear.weight",  "blk.%.ffn_up_exps.weight",    hf_half_1},
    {"layers.%.block_sparse_moe.output_linear.weight", "blk.%.ffn_down_exps.weight",  hf_each},
};
/* clang-format on */

/* conv and state sizes go by several names; heads times their length is the inner size. */
static void put_ssm(struct hf *h)
{
    uint64_t n_head = hf_size(h, "mamba_num_heads|mamba_n_heads|num_heads"),
             d = hf_has(h, "mamba_head_dim|mamba_d_head|head_dim") &&
                         json_is_integer(hf_get(h, "mamba_head_dim|mamba_d_head|head_dim"))
                     ? hf_size(h, "mamba_head_dim|mamba_d_head|head_dim")
                     : hf_size(h, "hidden_size") * hf_size(h, "mamba_expand|expand") / n_head;

    hf_put_u32(h, "ssm.conv_kernel", hf_size(h, "conv_kernel|mamba_d_conv"));
    hf_put_u32(h, "ssm.inner_size", n_head * d);
    hf_put_u32(h, "ssm.state_size", hf_size(h, "ssm_state_size|mamba_d_state|state_size"));
    hf_put_u32(h, "ssm.time_step_rank", n_head);
    hf_put_u32(h, "ssm.group_count", hf_size(h, "n_groups|mamba_n_groups"));
}

/* -- Mamba 2 ------------------------------------------------------------------------------- */

static void mamba2_more(struct hf *h)
{
    hf_put_u32(h, "context_length", 1 << 20); /* it has no limit of its own */
    hf_put_u32(h, "embedding_length", hf_size(h, "hidden_size"));
    hf_put_u32(h, "feed_forward_length", 0);
    hf_put_u32(h, "attention.head_count", 0);
    hf_put_f32(h, "attention.layer_norm_rms_epsilon", hf_num(h, "layer_norm_epsilon", 1e-5));
    put_ssm(h);
}

/* -- Nemotron-H ---------------------------------------------------------------------------- */

/* The letter of a layer: M Mamba, * attention, - feed-forward, E experts; 0 past the end. */
static char kind_of(const struct hf *h, size_t i)
{
    static const struct {
        const char *name;
        char letter;
    } kinds[] = {{"mamba", 'M'}, {"attention", '*'}, {"mlp", '-'}, {"moe", 'E'}};
    const char *pattern = hf_text(h, "hybrid_override_pattern");

    for (size_t k = 0; k < HF_COUNT(kinds) && !*pattern; k++) {
        if (hf_layer_is(h, i, kinds[k].name))
            return kinds[k].letter;
    }
    return i < strnlen(pattern, PARAMS_LAYERS_MAX) ? pattern[i] : '\0';
}

static int nemotron_has_experts(struct hf *h)
{
    for (size_t i = 0; kind_of(h, i); i++) {
        if (kind_of(h, i) == 'E')
            return 1;
    }
    return 0;
}

static void nemotron_more(struct hf *h)
{
    size_t n = (size_t)h->n_layer;
    uint64_t d = hf_head_dim(h), kv = hf_size(h, "num_key_value_heads");
    uint32_t *heads = hf_alloc(h, n, sizeof(*heads)), *ff = hf_alloc(h, n, sizeof(*ff));
    int moe = strcmp(h->family->arch, "nemotron_h_moe") == 0;

    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        char kind = kind_of(h, i);

        if (!kind || !strchr("M*-E", kind))
            hf_fail(h, E_UNSUPPORTED, "config.json: layer %zu is of a kind that is not known",
                    i);
        heads[i] = kind == '*' ? (uint32_t)kv : 0;
        ff[i] = kind == '-' || kind == 'E' ? (uint32_t)hf_size(h, "intermediate_size") : 0;
    }
    hf_put_u32(h, "context_length", hf_size(h, "max_position_embeddings"));
    hf_put_u32(h, "embedding_length", hf_size(h, "hidden_size"));
    hf_put_u32s(h, "feed_forward_length", ff, h->rc < 0 ? 0 : n);
    hf_put_u32(h, "attention.head_count", hf_size(h, "num_attention_heads"));
    hf_put_u32s(h, "attention.head_count_kv", heads, h->rc < 0 ? 0 : n);
    hf_put_f32(h, "attention.layer_norm_rms_epsilon",
               hf_num(h, "layer_norm_epsilon|norm_eps|rms_norm_eps", 1e-5));
    hf_put_u32(h, "attention.key_length", d);
    hf_put_u32(h, "attention.value_length", d);
    hf_put_rope(h, d);
    put_ssm(h);
    if (moe)
        hf_put_router(h);
    if (moe && hf_int(h, "moe_latent_size", 0) > 0)
        hf_put_u32(h, "moe_latent_size", hf_size(h, "moe_latent_size"));
}

/* -- Granite 4 ----------------------------------------------------------------------------- */

/* clang-format off */
static const struct hf_key granite_keys[] = {
    {"embedding_scale", HF_F32, 0, "embedding_multiplier"},
    {"residual_scale",  HF_F32, 0, "residual_multiplier"},
    {"attention.scale", HF_F32, 0, "attention_multiplier"},
    {"logit_scale",     HF_F32, 0, "logits_scaling"},
    {"context_length",  HF_U32, 1, "max_position_embeddings"},
    {"embedding_length", HF_U32, 1, "hidden_size"},
    {"attention.head_count", HF_U32, 1, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", HF_F32, 1, "rms_norm_eps"},
};
/* clang-format on */

static int granite_has_experts(struct hf *h)
{
    return hf_int(h, "num_local_experts", 0) > 0;
}

static void granite_more(struct hf *h)
{
    size_t n = (size_t)h->n_layer;
    uint64_t d = hf_head_dim(h), kv = hf_size(h, "num_key_value_heads");
    uint32_t *heads = hf_alloc(h, n, sizeof(*heads));
    int moe = granite_has_experts(h);

    for (size_t i = 0; h->rc == 0 && i < n; i++)
        heads[i] = hf_layer_is(h, i, "attention") ? (uint32_t)kv : 0;
    hf_put_u32s(h, "attention.head_count_kv", heads, h->rc < 0 ? 0 : n);
    hf_put_u32(h, "attention.key_length", d);
    hf_put_u32(h, "attention.value_length", d);
    hf_put_rope(h, d);
    hf_put_u32(h, "feed_forward_length",
               hf_size(h, moe ? "intermediate_size" : "shared_intermediate_size"));
    if (moe) {
        hf_put_experts(h);
        hf_put_u32(h, "expert_shared_feed_forward_length",
                   hf_size(h, "shared_intermediate_size"));
    }
    put_ssm(h);
}

/* -- Falcon-H1 ----------------------------------------------------------------------------- */

/* Its makers scale what goes into and comes out of each part; GGUF has the weights so. */
static int emit_scaled(struct hf *h, const struct hf_match *m, const char *a, const char *b)
{
    struct hf_seg all = hf_whole(m);
    uint64_t ne[GGUF_DIMS];
    int n_dim = hf_dims(m->t, ne);
    double mul = hf_num(h, a, 1) * (b ? hf_num(h, b, 1) : 1);

    all.mul = mul == 1 ? 0 : (float)mul;
    return hf_emit(h, m, m->name, n_dim, ne, HF_COPY, &all, 1);
}

#define SCALED(name, a, b)                                                                     \
    static int name(struct hf *h, const struct hf_match *m)                                    \
    {                                                                                          \
        return emit_scaled(h, m, a, b);                                                        \
    }

SCALED(scaled_embd, "embedding_multiplier", NULL)
SCALED(scaled_head, "lm_head_multiplier", NULL)
SCALED(scaled_q, "attention_in_multiplier", NULL)
SCALED(scaled_k, "attention_in_multiplier", "key_multiplier")
SCALED(scaled_o, "attention_out_multiplier", NULL)
SCALED(scaled_ssm_out, "ssm_out_multiplier", NULL)

static double nth(const struct hf *h, const char *name, size_t i)
{
    const json_t *j = json_array_get(hf_get(h, name), i);

    return json_is_number(j) ? json_number_value(j) : 1;
}

static int scaled_mlp(struct hf *h, const struct hf_match *m, size_t i)
{
    struct hf_seg all = hf_whole(m);
    double mul = nth(h, "mlp_multipliers", i);
    uint64_t ne[GGUF_DIMS];
    int n_dim = hf_dims(m->t, ne);

    all.mul = mul == 1 ? 0 : (float)mul;
    return hf_emit(h, m, m->name, n_dim, ne, HF_COPY, &all, 1);
}

static int scaled_gate(struct hf *h, const struct hf_match *m)
{
    return scaled_mlp(h, m, 0);
}

static int scaled_down(struct hf *h, const struct hf_match *m)
{
    return scaled_mlp(h, m, 1);
}

/* in_proj's rows are gates, inputs, two states, and time steps, each with a factor of its own.
 */
static int scaled_in(struct hf *h, const struct hf_match *m)
{
    uint64_t in = hf_dim(m->t, 0), n_head = hf_size(h, "mamba_n_heads"),
             inner = n_head * hf_size(h, "mamba_d_head"),
             state = hf_size(h, "mamba_n_groups") * hf_size(h, "mamba_d_state"), at = 0,
             rows[5] = {inner, inner, state, state, n_head};
    double all = hf_num(h, "ssm_in_multiplier", 1);
    struct hf_seg s[5];

    for (size_t i = 0; i < 5; i++) {
        double mul = all * nth(h, "ssm_multipliers", i);

        s[i] = hf_walk(m, at * in, 1, (uint64_t[]){rows[i] * in, 1});
        s[i].mul = mul == 1 ? 0 : (float)mul;
        at += rows[i];
    }
    return hf_emit(h, m, m->name, 2, (uint64_t[]){in, at}, HF_COPY, s, 5);
}

/* clang-format off */
static const struct hf_row falcon_rows[] = {
    {"embed_tokens.weight",                       "token_embd.weight",         scaled_embd},
    {"final_layernorm.weight",                    "output_norm.weight",        NULL},
    {"lm_head.weight",                            "output.weight",             scaled_head},
    {"layers.%.input_layernorm.weight",           "blk.%.attn_norm.weight",    NULL},
    {"layers.%.pre_ff_layernorm.weight",          "blk.%.ffn_norm",            NULL},
    {"layers.%.self_attn.q_proj.weight",          "blk.%.attn_q.weight",       scaled_q},
    {"layers.%.self_attn.k_proj.weight",          "blk.%.attn_k.weight",       scaled_k},
    {"layers.%.self_attn.v_proj.weight",          "blk.%.attn_v.weight",       scaled_q},
    {"layers.%.self_attn.o_proj.weight",          "blk.%.attn_output.weight",  scaled_o},
    {"layers.%.feed_forward.gate_proj.weight",    "blk.%.ffn_gate.weight",     scaled_gate},
    {"layers.%.feed_forward.up_proj.weight",      "blk.%.ffn_up.weight",       NULL},
    {"layers.%.feed_forward.down_proj.weight",    "blk.%.ffn_down.weight",     scaled_down},
    {"layers.%.mamba.in_proj.weight",             "blk.%.ssm_in.weight",       scaled_in},
    {"layers.%.mamba.conv1d.weight",              "blk.%.ssm_conv1d.weight",   hf_squeeze},
    {"layers.%.mamba.conv1d.bias",                "blk.%.ssm_conv1d.bias",     NULL},
    {"layers.%.mamba.dt_bias",                    "blk.%.ssm_dt.bias",         NULL},
    {"layers.%.mamba.A_log",                      "blk.%.ssm_a",               hf_neg_exp_column},
    {"layers.%.mamba.D",                          "blk.%.ssm_d",               hf_column},
    {"layers.%.mamba.norm.weight",                "blk.%.ssm_norm.weight",     hf_group_norm},
    {"layers.%.mamba.out_proj.weight",            "blk.%.ssm_out.weight",      scaled_ssm_out},
};
/* clang-format on */

static void falcon_more(struct hf *h)
{
    hf_put_heads(h);
    put_ssm(h);
}

const struct hf_family hf_mamba[] = {
    {
        .arch = "mamba2",
        .classes = "Mamba2ForCausalLM",
        .types = "mamba2",
        .rows = mamba2_rows,
        .n_row = HF_COUNT(mamba2_rows),
        .own_keys = 1,
        .more = mamba2_more,
    },
    {
        .arch = "nemotron_h",
        .classes = "NemotronHForCausalLM",
        .types = "nemotron_h",
        .rows = nemotron_rows,
        .n_row = HF_COUNT(nemotron_rows),
        .own_keys = 1,
        .next = nemotron_has_experts,
        .more = nemotron_more,
    },
    {
        .arch = "nemotron_h_moe",
        .rows = nemotron_rows,
        .n_row = HF_COUNT(nemotron_rows),
        .own_keys = 1,
        .more = nemotron_more,
    },
    {
        .arch = "granitehybrid",
        .classes = "GraniteMoeHybridForCausalLM",
        .types = "granitemoehybrid",
        HF_TABLES(granite_keys, granite_rows),
        .own_keys = 1,
        .next = granite_has_experts,
        .more = granite_more,
    },
    {
        .arch = "granitehybrid",
        HF_TABLES(granite_keys, granite_moe_rows),
        .own_keys = 1,
        .more = granite_more,
    },
    {
        .arch = "falcon-h1",
        .classes = "FalconH1ForCausalLM",
        .types = "falcon_h1",
        .rows = falcon_rows,
        .n_row = HF_COUNT(falcon_rows),
        .more = falcon_more,
    },
    {0},
};

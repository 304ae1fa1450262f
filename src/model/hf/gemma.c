/* Gemma 1, 2, 3, 3n and 4, and EmbeddingGemma. Norms of Gemma 1 to 3 are stored as what they
 * differ from 1; those of 3n and 4 as they are. */
#include "model/hf/hf_priv.h"

#include "fmt/jfile.h"

#include <limits.h>
#include <stdio.h>

/* clang-format off */
#define ROWS_GEMMA(norm)                                                                       \
    {"embed_tokens.weight",                          "token_embd.weight",                NULL}, \
    {"norm.weight",                                  "output_norm.weight",               norm}, \
    {"lm_head.weight",                               "output.weight",                    NULL}, \
    {"layers.%.input_layernorm.weight",              "blk.%.attn_norm.weight",           norm}, \
    {"layers.%.post_attention_layernorm.weight",     "blk.%.post_attention_norm.weight", norm}, \
    {"layers.%.pre_feedforward_layernorm.weight",    "blk.%.ffn_norm.weight",            norm}, \
    {"layers.%.post_feedforward_layernorm.weight",   "blk.%.post_ffw_norm.weight",       norm}, \
    HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(norm), HF_ROWS_FFN

/* Embeddings of each layer. */
#define ROWS_PER_LAYER                                                                         \
    {"embed_tokens_per_layer.weight",                "per_layer_token_embd.weight",      NULL}, \
    {"per_layer_model_projection.weight",            "per_layer_model_proj.weight",      NULL}, \
    {"per_layer_projection_norm.weight",             "per_layer_proj_norm.weight",       NULL}, \
    {"layers.%.per_layer_input_gate.weight",         "blk.%.inp_gate.weight",            NULL}, \
    {"layers.%.per_layer_projection.weight",         "blk.%.proj.weight",                NULL}, \
    {"layers.%.post_per_layer_input_norm.weight",    "blk.%.post_norm.weight",           NULL}

static const struct hf_row gemma_rows[] = {ROWS_GEMMA(hf_plus_one)};

/* The first has two norms to a layer, whose names are Llama's. */
static const struct hf_row gemma1_rows[] = {
    {"embed_tokens.weight",                          "token_embd.weight",                NULL},
    {"norm.weight",                                  "output_norm.weight",               hf_plus_one},
    {"lm_head.weight",                               "output.weight",                    NULL},
    {"layers.%.input_layernorm.weight",              "blk.%.attn_norm.weight",           hf_plus_one},
    {"layers.%.post_attention_layernorm.weight",     "blk.%.ffn_norm.weight",            hf_plus_one},
    HF_ROWS_QKV(NULL, NULL), HF_ROWS_FFN,
};

static const struct hf_row gemma3n_rows[] = {
    ROWS_GEMMA(NULL), ROWS_PER_LAYER,
    {"altup_projections.$.weight",                   "altup_proj.weight",                NULL},
    {"altup_unembed_projections.$.weight",           "altup_unembd_proj.weight",         NULL},
    {"layers.%.altup.correction_coefs.weight",       "blk.%.altup_correct_coef.weight",  NULL},
    {"layers.%.altup.prediction_coefs.weight",       "blk.%.altup_predict_coef.weight",  NULL},
    {"layers.%.altup.correct_output_scale",          "blk.%.altup_correct_scale.weight", NULL},
    {"layers.%.altup.modality_router.weight",        "blk.%.altup_router.weight",        NULL},
    {"layers.%.altup.router_norm.weight",            "blk.%.altup_router_norm.weight",   NULL},
    {"layers.%.laurel.linear_left.weight",           "blk.%.laurel_l.weight",            NULL},
    {"layers.%.laurel.linear_right.weight",          "blk.%.laurel_r.weight",            NULL},
    {"layers.%.laurel.post_laurel_norm.weight",      "blk.%.laurel_post_norm.weight",    NULL},
};

static const struct hf_row gemma4_rows[] = {
    ROWS_GEMMA(NULL), ROWS_PER_LAYER,
    {"layers.%.layer_scalar",                        "blk.%.layer_output_scale.weight",  NULL},
    {"layers.%.pre_feedforward_layernorm_2.weight",  "blk.%.pre_ffw_norm_2.weight",      NULL},
    {"layers.%.post_feedforward_layernorm_1.weight", "blk.%.post_ffw_norm_1.weight",     NULL},
    {"layers.%.post_feedforward_layernorm_2.weight", "blk.%.post_ffw_norm_2.weight",     NULL},
    {"layers.%.router.proj.weight",                  "blk.%.ffn_gate_inp.weight",        NULL},
    {"layers.%.router.scale",                        "blk.%.ffn_gate_inp.scale",         NULL},
    {"layers.%.router.per_expert_scale",             "blk.%.ffn_down_exps.scale",        NULL},
    {"layers.%.experts.gate_up_proj",                "blk.%.ffn_gate_exps.weight",       hf_half_0},
    {"layers.%.experts.gate_up_proj",                "blk.%.ffn_up_exps.weight",         hf_half_1},
    {"layers.%.experts.down_proj",                   "blk.%.ffn_down_exps.weight",       hf_each},
};

static const struct hf_key gemma2_keys[] = {
    {"attention.sliding_window", HF_U32, 0, "sliding_window"},
    {"attn_logit_softcapping",   HF_F32, 0, "attn_logit_softcapping"},
    {"final_logit_softcapping",  HF_F32, 0, "final_logit_softcapping"},
};

static const struct hf_key gemma3_keys[] = {
    {"attention.sliding_window", HF_U32, 0, "sliding_window"},
    {"final_logit_softcapping",  HF_F32, 0, "final_logit_softcapping"},
    {"rope.freq_base_swa",       HF_F32, 0, "rope_local_base_freq|rope_parameters.sliding_attention.rope_theta"},
};

static const struct hf_key gemma3n_keys[] = {
    {"attention.sliding_window",         HF_U32, 0, "sliding_window"},
    {"attention.shared_kv_layers",       HF_U32, 0, "num_kv_shared_layers"},
    {"embedding_length_per_layer_input", HF_U32, 1, "hidden_size_per_layer_input"},
    {"rope.freq_base_swa",               HF_F32, 0, "rope_local_base_freq|rope_parameters.sliding_attention.rope_theta"},
    {"context_length",                   HF_U32, 1, "max_position_embeddings"},
    {"embedding_length",                 HF_U32, 1, "hidden_size"},
    {"attention.head_count",             HF_U32, 1, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", HF_F32, 1, "rms_norm_eps"},
};

static const struct hf_key gemma4_keys[] = {
    {"attention.sliding_window",         HF_U32, 0, "sliding_window"},
    {"attention.shared_kv_layers",       HF_U32, 0, "num_kv_shared_layers"},
    {"embedding_length_per_layer_input", HF_U32, 0, "hidden_size_per_layer_input"},
    {"final_logit_softcapping",          HF_F32, 0, "final_logit_softcapping"},
    {"context_length",                   HF_U32, 1, "max_position_embeddings"},
    {"embedding_length",                 HF_U32, 1, "hidden_size"},
    {"attention.head_count",             HF_U32, 1, "num_attention_heads"},
    {"attention.layer_norm_rms_epsilon", HF_F32, 1, "rms_norm_eps"},
};
/* clang-format on */

/* Does that folder's config name no activation? It has the name of a class. */
static int is_linear(struct hf *h, const char *folder)
{
    static const char *const none = "Identity";
    char path[PATH_MAX + 16];
    json_t *j = NULL;
    const char *name;
    size_t n;
    int is;

    (void)snprintf(path, sizeof(path), "%s/config.json", folder);
    h->rc = jfile_load(&j, path, 1 << 20, h->e);
    name = json_string_value(json_object_get(j, "activation_function"));
    n = name ? strlen(name) : 0;
    is = n >= strlen(none) && strcmp(name + n - strlen(none), none) == 0;
    json_decref(j);
    return is;
}

/* A product behind the pooling, of a folder of its own. Returns 0 when it is not there. */
static int take_dense(struct hf *h, int i)
{
    char path[PATH_MAX], key[32];
    struct hf_match m = {.layer = -1, .index = -1};
    int is_plain;

    if (h->rc < 0 || snprintf(path, sizeof(path), "%s/%d_Dense", h->dir, i) >= PATH_MAX ||
        !hf_is_folder(path))
        return 0;
    h->rc = st_open(&h->sub[i - 2], path, h->e);
    if (h->rc < 0)
        return 0;
    m.t = st_tensor(h->sub[i - 2], str_of("linear.weight"));
    is_plain = !st_tensor(h->sub[i - 2], str_of("linear.bias")) && is_linear(h, path);
    if (!m.t || m.t->n_dim != 2)
        hf_fail(h, E_FORMAT, "%d_Dense: no matrix linear.weight among its tensors", i);
    else if (!is_plain)
        hf_fail(h, E_UNSUPPORTED,
                "%d_Dense: it has a bias or an activation; only plain products are supported",
                i);
    if (h->rc < 0)
        return 0;
    (void)snprintf(m.name, sizeof(m.name), "dense_%d.weight", i);
    (void)hf_emit_whole(h, &m, HF_COPY);
    (void)snprintf(key, sizeof(key), "dense_%d_feat_in", i);
    hf_put_u32(h, key, hf_dim(m.t, 0));
    (void)snprintf(key, sizeof(key), "dense_%d_feat_out", i);
    hf_put_u32(h, key, hf_dim(m.t, 1));
    return 1;
}

static void embed_more(struct hf *h)
{
    int n;

    hf_put_heads(h);
    hf_put_u32(h, "pooling_type", 1); /* mean */
    hf_put_bool(h, "attention.causal", 0);
    n = take_dense(h, 2) + take_dense(h, 3);
    if (n < 2)
        hf_add_note(h, "%s behind the pooling (2_Dense, 3_Dense) %s not in the folder",
                    n ? "one of the two products" : "the two products", n ? "is" : "are");
}

/* intermediate_size is a number or a list. */
static void put_widths(struct hf *h)
{
    const json_t *list = hf_get(h, "intermediate_size");
    size_t n = (size_t)h->n_layer, n_shared = (size_t)hf_int(h, "num_kv_shared_layers", 0);
    int wide = hf_flag(h, "use_double_wide_mlp", 0);
    uint32_t *v = hf_alloc(h, n, sizeof(*v));

    for (size_t i = 0; h->rc == 0 && i < n; i++) {
        v[i] = (uint32_t)(json_is_array(list) ? json_integer_value(json_array_get(list, i))
                                              : hf_int(h, "intermediate_size", 0));
        if (wide && n_shared <= n && i >= n - n_shared)
            v[i] *= 2;
    }
    hf_put_per_layer(h, "feed_forward_length", v, h->rc < 0 ? 0 : n);
}

/* Which layers see a window only, as flags. */
static const unsigned char *windows(struct hf *h)
{
    unsigned char *v = hf_alloc(h, (size_t)h->n_layer, 1);

    for (int i = 0; h->rc == 0 && i < h->n_layer; i++)
        v[i] = (unsigned char)hf_layer_is(h, (size_t)i, "sliding_attention");
    return v;
}

static void gemma3n_more(struct hf *h)
{
    const unsigned char *swa = windows(h);
    uint64_t period = 5;

    hf_put_heads(h);
    put_widths(h);
    if (h->rc == 0 && hf_has(h, "layer_types"))
        for (period = 1; period < (uint64_t)h->n_layer && swa[period - 1];)
            period++;
    hf_put_u32(h, "attention.sliding_window_pattern", period);
}

/* Layers that see everything have heads of their own size and number; of those, the first
 * numbers rotate and the others do not, which is said by frequencies. */
static void gemma4_more(struct hf *h)
{
    size_t n = (size_t)h->n_layer;
    const unsigned char *swa = windows(h);
    uint64_t d = hf_size(h, "global_head_dim|head_dim"), d_swa = hf_size(h, "head_dim"),
             kv_swa = hf_size(h, "num_key_value_heads"),
             kv = hf_size(h, "num_global_key_value_heads|num_key_value_heads");
    double part = hf_num(h, "rope_parameters.full_attention.partial_rotary_factor", 1);
    uint64_t turned = (uint64_t)((double)(d / 2) * part);
    float *f = hf_alloc(h, d / 2, sizeof(*f));
    uint32_t *heads = hf_alloc(h, n, sizeof(*heads));

    for (size_t i = 0; h->rc == 0 && i < n; i++)
        heads[i] = (uint32_t)(swa[i] ? kv_swa : kv);
    for (uint64_t i = 0; h->rc == 0 && i < d / 2; i++)
        f[i] = i < turned ? 1.0f : 1e30f;
    hf_put_per_layer(h, "attention.head_count_kv", heads, h->rc < 0 ? 0 : n);
    hf_put_u32(h, "attention.key_length", d);
    hf_put_u32(h, "attention.value_length", d);
    hf_put_u32(h, "attention.key_length_swa", d_swa);
    hf_put_u32(h, "attention.value_length_swa", d_swa);
    hf_put_bools(h, "attention.sliding_window_pattern", swa, n);
    hf_put_rope_base(h);
    hf_put_f32(
        h, "rope.freq_base_swa",
        hf_num(h, "rope_parameters.sliding_attention.rope_theta|rope_local_base_freq", 10000));
    hf_put_u32(h, "rope.dimension_count", d);
    hf_put_u32(h, "rope.dimension_count_swa", d_swa);
    hf_emit_made(h, "rope_freqs.weight", f, d / 2);
    put_widths(h);
    if (hf_flag(h, "enable_moe_block", 0))
        hf_put_experts(h);
}

#define GEMMA3_DEFAULTS                                                                        \
    "{\"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"head_dim\": 256, "             \
    "\"max_position_embeddings\": 131072, \"rms_norm_eps\": 1e-6, \"rope_theta\": 1000000.0, " \
    "\"rope_local_base_freq\": 10000.0, \"sliding_window\": 4096}"

const struct hf_family hf_gemma[] = {
    {
        .arch = "gemma",
        .classes = "GemmaForCausalLM",
        .types = "gemma",
        .rows = gemma1_rows,
        .n_row = HF_COUNT(gemma1_rows),
        .more = hf_put_heads,
        .defaults = "{\"head_dim\": 256, \"tie_word_embeddings\": true}",
    },
    {
        .arch = "gemma2",
        .classes = "Gemma2ForCausalLM",
        .types = "gemma2",
        HF_TABLES(gemma2_keys, gemma_rows),
        .more = hf_put_heads,
        .defaults = "{\"head_dim\": 256, \"sliding_window\": 4096}",
    },
    {
        .arch = "gemma3",
        .classes = "Gemma3ForCausalLM|Gemma3ForConditionalGeneration",
        .types = "gemma3|gemma3_text",
        HF_TABLES(gemma3_keys, gemma_rows),
        .more = hf_put_heads,
        .defaults = GEMMA3_DEFAULTS,
    },
    {
        .arch = "gemma-embedding",
        .classes = "Gemma3TextModel",
        .types = "",
        HF_TABLES(gemma3_keys, gemma_rows),
        .more = embed_more,
        .defaults = GEMMA3_DEFAULTS,
    },
    {
        .arch = "gemma3n",
        .classes = "Gemma3nForConditionalGeneration|Gemma3nForCausalLM",
        .types = "gemma3n|gemma3n_text",
        HF_TABLES(gemma3n_keys, gemma3n_rows),
        .own_keys = 1,
        .more = gemma3n_more,
    },
    {
        .arch = "gemma4",
        .classes = "Gemma4ForConditionalGeneration|Gemma4ForCausalLM",
        .types = "gemma4|gemma4_text",
        HF_TABLES(gemma4_keys, gemma4_rows),
        .own_keys = 1,
        .more = gemma4_more,
        .tok = "gemma4",
    },
    {0},
};

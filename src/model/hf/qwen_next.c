/* Qwen3-Next and Qwen3.5: three of four layers remember by a rule of their own (Gated
 * DeltaNet).
 *
 * GGUF wants queries, keys and values of all heads behind each other. Qwen3-Next has them head
 * by head. Qwen3.5 has them so, but its value heads, several to a key head, are numbered key
 * head by key head, where GGUF counts round the key heads: value head r of key head k is k * R
 * + r in the folder, r * K + k in GGUF, K key heads and R value heads to each.
 */
#include "model/hf/hf_priv.h"

struct heads {
    uint64_t k, r;   /* key heads, value heads to each */
    uint64_t dk, dv; /* numbers of a key and a value */
};

static struct heads heads_of(struct hf *h)
{
    struct heads o = {.k = hf_size(h, "linear_num_key_heads"),
                      .r = hf_size(h, "linear_num_value_heads"),
                      .dk = hf_size(h, "linear_key_head_dim"),
                      .dv = hf_size(h, "linear_value_head_dim")};

    if (h->rc == 0 && o.r % o.k)
        hf_fail(h, E_FORMAT,
                "config.json: linear_num_value_heads: not a multiple of key heads");
    o.r = h->rc < 0 ? 1 : o.r / o.k;
    return o;
}

/* Rows of `one` numbers for each of the value heads, from number `at` on, in GGUF's order. */
static struct hf_seg values_seg(const struct hf_match *m, const struct heads *o, uint64_t at,
                                uint64_t rows, uint64_t one)
{
    uint64_t head = rows * one;

    return hf_walk(m, at, 3, (uint64_t[]){o->r, head, o->k, o->r * head, head, 1});
}

/* in_proj_qkv, and conv1d with a row of taps for each of its rows: keys stay, values move. */
static int take_qkv(struct hf *h, const struct hf_match *m)
{
    struct heads o = heads_of(h);
    uint64_t one = hf_dim(m->t, 0), keys = 2 * o.k * o.dk, rows = keys + o.k * o.r * o.dv;
    struct hf_seg s[2] = {hf_walk(m, 0, 1, (uint64_t[]){keys * one, 1}),
                          values_seg(m, &o, keys * one, o.dv, one)};

    return hf_emit(h, m, m->name, 2, (uint64_t[]){one, rows}, HF_COPY, s, 2);
}

static int take_values(struct hf *h, const struct hf_match *m, uint64_t rows, int op)
{
    struct heads o = heads_of(h);
    uint64_t one = m->t->n_dim > 1 ? hf_dim(m->t, 0) : 1, ne[GGUF_DIMS];
    struct hf_seg s = values_seg(m, &o, 0, rows, one);
    int n_dim = hf_dims(m->t, ne);

    return hf_emit(h, m, m->name, n_dim, ne, op, &s, 1);
}

static int take_z(struct hf *h, const struct hf_match *m)
{
    return take_values(h, m, hf_size(h, "linear_value_head_dim"), HF_COPY);
}

/* One row, or number, for each value head. */
static int take_head(struct hf *h, const struct hf_match *m)
{
    return take_values(h, m, 1, HF_COPY);
}

static int take_a(struct hf *h, const struct hf_match *m)
{
    return take_values(h, m, 1, HF_NEG_EXP);
}

/* out_proj: the columns are the values. */
static int take_out(struct hf *h, const struct hf_match *m)
{
    struct heads o = heads_of(h);
    uint64_t in = hf_dim(m->t, 0), out = hf_dim(m->t, 1);
    struct hf_seg s =
        hf_walk(m, 0, 4, (uint64_t[]){out, in, o.r, o.dv, o.k, o.r * o.dv, o.dv, 1});

    return hf_emit(h, m, m->name, 2, (uint64_t[]){in, out}, HF_COPY, &s, 1);
}

/* Qwen3-Next's in_proj_qkvz: for each key head its query, key, values and gates. */
static int take_qkvz(struct hf *h, const struct hf_match *m)
{
    struct heads o = heads_of(h);
    uint64_t in = hf_dim(m->t, 0), values = o.r * o.dv, block = (2 * o.dk + 2 * values) * in;
    struct hf_seg s[3] = {
        hf_walk(m, 0, 2, (uint64_t[]){o.k, block, o.dk * in, 1}),
        hf_walk(m, o.dk * in, 2, (uint64_t[]){o.k, block, o.dk * in, 1}),
        hf_walk(m, 2 * o.dk * in, 2, (uint64_t[]){o.k, block, values * in, 1}),
    };

    if (h->rc == 0 && o.k * block != m->t->n_elem)
        return hf_misfit(h, m);
    return hf_emit(h, m, m->name, 2, (uint64_t[]){in, o.k * (2 * o.dk + values)}, HF_COPY, s,
                   3);
}

static int take_qkvz_gate(struct hf *h, const struct hf_match *m)
{
    struct heads o = heads_of(h);
    uint64_t in = hf_dim(m->t, 0), values = o.r * o.dv, block = (2 * o.dk + 2 * values) * in;
    struct hf_seg s =
        hf_walk(m, (2 * o.dk + values) * in, 2, (uint64_t[]){o.k, block, values * in, 1});

    return hf_emit(h, m, m->name, 2, (uint64_t[]){in, o.k * values}, HF_COPY, &s, 1);
}

/* clang-format off */
#define ROWS_BOTH                                                                              \
    {"embed_tokens.weight",                     "token_embd.weight",                NULL},     \
    {"norm.weight",                             "output_norm.weight",               hf_plus_one}, \
    {"lm_head.weight",                          "output.weight",                    NULL},     \
    {"layers.%.input_layernorm.weight",         "blk.%.attn_norm.weight",           hf_plus_one}, \
    {"layers.%.post_attention_layernorm.weight", "blk.%.post_attention_norm.weight", hf_plus_one}, \
    HF_ROWS_QKV(NULL, NULL), HF_ROWS_QK_NORM(hf_plus_one), HF_ROWS_FFN, HF_ROWS_EXPERTS,       \
    HF_ROWS_SHARED("shared_expert"),                                                           \
    {"layers.%.mlp.experts.gate_up_proj",       "blk.%.ffn_gate_exps.weight",       hf_half_0}, \
    {"layers.%.mlp.experts.gate_up_proj",       "blk.%.ffn_up_exps.weight",         hf_half_1}, \
    {"layers.%.mlp.experts.down_proj",          "blk.%.ffn_down_exps.weight",       hf_each},  \
    {"layers.%.mlp.shared_expert_gate.weight",  "blk.%.ffn_gate_inp_shexp.weight",  hf_squeeze}, \
    {"layers.%.linear_attn.norm.weight",        "blk.%.ssm_norm.weight",            NULL},     \
    HF_ROWS_AHEAD(hf_plus_one)

static const struct hf_row next_rows[] = {
    ROWS_BOTH,
    {"layers.%.linear_attn.in_proj_qkvz.weight", "blk.%.attn_qkv.weight",   take_qkvz},
    {"layers.%.linear_attn.in_proj_qkvz.weight", "blk.%.attn_gate.weight",  take_qkvz_gate},
    {"layers.%.linear_attn.in_proj_ba.weight",   "blk.%.ssm_ba.weight",     NULL},
    {"layers.%.linear_attn.conv1d.weight",       "blk.%.ssm_conv1d.weight", hf_squeeze},
    {"layers.%.linear_attn.dt_bias",             "blk.%.ssm_dt.bias",       NULL},
    {"layers.%.linear_attn.A_log",               "blk.%.ssm_a",             hf_neg_exp},
    {"layers.%.linear_attn.out_proj.weight",     "blk.%.ssm_out.weight",    NULL},
};

static const struct hf_row qwen35_rows[] = {
    ROWS_BOTH,
    {"layers.%.linear_attn.in_proj_qkv.weight",  "blk.%.attn_qkv.weight",   take_qkv},
    {"layers.%.linear_attn.in_proj_z.weight",    "blk.%.attn_gate.weight",  take_z},
    {"layers.%.linear_attn.in_proj_b.weight",    "blk.%.ssm_beta.weight",   take_head},
    {"layers.%.linear_attn.in_proj_a.weight",    "blk.%.ssm_alpha.weight",  take_head},
    {"layers.%.linear_attn.conv1d.weight",       "blk.%.ssm_conv1d.weight", take_qkv},
    {"layers.%.linear_attn.dt_bias",             "blk.%.ssm_dt.bias",       take_head},
    {"layers.%.linear_attn.A_log",               "blk.%.ssm_a",             take_a},
    {"layers.%.linear_attn.out_proj.weight",     "blk.%.ssm_out.weight",    take_out},
};

static const struct hf_key next_keys[] = {
    {"ssm.conv_kernel",         HF_U32, 1, "linear_conv_kernel_dim"},
    {"ssm.state_size",          HF_U32, 1, "linear_key_head_dim"},
    {"ssm.time_step_rank",      HF_U32, 1, "linear_num_value_heads"},
    {"ssm.group_count",         HF_U32, 1, "linear_num_key_heads"},
};
/* clang-format on */

static void next_more(struct hf *h)
{
    struct heads o = heads_of(h);
    uint64_t every = 4;

    hf_put_heads(h);
    hf_put_u32(h, "ssm.inner_size", o.k * o.r * o.dv);
    if (hf_has(h, "num_experts"))
        hf_put_experts(h);
    if (hf_has(h, "full_attention_interval"))
        every = hf_size(h, "full_attention_interval");
    else if (hf_has(h, "layer_types"))
        for (every = 1;
             every < (uint64_t)h->n_layer && !hf_layer_is(h, every - 1, "full_attention");)
            every++;
    hf_put_u32(h, "full_attention_interval", every);
}

static void qwen35_more(struct hf *h)
{
    next_more(h);
    hf_put_sections(h, 11, 11, 10);
}

#define QWEN35_DEFAULTS                                                                        \
    "{\"head_dim\": 256, \"partial_rotary_factor\": 0.25, \"linear_conv_kernel_dim\": 4}"

const struct hf_family hf_qwen_next[] = {
    {
        .arch = "qwen3next",
        .classes = "Qwen3NextForCausalLM",
        .types = "qwen3_next",
        HF_TABLES(next_keys, next_rows),
        .more = next_more,
        .ahead = 1,
        .defaults = QWEN35_DEFAULTS,
    },
    {
        .arch = "qwen35",
        .classes = "Qwen3_5ForConditionalGeneration|Qwen3_5ForCausalLM",
        .types = "qwen3_5|qwen3_5_text",
        HF_TABLES(next_keys, qwen35_rows),
        .more = qwen35_more,
        .ahead = 1,
        .defaults = QWEN35_DEFAULTS,
    },
    {
        .arch = "qwen35moe",
        .classes = "Qwen3_5MoeForConditionalGeneration|Qwen3_5MoeForCausalLM",
        .types = "qwen3_5_moe|qwen3_5_moe_text",
        HF_TABLES(next_keys, qwen35_rows),
        .more = qwen35_more,
        .ahead = 1,
        .defaults = QWEN35_DEFAULTS,
    },
    {0},
};

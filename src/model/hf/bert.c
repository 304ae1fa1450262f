/* Encoders that embed: BERT and what is shaped like it, Nomic's. */
#include "model/hf/hf_priv.h"

#include "fmt/jfile.h"

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* RoBERTa's positions begin at 2; the rows before are of no use. */
static int positions(struct hf *h, const struct hf_match *m)
{
    uint64_t in = hf_dim(m->t, 0), n = hf_dim(m->t, 1),
             skip = strstr(hf_text(h, "model_type"), "roberta") ? 2 : 0;
    struct hf_seg s = hf_walk(m, skip * in, 2, (uint64_t[]){n - skip, in, in, 1});

    if (n <= skip)
        return hf_misfit(h, m);
    return hf_emit(h, m, m->name, 2, (uint64_t[]){in, n - skip}, HF_COPY, &s, 1);
}

/* Nomic's experts lie behind each other: w1 [E * F, in], w2 [E * F, out]. */
static int emit_nomic(struct hf *h, const struct hf_match *m, int turned)
{
    uint64_t n = hf_size(h, "num_experts"), in = hf_dim(m->t, 0), ff = hf_dim(m->t, 1) / n;
    struct hf_match each = *m;

    for (uint64_t e = 0; h->rc == 0 && e < n; e++) {
        struct hf_seg s = turned ? hf_walk(m, e * ff * in, 2, (uint64_t[]){in, 1, ff, in})
                                 : hf_walk(m, e * ff * in, 2, (uint64_t[]){ff, in, in, 1});

        each.index = (int)e;
        (void)hf_emit(h, &each, m->name, 2, (uint64_t[]){turned ? ff : in, turned ? in : ff},
                      HF_COPY, &s, 1);
    }
    return h->rc;
}

static int nomic_up(struct hf *h, const struct hf_match *m)
{
    return emit_nomic(h, m, 0);
}

static int nomic_down(struct hf *h, const struct hf_match *m)
{
    return emit_nomic(h, m, 1);
}

/* clang-format off */
#define ROWS_EMBEDDINGS                                                                        \
    {"embeddings.word_embeddings.weight",       "token_embd.weight",   NULL},                  \
    {"embeddings.token_type_embeddings.weight", "token_types.weight",  NULL},                  \
    {"embeddings.position_ids",                 NULL,                  NULL},                  \
    {"pooler.dense.*",                          NULL,                  NULL}

static const struct hf_row bert_rows[] = {
    ROWS_EMBEDDINGS,
    {"embeddings.position_embeddings.weight",         "position_embd.weight",      positions},
    {"embeddings.LayerNorm.*",                        "token_embd_norm.*",         NULL},
    {"encoder.layer.%.attention.self.query.*",        "blk.%.attn_q.*",            NULL},
    {"encoder.layer.%.attention.self.key.*",          "blk.%.attn_k.*",            NULL},
    {"encoder.layer.%.attention.self.value.*",        "blk.%.attn_v.*",            NULL},
    {"encoder.layer.%.attention.output.dense.*",      "blk.%.attn_output.*",       NULL},
    {"encoder.layer.%.attention.output.LayerNorm.*",  "blk.%.attn_output_norm.*",  NULL},
    {"encoder.layer.%.intermediate.dense.*",          "blk.%.ffn_up.*",            NULL},
    {"encoder.layer.%.output.dense.*",                "blk.%.ffn_down.*",          NULL},
    {"encoder.layer.%.output.LayerNorm.*",            "blk.%.layer_output_norm.*", NULL},
    {"classifier.dense.*",                            "cls.*",                     NULL},
    {"classifier.out_proj.*",                         "cls.output.*",              NULL},
    {"classifier.*",                                  "cls.output.*",              NULL},
};

static const struct hf_row nomic_rows[] = {
    ROWS_EMBEDDINGS,
    {"emb_ln.*",                                      "token_embd_norm.*",         NULL},
    {"encoder.layers.%.attn.Wqkv.*",                  "blk.%.attn_qkv.*",          NULL},
    {"encoder.layers.%.attn.out_proj.*",              "blk.%.attn_output.*",       NULL},
    {"encoder.layers.%.norm1.*",                      "blk.%.attn_output_norm.*",  NULL},
    {"encoder.layers.%.norm2.*",                      "blk.%.layer_output_norm.*", NULL},
    {"encoder.layers.%.mlp.fc11.*",                   "blk.%.ffn_up.*",            NULL},
    {"encoder.layers.%.mlp.fc12.*",                   "blk.%.ffn_gate.*",          NULL},
    {"encoder.layers.%.mlp.fc1.*",                    "blk.%.ffn_up.*",            NULL},
    {"encoder.layers.%.mlp.fc2.*",                    "blk.%.ffn_down.*",          NULL},
    {"encoder.layers.%.mlp.router.layer.weight",      "blk.%.ffn_gate_inp.weight", NULL},
    {"encoder.layers.%.mlp.experts.mlp.w1",           "blk.%.ffn_up_exps.weight",  nomic_up},
    {"encoder.layers.%.mlp.experts.mlp.w2",           "blk.%.ffn_down_exps.weight", nomic_down},
    {"encoder.layers.%.mlp.experts.bias",             NULL,                        NULL},
};

static const struct hf_key nomic_keys[] = {
    {"rope.freq_base",     HF_F32, 0, "rotary_emb_base|rope_theta"},
    {"expert_count",       HF_U32, 0, "num_experts"},
    {"expert_used_count",  HF_U32, 0, "moe_top_k"},
    {"moe_every_n_layers", HF_U32, 0, "moe_every_n_layers"},
};
/* clang-format on */

/* How a sentence becomes one vector is told in a file of the sentence-transformers; classes
 * with a classifier score texts instead (4). */
static uint64_t pooling(struct hf *h)
{
    static const struct {
        const char *name;
        uint64_t type;
    } rows[] = {{"pooling_mode_cls_token", 2},
                {"pooling_mode_mean_tokens", 1},
                {"pooling_mode_lasttoken", 3}};
    char path[PATH_MAX];
    json_t *j = NULL;
    uint64_t type = 1;

    if (strstr(hf_text_at(h, "architectures", 0), "ForSequenceClassification"))
        return 4;
    if (snprintf(path, sizeof(path), "%s/1_Pooling/config.json", h->dir) < PATH_MAX &&
        access(path, F_OK) == 0 && h->rc == 0)
        h->rc = jfile_load(&j, path, 1 << 20, h->e);
    for (size_t i = 0; i < HF_COUNT(rows) && j; i++) {
        if (json_is_true(json_object_get(j, rows[i].name))) {
            type = rows[i].type;
            break;
        }
    }
    json_decref(j);
    return type;
}

static void bert_more(struct hf *h)
{
    hf_put_bool(h, "attention.causal", 0);
    hf_put_u32(h, "pooling_type", pooling(h));
    if (h->rc == 0)
        h->rc = gguf_put_u64(h->keys, "tokenizer.ggml.token_type_count", GGUF_U32,
                             hf_size(h, "type_vocab_size"), h->e);
}

static int nomic_has_experts(struct hf *h)
{
    return hf_int(h, "moe_every_n_layers", 0) > 0;
}

const struct hf_family hf_bert[] = {
    {
        .arch = "bert",
        .classes = "BertModel|RobertaModel|XLMRobertaModel|BertForMaskedLM|"
                   "XLMRobertaForSequenceClassification",
        .types = "bert|roberta|xlm-roberta",
        .rows = bert_rows,
        .n_row = HF_COUNT(bert_rows),
        .more = bert_more,
        .defaults = "{\"type_vocab_size\": 2, \"layer_norm_eps\": 1e-12}",
    },
    {
        .arch = "nomic-bert",
        .classes = "NomicBertModel",
        .types = "nomic_bert",
        HF_TABLES(nomic_keys, nomic_rows),
        .more = bert_more,
        .defaults = "{\"type_vocab_size\": 2}",
        .next = nomic_has_experts,
    },
    {
        .arch = "nomic-bert-moe",
        HF_TABLES(nomic_keys, nomic_rows),
        .more = bert_more,
    },
    {0},
};

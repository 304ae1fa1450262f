/* tiny_model.h - small model files with seeded random weights, for tests of what runs models.
 *
 * The file is whole and plain: architecture llama, qwen3, qwen2moe, qwen3moe, mamba2, or qwen35
 * and qwen3next, whose every other layer is linear attention; a tokenizer of single bytes and a
 * few words. With n_expert the layers have experts. Hooks see each key and
 * tensor before it is written and may change it or leave it out, so that a test of bad files
 * says only what is bad. Anything that goes wrong while writing ends the program.
 *
 * Threads  one
 */
#ifndef HEARTH_TESTS_TINY_MODEL_H
#define HEARTH_TESTS_TINY_MODEL_H

#include "base/arena.h"
#include "base/rng.h"
#include "fmt/gguf.h"
#include "quant/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TINY_SPECIALS = 3, TINY_WORDS = 61, TINY_VOCAB = TINY_SPECIALS + 256 + TINY_WORDS };
enum { TINY_BOS = 1, TINY_EOS = 2, TINY_WORD = TINY_SPECIALS + 256 };
enum { TINY_STATE = 16 }; /* numbers of a key head of linear attention */

struct tiny_tensor {
    const char *name;
    int type, n_dim;
    uint64_t ne[GGUF_DIMS];
};

struct tiny {
    const char *arch;
    int type; /* of the matrices, enum quant_type */
    int n_vocab, n_ctx, n_embd, n_layer, n_head, n_head_kv, n_ff;
    int n_expert, n_used; /* 0: none */
    int n_nextn;          /* layers behind the others that predict ahead (qwen35) */
    int split;            /* 1: a tensor for each expert, as old files have */
    int no_tok;           /* 1: without a tokenizer */
    uint64_t seed;
    /* Called for each of the model's own keys (without the architecture in front); 1: the hook
     * wrote what it wanted, or left the key out. */
    int (*key)(void *ctx, struct gguf_writer *w, const char *key);
    /* Called for each tensor, which it may change; 1: leave it out. */
    int (*tensor)(void *ctx, struct gguf_writer *w, struct tiny_tensor *t);
    void *ctx;
};

/* Widths that suit the type: blocks of 256 want rows of 256. */
static inline struct tiny tiny_of(int type)
{
    int block = 0, bytes, wide;

    (void)quant_type_size(type, &block, &bytes);
    wide = block > 64 ? block : 64;
    return (struct tiny){.arch = "llama",
                         .type = type,
                         .n_vocab = TINY_VOCAB,
                         .n_ctx = 1024,
                         .n_embd = wide,
                         .n_layer = 2,
                         .n_head = 4,
                         .n_head_kv = 2,
                         .n_ff = wide == 64 ? 96 : wide,
                         .seed = 7};
}

struct tiny_writer {
    const struct tiny *t;
    struct gguf_writer *w;
    struct arena arena; /* the tensors, until they are written */
    struct rng rng;
};

static inline void tiny_must(int ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "tiny model: %s\n", what);
        abort();
    }
}

/* -- keys ------------------------------------------------------------------------------ */

static inline void tiny_int(struct tiny_writer *tw, const char *name, int v)
{
    char key[128];

    if (tw->t->key && tw->t->key(tw->t->ctx, tw->w, name))
        return;
    (void)snprintf(key, sizeof(key), "%s.%s", tw->t->arch, name);
    tiny_must(gguf_put_u64(tw->w, key, GGUF_U32, (uint64_t)v, NULL) == 0, key);
}

static inline void tiny_f32(struct tiny_writer *tw, const char *name, double v)
{
    char key[128];

    if (tw->t->key && tw->t->key(tw->t->ctx, tw->w, name))
        return;
    (void)snprintf(key, sizeof(key), "%s.%s", tw->t->arch, name);
    tiny_must(gguf_put_f64(tw->w, key, GGUF_F32, v, NULL) == 0, key);
}

static inline int tiny_is(const struct tiny *t, const char *arch)
{
    return strncmp(t->arch, arch, strlen(arch)) == 0;
}

/* Whether layers have linear attention or a state space. */
static inline int tiny_has_ssm(const struct tiny *t)
{
    return tiny_is(t, "mamba2") || tiny_is(t, "qwen35") || tiny_is(t, "qwen3next");
}

static inline int tiny_is_linear(const struct tiny *t, int i)
{
    return tiny_is(t, "mamba2") || (tiny_has_ssm(t) && i < t->n_layer && i % 2 == 0);
}

/* The text of a token: specials, bytes, then words: a to z, " a" to " z", nine of two letters.
 */
static inline struct str tiny_text(int id, char room[16])
{
    static const char *const special[] = {"<unk>", "<s>", "</s>"};
    int w = id - TINY_WORD;

    if (id < TINY_SPECIALS)
        return str_of(special[id]);
    if (id < TINY_WORD)
        (void)snprintf(room, 16, "<0x%02X>", id - TINY_SPECIALS);
    else if (w < 26)
        (void)snprintf(room, 16, "%c", 'a' + w);
    else if (w < 52)
        (void)snprintf(room, 16, "\xe2\x96\x81%c", 'a' + w - 26);
    else
        (void)snprintf(room, 16, "%c%c", 'a' + w - 52, 'b' + w - 52);
    return str_of(room);
}

static inline void tiny_tok(struct tiny_writer *tw)
{
    static char room[TINY_VOCAB][16];
    struct str text[TINY_VOCAB];
    float score[TINY_VOCAB];
    int32_t type[TINY_VOCAB];
    struct gguf_writer *w = tw->w;

    for (int i = 0; i < TINY_VOCAB; i++) {
        text[i] = tiny_text(i, room[i]);
        score[i] = (float)-i;
        type[i] = i == 0 ? 2 : i < TINY_SPECIALS ? 3 : i < TINY_WORD ? 6 : 1;
    }
    tiny_must(
        gguf_put_str(w, "tokenizer.ggml.model", str_of("llama"), NULL) == 0 &&
            gguf_put_strs(w, "tokenizer.ggml.tokens", text, TINY_VOCAB, NULL) == 0 &&
            gguf_put_arr(w, "tokenizer.ggml.scores", GGUF_F32, score, TINY_VOCAB, NULL) == 0 &&
            gguf_put_arr(w, "tokenizer.ggml.token_type", GGUF_I32, type, TINY_VOCAB, NULL) ==
                0 &&
            gguf_put_u64(w, "tokenizer.ggml.bos_token_id", GGUF_U32, TINY_BOS, NULL) == 0 &&
            gguf_put_u64(w, "tokenizer.ggml.eos_token_id", GGUF_U32, TINY_EOS, NULL) == 0,
        "tokenizer");
}

static inline void tiny_keys(struct tiny_writer *tw)
{
    const struct tiny *t = tw->t;

    if (!t->key || !t->key(t->ctx, tw->w, "general.architecture"))
        tiny_must(gguf_put_str(tw->w, "general.architecture", str_of(t->arch), NULL) == 0,
                  "architecture");
    tiny_int(tw, "vocab_size", t->n_vocab);
    tiny_int(tw, "context_length", t->n_ctx);
    tiny_int(tw, "embedding_length", t->n_embd);
    tiny_int(tw, "block_count", t->n_layer + t->n_nextn);
    if (t->n_nextn)
        tiny_int(tw, "nextn_predict_layers", t->n_nextn);
    if (tiny_has_ssm(t)) {
        tiny_int(tw, "ssm.conv_kernel", 4);
        tiny_int(tw, "ssm.inner_size", t->n_embd);
        tiny_int(tw, "ssm.state_size", TINY_STATE);
        tiny_int(tw, "ssm.time_step_rank", t->n_head);
        tiny_int(tw, "ssm.group_count", t->n_head_kv);
        tiny_int(tw, "full_attention_interval", 2);
    }
    tiny_int(tw, "feed_forward_length", t->n_ff);
    if (t->n_expert) {
        tiny_int(tw, "expert_count", t->n_expert);
        tiny_int(tw, "expert_used_count", t->n_used);
        tiny_int(tw, "expert_feed_forward_length", t->n_ff);
    }
    tiny_int(tw, "attention.head_count", t->n_head);
    tiny_int(tw, "attention.head_count_kv", t->n_head_kv);
    tiny_f32(tw, "attention.layer_norm_rms_epsilon", 1e-5);
    tiny_int(tw, "rope.dimension_count", t->n_embd / t->n_head);
    tiny_f32(tw, "rope.freq_base", 10000);
    if (!t->no_tok)
        tiny_tok(tw);
}

/* -- tensors --------------------------------------------------------------------------- */

/* Random numbers of deviation 1 / sqrt(columns) around mean, in the tensor's type; n_mat
 * matrices of them. */
static inline void tiny_put_n(struct tiny_writer *tw, const char *name, int type, int n_mat,
                              int rows, int cols, float mean)
{
    struct tiny_tensor t = {
        name,
        type,
        n_mat > 1  ? 3
        : rows > 1 ? 2
                   : 1,
        {(uint64_t)cols, (uint64_t)(rows > 1 ? rows : 1), (uint64_t)n_mat, 1}};
    const struct quant *q;
    size_t n = 1;
    float *x;
    void *blocks;

    if (tw->t->tensor && tw->t->tensor(tw->t->ctx, tw->w, &t))
        return;
    q = quant_find(t.type);
    for (int i = 0; i < t.n_dim; i++)
        n *= (size_t)t.ne[i];
    tiny_must(q && t.ne[0] % (uint64_t)q->block == 0, name);
    x = arena_alloc(&tw->arena, n * sizeof(*x));
    blocks = arena_alloc(&tw->arena, n / (size_t)q->block * (size_t)q->bytes);
    tiny_must(x && blocks, "memory");
    for (size_t i = 0; i < n; i++)
        x[i] = mean + rng_normal(&tw->rng) / sqrtf((float)cols);
    q->from_f32(x, blocks, n);
    for (int i = 0; i < n_mat && n_mat > 1 && tw->t->split; i++) {
        size_t n_byte = n / (size_t)q->block * (size_t)q->bytes / (size_t)n_mat;
        char part[64];

        (void)snprintf(part, sizeof(part), "%.*s.%d.weight",
                       (int)(strstr(t.name, "_exps") - t.name), t.name, i);
        tiny_must(gguf_put_tensor(tw->w, part, t.type, 2, t.ne,
                                  (unsigned char *)blocks + (size_t)i * n_byte, NULL) == 0,
                  part);
    }
    if (n_mat > 1 && tw->t->split)
        return;
    tiny_must(gguf_put_tensor(tw->w, t.name, t.type, t.n_dim, t.ne, blocks, NULL) == 0, name);
}

static inline void tiny_put(struct tiny_writer *tw, const char *name, int type, int rows,
                            int cols, float mean)
{
    tiny_put_n(tw, name, type, 1, rows, cols, mean);
}

static inline void tiny_experts(struct tiny_writer *tw, int i)
{
    const struct tiny *t = tw->t;
    char name[64];

#define PUT(what, type, n, rows, cols)                                                         \
    (void)snprintf(name, sizeof(name), "blk.%d.%s.weight", i, what);                           \
    tiny_put_n(tw, name, type, n, rows, cols, 0)
    PUT("ffn_gate_inp", QUANT_F32, 1, t->n_expert, t->n_embd);
    PUT("ffn_gate_exps", t->type, t->n_expert, t->n_ff, t->n_embd);
    PUT("ffn_up_exps", t->type, t->n_expert, t->n_ff, t->n_embd);
    PUT("ffn_down_exps", t->type, t->n_expert, t->n_embd, t->n_ff);
    if (strcmp(t->arch, "qwen2moe") == 0 || tiny_has_ssm(t)) {
        PUT("ffn_gate_inp_shexp", QUANT_F32, 1, 1, t->n_embd);
        PUT("ffn_gate_shexp", t->type, 1, t->n_ff, t->n_embd);
        PUT("ffn_up_shexp", t->type, 1, t->n_ff, t->n_embd);
        PUT("ffn_down_shexp", t->type, 1, t->n_embd, t->n_ff);
    }
#undef PUT
}

/* The mixer of a linear layer. */
static inline void tiny_linear(struct tiny_writer *tw, int i)
{
    const struct tiny *t = tw->t;
    int n = t->n_embd, n_ch = n + 2 * t->n_head_kv * TINY_STATE, mamba = tiny_is(t, "mamba2");
    char name[64];

#define PUT(what, type, rows, cols, mean)                                                      \
    (void)snprintf(name, sizeof(name), "blk.%d.%s", i, what);                                  \
    tiny_put(tw, name, type, rows, cols, mean)
    if (mamba) {
        PUT("ssm_in.weight", t->type, n + n_ch + t->n_head, n, 0);
        PUT("ssm_d", QUANT_F32, t->n_head, 1, 0);
        PUT("ssm_norm.weight", QUANT_F32, t->n_head_kv, n / t->n_head_kv, 1);
    } else {
        PUT("attn_qkv.weight", t->type, n_ch, n, 0);
        PUT("attn_gate.weight", t->type, n, n, 0);
        PUT("ssm_norm.weight", QUANT_F32, 1, n / t->n_head, 1);
    }
    if (tiny_is(t, "qwen3next")) {
        PUT("ssm_ba.weight", t->type, 2 * t->n_head, n, 0);
    } else if (!mamba) {
        PUT("ssm_beta.weight", t->type, t->n_head, n, 0);
        PUT("ssm_alpha.weight", t->type, t->n_head, n, 0);
    }
    PUT("ssm_conv1d.weight", QUANT_F32, n_ch, 4, 0);
    PUT("ssm_dt.bias", QUANT_F32, 1, t->n_head, 0);
    PUT("ssm_a", QUANT_F32, mamba ? t->n_head : 1, mamba ? 1 : t->n_head, -4);
    PUT("ssm_out.weight", t->type, n, n, 0);
#undef PUT
}

static inline void tiny_nextn(struct tiny_writer *tw, int i)
{
    char name[64];

#define PUT(what, type, rows, cols, mean)                                                      \
    (void)snprintf(name, sizeof(name), "blk.%d.nextn.%s.weight", i, what);                     \
    tiny_put(tw, name, type, rows, cols, mean)
    PUT("eh_proj", tw->t->type, tw->t->n_embd, 2 * tw->t->n_embd, 0);
    PUT("enorm", QUANT_F32, 1, tw->t->n_embd, 1);
    PUT("hnorm", QUANT_F32, 1, tw->t->n_embd, 1);
#undef PUT
}

static inline void tiny_layer(struct tiny_writer *tw, int i)
{
    const struct tiny *t = tw->t;
    int d = t->n_embd / t->n_head, kv = d * t->n_head_kv, linear = tiny_is_linear(t, i);
    char name[64];

#define PUT(what, type, rows, cols, mean)                                                      \
    (void)snprintf(name, sizeof(name), "blk.%d.%s.weight", i, what);                           \
    tiny_put(tw, name, type, rows, cols, mean)
    PUT("attn_norm", QUANT_F32, 1, t->n_embd, 1);
    if (linear) {
        tiny_linear(tw, i);
    } else {
        PUT("attn_q", t->type, tiny_has_ssm(t) ? 2 * t->n_embd : t->n_embd, t->n_embd, 0);
        PUT("attn_k", t->type, kv, t->n_embd, 0);
        PUT("attn_v", t->type, kv, t->n_embd, 0);
    }
    if (strcmp(t->arch, "qwen2moe") == 0) {
        int rows[] = {t->n_embd, kv, kv};
        const char *what[] = {"attn_q", "attn_k", "attn_v"};

        for (int k = 0; k < 3; k++) {
            (void)snprintf(name, sizeof(name), "blk.%d.%s.bias", i, what[k]);
            tiny_put(tw, name, QUANT_F32, 1, rows[k], 0);
        }
    }
    if (tiny_is(t, "qwen3") && !linear) {
        PUT("attn_q_norm", QUANT_F32, 1, d, 1);
        PUT("attn_k_norm", QUANT_F32, 1, d, 1);
    }
    if (!linear) {
        PUT("attn_output", t->type, t->n_embd, t->n_embd, 0);
    }
    if (tiny_is(t, "mamba2"))
        return;
    PUT(tiny_has_ssm(t) ? "post_attention_norm" : "ffn_norm", QUANT_F32, 1, t->n_embd, 1);
    if (t->n_expert) {
        tiny_experts(tw, i);
        return;
    }
    PUT("ffn_gate", t->type, t->n_ff, t->n_embd, 0);
    PUT("ffn_up", t->type, t->n_ff, t->n_embd, 0);
    PUT("ffn_down", t->type, t->n_embd, t->n_ff, 0);
#undef PUT
}

/* Writes the model to path. */
static inline void tiny_write(const struct tiny *t, const char *path)
{
    struct tiny_writer tw = {.t = t};
    struct err e = {0};

    arena_init(&tw.arena, (size_t)1 << 30);
    rng_seed(&tw.rng, t->seed);
    tiny_must(gguf_writer_new(&tw.w, 3, NULL) == 0, "writer");
    tiny_keys(&tw);
    tiny_put(&tw, "token_embd.weight", t->type, t->n_vocab, t->n_embd, 0);
    tiny_put(&tw, "output_norm.weight", QUANT_F32, 1, t->n_embd, 1);
    tiny_put(&tw, "output.weight", t->type, t->n_vocab, t->n_embd, 0);
    for (int i = 0; i < t->n_layer + t->n_nextn; i++)
        tiny_layer(&tw, i);
    for (int i = t->n_layer; i < t->n_layer + t->n_nextn; i++)
        tiny_nextn(&tw, i);
    tiny_must(gguf_write(tw.w, path, &e) == 0, e.msg);
    gguf_writer_free(tw.w);
    arena_done(&tw.arena);
}

/* -- files ----------------------------------------------------------------------------- */

/* A path of this process's own under $TMPDIR. */
static inline const char *tiny_path(void)
{
    static char path[256];
    const char *tmp = getenv("TMPDIR");

    (void)snprintf(path, sizeof(path), "%s/hearth-tiny-%ld.gguf", tmp && *tmp ? tmp : "/tmp",
                   (long)getpid());
    return path;
}

#endif

/* hf_priv.h - how a folder is translated: tables of a family, and the plan that they make.
 *
 * hf.c opens a folder and finds its family; config.c reads config.json; plan.c matches names of
 * tensors with the family's rows and collects what each GGUF tensor is made of, ways.c has what
 * many rows do; read.c makes the numbers; tok*.c translate the tokenizer; write.c writes. Each
 * family group is a file with its tables, which ends with its rows, and a line in HF_FAMILIES.
 *
 * Uses     base/, sys/, fmt/, quant/; jansson
 */
#ifndef HEARTH_MODEL_HF_HF_PRIV_H
#define HEARTH_MODEL_HF_HF_PRIV_H

#include "base/arena.h"
#include "fmt/safetensors.h"
#include "model/hf/hf.h"

#include <jansson.h>

/* -- what a tensor is made of -------------------------------------------------------------- */

enum { HF_AXES = 5 };

/* Some numbers of a source tensor, in the order of a walk over it: n[0] times n[1] times ...,
 * the last axis fastest, each a step of so many numbers. */
struct hf_seg {
    const struct st_tensor *src, *scale; /* scale: what FP8 is multiplied with; or NULL */
    uint64_t at;                         /* the first number */
    int n_axis;
    uint64_t n[HF_AXES], step[HF_AXES];
    uint64_t n_elem; /* product of n */
    uint64_t from;   /* its place in the tensor, in its own steps */
    float mul;       /* numbers are multiplied with it; 0: with nothing */
};

enum hf_op {
    HF_COPY,
    HF_PLUS_ONE, /* x + 1: norms that are stored as what they differ from 1 */
    HF_NEG_EXP,  /* -exp(x): A_log */
    HF_MXFP4     /* blocks of 16 bytes with scales: the same numbers in GGUF's order */
};

enum { HF_TYPE_I32 = 26 }; /* GGUF's id of what is no weight */

struct hf_tensor {
    struct str name; /* ends with a NUL */
    int type;        /* GGUF type that it has without being asked */
    int n_dim;
    uint64_t ne[GGUF_DIMS], n_elem;
    int op;
    struct hf_seg *seg; /* one after the other */
    size_t n_seg;
    const float *made; /* computed from the config; n_seg is 0 then */
};

/* -- tables -------------------------------------------------------------------------------- */

struct hf_match {
    const struct hf_row *row;
    const struct st_tensor *t, *scale;
    int layer, index; /* what % and $ stood for, -1: not there */
    int join;         /* 1: index counts parts that lie behind each other, not experts */
    char name[128];   /* of the GGUF tensor */
};

typedef int hf_how(struct hf *h, const struct hf_match *m);

/* A name in the folder, without "model." and the like in front, and its GGUF name. In both, %
 * stands for the layer, and a last * for "weight" or "bias". $ stands for a number of which
 * each is a part of the result, in order (experts); it has no place in the GGUF name. Several
 * rows may take the same name. */
struct hf_row {
    const char *hf;
    const char *gguf; /* NULL: not needed */
    hf_how *how;      /* what to do with it; NULL: it is used as it is */
};

enum hf_kind { HF_U32, HF_F32, HF_BOOL, HF_STR };

/* A key of config.json and its GGUF key, ARCH.gguf. */
struct hf_key {
    const char *gguf;
    int kind; /* enum hf_kind */
    int must;
    const char *hf; /* "a|b.c": the first that is there; b.c: c in the object b */
};

struct hf_family {
    const char *arch;    /* general.architecture */
    const char *classes; /* "A|B": names in "architectures" */
    const char *types;   /* "a|b": model_type, where no class is told */
    const struct hf_key *keys;
    size_t n_key;
    const struct hf_row *rows;
    size_t n_row;
    /* Keys that are computed, and tensors; may be NULL. Errors go to h->rc. */
    void (*more)(struct hf *h);
    const char *defaults;      /* JSON: what its configs leave out; or NULL */
    int own_keys;              /* 1: without hf_decoder_keys */
    int ahead;                 /* 1: layers that predict further tokens are taken */
    int (*next)(struct hf *h); /* 1: the row behind is the one for this config; NULL: 0 */
    const char *tok; /* tokenizer.ggml.model where the tokenizer alone does not tell */
};

#define HF_COUNT(a)     (sizeof(a) / sizeof((a)[0]))
#define HF_TABLES(k, r) .keys = (k), .n_key = HF_COUNT(k), .rows = (r), .n_row = HF_COUNT(r)

/* -- the state of a translation ------------------------------------------------------------ */

struct hf_piece;

enum { HF_SUBS = 2 };

struct hf {
    char *dir;
    struct arena mem;
    json_t *config; /* text_config over the rest */
    /* NULL: not there; tok_map: special_tokens_map.json */
    json_t *generation, *tok_config, *tok_map;
    struct st *st;
    struct st *sub[HF_SUBS]; /* of folders in the folder; NULL: not there */
    struct gguf_writer *keys;
    const struct hf_family *family;
    char **note;
    size_t n_note;
    int n_layer;
    int n_ahead;            /* layers behind those, which predict further tokens */
    uint64_t n_vocab;       /* rows of the embedding */
    struct hf_piece *piece; /* while the plan is made */
    size_t n_piece, cap_piece;
    struct hf_tensor *tensor; /* the plan; experts one by one */
    size_t n_tensor;
    struct hf_tensor *stacked; /* the plan; experts in one tensor */
    size_t n_stacked;
    struct err *e; /* of the call that is running */
    int rc;        /* the first failure; what follows does nothing */
};

/* All of its weights are as they were (mmap_intact). Fails: E_IO. */
MUST_CHECK int hf_intact(const struct hf *h, struct err *e);

/* -- config.c ------------------------------------------------------------------------------ */

/* Paths as in hf_key. What is null is absent. */
const json_t *hf_get(const struct hf *h, const char *names);
int hf_has(const struct hf *h, const char *names);
int64_t hf_int(struct hf *h, const char *names, int64_t fallback);
double hf_num(struct hf *h, const char *names, double fallback);
int hf_flag(struct hf *h, const char *names, int fallback);
const char *hf_text(const struct hf *h, const char *names); /* "" when absent */
/* Element i of an array of strings; "" past its end. */
const char *hf_text_at(const struct hf *h, const char *names, size_t i);

/* A count that is needed, 1 to some millions: fails when it is not there. */
uint64_t hf_size(struct hf *h, const char *names);

/* ARCH.name = v */
void hf_put_u32(struct hf *h, const char *name, uint64_t v);
void hf_put_f32(struct hf *h, const char *name, double v);
void hf_put_bool(struct hf *h, const char *name, int v);
void hf_put_str(struct hf *h, const char *name, const char *v);
void hf_put_u32s(struct hf *h, const char *name, const uint32_t *v, size_t n);
void hf_put_bools(struct hf *h, const char *name, const unsigned char *v, size_t n);
void hf_put_f32s(struct hf *h, const char *name, const float *v, size_t n);
/* n zeroed numbers that live as long as h; NULL after a failure. */
void *hf_alloc(struct hf *h, size_t n, size_t size);

void hf_fail(struct hf *h, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
void hf_add_note(struct hf *h, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Keys of the table. */
void hf_put_keys(struct hf *h, const struct hf_key *keys, size_t n);

/* What nearly every decoder has: sizes, heads, epsilon. head_dim tells the length of a head. */
extern const struct hf_key hf_decoder_keys[];
extern const size_t hf_n_decoder_key;
uint64_t hf_head_dim(struct hf *h);
/* Key and value length, the rotated part of a head, rope base and scaling. */
void hf_put_heads(struct hf *h);
void hf_put_rope(struct hf *h, uint64_t n_rot);
void hf_put_rope_base(struct hf *h);
void hf_put_experts(struct hf *h);
/* Scores, groups and scales of DeepSeek's kind of experts. */
void hf_put_router(struct hf *h);
/* Is layer i of "layer_types" called so? */
int hf_layer_is(const struct hf *h, size_t i, const char *type);
/* Sizes of the parts of a head that positions in time, height and width rotate. */
void hf_put_sections(struct hf *h, uint32_t time, uint32_t height, uint32_t width);
/* One number if all n are the same, else the array. */
void hf_put_per_layer(struct hf *h, const char *name, const uint32_t *v, size_t n);

/* -- plan.c -------------------------------------------------------------------------------- */

/* A segment that is all of a tensor, and one that walks over it. axes: n and step, in turns. */
struct hf_seg hf_whole(const struct hf_match *m);
struct hf_seg hf_walk(const struct hf_match *m, uint64_t at, int n_axis, const uint64_t *axes);

/* Adds n_seg segments, one after the other, as (a part of) the tensor `name` with those
 * dimensions. Checks that the walks stay inside and fill it. */
int hf_emit(struct hf *h, const struct hf_match *m, const char *name, int n_dim,
            const uint64_t *ne, int op, const struct hf_seg *seg, size_t n_seg);
/* A tensor of numbers that were computed; v must live as long as h. */
void hf_emit_made(struct hf *h, const char *name, const float *v, uint64_t n);
/* GGUF dimensions of a source tensor: its shape in the other order, up to four. Returns how
 * many; a single number has one. */
int hf_dims(const struct st_tensor *t, uint64_t ne[GGUF_DIMS]);
/* Size i of the source's shape, counted from its end; 1 past its begin. */
uint64_t hf_dim(const struct st_tensor *t, int from_end);
/* m's source has a shape that does not fit the config. */
int hf_misfit(struct hf *h, const struct hf_match *m);

/* -- ways.c: ways to take a tensor, for rows ----------------------------------------------- */

int hf_emit_whole(struct hf *h, const struct hf_match *m, int op);
hf_how hf_plus_one, hf_neg_exp;
hf_how hf_squeeze;                      /* without sizes of 1 */
hf_how hf_column, hf_neg_exp_column;    /* a vector as [1, n]; of A_log */
hf_how hf_rope_q, hf_rope_k;            /* halves of a head to neighbours */
hf_how hf_join_0, hf_join_1, hf_join_2; /* part 0, 1, 2 of one tensor, behind each other */
hf_how hf_half_0, hf_half_1;         /* the first, the second half of the rows; experts' too */
hf_how hf_half_0_t, hf_half_1_t;     /* of experts whose matrices are [in, out] */
hf_how hf_each, hf_each_t;           /* matrices of experts, [out, in] and [in, out] */
hf_how hf_kv_b_keys, hf_kv_b_values; /* MLA's kv_b_proj, per head */
hf_how hf_group_norm;                /* a vector as n_groups rows */

/* Vectors, routers and the like: no type of a few bits for them. */
int hf_stays_f32(const struct hf_tensor *t);

/* Counts the layers that predict further tokens, of a family that takes them. */
void hf_count_ahead(struct hf *h);
int hf_plan(struct hf *h);

/* -- read.c -------------------------------------------------------------------------------- */

/* Numbers [from, from + n) of t, in its own type; both multiples of the type's block. */
void hf_read(const struct hf_tensor *t, uint64_t from, uint64_t n, void *out);
void hf_read_f32(const struct hf_tensor *t, uint64_t from, uint64_t n, float *out);
/* t's sources were read: their pages of files need not stay in memory. */
void hf_let_go(const struct hf_tensor *t);
/* Where the bytes of t lie as they are to be, or NULL. */
const unsigned char *hf_in_place(const struct hf_tensor *t);
/* The type that a tensor of those segments has by itself. Returns it or E_UNSUPPORTED. */
int hf_own_type(const struct hf_tensor *t, struct err *e);
int hf_is_float(int dtype);

/* -- tok.c, tok_*.c ------------------------------------------------------------------------ */

/* Puts the keys of the tokenizer and of its chat templates. */
void hf_tokenizer(struct hf *h);

/* What a tokenizer is made of, filled by one of the readers; hf_vocab_new is the empty one. */
struct hf_vocab {
    struct str *text;
    int32_t *type; /* enum tok_type of text/tok.h, by its numbers in files */
    float *score;
    unsigned char *side; /* HF_LSTRIP, HF_RSTRIP */
    size_t n;
    const char *model; /* tokenizer.ggml.model; NULL: of no known kind, which a note says */
    const char *pre;   /* NULL: none */
    struct str *merge; /* "left right"; NULL: none */
    size_t n_merge;
    struct str charsmap; /* of SentencePiece's normaliser */
    /* -1: not told, or none */
    int add_space, one_space;               /* a space in front; runs of spaces become one */
    int lower, strip;                       /* BERT's: small letters; without accents */
    int add_bos, add_eos;                   /* the post-processor puts them around a text */
    int bos, eos, unk, pad, cls, sep, mask; /* ids */
};
extern const struct hf_vocab hf_vocab_new;
enum {
    HF_TOK_NORMAL = 1,
    HF_TOK_UNKNOWN,
    HF_TOK_CONTROL,
    HF_TOK_USER,
    HF_TOK_UNUSED,
    HF_TOK_BYTE
};

enum { HF_LSTRIP = 1, HF_RSTRIP };

/* What tokenizer.json and tokenizer_config.json say alike of an added token: its type, and
 * whether it takes the spaces in front or behind along. */
void hf_vocab_add(struct hf_vocab *v, size_t id, struct str text, const json_t *about);
/* Makes room for n unused tokens. Fails, and h->rc says so: more than a vocabulary has. */
int hf_vocab_room(struct hf *h, struct hf_vocab *v, const char *what, int64_t n);
int64_t hf_vocab_find(const struct hf_vocab *v, struct str text); /* -1: no such token */
/* "<0x0A>": a token that stands for a byte. */
int hf_is_byte(struct str s);

/* All readers borrow texts from what they read; errors go to h->rc, and begin with the name of
 * the file. */

/* tokenizer.json */
void hf_tok_json(struct hf *h, struct hf_vocab *v, const json_t *j);
/* tok_norm.c: its normaliser, and what its post-processor puts around a text. */
void hf_tok_norm(struct hf *h, struct hf_vocab *v, const json_t *j);
void hf_tok_around(struct hf *h, struct hf_vocab *v, const json_t *j);
/* tokenizer.ggml.pre of a byte-level BPE; "unknown", with a note, when no row is like it. */
const char *hf_pre_of(struct hf *h, const json_t *tokenizer);
/* The same of tiktoken's expression; whole words that are tokens stay whole. */
const char *hf_pre_of_regex(struct hf *h, const char *what, const char *regex);
/* The step of that type in tokenizer.json's "normalizer", "pre_tokenizer", ...; NULL: none. */
const json_t *hf_step(const json_t *tokenizer, const char *where, const char *type);

/* SentencePiece's model */
void hf_tok_spm(struct hf *h, struct hf_vocab *v, const char *what, struct str bytes);

/* tok_rank.c: tokens by rank, as text (tiktoken's) or as JSON (Mistral's tekken.json). */
int hf_is_tiktoken(struct str bytes); /* 1: it looks like that, by its first line */
void hf_tok_tiktoken(struct hf *h, struct hf_vocab *v, const char *what, struct str bytes);
void hf_tok_tekken(struct hf *h, struct hf_vocab *v, const json_t *j);

/* tok_chat.c: the keys of chat templates. */
void hf_templates(struct hf *h);
/* A file in the folder, by its name; *map is empty when it is not there. Returns 1 when it is.
 */
int hf_map_in(struct hf *h, const char *name, struct mapping *map);
/* What was read from it counts only if it was there: else that is the first failure. */
void hf_unmap(struct hf *h, struct mapping *map);

/* -- families ------------------------------------------------------------------------------ */

/* Each is an array that ends with a row without arch. */
#define HF_FAMILIES(X)                                                                         \
    X(llama)                                                                                   \
    X(qwen)                                                                                    \
    X(qwen_next)                                                                               \
    X(gemma)                                                                                   \
    X(gptoss)                                                                                  \
    X(phi)                                                                                     \
    X(bert)                                                                                    \
    X(plain)                                                                                   \
    X(falcon)                                                                                  \
    X(deepseek)                                                                                \
    X(glm)                                                                                     \
    X(mamba)

#define X(name) extern const struct hf_family hf_##name[];
HF_FAMILIES(X)
#undef X

/* -- rows that many families share --------------------------------------------------------- */

/* clang-format off */
#define HF_ROWS_MODEL                                                                          \
    {"embed_tokens.weight",                     "token_embd.weight",       NULL},              \
    {"norm.*",                                  "output_norm.*",           NULL},              \
    {"lm_head.*",                               "output.*",                NULL},              \
    {"layers.%.self_attn.rotary_emb.inv_freq",  NULL,                      NULL},              \
    {"rotary_emb.inv_freq",                     NULL,                      NULL}

#define HF_ROWS_QKV(q, k)                                                                      \
    {"layers.%.self_attn.q_proj.*",             "blk.%.attn_q.*",          q},                 \
    {"layers.%.self_attn.k_proj.*",             "blk.%.attn_k.*",          k},                 \
    {"layers.%.self_attn.v_proj.*",             "blk.%.attn_v.*",          NULL},              \
    {"layers.%.self_attn.o_proj.*",             "blk.%.attn_output.*",     NULL}

#define HF_ROWS_QK_NORM(how)                                                                   \
    {"layers.%.self_attn.q_norm.weight",        "blk.%.attn_q_norm.weight", how},              \
    {"layers.%.self_attn.k_norm.weight",        "blk.%.attn_k_norm.weight", how}

/* A norm before attention, one before the feed-forward. */
#define HF_ROWS_NORMS                                                                          \
    {"layers.%.input_layernorm.*",              "blk.%.attn_norm.*",       NULL},              \
    {"layers.%.post_attention_layernorm.*",     "blk.%.ffn_norm.*",        NULL}

#define HF_ROWS_FFN                                                                            \
    {"layers.%.mlp.gate_proj.*",                "blk.%.ffn_gate.*",        NULL},              \
    {"layers.%.mlp.up_proj.*",                  "blk.%.ffn_up.*",          NULL},              \
    {"layers.%.mlp.down_proj.*",                "blk.%.ffn_down.*",        NULL}

#define HF_ROWS_EXPERTS                                                                        \
    {"layers.%.mlp.gate.weight",                "blk.%.ffn_gate_inp.weight",  NULL},           \
    {"layers.%.mlp.experts.$.gate_proj.weight", "blk.%.ffn_gate_exps.weight", NULL},           \
    {"layers.%.mlp.experts.$.up_proj.weight",   "blk.%.ffn_up_exps.weight",   NULL},           \
    {"layers.%.mlp.experts.$.down_proj.weight", "blk.%.ffn_down_exps.weight", NULL}

/* The same by the names of Mixtral. */
#define HF_ROWS_EXPERTS_W                                                                      \
    {"layers.%.block_sparse_moe.gate.weight",         "blk.%.ffn_gate_inp.weight",  NULL},     \
    {"layers.%.block_sparse_moe.experts.$.w1.weight", "blk.%.ffn_gate_exps.weight", NULL},     \
    {"layers.%.block_sparse_moe.experts.$.w3.weight", "blk.%.ffn_up_exps.weight",   NULL},     \
    {"layers.%.block_sparse_moe.experts.$.w2.weight", "blk.%.ffn_down_exps.weight", NULL}

#define HF_ROWS_SHARED(expert)                                                                 \
    {"layers.%.mlp." expert ".gate_proj.weight", "blk.%.ffn_gate_shexp.weight", NULL},         \
    {"layers.%.mlp." expert ".up_proj.weight",   "blk.%.ffn_up_shexp.weight",   NULL},         \
    {"layers.%.mlp." expert ".down_proj.weight", "blk.%.ffn_down_shexp.weight", NULL}

/* What a layer that predicts a further token has more. */
#define HF_ROWS_AHEAD(norm)                                                                    \
    {"layers.%.eh_proj.weight",                 "blk.%.nextn.eh_proj.weight",          NULL},  \
    {"layers.%.enorm.weight",                   "blk.%.nextn.enorm.weight",            norm},  \
    {"layers.%.hnorm.weight",                   "blk.%.nextn.hnorm.weight",            norm},  \
    {"layers.%.embed_tokens.weight",            "blk.%.nextn.embed_tokens.weight",     NULL},  \
    {"layers.%.shared_head.head.weight",        "blk.%.nextn.shared_head_head.weight", NULL},  \
    {"layers.%.shared_head.norm.weight",        "blk.%.nextn.shared_head_norm.weight", norm}
/* clang-format on */

#endif

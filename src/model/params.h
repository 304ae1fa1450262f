/* params.h - the numbers that shape a model, read from the file's keys and checked.
 *
 * After params_read every field is in range and consistent: the layers above multiply and
 * index with them without looking again.
 *
 * Units    counts; n_ctx_train in tokens; frequencies in radians per position
 * Source   GGUF keys of the architectures; YaRN: Peng et al. 2023, arXiv:2309.00071
 */
#ifndef HEARTH_MODEL_PARAMS_H
#define HEARTH_MODEL_PARAMS_H

#include "base/err.h"
#include "fmt/gguf.h"

#include <stdint.h>

enum params_limit {
    PARAMS_LAYERS_MAX = 1024,
    PARAMS_WIDTH_MAX = 1 << 20, /* embedding, feed-forward, heads x head size */
    PARAMS_HEADS_MAX = 1024,
    PARAMS_HEAD_DIM_MAX = 1024,
    PARAMS_VOCAB_MAX = 1 << 24,
    PARAMS_EXPERTS_MAX = 512, /* of a layer */
    PARAMS_CTX_MAX = 1 << 24
};

/* ROPE_LONG: factors for each frequency come with the file (longrope). */
enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN, ROPE_LONG, ROPE_SCALING_N };

struct rope_params {
    int n_rot; /* numbers of a head that rotate, even */
    double base;
    int scaling;  /* enum rope_scaling */
    double scale; /* 1 / factor */
    int n_ctx_orig;
    double ext, attn; /* YaRN: share of extrapolation; multiplier of cos and sin */
    double beta_fast, beta_slow;
    int exact; /* YaRN: its range ends between pairs, not at whole ones */
    double log_mul;
};

/* How a router's results become the weights of experts; the numbers of expert_gating_func, less
 * one. MOE_CHOSEN: the softmax of those that were chosen. MOE_SPARSE has no number:
 * SparseMixer, the share of each in the softmax of those that nearly reach it and are not
 * chosen yet. */
enum moe_score {
    MOE_SOFTMAX,
    MOE_SIGMOID,
    MOE_CHOSEN,
    MOE_SQRT_SOFTPLUS,
    MOE_SPARSE,
    MOE_SCORE_N
};

/* A layer with experts instead of one feed-forward. */
struct moe_params {
    int n, n_used;   /* experts of a layer (0: none), and how many a token goes through */
    int n_ff;        /* width of an expert */
    int n_ff_shared; /* of the one that all tokens go through, 0: none */
    int n_in;        /* what experts read and give, where it is not the embedding; 0: it is */
    int score;       /* enum moe_score */
    int norm;        /* 1: the chosen weights are divided by their sum */
    float scale;     /* what they are multiplied by then */
    /* Experts stand in groups, of which only the best are chosen from; 1 of 1: from all. The
     * best have the largest sum of their two best, or with group_max their one best. */
    int n_group, n_group_used, group_max;
    int n_dense; /* the first layers, which have a plain feed-forward instead */
};

enum pooling { POOL_NONE, POOL_MEAN, POOL_CLS, POOL_LAST, POOL_RANK };

/* Mamba-2 and the gated delta rule: how wide a layer is inside. */
struct ssm_params {
    int conv;    /* positions that the convolution sees */
    int inner;   /* numbers of a token in the layer */
    int state;   /* numbers that a channel keeps (delta rule: size of a head) */
    int n_head;  /* heads, of values */
    int n_group; /* groups that share B and C (delta rule: heads of queries and keys) */
};

/* Latent attention: what keys and values are made of. */
struct mla_params {
    int q_rank;          /* width between the two products of queries, 0: one product */
    int kv_rank;         /* numbers of a position that are cached, beside those that rotate */
    int d_k, d_v;        /* of the heads that the latent stands for */
    int n_group, o_rank; /* groups of heads whose results become o_rank numbers each; 0: none */
};

/* Choosing the positions that attention sees: small queries and keys beside its own. */
struct index_params {
    int n_head, d;
    int top; /* positions that are seen, where there are more */
};

/* Hyper-connections: residual streams that each part of a layer mixes. */
struct hyper_params {
    int n;      /* streams */
    int n_iter; /* of the balancing of the mixing matrix */
    float eps;
};

enum norm { NORM_RMS, NORM_LAYER };

/* One model has up to two kinds of rotation: that of most layers and that of windowed ones. */
enum { ROPE_MAIN, ROPE_SWA, ROPE_N };

struct params {
    int n_vocab, n_ctx_train, n_embd;
    int n_layer; /* that a token passes; n_nextn more, behind them, predict what follows */
    int n_nextn;
    /* The largest of any layer; what a layer has is in struct layer (model.h). */
    int n_head, n_head_kv;
    int d_k, d_v; /* head sizes of keys (and queries) and of values */
    int n_ff;
    struct moe_params moe;
    struct ssm_params ssm;
    struct mla_params mla;
    struct index_params index;
    struct hyper_params hyper;
    int norm;                  /* enum norm */
    float eps;                 /* of the norms; below 0 before a family's own: not said */
    float kq_scale;            /* of the scores; 0: one over the root of the head size */
    float attn_cap, logit_cap; /* scores and logits stay below; 0: no limit */
    /* What the embeddings, what each part adds and the logits are multiplied by; 1 mostly. */
    float embd_scale, residual_scale, logit_scale;
    int n_window; /* positions that windowed layers see; 0: there are none, or all */
    /* Far queries grow: by 1 + temp_scale ln(1 + floor((position + temp_offset) /
     * temp_length)); temp_scale 0: they do not. */
    double temp_scale;
    int temp_length, temp_offset;
    int causal; /* 0: attention in both directions */
    struct rope_params rope[ROPE_N];
    int rope_kind;   /* enum kern_rope: which numbers rotate together */
    int pooling;     /* enum pooling */
    int n_label;     /* what a reranker or classifier tells apart, 0: it is none */
    int n_type;      /* kinds of text that encoders tell apart, 0: none */
    int n_token_row; /* rows of token_embd, at most PARAMS_WIDTH_MAX; else 0 */
    int n_ple;       /* width of what each layer embeds by itself, 0: nothing */
    int n_dense[2];  /* rows of dense_2 and dense_3, which follow the pooling; 0: none */
};

/* The keys that families share. Counts that differ from layer to layer: the largest. Fails:
 * E_FORMAT a key is missing, of a wrong type or out of range (the message names it). */
MUST_CHECK int params_read(struct params *p, const struct gguf *g, const char *arch, int norm,
                           struct err *e);

/* Reads keys one after the other; the first failure stays in rc and e, and what is read after
 * it is the fallback. An architecture reads its own keys through it. */
struct params_reader {
    const struct gguf *g;
    const char *arch; /* in front of each key */
    struct err *e;
    int rc; /* 0, or the first error */
};

/* arch.name as an int in [min, max]. Absent: fallback, or an error when that is below min. */
int params_int(struct params_reader *r, const char *name, int64_t min, int64_t max,
               int64_t fallback);
/* The same of one layer: a key may be one number for all, or an array with one for each. An
 * array that ends before the layer counts as absent. */
int params_int_at(struct params_reader *r, const char *name, int layer, int64_t min,
                  int64_t max, int64_t fallback);
/* arch.name of one layer as a number, as params_int_at. */
double params_f64_at(struct params_reader *r, const char *name, int layer, double min,
                     double max, double fallback);
/* arch.name as 0 or 1. Absent: fallback. */
int params_flag(struct params_reader *r, const char *name, int fallback);
/* Whether a layer looks back through a window: as sliding_window_pattern says, an array of
 * flags or a period of which the last layer sees all; absent: a period of `period`. */
int params_windowed(struct params_reader *r, int layer, int period);
/* The keys of ssm_params, all needed; those of mla_params. */
void params_ssm(struct params_reader *r, struct params *p);
void params_mla(struct params_reader *r, struct params *p);
/* The keys of index_params, all needed. */
void params_index(struct params_reader *r, struct params *p);
/* The keys of experts into p->moe. `usual` is what the family has where the file does not say
 * (n_ff 0: n_ff / n_used of the plain keys); its n is the least expert_count. Fails: as
 * params_read; E_UNSUPPORTED a kind of scoring or choosing that is not here. */
void params_moe(struct params_reader *r, struct params *p, const struct moe_params *usual);

/* arch.name as a number in [min, max]. Absent: fallback, or an error when that is NAN. */
double params_f64(struct params_reader *r, const char *name, double min, double max,
                  double fallback);
/* 1 when the file has arch.name. */
int params_has(struct params_reader *r, const char *name);
/* The tensor blk.LAYER.name, or NULL: where what the file has decides. */
const struct gguf_tensor *params_tensor(struct params_reader *r, int layer, const char *name);

/* The angles of one position: n_rot / 2 pairs (cos, sin) into cs. factors: what divides each
 * frequency (rope_freqs), or NULL. */
void rope_angles(const struct rope_params *r, const float *factors, int pos, float *cs);

#endif

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

enum rope_scaling { ROPE_PLAIN, ROPE_LINEAR, ROPE_YARN };

struct rope_params {
    int n_rot; /* numbers of a head that rotate, even */
    double base;
    int scaling;  /* enum rope_scaling */
    double scale; /* 1 / factor */
    int n_ctx_orig;
    double ext, attn; /* YaRN: share of extrapolation; multiplier of cos and sin */
    double beta_fast, beta_slow;
    double log_mul;
};

/* How a router's results become the weights of experts. */
enum moe_score { MOE_SOFTMAX, MOE_SIGMOID, MOE_SCORE_N };

/* A layer with experts instead of one feed-forward. */
struct moe_params {
    int n, n_used;   /* experts of a layer (0: none), and how many a token goes through */
    int n_ff;        /* width of an expert */
    int n_ff_shared; /* of the one that all tokens go through, 0: none */
    int score;       /* enum moe_score */
    int norm;        /* 1: the chosen weights are divided by their sum */
    float scale;     /* what they are multiplied by then */
};

enum pooling { POOL_NONE, POOL_MEAN, POOL_CLS, POOL_LAST, POOL_RANK };

struct params {
    int n_vocab, n_ctx_train, n_embd, n_layer;
    int n_head, n_head_kv; /* n_head is a multiple of n_head_kv */
    int d_k, d_v;          /* head sizes of keys (and queries) and of values */
    int n_ff;
    struct moe_params moe;
    float eps;      /* of the norms */
    float kq_scale; /* of the scores */
    struct rope_params rope;
    int pooling; /* enum pooling */
};

/* The keys that the plain decoder families share. Fails: E_FORMAT a key is missing, of a
 * wrong type or out of range (the message names it). */
MUST_CHECK int params_read(struct params *p, const struct gguf *g, const char *arch,
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
/* The keys of experts into p->moe. `usual` is what the family has where the file does not say
 * (n_ff 0: n_ff / n_used of the plain keys); its n is the least expert_count. Fails: as
 * params_read; E_UNSUPPORTED a kind of scoring or choosing that is not here. */
void params_moe(struct params_reader *r, struct params *p, const struct moe_params *usual);

/* arch.name as a number in [min, max]. Absent: fallback, or an error when that is NAN. */
double params_f64(struct params_reader *r, const char *name, double min, double max,
                  double fallback);
/* 1 when the file has arch.name. */
int params_has(struct params_reader *r, const char *name);

/* The angles of one position: n_rot / 2 pairs (cos, sin) into cs. factors: what divides each
 * frequency (rope_freqs), or NULL. */
void rope_angles(const struct rope_params *r, const float *factors, int pos, float *cs);

#endif

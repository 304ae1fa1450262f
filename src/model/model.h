/* model.h - a model in memory: its numbers, its tensors, and the code that runs it.
 *
 * An architecture is one file in arch/ that ends in a struct arch: which tensors it has, and
 * a forward function that reads like its paper, made of blocks (block/block.h). model_open
 * finds the row by the file's name for it and checks every tensor against the shapes that the
 * parameters imply. It then computes from the file as it lies; pack.h brings the matrices into
 * the layout of the machine's tier meanwhile.
 *
 * Layout   matrices [rows][columns] as in GGUF: ne[0] is the number of columns
 * Threads  read-only after model_open, but for the pointers to what is packed, which are
 *          atomic; forward runs in the thread that owns the step
 * Uses     base/, sys/, fmt/, quant/, kern/
 */
#ifndef HEARTH_MODEL_MODEL_H
#define HEARTH_MODEL_MODEL_H

#include "base/arena.h"
#include "base/err.h"
#include "fmt/gguf.h"
#include "kern/kern.h"
#include "model/pack.h"
#include "model/params.h"

#include <stdatomic.h>

struct hf_watch;
struct lora;
struct step;
struct model;

/* What a tensor is for. Global ones first, then those of a layer. An architecture's own stand
 * at the end, by what they belong to. */
enum tensor_role {
    T_TOKEN_EMBD,
    T_TOKEN_EMBD_NORM,
    T_TOKEN_EMBD_NORM_BIAS,
    T_TOKEN_TYPES,
    T_POSITION_EMBD,
    T_OUTPUT_NORM,
    T_OUTPUT_NORM_BIAS,
    T_OUTPUT,
    T_OUTPUT_BIAS,
    T_ROPE_FREQS,
    T_ROPE_FACTORS_LONG,
    T_ROPE_FACTORS_SHORT,
    T_CLS,
    T_CLS_BIAS,
    T_CLS_NORM,
    T_CLS_OUTPUT,
    T_CLS_OUTPUT_BIAS,
    T_DENSE_2,
    T_DENSE_3,
    T_PLE_EMBD, /* embeddings of each layer's own */
    T_PLE_PROJ,
    T_PLE_PROJ_NORM,
    /* attention */
    T_ATTN_NORM,
    T_ATTN_NORM_BIAS,
    T_ATTN_NORM_2,
    T_ATTN_NORM_2_BIAS,
    T_ATTN_Q,
    T_ATTN_K,
    T_ATTN_V,
    T_ATTN_OUTPUT,
    T_ATTN_Q_BIAS,
    T_ATTN_K_BIAS,
    T_ATTN_V_BIAS,
    T_ATTN_OUTPUT_BIAS,
    T_ATTN_Q_NORM,
    T_ATTN_K_NORM,
    T_ATTN_SINKS,
    T_ATTN_GATE,
    T_ATTN_POST_NORM,
    T_ATTN_OUTPUT_NORM,
    T_ATTN_OUTPUT_NORM_BIAS,
    /* latent attention */
    T_ATTN_Q_A,
    T_ATTN_Q_A_NORM,
    T_ATTN_Q_B,
    T_ATTN_KV_A,
    T_ATTN_KV_A_NORM,
    T_ATTN_K_B,
    T_ATTN_V_B,
    T_ATTN_KV_B,
    /* feed-forward */
    T_FFN_NORM,
    T_FFN_NORM_BIAS,
    T_FFN_GATE,
    T_FFN_UP,
    T_FFN_DOWN,
    T_FFN_GATE_BIAS,
    T_FFN_UP_BIAS,
    T_FFN_DOWN_BIAS,
    T_FFN_POST_NORM,
    T_LAYER_OUTPUT_NORM,
    T_LAYER_OUTPUT_NORM_BIAS,
    T_LAYER_OUTPUT_SCALE,
    T_PLE_GATE,
    T_PLE_OUT,
    T_PLE_NORM,
    /* experts */
    T_FFN_GATE_INP, /* the router */
    T_FFN_GATE_INP_BIAS,
    T_FFN_GATE_INP_SCALE,
    T_EXP_PROBS_BIAS, /* for choosing only */
    T_FFN_GATE_EXPS,
    T_FFN_UP_EXPS,
    T_FFN_DOWN_EXPS,
    T_FFN_GATE_EXPS_BIAS,
    T_FFN_UP_EXPS_BIAS,
    T_FFN_DOWN_EXPS_BIAS,
    T_FFN_GATE_INP_SHEXP,
    T_FFN_GATE_SHEXP,
    T_FFN_UP_SHEXP,
    T_FFN_DOWN_SHEXP,
    T_FFN_LATENT_DOWN,
    T_FFN_LATENT_UP,
    T_FFN_PRE_NORM_2,
    T_FFN_POST_NORM_1,
    T_FFN_POST_NORM_2,
    T_FFN_TID2EID,
    /* state spaces and linear attention */
    T_SSM_IN,
    T_SSM_CONV,
    T_SSM_CONV_BIAS,
    T_SSM_DT_BIAS,
    T_SSM_A,
    T_SSM_D,
    T_SSM_NORM,
    T_SSM_OUT,
    T_SSM_BA,
    T_SSM_BETA,
    T_SSM_ALPHA,
    /* the next tokens' heads */
    T_NEXTN_EH_PROJ,
    T_NEXTN_ENORM,
    T_NEXTN_HNORM,
    T_NEXTN_EMBED,
    T_NEXTN_HEAD,
    T_NEXTN_HEAD_NORM,
    /* an architecture's own: T_OWN, T_OWN + 1, ... */
    T_OWN,
    T_ROLE_N = T_OWN + 24
};

/* Sizes by name, so that a table of tensors reads like the paper's. Those of a head or a
 * feed-forward are the layer's. */
enum tensor_dim {
    DIM_ONE,
    DIM_EMBD,
    DIM_EMBD2,
    DIM_VOCAB,
    DIM_CTX,
    DIM_LABELS,
    DIM_TYPES,
    DIM_DENSE_2,
    DIM_DENSE_3,
    DIM_PLE,     /* what a layer embeds by itself */
    DIM_PLE_ALL, /* the same of all layers */
    DIM_FF,
    DIM_Q,     /* heads x key size */
    DIM_Q2,    /* twice that: a gate beside each query */
    DIM_K,     /* key/value heads x key size */
    DIM_V,     /* key/value heads x value size */
    DIM_O,     /* heads x value size */
    DIM_HEAD,  /* key size */
    DIM_HEADS, /* their number */
    DIM_FREQS, /* pairs that rotate */
    DIM_EXPERT,
    DIM_FF_EXPERT,
    DIM_FF_SHARED,
    DIM_MOE_IN, /* what experts read and give */
    DIM_Q_RANK,
    DIM_KV_RANK,
    DIM_KV_RANK_ROT, /* kv_rank and the numbers that rotate */
    DIM_MLA_Q,       /* heads x d_k of mla_params */
    DIM_MLA_O,       /* heads x d_v */
    DIM_MLA_NOPE,    /* d_k without the numbers that rotate */
    DIM_MLA_V,
    DIM_SSM_CONV,
    DIM_SSM_INNER,
    DIM_SSM_HEADS,
    DIM_SSM_STATE,
    DIM_SSM_GROUPS,
    DIM_SSM_GROUP,    /* inner / groups */
    DIM_SSM_CHANNELS, /* that the convolution has: inner, and twice groups x state */
    DIM_SSM_IN,       /* a gate beside them, and a number for each head */
    /* an architecture's own: arch->dim says how large */
    DIM_OWN
};

enum tensor_flags {
    TENSOR_LAYER = 1, /* one in each layer, named blk.N.<name> */
    TENSOR_MAY = 2,   /* may be absent */
    TENSOR_VEC = 4,   /* small, kept as floats: also two dimensions, one after the other */
    TENSOR_RAW = 8,   /* read by the architecture itself, of any type (token ids) */
    TENSOR_ROWS = 16  /* read row by row (blk_row), in no product */
};

/* What a layer is made of; a row of the table with some of these in `when` is of the layers
 * that have one of them. */
enum layer_has {
    HAS_ATTN = 1,
    HAS_KV = 2, /* keys and values of its own */
    HAS_FFN = 4,
    HAS_MOE = 8,
    HAS_SHARED = 16, /* experts that all tokens go through */
    HAS_MLA = 32,
    HAS_SSM = 64,
    HAS_DELTA = 128,
    HAS_NEXTN = 256, /* a head that predicts the token after the next */
    HAS_PLE = 512,   /* an embedding of its own */
    HAS_OWN = 1024   /* the architecture's own: HAS_OWN, twice that, ... */
};

/* Rows of one role are names for the same: the first that the file has counts. */
struct tensor_spec {
    int role; /* enum tensor_role */
    const char *name;
    int flags;
    int dim[3]; /* ne[0], ne[1], ne[2]; DIM_ONE: 1 */
    int when;   /* enum layer_has, 0: all layers, those with HAS_NEXTN too; outside of layers:
                   when any layer has it */
};

/* A tensor of the model. One with three dimensions is a matrix for each expert or head: as many
 * weights, one after the other, each with a struct gguf_tensor of its own. */
struct weight {
    const struct gguf_tensor *src;
    struct kern_weight w;                    /* matrices: the rows in the file */
    _Atomic(const struct kern_weight *) now; /* what products read: w, or the packed one */
    const float *vec;                        /* TENSOR_VEC: the numbers */
    float scale; /* what a product by this matrix is multiplied by before its bias */
    const struct lora *lora; /* what adapters add (adapter.h), NULL: nothing */
};

/* What a product by this matrix is to read from now on; another thread may change it, so a
 * job asks once. */
static inline const struct kern_weight *weight_now(const struct weight *w)
{
    return atomic_load_explicit(&w->now, memory_order_acquire);
}

/* Which positions attention sees of those up to its own, w being the layer's n_window. */
enum window {
    WINDOW_ALL,
    WINDOW_LAST,  /* the last w, its own the last */
    WINDOW_CHUNK, /* those of its own piece of w, counted from 0 */
    WINDOW_AROUND /* in both directions, w / 2 to each side */
};

struct layer {
    const struct weight *t[T_ROLE_N]; /* NULL: the file has none; experts: the first */
    int has;                          /* enum layer_has */
    int n_head, n_head_kv;            /* n_head is a multiple of n_head_kv */
    int d_k, d_v;
    int n_ff;
    float kq_scale;
    int window, n_window; /* enum window; 0: sees all */
    int rope;             /* which of params.rope, -1: none */
    int ratio;            /* positions that a compressed key stands for, 0: it has none */
    float act_limit, act_limit_shared; /* of experts' activations, 0: none */
    int kv_of;   /* the layer whose keys and values it reads, mostly itself */
    int adapted; /* 1: adapters add to what its experts compute */
};

/* What a layer keeps of a sequence beside keys and values (struct cache_layer). */
struct cache_need {
    size_t page;  /* bytes in each page: for what grows with the text */
    size_t state; /* bytes for the sequence: for what does not */
};

struct arch {
    const char *name; /* general.architecture */
    const char *also; /* how other tools spell it, and then also begin keys; NULL: as name */
    const struct tensor_spec *tensors;
    int n_tensor;
    int norm;      /* enum norm */
    int rope_kind; /* enum kern_rope */
    /* Reads and checks keys beyond params_read's; may be NULL. */
    int (*read_params)(struct params *p, struct params_reader *r);
    /* Changes what layer i has from what params.h says of all; l->has begins as HAS_ATTN,
     * HAS_KV and HAS_FFN, or HAS_MOE and HAS_SHARED where p->moe says so. l stands behind the
     * layers before it. May be NULL. */
    int (*layer)(const struct params *p, struct params_reader *r, int i, struct layer *l);
    /* The size that is called DIM_OWN or more; l: NULL for tensors outside of layers. */
    uint64_t (*dim)(const struct params *p, const struct layer *l, int dim);
    /* What a layer keeps; may be NULL. */
    struct cache_need (*cache)(const struct params *p, const struct layer *l);
    /* Computes the step's tokens: block.h. */
    void (*forward)(struct step *s);
    /* Logits of the tokens after the next from s->nextn_h, by the layer behind the last
     * (blk_nextn_in, blk_nextn_out). NULL: such layers are loaded, and not run. */
    void (*nextn)(struct step *s);
    const char *about; /* the models that have this architecture, as people call them */
};

/* The table of arch_list.c: i from 0, NULL past the end; by the file's name (either of the
 * two), or NULL. */
const struct arch *arch_at(int i);
const struct arch *arch_find(struct str name);
/* What it does and is made of, from its table: "text, experts, state"; returns line. */
const char *arch_features(const struct arch *a, char *line, size_t n);
/* Up to n that are named most like it, the likeliest first; how many. */
int arch_nearest(struct str name, const struct arch **near, int n);

enum { MODEL_ADAPTERS_MAX = 16 };

struct model {
    struct gguf *file;
    const struct arch *arch;
    const char *prefix; /* of the file's keys: the architecture's name, or its other one */
    struct params p;
    struct kern kern;
    struct layer global; /* tensors outside of layers */
    struct layer *layer; /* p.n_layer + p.n_nextn */
    struct weight *weight;
    size_t n_weight;
    uint64_t n_param;
    struct packer *packer;                    /* NULL before pack_new */
    struct gguf *adapter[MODEL_ADAPTERS_MAX]; /* files whose matrices weights point to */
    float adapter_scale[MODEL_ADAPTERS_MAX];  /* as they were added */
    int n_adapter;
    int guesses; /* 1: the layer that predicts the token after the next is there, and is run */
    struct arena arena; /* owns the small things above */
};

/* tier: enum kern_tier that runs here. watch (may be NULL) hears of weights that must be
 * rearranged first (model/hf/hf.h). The caller goes on with pack_new.
 * Fails: as gguf_open; E_CANCELLED watch wanted it; E_UNSUPPORTED an architecture or a tensor
 * type, with the supported ones; E_FORMAT a key or tensor that is missing or does not fit;
 * E_NOMEM. */
MUST_CHECK int model_open(struct model **out, const char *path, int tier,
                          const struct hf_watch *watch, struct err *e);
void model_free(struct model *m); /* NULL is fine */

/* What was read of its files so far, its adapters' and its packed copy's, was what is in them.
 * To be asked after each step, before what it computed is used. Cheap. Fails: E_IO one was cut
 * or cannot be read any more: the model computes with zeros, and has to be opened again. */
MUST_CHECK int model_intact(const struct model *m, struct err *e);
/* 1: one of its files, or its adapters', is another one by now: who opens it again gets another
 * model. Asks the system. */
int model_changed(const struct model *m);

/* Whether a file, whose tensors need have no data, has the keys, tensors and shapes that
 * model_open asks for. Fails: as model_open. */
MUST_CHECK int model_check(struct gguf *g, struct err *e);

/* -- the cache that attention reads ---------------------------------------------------- */

/* What a layer keeps of the past: keys and values, which grow with the text and lie in pages;
 * what else grows with it, also in pages; and state of a constant size for each sequence. */
struct cache_layer {
    size_t off_k, off_v;   /* bytes from the page's start to head 0 */
    size_t head_k, head_v; /* bytes of one head: see struct kern_attn */
    size_t off_page;       /* of what arch->cache asked for */
    size_t off_state;      /* in the state of a sequence */
};

/* A page holds KERN_PAGE positions of one sequence, for every layer. */
struct cache_layout {
    int kv_k, kv_v; /* enum kern_kv, of keys and of values */
    size_t page_bytes, state_bytes;
    int n_layer;
    struct cache_layer *layer;
};

/* Fails: E_NOMEM; E_TOO_LONG a page would pass 1 GiB; E_UNSUPPORTED a head's numbers do not
 * fill the blocks of the type. Free with cache_layout_done. */
MUST_CHECK int cache_layout_init(struct cache_layout *c, const struct model *m, int kv_k,
                                 int kv_v, struct err *e);
void cache_layout_done(struct cache_layout *c);

#endif

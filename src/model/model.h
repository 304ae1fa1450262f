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

struct step;
struct model;

/* What a tensor is for. Global ones first, then those of a layer. */
enum tensor_role {
    T_TOKEN_EMBD,
    T_OUTPUT_NORM,
    T_OUTPUT,
    T_ROPE_FREQS,
    T_ATTN_NORM,
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
    T_FFN_NORM,
    T_FFN_GATE,
    T_FFN_UP,
    T_FFN_DOWN,
    T_FFN_GATE_BIAS,
    T_FFN_UP_BIAS,
    T_FFN_DOWN_BIAS,
    T_FFN_GATE_INP, /* the router */
    T_FFN_GATE_EXPS,
    T_FFN_UP_EXPS,
    T_FFN_DOWN_EXPS,
    T_FFN_GATE_INP_SHEXP,
    T_FFN_GATE_SHEXP,
    T_FFN_UP_SHEXP,
    T_FFN_DOWN_SHEXP,
    T_ROLE_N
};

/* Sizes by name, so that a table of tensors reads like the paper's. */
enum tensor_dim {
    DIM_ONE,
    DIM_EMBD,
    DIM_VOCAB,
    DIM_FF,
    DIM_Q,     /* heads x key size */
    DIM_K,     /* key/value heads x key size */
    DIM_V,     /* key/value heads x value size */
    DIM_O,     /* heads x value size */
    DIM_HEAD,  /* key size */
    DIM_FREQS, /* pairs that rotate */
    DIM_EXPERT,
    DIM_FF_EXPERT,
    DIM_FF_SHARED,
    DIM_N
};

enum tensor_flags {
    TENSOR_LAYER = 1, /* one in each layer, named blk.N.<name> */
    TENSOR_MAY = 2,   /* may be absent */
    TENSOR_VEC = 4,   /* small, kept as floats */
    /* In layers with experts only, or in the others only. */
    TENSOR_SPARSE = 8,
    TENSOR_DENSE = 16
};

struct tensor_spec {
    int role; /* enum tensor_role */
    const char *name;
    int flags;
    int dim[3]; /* ne[0], ne[1], ne[2]; DIM_ONE: 1 */
};

/* A tensor of the model. One whose ne[2] is DIM_EXPERT is a matrix for each expert: as many
 * weights, one after the other, each with a struct gguf_tensor of its own. */
struct weight {
    const struct gguf_tensor *src;
    struct kern_weight w;                    /* matrices: the rows in the file */
    _Atomic(const struct kern_weight *) now; /* what products read: w, or the packed one */
    const float *vec;                        /* TENSOR_VEC: the numbers */
};

/* What a product by this matrix is to read from now on; another thread may change it, so a
 * job asks once. */
static inline const struct kern_weight *weight_now(const struct weight *w)
{
    return atomic_load_explicit(&w->now, memory_order_acquire);
}

struct layer {
    const struct weight *t[T_ROLE_N]; /* NULL: the file has none; experts: the first */
    int n_window; /* positions that attention sees, its own the last; 0: all */
};

struct arch {
    const char *name; /* general.architecture */
    const struct tensor_spec *tensors;
    int n_tensor;
    int rope_kind; /* enum kern_rope */
    /* Reads and checks keys beyond params_read's; may be NULL. */
    int (*read_params)(struct params *p, struct params_reader *r);
    /* The n_window of a layer (struct layer); NULL: all layers see everything. */
    int (*window)(const struct params *p, int layer);
    /* Computes the step's tokens: block.h. */
    void (*forward)(struct step *s);
};

/* The table of arch_list.c: i from 0, NULL past the end; by the file's name, or NULL. */
const struct arch *arch_at(int i);
const struct arch *arch_find(struct str name);

struct model {
    struct gguf *file;
    const struct arch *arch;
    struct params p;
    struct kern kern;
    struct layer global; /* tensors outside of layers */
    struct layer *layer; /* p.n_layer */
    struct weight *weight;
    size_t n_weight;
    uint64_t n_param;
    struct packer *packer; /* NULL before pack_new */
    struct arena arena;    /* owns the small things above */
};

/* tier: enum kern_tier that runs here. The caller goes on with pack_new.
 * Fails: as gguf_open; E_UNSUPPORTED an architecture or a tensor type, with the supported
 * ones; E_FORMAT a key or tensor that is missing or does not fit; E_NOMEM. */
MUST_CHECK int model_open(struct model **out, const char *path, int tier, struct err *e);
void model_free(struct model *m); /* NULL is fine */

/* -- the cache that attention reads ---------------------------------------------------- */

/* What a layer keeps of the past. Only full attention exists so far; sliding, chunked,
 * latent, compressed, recurrent and convolution state become kinds beside it, each with its
 * own offsets in a page or, for state of constant size, in a snapshot at page bounds. */
enum cache_kind { CACHE_FULL };

struct cache_layer {
    int kind;              /* enum cache_kind */
    size_t off_k, off_v;   /* bytes from the page's start to head 0 */
    size_t head_k, head_v; /* bytes of one head: see struct kern_attn */
};

/* A page holds KERN_PAGE positions of one sequence, for every layer. */
struct cache_layout {
    int kv_k, kv_v; /* enum kern_kv, of keys and of values */
    size_t page_bytes;
    int n_layer;
    struct cache_layer *layer;
};

/* Fails: E_NOMEM; E_TOO_LONG a page would pass 1 GiB; E_UNSUPPORTED a head's numbers do not
 * fill the blocks of the type. Free with cache_layout_done. */
MUST_CHECK int cache_layout_init(struct cache_layout *c, const struct model *m, int kv_k,
                                 int kv_v, struct err *e);
void cache_layout_done(struct cache_layout *c);

#endif

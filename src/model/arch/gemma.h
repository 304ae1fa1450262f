/* gemma.h - what the later Gemmas have from the earlier.
 *
 * Uses  model/
 */
#ifndef HEARTH_MODEL_ARCH_GEMMA_H
#define HEARTH_MODEL_ARCH_GEMMA_H

#include "model/block/block.h"
#include "model/arch/tensors.h"

/* A layer with keys and values of another: HAS_KV is not set. */
enum { GEMMA_BORROWS = HAS_OWN };

/* Roles of tensors that some files have in such layers, and nobody reads. */
enum { T_GEMMA_NO_K = T_OWN, T_GEMMA_NO_V, T_GEMMA_NO_K_NORM, T_GEMMA_OWN };

/* clang-format off */
#define TENSORS_POST_NORMS                                                                     \
    LAYER(ATTN_POST_NORM, "post_attention_norm.weight", VEC, 0, DIM_EMBD),                     \
    LAYER(FFN_POST_NORM,  "post_ffw_norm.weight",       VEC, 0, DIM_EMBD)

#define TENSORS_BORROWS                                                                        \
    LAYER(GEMMA_NO_K,      "attn_k.weight",      RAW | MAY, GEMMA_BORROWS, DIM_EMBD, DIM_K),   \
    LAYER(GEMMA_NO_V,      "attn_v.weight",      RAW | MAY, GEMMA_BORROWS, DIM_EMBD, DIM_V),   \
    LAYER(GEMMA_NO_K_NORM, "attn_k_norm.weight", RAW | MAY, GEMMA_BORROWS, DIM_HEAD)

/* Embeddings of each layer's own: blk_ple. */
#define TENSORS_PLE                                                                            \
    GLOBAL_OF(PLE_EMBD,      "per_layer_token_embd.weight", ROWS, HAS_PLE, DIM_PLE_ALL, DIM_VOCAB), \
    GLOBAL_OF(PLE_PROJ,      "per_layer_model_proj.weight", 0,    HAS_PLE, DIM_EMBD, DIM_PLE_ALL), \
    GLOBAL_OF(PLE_PROJ_NORM, "per_layer_proj_norm.weight",  VEC,  HAS_PLE, DIM_PLE),           \
    LAYER(PLE_GATE, "inp_gate.weight",  0,   HAS_PLE, DIM_EMBD, DIM_PLE),                      \
    LAYER(PLE_OUT,  "proj.weight",      0,   HAS_PLE, DIM_PLE,  DIM_EMBD),                     \
    LAYER(PLE_NORM, "post_norm.weight", VEC, HAS_PLE, DIM_EMBD)
/* clang-format on */

/* Numbers that all have: what embeddings are multiplied by, and from Gemma 3 on an epsilon and
 * the bases of two rotations, of windowed layers and of those that see all. */
int gemma_params(struct params *p, struct params_reader *r);
int gemma_params3(struct params *p, struct params_reader *r);

/* From Gemma 3n on: scores are not scaled. */
void gemma_score_scale(const struct params *p, struct layer *l);

/* The last layers, from n_own on, use keys and values of the last layer before them that sees
 * like them. l: layer i, behind those before it. Fails: E_FORMAT there is none. */
int gemma_borrow(struct params_reader *r, int i, int n_own, struct layer *l);

/* x += norm(part(norm(x))), or with no second norm x += part(norm(x)). o: as of blk_attn. */
void gemma_attention(struct step *s, int layer, const struct attn *o, float *x);
void gemma_feed_forward(struct step *s, const struct layer *l, float *x);

#endif

/* block.h - what models are made of: each block is a function that an architecture calls.
 *
 * A block takes its room from the step's scratch and leaves results there; it runs its loops
 * on the step's pool. In a dry step it only takes the room. Rows are tokens: x[t] has n_embd
 * numbers.
 *
 * Threads  the thread that owns the step
 * Uses     kern/, model/step.h
 */
#ifndef HEARTH_MODEL_BLOCK_BLOCK_H
#define HEARTH_MODEL_BLOCK_BLOCK_H

#include "model/step.h"

/* The token embeddings: [n_tok][n_embd]. */
float *blk_embed(struct step *s);

/* RMS norm of each row of x [n_tok][n_embd] (w may be NULL), in the forms that the products
 * by the n weights of `readers` read; NULL readers are skipped. */
struct kern_acts blk_norm(struct step *s, const float *x, const struct weight *w,
                          const struct weight *const *readers, int n);

/* Rows of any width in the forms that w reads. */
struct kern_acts blk_acts(struct step *s, const float *x, size_t n_row, size_t n_col,
                          const struct weight *w);

/* Up to LINEARS_MAX products of the same input at once, each as blk_linear. */
enum { LINEARS_MAX = 4 };

struct linear {
    const struct weight *w, *bias; /* bias: NULL for none */
    float *y;
    int epilogue;
};

void blk_linears(struct step *s, const struct linear *l, size_t n, const struct kern_acts *x);

/* y[t] = w x[t] (+ bias); KERN_ADD adds to what y has. [n_tok][n_row of w] */
void blk_linear(struct step *s, const struct weight *w, const struct weight *bias,
                const struct kern_acts *x, float *y, int epilogue);

/* Attention with grouped queries: x += W_o attention(norm(x)). Optional biases, and norms of
 * each query and key head before the rotation, where the layer has them. */
void blk_attn_gqa(struct step *s, int layer, float *x);

/* x[t] += factor[t] * W_down (silu(W_gate a[t]) * W_up a[t]), with optional biases; factor:
 * NULL for 1. a is in the forms that gate and up read. */
struct gated {
    const struct weight *gate, *up, *down, *gate_bias, *up_bias, *down_bias;
    const float *factor;
};

void blk_gated(struct step *s, const struct gated *f, const struct kern_acts *a, float *x);

/* The same of a layer's weights, a = norm(x). */
void blk_ffn_gated(struct step *s, const struct layer *l, float *x);

/* A mixture of experts: x += sum of weight * expert(norm(x)) over the experts that the router
 * chose for the token, in the order of their numbers; then the shared expert, where the layer
 * has one, as far as its own router opens it. params.h, struct moe_params, says how they are
 * chosen and weighed. */
void blk_ffn_moe(struct step *s, const struct layer *l, float *x);

/* The choice for one token. score[n]: what the router says; becomes the weights of all.
 * Ends with n_used different experts, the best first, and their weights. */
void blk_moe_choose(const struct moe_params *m, float *score, int32_t *expert, float *weight);

/* Final norm, and logits or hidden states of the rows that are wanted. */
void blk_output(struct step *s, const float *x);

/* Angles of the step's positions, [n_tok][n_rot]; the same for all layers. */
const float *blk_rope_angles(struct step *s, const struct rope_params *r,
                             const struct weight *factors);

#endif

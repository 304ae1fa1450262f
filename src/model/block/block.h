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
/* From another matrix of embeddings; both times params.embd_scale, with what adapters add. */
float *blk_embed_of(struct step *s, const struct weight *w);

/* Row i of a matrix that is read by rows. */
void blk_row(const struct weight *w, size_t i, float *out);

/* The model's norm of each row of x [n_tok][n_embd] (w and bias may be NULL), in the forms that
 * the products by the n weights of `readers` read; NULL readers are skipped. a.x has the rows.
 */
struct kern_acts blk_norm(struct step *s, const float *x, const struct weight *w,
                          const struct weight *bias, const struct weight *const *readers,
                          int n);

/* Rows of any width in the forms that w, or all of `readers`, read. */
struct kern_acts blk_acts(struct step *s, const float *x, size_t n_row, size_t n_col,
                          const struct weight *w);
struct kern_acts blk_forms(struct step *s, const float *x, size_t n_row, size_t n_col,
                           const struct weight *const *readers, int n);

/* x += norm(y), rows of n_embd: what a sublayer gives, normed before it is added. y is changed.
 * And the norm of rows of any width in place. */
void blk_add_norm(struct step *s, float *y, const struct weight *w, float *x);
void blk_norm_rows(struct step *s, float *x, size_t n_row, size_t n_col, const struct weight *w,
                   const struct weight *bias);

/* x += factor * y, rows of n_embd. */
void blk_add(struct step *s, const float *y, float factor, float *x);

/* Rows in forms that are said. */
struct kern_acts blk_forms_of(struct step *s, const float *x, size_t n_row, size_t n_col,
                              int forms);

/* Products of one input on the pool, as one loop; for blocks. */
void blk_muls(struct step *s, const struct kern_mul *mul, size_t n_mul);

/* Adds to a product by w what adapters say: rows y[to[t]] += factor[t] B A x[t], x being [n]
 * rows of floats. */
struct lora_out {
    size_t n;
    float *y;
    size_t ldy;
    const int32_t *to;
    const float *factor;
};

void blk_lora(struct step *s, const struct weight *w, const float *x, const struct lora_out *o);
void blk_lora_embed(const struct weight *w, int32_t id, float *x);

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

/* -- attention ------------------------------------------------------------------------- */

/* What a family's attention has beside its layer's tensors and numbers (biases, norms of each
 * head before the rotation, sinks, windows, the softcap, keys of another layer). All 0: plain.
 */
struct attn {
    int norm_all;          /* the norms of queries and keys are of all heads together */
    int norm_after;        /* each query and key head is normed, without weights, after it */
    int v_norm;            /* each value head is normed, without weights */
    int gated;             /* beside each query head stands a gate (DIM_Q2) of its result */
    const float *q_factor; /* of each token's queries, [n_tok]; NULL: 1 */
};

/* y = W_o attention(a) (KERN_ADD: added), a being what queries, keys and values are made of.
 * Values are the keys, before norm and rotation, where the layer has no attn_v. o: NULL for
 * plain. */
void blk_attn(struct step *s, int layer, const struct kern_acts *a, const struct attn *o,
              float *y, int epilogue);
/* norm(x) for it. */
struct kern_acts blk_attn_norm(struct step *s, int layer, const float *x);
/* x += W_o attention(norm(x)), with o and plain. */
void blk_attn_pre(struct step *s, int layer, const struct attn *o, float *x);
void blk_attn_gqa(struct step *s, int layer, float *x);
/* What the queries of the step's tokens are multiplied by (temp_scale of params), [n_tok]; NULL
 * where it is 0. */
const float *blk_q_factor(struct step *s);

/* -- along a sequence ------------------------------------------------------------------ */

/* A convolution over time and silu, in place; each run goes on from its sequence's state. */
struct conv {
    float *x; /* row t at x + t * ld */
    size_t ld, n_ch;
    const struct weight *w, *bias; /* vectors: [n_ch][params.ssm.conv]; bias NULL: none */
    size_t off_state;              /* of blk_conv_bytes in the sequence's state */
};

void blk_conv(struct step *s, const struct conv *c);
size_t blk_conv_bytes(size_t k, size_t n_ch); /* a multiple of 64 */

/* y = W_out mamba2(a) (KERN_ADD: added), a in the forms that ssm_in reads; blk_ssm_norm:
 * norm(x) for it. blk_ssm_bytes of state, at the layer's off_state. */
void blk_ssm(struct step *s, int layer, const struct kern_acts *a, float *y, int epilogue);
struct kern_acts blk_ssm_norm(struct step *s, int layer, const float *x);
size_t blk_ssm_bytes(const struct params *p);
/* The plain one: x += W_out mamba2(norm(x)). */
void blk_ssm_plain(struct step *s, int layer, float *x);

/* The gated delta rule for all heads of the step's runs. */
struct delta {
    size_t n_head, n_head_k; /* heads of values, and of queries and keys: a divisor of it */
    int tiled;               /* value head h has key head h % n_head_k; 0: neighbours share */
    size_t d_k, d_v;
    float *q, *k;         /* n_head_k heads a token; are divided by their lengths */
    const float *v;       /* n_head heads a token */
    size_t ldq, ldk, ldv; /* from a token to the next */
    const float *beta;    /* [n_tok][n_head] how far the new value replaces the old */
    const float *decay;   /* [n_tok][n_head] factors of the state, or with per_row [d_k] each */
    int per_row;
    const struct weight *norm; /* of what a head gives, [d_v] */
    const float *gate;         /* [n_tok][n_head][d_v] */
    int gate_act;              /* enum kern_act, of the gate */
    size_t off_state;          /* of blk_delta_bytes in the sequence's state */
};

/* y: [n_tok][n_head][d_v] */
void blk_delta(struct step *s, const struct delta *d, float *y);
size_t blk_delta_bytes(const struct delta *d); /* its sizes are set */

/* Places of a sequence that tokens see, where these are neither all before them nor a window;
 * for layers with one key/value head. A place below 0 is ~i: row i of those that the layer has
 * in its pages beside keys and values (blk_beside), whose numbers are key and value. */
struct chosen {
    int max;        /* most places of a token */
    int32_t *n;     /* [n_tok]; 0: as the layer says, for the first tokens of a run */
    int32_t *place; /* [n_tok][max], in the order in which they are added */
    size_t off;     /* of the rows in a page */
    int ratio;      /* a row for so many positions */
};

/* Row i of those that stand for `ratio` positions each, n floats: it is in the page of the last
 * of them. */
static inline float *blk_beside(const struct step_run *r, int i, size_t off, int ratio,
                                size_t n)
{
    int last = (i + 1) * ratio - 1;
    unsigned char *rows = r->page[last / KERN_PAGE] + off;

    return (float *)(void *)rows + (size_t)(last % KERN_PAGE / ratio) * n;
}

/* Attention alone, where a family makes queries, keys and values itself: as they are when they
 * are stored and used. */
struct attend {
    float *q;                    /* [n_tok][n_head][d_k] */
    float *k, *v;                /* [n_tok][n_head_kv][d_k or d_v] */
    float *out;                  /* [n_head / together][n_tok][together][d_v] */
    int together;                /* a divisor of n_head */
    const struct chosen *chosen; /* NULL: what the layer's window says */
};

void blk_attend(struct step *s, int layer, const struct attend *a);

/* y[t][h] = W_h x[h][t]: a matrix for each head, all in one loop. x is
 * [n_head][n_tok][columns]; y of the next token is ldy numbers on, of the next head y_head. */
struct heads {
    const struct weight *w;  /* [n_head]; NULL: rows of the file */
    struct kern_weight rows; /* of the first head then, and `apart` bytes on of the next */
    size_t apart;
    size_t n_head;
    const float *x;
    float *y;
    size_t y_head, ldy;
};

void blk_heads(struct step *s, const struct heads *h);

/* Chooses positions: the score of key i for a token is sum_h w[h] relu(q[h] . k[i]), and the
 * `top` best are seen (index.c says which of equal ones). A key stands for `ratio` positions;
 * its d floats are a column of [d][KERN_PAGE / ratio] in the page of these. Source  DeepSeek-AI
 * 2025, arXiv:2512.02556 */
struct index {
    int n_head, d, top, ratio;
    size_t off;     /* of the keys in a page */
    const float *q; /* [n_tok][n_head][d] */
    const float *w; /* [n_tok][n_head] */
};

void blk_index_put(const struct index *ix, const struct step_run *r, int i, const float *key);
/* The choice for token t of the step, of the first n keys of r: at most top, ascending. Returns
 * how many. score: room for n. */
int blk_index_best(const struct index *ix, size_t t, const struct step_run *r, int n,
                   float *score, int32_t *best);

/* The run of token t. */
const struct step_run *blk_run_of(const struct step *s, size_t t);

/* Latent attention: x += W_o attention(norm(x)), where keys and values are one latent vector of
 * a position and numbers that rotate. */
struct mla {
    const float *q_factor; /* of each token's queries, [n_tok]; NULL: 1 */
    /* Of layers that see chosen positions: where the choice is left, for the layers after too;
     * NULL: all are seen. */
    struct chosen *chosen;
    /* The weights by which this layer chooses; q NULL: as chosen before. */
    const struct weight *index_q, *index_k, *index_k_norm, *index_k_norm_bias, *index_proj;
    int index_rope; /* enum kern_rope, of the first numbers of its queries and keys */
};

void blk_mla(struct step *s, int layer, const struct mla *o, float *x);

/* -- feed-forward ---------------------------------------------------------------------- */

/* down(act(gate a) * up a), or with no gate down(act(up a)). */
struct ffn {
    const struct weight *gate, *up, *down, *gate_bias, *up_bias, *down_bias;
    const float *factor; /* of each token, [n_tok], with KERN_ADD; NULL: 1 */
    int act;             /* enum kern_act */
    float limit;
};

/* a is in the forms that gate and up read. */
void blk_ffn(struct step *s, const struct ffn *f, const struct kern_acts *a, float *y,
             int epilogue);
/* A layer's own, and norm(x) for it. */
struct ffn blk_ffn_of(const struct layer *l, int act);
struct kern_acts blk_ffn_norm(struct step *s, const struct layer *l, const float *x);
/* The plain one: x += down(silu(gate norm(x)) * up norm(x)). */
void blk_ffn_gated(struct step *s, const struct layer *l, float *x);

/* Embeddings of each layer's own, of the step's tokens: [n_tok][n_layer][n_ple] from x, the
 * token embeddings; then what a layer makes of them and of x: y = norm(out(gelu(gate x) * part
 * of inputs)). half: with blk_gelu_half. */
float *blk_ple_inputs(struct step *s, const float *x);
void blk_ple(struct step *s, int layer, const float *inputs, const float *x, int half,
             float *y);

/* y = gelu(gate) * up, where GELU's argument and result are rounded to half precision; gate is
 * changed. Not more exact, and slower: for a family that is measured against others' results
 * and enlarges differences. */
void blk_gelu_half(const struct kern *k, float *gate, const float *up, float *y, size_t n);

/* A mixture of experts; params.h, struct moe_params, says how they are chosen and weighed. The
 * layer's tensors say the rest: no gate, biases, biases for choosing. */
struct moe_kind {
    int act; /* enum kern_act, of all experts */
    float limit, limit_shared;
    int weigh_input; /* experts get their weight times the input, and are added as they are */
    int no_shared;   /* the caller adds the shared expert: its rows are not y's */
    const float *router; /* [n_tok][n] what the router says, where it is not W a; NULL: it is */
    const int32_t *fixed; /* [n_vocab][n_used] experts by token id; NULL: the router chooses */
    const float *in;      /* what experts read, [n_tok][width of gate]; NULL: a */
};

/* y += sum of weight * expert(a) over a token's experts, in the order of their numbers; then
 * the shared expert, where the layer has one, as far as its own router opens it. a is in the
 * forms that readers of blk_moe_norm read. kind: NULL for silu. */
void blk_moe(struct step *s, const struct layer *l, const struct kern_acts *a,
             const struct moe_kind *kind, float *y);
/* norm(x) by w for it. */
struct kern_acts blk_moe_norm(struct step *s, const struct layer *l, const float *x,
                              const struct weight *w);
/* The plain one: x += moe(norm(x)). */
void blk_ffn_moe(struct step *s, const struct layer *l, float *x);

/* The choice for one token. score[n]: what the router says; becomes the weights of all. bias:
 * [n], added for choosing only, or NULL. fixed: [n_used], these instead, or NULL. Ends with
 * n_used different experts, the best first, and their weights. */
void blk_moe_choose(const struct moe_params *m, const float *bias, const int32_t *fixed,
                    float *score, int32_t *expert, float *weight);

/* -- the end --------------------------------------------------------------------------- */

/* Final norm, and logits or hidden states of the rows that are wanted. */
void blk_output(struct step *s, const float *x);
/* The same by other weights; norm: NULL for none, out: NULL for hidden states only. */
void blk_output_by(struct step *s, const float *x, const struct weight *norm,
                   const struct weight *out);

/* What the layer that predicts the token after the next reads ([n_tok][n_embd], before that
 * layer itself), from the step's tokens and h = s->nextn_h; and its logits. */
float *blk_nextn_in(struct step *s, const float *h);
void blk_nextn_out(struct step *s, const float *u);

/* Angles of the step's positions for params.rope[which], [n_tok][n_rot], the same for all
 * layers: into s->angles. factors: what divides each frequency, or NULL. */
void blk_rope_angles(struct step *s, int which, const struct weight *factors);

#endif

/* kern.h - the op table: every heavy loop of the engine, chosen once for this machine.
 *
 * ref.c is the specification: plain C, exact weights, activations left in float. Each tier
 * (x86/..._avx2.c, arm/..._dotprod.c) starts from its base tier and replaces the slots that
 * it does better. Kernels allocate nothing, start no threads and know no model: the
 * caller splits the work (rows, columns, heads) and gives each worker its scratch.
 *
 * The matrix product   y[c][r] = sum_k W[r][k] x[c][k]
 *   Weights   are read as tiles (tile.h): 16 rows side by side, so that a lane of a vector is
 *             a row and no sum runs across lanes. They are packed so, or lie in rows as in the
 *             file and are transposed on the way: the same bits, a little slower.
 *   Columns   (activations) are prepared once per layer input (acts) and shared by all
 *             products that read it: 8-bit blocks of 32 with a float scale each for quantised
 *             weights, floats for float weights.
 *   Result    of one (row, column) is one fixed sequence of operations whatever the number of
 *             columns, the tile it falls in or the thread: the same bits alone or in a batch.
 *
 * Layout   matrices row-major unless said; a column x[c] has k numbers in a row
 * Threads  any; a table does not change after kern_init
 * Uses     base/, quant/
 */
#ifndef HEARTH_KERN_KERN_H
#define HEARTH_KERN_KERN_H

#include "quant/quant.h"

#include <stddef.h>
#include <stdint.h>

/* -- tiers --------------------------------------------------------------------------- */

/* Of the tiers that a machine runs the last is the best. Its instructions need not include
 * those of all before: the table in kern.c says what each starts from. */
enum kern_tier {
    KERN_REF,        /* plain C */
    KERN_AVX2,       /* AVX2, FMA, F16C */
    KERN_AVXVNNI,    /* AVX2 and AVX-VNNI */
    KERN_AVX512VNNI, /* AVX2 and AVX-512 F BW DQ VL VNNI */
    KERN_DOTPROD,    /* Armv8.2 and its dot products of bytes */
    KERN_I8MM,       /* the same, and its products of 2 x 8 bytes by 8 x 2 */
    KERN_TIER_N
};

/* All names, as help and messages list them. */
#define KERN_TIER_NAMES "ref, avx2, avxvnni, avx512vnni, dotprod, i8mm"

const char *kern_tier_name(int tier); /* NULL past the end */
int kern_tier_of(const char *name);   /* -1: no such tier */
int kern_tier_here(int tier);         /* whether this machine can run it */
int kern_tier_best(void);             /* the best that this machine can run */
int kern_tier_base(int tier);         /* the one that it starts from; the reference: itself */

/* -- activations --------------------------------------------------------------------- */

enum kern_form {
    KERN_FORM_Q8 = 1, /* 8-bit blocks of 32; k is a multiple of 32 */
    KERN_FORM_F32 = 2 /* floats, side by side in panels */
};

/* A block whose largest magnitude is below this becomes zero in 8 bits: its scale would not
 * be a normal float. */
#define KERN_Q8_LEAST 1e-30f

/* n columns of k numbers. Columns are grouped in panels of n_panel, at most what the tier has
 * (the last may be narrower); in a panel of w columns each array is [steps of k][w]. */
struct kern_acts {
    size_t n, k;
    size_t n_panel;
    const float *x; /* the columns as given, [n][k]; the reference reads these */
    int forms;      /* enum kern_form bits that are filled */
    int8_t *q;      /* [k / 4][w][4] */
    float *d;       /* [k / 32][w] scale of 32 values */
    float *ds32;    /* [k / 32][w] d * sum of q: what a block's minimum is multiplied by */
    float *ds16;    /* [k / 16][w] the same of 16 values */
    int32_t *ns32;  /* [k / 32][w] -sum of q: undoes the offset of unsigned weights */
    int32_t *ns16;  /* [k / 16][w] */
    float *f;       /* [k][w] */
};

/* -- weights ------------------------------------------------------------------------- */

enum kern_layout {
    KERN_ROWS, /* as in the file: row r at data + r * stride */
    KERN_TILES /* tile.h: group g at data + g * stride */
};

struct kern_weight {
    int type;   /* enum quant_type */
    int layout; /* enum kern_layout */
    size_t n_row, n_col;
    const void *data;
    size_t stride; /* bytes */
};

/* -- the product --------------------------------------------------------------------- */

enum kern_epilogue {
    KERN_STORE,    /* y = v (+ bias) */
    KERN_ADD,      /* y += factor * (v (+ bias)) */
    KERN_SILU_MUL, /* y = silu(v of w[0]) * (v of w[1]): the gated feed-forward */
    KERN_GELU_MUL  /* the same with GELU, tanh form */
};

struct kern_mul {
    const struct kern_weight *w[2]; /* w[1] for the last two, else NULL; same shape and type
                                       form as w[0] */
    const struct kern_acts *x;
    const float *bias[2]; /* [n_row] of each, or NULL */
    float scale[2];       /* what the result of each is multiplied by, before its bias; 0: 1 */
    float *y;             /* y[c * ldy + r] */
    size_t ldy;
    int epilogue;
    const int32_t *to;   /* column c is row to[c] of y, no two the same; NULL: row c */
    const float *factor; /* KERN_ADD: of each column; NULL: 1 */
    /* The last two, where kern.mul_acts is set: the result goes into KERN_FORM_Q8 of these
     * columns of n_row numbers, a multiple of 32, as if y had been given to acts; y is left
     * alone. NULL: to y. */
    struct kern_acts *acts;
};

struct kern;

/* Rows [g0, g1) in groups of kern->n_group rows, all columns. scratch: kern_mul_scratch(). */
typedef void kern_mul_fn(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                         void *scratch);

struct kern_mm {
    kern_mul_fn *mul; /* NULL: the type is not supported */
    int layout;       /* enum kern_layout that it reads best; KERN_ROWS it always reads */
    int form;         /* enum kern_form that it reads; 0: kern_acts.x */
};

/* -- attention ----------------------------------------------------------------------- */

#define KERN_PAGE 64  /* positions in a page of the key/value cache */
#define KERN_SEG  512 /* positions in a segment: what is one softmax */

/* Types of the cache, for keys and for values each. The quantised ones store what the
 * format's writer in quant/ gives and read what its reader gives, to the bit; queries and
 * weights stay in float, so that their rounding is all that is lost. */
enum kern_kv { KERN_KV_F16, KERN_KV_F32, KERN_KV_Q8_0, KERN_KV_Q4_0, KERN_KV_N };

/* The row of a type: the format of quant/ that it is. A head's numbers must fill blocks. */
const struct quant *kern_kv_quant(int kv);

/* Bytes of one head in a page: d numbers a position. */
size_t kern_kv_bytes(int kv, int d);

/* One position of a head from one page to another: what key_put and value_put left there. */
void kern_key_copy(int kv, int d_k, const void *keys, int slot, void *out, int to);
void kern_value_copy(int kv, int d_v, const void *values, int slot, void *out, int to);

/* Causal attention of n_q rows of one sequence that share a key/value head. Row i belongs to
 * position pos[i] and sees positions first[i] .. pos[i].
 *
 * A page holds for each head its keys and its values; m = 64 positions side by side.
 *   keys     float types [d_k][m]: a lane of a vector is a position. Quantised ones for each
 *            block of 32: m scales; then Q8_0 [32][m] bytes, Q4_0 [16][m], where byte j has
 *            number j in its low half and number j + 16 in the high one.
 *   values   float types [m][d_v rounded up to 16], the padding zero. Quantised ones
 *            [m][d_v / 32] scales, then [m][d_v or d_v / 2] bytes, the blocks as in the file.
 *
 * Positions are cut into segments at multiples of KERN_SEG. Each segment is a softmax of its
 * own, a partial result: its largest score, its sum and its outputs before the division. They
 * are folded together in the order of positions, so a row's bits depend neither on the rows
 * beside it nor on who computes which segment. */
struct kern_attn {
    int kv_k, kv_v; /* enum kern_kv */
    int n_q, d_k, d_v;
    const float *const *q; /* n_q rows of d_k */
    const int32_t *first, *pos;
    const unsigned char *const *page; /* page j holds positions 64 j .. 64 j + 63 */
    size_t off_k, off_v;              /* of this head's keys and values in a page, bytes */
    float scale;                      /* of the scores, above 0 */
    float cap;         /* soft: a scaled score s becomes cap * tanh(s / cap); 0: none */
    const float *sink; /* of each row, for attn_fold: kern_attn_all hands it on; NULL: none */
};

#define KERN_ATTN_ROWS 48 /* most rows of one call */

/* Floats of a row's partial result: outputs (rounded up to 16), largest score, sum. The score
 * is -infinity when the row sees nothing of the segment. */
static inline size_t kern_attn_part(int d_v)
{
    return (((size_t)d_v + 15) & ~(size_t)15) + 16;
}

/* -- functions of one number --------------------------------------------------------- */

/* sigm(x) = 1 / (1 + e^-x); silu(x) = x sigm(x). Of the last three g = min(gate, limit) and
 * u = up between -limit and limit. What is no number stays none. */
enum kern_act {
    KERN_ACT_SILU,
    KERN_ACT_GELU,       /* tanh form: x sigm(2 sqrt(2 / pi) (x + 0.044715 x^3)) */
    KERN_ACT_GELU_ERF,   /* x / 2 (1 + erf(x / sqrt(2))) */
    KERN_ACT_GELU_QUICK, /* x sigm(1.702 x) */
    KERN_ACT_RELU,
    KERN_ACT_RELU2, /* max(x, 0)^2 */
    KERN_ACT_SIGMOID,
    KERN_ACT_SOFTPLUS, /* log(1 + e^x) */
    KERN_ACT_TANH,
    KERN_ACT_OAI,       /* g sigm(1.702 g) (u + 1) */
    KERN_ACT_CLAMP_IN,  /* silu(g) u */
    KERN_ACT_CLAMP_OUT, /* min(silu(gate), limit) u */
    KERN_ACT_N
};

/* -- along a sequence ---------------------------------------------------------------- */

/* What follows goes token by token and keeps a state, so the results are the same bits however
 * the tokens are cut into calls. Row t of an array begins at t times its ld. */

#define KERN_CONV_MAX 16 /* largest k of struct kern_conv */

/* Causal convolution over time, each channel for itself:
 *   y[t][c] = act(bias[c] + sum_j w[c][j] x[t - k + 1 + j][c])
 * where the k - 1 inputs before the first are the state. */
struct kern_conv {
    const float *x;
    size_t ldx;
    float *y; /* may be x */
    size_t ldy;
    const float *w;    /* [n_ch][k]; w[c][k - 1] meets the newest input */
    const float *bias; /* [n_ch], or NULL */
    float *state;      /* [k - 1][n_ch], oldest first; read, and left for the next tokens */
    size_t n_tok, n_ch, k;
    int act; /* enum kern_act of one argument; -1: none */
};

/* One head of a state space layer (Mamba 2), for each token:
 *   S[p][n] = S[p][n] exp(dt a) + dt x[p] b[n];  y[p] = sum_n S[p][n] c[n] + d x[p]
 * Source  Dao and Gu 2024, arXiv:2405.21060 */
struct kern_ssm {
    float *state; /* S: [n_p][n_s] */
    size_t n_p, n_s, n_tok;
    const float *x; /* n_p numbers a token */
    size_t ldx;
    const float *b, *c; /* n_s numbers a token */
    size_t ldbc;
    const float *dt; /* one a token: softplus has been taken */
    size_t lddt;
    float a, d; /* a is below 0 */
    float *y;   /* n_p numbers a token; not x */
    size_t ldy;
};

/* One value head of the gated delta rule, for each token:
 *   S[i][j] *= decay (or decay[i]);  e[j] = beta (v[j] - sum_i S[i][j] k[i])
 *   S[i][j] += k[i] e[j];            y[j] = scale sum_i S[i][j] q[i]
 * Source  Yang et al. 2024, arXiv:2412.06464; with decay of each row arXiv:2510.26692 */
struct kern_delta {
    float *state; /* S: [d_k][d_v] */
    size_t d_k, d_v, n_tok;
    const float *q, *k; /* d_k numbers a token */
    size_t ldq, ldk;
    const float *v; /* d_v numbers a token */
    size_t ldv;
    const float *beta; /* one a token */
    size_t ldbeta;
    const float *decay; /* factors, the exponential has been taken: one a token, or d_k */
    size_t lddecay;
    int per_row; /* 1: d_k of them */
    float scale;
    float *y; /* d_v numbers a token; not v */
    size_t ldy;
};

/* -- the table ----------------------------------------------------------------------- */

enum kern_rope { KERN_ROPE_NORM, KERN_ROPE_NEOX };

struct kern {
    int tier;
    size_t n_panel; /* columns in a panel of activations, at most */
    size_t n_group; /* rows in a group of the product */
    int mul_acts;   /* 1: products can leave their result in 8 bits (kern_mul.acts) */

    struct kern_mm mm[QUANT_TYPE_MAX];

    /* n_block blocks of n_row (at most 16) rows to tiles (tile.h): row r begins at
     * rows + r * stride, tile b at out + b * gap; missing rows are zero. Reads nothing
     * outside of the blocks. As many bytes are fetched from `ahead`, which are read next;
     * NULL: none. */
    void (*tiles)(const struct quant *q, const void *rows, size_t stride, size_t n_row,
                  size_t n_block, const void *ahead, void *out, size_t gap);

    /* Fills the forms of columns [c0, c1) of a, whose x and arrays are set. */
    void (*acts)(struct kern_acts *a, int forms, size_t c0, size_t c1);

    /* y = x / sqrt(mean(x^2) + eps) * w; w may be NULL; y may be x. */
    void (*rms_norm)(const float *x, const float *w, float *y, size_t n, float eps);

    /* y = (x - mean) / sqrt(var + eps) * w + b, var that of the population; w and b may be
     * NULL; y may be x. */
    void (*layer_norm)(const float *x, const float *w, const float *b, float *y, size_t n,
                       float eps);

    /* y = x / max(|x|, eps), the length of the whole; y may be x. */
    void (*l2_norm)(const float *x, float *y, size_t n, float eps);

    /* y[i] = act(gate[i]) * up[i]; up NULL: act(gate[i]), where the acts of two numbers take 1
     * for what they make of up. limit: of those that have one. y may be gate or up. */
    void (*act)(int act, float limit, const float *gate, const float *up, float *y, size_t n);

    /* Rotates the first n_rot numbers of x in place; cs: n_rot / 2 pairs (cos, sin). */
    void (*rope)(float *x, const float *cs, size_t n_rot, int kind);

    /* One position of one head into its page (see struct kern_attn): slot = position % 64. */
    void (*key_put)(int kv, const float *x, int d_k, int slot, void *keys);
    void (*value_put)(int kv, const float *x, int d_v, int slot, void *values);

    /* The partial results of all rows for segment seg: part[i] has kern_attn_part(d_v) floats.
     * scratch: kern_attn_scratch(). 1 <= n_q <= KERN_ATTN_ROWS. */
    void (*attn)(const struct kern_attn *a, int seg, float *part, void *scratch);

    /* Folds the partial results of a later segment (NULL: none) into those of n rows; with out,
     * that was the last, and the results are out[i], d_v numbers. sink (NULL: none) has a
     * score for each row, as it is after scale and cap, that then takes part in the largest
     * and in the sum, and brings no value. */
    void (*attn_fold)(float *into, const float *part, int n, int d_v, float *const *out,
                      const float *sink);

    /* Channels [c0, c1) of all tokens. */
    void (*conv)(const struct kern_conv *j, size_t c0, size_t c1);

    void (*ssm)(const struct kern_ssm *j);
    void (*delta)(const struct kern_delta *j);
};

/* Fills k with what the tier (enum kern_tier) has: its own versions, and those of the tiers
 * that it starts from. The tier must run here. */
void kern_init(struct kern *k, int tier);

/* What each tier adds to its base, called by kern_init; and whether this machine, with its
 * system, has the instructions. A build has those of its own processor. */
void kern_add_ref(struct kern *k);
void kern_add_avx2(struct kern *k);
void kern_add_avxvnni(struct kern *k);
void kern_add_avx512vnni(struct kern *k);
void kern_add_dotprod(struct kern *k);
void kern_add_i8mm(struct kern *k);
int kern_has_avx2(void);
int kern_has_avxvnni(void);
int kern_has_avx512vnni(void);
int kern_has_dotprod(void);
int kern_has_i8mm(void);

/* The epilogue that does an act of enum kern_act to two products at once, or -1. */
static inline int kern_epilogue_of(int act)
{
    return act == KERN_ACT_SILU ? KERN_SILU_MUL : act == KERN_ACT_GELU ? KERN_GELU_MUL : -1;
}

/* Bytes of scratch that one worker needs, a multiple of 64; the memory must be 64-aligned. */
size_t kern_mul_scratch(size_t n_col);
size_t kern_attn_scratch(int d_k, int d_v);

/* All segments of a's rows in order: out[i], d_v numbers. scratch: kern_attn_scratch(). */
void kern_attn_all(const struct kern *k, const struct kern_attn *a, float *const *out,
                   void *scratch);

/* Bytes for the arrays of n columns of k numbers in these forms, and their layout in buf
 * (64-aligned). acts_bind sets everything but x. */
size_t kern_acts_bytes(size_t n, size_t k, int forms);
void kern_acts_bind(const struct kern *kern, struct kern_acts *a, void *buf, size_t n, size_t k,
                    int forms);

/* Columns [first, first + n) of arrays bound for many, as columns of their own: panels begin
 * at the first and are as wide as n columns want them (kern_panel_of), so sets of columns stand
 * side by side in one allocation. What is read as a part must be filled as that part. */
struct kern_acts kern_acts_part(const struct kern *kern, const struct kern_acts *a,
                                size_t first, size_t n);

/* Column c of `a` becomes what column `from` of `rows` is, whose panels hold one column each;
 * both have the same k and forms. x is not copied. */
void kern_acts_copy(struct kern_acts *a, size_t c, const struct kern_acts *rows, size_t from);

/* Columns in a panel of n: as many panels as must be, of much the same width. A narrow last one
 * would cost nearly what a wide one does. */
static inline size_t kern_panel_of(const struct kern *k, size_t n)
{
    size_t n_panel = n ? (n - 1) / k->n_panel + 1 : 1;

    return n ? (n - 1) / n_panel + 1 : 1;
}

/* Where panel p of an array with `per` numbers per column begins, and how wide it is. */
static inline size_t kern_panel_width(const struct kern_acts *a, size_t p)
{
    size_t left = a->n - p * a->n_panel;

    return left < a->n_panel ? left : a->n_panel;
}

static inline size_t kern_panel_at(const struct kern_acts *a, size_t p, size_t per)
{
    return p * a->n_panel * per;
}

/* Lists slots and types with the tier that serves them, a line each: i from 0; 0 past the
 * end. */
int kern_describe(const struct kern *k, int i, char *line, size_t n);

#endif

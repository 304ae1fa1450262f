/* gemma3n.c - Gemma 3n: E2B and E4B.
 *
 * A token is four streams (AltUp). Before a layer each is predicted from all of them, with
 * factors that a small router makes of the first; the layer computes on the first alone; what
 * it changed corrects all four, by other factors of the router. In the layer a product of low
 * rank (LAuReL) stands beside attention, the hidden numbers of the first layers are sparse, and
 * the other streams get what the layer's own embedding gives. The last layers use keys and
 * values of an earlier one. At last the mean of the streams, brought to one length, counts.
 *
 * Sparse numbers and four streams enlarge small differences so much that GELU from a table in
 * half precision, which the most used runtime has, or exactly, is seen in the second digit of
 * some logits. The model was made in bfloat16, so neither is nearer to it; this is the table's
 * (blk_gelu_half), and results can be compared.
 *
 * Source  google/gemma-3n and its configuration; Baykal et al. 2023, arXiv:2301.13310 (AltUp);
 * Menghani et al. 2024, arXiv:2411.07501 (LAuReL)
 */
#include "model/arch/arch.h"
#include "model/arch/gemma.h"

#include <math.h>
#include <string.h>

enum {
    N_STREAM = 4,
    N_RANK = 64,      /* of the product beside attention */
    N_SPARSE = 10,    /* layers whose hidden numbers are sparse */
    N_OWN_USUAL = 20, /* layers with keys and values of their own */
    N_PLE_USUAL = 256
};

/* Of hidden numbers that are normally distributed, one in twenty is so many deviations above
 * the mean. */
static const double SPARSE_DEVIATIONS = 1.6448533535003662;

enum {
    T_STREAM_PROJ = T_GEMMA_OWN,
    T_STREAM_BACK,
    T_ROUTER,
    T_ROUTER_NORM,
    T_PREDICT,
    T_CORRECT,
    T_CORRECT_SCALE,
    T_LOW_IN,
    T_LOW_OUT,
    T_LOW_NORM
};

enum { DIM_STREAMS = DIM_OWN, DIM_OTHER_STREAMS, DIM_STREAMS2, DIM_RANK, DIM_TOKEN_ROWS };

/* clang-format off */
static const struct tensor_spec tensors[] = {
    GLOBAL(TOKEN_EMBD, "token_embd.weight", 0, DIM_EMBD, DIM_TOKEN_ROWS),
    TENSORS_ENDS,
    TENSORS_PRE_NORMS,
    TENSORS_POST_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_HEAD_NORM(0),
    TENSORS_BORROWS,
    TENSORS_FFN_GATED,
    TENSORS_PLE,
    GLOBAL(STREAM_PROJ, "altup_proj.weight",        0, DIM_EMBD, DIM_EMBD, DIM_OTHER_STREAMS),
    GLOBAL(STREAM_BACK, "altup_unembd_proj.weight", 0, DIM_EMBD, DIM_EMBD, DIM_OTHER_STREAMS),
    LAYER(ROUTER,        "altup_router.weight",        0,   0, DIM_EMBD, DIM_STREAMS),
    LAYER(ROUTER_NORM,   "altup_router_norm.weight",   VEC, 0, DIM_EMBD),
    LAYER(PREDICT,       "altup_predict_coef.weight",  VEC, 0, DIM_STREAMS, DIM_STREAMS2),
    LAYER(CORRECT,       "altup_correct_coef.weight",  VEC, 0, DIM_STREAMS, DIM_STREAMS),
    LAYER(CORRECT_SCALE, "altup_correct_scale.weight", VEC, 0, DIM_EMBD),
    LAYER(LOW_IN,        "laurel_l.weight",            0,   0, DIM_EMBD, DIM_RANK),
    LAYER(LOW_OUT,       "laurel_r.weight",            0,   0, DIM_RANK, DIM_EMBD),
    LAYER(LOW_NORM,      "laurel_post_norm.weight",    VEC, 0, DIM_EMBD),
};
/* clang-format on */

/* -- numbers --------------------------------------------------------------------------- */

static uint64_t gemma3n_dim(const struct params *p, const struct layer *l, int dim)
{
    int n_row = p->n_token_row > p->n_vocab ? p->n_token_row : p->n_vocab;
    const uint64_t size[] = {N_STREAM, N_STREAM - 1, N_STREAM * N_STREAM, N_RANK,
                             (uint64_t)n_row};

    (void)l;
    return size[dim - DIM_OWN];
}

static int gemma3n_params(struct params *p, struct params_reader *r)
{
    p->logit_cap = (float)params_f64(r, "final_logit_softcapping", 0, 1e6, 30);
    p->n_ple =
        params_int(r, "embedding_length_per_layer_input", 1, PARAMS_WIDTH_MAX, N_PLE_USUAL);
    (void)params_int(r, "altup.num_inputs", N_STREAM, N_STREAM, N_STREAM);
    (void)params_int(r, "altup.active_idx", 0, 0, 0);
    return gemma_params3(p, r);
}

static int gemma3n_layer(const struct params *p, struct params_reader *r, int i,
                         struct layer *l)
{
    int near = params_windowed(r, i, 5), usual = p->n_layer - N_OWN_USUAL,
        n_shared = params_int(r, "attention.shared_kv_layers", 0, p->n_layer - 1,
                              usual > 0 ? usual : 0);

    l->has |= HAS_PLE;
    l->window = WINDOW_LAST;
    l->n_window = near ? p->n_window : 0;
    l->rope = near ? ROPE_SWA : ROPE_MAIN;
    gemma_score_scale(p, l);
    return gemma_borrow(r, i, p->n_layer - n_shared, l);
}

/* -- streams --------------------------------------------------------------------------- */

/* What loops over tokens work on: rows of n numbers. */
struct rows {
    const struct step *s;
    const struct layer *l;
    size_t n, n_tok;
    float *stream[N_STREAM];
    float *x, *y; /* what else a loop reads and writes */
    const float *route;
    int sparse;
};

static double square_mean(const float *x, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    return sum / (double)n;
}

/* y gets the length of x. */
static void same_length(const float *x, float *y, size_t n)
{
    float f = (float)sqrt(square_mean(x, n) / fmax(square_mean(y, n), 1e-5));

    for (size_t i = 0; i < n; i++)
        y[i] *= f;
}

static void fit_others(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        for (int k = 1; k < N_STREAM; k++)
            same_length(j->stream[0] + t * j->n, j->stream[k] + t * j->n, j->n);
    }
}

/* The other streams are products of the first, or what comes back from them into y. */
static void others(struct step *s, struct rows *j, int role, float *const *from)
{
    const struct weight *w = s->m->global.t[role];

    for (int k = 1; k < N_STREAM; k++) {
        size_t mark = step_mark(s);
        struct kern_acts a = blk_acts(s, from[k], j->n_tok, j->n, &w[k - 1]);

        blk_linear(s, &w[k - 1], NULL, &a, j->stream[k], KERN_STORE);
        step_release(s, mark);
    }
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 8, fit_others, j);
}

static void mean_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;

    (void)worker;
    for (size_t i = lo * j->n; i < hi * j->n; i++) {
        float sum = j->stream[0][i];

        for (int k = 1; k < N_STREAM; k++)
            sum += j->stream[k][i];
        j->stream[0][i] = sum / N_STREAM;
    }
}

/* tanh(W norm(x) / n_embd): N_STREAM numbers of each token. */
static void tanh_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;
    float shrink = 1 / (float)j->n;

    (void)worker;
    for (size_t i = lo * N_STREAM; i < hi * N_STREAM; i++)
        j->y[i] = tanhf(j->y[i] * shrink);
}

static void route(struct step *s, const struct layer *l, const float *x, float *y)
{
    const struct weight *w = l->t[T_ROUTER];
    size_t mark = step_mark(s);
    struct kern_acts a = blk_norm(s, x, l->t[T_ROUTER_NORM], NULL, &w, 1);
    struct rows j = {.n = (size_t)s->m->p.n_embd, .y = y};

    blk_linear(s, w, NULL, &a, y, KERN_STORE);
    if (!step_stopped(s))
        pool_run(s->pool, (size_t)s->n_tok, 64, tanh_rows, &j);
    step_release(s, mark);
}

/* A row of factors times what the router says. */
static float factor_of(const float *w, const float *route)
{
    float sum = 0;

    for (int k = 0; k < N_STREAM; k++)
        sum += w[k] * route[k];
    return sum;
}

/* stream i += sum of factor i,k of stream k, all as they were. */
static void predict_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;
    const float *w = j->l->t[T_PREDICT]->vec;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float f[N_STREAM][N_STREAM];

        for (int i = 0; i < N_STREAM * N_STREAM; i++)
            f[i / N_STREAM][i % N_STREAM] =
                factor_of(w + i * N_STREAM, j->route + t * N_STREAM);
        for (size_t d = t * j->n; d < (t + 1) * j->n; d++) {
            float was[N_STREAM];

            for (int i = 0; i < N_STREAM; i++)
                was[i] = j->stream[i][d];
            for (int i = 0; i < N_STREAM; i++)
                j->stream[i][d] = was[i] + (f[i][0] * was[0] + f[i][1] * was[1] +
                                            f[i][2] * was[2] + f[i][3] * was[3]);
        }
    }
}

/* All streams change by what the layer changed on the first (x was made of it), times a factor;
 * y: the first, scaled, as the layer's own embedding sees it. */
static void correct_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;
    const float *w = j->l->t[T_CORRECT]->vec, *scale = j->l->t[T_CORRECT_SCALE]->vec;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float f[N_STREAM], *first = j->stream[0] + t * j->n, *x = j->x + t * j->n;

        for (int i = 0; i < N_STREAM; i++)
            f[i] = 1 + factor_of(w + i * N_STREAM, j->route + t * N_STREAM);
        for (size_t d = 0; d < j->n; d++)
            x[d] -= first[d];
        for (int i = 0; i < N_STREAM; i++) {
            float *to = j->stream[i] + t * j->n;

            for (size_t d = 0; d < j->n; d++)
                to[d] += f[i] * x[d];
        }
        for (size_t d = 0; d < j->n; d++)
            j->y[t * j->n + d] = first[d] * scale[d];
    }
}

static void add_to_others(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;

    (void)worker;
    for (int k = 1; k < N_STREAM; k++) {
        for (size_t i = lo * j->n; i < hi * j->n; i++)
            j->stream[k][i] += j->y[i];
    }
}

/* -- a layer --------------------------------------------------------------------------- */

/* y: a + norm(W W' a), the way beside attention; x = (x + norm(x') + y) / sqrt(2). */
struct join {
    const struct step *s;
    const float *first, *norm;
    float *attn, *low, *x;
    size_t n;
};

static void join_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct join *j = ctx;
    float half = sqrtf(0.5f);

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *attn = j->attn + t * j->n;

        j->s->k->rms_norm(attn, j->norm, attn, j->n, j->s->m->p.eps);
        for (size_t i = t * j->n; i < (t + 1) * j->n; i++)
            j->x[i] = (j->first[i] + j->attn[i] + j->low[i]) * half;
    }
}

/* low = a + norm(W W' a). */
static void low_rank(struct step *s, const struct layer *l, const struct kern_acts *a,
                     float *low)
{
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok, n = (size_t)s->m->p.n_embd;
    float *in = step_floats(s, n_tok * N_RANK), *y = step_floats(s, n_tok * n);
    struct kern_acts b;

    if (!step_stopped(s))
        memcpy(low, a->x, n_tok * n * sizeof(*low));
    blk_linear(s, l->t[T_LOW_IN], NULL, a, in, KERN_STORE);
    b = blk_acts(s, in, n_tok, N_RANK, l->t[T_LOW_OUT]);
    blk_linear(s, l->t[T_LOW_OUT], NULL, &b, y, KERN_STORE);
    blk_add_norm(s, y, l->t[T_LOW_NORM], low);
    step_release(s, mark);
}

/* x: of the first stream, [n_tok][n_embd]. */
static void attention(struct step *s, int i, const float *first, float *x)
{
    static const struct attn attn = {.v_norm = 1};
    const struct layer *l = &s->m->layer[i];
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V],
                                      l->t[T_LOW_IN]};
    size_t mark = step_mark(s), n = (size_t)s->m->p.n_embd, all = (size_t)s->n_tok * n;
    struct kern_acts a = blk_norm(s, first, l->t[T_ATTN_NORM], NULL, readers, 4);
    struct join j = {.s = s,
                     .first = first,
                     .norm = l->t[T_ATTN_POST_NORM]->vec,
                     .attn = step_floats(s, all),
                     .low = step_floats(s, all),
                     .x = x,
                     .n = n};

    low_rank(s, l, &a, j.low);
    blk_attn(s, i, &a, &attn, j.attn, KERN_STORE);
    if (!step_stopped(s))
        pool_run(s->pool, (size_t)s->n_tok, 8, join_rows, &j);
    step_release(s, mark);
}

/* Only what lies far above the mean of a row is left, less that limit. */
static void make_sparse(float *x, size_t n)
{
    double mean = 0, var = 0;
    float limit;

    for (size_t i = 0; i < n; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean);
    limit = (float)(mean + SPARSE_DEVIATIONS * sqrt(var / (double)(n > 1 ? n - 1 : 1)));
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] > limit ? x[i] - limit : 0;
}

static void hidden_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *gate = j->x + t * j->n, *up = j->y + t * j->n;

        if (j->sparse)
            make_sparse(gate, j->n);
        blk_gelu_half(j->s->k, gate, up, up, j->n);
    }
}

/* x += norm(down(gelu(gate a) * up a)), a being norm(x); with sparse(gate a) in the first
 * layers. */
static void feed_forward(struct step *s, int i, float *x)
{
    const struct layer *l = &s->m->layer[i];
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok, n_ff = (size_t)l->n_ff;
    struct kern_acts a = blk_ffn_norm(s, l, x);
    struct rows j = {.s = s,
                     .sparse = i < N_SPARSE,
                     .n = n_ff,
                     .x = step_floats(s, n_tok * n_ff),
                     .y = step_floats(s, n_tok * n_ff)};
    struct linear of[] = {{l->t[T_FFN_GATE], NULL, j.x, KERN_STORE},
                          {l->t[T_FFN_UP], NULL, j.y, KERN_STORE}};
    float *y = step_floats(s, n_tok * (size_t)s->m->p.n_embd);

    blk_linears(s, of, 2, &a);
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 1, hidden_rows, &j);
    a = blk_acts(s, j.y, n_tok, n_ff, l->t[T_FFN_DOWN]);
    blk_linear(s, l->t[T_FFN_DOWN], NULL, &a, y, KERN_STORE);
    blk_add_norm(s, y, l->t[T_FFN_POST_NORM], x);
    step_release(s, mark);
}

static void layer_of(struct step *s, int i, struct rows *j, const float *ple)
{
    const struct layer *l = &s->m->layer[i];
    size_t mark = step_mark(s), all = j->n_tok * j->n;
    float *said = step_floats(s, j->n_tok * N_STREAM);

    j->l = l;
    j->route = said;
    j->x = step_floats(s, all);
    j->y = step_floats(s, all);
    route(s, l, j->stream[0], said);
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 8, predict_rows, j);
    attention(s, i, j->stream[0], j->x);
    feed_forward(s, i, j->x);
    route(s, l, j->x, said);
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 8, correct_rows, j);
    blk_ple(s, i, ple, j->y, 1, j->x);
    j->y = j->x;
    if (!step_stopped(s))
        pool_run(s->pool, j->n_tok, 8, add_to_others, j);
    step_release(s, mark);
}

static void gemma3n_forward(struct step *s)
{
    const struct model *m = s->m;
    size_t n_tok = (size_t)s->n_tok, n = (size_t)m->p.n_embd;
    float *x = blk_embed(s), *ple = blk_ple_inputs(s, x);
    struct rows j = {.s = s, .n = n, .n_tok = n_tok};
    struct rows back = j;

    for (int k = 0; k < N_STREAM; k++)
        j.stream[k] = k ? step_floats(s, n_tok * n) : x;
    others(s, &j, T_STREAM_PROJ, (float *[]){x, x, x, x});
    blk_rope_angles(s, ROPE_MAIN, NULL);
    blk_rope_angles(s, ROPE_SWA, NULL);
    for (int i = 0; i < m->p.n_layer; i++)
        layer_of(s, i, &j, ple);
    for (int k = 0; k < N_STREAM; k++)
        back.stream[k] = k ? step_floats(s, n_tok * n) : x;
    others(s, &back, T_STREAM_BACK, j.stream);
    if (!step_stopped(s))
        pool_run(s->pool, n_tok, 8, mean_rows, &back);
    blk_output(s, x);
}

const struct arch arch_gemma3n = {
    .name = "gemma3n",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gemma3n_params,
    .layer = gemma3n_layer,
    .dim = gemma3n_dim,
    .forward = gemma3n_forward,
    .about = "Gemma 3n",
};

/* gemma4.c - Gemma 4: E2B and E4B, 26B-A4B, 31B.
 *
 * As Gemma 3, and: heads of windowed layers have a size of their own; values are normed, and
 * are the keys where a layer has no product for them; the last layers use keys and values of an
 * earlier one; in layers that see all only some pairs rotate, which rope_freqs says. The small
 * ones have embeddings of each layer's own; the one with experts adds what they give to what
 * its plain feed-forward gives. At last a layer's result is multiplied by a number.
 *
 * Source  the published weights of google/gemma-4 and their configuration
 */
#include "model/arch/arch.h"
#include "model/arch/gemma.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct tensor_spec tensors[] = {
    TENSORS_ENDS,
    TENSORS_ROPE_FREQS,
    TENSORS_PRE_NORMS,
    TENSORS_POST_NORMS,
    LAYER(ATTN_Q, "attn_q.weight", 0, HAS_ATTN, DIM_EMBD, DIM_Q),
    LAYER(ATTN_K, "attn_k.weight", 0, HAS_KV, DIM_EMBD, DIM_K),
    LAYER(ATTN_V, "attn_v.weight", MAY, HAS_KV, DIM_EMBD, DIM_V),
    LAYER(ATTN_OUTPUT, "attn_output.weight", 0, HAS_ATTN, DIM_O, DIM_EMBD),
    TENSORS_ATTN_HEAD_NORM(0),
    TENSORS_BORROWS,
    TENSORS_FFN_GATED,
    TENSORS_PLE,
    LAYER(LAYER_OUTPUT_SCALE, "layer_output_scale.weight", VEC | MAY, 0, DIM_ONE),
    TENSORS_MOE,
    LAYER(FFN_GATE_INP_SCALE, "ffn_gate_inp.scale", VEC | MAY, HAS_MOE, DIM_EMBD),
    LAYER(FFN_PRE_NORM_2, "pre_ffw_norm_2.weight", VEC, HAS_MOE, DIM_EMBD),
    LAYER(FFN_POST_NORM_1, "post_ffw_norm_1.weight", VEC, HAS_MOE, DIM_EMBD),
    LAYER(FFN_POST_NORM_2, "post_ffw_norm_2.weight", VEC, HAS_MOE, DIM_EMBD),
};

/* -- numbers --------------------------------------------------------------------------- */

static int head_size(const struct params *p, struct params_reader *r, int near)
{
    return near ? params_int(r, "attention.key_length_swa", 1, PARAMS_HEAD_DIM_MAX, p->d_k)
                : p->d_k;
}

static int gemma4_params(struct params *p, struct params_reader *r)
{
    int d = head_size(p, r, 1), all = p->rope[ROPE_MAIN].n_rot;

    (void)gemma_params3(p, r);
    if (!params_has(r, "rope.dimension_count_swa"))
        p->rope[ROPE_SWA].n_rot = all < d ? all : d;
    p->n_ple = params_int(r, "embedding_length_per_layer_input", 0, PARAMS_WIDTH_MAX, 0);
    params_moe(r, p, &(struct moe_params){.score = MOE_SOFTMAX, .norm = 1});
    if (r->rc == 0 && !params_has(r, "attention.sliding_window_pattern"))
        r->rc = err_set(r->e, E_FORMAT, "key %s.attention.sliding_window_pattern: missing",
                        r->arch);
    return r->rc;
}

static int has_tensor(struct params_reader *r, int layer, const char *name)
{
    char full[64];

    (void)snprintf(full, sizeof(full), "blk.%d.%s.weight", layer, name);
    return gguf_tensor(r->g, full) != NULL;
}

static int gemma4_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    int near = params_windowed(r, i, 1),
        n_own = p->n_layer - params_int(r, "attention.shared_kv_layers", 0, p->n_layer - 1, 0);

    l->has |= HAS_FFN | (p->n_ple ? HAS_PLE : 0);
    if (!has_tensor(r, i, "ffn_gate_inp"))
        l->has &= ~HAS_MOE;
    l->window = WINDOW_LAST;
    l->n_window = near ? p->n_window : 0;
    l->rope = near ? ROPE_SWA : ROPE_MAIN;
    l->d_k = head_size(p, r, near);
    if (near)
        l->d_v = params_int(r, "attention.value_length_swa", 1, PARAMS_HEAD_DIM_MAX, l->d_k);
    gemma_score_scale(p, l);
    if (r->rc == 0 && i < n_own && l->d_k != l->d_v && !has_tensor(r, i, "attn_v") &&
        !has_tensor(r, i, "attn_qkv"))
        return err_set(r->e, E_FORMAT,
                       "tensor blk.%d.attn_v.weight: missing, and values of %d numbers cannot "
                       "be the keys of %d",
                       i, l->d_v, l->d_k);
    return gemma_borrow(r, i, n_own, l);
}

/* -- layers ---------------------------------------------------------------------------- */

/* What the router says: of rows without their size, times the tensor that is called its scale,
 * divided by the root of their width. */
static float *route(struct step *s, const struct layer *l, const float *x)
{
    const struct weight *w = l->t[T_FFN_GATE_INP];
    size_t n = (size_t)s->n_tok * (size_t)s->m->p.moe.n, mark;
    float *y = step_floats(s, n), shrink = 1 / sqrtf((float)s->m->p.n_embd);
    struct kern_acts a;

    mark = step_mark(s);
    a = blk_norm(s, x, l->t[T_FFN_GATE_INP_SCALE], NULL, &w, 1);
    blk_linear(s, w, NULL, &a, y, KERN_STORE);
    for (size_t i = 0; i < n && !step_stopped(s); i++)
        y[i] *= shrink;
    step_release(s, mark);
    return y;
}

/* The plain feed-forward and the experts, side by side. */
static void feed_forward_moe(struct step *s, const struct layer *l, float *x)
{
    size_t mark = step_mark(s), n_tok = (size_t)s->n_tok, n = (size_t)s->m->p.n_embd;
    struct moe_kind kind = {.act = KERN_ACT_GELU};
    struct ffn f = blk_ffn_of(l, KERN_ACT_GELU);
    float *y = step_floats(s, n_tok * n), *of_moe = step_floats(s, n_tok * n);
    struct kern_acts a = blk_ffn_norm(s, l, x);

    blk_ffn(s, &f, &a, y, KERN_STORE);
    blk_norm_rows(s, y, n_tok, n, l->t[T_FFN_POST_NORM_1], NULL);
    kind.router = route(s, l, x);
    a = blk_norm(s, x, l->t[T_FFN_PRE_NORM_2], NULL, NULL, 0);
    if (!step_stopped(s))
        memset(of_moe, 0, n_tok * n * sizeof(*of_moe));
    blk_moe(s, l, &a, &kind, of_moe);
    blk_add_norm(s, of_moe, l->t[T_FFN_POST_NORM_2], y);
    blk_add_norm(s, y, l->t[T_FFN_POST_NORM], x);
    step_release(s, mark);
}

struct end_job {
    float *x;
    const float *y; /* NULL: nothing is added */
    float scale;
    size_t n;
};

static void end_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct end_job *j = ctx;

    (void)worker;
    for (size_t i = lo * j->n; i < hi * j->n; i++)
        j->x[i] = (j->y ? j->x[i] + j->y[i] : j->x[i]) * j->scale;
}

/* x = (x + what comes of the layer's own embedding) * the layer's number. */
static void end_layer(struct step *s, int i, const float *ple, float *x)
{
    const struct layer *l = &s->m->layer[i];
    const struct weight *scale = l->t[T_LAYER_OUTPUT_SCALE];
    size_t mark = step_mark(s), n = (size_t)s->m->p.n_embd;
    struct end_job j = {.x = x, .scale = scale ? scale->vec[0] : 1, .n = n};

    if (l->has & HAS_PLE) {
        float *y = step_floats(s, (size_t)s->n_tok * n);

        blk_ple(s, i, ple, x, 0, y);
        j.y = y;
    }
    if (!step_stopped(s) && (j.y || scale))
        pool_run(s->pool, (size_t)s->n_tok, 8, end_rows, &j);
    step_release(s, mark);
}

static void gemma4_forward(struct step *s)
{
    static const struct attn attn = {.v_norm = 1};
    const struct model *m = s->m;
    float *x = blk_embed(s), *ple = m->p.n_ple ? blk_ple_inputs(s, x) : NULL;

    blk_rope_angles(s, ROPE_MAIN, m->global.t[T_ROPE_FREQS]);
    blk_rope_angles(s, ROPE_SWA, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        gemma_attention(s, i, &attn, x);
        if (m->layer[i].has & HAS_MOE)
            feed_forward_moe(s, &m->layer[i], x);
        else
            gemma_feed_forward(s, &m->layer[i], x);
        end_layer(s, i, ple, x);
    }
    blk_output(s, x);
}

const struct arch arch_gemma4 = {
    .name = "gemma4",
    TENSORS(tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gemma4_params,
    .layer = gemma4_layer,
    .forward = gemma4_forward,
    .about = "Gemma 4",
};

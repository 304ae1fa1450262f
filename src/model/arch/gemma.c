/* gemma.c - Gemma 1, 2 and 3, and EmbeddingGemma.
 *
 * As llama, with pairs that lie half a head apart, embeddings times the root of their width,
 * and GELU in the feed-forward. From Gemma 2 on what a part gives is normed before it is added,
 * and layers take turns: in Gemma 2 every second looks back through a window, and scores and
 * logits are capped; in Gemma 3 five of six do, with a base of their own for the rotation, and
 * each query and key head is normed. EmbeddingGemma is a Gemma 3 that sees in both directions,
 * with two products behind the mean of its hidden states.
 *
 * Source  Gemma Team 2024, arXiv:2403.08295 and 2408.00118; 2025, arXiv:2503.19786; Vera et al.
 * 2025, arXiv:2509.20354
 */
#include "model/arch/gemma.h"
#include "model/arch/arch.h"

#include <math.h>

/* clang-format off */
/* Behind the pooling; the first names are those of files that say gemma3. */
#define TENSORS_DENSE                                                                          \
    GLOBAL(DENSE_2, "dense.0.weight", ROWS | MAY, DIM_EMBD,    DIM_DENSE_2),                   \
    GLOBAL(DENSE_3, "dense.1.weight", ROWS | MAY, DIM_DENSE_2, DIM_DENSE_3),                   \
    GLOBAL(DENSE_2, "dense_2.weight", ROWS | MAY, DIM_EMBD,    DIM_DENSE_2),                   \
    GLOBAL(DENSE_3, "dense_3.weight", ROWS | MAY, DIM_DENSE_2, DIM_DENSE_3)
/* clang-format on */

static const struct tensor_spec gemma_tensors[] = {
    TENSORS_ENDS,
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_FFN_GATED,
};

static const struct tensor_spec gemma2_tensors[] = {
    TENSORS_ENDS, TENSORS_PRE_NORMS, TENSORS_ATTN, TENSORS_FFN_GATED, TENSORS_POST_NORMS,
};

static const struct tensor_spec gemma3_tensors[] = {
    GLOBAL(OUTPUT_NORM, "norm.weight", VEC | MAY, DIM_EMBD),
    TENSORS_ENDS,
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_HEAD_NORM(0),
    TENSORS_FFN_GATED,
    TENSORS_POST_NORMS,
    TENSORS_DENSE,
};

static const struct tensor_spec embedding_tensors[] = {
    GLOBAL(TOKEN_EMBD, "token_embd.weight", ROWS, DIM_EMBD, DIM_VOCAB),
    GLOBAL(OUTPUT_NORM, "output_norm.weight", VEC, DIM_EMBD),
    TENSORS_PRE_NORMS,
    TENSORS_ATTN,
    TENSORS_ATTN_HEAD_NORM(0),
    TENSORS_FFN_GATED,
    TENSORS_POST_NORMS,
    TENSORS_DENSE,
};

/* -- numbers --------------------------------------------------------------------------- */

int gemma_params(struct params *p, struct params_reader *r)
{
    p->embd_scale = sqrtf((float)p->n_embd);
    return r->rc;
}

/* The largest of a generation, told by its layers, scales scores as if heads were as wide as
 * the embedding divided by their number. */
static void scale_scores(struct params *p, int n_layer)
{
    if (p->kq_scale == 0 && p->n_layer == n_layer && p->n_head)
        p->kq_scale = (float)(1 / sqrt((double)p->n_embd / p->n_head));
}

static int gemma2_params(struct params *p, struct params_reader *r)
{
    if (!params_has(r, "attention.sliding_window"))
        p->n_window = 4096;
    p->attn_cap = (float)params_f64(r, "attn_logit_softcapping", 0, 1e6, 50);
    p->logit_cap = (float)params_f64(r, "final_logit_softcapping", 0, 1e6, 30);
    scale_scores(p, 46);
    return gemma_params(p, r);
}

/* Bases of the rotation have other names in some files, which leave out more that is always
 * the same. */
static void gemma3_ropes(struct params *p, struct params_reader *r)
{
    struct rope_params *all = &p->rope[ROPE_MAIN], *near = &p->rope[ROPE_SWA];
    int other = params_has(r, "rope.global.freq_base") || params_has(r, "rope.local.freq_base");
    double base = params_f64(r, "rope.global.freq_base", 1, 1e15, 1e6);

    all->base = params_f64(r, "rope.freq_base", 1, 1e15, base);
    if (other && p->n_ctx_train >= 131072 && !params_has(r, "rope.scaling.type") &&
        !params_has(r, "rope.scaling.factor"))
        all->scale = 1.0 / 8;
    *near = (struct rope_params){.scale = 1, .attn = 1};
    near->n_rot = params_int(r, "rope.dimension_count_swa", 0, p->d_k, all->n_rot);
    base = params_f64(r, "rope.local.freq_base", 1, 1e15, 1e4);
    near->base = params_f64(r, "rope.freq_base_swa", 1, 1e15, base);
}

/* Some files have more tokens than rows for them: those are left out (vocab.c). */
static void cut_vocab(struct params *p, struct params_reader *r)
{
    static const char *const name[] = {"token_embd.weight", "per_layer_token_embd.weight"};

    for (int i = 0; i < 2; i++) {
        const struct gguf_tensor *t = gguf_tensor(r->g, name[i]);

        if (t && t->ne[1] < (uint64_t)p->n_vocab && !params_has(r, "vocab_size"))
            p->n_vocab = (int)t->ne[1];
    }
}

int gemma_params3(struct params *p, struct params_reader *r)
{
    cut_vocab(p, r);
    if (p->eps < 0)
        p->eps = 1e-6f;
    gemma3_ropes(p, r);
    return gemma_params(p, r);
}

static int gemma3_params(struct params *p, struct params_reader *r)
{
    scale_scores(p, 62);
    if (gguf_tensor(r->g, "dense.0.weight"))
        p->causal = 0;
    return gemma_params3(p, r);
}

static int embedding_params(struct params *p, struct params_reader *r)
{
    p->causal = params_flag(r, "attention.causal", 0);
    return gemma3_params(p, r);
}

static int gemma2_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    if (params_windowed(r, i, 2))
        l->n_window = p->n_window;
    l->window = WINDOW_LAST;
    return r->rc;
}

static int gemma3_layer(const struct params *p, struct params_reader *r, int i, struct layer *l)
{
    if (!p->n_window || !params_windowed(r, i, 6))
        return r->rc;
    l->n_window = p->n_window;
    l->window = p->causal ? WINDOW_LAST : WINDOW_AROUND;
    l->rope = ROPE_SWA;
    return r->rc;
}

void gemma_score_scale(const struct params *p, struct layer *l)
{
    l->kq_scale = p->kq_scale > 0 ? p->kq_scale : 1;
}

int gemma_borrow(struct params_reader *r, int i, int n_own, struct layer *l)
{
    if (r->rc < 0 || i < n_own)
        return r->rc;
    for (int j = n_own - 1; j >= 0; j--) {
        const struct layer *of = l - (i - j);

        if (of->rope != l->rope)
            continue;
        l->has = (l->has & ~HAS_KV) | GEMMA_BORROWS;
        l->kv_of = j;
        l->n_head_kv = of->n_head_kv;
        return 0;
    }
    return err_set(r->e, E_FORMAT,
                   "key %s.attention.shared_kv_layers: no layer below %d sees like layer %d, "
                   "which has no keys of its own",
                   r->arch, n_own, i);
}

/* -- layers ---------------------------------------------------------------------------- */

void gemma_attention(struct step *s, int layer, const struct attn *o, float *x)
{
    const struct weight *norm = s->m->layer[layer].t[T_ATTN_POST_NORM];
    size_t mark = step_mark(s);
    struct kern_acts a = blk_attn_norm(s, layer, x);
    float *y = norm ? step_floats(s, (size_t)s->n_tok * (size_t)s->m->p.n_embd) : x;

    blk_attn(s, layer, &a, o, y, norm ? KERN_STORE : KERN_ADD);
    if (norm)
        blk_add_norm(s, y, norm, x);
    step_release(s, mark);
}

void gemma_feed_forward(struct step *s, const struct layer *l, float *x)
{
    const struct weight *norm = l->t[T_FFN_POST_NORM];
    size_t mark = step_mark(s);
    struct ffn f = blk_ffn_of(l, KERN_ACT_GELU);
    struct kern_acts a = blk_ffn_norm(s, l, x);
    float *y = norm ? step_floats(s, (size_t)s->n_tok * (size_t)s->m->p.n_embd) : x;

    blk_ffn(s, &f, &a, y, norm ? KERN_STORE : KERN_ADD);
    if (norm)
        blk_add_norm(s, y, norm, x);
    step_release(s, mark);
}

static void gemma_forward(struct step *s)
{
    const struct model *m = s->m;
    float *x = blk_embed(s);

    blk_rope_angles(s, ROPE_MAIN, NULL);
    blk_rope_angles(s, ROPE_SWA, NULL);
    for (int i = 0; i < m->p.n_layer; i++) {
        gemma_attention(s, i, NULL, x);
        gemma_feed_forward(s, &m->layer[i], x);
    }
    blk_output(s, x);
}

const struct arch arch_gemma = {
    .name = "gemma",
    TENSORS(gemma_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gemma_params,
    .forward = gemma_forward,
    .about = "Gemma 1",
};

const struct arch arch_gemma2 = {
    .name = "gemma2",
    TENSORS(gemma2_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gemma2_params,
    .layer = gemma2_layer,
    .forward = gemma_forward,
    .about = "Gemma 2",
};

const struct arch arch_gemma3 = {
    .name = "gemma3",
    TENSORS(gemma3_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = gemma3_params,
    .layer = gemma3_layer,
    .forward = gemma_forward,
    .about = "Gemma 3",
};

const struct arch arch_gemma_embedding = {
    .name = "gemma-embedding",
    TENSORS(embedding_tensors),
    .rope_kind = KERN_ROPE_NEOX,
    .read_params = embedding_params,
    .layer = gemma3_layer,
    .forward = gemma_forward,
    .about = "EmbeddingGemma",
};

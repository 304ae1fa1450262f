/* mla.c - latent attention: the cache holds one vector of a position for all heads.
 *
 * A head's keys are K_h c and its values V_h c, c being the latent vector of a position.
 * Instead of making them for every position, K_h is applied to the query and V_h to the result
 * (q . K_h c = K_h^T q . c): all heads then share one key, [c | what rotates], and one value,
 * c.
 *
 * Source  DeepSeek-AI 2024, arXiv:2405.04434; 2025, arXiv:2512.02556 (chosen positions)
 */
#include "model/block/block.h"

#include <string.h>

/* -- a matrix for each head ------------------------------------------------------------ */

struct heads_job {
    const struct step *s;
    const struct kern_acts *acts; /* [n_head] */
};

static void round_heads(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct heads_job *j = ctx;

    (void)worker;
    for (size_t h = lo; h < hi; h++) {
        struct kern_acts a = j->acts[h];

        j->s->k->acts(&a, a.forms, 0, a.n);
    }
}

/* What the products of h read and write. */
static void heads_fill(const struct kern *k, const struct heads *h, const struct kern_acts *all,
                       size_t n_tok, struct kern_acts *acts, struct kern_weight *rows,
                       struct kern_mul *mul)
{
    for (size_t i = 0; i < h->n_head; i++) {
        acts[i] = kern_acts_part(k, all, i * n_tok, n_tok);
        rows[i] = h->rows;
        if (!h->w)
            rows[i].data = (const unsigned char *)h->rows.data + i * h->apart;
        mul[i] = (struct kern_mul){.w = {h->w ? weight_now(&h->w[i]) : &rows[i]},
                                   .x = &acts[i],
                                   .scale = {h->w ? h->w[i].scale : 1},
                                   .y = h->y + i * h->y_head,
                                   .ldy = h->ldy,
                                   .epilogue = KERN_STORE};
    }
}

void blk_heads(struct step *s, const struct heads *h)
{
    const struct kern_weight *w = h->w ? &h->w->w : &h->rows;
    size_t mark = step_mark(s), n = (size_t)s->n_tok, n_all = n * h->n_head, k = w->n_col;
    int forms = s->k->mm[w->type].form;
    size_t n_byte = kern_acts_bytes(n_all, k, forms), grain = 4096 / (n * k + 1) + 1;
    void *buf = n_byte ? step_alloc(s, n_byte) : NULL;
    struct kern_acts *acts = step_alloc(s, h->n_head * sizeof(*acts)), all;
    struct kern_weight *rows = step_alloc(s, h->n_head * sizeof(*rows));
    struct kern_mul *mul = step_alloc(s, h->n_head * sizeof(*mul));

    if (!step_stopped(s)) {
        kern_acts_bind(s->k, &all, buf, n_all, k, forms);
        all.x = h->x;
        heads_fill(s->k, h, &all, n, acts, rows, mul);
        if (forms)
            pool_run(s->pool, h->n_head, grain, round_heads,
                     &(struct heads_job){.s = s, .acts = acts});
        blk_muls(s, mul, h->n_head);
    }
    step_release(s, mark);
}

/* -- the block ------------------------------------------------------------------------- */

struct latent {
    struct step *s;
    const struct layer *l;
    const struct mla *o;
    size_t n_tok, n_head;
    size_t n_rank, n_rot; /* numbers of a position: latent, and those that rotate */
    size_t n_nope, n_v;   /* of a head's query without those; of its value */
    float *q;             /* [n_tok][n_head][n_nope + n_rot] */
    float *kv;            /* [n_tok][n_rank + n_rot] */
    float *v;             /* [n_tok][n_rank] */
    float *nope;          /* [n_head][n_tok][n_nope] */
    float *wide;          /* [n_tok][n_head][n_rank + n_rot] */
    float *out;           /* [n_head][n_tok][n_rank] */
    float *z;             /* [n_tok][n_head][n_v] */
    struct index index;
    float *index_q, *index_k; /* [n_tok][n_head of index][d], [n_tok][d] */
};

/* -- choosing positions ---------------------------------------------------------------- */

/* As the models were trained. */
#define INDEX_EPS 1e-6F

static void index_keys(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct latent *j = ctx;
    const struct step *s = j->s;
    const struct index *ix = &j->index;
    const struct weight *bias = j->o->index_k_norm_bias;
    size_t d = (size_t)ix->d;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        const struct step_run *r = blk_run_of(s, t);
        const float *cs = s->angles[ROPE_MAIN] + t * j->n_rot;
        float *k = j->index_k + t * d, *q = j->index_q + t * (size_t)ix->n_head * d;

        s->k->layer_norm(k, j->o->index_k_norm->vec, bias ? bias->vec : NULL, k, d, INDEX_EPS);
        s->k->rope(k, cs, j->n_rot, j->o->index_rope);
        for (int h = 0; h < ix->n_head; h++)
            s->k->rope(q + (size_t)h * d, cs, j->n_rot, j->o->index_rope);
        blk_index_put(ix, r, r->pos + (int)t - r->first, k);
    }
}

static void index_choose(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct latent *j = ctx;
    const struct step *s = j->s;
    struct chosen *c = j->o->chosen;

    for (size_t t = lo; t < hi && !step_stopped(s); t++) {
        const struct step_run *r = blk_run_of(s, t);
        int n = r->pos + (int)t - r->first + 1;

        c->n[t] = 0;
        if (n > j->index.top)
            c->n[t] = blk_index_best(
                &j->index, t, r, n, (float *)(void *)(s->worker + (size_t)worker * s->n_worker),
                c->place + t * (size_t)c->max);
    }
}

static void choose(struct latent *j)
{
    struct step *s = j->s;

    step_worker_needs(s, (size_t)s->n_ctx * sizeof(float));
    if (step_stopped(s))
        return;
    pool_run(s->pool, j->n_tok, 16, index_keys, j);
    pool_run(s->pool, j->n_tok, 1, index_choose, j);
}

/* -- queries, keys and values ---------------------------------------------------------- */

static struct kern_acts normed(struct step *s, const struct layer *l, const struct mla *o,
                               const float *x)
{
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_Q_A], l->t[T_ATTN_KV_A],
                                      o->index_q ? o->index_k : NULL,
                                      o->index_q ? o->index_proj : NULL};

    return blk_norm(s, x, l->t[T_ATTN_NORM], NULL, readers, 5);
}

/* The products by which all begins. */
static void project(struct latent *j, const struct kern_acts *a)
{
    struct step *s = j->s;
    const struct layer *l = j->l;
    const struct mla *o = j->o;
    size_t n_rank = l->t[T_ATTN_Q_A] ? l->t[T_ATTN_Q_A]->w.n_row : 0, n = 0;
    float *qr = step_floats(s, j->n_tok * n_rank), *w = NULL;
    struct linear of[4];
    struct kern_acts b;

    of[n++] = (struct linear){l->t[T_ATTN_KV_A], NULL, j->kv, KERN_STORE};
    if (n_rank)
        of[n++] = (struct linear){l->t[T_ATTN_Q_A], NULL, qr, KERN_STORE};
    else
        of[n++] = (struct linear){l->t[T_ATTN_Q], NULL, j->q, KERN_STORE};
    if (o->index_q) {
        j->index.w = w = step_floats(s, j->n_tok * (size_t)j->index.n_head);
        of[n++] = (struct linear){o->index_k, NULL, j->index_k, KERN_STORE};
        of[n++] = (struct linear){o->index_proj, NULL, w, KERN_STORE};
    }
    blk_linears(s, of, n, a);
    if (!n_rank)
        return;
    blk_norm_rows(s, qr, j->n_tok, n_rank, l->t[T_ATTN_Q_A_NORM], NULL);
    b = blk_forms(s, qr, j->n_tok, n_rank,
                  (const struct weight *[]){l->t[T_ATTN_Q_B], o->index_q}, 2);
    of[0] = (struct linear){l->t[T_ATTN_Q_B], NULL, j->q, KERN_STORE};
    of[1] = (struct linear){o->index_q, NULL, j->index_q, KERN_STORE};
    blk_linears(s, of, o->index_q ? 2 : 1, &b);
}

/* Norms and rotations; what k_b reads is put aside. */
static void ready_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct latent *j = ctx;
    const struct step *s = j->s;
    int kind = s->m->p.rope_kind;
    size_t n_q = j->n_nope + j->n_rot, n_k = j->n_rank + j->n_rot;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        const float *cs = s->angles[ROPE_MAIN] + t * j->n_rot;
        float *kv = j->kv + t * n_k, factor = j->o->q_factor ? j->o->q_factor[t] : 1;

        s->k->rms_norm(kv, j->l->t[T_ATTN_KV_A_NORM]->vec, kv, j->n_rank, s->m->p.eps);
        s->k->rope(kv + j->n_rank, cs, j->n_rot, kind);
        memcpy(j->v + t * j->n_rank, kv, j->n_rank * sizeof(float));
        for (size_t h = 0; h < j->n_head; h++) {
            float *q = j->q + (t * j->n_head + h) * n_q,
                  *pe = j->wide + (t * j->n_head + h) * n_k + j->n_rank;

            for (size_t i = 0; i < n_q && j->o->q_factor; i++)
                q[i] *= factor;
            memcpy(j->nope + (h * j->n_tok + t) * j->n_nope, q, j->n_nope * sizeof(float));
            memcpy(pe, q + j->n_nope, j->n_rot * sizeof(float));
            s->k->rope(pe, cs, j->n_rot, kind);
        }
    }
}

/* -- files that have K and V in one matrix --------------------------------------------- */

/* For each head the n_nope rows of K, as it is for keys and not turned for queries, then the
 * n_v rows of V. */
static const unsigned char *joined_row(const struct latent *j, size_t head, size_t i)
{
    const struct gguf_tensor *t = j->l->t[T_ATTN_KV_B]->src;

    return t->data + (head * (j->n_nope + j->n_v) + i) * (size_t)(t->n_byte / t->ne[1]);
}

/* K_h^T q: rows of K times the numbers of the query, added up. */
static void absorb_joined(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct latent *j = ctx;
    const struct step *s = j->s;
    const struct quant *quant = quant_find(j->l->t[T_ATTN_KV_B]->src->type);
    float *row = (float *)(void *)(s->worker + (size_t)worker * s->n_worker);

    for (size_t h = lo; h < hi && !step_stopped(s); h++) {
        for (size_t i = 0; i < j->n_nope; i++) {
            quant->to_f32(joined_row(j, h, i), row, j->n_rank);
            for (size_t t = 0; t < j->n_tok; t++) {
                float *to = j->wide + (t * j->n_head + h) * (j->n_rank + j->n_rot),
                      q = j->nope[(h * j->n_tok + t) * j->n_nope + i];

                for (size_t d = 0; d < j->n_rank; d++)
                    to[d] = (i ? to[d] : 0) + q * row[d];
            }
        }
    }
}

static struct heads joined_values(const struct latent *j)
{
    const struct gguf_tensor *t = j->l->t[T_ATTN_KV_B]->src;
    size_t stride = (size_t)(t->n_byte / t->ne[1]);

    return (struct heads){.rows = {.type = t->type,
                                   .layout = KERN_ROWS,
                                   .n_row = j->n_v,
                                   .n_col = j->n_rank,
                                   .data = joined_row(j, 0, j->n_nope),
                                   .stride = stride},
                          .apart = (j->n_nope + j->n_v) * stride};
}

/* -- together -------------------------------------------------------------------------- */

static void absorb(struct latent *j)
{
    struct step *s = j->s;
    struct heads h = {.w = j->l->t[T_ATTN_K_B],
                      .n_head = j->n_head,
                      .x = j->nope,
                      .y = j->wide,
                      .y_head = j->n_rank + j->n_rot,
                      .ldy = j->n_head * (j->n_rank + j->n_rot)};

    if (h.w) {
        blk_heads(s, &h);
        return;
    }
    step_worker_needs(s, j->n_rank * sizeof(float));
    if (!step_stopped(s))
        pool_run(s->pool, j->n_head, 1, absorb_joined, j);
}

static void values(struct latent *j)
{
    struct heads h = {.w = j->l->t[T_ATTN_V_B]};

    if (!h.w)
        h = joined_values(j);
    h.n_head = j->n_head;
    h.x = j->out;
    h.y = j->z;
    h.y_head = j->n_v;
    h.ldy = j->n_head * j->n_v;
    blk_heads(j->s, &h);
}

static void room(struct latent *j)
{
    struct step *s = j->s;
    size_t n = j->n_tok * j->n_head;

    j->q = step_floats(s, n * (j->n_nope + j->n_rot));
    j->kv = step_floats(s, j->n_tok * (j->n_rank + j->n_rot));
    j->v = step_floats(s, j->n_tok * j->n_rank);
    j->nope = step_floats(s, n * j->n_nope);
    j->wide = step_floats(s, n * (j->n_rank + j->n_rot));
    j->out = step_floats(s, n * j->n_rank);
    j->z = step_floats(s, n * j->n_v);
}

static void index_room(struct latent *j, int layer)
{
    const struct index_params *p = &j->s->m->p.index;

    j->index_q = step_floats(j->s, j->n_tok * (size_t)p->n_head * (size_t)p->d);
    j->index_k = step_floats(j->s, j->n_tok * (size_t)p->d);
    j->index = (struct index){.n_head = p->n_head,
                              .d = p->d,
                              .top = p->top,
                              .ratio = 1,
                              .off = j->s->cache->layer[layer].off_page,
                              .q = j->index_q};
}

void blk_mla(struct step *s, int layer, const struct mla *o, float *x)
{
    const struct params *p = &s->m->p;
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n_rot = (size_t)p->rope[ROPE_MAIN].n_rot;
    struct latent j = {.s = s,
                       .l = l,
                       .o = o,
                       .n_tok = (size_t)s->n_tok,
                       .n_head = (size_t)l->n_head,
                       .n_rank = (size_t)p->mla.kv_rank,
                       .n_rot = n_rot,
                       .n_nope = (size_t)p->mla.d_k - n_rot,
                       .n_v = (size_t)p->mla.d_v};
    struct kern_acts a = normed(s, l, o, x);

    room(&j);
    if (o->index_q)
        index_room(&j, layer);
    project(&j, &a);
    if (!step_stopped(s))
        pool_run(s->pool, j.n_tok, 8, ready_rows, &j);
    absorb(&j);
    if (o->index_q)
        choose(&j);
    blk_attend(s, layer,
               &(struct attend){.q = j.wide,
                                .k = j.kv,
                                .v = j.v,
                                .out = j.out,
                                .together = 1,
                                .chosen = o->chosen});
    values(&j);
    a = blk_acts(s, j.z, j.n_tok, j.n_head * j.n_v, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], NULL, &a, x, KERN_ADD);
    step_release(s, mark);
}

/* attn.c - attention over the paged cache. */
#include "model/block/block.h"

#include <string.h>

/* -- rotary angles --------------------------------------------------------------------- */

const float *blk_rope_angles(struct step *s, const struct rope_params *r,
                             const struct weight *factors)
{
    size_t n = (size_t)r->n_rot;
    float *cs = step_floats(s, (size_t)s->n_tok * n);

    for (int t = 0; t < s->n_tok && !s->dry; t++)
        rope_angles(r, factors ? factors->vec : NULL, s->pos[t], cs + (size_t)t * n);
    return cs;
}

/* -- queries, keys and values of a layer ----------------------------------------------- */

struct qkv {
    const struct step *s;
    const struct layer *l;
    const struct cache_layer *cache;
    const float *cs;
    float *q, *k, *v; /* [n_tok][heads][size] */
    float *out;       /* [n_tok][n_head][d_v] */
};

static void head_ready(const struct qkv *j, float *x, const struct weight *norm, size_t t)
{
    const struct step *s = j->s;
    const struct params *p = &s->m->p;

    if (norm)
        s->k->rms_norm(x, norm->vec, x, (size_t)p->d_k, p->eps);
    s->k->rope(x, j->cs + t * (size_t)p->rope.n_rot, (size_t)p->rope.n_rot,
               s->m->arch->rope_kind);
}

/* Norms and rotations of the queries and keys of tokens [lo, hi). */
static void rotate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;
    const struct params *p = &j->s->m->p;
    size_t d = (size_t)p->d_k;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        for (size_t h = 0; h < (size_t)p->n_head; h++)
            head_ready(j, j->q + (t * (size_t)p->n_head + h) * d, j->l->t[T_ATTN_Q_NORM], t);
        for (size_t h = 0; h < (size_t)p->n_head_kv; h++)
            head_ready(j, j->k + (t * (size_t)p->n_head_kv + h) * d, j->l->t[T_ATTN_K_NORM], t);
    }
}

/* Keys and values of heads [lo, hi) into their pages. A head to a worker: neighbouring
 * positions share cache lines. */
static void store_heads(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;
    const struct step *s = j->s;
    const struct params *p = &s->m->p;

    (void)worker;
    for (size_t h = lo; h < hi; h++) {
        for (int i = 0; i < s->n_run; i++) {
            const struct step_run *r = &s->run[i];

            for (int t = 0; t < r->n; t++) {
                int pos = r->pos + t;
                unsigned char *page = r->page[pos / KERN_PAGE];
                size_t row = (size_t)(r->first + t) * (size_t)p->n_head_kv + h;

                s->k->kv_put(s->cache->kv, j->k + row * (size_t)p->d_k,
                             j->v + row * (size_t)p->d_v, p->d_k, p->d_v, pos % KERN_PAGE,
                             page + j->cache->off_k + h * j->cache->head_k,
                             page + j->cache->off_v + h * j->cache->head_v);
            }
        }
    }
}

/* -- attention ------------------------------------------------------------------------- */

/* Tokens of one item: their queries of one group fill the rows of a call. */
static int item_tokens(const struct params *p)
{
    int group = p->n_head / p->n_head_kv;

    return group >= KERN_ATTN_ROWS ? 1 : KERN_ATTN_ROWS / group;
}

static size_t run_items(const struct params *p, const struct step_run *r)
{
    int per = item_tokens(p);

    return (size_t)((r->n + per - 1) / per) * (size_t)p->n_head_kv;
}

/* Tokens [t0, t1) of a run and key/value head h: rows are (token, query head) pairs, at most
 * KERN_ATTN_ROWS at a time. */
static void attend(const struct qkv *j, const struct step_run *r, size_t h, int t0, int t1,
                   void *scratch)
{
    const struct params *p = &j->s->m->p;
    size_t group = (size_t)(p->n_head / p->n_head_kv), n_head = (size_t)p->n_head;
    const float *q[KERN_ATTN_ROWS];
    float *out[KERN_ATTN_ROWS];
    int32_t pos[KERN_ATTN_ROWS];
    struct kern_attn a = {.kv = j->s->cache->kv,
                          .d_k = p->d_k,
                          .d_v = p->d_v,
                          .q = q,
                          .out = out,
                          .pos = pos,
                          .page = (const unsigned char *const *)r->page,
                          .off_k = j->cache->off_k + h * j->cache->head_k,
                          .off_v = j->cache->off_v + h * j->cache->head_v,
                          .scale = p->kq_scale};

    for (int t = t0; t < t1; t++) {
        for (size_t g = 0; g < group; g++) {
            size_t row = (size_t)(r->first + t) * n_head + h * group + g;

            q[a.n_q] = j->q + row * (size_t)p->d_k;
            out[a.n_q] = j->out + row * (size_t)p->d_v;
            pos[a.n_q++] = r->pos + t;
            if (a.n_q == KERN_ATTN_ROWS) {
                j->s->k->attn(&a, scratch);
                a.n_q = 0;
            }
        }
    }
    if (a.n_q)
        j->s->k->attn(&a, scratch);
}

static void attend_items(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;
    const struct step *s = j->s;
    const struct params *p = &s->m->p;
    int per = item_tokens(p);

    for (size_t i = lo; i < hi && !step_stopped(s); i++) {
        const struct step_run *r = s->run;
        size_t at = i, h;
        int t0, t1;

        for (; at >= run_items(p, r); r++)
            at -= run_items(p, r);
        h = at % (size_t)p->n_head_kv;
        t0 = (int)(at / (size_t)p->n_head_kv) * per;
        t1 = t0 + per < r->n ? t0 + per : r->n;
        attend(j, r, h, t0, t1, s->worker + (size_t)worker * s->n_worker);
    }
}

static void attention(struct step *s, struct qkv *j)
{
    size_t n = 0, n_tok = (size_t)s->n_tok, n_kv = (size_t)s->m->p.n_head_kv;

    if (step_stopped(s))
        return;
    pool_run(s->pool, n_tok, 8, rotate_rows, j);
    pool_run(s->pool, n_kv, n_tok < 8 ? n_kv : 1, store_heads, j);
    for (int i = 0; i < s->n_run; i++)
        n += run_items(&s->m->p, &s->run[i]);
    pool_run(s->pool, n, 1, attend_items, j);
}

void blk_attn_gqa(struct step *s, int layer, float *x)
{
    const struct params *p = &s->m->p;
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n = (size_t)s->n_tok, n_head = (size_t)p->n_head,
           n_kv = (size_t)p->n_head_kv, d_k = (size_t)p->d_k, d_v = (size_t)p->d_v;
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V]};
    struct kern_acts a = blk_norm(s, x, l->t[T_ATTN_NORM], readers, 3), o;
    struct qkv j = {.s = s, .l = l, .cache = &s->cache->layer[layer]};

    j.q = step_floats(s, n * n_head * d_k);
    j.k = step_floats(s, n * n_kv * d_k);
    j.v = step_floats(s, n * n_kv * d_v);
    j.out = step_floats(s, n * n_head * d_v);
    j.cs = s->angles;
    blk_linears(s,
                (struct linear[]){{l->t[T_ATTN_Q], l->t[T_ATTN_Q_BIAS], j.q, KERN_STORE},
                                  {l->t[T_ATTN_K], l->t[T_ATTN_K_BIAS], j.k, KERN_STORE},
                                  {l->t[T_ATTN_V], l->t[T_ATTN_V_BIAS], j.v, KERN_STORE}},
                3, &a);
    attention(s, &j);
    o = blk_acts(s, j.out, n, n_head * d_v, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], l->t[T_ATTN_OUTPUT_BIAS], &o, x, KERN_ADD);
    step_release(s, mark);
}

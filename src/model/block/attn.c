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

                s->k->key_put(s->cache->kv_k, j->k + row * (size_t)p->d_k, p->d_k,
                              pos % KERN_PAGE, page + j->cache->off_k + h * j->cache->head_k);
                s->k->value_put(s->cache->kv_v, j->v + row * (size_t)p->d_v, p->d_v,
                                pos % KERN_PAGE, page + j->cache->off_v + h * j->cache->head_v);
            }
        }
    }
}

/* -- attention ------------------------------------------------------------------------- */

/* The work is cut into items: a run's tokens, a key/value head, some rows. Where that leaves
 * threads idle (one sequence makes one token, a few heads) it is cut over segments of
 * positions too: each worker leaves partial results, and a second loop folds them together.
 * The arithmetic is the same either way (struct kern_attn). */
struct items {
    const struct qkv *j;
    int per;       /* tokens of an item: their queries of one group fill the rows of a call */
    int tiles;     /* calls for a token whose group is larger than that */
    float *part;   /* [rows][n_seg] partial results, or NULL: not cut over segments */
    size_t n_seg;  /* of the longest run */
    size_t n_item; /* before they are cut over segments */
};

static size_t group_of(const struct params *p)
{
    return (size_t)(p->n_head / p->n_head_kv);
}

static size_t run_items(const struct items *it, const struct step_run *r)
{
    return (size_t)((r->n + it->per - 1) / it->per) * (size_t)it->tiles *
           (size_t)it->j->s->m->p.n_head_kv;
}

/* The rows of a call: (token, query head) pairs of one run and key/value head. */
struct rows {
    struct kern_attn a;
    const float *q[KERN_ATTN_ROWS];
    float *out[KERN_ATTN_ROWS];
    int32_t first[KERN_ATTN_ROWS], pos[KERN_ATTN_ROWS];
    size_t at; /* of the first, among the step's rows: [n_tok][n_head] in order of items */
};

/* Item i: heads are outermost, so that a worker goes on with the pages that it has. */
static void rows_of(const struct items *it, size_t i, struct rows *o)
{
    const struct qkv *j = it->j;
    const struct params *p = &j->s->m->p;
    const struct step_run *r = j->s->run;
    size_t group = group_of(p), n_head = (size_t)p->n_head, h, n, g0, g1;
    int t0, t1;

    for (o->at = 0; i >= run_items(it, r); r++) {
        i -= run_items(it, r);
        o->at += (size_t)r->n * n_head;
    }
    n = run_items(it, r) / (size_t)p->n_head_kv;
    h = i / n;
    t0 = (int)(i % n / (size_t)it->tiles) * it->per;
    t1 = t0 + it->per < r->n ? t0 + it->per : r->n;
    g0 = i % n % (size_t)it->tiles * KERN_ATTN_ROWS;
    g1 = g0 + KERN_ATTN_ROWS < group ? g0 + KERN_ATTN_ROWS : group;
    o->at += h * group * (size_t)r->n + (size_t)t0 * group + g0;
    o->a = (struct kern_attn){.kv_k = j->s->cache->kv_k,
                              .kv_v = j->s->cache->kv_v,
                              .d_k = p->d_k,
                              .d_v = p->d_v,
                              .q = o->q,
                              .first = o->first,
                              .pos = o->pos,
                              .page = (const unsigned char *const *)r->page,
                              .off_k = j->cache->off_k + h * j->cache->head_k,
                              .off_v = j->cache->off_v + h * j->cache->head_v,
                              .scale = p->kq_scale};
    for (int t = t0; t < t1; t++) {
        for (size_t g = g0; g < g1; g++) {
            size_t row = (size_t)(r->first + t) * n_head + h * group + g;
            int k = o->a.n_q++, pos = r->pos + t, window = j->l->n_window;

            o->q[k] = j->q + row * (size_t)p->d_k;
            o->out[k] = j->out + row * (size_t)p->d_v;
            o->pos[k] = pos;
            o->first[k] = window > 0 && window <= pos ? pos - window + 1 : 0;
        }
    }
}

static void attend_items(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct items *it = ctx;
    const struct step *s = it->j->s;
    struct rows rows;

    for (size_t i = lo; i < hi && !step_stopped(s); i++) {
        rows_of(it, i, &rows);
        kern_attn_all(s->k, &rows.a, rows.out, s->worker + (size_t)worker * s->n_worker);
    }
}

/* Segments that the rows of a call see. */
static void segments_of(const struct rows *o, size_t *first, size_t *end)
{
    *first = (size_t)o->first[0] / KERN_SEG;
    *end = (size_t)o->pos[o->a.n_q - 1] / KERN_SEG + 1;
}

/* The partial results of an item for a segment. */
static float *part_of(const struct items *it, const struct rows *o, size_t seg)
{
    return it->part +
           (o->at * it->n_seg + seg * (size_t)o->a.n_q) * kern_attn_part(it->j->s->m->p.d_v);
}

static void attend_segments(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct items *it = ctx;
    const struct step *s = it->j->s;
    struct rows rows;

    for (size_t i = lo; i < hi && !step_stopped(s); i++) {
        size_t seg = i % it->n_seg, first, end;

        rows_of(it, i / it->n_seg, &rows);
        segments_of(&rows, &first, &end);
        if (seg >= first && seg < end)
            s->k->attn(&rows.a, (int)seg, part_of(it, &rows, seg),
                       s->worker + (size_t)worker * s->n_worker);
    }
}

static void fold_items(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct items *it = ctx;
    const struct step *s = it->j->s;
    struct rows o;

    (void)worker;
    for (size_t i = lo; i < hi && !step_stopped(s); i++) {
        size_t first, end;
        float *into;

        rows_of(it, i, &o);
        segments_of(&o, &first, &end);
        into = part_of(it, &o, first);
        for (size_t seg = first + 1; seg < end; seg++)
            s->k->attn_fold(into, part_of(it, &o, seg), o.a.n_q, o.a.d_v, NULL, NULL);
        s->k->attn_fold(into, NULL, o.a.n_q, o.a.d_v, o.out, o.a.sink);
    }
}

/* Room for partial results of a few tokens at the longest context: with more tokens there are
 * items enough. */
enum { SPLIT_TOKENS = 8, SPLIT_ITEMS = 4 /* for each thread */ };

static size_t split_rows(const struct step *s)
{
    int n = s->n_tok < SPLIT_TOKENS ? s->n_tok : SPLIT_TOKENS;

    return (size_t)n * (size_t)s->m->p.n_head * (((size_t)s->n_ctx + KERN_SEG - 1) / KERN_SEG);
}

static struct items items_of(const struct qkv *j, float *part)
{
    const struct step *s = j->s;
    size_t group = group_of(&s->m->p);
    struct items it = {.j = j, .per = 1, .tiles = 1};

    if (group <= KERN_ATTN_ROWS)
        it.per = (int)(KERN_ATTN_ROWS / group);
    else
        it.tiles = (int)((group + KERN_ATTN_ROWS - 1) / KERN_ATTN_ROWS);
    for (int i = 0; i < s->n_run; i++) {
        size_t n = (size_t)(s->run[i].pos + s->run[i].n - 1) / KERN_SEG + 1;

        it.n_item += run_items(&it, &s->run[i]);
        it.n_seg = n > it.n_seg ? n : it.n_seg;
    }
    if (it.n_seg > 1 && it.n_item < SPLIT_ITEMS * (size_t)pool_size(s->pool) &&
        (size_t)s->n_tok * (size_t)s->m->p.n_head * it.n_seg <= split_rows(s))
        it.part = part;
    return it;
}

static void attention(struct step *s, struct qkv *j, float *part)
{
    size_t n_tok = (size_t)s->n_tok, n_kv = (size_t)s->m->p.n_head_kv;
    struct items it;

    if (step_stopped(s))
        return;
    pool_run(s->pool, n_tok, 8, rotate_rows, j);
    pool_run(s->pool, n_kv, n_tok < 8 ? n_kv : 1, store_heads, j);
    it = items_of(j, part);
    if (!it.part) {
        pool_run(s->pool, it.n_item, 1, attend_items, &it);
        return;
    }
    pool_run(s->pool, it.n_item * it.n_seg, 1, attend_segments, &it);
    pool_run(s->pool, it.n_item, 1, fold_items, &it);
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
    float *part;

    j.q = step_floats(s, n * n_head * d_k);
    j.k = step_floats(s, n * n_kv * d_k);
    j.v = step_floats(s, n * n_kv * d_v);
    j.out = step_floats(s, n * n_head * d_v);
    part = step_floats(s, split_rows(s) * kern_attn_part(p->d_v));
    j.cs = s->angles;
    blk_linears(s,
                (struct linear[]){{l->t[T_ATTN_Q], l->t[T_ATTN_Q_BIAS], j.q, KERN_STORE},
                                  {l->t[T_ATTN_K], l->t[T_ATTN_K_BIAS], j.k, KERN_STORE},
                                  {l->t[T_ATTN_V], l->t[T_ATTN_V_BIAS], j.v, KERN_STORE}},
                3, &a);
    attention(s, &j, part);
    o = blk_acts(s, j.out, n, n_head * d_v, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], l->t[T_ATTN_OUTPUT_BIAS], &o, x, KERN_ADD);
    step_release(s, mark);
}

/* attn.c - attention over the paged cache. */
#include "model/block/block.h"

#include <math.h>
#include <string.h>

/* -- rotary angles --------------------------------------------------------------------- */

void blk_rope_angles(struct step *s, int which, const struct weight *factors)
{
    const struct rope_params *r = &s->m->p.rope[which];
    size_t n = (size_t)r->n_rot;
    float *cs = step_floats(s, (size_t)s->n_tok * n);

    for (int t = 0; t < s->n_tok && !s->dry; t++)
        rope_angles(r, factors ? factors->vec : NULL, s->pos[t], cs + (size_t)t * n);
    s->angles[which] = cs;
}

/* -- queries, keys and values of a layer ----------------------------------------------- */

struct qkv {
    const struct step *s;
    const struct layer *l;
    const struct cache_layer *cache;
    const struct attn *o;
    int own_kv;       /* keys and values are this layer's */
    float *q, *k, *v; /* [n_tok][heads][size]; q: [2 size] with gates */
    size_t q_pitch;   /* from one query head to the next */
    float *out;       /* [n_head / together][n_tok][together][d_v] */
    size_t n_tok, together;
};

/* A head of queries or keys before it is stored or used. */
static void head_ready(const struct qkv *j, float *x, const struct weight *norm, size_t t)
{
    const struct step *s = j->s;
    size_t d = (size_t)j->l->d_k;
    int rope = j->l->rope;

    if (norm && !j->o->norm_all)
        s->k->rms_norm(x, norm->vec, x, d, s->m->p.eps);
    if (rope >= 0) {
        size_t n = (size_t)s->m->p.rope[rope].n_rot;

        s->k->rope(x, s->angles[rope] + t * n, n, s->m->p.rope_kind);
    }
    if (j->o->norm_after)
        s->k->rms_norm(x, NULL, x, d, s->m->p.eps);
}

static void query_ready(const struct qkv *j, size_t t)
{
    const struct layer *l = j->l;
    float *q = j->q + t * (size_t)l->n_head * j->q_pitch;

    if (j->o->norm_all && l->t[T_ATTN_Q_NORM])
        j->s->k->rms_norm(q, l->t[T_ATTN_Q_NORM]->vec, q, (size_t)l->n_head * (size_t)l->d_k,
                          j->s->m->p.eps);
    for (int h = 0; h < l->n_head; h++, q += j->q_pitch) {
        head_ready(j, q, l->t[T_ATTN_Q_NORM], t);
        for (int i = 0; i < l->d_k && j->o->q_factor; i++)
            q[i] *= j->o->q_factor[t];
    }
}

static void key_ready(const struct qkv *j, size_t t)
{
    const struct layer *l = j->l;
    size_t n = (size_t)l->n_head_kv, d = (size_t)l->d_k, d_v = (size_t)l->d_v;
    float *k = j->k + t * n * d, *v = j->v + t * n * d_v;

    if (!l->t[T_ATTN_V]) /* values are the keys before their norm and rotation */
        memcpy(v, k, n * d * sizeof(*v));
    if (j->o->norm_all && l->t[T_ATTN_K_NORM])
        j->s->k->rms_norm(k, l->t[T_ATTN_K_NORM]->vec, k, n * d, j->s->m->p.eps);
    for (size_t h = 0; h < n; h++) {
        head_ready(j, k + h * d, l->t[T_ATTN_K_NORM], t);
        if (j->o->v_norm)
            j->s->k->rms_norm(v + h * d_v, NULL, v + h * d_v, d_v, j->s->m->p.eps);
    }
}

/* Norms and rotations of the queries and keys of tokens [lo, hi). */
static void rotate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        query_ready(j, t);
        if (j->own_kv)
            key_ready(j, t);
    }
}

/* Keys and values of heads [lo, hi) into their pages. A head to a worker: neighbouring
 * positions share cache lines. */
static void store_heads(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;
    const struct step *s = j->s;
    size_t n_kv = (size_t)j->l->n_head_kv, d_k = (size_t)j->l->d_k, d_v = (size_t)j->l->d_v;

    (void)worker;
    for (size_t h = lo; h < hi; h++) {
        for (int i = 0; i < s->n_run; i++) {
            const struct step_run *r = &s->run[i];

            for (int t = 0; t < r->n; t++) {
                int at = r->pos + t;
                unsigned char *page = r->page[at / KERN_PAGE];
                size_t row = (size_t)(r->first + t) * n_kv + h;

                s->k->key_put(s->cache->kv_k, j->k + row * d_k, (int)d_k, at % KERN_PAGE,
                              page + j->cache->off_k + h * j->cache->head_k);
                s->k->value_put(s->cache->kv_v, j->v + row * d_v, (int)d_v, at % KERN_PAGE,
                                page + j->cache->off_v + h * j->cache->head_v);
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

static size_t group_of(const struct layer *l)
{
    return (size_t)(l->n_head / l->n_head_kv);
}

static size_t run_items(const struct items *it, const struct step_run *r)
{
    return (size_t)((r->n + it->per - 1) / it->per) * (size_t)it->tiles *
           (size_t)it->j->l->n_head_kv;
}

/* The rows of a call: (token, query head) pairs of one run and key/value head. */
struct rows {
    struct kern_attn a;
    const float *q[KERN_ATTN_ROWS];
    float *out[KERN_ATTN_ROWS];
    float sink[KERN_ATTN_ROWS];
    int32_t first[KERN_ATTN_ROWS], pos[KERN_ATTN_ROWS];
    size_t at; /* of the first, among the step's rows: [n_tok][n_head] in order of items */
};

/* The places in the sequence that the token at place `at` sees, of n that are there. */
static void sees(const struct layer *l, const struct step_run *r, int at, int n, int causal,
                 int32_t *first, int32_t *last)
{
    int w = l->n_window, pos = at + r->base;

    *first = l->has & HAS_NEXTN && r->base == 0; /* nothing was before the first token */
    *last = causal ? at : n - 1;
    if (w <= 0)
        return;
    if (l->window == WINDOW_LAST && at - w + 1 > *first)
        *first = at - w + 1;
    if (l->window == WINDOW_CHUNK && pos / w * w > r->base)
        *first = pos / w * w - r->base;
    if (l->window == WINDOW_AROUND) {
        *first = at > w / 2 ? at - w / 2 : 0;
        *last = *last > at + w / 2 ? at + w / 2 : *last;
    }
}

/* Where the result of a head goes. */
static float *out_of(const struct qkv *j, size_t token, size_t head)
{
    size_t row = head / j->together * j->n_tok + token;

    return j->out + (row * j->together + head % j->together) * (size_t)j->l->d_v;
}

/* Item i: heads are outermost, so that a worker goes on with the pages that it has. */
static void rows_of(const struct items *it, size_t i, struct rows *o)
{
    const struct qkv *j = it->j;
    const struct layer *l = j->l;
    const struct weight *sinks = l->t[T_ATTN_SINKS];
    const struct step_run *r = j->s->run;
    size_t group = group_of(l), n_head = (size_t)l->n_head, h, n, g0, g1;
    int t0, t1;

    for (o->at = 0; i >= run_items(it, r); r++) {
        i -= run_items(it, r);
        o->at += (size_t)r->n * n_head;
    }
    n = run_items(it, r) / (size_t)l->n_head_kv;
    h = i / n;
    t0 = (int)(i % n / (size_t)it->tiles) * it->per;
    t1 = t0 + it->per < r->n ? t0 + it->per : r->n;
    g0 = i % n % (size_t)it->tiles * KERN_ATTN_ROWS;
    g1 = g0 + KERN_ATTN_ROWS < group ? g0 + KERN_ATTN_ROWS : group;
    o->at += h * group * (size_t)r->n + (size_t)t0 * group + g0;
    o->a = (struct kern_attn){.kv_k = j->s->cache->kv_k,
                              .kv_v = j->s->cache->kv_v,
                              .d_k = l->d_k,
                              .d_v = l->d_v,
                              .q = o->q,
                              .first = o->first,
                              .pos = o->pos,
                              .page = (const unsigned char *const *)r->page,
                              .off_k = j->cache->off_k + h * j->cache->head_k,
                              .off_v = j->cache->off_v + h * j->cache->head_v,
                              .scale = l->kq_scale,
                              .cap = j->s->m->p.attn_cap,
                              .sink = sinks ? o->sink : NULL};
    for (int t = t0; t < t1; t++) {
        for (size_t g = g0; g < g1; g++) {
            size_t head = h * group + g, token = (size_t)r->first + (size_t)t;
            int k = o->a.n_q++;

            o->q[k] = j->q + (token * n_head + head) * j->q_pitch;
            o->out[k] = out_of(j, token, head);
            if (sinks)
                o->sink[k] = sinks->vec[head];
            sees(l, r, r->pos + t, r->pos + r->n, j->s->m->p.causal, &o->first[k], &o->pos[k]);
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
           (o->at * it->n_seg + seg * (size_t)o->a.n_q) * kern_attn_part(it->j->l->d_v);
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

static size_t split_rows(const struct step *s, const struct layer *l)
{
    int n = s->n_tok < SPLIT_TOKENS ? s->n_tok : SPLIT_TOKENS;

    return (size_t)n * (size_t)l->n_head * (((size_t)s->n_ctx + KERN_SEG - 1) / KERN_SEG);
}

static struct items items_of(const struct qkv *j, float *part)
{
    const struct step *s = j->s;
    size_t group = group_of(j->l);
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
        (size_t)s->n_tok * (size_t)j->l->n_head * it.n_seg <= split_rows(s, j->l))
        it.part = part;
    return it;
}

/* Items to the pool; cut over segments where that keeps more threads busy. */
static void attend(const struct step *s, const struct qkv *j, float *part)
{
    struct items it = items_of(j, part);

    if (!it.part) {
        pool_run(s->pool, it.n_item, 1, attend_items, &it);
        return;
    }
    pool_run(s->pool, it.n_item * it.n_seg, 1, attend_segments, &it);
    pool_run(s->pool, it.n_item, 1, fold_items, &it);
}

/* -- attention to chosen places -------------------------------------------------------- */

/* Keys and values of chosen places are copied side by side, and attention runs over the copies:
 * a token is then a run of its own. A few tokens at a time: the copies are large. */
enum { GATHER_TOKENS = 8 };

struct gather {
    const struct qkv *j;
    const struct chosen *c;
    struct cache_layer to; /* where a copied page has keys and values */
    size_t page_bytes;
    int n_page;                   /* of each token */
    unsigned char *copy;          /* [GATHER_TOKENS][n_page][page_bytes] */
    unsigned char **page;         /* [GATHER_TOKENS][n_page] */
    struct step_run *run;         /* of the tokens at hand */
    const struct step_run **from; /* and where they are in the step */
};

static size_t gather_tokens(const struct step *s)
{
    return (size_t)(s->n_tok < GATHER_TOKENS ? s->n_tok : GATHER_TOKENS);
}

/* The room for it; runs also for the tokens that see all. */
static struct gather gather_room(struct step *s, const struct qkv *j, const struct chosen *c)
{
    const struct cache_layer *l = j->cache;
    struct gather g = {.j = j,
                       .c = c,
                       .to = {.off_v = l->head_k, .head_k = l->head_k, .head_v = l->head_v},
                       .page_bytes = l->head_k + l->head_v,
                       .n_page = (c->max + KERN_PAGE - 1) / KERN_PAGE};
    size_t n = gather_tokens(s), n_page = n * (size_t)g.n_page;

    g.copy = step_alloc(s, n_page * g.page_bytes);
    g.page = step_alloc(s, n_page * sizeof(*g.page));
    g.run = step_alloc(s, (size_t)s->n_tok * sizeof(*g.run));
    g.from = step_alloc(s, n * sizeof(*g.from));
    for (size_t i = 0; i < n_page && !s->dry; i++)
        g.page[i] = g.copy + i * g.page_bytes;
    return g;
}

static void gather_place(const struct gather *g, const struct step_run *r, int32_t place,
                         unsigned char *to, int slot)
{
    const struct qkv *j = g->j;
    const struct kern *k = j->s->k;
    const struct cache_layout *c = j->s->cache;
    int d_k = j->l->d_k, d_v = j->l->d_v;

    if (place >= 0) {
        const unsigned char *page = r->page[place / KERN_PAGE];

        kern_key_copy(c->kv_k, d_k, page + j->cache->off_k, place % KERN_PAGE, to, slot);
        kern_value_copy(c->kv_v, d_v, page + j->cache->off_v, place % KERN_PAGE,
                        to + g->to.off_v, slot);
    } else {
        const float *x = blk_beside(r, ~place, g->c->off, g->c->ratio, (size_t)d_k);

        k->key_put(c->kv_k, x, d_k, slot, to);
        k->value_put(c->kv_v, x, d_v, slot, to + g->to.off_v);
    }
}

/* Items are pages of copies. */
static void gather_pages(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct gather *g = ctx;

    (void)worker;
    for (size_t i = lo; i < hi && !step_stopped(g->j->s); i++) {
        size_t k = i / (size_t)g->n_page, first = i % (size_t)g->n_page * KERN_PAGE,
               t = (size_t)g->run[k].first, n = (size_t)g->c->n[t];
        const int32_t *place = g->c->place + t * (size_t)g->c->max;

        for (size_t at = first; at < n && at < first + KERN_PAGE; at++)
            gather_place(g, g->from[k], place[at], g->page[i], (int)(at - first));
    }
}

/* Attention of the first n runs of g, whose tokens stand for the step's. */
static void attend_runs(const struct gather *g, size_t n, int copied, float *part)
{
    struct step s = *g->j->s;
    struct qkv j = *g->j;
    struct layer all = *j.l;

    if (n == 0)
        return;
    j.s = &s;
    s.run = g->run;
    s.n_run = (int)n;
    s.n_tok = 0;
    for (size_t i = 0; i < n; i++)
        s.n_tok += g->run[i].n;
    if (copied) {
        all.n_window = 0;
        j.l = &all;
        j.cache = &g->to;
        pool_run(s.pool, n * (size_t)g->n_page, 4, gather_pages, (void *)(uintptr_t)g);
    }
    attend(&s, &j, part);
}

static void attend_chosen(const struct step *s, const struct gather *g, float *part)
{
    size_t n = 0, most = gather_tokens(s);

    for (int i = 0; i < s->n_run; i++) { /* those that see all before them */
        struct step_run r = s->run[i];

        for (r.n = 0; r.n < s->run[i].n && g->c->n[r.first + r.n] == 0;)
            r.n++;
        if (r.n)
            g->run[n++] = r;
    }
    attend_runs(g, n, 0, part);
    n = 0;
    for (int i = 0; i < s->n_run; i++) {
        for (int t = s->run[i].first; t < s->run[i].first + s->run[i].n; t++) {
            if (g->c->n[t] == 0)
                continue;
            g->from[n] = &s->run[i];
            g->run[n] = (struct step_run){.first = t,
                                          .n = 1,
                                          .pos = g->c->n[t] - 1,
                                          .page = g->page + n * (size_t)g->n_page};
            if (++n == most) {
                attend_runs(g, n, 1, part);
                n = 0;
            }
        }
    }
    attend_runs(g, n, 1, part);
}

void blk_attend(struct step *s, int layer, const struct attend *a)
{
    static const struct attn plain;
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n_kv = (size_t)l->n_head_kv, n = (size_t)s->n_tok;
    struct qkv j = {.s = s,
                    .l = l,
                    .cache = &s->cache->layer[layer],
                    .o = &plain,
                    .own_kv = 1,
                    .q = a->q,
                    .k = a->k,
                    .v = a->v,
                    .q_pitch = (size_t)l->d_k,
                    .out = a->out,
                    .n_tok = n,
                    .together = (size_t)a->together};
    float *part = step_floats(s, split_rows(s, l) * kern_attn_part(l->d_v));
    struct gather g;

    if (a->chosen)
        g = gather_room(s, &j, a->chosen);
    if (!step_stopped(s)) {
        pool_run(s->pool, n_kv, n < 8 ? n_kv : 1, store_heads, &j);
        if (a->chosen)
            attend_chosen(s, &g, part);
        else
            attend(s, &j, part);
    }
    step_release(s, mark);
}

/* -- the block ------------------------------------------------------------------------- */

/* What comes out of heads of tokens [lo, hi), as far as their gates are open. */
static void gate_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct qkv *j = ctx;
    size_t n = (size_t)j->l->n_head, d = (size_t)j->l->d_v;

    (void)worker;
    for (size_t i = lo * n; i < hi * n; i++)
        j->s->k->act(KERN_ACT_SIGMOID, 0, j->q + i * j->q_pitch + (size_t)j->l->d_k,
                     j->out + i * d, j->out + i * d, d);
}

static void attention(struct step *s, struct qkv *j, float *part)
{
    size_t n_tok = (size_t)s->n_tok, n_kv = (size_t)j->l->n_head_kv;

    if (step_stopped(s))
        return;
    pool_run(s->pool, n_tok, 8, rotate_rows, j);
    if (j->own_kv)
        pool_run(s->pool, n_kv, n_tok < 8 ? n_kv : 1, store_heads, j);
    attend(s, j, part);
    if (j->o->gated)
        pool_run(s->pool, n_tok, 8, gate_rows, j);
}

/* The products of queries, and of keys and values where the layer has its own. */
static void project(struct step *s, struct qkv *j, const struct kern_acts *a)
{
    const struct layer *l = j->l;
    struct linear of[3];
    size_t n = 0;

    of[n++] = (struct linear){l->t[T_ATTN_Q], l->t[T_ATTN_Q_BIAS], j->q, KERN_STORE};
    if (j->own_kv)
        of[n++] = (struct linear){l->t[T_ATTN_K], l->t[T_ATTN_K_BIAS], j->k, KERN_STORE};
    if (j->own_kv && l->t[T_ATTN_V])
        of[n++] = (struct linear){l->t[T_ATTN_V], l->t[T_ATTN_V_BIAS], j->v, KERN_STORE};
    blk_linears(s, of, n, a);
}

void blk_attn(struct step *s, int layer, const struct kern_acts *a, const struct attn *o,
              float *y, int epilogue)
{
    static const struct attn plain;
    const struct layer *l = &s->m->layer[layer];
    size_t mark = step_mark(s), n = (size_t)s->n_tok, n_head = (size_t)l->n_head,
           n_kv = (size_t)l->n_head_kv, d_v = (size_t)l->d_v;
    struct qkv j = {.s = s,
                    .l = l,
                    .cache = &s->cache->layer[layer],
                    .o = o ? o : &plain,
                    .own_kv = l->kv_of == layer,
                    .n_tok = n,
                    .together = n_head};
    struct kern_acts out;
    float *part;

    j.q_pitch = (size_t)l->d_k << (j.o->gated != 0);
    j.q = step_floats(s, n * n_head * j.q_pitch);
    if (j.own_kv) {
        j.k = step_floats(s, n * n_kv * (size_t)l->d_k);
        j.v = step_floats(s, n * n_kv * d_v);
    }
    j.out = step_floats(s, n * n_head * d_v);
    part = step_floats(s, split_rows(s, l) * kern_attn_part(l->d_v));
    project(s, &j, a);
    attention(s, &j, part);
    out = blk_acts(s, j.out, n, n_head * d_v, l->t[T_ATTN_OUTPUT]);
    blk_linear(s, l->t[T_ATTN_OUTPUT], l->t[T_ATTN_OUTPUT_BIAS], &out, y, epilogue);
    step_release(s, mark);
}

struct kern_acts blk_attn_norm(struct step *s, int layer, const float *x)
{
    const struct layer *l = &s->m->layer[layer];
    const struct weight *readers[] = {l->t[T_ATTN_Q], l->t[T_ATTN_K], l->t[T_ATTN_V]};

    return blk_norm(s, x, l->t[T_ATTN_NORM], l->t[T_ATTN_NORM_BIAS], readers, 3);
}

void blk_attn_pre(struct step *s, int layer, const struct attn *o, float *x)
{
    size_t mark = step_mark(s);
    struct kern_acts a = blk_attn_norm(s, layer, x);

    blk_attn(s, layer, &a, o, x, KERN_ADD);
    step_release(s, mark);
}

void blk_attn_gqa(struct step *s, int layer, float *x)
{
    blk_attn_pre(s, layer, NULL, x);
}

const float *blk_q_factor(struct step *s)
{
    const struct params *p = &s->m->p;
    float *f;

    if (p->temp_scale == 0)
        return NULL;
    f = step_floats(s, (size_t)s->n_tok);
    for (int t = 0; t < s->n_tok && !s->dry; t++) {
        int far = (s->pos[t] + p->temp_offset) / p->temp_length;

        f[t] = (float)(1 + p->temp_scale * log(1.0 + far));
    }
    return f;
}

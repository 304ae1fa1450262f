/* moe.c - mixtures of experts: few of many feed-forwards for each token.
 *
 * A layer sorts its (token, expert) pairs by expert once. Then what an expert computes for
 * its tokens is an ordinary product, and all of them run as one loop: over experts and groups
 * of rows for gate and up, over groups of rows with the experts inside for down, where each
 * worker adds to rows of its own. A token's experts are added in the order of their numbers,
 * and a column's product has the same bits beside any other columns, so what else is in the
 * step changes nothing.
 *
 * Tokens are rounded to 8 bits once, as rows; an expert with more than one token gets panels
 * of copies, one with a single token reads the row.
 */
#include "model/block/block.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* The pairs of one expert. */
struct share {
    int expert;
    size_t first, n;
};

struct moe {
    struct step *s;
    const struct layer *l;
    const struct moe_kind *kind;
    const float *norm; /* [n_tok][n_embd] */
    const float *rows; /* what experts read, [n_tok][in.k] */
    float *x;
    /* By token. */
    float *score;        /* [n_tok][n] */
    int32_t *chosen;     /* [n_tok][n_used] */
    float *weight;       /* [n_tok][n_used] */
    float *open;         /* [n_tok]: of the shared expert; NULL: none */
    struct kern_acts in; /* panels of one column */
    /* By pair, sorted by expert, then by token. */
    size_t n_pair;
    int32_t *token;
    float *factor;
    int32_t *of; /* which share */
    struct kern_acts copied;
    float *copied_x; /* copied as floats: what the reference reads, and weighed rows */
    int adapted;     /* adapters add to what experts compute */
    int pair;        /* one product computes gate and up together */
    float *h;        /* [n_pair][n_ff]; NULL: products leave 8 bits in `hidden` */
    float *h_gate;   /* the same, of gates that are not computed with it */
    struct kern_acts hidden;
    /* Experts that have pairs. */
    struct share *share;
    size_t n_share;
};

static const struct moe_params *params_of(const struct moe *j)
{
    return &j->s->m->p.moe;
}

/* -- choosing -------------------------------------------------------------------------- */

static void score_softmax(float *x, int n)
{
    float max = x[0];
    double sum = 0;

    for (int i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += (double)x[i];
    }
    for (int i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / sum);
}

static float sigmoid(float x)
{
    return 1 / (1 + expf(-x));
}

static void score_sigmoid(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = sigmoid(x[i]);
}

static void score_raw(float *x, int n)
{
    (void)x;
    (void)n;
}

static void score_sqrt_softplus(float *x, int n)
{
    for (int i = 0; i < n; i++)
        x[i] = sqrtf(x[i] > 20 ? x[i] : log1pf(expf(x[i])));
}

static void (*const scores[MOE_SCORE_N])(float *x, int n) = {
    [MOE_SOFTMAX] = score_softmax, [MOE_SIGMOID] = score_sigmoid,
    [MOE_CHOSEN] = score_raw,      [MOE_SQRT_SOFTPLUS] = score_sqrt_softplus,
    [MOE_SPARSE] = score_raw,
};

/* The n_used largest, the first of equal ones; whatever the numbers are, also not numbers,
 * these are n_used different experts. */
static void choose_best(const float *score, int n, int n_used, int32_t *expert)
{
    int have = 0;

    assert(n_used >= 1 && n_used <= n);
    for (int i = 0; i < n; i++) {
        int at = have;

        if (have == n_used && !(score[i] > score[expert[have - 1]]))
            continue;
        at -= have == n_used;
        for (; at > 0 && score[i] > score[expert[at - 1]]; at--)
            expert[at] = expert[at - 1];
        expert[at] = i;
        have += have < n_used;
    }
}

/* What a group of n experts is worth. */
static float group_worth(const struct moe_params *m, const float *sel, int n)
{
    float best = -INFINITY, next = -INFINITY;

    for (int i = 0; i < n; i++) {
        if (sel[i] > best) {
            next = best;
            best = sel[i];
        } else if (sel[i] > next) {
            next = sel[i];
        }
    }
    return m->group_max || n < 2 ? best : best + next;
}

/* Leaves only the best groups to choose from. */
static void close_groups(const struct moe_params *m, float *sel)
{
    float worth[PARAMS_EXPERTS_MAX] = {0};
    int32_t best[PARAMS_EXPERTS_MAX] = {0};
    char open[PARAMS_EXPERTS_MAX] = {0};
    int n = m->n / m->n_group;

    assert(n > 0); /* params_moe saw to it */
    for (int g = 0; g < m->n_group; g++)
        worth[g] = group_worth(m, sel + g * n, n);
    choose_best(worth, m->n_group, m->n_group_used, best);
    for (int i = 0; i < m->n_group_used; i++)
        open[best[i]] = 1;
    for (int i = 0; i < m->n; i++)
        sel[i] = open[i / n] ? sel[i] : -INFINITY;
}

/* A sum below the least normal half counts as that: as the models were trained. */
#define SUM_LEAST 6.103515625e-5f

/* How far below the chosen one, relative to the larger of it and the other's size, a score may
 * be to share with it: twice the noise of the training. */
#define SPARSE_NEAR 0.02f

/* The weights of MOE_SPARSE. score: becomes -inf of those that were chosen. */
static void weigh_sparse(const struct moe_params *m, float *score, const int32_t *expert,
                         float *weight)
{
    for (int i = 0; i < m->n_used; i++) {
        float best = score[expert[i]], sum = 0;

        for (int k = 0; k < m->n; k++) {
            if (best - score[k] <= SPARSE_NEAR * fmaxf(fabsf(score[k]), best))
                sum += expf(score[k] - best);
        }
        weight[i] = m->scale / sum;
        score[expert[i]] = -INFINITY;
    }
}

/* The weights of the chosen, from the scores of all. */
static void weigh(const struct moe_params *m, const float *score, const int32_t *expert,
                  float *weight)
{
    float sum = 0;

    for (int i = 0; i < m->n_used; i++)
        weight[i] = score[expert[i]];
    if (m->score == MOE_CHOSEN)
        score_softmax(weight, m->n_used);
    for (int i = 0; i < m->n_used; i++)
        sum += weight[i];
    sum = sum > SUM_LEAST ? sum : SUM_LEAST;
    for (int i = 0; i < m->n_used; i++)
        weight[i] = (m->norm ? weight[i] / sum : weight[i]) * m->scale;
}

void blk_moe_choose(const struct moe_params *m, const float *bias, const int32_t *fixed,
                    float *score, int32_t *expert, float *weight)
{
    float sel[PARAMS_EXPERTS_MAX] = {0};

    /* All scores grow with what the router says, but those of large numbers may be the same. */
    if (!fixed && !bias && m->n_group == m->n_group_used)
        choose_best(score, m->n, m->n_used, expert);
    scores[m->score](score, m->n);
    if (fixed) {
        memcpy(expert, fixed, (size_t)m->n_used * sizeof(*expert));
    } else if (bias || m->n_group > m->n_group_used) {
        for (int i = 0; i < m->n; i++)
            sel[i] = bias ? score[i] + bias[i] : score[i];
        if (m->n_group > m->n_group_used)
            close_groups(m, sel);
        choose_best(sel, m->n, m->n_used, expert);
    }
    if (m->score == MOE_SPARSE)
        weigh_sparse(m, score, expert, weight);
    else
        weigh(m, score, expert, weight);
}

/* How far the shared expert's router opens it for a token. */
static float shared_opens(const struct moe *j, size_t t)
{
    const float *w = j->l->t[T_FFN_GATE_INP_SHEXP]->vec;
    size_t n = (size_t)j->s->m->p.n_embd;
    const float *a = j->norm + t * n;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)a[i];
    return sigmoid((float)sum);
}

/* All that is done for a token alone. */
static void prepare_tokens(void *ctx, int worker, size_t lo, size_t hi)
{
    struct moe *j = ctx;
    const struct moe_params *m = params_of(j);
    const struct weight *bias = j->l->t[T_EXP_PROBS_BIAS];
    const int32_t *fixed = j->kind->fixed;
    size_t n = (size_t)m->n, n_used = (size_t)m->n_used;

    (void)worker;
    if (j->in.forms)
        j->s->k->acts(&j->in, j->in.forms, lo, hi);
    for (size_t t = lo; t < hi; t++) {
        blk_moe_choose(m, bias ? bias->vec : NULL,
                       fixed ? fixed + (size_t)j->s->id[t] * n_used : NULL, j->score + t * n,
                       j->chosen + t * n_used, j->weight + t * n_used);
        if (j->open)
            j->open[t] = shared_opens(j, t);
    }
}

/* Pairs in the order of experts, by counting. place: [n]. */
static void sort_pairs(struct moe *j, size_t *place)
{
    const struct moe_params *m = params_of(j);
    size_t at = 0;

    memset(place, 0, (size_t)m->n * sizeof(*place));
    for (size_t i = 0; i < j->n_pair; i++)
        place[j->chosen[i]]++;
    j->n_share = 0;
    for (int e = 0; e < m->n; e++) {
        size_t n = place[e];

        place[e] = at;
        for (size_t i = 0; i < n; i++)
            j->of[at + i] = (int32_t)j->n_share;
        if (n)
            j->share[j->n_share++] = (struct share){e, at, n};
        at += n;
    }
    for (size_t i = 0; i < j->n_pair; i++) {
        size_t to = place[j->chosen[i]]++;

        j->token[to] = (int32_t)(i / (size_t)m->n_used);
        j->factor[to] = j->weight[i];
    }
}

/* -- computing ------------------------------------------------------------------------- */

/* What a share's products read: panels of copies or, of a single token as it is, its row. */
static struct kern_acts share_in(const struct moe *j, const struct share *sh)
{
    if (sh->n == 1 && !j->kind->weigh_input)
        return kern_acts_part(j->s->k, &j->in, (size_t)j->token[sh->first], 1);
    return kern_acts_part(j->s->k, &j->copied, sh->first, sh->n);
}

static void copy_pairs(void *ctx, int worker, size_t lo, size_t hi)
{
    struct moe *j = ctx;
    size_t n = j->in.k;

    (void)worker;
    for (size_t i = lo; i < hi; i++) {
        const struct share *sh = &j->share[j->of[i]];
        struct kern_acts a = share_in(j, sh);

        if (sh->n == 1)
            continue;
        kern_acts_copy(&a, i - sh->first, &j->in, (size_t)j->token[i]);
        if (j->copied_x)
            memcpy(j->copied_x + i * n, j->rows + (size_t)j->token[i] * n, n * sizeof(float));
    }
}

/* Rows times their weights, which then count no more. */
static void weigh_pairs(void *ctx, int worker, size_t lo, size_t hi)
{
    struct moe *j = ctx;
    size_t n = j->in.k;

    (void)worker;
    for (size_t i = lo; i < hi; i++) {
        const float *row = j->rows + (size_t)j->token[i] * n;

        for (size_t k = 0; k < n; k++)
            j->copied_x[i * n + k] = row[k] * j->factor[i];
        j->factor[i] = 1;
    }
}

/* Columns of shares [lo, hi) of pairs, from floats to the forms that products read. */
static void round_pairs(const struct moe *j, const struct kern_acts *all, size_t lo, size_t hi)
{
    while (lo < hi) {
        const struct share *sh = &j->share[j->of[lo]];
        struct kern_acts a = kern_acts_part(j->s->k, all, sh->first, sh->n);
        size_t end = sh->first + sh->n < hi ? sh->first + sh->n : hi;

        j->s->k->acts(&a, a.forms, lo - sh->first, end - sh->first);
        lo = end;
    }
}

static void round_copied(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct moe *j = ctx;

    (void)worker;
    round_pairs(j, &j->copied, lo, hi);
}

static size_t groups_of(const struct moe *j, const struct weight *w)
{
    return (w->w.n_row + j->s->k->n_group - 1) / j->s->k->n_group;
}

/* The hidden rows of a share, in the forms that down reads. */
static struct kern_acts share_hidden(const struct moe *j, const struct share *sh)
{
    return kern_acts_part(j->s->k, &j->hidden, sh->first, sh->n);
}

/* A vector of an expert, of a tensor that has one for each. */
static const float *expert_vec(const struct moe *j, int role, int expert, size_t n)
{
    const struct weight *w = j->l->t[role];

    return w ? w->vec + (size_t)expert * n : NULL;
}

/* Groups of rows [g0, g1) of a share's gate and up. */
static void gate_and_up_of(const struct moe *j, const struct share *sh, size_t g0, size_t g1,
                           void *scratch)
{
    const struct step *s = j->s;
    const struct weight *gate = j->l->t[T_FFN_GATE_EXPS], *up = j->l->t[T_FFN_UP_EXPS];
    size_t n_ff = up->w.n_row;
    struct kern_acts a = share_in(j, sh), hidden = share_hidden(j, sh);
    const float *up_bias = expert_vec(j, T_FFN_UP_EXPS_BIAS, sh->expert, n_ff);
    struct kern_mul one = {.w = {weight_now(&up[sh->expert])},
                           .x = &a,
                           .scale = {up[sh->expert].scale},
                           .bias = {up_bias},
                           .y = j->h ? j->h + sh->first * n_ff : NULL,
                           .ldy = n_ff,
                           .epilogue = KERN_STORE};
    struct kern_mul mul = one;

    if (gate) {
        mul.w[0] = weight_now(&gate[sh->expert]);
        mul.scale[0] = gate[sh->expert].scale;
        mul.bias[0] = expert_vec(j, T_FFN_GATE_EXPS_BIAS, sh->expert, n_ff);
    }
    if (j->pair) {
        mul.w[1] = one.w[0];
        mul.scale[1] = one.scale[0];
        mul.bias[1] = up_bias;
        mul.epilogue = kern_epilogue_of(j->kind->act);
        mul.acts = j->h ? NULL : &hidden;
    } else if (gate) {
        mul.y = j->h_gate + sh->first * n_ff;
        s->k->mm[up->w.type].mul(s->k, &one, g0, g1, scratch);
    }
    s->k->mm[mul.w[0]->type].mul(s->k, &mul, g0, g1, scratch);
}

/* Items are groups of rows of gate and up, share after share. */
static void gate_and_up(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct moe *j = ctx;
    size_t per = groups_of(j, j->l->t[T_FFN_UP_EXPS]), end;

    for (size_t i = lo; i < hi && !step_stopped(j->s); i = end) {
        end = (i / per + 1) * per < hi ? (i / per + 1) * per : hi;
        gate_and_up_of(j, &j->share[i / per], i % per, i % per + (end - i),
                       j->s->worker + (size_t)worker * j->s->n_worker);
    }
}

/* What adapters add to gates and ups: before the activation. */
static void adapt_hidden(struct moe *j)
{
    const struct weight *gate = j->l->t[T_FFN_GATE_EXPS], *up = j->l->t[T_FFN_UP_EXPS];
    size_t n = j->hidden.k;

    for (size_t i = 0; i < j->n_share; i++) {
        const struct share *sh = &j->share[i];
        struct kern_acts a = share_in(j, sh);

        blk_lora(j->s, &up[sh->expert], a.x,
                 &(struct lora_out){.n = sh->n, .y = j->h + sh->first * n, .ldy = n});
        if (gate)
            blk_lora(j->s, &gate[sh->expert], a.x,
                     &(struct lora_out){.n = sh->n, .y = j->h_gate + sh->first * n, .ldy = n});
    }
}

static void adapt_down(struct moe *j)
{
    const struct weight *w = j->l->t[T_FFN_DOWN_EXPS];

    for (size_t i = 0; i < j->n_share; i++) {
        const struct share *sh = &j->share[i];

        blk_lora(j->s, &w[sh->expert], j->h + sh->first * j->hidden.k,
                 &(struct lora_out){.n = sh->n,
                                    .y = j->x,
                                    .ldy = w->w.n_row,
                                    .to = j->token + sh->first,
                                    .factor = j->factor + sh->first});
    }
}

/* The activation of rows that have none yet; then all in the forms that down reads. */
static void finish_hidden(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct moe *j = ctx;
    size_t n = j->hidden.k;

    (void)worker;
    if (!j->pair) {
        float *h = j->h + lo * n;

        j->s->k->act(j->kind->act, j->kind->limit, j->h_gate ? j->h_gate + lo * n : h,
                     j->h_gate ? h : NULL, h, (hi - lo) * n);
    }
    if (j->hidden.forms)
        round_pairs(j, &j->hidden, lo, hi);
}

/* Groups of rows of down, of all experts: so nobody else adds to these rows of x. */
static void down(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct moe *j = ctx;
    const struct step *s = j->s;
    const struct weight *w = j->l->t[T_FFN_DOWN_EXPS];

    for (size_t i = 0; i < j->n_share && !step_stopped(s); i++) {
        const struct share *sh = &j->share[i];
        struct kern_acts a = share_hidden(j, sh);
        struct kern_mul mul = {
            .w = {weight_now(&w[sh->expert])},
            .x = &a,
            .scale = {w[sh->expert].scale},
            .bias = {expert_vec(j, T_FFN_DOWN_EXPS_BIAS, sh->expert, w->w.n_row)},
            .y = j->x,
            .ldy = w->w.n_row,
            .epilogue = KERN_ADD,
            .to = j->token + sh->first,
            .factor = j->factor + sh->first};

        s->k->mm[w->w.type].mul(s->k, &mul, lo, hi, s->worker + (size_t)worker * s->n_worker);
    }
}

/* Pieces are long enough to outweigh taking them (linear.c, mul_run), short enough that the
 * last ones are shared well. A piece of down goes through all experts. */
static void compute(struct moe *j)
{
    struct step *s = j->s;
    size_t n_row = groups_of(j, j->l->t[T_FFN_DOWN_EXPS]),
           n_part = n_row / (8 * (size_t)pool_size(s->pool)),
           n_piece = 32768 / (s->k->n_group * j->in.k);

    if (j->kind->weigh_input) {
        pool_run(s->pool, j->n_pair, 32, weigh_pairs, j);
        if (j->copied.forms)
            pool_run(s->pool, j->n_pair, 32, round_copied, j);
    } else if (j->n_share < j->n_pair) { /* not one token for each */
        pool_run(s->pool, j->n_pair, 32, copy_pairs, j);
    }
    pool_run(s->pool, j->n_share * groups_of(j, j->l->t[T_FFN_UP_EXPS]), n_piece, gate_and_up,
             j);
    if (j->adapted)
        adapt_hidden(j);
    if (!j->pair || (j->h && j->hidden.forms))
        pool_run(s->pool, j->n_pair, j->n_pair < 64 ? (j->n_pair + 1) / 2 : 32, finish_hidden,
                 j);
    pool_run(s->pool, n_row, n_part ? n_part : 1, down, j);
    if (j->adapted)
        adapt_down(j);
}

/* -- the block ------------------------------------------------------------------------- */

/* Arrays of n columns in these forms, without contents. */
static struct kern_acts acts_room(struct step *s, size_t n, size_t k, int forms)
{
    struct kern_acts a;
    size_t n_byte = kern_acts_bytes(n, k, forms);
    void *buf = n_byte ? step_alloc(s, n_byte) : NULL;

    kern_acts_bind(s->k, &a, s->dry ? NULL : buf, n, k, forms);
    return a;
}

static int form_of(const struct step *s, const struct weight *w)
{
    return w ? s->k->mm[w->w.type].form : 0;
}

static void plan(struct moe *j, const struct kern_acts *a)
{
    struct step *s = j->s;
    const struct layer *l = j->l;
    const struct moe_params *m = params_of(j);
    const struct weight *gate = l->t[T_FFN_GATE_EXPS], *up = l->t[T_FFN_UP_EXPS];
    size_t n_tok = (size_t)s->n_tok, n_in = up->w.n_col, n_ff = up->w.n_row;
    int forms = form_of(s, gate) | form_of(s, up), keep;

    j->norm = a->x;
    j->rows = j->kind->in ? j->kind->in : a->x;
    j->n_pair = n_tok * (size_t)m->n_used;
    j->score = step_floats(s, n_tok * (size_t)m->n);
    j->chosen = step_alloc(s, j->n_pair * sizeof(*j->chosen));
    j->weight = step_floats(s, j->n_pair);
    j->open = l->t[T_FFN_GATE_INP_SHEXP] ? step_floats(s, n_tok) : NULL;
    j->in = acts_room(s, n_tok, n_in, forms);
    j->in.x = j->rows;
    j->in.n_panel = 1;
    j->token = step_alloc(s, j->n_pair * sizeof(*j->token));
    j->factor = step_floats(s, j->n_pair);
    j->of = step_alloc(s, j->n_pair * sizeof(*j->of));
    j->share = step_alloc(s, (size_t)m->n * sizeof(*j->share));
    j->copied = acts_room(s, j->n_pair, n_in, forms);
    j->adapted = l->adapted;
    j->copied_x =
        forms && !j->kind->weigh_input && !j->adapted ? NULL : step_floats(s, j->n_pair * n_in);
    j->copied.x = j->copied_x;
    forms = form_of(s, l->t[T_FFN_DOWN_EXPS]);
    j->pair = gate && kern_epilogue_of(j->kind->act) >= 0 && gate->w.type == up->w.type &&
              !j->adapted;
    keep = !(j->pair && s->k->mul_acts && forms == KERN_FORM_Q8);
    j->h = keep ? step_floats(s, j->n_pair * n_ff) : NULL;
    j->h_gate = gate && !j->pair ? step_floats(s, j->n_pair * n_ff) : NULL;
    j->hidden = acts_room(s, j->n_pair, n_ff, forms);
    j->hidden.x = j->h;
    for (int x = 0; x < m->n && j->adapted && s->dry; x++) {
        const struct lora_out o = {.n = n_tok}; /* the largest share has all tokens */

        blk_lora(s, &up[x], NULL, &o);
        blk_lora(s, &l->t[T_FFN_DOWN_EXPS][x], NULL, &o);
        if (gate)
            blk_lora(s, &gate[x], NULL, &o);
    }
}

struct kern_acts blk_moe_norm(struct step *s, const struct layer *l, const float *x,
                              const struct weight *w)
{
    const struct weight *readers[] = {l->t[T_FFN_GATE_INP], l->t[T_FFN_GATE_SHEXP],
                                      l->t[T_FFN_UP_SHEXP]};

    return blk_norm(s, x, w, NULL, readers, 3);
}

void blk_moe(struct step *s, const struct layer *l, const struct kern_acts *a,
             const struct moe_kind *kind, float *y)
{
    static const struct moe_kind silu = {.act = KERN_ACT_SILU};
    size_t mark = step_mark(s);
    struct moe j = {.s = s, .l = l, .kind = kind ? kind : &silu, .x = y};
    struct ffn shared = {.act = j.kind->act,
                         .limit = j.kind->limit_shared,
                         .gate = l->t[T_FFN_GATE_SHEXP],
                         .up = l->t[T_FFN_UP_SHEXP],
                         .down = l->t[T_FFN_DOWN_SHEXP]};
    size_t *place;

    assert(l->t[T_FFN_GATE_INP] && l->t[T_FFN_DOWN_EXPS]); /* model_open found them */
    place = step_alloc(s, (size_t)s->m->p.moe.n * sizeof(*place));
    plan(&j, a); /* last: it says how much adapters take beside */
    if (!j.kind->router)
        blk_linear(s, l->t[T_FFN_GATE_INP], l->t[T_FFN_GATE_INP_BIAS], a, j.score, KERN_STORE);
    else if (!step_stopped(s))
        memcpy(j.score, j.kind->router,
               (size_t)s->n_tok * (size_t)s->m->p.moe.n * sizeof(float));
    if (!step_stopped(s)) {
        pool_run(s->pool, (size_t)s->n_tok, 8, prepare_tokens, &j);
        sort_pairs(&j, place);
        compute(&j);
    }
    shared.factor = j.open;
    if (shared.up && !j.kind->no_shared)
        blk_ffn(s, &shared, a, y, KERN_ADD);
    step_release(s, mark);
}

void blk_ffn_moe(struct step *s, const struct layer *l, float *x)
{
    size_t mark = step_mark(s);
    struct kern_acts a = blk_moe_norm(s, l, x, l->t[T_FFN_NORM]);

    blk_moe(s, l, &a, NULL, x);
    step_release(s, mark);
}

/* linear.c - embeddings, norms, products and the output: the blocks that every model has. */
#include "model/block/block.h"

#include "sys/mmap.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* Rows of the embedding that may be resident at a time: 4 MiB. */
enum { EMBED_ROWS_KEPT = 64 };

static size_t at_least(size_t n, size_t min)
{
    return n < min ? min : n;
}

/* -- embedding ------------------------------------------------------------------------- */

void blk_row(const struct weight *w, size_t i, float *out)
{
    const struct quant *q = quant_find(w->src->type);
    size_t n = (size_t)w->src->ne[0];

    q->to_f32(w->src->data + i * (n / (size_t)q->block * (size_t)q->bytes), out, n);
}

float *blk_embed(struct step *s)
{
    return blk_embed_of(s, s->m->global.t[T_TOKEN_EMBD]);
}

float *blk_embed_of(struct step *s, const struct weight *w)
{
    size_t n = (size_t)s->m->p.n_embd;
    float *x = step_floats(s, (size_t)s->n_tok * n), scale = s->m->p.embd_scale;

    /* From the file's rows: a few of many, so they are not packed. Each one that is touched
     * makes 64 KiB of the file resident (the system maps its neighbours too), so they are let
     * go now and then. */
    for (int t = 0; t < s->n_tok && !s->dry; t++) {
        blk_row(w, (size_t)s->id[t], x + (size_t)t * n);
        blk_lora_embed(w, s->id[t], x + (size_t)t * n);
        for (size_t i = 0; i < n && scale != 1; i++)
            x[(size_t)t * n + i] *= scale;
        if (++s->n_embed_rows % EMBED_ROWS_KEPT == 0)
            vm_drop(w->src->data, (size_t)w->src->n_byte);
    }
    return x;
}

/* -- forms ----------------------------------------------------------------------------- */

static int forms_of(const struct step *s, const struct weight *const *w, int n)
{
    int forms = 0;

    for (int i = 0; i < n; i++) {
        if (w[i])
            forms |= s->k->mm[w[i]->w.type].form;
    }
    return forms;
}

static struct kern_acts acts_alloc(struct step *s, size_t n_row, size_t n_col, int forms)
{
    struct kern_acts a;
    size_t n_byte = kern_acts_bytes(n_row, n_col, forms);
    void *buf = n_byte ? step_alloc(s, n_byte) : NULL;

    kern_acts_bind(s->k, &a, s->dry ? NULL : buf, n_row, n_col, forms);
    return a;
}

struct norm_job {
    const struct step *s;
    struct kern_acts *a;
    const float *x, *w, *bias;
    float *y;
    int forms;
};

static void norm_row(const struct step *s, const float *x, const float *w, const float *bias,
                     float *y, size_t n)
{
    const struct params *p = &s->m->p;

    if (p->norm == NORM_LAYER)
        s->k->layer_norm(x, w, bias, y, n, p->eps);
    else
        s->k->rms_norm(x, w, y, n, p->eps);
    for (size_t i = 0; i < n && bias && p->norm == NORM_RMS; i++)
        y[i] += bias[i];
}

static void norm_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    struct norm_job *j = ctx;
    size_t n = j->a->k;

    (void)worker;
    for (size_t t = lo; t < hi && j->y; t++)
        norm_row(j->s, j->x + t * n, j->w, j->bias, j->y + t * n, n);
    if (j->forms)
        j->s->k->acts(j->a, j->forms, lo, hi);
}

/* Whole panels to a worker, so that none writes between another's columns. */
static void norm_run(struct step *s, struct norm_job *j)
{
    if (!step_stopped(s))
        pool_run(s->pool, j->a->n, j->a->n_panel, norm_rows, j);
}

static const float *vec_of(const struct weight *w)
{
    return w ? w->vec : NULL;
}

static struct kern_acts norm_of(struct step *s, const float *x, size_t n_row,
                                const struct weight *w, const struct weight *bias, int forms)
{
    size_t n = (size_t)s->m->p.n_embd;
    float *y = step_floats(s, n_row * n);
    struct kern_acts a = acts_alloc(s, n_row, n, forms);
    struct norm_job j = {s, &a, x, vec_of(w), vec_of(bias), y, forms};

    a.x = y;
    norm_run(s, &j);
    return a;
}

struct kern_acts blk_norm(struct step *s, const float *x, const struct weight *w,
                          const struct weight *bias, const struct weight *const *readers, int n)
{
    return norm_of(s, x, (size_t)s->n_tok, w, bias, forms_of(s, readers, n));
}

struct kern_acts blk_forms(struct step *s, const float *x, size_t n_row, size_t n_col,
                           const struct weight *const *readers, int n)
{
    return blk_forms_of(s, x, n_row, n_col, forms_of(s, readers, n));
}

struct kern_acts blk_forms_of(struct step *s, const float *x, size_t n_row, size_t n_col,
                              int forms)
{
    struct kern_acts a = acts_alloc(s, n_row, n_col, forms);
    struct norm_job j = {s, &a, NULL, NULL, NULL, NULL, forms};

    a.x = x;
    if (forms)
        norm_run(s, &j);
    return a;
}

struct kern_acts blk_acts(struct step *s, const float *x, size_t n_row, size_t n_col,
                          const struct weight *w)
{
    return blk_forms(s, x, n_row, n_col, &w, 1);
}

/* -- sums of whole rows ---------------------------------------------------------------- */

struct rows_job {
    const struct step *s;
    const float *w, *bias;
    float *y, *x;
    size_t n;
};

static void add_normed(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows_job *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++) {
        float *y = j->y + t * j->n, *x = j->x + t * j->n;

        norm_row(j->s, y, j->w, j->bias, y, j->n);
        for (size_t i = 0; i < j->n; i++)
            x[i] += y[i];
    }
}

void blk_add_norm(struct step *s, float *y, const struct weight *w, float *x)
{
    struct rows_job j = {s, vec_of(w), NULL, y, x, (size_t)s->m->p.n_embd};

    if (!step_stopped(s))
        pool_run(s->pool, (size_t)s->n_tok, 8, add_normed, &j);
}

static void norm_in_place(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct rows_job *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++)
        norm_row(j->s, j->x + t * j->n, j->w, j->bias, j->x + t * j->n, j->n);
}

struct add_job {
    const float *y;
    float *x, factor;
};

static void add_scaled(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct add_job *j = ctx;

    (void)worker;
    for (size_t i = lo; i < hi; i++)
        j->x[i] += j->factor * j->y[i];
}

void blk_add(struct step *s, const float *y, float factor, float *x)
{
    struct add_job j = {y, x, factor};

    if (!step_stopped(s))
        pool_run(s->pool, (size_t)s->n_tok * (size_t)s->m->p.n_embd, 16384, add_scaled, &j);
}

void blk_norm_rows(struct step *s, float *x, size_t n_row, size_t n_col, const struct weight *w,
                   const struct weight *bias)
{
    struct rows_job j = {s, vec_of(w), vec_of(bias), NULL, x, n_col};

    if (!step_stopped(s))
        pool_run(s->pool, n_row, 8, norm_in_place, &j);
}

/* -- products -------------------------------------------------------------------------- */

/* Products of one input, run as one loop: the groups of rows of the first, then of the next.
 * One loop for queries, keys and values has one end to wait for instead of three. */
struct mul_job {
    const struct step *s;
    const struct kern_mul *mul;
    size_t n_mul;
};

static size_t groups_of(const struct step *s, const struct kern_mul *mul)
{
    return (mul->w[0]->n_row + s->k->n_group - 1) / s->k->n_group;
}

static void mul_groups(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct mul_job *j = ctx;
    const struct step *s = j->s;
    void *scratch = s->worker + (size_t)worker * s->n_worker;
    size_t first = 0;

    if (step_stopped(s))
        return;
    for (size_t i = 0; i < j->n_mul && first < hi; i++) {
        const struct kern_mul *mul = &j->mul[i];
        size_t end = first + groups_of(s, mul), from = lo > first ? lo : first,
               to = hi < end ? hi : end;

        if (from < to)
            s->k->mm[mul->w[0]->type].mul(s->k, mul, from - first, to - first, scratch);
        first = end;
    }
}

/* A piece is long enough to outweigh taking it: 64 KiB of weights, some microseconds. */
void blk_muls(struct step *s, const struct kern_mul *mul, size_t n_mul)
{
    struct mul_job j = {s, mul, n_mul};
    size_t n_group = 0, bytes = s->k->n_group * mul->x->k;

    for (size_t i = 0; i < n_mul; i++) {
        assert(mul[i].w[0]);
        n_group += groups_of(s, &mul[i]);
    }
    if (!step_stopped(s))
        pool_run(s->pool, n_group, at_least(65536 / at_least(bytes, 1), 1), mul_groups, &j);
}

void blk_linears(struct step *s, const struct linear *l, size_t n, const struct kern_acts *x)
{
    struct kern_mul mul[LINEARS_MAX] = {{.x = NULL}};

    assert(n >= 1 && n <= LINEARS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct weight *w = l[i].w, *bias = l[i].bias;

        assert(w); /* model_open found every tensor that is not optional */
        mul[i] = (struct kern_mul){.w = {weight_now(w)},
                                   .x = x,
                                   .scale = {w->scale},
                                   .bias = {bias ? bias->vec : NULL},
                                   .y = l[i].y,
                                   .ldy = w->w.n_row,
                                   .epilogue = l[i].epilogue};
    }
    blk_muls(s, mul, n);
    for (size_t i = 0; i < n; i++) {
        if (l[i].w->lora)
            blk_lora(s, l[i].w, x->x,
                     &(struct lora_out){.n = x->n, .y = l[i].y, .ldy = l[i].w->w.n_row});
    }
}

void blk_linear(struct step *s, const struct weight *w, const struct weight *bias,
                const struct kern_acts *x, float *y, int epilogue)
{
    blk_linears(s, &(struct linear){w, bias, y, epilogue}, 1, x);
}

/* -- feed-forward ---------------------------------------------------------------------- */

struct act_job {
    const struct step *s;
    const struct ffn *f;
    const float *gate, *up;
    float *y;
    size_t n;
};

static void act_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct act_job *j = ctx;

    (void)worker;
    for (size_t t = lo; t < hi; t++)
        j->s->k->act(j->f->act, j->f->limit, j->gate + t * j->n,
                     j->up ? j->up + t * j->n : NULL, j->y + t * j->n, j->n);
}

/* act(gate a) * up a, or act(up a): any activation, each product by itself. */
static struct kern_acts hidden_of(struct step *s, const struct ffn *f,
                                  const struct kern_acts *a)
{
    size_t n_ff = f->up->w.n_row;
    float *up = step_floats(s, a->n * n_ff), *gate = f->gate ? step_floats(s, a->n * n_ff) : up;
    struct act_job j = {s, f, gate, f->gate ? up : NULL, up, n_ff};
    struct linear of[] = {{f->up, f->up_bias, up, KERN_STORE},
                          {f->gate, f->gate_bias, gate, KERN_STORE}};

    blk_linears(s, of, f->gate ? 2 : 1, a);
    if (!step_stopped(s))
        pool_run(s->pool, a->n, 4, act_rows, &j);
    return blk_acts(s, up, a->n, n_ff, f->down);
}

/* The usual one: gate and up in one product, whose results never leave the cache where the
 * tier can round them on the way. */
static struct kern_acts hidden_of_pair(struct step *s, const struct ffn *f,
                                       const struct kern_acts *a)
{
    size_t n_ff = f->gate->w.n_row;
    struct kern_mul in = {.w = {weight_now(f->gate), weight_now(f->up)},
                          .x = a,
                          .scale = {f->gate->scale, f->up->scale},
                          .bias = {vec_of(f->gate_bias), vec_of(f->up_bias)},
                          .ldy = n_ff,
                          .epilogue = kern_epilogue_of(f->act)};
    struct kern_acts b;

    if (s->k->mul_acts && forms_of(s, &f->down, 1) == KERN_FORM_Q8) {
        b = acts_alloc(s, a->n, n_ff, KERN_FORM_Q8);
        in.acts = &b;
        blk_muls(s, &in, 1);
        return b;
    }
    in.y = step_floats(s, a->n * n_ff);
    blk_muls(s, &in, 1);
    return blk_acts(s, in.y, a->n, n_ff, f->down);
}

/* Whether one product may compute gate and up together. */
static int is_pair(const struct ffn *f)
{
    return f->gate && kern_epilogue_of(f->act) >= 0 && f->gate->w.type == f->up->w.type &&
           !f->gate->lora && !f->up->lora && !f->down->lora;
}

void blk_ffn(struct step *s, const struct ffn *f, const struct kern_acts *a, float *y,
             int epilogue)
{
    size_t mark = step_mark(s);
    struct kern_acts b = is_pair(f) ? hidden_of_pair(s, f, a) : hidden_of(s, f, a);
    struct kern_mul out = {.w = {weight_now(f->down)},
                           .x = &b,
                           .scale = {f->down->scale},
                           .bias = {vec_of(f->down_bias)},
                           .y = y,
                           .ldy = f->down->w.n_row,
                           .epilogue = epilogue,
                           .factor = f->factor};

    blk_muls(s, &out, 1);
    if (f->down->lora)
        blk_lora(s, f->down, b.x,
                 &(struct lora_out){
                     .n = a->n, .y = y, .ldy = f->down->w.n_row, .factor = f->factor});
    step_release(s, mark);
}

struct ffn blk_ffn_of(const struct layer *l, int act)
{
    return (struct ffn){.act = act,
                        .gate = l->t[T_FFN_GATE],
                        .up = l->t[T_FFN_UP],
                        .down = l->t[T_FFN_DOWN],
                        .gate_bias = l->t[T_FFN_GATE_BIAS],
                        .up_bias = l->t[T_FFN_UP_BIAS],
                        .down_bias = l->t[T_FFN_DOWN_BIAS]};
}

struct kern_acts blk_ffn_norm(struct step *s, const struct layer *l, const float *x)
{
    return blk_norm(s, x, l->t[T_FFN_NORM], l->t[T_FFN_NORM_BIAS],
                    (const struct weight *[]){l->t[T_FFN_GATE], l->t[T_FFN_UP]}, 2);
}

void blk_ffn_gated(struct step *s, const struct layer *l, float *x)
{
    size_t mark = step_mark(s);
    struct ffn f = blk_ffn_of(l, KERN_ACT_SILU);
    struct kern_acts a = blk_ffn_norm(s, l, x);

    blk_ffn(s, &f, &a, x, KERN_ADD);
    step_release(s, mark);
}

/* -- output ---------------------------------------------------------------------------- */

struct logits_job {
    const struct params *p;
    float *y;
};

static void finish_logits(void *ctx, int worker, size_t lo, size_t hi)
{
    const struct logits_job *j = ctx;
    size_t n = (size_t)j->p->n_vocab;
    float cap = j->p->logit_cap, scale = j->p->logit_scale;

    (void)worker;
    for (size_t i = lo * n; i < hi * n; i++) {
        float v = j->y[i] * scale;

        j->y[i] = cap > 0 ? cap * tanhf(v / cap) : v;
    }
}

/* x normed into y, as the last norm is. */
static void keep_hidden(struct step *s, const float *x, const struct weight *norm)
{
    size_t n = (size_t)s->m->p.n_embd;

    memcpy(s->all_hidden, x, (size_t)s->n_tok * n * sizeof(*x));
    if (norm)
        blk_norm_rows(s, s->all_hidden, (size_t)s->n_tok, n, norm,
                      s->m->global.t[T_OUTPUT_NORM_BIAS]);
}

void blk_output_by(struct step *s, const float *x, const struct weight *norm,
                   const struct weight *out)
{
    const struct layer *g = &s->m->global;
    const struct params *p = &s->m->p;
    size_t n = (size_t)p->n_embd;
    struct logits_job j = {p, s->logits};
    float *rows = step_floats(s, (size_t)s->n_out * n);
    struct kern_acts a;

    if (s->all_hidden && !s->dry)
        keep_hidden(s, x, norm);
    for (int i = 0; i < s->n_out && !s->dry; i++)
        memcpy(rows + (size_t)i * n, x + (size_t)s->out[i] * n, n * sizeof(*rows));
    if (norm)
        a = norm_of(s, rows, (size_t)s->n_out, norm, g->t[T_OUTPUT_NORM_BIAS],
                    forms_of(s, &out, 1));
    else
        a = blk_forms(s, rows, (size_t)s->n_out, n, &out, 1);
    if (s->hidden && !s->dry)
        memcpy(s->hidden, a.x, (size_t)s->n_out * n * sizeof(*rows));
    if (!out || !s->n_out || !(s->logits || s->dry))
        return;
    blk_linear(s, out, g->t[T_OUTPUT_BIAS], &a, s->logits, KERN_STORE);
    if (!step_stopped(s) && (p->logit_cap > 0 || p->logit_scale != 1))
        pool_run(s->pool, (size_t)s->n_out, 1, finish_logits, &j);
}

void blk_output(struct step *s, const float *x)
{
    const struct layer *g = &s->m->global;

    blk_output_by(s, x, g->t[T_OUTPUT_NORM], g->t[T_OUTPUT]);
}

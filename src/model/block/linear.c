/* linear.c - embeddings, norms, products and the output: the blocks that every model has. */
#include "model/block/block.h"

#include "sys/mmap.h"

#include <assert.h>
#include <string.h>

/* Rows of the embedding that may be resident at a time: 4 MiB. */
enum { EMBED_ROWS_KEPT = 64 };

static size_t at_least(size_t n, size_t min)
{
    return n < min ? min : n;
}

/* -- embedding ------------------------------------------------------------------------- */

float *blk_embed(struct step *s)
{
    const struct weight *w = s->m->global.t[T_TOKEN_EMBD];
    const struct quant *q = quant_find(w->src->type);
    size_t n = (size_t)s->m->p.n_embd, row = n / (size_t)q->block * (size_t)q->bytes;
    float *x = step_floats(s, (size_t)s->n_tok * n);

    /* From the file's rows: a few of many, so they are not packed. Each one that is touched
     * makes 64 KiB of the file resident (the system maps its neighbours too), so they are let
     * go now and then. */
    for (int t = 0; t < s->n_tok && !s->dry; t++) {
        q->to_f32(w->src->data + (size_t)s->id[t] * row, x + (size_t)t * n, n);
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
    const float *x, *w;
    float *y;
    int forms;
};

static void norm_rows(void *ctx, int worker, size_t lo, size_t hi)
{
    struct norm_job *j = ctx;
    size_t n = j->a->k;

    (void)worker;
    for (size_t t = lo; t < hi && j->y; t++)
        j->s->k->rms_norm(j->x + t * n, j->w, j->y + t * n, n, j->s->m->p.eps);
    if (j->forms)
        j->s->k->acts(j->a, j->forms, lo, hi);
}

/* Whole panels to a worker, so that none writes between another's columns. */
static void norm_run(struct step *s, struct norm_job *j)
{
    if (!step_stopped(s))
        pool_run(s->pool, j->a->n, s->k->n_panel, norm_rows, j);
}

static struct kern_acts norm_of(struct step *s, const float *x, size_t n_row,
                                const struct weight *w, int forms)
{
    size_t n = (size_t)s->m->p.n_embd;
    float *y = step_floats(s, n_row * n);
    struct kern_acts a = acts_alloc(s, n_row, n, forms);
    struct norm_job j = {s, &a, x, w ? w->vec : NULL, y, forms};

    a.x = y;
    norm_run(s, &j);
    return a;
}

struct kern_acts blk_norm(struct step *s, const float *x, const struct weight *w,
                          const struct weight *const *readers, int n)
{
    return norm_of(s, x, (size_t)s->n_tok, w, forms_of(s, readers, n));
}

struct kern_acts blk_acts(struct step *s, const float *x, size_t n_row, size_t n_col,
                          const struct weight *w)
{
    int forms = forms_of(s, &w, 1);
    struct kern_acts a = acts_alloc(s, n_row, n_col, forms);
    struct norm_job j = {s, &a, NULL, NULL, NULL, forms};

    a.x = x;
    if (forms)
        norm_run(s, &j);
    return a;
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
static void mul_run(struct step *s, const struct kern_mul *mul, size_t n_mul)
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
    struct kern_mul mul[LINEARS_MAX];

    assert(n <= LINEARS_MAX);
    for (size_t i = 0; i < n; i++) {
        const struct weight *w = l[i].w, *bias = l[i].bias;

        assert(w); /* model_open found every tensor that is not optional */
        mul[i] = (struct kern_mul){.w = {&w->w},
                                   .x = x,
                                   .bias = {bias ? bias->vec : NULL},
                                   .y = l[i].y,
                                   .ldy = w->w.n_row,
                                   .epilogue = l[i].epilogue};
    }
    mul_run(s, mul, n);
}

void blk_linear(struct step *s, const struct weight *w, const struct weight *bias,
                const struct kern_acts *x, float *y, int epilogue)
{
    blk_linears(s, &(struct linear){w, bias, y, epilogue}, 1, x);
}

void blk_gated(struct step *s, const struct gated *f, const struct kern_acts *a, float *x)
{
    size_t mark = step_mark(s), n_ff = f->gate->w.n_row;
    struct kern_mul in = {
        .w = {&f->gate->w, &f->up->w},
        .x = a,
        .bias = {f->gate_bias ? f->gate_bias->vec : NULL, f->up_bias ? f->up_bias->vec : NULL},
        .ldy = n_ff,
        .epilogue = KERN_SILU_MUL};
    struct kern_acts b;
    struct kern_mul out = {.w = {&f->down->w},
                           .x = &b,
                           .bias = {f->down_bias ? f->down_bias->vec : NULL},
                           .y = x,
                           .ldy = f->down->w.n_row,
                           .epilogue = KERN_ADD,
                           .factor = f->factor};

    if (s->k->mul_acts && forms_of(s, &f->down, 1) == KERN_FORM_Q8) {
        b = acts_alloc(s, a->n, n_ff, KERN_FORM_Q8);
        in.acts = &b;
        mul_run(s, &in, 1);
    } else {
        in.y = step_floats(s, a->n * n_ff);
        mul_run(s, &in, 1);
        b = blk_acts(s, in.y, a->n, n_ff, f->down);
    }
    mul_run(s, &out, 1);
    step_release(s, mark);
}

void blk_ffn_gated(struct step *s, const struct layer *l, float *x)
{
    size_t mark = step_mark(s);
    struct gated f = {.gate = l->t[T_FFN_GATE],
                      .up = l->t[T_FFN_UP],
                      .down = l->t[T_FFN_DOWN],
                      .gate_bias = l->t[T_FFN_GATE_BIAS],
                      .up_bias = l->t[T_FFN_UP_BIAS],
                      .down_bias = l->t[T_FFN_DOWN_BIAS]};
    struct kern_acts a =
        blk_norm(s, x, l->t[T_FFN_NORM], (const struct weight *[]){f.gate, f.up}, 2);

    assert(f.gate && f.up && f.down); /* model_open found all that is not optional */
    blk_gated(s, &f, &a, x);
    step_release(s, mark);
}

/* -- output ---------------------------------------------------------------------------- */

void blk_output(struct step *s, const float *x)
{
    const struct layer *g = &s->m->global;
    const struct weight *out = g->t[T_OUTPUT];
    size_t n = (size_t)s->m->p.n_embd;
    float *rows;
    struct kern_acts a;

    rows = step_floats(s, (size_t)s->n_out * n);
    for (int i = 0; i < s->n_out && !s->dry; i++)
        memcpy(rows + (size_t)i * n, x + (size_t)s->out[i] * n, n * sizeof(*rows));
    a = norm_of(s, rows, (size_t)s->n_out, g->t[T_OUTPUT_NORM], forms_of(s, &out, 1));
    if (s->hidden && !s->dry)
        memcpy(s->hidden, a.x, (size_t)s->n_out * n * sizeof(*rows));
    if (s->n_out && (s->logits || s->dry))
        blk_linear(s, out, NULL, &a, s->logits, KERN_STORE);
}

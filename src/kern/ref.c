/* ref.c - the specification of every op: plain C, one obvious loop each, sums in double.
 *
 * Activations stay in float and weights are read by the formats' own readers, so that this
 * tier computes what the model says and nothing else. Every other tier is checked against it.
 */
#include "kern/kern.h"
#include "kern/tile.h"
#include "quant/f16.h"

#include <math.h>
#include <string.h>

enum { REF_GROUP = 4, REF_PIECE = 256 };

static double row_dot(const struct quant *q, const unsigned char *row, const float *x, size_t n)
{
    float w[REF_PIECE];
    double sum = 0;

    for (size_t i = 0; i < n; i += REF_PIECE) {
        size_t m = n - i < REF_PIECE ? n - i : REF_PIECE;

        q->to_f32(row + i / (size_t)q->block * (size_t)q->bytes, w, m);
        for (size_t j = 0; j < m; j++)
            sum += (double)w[j] * (double)x[i + j];
    }
    return sum;
}

static float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static float gelu(float x)
{
    double v = (double)x;

    return (float)(v / (1 + exp(-2 * 0.79788456080286536 * (v + 0.044715 * v * v * v))));
}

/* Row r of weight i of the job by column c, with its scale and bias. */
static float ref_value(const struct kern_mul *j, int i, size_t r, size_t c)
{
    const struct kern_weight *w = j->w[i];
    const unsigned char *row = (const unsigned char *)w->data + r * w->stride;
    double v = row_dot(quant_find(w->type), row, j->x->x + c * j->x->k, w->n_col);

    v *= j->scale[i] != 0 ? (double)j->scale[i] : 1;
    return (float)(j->bias[i] ? v + (double)j->bias[i][r] : v);
}

static void ref_mul(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                    void *scratch)
{
    size_t n_row = j->w[0]->n_row, end = g1 * k->n_group < n_row ? g1 * k->n_group : n_row;

    (void)scratch;
    for (size_t r = g0 * k->n_group; r < end; r++) {
        for (size_t c = 0; c < j->x->n; c++) {
            float v = ref_value(j, 0, r, c),
                  *y = j->y + (j->to ? (size_t)j->to[c] : c) * j->ldy + r;

            if (j->epilogue == KERN_ADD)
                *y += j->factor ? j->factor[c] * v : v;
            else if (j->epilogue == KERN_SILU_MUL)
                *y = silu(v) * ref_value(j, 1, r, c);
            else if (j->epilogue == KERN_GELU_MUL)
                *y = gelu(v) * ref_value(j, 1, r, c);
            else
                *y = v;
        }
    }
}

/* One way to round a block: the largest magnitude becomes `top`. The scale is then the one
 * that fits the rounded values best (least squares), and what it gains is (x.q)^2 / (q.q): the
 * part of the block's square sum that the rounded block explains. */
static double ref_round(const float *x, float max, float top, int8_t q[32], float *d)
{
    double xq = 0, qq = 0;
    float inv = max >= KERN_Q8_LEAST ? top / max : 0;

    for (int i = 0; i < 32; i++) {
        float v = rintf(x[i] * inv);

        q[i] = (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
        xq += (double)x[i] * q[i];
        qq += (double)q[i] * q[i];
    }
    *d = qq > 0 ? (float)(xq / qq) : 0;
    return qq > 0 ? xq * xq / qq : 0;
}

/* The best of three roundings: a seventh less error than the first alone. */
static void ref_block(const float *x, int8_t q[32], float *d)
{
    double best = -1;
    float max = 0;

    for (int i = 0; i < 32; i++)
        max = fabsf(x[i]) > max ? fabsf(x[i]) : max;
    for (int top = 127; top >= 125; top--) {
        int8_t try[32];
        float scale;
        double gain = ref_round(x, max, (float)top, try, &scale);

        if (gain > best) {
            best = gain;
            memcpy(q, try, sizeof(try));
            *d = scale;
        }
    }
}

static void ref_acts_q8(struct kern_acts *a, size_t c)
{
    size_t p = c / a->n_panel, i = c % a->n_panel, w = kern_panel_width(a, p);
    int8_t *q = a->q + kern_panel_at(a, p, a->k) + i * 4;

    for (size_t b = 0; b < a->k / 32; b++) {
        size_t at32 = kern_panel_at(a, p, a->k / 32) + b * w + i,
               at16 = kern_panel_at(a, p, a->k / 16) + 2 * b * w + i;
        int8_t v[32];
        int sum[2] = {0, 0};

        ref_block(a->x + c * a->k + 32 * b, v, &a->d[at32]);
        for (int t = 0; t < 32; t++) {
            sum[t / 16] += v[t];
            q[((8 * b + (size_t)t / 4) * w) * 4 + (size_t)t % 4] = v[t];
        }
        a->ns16[at16] = -sum[0];
        a->ns16[at16 + w] = -sum[1];
        a->ns32[at32] = -(sum[0] + sum[1]);
        a->ds16[at16] = a->d[at32] * (float)sum[0];
        a->ds16[at16 + w] = a->d[at32] * (float)sum[1];
        a->ds32[at32] = a->d[at32] * (float)(sum[0] + sum[1]);
    }
}

static void ref_acts(struct kern_acts *a, int forms, size_t c0, size_t c1)
{
    for (size_t c = c0; c < c1; c++) {
        size_t p = c / a->n_panel, w = kern_panel_width(a, p);

        if (forms & KERN_FORM_Q8)
            ref_acts_q8(a, c);
        if (forms & KERN_FORM_F32) {
            float *f = a->f + kern_panel_at(a, p, a->k) + c % a->n_panel;

            for (size_t t = 0; t < a->k; t++)
                f[t * w] = a->x[c * a->k + t];
        }
    }
}

static void ref_rms_norm(const float *x, const float *w, float *y, size_t n, float eps)
{
    double sum = 0;
    float s;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    s = (float)(1.0 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++)
        y[i] = w ? x[i] * s * w[i] : x[i] * s;
}

static void ref_layer_norm(const float *x, const float *w, const float *b, float *y, size_t n,
                           float eps)
{
    double mean = 0, var = 0, s;

    for (size_t i = 0; i < n; i++)
        mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)n;
    s = 1.0 / sqrt(var + (double)eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) * s * (w ? (double)w[i] : 1) +
                       (b ? (double)b[i] : 0));
}

static void ref_l2_norm(const float *x, float *y, size_t n, float eps)
{
    double sum = 0, len;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    len = sqrt(sum) > (double)eps ? sqrt(sum) : (double)eps;
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] / len);
}

/* -- functions of one number ----------------------------------------------------------- */

static double sigm(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

/* act(x), where x is bounded already for those that have a limit. */
static double ref_act_of(int act, double limit, double x)
{
    double y;

    switch (act) {
    case KERN_ACT_GELU:
        return x * sigm(2 * 0.79788456080286536 * (x + 0.044715 * x * x * x));
    case KERN_ACT_GELU_ERF:
        return x * 0.5 * erfc(-x * 0.70710678118654752);
    case KERN_ACT_GELU_QUICK:
    case KERN_ACT_OAI:
        return x * sigm(1.702 * x);
    case KERN_ACT_RELU:
        return x < 0 ? 0 : x;
    case KERN_ACT_RELU2:
        return x < 0 ? 0 : x * x;
    case KERN_ACT_SIGMOID:
        return sigm(x);
    case KERN_ACT_SOFTPLUS:
        return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
    case KERN_ACT_TANH:
        return tanh(x);
    case KERN_ACT_CLAMP_OUT:
        y = x * sigm(x);
        return y > limit ? limit : y;
    default: /* KERN_ACT_SILU, KERN_ACT_CLAMP_IN */
        return x * sigm(x);
    }
}

static void ref_act(int act, float limit, const float *gate, const float *up, float *y,
                    size_t n)
{
    int bounds_in = act == KERN_ACT_OAI || act == KERN_ACT_CLAMP_IN,
        bounds_up = bounds_in || act == KERN_ACT_CLAMP_OUT;

    for (size_t i = 0; i < n; i++) {
        float g = bounds_in && gate[i] > limit ? limit : gate[i];
        double v = ref_act_of(act, (double)limit, (double)g);

        if (up) {
            float u = bounds_up && up[i] > limit    ? limit
                      : bounds_up && up[i] < -limit ? -limit
                                                    : up[i];

            v *= (double)u + (act == KERN_ACT_OAI ? 1 : 0);
        }
        y[i] = (float)v;
    }
}

static void ref_rope(float *x, const float *cs, size_t n_rot, int kind)
{
    size_t half = n_rot / 2;

    for (size_t i = 0; i < half; i++) {
        size_t ia = kind == KERN_ROPE_NEOX ? i : 2 * i,
               ib = kind == KERN_ROPE_NEOX ? i + half : 2 * i + 1;
        float a = x[ia], b = x[ib], c = cs[2 * i], s = cs[2 * i + 1];

        x[ia] = a * c - b * s;
        x[ib] = a * s + b * c;
    }
}

/* -- attention ------------------------------------------------------------------------- */

static size_t padded(int d)
{
    return ((size_t)d + 15) & ~(size_t)15;
}

/* Where one position's blocks lie in a page, see struct kern_attn: the scale of block b, and
 * its byte i. Of keys the 64 positions are side by side, of values a position's numbers. */
struct kv_place {
    size_t scale, byte;
};

static struct kv_place key_place(const struct quant *q, size_t b, size_t i, int slot)
{
    size_t at = b * (size_t)q->bytes * KERN_PAGE;

    return (struct kv_place){at + 2 * (size_t)slot, at + (2 + i) * KERN_PAGE + (size_t)slot};
}

static struct kv_place value_place(const struct quant *q, size_t n, size_t b, size_t i,
                                   int slot)
{
    size_t size = (size_t)q->bytes - 2;

    return (struct kv_place){2 * ((size_t)slot * n + b),
                             2 * n * KERN_PAGE + ((size_t)slot * n + b) * size + i};
}

/* Quantised rows: each block as its format writes it, taken apart. */
static void put_blocks(const struct quant *q, const float *x, int d, int slot, int is_value,
                       unsigned char *page)
{
    size_t n = (size_t)(d / q->block);
    unsigned char block[64];

    for (size_t b = 0; b < n; b++) {
        q->from_f32(x + b * (size_t)q->block, block, (size_t)q->block);
        for (size_t i = 0; i < (size_t)q->bytes - 2; i++) {
            struct kv_place at =
                is_value ? value_place(q, n, b, i, slot) : key_place(q, b, i, slot);

            memcpy(page + at.scale, block, 2);
            page[at.byte] = block[2 + i];
        }
    }
}

static void put_float(int kv, float x, size_t at, void *page)
{
    if (kv == KERN_KV_F16)
        ((uint16_t *)page)[at] = f32_to_f16(x);
    else
        ((float *)page)[at] = x;
}

static void ref_key_put(int kv, const float *x, int d_k, int slot, void *keys)
{
    const struct quant *q = kern_kv_quant(kv);

    if (q->block > 1)
        put_blocks(q, x, d_k, slot, 0, keys);
    for (int i = 0; q->block == 1 && i < d_k; i++)
        put_float(kv, x[i], (size_t)i * KERN_PAGE + (size_t)slot, keys);
}

static void ref_value_put(int kv, const float *x, int d_v, int slot, void *values)
{
    const struct quant *q = kern_kv_quant(kv);
    size_t wide = padded(d_v);

    if (q->block > 1)
        put_blocks(q, x, d_v, slot, 1, values);
    for (size_t i = 0; q->block == 1 && i < wide; i++)
        put_float(kv, i < (size_t)d_v ? x[i] : 0, (size_t)slot * wide + i, values);
}

/* The d numbers of a position: a block is put together and read by its format. */
static void kv_row(int kv, const unsigned char *page, int d, int slot, int is_value, float *x)
{
    const struct quant *q = kern_kv_quant(kv);
    size_t n = (size_t)(d / q->block), size = (size_t)q->bytes;
    unsigned char block[64];

    if (q->block == 1 && is_value)
        q->to_f32(page + (size_t)slot * padded(d) * size, x, (size_t)d);
    for (size_t i = 0; q->block == 1 && !is_value && i < (size_t)d; i++)
        q->to_f32(page + (i * KERN_PAGE + (size_t)slot) * size, x + i, 1);
    for (size_t b = 0; q->block > 1 && b < n; b++) {
        for (size_t i = 0; i < (size_t)q->bytes - 2; i++) {
            struct kv_place at =
                is_value ? value_place(q, n, b, i, slot) : key_place(q, b, i, slot);

            memcpy(block, page + at.scale, 2);
            block[2 + i] = page[at.byte];
        }
        q->to_f32(block, x + b * (size_t)q->block, (size_t)q->block);
    }
}

/* One row over positions [lo, hi): scores and the largest, then the sum and the values. */
static void ref_attn_row(const struct kern_attn *a, const float *q, int lo, int hi, float *part,
                         double *score)
{
    double max = -(double)INFINITY, sum = 0, *acc = score + KERN_SEG;
    float *x = (float *)(acc + a->d_v); /* keys or values of a position */

    for (int p = lo; p < hi; p++) {
        double s = 0;

        kv_row(a->kv_k, a->page[p / KERN_PAGE] + a->off_k, a->d_k, p % KERN_PAGE, 0, x);
        for (int d = 0; d < a->d_k; d++)
            s += (double)q[d] * (double)x[d];
        s *= (double)a->scale;
        if (a->cap != 0)
            s = (double)a->cap * tanh(s / (double)a->cap);
        score[p - lo] = s;
        max = s > max ? s : max;
    }
    memset(acc, 0, (size_t)a->d_v * sizeof(*acc));
    for (int p = lo; p < hi; p++) {
        double w = exp(score[p - lo] - max);

        sum += w;
        kv_row(a->kv_v, a->page[p / KERN_PAGE] + a->off_v, a->d_v, p % KERN_PAGE, 1, x);
        for (int d = 0; d < a->d_v; d++)
            acc[d] += w * (double)x[d];
    }
    for (int d = 0; d < a->d_v; d++)
        part[d] = (float)acc[d];
    part[padded(a->d_v)] = (float)max;
    part[padded(a->d_v) + 1] = (float)sum;
}

static void ref_attn(const struct kern_attn *a, int seg, float *part, void *scratch)
{
    int from = seg * KERN_SEG, to = from + KERN_SEG;

    for (int i = 0; i < a->n_q; i++) {
        int lo = a->first[i] > from ? a->first[i] : from,
            hi = a->pos[i] + 1 < to ? a->pos[i] + 1 : to;

        ref_attn_row(a, a->q[i], lo, hi, part + (size_t)i * kern_attn_part(a->d_v), scratch);
    }
}

static void fold_row(float *into, const float *part, size_t d_v)
{
    float *at = into + padded((int)d_v);
    const float *from = part + padded((int)d_v);
    double max = (double)(at[0] > from[0] ? at[0] : from[0]), keep = exp((double)at[0] - max),
           add = exp((double)from[0] - max);

    if (from[0] == -INFINITY) /* sees nothing of this segment */
        return;
    if (at[0] == -INFINITY) {
        memcpy(into, part, kern_attn_part((int)d_v) * sizeof(*into));
        return;
    }
    for (size_t d = 0; d < d_v; d++)
        into[d] = (float)(keep * (double)into[d] + add * (double)part[d]);
    at[0] = (float)max;
    at[1] = (float)(keep * (double)at[1] + add * (double)from[1]);
}

/* The sink's part of a row whose scores have the sum *sum below the largest, max: what its
 * outputs are to be multiplied by before they are divided by the sum. */
static double add_sink(double max, double sink, double *sum)
{
    double top = max > sink ? max : sink, keep = exp(max - top);

    *sum = *sum * keep + exp(sink - top);
    return keep;
}

static void ref_attn_fold(float *into, const float *part, int n, int d_v, float *const *out,
                          const float *sink)
{
    size_t step = kern_attn_part(d_v);

    for (size_t i = 0; i < (size_t)n; i++) {
        float *row = into + i * step;
        double sum, keep = 1;

        if (part)
            fold_row(row, part + i * step, (size_t)d_v);
        sum = (double)row[padded(d_v) + 1];
        if (sink)
            keep = add_sink((double)row[padded(d_v)], (double)sink[i], &sum);
        for (int d = 0; d < d_v && out; d++)
            out[i][d] = (float)(keep * (double)row[d] / sum);
    }
}

/* -- along a sequence -------------------------------------------------------------------- */

/* One channel: `past` holds the inputs that a token needs, oldest first. */
static void conv_channel(const struct kern_conv *j, size_t c)
{
    float past[KERN_CONV_MAX];
    size_t last = j->k - 1;

    for (size_t i = 0; i < last; i++)
        past[i] = j->state[i * j->n_ch + c];
    for (size_t t = 0; t < j->n_tok; t++) {
        double sum = j->bias ? (double)j->bias[c] : 0;

        past[last] = j->x[t * j->ldx + c];
        for (size_t i = 0; i < j->k; i++)
            sum += (double)j->w[c * j->k + i] * (double)past[i];
        j->y[t * j->ldy + c] = (float)(j->act < 0 ? sum : ref_act_of(j->act, 0, sum));
        memmove(past, past + 1, last * sizeof(*past));
    }
    for (size_t i = 0; i < last; i++)
        j->state[i * j->n_ch + c] = past[i];
}

static void ref_conv(const struct kern_conv *j, size_t c0, size_t c1)
{
    for (size_t c = c0; c < c1; c++)
        conv_channel(j, c);
}

static void ref_ssm(const struct kern_ssm *j)
{
    for (size_t t = 0; t < j->n_tok; t++) {
        const float *x = j->x + t * j->ldx, *b = j->b + t * j->ldbc, *c = j->c + t * j->ldbc;
        double dt = (double)j->dt[t * j->lddt], keep = exp(dt * (double)j->a);

        for (size_t p = 0; p < j->n_p; p++) {
            float *s = j->state + p * j->n_s;
            double sum = (double)j->d * (double)x[p];

            for (size_t n = 0; n < j->n_s; n++) {
                s[n] = (float)((double)s[n] * keep + dt * (double)x[p] * (double)b[n]);
                sum += (double)s[n] * (double)c[n];
            }
            j->y[t * j->ldy + p] = (float)sum;
        }
    }
}

static void ref_delta(const struct kern_delta *j)
{
    for (size_t t = 0; t < j->n_tok; t++) {
        const float *q = j->q + t * j->ldq, *k = j->k + t * j->ldk,
                    *decay = j->decay + t * j->lddecay;

        for (size_t c = 0; c < j->d_v; c++) {
            double seen = 0, sum = 0, e;

            for (size_t i = 0; i < j->d_k; i++) {
                float *s = &j->state[i * j->d_v + c];

                *s *= decay[j->per_row ? i : 0];
                seen += (double)*s * (double)k[i];
            }
            e = (double)j->beta[t * j->ldbeta] * ((double)j->v[t * j->ldv + c] - seen);
            for (size_t i = 0; i < j->d_k; i++) {
                float *s = &j->state[i * j->d_v + c];

                *s = (float)((double)*s + (double)k[i] * e);
                sum += (double)*s * (double)q[i];
            }
            j->y[t * j->ldy + c] = (float)((double)j->scale * sum);
        }
    }
}

void kern_add_ref(struct kern *k)
{
    k->n_panel = 6;
    k->n_group = REF_GROUP;
    for (int i = 0; i < QUANT_TYPE_MAX; i++) {
        if (quant_find(i))
            k->mm[i] = (struct kern_mm){ref_mul, KERN_ROWS, 0};
    }
    k->tiles = tile_rows;
    k->acts = ref_acts;
    k->rms_norm = ref_rms_norm;
    k->layer_norm = ref_layer_norm;
    k->l2_norm = ref_l2_norm;
    k->act = ref_act;
    k->rope = ref_rope;
    k->key_put = ref_key_put;
    k->value_put = ref_value_put;
    k->attn = ref_attn;
    k->attn_fold = ref_attn_fold;
    k->conv = ref_conv;
    k->ssm = ref_ssm;
    k->delta = ref_delta;
}

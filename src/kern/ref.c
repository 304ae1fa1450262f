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

/* Row r of weight i of the job by column c, with its bias. */
static float ref_value(const struct kern_mul *j, int i, size_t r, size_t c)
{
    const struct kern_weight *w = j->w[i];
    const unsigned char *row = (const unsigned char *)w->data + r * w->stride;
    double v = row_dot(quant_find(w->type), row, j->x->x + c * j->x->k, w->n_col);

    return (float)(j->bias[i] ? v + (double)j->bias[i][r] : v);
}

static void ref_mul(const struct kern *k, const struct kern_mul *j, size_t g0, size_t g1,
                    void *scratch)
{
    size_t n_row = j->w[0]->n_row, end = g1 * k->n_group < n_row ? g1 * k->n_group : n_row;

    (void)scratch;
    for (size_t r = g0 * k->n_group; r < end; r++) {
        for (size_t c = 0; c < j->x->n; c++) {
            float v = ref_value(j, 0, r, c), *y = j->y + c * j->ldy + r;

            if (j->epilogue == KERN_ADD)
                *y += v;
            else if (j->epilogue == KERN_SILU_MUL)
                *y = silu(v) * ref_value(j, 1, r, c);
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

static void ref_kv_put(int kv, const float *k_row, const float *v_row, int d_k, int d_v,
                       int slot, void *keys, void *values)
{
    size_t wide = ((size_t)d_v + 15) & ~(size_t)15;

    for (int i = 0; i < d_k; i++) {
        size_t at = (size_t)i * KERN_PAGE + (size_t)slot;

        if (kv == KERN_KV_F16)
            ((uint16_t *)keys)[at] = f32_to_f16(k_row[i]);
        else
            ((float *)keys)[at] = k_row[i];
    }
    for (size_t i = 0; i < wide; i++) {
        size_t at = (size_t)slot * wide + i;
        float v = i < (size_t)d_v ? v_row[i] : 0;

        if (kv == KERN_KV_F16)
            ((uint16_t *)values)[at] = f32_to_f16(v);
        else
            ((float *)values)[at] = v;
    }
}

static float kv_at(int kv, const unsigned char *p, size_t i)
{
    return kv == KERN_KV_F16 ? f16_to_f32(((const uint16_t *)(const void *)p)[i])
                             : ((const float *)(const void *)p)[i];
}

static double ref_score(const struct kern_attn *a, const float *q, int pos)
{
    const unsigned char *keys = a->page[pos / KERN_PAGE] + a->off_k;
    double s = 0;

    for (int d = 0; d < a->d_k; d++)
        s += (double)q[d] *
             (double)kv_at(a->kv, keys, (size_t)d * KERN_PAGE + (size_t)(pos % KERN_PAGE));
    return s * (double)a->scale;
}

/* Two passes over the positions: the largest score and the sum, then the values. */
static void ref_attn(const struct kern_attn *a, void *scratch)
{
    size_t wide = ((size_t)a->d_v + 15) & ~(size_t)15;
    double *acc = scratch; /* d_v doubles: half of the rows' outputs that are planned */

    for (int i = 0; i < a->n_q; i++) {
        double max = -(double)INFINITY, sum = 0;

        for (int p = a->first; p <= a->pos[i]; p++) {
            double s = ref_score(a, a->q[i], p);

            max = s > max ? s : max;
        }
        memset(acc, 0, (size_t)a->d_v * sizeof(*acc));
        for (int p = a->first; p <= a->pos[i]; p++) {
            const unsigned char *values = a->page[p / KERN_PAGE] + a->off_v;
            double w = exp(ref_score(a, a->q[i], p) - max);

            sum += w;
            for (int d = 0; d < a->d_v; d++)
                acc[d] += w * (double)kv_at(a->kv, values,
                                            (size_t)(p % KERN_PAGE) * wide + (size_t)d);
        }
        for (int d = 0; d < a->d_v; d++)
            a->out[i][d] = (float)(acc[d] / sum);
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
    k->rope = ref_rope;
    k->kv_put = ref_kv_put;
    k->attn = ref_attn;
}

/* fit.c - see fit.h. Sub-blocks have 16 or 32 numbers, so "obvious" beats "clever": every
 * step quantises the numbers anew and measures. */
#include "quant/fit.h"

#include "quant/f16.h"

#define LANES    8
#define N_ROUND  3 /* times round the circle of scales and q */
#define N_REFIT  2 /* times that the half-precision scales are fitted again */
#define HALF_MAX 65504.0f

void fit_load(float *out, const float *in, int n)
{
    for (int i = 0; i < n; i++) {
        float x = isfinite(in[i]) ? in[i] : 0.0f;

        x = x > 1e9f ? 1e9f : x;
        x = x < -1e9f ? -1e9f : x;
        out[i] = fabsf(x) < 1e-12f ? 0.0f : x;
    }
}

uint16_t fit_half(float d)
{
    d = d > HALF_MAX ? HALF_MAX : d;
    d = d < -HALF_MAX ? -HALF_MAX : d;
    return f32_to_f16(d);
}

float fit_peak(const float *x, int n)
{
    float peak = 0.0f;

    for (int i = 0; i < n; i++) {
        if (fabsf(x[i]) > fabsf(peak))
            peak = x[i];
    }
    return peak;
}

void fit_range(const float *x, int n, float *lo, float *hi)
{
    *lo = *hi = x[0];
    for (int i = 1; i < n; i++) {
        *lo = x[i] < *lo ? x[i] : *lo;
        *hi = x[i] > *hi ? x[i] : *hi;
    }
}

static const float *sub(const float *x, int g, int len)
{
    return x + (ptrdiff_t)g * len;
}

/* What the numbers of one sub-block and their q add up to. */
struct sums {
    float x, q, qq, xq;
};

/* Adding and taking away this leaves a float below 2^22 rounded to an integer. */
#define ROUNDER 0x1.8p23f

static float lanes_sum(const float *lane)
{
    float s = 0;

    for (int j = 0; j < LANES; j++)
        s += lane[j];
    return s;
}

/* Both loops below keep LANES sums apart, so that a compiler may use vectors without changing
 * the result. */
static struct sums sum_up(const float *x, int n, float s, float m, float lo, float hi)
{
    float x1[LANES] = {0}, q1[LANES] = {0}, qq[LANES] = {0}, xq[LANES] = {0};
    float inv = fit_inv(s);

    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float q = (x[i + j] + m) * inv;

            q = q < lo ? lo : q;
            q = q > hi ? hi : q;
            q = q + ROUNDER - ROUNDER;
            x1[j] += x[i + j];
            q1[j] += q;
            qq[j] += q * q;
            xq[j] += x[i + j] * q;
        }
    }
    return (struct sums){lanes_sum(x1), lanes_sum(q1), lanes_sum(qq), lanes_sum(xq)};
}

/* The squared error of s * q - m with the best q. */
static float error_of(const float *x, int n, float s, float m, float lo, float hi)
{
    float inv = fit_inv(s), sum[LANES] = {0};

    for (int i = 0; i < n; i += LANES) {
        for (int j = 0; j < LANES; j++) {
            float q = (x[i + j] + m) * inv;

            q = q < lo ? lo : q;
            q = q > hi ? hi : q;
            q = s * (q + ROUNDER - ROUNDER) - m - x[i + j];
            sum[j] += q * q;
        }
    }
    return lanes_sum(sum);
}

/* The best free scale of a sub-block, x = s * q. For given q the best s is sum(xq) / sum(qq),
 * and it lowers the error by s * sum(xq). */
static float sub_sym(const float *x, int n, int lo, int hi)
{
    float peak = fit_peak(x, n), best = 0.0f, best_gain = 0.0f;

    for (int k = -5; k <= 5; k++) {
        float s = peak / ((float)lo + 0.18f * (float)k), gain = 0.0f;

        for (int r = 0; r < N_ROUND; r++) {
            struct sums t = sum_up(x, n, s, 0.0f, (float)lo, (float)hi);

            s = t.qq > 0 ? t.xq / t.qq : 0.0f;
            if (s * t.xq <= gain)
                break;
            gain = s * t.xq;
            if (gain <= best_gain)
                continue;
            best_gain = gain;
            best = s;
        }
    }
    return best;
}

/* The best s and m for given q, and by how much they lower the error. */
static float refit_min(const struct sums *t, int n, float *s, float *m)
{
    float det = (float)n * t->qq - t->q * t->q;

    *s = det > 0 ? ((float)n * t->xq - t->q * t->x) / det : 0.0f;
    *m = (*s * t->q - t->x) / (float)n;
    if (*m < 0) {
        *m = 0;
        *s = t->qq > 0 ? t->xq / t->qq : 0.0f;
    }
    return *s * t->xq - *m * t->x;
}

/* The best free scale and minimum of a sub-block, x = s * q - m with m >= 0. */
static void sub_min(const float *x, int n, int q_hi, float *s_out, float *m_out)
{
    float lo, hi, best = -1.0f;

    *s_out = *m_out = 0;
    fit_range(x, n, &lo, &hi);
    lo = lo > 0 ? 0 : lo;
    for (int k = -3; k <= 6; k++) {
        float s = (hi - lo) / ((float)q_hi + 0.15f * (float)k), m = -lo, gain = -1.0f;

        for (int r = 0; r < N_ROUND; r++) {
            struct sums t = sum_up(x, n, s, m, 0, (float)q_hi);
            float g = refit_min(&t, n, &s, &m);

            if (g <= gain)
                break;
            gain = g;
            if (gain <= best)
                continue;
            best = gain;
            *s_out = s;
            *m_out = m;
        }
    }
}

/* Chooses the stored scale of a sub-block for a given d: the best of the nearest three. */
static float pick_sym(const struct fit_sym *f, const float *x, float d, float want,
                      int8_t *scale)
{
    int near = fit_round(want, fit_inv(d), f->s_lo, f->s_hi);
    float best = -1.0f;

    for (int c = near - 1; c <= near + 1; c++) {
        float e;

        if (c < f->s_lo || c > f->s_hi)
            continue;
        e = error_of(x, f->len, d * (float)c, 0.0f, (float)f->q_lo, (float)f->q_hi);
        if (best >= 0 && e >= best)
            continue;
        best = e;
        *scale = (int8_t)c;
    }
    return best;
}

/* Fills q from the scales; returns the d that would suit these q best. */
static float fill_sym(struct fit_sym *f, const float *x)
{
    float d = f16_to_f32(f->d);
    double xa = 0, aa = 0;

    for (int g = 0; g < FIT_SUPER / f->len; g++) {
        float inv = fit_inv(d * (float)f->scale[g]);

        for (int i = g * f->len; i < (g + 1) * f->len; i++) {
            int q = fit_round(x[i], inv, f->q_lo, f->q_hi), a = f->scale[g] * q;

            f->q[i] = (int8_t)q;
            xa += (double)x[i] * a;
            aa += (double)a * a;
        }
    }
    return aa > 0 ? (float)(xa / aa) : 0.0f;
}

void fit_super_sym(struct fit_sym *f, const float *x)
{
    int n_sub = FIT_SUPER / f->len;
    float s[FIT_SUBS], d, best = -1.0f;

    for (int g = 0; g < n_sub; g++)
        s[g] = sub_sym(sub(x, g, f->len), f->len, f->q_lo, f->q_hi);
    d = fit_peak(s, n_sub) / (float)f->s_lo;
    for (int r = 0; r <= N_REFIT; r++) {
        struct fit_sym t = *f;
        float e = 0;

        t.d = fit_half(d);
        for (int g = 0; g < n_sub; g++)
            e += pick_sym(&t, sub(x, g, f->len), f16_to_f32(t.d), s[g], &t.scale[g]);
        d = fill_sym(&t, x);
        if (best >= 0 && e >= best)
            break;
        best = e;
        *f = t;
    }
}

/* As pick_sym, for a scale and a minimum: the best of the nearest three of each. */
static float pick_min(struct fit_min *f, const float *x, int g, float s, float m)
{
    float d = f16_to_f32(f->d), dmin = f16_to_f32(f->dmin), best = -1.0f;
    int near_s = fit_round(s, fit_inv(d), 0, f->s_hi);
    int near_m = fit_round(m, fit_inv(dmin), 0, f->s_hi);

    for (int k = 0; k < 9; k++) {
        int a = near_s + k / 3 - 1, b = near_m + k % 3 - 1;
        float e;

        if (a < 0 || a > f->s_hi || b < 0 || b > f->s_hi)
            continue;
        e = error_of(x, f->len, d * (float)a, dmin * (float)b, 0, (float)f->q_hi);
        if (best >= 0 && e >= best)
            continue;
        best = e;
        f->scale[g] = (uint8_t)a;
        f->min[g] = (uint8_t)b;
    }
    return best;
}

/* Fills q from the scales and minima; gives the d and dmin that would suit these q best: two
 * normal equations of x = d * a - dmin * b, a = scale * q, b = min. */
static void fill_min(struct fit_min *f, const float *x, float *d_out, float *dmin_out)
{
    float d = f16_to_f32(f->d), dmin = f16_to_f32(f->dmin);
    double xa = 0, xb = 0, aa = 0, ab = 0, bb = 0, det;

    for (int g = 0; g < FIT_SUPER / f->len; g++) {
        float inv = fit_inv(d * (float)f->scale[g]), m = dmin * (float)f->min[g];
        int b = f->min[g];

        for (int i = g * f->len; i < (g + 1) * f->len; i++) {
            int q = fit_round(x[i] + m, inv, 0, f->q_hi), a = f->scale[g] * q;

            f->q[i] = (uint8_t)q;
            xa += (double)x[i] * a;
            xb += (double)x[i] * b;
            aa += (double)a * a;
            ab += (double)a * b;
            bb += (double)b * b;
        }
    }
    det = aa * bb - ab * ab;
    d = (float)(det > 0 ? (xa * bb - ab * xb) / det : aa > 0 ? xa / aa : 0);
    dmin = (float)(det > 0 ? (ab * xa - aa * xb) / det : bb > 0 ? -xb / bb : 0);
    *d_out = d < 0 ? 0 : d;
    *dmin_out = dmin < 0 ? 0 : dmin;
}

void fit_super_min(struct fit_min *f, const float *x)
{
    int n_sub = FIT_SUPER / f->len;
    float s[FIT_SUBS], m[FIT_SUBS], d, dmin, best = -1.0f;

    for (int g = 0; g < n_sub; g++)
        sub_min(sub(x, g, f->len), f->len, f->q_hi, &s[g], &m[g]);
    d = fit_peak(s, n_sub) / (float)f->s_hi;
    dmin = fit_peak(m, n_sub) / (float)f->s_hi;
    for (int r = 0; r <= N_REFIT; r++) {
        struct fit_min t = *f;
        float e = 0;

        t.d = fit_half(d);
        t.dmin = fit_half(dmin);
        for (int g = 0; g < n_sub; g++)
            e += pick_min(&t, sub(x, g, f->len), g, s[g], m[g]);
        fill_min(&t, x, &d, &dmin);
        if (best >= 0 && e >= best)
            break;
        best = e;
        *f = t;
    }
}

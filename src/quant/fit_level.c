#include "quant/fit_level.h"

#define N_ROUND 4 /* times round the circle of scale and levels */

int fit_level(const struct fit_levels *l, float x)
{
    int i = 0;

    while (i + 1 < l->n && 2.0f * x > (float)(l->v[i] + l->v[i + 1]))
        i++;
    return i;
}

/* The best scale for the levels that scale s chooses, and by how much it lowers the error. */
static float refit(const struct fit_levels *l, const float *x, int n, float s, float *gain)
{
    float inv = fit_inv(s);
    double xq = 0, qq = 0;

    for (int i = 0; i < n; i++) {
        double q = l->v[fit_level(l, x[i] * inv)];

        xq += (double)x[i] * q;
        qq += q * q;
    }
    *gain = qq > 0 ? (float)(xq * xq / qq) : 0.0f;
    return qq > 0 ? (float)(xq / qq) : 0.0f;
}

/* The starts go from the largest number at the largest level, and a little beyond, to three
 * times less: few levels suit a bell best when they leave its ends out. A negative scale is
 * taken only when it is better. */
float fit_level_scale(const struct fit_levels *l, const float *x, int n)
{
    float top = fabsf(fit_peak(x, n)) / (float)l->v[l->n - 1], best = 0.0f, best_gain = 0.0f;

    for (int k = 0; k < 34; k++) {
        float s = top * (1.1f - 0.05f * (float)(k / 2)), last = 0.0f;

        s = k % 2 ? -s : s;
        for (int r = 0; r < N_ROUND; r++) {
            float gain;

            s = refit(l, x, n, s, &gain);
            if (gain <= last)
                break;
            last = gain;
            if (gain <= best_gain * (1 + 1e-6f))
                continue;
            best_gain = gain;
            best = s;
        }
    }
    return best;
}

float fit_level_error(const struct fit_levels *l, const float *x, int n, float s)
{
    float inv = fit_inv(s);
    double sum = 0;

    for (int i = 0; i < n; i++) {
        double e = (double)s * l->v[fit_level(l, x[i] * inv)] - (double)x[i];

        sum += e * e;
    }
    return (float)sum;
}

#include "infer/sampler_priv.h"

#include <float.h>
#include <math.h>
#include <string.h>

double sampler_exp(double x)
{
    static const double ln2_hi = 0x1.62e42fefa3800p-1, ln2_lo = 0x1.ef35793c76730p-45;
    /* 1 / i! from i = 12 down: |r| <= ln 2 / 2, so the first term left out is below 2e-16. */
    static const double coef[] = {1.0 / 479001600,
                                  1.0 / 39916800,
                                  1.0 / 3628800,
                                  1.0 / 362880,
                                  1.0 / 40320,
                                  1.0 / 5040,
                                  1.0 / 720,
                                  1.0 / 120,
                                  1.0 / 24,
                                  1.0 / 6,
                                  1.0 / 2,
                                  1.0,
                                  1.0};
    double k, r, p = 0.0;
    int64_t bits;

    if (!(x > -700.0))
        return 0.0;
    k = (double)(int)(x * 1.4426950408889634 - 0.5);
    r = (x - k * ln2_hi) - k * ln2_lo;
    for (size_t i = 0; i < sizeof(coef) / sizeof(coef[0]); i++)
        p = p * r + coef[i];
    bits = ((int64_t)k + 1023) * ((int64_t)1 << 52);
    memcpy(&k, &bits, sizeof(k));
    return p * k;
}

double sampler_weight(float logit, float max)
{
    return sampler_exp((double)logit - (double)max);
}

double sampler_total(const struct sampler *s, float max)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += sampler_weight(s->c[i].logit, max);
    return sum;
}

double sampler_log(double x)
{
    /* log m = 2 atanh f = 2 (f + f^3 / 3 + ...), |f| < 0.172: what is left out behind f^23 is
     * below 2e-18. */
    enum { LAST = 23 };
    double f, f2, sum = 0;
    int64_t bits, e;

    memcpy(&bits, &x, sizeof(bits));
    e = bits / ((int64_t)1 << 52) - 1023;
    bits -= e * ((int64_t)1 << 52);
    memcpy(&x, &bits, sizeof(x));
    if (x > 1.4142135623730951) {
        x /= 2;
        e++;
    }
    f = (x - 1) / (x + 1);
    f2 = f * f;
    for (int i = LAST; i > 0; i -= 2)
        sum = sum * f2 + 1.0 / i;
    return 2 * f * sum + (double)e * 0.6931471805599453;
}

/* -- logprobs ------------------------------------------------------------------------ */

/* Puts a token into top[*n], best first; it is known to belong there. */
static void top_insert(struct sampler_logprob *top, int *n, int cap, int id, float x)
{
    int i = *n < cap ? (*n)++ : cap - 1;

    while (i > 0 && top[i - 1].logprob < x) {
        top[i] = top[i - 1];
        i--;
    }
    top[i] = (struct sampler_logprob){id, x};
}

void sampler_logprobs(const float *logits, int n_vocab, int chosen, float *of_chosen,
                      struct sampler_logprob *top, int n)
{
    float max = -INFINITY;
    double sum = 0, log_sum;
    int have = 0;

    for (int i = 0; i < n_vocab; i++) {
        if (logits[i] > max)
            max = logits[i];
        if (n > 0 && (have < n || logits[i] > top[n - 1].logprob))
            top_insert(top, &have, n, i, logits[i]);
    }
    for (int i = 0; i < n_vocab; i++)
        sum += sampler_weight(logits[i], max);
    log_sum = sum > 0 ? (double)max + log(sum) : 0; /* no sum: nothing is possible at all */
    for (int i = 0; i < have; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_sum);
    if (of_chosen)
        *of_chosen = (float)((double)logits[chosen] - log_sum);
}

typedef float four __attribute__((vector_size(16)));
typedef int32_t four_bits __attribute__((vector_size(16)));

float sampler_max(const float *x, size_t n, int *bad)
{
    const four most = {FLT_MAX, FLT_MAX, FLT_MAX, FLT_MAX};
    four best[SAMPLER_LANES / 4];
    four_bits odd = {0};
    float max = -INFINITY;

    for (size_t k = 0; k < SAMPLER_LANES / 4; k++)
        best[k] = (four){-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    for (size_t i = 0; i < n; i += SAMPLER_LANES) {
        for (size_t k = 0; k < SAMPLER_LANES / 4; k++) {
            four v;
            four_bits more;

            memcpy(&v, x + i + 4 * k, sizeof(v));
            more = v > best[k];
            best[k] = (four)(((four_bits)v & more) | ((four_bits)best[k] & ~more));
            odd |= ~(v <= most);
        }
    }
    for (size_t k = 0; k < SAMPLER_LANES; k++)
        max = best[k / 4][k % 4] > max ? best[k / 4][k % 4] : max;
    *bad |= (odd[0] | odd[1] | odd[2] | odd[3]) != 0;
    return max;
}

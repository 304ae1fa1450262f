/* sampler_step.c - the steps that leave candidates out, down to one. */
#include "infer/sampler_priv.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Whether the i-th of them stays whatever its probability is. */
static int is_kept(const struct sampler *s, size_t i)
{
    return i < (size_t)s->opt.min_keep;
}

/* Keeps what is at most so many standard deviations of all logits below the best. */
void sampler_step_top_n_sigma(struct sampler *s)
{
    double mean = 0, var = 0, least;
    float max = -INFINITY;
    size_t n = 0;

    if (s->opt.top_n_sigma <= 0 || s->n < 2)
        return;
    for (size_t i = 0; i < s->n; i++) {
        mean += (double)s->c[i].logit;
        max = s->c[i].logit > max ? s->c[i].logit : max;
    }
    mean /= (double)s->n;
    for (size_t i = 0; i < s->n; i++) {
        double d = (double)s->c[i].logit - mean;

        var += d * d;
    }
    least = (double)max - (double)s->opt.top_n_sigma * sqrt(var / (double)s->n);
    for (size_t i = 0; i < s->n; i++) {
        struct cand c = s->c[i];

        s->c[n] = c;
        n += (double)c.logit >= least;
    }
    sampler_cut(s, n);
}

void sampler_step_top_k(struct sampler *s)
{
    size_t k = (size_t)s->opt.top_k;

    if (k == 0 || k >= s->n)
        return;
    sampler_order(s, k);
    sampler_cut(s, k);
}

/* Keeps the tokens whose surprise is nearest to the mean surprise (the entropy), until they
 * have typical_p of the probability. The logarithm of the total is in both and falls out. */
void sampler_step_typical(struct sampler *s)
{
    float max;
    double sum, mean = 0, have = 0;
    size_t i = 0;

    if (s->opt.typical_p >= 1)
        return;
    max = sampler_at(s, 0)->logit;
    sum = sampler_total(s, max);
    for (i = 0; i < s->n; i++) {
        double w = sampler_weight(s->c[i].logit, max);

        if (w > 0)
            mean += w / sum * ((double)max - (double)s->c[i].logit);
    }
    for (i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        c->key = -(float)fabs((double)max - (double)c->logit - mean);
    }
    s->n_order = 0;
    for (i = 0; i < s->n && (have < (double)s->opt.typical_p * sum || is_kept(s, i)); i++)
        have += sampler_weight(sampler_at(s, i)->logit, max);
    sampler_cut(s, i);
    for (i = 0; i < s->n; i++)
        s->c[i].key = s->c[i].logit;
    s->n_order = 0;
}

void sampler_step_top_p(struct sampler *s)
{
    float max;
    double want, have = 0;
    size_t i = 0;

    if (s->opt.top_p >= 1)
        return;
    max = sampler_at(s, 0)->logit;
    want = (double)s->opt.top_p * sampler_total(s, max);
    do
        have += sampler_weight(sampler_at(s, i++)->logit, max);
    while (i < s->n && (have < want || is_kept(s, i)));
    sampler_cut(s, i);
}

/* Keeps what has at least min_p times the probability of the best, without changing the
 * order. */
void sampler_step_min_p(struct sampler *s)
{
    float max;
    size_t n = 0, n_order = 0;

    if (s->opt.min_p <= 0)
        return;
    max = sampler_at(s, 0)->logit;
    sampler_order(s, (size_t)s->opt.min_keep);
    for (size_t i = 0; i < s->n; i++) {
        if (sampler_weight(s->c[i].logit, max) < (double)s->opt.min_p && !is_kept(s, i))
            continue;
        n_order += i < s->n_order;
        s->c[n++] = s->c[i];
    }
    s->n = n;
    s->n_order = n_order;
}

/* Now and then leaves out what is likely: of those that have at least the threshold all but
 * the least likely one. */
void sampler_step_xtc(struct sampler *s)
{
    const struct sampler_options *o = &s->opt;
    float max;
    double least;
    size_t i = 0;

    if (o->xtc_probability <= 0 || o->xtc_threshold > 0.5F || s->n < 2 ||
        rng_unit(&s->rng) >= (double)o->xtc_probability)
        return;
    max = sampler_at(s, 0)->logit;
    least = (double)o->xtc_threshold * sampler_total(s, max);
    while (i + 1 < s->n && sampler_weight(sampler_at(s, i + 1)->logit, max) >= least)
        i++;
    if (i == 0 || s->n - i < (size_t)o->min_keep)
        return;
    s->n -= i;
    s->n_order -= i;
    memmove(s->c, s->c + i, s->n * sizeof(*s->c));
}

/* How far the candidates are from being certain, 0, to equally likely, 1: their entropy as a
 * part of what it may be. */
static double uncertainty(const struct sampler *s, float max)
{
    double sum = sampler_total(s, max), mean = 0, u;

    for (size_t i = 0; i < s->n; i++) {
        double w = sampler_weight(s->c[i].logit, max);

        if (w > 0)
            mean += w / sum * ((double)max - (double)s->c[i].logit);
    }
    u = (sampler_log(sum) + mean) / sampler_log((double)s->n);
    return u < 0 ? 0 : u > 1 ? 1 : u;
}

/* The temperature, or one in its range: the surer the model, the lower. */
static float temperature_of(const struct sampler *s, float max)
{
    const struct sampler_options *o = &s->opt;
    double lo = (double)o->temperature - (double)o->dynatemp_range,
           hi = (double)o->temperature + (double)o->dynatemp_range, u, t;

    if (o->dynatemp_range <= 0 || s->n < 2)
        return o->temperature;
    lo = lo > 0 ? lo : 0;
    u = uncertainty(s, max);
    if (o->dynatemp_exponent <= 0)
        u = 1;
    else if (u > 0)
        u = sampler_exp((double)o->dynatemp_exponent * sampler_log(u));
    t = lo + (hi - lo) * u;
    return t < (double)FLT_MIN ? FLT_MIN : t > (double)FLT_MAX ? FLT_MAX : (float)t;
}

/* Distances to the best are what is scaled: the smallest temperature leaves the best at 0 and
 * sends the others to minus infinity, never to NaN. */
void sampler_step_temperature(struct sampler *s)
{
    float max = sampler_at(s, 0)->logit, t = temperature_of(s, max);

    for (size_t i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        c->logit = (c->logit - max) / t;
    }
}

/* Walks from the best on until the drawn share of the total is reached. */
void sampler_step_draw(struct sampler *s)
{
    double target = rng_unit(&s->rng) * sampler_total(s, 0), have = 0;
    size_t i = 0;

    for (;;) {
        have += sampler_weight(sampler_at(s, i)->logit, 0);
        if (have > target || i + 1 == s->n)
            break;
        i++;
    }
    /* Rounding may leave the walk at the end, among candidates without any sampler_weight. */
    while (i > 0 && sampler_weight(s->c[i].logit, 0) <= 0)
        i--;
    s->c[0] = s->c[i];
    sampler_cut(s, 1);
}

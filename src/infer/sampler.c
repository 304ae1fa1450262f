#include "infer/sampler.h"

#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* The steps share one array of candidates. Most of them need only the best few in order, so
 * the array is sorted from the front and only as far as somebody looks (cands_order): with
 * 150 000 tokens and a usual top-k or top-p that is one pass over the array. Order is total
 * (higher key first, then lower id), so what is picked cannot depend on how the sorting is
 * done. */

struct cand {
    float key;   /* what the order goes by: the logit, except inside the typical step */
    float logit; /* after penalties */
    int32_t id;
};

struct sampler {
    struct sampler_options opt;
    struct rng rng;
    int n_vocab;

    /* The last tokens of the text, and how often each id is among them; NULL when no penalty
     * is on. */
    int32_t *ring;
    uint32_t *count; /* [n_vocab] */
    size_t ring_cap, ring_n, ring_at;

    struct cand *c; /* [n_vocab]; NULL when greedy */
    size_t n;       /* candidates left */
    size_t n_order; /* c[0..n_order) are the best ones, in order */
};

/* -- candidates in order ------------------------------------------------------------- */

static int before(const struct cand *a, const struct cand *b)
{
    return a->key > b->key || (a->key == b->key && a->id < b->id);
}

static void swap(struct cand *a, struct cand *b)
{
    struct cand t = *a;

    *a = *b;
    *b = t;
}

/* Restores a heap with the last in order at its root, after a[i] changed. */
static void sift(struct cand *a, size_t n, size_t i)
{
    struct cand x = a[i];

    for (;;) {
        size_t k = 2 * i + 1;

        if (k >= n)
            break;
        if (k + 1 < n && before(&a[k], &a[k + 1]))
            k++;
        if (!before(&x, &a[k]))
            break;
        a[i] = a[k];
        i = k;
    }
    a[i] = x;
}

/* Brings the first m in order to the front of a[n], in order. */
static void select_first(struct cand *a, size_t n, size_t m)
{
    for (size_t i = m / 2; i-- > 0;)
        sift(a, m, i);
    for (size_t i = m; i < n; i++) {
        if (before(&a[i], &a[0])) {
            swap(&a[i], &a[0]);
            sift(a, m, 0);
        }
    }
    for (size_t i = m; i-- > 1;) {
        swap(&a[0], &a[i]);
        sift(a, i, 0);
    }
}

/* Sorts at least the first `want` candidates (or all there are). Each round sorts four times
 * as many as before, so that walking along costs no more than a sort. */
static void cands_order(struct sampler *s, size_t want)
{
    size_t m;

    if (want > s->n)
        want = s->n;
    if (want <= s->n_order)
        return;
    m = want - s->n_order;
    if (m < 64)
        m = 64;
    if (m < 3 * s->n_order)
        m = 3 * s->n_order;
    if (m > s->n - s->n_order)
        m = s->n - s->n_order;
    select_first(s->c + s->n_order, s->n - s->n_order, m);
    s->n_order += m;
}

static const struct cand *cand_at(struct sampler *s, size_t i)
{
    cands_order(s, i + 1);
    return &s->c[i];
}

static void cands_cut(struct sampler *s, size_t n)
{
    s->n = n;
    if (s->n_order > n)
        s->n_order = n;
}

/* -- arithmetic ---------------------------------------------------------------------- */

/* e^x for x <= 0, relative error below 1e-15. Our own, because the C library's differs in
 * the last bit between machines, and a seed shall give the same text on all of them. */
static double exp_neg(double x)
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

static double weight(float logit, float max)
{
    return exp_neg((double)logit - (double)max);
}

static double total_weight(const struct sampler *s, float max)
{
    double sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += weight(s->c[i].logit, max);
    return sum;
}

/* Extreme penalties must not turn a finite logit into an infinite one. */
static float penalise(const struct sampler *s, float x, uint32_t count)
{
    const struct sampler_options *o = &s->opt;
    float y = x > 0 ? x / o->repeat_penalty : x * o->repeat_penalty;

    if (!isfinite(x))
        return x;
    y -= (float)count * o->frequency_penalty + o->presence_penalty;
    return y > FLT_MAX ? FLT_MAX : y < -FLT_MAX ? -FLT_MAX : y;
}

/* -- steps --------------------------------------------------------------------------- */

static void step_penalties(struct sampler *s)
{
    if (!s->count)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        if (s->count[c->id])
            c->key = c->logit = penalise(s, c->logit, s->count[c->id]);
    }
}

static void step_top_k(struct sampler *s)
{
    size_t k = (size_t)s->opt.top_k;

    if (k == 0 || k >= s->n)
        return;
    cands_order(s, k);
    cands_cut(s, k);
}

/* Keeps the tokens whose surprise is nearest to the mean surprise (the entropy), until they
 * have typical_p of the probability. The logarithm of the total is in both and falls out. */
static void step_typical(struct sampler *s)
{
    float max;
    double sum, mean = 0, have = 0;
    size_t i = 0;

    if (s->opt.typical_p >= 1)
        return;
    max = cand_at(s, 0)->logit;
    sum = total_weight(s, max);
    for (i = 0; i < s->n; i++) {
        double w = weight(s->c[i].logit, max);

        if (w > 0)
            mean += w / sum * ((double)max - (double)s->c[i].logit);
    }
    for (i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        c->key = -(float)fabs((double)max - (double)c->logit - mean);
    }
    s->n_order = 0;
    for (i = 0; i < s->n && have < (double)s->opt.typical_p * sum; i++)
        have += weight(cand_at(s, i)->logit, max);
    cands_cut(s, i);
    for (i = 0; i < s->n; i++)
        s->c[i].key = s->c[i].logit;
    s->n_order = 0;
}

static void step_top_p(struct sampler *s)
{
    float max;
    double want, have = 0;
    size_t i = 0;

    if (s->opt.top_p >= 1)
        return;
    max = cand_at(s, 0)->logit;
    want = (double)s->opt.top_p * total_weight(s, max);
    do
        have += weight(cand_at(s, i++)->logit, max);
    while (i < s->n && have < want);
    cands_cut(s, i);
}

/* Keeps what has at least min_p times the probability of the best, without changing the
 * order. */
static void step_min_p(struct sampler *s)
{
    float max;
    size_t n = 0, n_order = 0;

    if (s->opt.min_p <= 0)
        return;
    max = cand_at(s, 0)->logit;
    for (size_t i = 0; i < s->n; i++) {
        if (weight(s->c[i].logit, max) < (double)s->opt.min_p)
            continue;
        n_order += i < s->n_order;
        s->c[n++] = s->c[i];
    }
    s->n = n;
    s->n_order = n_order;
}

/* Distances to the best are what is scaled: the smallest temperature leaves the best at 0 and
 * sends the others to minus infinity, never to NaN. */
static void step_temperature(struct sampler *s)
{
    float max = cand_at(s, 0)->logit;

    for (size_t i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        c->logit = (c->logit - max) / s->opt.temperature;
    }
}

/* Walks from the best on until the drawn share of the total is reached. */
static void step_draw(struct sampler *s)
{
    double target = rng_unit(&s->rng) * total_weight(s, 0), have = 0;
    size_t i = 0;

    for (;;) {
        have += weight(cand_at(s, i)->logit, 0);
        if (have > target || i + 1 == s->n)
            break;
        i++;
    }
    /* Rounding may leave the walk at the end, among candidates without any weight. */
    while (i > 0 && weight(s->c[i].logit, 0) <= 0)
        i--;
    swap(&s->c[0], &s->c[i]);
    cands_cut(s, 1);
}

static const struct {
    const char *name;
    void (*fn)(struct sampler *s);
} steps[] = {
    {"penalties", step_penalties}, {"top_k", step_top_k}, {"typical_p", step_typical},
    {"top_p", step_top_p},         {"min_p", step_min_p}, {"temperature", step_temperature},
    {"draw", step_draw},
};

#define N_STEP (sizeof(steps) / sizeof(steps[0]))

const char *sampler_step_name(int i)
{
    return i >= 0 && (size_t)i < N_STEP ? steps[i].name : NULL;
}

/* -- the sampler --------------------------------------------------------------------- */

void sampler_defaults(struct sampler_options *o)
{
    *o = (struct sampler_options){
        .temperature = 0.8F,
        .top_k = 40,
        .top_p = 0.9F,
        .typical_p = 1,
        .repeat_penalty = 1.0F,
        .repeat_last_n = 64,
        .seed = rng_entropy(),
    };
}

static int options_check(const struct sampler_options *o, struct err *e)
{
    const char *bad = NULL;

    if (!(isfinite(o->temperature) && o->temperature >= 0))
        bad = "temperature must be 0 or more";
    else if (o->top_k < 0)
        bad = "top_k must be 0 or more";
    else if (!(o->top_p > 0 && o->top_p <= 1))
        bad = "top_p must be above 0 and at most 1";
    else if (!(o->min_p >= 0 && o->min_p <= 1))
        bad = "min_p must be in 0..1";
    else if (!(o->typical_p > 0 && o->typical_p <= 1))
        bad = "typical_p must be above 0 and at most 1";
    else if (!(isfinite(o->repeat_penalty) && o->repeat_penalty > 0))
        bad = "repeat_penalty must be above 0";
    else if (!(o->presence_penalty >= -2 && o->presence_penalty <= 2))
        bad = "presence_penalty must be in -2..2";
    else if (!(o->frequency_penalty >= -2 && o->frequency_penalty <= 2))
        bad = "frequency_penalty must be in -2..2";
    else if (o->repeat_last_n < -1)
        bad = "repeat_last_n must be -1 or more";
    return bad ? err_set(e, E_INVALID, "%s", bad) : 0;
}

static int penalties_on(const struct sampler_options *o)
{
    return o->repeat_last_n != 0 &&
           (o->repeat_penalty != 1 || o->presence_penalty != 0 || o->frequency_penalty != 0);
}

int sampler_new(struct sampler **out, const struct sampler_options *o, int n_vocab, int n_ctx,
                struct err *e)
{
    struct sampler *s = NULL;
    int rc = options_check(o, e);

    if (rc < 0)
        return rc;
    if (n_vocab <= 0 || n_ctx <= 0)
        return err_set(e, E_INVALID, "a sampler for %d tokens and a context of %d", n_vocab,
                       n_ctx);
    s = mem_calloc(1, sizeof(*s));
    if (!s)
        goto nomem;
    s->opt = *o;
    s->n_vocab = n_vocab;
    rng_seed(&s->rng, o->seed);
    if (penalties_on(o)) {
        int last = o->repeat_last_n;

        s->ring_cap = (size_t)(last < 0 || last > n_ctx ? n_ctx : last);
        s->ring = mem_calloc(s->ring_cap, sizeof(*s->ring));
        s->count = mem_calloc((size_t)n_vocab, sizeof(*s->count));
        if (!s->ring || !s->count)
            goto nomem;
    }
    if (o->temperature > 0) {
        s->c = mem_calloc((size_t)n_vocab, sizeof(*s->c));
        if (!s->c)
            goto nomem;
    }
    *out = s;
    return 0;
nomem:
    sampler_free(s);
    return err_set(e, E_NOMEM, "no memory for a sampler of %d tokens", n_vocab);
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    mem_free(s->ring);
    mem_free(s->count);
    mem_free(s->c);
    mem_free(s);
}

void sampler_accept(struct sampler *s, int id)
{
    assert(id >= 0 && id < s->n_vocab);
    if (!s->ring)
        return;
    if (s->ring_n == s->ring_cap)
        s->count[s->ring[s->ring_at]]--;
    else
        s->ring_n++;
    s->ring[s->ring_at] = id;
    s->ring_at = (s->ring_at + 1) % s->ring_cap;
    s->count[id]++;
}

void sampler_reset(struct sampler *s, uint64_t seed)
{
    rng_seed(&s->rng, seed);
    if (s->count)
        memset(s->count, 0, (size_t)s->n_vocab * sizeof(*s->count));
    s->ring_n = s->ring_at = 0;
}

static int is_allowed(const uint32_t *allowed, int id)
{
    return !allowed || (allowed[id / 32] >> (id % 32) & 1);
}

static int bad_logit(const struct sampler *s, const float *logits, const uint32_t *allowed,
                     struct err *e)
{
    for (int i = 0; i < s->n_vocab; i++) {
        if (isnan(logits[i]) || logits[i] > FLT_MAX)
            return err_set(e, E_NUMERIC, "the logit of token %d is %s", i,
                           isnan(logits[i]) ? "NaN" : "infinite");
    }
    return err_set(e, E_NUMERIC, "no %stoken has a finite logit", allowed ? "allowed " : "");
}

/* Greedy: the best after penalties, in one pass. */
static int pick_best(const struct sampler *s, const float *logits, const uint32_t *allowed,
                     struct err *e)
{
    int best = -1;
    float max = -INFINITY;

    for (int i = 0; i < s->n_vocab; i++) {
        float x = logits[i];

        if (!(x <= FLT_MAX))
            return bad_logit(s, logits, allowed, e);
        if (s->count && s->count[i])
            x = penalise(s, x, s->count[i]);
        if (x > max && is_allowed(allowed, i)) {
            max = x;
            best = i;
        }
    }
    return best >= 0 ? best : bad_logit(s, logits, allowed, e);
}

int sampler_pick(struct sampler *s, const float *logits, const uint32_t *allowed, struct err *e)
{
    size_t n = 0;

    if (s->opt.temperature <= 0)
        return pick_best(s, logits, allowed, e);
    for (int i = 0; i < s->n_vocab; i++) {
        float x = logits[i];

        if (!(x <= FLT_MAX))
            return bad_logit(s, logits, allowed, e);
        s->c[n] = (struct cand){x, x, i};
        n += x >= -FLT_MAX && is_allowed(allowed, i);
    }
    if (n == 0)
        return bad_logit(s, logits, allowed, e);
    s->n = n;
    s->n_order = 0;
    for (size_t i = 0; i < N_STEP; i++)
        steps[i].fn(s);
    return s->c[0].id;
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
        sum += weight(logits[i], max);
    log_sum = sum > 0 ? (double)max + log(sum) : 0; /* no sum: nothing is possible at all */
    for (int i = 0; i < have; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_sum);
    if (of_chosen)
        *of_chosen = (float)((double)logits[chosen] - log_sum);
}

/* sampler_text.c - the steps that edit logits: by what the caller says of an id, and by what
 * the text so far is.
 */
#include "infer/sampler_priv.h"

#include "base/mem.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

/* Extreme edits must not turn a finite logit into an infinite one. */
static float bounded(double x)
{
    return x > (double)FLT_MAX ? FLT_MAX : x < -(double)FLT_MAX ? -FLT_MAX : (float)x;
}

/* -- bias ------------------------------------------------------------------------------ */

void sampler_step_bias(struct sampler *s)
{
    size_t n = 0;

    if (!s->opt.n_bias)
        return;
    for (size_t i = 0; i < s->opt.n_bias; i++) {
        struct cand *c = sampler_find(s, s->bias[i].id);

        if (c && isinf(s->bias[i].bias))
            c->logit = -INFINITY;
        else if (c)
            c->logit = isinf(c->logit) ? c->logit
                                       : bounded((double)c->logit + (double)s->bias[i].bias);
    }
    for (size_t i = 0; i < s->n; i++) {
        struct cand c = s->c[i];

        c.key = c.logit;
        s->c[n] = c;
        n += !isinf(c.logit);
    }
    sampler_cut(s, n);
}

/* -- penalties ------------------------------------------------------------------------- */

static float finite_of(float x)
{
    return x > FLT_MAX ? FLT_MAX : x < -FLT_MAX ? -FLT_MAX : x;
}

static float penalise(const struct sampler *s, float x, uint32_t count)
{
    const struct sampler_options *o = &s->opt;
    float y = finite_of(x > 0 ? x / o->repeat_penalty : x * o->repeat_penalty);

    return finite_of(y - ((float)count * o->frequency_penalty + o->presence_penalty));
}

void sampler_step_penalties(struct sampler *s)
{
    if (!s->count)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct cand *c = &s->c[i];

        if (s->count[c->id])
            c->key = c->logit = penalise(s, c->logit, s->count[c->id]);
    }
}

/* -- DRY: do not say again what was said ------------------------------------------------ */

/* The token i before the last one. */
static int32_t back(const struct sampler_ring *r, size_t i)
{
    return r->id[(r->at + r->cap - 1 - i) % r->cap];
}

static int is_breaker(const struct sampler *s, int32_t id)
{
    return s->breaker && (s->breaker[id / 32] >> (id % 32) & 1);
}

/* For each i > 0: how many tokens that end i before the last are the same as those that end
 * with the last. Each look ahead starts where the farthest one before it ended (the Z
 * algorithm), so all of it takes as many steps as there are tokens. */
static void match_all(struct sampler *s)
{
    const struct sampler_ring *r = &s->said;
    size_t from = 0, to = 0; /* the match that reaches farthest: of [from, to) */

    for (size_t i = 1; i < r->n; i++) {
        size_t k = 0;

        if (i < to)
            k = s->match[i - from] < to - i ? s->match[i - from] : to - i;
        while (i + k < r->n && back(r, k) == back(r, i + k))
            k++;
        s->match[i] = (uint32_t)k;
        if (i + k > to) {
            from = i;
            to = i + k;
        }
    }
}

/* What a repetition of n tokens takes from the logit of the one that goes on with it. */
static double dry_penalty(const struct sampler_options *o, size_t n)
{
    double p = (double)o->dry_multiplier;

    for (size_t i = (size_t)o->dry_allowed_length; i < n && p < (double)FLT_MAX; i++) {
        if (o->dry_base <= 1)
            break;
        p *= (double)o->dry_base;
    }
    return p;
}

void sampler_step_dry(struct sampler *s)
{
    const struct sampler_ring *r = &s->said;
    size_t allowed = (size_t)s->opt.dry_allowed_length, most = 0;

    if (!r->id || r->n <= allowed)
        return;
    while (most < r->n && !is_breaker(s, back(r, most)))
        most++;
    if (most == 0 || most < allowed)
        return;
    match_all(s);
    for (size_t i = 1; i < r->n; i++) {
        uint32_t n = s->match[i] < most ? s->match[i] : (uint32_t)most, *of;

        of = &s->longest[back(r, i - 1)];
        if (n > 0 && n >= allowed && n > *of)
            *of = n;
    }
    for (size_t i = 1; i < r->n; i++) {
        int32_t id = back(r, i - 1);
        struct cand *c = s->longest[id] ? sampler_find(s, id) : NULL;

        if (c)
            c->key = c->logit =
                bounded((double)c->logit - dry_penalty(&s->opt, s->longest[id]));
        s->longest[id] = 0;
    }
}

/* -- the text -------------------------------------------------------------------------- */

int sampler_penalises(const struct sampler_options *o)
{
    return o->repeat_last_n != 0 &&
           (o->repeat_penalty != 1 || o->presence_penalty != 0 || o->frequency_penalty != 0);
}

int sampler_dries(const struct sampler_options *o)
{
    return o->dry_multiplier > 0 && o->dry_last_n != 0;
}

static int ring_init(struct sampler_ring *r, int last, int n_ctx)
{
    r->cap = (size_t)(last < 0 || last > n_ctx ? n_ctx : last);
    r->id = mem_calloc(r->cap, sizeof(*r->id));
    return r->id ? 0 : E_NOMEM;
}

/* The id that leaves for it, or -1. */
static int32_t ring_put(struct sampler_ring *r, int32_t id)
{
    int32_t left = -1;

    if (r->n == r->cap)
        left = r->id[r->at];
    else
        r->n++;
    r->id[r->at] = id;
    r->at = (r->at + 1) % r->cap;
    return left;
}

static int dry_init(struct sampler *s, int n_ctx)
{
    size_t n_word = ((size_t)s->n_vocab + 31) / 32;

    if (ring_init(&s->said, s->opt.dry_last_n, n_ctx) < 0)
        return E_NOMEM;
    s->match = mem_calloc(s->said.cap, sizeof(*s->match));
    s->longest = mem_calloc((size_t)s->n_vocab, sizeof(*s->longest));
    if (!s->match || !s->longest)
        return E_NOMEM;
    if (!s->opt.dry_breakers)
        return 0;
    s->breaker = mem_calloc(n_word, sizeof(*s->breaker));
    if (!s->breaker)
        return E_NOMEM;
    memcpy(s->breaker, s->opt.dry_breakers, n_word * sizeof(*s->breaker));
    return 0;
}

int sampler_text_init(struct sampler *s, int n_ctx)
{
    if (sampler_penalises(&s->opt)) {
        s->count = mem_calloc((size_t)s->n_vocab, sizeof(*s->count));
        if (!s->count || ring_init(&s->seen, s->opt.repeat_last_n, n_ctx) < 0)
            return E_NOMEM;
    }
    return sampler_dries(&s->opt) ? dry_init(s, n_ctx) : 0;
}

void sampler_text_done(struct sampler *s)
{
    mem_free(s->seen.id);
    mem_free(s->count);
    mem_free(s->said.id);
    mem_free(s->match);
    mem_free(s->longest);
    mem_free(s->breaker);
}

void sampler_text_reset(struct sampler *s)
{
    if (s->count)
        memset(s->count, 0, (size_t)s->n_vocab * sizeof(*s->count));
    s->seen.n = s->seen.at = 0;
    s->said.n = s->said.at = 0;
}

void sampler_accept(struct sampler *s, int id)
{
    assert(id >= 0 && id < s->n_vocab);
    if (s->count) {
        int32_t left = ring_put(&s->seen, id);

        s->count[id]++;
        if (left >= 0)
            s->count[left]--;
    }
    if (s->said.id)
        (void)ring_put(&s->said, id);
}

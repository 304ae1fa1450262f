#include "infer/sampler_priv.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    void (*fn)(struct sampler *s);
    int edits; /* 1: it edits logits, also when greedy; these come first */
} steps[] = {
    {"logit_bias", sampler_step_bias, 1}, {"penalties", sampler_step_penalties, 1},
    {"dry", sampler_step_dry, 1},         {"top_n_sigma", sampler_step_top_n_sigma, 0},
    {"top_k", sampler_step_top_k, 0},     {"typical_p", sampler_step_typical, 0},
    {"top_p", sampler_step_top_p, 0},     {"min_p", sampler_step_min_p, 0},
    {"xtc", sampler_step_xtc, 0},         {"temperature", sampler_step_temperature, 0},
    {"draw", sampler_step_draw, 0},
};

#define N_STEP (sizeof(steps) / sizeof(steps[0]))

const char *sampler_step_name(int i)
{
    return i >= 0 && (size_t)i < N_STEP ? steps[i].name : NULL;
}

/* -- options --------------------------------------------------------------------------- */

void sampler_defaults(struct sampler_options *o)
{
    *o = (struct sampler_options){
        .temperature = 0.8F,
        .top_k = 40,
        .top_p = 0.9F,
        .typical_p = 1,
        .repeat_penalty = 1.0F,
        .repeat_last_n = 64,
        .xtc_threshold = 0.1F,
        .dry_base = 1.75F,
        .dry_allowed_length = 2,
        .dry_last_n = -1,
        .dynatemp_exponent = 1,
        .seed = rng_entropy(),
    };
}

#define AT(f) #f, offsetof(struct sampler_options, f)

static const struct {
    const char *name;
    size_t at;
    float min, max;
    int above; /* 1: min itself is too little */
    const char *words;
} floats[] = {
    {AT(temperature), 0, FLT_MAX, 0, "0 or more"},
    {AT(top_p), 0, 1, 1, "above 0 and at most 1"},
    {AT(min_p), 0, 1, 0, "in 0..1"},
    {AT(typical_p), 0, 1, 1, "above 0 and at most 1"},
    {AT(repeat_penalty), 0, FLT_MAX, 1, "above 0"},
    {AT(presence_penalty), -FLT_MAX, FLT_MAX, 0, "a number"},
    {AT(frequency_penalty), -FLT_MAX, FLT_MAX, 0, "a number"},
    {AT(top_n_sigma), -FLT_MAX, FLT_MAX, 0, "a number"},
    {AT(xtc_probability), 0, 1, 0, "in 0..1"},
    {AT(xtc_threshold), 0, 1, 0, "in 0..1"},
    {AT(dry_multiplier), 0, FLT_MAX, 0, "0 or more"},
    {AT(dry_base), 0, FLT_MAX, 0, "0 or more"},
    {AT(dynatemp_range), 0, FLT_MAX, 0, "0 or more"},
    {AT(dynatemp_exponent), 0, FLT_MAX, 0, "0 or more"},
};

static const struct {
    const char *name;
    size_t at;
    int min;
} ints[] = {
    {AT(top_k), 0},       {AT(repeat_last_n), -1},     {AT(min_keep), 0},
    {AT(dry_last_n), -1}, {AT(dry_allowed_length), 0},
};

#undef AT

static int options_check(const struct sampler_options *o, struct err *e)
{
    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        float x;

        memcpy(&x, (const char *)o + floats[i].at, sizeof(x));
        if (!(x >= floats[i].min && x <= floats[i].max) ||
            (floats[i].above && x <= floats[i].min))
            return err_set(e, E_INVALID, "%s must be %s", floats[i].name, floats[i].words);
    }
    for (size_t i = 0; i < sizeof(ints) / sizeof(ints[0]); i++) {
        int x;

        memcpy(&x, (const char *)o + ints[i].at, sizeof(x));
        if (x < ints[i].min)
            return err_set(e, E_INVALID, "%s must be %d or more", ints[i].name, ints[i].min);
    }
    return 0;
}

static int bias_check(const struct sampler_options *o, int n_vocab, struct err *e)
{
    for (size_t i = 0; i < o->n_bias; i++) {
        const struct sampler_bias *b = &o->bias[i];

        if (b->id < 0 || b->id >= n_vocab)
            return err_set(e, E_INVALID, "logit_bias of token id %d: expected 0 to %d",
                           (int)b->id, n_vocab - 1);
        if (!(b->bias <= FLT_MAX))
            return err_set(e, E_INVALID,
                           "logit_bias of token %d must be a number, or minus infinity, which "
                           "rules it out",
                           (int)b->id);
    }
    return 0;
}

/* -- the sampler ----------------------------------------------------------------------- */

static int copy_bias(struct sampler *s)
{
    size_t n = s->opt.n_bias;

    if (!n)
        return 0;
    s->bias = mem_calloc(n, sizeof(*s->bias));
    if (!s->bias)
        return E_NOMEM;
    memcpy(s->bias, s->opt.bias, n * sizeof(*s->bias));
    return 0;
}

int sampler_new(struct sampler **out, const struct sampler_options *o, int n_vocab, int n_ctx,
                struct err *e)
{
    struct sampler *s = NULL;
    int rc = options_check(o, e);

    if (rc == 0)
        rc = bias_check(o, n_vocab, e);
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
    s->edits = o->n_bias > 0 || sampler_penalises(o) || sampler_dries(o);
    rng_seed(&s->rng, o->seed);
    if (copy_bias(s) < 0 || sampler_text_init(s, n_ctx) < 0)
        goto nomem;
    if (o->temperature > 0 || s->edits) {
        s->c = mem_calloc((size_t)n_vocab, sizeof(*s->c));
        if (!s->c)
            goto nomem;
    }
    s->opt.bias = s->bias;
    s->opt.dry_breakers = s->breaker;
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
    sampler_text_done(s);
    mem_free(s->bias);
    mem_free(s->c);
    mem_free(s);
}

void sampler_reset(struct sampler *s, uint64_t seed)
{
    rng_seed(&s->rng, seed);
    sampler_text_reset(s);
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
    /* Who asked for the biases is to blame for what they leave. */
    for (int i = 0; i < s->n_vocab && s->opt.n_bias; i++) {
        if (is_allowed(allowed, i) && logits[i] >= -FLT_MAX)
            return err_set(e, E_INVALID, "logit_bias: rules out every token that %s",
                           allowed ? "the answer's form allows here" : "there is");
    }
    return err_set(e, E_NUMERIC, "no %stoken has a finite logit", allowed ? "allowed " : "");
}

enum { BEST_BLOCK = 128 }; /* a multiple of SAMPLER_LANES */

/* Greedy, with nothing that edits: the best, in one pass. Blocks that hold no better one are
 * passed over. */
static int pick_best(const struct sampler *s, const float *logits, const uint32_t *allowed,
                     struct err *e)
{
    int best = -1, bad = 0, i = 0;
    float max = -INFINITY;

    while (i < s->n_vocab) {
        int end = s->n_vocab - i < BEST_BLOCK ? s->n_vocab : i + BEST_BLOCK;

        if (end - i == BEST_BLOCK && !(sampler_max(logits + i, BEST_BLOCK, &bad) > max))
            i = end;
        for (; i < end; i++) {
            float x = logits[i];

            bad |= !(x <= FLT_MAX);
            if (x > max && is_allowed(allowed, i)) {
                max = x;
                best = i;
            }
        }
    }
    return best >= 0 && !bad ? best : bad_logit(s, logits, allowed, e);
}

int sampler_pick(struct sampler *s, const float *logits, const uint32_t *allowed, struct err *e)
{
    int greedy = s->opt.temperature <= 0;
    size_t n = 0;

    if (!s->c)
        return pick_best(s, logits, allowed, e);
    for (int i = 0; i < s->n_vocab; i++) {
        float x = logits[i];

        if (!(x <= FLT_MAX))
            return bad_logit(s, logits, allowed, e);
        s->c[n] = (struct cand){x, x, i};
        n += x >= -FLT_MAX && is_allowed(allowed, i);
    }
    s->n = n;
    s->n_order = 0;
    for (size_t i = 0; i < N_STEP; i++) {
        if (s->n == 0)
            return bad_logit(s, logits, allowed, e);
        if (steps[i].edits || !greedy)
            steps[i].fn(s);
    }
    return sampler_at(s, 0)->id;
}

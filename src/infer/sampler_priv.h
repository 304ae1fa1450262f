/* sampler_priv.h - what the files of the sampler share: its candidates, and the steps.
 *
 * The steps share one array of candidates. First come the steps that edit logits, while the
 * array is in order of id (sampler_find). Those that follow leave candidates out. Most of them
 * need only the best few in order, so the array is sorted from the front and only as far as
 * somebody looks (sampler_order): with 150 000 tokens and a usual top-k or top-p that is one
 * pass over the array. Order is total (higher key first, then lower id), so what is picked
 * cannot depend on how the sorting is done.
 *
 * Threads  as a sampler
 * Uses     base/
 */
#ifndef HEARTH_INFER_SAMPLER_PRIV_H
#define HEARTH_INFER_SAMPLER_PRIV_H

#include "infer/sampler.h"

#include "base/rng.h"

#include <stddef.h>

struct cand {
    float key;   /* what the order goes by: the logit, except inside the typical step */
    float logit; /* after the steps that edit */
    int32_t id;
};

/* The last tokens of a text. */
struct sampler_ring {
    int32_t *id; /* [cap]; NULL: not kept */
    size_t cap, n, at;
};

struct sampler {
    struct sampler_options opt; /* bias and dry_breakers point to the sampler's own copies */
    struct rng rng;
    int n_vocab;
    int edits; /* 1: a step that edits logits is on */

    struct sampler_bias *bias; /* [opt.n_bias] */

    /* For the penalties: the text, and how often each id is in it. */
    struct sampler_ring seen;
    uint32_t *count; /* [n_vocab] */

    /* For DRY: the text; matches that end at each of its tokens; and how long the repetition
     * is that an id would go on with, 0 between picks. */
    struct sampler_ring said;
    uint32_t *match;   /* [said.cap] */
    uint32_t *longest; /* [n_vocab] */
    uint32_t *breaker; /* bits */

    struct cand *c; /* [n_vocab]; NULL: greedy, and nothing edits */
    size_t n;       /* candidates left */
    size_t n_order; /* c[0..n_order) are the best ones, in order */
};

/* -- candidates (sampler_cand.c) ------------------------------------------------------- */

/* Sorts at least the first `want` candidates (or all there are). */
void sampler_order(struct sampler *s, size_t want);
/* The i-th best. */
const struct cand *sampler_at(struct sampler *s, size_t i);
/* Keeps the first n of the array. */
void sampler_cut(struct sampler *s, size_t n);
/* The candidate of this id, or NULL; while the array is in order of id. */
struct cand *sampler_find(struct sampler *s, int32_t id);

/* -- arithmetic (sampler_math.c) ------------------------------------------------------- */

/* The largest of n logits, n a multiple of SAMPLER_LANES, several at once: there are a hundred
 * thousand to a token. *bad becomes 1 where one is NaN or plus infinity. */
enum { SAMPLER_LANES = 16 };
float sampler_max(const float *x, size_t n, int *bad);

/* e^x for x <= 0, relative error below 1e-15. Our own, because the C library's differs in
 * the last bit between machines, and a seed shall give the same text on all of them. */
double sampler_exp(double x);
/* The natural logarithm of a normal x > 0; our own for the same reason. */
double sampler_log(double x);
double sampler_weight(float logit, float max);            /* e^(logit - max) */
double sampler_total(const struct sampler *s, float max); /* of all candidates */

/* -- the text (sampler_text.c) --------------------------------------------------------- */

MUST_CHECK int sampler_text_init(struct sampler *s, int n_ctx); /* E_NOMEM */
void sampler_text_done(struct sampler *s);
void sampler_text_reset(struct sampler *s);
/* Which of them are on. */
int sampler_penalises(const struct sampler_options *o);
int sampler_dries(const struct sampler_options *o);

/* -- steps ----------------------------------------------------------------------------- */

/* These edit logits: sampler_text.c. */
void sampler_step_bias(struct sampler *s);
void sampler_step_penalties(struct sampler *s);
void sampler_step_dry(struct sampler *s);
/* These leave candidates out: sampler_step.c. */
void sampler_step_top_n_sigma(struct sampler *s);
void sampler_step_top_k(struct sampler *s);
void sampler_step_typical(struct sampler *s);
void sampler_step_top_p(struct sampler *s);
void sampler_step_min_p(struct sampler *s);
void sampler_step_xtc(struct sampler *s);
void sampler_step_temperature(struct sampler *s);
void sampler_step_draw(struct sampler *s);

#endif

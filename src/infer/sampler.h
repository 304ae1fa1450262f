/* sampler.h - from logits to a token: a chain of steps, each a row of a table.
 *
 * Order: first what edits logits: bias, penalties (repetition, frequency, presence), DRY. Then
 * - unless temperature is 0, which means greedy - top-n-sigma, top-k, typical, top-p, min-p,
 * XTC, temperature, and a draw from what is left. Options, their defaults and what they mean
 * are those of llama-server.
 * Logits are float32, probabilities double, computed without the C library's functions: the
 * same seed and logits give the same token on every machine. Equal logits order by id, the
 * lower first.
 *
 * Units    penalties act on logits; probabilities in [0, 1]; logprobs are natural logarithms
 * Threads  a sampler belongs to one sequence
 * Uses     base/
 */
#ifndef HEARTH_INFER_SAMPLER_H
#define HEARTH_INFER_SAMPLER_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct sampler;

/* Added to the logit of a token before every other step; -INFINITY rules it out. */
struct sampler_bias {
    int32_t id;
    float bias;
};

struct sampler_options {
    float temperature;       /* 0: greedy; default 0.8 */
    int top_k;               /* 0: off; default 40 */
    float top_p;             /* 1: off; default 0.9 */
    float min_p;             /* 0: off; default 0 */
    float typical_p;         /* 1: off; default 1 */
    float repeat_penalty;    /* 1: off; default 1 */
    float presence_penalty;  /* 0: off */
    float frequency_penalty; /* 0: off */
    int repeat_last_n;       /* tokens that penalties look back at; 0: off; -1: all; 64 */
    uint64_t seed;
    /* What follows is off when it is 0. */
    const struct sampler_bias *bias; /* [n_bias]; several for one id add up */
    size_t n_bias;
    /* Keeps logits that are at most so many standard deviations below the best; below 0: off.
     */
    float top_n_sigma;
    /* With this probability all tokens but the least likely one of those that have the
     * threshold are left out; default 0.1, above 0.5: off. */
    float xtc_probability, xtc_threshold;
    /* DRY: a token that would go on with a repetition of n >= allowed_length tokens loses
     * multiplier * base ^ (n - allowed_length); defaults 0 (off), 1.75, 2. A base of 1 or less
     * counts as 1. */
    float dry_multiplier, dry_base;
    int dry_allowed_length;
    int dry_last_n; /* tokens that it looks back at; 0: off; -1: all, the default */
    /* n_vocab bits, 32 to a word, of tokens that no repetition goes over; NULL: none. */
    const uint32_t *dry_breakers;
    /* Above 0: the temperature is between temperature - range and + range, by the candidates'
     * entropy (0..1) to the power of the exponent; default 1. */
    float dynatemp_range, dynatemp_exponent;
    int min_keep; /* typical, top-p, min-p and XTC leave at least so many */
};

/* Ollama's defaults. */
void sampler_defaults(struct sampler_options *o);

/* Copies what the options point to. Fails: E_INVALID with the field's name and range; E_NOMEM.
 * n_ctx bounds the look-back. */
MUST_CHECK int sampler_new(struct sampler **out, const struct sampler_options *o, int n_vocab,
                           int n_ctx, struct err *e);
void sampler_free(struct sampler *s); /* NULL is fine */

/* Tells the sampler a token of the text so far (prompt and answer), for what looks back. */
void sampler_accept(struct sampler *s, int id);
void sampler_reset(struct sampler *s, uint64_t seed); /* forgets the text, reseeds */

/* Picks from logits[n_vocab], which are left as they are, among the tokens whose bit (i % 32 of
 * word i / 32) is set in allowed; NULL: among all. Returns the id (>= 0), or E_NUMERIC when no
 * logit of these is finite, or one of all is NaN or positive infinity; minus infinity rules a
 * token out; E_INVALID when it is the biases that leave none. Does not accept. Allocates
 * nothing. */
MUST_CHECK int sampler_pick(struct sampler *s, const float *logits, const uint32_t *allowed,
                            struct err *e);

struct sampler_logprob {
    int id;
    float logprob;
};

/* The n most probable tokens of softmax(logits), best first (n <= n_vocab), and the logprob
 * of `chosen` in *of_chosen (may be NULL). Before any sampler step, as APIs report it. */
void sampler_logprobs(const float *logits, int n_vocab, int chosen, float *of_chosen,
                      struct sampler_logprob *top, int n);

/* Names of the steps in order, for listing; NULL past the end. */
const char *sampler_step_name(int i);

#endif

/* gen.h - from logits to text, so that it can stop after any step and go on later.
 *
 * A gen has all that a text has beside its tokens: sampler, guide, stop strings, characters
 * that are not whole yet. Who computes feeds the prompt, begins, and calls gen_go each time
 * that a step gave the sequence logits; then the tokens that were taken wait for the next step.
 * A sequence may be parked in between: what a gen remembers does not depend on pages.
 *
 * Guesses that stand behind the last token when a step is computed are used as long as what is
 * sampled from the row before each is the guess: tokens and random numbers are those that come
 * without guesses. What did not come true is cut off again.
 *
 * Threads  gen_new, gen_free: any; else the engine's
 * Uses     infer/engine.h
 */
#ifndef HEARTH_INFER_GEN_H
#define HEARTH_INFER_GEN_H

#include "infer/engine.h"

struct gen;

struct gen_options {
    struct sampler_options sampling;
    const char *const *stop;
    int n_stop;
    int n_predict;    /* 0 or less: until n_ctx */
    int prompt_only;  /* 1: nothing is written; it ends when the prompt is computed */
    uint64_t most_ns; /* so long after its first token it ends, once it has the end of a line;
                         0: never */
    int n_ctx;        /* most tokens of the text; 0: the engine's */
    int n_logprobs;   /* -1: none; 0: the chosen token's; n: and the n best ones' */
    int show_control; /* control tokens appear in the text */
    int ignore_eog;
    const struct hearth_guide *guide; /* NULL: none; copied */
    const uint32_t *hidden;           /* as in hearth.h; borrowed */
};

/* Gets each token (hearth_piece); nonzero: stop. */
typedef int gen_piece(void *ctx, const struct hearth_piece *p);

/* Fails: E_INVALID an option, by name; E_UNSUPPORTED the model writes no text; E_NOMEM. */
MUST_CHECK int gen_new(struct gen **out, struct hearth_engine *en, const struct gen_options *o,
                       gen_piece *piece, void *ctx, struct err *e);
void gen_free(struct gen *g); /* NULL is fine */

/* s, whose text is the prompt and stays s's owner's, is what it goes on with. Takes what the
 * guide is certain of. */
MUST_CHECK int gen_begin(struct gen *g, struct hearth_seq *s, struct err *e);

/* The step gave s logits: takes tokens as far as there are rows. The last call leaves no open
 * guesses, and either gen_finish is >= 0 or tokens wait. Fails with what guides and pages fail
 * with. */
MUST_CHECK int gen_go(struct gen *g, struct err *e);

/* enum hearth_finish, or -1: it goes on. */
int gen_finish(const struct gen *g);
/* The text is complete: shows what was held back, with id -1. */
MUST_CHECK int gen_end(struct gen *g, struct err *e);

/* Of gen's are n_output, finish (after gen_end), n_drafted, n_accepted, n_forced; the rest is
 * for who computes. */
struct hearth_stats *gen_stats(struct gen *g);
int gen_stop_which(const struct gen *g); /* the stop string that came, or -1 */

/* How many guesses of at most n are of use now: not more than text may still come; 0 unless
 * exactly one token waits and the sequence can go back. */
int gen_may_guess(const struct gen *g, int n);
/* Puts guesses behind the one token that waits; they are part of the next step, which gives
 * gen_rows rows. */
MUST_CHECK int gen_guess(struct gen *g, const int32_t *ids, int n, struct err *e);
/* The same, n guesses by the model's own heads (draft.h). */
MUST_CHECK int gen_guess_ahead(struct gen *g, int n, struct err *e);
int gen_rows(const struct gen *g);
/* Takes back guesses; of no use where there are none. */
MUST_CHECK int gen_forget(struct gen *g, struct err *e);

#endif

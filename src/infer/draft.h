/* draft.h - guessing ahead with a model's own heads (self-speculation).
 *
 * Models with layers that predict the token after the next (model.h, arch->nextn) guess what
 * will be sampled. The guesses are computed together with the token that is certain, in one
 * step, which on most machines costs little more than one token; each row of logits is then
 * used as long as what was sampled is what had been guessed. So text and probabilities are the
 * same as without guesses, to the bit: a row's bits do not depend on the rows beside it.
 *
 * The head needs the final hidden state of the token before each: an engine that drafts keeps
 * those of its last step, and runs the head over all tokens that it computes, so that the
 * head's keys and values are there. Where a hidden state is not known (the first token; pages
 * taken over from another sequence) zeros stand for it: guesses are worse then, results not.
 *
 * Threads  the engine's thread
 * Uses     infer/engine.h
 * Source   Leviathan et al. 2023, arXiv:2211.17192; DeepSeek-AI 2024, arXiv:2412.19437
 */
#ifndef HEARTH_INFER_DRAFT_H
#define HEARTH_INFER_DRAFT_H

#include "infer/engine.h"

/* What an engine that guesses n_draft tokens needs beside. Fails: E_UNSUPPORTED the model has
 * no such layers, or they cannot be run; E_INVALID; E_NOMEM. */
MUST_CHECK int draft_new(struct hearth_engine *en, int n_draft, struct err *e);
void draft_free(struct hearth_engine *en);

/* Runs the head over the tokens of the step that was just computed. */
void draft_follow(struct hearth_engine *en);

/* The head alone: n tokens at places [at, at + n) of s, h being the hidden states of the tokens
 * before them. Logits go to en->logits, the head's own hidden states to en->hidden, a row each.
 * At most n_row tokens. Fails: E_BUSY; E_CANCELLED. */
MUST_CHECK int draft_head(struct hearth_seq *s, int at, const int32_t *ids, int n,
                          const float *h, struct err *e);

/* Guesses what comes after id, which is about to stand at the end of s: up to n tokens into
 * guess. Returns how many. */
MUST_CHECK int draft_guess(struct hearth_seq *s, int32_t id, int n, int32_t *guess,
                           struct err *e);

/* The sequence goes on from row `row` of its last step, whose later tokens were wrong. */
void draft_goes_on(struct hearth_seq *s, int row);

#endif

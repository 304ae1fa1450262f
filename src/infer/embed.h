/* embed.h - one vector from the hidden states of a text, as the model pools them.
 *
 * Threads  the engine's thread
 * Uses     infer/engine.h, model/head.h
 */
#ifndef HEARTH_INFER_EMBED_H
#define HEARTH_INFER_EMBED_H

#include "infer/engine.h"

struct embed {
    const struct model *m;
    int how;      /* enum pooling */
    size_t n;     /* tokens of the text */
    float *state; /* [n_embd] */
};

/* Fails: E_NOMEM. */
MUST_CHECK int embed_new(struct embed *p, const struct model *m, size_t n, struct err *e);
void embed_done(struct embed *p);
/* Forgets what came. */
void embed_reset(struct embed *p);
/* 1 when only the last token's hidden state counts. */
int embed_last_only(const struct model *m);
/* The hidden state of token i. Rows come in order; others than the last may be left out where
 * only that counts. */
void embed_row(struct embed *p, size_t i, const float *x);
/* All rows were there: the vector, head_width numbers. Changes the state. Fails: E_UNSUPPORTED
 * a reranker without a classifier; E_IO as model_intact; E_NOMEM. */
MUST_CHECK int embed_end(struct embed *p, float *out, struct err *e);

#endif

/* head.h - what stands behind a pooled hidden state: the products of some embeddings, the
 * classifier of rerankers.
 *
 * Threads  any
 * Uses     quant/, model/model.h
 */
#ifndef HEARTH_MODEL_HEAD_H
#define HEARTH_MODEL_HEAD_H

#include "model/model.h"

/* Numbers of a pooled result: of an embedding, also behind dense_2 and
 * dense_3, or p.n_label where pooling is POOL_RANK. */
int head_width(const struct model *m);

/* The scores of a text from its pooled state x[n_embd], which is changed: W (tanh(C x + c)) +
 * b, the inner part where the file has it. A decoder with several labels (Qwen3-Reranker: yes
 * and no) gives their probabilities. out: [p.n_label]. Fails: E_UNSUPPORTED the file has no
 * classifier; E_NOMEM. */
MUST_CHECK int head_rank(const struct model *m, float *x, float *out, struct err *e);

/* An embedding, head_width numbers, from the pooled state x[n_embd]: W3 W2 x, as far as the
 * file has them. Fails: E_NOMEM. */
MUST_CHECK int head_embed(const struct model *m, const float *x, float *out, struct err *e);

#endif

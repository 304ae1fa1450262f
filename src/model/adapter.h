/* adapter.h - LoRA adapters: small matrices beside a model's, whose product is added to it.
 *
 * y = W x + s B (A x), s = scale * alpha / r, r the width between A and B; where the file gives
 * alpha 0, s = scale. For the embedding the pair is turned: x = E[id] + s B A[id]. A matrix may
 * have several adapters; their parts are added in the order in which they were given.
 *
 * Threads  before the model computes
 * Uses     fmt/, model/model.h
 * Source   Hu et al. 2021, arXiv:2106.09685; GGUF keys adapter.*
 */
#ifndef HEARTH_MODEL_ADAPTER_H
#define HEARTH_MODEL_ADAPTER_H

#include "model/model.h"

enum { LORA_RANK_MAX = 1024 };

/* What an adapter adds to one matrix. */
struct lora {
    struct kern_weight a, b; /* [r][n_col], [n_row][r]; of the embedding [n_vocab][r], [n][r] */
    float scale;             /* s above */
    const struct lora *next;
};

/* Adds the adapter of a GGUF file to m, which keeps it. scale 0 adds nothing.
 * Fails, and m computes as before: as gguf_open; E_FORMAT the file is no adapter of this
 * architecture, or a pair does not fit its matrix; E_UNSUPPORTED a pair for a matrix that is
 * not computed by a plain product; E_NOMEM. */
MUST_CHECK int model_adapt(struct model *m, const char *path, float scale, struct err *e);

#endif

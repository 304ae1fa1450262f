/* step.h - one computation: some tokens of some sequences through the whole model.
 *
 * The engine fills a step and calls the architecture's forward. Everything that forward needs
 * in between comes from the step's scratch, which is planned: with `dry` set, forward runs
 * without computing and only counts how much scratch it takes (step_plan). So nothing is
 * allocated while tokens are made.
 *
 * Tokens are sorted into runs: consecutive positions of one sequence.
 *
 * Threads  one thread owns a step; inside, loops run on the pool
 * Uses     kern/, sys/
 */
#ifndef HEARTH_MODEL_STEP_H
#define HEARTH_MODEL_STEP_H

#include "model/model.h"
#include "sys/pool.h"

#include <stdatomic.h>

struct step_run {
    int first, n;               /* tokens of the step */
    int pos;                    /* place of the first in the sequence and its pages */
    int base;                   /* position of the sequence's first token, 0 mostly */
    unsigned char *const *page; /* pages of the sequence; they cover pos + n positions */
    unsigned char *state;       /* of the sequence, state_bytes; NULL: layers keep none */
};

struct step {
    const struct model *m;
    const struct kern *k;
    struct pool *pool;
    const struct cache_layout *cache;
    const atomic_int *cancel; /* nonzero: stop early, results are void; may be NULL */

    int n_ctx; /* most positions of a sequence */
    int n_tok;
    const int32_t *id;  /* [n_tok] */
    const int32_t *pos; /* [n_tok] positions */
    const struct step_run *run;
    int n_run;

    /* What is wanted: logits, or final hidden states, of the tokens out[0 .. n_out). */
    const int32_t *out;
    int n_out;
    float *logits; /* [n_out][n_vocab], or NULL */
    float *hidden; /* [n_out][n_embd], or NULL */

    /* Final hidden states of all tokens, [n_tok][n_embd], or NULL: what nextn reads later. */
    float *all_hidden;
    /* Not NULL: the step is of the layer that predicts the token after the next, and this is
     * the hidden state of the token before each, [n_tok][n_embd]. */
    const float *nextn_h;

    const float *angles[ROPE_N]; /* of the rotary positions, set by forward: blk_rope_angles */

    unsigned n_embed_rows; /* rows read from the file so far, see blk_embed */

    int dry; /* 1: plan only */
    unsigned char *scratch;
    size_t n_scratch, used, peak;
    unsigned char *worker; /* per-worker scratch, n_worker bytes each */
    size_t n_worker;
};

/* In a dry step: each worker needs so many bytes. */
static inline void step_worker_needs(struct step *s, size_t n_byte)
{
    if (s->dry && n_byte > s->n_worker)
        s->n_worker = n_byte;
}

/* Scratch of the step, 64-aligned, until step_release goes back before it. */
void *step_alloc(struct step *s, size_t n_byte);
float *step_floats(struct step *s, size_t n);

static inline size_t step_mark(const struct step *s)
{
    return s->used;
}

static inline void step_release(struct step *s, size_t mark)
{
    s->used = mark;
}

static inline int step_stopped(const struct step *s)
{
    return s->dry || (s->cancel && atomic_load_explicit(s->cancel, memory_order_relaxed));
}

/* Bytes of scratch for steps of up to n_tok tokens and n_out outputs of sequences of up to
 * n_ctx positions, and of each worker. */
void step_plan(const struct model *m, const struct cache_layout *c, int n_ctx, int n_tok,
               int n_out, size_t *n_scratch, size_t *n_worker);

/* Computes. The step's fields are set; scratch is as planned. */
void step_run(struct step *s);

#endif

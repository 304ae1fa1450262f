/* seq_rows.c - texts of which somebody wants the rows of all positions. */
#include "infer/engine.h"

int seq_each_row(struct hearth_seq *s, const int32_t *ids, size_t n, int want,
                 int (*row)(void *ctx, size_t i, const float *x), void *ctx, struct err *e)
{
    struct hearth_engine *en = s->en;
    size_t width = (size_t)(want == WANT_ALL_HIDDEN ? en->model->m->p.n_embd
                                                    : en->model->m->p.n_vocab),
           i = 0;
    const float *rows = want == WANT_ALL_HIDDEN ? en->hidden : en->logits;
    int rc;

    if (s->n_len > s->n_done)
        return err_set(e, E_INVALID, "the sequence has tokens waiting");
    if (!rows)
        return err_set(e, E_UNSUPPORTED,
                       "%s has no output matrix: it gives embeddings, no logits",
                       en->model->m->arch->name);
    rc = seq_feed(s, ids, n, 0, NULL, e);
    while (rc >= 0 && s->n_done < s->n_len) {
        rc = engine_compute(en, s, want, e);
        for (int k = 0; k < rc; k++, i++) {
            if (row(ctx, i, rows + (size_t)k * width))
                return err_set(e, E_CANCELLED, "stopped by the caller");
        }
    }
    return rc < 0 ? rc : 0;
}

int hearth_seq_logits_all(struct hearth_seq *s, const int32_t *ids, size_t n,
                          int (*rows)(void *ctx, size_t i, const float *logits), void *ctx,
                          struct hearth_error *error)
{
    return seq_each_row(s, ids, n, WANT_ALL_LOGITS, rows, ctx, engine_err(error));
}

int hearth_seq_hidden_all(struct hearth_seq *s, const int32_t *ids, size_t n,
                          int (*rows)(void *ctx, size_t i, const float *hidden), void *ctx,
                          struct hearth_error *error)
{
    return seq_each_row(s, ids, n, WANT_ALL_HIDDEN, rows, ctx, engine_err(error));
}

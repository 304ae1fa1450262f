#include "infer/draft.h"

#include "base/mem.h"
#include "sys/mmap.h"

#include <string.h>

int draft_new(struct hearth_engine *en, int n_draft, struct err *e)
{
    const struct model *m = en->model->m;
    size_t n = (size_t)m->p.n_embd;

    if (n_draft == 0)
        return 0;
    if (n_draft < 0 || n_draft > ENGINE_DRAFT_MAX)
        return err_set(e, E_INVALID, "n_draft: %d, expected 0 to %d", n_draft,
                       ENGINE_DRAFT_MAX);
    if (!m->guesses)
        return err_set(e, E_UNSUPPORTED,
                       "this model has no layers that predict ahead: nothing can be guessed "
                       "(--draft)");
    en->n_draft = n_draft;
    en->n_known = 2 * (size_t)en->n_batch * n * sizeof(float);
    en->known = vm_alloc(en->n_known);
    en->last_hidden = mem_calloc(2 * (size_t)en->n_seq_max * n, sizeof(float));
    if (!en->known || !en->last_hidden)
        return err_set(e, E_NOMEM, "no memory for the hidden states of a step");
    return 0;
}

void draft_free(struct hearth_engine *en)
{
    vm_free(en->known, en->n_known);
    mem_free(en->last_hidden);
}

/* Of the token before place `at`, or zeros. */
static void known_before(const struct hearth_seq *s, int at, float *h)
{
    size_t n = (size_t)s->en->model->m->p.n_embd * sizeof(*h);

    if (at > 0 && s->hidden_of == at - 1)
        memcpy(h, s->hidden, n);
    else
        memset(h, 0, n);
}

static void keep_last(struct hearth_seq *s, int place, const float *h)
{
    memcpy(s->hidden, h, (size_t)s->en->model->m->p.n_embd * sizeof(*h));
    s->hidden_of = place;
}

void draft_follow(struct hearth_engine *en)
{
    struct step *st = &en->step;
    size_t n = (size_t)en->model->m->p.n_embd;
    float *all = en->known, *before = all + (size_t)en->n_batch * n;
    int n_out = st->n_out;

    for (int i = 0; i < st->n_run; i++) {
        const struct step_run *r = &en->run[i];

        known_before(en->run_seq[i], r->pos, before + (size_t)r->first * n);
        memcpy(before + (size_t)(r->first + 1) * n, all + (size_t)r->first * n,
               (size_t)(r->n - 1) * n * sizeof(*all));
        keep_last(en->run_seq[i], r->pos + r->n - 1, all + (size_t)(r->first + r->n - 1) * n);
    }
    st->all_hidden = NULL;
    st->nextn_h = before;
    st->n_out = 0;
    step_run(st);
    st->nextn_h = NULL;
    st->n_out = n_out;
}

int draft_head(struct hearth_seq *s, int at, const int32_t *ids, int n, const float *h,
               struct err *e)
{
    struct hearth_engine *en = s->en;
    struct step *st = &en->step;
    int rc = seq_cover(s, at + n, e);

    if (rc < 0)
        return rc;
    en->run[0] = (struct step_run){
        .n = n, .pos = at, .base = s->base, .page = s->data, .state = s->state};
    st->n_run = 1;
    st->n_tok = st->n_out = n;
    for (int i = 0; i < n; i++) {
        en->id[i] = ids[i];
        en->pos[i] = s->base + at + i;
        en->out[i] = i;
    }
    engine_void_rows(en);
    st->logits = en->logits;
    st->hidden = en->hidden;
    st->all_hidden = NULL;
    st->nextn_h = h;
    step_run(st);
    st->nextn_h = NULL;
    return atomic_exchange(&en->cancel, 0) ? err_set(e, E_CANCELLED, "stopped") : 0;
}

static int best_of(const float *x, int n)
{
    int best = -1;

    for (int i = 0; i < n; i++) {
        if (x[i] == x[i] && (best < 0 || x[i] > x[best]))
            best = i;
    }
    return best;
}

int draft_guess(struct hearth_seq *s, int32_t id, int n, int32_t *guess, struct err *e)
{
    struct hearth_engine *en = s->en;
    int n_vocab = en->model->m->p.n_vocab, at = s->n_len, made = 0;
    float *h = en->known; /* of the last step, not needed any more */

    known_before(s, at, h);
    n = n < en->n_fit - at - 1 ? n : en->n_fit - at - 1;
    while (made < n) {
        int best, rc = draft_head(s, at + made, &id, 1, h, e);

        if (rc < 0)
            return rc;
        best = best_of(en->logits, n_vocab);
        if (best < 0)
            break;
        guess[made++] = id = best;
        memcpy(h, en->hidden, (size_t)en->model->m->p.n_embd * sizeof(*h));
    }
    return made;
}

void draft_goes_on(struct hearth_seq *s, int row)
{
    size_t n = (size_t)s->en->model->m->p.n_embd;

    keep_last(s, s->row_pos + row, s->en->known + (size_t)(s->row_tok + row) * n);
}

/* Guesses by a small model of the same vocabulary: its engine follows the texts and goes on
 * with each by the most probable token. */
#include "infer/sched_priv.h"

#include "base/clock.h"

#include <string.h>

int sched_draft_check(const struct hearth_engine *en, const struct hearth_engine *draft,
                      struct err *e)
{
    const struct tok *a = infer_tok(en->model), *b = infer_tok(draft->model);
    int n = en->model->m->p.n_vocab;

    if (!draft->logits || draft->model->m->p.n_vocab != n || !a != !b)
        return err_set(e, E_UNSUPPORTED,
                       "the draft model has %d tokens, the model has %d: it must have the same",
                       draft->model->m->p.n_vocab, n);
    for (int i = 0; a && i < n && i < tok_count(a); i++) {
        struct str x = tok_text(a, i), y = i < tok_count(b) ? tok_text(b, i) : (struct str){0};

        if (x.n != y.n || memcmp(x.p ? x.p : "", y.p ? y.p : "", x.n) != 0)
            return err_set(e, E_UNSUPPORTED,
                           "token %d is another one in the draft model: both must have the "
                           "same vocabulary",
                           i);
    }
    return 0;
}

/* The draft's sequence has j's text. 0: it cannot. */
static int follow(struct sched *s, struct sched_job *j)
{
    const struct hearth_seq *q = j->seq;
    struct hearth_seq *d = j->draft;
    int n = 0;

    if (!d && hearth_seq_open(&j->draft, s->draft, NULL) < 0)
        return 0;
    d = j->draft;
    if (q->n_len + j->guess.n_draft > s->draft->n_ctx)
        return 0;
    while (n < q->n_len && n < d->n_len && q->ids[n] == d->ids[n])
        n++;
    n -= n == q->n_len; /* its logits are wanted */
    return hearth_seq_truncate(d, n, NULL) == 0 &&
           seq_feed(d, q->ids + n, (size_t)(q->n_len - n), 1, NULL, NULL) == 0;
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

/* Takes the next guess of j from its logits, and feeds it where more are wanted. */
static void take(struct sched *s, struct sched_job *j)
{
    struct sched_guess *g = &j->guess;
    int32_t id;

    if (g->n_have == g->n_draft || !j->draft || !j->draft->logits)
        return;
    id = best_of(j->draft->logits, s->draft->model->m->p.n_vocab);
    if (id < 0)
        return;
    g->id[g->n_have++] = id;
    if (g->n_have < g->n_draft && seq_feed(j->draft, &id, 1, 0, NULL, NULL) < 0)
        g->n_draft = g->n_have;
}

/* A text that is long and new to the draft model is followed over some steps; until then there
 * are no guesses for it. */
void sched_draft_guess(struct sched *s)
{
    uint64_t start = clock_ns();
    int steps = 0, got = 0, most = 0;

    for (int i = 0; i < s->n_part; i++) {
        struct sched_job *j = s->part_job[i];

        j->guess.n_have = 0;
        if (j->guess.n_draft && follow(s, j))
            most = j->guess.n_draft > most ? j->guess.n_draft : most;
    }
    for (; steps < most; steps++) {
        got = hearth_engine_step(s->draft, NULL);
        if (got == E_IO) /* its file is gone, or was cut: no more guesses by it */
            s->draft = NULL;
        if (got <= 0)
            break;
        for (int i = 0; i < s->n_part; i++)
            take(s, s->part_job[i]);
    }
    if (steps && got > 0 && got <= s->n_part) {
        float each = (float)(clock_ns() - start) / (float)steps;

        s->draft_ns += (s->draft_ns > 0 ? 0.2F : 1) * (each - s->draft_ns);
    }
}

/* Guessing ahead for texts that are being written: how many tokens, and which.
 *
 * The guesses of all texts are computed in the step that computes their certain tokens (gen.h).
 * A text's `rate` is how often a guess came true of late, given that those before it did: k
 * guesses give rate + rate^2 + ... + rate^k tokens. What these are worth is what a token costs
 * without guesses, what k more rows cost is known from steps that had as many (sched_cost.c):
 * as many are guessed as pay best, often none. A text whose guesses do not pay is tried again
 * after some time, which doubles.
 */
#include "infer/draft.h"
#include "infer/lookup.h"
#include "infer/sched_priv.h"

#include "base/clock.h"

#include <string.h>

enum { GUESS_WAIT = 16, GUESS_WAIT_MAX = 512 };

#define GUESS_RATE 0.6F /* of a text that nothing is known of */

void sched_guess_init(struct sched_guess *g)
{
    *g = (struct sched_guess){.rate = GUESS_RATE, .backoff = GUESS_WAIT};
}

void sched_guess_learn(struct sched_guess *g, int drafted, int accepted)
{
    for (int i = 0; i < accepted; i++)
        g->rate += 0.1F * (1 - g->rate);
    if (accepted < drafted)
        g->rate -= 0.2F * g->rate;
    if (accepted > 1)
        g->backoff = GUESS_WAIT;
}

int sched_guess_worth(const struct sched *s, int n_text, int n_now, float rate, int most)
{
    float alone = sched_cost_of(&s->cost, n_text), now = sched_cost_of(&s->cost, n_now),
          value = alone / (float)n_text, part = 1, gives = 0, best = 0;
    int n = 0;

    for (int k = 1; k <= most && alone > 0; k++) {
        float then = sched_cost_of(&s->cost, n_now + k), cost = then - now;

        if (then > s->opt.gap_ratio * alone)
            break;
        part *= rate;
        gives += part;
        cost = (cost > 0 ? cost : 0) + (float)k * s->draft_ns / (float)n_text;
        if (gives * value - cost > best) {
            best = gives * value - cost;
            n = k;
        }
    }
    return n;
}

/* How many guesses j may have. */
static int most_for(const struct sched *s, const struct sched_plan *p,
                    const struct sched_job *j)
{
    int most = s->en->n_draft    ? s->en->n_draft
               : s->opt.n_lookup ? s->opt.n_lookup
               : s->draft        ? ENGINE_DRAFT_MAX
                                 : 0,
        left = s->en->n_row - p->n_row;

    /* Rows are left for prompts that end in this step. */
    left -= s->n_running - s->n_part;
    if (s->en->n_batch - p->n_tok < left)
        left = s->en->n_batch - p->n_tok;
    most = most < left ? most : left;
    return j->q.no_guess || most <= 0 ? 0 : gen_may_guess(j->gen, most);
}

/* 1: it did not pay for so long that it is tried again. */
static int try_again(struct sched_guess *g)
{
    if (++g->wait < g->backoff)
        return 0;
    g->wait = 0;
    g->backoff = 2 * g->backoff < GUESS_WAIT_MAX ? 2 * g->backoff : GUESS_WAIT_MAX;
    g->rate = GUESS_RATE;
    return 1;
}

/* Guesses from the text, where it has any. */
static int look_up(const struct sched *s, struct sched_job *j, int n)
{
    return s->opt.n_lookup ? lookup_guess(j->seq->ids, j->seq->n_len, j->guess.id, n) : 0;
}

static int put(struct sched_job *j, int n)
{
    if (n <= 0 || seq_cover(j->seq, j->seq->n_len + n, NULL) < 0)
        return 0;
    return gen_guess(j->gen, j->guess.id, n, NULL) == 0 ? n : 0;
}

static int put_heads(struct sched_job *j, int n)
{
    if (seq_cover(j->seq, j->seq->n_len + n, NULL) < 0 || gen_guess_ahead(j->gen, n, NULL) < 0)
        return 0;
    return gen_rows(j->gen) - 1;
}

static void add(struct sched *s, struct sched_plan *p, int i, int n)
{
    s->part[i].n += n;
    s->part[i].rows += n;
    p->n_tok += n;
    p->n_row += n;
    p->n_written += n;
}

void sched_guess_all(struct sched *s, struct sched_plan *p)
{
    int n_text = s->n_part, asked = 0;

    if (!s->opt.n_lookup && !s->en->n_draft && !s->draft)
        return;
    for (int i = 0; i < n_text; i++) {
        struct sched_job *j = s->part_job[i];
        int most = most_for(s, p, j), n;

        j->guess.n_draft = 0;
        n = most ? sched_guess_worth(s, n_text, p->n_written, j->guess.rate, most) : 0;
        if (most && !n && try_again(&j->guess))
            n = sched_guess_worth(s, n_text, p->n_written, j->guess.rate, most);
        if (!n)
            continue;
        if (s->en->n_draft) {
            add(s, p, i, put_heads(j, n));
        } else if (look_up(s, j, n) == n) {
            add(s, p, i, put(j, n));
        } else if (s->draft) {
            j->guess.n_draft = n;
            asked++;
            p->n_row += n; /* promised */
        }
    }
    if (asked)
        sched_draft_guess(s);
    for (int i = 0; i < n_text && asked; i++) {
        struct sched_job *j = s->part_job[i];

        if (j->guess.n_draft) {
            p->n_row -= j->guess.n_draft;
            add(s, p, i, put(j, j->guess.n_have));
        }
    }
}

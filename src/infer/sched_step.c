/* What a step computes, and what becomes of its rows. */
#include "infer/sched_priv.h"

#include "base/clock.h"

#include <limits.h>

static int waiting(const struct sched_job *j)
{
    return j->seq->n_len - j->seq->n_done;
}

/* Whether the job is a text that is being written: it goes into each step. */
static int is_written(const struct sched_job *j)
{
    return j->first_ns && waiting(j) <= SCHED_DECODE_MAX;
}

/* Pages for the next n tokens of j. Who comes last in rank gives up its own, but for paused
 * ones only if `any`. 0: there are none, or it was j itself. */
static int cover(struct sched *s, struct sched_job *j, int n, int any)
{
    while (seq_cover(j->seq, j->seq->n_done + n, NULL) < 0) {
        struct sched_job *v = sched_victim(s, any ? INT_MAX : INT_MIN);

        if (!v)
            return 0;
        sched_park(v);
        if (v == j)
            return 0;
    }
    return 1;
}

static void add_part(struct sched *s, struct sched_plan *p, struct sched_job *j, int n,
                     int rows)
{
    s->part[s->n_part] = (struct engine_part){j->seq, n, rows, 0};
    s->part_job[s->n_part++] = j;
    j->step = s->n_step;
    p->n_tok += n;
    p->n_row += rows;
    if (j->gen)
        p->texts++;
    else
        p->embeds++;
}

/* In rank: who has to give up pages comes later, so it is not in the step yet. */
static void take_written(struct sched *s, struct sched_plan *p)
{
    sched_sort(s->running, s->n_running, sched_ranks_before);
    for (int i = 0; i < s->n_running; i++) {
        struct sched_job *j = s->running[i];
        int n = waiting(j);

        if (j->paused || !is_written(j) || p->n_tok + n > s->en->n_batch || !cover(s, j, n, 1))
            continue;
        add_part(s, p, j, n, 1);
        p->n_written += n;
    }
}

static struct sched_job *next_prompt(const struct sched *s)
{
    struct sched_job *best = NULL;

    for (int i = 0; i < s->n_running; i++) {
        struct sched_job *j = s->running[i];

        if (!j->paused && j->step != s->n_step && !is_written(j) &&
            (!best || sched_goes_before(j, best)))
            best = j;
    }
    return best;
}

/* How many tokens of j the step takes, of at most `most`, and with how many rows. */
static int chunk(const struct sched *s, const struct sched_plan *p, const struct sched_job *j,
                 int most, int *rows)
{
    const struct model *m = s->en->model->m;
    int n = waiting(j), left = s->en->n_row - p->n_row, all = !j->gen && !embed_last_only(m);

    if (!m->p.causal) { /* read in one piece, or not now */
        n = n <= s->en->n_batch - p->n_tok && n <= left ? n : 0;
        *rows = n;
        return n;
    }
    n = n < most ? n : most;
    if (all && n > left)
        n = left;
    *rows = all ? n : n == waiting(j);
    return *rows <= left ? n : 0;
}

static int count_texts(const struct sched *s)
{
    int n = 0;

    for (int i = 0; i < s->n_running; i++)
        n += !s->running[i]->paused && s->running[i]->gen;
    return n;
}

static void take_prompts(struct sched *s, struct sched_plan *p)
{
    int most = s->en->n_batch - p->n_tok, budget;
    struct sched_job *j;

    budget = sched_cost_prompt(&s->cost, p->n_written, count_texts(s), s->opt.gap_ratio, most);
    while (budget > 0 && (j = next_prompt(s)) != NULL) {
        int rows, n = chunk(s, p, j, budget, &rows);

        j->step = s->n_step;
        if (!n || !cover(s, j, n, s->n_part == 0))
            continue;
        add_part(s, p, j, n, rows);
        p->n_prompt += n;
        budget -= n;
    }
}

/* -- after ----------------------------------------------------------------------------- */

static void count(struct sched *s, struct sched_job *j, int n, int written)
{
    j->share->work += n;
    if (!written)
        s->now.prompt_tokens += (uint64_t)n;
}

static void take_rows(struct sched *s, struct sched_job *j, const struct engine_part *p)
{
    size_t n = (size_t)s->en->model->m->p.n_embd;

    for (int k = 0; k < p->rows; k++)
        embed_row(&j->embed, (size_t)j->seq->row_pos + (size_t)k,
                  s->en->hidden + ((size_t)p->row + (size_t)k) * n);
}

static void after_part(struct sched *s, int i, int n_text)
{
    const struct engine_part *p = &s->part[i];
    struct sched_job *j = s->part_job[i];
    struct hearth_stats was = {0}, is = {0};
    struct err e = {0};
    int rc;

    if (!j || !p->n)
        return;
    count(s, j, p->n, i < n_text);
    if (j->gen)
        was = *gen_stats(j->gen);
    else
        take_rows(s, j, p);
    rc = sched_job_go(j, &e);
    if (j->gen)
        is = *gen_stats(j->gen);
    sched_guess_learn(&j->guess, is.n_drafted - was.n_drafted, is.n_accepted - was.n_accepted);
    s->now.output_tokens += (uint64_t)(is.n_output - was.n_output);
    s->now.drafted += (uint64_t)(is.n_drafted - was.n_drafted);
    s->now.accepted += (uint64_t)(is.n_accepted - was.n_accepted);
    if (rc)
        sched_job_end(j, &e);
}

/* Guesses that were not computed are taken back. */
static void undo(struct sched *s)
{
    for (int i = 0; i < s->n_part; i++) {
        if (s->part_job[i]->gen && gen_forget(s->part_job[i]->gen, NULL) < 0)
            return; /* what waits can be forgotten */
    }
}

static void set_alone(struct sched *s, struct sched_job *j)
{
    (void)pthread_mutex_lock(&s->lock);
    s->alone = j;
    (void)pthread_mutex_unlock(&s->lock);
}

static int compute(struct sched *s, const struct sched_plan *p, struct err *e)
{
    uint64_t start = clock_ns(), ns;
    int rc;

    set_alone(s, s->n_part == 1 ? s->part_job[0] : NULL);
    rc = engine_compute_parts(s->en, s->part, s->n_part,
                              p->embeds == 0 ? 0
                              : p->texts     ? 2
                                             : 1,
                              e);
    set_alone(s, NULL);
    if (rc <= 0)
        return rc;
    ns = clock_ns() - start;
    sched_cost_note(&s->cost, p->n_written, p->n_prompt, ns);
    s->now.steps++;
    s->now.step_tokens += (uint64_t)rc;
    s->now.step_ns += ns;
    s->now.last_step_ns = start + ns;
    s->now.last_step_rows = s->n_part;
    return rc;
}

int sched_step(struct sched *s, struct err *e)
{
    struct sched_plan p = {0};
    int rc, n_text;

    s->n_part = 0;
    s->n_step++;
    take_written(s, &p);
    n_text = s->n_part;
    sched_guess_all(s, &p);
    take_prompts(s, &p);
    if (!s->n_part)
        return 0;
    rc = compute(s, &p, e);
    if (rc <= 0)
        undo(s);
    if (rc == E_CANCELLED) /* for one of them, who leaves now, or for all */
        rc = 1;
    else
        for (int i = 0; i < s->n_part && rc > 0; i++)
            after_part(s, i, n_text);
    s->n_part = 0;
    if (rc > 0 && model_intact(s->en->model->m, e) < 0) /* seen when a vector was made */
        rc = E_IO;
    return rc;
}

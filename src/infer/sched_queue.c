/* Whose turn it is, and whether there is room. */
#include "infer/sched_priv.h"

#include "base/clock.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

/* -- order ----------------------------------------------------------------------------- */

int sched_ranks_before(const struct sched_job *a, const struct sched_job *b)
{
    if (a->paused != b->paused)
        return b->paused;
    if (a->q.priority != b->q.priority)
        return a->q.priority > b->q.priority;
    return a->id < b->id;
}

int sched_goes_before(const struct sched_job *a, const struct sched_job *b)
{
    if (a->q.priority != b->q.priority)
        return a->q.priority > b->q.priority;
    if (a->share != b->share && a->share->work != b->share->work)
        return a->share->work < b->share->work;
    return a->id < b->id;
}

/* By insertion: from one step to the next little moves. */
void sched_sort(struct sched_job **j, int n,
                int (*before)(const struct sched_job *a, const struct sched_job *b))
{
    for (int i = 1; i < n; i++) {
        struct sched_job *x = j[i];
        int k = i;

        for (; k > 0 && before(x, j[k - 1]); k--)
            j[k] = j[k - 1];
        j[k] = x;
    }
}

void sched_remove(struct sched_job **list, int *n, const struct sched_job *j)
{
    int i = 0;

    while (list[i] != j)
        i++;
    (*n)--;
    memmove(list + i, list + i + 1, (size_t)(*n - i) * sizeof(struct sched_job *));
}

/* -- shares ---------------------------------------------------------------------------- */

/* The least work of shares that have jobs; 0 when none has. */
static double least_work(const struct sched *s)
{
    double least = 0;
    int any = 0;

    for (int i = 0; i < s->n_share; i++) {
        const struct sched_share *h = &s->share[i];

        if (h->n_job && (!any || h->work < least)) {
            least = h->work;
            any = 1;
        }
    }
    return least;
}

/* Its place: its own, else one at rest, the one that worked least, as all places are as many
 * as there can be jobs. */
static struct sched_share *share_of(struct sched *s, uint64_t id)
{
    struct sched_share *rest = NULL;

    for (int i = 0; i < s->n_share; i++) {
        struct sched_share *h = &s->share[i];

        if (h->id == id && (h->n_job || h->work > 0))
            return h;
        if (!h->n_job && (!rest || h->work < rest->work))
            rest = h;
    }
    assert(rest);
    *rest = (struct sched_share){.id = id};
    return rest;
}

/* A rest saves nothing up, and what was long ago counts little: who comes back stands between
 * the least of those at work and some credit behind it. */
void sched_share_join(struct sched *s, struct sched_job *j)
{
    struct sched_share *h = share_of(s, j->q.share);

    if (!h->n_job) {
        double least = least_work(s);

        if (h->work < least)
            h->work = least;
        else if (h->work > least + SCHED_SHARE_CREDIT)
            h->work = least + SCHED_SHARE_CREDIT;
    }
    h->n_job++;
    j->share = h;
}

void sched_share_leave(struct sched_job *j)
{
    j->share->n_job--;
    j->share = NULL;
}

/* -- room ------------------------------------------------------------------------------ */

struct sched_job *sched_victim(const struct sched *s, int below)
{
    struct sched_job *worst = NULL;

    for (int i = 0; i < s->n_running; i++) {
        struct sched_job *j = s->running[i];

        if (!j->paused && j->q.priority >= below)
            continue;
        if (!worst || sched_ranks_before(worst, j))
            worst = j;
    }
    return worst;
}

void sched_park(struct sched_job *j)
{
    struct sched *s = j->s;

    sched_remove(s->running, &s->n_running, j);
    seq_park(j->seq);
    if (j->begun && j->q.want == SCHED_EMBED)
        embed_reset(&j->embed);
    j->state = SCHED_WAITING;
    s->waiting[s->n_waiting++] = j;
    s->now.preempted++;
}

/* Pages that a text needs beside those that it holds: for all of its tokens and the next. */
static int pages_wanted(const struct hearth_seq *q)
{
    int n = (q->n_len + 1 + KERN_PAGE - 1) / KERN_PAGE - q->n_page;

    return n > 0 ? n : 0;
}

/* Whether j, whose sequence has a place and the pages that it shares, finds pages for the rest
 * beside what is promised to others; and one more for each of these, so that they do not
 * push each other out at once. */
static int has_pages(const struct sched *s, const struct sched_job *j)
{
    struct kv_stats st;
    int promised = 0;

    kv_stats(s->en->kv, &st);
    for (int i = 0; i < s->n_running; i++)
        promised += pages_wanted(s->running[i]->seq) + 1;
    return pages_wanted(j->seq) + promised <= st.n_page - st.used || !s->n_running;
}

/* Takes over pages. What is on disk is read in pieces with steps of others in between, and all
 * of it before j begins; 0: there is more. */
static int take_over(const struct sched *s, struct sched_job *j)
{
    int others = 0;

    if (j->q.no_cache || (j->q.want != SCHED_TEXT && !embed_last_only(s->en->model->m)))
        return 1;
    for (int i = 0; i < s->n_running; i++)
        others += !s->running[i]->paused;
    do
        (void)seq_reuse(j->seq);
    while (seq_loads(j->seq) && !others);
    return !seq_loads(j->seq);
}

/* A place, what was computed of it before, and pages for the rest. 0: there is no room. */
static int find_room(struct sched *s, struct sched_job *j)
{
    for (;;) {
        struct sched_job *v;

        if (s->n_running < s->opt.n_running && seq_unpark(j->seq, NULL) == 0) {
            int whole = take_over(s, j);

            if (whole && has_pages(s, j))
                return 1;
            seq_park(j->seq);
            if (!whole)
                return 0;
        }
        v = sched_victim(s, j->q.priority);
        if (!v)
            return 0;
        sched_park(v);
    }
}

/* -- prefixes -------------------------------------------------------------------------- */

/* Whole pages that two texts begin with, of which b's last token is none. */
static int pages_shared(const int32_t *a, int n_a, const int32_t *b, int n_b)
{
    int n = n_a < n_b - 1 ? n_a : n_b - 1, i = 0;

    while (i < n && a[i] == b[i])
        i++;
    return i / KERN_PAGE;
}

/* Whether what j begins with is being computed just now. */
static int waits_for_prefix(const struct sched *s, const struct sched_job *j)
{
    int n;
    const int32_t *ids = sched_job_ids(j, &n);

    if (j->q.no_cache || !s->en->model->m->p.causal)
        return 0;
    for (int i = 0; i < s->n_running; i++) {
        const struct sched_job *r = s->running[i];
        const struct hearth_seq *q = r->seq;

        if (r->paused || r->q.priority < j->q.priority || r->q.salt != j->q.salt ||
            q->n_len / KERN_PAGE == q->n_done / KERN_PAGE)
            continue;
        if (pages_shared(q->ids, q->n_len, ids, n) > q->n_done / KERN_PAGE)
            return 1;
    }
    return 0;
}

/* -- admission ------------------------------------------------------------------------- */

static int begin(struct sched *s, struct sched_job *j, struct err *e)
{
    int rc;

    sched_remove(s->waiting, &s->n_waiting, j);
    j->state = SCHED_RUNNING;
    s->running[s->n_running++] = j;
    if (j->begun)
        return 0;
    s->now.cached_tokens += (uint64_t)j->seq->n_done;
    rc = sched_job_begin(j, j->seq->n_done, e);
    if (j->begun) {
        (void)pthread_mutex_lock(&s->lock);
        s->n_queued -= !j->q.more;
        (void)pthread_mutex_unlock(&s->lock);
    }
    return rc;
}

/* Whether any place could be had for j, before it is looked at closer. */
static int may_begin(const struct sched *s, const struct sched_job *j)
{
    return s->n_running < s->opt.n_running || sched_victim(s, j->q.priority);
}

void sched_admit(struct sched *s)
{
    uint64_t now = clock_ns();
    int i = 0;

    sched_sort(s->waiting, s->n_waiting, sched_goes_before);
    while (i < s->n_waiting && may_begin(s, s->waiting[i])) {
        struct sched_job *j = s->waiting[i];
        struct err e = {0};
        int rc;

        if (j->paused || waits_for_prefix(s, j)) {
            i++;
            continue;
        }
        rc = sched_job_prepare(j, &e);
        if (rc == 0 && !find_room(s, j))
            break;
        if (rc == 0)
            rc = begin(s, j, &e);
        if (rc < 0)
            sched_job_end(j, &e);
        else if (j->gen && gen_finish(j->gen) >= 0)
            sched_job_end(j, gen_end(j->gen, &e) < 0 ? &e : &(struct err){0});
        /* Whom it pushed out waits behind the others, and may stand before i. */
        sched_sort(s->waiting, s->n_waiting, sched_goes_before);
    }
    for (i = 0; i < s->n_waiting; i++)
        sched_job_tell_place(s->waiting[i], i, now);
}

/* A job's life: its request, its text, its events. */
#include "infer/sched_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "model/head.h"

#include <limits.h>
#include <string.h>

/* -- the request ----------------------------------------------------------------------- */

/* Most tokens of the text: as asked, and as the engine, its pages and the model have. */
static int context_of(const struct sched *s, int asked)
{
    const struct model *m = s->en->model->m;
    int n = asked > 0 && asked < s->en->n_ctx ? asked : s->en->n_ctx;

    if (s->n_page < n / KERN_PAGE)
        n = s->n_page * KERN_PAGE;
    if (m->global.t[T_POSITION_EMBD] && m->p.n_ctx_train < n)
        n = m->p.n_ctx_train;
    return n;
}

static int check_prompt(const struct sched *s, const struct sched_request *q, int n_ctx,
                        struct err *e)
{
    int n_vocab = s->en->model->m->p.n_vocab;

    if (q->want != SCHED_TEXT && q->want != SCHED_EMBED)
        return err_set(e, E_INVALID, "want: %d is no enum sched_want", q->want);
    if (q->n == 0)
        return err_set(e, E_INVALID, "the prompt has no tokens");
    if (q->n > (size_t)n_ctx)
        return err_set(e, E_TOO_LONG, "the prompt has %zu tokens, the context holds %d", q->n,
                       n_ctx);
    for (size_t i = 0; i < q->n; i++) {
        if (q->ids[i] < 0 || q->ids[i] >= n_vocab)
            return err_set(e, E_INVALID, "token id %d (number %zu): expected 0 to %d",
                           (int)q->ids[i], i, n_vocab - 1);
    }
    return 0;
}

static struct gen_options gen_options_of_job(const struct sched_job *j)
{
    const struct sched_request *q = &j->q;

    return (struct gen_options){.sampling = q->sampling,
                                .stop = q->stop,
                                .n_stop = q->n_stop,
                                .n_predict = q->n_predict,
                                .prompt_only = q->prompt_only,
                                .most_ns = q->most_ns,
                                .n_ctx = j->n_ctx,
                                .n_logprobs = q->n_logprobs,
                                .show_control = q->show_control,
                                .ignore_eog = q->ignore_eog,
                                .guide = q->guide,
                                .hidden = q->hidden};
}

/* What the options of a text have to say for themselves, before anybody waits for it. */
static int check_text(const struct sched_job *j, struct err *e)
{
    struct gen_options o = gen_options_of_job(j);
    struct gen *g;
    int rc = gen_new(&g, j->s->en, &o, NULL, NULL, e);

    if (rc == 0)
        gen_free(g);
    return rc;
}

static const char *stop_of(const struct sched_request *q, int i)
{
    return q->stop[i] ? q->stop[i] : "";
}

/* In the block stand: pointers to stop strings, biases, ids, the strings. */
static size_t copy_size(const struct sched_request *q)
{
    size_t n = q->n_bias * sizeof(*q->bias) + q->n * sizeof(*q->ids) +
               (size_t)q->n_stop * sizeof(char *);

    for (int i = 0; i < q->n_stop; i++)
        n += strlen(stop_of(q, i)) + 1;
    return n;
}

static void copy_stops(struct sched_request *q, char **at, char *bytes)
{
    for (int i = 0; i < q->n_stop; i++) {
        size_t n = strlen(stop_of(q, i)) + 1;

        at[i] = bytes;
        memcpy(bytes, stop_of(q, i), n);
        bytes += n;
    }
    q->stop = (const char *const *)at;
}

static int copy_request(struct sched_job *j, const struct sched_request *q, struct err *e)
{
    size_t n_stop = (size_t)(q->n_stop > 0 ? q->n_stop : 0) * sizeof(char *);
    unsigned char *at;

    j->q = *q;
    if (q->n_stop < 0 || q->n_bias > (size_t)j->s->en->model->m->p.n_vocab)
        return err_set(e, E_INVALID, "%d stop strings, %zu biased tokens", q->n_stop,
                       q->n_bias);
    j->block = at = mem_alloc(copy_size(q));
    if (!at)
        return err_set(e, E_NOMEM, "no memory for a request of %zu tokens", q->n);
    copy_stops(&j->q, (char **)(void *)at,
               (char *)at + n_stop + q->n_bias * sizeof(*q->bias) + q->n * sizeof(*q->ids));
    at += n_stop;
    if (q->n_bias)
        memcpy(at, q->bias, q->n_bias * sizeof(*q->bias));
    j->q.bias = j->q.sampling.bias = (const struct sampler_bias *)(const void *)at;
    j->q.sampling.n_bias = q->n_bias;
    at += q->n_bias * sizeof(*q->bias);
    memcpy(at, q->ids, q->n * sizeof(*q->ids));
    j->q.ids = (const int32_t *)(const void *)at;
    if (q->guide) {
        j->guide = *q->guide;
        j->q.guide = &j->guide;
    }
    return 0;
}

int sched_job_new(struct sched_job **out, struct sched *s, const struct sched_request *q,
                  struct err *e)
{
    int n_ctx = context_of(s, q->n_ctx), rc = check_prompt(s, q, n_ctx, e);
    struct sched_job *j;

    if (rc < 0)
        return rc;
    j = mem_calloc(1, sizeof(*j));
    if (!j)
        return err_set(e, E_NOMEM, "no memory for a job");
    j->s = s;
    j->n_ctx = n_ctx;
    j->place = -1;
    sched_guess_init(&j->guess);
    j->born_ns = clock_ns();
    rc = copy_request(j, q, e);
    if (rc == 0 && q->want == SCHED_TEXT)
        rc = check_text(j, e);
    if (rc < 0) {
        sched_job_free(j);
        return rc;
    }
    j->slot =
        (struct sched_slot){.priority = q->priority, .n_prompt = (int)q->n, .n_ctx = n_ctx};
    *out = j;
    return 0;
}

void sched_job_unlink(struct sched_job *j)
{
    if (j->prev)
        j->prev->next = j->next;
    else
        j->s->all = j->next;
    if (j->next)
        j->next->prev = j->prev;
}

void sched_job_count(struct sched_job *j, int by)
{
    struct sched *s = j->s;

    if (j->q.more) {
        s->n_more[j->q.want] += by;
        return;
    }
    s->n_job += by;
    if (!j->begun)
        s->n_queued += by;
}

void sched_job_free(struct sched_job *j)
{
    mem_free(j->block);
    mem_free(j);
}

/* -- the text -------------------------------------------------------------------------- */

const int32_t *sched_job_ids(const struct sched_job *j, int *n)
{
    *n = j->seq ? j->seq->n_len : (int)j->q.n;
    return j->seq ? j->seq->ids : j->q.ids;
}

int sched_job_prepare(struct sched_job *j, struct err *e)
{
    int rc;

    if (j->seq)
        return 0;
    rc = seq_new(&j->seq, j->s->en, e);
    if (rc == 0)
        rc = seq_set_salt(j->seq, j->q.salt, e);
    return rc < 0 ? rc : seq_feed(j->seq, j->q.ids, j->q.n, 0, NULL, e);
}

/* -- events ---------------------------------------------------------------------------- */

static void emit(struct sched_job *j, const struct sched_event *ev)
{
    int says;

    /* Who resumes while the sink is about to say "pause" must not be missed. */
    if (!j->paused)
        atomic_store(&j->resumed, 0);
    says = j->sink(j->ctx, ev);
    if (says < 0)
        atomic_store(&j->cancel, 1);
    else if (says > 0 && !atomic_exchange(&j->resumed, 0))
        j->paused = 1;
}

static int on_piece(void *ctx, const struct hearth_piece *p)
{
    struct sched_job *j = ctx;

    emit(j, &(struct sched_event){.kind = SCHED_PIECE, .piece = p});
    return atomic_load(&j->cancel);
}

void sched_job_tell_place(struct sched_job *j, int place, uint64_t now)
{
    if (j->begun || j->paused || j->place == place ||
        (j->told_ns && now - j->told_ns < SCHED_TELL_NS))
        return;
    j->place = place;
    j->told_ns = now;
    emit(j, &(struct sched_event){.kind = SCHED_QUEUED, .n = place});
}

static int begin_text(struct sched_job *j, struct err *e)
{
    struct gen_options o = gen_options_of_job(j);
    int rc = gen_new(&j->gen, j->s->en, &o, on_piece, j, e);

    if (rc < 0)
        return rc;
    gen_stats(j->gen)->n_prompt = (int)j->q.n;
    return 0;
}

static int begin_embed(struct sched_job *j, struct err *e)
{
    const struct model *m = j->s->en->model->m;
    int rc = embed_new(&j->embed, m, j->q.n, e);

    if (rc < 0)
        return rc;
    j->vector = mem_calloc((size_t)head_width(m), sizeof(*j->vector));
    return j->vector ? 0 : err_set(e, E_NOMEM, "no memory for a vector");
}

int sched_job_begin(struct sched_job *j, int n_reused, struct err *e)
{
    int rc = j->q.want == SCHED_TEXT ? begin_text(j, e) : begin_embed(j, e);

    if (rc < 0)
        return rc;
    j->begun = 1;
    j->start_ns = clock_ns();
    j->n_told = n_reused;
    if (j->gen)
        gen_stats(j->gen)->n_prompt_reused = n_reused;
    emit(j, &(struct sched_event){.kind = SCHED_START,
                                  .n_reused = n_reused,
                                  .queue_ns = j->start_ns - j->born_ns});
    return j->gen && !atomic_load(&j->cancel) ? gen_begin(j->gen, j->seq, e) : 0;
}

static void tell_prefill(struct sched_job *j)
{
    int n = j->seq->n_done < (int)j->q.n ? j->seq->n_done : (int)j->q.n;

    if (n <= j->n_told)
        return;
    j->n_told = n;
    emit(j, &(struct sched_event){.kind = SCHED_PREFILL, .n = n});
}

static int go_embed(struct sched_job *j, struct err *e)
{
    int rc;

    if (j->seq->n_done < j->seq->n_len)
        return 0;
    rc = embed_end(&j->embed, j->vector, e);
    if (rc < 0)
        return rc;
    emit(j, &(struct sched_event){.kind = SCHED_VECTOR,
                                  .vector = j->vector,
                                  .n = head_width(j->s->en->model->m)});
    return 1;
}

int sched_job_go(struct sched_job *j, struct err *e)
{
    int rc;

    if (atomic_load(&j->cancel))
        return err_set(e, E_CANCELLED, "cancelled");
    tell_prefill(j);
    if (!j->gen)
        return go_embed(j, e);
    if (j->seq->logits && !j->first_ns)
        j->first_ns = clock_ns();
    rc = j->seq->logits ? gen_go(j->gen, e) : 0;
    if (rc == 0 && atomic_load(&j->cancel))
        return err_set(e, E_CANCELLED, "cancelled");
    if (rc == 0 && gen_finish(j->gen) >= 0)
        rc = gen_end(j->gen, e);
    else
        return rc;
    return rc < 0 ? rc : 1;
}

/* -- the end --------------------------------------------------------------------------- */

static void take_out(struct sched_job *j)
{
    struct sched *s = j->s;

    if (j->state == SCHED_RUNNING)
        sched_remove(s->running, &s->n_running, j);
    else if (j->state == SCHED_WAITING)
        sched_remove(s->waiting, &s->n_waiting, j);
    for (int i = 0; i < s->n_part; i++) {
        if (s->part_job[i] == j)
            s->part_job[i] = NULL;
    }
    if (j->share)
        sched_share_leave(j);
    j->state = SCHED_ENDED;
    hearth_seq_close(j->seq);
    hearth_seq_close(j->draft);
    j->seq = j->draft = NULL;
}

static void last_event(struct sched_job *j, const struct err *why)
{
    struct hearth_stats none = {.n_prompt = (int)j->q.n},
                        *st = j->gen ? gen_stats(j->gen) : &none;
    uint64_t now = clock_ns();
    struct sched_event ev = {.kind = SCHED_DONE,
                             .stats = st,
                             .stop = j->gen ? gen_stop_which(j->gen) : -1,
                             .queue_ns = j->start_ns - j->born_ns};

    if (why->code)
        ev = (struct sched_event){.kind = SCHED_ERROR, .err = why};
    st->prompt_ns = (j->first_ns ? j->first_ns : now) - j->start_ns;
    st->output_ns = j->first_ns ? now - j->first_ns : 0;
    (void)j->sink(j->ctx, &ev);
}

void sched_job_end(struct sched_job *j, const struct err *why)
{
    struct sched *s = j->s;
    int gone;

    take_out(j);
    (void)pthread_mutex_lock(&s->lock);
    sched_job_count(j, -1); /* who hears of the end finds room */
    (void)pthread_mutex_unlock(&s->lock);
    last_event(j, why);
    gen_free(j->gen);
    embed_done(&j->embed);
    mem_free(j->vector);
    j->gen = NULL;
    (void)pthread_mutex_lock(&s->lock);
    j->over = 1;
    gone = j->released;
    if (gone)
        sched_job_unlink(j);
    (void)pthread_mutex_unlock(&s->lock);
    if (gone)
        sched_job_free(j);
}

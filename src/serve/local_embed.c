/* local_embed.c - vectors of texts, and scores of texts for a query: many jobs for one call, of
 * which only some are in the scheduler's queue at a time, so that others find room there. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "text/tok_ids.h"

enum { WINDOW_MOST = 64 };

struct local_embed {
    struct local_call *c;
    struct tok_ids *ids; /* [n] */
    struct input {
        struct local_embed *em;
        size_t index;
    } * input;
    size_t n;
    int score;            /* 1: scores, not vectors */
    int n_out;            /* numbers that are wanted */
    float *out;           /* of the vector that is being said */
    pthread_mutex_t turn; /* before call.lock: one hands over at a time */
    size_t next;          /* not handed over yet; under turn */
    int busy, window;     /* jobs under way, under call.lock; and how many may be */
    uint64_t first_ns;    /* when the first one was begun; 0: none was */
};

void local_embed_free(struct local_embed *em)
{
    if (!em)
        return;
    for (size_t i = 0; i < em->n && em->ids; i++)
        tok_ids_done(&em->ids[i]);
    mem_free(em->ids);
    mem_free(em->input);
    mem_free(em->out);
    (void)pthread_mutex_destroy(&em->turn);
    mem_free(em);
}

/* -- inputs as ids --------------------------------------------------------------------- */

/* Past the context: the end goes, but for what marks it. */
static int fit(struct local_call *c, size_t i, struct tok_ids *ids, struct err *e)
{
    const struct tok *tok = infer_tok(c->m->en->model);
    size_t most = (size_t)local_n_ctx(c);
    int32_t last;

    if (ids->n <= most)
        return 0;
    if (c->q->overflow != GATE_TRUNCATE)
        return err_set(e, E_TOO_LONG,
                       "%s[%zu] has %zu tokens, but the context of model '%s' holds %zu",
                       local_field(c, GATE_F_PROMPT), i, ids->n, local_name(c->m), most);
    last = ids->id[ids->n - 1];
    c->usage.n_dropped += (int)(ids->n - most);
    ids->n = most;
    if (tok && (last == tok_eos(tok) || last == tok_sep(tok)))
        ids->id[most - 1] = last;
    return 0;
}

static int encode_input(struct local_call *c, const struct gate_input *in, size_t i,
                        struct tok_ids *ids, struct err *e)
{
    const struct tok *tok = infer_tok(c->m->en->model);
    int rc = 0;

    if (in->ids) {
        rc = local_check_ids(c, in->ids, in->n_id, e);
        if (rc < 0)
            return rc;
        for (size_t k = 0; k < in->n_id && rc == 0; k++)
            rc = tok_ids_put(ids, in->ids[k]);
        if (rc < 0)
            return err_set(e, rc, "no memory for input %zu", i);
    } else if (!tok) {
        return err_set(e, E_UNSUPPORTED,
                       "this model's tokenizer is not known here; send tokens");
    } else if (in->text.n) {
        rc = tok_encode(tok, in->text.p, in->text.n, TOK_ADD_SPECIAL, ids, e);
    }
    if (rc == 0 && (in->ids ? in->n_id : in->text.n) == 0)
        rc = err_set(e, E_INVALID, "%s[%zu] is empty", local_field(c, GATE_F_PROMPT), i);
    return rc;
}

static int encode_pair(struct local_call *c, size_t i, struct tok_ids *ids, struct err *e)
{
    const struct tok *tok = infer_tok(c->m->en->model);
    struct str form, doc = c->q->input[i].text;

    if (!tok)
        return err_set(e, E_UNSUPPORTED, "this model's tokenizer is not known here");
    if (c->q->input[i].ids)
        return err_set(e, E_UNSUPPORTED, "%s[%zu]: tokens; only text can be ranked",
                       local_field(c, GATE_F_PROMPT), i);
    if (!c->q->query.n)
        return local_blame(c, GATE_F_QUERY,
                           err_set(e, E_INVALID, "%s is empty", local_field(c, GATE_F_QUERY)));
    if (!doc.n)
        return err_set(e, E_INVALID, "%s[%zu] is empty", local_field(c, GATE_F_PROMPT), i);
    if (!infer_text(c->m->en->model, "tokenizer.chat_template.rerank", &form))
        form.n = 0;
    return local_pair(tok, form, c->q->query, doc, ids, e);
}

static int encode_all(struct local_embed *em, struct err *e)
{
    struct local_call *c = em->c;
    int rc = 0;

    for (size_t i = 0; i < em->n && rc == 0; i++) {
        rc = em->score ? encode_pair(c, i, &em->ids[i], e)
                       : encode_input(c, &c->q->input[i], i, &em->ids[i], e);
        if (rc == 0)
            rc = fit(c, i, &em->ids[i], e);
        c->usage.n_prompt += (int)em->ids[i].n;
    }
    return rc;
}

/* -- jobs ------------------------------------------------------------------------------ */

static int on_job(void *ctx, const struct sched_event *ev);

static int count_busy(struct local_embed *em, int by)
{
    int n;

    (void)pthread_mutex_lock(&em->c->lock);
    n = em->busy += by;
    (void)pthread_mutex_unlock(&em->c->lock);
    return n;
}

static int hand_one(struct local_embed *em, struct err *e)
{
    const struct gate_request *q = em->c->q;
    size_t i = em->next;
    struct sched_request r = {.want = SCHED_EMBED,
                              .ids = em->ids[i].id,
                              .n = em->ids[i].n,
                              .n_logprobs = -1,
                              .no_cache = q->no_cache,
                              .salt = local_salt(em->c),
                              .priority = q->priority,
                              .share = q->tenant,
                              .deadline_ns = q->deadline_ns};
    int rc;

    (void)count_busy(em, 1);
    rc = local_submit(em->c, i, &r, on_job, &em->input[i], e);
    if (rc == E_BUSY && i > 0) {
        if (count_busy(em, -1) > 0)
            return 1; /* there is room again when one of ours has ended */
        (void)count_busy(em, 1);
        r.more = SCHED_MUST; /* what was begun is not given up */
        rc = local_submit(em->c, i, &r, on_job, &em->input[i], e);
    }
    if (rc == 0)
        em->next++;
    else
        (void)count_busy(em, -1);
    return rc;
}

/* Hands over what the window has room for. */
static void hand_over(struct local_embed *em)
{
    struct err e = {0};
    int rc = 0;

    (void)pthread_mutex_lock(&em->turn);
    while (rc == 0 && em->next < em->n && count_busy(em, 0) < em->window)
        rc = hand_one(em, &e);
    (void)pthread_mutex_unlock(&em->turn);
    if (rc < 0)
        local_fail(em->c, &e);
}

/* The vector as it was asked for: cut, and of length 1. */
static int shape(struct local_embed *em, size_t i, const float *v, struct err *e)
{
    double sum = 0;

    for (int k = 0; k < em->n_out; k++) {
        if (!isfinite(v[k]))
            return err_set(e, E_NUMERIC, "the embedding of input %zu has NaN or infinity in it",
                           i);
        em->out[k] = v[k];
        sum += (double)v[k] * (double)v[k];
    }
    if (em->c->q->normalize && sum > 0) {
        double by = 1 / sqrt(sum);

        for (int k = 0; k < em->n_out; k++)
            em->out[k] = (float)((double)em->out[k] * by);
    }
    return 0;
}

static int say_vector(struct local_embed *em, size_t i, const float *v, struct err *e)
{
    struct gate_event ev = {.kind = GATE_EV_VECTOR, .index = i, .vector = em->out};
    int rc = shape(em, i, v, e);

    if (rc < 0)
        return rc;
    ev.n = em->n_out;
    if (em->score)
        ev =
            (struct gate_event){.kind = GATE_EV_SCORE, .index = i, .score = (double)em->out[0]};
    (void)local_say(em->c, &ev);
    return 0;
}

static int on_job(void *ctx, const struct sched_event *ev)
{
    const struct input *in = ctx;
    struct local_embed *em = in->em;
    struct local_call *c = em->c;
    struct err e = {0};

    switch (ev->kind) {
    case SCHED_VECTOR:
        if (say_vector(em, in->index, ev->vector, &e) < 0)
            local_fail(c, &e);
        return 0;
    case SCHED_START:
        c->usage.n_cached += ev->n_reused;
        if (!em->first_ns)
            em->first_ns = clock_ns();
        return 0;
    case SCHED_ERROR:
    case SCHED_DONE:
        break;
    default:
        return 0;
    }
    if (ev->kind == SCHED_ERROR)
        local_fail(c, ev->err);
    if (em->first_ns) /* they run side by side: not what each one took */
        c->usage.prompt_ns = clock_ns() - em->first_ns;
    (void)count_busy(em, -1);
    hand_over(em);
    local_job_ended(c, in->index);
    return 0;
}

/* -- beginning ------------------------------------------------------------------------- */

static int check_kind(struct local_call *c, struct err *e)
{
    const struct hearth_model_info *info = &c->m->en->info;
    int ranks = info->pooling == POOL_RANK;

    if (c->q->kind == GATE_RERANK && !ranks)
        return local_blame(
            c, GATE_F_MODEL,
            err_set(e, E_UNSUPPORTED, "model '%s' is no reranker", local_name(c->m)));
    if (c->q->kind == GATE_EMBED && ranks)
        return local_blame(c, GATE_F_MODEL,
                           err_set(e, E_UNSUPPORTED,
                                   "model '%s' is a reranker; it gives no embeddings",
                                   local_name(c->m)));
    if (c->q->n_dim < 0 || c->q->n_dim > info->n_embd_out)
        return local_blame(c, GATE_F_DIM,
                           err_set(e, E_INVALID, "%s: %d; the model gives %d",
                                   local_field(c, GATE_F_DIM), c->q->n_dim, info->n_embd_out));
    return 0;
}

int local_embed_start(struct local_call *c, struct err *e)
{
    struct local_embed *em;
    int rc = check_kind(c, e), window = 2 * c->m->en->size.n_seq_max;

    if (rc < 0)
        return rc;
    c->embed = em = mem_calloc(1, sizeof(*em));
    if (!em)
        return err_set(e, E_NOMEM, "no memory for embeddings");
    (void)pthread_mutex_init(&em->turn, NULL);
    em->c = c;
    em->score = c->q->kind == GATE_RERANK;
    em->n_out = c->q->n_dim && !em->score ? c->q->n_dim : c->m->en->info.n_embd_out;
    em->window = window < WINDOW_MOST ? window : WINDOW_MOST;
    em->n = c->q->n_input;
    em->ids = mem_calloc(em->n ? em->n : 1, sizeof(*em->ids));
    em->input = mem_calloc(em->n ? em->n : 1, sizeof(*em->input));
    em->out = mem_calloc((size_t)em->n_out, sizeof(*em->out));
    if (!em->ids || !em->input || !em->out || local_jobs(c, em->n) < 0)
        return err_set(e, E_NOMEM, "no memory for %zu inputs", em->n);
    for (size_t i = 0; i < em->n; i++)
        em->input[i] = (struct input){em, i};
    c->usage.n_ctx = local_n_ctx(c);
    rc = local_blame(c, GATE_F_PROMPT, encode_all(em, e));
    if (rc < 0 || c->q->count_only) {
        if (rc == 0)
            (void)local_say_start(c);
        return rc;
    }
    (void)local_say_start(c);
    hand_over(em);
    return 0;
}

/* local_prep.c - from a request to what the engine is to do: what may take a while, and is done
 * neither by who asks nor by who computes. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "infer/engine.h"

/* -- what needs no computing ----------------------------------------------------------- */

static void say_finish(struct local_call *c, int finish)
{
    for (int i = 0; i < c->q->n_choice; i++) {
        struct gate_event ev = {
            .kind = GATE_EV_FINISH, .choice = i, .finish = finish, .usage = &c->usage};

        (void)local_say(c, &ev);
    }
}

/* The prompt as the model sees it. */
static int say_prompt(struct local_call *c, const struct local_prompt *p, struct err *e)
{
    const struct tok *tok = infer_tok(c->m->en->model);
    struct gate_event ev = {.kind = GATE_EV_CONTENT};
    struct buf b;
    int rc = 0;

    buf_init(&b, (size_t)256 << 20);
    if (p->chat)
        rc = buf_put(&b, p->p.text.text.p ? p->p.text.text.p : "", p->p.text.text.n);
    for (size_t i = 0; i < p->p.ids.n && !p->chat && tok && rc == 0; i++) {
        struct str s = tok_piece(tok, p->p.ids.id[i], 1);

        rc = buf_put(&b, s.p, s.n);
    }
    if (rc == 0) {
        ev.text = (struct str){b.p ? b.p : "", b.n};
        (void)local_say_start(c);
        (void)local_say(c, &ev);
        say_finish(c, GATE_END);
    }
    buf_done(&b);
    return rc < 0 ? err_set(e, rc, "no memory for the prompt") : 0;
}

static int prepare_text(struct local_call *c, struct err *e)
{
    struct local_prompt p = {0};
    struct sched_request r = {0};
    struct gate_usage *u = &c->usage;
    int rc = local_blame(c, GATE_F_MODEL, infer_writes(c->m->en->model, e));

    if (rc == E_NOT_FOUND && c->q->kind == GATE_TEXT && c->q->raw) {
        rc = 0; /* tokens in, tokens out */
        c->blamed = NULL;
    }
    if (rc == E_NOT_FOUND) /* the model is there: it is a tokenizer that is not */
        rc = e->code = E_UNSUPPORTED;
    if (rc == 0)
        rc = local_blame(c, GATE_F_PROMPT, local_prompt_make(c, &p, e));
    if (rc == 0)
        rc = infer_intact(c->m->en->model, e); /* a template may be read where it lies */
    u->n_prompt = (int)p.p.ids.n;
    u->n_ctx = local_n_ctx(c);
    u->n_dropped = (int)p.dropped;
    u->n_dropped_messages = p.dropped_messages;
    if (rc == 0 && c->q->render_only) {
        rc = say_prompt(c, &p, e);
    } else if (rc == 0 && c->q->count_only) {
        (void)local_say_start(c);
    } else if (rc == 0) {
        rc = local_sample(c, &r, e);
        if (rc == 0)
            rc = local_answer_start(c, &p, &r, e);
    }
    local_prompt_done(&p);
    return rc;
}

static int prepare_load(struct local_call *c, struct err *e)
{
    (void)e;
    c->usage.n_ctx = local_n_ctx(c);
    (void)local_say_start(c);
    return 0;
}

/* By enum gate_kind. */
static int (*const kinds[])(struct local_call *c, struct err *e) = {
    [GATE_CHAT] = prepare_text,        [GATE_TEXT] = prepare_text,
    [GATE_INFILL] = prepare_text,      [GATE_EMBED] = local_embed_start,
    [GATE_RERANK] = local_embed_start, [GATE_LOAD] = prepare_load,
};

/* -- the way there --------------------------------------------------------------------- */

/* A request to let a model go needs none to be loaded. 1: it was done. */
static int unload_only(struct local_call *c, struct err *e)
{
    struct store_model sm;
    struct local_model *m;
    int rc;

    if (c->q->kind != GATE_LOAD || c->q->keep_alive_ns != 0)
        return 0;
    rc = local_blame(c, GATE_F_MODEL, local_resolve(c->l, c->q->model, &sm, e));
    if (rc == 0) { /* by its full name from now on */
        c->q->model = gate_str(c->q, local_key(&sm), strlen(local_key(&sm)));
        rc = c->q->model.p ? 0 : err_set(e, E_NOMEM, "no memory for a name");
    }
    if (rc == 0) {
        local_lock(c->l);
        local_stay_away(c->l, local_key(&sm));
        m = local_loaded(c->l, local_key(&sm));
        if (m)
            local_leave(m); /* who waits for it already still gets it */
        local_unlock(c->l);
        (void)local_say_start(c);
    }
    store_model_done(&sm);
    return rc < 0 ? rc : 1;
}

/* 1: the model is not loaded yet; the call waits there, and is somebody else's. */
static int wait_for_model(struct local_call *c)
{
    struct gate_event ev = {.kind = GATE_EV_LOADING};
    struct local_engine *en = c->m->en;
    struct local_call **at = &en->waiting;
    int waits;

    local_lock(c->l);
    waits = !en->loaded;
    ev.done = en->progress;
    local_unlock(c->l);
    if (waits)
        (void)local_say(c, &ev); /* the next one may be long in coming */
    local_lock(c->l);
    waits = !en->loaded && !atomic_load(&c->cancelled);
    if (waits) {
        while (*at)
            at = &(*at)->next;
        c->next = NULL;
        *at = c;
        c->stage = STAGE_WAITING;
        c->wait_ns = clock_ns();
        (void)pthread_cond_broadcast(&c->l->change); /* the clock runs: load_timeout */
    }
    local_unlock(c->l);
    return waits;
}

/* 1: it is nothing without a tokenizer. */
static int needs_words(const struct gate_request *q)
{
    int of_ids = q->kind == GATE_TEXT && q->raw && q->n_input && q->input[0].ids;

    return !of_ids && (q->kind == GATE_CHAT || q->kind == GATE_TEXT || q->kind == GATE_INFILL);
}

/* Looks up the model. 1: as wait_for_model. */
static int get_model(struct local_call *c, struct err *e)
{
    struct local_model *m = NULL;
    int rc = 0;

    if (!c->m) {
        rc = local_blame(c, GATE_F_MODEL,
                         local_take(c->l, c->q->model, needs_words(c->q), &m, e));
        if (rc < 0)
            return rc;
        local_lock(c->l);
        c->m = m;
        local_unlock(c->l);
        if (wait_for_model(c))
            return 1;
    }
    if (c->wait_ns)
        c->usage.load_ns = clock_ns() - c->wait_ns;
    local_lock(c->l);
    if (c->m->en->why.code) {
        *e = c->m->en->why;
        rc = e->code;
    } else if (!c->m->en->loaded) {
        rc = err_set(e, E_CANCELLED, "the request was cancelled");
    }
    local_unlock(c->l);
    return rc < 0 ? rc : local_words(c->m, e);
}

static int is_late(const struct local_call *c)
{
    return c->q->deadline_ns && clock_ns() > c->q->deadline_ns;
}

/* One that would be answered in part is not answered. */
static int check(struct local_call *c, struct err *e)
{
    const struct gate_request *q = c->q;

    if ((q->kind == GATE_TEXT || q->kind == GATE_INFILL) && q->n_input > 1)
        return local_blame(c, GATE_F_PROMPT,
                           err_set(e, E_INVALID,
                                   "%zu prompts in one request; one is taken at a time",
                                   q->n_input));
    return is_late(c) ? err_set(e, E_CANCELLED, "the request waited longer than it may") : 0;
}

void local_prepare(struct local_call *c)
{
    struct err e = {0};
    int rc = 0;

    if (!c->failed.code && !atomic_load(&c->cancelled)) {
        rc = check(c, &e);
        if (rc == 0)
            rc = unload_only(c, &e);
        if (rc == 0) {
            rc = get_model(c, &e);
            if (rc == 1)
                return;
            if (rc == 0) {
                local_warn_n_ctx(c);
                rc = kinds[c->q->kind](c, &e);
            }
        }
    }
    local_lock(c->l);
    if (rc == E_BUSY && c->m && c->m->en->why.code) /* it broke while this was being prepared */
        e = c->m->en->why;
    local_unlock(c->l);
    if (rc < 0)
        local_fail_param(c, &e, c->blamed);
    local_lock(c->l);
    if (c->stage == STAGE_PREPARING)
        c->stage = STAGE_RUNNING;
    local_begun(c);
    local_unlock(c->l);
    local_share_end(c);
}

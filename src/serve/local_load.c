/* local_load.c - the thread of a model: loads it, runs its scheduler, takes it down. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/engine.h"

#include <limits.h>

/* How a model without a template is talked to: roles in front of lines. */
static const char plain_template[] =
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ m.content }}\n\n"
    "{% else %}{{ m.role | capitalize }}: {{ m.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

/* -- progress -------------------------------------------------------------------------- */

/* Tells those who wait. They stay at the model while this thread has the lock only, so each is
 * held meanwhile; one that is elsewhere by then hears an event that is a little late. */
static void progress(struct local_model *m, double done)
{
    struct local *l = m->l;
    struct local_call *held[64];
    int n = 0;

    local_lock(l);
    m->progress = done;
    for (struct local_call *c = m->waiting; c && n < 64; c = c->next) {
        (void)atomic_fetch_add(&c->refs, 1);
        held[n++] = c;
    }
    local_unlock(l);
    for (int i = 0; i < n; i++) {
        struct gate_event ev = {.kind = GATE_EV_LOADING, .done = done};

        (void)local_say(held[i], &ev);
        local_call_unref(held[i]);
    }
}

/* -- making ---------------------------------------------------------------------------- */

static int public_err(struct err *e, const struct hearth_error *he, const char *what)
{
    return err_set(e, he->code ? he->code : E_INTERNAL, "%s%s", what, he->message);
}

static int open_weights(struct local_model *m, struct err *e)
{
    struct local_engine *en = &m->en;
    struct hearth_model_options o = {.n_thread = m->setup.n_thread,
                                     .pack_cache = m->setup.pack_cache};
    struct hearth_error he = {0};
    int rc = 0;

    if (hearth_model_open(&en->model, m->sm.path, &o, &he) < 0)
        return public_err(e, &he, "");
    for (size_t i = 0; i < m->sm.n_adapter && rc == 0; i++) {
        if (hearth_model_adapt(en->model, m->sm.adapter[i], 1, &he) < 0)
            rc = public_err(e, &he, "adapter: ");
    }
    hearth_model_info(en->model, &en->info);
    return rc;
}

static int open_draft(struct local_model *m, struct err *e)
{
    struct hearth_engine_options o = {.n_ctx = m->en.size.n_ctx,
                                      .n_seq_max = m->en.size.n_seq_max,
                                      .n_thread = m->setup.n_thread};
    struct hearth_model_options mo = {.n_thread = m->setup.n_thread,
                                      .pack_cache = m->setup.pack_cache};
    struct hearth_error he = {0};
    struct store_model sm = {0};
    const char *path = m->sm.draft;
    int rc = 0;

    if (!m->setup.draft && !path)
        return 0;
    if (m->setup.draft) {
        rc = local_resolve(m->l, str_of(m->setup.draft), &sm, e);
        path = sm.path;
    }
    if (rc < 0)
        rc = err_wrap(e, rc, "draft");
    else if (hearth_model_open(&m->en.draft_model, path, &mo, &he) < 0 ||
             hearth_engine_new(&m->en.draft, m->en.draft_model, &o, &he) < 0)
        rc = public_err(e, &he, "draft: ");
    store_model_done(&sm);
    return rc;
}

/* What it takes of the budget. The store's size of a model has its own DRAFT in it. */
static uint64_t draft_bytes(const struct local_model *m)
{
    struct hearth_engine_info size;
    struct hearth_model_info info;

    if (!m->en.draft)
        return 0;
    hearth_engine_info(m->en.draft, &size);
    hearth_model_info(m->en.draft_model, &info);
    return size.kv_bytes + size.scratch_bytes + (m->setup.draft ? info.file_bytes : 0);
}

static int make_engine(struct local_model *m, uint64_t kv_bytes, struct hearth_error *he)
{
    struct local_engine *en = &m->en;
    struct hearth_engine_options o = {.n_ctx = m->setup.n_ctx ? m->setup.n_ctx
                                                              : en->info.n_ctx_train,
                                      .n_seq_max = m->setup.n_parallel,
                                      .n_thread = m->setup.n_thread,
                                      .kv_type = m->setup.kv_k,
                                      .kv_type_v = m->setup.kv_v,
                                      .kv_bytes = kv_bytes,
                                      .kv_dir = m->setup.kv_disk,
                                      .kv_dir_bytes = m->setup.kv_disk_bytes};
    int rc = hearth_engine_new(&en->engine, en->model, &o, he);

    if (rc == 0)
        hearth_engine_info(en->engine, &en->size);
    return rc;
}

/* A cache that holds all texts when they are full, unless that is more than a model may have:
 * then texts share what there is. Its memory is not there before it is used, so it costs little
 * to see how large it would be. */
static int open_engine(struct local_model *m, struct err *e)
{
    struct local_engine *en = &m->en;
    uint64_t most = m->setup.kv_bytes ? m->setup.kv_bytes : local_kv_most(m->l);
    struct hearth_error he = {0};
    int rc = make_engine(m, 0, &he);

    if (rc == E_NOMEM || (rc == 0 && en->size.kv_bytes > most)) {
        hearth_engine_free(en->engine);
        en->engine = NULL;
        rc = make_engine(m, most, &he);
    }
    return rc < 0 ? public_err(e, &he, "") : 0;
}

static int on_packed(void *model, double done)
{
    struct local_model *m = model;
    int stop;

    local_lock(m->l);
    stop = m->l->stopping;
    local_unlock(m->l);
    progress(m, 0.5 + 0.3 * done);
    return stop;
}

/* With a directory for packed weights they are packed before the first answer, once, and kept
 * there; without one, between steps. That it goes wrong is said, and no failure. */
static int keep_packed(struct local_model *m, struct err *e)
{
    struct local_engine *en = &m->en;
    struct hearth_error he = {0};

    if (!m->setup.pack_cache)
        return 0;
    if (hearth_engine_pack(en->engine, on_packed, m, &he) < 0)
        return public_err(e, &he, "");
    hearth_model_info(en->model, &en->info);
    if (en->info.pack_note[0])
        log_line(LOG_WARN, "model '%s': %s", local_name(m), en->info.pack_note);
    return 0;
}

static int open_chat(struct local_model *m, struct err *e)
{
    struct local_engine *en = &m->en;
    struct chat_source s = {.kind = TMPL_JINJA, .name = str_of(en->info.arch)};
    int rc;

    s.tok = infer_tok(en->model);
    if (!s.tok) {
        (void)err_set(&en->chat_why, E_UNSUPPORTED,
                      "this model's tokenizer is not known here, so there can be no "
                      "conversation");
        return 0;
    }
    if (m->sm.template.n) {
        s.text = m->sm.template;
        s.kind = tmpl_kind_of(s.text);
    } else if (infer_text(en->model, "tokenizer.chat_template", &s.text)) {
        if (!infer_text(en->model, "tokenizer.chat_template.tool_use", &s.tools_text))
            s.tools_text = (struct str){NULL, 0};
    } else {
        s.text = str_of(plain_template);
        en->plain = 1;
    }
    rc = chat_new(&en->chat, &s, e);
    if (rc == E_NOMEM)
        return rc;
    if (rc < 0) { /* texts can be completed all the same */
        (void)err_wrap(e, rc, "the model's chat template");
        log_line(LOG_WARN, "model '%s': %s", local_name(m), e->msg);
        en->chat_why = *e;
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        en->hidden[i] = mem_calloc(MASK_WORDS(en->info.n_vocab), sizeof(*en->hidden[i]));
        if (!en->hidden[i])
            return err_set(e, E_NOMEM, "no memory for a chat template");
        chat_hidden(en->chat, i, en->hidden[i]);
    }
    return 0;
}

/* Before its requests end: who asks again then gets a model that is loaded anew. */
static void on_broken(void *model, const struct err *why)
{
    struct local_model *m = model;

    local_lock(m->l);
    m->state = LOCAL_LEAVING;
    m->why = *why;
    local_unlock(m->l);
}

static int open_sched(struct local_model *m, struct err *e)
{
    struct sched_options o = {
        .n_lookup = m->setup.lookup, .draft = m->en.draft, .broken = on_broken, .ctx = m};

    local_lock(m->l);
    o.n_queue = m->l->config->n_queue;
    local_unlock(m->l);
    return sched_new(&m->en.sched, m->en.engine, &o, e);
}

static int load(struct local_model *m, struct err *e)
{
    struct local_engine *en = &m->en;
    uint64_t weights = m->sm.size;
    int rc;

    progress(m, 0);
    rc = local_room(m, weights, e);
    if (rc == 0)
        rc = open_weights(m, e);
    if (rc == 0) {
        progress(m, 0.5);
        weights = en->info.file_bytes > weights ? en->info.file_bytes : weights;
        rc = open_engine(m, e);
    }
    if (rc == 0)
        rc = open_draft(m, e);
    if (rc == 0)
        rc = local_room(
            m, weights + en->size.kv_bytes + en->size.scratch_bytes + draft_bytes(m), e);
    if (rc == 0)
        rc = keep_packed(m, e);
    if (rc == 0) {
        progress(m, 0.8);
        rc = open_chat(m, e);
    }
    if (rc == 0)
        rc = open_sched(m, e);
    if (rc == 0)
        rc = infer_intact(en->model, e); /* a template that is zeros is none */
    if (rc == 0)
        progress(m, 1);
    return rc;
}

/* -- taking down ----------------------------------------------------------------------- */

static void take_down(struct local_engine *en)
{
    sched_free(en->sched);
    chat_free(en->chat);
    mask_vocab_free(en->vocab);
    for (int i = 0; i < 2; i++)
        mem_free(en->hidden[i]);
    hearth_engine_free(en->draft);
    hearth_model_close(en->draft_model);
    hearth_engine_free(en->engine);
    hearth_model_close(en->model);
}

/* -- the thread ------------------------------------------------------------------------ */

/* Under the lock: those who waited go on, whatever has become of the model. */
static void wake_waiting(struct local_model *m)
{
    struct local_call *c;

    while ((c = m->waiting)) {
        m->waiting = c->next;
        local_enqueue(c);
    }
}

/* Says how loading went. 1: it is to be run. */
static int loaded(struct local_model *m, int rc, const struct err *e)
{
    struct local *l = m->l;
    double took = (double)(clock_ns() - m->load_ns) / 1e9;
    int run;

    if (rc < 0)
        log_line(LOG_WARN, "model '%s' was not loaded: %s", local_name(m), e->msg);
    else
        log_line(LOG_INFO, "model '%s' loaded in %.2f s", local_name(m), took);
    if (rc == 0) {
        metrics_put(l->metrics, METRIC_LOADS, local_name(m), NULL, NULL, 1);
        metrics_put(l->metrics, METRIC_LOAD_TIME, local_name(m), NULL, NULL, took);
    }
    local_lock(l);
    if (rc < 0) {
        m->why = *e;
        m->state = LOCAL_LEAVING;
    } else if (m->state == LOCAL_LOADING) {
        m->state = LOCAL_READY;
    }
    m->idle_ns = clock_ns();
    m->loaded = 1;
    wake_waiting(m);
    run = rc == 0 && (m->state == LOCAL_READY || m->refs > 0);
    m->running = run;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    return run;
}

void *local_model_thread(void *model)
{
    struct local_model *m = model;
    struct local *l = m->l;
    struct err e = {0};
    int rc = load(m, &e);

    if (loaded(m, rc, &e)) {
        rc = sched_run(m->en.sched, &e);
        if (rc < 0)
            log_line(LOG_ERROR, "model '%s' stopped: %s", local_name(m), e.msg);
    }
    local_lock(l);
    m->state = LOCAL_LEAVING;
    if (rc < 0)
        m->why = e;
    local_tell(m);
    m->running = 0;
    (void)pthread_cond_broadcast(&l->change);
    while (m->refs)
        (void)pthread_cond_wait(&l->change, &l->lock);
    local_unlock(l);
    take_down(&m->en);
    mem_trim(); /* what was in small pieces, too */
    local_tell_gone(m);
    local_lock(l);
    m->bytes = 0;
    m->gone = 1;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    return NULL;
}

int local_vocab(struct local_model *m, const struct mask_vocab **out, struct err *e)
{
    const struct tok *tok = infer_tok(m->en.model);
    int rc = 0;

    if (!tok)
        return err_set(e, E_UNSUPPORTED,
                       "this model's tokenizer is not known here, so answers cannot be held to "
                       "a form");
    (void)pthread_mutex_lock(&m->en.vocab_lock);
    if (!m->en.vocab)
        rc = mask_vocab_new(&m->en.vocab, tok, e);
    *out = m->en.vocab;
    (void)pthread_mutex_unlock(&m->en.vocab_lock);
    return rc;
}

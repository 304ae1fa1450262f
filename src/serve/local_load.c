/* local_load.c - the thread of an engine: loads it, runs its scheduler, takes it down. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "sys/slice.h"

#include <limits.h>

/* -- progress -------------------------------------------------------------------------- */

/* Tells those who wait. They stay at the model while this thread has the lock only, so each is
 * held meanwhile; one that is elsewhere by then hears an event that is a little late. */
static void progress(struct local_engine *en, double done)
{
    struct local *l = en->l;
    struct local_call *held[64];
    int n = 0;

    local_lock(l);
    en->progress = done;
    for (struct local_call *c = en->waiting; c && n < 64; c = c->next) {
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

/* 1: nobody wants it any more. */
static int unwanted(struct local_engine *en)
{
    int rc;

    local_lock(en->l);
    rc = local_wanted(en, NULL);
    local_unlock(en->l);
    return rc < 0;
}

/* Weights may have to be rearranged before packed ones are read: what was said stays true. */
static int on_read(void *engine, double done)
{
    struct local_engine *en = engine;

    if (0.5 * done > en->progress) /* which this thread alone changes */
        progress(en, 0.5 * done);
    return unwanted(en);
}

static int open_weights(struct local_engine *en, struct err *e)
{
    struct hearth_model_options o = {.n_thread = en->setup.n_thread,
                                     .pack_cache = en->setup.pack_cache,
                                     .progress = on_read,
                                     .ctx = en};
    struct hearth_error he = {0};
    int rc = 0;

    if (hearth_model_open(&en->model, en->source.path, &o, &he) < 0)
        return public_err(e, &he, "");
    for (size_t i = 0; i < en->source.n_adapter && rc == 0; i++) {
        if (hearth_model_adapt(en->model, en->source.adapter[i], 1, &he) < 0)
            rc = public_err(e, &he, "adapter: ");
    }
    hearth_model_info(en->model, &en->info);
    return rc;
}

static int on_draft_read(void *engine, double done)
{
    (void)done;
    return unwanted(engine);
}

/* Tokens of a text of which nothing else is said. */
static int usual(const struct local_engine *en)
{
    return en->setup.n_ctx ? en->setup.n_ctx : en->info.n_ctx_train;
}

static int open_draft(struct local_engine *en, struct err *e)
{
    struct hearth_engine_options o = {
        .n_ctx = usual(en), .n_seq_max = en->size.n_seq_max, .n_thread = en->setup.n_thread};
    struct hearth_model_options mo = {.n_thread = en->setup.n_thread,
                                      .pack_cache = en->setup.pack_cache,
                                      .progress = on_draft_read,
                                      .ctx = en};
    struct hearth_error he = {0};
    struct store_model sm = {0};
    const char *path = en->source.draft;
    int rc = 0;

    if (!en->setup.draft && !path)
        return 0;
    if (en->setup.draft) {
        rc = local_resolve(en->l, str_of(en->setup.draft), &sm, e);
        path = sm.path;
    }
    if (rc < 0)
        rc = err_wrap(e, rc, "draft");
    else if (hearth_model_open(&en->draft_model, path, &mo, &he) < 0 ||
             hearth_engine_new(&en->draft, en->draft_model, &o, &he) < 0)
        rc = public_err(e, &he, "draft: ");
    store_model_done(&sm);
    return rc;
}

/* What it takes of the budget. The store's size of a model has its own DRAFT in it. */
static uint64_t draft_bytes(const struct local_engine *en)
{
    struct hearth_engine_info size;
    struct hearth_model_info info;

    if (!en->draft)
        return 0;
    hearth_engine_info(en->draft, &size);
    hearth_model_info(en->draft_model, &info);
    return size.kv_bytes + size.scratch_bytes + (en->setup.draft ? info.file_bytes : 0);
}

static int make_engine(struct local_engine *en, uint64_t kv_bytes, struct hearth_error *he)
{
    struct hearth_engine_options o = {.n_ctx = usual(en),
                                      .n_ctx_most = en->info.n_ctx_train,
                                      .n_seq_max = en->setup.n_parallel,
                                      .n_thread = en->setup.n_thread,
                                      .kv_type = en->setup.kv_k,
                                      .kv_type_v = en->setup.kv_v,
                                      .kv_bytes = kv_bytes,
                                      .kv_dir = en->setup.kv_disk,
                                      .kv_dir_bytes = en->setup.kv_disk_bytes};
    int rc = hearth_engine_new(&en->engine, en->model, &o, he);

    if (rc == 0) {
        hearth_engine_info(en->engine, &en->size);
        en->n_usual = usual(en) < en->size.n_fit ? usual(en) : en->size.n_fit;
    }
    return rc;
}

/* A cache that holds all texts when they are full, unless that is more than a model may have:
 * then texts share what there is. Its memory is not there before it is used, so it costs little
 * to see how large it would be. */
static int open_engine(struct local_engine *en, struct err *e)
{
    uint64_t most = en->setup.kv_bytes ? en->setup.kv_bytes : local_kv_most(en->l);
    struct hearth_error he = {0};
    int rc = make_engine(en, 0, &he);

    if (rc == E_NOMEM || (rc == 0 && en->size.kv_bytes > most)) {
        hearth_engine_free(en->engine);
        en->engine = NULL;
        rc = make_engine(en, most, &he);
    }
    return rc < 0 ? public_err(e, &he, "") : 0;
}

static int on_packed(void *engine, double done)
{
    progress(engine, 0.5 + 0.3 * done);
    return unwanted(engine);
}

/* With a directory for packed weights they are packed before the first answer, once, and kept
 * there; without one, between steps. That it goes wrong is said, and no failure. */
static int keep_packed(struct local_engine *en, struct err *e)
{
    struct hearth_error he = {0};

    if (!en->setup.pack_cache)
        return 0;
    if (hearth_engine_pack(en->engine, on_packed, en, &he) < 0)
        return public_err(e, &he, "");
    hearth_model_info(en->model, &en->info);
    if (en->info.pack_note[0])
        log_line(LOG_WARN, "model '%s': %s", en->name, en->info.pack_note);
    return 0;
}

/* Before its requests end: who asks again then gets one that is loaded anew. */
static void on_broken(void *engine, const struct err *why)
{
    struct local_engine *en = engine;

    local_lock(en->l);
    en->why = *why;
    local_leave_all(en);
    local_unlock(en->l);
}

static int open_sched(struct local_engine *en, struct err *e)
{
    struct sched_options o = {
        .n_lookup = en->setup.lookup, .draft = en->draft, .broken = on_broken, .ctx = en};

    local_lock(en->l);
    o.n_queue = en->l->config->n_queue;
    local_unlock(en->l);
    return sched_new(&en->sched, en->engine, &o, e);
}

/* -- taking down ----------------------------------------------------------------------- */

/* All that was made, so that it can be made again. */
static void unmake(struct local_engine *en)
{
    sched_free(en->sched);
    mask_vocab_free(en->vocab);
    hearth_engine_free(en->draft);
    hearth_model_close(en->draft_model);
    hearth_engine_free(en->engine);
    hearth_model_close(en->model);
    en->sched = NULL;
    en->vocab = NULL;
    en->engine = en->draft = NULL;
    en->model = en->draft_model = NULL;
    mem_trim(); /* what was in small pieces, too */
}

/* -- loading ---------------------------------------------------------------------------- */

/* Returns 1 when it is to begin again. */
static int try_load(struct local_engine *en, struct err *e)
{
    uint64_t weights = en->source.size;
    int rc;

    progress(en, 0);
    rc = local_room(en, weights, 0, e);
    if (rc == 0)
        rc = open_weights(en, e);
    if (rc == 0) {
        progress(en, 0.5);
        weights = en->info.file_bytes > weights ? en->info.file_bytes : weights;
        rc = open_engine(en, e);
    }
    if (rc == 0)
        rc = open_draft(en, e);
    if (rc == 0)
        rc = local_room(
            en, weights + en->size.kv_bytes + en->size.scratch_bytes + draft_bytes(en), 1, e);
    if (rc == 0)
        rc = keep_packed(en, e);
    if (rc == 0) {
        progress(en, 0.8);
        rc = open_sched(en, e);
    }
    if (rc == 0)
        rc = infer_intact(en->model, e);
    if (rc == 0)
        progress(en, 1);
    return rc;
}

/* In its turn there may be room for its weights, and none for the rest before others have had
 * theirs. */
static int load(struct local_engine *en, struct err *e)
{
    int rc = try_load(en, e);

    while (rc > 0) {
        log_line(LOG_INFO, "model '%s' waits for others that were asked for before", en->name);
        unmake(en);
        local_room_back(en);
        rc = try_load(en, e);
    }
    if (rc == E_CANCELLED) { /* by whom is what matters */
        local_lock(en->l);
        rc = local_wanted(en, e);
        local_unlock(en->l);
        rc = rc < 0 ? rc : E_CANCELLED;
    }
    return rc;
}

/* -- the thread ------------------------------------------------------------------------ */

/* Says how loading went. 1: it is to be run. */
static int loaded(struct local_engine *en, int rc, const struct err *e)
{
    struct local *l = en->l;
    double took = (double)(clock_ns() - en->load_ns) / 1e9;
    int run;

    if (rc < 0)
        log_line(rc == E_CANCELLED ? LOG_INFO : LOG_WARN, "model '%s' was not loaded: %s",
                 en->name, e->msg);
    else
        log_line(LOG_INFO, "model '%s' loaded in %.2f s", en->name, took);
    if (rc == 0) {
        metrics_put(l->metrics, METRIC_LOADS, en->name, NULL, NULL, 1);
        metrics_put(l->metrics, METRIC_LOAD_TIME, en->name, NULL, NULL, took);
    }
    local_lock(l);
    if (rc < 0) {
        en->why = *e;
        local_leave_all(en);
        local_room_lost(en);
    } else if (en->state == LOCAL_LOADING) {
        en->state = LOCAL_READY;
    }
    for (struct local_model *m = l->models; m; m = m->next)
        m->idle_ns = m->en == en ? clock_ns() : m->idle_ns;
    en->loaded = 1;
    while (en->waiting) /* they go on, whatever has become of it */
        local_wait_end(&en->waiting);
    run = rc == 0 && (en->state == LOCAL_READY || en->refs > 0);
    en->running = run;
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    return run;
}

void *local_engine_thread(void *engine)
{
    struct local_engine *en = engine;
    struct local *l = en->l;
    struct err e = {0};
    int rc;

    slice_normal(); /* it may have been made by a thread that has short ones */
    rc = load(en, &e);

    if (loaded(en, rc, &e)) {
        rc = sched_run(en->sched, &e);
        if (rc < 0)
            log_line(LOG_ERROR, "model '%s' stopped: %s", en->name, e.msg);
    }
    local_lock(l);
    if (rc < 0)
        en->why = e;
    local_tell(en);
    en->running = 0;
    local_leave_all(en);
    while (en->refs)
        (void)pthread_cond_wait(&l->change, &l->lock);
    local_unlock(l);
    unmake(en);
    local_lock(l);
    en->bytes = 0;
    en->gone = 1;
    local_tell_gone(en); /* under the lock: who puts gauges meanwhile finds it gone */
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
    return NULL;
}

int local_vocab(struct local_engine *en, const struct mask_vocab **out, struct err *e)
{
    const struct tok *tok = infer_tok(en->model);
    int rc = 0;

    if (!tok)
        return err_set(e, E_UNSUPPORTED,
                       "this model's tokenizer is not known here, so answers cannot be held to "
                       "a form");
    (void)pthread_mutex_lock(&en->vocab_lock);
    if (!en->vocab)
        rc = mask_vocab_new(&en->vocab, tok, e);
    *out = en->vocab;
    (void)pthread_mutex_unlock(&en->vocab_lock);
    return rc;
}

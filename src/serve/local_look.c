/* local_look.c - for who looks on: what is loaded, what it is doing, and its tokenizer. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/mem.h"
#include "infer/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* What is past the end of that clock is for ever. */
static int64_t wall_of(uint64_t monotonic_ns)
{
    int64_t now = (int64_t)clock_read(CLOCK_REALTIME),
            left = (int64_t)(monotonic_ns - clock_ns());

    return left < GATE_KEEP_FOREVER - now ? now + left : GATE_KEEP_FOREVER;
}

/* Under the lock. */
static void look(const struct local_model *m, struct local_info *out)
{
    const struct local_engine *en = m->en;
    uint64_t end = local_expiry(m), now = clock_ns();

    *out = (struct local_info){.name = local_name(m),
                               .engine = en->name,
                               .path = m->sm.path,
                               .digest = m->sm.digest,
                               .state = m->leaving ? LOCAL_LEAVING : en->state,
                               .pinned = m->pinned,
                               .load_progress = en->progress,
                               .bytes = en->bytes,
                               .weight_bytes = m->sm.size,
                               .used_ns = m->refs ? now : m->idle_ns,
                               .expires_at_ns = GATE_KEEP_FOREVER};
    /* While it is in use the time that it stays has not begun. */
    if (end == UINT64_MAX && !m->pinned && m->keep_ns >= 0 && m->keep_ns != GATE_KEEP_FOREVER)
        end = now + (uint64_t)m->keep_ns;
    if (end != UINT64_MAX)
        out->expires_at_ns = wall_of(end);
    if (!en->loaded || en->why.code || en->gone)
        return;
    out->weight_bytes = en->info.file_bytes;
    out->kv_bytes = en->size.kv_bytes;
    out->n_ctx = en->n_usual;
    out->n_thread = en->size.n_thread;
    if (en->running)
        sched_stats(en->sched, &out->sched);
}

static int by_end(const void *a, const void *b)
{
    int64_t x = ((const struct local_info *)a)->expires_at_ns,
            y = ((const struct local_info *)b)->expires_at_ns;

    return (x < y) - (x > y);
}

void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                void *ctx)
{
    struct local_info *all = NULL;
    size_t n = 0, k = 0;

    local_lock(l);
    for (const struct local_model *m = l->models; m; m = m->next)
        n++;
    if (n)
        all = mem_alloc(n * sizeof(*all));
    for (const struct local_model *m = l->models; m && all; m = m->next) {
        if (!local_is_over(m))
            look(m, &all[k++]);
    }
    if (k)
        qsort(all, k, sizeof(*all), by_end);
    for (size_t i = 0; i < k; i++)
        visit(ctx, &all[i]);
    local_unlock(l);
    mem_free(all);
}

int local_hangs(struct local *l, struct err *e)
{
    uint64_t now = clock_ns(), limit = (uint64_t)LOCAL_HANG_S * 1000000000u;
    int hangs = 0;

    local_lock(l);
    for (const struct local_engine *en = l->engines; en && !hangs; en = en->next) {
        struct sched_stats s;

        if (!en->running)
            continue;
        sched_stats(en->sched, &s);
        hangs = s.last_step_ns && s.n_running > 0 && now > s.last_step_ns &&
                now - s.last_step_ns > limit;
        if (hangs)
            (void)err_set(e, E_BUSY, "model '%s' has not ended a step for %llu s", en->name,
                          (unsigned long long)((now - s.last_step_ns) / 1000000000u));
    }
    local_unlock(l);
    return hangs;
}

/* -- metrics --------------------------------------------------------------------------- */

/* There may be two of a name, one of which is on its way out: the gauges are what both have.
 * Under the lock. */
static void tell_gauges(const struct local_engine *of)
{
    struct metrics *to = of->l->metrics;
    struct sched_stats sum = {0};
    uint64_t bytes = 0;

    for (const struct local_engine *en = of->l->engines; en; en = en->next) {
        struct sched_stats s = {0};

        if (strcmp(en->name, of->name) != 0)
            continue;
        if (en->running)
            sched_stats(en->sched, &s);
        sum.n_running += s.n_running;
        sum.n_waiting += s.n_waiting;
        sum.pages += s.pages;
        sum.pages_used += s.pages_used;
        sum.pages_cached += s.pages_cached;
        bytes += en->loaded ? en->bytes : 0;
    }
    metrics_put(to, METRIC_RUNNING, of->name, NULL, NULL, sum.n_running);
    metrics_put(to, METRIC_WAITING, of->name, NULL, NULL, sum.n_waiting);
    metrics_put(to, METRIC_KV_PAGES, of->name, NULL, NULL, sum.pages);
    metrics_put(to, METRIC_KV_USED, of->name, NULL, NULL, sum.pages_used);
    metrics_put(to, METRIC_KV_CACHED, of->name, NULL, NULL, sum.pages_cached);
    metrics_put(to, METRIC_MODEL_BYTES, of->name, NULL, NULL, (double)bytes);
}

void local_tell(struct local_engine *en)
{
    struct metrics *to = en->l->metrics;
    const char *name = en->name;
    struct sched_stats s;

    if (!en->running)
        return;
    tell_gauges(en);
    sched_stats(en->sched, &s);
    if (s.last_step_rows)
        metrics_put(to, METRIC_BATCH, name, NULL, NULL, s.last_step_rows);
    if (s.preempted > en->preempted)
        metrics_put(to, METRIC_PREEMPTED, name, NULL, NULL,
                    (double)(s.preempted - en->preempted));
    en->preempted = s.preempted;
}

void local_tell_gone(const struct local_engine *en)
{
    int sent = 0;

    tell_gauges(en);
    for (const struct local_model *m = en->l->models; m; m = m->next)
        sent |= m->en == en && m->sent_by;
    if (sent)
        metrics_put(en->l->metrics, METRIC_EVICTIONS, en->name, NULL, NULL, 1);
}

/* -- holders --------------------------------------------------------------------------- */

/* Under the lock, which is left meanwhile: until it is loaded, but not for longer than who asks
 * for a text would wait, or than the server goes on, whether or not the load can be ended; and
 * not so many that nobody is left for what needs no model. */
static int wait_loaded(struct local_model *m, struct err *e)
{
    struct local_engine *en = m->en;
    struct local *l = m->l;
    uint64_t end = UINT64_MAX;
    struct timespec until;
    int rc = 0;

    if (!en->loaded && l->n_holder >= LOCAL_HOLDERS)
        return err_set(e, E_BUSY, "model '%s' is being loaded, and others wait for it",
                       local_name(m));
    if (l->config->load_timeout_s > 0)
        end = clock_ns() + (uint64_t)l->config->load_timeout_s * 1000000000u;
    until.tv_sec = (time_t)(end / 1000000000u);
    until.tv_nsec = (long)(end % 1000000000u);
    l->n_holder++;
    while (!en->loaded && rc == 0) {
        if (l->draining || l->stopping)
            rc = err_set(e, E_BUSY, "the server is shutting down");
        else if (end == UINT64_MAX)
            (void)pthread_cond_wait(&l->change, &l->lock);
        else if (pthread_cond_timedwait(&l->change, &l->lock, &until) == ETIMEDOUT)
            rc = err_set(e, E_BUSY, "model '%s' is not loaded yet (load_timeout)",
                         local_name(m));
    }
    l->n_holder--;
    en->stays |= rc == E_BUSY && en->settled && !l->draining;
    return en->loaded ? 0 : rc;
}

int local_hold(struct local *l, struct str name, struct local_model **out, struct err *e)
{
    struct local_model *m = NULL;
    int rc = local_take(l, name, 0, &m, e);

    if (rc < 0)
        return rc;
    local_lock(l);
    rc = wait_loaded(m, e);
    if (rc == 0 && m->en->why.code) {
        rc = m->en->why.code;
        if (e)
            *e = m->en->why;
    }
    local_unlock(l);
    if (rc == 0)
        rc = local_words(m, e);
    if (rc < 0)
        local_give(m, GATE_KEEP_DEFAULT);
    else
        *out = m;
    return rc;
}

void local_let_go(struct local_model *m)
{
    if (m)
        local_give(m, GATE_KEEP_DEFAULT);
}

const struct tok *local_tok(const struct local_model *m)
{
    return infer_tok(m->en->model);
}

const struct hearth_model *local_hearth(const struct local_model *m)
{
    return m->en->model;
}

struct str local_template(const struct local_model *m)
{
    struct str own = m->sm.template;

    if (!own.n && !infer_text(m->en->model, "tokenizer.chat_template", &own))
        own = str_of("");
    return own;
}

const struct chat *local_chat(const struct local_model *m)
{
    return m->plain ? NULL : m->chat;
}

void local_model_info(const struct local_model *m, struct local_info *out)
{
    local_lock(m->l);
    look(m, out);
    local_unlock(m->l);
}

void local_slots(const struct local_model *m,
                 void (*visit)(void *ctx, const struct sched_slot *slot), void *ctx)
{
    sched_each(m->en->sched, visit, ctx);
}

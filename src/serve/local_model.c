/* local_model.c - which models there are: names, references, and room for them. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "infer/engine.h"
#include "sys/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

/* Of the memory for models, what one model's cache takes at most, when nothing is configured.
 */
enum { KV_PART = 4 };

#define SHARE_OF_MACHINE 0.8 /* of its memory, for models, when nothing is configured */

/* -- names ----------------------------------------------------------------------------- */

static int is_path(struct str name)
{
    static const char *const begins[] = {"/", "./", "../", "~/"};

    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        size_t n = strlen(begins[i]);

        if (name.n >= n && memcmp(name.p, begins[i], n) == 0)
            return 1;
    }
    return 0;
}

/* 1: path lies below one of the directories that may be read from. Under the lock. */
static int below_allowed(const struct config *c, const char *path)
{
    char dir[PATH_MAX];

    if (!c->n_path_dir)
        return 1;
    for (int i = 0; i < c->n_path_dir; i++) {
        size_t n;

        if (!realpath(c->path_dirs[i], dir))
            continue;
        n = strlen(dir);
        if (strncmp(path, dir, n) == 0 && (path[n] == '/' || n == 1))
            return 1;
    }
    return 0;
}

static int not_found(struct str name, struct err *e)
{
    int n = name.n < 200 ? (int)name.n : 200;

    return err_set(e, E_NOT_FOUND, "model '%.*s' not found", n, name.p);
}

static int resolve_path(struct local *l, struct str name, struct store_model *out,
                        struct err *e)
{
    char text[PATH_MAX], real[PATH_MAX];
    const char *home = getenv("HOME");
    int n, ok;

    if (name.n >= 2 && name.p[0] == '~' && home)
        n = snprintf(text, sizeof(text), "%s%.*s", home,
                     (int)(name.n < PATH_MAX ? name.n - 1 : 0), name.p + 1);
    else
        n = snprintf(text, sizeof(text), "%.*s", (int)(name.n < PATH_MAX ? name.n : 0), name.p);
    ok = n > 0 && (size_t)n < sizeof(text) && !memchr(name.p, 0, name.n) &&
         realpath(text, real) != NULL;
    local_lock(l);
    ok = ok && l->config->allow_paths && below_allowed(l->config, real);
    local_unlock(l);
    /* Who may not read it must not learn that it is there. */
    return ok ? store_from_path(out, real, e) : not_found(name, e);
}

int local_resolve(struct local *l, struct str name, struct store_model *out, struct err *e)
{
    *out = (struct store_model){0};
    if (is_path(name))
        return resolve_path(l, name, out, e);
    return store_find(l->store, name, out, e);
}

struct local_model *local_loaded(struct local *l, const char *name)
{
    for (struct local_model *m = l->models; m; m = m->next) {
        if (!m->gone && m->state != LOCAL_LEAVING && strcasecmp(local_name(m), name) == 0)
            return m;
    }
    return NULL;
}

/* -- how it is to be run --------------------------------------------------------------- */

static int kv_type(const char *name)
{
    static const char *const names[] = {"auto", "f16", "f32", "q8_0", "q4_0"};

    for (int i = 0; name && i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return HEARTH_KV_AUTO;
}

static int copy_name(char **out, const char *s)
{
    *out = s ? mem_strdup(s) : NULL;
    return !s || *out ? 0 : E_NOMEM;
}

/* Under the lock: the configuration may be another one later. */
static int setup_of(struct local_model *m, const struct config *c)
{
    struct local_setup *s = &m->setup;
    const json_t *n_ctx = json_object_get(m->sm.params, "num_ctx");
    struct config_model set;
    int both;

    config_model(c, local_name(m), &set);
    both = kv_type(set.kv ? set.kv : c->kv);
    *s = (struct local_setup){
        .n_ctx = set.n_ctx ? set.n_ctx : c->n_ctx,
        .n_parallel = set.n_parallel ? set.n_parallel : c->n_parallel,
        .n_thread = c->n_thread,
        .lookup = set.lookup >= 0 ? set.lookup : c->lookup,
        .kv_k = set.kv_k ? kv_type(set.kv_k) : both,
        .kv_v = set.kv_v ? kv_type(set.kv_v) : both,
        .kv_bytes = c->kv_memory > 0 ? (uint64_t)c->kv_memory : 0,
        .kv_disk_bytes = c->kv_disk_bytes > 0 ? (uint64_t)c->kv_disk_bytes : 0,
    };
    if (!s->n_parallel)
        s->n_parallel = LOCAL_PARALLEL;
    /* What the model says of itself comes before what is said of all models. */
    if (json_is_integer(n_ctx) && s->n_ctx == c->n_ctx && json_integer_value(n_ctx) > 0 &&
        json_integer_value(n_ctx) < INT_MAX)
        s->n_ctx = (int)json_integer_value(n_ctx);
    m->keep_ns = set.keep_alive_ns == GATE_KEEP_DEFAULT ? c->keep_alive_ns : set.keep_alive_ns;
    m->pinned = set.pin > 0;
    m->priority = set.priority;
    if (copy_name(&s->pack_cache, c->pack_cache) < 0 || copy_name(&s->draft, set.draft) < 0 ||
        copy_name(&s->kv_disk, c->kv_disk) < 0)
        return E_NOMEM;
    return 0;
}

void local_model_free(struct local_model *m)
{
    store_model_done(&m->sm);
    mem_free(m->setup.pack_cache);
    mem_free(m->setup.draft);
    mem_free(m->setup.kv_disk);
    (void)pthread_mutex_destroy(&m->en.vocab_lock);
    mem_free(m);
}

/* Under the lock. Takes *sm over when it succeeds. */
static int model_begin(struct local *l, struct store_model *sm, struct local_model **out,
                       struct err *e)
{
    struct local_model *m = mem_calloc(1, sizeof(*m));
    int why;

    if (!m)
        return err_set(e, E_NOMEM, "no memory for a model");
    m->l = l;
    m->sm = *sm;
    m->state = LOCAL_LOADING;
    m->load_ns = m->used_ns = m->idle_ns = clock_ns();
    (void)pthread_mutex_init(&m->en.vocab_lock, NULL);
    if (setup_of(m, l->config) < 0) {
        m->sm = (struct store_model){0};
        local_model_free(m);
        return err_set(e, E_NOMEM, "no memory for a model");
    }
    why = pthread_create(&m->thread, NULL, local_model_thread, m);
    if (why) {
        m->sm = (struct store_model){0};
        local_model_free(m);
        return err_sys(e, E_IO, why, "a thread for a model");
    }
    *sm = (struct store_model){0};
    m->next = l->models;
    l->models = m;
    *out = m;
    return 0;
}

/* The name has come to mean something else. */
static int is_other(const struct store_model *a, const struct store_model *b)
{
    return strcmp(a->digest, b->digest) != 0 || a->modified_ns != b->modified_ns ||
           a->size != b->size;
}

/* Under the lock, which is left meanwhile: its files were replaced, or written over, so who
 * asks for it now wants another model. */
static int is_stale(struct local_model *m)
{
    int stale;

    if (!m || m->state != LOCAL_READY)
        return 0;
    m->refs++;
    local_unlock(m->l);
    stale =
        infer_changed(m->en.model) || (m->en.draft_model && infer_changed(m->en.draft_model));
    local_lock(m->l);
    if (--m->refs == 0 && m->state == LOCAL_LEAVING)
        local_leave(m);
    (void)pthread_cond_broadcast(&m->l->change);
    return stale && m->state == LOCAL_READY;
}

int local_take(struct local *l, struct str name, struct local_model **out, struct err *e)
{
    struct local_model *m = NULL;
    struct store_model sm;
    int rc = local_resolve(l, name, &sm, e);

    if (rc == 0) {
        local_lock(l);
        m = local_loaded(l, local_key(&sm));
        if (is_stale(m)) {
            log_line(LOG_INFO, "model '%s': its file is another one now", local_name(m));
            local_leave(m);
        }
        m = local_loaded(l, local_key(&sm));
        if (l->stopping) {
            rc = err_set(e, E_CANCELLED, "the server is shutting down");
        } else if (m && is_other(&m->sm, &sm)) {
            local_leave(m);
            m = NULL;
        }
        if (rc == 0 && !m)
            rc = model_begin(l, &sm, &m, e);
        if (rc == 0) {
            m->refs++;
            *out = m;
        }
        local_unlock(l);
    }
    store_model_done(&sm);
    return rc;
}

/* -- leaving --------------------------------------------------------------------------- */

void local_leave(struct local_model *m)
{
    m->state = LOCAL_LEAVING;
    if (m->refs == 0 && m->running)
        sched_stop(m->en.sched);
    (void)pthread_cond_broadcast(&m->l->change);
}

void local_give(struct local_model *m, int64_t keep_ns)
{
    struct local *l = m->l;

    local_lock(l);
    if (keep_ns != GATE_KEEP_DEFAULT)
        m->keep_ns = keep_ns;
    m->used_ns = clock_ns();
    if (--m->refs == 0) {
        m->idle_ns = m->used_ns;
        if (m->state == LOCAL_LEAVING || (m->keep_ns == 0 && !m->pinned))
            local_leave(m);
    }
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
}

uint64_t local_expiry(const struct local_model *m)
{
    if (m->state != LOCAL_READY || m->refs || m->pinned || m->keep_ns == GATE_KEEP_FOREVER ||
        m->keep_ns < 0)
        return UINT64_MAX;
    return m->idle_ns + (uint64_t)m->keep_ns;
}

/* -- room ------------------------------------------------------------------------------ */

static uint64_t machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_MAX;
    uint64_t group = cgroup_memory(NULL, NULL);

    return (uint64_t)((double)(group < all ? group : all) * SHARE_OF_MACHINE);
}

static uint64_t budget_of(struct local *l)
{
    return l->config->memory > 0 ? (uint64_t)l->config->memory : machine_bytes();
}

uint64_t local_kv_most(struct local *l)
{
    uint64_t all;

    local_lock(l);
    all = budget_of(l);
    local_unlock(l);
    return all / KV_PART;
}

struct room {
    uint64_t used, leaving, idle;
    struct local_model *victim; /* the idle one that goes first */
};

/* Of low priority first, then who was used longest ago. */
static int goes_before(const struct local_model *a, const struct local_model *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->used_ns < b->used_ns;
}

static struct room room_of(const struct local_model *self)
{
    struct room r = {0};

    for (struct local_model *m = self->l->models; m; m = m->next) {
        if (m == self)
            continue;
        r.used += m->bytes;
        if (m->state == LOCAL_LEAVING) {
            r.leaving += m->bytes;
        } else if (m->state == LOCAL_READY && !m->refs && !m->pinned) {
            r.idle += m->bytes;
            if (!r.victim || goes_before(m, r.victim))
                r.victim = m;
        }
    }
    return r;
}

static int no_room(const struct local_model *m, uint64_t need, uint64_t budget, uint64_t used,
                   struct err *e)
{
    const double mib = 1 << 20;

    return err_set(e, E_NOMEM,
                   "model '%s' needs %.1f MiB of memory, but %.1f MiB of %.1f MiB are free and "
                   "no idle model can make room; 'memory' in the configuration allows more",
                   local_name(m), (double)need / mib,
                   (double)(used < budget ? budget - used : 0) / mib, (double)budget / mib);
}

int local_room(struct local_model *m, uint64_t bytes, struct err *e)
{
    struct local *l = m->l;
    uint64_t budget;
    int rc = 0;

    local_lock(l);
    budget = budget_of(l);
    for (;;) {
        struct room r = room_of(m);

        if (l->stopping)
            rc = err_set(e, E_CANCELLED, "the server is shutting down");
        else if (bytes > budget || r.used - r.leaving - r.idle > budget - bytes)
            rc = no_room(m, bytes, budget, r.used, e);
        if (rc < 0 || r.used <= budget - bytes)
            break;
        if (r.used - r.leaving > budget - bytes) {
            metrics_put(l->metrics, METRIC_EVICTIONS, local_name(r.victim), NULL, NULL, 1);
            local_leave(r.victim);
        } else {
            (void)pthread_cond_wait(&l->change, &l->lock);
        }
    }
    if (rc == 0)
        m->bytes = bytes;
    local_unlock(l);
    return rc;
}

void local_pins(struct local *l)
{
    char name[NAME_MAX_TEXT];

    for (int i = 0;; i++) {
        struct local_model *m = NULL;
        struct err e = {0};
        int n = 0, pin = 0;

        local_lock(l);
        n = l->config->n_model;
        if (i < n && l->config->model[i].pin > 0 && strcmp(l->config->model[i].name, "*") != 0)
            pin = snprintf(name, sizeof(name), "%s", l->config->model[i].name) <
                  (int)sizeof(name);
        local_unlock(l);
        if (i >= n)
            return;
        if (pin && local_take(l, str_of(name), &m, &e) == 0)
            local_give(m, GATE_KEEP_DEFAULT);
        else if (pin)
            log_line(LOG_WARN, "pinned model '%s': %s", name, e.msg);
    }
}

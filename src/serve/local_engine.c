/* local_engine.c - which names share an engine: those of the same files, as the system knows
 * them, that are to be run in the same way. What differs in texts, templates and parameters of
 * sampling differs in the name only, so weights and their cache are there once.
 */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/mem.h"

#include <limits.h>
#include <sys/stat.h>

/* -- what is loaded -------------------------------------------------------------------- */

static int copy_text(char **out, const char *s)
{
    *out = s ? mem_strdup(s) : NULL;
    return !s || *out ? 0 : E_NOMEM;
}

static int look_at(struct local_file *out, const char *path)
{
    struct stat st;

    if (!path || stat(path, &st) != 0)
        return 0;
    *out = (struct local_file){.device = (uint64_t)st.st_dev,
                               .node = (uint64_t)st.st_ino,
                               .size = (uint64_t)st.st_size,
                               .time_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u +
                                          (uint64_t)st.st_mtim.tv_nsec};
    return 1;
}

/* 0: one is not there: whoever loads it says which. */
static int look_at_all(const struct local_source *s, struct local_file *f)
{
    int there = look_at(f++, s->path);

    for (size_t i = 0; i < s->n_adapter && there; i++)
        there = look_at(f++, s->adapter[i]);
    return there && s->draft ? look_at(f, s->draft) : there;
}

static int copy_paths(struct local_source *s, const struct store_model *sm)
{
    int rc = copy_text(&s->path, sm->path);

    if (rc == 0)
        rc = copy_text(&s->draft, sm->draft);
    s->adapter = mem_calloc(sm->n_adapter ? sm->n_adapter : 1, sizeof(*s->adapter));
    if (!s->adapter)
        return E_NOMEM;
    while (rc == 0 && s->n_adapter < sm->n_adapter) {
        rc = copy_text(&s->adapter[s->n_adapter], sm->adapter[s->n_adapter]);
        s->n_adapter += rc == 0;
    }
    return rc;
}

int local_source(struct local_source *out, const struct store_model *sm, struct err *e)
{
    *out = (struct local_source){.size = sm->size, .n_file = sm->n_adapter + 2};
    out->file = mem_calloc(out->n_file, sizeof(*out->file));
    if (!out->file || copy_paths(out, sm) < 0) {
        local_source_done(out);
        return err_set(e, E_NOMEM, "no memory for a model");
    }
    if (!look_at_all(out, out->file)) {
        mem_free(out->file);
        out->file = NULL;
    }
    return 0;
}

void local_source_done(struct local_source *s)
{
    for (size_t i = 0; i < s->n_adapter; i++)
        mem_free(s->adapter[i]);
    mem_free(s->adapter);
    mem_free(s->path);
    mem_free(s->draft);
    mem_free(s->file);
    *s = (struct local_source){0};
}

static int same_source(const struct local_source *a, const struct local_source *b)
{
    return a->file && b->file && a->size == b->size && a->n_adapter == b->n_adapter &&
           a->n_file == b->n_file &&
           memcmp(a->file, b->file, a->n_file * sizeof(*a->file)) == 0;
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

/* Strings are the configuration's. */
static struct local_setup setup_of(const struct config *c, const struct store_model *sm)
{
    const json_t *n_ctx = json_object_get(sm->params, "num_ctx");
    struct config_model set;
    struct local_setup s;
    int both;

    config_model(c, local_key(sm), &set);
    both = kv_type(set.kv ? set.kv : c->kv);
    s = (struct local_setup){
        .n_ctx = set.n_ctx ? set.n_ctx : c->n_ctx,
        .n_parallel = set.n_parallel ? set.n_parallel : c->n_parallel,
        .n_thread = c->n_thread,
        .lookup = set.lookup >= 0 ? set.lookup : c->lookup,
        .kv_k = set.kv_k ? kv_type(set.kv_k) : both,
        .kv_v = set.kv_v ? kv_type(set.kv_v) : both,
        .kv_bytes = c->kv_memory > 0 ? (uint64_t)c->kv_memory : 0,
        .kv_disk_bytes = c->kv_disk_bytes > 0 ? (uint64_t)c->kv_disk_bytes : 0,
        .pack_cache = (char *)(uintptr_t)c->pack_cache,
        .draft = (char *)(uintptr_t)set.draft,
        .kv_disk = (char *)(uintptr_t)c->kv_disk,
    };
    if (!s.n_parallel)
        s.n_parallel = LOCAL_PARALLEL;
    /* What the model says of itself comes before what is said of all models. */
    if (json_is_integer(n_ctx) && s.n_ctx == c->n_ctx && json_integer_value(n_ctx) > 0 &&
        json_integer_value(n_ctx) < INT_MAX)
        s.n_ctx = (int)json_integer_value(n_ctx);
    return s;
}

int local_context(struct local *l, const struct store_model *sm)
{
    const struct local_model *m;
    int n;

    local_lock(l);
    n = setup_of(l->config, sm).n_ctx;
    m = local_loaded(l, local_key(sm));
    if (m && m->en->loaded && !m->en->why.code)
        n = m->en->n_usual;
    local_unlock(l);
    return n ? n : sm->n_ctx_train;
}

static int same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static int same_setup(const struct local_setup *a, const struct local_setup *b)
{
    return a->n_ctx == b->n_ctx && a->n_parallel == b->n_parallel &&
           a->n_thread == b->n_thread && a->lookup == b->lookup && a->kv_k == b->kv_k &&
           a->kv_v == b->kv_v && a->kv_bytes == b->kv_bytes &&
           a->kv_disk_bytes == b->kv_disk_bytes && same_text(a->pack_cache, b->pack_cache) &&
           same_text(a->draft, b->draft) && same_text(a->kv_disk, b->kv_disk);
}

/* -- life ------------------------------------------------------------------------------ */

void local_engine_free(struct local_engine *en)
{
    local_source_done(&en->source);
    mem_free(en->name);
    mem_free(en->setup.pack_cache);
    mem_free(en->setup.draft);
    mem_free(en->setup.kv_disk);
    (void)pthread_mutex_destroy(&en->vocab_lock);
    mem_free(en);
}

static int engine_begin(struct local *l, struct local_source *s, const struct local_setup *set,
                        const char *name, struct local_engine **out, struct err *e)
{
    struct local_engine *en = mem_calloc(1, sizeof(*en));
    int why;

    if (!en)
        return err_set(e, E_NOMEM, "no memory for a model");
    en->l = l;
    en->state = LOCAL_LOADING;
    en->load_ns = en->used_ns = clock_ns();
    en->number = ++l->n_load;
    (void)pthread_mutex_init(&en->vocab_lock, NULL);
    en->setup = *set;
    if ((copy_text(&en->setup.pack_cache, set->pack_cache) |
         copy_text(&en->setup.draft, set->draft) | copy_text(&en->setup.kv_disk, set->kv_disk) |
         copy_text(&en->name, name)) != 0) {
        local_engine_free(en);
        return err_set(e, E_NOMEM, "no memory for a model");
    }
    en->source = *s;
    en->need = s->size;
    why = pthread_create(&en->thread, NULL, local_engine_thread, en);
    if (why) {
        en->source = (struct local_source){0};
        local_engine_free(en);
        return err_sys(e, E_IO, why, "a thread for a model");
    }
    *s = (struct local_source){0};
    en->next = l->engines;
    l->engines = en;
    *out = en;
    return 0;
}

/* setup: how the name's engine is to be run. */
static int is_for(const struct local_engine *en, const struct local_source *s,
                  const struct local_setup *setup)
{
    return en->state != LOCAL_LEAVING && same_setup(&en->setup, setup) &&
           same_source(&en->source, s);
}

int local_engine_is_for(const struct local_engine *en, const struct local_source *s,
                        const struct store_model *sm)
{
    struct local_setup set = setup_of(en->l->config, sm);

    return is_for(en, s, &set);
}

int local_engine_get(struct local *l, struct local_source *s, const struct store_model *sm,
                     struct local_engine **out, struct err *e)
{
    struct local_setup set = setup_of(l->config, sm);

    for (struct local_engine *en = l->engines; en; en = en->next) {
        if (is_for(en, s, &set)) {
            *out = en;
            return 0;
        }
    }
    return engine_begin(l, s, &set, local_key(sm), out, e);
}

void local_engine_leave(struct local_engine *en)
{
    en->state = LOCAL_LEAVING;
    if (en->refs == 0 && en->running)
        sched_stop(en->sched);
    (void)pthread_cond_broadcast(&en->l->change);
}

int local_engine_pinned(const struct local_engine *en)
{
    int pinned = 0;

    for (const struct local_model *m = en->l->models; m; m = m->next)
        pinned |= m->en == en && !m->leaving && m->pinned;
    return pinned;
}

int local_engine_priority(const struct local_engine *en)
{
    int most = INT_MIN, all = en->state == LOCAL_LEAVING;

    for (const struct local_model *m = en->l->models; m; m = m->next) {
        if (m->en == en && (all || !m->leaving) && m->priority > most)
            most = m->priority;
    }
    return most;
}

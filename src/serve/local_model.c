/* local_model.c - which models there are: names, references, their words, pins. */
#include "serve/local_priv.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "fmt/gguf.h"
#include "infer/engine.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

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

/* 1: path lies below one of the directories that may be read from. */
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
    const struct config *c;
    int n, ok;

    if (name.n >= 2 && name.p[0] == '~' && home)
        n = snprintf(text, sizeof(text), "%s%.*s", home,
                     (int)(name.n < PATH_MAX ? name.n - 1 : 0), name.p + 1);
    else
        n = snprintf(text, sizeof(text), "%.*s", (int)(name.n < PATH_MAX ? name.n : 0), name.p);
    ok = n > 0 && (size_t)n < sizeof(text) && !memchr(name.p, 0, name.n) &&
         realpath(text, real) != NULL;
    local_lock(l);
    c = l->config; /* stays valid when another takes its place */
    local_unlock(l);
    ok = ok && c->allow_paths && below_allowed(c, real);
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
        if (!m->leaving && strcasecmp(local_name(m), name) == 0)
            return m;
    }
    return NULL;
}

/* -- taking ---------------------------------------------------------------------------- */

void local_model_free(struct local_model *m)
{
    store_model_done(&m->sm);
    chat_free(m->chat);
    for (int i = 0; i < 2; i++)
        mem_free(m->hidden[i]);
    (void)pthread_mutex_destroy(&m->chat_lock);
    mem_free(m);
}

/* Under the lock. Takes *sm over when it succeeds. */
static int model_begin(struct local *l, struct store_model *sm, struct local_source *source,
                       struct local_model **out, struct err *e)
{
    struct local_model *m = mem_calloc(1, sizeof(*m));
    struct config_model set;
    int rc;

    if (!m)
        return err_set(e, E_NOMEM, "no memory for a model");
    rc = local_engine_get(l, source, sm, &m->en, e);
    if (rc < 0) {
        mem_free(m);
        return rc;
    }
    m->l = l;
    m->sm = *sm;
    *sm = (struct store_model){0};
    m->idle_ns = clock_ns();
    config_model(l->config, local_name(m), &set);
    m->keep_ns =
        set.keep_alive_ns == GATE_KEEP_DEFAULT ? l->config->keep_alive_ns : set.keep_alive_ns;
    m->pinned = set.pin > 0;
    m->priority = set.priority;
    (void)pthread_mutex_init(&m->chat_lock, NULL);
    m->en->n_name++;
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

/* Under the lock: another model takes the name of `was`, which leaves last, so that what both
 * can use stays; as does how long it stays. */
static int model_replace(struct local_model *was, struct store_model *sm,
                         struct local_source *source, struct local_model **out, struct err *e)
{
    int rc = model_begin(was->l, sm, source, out, e);

    if (rc == 0 && (*out)->en == was->en)
        (*out)->keep_ns = was->keep_ns;
    local_leave(was);
    return rc;
}

/* Under the lock, which is left meanwhile: its files were replaced, or written over, so who
 * asks for it now wants another model. */
static int is_stale(struct local_model *m)
{
    struct local_engine *en = m->en;
    int stale;

    if (en->state != LOCAL_READY)
        return 0;
    m->refs++;
    en->refs++;
    local_unlock(m->l);
    stale = infer_changed(en->model) || (en->draft_model && infer_changed(en->draft_model));
    local_lock(m->l);
    m->refs--;
    if (--en->refs == 0 && en->state == LOCAL_LEAVING)
        local_engine_leave(en);
    (void)pthread_cond_broadcast(&m->l->change);
    return stale && en->state == LOCAL_READY;
}

/* Under the lock, which is left meanwhile. */
static int take(struct local *l, struct store_model *sm, struct local_source *source,
                struct local_model **out, struct err *e)
{
    struct local_model *m = local_loaded(l, local_key(sm));
    int rc = 0;

    if (m && is_stale(m)) {
        log_line(LOG_INFO, "model '%s': its file is another one now", local_name(m));
        local_leave_all(m->en);
    }
    m = local_loaded(l, local_key(sm)); /* the lock was left */
    if (l->stopping)
        return err_set(e, E_CANCELLED, "the server is shutting down");
    if (!m)
        rc = model_begin(l, sm, source, &m, e);
    else if (is_other(&m->sm, sm))
        rc = model_replace(m, sm, source, &m, e);
    if (rc == 0) {
        m->refs++;
        if (m->en->refs++ == 0) /* it is not to be had by who waits for room any more */
            (void)pthread_cond_broadcast(&l->change);
        *out = m;
    }
    return rc;
}

/* Its file's head is read before its weights are: they may be many, and for nothing. */
static int check_words(const struct store_model *sm, struct err *e)
{
    static const int able = STORE_COMPLETION | STORE_EMBEDDING | STORE_RERANK;
    struct gguf *g = NULL;
    struct str kind = {"no_vocab", 8};
    int none;

    if (sm->can & able || gguf_open(&g, sm->path, NULL) < 0)
        return 0; /* whoever loads it says what is wrong with it */
    none = gguf_str(g, "tokenizer.ggml.model", &kind, NULL) >= 0 && str_is(kind, "no_vocab");
    gguf_free(g);
    return none ? err_set(e, E_UNSUPPORTED, "model '%s': the file has no tokenizer",
                          local_key(sm))
                : 0;
}

int local_take(struct local *l, struct str name, int words, struct local_model **out,
               struct err *e)
{
    struct local_source source = {0};
    struct store_model sm;
    int rc = local_resolve(l, name, &sm, e);

    if (rc == 0 && words)
        rc = check_words(&sm, e);
    if (rc == 0)
        rc = local_source(&source, &sm, e);
    if (rc == 0) {
        local_lock(l);
        rc = take(l, &sm, &source, out, e);
        local_unlock(l);
    }
    local_source_done(&source);
    store_model_done(&sm);
    return rc;
}

/* -- renewing -------------------------------------------------------------------------- */

/* Under the lock. sm NULL: the name means nothing any more. */
static void renew(struct local *l, const char *name, struct store_model *sm,
                  struct local_source *source)
{
    struct local_model *m = local_loaded(l, name);

    if (m && sm && !is_other(&m->sm, sm))
        return;
    local_stay_away(l, name); /* what it meant before is not called back */
    if (!m)
        return;
    if (!sm || !local_engine_is_for(m->en, source, sm))
        local_leave(m);
    else /* if there is no memory for it, whoever asks next finds out */
        (void)model_replace(m, sm, source, &m, NULL);
}

void local_renewed(struct local *l, struct str name)
{
    struct local_source source = {0};
    struct store_model sm;
    char text[NAME_MAX_TEXT];
    struct name n;
    int rc = local_resolve(l, name, &sm, NULL);

    if (rc == 0)
        rc = local_source(&source, &sm, NULL);
    if (rc == 0)
        (void)snprintf(text, sizeof(text), "%s", local_key(&sm));
    else if (name_parse(&n, name, NULL) == 0)
        name_text(&n, text);
    else
        text[0] = '\0';
    local_lock(l);
    renew(l, text, rc == 0 ? &sm : NULL, &source);
    local_unlock(l);
    local_source_done(&source);
    store_model_done(&sm);
}

/* -- leaving --------------------------------------------------------------------------- */

void local_leave(struct local_model *m)
{
    int some = 0;

    m->leaving = 1;
    m->sent_by = 0;
    for (const struct local_model *o = m->l->models; o; o = o->next)
        some |= o->en == m->en && !o->leaving;
    if (!some)
        local_engine_leave(m->en);
    (void)pthread_cond_broadcast(&m->l->change);
}

void local_stay_away(struct local *l, const char *name)
{
    for (struct local_model *m = l->models; m; m = m->next) {
        if (m->sent_by && strcasecmp(local_name(m), name) == 0)
            m->sent_by = 0;
    }
}

void local_leave_all(struct local_engine *en)
{
    for (struct local_model *m = en->l->models; m; m = m->next) {
        if (m->en == en && !m->leaving)
            local_leave(m);
    }
    local_engine_leave(en);
}

int local_is_over(const struct local_model *m)
{
    return m->leaving && !m->refs && (m->en->gone || m->en->state != LOCAL_LEAVING);
}

void local_give(struct local_model *m, int64_t keep_ns)
{
    struct local_engine *en = m->en;
    struct local *l = m->l;

    local_lock(l);
    if (keep_ns != GATE_KEEP_DEFAULT)
        m->keep_ns = keep_ns;
    en->used_ns = clock_ns();
    en->refs--;
    if (--m->refs == 0) {
        m->idle_ns = en->used_ns;
        if (!m->leaving && m->keep_ns == 0 && !m->pinned)
            local_leave(m);
    }
    if (en->state == LOCAL_LEAVING && !en->refs)
        local_engine_leave(en);
    (void)pthread_cond_broadcast(&l->change);
    local_unlock(l);
}

uint64_t local_expiry(const struct local_model *m)
{
    if (m->leaving || m->en->state != LOCAL_READY || m->refs || m->pinned ||
        m->keep_ns == GATE_KEEP_FOREVER || m->keep_ns < 0)
        return UINT64_MAX;
    return m->idle_ns + (uint64_t)m->keep_ns;
}

/* -- what a conversation needs --------------------------------------------------------- */

/* How a model without a template is talked to: roles in front of lines. */
static const char plain_template[] =
    "{% for m in messages %}"
    "{% if m.role == 'system' %}{{ m.content }}\n\n"
    "{% else %}{{ m.role | capitalize }}: {{ m.content }}\n{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}";

/* The name's own template, the file's, or the plain one. */
static int make_chat(struct local_model *m, struct chat **out, struct err *e)
{
    const struct local_engine *en = m->en;
    struct chat_source s = {.kind = TMPL_JINJA, .name = str_of(en->info.arch)};

    s.tok = infer_tok(en->model);
    if (!s.tok)
        return err_set(e, E_UNSUPPORTED,
                       "this model's tokenizer is not known here, so there can be no "
                       "conversation");
    if (m->sm.template.n) {
        s.text = m->sm.template;
        s.kind = tmpl_kind_of(s.text);
    } else if (infer_text(en->model, "tokenizer.chat_template", &s.text)) {
        if (!infer_text(en->model, "tokenizer.chat_template.tool_use", &s.tools_text))
            s.tools_text = (struct str){NULL, 0};
    } else {
        s.text = str_of(plain_template);
        m->plain = 1;
    }
    return chat_new(out, &s, e);
}

static int make_words(struct local_model *m, struct err *e)
{
    struct chat *chat = NULL;
    int rc = make_chat(m, &chat, &m->chat_why);

    if (rc == E_NOMEM)
        goto out;
    if (rc < 0) { /* texts can be completed all the same */
        if (infer_tok(m->en->model)) {
            (void)err_wrap(&m->chat_why, rc, "the model's chat template");
            log_line(LOG_WARN, "model '%s': %s", local_name(m), m->chat_why.msg);
        }
        return 0;
    }
    for (int i = 0; i < 2; i++) {
        if (!m->hidden[i])
            m->hidden[i] = mem_calloc(MASK_WORDS(m->en->info.n_vocab), sizeof(*m->hidden[i]));
        if (!m->hidden[i])
            goto out;
        chat_hidden(chat, i, m->hidden[i]);
    }
    m->chat = chat;
    return 0;
out:
    chat_free(chat);
    return err_set(e, E_NOMEM, "no memory for a chat template");
}

int local_words(struct local_model *m, struct err *e)
{
    int rc = 0;

    (void)pthread_mutex_lock(&m->chat_lock);
    if (!m->chat_made)
        rc = make_words(m, e);
    m->chat_made = rc == 0;
    (void)pthread_mutex_unlock(&m->chat_lock);
    return rc;
}

/* -- pins ------------------------------------------------------------------------------ */

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
        if (pin && local_take(l, str_of(name), 0, &m, &e) == 0) {
            local_lock(l);
            m->en->stays = 1;
            local_unlock(l);
            local_give(m, GATE_KEEP_DEFAULT);
        } else if (pin) {
            log_line(LOG_WARN, "pinned model '%s': %s", name, e.msg);
        }
    }
}

/* ollama_models.c - names of models: tags, ps, copy, delete, and finding one. */
#include "serve/api/ollama.h"

#include "base/log.h"
#include "serve/auth.h"
#include "serve/local.h"

#include <string.h>

/* -- finding --------------------------------------------------------------------------- */

int ollama_name(struct call *c, const json_t *body, struct str *out)
{
    const json_t *v = json_object_get(body, "model");
    struct err e = {0};

    if (!json_is_string(v) || !json_string_length(v))
        v = json_object_get(body, "name");
    *out = (struct str){json_string_value(v), json_string_length(v)};
    if (json_is_string(v) && out->n)
        return 1;
    (void)err_set(&e, E_INVALID,
                  v && !json_is_string(v) && !json_is_null(v) ? "model must be a string"
                                                              : "model is required");
    ask_error(c, &e, "model");
    return 0;
}

/* What errors show of a name. */
static int shown(struct str s)
{
    return s.n < 300 ? (int)s.n : 300;
}

int ollama_find(struct serve *s, struct call *c, struct str name, struct store_model *m)
{
    struct err e = {0};
    int rc = store_find(s->store, name, m, &e);

    if (rc == E_INVALID || (rc == 0 && c->who && !auth_model(c->who, str_of(m->name))))
        rc = err_set(&e, E_NOT_FOUND, "model '%.*s' not found", shown(name), name.p);
    if (rc == 0)
        return 1;
    store_model_done(m);
    ask_error(c, &e, "model");
    return 0;
}

/* -- as JSON --------------------------------------------------------------------------- */

json_t *ollama_details(const struct store_model *m)
{
    json_t *families = json_array(), *o;

    if (*m->family)
        (void)json_array_append_new(families, json_string(m->family));
    o = json_pack("{s:s, s:s, s:s, s:o, s:s, s:s}", "parent_model", "", "format", m->format,
                  "family", m->family, "families", families, "parameter_size",
                  m->parameter_size, "quantization_level", m->quantization);
    if (o && m->n_ctx_train)
        (void)json_object_set_new(o, "context_length", json_integer(m->n_ctx_train));
    if (o && m->n_embd)
        (void)json_object_set_new(o, "embedding_length", json_integer(m->n_embd));
    return o;
}

struct listing {
    const struct serve *s;
    const struct call *c;
    json_t *all;
    int failed;
};

static int list_one(void *ctx, const struct store_model *m)
{
    struct listing *l = ctx;
    char when[OLLAMA_TIME];
    json_t *o;

    if (l->c->who && !auth_model(l->c->who, str_of(m->name)))
        return 0;
    o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o, s:o}", "name", m->name, "model", m->name,
                  "modified_at", ollama_time(m->modified_ns, when), "size", (json_int_t)m->size,
                  "digest", m->digest, "details", ollama_details(m), "capabilities",
                  store_can_json(m->can));
    l->failed = json_array_append_new(l->all, o) != 0;
    return l->failed;
}

void ollama_tags(struct serve *s, struct call *c)
{
    struct listing l = {.s = s, .c = c, .all = json_array()};
    struct err e = {0};
    int skipped = 0, rc = store_each(s->store, list_one, &l, &skipped, &e);

    if (rc == 0 && skipped)
        log_line(LOG_WARN, "%d of the store's files left out: %s", skipped, e.msg);
    if (rc == 0 && (l.failed || !l.all))
        rc = err_set(&e, E_NOMEM, "no memory for a list");
    if (rc == 0) {
        ask_json(c, 200, json_pack("{s:o}", "models", l.all));
        return;
    }
    json_decref(l.all);
    ask_error(c, &e, NULL);
}

/* Its details come later: the store is on a disk, and this is under a lock. */
static void loaded_one(void *ctx, const struct local_info *i)
{
    static const char *const states[] = {"loading", "ready", "leaving"};
    struct listing *l = ctx;
    char when[OLLAMA_TIME];
    json_t *o;

    if (l->c->who && !auth_model(l->c->who, str_of(i->name)))
        return;
    o = json_pack("{s:s, s:s, s:I, s:s, s:n, s:s, s:I, s:i, s:s}", "name", i->name, "model",
                  i->name, "size", (json_int_t)i->bytes, "digest", i->digest ? i->digest : "",
                  "details", "expires_at", ollama_time(i->expires_at_ns, when), "size_vram",
                  (json_int_t)0, "context_length", i->n_ctx, "state",
                  i->state >= 0 && i->state < 3 ? states[i->state] : "ready");
    l->failed |= json_array_append_new(l->all, o) != 0;
}

/* What is loaded may be a model that the store has forgotten. */
static void add_details(struct listing *l, json_t *o)
{
    struct str name = str_of(json_string_value(json_object_get(o, "name")));
    struct store_model m;

    if (store_find(l->s->store, name, &m, NULL) < 0) {
        store_model_done(&m);
        m = (struct store_model){
            .format = "gguf", .family = "", .parameter_size = "", .quantization = ""};
    }
    l->failed |= json_object_set_new(o, "details", ollama_details(&m)) != 0;
    store_model_done(&m);
}

void ollama_ps(struct serve *s, struct call *c)
{
    struct listing l = {.s = s, .c = c, .all = json_array()};

    if (s->local)
        local_each(s->local, loaded_one, &l);
    for (size_t i = 0; i < json_array_size(l.all); i++)
        add_details(&l, json_array_get(l.all, i));
    if (!l.failed && l.all) {
        ask_json(c, 200, json_pack("{s:o}", "models", l.all));
        return;
    }
    json_decref(l.all);
    ask_json(c, 200, NULL);
}

/* -- copy and delete ------------------------------------------------------------------- */

static int check_name(struct call *c, const char *what, const json_t *v, struct str *out)
{
    struct err e = {0};
    struct name n;

    *out = (struct str){json_string_value(v), json_string_length(v)};
    if (json_is_string(v) && name_parse(&n, *out, &e) == 0)
        return 1;
    if (out->p && memchr(out->p, '\0', out->n))
        (void)err_set(&e, E_INVALID, "%s is invalid: there is a NUL in it", what);
    else
        (void)err_set(&e, E_INVALID, "%s \"%.*s\" is invalid", what, shown(*out),
                      out->p ? out->p : "");
    ask_error(c, &e, what);
    return 0;
}

static int may_use(const struct call *c, struct str name)
{
    return !c->who || auth_model(c->who, name);
}

/* Nothing but a status. */
static void done(struct call *c)
{
    call_reply(c, 200, NULL, NULL, 0);
}

/* Whoever has the old one loaded must not go on with it under this name. */
static void renewed(struct serve *s, struct str name)
{
    if (s->local)
        local_renewed(s->local, name);
}

struct copy {
    const json_t *source, *destination;
};

/* The body by rows into `into`: 1, or 0 and the call is answered. */
static int read_body(struct call *c, const struct field_row *rows, size_t n, void *into,
                     json_t **body)
{
    struct field_report r;
    struct err e = {0};
    int rc;

    if (!ask_body(c, body))
        return 0;
    field_report_init(&r, ask_strict(c));
    rc = field_read(rows, n, "", *body, into, &r, &e);
    ask_warn(c, &r);
    if (rc < 0) {
        json_decref(*body);
        ask_error(c, &e, r.param);
    }
    field_report_done(&r);
    return rc == 0;
}

#define N(a) (sizeof(a) / sizeof(*(a)))
#define ROW(n, f, t)                                                                           \
    {                                                                                          \
        .name = (n), .type = FIELD_JSON, .at = offsetof(struct t, f)                           \
    }

void ollama_copy(struct serve *s, struct call *c)
{
    static const struct field_row rows[] = {ROW("source", source, copy),
                                            ROW("destination", destination, copy)};
    struct copy b = {NULL, NULL};
    struct str from, to;
    struct err e = {0};
    json_t *body;
    int rc;

    if (!read_body(c, rows, N(rows), &b, &body))
        return;
    if (check_name(c, "source", b.source, &from) &&
        check_name(c, "destination", b.destination, &to)) {
        rc = may_use(c, from) && may_use(c, to) ? store_copy(s->store, from, to, &e)
                                                : E_NOT_FOUND;
        if (rc == E_NOT_FOUND)
            (void)err_set(&e, rc, "model \"%.*s\" not found", shown(from), from.p);
        if (rc == 0) {
            renewed(s, to);
            done(c);
        } else {
            ask_error(c, &e, NULL);
        }
    }
    json_decref(body);
}

void ollama_delete(struct serve *s, struct call *c)
{
    /* What they say, ollama_name knows. */
    static const struct field_row rows[] = {{.name = "model", .type = FIELD_NOTED},
                                            {.name = "name", .type = FIELD_NOTED}};
    struct str name;
    struct err e = {0};
    struct name n;
    json_t *body;
    int rc;

    if (!read_body(c, rows, N(rows), &name, &body))
        return;
    if (ollama_name(c, body, &name)) {
        rc = name_parse(&n, name, &e);
        if (rc < 0)
            (void)err_set(&e, rc, "name \"%.*s\" is invalid", shown(name), name.p);
        else
            rc = may_use(c, name)
                     ? store_remove(s->store, name, &e)
                     : err_set(&e, E_NOT_FOUND, "model '%.*s' not found", shown(name), name.p);
        if (rc == 0) {
            renewed(s, name);
            done(c);
        } else {
            ask_error(c, &e, "model");
        }
    }
    json_decref(body);
}

/* ollama_create.c - /api/create: a new model of one that is there.
 *
 * Files of weights are not taken over the network: whoever may ask for a model need not be
 * someone who may read this machine's files. */
#include "serve/api/ollama.h"

#include "serve/auth.h"
#include "serve/json_out.h"
#include "serve/local.h"
#include "text/tmpl/tmpl.h"

#include <stdio.h>
#include <string.h>

#define STATUS_MAX ((size_t)64 << 10)

struct body {
    struct str model, name, from, chat_template, system, renderer, parser, requires, quantize;
    const json_t *files, *draft_files, *adapters, *license, *parameters, *messages;
    int stream;
};

#define ROW(n, t, field)                                                                       \
    {                                                                                          \
        .name = (n), .type = (t), .at = offsetof(struct body, field)                           \
    }

/* clang-format off */
static const struct field_row rows[] = {
    ROW("model", FIELD_STR, model),
    ROW("name", FIELD_STR, name),
    ROW("from", FIELD_STR, from),
    ROW("template", FIELD_STR, chat_template),
    ROW("system", FIELD_STR, system),
    ROW("renderer", FIELD_STR, renderer),
    ROW("parser", FIELD_STR, parser),
    ROW("requires", FIELD_STR, requires),
    ROW("quantize", FIELD_STR, quantize),
    ROW("files", FIELD_OBJECT, files),
    ROW("draft_files", FIELD_OBJECT, draft_files),
    ROW("adapters", FIELD_OBJECT, adapters),
    ROW("license", FIELD_JSON, license),
    ROW("parameters", FIELD_OBJECT, parameters),
    ROW("messages", FIELD_ARRAY, messages),
    ROW("stream", FIELD_BOOL, stream),
    {.name = "draft_quantize", .type = FIELD_REFUSED, .harmless = "\"\"", .why = "is not supported: a draft model is named by its path in a Modelfile"},
    {.name = "info", .type = FIELD_REFUSED, .why = "is not supported"},
    {.name = "remote_host", .type = FIELD_REFUSED, .harmless = "\"\"", .why = "is not supported"},
    {.name = "modelfile", .type = FIELD_REFUSED, .harmless = "\"\"", .why = "is not supported: send from, system, template, parameters"},
    {.name = "path", .type = FIELD_REFUSED, .harmless = "\"\"", .why = "is not supported: use 'hearth create'"},
};
/* clang-format on */

static struct str text_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* What is not done here at all. */
static const char *missing(const struct body *b)
{
    if (json_object_size(b->files) || json_object_size(b->adapters) ||
        json_object_size(b->draft_files))
        return "files, adapters and draft_files are not implemented: no files are uploaded to "
               "this server yet; name them in a Modelfile and use 'hearth create'";
    if (b->quantize.n)
        return "quantize is not implemented: 'hearth convert --type' writes smaller weights";
    return NULL;
}

static int set_license(struct modelfile *mf, const json_t *v, struct err *e)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;

    if (!v)
        return 0;
    mf->license = arena_calloc(&mf->mem, n + 1, sizeof(*mf->license));
    if (!mf->license)
        return err_set(e, E_NOMEM, "no memory for a model");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;

        if (!json_is_string(one))
            return err_set(e, E_INVALID, "license must be a string or an array of strings");
        if (json_string_length(one))
            mf->license[mf->n_license++] = text_of(one);
    }
    return 0;
}

static int set_params(struct modelfile *mf, const json_t *o, struct field_report *r,
                      struct err *e)
{
    const char *name, *note;
    json_t *v;
    int rc = 0;

    json_object_foreach((json_t *)(uintptr_t)o, name, v)
    {
        note = NULL;
        if (rc == 0)
            rc = modelfile_param_json(mf->params, str_of(name), v, &note, e);
        if (rc == 0 && note)
            field_warn(r, "parameters.%s %s", name, note);
    }
    return rc < 0 ? err_wrap(e, rc, "parameters") : 0;
}

static int set_messages(struct modelfile *mf, const json_t *list, struct field_report *r,
                        struct err *e)
{
    /* What they say is looked at below. */
    static const struct field_row known[] = {{.name = "role", .type = FIELD_NOTED},
                                             {.name = "content", .type = FIELD_NOTED}};
    const json_t *m;
    size_t i;

    json_array_foreach(list, i, m)
    {
        char path[40];
        const char *role = json_string_value(json_object_get(m, "role"));
        json_t *content = json_object_get(m, "content");

        if (!role || !json_is_string(content) ||
            (strcmp(role, "system") != 0 && strcmp(role, "user") != 0 &&
             strcmp(role, "assistant") != 0))
            return err_set(e, E_INVALID,
                           "messages[%zu] must have a role, one of system, user and assistant, "
                           "and a content that is a string",
                           i);
        (void)snprintf(path, sizeof(path), "messages[%zu].", i);
        if (field_read(known, 2, path, m, path, r, e) < 0)
            return e->code;
        if (json_array_append_new(
                mf->messages, json_pack("{s:s, s:O}", "role", role, "content", content)) != 0)
            return err_set(e, E_NOMEM, "no memory for a model");
    }
    return 0;
}

static struct str given(struct str s)
{
    return s.n ? s : (struct str){NULL, 0};
}

static int check_template(struct str text, struct err *e)
{
    struct tmpl *t = NULL;
    int rc = text.n ? tmpl_new(&t, tmpl_kind_of(text), text, e) : 0;

    tmpl_free(t);
    return rc < 0 ? err_wrap(e, rc, "template") : 0;
}

/* The Modelfile that the body says; it borrows from it. */
static int to_modelfile(struct modelfile *mf, struct body *b, struct field_report *r,
                        struct err *e)
{
    int rc;

    *mf = (struct modelfile){.params = json_object(), .messages = json_array()};
    arena_init(&mf->mem, (size_t)16 << 20);
    buf_init(&mf->warnings, STATUS_MAX);
    if (!mf->params || !mf->messages)
        return err_set(e, E_NOMEM, "no memory for a model");
    mf->from = &b->from;
    mf->n_from = 1;
    mf->template = given(b->chat_template);
    mf->system = given(b->system);
    mf->renderer = given(b->renderer);
    mf->parser = given(b->parser);
    mf->requires = given(b->requires);
    if (b->renderer.n || b->parser.n)
        field_warn(r, "renderer and parser are kept, but the chat template is used");
    rc = check_template(b->chat_template, e);
    if (rc == 0)
        rc = set_license(mf, b->license, e);
    if (rc == 0)
        rc = set_params(mf, b->parameters, r, e);
    return rc < 0 ? rc : set_messages(mf, b->messages, r, e);
}

/* -- progress -------------------------------------------------------------------------- */

static void say(void *ctx, const char *status)
{
    struct json_out w;
    struct buf *out = ctx;
    size_t n = out->n;

    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "status");
    json_out_str(&w, status);
    json_out_close(&w, '}');
    if (json_out_end(&w) < 0 || buf_byte(out, '\n') < 0)
        out->n = n; /* a line that is missing harms nobody */
}

static int make(struct serve *s, struct str name, struct body *b, struct field_report *r,
                struct buf *lines, struct err *e)
{
    struct modelfile mf;
    int rc = to_modelfile(&mf, b, r, e);

    if (rc == 0)
        rc = store_create(s->store, name, &mf, NULL, say, lines, e);
    modelfile_done(&mf);
    if (rc == 0 && s->local)
        local_renewed(s->local, name);
    return rc;
}

static void reply(struct call *c, const struct body *b, const struct buf *lines)
{
    if (b->stream)
        call_reply(c, 200, "application/x-ndjson", lines->p, lines->n);
    else
        ask_json(c, 200, json_pack("{s:s}", "status", "success"));
}

static void create(struct serve *s, struct call *c, struct body *b, struct field_report *r)
{
    struct str name = b->model.n ? b->model : b->name;
    struct err e = {0};
    struct buf lines;
    int rc = 0;

    buf_init(&lines, STATUS_MAX);
    if (!name.n)
        rc = err_set(&e, E_INVALID, "model is required");
    else if (!b->from.n)
        rc = err_set(&e, E_INVALID, "neither 'from' or 'files' was specified");
    /* Under another name it would be another model to a key that may not use this one. */
    if (rc == 0 && c->who && (!auth_model(c->who, name) || !auth_model(c->who, b->from)))
        rc = err_set(&e, E_NOT_FOUND, "model '%.*s' not found",
                     (int)(b->from.n < 300 ? b->from.n : 300), b->from.p);
    if (rc == 0)
        rc = make(s, name, b, r, &lines, &e);
    if (rc == 0) {
        ask_warn(c, r);
        reply(c, b, &lines);
    } else {
        ask_error(c, &e, NULL);
    }
    buf_done(&lines);
}

void ollama_create(struct serve *s, struct call *c)
{
    struct body b = {.stream = 1};
    struct field_report r;
    struct err e = {0};
    json_t *body;
    int rc;

    if (!ask_body(c, &body))
        return;
    field_report_init(&r, ask_strict(c));
    rc = field_read(rows, sizeof(rows) / sizeof(*rows), "", body, &b, &r, &e);
    if (rc < 0) {
        ask_error(c, &e, r.param);
    } else if (missing(&b)) {
        (void)err_set(&e, E_UNSUPPORTED, "%s", missing(&b));
        ask_error_status(c, 501, &e, NULL);
    } else {
        create(s, c, &b, &r);
    }
    field_report_done(&r);
    json_decref(body);
}

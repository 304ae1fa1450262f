/* ollama_show.c - /api/show: all that is known of a model. */
#include "serve/api/ollama.h"

#include "model/hf/hf.h"
#include "serve/json_out.h"

#include <inttypes.h>
#include <string.h>

enum { ELEMS = 5 }; /* of an array that are shown unless "verbose" */

#define TEXT_MAX ((size_t)256 << 20)

struct show {
    struct store_model m;
    struct gguf *g; /* NULL: the weights are gone */
    int verbose;
};

/* -- keys of the file ------------------------------------------------------------------ */

static void put_elems(struct json_out *w, const struct gguf_kv *kv)
{
    struct arena mem;
    struct str *s = NULL;

    arena_init(&mem, TEXT_MAX);
    if (kv->elem_type == GGUF_STR) {
        s = arena_calloc(&mem, kv->n + 1, sizeof(*s));
        if (s)
            gguf_arr_strs(kv, s);
    }
    json_out_open(w, '[');
    for (uint64_t i = 0; i < kv->n && (s || kv->elem_type != GGUF_STR); i++) {
        if (s)
            json_out_text(w, s[i]);
        else if (kv->elem_type == GGUF_F32)
            json_out_float(w, (float)gguf_arr_f64(kv, i));
        else if (kv->elem_type == GGUF_F64)
            json_out_double(w, gguf_arr_f64(kv, i));
        else if (kv->elem_type == GGUF_BOOL)
            json_out_bool(w, gguf_arr_int(kv, i) != 0);
        else
            json_out_int(w, gguf_arr_int(kv, i));
    }
    json_out_close(w, ']');
    arena_done(&mem);
}

static void put_value(struct json_out *w, const struct gguf_kv *kv, int verbose)
{
    switch (kv->type) {
    case GGUF_STR:
        json_out_text(w, kv->v.s);
        break;
    case GGUF_ARR:
        if (kv->n > ELEMS && !verbose)
            json_out_null(w);
        else
            put_elems(w, kv);
        break;
    case GGUF_F32:
        json_out_float(w, (float)kv->v.f);
        break;
    case GGUF_F64:
        json_out_double(w, kv->v.f);
        break;
    case GGUF_BOOL:
        json_out_bool(w, kv->v.u != 0);
        break;
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64:
        json_out_int(w, kv->v.u <= INT64_MAX ? (int64_t)kv->v.u : INT64_MAX);
        break;
    default:
        json_out_int(w, kv->v.i);
    }
}

static void put_info(struct json_out *w, const struct show *s)
{
    json_out_key(w, "model_info");
    json_out_open(w, '{');
    if (s->m.n_param) {
        json_out_key(w, "general.parameter_count");
        json_out_int(w, (int64_t)s->m.n_param);
    }
    for (size_t i = 0; s->g && i < gguf_n_kv(s->g); i++) {
        const struct gguf_kv *kv = gguf_kv_at(s->g, i);

        /* Shown as the template, and counted above. */
        if (str_is(kv->key, "tokenizer.chat_template") ||
            str_is(kv->key, "general.parameter_count"))
            continue;
        json_out_text(w, kv->key);
        w->rc = w->rc < 0 ? w->rc : buf_byte(w->out, ':');
        w->comma = 0;
        put_value(w, kv, s->verbose);
    }
    json_out_close(w, '}');
}

static void put_tensors(struct json_out *w, const struct gguf *g)
{
    json_out_key(w, "tensors");
    json_out_open(w, '[');
    for (size_t i = 0; i < gguf_n_tensor(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);

        json_out_open(w, '{');
        json_out_key(w, "name");
        json_out_text(w, t->name);
        json_out_key(w, "type");
        json_out_str(w, gguf_tensor_type_name(t->type));
        json_out_key(w, "shape");
        json_out_open(w, '[');
        for (int k = 0; k < t->n_dim; k++)
            json_out_int(w, (int64_t)t->ne[k]);
        json_out_close(w, ']');
        json_out_close(w, '}');
    }
    json_out_close(w, ']');
}

/* -- texts ----------------------------------------------------------------------------- */

static void put_text(struct json_out *w, const char *name, struct str s)
{
    if (!s.n)
        return;
    json_out_key(w, name);
    json_out_text(w, s);
}

static int put_param(struct buf *b, const char *name, const json_t *v)
{
    struct json_out w;
    int rc = buf_fmt(b, "%s%-30s ", b->n ? "\n" : "", name);

    json_out_init(&w, b);
    json_out_value(&w, v);
    return rc < 0 ? rc : json_out_end(&w);
}

static int put_params(struct json_out *w, const json_t *params)
{
    const char *name;
    const json_t *item;
    struct buf b;
    size_t i;
    json_t *v;
    int rc = 0;

    buf_init(&b, TEXT_MAX);
    json_object_foreach((json_t *)(uintptr_t)params, name, v)
    {
        if (!json_is_array(v)) {
            rc = rc < 0 ? rc : put_param(&b, name, v);
            continue;
        }
        json_array_foreach(v, i, item)
        {
            rc = rc < 0 ? rc : put_param(&b, name, item);
        }
    }
    if (rc == 0)
        put_text(w, "parameters", (struct str){b.p, b.n});
    buf_done(&b);
    return rc;
}

static int put_license(struct json_out *w, const struct store_model *m)
{
    struct buf b;
    int rc = 0;

    buf_init(&b, TEXT_MAX);
    for (size_t i = 0; rc == 0 && i < m->n_license; i++) {
        rc = i ? buf_byte(&b, '\n') : 0;
        if (rc == 0)
            rc = buf_put(&b, m->license[i].p, m->license[i].n);
    }
    if (rc == 0)
        put_text(w, "license", (struct str){b.p, b.n});
    buf_done(&b);
    return rc;
}

static struct str template_of(const struct show *s)
{
    struct str t = s->m.template;

    if (!t.n && s->g && gguf_str(s->g, "tokenizer.chat_template", &t, NULL) <= 0)
        t = (struct str){NULL, 0};
    return t;
}

static int put_all(struct buf *out, const struct show *s)
{
    const struct store_model *m = &s->m;
    char when[OLLAMA_TIME];
    json_t *details = ollama_details(m), *can = store_can_json(m->can);
    struct json_out w;
    struct buf mf;
    int rc;

    buf_init(&mf, TEXT_MAX);
    json_out_init(&w, out);
    json_out_open(&w, '{');
    rc = put_license(&w, m);
    if (rc == 0 && store_modelfile(m, &mf) == 0)
        put_text(&w, "modelfile", (struct str){mf.p, mf.n});
    if (rc == 0)
        rc = put_params(&w, m->params);
    put_text(&w, "template", template_of(s));
    put_text(&w, "system", m->system);
    put_text(&w, "renderer", m->renderer);
    put_text(&w, "parser", m->parser);
    json_out_key(&w, "details");
    json_out_value(&w, details);
    if (json_array_size(m->messages)) {
        json_out_key(&w, "messages");
        json_out_value(&w, m->messages);
    }
    put_info(&w, s);
    if (s->g && s->verbose)
        put_tensors(&w, s->g);
    json_out_key(&w, "capabilities");
    json_out_value(&w, can);
    json_out_key(&w, "modified_at");
    json_out_str(&w, ollama_time(m->modified_ns, when));
    put_text(&w, "requires", m->requires);
    json_out_close(&w, '}');
    json_decref(details);
    json_decref(can);
    buf_done(&mf);
    return rc < 0 ? rc : json_out_end(&w);
}

/* -- the call -------------------------------------------------------------------------- */

struct body {
    struct str model, name, system, chat_template;
    const json_t *options;
    int verbose;
};

#define ROW(n, t, field)                                                                       \
    {                                                                                          \
        .name = (n), .type = (t), .at = offsetof(struct body, field)                           \
    }

static const struct field_row rows[] = {
    ROW("model", FIELD_STR, model),
    ROW("name", FIELD_STR, name),
    ROW("verbose", FIELD_BOOL, verbose),
    ROW("system", FIELD_STR, system),
    ROW("template", FIELD_STR, chat_template),
    ROW("options", FIELD_OBJECT, options),
};

/* What the model would be with these in its Modelfile. */
static int override(struct show *s, const struct body *b, struct err *e)
{
    const char *name;
    json_t *v;
    int rc = 0;

    if (b->system.n)
        s->m.system = b->system;
    if (b->chat_template.n)
        s->m.template = b->chat_template;
    json_object_foreach((json_t *)(uintptr_t)b->options, name, v)
    {
        if (rc == 0)
            rc = modelfile_param_json(s->m.params, str_of(name), v, NULL, e);
    }
    return rc < 0 ? err_wrap(e, rc, "options") : 0;
}

static void show(struct serve *sv, struct call *c, struct str name, const struct body *b)
{
    struct show s = {.verbose = b->verbose};
    struct err e = {0};
    struct buf out;
    int rc;

    if (!ollama_find(sv, c, name, &s.m))
        return;
    buf_init(&out, TEXT_MAX);
    if (hf_open_model(&s.g, s.m.path, 0, NULL) < 0)
        s.g = NULL; /* what the store knows is shown all the same */
    rc = override(&s, b, &e);
    if (rc == 0 && put_all(&out, &s) < 0)
        rc = err_set(&e, E_NOMEM, "no memory for the answer");
    if (rc == 0 && s.g)
        rc = gguf_intact(s.g, &e);
    if (rc == 0)
        call_reply(c, 200, dialect_ollama.json_type, out.p, out.n);
    else
        ask_error(c, &e, NULL);
    buf_done(&out);
    gguf_free(s.g);
    store_model_done(&s.m);
}

void ollama_show(struct serve *s, struct call *c)
{
    struct body b = {.verbose = 0};
    struct field_report r;
    struct err e = {0};
    struct str name;
    json_t *body;
    int rc;

    if (!ask_body(c, &body))
        return;
    field_report_init(&r, ask_strict(c));
    rc = field_read(rows, sizeof(rows) / sizeof(*rows), "", body, &b, &r, &e);
    if (rc < 0) {
        ask_error(c, &e, r.param);
    } else if (ollama_name(c, body, &name)) {
        ask_warn(c, &r);
        show(s, c, name, &b);
    }
    field_report_done(&r);
    json_decref(body);
}

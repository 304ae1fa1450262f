/* GET /v1/models and /v1/models/NAME. Anthropic's clients ask at the same paths. */
#include "serve/api/anthropic.h"
#include "serve/api/openai.h"
#include "serve/api/openai_routes.h"

#include "serve/auth.h"
#include "serve/local.h"
#include "store/store.h"

/* Beyond OpenAI's members: how long a text may be, and what the model can do. */
static json_t *model_json(const struct serve *s, const struct store_model *m)
{
    int n_ctx = s->local ? local_context(s->local, m) : m->n_ctx_train;
    json_t *o;

    o = json_pack("{s:s,s:s,s:I,s:s,s:o}", "id", m->name, "object", "model", "created",
                  (json_int_t)(m->modified_ns / 1000000000), "owned_by", "library",
                  "capabilities", store_can_json(m->can));
    if (o && n_ctx > 0 && json_object_set_new(o, "context_length", json_integer(n_ctx)) != 0) {
        json_decref(o);
        o = NULL;
    }
    return o;
}

struct models {
    json_t *data;
    const struct call *c;
    const struct serve *s;
};

static int visit(void *ctx, const struct store_model *m)
{
    struct models *l = ctx;

    if (!auth_model(l->c->who, str_of(m->name)))
        return 0;
    return json_array_append_new(l->data, model_json(l->s, m)) != 0;
}

void openai_models(struct serve *s, struct call *c)
{
    struct models l = {json_array(), c, s};
    struct err e = {0};
    int skipped = 0;

    if (call_header(c, "anthropic-version")) {
        json_decref(l.data);
        anthropic_models(s, c);
        return;
    }
    if (store_each(s->store, visit, &l, &skipped, &e) < 0) {
        ask_error(c, &e, NULL);
        json_decref(l.data);
        return;
    }
    ask_json(c, 200, json_pack("{s:s,s:o}", "object", "list", "data", l.data));
}

void openai_model(struct serve *s, struct call *c)
{
    struct store_model m = {0};
    struct err e = {0};
    struct str name = c->arg[0];
    int rc;

    if (call_header(c, "anthropic-version")) {
        anthropic_model(s, c);
        return;
    }
    rc = store_find(s->store, name, &m, &e);
    if (rc == 0 && !auth_model(c->who, str_of(m.name)))
        rc = err_set(&e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
    if (rc < 0)
        ask_error(c, &e, "model");
    else
        ask_json(c, 200, model_json(s, &m));
    store_model_done(&m);
}

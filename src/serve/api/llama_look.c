/* llama_look.c - what can be seen of a model: /props, /slots, /lora-adapters. */
#include "serve/api/llama.h"

#include "infer/sampler.h"
#include "serve/config.h"
#include "serve/local.h"
#include "store/store.h"
#include "text/chat.h"
#include "text/tok.h"

#include <string.h>

enum { PARALLEL = 16 }; /* as where the configuration says nothing */

#define ANSWER_MAX ((size_t)16 << 20)

static int parallel(const struct serve *s)
{
    return s->config && s->config->n_parallel > 0 ? s->config->n_parallel : PARALLEL;
}

/* -- which model ----------------------------------------------------------------------- */

/* The model of ?model=; n 0: none is named, and none is meant. */
static int asked_model(struct serve *s, const struct call *c, struct str *out,
                       struct arena *mem, struct err *e)
{
    const char *model = call_query(c, "model");

    return llama_model_seen(s, c, model ? str_of(model) : str_of(""), out, mem, e);
}

static void reply(struct call *c, struct json_out *w, struct buf *out)
{
    static const struct err none = {E_NOMEM, "no memory for the answer"};

    if (json_out_end(w) < 0)
        ask_error(c, &none, NULL);
    else
        call_reply(c, 200, c->route->dialect->json_type, out->p, out->n);
}

/* -- /props ---------------------------------------------------------------------------- */

/* The general defaults, with the model's own parameters over them. */
static void default_sampling(struct serve *s, struct str model, struct gate_request *q)
{
    struct store_model m = {0};
    struct sampler_options o;
    const struct {
        const char *name;
        float *at;
    } floats[] = {{"temperature", &q->sampling.temperature},
                  {"top_p", &q->sampling.top_p},
                  {"min_p", &q->sampling.min_p},
                  {"typical_p", &q->sampling.typical_p},
                  {"repeat_penalty", &q->sampling.repeat_penalty},
                  {"presence_penalty", &q->sampling.presence_penalty},
                  {"frequency_penalty", &q->sampling.frequency_penalty}};
    const struct {
        const char *name;
        int *at;
    } ints[] = {{"top_k", &q->sampling.top_k},
                {"repeat_last_n", &q->sampling.repeat_last_n},
                {"num_predict", &q->n_predict}};

    sampler_defaults(&o);
    q->sampling.temperature = o.temperature;
    q->sampling.top_p = o.top_p;
    q->sampling.min_p = o.min_p;
    q->sampling.typical_p = o.typical_p;
    q->sampling.repeat_penalty = o.repeat_penalty;
    q->sampling.presence_penalty = o.presence_penalty;
    q->sampling.frequency_penalty = o.frequency_penalty;
    q->sampling.top_k = o.top_k;
    q->sampling.repeat_last_n = o.repeat_last_n;
    q->n_predict = -1;
    if (model.n && store_find(s->store, model, &m, NULL) == 0) {
        for (size_t i = 0; i < sizeof(floats) / sizeof(*floats); i++) {
            const json_t *v = json_object_get(m.params, floats[i].name);

            if (json_is_number(v))
                *floats[i].at = (float)json_number_value(v);
        }
        for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++) {
            const json_t *v = json_object_get(m.params, ints[i].name);

            if (json_is_integer(v))
                *ints[i].at = (int)json_integer_value(v);
        }
    }
    store_model_done(&m);
}

static void put_token(struct json_out *w, const char *key, const struct tok *tok, int id)
{
    json_out_key(w, key);
    json_out_text(w, tok && id >= 0 ? tok_text(tok, id) : str_of(""));
}

/* What the template can do, as far as it was found out by rendering it. */
static void put_caps(struct json_out *w, const struct chat *chat)
{
    const struct probe *p = chat ? chat_probe(chat, 1) : NULL;

    json_out_key(w, "chat_template_caps");
    json_out_open(w, '{');
    if (p) {
        json_out_key(w, "supports_tools");
        json_out_bool(w, p->tools);
        json_out_key(w, "supports_tool_calls");
        json_out_bool(w, p->tools);
        json_out_key(w, "supports_parallel_tool_calls");
        json_out_bool(w, p->parallel);
        json_out_key(w, "supports_system_role");
        json_out_bool(w, p->system);
        json_out_key(w, "supports_object_arguments");
        json_out_bool(w, !p->args_text);
    }
    json_out_close(w, '}');
}

/* m NULL: what depends on no model, and nothing where it does. */
static void put_props(struct json_out *w, struct serve *s, const struct local_model *m,
                      const struct gate_request *q)
{
    const struct tok *tok = m ? local_tok(m) : NULL;
    struct local_info i = {.name = "", .path = ""};

    if (m)
        local_model_info(m, &i);
    json_out_open(w, '{');
    json_out_key(w, "default_generation_settings");
    json_out_open(w, '{');
    json_out_key(w, "n_ctx");
    json_out_int(w, i.n_ctx);
    json_out_key(w, "params");
    llama_put_settings(w, q, 0);
    json_out_close(w, '}');
    json_out_key(w, "total_slots");
    json_out_int(w, parallel(s));
    json_out_key(w, "model_alias");
    json_out_str(w, i.name);
    json_out_key(w, "model_path");
    json_out_str(w, i.path);
    json_out_key(w, "chat_template");
    json_out_text(w, m ? local_template(m) : str_of(""));
    put_caps(w, m ? local_chat(m) : NULL);
    put_token(w, "bos_token", tok, tok ? tok_bos(tok) : -1);
    put_token(w, "eos_token", tok, tok ? tok_eos(tok) : -1);
    json_out_key(w, "modalities");
    json_out_raw(w, str_of("{\"vision\":false,\"audio\":false}"));
    json_out_key(w, "build_info");
    json_out_str(w, "hearth " HEARTH_VERSION);
    json_out_key(w, "is_sleeping");
    json_out_bool(w, 0);
    json_out_close(w, '}');
}

void llama_props(struct serve *s, struct call *c)
{
    struct gate_request *q = gate_request_new(GATE_TEXT);
    struct local_model *m = NULL;
    struct json_out w;
    struct err e = {0};
    struct buf out;
    int rc = q ? asked_model(s, c, &q->model, &q->mem, &e)
               : err_set(&e, E_NOMEM, "no memory for the answer");

    buf_init(&out, ANSWER_MAX);
    if (rc == 0 && q->model.n)
        rc = local_hold(s->local, q->model, &m, &e);
    if (rc == 0) {
        default_sampling(s, q->model, q);
        json_out_init(&w, &out);
        put_props(&w, s, m, q);
        if (m)
            local_let_go(m);
        reply(c, &w, &out);
    } else {
        ask_error(c, &e, "model");
    }
    buf_done(&out);
    gate_request_free(q);
}

/* -- /slots ---------------------------------------------------------------------------- */

/* A slot here is a text under way; the rest, up to as many as run at once, are free. */
struct slots {
    struct json_out w;
    int n, n_running;
};

static void put_slot(struct json_out *w, int id, int n_ctx, const struct sched_slot *t)
{
    json_out_open(w, '{');
    json_out_key(w, "id");
    json_out_int(w, id);
    json_out_key(w, "id_task");
    json_out_int(w, t ? (int64_t)t->id : -1);
    json_out_key(w, "n_ctx");
    json_out_int(w, t ? t->n_ctx : n_ctx);
    json_out_key(w, "is_processing");
    json_out_bool(w, t != NULL);
    if (t) {
        json_out_key(w, "is_waiting");
        json_out_bool(w, !t->running);
        json_out_key(w, "n_prompt_tokens");
        json_out_int(w, t->n_prompt);
        json_out_key(w, "n_prompt_tokens_processed");
        json_out_int(w, t->n_prompt_done);
        json_out_key(w, "next_token");
        json_out_open(w, '{');
        json_out_key(w, "has_next_token");
        json_out_bool(w, 1);
        json_out_key(w, "n_decoded");
        json_out_int(w, t->n_output);
        json_out_close(w, '}');
    }
    json_out_close(w, '}');
}

static void add_slot(void *ctx, const struct sched_slot *t)
{
    struct slots *l = ctx;

    put_slot(&l->w, l->n++, 0, t);
    l->n_running += t->running;
}

/* Whether a model is loaded; nothing is loaded only to be looked at. */
struct look {
    struct str name;
    int is_there;
};

static void is_loaded(void *ctx, const struct local_info *i)
{
    struct look *f = ctx;

    if (i->state == LOCAL_READY && str_is(f->name, i->name))
        f->is_there = 1;
}

static int put_slots(struct serve *s, struct str model, struct slots *l, struct err *e)
{
    struct look f = {.name = model};
    struct local_model *m = NULL;
    struct store_model sm = {0};
    int rc, n_ctx = 0;

    if (model.n && store_find(s->store, model, &sm, NULL) == 0)
        n_ctx = local_context(s->local, &sm);
    store_model_done(&sm);

    local_each(s->local, is_loaded, &f);
    json_out_open(&l->w, '[');
    if (f.is_there) {
        rc = local_hold(s->local, model, &m, e);
        if (rc < 0)
            return rc;
        local_slots(m, add_slot, l);
        local_let_go(m);
    }
    while (l->n < parallel(s))
        put_slot(&l->w, l->n++, n_ctx, NULL);
    json_out_close(&l->w, ']');
    return 0;
}

void llama_slots(struct serve *s, struct call *c)
{
    const char *fail = call_query(c, "fail_on_no_slot");
    struct slots l = {.n = 0};
    struct err e = {0};
    struct arena mem;
    struct str name;
    struct buf out;
    int rc;

    arena_init(&mem, 64 << 10);
    buf_init(&out, ANSWER_MAX);
    json_out_init(&l.w, &out);
    rc = asked_model(s, c, &name, &mem, &e);
    if (rc == 0)
        rc = put_slots(s, name, &l, &e);
    if (rc == 0 && fail && strcmp(fail, "0") != 0 && l.n_running >= parallel(s))
        rc = err_set(&e, E_BUSY, "no slot is free");
    if (rc == 0)
        reply(c, &l.w, &out);
    else
        ask_error(c, &e, NULL);
    buf_done(&out);
    arena_done(&mem);
}

/* -- /lora-adapters -------------------------------------------------------------------- */

void llama_adapters(struct serve *s, struct call *c)
{
    struct store_model m = {0};
    struct json_out w;
    struct err e = {0};
    struct arena mem;
    struct str name;
    struct buf out;
    int rc;

    arena_init(&mem, 64 << 10);
    buf_init(&out, ANSWER_MAX);
    json_out_init(&w, &out);
    rc = asked_model(s, c, &name, &mem, &e);
    if (rc == 0 && name.n)
        rc = store_find(s->store, name, &m, &e);
    if (rc == 0) {
        json_out_open(&w, '[');
        for (size_t i = 0; i < m.n_adapter; i++) {
            json_out_open(&w, '{');
            json_out_key(&w, "id");
            json_out_int(&w, (int64_t)i);
            json_out_key(&w, "path");
            json_out_str(&w, m.adapter[i]);
            json_out_key(&w, "scale");
            json_out_int(&w, 1);
            json_out_close(&w, '}');
        }
        json_out_close(&w, ']');
        reply(c, &w, &out);
    } else {
        ask_error(c, &e, "model");
    }
    store_model_done(&m);
    buf_done(&out);
    arena_done(&mem);
}

#include "serve/api/openai.h"

#include "serve/api/llama.h"
#include "serve/api/openai_routes.h"

#include <stdarg.h>
#include <stdio.h>

static int failv(struct openai_parse *p, int code, const char *param, const char *fmt,
                 va_list ap) PRINTF_LIKE(4, 0);
static int failv(struct openai_parse *p, int code, const char *param, const char *fmt,
                 va_list ap)
{
    struct err why = {0};

    (void)err_setv(&why, code, fmt, ap);
    (void)snprintf(p->report.param, sizeof(p->report.param), "%s", param);
    return err_set(&p->e, code, "%s %s", param, why.msg);
}

int openai_bad(struct openai_parse *p, const char *param, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = failv(p, E_INVALID, param, fmt, ap);
    va_end(ap);
    return rc;
}

int openai_unsupported(struct openai_parse *p, const char *param, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = failv(p, E_UNSUPPORTED, param, fmt, ap);
    va_end(ap);
    return rc;
}

int openai_nomem(struct openai_parse *p)
{
    p->report.param[0] = '\0';
    return err_set(&p->e, E_NOMEM, "no memory for the request");
}

int openai_copy(struct openai_parse *p, struct str *out, struct str text)
{
    *out = gate_str(p->q, text.p, text.n);
    return out->p ? 0 : openai_nomem(p);
}

static void in_init(struct openai_in *in, const struct gate_request *q)
{
    *in = (struct openai_in){
        .sampling = q->sampling,
        .max_tokens = GATE_UNSET,
        .max_completion_tokens = GATE_UNSET,
        .n_predict = GATE_UNSET,
        .n = 1,
        .best_of = GATE_UNSET,
        .keep_alive_ns = GATE_KEEP_DEFAULT,
        .cache_prompt = 1,
        .n_ctx = GATE_UNSET,
        .n_think = GATE_UNSET,
        .parallel_tool_calls = 1,
        .add_prompt = 1,
        .top_logprobs = GATE_UNSET,
        .dimensions = GATE_UNSET,
        .top_n = GATE_UNSET,
    };
}

/* Clients of llama-server name none. */
static int model(struct openai_parse *p, struct serve *s, const struct call *c)
{
    int rc;

    if (p->in.model.n)
        return openai_copy(p, &p->q->model, p->in.model);
    (void)snprintf(p->report.param, sizeof(p->report.param), "model");
    rc = llama_model(s, c, p->in.model, &p->q->model, &p->q->mem, &p->e);
    p->in.model = p->q->model;
    return rc;
}

int openai_begin(struct openai_parse *p, struct serve *s, struct call *c, int kind,
                 const char *route, const struct field_row *rows, size_t n)
{
    *p = (struct openai_parse){0};
    field_report_init(&p->report, ask_strict(c));
    if (!ask_body(c, &p->body)) {
        field_report_done(&p->report);
        return 0;
    }
    p->q = gate_request_new(kind);
    if (!p->q) {
        (void)openai_nomem(p);
        openai_refuse(p, c);
        return 0;
    }
    in_init(&p->in, p->q);
    p->q->route = route;
    p->q->overflow = GATE_REFUSE;
    if (field_read(rows, n, "", p->body, &p->in, &p->report, &p->e) < 0 || model(p, s, c) < 0) {
        openai_refuse(p, c);
        return 0;
    }
    p->q->keep_alive_ns = p->in.keep_alive_ns;
    return 1;
}

static void drop_json(struct openai_parse *p)
{
    json_decref(p->body);
    p->body = NULL;
    json_decref(p->spaces);
    p->spaces = NULL;
}

void openai_end(struct openai_parse *p)
{
    gate_request_free(p->q);
    p->q = NULL;
    drop_json(p);
    field_report_done(&p->report);
}

void openai_refuse(struct openai_parse *p, struct call *c)
{
    ask_warn(c, &p->report);
    ask_error(c, &p->e, p->report.param);
    openai_end(p);
}

void openai_start(struct openai_parse *p, struct serve *s, struct call *c,
                  const struct ask_ops *ops, void *ctx)
{
    struct gate_request *q = p->q;

    p->q = NULL;
    drop_json(p); /* what the request shares with it is other threads' from now on */
    ask_start(s, c, q, ops, p->in.stream, ctx, &p->report);
    openai_end(p);
}

static int count_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    (void)ctx;
    if (ev->kind != GATE_EV_DONE)
        return 0;
    return buf_fmt(out, "{\"object\":\"response.input_tokens\",\"input_tokens\":%d}",
                   ev->usage->n_prompt);
}

void openai_count(struct openai_parse *p, struct serve *s, struct call *c)
{
    static const struct ask_ops ops = {.event = count_event};

    p->q->count_only = 1;
    p->in.stream = 0;
    openai_start(p, s, c, &ops, NULL);
}

#define ROUTE(method_, path_, name_, fn)                                                       \
    {                                                                                          \
        .method = (method_), .path = (path_), .scope = SCOPE_INFER, .name = "openai." name_,   \
        .dialect = &dialect_openai, .run = (fn)                                                \
    }

const struct route api_openai_routes[API_OPENAI_N_ROUTE] = {
    ROUTE("POST", "/v1/chat/completions", "chat", openai_chat),
    ROUTE("POST", "/v1/chat/completions/input_tokens", "input_tokens", openai_chat_count),
    ROUTE("POST", "/v1/completions", "completions", openai_text),
    ROUTE("POST", "/v1/embeddings", "embeddings", openai_embed),
    ROUTE("POST", "/v1/rerank", "rerank", openai_rerank),
    ROUTE("POST", "/v1/reranking", "rerank", openai_rerank),
    ROUTE("GET", "/v1/models", "models", openai_models),
    ROUTE("GET", "/v1/models/*name", "model", openai_model),
    ROUTE("POST", "/v1/responses", "responses", openai_responses),
    ROUTE("POST", "/v1/responses/input_tokens", "input_tokens", openai_responses_count),
    ROUTE("GET", "/v1/responses/:id", "responses.get", openai_responses_get),
    ROUTE("DELETE", "/v1/responses/:id", "responses.delete", openai_responses_delete),
    ROUTE("POST", "/v1/responses/:id/cancel", "responses.cancel", openai_responses_cancel),
    ROUTE("GET", "/v1/responses/:id/input_items", "responses.items", openai_responses_items),
};

/* llama.c - routes of llama-server's own dialect, and its errors. */
#include "serve/api/llama.h"

#include "serve/api/openai_routes.h"

static const char *type_of(int status, int code)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},      {429, "rate_limit_error"},
                 {501, "not_supported_error"},  {503, "unavailable_error"}};

    if (code == E_CANCELLED)
        return "server_error";
    if (code == E_TOO_LONG && status == 400)
        return "exceed_context_size_error";
    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 ? "server_error" : "invalid_request_error";
}

int llama_error(struct buf *out, int status, const struct err *e, const char *param,
                const char *id)
{
    struct json_out w;

    (void)param; /* the message names it */
    (void)id;
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "error");
    json_out_open(&w, '{');
    json_out_key(&w, "code");
    json_out_int(&w, status);
    json_out_key(&w, "message");
    json_out_str(&w, e->msg);
    json_out_key(&w, "type");
    json_out_str(&w, type_of(status, e->code));
    json_out_close(&w, '}');
    json_out_close(&w, '}');
    return json_out_end(&w);
}

const struct dialect dialect_llama = {"llama", "application/json; charset=utf-8", llama_error};

/* What clients may know from there and this server does another way. */
static void refuse(struct call *c, const char *why)
{
    struct err e;

    (void)err_set(&e, E_UNSUPPORTED, "%s", why);
    ask_error_status(c, 501, &e, NULL);
}

static void refuse_props(struct serve *s, struct call *c)
{
    (void)s;
    refuse(c, "properties cannot be changed here; hearth.yaml and the parameters of a model's "
              "Modelfile set them");
}

static void refuse_slots(struct serve *s, struct call *c)
{
    (void)s;
    refuse(c, "slots are not saved, restored or erased: the beginnings of prompts are kept by "
              "what is in them, and used again by themselves");
}

static void refuse_adapters(struct serve *s, struct call *c)
{
    (void)s;
    refuse(c, "adapters belong to a model: create one with ADAPTER in its Modelfile, and name "
              "it in the request");
}

#define ROUTE(method_, path_, scope_, name_, run_)                                             \
    {                                                                                          \
        .method = (method_), .path = (path_), .scope = (scope_), .name = "llama." name_,       \
        .dialect = &dialect_llama, .run = (run_)                                               \
    }

const struct route llama_routes[LLAMA_N_ROUTE] = {
    ROUTE("POST", "/completion", SCOPE_INFER, "completion", llama_completion),
    ROUTE("POST", "/completions", SCOPE_INFER, "completion", llama_completion),
    ROUTE("POST", "/infill", SCOPE_INFER, "infill", llama_infill),
    ROUTE("POST", "/tokenize", SCOPE_INFER, "tokenize", llama_tokenize),
    ROUTE("POST", "/detokenize", SCOPE_INFER, "detokenize", llama_detokenize),
    ROUTE("POST", "/apply-template", SCOPE_INFER, "apply-template", llama_apply_template),
    ROUTE("POST", "/embedding", SCOPE_INFER, "embedding", llama_embedding),
    ROUTE("POST", "/embeddings", SCOPE_INFER, "embedding", llama_embedding),
    ROUTE("POST", "/rerank", SCOPE_INFER, "rerank", llama_rerank),
    ROUTE("POST", "/reranking", SCOPE_INFER, "rerank", llama_rerank),
    ROUTE("GET", "/models", SCOPE_INFER, "models", openai_models),
    ROUTE("GET", "/props", SCOPE_INFER, "props", llama_props),
    ROUTE("POST", "/props", SCOPE_MANAGE, "props", refuse_props),
    ROUTE("GET", "/slots", SCOPE_INFER, "slots", llama_slots),
    ROUTE("POST", "/slots/:id", SCOPE_MANAGE, "slots", refuse_slots),
    ROUTE("GET", "/lora-adapters", SCOPE_INFER, "lora", llama_adapters),
    ROUTE("POST", "/lora-adapters", SCOPE_MANAGE, "lora", refuse_adapters),
};

/* ollama.c - routes of Ollama's dialect, its errors, generate and chat. */
#include "serve/api/ollama.h"

#include "serve/json_out.h"

#include "hearth.h"

#include <string.h>

/* The API that is spoken here: clients compare it with what they need. */
#define API_VERSION "0.33.0"

/* -- errors ---------------------------------------------------------------------------- */

static int error_json(struct buf *out, int status, const struct err *e, const char *param,
                      const char *id)
{
    struct json_out w;

    (void)status, (void)param, (void)id; /* the text names the field */
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "error");
    json_out_str(&w, e->msg);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

const struct dialect dialect_ollama = {"ollama", "application/json; charset=utf-8", error_json};

/* -- generate and chat ----------------------------------------------------------------- */

static void answer(struct serve *s, struct call *c, int chat)
{
    struct ollama_wish wish = {.chat = chat};
    struct ollama_answer *a;
    struct gate_request *q = NULL;
    struct field_report r;
    struct err e = {0};
    json_t *body;
    int rc;

    if (!ask_body(c, &body))
        return;
    field_report_init(&r, ask_strict(c));
    rc = ollama_read(s, body, chat, &q, &wish, &r, &e);
    json_decref(body);
    a = rc == 0 ? ollama_answer_new(q->model, &wish) : NULL;
    if (rc == 0 && !a)
        rc = err_set(&e, E_NOMEM, "no memory for an answer");
    if (rc == 0) {
        q->route = chat ? "ollama.chat" : "ollama.generate";
        ask_start(s, c, q, &ollama_answer_ops, wish.stream, a, &r);
    } else {
        json_decref(a ? NULL : wish.history);
        gate_request_free(q);
        ask_error(c, &e, r.param);
    }
    field_report_done(&r);
}

static void run_generate(struct serve *s, struct call *c)
{
    answer(s, c, 0);
}

static void run_chat(struct serve *s, struct call *c)
{
    answer(s, c, 1);
}

/* -- small ones ------------------------------------------------------------------------ */

static void run_version(struct serve *s, struct call *c)
{
    (void)s;
    ask_json(c, 200,
             json_pack("{s:s, s:s}", "version", API_VERSION, "hearth", hearth_version()));
}

/* -- what comes later ------------------------------------------------------------------ */

static void not_here(struct call *c, const char *what)
{
    struct err e = {0};

    (void)err_set(&e, E_UNSUPPORTED, "%s", what);
    ask_error_status(c, 501, &e, NULL);
}

static void run_pull(struct serve *s, struct call *c)
{
    (void)s;
    not_here(c, "pull is not implemented: this server downloads no models yet; get the GGUF "
                "file and name it by 'hearth create'");
}

static void run_push(struct serve *s, struct call *c)
{
    (void)s;
    not_here(c, "push is not implemented: this server uploads no models");
}

static void run_account(struct serve *s, struct call *c)
{
    (void)s;
    not_here(c, "accounts are not implemented: this server signs in nowhere");
}

/* "sha256:" and 64 digits, or with '-' as in file names. */
static int is_digest(struct str d)
{
    if (d.n != 71 || memcmp(d.p, "sha256", 6) != 0 || (d.p[6] != ':' && d.p[6] != '-'))
        return 0;
    for (size_t i = 7; i < d.n; i++)
        if (!strchr("0123456789abcdef", d.p[i]) || !d.p[i])
            return 0;
    return 1;
}

static void run_blob(struct serve *s, struct call *c)
{
    struct err e = {0};

    (void)s;
    if (!is_digest(c->arg[0])) {
        (void)err_set(&e, E_INVALID, "invalid digest format");
        ask_error(c, &e, NULL);
        return;
    }
    not_here(c, "blobs are not implemented: models are made here of files that the server's "
                "machine has, by 'hearth create'");
}

/* -- routes ------------------------------------------------------------------------------ */

/* clang-format off */
const struct route ollama_routes[OLLAMA_N_ROUTE] = {
    {"GET",    "/api/version",       SCOPE_PUBLIC, ROUTE_QUICK, "ollama.version", &dialect_ollama, run_version},
    {"POST",   "/api/generate",      SCOPE_INFER,  ROUTE_CURL, "ollama.generate", &dialect_ollama, run_generate},
    {"POST",   "/api/chat",          SCOPE_INFER,  ROUTE_CURL, "ollama.chat", &dialect_ollama, run_chat},
    {"POST",   "/api/embed",         SCOPE_INFER,  ROUTE_CURL, "ollama.embed", &dialect_ollama, ollama_embed},
    {"POST",   "/api/embeddings",    SCOPE_INFER,  ROUTE_CURL, "ollama.embeddings", &dialect_ollama, ollama_embeddings},
    {"POST",   "/api/rerank",        SCOPE_INFER,  ROUTE_CURL, "ollama.rerank", &dialect_ollama, ollama_rerank},
    {"GET",    "/api/tags",          SCOPE_INFER,  0, "ollama.tags", &dialect_ollama, ollama_tags},
    {"GET",    "/api/ps",            SCOPE_INFER,  0, "ollama.ps", &dialect_ollama, ollama_ps},
    {"POST",   "/api/show",          SCOPE_INFER,  ROUTE_CURL, "ollama.show", &dialect_ollama, ollama_show},
    {"POST",   "/api/create",        SCOPE_MANAGE, ROUTE_CURL, "ollama.create", &dialect_ollama, ollama_create},
    {"POST",   "/api/copy",          SCOPE_MANAGE, ROUTE_CURL, "ollama.copy", &dialect_ollama, ollama_copy},
    {"DELETE", "/api/delete",        SCOPE_MANAGE, ROUTE_CURL, "ollama.delete", &dialect_ollama, ollama_delete},
    {"POST",   "/api/pull",          SCOPE_MANAGE, ROUTE_ANY_TYPE, "ollama.pull", &dialect_ollama, run_pull},
    {"POST",   "/api/push",          SCOPE_MANAGE, ROUTE_ANY_TYPE, "ollama.push", &dialect_ollama, run_push},
    {"POST",   "/api/me",            SCOPE_INFER,  ROUTE_ANY_TYPE, "ollama.me", &dialect_ollama, run_account},
    {"POST",   "/api/signout",       SCOPE_INFER,  ROUTE_ANY_TYPE, "ollama.signout", &dialect_ollama, run_account},
    {"HEAD",   "/api/blobs/:digest", SCOPE_MANAGE, 0, "ollama.blob", &dialect_ollama, run_blob},
    {"POST",   "/api/blobs/:digest", SCOPE_MANAGE, ROUTE_ANY_TYPE, "ollama.blob", &dialect_ollama, run_blob},
};
/* clang-format on */

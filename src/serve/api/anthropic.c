/* anthropic.c - routes of Anthropic's dialect, its errors, and its lists of models. */
#include "serve/api/anthropic.h"

#include "base/log.h"
#include "serve/auth.h"
#include "serve/json_out.h"
#include "serve/local.h"
#include "store/store.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* -- errors ---------------------------------------------------------------------------- */

static const char *type_of_status(int status)
{
    static const struct {
        int status;
        const char *type;
    } types[] = {
        {401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},
        {413, "request_too_large"},    {429, "rate_limit_error"}, {503, "overloaded_error"},
        {504, "timeout_error"},        {499, "api_error"},        {529, "overloaded_error"},
    };

    for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (types[i].status == status)
            return types[i].type;
    return status >= 500 && status != 501 ? "api_error" : "invalid_request_error";
}

int anthropic_error(struct buf *out, int status, const struct err *e, const char *param,
                    const char *id)
{
    struct json_out w;
    struct buf text;
    int rc;

    (void)param; /* the message names it */
    buf_init(&text, (size_t)2 * ERR_MAX);
    /* Clients look for these words to make their conversation shorter. */
    rc = buf_fmt(&text, "%s%s",
                 e->code == E_TOO_LONG && status == 400 ? "prompt is too long: " : "", e->msg);
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "type");
    json_out_str(&w, "error");
    json_out_key(&w, "error");
    json_out_open(&w, '{');
    json_out_key(&w, "type");
    json_out_str(&w, type_of_status(status));
    json_out_key(&w, "message");
    json_out_text(&w, (struct str){text.p ? text.p : "", text.n});
    json_out_close(&w, '}');
    json_out_key(&w, "request_id");
    json_out_str(&w, id);
    json_out_close(&w, '}');
    buf_done(&text);
    return rc < 0 ? rc : json_out_end(&w);
}

const struct dialect dialect_anthropic = {"anthropic", "application/json; charset=utf-8",
                                          anthropic_error};

/* Where the SDKs look for an exchange's name. */
static void name_exchange(struct call *c)
{
    if (call_add_header(c, "request-id", c->id) < 0)
        log_line(LOG_DEBUG, "no memory for a header");
}

/* -- messages -------------------------------------------------------------------------- */

/* Reads the call's body into a request. NULL: the call is answered. */
static struct gate_request *read_request(struct call *c, int count_only,
                                         struct anthropic_wish *wish, struct field_report *r)
{
    struct gate_request *q;
    struct err e = {0};
    json_t *body;
    int rc;

    name_exchange(c);
    if (!ask_body(c, &body))
        return NULL;
    q = gate_request_new(GATE_CHAT);
    if (q) {
        q->count_only = count_only;
        q->route = count_only ? "anthropic.count_tokens" : "anthropic.messages";
        rc = anthropic_read(q, body, wish, r, &e);
    } else {
        rc = err_set(&e, E_NOMEM, "no memory for a request");
    }
    json_decref(body);
    if (rc == 0)
        return q;
    gate_request_free(q);
    ask_error(c, &e, r->param);
    return NULL;
}

static void run_messages(struct serve *s, struct call *c)
{
    static const struct err none = {E_NOMEM, "no memory for an answer"};
    struct anthropic_wish wish = {0};
    struct anthropic_answer *a;
    struct gate_request *q;
    struct field_report r;

    field_report_init(&r, ask_strict(c));
    q = read_request(c, 0, &wish, &r);
    if (q) {
        a = anthropic_answer_new(c, q->model, &wish);
        if (a) {
            ask_start(s, c, q, &anthropic_message_ops, wish.stream, a, &r);
        } else {
            gate_request_free(q);
            ask_error(c, &none, NULL);
        }
    }
    field_report_done(&r);
}

static void run_count(struct serve *s, struct call *c)
{
    struct anthropic_wish wish = {0};
    struct gate_request *q;
    struct field_report r;

    field_report_init(&r, ask_strict(c));
    q = read_request(c, 1, &wish, &r);
    if (q)
        ask_start(s, c, q, &anthropic_count_ops, 0, NULL, &r);
    field_report_done(&r);
}

/* -- models ---------------------------------------------------------------------------- */

enum { PAGE_DEFAULT = 20, PAGE_MAX = 1000 };

static json_t *model_json(const struct serve *s, const struct store_model *m)
{
    int n_ctx = s->local ? local_context(s->local, m) : m->n_ctx_train;
    time_t at = (time_t)(m->modified_ns / 1000000000);
    struct tm tm;
    char text[32] = "1970-01-01T00:00:00Z";

    if (gmtime_r(&at, &tm))
        (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
    return json_pack("{s:s, s:s, s:s, s:s, s:i, s:i}", "type", "model", "id", m->name,
                     "display_name", m->name, "created_at", text, "max_input_tokens", n_ctx,
                     "max_tokens", n_ctx);
}

struct listing {
    const struct serve *s;
    const struct call *c;
    json_t *all;
};

static int list_one(void *ctx, const struct store_model *m)
{
    struct listing *l = ctx;

    if (l->c->who && !auth_model(l->c->who, str_of(m->name)))
        return 0;
    return json_array_append_new(l->all, model_json(l->s, m));
}

static size_t index_of(const json_t *all, const char *id)
{
    const json_t *m;
    size_t i;

    json_array_foreach(all, i, m)
    {
        if (strcmp(json_string_value(json_object_get(m, "id")), id) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* What the query asks for: from, and how many at most. Fails: E_INVALID. */
static int page_of(const struct call *c, const json_t *all, size_t *from, size_t *n,
                   struct err *e)
{
    const char *limit = call_query(c, "limit"), *id;
    char *end = NULL;
    long most = limit ? strtol(limit, &end, 10) : PAGE_DEFAULT;
    size_t i;

    if (limit && (end == limit || *end || most < 1 || most > PAGE_MAX))
        return err_set(e, E_INVALID, "limit: expected a number from 1 to %d", PAGE_MAX);
    *from = 0;
    *n = (size_t)most;
    id = call_query(c, "after_id");
    if (id) {
        i = index_of(all, id);
        if (i == SIZE_MAX)
            return err_set(e, E_INVALID, "after_id: there is no model '%s'", id);
        *from = i + 1;
    }
    id = call_query(c, "before_id");
    if (id) {
        i = index_of(all, id);
        if (i == SIZE_MAX)
            return err_set(e, E_INVALID, "before_id: there is no model '%s'", id);
        *from = i > *n ? i - *n : 0;
        *n = i < *n ? i : *n;
    }
    return 0;
}

static json_t *page_json(const json_t *all, size_t from, size_t n)
{
    json_t *data = json_array(), *first, *last;
    size_t i, count = json_array_size(all);

    for (i = from; i < count && i - from < n; i++) {
        if (json_array_append(data, json_array_get(all, i)) != 0)
            break;
    }
    first = json_object_get(json_array_get(data, 0), "id");
    last = json_object_get(json_array_get(data, i > from ? i - from - 1 : 0), "id");
    return json_pack("{s:o, s:b, s:O?, s:O?}", "data", data, "has_more", i < count, "first_id",
                     first, "last_id", last);
}

/* The path is OpenAI's; the answer is ours from here on, also when it is an error. */
static void take_over(struct call *c)
{
    static const struct route ours = {.method = "GET",
                                      .path = "/v1/models",
                                      .scope = SCOPE_INFER,
                                      .name = "anthropic.models",
                                      .dialect = &dialect_anthropic};

    c->route = &ours;
    name_exchange(c);
}

void anthropic_models(struct serve *s, struct call *c)
{
    struct listing l = {s, c, json_array()};
    struct err e = {0};
    size_t from = 0, n = 0;
    int rc;

    take_over(c);
    rc = store_each(s->store, list_one, &l, NULL, &e);

    if (rc == 0)
        rc = page_of(c, l.all, &from, &n, &e);
    if (rc == 0)
        ask_json(c, 200, page_json(l.all, from, n));
    else
        ask_error(c, &e, NULL);
    json_decref(l.all);
}

void anthropic_model(struct serve *s, struct call *c)
{
    struct store_model m = {0};
    struct err e = {0};
    int rc;

    take_over(c);
    rc = store_find(s->store, c->arg[0], &m, &e);

    if (rc == 0 && c->who && !auth_model(c->who, str_of(m.name)))
        rc = err_set(&e, E_NOT_FOUND, "model '%.*s' not found", (int)c->arg[0].n, c->arg[0].p);
    if (rc == 0)
        ask_json(c, 200, model_json(s, &m));
    else
        ask_error(c, &e, NULL);
    store_model_done(&m);
}

/* -- routes ---------------------------------------------------------------------------- */

const struct route anthropic_routes[ANTHROPIC_N_ROUTE] = {
    {"POST", "/v1/messages", SCOPE_INFER, 0, "anthropic.messages", &dialect_anthropic,
     run_messages},
    {"POST", "/v1/messages/count_tokens", SCOPE_INFER, 0, "anthropic.count_tokens",
     &dialect_anthropic, run_count},
};

/* run_via.c - `hearth run NAME` through a server that runs already: Ollama's API, asked for
 * what was given on the command line. All else is the server's to choose, by its model. */
#include "cmd/run_via.h"

#include "base/mem.h"
#include "net/client.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIND_MS = 300, URL_MAX = 4096 };

#define TEXT_MAX ((size_t)256 << 20)
#define SEED_MAX 9000000000000000u /* what the API takes */

struct client *_Atomic run_via_client;

/* -- what was given ---------------------------------------------------------------------- */

/* Numbers that no option can have stand for what was not given. */
static void blank(struct run_options *o)
{
    *o = (struct run_options){0};
    for (int i = 0; i < run_spec.n; i++) {
        const struct opt_row *row = &run_spec.rows[i];

        if (row->type == OPT_INT || row->type == OPT_CHOICE)
            RUN_VIA_AT(row, int, o) = INT_MIN;
        else if (row->type == OPT_FLOAT)
            RUN_VIA_AT(row, float, o) = NAN;
    }
}

int run_via_given(const struct opt_row *row, const struct run_options *o)
{
    switch (row->type) {
    case OPT_FLAG:
        return RUN_VIA_AT(row, int, o) != 0;
    case OPT_INT:
    case OPT_CHOICE:
        return RUN_VIA_AT(row, int, o) != INT_MIN;
    case OPT_FLOAT:
        return !isnan(RUN_VIA_AT(row, float, o));
    case OPT_SEED:
        return RUN_VIA_AT(row, struct opt_seed, o).given;
    case OPT_LIST:
        return RUN_VIA_AT(row, struct opt_list, o).n > 0;
    default:
        return RUN_VIA_AT(row, const char *, o) != NULL;
    }
}

/* A server can be told, beside the model's parameters, of these. */
static int is_known(const struct opt_row *row)
{
    static const char *const names[] = {"num-ctx", "system",   "format",
                                        "think",   "no-think", "hide-thinking",
                                        "raw",     "json",     "verbose"};
    int known = row->param != NULL;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        known |= strcmp(row->name, names[i]) == 0;
    return known;
}

/* What was given, in *o. 1: a server can be told all of it. */
static int given(struct run_options *o, int argc, char **argv)
{
    char **copy = mem_calloc((size_t)argc + 1, sizeof(*copy));
    int ok = copy != NULL;

    blank(o);
    if (ok) {
        memcpy(copy, argv, (size_t)argc * sizeof(*copy));
        ok = opt_parse(&run_spec, argc, copy, o, NULL) >= 0;
    }
    mem_free(copy);
    for (int i = 0; ok && i < run_spec.n; i++)
        ok = is_known(&run_spec.rows[i]) || !run_via_given(&run_spec.rows[i], o);
    return ok && !(o->seed.given && o->seed.value > SEED_MAX);
}

/* A word that can only mean a model of a store. */
static int is_name(const char *word)
{
    struct name name;
    size_t n = strlen(word);

    return access(word, F_OK) != 0 && name_parse(&name, str_of(word), NULL) == 0 &&
           (n < 5 || strcmp(word + n - 5, ".gguf") != 0);
}

/* -- asking ------------------------------------------------------------------------------ */

static int code_of(int status)
{
    static const struct {
        int status, code;
    } known[] = {{400, E_INVALID},     {404, E_NOT_FOUND}, {413, E_TOO_LONG},
                 {422, E_UNSUPPORTED}, {429, E_BUSY},      {501, E_UNSUPPORTED},
                 {503, E_BUSY},        {507, E_NOMEM}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status)
            return known[i].code;
    }
    return E_IO;
}

const char *run_via_error(const json_t *o)
{
    const json_t *said = json_object_get(o, "error");

    return json_string_value(json_is_object(said) ? json_object_get(said, "message") : said);
}

static int refused(const struct run_via *v, const struct client_answer *a, struct err *e)
{
    json_t *o = json_loadb(a->body.n ? a->body.p : "", a->body.n, 0, NULL);
    const char *why = run_via_error(o);
    int code = err_of_type(a->error),
        rc = err_set(e, code ? code : code_of(a->status), "%s: %s", v->url.p,
                     why ? why : "an answer that is none of ours");

    json_decref(o);
    return rc;
}

/* Whether somebody is there, who does not take long to say so. */
static int is_there(const struct run_via *v)
{
    struct client_options o = {
        .base = v->url.p, .connect_timeout_ms = FIND_MS, .idle_timeout_ms = FIND_MS};
    struct client_answer a = {0};
    struct client *c = NULL;
    json_t *said = NULL;
    int ok = client_new(&c, &o, NULL) == 0 &&
             client_ask(c, "GET", "/api/version", NULL, 0, NULL, NULL, &a, NULL) == 0 &&
             a.status == 200;

    if (ok)
        said = json_loadb(a.body.n ? a.body.p : "", a.body.n, 0, NULL);
    ok = json_is_string(json_object_get(said, "version"));
    json_decref(said);
    client_free(c);
    client_answer_done(&a);
    return ok;
}

int run_via_post(struct run_via *v, const char *path, json_t *body, client_sink *sink,
                 void *ctx, struct client_answer *a, struct err *e)
{
    struct buf text;
    int rc = body ? 0 : E_NOMEM;

    buf_init(&text, TEXT_MAX);
    if (rc == 0)
        rc = run_json_put(&text, body);
    json_decref(body);
    if (rc < 0) {
        rc = err_set(e, rc, "no memory for a request, or a text is not UTF-8");
    } else {
        run_interrupted = 0;
        atomic_store(&run_via_client, v->client);
        rc = client_ask(v->client, "POST", path, text.p, text.n, sink, ctx, a, e);
        atomic_store(&run_via_client, NULL);
    }
    buf_done(&text);
    if (rc == 0 && a->status != 200)
        rc = refused(v, a, e);
    return rc;
}

/* A number among lines of "name value". */
static int param_of(const json_t *text, const char *name)
{
    const char *at = json_is_string(text) ? strstr(json_string_value(text), name) : NULL;
    long n = at ? strtol(at + strlen(name), NULL, 10) : 0;

    return n > 0 && n < INT_MAX ? (int)n : 0;
}

/* What the server knows of the model. */
static int look(struct run_via *v, const char *name, struct err *e)
{
    struct client_answer a = {0};
    json_t *o = NULL;
    int rc = run_via_post(v, "/api/show", json_pack("{s:s}", "model", name), NULL, NULL, &a, e);

    if (rc == 0) {
        o = json_loadb(a.body.n ? a.body.p : "", a.body.n, 0, NULL);
        v->chat = json_string_length(json_object_get(o, "template")) > 0;
        v->num_predict = param_of(json_object_get(o, "parameters"), "num_predict ");
    }
    json_decref(o);
    client_answer_done(&a);
    return rc;
}

static int open_client(struct run_via *v, struct err *e)
{
    struct client_options o = {.base = v->url.p, .key = getenv("HEARTH_API_KEY")};

    return client_new(&v->client, &o, e);
}

int run_via_open(struct run *r, int argc, char **argv, struct err *e)
{
    struct run_options o;
    struct run_via *v;
    int rc;

    if (r->opt.local || !is_name(r->path) || !given(&o, argc, argv))
        return 0;
    v = mem_calloc(1, sizeof(*v));
    if (!v)
        return err_set(e, E_NOMEM, "no memory for a client");
    buf_init(&v->url, URL_MAX);
    buf_init(&v->text, TEXT_MAX);
    r->via = v;
    rc = client_host(&v->url, NULL) == 0 && is_there(v);
    if (rc == 1)
        rc = open_client(v, e);
    else
        rc = 1;
    if (rc == 0)
        rc = look(v, r->path, e);
    if (rc != 0) {
        run_via_close(r);
        return rc < 0 ? rc : 0;
    }
    r->opt = o;
    return 1;
}

void run_via_close(struct run *r)
{
    if (!r->via)
        return;
    client_free(r->via->client);
    buf_done(&r->via->url);
    buf_done(&r->via->text);
    mem_free(r->via);
    r->via = NULL;
}

const char *run_via_url(const struct run *r)
{
    return r->via->url.p;
}

int run_via_chat(const struct run *r)
{
    return r->via->chat && !r->opt.raw;
}

int run_via_has_text(const struct run *r)
{
    return r->via->text.n > 0;
}

void run_via_clear(struct run *r)
{
    buf_clear(&r->via->text);
}

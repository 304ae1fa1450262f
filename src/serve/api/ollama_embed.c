/* ollama_embed.c - /api/embed, the older /api/embeddings, and /api/rerank, which Ollama has
 * not.
 *
 * Vectors come in any order and are kept as JSON until all are there. */
#include "serve/api/ollama.h"

#include "base/mem.h"
#include "serve/json_out.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)1 << 30)

enum { INPUTS_MAX = 1 << 16, MODEL_LEN = 600 };

enum form { FORM_EMBED, FORM_EMBEDDING, FORM_RERANK };

struct body {
    struct str model, prompt, query;
    const json_t *input, *documents, *options;
    int truncate, dimensions, top_n;
    int64_t keep_alive_ns;
};

static int read_keep_alive(void *into, const json_t *v, struct err *e)
{
    struct body *b = into;

    return ollama_read_keep_alive(v, &b->keep_alive_ns, e);
}

#define ROW(n, t, field, lo, hi, f)                                                            \
    {                                                                                          \
        .name = (n), .type = (t), .at = offsetof(struct body, field), .min = (lo),             \
        .max = (hi), .flags = (f)                                                              \
    }
#define COMMON                                                                                 \
    ROW("model", FIELD_STR, model, 1, MODEL_LEN, FIELD_NEEDED),                                \
        ROW("options", FIELD_OBJECT, options, 0, 0, 0),                                        \
        ROW("truncate", FIELD_BOOL, truncate, 0, 0, 0),                                        \
    {                                                                                          \
        .name = "keep_alive", .type = FIELD_CALL, .read = read_keep_alive                      \
    }

static const struct field_row embed_rows[] = {
    COMMON,
    ROW("input", FIELD_JSON, input, 0, 0, 0),
    ROW("dimensions", FIELD_INT, dimensions, 0, INT_MAX, 0),
};

static const struct field_row embedding_rows[] = {
    COMMON,
    ROW("prompt", FIELD_STR, prompt, 0, 0, 0),
};

static const struct field_row rerank_rows[] = {
    COMMON,
    ROW("query", FIELD_STR, query, 1, 0, FIELD_NEEDED),
    ROW("documents", FIELD_ARRAY, documents, 1, INPUTS_MAX, FIELD_NEEDED),
    ROW("top_n", FIELD_INT, top_n, 1, INT_MAX, FIELD_CLAMP),
};

static const struct {
    const struct field_row *rows;
    size_t n;
    const char *route;
} forms[] = {
    [FORM_EMBED] = {embed_rows, sizeof(embed_rows) / sizeof(*embed_rows), "ollama.embed"},
    [FORM_EMBEDDING] = {embedding_rows, sizeof(embedding_rows) / sizeof(*embedding_rows),
                        "ollama.embeddings"},
    [FORM_RERANK] = {rerank_rows, sizeof(rerank_rows) / sizeof(*rerank_rows), "ollama.rerank"},
};

/* -- the answer ------------------------------------------------------------------------ */

struct answer {
    enum form form;
    struct str model; /* in mem */
    struct arena mem;
    size_t n, top_n;
    struct str *vector; /* JSON */
    struct score {
        size_t index;
        double score;
        int there;
    } * score;
};

static void answer_free(void *ctx)
{
    struct answer *a = ctx;

    if (!a)
        return;
    arena_done(&a->mem);
    mem_free(a);
}

static struct answer *answer_new(enum form form, const struct gate_request *q, size_t top_n)
{
    struct answer *a = mem_calloc(1, sizeof(*a));
    const char *model;

    if (!a)
        return NULL;
    arena_init(&a->mem, ANSWER_MAX);
    a->form = form;
    a->n = q->n_input;
    a->top_n = top_n && top_n < a->n ? top_n : a->n;
    model = arena_strdup(&a->mem, q->model);
    a->model = (struct str){model, q->model.n};
    a->vector = arena_calloc(&a->mem, a->n + 1, sizeof(*a->vector));
    a->score = arena_calloc(&a->mem, a->n + 1, sizeof(*a->score));
    if (model && a->vector && a->score)
        return a;
    answer_free(a);
    return NULL;
}

static int keep_vector(struct answer *a, const struct gate_event *ev)
{
    struct json_out w;
    struct buf text;
    int rc;

    if (ev->index >= a->n)
        return 0;
    buf_init(&text, ANSWER_MAX);
    json_out_init(&w, &text);
    json_out_open(&w, '[');
    for (int64_t i = 0; i < ev->n; i++)
        json_out_float(&w, ev->vector[i]);
    json_out_close(&w, ']');
    rc = json_out_end(&w);
    if (rc == 0) {
        const char *p = arena_strdup(&a->mem, (struct str){text.p, text.n});

        a->vector[ev->index] = (struct str){p, p ? text.n : 0};
        rc = p ? 0 : E_NOMEM;
    }
    buf_done(&text);
    return rc;
}

/* Better ones first; equal ones in their order. */
static int better_first(const void *x, const void *y)
{
    const struct score *a = x, *b = y;

    if (a->score > b->score || a->score < b->score)
        return a->score > b->score ? -1 : 1;
    return a->index > b->index ? 1 : -(a->index < b->index);
}

static void put_scores(struct json_out *w, struct answer *a)
{
    qsort(a->score, a->n, sizeof(*a->score), better_first);
    json_out_key(w, "results");
    json_out_open(w, '[');
    for (size_t i = 0; i < a->top_n; i++) {
        json_out_open(w, '{');
        json_out_key(w, "index");
        json_out_int(w, (int64_t)a->score[i].index);
        json_out_key(w, "relevance_score");
        json_out_double(w, a->score[i].score);
        json_out_close(w, '}');
    }
    json_out_close(w, ']');
}

static void put_vectors(struct json_out *w, const struct answer *a)
{
    json_out_key(w, "embeddings");
    json_out_open(w, '[');
    for (size_t i = 0; i < a->n; i++)
        json_out_raw(w, a->vector[i].p ? a->vector[i] : str_of("[]"));
    json_out_close(w, ']');
}

static int put_all(struct answer *a, const struct gate_usage *u, struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_open(&w, '{');
    if (a->form == FORM_EMBEDDING) {
        json_out_key(&w, "embedding");
        json_out_raw(&w, a->n && a->vector[0].p ? a->vector[0] : str_of("[]"));
    } else {
        json_out_key(&w, "model");
        json_out_text(&w, a->model);
        if (a->form == FORM_EMBED)
            put_vectors(&w, a);
        else
            put_scores(&w, a);
        ollama_usage(&w, u);
        if (u && !u->load_ns) { /* a client of the AI SDK needs it */
            json_out_key(&w, "load_duration");
            json_out_int(&w, 0);
        }
    }
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct answer *a = ctx;

    switch (ev->kind) {
    case GATE_EV_VECTOR:
        return keep_vector(a, ev);
    case GATE_EV_SCORE:
        if (ev->index < a->n)
            a->score[ev->index] = (struct score){ev->index, ev->score, 1};
        return 0;
    case GATE_EV_DONE:
        return put_all(a, ev->usage, out);
    default:
        return 0;
    }
}

static const struct ask_ops ops = {.event = on_event, .free = answer_free};

/* -- the request ----------------------------------------------------------------------- */

static int nomem(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for a request");
}

/* Texts: one, or an array of them. */
static int set_inputs(struct gate_request *q, const char *field, const json_t *v, struct err *e)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    struct gate_input *in;

    if (!json_is_string(v) && !json_is_array(v))
        return err_set(e, E_INVALID,
                       "invalid %s type: expected a string or an array of strings", field);
    if (n > INPUTS_MAX)
        return err_set(e, E_INVALID, "%s has %zu items, expected %d at most", field, n,
                       INPUTS_MAX);
    in = arena_calloc(&q->mem, n + 1, sizeof(*in));
    if (!in)
        return nomem(e);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;

        if (!json_is_string(s))
            return err_set(e, E_INVALID, "invalid %s type: item %zu is not a string", field, i);
        in[i].text = gate_str(q, json_string_value(s), json_string_length(s));
        if (!in[i].text.p)
            return nomem(e);
    }
    q->input = in;
    q->n_input = n;
    return 0;
}

static int fill(struct gate_request *q, enum form form, const struct body *b,
                struct field_report *r, struct err *e)
{
    json_t *prompt;
    int rc = ollama_options(q, b->options, r, e);

    q->model = gate_str(q, b->model.p, b->model.n);
    q->route = forms[form].route;
    q->keep_alive_ns = b->keep_alive_ns;
    q->overflow = b->truncate ? GATE_TRUNCATE : GATE_REFUSE;
    q->normalize = 1;
    q->n_dim = b->dimensions;
    if (rc < 0 || !q->model.p)
        return rc < 0 ? rc : nomem(e);
    switch (form) {
    case FORM_EMBED:
        return b->input ? set_inputs(q, "input", b->input, e) : 0;
    case FORM_RERANK:
        q->query = gate_str(q, b->query.p, b->query.n);
        return q->query.p ? set_inputs(q, "documents", b->documents, e) : nomem(e);
    default:
        if (!b->prompt.n)
            return 0;
        prompt = json_stringn(b->prompt.p, b->prompt.n);
        rc = set_inputs(q, "prompt", prompt, e);
        json_decref(prompt);
        return rc;
    }
}

static void run(struct serve *s, struct call *c, enum form form)
{
    struct body b = {.truncate = 1, .keep_alive_ns = GATE_KEEP_DEFAULT};
    struct gate_request *q = NULL;
    struct answer *a = NULL;
    struct field_report r;
    struct err e = {0};
    json_t *body;
    int rc;

    if (!ask_body(c, &body))
        return;
    field_report_init(&r, ask_strict(c));
    rc = field_read(forms[form].rows, forms[form].n, "", body, &b, &r, &e);
    if (rc == 0) {
        q = gate_request_new(form == FORM_RERANK ? GATE_RERANK : GATE_EMBED);
        rc = q ? fill(q, form, &b, &r, &e) : nomem(&e);
    }
    if (rc == 0 && form == FORM_EMBED && !b.input && json_object_get(body, "prompt"))
        field_warn(&r, "nothing is embedded: texts are the field input here (prompt is that "
                       "of /api/embeddings)");
    json_decref(body);
    if (rc == 0 && q->n_input == 0)
        q->kind = GATE_LOAD; /* nothing to embed: the model is there, or is not */
    if (rc == 0) {
        a = answer_new(form, q, (size_t)b.top_n);
        rc = a ? 0 : nomem(&e);
    }
    if (rc == 0) {
        ask_start(s, c, q, &ops, 0, a, &r);
    } else {
        gate_request_free(q);
        ask_error(c, &e, r.param);
    }
    field_report_done(&r);
}

void ollama_embed(struct serve *s, struct call *c)
{
    run(s, c, FORM_EMBED);
}

void ollama_embeddings(struct serve *s, struct call *c)
{
    run(s, c, FORM_EMBEDDING);
}

void ollama_rerank(struct serve *s, struct call *c)
{
    run(s, c, FORM_RERANK);
}

/* POST /v1/embeddings and /v1/rerank: numbers for texts. */
#include "serve/api/openai_routes.h"
#include "serve/api/openai_rows.h"

#include "base/b64.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

static const struct field_row embed_rows[] = {
    ROWS_ALL,
    ROW("input", JSON, input, 0, 0, FIELD_NEEDED),
    ROW("dimensions", INT, dimensions, 1, 1 << 20, 0),
    ROW("encoding_format", STR, encoding_format, 1, 0, 0),
    ROW("cache_prompt", BOOL, cache_prompt, 0, 1, 0),
    ROW_REFUSED("truncate_prompt_tokens", NULL, NULL),
    ROW_REFUSED("embd_normalize", "2", "is not supported: vectors have length 1"),
};

static const struct field_row rerank_rows[] = {
    ROWS_ALL,
    ROW("query", STR, query, 1, 0, FIELD_NEEDED),
    ROW("documents", ARRAY, documents, 1, OPENAI_DOCUMENT_MAX, FIELD_NEEDED),
    ROW("top_n", INT, top_n, 1, INT_MAX, 0),
    ROW("return_documents", BOOL, return_documents, 0, 1, 0),
    ROW("cache_prompt", BOOL, cache_prompt, 0, 1, 0),
    ROW_REFUSED("rank_fields", "[\"text\"]", NULL),
    ROW_REFUSED("max_chunks_per_doc", NULL, NULL),
    ROW_REFUSED("max_tokens_per_doc", NULL, NULL),
    ROW_REFUSED("truncate_prompt_tokens", NULL, NULL),
    ROW_REFUSED("raw_scores", "false", NULL),
};

/* -- embeddings ------------------------------------------------------------------------ */

/* Vectors come in any order and are written in that of the inputs. */
struct embed {
    struct str model;
    int base64;
    size_t n;
    struct buf *vector; /* n: JSON of each */
};

static void embed_free(void *ctx)
{
    struct embed *o = ctx;

    for (size_t i = 0; o->vector && i < o->n; i++)
        buf_done(&o->vector[i]);
    mem_free(o->vector);
    mem_free((void *)(uintptr_t)o->model.p);
    mem_free(o);
}

static int embed_new(struct embed **out, struct openai_parse *p)
{
    struct embed *o = mem_calloc(1, sizeof(*o));

    if (!o)
        return openai_nomem(p);
    o->n = p->q->n_input;
    o->base64 = str_is(p->in.encoding_format, "base64");
    o->model = str_of(p->in.model.p);
    o->model.p = mem_strdup(p->in.model.p);
    o->vector = mem_calloc(o->n, sizeof(*o->vector));
    if (!o->vector || !o->model.p) {
        embed_free(o);
        return openai_nomem(p);
    }
    for (size_t i = 0; i < o->n; i++)
        buf_init(&o->vector[i], (size_t)64 << 20);
    *out = o;
    return 0;
}

static int vector(struct embed *o, const struct gate_event *ev)
{
    struct buf *b = &o->vector[ev->index];
    struct json_out w;
    int rc;

    buf_clear(b);
    if (o->base64) { /* little-endian floats, as this machine has them */
        rc = buf_byte(b, '"');
        if (rc == 0)
            rc = b64_encode(b, ev->vector, (size_t)ev->n * sizeof(*ev->vector));
        return rc < 0 ? rc : buf_byte(b, '"');
    }
    json_out_init(&w, b);
    json_out_open(&w, '[');
    for (int64_t i = 0; i < ev->n; i++)
        json_out_float(&w, ev->vector[i]);
    json_out_close(&w, ']');
    return json_out_end(&w);
}

static void put_tokens(struct json_out *w, const struct gate_usage *u)
{
    json_out_key(w, "usage");
    json_out_open(w, '{');
    json_out_key(w, "prompt_tokens");
    json_out_int(w, u->n_prompt);
    json_out_key(w, "total_tokens");
    json_out_int(w, u->n_prompt);
    json_out_close(w, '}');
}

static int embed_done(const struct embed *o, const struct gate_usage *u, struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "object");
    json_out_str(&w, "list");
    json_out_key(&w, "data");
    json_out_open(&w, '[');
    for (size_t i = 0; i < o->n; i++) {
        json_out_open(&w, '{');
        json_out_key(&w, "object");
        json_out_str(&w, "embedding");
        json_out_key(&w, "index");
        json_out_int(&w, (int64_t)i);
        json_out_key(&w, "embedding");
        if (o->vector[i].n)
            json_out_raw(&w, (struct str){o->vector[i].p, o->vector[i].n});
        else
            json_out_null(&w);
        json_out_close(&w, '}');
    }
    json_out_close(&w, ']');
    json_out_key(&w, "model");
    json_out_text(&w, o->model);
    put_tokens(&w, u);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int embed_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct embed *o = ctx;

    if (ev->kind == GATE_EV_VECTOR && ev->index < o->n)
        return vector(o, ev);
    return ev->kind == GATE_EV_DONE ? embed_done(o, ev->usage, out) : 0;
}

static const struct ask_ops embed_ops = {.event = embed_event, .free = embed_free};

static int embed_parse(struct openai_parse *p)
{
    struct str as = p->in.encoding_format;

    if (as.n && !str_is(as, "float") && !str_is(as, "base64"))
        return openai_bad(p, "encoding_format", "is '%.40s', expected float or base64", as.p);
    p->q->n_dim = p->in.dimensions == GATE_UNSET ? 0 : p->in.dimensions;
    p->q->normalize = 1;
    p->q->no_cache = !p->in.cache_prompt;
    return openai_input(p, "input", p->in.input, OPENAI_INPUT_MAX, 0);
}

void openai_embed(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct embed *out = NULL;

    if (!openai_begin(&p, s, c, GATE_EMBED, "openai.embeddings", embed_rows, N(embed_rows)))
        return;
    if (embed_parse(&p) < 0 || embed_new(&out, &p) < 0)
        openai_refuse(&p, c);
    else
        openai_start(&p, s, c, &embed_ops, out);
}

/* -- rerank ---------------------------------------------------------------------------- */

struct rerank_row {
    size_t index;
    double score;
};

struct rerank {
    struct str model;
    json_t *documents; /* NULL: they are not returned */
    size_t n, top;
    struct rerank_row *row;
};

static void rerank_free(void *ctx)
{
    struct rerank *o = ctx;

    json_decref(o->documents);
    mem_free(o->row);
    mem_free((void *)(uintptr_t)o->model.p);
    mem_free(o);
}

static int rerank_new(struct rerank **out, struct openai_parse *p)
{
    struct rerank *o = mem_calloc(1, sizeof(*o));

    if (!o)
        return openai_nomem(p);
    o->n = o->top = p->q->n_input;
    if (p->in.top_n != GATE_UNSET && (size_t)p->in.top_n < o->n)
        o->top = (size_t)p->in.top_n;
    o->model = str_of(p->in.model.p);
    o->model.p = mem_strdup(p->in.model.p);
    o->row = mem_calloc(o->n, sizeof(*o->row));
    o->documents = p->in.return_documents ? json_incref(p->in.documents) : NULL;
    if (!o->row || !o->model.p) {
        rerank_free(o);
        return openai_nomem(p);
    }
    for (size_t i = 0; i < o->n; i++)
        o->row[i].index = i;
    *out = o;
    return 0;
}

/* The best first; what is equal as it came. */
static int by_score(const void *a, const void *b)
{
    const struct rerank_row *x = a, *y = b;

    if (x->score < y->score || x->score > y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : 1;
}

static int rerank_done(struct rerank *o, const struct gate_usage *u, struct buf *out)
{
    char id[OPENAI_ID_MAX];
    struct json_out w;

    qsort(o->row, o->n, sizeof(*o->row), by_score);
    openai_id(id, "rerank-");
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "id");
    json_out_str(&w, id);
    json_out_key(&w, "object");
    json_out_str(&w, "list");
    json_out_key(&w, "model");
    json_out_text(&w, o->model);
    put_tokens(&w, u);
    json_out_key(&w, "results");
    json_out_open(&w, '[');
    for (size_t i = 0; i < o->top; i++) {
        const json_t *v = json_array_get(o->documents, o->row[i].index);

        json_out_open(&w, '{');
        json_out_key(&w, "index");
        json_out_int(&w, (int64_t)o->row[i].index);
        json_out_key(&w, "relevance_score");
        json_out_double(&w, o->row[i].score);
        if (v) {
            json_out_key(&w, "document");
            json_out_open(&w, '{');
            json_out_key(&w, "text");
            json_out_value(&w, json_is_object(v) ? json_object_get(v, "text") : v);
            json_out_close(&w, '}');
        }
        json_out_close(&w, '}');
    }
    json_out_close(&w, ']');
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int rerank_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct rerank *o = ctx;

    if (ev->kind == GATE_EV_SCORE && ev->index < o->n)
        o->row[ev->index].score = ev->score;
    return ev->kind == GATE_EV_DONE ? rerank_done(o, ev->usage, out) : 0;
}

static const struct ask_ops rerank_ops = {.event = rerank_event, .free = rerank_free};

/* A string, or an object with a text. */
static int document(struct openai_parse *p, size_t i, const json_t *v, struct str *out)
{
    static const struct field_row text_row = {
        .name = "text", .type = FIELD_STR, .flags = FIELD_NEEDED};
    struct str text = {json_string_value(v), json_string_length(v)};
    char param[40];
    int rc = 0;

    (void)snprintf(param, sizeof(param), "documents[%zu].", i);
    if (json_is_object(v))
        rc = field_read(&text_row, 1, param, v, &text, &p->report, &p->e);
    (void)snprintf(param, sizeof(param), "documents[%zu]", i);
    if (rc == 0 && !text.p)
        rc = openai_bad(p, param, "must be a string, or an object with a text");
    return rc < 0 ? rc : openai_copy(p, out, text);
}

static int rerank_parse(struct openai_parse *p)
{
    size_t n = json_array_size(p->in.documents);
    struct gate_input *input = arena_calloc(&p->q->mem, n, sizeof(*input));
    int rc = input ? openai_copy(p, &p->q->query, p->in.query) : openai_nomem(p);

    for (size_t i = 0; i < n && rc == 0; i++)
        rc = document(p, i, json_array_get(p->in.documents, i), &input[i].text);
    p->q->input = input;
    p->q->n_input = n;
    p->q->no_cache = !p->in.cache_prompt;
    return rc;
}

void openai_rerank(struct serve *s, struct call *c)
{
    struct openai_parse p;
    struct rerank *out = NULL;

    if (!openai_begin(&p, s, c, GATE_RERANK, "openai.rerank", rerank_rows, N(rerank_rows)))
        return;
    if (rerank_parse(&p) < 0 || rerank_new(&out, &p) < 0)
        openai_refuse(&p, c);
    else
        openai_start(&p, s, c, &rerank_ops, out);
}

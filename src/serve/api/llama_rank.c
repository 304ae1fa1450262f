/* llama_rank.c - POST /rerank: how well each document answers a query. With `documents` the
 * answer is Jina's object, with `texts` the bare array of text-embeddings-inference.
 */
#include "serve/api/llama.h"

#include "base/mem.h"

#include <stdlib.h>

#define AT(f) .at = offsetof(struct llama_in, f)

static const struct field_row rows[] = {
    {.name = "model", .type = FIELD_STR, AT(model), .max = 600},
    {.name = "query", .type = FIELD_STR, AT(query), .min = 1, .flags = FIELD_NEEDED},
    {.name = "documents", .type = FIELD_ARRAY, AT(documents), .min = 1, .max = LLAMA_TEXTS_MAX},
    {.name = "texts", .type = FIELD_ARRAY, AT(texts), .min = 1, .max = LLAMA_TEXTS_MAX},
    {.name = "top_n", .type = FIELD_INT, AT(top_n), .min = 1, .max = INT32_MAX},
    {.name = "return_documents", .type = FIELD_BOOL, AT(return_text)},
    {.name = "return_text", .type = FIELD_BOOL, AT(return_text)},
    {.name = "raw_scores", .type = FIELD_REFUSED, .harmless = "false"},
    {.name = "truncate", .type = FIELD_REFUSED, .harmless = "false"},
    {.name = "cache_prompt", .type = FIELD_NOTED, .is = FIELD_IS_BOOL},
    {.name = "user", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

struct rank {
    size_t index;
    double score;
};

struct answer {
    struct rank *rank; /* [n] */
    size_t n, n_top;
    json_t *texts; /* NULL: they are not wanted back */
    int bare;
    char *model;
};

static void answer_free(void *ctx)
{
    struct answer *a = ctx;

    if (!a)
        return;
    json_decref(a->texts);
    mem_free(a->rank);
    mem_free(a->model);
    mem_free(a);
}

static struct answer *answer_new(const struct llama_parse *p, json_t *list)
{
    struct answer *a = mem_calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->n = a->n_top = p->q->n_input;
    if (p->in.top_n && (size_t)p->in.top_n < a->n)
        a->n_top = (size_t)p->in.top_n;
    a->bare = p->in.texts != NULL;
    a->texts = p->in.return_text ? json_incref(list) : NULL;
    a->rank = mem_calloc(a->n, sizeof(*a->rank));
    a->model = mem_strdup(p->q->model.p);
    if (!a->rank || !a->model) {
        answer_free(a);
        return NULL;
    }
    for (size_t i = 0; i < a->n; i++)
        a->rank[i].index = i;
    return a;
}

/* The best first; equal ones as they came. */
static int compare(const void *x, const void *y)
{
    const struct rank *a = x, *b = y;

    if (a->score > b->score || a->score < b->score)
        return a->score > b->score ? -1 : 1;
    return a->index < b->index ? -1 : 1;
}

static void put_text(struct json_out *w, const struct answer *a, size_t i)
{
    const json_t *v = json_array_get(a->texts, i);

    if (!v)
        return;
    if (json_is_object(v))
        v = json_object_get(v, "text");
    json_out_key(w, a->bare ? "text" : "document");
    if (a->bare) {
        json_out_value(w, v);
        return;
    }
    json_out_open(w, '{');
    json_out_key(w, "text");
    json_out_value(w, v);
    json_out_close(w, '}');
}

static void put_ranks(struct json_out *w, const struct answer *a)
{
    json_out_open(w, '[');
    for (size_t i = 0; i < a->n_top; i++) {
        json_out_open(w, '{');
        json_out_key(w, "index");
        json_out_int(w, (int64_t)a->rank[i].index);
        json_out_key(w, a->bare ? "score" : "relevance_score");
        json_out_double(w, a->rank[i].score);
        put_text(w, a, a->rank[i].index);
        json_out_close(w, '}');
    }
    json_out_close(w, ']');
}

static int put_all(struct answer *a, const struct gate_usage *u, struct buf *out)
{
    struct json_out w;

    qsort(a->rank, a->n, sizeof(*a->rank), compare);
    json_out_init(&w, out);
    if (a->bare) {
        put_ranks(&w, a);
        return json_out_end(&w);
    }
    json_out_open(&w, '{');
    json_out_key(&w, "model");
    json_out_str(&w, a->model);
    json_out_key(&w, "object");
    json_out_str(&w, "list");
    json_out_key(&w, "usage");
    json_out_open(&w, '{');
    json_out_key(&w, "prompt_tokens");
    json_out_int(&w, u ? u->n_prompt : 0);
    json_out_key(&w, "total_tokens");
    json_out_int(&w, u ? u->n_prompt : 0);
    json_out_close(&w, '}');
    json_out_key(&w, "results");
    put_ranks(&w, a);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct answer *a = ctx;

    if (ev->kind == GATE_EV_SCORE) {
        if (ev->index >= a->n)
            return E_INTERNAL;
        a->rank[ev->index].score = ev->score;
    }
    return ev->kind == GATE_EV_DONE ? put_all(a, ev->usage, out) : 0;
}

static const struct ask_ops ops = {.event = on_event, .free = answer_free};

void llama_rerank(struct serve *s, struct call *c)
{
    struct llama_parse p;
    struct answer *a = NULL;
    json_t *list;
    int rc = 0;

    if (!llama_begin(&p, s, c, GATE_RERANK, "llama.rerank", rows, sizeof(rows) / sizeof(*rows)))
        return;
    list = p.in.documents ? p.in.documents : p.in.texts;
    if (!p.in.documents == !p.in.texts)
        rc = err_set(&p.e, E_INVALID, "documents is required; or texts, for the other answer");
    if (rc == 0)
        rc = llama_texts(&p, p.in.texts ? "texts" : "documents", list);
    if (rc == 0) {
        p.q->query = gate_str(p.q, p.in.query.p, p.in.query.n);
        a = p.q->query.p ? answer_new(&p, list) : NULL;
        rc = a ? 0 : llama_nomem(&p);
    }
    if (rc == 0)
        llama_start(&p, &ops, a);
    else
        llama_refuse(&p);
}

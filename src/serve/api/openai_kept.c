/* What can be done with a response that is kept: look at it, at its input, delete it. */
#include "serve/api/openai.h"
#include "serve/api/openai_routes.h"
#include "serve/api/openai_store.h"

#include <stdlib.h>

/* Answers a request for what is not there. */
static void refuse(struct call *c, const struct err *e)
{
    ask_error(c, e, e->code == E_NOT_FOUND ? "response_id" : NULL);
}

/* 1: a store is there; else the call is answered. */
static int has_store(const struct serve *s, struct call *c)
{
    struct err e;
    struct str id = c->arg[0];

    if (s->responses)
        return 1;
    (void)err_set(&e, E_NOT_FOUND, "response '%.*s' not found: this server keeps none",
                  id.n > 80 ? 80 : (int)id.n, id.p);
    refuse(c, &e);
    return 0;
}

void openai_responses_get(struct serve *s, struct call *c)
{
    const char *stream = call_query(c, "stream");
    json_t *o = NULL;
    struct err e = {0};

    if (!has_store(s, c))
        return;
    if (stream && strcmp(stream, "false") != 0) {
        (void)err_set(&e, E_UNSUPPORTED, "stream is not supported for responses that are kept");
        ask_error(c, &e, "stream");
    } else if (openai_store_get(s->responses, c->arg[0], c->tenant, OPENAI_KEPT_RESPONSE, &o,
                                &e) < 0) {
        refuse(c, &e);
    } else {
        ask_json(c, 200, o);
    }
}

void openai_responses_delete(struct serve *s, struct call *c)
{
    struct err e = {0};
    struct str id = c->arg[0];

    if (!has_store(s, c))
        return;
    if (openai_store_delete(s->responses, id, c->tenant, &e) < 0)
        refuse(c, &e);
    else
        ask_json(
            c, 200,
            json_pack("{s:s%,s:s,s:b}", "id", id.p, id.n, "object", "response", "deleted", 1));
}

/* Only what runs in the background can be cancelled so; others end with their connection. */
void openai_responses_cancel(struct serve *s, struct call *c)
{
    json_t *o = NULL;
    struct err e = {0};

    if (!has_store(s, c))
        return;
    if (openai_store_get(s->responses, c->arg[0], c->tenant, OPENAI_KEPT_RESPONSE, &o, &e) <
        0) {
        refuse(c, &e);
        return;
    }
    json_decref(o);
    (void)err_set(&e, E_INVALID,
                  "only responses in the background can be cancelled; to stop "
                  "another, close its connection");
    ask_error(c, &e, NULL);
}

/* -- the input ------------------------------------------------------------------------- */

/* Where the item of an id stands; its size: nowhere. */
static size_t place_of(const json_t *items, const char *id)
{
    size_t n = json_array_size(items), at = 0;

    while (at < n) {
        const char *has = json_string_value(json_object_get(json_array_get(items, at), "id"));

        if (has && strcmp(has, id) == 0)
            break;
        at++;
    }
    return at;
}

/* Fails with the parameter in *param. */
static int read_query(const struct call *c, long *limit, int *newest_first, const char **param,
                      struct err *e)
{
    const char *order = call_query(c, "order"), *text = call_query(c, "limit");
    char *end = NULL;

    *limit = text ? strtol(text, &end, 10) : 20;
    *newest_first = !order || strcmp(order, "desc") == 0;
    *param = "limit";
    if (*limit < 1 || *limit > 100 || (end && (*end || end == text)))
        return err_set(e, E_INVALID, "limit must be a number from 1 to 100");
    *param = "order";
    if (order && strcmp(order, "asc") != 0 && strcmp(order, "desc") != 0)
        return err_set(e, E_INVALID, "order must be asc or desc");
    return 0;
}

/* A page of the items, the newest first unless it is asked otherwise. */
static json_t *page(const json_t *items, long limit, int newest_first, const char *after)
{
    size_t n = json_array_size(items), at = newest_first ? n : 0, step;
    json_t *data = json_array(), *first, *last;

    if (after) {
        at = place_of(items, after); /* it is there */
        at = newest_first ? at : at + 1;
    }
    for (step = 0; step < (size_t)limit && (newest_first ? at > 0 : at < n); step++)
        (void)json_array_append(data, json_array_get(items, newest_first ? --at : at++));
    first = json_object_get(json_array_get(data, 0), "id");
    last = json_object_get(json_array_get(data, step ? step - 1 : 0), "id");
    return json_pack("{s:s,s:o,s:O?,s:O?,s:b}", "object", "list", "data", data, "first_id",
                     first, "last_id", last, "has_more", newest_first ? at > 0 : at < n);
}

void openai_responses_items(struct serve *s, struct call *c)
{
    json_t *items = NULL;
    struct err e = {0};
    const char *after = call_query(c, "after"), *param = NULL;
    long limit;
    int newest_first;

    if (!has_store(s, c))
        return;
    if (read_query(c, &limit, &newest_first, &param, &e) < 0) {
        ask_error(c, &e, param);
        return;
    }
    if (openai_store_get(s->responses, c->arg[0], c->tenant, OPENAI_KEPT_INPUT, &items, &e) <
        0) {
        refuse(c, &e);
        return;
    }
    if (after && place_of(items, after) == json_array_size(items)) {
        (void)err_set(&e, E_INVALID, "after: this response has no input item '%.80s'", after);
        ask_error(c, &e, "after");
    } else {
        ask_json(c, 200, page(items, limit, newest_first, after));
    }
    json_decref(items);
}

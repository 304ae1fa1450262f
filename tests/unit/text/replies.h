/* What a parse said, put together. */
#ifndef HEARTH_TESTS_UNIT_TEXT_REPLIES_H
#define HEARTH_TESTS_UNIT_TEXT_REPLIES_H

#include "base/buf.h"
#include "text/reply/reply.h"

#include <jansson.h>
#include <stdio.h>

enum { REPLIES_CALLS = 64 };

struct replies {
    struct buf reasoning, content;
    struct {
        struct buf args;
        char name[64], id[64];
        int ended;
    } call[REPLIES_CALLS];
    int n, broken, largest; /* bytes of the largest piece */
};

static inline void replies_clear(struct replies *r)
{
    buf_done(&r->reasoning);
    buf_done(&r->content);
    for (int i = 0; i < REPLIES_CALLS; i++)
        buf_done(&r->call[i].args);
    memset(r, 0, sizeof(*r));
    buf_init(&r->reasoning, 1 << 26);
    buf_init(&r->content, 1 << 26);
    for (int i = 0; i < REPLIES_CALLS; i++)
        buf_init(&r->call[i].args, 1 << 26);
}

static inline int replies_sink(void *ctx, const struct reply_event *ev)
{
    struct replies *r = ctx;

    if (ev->kind == REPLY_REASONING)
        return buf_put(&r->reasoning, ev->text.p, ev->text.n);
    if (ev->kind == REPLY_CONTENT)
        return buf_put(&r->content, ev->text.p, ev->text.n);
    if (ev->call < 0 || ev->call >= REPLIES_CALLS)
        return E_INTERNAL;
    switch (ev->kind) {
    case REPLY_CALL:
        if (ev->call != r->n)
            return E_INTERNAL;
        r->n++;
        buf_clear(&r->call[ev->call].args);
        r->call[ev->call].ended = 0;
        (void)snprintf(r->call[ev->call].name, 64, "%.*s", (int)ev->name.n, ev->name.p);
        (void)snprintf(r->call[ev->call].id, 64, "%.*s", (int)ev->id.n, ev->id.p);
        return 0;
    case REPLY_ARGUMENTS:
        return buf_put(&r->call[ev->call].args, ev->text.p, ev->text.n);
    case REPLY_CALL_BROKEN:
        if (ev->call != r->n - 1)
            return E_INTERNAL;
        r->n--;
        r->broken++;
        return 0;
    default:
        if (ev->id.n)
            (void)snprintf(r->call[ev->call].id, 64, "%.*s", (int)ev->id.n, ev->id.p);
        r->call[ev->call].ended = 1;
        return 0;
    }
}

/* As one line of JSON, for the caller to free: equal replies give equal lines. */
static inline char *replies_json(const struct replies *r)
{
    json_t *calls = json_array();
    char *text;

    for (int i = 0; i < r->n; i++) {
        const struct buf *a = &r->call[i].args;
        json_t *args = json_loadb(a->p ? a->p : "", a->n, JSON_ALLOW_NUL, NULL);

        if (!args)
            args = json_pack("s", "not JSON");
        json_array_append_new(calls, json_pack("{s:s,s:s,s:o,s:b}", "name", r->call[i].name,
                                               "id", r->call[i].id, "arguments", args, "ended",
                                               r->call[i].ended));
    }
    calls = json_pack("{s:s%,s:s%,s:o}", "reasoning", r->reasoning.p ? r->reasoning.p : "",
                      r->reasoning.n, "content", r->content.p ? r->content.p : "", r->content.n,
                      "calls", calls);
    text = json_dumps(calls, JSON_SORT_KEYS);
    json_decref(calls);
    return text;
}

#endif

/* ask_query.c - what stands behind the ? of a request: known to its route, or reported. */
#include "serve/ask.h"

#include <string.h>

/* By the beginning of a route's name; every row that fits counts. Values are for handlers. */
static const struct known {
    const char *route;
    const char *names; /* each with a blank behind it */
} known[] = {
    {"", "strict "},
    /* Azure's clients and Anthropic's send them always; there is one version of each. */
    {"openai.", "api-version "},
    {"anthropic.", "beta "},
    {"openai.models", "limit after_id before_id beta "}, /* in Anthropic's form */
    {"openai.responses.get", "stream "},
    {"openai.responses.items", "limit order after "},
    {"llama.props", "model "},
    {"llama.slots", "model fail_on_no_slot "},
    {"llama.lora", "model "},
};

static int is_in(const char *list, const char *name)
{
    size_t n = strlen(name);

    for (const char *end; (end = strchr(list, ' ')); list = end + 1) {
        if ((size_t)(end - list) == n && memcmp(list, name, n) == 0)
            return 1;
    }
    return 0;
}

static int is_known(const char *route, const char *name)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (strncmp(route, known[i].route, strlen(known[i].route)) == 0 &&
            is_in(known[i].names, name))
            return 1;
    }
    return 0;
}

/* Routes that no client's library calls, such as /health, take what comes. */
static int has_dialect(const struct route *r)
{
    return strncmp(r->name, "server.", 7) != 0;
}

/* 1: the handler may go on; else the call is answered. */
static int check(struct call *c)
{
    const char *name;
    struct field_report r;
    struct err e;

    field_report_init(&r, 0);
    for (size_t i = 0; (name = c->ops->query_name(c, i)); i++) {
        if (is_known(c->route->name, name))
            continue;
        if (ask_strict(c)) {
            (void)err_set(&e, E_INVALID, "'%.64s' is no query parameter of this request", name);
            ask_error(c, &e, name);
            field_report_done(&r);
            return 0;
        }
        field_warn(&r, "query parameter '%.64s' is not known here and has no effect", name);
    }
    ask_warn(c, &r);
    field_report_done(&r);
    return 1;
}

void ask_run(struct serve *s, struct call *c)
{
    if (!has_dialect(c->route) || check(c))
        c->route->run(s, c);
}

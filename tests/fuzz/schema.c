/* Whatever a schema is: it becomes a grammar or is refused with words. What may be written
 * under it is accepted when checked, and no text is accepted so far that cannot go on or end.
 *
 * The input is a schema, a NUL, and a text. */
#include "text/gram/schema.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TEXT_MAX = 2000 };

static void must_say(int rc, const struct err *e)
{
    if (rc < 0 && (e->code != rc || rc == E_INTERNAL || !e->msg[0]))
        abort();
}

static struct gram *compile(const json_t *schema, int writing)
{
    const struct gram_limits limits = {.nodes = 20000, .bytes = (size_t)16 << 20};
    struct schema_options o = {.writing = writing};
    struct gram *g = NULL;
    gram_ref root = GRAM_NEVER;
    struct err e = {0};
    int rc = gram_new(&g, &limits, &e);

    if (rc == 0)
        rc = schema_add(g, schema, &o, &root, &e);
    if (rc == 0)
        rc = gram_finish(g, root, &e);
    must_say(rc, &e);
    if (rc == 0)
        return g;
    gram_free(g);
    return NULL;
}

/* The state behind a text, byte by byte; *n: how many were accepted. -1 in *n: a limit. */
static gram_state walk(struct gram *g, const char *p, size_t size, long *n)
{
    gram_state s = gram_start(g), to = 0;
    struct err e = {0};

    for (*n = 0; (size_t)*n < size; ++*n) {
        int rc = gram_put(g, s, p + *n, 1, &to, NULL, &e);

        must_say(rc, &e);
        if (rc < 0) {
            *n = -1;
            return 0;
        }
        if (!to)
            break;
        s = to;
    }
    return s;
}

/* Some byte may follow, or the text may end. */
static void must_go_on(struct gram *g, gram_state s)
{
    int any = gram_may_end(g, s);

    for (int c = 0; c < 256 && !any; c++) {
        char byte = (char)c;
        gram_state to = 0;
        struct err e = {0};
        int rc = gram_put(g, s, &byte, 1, &to, NULL, &e);

        must_say(rc, &e);
        any = rc < 0 || to;
    }
    if (!any)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size, n_text = nul ? size - n - 1 : 0;
    const char *text = nul ? (const char *)nul + 1 : "";
    json_t *schema =
        json_loadb((const char *)data, n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    struct gram *check, *write;
    long checked = 0, written = 0;
    gram_state a, b;

    if (!schema)
        return 0;
    n_text = n_text < TEXT_MAX ? n_text : TEXT_MAX;
    check = compile(schema, 0);
    write = compile(schema, 1);
    if (check) {
        a = walk(check, text, n_text, &checked);
        if (checked >= 0)
            must_go_on(check, a);
    }
    if (write) {
        b = walk(write, text, n_text, &written);
        if (written >= 0)
            must_go_on(write, b);
        if (check && checked >= 0 && written > checked)
            abort();
    }
    gram_free(check);
    gram_free(write);
    json_decref(schema);
    return 0;
}

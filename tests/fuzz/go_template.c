/* A Go template and what it is rendered with: the template, a line "---", the variables as JSON
 * (or nothing: a conversation with a tool). What comes out must have marks in order, and be the
 * same a second time. */
#include "text/tmpl/tmpl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char some[] =
    "{\"messages\": [{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", "
    "\"content\":"
    " \"<u>\"}, {\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"1\", \"function\": "
    "{\"name\""
    ": \"f\", \"arguments\": {\"b\": 1, \"a\": [true, null, \"x\", {\"c\": 2.5}]}}}]}, "
    "{\"role\":"
    " \"tool\", \"content\": \"t\"}], \"tools\": [{\"type\": \"function\", \"function\": "
    "{\"name\":"
    " \"f\", \"parameters\": {\"type\": \"object\", \"properties\": {\"p\": {\"type\": "
    "[\"string\","
    " \"null\"]}, \"q\": {\"anyOf\": [{\"type\": \"array\"}]}}}}}], \"think\": \"low\"}";

static void check_marks(const struct marked *m)
{
    size_t at = 0;

    for (size_t i = 0; i < m->n; i++) {
        if (m->mark[i].end <= at || (i && m->mark[i].user == m->mark[i - 1].user))
            abort();
        at = m->mark[i].end;
    }
    if (at != m->text.n)
        abort();
}

static int render(const struct tmpl *t, const json_t *vars, struct marked *out)
{
    static const struct tmpl_limits limits = {.steps = 20000, .bytes = 1 << 18, .depth = 60};
    static const struct tm now = {.tm_year = 125, .tm_mday = 1};
    struct err e = {0};
    int rc = tmpl_render(t, vars, &now, &limits, out, &e);

    if (rc < 0 ? e.msg[0] == 0 : rc != 0)
        abort();
    if (rc == 0)
        check_marks(out);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data,
               *sep = size ? memmem(text, size, "\n---\n", 5) : NULL;
    size_t n = sep ? (size_t)(sep - text) : size;
    json_t *vars = sep ? json_loadb(sep + 5, size - n - 5, 0, NULL) : json_loads(some, 0, NULL);
    struct marked a, b;
    struct tmpl *t = NULL;
    struct err e = {0};
    int rc;

    marked_init(&a, 1 << 20);
    marked_init(&b, 1 << 20);
    rc = vars ? tmpl_new(&t, TMPL_GO, (struct str){text, n}, &e) : 0;
    if (rc < 0 && e.msg[0] == 0)
        abort();
    if (t && (render(t, vars, &a) != render(t, vars, &b) || a.text.n != b.text.n ||
              (a.text.n && memcmp(a.text.p, b.text.p, a.text.n) != 0)))
        abort();
    tmpl_free(t);
    json_decref(vars);
    marked_done(&a);
    marked_done(&b);
    return 0;
}

/* Schemas against texts, for scripts: a line of JSON in, a line out.
 *
 * In: {"schema": ..., "texts": [...], "generate": n, "seed": n}. Out: {"ms": x}, and "error"
 * and "message" when the schema was refused; else "accepts": a list of true and false,
 * "generated": texts that were written by chance, null for one that found no end. */
#include "text/gram/schema.h"

#include "../unit/text/gram/wander.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int compile(const json_t *schema, int writing, struct gram **g, struct err *e)
{
    struct schema_options o = {.writing = writing};
    gram_ref root = GRAM_NEVER;
    int rc = gram_new(g, NULL, e);

    if (rc == 0)
        rc = schema_add(*g, schema, &o, &root, e);
    if (rc == 0)
        rc = gram_finish(*g, root, e);
    return rc;
}

static json_t *accepts(struct gram *g, const json_t *texts)
{
    json_t *out = json_array();

    for (size_t i = 0; i < json_array_size(texts); i++) {
        const json_t *t = json_array_get(texts, i);
        gram_state s = 0;
        struct err e;
        int rc = gram_put(g, gram_start(g), json_string_value(t), json_string_length(t), &s,
                          NULL, &e);

        if (rc < 0)
            (void)json_array_append_new(out, json_string(e.msg));
        else
            (void)json_array_append_new(out, json_boolean(s && gram_may_end(g, s)));
    }
    return out;
}

static json_t *generate(const json_t *schema, int n, uint64_t seed, json_t *out)
{
    struct gram *g = NULL;
    json_t *list = json_array();
    struct rng r;
    struct buf b;
    struct err e;

    rng_seed(&r, seed);
    buf_init(&b, WANDER_MAX + 1);
    if (n && compile(schema, 1, &g, &e) < 0) {
        (void)json_object_set_new(out, "write_error", json_string(e.msg));
        n = 0;
    }
    for (int i = 0; i < n; i++) {
        int rc = wander(g, &r, &b);

        if (rc < 0)
            (void)json_object_set_new(out, "stuck", json_stringn(b.p ? b.p : "", b.n));
        (void)json_array_append_new(list, rc ? json_null() : json_stringn(b.p, b.n));
    }
    buf_done(&b);
    gram_free(g);
    return list;
}

static json_t *answer(const json_t *in)
{
    const json_t *schema = json_object_get(in, "schema");
    struct gram *g = NULL;
    json_t *out = json_object();
    double from = now_ms();
    struct err e = {0};
    int rc = compile(schema, 0, &g, &e);

    (void)json_object_set_new(out, "ms", json_real(now_ms() - from));
    if (rc < 0) {
        (void)json_object_set_new(out, "error", json_string(err_row(rc)->name));
        (void)json_object_set_new(out, "message", json_string(e.msg));
    } else {
        (void)json_object_set_new(out, "accepts", accepts(g, json_object_get(in, "texts")));
        (void)json_object_set_new(
            out, "generated",
            generate(schema, (int)json_integer_value(json_object_get(in, "generate")),
                     (uint64_t)json_integer_value(json_object_get(in, "seed")), out));
    }
    gram_free(g);
    return out;
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;

    while ((n = getline(&line, &cap, stdin)) > 0) {
        json_t *in = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, NULL), *out;

        if (!in) {
            puts("{\"error\": \"E_FORMAT\", \"message\": \"no JSON\"}");
        } else {
            out = answer(in);
            (void)json_dumpf(out, stdout, JSON_COMPACT);
            (void)putchar('\n');
            json_decref(out);
        }
        json_decref(in);
        (void)fflush(stdout);
    }
    free(line);
    return 0;
}

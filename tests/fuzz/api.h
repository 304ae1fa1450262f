/* api.h - request bodies of a dialect, to the end: what is read, what is written.
 *
 * An input is one byte for the route and how the answer goes, and the body. A body that is
 * taken gets an answer made of its own bytes. Whatever comes: each call ends once, an object is
 * valid JSON, and so is each event of a stream.
 */
#ifndef TESTS_FUZZ_API_H
#define TESTS_FUZZ_API_H

#include "../unit/serve/fake.h"
#include "../unit/serve/neighbours.h"

#include "base/utf8.h"
#include "fmt/jbig.h"

#include <stdint.h>
#include <stdlib.h>

static void api_json(const char *p, size_t n)
{
    json_t *v = NULL;

    if (jbig_load(&v, (struct str){p, n}, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) < 0)
        abort();
    json_decref(v);
}

/* Each "data: " but [DONE], or each line. */
static void api_lines(const char *p, size_t n)
{
    while (n > 0) {
        const char *end = memchr(p, '\n', n);
        size_t len = end ? (size_t)(end - p) : n,
               skip = len > 6 && !memcmp(p, "data: ", 6) ? 6 : 0;

        if (len > skip && (skip || p[0] == '{') && memcmp(p + skip, "[DONE]", 6) != 0)
            api_json(p + skip, len - skip);
        p += len + (end != NULL);
        n -= len + (end != NULL);
    }
}

/* Plays an answer, of text that ends with a whole character. */
static void api_answer(struct fake *f, int how, const char *p, size_t n)
{
    char text[64], name[] = "f", args[] = "{\"a\":1}";
    size_t len = utf8_whole(p, n < sizeof(text) - 1 ? n : sizeof(text) - 1);
    int last = f->q->n_choice * (f->q->kind == GATE_TEXT ? (int)f->q->n_input : 1) - 1;
    float vector[2] = {0.5f, -1};

    memcpy(text, p, len);
    text[len] = '\0';
    if (how & 1)
        fake_error(f, E_TOO_LONG, "too long");
    fake_start(f, 5, 1);
    if (how & 2)
        fake_reasoning(f, 0, text);
    fake_text(f, last, text);
    if (how & 4)
        fake_tool(f, 0, 0, "", name, args, 3);
    for (size_t i = 0; i < f->q->n_input && f->q->kind == GATE_EMBED; i++)
        fake_say(f, &(struct gate_event){
                        .kind = GATE_EV_VECTOR, .index = i, .vector = vector, .n = 2});
    if (how & 8)
        fake_error(f, E_NUMERIC, text);
    for (int i = 0; i <= last; i++)
        fake_finish(f, i, how & 2 ? GATE_LENGTH : GATE_END);
    fake_done(f);
}

/* One request at a route of the lists. */
FAKE_UNUSED static int api_fuzz(const struct route_list *lists, const uint8_t *data,
                                size_t size)
{
    static struct fake f;
    char path[128], *body;
    size_t n_row = lists->n;
    const struct route *row;

    if (size < 2)
        return 0;
    row = &lists->row[data[0] % n_row];
    (void)snprintf(path, sizeof(path), "%s", row->path);
    for (char *at = path; *at; at++) {
        if (*at == ':' || *at == '*')
            *at = 'x';
    }
    if (!f.serve.asks) {
        fake_open(&f);
        if (ask_list_new(&f.serve.asks, NULL) < 0)
            abort();
    }
    body = malloc(size - 1);
    if (!body)
        abort();
    memcpy(body, data + 2, size - 2);
    body[size - 2] = '\0';
    (void)fake_send(&f, lists, row->method, path, data[1] & 0x80 ? "strict=1" : NULL, NULL,
                    (struct str){body, size - 2});
    if (f.sink)
        api_answer(&f, data[1], body, size - 2);
    if (f.sink || f.call.ended != 1 || f.n_started != f.n_freed)
        abort();
    if (strncmp(f.call.type, "application/json", 16) == 0)
        api_json(f.call.out.p, f.call.out.n);
    else if (f.call.out.n)
        api_lines(f.call.out.p, f.call.out.n);
    free(body);
    fake_close(&f);
    return 0;
}

#endif

/* Replies taken apart: what each family writes, whole and cut anywhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "replies.h"

#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

#define VECTORS "../shared/ref/models_ref/chat_vectors.json"

static struct reply_style style_of(const char *format, const char *open, const char *close)
{
    struct reply_style s = {.format = format[0] ? reply_find(str_of(format)) : NULL};

    assert_true(!format[0] || s.format);
    (void)snprintf(s.think_open, sizeof(s.think_open), "%s", open);
    (void)snprintf(s.think_close, sizeof(s.think_close), "%s", close);
    return s;
}

/* The text in pieces that end at cut[0], cut[1], ... */
static void parse(struct replies *out, const struct reply_style *style, const json_t *tools,
                  int open, int was_cut, struct str text, const size_t *cut, int n_cut)
{
    struct reply *r;
    struct err e;
    size_t at = 0;

    replies_clear(out);
    assert_int_equal(reply_new(&r, style, tools, open, replies_sink, out, &e), 0);
    for (int i = 0; i <= n_cut; i++) {
        size_t end = i < n_cut ? cut[i] : text.n;
        /* A copy of its own: what is read past its end is found. */
        char *piece = malloc(end - at + 1);

        memcpy(piece, text.p + at, end - at);
        assert_int_equal(reply_put(r, piece, end - at, &e), 0);
        free(piece);
        at = end;
    }
    assert_int_equal(reply_end(r, was_cut, &e), 0);
    reply_free(r);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

/* Whole, at every two-way split, byte by byte, and in random pieces: always the same. */
static char *parse_all(const struct reply_style *style, const json_t *tools, int open,
                       struct str text)
{
    struct replies out = {0};
    struct rng rng;
    size_t *cut = calloc(text.n + 1, sizeof(*cut));
    char *whole, *other;

    parse(&out, style, tools, open, 0, text, NULL, 0);
    whole = replies_json(&out);
    for (size_t i = 0; i <= text.n + 60; i++) {
        int n = 1;

        if (i <= text.n) {
            cut[0] = i;
        } else if (i == text.n + 1) {
            for (n = 0; n < (int)text.n; n++)
                cut[n] = (size_t)n;
        } else {
            rng_seed(&rng, i);
            n = 1 + (int)(rng_u64(&rng) % 9);
            n = n > (int)text.n ? (int)text.n : n;
            for (int k = 0; k < n; k++)
                cut[k] = rng_u64(&rng) % (text.n + 1);
            qsort(cut, (size_t)n, sizeof(*cut), by_size);
        }
        parse(&out, style, tools, open, 0, text, cut, n);
        other = replies_json(&out);
        assert_string_equal(other, whole);
        free(other);
    }
    replies_clear(&out);
    free(cut);
    return whole;
}

/* -- the vectors ------------------------------------------------------------------------- */

static const struct {
    const char *vector, *format, *open, *close;
} rows[] = {
    {"hermes-json", "hermes", "", ""},
    {"hermes-json+think", "hermes", "<think>", "</think>"},
    {"qwen-xml", "qwen3-xml", "", ""},
    {"qwen-xml+think", "qwen3-xml", "<think>", "</think>"},
    {"llama3-json", "llama3", "", ""},
    {"mistral-v3-json", "mistral-v3", "", ""},
    {"mistral-v11", "mistral-v13", "", ""},
    {"mistral-v13", "mistral-v13", "[THINK]", "[/THINK]"},
    {"gemma4", "gemma4", "<|channel>thought", "<channel|>"},
    {"harmony-call", "harmony", "<|channel|>analysis<|message|>", "<|end|>"},
    {"harmony-final", "harmony", "", ""},
    {"deepseek-v3.1", "deepseek-v3.1", "<think>", "</think>"},
    {"dsml-function_calls", "deepseek-v3.2", "<think>", "</think>"},
    {"dsml-tool_calls+think", "deepseek-v4", "<think>", "</think>"},
    {"glm-4.6", "glm", "<think>", "</think>"},
    {"glm-4.7", "glm", "<think>", "</think>"},
    {"kimi-k2", "kimi-k2", "", ""},
    {"nemotron3-xml+think", "qwen3-xml", "<think>", "</think>"},
    {"nemotron2-toolcall", "nemotron2", "<think>", "</think>"},
};

static char *expected(const json_t *v)
{
    const json_t *want = json_object_get(v, "expected"), *call;
    const char *reasoning = json_string_value(json_object_get(want, "reasoning_content"));
    json_t *calls = json_array(), *all;
    char *text;
    size_t i;

    json_array_foreach(json_object_get(want, "tool_calls"), i, call)
    {
        const char *id = json_string_value(json_object_get(call, "id"));

        json_array_append_new(calls, json_pack("{s:O,s:s,s:O,s:b}", "name",
                                               json_object_get(call, "name"), "id",
                                               id ? id : "", "arguments",
                                               json_object_get(call, "arguments"), "ended", 1));
    }
    all = json_pack("{s:s,s:O,s:o}", "reasoning", reasoning ? reasoning : "", "content",
                    json_object_get(want, "content"), "calls", calls);
    text = json_dumps(all, JSON_SORT_KEYS);
    json_decref(all);
    return text;
}

static void test_vectors(void **state)
{
    json_t *all = json_load_file(VECTORS, 0, NULL);
    const json_t *tools = json_object_get(all, "tools"), *v;
    size_t i, n = sizeof(rows) / sizeof(rows[0]);

    (void)state;
    if (!all)
        skip();
    assert_int_equal(json_array_size(json_object_get(all, "vectors")), n);
    json_array_foreach(json_object_get(all, "vectors"), i, v)
    {
        const char *text = json_string_value(json_object_get(v, "model_output"));
        const char *prompt = json_string_value(json_object_get(v, "generation_prompt"));
        struct reply_style style = style_of(rows[i].format, rows[i].open, rows[i].close);
        const char *open = strstr(prompt, "<think>");
        char *want = expected(v), *got;

        assert_string_equal(json_string_value(json_object_get(v, "format")), rows[i].vector);
        got = parse_all(&style, tools, open && !strstr(open, "</think>"), str_of(text));
        assert_string_equal(got, want);
        free(got);
        free(want);
    }
    json_decref(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Real vocabularies against recorded ids: 60 texts or more each, plain and with special tokens,
 * and back. */
#include "text/tok.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

/* 0 when the vocabulary is not there. */
static int load(const char *name, struct tok **t)
{
    char path[256];
    struct gguf *g;
    struct err e = {0};

    (void)snprintf(path, sizeof(path), "%s.gguf", name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: no %s\n", path);
        return 0;
    }
    if (gguf_open(&g, path, &e) < 0 || tok_new(t, g, &e) < 0)
        fail_msg("%s: %s", path, e.msg);
    gguf_free(g);
    return 1;
}

static void check_ids(const struct tok *t, struct str text, int flags, const json_t *want)
{
    struct tok_ids got = {0};
    struct err e = {0};

    if (tok_encode(t, text.p, text.n, flags, &got, &e) < 0)
        fail_msg("%s", e.msg);
    for (size_t i = 0; i < got.n && i < json_array_size(want); i++) {
        if (got.id[i] != json_integer_value(json_array_get(want, i)))
            fail_msg("\"%.*s\", flags %d, token %zu: %d, not %lld", (int)text.n, text.p, flags,
                     i, (int)got.id[i], (long long)json_integer_value(json_array_get(want, i)));
    }
    if (got.n != json_array_size(want))
        fail_msg("\"%.*s\", flags %d: %zu tokens, not %zu", (int)text.n, text.p, flags, got.n,
                 json_array_size(want));
    tok_ids_done(&got);
}

static struct buf unhex(const char *hex)
{
    struct buf b;
    unsigned byte;

    buf_init(&b, 1 << 20);
    assert_int_equal(buf_put(&b, "", 0), 0);
    for (; *hex; hex += 2) {
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        assert_int_equal(buf_byte(&b, (int)byte), 0);
    }
    return b;
}

static void check_detok(const struct tok *t, struct str text, const char *hex)
{
    struct buf want = unhex(hex), got;
    struct tok_ids ids = {0};
    struct tok_stream s;
    /* All of a text comes back, but where it is normalised. */
    int whole = strcmp(tok_kind(t), "gpt2") == 0 || strcmp(tok_kind(t), "llama") == 0;

    buf_init(&got, 1 << 20);
    assert_int_equal(tok_encode(t, text.p, text.n, 0, &ids, NULL), 0);
    tok_stream_init(&s, t, 1, whole);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(tok_stream_put(&s, ids.id[i], &got), 0);
    assert_int_equal(tok_stream_end(&s, &got), 0);
    if (whole && (got.n != text.n || (got.n && memcmp(got.p, text.p, got.n) != 0)))
        fail_msg("\"%.*s\" came back as \"%s\"", (int)text.n, text.p, got.p ? got.p : "");
    got.n = tok_tidy(t, got.p, got.n);
    assert_int_equal(got.n, want.n);
    if (got.n)
        assert_memory_equal(got.p, want.p, got.n);
    tok_ids_done(&ids);
    buf_done(&got);
    buf_done(&want);
}

static void test_recorded(void **state)
{
    const char *name = *state;
    char path[256];
    struct tok *t;
    json_error_t je;
    json_t *all, *x;
    size_t i;

    if (!load(name, &t))
        skip();
    (void)snprintf(path, sizeof(path), "%s.tokens.json", name);
    all = json_load_file(path, 0, &je);
    assert_non_null(all);
    assert_true(json_array_size(all) >= 60);
    json_array_foreach(all, i, x)
    {
        struct str text = {json_string_value(json_object_get(x, "text")),
                           json_string_length(json_object_get(x, "text"))};

        check_ids(t, text, 0, json_object_get(x, "plain"));
        check_ids(t, text, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, json_object_get(x, "special"));
        check_detok(t, text, json_string_value(json_object_get(x, "detok_hex")));
    }
    json_decref(all);
    tok_free(t);
}

#define VOCAB(dir, name)                                                                       \
    {                                                                                          \
        "recorded " name, test_recorded, NULL, NULL,                                           \
            (void *)(uintptr_t)(const void *)(dir name)                                        \
    }
#define SHARED(name) VOCAB("../shared/vocab/", name)
#define SMALL(name)  VOCAB("tests/data/tok/", name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED("gpt-2"),        SHARED("llama-spm"), SHARED("llama-bpe"),
        SHARED("mpt"),          SHARED("starcoder"), SHARED("refact"),
        SHARED("falcon"),       SHARED("gpt-neox"),  SHARED("baichuan"),
        SHARED("deepseek-llm"), SHARED("phi-3"),     SHARED("deepseek-coder"),
        SHARED("bert-bge"),     SMALL("unigram"),    SMALL("unigram-spaces"),
        SMALL("gemma4"),        SMALL("kimi"),       SMALL("qwen35"),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

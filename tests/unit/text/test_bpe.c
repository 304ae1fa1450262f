/* Byte-level BPE on a small vocabulary. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode.h"
#include "small.h"

#include "base/rng.h"

#define SP "\xc4\xa0" /* how the file writes a space */

static void test_merges(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_bpe(&s);
    t = small_tok(&s);
    EXPECT(t, "hello", 0, "hello");
    EXPECT(t, "hell", 0, "hell");
    EXPECT(t, "hel", 0, "he", "l");
    EXPECT(t, "llll", 0, "ll", "ll");
    /* "h e" is the first of all merges, so SP "h" never comes. */
    EXPECT(t, "hello hello", 0, "hello", SP, "hello");
    EXPECT(t, "x ha", 0, "x", SP "h", "a");
    EXPECT(t, "\xc3\xa9", 0, "\xc3\x83", "\xc2\xa9");
    tok_free(t);
}

/* Merges go over texts that are no tokens; what stays such a text becomes bytes. */
static void test_no_tokens(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_bpe(&s);
    t = small_tok(&s);
    EXPECT(t, "xyzw", 0, "xyzw");
    EXPECT(t, "xyz", 0, "x", "y", "z");
    EXPECT(t, "xyxyzw", 0, "x", "y", "xyzw");
    tok_free(t);

    /* Without a token of its own a byte still merges, and alone is lost. */
    small_bpe(&s);
    s.token[small_find(&s, "z")] = str_of("gone");
    t = small_tok(&s);
    EXPECT(t, "xyzw", 0, "xyzw");
    EXPECT(t, "xyz", 0, "x", "y");
    expect_tokens(t, str_of("z"), 0, (const char *const[]){NULL});
    tok_free(t);
}

static void test_whole_words(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_bpe(&s);
    small_add(&s, SP "zebra", TOK_NORMAL, 0);
    t = small_tok(&s);
    EXPECT(t, "a zebra", 0, "a", SP, "z", "e", "b", "r", "a");
    tok_free(t);
    s.pre = "llama3";
    t = small_tok(&s);
    EXPECT(t, "a zebra", 0, "a", SP "zebra");
    assert_int_equal(tok_add_bos(t), 1);
    tok_free(t);
}

/* Opening it gives this code, and a message with these words in it. */
static void refused(const struct small *s, int code, const char *words)
{
    struct gguf *g = small_open(s);
    struct tok *t;
    struct err e = {0};

    assert_int_equal(tok_new(&t, g, &e), code);
    if (strstr(e.msg, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, e.msg);
    gguf_free(g);
}

static void test_bad_merges(void **state)
{
    static const char *const bad[] = {"", "a", "ab", "a ", " a", " "};
    struct small s;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        small_bpe(&s);
        s.merge[3] = str_of(bad[i]);
        refused(&s, E_FORMAT, "tokenizer.ggml.merges: element 3");
    }
    small_bpe(&s);
    s.omit = "tokenizer.ggml.merges";
    refused(&s, E_FORMAT, "tokenizer.ggml.merges is missing");
    s.as_str = s.omit;
    refused(&s, E_FORMAT, "tokenizer.ggml.merges is not an array");
}

static void test_pre(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_bpe(&s);
    s.pre = "klingon";
    refused(&s, E_UNSUPPORTED, "\"klingon\"");
    refused(&s, E_UNSUPPORTED, " llama-bpe ");
    s.pre = NULL;
    t = small_tok(&s);
    assert_string_equal(tok_pre(t), "default");
    tok_free(t);
    s.pre = "default";
    s.arch = "llama";
    t = small_tok(&s);
    assert_string_equal(tok_pre(t), "default");
    tok_free(t);
}

/* Files of Llama 3 that do not name their pre-tokenizer are known by token 128009. */
static void test_old_llama3(void **state)
{
    enum { N = 128010 };
    struct str *token = calloc(N, sizeof(*token));
    int32_t *type = calloc(N, sizeof(*type));
    char path[64];
    struct gguf_writer *w;
    struct gguf *g;
    struct tok *t;

    (void)state;
    for (int i = 0; i < N; i++)
        token[i] = str_of("same");
    token[N - 1] = str_of("<|eot_id|>");
    for (int k = 0; k < 2; k++) {
        assert_int_equal(gguf_writer_new(&w, 3, NULL), 0);
        assert_int_equal(
            gguf_put_str(w, "general.architecture", str_of(k ? "gpt2" : "llama"), NULL), 0);
        assert_int_equal(gguf_put_str(w, "tokenizer.ggml.model", str_of("gpt2"), NULL), 0);
        assert_int_equal(gguf_put_strs(w, "tokenizer.ggml.tokens", token, N, NULL), 0);
        assert_int_equal(gguf_put_arr(w, "tokenizer.ggml.token_type", GGUF_I32, type, N, NULL),
                         0);
        assert_int_equal(
            gguf_put_strs(w, "tokenizer.ggml.merges", &(struct str){"a b", 3}, 1, NULL), 0);
        (void)snprintf(path, sizeof(path), "/tmp/hearth-old-%d.gguf", (int)getpid());
        assert_int_equal(gguf_write(w, path, NULL), 0);
        gguf_writer_free(w);
        assert_int_equal(gguf_open(&g, path, NULL), 0);
        (void)unlink(path);
        assert_int_equal(tok_new(&t, g, NULL), 0);
        assert_string_equal(tok_pre(t), k ? "default" : "llama-bpe");
        tok_free(t);
        gguf_free(g);
    }
    free(token);
    free(type);
}

/* Other tools' files of two families leave the name out, too, or say "default", or nothing. */
static void test_pre_of_arch(void **state)
{
    static const char *const want[][3] = {{"gptoss", "default", "gpt-4o"},
                                          {"mistral3", "", "tekken"},
                                          {"mistral3", "gpt-4o", "gpt-4o"},
                                          {"gpt-oss", "default", "default"}};

    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        struct small s;
        struct tok *t;

        small_bpe(&s);
        s.arch = want[i][0];
        s.pre = want[i][1];
        t = small_tok(&s);
        assert_string_equal(tok_pre(t), want[i][2]);
        tok_free(t);
    }
}

/* All 256 bytes and random ones come back, in every pre-tokenizer. */
static void test_round_trip(void **state)
{
    static char big[300000];
    struct small s;
    struct rng r;

    (void)state;
    rng_seed(&r, 4);
    small_bpe(&s);
    for (int i = 0; tok_pre_name(i); i++) {
        struct tok *t;

        s.pre = tok_pre_name(i);
        t = small_tok(&s);
        for (int k = 0; k < 300; k++) {
            char p[80];
            size_t n = (size_t)(rng_u64(&r) % sizeof(p));

            for (size_t j = 0; j < n; j++)
                p[j] = rng_u64(&r) % 4 ? "hello xyzw"[rng_u64(&r) % 10] : (char)rng_u64(&r);
            expect_round_trip(t, (struct str){p, n}, 0);
        }
        for (int k = 0; k < 256; k++)
            big[k] = (char)k;
        expect_round_trip(t, (struct str){big, 256}, TOK_PARSE_SPECIAL);
        memset(big, i % 2 ? ' ' : 'l', sizeof(big));
        expect_round_trip(t, (struct str){big, sizeof(big)}, 0);
        tok_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges),      cmocka_unit_test(test_no_tokens),
        cmocka_unit_test(test_whole_words), cmocka_unit_test(test_bad_merges),
        cmocka_unit_test(test_pre),         cmocka_unit_test(test_old_llama3),
        cmocka_unit_test(test_pre_of_arch), cmocka_unit_test(test_round_trip),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

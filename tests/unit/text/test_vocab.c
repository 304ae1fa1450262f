/* Vocabularies: what the arrays of a file must be, and which tokens end a generation. */
#include "small.h"

#include "text/vocab.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

static const struct vocab_defaults none = {-1, -1, -1, -1, -1, -1};

static void init(struct vocab *v, const struct small *s)
{
    struct gguf *g = small_open(s);
    struct err e = {0};

    if (vocab_init(v, g, &none, &e) < 0)
        fail_msg("%s", e.msg);
    gguf_free(g);
}

/* Is refused with a message that names the key. */
static void refused(const struct small *s, const char *key)
{
    struct gguf *g = small_open(s);
    struct vocab v;
    struct err e = {0};

    assert_int_equal(vocab_init(&v, g, &none, &e), E_FORMAT);
    if (strstr(e.msg, key) == NULL)
        fail_msg("no %s in: %s", key, e.msg);
    assert_null(v.text);
    gguf_free(g);
}

static void test_bad_arrays(void **state)
{
    static const char *const key[] = {"tokenizer.ggml.tokens", "tokenizer.ggml.token_type"};
    struct small s;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        small_spm(&s);
        s.omit = key[i];
        refused(&s, key[i]);
        s.as_str = key[i];
        refused(&s, key[i]);
    }
    small_spm(&s);
    s.as_str = "tokenizer.ggml.scores";
    refused(&s, s.as_str);
    small_spm(&s);
    s.n_score--;
    refused(&s, "tokenizer.ggml.scores");
    small_spm(&s);
    s.n_type--;
    refused(&s, "tokenizer.ggml.token_type");
    small_spm(&s);
    s.types_f32 = 1;
    refused(&s, "tokenizer.ggml.token_type");
    small_spm(&s);
    s.type[7] = 7;
    refused(&s, "tokenizer.ggml.token_type");
    s.type[7] = -1;
    refused(&s, "token 7 has type -1");
    small_spm(&s);
    s.score[260] = NAN;
    refused(&s, "tokenizer.ggml.scores: token 260");
    small_spm(&s);
    s.n = s.n_type = s.n_score = 0;
    refused(&s, "tokenizer.ggml.tokens");
}

static void test_bad_ids(void **state)
{
    static const char *const key[] = {
        "tokenizer.ggml.bos_token_id",     "tokenizer.ggml.eos_token_id",
        "tokenizer.ggml.unknown_token_id", "tokenizer.ggml.eot_token_id",
        "tokenizer.ggml.eom_token_id",     "tokenizer.ggml.fim_sep_token_id",
    };
    struct small s;
    struct vocab v;

    (void)state;
    for (size_t i = 0; i < sizeof(key) / sizeof(*key); i++) {
        small_spm(&s);
        small_id(&s, key[i], (int64_t)s.n);
        refused(&s, key[i]);
        s.id[0].value = -2;
        refused(&s, key[i]);
        s.id[0].value = -1;
        init(&v, &s);
        assert_int_equal(v.bos, -1);
        vocab_done(&v);
        s.id[0].value = (int64_t)s.n - 1;
        init(&v, &s);
        assert_int_equal(v.eog[s.n - 1], i != 0 && i != 2);
        vocab_done(&v);
    }
}

static void test_texts(void **state)
{
    struct small s;
    struct vocab v;

    (void)state;
    small_spm(&s);
    small_add(&s, "twice", TOK_NORMAL, 0);
    small_add(&s, "", TOK_NORMAL, 0);
    small_add(&s, "twice", 0, 0);
    init(&v, &s);
    assert_int_equal(v.n, s.n);
    assert_int_equal(vocab_find(&v, str_of("twice")), s.n - 1);
    assert_int_equal(vocab_find(&v, str_of("")), -1);
    assert_int_equal(vocab_find(&v, str_of("<0xFF>")), 258);
    assert_int_equal(v.type[s.n - 1], TOK_NORMAL);
    assert_true(str_is(v.text[s.n - 3], "twice"));
    vocab_done(&v);
}

static int ends(const struct vocab *v, const char *text)
{
    return v->eog[vocab_find(v, str_of(text))];
}

static void test_endings(void **state)
{
    struct small s;
    struct vocab v;

    (void)state;
    small_spm(&s);
    small_add(&s, "<|end|>", TOK_NORMAL, 0);
    small_add(&s, "<|return|>", TOK_USER, 0);
    small_add(&s, "<|channel|>", TOK_CONTROL, 0);
    small_add(&s,
              "<\xef\xbd\x9c"
              "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
              TOK_NORMAL, 0);
    init(&v, &s);
    assert_true(v.eog[v.n - 1]);
    assert_true(ends(&v, "<|end|>") && ends(&v, "<|return|>") && ends(&v, "</s>"));
    assert_false(ends(&v, "<s>") || ends(&v, "<|channel|>") || ends(&v, "a"));
    assert_int_equal(v.type[vocab_find(&v, str_of("<|end|>"))], TOK_CONTROL);
    assert_int_equal(v.type[vocab_find(&v, str_of("<|return|>"))], TOK_CONTROL);
    assert_int_equal(v.type[vocab_find(&v, str_of("<|channel|>"))], TOK_CONTROL);
    assert_int_equal(v.flags[vocab_find(&v, str_of("<|channel|>"))], VOCAB_SHOWN);
    vocab_done(&v);

    small_add(&s, "<|call|>", TOK_CONTROL, 0);
    init(&v, &s);
    assert_true(ends(&v, "<|call|>") && ends(&v, "<|return|>"));
    assert_false(ends(&v, "<|end|>"));
    vocab_done(&v);

    small_add(&s, "<|tool_response>", TOK_CONTROL, 0);
    init(&v, &s);
    assert_true(ends(&v, "<|tool_response>"));
    assert_false(ends(&v, "</s>"));
    vocab_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_arrays),
        cmocka_unit_test(test_bad_ids),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_endings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

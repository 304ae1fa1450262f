/* Tokenizers from the outside: facts, flags, refusals, failures of memory, threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode.h"
#include "small.h"

#include "base/mem.h"

#include <pthread.h>

#define SP "\xe2\x96\x81"

static void test_facts(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    assert_string_equal(tok_kind(t), "llama");
    assert_string_equal(tok_pre(t), "");
    assert_int_equal(tok_count(t), s.n);
    assert_int_equal(tok_bos(t), 1);
    assert_int_equal(tok_eos(t), 2);
    assert_int_equal(tok_add_bos(t), 1);
    assert_int_equal(tok_add_eos(t), 0);
    assert_int_equal(tok_is_eog(t, 2), 1);
    assert_int_equal(tok_is_eog(t, 1), 0);
    assert_int_equal(tok_type_of(t, 1), TOK_CONTROL);
    assert_int_equal(tok_type_of(t, 3), TOK_BYTE);
    assert_true(str_is(tok_text(t, 4), "<0x01>"));
    assert_int_equal(tok_find(t, str_of("<0x01>")), 4);
    assert_int_equal(tok_find(t, str_of("<0x01")), -1);
    for (int i = -1; i <= tok_count(t); i += tok_count(t) + 1) {
        assert_int_equal(tok_is_eog(t, i), 0);
        assert_int_equal(tok_text(t, i).n, 0);
        assert_int_equal(tok_piece(t, i, 1).n, 0);
    }
    tok_free(t);
    tok_free(NULL);

    small_bpe(&s);
    t = small_tok(&s);
    assert_string_equal(tok_kind(t), "gpt2");
    assert_string_equal(tok_pre(t), "gpt-2");
    assert_int_equal(tok_add_bos(t), 0);
    assert_int_equal(tok_bos(t), 11);
    assert_int_equal(tok_is_eog(t, small_find(&s, "<|im_end|>")), 1);
    tok_free(t);
}

static void test_flags(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    EXPECT(t, "a</s>", TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL, "<s>", SP "a", "</s>");
    EXPECT(t, "a<uu>", TOK_ADD_SPECIAL, "<s>", SP "a", "<uu>");
    EXPECT(t, "", TOK_ADD_SPECIAL, "<s>");
    EXPECT(t, "<unk>", TOK_PARSE_SPECIAL, "<unk>");
    tok_free(t);
    small_id(&s, "tokenizer.ggml.add_eos_token", 1);
    small_id(&s, "tokenizer.ggml.add_bos_token", 0);
    t = small_tok(&s);
    EXPECT(t, "a", TOK_ADD_SPECIAL, SP "a", "</s>");
    EXPECT(t, "a", 0, SP "a");
    tok_free(t);

    /* What ends a generation is control, whatever the file calls it. */
    small_bpe(&s);
    t = small_tok(&s);
    EXPECT(t, "<|im_end|>", TOK_PARSE_SPECIAL, "<|im_end|>");
    EXPECT(t, "<|i", 0, "<", "|", "i");
    EXPECT(t, "d>", 0, "d", ">");
    EXPECT(t, "<|im_end|>", 0, "<", "|", "i", "m", "_", "e", "n", "d", "|", ">");
    tok_free(t);
}

static void test_pieces(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    assert_true(str_is(tok_piece(t, small_find(&s, SP "ab"), 0), " ab"));
    assert_true(str_is(tok_piece(t, small_find(&s, SP SP), 0), "  "));
    assert_true(str_is(tok_piece(t, 3 + 0xe2, 0), "\xe2"));
    assert_int_equal(tok_piece(t, 3, 0).n, 1);
    assert_int_equal(tok_piece(t, 1, 0).n, 0);
    assert_true(str_is(tok_piece(t, 1, 1), "<s>"));
    assert_int_equal(tok_piece(t, 0, 0).n, 0);
    assert_true(str_is(tok_piece(t, small_find(&s, "<uu>"), 0), "<uu>"));
    tok_free(t);

    small_bpe(&s);
    small_add(&s, "\xc4\xa0|\xe2\x82\xac", TOK_NORMAL, 0);
    small_add(&s, "\xc4\xa0", TOK_USER, 0);
    t = small_tok(&s);
    assert_true(str_is(tok_piece(t, small_find(&s, "\xc4\xa0h"), 0), " h"));
    assert_true(str_is(tok_piece(t, (int)s.n - 2, 0), " |\xe2\x82\xac"));
    assert_true(str_is(tok_piece(t, (int)s.n - 1, 0), "\xc4\xa0"));
    for (int i = 0; i < 256; i++) {
        assert_int_equal(tok_piece(t, i, 0).n, 1);
        assert_int_equal((unsigned char)tok_piece(t, i, 0).p[0], i);
    }
    tok_free(t);
}

static void refused(const struct small *s, int code, const char *words)
{
    struct gguf *g = small_open(s);
    struct tok *t = NULL;
    struct err e = {0};

    assert_int_equal(tok_new(&t, g, &e), code);
    assert_null(t);
    if (strstr(e.msg, words) == NULL)
        fail_msg("no \"%s\" in: %s", words, e.msg);
    gguf_free(g);
}

static void test_refusals(void **state)
{
    struct small s;

    (void)state;
    small_spm(&s);
    s.kind = NULL;
    refused(&s, E_NOT_FOUND, "no tokenizer");
    s.kind = "no_vocab";
    refused(&s, E_NOT_FOUND, "no tokenizer");
    s.kind = "sumerian";
    refused(&s, E_UNSUPPORTED, "\"sumerian\"");
    refused(&s, E_UNSUPPORTED, "llama gpt2");
    small_spm(&s);
    small_id(&s, "tokenizer.ggml.eos_token_id", 100000);
    refused(&s, E_FORMAT, "tokenizer.ggml.eos_token_id");
}

static void test_too_long(void **state)
{
    struct small s;
    struct tok *t;
    struct tok_ids ids = {0};
    struct err e = {0};

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    assert_int_equal(tok_encode(t, "", ((size_t)1 << 31) + 1, 0, &ids, &e), E_TOO_LONG);
    assert_int_equal(ids.n, 0);
    tok_free(t);
}

/* Each allocation fails once: nothing leaks, and what was there stays. */
static void fail_all(const struct small *s)
{
    struct gguf *g = small_open(s);
    static char text[40000];
    uint64_t nth = 1;

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "ab hello  xyz<u"[i % 15 + (i % 7 == 0 && i % 15 < 10)];
    memset(text, 'l', 3000);
    for (;; nth++) {
        struct tok *t = NULL;
        struct tok_ids ids = {0};
        struct err e = {0};
        int rc;

        mem_fail_at(nth, 0);
        rc = tok_new(&t, g, &e);
        if (rc == 0) {
            rc = tok_encode(t, "hello", 5, 0, &ids, &e);
            if (rc == 0) {
                size_t before = ids.n;

                rc = tok_encode(t, text, sizeof(text), TOK_PARSE_SPECIAL, &ids, &e);
                if (rc < 0)
                    assert_int_equal(ids.n, before);
            }
        }
        tok_ids_done(&ids);
        tok_free(t);
        if (mem_fail_at(0, 0) < nth)
            break;
        assert_int_equal(rc, E_NOMEM);
        assert_true(e.msg[0] != '\0');
    }
    assert_true(nth > 20);
    gguf_free(g);
}

static void test_no_memory(void **state)
{
    struct small s;

    (void)state;
    small_spm(&s);
    fail_all(&s);
    small_bpe(&s);
    fail_all(&s);
    s.pre = "llama-bpe";
    fail_all(&s);
}

/* -- threads --------------------------------------------------------------------------- */

static void *encode_often(void *arg)
{
    const struct tok *t = arg;
    size_t total = 0;

    for (int i = 0; i < 200; i++) {
        struct tok_ids ids = {0};

        if (tok_encode(t, "hello xyzw <u> hello", 20, TOK_ADD_SPECIAL, &ids, NULL) == 0)
            total += ids.n;
        tok_ids_done(&ids);
    }
    return (void *)(uintptr_t)total;
}

static void test_threads(void **state)
{
    pthread_t th[4];
    struct small s;
    struct tok *t;
    void *want, *got;

    (void)state;
    small_bpe(&s);
    t = small_tok(&s);
    want = encode_often(t);
    assert_true((uintptr_t)want >= 200);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&th[i], NULL, encode_often, t), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(th[i], &got), 0);
        assert_ptr_equal(got, want);
    }
    tok_free(t);
}

static void test_names(void **state)
{
    int n = 0;

    (void)state;
    assert_string_equal(tok_kind_name(0), "llama");
    assert_string_equal(tok_kind_name(1), "gpt2");
    assert_string_equal(tok_kind_name(4), "gemma4");
    assert_null(tok_kind_name(5));
    assert_null(tok_kind_name(-1));
    while (tok_pre_name(n))
        n++;
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),    cmocka_unit_test(test_flags),
        cmocka_unit_test(test_pieces),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_long), cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),  cmocka_unit_test(test_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Streams: whole characters only, and all bytes in the end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode.h"
#include "small.h"

#include "base/rng.h"

#define VOCAB "../shared/vocab/llama-bpe.gguf"

/* One put: what came out must be this. */
static void put(struct tok_stream *s, int id, const char *want)
{
    struct buf out;

    buf_init(&out, 100);
    assert_int_equal(tok_stream_put(s, id, &out), 0);
    assert_true(str_is((struct str){out.p ? out.p : "", out.n}, want));
    buf_done(&out);
}

static void end(struct tok_stream *s, const char *want)
{
    struct buf out;

    buf_init(&out, 100);
    for (int i = 0; i < 2; i++) {
        buf_clear(&out);
        assert_int_equal(tok_stream_end(s, &out), 0);
        assert_true(str_is((struct str){out.p, out.n}, i ? "" : want));
    }
    buf_done(&out);
}

enum { BYTE0 = 3 };

static void test_split_characters(void **state)
{
    struct small v;
    struct tok_stream s;
    struct tok *t;

    (void)state;
    small_spm(&v);
    t = small_tok(&v);
    tok_stream_init(&s, t, 0, 0);
    put(&s, BYTE0 + 0xf0, "");
    put(&s, BYTE0 + 0x9f, "");
    put(&s, 1, ""); /* a control token does not disturb */
    put(&s, BYTE0 + 0xa6, "");
    put(&s, BYTE0 + 0x99, "\xf0\x9f\xa6\x99");
    put(&s, BYTE0 + 0xe2, "");
    put(&s, BYTE0 + 'x', "\xe2x"); /* cannot be completed any more */
    put(&s, BYTE0 + 0xff, "\xff");
    put(&s, BYTE0 + 0xe2, "");
    put(&s, BYTE0 + 0xc3, "\xe2");
    put(&s, BYTE0 + 0xa9, "\xc3\xa9");
    put(&s, BYTE0 + 0xe2, "");
    put(&s, BYTE0 + 0x82, "");
    end(&s, "\xe2\x82");
    tok_free(t);
}

static void test_first_space(void **state)
{
    struct small v;
    struct tok_stream s;
    struct tok *t;
    int ab;

    (void)state;
    small_spm(&v);
    ab = small_find(&v, "\xe2\x96\x81"
                        "ab");
    t = small_tok(&v);
    tok_stream_init(&s, t, 1, 0);
    put(&s, 1, "");
    put(&s, ab, "ab");
    put(&s, ab, " ab");
    tok_stream_init(&s, t, 1, 0);
    put(&s, small_find(&v, "\xe2\x96\x81"), "");
    put(&s, ab, " ab");
    tok_stream_init(&s, t, 1, 1);
    put(&s, 1, "<s>");
    put(&s, ab, " ab");
    tok_stream_init(&s, t, 0, 0);
    put(&s, ab, " ab");
    tok_free(t);

    small_bpe(&v);
    t = small_tok(&v);
    tok_stream_init(&s, t, 1, 0);
    put(&s, small_find(&v, "\xc4\xa0h"), " h");
    tok_free(t);
}

/* A buffer that is full refuses all of it; then nothing is lost. */
static void test_full(void **state)
{
    struct small v;
    struct tok_stream s;
    struct tok *t;
    struct buf out;

    (void)state;
    small_spm(&v);
    t = small_tok(&v);
    tok_stream_init(&s, t, 1, 0);
    put(&s, BYTE0 + 0xc3, "");
    buf_init(&out, 1);
    assert_int_equal(tok_stream_put(&s, BYTE0 + 0xa9, &out), E_TOO_LONG);
    assert_int_equal(out.n, 0);
    buf_done(&out);
    put(&s, BYTE0 + 0xa9, "\xc3\xa9");
    tok_free(t);
}

/* Tokens one by one: never half a character, and together the text. */
static void test_real(void **state)
{
    static const char *const unit[] = {"\xf0\x9f\xa6\x99", "\xe4\xbb\xb7", "a",   " ",
                                       "\xc3\xa9",         "\xe1\x9e\x80", "the", "\n"};
    struct gguf *g;
    struct tok *t;
    struct rng r;

    (void)state;
    if (access(VOCAB, R_OK) != 0) {
        print_message("skipped: no " VOCAB "\n");
        skip();
    }
    assert_int_equal(gguf_open(&g, VOCAB, NULL), 0);
    assert_int_equal(tok_new(&t, g, NULL), 0);
    gguf_free(g);
    rng_seed(&r, 5);
    for (int round = 0; round < 500; round++) {
        struct buf text, got;
        struct tok_ids ids = {0};
        struct tok_stream s;

        buf_init(&text, 1000);
        buf_init(&got, 1000);
        for (int i = 0; i < 40; i++)
            assert_int_equal(buf_str(&text, unit[rng_u64(&r) % 8]), 0);
        assert_int_equal(tok_encode(t, text.p, text.n, 0, &ids, NULL), 0);
        tok_stream_init(&s, t, 1, 0);
        for (size_t i = 0; i < ids.n; i++) {
            size_t at = got.n;

            assert_int_equal(tok_stream_put(&s, ids.id[i], &got), 0);
            assert_true(got.n == at || utf8_valid(got.p + at, got.n - at));
        }
        assert_int_equal(s.n_held, 0);
        assert_string_equal(got.p, text.p);
        tok_ids_done(&ids);
        buf_done(&text);
        buf_done(&got);
    }
    tok_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_characters),
        cmocka_unit_test(test_first_space),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_real),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

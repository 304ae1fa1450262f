/* WordPiece, unigram models and Gemma 4's BPE, on vocabularies small enough to think through.
 */
#include "text/tok.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode.h"
#include "small.h"

#define S "\xe2\x96\x81"

static void test_wpm(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_wpm(&s);
    t = small_tok(&s);
    EXPECT(t, "abbc a", 0, S "ab", "bc", S "a");
    EXPECT(t, "", TOK_ADD_SPECIAL, "[CLS]", "[SEP]");
    EXPECT(t, "Hello,a", TOK_ADD_SPECIAL, "[CLS]", S "he", "llo", S ",", S "a", "[SEP]");
    /* A word of which any part is not known is unknown as a whole. */
    EXPECT(t, "abbcq a", 0, "[UNK]", S "a");
    /* Accents go, with what marks them; controls and soft hyphens go; ideographs stand alone.
     */
    EXPECT(t,
           "\xc3\x81"
           "b a\xcc\x81\xcc\x82"
           "b \x01"
           "a\xc2\xad"
           "b",
           0, S "ab", S "ab", S "ab");
    EXPECT(t,
           "a\xe6\xbc\xa2"
           "a",
           0, S "a", S "\xe6\xbc\xa2", S "a");
    EXPECT(t, "\xce\x86\xce\x86", 0, S "\xce\xb1", "\xce\xb1");
    /* A mark that is no accent comes behind those of a lower class: here there is only one. */
    EXPECT(t, "a\xe3\x80\xae", 0, S "a", "\xe3\x80\xae");
    EXPECT(t,
           "a\xff"
           "b a",
           0, "[UNK]", S "a");
    EXPECT(t, "[SEP]", TOK_PARSE_SPECIAL, "[SEP]");
    tok_free(t);
}

static void test_ugm(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_ugm(&s);
    t = small_tok(&s);
    /* The best sum, not the longest token: abab costs 9, ab ab 8. */
    EXPECT(t, "abab", 0, S "ab", "ab");
    EXPECT(t, "", TOK_ADD_SPECIAL, "</s>");
    EXPECT(t, "a", TOK_ADD_SPECIAL, S "a", "</s>");
    EXPECT(t, "a  a", 0, S "a", S, S "a");
    /* Unknown ones in a row are one. */
    EXPECT(t, "aqqq", 0, S "a", "<unk>");
    EXPECT(t, "AaBCa", 0, S "a", "a", "a");
    EXPECT(t,
           "a\xc2\xa0"
           "a",
           0, S "a", S "a");
    EXPECT(t, "B", 0, S, "<unk>");
    EXPECT(t, "a<u>a", 0, S "a", "<u>", S "a");
    tok_free(t);
}

static void test_charsmap_broken(void **state)
{
    static const struct {
        uint32_t size;
        size_t n;
    } bad[] = {{0, 100}, {6, 100}, {96, 100}, {4000000000u, 100}, {4, 3}, {4, 9}};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        unsigned char map[128] = {0};
        struct gguf_writer *w;
        struct gguf *g;
        struct tok *t;
        char path[64];
        int32_t type[3] = {1, 1, 1};
        float score[3] = {-1, -2, -3};

        memcpy(map, &bad[i].size, 4);
        map[8] = 'x'; /* no NUL ends it */
        assert_int_equal(gguf_writer_new(&w, 3, NULL), 0);
        assert_int_equal(gguf_put_str(w, "tokenizer.ggml.model", str_of("t5"), NULL), 0);
        assert_int_equal(gguf_put_strs(w, "tokenizer.ggml.tokens",
                                       (struct str[]){{"a", 1}, {"b", 1}, {"c", 1}}, 3, NULL),
                         0);
        assert_int_equal(gguf_put_arr(w, "tokenizer.ggml.token_type", GGUF_I32, type, 3, NULL),
                         0);
        assert_int_equal(gguf_put_arr(w, "tokenizer.ggml.scores", GGUF_F32, score, 3, NULL), 0);
        assert_int_equal(gguf_put_arr(w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, map,
                                      bad[i].n, NULL),
                         0);
        (void)snprintf(path, sizeof(path), "/tmp/hearth-kinds-%d.gguf", (int)getpid());
        assert_int_equal(gguf_write(w, path, NULL), 0);
        gguf_writer_free(w);
        assert_int_equal(gguf_open(&g, path, NULL), 0);
        (void)unlink(path);
        assert_int_equal(tok_new(&t, g, NULL), E_FORMAT);
        gguf_free(g);
    }
}

static void test_gemma4(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_gemma4(&s);
    t = small_tok(&s);
    EXPECT(t, "ab ab", TOK_ADD_SPECIAL, "<bos>", "ab", S "ab");
    EXPECT(t, "xyz xy", 0, "xyz", S, "<0x78>", "<0x79>");
    EXPECT(t, "a\n\nb\n\n\n", 0, "a", "\n\n", "b", "\n", "\n", "\n");
    EXPECT(t, "  ab", 0, S, S "ab");
    EXPECT(t, "\xc3\xa8\xc3\xa9", 0, "<0xC3>", "<0xA8>", "\xc3\xa9");
    EXPECT(t,
           "\xc3\xa9"
           "a",
           0, "<0xC3>", "<0xA9>", "<0x61>");
    expect_round_trip(t, str_of(" ab  xyz\n\n\xff\xc3\xa9 q<uu>"), 0);
    tok_free(t);
}

/* Without merges the token of the lowest id that neighbours make comes first. */
static void test_by_id(void **state)
{
    struct small s;
    struct tok *t;
    struct gguf *g;

    (void)state;
    small_bpe(&s);
    s.n_merge = 0;
    s.pre = "kimi-k2";
    s.omit = "tokenizer.ggml.merges";
    t = small_tok(&s);
    EXPECT(t, "hello", 0, "hello");
    EXPECT(t, "hell", 0, "hell");
    EXPECT(t, "helo", 0, "he", "lo");
    /* ll has a lower id than lo, he than both. */
    EXPECT(t, "hellohello", 0, "hello", "hello");
    /* Special tokens are no merges. */
    EXPECT(t, "<u", 0, "<", "u");
    expect_round_trip(t, str_of("\xe6\xbc\xa2he\xff llo"), 0);
    tok_free(t);
    s.pre = "gpt-2";
    g = small_open(&s);
    assert_int_equal(tok_new(&t, g, NULL), E_FORMAT);
    gguf_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wpm),
        cmocka_unit_test(test_ugm),
        cmocka_unit_test(test_charsmap_broken),
        cmocka_unit_test(test_gemma4),
        cmocka_unit_test(test_by_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

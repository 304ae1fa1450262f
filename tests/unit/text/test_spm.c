/* SentencePiece BPE on a small vocabulary and a trained one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "encode.h"
#include "small.h"

#include "base/rng.h"

#define SP      "\xe2\x96\x81" /* U+2581 */
#define STORIES "../shared/models/stories260k.gguf"

static void test_joins(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    /* "ab" is better than "bc", "abc" worse than both; SP "a" comes after. */
    EXPECT(t, "abc", 0, SP, "abc");
    EXPECT(t, "a", 0, SP "a");
    EXPECT(t, "ab", 0, SP "ab");
    EXPECT(t, "a bc  c", 0, SP "a", SP, "bc", SP SP, "c");
    EXPECT(t, " a", 0, SP SP, "a");
    EXPECT(t, "aaa", 0, SP "a", "a", "a");
    EXPECT(t, "b\xc3\xa9", 0, SP, "b\xc3\xa9");
    expect_tokens(t, str_of(""), 0, (const char *const[]){NULL});
    tok_free(t);
}

static void test_ties_go_left(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    s.score[small_find(&s, "bc")] = s.score[small_find(&s, "ab")];
    small_add(&s, "aa", TOK_NORMAL, -100);
    t = small_tok(&s);
    EXPECT(t, "xabcaaa", 0, SP, "<0x78>", "abc", "aa", "a");
    tok_free(t);
}

/* A token that reaches over a space keeps the words on both its sides together. */
static void test_over_spaces(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    small_add(&s, "c" SP, TOK_NORMAL, 1);
    small_add(&s, "c" SP "a", TOK_NORMAL, 2);
    t = small_tok(&s);
    EXPECT(t, "c ab", 0, SP, "c" SP "a", "b");
    EXPECT(t, "c  ab", 0, SP, "c" SP, SP "ab");
    EXPECT(t, "b ab", 0, SP, "b", SP "ab");
    tok_free(t);
}

static void test_bytes(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    EXPECT(t, "d", 0, SP, "<0x64>");
    EXPECT(t, "a\xe2\x82\xac", 0, SP "a", "<0xE2>", "<0x82>", "<0xAC>");
    EXPECT(t,
           "\xff"
           "a\xc3",
           0, SP, "<0xFF>", "a", "<0xC3>");
    EXPECT(t, "\xe2\x96", 0, SP, "<0xE2>", "<0x96>");
    tok_free(t);

    small_spm(&s);
    s.token[3 + 'd'] = str_of("gone");
    t = small_tok(&s);
    EXPECT(t, "ad", 0, SP "a", "<unk>");
    tok_free(t);
    small_id(&s, "tokenizer.ggml.unknown_token_id", -1);
    t = small_tok(&s);
    EXPECT(t, "ad", 0, SP "a");
    tok_free(t);
}

static void test_space_prefix(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    EXPECT(t, "<s>a</s>b", TOK_PARSE_SPECIAL, "<s>", SP "a", "</s>", SP, "b");
    EXPECT(t, "<s>a", 0, SP, "<", "s", ">", "a");
    EXPECT(t, "a<u>a<uu>", 0, SP "a", "<u>", SP "a", "<uu>");
    tok_free(t);
    small_id(&s, "tokenizer.ggml.add_space_prefix", 0);
    t = small_tok(&s);
    EXPECT(t, "abc<u>a a", 0, "abc", "<u>", "a", SP "a");
    expect_round_trip(t, str_of(" abc"), 0);
    tok_free(t);
}

static void test_scores_needed(void **state)
{
    struct small s;
    struct gguf *g;
    struct tok *t;
    struct err e = {0};

    (void)state;
    small_spm(&s);
    s.omit = "tokenizer.ggml.scores";
    g = small_open(&s);
    assert_int_equal(tok_new(&t, g, &e), E_FORMAT);
    assert_non_null(strstr(e.msg, "tokenizer.ggml.scores"));
    gguf_free(g);
}

/* Tokens past the rows of the embedding are none in files of Gemma 3. */
static void test_more_tokens(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    while (!str_is(s.token[s.n_row], ">"))
        s.n_row++;
    t = small_tok(&s);
    assert_int_equal(tok_count(t), s.n); /* the model refuses it */
    tok_free(t);
    s.arch = "gemma3";
    t = small_tok(&s);
    assert_int_equal(tok_count(t), s.n_row);
    EXPECT(t, "a>", 0, SP "a", "<0x3E>");
    tok_free(t);
    s.n_row = s.n + 1;
    t = small_tok(&s);
    assert_int_equal(tok_count(t), s.n);
    EXPECT(t, "a>", 0, SP "a", ">");
    tok_free(t);
}

/* Random bytes and long runs come back from both vocabularies. */
static void round_trips(const struct tok *t)
{
    static char big[300000];
    struct rng r;

    rng_seed(&r, 3);
    for (int i = 0; i < 3000; i++) {
        char p[80];
        size_t n = (size_t)(rng_u64(&r) % sizeof(p));

        for (size_t k = 0; k < n; k++)
            p[k] = rng_u64(&r) % 4 ? "ab c"[rng_u64(&r) % 4] : (char)rng_u64(&r);
        expect_round_trip(t, (struct str){p, n}, 0);
    }
    for (size_t k = 0; k < 4; k++) {
        memset(big, "a \xff<"[k], sizeof(big));
        expect_round_trip(t, (struct str){big, sizeof(big)}, 0);
    }
}

static void test_round_trip(void **state)
{
    struct small s;
    struct tok *t;

    (void)state;
    small_spm(&s);
    t = small_tok(&s);
    round_trips(t);
    tok_free(t);
}

static void test_stories(void **state)
{
    struct gguf *g;
    struct tok *t;

    (void)state;
    if (access(STORIES, R_OK) != 0) {
        print_message("skipped: no " STORIES "\n");
        skip();
    }
    assert_int_equal(gguf_open(&g, STORIES, NULL), 0);
    assert_int_equal(tok_new(&t, g, NULL), 0);
    gguf_free(g);
    assert_int_equal(tok_count(t), 512);
    EXPECT(t, "Once upon a time", TOK_ADD_SPECIAL, "<s>", SP "Once", SP "upon", SP "a",
           SP "time");
    round_trips(t);
    tok_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_joins),        cmocka_unit_test(test_ties_go_left),
        cmocka_unit_test(test_over_spaces),  cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_space_prefix), cmocka_unit_test(test_scores_needed),
        cmocka_unit_test(test_more_tokens),  cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_stories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

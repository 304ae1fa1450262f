/* Answers that are held to a grammar behind their reasoning: what may come where. */
#include "small.h"

#include "base/mem.h"
#include "text/guide.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* What the tests share: a vocabulary of bytes and a few words, with markers that are tokens
 * and markers that are not, and a grammar: blanks, then "hello" or a number. */
struct rig {
    struct small small;
    struct tok *tok;
    struct mask_vocab *vocab;
    struct gram *gram;
    struct reply_style style;
    uint32_t bits[MASK_WORDS(SMALL_MAX)];
};

static void rig_open(struct rig *r, const char *open, const char *close)
{
    struct err e = {0};
    struct rx *x;
    gram_ref all[2], word[2];

    small_bpe(&r->small);
    small_add(&r->small, "<think>", TOK_USER, 0);
    small_add(&r->small, "</think>", TOK_USER, 0);
    small_add(&r->small, "k>12", TOK_NORMAL, 0);
    small_add(&r->small, "k>no", TOK_NORMAL, 0);
    r->tok = small_tok(&r->small);
    assert_int_equal(mask_vocab_new(&r->vocab, r->tok, &e), 0);
    assert_int_equal(gram_new(&r->gram, NULL, &e), 0);
    x = gram_rx(r->gram);
    all[0] = gram_text(r->gram, rx_repeat(x, rx_text(x, str_of(" ")), 0, 3));
    word[0] = gram_bytes(r->gram, str_of("hello"));
    word[1] =
        gram_text(r->gram, rx_repeat(x, rx_set(x, &(struct rx_range){'0', '9'}, 1), 1, 4));
    all[1] = gram_alt(r->gram, word, 2);
    if (gram_finish(r->gram, gram_seq(r->gram, all, 2), &e) < 0)
        fail_msg("%s", e.msg);
    r->style = (struct reply_style){0};
    (void)snprintf(r->style.think_open, REPLY_MARK_MAX, "%s", open);
    (void)snprintf(r->style.think_close, REPLY_MARK_MAX, "%s", close);
}

static void rig_close(struct rig *r)
{
    mask_vocab_free(r->vocab);
    gram_free(r->gram);
    tok_free(r->tok);
}

static struct guide *guide_make(const struct rig *r, int open, int may_think)
{
    struct guide *g = NULL;
    struct err e = {0};
    struct guide_options o = {.gram = r->gram,
                              .vocab = r->vocab,
                              .tok = r->tok,
                              .style = &r->style,
                              .open = open,
                              .may_think = may_think};

    assert_int_equal(guide_new(&g, &o, &e), 0);
    return g;
}

/* Tokens of one byte are the first 256. */
static int find(const struct rig *r, const char *token)
{
    return token[1] ? small_find(&r->small, token) : (unsigned char)*token;
}

static int may(struct rig *r, struct guide *g, const char *token)
{
    struct err e = {0};
    int id = find(r, token), rc;

    memset(r->bits, 0, sizeof(r->bits));
    rc = guide_mask(g, r->bits, &e);
    if (rc < 0)
        fail_msg("%s", e.msg);
    return rc == GUIDE_ANY || (rc == GUIDE_MASK && (r->bits[id / 32] >> (id % 32) & 1));
}

/* Takes a token that must be allowed. */
static void take(struct rig *r, struct guide *g, const char *token)
{
    struct err e = {0};

    if (!may(r, g, token))
        fail_msg("'%s' is not allowed", token);
    if (guide_accept(g, find(r, token), &e) < 0)
        fail_msg("'%s': %s", token, e.msg);
}

static void take_bytes(struct rig *r, struct guide *g, const char *text)
{
    char one[2] = {0};

    for (; *text; text++) {
        one[0] = *text;
        take(r, g, one);
    }
}

static int whole(struct rig *r, struct guide *g)
{
    struct err e = {0};

    memset(r->bits, 0, sizeof(r->bits));
    return guide_mask(g, r->bits, &e) == GUIDE_END;
}

static void test_content(void **state)
{
    static struct rig r;
    struct guide *g;

    (void)state;
    rig_open(&r, "", "");
    g = guide_make(&r, 0, 1);
    assert_true(may(&r, g, "he"));
    assert_true(may(&r, g, "7"));
    assert_false(may(&r, g, "x"));
    assert_false(may(&r, g, "<think>"));
    assert_false(may(&r, g, "<|endoftext|>"));
    take(&r, g, "hell");
    assert_false(may(&r, g, "<|endoftext|>"));
    take(&r, g, "o");
    assert_true(whole(&r, g));
    guide_free(g);
    g = guide_make(&r, 0, 1);
    take(&r, g, "4");
    assert_true(may(&r, g, "2"));
    assert_true(may(&r, g, "<|endoftext|>"));
    guide_free(g);
    rig_close(&r);
}

/* It may reason or not; as soon as the two differ the other is gone. */
static void test_front(void **state)
{
    static struct rig r;
    struct guide *g;

    (void)state;
    rig_open(&r, "<think>", "</think>");
    g = guide_make(&r, 0, 1);
    assert_true(may(&r, g, "he"));
    assert_true(may(&r, g, "<"));
    take(&r, g, "<think>");
    assert_true(may(&r, g, "x"));
    assert_false(may(&r, g, "<|endoftext|>"));
    assert_false(may(&r, g, "<|im_end|>"));
    take_bytes(&r, g, "no hello</thi </think");
    take(&r, g, "</think>");
    assert_false(may(&r, g, "x"));
    take(&r, g, "hello");
    assert_true(whole(&r, g));
    guide_free(g);

    g = guide_make(&r, 0, 1);
    take(&r, g, "hello");
    assert_true(whole(&r, g));
    guide_free(g);

    g = guide_make(&r, 0, 1); /* spelt out */
    take_bytes(&r, g, "<t");
    assert_false(may(&r, g, "7"));
    assert_false(may(&r, g, "<think>"));
    take_bytes(&r, g, "hink>x");
    take_bytes(&r, g, "</think>");
    take(&r, g, "7");
    assert_true(may(&r, g, "<|endoftext|>"));
    guide_free(g);

    g = guide_make(&r, 0, 0);
    assert_false(may(&r, g, "<think>"));
    guide_free(g);
    rig_close(&r);
}

/* A token may hold the marker's end and the content's beginning: only a right one may. */
static void test_beyond(void **state)
{
    static struct rig r;
    struct guide *g;

    (void)state;
    rig_open(&r, "<think>", "</think>");
    g = guide_make(&r, 1, 1);
    take_bytes(&r, g, "k>no");
    assert_true(may(&r, g, "k>no"));
    take_bytes(&r, g, "</thin");
    assert_false(may(&r, g, "k>no"));
    assert_true(may(&r, g, "k>12"));
    assert_true(may(&r, g, "z"));
    take(&r, g, "k>12");
    assert_false(may(&r, g, " "));
    take_bytes(&r, g, "34");
    assert_true(whole(&r, g));
    guide_free(g);
    rig_close(&r);
}

/* A marker may begin again inside itself. */
static void test_overlap(void **state)
{
    static struct rig r;
    struct guide *g;

    (void)state;
    rig_open(&r, "<u>", "aab");
    g = guide_make(&r, 1, 0);
    take_bytes(&r, g, "abaaab");
    assert_false(may(&r, g, "a"));
    take(&r, g, "1");
    assert_true(may(&r, g, "<|endoftext|>"));
    guide_free(g);
    rig_close(&r);
}

/* How many tokens are allowed; -1: any. */
static int count_allowed(struct rig *r, struct guide *g)
{
    struct err e = {0};
    int n = 0;

    memset(r->bits, 0, sizeof(r->bits));
    if (guide_mask(g, r->bits, &e) == GUIDE_ANY)
        return -1;
    for (size_t i = 0; i < sizeof(r->bits) / sizeof(r->bits[0]); i++)
        n += __builtin_popcount(r->bits[i]);
    return n;
}

static struct guide *guide_limited(const struct rig *r, struct gram *gram, int open, int budget)
{
    struct guide *g = NULL;
    struct err e = {0};
    struct guide_options o = {.gram = gram,
                              .vocab = gram ? r->vocab : NULL,
                              .tok = r->tok,
                              .style = &r->style,
                              .open = open,
                              .may_think = 1,
                              .limited = 1,
                              .budget = budget};

    assert_int_equal(guide_new(&g, &o, &e), 0);
    return g;
}

/* Reasoning of so many tokens is closed; what comes before and behind it is free. */
static void test_budget(void **state)
{
    static struct rig r;
    struct guide *g;
    struct err e = {0};
    int32_t ids[8];

    (void)state;
    rig_open(&r, "<think>", "</think>");
    g = guide_limited(&r, NULL, 0, 3);
    assert_int_equal(count_allowed(&r, g), -1);
    take_bytes(&r, g, "x");
    take(&r, g, "<think>");
    take_bytes(&r, g, "abc");
    assert_int_equal(count_allowed(&r, g), 1);
    assert_int_equal(guide_forced(g, ids, 8, &e), 1);
    assert_int_equal(ids[0], find(&r, "</think>"));
    take(&r, g, "</think>");
    assert_int_equal(count_allowed(&r, g), -1);
    assert_int_equal(guide_forced(g, ids, 8, &e), 0);
    take_bytes(&r, g, "and so on");
    /* What is used up stays so. */
    take(&r, g, "<think>");
    assert_int_equal(count_allowed(&r, g), 1);
    take(&r, g, "</think>");
    assert_int_equal(count_allowed(&r, g), -1);
    guide_free(g);
    /* A model that closes it before is left alone; none at all is none. */
    g = guide_limited(&r, NULL, 1, 3);
    take(&r, g, "a");
    take(&r, g, "</think>");
    take_bytes(&r, g, "many words");
    assert_int_equal(count_allowed(&r, g), -1);
    guide_free(g);
    g = guide_limited(&r, NULL, 1, 0);
    assert_false(may(&r, g, "a"));
    take(&r, g, "</think>");
    assert_int_equal(count_allowed(&r, g), -1);
    guide_free(g);
    /* With a grammar behind it. */
    g = guide_limited(&r, r.gram, 1, 2);
    take_bytes(&r, g, "a<");
    assert_int_equal(count_allowed(&r, g), 1);
    take(&r, g, "</think>");
    assert_false(may(&r, g, "x"));
    take(&r, g, "hello");
    assert_true(whole(&r, g));
    guide_free(g);
    rig_close(&r);
    /* A marker of several tokens. */
    rig_open(&r, "<u>", "aab");
    g = guide_limited(&r, NULL, 1, 1);
    take_bytes(&r, g, "x");
    assert_int_equal(guide_forced(g, ids, 2, &e), 2);
    take_bytes(&r, g, "aa");
    assert_int_equal(count_allowed(&r, g), 1);
    take(&r, g, "b");
    assert_int_equal(count_allowed(&r, g), -1);
    guide_free(g);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content), cmocka_unit_test(test_front),
        cmocka_unit_test(test_beyond),  cmocka_unit_test(test_overlap),
        cmocka_unit_test(test_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

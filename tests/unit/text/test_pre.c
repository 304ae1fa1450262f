/* Pre-tokenizers: words of hand-worked texts; whatever the text, its words are the text. */
#include "text/pre.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

/* In each case the words are separated by '|'; the text is the same without them. */
struct words_case {
    const char *pre, *words;
};

/* clang-format off */
static const struct words_case cases[] = {
    {"gpt-2", "Hello| world|!"},
    {"gpt-2", "it|'s| I|'d| WE|'|RE"},
    {"gpt-2", "a|  | b|    \t|\n|c|  "},
    {"gpt-2", "x|123456| 789|abc"},
    {"gpt-2", "...|\n|\n|???"},
    {"gpt-2", "a|\xc2\xa0|b|\xe3\x80\x80|c|\xc2\x85|d"},
    {"gpt-2", "e|\xcc\x81|e"},                  /* a combining mark is no letter */
    {"gpt-2", "\xff\xfe| \xff|a"},
    {"llama-bpe", "Hello| world|!\n|.a"},
    {"llama-bpe", "it|'s| WE|'RE|'x"},
    {"llama-bpe", "123|456|7| |123| abc"},
    {"llama-bpe", "a| \n  \n|  | b"},
    {"llama-bpe", "\n\n|\ta|\t|1|(b|\"|1|)\r\n\r\n|x"},
    {"llama-bpe", "\xd9\xa1\xd9\xa2\xd9\xa3|\xd9\xa4"},
    {"llama-bpe", "a|   "},
    {"dbrx", "123|45"},
    {"qwen2", "1|2|3| |4|a|\xe2\x91\xa0"},
    {"qwen35", "e\xcc\x81" "e|1|\xcc\x81"},
    {"gpt-4o", "camel|Case|ABC|123|4"},
    {"gpt-4o", "HTTPServer's|?//\n"},
    {"tekken", "it|'s|1|2"},
    {"deepseek-v3", "123|4|\xe6\xbc\xa2|x|.ab|,| \xcc\x81|\x01\x02"},
    {"deepseek-llm", "a|\n|\r| b|!|A|  "},
    {"deepseek-coder", "ab|\n| c|,|\xe6\xbc\xa2|1|2"},
    {"starcoder", "a| |1|2| b|3"},
    {"falcon", "a|!?|b| |+|123|456|789|0"},
    {"falcon", "``|a"},
    {"default", "a|!?| |123|4| b"},
};
/* clang-format on */

static void check(const struct words_case *c)
{
    char text[256], got[512] = "";
    size_t n = 0, n_got = 0;
    struct pre_iter it;
    struct str word;

    for (const char *p = c->words; *p; p++) {
        if (*p != '|')
            text[n++] = *p;
    }
    assert_non_null(pre_find(str_of(c->pre)));
    pre_iter_init(&it, pre_find(str_of(c->pre)), (struct str){text, n});
    while (pre_iter_next(&it, &word)) {
        if (n_got)
            got[n_got++] = '|';
        memcpy(got + n_got, word.p, word.n);
        n_got += word.n;
    }
    got[n_got] = '\0';
    if (strcmp(got, c->words) != 0)
        fail_msg("%s: got \"%s\", not \"%s\"", c->pre, got, c->words);
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        check(&cases[i]);
}

static void test_table(void **state)
{
    int n = 0;

    (void)state;
    for (; pre_at(n); n++) {
        assert_ptr_equal(pre_find(str_of(pre_at(n)->name)), pre_at(n));
        assert_non_null(pre_at(n)->stage[0]);
    }
    assert_true(n > 20);
    assert_null(pre_at(-1));
    assert_null(pre_find(str_of("no-such")));
    assert_null(pre_find((struct str){"gpt-22", 4}));
    assert_int_equal(pre_find(str_of("llama3"))->flags, PRE_WHOLE | PRE_BOS | PRE_TIDY);
    assert_int_equal(pre_find(str_of("glm4"))->flags, PRE_TIDY);
    assert_true(pre_find(str_of("pixtral"))->flags & PRE_BOS);
}

/* Covers the text exactly, words never empty. Anything worse than linear would not end. */
static void cover(const struct pre *pre, const char *p, size_t n)
{
    struct pre_iter it;
    struct str word;
    size_t at = 0;

    pre_iter_init(&it, pre, (struct str){p, n});
    while (pre_iter_next(&it, &word)) {
        assert_ptr_equal(word.p, p + at);
        assert_true(word.n > 0);
        at += word.n;
    }
    assert_int_equal(at, n);
}

static void test_long_runs(void **state)
{
    static const char *const unit[] = {"a",   "1",    " ",        "\n",
                                       ".",   "'",    " a",       "\n ",
                                       " \n", "\xff", "\xe2\x80", "\xf0\x9f\xa6\x99"};
    enum { N = 1 << 20 };
    char *p = malloc(N);

    (void)state;
    assert_non_null(p);
    for (size_t k = 0; k < sizeof(unit) / sizeof(*unit); k++) {
        for (size_t i = 0; i < N; i++)
            p[i] = unit[k][i % strlen(unit[k])];
        for (int i = 0; pre_at(i); i++) {
            /* Rows of the same stages need no second run. */
            if (i == 0 ||
                memcmp(pre_at(i)->stage, pre_at(i - 1)->stage, sizeof(pre_at(i)->stage)) != 0)
                cover(pre_at(i), p, N);
        }
    }
    free(p);
}

static void test_random_bytes(void **state)
{
    static const char bytes[] = "aZ09 \t\r\n'sll.,$`\xc3\xa9\xe2\x80\xa8\xf0\x9f\xff";
    uint32_t x = 1, n_pre = 0;
    char p[64];

    (void)state;
    while (pre_at((int)n_pre))
        n_pre++;
    for (int round = 0; round < 20000; round++) {
        size_t n = (x >> 16) % sizeof(p);

        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            p[i] = bytes[(x >> 16) % (sizeof(bytes) - 1)];
        }
        x = x * 1664525 + 1013904223;
        cover(pre_at((int)((x >> 8) % n_pre)), p, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_long_runs),
        cmocka_unit_test(test_random_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Random grammars against sets of words: every word of two letters up to length 6. */
#include "text/gram/gram.h"

#include "base/rng.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

enum { LONGEST = 6, WORDS = (2 << LONGEST) - 1, NODES = 14, GRAMMARS = 6000 };

/* A word is a number: a 1, then its letters as bits. Word 1 is the empty one. */
struct language {
    unsigned char in[WORDS + 1];
};

static int length_of(int w)
{
    return 31 - __builtin_clz((unsigned)w);
}

static struct language lang_seq(const struct language *a, const struct language *b)
{
    struct language r = {{0}};

    for (int v = 1; v <= WORDS; v++) {
        for (int w = 1; a->in[v] && w <= WORDS; w++) {
            if (b->in[w] && length_of(v) + length_of(w) <= LONGEST)
                r.in[v << length_of(w) | (w ^ 1 << length_of(w))] = 1;
        }
    }
    return r;
}

static struct language lang_alt(const struct language *a, const struct language *b)
{
    struct language r;

    for (int w = 0; w <= WORDS; w++)
        r.in[w] = a->in[w] | b->in[w];
    return r;
}

static struct language lang_word(const char *s, size_t n)
{
    struct language r = {{0}};
    int w = 1;

    for (size_t i = 0; i < n; i++)
        w = w << 1 | (s[i] == 'b');
    r.in[w] = 1;
    return r;
}

static struct language lang_repeat(const struct language *a, uint64_t min, uint64_t max)
{
    struct language power = lang_word("", 0), r = {{0}};

    /* Longer than any word: rounds without a letter add nothing. */
    for (uint64_t i = 0; i <= max && i <= min + LONGEST; i++) {
        if (i >= min)
            r = lang_alt(&r, &power);
        power = lang_seq(&power, a);
    }
    return r;
}

/* Any text up to and without `end`, then end. */
static struct language lang_until(const char *end)
{
    struct language r = {{0}};
    char s[LONGEST + 1];

    for (int w = 1; w <= WORDS; w++) {
        int n = length_of(w);
        const char *at;

        for (int i = 0; i < n; i++)
            s[i] = w >> (n - 1 - i) & 1 ? 'b' : 'a';
        s[n] = '\0';
        at = strstr(s, end);
        r.in[w] = at && at[strlen(end)] == '\0';
    }
    return r;
}

/* -- random grammars ------------------------------------------------------------------ */

enum kind { WORD, CLASS, UNTIL, SEQ, ALT, REPEAT, LIST, RULE, KINDS };

struct node {
    int kind, a, b, c; /* parts: nodes before it, of a rule any node */
    uint64_t min, max;
    char text[3];
    gram_ref ref;
    struct language lang;
};

static struct rng rng;

/* 1: letters are bytes that are no UTF-8, so that nothing is regular to the grammar. */
static int raw;

static char letter(int b)
{
    return (char)(raw ? 0xFE + b : 'a' + b);
}

static int below(int n)
{
    return (int)(rng_u64(&rng) % (uint64_t)n);
}

static void random_node(struct node *n, int i)
{
    static const uint64_t most[] = {0, 1, 2, 3, 1000000000, GRAM_INF};

    *n = (struct node){.kind = i < 3 ? below(3) : below(KINDS)};
    if (raw && n->kind < SEQ)
        n->kind = WORD;
    n->a = i ? below(i) : 0;
    n->b = i ? below(i) : 0;
    n->c = i ? below(i) : 0;
    if (n->kind == RULE)
        n->a = below(NODES);
    n->min = (uint64_t)below(3);
    n->max = most[below(6)];
    for (int k = 0; k < 1 + below(2); k++)
        n->text[k] = (char)('a' + below(2));
}

static gram_ref build(struct gram *g, const struct node *all, const struct node *n)
{
    struct rx *r = gram_rx(g);
    gram_ref part[3] = {all[n->a].ref, all[n->b].ref, all[n->c].ref};
    struct rx_range range = {'a', 'b'};
    char text[2];

    switch (n->kind) {
    case WORD:
        for (size_t i = 0; i < 2 && n->text[i]; i++)
            text[i] = letter(n->text[i] == 'b');
        return gram_bytes(g, (struct str){text, n->min ? strlen(n->text) : 0});
    case CLASS:
        return gram_text(g, n->min ? rx_set(r, &range, 1)
                                   : rx_repeat(r, rx_text(r, str_of(n->text)), 0, 2));
    case UNTIL:
        return gram_until(g, str_of(n->text));
    case SEQ:
        return gram_seq(g, part, 3);
    case ALT:
        return gram_alt(g, part, n->min ? 3 : 2);
    case REPEAT:
        return gram_repeat(g, part[0], n->min, n->max);
    case LIST:
        return gram_list(g, part[0], part[1], n->min, n->max);
    default:
        return gram_rule(g);
    }
}

static struct language meaning(const struct node *all, const struct node *n)
{
    const struct language *a = &all[n->a].lang, *b = &all[n->b].lang, *c = &all[n->c].lang;
    struct language r = {{0}}, t;

    switch (n->kind) {
    case WORD:
        return lang_word(n->text, n->min ? strlen(n->text) : 0);
    case CLASS:
        t = lang_word(n->text, strlen(n->text));
        if (!n->min)
            return lang_repeat(&t, 0, 2);
        r = lang_word("a", 1);
        t = lang_word("b", 1);
        return lang_alt(&r, &t);
    case UNTIL:
        return lang_until(n->text);
    case SEQ:
        t = lang_seq(a, b);
        return lang_seq(&t, c);
    case ALT:
        t = lang_alt(a, b);
        return n->min ? lang_alt(&t, c) : t;
    case REPEAT:
        return n->min <= n->max ? lang_repeat(a, n->min, n->max) : r;
    case LIST:
        if (n->min > n->max)
            return r;
        if (n->max == 0)
            return lang_word("", 0);
        t = lang_seq(b, a);
        t = lang_repeat(&t, n->min ? n->min - 1 : 0,
                        n->max == GRAM_INF ? GRAM_INF : n->max - 1);
        t = lang_seq(a, &t);
        r = lang_word("", 0);
        return n->min ? t : lang_alt(&t, &r);
    default:
        return *a;
    }
}

static void find_languages(struct node *all)
{
    int changed = 1;

    while (changed) {
        changed = 0;
        for (int i = 0; i < NODES; i++) {
            struct language l = meaning(all, &all[i]);

            changed |= memcmp(&l, &all[i].lang, sizeof(l)) != 0;
            all[i].lang = l;
        }
    }
}

/* -- comparing ------------------------------------------------------------------------ */

/* 1: from s some text can be finished; looks at many states at most. */
static int finishes(struct gram *g, gram_state s)
{
    enum { MANY = 4000 };
    static gram_state todo[MANY];
    int n = 0;

    todo[n++] = s;
    for (int i = 0; i < n; i++) {
        if (gram_may_end(g, todo[i]))
            return 1;
        for (int c = 0; c < 2; c++) {
            char ch = letter(c);
            gram_state to;
            int known = 0;

            assert_int_equal(gram_put(g, todo[i], &ch, 1, &to, NULL, NULL), 0);
            for (int k = 0; k < n; k++)
                known |= todo[k] == to;
            if (to && !known && n < MANY)
                todo[n++] = to;
        }
    }
    return n == MANY; /* not known */
}

/* 1: a word of the language begins as w. */
static int begins(const struct language *l, int w)
{
    for (int v = w; v <= WORDS; v++) {
        if (l->in[v] && v >> (length_of(v) - length_of(w)) == w)
            return 1;
    }
    return 0;
}

static void compare(struct gram *g, const struct language *l)
{
    for (int w = 1; w <= WORDS; w++) {
        char s[LONGEST + 1];
        gram_state to;
        size_t ok;
        int n = length_of(w);

        for (int i = 0; i < n; i++)
            s[i] = letter(w >> (n - 1 - i) & 1);
        assert_int_equal(gram_put(g, gram_start(g), s, (size_t)n, &to, &ok, NULL), 0);
        assert_int_equal(gram_may_end(g, to), l->in[w]);
        assert_int_equal(to != 0, ok == (size_t)n);
        if (begins(l, w))
            assert_true(to);
        if (to && n <= 3)
            assert_true(finishes(g, to));
    }
}

static void random_grammars(uint64_t seed)
{
    int n_done = 0, n_recursive = 0, n_empty = 0;

    rng_seed(&rng, seed);
    for (int i = 0; i < GRAMMARS; i++) {
        struct node all[NODES];
        struct gram *g;
        struct err e = {0};
        int rc;

        assert_int_equal(gram_new(&g, NULL, NULL), 0);
        for (int k = 0; k < NODES; k++) {
            random_node(&all[k], k);
            all[k].ref = build(g, all, &all[k]);
        }
        for (int k = 0; k < NODES; k++) {
            if (all[k].kind == RULE)
                gram_rule_set(g, all[k].ref, all[all[k].a].ref);
        }
        find_languages(all);
        rc = gram_finish(g, all[NODES - 1].ref, &e);
        if (rc == 0) {
            compare(g, &all[NODES - 1].lang);
            n_done++;
        } else {
            assert_int_equal(rc, E_INVALID);
            n_recursive += strstr(e.msg, "begins with itself") != NULL;
            if (strstr(e.msg, "no text")) {
                n_empty++;
                assert_false(begins(&all[NODES - 1].lang, 1));
            }
        }
        gram_free(g);
    }
    print_message("%d grammars, %d recursive, %d empty\n", n_done, n_recursive, n_empty);
    assert_true(n_done > GRAMMARS / 2);
    assert_int_equal(n_done + n_recursive + n_empty, GRAMMARS);
}

static void test_random(void **state)
{
    (void)state;
    random_grammars(11);
}

static void test_not_regular(void **state)
{
    (void)state;
    raw = 1;
    random_grammars(12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_not_regular)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

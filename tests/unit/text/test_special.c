/* Special tokens against the rule done the slow way: each token in turn, the longest first,
 * takes all places that are free, from left to right. */
#include "small.h"

#include "base/mem.h"
#include "base/rng.h"
#include "text/special.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { TEXT_MAX = 80, PARTS_MAX = 2 * TEXT_MAX + 2 };

/* A token, or (id -1) ordinary text. */
struct part {
    int32_t id;
    struct str text;
};

struct parts {
    struct part part[PARTS_MAX];
    size_t n;
    int fail_after; /* parts; 0: never */
};

static int put(struct parts *x, struct part p)
{
    if (x->fail_after && --x->fail_after == 0)
        return E_TOO_LONG;
    assert_true(x->n < PARTS_MAX);
    x->part[x->n++] = p;
    return 0;
}

static int put_text(void *ctx, struct str text)
{
    assert_true(text.n > 0);
    return put(ctx, (struct part){-1, text});
}

static int put_token(void *ctx, int32_t id)
{
    return put(ctx, (struct part){id, {NULL, 0}});
}

static void vocab_of(struct vocab *v, const struct small *s)
{
    static const struct vocab_defaults none = {-1, -1, -1, -1, -1, -1};
    struct gguf *g = small_open(s);

    assert_int_equal(vocab_init(v, g, &none, NULL), 0);
    gguf_free(g);
}

/* -- the rule ---------------------------------------------------------------------------- */

static void slow(const struct vocab *v, struct str text, int control, struct parts *out)
{
    int32_t owner[TEXT_MAX]; /* of each byte: -1 free, -2 inside, else a token begins */
    size_t longest = 0;

    for (size_t i = 0; i < text.n; i++)
        owner[i] = -1;
    for (int i = 0; i < v->n; i++)
        longest = v->text[i].n > longest ? v->text[i].n : longest;
    for (size_t len = longest; len > 0; len--) {
        for (int id = 0; id < v->n; id++) {
            if (v->text[id].n != len || v->type[id] == TOK_NORMAL || v->type[id] > TOK_USER ||
                (!control && v->type[id] != TOK_USER))
                continue;
            for (size_t at = 0; at + len <= text.n; at++) {
                size_t k = 0;

                while (k < len && owner[at + k] == -1 && text.p[at + k] == v->text[id].p[k])
                    k++;
                if (k < len)
                    continue;
                for (k = 0; k < len; k++)
                    owner[at + k] = k ? -2 : id;
            }
        }
    }
    for (size_t at = 0, end; at < text.n; at = end) {
        end = at + 1;
        if (owner[at] >= 0) {
            end = at + v->text[owner[at]].n;
            put_token(out, owner[at]);
            continue;
        }
        while (end < text.n && owner[end] == -1)
            end++;
        put_text(out, (struct str){text.p + at, end - at});
    }
}

static void compare(const struct special *s, const struct vocab *v, struct str text,
                    int control)
{
    struct parts want = {.n = 0}, got = {.n = 0};
    struct special_sink sink = {put_text, put_token, &got};

    assert_int_equal(special_split(s, text, control, NULL, &sink), 0);
    slow(v, text, control, &want);
    if (got.n != want.n)
        fail_msg("\"%.*s\": %zu parts, not %zu", (int)text.n, text.p, got.n, want.n);
    for (size_t i = 0; i < want.n; i++) {
        if (got.part[i].id != want.part[i].id || got.part[i].text.p != want.part[i].text.p ||
            got.part[i].text.n != want.part[i].text.n)
            fail_msg("\"%.*s\": part %zu is %d, not %d", (int)text.n, text.p, i,
                     (int)got.part[i].id, (int)want.part[i].id);
    }
}

static void test_random(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 2);
    for (int round = 0; round < 150; round++) {
        struct small s = {.kind = "llama"};
        char name[100][8];
        struct special sp;
        struct vocab v;
        int n = 1 + (int)(rng_u64(&r) % 99);

        for (int i = 0; i < n; i++) {
            int len = 1 + (int)(rng_u64(&r) % 6);

            for (int k = 0; k < len; k++)
                name[i][k] = "aab"[rng_u64(&r) % 3];
            name[i][len] = '\0';
            small_add(&s, name[i], 1 + (int)(rng_u64(&r) % 4), 0);
        }
        vocab_of(&v, &s);
        assert_int_equal(special_init(&sp, &v), 0);
        for (int k = 0; k < 200; k++) {
            char text[TEXT_MAX];
            size_t len = (size_t)(rng_u64(&r) % TEXT_MAX);

            for (size_t i = 0; i < len; i++)
                text[i] = "aaabbc"[rng_u64(&r) % 6];
            compare(&sp, &v, (struct str){text, len}, k % 2);
        }
        special_done(&sp);
        vocab_done(&v);
    }
}

/* -- by hand ------------------------------------------------------------------------------ */

static void test_longest_first(void **state)
{
    struct small s = {.kind = "llama"};
    struct parts got = {.n = 0};
    struct special_sink sink = {put_text, put_token, &got};
    struct special sp;
    struct vocab v;

    (void)state;
    small_add(&s, "xab", TOK_CONTROL, 0);
    small_add(&s, "abcd", TOK_CONTROL, 0);
    small_add(&s, "", TOK_CONTROL, 0);
    vocab_of(&v, &s);
    assert_int_equal(special_init(&sp, &v), 0);
    assert_int_equal(special_split(&sp, str_of("xabcd"), 1, NULL, &sink), 0);
    assert_int_equal(got.n, 2);
    assert_true(str_is(got.part[0].text, "x"));
    assert_int_equal(got.part[1].id, 1);
    got.n = 0;
    assert_int_equal(special_split(&sp, str_of("xabcd"), 0, NULL, &sink), 0);
    assert_int_equal(got.n, 1);
    special_done(&sp);
    vocab_done(&v);
}

static void test_failures(void **state)
{
    struct small s = {.kind = "llama"};
    struct special sp;
    struct vocab v;
    uint64_t nth = 1;

    (void)state;
    small_add(&s, "aa", TOK_CONTROL, 0);
    small_add(&s, "aaa", TOK_CONTROL, 0);
    vocab_of(&v, &s);
    for (;; nth++) {
        int rc;

        mem_fail_at(nth, 0);
        rc = special_init(&sp, &v);
        if (rc == 0) {
            struct parts got = {.n = 0};
            struct special_sink sink = {put_text, put_token, &got};

            rc = special_split(&sp, str_of("aaaaaaab"), 1, NULL, &sink);
            special_done(&sp);
        }
        if (mem_fail_at(0, 0) < nth)
            break;
        assert_int_equal(rc, E_NOMEM);
    }
    assert_true(nth > 5);
    assert_int_equal(special_init(&sp, &v), 0);
    for (int at = 1; at <= 4; at++) {
        struct parts got = {.fail_after = at};
        struct special_sink sink = {put_text, put_token, &got};

        assert_int_equal(special_split(&sp, str_of("baaaaaxaa"), 1, NULL, &sink), E_TOO_LONG);
        assert_int_equal(got.n, at - 1);
    }
    special_done(&sp);
    vocab_done(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_longest_first),
        cmocka_unit_test(test_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

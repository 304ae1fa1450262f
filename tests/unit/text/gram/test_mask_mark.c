/* Control tokens under a grammar: only where a literal has their text. */
#include "../small.h"

#include "text/gram/mask.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

struct rig {
    struct small small;
    struct tok *tok;
    struct mask_vocab *vocab;
    struct gram *gram;
    struct mask *mask;
    uint32_t bits[MASK_WORDS(SMALL_MAX)];
};

/* Text without "<call>"; or <call>"a string"</call> or <call><mid>. */
static void rig_open(struct rig *r)
{
    struct err e = {0};
    struct rx *x;
    rx_id any, mark;
    gram_ref way[3], call[3], mid[2];

    small_bpe(&r->small);
    small_add(&r->small, "<call>", TOK_CONTROL, 0);
    small_add(&r->small, "</call>", TOK_CONTROL, 0);
    small_add(&r->small, "<mid>", TOK_CONTROL, 0);
    small_add(&r->small, "<other>", TOK_CONTROL, 0);
    r->tok = small_tok(&r->small);
    assert_int_equal(mask_vocab_new(&r->vocab, r->tok, &e), 0);
    assert_int_equal(gram_new(&r->gram, NULL, &e), 0);
    x = gram_rx(r->gram);
    any = rx_repeat(x, rx_any(x), 0, RX_INF);
    mark = rx_text(x, str_of("<call>"));
    way[0] = gram_text(r->gram, rx_not(x, rx_seq(x, any, rx_seq(x, mark, any))));
    call[0] = gram_bytes(r->gram, str_of("<call>"));
    call[1] = gram_json_string(r->gram, any, 0);
    call[2] = gram_bytes(r->gram, str_of("</call>"));
    way[1] = gram_seq(r->gram, call, 3);
    mid[0] = call[0];
    mid[1] = gram_bytes(r->gram, str_of("<mid>"));
    way[2] = gram_seq(r->gram, mid, 2);
    if (gram_finish(r->gram, gram_alt(r->gram, way, 3), &e) < 0 ||
        mask_new(&r->mask, r->gram, r->vocab, &e) < 0)
        fail_msg("%s", e.msg);
}

static void rig_close(struct rig *r)
{
    mask_free(r->mask);
    mask_vocab_free(r->vocab);
    gram_free(r->gram);
    tok_free(r->tok);
}

static int id_of(const struct rig *r, const char *token)
{
    return token[1] ? small_find(&r->small, token) : (unsigned char)*token;
}

static int may(struct rig *r, const char *token)
{
    struct err e = {0};
    int id = id_of(r, token), rc = mask_fill(r->mask, r->bits, &e), allowed;

    if (rc < 0)
        fail_msg("%s", e.msg);
    allowed = (int)(r->bits[id / 32] >> (id % 32) & 1);
    if (!allowed)
        assert_int_equal(mask_accept(r->mask, id, &e), E_INVALID);
    return allowed;
}

static void take(struct rig *r, const char *token)
{
    struct err e = {0};

    assert_true(may(r, token));
    assert_int_equal(mask_accept(r->mask, id_of(r, token), &e), 0);
}

static void test_marks(void **state)
{
    static struct rig r;
    int32_t ids[8];
    struct err e = {0};

    (void)state;
    rig_open(&r);
    assert_true(may(&r, "<call>"));
    assert_false(may(&r, "</call>"));
    assert_false(may(&r, "<mid>"));
    assert_false(may(&r, "<other>"));
    assert_true(may(&r, "x"));
    take(&r, "<call>");
    assert_false(may(&r, "<call>"));
    assert_true(may(&r, "<mid>"));
    assert_false(may(&r, "x"));
    take(&r, "\"");
    take(&r, "x");
    assert_false(may(&r, "<call>")); /* no text holds one */
    assert_false(may(&r, "<other>"));
    take(&r, "<"); /* but it may be spelt in a string */
    take(&r, "\"");
    assert_int_equal(mask_forced(r.mask, ids, 8, &e), 1);
    assert_int_equal(ids[0], small_find(&r.small, "</call>"));
    take(&r, "</call>");
    assert_true(gram_must_end(r.gram, mask_state(r.mask)));

    mask_reset(r.mask, gram_start(r.gram));
    take(&r, "x");
    assert_false(may(&r, "<call>")); /* behind text there are no calls in this grammar */
    mask_reset(r.mask, gram_start(r.gram));
    take(&r, "<");
    take(&r, "c");
    assert_false(may(&r, "<call>"));
    rig_close(&r);
}

/* A string that must be there may have the letters of a mark, in its value and as a name. */
static void test_marks_in_strings(void **state)
{
    static const char want[] = "\"a<call>b\"";
    static struct rig r;
    struct gram *g;
    struct mask *m;
    struct err e = {0};
    size_t at = 0;

    (void)state;
    rig_open(&r);
    assert_int_equal(gram_new(&g, NULL, &e), 0);
    assert_int_equal(
        gram_finish(g, gram_json_string(g, rx_text(gram_rx(g), str_of("a<call>b")), 1), &e), 0);
    assert_int_equal(mask_new(&m, g, r.vocab, &e), 0);
    while (!gram_must_end(g, mask_state(m))) {
        int32_t ids[4];
        int n = mask_forced(m, ids, 4, &e);

        assert_true(n >= 0);
        if (n == 0) { /* what is allowed then */
            assert_int_equal(mask_fill(m, r.bits, &e), 1);
            for (ids[0] = 0; !(r.bits[ids[0] / 32] >> (ids[0] % 32) & 1);)
                ids[0]++;
            n = 1;
        }
        for (int i = 0; i < n; i++) {
            struct str s = tok_piece(r.tok, ids[i], 0);

            assert_int_equal(mask_accept(m, ids[i], &e), 0);
            assert_true(s.n && s.n < sizeof(want) - at);
            assert_memory_equal(s.p, want + at, s.n);
            at += s.n;
        }
    }
    assert_int_equal(at, sizeof(want) - 1);
    mask_free(m);
    gram_free(g);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_marks),
                                       cmocka_unit_test(test_marks_in_strings)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* encode.h - encoding and decoding in one line each, for tests. */
#ifndef HEARTH_TESTS_TEXT_ENCODE_H
#define HEARTH_TESTS_TEXT_ENCODE_H

#include "text/tok.h"

/* The text's tokens must have these texts, in order; NULL ends them. */
static inline void expect_tokens(const struct tok *t, struct str text, int flags,
                                 const char *const *want)
{
    struct tok_ids ids = {0};
    size_t i = 0;

    assert_int_equal(tok_encode(t, text.p, text.n, flags, &ids, NULL), 0);
    for (; want[i]; i++) {
        if (i == ids.n)
            fail_msg("\"%.*s\": no token after %zu, \"%s\" is missing", (int)text.n, text.p, i,
                     want[i]);
        if (!str_is(tok_text(t, ids.id[i]), want[i]))
            fail_msg("\"%.*s\": token %zu is \"%.*s\", not \"%s\"", (int)text.n, text.p, i,
                     (int)tok_text(t, ids.id[i]).n, tok_text(t, ids.id[i]).p, want[i]);
    }
    assert_int_equal(ids.n, i);
    tok_ids_done(&ids);
}

#define EXPECT(t, text, flags, ...)                                                            \
    expect_tokens(t, str_of(text), flags, (const char *const[]){__VA_ARGS__, NULL})

/* What comes out of a stream of these ids, at the start of a text. */
static inline void decode(const struct tok *t, const struct tok_ids *ids, struct buf *out)
{
    struct tok_stream s;

    tok_stream_init(&s, t, 1, 1);
    for (size_t i = 0; i < ids->n; i++)
        assert_int_equal(tok_stream_put(&s, ids->id[i], out), 0);
    assert_int_equal(tok_stream_end(&s, out), 0);
}

/* The text comes back from its tokens. */
static inline void expect_round_trip(const struct tok *t, struct str text, int flags)
{
    struct tok_ids ids = {0};
    struct buf out;

    buf_init(&out, (size_t)1 << 30);
    assert_int_equal(tok_encode(t, text.p, text.n, flags, &ids, NULL), 0);
    decode(t, &ids, &out);
    assert_int_equal(out.n, text.n);
    assert_true(text.n == 0 || memcmp(out.p, text.p, text.n) == 0);
    tok_ids_done(&ids);
    buf_done(&out);
}

#endif

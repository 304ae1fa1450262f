#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/lines.h"

#include <stdio.h>

/* Events as "name=data|". */
static int note(void *ctx, struct str event, struct str data)
{
    struct buf *out = ctx;

    assert_int_equal(buf_put(out, event.p, event.n), 0);
    assert_int_equal(buf_byte(out, '='), 0);
    assert_int_equal(buf_put(out, data.p, data.n), 0);
    assert_int_equal(buf_byte(out, '|'), 0);
    return str_is(data, "stop") ? 1 : str_is(data, "fail") ? E_FORMAT : 0;
}

/* Feeds the first `cut` bytes, then `piece` at a time. */
static int feed(int kind, size_t max, struct str text, size_t cut, size_t piece,
                struct buf *out, struct err *e)
{
    struct lines l;
    int rc;

    buf_clear(out);
    lines_init(&l, kind, max, note, out);
    rc = lines_put(&l, text.p, cut, e);
    for (size_t at = cut; at < text.n && rc == 0; at += piece)
        rc = lines_put(&l, text.p + at, piece < text.n - at ? piece : text.n - at, e);
    if (rc == 0)
        rc = lines_end(&l, e);
    lines_done(&l);
    return rc;
}

/* At every cut into two, and byte for byte. */
static void check(int kind, size_t max, struct str text, const char *want, int want_rc)
{
    struct buf out;
    struct err e = {0};

    buf_init(&out, 1 << 16);
    for (size_t cut = 0; cut <= text.n; cut++) {
        assert_int_equal(feed(kind, max, text, cut, text.n, &out, &e), want_rc);
        assert_string_equal(out.n ? out.p : "", want);
    }
    assert_int_equal(feed(kind, max, text, 0, 1, &out, &e), want_rc);
    assert_string_equal(out.n ? out.p : "", want);
    buf_done(&out);
}

static void test_ndjson(void **state)
{
    (void)state;
    check(LINES_NDJSON, 100, str_of("{\"a\":1}\n\n{\"b\":\"\xe2\x82\xac\"}\r\nlast"),
          "={\"a\":1}|={\"b\":\"\xe2\x82\xac\"}|=last|", 0);
    check(LINES_NDJSON, 100, str_of("\xef\xbb\xbfone\n\xef\xbb\xbftwo\n"),
          "=one|=\xef\xbb\xbftwo|", 0);
    check(LINES_NDJSON, 100, str_of("a\rb\n"), "=a\rb|", 0);
    check(LINES_NDJSON, 100, str_of(""), "", 0);
}

static void test_sse(void **state)
{
    static const char *const end[] = {"\n", "\r\n", "\r"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        char text[512];
        int n =
            snprintf(text, sizeof(text),
                     "\xef\xbb\xbf: hello%s%sevent: delta%sdata: {\"x\":1}%sid: 7%sretry: 5%s%s"
                     "data:one%sdata:  two%s%sdata%s%sevent: none%s%sdata: \xe2\x82\xac%s%s"
                     "data: lost%s",
                     end[i], end[i], end[i], end[i], end[i], end[i], end[i], end[i], end[i],
                     end[i], end[i], end[i], end[i], end[i], end[i], end[i], end[i]);

        assert_true(n > 0 && (size_t)n < sizeof(text));
        check(LINES_SSE, 100, (struct str){text, (size_t)n},
              "delta={\"x\":1}|=one\n two|=|=\xe2\x82\xac|", 0);
    }
    check(LINES_SSE, 100, str_of("datax: 1\n data: 2\ndata : 3\n\n"), "", 0);
    check(LINES_SSE, 100, (struct str){"data: a\0b\n\n", 11}, "=a", 0);
}

static void test_limits(void **state)
{
    (void)state;
    check(LINES_SSE, 4, str_of("data: abcd\n\ndata: abcde\n\n"), "=abcd|", E_TOO_LONG);
    check(LINES_SSE, 4, str_of("data: ab\ndata: cd\n\n"), "", E_TOO_LONG);
    check(LINES_NDJSON, 4, str_of("abcd\r\nabcde\n"), "=abcd|", E_TOO_LONG);
    check(LINES_NDJSON, 4, str_of("abcd\n01234567890123456789012345678901234567890123456789"),
          "=abcd|", E_TOO_LONG);
}

static void test_ends(void **state)
{
    (void)state;
    check(LINES_SSE, 9, str_of("data: a\n\ndata: stop\n\ndata: b\n\n"), "=a|=stop|",
          E_CANCELLED);
    check(LINES_NDJSON, 9, str_of("a\nfail\nb\n"), "=a|=fail|", E_FORMAT);
    check(LINES_NDJSON, 9, str_of("a\nstop"), "=a|=stop|", E_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson),
        cmocka_unit_test(test_sse),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

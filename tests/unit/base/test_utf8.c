#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/utf8.h"

#include <string.h>

/* A slow reading of RFC 3629's table: the length of the character at p, 0 for none. */
static int slow_len(const unsigned char *p, size_t n)
{
    uint32_t cp;
    int len = p[0] < 0x80       ? 1
              : p[0] >> 5 == 6  ? 2
              : p[0] >> 4 == 14 ? 3
              : p[0] >> 3 == 30 ? 4
                                : 0;

    if (len == 0 || (size_t)len > n)
        return 0;
    cp = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    if ((len == 2 && cp < 0x80) || (len == 3 && cp < 0x800) || (len == 4 && cp < 0x10000) ||
        cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 0;
    return len;
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (int32_t cp = 0; cp <= 0x10ffff; cp++) {
        char s[4];
        int32_t got = -2;
        int n = utf8_put(cp, s);

        if (cp >= 0xd800 && cp < 0xe000) { /* written, but never read */
            assert_int_equal(utf8_next(s, (size_t)n, &got), 1);
            assert_int_equal(got, -1);
            continue;
        }
        if (utf8_next(s, (size_t)n, &got) != n || got != cp || !utf8_valid(s, (size_t)n))
            fail_msg("U+%04X", (unsigned)cp);
        for (int k = 1; k < n; k++) { /* begun only */
            assert_int_equal(utf8_next(s, (size_t)k, &got), 1);
            assert_int_equal(got, -1);
            assert_int_equal(utf8_whole(s, (size_t)k), 0);
        }
        assert_int_equal(utf8_whole(s, (size_t)n), n);
    }
}

/* All sequences of up to 4 bytes from the bytes where rules change. */
static void test_against_slow(void **state)
{
    static const unsigned char edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                         0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee,
                                         0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff};
    enum { N = sizeof(edge) };
    unsigned char s[4];

    (void)state;
    for (int i = 0; i < N * N * N * N; i++) {
        s[0] = edge[i % N];
        s[1] = edge[i / N % N];
        s[2] = edge[i / N / N % N];
        s[3] = edge[i / N / N / N];
        for (size_t n = 1; n <= 4; n++) {
            int32_t cp = -2;
            int want = slow_len(s, n), got = utf8_next((char *)s, n, &cp);

            if (got != (want ? want : 1) || (cp >= 0) != (want > 0))
                fail_msg("%02x %02x %02x %02x, %zu bytes", s[0], s[1], s[2], s[3], n);
        }
    }
}

static void test_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid("", 0));
    assert_true(utf8_valid("na\xc3\xafve \xf0\x9f\x98\x80", 11));
    assert_false(utf8_valid("na\xc3\xafve \xf0\x9f\x98\x80", 10));
    assert_false(utf8_valid("a\xff", 2));
    assert_false(utf8_valid("\xed\xa0\x80", 3));
}

static void test_whole(void **state)
{
    (void)state;
    assert_int_equal(utf8_whole("", 0), 0);
    assert_int_equal(utf8_whole("ab\xe2\x82", 4), 2);
    assert_int_equal(utf8_whole("ab\xe2\x82\xac", 5), 5);
    assert_int_equal(utf8_whole("ab\xf0\x9f\x98", 5), 2);
    assert_int_equal(utf8_whole("ab\xe0\x80", 4), 4); /* overlong: it will never be whole */
    assert_int_equal(utf8_whole("ab\x80\x80", 4), 4); /* no beginning */
    assert_int_equal(utf8_whole("\x80\x80\x80\x80", 4), 4);
    assert_int_equal(utf8_whole("ab\xff", 3), 3);
    assert_int_equal(utf8_whole("\xf0\x9f\x98\x80\xc3", 5), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_against_slow),
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "base/b64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void known(void **state)
{
    static const struct {
        const char *text, *bytes;
    } rows[] = {{"", ""},
                {"Zg==", "f"},
                {"Zm8=", "fo"},
                {"Zm9v", "foo"},
                {"Zm9vYg", "foob"},
                {"Zm9vYmE", "fooba"},
                {"Zm9vYmFy", "foobar"},
                {"+/+/", "\xfb\xff\xbf"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct str s = str_of(rows[i].text);
        unsigned char out[B64_MAX(16)];
        long n = b64_decode(s, out, NULL);

        assert_int_equal(n, strlen(rows[i].bytes));
        assert_memory_equal(out, rows[i].bytes, (size_t)n);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *text;
        size_t bad;
    } rows[] = {{"Z", 1},    {"Zg=", 2}, {"Zg=a", 2}, {"Zm9v Zg==", 4}, {"Zh==", 2},
                {"====", 0}, {"=", 0},   {"Zm-v", 2}, {"Zm9v=", 4}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned char out[B64_MAX(16)];
        size_t bad = 99;

        assert_int_equal(b64_decode(str_of(rows[i].text), out, &bad), -1);
        assert_int_equal(bad, rows[i].bad);
    }
}

static void there_and_back(void **state)
{
    unsigned char bytes[67];
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)(i * 37 + 11);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        unsigned char back[B64_MAX(100)];

        buf_clear(&b);
        assert_int_equal(b64_encode(&b, bytes, n), 0);
        assert_int_equal(b.n % 4, 0);
        assert_int_equal(b64_decode((struct str){b.p, b.n}, back, NULL), n);
        assert_memory_equal(back, bytes, n);
    }
    buf_clear(&b);
    assert_int_equal(b64_encode(&b, "foob", 4), 0);
    assert_string_equal(b.p, "Zm9vYg==");
    assert_int_equal(b64_encode(&b, bytes, 70), E_TOO_LONG);
    assert_int_equal(b.n, 8);
    buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known),
        cmocka_unit_test(refused),
        cmocka_unit_test(there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sha256.h"

#include <string.h>

/* From FIPS 180-4's examples. */
static void test_known(void **state)
{
    char hex[SHA256_HEX];

    (void)state;
    sha256_hex("", 0, hex);
    assert_string_equal(hex,
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex,
                        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* How the bytes are cut changes nothing, at any length around a block. */
static void test_cuts(void **state)
{
    unsigned char text[200], whole[SHA256_SIZE], cut[SHA256_SIZE];
    struct sha256 s;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (unsigned char)(i * 7);
    for (size_t n = 0; n <= sizeof(text); n++) {
        sha256_init(&s);
        sha256_put(&s, text, n);
        sha256_end(&s, whole);
        sha256_init(&s);
        for (size_t i = 0; i < n; i++)
            sha256_put(&s, text + i, 1);
        sha256_end(&s, cut);
        assert_memory_equal(whole, cut, SHA256_SIZE);
    }
    sha256_init(&s);
    for (int i = 0; i < 1000000; i++)
        sha256_put(&s, "a", 1);
    sha256_end(&s, cut);
    assert_memory_equal(cut, "\xcd\xc7\x6e\x5c\x99\x14\xfb\x92\x81\xa1\xc7\xe2\x84\xd7\x3e\x67",
                        16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_cuts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

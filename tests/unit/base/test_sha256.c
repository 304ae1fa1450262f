/* SHA-256 against the vectors of FIPS 180-4, whole and in pieces. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/sha256.h"

#include <string.h>

static const struct {
    const char *text, *hex;
} vectors[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_vectors(void **state)
{
    char hex[SHA256_HEX];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(*vectors); i++) {
        sha256_hex(vectors[i].text, strlen(vectors[i].text), hex);
        assert_string_equal(hex, vectors[i].hex);
    }
}

/* A million times "a", in pieces whose ends fall everywhere in a block. */
static void test_pieces(void **state)
{
    static const unsigned char want[4] = {0xcd, 0xc7, 0x6e, 0x5c};
    unsigned char out[SHA256_SIZE];
    char a[131];
    struct sha256 s;
    size_t left = 1000000, n = 1;

    (void)state;
    memset(a, 'a', sizeof(a));
    sha256_init(&s);
    while (left) {
        size_t k = n < left ? n : left;

        sha256_put(&s, a, k);
        left -= k;
        n = n % sizeof(a) + 1;
    }
    sha256_end(&s, out);
    assert_memory_equal(out, want, sizeof(want));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_pieces),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

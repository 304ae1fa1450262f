/* Character classes against the Unicode tables. */
#include "text/uclass.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <utf8proc.h>

static unsigned want(int32_t cp)
{
    const char *c = utf8proc_category_string(cp);

    if (cp == '\n' || cp == '\r')
        return UC_SPACE | UC_EOL;
    if ((cp >= 9 && cp <= 13) || cp == 0x85 || c[0] == 'Z')
        return UC_SPACE;
    if (c[0] == 'L')
        return c[1] == 'u'   ? UC_UPPER
               : c[1] == 'l' ? UC_LOWER
               : c[1] == 't' ? UC_TITLE
                             : UC_ALPHA;
    return c[0] == 'M'   ? UC_MARK
           : c[0] == 'N' ? UC_NUM
           : c[0] == 'P' ? UC_PUNCT
           : c[0] == 'S' ? UC_SYM
                         : 0;
}

static void test_every_character(void **state)
{
    (void)state;
    for (int32_t cp = 0; cp < 0x110000; cp++) {
        char c[4];
        int len = utf8_put(cp, c);
        unsigned cls = 12345;

        if (cp >= 0xd800 && cp < 0xe000)
            continue;
        assert_int_equal(uclass_next(c, (size_t)len, &cls), len);
        if (cls != want(cp))
            fail_msg("U+%04X: %u, not %u", (unsigned)cp, cls, want(cp));
    }
}

static void test_broken(void **state)
{
    static const char *const bad[] = {
        "\xff", "\x80", "\xc3", "\xe2\x96", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xc0\xaf"};
    unsigned cls;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        cls = 12345;
        assert_int_equal(uclass_next(bad[i], strlen(bad[i]), &cls), 1);
        assert_int_equal(cls, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_character),
        cmocka_unit_test(test_broken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/name.h"

static void same(const char *text, const char *want)
{
    char out[NAME_MAX_TEXT];
    struct err e = {0};
    struct name n, again;

    if (name_parse(&n, str_of(text), &e) < 0)
        fail_msg("%s: %s", text, e.msg);
    name_text(&n, out);
    assert_string_equal(out, want);
    assert_int_equal(name_parse(&again, str_of(out), &e), 0);
    assert_true(name_same(&n, &again));
}

static void test_forms(void **state)
{
    (void)state;
    same("llama3", "llama3:latest");
    same("llama3:8b-q4_K_M", "llama3:8b-q4_K_M");
    same("user/x", "user/x:latest");
    same("library/x:1", "x:1");
    same("hf.co/user/Repo-GGUF:Q4_K_M", "hf.co/user/Repo-GGUF:Q4_K_M");
    same("127.0.0.1:5000/library/x", "127.0.0.1:5000/library/x:latest");
    same("registry.ollama.ai/library/x:y", "x:y");
    same("_a/b.c-d:E", "_a/b.c-d:E");
}

static void test_case(void **state)
{
    struct name a, b;

    (void)state;
    assert_int_equal(name_parse(&a, str_of("User/Model:Tag"), NULL), 0);
    assert_int_equal(name_parse(&b, str_of("uSER/mODEL:tAG"), NULL), 0);
    assert_true(name_same(&a, &b));
    assert_int_equal(name_parse(&b, str_of("user/model:other"), NULL), 0);
    assert_false(name_same(&a, &b));
}

/* Nothing of these may become a path, or half of a name. */
static void test_refused(void **state)
{
    static const char *const bad[] = {"",
                                      "../x",
                                      "..",
                                      ".",
                                      "./x",
                                      "/etc/passwd",
                                      "a/../b",
                                      "a/..",
                                      "a:..",
                                      "a:../b",
                                      "a:b:c",
                                      "a//b",
                                      "/a",
                                      "a/",
                                      "a:",
                                      ":a",
                                      "a:/b",
                                      "a b",
                                      "a\tb",
                                      "a\\b",
                                      "a%2fb",
                                      "a/b/c/d",
                                      "http://x/y",
                                      "a\xc3\xa9",
                                      "a\xc0\xaf",
                                      "-a",
                                      ".a",
                                      "a/.b",
                                      "a/-b",
                                      "a.b/c",
                                      "h/n.s/m",
                                      "a\nb",
                                      "a;b",
                                      "a*",
                                      "~/x",
                                      "a/b/c:d:e",
                                      "a:b/c:d/e/f",
                                      "sha256:../../x",
                                      "a@b",
                                      "\x7f",
                                      "a:b\x01"};
    struct err e;
    struct name n;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        /* Those with four parts or a dot in the second are hosts when they have three. */
        if (name_parse(&n, str_of(bad[i]), &e) != E_INVALID)
            fail_msg("'%s' was taken", bad[i]);
        assert_true(e.msg[0]);
    }
    assert_int_equal(name_parse(&n, (struct str){"a\0b", 3}, &e), E_INVALID);
}

static void test_lengths(void **state)
{
    char text[900];
    struct err e;
    struct name n;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_int_equal(name_parse(&n, (struct str){text, 80}, &e), 0);
    assert_int_equal(name_parse(&n, (struct str){text, 81}, &e), E_INVALID);
    assert_non_null(strstr(e.msg, "81 bytes"));
    assert_int_equal(name_parse(&n, (struct str){text, 300}, &e), E_INVALID);
    text[350] = text[431] = '/';
    text[512] = ':';
    assert_int_equal(name_parse(&n, (struct str){text, 593}, &e), 0);
    name_text(&n, text);
    assert_int_equal(strlen(text), 593);
    text[0] = 'b';
    assert_int_equal(strlen(n.host), 350);
    assert_int_equal(name_parse(&n, (struct str){text, 594}, &e), E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_case),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

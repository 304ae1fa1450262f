#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "store/modelfile.h"

#include <math.h>
#include <stdio.h>

static void parse(struct modelfile *m, const char *text)
{
    struct err e = {0};

    if (modelfile_parse(m, str_of(text), &e) < 0)
        fail_msg("%s", e.msg);
}

static void is(struct str s, const char *want)
{
    if (!s.p || !str_is(s, want))
        fail_msg("'%.*s', want '%s'", (int)s.n, s.p ? s.p : "", want);
}

static double param(const struct modelfile *m, const char *name)
{
    return json_number_value(json_object_get(m->params, name));
}

static void test_statements(void **state)
{
    struct modelfile m;

    (void)state;
    parse(&m, "# a comment\n\n  from ./a.gguf  \nPARAMETER temperature 0.5\nparameter TOP_K 7\n"
              "PARAMETER stop <|end|>\nPARAMETER stop \"two words \"\nSYSTEM You are # terse.\n"
              "TEMPLATE \"\"\"{{ .System }}\n{{ .Prompt }}\"\"\"\nLICENSE MIT\nLICENSE \"\"\"\n"
              "Two\n\"\"\"\nADAPTER a.gguf\nDRAFT d.gguf\nMESSAGE user Hi\nMESSAGE assistant "
              "\"Hello \"\nRENDERER x\nPARSER y\nREQUIRES 0.9\nSYSTEM last one holds");
    assert_int_equal(m.n_from, 1);
    is(m.from[0], "./a.gguf");
    assert_true(param(&m, "temperature") == 0.5);
    assert_int_equal(param(&m, "top_k"), 7);
    assert_int_equal(json_array_size(json_object_get(m.params, "stop")), 2);
    assert_string_equal(json_string_value(json_array_get(json_object_get(m.params, "stop"), 1)),
                        "two words ");
    is(m.system, "last one holds");
    is(m.template, "{{ .System }}\n{{ .Prompt }}");
    assert_int_equal(m.n_license, 2);
    is(m.license[0], "MIT");
    is(m.license[1], "\nTwo\n");
    is(m.adapter[0], "a.gguf");
    is(m.draft, "d.gguf");
    is(m.renderer, "x");
    is(m.parser, "y");
    is(m.requires, "0.9");
    assert_int_equal(json_array_size(m.messages), 2);
    assert_string_equal(
        json_string_value(json_object_get(json_array_get(m.messages, 1), "content")), "Hello ");
    assert_non_null(strstr(m.warnings.p, "(line 19): RENDERER"));
    modelfile_done(&m);
}

static void test_quotes(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"SYSTEM \"\"", ""},
        {"SYSTEM \"\"\"\"\"\"", ""},
        {"SYSTEM \"a\"", "a"},
        {"SYSTEM \"a\" b\"", "a\" b"},
        {"SYSTEM \"a\" b\nc\"", "a\" b\nc"}, /* open until a line ends in quotes */
        {"SYSTEM \"a \nb\"  \t", "a \nb"},
        {"SYSTEM \"\"\"a\"\nb\"\"\"", "a\"\nb"},
        {"SYSTEM 'a'", "'a'"},
        {"SYSTEM a \"b\"", "a \"b\""},
        {"SYSTEM \"a\\n\"", "a\\n"},
        {"SYSTEM a\r\nFROM b\r\n", "a"},
        {"SYSTEM \"a\r\nb\"\r\n", "a\nb"},
        {"SYSTEM \xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac \xe2\x80\x8f", /* joiner, RLM */
         "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x94\xac \xe2\x80\x8f"},
        {"SYSTEM a\x1b[31mb\x07", "a[31mb"},
        {"\xef\xbb\xbfSYSTEM a", "a"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[200];
        struct modelfile m;

        (void)snprintf(text, sizeof(text), "%s\nFROM x", cases[i].text);
        parse(&m, text);
        is(m.system, cases[i].want);
        modelfile_done(&m);
    }
}

static void test_utf16(void **state)
{
    static const char little[] = "\xff\xfe"
                                 "F\0R\0O\0M\0 \0x\0\n\0S\0Y\0S\0T\0E\0M\0 \0\x3d\xd8\x00\xde";
    static const char big[] = "\xfe\xff\0F\0R\0O\0M\0 \0x";
    static const char half[] = "\xff\xfe"
                               "F\0\x3d\xd8";
    struct modelfile m;
    struct err e;

    (void)state;
    assert_int_equal(modelfile_parse(&m, (struct str){little, sizeof(little) - 1}, &e), 0);
    is(m.system, "\xf0\x9f\x98\x80");
    modelfile_done(&m);
    assert_int_equal(modelfile_parse(&m, (struct str){big, sizeof(big) - 1}, &e), 0);
    is(m.from[0], "x");
    modelfile_done(&m);
    assert_int_equal(modelfile_parse(&m, (struct str){half, sizeof(half) - 1}, &e), E_INVALID);
    modelfile_done(&m);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "no FROM line"},
        {"# only\n", "no FROM line"},
        {"FROM a\nFRUM b", "(line 2): command must be one of \"from\""},
        {"FROM a\n\n\nFROM", "(line 4): FROM has no value"},
        {"FROM \nSYSTEM b", "(line 1): FROM has no value"},
        {"FROM a\nSYSTEM \"b\nc\n", "(line 2): unexpected EOF"},
        {"FROM a\nSYSTEM \"\"\"b\"", "(line 2): unexpected EOF"},
        {"FROM a\nMESSAGE tool x", "(line 2): message role must be one of \"system\""},
        {"FROM a\nMESSAGE User x", "message role must be"},
        {"FROM a\nPARAMETER", "(line 2): PARAMETER has no name"},
        {"FROM a\nPARAMETER top_k", "(line 2): top_k has no value"},
        {"FROM a\nPARAMETER nothing 1", "(line 2): unknown parameter 'nothing'"},
        {"FROM a\nPARAMETER top_k 1.5", "invalid int value [1.5]"},
        {"FROM a\nPARAMETER top_p nan", "invalid float value [nan]"},
        {"FROM a\nPARAMETER top_p 0x1", "invalid float value [0x1]"},
        {"FROM a\nPARAMETER top_p 1e999", "invalid float value"},
        {"FROM a\nPARAMETER use_mmap maybe", "invalid bool value [maybe]"},
        {"FROM a\nPARAMETER top_p 2", "(line 2): top_p: 2 is not above 0 and at most 1"},
        {"FROM a\nPARAMETER num_ctx 1099511627776", "num_ctx: 1.09951163e+12 is not"},
        {"FROM a\nPARAMETER stop \"\"", "stop: an empty text"},
        {"FROM a\nSYSTEM \xff", "(line 2): bytes that are not UTF-8"},
        {"FROM a\nFROM.b", "(line 2): command must be"},
    };

    struct modelfile m;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err e = {0};

        assert_int_equal(modelfile_parse(&m, str_of(cases[i].text), &e), E_INVALID);
        if (!strstr(e.msg, cases[i].want))
            fail_msg("'%s', want '%s'", e.msg, cases[i].want);
        modelfile_done(&m);
    }
    assert_int_equal(modelfile_parse(&m, (struct str){"FROM a\n\0", 8}, NULL), E_INVALID);
    modelfile_done(&m);
}

static void test_params(void **state)
{
    json_t *o = json_object(), *v;
    const char *note;
    struct err e;
    struct modelfile m;

    (void)state;
    parse(&m, "FROM a\nPARAMETER mirostat 2\nPARAMETER num_gpu 3\n");
    assert_null(json_object_get(m.params, "mirostat"));
    assert_non_null(strstr(m.warnings.p, "(line 2): mirostat is left out"));
    assert_int_equal(param(&m, "num_gpu"), 3);
    assert_non_null(strstr(m.warnings.p, "(line 3): num_gpu is kept"));
    modelfile_done(&m);
    v = json_pack("[s, s]", "a", "b");
    assert_int_equal(modelfile_param_json(o, str_of("stop"), v, &note, &e), 0);
    assert_int_equal(modelfile_param_json(o, str_of("stop"), v, &note, &e), 0);
    assert_int_equal(json_array_size(json_object_get(o, "stop")), 2);
    assert_int_equal(modelfile_param_json(o, str_of("top_k"), v, &note, &e), E_INVALID);
    json_decref(v);
    v = json_real(5.0);
    assert_int_equal(modelfile_param_json(o, str_of("top_k"), v, &note, &e), 0);
    assert_true(json_is_integer(json_object_get(o, "top_k")));
    assert_int_equal(modelfile_param_json(o, str_of("use_mmap"), v, &note, &e), E_INVALID);
    json_decref(v);
    json_decref(o);
}

/* What was written parses to the same. */
static void round_trip(const char *text)
{
    struct modelfile a = {.params = json_object(), .messages = json_array()}, b;
    struct str from = str_of("x");
    struct err e = {0};
    struct buf out;

    a.from = &from;
    a.n_from = 1;
    a.system = str_of(text);
    (void)json_object_set_new(a.params, "temperature", json_real(0.1));
    (void)json_object_set_new(a.params, "top_p", json_real((double)0.95F));
    (void)json_object_set_new(a.params, "stop", json_pack("[s]", "###"));
    buf_init(&out, 10000);
    if (modelfile_write(&a, &out) < 0)
        fail_msg("'%s' was not written", text);
    if (modelfile_parse(&b, (struct str){out.p, out.n}, &e) < 0)
        fail_msg("%s in: %s", e.msg, out.p);
    is(b.system, text);
    assert_true(json_equal(a.params, b.params));
    modelfile_done(&b);
    buf_done(&out);
    json_decref(a.params);
    json_decref(a.messages);
}

static void test_write(void **state)
{
    static const char parts[] = "\"\n a";
    char text[8] = "";

    (void)state;
    /* All texts of up to 6 of these characters, but for the few that nothing can quote. */
    for (int n = 0; n <= 6; n++) {
        int count = 1;

        for (int i = 0; i < n; i++)
            count *= 4;
        for (int x = 0; x < count; x++) {
            for (int i = 0, y = x; i < n; i++, y /= 4)
                text[i] = parts[y % 4];
            text[n] = '\0';
            if (!strstr(text, "\"\"\"\n") && !strstr(text, "\"\"\" \n") &&
                !strstr(text, "\"\"\"  \n"))
                round_trip(text);
        }
    }
    round_trip("x\"\ny");
}

static void test_unwritable(void **state)
{
    struct modelfile a = {.system = {"a\"\"\"\nb\"\n", 8}};
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    assert_int_equal(modelfile_write(&a, &out), E_INVALID);
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statements), cmocka_unit_test(test_quotes),
        cmocka_unit_test(test_utf16),      cmocka_unit_test(test_errors),
        cmocka_unit_test(test_params),     cmocka_unit_test(test_write),
        cmocka_unit_test(test_unwritable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

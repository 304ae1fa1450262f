#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "cmd/opt.h"

#include <stdio.h>
#include <string.h>

struct values {
    int flag, number, small, choice;
    float share, any;
    struct opt_seed seed;
    const char *text;
    struct opt_list list;
};

#define AT(f) offsetof(struct values, f)

static const struct opt_row rows[] = {
    {.name = "flag", .letter = 'f', .type = OPT_FLAG, .at = AT(flag), .help = "a flag"},
    {.name = "number",
     .letter = 'n',
     .type = OPT_INT,
     .at = AT(number),
     .def = "-7",
     .min = -10,
     .max = INT32_MAX,
     .param = "a_number",
     .arg = "N",
     .help = "a number"},
    {.name = "small", .type = OPT_INT, .at = AT(small), .min = 1, .max = 8, .arg = "N"},
    {.name = "choice", .type = OPT_CHOICE, .at = AT(choice), .def = "two", .arg = "one|two"},
    {.name = "share",
     .type = OPT_FLOAT,
     .at = AT(share),
     .def = "0.5",
     .max = 1,
     .above = 1,
     .param = "share",
     .arg = "X"},
    {.name = "any", .type = OPT_FLOAT, .at = AT(any), .min = -1e30, .max = 1e30, .arg = "X"},
    {.name = "seed", .type = OPT_SEED, .at = AT(seed), .arg = "N"},
    {.name = "text", .letter = 't', .type = OPT_STR, .at = AT(text), .arg = "TEXT"},
    {.name = "list", .type = OPT_LIST, .at = AT(list), .arg = "TEXT"},
};

static const struct opt_spec spec = {
    .usage = "test WORDS",
    .about = "Tests.",
    .rows = rows,
    .n = (int)(sizeof(rows) / sizeof(rows[0])),
};

#define ARGS_MAX 80

/* Parses "a^b^c" as three words. */
static int parse(const char *line, struct values *v, char **words, struct err *e)
{
    static char mem[1024];
    int n = 0;

    memset(v, 0, sizeof(*v));
    (void)snprintf(mem, sizeof(mem), "%s", line);
    for (char *p = *line ? mem : NULL; p;) {
        words[n++] = p;
        p = strchr(p, '^');
        if (p)
            *p++ = '\0';
    }
    opt_defaults(&spec, v);
    return opt_parse(&spec, n, words, v, e);
}

static void test_forms(void **state)
{
    struct values v;
    struct err e = {0};
    char *w[ARGS_MAX];

    (void)state;
    assert_int_equal(parse("", &v, w, &e), 0);
    assert_int_equal(v.number, -7);
    assert_int_equal(v.choice, 1);
    assert_true(v.share == 0.5F);
    assert_int_equal(parse("one^--number^5^two^-f^--share=0.25^three", &v, w, &e), 3);
    assert_string_equal(w[0], "one");
    assert_string_equal(w[1], "two");
    assert_string_equal(w[2], "three");
    assert_true(v.number == 5 && v.flag == 1 && v.share == 0.25F);
    assert_int_equal(parse("-n5^--choice^one^--text^--flag", &v, w, &e), 0);
    assert_true(v.number == 5 && v.choice == 0 && v.flag == 0);
    assert_string_equal(v.text, "--flag");
    assert_int_equal(parse("-n=-3^--text=^-^--^--flag^-x", &v, w, &e), 3);
    assert_true(v.number == -3 && v.flag == 0);
    assert_string_equal(v.text, "");
    assert_string_equal(w[0], "-");
    assert_string_equal(w[1], "--flag");
    assert_string_equal(w[2], "-x");
    assert_int_equal(parse("--list^a^--list=b", &v, w, &e), 0);
    assert_int_equal(v.list.n, 2);
    assert_string_equal(v.list.v[1], "b");
    assert_int_equal(parse("--number^5^--help", &v, w, &e), OPT_HELP);
    assert_int_equal(parse("-h", &v, w, &e), OPT_HELP);
    assert_int_equal(parse("--seed^18446744073709551615", &v, w, &e), 0);
    assert_true(v.seed.given && v.seed.value == UINT64_MAX);
}

static void test_errors(void **state)
{
    static const char *const t[][2] = {
        {"--any^abc", "--any: 'abc' is not a number"},
        {"--any^nan", "--any: 'nan' is not a number"},
        {"--any^0x10", "--any: '0x10' is not a number"},
        {"--any^ 1", "--any: ' 1' is not a number"},
        {"--any^1,5", "--any: '1,5' is not a number"},
        {"--any^1e999", "--any: '1e999' is not a number"},
        {"--any^", "--any: '' is not a number"},
        {"--share^7", "--share: 7 is outside 0..1"},
        {"--share^0", "--share: 0 is not above 0"},
        {"--share^1e-60", "--share: 1e-60 is not above 0"},
        {"-n^1.5", "-n: '1.5' is not a whole number"},
        {"--number^-11", "--number: -11 is less than -10"},
        {"--number^2147483648", "--number: 2147483648 is more than 2147483647"},
        {"--number^99999999999999999999", "--number: 99999999999999999999 is more than "
                                          "2147483647"},
        {"--small^9", "--small: 9 is outside 1..8"},
        {"--seed^-1", "--seed: '-1' is not a whole number from 0 on"},
        {"--seed^18446744073709551616", "--seed: '18446744073709551616' is not a whole number "
                                        "from 0 on"},
        {"--choice^three", "--choice: 'three' is none of one|two"},
        {"--choice^on", "--choice: 'on' is none of one|two"},
        {"--choice^", "--choice: '' is none of one|two"},
        {"--text", "--text needs a value (TEXT)"},
        {"--flag=1", "--flag takes no value"},
        {"--nubmer^1", "unknown option '--nubmer'; did you mean --number?"},
        {"-number^1", "-n: 'umber' is not a whole number"},
        {"-share^1", "unknown option '-share'; did you mean --share?"},
        {"--xyzzy=1", "unknown option '--xyzzy'; --help lists what there is"},
        {"--numbers=1", "unknown option '--numbers'; did you mean --number?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        struct values v;
        struct err e = {0};
        char *w[ARGS_MAX];

        assert_int_equal(parse(t[i][0], &v, w, &e), E_INVALID);
        assert_string_equal(e.msg, t[i][1]);
    }
}

static void test_too_many(void **state)
{
    struct values v = {0};
    struct err e = {0};
    const struct opt_row *row = &rows[8];

    (void)state;
    for (int i = 0; i < OPT_LIST_MAX; i++)
        assert_int_equal(opt_set(row, "--list", "x", &v, &e), 0);
    assert_int_equal(opt_set(row, "--list", "x", &v, &e), E_INVALID);
    assert_string_equal(e.msg, "--list: given more than 64 times");
    assert_int_equal(v.list.n, OPT_LIST_MAX);
}

static void test_numbers(void **state)
{
    int64_t i;
    uint64_t u;
    double d;

    (void)state;
    assert_true(opt_int("-9223372036854775807", &i) && i == -INT64_MAX);
    assert_true(opt_int("+5", &i) && i == 5);
    assert_false(opt_int("9223372036854775808", &i));
    assert_false(opt_int("--5", &i));
    assert_false(opt_int("-", &i));
    assert_false(opt_int("5 ", &i));
    assert_false(opt_u64("", &u));
    assert_false(opt_u64("+5", &u));
    assert_true(opt_float("1e-38", &d) && d == 1e-38);
    assert_true(opt_float("-.5", &d) && d == -0.5);
    assert_false(opt_float("1e", &d));
    assert_false(opt_float("-", &d));
    assert_false(opt_float("1.2.3", &d));
    assert_false(opt_float("inf", &d));
}

static void test_show(void **state)
{
    struct values v = {0};
    char text[64] = "untouched";

    (void)state;
    opt_defaults(&spec, &v);
    assert_int_equal(opt_show(&rows[1], &v, text, sizeof(text)), 1);
    assert_string_equal(text, "-7");
    assert_int_equal(opt_show(&rows[3], &v, text, sizeof(text)), 1);
    assert_string_equal(text, "two");
    assert_int_equal(opt_show(&rows[4], &v, text, sizeof(text)), 1);
    assert_string_equal(text, "0.5");
    assert_int_equal(opt_show(&rows[6], &v, text, sizeof(text)), 0);
    assert_int_equal(opt_show(&rows[7], &v, text, sizeof(text)), 0);
    assert_ptr_equal(opt_param(&spec, "a_number"), &rows[1]);
    assert_null(opt_param(&spec, "number"));
    assert_null(opt_param(&spec, ""));
}

static void test_ids(void **state)
{
    static const struct {
        const char *text, *error;
        size_t n;
        int32_t last;
    } t[] = {
        {"5", NULL, 1, 5},
        {"1,2,3", NULL, 3, 3},
        {"1, 2, -4", NULL, 3, -4},
        {"2147483647", NULL, 1, INT32_MAX},
        {"", "--ids: element 1, '', is not a token id", 0, 0},
        {"1,,2", "--ids: element 2, '', is not a token id", 0, 0},
        {"1,2,", "--ids: element 3, '', is not a token id", 0, 0},
        {"1,x", "--ids: element 2, 'x', is not a token id", 0, 0},
        {"2147483648", "--ids: element 1, '2147483648', is not a token id", 0, 0},
        {"7,99999999999999999999999",
         "--ids: element 2, '99999999999999999999999', is not a "
         "token id",
         0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int32_t *ids = NULL;
        size_t n = 0;
        struct err e = {0};
        int rc = opt_ids(t[i].text, &ids, &n, &e);

        assert_int_equal(rc, t[i].error ? E_INVALID : 0);
        assert_int_equal(n, t[i].n);
        if (t[i].error) {
            assert_string_equal(e.msg, t[i].error);
            assert_null(ids);
        } else {
            assert_int_equal(ids[n - 1], t[i].last);
        }
        mem_free(ids);
    }
}

static const char *word_at(const void *ctx, int i)
{
    return ((const char *const *)ctx)[i];
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"run", "show", "bench", "version", NULL};
    static const char long_word[] =
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    (void)state;
    assert_string_equal(opt_nearest("rnu", word_at, words), "run");
    assert_string_equal(opt_nearest("shwo", word_at, words), "show");
    assert_string_equal(opt_nearest("benhc", word_at, words), "bench");
    assert_string_equal(opt_nearest("versoin", word_at, words), "version");
    assert_null(opt_nearest("pull", word_at, words));
    assert_null(opt_nearest("", word_at, words));
    assert_null(opt_nearest(long_word, word_at, words));
}

static void test_help(void **state)
{
    char text[4096] = "";
    FILE *f = fmemopen(text, sizeof(text), "w");

    (void)state;
    assert_non_null(f);
    opt_help(&spec, f);
    (void)fclose(f);
    for (int i = 0; i < spec.n; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "--%s", rows[i].name);
        assert_non_null(strstr(text, name));
    }
    assert_non_null(strstr(text, "Usage: test WORDS"));
    assert_non_null(strstr(text, "-n, --number N"));
    assert_non_null(strstr(text, "(default -7)"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),   cmocka_unit_test(test_errors),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_show),    cmocka_unit_test(test_ids),
        cmocka_unit_test(test_nearest), cmocka_unit_test(test_help),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

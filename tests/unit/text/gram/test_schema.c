/* JSON Schema as a grammar: the cases of tests/data/schema, texts by chance, and limits.
 *
 * A case is a schema with values that are valid and others that are not (written in several
 * ways), or with texts that are accepted and others that are not, or refused: the name of the
 * error, and a part of what it says. */
#include "text/gram/schema.h"

#include "base/mem.h"
#include "fmt/jbig.h"
#include "wander.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 12 };

static int compile(const json_t *schema, int writing, struct gram **g, struct err *e)
{
    struct schema_options o = {.writing = writing};
    gram_ref root = GRAM_NEVER;
    int rc;

    *g = NULL;
    rc = gram_new(g, NULL, e);
    if (rc == 0)
        rc = schema_add(*g, schema, &o, &root, e);
    if (rc == 0)
        rc = gram_finish(*g, root, e);
    return rc;
}

static int accepts(struct gram *g, struct str text)
{
    gram_state to = 0;
    struct err e;

    if (gram_put(g, gram_start(g), text.p, text.n, &to, NULL, &e) < 0)
        fail_msg("\"%.*s\": %s", (int)text.n, text.p, e.msg);
    return to && gram_may_end(g, to);
}

static void expect(struct gram *g, const json_t *schema, const char *text, int want)
{
    if (accepts(g, str_of(text)) != want)
        fail_msg("%s is %s under %s", text, want ? "refused" : "accepted",
                 json_dumps(schema, JSON_ENCODE_ANY | JSON_COMPACT));
}

static void expect_texts(struct gram *g, const json_t *schema, const json_t *list, int want)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        expect(g, schema, json_string_value(json_array_get(list, i)), want);
}

/* A value in three ways of writing. */
static void expect_values(struct gram *g, const json_t *schema, const json_t *list, int want)
{
    static const size_t flags[] = {JSON_COMPACT, JSON_INDENT(2), JSON_ENSURE_ASCII};

    for (size_t i = 0; i < json_array_size(list); i++) {
        for (size_t k = 0; k < 3; k++) {
            char *text = json_dumps(json_array_get(list, i),
                                    JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) | flags[k]);

            expect(g, schema, text, want);
            free(text);
        }
    }
}

static void expect_refused(const json_t *c)
{
    const json_t *schema = json_object_get(c, "schema");
    const char *says = json_string_value(json_object_get(c, "says"));
    struct gram *g;
    struct err e = {0};
    int rc = compile(schema, 0, &g, &e);

    if (rc == 0)
        fail_msg("%s: should be refused", json_dumps(schema, JSON_ENCODE_ANY));
    assert_string_equal(err_row(rc)->name, json_string_value(json_object_get(c, "refused")));
    if (!strstr(e.msg, says))
        fail_msg("\"%s\" does not say \"%s\"", e.msg, says);
    gram_free(g);
}

/* What may be written is JSON and passes the check. */
static void expect_writes(struct gram *check, const json_t *schema, uint64_t seed)
{
    struct gram *g;
    struct rng r;
    struct buf b;
    struct err e;

    rng_seed(&r, seed);
    buf_init(&b, WANDER_MAX + 1);
    if (compile(schema, 1, &g, &e) < 0)
        fail_msg("%s: %s", json_dumps(schema, JSON_ENCODE_ANY), e.msg);
    for (int i = 0; i < ROUNDS; i++) {
        json_t *v;
        int rc = wander(g, &r, &b);

        if (rc < 0)
            fail_msg("stuck behind \"%s\" of %s", b.p, json_dumps(schema, JSON_ENCODE_ANY));
        if (rc)
            continue;
        v = json_loadb(b.p, b.n,
                       JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL |
                           JSON_DECODE_INT_AS_REAL,
                       NULL);
        /* A NUL in a name is JSON, but jansson has no room for it. */
        if (!v && !strstr(b.p, "\\u0000"))
            fail_msg("\"%s\" is no JSON", b.p);
        json_decref(v);
        if (!accepts(check, (struct str){b.p, b.n}))
            fail_msg("\"%s\" may be written, but is not valid under %s", b.p,
                     json_dumps(schema, JSON_ENCODE_ANY));
    }
    buf_done(&b);
    gram_free(g);
}

/* Some are so long at least that chance does not get there. */
static int is_huge(const json_t *schema)
{
    return json_integer_value(json_object_get(schema, "minLength")) > WANDER_MAX ||
           json_integer_value(json_object_get(schema, "minItems")) > WANDER_MAX;
}

static void run_case(const json_t *c, uint64_t seed)
{
    const json_t *schema = json_object_get(c, "schema");
    struct gram *g;
    struct err e;

    if (json_object_get(c, "refused")) {
        expect_refused(c);
        return;
    }
    if (compile(schema, 0, &g, &e) < 0)
        fail_msg("%s: %s", json_dumps(schema, JSON_ENCODE_ANY), e.msg);
    expect_values(g, schema, json_object_get(c, "valid"), 1);
    expect_values(g, schema, json_object_get(c, "invalid"), 0);
    expect_texts(g, schema, json_object_get(c, "accepts"), 1);
    expect_texts(g, schema, json_object_get(c, "rejects"), 0);
    if (!is_huge(schema))
        expect_writes(g, schema, seed);
    gram_free(g);
}

static void test_file(void **state)
{
    char path[128];
    json_error_t where;
    json_t *cases;

    (void)snprintf(path, sizeof(path), "tests/data/schema/%s.json", (const char *)*state);
    cases = json_load_file(path, 0, &where);
    if (!cases)
        fail_msg("%s:%d: %s", path, where.line, where.text);
    for (size_t i = 0; i < json_array_size(cases); i++)
        run_case(json_array_get(cases, i), i + 1);
    json_decref(cases);
}

/* -- writing --------------------------------------------------------------------------- */

static json_t *parse(const char *text)
{
    json_t *v = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(v);
    return v;
}

static void test_writing(void **state)
{
    json_t *schema =
        parse("{\"type\": \"object\", \"properties\": {\"b\": {\"type\": \"number\"},"
              "\"a\": {\"const\": \"x/\\u00e9\"}}, \"additionalProperties\": false}");
    struct gram *g;

    (void)state;
    assert_int_equal(compile(schema, 1, &g, NULL), 0);
    expect(g, schema, "{}", 1);
    expect(g, schema, "{\"b\":1,\"a\":\"x/\u00e9\"}", 1);
    expect(g, schema, "{\"b\": 1.50, \"a\": \"x/\u00e9\"}", 1);
    expect(g, schema, "{\n  \"b\": 1,\n  \"a\": \"x/\u00e9\"\n}", 1);
    expect(g, schema, "{\"a\":\"x/\u00e9\",\"b\":1}", 0); /* order */
    expect(g, schema, "{\"a\":\"x\\/\u00e9\"}", 0);       /* needless escape */
    expect(g, schema, "{\"\\u0061\":\"x/\u00e9\"}", 0);
    expect(g, schema, "{\"b\":  1}", 0); /* two blanks */
    expect(g, schema, "{\n\n\"b\":1}", 0);
    expect(g, schema, " {}", 0);
    expect(g, schema, "{\"b\":1000000000000000000}", 1);
    expect(g, schema, "{\"b\":100000000000000000000}", 0); /* digits without end */
    expect(g, schema, "{\"b\":1e99}", 1);
    expect(g, schema, "{\"b\":1e100}", 0);
    gram_free(g);
    json_decref(schema);
}

static void test_any(void **state)
{
    for (int writing = 0; writing < 2; writing++) {
        for (int object = 0; object < 2; object++) {
            struct schema_options o = {.writing = writing};
            json_t *none = json_null();
            struct gram *g;
            gram_ref root;

            assert_int_equal(gram_new(&g, NULL, NULL), 0);
            assert_int_equal(schema_any(g, object, &o, &root, NULL), 0);
            assert_int_equal(gram_finish(g, root, NULL), 0);
            expect(g, none, "{\"a\":[1,{\"b\":null}],\"c\":\"\\n\"}", 1);
            expect(g, none, "[1,true]", !object);
            expect(g, none, "\"x\"", !object);
            expect(g, none, "{\"a\":1,\"a\":2}", 0);
            expect(g, none, " { } ", !writing);
            expect(g, none, "{\"a\"}", 0);
            gram_free(g);
        }
    }
    (void)state;
}

/* -- limits ---------------------------------------------------------------------------- */

static json_t *many_properties(int n)
{
    json_t *schema = json_object(), *map = json_object();
    char name[32];

    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof(name), "property_%d", i);
        (void)json_object_set_new(map, name, json_pack("{s:s}", "type", "integer"));
    }
    (void)json_object_set_new(schema, "properties", map);
    (void)json_object_set_new(schema, "additionalProperties", json_false());
    return schema;
}

static void test_many(void **state)
{
    json_t *wide = many_properties(5000), *list = json_array(), *words;
    char text[32];
    struct gram *g;

    assert_int_equal(compile(wide, 0, &g, NULL), 0);
    expect(g, list, "{\"property_4999\":1,\"property_0\":2}", 1);
    expect(g, list, "{\"property_4999\":1,\"property_4999\":2}", 0);
    expect(g, list, "{\"property_5000\":1}", 0);
    gram_free(g);
    for (int i = 0; i < 50000; i++) {
        (void)snprintf(text, sizeof(text), "word %d", i * 7919 % 50000);
        (void)json_array_append_new(list, json_string(text));
    }
    words = json_pack("{s:O}", "enum", list);
    assert_int_equal(compile(words, 0, &g, NULL), 0);
    expect(g, wide, "\"word 49999\"", 1);
    expect(g, wide, "\"word 50000\"", 0);
    expect(g, wide, "\"word 4999\"", 1);
    gram_free(g);
    json_decref(words);
    json_decref(list);
    json_decref(wide);
    (void)state;
}

/* {"a": {"a": ... }}, with `inner` in the middle. */
static json_t *nested(int depth, const char *before, const char *inner, const char *behind)
{
    struct buf b;
    json_t *v;

    buf_init(&b, 1 << 20);
    for (int i = 0; i < depth; i++)
        assert_int_equal(buf_str(&b, before), 0);
    assert_int_equal(buf_str(&b, inner), 0);
    for (int i = 0; i < depth; i++)
        assert_int_equal(buf_str(&b, behind), 0);
    v = parse(b.p);
    buf_done(&b);
    return v;
}

static void expect_code(json_t *schema, int code)
{
    struct gram *g;
    struct err e = {0};

    assert_int_equal(compile(schema, 0, &g, &e), code);
    if (code < 0)
        assert_true(e.msg[0]);
    gram_free(g);
    json_decref(schema);
}

static void test_depth(void **state)
{
    (void)state;
    expect_code(nested(200, "{\"items\":", "{}", "}"), 0);
    expect_code(nested(900, "{\"items\":", "{}", "}"), E_TOO_LONG);
    expect_code(nested(201, "{\"not\":", "{}", "}"), E_INVALID);
    expect_code(nested(200, "{\"not\":", "{}", "}"), 0);
    expect_code(nested(900, "{\"allOf\":[", "{}", "]}"), E_TOO_LONG);
    expect_code(nested(1, "{\"const\":", "[]", "}"), 0);
    expect_code(json_pack("{s:o}", "const", nested(900, "[", "1", "]")), E_TOO_LONG);
    expect_code(json_pack("{s:o}", "const", nested(200, "[", "1", "]")), 0);
}

/* Choices within choices: an answer or an error, soon. */
static void test_products(void **state)
{
    json_t *all = json_array(), *schema;
    char name[16];

    for (int i = 0; i < 30; i++) {
        json_t *any = json_array();

        for (int k = 0; k < 4; k++) {
            (void)snprintf(name, sizeof(name), "p%d_%d", i, k);
            (void)json_array_append_new(any, json_pack("{s:[s]}", "required", name));
        }
        (void)json_array_append_new(all, json_pack("{s:o}", "anyOf", any));
    }
    schema = json_pack("{s:s, s:o}", "type", "object", "allOf", all);
    expect_code(schema, E_TOO_LONG);
    (void)state;
}

/* -- memory ---------------------------------------------------------------------------- */

static const char complicated[] =
    "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": 3,"
    "\"multipleOf\": 2}, \"b\": {\"oneOf\": [{\"type\": \"object\", \"required\": [\"x\"]},"
    "{\"type\": \"object\", \"required\": [\"y\"]}, {\"enum\": [1.5, \"s\", [1], null]}]},"
    "\"c\": {\"$ref\": \"#\"}, \"d\": {\"type\": \"array\", \"contains\": {\"const\": 1}},"
    "\"e\": {\"type\": \"string\", \"pattern\": \"^a+b?$\", \"minLength\": 2}},"
    "\"patternProperties\": {\"^x\": {\"type\": \"boolean\"}},"
    "\"dependentRequired\": {\"a\": [\"b\"]}, \"not\": {\"required\": [\"c\", \"d\"]}}";

static void test_no_memory(void **state)
{
    json_t *schema = parse(complicated);
    int rc = E_NOMEM;

    for (uint64_t n = 1; rc < 0; n += 1 + n / 16) {
        struct gram *g;
        struct err e = {0};

        (void)mem_fail_at(n, 1);
        rc = compile(schema, 1, &g, &e);
        (void)mem_fail_at(0, 0);
        if (rc < 0 && rc != E_NOMEM)
            fail_msg("allocation %d: %s", (int)n, e.msg);
        gram_free(g);
    }
    json_decref(schema);
    (void)state;
}

/* Numbers that no integer type holds are exact, too. */
static void test_big(void **state)
{
    static const struct {
        const char *schema, *valid, *wrong;
    } rows[] = {
        {"{\"type\":\"integer\",\"minimum\":0,\"maximum\":18446744073709551615}",
         "18446744073709551615", "18446744073709551616"},
        {"{\"type\":\"integer\",\"minimum\":-9223372036854775809,\"maximum\":0}",
         "-9223372036854775809", "-9223372036854775810"},
        {"{\"const\":18446744073709551615}", "18446744073709551615", "18446744073709551614"},
        {"{\"enum\":[\"a\",{\"b\":[340282366920938463463374607431768211455]}]}",
         "{\"b\":[340282366920938463463374607431768211455]}",
         "{\"b\":[340282366920938463463374607431768211456]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *schema = NULL;
        struct gram *g = NULL;
        struct err e = {0};

        if (jbig_load(&schema, str_of(rows[i].schema), 0, &e) < 0 ||
            compile(schema, 0, &g, &e) < 0)
            fail_msg("%s: %s", rows[i].schema, e.msg);
        if (!accepts(g, str_of(rows[i].valid)) || accepts(g, str_of(rows[i].wrong)))
            fail_msg("%s", rows[i].schema);
        gram_free(g);
        json_decref(schema);
    }
}

int main(void)
{
#define FILE_TEST(name)                                                                        \
    {                                                                                          \
#name, test_file, NULL, NULL, (void *)(uintptr_t) #name                                \
    }
    const struct CMUnitTest tests[] = {
        FILE_TEST(types),
        FILE_TEST(numbers),
        FILE_TEST(strings),
        FILE_TEST(arrays),
        FILE_TEST(objects),
        FILE_TEST(combine),
        FILE_TEST(refs),
        FILE_TEST(unevaluated),
        FILE_TEST(tools),
        FILE_TEST(refused),
        FILE_TEST(texts),
        FILE_TEST(formats),
        cmocka_unit_test(test_writing),
        cmocka_unit_test(test_any),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_big),
        cmocka_unit_test(test_no_memory),
    };

    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

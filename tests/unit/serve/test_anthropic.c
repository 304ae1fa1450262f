/* Anthropic's dialect: its streams and messages as golden transcripts, what becomes of each
 * field, and what is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcript.h"

#include "base/mem.h"
#include "serve/api/anthropic.h"
#include "serve/auth.h"
#include "serve/local.h"
#include "store/store.h"

#include <math.h>

static const struct route_list lists[] = {{anthropic_routes, ANTHROPIC_N_ROUTE}, {NULL, 0}};

static struct fake fake;

/* Neighbours that the dialect needs and the test has no use for. */
#define WEAK __attribute__((weak))

WEAK const struct dialect dialect_openai = {"openai", "application/json", anthropic_error};

/* Two models, the newer one first. */
static const char *const names[] = {"new:latest", "old:latest"};

static void a_model(struct store_model *m, int i)
{
    *m = (struct store_model){.modified_ns = 1700000000000000000 - i * 86400000000000};
    (void)snprintf(m->name, sizeof(m->name), "%s", names[i]);
}

WEAK int store_each(struct store *s, int (*visit)(void *ctx, const struct store_model *m),
                    void *ctx, int *skipped, struct err *e)
{
    struct store_model m;

    (void)s;
    (void)skipped;
    (void)e;
    for (int i = 0; i < 2; i++) {
        a_model(&m, i);
        if (visit(ctx, &m))
            break;
    }
    return 0;
}

WEAK int store_find(struct store *s, struct str name, struct store_model *out, struct err *e)
{
    (void)s;
    for (int i = 0; i < 2; i++) {
        a_model(out, i);
        if (str_is(name, names[i]))
            return 0;
    }
    return err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
}

WEAK void store_model_done(struct store_model *m)
{
    (void)m;
}

/* As a model that is loaded with less than it was trained for. */
WEAK int local_context(struct local *l, const struct store_model *m)
{
    (void)l, (void)m;
    return 128;
}

WEAK int auth_model(const struct auth_key *who, struct str model)
{
    return !who || !str_is(model, "old:latest");
}

WEAK void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                      const char *what, double value)
{
    (void)m, (void)id, (void)model, (void)route, (void)what, (void)value;
}

static int setup(void **state)
{
    struct err e;

    (void)state;
    fake_open(&fake);
    return ask_list_new(&fake.serve.asks, &e);
}

static int teardown(void **state)
{
    (void)state;
    ask_list_free(fake.serve.asks);
    fake_close(&fake);
    return 0;
}

static void test_messages(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/anthropic/message.test");
}

static void test_streams(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/anthropic/stream.test");
}

/* -- what a body becomes ------------------------------------------------------------------- */

static void expect_json(const json_t *got, const char *want)
{
    char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);

    assert_string_equal(text ? text : "", want);
    free(text);
}

/* A body with these fields besides the needed ones. */
static struct gate_request *ask_with(const char *fields)
{
    char body[4096];

    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"m\",\"max_tokens\":4096,%s%s\"messages\":[{\"role\":\"user\","
                   "\"content\":\"Hi\"}]}",
                   fields, *fields ? "," : "");
    assert_true(fake_post(&fake, lists, "/v1/messages", body));
    if (fake.q)
        fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_fields(void **state)
{
    const struct gate_request *q = ask_with(
        "\"temperature\":0.5,\"top_p\":0.25,\"top_k\":7,\"stop_sequences\":[\"a\",\"b\"],"
        "\"system\":[{\"type\":\"text\",\"text\":\"one\",\"cache_control\":{\"type\":"
        "\"ephemeral\"}},{\"type\":\"text\",\"text\":\"two\"}],\"metadata\":{\"user_id\":\"x\"}"
        ","
        "\"service_tier\":\"auto\",\"container\":null,\"mcp_servers\":[],"
        "\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":\"json_schema\",\"schema\":"
        "{\"type\":\"object\"}}}");

    (void)state;
    assert_non_null(q);
    assert_int_equal(q->kind, GATE_CHAT);
    assert_string_equal(q->route, "anthropic.messages");
    assert_true(str_is(q->model, "m"));
    assert_int_equal(q->n_predict, 4096);
    assert_float_equal(q->sampling.temperature, 0.5, 0);
    assert_float_equal(q->sampling.top_p, 0.25, 0);
    assert_int_equal(q->sampling.top_k, 7);
    assert_true(isnan(q->sampling.min_p));
    assert_int_equal(q->n_stop, 2);
    assert_true(str_is(q->stop[1], "b"));
    assert_int_equal(q->form, GATE_SCHEMA);
    expect_json(q->schema, "{\"type\":\"object\"}");
    assert_true(str_is(q->effort, "low"));
    assert_int_equal(q->think, GATE_THINK_AUTO);
    assert_int_equal(q->overflow, GATE_REFUSE);
    assert_int_equal(q->prefill, 0);
    expect_json(q->messages,
                "[{\"role\":\"system\",\"content\":\"one\\ntwo\"},{\"role\":\"user\","
                "\"content\":\"Hi\"}]");
    assert_null(strstr(fake.call.headers.n ? fake.call.headers.p : "", "warning"));
    q = ask_with("");
    assert_true(isnan(q->sampling.temperature));
    assert_int_equal(q->sampling.top_k, GATE_UNSET);
    assert_int_equal(q->form, GATE_ANY);
}

static void test_thinking(void **state)
{
    (void)state;
    assert_int_equal(
        ask_with("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":1024}")->think,
        GATE_THINK_ON);
    assert_int_equal(fake.q->n_think, 1024);
    assert_int_equal(ask_with("\"thinking\":{\"type\":\"disabled\"}")->think, GATE_THINK_OFF);
    assert_int_equal(ask_with("\"thinking\":{\"type\":\"adaptive\"}")->think, GATE_THINK_AUTO);
    assert_true(str_is(ask_with("\"output_config\":{\"effort\":\"max\"}")->effort, "high"));
    assert_non_null(strstr(fake.call.headers.p, "'max' is taken as 'high'"));
}

#define TOOLS                                                                                  \
    "\"tools\":[{\"name\":\"a\",\"description\":\"A\",\"input_schema\":{\"type\":\"object\"}}" \
    ","                                                                                        \
    "{\"name\":\"b\",\"type\":\"custom\",\"strict\":true,\"input_schema\":{\"type\":"          \
    "\"object\","                                                                              \
    "\"properties\":{\"x\":{}}}}]"

static void test_tools(void **state)
{
    const struct gate_request *q = ask_with(TOOLS);

    (void)state;
    expect_json(q->tools,
                "[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":{\"type\":"
                "\"object\"},\"description\":\"A\"}},{\"type\":\"function\",\"function\":{"
                "\"name\":\"b\",\"parameters\":{\"type\":\"object\",\"properties\":{\"x\":{}}},"
                "\"strict\":true}}]");
    assert_int_equal(q->tool_choice, GATE_CALL_AUTO);
    assert_int_equal(q->one_call, 0);
    q = ask_with(TOOLS
                 ",\"tool_choice\":{\"type\":\"any\",\"disable_parallel_tool_use\":true}");
    assert_int_equal(q->tool_choice, GATE_CALL_REQUIRED);
    assert_int_equal(q->tool_name.n, 0);
    assert_int_equal(q->one_call, 1);
    q = ask_with(TOOLS ",\"tool_choice\":{\"type\":\"tool\",\"name\":\"b\"}");
    assert_int_equal(q->tool_choice, GATE_CALL_REQUIRED);
    assert_true(str_is(q->tool_name, "b"));
    q = ask_with(TOOLS ",\"tool_choice\":{\"type\":\"none\"}");
    assert_int_equal(q->tool_choice, GATE_CALL_NONE);
}

static void test_blocks(void **state)
{
    static const char body[] =
        "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"S\",\"messages\":["
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"one\"},{\"type\":"
        "\"text\","
        "\"text\":\"two\"}]},"
        "{\"role\":\"user\",\"content\":\"three\"},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","
        "\"signature\":\"x\"},{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":"
        "\"b\"},{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":\"f\",\"input\":{\"x\":1}},"
        "{\"type\":\"tool_use\",\"id\":\"t2\",\"name\":\"g\",\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\","
        "\"content\":\"fine\"},{\"type\":\"tool_result\",\"tool_use_id\":\"t2\",\"is_error\":"
        "true,\"content\":[{\"type\":\"text\",\"text\":\"no\"},{\"type\":\"text\",\"text\":"
        "\"way\"}]},{\"type\":\"text\",\"text\":\"go on\"}]},"
        "{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t1\",\"name\":"
        "\"f\","
        "\"input\":{}}]},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t1\"}]},"
        "{\"role\":\"assistant\",\"content\":\"So\"}]}";

    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/messages", body));
    assert_non_null(fake.q);
    assert_int_equal(fake.q->prefill, 1);
    expect_json(
        fake.q->messages,
        "[{\"role\":\"system\",\"content\":\"S\"},"
        "{\"role\":\"user\",\"content\":\"one\\ntwo\\nthree\"},"
        "{\"role\":\"assistant\",\"content\":\"ab\",\"reasoning_content\":\"hm\",\"tool_"
        "calls\":"
        "[{\"id\":\"t1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{"
        "\"x\":"
        "1}}},{\"id\":\"t2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":{"
        "}}"
        "}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"t1\",\"name\":\"f\",\"content\":\"fine\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"t2\",\"name\":\"g\",\"content\":\"Error: "
        "no\\nway\""
        "},"
        "{\"role\":\"user\",\"content\":\"go on\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"t1\",\"type\":"
        "\"function\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"t1\",\"name\":\"f\",\"content\":\"\"},"
        "{\"role\":\"assistant\",\"content\":\"So\"}]");
    fake_error(&fake, E_CANCELLED, "enough");
}

/* What coding agents send: instructions between turns, and edits of the conversation that are
 * not made here. */
static void test_agents(void **state)
{
    static const char body[] =
        "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"S\",\"context_management\":%s,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"one\"},"
        "{\"role\":\"system\",\"content\":\"be\"},"
        "{\"role\":\"system\",\"content\":[{\"type\":\"text\",\"text\":\"brief\"}]},"
        "{\"role\":\"assistant\",\"content\":\"two\"},{\"role\":\"user\",\"content\":\"three\"}"
        "]}";
    static const struct {
        const char *edits;
        int warns;
    } cases[] = {
        {"{\"edits\":[{\"type\":\"clear_thinking_20251015\",\"keep\":\"all\"}]}", 0},
        {"{\"edits\":[{\"type\":\"clear_tool_uses_20250919\"}]}", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[1024];

        (void)snprintf(text, sizeof(text), body, cases[i].edits);
        assert_true(fake_post(&fake, lists, "/v1/messages", text));
        assert_non_null(fake.q);
        expect_json(fake.q->messages, "[{\"role\":\"system\",\"content\":\"S\"},"
                                      "{\"role\":\"user\",\"content\":\"one\"},"
                                      "{\"role\":\"system\",\"content\":\"be\\nbrief\"},"
                                      "{\"role\":\"assistant\",\"content\":\"two\"},"
                                      "{\"role\":\"user\",\"content\":\"three\"}]");
        fake_error(&fake, E_CANCELLED, "enough");
        assert_int_equal(strstr(fake.call.headers.n ? fake.call.headers.p : "",
                                "context_management is not applied") != NULL,
                         cases[i].warns);
    }
}

/* A body whose one message has these blocks. */
static struct gate_request *ask_blocks(const char *role, const char *blocks)
{
    char body[4096];

    (void)snprintf(
        body, sizeof(body),
        "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"%s\",\"content\":["
        "%s]}]}",
        role, blocks);
    assert_true(fake_post(&fake, lists, "/v1/messages", body));
    if (fake.q)
        fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_documents(void **state)
{
    const struct gate_request *q = ask_blocks(
        "user",
        "{\"type\":\"document\",\"title\":\"T\",\"context\":\"C\",\"citations\":{\"enabled\":"
        "false"
        "},\"source\":{\"type\":\"text\",\"media_type\":\"text/plain\",\"data\":\"D\"}},"
        "{\"type\":\"document\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":"
        "\"text\","
        "\"text\":\"x\"},{\"type\":\"text\",\"text\":\"y\"}]}},"
        "{\"type\":\"search_result\",\"source\":\"http://s\",\"title\":\"T\",\"content\":[{"
        "\"type\":\"text\",\"text\":\"found\"}]},"
        "{\"type\":\"text\",\"text\":\"What is it?\"}");

    (void)state;
    assert_non_null(q);
    expect_json(q->messages,
                "[{\"role\":\"user\",\"content\":\"<document>\\n<title>T</title>\\n<context>C"
                "</context>\\nD\\n</document>\\n<document>\\nx\\ny\\n</document>\\n"
                "<search_result>\\n<source>http://s</source>\\n<title>T</title>\\nfound\\n"
                "</search_result>\\nWhat is it?\"}]");
    q = ask_blocks("user",
                   "{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"image\",\"source\":{"
                   "\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"QUJD\"}},"
                   "{\"type\":\"text\",\"text\":\"b\"}");
    assert_non_null(q);
    assert_string_equal(q->field[GATE_F_IMAGE], "messages.0.content.1");
    expect_json(
        q->messages,
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"image\",\"data\":\"QUJD\",\"mime\":\"image/png\"},{\"type\":\"text\",\"text\":"
        "\"b\"}]}]");
    q = ask_blocks("assistant", "{\"type\":\"redacted_thinking\",\"data\":\"x\"},{\"type\":"
                                "\"text\",\"text\":\"b\"}");
    assert_non_null(q);
    assert_non_null(strstr(fake.call.headers.p, "encrypted"));
    expect_json(q->messages, "[{\"role\":\"assistant\",\"content\":\"b\"}]");
}

/* -- what is refused ------------------------------------------------------------------- */

static void expect_refused(const char *body, const char *words)
{
    assert_true(fake_post(&fake, lists, "/v1/messages", body));
    if (fake.q || fake.call.status != 400 || !strstr(fake.call.out.p, words) ||
        !strstr(fake.call.out.p, "\"invalid_request_error\""))
        fail_msg("%s\n-> %d %s\nwanted: %s", body, fake.call.status,
                 fake.call.out.n ? fake.call.out.p : "", words);
    assert_int_equal(fake.call.ended, 1);
}

/* Each field with values that it must not have: 'field', bad values, and what the error says.
 */
static const struct {
    const char *field, *values, *words;
} bad_fields[] = {
    {"model", "5|\"\"|[]|true", "model"},
    {"max_tokens", "0|-5|1.5|\"5\"|true|[]|-9223372036854775808", "max_tokens"},
    {"messages", "[]|{}|\"x\"|5|[1]|[null]|[[]]|[{}]", "messages"},
    {"system",
     "5|{}|true|[5]|[{}]|[{\"type\":\"text\"}]|[{\"type\":\"text\",\"text\":5}]|"
     "[{\"type\":\"image\"}]",
     "system"},
    {"stream", "\"yes\"|1|0|[]", "stream"},
    {"temperature", "-1|1.01|2|\"1\"|true|[]", "temperature"},
    {"top_p", "0|-0.5|1.5|7|\"1\"", "top_p"},
    {"top_k", "-1|-9|1.5|\"x\"", "top_k"},
    {"stop_sequences", "\"x\"|[\"\"]|[5]|[null]|{}|5", "stop_sequences"},
    {"tools",
     "5|{}|[5]|[{}]|[{\"name\":\"a\"}]|[{\"name\":\"a b\",\"input_schema\":{}}]|"
     "[{\"name\":\"\",\"input_schema\":{}}]|[{\"name\":\"a\",\"input_schema\":5}]|"
     "[{\"name\":\"a\",\"input_schema\":{\"type\":\"string\"}}]|"
     "[{\"name\":\"a\",\"input_schema\":{}},{\"name\":\"a\",\"input_schema\":{}}]|"
     "[{\"type\":\"web_search_20250305\",\"name\":\"web_search\"}]|"
     "[{\"name\":\"a\",\"input_schema\":{},\"defer_loading\":true}]",
     "tools"},
    {"tool_choice",
     "5|\"any\"|{}|{\"type\":\"x\"}|{\"type\":\"any\"}|{\"type\":\"tool\",\"name\":\"x\"}|"
     "{\"type\":\"auto\",\"disable_parallel_tool_use\":5}",
     "tool_choice"},
    {"thinking",
     "5|true|{}|{\"type\":\"x\"}|{\"type\":\"enabled\"}|{\"type\":\"enabled\",\"budget_"
     "tokens\":"
     "5}|{\"type\":\"enabled\",\"budget_tokens\":4096}|{\"type\":\"adaptive\",\"display\":"
     "\"x\"}",
     "thinking"},
    {"output_config",
     "5|[1]|{\"effort\":\"huge\"}|{\"effort\":5}|{\"format\":{}}|{\"format\":{\"type\":"
     "\"json\","
     "\"schema\":{}}}|{\"format\":{\"type\":\"json_schema\"}}|{\"format\":{\"type\":"
     "\"json_schema\",\"schema\":\"x\"}}",
     "output_config"},
    {"output_format", "5|{\"type\":\"text\",\"schema\":{}}", "output_format"},
    {"container", "\"c\"|{\"id\":\"x\"}", "container"},
    {"mcp_servers", "[{\"url\":\"http://x\"}]", "mcp_servers"},
    {"speed", "\"fast\"", "speed"},
};

static void test_bad_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_fields) / sizeof(*bad_fields); i++) {
        char values[1024], body[2048], *save = NULL;

        (void)snprintf(values, sizeof(values), "%s", bad_fields[i].values);
        for (char *v = strtok_r(values, "|", &save); v; v = strtok_r(NULL, "|", &save)) {
            json_t *j = json_loads(
                       "{\"model\":\"m\",\"max_tokens\":4096,\"messages\":[{\"role\":"
                       "\"user\",\"content\":\"Hi\"}]}",
                       0, NULL),
                   *value = json_loads(v, JSON_DECODE_ANY, NULL);
            char *text;

            assert_non_null(value);
            assert_int_equal(json_object_set_new(j, bad_fields[i].field, value), 0);
            text = json_dumps(j, JSON_COMPACT);
            (void)snprintf(body, sizeof(body), "%s", text);
            free(text);
            json_decref(j);
            expect_refused(body, bad_fields[i].words);
        }
    }
}

static void test_bad_talk(void **state)
{
    static const struct {
        const char *messages, *words;
    } cases[] = {
        {"{\"content\":\"x\"}", "messages.0.role is required"},
        {"{\"role\":\"user\"}", "messages.0.content is required"},
        {"{\"role\":\"user\",\"content\":null}", "messages.0.content is required"},
        {"{\"role\":\"alien\",\"content\":\"x\"}", "messages.0.role: 'alien'"},
        {"{\"role\":\"system\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]}",
         "not the system's to say"},
        {"{\"role\":5,\"content\":\"x\"}", "messages.0.role must be a string"},
        {"{\"role\":\"user\",\"content\":5}", "messages.0.content"},
        {"{\"role\":\"user\",\"content\":\"\"}", "messages.0.content: is empty"},
        {"{\"role\":\"user\",\"content\":[]}", "messages.0.content: is empty"},
        {"{\"role\":\"user\",\"content\":[5]}", "messages.0.content.0.type"},
        {"{\"role\":\"user\",\"content\":[{}]}", "messages.0.content.0.type: is missing"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"x\"}]}",
         "blocks of type 'x' are not supported"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}",
         "messages.0.content.0.text is required"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"x\"}]}",
         "not the user's to say"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"image\",\"source\":{}}]}",
         "not the assistant's to say"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]}",
         "'t' is no tool_use of the turn before"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":{}}]}",
         "tool_use 't' has no tool_result"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":{}}]},{\"role\":\"user\",\"content\":\"x\"}",
         "tool_use 't' has no tool_result"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"x\"},{"
         "\"type\":\"tool_result\",\"tool_use_id\":\"t\"}]}",
         "must come before what the user says"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":{}},{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}]}",
         "another tool_use of this turn"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":\"{}\"}]}",
         "input must be an object"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"url\","
         "\"url\":"
         "\"http://x\"}}]}",
         "images of type 'url' are not fetched"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
         "\"media_type\":\"image/tiff\",\"data\":\"QUJD\"}}]}",
         "'image/tiff' is none of"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
         "\"media_type\":\"image/png\",\"data\":\"Q*JD\"}}]}",
         "is no base64, at byte 1"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"source\":{\"type\":"
         "\"base64\","
         "\"media_type\":\"application/pdf\",\"data\":\"QUJD\"}}]}",
         "documents of type 'base64' are not supported"},
        {"{\"role\":\"user\",\"content\":[{\"type\":\"document\",\"citations\":{\"enabled\":"
         "true},"
         "\"source\":{\"type\":\"text\",\"data\":\"x\"}}]}",
         "citations is not supported"},
        {"{\"role\":\"assistant\",\"content\":[{\"type\":\"tool_use\",\"id\":\"t\",\"name\":"
         "\"f\","
         "\"input\":{}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
         "\"tool_use_id\":\"t\",\"content\":[{\"type\":\"image\",\"source\":{}}]}]}",
         "a block of type 'image'; only text"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char body[1024];

        (void)snprintf(body, sizeof(body),
                       "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[%s]}",
                       cases[i].messages);
        expect_refused(body, cases[i].words);
    }
}

static void test_bad_bodies(void **state)
{
    (void)state;
    expect_refused("", "no body");
    expect_refused("{", "not valid JSON");
    expect_refused("[]", "must be a JSON object");
    expect_refused("null", "must be a JSON object");
    expect_refused("{\"model\":\"m\",\"model\":\"m\"}", "duplicate");
    expect_refused("{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
                   "model is required");
    expect_refused("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
                   "max_tokens is required");
    assert_true(fake_send(&fake, lists, "POST", "/v1/messages", "strict=1", NULL,
                          str_of("{\"model\":\"m\",\"max_tokens\":9,\"alien\":1,\"messages\":[{"
                                 "\"role\":\"user\",\"content\":\"x\"}]}")));
    assert_int_equal(fake.call.status, 400);
    assert_non_null(strstr(fake.call.out.p, "alien is not a field"));
}

static void test_errors(void **state)
{
    static const struct {
        int status;
        const char *type;
    } cases[] = {{400, "invalid_request_error"},
                 {401, "authentication_error"},
                 {403, "permission_error"},
                 {404, "not_found_error"},
                 {405, "invalid_request_error"},
                 {413, "request_too_large"},
                 {429, "rate_limit_error"},
                 {500, "api_error"},
                 {507, "api_error"},
                 {503, "overloaded_error"},
                 {529, "overloaded_error"}};
    struct err e = {E_INVALID, "a \"quoted\" word"};
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char want[256];

        buf_clear(&b);
        assert_int_equal(dialect_anthropic.error(&b, cases[i].status, &e, "x", "req_1"), 0);
        (void)snprintf(
            want, sizeof(want),
            "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"a \\\"quoted"
            "\\\" word\"},\"request_id\":\"req_1\"}",
            cases[i].type);
        assert_string_equal(b.p, want);
    }
    buf_done(&b);
}

static void test_ping(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 256);
    assert_int_equal(anthropic_message_ops.ping(NULL, &b), 0);
    assert_string_equal(b.p, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    buf_done(&b);
}

/* The client leaves: nothing more is written, all is given back. */
static void test_gone(void **state)
{
    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/messages",
                          "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[{"
                          "\"role\":\"user\",\"content\":\"x\"}]}"));
    fake_start(&fake, 3, 0);
    fake_tell(&fake, CALL_GONE);
    assert_int_equal(fake.cancelled, 1);
    fake_error(&fake, E_CANCELLED, "gone");
    assert_int_equal(fake.n_freed, 1);
    assert_int_equal(fake.call.ended, 1);
}

/* -- models ---------------------------------------------------------------------------- */

static void run_models(struct serve *s, struct call *c)
{
    anthropic_models(s, c);
}

static void run_model(struct serve *s, struct call *c)
{
    anthropic_model(s, c);
}

static const struct route model_rows[] = {
    {"GET", "/v1/models", SCOPE_INFER, 0, "x", &dialect_anthropic, run_models},
    {"GET", "/v1/models/*model", SCOPE_INFER, 0, "x", &dialect_anthropic, run_model},
};
static const struct route_list model_lists[] = {{model_rows, 2}, {NULL, 0}};

static void expect_models(const char *query, int status, const char *body)
{
    assert_true(fake_send(&fake, model_lists, "GET", "/v1/models", query, NULL, str_of("")));
    assert_int_equal(fake.call.status, status);
    assert_string_equal(fake.call.out.p, body);
}

#define NEW                                                                                    \
    "{\"type\":\"model\",\"id\":\"new:latest\",\"display_name\":\"new:latest\",\"created_"     \
    "at\":"                                                                                    \
    "\"2023-11-14T22:13:20Z\",\"max_input_tokens\":0,\"max_tokens\":0}"
#define OLD                                                                                    \
    "{\"type\":\"model\",\"id\":\"old:latest\",\"display_name\":\"old:latest\",\"created_"     \
    "at\":"                                                                                    \
    "\"2023-11-13T22:13:20Z\",\"max_input_tokens\":0,\"max_tokens\":0}"

static void test_models(void **state)
{
    (void)state;
    expect_models(NULL, 200,
                  "{\"data\":[" NEW "," OLD "],\"has_more\":false,\"first_id\":\"new:latest\","
                  "\"last_id\":\"old:latest\"}");
    expect_models("limit=1", 200,
                  "{\"data\":[" NEW
                  "],\"has_more\":true,\"first_id\":\"new:latest\",\"last_id\":"
                  "\"new:latest\"}");
    expect_models("limit=1&after_id=new:latest", 200,
                  "{\"data\":[" OLD
                  "],\"has_more\":false,\"first_id\":\"old:latest\",\"last_id\":"
                  "\"old:latest\"}");
    expect_models("before_id=old:latest", 200,
                  "{\"data\":[" NEW
                  "],\"has_more\":true,\"first_id\":\"new:latest\",\"last_id\":"
                  "\"new:latest\"}");
    expect_models("after_id=old:latest", 200,
                  "{\"data\":[],\"has_more\":false,\"first_id\":null,\"last_id\":null}");
    /* What requests have, not what the file says. */
    fake.serve.local = (struct local *)(void *)&fake;
    assert_true(fake_get(&fake, model_lists, "/v1/models/new:latest"));
    fake.serve.local = NULL;
    assert_non_null(strstr(fake.call.out.p, "\"max_input_tokens\":128,\"max_tokens\":128}"));
    assert_true(
        fake_send(&fake, model_lists, "GET", "/v1/models", "limit=0", NULL, str_of("")));
    assert_int_equal(fake.call.status, 400);
    assert_true(
        fake_send(&fake, model_lists, "GET", "/v1/models", "after_id=x", NULL, str_of("")));
    assert_int_equal(fake.call.status, 400);
    assert_true(fake_get(&fake, model_lists, "/v1/models/old:latest"));
    assert_string_equal(fake.call.out.p, OLD);
    assert_true(fake_get(&fake, model_lists, "/v1/models/nobody"));
    assert_int_equal(fake.call.status, 404);
    assert_non_null(strstr(fake.call.out.p, "\"not_found_error\""));
}

/* Each allocation fails once: an error comes, nothing leaks, nothing is half done. */
static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 400; n++) {
        (void)mem_fail_at(n, 0);
        (void)fake_post(
            &fake, lists, "/v1/messages",
            "{\"model\":\"m\",\"max_tokens\":9,\"system\":\"s\"," TOOLS
            ",\"stop_sequences\":[\"a\"],\"messages\":[{\"role\":\"user\",\"content\":"
            "\"x\"}]}");
        if (fake.sink) {
            fake_start(&fake, 3, 0);
            fake_reasoning(&fake, 0, "hm");
            fake_text(&fake, 0, "x");
            fake_tool(&fake, 0, 0, "", "a", "{}", 1);
            fake_finish(&fake, 0, GATE_CALLS);
            fake_done(&fake);
        }
        if (mem_fail_at(0, 0) < n)
            break;
        assert_int_equal(fake.call.ended, 1);
        assert_true(n < 399);
    }
    assert_int_equal(fake.call.status, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_thinking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_agents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_documents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_talk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_models, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

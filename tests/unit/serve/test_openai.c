/* OpenAI's dialect: what a client gets, as golden transcripts; what becomes of each field of
 * chat completions; and every way in which a stream ends. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "openai_test.h"

#include "base/mem.h"

#include <math.h>

static void test_transcripts(void **state)
{
    static const char *const files[] = {"chat", "chat_stream", "text", "vectors"};

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "tests/data/serve/openai/%s.test", files[i]);
        transcript_file(&fake, lists, path);
    }
}

/* A body with these fields besides the needed ones; what was asked of the provider, if it was.
 */
static struct gate_request *chat_with(const char *fields)
{
    char body[8192];

    (void)snprintf(
        body, sizeof(body),
        "{\"model\":\"m\",%s%s\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}", fields,
        *fields ? "," : "");
    assert_true(fake_post(&fake, lists, "/v1/chat/completions", body));
    if (fake.sink)
        fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_nothing_given(void **state)
{
    const struct gate_request *q = chat_with("");

    (void)state;
    assert_non_null(q);
    assert_int_equal(q->kind, GATE_CHAT);
    assert_true(str_is(q->model, "m"));
    assert_true(isnan(q->sampling.temperature) && isnan(q->sampling.top_p));
    assert_int_equal(q->sampling.has_seed, 0);
    assert_int_equal(q->n_predict, GATE_UNSET);
    assert_int_equal(q->n_choice, 1);
    assert_int_equal(q->n_logprobs, -1);
    assert_int_equal(q->overflow, GATE_REFUSE);
    assert_int_equal(q->think, GATE_THINK_AUTO);
    assert_int_equal(q->form, GATE_ANY);
    assert_true(q->keep_alive_ns == GATE_KEEP_DEFAULT);
    assert_int_equal(q->tenant, 1);
    expect_json(q->messages, "[{\"role\":\"user\",\"content\":\"Hi\"}]");
}

static void test_fields(void **state)
{
    const struct gate_request *q = chat_with(
        "\"temperature\":0.5,\"top_p\":0.25,\"presence_penalty\":1,\"frequency_penalty\":-1,"
        "\"seed\":-3,\"stop\":[\"a\",\"b\"],\"logit_bias\":{\"5\":-100,\"6\":1.5},"
        "\"max_completion_tokens\":7,\"n\":2,\"top_k\":9,\"min_p\":0.5,\"repeat_penalty\":1.5,"
        "\"repeat_last_n\":2147483647,\"cache_prompt\":false,\"keep_alive\":\"5m\","
        "\"logprobs\":"
        "true,\"top_logprobs\":3,\"reasoning_effort\":\"low\",\"chat_template_kwargs\":{"
        "\"enable_thinking\":true,\"a\":1},\"user\":\"u\",\"metadata\":{\"a\":\"b\"}");

    (void)state;
    assert_non_null(q);
    assert_true(q->sampling.temperature == 0.5f && q->sampling.top_p == 0.25f);
    assert_true(q->sampling.presence_penalty == 1 && q->sampling.frequency_penalty == -1);
    assert_true(q->sampling.has_seed && q->sampling.seed == (uint64_t)-3);
    assert_int_equal(q->n_stop, 2);
    assert_true(str_is(q->stop[0], "a") && str_is(q->stop[1], "b"));
    assert_int_equal(q->sampling.n_bias, 2);
    assert_int_equal(q->sampling.bias[0].id, 5);
    assert_true(isinf(q->sampling.bias[0].bias) && q->sampling.bias[1].bias == 1.5f);
    assert_int_equal(q->n_predict, 7);
    assert_int_equal(q->n_choice, 2);
    assert_int_equal(q->sampling.top_k, 9);
    assert_true(q->sampling.min_p == 0.5f && q->sampling.repeat_penalty == 1.5f);
    assert_int_equal(q->sampling.repeat_last_n, 1 << 20);
    assert_int_equal(q->no_cache, 1);
    assert_true(q->keep_alive_ns == 300000000000);
    assert_int_equal(q->n_logprobs, 3);
    assert_int_equal(q->think, GATE_THINK_ON);
    assert_true(str_is(q->effort, "low"));
    expect_json(q->vars, "{\"a\":1}");
}

static void test_forms(void **state)
{
    const struct gate_request *q;

    (void)state;
    q = chat_with("\"response_format\":{\"type\":\"json_object\"}");
    assert_int_equal(q->form, GATE_JSON);
    q = chat_with("\"response_format\":{\"type\":\"text\"}");
    assert_int_equal(q->form, GATE_ANY);
    q = chat_with(
        "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
        "\"strict\":true,\"schema\":{\"type\":\"object\"}}}");
    assert_int_equal(q->form, GATE_SCHEMA);
    expect_json(q->schema, "{\"type\":\"object\"}");
    q = chat_with("\"guided_regex\":\"[a-z]+\"");
    assert_int_equal(q->form, GATE_REGEX);
    assert_true(str_is(q->grammar, "[a-z]+"));
    q = chat_with("\"structured_outputs\":{\"regex\":\"a|b\"}");
    assert_int_equal(q->form, GATE_REGEX);
    q = chat_with("\"guided_choice\":[\"a\\\"\",\"b\\n\"]");
    assert_int_equal(q->form, GATE_GBNF);
    assert_true(str_is(q->grammar, "root ::= \"a\\x22\" | \"b\\x0A\""));
    (void)chat_with("\"grammar\":\"root ::= \\\"a\\\"\",\"json_schema\":{}");
    expect_refused(400, "grammar");
    (void)chat_with("\"response_format\":{\"type\":\"json_schema\"}");
    expect_refused(400, "response_format.json_schema.schema");
    (void)chat_with("\"response_format\":{\"type\":\"xml\"}");
    expect_refused(400, "response_format.type");
}

static void test_tools(void **state)
{
    static const char two[] =
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\","
        "\"description\":\"d\",\"strict\":true,\"parameters\":{\"type\":"
        "\"object\"}}},{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]";
    char fields[1024];
    const struct gate_request *q = chat_with(two);

    (void)state;
    expect_json(
        q->tools,
        "[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"description\":\"d\","
        "\"parameters\":{\"type\":\"object\"},\"strict\":true}},{\"type\":\"function\","
        "\"function\":{\"name\":\"b\",\"parameters\":{\"type\":\"object\",\"properties\":"
        "{}}}}]");
    assert_int_equal(q->tool_choice, GATE_CALL_AUTO);
    assert_int_equal(q->one_call, 0);
    (void)snprintf(fields, sizeof(fields),
                   "%s,\"tool_choice\":\"required\",\"parallel_tool_calls\":false", two);
    q = chat_with(fields);
    assert_int_equal(q->tool_choice, GATE_CALL_REQUIRED);
    assert_int_equal(q->one_call, 1);
    (void)snprintf(fields, sizeof(fields),
                   "%s,\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"b\"}}",
                   two);
    q = chat_with(fields);
    assert_int_equal(q->tool_choice, GATE_CALL_REQUIRED);
    assert_true(str_is(q->tool_name, "b"));
    (void)snprintf(
        fields, sizeof(fields),
        "%s,\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":"
        "\"auto\",\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"b\"}}]}}",
        two);
    q = chat_with(fields);
    assert_int_equal(json_array_size(q->tools), 1);
    (void)snprintf(fields, sizeof(fields),
                   "%s,\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"c\"}}",
                   two);
    (void)chat_with(fields);
    expect_refused(400, "tool_choice");
    (void)chat_with("\"tool_choice\":\"required\"");
    expect_refused(400, "tool_choice");
}

/* What the web page of llama-server sends, who names no model where there is one. */
static void test_web_page(void **state)
{
    static const char body[] =
        "{%s\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\","
        "\"content\":\"b\"}],\"stream\":true,\"return_progress\":true,\"sse_ping_interval\":1,"
        "\"reasoning_format\":\"auto\",\"reasoning_control\":true,\"timings_per_token\":true,"
        "\"continue_final_message\":true,\"add_generation_prompt\":false,\"max_tokens\":-1,"
        "\"backend_sampling\":false}";
    char text[1024];

    (void)state;
    (void)snprintf(text, sizeof(text), body, "\"model\":\"m\",");
    assert_true(fake_post(&fake, lists, "/v1/chat/completions", text));
    assert_non_null(fake.sink);
    assert_int_equal(fake.q->prefill, 1);
    assert_true(fake.q->n_predict < 0);
    fake_start(&fake, 3, 0);
    fake_text(&fake, 0, "x");
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    assert_non_null(strstr(fake.call.out.p, "\"finish_reason\":\"stop\"}],\"timings\":{"));
    assert_null(strstr(fake.call.out.p, "\"choices\":[]"));
    assert_non_null(strstr(fake.call.headers.p, "reasoning_control has no effect"));
    assert_null(strstr(fake.call.headers.p, "sse_ping_interval"));
    /* There are several models here. */
    (void)snprintf(text, sizeof(text), body, "");
    assert_true(fake_post(&fake, lists, "/v1/chat/completions", text));
    assert_int_equal(fake.call.status, 400);
    assert_string_equal(said("param"), "model");
    assert_non_null(strstr(said("message"), "model is required"));
}

/* -- the table of what is refused ------------------------------------------------------ */

static void test_refused(void **state)
{
    static const struct {
        const char *fields, *param;
    } rows[] = {
        {"\"model\":5", "model"},
        {"\"temperature\":-1", "temperature"},
        {"\"temperature\":2.5", "temperature"},
        {"\"temperature\":\"1\"", "temperature"},
        {"\"top_p\":0", "top_p"},
        {"\"top_p\":7", "top_p"},
        {"\"top_k\":-9", "top_k"},
        {"\"top_k\":1.5", "top_k"},
        {"\"min_p\":2", "min_p"},
        {"\"presence_penalty\":3", "presence_penalty"},
        {"\"frequency_penalty\":[]", "frequency_penalty"},
        {"\"seed\":1.5", "seed"},
        {"\"seed\":\"x\"", "seed"},
        {"\"max_tokens\":0", "max_tokens"},
        {"\"max_tokens\":-5", "max_tokens"},
        {"\"max_completion_tokens\":1.5", "max_completion_tokens"},
        {"\"max_tokens\":5,\"max_completion_tokens\":6", "max_tokens"},
        {"\"n\":0", "n"},
        {"\"n\":1000000", "n"},
        {"\"stream\":\"yes\"", "stream"},
        {"\"stream_options\":{\"include_usage\":true}", "stream_options"},
        {"\"stream\":true,\"stream_options\":5", "stream_options"},
        {"\"stream\":true,\"stream_options\":{\"include_usage\":1}",
         "stream_options.include_usage"},
        {"\"stop\":\"\"", "stop"},
        {"\"stop\":5", "stop"},
        {"\"stop\":[\"a\",5]", "stop[1]"},
        {"\"stop\":[\"a\",\"\"]", "stop[1]"},
        {"\"stop\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "stop"},
        {"\"logit_bias\":5", "logit_bias"},
        {"\"logit_bias\":{\"x\":1}", "logit_bias.x"},
        {"\"logit_bias\":{\"-1\":1}", "logit_bias.-1"},
        {"\"logit_bias\":{\"99999999999\":1}", "logit_bias.99999999999"},
        {"\"logit_bias\":{\"1\":101}", "logit_bias.1"},
        {"\"logit_bias\":{\"1\":\"2\"}", "logit_bias.1"},
        {"\"logit_bias\":[[1]]", "logit_bias[0]"},
        {"\"logprobs\":1", "logprobs"},
        {"\"top_logprobs\":2", "top_logprobs"},
        {"\"logprobs\":true,\"top_logprobs\":21", "top_logprobs"},
        {"\"tools\":{}", "tools"},
        {"\"tools\":[5]", "tools[0]"},
        {"\"tools\":[{\"type\":\"function\"}]", "tools[0].function"},
        {"\"tools\":[{\"type\":\"custom\",\"custom\":{}}]", "tools[0].type"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a b\"}}]",
         "tools[0].function.name"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":5}}]",
         "tools[0].function.parameters"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\",\"parameters\":{"
         "\"type\":"
         "\"array\"}}}]",
         "tools[0].function.parameters"},
        {"\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"a\"}},{\"type\":"
         "\"function\","
         "\"function\":{\"name\":\"a\"}}]",
         "tools[1].function.name"},
        {"\"tool_choice\":5", "tool_choice"},
        {"\"tool_choice\":\"maybe\"", "tool_choice"},
        {"\"parallel_tool_calls\":1", "parallel_tool_calls"},
        {"\"response_format\":\"json\"", "response_format"},
        {"\"response_format\":{}", "response_format.type"},
        {"\"json_schema\":\"x\"", "json_schema"},
        {"\"grammar\":\"\"", "grammar"},
        {"\"reasoning_effort\":\"huge\"", "reasoning_effort"},
        {"\"reasoning\":{\"max_tokens\":-5}", "reasoning.max_tokens"},
        {"\"chat_template_kwargs\":[1]", "chat_template_kwargs"},
        {"\"chat_template_kwargs\":{\"enable_thinking\":\"x\"}",
         "chat_template_kwargs.enable_thinking"},
        {"\"chat_template\":\"x\"", "chat_template"},
        {"\"keep_alive\":\"banana\"", "keep_alive"},
        {"\"keep_alive\":[]", "keep_alive"},
        {"\"num_ctx\":1099511627776", "num_ctx"},
        {"\"continue_final_message\":true", "continue_final_message"},
        {"\"functions\":[{\"name\":\"a\"}]", "functions"},
        {"\"function_call\":{\"name\":\"a\"}", "function_call"},
        {"\"modalities\":[\"text\",\"audio\"]", "modalities"},
        {"\"audio\":{\"voice\":\"x\"}", "audio"},
        {"\"web_search_options\":{\"a\":1}", "web_search_options"},
        {"\"mirostat\":1", "mirostat"},
        {"\"best_of\":2", "best_of"},
        {"\"min_tokens\":5", "min_tokens"},
        {"\"samplers\":[\"top_k\"]", "samplers"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[2048];

        (void)snprintf(body, sizeof(body),
                       "{%s%s,\"messages\":[{\"role\":\"user\",\"content\":"
                       "\"Hi\"}]}",
                       strstr(rows[i].fields, "\"model\"") ? "" : "\"model\":\"m\",",
                       rows[i].fields);
        assert_true(fake_post(&fake, lists, "/v1/chat/completions", body));
        if (fake.call.status != 400 || strcmp(said("param"), rows[i].param) != 0)
            fail_msg("%s: %d %s", rows[i].fields, fake.call.status, fake.call.out.p);
        expect_refused(400, rows[i].param);
        assert_string_equal(said("type"), "invalid_request_error");
    }
}

/* Harmless values of what is not done, and nulls, are fine. */
static void test_harmless(void **state)
{
    const struct gate_request *q =
        chat_with("\"audio\":null,\"modalities\":[\"text\"],\"functions\":[],\"mirostat\":0,"
                  "\"best_of\":1,"
                  "\"temperature\":null,\"max_tokens\":null,\"tools\":null,\"stop\":null,"
                  "\"service_tier\":"
                  "\"auto\",\"store\":false,\"prediction\":null,\"logit_bias\":null,\"stream_"
                  "options\":null,"
                  "\"response_format\":null,\"tool_choice\":\"auto\",\"verbosity\":\"medium\"");

    (void)state;
    assert_non_null(q);
    assert_int_equal(fake.call.headers.n, 0);
}

/* Unknown fields are said, or refused where the client wants that. */
static void test_unknown(void **state)
{
    static const char body[] = "{\"model\":\"m\",\"wild\":1,\"messages\":[{\"role\":\"user\","
                               "\"content\":\"Hi\"}]}";

    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/chat/completions", body));
    fake_start(&fake, 1, 0);
    fake_done(&fake);
    assert_int_equal(fake.call.status, 200);
    assert_non_null(strstr(fake.call.headers.p, "wild"));
    assert_true(fake_send(&fake, lists, "POST", "/v1/chat/completions", "strict=1", NULL,
                          str_of(body)));
    expect_refused(400, "wild");
}

/* -- messages -------------------------------------------------------------------------- */

static struct gate_request *say(const char *messages)
{
    char body[8192];

    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"messages\":%s}", messages);
    assert_true(fake_post(&fake, lists, "/v1/chat/completions", body));
    if (fake.sink)
        fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_messages(void **state)
{
    const struct gate_request *q = say(
        "[{\"role\":\"developer\",\"content\":\"s\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,Zm9v\"}}]},"
        "{\"role\":\"assistant\",\"content\":null,\"refusal\":null,\"annotations\":[],"
        "\"reasoning_content\":\"why\",\"audio\":null,\"function_call\":null,\"tool_calls\":[{"
        "\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}},"
        "{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":\"g\",\"arguments\":"
        "\"{\\\"a\\\":1.0}\"}}]},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c2\",\"content\":\"two\"},"
        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"one\"}]}]");

    (void)state;
    assert_non_null(q);
    expect_json(
        q->messages,
        "[{\"role\":\"developer\",\"content\":\"s\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"image\",\"mime\":\"image/png\",\"data\":\"Zm9v\"}]},"
        "{\"role\":\"assistant\",\"reasoning_content\":\"why\",\"content\":null,"
        "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{}\"}},{\"id\":\"c2\",\"type\":\"function\",\"function\":{\"name\":"
        "\"g\",\"arguments\":\"{\\\"a\\\":1.0}\"}}]},"
        "{\"role\":\"tool\",\"content\":\"two\",\"name\":\"g\",\"tool_call_id\":\"c2\"},"
        "{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":\"one\"}],\"name\":"
        "\"f\",\"tool_call_id\":\"c1\"}]");
}

/* A call that was cut by the answer's length comes back as it was said. */
static void test_cut_call(void **state)
{
    static const char *const args[] = {"{\\\"city\\\": \\\"Par", "[1]",
                                       "{\\\"a\\\":1,\\\"a\\\":2}"};
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++) {
        const struct gate_request *q;

        (void)snprintf(
            text, sizeof(text),
            "[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\","
            "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"%s\"}}]},"
            "{\"role\":\"user\",\"content\":\"go on\"}]",
            args[i]);
        q = say(text);
        assert_non_null(q);
        expect_json(q->messages, text);
        assert_non_null(
            strstr(fake.call.headers.p,
                   "messages[0].tool_calls[0].function.arguments is not the JSON of "
                   "an object"));
    }
}

static void test_bad_messages(void **state)
{
#define CALL                                                                                   \
    "{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","      \
    "\"arguments\":\"{}\"}}]}"
    static const struct {
        const char *messages, *param;
    } rows[] = {
        {"null", "messages"},
        {"[]", "messages"},
        {"{}", "messages"},
        {"[1]", "messages[0]"},
        {"[{\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":5,\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"alien\",\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"function\",\"name\":\"f\",\"content\":\"x\"}]", "messages[0].role"},
        {"[{\"role\":\"user\"}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":null}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":5}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[]}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":[5]}]", "messages[0].content[0]"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]",
         "messages[0].content[0].text"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"alien\"}]}]",
         "messages[0].content[0].type"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\",\"input_audio\":{\"data\":"
         "\"\"}}]}]",
         "messages[0].content[0].type"},
        {"[{\"role\":\"system\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,Zm9v\"}}]}]",
         "messages[0].content[0].type"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"http://x/y.png\"}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"file:///etc/passwd\"}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:image/png;base64,Z*\"}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:text/html;base64,Zm9v\"}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":"
         "\"data:,\"}}]}]",
         "messages[0].content[0].image_url.url"},
        {"[{\"role\":\"assistant\"}]", "messages[0].content"},
        {"[{\"role\":\"assistant\",\"content\":null}]", "messages[0].content"},
        {"[{\"role\":\"user\",\"content\":\"x\",\"tool_calls\":[1]}]",
         "messages[0].tool_calls"},
        {"[{\"role\":\"user\",\"content\":\"x\",\"tool_call_id\":\"c\"}]",
         "messages[0].tool_call_id"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[5]}]", "messages[0].tool_calls[0]"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
         "\"{}"
         "\"}}]}]",
         "messages[0].tool_calls[0].id"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
         "\"arguments\":\"\"}},{\"id\":\"c\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]"
         "}]",
         "messages[0].tool_calls[1].id"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\"}]}]",
         "messages[0].tool_calls[0].function"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"function\":{\"name\":\"f\","
         "\"arguments\":5}}]}]",
         "messages[0].tool_calls[0].function.arguments"},
        {"[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"c\",\"type\":\"custom\"}]}]",
         "messages[0].tool_calls[0].type"},
        {"[{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}]",
         "messages[0].tool_call_id"},
        {"[" CALL ",{\"role\":\"tool\",\"content\":\"x\"}]", "messages[1].tool_call_id"},
        {"[" CALL ",{\"role\":\"tool\",\"tool_call_id\":\"d\",\"content\":\"x\"}]",
         "messages[1].tool_call_id"},
        {"[" CALL ",{\"role\":\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"},{\"role\":"
         "\"tool\",\"tool_call_id\":\"c\",\"content\":\"x\"}]",
         "messages[2].tool_call_id"},
        {"[" CALL ",{\"role\":\"tool\",\"tool_call_id\":\"c\"}]", "messages[1].content"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        (void)say(rows[i].messages);
        if (fake.call.status != 400 || strcmp(said("param"), rows[i].param) != 0)
            fail_msg("%s: %d %s", rows[i].messages, fake.call.status, fake.call.out.p);
        expect_refused(400, rows[i].param);
    }
}

static void test_prefill(void **state)
{
    const struct gate_request *q;

    (void)state;
    q = say(
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}],"
        "\"continue_final_message\":true");
    assert_int_equal(q->prefill, 1);
    q = say(
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]");
    assert_int_equal(q->prefill, 0);
}

/* -- ends ---------------------------------------------------------------------------------- */

static void begin_stream(void)
{
    assert_true(fake_post(&fake, lists, "/v1/chat/completions",
                          "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                          "\"content\":\"Hi\"}]}"));
    assert_non_null(fake.sink);
}

static int ends_with(const char *tail)
{
    size_t n = strlen(tail);

    return fake.call.out.n >= n && memcmp(fake.call.out.p + fake.call.out.n - n, tail, n) == 0;
}

static void test_ends(void **state)
{
    (void)state;
    /* The provider says no at once. */
    fake.start_fails = E_BUSY;
    assert_true(fake_post(&fake, lists, "/v1/chat/completions",
                          "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\","
                          "\"content\":\"Hi\"}]}"));
    assert_int_equal(fake.call.status, 503);
    assert_string_equal(said("code"), "overloaded");
    assert_non_null(strstr(fake.call.headers.p, "Retry-After"));
    fake.start_fails = 0;
    /* The client goes away: nothing more is written, the call is closed. */
    begin_stream();
    fake_start(&fake, 1, 0);
    fake_text(&fake, 0, "a");
    fake_tell(&fake, CALL_GONE);
    assert_int_equal(fake.cancelled, 1);
    fake_text(&fake, 0, "b");
    assert_int_equal(fake.says, GATE_STOP_NOW);
    fake_error(&fake, E_CANCELLED, "cancelled");
    assert_null(strstr(fake.call.out.p, "[DONE]"));
    assert_int_equal(fake.call.ended, 1);
    assert_int_equal(fake.n_freed, 1);
    /* Cancelled by the server in the middle. */
    begin_stream();
    fake_start(&fake, 1, 0);
    ask_cancel_all(&fake.serve);
    assert_int_equal(fake.cancelled, 1);
    fake_error(&fake, E_CANCELLED, "cancelled");
    assert_true(ends_with("\"code\":\"overloaded\"}}\n\ndata: [DONE]\n\n"));
    assert_int_equal(fake.call.cut, 0);
    assert_int_equal(fake.n_freed, 1);
    assert_int_equal(ask_count(&fake.serve), 0);
}

/* Memory runs out at each place in turn: an error or an end, never a leak or a crash. */
/* What only the engine sees is about a field of the client's, by the client's name. */
static void test_limits(void **state)
{
    const struct gate_request *q = chat_with("\"reasoning_budget\":100");

    (void)state;
    assert_int_equal(q->n_think, 100);
    assert_int_equal(q->think, GATE_THINK_AUTO);
    q = chat_with("\"reasoning\":{\"max_tokens\":5}");
    assert_int_equal(q->n_think, 5);
    q = chat_with("\"thinking_budget_tokens\":0,\"t_max_predict_ms\":20");
    assert_int_equal(q->n_think, 0);
    assert_int_equal(q->think, GATE_THINK_OFF);
    assert_true(q->most_ns == 20000000);
    q = chat_with("\"t_max_predict_ms\":-1");
    assert_int_equal(q->n_think, GATE_UNSET);
    assert_true(q->most_ns == 0);
}

static void test_wrong_fields(void **state)
{
    static const struct {
        const char *path, *more, *name;
        int field;
    } cases[] = {
        {"/v1/chat/completions", "", "messages", GATE_F_PROMPT},
        {"/v1/completions", ",\"prompt\":\"x\"", "prompt", GATE_F_PROMPT},
        {"/v1/responses", ",\"input\":\"x\"", "input", GATE_F_PROMPT},
        {"/v1/embeddings", ",\"input\":\"x\"", "input", GATE_F_PROMPT},
        {"/v1/rerank", ",\"query\":\"q\",\"documents\":[\"d\"]", "documents", GATE_F_PROMPT},
        {"/v1/chat/completions", ",\"response_format\":{\"type\":\"json_object\"}",
         "response_format", GATE_F_FORM},
        {"/v1/chat/completions", ",\"grammar\":\"root ::= x\"", "grammar", GATE_F_FORM},
        {"/v1/chat/completions", ",\"guided_json\":{}", "guided_json", GATE_F_FORM},
        {"/v1/responses", ",\"input\":\"x\",\"text\":{\"format\":{\"type\":\"json_object\"}}",
         "text.format", GATE_F_FORM},
        {"/v1/chat/completions", ",\"reasoning_effort\":\"low\"", "reasoning_effort",
         GATE_F_THINK},
        {"/v1/responses", ",\"input\":\"x\",\"reasoning\":{\"effort\":\"low\"}",
         "reasoning.effort", GATE_F_THINK},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char body[400];

        (void)snprintf(body, sizeof(body), "{\"model\":\"m\"%s%s}",
                       strstr(cases[i].path, "chat")
                           ? ",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]"
                           : "",
                       cases[i].more);
        assert_true(fake_post(&fake, lists, cases[i].path, body));
        assert_non_null(fake.q);
        assert_string_equal(fake.q->field[cases[i].field], cases[i].name);
        fake_error_param(&fake, E_INVALID, "is wrong", fake.q->field[cases[i].field]);
        assert_int_equal(fake.call.status, 400);
        assert_string_equal(said("param"), cases[i].name);
        assert_string_equal(said("code"), "invalid_value");
        assert_string_equal(said("type"), "invalid_request_error");
    }
    assert_true(fake_post(&fake, lists, "/v1/completions",
                          "{\"model\":\"m\",\"prompt\":\"x\",\"stream\":true}"));
    fake_start(&fake, 1, 0);
    fake_text(&fake, 0, "y");
    fake_error_param(&fake, E_TOO_LONG, "is too long", "prompt");
    assert_non_null(strstr(fake.call.out.p, "\"param\":\"prompt\",\"code\":\"context_length"));
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 400; at++) {
        (void)mem_fail_at(at, 0);
        if (fake_post(&fake, lists, "/v1/chat/completions",
                      "{\"model\":\"m\",\"stop\":[\"a\"],\"logit_bias\":{\"1\":1},\"tools\":[{"
                      "\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"messages\":[{"
                      "\"role\":\"user\",\"content\":\"Hi\"}]}")) {
            fake_start(&fake, 1, 0);
            fake_text(&fake, 0, "a");
            fake_tool(&fake, 0, 0, "", "f", "{}", 1);
            fake_finish(&fake, 0, GATE_CALLS);
            fake_done(&fake);
        }
        (void)mem_fail_at(0, 0);
        assert_int_equal(fake.call.ended, 1);
        assert_int_equal(fake.n_started, fake.n_freed);
    }
    assert_int_equal(fake.call.status, 200);
}

/* -- models -------------------------------------------------------------------------------- */

static void test_models(void **state)
{
    json_t *o;

    (void)state;
    assert_true(fake_get(&fake, lists, "/v1/models"));
    assert_int_equal(fake.call.status, 200);
    o = json_loadb(fake.call.out.p, fake.call.out.n, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(o, "data")), 3);
    expect_json(
        json_array_get(json_object_get(o, "data"), 0),
        "{\"id\":\"new:latest\",\"object\":\"model\",\"created\":1700000000,\"owned_by\":"
        "\"library\",\"capabilities\":[\"completion\",\"tools\"],\"context_length\":2048}");
    json_decref(o);
    /* What requests have, not what the file says. */
    fake.serve.local = (struct local *)(void *)&fake;
    assert_true(fake_get(&fake, lists, "/v1/models/new:latest"));
    fake.serve.local = NULL;
    assert_non_null(strstr(fake.call.out.p, "\"context_length\":128}"));
    assert_true(fake_get(&fake, lists, "/v1/models/hf.co/a/b:q4"));
    assert_int_equal(fake.call.status, 200);
    assert_non_null(strstr(fake.call.out.p, "\"id\":\"hf.co/a/b:q4\""));
    assert_true(fake_get(&fake, lists, "/v1/models/none"));
    assert_int_equal(fake.call.status, 404);
    assert_string_equal(said("code"), "model_not_found");
    assert_string_equal(said("param"), "model");
}

static void test_other_bodies(void **state)
{
    static const struct {
        const char *path, *body, *param;
    } rows[] = {
        {"/v1/completions", "{\"model\":\"m\"}", "prompt"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":5}", "prompt"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":[]}", "prompt"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":[1,-1]}", "prompt"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":[1,\"x\"]}", "prompt"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\",\"best_of\":3}", "best_of"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\",\"logprobs\":true}", "logprobs"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":[1],\"echo\":true}", "echo"},
        {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"x\",\"echo\":true,\"logprobs\":1}",
         "echo"},
        {"/v1/embeddings", "{\"model\":\"m\"}", "input"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[]}", "input"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"\"}", "input"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[\"a\",\"\"]}", "input[1]"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":[[]]}", "input[0]"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":{\"a\":1}}", "input"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":0}", "dimensions"},
        {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":\"x\"}",
         "encoding_format"},
        {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\"}", "documents"},
        {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[]}", "documents"},
        {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[5]}", "documents[0]"},
        {"/v1/rerank", "{\"model\":\"m\",\"query\":\"\",\"documents\":[\"a\"]}", "query"},
        {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0}",
         "top_n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_true(fake_post(&fake, lists, rows[i].path, rows[i].body));
        if (fake.call.status != 400 || strcmp(said("param"), rows[i].param) != 0)
            fail_msg("%s: %d %s", rows[i].body, fake.call.status, fake.call.out.p);
        expect_refused(400, rows[i].param);
    }
}

static void test_inputs(void **state)
{
    (void)state;
    assert_true(fake_post(&fake, lists, "/v1/embeddings",
                          "{\"model\":\"m\",\"input\":[[1,2],[3]],\"dimensions\":2}"));
    assert_int_equal(fake.q->kind, GATE_EMBED);
    assert_int_equal(fake.q->n_input, 2);
    assert_int_equal(fake.q->input[0].n_id, 2);
    assert_int_equal(fake.q->input[1].ids[0], 3);
    assert_int_equal(fake.q->n_dim, 2);
    assert_int_equal(fake.q->normalize, 1);
    fake_error(&fake, E_CANCELLED, "enough");
    assert_true(
        fake_post(&fake, lists, "/v1/completions",
                  "{\"model\":\"m\",\"prompt\":\"a\",\"suffix\":\"b\",\"max_tokens\":3}"));
    assert_int_equal(fake.q->kind, GATE_INFILL);
    assert_true(str_is(fake.q->input->text, "a") && str_is(fake.q->suffix, "b"));
    assert_int_equal(fake.q->n_predict, 3);
    fake_error(&fake, E_CANCELLED, "enough");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transcripts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_given, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tools, setup, teardown),
        cmocka_unit_test_setup_teardown(test_web_page, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_harmless, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prefill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_models, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inputs, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

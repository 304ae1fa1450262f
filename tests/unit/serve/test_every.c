/* Every field of every endpoint: an unknown one is reported wherever it stands, and refused
 * where that is asked for; a known one of a wrong type is refused by its name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake.h"

#include "serve/api/anthropic.h"
#include "serve/api/llama.h"
#include "serve/api/ollama.h"
#include "serve/api/openai_routes.h"

static const struct route_list lists[] = {{api_openai_routes, API_OPENAI_N_ROUTE},
                                          {anthropic_routes, ANTHROPIC_N_ROUTE},
                                          {ollama_routes, OLLAMA_N_ROUTE},
                                          {llama_routes, LLAMA_N_ROUTE},
                                          {NULL, 0}};

static struct fake fake;

/* -- bodies with all that can nest -----------------------------------------------------------
 */

#define PNG "iVBORw0KGgo="
#define CALLS                                                                                  \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"a\",\"index\":0,"      \
    "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define TOOL                                                                                   \
    "{\"type\":\"function\",\"function\":{\"name\":\"f\",\"description\":\"d\",\"strict\":"    \
    "true,\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}}}"
#define CHAT(more)                                                                             \
    "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\","       \
    "\"text\":\"h\"},{\"type\":\"image_url\",\"image_url\":{\"url\":"                          \
    "\"data:image/png;base64," PNG "\",\"detail\":\"low\"}}]}," CALLS                          \
    ",{\"role\":\"tool\",\"tool_call_id\":\"a\",\"content\":[{\"type\":\"text\",\"text\":"     \
    "\"r\"}]}],\"tools\":[" TOOL "]," more "}"
#define FLAT                                                                                   \
    "{\"type\":\"function\",\"name\":\"f\",\"description\":\"d\",\"strict\":true,"             \
    "\"parameters\":{\"type\":\"object\"}}"
#define SCHEMA "{\"type\":\"object\"}"

static const struct {
    const char *path, *body;
} bodies[] = {
    {"/v1/chat/completions",
     CHAT("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}},\"stream\":"
          "true,\"stream_options\":{\"include_usage\":true},\"reasoning\":{\"effort\":\"low\"},"
          "\"structured_outputs\":{\"regex\":\"a\"}")},
    {"/v1/chat/completions",
     CHAT("\"tool_choice\":{\"type\":\"function\",\"name\":\"f\"},\"response_format\":{"
          "\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\",\"schema\":" SCHEMA "}}")},
    {"/v1/chat/completions",
     CHAT("\"tool_choice\":{\"type\":\"allowed_tools\",\"allowed_tools\":{\"mode\":\"auto\","
          "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}}")},
    {"/v1/chat/completions",
     CHAT("\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":["
          "{\"type\":\"function\",\"name\":\"f\"}]}")},
    {"/apply-template", CHAT("\"tool_choice\":\"auto\"")},
    {"/v1/completions",
     "{\"model\":\"m\",\"prompt\":\"h\",\"stream\":true,\"stream_options\":"
     "{\"include_usage\":true},\"response_format\":{\"type\":\"json_object\"}"
     "}"},
    {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"h\"}"},
    {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\",{\"text\":\"e\"}]}"},
    {"/v1/responses",
     "{\"model\":\"m\",\"text\":{\"format\":{\"type\":\"json_schema\",\"name\":\"x\","
     "\"schema\":" SCHEMA "}},\"reasoning\":{\"effort\":\"low\"},\"tools\":[" FLAT
     ",{\"type\":\"namespace\",\"name\":\"s\",\"description\":\"d\",\"tools\":[" FLAT
     "]}],\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"auto\",\"tools\":[{\"type\":"
     "\"function\",\"name\":\"f\"}]},\"input\":[{\"role\":\"user\",\"content\":[{\"type\":"
     "\"input_text\",\"text\":\"h\"},{\"type\":\"input_image\",\"detail\":\"auto\","
     "\"image_url\":\"data:image/png;base64," PNG "\"}]},{\"type\":\"reasoning\",\"id\":\"r\","
     "\"summary\":[{\"type\":\"summary_text\",\"text\":\"s\"}],\"content\":[{\"type\":"
     "\"reasoning_text\",\"text\":\"w\"}]},{\"type\":\"message\",\"role\":\"assistant\","
     "\"status\":\"completed\",\"content\":[{\"type\":\"output_text\",\"text\":\"b\","
     "\"annotations\":[],\"logprobs\":[]},{\"type\":\"refusal\",\"refusal\":\"no\"}]},"
     "{\"type\":\"function_call\",\"call_id\":\"c\",\"name\":\"f\",\"arguments\":\"{}\"},"
     "{\"type\":\"function_call_output\",\"call_id\":\"c\",\"output\":[{\"type\":"
     "\"input_text\",\"text\":\"o\"}]}]}"},
    {"/v1/responses",
     "{\"model\":\"m\",\"input\":\"h\",\"tools\":[" FLAT "],\"tool_choice\":{\"type\":"
     "\"function\",\"name\":\"f\"}}"},
    {"/v1/responses/input_tokens", "{\"model\":\"m\",\"input\":\"h\"}"},
    {"/v1/messages",
     "{\"model\":\"m\",\"max_tokens\":2000,\"metadata\":{\"user_id\":\"u\"},\"system\":[{"
     "\"type\":\"text\",\"text\":\"s\"}],\"thinking\":{\"type\":\"enabled\","
     "\"budget_tokens\":1024},\"output_config\":{\"effort\":\"low\",\"format\":{\"type\":"
     "\"json_schema\",\"schema\":" SCHEMA
     "}},\"tools\":[{\"name\":\"f\",\"input_schema\":" SCHEMA
     "}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"f\"},\"messages\":[{\"role\":\"user\","
     "\"content\":[{\"type\":\"text\",\"text\":\"h\"},{\"type\":\"image\",\"source\":{"
     "\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"" PNG "\"}},{\"type\":"
     "\"document\",\"title\":\"t\",\"source\":{\"type\":\"content\",\"content\":[{\"type\":"
     "\"text\",\"text\":\"d\"}]}},{\"type\":\"search_result\",\"source\":\"s\",\"title\":"
     "\"t\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]}]},{\"role\":\"assistant\","
     "\"content\":[{\"type\":\"thinking\",\"thinking\":\"w\",\"signature\":\"s\"},{\"type\":"
     "\"redacted_thinking\",\"data\":\"x\"},{\"type\":\"tool_use\",\"id\":\"c\",\"name\":"
     "\"f\",\"input\":{\"a\":1}}]},{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
     "\"tool_use_id\":\"c\",\"content\":[{\"type\":\"text\",\"text\":\"r\"}]}]}]}"},
    {"/v1/messages/count_tokens",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}"},
    {"/api/chat",
     "{\"model\":\"m\",\"options\":{\"top_k\":1},\"messages\":[{\"role\":\"user\",\"content\":"
     "\"h\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\","
     "\"function\":{\"index\":0,\"name\":\"f\",\"arguments\":{\"x\":1}}}]},{\"role\":\"tool\","
     "\"content\":\"r\",\"tool_name\":\"f\"}],\"tools\":[" TOOL "]}"},
    {"/api/generate", "{\"model\":\"m\",\"prompt\":\"h\",\"options\":{\"top_k\":1}}"},
    {"/api/embed", "{\"model\":\"m\",\"input\":\"h\",\"options\":{\"num_ctx\":64}}"},
    {"/api/embeddings", "{\"model\":\"m\",\"prompt\":\"h\"}"},
    {"/api/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"]}"},
    {"/completion", "{\"model\":\"m\",\"prompt\":[\"h\",{\"prompt_string\":\"i\","
                    "\"multimodal_data\":[]}]}"},
    {"/infill", "{\"model\":\"m\",\"input_prefix\":\"a\",\"input_suffix\":\"b\","
                "\"input_extra\":[{\"filename\":\"f\",\"text\":\"t\"}]}"},
    {"/embedding", "{\"model\":\"m\",\"content\":\"h\"}"},
    {"/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\",{\"text\":\"e\"}]}"},
};

/* -- unknown ones ----------------------------------------------------------------------------
 */

/* Objects of the client's own making: what is in them is no field. */
static int is_free(const char *key)
{
    static const char *const keys[] = {"parameters", "schema",       "arguments",
                                       "input",      "input_schema", "logit_bias"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        if (strcmp(key, keys[i]) == 0)
            return 1;
    }
    return 0;
}

/* The object number *n of v, counted down. NULL: there are fewer. */
static json_t *object_at(json_t *v, int *n)
{
    const char *key;
    json_t *in, *found = NULL;
    size_t i;

    if (json_is_object(v) && (*n)-- == 0)
        return v;
    json_array_foreach(v, i, in)
    {
        if (!found)
            found = object_at(in, n);
    }
    json_object_foreach(v, key, in)
    {
        if (!found && !(is_free(key) && json_is_object(in)))
            found = object_at(in, n);
    }
    return found;
}

static void send(const char *path, const char *query, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);

    assert_true(fake_send(&fake, lists, "POST", path, query, NULL, str_of(text)));
    if (fake.sink)
        fake_error(&fake, E_CANCELLED, "enough");
    free(text);
}

static int said(const char *word)
{
    return (fake.call.headers.n && strstr(fake.call.headers.p, word)) ||
           (fake.call.out.n && strstr(fake.call.out.p, word));
}

/* Whether a field in the object number n is told. 0: there is no such object. */
static int one_unknown(const char *path, const char *text, int n)
{
    json_t *body = json_loads(text, 0, NULL), *o;
    char *shown;
    int left = n;

    assert_non_null(body);
    o = object_at(body, &left);
    if (o) {
        assert_int_equal(json_object_set_new(o, "zzz", json_integer(1)), 0);
        shown = json_dumps(o, JSON_COMPACT);
        send(path, NULL, body);
        if (!fake.n_started || !said("zzz is not known here"))
            fail_msg("%s: zzz passes in %s: %d %s%s", path, shown, fake.call.status,
                     fake.call.headers.n ? fake.call.headers.p : "", fake.call.out.p);
        send(path, "strict=1", body);
        if (fake.n_started || fake.call.status != 400 || !said("zzz is not a field"))
            fail_msg("%s: zzz passes strictly in %s: %d %s", path, shown, fake.call.status,
                     fake.call.out.p);
        free(shown);
    }
    json_decref(body);
    return o != NULL;
}

static void test_unknown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        json_t *body = json_loads(bodies[i].body, 0, NULL);

        if (!body)
            fail_msg("%s: no JSON: %s", bodies[i].path, bodies[i].body);
        send(bodies[i].path, "strict=1", body);
        if (!fake.n_started)
            fail_msg("%s: %s", bodies[i].path, fake.call.out.p);
        if (said("not known here"))
            fail_msg("%s: %s", bodies[i].path, fake.call.headers.p);
        json_decref(body);
        for (int n = 0; one_unknown(bodies[i].path, bodies[i].body, n); n++)
            ;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown),
    };
    struct err e = {0};
    int rc;

    fake_open(&fake);
    if (ask_list_new(&fake.serve.asks, &e) < 0)
        return 1;
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    ask_list_free(fake.serve.asks);
    fake_close(&fake);
    return rc;
}

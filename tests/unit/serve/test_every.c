/* Every field of every endpoint: an unknown one is reported wherever it stands, and refused
 * where that is asked for; a known one of a wrong type is refused by its name. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake.h"

#include "fmt/jtext.h"
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

/* -- wrong types --------------------------------------------------------------------------- */

/* kind:name ...; see wrong_values. A name with a point stands in an object. */
#define OF_SAMPLING                                                                            \
    "n:temperature n:top_p n:presence_penalty n:frequency_penalty i:seed i:top_k n:min_p "     \
    "n:typical_p n:typ_p n:top_n_sigma n:repeat_penalty n:repetition_penalty "                 \
    "i:repeat_last_n n:dynatemp_range n:dynatemp_exponent n:xtc_probability n:xtc_threshold "  \
    "n:dry_multiplier n:dry_base i:dry_allowed_length i:dry_penalty_last_n i:min_keep "        \
    "b:ignore_eos p:logit_bias b:cache_prompt i:num_ctx t:stop s:grammar s:guided_grammar "    \
    "s:guided_regex a:guided_choice o:structured_outputs i:mirostat i:min_tokens "             \
    "i:t_max_predict_ms i:id_slot i:n_keep i:n_cache_reuse b:return_progress "                 \
    "b:return_tokens b:backend_sampling i:sse_ping_interval "
#define OF_ALL  "s:model k:keep_alive s:user s:safety_identifier "
#define OF_TEXT "b:stream o:stream_options i:max_tokens i:n_predict i:n "

static const struct {
    const char *path, *body, *fields;
} typed[] = {
    {"/v1/chat/completions",
     "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}",
     OF_ALL OF_SAMPLING OF_TEXT
     "a:messages i:max_completion_tokens a:tools c:tool_choice b:parallel_tool_calls "
     "o:response_format b:logprobs i:top_logprobs s:reasoning_effort o:reasoning "
     "s:reasoning.effort i:reasoning.max_tokens s:reasoning.summary i:reasoning_budget "
     "i:thinking_budget_tokens o:chat_template_kwargs b:continue_final_message b:store "
     "s:service_tier s:verbosity b:timings_per_token m:metadata s:prompt_cache_key "
     "s:prompt_cache_retention o:prediction b:reasoning_control b:add_generation_prompt"},
    {"/v1/completions", "{\"model\":\"m\",\"prompt\":\"h\"}",
     OF_ALL OF_SAMPLING OF_TEXT "b:timings_per_token p:prompt s:suffix b:echo i:best_of "
                                "i:logprobs o:response_format m:metadata"},
    {"/v1/embeddings", "{\"model\":\"m\",\"input\":\"h\"}",
     OF_ALL "p:input i:dimensions s:encoding_format b:cache_prompt"},
    {"/v1/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"]}",
     OF_ALL "s:query a:documents i:top_n b:return_documents b:cache_prompt"},
    {"/v1/responses", "{\"model\":\"m\",\"input\":\"h\"}",
     OF_ALL OF_SAMPLING
     "p:input s:instructions i:max_output_tokens b:stream o:stream_options "
     "s:previous_response_id b:store a:tools c:tool_choice b:parallel_tool_calls o:text "
     "o:text.format s:text.verbosity o:reasoning s:reasoning.effort s:reasoning.summary "
     "a:include s:truncation i:top_logprobs s:service_tier m:metadata o:chat_template_kwargs "
     "s:prompt_cache_key s:prompt_cache_retention o:client_metadata i:max_tool_calls "
     "b:timings_per_token"},
    {"/v1/messages",
     "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}",
     "s:model a:messages i:max_tokens p:system b:stream n:temperature n:top_p i:top_k "
     "a:stop_sequences a:tools o:tool_choice o:thinking o:output_config s:output_config.effort "
     "o:output_config.format o:output_config.task_budget o:output_format o:metadata "
     "s:metadata.user_id o:cache_control s:service_tier s:inference_geo a:betas "
     "a:anthropic_beta s:user_profile_id s:workspace_id o:diagnostics o:context_management"},
    {"/api/chat", "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}",
     "s:model a:messages a:tools b:stream f:format o:options b:truncate b:shift b:logprobs "
     "i:top_logprobs k:think k:keep_alive n:options.temperature n:options.top_p "
     "n:options.min_p n:options.typical_p n:options.repeat_penalty "
     "n:options.presence_penalty n:options.frequency_penalty i:options.top_k "
     "i:options.repeat_last_n i:options.seed i:options.num_predict i:options.num_ctx "
     "t:options.stop n:options.top_n_sigma n:options.dynatemp_range "
     "n:options.dynatemp_exponent n:options.xtc_probability n:options.xtc_threshold "
     "n:options.dry_multiplier n:options.dry_base i:options.dry_allowed_length "
     "i:options.dry_last_n i:options.min_keep b:options.ignore_eos i:options.num_keep "
     "i:options.num_batch i:options.num_gpu i:options.main_gpu i:options.num_thread "
     "b:options.use_mmap i:options.draft_num_predict i:options.mirostat "
     "n:options.mirostat_tau n:options.mirostat_eta b:options.penalize_newline "
     "b:options.low_vram b:options.f16_kv b:options.logits_all b:options.vocab_only "
     "b:options.use_mlock b:options.numa"},
    {"/api/generate", "{\"model\":\"m\",\"prompt\":\"h\"}",
     "s:model s:prompt s:suffix s:system s:template a:context b:raw a:images b:stream f:format "
     "o:options b:truncate b:shift b:logprobs i:top_logprobs k:think k:keep_alive"},
    {"/api/embed", "{\"model\":\"m\",\"input\":\"h\"}",
     "s:model o:options b:truncate k:keep_alive t:input i:dimensions"},
    {"/api/embeddings", "{\"model\":\"m\",\"prompt\":\"h\"}",
     "s:model o:options b:truncate k:keep_alive s:prompt"},
    {"/api/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"]}",
     "s:model o:options b:truncate k:keep_alive s:query a:documents i:top_n"},
    {"/completion", "{\"model\":\"m\",\"prompt\":\"h\"}",
     "s:model p:prompt n:temperature n:dynatemp_range n:dynatemp_exponent i:top_k n:top_p "
     "n:min_p n:typical_p n:top_n_sigma n:xtc_probability n:xtc_threshold n:repeat_penalty "
     "n:presence_penalty n:frequency_penalty i:repeat_last_n n:dry_multiplier n:dry_base "
     "i:dry_allowed_length i:dry_penalty_last_n i:min_keep i:seed b:ignore_eos p:logit_bias "
     "n:mirostat_tau n:mirostat_eta n:adaptive_decay s:grammar a:preserved_tokens i:n_predict "
     "i:max_tokens t:stop i:t_max_predict_ms i:t_max_prompt_ms i:n_keep i:n_discard i:n_cmpl "
     "i:n i:id_slot b:cache_prompt i:n_cache_reuse b:backend_sampling s:user b:stream "
     "i:n_probs b:return_tokens a:response_fields b:timings_per_token b:return_progress "
     "i:sse_ping_interval b:verbose s:input_prefix s:input_suffix a:input_extra"},
    {"/embedding", "{\"model\":\"m\",\"content\":\"h\"}",
     "s:model p:content i:embd_normalize b:cache_prompt s:user"},
    {"/rerank", "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"d\"]}",
     "s:model s:query a:documents i:top_n b:return_documents b:return_text b:cache_prompt "
     "s:user"},
};

static const char *wrong_values(char kind)
{
    static const struct {
        char kind;
        const char *values; /* a JSON array */
    } rows[] = {
        {'s', "[5,true,[\"x\"],{\"x\":1}]"},
        {'n', "[\"1\",true,[1],{\"x\":1}]"},
        {'i', "[\"1\",1.5,true,[1],{\"x\":1}]"},
        {'b', "[5,\"true\",[true],{\"x\":1}]"},
        {'a', "[5,\"x\",true,{\"x\":1}]"},
        {'o', "[5,\"x\",true,[1]]"},
        {'m', "[5,\"x\",[],{\"x\":1}]"},        /* an object of strings */
        {'c', "[5,true,[\"auto\"],{\"x\":1}]"}, /* a word, or an object with a type */
        {'k', "[[1],{\"x\":1},\"never\"]"},     /* a duration, a level */
        {'t', "[5,true,[5],{\"x\":1}]"},        /* a text or several */
        {'p', "[true,\"\\u0000\"]"},            /* more than that */
        {'f', "[5,true,[1],\"xml\"]"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        if (rows[i].kind == kind)
            return rows[i].values;
    }
    fail_msg("no kind %c", kind);
    return "";
}

/* The body with name, which may have a point, set to v: a new reference. */
static json_t *with(const char *text, const char *name, json_t *v)
{
    json_t *body = json_loads(text, 0, NULL), *in = body;
    const char *point = strchr(name, '.');

    assert_non_null(body);
    if (point) {
        char first[40];

        (void)snprintf(first, sizeof(first), "%.*s", (int)(point - name), name);
        in = json_object();
        assert_int_equal(json_object_set_new(body, first, in), 0);
        name = point + 1;
    }
    assert_int_equal(json_object_set(in, name, v), 0);
    return body;
}

static void one_wrong(const char *path, const char *text, char kind, const char *name)
{
    json_t *values = json_loads(wrong_values(kind), JSON_ALLOW_NUL, NULL), *v;
    size_t i;

    assert_non_null(values);
    json_array_foreach(values, i, v)
    {
        json_t *body = with(text, name, v);
        char *shown = json_dumps(v, JSON_ENCODE_ANY);

        if (kind != 'p' || i == 0) {
            send(path, NULL, body);
            if (fake.n_started || fake.call.status != 400 || !said(name))
                fail_msg("%s: %s is taken as %s: %d %s %s", path, shown, name, fake.call.status,
                         fake.call.out.p, fake.call.headers.n ? fake.call.headers.p : "");
            if (strncmp(path, "/v1/", 4) == 0 && !strstr(path, "/messages")) {
                json_t *o = json_loads(fake.call.out.p, 0, NULL);
                const char *param =
                    json_string_value(json_object_get(json_object_get(o, "error"), "param"));

                if (!param || strncmp(param, name, strlen(name)) != 0)
                    fail_msg("%s: %s as %s: %s", path, shown, name, fake.call.out.p);
                json_decref(o);
            }
        }
        free(shown);
        json_decref(body);
    }
    json_decref(values);
}

static void test_wrong(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(typed) / sizeof(*typed); i++) {
        const char *at = typed[i].fields;

        while (*at) {
            char name[48];
            size_t n = strcspn(at, " ");

            (void)snprintf(name, sizeof(name), "%.*s", (int)n - 2, at + 2);
            one_wrong(typed[i].path, typed[i].body, at[0], name);
            at += n + (at[n] == ' ');
        }
    }
}

/* -- two names of one thing, and what else contradicts itself --------------------------------
 */

static void test_differ(void **state)
{
    static const struct {
        const char *path, *fields, *param; /* param NULL: it is taken */
    } rows[] = {
        {"/v1/chat/completions", "\"reasoning_budget\":3,\"thinking_budget_tokens\":4",
         "thinking_budget_tokens"},
        {"/v1/chat/completions", "\"reasoning_budget\":3,\"thinking_budget_tokens\":3.0", NULL},
        {"/v1/chat/completions", "\"reasoning_budget\":3,\"thinking_budget_tokens\":null",
         NULL},
        {"/v1/chat/completions", "\"reasoning_budget\":3,\"reasoning\":{\"max_tokens\":4}",
         "reasoning.max_tokens"},
        {"/v1/chat/completions",
         "\"reasoning_effort\":\"high\",\"reasoning\":{\"effort\":\"low\"}",
         "reasoning.effort"},
        {"/v1/chat/completions",
         "\"reasoning_effort\":\"low\",\"reasoning\":{\"effort\":\"low\"}", NULL},
        {"/v1/chat/completions",
         "\"reasoning_effort\":\"none\",\"chat_template_kwargs\":{\"enable_thinking\":true}",
         "chat_template_kwargs.enable_thinking"},
        {"/v1/chat/completions",
         "\"reasoning_effort\":\"low\",\"chat_template_kwargs\":{\"enable_thinking\":false}",
         "chat_template_kwargs.enable_thinking"},
        {"/v1/chat/completions",
         "\"reasoning_effort\":\"none\",\"chat_template_kwargs\":{\"enable_thinking\":false}",
         NULL},
        {"/v1/responses",
         "\"input\":\"h\",\"reasoning\":{\"effort\":\"none\"},\"chat_template_kwargs\":{"
         "\"enable_thinking\":true}",
         "chat_template_kwargs.enable_thinking"},
        {"/apply-template",
         "\"reasoning_effort\":\"none\",\"chat_template_kwargs\":{\"enable_thinking\":true}",
         "chat_template_kwargs.enable_thinking"},
        {"/v1/chat/completions", "\"typ_p\":0.5,\"typical_p\":0.4", "typ_p"},
        {"/v1/chat/completions", "\"max_tokens\":5,\"max_completion_tokens\":4", "max_tokens"},
        {"/completion", "\"prompt\":\"h\",\"n_predict\":5,\"max_tokens\":4", "max_tokens"},
        {"/completion", "\"prompt\":\"h\",\"n\":1,\"n_cmpl\":2", "n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[600];

        (void)snprintf(body, sizeof(body), "{\"model\":\"m\",%s%s}", rows[i].fields,
                       strstr(rows[i].fields, "\"h\"")
                           ? ""
                           : ",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]");
        assert_true(fake_post(&fake, lists, rows[i].path, body));
        if (fake.sink)
            fake_error(&fake, E_CANCELLED, "enough");
        if (rows[i].param ? fake.n_started || !said(rows[i].param) || !said("differs")
                          : !fake.n_started)
            fail_msg("%s: %d %s", body, fake.call.status, fake.call.out.p);
    }
}

/* What only the model can tell is told by the name that the request used. */
static void test_think_name(void **state)
{
    static const struct {
        const char *fields, *name;
    } rows[] = {
        {"\"reasoning_effort\":\"low\"", "reasoning_effort"},
        {"\"reasoning\":{\"effort\":\"low\"}", "reasoning.effort"},
        {"\"chat_template_kwargs\":{\"enable_thinking\":true}",
         "chat_template_kwargs.enable_thinking"},
        {"\"reasoning_effort\":\"low\",\"chat_template_kwargs\":{\"enable_thinking\":true}",
         "reasoning_effort"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char body[300];

        (void)snprintf(
            body, sizeof(body),
            "{\"model\":\"m\",%s,\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}",
            rows[i].fields);
        assert_true(fake_post(&fake, lists, "/v1/chat/completions", body));
        assert_non_null(fake.sink);
        assert_string_equal(fake.q->field[GATE_F_THINK], rows[i].name);
        fake_error(&fake, E_CANCELLED, "enough");
    }
}

/* -- numbers past 64 bits ------------------------------------------------------------------ */

#define BIG "18446744073709551615"
#define HI  "\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}"

/* JSON of the request that came, in which the number must stand as it was sent. */
static void expect_big(const json_t *v)
{
    struct buf b;

    buf_init(&b, 10000);
    assert_int_equal(jtext_put(&b, v, 0), 0);
    if (!strstr(b.p, ":" BIG "}"))
        fail_msg("%s", b.p);
    buf_done(&b);
}

static void test_big(void **state)
{
    static const struct {
        const char *path, *body, *says; /* says NULL: it is taken */
    } rows[] = {
        {"/v1/chat/completions", "{\"seed\":9223372036854775808," HI "]}",
         "\"seed is 9223372036854775808, expected"},
        {"/api/chat", "{\"options\":{\"seed\":9223372036854775808}," HI "]}",
         "options.seed is 9223372036854775808, expected"},
        {"/v1/messages", "{\"max_tokens\":9,\"temperature\":" BIG "," HI "]}",
         "temperature is " BIG ", expected 0 to 1"},
        {"/completion", "{\"model\":\"m\",\"prompt\":\"h\",\"seed\":" BIG "}", "seed is " BIG},
        {"/v1/chat/completions", "{\"stop\":" BIG "," HI "]}", "stop is " BIG},
        {"/v1/chat/completions", "{\"temperature\":1e400," HI "]}",
         "the number 1e400 is out of range"},
        {"/v1/chat/completions", "{\"foo\":" BIG "," HI "]}", NULL},
        {"/v1/chat/completions",
         "{\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":\"x\","
         "\"schema\":"
         "{\"maximum\":" BIG "}}}," HI "]}",
         NULL},
        {"/v1/chat/completions",
         "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{"
         "\"properties\":{\"a\":{\"maximum\":" BIG "}}}}}]," HI "]}",
         NULL},
        {"/v1/messages",
         "{\"max_tokens\":9,\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\","
         "\"properties\":{\"a\":{\"maximum\":" BIG "}}}}]," HI "]}",
         NULL},
        {"/api/chat", "{\"format\":{\"maximum\":" BIG "}," HI "]}", NULL},
        {"/api/chat",
         "{" HI ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\","
         "\"arguments\":{\"id\":" BIG "}}}]},{\"role\":\"tool\",\"content\":\"r\"}]}",
         NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        assert_true(fake_post(&fake, lists, rows[i].path, rows[i].body));
        if (rows[i].says && (fake.call.status != 400 || !said(rows[i].says)))
            fail_msg("%s: %d %s", rows[i].body, fake.call.status, fake.call.out.p);
        if (rows[i].says)
            continue;
        if (!fake.sink)
            fail_msg("%s: %s", rows[i].body, fake.call.out.p);
        if (!strstr(rows[i].body, "\"foo\""))
            expect_big(fake.q->schema  ? fake.q->schema
                       : fake.q->tools ? fake.q->tools
                                       : fake.q->messages);
        fake_error(&fake, E_CANCELLED, "enough");
    }
    assert_true(fake_post(&fake, lists, "/v1/chat/completions",
                          "{\"max_tokens\":9223372036854775807," HI "]}"));
    fake_error(&fake, E_CANCELLED, "enough");
    assert_true(said("max_tokens: 9223372036854775807 is taken as 2147483647"));
}

/* -- queries ---------------------------------------------------------------------------------
 */

static void test_query(void **state)
{
    static const char chat[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\"}]}";
    static const struct {
        const char *path, *query, *unknown; /* unknown NULL: none is */
    } rows[] = {
        {"/v1/chat/completions", "api-version=2024-10-21", NULL},
        {"/v1/chat/completions", "strict=0", NULL},
        {"/v1/chat/completions", "foo=1&api-version=1", "foo"},
        {"/v1/chat/completions", "api-version=1&limit=1", "limit"},
        {"/api/chat", "limit=1", "limit"},
        {"/apply-template", "x", "x"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char query[80];

        assert_true(
            fake_send(&fake, lists, "POST", rows[i].path, rows[i].query, NULL, str_of(chat)));
        assert_non_null(fake.sink);
        fake_error(&fake, E_CANCELLED, "enough");
        if (rows[i].unknown ? !said(rows[i].unknown) || !said("query parameter")
                            : said("query parameter"))
            fail_msg("%s?%s: %s", rows[i].path, rows[i].query,
                     fake.call.headers.n ? fake.call.headers.p : "");
        (void)snprintf(query, sizeof(query), "%s&strict=1", rows[i].query);
        if (!rows[i].unknown)
            continue;
        assert_true(fake_send(&fake, lists, "POST", rows[i].path, query, NULL, str_of(chat)));
        assert_int_equal(fake.n_started, 0);
        assert_int_equal(fake.call.status, 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown), cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_differ),  cmocka_unit_test(test_think_name),
        cmocka_unit_test(test_query),   cmocka_unit_test(test_big),
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

/* Ollama's dialect: its lines and objects as golden transcripts, what becomes of each field,
 * and the routes that work on the store. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcript.h"

#include "../fmt/gguf_make.h"
#include "serve/api/ollama.h"
#include "serve/auth.h"
#include "store/store.h"

#include <ftw.h>
#include <math.h>

static const struct route_list lists[] = {{ollama_routes, OLLAMA_N_ROUTE}, {NULL, 0}};

static struct fake fake;

#define DATA "tests/data/serve/ollama/"

/* -- a store of five models ---------------------------------------------------------------- */

/* Its template, how it pools, and a token of it. */
static void write_model(const char *name, const char *template, uint32_t pool,
                        const char *token)
{
    uint64_t ne[2] = {32, 40};
    struct buf b;

    buf_init(&b, 100000);
    make_head(&b, 3, 1, 5);
    make_kv_str(&b, "general.architecture", "llama");
    make_kv_str(&b, "tokenizer.chat_template", template);
    make_kv_u32(&b, "llama.context_length", 512);
    make_kv_u32(&b, "llama.pooling_type", pool);
    make_key(&b, "tokenizer.ggml.tokens", 9);
    make_u32(&b, 8);
    make_u64(&b, 6);
    for (int i = 0; i < 6; i++)
        make_str(&b, token);
    make_tensor(&b, "token_embd.weight", 2, ne, 8, 0);
    make_data(&b, 32, 40 * 34);
    make_file(make_path(name), b.p, b.n);
    buf_done(&b);
}

static void create(const char *name, const char *text)
{
    struct modelfile mf;
    struct err e = {0};
    int rc = modelfile_parse(&mf, str_of(text), &e);

    if (rc == 0)
        rc = store_create(fake.serve.store, str_of(name), &mf, make_dir(), NULL, NULL, &e);
    modelfile_done(&mf);
    if (rc < 0)
        fail_msg("%s", e.msg);
}

static int setup(void **state)
{
    struct err e = {0};

    (void)state;
    fake_open(&fake);
    write_model("text.gguf", "{{ messages }}", 0, "<fim_prefix>");
    write_model("thinks.gguf", "{{ tools }}{{ enable_thinking }}", 0, "a");
    write_model("embeds.gguf", "", 1, "a");
    write_model("ranks.gguf", "", 4, "a");
    if (store_open(&fake.serve.store, make_path("store"), &e) < 0)
        fail_msg("%s", e.msg);
    create("text", "FROM text.gguf\nPARAMETER stop x\nPARAMETER temperature 0.2\nSYSTEM Be\n"
                   "LICENSE MIT\nLICENSE Other\nMESSAGE user Hi\n");
    create("thinks", "FROM thinks.gguf");
    create("embeds", "FROM embeds.gguf");
    create("ranks", "FROM ranks.gguf");
    write_model("plain.gguf", "", 0, "a");
    create("plain", "FROM plain.gguf\nSYSTEM Be");
    return ask_list_new(&fake.serve.asks, &e);
}

static int drop(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st, (void)flag, (void)f;
    return remove(path);
}

static int teardown(void **state)
{
    (void)state;
    store_close(fake.serve.store);
    ask_list_free(fake.serve.asks);
    fake_close(&fake);
    return nftw(make_dir(), drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* -- transcripts ----------------------------------------------------------------------- */

static void test_chat(void **state)
{
    (void)state;
    transcript_file(&fake, lists, DATA "chat.test");
}

static void test_generate(void **state)
{
    (void)state;
    /* Contexts are long: their test is another. */
    transcript_file(&fake, lists, DATA "generate.test");
}

static void test_vectors(void **state)
{
    (void)state;
    transcript_file(&fake, lists, DATA "vectors.test");
}

static void test_refused(void **state)
{
    (void)state;
    transcript_file(&fake, lists, DATA "refused.test");
}

/* -- what a body becomes --------------------------------------------------------------- */

static void expect_json(const json_t *got, const char *want)
{
    char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);

    assert_string_equal(text ? text : "", want);
    free(text);
}

/* A request with this body; it ends at once, and what was asked stays to be looked at. */
static struct gate_request *asked(const char *path, const char *body)
{
    assert_true(fake_post(&fake, lists, path, body));
    if (!fake.q)
        fail_msg("%s", fake.call.out.p);
    fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_options(void **state)
{
    const struct gate_request *q = asked(
        "/api/chat",
        "{\"model\":\"text\",\"keep_alive\":\"10m\",\"format\":\"json\",\"truncate\":false,"
        "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"options\":{\"temperature\":0."
        "5,"
        "\"top_k\":-1,\"top_p\":0.25,\"min_p\":0.125,\"typical_p\":0.5,\"repeat_last_n\":-1,"
        "\"repeat_penalty\":1.5,\"presence_penalty\":-1,\"frequency_penalty\":1,\"seed\":7,"
        "\"num_predict\":9,\"num_ctx\":64,\"stop\":[\"a\",\"b\"],\"xtc_probability\":0.5,"
        "\"dry_multiplier\":0.75,\"top_n_sigma\":1,\"mirostat\":0,\"num_gpu\":null}}");

    (void)state;
    assert_int_equal(q->kind, GATE_CHAT);
    assert_string_equal(q->route, "ollama.chat");
    assert_true(q->sampling.temperature == 0.5F);
    assert_int_equal(q->sampling.top_k, 0);
    assert_true(q->sampling.top_p == 0.25F);
    assert_true(q->sampling.min_p == 0.125F);
    assert_true(q->sampling.typical_p == 0.5F);
    assert_int_equal(q->sampling.repeat_last_n, -1);
    assert_true(q->sampling.repeat_penalty == 1.5F);
    assert_true(q->sampling.presence_penalty == -1);
    assert_true(q->sampling.frequency_penalty == 1);
    assert_true(q->sampling.xtc_probability == 0.5F);
    assert_true(q->sampling.dry_multiplier == 0.75F);
    assert_true(q->sampling.top_n_sigma == 1);
    assert_true(q->sampling.has_seed);
    assert_int_equal(q->sampling.seed, 7);
    assert_int_equal(q->n_predict, 9);
    assert_int_equal(q->n_ctx, 64);
    assert_int_equal(q->n_stop, 2);
    assert_true(str_is(q->stop[1], "b"));
    assert_int_equal(q->form, GATE_JSON);
    assert_int_equal(q->overflow, GATE_REFUSE);
    assert_true(q->keep_alive_ns == (int64_t)600 * 1000000000);
    assert_int_equal(fake.call.headers.n, 0); /* nothing to warn of */
}

static void test_nothing_given(void **state)
{
    const struct gate_request *q =
        asked("/api/chat", "{\"model\":\"TEXT\",\"format\":\"\",\"think\":null,\"tools\":[],"
                           "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}");

    (void)state;
    assert_true(isnan(q->sampling.temperature));
    assert_int_equal(q->sampling.top_k, GATE_UNSET);
    assert_int_equal(q->n_predict, GATE_UNSET);
    assert_int_equal(q->n_ctx, GATE_UNSET);
    assert_false(q->sampling.has_seed);
    assert_int_equal(q->form, GATE_ANY);
    assert_int_equal(q->overflow, GATE_TRUNCATE);
    assert_int_equal(q->think, GATE_THINK_AUTO);
    assert_int_equal(q->n_logprobs, -1);
    assert_true(q->keep_alive_ns == GATE_KEEP_DEFAULT);
    assert_null(q->tools);
    assert_true(str_is(q->model, "TEXT"));
}

static void test_keep_alive(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {{"-1", GATE_KEEP_FOREVER},
                 {"\"-1\"", GATE_KEEP_FOREVER},
                 {"\"-1s\"", GATE_KEEP_FOREVER},
                 {"0", 0},
                 {"\"0\"", 0},
                 {"1.5", 1500000000},
                 {"\"1h30m\"", 5400000000000},
                 {"1e300", GATE_KEEP_FOREVER},
                 {"300", 300000000000},
                 {"null", GATE_KEEP_DEFAULT}};
    char body[200];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        (void)snprintf(body, sizeof(body),
                       "{\"model\":\"text\",\"prompt\":\"Hi\",\"keep_alive\":%s}",
                       cases[i].text);
        assert_true(asked("/api/generate", body)->keep_alive_ns == cases[i].ns);
    }
}

static void test_messages(void **state)
{
    const struct gate_request *q =
        asked("/api/chat",
              "{\"model\":\"thinks\",\"think\":\"high\",\"format\":{\"type\":\"object\"},"
              "\"messages\":["
              "{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"Q\"},"
              "{\"role\":\"assistant\",\"thinking\":\"T\",\"content\":\"\",\"tool_calls\":["
              "{\"function\":{\"name\":\"f\",\"arguments\":{\"x\":1}}},"
              "{\"id\":\"own\",\"function\":{\"index\":1,\"name\":\"g\"}}]},"
              "{\"role\":\"tool\",\"content\":\"G\",\"tool_name\":\"g\"},"
              "{\"role\":\"tool\",\"content\":\"F\"},"
              "{\"role\":\"assistant\",\"content\":\"So \"}]}");

    (void)state;
    expect_json(
        q->messages,
        "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\",\"content\":\"Q\"},"
        "{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"T\",\"tool_calls\":["
        "{\"id\":\"call_0\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":"
        "{\"x\":1}}},{\"id\":\"own\",\"type\":\"function\",\"function\":{\"name\":\"g\","
        "\"arguments\":{}}}]},"
        "{\"role\":\"tool\",\"content\":\"G\",\"tool_call_id\":\"own\",\"name\":\"g\"},"
        "{\"role\":\"tool\",\"content\":\"F\",\"tool_call_id\":\"call_0\",\"name\":\"f\"},"
        "{\"role\":\"assistant\",\"content\":\"So \"}]");
    assert_int_equal(q->prefill, 1);
    assert_int_equal(q->think, GATE_THINK_ON);
    assert_true(str_is(q->effort, "high"));
    assert_int_equal(q->form, GATE_SCHEMA);
    expect_json(q->schema, "{\"type\":\"object\"}");
}

/* A model that the store does not know is the provider's to judge. */
static void test_elsewhere(void **state)
{
    const struct gate_request *q = asked(
        "/api/chat", "{\"model\":\"elsewhere\",\"think\":true,\"tools\":[{\"function\":"
                     "{\"name\":\"f\",\"parameters\":{\"pattern\":\"x\"}}}],\"messages\":["
                     "{\"role\":\"user\",\"content\":\"Q\",\"images\":[\"iVBORw0KGgo=\"]}"
                     "]}");

    (void)state;
    expect_json(q->messages, "[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"data\":"
                             "\"iVBORw0KGgo=\",\"mime\":\"image/png\"},{\"type\":\"text\","
                             "\"text\":\"Q\"}]}]");
    expect_json(q->tools, "[{\"function\":{\"name\":\"f\",\"parameters\":{\"pattern\":\"x\"}},"
                          "\"type\":\"function\"}]");
}

static void test_generate_kinds(void **state)
{
    const struct gate_request *q =
        asked("/api/generate", "{\"model\":\"text\",\"prompt\":\"P\",\"system\":\"S\","
                               "\"template\":\"T\"}");

    (void)state;
    assert_int_equal(q->kind, GATE_TEXT);
    assert_int_equal(q->raw, 0);
    assert_true(str_is(q->input[0].text, "P"));
    assert_true(str_is(q->system, "S"));
    assert_true(str_is(q->chat_template, "T"));
    q = asked("/api/generate", "{\"model\":\"text\",\"prompt\":\"P\",\"suffix\":\"S\"}");
    assert_int_equal(q->kind, GATE_INFILL);
    assert_true(str_is(q->suffix, "S"));
    q = asked("/api/generate", "{\"model\":\"text\",\"keep_alive\":0}");
    assert_int_equal(q->kind, GATE_LOAD);
    assert_int_equal(q->keep_alive_ns, 0);
}

/* What a client got, one line of it as JSON. */
static json_t *last_line(void)
{
    const char *end = fake.call.out.p + fake.call.out.n, *at;
    json_t *v;

    if (end[-1] == '\n')
        end--;
    for (at = end; at > fake.call.out.p && at[-1] != '\n'; at--) {
    }
    v = json_loadb(at, (size_t)(end - at), 0, NULL);
    assert_non_null(v);
    return v;
}

/* Who hands a context back goes on with the conversation. */
static void test_context(void **state)
{
    const struct gate_request *q;
    char *context, *body;
    json_t *v, *o;

    (void)state;
    assert_true(fake_post(&fake, lists, "/api/generate",
                          "{\"model\":\"text\",\"prompt\":\"Hi \xc3\xa9\"}"));
    fake_start(&fake, 2, 0);
    fake_text(&fake, 0, "Hel");
    fake_text(&fake, 0, "lo");
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    v = last_line();
    context = json_dumps(json_object_get(v, "context"), 0);
    json_decref(v);
    o = json_pack("{s:s, s:s, s:o}", "model", "text", "prompt", "More", "context",
                  json_loads(context, 0, NULL));
    body = json_dumps(o, 0);
    q = asked("/api/generate", body);
    assert_int_equal(q->kind, GATE_TEXT);
    expect_json(q->messages, "[{\"role\":\"user\",\"content\":\"Hi \xc3\xa9\"},"
                             "{\"role\":\"assistant\",\"content\":\"Hello\"}]");
    assert_true(str_is(q->input[0].text, "More"));
    (void)json_array_remove(json_object_get(o, "context"), 4);
    free(body);
    body = json_dumps(o, 0);
    assert_true(fake_post(&fake, lists, "/api/generate", body));
    assert_int_equal(fake.call.status, 400);
    free(body);
    free(context);
    json_decref(o);
}

/* Without a chat template a text is gone on with, what was before it included. */
static void test_plain(void **state)
{
    const struct gate_request *q;
    char body[2000];
    json_t *v;
    char *context;

    (void)state;
    assert_true(fake_post(&fake, lists, "/api/generate",
                          "{\"model\":\"plain\",\"prompt\":\"Once\",\"stream\":false}"));
    assert_true(str_is(fake.q->input[0].text, "Be\n\nOnce"));
    assert_int_equal(fake.q->raw, 1);
    fake_start(&fake, 2, 0);
    fake_text(&fake, 0, " upon");
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    v = last_line();
    context = json_dumps(json_object_get(v, "context"), 0);
    (void)snprintf(body, sizeof(body),
                   "{\"model\":\"plain\",\"prompt\":\" a\",\"system\":\"S\",\"context\":%s}",
                   context);
    q = asked("/api/generate", body);
    assert_true(str_is(q->input[0].text, "S\n\nOnce upon a"));
    assert_null(q->messages);
    free(context);
    json_decref(v);
}

static void test_truncated(void **state)
{
    json_t *v;

    (void)state;
    assert_true(fake_post(&fake, lists, "/api/chat",
                          "{\"model\":\"text\",\"messages\":[{\"role\":\"user\",\"content\":"
                          "\"Hi\"}]}"));
    fake.usage = (struct gate_usage){.n_dropped = 30, .n_dropped_messages = 2};
    fake_start(&fake, 2, 0);
    fake_finish(&fake, 0, GATE_END);
    fake_done(&fake);
    fake.usage = (struct gate_usage){0};
    v = last_line();
    assert_true(json_is_true(json_object_get(v, "truncated")));
    assert_int_equal(json_integer_value(json_object_get(v, "tokens_dropped")), 30);
    assert_int_equal(json_integer_value(json_object_get(v, "messages_dropped")), 2);
    assert_null(json_object_get(v, "eval_count")); /* what is 0 is left out */
    assert_non_null(strstr(fake.call.headers.p, "30 tokens were left out (2 messages)"));
    json_decref(v);
}

static void test_call_ids(void **state)
{
    const char *id;
    json_t *v;

    (void)state;
    assert_true(fake_post(&fake, lists, "/api/chat",
                          "{\"model\":\"thinks\",\"stream\":false,\"messages\":[{\"role\":"
                          "\"user\",\"content\":\"Hi\"}],\"tools\":[{\"function\":{\"name\":"
                          "\"f\"}}]}"));
    fake_start(&fake, 2, 0);
    fake_tool(&fake, 0, 0, "", "f", "", 1);
    fake_finish(&fake, 0, GATE_CALLS);
    fake_done(&fake);
    v = last_line();
    id = json_string_value(json_object_get(
        json_array_get(json_object_get(json_object_get(v, "message"), "tool_calls"), 0), "id"));
    assert_int_equal(strlen(id), 13);
    assert_memory_equal(id, "call_", 5);
    json_decref(v);
}

/* -- the store ------------------------------------------------------------------------- */

static json_t *got(const char *method, const char *path, const char *body, int status)
{
    json_t *v;

    assert_true(fake_send(&fake, lists, method, path, NULL, NULL, str_of(body ? body : "")));
    if (fake.call.status != status)
        fail_msg("%s %s: %d %s", method, path, fake.call.status, fake.call.out.p);
    v = json_loadb(fake.call.out.p ? fake.call.out.p : "", fake.call.out.n, 0, NULL);
    return v;
}

static struct str text(const json_t *v, const char *name)
{
    const json_t *s = json_object_get(v, name);

    return (struct str){json_string_value(s), json_string_length(s)};
}

static void test_tags(void **state)
{
    json_t *v = got("GET", "/api/tags", NULL, 200), *m = NULL;
    const json_t *models = json_object_get(v, "models");
    size_t i;

    (void)state;
    assert_int_equal(json_array_size(models), 5);
    json_array_foreach(models, i, m)
    {
        if (str_is(text(m, "name"), "text:latest"))
            break;
    }
    assert_true(str_is(text(m, "model"), "text:latest"));
    assert_int_equal(text(m, "digest").n, 64);
    assert_int_equal(text(m, "modified_at").p[text(m, "modified_at").n - 1], 'Z');
    expect_json(json_object_get(m, "details"),
                "{\"parent_model\":\"\",\"format\":\"gguf\",\"family\":\"llama\",\"families\":["
                "\"llama\"],\"parameter_size\":\"1.3K\",\"quantization_level\":\"Q8_0\","
                "\"context_length\":512}");
    expect_json(json_object_get(m, "capabilities"), "[\"completion\",\"insert\"]");
    json_decref(v);
    json_decref(got("HEAD", "/api/tags", NULL, 200));
}

static void test_show(void **state)
{
    json_t *v = got("POST", "/api/show", "{\"model\":\"Text\"}", 200), *info;

    (void)state;
    assert_true(str_is(text(v, "license"), "MIT\nOther"));
    assert_true(str_is(text(v, "system"), "Be"));
    assert_true(str_is(text(v, "template"), "{{ messages }}"));
    assert_non_null(strstr(text(v, "parameters").p, "temperature                    0.2"));
    assert_null(strstr(text(v, "parameters").p, "0.20"));
    assert_non_null(strstr(text(v, "modelfile").p, "\nPARAMETER temperature 0.2\n"));
    assert_non_null(strstr(text(v, "parameters").p, "stop                           \"x\""));
    assert_non_null(strstr(text(v, "modelfile").p, "\nFROM /"));
    assert_int_equal(json_array_size(json_object_get(v, "messages")), 1);
    info = json_object_get(v, "model_info");
    assert_true(str_is(text(info, "general.architecture"), "llama"));
    assert_int_equal(json_integer_value(json_object_get(info, "general.parameter_count")),
                     1280);
    assert_true(json_is_null(json_object_get(info, "tokenizer.ggml.tokens")));
    assert_null(json_object_get(v, "tensors"));
    json_decref(v);
    v = got(
        "POST", "/api/show",
        "{\"name\":\"text\",\"verbose\":true,\"system\":\"Other\",\"options\":{\"top_k\":3}}",
        200);
    info = json_object_get(v, "model_info");
    assert_int_equal(json_array_size(json_object_get(info, "tokenizer.ggml.tokens")), 6);
    expect_json(json_object_get(v, "tensors"),
                "[{\"name\":\"token_embd.weight\",\"type\":\"Q8_0\",\"shape\":[32,40]}]");
    assert_true(str_is(text(v, "system"), "Other"));
    assert_non_null(strstr(text(v, "parameters").p, "top_k"));
    json_decref(v);
    v = got("POST", "/api/show", "{\"model\":\"nothing\"}", 404);
    assert_true(str_is(text(v, "error"), "model 'nothing' not found"));
    json_decref(v);
    v = got("POST", "/api/show", "{}", 400);
    assert_true(str_is(text(v, "error"), "model is required"));
    json_decref(v);
    json_decref(got("POST", "/api/show", "{\"model\":\"../../etc/passwd\"}", 404));
}

/* Fields of results in messages of others; ids that clients made and that were made here. */
static void test_names(void **state)
{
    (void)state;
    assert_true(fake_post(
        &fake, lists, "/api/chat",
        "{\"model\":\"thinks\",\"messages\":[{\"role\":\"user\",\"name\":\"bob\","
        "\"content\":\"h\"},{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"call_1\","
        "\"function\":{\"name\":\"f\"}},{\"function\":{\"name\":\"g\"}}]},"
        "{\"role\":\"tool\",\"name\":\"g\",\"content\":\"r\"}]}"));
    assert_non_null(fake.sink);
    assert_true(str_is(text(json_array_get(fake.q->messages, 2), "tool_call_id"), "call_2"));
    fake_error(&fake, E_CANCELLED, "enough");
    assert_non_null(strstr(fake.call.headers.p, "messages[0].name has no effect"));
    assert_true(fake_post(&fake, lists, "/api/chat",
                          "{\"model\":\"thinks\",\"messages\":[{\"role\":\"assistant\","
                          "\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\"}},"
                          "{\"id\":\"a\",\"function\":{\"name\":\"g\"}}]}]}"));
    assert_int_equal(fake.call.status, 400);
    assert_non_null(strstr(fake.call.out.p, "tool_calls[1].id: 'a' is there twice"));
}

/* Each call is compared with all that wait, so these are not without end. */
static void test_many_calls(void **state)
{
    struct buf body;

    (void)state;
    buf_init(&body, 1 << 20);
    assert_int_equal(buf_fmt(&body, "{\"model\":\"thinks\",\"messages\":[{\"role\":"
                                    "\"assistant\",\"tool_calls\":["),
                     0);
    for (int i = 0; i < 1025; i++)
        assert_int_equal(buf_fmt(&body, "%s{\"function\":{\"name\":\"f\"}}", i ? "," : ""), 0);
    assert_int_equal(buf_fmt(&body, "]}]}"), 0);
    assert_true(fake_post(&fake, lists, "/api/chat", body.p));
    assert_int_equal(fake.call.status, 400);
    assert_non_null(strstr(fake.call.out.p, "more than 1024 calls without their results"));
    buf_done(&body);
}

static void test_copy_delete(void **state)
{
    json_t *v;

    (void)state;
    json_decref(
        got("POST", "/api/copy", "{\"source\":\"text\",\"destination\":\"me/b:1\"}", 200));
    assert_int_equal(fake.call.out.n, 0);
    json_decref(got("POST", "/api/show", "{\"model\":\"ME/B:1\"}", 200));
    json_decref(got("POST", "/api/copy",
                    "{\"source\":\"text\",\"destination\":\"me/b:1\",\"force\":true}", 200));
    assert_non_null(strstr(fake.call.headers.p, "force is not known here"));
    assert_true(fake_send(&fake, lists, "POST", "/api/copy", "strict=1", NULL,
                          str_of("{\"source\":\"text\",\"destination\":\"c\",\"force\":1}")));
    assert_int_equal(fake.call.status, 400);
    json_decref(got("POST", "/api/show", "{\"model\":\"c\"}", 404));
    assert_true(fake_send(&fake, lists, "DELETE", "/api/delete", "strict=1", NULL,
                          str_of("{\"model\":\"me/b:1\",\"force\":1}")));
    assert_int_equal(fake.call.status, 400);
    v = got("POST", "/api/copy", "{\"source\":\"none\",\"destination\":\"b\"}", 404);
    assert_true(str_is(text(v, "error"), "model \"none\" not found"));
    json_decref(v);
    v = got("POST", "/api/copy", "{\"source\":\"text\",\"destination\":\"../b\"}", 400);
    assert_true(str_is(text(v, "error"), "destination \"../b\" is invalid"));
    json_decref(v);
    v = got("POST", "/api/copy", "{\"destination\":\"b\"}", 400);
    assert_true(str_is(text(v, "error"), "source \"\" is invalid"));
    json_decref(v);
    json_decref(got("DELETE", "/api/delete", "{\"model\":\"me/b:1\"}", 200));
    v = got("DELETE", "/api/delete", "{\"name\":\"me/b:1\"}", 404);
    assert_true(str_is(text(v, "error"), "model 'me/b:1' not found"));
    json_decref(v);
    v = got("DELETE", "/api/delete", "{\"model\":\"a:b:c\"}", 400);
    assert_true(str_is(text(v, "error"), "name \"a:b:c\" is invalid"));
    json_decref(v);
}

static void test_create(void **state)
{
    struct store_model m;
    struct err e = {0};
    json_t *v;

    (void)state;
    json_decref(
        got("POST", "/api/create",
            "{\"model\":\"made\",\"from\":\"text\",\"system\":\"New\",\"template\":"
            "\"{{ .Prompt }}\",\"license\":[\"A\"],\"parameters\":{\"top_k\":5,\"num_gpu\""
            ":1},\"messages\":[{\"role\":\"user\",\"content\":\"Q\"}]}",
            200));
    assert_string_equal(fake.call.type, "application/x-ndjson");
    assert_non_null(strstr(fake.call.out.p, "{\"status\":\"writing manifest\"}\n"));
    v = last_line();
    assert_true(str_is(text(v, "status"), "success"));
    json_decref(v);
    assert_non_null(strstr(fake.call.headers.p, "parameters.num_gpu is kept"));
    assert_int_equal(store_find(fake.serve.store, str_of("made"), &m, &e), 0);
    assert_true(str_is(m.system, "New"));
    assert_true(str_is(m.template, "{{ .Prompt }}"));
    assert_int_equal(m.n_license, 3);
    assert_int_equal(json_object_size(m.params), 4);
    store_model_done(&m);
    v = got("POST", "/api/create", "{\"model\":\"made\",\"from\":\"made\",\"stream\":false}",
            200);
    expect_json(v, "{\"status\":\"success\"}");
    json_decref(v);
    /* No file of this machine, by no way of naming it. */
    v = got("POST", "/api/create", "{\"model\":\"x\",\"from\":\"/etc/passwd\"}", 400);
    assert_non_null(strstr(text(v, "error").p, "not allowed"));
    json_decref(v);
    json_decref(got("POST", "/api/create", "{\"model\":\"x\",\"from\":\"nothing\"}", 404));
    json_decref(got("POST", "/api/create", "{\"model\":\"../x\",\"from\":\"text\"}", 400));
    json_decref(got("POST", "/api/create",
                    "{\"model\":\"x\",\"from\":\"text\",\"template\":\"{{ .\"}", 400));
    json_decref(got("POST", "/api/create",
                    "{\"model\":\"x\",\"from\":\"text\",\"parameters\":{\"top_p\":7}}", 400));
    json_decref(got("DELETE", "/api/delete", "{\"model\":\"made\"}", 200));
}

/* Who may use some models only makes no other name for the rest, and overwrites none. */
static void test_create_allowed(void **state)
{
    const char *models[] = {"mine*", "text"};
    const struct auth_key who = {.name = "k", .model = models, .n_model = 2};

    (void)state;
    fake.who = &who;
    json_decref(got("POST", "/api/create", "{\"model\":\"mine\",\"from\":\"thinks\"}", 404));
    json_decref(got("POST", "/api/create", "{\"model\":\"plain\",\"from\":\"text\"}", 404));
    json_decref(got("POST", "/api/create", "{\"model\":\"mine\",\"from\":\"text\"}", 200));
    fake.who = NULL;
    json_decref(got("DELETE", "/api/delete", "{\"model\":\"mine\"}", 200));
}

static void test_small(void **state)
{
    json_t *v = got("GET", "/api/version", NULL, 200);

    (void)state;
    assert_true(json_is_string(json_object_get(v, "version")));
    json_decref(v);
    v = got("GET", "/api/ps", NULL, 200);
    expect_json(v, "{\"models\":[]}");
    json_decref(v);
    json_decref(got("HEAD",
                    "/api/blobs/sha256:"
                    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    NULL, 501));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chat),       cmocka_unit_test(test_generate),
        cmocka_unit_test(test_vectors),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_options),    cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_keep_alive), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_elsewhere),  cmocka_unit_test(test_generate_kinds),
        cmocka_unit_test(test_context),    cmocka_unit_test(test_plain),
        cmocka_unit_test(test_truncated),  cmocka_unit_test(test_call_ids),
        cmocka_unit_test(test_tags),       cmocka_unit_test(test_show),
        cmocka_unit_test(test_names),      cmocka_unit_test(test_copy_delete),
        cmocka_unit_test(test_create),     cmocka_unit_test(test_create_allowed),
        cmocka_unit_test(test_small),      cmocka_unit_test(test_many_calls),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}

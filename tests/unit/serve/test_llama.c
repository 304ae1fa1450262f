/* llama-server's dialect: its answers as golden transcripts, what becomes of each field, what
 * is refused, and tokens. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcript.h"

#include "../text/small.h"
#include "base/mem.h"
#include "serve/api/llama.h"
#include "serve/auth.h"
#include "serve/local.h"
#include "store/store.h"

#include <math.h>

static const struct route_list lists[] = {{llama_routes, LLAMA_N_ROUTE}, {NULL, 0}};

static struct fake fake;
static struct tok *tok;
static int n_stored, n_loaded, n_held;

/* Neighbours: a store with some models, and some of them loaded. */
#define WEAK __attribute__((weak))

static const char *const names[] = {"one:latest", "two:latest"};

static void a_model(struct store_model *m, int i)
{
    static const char *adapters[] = {"/a.gguf"};

    *m = (struct store_model){.adapter = adapters, .n_adapter = 1};
    (void)snprintf(m->name, sizeof(m->name), "%s", names[i]);
}

WEAK int store_each(struct store *s, int (*visit)(void *ctx, const struct store_model *m),
                    void *ctx, int *skipped, struct err *e)
{
    struct store_model m;

    (void)s, (void)skipped, (void)e;
    for (int i = 0; i < n_stored; i++) {
        a_model(&m, i);
        if (visit(ctx, &m))
            break;
    }
    return 0;
}

WEAK int store_find(struct store *s, struct str name, struct store_model *out, struct err *e)
{
    (void)s;
    a_model(out, 0);
    out->params = json_pack("{s:f, s:i}", "temperature", 0.25, "top_k", 7);
    return str_is(name, names[0])
               ? 0
               : err_set(e, E_NOT_FOUND, "model '%.*s' not found", (int)name.n, name.p);
}

WEAK void store_model_done(struct store_model *m)
{
    json_decref(m->params);
    m->params = NULL;
}

WEAK int auth_model(const struct auth_key *who, struct str model)
{
    (void)who, (void)model;
    return 1;
}

WEAK void metrics_put(struct metrics *m, enum metric id, const char *model, const char *route,
                      const char *what, double value)
{
    (void)m, (void)id, (void)model, (void)route, (void)what, (void)value;
}

WEAK int config_duration(const char *text, int64_t *ns)
{
    (void)text, (void)ns;
    return 0;
}

WEAK void local_each(struct local *l, void (*visit)(void *ctx, const struct local_info *i),
                     void *ctx)
{
    (void)l;
    for (int i = 0; i < n_loaded; i++)
        visit(ctx, &(struct local_info){
                       .name = names[1 - i], .state = LOCAL_READY, .used_ns = 5 + (uint64_t)i});
}

WEAK int local_hold(struct local *l, struct str name, struct local_model **out, struct err *e)
{
    (void)l;
    if (str_is(name, "nobody"))
        return err_set(e, E_NOT_FOUND, "model 'nobody' not found");
    n_held++;
    *out = (struct local_model *)&fake; /* never looked into */
    return 0;
}

WEAK void local_let_go(struct local_model *m)
{
    (void)m;
    n_held--;
}

WEAK const struct tok *local_tok(const struct local_model *m)
{
    (void)m;
    return tok;
}

WEAK void local_model_info(const struct local_model *m, struct local_info *out)
{
    (void)m;
    *out = (struct local_info){.name = "one:latest", .path = "/one.gguf", .n_ctx = 64};
}

WEAK void local_slots(const struct local_model *m,
                      void (*visit)(void *ctx, const struct sched_slot *slot), void *ctx)
{
    (void)m;
    visit(ctx, &(struct sched_slot){.id = 5, .running = 1, .n_prompt = 3, .n_ctx = 64});
}

WEAK struct str local_template(const struct local_model *m)
{
    (void)m;
    return str_of("{{ x }}");
}

WEAK const struct chat *local_chat(const struct local_model *m)
{
    (void)m;
    return NULL;
}

WEAK int local_context(struct local *l, const struct store_model *m)
{
    (void)l, (void)m;
    return 128;
}

static int setup(void **state)
{
    struct err e;

    (void)state;
    fake_open(&fake);
    fake.serve.local = (struct local *)&fake; /* never looked into */
    fake.config.n_parallel = 2;
    n_stored = 1;
    n_loaded = n_held = 0;
    if (!fake.serve.asks)
        return ask_list_new(&fake.serve.asks, &e);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ask_list_free(fake.serve.asks);
    fake_close(&fake);
    assert_int_equal(n_held, 0);
    return 0;
}

static void test_completions(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/llama/completion.test");
}

static void test_streams(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/llama/stream.test");
}

static void test_embeddings(void **state)
{
    (void)state;
    transcript_file(&fake, lists, "tests/data/serve/llama/embed.test");
}

/* -- what a body becomes ------------------------------------------------------------------- */

/* A completion with these fields. */
static const struct gate_request *ask_with(const char *fields)
{
    char body[2048];

    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"prompt\":\"Hi\"%s%s}",
                   *fields ? "," : "", fields);
    assert_true(fake_post(&fake, lists, "/completion", body));
    if (!fake.q)
        fail_msg("%s -> %d %s", body, fake.call.status, fake.call.out.p);
    fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_sampling(void **state)
{
    const struct gate_request *q = ask_with(
        "\"temperature\":0.5,\"dynatemp_range\":0.25,\"dynatemp_exponent\":2,\"top_k\":3,"
        "\"top_p\":0.75,\"min_p\":0.125,\"typical_p\":0.5,\"top_n_sigma\":1.5,"
        "\"xtc_probability\":0.25,\"xtc_threshold\":0.0625,\"repeat_penalty\":1.25,"
        "\"presence_penalty\":-1,\"frequency_penalty\":1,\"repeat_last_n\":2147483647,"
        "\"dry_multiplier\":0.5,\"dry_base\":1.5,\"dry_allowed_length\":3,"
        "\"dry_penalty_last_n\":-1,\"min_keep\":2,\"seed\":42,\"ignore_eos\":true,"
        "\"n_probs\":5,\"cache_prompt\":false,\"n_keep\":-1,\"mirostat\":0,\"mirostat_tau\":5,"
        "\"adaptive_target\":-1.0,\"lora\":[],\"samplers\":[\"penalties\",\"dry\","
        "\"top_n_sigma\",\"top_k\",\"typ_p\",\"top_p\",\"min_p\",\"xtc\",\"temperature\"],"
        "\"dry_sequence_breakers\":[\"\\n\",\":\",\"\\\"\",\"*\"],\"post_sampling_probs\":"
        "false");
    const struct gate_sampling *s = &q->sampling;

    (void)state;
    assert_int_equal(q->kind, GATE_TEXT);
    assert_int_equal(q->raw, 1);
    assert_float_equal(s->temperature, 0.5, 0);
    assert_float_equal(s->dynatemp_range, 0.25, 0);
    assert_float_equal(s->dynatemp_exponent, 2, 0);
    assert_int_equal(s->top_k, 3);
    assert_float_equal(s->top_p, 0.75, 0);
    assert_float_equal(s->min_p, 0.125, 0);
    assert_float_equal(s->typical_p, 0.5, 0);
    assert_float_equal(s->top_n_sigma, 1.5, 0);
    assert_float_equal(s->xtc_probability, 0.25, 0);
    assert_float_equal(s->xtc_threshold, 0.0625, 0);
    assert_float_equal(s->repeat_penalty, 1.25, 0);
    assert_float_equal(s->presence_penalty, -1, 0);
    assert_float_equal(s->frequency_penalty, 1, 0);
    assert_int_equal(s->repeat_last_n, INT32_MAX); /* the sampler bounds it by the context */
    assert_float_equal(s->dry_multiplier, 0.5, 0);
    assert_float_equal(s->dry_base, 1.5, 0);
    assert_int_equal(s->dry_allowed_length, 3);
    assert_int_equal(s->dry_last_n, -1);
    assert_int_equal(s->min_keep, 2);
    assert_true(s->has_seed && s->seed == 42);
    assert_int_equal(s->ignore_eos, 1);
    assert_int_equal(q->n_logprobs, 5);
    assert_int_equal(q->no_cache, 1);
    assert_int_equal(q->n_predict, GATE_UNSET);
    assert_int_equal(fake.call.headers.n, 0);
    q = ask_with("\"seed\":-1,\"top_k\":-1,\"n_predict\":-1");
    assert_int_equal(q->sampling.has_seed, 0);
    assert_int_equal(q->sampling.top_k, 0);
    assert_int_equal(q->n_predict, -1);
    assert_int_equal(q->n_logprobs, -1);
    assert_int_equal(q->no_cache, 0);
    assert_true(isnan(q->sampling.temperature));
    assert_int_equal(ask_with("\"seed\":4294967295")->sampling.has_seed, 0);
    assert_int_equal(ask_with("\"stream\":true")->want_ids, 1);
    assert_int_equal(ask_with("\"return_tokens\":true")->want_ids, 1);
}

static void test_forms(void **state)
{
    const struct gate_request *q = ask_with("\"grammar\":\"root ::= \\\"a\\\"\"");

    (void)state;
    assert_int_equal(q->form, GATE_GBNF);
    assert_true(str_is(q->grammar, "root ::= \"a\""));
    q = ask_with("\"json_schema\":{\"type\":\"string\"},\"grammar\":\"\"");
    assert_int_equal(q->form, GATE_SCHEMA);
    assert_string_equal(json_string_value(json_object_get(q->schema, "type")), "string");
    assert_int_equal(ask_with("\"json_schema\":{}")->form, GATE_SCHEMA);
}

static void test_bias(void **state)
{
    const struct gate_request *q =
        ask_with("\"logit_bias\":[[5,1.5],[6,false],[\"word\",-2],[7,-0.5]]");

    (void)state;
    assert_int_equal(q->sampling.n_bias, 4);
    assert_int_equal(q->sampling.bias[0].id, 5);
    assert_float_equal(q->sampling.bias[0].bias, 1.5, 0);
    assert_true(isinf(q->sampling.bias[1].bias) && q->sampling.bias[1].bias < 0);
    assert_int_equal(q->sampling.bias[2].id, -1);
    assert_true(str_is(q->sampling.bias[2].text, "word"));
    q = ask_with("\"logit_bias\":{\"5\":1.5,\"a word\":false}");
    assert_int_equal(q->sampling.n_bias, 2);
    for (int i = 0; i < 2; i++) {
        const struct gate_bias *b = &q->sampling.bias[i];

        assert_true(b->id == 5 || (b->id == -1 && str_is(b->text, "a word")));
    }
    q = ask_with("\"stop\":[\"a\",\"b\"]");
    assert_true(q->n_stop == 2 && str_is(q->stop[1], "b"));
    q = ask_with("\"stop\":\"a\"");
    assert_true(q->n_stop == 1 && str_is(q->stop[0], "a"));
}

static const struct gate_request *ask_prompt(const char *prompt)
{
    char body[512];

    (void)snprintf(body, sizeof(body), "{\"model\":\"m\",\"prompt\":%s}", prompt);
    assert_true(fake_post(&fake, lists, "/completion", body));
    if (!fake.q)
        fail_msg("%s -> %d %s", body, fake.call.status, fake.call.out.p);
    fake_error(&fake, E_CANCELLED, "enough");
    return fake.q;
}

static void test_prompts(void **state)
{
    const struct gate_request *q = ask_prompt("\"Once\"");

    (void)state;
    assert_int_equal(q->n_input, 1);
    assert_true(str_is(q->input[0].text, "Once"));
    q = ask_prompt("[5,6]");
    assert_int_equal(q->n_input, 1);
    assert_int_equal(q->input[0].n_id, 2);
    assert_int_equal(q->input[0].ids[1], 6);
    q = ask_prompt("[\"one\",[7],{\"prompt_string\":\"three\"}]");
    assert_int_equal(q->n_input, 3);
    assert_true(str_is(q->input[0].text, "one"));
    assert_int_equal(q->input[1].ids[0], 7);
    assert_true(str_is(q->input[2].text, "three"));
    q = ask_prompt("{\"prompt_string\":\"x\",\"multimodal_data\":[]}");
    assert_true(str_is(q->input[0].text, "x"));
    q = ask_prompt("[\"ab\",1,\"ab\"]"); /* <s>, then the text; then ids and text as they are */
    assert_int_equal(q->n_input, 1);
    assert_true(q->input[0].n_id > 3);
    assert_int_equal(q->input[0].ids[0], 1);
    q = ask_prompt("[1,\"ab\"]");
    assert_int_equal(q->input[0].ids[0], 1);
    assert_int_not_equal(q->input[0].ids[1], 1);
}

static void test_infill(void **state)
{
    (void)state;
    assert_true(
        fake_post(&fake, lists, "/infill",
                  "{\"model\":\"m\",\"input_prefix\":\"a\",\"input_suffix\":\"c\","
                  "\"prompt\":\"b\",\"input_extra\":[{\"filename\":\"f\",\"text\":\"t\"},"
                  "{\"text\":\"u\"}]}"));
    assert_non_null(fake.q);
    assert_int_equal(fake.q->kind, GATE_INFILL);
    assert_true(str_is(fake.q->input[0].text, "ab"));
    assert_true(str_is(fake.q->suffix, "c"));
    assert_int_equal(fake.q->n_extra, 2);
    assert_true(str_is(fake.q->extra[0].text, "t"));
    assert_true(str_is(fake.q->extra_name[0], "f"));
    assert_true(str_is(fake.q->extra_name[1], ""));
    fake_error(&fake, E_CANCELLED, "enough");
}

static void test_warned(void **state)
{
    static const char *const cases[] = {"\"t_max_prompt_ms\":500", "\"n_cache_reuse\":256",
                                        "\"id_slot\":1", "\"alien\":1",
                                        "\"sse_ping_interval\":5"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        (void)ask_with(cases[i]);
        if (!strstr(fake.call.headers.n ? fake.call.headers.p : "", "warning: 299"))
            fail_msg("%s: no warning", cases[i]);
    }
    assert_true(ask_with("\"t_max_predict_ms\":500")->most_ns == 500000000);
}

static void test_timings_per_token(void **state)
{
    char token[] = "0 11 -0.5 x";

    (void)state;
    assert_true(fake_post(&fake, lists, "/completion",
                          "{\"prompt\":\"x\",\"stream\":true,\"timings_per_token\":true}"));
    fake_start(&fake, 5, 2);
    transcript_token(&fake, token);
    assert_non_null(strstr(fake.call.out.p, "\"timings\":{\"cache_n\":2,\"prompt_n\":3,"));
    assert_non_null(strstr(fake.call.out.p, "\"predicted_n\":1,"));
    fake_error(&fake, E_CANCELLED, "enough");
}

/* -- which model ----------------------------------------------------------------------- */

static void expect_model(int stored, int loaded, const char *want)
{
    n_stored = stored;
    n_loaded = loaded;
    assert_true(fake_post(&fake, lists, "/completion", "{\"prompt\":\"x\"}"));
    if (want) {
        assert_non_null(fake.q);
        assert_true(str_is(fake.q->model, want));
        fake_error(&fake, E_CANCELLED, "enough");
    } else {
        assert_null(fake.q);
        assert_int_equal(fake.call.status, 400);
        assert_non_null(strstr(fake.call.out.p, "model is required"));
    }
}

static void test_model(void **state)
{
    (void)state;
    expect_model(1, 0, "one:latest");
    expect_model(2, 1, "two:latest");
    expect_model(1, 2, "one:latest");
    expect_model(2, 0, NULL);
    expect_model(2, 2, NULL);
    expect_model(0, 0, NULL);
}

/* -- what is refused ------------------------------------------------------------------- */

static void expect_refused(const char *path, const char *body, const char *words)
{
    assert_true(fake_post(&fake, lists, path, body));
    if (fake.q || fake.call.status != 400 || !strstr(fake.call.out.p, words) ||
        !strstr(fake.call.out.p, "\"code\":400"))
        fail_msg("%s %s\n-> %d %s\nwanted: %s", path, body, fake.call.status,
                 fake.call.out.n ? fake.call.out.p : "", words);
    assert_int_equal(fake.call.ended, 1);
}

static const struct {
    const char *field, *values;
} bad_fields[] = {
    {"model", "5|[]|true"},
    {"prompt", "5|true|[]|[[]]|[5,-1]|[5,1.5]|[-5]|[5,true]|[true]|[null]|[5,999999999999]|{}|"
               "{\"prompt_string\":5}|{\"prompt_string\":\"x\",\"multimodal_data\":[\"QQ\"]}"},
    {"temperature", "-1|\"1\"|true|1001"},
    {"dynatemp_range", "-1|\"x\""},
    {"dynatemp_exponent", "-1"},
    {"top_k", "-9|1.5|\"x\""},
    {"top_p", "0|-0.5|7|\"1\""},
    {"min_p", "-0.5|2"},
    {"typical_p", "0|2"},
    {"top_n_sigma", "-2"},
    {"xtc_probability", "-1|2"},
    {"xtc_threshold", "-1|2"},
    {"repeat_penalty", "0|-1"},
    {"presence_penalty", "\"x\"|-1e31|99999999999999999999999999999999"},
    {"frequency_penalty", "\"x\"|1e31"},
    {"repeat_last_n", "-2|1.5"},
    {"dry_multiplier", "-1"},
    {"dry_base", "-1"},
    {"dry_allowed_length", "-1"},
    {"dry_penalty_last_n", "-2"},
    {"dry_sequence_breakers", "[\"x\"]"},
    {"min_keep", "-1"},
    {"seed", "-2|1.5|\"x\"|9223372036854775807"},
    {"ignore_eos", "1|\"x\""},
    {"mirostat", "1|2|true"},
    {"adaptive_target", "0.5"},
    {"samplers", "[\"top_k\"]|[\"temperature\",\"top_k\"]|\"edskypmxt\""},
    {"grammar", "5|[]"},
    {"json_schema", "5|\"x\"|[1]"},
    {"grammar_lazy", "true"},
    {"grammar_triggers", "[{\"type\":1}]"},
    {"n_indent", "4"},
    {"n_predict", "-2|1.5|\"x\""},
    {"max_tokens", "-2"},
    {"stop", "[\"\"]|[5]|5|{}|\"\""},
    {"logit_bias", "5|\"x\"|[5]|[[5]]|[[5,true]]|[[-1,1]]|[[1.5,1]]|[[5,\"x\"]]|{\"5\":true}"},
    {"n_cmpl", "0|1000000|1.5"},
    {"n", "0"},
    {"id_slot", "-2|99|1.5"},
    {"cache_prompt", "1"},
    {"lora", "[{\"id\":0,\"scale\":1}]"},
    {"image_data", "[{\"data\":\"x\"}]"},
    {"stream", "\"yes\"|1"},
    {"n_probs", "-1|1000000000"},
    {"post_sampling_probs", "true"},
    {"return_tokens", "1"},
    {"response_fields", "5|[5]|[\"\"]"},
    {"timings_per_token", "5"},
    {"return_progress", "5"},
};

static void test_bad_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bad_fields) / sizeof(*bad_fields); i++) {
        char values[512], body[1024], *save = NULL;

        (void)snprintf(values, sizeof(values), "%s", bad_fields[i].values);
        for (char *v = strtok_r(values, "|", &save); v; v = strtok_r(NULL, "|", &save)) {
            (void)snprintf(body, sizeof(body), "{%s\"%s\":%s}",
                           strcmp(bad_fields[i].field, "prompt") == 0 ? ""
                                                                      : "\"prompt\":\"x\",",
                           bad_fields[i].field, v);
            expect_refused("/completion", body, bad_fields[i].field);
        }
    }
}

static void test_bad_bodies(void **state)
{
    static const struct {
        const char *path, *body, *words;
    } cases[] = {
        {"/completion", "", "no body"},
        {"/completion", "[]", "must be a JSON object"},
        {"/completion", "{}", "prompt is required"},
        {"/completion", "{\"prompt\":\"x\",\"grammar\":\"a\",\"json_schema\":{}}",
         "cannot both hold"},
        {"/completion",
         "{\"prompt\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"],"
         "\"n\":128}",
         "at most 1024"},
        {"/infill", "{}", "input_prefix or input_suffix is required"},
        {"/infill", "{\"input_prefix\":5}", "input_prefix must be a string"},
        {"/infill", "{\"input_prefix\":\"x\",\"prompt\":[1]}", "prompt must be a string"},
        {"/infill", "{\"input_prefix\":\"x\",\"input_extra\":[5]}", "input_extra.0 must be an"},
        {"/infill", "{\"input_prefix\":\"x\",\"input_extra\":[{}]}",
         "input_extra.0.text is required"},
        {"/tokenize", "{}", "content is required"},
        {"/tokenize", "{\"content\":5}", "content must be a string"},
        {"/tokenize", "{\"content\":[99999]}", "content.0: expected the id of a token"},
        {"/tokenize", "{\"content\":[true]}", "content.0: expected the id of a token"},
        {"/tokenize", "{\"content\":\"x\",\"add_special\":1}", "add_special must be true or"},
        {"/detokenize", "{}", "tokens is required"},
        {"/detokenize", "{\"tokens\":\"x\"}", "tokens must be an array"},
        {"/detokenize", "{\"tokens\":[-1]}", "tokens.0: expected the id of a token"},
        {"/detokenize", "{\"tokens\":[1,99999]}", "tokens.1: expected the id of a token"},
        {"/apply-template", "{}", "messages is required"},
        {"/apply-template", "{\"messages\":[]}", "messages is empty"},
        {"/apply-template", "{\"messages\":[{\"role\":\"alien\",\"content\":\"x\"}]}", "role"},
        {"/embedding", "{}", "content is required"},
        {"/embedding", "{\"content\":5}", "content must be a string"},
        {"/embedding", "{\"content\":\"x\",\"embd_normalize\":-2}", "embd_normalize is -2"},
        {"/rerank", "{}", "query is required"},
        {"/rerank", "{\"query\":\"q\"}", "documents is required"},
        {"/rerank", "{\"query\":\"q\",\"documents\":[]}", "documents is empty"},
        {"/rerank", "{\"query\":\"q\",\"documents\":[5]}", "documents.0 must be a string"},
        {"/rerank", "{\"query\":\"q\",\"documents\":[\"a\"],\"texts\":[\"a\"]}",
         "documents is required"},
        {"/rerank", "{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0}", "top_n is 0"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        expect_refused(cases[i].path, cases[i].body, cases[i].words);
}

static void test_not_here(void **state)
{
    static const char *const paths[] = {"/props", "/lora-adapters", "/slots/0"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_true(fake_post(&fake, lists, paths[i], "{}"));
        assert_int_equal(fake.call.status, 501);
        assert_non_null(strstr(fake.call.out.p, "\"not_supported_error\""));
    }
}

static void test_errors(void **state)
{
    static const struct {
        int status;
        const char *type;
    } cases[] = {{400, "invalid_request_error"}, {401, "authentication_error"},
                 {403, "permission_error"},      {404, "not_found_error"},
                 {429, "rate_limit_error"},      {500, "server_error"},
                 {501, "not_supported_error"},   {503, "unavailable_error"}};
    struct err e = {E_INVALID, "a \"word\""};
    struct buf b;

    (void)state;
    buf_init(&b, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char want[256];

        buf_clear(&b);
        assert_int_equal(dialect_llama.error(&b, cases[i].status, &e, "x", "id"), 0);
        (void)snprintf(
            want, sizeof(want),
            "{\"error\":{\"code\":%d,\"message\":\"a \\\"word\\\"\",\"type\":\"%s\"}}",
            cases[i].status, cases[i].type);
        assert_string_equal(b.p, want);
    }
    buf_clear(&b);
    assert_int_equal(llama_completion_ops.ping(NULL, &b), 0);
    assert_string_equal(b.p, ":\n\n");
    buf_done(&b);
}

/* -- tokens, and what can be seen ------------------------------------------------------ */

static void expect_answer(const char *path, const char *body, const char *want)
{
    assert_true(fake_post(&fake, lists, path, body));
    assert_int_equal(fake.call.status, 200);
    assert_string_equal(fake.call.out.p, want);
    assert_int_equal(fake.call.ended, 1);
}

static void test_tokens(void **state)
{
    (void)state;
    expect_answer("/tokenize", "{\"content\":\"\"}", "{\"tokens\":[]}");
    expect_answer("/tokenize", "{\"content\":\"\",\"add_special\":true}", "{\"tokens\":[1]}");
    expect_answer("/tokenize", "{\"content\":\"<s>\"}", "{\"tokens\":[1]}");
    expect_answer("/tokenize", "{\"content\":[5,\"<s>\",6]}", "{\"tokens\":[5,1,6]}");
    expect_answer(
        "/tokenize", "{\"content\":[5,198],\"with_pieces\":true}",
        "{\"tokens\":[{\"id\":5,\"piece\":\"\\u0002\"},{\"id\":198,\"piece\":[195]}]}");
    expect_answer("/detokenize", "{\"tokens\":[]}", "{\"content\":\"\"}");
    expect_answer("/detokenize", "{\"tokens\":[1,100,198,172]}",
                  "{\"content\":\"<s>a\xc3\xa9\"}");
    assert_true(
        fake_post(&fake, lists, "/tokenize", "{\"model\":\"nobody\",\"content\":\"\"}"));
    assert_int_equal(fake.call.status, 404);
    assert_true(fake_post(&fake, lists, "/tokenize", "{\"alien\":1,\"content\":\"\"}"));
    assert_non_null(strstr(fake.call.headers.p, "alien is not known"));
}

static void test_look(void **state)
{
    (void)state;
    assert_true(fake_get(&fake, lists, "/props"));
    assert_int_equal(fake.call.status, 200);
    assert_non_null(strstr(fake.call.out.p, "\"n_ctx\":64"));
    assert_non_null(strstr(fake.call.out.p, "\"temperature\":0.25"));
    assert_non_null(strstr(fake.call.out.p, "\"top_k\":7"));
    assert_non_null(strstr(fake.call.out.p, "\"total_slots\":2"));
    assert_non_null(strstr(fake.call.out.p, "\"model_path\":\"/one.gguf\""));
    assert_non_null(
        strstr(fake.call.out.p, "\"chat_template\":\"{{ x }}\",\"chat_template_caps\":{}"));
    assert_non_null(strstr(fake.call.out.p, "\"bos_token\":\"<s>\""));
    assert_true(fake_get(&fake, lists, "/slots"));
    assert_string_equal(
        fake.call.out.p,
        "[{\"id\":0,\"id_task\":-1,\"n_ctx\":128,\"is_processing\":false},{\"id\":1,"
        "\"id_task\":-1,\"n_ctx\":128,\"is_processing\":false}]");
    n_loaded = 1;
    assert_true(fake_get(&fake, lists, "/slots"));
    assert_non_null(strstr(fake.call.out.p, "[{\"id\":0,\"id_task\":5,\"n_ctx\":64,"
                                            "\"is_processing\":true"));
    fake.config.n_parallel = 1;
    assert_true(
        fake_send(&fake, lists, "GET", "/slots", "fail_on_no_slot=1", NULL, str_of("")));
    assert_int_equal(fake.call.status, 503);
    assert_true(
        fake_send(&fake, lists, "GET", "/lora-adapters", "model=one:latest", NULL, str_of("")));
    assert_string_equal(fake.call.out.p, "[{\"id\":0,\"path\":\"/a.gguf\",\"scale\":1}]");
    assert_true(fake_send(&fake, lists, "GET", "/lora-adapters", "model=x", NULL, str_of("")));
    assert_int_equal(fake.call.status, 404);
}

/* Who names no model sees the one that was used last, or what needs none. */
static void test_look_bare(void **state)
{
    (void)state;
    n_stored = n_loaded = 2; /* one:latest was used last, two:latest is told first */
    assert_true(fake_get(&fake, lists, "/props"));
    assert_int_equal(fake.call.status, 200);
    assert_non_null(strstr(fake.call.out.p, "\"temperature\":0.25"));
    assert_non_null(strstr(fake.call.out.p, "\"model_path\":\"/one.gguf\""));
    assert_true(fake_get(&fake, lists, "/slots"));
    assert_int_equal(fake.call.status, 200);
    assert_non_null(strstr(fake.call.out.p, "\"id_task\":5"));
    assert_true(fake_get(&fake, lists, "/lora-adapters"));
    assert_string_equal(fake.call.out.p, "[{\"id\":0,\"path\":\"/a.gguf\",\"scale\":1}]");
    for (n_stored = 0; n_stored <= 2; n_stored += 2) {
        n_loaded = 0;
        assert_true(fake_get(&fake, lists, "/props"));
        assert_int_equal(fake.call.status, 200);
        assert_non_null(strstr(fake.call.out.p, "\"n_ctx\":0"));
        assert_non_null(strstr(fake.call.out.p, "\"total_slots\":2"));
        assert_non_null(strstr(fake.call.out.p, "\"model_path\":\"\""));
        assert_non_null(strstr(fake.call.out.p, "\"build_info\":\"hearth "));
        assert_null(strstr(fake.call.out.p, "\"temperature\":0.25"));
        assert_true(fake_get(&fake, lists, "/slots"));
        assert_int_equal(fake.call.status, 200);
        assert_null(strstr(fake.call.out.p, "\"is_processing\":true"));
        assert_non_null(strstr(fake.call.out.p, "\"id\":1,"));
        assert_true(fake_get(&fake, lists, "/lora-adapters"));
        assert_string_equal(fake.call.out.p, "[]");
    }
    assert_int_equal(n_held, 0);
}

/* Each allocation fails once. */
static void test_no_memory(void **state)
{
    static const char body[] =
        "{\"model\":\"m\",\"prompt\":[\"a\",[1,2]],\"n_probs\":1,\"stop\":[\"x\"],\"logit_"
        "bias\":["
        "[1,2]],\"response_fields\":[\"content\"],\"return_tokens\":true}";

    (void)state;
    for (uint64_t n = 1; n < 400; n++) {
        (void)mem_fail_at(n, 0);
        (void)fake_post(&fake, lists, "/completion", body);
        if (fake.sink) {
            char a[] = "0 11 -0.5 x|11:-0.5:x", b[] = "1 11 -0.5 y|11:-0.5:y";

            fake_start(&fake, 3, 0);
            transcript_token(&fake, a);
            transcript_token(&fake, b);
            fake_finish(&fake, 0, GATE_END);
            fake_finish(&fake, 1, GATE_END);
            fake_done(&fake);
        }
        if (mem_fail_at(0, 0) < n)
            break;
        assert_int_equal(fake.call.ended, 1);
        assert_true(n < 399);
    }
    assert_int_equal(fake.call.status, 200);
    assert_string_equal(fake.call.out.p, "[{\"content\":\"x\"},{\"content\":\"y\"}]");
}

static int open_tok(void **state)
{
    struct small s = {0};

    (void)state;
    small_spm(&s);
    small_id(&s, "tokenizer.ggml.bos_token_id", 1);
    small_id(&s, "tokenizer.ggml.eos_token_id", 2);
    tok = small_tok(&s);
    return 0;
}

static int close_tok(void **state)
{
    (void)state;
    tok_free(tok);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_completions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_embeddings, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sampling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bias, setup, teardown),
        cmocka_unit_test_setup_teardown(test_prompts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_infill, setup, teardown),
        cmocka_unit_test_setup_teardown(test_warned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timings_per_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_bodies, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_here, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look, setup, teardown),
        cmocka_unit_test_setup_teardown(test_look_bare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
    };

    return cmocka_run_group_tests(tests, open_tok, close_tok);
}

/* The local engine as a provider: texts, conversations, forms, choices, and how they end. */
#include "local_test.h"

/* One request to its end, which is to be fine. */
static void run(struct local *l, struct got *g, struct gate_request *q)
{
    got_init(g);
    got_start(l, g, q);
    got_fine(g);
}

static void run_error(struct local *l, struct gate_request *q, int code, const char *words)
{
    struct got g;

    got_init(&g);
    got_start(l, &g, q);
    got_error(&g, code, words);
    got_done(&g);
}

/* The error says which field it is about, as the client calls it, and names it. */
static void run_param(struct local *l, struct gate_request *q, int code, int field,
                      const char *name)
{
    struct got g;

    if (field >= 0)
        q->field[field] = name;
    got_init(&g);
    got_start(l, &g, q);
    got_error(&g, code, field < 0 || field == GATE_F_PROMPT ? "" : name);
    assert_string_equal(g.param, name);
    got_done(&g);
}

static void test_text(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got a, b;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &a, ask_text("tiny", "Once upon a time", 24));
    assert_int_equal(a.finish[0], GATE_LENGTH);
    assert_int_equal(a.usage.n_output, 24);
    assert_true(a.usage.n_prompt > 3);
    assert_true(a.content[0].n > 20);
    assert_int_equal(a.n_token, 0);
    /* The same again, with the prompt taken from the cache or not. */
    run(l, &b, ask_text("TINY", "Once upon a time", 24));
    assert_true(same(&a.content[0], &b.content[0]));
    assert_int_equal(b.n_loading, 0);
    assert_int_equal(count_models(l, LOCAL_READY).n, 1);
    got_done(&a);
    got_done(&b);
    local_free(l);
}

static void test_stop(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g;
    struct gate_request *q;
    static const struct str stops[] = {{"zzz", 3}, {" was", 4}};

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    q = ask_text("tiny", "Once upon a time", 60);
    q->stop = stops;
    q->n_stop = 2;
    q->n_logprobs = 0;
    run(l, &g, q);
    assert_int_equal(g.finish[0], GATE_STOP);
    assert_string_equal(g.stop, " was");
    assert_null(memmem(g.content[0].p, g.content[0].n, " was", 4));
    assert_true(g.tokens.n >= g.content[0].n);
    assert_memory_equal(g.tokens.p, g.content[0].p, g.content[0].n);
    got_done(&g);
    local_free(l);
}

static void test_logprobs(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g, plain;
    struct gate_request *q = ask_text("tiny", "The cat", 40);

    (void)state;
    if (access(TINY, R_OK) != 0)
        gate_request_free(q);
    NEEDS_TINY();
    l = local_make(&c);
    q->n_logprobs = 3;
    run(l, &g, q);
    assert_int_equal(g.n_token, 40);
    assert_int_equal(g.n_top, 3);
    assert_int_equal(g.bad_logprob, 0);
    assert_true(same(&g.tokens, &g.content[0]));
    run(l, &plain, ask_text("tiny", "The cat", 40));
    assert_true(same(&plain.content[0], &g.content[0]));
    got_done(&g);
    got_done(&plain);
    local_free(l);
}

static void test_choices(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got one, many;
    struct gate_request *many_guided;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    for (int i = 0; i < 2; i++) {
        struct gate_request *q = ask_text("tiny", "Once", 30);

        q->sampling.temperature = 1;
        q->sampling.has_seed = 1;
        q->sampling.seed = 7;
        q->n_choice = i ? 5 : 1;
        run(l, i ? &many : &one, q);
    }
    assert_true(same(&one.content[0], &many.content[0]));
    for (int i = 1; i < 5; i++) {
        assert_int_equal(many.finished[i], 1);
        assert_false(same(&many.content[i], &many.content[i - 1]));
    }
    assert_int_equal(many.usage.n_output, 150);
    got_done(&one);
    got_done(&many);
    many_guided = ask_text("tiny", "Once", 3);
    many_guided->form = GATE_JSON;
    many_guided->n_choice = 9;
    run_error(l, many_guided, E_UNSUPPORTED, "n is 9: at most 8");
    local_free(l);
}

static void test_sampling(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g, free;
    struct gate_bias bias[2] = {{.id = -1, .bias = -INFINITY}, {.id = 5, .bias = 0}};

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &free, ask_text("tiny", "Once upon", 10));
    q = ask_text("tiny", "Once upon", 10);
    bias[0].text = str_of(" a");
    q->sampling.bias = bias;
    q->sampling.n_bias = 2;
    q->want_ids = 1;
    run(l, &g, q);
    assert_false(same(&g.content[0], &free.content[0]));
    assert_int_equal(g.n_token, 10);
    got_done(&g);
    got_done(&free);
    q = ask_text("tiny", "Once upon", 10);
    q->sampling.top_p = 3;
    run_error(l, q, E_INVALID, "top_p");
    q = ask_text("tiny", "Once upon", 10);
    bias[1].id = 99999;
    q->sampling.bias = bias;
    q->sampling.n_bias = 2;
    run_error(l, q, E_INVALID, "logit_bias");
    local_free(l);
}

/* -- conversations --------------------------------------------------------------------- */

#define HELLO "[{\"role\":\"user\",\"content\":\"Hello\"}]"

static void test_chat(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &g, ask_chat("talker", HELLO));
    assert_int_equal(g.warnings.n, 0);
    assert_int_equal(g.usage.n_output, 12); /* the model's own parameter */
    got_done(&g);
    q = ask_chat("talker", HELLO);
    q->render_only = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "[system|Be kind.][user|Hello][assistant|"));
    got_done(&g);
    /* A system text of the request's own, and an answer that is gone on with. */
    q = ask_chat("talker", "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\","
                           "\"content\":\"Hi\"},{\"role\":\"assistant\",\"content\":\"Yes\"}]");
    q->render_only = 1;
    q->prefill = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "[system|S][user|Hi][assistant|Yes"));
    got_done(&g);
    q = ask_chat("talker", HELLO);
    q->count_only = 1;
    run(l, &g, q);
    assert_true(g.usage.n_prompt > 5);
    assert_int_equal(g.content[0].n, 0);
    got_done(&g);
    q = ask_chat("talker", HELLO);
    q->think = GATE_THINK_ON;
    run_error(l, q, E_UNSUPPORTED, "does not support thinking");
    q = ask_chat("tiny", HELLO);
    q->chat_template = gate_str(q, "x", 1);
    run_error(l, q, E_UNSUPPORTED, "templates of clients");
    local_free(l);
}

/* A template that is none makes conversations impossible, not the model. */
static void test_broken_template(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run_error(l, ask_chat("broken", HELLO), E_INVALID, "the model's chat template: ");
    run(l, &g, ask_text("broken", "Once upon", 4));
    assert_int_equal(g.usage.n_output, 4);
    got_done(&g);
    local_free(l);
}

static void test_thinks(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    q = ask_chat("thinker", HELLO);
    q->n_predict = 15;
    q->want_ids = 1;
    run(l, &g, q);
    assert_int_equal(g.content[0].n, 0);
    assert_true(g.reasoning.n > 10);
    assert_true(same(&g.reasoning, &g.tokens));
    assert_int_equal(g.usage.n_reasoning, 15);
    got_done(&g);
    q = ask_chat("thinker", HELLO);
    q->n_predict = 2;
    q->think = GATE_THINK_OFF;
    run(l, &g, q);
    assert_non_null(strstr(g.warnings.p, "always reasons"));
    got_done(&g);
    q = ask_chat("thinker", "[{\"role\":\"user\",\"content\":\"Hi\"},{\"role\":"
                            "\"assistant\",\"content\":\"Yes\"}]");
    q->render_only = 1;
    q->prefill = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "[user|Hi][assistant|<think>\n</think>\n\nYes"));
    got_done(&g);
    local_free(l);
}

/* Without a template: a plain one, and a warning. */
static void test_plain(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    q = ask_chat("tiny", "[{\"role\":\"system\",\"content\":\"S\"},{\"role\":\"user\","
                         "\"content\":\"Hi\"}]");
    q->render_only = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "S\n\nUser: Hi\nAssistant:"));
    assert_non_null(strstr(g.warnings.p, "no chat template"));
    got_done(&g);
    q = ask_inputs(GATE_TEXT, "tiny", (const char *const[]){"Tell me"}, 1);
    q->raw = 0;
    q->system = gate_str(q, "Sys", 3);
    q->render_only = 1;
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "Sys\n\nUser: Tell me\nAssistant:"));
    got_done(&g);
    local_free(l);
}

static void test_truncate(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;
    json_t *m = json_array();

    (void)state;
    if (access(TINY, R_OK) != 0)
        json_decref(m);
    NEEDS_TINY();
    l = local_make(&c);
    for (int i = 0; i < 21; i++)
        (void)json_array_append_new(m, json_pack("{s:s, s:s}", "role",
                                                 i % 2 ? "assistant" : "user", "content",
                                                 "Lily and Tom went to the park to play."));
    q = ask(GATE_CHAT, "talker");
    q->messages = json_deep_copy(m);
    run_error(l, q, E_TOO_LONG, "256");
    q = ask(GATE_CHAT, "talker");
    q->messages = json_deep_copy(m);
    q->overflow = GATE_TRUNCATE;
    run(l, &g, q);
    assert_true(g.usage.n_dropped_messages > 0 && g.usage.n_dropped_messages % 2 == 0);
    assert_true(g.usage.n_dropped > 0);
    assert_true(g.usage.n_prompt + 12 <= 256);
    got_done(&g);
    /* As much stays as fits: the system text, and whole turns. */
    q = ask(GATE_CHAT, "talker");
    q->messages = m;
    q->overflow = GATE_TRUNCATE;
    q->render_only = 1;
    run(l, &g, q);
    assert_memory_equal(g.content[0].p, "[system|Be kind.][user|Lily", 27);
    got_done(&g);
    q = ask_text("tiny", "", 8);
    {
        char *text = arena_calloc(&q->mem, 1, 4001);
        struct gate_input *in = arena_calloc(&q->mem, 1, sizeof(*in));

        for (int i = 0; i < 1000; i++)
            memcpy(text + 4L * i, "cat ", 4);
        in->text = str_of(text);
        q->input = in;
    }
    q->overflow = GATE_TRUNCATE;
    run(l, &g, q);
    assert_true(g.usage.n_dropped > 500);
    assert_int_equal(g.usage.n_output, 8);
    got_done(&g);
    /* A context that has room for no prompt. */
    q = ask_text("tiny", "Once upon a time", 8);
    q->overflow = GATE_TRUNCATE;
    q->n_ctx = 1;
    run_error(l, q, E_TOO_LONG, "the context holds 1");
    local_free(l);
}

/* -- forms ----------------------------------------------------------------------------- */

#define TOOLS                                                                                  \
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":"     \
    "\"object\",\"properties\":{\"city\":{\"enum\":[\"Paris\",\"Rome\"]}},\"required\":["      \
    "\"city\"],\"additionalProperties\":false}}}]"
#define SCHEMA                                                                                 \
    "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}},\"required\":["      \
    "\"a\"],\"additionalProperties\":false}"

static void test_forms(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    q = ask_chat("talker", HELLO);
    q->form = GATE_SCHEMA;
    q->schema = json_loads(SCHEMA, 0, NULL);
    q->n_predict = 60;
    q->n_choice = 2;
    run(l, &g, q);
    for (int i = 0; i < 2; i++) {
        json_t *j = json_loadb(g.content[i].p, g.content[i].n, 0, NULL);

        assert_non_null(json_string_value(json_object_get(j, "a")));
        json_decref(j);
        assert_int_equal(g.finish[i], GATE_END);
    }
    got_done(&g);
    q = ask_text("tiny", "Number:", 20);
    q->form = GATE_REGEX;
    q->grammar = gate_str(q, "[0-9]{3}", 8);
    run(l, &g, q);
    assert_int_equal(g.content[0].n, 3);
    assert_int_equal(strspn(g.content[0].p, "0123456789"), 3);
    got_done(&g);
    q = ask_text("tiny", "Say", 20);
    q->form = GATE_GBNF;
    q->grammar = gate_str(q, "root ::= \"yes\" | \"no\"", 21);
    run(l, &g, q);
    assert_true(is_text(&g.content[0], "yes") || is_text(&g.content[0], "no"));
    got_done(&g);
    q = ask_chat("talker", HELLO);
    q->form = GATE_SCHEMA;
    q->schema =
        json_loads("{\"uniqueItems\":true,\"type\":\"array\",\"minLength\":\"x\"}", 0, NULL);
    run_error(l, q, E_INVALID, "format");
    local_free(l);
}

static struct gate_request *ask_form(int form, const char *grammar, const char *schema)
{
    struct gate_request *q = ask_chat("talker", HELLO);

    q->form = form;
    if (grammar)
        q->grammar = gate_str(q, grammar, strlen(grammar));
    if (schema)
        q->schema = json_loads(schema, 0, NULL);
    return q;
}

/* A schema of so many objects within each other. */
static json_t *deep_schema(int n)
{
    json_t *s = json_pack("{s:s}", "type", "string");

    for (int i = 0; i < n; i++)
        s = json_pack("{s:s,s:{s:o},s:[s]}", "type", "object", "properties", "a", s, "required",
                      "a");
    return s;
}

static void test_param(void **state)
{
    static const char *const texts[] = {"a", ""};
    static const struct gate_bias bias = {.id = 100000, .bias = 1};
    static const struct str no_text = {"", 0};
    struct config c = config_small();
    struct gate_request *q;
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run_param(l, ask_text("nobody", "x", 1), E_NOT_FOUND, -1, "model");
    q = ask_text("tiny", "Once", 4);
    q->n_ctx = 1;
    run_param(l, q, E_TOO_LONG, GATE_F_PROMPT, "input");
    run_param(l, ask_form(GATE_GBNF, "root ::= (", NULL), E_INVALID, GATE_F_FORM, "grammar");
    run_param(l, ask_form(GATE_SCHEMA, NULL, "{\"type\":5}"), E_INVALID, GATE_F_FORM,
              "response_format");
    /* Too much for us, and no matter of the context's length. */
    q = ask_form(GATE_SCHEMA, NULL, NULL);
    q->schema = deep_schema(1000);
    run_param(l, q, E_INVALID, GATE_F_FORM, "response_format");
    q = ask_form(GATE_JSON, NULL, NULL);
    q->sampling.ignore_eos = 1;
    run_param(l, q, E_INVALID, GATE_F_EOS, "options.ignore_eos");
    q = ask_chat("talker", HELLO);
    q->tool_choice = GATE_CALL_REQUIRED;
    run_param(l, q, E_INVALID, GATE_F_TOOL_CHOICE, "tool_choice");
    q = ask_chat("talker", HELLO);
    q->think = GATE_THINK_ON;
    run_param(l, q, E_UNSUPPORTED, -1, "think");
    q = ask_chat("talker", HELLO);
    run_param(l, q, E_UNSUPPORTED, GATE_F_IMAGE, "messages.0.content.1");
    q = ask_text("tiny", "Once", 4);
    q->sampling.bias = &bias;
    q->sampling.n_bias = 1;
    run_param(l, q, E_INVALID, GATE_F_BIAS, "logit_bias");
    q = ask_text("tiny", "Once", 4);
    q->stop = &no_text;
    q->n_stop = 1;
    run_param(l, q, E_INVALID, GATE_F_STOP, "stop_sequences");
    q = ask_text("tiny", "Once", 4);
    q->sampling.top_p = 7;
    q->field[GATE_F_SAMPLING] = "options.";
    run_param(l, q, E_INVALID, -1, "options.top_p");
    q = ask_inputs(GATE_EMBED, "tiny", texts, 2);
    run_param(l, q, E_INVALID, GATE_F_PROMPT, "input");
    q = ask_inputs(GATE_EMBED, "tiny", texts, 1);
    q->n_dim = 100000;
    run_param(l, q, E_INVALID, -1, "dimensions");
    local_free(l);
}

/* Reasoning that is long enough is closed, and the answer goes on: up to there it is what it
 * would be. */
static void test_think_limit(void **state)
{
    struct config c = config_small();
    struct gate_request *q;
    struct got free, g;
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    q = ask_chat("thinker", HELLO);
    q->n_predict = 60;
    run(l, &free, q);
    assert_int_equal(free.usage.n_reasoning, 60);
    assert_int_equal(free.content[0].n, 0);
    for (int logprobs = 0; logprobs < 2; logprobs++) {
        q = ask_chat("thinker", HELLO);
        q->n_predict = 60;
        q->n_think = 12;
        q->n_logprobs = logprobs ? 1 : -1;
        run(l, &g, q);
        assert_true(g.reasoning.n > 12 && g.reasoning.n < free.reasoning.n);
        assert_memory_equal(g.reasoning.p, free.reasoning.p, g.reasoning.n);
        assert_true(g.content[0].n > 0);
        assert_int_equal(g.usage.n_output, 60);
        /* Those of the marker are counted, too. */
        assert_in_range(g.usage.n_reasoning, 13, 12 + 8);
        assert_int_equal(g.finish[0], GATE_LENGTH);
        got_done(&g);
    }
    /* With a form behind it. */
    q = ask_chat("thinker", HELLO);
    q->n_think = 0;
    q->form = GATE_REGEX;
    q->grammar = gate_str(q, "[0-9]{3}", 8);
    run(l, &g, q);
    assert_int_equal(g.reasoning.n, 0);
    assert_int_equal(g.content[0].n, 3);
    got_done(&g);
    /* More than it needs changes nothing. */
    q = ask_chat("thinker", HELLO);
    q->n_predict = 60;
    q->n_think = 100;
    run(l, &g, q);
    assert_true(same(&g.reasoning, &free.reasoning));
    got_done(&g);
    got_done(&free);
    local_free(l);
}

/* When time is up it ends behind a line, as if it had its length. */
static void test_time_limit(void **state)
{
    struct config c = config_small();
    struct gate_request *q;
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    for (int lines = 0; lines < 2; lines++) {
        const char *form = lines ? "\\n[a-z]{80}" : "[a-z]{80}";

        q = ask_text("tiny", "Once", 200);
        q->form = GATE_REGEX;
        q->grammar = gate_str(q, form, strlen(form));
        q->most_ns = 1;
        run(l, &g, q);
        assert_int_equal(g.finish[0], lines ? GATE_LENGTH : GATE_END);
        assert_true(lines ? g.content[0].n < 80 : g.content[0].n == 80);
        got_done(&g);
    }
    local_free(l);
}

static void test_tools(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;
    json_t *j;

    (void)state;
    NEEDS_TINY();
    c.n_ctx = 1024;
    l = local_make(&c);
    q = ask_chat("talker", HELLO);
    q->tools = json_loads(TOOLS, 0, NULL);
    q->tool_choice = GATE_CALL_REQUIRED;
    q->tool_name = gate_str(q, "weather", 7);
    q->one_call = 1;
    q->n_predict = 300;
    run(l, &g, q);
    assert_int_equal(g.calls, 1);
    assert_int_equal(g.finish[0], GATE_CALLS);
    assert_true(is_text(&g.name, "weather"));
    j = json_loadb(g.arguments.p, g.arguments.n, 0, NULL);
    assert_non_null(json_string_value(json_object_get(j, "city")));
    json_decref(j);
    got_done(&g);
    /* Cut within its arguments: it was begun, so it ends; but it is no call to be run. */
    q = ask_chat("talker", HELLO);
    q->tools = json_loads(TOOLS, 0, NULL);
    q->tool_choice = GATE_CALL_REQUIRED;
    q->n_predict = 26;
    run(l, &g, q);
    assert_int_equal(g.finish[0], GATE_LENGTH);
    got_done(&g);
    q = ask_chat("tiny", HELLO);
    q->tools = json_loads(TOOLS, 0, NULL);
    run_error(l, q, E_UNSUPPORTED, "does not support tools");
    q = ask_chat("talker", HELLO);
    q->tool_choice = GATE_CALL_REQUIRED;
    run_error(l, q, E_INVALID, "there are none");
    local_free(l);
}

/* A schema that no grammar can say lets all calls go, which a warning says; not where a tool is
 * strict. */
static void test_strict_tools(void **state)
{
    static const char form[] =
        "[{\"type\":\"function\",\"function\":{\"name\":\"odd\",\"parameters\":{\"type\":"
        "\"object\",\"properties\":{\"a\":{\"type\":\"array\",\"uniqueItems\":true}}},"
        "\"strict\":%s}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"plain\",\"strict\":%s}}]";
    static const char *const strict[][2] = {
        {"false", "false"}, {"true", "false"}, {"false", "true"}};
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;
    char tools[400];

    (void)state;
    NEEDS_TINY();
    c.n_ctx = 1024;
    l = local_make(&c);
    for (size_t i = 0; i < sizeof(strict) / sizeof(*strict); i++) {
        q = ask_chat("talker", HELLO);
        (void)snprintf(tools, sizeof(tools), form, strict[i][0], strict[i][1]);
        q->tools = json_loads(tools, 0, NULL);
        assert_non_null(q->tools);
        q->field[GATE_F_TOOLS] = "tools";
        q->n_predict = 2;
        if (i > 0) {
            run_error(l, q, E_UNSUPPORTED, "tools: strict cannot be kept: tool 'odd'");
            continue;
        }
        run(l, &g, q);
        assert_non_null(strstr(g.warnings.p, "are not held to what their tools declare: tool "
                                             "'odd'"));
        assert_non_null(strstr(g.warnings.p, "uniqueItems"));
        got_done(&g);
    }
    local_free(l);
}

/* -- the rest -------------------------------------------------------------------------- */

static void test_embed(void **state)
{
    static const char *const texts[] = {"one", "two cats", "three", "four", "five",
                                        "six", "seven",    "eight", "nine", "ten"};
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct got g;

    (void)state;
    NEEDS_TINY();
    c.n_parallel = 2;
    l = local_make(&c);
    q = ask_inputs(GATE_EMBED, "tiny", texts, 10);
    q->normalize = 1;
    q->n_dim = 16;
    run(l, &g, q);
    assert_int_equal(g.n_vector, 10);
    assert_int_equal(g.n_dim, 16);
    /* Texts are read side by side: what that took is no sum. */
    assert_true(g.usage.prompt_ns > 0 && g.usage.prompt_ns <= g.usage.total_ns);
    for (int i = 0; i < 10; i++)
        assert_true(g.norm[i] > 0.9999 && g.norm[i] < 1.0001);
    got_done(&g);
    q = ask_inputs(GATE_EMBED, "tiny", (const char *const[]){"a", ""}, 2);
    run_error(l, q, E_INVALID, "input[1] is empty");
    q = ask_inputs(GATE_EMBED, "tiny", texts, 1);
    q->n_dim = 1000;
    run_error(l, q, E_INVALID, "dimensions");
    q = ask_inputs(GATE_RERANK, "tiny", texts, 1);
    run_error(l, q, E_UNSUPPORTED, "no reranker");
    q = ask_inputs(GATE_EMBED, "tiny", NULL, 0);
    run(l, &g, q);
    got_done(&g);
    local_free(l);
}

/* Without a tokenizer: tokens in, tokens out; for words it is not even loaded. */
static void test_no_words(void **state)
{
    static const int32_t ids[] = {1, 2, 3};
    struct config c = config_small();
    struct local *l;
    struct gate_request *q;
    struct gate_input *in;
    struct got g;

    (void)state;
    if (access("../shared/golden/models/qwen3.gguf", R_OK) != 0)
        skip();
    l = local_make(&c);
    run_error(l, ask_chat("mute", HELLO), E_UNSUPPORTED, "no tokenizer");
    run_error(l, ask_text("mute", "Hi", 2), E_UNSUPPORTED, "no tokenizer");
    assert_int_equal(count_models(l, -1).n, 0);
    q = ask_text("mute", "", 2);
    in = arena_calloc(&q->mem, 1, sizeof(*in));
    in->ids = ids;
    in->n_id = 3;
    q->input = in;
    q->want_ids = 1;
    run(l, &g, q);
    assert_int_equal(g.usage.n_output, 2);
    got_done(&g);
    /* Nor is it for who finds it loaded. */
    run_error(l, ask_text("mute", "Hi", 2), E_UNSUPPORTED, "no tokenizer");
    local_free(l);
}

static void test_infill(void **state)
{
    struct config c = config_small();
    struct local *l;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run_error(l, ask_inputs(GATE_INFILL, "tiny", (const char *const[]){"int x"}, 1),
              E_UNSUPPORTED, "insert");
    local_free(l);
}

static void test_cancel(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    got_init(&g);
    got_start(l, &g, ask_text("tiny", "Once", 200));
    got_wait_text(&g, 2);
    local_provider(l)->ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancel");
    got_done(&g);
    /* The sink says so. */
    got_init(&g);
    g.stop_at = 3;
    got_start(l, &g, ask_text("tiny", "Once", 200));
    got_error(&g, E_CANCELLED, "cancel");
    assert_true(g.n_text < 10);
    got_done(&g);
    /* Before anything came. */
    got_init(&g);
    got_start(l, &g, ask_text("other", "Once", 200));
    local_provider(l)->ops->cancel(g.call);
    got_error(&g, E_CANCELLED, "cancel");
    got_done(&g);
    local_free(l);
}

static void test_pause(void **state)
{
    struct config c = config_small();
    struct local *l;
    struct got g, whole;

    (void)state;
    NEEDS_TINY();
    l = local_make(&c);
    run(l, &whole, ask_text("tiny", "Once", 50));
    got_init(&g);
    g.pause_at = 5;
    got_start(l, &g, ask_text("tiny", "Once", 50));
    got_wait_text(&g, 5);
    /* Others go on meanwhile. */
    {
        struct got other;

        run(l, &other, ask_text("tiny", "The dog", 20));
        got_done(&other);
    }
    (void)pthread_mutex_lock(&g.lock);
    assert_int_equal(g.terminal, 0);
    (void)pthread_mutex_unlock(&g.lock);
    local_provider(l)->ops->resume(g.call);
    got_fine(&g);
    assert_true(same(&g.content[0], &whole.content[0]));
    got_done(&g);
    got_done(&whole);
    local_free(l);
}

/* The model is given back before the last event, so it may be gone before the event is taken,
 * or the call is let go: nothing of the answer may be left that looks into it. */
struct slow {
    struct got got;
    struct local *l;
};

static int slow_sink(void *ctx, const struct gate_event *ev)
{
    struct slow *s = ctx;

    if (ev->kind == GATE_EV_ERROR)
        wait_models(s->l, 0);
    return got_sink(&s->got, ev);
}

static void test_outlives_model(void **state)
{
    struct config c = config_small();
    struct slow s;

    (void)state;
    NEEDS_TINY();
    s.l = local_make(&c);
    for (int fails = 0; fails < 2; fails++) {
        struct gate_request *q = ask_chat("tiny", HELLO);
        struct err e = {0};

        q->n_predict = 3;
        q->form = GATE_JSON;
        q->n_choice = fails ? 9 : 1;
        q->keep_alive_ns = 0;
        got_init(&s.got);
        s.got.ops = local_provider(s.l)->ops;
        if (gate_start(local_provider(s.l), q, slow_sink, &s, &s.got.call, &e) < 0)
            fail_msg("%s", e.msg);
        got_wait(&s.got);
        wait_models(s.l, 0);
        if (fails)
            got_error(&s.got, E_UNSUPPORTED, "n is 9: at most 8");
        else
            got_fine(&s.got);
        got_done(&s.got);
    }
    local_free(s.l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_broken_template),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_logprobs),
        cmocka_unit_test(test_choices),
        cmocka_unit_test(test_sampling),
        cmocka_unit_test(test_chat),
        cmocka_unit_test(test_thinks),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_truncate),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_param),
        cmocka_unit_test(test_think_limit),
        cmocka_unit_test(test_time_limit),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_strict_tools),
        cmocka_unit_test(test_embed),
        cmocka_unit_test(test_no_words),
        cmocka_unit_test(test_infill),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_pause),
        cmocka_unit_test(test_outlives_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

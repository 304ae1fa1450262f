/* Chat templates: what is found out about them, and that what they render is read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "replies.h"

#include "text/reply/probe.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define TEMPLATES "../shared/templates"

static struct tmpl *load(const char *name)
{
    char path[512];
    struct tmpl *t = NULL;
    struct err e;
    struct buf b;
    size_t n;
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s.jinja", TEMPLATES, name);
    f = fopen(path, "re");
    if (!f)
        return NULL;
    buf_init(&b, 1 << 20);
    n = fread(buf_reserve(&b, 1 << 19), 1, 1 << 19, f);
    (void)fclose(f);
    assert_int_equal(tmpl_new(&t, TMPL_JINJA, (struct str){b.p, n}, &e), 0);
    buf_done(&b);
    return t;
}

/* -- what is found ----------------------------------------------------------------------- */

#define THINK  "<think>"
#define NEVER  PROBE_THINK_NEVER
#define ALWAYS PROBE_THINK_ALWAYS
#define SWITCH PROBE_THINK_SWITCH

static const struct {
    const char *name, *format, *open;
    int think;
    const char *variable;
    int by_default;
} rows[] = {
    {"Apertus-8B-Instruct", "apertus", "<|inner_prefix|>", SWITCH, "enable_thinking", 0},
    {"Apriel-1.6-15b-Thinker-fixed", "apriel", "Here are my reasoning steps:", ALWAYS, "", 1},
    {"Bielik-11B-v3.0-Instruct", "hermes", THINK, SWITCH, "enable_thinking", 0},
    {"ByteDance-Seed-OSS", "seed-oss", "<seed:think>", SWITCH, "thinking_budget", 1},
    {"Cohere2MoE", "cohere", "<|START_THINKING|>", SWITCH, "reasoning", 1},
    {"CohereForAI-c4ai-command-r-plus-tool_use", "command-r", "", NEVER, "", 0},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "cohere", "<|START_THINKING|>", SWITCH,
     "enable_thinking", 0},
    {"GLM-4.6", "glm", THINK, SWITCH, "enable_thinking", 1},
    {"GLM-4.7-Flash", "glm", THINK, SWITCH, "enable_thinking", 1},
    {"GigaChat3-10B-A1.8B", "gigachat3", "", NEVER, "", 0},
    {"GigaChat3.1-10B-A1.8B", "gigachat3.1", "", NEVER, "", 0},
    {"HuggingFaceTB-SmolLM3-3B", "", THINK, SWITCH, "enable_thinking", 1},
    {"Kimi-K2-Instruct", "kimi-k2", "", NEVER, "", 0},
    {"Kimi-K2-Thinking", "kimi-k2", THINK, ALWAYS, "", 1},
    {"LFM2-8B-A1B", "lfm2", "", NEVER, "", 0},
    {"LFM2.5-8B-A1B", "lfm2", THINK, ALWAYS, "", 1},
    {"MiMo-VL", "hermes", "", NEVER, "", 0},
    {"MiniMax-M2", "minimax-m2", THINK, ALWAYS, "", 1},
    {"MiniMax-M3", "minimax-m3", "<mm:think>", SWITCH, "thinking_mode", 0},
    {"Mistral-Small-3.2-24B-Instruct-2506", "mistral-v13", "", NEVER, "", 0},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3-xml", THINK, SWITCH, "enable_thinking", 1},
    {"NVIDIA-Nemotron-Nano-v2", "nemotron2", THINK, ALWAYS, "", 1},
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "hermes", "", NEVER, "", 0},
    {"Qwen-Qwen2.5-7B-Instruct", "hermes", "", NEVER, "", 0},
    {"Qwen-Qwen3-0.6B", "hermes", THINK, SWITCH, "enable_thinking", 1},
    {"Qwen3-Coder", "qwen3-xml", "", NEVER, "", 0},
    {"Qwen3.5-4B", "qwen3-xml", THINK, SWITCH, "enable_thinking", 1},
    {"Reka-Edge", "hermes", THINK, SWITCH, "enable_thinking", 0},
    {"StepFun3.5-Flash", "qwen3-xml", THINK, ALWAYS, "", 1},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", "", THINK, ALWAYS, "", 1},
    {"deepseek-ai-DeepSeek-V3.1", "deepseek-v3.1", THINK, SWITCH, "enable_thinking", 0},
    {"deepseek-ai-DeepSeek-V3.2", "deepseek-v3.2", THINK, SWITCH, "enable_thinking", 0},
    {"deepseek-ai-DeepSeek-V4", "deepseek-v4", THINK, SWITCH, "enable_thinking", 0},
    {"fireworks-ai-llama-3-firefunction-v2", "firefunction", "", NEVER, "", 0},
    {"google-gemma-2-2b-it", "", "", NEVER, "", 0},
    {"google-gemma-4-31B-it", "gemma4", "<|channel>thought", SWITCH, "enable_thinking", 0},
    {"ibm-granite-granite-3.3-2B-Instruct", "granite", THINK, SWITCH, "thinking", 0},
    {"ibm-granite-granite-4.0", "hermes", "", NEVER, "", 0},
    {"llama-cpp-deepseek-r1", "deepseek-r1", THINK, ALWAYS, "", 1},
    {"llama-cpp-rwkv-world", "", THINK, SWITCH, "enable_thinking", 0},
    {"meetkai-functionary-medium-v3.1", "functionary-v3.1", "", NEVER, "", 0},
    {"meetkai-functionary-medium-v3.2", "functionary-v3.2", "", NEVER, "", 0},
    {"meta-llama-Llama-3.2-3B-Instruct", "llama3", "", NEVER, "", 0},
    {"microsoft-Phi-3.5-mini-instruct", "", "", NEVER, "", 0},
    {"mistralai-Ministral-3-14B-Reasoning-2512", "mistral-v13", "[THINK]", ALWAYS, "", 1},
    {"mistralai-Mistral-Nemo-Instruct-2407", "mistral-v3", "", NEVER, "", 0},
    {"openai-gpt-oss-120b", "harmony", "<|channel|>analysis<|message|>", ALWAYS,
     "reasoning_effort", 1},
    {"openbmb-MiniCPM5-1B", "minicpm5", THINK, SWITCH, "enable_thinking", 0},
    {"poolside-Laguna-S-2.1", "glm", THINK, SWITCH, "enable_thinking", 0},
    {"tencent-Hy3", "hunyuan", "<think:opensource>", SWITCH, "reasoning_effort", 0},
    {"unsloth-Apriel-1.5", "apriel", "Here are my reasoning steps:", ALWAYS, "", 1},
    {"upstage-Solar-Open-100B", "solar-open", "<|think|>", SWITCH, "reasoning_effort", 1},
};

static void test_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct tmpl *t = load(rows[i].name);
        struct probe p;
        struct err e;

        if (!t)
            skip();
        assert_int_equal(probe_run(&p, t, NULL, (struct str){"", 0}, &e), 0);
        if (p.style.format != reply_find(str_of(rows[i].format)) ||
            strcmp(p.style.think_open, rows[i].open) != 0 || p.think != rows[i].think ||
            strcmp(p.think_variable ? p.think_variable : "", rows[i].variable) != 0 ||
            p.think_default != rows[i].by_default)
            fail_msg("%s: think %s %d by %s, default %d", rows[i].name, p.style.think_open,
                     p.think, p.think_variable ? p.think_variable : "none", p.think_default);
        tmpl_free(t);
    }
}

static void test_name(void **state)
{
    static const struct {
        const char *name, *format;
    } names[] = {{"gemma-2-2b-it", "gemma"}, {"GEMMA3", "gemma"}, {"mine", ""}};
    struct tmpl *t = load("google-gemma-2-2b-it");
    struct probe p;
    struct err e;

    (void)state;
    if (!t)
        skip();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(probe_run(&p, t, NULL, str_of(names[i].name), &e), 0);
        assert_ptr_equal(p.style.format, reply_find(str_of(names[i].format)));
        assert_false(p.system);
        assert_false(p.tools);
    }
    tmpl_free(t);
}

static void test_refuses_all(void **state)
{
    struct str text = str_of("{{ raise_exception('no') }}");
    struct tmpl *t;
    struct probe p;
    struct err e;

    (void)state;
    assert_int_equal(tmpl_new(&t, TMPL_JINJA, text, &e), 0);
    assert_int_equal(probe_run(&p, t, NULL, str_of(""), &e), 0);
    assert_null(p.style.format);
    assert_int_equal(p.think, PROBE_THINK_NEVER);
    assert_false(p.system || p.tools || p.parallel);
    tmpl_free(t);
}

static void test_is_open(void **state)
{
    struct reply_style s = {.think_open = "<think>", .think_close = "</think>"}, none = {0};

    (void)state;
    assert_true(probe_is_open(&s, str_of("a<think>\n")));
    assert_false(probe_is_open(&s, str_of("a<think></think>")));
    assert_true(probe_is_open(&s, str_of("<think></think><think>")));
    assert_false(probe_is_open(&s, str_of("")));
    assert_false(probe_is_open(&none, str_of("<think>")));
}

/* -- there and back ---------------------------------------------------------------------- */

static const char *const shapes[] = {
    "{\"a\": 1, \"s\": \"q\\\"x\\n<y>\"}",
    "{\"o\": {\"k\": \"v\", \"n\": {\"m\": [1, {\"z\": false}]}}, \"l\": [1, 2.5], \"b\": "
    "true}",
    "{}",
    "{\"s\": \"it's 5 > 3 & <tag>x</tag>\\n\\nend\\n\"}",
    "{\"s\": \"\"}",
    "{\"s\": \"true\"}",
    "{\"s\": \"\\u65e5\\u672c \\ud83d\\ude00 back\\ttab\"}",
    "{\"a\": -5, \"b\": false, \"o\": {}}",
    "{\"l\": []}",
    "{\"s\": \"12\", \"a\": 123456789}",
};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static json_t *declare(void)
{
    static const char properties[] =
        "{\"a\": {\"type\": \"integer\", \"description\": \"d\"},"
        " \"s\": {\"type\": \"string\", \"description\": \"d\"},"
        " \"o\": {\"type\": \"object\", \"description\": \"d\", \"additionalProperties\":"
        " {\"type\": \"string\"}},"
        " \"l\": {\"type\": \"array\", \"description\": \"d\", \"items\": {\"type\": "
        "\"number\"}},"
        " \"b\": {\"type\": \"boolean\", \"description\": \"d\"}}";
    json_t *tools = json_array();

    for (int i = 0; i < 2; i++)
        json_array_append_new(tools, json_pack("{s:s, s:{s:s, s:s, s:{s:s, s:o, s:[]}}}",
                                               "type", "function", "function", "name",
                                               i ? "get_y" : "get_x", "description", "d",
                                               "parameters", "type", "object", "properties",
                                               json_loads(properties, 0, NULL), "required"));
    return tools;
}

struct trip {
    struct tmpl *t;
    struct probe p;
    json_t *tools;
    int n, refused, bad;
    char why[400];
};

static int render(const struct trip *t, json_t *message, int prompt, struct marked *m)
{
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", "U1");
    char *functions = json_dumps(t->tools, 0);
    json_t *vars = json_pack("{s:s, s:s, s:s, s:s, s:o, s:b}", "bos_token", "<s>", "eos_token",
                             "</s>", "functions", functions, "datetime", "now", "messages",
                             messages, "add_generation_prompt", prompt);
    struct tm now = {.tm_year = 126, .tm_mday = 1};
    struct err e;
    int rc;

    free(functions);
    if (t->p.tools) /* some refuse them */
        json_object_set(vars, "tools", t->tools);
    if (message)
        json_array_append(messages, message);
    if (t->p.think_variable)
        json_object_set_new(vars, t->p.think_variable,
                            json_loads(t->p.think_on, JSON_DECODE_ANY, NULL));
    marked_clear(m);
    rc = tmpl_render(t->t, vars, &now, NULL, m, &e);
    json_decref(vars);
    return rc;
}

static json_t *message(const struct trip *t, const char *content, const char *reasoning,
                       int n_calls, int shape)
{
    static const char *const keys[] = {"reasoning_content", "reasoning", "thinking", "thought"};
    json_t *m = json_pack("{s:s, s:s}", "role", "assistant", "content", content);
    json_t *calls = json_array();

    for (int i = 0; reasoning[0] && i < 4; i++)
        json_object_set_new(m, keys[i], json_string(reasoning));
    for (int i = 0; i < n_calls; i++) {
        const char *args = shapes[(shape + i) % SHAPES];

        json_array_append_new(
            calls,
            json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", i ? "abc123de2" : "abc123de1", "type",
                      "function", "function", "name", i ? "get_y" : "get_x", "arguments",
                      t->p.args_text ? json_string(args) : json_loads(args, 0, NULL)));
    }
    if (n_calls)
        json_object_set(m, "tool_calls", calls);
    json_decref(calls);
    return m;
}

/* The assistant's part, and whether the prompt in front of it is within reasoning. */
static struct str cut(const struct trip *t, const struct buf *prompt, const struct buf *full,
                      int *open)
{
    const struct reply_style *s = &t->p.style;
    struct str rest;
    size_t n = 0, k;

    while (n < prompt->n && n < full->n && prompt->p[n] == full->p[n])
        n++;
    /* Back to where both have whole markers. */
    for (k = n; k && n < prompt->n; k--) {
        if (strchr("\n>]", full->p[k - 1]))
            break;
        if (strchr("<[", full->p[k - 1])) {
            n = k - 1;
            break;
        }
    }
    rest = (struct str){full->p + n, full->n - n};
    *open = probe_is_open(s, (struct str){full->p, n}) ||
            (s->think_close[0] && probe_is_open(s, (struct str){prompt->p, prompt->n}) &&
             memmem(rest.p, rest.n, s->think_close, strlen(s->think_close)) &&
             !memmem(rest.p, rest.n, s->think_open, strlen(s->think_open)));
    return rest;
}

static int has(struct str s, const char *word)
{
    return word[0] && memmem(s.p, s.n, word, strlen(word)) != NULL;
}

/* Where a model stops; some templates go on with turns of others. */
static struct str turn(const struct trip *t, struct str s)
{
    static const char *const ends[] = {"<|eot_id|>",
                                       "<|END_OF_TURN_TOKEN|>",
                                       "<｜end▁of▁sentence｜>",
                                       "<|START_OF_TURN_TOKEN|>",
                                       "<SPECIAL_12>",
                                       "<|end|>"};
    static const char bot[] = "<|CHATBOT_TOKEN|>"; /* Command R's prompt is not in front */
    size_t n = sizeof(ends) / sizeof(ends[0]) - (t->p.style.format != NULL);

    if (s.n >= sizeof(bot) && memcmp(s.p, bot, sizeof(bot) - 1) == 0)
        s = (struct str){s.p + sizeof(bot) - 1, s.n - (sizeof(bot) - 1)};
    for (size_t i = 0; i < n; i++) {
        const char *at = memmem(s.p, s.n, ends[i], strlen(ends[i]));

        if (at)
            s.n = (size_t)(at - s.p);
    }
    return s;
}

static int is(const struct buf *b, const char *want)
{
    size_t n = b->n;

    while (n && strchr(" \n", b->p[n - 1]))
        n--;
    return str_is((struct str){b->p ? b->p : "", n}, want);
}

static void judge(struct trip *t, const struct replies *r, struct str text, const char *content,
                  const char *reasoning, int n_calls, int shape)
{
    const char *c = has(text, content) ? content : "",
               *k = has(text, reasoning) ? reasoning : "";
    char both[32];
    int ok = r->n == n_calls && !r->broken;

    for (int i = 0; i < n_calls && ok; i++) {
        json_t *x = json_loadb(r->call[i].args.p, r->call[i].args.n, 0, NULL);
        json_t *y = json_loads(shapes[(shape + i) % SHAPES], 0, NULL);

        ok = x && json_equal(x, y) && r->call[i].ended &&
             !strcmp(r->call[i].name, i ? "get_y" : "get_x");
        json_decref(x);
        json_decref(y);
    }
    /* gpt-oss has either, and renders content before a call as reasoning. */
    (void)snprintf(both, sizeof(both), "%s%s", k, c);
    if (t->p.think == PROBE_THINK_NEVER)
        ok = ok && is(&r->content, both) && !r->reasoning.n;
    else
        ok = ok && ((is(&r->reasoning, k) && is(&r->content, c)) ||
                    (!k[0] && is(&r->reasoning, c) && !r->content.n));
    t->n++;
    if (!ok && !t->bad++)
        (void)snprintf(t->why, sizeof(t->why), "%.*s", (int)text.n, text.p);
}

static void one_trip(struct trip *t, const char *content, const char *reasoning, int n_calls,
                     int shape)
{
    json_t *m = message(t, content, reasoning, n_calls, shape);
    struct replies r = {0};
    struct marked prompt, full;
    struct reply *reply;
    struct str text;
    struct err e;
    int open;

    marked_init(&prompt, 1 << 24);
    marked_init(&full, 1 << 24);
    if (render(t, NULL, 1, &prompt) < 0 || render(t, m, 0, &full) < 0) {
        t->refused++;
    } else {
        text = turn(t, cut(t, &prompt.text, &full.text, &open));
        replies_clear(&r);
        assert_int_equal(reply_new(&reply, &t->p.style, t->tools, open, replies_sink, &r, &e),
                         0);
        /* In pieces that no marker fits. */
        for (size_t i = 0; i < text.n; i += 7)
            assert_int_equal(reply_put(reply, text.p + i, text.n - i < 7 ? text.n - i : 7, &e),
                             0);
        assert_int_equal(reply_end(reply, 0, &e), 0);
        reply_free(reply);
        if (n_calls && !has(text, "get_x"))
            t->refused++; /* not in this turn, or not at all */
        else
            judge(t, &r, text, content, reasoning, n_calls, shape);
        replies_clear(&r);
    }
    json_decref(m);
    marked_done(&prompt);
    marked_done(&full);
}

static int calls_are_shown(const struct trip *t)
{
    struct marked full;
    json_t *m = message(t, "", "", 1, 0);
    int shown;

    marked_init(&full, 1 << 24);
    shown = render(t, m, 0, &full) == 0 && memmem(full.text.p, full.text.n, "<y>", 3) != NULL;
    json_decref(m);
    marked_done(&full);
    return shown;
}

static int trips(const char *name)
{
    struct trip t = {.t = load(name), .tools = declare()};
    static const char *const modes[] = {"never", "always", "switch"};
    struct err e;
    int shown;

    assert_int_equal(probe_run(&t.p, t.t, NULL, str_of(name), &e), 0);
    shown = t.p.style.format && calls_are_shown(&t);
    for (int shape = 0; shown && shape < SHAPES; shape++) {
        for (int k = 0; k < 4; k++) {
            for (int n = 1; n <= 1 + t.p.parallel; n++)
                one_trip(&t, k & 1 ? "C1" : "", k & 2 ? "R1" : "", n, shape);
        }
    }
    if (!shown) {
        one_trip(&t, "C1", "R1", 0, 0);
        one_trip(&t, "C1", "", 0, 0);
    }
    print_message("%-45.45s %-6s %s %3d of %3d, %d refused %s\n", name, modes[t.p.think],
                  shown ? "calls" : "no calls", t.n - t.bad, t.n, t.refused,
                  t.bad ? t.why : "");
    tmpl_free(t.t);
    json_decref(t.tools);
    return t.bad || !t.n;
}

static void test_there_and_back(void **state)
{
    DIR *d = opendir(TEMPLATES);
    struct dirent *entry;
    int bad = 0, n = 0;

    (void)state;
    if (!d)
        skip();
    while ((entry = readdir(d))) {
        char *end = strstr(entry->d_name, ".jinja");

        if (!end || end[6])
            continue;
        *end = '\0';
        bad += trips(entry->d_name);
        n++;
    }
    (void)closedir(d);
    assert_true(n > 0);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),          cmocka_unit_test(test_name),
        cmocka_unit_test(test_refuses_all),    cmocka_unit_test(test_is_open),
        cmocka_unit_test(test_there_and_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

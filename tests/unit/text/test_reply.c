/* Replies taken apart: what each family writes, whole and cut anywhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "replies.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

#define VECTORS "../shared/ref/models_ref/chat_vectors.json"

static struct reply_style style_of(const char *format, const char *open, const char *close)
{
    struct reply_style s = {.format = format[0] ? reply_find(str_of(format)) : NULL};

    assert_true(!format[0] || s.format);
    (void)snprintf(s.think_open, sizeof(s.think_open), "%s", open);
    (void)snprintf(s.think_close, sizeof(s.think_close), "%s", close);
    return s;
}

/* The text in pieces that end at cut[0], cut[1], ... */
static void parse(struct replies *out, const struct reply_style *style, const json_t *tools,
                  int open, int was_cut, struct str text, const size_t *cut, int n_cut)
{
    struct reply *r;
    struct err e;
    size_t at = 0;

    replies_clear(out);
    assert_int_equal(reply_new(&r, style, tools, open, replies_sink, out, &e), 0);
    for (int i = 0; i <= n_cut; i++) {
        size_t end = i < n_cut ? cut[i] : text.n;
        /* A copy of its own: what is read past its end is found. */
        char *piece = malloc(end - at + 1);

        memcpy(piece, text.p + at, end - at);
        assert_int_equal(reply_put(r, piece, end - at, &e), 0);
        free(piece);
        at = end;
    }
    assert_int_equal(reply_end(r, was_cut, &e), 0);
    reply_free(r);
}

static int by_size(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;

    return x < y ? -1 : x > y;
}

/* Whole, at every two-way split, byte by byte, and in random pieces: always the same. */
static char *parse_all(const struct reply_style *style, const json_t *tools, int open,
                       struct str text)
{
    struct replies out = {0};
    struct rng rng;
    size_t *cut = calloc(text.n + 1, sizeof(*cut));
    char *whole, *other;

    parse(&out, style, tools, open, 0, text, NULL, 0);
    whole = replies_json(&out);
    for (size_t i = 0; i <= text.n + 60; i++) {
        int n = 1;

        if (i <= text.n) {
            cut[0] = i;
        } else if (i == text.n + 1) {
            for (n = 0; n < (int)text.n; n++)
                cut[n] = (size_t)n;
        } else {
            rng_seed(&rng, i);
            n = 1 + (int)(rng_u64(&rng) % 9);
            n = n > (int)text.n ? (int)text.n : n;
            for (int k = 0; k < n; k++)
                cut[k] = rng_u64(&rng) % (text.n + 1);
            qsort(cut, (size_t)n, sizeof(*cut), by_size);
        }
        parse(&out, style, tools, open, 0, text, cut, n);
        other = replies_json(&out);
        assert_string_equal(other, whole);
        free(other);
    }
    replies_clear(&out);
    free(cut);
    return whole;
}

/* -- the vectors ------------------------------------------------------------------------- */

static const struct {
    const char *vector, *format, *open, *close;
} vectors[] = {
    {"hermes-json", "hermes", "", ""},
    {"hermes-json+think", "hermes", "<think>", "</think>"},
    {"qwen-xml", "qwen3-xml", "", ""},
    {"qwen-xml+think", "qwen3-xml", "<think>", "</think>"},
    {"llama3-json", "llama3", "", ""},
    {"mistral-v3-json", "mistral-v3", "", ""},
    {"mistral-v11", "mistral-v13", "", ""},
    {"mistral-v13", "mistral-v13", "[THINK]", "[/THINK]"},
    {"gemma4", "gemma4", "<|channel>thought", "<channel|>"},
    {"harmony-call", "harmony", "<|channel|>analysis<|message|>", "<|end|>"},
    {"harmony-final", "harmony", "", ""},
    {"deepseek-v3.1", "deepseek-v3.1", "<think>", "</think>"},
    {"dsml-function_calls", "deepseek-v3.2", "<think>", "</think>"},
    {"dsml-tool_calls+think", "deepseek-v4", "<think>", "</think>"},
    {"glm-4.6", "glm", "<think>", "</think>"},
    {"glm-4.7", "glm", "<think>", "</think>"},
    {"kimi-k2", "kimi-k2", "", ""},
    {"nemotron3-xml+think", "qwen3-xml", "<think>", "</think>"},
    {"nemotron2-toolcall", "nemotron2", "<think>", "</think>"},
};

static char *expected(const json_t *v)
{
    const json_t *want = json_object_get(v, "expected"), *call;
    const char *reasoning = json_string_value(json_object_get(want, "reasoning_content"));
    json_t *calls = json_array(), *all;
    char *text;
    size_t i;

    json_array_foreach(json_object_get(want, "tool_calls"), i, call)
    {
        const char *id = json_string_value(json_object_get(call, "id"));

        json_array_append_new(calls, json_pack("{s:O,s:s,s:O,s:b}", "name",
                                               json_object_get(call, "name"), "id",
                                               id ? id : "", "arguments",
                                               json_object_get(call, "arguments"), "ended", 1));
    }
    all = json_pack("{s:s,s:O,s:o}", "reasoning", reasoning ? reasoning : "", "content",
                    json_object_get(want, "content"), "calls", calls);
    text = json_dumps(all, JSON_SORT_KEYS);
    json_decref(all);
    return text;
}

static void test_vectors(void **state)
{
    json_t *all = json_load_file(VECTORS, 0, NULL);
    const json_t *tools = json_object_get(all, "tools"), *v;
    size_t i, n = sizeof(vectors) / sizeof(vectors[0]);

    (void)state;
    if (!all)
        skip();
    assert_int_equal(json_array_size(json_object_get(all, "vectors")), n);
    json_array_foreach(json_object_get(all, "vectors"), i, v)
    {
        const char *text = json_string_value(json_object_get(v, "model_output"));
        const char *prompt = json_string_value(json_object_get(v, "generation_prompt"));
        struct reply_style style =
            style_of(vectors[i].format, vectors[i].open, vectors[i].close);
        const char *open = strstr(prompt, "<think>");
        char *want = expected(v), *got;

        assert_string_equal(json_string_value(json_object_get(v, "format")), vectors[i].vector);
        got = parse_all(&style, tools, open && !strstr(open, "</think>"), str_of(text));
        assert_string_equal(got, want);
        free(got);
        free(want);
    }
    json_decref(all);
}

/* -- one by one -------------------------------------------------------------------------- */

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_x\", \"parameters\": {\"type\":"
    "\"object\", \"properties\": {\"a\": {\"type\": \"integer\"}, \"s\": {\"type\": "
    "\"string\"},"
    "\"u\": {\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"null\"}]},"
    "\"e\": {\"enum\": [\"x\", \"y\"]}, \"r\": {\"$ref\": \"#/$defs/t\"},"
    "\"o\": {\"type\": \"object\", \"properties\": {\"k\": {\"type\": \"string\"}}},"
    "\"l\": {\"type\": \"array\", \"items\": {\"type\": \"number\"}},"
    "\"b\": {\"type\": \"boolean\"}}}}}, {\"name\": \"get_y\"}]";

static const struct one {
    const char *format, *open, *close;
    int in_think;
    const char *text, *reasoning, *content, *calls; /* [[name, arguments], ...] */
} ones[] = {
#define T "<think>", "</think>"
#define X "get_x"
    /* Text and reasoning. */
    {"", "", "", 0, " as it is <tool_call>\n", "", " as it is <tool_call>\n", "[]"},
    {"hermes", T, 0, "\n\nHi\n<b>", "", "Hi\n<b>", "[]"},
    {"hermes", T, 0, "a <thin k <think", "", "a <thin k <think", "[]"},
    {"hermes", T, 0, "<think>R", "R", "", "[]"},
    {"hermes", T, 0, "<think>\n\nR\n\n\n</think>\n\nC", "\nR\n\n", "C", "[]"},
    {"hermes", T, 0, "<think>\n\n</think>\n\nC\n", "", "C\n", "[]"},
    {"hermes", T, 1, "R\n</think>C", "R", "C", "[]"},
    {"hermes", T, 0, "</think>C", "", "C", "[]"},
    {"hermes", T, 0, "C</think>D", "", "C</think>D", "[]"},
    {"hermes", T, 0, "C1\n<think>R</think>\nC2", "R", "C1\nC2", "[]"},
    {"hermes", T, 0, "<think>R1</think><think>R2</think>C", "R1R2", "C", "[]"},
    {"hermes", T, 0, "C<|im_end|>\n", "", "C", "[]"},
    {"hermes", T, 0, "C<|im_end|>\nD", "", "C<|im_end|>\nD", "[]"},
    {"mistral-v13", "[THINK]", "[/THINK]", 0, "[THINK]R[/THINK]C", "R", "C", "[]"},
    {"cohere", "<|START_THINKING|>", "<|END_THINKING|>", 0,
     "<|START_THINKING|>R<|END_THINKING|><|START_RESPONSE|>C<|END_RESPONSE|>", "R", "C", "[]"},
    {"granite", T, 0, "<think>R</think><response>C</response>", "R", "C", "[]"},
    {"solar-open", "", "", 0, "<|think|>R<|end|><|begin|>assistant<|content|>C<|end|>", "R",
     "C", "[]"},
    {"harmony", "", "", 0,
     "<|channel|>analysis<|message|>R<|end|><|start|>assistant<|channel|>commentary<|message|>P"
     "<|end|><|start|>assistant<|channel|>commentary to=functions.get_x <|constrain|>json"
     "<|message|>{\"a\": 1}<|call|>",
     "R", "P", "[[\"get_x\", {\"a\": 1}]]"},
    {"harmony", "", "", 0, " to=functions.get_x<|channel|>commentary json<|message|>{}<|call|>",
     "", "", "[[\"get_x\", {}]]"},
    {"harmony", "", "", 0, "<|channel|>commentary to=python<|message|>1+1<|call|>", "",
     "<|channel|>commentary to=python<|message|>1+1", "[]"},
    {"harmony", "", "", 0, "to=morrow", "", "to=morrow", "[]"},

    /* What is no call is text. */
    {"hermes", T, 0, "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", "",
     "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>", "[]"},
    {"hermes", T, 0, "a <tool_call> b", "", "a <tool_call> b", "[]"},
    {"hermes", T, 0,
     "<tool_call>\n{\"name\": \"get_x\", \"arguments\": {\"a\": 01}}\n"
     "</tool_call>",
     "", "<tool_call>\n{\"name\": \"get_x\", \"arguments\": {\"a\": 01}}\n</tool_call>", "[]"},
    {"hermes", T, 0, "C <tool_call>\n{\"name\": \"get_x\", \"arguments\": {\"a\": 1", "",
     "C <tool_call>\n{\"name\": \"get_x\", \"arguments\": {\"a\": 1", "[]"},
    {"hermes", T, 0, "<tool_call><tool_call>{\"name\":\"get_y\",\"arguments\":{}}</tool_call>",
     "", "<tool_call>", "[[\"get_y\", {}]]"},
    {"hermes", T, 1, "I write <tool_call> here</think>C", "I write <tool_call> here", "C",
     "[]"},
    {"hermes", T, 1, "R\n<tool_call>{\"name\": \"get_x\"}</tool_call>", "R", "",
     "[[\"get_x\", {}]]"},
    {"qwen3-xml", T, 0, "<tool_call>\n<function=f>\n</function>\n</tool_call>", "",
     "<tool_call>\n<function=f>\n</function>\n</tool_call>", "[]"},
    {"llama3", "", "", 0, "{\"name\": \"Bob\", \"parameters\": {}}", "",
     "{\"name\": \"Bob\", \"parameters\": {}}", "[]"},
    {"llama3", "", "", 0, "{\"name\": \"get_x\"}", "", "{\"name\": \"get_x\"}", "[]"},
    {"llama3", "", "", 0, "{\"name\": \"get_x\", \"age\": 4}", "",
     "{\"name\": \"get_x\", \"age\": 4}", "[]"},
    {"llama3", "", "", 0, "x {\"name\": \"get_x\", \"parameters\": {}}", "",
     "x {\"name\": \"get_x\", \"parameters\": {}}", "[]"},
    {"llama3", "", "", 0, "<|python_tag|>print(1)", "", "<|python_tag|>print(1)", "[]"},
    {"gemma", "", "", 0, "Like so:\n```json\n{\"a\": [1]}\n```\n", "",
     "Like so:\n```json\n{\"a\": [1]}\n```\n", "[]"},
    {"mistral-v13", "", "", 0, "[TOOL_CALLS]nothing to call", "", "[TOOL_CALLS]nothing to call",
     "[]"},

    /* JSON. */
    {"hermes", T, 0, "<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"get_x\"}</tool_call>C",
     "", "C", "[[\"get_x\", {\"a\": 1}]]"},
    {"hermes", T, 0,
     "<tool_call>{\"name\": \"get_x\", \"arguments\": \"{\\\"a\\\": 1}\"}"
     "</tool_call>",
     "", "", "[[\"get_x\", {\"a\": 1}]]"},
    {"hermes", T, 0,
     "<tool_call>{\"type\": \"function\", \"function\": {\"name\": \"get_x\", "
     "\"arguments\": {\"s\": \"</tool_call>\"}}}</tool_call>",
     "", "", "[[\"get_x\", {\"s\": \"</tool_call>\"}]]"},
    {"hermes", T, 0,
     "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"b\": True, \"s\": "
     "\"a\nb\"}}</tool_call>",
     "", "", "[[\"get_x\", {\"b\": true, \"s\": \"a\\nb\"}]]"},
    {"hermes", T, 0,
     "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"s\": \"\\ud83d\\ude00 "
     "\\ud800 \xff\"}}\n</tool_call>",
     "", "", "[[\"get_x\", {\"s\": \"\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd\"}]]"},
    {"hermes", T, 0, "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"a\": 1}</tool_call>",
     "", "", "[[\"get_x\", {\"a\": 1}]]"},
    {"hermes", T, 0, "<tool_call>{\"name\": \"functions.get_x\", \"arguments\": null}", "", "",
     "[[\"get_x\", {}]]"},
    {"llama3", "", "", 0, "<|python_tag|>get_x.call(s=\"a, b\", a=2)<|eom_id|>", "", "",
     "[[\"get_x\", {\"s\": \"a, b\", \"a\": 2}]]"},
    {"llama3", "", "", 0,
     "{\"name\": \"get_x\", \"parameters\": {}}; {\"name\": \"get_y\", "
     "\"parameters\": {\"q\": 1}}",
     "", "", "[[\"get_x\", {}], [\"get_y\", {\"q\": 1}]]"},
    {"llama3", "", "", 0, "[get_x(a=1), get_y(q=[1, {'k': None}])]", "", "",
     "[[\"get_x\", {\"a\": 1}], [\"get_y\", {\"q\": [1, {\"k\": null}]}]]"},
    {"mistral-v3", "", "", 0, "[TOOL_CALLS] [{\"name\": \"get_x\", \"arguments\": {}}]", "", "",
     "[[\"get_x\", {}]]"},
    {"phi4", "", "", 0,
     "<|tool_call|>[{\"name\": \"get_x\", \"arguments\": {\"a\": 1}}]"
     "<|/tool_call|>",
     "", "", "[[\"get_x\", {\"a\": 1}]]"},
    {"granite", "", "", 0, "<|tool_call|>[{\"name\": \"get_x\", \"arguments\": {\"a\": 1}}]",
     "", "", "[[\"get_x\", {\"a\": 1}]]"},
    {"deepseek-r1", T, 1,
     "R</think>C<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function"
     "<｜tool▁sep｜>get_x\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>"
     "function<｜tool▁sep｜>get_y\n```json\n{}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "R", "C", "[[\"get_x\", {\"a\": 1}], [\"get_y\", {}]]"},
    {"functionary-v3.2", "", "", 0, "all\nC>>>get_x\n{\"a\": 1}>>>get_y\n{}", "", "C",
     "[[\"get_x\", {\"a\": 1}], [\"get_y\", {}]]"},
    {"functionary-v3.2", "", "", 0, "get_x\n{\"a\": 1}<|eot_id|>", "", "",
     "[[\"get_x\", {\"a\": 1}]]"},
    {"functionary-v3.2", "", "", 0, "hello\nyou", "", "hello\nyou", "[]"},
    {"functionary-v3.1", "", "", 0, "C<function=get_x>{\"a\": 1}</function><|eom_id|>", "", "C",
     "[[\"get_x\", {\"a\": 1}]]"},
    {"command-r", "", "", 0,
     "Plan.\nAction: ```json\n[\n    {\n        \"tool_name\": "
     "\"get_x\",\n        \"parameters\": {\n            \"a\": 1\n        }\n    }\n]\n```",
     "", "Plan.", "[[\"get_x\", {\"a\": 1}]]"},
    {"gemma", "", "", 0, "```tool_code\nprint(get_x(a=1, s='q'))\n```", "", "",
     "[[\"get_x\", {\"a\": 1, \"s\": \"q\"}]]"},
    {"gemma", "", "", 0, "C\n```tool_code\nget_x(1, \"q\")\nget_y()\n```<end_of_turn>", "", "C",
     "[[\"get_x\", {\"a\": 1, \"s\": \"q\"}], [\"get_y\", {}]]"},
    {"gemma", "", "", 0, "```json\n[{\"name\": \"get_x\", \"parameters\": {\"a\": 1}}]\n```",
     "", "", "[[\"get_x\", {\"a\": 1}]]"},

    /* Values between markers. */
    {"qwen3-xml", T, 0,
     "<tool_call>\n<function=get_x>\n<parameter=s>\n\n12 \n\n</parameter>\n"
     "<parameter=u>\n5\n</parameter>\n<parameter=e>\ntrue\n</parameter>\n<parameter=r>\n7\n"
     "</parameter>\n<parameter=b>\nFalse\n</parameter>\n<parameter=n>\nno JSON\n</parameter>\n"
     "<parameter=a>\nmany\n</parameter>\n</function>\n</tool_call>",
     "", "",
     "[[\"get_x\", {\"s\": \"\\n12 \\n\", \"u\": \"5\", \"e\": \"true\", \"r\": 7, \"b\": "
     "false,"
     "\"n\": \"no JSON\", \"a\": \"many\"}]]"},
    {"qwen3-xml", T, 0, "<function=get_x>\n<parameter=u>\nnull\n</parameter>\n</function>", "",
     "", "[[\"get_x\", {\"u\": null}]]"},
    {"qwen3-xml", T, 0,
     "<tool_call>\n<function=get_y>\n<parameter=q>\n{\"k\": 1}\n"
     "</parameter>",
     "", "", "[[\"get_y\", {\"q\": {\"k\": 1}}]]"},
    {"seed-oss", "<seed:think>", "</seed:think>", 0,
     "<seed:tool_call>\n<function=get_x>\n"
     "<parameter=o>{'k': 'it\\'s'}</parameter>\n</function>\n</seed:tool_call><seed:eos>",
     "", "", "[[\"get_x\", {\"o\": {\"k\": \"it's\"}}]]"},
    {"glm", T, 0,
     "<tool_call>get_y</tool_call><tool_call>get_x\n<arg_key>s</arg_key>\n"
     "<arg_value></arg_value></tool_call>",
     "", "", "[[\"get_y\", {}], [\"get_x\", {\"s\": \"\"}]]"},
    {"hunyuan", "", "", 0,
     "C<tool_calls>\n<tool_call>get_x<tool_sep>\n<arg_key>a</arg_key>\n"
     "<arg_value>1</arg_value>\n</tool_call>\n</tool_calls>",
     "", "C", "[[\"get_x\", {\"a\": 1}]]"},
    {"deepseek-v4", T, 0,
     "<｜DSML｜tool_calls>\n<｜DSML｜invoke name=\"get_y\">\n<｜DSML｜parameter "
     "name=\"q\" string=\"true\">5</｜DSML｜parameter>\n<｜DSML｜parameter name=\"p\" "
     "string=\"false\">5</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>",
     "", "", "[[\"get_y\", {\"q\": \"5\", \"p\": 5}]]"},
    {"minicpm5", T, 0,
     "<function name=\"get_x\"><param name=\"s\"><![CDATA[a</param>]]></param>"
     "<param name=\"l\">[1]</param></function>",
     "", "", "[[\"get_x\", {\"s\": \"a</param>\", \"l\": [1]}]]"},
    {"minimax-m3", "", "", 0,
     "]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name=\"get_x\">"
     "]<]minimax[>[<o>]<]minimax[>[<k>1]<]minimax[>[</k>]<]minimax[>[</o>]<]minimax[>[<l>"
     "]<]minimax[>[<item>1]<]minimax[>[</item>]<]minimax[>[</l>]<]minimax[>[</invoke>\n"
     "]<]minimax[>[</tool_call>[e~[",
     "", "", "[[\"get_x\", {\"o\": {\"k\": \"1\"}, \"l\": [1]}]]"},

    /* Other languages. */
    {"lfm2", "", "", 0,
     "<|tool_call_start|>[get_x(s='a\"b', l=[1, 2.5], b=True, o={\"k\": "
     "'v'}), get_y()]<|tool_call_end|>C",
     "", "C",
     "[[\"get_x\", {\"s\": \"a\\\"b\", \"l\": [1, 2.5], \"b\": true, \"o\": {\"k\": \"v\"}}], "
     "[\"get_y\", {}]]"},
    {"lfm2", "", "", 0,
     "<|tool_call_start|>[get_x(s='it's', u=\"\"\"a\n\"b\" \"\"\", e='')]"
     "<|tool_call_end|>",
     "", "", "[[\"get_x\", {\"s\": \"it's\", \"u\": \"a\\n\\\"b\\\" \", \"e\": \"\"}]]"},
    {"olmo3", T, 0, "<function_calls>get_x(a=1)\nget_y(q=\"t\")</function_calls>", "", "",
     "[[\"get_x\", {\"a\": 1}], [\"get_y\", {\"q\": \"t\"}]]"},
    {"gemma4", "", "", 0,
     "<|channel>thought\nR\n<channel|><|tool_call>call:get_x{a:1,s:<|\"|>"
     "<|x<|\"|>,o:{<|\"|>k l<|\"|>:None},l:[]}<tool_call|>",
     "R", "", "[[\"get_x\", {\"a\": 1, \"s\": \"<|x\", \"o\": {\"k l\": null}, \"l\": []}]]"},
    {"functiongemma", "", "", 0,
     "<start_function_call>call:get_x{s:<escape>a,b<escape>,b:true}"
     "<end_function_call><start_function_response>",
     "", "", "[[\"get_x\", {\"s\": \"a,b\", \"b\": true}]]"},
    {"kimi-k2", T, 0,
     "<|tool_calls_section_begin|><|tool_call_begin|>get_y:12"
     "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>",
     "", "", "[[\"get_y\", {}]]"},
    {"gigachat3", "", "", 0,
     "C<|message_sep|>\n\nfunction call<|role_sep|>\n{\"name\": "
     "\"get_x\", \"arguments\": {\"a\": 1}}<|message_sep|>\n\n",
     "", "C", "[[\"get_x\", {\"a\": 1}]]"},
};

static char *wanted(const struct one *o)
{
    json_t *calls = json_loads(o->calls, 0, NULL), *out = json_array(), *all, *call;
    char *text;
    size_t i;

    assert_non_null(calls);
    json_array_foreach(calls, i, call)
    {
        json_array_append_new(out, json_pack("{s:O,s:O}", "name", json_array_get(call, 0),
                                             "arguments", json_array_get(call, 1)));
    }
    all = json_pack("{s:s,s:s,s:o}", "reasoning", o->reasoning, "content", o->content, "calls",
                    out);
    text = json_dumps(all, JSON_SORT_KEYS);
    json_decref(calls);
    json_decref(all);
    return text;
}

/* Without what wanted() does not say. */
static char *plain(const char *got)
{
    json_t *all = json_loads(got, 0, NULL), *call;
    char *text;
    size_t i;

    json_array_foreach(json_object_get(all, "calls"), i, call)
    {
        assert_true(json_is_true(json_object_get(call, "ended")));
        json_object_del(call, "id");
        json_object_del(call, "ended");
    }
    text = json_dumps(all, JSON_SORT_KEYS);
    json_decref(all);
    return text;
}

static void test_ones(void **state)
{
    json_t *tools = json_loads(tools_text, 0, NULL);
    int bad = 0;

    (void)state;
    assert_non_null(tools);
    for (size_t i = 0; i < sizeof(ones) / sizeof(ones[0]); i++) {
        const struct one *o = &ones[i];
        struct reply_style style = style_of(o->format, o->open, o->close);
        char *all = parse_all(&style, tools, o->in_think, str_of(o->text));
        char *got = plain(all), *want = wanted(o);

        if (strcmp(got, want) != 0) {
            print_message("%s: %s\n  got  %s\n  want %s\n", o->format, o->text, got, want);
            bad++;
        }
        free(all);
        free(got);
        free(want);
    }
    json_decref(tools);
    assert_int_equal(bad, 0);
}

/* -- ends and limits --------------------------------------------------------------------- */

/* Cut within a call: it is open, and its arguments are what came. */
static void test_cut(void **state)
{
    static const struct {
        const char *format, *text, *args;
    } rows[] = {
        {"hermes", "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"s\": \"ab",
         "{\"s\": \"ab"},
        {"qwen3-xml", "<tool_call>\n<function=get_x>\n<parameter=s>\nab\n</par",
         "{\"s\": \"ab"},
        {"qwen3-xml", "<tool_call>\n<function=get_x>\n<parameter=s>\nab\n</parameter>",
         "{\"s\": \"ab\""},
        {"lfm2", "<|tool_call_start|>[get_x(s='ab", "{\"s\": \"ab"},
    };
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct replies r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = style_of(rows[i].format, "", "");

        parse(&r, &style, tools, 0, 1, str_of(rows[i].text), NULL, 0);
        assert_int_equal(r.n, 1);
        assert_int_equal(r.call[0].ended + r.broken, 0);
        assert_int_equal(r.content.n, 0);
        assert_true(str_is((struct str){r.call[0].args.p, r.call[0].args.n}, rows[i].args));
        /* The same text, ended by the model: text. */
        if (i == 2)
            continue;
        parse(&r, &style, tools, 0, 0, str_of(rows[i].text), NULL, 0);
        assert_int_equal(r.n, 0);
        assert_int_equal(r.broken, 1);
        assert_true(str_is((struct str){r.content.p, r.content.n}, rows[i].text));
    }
    replies_clear(&r);
    json_decref(tools);
}

/* Cut anywhere from the first byte of a call's marker on, nothing of the markers is text. */
static void test_cut_markers(void **state)
{
    static const struct {
        const char *format, *call;
    } rows[] = {
        {"hermes", "<tool_call>\n{\"name\": \"get_x\", \"arguments\": {}}\n</tool_call>"},
        {"qwen3-xml", "<tool_call>\n<function=get_x>\n<parameter=s>\nab\n</parameter>\n"
                      "</function>\n</tool_call>"},
        {"mistral-v13", "[TOOL_CALLS]get_x[ARGS]{\"s\": \"ab\"}"},
        {"deepseek-v3.2",
         "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"get_x\">\n"
         "<｜DSML｜parameter name=\"s\" string=\"true\">ab</｜DSML｜parameter>\n"
         "</｜DSML｜invoke>\n</｜DSML｜function_calls>"},
        {"harmony",
         "<|channel|>commentary to=functions.get_x<|message|>{\"s\":\"ab\"}<|call|>"},
    };
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct replies r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = style_of(rows[i].format, "<think>", "</think>");
        struct buf b;

        buf_init(&b, 4096);
        assert_int_equal(buf_fmt(&b, "Hi%s", rows[i].call), 0);
        for (size_t n = 2; n <= b.n; n++) {
            parse(&r, &style, tools, 0, 1, (struct str){b.p, n}, NULL, 0);
            if (!str_is((struct str){r.content.p, r.content.n}, "Hi"))
                fail_msg("%s, cut at %zu: %.*s", rows[i].format, n, (int)r.content.n,
                         r.content.p);
        }
        assert_int_equal(r.n, 1);
        buf_done(&b);
    }
    /* What may be words is text, and so is what is no call for want of tools. */
    struct reply_style style = style_of("hermes", "<think>", "</think>");

    parse(&r, &style, NULL, 0, 1, str_of("<tool_call>{"), NULL, 0);
    assert_true(str_is((struct str){r.content.p, r.content.n}, "<tool_call>{"));
    style = style_of("command-r", "", "");
    parse(&r, &style, tools, 0, 1, str_of("Hi A"), NULL, 0);
    assert_true(str_is((struct str){r.content.p, r.content.n}, "Hi A"));
    style = style_of("hermes", "<think>", "</think>");
    parse(&r, &style, tools, 1, 1, str_of("why\n</thi"), NULL, 0);
    assert_true(str_is((struct str){r.reasoning.p, r.reasoning.n}, "why"));
    assert_int_equal(r.content.n, 0);
    replies_clear(&r);
    json_decref(tools);
}

/* Text is passed on as soon as it cannot belong to a marker, and no sooner. */
static void test_at_once(void **state)
{
    static const struct {
        const char *put, *content, *args;
    } rows[] = {
        {"Hello", "Hello", ""},
        {" wor", "Hello wor", ""},
        {"ld <tool", "Hello world", ""},
        {"box>", "Hello world <toolbox>", ""},
        {"<tool_call>{\"name\": \"get_x\", \"arguments\": {\"s\": \"ab",
         "Hello world <toolbox>", "{\"s\": \"ab"},
        {"c", "Hello world <toolbox>", "{\"s\": \"abc"},
    };
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct reply_style style = style_of("hermes", "<think>", "</think>");
    struct replies r = {0};
    struct reply *reply;
    struct err e;

    (void)state;
    replies_clear(&r);
    assert_int_equal(reply_new(&reply, &style, tools, 0, replies_sink, &r, &e), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(reply_put(reply, rows[i].put, strlen(rows[i].put), &e), 0);
        assert_true(str_is((struct str){r.content.p, r.content.n}, rows[i].content));
        assert_true(str_is((struct str){r.call[0].args.p, r.call[0].args.n}, rows[i].args));
    }
    assert_int_equal(reply_calls(reply), 1);
    reply_free(reply);
    replies_clear(&r);
    json_decref(tools);
}

/* An id goes into JSON, so that it is UTF-8 whatever the model wrote. */
static void test_id(void **state)
{
    static const char text[] = "[TOOL_CALLS]get_x[CALL_ID]\xffx[ARGS]{}";
    struct reply_style style = style_of("mistral-v13", "", "");
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct replies r = {0};

    (void)state;
    parse(&r, &style, tools, 0, 0, str_of(text), NULL, 0);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.call[0].id, "\xef\xbf\xbdx");
    replies_clear(&r);
    json_decref(tools);
}

/* Under a grammar no call begins within reasoning, and content that is held to a form is what
 * it is. */
static void test_guided(void **state)
{
#define CALL "<tool_call>{\"name\": \"get_x\", \"arguments\": {}}</tool_call>"
    static const struct {
        const char *format;
        int whole;
        const char *text, *content, *reasoning;
        int calls;
    } rows[] = {
        {"hermes", 1, "\"a<think>b</think>c\"", "\"a<think>b</think>c\"", "", 0},
        {"hermes", 1, "\"<think>\"<|im_end|>", "\"<think>\"", "", 0},
        {"hermes", 1, "\"a<|im_end|>\"", "\"a<|im_end|>\"", "", 0},
        {"hermes", 1, "{\"a\":\"" CALL "\"}", "{\"a\":\"" CALL "\"}", "", 0},
        {"hermes", 1, "<think>x" CALL "y</think>\n\n\"z\"", "\"z\"", "x" CALL "y", 0},
        {"hermes", 1, "<think>x</think>\n\n" CALL, "", "x", 1},
        {"hermes", 0, "<think>x" CALL "y</think>z\n" CALL, "z", "x" CALL "y", 1},
        {"cohere", 1, "<|START_RESPONSE|>\"<|END_RESPONSE|>\"<|END_RESPONSE|>",
         "\"<|END_RESPONSE|>\"", "", 0},
        {"harmony", 1, "<|channel|>final<|message|>\"<|channel|>analysis<|message|>x\"",
         "\"<|channel|>analysis<|message|>x\"", "", 0},
    };
#undef CALL
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct replies r = {0};
    struct reply *reply;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = style_of(rows[i].format, "<think>", "</think>");

        replies_clear(&r);
        assert_int_equal(reply_new(&reply, &style, tools, 0, replies_sink, &r, &e), 0);
        reply_guided(reply, rows[i].whole);
        assert_int_equal(reply_put(reply, rows[i].text, strlen(rows[i].text), &e), 0);
        assert_int_equal(reply_end(reply, 0, &e), 0);
        assert_true(str_is((struct str){r.content.p, r.content.n}, rows[i].content));
        assert_true(str_is((struct str){r.reasoning.p, r.reasoning.n}, rows[i].reasoning));
        assert_int_equal(reply_calls(reply), rows[i].calls);
        reply_free(reply);
    }
    replies_clear(&r);
    json_decref(tools);
}

/* n times a text, in time that grows like n. */
static void put_many(struct reply *r, const char *text, size_t n)
{
    struct err e;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(reply_put(r, text, strlen(text), &e), 0);
}

static void test_long(void **state)
{
    static const struct {
        const char *format, *begin, *more;
    } rows[] = {
        {"hermes", "", "<tool_call>"},
        {"hermes", "", "<<<<<<<<"},
        {"hermes", "", "\n\n\n\n\n"},
        {"hermes", "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"s\": \"", "<tool_call>"},
        {"qwen3-xml", "<tool_call><function=get_x><parameter=s>", "</parameter"},
        {"qwen3-xml", "<tool_call><function=get_x><parameter=l>", "[1, "},
        {"lfm2", "<|tool_call_start|>[get_x(s='", "' x"},
        {"mistral-v13", "", "[TOOL_CALLS][TOOL_CALLS"},
        {"harmony", "", "<|start|>assistant<|channel|>"},
    };
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct replies r = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = style_of(rows[i].format, "<think>", "</think>");
        uint64_t ns[2];

        for (int k = 0; k < 2; k++) {
            uint64_t from = clock_cpu_ns();
            struct reply *reply;
            struct err e;

            replies_clear(&r);
            assert_int_equal(reply_new(&reply, &style, tools, 0, replies_sink, &r, &e), 0);
            put_many(reply, rows[i].begin, 1);
            put_many(reply, rows[i].more, k ? 80000 : 5000);
            assert_int_equal(reply_end(reply, 0, &e), 0);
            reply_free(reply);
            ns[k] = clock_cpu_ns() - from;
        }
        /* 16 times the text: quadratic would be 256 times the time. */
        if (ns[1] / 100 > ns[0] + 1000000)
            fail_msg("%s %s: %llu ns, then %llu", rows[i].format, rows[i].more,
                     (unsigned long long)ns[0], (unsigned long long)ns[1]);
    }
    replies_clear(&r);
    json_decref(tools);
}

static int count(void *ctx, const struct reply_event *ev)
{
    *(size_t *)ctx += ev->text.n + 1;
    return 0;
}

static void test_limits(void **state)
{
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct reply_style style = style_of("hermes", "", "");
    struct replies r = {0};
    struct reply *reply;
    struct buf deep;
    size_t n = 0;
    struct err e;
    int rc = 0;

    (void)state;
    /* A nesting that no schema has is no call. */
    buf_init(&deep, 10000);
    assert_int_equal(buf_str(&deep, "<tool_call>{\"name\": \"get_x\", \"arguments\": {\"l\": "),
                     0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_byte(&deep, '['), 0);
    parse(&r, &style, tools, 0, 0, (struct str){deep.p, deep.n}, NULL, 0);
    assert_int_equal(r.n, 0);
    assert_int_equal(r.content.n, deep.n);
    buf_done(&deep);
    replies_clear(&r);

    /* A call without end, and calls without end. */
    assert_int_equal(reply_new(&reply, &style, tools, 0, count, &n, &e), 0);
    assert_int_equal(reply_put(reply, "<tool_call>{\"x\": \"", 18, &e), 0);
    for (int i = 0; i < 400 && rc == 0; i++) {
        char many[65536];

        memset(many, 'x', sizeof(many));
        rc = reply_put(reply, many, sizeof(many), &e);
    }
    assert_int_equal(rc, E_TOO_LONG);
    assert_non_null(strstr(e.msg, "16 MiB"));
    assert_int_equal(reply_end(reply, 0, &e), E_TOO_LONG);
    reply_free(reply);

    assert_int_equal(reply_new(&reply, &style, tools, 0, count, &n, &e), 0);
    for (int i = 0; i < 5000 && (rc = i ? rc : 0) == 0; i++)
        rc = reply_put(reply, "<tool_call>{\"name\": \"get_y\"}", 28, &e);
    assert_int_equal(rc, E_TOO_LONG);
    assert_int_equal(reply_calls(reply), 4096);
    reply_free(reply);
    json_decref(tools);
}

static int refuse(void *ctx, const struct reply_event *ev)
{
    (void)ctx;
    return ev->kind == REPLY_CONTENT ? -77 : 0;
}

static void test_sink_and_tools(void **state)
{
    static const char *const bad[] = {
        "{}", "5", "[1]", "[{}]", "[{\"name\": 3}]", "[{\"function\": {\"name\": null}}]"};
    struct reply_style style = style_of("hermes", "", "");
    struct reply *reply;
    struct err e;

    (void)state;
    assert_int_equal(reply_new(&reply, &style, NULL, 0, refuse, NULL, &e), 0);
    assert_int_equal(reply_put(reply, "<tool_call>", 11, &e), 0);
    assert_int_equal(reply_put(reply, "text", 4, &e), -77);
    assert_int_equal(reply_put(reply, "text", 4, &e), -77);
    assert_int_equal(reply_end(reply, 0, &e), -77);
    reply_free(reply);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        json_t *tools = json_loads(bad[i], JSON_DECODE_ANY, NULL);

        assert_int_equal(reply_new(&reply, &style, tools, 0, refuse, NULL, &e), E_INVALID);
        assert_non_null(strstr(e.msg, "tools"));
        json_decref(tools);
    }
    reply_free(NULL);
    assert_null(reply_name(-1));
    assert_null(reply_name(1000));
    assert_null(reply_find(str_of("nothing")));
}

/* The nth allocation fails, n = 1, 2, ...: an error, and nothing is left behind. */
static void test_no_memory(void **state)
{
    static const char text[] =
        "<think>R</think>C\n<tool_call>\n{\"arguments\": {\"s\": \"x\"}, "
        "\"name\": \"get_x\", \"id\": \"i\"}</tool_call>C2 <tool_call>";
    json_t *tools = json_loads(tools_text, 0, NULL);
    struct reply_style style = style_of("hermes", "<think>", "</think>");
    int rc = E_NOMEM;

    (void)state;
    for (uint64_t n = 1; rc == E_NOMEM; n++) {
        struct reply *reply = NULL;
        size_t got = 0;
        struct err e;

        (void)mem_fail_at(n, 1);
        rc = reply_new(&reply, &style, tools, 0, count, &got, &e);
        for (size_t i = 0; i < sizeof(text) - 1 && rc == 0; i += 9)
            rc = reply_put(reply, text + i, sizeof(text) - 1 - i < 9 ? sizeof(text) - 1 - i : 9,
                           &e);
        if (rc == 0)
            rc = reply_end(reply, 0, &e);
        (void)mem_fail_at(0, 0);
        reply_free(reply);
        assert_true(rc == 0 || rc == E_NOMEM);
        assert_true(n < 1000);
    }
    json_decref(tools);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),   cmocka_unit_test(test_ones),
        cmocka_unit_test(test_cut),       cmocka_unit_test(test_cut_markers),
        cmocka_unit_test(test_at_once),   cmocka_unit_test(test_guided),
        cmocka_unit_test(test_id),        cmocka_unit_test(test_long),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_sink_and_tools),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

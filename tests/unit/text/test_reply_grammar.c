/* What a format's grammar accepts, its parser reads as calls that are valid. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "gram/wander.h"
#include "replies.h"

#include "text/gram/schema.h"

#include <stdlib.h>

enum { ROUNDS = 25 };

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_x\", \"parameters\": {\"type\": "
    "\"object\", \"properties\": {\"a\": {\"type\": \"integer\", \"minimum\": 3}, \"s\": "
    "{\"type\": \"string\"}, \"e\": {\"type\": \"string\", \"enum\": [\"x y\", \"<z>\"]}, "
    "\"l\": "
    "{\"type\": \"array\", \"items\": {\"type\": \"boolean\"}, \"maxItems\": 3}, \"u\": "
    "{\"type\": "
    "[\"string\", \"null\"], \"maxLength\": 4}, \"w\": {\"type\": \"array\", \"maxItems\": 2, "
    "\"items\": {\"enum\": [\"</parameter>\", \"</arg_value>x\", \"\\\"]]></param>\"]}}, "
    "\"no\": false, \"r\": {\"$ref\": \"#/$defs/p\"}, \"o\": "
    "{\"type\": "
    "\"object\", \"properties\": {\"k\": {\"type\": \"number\"}}, \"required\": [\"k\"], "
    "\"additionalProperties\": false}}, \"required\": [\"s\", \"e\"], "
    "\"additionalProperties\": "
    "false, \"$defs\": {\"p\": {\"type\": \"string\", \"pattern\": \"^[a-f]{2,5}$\"}}}}}, "
    "{\"name\": \"no_args\"}, {\"name\": \"all_optional\", \"parameters\": {\"properties\": "
    "{\"p\": {\"type\": \"string\", \"maxLength\": 5}, \"q\": {\"enum\": [1, null]}}, "
    "\"additionalProperties\": false}}]";

/* Arguments are checked against the grammar of their schema, not by what made them. */
static int is_valid(const json_t *tools, const char *name, struct str args)
{
    const struct schema_options o = {0};
    const json_t *tool, *schema = NULL;
    gram_ref root = GRAM_NEVER;
    gram_state to = 0;
    struct gram *g;
    struct err e;
    size_t i;
    int ok;

    json_array_foreach(tools, i, tool)
    {
        const json_t *f = json_object_get(tool, "function");

        f = f ? f : tool;
        if (!strcmp(json_string_value(json_object_get(f, "name")), name))
            schema = json_object_get(f, "parameters");
    }
    assert_int_equal(gram_new(&g, NULL, &e), 0);
    assert_int_equal(
        schema ? schema_add(g, schema, &o, &root, &e) : schema_any(g, 1, &o, &root, &e), 0);
    assert_int_equal(gram_finish(g, root, &e), 0);
    ok = gram_put(g, gram_start(g), args.p, args.n, &to, NULL, &e) == 0 && to &&
         gram_may_end(g, to);
    gram_free(g);
    return ok && args.n && args.p[0] == '{';
}

static void parse(const struct reply_style *style, const json_t *tools, const struct buf *text,
                  struct replies *out)
{
    struct reply *r;
    struct err e;

    replies_clear(out);
    assert_int_equal(reply_new(&r, style, tools, 0, replies_sink, out, &e), 0);
    reply_guided(r, 0);
    assert_int_equal(reply_put(r, text->p ? text->p : "", text->n, &e), 0);
    assert_int_equal(reply_end(r, 0, &e), 0);
    reply_free(r);
}

static struct gram *build(const struct reply_style *style, const struct reply_tools *t)
{
    gram_ref root = GRAM_NEVER;
    struct gram *g;
    struct err e;

    assert_int_equal(gram_new(&g, NULL, &e), 0);
    if (reply_grammar(g, style, t, &root, &e) < 0)
        fail_msg("grammar: %s", e.msg);
    if (gram_finish(g, root, &e) < 0)
        fail_msg("grammar: %s", e.msg);
    return g;
}

static void check_one(const char *format, const struct reply_style *style,
                      const struct reply_tools *t, const struct buf *text)
{
    struct replies r = {0};
    int ok;

    parse(style, t->tools, text, &r);
    ok = !r.broken;
    for (int i = 0; i < r.n && ok; i++)
        ok = r.call[i].ended && is_valid(t->tools, r.call[i].name,
                                         (struct str){r.call[i].args.p, r.call[i].args.n});
    if (t->choice == REPLY_REQUIRED)
        ok = ok && r.n > 0 && !r.content.n && (!t->only || !strcmp(r.call[0].name, t->only));
    if (t->choice == REPLY_NONE)
        ok = ok && r.n == 0;
    if (!t->parallel)
        ok = ok && r.n <= 1;
    if (!ok)
        fail_msg("%s, choice %d: %.*s\n  %d calls, content %.*s, arguments %.*s", format,
                 t->choice, (int)text->n, text->p, r.n, (int)r.content.n, r.content.p,
                 (int)r.call[0].args.n, r.call[0].args.p);
    replies_clear(&r);
}

/* As wander(), which does not find long ends of strings by chance. */
static int stroll(struct gram *g, struct rng *r, struct buf *out)
{
    static const char *const ends[] = {"\n</parameter>\n",
                                       "</parameter>\n",
                                       "</arg_value>\n",
                                       "</arg_value:opensource>\n",
                                       "</｜DSML｜parameter>\n",
                                       "]]></param>",
                                       "</param>",
                                       "<|\"|>",
                                       "<escape>"};
    struct wander w = {.g = g, .r = r};
    gram_state s = gram_start(g), to = 0;
    size_t soon = 1 + rng_u64(r) % 120;

    buf_clear(out);
    while (out->n < WANDER_MAX / 4) {
        int c;

        if (gram_may_end(g, s) && (gram_must_end(g, s) || out->n > soon || rng_u64(r) % 3 == 0))
            return 0;
        to = 0;
        if (rng_u64(r) % 3) {
            const char *end = ends[rng_u64(r) % (sizeof(ends) / sizeof(ends[0]))];

            if (gram_put(g, s, end, strlen(end), &to, NULL, NULL) == 0 && to)
                assert_int_equal(buf_str(out, end), 0);
        }
        if (!to) {
            c = wander_byte(&w, s, out->n > soon, &to);
            if (c < 0)
                return w.limited ? 1 : -1;
            if (buf_byte(out, c) < 0)
                return -1;
        }
        s = to;
    }
    return 1;
}

/* Texts by chance. */
static void check_format(const char *format)
{
    struct reply_style style = {.format = reply_find(str_of(format)),
                                .think_open = "<think>",
                                .think_close = "</think>"};
    json_t *tools = json_loads(tools_text, 0, NULL);
    const struct reply_tools ways[] = {
        {tools, REPLY_REQUIRED, NULL, 1},      {tools, REPLY_REQUIRED, "get_x", 0},
        {tools, REPLY_REQUIRED, "no_args", 0}, {tools, REPLY_AUTO, NULL, 1},
        {tools, REPLY_AUTO, NULL, 0},          {tools, REPLY_NONE, NULL, 1},
    };
    struct rng rng;
    struct buf text;
    gram_state to;
    struct err e;

    assert_non_null(tools);
    rng_seed(&rng, 7);
    buf_init(&text, WANDER_MAX);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        struct gram *g = build(&style, &ways[i]);
        int done = 0;

        for (int k = 0; k < ROUNDS; k++) {
            int rc = stroll(g, &rng, &text);

            if (rc < 0 && gram_put(g, gram_start(g), text.p, text.n, &to, NULL, &e) < 0)
                fail_msg("%s, way %zu: %s", format, i, e.msg);
            if (rc < 0)
                fail_msg("%s, way %zu: stuck behind %s", format, i,
                         text.p + (text.n > 300 ? text.n - 300 : 0));
            if (rc == 0) {
                check_one(format, &style, &ways[i], &text);
                done++;
            }
        }
        if (done < ROUNDS / 2)
            fail_msg("%s, way %zu: %d texts ended", format, i, done);
        gram_free(g);
    }
    buf_done(&text);
    json_decref(tools);
}

static void test_formats(void **state)
{
    int n = 0;

    (void)state;
    for (int i = 0; reply_name(i); i++) {
        if (!strcmp(reply_name(i), "minimax-m3"))
            continue; /* its elements are not written by a grammar */
        check_format(reply_name(i));
        n++;
    }
    assert_true(n > 30);
}

/* A text in front of a call: accepted in AUTO, and the call is held to its schema. */
static void test_auto(void **state)
{
    static const struct {
        const char *format, *text;
        int ok;
    } rows[] = {
        {"hermes",
         "Let me see.\n<tool_call>\n{\"name\": \"no_args\", \"arguments\": {}}\n"
         "</tool_call>",
         1},
        {"hermes", "Just text.", 1},
        {"hermes", "", 1},
        {"hermes", "<tool_call>\n{\"name\": \"other\"", 0},
        {"hermes", "a <tool_call> b", 0},
        {"hermes", "a <tool_cal> b", 1},
        {"llama3", "{\"name\": \"no_args\", \"parameters\": {}}", 1},
        {"llama3", " {\"no\": 1}", 0},
        {"llama3", "x {\"no\": 1}", 1},
        {"qwen3-xml", "<tool_call>\n<function=all_optional>\n<parameter=q>\n2", 0},
        {"qwen3-xml",
         "T<tool_call>\n<function=all_optional>\n<parameter=q>\nnull\n</parameter>\n"
         "</function>\n</tool_call>",
         1},
        {"harmony", "<|channel|>final<|message|>go to=x<|return|>", 1},
        {"harmony", "<|channel|>commentary to=x", 0},
        {"harmony",
         "<|channel|>commentary to=functions.no_args <|constrain|>json<|message|>{}"
         "<|call|>",
         1},
        {"functionary-v3.2", "all\nHi>>>no_args\n{}", 1},
        {"functionary-v3.2", "no_args\n{}", 1},
    };
    json_t *tools = json_loads(tools_text, 0, NULL);
    const struct reply_tools t = {tools, REPLY_AUTO, NULL, 1};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = {.format = reply_find(str_of(rows[i].format))};
        struct gram *g = build(&style, &t);
        gram_state to = 0;
        struct err e;

        assert_int_equal(
            gram_put(g, gram_start(g), rows[i].text, strlen(rows[i].text), &to, NULL, &e), 0);
        if ((to && gram_may_end(g, to)) != rows[i].ok)
            fail_msg("%s: %s", rows[i].format, rows[i].text);
        gram_free(g);
    }
    json_decref(tools);
}

static void test_refused(void **state)
{
    static const struct {
        const char *format, *tools, *only, *says;
    } rows[] = {
        {"", "[]", NULL, "grammar"},
        {"minimax-m3", "[]", NULL, "minimax-m3"},
        {"hermes", "[]", NULL, "none"},
        {"hermes", "[{\"name\": \"f\"}]", "g", "'g'"},
        {"hermes", "[{\"name\": \"f g\"}]", NULL, "'f g'"},
        {"hermes", "[{\"name\": \"f\", \"parameters\": {\"contentEncoding\": 1, \"type\": 5}}]",
         NULL, "tool 'f'"},
        {"qwen3-xml", "[{\"name\": \"f\", \"parameters\": {\"minProperties\": 1}}]", NULL,
         "minProperties"},
        {"qwen3-xml",
         "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"p\": {\"type\": "
         "\"string\", \"format\": \"date\"}}}}]",
         NULL, "'p': format"},
#define STRING(word)                                                                           \
    "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"p\": {\"type\": \"string\", " word \
    "}}}}]"
        {"qwen3-xml", STRING("\"minLength\": -1"), NULL, "'p': minLength"},
        {"qwen3-xml", STRING("\"maxLength\": 1.5"), NULL, "'p': maxLength"},
        {"qwen3-xml", STRING("\"minLength\": 1e10"), NULL, "'p': minLength: is too large"},
        {"qwen3-xml", STRING("\"minLength\": 2, \"maxLength\": 1"), NULL, "'p': minLength"},
        {"qwen3-xml", STRING("\"pattern\": 7"), NULL, "'p': pattern"},
#undef STRING
        {"qwen3-xml", "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"p\": 5}}}]", NULL,
         "'p'"},
        {"qwen3-xml", "[{\"name\": \"f\", \"parameters\": {\"properties\": 5}}]", NULL,
         "properties"},
        {"qwen3-xml", "[{\"name\": \"f\", \"parameters\": {\"required\": \"p\"}}]", NULL,
         "required"},
        {"qwen3-xml",
         "[{\"name\": \"f\", \"parameters\": {\"properties\": {\"p\": false}, \"required\": "
         "[\"p\"]}}]",
         NULL, "'p'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct reply_style style = {.format = reply_find(str_of(rows[i].format))};
        json_t *tools = json_loads(rows[i].tools, 0, NULL);
        const struct reply_tools t = {tools, REPLY_REQUIRED, rows[i].only, 1};
        gram_ref root;
        struct gram *g;
        struct err e;

        assert_non_null(tools);
        assert_int_equal(gram_new(&g, NULL, &e), 0);
        assert_true(reply_grammar(g, &style, &t, &root, &e) < 0);
        if (!strstr(e.msg, rows[i].says))
            fail_msg("says '%s', not '%s'", e.msg, rows[i].says);
        gram_free(g);
        json_decref(tools);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_auto),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

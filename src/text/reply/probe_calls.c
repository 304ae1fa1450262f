/* Which format a template writes calls in: the one that reads them back as they were. */
#include "text/reply/probe_priv.h"

#include <strings.h>

struct seen {
    struct buf args[2];
    int n, wrong, ended;
};

static int watch(void *ctx, const struct reply_event *ev)
{
    static const char *const names[2] = {"pqv_get_x", "pqv_get_y"};
    struct seen *s = ctx;

    if (ev->kind == REPLY_CALL_BROKEN || ev->call > 1)
        s->wrong = 1;
    if (s->wrong)
        return 0;
    if (ev->kind == REPLY_CALL && !str_is(ev->name, names[ev->call]))
        s->wrong = 1;
    else if (ev->kind == REPLY_CALL)
        s->n++;
    else if (ev->kind == REPLY_CALL_END)
        s->ended++;
    else if (ev->kind == REPLY_ARGUMENTS)
        return buf_put(&s->args[ev->call], ev->text.p, ev->text.n);
    return 0;
}

static int same(const struct buf *b, const char *want)
{
    json_t *x = json_loadb(b->p ? b->p : "", b->n, 0, NULL), *y = json_loads(want, 0, NULL);
    int ok = x && y && json_equal(x, y);

    json_decref(x);
    json_decref(y);
    return ok;
}

int probe_gives_calls(struct probing *p, const struct reply_format *f, struct str text, int n)
{
    struct reply_style style = {.format = f};
    struct reply *r = NULL;
    struct seen s = {0};
    struct err e;
    int rc, ok;

    buf_init(&s.args[0], 4096);
    buf_init(&s.args[1], 4096);
    rc = reply_new(&r, &style, p->tools, 0, watch, &s, &e);
    if (rc == 0)
        rc = reply_put(r, text.p, text.n, &e);
    if (rc == 0)
        rc = reply_end(r, 0, &e);
    if (rc == E_NOMEM)
        p->rc = rc;
    ok = rc == 0 && !s.wrong && s.n == n && s.ended == n &&
         same(&s.args[0], "{\"a\": 17, \"s\": \"pqvtext\"}") &&
         (n < 2 || same(&s.args[1], "{\"b\": true}"));
    reply_free(r);
    buf_done(&s.args[0]);
    buf_done(&s.args[1]);
    return ok;
}

/* How much of the format's own way of writing is in the text. */
static int likeness(const struct reply_format *f, struct str text)
{
    const struct reply_writing *w = f->writing;
    const struct {
        const char *a, *b;
    } parts[] = {{w ? w->before_name : NULL, "pqv_get_x"},
                 {"pqv_get_x", w ? w->after_name : NULL},
                 {w ? w->begin : NULL, ""},
                 {w ? w->end : NULL, ""}};
    char both[256];
    int n = 0;

    for (size_t i = 0; w && i < sizeof(parts) / sizeof(parts[0]); i++) {
        const char *a = parts[i].a ? parts[i].a : "", *b = parts[i].b ? parts[i].b : "";

        (void)snprintf(both, sizeof(both), "%s%s", a, b);
        n += memmem(text.p, text.n, both, strlen(both)) != NULL;
    }
    return n;
}

static const struct reply_format *explain(struct probing *p, struct str text, int n)
{
    const struct reply_format *best = NULL;
    int most = -1;

    for (int i = 0; reply_formats[i]; i++) {
        int like = likeness(reply_formats[i], text);

        if (like > most && probe_gives_calls(p, reply_formats[i], text, n)) {
            best = reply_formats[i];
            most = like;
        }
    }
    return best;
}

/* Renders the message with n calls and gives what the assistant writes. */
static int render_calls(struct probing *p, struct probe_ask ask, struct buf *less,
                        struct buf *more, struct str *text)
{
    if (!probe_render(p, &ask, more) || !probe_has(more, "pqv_get_x"))
        return 0;
    ask.assistant = ask.calls = 0;
    if (!probe_render(p, &ask, less))
        return 0;
    *text = probe_behind(less, more);
    return 1;
}

void probe_calls(struct probing *p, struct probe *out)
{
    static const struct probe_ask ways[] = {
        {.assistant = 1, .calls = 1, .tools = 1, .content = ""},
        {.assistant = 1, .calls = 1, .tools = 1, .content = PROBE_CONTENT},
        {.assistant = 1, .calls = 1, .tools = 1, .content = "", .args_text = 1},
        {.assistant = 1, .calls = 1, .content = ""},
    };
    struct buf less, more;
    struct str text;

    buf_init(&less, 8 << 20);
    buf_init(&more, 8 << 20);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]) && !out->style.format; i++) {
        struct probe_ask ask = ways[i];

        if (!render_calls(p, ask, &less, &more, &text))
            continue;
        out->style.format = explain(p, text, 1);
        if (!out->style.format)
            continue;
        out->args_text = ask.args_text;
        ask.calls = 2;
        out->parallel = render_calls(p, ask, &less, &more, &text) &&
                        probe_gives_calls(p, out->style.format, text, 2);
    }
    buf_done(&less);
    buf_done(&more);
}

/* -- templates that show tools but no calls ---------------------------------------------- */

static const struct {
    const char *word, *format;
} by_word[] = {
    {"<|tool_list_start|>", "lfm2"},
    {"<|tool_call_start|>", "lfm2"},
    {"<function_calls>", "olmo3"},
    {"functools[", "firefunction"},
    {"<TOOLCALL>", "nemotron2"},
    {"<minimax:tool_call>", "minimax-m2"},
    {"<seed:tool_call>", "seed-oss"},
    {"<start_function_declaration>", "functiongemma"},
    {"<|tool|>", "phi4"},
    {"<|tool_call|>", "granite"},
    {"<｜tool▁calls▁begin｜>", "deepseek-v3.1"},
    {"[AVAILABLE_TOOLS]", "mistral-v13"},
    {"<function=", "qwen3-xml"},
    {"<tool_call>", "hermes"},
    {"List of tools: [", "lfm2"},
    {"Environment: ipython", "llama3"},
    {"<start_of_turn>", "gemma"},
};
static const struct {
    const char *name, *format; /* lower case; in the model's or the architecture's name */
} by_name[] = {
    {"functiongemma", "functiongemma"},
    {"gemma", "gemma"},
    {"lfm2", "lfm2"},
    {"llama-3", "llama3"},
    {"llama3", "llama3"},
    {"llama-4", "llama3"},
    {"granite", "granite"},
    {"olmo-3", "olmo3"},
    {"olmo3", "olmo3"},
    {"phi-4", "phi4"},
    {"smollm3", "hermes"},
    {"qwen", "hermes"},
    {"command-r", "command-r"},
    {"falcon", "hermes"},
};

int probe_named(struct str name, const char *word)
{
    size_t n = strlen(word);

    for (size_t i = 0; i + n <= name.n; i++) {
        if (strncasecmp(name.p + i, word, n) == 0)
            return 1;
    }
    return 0;
}

void probe_override(struct probing *p, struct str name, struct probe *out)
{
    const struct probe_ask ask = {.tools = 1, .prompt = 1};
    struct buf text;

    buf_init(&text, 8 << 20);
    (void)probe_render(p, &ask, &text);
    for (size_t i = 0; out->tools && i < sizeof(by_word) / sizeof(by_word[0]); i++) {
        if (!out->style.format && probe_has(&text, by_word[i].word))
            out->style.format = reply_find(str_of(by_word[i].format));
    }
    for (size_t i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++) {
        if (!out->style.format && probe_named(name, by_name[i].name))
            out->style.format = reply_find(str_of(by_name[i].format));
    }
    buf_done(&text);
}

/* Conversations of known words. */
#include "text/reply/probe_priv.h"

static const char tools_text[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"pqv_get_x\", \"description\": \"D\","
    " \"parameters\": {\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\","
    " \"description\": \"D\"}, \"s\": {\"type\": \"string\", \"description\": \"D\"}},"
    " \"required\": [\"a\", \"s\"]}}}, {\"type\": \"function\", \"function\": {\"name\":"
    " \"pqv_get_y\", \"description\": \"D\", \"parameters\": {\"type\": \"object\","
    " \"properties\": {\"b\": {\"type\": \"boolean\", \"description\": \"D\"}}, \"required\":"
    " [\"b\"]}}}]";
static const char *const args[2] = {"{\"a\": 17, \"s\": \"pqvtext\"}", "{\"b\": true}"};
static const char *const names[2] = {"pqv_get_x", "pqv_get_y"};
static const char *const ids[2] = {"pqv000001", "pqv000002"};

int probe_begin(struct probing *p, const struct tmpl *t, const json_t *vars)
{
    static const char *const texts[] = {"bos_token", "eos_token"};

    *p = (struct probing){.t = t};
    p->vars = vars ? json_copy((json_t *)(uintptr_t)vars) : json_object();
    p->tools = json_loads(tools_text, 0, NULL);
    for (size_t i = 0; i < 2; i++) {
        if (!json_object_get(p->vars, texts[i]))
            (void)json_object_set_new(p->vars, texts[i], json_string(""));
    }
    /* Of Firefunction. */
    if (!json_object_get(p->vars, "functions"))
        (void)json_object_set_new(p->vars, "functions", json_string(tools_text));
    if (!json_object_get(p->vars, "datetime"))
        (void)json_object_set_new(p->vars, "datetime", json_string("now"));
    return p->vars && p->tools ? 0 : E_NOMEM;
}

void probe_done(struct probing *p)
{
    json_decref(p->vars);
    json_decref(p->tools);
}

static json_t *call(int i, int text)
{
    json_t *a = text ? json_string(args[i]) : json_loads(args[i], 0, NULL);

    return json_pack("{s:s, s:s, s:{s:s, s:o}}", "id", ids[i], "type", "function", "function",
                     "name", names[i], "arguments", a);
}

static json_t *assistant(const struct probe_ask *ask)
{
    static const char *const keys[] = {"reasoning_content", "reasoning", "thinking", "thought"};
    json_t *m = json_pack("{s:s, s:s}", "role", "assistant", "content",
                          ask->content ? ask->content : "");
    json_t *calls = ask->calls ? json_array() : NULL;

    for (size_t i = 0; ask->reasoning && i < sizeof(keys) / sizeof(keys[0]); i++)
        (void)json_object_set_new(m, keys[i], json_string(ask->reasoning));
    for (int i = 0; i < ask->calls && i < 2; i++)
        (void)json_array_append_new(calls, call(i, ask->args_text));
    if (calls)
        (void)json_object_set_new(m, "tool_calls", calls);
    return m;
}

static json_t *variables(struct probing *p, const struct probe_ask *ask)
{
    json_t *vars = json_copy(p->vars), *list = json_array();

    if (ask->system)
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s}", "role", "system", "content", ask->system));
    (void)json_array_append_new(list,
                                json_pack("{s:s, s:s}", "role", "user", "content", PROBE_USER));
    if (ask->assistant)
        (void)json_array_append_new(list, assistant(ask));
    (void)json_object_set_new(vars, "messages", list);
    if (ask->tools)
        (void)json_object_set(vars, "tools", p->tools);
    (void)json_object_set_new(vars, "add_generation_prompt", json_boolean(ask->prompt));
    if (ask->variable)
        (void)json_object_set_new(vars, ask->variable,
                                  json_loads(ask->value, JSON_DECODE_ANY, NULL));
    return vars;
}

int probe_render(struct probing *p, const struct probe_ask *ask, struct buf *out)
{
    static const struct tmpl_limits limits = {.steps = 2000000, .bytes = 64 << 20};
    struct tm now = {.tm_year = 126, .tm_mday = 1, .tm_wday = 4};
    struct marked m;
    json_t *vars;
    struct err e;
    int rc;

    buf_clear(out);
    if (p->rc)
        return 0;
    marked_init(&m, 8 << 20);
    vars = variables(p, ask);
    rc = vars ? tmpl_render(p->t, vars, &now, &limits, &m, &e) : E_NOMEM;
    if (rc == 0)
        rc = buf_put(out, m.text.p, m.text.n);
    if (rc == E_NOMEM)
        p->rc = rc;
    marked_done(&m);
    json_decref(vars);
    return rc == 0;
}

struct str probe_behind(const struct buf *less, const struct buf *more)
{
    size_t n = 0, at;

    while (n < less->n && n < more->n && less->p[n] == more->p[n])
        n++;
    /* Not into a marker that both begin: <think> and <tool_call>. */
    for (at = n; at && n - at < REPLY_MARK_MAX; at--) {
        char c = more->p[at - 1];

        if (c == '>' || c == ']' || c == '\n')
            break;
        if (c == '<' || c == '[') {
            n = at - 1;
            break;
        }
    }
    return (struct str){more->n ? more->p + n : "", more->n - n};
}

int probe_has(const struct buf *b, const char *word)
{
    return b->n && memmem(b->p, b->n, word, strlen(word)) != NULL;
}

#include "text/chat.h"

#include "base/mem.h"
#include "fmt/jbig.h"
#include "fmt/jtext.h"

#include <string.h>

#define RENDER_MAX ((size_t)256 << 20)
#define EFFORT     "reasoning_effort"

struct form {
    struct tmpl *tmpl;
    struct probe probe;
};

struct chat {
    struct form plain, tools; /* the second's tmpl is NULL where both are one */
    const struct tok *tok;
};

/* -- making ------------------------------------------------------------------------------ */

static int put_token(json_t *vars, const char *name, const struct tok *t, int id)
{
    struct str s = id >= 0 ? tok_text(t, id) : (struct str){"", 0};

    return json_object_set_new(vars, name, json_stringn(s.p, s.n));
}

/* What every template may ask for. NULL: no memory. */
static json_t *vars_new(const struct tok *t, const struct tm *now)
{
    json_t *vars = json_object();
    char when[64] = "";

    (void)strftime(when, sizeof(when), "%b %d %Y %H:%M:%S", now);
    if (!vars || put_token(vars, "bos_token", t, tok_bos(t)) != 0 ||
        put_token(vars, "eos_token", t, tok_eos(t)) != 0 ||
        json_object_set_new(vars, "datetime", json_string(when)) != 0) {
        json_decref(vars);
        return NULL;
    }
    return vars;
}

static int form_make(struct form *f, const struct chat_source *s, struct str text,
                     const json_t *vars, struct err *e)
{
    int rc = tmpl_new(&f->tmpl, s->kind, text, e);

    return rc < 0 ? rc : probe_run(&f->probe, f->tmpl, vars, s->name, e);
}

int chat_new(struct chat **out, const struct chat_source *s, struct err *e)
{
    static const struct tm some_day = {.tm_year = 126, .tm_mday = 1};
    struct chat *c = mem_calloc(1, sizeof(*c));
    json_t *vars = c ? vars_new(s->tok, &some_day) : NULL;
    int rc;

    if (!vars) {
        mem_free(c);
        return err_set(e, E_NOMEM, "no memory for a chat template");
    }
    c->tok = s->tok;
    rc = form_make(&c->plain, s, s->text, vars, e);
    if (rc == 0 && s->tools_text.n)
        rc = form_make(&c->tools, s, s->tools_text, vars, e);
    json_decref(vars);
    if (rc < 0) {
        chat_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void chat_free(struct chat *c)
{
    if (!c)
        return;
    tmpl_free(c->plain.tmpl);
    tmpl_free(c->tools.tmpl);
    mem_free(c);
}

static const struct form *form_of(const struct chat *c, int with_tools)
{
    return with_tools && c->tools.tmpl ? &c->tools : &c->plain;
}

const struct probe *chat_probe(const struct chat *c, int with_tools)
{
    return &form_of(c, with_tools)->probe;
}

int chat_has_levels(const struct chat *c, int with_tools)
{
    return tmpl_mentions(form_of(c, with_tools)->tmpl, EFFORT);
}

void chat_hidden(const struct chat *c, int with_tools, uint32_t *bits)
{
    const struct reply_style *style = &chat_probe(c, with_tools)->style;

    for (int32_t id = 0; id < tok_count(c->tok); id++) {
        struct str text = tok_piece(c->tok, id, 1);

        if (text.n && !tok_piece(c->tok, id, 0).n && !reply_uses(style, text))
            bits[id / 32] |= 1u << (id % 32);
    }
}

void chat_prompt_done(struct chat_prompt *p)
{
    marked_done(&p->text);
    tok_ids_done(&p->ids);
}

/* -- a conversation in the template's form ------------------------------------------------ */

static const char *role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));

    return role ? role : "";
}

/* Parts of type text as one string. */
static int join_parts(json_t *message, const json_t *parts, size_t at, struct err *e)
{
    struct buf b;
    const json_t *part;
    size_t i;
    int rc = 0;

    buf_init(&b, RENDER_MAX);
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *text = json_object_get(part, "text");

        if (!type || strcmp(type, "text") != 0 || !json_is_string(text)) {
            rc = err_set(e, E_UNSUPPORTED,
                         "messages[%zu].content[%zu]: a part of type '%s'; only text is "
                         "understood",
                         at, i, type ? type : "?");
            break;
        }
        rc = buf_put(&b, json_string_value(text), json_string_length(text));
        if (rc < 0)
            break;
    }
    if (rc == 0 &&
        json_object_set_new(message, "content", json_stringn(b.p ? b.p : "", b.n)) != 0)
        rc = err_set(e, E_NOMEM, "no memory for a message");
    buf_done(&b);
    return rc;
}

/* How arguments of calls are handed over. What is no JSON object, such as arguments that were
 * cut, is text in the first two, and the member "arguments" of an object in the third. */
enum arguments { ARGUMENTS_OBJECT, ARGUMENTS_TEXT, ARGUMENTS_WRAPPED, N_ARGUMENTS };

/* Arguments that are an object as text. NULL: no memory. */
static json_t *text_of_object(const json_t *args)
{
    struct buf text;
    json_t *out;

    buf_init(&text, RENDER_MAX);
    out = jtext_put(&text, args, 0) == 0 ? json_stringn(text.p, text.n) : NULL;
    buf_done(&text);
    return out;
}

/* Arguments that are text as an object, or as the text that they are. NULL: no memory. */
static json_t *object_of_text(json_t *args, int wrapped)
{
    json_t *out = NULL;

    if (jbig_load(&out, (struct str){json_string_value(args), json_string_length(args)},
                  JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL) == 0 &&
        json_is_object(out))
        return out;
    json_decref(out);
    return wrapped ? json_pack("{s:O}", "arguments", args) : json_incref(args);
}

static int turn_arguments(json_t *call, int how, struct err *e)
{
    json_t *function = json_object_get(call, "function");
    json_t *args = json_object_get(function, "arguments"), *other;

    if (how == ARGUMENTS_TEXT && json_is_object(args))
        other = text_of_object(args);
    else if (how != ARGUMENTS_TEXT && json_is_string(args))
        other = object_of_text(args, how == ARGUMENTS_WRAPPED);
    else
        return 0;
    if (json_object_set_new(function, "arguments", other) != 0)
        return err_set(e, E_NOMEM, "no memory for a message");
    return 0;
}

static int turn_message(json_t *message, size_t at, int arguments, struct err *e)
{
    json_t *content = json_object_get(message, "content");
    json_t *calls = json_object_get(message, "tool_calls"), *call;
    size_t i;
    int rc = 0;

    if (!json_is_object(message) || !*role_of(message))
        return err_set(e, E_INVALID, "messages[%zu]: no object with a role", at);
    /* What OpenAI calls a developer's message all others call the system's. */
    if (strcmp(role_of(message), "developer") == 0 &&
        json_object_set_new(message, "role", json_string("system")) != 0)
        return err_set(e, E_NOMEM, "no memory for a message");
    if (json_is_array(content))
        rc = join_parts(message, content, at, e);
    else if (content && !json_is_string(content) && !json_is_null(content))
        rc = err_set(e, E_INVALID, "messages[%zu].content: neither text nor parts", at);
    json_array_foreach(calls, i, call)
    {
        if (rc == 0)
            rc = turn_arguments(call, arguments, e);
    }
    return rc;
}

static struct str content_of(const json_t *message)
{
    const json_t *c = json_object_get(message, "content");

    return json_is_string(c) ? (struct str){json_string_value(c), json_string_length(c)}
                             : (struct str){"", 0};
}

/* Where a template knows no system message its text begins the first user message. */
static int merge_system(json_t *messages, struct err *e)
{
    json_t *system = json_array_get(messages, 0), *user = json_array_get(messages, 1);
    struct str a, b;
    struct buf both;
    int rc;

    if (!system || strcmp(role_of(system), "system") != 0)
        return 0;
    if (!user || strcmp(role_of(user), "user") != 0)
        return err_set(e, E_UNSUPPORTED,
                       "the chat template takes no system message, and no user message "
                       "follows that could carry it");
    a = content_of(system);
    b = content_of(user);
    buf_init(&both, RENDER_MAX);
    rc = buf_put(&both, a.p, a.n);
    if (rc == 0)
        rc = buf_str(&both, "\n\n");
    if (rc == 0)
        rc = buf_put(&both, b.p, b.n);
    if (rc == 0 && (json_object_set_new(user, "content", json_stringn(both.p, both.n)) != 0 ||
                    json_array_remove(messages, 0) != 0))
        rc = E_NOMEM;
    buf_done(&both);
    return rc < 0 ? err_set(e, rc, "no memory for a message") : 0;
}

/* A copy of the messages in the form that this template takes. */
static int turn_messages(const json_t *from, const struct probe *p, int arguments, json_t **out,
                         struct err *e)
{
    json_t *messages, *m;
    size_t i;
    int rc = 0;

    if (!json_is_array(from))
        return err_set(e, E_INVALID, "messages: no array");
    messages = json_deep_copy(from);
    if (!messages)
        return err_set(e, E_NOMEM, "no memory for the messages");
    json_array_foreach(messages, i, m)
    {
        if (rc == 0)
            rc = turn_message(m, i, arguments, e);
    }
    if (rc == 0 && !p->system)
        rc = merge_system(messages, e);
    if (rc < 0) {
        json_decref(messages);
        return rc;
    }
    *out = messages;
    return 0;
}

/* -- variables ---------------------------------------------------------------------------- */

/* The variable that this template asks for, with its value. A level says it all; a template
 * that has only levels, and reasons by itself, keeps its own. */
static int put_switch(json_t *vars, const struct probe *p, int on)
{
    const char *value = on ? p->think_on : p->think_off;

    if (p->think != PROBE_THINK_SWITCH || !p->think_variable || !value ||
        (on && p->think_default && strcmp(p->think_variable, EFFORT) == 0))
        return 0;
    return json_object_set_new(vars, p->think_variable,
                               json_loads(value, JSON_DECODE_ANY, NULL));
}

/* How a template is told to reason or not: besides its own variable, the names most in use. */
static int put_think(json_t *vars, const struct form *f, const struct chat_request *q,
                     struct err *e)
{
    const struct probe *p = &f->probe;
    int on = q->think == CHAT_THINK_ON, rc = 0;

    if (q->think == CHAT_THINK_OFF && p->think == PROBE_THINK_ALWAYS)
        return err_set(e, E_INVALID, "this model always reasons; it cannot be turned off");
    if (q->think == CHAT_THINK_ON && p->think == PROBE_THINK_NEVER)
        return err_set(e, E_INVALID,
                       "this model does not reason: its chat template has no "
                       "place for it");
    if (q->effort && !tmpl_mentions(f->tmpl, EFFORT))
        return err_set(e, E_UNSUPPORTED,
                       "this model's chat template knows no levels of reasoning ('%s')",
                       q->effort);
    if (q->think != CHAT_THINK_AUTO)
        rc = json_object_set_new(vars, "enable_thinking", json_boolean(on)) |
             json_object_set_new(vars, "thinking", json_boolean(on)) | put_switch(vars, p, on);
    if (q->effort)
        rc |= json_object_set_new(vars, EFFORT, json_string(q->effort));
    return rc ? err_set(e, E_NOMEM, "no memory for the template's variables") : 0;
}

static int render(const struct chat *c, const struct chat_request *q, int arguments,
                  struct marked *out, struct err *e)
{
    int with_tools = json_array_size(q->tools) > 0;
    const struct form *f = form_of(c, with_tools);
    json_t *messages = NULL, *vars = NULL;
    int rc = turn_messages(q->messages, &f->probe, arguments, &messages, e);

    if (rc < 0)
        return rc;
    vars = vars_new(c->tok, &q->now);
    if (!vars || json_object_set_new(vars, "messages", messages) != 0 ||
        json_object_set_new(vars, "add_generation_prompt", json_boolean(!q->no_prompt)) != 0 ||
        (with_tools && json_object_set(vars, "tools", (json_t *)(uintptr_t)q->tools) != 0) ||
        (q->vars && json_object_update(vars, (json_t *)(uintptr_t)q->vars) != 0))
        rc = err_set(e, E_NOMEM, "no memory for the template's variables");
    if (rc == 0)
        rc = put_think(vars, f, q, e);
    if (rc == 0)
        rc = tmpl_render(f->tmpl, vars, &q->now, NULL, out, e);
    json_decref(vars);
    return rc;
}

static int has_calls(const json_t *messages)
{
    const json_t *m;
    size_t i;

    json_array_foreach(messages, i, m)
    {
        if (json_array_size(json_object_get(m, "tool_calls")))
            return 1;
    }
    return 0;
}

/* The answer begins with text of the conversation; reasoning that the prompt opened ends before
 * it. */
static int put_begun(const struct probe *p, const struct chat_request *q, struct marked *m,
                     struct err *e)
{
    int open = probe_is_open_marked(&p->style, m), rc = 0;

    if (open)
        rc = marked_put(m, q->thought, 1);
    if (rc == 0 && open)
        rc = marked_put(m, str_of(p->style.think_close), 0);
    if (rc == 0 && open)
        rc = marked_put(m, str_of("\n\n"), 0);
    if (rc == 0)
        rc = marked_put(m, q->begun, 1);
    return rc < 0 ? err_set(e, rc, "no memory for the beginning of an answer") : 0;
}

int chat_encode(const struct chat *c, const struct chat_request *q, struct chat_prompt *out,
                struct err *e)
{
    const struct probe *p = chat_probe(c, json_array_size(q->tools) > 0);
    int rc;

    marked_init(&out->text, RENDER_MAX);
    rc = render(c, q, ARGUMENTS_OBJECT, &out->text, e);
    /* Some templates take the arguments of calls in one form only, and say so by failing. */
    for (int i = ARGUMENTS_TEXT; rc == E_INVALID && i < N_ARGUMENTS && has_calls(q->messages);
         i++) {
        struct err second = {0};

        marked_clear(&out->text);
        if (render(c, q, i, &out->text, &second) == 0)
            rc = 0;
    }
    if (rc == 0 && q->begun.n)
        rc = put_begun(p, q, &out->text, e);
    if (rc == 0)
        rc = tok_encode_marked(c->tok, &out->text, TOK_ADD_SPECIAL | TOK_PARSE_SPECIAL,
                               &out->ids, e);
    if (rc == 0)
        out->open = probe_is_open_marked(&p->style, &out->text);
    return rc;
}

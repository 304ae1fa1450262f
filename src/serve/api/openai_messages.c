/* Conversations: messages as this API has them into the form that providers take. */
#include "serve/api/openai.h"

#include "base/b64.h"
#include "base/mem.h"

#include <stdio.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

enum { PARAM_MAX = 96, PATH_BYTES = 64 };

/* A conversation on its way. */
struct talk {
    struct openai_parse *p;
    json_t *out;   /* array of messages */
    json_t *calls; /* id: name of the function, of calls that no message has answered yet */
    size_t at;     /* which message */
    char path[PATH_BYTES]; /* "messages[3]." */
};

struct message_in {
    struct str role, name, call_id, reasoning, refusal;
    json_t *content, *calls, *other_reasoning;
};

#define AT(field) offsetof(struct message_in, field)

static const struct field_row message_rows[] = {
    {.name = "role", .type = FIELD_STR, .at = AT(role), .min = 1, .flags = FIELD_NEEDED},
    {.name = "content", .type = FIELD_JSON, .at = AT(content)},
    {.name = "name", .type = FIELD_STR, .at = AT(name)},
    {.name = "tool_call_id", .type = FIELD_STR, .at = AT(call_id), .min = 1},
    {.name = "tool_calls", .type = FIELD_ARRAY, .at = AT(calls)},
    {.name = "reasoning_content", .type = FIELD_STR, .at = AT(reasoning)},
    {.name = "reasoning", .type = FIELD_JSON, .at = AT(other_reasoning)},
    {.name = "refusal", .type = FIELD_STR, .at = AT(refusal)},
    {.name = "audio", .type = FIELD_REFUSED},
    {.name = "function_call", .type = FIELD_REFUSED, .why = "is not supported: use tool_calls"},
    {.name = "annotations", .type = FIELD_NOTED, .is = FIELD_IS_ARRAY},
    {.name = "reasoning_details", .type = FIELD_NOTED, .is = FIELD_IS_ARRAY},
};

#undef AT

static const char *param_of(const struct talk *t, char param[PARAM_MAX], const char *field)
{
    (void)snprintf(param, PARAM_MAX, "%s%s", t->path, field);
    return param;
}

/* -- parts --------------------------------------------------------------------------------- */

int openai_image(struct openai_parse *p, const char *param, struct str url, json_t **out)
{
    const char *data = url.n > 5 && memcmp(url.p, "data:", 5) == 0 ? url.p + 5 : NULL, *comma;
    static const char mark[] = ";base64";
    size_t n_mime;
    unsigned char *bytes;
    struct str text;
    long n;

    if (!data)
        return openai_unsupported(
            p, param, "is not fetched: send the image itself, as data:image/...;base64,...");
    comma = memchr(data, ',', url.n - 5);
    n_mime = comma ? (size_t)(comma - data) : 0;
    if (n_mime < sizeof(mark) - 1 ||
        memcmp(comma - (sizeof(mark) - 1), mark, sizeof(mark) - 1) != 0)
        return openai_bad(p, param, "must be data:image/...;base64,...");
    n_mime -= sizeof(mark) - 1;
    if (n_mime < 6 || memcmp(data, "image/", 6) != 0)
        return openai_bad(p, param, "is not an image: expected data:image/...");
    text = (struct str){comma + 1, (size_t)(url.p + url.n - comma - 1)};
    bytes = mem_alloc(B64_MAX(text.n));
    if (!bytes)
        return openai_nomem(p);
    n = b64_decode(text, bytes, NULL);
    mem_free(bytes);
    if (n <= 0)
        return openai_bad(p, param, n ? "is not base64" : "is an image of no bytes");
    *out = json_pack("{s:s,s:s%,s:s%}", "type", "image", "mime", data, n_mime, "data", text.p,
                     text.n);
    return *out ? 0 : openai_nomem(p);
}

struct part_in {
    struct str type, text, refusal;
    json_t *image;
};

#define AT(field) offsetof(struct part_in, field)

static const struct field_row part_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .min = 1, .flags = FIELD_NEEDED},
    {.name = "text", .type = FIELD_STR, .at = AT(text)},
    {.name = "refusal", .type = FIELD_STR, .at = AT(refusal)},
    {.name = "image_url", .type = FIELD_JSON, .at = AT(image)},
    {.name = "input_audio",
     .type = FIELD_NOTED,
     .is = FIELD_IS_OBJECT}, /* its type is refused */
    {.name = "file", .type = FIELD_NOTED, .is = FIELD_IS_OBJECT},
    {.name = "cache_control",
     .type = FIELD_NOTED,
     .is = FIELD_IS_OBJECT}, /* prefixes are kept by themselves */
};

#undef AT

static int image_part(struct talk *t, const char *path, const json_t *v, json_t **out)
{
    static const struct field_row rows[] = {
        {.name = "url", .type = FIELD_STR, .flags = FIELD_NEEDED},
        {.name = "detail", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    };
    struct str url = {json_string_value(v), json_string_length(v)};
    char param[PARAM_MAX + 16];
    int rc = 0;

    (void)snprintf(param, sizeof(param), "%simage_url.", path);
    if (!json_is_string(v))
        rc = field_read(rows, N(rows), param, v, &url, &t->p->report, &t->p->e);
    (void)snprintf(param, sizeof(param), "%simage_url.url", path);
    return rc < 0 ? rc : openai_image(t->p, param, url, out);
}

static int text_part(struct talk *t, const char *path, const char *field, struct str text,
                     json_t **out)
{
    char param[PARAM_MAX + 16];

    (void)snprintf(param, sizeof(param), "%s%s", path, field);
    if (!text.p)
        return openai_bad(t->p, param, "is required");
    *out = json_pack("{s:s,s:s%}", "type", "text", "text", text.p, text.n);
    return *out ? 0 : openai_nomem(t->p);
}

static int part(struct talk *t, const struct message_in *in, size_t at, const json_t *v,
                json_t **out)
{
    struct part_in part = {0};
    char path[PARAM_MAX], param[PARAM_MAX + 8];
    int rc;

    (void)snprintf(path, sizeof(path), "%scontent[%zu]", t->path, at);
    if (!json_is_object(v))
        return openai_bad(t->p, path, "must be an object");
    (void)snprintf(path, sizeof(path), "%scontent[%zu].", t->path, at);
    rc = field_read(part_rows, N(part_rows), path, v, &part, &t->p->report, &t->p->e);
    if (rc < 0)
        return rc;
    if (str_is(part.type, "text"))
        return text_part(t, path, "text", part.text, out);
    if (str_is(part.type, "refusal") && str_is(in->role, "assistant"))
        return text_part(t, path, "refusal", part.refusal, out);
    if (str_is(part.type, "image_url") && str_is(in->role, "user"))
        return image_part(t, path, part.image, out);
    (void)snprintf(param, sizeof(param), "%stype", path);
    return openai_unsupported(t->p, param, "'%.40s' is not supported in messages of role '%s'",
                              part.type.p, in->role.p);
}

/* *out is a new reference, NULL: there is none. */
static int content(struct talk *t, const struct message_in *in, json_t **out)
{
    char param[PARAM_MAX];
    json_t *v = in->content;

    if (json_is_string(v)) {
        *out = json_incref(v);
        return 0;
    }
    if (!v)
        return 0;
    param_of(t, param, "content");
    if (!json_is_array(v))
        return openai_bad(t->p, param, "must be a string or an array of parts");
    if (json_array_size(v) == 0)
        return openai_bad(t->p, param, "is empty");
    *out = json_array();
    if (!*out)
        return openai_nomem(t->p);
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *one = NULL;
        int rc = part(t, in, i, json_array_get(v, i), &one);

        if (rc == 0 && json_array_append_new(*out, one) != 0)
            rc = openai_nomem(t->p);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* -- calls --------------------------------------------------------------------------------- */

int openai_arguments(struct openai_parse *p, const char *param, const json_t *v, json_t **out)
{
    struct str text = {json_string_value(v), json_string_length(v)};
    json_t *parsed = NULL;
    int ok;

    if (json_is_object(v)) {
        *out = json_incref((json_t *)(uintptr_t)v);
        return 0;
    }
    if (!json_is_string(v))
        return openai_bad(p, param, "must be a string of JSON");
    if (text.n == 0) {
        *out = json_string("{}");
        return *out ? 0 : openai_nomem(p);
    }
    ok = field_parse(&parsed, text, NULL) == 0 && json_is_object(parsed);
    json_decref(parsed);
    if (!ok) /* the answer ended within the call, and clients send it back as it came */
        field_warn(&p->report, "%s is not the JSON of an object: the model sees it as text",
                   param);
    *out = json_incref((json_t *)(uintptr_t)v);
    return 0;
}

struct call_in {
    struct str type, id, name;
    json_t *function, *args;
};

#define AT(field) offsetof(struct call_in, field)

static const struct field_row call_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type)},
    {.name = "id", .type = FIELD_STR, .at = AT(id), .min = 1, .flags = FIELD_NEEDED},
    {.name = "index", .type = FIELD_NOTED, .is = FIELD_IS_INT}, /* of a stream's chunks */
    {.name = "function", .type = FIELD_OBJECT, .at = AT(function)},
};

static const struct field_row call_function_rows[] = {
    {.name = "name", .type = FIELD_STR, .at = AT(name), .min = 1, .flags = FIELD_NEEDED},
    {.name = "arguments", .type = FIELD_JSON, .at = AT(args)},
};

#undef AT

static int call(struct talk *t, size_t at, const json_t *v, json_t **out)
{
    struct call_in in = {0};
    json_t *args = NULL;
    char path[PARAM_MAX + 8], param[PARAM_MAX + 32];
    int rc;

    (void)snprintf(path, sizeof(path), "%stool_calls[%zu].", t->path, at);
    rc = field_read(call_rows, N(call_rows), path, v, &in, &t->p->report, &t->p->e);
    if (rc < 0)
        return rc;
    (void)snprintf(param, sizeof(param), "%stype", path);
    if (in.type.p && !str_is(in.type, "function"))
        return openai_unsupported(t->p, param, "is not supported: only function is");
    (void)snprintf(param, sizeof(param), "%sid", path);
    if (json_object_get(t->calls, in.id.p))
        return openai_bad(t->p, param, "'%.64s' is there twice", in.id.p);
    (void)snprintf(param, sizeof(param), "%sfunction.", path);
    rc = field_read(call_function_rows, N(call_function_rows), param, in.function, &in,
                    &t->p->report, &t->p->e);
    (void)snprintf(param, sizeof(param), "%sfunction.arguments", path);
    if (rc == 0)
        rc = openai_arguments(t->p, param, in.args, &args);
    if (rc < 0)
        return rc;
    *out = json_pack("{s:s%,s:s,s:{s:s%,s:o}}", "id", in.id.p, in.id.n, "type", "function",
                     "function", "name", in.name.p, in.name.n, "arguments", args);
    if (!*out ||
        json_object_set_new(t->calls, in.id.p, json_stringn(in.name.p, in.name.n)) != 0)
        return openai_nomem(t->p);
    return 0;
}

static int calls(struct talk *t, const struct message_in *in, json_t *message)
{
    json_t *list;

    if (json_array_size(in->calls) == 0)
        return 0;
    /* What was called before and not answered cannot be answered any more. */
    if (json_object_clear(t->calls) != 0)
        return openai_nomem(t->p);
    list = json_array();
    if (!list || json_object_set_new(message, "tool_calls", list) != 0)
        return openai_nomem(t->p);
    for (size_t i = 0; i < json_array_size(in->calls); i++) {
        json_t *one = NULL;
        int rc = call(t, i, json_array_get(in->calls, i), &one);

        if (rc == 0 && json_array_append_new(list, one) != 0)
            rc = openai_nomem(t->p);
        else if (rc < 0)
            json_decref(one);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* -- roles --------------------------------------------------------------------------------- */

/* The answer to a call of the assistant's turn before. */
static int role_tool(struct talk *t, const struct message_in *in, json_t *message)
{
    const json_t *name = in->call_id.p ? json_object_get(t->calls, in->call_id.p) : NULL;
    char param[PARAM_MAX];
    int bad = 0;

    if (!in->call_id.p)
        return openai_bad(t->p, param_of(t, param, "tool_call_id"), "is required");
    if (!name)
        return openai_bad(t->p, param_of(t, param, "tool_call_id"),
                          "'%.64s' is no call of the assistant's message before that waits for "
                          "an answer",
                          in->call_id.p);
    bad |= json_object_set(message, "name", (json_t *)(uintptr_t)name);
    bad |= json_object_set_new(message, "tool_call_id",
                               json_stringn(in->call_id.p, in->call_id.n));
    bad |= json_object_del(t->calls, in->call_id.p);
    return bad ? openai_nomem(t->p) : 0;
}

static int role_assistant(struct talk *t, struct message_in *in, json_t *message)
{
    char param[PARAM_MAX];
    struct str why = in->reasoning;

    if (!why.p && json_is_string(in->other_reasoning))
        why = (struct str){json_string_value(in->other_reasoning),
                           json_string_length(in->other_reasoning)};
    if (why.n &&
        json_object_set_new(message, "reasoning_content", json_stringn(why.p, why.n)) != 0)
        return openai_nomem(t->p);
    if (!json_object_get(message, "content")) {
        if (in->refusal.n == 0 && why.n == 0 && json_array_size(in->calls) == 0)
            return openai_bad(t->p, param_of(t, param, "content"),
                              "is required where there are no tool_calls");
        if (json_object_set_new(message, "content",
                                in->refusal.n ? json_stringn(in->refusal.p, in->refusal.n)
                                : json_array_size(in->calls) ? json_null()
                                                             : json_string("")) != 0)
            return openai_nomem(t->p);
    }
    return calls(t, in, message);
}

/* Fields that only messages of other roles have. */
static int misplaced(struct talk *t, const struct message_in *in)
{
    char param[PARAM_MAX];
    int assistant = str_is(in->role, "assistant"), tool = str_is(in->role, "tool");

    if (in->calls && json_array_size(in->calls) && !assistant)
        return openai_bad(t->p, param_of(t, param, "tool_calls"),
                          "is for messages of role 'assistant' only");
    if (in->call_id.p && !tool)
        return openai_bad(t->p, param_of(t, param, "tool_call_id"),
                          "is for messages of role 'tool' only");
    if (in->name.n && !tool)
        field_warn(&t->p->report, "%sname has no effect: models are not shown it", t->path);
    return 0;
}

static int known_role(struct talk *t, struct str role)
{
    static const char *const words[] = {"system", "developer", "user", "assistant", "tool"};
    char param[PARAM_MAX];

    for (size_t i = 0; i < N(words); i++) {
        if (str_is(role, words[i]))
            return 0;
    }
    if (str_is(role, "function"))
        return openai_unsupported(t->p, param_of(t, param, "role"),
                                  "'function' is not supported: use 'tool'");
    return openai_bad(t->p, param_of(t, param, "role"),
                      "is '%.40s', expected system, developer, user, assistant or tool",
                      role.p);
}

static int role(struct talk *t, struct message_in *in, json_t *message)
{
    char param[PARAM_MAX];

    if (str_is(in->role, "assistant"))
        return role_assistant(t, in, message);
    if (!json_object_get(message, "content"))
        return openai_bad(t->p, param_of(t, param, "content"), "is required");
    return str_is(in->role, "tool") ? role_tool(t, in, message) : 0;
}

static int message(struct talk *t, const json_t *v)
{
    struct message_in in = {0};
    json_t *out, *body = NULL;
    char param[PARAM_MAX];
    int rc;

    (void)snprintf(param, sizeof(param), "messages[%zu]", t->at);
    (void)snprintf(t->path, sizeof(t->path), "messages[%zu].", t->at);
    if (!json_is_object(v))
        return openai_bad(t->p, param, "must be an object");
    rc = field_read(message_rows, N(message_rows), t->path, v, &in, &t->p->report, &t->p->e);
    if (rc == 0)
        rc = known_role(t, in.role);
    if (rc == 0)
        rc = misplaced(t, &in);
    if (rc < 0)
        return rc;
    out = json_object();
    if (!out || json_array_append_new(t->out, out) != 0 ||
        json_object_set_new(out, "role", json_stringn(in.role.p, in.role.n)) != 0)
        return openai_nomem(t->p);
    rc = content(t, &in, &body);
    if (body && json_object_set_new(out, "content", body) != 0 && rc == 0)
        rc = openai_nomem(t->p);
    return rc < 0 ? rc : role(t, &in, out);
}

int openai_messages(struct openai_parse *p, const json_t *messages)
{
    struct talk t = {.p = p, .out = json_array(), .calls = json_object()};
    int rc = t.out && t.calls ? 0 : openai_nomem(p);

    for (t.at = 0; t.at < json_array_size(messages) && rc == 0; t.at++)
        rc = message(&t, json_array_get(messages, t.at));
    json_decref(t.calls);
    if (rc < 0)
        json_decref(t.out);
    else
        p->q->messages = t.out;
    return rc;
}

int openai_effort(struct openai_parse *p, const char *param, struct str effort)
{
    /* Templates know three levels at most. */
    static const struct {
        const char *word, *level;
    } rows[] = {{"minimal", "low"}, {"low", "low"},    {"medium", "medium"},
                {"high", "high"},   {"xhigh", "high"}, {"max", "high"}};

    p->q->field[GATE_F_THINK] = param;
    if (str_is(effort, "none")) {
        p->q->think = GATE_THINK_OFF;
        return 0;
    }
    for (size_t i = 0; i < N(rows); i++) {
        if (!str_is(effort, rows[i].word))
            continue;
        if (strcmp(rows[i].word, rows[i].level) != 0)
            field_warn(&p->report, "%s: '%s' is taken as '%s'", param, rows[i].word,
                       rows[i].level);
        p->q->think = GATE_THINK_ON;
        return openai_copy(p, &p->q->effort, str_of(rows[i].level));
    }
    return openai_bad(
        p, param, "is '%.40s', expected none, minimal, low, medium, high or xhigh", effort.p);
}

/* enable_thinking is a variable of some templates; all that can reason know it by its request
 * here. The others are handed on. */
int openai_template_vars(struct openai_parse *p)
{
    static const char name[] = "chat_template_kwargs.enable_thinking";
    const json_t *on = json_object_get(p->in.template_vars, "enable_thinking");
    int think = json_is_true(on) ? GATE_THINK_ON : GATE_THINK_OFF;

    if (!p->in.template_vars)
        return 0;
    if (on && !json_is_boolean(on))
        return openai_bad(p, name, "must be true or false");
    if (on && p->q->think != GATE_THINK_AUTO && p->q->think != think)
        return openai_bad(p, name, "differs from what %s says", p->q->field[GATE_F_THINK]);
    if (on && p->q->think == GATE_THINK_AUTO) {
        p->q->think = think;
        p->q->field[GATE_F_THINK] = name;
    }
    p->q->vars = json_copy(p->in.template_vars);
    if (!p->q->vars)
        return openai_nomem(p);
    (void)json_object_del(p->q->vars, "enable_thinking");
    return 0;
}

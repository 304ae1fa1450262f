/* Tools and which of them may, must or must not be called. */
#include "serve/api/openai.h"

#include <stdio.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

enum { NAME_MAX_LEN = 64, PARAM_MAX = 96 };

struct tool_in {
    struct str type, name, description;
    json_t *function, *parameters, *tools;
    int strict;
};

#define AT(field) offsetof(struct tool_in, field)

#define FUNCTION_ROWS                                                                          \
    {.name = "name", .type = FIELD_STR, .at = AT(name), .flags = FIELD_NEEDED},                \
        {.name = "description", .type = FIELD_STR, .at = AT(description)},                     \
        {.name = "parameters", .type = FIELD_JSON, .at = AT(parameters)},                      \
    {                                                                                          \
        .name = "strict", .type = FIELD_BOOL, .at = AT(strict)                                 \
    }

static const struct field_row function_rows[] = {FUNCTION_ROWS};

static const struct field_row flat_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .flags = FIELD_NEEDED},
    FUNCTION_ROWS,
};

static const struct field_row tool_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .flags = FIELD_NEEDED},
    {.name = "function", .type = FIELD_OBJECT, .at = AT(function), .flags = FIELD_NEEDED},
};

/* Functions under a name, in /v1/responses. */
static const struct field_row space_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .flags = FIELD_NEEDED},
    {.name = "name", .type = FIELD_STR, .at = AT(name), .flags = FIELD_NEEDED},
    {.name = "description", .type = FIELD_STR, .at = AT(description)},
    {.name = "tools", .type = FIELD_ARRAY, .at = AT(tools), .flags = FIELD_NEEDED},
};

/* Letters, digits, _ and -, 1 to 64 of them; a point as other servers allow. */
static int name_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '.'))
            return 0;
    }
    return s.n >= 1 && s.n <= NAME_MAX_LEN;
}

/* In the form of chat completions, as templates have it. */
static json_t *tool_new(const struct tool_in *in)
{
    json_t *function = json_object(), *tool = json_object();
    int bad = !function || !tool;

    bad |= json_object_set_new(tool, "type", json_string("function"));
    bad |= json_object_set_new(function, "name", json_stringn(in->name.p, in->name.n));
    if (in->description.p)
        bad |= json_object_set_new(function, "description",
                                   json_stringn(in->description.p, in->description.n));
    if (in->parameters)
        bad |= json_object_set(function, "parameters", in->parameters);
    else
        bad |= json_object_set_new(function, "parameters",
                                   json_pack("{s:s,s:{}}", "type", "object", "properties"));
    if (in->strict)
        bad |= json_object_set_new(function, "strict", json_true());
    bad |= json_object_set_new(tool, "function", function);
    if (!bad)
        return tool;
    json_decref(tool);
    return NULL;
}

static int parameters_ok(struct openai_parse *p, const char *path, const json_t *v)
{
    const json_t *type = json_object_get(v, "type");
    char param[PARAM_MAX];

    (void)snprintf(param, sizeof(param), "%.80sparameters", path);
    if (!json_is_object(v))
        return openai_bad(p, param, "must be a JSON Schema: an object");
    if (json_is_string(type) && strcmp(json_string_value(type), "object") != 0)
        return openai_bad(p, param, "must be the schema of an object, not of type '%.40s'",
                          json_string_value(type));
    return 0;
}

/* Takes in a tool that was read; at: its path. */
static int add(struct openai_parse *p, const char *at, const struct tool_in *in, json_t *seen)
{
    char param[PARAM_MAX];
    json_t *out;

    (void)snprintf(param, sizeof(param), "%sname", at);
    if (json_object_get(seen, in->name.p))
        return openai_bad(p, param, "'%.128s' is there twice", in->name.p);
    out = tool_new(in);
    if (!out || json_object_set_new(seen, in->name.p, json_true()) != 0) {
        json_decref(out);
        return openai_nomem(p);
    }
    return json_array_append_new(p->q->tools, out) == 0 ? 0 : openai_nomem(p);
}

/* The model calls a function of a namespace by both names; the answer has them apart again. */
static int add_inner(struct openai_parse *p, const char *at, const char *space,
                     const struct tool_in *in, json_t *seen)
{
    struct tool_in known = *in;
    char whole[2 * NAME_MAX_LEN + 2];

    (void)snprintf(whole, sizeof(whole), "%s.%s", space, in->name.p);
    if (!p->spaces)
        p->spaces = json_object();
    if (json_object_set_new(p->spaces, whole,
                            json_pack("{s:s,s:s}", "namespace", space, "name", in->name.p)) !=
        0)
        return openai_nomem(p);
    known.name = str_of(whole);
    return add(p, at, &known, seen);
}

/* at: "tools[2]". space: the name of the namespace that it is in, or NULL. */
static int function(struct openai_parse *p, const char *at, const char *space, const json_t *v,
                    int flat, json_t *seen)
{
    struct tool_in in = {0};
    char path[PARAM_MAX], param[PARAM_MAX];
    int rc;

    (void)snprintf(path, sizeof(path), "%.60s.", at);
    rc = field_read(flat ? flat_rows : tool_rows, flat ? N(flat_rows) : N(tool_rows), path, v,
                    &in, &p->report, &p->e);
    if (rc == 0 && !flat) {
        (void)snprintf(path, sizeof(path), "%.60s.function.", at);
        rc = field_read(function_rows, N(function_rows), path, in.function, &in, &p->report,
                        &p->e);
    }
    if (rc == 0 && in.parameters)
        rc = parameters_ok(p, path, in.parameters);
    if (rc < 0)
        return rc;
    (void)snprintf(param, sizeof(param), "%.80sname", path);
    if (!name_ok(in.name))
        return openai_bad(p, param, "must be 1 to 64 letters, digits, '_', '-' or '.'");
    return space ? add_inner(p, path, space, &in, seen) : add(p, path, &in, seen);
}

static int namespace(struct openai_parse *p, const char *at, const json_t *v, json_t *seen)
{
    struct tool_in in = {0};
    char path[PARAM_MAX];
    int rc;

    (void)snprintf(path, sizeof(path), "%.60s.", at);
    rc = field_read(space_rows, N(space_rows), path, v, &in, &p->report, &p->e);
    if (rc < 0)
        return rc;
    (void)snprintf(path, sizeof(path), "%.60s.name", at);
    if (!name_ok(in.name))
        return openai_bad(p, path, "must be 1 to 64 letters, digits, '_', '-' or '.'");
    for (size_t i = 0; i < json_array_size(in.tools) && rc == 0; i++) {
        const json_t *inner = json_array_get(in.tools, i);
        const char *type = json_string_value(json_object_get(inner, "type"));

        (void)snprintf(path, sizeof(path), "%.40s.tools[%zu]", at, i);
        if (!json_is_object(inner))
            return openai_bad(p, path, "must be an object");
        if (type && strcmp(type, "function") != 0)
            return openai_unsupported(p, path, "of type '%.40s' is not supported", type);
        rc = function(p, path, in.name.p, inner, 1, seen);
    }
    return rc;
}

/* A tool that the API would run by itself, at the model's wish. The model is not told of it,
 * and so the answer has no trace of it either. */
static int is_search(const char *type)
{
    static const char prefix[] = "web_search";

    return strncmp(type, prefix, sizeof(prefix) - 1) == 0;
}

static int tool(struct openai_parse *p, size_t i, const json_t *v, int flat, json_t *seen)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    char at[32], param[40];

    (void)snprintf(at, sizeof(at), "tools[%zu]", i);
    if (!json_is_object(v))
        return openai_bad(p, at, "must be an object");
    if (!type || strcmp(type, "function") == 0)
        return function(p, at, NULL, v, flat, seen);
    if (flat && strcmp(type, "namespace") == 0)
        return namespace(p, at, v, seen);
    if (flat && is_search(type)) {
        field_warn(&p->report, "%s: the model is not offered '%.40s', which is not run here",
                   at, type);
        return 0;
    }
    (void)snprintf(param, sizeof(param), "%s.type", at);
    return openai_unsupported(p, param, "'%.40s' is not supported: only functions are", type);
}

/* -- the choice ---------------------------------------------------------------------------- */

static const char *name_of(const json_t *tool)
{
    return json_string_value(json_object_get(json_object_get(tool, "function"), "name"));
}

struct choice_in {
    struct str type, name, mode;
    json_t *function, *allowed, *tools;
};

#undef AT
#define AT(field) offsetof(struct choice_in, field)

static const struct field_row choice_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .flags = FIELD_NEEDED},
    {.name = "function", .type = FIELD_OBJECT, .at = AT(function)},
    {.name = "name", .type = FIELD_STR, .at = AT(name)},
};

static const struct field_row choice_function_rows[] = {
    {.name = "name", .type = FIELD_STR, .at = AT(name), .min = 1, .flags = FIELD_NEEDED},
};

static const struct field_row choice_allowed_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type)},
    {.name = "allowed_tools", .type = FIELD_OBJECT, .at = AT(allowed)},
    {.name = "mode", .type = FIELD_STR, .at = AT(mode)},
    {.name = "tools", .type = FIELD_ARRAY, .at = AT(tools)},
};

/* A function in {"type":"function","function":{"name":...}}, or {"type":"function","name":...}.
 */
static int choice_function(struct openai_parse *p, const char *at, const json_t *v,
                           struct choice_in *in)
{
    char path[PARAM_MAX];
    int rc;

    (void)snprintf(path, sizeof(path), "%.40s.", at);
    rc = field_read(choice_rows, N(choice_rows), path, v, in, &p->report, &p->e);
    (void)snprintf(path, sizeof(path), "%.40s.function.", at);
    if (rc == 0 && in->function)
        rc = field_read(choice_function_rows, N(choice_function_rows), path, in->function, in,
                        &p->report, &p->e);
    if (rc < 0 || in->name.n)
        return rc;
    (void)snprintf(path, sizeof(path), "%.40s.function.name", at);
    return openai_bad(p, path, "is required");
}

static int is_there(const json_t *tools, const char *name)
{
    for (size_t i = 0; i < json_array_size(tools); i++) {
        if (strcmp(name_of(json_array_get(tools, i)), name) == 0)
            return 1;
    }
    return 0;
}

static int choice_word(struct openai_parse *p, const char *param, const char *word)
{
    static const struct {
        const char *word;
        int choice;
    } rows[] = {
        {"auto", GATE_CALL_AUTO}, {"none", GATE_CALL_NONE}, {"required", GATE_CALL_REQUIRED}};

    for (size_t i = 0; i < N(rows); i++) {
        if (strcmp(rows[i].word, word) == 0) {
            p->q->tool_choice = rows[i].choice;
            return 0;
        }
    }
    return openai_bad(p, param, "is '%.40s', expected none, auto, required, or an object",
                      word);
}

/* The tools of that name, in kept. */
static int keep(struct openai_parse *p, size_t i, const json_t *v, json_t *kept)
{
    struct choice_in in = {0};
    char path[40];
    int rc;

    (void)snprintf(path, sizeof(path), "tool_choice.tools[%zu]", i);
    rc = choice_function(p, path, v, &in);
    if (rc < 0)
        return rc;
    if (!is_there(p->q->tools, in.name.p))
        return openai_bad(p, "tool_choice.tools",
                          "names '%.64s', which is no tool of this request", in.name.p);
    return json_object_set_new(kept, in.name.p, json_true()) == 0 ? 0 : openai_nomem(p);
}

/* Only some of the tools: the others are not there for this request. */
static int choice_allowed(struct openai_parse *p, const json_t *v)
{
    struct choice_in in = {0};
    json_t *kept;
    int rc = field_read(choice_allowed_rows, N(choice_allowed_rows), "tool_choice.", v, &in,
                        &p->report, &p->e);

    if (rc == 0 && in.allowed)
        rc = field_read(choice_allowed_rows + 2, N(choice_allowed_rows) - 2,
                        "tool_choice.allowed_tools.", in.allowed, &in, &p->report, &p->e);
    if (rc < 0)
        return rc;
    if (json_array_size(in.tools) == 0)
        return openai_bad(p, "tool_choice.tools", "must be an array of functions");
    if (!in.mode.n)
        return openai_bad(p, "tool_choice.mode", "must be auto or required");
    kept = json_object();
    if (!kept)
        return openai_nomem(p);
    for (size_t i = 0; i < json_array_size(in.tools) && rc == 0; i++)
        rc = keep(p, i, json_array_get(in.tools, i), kept);
    for (size_t i = json_array_size(p->q->tools); i-- > 0 && rc == 0;) {
        if (!json_object_get(kept, name_of(json_array_get(p->q->tools, i))) &&
            json_array_remove(p->q->tools, i) != 0)
            rc = openai_nomem(p);
    }
    json_decref(kept);
    return rc < 0 ? rc : choice_word(p, "tool_choice.mode", in.mode.p);
}

static int choice(struct openai_parse *p, const json_t *v)
{
    const char *type = json_string_value(json_object_get(v, "type"));
    struct choice_in in = {0};
    int rc;

    if (json_is_string(v))
        return choice_word(p, "tool_choice", json_string_value(v));
    if (!json_is_object(v) || !type)
        return openai_bad(p, "tool_choice", "must be a word, or an object with a type");
    if (strcmp(type, "allowed_tools") == 0)
        return choice_allowed(p, v);
    if (strcmp(type, "function") != 0)
        return openai_unsupported(p, "tool_choice.type", "'%.40s' is not supported", type);
    rc = choice_function(p, "tool_choice", v, &in);
    if (rc < 0)
        return rc;
    if (!is_there(p->q->tools, in.name.p))
        return openai_bad(p, "tool_choice", "names '%.64s', which is no tool of this request",
                          in.name.p);
    rc = openai_copy(p, &p->q->tool_name, in.name);
    p->q->tool_choice = GATE_CALL_REQUIRED;
    return rc;
}

int openai_tools(struct openai_parse *p, const json_t *tools, const json_t *want, int flat)
{
    json_t *seen;
    int rc = 0;

    p->q->one_call = !p->in.parallel_tool_calls;
    if (json_array_size(tools) > 0) {
        seen = json_object();
        p->q->tools = json_array();
        if (!seen || !p->q->tools)
            rc = openai_nomem(p);
        for (size_t i = 0; i < json_array_size(tools) && rc == 0; i++)
            rc = tool(p, i, json_array_get(tools, i), flat, seen);
        json_decref(seen);
        if (rc == 0 && json_array_size(p->q->tools) == 0) { /* none that the model can call */
            json_decref(p->q->tools);
            p->q->tools = NULL;
        }
    }
    if (rc == 0 && want)
        rc = choice(p, want);
    if (rc == 0 && p->q->tool_choice == GATE_CALL_REQUIRED && !p->q->tools)
        rc = openai_bad(p, "tool_choice", "asks for a call, but there are no tools");
    return rc;
}

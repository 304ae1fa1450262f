/* anthropic_tools.c - tools and tool_choice: Anthropic's declarations as OpenAI's, which is the
 * canonical form.
 */
#include "serve/api/anthropic.h"

#include <stdio.h>
#include <string.h>

enum { TOOLS_MAX = 1024, TOOL_NAME_MAX = 128 };

struct tool {
    struct str type, name, description;
    json_t *schema;
    int strict;
};

#define AT(field) .at = offsetof(struct tool, field)

static const struct field_row tool_rows[] = {
    {.name = "type", .type = FIELD_STR, AT(type)},
    {.name = "name", .type = FIELD_STR, AT(name)},
    {.name = "description", .type = FIELD_STR, AT(description)},
    {.name = "input_schema", .type = FIELD_OBJECT, AT(schema)},
    {.name = "cache_control", .type = FIELD_NOTED},
    {.name = "strict", .type = FIELD_BOOL, AT(strict)},
    {.name = "eager_input_streaming", .type = FIELD_NOTED},
    {.name = "input_examples",
     .type = FIELD_WARNED,
     .why = "are not shown to the model; put them into the description"},
    {.name = "defer_loading",
     .type = FIELD_REFUSED,
     .harmless = "false",
     .why = "is not supported: all tools are shown to the model"},
    {.name = "allowed_callers",
     .type = FIELD_REFUSED,
     .harmless = "[\"direct\"]",
     .why = "is not supported: only the model itself calls"},
};

struct choice {
    struct str type, name;
    int one;
};

static const struct field_row choice_rows[] = {
    {.name = "type",
     .type = FIELD_STR,
     .at = offsetof(struct choice, type),
     .flags = FIELD_NEEDED},
    {.name = "name", .type = FIELD_STR, .at = offsetof(struct choice, name)},
    {.name = "disable_parallel_tool_use",
     .type = FIELD_BOOL,
     .at = offsetof(struct choice, one)},
};

static int is_name(struct str s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789_-";

    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\0' || !strchr(letters, s.p[i]))
            return 0;
    }
    return s.n > 0 && s.n <= TOOL_NAME_MAX;
}

static int check_tool(const struct tool *t, size_t i, const json_t *seen, struct err *e)
{
    const json_t *type = json_object_get(t->schema, "type");

    if (t->type.n && !str_is(t->type, "custom"))
        return err_set(
            e, E_UNSUPPORTED,
            "tools.%zu.type: tools of type '%.*s' are not supported; declare it with "
            "name, description and input_schema",
            i, (int)t->type.n, t->type.p);
    if (!is_name(t->name))
        return err_set(e, E_INVALID, "tools.%zu.name: must be 1 to %d letters, digits, _ or -",
                       i, TOOL_NAME_MAX);
    if (json_object_getn(seen, t->name.p, t->name.n))
        return err_set(e, E_INVALID, "tools.%zu.name: another tool is named '%.*s'", i,
                       (int)t->name.n, t->name.p);
    if (!t->schema)
        return err_set(e, E_INVALID, "tools.%zu.input_schema is required", i);
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "object") != 0))
        return err_set(e, E_INVALID, "tools.%zu.input_schema.type: must be \"object\"", i);
    return 0;
}

static json_t *canonical(const struct tool *t)
{
    json_t *f = json_pack("{s:s%, s:O}", "name", t->name.p, t->name.n, "parameters", t->schema);

    if (t->description.n &&
        json_object_set_new(f, "description",
                            json_stringn(t->description.p, t->description.n)) != 0) {
        json_decref(f);
        return NULL;
    }
    if (t->strict && json_object_set_new(f, "strict", json_true()) != 0) {
        json_decref(f);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "type", "function", "function", f);
}

static int read_tools(struct gate_request *q, const json_t *tools, json_t *seen,
                      struct field_report *r, struct err *e)
{
    const json_t *j;
    size_t i;
    int rc = 0;

    json_array_foreach(tools, i, j)
    {
        struct tool t = {0};
        char path[40];

        (void)snprintf(path, sizeof(path), "tools.%zu.", i);
        rc = field_read(tool_rows, sizeof(tool_rows) / sizeof(*tool_rows), path, j, &t, r, e);
        if (rc == 0)
            rc = check_tool(&t, i, seen, e);
        if (rc == 0 && (json_array_append_new(q->tools, canonical(&t)) != 0 ||
                        json_object_setn_new(seen, t.name.p, t.name.n, json_true()) != 0))
            rc = err_set(e, E_NOMEM, "no memory for tools");
        if (rc < 0)
            break;
    }
    return rc;
}

static int read_choice(struct gate_request *q, const json_t *choice, const json_t *seen,
                       struct field_report *r, struct err *e)
{
    static const struct {
        const char *name;
        int choice;
    } types[] = {{"auto", GATE_CALL_AUTO},
                 {"any", GATE_CALL_REQUIRED},
                 {"tool", GATE_CALL_REQUIRED},
                 {"none", GATE_CALL_NONE}};
    struct choice c = {0};
    size_t i;
    int rc = field_read(choice_rows, sizeof(choice_rows) / sizeof(*choice_rows), "tool_choice.",
                        choice, &c, r, e);

    if (rc < 0)
        return rc;
    for (i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (str_is(c.type, types[i].name))
            break;
    if (i == sizeof(types) / sizeof(*types))
        return err_set(e, E_INVALID,
                       "tool_choice.type: '%.*s' is none of auto, any, tool, none",
                       (int)c.type.n, c.type.p);
    q->tool_choice = types[i].choice;
    q->one_call = c.one;
    if (q->tool_choice == GATE_CALL_REQUIRED && json_object_size(seen) == 0)
        return err_set(e, E_INVALID, "tool_choice.type: '%s' needs tools, and there are none",
                       types[i].name);
    if (!str_is(c.type, "tool"))
        return 0;
    if (!json_object_getn(seen, c.name.p ? c.name.p : "", c.name.n))
        return err_set(e, E_INVALID, "tool_choice.name: no tool is named '%.*s'", (int)c.name.n,
                       c.name.p ? c.name.p : "");
    q->tool_name = gate_str(q, c.name.p, c.name.n);
    return q->tool_name.p ? 0 : err_set(e, E_NOMEM, "no memory for a tool's name");
}

int anthropic_tools(struct gate_request *q, const json_t *tools, const json_t *choice,
                    struct field_report *r, struct err *e)
{
    json_t *seen = json_object();
    int rc = 0;

    if (json_array_size(tools) > TOOLS_MAX)
        rc = err_set(e, E_INVALID, "tools has %zu items, expected %d at most",
                     json_array_size(tools), TOOLS_MAX);
    if (rc == 0 && json_array_size(tools)) {
        q->tools = json_array();
        rc = read_tools(q, tools, seen, r, e);
    }
    if (rc == 0 && choice)
        rc = read_choice(q, choice, seen, r, e);
    json_decref(seen);
    return rc;
}

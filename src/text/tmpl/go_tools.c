/* The types below have the fields that Ollama's have, in its order: what a client adds besides
 * (limits, defaults, ...) is not shown to the model there either, but in items and $defs. */
#include "text/tmpl/go_tools.h"
#include "text/tmpl/go_run.h"

/* clang-format off */
static const struct go_field call_fields[] = {
    {"ID", "ID", 0}, {"Function", "Function", 0},
};
static const struct go_field call_function_fields[] = {
    {"Index", "Index", 0}, {"Name", "Name", 0}, {"Arguments", "Arguments", 0},
};
static const struct go_field tool_fields[] = {
    {"Type", "type", 0}, {"Items", "items", 1}, {"Function", "function", 0},
};
static const struct go_field function_fields[] = {
    {"Name", "name", 0}, {"Description", "description", 0}, {"Parameters", "parameters", 0},
};
static const struct go_field parameters_fields[] = {
    {"Type", "type", 0}, {"Defs", "$defs", 1}, {"Items", "items", 1},
    {"Required", "required", 1}, {"Properties", "properties", 0},
};
static const struct go_field property_fields[] = {
    {"AnyOf", "anyOf", 1}, {"Type", "type", 1}, {"Items", "items", 1},
    {"Description", "description", 1}, {"Enum", "enum", 1}, {"Properties", "properties", 1},
    {"Required", "required", 1},
};

#define FIELDS(f) .form = GO_FORM_STRUCT, .field = (f), .n_field = (int)(sizeof(f) / sizeof((f)[0]))

static const struct go_type type_arguments = {
    .name = "template.templateArgs", .form = GO_FORM_MAP, .as_json = 1, .nil_text = "{}"};
static const struct go_type type_call_function = {
    .name = "template.templateToolCallFunction", FIELDS(call_function_fields)};
static const struct go_type type_call = {
    .name = "template.templateToolCall", FIELDS(call_fields)};
static const struct go_type type_calls = {
    .name = "[]template.templateToolCall", .form = GO_FORM_LIST};

const struct go_type go_type_property = {.name = "api.ToolProperty", FIELDS(property_fields)};
static const struct go_type type_properties = {
    .name = "template.templateProperties", .form = GO_FORM_MAP, .as_json = 1, .nil_text = "{}",
    .item = &go_type_property};
static const struct go_type type_nested = {
    .name = "*api.ToolPropertiesMap", .form = GO_FORM_MAP, .as_json = 1, .nil_text = "<nil>",
    .ordered = 1, .item = &go_type_property};
static const struct go_type type_strings = {.name = "[]string", .form = GO_FORM_LIST};
static const struct go_type type_any_of = {.name = "[]api.ToolProperty", .form = GO_FORM_LIST};
static const struct go_type type_enum = {.name = "[]interface {}", .form = GO_FORM_LIST};
static const struct go_type type_property_type = {
    .name = "api.PropertyType", .form = GO_FORM_LIST, .as_one = 1, .nil_text = ""};

static const struct go_type type_parameters = {
    .name = "template.templateToolFunctionParameters", .as_json = 1, FIELDS(parameters_fields)};
static const struct go_type type_function = {
    .name = "template.templateToolFunction", .as_json = 1, FIELDS(function_fields)};
static const struct go_type type_tool = {
    .name = "template.templateTool", .as_json = 1, FIELDS(tool_fields)};
static const struct go_type type_tools = {
    .name = "template.templateTools", .form = GO_FORM_LIST, .as_json = 1};
/* clang-format on */

/* A struct of these fields. */
static int new_struct(struct value_room *r, const struct go_type *type, const struct value *v,
                      struct value *out)
{
    struct value in;
    int rc = value_list(r, VALUE_LIST, (size_t)type->n_field, &in);

    for (int i = 0; i < type->n_field && rc == 0; i++)
        rc = value_append(r, in, v[i]);
    return rc < 0 ? rc : go_obj(r, type, in, out);
}

static int read_any(struct value_room *r, const json_t *j, struct value *out)
{
    int rc = j ? value_of_json(r, j, 1, out) : 0;

    if (!j)
        *out = value_none();
    if (rc == 0)
        go_of_json(out);
    return rc;
}

/* -- calls ------------------------------------------------------------------------------ */

/* An object, or the text of one. */
static int read_arguments(struct value_room *r, const json_t *j, struct value *out)
{
    struct value v = value_undef(), text;
    int rc = 0;

    if (json_is_string(j) && json_string_length(j)) {
        rc = value_str(r, (struct str){json_string_value(j), json_string_length(j)}, 1, &text);
        if (rc == 0)
            rc = value_parse_json(r, text.s, &v);
    } else if (j && !json_is_string(j)) {
        rc = value_of_json(r, j, 1, &v);
    } else {
        rc = value_dict(r, VALUE_DICT, &v);
    }
    if (rc == E_INVALID)
        return err_wrap(r->e, rc, "the arguments of a tool call");
    if (rc == 0 && v.kind == VALUE_NONE)
        v = value_undef();
    if (rc == 0 && v.kind != VALUE_UNDEF && v.kind != VALUE_DICT)
        return value_fail(r, E_INVALID, "the arguments of a tool call are not an object");
    if (rc < 0)
        return rc;
    go_of_json(&v);
    return go_obj(r, &type_arguments, v, out);
}

static int read_call(struct value_room *r, const json_t *j, struct value *out)
{
    const json_t *f = json_object_get(j, "function");
    const json_t *index = json_object_get(f, "index");
    struct value v[2], in[3];
    int rc = go_data_string(r, j, "id", &v[0]);

    if (!index)
        index = json_object_get(j, "index");
    in[0] = value_int(json_integer_value(index));
    if (rc == 0)
        rc = go_data_string(r, f, "name", &in[1]);
    if (rc == 0)
        rc = read_arguments(r, json_object_get(f, "arguments"), &in[2]);
    if (rc == 0)
        rc = new_struct(r, &type_call_function, in, &v[1]);
    return rc < 0 ? rc : new_struct(r, &type_call, v, out);
}

int go_tools_calls(struct value_room *r, const json_t *j, struct value *out)
{
    size_t n = json_array_size(j);
    struct value list = value_undef(), call;
    int rc = n ? value_list(r, VALUE_LIST, n, &list) : 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_call(r, json_array_get(j, i), &call);
        if (rc == 0)
            rc = value_append(r, list, call);
    }
    return rc < 0 ? rc : go_obj(r, &type_calls, list, out);
}

/* -- tools ------------------------------------------------------------------------------ */

static int read_property(struct value_room *r, const json_t *j, struct value *out);

/* Those of an array's items that are strings. */
static int read_strings(struct value_room *r, const struct go_type *type, const json_t *j,
                        struct value *out)
{
    struct value list = value_undef(), s;
    size_t n = json_array_size(j);
    int rc = json_is_array(j) ? value_list(r, VALUE_LIST, n, &list) : 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        const json_t *item = json_array_get(j, i);

        if (!json_is_string(item))
            continue;
        rc = value_str(r, (struct str){json_string_value(item), json_string_length(item)}, 1,
                       &s);
        if (rc == 0)
            rc = value_append(r, list, s);
    }
    return rc < 0 ? rc : go_obj(r, type, list, out);
}

/* One name, or a list of them. */
static int read_type(struct value_room *r, const json_t *j, struct value *out)
{
    struct value list, s;
    int rc;

    if (!json_is_string(j))
        return read_strings(r, &type_property_type, j, out);
    rc = value_list(r, VALUE_LIST, 1, &list);
    if (rc == 0)
        rc = value_str(r, (struct str){json_string_value(j), json_string_length(j)}, 1, &s);
    if (rc == 0)
        rc = value_append(r, list, s);
    return rc < 0 ? rc : go_obj(r, &type_property_type, list, out);
}

static int read_properties(struct value_room *r, const struct go_type *type, const json_t *j,
                           struct value *out)
{
    json_t *obj = (json_t *)j; /* iterators want it so; nothing is written */
    struct value dict = value_undef(), key, v;
    int rc = json_is_object(j) ? value_dict(r, VALUE_DICT, &dict) : 0;

    for (void *i = json_object_iter(obj); i && rc == 0; i = json_object_iter_next(obj, i)) {
        rc = value_str(r, str_of(json_object_iter_key(i)), 1, &key);
        if (rc == 0)
            rc = read_property(r, json_object_iter_value(i), &v);
        if (rc == 0)
            rc = value_set(r, dict, key, v);
    }
    return rc < 0 ? rc : go_obj(r, type, dict, out);
}

static int read_any_of(struct value_room *r, const json_t *j, struct value *out)
{
    struct value list = value_undef(), v;
    size_t n = json_array_size(j);
    int rc = json_is_array(j) ? value_list(r, VALUE_LIST, n, &list) : 0;

    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_property(r, json_array_get(j, i), &v);
        if (rc == 0)
            rc = value_append(r, list, v);
    }
    return rc < 0 ? rc : go_obj(r, &type_any_of, list, out);
}

static int read_enum(struct value_room *r, const json_t *j, struct value *out)
{
    struct value list = value_undef();
    int rc = json_is_array(j) ? read_any(r, j, &list) : 0;

    return rc < 0 ? rc : go_obj(r, &type_enum, list, out);
}

static int read_property(struct value_room *r, const json_t *j, struct value *out)
{
    struct value v[7];
    int rc = value_enter(r);

    if (rc < 0)
        return rc;
    rc = read_any_of(r, json_object_get(j, "anyOf"), &v[GO_PROPERTY_ANY_OF]);
    if (rc == 0)
        rc = read_type(r, json_object_get(j, "type"), &v[GO_PROPERTY_TYPE]);
    if (rc == 0)
        rc = read_any(r, json_object_get(j, "items"), &v[2]);
    if (rc == 0)
        rc = go_data_string(r, j, "description", &v[3]);
    if (rc == 0)
        rc = read_enum(r, json_object_get(j, "enum"), &v[4]);
    if (rc == 0)
        rc = read_properties(r, &type_nested, json_object_get(j, "properties"), &v[5]);
    if (rc == 0)
        rc = read_strings(r, &type_strings, json_object_get(j, "required"), &v[6]);
    value_leave(r);
    return rc < 0 ? rc : new_struct(r, &go_type_property, v, out);
}

static int read_parameters(struct value_room *r, const json_t *j, struct value *out)
{
    struct value v[5];
    int rc = go_data_string(r, j, "type", &v[0]);

    if (rc == 0)
        rc = read_any(r, json_object_get(j, "$defs"), &v[1]);
    if (rc == 0)
        rc = read_any(r, json_object_get(j, "items"), &v[2]);
    if (rc == 0)
        rc = read_strings(r, &type_strings, json_object_get(j, "required"), &v[3]);
    if (rc == 0)
        rc = read_properties(r, &type_properties, json_object_get(j, "properties"), &v[4]);
    return rc < 0 ? rc : new_struct(r, &type_parameters, v, out);
}

static int read_tool(struct value_room *r, const json_t *j, struct value *out)
{
    const json_t *f = json_object_get(j, "function");
    struct value v[3], in[3];
    int rc = go_data_string(r, j, "type", &v[0]);

    if (rc == 0)
        rc = read_any(r, json_object_get(j, "items"), &v[1]);
    if (rc == 0)
        rc = go_data_string(r, f, "name", &in[0]);
    if (rc == 0)
        rc = go_data_string(r, f, "description", &in[1]);
    if (rc == 0)
        rc = read_parameters(r, json_object_get(f, "parameters"), &in[2]);
    if (rc == 0)
        rc = new_struct(r, &type_function, in, &v[2]);
    return rc < 0 ? rc : new_struct(r, &type_tool, v, out);
}

int go_tools_read(struct value_room *r, const json_t *j, struct value *out)
{
    struct value list = value_undef(), tool;
    size_t n = json_array_size(j);
    int rc;

    if (j && !json_is_null(j) && !json_is_array(j))
        return value_fail(r, E_INVALID, "tools is not a list");
    rc = json_is_array(j) ? value_list(r, VALUE_LIST, n, &list) : 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = read_tool(r, json_array_get(j, i), &tool);
        if (rc == 0)
            rc = value_append(r, list, tool);
    }
    return rc < 0 ? rc : go_obj(r, &type_tools, list, out);
}

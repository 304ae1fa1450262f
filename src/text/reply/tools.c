/* What tools declare: names, and the types of their parameters. */
#include "text/reply/reply_priv.h"

enum { SCHEMA_DEPTH = 8 };

static const json_t *function_of(const json_t *tool)
{
    const json_t *f = json_object_get(tool, "function");

    return json_is_object(f) ? f : tool;
}

int reply_tools_init(struct reply_tools_of *t, const json_t *tools, struct err *e)
{
    size_t n = json_array_size(tools);
    int rc;

    t->tools = tools;
    if (!tools || json_is_null(tools))
        return 0;
    if (!json_is_array(tools))
        return err_set(e, E_INVALID, "tools: not an array");
    rc = map_init(&t->names, n);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        const json_t *name = json_object_get(function_of(json_array_get(tools, i)), "name");

        if (!json_is_string(name) || i > INT32_MAX)
            return err_set(e, E_INVALID, "tools[%zu]: a function without a name", i);
        rc = map_put(&t->names, (struct str){json_string_value(name), json_string_length(name)},
                     (uint32_t)i, NULL);
    }
    return rc < 0 ? err_set(e, rc, "tools: no memory") : 0;
}

void reply_tools_done(struct reply_tools_of *t)
{
    map_done(&t->names);
}

int reply_tools_find(const struct reply_tools_of *t, struct str name)
{
    static const char room[] = "functions.";
    uint32_t i;

    if (!t->names.n)
        return -1;
    if (map_get(&t->names, name, &i))
        return (int)i;
    if (name.n < sizeof(room) || memcmp(name.p, room, sizeof(room) - 1) != 0)
        return -1;
    name.p += sizeof(room) - 1;
    name.n -= sizeof(room) - 1;
    return map_get(&t->names, name, &i) ? (int)i : -1;
}

struct str reply_tools_name(const struct reply_tools_of *t, int i)
{
    const json_t *name =
        json_object_get(function_of(json_array_get(t->tools, (size_t)i)), "name");

    return (struct str){json_string_value(name), json_string_length(name)};
}

const json_t *reply_tools_schema(const struct reply_tools_of *t, int i)
{
    return json_object_get(function_of(json_array_get(t->tools, (size_t)i)), "parameters");
}

/* -- schemas ----------------------------------------------------------------------------- */

static unsigned type_named(const json_t *name)
{
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"string", REPLY_T_STRING},  {"number", REPLY_T_NUMBER},
                 {"integer", REPLY_T_NUMBER}, {"object", REPLY_T_OBJECT},
                 {"array", REPLY_T_ARRAY},    {"boolean", REPLY_T_BOOL},
                 {"null", REPLY_T_NULL}};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && json_is_string(name); i++) {
        if (!strcmp(json_string_value(name), types[i].name))
            return types[i].type;
    }
    return 0;
}

static unsigned type_of_value(const json_t *v)
{
    return json_is_string(v)    ? REPLY_T_STRING
           : json_is_number(v)  ? REPLY_T_NUMBER
           : json_is_object(v)  ? REPLY_T_OBJECT
           : json_is_array(v)   ? REPLY_T_ARRAY
           : json_is_boolean(v) ? REPLY_T_BOOL
                                : REPLY_T_NULL;
}

static unsigned types_at(const json_t *schema, int depth)
{
    static const char *const unions[] = {"anyOf", "oneOf"};
    const json_t *type = json_object_get(schema, "type"), *list;
    unsigned all = 0, one;
    size_t i;

    if (depth == SCHEMA_DEPTH)
        return 0;
    if (json_is_string(type))
        return type_named(type);
    for (i = 0; i < json_array_size(type); i++)
        all |= type_named(json_array_get(type, i));
    if (all)
        return all;
    if ((list = json_object_get(schema, "const")))
        return type_of_value(list);
    list = json_object_get(schema, "enum");
    for (i = 0; i < json_array_size(list); i++)
        all |= type_of_value(json_array_get(list, i));
    for (size_t u = 0; u < 2 && !all; u++) {
        list = json_object_get(schema, unions[u]);
        for (i = 0; i < json_array_size(list); i++) {
            one = types_at(json_array_get(list, i), depth + 1);
            if (!one)
                return 0;
            all |= one;
        }
    }
    return all;
}

unsigned reply_schema_types(const json_t *schema)
{
    return types_at(schema, 0);
}

const json_t *reply_schema_of(const json_t *schema, struct str key)
{
    const json_t *props = json_object_get(schema, "properties"), *v;

    v = key.n ? json_object_getn(props, key.p, key.n) : NULL;
    return v ? v : json_object_get(schema, "additionalProperties");
}

struct str reply_schema_key(const json_t *schema, size_t i)
{
    json_t *props = json_object_get(schema, "properties");
    void *it = json_object_iter(props);

    while (it && i--)
        it = json_object_iter_next(props, it);
    return it ? (struct str){json_object_iter_key(it), strlen(json_object_iter_key(it))}
              : (struct str){0};
}

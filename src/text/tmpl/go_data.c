/* What templates see of a conversation. The shapes and names are Ollama's, the conversation is
 * one of an OpenAI-like request: a message whose content is a list of parts is several
 * messages, as there, and neighbours of one role become one. All strings are the user's. */
#include "text/tmpl/go_run.h"
#include "text/tmpl/go_tools.h"

#include <ctype.h>
#include <string.h>

enum { M_ROLE, M_CONTENT, M_THINKING, M_IMAGES, M_CALLS, M_TOOL_NAME, M_TOOL_ID, M_N };

/* clang-format off */
static const struct go_field message_fields[] = {
    {"Role", "Role", 0}, {"Content", "Content", 0}, {"Thinking", "Thinking", 0},
    {"Images", "Images", 0}, {"ToolCalls", "ToolCalls", 0}, {"ToolName", "ToolName", 0},
    {"ToolCallID", "ToolCallID", 0},
};
/* clang-format on */

static const struct go_type type_message = {.name = "*template.templateMessage",
                                            .form = GO_FORM_STRUCT,
                                            .field = message_fields,
                                            .n_field = M_N};
static const struct go_type type_messages = {.name = "[]*template.templateMessage",
                                             .form = GO_FORM_LIST};
static const struct go_type type_images = {.name = "[]api.ImageData", .form = GO_FORM_LIST};

struct reader {
    struct value_room *r;
    const json_t *all; /* messages */
    struct value list;
    int64_t n_image;
};

static struct value *field(struct value message, int i)
{
    return &go_obj_of(message)->in.l->v[i];
}

struct value go_message_role(struct value message)
{
    return *field(message, M_ROLE);
}

struct value go_message_content(struct value message)
{
    return *field(message, M_CONTENT);
}

int go_data_string(struct value_room *r, const json_t *obj, const char *key, struct value *out)
{
    const json_t *j = json_object_get(obj, key);
    struct str s = {"", 0};

    if (json_is_string(j))
        s = (struct str){json_string_value(j), json_string_length(j)};
    return value_str(r, s, 1, out);
}

static int has_text(const json_t *obj, const char *key)
{
    return json_string_length(json_object_get(obj, key)) > 0;
}

static const char *first_of(const json_t *obj, const char *a, const char *b, const char *c)
{
    return has_text(obj, a) ? a : has_text(obj, b) ? b : c;
}

static int read_role(struct value_room *r, const json_t *j, struct value *out)
{
    struct value_build b;
    struct str s;
    int rc = go_data_string(r, j, "role", out);

    if (rc < 0)
        return rc;
    s = value_bytes(*out);
    value_build(&b, r);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] - 'A' + 'a') : s.p[i];

        value_put(&b, (struct str){&c, 1}, 1);
    }
    return value_built(&b, out);
}

/* The name of the call that a tool answers; the last one of that id. */
static int find_call(const struct reader *rd, const char *id, struct value *out)
{
    for (size_t i = json_array_size(rd->all); i-- > 0;) {
        const json_t *calls = json_object_get(json_array_get(rd->all, i), "tool_calls");

        for (size_t k = 0; k < json_array_size(calls); k++) {
            const json_t *call = json_array_get(calls, k);
            const char *its = json_string_value(json_object_get(call, "id"));

            if (its && strcmp(its, id) == 0)
                return go_data_string(rd->r, json_object_get(call, "function"), "name", out);
        }
        if (value_pay(rd->r, 1) < 0)
            return go_code(rd->r->e);
    }
    return 0;
}

static int read_tool_name(const struct reader *rd, const json_t *j, struct value *out)
{
    const char *id = json_string_value(json_object_get(j, "tool_call_id"));
    const char *role = json_string_value(json_object_get(j, "role"));
    int rc = go_data_string(rd->r, j, "tool_name", out);

    if (rc < 0 || out->s->n || !role || strcasecmp(role, "tool") != 0)
        return rc;
    rc = go_data_string(rd->r, j, "name", out);
    return rc == 0 && out->s->n == 0 && id ? find_call(rd, id, out) : rc;
}

/* A message without content, images and calls, appended to the list. */
static int add_message(struct reader *rd, const json_t *j, struct value *out)
{
    struct value v[M_N], in;
    int rc = value_list(rd->r, VALUE_LIST, M_N, &in);

    for (int i = 0; i < M_N; i++)
        v[i] = value_none();
    if (rc == 0)
        rc = read_role(rd->r, j, &v[M_ROLE]);
    if (rc == 0)
        rc = value_str(rd->r, str_of(""), 0, &v[M_CONTENT]);
    if (rc == 0)
        rc = go_data_string(rd->r, j, first_of(j, "reasoning_content", "thinking", "reasoning"),
                            &v[M_THINKING]);
    if (rc == 0)
        rc = go_obj(rd->r, &type_images, value_undef(), &v[M_IMAGES]);
    if (rc == 0)
        rc = go_tools_calls(rd->r, NULL, &v[M_CALLS]);
    if (rc == 0)
        rc = read_tool_name(rd, j, &v[M_TOOL_NAME]);
    if (rc == 0)
        rc = go_data_string(rd->r, j, "tool_call_id", &v[M_TOOL_ID]);
    for (int i = 0; i < M_N && rc == 0; i++)
        rc = value_append(rd->r, in, v[i]);
    if (rc == 0)
        rc = go_obj(rd->r, &type_message, in, out);
    return rc < 0 ? rc : value_append(rd->r, rd->list, *out);
}

/* An image stands in the text as a tag, which is ours and not the user's. */
static int add_image(struct reader *rd, struct value message, struct value image)
{
    struct value *list = field(message, M_IMAGES), items = go_obj_of(*list)->in;
    struct value_build b;
    int rc;

    value_build(&b, rd->r);
    value_put_text(&b, field(message, M_CONTENT)->s);
    value_put_c(&b, "[img-");
    value_put_int(&b, rd->n_image++);
    value_put_c(&b, "]");
    rc = value_built(&b, field(message, M_CONTENT));
    if (rc == 0)
        rc = value_append(rd->r, items, image);
    return rc < 0 ? rc : go_obj(rd->r, &type_images, items, list);
}

static int read_images(struct reader *rd, const json_t *j, struct value message)
{
    const json_t *images = json_object_get(j, "images");
    int rc = 0;

    for (size_t i = 0; i < json_array_size(images) && rc == 0; i++) {
        struct value image;

        rc = value_of_json(rd->r, json_array_get(images, i), 1, &image);
        if (rc == 0)
            rc = add_image(rd, message, image);
    }
    return rc;
}

static int read_part(struct reader *rd, size_t i, const json_t *j, const json_t *part)
{
    struct value message, image;
    int rc = add_message(rd, j, &message);

    if (rc < 0)
        return rc;
    if (json_is_string(json_object_get(part, "text")))
        return go_data_string(rd->r, part, "text", field(message, M_CONTENT));
    if (!json_is_string(json_object_get(part, "type")))
        return value_fail(rd->r, E_INVALID, "messages[%zu]: a part of the content has no type",
                          i);
    rc = value_of_json(rd->r, part, 1, &image);
    return rc < 0 ? rc : add_image(rd, message, image);
}

static int read_message(struct reader *rd, size_t i, const json_t *j)
{
    const json_t *content = json_object_get(j, "content");
    const json_t *calls = json_object_get(j, "tool_calls");
    size_t n = json_array_size(content);
    struct value message, text;
    int rc = 0;

    if (!json_is_object(j))
        return value_fail(rd->r, E_INVALID, "messages[%zu] is not an object", i);
    if (content && !json_is_null(content) && !json_is_string(content) &&
        !json_is_array(content))
        return value_fail(rd->r, E_INVALID,
                          "messages[%zu]: the content is neither a text nor a list", i);
    for (size_t k = 0; k < n && rc == 0; k++)
        rc = read_part(rd, i, j, json_array_get(content, k));
    if (n == 0)
        rc = add_message(rd, j, &message);
    if (rc == 0 && n == 0) {
        rc = read_images(rd, j, message);
        if (rc == 0)
            rc = go_data_string(rd->r, j, "content", &text);
        if (rc == 0)
            rc = value_concat(rd->r, *field(message, M_CONTENT), text,
                              field(message, M_CONTENT));
    }
    message = rc < 0 ? value_none() : rd->list.l->v[rd->list.l->n - 1];
    if (rc == 0 && json_array_size(calls))
        rc = go_tools_calls(rd->r, calls, field(message, M_CALLS));
    return rc == E_INVALID ? err_wrap(rd->r->e, rc, "messages[%zu]", i) : rc;
}

/* Appends b to *a behind an empty line. */
static int join(struct value_room *r, struct value *a, struct value b)
{
    struct value line;
    int rc = value_str(r, str_of("\n\n"), 0, &line);

    if (rc == 0)
        rc = value_concat(r, *a, line, a);
    return rc < 0 ? rc : value_concat(r, *a, b, a);
}

/* Neighbours of one role become one message, but for tools; system: all of that role. */
static int collate(struct value_room *r, struct value list, struct go_data *out)
{
    struct value all;
    int n_system = 0, rc = value_list(r, VALUE_LIST, list.l->n, &all);

    for (size_t i = 0; i < list.l->n && rc == 0; i++) {
        struct value m = list.l->v[i], role = go_message_role(m);
        const struct value_list *done = all.l;
        struct value last = done->n ? done->v[done->n - 1] : value_none();

        if (value_is(role, "system")) {
            rc = n_system++ ? join(r, &out->system, go_message_content(m)) : 0;
            if (n_system == 1)
                out->system = go_message_content(m);
        }
        if (rc < 0)
            break;
        if (done->n && str_eq(value_bytes(go_message_role(last)), value_bytes(role)) &&
            !value_is(role, "tool"))
            rc = join(r, field(last, M_CONTENT), go_message_content(m));
        else
            rc = value_append(r, all, m);
    }
    if (rc == 0)
        rc = go_obj(r, &type_messages, list.l->n ? all : value_undef(), &out->messages);
    return rc;
}

/* A level of a request, as templates know it. */
static const char *known_level(const char *effort)
{
    static const char *const map[][2] = {
        {"none", ""}, {"minimal", "low"}, {"xhigh", "max"}, {"ultra", "max"}};

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (strcmp(effort, map[i][0]) == 0)
            return map[i][1];
    return effort;
}

/* think, or else enable_thinking, and how hard. */
static int read_think(struct value_room *r, const json_t *vars, struct go_data *out)
{
    const json_t *j = json_object_get(vars, "think");
    const json_t *effort = json_object_get(vars, "reasoning_effort");
    const char *level = "";

    if (!j || json_is_null(j))
        j = json_object_get(vars, "enable_thinking");
    if (json_is_string(effort) && json_string_length(effort) && !json_is_string(j) &&
        !json_is_false(j))
        j = effort;
    out->think_set = json_is_boolean(j) || (json_is_string(j) && json_string_length(j));
    out->think = out->think_set && !json_is_false(j);
    if (json_is_string(j)) {
        level = known_level(json_string_value(j));
        out->think = *level != 0;
    } else if (out->think) {
        level = "medium";
    }
    return value_str(r, str_of(level), json_is_string(j), &out->level);
}

/* A prompt alone is a conversation: what the system says, and one question. */
static int read_prompt(struct reader *rd, const json_t *vars, struct go_data *out)
{
    static const char *const role[] = {"system", "user"};
    struct value text[2], message;
    int rc = go_data_string(rd->r, vars, "system", &text[0]);

    text[1] = out->prompt;
    for (int i = 0; i < 2 && rc == 0; i++) {
        if (text[i].s->n == 0)
            continue;
        rc = add_message(rd, NULL, &message);
        if (rc == 0)
            rc = value_str(rd->r, str_of(role[i]), 0, field(message, M_ROLE));
        if (rc == 0)
            *field(message, M_CONTENT) = text[i];
    }
    return rc;
}

int go_data_read(struct value_room *r, const json_t *vars, struct go_data *out)
{
    struct reader rd = {.r = r, .all = json_object_get(vars, "messages")};
    size_t n = json_array_size(rd.all);
    int rc = value_list(r, VALUE_LIST, n, &rd.list);

    *out = (struct go_data){0};
    if (rd.all && !json_is_null(rd.all) && !json_is_array(rd.all))
        return value_fail(r, E_INVALID, "messages is not a list");
    if (rc == 0)
        rc = value_str(r, str_of(""), 0, &out->system);
    if (rc == 0)
        rc = go_data_string(r, vars, "prompt", &out->prompt);
    if (rc == 0)
        rc = go_data_string(r, vars, "suffix", &out->suffix);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_message(&rd, i, json_array_get(rd.all, i));
    if (rc == 0 && n == 0)
        rc = read_prompt(&rd, vars, out);
    if (rc == 0)
        rc = collate(r, rd.list, out);
    if (rc == 0)
        rc = go_tools_read(r, json_object_get(vars, "tools"), &out->tools);
    return rc < 0 ? rc : read_think(r, vars, out);
}

/* ollama_talk.c - Ollama's messages, pictures and tools in the canonical form.
 *
 * Calls and results need not have ids there. Calls without one get one here; a result without
 * one answers the first call of its name that waits, or the first that waits. */
#include "serve/api/ollama.h"

#include "base/b64.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

enum { NAME_LEN = 128, TOOLS_MAX = 1024 };

struct message {
    struct str role, content, thinking, tool_name, name, call_id;
    const json_t *images, *calls;
};

#define AT(field) .at = offsetof(struct message, field)

static const struct field_row message_rows[] = {
    {.name = "role", .type = FIELD_STR, AT(role), .flags = FIELD_NEEDED},
    {.name = "content", .type = FIELD_STR, AT(content)},
    {.name = "thinking", .type = FIELD_STR, AT(thinking)},
    {.name = "images", .type = FIELD_ARRAY, AT(images)},
    {.name = "tool_calls", .type = FIELD_ARRAY, AT(calls)},
    {.name = "tool_name", .type = FIELD_STR, AT(tool_name)},
    {.name = "name", .type = FIELD_STR, AT(name)},
    {.name = "tool_call_id", .type = FIELD_STR, AT(call_id)},
};

/* A conversation on its way. */
struct talk {
    json_t *out, *waiting; /* waiting: {"id", "name"} of calls without a result */
    int n_call;
    char path[48]; /* "messages[3]." */
    struct field_report *report;
};

static int no_memory(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for the conversation");
}

static json_t *text_json(struct str s)
{
    return json_stringn_nocheck(s.p ? s.p : "", s.n);
}

/* -- pictures -------------------------------------------------------------------------- */

static const char *mime_of(const unsigned char *p, size_t n)
{
    static const struct {
        const char *bytes;
        size_t at, n;
        const char *mime;
    } kinds[] = {{"\x89PNG", 0, 4, "image/png"},
                 {"\xff\xd8\xff", 0, 3, "image/jpeg"},
                 {"GIF8", 0, 4, "image/gif"},
                 {"WEBP", 8, 4, "image/webp"}};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (n >= kinds[i].at + kinds[i].n &&
            memcmp(p + kinds[i].at, kinds[i].bytes, kinds[i].n) == 0)
            return kinds[i].mime;
    return NULL;
}

static int picture(const json_t *v, json_t **out, const char *field, size_t i, struct err *e)
{
    struct str text = {json_string_value(v), json_string_length(v)};
    unsigned char *bytes = text.n ? mem_alloc(B64_MAX(text.n)) : NULL;
    const char *mime;
    long n;

    if (text.n && !bytes)
        return no_memory(e);
    n = bytes ? b64_decode(text, bytes, NULL) : -1;
    mime = n > 0 ? mime_of(bytes, (size_t)n) : NULL;
    mem_free(bytes);
    if (n < 1)
        return err_set(e, E_INVALID, "%s[%zu] is not base64 of a picture", field, i);
    if (!mime)
        return err_set(e, E_INVALID, "%s[%zu] is none of PNG, JPEG, GIF and WebP", field, i);
    *out = json_pack("{s:s, s:o, s:s}", "type", "image", "data", text_json(text), "mime", mime);
    return *out ? 0 : no_memory(e);
}

int ollama_images(struct str text, const json_t *images, json_t **content, const char *field,
                  struct err *e)
{
    json_t *parts = json_array(), *part;
    const json_t *v;
    size_t i;
    int rc = parts ? 0 : no_memory(e);

    json_array_foreach(images, i, v)
    {
        part = NULL;
        if (rc == 0)
            rc = picture(v, &part, field, i, e);
        if (rc == 0 && json_array_append_new(parts, part) != 0)
            rc = no_memory(e);
    }
    part = rc == 0 ? json_pack("{s:s, s:o}", "type", "text", "text", text_json(text)) : NULL;
    if (rc == 0 && json_array_append_new(parts, part) != 0)
        rc = no_memory(e);
    if (rc == 0)
        *content = parts;
    else
        json_decref(parts);
    return rc;
}

/* -- calls and results --------------------------------------------------------------------- */

enum { WAITING_MAX = 1024 };

struct tool_call {
    struct str id, name;
    const json_t *function, *arguments;
};

#undef AT
#define AT(field) .at = offsetof(struct tool_call, field)

static const struct field_row call_rows[] = {
    {.name = "id", .type = FIELD_STR, AT(id)},
    {.name = "type", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "function", .type = FIELD_OBJECT, AT(function)},
};

static const struct field_row call_function_rows[] = {
    {.name = "index", .type = FIELD_NOTED, .is = FIELD_IS_INT},
    {.name = "name", .type = FIELD_STR, AT(name), .min = 1, .flags = FIELD_NEEDED},
    {.name = "arguments", .type = FIELD_OBJECT, AT(arguments)},
};

/* 1: a call of that id is among those that wait already: WAITING_MAX at most. */
static int is_waiting(const struct talk *t, const char *id)
{
    for (size_t i = 0; i < json_array_size(t->waiting); i++) {
        const json_t *has = json_object_get(json_array_get(t->waiting, i), "id");

        if (strcmp(json_string_value(has), id) == 0)
            return 1;
    }
    return 0;
}

/* One call: {"id"?, "function": {"name", "arguments": {}}}. */
static int call_json(struct talk *t, const json_t *v, size_t i, json_t *list, struct err *e)
{
    struct tool_call c = {.id = {"", 0}};
    char made[24], path[96];
    const char *id;
    int rc;

    (void)snprintf(path, sizeof(path), "%stool_calls[%zu].", t->path, i);
    rc = field_read(call_rows, N(call_rows), path, v, &c, t->report, e);
    (void)snprintf(path, sizeof(path), "%stool_calls[%zu].function.", t->path, i);
    if (rc == 0)
        rc = field_read(call_function_rows, N(call_function_rows), path, c.function, &c,
                        t->report, e);
    if (rc < 0)
        return rc;
    if (json_array_size(t->waiting) >= WAITING_MAX)
        return err_set(e, E_INVALID, "%stool_calls: more than %d calls without their results",
                       t->path, WAITING_MAX);
    do {
        (void)snprintf(made, sizeof(made), "call_%d", t->n_call++);
    } while (is_waiting(t, made));
    id = c.id.n ? c.id.p : made;
    if (is_waiting(t, id))
        return err_set(e, E_INVALID, "%stool_calls[%zu].id: '%.64s' is there twice", t->path, i,
                       id);
    if (json_array_append_new(
            t->waiting, json_pack("{s:s, s:s%}", "id", id, "name", c.name.p, c.name.n)) != 0 ||
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:{s:s%, s:o}}", "id", id, "type", "function",
                            "function", "name", c.name.p, c.name.n, "arguments",
                            c.arguments ? json_incref((json_t *)(uintptr_t)c.arguments)
                                        : json_object())) != 0)
        return no_memory(e);
    return 0;
}

/* Which of the calls that wait a result answers; its size: none. */
static size_t answered(const struct talk *t, const struct message *m)
{
    size_t n = json_array_size(t->waiting);

    for (size_t i = 0; i < n; i++) {
        const json_t *w = json_array_get(t->waiting, i);
        const json_t *v = json_object_get(w, m->call_id.n ? "id" : "name");
        struct str want = m->call_id.n ? m->call_id : m->tool_name;

        if (want.n == 0 ||
            str_eq(want, (struct str){json_string_value(v), json_string_length(v)}))
            return i;
    }
    return n;
}

static int add_result(struct talk *t, const struct message *m, json_t *o, struct err *e)
{
    size_t i = answered(t, m);
    const json_t *w = json_array_get(t->waiting, i);
    struct str name = m->tool_name;
    int bad = 0;

    if (!w)
        return err_set(e, E_INVALID,
                       "%srole is tool, but no call of that %s waits for a result", t->path,
                       m->call_id.n ? "id" : "name");
    if (!name.n)
        name = (struct str){json_string_value(json_object_get(w, "name")),
                            json_string_length(json_object_get(w, "name"))};
    bad |= json_object_set(o, "tool_call_id", json_object_get(w, "id"));
    bad |= json_object_set_new(o, "name", text_json(name));
    bad |= json_array_remove(t->waiting, i);
    return bad ? no_memory(e) : 0;
}

/* -- messages -------------------------------------------------------------------------- */

static int has_role(const struct message *m, const char *role)
{
    if (m->role.n != strlen(role))
        return 0;
    for (size_t i = 0; i < m->role.n; i++)
        if (tolower((unsigned char)m->role.p[i]) != role[i])
            return 0;
    return 1;
}

static int content_of(struct talk *t, const struct message *m, json_t *o, struct err *e)
{
    json_t *content = NULL;
    char field[64];
    int rc = 0;

    (void)snprintf(field, sizeof(field), "%simages", t->path);
    if (json_array_size(m->images) && !has_role(m, "user"))
        return err_set(e, E_UNSUPPORTED, "%s: only messages of the user may have pictures",
                       field);
    if (json_array_size(m->images))
        rc = ollama_images(m->content, m->images, &content, field, e);
    else if (m->content.n == 0 && json_array_size(m->calls))
        content = json_null();
    else
        content = text_json(m->content);
    if (rc < 0)
        return rc;
    return json_object_set_new(o, "content", content) == 0 ? 0 : no_memory(e);
}

static int add_calls(struct talk *t, const struct message *m, json_t *o, struct err *e)
{
    json_t *list = json_array();
    const json_t *v;
    size_t i;
    int rc = list ? 0 : no_memory(e);

    (void)json_array_clear(t->waiting);
    json_array_foreach(m->calls, i, v)
    {
        if (rc == 0)
            rc = call_json(t, v, i, list, e);
    }
    if (rc == 0 && json_object_set(o, "tool_calls", list) != 0)
        rc = no_memory(e);
    json_decref(list);
    return rc;
}

/* What only results of tools have; "name" is what they were called by before. */
static void settle_name(const struct talk *t, struct message *m)
{
    const struct {
        const char *field;
        struct str value;
    } fields[] = {{"name", m->name}, {"tool_name", m->tool_name}, {"tool_call_id", m->call_id}};

    if (!m->tool_name.n)
        m->tool_name = m->name;
    for (size_t i = 0; i < N(fields) && !has_role(m, "tool"); i++) {
        if (fields[i].value.n)
            field_warn(t->report, "%s%s has no effect: it is of messages of role tool", t->path,
                       fields[i].field);
    }
}

static int add_message(struct talk *t, const struct message *m, struct err *e)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    json_t *o = json_object();
    const char *role = NULL;
    int rc;

    for (size_t i = 0; i < 4; i++)
        if (has_role(m, roles[i]))
            role = roles[i];
    if (!role) {
        json_decref(o);
        return err_set(e, E_INVALID,
                       "invalid role: %.*s, must be one of [system user assistant tool]",
                       (int)(m->role.n < 40 ? m->role.n : 40), m->role.p);
    }
    rc = json_object_set_new(o, "role", json_string(role)) == 0 ? content_of(t, m, o, e)
                                                                : no_memory(e);
    if (rc == 0 && m->thinking.n &&
        json_object_set_new(o, "reasoning_content", text_json(m->thinking)) != 0)
        rc = no_memory(e);
    if (rc == 0 && json_array_size(m->calls))
        rc = has_role(m, "assistant")
                 ? add_calls(t, m, o, e)
                 : err_set(e, E_INVALID, "%stool_calls: only the assistant calls tools",
                           t->path);
    if (rc == 0 && has_role(m, "tool"))
        rc = add_result(t, m, o, e);
    if (rc == 0 && json_array_append(t->out, o) != 0)
        rc = no_memory(e);
    json_decref(o);
    return rc;
}

int ollama_talk(struct gate_request *q, const json_t *messages, struct field_report *r,
                struct err *e)
{
    struct talk t = {.out = json_array(), .waiting = json_array(), .report = r};
    struct message m = {.role = {"", 0}};
    const json_t *v;
    size_t i;
    int rc = t.out && t.waiting ? 0 : no_memory(e);

    json_array_foreach(messages, i, v)
    {
        if (rc < 0)
            break;
        m = (struct message){.role = {"", 0}};
        (void)snprintf(t.path, sizeof(t.path), "messages[%zu].", i);
        rc = field_read(message_rows, sizeof(message_rows) / sizeof(*message_rows), t.path, v,
                        &m, r, e);
        settle_name(&t, &m);
        if (rc == 0)
            rc = add_message(&t, &m, e);
    }
    q->prefill =
        rc == 0 && has_role(&m, "assistant") && m.content.n && !json_array_size(m.calls);
    json_decref(t.waiting);
    if (rc == 0)
        q->messages = t.out;
    else
        json_decref(t.out);
    return rc;
}

/* -- tools ----------------------------------------------------------------------------- */

struct tool {
    struct str type, name, description;
    const json_t *function, *parameters;
};

#undef AT
#define AT(field) .at = offsetof(struct tool, field)

static const struct field_row tool_rows[] = {
    {.name = "type", .type = FIELD_STR, AT(type)},
    {.name = "items", .type = FIELD_NOTED},
    {.name = "function", .type = FIELD_OBJECT, AT(function), .flags = FIELD_NEEDED},
};

static const struct field_row function_rows[] = {
    {.name = "name",
     .type = FIELD_STR,
     AT(name),
     .min = 1,
     .max = NAME_LEN,
     .flags = FIELD_NEEDED},
    {.name = "description", .type = FIELD_STR, AT(description)},
    {.name = "parameters", .type = FIELD_OBJECT, AT(parameters)},
    /* OpenAI's: calls are held to their schema anyway. */
    {.name = "strict", .type = FIELD_NOTED, .is = FIELD_IS_BOOL},
};

static int check_tool(const json_t *tools, size_t i, struct field_report *r, struct err *e)
{
    struct tool t = {.type = {"", 0}};
    char path[48];
    int rc;

    (void)snprintf(path, sizeof(path), "tools[%zu].", i);
    rc = field_read(tool_rows, N(tool_rows), path, json_array_get(tools, i), &t, r, e);
    if (rc == 0 && t.type.n && !str_is(t.type, "function"))
        return err_set(e, E_INVALID, "tools[%zu].type must be \"function\"", i);
    (void)snprintf(path, sizeof(path), "tools[%zu].function.", i);
    if (rc == 0)
        rc = field_read(function_rows, N(function_rows), path, t.function, &t, r, e);
    for (size_t k = 0; k < i && rc == 0; k++) {
        const json_t *other =
            json_object_get(json_object_get(json_array_get(tools, k), "function"), "name");

        if (str_eq(t.name, (struct str){json_string_value(other), json_string_length(other)}))
            rc = err_set(e, E_INVALID, "tools[%zu].function.name: '%s' is declared twice", i,
                         t.name.p);
    }
    return rc;
}

int ollama_tools(struct gate_request *q, const json_t *tools, struct field_report *r,
                 struct err *e)
{
    size_t n = json_array_size(tools);
    json_t *t;
    int rc = 0;

    if (n == 0)
        return 0;
    if (n > TOOLS_MAX)
        return err_set(e, E_INVALID, "tools has %zu items, expected %d at most", n, TOOLS_MAX);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = check_tool(tools, i, r, e);
    if (rc < 0)
        return rc;
    q->tools = json_deep_copy(tools);
    for (size_t i = 0; q->tools && i < n; i++) {
        t = json_array_get(q->tools, i);
        if (json_object_set_new(t, "type", json_string("function")) != 0)
            return no_memory(e);
    }
    return q->tools ? 0 : no_memory(e);
}

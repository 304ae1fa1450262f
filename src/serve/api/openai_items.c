/* Items of /v1/responses are smaller than messages: what an assistant did in one turn -
 * reasoning, text, calls - comes as several. They are put together to one message again, as
 * templates want it. */
#include "serve/api/openai_responses.h"

#include <stdio.h>

#define N(a) (sizeof(a) / sizeof(*(a)))

enum { PARAM_MAX = 96 };

struct reader {
    struct openai_parse *p;
    json_t *messages;
    json_t *calls; /* id: name, of calls that wait for an answer */
    json_t *turn;  /* the assistant's message that is being put together; NULL: none */
    size_t at;
    char path[32]; /* "input[3]" */
};

struct item_in {
    struct str type, role, id, space, name, call_id;
    json_t *content, *summary, *output, *arguments;
};

#define AT(field) offsetof(struct item_in, field)

static const struct field_row item_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type), .min = 1},
    {.name = "role", .type = FIELD_STR, .at = AT(role), .min = 1},
    {.name = "id", .type = FIELD_STR, .at = AT(id)},
    {.name = "namespace", .type = FIELD_STR, .at = AT(space)},
    {.name = "name", .type = FIELD_STR, .at = AT(name), .min = 1},
    {.name = "call_id", .type = FIELD_STR, .at = AT(call_id), .min = 1},
    {.name = "content", .type = FIELD_JSON, .at = AT(content)},
    {.name = "summary", .type = FIELD_ARRAY, .at = AT(summary)},
    {.name = "output", .type = FIELD_JSON, .at = AT(output)},
    {.name = "arguments", .type = FIELD_JSON, .at = AT(arguments)},
    {.name = "status", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "phase", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "encrypted_content",
     .type = FIELD_WARNED,
     .is = FIELD_IS_STR,
     .why = "cannot be read here"},
};

#undef AT

static const char *param_of(const struct reader *r, char param[PARAM_MAX], const char *field)
{
    (void)snprintf(param, PARAM_MAX, "%s.%s", r->path, field);
    return param;
}

/* -- parts ----------------------------------------------------------------------------- */

struct part_in {
    struct str type, text, refusal;
    json_t *image, *file;
};

#define AT(field) offsetof(struct part_in, field)

static const struct field_row text_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type)},
    {.name = "text", .type = FIELD_STR, .at = AT(text)},
    {.name = "refusal", .type = FIELD_STR, .at = AT(refusal)},
    {.name = "annotations", .type = FIELD_NOTED, .is = FIELD_IS_ARRAY},
    {.name = "logprobs", .type = FIELD_NOTED, .is = FIELD_IS_ARRAY},
};

static const struct field_row image_rows[] = {
    {.name = "type", .type = FIELD_STR, .at = AT(type)},
    {.name = "image_url", .type = FIELD_STR, .at = AT(text)},
    {.name = "detail", .type = FIELD_NOTED, .is = FIELD_IS_STR},
    {.name = "file_id",
     .type = FIELD_REFUSED,
     .why = "is not supported: send the image itself"},
};

#undef AT

static int read_part(struct reader *r, const char *path, const struct field_row *rows, size_t n,
                     const json_t *v, struct part_in *in)
{
    char dotted[PARAM_MAX + 2];

    (void)snprintf(dotted, sizeof(dotted), "%s.", path);
    return field_read(rows, n, dotted, v, in, &r->p->report, &r->p->e);
}

static int part_text(struct reader *r, const char *path, const json_t *v, json_t **out)
{
    struct part_in in = {0};
    char param[PARAM_MAX + 8];
    int rc = read_part(r, path, text_rows, N(text_rows), v, &in);
    struct str text = in.text.p ? in.text : in.refusal;

    (void)snprintf(param, sizeof(param), "%s.text", path);
    if (rc < 0)
        return rc;
    if (!text.p)
        return openai_bad(r->p, param, "must be a string");
    *out = json_pack("{s:s,s:s%}", "type", "text", "text", text.p, text.n);
    return *out ? 0 : openai_nomem(r->p);
}

static int part_image(struct reader *r, const char *path, const json_t *v, json_t **out)
{
    struct part_in in = {0};
    char param[PARAM_MAX + 16];
    int rc = read_part(r, path, image_rows, N(image_rows), v, &in);

    (void)snprintf(param, sizeof(param), "%s.image_url", path);
    if (rc < 0)
        return rc;
    if (!in.text.p)
        return openai_bad(r->p, param, "must be a data: URL");
    return openai_image(r->p, param, in.text, out);
}

static int part(struct reader *r, const char *field, size_t at, const json_t *v, int images,
                json_t **out)
{
    static const char *const texts[] = {"input_text", "output_text",    "text",
                                        "refusal",    "reasoning_text", "summary_text"};
    const char *type = json_string_value(json_object_get(v, "type"));
    char path[PARAM_MAX], param[PARAM_MAX + 8];

    (void)snprintf(path, sizeof(path), "%s.%s[%zu]", r->path, field, at);
    if (!json_is_object(v))
        return openai_bad(r->p, path, "must be an object");
    (void)snprintf(param, sizeof(param), "%s.type", path);
    if (!type)
        return openai_bad(r->p, param, "is required");
    for (size_t i = 0; i < N(texts); i++) {
        if (strcmp(texts[i], type) == 0)
            return part_text(r, path, v, out);
    }
    if (images && strcmp(type, "input_image") == 0)
        return part_image(r, path, v, out);
    return openai_unsupported(r->p, param, "'%.40s' is not supported here", type);
}

/* A string, or parts. */
static int content(struct reader *r, const char *field, const json_t *v, int images,
                   json_t **out)
{
    char param[PARAM_MAX];

    if (json_is_string(v)) {
        *out = json_incref((json_t *)(uintptr_t)v);
        return 0;
    }
    if (!json_is_array(v) || json_array_size(v) == 0)
        return openai_bad(r->p, param_of(r, param, field),
                          v ? "must be a string or an array of parts" : "is required");
    *out = json_array();
    if (!*out)
        return openai_nomem(r->p);
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *one = NULL;
        int rc = part(r, field, i, json_array_get(v, i), images, &one);

        if (rc == 0 && json_array_append_new(*out, one) != 0)
            rc = openai_nomem(r->p);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Appends the texts of parts to a string of a message. 0, or -1: no memory. */
static int add_texts(json_t *message, const char *member, const json_t *parts)
{
    const json_t *had = json_object_get(message, member);
    struct buf b;
    int rc = 0;

    buf_init(&b, (size_t)64 << 20);
    if (json_is_string(had))
        rc = buf_put(&b, json_string_value(had), json_string_length(had));
    for (size_t i = 0; i < json_array_size(parts) && rc == 0; i++) {
        const json_t *text = json_object_get(json_array_get(parts, i), "text");

        if (json_is_string(text))
            rc = buf_put(&b, json_string_value(text), json_string_length(text));
    }
    if (rc == 0)
        rc = json_object_set_new(message, member, json_stringn(b.n ? b.p : "", b.n));
    buf_done(&b);
    return rc == 0 ? 0 : -1;
}

/* -- items ----------------------------------------------------------------------------- */

/* The assistant's message to which the item belongs. fresh 1: one of its own. */
static int turn(struct reader *r, int fresh)
{
    if (r->turn && !fresh)
        return 0;
    r->turn = json_pack("{s:s}", "role", "assistant");
    if (!r->turn || json_array_append_new(r->messages, r->turn) != 0)
        return openai_nomem(r->p);
    return 0;
}

/* Texts of an item's field, or NULL: a new reference. */
static int texts(struct reader *r, const char *field, const json_t *list, json_t **out)
{
    *out = NULL;
    return json_array_size(list) ? content(r, field, list, 0, out) : 0;
}

static int item_reasoning(struct reader *r, const struct item_in *in)
{
    int has_more =
        json_object_get(r->turn, "content") || json_object_get(r->turn, "tool_calls");
    json_t *whole = NULL, *summary = NULL;
    int rc = turn(r, has_more);

    if (rc == 0)
        rc = texts(r, "content", in->content, &whole);
    if (rc == 0)
        rc = texts(r, "summary", in->summary, &summary);
    if (rc == 0 && add_texts(r->turn, "reasoning_content", whole ? whole : summary) < 0)
        rc = openai_nomem(r->p);
    json_decref(whole);
    json_decref(summary);
    return rc;
}

static int item_message(struct reader *r, const struct item_in *in)
{
    static const char *const roles[] = {"user", "system", "developer"};
    char param[PARAM_MAX];
    json_t *body = NULL;
    int rc, known = 0, assistant = str_is(in->role, "assistant");

    for (size_t i = 0; i < N(roles); i++)
        known |= str_is(in->role, roles[i]);
    if (!known && !assistant)
        return openai_bad(r->p, param_of(r, param, "role"),
                          "is '%.40s', expected user, system, developer or assistant",
                          in->role.p ? in->role.p : "");
    rc = content(r, "content", in->content, str_is(in->role, "user"), &body);
    if (rc == 0 && assistant)
        rc = turn(r, json_object_get(r->turn, "content") ||
                         json_object_get(r->turn, "tool_calls"));
    if (rc < 0) {
        json_decref(body);
        return rc;
    }
    if (assistant)
        return json_object_set_new(r->turn, "content", body) == 0 ? 0 : openai_nomem(r->p);
    r->turn = NULL;
    return json_array_append_new(r->messages, json_pack("{s:s%,s:o}", "role", in->role.p,
                                                        in->role.n, "content", body)) == 0
               ? 0
               : openai_nomem(r->p);
}

/* The name by which the model knows a function: its namespace, if any, in front. */
static json_t *whole_name(struct str space, struct str name)
{
    return space.n ? json_sprintf("%.*s.%.*s", (int)space.n, space.p, (int)name.n, name.p)
                   : json_stringn(name.p, name.n);
}

static int item_call(struct reader *r, const struct item_in *in)
{
    char param[PARAM_MAX];
    json_t *args = NULL, *list, *call, *name;
    int rc;

    if (!in->name.p)
        return openai_bad(r->p, param_of(r, param, "name"), "is required");
    if (!in->call_id.p)
        return openai_bad(r->p, param_of(r, param, "call_id"), "is required");
    rc = openai_arguments(r->p, param_of(r, param, "arguments"), in->arguments, &args);
    if (rc == 0)
        rc = turn(r, 0);
    if (rc < 0) {
        json_decref(args);
        return rc;
    }
    name = whole_name(in->space, in->name);
    call = json_pack("{s:s%,s:s,s:{s:O,s:o}}", "id", in->call_id.p, in->call_id.n, "type",
                     "function", "function", "name", name, "arguments", args);
    list = json_object_get(r->turn, "tool_calls");
    if (!list) {
        list = json_array();
        if (!json_object_get(r->turn, "content"))
            (void)json_object_set_new(r->turn, "content", json_null());
        if (json_object_set_new(r->turn, "tool_calls", list) != 0) {
            json_decref(call);
            json_decref(name);
            return openai_nomem(r->p);
        }
    }
    rc = json_array_append_new(list, call);
    if (json_object_set_new(r->calls, in->call_id.p, name) != 0 || rc != 0)
        return openai_nomem(r->p);
    return 0;
}

static int item_output(struct reader *r, const struct item_in *in)
{
    const json_t *name = in->call_id.p ? json_object_get(r->calls, in->call_id.p) : NULL;
    char param[PARAM_MAX];
    json_t *body = NULL, *message;
    int rc;

    if (!in->call_id.p)
        return openai_bad(r->p, param_of(r, param, "call_id"), "is required");
    if (!name)
        return openai_bad(r->p, param_of(r, param, "call_id"),
                          "'%.64s' is no call that waits for an answer", in->call_id.p);
    rc = content(r, "output", in->output, 0, &body);
    if (rc < 0) {
        json_decref(body);
        return rc;
    }
    r->turn = NULL;
    message = json_pack("{s:s,s:o,s:O,s:s%}", "role", "tool", "content", body, "name", name,
                        "tool_call_id", in->call_id.p, in->call_id.n);
    if (json_array_append_new(r->messages, message) != 0 ||
        json_object_del(r->calls, in->call_id.p) != 0)
        return openai_nomem(r->p);
    return 0;
}

static int item(struct reader *r, const json_t *v)
{
    static const struct {
        const char *type;
        int (*read)(struct reader *r, const struct item_in *in);
    } types[] = {{"message", item_message},
                 {"reasoning", item_reasoning},
                 {"function_call", item_call},
                 {"function_call_output", item_output}};
    struct item_in in = {0};
    char param[PARAM_MAX], path[40];
    int rc;

    if (!json_is_object(v))
        return openai_bad(r->p, r->path, "must be an object");
    (void)snprintf(path, sizeof(path), "%s.", r->path);
    rc = field_read(item_rows, N(item_rows), path, v, &in, &r->p->report, &r->p->e);
    if (rc < 0)
        return rc;
    if (!in.type.p) /* the short form of a message */
        return item_message(r, &in);
    for (size_t i = 0; i < N(types); i++) {
        if (str_is(in.type, types[i].type))
            return types[i].read(r, &in);
    }
    return openai_unsupported(r->p, param_of(r, param, "type"), "'%.40s' is not supported",
                              in.type.p);
}

/* Calls of the conversation so far that nobody has answered. */
static int open_calls(struct reader *r)
{
    for (size_t i = 0; i < json_array_size(r->messages); i++) {
        const json_t *m = json_array_get(r->messages, i),
                     *calls = json_object_get(m, "tool_calls");
        const char *id = json_string_value(json_object_get(m, "tool_call_id"));

        if (id)
            (void)json_object_del(r->calls, id);
        for (size_t k = 0; k < json_array_size(calls); k++) {
            const json_t *call = json_array_get(calls, k);
            json_t *name = json_object_get(json_object_get(call, "function"), "name");

            if (json_object_set(r->calls, json_string_value(json_object_get(call, "id")),
                                name) != 0)
                return openai_nomem(r->p);
        }
    }
    return 0;
}

/* -- the list for later ---------------------------------------------------------------- */

/* A copy with a type, an id, and parts instead of a string. */
static json_t *listed(const json_t *v)
{
    const json_t *text = json_object_get(v, "content");
    const char *type = json_string_value(json_object_get(v, "type"));
    const char *role = json_string_value(json_object_get(v, "role"));
    json_t *o = json_copy((json_t *)(uintptr_t)v);
    char id[OPENAI_ID_MAX];
    int bad = !o;

    if (!type) {
        type = "message";
        bad |= json_object_set_new(o, "type", json_string(type)) != 0;
    }
    openai_id(id, strcmp(type, "message") == 0     ? "msg_"
                  : strcmp(type, "reasoning") == 0 ? "rs_"
                                                   : "fc_");
    if (!json_is_string(json_object_get(v, "id")))
        bad |= json_object_set_new(o, "id", json_string(id)) != 0;
    if (json_is_string(text))
        bad |=
            json_object_set_new(
                o, "content",
                json_pack("[{s:s,s:O}]", "type",
                          role && strcmp(role, "assistant") == 0 ? "output_text" : "input_text",
                          "text", text)) != 0;
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

static int list(struct openai_parse *p, const json_t *input, json_t **items)
{
    *items = json_array();
    for (size_t i = 0; i < json_array_size(input) && *items; i++) {
        if (json_array_append_new(*items, listed(json_array_get(input, i))) != 0)
            return openai_nomem(p);
    }
    return *items ? 0 : openai_nomem(p);
}

int openai_items(struct openai_parse *p, const json_t *input, json_t *messages, json_t **items)
{
    struct reader r = {.p = p, .messages = messages, .calls = json_object()};
    json_t *all = NULL;
    int rc = r.calls ? open_calls(&r) : openai_nomem(p);

    if (json_is_string(input))
        all = json_pack("[{s:s,s:O}]", "role", "user", "content", input);
    else if (json_is_array(input))
        all = json_incref((json_t *)(uintptr_t)input);
    else if (rc == 0)
        rc = openai_bad(p, "input", "must be a string or an array of items");
    if (rc == 0 && !all)
        rc = openai_nomem(p);
    if (rc == 0 && json_array_size(all) == 0)
        rc = openai_bad(p, "input", "is empty");
    for (r.at = 0; r.at < json_array_size(all) && rc == 0; r.at++) {
        (void)snprintf(r.path, sizeof(r.path), "input[%zu]", r.at);
        rc = item(&r, json_array_get(all, r.at));
    }
    if (rc == 0)
        rc = list(p, all, items);
    json_decref(all);
    json_decref(r.calls);
    return rc;
}

/* -- the way back ---------------------------------------------------------------------- */

static struct str member(const json_t *item, const char *name)
{
    const json_t *v = json_object_get(item, name);

    return (struct str){json_string_value(v), json_string_length(v)};
}

static int say_call(json_t *message, const json_t *item)
{
    json_t *calls = json_object_get(message, "tool_calls");

    if (!calls) {
        calls = json_array();
        if (json_object_set_new(message, "tool_calls", calls) != 0)
            return -1;
    }
    return json_array_append_new(
        calls, json_pack("{s:O,s:s,s:{s:o,s:O}}", "id", json_object_get(item, "call_id"),
                         "type", "function", "function", "name",
                         whole_name(member(item, "namespace"), member(item, "name")),
                         "arguments", json_object_get(item, "arguments")));
}

json_t *openai_items_message(const json_t *output)
{
    json_t *message = json_pack("{s:s,s:s}", "role", "assistant", "content", "");
    int bad = !message;

    for (size_t i = 0; i < json_array_size(output) && !bad; i++) {
        const json_t *item = json_array_get(output, i);
        const char *type = json_string_value(json_object_get(item, "type"));

        if (strcmp(type, "reasoning") == 0)
            bad = add_texts(message, "reasoning_content", json_object_get(item, "content"));
        else if (strcmp(type, "message") == 0)
            bad = add_texts(message, "content", json_object_get(item, "content"));
        else if (strcmp(json_string_value(json_object_get(item, "status")), "completed") == 0)
            bad = say_call(message, item); /* a call that was cut cannot be answered */
    }
    if (!bad)
        return message;
    json_decref(message);
    return NULL;
}

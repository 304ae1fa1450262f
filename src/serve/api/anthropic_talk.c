/* anthropic_talk.c - a conversation in Anthropic's blocks, in the canonical form.
 *
 * Turns of one role that follow each other are one message. Texts of a user's or the system's
 * turn that stand in blocks of their own are kept apart by a line end; those of the assistant
 * go on where the one before ended. A system's turn in the middle stays where it is. Results of
 * tools become messages of their own, in front of what the user says beside them; each must
 * answer a call of the turn before, and each call must be answered.
 */
#include "serve/api/anthropic.h"

#include "base/b64.h"
#include "base/mem.h"
#include "serve/api/anthropic_text.h"

#include <string.h>

#define TEXT_MAX ((size_t)256 << 20)

enum role { ROLE_NONE, ROLE_USER, ROLE_ASSISTANT, ROLE_SYSTEM };

static const char *const role_names[] = {[ROLE_NONE] = "",
                                         [ROLE_USER] = "user",
                                         [ROLE_ASSISTANT] = "assistant",
                                         [ROLE_SYSTEM] = "system"};

/* The message that is being put together, and what is known of those before. */
struct talk {
    struct gate_request *q;
    json_t *out;
    struct anthropic_place at;
    enum role role;
    struct buf text, thinking;
    json_t *parts, *calls; /* NULL until there is one */
    json_t *asked;         /* ids of calls that are not answered yet, with their names */
    int n_result;          /* of this turn */
};

/* Every field of these blocks. */
struct block {
    struct str text, name, id;
    json_t *source, *content, *input;
    int is_error;
};

#define AT(field) .at = offsetof(struct block, field)
#define NEED      .flags = FIELD_NEEDED
#define COMMON                                                                                 \
    {.name = "type", .type = FIELD_NOTED, .is = FIELD_IS_STR},                                 \
    {                                                                                          \
        .name = "cache_control", .type = FIELD_NOTED                                           \
    }
#define READ(t, rows, j, b, e)                                                                 \
    anthropic_fields(&(t)->at, rows, sizeof(rows) / sizeof(*(rows)), j, b, e)

static const struct field_row image_rows[] = {
    COMMON,
    {.name = "source", .type = FIELD_OBJECT, AT(source), NEED},
};

static const struct field_row thinking_rows[] = {
    COMMON,
    {.name = "thinking", .type = FIELD_STR, AT(text), NEED},
    {.name = "signature", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

static const struct field_row redacted_rows[] = {
    COMMON,
    {.name = "data", .type = FIELD_NOTED, .is = FIELD_IS_STR},
};

static const struct field_row use_rows[] = {
    COMMON,
    {.name = "id", .type = FIELD_STR, AT(id), NEED, .min = 1},
    {.name = "name", .type = FIELD_STR, AT(name), NEED, .min = 1},
    {.name = "input", .type = FIELD_OBJECT, AT(input), NEED},
    {.name = "caller", .type = FIELD_NOTED, .is = FIELD_IS_OBJECT},
};

static const struct field_row result_rows[] = {
    COMMON,
    {.name = "tool_use_id", .type = FIELD_STR, AT(id), NEED, .min = 1},
    {.name = "content", .type = FIELD_JSON, AT(content)},
    {.name = "is_error", .type = FIELD_BOOL, AT(is_error)},
};

static int no_memory(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for the conversation");
}

/* -- messages ---------------------------------------------------------------------------- */

static json_t *text_part(const struct buf *b)
{
    return json_pack("{s:s, s:s%}", "type", "text", "text", b->p ? b->p : "", b->n);
}

/* What has been gathered becomes a part, when parts are needed. */
static int close_part(struct talk *t, struct err *e)
{
    if (!t->parts)
        t->parts = json_array();
    if (t->text.n && json_array_append_new(t->parts, text_part(&t->text)) != 0)
        return no_memory(e);
    buf_clear(&t->text);
    return t->parts ? 0 : no_memory(e);
}

static json_t *content_of(struct talk *t, struct err *e)
{
    if (t->parts)
        return close_part(t, e) == 0 ? json_incref(t->parts) : NULL;
    if (t->calls && t->text.n == 0)
        return json_null();
    return json_stringn(t->text.p ? t->text.p : "", t->text.n);
}

/* Puts the message that was being gathered behind the others. */
static int close_message(struct talk *t, struct err *e)
{
    json_t *m;
    int bad;

    if (t->role == ROLE_NONE || (t->n_result && !t->text.n && !t->parts))
        return 0; /* a turn of results only is no message of the user's */
    m = json_pack("{s:s, s:o}", "role", role_names[t->role], "content", content_of(t, e));
    bad = !m;
    if (t->thinking.n)
        bad |= json_object_set_new(m, "reasoning_content",
                                   json_stringn(t->thinking.p, t->thinking.n));
    if (t->calls)
        bad |= json_object_set(m, "tool_calls", t->calls);
    if (json_array_append_new(t->out, m) != 0 || bad)
        return no_memory(e);
    json_decref(t->parts);
    json_decref(t->calls);
    t->parts = t->calls = NULL;
    buf_clear(&t->text);
    buf_clear(&t->thinking);
    return 0;
}

/* -- blocks that are text ------------------------------------------------------------------ */

/* -- blocks of a turn ---------------------------------------------------------------------- */

static int add_text(struct talk *t, const json_t *j, struct err *e)
{
    int rc = t->role != ROLE_ASSISTANT ? anthropic_next_line(&t->text, e) : 0;

    return rc < 0 ? rc : anthropic_text(&t->at, j, &t->text, e);
}

static int add_document(struct talk *t, const json_t *j, struct err *e)
{
    int rc = anthropic_next_line(&t->text, e);

    return rc < 0 ? rc : anthropic_document(&t->at, j, &t->text, e);
}

static int add_search_result(struct talk *t, const json_t *j, struct err *e)
{
    int rc = anthropic_next_line(&t->text, e);

    return rc < 0 ? rc : anthropic_search_result(&t->at, j, &t->text, e);
}

static int check_image(const struct talk *t, const struct anthropic_source *s, struct err *e)
{
    static const char *const types[] = {"image/jpeg", "image/png", "image/gif", "image/webp"};
    unsigned char *bytes;
    size_t i, bad = 0;
    long n;

    if (!str_is(s->type, "base64"))
        return err_set(e, E_UNSUPPORTED,
                       "%s.source.type: images of type '%.*s' are not fetched; send them as "
                       "'base64'",
                       t->at.path, (int)s->type.n, s->type.p);
    for (i = 0; i < sizeof(types) / sizeof(*types); i++)
        if (str_is(s->media_type, types[i]))
            break;
    if (i == sizeof(types) / sizeof(*types))
        return err_set(e, E_INVALID,
                       "%s.source.media_type: '%.*s' is none of image/jpeg, image/png, "
                       "image/gif, image/webp",
                       t->at.path, (int)s->media_type.n, s->media_type.p);
    bytes = mem_alloc(B64_MAX(s->data.n));
    n = bytes ? b64_decode(s->data, bytes, &bad) : 0;
    mem_free(bytes);
    if (!bytes)
        return no_memory(e);
    return n > 0 ? 0
                 : err_set(e, E_INVALID, "%s.source.data: is no base64, at byte %zu",
                           t->at.path, bad);
}

static int add_image(struct talk *t, const json_t *j, struct err *e)
{
    struct block b = {0};
    struct anthropic_source s = {0};
    int rc = READ(t, image_rows, j, &b, e);

    if (rc == 0)
        rc = anthropic_source(&t->at, b.source, &s, e);
    if (rc == 0)
        rc = check_image(t, &s, e);
    if (rc == 0 && !t->q->field[GATE_F_IMAGE]) {
        t->q->field[GATE_F_IMAGE] = gate_str(t->q, t->at.path, strlen(t->at.path)).p;
        rc = t->q->field[GATE_F_IMAGE] ? 0 : no_memory(e);
    }
    if (rc == 0)
        rc = close_part(t, e);
    if (rc < 0)
        return rc;
    return json_array_append_new(t->parts, json_pack("{s:s, s:s%, s:s%}", "type", "image",
                                                     "data", s.data.p, s.data.n, "mime",
                                                     s.media_type.p, s.media_type.n)) != 0
               ? no_memory(e)
               : 0;
}

static int add_thinking(struct talk *t, const json_t *j, struct err *e)
{
    struct block b = {0};
    int rc = READ(t, thinking_rows, j, &b, e);

    if (rc == 0 && t->thinking.n)
        rc = anthropic_next_line(&t->thinking, e);
    return rc < 0 ? rc : anthropic_put(&t->thinking, b.text, e);
}

static int add_redacted(struct talk *t, const json_t *j, struct err *e)
{
    struct block b = {0};
    int rc = READ(t, redacted_rows, j, &b, e);

    if (rc == 0)
        field_warn(t->at.r,
                   "%s: thinking that is encrypted cannot be read here, it is left out",
                   t->at.path);
    return rc;
}

static int add_use(struct talk *t, const json_t *j, struct err *e)
{
    struct block b = {0};
    json_t *call;
    int rc = READ(t, use_rows, j, &b, e);

    if (rc < 0)
        return rc;
    if (json_object_getn(t->asked, b.id.p, b.id.n))
        return err_set(e, E_INVALID, "%s.id: another tool_use of this turn is '%.*s'",
                       t->at.path, (int)b.id.n, b.id.p);
    if (!t->calls)
        t->calls = json_array();
    call = json_pack("{s:s%, s:s, s:{s:s%, s:O}}", "id", b.id.p, b.id.n, "type", "function",
                     "function", "name", b.name.p, b.name.n, "arguments", b.input);
    if (json_array_append_new(t->calls, call) != 0 ||
        json_object_setn_new(t->asked, b.id.p, b.id.n, json_stringn(b.name.p, b.name.n)) != 0)
        return no_memory(e);
    return 0;
}

static int add_result(struct talk *t, const json_t *j, struct err *e)
{
    struct block b = {0};
    struct buf text;
    const json_t *name;
    int rc = READ(t, result_rows, j, &b, e);

    if (rc < 0)
        return rc;
    name = json_object_getn(t->asked, b.id.p, b.id.n);
    if (!name)
        return err_set(e, E_INVALID,
                       "%s.tool_use_id: '%.*s' is no tool_use of the turn before, or it has a "
                       "result already",
                       t->at.path, (int)b.id.n, b.id.p);
    if (t->text.n || t->parts)
        return err_set(e, E_INVALID, "%s: tool_result must come before what the user says",
                       t->at.path);
    buf_init(&text, TEXT_MAX);
    if (b.is_error)
        rc = anthropic_put(&text, str_of("Error: "), e);
    if (rc == 0)
        rc = anthropic_result(&t->at, b.content, &text, e);
    if (rc == 0 &&
        json_array_append_new(t->out, json_pack("{s:s, s:s%, s:O, s:s%}", "role", "tool",
                                                "tool_call_id", b.id.p, b.id.n, "name", name,
                                                "content", text.p ? text.p : "", text.n)) != 0)
        rc = no_memory(e);
    buf_done(&text);
    if (rc < 0)
        return rc;
    t->n_result++;
    (void)json_object_deln(t->asked, b.id.p, b.id.n);
    return 0;
}

/* -- turns --------------------------------------------------------------------------------- */

static const struct block_kind {
    const char *type;
    enum role role; /* of whom it may be; ROLE_NONE: of both */
    int (*add)(struct talk *t, const json_t *j, struct err *e);
} block_kinds[] = {
    {"text", ROLE_NONE, add_text},
    {"image", ROLE_USER, add_image},
    {"document", ROLE_USER, add_document},
    {"search_result", ROLE_USER, add_search_result},
    {"tool_result", ROLE_USER, add_result},
    {"tool_use", ROLE_ASSISTANT, add_use},
    {"thinking", ROLE_ASSISTANT, add_thinking},
    {"redacted_thinking", ROLE_ASSISTANT, add_redacted},
};

static int add_block(struct talk *t, const json_t *j, struct err *e)
{
    struct str type = anthropic_type(j);

    for (size_t i = 0; i < sizeof(block_kinds) / sizeof(*block_kinds); i++) {
        const struct block_kind *k = &block_kinds[i];

        if (!str_is(type, k->type))
            continue;
        if (k->role != ROLE_NONE && k->role != t->role)
            return err_set(e, E_INVALID, "%s: a block of type '%s' is not the %s's to say",
                           t->at.path, k->type, role_names[t->role]);
        return k->add(t, j, e);
    }
    if (type.n == 0)
        return err_set(e, E_INVALID, "%s.type: is missing; each block is an object with a type",
                       t->at.path);
    return err_set(e, E_INVALID, "%s.type: blocks of type '%.*s' are not supported", t->at.path,
                   (int)type.n, type.p);
}

/* Calls that nobody answered: no model could go on from there. */
static int check_answered(const struct talk *t, struct err *e)
{
    const char *id = json_object_iter_key(json_object_iter(t->asked));

    return id ? err_set(e, E_INVALID,
                        "%s: tool_use '%s' has no tool_result; it must come in the user's turn "
                        "that follows",
                        t->at.path, id)
              : 0;
}

static int turn_to(struct talk *t, enum role role, struct err *e)
{
    int rc = 0;

    if (t->role == role)
        return 0;
    if (role == ROLE_ASSISTANT)
        rc = check_answered(t, e);
    if (rc == 0)
        rc = close_message(t, e);
    t->role = role;
    t->n_result = 0;
    return rc;
}

static int add_content(struct talk *t, const json_t *content, struct err *e)
{
    const json_t *block;
    size_t i;
    int rc = 0;

    if (json_is_string(content)) {
        if (t->role != ROLE_ASSISTANT)
            rc = anthropic_next_line(&t->text, e);
        return rc < 0 ? rc : anthropic_texts(&t->at, ".content", content, &t->text, e);
    }
    json_array_foreach(content, i, block)
    {
        size_t back = anthropic_path_on(&t->at, ".content", i);

        rc = add_block(t, block, e);
        anthropic_path_back(&t->at, back);
        if (rc < 0)
            break;
    }
    return rc;
}

struct turn {
    struct str role;
    json_t *content;
};

static const struct field_row turn_rows[] = {
    {.name = "role", .type = FIELD_STR, .at = offsetof(struct turn, role), NEED},
    {.name = "content", .type = FIELD_JSON, .at = offsetof(struct turn, content), NEED},
    {.name = "cache_control", .type = FIELD_NOTED, .is = FIELD_IS_OBJECT},
};

static int add_turn(struct talk *t, const json_t *j, int is_last, struct err *e)
{
    struct turn m = {0};
    enum role role;
    size_t n;
    int rc = READ(t, turn_rows, j, &m, e);

    if (rc < 0)
        return rc;
    for (role = ROLE_USER; role <= ROLE_SYSTEM; role++)
        if (str_is(m.role, role_names[role]))
            break;
    if (role > ROLE_SYSTEM)
        return err_set(e, E_INVALID, "%s.role: '%.*s' is none of user, assistant, system",
                       t->at.path, (int)m.role.n, m.role.p);
    n = json_is_string(m.content) ? json_string_length(m.content) : json_array_size(m.content);
    if (!json_is_string(m.content) && !json_is_array(m.content))
        return err_set(e, E_INVALID, "%s.content: is neither a string nor an array of blocks",
                       t->at.path);
    if (n == 0 && !(is_last && role == ROLE_ASSISTANT))
        return err_set(e, E_INVALID, "%s.content: is empty", t->at.path);
    rc = turn_to(t, role, e);
    return rc < 0 ? rc : add_content(t, m.content, e);
}

static int add_system(struct talk *t, const json_t *system, struct err *e)
{
    int rc = anthropic_texts(&t->at, "system", system, &t->text, e);

    if (rc == 0 && t->text.n &&
        json_array_append_new(t->out, json_pack("{s:s, s:s%}", "role", "system", "content",
                                                t->text.p, t->text.n)) != 0)
        rc = no_memory(e);
    buf_clear(&t->text);
    return rc;
}

static int add_turns(struct talk *t, const json_t *messages, struct err *e)
{
    const json_t *m;
    size_t i;
    int rc = 0;

    json_array_foreach(messages, i, m)
    {
        t->at.path[0] = '\0';
        (void)anthropic_path_on(&t->at, "messages", i);
        rc = add_turn(t, m, i + 1 == json_array_size(messages), e);
        if (rc < 0)
            return rc;
    }
    return check_answered(t, e);
}

int anthropic_talk(struct gate_request *q, const json_t *system, const json_t *messages,
                   struct field_report *r, struct err *e)
{
    struct talk t = {.q = q, .out = json_array(), .at.r = r, .asked = json_object()};
    int rc = 0;

    buf_init(&t.text, TEXT_MAX);
    buf_init(&t.thinking, TEXT_MAX);
    if (!t.out || !t.asked)
        rc = no_memory(e);
    if (rc == 0 && system)
        rc = add_system(&t, system, e);
    if (rc == 0)
        rc = add_turns(&t, messages, e);
    if (rc == 0) {
        q->prefill = t.role == ROLE_ASSISTANT;
        rc = close_message(&t, e);
    }
    if (rc == 0)
        q->messages = json_incref(t.out);
    json_decref(t.out);
    json_decref(t.asked);
    json_decref(t.parts);
    json_decref(t.calls);
    buf_done(&t.text);
    buf_done(&t.thinking);
    return rc;
}

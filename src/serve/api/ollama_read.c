/* ollama_read.c - bodies of /api/generate and /api/chat into requests. */
#include "serve/api/ollama.h"

#include <string.h>

enum { LOGPROBS_MAX = 20, MODEL_LEN = 600 };

#define PLAIN_MAX ((size_t)256 << 20) /* bytes of a prompt */

static int read_keep_alive(void *into, const json_t *v, struct err *e)
{
    struct ollama_body *b = into;

    return ollama_read_keep_alive(v, &b->keep_alive_ns, e);
}

#define ROW(n, t, field)                                                                       \
    {                                                                                          \
        .name = (n), .type = (t), .at = offsetof(struct ollama_body, field)                    \
    }
#define COMMON                                                                                 \
    {.name = "model",                                                                          \
     .type = FIELD_STR,                                                                        \
     .at = offsetof(struct ollama_body, model),                                                \
     .max = MODEL_LEN},                                                                        \
        ROW("stream", FIELD_BOOL, stream), ROW("format", FIELD_JSON, format),                  \
        ROW("options", FIELD_OBJECT, options), ROW("truncate", FIELD_BOOL, truncate),          \
        ROW("shift", FIELD_BOOL, shift), ROW("logprobs", FIELD_BOOL, logprobs),                \
        ROW("_debug_render_only", FIELD_BOOL, debug),                                          \
        {.name = "top_logprobs",                                                               \
         .type = FIELD_INT,                                                                    \
         .at = offsetof(struct ollama_body, top_logprobs),                                     \
         .max = LOGPROBS_MAX},                                                                 \
        {.name = "think", .type = FIELD_CALL, .read = ollama_read_think},                      \
    {                                                                                          \
        .name = "keep_alive", .type = FIELD_CALL, .read = read_keep_alive                      \
    }

/* clang-format off */
static const struct field_row generate_rows[] = {
    COMMON,
    ROW("prompt", FIELD_STR, prompt),
    ROW("suffix", FIELD_STR, suffix),
    ROW("system", FIELD_STR, system),
    ROW("template", FIELD_STR, chat_template),
    ROW("context", FIELD_ARRAY, context),
    ROW("raw", FIELD_BOOL, raw),
    ROW("images", FIELD_ARRAY, images),
    {.name = "width", .type = FIELD_REFUSED, .harmless = "0", .why = "is of models that make pictures"},
    {.name = "height", .type = FIELD_REFUSED, .harmless = "0", .why = "is of models that make pictures"},
    {.name = "steps", .type = FIELD_REFUSED, .harmless = "0", .why = "is of models that make pictures"},
};

static const struct field_row chat_rows[] = {
    COMMON,
    ROW("messages", FIELD_ARRAY, messages),
    ROW("tools", FIELD_ARRAY, tools),
};
/* clang-format on */

static int nomem(struct err *e)
{
    return err_set(e, E_NOMEM, "no memory for a request");
}

/* -- what the model can do ------------------------------------------------------------- */

/* Said before anything is loaded, in Ollama's words. */
static int check_able(const struct ollama_body *b, const struct store_model *m, struct err *e)
{
    const char *what = NULL;
    int images = json_array_size(b->images) > 0;
    const json_t *v;
    size_t i;

    json_array_foreach(b->messages, i, v)
    {
        images |= json_array_size(json_object_get(v, "images")) > 0;
    }
    if (b->think == GATE_THINK_ON && !(m->can & STORE_THINKING))
        what = "thinking";
    else if (json_array_size(b->tools) && !(m->can & STORE_TOOLS))
        what = "tools";
    else if (b->suffix.n && !(m->can & STORE_INSERT))
        what = "insert";
    else if (images && !(m->can & STORE_VISION))
        what = "images";
    return what ? err_set(e, E_UNSUPPORTED, "\"%.*s\" does not support %s", (int)b->model.n,
                          b->model.p, what)
                : 0;
}

/* -- what both have -------------------------------------------------------------------- */

static int copy(struct gate_request *q, struct str *out, struct str s, struct err *e)
{
    if (!s.n)
        return 0;
    *out = gate_str(q, s.p, s.n);
    return out->p ? 0 : nomem(e);
}

static int read_common(struct gate_request *q, const struct ollama_body *b,
                       struct field_report *r, struct err *e)
{
    int rc = copy(q, &q->model, b->model, e);

    if (rc == 0)
        rc = ollama_options(q, b->options, r, e);
    if (rc == 0)
        rc = ollama_format(q, b->format, e);
    if (rc < 0)
        return rc;
    if (b->top_logprobs && !b->logprobs)
        return err_set(e, E_INVALID, "top_logprobs needs logprobs to be true");
    if (b->logprobs)
        q->n_logprobs = b->top_logprobs;
    if (b->shift == 1)
        field_warn(r, "shift has no effect: an answer ends when the context is full, with "
                      "done_reason \"length\"");
    q->think = b->think;
    q->effort = b->think_level; /* a literal */
    q->overflow = b->truncate ? GATE_TRUNCATE : GATE_REFUSE;
    q->render_only = b->debug;
    q->keep_alive_ns = b->keep_alive_ns;
    return 0;
}

/* Nothing to answer: the model is loaded, or let go. */
static void only_load(struct gate_request *q, struct ollama_wish *wish)
{
    q->kind = GATE_LOAD;
    wish->load = q->keep_alive_ns == 0 ? "unload" : "load";
    wish->stream = 0;
}

/* -- generate -------------------------------------------------------------------------- */

static int set_input(struct gate_request *q, struct str prompt, struct err *e)
{
    struct gate_input *in = arena_calloc(&q->mem, 1, sizeof(*in));

    if (!in)
        return nomem(e);
    in->text = gate_str(q, prompt.p ? prompt.p : "", prompt.n);
    q->input = in;
    q->n_input = 1;
    return in->text.p ? 0 : nomem(e);
}

/* Pictures make a conversation of one message of it. */
static int with_images(struct gate_request *q, const struct ollama_body *b, struct err *e)
{
    json_t *content = NULL;
    int rc = ollama_images(b->prompt, b->images, &content, "images", e);

    if (rc < 0)
        return rc;
    q->kind = GATE_CHAT;
    if (!q->messages)
        q->messages = json_array();
    if (json_array_append_new(q->messages,
                              json_pack("{s:s, s:o}", "role", "user", "content", content)) != 0)
        return nomem(e);
    if (b->system.n &&
        json_array_insert_new(q->messages, 0,
                              json_pack("{s:s, s:s%}", "role", "system", "content", b->system.p,
                                        b->system.n)) != 0)
        return nomem(e);
    return 0;
}

static int add(struct buf *out, struct str s)
{
    return s.n ? buf_put(out, s.p, s.n) : 0;
}

/* A model without a chat template goes on with the text: system, what was before, prompt. */
static int set_plain(struct gate_request *q, const struct ollama_body *b,
                     const struct store_model *m, struct err *e)
{
    struct str system = b->system.n ? b->system : m->system;
    const json_t *message;
    struct buf text;
    size_t i;
    int rc;

    buf_init(&text, PLAIN_MAX);
    rc = add(&text, system);
    if (rc == 0 && system.n)
        rc = buf_str(&text, "\n\n");
    json_array_foreach(q->messages, i, message)
    {
        const json_t *c = json_object_get(message, "content");

        if (rc == 0)
            rc = add(&text, (struct str){json_string_value(c), json_string_length(c)});
    }
    if (rc == 0)
        rc = add(&text, b->prompt);
    rc = rc < 0 ? err_set(e, rc, "no memory for the prompt")
                : set_input(q, (struct str){text.p, text.n}, e);
    json_decref(q->messages);
    q->messages = NULL;
    q->raw = 1;
    buf_done(&text);
    return rc;
}

/* m: NULL when the store does not know it. */
static int read_generate(struct gate_request *q, const struct ollama_body *b,
                         const struct store_model *m, struct ollama_wish *wish, struct err *e)
{
    int rc = 0;

    if (b->raw && (b->system.n || b->chat_template.n || json_array_size(b->context)))
        return err_set(e, E_INVALID, "raw mode does not support template, system, or context");
    if (!b->prompt.n && !b->suffix.n && !json_array_size(b->images)) {
        only_load(q, wish);
        return 0;
    }
    if (json_array_size(b->context))
        rc = ollama_context_get(b->context, &q->messages, e);
    if (rc == 0)
        rc = copy(q, &q->system, b->system, e);
    if (rc == 0)
        rc = copy(q, &q->chat_template, b->chat_template, e);
    if (rc == 0 && b->suffix.n) {
        q->kind = GATE_INFILL;
        rc = copy(q, &q->suffix, b->suffix, e);
    }
    q->raw = b->raw;
    if (rc == 0 && json_array_size(b->images))
        return b->raw || b->suffix.n
                   ? err_set(e, E_UNSUPPORTED, "images go with neither raw nor suffix")
                   : with_images(q, b, e);
    if (rc == 0 && !b->raw && !b->suffix.n && !b->debug) {
        wish->history = q->messages ? json_deep_copy(q->messages) : json_array();
        if (json_array_append_new(wish->history,
                                  json_pack("{s:s, s:s%}", "role", "user", "content",
                                            b->prompt.p, b->prompt.n)) != 0)
            rc = nomem(e);
    }
    if (rc < 0)
        return rc;
    return m && !m->has_template && !b->raw && !b->suffix.n && !b->chat_template.n
               ? set_plain(q, b, m, e)
               : set_input(q, b->prompt, e);
}

/* -- all of it ------------------------------------------------------------------------- */

static int read_chat(struct gate_request *q, const struct ollama_body *b,
                     struct ollama_wish *wish, struct field_report *r, struct err *e)
{
    int rc;

    if (!json_array_size(b->messages)) {
        only_load(q, wish);
        return 0;
    }
    rc = ollama_talk(q, b->messages, r, e);
    return rc < 0 ? rc : ollama_tools(q, b->tools, r, e);
}

static int read_known(const struct ollama_body *b, const struct store_model *m, int chat,
                      struct gate_request *q, struct ollama_wish *wish, struct field_report *r,
                      struct err *e)
{
    int rc = m ? check_able(b, m, e) : 0;

    if (rc == 0)
        rc = read_common(q, b, r, e);
    if (rc < 0)
        return rc;
    wish->stream = b->stream && !b->debug;
    wish->debug = b->debug;
    return chat ? read_chat(q, b, wish, r, e) : read_generate(q, b, m, wish, e);
}

int ollama_read(struct serve *s, const json_t *body, int chat, struct gate_request **out,
                struct ollama_wish *wish, struct field_report *r, struct err *e)
{
    struct ollama_body b = {
        .stream = 1, .truncate = 1, .shift = -1, .keep_alive_ns = GATE_KEEP_DEFAULT};
    struct store_model m = {0};
    int known,
        rc = chat ? field_read(chat_rows, sizeof(chat_rows) / sizeof(*chat_rows), "", body, &b,
                               r, e)
                  : field_read(generate_rows, sizeof(generate_rows) / sizeof(*generate_rows),
                               "", body, &b, r, e);

    if (rc == 0 && b.model.n == 0)
        rc = err_set(e, E_INVALID, "model is required");
    if (rc < 0)
        return rc;
    *out = gate_request_new(chat ? GATE_CHAT : GATE_TEXT);
    if (!*out)
        return nomem(e);
    (*out)->field[GATE_F_STOP] = "options.stop";
    (*out)->field[GATE_F_EOS] = "options.ignore_eos";
    (*out)->field[GATE_F_SAMPLING] = "options.";
    /* What the store does not know, the provider may. */
    known = s->store && store_find(s->store, b.model, &m, NULL) == 0;
    rc = read_known(&b, known ? &m : NULL, chat, *out, wish, r, e);
    store_model_done(&m);
    return rc;
}

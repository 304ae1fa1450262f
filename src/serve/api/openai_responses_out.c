/* One item is open at a time: reasoning, a message, or a call. What comes goes into it; what is
 * of another kind closes it and opens the next. A stream says each of these steps; without one
 * only the items are kept. Deltas are written without trees of values, all else is rare. */
#include "serve/api/openai_responses.h"

#include "serve/api/openai_store.h"

#include "base/log.h"
#include "base/mem.h"
#include "serve/api/arguments.h"

#define TEXT_MAX ((size_t)256 << 20) /* bytes of one item */

enum kind { NONE, REASONING, MESSAGE, CALL };

struct openai_response {
    struct openai_response_in in;
    json_t *output; /* items that are complete */
    int kind;       /* of the open one */
    char item[OPENAI_ID_MAX];
    struct buf text, logprobs; /* of it; logprobs are items of JSON */
    json_t *call;              /* {"call_id","name"} of it, and its "namespace" */
    int64_t seq;
    int finish;
};

static void response_free(void *ctx)
{
    struct openai_response *o = ctx;

    json_decref(o->in.base);
    json_decref(o->in.items);
    json_decref(o->in.messages);
    json_decref(o->in.spaces);
    json_decref(o->output);
    json_decref(o->call);
    buf_done(&o->text);
    buf_done(&o->logprobs);
    mem_free(o);
}

int openai_response_new(struct openai_response **out, struct openai_response_in *in)
{
    struct openai_response *o = mem_calloc(1, sizeof(*o));

    if (!o) {
        json_decref(in->base);
        json_decref(in->items);
        json_decref(in->messages);
        json_decref(in->spaces);
        return E_NOMEM;
    }
    o->in = *in;
    o->output = json_array();
    buf_init(&o->text, TEXT_MAX);
    buf_init(&o->logprobs, TEXT_MAX);
    if (!o->output) {
        response_free(o);
        return E_NOMEM;
    }
    *out = o;
    return 0;
}

/* -- events ---------------------------------------------------------------------------- */

static void event_open(struct openai_response *o, struct json_out *w, struct buf *out,
                       const char *type)
{
    json_out_init(w, out);
    json_out_raw(w, str_of("event: "));
    w->comma = 0;
    json_out_raw(w, str_of(type));
    w->comma = 0;
    json_out_raw(w, str_of("\ndata: "));
    w->comma = 0;
    json_out_open(w, '{');
    json_out_key(w, "type");
    json_out_str(w, type);
    json_out_key(w, "sequence_number");
    json_out_int(w, o->seq++);
}

static int event_close(struct json_out *w)
{
    json_out_close(w, '}');
    w->comma = 0;
    json_out_raw(w, str_of("\n\n"));
    return json_out_end(w);
}

/* Where an event belongs. */
static void put_place(const struct openai_response *o, struct json_out *w, int part)
{
    json_out_key(w, "item_id");
    json_out_str(w, o->item);
    json_out_key(w, "output_index");
    json_out_int(w, (int64_t)json_array_size(o->output));
    if (part) {
        json_out_key(w, "content_index");
        json_out_int(w, 0);
    }
}

/* An event with one value, which is taken over. */
static int event(struct openai_response *o, struct buf *out, const char *type, const char *key,
                 json_t *value)
{
    struct json_out w;
    int rc = value ? 0 : E_NOMEM;

    if (rc == 0 && o->in.stream) {
        event_open(o, &w, out, type);
        if (strcmp(key, "item") == 0) {
            json_out_key(&w, "output_index");
            json_out_int(&w, (int64_t)json_array_size(o->output));
        } else if (strcmp(key, "part") == 0) {
            put_place(o, &w, 1);
        }
        json_out_key(&w, key);
        json_out_value(&w, value);
        rc = event_close(&w);
    }
    json_decref(value);
    return rc;
}

/* -- items ----------------------------------------------------------------------------- */

static json_t *text_json(const struct openai_response *o)
{
    return json_stringn(o->text.n ? o->text.p : "", o->text.n);
}

/* The part of the open item, as far as it is. */
static json_t *part_json(const struct openai_response *o)
{
    struct buf b;
    json_t *logprobs = NULL;

    if (o->kind == REASONING)
        return json_pack("{s:s,s:o}", "type", "reasoning_text", "text", text_json(o));
    buf_init(&b, TEXT_MAX + 2);
    if (buf_byte(&b, '[') == 0 && buf_put(&b, o->logprobs.p, o->logprobs.n) == 0 &&
        buf_byte(&b, ']') == 0)
        logprobs = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
    buf_done(&b);
    return json_pack("{s:s,s:[],s:o,s:o}", "type", "output_text", "annotations", "logprobs",
                     logprobs, "text", text_json(o));
}

/* status NULL: it was just opened and is empty. */
static json_t *item_json(const struct openai_response *o, const char *status)
{
    const char *is = status ? status : "in_progress";
    json_t *content = NULL;

    if (o->kind != CALL)
        content = status ? json_pack("[o]", part_json(o)) : json_array();
    switch (o->kind) {
    case REASONING:
        return json_pack("{s:s,s:s,s:[],s:o,s:s}", "id", o->item, "type", "reasoning",
                         "summary", "content", content, "status", is);
    case MESSAGE:
        return json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", o->item, "type", "message", "status",
                         is, "role", "assistant", "content", content);
    default:
        return json_pack("{s:s,s:s,s:s,s:O,s:O*,s:O,s:o}", "id", o->item, "type",
                         "function_call", "status", is, "call_id",
                         json_object_get(o->call, "call_id"), "namespace",
                         json_object_get(o->call, "namespace"), "name",
                         json_object_get(o->call, "name"), "arguments", text_json(o));
    }
}

/* The text is complete: the event that says so, whose member has all of it. */
static int text_done(struct openai_response *o, struct buf *out)
{
    static const char *const types[] = {[REASONING] = "response.reasoning_text.done",
                                        [MESSAGE] = "response.output_text.done",
                                        [CALL] = "response.function_call_arguments.done"};
    struct json_out w;

    if (!o->in.stream)
        return 0;
    event_open(o, &w, out, types[o->kind]);
    put_place(o, &w, o->kind != CALL);
    if (o->kind == CALL) {
        json_out_key(&w, "name");
        json_out_value(&w, json_object_get(o->call, "name"));
    }
    json_out_key(&w, o->kind == CALL ? "arguments" : "text");
    json_out_text(&w, (struct str){o->text.p, o->text.n});
    if (o->kind == MESSAGE) {
        json_out_key(&w, "logprobs");
        json_out_open(&w, '[');
        if (o->logprobs.n)
            json_out_raw(&w, (struct str){o->logprobs.p, o->logprobs.n});
        json_out_close(&w, ']');
    }
    return event_close(&w);
}

static int item_close(struct openai_response *o, const char *status, struct buf *out)
{
    json_t *item;
    int rc, cut;

    if (o->kind == NONE)
        return 0;
    /* The length was reached within a call: nobody is told that its arguments are done. */
    cut = o->kind == CALL &&
          !arguments_whole((struct str){o->text.p ? o->text.p : "", o->text.n});
    if (cut)
        status = "incomplete";
    rc = cut ? 0 : text_done(o, out);
    if (rc == 0 && o->kind != CALL)
        rc = event(o, out, "response.content_part.done", "part", part_json(o));
    item = rc == 0 ? item_json(o, status) : NULL;
    if (item) {
        rc = event(o, out, "response.output_item.done", "item", json_incref(item));
        if (json_array_append_new(o->output, item) != 0 && rc == 0)
            rc = E_NOMEM;
    } else if (rc == 0) {
        rc = E_NOMEM;
    }
    o->kind = NONE;
    return rc;
}

static int item_open(struct openai_response *o, int kind, struct buf *out)
{
    static const char *const prefix[] = {
        [REASONING] = "rs_", [MESSAGE] = "msg_", [CALL] = "fc_"};
    int rc = item_close(o, "completed", out);

    if (rc < 0)
        return rc;
    o->kind = kind;
    buf_clear(&o->text);
    buf_clear(&o->logprobs);
    openai_id(o->item, prefix[kind]);
    rc = event(o, out, "response.output_item.added", "item", item_json(o, NULL));
    if (rc == 0 && kind != CALL)
        rc = event(o, out, "response.content_part.added", "part", part_json(o));
    return rc;
}

/* -- what comes ------------------------------------------------------------------------ */

static int call_open(struct openai_response *o, const struct gate_event *ev, struct buf *out)
{
    char id[OPENAI_ID_MAX];
    struct str call = ev->id;
    const json_t *space = json_object_getn(o->in.spaces, ev->name.p, ev->name.n);
    int rc = item_close(o, "completed", out);

    if (rc < 0)
        return rc;
    if (call.n == 0) {
        openai_id(id, "call_");
        call = str_of(id);
    }
    json_decref(o->call);
    o->call =
        json_pack("{s:s%,s:s%}", "call_id", call.p, call.n, "name", ev->name.p, ev->name.n);
    if (!o->call || (space && json_object_update(o->call, (json_t *)(uintptr_t)space) != 0))
        return E_NOMEM;
    return item_open(o, CALL, out);
}

static int delta_logprobs(struct openai_response *o, const struct gate_event *ev,
                          struct json_out *w)
{
    struct json_out all;

    json_out_key(w, "logprobs");
    json_out_open(w, '[');
    if (o->in.logprobs)
        openai_put_logprobs(w, ev->token, ev->n_token);
    json_out_close(w, ']');
    if (!o->in.logprobs)
        return 0;
    json_out_init(&all, &o->logprobs);
    all.comma = o->logprobs.n > 0;
    openai_put_logprobs(&all, ev->token, ev->n_token);
    return json_out_end(&all);
}

static int delta(struct openai_response *o, int kind, const struct gate_event *ev,
                 struct buf *out)
{
    static const char *const types[] = {[REASONING] = "response.reasoning_text.delta",
                                        [MESSAGE] = "response.output_text.delta",
                                        [CALL] = "response.function_call_arguments.delta"};
    struct json_out w;
    size_t n;
    int rc = o->kind == kind ? 0 : item_open(o, kind, out);

    if (rc == 0)
        rc = buf_put(&o->text, ev->text.p, ev->text.n);
    if (rc < 0)
        return rc;
    n = out->n;
    event_open(o, &w, out, types[kind]);
    put_place(o, &w, kind != CALL);
    json_out_key(&w, "delta");
    json_out_text(&w, ev->text);
    if (kind == MESSAGE)
        rc = delta_logprobs(o, ev, &w);
    if (rc == 0)
        rc = event_close(&w);
    if (!o->in.stream)
        out->n = n;
    return rc;
}

static int begin(struct openai_response *o, struct buf *out)
{
    int rc = event(o, out, "response.created", "response", json_incref(o->in.base));

    return rc < 0 ? rc
                  : event(o, out, "response.in_progress", "response", json_incref(o->in.base));
}

static int finished(struct openai_response *o, const struct gate_event *ev, struct buf *out)
{
    int cut = ev->finish == GATE_LENGTH || ev->finish == GATE_FILTER;

    o->finish = ev->finish;
    return item_close(o, cut ? "incomplete" : "completed", out);
}

/* -- the end --------------------------------------------------------------------------- */

static json_t *usage_json(const struct gate_usage *u)
{
    return json_pack("{s:i,s:{s:i},s:i,s:{s:i},s:I}", "input_tokens", u->n_prompt,
                     "input_tokens_details", "cached_tokens", u->n_cached, "output_tokens",
                     u->n_output, "output_tokens_details", "reasoning_tokens", u->n_reasoning,
                     "total_tokens", (json_int_t)u->n_prompt + u->n_output);
}

/* Completes the object. */
static int complete(struct openai_response *o, const struct gate_usage *u)
{
    json_t *base = o->in.base;
    const char *why = o->finish == GATE_LENGTH   ? "max_output_tokens"
                      : o->finish == GATE_FILTER ? "content_filter"
                                                 : NULL;
    int bad =
        json_object_set_new(base, "status", json_string(why ? "incomplete" : "completed"));

    if (why)
        bad |=
            json_object_set_new(base, "incomplete_details", json_pack("{s:s}", "reason", why));
    else
        bad |= json_object_set_new(base, "completed_at", json_integer(openai_now()));
    bad |= json_object_set(base, "output", o->output);
    bad |= json_object_set_new(base, "usage", usage_json(u));
    if (u->n_dropped_messages) /* as Ollama's dialect has it here; OpenAI has no word for it */
        bad |=
            json_object_set_new(base, "messages_dropped", json_integer(u->n_dropped_messages)) |
            json_object_set_new(base, "tokens_dropped", json_integer(u->n_dropped));
    return bad ? E_NOMEM : 0;
}

static void keep(const struct openai_response *o)
{
    struct openai_kept k = {
        .id = o->in.id,
        .previous = json_string_value(o->in.previous),
        .tenant = o->in.tenant,
        .created = json_integer_value(json_object_get(o->in.base, "created_at")),
        .response = o->in.base,
        .input = o->in.items,
        .messages = o->in.messages,
    };

    if (o->in.store &&
        (json_array_append_new(o->in.messages, openai_items_message(o->output)) != 0 ||
         openai_store_put(o->in.store, &k) < 0))
        log_line(LOG_ERROR, "%s is not kept: no memory, or too many wait to be", o->in.id);
}

static int done(struct openai_response *o, const struct gate_event *ev, struct buf *out)
{
    int incomplete = o->finish == GATE_LENGTH || o->finish == GATE_FILTER;
    struct json_out w;
    int rc = complete(o, ev->usage);

    if (rc < 0)
        return rc;
    keep(o);
    if (o->in.stream)
        return event(o, out, incomplete ? "response.incomplete" : "response.completed",
                     "response", json_incref(o->in.base));
    json_out_init(&w, out);
    json_out_value(&w, o->in.base);
    return json_out_end(&w);
}

/* -- ops ------------------------------------------------------------------------------- */

static int response_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct openai_response *o = ctx;

    switch (ev->kind) {
    case GATE_EV_START:
        return begin(o, out);
    case GATE_EV_REASONING:
        return delta(o, REASONING, ev, out);
    case GATE_EV_CONTENT:
        return delta(o, MESSAGE, ev, out);
    case GATE_EV_CALL:
        return call_open(o, ev, out);
    case GATE_EV_ARGUMENTS:
        return delta(o, CALL, ev, out);
    case GATE_EV_CALL_END:
        return item_close(o, "completed", out);
    case GATE_EV_FINISH:
        return finished(o, ev, out);
    case GATE_EV_DONE:
        return done(o, ev, out);
    default:
        return 0;
    }
}

/* The object says that it failed; what there was stays in it. */
static int response_fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    struct openai_response *o = ctx;
    json_t *words = json_string(e->msg);
    int bad = json_object_set_new(o->in.base, "status", json_string("failed"));

    (void)param;
    if (!words) /* cut within a character */
        words = json_string("the answer could not be completed");
    if (o->kind != NONE)
        bad |= json_array_append_new(o->output, item_json(o, "incomplete"));
    bad |= json_object_set(o->in.base, "output", o->output);
    bad |= json_object_set_new(
        o->in.base, "error", json_pack("{s:s,s:o}", "code", "server_error", "message", words));
    return bad ? E_NOMEM
               : event(o, out, "response.failed", "response", json_incref(o->in.base));
}

const struct ask_ops openai_response_ops = {
    .stream_type = "text/event-stream; charset=utf-8",
    .event = response_event,
    .ping = openai_ping,
    .fail = response_fail,
    .free = response_free,
};

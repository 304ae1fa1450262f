/* anthropic_write.c - events as Anthropic's message, or as its stream.
 *
 * A message is a row of blocks. In a stream a block is begun, filled by deltas and ended, and
 * only one is open at a time; without one the same steps write the blocks' JSON behind each
 * other, and the message is put around it at the end.
 */
#include "serve/api/anthropic.h"

#include "base/mem.h"
#include "base/rng.h"
#include "fmt/jtext.h"
#include "serve/api/arguments.h"
#include "serve/json_out.h"

#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)

enum block { BLOCK_NONE, BLOCK_TEXT, BLOCK_THINKING, BLOCK_CALL };

struct anthropic_answer {
    char id[32], request[CALL_ID_LEN + 1];
    char *model;
    struct anthropic_wish wish;
    enum block open;
    int n_block;        /* begun so far */
    struct buf content; /* without a stream: the blocks */
    struct buf input;   /* without a stream: of the call that is open */
    struct buf stop;    /* the stop string that came */
    int cut;            /* 1: the input of the last call is not all that it was to be */
    int finish;         /* enum gate_finish, or -1 */
    int full;           /* 1: it ended because the context is full */
};

/* prefix and 24 letters and digits that nobody has had before. */
static void make_id(char *out, size_t n, const char *prefix)
{
    static const char letters[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    struct rng r;
    size_t at = strlen(prefix);

    rng_seed(&r, rng_entropy());
    (void)snprintf(out, n, "%s", prefix);
    for (int i = 0; i < 24 && at + 1 < n; i++)
        out[at++] = letters[rng_u64(&r) % (sizeof(letters) - 1)];
    out[at] = '\0';
}

struct anthropic_answer *anthropic_answer_new(const struct call *c, struct str model,
                                              const struct anthropic_wish *wish)
{
    struct anthropic_answer *a = mem_calloc(1, sizeof(*a));
    char *name = a ? mem_alloc(model.n + 1) : NULL;

    if (!name) {
        mem_free(a);
        return NULL;
    }
    memcpy(name, model.p, model.n);
    name[model.n] = '\0';
    a->model = name;
    a->wish = *wish;
    make_id(a->id, sizeof(a->id), "msg_");
    (void)snprintf(a->request, sizeof(a->request), "%s", c->id);
    buf_init(&a->content, ANSWER_MAX);
    buf_init(&a->input, ANSWER_MAX);
    buf_init(&a->stop, ANSWER_MAX);
    return a;
}

static void answer_free(void *ctx)
{
    struct anthropic_answer *a = ctx;

    if (!a)
        return;
    buf_done(&a->content);
    buf_done(&a->input);
    buf_done(&a->stop);
    mem_free(a->model);
    mem_free(a);
}

/* -- pieces of JSON -------------------------------------------------------------------- */

/* Begins an event of the stream: its name, and the object whose type has that name. */
static int event_begin(struct json_out *w, struct buf *out, const char *name)
{
    int rc = buf_fmt(out, "event: %s\ndata: ", name);

    json_out_init(w, out);
    json_out_open(w, '{');
    json_out_key(w, "type");
    json_out_str(w, name);
    return rc;
}

static int event_end(struct json_out *w, struct buf *out)
{
    int rc;

    json_out_close(w, '}');
    rc = json_out_end(w);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

/* Tokens that came from the cache are counted apart from those that were read. */
static void put_usage(struct json_out *w, const struct gate_usage *u)
{
    json_out_key(w, "usage");
    json_out_open(w, '{');
    json_out_key(w, "input_tokens");
    json_out_int(w, u->n_prompt - u->n_cached);
    json_out_key(w, "cache_creation_input_tokens");
    json_out_int(w, 0);
    json_out_key(w, "cache_read_input_tokens");
    json_out_int(w, u->n_cached);
    json_out_key(w, "output_tokens");
    json_out_int(w, u->n_output);
    json_out_key(w, "service_tier");
    json_out_str(w, "standard");
    json_out_close(w, '}');
}

static void put_reason(struct json_out *w, const struct anthropic_answer *a)
{
    static const char *const reasons[] = {[GATE_END] = "end_turn",
                                          [GATE_STOP] = "stop_sequence",
                                          [GATE_LENGTH] = "max_tokens",
                                          [GATE_CALLS] = "tool_use",
                                          [GATE_FILTER] = "refusal"};

    json_out_key(w, "stop_reason");
    json_out_str(w, a->finish < 0 ? NULL
                    : a->full     ? "model_context_window_exceeded"
                                  : reasons[a->finish]);
    json_out_key(w, "stop_sequence");
    if (a->finish == GATE_STOP)
        json_out_text(w, (struct str){a->stop.p, a->stop.n});
    else
        json_out_null(w);
}

/* The message; blocks: JSON of what is between the brackets of its content. */
static void put_message(struct json_out *w, const struct anthropic_answer *a, struct str blocks,
                        const struct gate_usage *u)
{
    json_out_open(w, '{');
    json_out_key(w, "id");
    json_out_str(w, a->id);
    json_out_key(w, "type");
    json_out_str(w, "message");
    json_out_key(w, "role");
    json_out_str(w, "assistant");
    json_out_key(w, "model");
    json_out_str(w, a->model);
    json_out_key(w, "content");
    json_out_open(w, '[');
    if (blocks.n)
        json_out_raw(w, blocks);
    json_out_close(w, ']');
    put_reason(w, a);
    put_usage(w, u);
    json_out_close(w, '}');
}

/* -- blocks ---------------------------------------------------------------------------- */

/* The block's object as it is when nothing is in it yet, open at its end. */
static void put_block(struct json_out *w, enum block kind, struct str id, struct str name)
{
    static const char *const types[] = {
        [BLOCK_TEXT] = "text", [BLOCK_THINKING] = "thinking", [BLOCK_CALL] = "tool_use"};

    json_out_open(w, '{');
    json_out_key(w, "type");
    json_out_str(w, types[kind]);
    if (kind == BLOCK_CALL) {
        json_out_key(w, "id");
        json_out_text(w, id);
        json_out_key(w, "name");
        json_out_text(w, name);
    }
}

static int stream_begin(struct anthropic_answer *a, enum block kind, struct str id,
                        struct str name, struct buf *out)
{
    struct json_out w;
    int rc = event_begin(&w, out, "content_block_start");

    json_out_key(&w, "index");
    json_out_int(&w, a->n_block);
    json_out_key(&w, "content_block");
    put_block(&w, kind, id, name);
    if (kind == BLOCK_CALL) {
        json_out_key(&w, "input");
        json_out_raw(&w, str_of("{}"));
    } else {
        json_out_key(&w, kind == BLOCK_TEXT ? "text" : "thinking");
        json_out_str(&w, "");
    }
    if (kind == BLOCK_THINKING) {
        json_out_key(&w, "signature");
        json_out_str(&w, "");
    }
    json_out_close(&w, '}');
    return rc < 0 ? rc : event_end(&w, out);
}

/* The block's object up to its text, whose quotes are still open. */
static int gather_begin(struct anthropic_answer *a, enum block kind, struct str id,
                        struct str name)
{
    struct json_out w;
    int rc = a->n_block ? buf_str(&a->content, ",") : 0;

    json_out_init(&w, &a->content);
    put_block(&w, kind, id, name);
    buf_clear(&a->input);
    if (rc == 0)
        rc = json_out_end(&w);
    if (rc < 0 || kind == BLOCK_CALL)
        return rc;
    return buf_str(&a->content, kind == BLOCK_TEXT ? ",\"text\":\"" : ",\"thinking\":\"");
}

static int stream_delta(const struct anthropic_answer *a, const char *type, const char *field,
                        struct str text, struct buf *out)
{
    struct json_out w;
    int rc = event_begin(&w, out, "content_block_delta");

    json_out_key(&w, "index");
    json_out_int(&w, a->n_block - 1);
    json_out_key(&w, "delta");
    json_out_open(&w, '{');
    json_out_key(&w, "type");
    json_out_str(&w, type);
    json_out_key(&w, field);
    json_out_text(&w, text);
    json_out_close(&w, '}');
    return rc < 0 ? rc : event_end(&w, out);
}

/* What a client sends back with the block. It vouches for nothing: thinking is text here. */
static struct str signature(const struct anthropic_answer *a)
{
    return str_of(a->id + 4);
}

static int stream_end(const struct anthropic_answer *a, struct buf *out)
{
    struct json_out w;
    int rc = 0;

    if (a->open == BLOCK_THINKING)
        rc = stream_delta(a, "signature_delta", "signature", signature(a), out);
    if (rc == 0)
        rc = event_begin(&w, out, "content_block_stop");
    if (rc < 0)
        return rc;
    json_out_key(&w, "index");
    json_out_int(&w, a->n_block - 1);
    return event_end(&w, out);
}

/* A call that was cut stays the last block, as far as its members are complete: clients look
 * for it there, and at stop_reason, to ask again with more max_tokens. */
static int gather_input(struct anthropic_answer *a)
{
    struct str text = {a->input.p ? a->input.p : "", a->input.n};
    int rc = buf_str(&a->content, ",\"input\":");

    a->cut = !arguments_whole(text);
    if (rc == 0)
        rc = arguments_put(&a->content, text);
    return rc < 0 ? rc : buf_str(&a->content, "}");
}

static const char *lacks(void *ctx)
{
    const struct anthropic_answer *a = ctx;

    return a->cut && (a->input.n || a->finish != GATE_CALLS)
               ? "the last call was cut: its input has only the members that are complete"
               : NULL;
}

static int gather_end(struct anthropic_answer *a)
{
    if (a->open == BLOCK_CALL)
        return gather_input(a);
    if (a->open == BLOCK_THINKING)
        return buf_fmt(&a->content, "\",\"signature\":\"%s\"}", signature(a).p);
    return buf_str(&a->content, "\"}");
}

static int end_block(struct anthropic_answer *a, struct buf *out)
{
    int rc = 0;

    if (a->open != BLOCK_NONE)
        rc = a->wish.stream ? stream_end(a, out) : gather_end(a);
    a->open = BLOCK_NONE;
    return rc;
}

static int begin_block(struct anthropic_answer *a, enum block kind, struct str id,
                       struct str name, struct buf *out)
{
    int rc = end_block(a, out);

    if (rc == 0)
        rc = a->wish.stream ? stream_begin(a, kind, id, name, out)
                            : gather_begin(a, kind, id, name);
    a->n_block++;
    a->open = kind;
    return rc;
}

static int add_text(struct anthropic_answer *a, enum block kind, struct str text,
                    struct buf *out)
{
    static const struct str none = {"", 0};
    int thinks = kind == BLOCK_THINKING, rc = 0;

    if (text.n == 0)
        return 0;
    if (a->open != kind)
        rc = begin_block(a, kind, none, none, out);
    if (rc < 0 || (thinks && a->wish.hide_thinking))
        return rc;
    if (!a->wish.stream)
        return jtext_escape(&a->content, text, 0);
    return stream_delta(a, thinks ? "thinking_delta" : "text_delta",
                        thinks ? "thinking" : "text", text, out);
}

static int begin_call(struct anthropic_answer *a, const struct gate_event *ev, struct buf *out)
{
    char id[32];

    make_id(id, sizeof(id), "toolu_");
    return begin_block(a, BLOCK_CALL, ev->id.n ? ev->id : str_of(id), ev->name, out);
}

static int add_input(struct anthropic_answer *a, struct str text, struct buf *out)
{
    if (text.n == 0)
        return 0;
    return a->wish.stream ? stream_delta(a, "input_json_delta", "partial_json", text, out)
                          : buf_put(&a->input, text.p, text.n);
}

/* -- the message ----------------------------------------------------------------------- */

static int begin_message(struct anthropic_answer *a, const struct gate_event *ev,
                         struct buf *out)
{
    static const struct gate_usage nothing;
    struct json_out w;
    int rc;

    if (!a->wish.stream)
        return 0;
    rc = event_begin(&w, out, "message_start");
    json_out_key(&w, "message");
    put_message(&w, a, (struct str){"", 0}, ev->usage ? ev->usage : &nothing);
    return rc < 0 ? rc : event_end(&w, out);
}

static int finish(struct anthropic_answer *a, const struct gate_event *ev, struct buf *out)
{
    const struct gate_usage *u = ev->usage;

    a->finish = ev->finish;
    a->full = ev->finish == GATE_LENGTH && u && u->n_output < a->wish.max_tokens &&
              gate_context_full(u);
    buf_clear(&a->stop);
    if (buf_put(&a->stop, ev->stop.p ? ev->stop.p : "", ev->stop.n) < 0)
        return E_NOMEM;
    return end_block(a, out);
}

static int end_message(struct anthropic_answer *a, const struct gate_event *ev, struct buf *out)
{
    static const struct gate_usage nothing;
    const struct gate_usage *u = ev->usage ? ev->usage : &nothing;
    struct json_out w;
    int rc = end_block(a, out);

    if (rc < 0)
        return rc;
    if (!a->wish.stream) {
        json_out_init(&w, out);
        put_message(&w, a, (struct str){a->content.p ? a->content.p : "", a->content.n}, u);
        return json_out_end(&w);
    }
    rc = event_begin(&w, out, "message_delta");
    json_out_key(&w, "delta");
    json_out_open(&w, '{');
    put_reason(&w, a);
    json_out_close(&w, '}');
    put_usage(&w, u);
    if (rc == 0)
        rc = event_end(&w, out);
    return rc < 0 ? rc
                  : buf_str(out, "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct anthropic_answer *a = ctx;

    switch (ev->kind) {
    case GATE_EV_START:
        a->finish = -1;
        return begin_message(a, ev, out);
    case GATE_EV_REASONING:
        return add_text(a, BLOCK_THINKING, ev->text, out);
    case GATE_EV_CONTENT:
        return add_text(a, BLOCK_TEXT, ev->text, out);
    case GATE_EV_CALL:
        return begin_call(a, ev, out);
    case GATE_EV_ARGUMENTS:
        return add_input(a, ev->text, out);
    case GATE_EV_CALL_END:
        return end_block(a, out);
    case GATE_EV_FINISH:
        return finish(a, ev, out);
    case GATE_EV_DONE:
        return end_message(a, ev, out);
    default:
        return 0;
    }
}

static int ping(void *ctx, struct buf *out)
{
    (void)ctx;
    return buf_str(out, "event: ping\ndata: {\"type\":\"ping\"}\n\n");
}

static int fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    const struct anthropic_answer *a = ctx;
    int rc = buf_str(out, "event: error\ndata: ");

    (void)param;
    if (rc == 0)
        rc = anthropic_error(out, err_row(e->code)->http, e, NULL, a->request);
    return rc < 0 ? rc : buf_str(out, "\n\n");
}

const struct ask_ops anthropic_message_ops = {
    "text/event-stream; charset=utf-8", on_event, ping, fail, lacks, answer_free};

static int on_count(void *ctx, const struct gate_event *ev, struct buf *out)
{
    (void)ctx;
    if (ev->kind != GATE_EV_DONE)
        return 0;
    return buf_fmt(out, "{\"input_tokens\":%d}", ev->usage ? ev->usage->n_prompt : 0);
}

const struct ask_ops anthropic_count_ops = {.event = on_count};

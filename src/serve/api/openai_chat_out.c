/* A stream is one chunk for each event. All chunks begin with the same bytes, which are made
 * once; what follows is written without a tree of values. Without a stream the same events are
 * gathered, a few growing texts for each choice. */
#include "serve/api/openai_chat.h"

#include "base/mem.h"
#include "fmt/jtext.h"

#define GATHER_MAX ((size_t)256 << 20) /* bytes of one text of an answer */

struct chat_choice {
    struct buf reasoning, content;
    struct buf calls;    /* objects of "tool_calls", escaped; the last one may be open */
    struct buf logprobs; /* objects of "content" */
    int finish;
};

struct openai_chat_out {
    int stream, usage, timings, n_choice, logprobs;
    struct buf head; /* of each chunk, to the choice's index; of an object, to "choices" */
    struct chat_choice *choice;
};

static void chat_free(void *ctx)
{
    struct openai_chat_out *o = ctx;

    for (int i = 0; o->choice && i < o->n_choice; i++) {
        buf_done(&o->choice[i].reasoning);
        buf_done(&o->choice[i].content);
        buf_done(&o->choice[i].calls);
        buf_done(&o->choice[i].logprobs);
    }
    mem_free(o->choice);
    buf_done(&o->head);
    mem_free(o);
}

int openai_chat_out_new(struct openai_chat_out **out, struct openai_parse *p)
{
    struct openai_chat_out *o = mem_calloc(1, sizeof(*o));

    if (!o)
        return openai_nomem(p);
    o->stream = p->in.stream;
    o->usage = p->in.stream_usage;
    o->timings = p->in.timings && !p->in.stream_usage; /* which has its own */
    o->n_choice = p->q->n_choice;
    o->logprobs = p->q->n_logprobs >= 0;
    buf_init(&o->head, 16 << 10);
    o->choice = mem_calloc((size_t)o->n_choice, sizeof(*o->choice));
    if (!o->choice || openai_put_head(&o->head, o->stream, "chatcmpl-",
                                      o->stream ? "chat.completion.chunk" : "chat.completion",
                                      p->in.model) < 0) {
        chat_free(o);
        return openai_nomem(p);
    }
    for (int i = 0; i < o->n_choice; i++) {
        buf_init(&o->choice[i].reasoning, GATHER_MAX);
        buf_init(&o->choice[i].content, GATHER_MAX);
        buf_init(&o->choice[i].calls, GATHER_MAX);
        buf_init(&o->choice[i].logprobs, GATHER_MAX);
    }
    *out = o;
    return 0;
}

/* -- a stream ------------------------------------------------------------------------------ */

static void delta_call(struct json_out *w, const struct gate_event *ev)
{
    char id[OPENAI_ID_MAX];

    json_out_key(w, "tool_calls");
    json_out_open(w, '[');
    json_out_open(w, '{');
    json_out_key(w, "index");
    json_out_int(w, ev->call);
    if (ev->kind == GATE_EV_CALL) {
        json_out_key(w, "id");
        if (ev->id.n) {
            json_out_text(w, ev->id);
        } else {
            openai_id(id, "call_");
            json_out_str(w, id);
        }
        json_out_key(w, "type");
        json_out_str(w, "function");
    }
    json_out_key(w, "function");
    json_out_open(w, '{');
    if (ev->kind == GATE_EV_CALL) {
        json_out_key(w, "name");
        json_out_text(w, ev->name);
    }
    json_out_key(w, "arguments");
    json_out_text(w, ev->text);
    json_out_close(w, '}');
    json_out_close(w, '}');
    json_out_close(w, ']');
}

static void delta(struct json_out *w, const struct gate_event *ev)
{
    json_out_open(w, '{');
    switch (ev->kind) {
    case GATE_EV_START:
        json_out_key(w, "role");
        json_out_str(w, "assistant");
        json_out_key(w, "content");
        json_out_str(w, "");
        break;
    case GATE_EV_REASONING:
        json_out_key(w, "reasoning_content");
        json_out_text(w, ev->text);
        break;
    case GATE_EV_CONTENT:
        json_out_key(w, "content");
        json_out_text(w, ev->text);
        break;
    case GATE_EV_CALL:
    case GATE_EV_ARGUMENTS:
        delta_call(w, ev);
        break;
    default: /* FINISH: nothing is added */
        break;
    }
    json_out_close(w, '}');
}

static void put_logprobs(struct json_out *w, const struct gate_event *ev)
{
    json_out_key(w, "logprobs");
    if (ev->kind != GATE_EV_CONTENT || ev->n_token == 0) {
        json_out_null(w);
        return;
    }
    json_out_open(w, '{');
    json_out_key(w, "content");
    json_out_open(w, '[');
    openai_put_logprobs(w, ev->token, ev->n_token);
    json_out_close(w, ']');
    json_out_key(w, "refusal");
    json_out_null(w);
    json_out_close(w, '}');
}

static int chunk(const struct openai_chat_out *o, const struct gate_event *ev, int choice,
                 struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_raw(&w, (struct str){o->head.p, o->head.n});
    w.comma = 0;
    json_out_open(&w, '{');
    json_out_key(&w, "index");
    json_out_int(&w, choice);
    json_out_key(&w, "delta");
    delta(&w, ev);
    if (o->logprobs)
        put_logprobs(&w, ev);
    json_out_key(&w, "finish_reason");
    json_out_str(&w, ev->kind == GATE_EV_FINISH ? openai_finish(ev->finish) : NULL);
    json_out_close(&w, '}');
    json_out_close(&w, ']');
    if (o->usage) {
        json_out_key(&w, "usage");
        json_out_null(&w);
    }
    if (o->timings && ev->kind == GATE_EV_FINISH && ev->usage) {
        json_out_key(&w, "timings");
        openai_put_timings(&w, ev->usage);
    }
    w.comma = 0;
    json_out_raw(&w, str_of("}\n\n"));
    return json_out_end(&w);
}

static int stream_end(const struct openai_chat_out *o, const struct gate_usage *u,
                      struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    if (o->usage) {
        json_out_raw(&w, (struct str){o->head.p, o->head.n});
        json_out_close(&w, ']');
        json_out_key(&w, "usage");
        openai_put_usage(&w, u);
        json_out_key(&w, "timings");
        openai_put_timings(&w, u);
        json_out_close(&w, '}');
        w.comma = 0;
        json_out_raw(&w, str_of("\n\n"));
        w.comma = 0;
    }
    json_out_raw(&w, str_of("data: [DONE]\n\n"));
    return json_out_end(&w);
}

static int stream(struct openai_chat_out *o, const struct gate_event *ev, struct buf *out)
{
    int rc = 0;

    switch (ev->kind) {
    case GATE_EV_START: /* the one chunk of each choice that has the role */
        for (int i = 0; i < o->n_choice && rc == 0; i++)
            rc = chunk(o, ev, i, out);
        return rc;
    case GATE_EV_REASONING:
    case GATE_EV_CONTENT:
    case GATE_EV_CALL:
    case GATE_EV_ARGUMENTS:
    case GATE_EV_FINISH:
        return chunk(o, ev, ev->choice, out);
    case GATE_EV_DONE:
        return stream_end(o, ev->usage, out);
    default:
        return 0;
    }
}

/* -- one object ------------------------------------------------------------------------ */

static int gather_call(struct chat_choice *c, const struct gate_event *ev)
{
    char id[OPENAI_ID_MAX];
    struct json_out w;

    openai_id(id, "call_");
    json_out_init(&w, &c->calls);
    w.comma = c->calls.n > 0;
    json_out_open(&w, '{');
    json_out_key(&w, "id");
    json_out_text(&w, ev->id.n ? ev->id : str_of(id));
    json_out_key(&w, "type");
    json_out_str(&w, "function");
    json_out_key(&w, "function");
    json_out_open(&w, '{');
    json_out_key(&w, "name");
    json_out_text(&w, ev->name);
    json_out_key(&w, "arguments");
    json_out_raw(&w, str_of("\""));
    return json_out_end(&w);
}

static int gather_logprobs(struct chat_choice *c, const struct gate_event *ev)
{
    struct json_out w;

    json_out_init(&w, &c->logprobs);
    w.comma = c->logprobs.n > 0;
    openai_put_logprobs(&w, ev->token, ev->n_token);
    return json_out_end(&w);
}

static void put_message(struct json_out *w, const struct chat_choice *c)
{
    json_out_open(w, '{');
    json_out_key(w, "role");
    json_out_str(w, "assistant");
    json_out_key(w, "content");
    if (c->content.n == 0 && c->calls.n > 0)
        json_out_null(w);
    else
        json_out_text(w, (struct str){c->content.p, c->content.n});
    json_out_key(w, "refusal");
    json_out_null(w);
    if (c->reasoning.n) {
        json_out_key(w, "reasoning_content");
        json_out_text(w, (struct str){c->reasoning.p, c->reasoning.n});
    }
    if (c->calls.n) {
        json_out_key(w, "tool_calls");
        json_out_open(w, '[');
        json_out_raw(w, (struct str){c->calls.p, c->calls.n});
        json_out_close(w, ']');
    }
    json_out_close(w, '}');
}

static void put_choice(struct json_out *w, const struct openai_chat_out *o, int i)
{
    const struct chat_choice *c = &o->choice[i];

    json_out_open(w, '{');
    json_out_key(w, "index");
    json_out_int(w, i);
    json_out_key(w, "message");
    put_message(w, c);
    json_out_key(w, "logprobs");
    if (o->logprobs) {
        json_out_open(w, '{');
        json_out_key(w, "content");
        json_out_open(w, '[');
        if (c->logprobs.n)
            json_out_raw(w, (struct str){c->logprobs.p, c->logprobs.n});
        json_out_close(w, ']');
        json_out_key(w, "refusal");
        json_out_null(w);
        json_out_close(w, '}');
    } else {
        json_out_null(w);
    }
    json_out_key(w, "finish_reason");
    json_out_str(w, openai_finish(c->finish));
    json_out_close(w, '}');
}

static int whole(const struct openai_chat_out *o, const struct gate_usage *u, struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_raw(&w, (struct str){o->head.p, o->head.n});
    w.comma = 0;
    for (int i = 0; i < o->n_choice; i++)
        put_choice(&w, o, i);
    json_out_close(&w, ']');
    json_out_key(&w, "usage");
    openai_put_usage(&w, u);
    json_out_key(&w, "timings");
    openai_put_timings(&w, u);
    json_out_close(&w, '}');
    return json_out_end(&w);
}

static int gather(struct openai_chat_out *o, const struct gate_event *ev, struct buf *out)
{
    struct chat_choice *c = &o->choice[ev->choice];
    int rc;

    switch (ev->kind) {
    case GATE_EV_REASONING:
        return buf_put(&c->reasoning, ev->text.p, ev->text.n);
    case GATE_EV_CONTENT:
        rc = buf_put(&c->content, ev->text.p, ev->text.n);
        return rc == 0 && o->logprobs ? gather_logprobs(c, ev) : rc;
    case GATE_EV_CALL:
        return gather_call(c, ev);
    case GATE_EV_ARGUMENTS:
        return jtext_escape(&c->calls, ev->text, 0);
    case GATE_EV_CALL_END:
        return buf_str(&c->calls, "\"}}");
    case GATE_EV_FINISH:
        c->finish = ev->finish;
        return 0;
    case GATE_EV_DONE:
        return whole(o, ev->usage, out);
    default:
        return 0;
    }
}

/* -- ops ------------------------------------------------------------------------------- */

static int chat_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct openai_chat_out *o = ctx;

    return o->stream ? stream(o, ev, out) : gather(o, ev, out);
}

static int chat_fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    (void)ctx;
    return openai_put_failure(out, e, param);
}

const struct ask_ops openai_chat_ops = {
    .stream_type = "text/event-stream; charset=utf-8",
    .event = chat_event,
    .ping = openai_ping,
    .fail = chat_fail,
    .free = chat_free,
};

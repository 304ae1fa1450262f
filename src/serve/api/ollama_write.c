/* ollama_write.c - events into lines of JSON, or into one object.
 *
 * A line has what is new; the last one has "done": true and the numbers. Without a stream the
 * same members are gathered into one object. Calls come whole. */
#include "serve/api/ollama.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "serve/api/arguments.h"
#include "serve/json_out.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ANSWER_MAX ((size_t)256 << 20)

struct ollama_answer {
    char *model;
    struct ollama_wish wish;
    struct buf content, thinking; /* all of it, without a stream or for the context */
    struct buf calls, logprobs;   /* JSON of items; of this line in a stream */
    struct buf name, id, arguments;
    int n_call, finish;
    int waits;       /* 1: the call that ended last may have been cut */
    char lacks[160]; /* words for what is not there */
};

struct ollama_answer *ollama_answer_new(struct str model, struct ollama_wish *wish)
{
    struct ollama_answer *a = mem_calloc(1, sizeof(*a));
    char *name = a ? mem_alloc(model.n + 1) : NULL;

    if (!name) {
        mem_free(a);
        json_decref(wish->history);
        wish->history = NULL;
        return NULL;
    }
    memcpy(name, model.p, model.n);
    name[model.n] = '\0';
    *a = (struct ollama_answer){.model = name, .wish = *wish, .finish = -1};
    buf_init(&a->content, ANSWER_MAX);
    buf_init(&a->thinking, ANSWER_MAX);
    buf_init(&a->calls, ANSWER_MAX);
    buf_init(&a->logprobs, ANSWER_MAX);
    buf_init(&a->name, ANSWER_MAX);
    buf_init(&a->id, ANSWER_MAX);
    buf_init(&a->arguments, ANSWER_MAX);
    return a;
}

static void answer_free(void *ctx)
{
    struct ollama_answer *a = ctx;

    if (!a)
        return;
    json_decref(a->wish.history);
    buf_done(&a->content);
    buf_done(&a->thinking);
    buf_done(&a->calls);
    buf_done(&a->logprobs);
    buf_done(&a->name);
    buf_done(&a->id);
    buf_done(&a->arguments);
    mem_free(a->model);
    mem_free(a);
}

const char *ollama_time(int64_t ns, char out[OLLAMA_TIME])
{
    time_t s = (time_t)(ns / 1000000000);
    long part = (long)(ns % 1000000000);
    size_t n;
    struct tm tm;

    if (!gmtime_r(&s, &tm) || (n = strftime(out, OLLAMA_TIME, "%Y-%m-%dT%H:%M:%S", &tm)) == 0)
        n = (size_t)snprintf(out, OLLAMA_TIME, "1970-01-01T00:00:00");
    if (part > 0) {
        n += (size_t)snprintf(out + n, OLLAMA_TIME - n, ".%09ld", part);
        while (out[n - 1] == '0')
            n--;
    }
    (void)snprintf(out + n, OLLAMA_TIME - n, "Z");
    return out;
}

/* -- members --------------------------------------------------------------------------- */

static struct str view(const struct buf *b)
{
    return (struct str){b->p ? b->p : "", b->n};
}

static void put_count(struct json_out *w, const char *name, uint64_t n)
{
    if (!n)
        return;
    json_out_key(w, name);
    json_out_int(w, (int64_t)n);
}

void ollama_usage(struct json_out *w, const struct gate_usage *u)
{
    if (!u)
        return;
    put_count(w, "total_duration", u->total_ns);
    put_count(w, "load_duration", u->load_ns);
    put_count(w, "prompt_eval_count", (uint64_t)u->n_prompt);
    put_count(w, "prompt_eval_duration", u->prompt_ns);
    put_count(w, "eval_count", (uint64_t)u->n_output);
    put_count(w, "eval_duration", u->output_ns);
    put_count(w, "prompt_cached_count", (uint64_t)u->n_cached);
    if (!u->n_dropped && !u->n_dropped_messages)
        return;
    json_out_key(w, "truncated");
    json_out_bool(w, 1);
    json_out_key(w, "tokens_dropped");
    json_out_int(w, u->n_dropped);
    json_out_key(w, "messages_dropped");
    json_out_int(w, u->n_dropped_messages);
}

static void put_head(struct json_out *w, const struct ollama_answer *a)
{
    char when[OLLAMA_TIME];

    json_out_open(w, '{');
    json_out_key(w, "model");
    json_out_str(w, a->model);
    json_out_key(w, "created_at");
    json_out_str(w, ollama_time((int64_t)clock_read(CLOCK_REALTIME), when));
}

/* What was said, in the shape of the route. */
static void put_said(struct json_out *w, const struct ollama_answer *a, struct str content,
                     struct str thinking)
{
    if (a->wish.chat) {
        json_out_key(w, "message");
        json_out_open(w, '{');
        json_out_key(w, "role");
        json_out_str(w, "assistant");
    }
    json_out_key(w, a->wish.chat ? "content" : "response");
    json_out_text(w, content);
    if (thinking.n) {
        json_out_key(w, "thinking");
        json_out_text(w, thinking);
    }
    if (a->calls.n) {
        json_out_key(w, "tool_calls");
        json_out_open(w, '[');
        json_out_raw(w, view(&a->calls));
        json_out_close(w, ']');
    }
    if (a->wish.chat)
        json_out_close(w, '}');
}

static void put_done(struct json_out *w, int done)
{
    json_out_key(w, "done");
    json_out_bool(w, done);
}

static void put_logprobs(struct json_out *w, const struct ollama_answer *a)
{
    if (!a->logprobs.n)
        return;
    json_out_key(w, "logprobs");
    json_out_open(w, '[');
    json_out_raw(w, view(&a->logprobs));
    json_out_close(w, ']');
}

/* -- tokens ---------------------------------------------------------------------------- */

static void put_token(struct json_out *w, const struct gate_token *t, int top)
{
    json_out_open(w, '{');
    json_out_key(w, "token");
    json_out_text(w, t->text);
    json_out_key(w, "logprob");
    json_out_float(w, t->logprob);
    json_out_key(w, "bytes");
    json_out_open(w, '[');
    for (size_t i = 0; i < t->text.n; i++)
        json_out_int(w, (unsigned char)t->text.p[i]);
    json_out_close(w, ']');
    if (top && t->n_top) {
        json_out_key(w, "top_logprobs");
        json_out_open(w, '[');
        for (size_t i = 0; i < t->n_top; i++)
            put_token(w, &t->top[i], 0);
        json_out_close(w, ']');
    }
    json_out_close(w, '}');
}

static int add_tokens(struct ollama_answer *a, const struct gate_event *ev)
{
    struct json_out w;

    json_out_init(&w, &a->logprobs);
    w.comma = a->logprobs.n > 0;
    for (size_t i = 0; i < ev->n_token; i++)
        put_token(&w, &ev->token[i], 1);
    return json_out_end(&w);
}

/* -- lines ----------------------------------------------------------------------------- */

static int line(struct ollama_answer *a, struct str content, struct str thinking,
                struct buf *out)
{
    struct json_out w;
    int rc;

    json_out_init(&w, out);
    put_head(&w, a);
    put_said(&w, a, content, thinking);
    put_done(&w, 0);
    put_logprobs(&w, a);
    json_out_close(&w, '}');
    rc = json_out_end(&w);
    buf_clear(&a->calls);
    buf_clear(&a->logprobs);
    return rc < 0 ? rc : buf_byte(out, '\n');
}

static int add_text(struct ollama_answer *a, const struct gate_event *ev, struct buf *out)
{
    static const struct str none = {"", 0};
    int thinks = ev->kind == GATE_EV_REASONING, rc = 0;

    if (!thinks && (!a->wish.stream || a->wish.history))
        rc = buf_put(&a->content, ev->text.p ? ev->text.p : "", ev->text.n);
    if (rc == 0 && thinks && !a->wish.stream)
        rc = buf_put(&a->thinking, ev->text.p, ev->text.n);
    if (rc == 0 && ev->n_token)
        rc = add_tokens(a, ev);
    if (rc < 0 || !a->wish.stream || (!ev->text.n && !a->logprobs.n))
        return rc;
    return line(a, thinks ? none : ev->text, thinks ? ev->text : none, out);
}

static int set(struct buf *b, struct str s)
{
    buf_clear(b);
    return buf_put(b, s.p ? s.p : "", s.n);
}

static int begin_call(struct ollama_answer *a, const struct gate_event *ev)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char id[16] = "call_";
    struct rng r;
    int rc = set(&a->name, ev->name);

    rng_seed(&r, rng_entropy());
    for (size_t i = 5; i < 13; i++)
        id[i] = letters[rng_u64(&r) % (sizeof(letters) - 1)];
    buf_clear(&a->arguments);
    return rc < 0 ? rc : set(&a->id, ev->id.n ? ev->id : str_of(id));
}

static int put_arguments(struct json_out *w, struct str text)
{
    struct buf flat;
    int rc;

    buf_init(&flat, ANSWER_MAX);
    rc = arguments_put(&flat, text);
    if (rc == 0)
        json_out_raw(w, view(&flat));
    buf_done(&flat);
    return rc;
}

static int put_call(struct ollama_answer *a, struct buf *out)
{
    static const struct str none = {"", 0};
    struct json_out w;
    int rc, bad;

    json_out_init(&w, &a->calls);
    w.comma = a->calls.n > 0;
    json_out_open(&w, '{');
    json_out_key(&w, "id");
    json_out_text(&w, view(&a->id));
    json_out_key(&w, "function");
    json_out_open(&w, '{');
    json_out_key(&w, "index");
    json_out_int(&w, a->n_call++);
    json_out_key(&w, "name");
    json_out_text(&w, view(&a->name));
    json_out_key(&w, "arguments");
    bad = put_arguments(&w, view(&a->arguments));
    json_out_close(&w, '}');
    json_out_close(&w, '}');
    rc = bad < 0 ? bad : json_out_end(&w);
    return rc < 0 || !a->wish.stream ? rc : line(a, none, none, out);
}

/* Clients run calls as they come: one whose arguments are not all there waits for what follows,
 * which is the end of the answer where it was cut. */
static int end_call(struct ollama_answer *a, struct buf *out)
{
    a->waits = !arguments_whole(view(&a->arguments));
    return a->waits ? 0 : put_call(a, out);
}

/* What follows a call that waits. One that was to have no arguments is a call; others are left
 * out. */
static int settle(struct ollama_answer *a, const struct gate_event *ev, struct buf *out)
{
    if (!a->waits)
        return 0;
    a->waits = 0;
    if (!a->arguments.n && (ev->kind != GATE_EV_FINISH || ev->finish == GATE_CALLS))
        return put_call(a, out);
    (void)snprintf(
        a->lacks, sizeof(a->lacks),
        "the call of '%.64s' was cut, and is left out: its arguments are not complete",
        a->name.p ? a->name.p : "");
    return 0;
}

static const char *lacks(void *ctx)
{
    const struct ollama_answer *a = ctx;

    return a->lacks[0] ? a->lacks : NULL;
}

/* -- the last object ------------------------------------------------------------------- */

static const char *reason(const struct ollama_answer *a)
{
    if (a->wish.load)
        return a->wish.load;
    return a->finish == GATE_LENGTH ? "length" : "stop";
}

static int put_context(struct json_out *w, struct ollama_answer *a)
{
    struct buf numbers;
    int rc;

    if (!a->wish.history)
        return 0;
    if (json_array_append_new(a->wish.history,
                              json_pack("{s:s, s:s%}", "role", "assistant", "content",
                                        a->content.p ? a->content.p : "", a->content.n)) != 0)
        return 0; /* not UTF-8: there is no context then */
    buf_init(&numbers, ANSWER_MAX);
    rc = ollama_context_put(&numbers, a->wish.history);
    if (rc == 0) {
        json_out_key(w, "context");
        json_out_raw(w, view(&numbers));
    }
    buf_done(&numbers);
    return rc;
}

/* A prompt as it was rendered, instead of an answer. */
static void put_debug(struct json_out *w, const struct ollama_answer *a)
{
    json_out_key(w, "_debug_info");
    json_out_open(w, '{');
    json_out_key(w, "rendered_template");
    json_out_text(w, view(&a->content));
    json_out_close(w, '}');
}

static int last(struct ollama_answer *a, const struct gate_event *ev, struct buf *out)
{
    static const struct str none = {"", 0};
    int empty = a->wish.stream || a->wish.debug || a->wish.load != NULL, rc;
    struct json_out w;

    json_out_init(&w, out);
    put_head(&w, a);
    put_said(&w, a, empty ? none : view(&a->content), empty ? none : view(&a->thinking));
    put_done(&w, 1);
    json_out_key(&w, "done_reason");
    json_out_str(&w, reason(a));
    rc = a->wish.debug ? 0 : put_context(&w, a);
    if (a->wish.debug)
        put_debug(&w, a);
    if (!a->wish.load)
        ollama_usage(&w, ev->usage);
    put_logprobs(&w, a);
    json_out_close(&w, '}');
    if (rc == 0)
        rc = json_out_end(&w);
    return rc < 0 || !a->wish.stream ? rc : buf_byte(out, '\n');
}

static int on_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct ollama_answer *a = ctx;
    int rc = settle(a, ev, out);

    if (rc < 0)
        return rc;
    switch (ev->kind) {
    case GATE_EV_REASONING:
    case GATE_EV_CONTENT:
        return add_text(a, ev, out);
    case GATE_EV_CALL:
        return begin_call(a, ev);
    case GATE_EV_ARGUMENTS:
        return buf_put(&a->arguments, ev->text.p ? ev->text.p : "", ev->text.n);
    case GATE_EV_CALL_END:
        return end_call(a, out);
    case GATE_EV_FINISH:
        a->finish = ev->finish;
        return 0;
    case GATE_EV_DONE:
        return last(a, ev, out);
    default:
        return 0;
    }
}

/* A line in which nothing is said. */
static int ping(void *ctx, struct buf *out)
{
    static const struct str none = {"", 0};

    return line(ctx, none, none, out);
}

static int fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    struct json_out w;
    int rc;

    (void)param;
    (void)ctx;
    json_out_init(&w, out);
    json_out_open(&w, '{');
    json_out_key(&w, "error");
    json_out_str(&w, e->msg);
    json_out_close(&w, '}');
    rc = json_out_end(&w);
    return rc < 0 ? rc : buf_byte(out, '\n');
}

const struct ask_ops ollama_answer_ops = {
    "application/x-ndjson", on_event, ping, fail, lacks, answer_free};

/* As openai_chat_out.c, in the older API's shape: logprobs are lists side by side. */
#include "serve/api/openai_text.h"

#include "base/arena.h"
#include "base/mem.h"

#include <math.h>

#define GATHER_MAX ((size_t)256 << 20) /* bytes of one text of an answer */

enum lists { TOKENS, LOGPROBS, TOP, OFFSETS, N_LIST };

static const char *const list_names[N_LIST] = {"tokens", "token_logprobs", "top_logprobs",
                                               "text_offset"};

struct text_choice {
    struct buf text;
    struct buf list[N_LIST]; /* their items */
    int64_t n_char;          /* characters before what comes next */
    int finish;
};

struct openai_text_out {
    int stream, usage, n_choice, logprobs;
    struct buf head; /* of each chunk, or of the object: all before the choices */
    struct arena mem;
    struct str *echo; /* what stands in front of each choice; NULL: nothing */
    struct text_choice *choice;
};

static void text_free(void *ctx)
{
    struct openai_text_out *o = ctx;

    for (int i = 0; o->choice && i < o->n_choice; i++) {
        buf_done(&o->choice[i].text);
        for (int k = 0; k < N_LIST; k++)
            buf_done(&o->choice[i].list[k]);
    }
    mem_free(o->choice);
    arena_done(&o->mem);
    buf_done(&o->head);
    mem_free(o);
}

/* Each prompt in front of its choices. Fails: E_NOMEM. */
static int take_echo(struct openai_text_out *o, const struct gate_request *q)
{
    o->echo = arena_calloc(&o->mem, (size_t)o->n_choice, sizeof(*o->echo));
    for (int i = 0; i < o->n_choice && o->echo; i++) {
        struct str text = q->input[i / q->n_choice].text;

        o->echo[i] = (struct str){arena_strdup(&o->mem, text), text.n};
        if (!o->echo[i].p)
            return E_NOMEM;
    }
    return o->echo ? 0 : E_NOMEM;
}

int openai_text_out_new(struct openai_text_out **out, struct openai_parse *p)
{
    struct openai_text_out *o = mem_calloc(1, sizeof(*o));

    if (!o)
        return openai_nomem(p);
    o->stream = p->in.stream;
    o->usage = p->in.stream_usage;
    o->n_choice = p->q->n_choice * (int)p->q->n_input;
    o->logprobs = p->q->n_logprobs >= 0;
    buf_init(&o->head, 16 << 10);
    arena_init(&o->mem, GATHER_MAX);
    o->choice = mem_calloc((size_t)o->n_choice, sizeof(*o->choice));
    if (!o->choice ||
        openai_put_head(&o->head, o->stream, "cmpl-", "text_completion", p->in.model) < 0 ||
        (p->in.echo && take_echo(o, p->q) < 0)) {
        text_free(o);
        return openai_nomem(p);
    }
    for (int i = 0; i < o->n_choice; i++) {
        buf_init(&o->choice[i].text, GATHER_MAX);
        for (int k = 0; k < N_LIST; k++)
            buf_init(&o->choice[i].list[k], GATHER_MAX);
    }
    *out = o;
    return 0;
}

/* -- logprobs -------------------------------------------------------------------------- */

static void put_logprob(struct json_out *w, float x)
{
    json_out_float(w, isfinite(x) ? x : -9999.0f);
}

/* {"text": logprob, ...}; of tokens that look alike the best. */
static void put_top(struct json_out *w, const struct gate_token *t)
{
    json_out_open(w, '{');
    for (size_t i = 0; i < t->n_top; i++) {
        size_t k = 0;

        while (k < i && !str_eq(t->top[k].text, t->top[i].text))
            k++;
        if (k < i)
            continue;
        json_out_text(w, t->top[i].text);
        if (w->rc == 0)
            w->rc = buf_byte(w->out, ':');
        w->comma = 0;
        put_logprob(w, t->top[i].logprob);
    }
    json_out_close(w, '}');
}

static int add_token(struct text_choice *c, const struct gate_token *t)
{
    struct json_out w[N_LIST];
    int rc = 0;

    for (int k = 0; k < N_LIST; k++) {
        json_out_init(&w[k], &c->list[k]);
        w[k].comma = c->list[k].n > 0;
    }
    json_out_text(&w[TOKENS], t->text);
    put_logprob(&w[LOGPROBS], t->logprob);
    put_top(&w[TOP], t);
    json_out_int(&w[OFFSETS], c->n_char);
    for (size_t i = 0; i < t->text.n; i++)
        c->n_char += ((unsigned char)t->text.p[i] & 0xc0) != 0x80; /* characters begin so */
    for (int k = 0; k < N_LIST && rc == 0; k++)
        rc = json_out_end(&w[k]);
    return rc;
}

static void put_lists(struct json_out *w, const struct text_choice *c)
{
    json_out_open(w, '{');
    for (int k = 0; k < N_LIST; k++) {
        json_out_key(w, list_names[k]);
        json_out_open(w, '[');
        if (c->list[k].n)
            json_out_raw(w, (struct str){c->list[k].p, c->list[k].n});
        json_out_close(w, ']');
    }
    json_out_close(w, '}');
}

/* -- choices --------------------------------------------------------------------------- */

static void put_choice(struct json_out *w, const struct openai_text_out *o, int i,
                       struct str text, const char *finish)
{
    const struct text_choice *c = &o->choice[i];

    json_out_open(w, '{');
    json_out_key(w, "text");
    json_out_text(w, text);
    json_out_key(w, "index");
    json_out_int(w, i);
    json_out_key(w, "logprobs");
    if (o->logprobs && (c->list[TOKENS].n || !o->stream))
        put_lists(w, c);
    else
        json_out_null(w);
    json_out_key(w, "finish_reason");
    json_out_str(w, finish);
    json_out_close(w, '}');
}

static int chunk(const struct openai_text_out *o, int i, struct str text, const char *finish,
                 struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    json_out_raw(&w, (struct str){o->head.p, o->head.n});
    w.comma = 0;
    put_choice(&w, o, i, text, finish);
    json_out_close(&w, ']');
    if (o->usage) {
        json_out_key(&w, "usage");
        json_out_null(&w);
    }
    w.comma = 0;
    json_out_raw(&w, str_of("}\n\n"));
    return json_out_end(&w);
}

/* What comes behind the choices: of a stream's last chunk, or of the object. */
static void put_end(struct json_out *w, const struct gate_usage *u)
{
    json_out_close(w, ']');
    json_out_key(w, "usage");
    openai_put_usage(w, u);
    json_out_key(w, "timings");
    openai_put_timings(w, u);
    json_out_close(w, '}');
}

static int done(const struct openai_text_out *o, const struct gate_usage *u, struct buf *out)
{
    struct json_out w;

    json_out_init(&w, out);
    if (!o->stream || o->usage) {
        json_out_raw(&w, (struct str){o->head.p, o->head.n});
        w.comma = 0;
        for (int i = 0; i < o->n_choice && !o->stream; i++)
            put_choice(&w, o, i, (struct str){o->choice[i].text.p, o->choice[i].text.n},
                       openai_finish(o->choice[i].finish));
        put_end(&w, u);
    }
    w.comma = 0;
    if (o->stream)
        json_out_raw(&w, str_of(o->usage ? "\n\ndata: [DONE]\n\n" : "data: [DONE]\n\n"));
    return json_out_end(&w);
}

/* -- ops ------------------------------------------------------------------------------- */

static int begin(struct openai_text_out *o, struct buf *out)
{
    int rc = 0;

    for (int i = 0; i < o->n_choice && rc == 0 && o->echo; i++) {
        struct str text = o->echo[i];

        for (size_t k = 0; k < text.n; k++)
            o->choice[i].n_char += ((unsigned char)text.p[k] & 0xc0) != 0x80;
        rc = o->stream ? chunk(o, i, text, NULL, out)
                       : buf_put(&o->choice[i].text, text.p, text.n);
    }
    return rc;
}

static int more(struct openai_text_out *o, const struct gate_event *ev, struct buf *out)
{
    struct text_choice *c = &o->choice[ev->choice];
    int rc = 0;

    for (int k = 0; k < N_LIST && o->stream; k++)
        buf_clear(&c->list[k]);
    for (size_t i = 0; i < ev->n_token && rc == 0 && o->logprobs; i++)
        rc = add_token(c, &ev->token[i]);
    if (rc < 0)
        return rc;
    return o->stream ? chunk(o, ev->choice, ev->text, NULL, out)
                     : buf_put(&c->text, ev->text.p, ev->text.n);
}

static int text_event(void *ctx, const struct gate_event *ev, struct buf *out)
{
    struct openai_text_out *o = ctx;

    switch (ev->kind) {
    case GATE_EV_START:
        return begin(o, out);
    case GATE_EV_REASONING:
    case GATE_EV_CONTENT:
        return more(o, ev, out);
    case GATE_EV_FINISH:
        o->choice[ev->choice].finish = ev->finish;
        for (int k = 0; k < N_LIST && o->stream; k++)
            buf_clear(&o->choice[ev->choice].list[k]);
        return o->stream ? chunk(o, ev->choice, str_of(""), openai_finish(ev->finish), out) : 0;
    case GATE_EV_DONE:
        return done(o, ev->usage, out);
    default:
        return 0;
    }
}

static int text_fail(void *ctx, const struct err *e, const char *param, struct buf *out)
{
    (void)ctx;
    return openai_put_failure(out, e, param);
}

const struct ask_ops openai_text_ops = {
    .stream_type = "text/event-stream; charset=utf-8",
    .event = text_event,
    .ping = openai_ping,
    .fail = text_fail,
    .free = text_free,
};

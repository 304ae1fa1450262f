/* local_answer.c - one choice of an answer: from what a job says to what the client hears.
 *
 * What one token brings is gathered and said at once. A call is passed on while it comes only
 * when a grammar holds the answer to it, so that it is certain; otherwise it waits until it is
 * whole, since it may still turn out to be text.
 */
#include "serve/local_answer.h"

#include "base/rng.h"
#include "base/utf8.h"

/* -- saying ---------------------------------------------------------------------------- */

static int say(struct local_answer *a, struct gate_event *ev)
{
    int says;

    ev->choice = a->index;
    (void)local_say_start(a->c);
    says = local_say(a->c, ev);
    if (says != GATE_MORE && a->says != GATE_STOP_NOW)
        a->says = says;
    return says;
}

/* Text as well-formed UTF-8. */
static int clean(struct local_answer *a, struct str text)
{
    buf_clear(&a->clean);
    return utf8_mend(&a->clean, text.p, text.n);
}

/* Says the text that waits, as far as it is ready; all: to its end. */
static int flush(struct local_answer *a, int all)
{
    struct gate_event ev = {.kind = a->kind, .call = a->n_call};
    struct local_tokens *t = &a->tokens;
    size_t n, n_token;
    int rc;

    if (!t->text.n)
        return 0;
    n = local_tokens_ready(t, all, &n_token);
    if (!all)
        n = utf8_whole(t->text.p, n);
    if (!n)
        return 0;
    rc = clean(a, (struct str){t->text.p, n});
    if (rc < 0)
        return rc;
    ev.text = (struct str){a->clean.p, a->clean.n};
    ev.token = t->wanted ? t->token : NULL;
    ev.n_token = n_token;
    (void)say(a, &ev);
    local_tokens_shown(t, n, n_token);
    return 0;
}

static int on_text(struct local_answer *a, int kind, struct str text)
{
    int rc = 0;

    if (a->enough)
        return 0;
    if (kind != a->kind)
        rc = flush(a, 1);
    a->kind = kind;
    return rc < 0 ? rc : local_tokens_text(&a->tokens, text);
}

/* -- calls ----------------------------------------------------------------------------- */

static int keep(struct buf *b, struct str s)
{
    buf_clear(b);
    return buf_put(b, s.p ? s.p : "", s.n);
}

/* The id that the format carries, or one of our own. */
static int id_of(struct local_answer *a, struct str id)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint64_t x = rng_entropy();
    int rc;

    if (id.n)
        return keep(&a->id, id);
    if (a->id.n)
        return 0;
    rc = keep(&a->id, str_of("call_"));
    for (int i = 0; i < 12 && rc == 0; i++, x /= 36)
        rc = buf_byte(&a->id, digits[x % 36]);
    return rc;
}

static void say_call(struct local_answer *a)
{
    struct gate_event ev = {.kind = GATE_EV_CALL, .call = a->n_call};

    ev.name = (struct str){a->name.p, a->name.n};
    ev.id = (struct str){a->id.p, a->id.n};
    (void)say(a, &ev);
}

static int on_call(struct local_answer *a, const struct reply_event *ev)
{
    int rc = flush(a, 1);

    buf_clear(&a->arguments);
    buf_clear(&a->id);
    if (rc == 0)
        rc = keep(&a->name, ev->name);
    if (rc == 0 && ev->id.n)
        rc = keep(&a->id, ev->id);
    a->in_call = 1;
    if (rc < 0 || !a->certain || a->enough)
        return rc;
    rc = id_of(a, ev->id);
    if (rc == 0)
        say_call(a);
    return rc;
}

static int on_arguments(struct local_answer *a, struct str text)
{
    return a->certain ? on_text(a, GATE_EV_ARGUMENTS, text)
                      : buf_put(&a->arguments, text.p, text.n);
}

/* Says the call that waited until it was whole. */
static int say_whole(struct local_answer *a, struct str id)
{
    int rc = id_of(a, id);

    if (rc < 0)
        return rc;
    say_call(a);
    return on_text(a, GATE_EV_ARGUMENTS, (struct str){a->arguments.p, a->arguments.n});
}

static int on_call_end(struct local_answer *a, struct str id)
{
    struct gate_event ev = {.kind = GATE_EV_CALL_END, .call = a->n_call};
    int rc = 0;

    a->in_call = 0;
    if (a->enough)
        return 0;
    if (!a->certain)
        rc = say_whole(a, id);
    if (rc == 0)
        rc = flush(a, 1);
    if (rc < 0)
        return rc;
    (void)say(a, &ev);
    a->n_call++;
    a->enough = a->c->q->one_call;
    return 0;
}

int local_on_reply(void *ctx, const struct reply_event *ev)
{
    struct local_answer *a = ctx;

    switch (ev->kind) {
    case REPLY_REASONING:
        return on_text(a, GATE_EV_REASONING, ev->text);
    case REPLY_CONTENT:
        return on_text(a, GATE_EV_CONTENT, ev->text);
    case REPLY_CALL:
        return on_call(a, ev);
    case REPLY_ARGUMENTS:
        return on_arguments(a, ev->text);
    case REPLY_CALL_END:
        return on_call_end(a, ev->id);
    default: /* it was no call: its text follows */
        a->in_call = 0;
        return a->certain ? E_INTERNAL : 0;
    }
}

/* Words for what went wrong where there was no place for them. */
static int lost(int rc, struct err *e)
{
    if (e->code)
        return rc;
    return rc == E_INTERNAL ? err_set(e, rc, "what a grammar held to a call is none")
                            : err_set(e, rc, "no memory for the answer");
}

/* -- events of the job ----------------------------------------------------------------- */

static int on_piece(struct local_answer *a, const struct hearth_piece *p, struct err *e)
{
    struct str text = {p->text, p->n_text}, bytes = {"", 0};
    int thought = a->reply && reply_in_reasoning(a->reply), rc = 0;

    if (p->id >= 0) {
        a->n_output++;
        if (a->tok && !(a->hidden && a->hidden[p->id / 32] >> (p->id % 32) & 1))
            bytes = tok_piece(a->tok, p->id, a->show_control);
        rc = local_tokens_put(&a->tokens, a->tok, p, bytes);
    }
    if (rc == 0 && text.n && a->reply)
        rc = reply_put(a->reply, text.p, text.n, e);
    else if (rc == 0 && text.n)
        rc = on_text(a, GATE_EV_CONTENT, text);
    if (p->id >= 0 && a->reply && (thought || reply_in_reasoning(a->reply)))
        a->n_reasoning++;
    if (rc == 0)
        rc = flush(a, 0);
    return rc < 0 ? lost(rc, e) : rc;
}

static int finish_of(const struct local_answer *a, const struct hearth_stats *st)
{
    if (st->finish == HEARTH_FINISH_LENGTH)
        return GATE_LENGTH;
    if (a->n_call && !a->cut)
        return GATE_CALLS;
    return st->finish == HEARTH_FINISH_STOP ? GATE_STOP : GATE_END;
}

/* What a choice took becomes part of the whole. */
static void add_usage(struct local_answer *a, const struct hearth_stats *st)
{
    struct gate_usage *all = &a->c->usage, *u = &a->usage;

    *u = *all;
    u->n_output = a->n_output;
    u->n_reasoning = a->n_reasoning;
    u->n_drafted = st->n_drafted;
    u->n_accepted = st->n_accepted;
    u->prompt_ns = st->prompt_ns;
    u->output_ns = st->output_ns;
    all->n_output += u->n_output;
    all->n_reasoning += u->n_reasoning;
    all->n_drafted += u->n_drafted;
    all->n_accepted += u->n_accepted;
    all->prompt_ns = u->prompt_ns > all->prompt_ns ? u->prompt_ns : all->prompt_ns;
    all->output_ns = u->output_ns > all->output_ns ? u->output_ns : all->output_ns;
}

/* The answer's last words. */
static int finish(struct local_answer *a, const struct hearth_stats *st, const char *stop,
                  struct err *e)
{
    struct gate_event ev = {.kind = GATE_EV_FINISH};
    int cut =
        st->finish != HEARTH_FINISH_EOG && (a->in_call || st->finish != HEARTH_FINISH_STOP);
    int rc = a->reply ? reply_end(a->reply, cut, e) : 0;

    if (rc == 0)
        rc = flush(a, 1);
    /* Who began to hear of a call hears of its end, also where the text was cut within it. */
    a->cut = a->in_call;
    if (rc == 0 && a->in_call && a->certain)
        rc = on_call_end(a, (struct str){NULL, 0});
    if (rc < 0)
        return lost(rc, e);
    add_usage(a, st);
    if (stop)
        ev.stop = str_of(stop);
    ev.usage = &a->usage;
    ev.finish = finish_of(a, st);
    (void)say(a, &ev);
    return 0;
}

static void waiting(struct local_answer *a, int kind, int64_t n)
{
    struct gate_event ev = {.kind = kind, .n = n, .usage = &a->c->usage};

    if (a->index == 0)
        (void)local_say(a->c, &ev);
}

static void begins(struct local_answer *a, const struct sched_event *ev)
{
    struct gate_usage *u = &a->c->usage;

    if (a->index)
        return;
    u->n_cached = ev->n_reused;
    u->queue_ns = ev->queue_ns;
}

/* What a form runs out of while it is followed is no matter of the context's length. */
static void fail_of(struct local_answer *a, const struct err *why)
{
    struct gate_request *q = a->c->q;
    const char *field = q->field[q->form == GATE_ANY ? GATE_F_TOOLS : GATE_F_FORM];
    struct err e = *why;

    if (!a->guide || e.code != E_TOO_LONG) {
        local_fail(a->c, why);
        return;
    }
    (void)err_wrap(&e, E_INVALID, "%s", field);
    local_fail_param(a->c, &e, field);
}

static void ends(struct local_answer *a, const struct sched_event *ev)
{
    struct local_call *c = a->c;
    const char *stop = NULL;
    struct err e = {0};

    if (ev->kind == SCHED_DONE && ev->stop >= 0)
        stop = a->stop[ev->stop];
    if (ev->kind == SCHED_ERROR && a->enough && !atomic_load(&c->cancelled)) {
        struct hearth_stats st = {.finish = HEARTH_FINISH_EOG};

        if (finish(a, &st, NULL, &e) < 0)
            local_fail(c, &e);
    } else if (ev->kind == SCHED_ERROR) {
        fail_of(a, ev->err);
    } else if (finish(a, ev->stats, stop, &e) < 0) {
        local_fail(c, &e);
    }
    local_job_ended(c, (size_t)a->index);
}

int local_on_job(void *ctx, const struct sched_event *ev)
{
    struct local_answer *a = ctx;
    struct err e = {0};

    a->says = GATE_MORE;
    switch (ev->kind) {
    case SCHED_QUEUED:
        waiting(a, GATE_EV_QUEUED, ev->n);
        break;
    case SCHED_START:
        begins(a, ev);
        break;
    case SCHED_PREFILL:
        waiting(a, GATE_EV_PREFILL, ev->n);
        break;
    case SCHED_PIECE:
        if (on_piece(a, ev->piece, &e) < 0) {
            local_fail(a->c, &e);
            return -1;
        }
        if (a->enough)
            return -1;
        break;
    default:
        ends(a, ev);
        return 0;
    }
    return a->says;
}

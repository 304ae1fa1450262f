#include "text/reply/reply.h"

#include "base/mem.h"
#include "text/reply/reply_priv.h"

enum { OUT_AHEAD = 1 << 14 /* bytes that are passed on before a put ends */ };

#define AT(where)  (1u << (where))
#define IN_CONTENT (AT(REPLY_AT_START) | AT(REPLY_AT_TEXT))

static int blank_char(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* -- passing on -------------------------------------------------------------------------- */

static void flush(struct reply *r)
{
    struct reply_event ev = {.kind = r->out_kind, .text = {r->out.p, r->out.n}};

    if (!r->out.n)
        return;
    if (ev.kind == REPLY_ARGUMENTS)
        ev.call = r->n_calls - 1;
    r->out.n = 0;
    if (!r->rc)
        r->rc = r->sink(r->ctx, &ev);
}

void reply_keep(struct reply *r, int rc)
{
    if (rc && !r->rc)
        r->rc = rc;
}

struct buf *reply_out(struct reply *r, int kind)
{
    if (r->out_kind != kind || r->out.n > OUT_AHEAD)
        flush(r);
    r->out_kind = kind;
    return &r->out;
}

void reply_say(struct reply *r, int kind, const char *p, size_t n)
{
    if (!n)
        return;
    if (kind == REPLY_CONTENT)
        r->said = 1;
    reply_keep(r, buf_put(reply_out(r, kind), p, n));
}

void reply_event(struct reply *r, int kind, struct str name, struct str id)
{
    struct reply_event ev = {.kind = kind, .call = r->n_calls - 1, .name = name, .id = id};

    flush(r);
    if (!r->rc)
        r->rc = r->sink(r->ctx, &ev);
}

static int kind_at(int where)
{
    return where == REPLY_AT_THINK ? REPLY_REASONING : REPLY_CONTENT;
}

/* -- blanks and ends of turns, which wait for what follows ------------------------------- */

static void drop_blank(struct reply *r)
{
    r->blank.n = 0;
    r->ended = r->content = 0;
}

static void say_blank(struct reply *r, int kind)
{
    reply_say(r, kind, r->blank.p, r->blank.n);
    drop_blank(r);
}

/* A marker follows: blanks before it are not part of the text; a turn's end that was none is.
 */
static void blank_before_marker(struct reply *r)
{
    if (r->ended)
        reply_say(r, kind_at(r->where), r->blank.p, r->ended);
    drop_blank(r);
}

static void hold_back(struct reply *r, struct str s)
{
    reply_keep(r, buf_put(&r->blank, s.p, s.n));
}

/* -- the flow of text -------------------------------------------------------------------- */

/* The first byte of hold is text. */
static void pass_byte(struct reply *r)
{
    int kind = kind_at(r->where);

    if (r->where == REPLY_AT_START) {
        if (!r->said && !r->ended)
            drop_blank(r);
        r->where = REPLY_AT_TEXT;
    }
    say_blank(r, kind);
    reply_say(r, kind, r->hold.p, 1);
    r->skip_nl = 0;
    r->began = 1;
    buf_shift(&r->hold, 1);
}

void reply_leave(struct reply *r, int where)
{
    r->where = where;
    r->skip_nl = where == REPLY_AT_THINK;
    r->began = 1;
}

static void take(struct reply *r, const struct reply_mark *m)
{
    switch (m->kind) {
    case REPLY_M_END:
        if (!r->ended)
            r->content = r->blank.n;
        hold_back(r, m->text);
        r->ended = r->blank.n;
        break;
    case REPLY_M_OPEN:
        blank_before_marker(r);
        reply_leave(r, REPLY_AT_THINK);
        break;
    case REPLY_M_CLOSE:
        blank_before_marker(r);
        reply_leave(r, REPLY_AT_START);
        break;
    default:
        if (m->step->act != REPLY_DROP) {
            reply_call_enter(r, m->step, r->where);
            return; /* it took the marker itself */
        }
        blank_before_marker(r);
        reply_leave(r, REPLY_AT_START);
    }
    buf_shift(&r->hold, m->text.n);
}

/* The longest marker that hold begins with; 0: it may become one; NULL and 1: none. */
static int match(const struct reply *r, const struct reply_mark **out)
{
    *out = NULL;
    if (!(r->first_byte[(unsigned char)r->hold.p[0]] & AT(r->where)))
        return 1;
    for (int i = 0; i < r->n_marks; i++) {
        const struct reply_mark *m = &r->marks[i];
        size_t n = m->text.n < r->hold.n ? m->text.n : r->hold.n;

        if (!(m->where & AT(r->where)) || memcmp(m->text.p, r->hold.p, n) != 0 ||
            (r->ended && m->kind == REPLY_M_STEP && m->where == AT(REPLY_AT_START)))
            continue;
        if (m->text.n > r->hold.n)
            return 0;
        if (!*out || (*out)->text.n < m->text.n)
            *out = m;
    }
    return 1;
}

/* A byte that is only held back: blanks, of which reasoning keeps all but the last newline. */
static int wait_blank(struct reply *r)
{
    struct str c = {r->hold.p, 1};

    if (r->hold.n != 1 || !blank_char(*c.p))
        return 0;
    if (r->where == REPLY_AT_THINK && !r->ended) {
        if (*c.p != '\n')
            return 0;
        if (!r->skip_nl) {
            say_blank(r, REPLY_REASONING);
            hold_back(r, c);
        }
        r->skip_nl = 0;
    } else {
        hold_back(r, c);
    }
    buf_shift(&r->hold, 1);
    return 1;
}

/* Markers that are words ("Action:") may be the beginning of others. */
int reply_is_markup(const struct buf *b)
{
    size_t i = 0;

    while (i < b->n && blank_char(b->p[i]))
        i++;
    return i < b->n && (b->p[i] == '<' || b->p[i] == '[');
}

/* One decision about what is held; 0: it needs more. */
static int run_text(struct reply *r, int final)
{
    const struct reply_step *s = NULL;
    const struct reply_mark *m;
    int half;

    if (wait_blank(r))
        return 1;
    half = !match(r, &m);
    if (half && !final)
        return 0;
    if (half && !m && r->cut && reply_is_markup(&r->hold)) {
        blank_before_marker(r);
        r->hold.n = 0;
        return 1;
    }
    if (m) {
        take(r, m);
        return 1;
    }
    if (r->where == REPLY_AT_START && !r->began && !final)
        s = reply_call_nothing(r, r->format ? r->format->start : 0);
    if (s) {
        r->began = 1;
        reply_call_enter(r, s, REPLY_AT_TEXT);
        return 1;
    }
    pass_byte(r);
    return 1;
}

static void run(struct reply *r, int final)
{
    while (r->hold.n && !r->rc) {
        int more = r->where == REPLY_AT_CALL ? reply_call_run(r, final) : run_text(r, final);

        if (!more)
            return;
    }
}

/* -- the beginning and the end ----------------------------------------------------------- */

static void add_mark(struct reply *r, const char *text, int kind, unsigned where,
                     const struct reply_step *s)
{
    if (!text || !text[0] || r->n_marks == REPLY_MARKS_MAX)
        return;
    r->marks[r->n_marks++] = (struct reply_mark){str_of(text), kind, where, s};
    r->first_byte[(unsigned char)text[0]] |= (unsigned char)where;
}

static void add_marks(struct reply *r)
{
    const struct reply_format *f = r->format;
    const char *open = r->style.think_open, *close = r->style.think_close;

    for (int i = 0; f && i < f->n_steps; i++) {
        const struct reply_step *s = &f->steps[i];

        if (f->start && s->at == f->start)
            add_mark(r, s->lit, REPLY_M_STEP, AT(REPLY_AT_START), s);
        else if (s->at == 0)
            add_mark(r, s->lit, REPLY_M_STEP,
                     IN_CONTENT | (s->act == REPLY_DROP ? 0 : AT(REPLY_AT_THINK)), s);
    }
    if (f && f->think[0] && !close[0]) {
        open = f->think[0];
        close = f->think[1];
    }
    add_mark(r, open, REPLY_M_OPEN, IN_CONTENT, NULL);
    add_mark(r, close, REPLY_M_CLOSE, AT(REPLY_AT_START) | AT(REPLY_AT_THINK), NULL);
    add_mark(r, f ? f->end : NULL, REPLY_M_END, IN_CONTENT | AT(REPLY_AT_THINK), NULL);
    for (int i = 0; reply_ends[i]; i++)
        add_mark(r, reply_ends[i], REPLY_M_END, IN_CONTENT | AT(REPLY_AT_THINK), NULL);
}

int reply_new(struct reply **out, const struct reply_style *style, const json_t *tools,
              int open, reply_sink *sink, void *ctx, struct err *e)
{
    struct reply *r = mem_calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_set(e, E_NOMEM, "reading a reply: no memory");
    r->format = style->format;
    r->style = *style;
    r->sink = sink;
    r->ctx = ctx;
    r->verbatim = !style->format && !style->think_close[0];
    buf_init(&r->hold, 4096);
    buf_init(&r->blank, REPLY_CALL_MAX);
    buf_init(&r->out, (size_t)-1 >> 1);
    buf_init(&r->raw, REPLY_CALL_MAX);
    buf_init(&r->lex, REPLY_CALL_MAX);
    buf_init(&r->held, REPLY_CALL_MAX);
    buf_init(&r->param.key, REPLY_NAME_MAX);
    buf_init(&r->param.value, REPLY_CALL_MAX);
    buf_init(&r->id, REPLY_NAME_MAX);
    add_marks(r);
    if (open)
        reply_leave(r, REPLY_AT_THINK);
    rc = reply_tools_init(&r->tools, tools, e);
    if (rc) {
        reply_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void reply_guided(struct reply *r, int whole)
{
    const char *closing = r->format ? r->format->closing : NULL;

    r->guided = 1;
    for (int i = 0; i < r->n_marks; i++) {
        struct reply_mark *m = &r->marks[i];

        if (m->kind == REPLY_M_STEP)
            m->where &= ~AT(REPLY_AT_THINK);
        /* It ends content, but within it it is text. */
        if (whole && closing && str_is(m->text, closing))
            m->kind = REPLY_M_END;
        if (whole && m->kind != REPLY_M_END)
            m->where &= ~AT(REPLY_AT_TEXT);
    }
}

void reply_free(struct reply *r)
{
    if (!r)
        return;
    reply_tools_done(&r->tools);
    buf_done(&r->hold);
    buf_done(&r->blank);
    buf_done(&r->out);
    buf_done(&r->raw);
    buf_done(&r->lex);
    buf_done(&r->held);
    buf_done(&r->param.key);
    buf_done(&r->param.value);
    buf_done(&r->id);
    mem_free(r);
}

static int result(struct reply *r, struct err *e)
{
    flush(r);
    if (r->rc == E_TOO_LONG)
        return err_set(e, r->rc,
                       "the model wrote a call of more than %d MiB, or more than %d "
                       "calls",
                       REPLY_CALL_MAX >> 20, REPLY_CALLS_MAX);
    if (r->rc == E_NOMEM)
        return err_set(e, r->rc, "reading a reply: no memory");
    return r->rc;
}

int reply_put(struct reply *r, const char *p, size_t n, struct err *e)
{
    if (r->verbatim) {
        reply_say(r, REPLY_CONTENT, p, n);
        return result(r, e);
    }
    for (size_t i = 0; i < n && !r->rc; i++) {
        reply_keep(r, buf_byte(&r->hold, p[i]));
        run(r, 0);
    }
    return result(r, e);
}

int reply_end(struct reply *r, int cut, struct err *e)
{
    r->cut = cut;
    run(r, 1);
    if (r->where == REPLY_AT_CALL)
        reply_call_end(r);
    /* A turn's end is dropped, and what a call or reasoning has behind it. */
    if (r->where == REPLY_AT_TEXT) {
        if (r->ended)
            r->blank.n = r->content;
        say_blank(r, REPLY_CONTENT);
    }
    drop_blank(r);
    return result(r, e);
}

int reply_calls(const struct reply *r)
{
    return r->n_calls;
}

int reply_in_reasoning(const struct reply *r)
{
    return r->where == REPLY_AT_THINK;
}

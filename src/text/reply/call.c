/* The steps of a call. */
#include "text/reply/reply_priv.h"

#include "base/utf8.h"

#define BIT(place) (1u << (unsigned)(place))

static int blank_char(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* -- between steps ----------------------------------------------------------------------- */

const struct reply_step *reply_call_nothing(const struct reply *r, int place)
{
    for (int i = 0; place && i < r->format->n_steps; i++) {
        const struct reply_step *s = &r->format->steps[i];

        if (s->at == place && !s->lit[0])
            return s;
    }
    return NULL;
}

/* What was read is no call: it is text again, in the place where it was found. */
static void broken(struct reply *r)
{
    int think = r->back == REPLY_AT_THINK;

    if (r->open) {
        reply_event(r, REPLY_CALL_BROKEN, (struct str){0}, (struct str){0});
        r->open = 0;
        r->n_calls--;
    }
    reply_say(r, think ? REPLY_REASONING : REPLY_CONTENT, r->raw.p, r->raw.n);
    r->raw.n = 0;
    r->step = NULL;
    r->where = think ? REPLY_AT_THINK : REPLY_AT_TEXT;
}

/* The text goes on behind calls; blanks that were read wait for what follows. */
static void finished(struct reply *r)
{
    reply_keep(r, buf_put(&r->blank, r->raw.p, r->raw.n));
    r->raw.n = 0;
    r->step = NULL;
    reply_leave(r, REPLY_AT_START);
}

static void arrive(struct reply *r, int place)
{
    r->step = NULL;
    r->place = place;
    if (!place || r->format->soft & BIT(place))
        r->raw.n = 0;
    if (!place)
        finished(r);
}

int reply_call_named(struct reply *r, struct str name)
{
    struct str id = {r->id.p, r->id.n};
    int i = reply_tools_find(&r->tools, name);

    if (i < 0)
        return 0;
    if (r->n_calls == REPLY_CALLS_MAX) {
        reply_keep(r, E_TOO_LONG);
        return 0;
    }
    r->tool = i;
    r->open = 1;
    r->n_calls++;
    r->n_params = 0;
    reply_event(r, REPLY_CALL, reply_tools_name(&r->tools, i), id);
    r->id.n = 0;
    return 1;
}

void reply_call_done(struct reply *r)
{
    reply_event(r, REPLY_CALL_END, (struct str){0}, (struct str){r->id.p, r->id.n});
    r->id.n = 0;
    r->open = 0;
}

/* -- what steps read --------------------------------------------------------------------- */

static struct str position_name(void *ctx, size_t i)
{
    struct reply *r = ctx;

    return reply_schema_key(reply_tools_schema(&r->tools, r->tool), i);
}

static void begin_lit(struct reply *r, int lang)
{
    struct buf *out = reply_out(r, REPLY_ARGUMENTS);

    if (lang == REPLY_PYTHON) {
        reply_lit_call(&r->lit, out, position_name, r);
    } else {
        reply_lit_init(&r->lit, lang, str_of(r->format->mark ? r->format->mark : "\""), out);
        (void)reply_lit_put(&r->lit, '{');
    }
    reply_keep(r, r->lit.fail);
}

/* The literal of a step was read. */
static void begin(struct reply *r, const struct reply_step *s)
{
    r->step = s;
    r->lex.n = 0;
    switch (s->act) {
    case REPLY_PASS:
        arrive(r, s->to);
        break;
    case REPLY_DONE:
        if (r->open) {
            reply_say(r, REPLY_ARGUMENTS, r->n_params ? "}" : "{}", r->n_params ? 1 : 2);
            reply_call_done(r);
        }
        arrive(r, s->to);
        break;
    case REPLY_ARGS:
        begin_lit(r, REPLY_JSON);
        break;
    case REPLY_CALLED:
        begin_lit(r, REPLY_PYTHON);
        break;
    case REPLY_BRACES:
        begin_lit(r, REPLY_BARE);
        break;
    case REPLY_OBJECT:
    case REPLY_STRICT:
        reply_object_begin(r, s->act == REPLY_STRICT);
        break;
    case REPLY_VALUE:
    case REPLY_LINE:
    case REPLY_STRING:
    case REPLY_DATA:
    case REPLY_NESTED:
        reply_param_begin(r);
        break;
    default:
        break;
    }
}

static int name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-./", c)) || (c & 0x80);
}

/* functions.NAME:0 */
static struct str name_of_id(struct str s)
{
    size_t n = s.n;

    while (n && s.p[n - 1] >= '0' && s.p[n - 1] <= '9')
        n--;
    if (n && n < s.n && s.p[n - 1] == ':')
        s.n = n - 1;
    return s;
}

/* An id, as UTF-8 whatever came. */
static int keep_id(struct reply *r, struct str s)
{
    int rc = 0;

    r->id.n = 0;
    for (size_t i = 0; i < s.n && rc == 0;) {
        int32_t cp;
        int n = utf8_next(s.p + i, s.n - i, &cp);

        rc = cp < 0 ? buf_str(&r->id, "\xef\xbf\xbd") : buf_put(&r->id, s.p + i, (size_t)n);
        i += (size_t)n;
    }
    return rc == 0;
}

/* What was read up to `until` is complete. */
static int complete(struct reply *r, struct str s)
{
    while (s.n && blank_char(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n && blank_char(s.p[s.n - 1]))
        s.n--;
    switch (r->step->act) {
    case REPLY_NAME:
        return reply_call_named(r, s);
    case REPLY_IDNAME:
        return keep_id(r, s) && reply_call_named(r, name_of_id(s));
    case REPLY_TAKE:
        return keep_id(r, s);
    case REPLY_KEY:
        reply_param_key(r, s);
        return 1;
    default:
        return reply_header(r, (struct str){r->raw.p, r->raw.n});
    }
}

/* A name, an id, a key or a header. */
static int read_word(struct reply *r, char c)
{
    const char *until = r->step->until;
    size_t n = until ? strlen(until) : 0;

    if (!until && !name_char(c)) {
        if (!r->lex.n && blank_char(c))
            return REPLY_MORE;
        return complete(r, (struct str){r->lex.p, r->lex.n}) ? REPLY_AGAIN : REPLY_BAD;
    }
    if (r->lex.n == REPLY_NAME_MAX || (c == '\n' && (!until || !strchr(until, '\n'))))
        return REPLY_BAD;
    reply_keep(r, buf_byte(&r->lex, c));
    if (r->rc || !until || r->lex.n < n || memcmp(r->lex.p + r->lex.n - n, until, n) != 0)
        return REPLY_MORE;
    return complete(r, (struct str){r->lex.p, r->lex.n - n}) ? REPLY_READ : REPLY_BAD;
}

static int read_lit(struct reply *r, char c)
{
    int rc;

    r->lit.out = reply_out(r, REPLY_ARGUMENTS);
    rc = reply_lit_put(&r->lit, c);
    reply_keep(r, r->lit.fail);
    if (rc == REPLY_LIT_DONE)
        reply_call_done(r);
    return rc == REPLY_LIT_MORE ? REPLY_MORE : rc == REPLY_LIT_DONE ? REPLY_READ : REPLY_BAD;
}

static int read_byte(struct reply *r, char c)
{
    switch (r->step->act) {
    case REPLY_ARGS:
    case REPLY_CALLED:
    case REPLY_BRACES:
        return read_lit(r, c);
    case REPLY_OBJECT:
    case REPLY_STRICT:
        return reply_object_put(r, c);
    case REPLY_VALUE:
    case REPLY_LINE:
    case REPLY_STRING:
    case REPLY_DATA:
    case REPLY_NESTED:
        return reply_param_put(r, c);
    default:
        return read_word(r, c);
    }
}

/* -- running ----------------------------------------------------------------------------- */

void reply_call_enter(struct reply *r, const struct reply_step *s, int back)
{
    size_t n = strlen(s->lit);

    /* Blanks before content are never part of it. */
    if (back == REPLY_AT_START && !r->said && !r->ended)
        r->blank.n = 0;
    r->raw.n = 0;
    reply_keep(r, buf_put(&r->raw, r->blank.p, r->blank.n));
    reply_keep(r, buf_put(&r->raw, s->lit, n));
    r->blank.n = 0;
    r->ended = r->content = 0;
    buf_shift(&r->hold, n);
    r->where = REPLY_AT_CALL;
    r->back = back;
    r->open = 0;
    r->id.n = 0;
    begin(r, s);
}

/* n bytes of hold belong to the call. */
static void taken(struct reply *r, size_t n)
{
    reply_keep(r, buf_put(&r->raw, r->hold.p, n));
    buf_shift(&r->hold, n);
}

/* The step whose literal hold begins with: the longest. 0: hold may become one. */
static int find_step(const struct reply *r, const struct reply_step **out)
{
    size_t best = 0;

    *out = NULL;
    for (int i = 0; i < r->format->n_steps; i++) {
        const struct reply_step *s = &r->format->steps[i];
        size_t n = strlen(s->lit), m = n < r->hold.n ? n : r->hold.n;

        if (s->at != r->place || !n || memcmp(s->lit, r->hold.p, m) != 0)
            continue;
        if (n > r->hold.n)
            return 0;
        if (n > best) {
            best = n;
            *out = s;
        }
    }
    return 1;
}

static int between_steps(struct reply *r, int final)
{
    const struct reply_step *nothing = reply_call_nothing(r, r->place), *s;
    int half;

    if (!nothing && r->hold.n == 1 && blank_char(r->hold.p[0])) {
        taken(r, 1);
        return 1;
    }
    half = !find_step(r, &s);
    if (half && !final)
        return 0;
    if (half && !s && r->cut && (r->open || reply_is_markup(&r->hold))) {
        taken(r, r->hold.n);
        return 1;
    }
    if (s)
        taken(r, strlen(s->lit));
    else
        s = nothing;
    if (s)
        begin(r, s);
    else if (r->format->soft & BIT(r->place))
        finished(r);
    else
        broken(r);
    return 1;
}

int reply_call_run(struct reply *r, int final)
{
    const struct reply_step *s = r->step;
    int rc;

    if (!s)
        return between_steps(r, final);
    rc = read_byte(r, r->hold.p[0]);
    if (rc == REPLY_MORE || rc == REPLY_READ)
        taken(r, 1);
    if (rc == REPLY_BAD)
        broken(r);
    else if (rc != REPLY_MORE && r->step == s && r->where == REPLY_AT_CALL)
        arrive(r, s->to);
    return 1;
}

/* A call that was cut before it has a name, where calls may be. */
static int half_call(const struct reply *r)
{
    return json_array_size(r->tools.tools) > 0 && reply_is_markup(&r->raw);
}

void reply_call_end(struct reply *r)
{
    if (r->step && (r->step->act == REPLY_OBJECT || r->step->act == REPLY_STRICT) &&
        reply_object_end(r)) {
        r->raw.n = 0;
        finished(r);
    } else if (!r->step && r->format->soft & BIT(r->place)) {
        finished(r);
    } else if (!r->step && r->format->may_end & BIT(r->place) && !r->cut && r->open) {
        reply_say(r, REPLY_ARGUMENTS, r->n_params ? "}" : "{}", r->n_params ? 1 : 2);
        reply_call_done(r);
        r->raw.n = 0;
        finished(r);
    } else if (!r->cut || (!r->open && !half_call(r))) {
        broken(r);
    }
}

/* Parameters whose values stand between markers: text as it is, or JSON, as the tool's schema
 * says. Only the exact marker ends a value. */
#include "text/reply/reply_priv.h"

/* An argument's name in front of its value. */
void reply_param_key(struct reply *r, struct str key)
{
    r->param.key.n = 0;
    reply_keep(r, buf_put(&r->param.key, key.p, key.n));
}

static void say_key(struct reply *r)
{
    struct buf *out = reply_out(r, REPLY_ARGUMENTS);
    struct reply_lit l;

    reply_keep(r, buf_str(out, r->n_params++ ? ", \"" : "{\""));
    reply_lit_init(&l, REPLY_JSON, (struct str){0}, out);
    for (size_t i = 0; i < r->param.key.n; i++)
        reply_lit_byte(&l, r->param.key.p[i]);
    reply_lit_bytes_end(&l);
    reply_keep(r, l.fail);
    reply_keep(r, buf_str(out, "\": "));
}

void reply_param_begin(struct reply *r)
{
    struct reply_param *p = &r->param;
    const char *until = r->step->until;
    int act = r->step->act;

    if (!r->open)
        return;
    p->schema = reply_schema_of(reply_tools_schema(&r->tools, r->tool),
                                (struct str){p->key.p, p->key.n});
    p->stream = act == REPLY_STRING ||
                (act != REPLY_DATA && reply_schema_types(p->schema) == REPLY_T_STRING);
    p->first = 1;
    p->quoted = 0;
    p->value.n = 0;
    p->until[0] = '\n';
    if (act == REPLY_NESTED)
        (void)snprintf(p->until + 1, sizeof(p->until) - 1, "%s%.*s>", until, (int)p->key.n,
                       p->key.p);
    else
        (void)snprintf(p->until + 1, sizeof(p->until) - 1, "%s", until);
    p->end[0] = str_of(p->until + 1);
    p->end[1] = str_of(p->until);
    p->n_end = act == REPLY_LINE ? 2 : 1;
    say_key(r);
    reply_lit_init(&r->lit, REPLY_JSON, (struct str){0}, reply_out(r, REPLY_ARGUMENTS));
    if (p->stream)
        reply_say(r, REPLY_ARGUMENTS, "\"", 1);
}

/* -- a value that is complete ------------------------------------------------------------ */

static unsigned type_of(const char *p)
{
    static const char begin[] = "\"{[tfn";
    static const unsigned type[] = {REPLY_T_STRING, REPLY_T_OBJECT, REPLY_T_ARRAY,
                                    REPLY_T_BOOL,   REPLY_T_BOOL,   REPLY_T_NULL};
    const char *at = *p ? strchr(begin, *p) : NULL;

    return at ? type[at - begin] : REPLY_T_NUMBER;
}

static void say_string(struct reply *r, struct str s)
{
    struct buf *out = reply_out(r, REPLY_ARGUMENTS);

    r->lit.out = out;
    reply_keep(r, buf_byte(out, '"'));
    for (size_t i = 0; i < s.n; i++)
        reply_lit_byte(&r->lit, s.p[i]);
    reply_lit_bytes_end(&r->lit);
    reply_keep(r, r->lit.fail);
    reply_keep(r, buf_byte(out, '"'));
}

/* JSON if it is, and the schema does not rather want a string; else a string. */
static void say_value(struct reply *r)
{
    struct reply_param *p = &r->param;
    struct str s = {p->value.p ? p->value.p : "", p->value.n};
    struct buf *out = reply_out(r, REPLY_ARGUMENTS);
    unsigned types = r->step->act == REPLY_DATA ? 0 : reply_schema_types(p->schema);
    size_t was = out->n;
    int fail = 0, ok;

    if (r->step->act == REPLY_NESTED)
        ok = reply_nested(s, p->schema, out, &fail);
    else
        ok = reply_lit_whole(REPLY_JSON, s, out, &fail) ||
             reply_lit_whole(REPLY_PYTHON, s, out, &fail);
    reply_keep(r, fail);
    if (ok && (!types || types & type_of(out->p + was) || !(types & REPLY_T_STRING)))
        return;
    out->n = was;
    say_string(r, s);
}

/* -- byte by byte ------------------------------------------------------------------------ */

/* 1: lex is one of the ends; 0: it may become one; -1: it does not begin like one. */
static int match_end(const struct reply *r)
{
    const struct reply_param *p = &r->param;
    int partial = 0;

    for (int i = 0; i < p->n_end; i++) {
        size_t n = p->end[i].n < r->lex.n ? p->end[i].n : r->lex.n;

        if (memcmp(p->end[i].p, r->lex.p, n) != 0)
            continue;
        if (n == p->end[i].n)
            return 1;
        partial = 1;
    }
    return partial ? 0 : -1;
}

static void value_byte(struct reply *r, char c)
{
    if (r->param.stream) {
        r->lit.out = reply_out(r, REPLY_ARGUMENTS);
        reply_lit_byte(&r->lit, c);
        reply_keep(r, r->lit.fail);
    } else {
        reply_keep(r, buf_byte(&r->param.value, c));
    }
}

/* A grammar writes JSON where it does not write a string as it is: in the strings of that
 * nothing ends the value. 1: c belongs to one. */
static int in_string(struct reply *r, char c)
{
    struct reply_param *p = &r->param;
    int was = p->quoted;

    if (!r->guided || p->stream)
        return 0;
    if (was == 2)
        p->quoted = 1;
    else if (c == '"')
        p->quoted = !was;
    else if (was && c == '\\')
        p->quoted = 2;
    if (!was && !p->quoted)
        return 0;
    while (r->lex.n && !r->rc) {
        value_byte(r, r->lex.p[0]);
        buf_shift(&r->lex, 1);
    }
    value_byte(r, c);
    return 1;
}

int reply_param_put(struct reply *r, char c)
{
    struct reply_param *p = &r->param;
    int rc;

    if (!r->open)
        return REPLY_BAD;
    if (p->first) {
        p->first = 0;
        if (c == '\n' && p->n_end == 2)
            return REPLY_MORE;
    }
    if (in_string(r, c))
        return REPLY_MORE;
    reply_keep(r, buf_byte(&r->lex, c));
    while (r->lex.n && !r->rc && (rc = match_end(r)) != 0) {
        if (rc < 0) {
            value_byte(r, r->lex.p[0]);
            buf_shift(&r->lex, 1);
            continue;
        }
        if (p->stream) {
            r->lit.out = reply_out(r, REPLY_ARGUMENTS);
            reply_lit_bytes_end(&r->lit);
            reply_say(r, REPLY_ARGUMENTS, "\"", 1);
        } else {
            say_value(r);
        }
        return REPLY_READ;
    }
    return REPLY_MORE;
}

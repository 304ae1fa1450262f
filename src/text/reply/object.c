/* Calls that are JSON objects: {"name": "f", "arguments": {...}}, their keys in any order, and
 * by any of the names that models use. */
#include "text/reply/reply_priv.h"

enum { KEY, IN_KEY, COLON, VALUE, IN_VALUE, NEXT };
enum { K_OTHER, K_NAME, K_ARGS, K_ID, K_FUNCTION, K_TYPE };
enum { LEVELS = 3 };

static int blank_char(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static int key_of(struct str s)
{
    static const struct {
        const char *text;
        int key;
    } keys[] = {
        {"\"name\"", K_NAME},       {"\"tool_name\"", K_NAME},     {"\"arguments\"", K_ARGS},
        {"\"parameters\"", K_ARGS}, {"\"args\"", K_ARGS},          {"\"id\"", K_ID},
        {"\"tool_call_id\"", K_ID}, {"\"call_id\"", K_ID},         {"\"function\"", K_FUNCTION},
        {"\"type\"", K_TYPE},       {"\"function_name\"", K_NAME},
    };

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (str_is(s, keys[i].text))
            return keys[i].key;
    }
    return K_OTHER;
}

void reply_object_begin(struct reply *r, int strict)
{
    r->object = (struct reply_object){.st = KEY, .strict = strict};
    r->held.n = 0;
}

/* -- what a value says ------------------------------------------------------------------- */

/* A JSON string's text, for the caller to free; NULL: it is none. */
static json_t *text_of(struct reply *r)
{
    json_t *s = json_loadb(r->lex.p, r->lex.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);

    if (s && !json_is_string(s)) {
        json_decref(s);
        s = NULL;
    }
    return s;
}

static struct str str_of_json(const json_t *s)
{
    return (struct str){json_string_value(s), json_string_length(s)};
}

static int take_name(struct reply *r)
{
    json_t *s = r->object.named ? NULL : text_of(r);
    int ok = s && reply_call_named(r, str_of_json(s));

    json_decref(s);
    if (ok) {
        r->object.named = 1;
        reply_say(r, REPLY_ARGUMENTS, r->held.p, r->held.n);
        r->held.n = 0;
    }
    return ok;
}

/* Arguments as a string with JSON in it, or null: in held. */
static int take_args_text(struct reply *r)
{
    json_t *s = text_of(r);
    size_t was = r->held.n;
    int fail = 0, ok;

    if (s) {
        ok = reply_lit_whole(REPLY_JSON, str_of_json(s), &r->held, &fail);
        json_decref(s);
    } else {
        ok = str_is((struct str){r->lex.p, r->lex.n}, "null") &&
             (fail = buf_str(&r->held, "{}")) == 0;
    }
    reply_keep(r, fail);
    return ok && r->held.p[was] == '{';
}

static int take_args(struct reply *r, int text)
{
    if (text && !take_args_text(r))
        return 0;
    r->object.n_args = 1;
    if (r->open) {
        reply_say(r, REPLY_ARGUMENTS, r->held.p, r->held.n);
        r->held.n = 0;
    }
    return 1;
}

static int take_id(struct reply *r)
{
    json_t *s = text_of(r);
    struct str id = s ? str_of_json(s) : (struct str){r->lex.p, r->lex.n};
    int ok;

    r->id.n = 0;
    ok = str_is(id, "null") || buf_put(&r->id, id.p, id.n) == 0;
    json_decref(s);
    return ok;
}

/* 1: the value of the key is taken; 0: the object is no call. */
static int take_value(struct reply *r)
{
    struct reply_object *o = &r->object;

    o->st = NEXT;
    switch (o->key) {
    case K_NAME:
    case K_FUNCTION:
        return take_name(r);
    case K_ARGS:
        return take_args(r, o->text);
    case K_ID:
        return take_id(r);
    default:
        return 1;
    }
}

/* -- byte by byte ------------------------------------------------------------------------ */

static int complete(struct reply *r)
{
    struct reply_object *o = &r->object;

    if (!o->named || (o->strict && !o->n_args))
        return 0;
    if (!o->n_args)
        reply_say(r, REPLY_ARGUMENTS, "{}", 2);
    reply_call_done(r);
    return 1;
}

static int begin_value(struct reply *r, char c)
{
    struct reply_object *o = &r->object;
    struct buf *out = &r->lex;

    r->lex.n = 0;
    if (o->key == K_FUNCTION && c == '{') {
        o->st = KEY;
        return ++o->level < LEVELS;
    }
    if (o->strict && (o->key == K_OTHER || (o->key == K_ARGS && c != '{')))
        return 0;
    if (o->key == K_ARGS) {
        if (o->n_args)
            return 0;
        o->text = c != '{';
        r->held.n = 0;
        if (!o->text)
            out = r->open ? reply_out(r, REPLY_ARGUMENTS) : &r->held;
    }
    reply_lit_init(&r->lit, REPLY_JSON, (struct str){0}, out);
    o->st = IN_VALUE;
    return reply_lit_put(&r->lit, c) == REPLY_LIT_MORE;
}

static int in_value(struct reply *r, char c)
{
    struct reply_object *o = &r->object;
    int rc;

    if (r->lit.out == &r->out)
        r->lit.out = reply_out(r, REPLY_ARGUMENTS);
    rc = reply_lit_put(&r->lit, c);
    reply_keep(r, r->lit.fail);
    if (rc == REPLY_LIT_DONE)
        return take_value(r) ? REPLY_MORE : REPLY_BAD;
    if (rc == REPLY_LIT_MORE)
        return REPLY_MORE;
    /* Numbers and words end where something else begins. */
    if (r->lit.depth || !reply_lit_end(&r->lit) || !take_value(r))
        return REPLY_BAD;
    return o->st == NEXT ? REPLY_AGAIN : REPLY_BAD;
}

static int put(struct reply *r, char c)
{
    struct reply_object *o = &r->object;
    int rc;

    switch (o->st) {
    case KEY:
        if (c != '"')
            break;
        r->lex.n = 0;
        reply_lit_init(&r->lit, REPLY_JSON, (struct str){0}, &r->lex);
        (void)reply_lit_put(&r->lit, c);
        o->st = IN_KEY;
        return REPLY_MORE;
    case IN_KEY:
        rc = reply_lit_put(&r->lit, c);
        if (rc == REPLY_LIT_DONE) {
            o->key = key_of((struct str){r->lex.p, r->lex.n});
            o->st = COLON;
        }
        if (r->lex.n > REPLY_NAME_MAX)
            return REPLY_BAD;
        return rc == REPLY_LIT_BAD ? REPLY_BAD : REPLY_MORE;
    case COLON:
        o->st = VALUE;
        return c == ':' ? REPLY_MORE : REPLY_BAD;
    case VALUE:
        return begin_value(r, c) ? REPLY_MORE : REPLY_BAD;
    case IN_VALUE:
        rc = in_value(r, c);
        return rc == REPLY_AGAIN ? reply_object_put(r, c) : rc;
    default:
        if (c == ',') {
            o->st = KEY;
            return REPLY_MORE;
        }
    }
    if (c != '}')
        return REPLY_BAD;
    o->st = NEXT;
    if (o->level) {
        o->level--;
        return REPLY_MORE;
    }
    return complete(r) ? REPLY_READ : REPLY_BAD;
}

int reply_object_put(struct reply *r, char c)
{
    struct reply_object *o = &r->object;
    int rc;

    if (blank_char(c) && o->st != IN_KEY && o->st != IN_VALUE)
        return REPLY_MORE;
    rc = put(r, c);
    /* A missing brace behind the arguments does no harm. */
    if (rc == REPLY_BAD && reply_object_end(r))
        return REPLY_AGAIN;
    return rc;
}

int reply_object_end(struct reply *r)
{
    const struct reply_object *o = &r->object;

    return o->named && o->n_args && r->open && o->st != IN_KEY && o->st != IN_VALUE &&
           complete(r);
}

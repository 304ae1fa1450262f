#include "text/reply/lit.h"

#include <string.h>

/* Where in the grammar: what may come next. */
enum {
    VALUE,       /* a value */
    FIRST_VALUE, /* or the end of the array */
    KEY,         /* a key */
    FIRST_KEY,   /* or the end of the object */
    COLON,
    NEXT, /* a comma, or the end */
    STRING,
    ESCAPE,  /* behind a backslash */
    WORD,    /* a number or a name */
    OPENING, /* quotes of Python: 1 or 3, or none between them */
    CLOSING, /* a quote: the end, if what follows agrees */
    MARK,    /* REPLY_BARE: the mark before a string */
    MARKED,  /* and behind it */
    ARG,     /* an argument's name, or its value, or ")" */
    ARG_NAME,
    ARG_EQUAL,
    ENDED
};

/* What closes the container: a brace, a bracket, ")" of a tuple, or k: ")" of a call. */
#define TOP(l) ((l)->depth ? (l)->close[(l)->depth - 1] : '\0')

static void put(struct reply_lit *l, const char *p, size_t n)
{
    int rc = l->fail ? l->fail : buf_put(l->out, p, n);

    l->fail = rc;
}

static void put_str(struct reply_lit *l, const char *s)
{
    put(l, s, strlen(s));
}

static int blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static int letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80);
}

static int digit(char c)
{
    return c >= '0' && c <= '9';
}

/* -- values ------------------------------------------------------------------------------ */

/* Before a value or a key: the comma that waited. */
static void begin(struct reply_lit *l)
{
    if (l->comma)
        put_str(l, ", ");
    l->comma = 0;
}

/* A value, or a key, is complete. */
static int after(struct reply_lit *l, int key)
{
    if (key) {
        l->st = COLON;
        return REPLY_LIT_MORE;
    }
    l->st = l->depth ? NEXT : ENDED;
    return l->depth ? REPLY_LIT_MORE : REPLY_LIT_DONE;
}

static int open_at(struct reply_lit *l, char c)
{
    if (l->depth == REPLY_LIT_DEPTH)
        return REPLY_LIT_BAD;
    begin(l);
    l->close[l->depth++] = c == '{' ? '}' : c == '[' ? ']' : ')';
    put(l, c == '{' ? "{" : "[", 1);
    l->st = c == '{' ? FIRST_KEY : FIRST_VALUE;
    return REPLY_LIT_MORE;
}

static int close_at(struct reply_lit *l)
{
    char c = l->close[--l->depth];

    l->comma = 0;
    put(l, c == ']' || c == ')' ? "]" : "}", 1);
    return after(l, 0);
}

/* The first byte of a value (key: of an object's key). */
static int value(struct reply_lit *l, char c, int key)
{
    l->key = key;
    if (c == '"' || (c == '\'' && l->lang == REPLY_PYTHON)) {
        begin(l);
        put_str(l, "\"");
        l->quote = c;
        l->n_quote = 1;
        l->n_mark = 1;
        l->st = l->lang == REPLY_PYTHON ? OPENING : STRING;
        return REPLY_LIT_MORE;
    }
    if (!key && (c == '{' || c == '[' || (c == '(' && l->lang == REPLY_PYTHON)))
        return open_at(l, c);
    if (l->lang == REPLY_BARE && c == l->mark.p[0]) {
        begin(l);
        put_str(l, "\"");
        l->n_mark = 1;
        l->st = MARK;
        return REPLY_LIT_MORE;
    }
    if (letter(c) || digit(c) || c == '-' || l->lang == REPLY_BARE) {
        if (strchr(",:}])", c) || (key && l->lang != REPLY_BARE))
            return REPLY_LIT_BAD;
        l->word[0] = c;
        l->n_word = 1;
        l->st = WORD;
        return REPLY_LIT_MORE;
    }
    return REPLY_LIT_BAD;
}

static int end_string(struct reply_lit *l)
{
    reply_lit_bytes_end(l);
    put_str(l, "\"");
    return after(l, l->key);
}

/* -- one byte in each place -------------------------------------------------------------- */

static int in_next(struct reply_lit *l, char c)
{
    char top = TOP(l);

    if (c == top || (top == 'k' && c == ')'))
        return close_at(l);
    if (c != ',')
        return REPLY_LIT_BAD;
    if (l->lang == REPLY_JSON)
        put_str(l, ",");
    else
        l->comma = 1;
    if (top == 'k')
        l->st = ARG;
    else if (l->lang == REPLY_JSON)
        l->st = top == '}' ? KEY : VALUE;
    else
        l->st = top == '}' ? FIRST_KEY : FIRST_VALUE;
    return REPLY_LIT_MORE;
}

static int in_string(struct reply_lit *l, char c)
{
    if (c == '\\') {
        l->n_word = 0;
        l->st = ESCAPE;
    } else if (c == l->quote) {
        if (l->lang != REPLY_PYTHON)
            return end_string(l);
        l->n_mark = 1;
        l->n_word = 0;
        l->st = CLOSING;
    } else {
        reply_lit_byte(l, c);
    }
    return REPLY_LIT_MORE;
}

static int in_escape(struct reply_lit *l, char c)
{
    int rc;

    l->word[l->n_word++] = c;
    rc = reply_lit_escape(l);
    if (rc < 0) {
        l->n_word--;
        return REPLY_LIT_BAD;
    }
    if (rc)
        l->st = STRING;
    return REPLY_LIT_MORE;
}

/* '' may be an empty string, or the beginning of three. */
static int in_opening(struct reply_lit *l, char c)
{
    if (c == l->quote && l->n_mark < 3) {
        l->n_mark++;
        l->n_quote = l->n_mark == 3 ? 3 : 1;
        if (l->n_mark == 3)
            l->st = STRING;
        return REPLY_LIT_MORE;
    }
    if (l->n_mark == 2) {
        int rc = end_string(l);

        return rc == REPLY_LIT_MORE ? reply_lit_put(l, c) : REPLY_LIT_BAD;
    }
    l->st = STRING;
    return in_string(l, c);
}

/* Some templates write strings between quotes without escaping those inside: a quote ends the
 * string only where something may follow that goes on with the whole. */
static int in_closing(struct reply_lit *l, char c)
{
    if (l->n_quote == 3 && l->n_mark < 3) {
        if (c == l->quote) {
            if (++l->n_mark == 3)
                return end_string(l);
            return REPLY_LIT_MORE;
        }
    } else if (blank(c) && l->n_word < REPLY_LIT_WORD) {
        l->word[l->n_word++] = c;
        return REPLY_LIT_MORE;
    } else if (strchr(",)]}:", c) && c) {
        int rc = end_string(l);

        return rc == REPLY_LIT_MORE ? reply_lit_put(l, c) : REPLY_LIT_BAD;
    }
    for (size_t i = 0; i < l->n_mark; i++)
        reply_lit_byte(l, l->quote);
    for (size_t i = 0; i < l->n_word; i++)
        reply_lit_byte(l, l->word[i]);
    l->st = STRING;
    return in_string(l, c);
}

/* c follows the word. */
static int end_word(struct reply_lit *l, char c)
{
    int rc;

    if (l->key) {
        begin(l);
        reply_lit_text(l, (struct str){l->word, l->n_word});
    } else {
        begin(l);
        if (!reply_lit_word(l))
            return REPLY_LIT_BAD;
    }
    rc = after(l, l->key);
    return rc == REPLY_LIT_MORE ? reply_lit_put(l, c) : REPLY_LIT_BAD;
}

static int in_word(struct reply_lit *l, char c)
{
    int bare = l->lang == REPLY_BARE;

    if (bare ? !strchr(",:}]", c) || !c
             : letter(c) || digit(c) || c == '.' || c == '-' || c == '+') {
        if (l->n_word == REPLY_LIT_WORD)
            return REPLY_LIT_BAD;
        l->word[l->n_word++] = c;
        return REPLY_LIT_MORE;
    }
    return end_word(l, c);
}

static int in_mark(struct reply_lit *l, char c)
{
    if (c != l->mark.p[l->n_mark])
        return REPLY_LIT_BAD;
    if (++l->n_mark == l->mark.n) {
        l->n_mark = 0;
        l->st = MARKED;
    }
    return REPLY_LIT_MORE;
}

/* The first byte of a mark is not repeated in it. */
static int in_marked(struct reply_lit *l, char c)
{
    if (c == l->mark.p[l->n_mark]) {
        if (++l->n_mark < l->mark.n)
            return REPLY_LIT_MORE;
        return end_string(l);
    }
    for (size_t i = 0; i < l->n_mark; i++)
        reply_lit_byte(l, l->mark.p[i]);
    l->n_mark = c == l->mark.p[0];
    if (!l->n_mark)
        reply_lit_byte(l, c);
    return REPLY_LIT_MORE;
}

/* -- arguments of a call of Python ------------------------------------------------------- */

/* A value without a name: it gets that of the parameter in its place. */
static int unnamed(struct reply_lit *l)
{
    struct str name = l->name ? l->name(l->ctx, l->position++) : (struct str){0};

    if (!name.p)
        return 0;
    begin(l);
    reply_lit_text(l, name);
    put_str(l, ": ");
    l->st = VALUE;
    return 1;
}

static int in_arg(struct reply_lit *l, char c)
{
    if (c == ')')
        return close_at(l);
    if (!letter(c)) {
        if (!unnamed(l))
            return REPLY_LIT_BAD;
        return value(l, c, 0);
    }
    l->word[0] = c;
    l->n_word = 1;
    l->st = ARG_NAME;
    return REPLY_LIT_MORE;
}

static int in_arg_name(struct reply_lit *l, char c)
{
    if (l->st == ARG_NAME && (letter(c) || digit(c))) {
        if (l->n_word == REPLY_LIT_WORD)
            return REPLY_LIT_BAD;
        l->word[l->n_word++] = c;
        return REPLY_LIT_MORE;
    }
    if (blank(c)) {
        l->st = ARG_EQUAL;
        return REPLY_LIT_MORE;
    }
    if (c == '=') {
        begin(l);
        reply_lit_text(l, (struct str){l->word, l->n_word});
        put_str(l, ": ");
        l->st = VALUE;
        return REPLY_LIT_MORE;
    }
    if (!unnamed(l))
        return REPLY_LIT_BAD;
    l->key = 0;
    return end_word(l, c);
}

static int in_colon(struct reply_lit *l, char c)
{
    if (c != ':')
        return REPLY_LIT_BAD;
    put_str(l, l->lang == REPLY_JSON ? ":" : ": ");
    l->st = VALUE;
    return REPLY_LIT_MORE;
}

static int step(struct reply_lit *l, char c)
{
    switch (l->st) {
    case FIRST_VALUE:
    case FIRST_KEY:
        if (c == TOP(l))
            return close_at(l);
        return value(l, c, l->st == FIRST_KEY);
    case VALUE:
    case KEY:
        return value(l, c, l->st == KEY);
    case COLON:
        return in_colon(l, c);
    case NEXT:
        return in_next(l, c);
    case STRING:
        return in_string(l, c);
    case ESCAPE:
        return in_escape(l, c);
    case WORD:
        return in_word(l, c);
    case OPENING:
        return in_opening(l, c);
    case CLOSING:
        return in_closing(l, c);
    case MARK:
        return in_mark(l, c);
    case MARKED:
        return in_marked(l, c);
    case ARG:
        return in_arg(l, c);
    case ARG_NAME:
    case ARG_EQUAL:
        return in_arg_name(l, c);
    default:
        return REPLY_LIT_BAD;
    }
}

static int between(const struct reply_lit *l)
{
    return l->st == VALUE || l->st == FIRST_VALUE || l->st == KEY || l->st == FIRST_KEY ||
           l->st == COLON || l->st == NEXT || l->st == ARG;
}

int reply_lit_put(struct reply_lit *l, char c)
{
    int rc;

    if (l->fail)
        return REPLY_LIT_BAD;
    if (blank(c) && between(l)) {
        if (l->lang == REPLY_JSON)
            put(l, &c, 1);
        return l->fail ? REPLY_LIT_BAD : REPLY_LIT_MORE;
    }
    rc = step(l, c);
    return l->fail ? REPLY_LIT_BAD : rc;
}

int reply_lit_end(struct reply_lit *l)
{
    if (l->fail)
        return 0;
    if (l->st == ENDED)
        return 1;
    if (l->depth)
        return 0;
    if (l->st == WORD)
        return reply_lit_word(l) && !l->fail;
    if ((l->st == CLOSING && (l->n_quote == 1 || l->n_mark == 3)) ||
        (l->st == OPENING && l->n_mark == 2)) {
        (void)end_string(l);
        return !l->fail;
    }
    return 0;
}

void reply_lit_init(struct reply_lit *l, int lang, struct str mark, struct buf *out)
{
    memset(l, 0, offsetof(struct reply_lit, close));
    l->lang = lang;
    l->mark = mark;
    l->out = out;
    l->st = VALUE;
}

void reply_lit_call(struct reply_lit *l, struct buf *out,
                    struct str (*name)(void *ctx, size_t i), void *ctx)
{
    reply_lit_init(l, REPLY_PYTHON, (struct str){0}, out);
    l->name = name;
    l->ctx = ctx;
    l->close[l->depth++] = 'k';
    put_str(l, "{");
    l->st = ARG;
}

int reply_lit_whole(int lang, struct str s, struct buf *out, int *fail)
{
    struct reply_lit l;
    size_t was = out->n, i = 0;
    int rc = REPLY_LIT_MORE;

    while (s.n && blank(s.p[s.n - 1]))
        s.n--;
    while (i < s.n && blank(s.p[i]))
        i++;
    reply_lit_init(&l, lang, str_of("\""), out);
    for (; i < s.n && rc == REPLY_LIT_MORE; i++)
        rc = reply_lit_put(&l, s.p[i]);
    if (l.fail)
        *fail = l.fail;
    if (i == s.n && rc != REPLY_LIT_BAD && reply_lit_end(&l))
        return 1;
    out->n = was;
    return 0;
}

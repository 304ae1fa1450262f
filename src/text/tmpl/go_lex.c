/* A scanner with two states, text and action. It knows nothing of grammar but parentheses:
 * an action does not end inside one. */
#include "text/tmpl/go_lex.h"

#include "base/mem.h"
#include "text/uclass.h"

#include <stdio.h>

struct lex {
    struct go_tokens *out;
    struct str text;
    size_t at, paren;
    int in_action;
};

static const struct {
    const char *word;
    enum go_token_kind kind;
} words[] = {
    {"block", GO_T_BLOCK},   {"break", GO_T_BREAK}, {"continue", GO_T_CONTINUE},
    {"define", GO_T_DEFINE}, {"else", GO_T_ELSE},   {"end", GO_T_FINISH},
    {"false", GO_T_FALSE},   {"if", GO_T_IF},       {"nil", GO_T_NIL},
    {"range", GO_T_RANGE},   {"true", GO_T_TRUE},   {"template", GO_T_TEMPLATE},
    {"with", GO_T_WITH},
};

static int is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int begins(struct str s, size_t at, const char *what)
{
    size_t n = strlen(what);

    return at <= s.n && s.n - at >= n && memcmp(s.p + at, what, n) == 0;
}

/* "{{- " and " -}}" want a blank, so that {{-3}} is a number. */
static int trims_left(struct str s, size_t at)
{
    return at + 1 < s.n && s.p[at] == '-' && is_blank(s.p[at + 1]);
}

static int trims_right(struct str s, size_t at)
{
    return at + 1 < s.n && is_blank(s.p[at]) && s.p[at + 1] == '-';
}

/* 0: no end of an action there; 1: "}}"; 2: " -}}". */
static int closes(struct str s, size_t at)
{
    if (trims_right(s, at) && begins(s, at + 2, "}}"))
        return 2;
    return begins(s, at, "}}");
}

static int put(struct lex *x, enum go_token_kind kind, size_t from, struct str text)
{
    struct go_tokens *t = x->out;

    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct go_token *at = mem_realloc(t->at, cap * sizeof(*at));

        if (!at)
            return E_NOMEM;
        t->at = at;
        t->cap = cap;
    }
    t->at[t->n++] = (struct go_token){kind, (uint32_t)from, text};
    return 0;
}

static int put_from(struct lex *x, enum go_token_kind kind, size_t from)
{
    return put(x, kind, from, (struct str){x->text.p + from, x->at - from});
}

/* Returns 1: nothing comes after what is wrong. */
static int bad(struct lex *x, size_t from, const char *what, struct str about)
{
    struct go_tokens *t = x->out;
    int n = (int)(about.n < 40 ? about.n : 40);

    snprintf(t->bad, sizeof(t->bad), "%s%s%.*s%s", what, n ? " \"" : "", n, about.p,
             n ? "\"" : "");
    return put(x, GO_T_BAD, from, str_of(t->bad)) < 0 ? E_NOMEM : 1;
}

static const struct str nothing = {"", 0};

static void skip_blanks(struct lex *x)
{
    while (x->at < x->text.n && is_blank(x->text.p[x->at]))
        x->at++;
}

static int lex_comment(struct lex *x, size_t from)
{
    size_t i = x->at + 2;
    int end;

    while (i < x->text.n && !begins(x->text, i, "*/"))
        i++;
    if (i >= x->text.n)
        return bad(x, from, "unclosed comment", nothing);
    x->at = i + 2;
    end = closes(x->text, x->at);
    if (!end)
        return bad(x, from, "comment ends before closing delimiter", nothing);
    x->at += end == 2 ? 4 : 2;
    if (end == 2)
        skip_blanks(x);
    return 0;
}

static int lex_text(struct lex *x)
{
    size_t from = x->at, end = from;
    int trim;

    while (end < x->text.n && !begins(x->text, end, "{{"))
        end++;
    trim = end < x->text.n && trims_left(x->text, end + 2);
    x->at = end;
    if (trim)
        while (x->at > from && is_blank(x->text.p[x->at - 1]))
            x->at--;
    if (x->at > from && put_from(x, GO_T_TEXT, from) < 0)
        return E_NOMEM;
    x->at = end;
    if (end == x->text.n)
        return put(x, GO_T_END, end, nothing) < 0 ? E_NOMEM : 1;
    x->at = end + (trim ? 4 : 2);
    if (begins(x->text, x->at, "/*"))
        return lex_comment(x, end);
    x->in_action = 1;
    x->paren = 0;
    return put(x, GO_T_OPEN, end, (struct str){x->text.p + end, 2});
}

static int lex_close(struct lex *x, int how)
{
    size_t from = x->at;

    if (x->paren)
        return bad(x, from, "unclosed left paren", nothing);
    x->at += how == 2 ? 4 : 2;
    if (put_from(x, GO_T_CLOSE, from) < 0)
        return E_NOMEM;
    if (how == 2)
        skip_blanks(x);
    x->in_action = 0;
    return 0;
}

/* The length of the letter, digit or _ there, 0: it is none. */
static size_t name_char(struct str s, size_t at)
{
    unsigned cls;
    size_t n;

    if (at >= s.n)
        return 0;
    if (s.p[at] == '_')
        return 1;
    n = uclass_next(s.p + at, s.n - at, &cls);
    return cls & (UC_LETTER | UC_NUM) ? n : 0;
}

static void skip_name(struct lex *x)
{
    size_t n;

    while ((n = name_char(x->text, x->at)) > 0)
        x->at += n;
}

/* What may follow a name, a field or a variable. */
static int ends_name(const struct lex *x)
{
    if (x->at >= x->text.n || is_blank(x->text.p[x->at]))
        return 1;
    return strchr(".,|:)(", x->text.p[x->at]) != NULL || begins(x->text, x->at, "}}");
}

static int bad_char(struct lex *x, size_t from)
{
    unsigned cls;
    size_t n = uclass_next(x->text.p + x->at, x->text.n - x->at, &cls);

    return bad(x, from, "bad character", (struct str){x->text.p + x->at, n});
}

static int lex_word(struct lex *x, enum go_token_kind kind, size_t from)
{
    struct str word;

    skip_name(x);
    if (!ends_name(x))
        return bad_char(x, from);
    word = (struct str){x->text.p + from, x->at - from};
    for (size_t i = 0; kind == GO_T_NAME && i < sizeof(words) / sizeof(words[0]); i++)
        if (str_is(word, words[i].word))
            kind = words[i].kind;
    return put(x, kind, from, word);
}

/* A dot alone is the cursor. */
static int lex_dot(struct lex *x, size_t from)
{
    x->at++;
    return ends_name(x) ? put_from(x, GO_T_DOT, from) : lex_word(x, GO_T_FIELD, from);
}

static int lex_quoted(struct lex *x, char quote, enum go_token_kind kind, const char *what)
{
    size_t from = x->at++;

    for (; x->at < x->text.n; x->at++) {
        char c = x->text.p[x->at];

        if (c == quote) {
            x->at++;
            return put_from(x, kind, from);
        }
        if (quote == '`')
            continue;
        if (c == '\\' && x->at + 1 < x->text.n)
            c = x->text.p[++x->at];
        if (c == '\n')
            break;
    }
    return bad(x, from, what, nothing);
}

/* Anything that looks like a number; the parser reads it. A sign stands in front of it, or of
 * an exponent. */
static int lex_number(struct lex *x)
{
    size_t from = x->at, digits;
    int hex;

    if (x->text.p[x->at] == '+' || x->text.p[x->at] == '-')
        x->at++;
    digits = x->at;
    hex = begins(x->text, digits, "0x") || begins(x->text, digits, "0X");
    while (x->at < x->text.n) {
        char c = x->text.p[x->at], was = x->at > digits ? x->text.p[x->at - 1] : ' ';
        int sign = (c == '+' || c == '-') && strchr(hex ? "pP" : "eE", was);
        size_t n = c == '.' || sign ? 1 : name_char(x->text, x->at);

        if (n == 0)
            break;
        x->at += n;
    }
    return put_from(x, GO_T_NUMBER, from);
}

static int lex_space(struct lex *x)
{
    size_t from = x->at;

    while (x->at < x->text.n && is_blank(x->text.p[x->at]) && closes(x->text, x->at) != 2)
        x->at++;
    return put_from(x, GO_T_SPACE, from);
}

static int lex_paren(struct lex *x, char c)
{
    size_t from = x->at++;

    if (c == '(') {
        x->paren++;
        return put_from(x, GO_T_LPAREN, from);
    }
    if (x->paren == 0)
        return bad(x, from, "unexpected right paren", nothing);
    x->paren--;
    return put_from(x, GO_T_RPAREN, from);
}

static int lex_sign(struct lex *x, char c)
{
    size_t from = x->at++;

    if (c == '=')
        return put_from(x, GO_T_ASSIGN, from);
    if (c == '|')
        return put_from(x, GO_T_PIPE, from);
    if (c == ',')
        return put_from(x, GO_T_COMMA, from);
    if (c == ':') {
        if (!begins(x->text, x->at, "="))
            return bad(x, from, "expected :=", nothing);
        x->at++;
        return put_from(x, GO_T_DECLARE, from);
    }
    if (c > ' ' && c < 0x7f)
        return put_from(x, GO_T_MARK, from);
    x->at = from;
    return bad_char(x, from);
}

static int lex_action(struct lex *x)
{
    int how = closes(x->text, x->at);
    char c, next;

    if (how)
        return lex_close(x, how);
    if (x->at >= x->text.n)
        return bad(x, x->at, "unclosed action", nothing);
    c = x->text.p[x->at];
    next = x->at + 1 < x->text.n ? x->text.p[x->at + 1] : 0;
    if (is_blank(c))
        return lex_space(x);
    if (c == '"')
        return lex_quoted(x, c, GO_T_STRING, "unterminated quoted string");
    if (c == '`')
        return lex_quoted(x, c, GO_T_RAW, "unterminated raw quoted string");
    if (c == '\'')
        return lex_quoted(x, c, GO_T_CHAR, "unterminated character constant");
    if (c == '(' || c == ')')
        return lex_paren(x, c);
    if (c == '$') {
        x->at++;
        return lex_word(x, GO_T_VAR, x->at - 1);
    }
    if (c == '.' && !(next >= '0' && next <= '9'))
        return lex_dot(x, x->at);
    if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9'))
        return lex_number(x);
    if (name_char(x->text, x->at))
        return lex_word(x, GO_T_NAME, x->at);
    return lex_sign(x, c);
}

int go_lex(struct go_tokens *out, struct str text, struct err *e)
{
    struct lex x = {out, text, 0, 0, 0};
    int rc = 0;

    *out = (struct go_tokens){0};
    while (rc == 0)
        rc = x.in_action ? lex_action(&x) : lex_text(&x);
    if (rc < 0) {
        go_lex_done(out);
        return err_set(e, rc, "no memory for a template of %zu bytes", text.n);
    }
    return 0;
}

void go_lex_done(struct go_tokens *t)
{
    mem_free(t->at);
    *t = (struct go_tokens){0};
}

void go_lex_place(struct str text, size_t at, int *line, int *column)
{
    size_t start = 0;

    *line = 1;
    for (size_t i = 0; i < at && i < text.n; i++)
        if (text.p[i] == '\n') {
            ++*line;
            start = i + 1;
        }
    *column = (int)(at - start) + 1;
}

#include "text/tmpl/jinja.h"

#include "base/utf8.h"

#include <errno.h>
#include <stdlib.h>

/* Brackets that are open within a tag; deeper ones the parser would refuse anyway. */
enum { MAX_OPEN = 2 * JINJA_NESTING };

struct lexer {
    struct value_room *r;
    const char *p; /* the source, lines ending in \n */
    size_t n, i;
    uint32_t line;
    int line_start; /* what was matched last ended a line, or nothing was */
    struct jinja_token *tok;
    size_t n_tok, cap_tok;
    char open[MAX_OPEN];
    int n_open;
};

static int fail(struct lexer *x, const char *what)
{
    return value_fail(x->r, E_INVALID, "line %u: %s", x->line, what);
}

static int add(struct lexer *x, int type, struct str text)
{
    if (x->n_tok == x->cap_tok) {
        size_t cap = x->cap_tok ? 2 * x->cap_tok : 256;
        struct jinja_token *tok = value_alloc(x->r, cap * sizeof(*tok));

        if (!tok)
            return value_failed(x->r);
        if (x->n_tok)
            memcpy(tok, x->tok, x->n_tok * sizeof(*tok));
        x->tok = tok;
        x->cap_tok = cap;
    }
    x->tok[x->n_tok++] =
        (struct jinja_token){.type = (uint8_t)type, .line = x->line, .text = text};
    return 0;
}

/* Goes n bytes ahead, counting lines. */
static void skip(struct lexer *x, size_t n)
{
    for (size_t end = x->i + n; x->i < end; x->i++)
        x->line += x->p[x->i] == '\n';
    x->line_start = x->i > 0 && x->p[x->i - 1] == '\n';
}

static int looking_at(const struct lexer *x, size_t at, const char *s)
{
    size_t n = strlen(s);

    return at <= x->n && n <= x->n - at && memcmp(x->p + at, s, n) == 0;
}

static size_t spaces(const struct lexer *x, size_t at)
{
    while (at < x->n) {
        int32_t cp;
        int n = utf8_next(x->p + at, x->n - at, &cp);

        if (!jinja_space(cp))
            break;
        at += (size_t)n;
    }
    return at;
}

/* -- text ----------------------------------------------------------------------------- */

/* Adds the text from..to as data. sign is that of the tag behind it; block: that tag is not {{.
 */
static int add_data(struct lexer *x, size_t from, size_t to, char sign, int block)
{
    size_t end = to, start = to;

    if (sign == '-') {
        struct value_text text = {.p = x->p + from, .n = to - from};
        size_t skip_left;

        jinja_strip(&text, NULL, 2, &skip_left, &end);
        end += from;
    } else if (sign != '+' && block) {
        while (start > from && x->p[start - 1] != '\n')
            start--;
        if ((start > from || x->line_start) && spaces(x, start) >= to)
            end = start;
    }
    return end > from ? add(x, TOK_DATA, (struct str){x->p + from, end - from}) : 0;
}

/* The length of a tag's end at `at` with what it takes away behind it: "-%}" and white space,
 * "+%}", "%}" and a newline (trim). 0: there is none. */
static size_t tag_end(const struct lexer *x, size_t at, const char *end, int trim)
{
    size_t i = at;

    if (i < x->n && x->p[i] == '-' && looking_at(x, i + 1, end))
        return spaces(x, i + 3) - at;
    if (trim && i < x->n && x->p[i] == '+' && looking_at(x, i + 1, end))
        return 3;
    if (!looking_at(x, i, end))
        return 0;
    i += 2;
    return i - at + (size_t)(trim && i < x->n && x->p[i] == '\n');
}

static char sign_at(const struct lexer *x, size_t at)
{
    char c = at < x->n ? x->p[at] : 0;

    return c == '-' || c == '+' ? c : 0;
}

/* "{% raw %}" at i: its length, or 0. */
static size_t word_tag(const struct lexer *x, size_t i, const char *word, int trim)
{
    size_t at = i + 2, n;

    if (!looking_at(x, i, "{%"))
        return 0;
    at = spaces(x, at + (sign_at(x, at) != 0));
    if (!looking_at(x, at, word))
        return 0;
    at = spaces(x, at + strlen(word));
    n = tag_end(x, at, "%}", trim);
    return n ? at + n - i : 0;
}

static int lex_comment(struct lexer *x)
{
    for (size_t i = x->i + 2; i < x->n; i++) {
        size_t n =
            x->p[i] == '#' || x->p[i] == '-' || x->p[i] == '+' ? tag_end(x, i, "#}", 1) : 0;

        if (n) {
            skip(x, i + n - x->i);
            return 0;
        }
    }
    return fail(x, "a comment {# has no #}");
}

static int lex_raw(struct lexer *x, size_t begin)
{
    skip(x, begin);
    for (size_t i = x->i; i < x->n; i++) {
        size_t n = x->p[i] == '{' ? word_tag(x, i, "endraw", 1) : 0;

        if (n) {
            int rc = add_data(x, x->i, i, sign_at(x, i + 2), 1);

            skip(x, i + n - x->i);
            return rc;
        }
    }
    return fail(x, "{% raw %} has no {% endraw %}");
}

/* -- inside of tags ------------------------------------------------------------------- */

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static int is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (unsigned char)c >= 0x80;
}

static int digits(const struct lexer *x, size_t *at)
{
    size_t i = *at;

    while (i < x->n && (is_digit(x->p[i]) ||
                        (x->p[i] == '_' && i > *at && i + 1 < x->n && is_digit(x->p[i + 1]))))
        i++;
    if (i == *at)
        return 0;
    *at = i;
    return 1;
}

static int lex_number(struct lexer *x)
{
    size_t i = x->i, n = 0;
    int base = 10, is_float = 0, rc;
    char text[64], *end, c = i + 1 < x->n ? (char)(x->p[i + 1] | 0x20) : 0;

    if (x->p[i] == '0' && (c == 'x' || c == 'o' || c == 'b')) {
        base = c == 'x' ? 16 : c == 'o' ? 8 : 2;
        for (i += 2; i < x->n && is_word(x->p[i]);)
            i++;
    } else {
        size_t at = i;

        (void)digits(x, &i);
        at = i + 1;
        if (i < x->n && x->p[i] == '.' && digits(x, &at)) {
            i = at;
            is_float = 1;
        }
        at = i + 1 + (i + 1 < x->n && (x->p[i + 1] == '+' || x->p[i + 1] == '-'));
        if (i < x->n && (x->p[i] | 0x20) == 'e' && digits(x, &at)) {
            i = at;
            is_float = 1;
        }
    }
    for (size_t k = x->i + (base == 10 ? 0 : 2); k < i; k++) {
        if (x->p[k] != '_' && n + 1 < sizeof(text))
            text[n++] = x->p[k];
    }
    text[n] = '\0';
    rc = add(x, is_float ? TOK_FLOAT : TOK_INT, (struct str){x->p + x->i, i - x->i});
    if (rc < 0)
        return rc;
    errno = 0;
    if (is_float)
        x->tok[x->n_tok - 1].f = strtod(text, &end);
    else
        x->tok[x->n_tok - 1].i = strtoll(text, &end, base);
    if (*end || n + 1 == sizeof(text) || (!is_float && (errno == ERANGE || n == 0)))
        return fail(x, "a number is too large, or none");
    skip(x, i - x->i);
    return 0;
}

static int hex(const char *p, size_t n, int32_t *out)
{
    int32_t v = 0;

    for (size_t i = 0; i < n; i++) {
        char c = (char)(p[i] | 0x20);

        if (!is_digit(p[i]) && (c < 'a' || c > 'f'))
            return 0;
        if (v > 0x10FFFF)
            return 0;
        v = v * 16 + (is_digit(p[i]) ? p[i] - '0' : c - 'a' + 10);
    }
    *out = v;
    return v <= 0x10FFFF;
}

/* One escape at p (behind the backslash, n > 0 bytes): how many bytes it takes, and what it
 * stands for; -1 in *cp: nothing; 0: it is none, and the backslash stays. */
static size_t escape(const char *p, size_t n, int32_t *cp)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *k = *p ? strchr(from, *p) : NULL;
    size_t want = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0, i = 0;

    if (k) {
        *cp = to[k - from];
        return 1;
    }
    if (*p == '\n') {
        *cp = -1;
        return 1;
    }
    if (want)
        return want < n && hex(p + 1, want, cp) ? want + 1 : 0;
    for (*cp = 0; i < 3 && i < n && p[i] >= '0' && p[i] <= '7'; i++)
        *cp = *cp * 8 + (p[i] - '0');
    return i;
}

/* Undoes escapes; without any, the text of the source is it. */
static int unescape(struct lexer *x, struct str s, struct str *out)
{
    char *q;
    size_t n = 0;

    *out = s;
    if (s.n == 0 || !memchr(s.p, '\\', s.n))
        return 0;
    q = value_alloc(x->r, s.n + 4); /* no escape is shorter than what it stands for */
    if (!q)
        return value_failed(x->r);
    for (size_t i = 0; i < s.n;) {
        int32_t cp = 0;
        size_t k = s.p[i] == '\\' && i + 1 < s.n ? escape(s.p + i + 1, s.n - i - 1, &cp) : 0;

        if (k == 0) {
            q[n++] = s.p[i++];
            continue;
        }
        i += k + 1;
        if (cp >= 0xD800 && cp <= 0xDFFF)
            cp = 0xFFFD;
        if (cp >= 0)
            n += (size_t)utf8_put(cp, q + n);
    }
    *out = (struct str){q, n};
    return 0;
}

static int lex_string(struct lexer *x)
{
    char quote = x->p[x->i];
    size_t i = x->i + 1;
    struct str text;
    int rc;

    while (i < x->n && x->p[i] != quote)
        i += x->p[i] == '\\' ? 2 : 1;
    if (i >= x->n)
        return fail(x, "a string has no end");
    rc = unescape(x, (struct str){x->p + x->i + 1, i - x->i - 1}, &text);
    if (rc == 0)
        rc = add(x, TOK_STRING, text);
    skip(x, i + 1 - x->i);
    return rc;
}

static int lex_op(struct lexer *x)
{
    static const char *const two[] = {"//", "**", "==", "!=", ">=", "<="};
    static const char one[] = "+-/*%~[](){}><=.:|,;";
    char c = x->p[x->i];
    size_t n = 1;

    for (size_t k = 0; k < sizeof(two) / sizeof(two[0]); k++) {
        if (looking_at(x, x->i, two[k]))
            n = 2;
    }
    if (n == 1 && !strchr(one, c))
        return value_fail(x->r, E_INVALID, "line %u: unexpected character '%c'", x->line, c);
    if (c == '(' || c == '[' || c == '{') {
        if (x->n_open == MAX_OPEN)
            return fail(x, "brackets are nested too deep");
        x->open[x->n_open++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (c == ')' || c == ']' || c == '}') {
        if (x->n_open == 0 || x->open[x->n_open - 1] != c)
            return value_fail(x->r, E_INVALID, "line %u: unexpected '%c'", x->line, c);
        x->n_open--;
    }
    if (add(x, TOK_OP, (struct str){x->p + x->i, n}) < 0)
        return value_failed(x->r);
    skip(x, n);
    return 0;
}

static int lex_tag(struct lexer *x, int block)
{
    const char *end = block ? "%}" : "}}";

    x->n_open = 0;
    for (;;) {
        size_t n, i = spaces(x, x->i);
        int rc;

        skip(x, i - x->i);
        if (x->i >= x->n)
            return fail(x, block ? "{% has no %}" : "{{ has no }}");
        n = x->n_open ? 0 : tag_end(x, x->i, end, block);
        if (n) {
            rc = add(x, block ? TOK_BLOCK_END : TOK_PRINT_END, (struct str){x->p + x->i, n});
            skip(x, n);
            return rc;
        }
        if (is_digit(x->p[x->i])) {
            rc = lex_number(x);
        } else if (x->p[x->i] == '"' || x->p[x->i] == '\'') {
            rc = lex_string(x);
        } else if (is_word(x->p[x->i])) {
            for (i = x->i; i < x->n && is_word(x->p[i]);)
                i++;
            rc = add(x, TOK_NAME, (struct str){x->p + x->i, i - x->i});
            skip(x, i - x->i);
        } else {
            rc = lex_op(x);
        }
        if (rc < 0)
            return rc;
    }
}

/* The next tag, and the text before it. */
static int lex_one(struct lexer *x)
{
    size_t i = x->i, raw;
    int rc, block;
    char c;

    while (i + 1 < x->n && !(x->p[i] == '{' && strchr("{%#", x->p[i + 1]) && x->p[i + 1]))
        i++;
    if (i + 1 >= x->n) {
        rc = add_data(x, x->i, x->n, '+', 0);
        skip(x, x->n - x->i);
        return rc;
    }
    c = x->p[i + 1];
    block = c != '{';
    rc = add_data(x, x->i, i, sign_at(x, i + 2), block);
    if (rc < 0)
        return rc;
    skip(x, i - x->i);
    if (c == '#')
        return lex_comment(x);
    raw = c == '%' ? word_tag(x, i, "raw", 0) : 0;
    if (raw)
        return lex_raw(x, raw);
    rc = add(x, block ? TOK_BLOCK : TOK_PRINT, (struct str){x->p + i, 2});
    skip(x, sign_at(x, i + 2) ? 3 : 2);
    return rc < 0 ? rc : lex_tag(x, block);
}

/* Lines end in \n, and the last one's end is dropped. */
static int normalise(struct value_room *r, struct str s, struct str *out)
{
    char *q = value_alloc(r, s.n + 1);
    size_t n = 0;

    if (!q)
        return value_failed(r);
    for (size_t i = 0; i < s.n; i++) {
        q[n++] = s.p[i] == '\r' ? '\n' : s.p[i];
        if (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
            i++;
    }
    n -= n && q[n - 1] == '\n';
    q[n] = '\0';
    *out = (struct str){q, n};
    return 0;
}

int jinja_lex(struct value_room *r, struct str source, struct jinja_token **out, size_t *n)
{
    struct lexer x = {.r = r, .line = 1, .line_start = 1};
    struct str s = {0};
    int rc;

    if (!utf8_valid(source.p, source.n))
        return value_fail(r, E_INVALID, "the template is not UTF-8");
    rc = normalise(r, source, &s);
    if (rc < 0)
        return rc;
    x.p = s.p;
    x.n = s.n;
    while (x.i < x.n && rc == 0)
        rc = lex_one(&x);
    if (rc == 0)
        rc = add(&x, TOK_END, str_of(""));
    *out = x.tok;
    *n = x.n_tok;
    return rc;
}

/* gbnf.c - a reader of GBNF: one pass, open groups on a stack.
 *
 * Items of all open groups stand in one array; a group knows where its alternatives begin and
 * where its current sequence does. At | and ) the sequence becomes one item.
 */
#include "text/gram/gbnf.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { GBNF_DEPTH = 1000, GBNF_RANGES = 100 * 1000 };

struct rule {
    gram_ref ref;
    const char *used; /* where it was named first */
    int set;
};

struct group {
    size_t alts, seq; /* in the items: its alternatives, then its current sequence */
};

struct reader {
    struct gram *g;
    const char *begin, *p, *end;
    struct map names; /* of a rule: its place in rule */
    struct rule *rule;
    size_t n_rule, cap_rule;
    gram_ref *item;
    size_t n_item, cap_item;
    struct group group[GBNF_DEPTH];
    size_t n_group;
    struct err *e;
};

/* -- errors
 * -------------------------------------------------------------------------------------- */

static int wrong(struct reader *r, const char *at, int code, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static int wrong(struct reader *r, const char *at, int code, const char *fmt, ...)
{
    unsigned long line = 1, column = 1;
    va_list ap;

    for (const char *p = r->begin; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if ((*p & 0xC0) != 0x80) {
            column++;
        }
    }
    va_start(ap, fmt);
    (void)err_setv(r->e, code, fmt, ap);
    va_end(ap);
    return err_wrap(r->e, code, "%lu:%lu", line, column);
}

static int no_memory(struct reader *r)
{
    return err_set(r->e, E_NOMEM, "no memory for the grammar");
}

/* -- small things
 * --------------------------------------------------------------------------------- */

static int peek(const struct reader *r)
{
    return r->p < r->end ? (unsigned char)*r->p : -1;
}

static int is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

static int is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* Blanks and comments; line ends, too, when they are allowed. */
static void skip(struct reader *r, int lines)
{
    for (; r->p < r->end; r->p++) {
        if (*r->p == '#') {
            while (r->p < r->end && *r->p != '\n' && *r->p != '\r')
                r->p++;
            r->p--;
        } else if (*r->p != ' ' && *r->p != '\t' &&
                   !(lines && (*r->p == '\n' || *r->p == '\r'))) {
            return;
        }
    }
}

static struct str word(struct reader *r)
{
    const char *from = r->p;

    while (is_word(peek(r)))
        r->p++;
    return (struct str){from, (size_t)(r->p - from)};
}

static int put_item(struct reader *r, gram_ref ref)
{
    if (r->n_item == r->cap_item) {
        size_t cap = r->cap_item ? r->cap_item * 2 : 64;
        gram_ref *p = mem_realloc(r->item, cap * sizeof(*p));

        if (!p)
            return no_memory(r);
        r->item = p;
        r->cap_item = cap;
    }
    r->item[r->n_item++] = ref;
    return 0;
}

static int find_rule(struct reader *r, struct str name, struct rule **out)
{
    uint32_t at;

    if (map_get(&r->names, name, &at)) {
        *out = &r->rule[at];
        return 0;
    }
    if (r->n_rule == r->cap_rule) {
        size_t cap = r->cap_rule ? r->cap_rule * 2 : 64;
        struct rule *p = mem_realloc(r->rule, cap * sizeof(*p));

        if (!p)
            return no_memory(r);
        r->rule = p;
        r->cap_rule = cap;
    }
    if (map_put(&r->names, name, (uint32_t)r->n_rule, NULL) < 0)
        return no_memory(r);
    *out = &r->rule[r->n_rule++];
    **out = (struct rule){.ref = gram_rule(r->g), .used = name.p};
    gram_rule_name(r->g, (*out)->ref, name);
    return 0;
}

/* -- characters
 * --------------------------------------------------------------------------------------- */

static int hex(struct reader *r, int n, const char *at, uint32_t *cp)
{
    *cp = 0;
    for (int i = 0; i < n; i++, r->p++) {
        int c = peek(r), d = is_digit(c)                          ? c - '0'
                             : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                                  : -1;

        if (c < 0 || d < 0)
            return wrong(r, at, E_INVALID, "\\%c wants %d hexadecimal digits", at[1], n);
        *cp = *cp << 4 | (uint32_t)d;
    }
    if (*cp > RX_CP_MAX || (*cp >= 0xD800 && *cp < 0xE000))
        return wrong(r, at, E_INVALID, "U+%04X is no character", (unsigned)*cp);
    return 0;
}

static int escape(struct reader *r, uint32_t *cp)
{
    static const char from[] = "nrt\\\"[]", to[] = "\n\r\t\\\"[]";
    const char *at = r->p++, *s;
    int c = peek(r);

    if (c < 0)
        return wrong(r, at, E_INVALID, "the grammar ends in an escape");
    r->p++;
    if (c == 'x' || c == 'u' || c == 'U')
        return hex(r, c == 'x' ? 2 : c == 'u' ? 4 : 8, at, cp);
    s = c ? strchr(from, c) : NULL;
    if (!s)
        return wrong(r, at, E_INVALID,
                     "unknown escape \\%c; known: \\n \\r \\t \\\\ \\\" \\[ \\] \\xHH \\uHHHH "
                     "\\UHHHHHHHH",
                     c >= 0x20 && c < 0x7F ? c : '?');
    *cp = (uint32_t)(unsigned char)to[s - from];
    return 0;
}

/* One character, escaped or not; the text has one. */
static int character(struct reader *r, uint32_t *cp)
{
    int32_t got;
    int n;

    if (*r->p == '\\')
        return escape(r, cp);
    n = utf8_next(r->p, (size_t)(r->end - r->p), &got);
    if (got < 0)
        return wrong(r, r->p, E_INVALID, "byte 0x%02X is no UTF-8",
                     (unsigned)(unsigned char)*r->p);
    *cp = (uint32_t)got;
    r->p += n;
    return 0;
}

static int literal(struct reader *r)
{
    const char *at = r->p++;
    struct buf text;
    int rc = 0;

    buf_init(&text, (size_t)(r->end - at) * 2 + 8);
    while (rc == 0 && peek(r) != '"') {
        char out[4];
        uint32_t cp;

        if (peek(r) < 0 || peek(r) == '\n') {
            rc = wrong(r, at, E_INVALID, "the literal has no end on its line");
            break;
        }
        rc = character(r, &cp);
        if (rc == 0 && buf_put(&text, out, (size_t)utf8_put((int32_t)cp, out)) < 0)
            rc = no_memory(r);
    }
    r->p++;
    if (rc == 0)
        rc = put_item(r, gram_bytes(r->g, (struct str){text.p, text.n}));
    buf_done(&text);
    return rc;
}

static int put_range(struct reader *r, struct rx_range **all, size_t *n, size_t *cap,
                     const char *at)
{
    struct rx_range got;
    const char *second;
    int rc = character(r, &got.lo);

    got.hi = got.lo;
    if (rc == 0 && peek(r) == '-' && r->p + 1 < r->end && r->p[1] != ']') {
        second = ++r->p;
        rc = character(r, &got.hi);
        if (rc == 0 && got.hi < got.lo)
            rc = wrong(r, second, E_INVALID, "the range ends before it begins");
    }
    if (rc < 0)
        return rc;
    if (*n == GBNF_RANGES)
        return wrong(r, at, E_TOO_LONG, "more than %d characters in a class", GBNF_RANGES);
    if (*n == *cap) {
        size_t more = *cap ? *cap * 2 : 16;
        struct rx_range *p = mem_realloc(*all, more * sizeof(*p));

        if (!p)
            return no_memory(r);
        *all = p;
        *cap = more;
    }
    (*all)[(*n)++] = got;
    return 0;
}

static int char_class(struct reader *r)
{
    const char *at = r->p++;
    struct rx *rx = gram_rx(r->g);
    struct rx_range *all = NULL;
    size_t n = 0, cap = 0;
    int not = peek(r) == '^', rc = 0;
    rx_id set;

    r->p += not ;
    while (rc == 0 && peek(r) != ']') {
        if (peek(r) < 0 || peek(r) == '\n')
            rc = wrong(r, at, E_INVALID, "the class has no ] on its line");
        else
            rc = put_range(r, &all, &n, &cap, at);
    }
    r->p++;
    if (rc == 0 && n == 0 && !not )
        rc = wrong(r, at, E_INVALID, "a class without characters matches nothing");
    if (rc == 0) {
        set = rx_set(rx, all, n);
        rc = put_item(r, gram_text(r->g, not ? rx_and(rx, rx_any(rx), rx_not(rx, set)) : set));
    }
    mem_free(all);
    return rc;
}

/* -- repetitions
 * ------------------------------------------------------------------------------------------ */

static int number(struct reader *r, uint64_t *out)
{
    const char *at = r->p;

    if (!is_digit(peek(r)))
        return wrong(r, at, E_INVALID, "a number is missing in {}");
    for (*out = 0; is_digit(peek(r)); r->p++) {
        *out = *out * 10 + (uint64_t)(*r->p - '0');
        if (*out > UINT32_MAX)
            return wrong(r, at, E_INVALID, "more than %u repetitions", (unsigned)UINT32_MAX);
    }
    skip(r, 1);
    return 0;
}

static int bounds(struct reader *r, uint64_t *min, uint64_t *max)
{
    const char *at = r->p++;
    int rc;

    skip(r, 1);
    rc = number(r, min);
    *max = *min;
    if (rc == 0 && peek(r) == ',') {
        r->p++;
        skip(r, 1);
        *max = GRAM_INF;
        if (peek(r) != '}')
            rc = number(r, max);
    }
    if (rc < 0)
        return rc;
    if (peek(r) != '}')
        return wrong(r, r->p, E_INVALID, "} is missing");
    r->p++;
    return *min <= *max ? 0
                        : wrong(r, at, E_INVALID, "the bounds in {} are the wrong way round");
}

static int repetition(struct reader *r)
{
    uint64_t min = *r->p == '+', max = *r->p == '?' ? 1 : GRAM_INF;
    int rc = 0;

    if (r->n_item == r->group[r->n_group - 1].seq)
        return wrong(r, r->p, E_INVALID, "%c has nothing before it to repeat", *r->p);
    if (*r->p == '{')
        rc = bounds(r, &min, &max);
    else
        r->p++;
    if (rc == 0)
        r->item[r->n_item - 1] = gram_repeat(r->g, r->item[r->n_item - 1], min, max);
    return rc;
}

/* -- groups
 * -------------------------------------------------------------------------------------------------
 */

static int open_group(struct reader *r)
{
    if (r->n_group == GBNF_DEPTH)
        return wrong(r, r->p, E_TOO_LONG, "groups nested deeper than %d", GBNF_DEPTH);
    r->group[r->n_group++] = (struct group){r->n_item, r->n_item};
    return 0;
}

/* The current sequence becomes an alternative. */
static int end_sequence(struct reader *r)
{
    struct group *top = &r->group[r->n_group - 1];
    gram_ref seq = gram_seq(r->g, r->item + top->seq, r->n_item - top->seq);
    int rc;

    r->n_item = top->seq;
    rc = put_item(r, seq);
    top->seq = r->n_item;
    return rc;
}

static int close_group(struct reader *r, gram_ref *out)
{
    struct group *top = &r->group[r->n_group - 1];
    int rc = end_sequence(r);

    if (rc == 0)
        *out = gram_alt(r->g, r->item + top->alts, r->n_item - top->alts);
    r->n_item = top->alts;
    r->n_group--;
    return rc;
}

static int close_inner(struct reader *r)
{
    gram_ref group;
    int rc;

    if (r->n_group == 1)
        return wrong(r, r->p, E_INVALID, ") without a (");
    r->p++;
    rc = close_group(r, &group);
    return rc == 0 ? put_item(r, group) : rc;
}

/* -- rules
 * ---------------------------------------------------------------------------------------------------
 */

/* <name>, !<name>, <[id]>: tokens of a vocabulary, which a grammar of bytes does not know. */
static int token(struct reader *r)
{
    const char *from = r->p, *to = from;

    while (to < r->end && *to != '>' && *to != '\n' && to - from < 60)
        to++;
    return wrong(r, from, E_INVALID,
                 "%.*s> names a token; a grammar of text cannot, write the text as a literal",
                 (int)(to - from), from);
}

static int reference(struct reader *r)
{
    struct rule *rule;
    int rc = find_rule(r, word(r), &rule);

    return rc == 0 ? put_item(r, rule->ref) : rc;
}

static int element(struct reader *r)
{
    int c = peek(r);
    struct rx *rx = gram_rx(r->g);

    switch (c) {
    case '"':
        return literal(r);
    case '[':
        return char_class(r);
    case '(':
        r->p++;
        return open_group(r);
    case ')':
        return close_inner(r);
    case '.':
        r->p++;
        return put_item(r, gram_text(r->g, rx_any(rx)));
    case '*':
    case '+':
    case '?':
    case '{':
        return repetition(r);
    case '<':
    case '!':
        return token(r);
    case '|':
        r->p++;
        return end_sequence(r);
    default:
        if (is_word(c))
            return reference(r);
        if (c > 0x20 && c < 0x7F)
            return wrong(r, r->p, E_INVALID, "unexpected '%c'", c);
        return wrong(r, r->p, E_INVALID, "unexpected byte 0x%02X", (unsigned)c);
    }
}

/* At a line's end outside of groups: 1 when the rule goes on with | on a later line. */
static int goes_on(struct reader *r)
{
    const char *here = r->p;

    skip(r, 1);
    if (peek(r) == '|')
        return 1;
    r->p = here;
    return 0;
}

static int body(struct reader *r, gram_ref *out)
{
    int rc = open_group(r);

    skip(r, 1);
    while (rc == 0) {
        int c = peek(r), bar = c == '|';

        if (c < 0 || (r->n_group == 1 && (c == '\n' || c == '\r') && !goes_on(r)))
            break;
        if (c != '\n' && c != '\r')
            rc = element(r);
        skip(r, r->n_group > 1 || bar);
    }
    if (rc == 0 && r->n_group > 1)
        rc = wrong(r, r->p, E_INVALID, "%zu ( without a )", r->n_group - 1);
    return rc == 0 ? close_group(r, out) : rc;
}

static int one_rule(struct reader *r)
{
    struct str name = word(r);
    struct rule *rule;
    gram_ref ref, own;
    int rc;

    if (!name.n)
        return wrong(r, r->p, E_INVALID, "a rule's name is expected here");
    skip(r, 0);
    if (r->end - r->p < 3 || memcmp(r->p, "::=", 3) != 0)
        return wrong(r, r->p, E_INVALID, "::= is expected behind the name %.*s",
                     (int)(name.n < 100 ? name.n : 100), name.p);
    rc = find_rule(r, name, &rule);
    if (rc == 0 && rule->set)
        rc = wrong(r, name.p, E_INVALID, "the rule %.*s is defined twice",
                   (int)(name.n < 100 ? name.n : 100), name.p);
    if (rc < 0)
        return rc;
    rule->set = 1;
    own = rule->ref;
    r->p += 3;
    rc = body(r, &ref);
    if (rc == 0)
        gram_rule_set(r->g, own, ref);
    return rc;
}

static int find_root(struct reader *r, gram_ref *root)
{
    uint32_t at;

    for (size_t i = 0; i < r->n_rule; i++) {
        const char *name = r->rule[i].used;
        size_t n = 0;

        while (name + n < r->end && is_word((unsigned char)name[n]))
            n++;
        if (!r->rule[i].set)
            return wrong(r, name, E_INVALID, "the rule %.*s is nowhere defined",
                         (int)(n < 100 ? n : 100), name);
    }
    if (!map_get(&r->names, str_of("root"), &at))
        return err_set(r->e, E_INVALID, "the grammar has no rule named root");
    *root = r->rule[at].ref;
    return 0;
}

int gbnf_parse(struct gram *g, struct str text, gram_ref *root, struct err *e)
{
    struct reader *r = mem_calloc(1, sizeof(*r));
    struct err own = {0};
    int rc;

    if (!r)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    r->g = g;
    r->begin = r->p = text.p ? text.p : "";
    r->end = r->begin + text.n;
    r->e = &own;
    rc = map_init(&r->names, 16) < 0 ? no_memory(r) : 0;
    skip(r, 1);
    while (rc == 0 && r->p < r->end) {
        rc = one_rule(r);
        skip(r, 1);
    }
    if (rc == 0)
        rc = find_root(r, root);
    if (rc < 0 && e)
        *e = own;
    map_done(&r->names);
    mem_free(r->rule);
    mem_free(r->item);
    mem_free(r);
    return rc;
}

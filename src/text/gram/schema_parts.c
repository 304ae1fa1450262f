/* schema_parts.c - what the rules of a schema are made of: white space, strings, numbers, any
 * value. */
#include "text/gram/schema_part.h"

/* Room for white space that a model may use and cannot get lost in: a blank, or a line's end
 * and this many blanks. */
#define INDENT "(\\n {0,20})"

/* Digits of numbers without and with a point: as many as readers tell apart who read into 64
 * bits, whole or floating. */
enum { WRITE_WHOLE = 19, WRITE_BROKEN = 15 };

static const struct {
    const char *check, *write;
} patterns[] = {
#define WS "[ \\t\\n\\r]*"
    {WS, ""},
    {"\\{" WS, "\\{" INDENT "?"},
    {WS "\\}", INDENT "?\\}"},
    {"\\[" WS, "\\[" INDENT "?"},
    {WS "\\]", INDENT "?\\]"},
    {WS ":" WS, ": ?"},
    {WS "," WS, ",( |" INDENT ")?"},
    {"\"", "\""},
    /* A character of a string: as it is, or escaped; beyond U+FFFF in two halves. */
    {"[^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\/bfnrt]"
     "|\\\\u([0-9A-CE-Fa-ce-f][0-9A-Fa-f]{3}|[Dd][0-7][0-9A-Fa-f]{2})"
     "|\\\\u[Dd][89ABab][0-9A-Fa-f]{2}\\\\u[Dd][C-Fc-f][0-9A-Fa-f]{2}",
     "[^\"\\\\\\x00-\\x1f]|\\\\[\"\\\\bfnrt]|\\\\u00(0[0-7b-f]|1[0-9a-f])"},
    {NULL, NULL},
    {"-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
     "-?(0|[1-9][0-9]{0,18})(\\.[0-9]{1,17})?([eE][+-]?[0-9]{1,2})?"},
    {"-?(0|[1-9][0-9]*)(\\.0+)?|-?[1-9][0-9]*(\\.0+)?[eE]\\+?[0-9]+"
     "|-?0(\\.0+)?[eE][+-]?[0-9]+",
     "-?(0|[1-9][0-9]{0,18})"},
};

/* Texts with an exponent, by class. */
#define E_ZERO  "0(\\.0+)?[eE][+-]?[0-9]+"
#define E_WHOLE "[1-9][0-9]*(\\.0+)?[eE]\\+?[0-9]+"
#define E_ANY   "(0|[1-9][0-9]*)(\\.[0-9]+)?[eE][+-]?[0-9]+"

static int parse(struct schema *s, const char *pattern, rx_id *out)
{
    return rx_parse(s->rx, str_of(pattern), 0, out, s->e);
}

int schema_parts_init(struct schema *s)
{
    gram_ref *at = &s->part.ws;
    int rc = numset_all(&s->numbers, &s->all, s->e);

    if (rc == 0)
        rc = numset_integers(&s->numbers, &s->integers, s->e);
    if (rc == 0)
        rc = numset_minus(&s->numbers, &s->all, &s->all, &s->no_number, s->e);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(*patterns) && rc == 0; i++) {
        const char *p = s->o.writing ? patterns[i].write : patterns[i].check;
        rx_id rx;

        if (!p || (rc = parse(s, p, &rx)) < 0)
            continue;
        at[i] = gram_text(s->g, rx);
    }
    s->any_text = rx_repeat(s->rx, rx_any(s->rx), 0, RX_INF);
    s->part.any_string = gram_json_string(s->g, s->any_text, s->o.writing);
    return rc < 0 ? rc : schema_rx_check(s);
}

gram_ref schema_parts_text(struct schema *s, const struct schema_text *t)
{
    gram_ref part[3] = {s->part.quote, GRAM_NEVER, s->part.quote};

    if (t->rx == RX_NONE || t->min > t->max)
        return GRAM_NEVER;
    if (t->rx != s->any_text)
        return gram_json_string(s->g, schema_text_rx(s, t), s->o.writing);
    if (t->min == 0 && t->max == GRAM_INF)
        return s->part.any_string;
    part[1] = gram_repeat(s->g, s->part.one_char, t->min, t->max);
    return gram_seq(s->g, part, 3);
}

/* -- numbers --------------------------------------------------------------------------- */

static gram_ref char_set(struct schema *s, uint32_t symbols)
{
    struct rx_range range[NUMSET_SYMBOLS];
    size_t n = 0;

    for (uint32_t c = 0; c < NUMSET_SYMBOLS; c++) {
        uint32_t cp = c < 10 ? '0' + c : c == NUMSET_MINUS ? '-' : '.';

        if (symbols & 1U << c)
            range[n++] = (struct rx_range){cp, cp};
    }
    return gram_text(s->g, rx_set(s->rx, range, n));
}

/* A rule for each state: it may end, or goes on with a character and another rule. */
static gram_ref automaton(struct schema *s, const struct numset *n)
{
    gram_ref *rule = arena_alloc(&s->arena, n->n * sizeof(*rule));

    if (!rule)
        return GRAM_NEVER;
    for (uint32_t i = 1; i < n->n; i++)
        rule[i] = gram_rule(s->g);
    for (uint32_t i = 1; i < n->n; i++) {
        gram_ref way[NUMSET_SYMBOLS + 1];
        uint32_t done = 0;
        size_t k = 0;

        if (n->accept[i])
            way[k++] = GRAM_EMPTY;
        for (uint32_t c = 0; c < NUMSET_SYMBOLS; c++) {
            gram_ref seq[2] = {GRAM_NEVER, GRAM_NEVER};
            uint32_t same = 0;

            if (!n->next[i][c] || done & 1U << c)
                continue;
            for (uint32_t d = c; d < NUMSET_SYMBOLS; d++)
                same |= n->next[i][d] == n->next[i][c] ? 1U << d : 0;
            done |= same;
            seq[0] = char_set(s, same);
            seq[1] = rule[n->next[i][c]];
            way[k++] = gram_seq(s->g, seq, 2);
        }
        gram_rule_set(s->g, rule[i], gram_alt(s->g, way, k));
    }
    return rule[1];
}

static int exponents(struct schema *s, unsigned must, gram_ref *out)
{
    struct rx *r = s->rx;
    rx_id zero = RX_NONE, whole = RX_NONE, any = RX_NONE, minus = RX_NONE, rx = RX_NONE, other,
          rest;
    int rc = parse(s, "-?" E_ZERO, &zero);

    if (rc == 0)
        rc = parse(s, E_WHOLE, &whole);
    if (rc == 0)
        rc = parse(s, E_ANY, &any);
    if (rc == 0)
        rc = parse(s, "-", &minus);
    if (rc < 0)
        return rc;
    rest = rx_not(r, rx_alt(r, zero, whole));
    other = rx_and(r, any, rest);
    if (must & NUMSET_E_ZERO)
        rx = zero;
    if (must & NUMSET_E_WHOLE)
        rx = rx_alt(r, rx, whole);
    if (must & NUMSET_E_OTHER)
        rx = rx_alt(r, rx, other);
    if (must & NUMSET_E_NEG_WHOLE)
        rx = rx_alt(r, rx, rx_seq(r, minus, whole));
    if (must & NUMSET_E_NEG_OTHER)
        rx = rx_alt(r, rx, rx_seq(r, minus, other));
    *out = gram_text(s->g, rx);
    return schema_rx_check(s);
}

/* For writing: not longer than makes sense, and without a point where only whole ones are. */
static int shorten(struct schema *s, const struct numset *n, struct numset *out)
{
    uint32_t whole = s->n_int + 1 > WRITE_WHOLE ? s->n_int + 1 : WRITE_WHOLE;
    uint32_t broken = s->n_int + s->n_frac + 1;
    struct numset few, rest;
    int rc = numset_minus(&s->numbers, n, &s->integers, &rest, s->e);

    rest.must = 0;
    if (broken < WRITE_BROKEN)
        broken = WRITE_BROKEN;
    if (rc == 0)
        rc = numset_short(&s->numbers, whole, numset_is_empty(&rest) ? 0 : broken, &few, s->e);
    return rc < 0 ? rc : numset_and(&s->numbers, n, &few, out, s->e);
}

int schema_parts_number(struct schema *s, const struct numset *n, gram_ref *out)
{
    struct numset set = *n;
    gram_ref way[2] = {GRAM_NEVER, GRAM_NEVER};
    int rc = 0;

    if (n->next == s->all.next || n->next == s->integers.next) {
        *out = n->next == s->all.next ? s->part.any_number : s->part.integer;
        return 0;
    }
    if (s->o.writing)
        rc = shorten(s, n, &set);
    else if (n->must)
        rc = exponents(s, n->must, &way[1]);
    if (rc == 0)
        way[0] = automaton(s, &set);
    *out = gram_alt(s->g, way, 2);
    return rc;
}

/* -- any value ------------------------------------------------------------------------- */

static gram_ref any_object(struct schema *s, gram_ref value)
{
    const struct gram_rest rest = {s->any_text, value};
    const struct gram_object o = {.rest = &rest,
                                  .n_rest = 1,
                                  .max = GRAM_INF,
                                  .ordered = s->o.writing,
                                  .plain = s->o.writing,
                                  .open = s->part.open_object,
                                  .colon = s->part.colon,
                                  .comma = s->part.comma,
                                  .close = s->part.close_object};

    return gram_object(s->g, &o);
}

/* The rule of any value, made when it is first asked for. */
gram_ref schema_parts_any(struct schema *s, int object_only)
{
    struct gram_array a = {.max = GRAM_INF,
                           .open = s->part.open_array,
                           .comma = s->part.comma,
                           .close = s->part.close_array};
    gram_ref way[7], object;

    if (!s->part.any)
        s->part.any = gram_rule(s->g);
    else if (!object_only)
        return s->part.any;
    object = any_object(s, s->part.any);
    if (object_only && s->part.any_set)
        return object;
    a.items = s->part.any;
    way[0] = gram_bytes(s->g, str_of("null"));
    way[1] = gram_bytes(s->g, str_of("false"));
    way[2] = gram_bytes(s->g, str_of("true"));
    way[3] = s->part.any_number;
    way[4] = s->part.any_string;
    way[5] = gram_array(s->g, &a);
    way[6] = object;
    gram_rule_set(s->g, s->part.any, gram_alt(s->g, way, 7));
    s->part.any_set = 1;
    return object_only ? object : s->part.any;
}

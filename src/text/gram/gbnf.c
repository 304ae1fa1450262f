/* gbnf.c - a reader of GBNF: one pass, open groups on a stack.
 *
 * Items of all open groups stand in one array; a group knows where its alternatives begin and
 * where its current sequence does. At | and ) the sequence becomes one item.
 */
#include "text/gram/gbnf_priv.h"

#include "base/mem.h"

/* -- errors --------------------------------------------------------------------------- */

int gbnf_wrong(struct gbnf_reader *r, const char *at, int code, const char *fmt, ...)
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

int gbnf_no_memory(struct gbnf_reader *r)
{
    return err_set(r->e, E_NOMEM, "no memory for the grammar");
}

/* -- small things --------------------------------------------------------------------- */

static int is_word(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_';
}

/* Blanks and comments; line ends, too, when they are allowed. */
static void skip(struct gbnf_reader *r, int lines)
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

static struct str word(struct gbnf_reader *r)
{
    const char *from = r->p;

    while (is_word(gbnf_peek(r)))
        r->p++;
    return (struct str){from, (size_t)(r->p - from)};
}

int gbnf_put(struct gbnf_reader *r, gram_ref ref)
{
    if (r->n_item == r->cap_item) {
        size_t cap = r->cap_item * 2;
        gram_ref *p = mem_realloc(r->item, cap * sizeof(*p));

        if (!p)
            return gbnf_no_memory(r);
        r->item = p;
        r->cap_item = cap;
    }
    r->item[r->n_item++] = ref;
    return 0;
}

static int find_rule(struct gbnf_reader *r, struct str name, struct gbnf_rule **out)
{
    uint32_t at;

    if (map_get(&r->names, name, &at)) {
        *out = &r->rule[at];
        return 0;
    }
    if (r->n_rule == r->cap_rule) {
        size_t cap = r->cap_rule ? r->cap_rule * 2 : 64;
        struct gbnf_rule *p = mem_realloc(r->rule, cap * sizeof(*p));

        if (!p)
            return gbnf_no_memory(r);
        r->rule = p;
        r->cap_rule = cap;
    }
    if (map_put(&r->names, name, (uint32_t)r->n_rule, NULL) < 0)
        return gbnf_no_memory(r);
    *out = &r->rule[r->n_rule++];
    **out = (struct gbnf_rule){.ref = gram_rule(r->g), .used = name.p};
    gram_rule_name(r->g, (*out)->ref, name);
    return 0;
}

/* -- repetitions ---------------------------------------------------------------------- */

static int number(struct gbnf_reader *r, uint64_t *out)
{
    const char *at = r->p;

    if (!gbnf_is_digit(gbnf_peek(r)))
        return gbnf_wrong(r, at, E_INVALID, "a number is missing in {}");
    for (*out = 0; gbnf_is_digit(gbnf_peek(r)); r->p++) {
        *out = *out * 10 + (uint64_t)(*r->p - '0');
        if (*out > UINT32_MAX)
            return gbnf_wrong(r, at, E_INVALID, "more than %u repetitions",
                              (unsigned)UINT32_MAX);
    }
    skip(r, 1);
    return 0;
}

static int bounds(struct gbnf_reader *r, uint64_t *min, uint64_t *max)
{
    const char *at = r->p++;
    int rc;

    skip(r, 1);
    rc = number(r, min);
    *max = *min;
    if (rc == 0 && gbnf_peek(r) == ',') {
        r->p++;
        skip(r, 1);
        *max = GRAM_INF;
        if (gbnf_peek(r) != '}')
            rc = number(r, max);
    }
    if (rc < 0)
        return rc;
    if (gbnf_peek(r) != '}')
        return gbnf_wrong(r, r->p, E_INVALID, "} is missing");
    r->p++;
    return *min <= *max
               ? 0
               : gbnf_wrong(r, at, E_INVALID, "the bounds in {} are the wrong way round");
}

static int repetition(struct gbnf_reader *r)
{
    uint64_t min = *r->p == '+', max = *r->p == '?' ? 1 : GRAM_INF;
    int rc = 0;

    if (r->n_item == r->group[r->n_group - 1].seq)
        return gbnf_wrong(r, r->p, E_INVALID, "%c has nothing before it to repeat", *r->p);
    if (*r->p == '{')
        rc = bounds(r, &min, &max);
    else
        r->p++;
    if (rc == 0)
        r->item[r->n_item - 1] = gram_repeat(r->g, r->item[r->n_item - 1], min, max);
    return rc;
}

/* -- groups --------------------------------------------------------------------------- */

static int open_group(struct gbnf_reader *r)
{
    if (r->n_group == GBNF_DEPTH)
        return gbnf_wrong(r, r->p, E_TOO_LONG, "groups nested deeper than %d", GBNF_DEPTH);
    r->group[r->n_group++] = (struct gbnf_group){r->n_item, r->n_item};
    return 0;
}

/* The current sequence becomes an alternative. */
static int end_sequence(struct gbnf_reader *r)
{
    struct gbnf_group *top = &r->group[r->n_group - 1];
    gram_ref seq = gram_seq(r->g, r->item + top->seq, r->n_item - top->seq);
    int rc;

    r->n_item = top->seq;
    rc = gbnf_put(r, seq);
    top->seq = r->n_item;
    return rc;
}

static int close_group(struct gbnf_reader *r, gram_ref *out)
{
    struct gbnf_group *top = &r->group[r->n_group - 1];
    int rc = end_sequence(r);

    if (rc == 0)
        *out = gram_alt(r->g, r->item + top->alts, r->n_item - top->alts);
    r->n_item = top->alts;
    r->n_group--;
    return rc;
}

static int close_inner(struct gbnf_reader *r)
{
    gram_ref group;
    int rc;

    if (r->n_group == 1)
        return gbnf_wrong(r, r->p, E_INVALID, ") without a (");
    r->p++;
    rc = close_group(r, &group);
    return rc == 0 ? gbnf_put(r, group) : rc;
}

/* -- rules ---------------------------------------------------------------------------- */

/* <name>, !<name>, <[id]>: tokens of a vocabulary, which a grammar of bytes does not know. */
static int token(struct gbnf_reader *r)
{
    const char *from = r->p, *to = from;

    while (to < r->end && *to != '>' && *to != '\n' && to - from < 60)
        to++;
    return gbnf_wrong(
        r, from, E_INVALID,
        "%.*s> names a token; a grammar of text cannot, write the text as a literal",
        (int)(to - from), from);
}

static int reference(struct gbnf_reader *r)
{
    struct gbnf_rule *rule;
    int rc = find_rule(r, word(r), &rule);

    return rc == 0 ? gbnf_put(r, rule->ref) : rc;
}

static int element(struct gbnf_reader *r)
{
    int c = gbnf_peek(r);
    struct rx *rx = gram_rx(r->g);

    switch (c) {
    case '"':
        return gbnf_literal(r);
    case '[':
        return gbnf_class(r);
    case '(':
        r->p++;
        return open_group(r);
    case ')':
        return close_inner(r);
    case '.':
        r->p++;
        return gbnf_put(r, gram_text(r->g, rx_any(rx)));
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
            return gbnf_wrong(r, r->p, E_INVALID, "unexpected '%c'", c);
        return gbnf_wrong(r, r->p, E_INVALID, "unexpected byte 0x%02X", (unsigned)c);
    }
}

/* At a line's end outside of groups: 1 when the rule goes on with | on a later line. */
static int goes_on(struct gbnf_reader *r)
{
    const char *here = r->p;

    skip(r, 1);
    if (gbnf_peek(r) == '|')
        return 1;
    r->p = here;
    return 0;
}

static int body(struct gbnf_reader *r, gram_ref *out)
{
    int rc = open_group(r);

    skip(r, 1);
    while (rc == 0) {
        int c = gbnf_peek(r), bar = c == '|';

        if (c < 0 || (r->n_group == 1 && (c == '\n' || c == '\r') && !goes_on(r)))
            break;
        if (c != '\n' && c != '\r')
            rc = element(r);
        skip(r, r->n_group > 1 || bar);
    }
    if (rc == 0 && r->n_group > 1)
        rc = gbnf_wrong(r, r->p, E_INVALID, "%zu ( without a )", r->n_group - 1);
    return rc == 0 ? close_group(r, out) : rc;
}

static int one_rule(struct gbnf_reader *r)
{
    struct str name = word(r);
    struct gbnf_rule *rule;
    gram_ref ref, own;
    int rc;

    if (!name.n)
        return gbnf_wrong(r, r->p, E_INVALID, "a rule's name is expected here");
    skip(r, 0);
    if (r->end - r->p < 3 || memcmp(r->p, "::=", 3) != 0)
        return gbnf_wrong(r, r->p, E_INVALID, "::= is expected behind the name %.*s",
                          (int)(name.n < 100 ? name.n : 100), name.p);
    rc = find_rule(r, name, &rule);
    if (rc == 0 && rule->set)
        rc = gbnf_wrong(r, name.p, E_INVALID, "the rule %.*s is defined twice",
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

static int find_root(struct gbnf_reader *r, gram_ref *root)
{
    uint32_t at;

    for (size_t i = 0; i < r->n_rule; i++) {
        const char *name = r->rule[i].used;
        size_t n = 0;

        while (name + n < r->end && is_word((unsigned char)name[n]))
            n++;
        if (!r->rule[i].set)
            return gbnf_wrong(r, name, E_INVALID, "the rule %.*s is nowhere defined",
                              (int)(n < 100 ? n : 100), name);
    }
    if (!map_get(&r->names, str_of("root"), &at))
        return err_set(r->e, E_INVALID, "the grammar has no rule named root");
    *root = r->rule[at].ref;
    return 0;
}

int gbnf_parse(struct gram *g, struct str text, gram_ref *root, struct err *e)
{
    struct gbnf_reader *r = mem_calloc(1, sizeof(*r));
    struct err own = {0};
    int rc;

    if (!r)
        return err_set(e, E_NOMEM, "no memory for the grammar");
    r->g = g;
    r->begin = r->p = text.p ? text.p : "";
    r->end = r->begin + text.n;
    r->e = &own;
    r->cap_item = 64;
    r->item = mem_alloc(r->cap_item * sizeof(*r->item));
    rc = map_init(&r->names, 16) < 0 || !r->item ? gbnf_no_memory(r) : 0;
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

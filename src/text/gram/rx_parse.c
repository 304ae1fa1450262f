/* rx_parse.c - patterns as ECMA-262 has them with the u flag.
 *
 * ^ and $ are no characters, so a part of a pattern is four expressions: what it matches
 * anywhere, only where the text begins, only up to where it ends, and both. When parts are put
 * together, what stands before a part that needs the begin must be empty, and likewise behind.
 *
 * Groups are kept on a stack of our own: parts of the sequence that is being read lie above
 * those of the groups around it, and so do finished alternatives.
 */
#include "text/gram/rx_priv.h"

#include "base/utf8.h"

enum { BEGIN = 1, END = 2, WAYS = 4, DEPTH = 1000 };

static const uint32_t NO_CHAR = UINT32_MAX;

struct part {
    rx_id way[WAYS]; /* by BEGIN and END */
};

struct item {
    struct part part;
    uint32_t cp; /* a plain character, whose part is not made yet; or NO_CHAR */
};

struct level {
    size_t at, items, alts; /* where it was opened; what belongs to it begins there */
};

struct reader {
    struct rx_scan scan;
    struct rx_vec item, alt, level, ids, bytes;
};

/* -- parts ----------------------------------------------------------------------------- */

static struct part plain(rx_id id)
{
    return (struct part){{id, RX_NONE, RX_NONE, RX_NONE}};
}

static int is_plain(const struct part *p)
{
    return p->way[BEGIN] == RX_NONE && p->way[END] == RX_NONE && p->way[BEGIN | END] == RX_NONE;
}

static rx_id only_empty(const struct rx *r, rx_id id)
{
    return rx_accepts(r, id) ? RX_EMPTY : RX_NONE;
}

static struct part behind(struct rx *r, struct part a, struct part b)
{
    struct part out = {{RX_NONE}};

    for (int i = 0; i < WAYS; i++) {
        for (int k = 0; k < WAYS; k++) {
            rx_id x = a.way[i], y = b.way[k];

            if (x == RX_NONE || y == RX_NONE)
                continue;
            x = k & BEGIN ? only_empty(r, x) : x;
            y = i & END ? only_empty(r, y) : y;
            out.way[i | k] = rx_alt(r, out.way[i | k], rx_seq(r, x, y));
        }
    }
    return out;
}

static struct part either(struct rx *r, struct part a, struct part b)
{
    for (int i = 0; i < WAYS; i++)
        a.way[i] = rx_alt(r, a.way[i], b.way[i]);
    return a;
}

static uint32_t less(uint32_t n, uint32_t by)
{
    return n == RX_INF ? n : n > by ? n - by : 0;
}

/* min to max of x, where those that need begin or end are at most the first and the last. */
static struct part row(struct rx *r, struct part x, uint32_t min, uint32_t max)
{
    rx_id any = x.way[0];
    struct part mid, all = plain(rx_repeat(r, any, min, max));

    if (max >= 1) {
        mid = plain(rx_repeat(r, any, less(min, 1), less(max, 1)));
        all = either(r, all, behind(r, x, mid));
        all = either(r, all, behind(r, mid, x));
    }
    if (max >= 2) {
        mid = plain(rx_repeat(r, any, less(min, 2), less(max, 2)));
        all = either(r, all, behind(r, behind(r, x, mid), x));
    }
    return all;
}

static struct part repeated(struct rx *r, struct part x, uint32_t min, uint32_t max)
{
    struct part all, none = {{RX_NONE}};

    if (is_plain(&x))
        return plain(rx_repeat(r, x.way[0], min, max));
    all = row(r, x, min, max);
    /* What is empty and only needs begin or end may come again and again where it is. */
    for (int i = 1; i < WAYS; i++)
        none.way[i] = only_empty(r, x.way[i]);
    if (max >= 1 && !is_plain(&none)) {
        struct part rest = row(r, x, 0, less(max, 1));

        all = either(r, all, either(r, behind(r, none, rest), behind(r, rest, none)));
    }
    if (max >= 2 && !is_plain(&none)) {
        struct part rest = row(r, x, 0, less(max, 2));

        all = either(r, all, behind(r, behind(r, none, rest), none));
    }
    return all;
}

/* -- sequences and alternatives -------------------------------------------------------- */

/* The characters that end before item `end` and belong together, as one text; *end: the first
 * of them. */
static rx_id text_of(struct reader *p, size_t from, size_t *end)
{
    struct rx *r = p->scan.r;
    const struct item *it = p->item.p;
    size_t at = *end;

    while (at > from && it[at - 1].cp != NO_CHAR && (it[at - 1].cp & ~0x7FFu) != 0xD800)
        at--;
    p->bytes.n = 0;
    if (rx_room(r, &p->bytes, (*end - at) * 4, 1) < 0)
        return RX_NONE;
    for (size_t i = at; i < *end; i++)
        p->bytes.n += (size_t)utf8_put((int32_t)it[i].cp, RX_AT(char, p->bytes) + p->bytes.n);
    if (at == *end) { /* a surrogate alone, which nothing matches */
        *end = at - 1;
        return RX_NONE;
    }
    *end = at;
    return rx_text(r, (struct str){p->bytes.p, p->bytes.n});
}

/* The items since `from` become one alternative. */
static int end_sequence(struct reader *p, size_t from)
{
    struct rx *r = p->scan.r;
    struct part all = plain(RX_EMPTY);
    size_t n = p->item.n;
    int rc;

    while (n > from) {
        const struct item *it = RX_AT(struct item, p->item) + n - 1;
        struct part one;

        if (it->cp == NO_CHAR) {
            one = it->part;
            n--;
        } else {
            one = plain(text_of(p, from, &n));
        }
        all = behind(r, one, all);
    }
    p->item.n = from;
    rc = rx_room(r, &p->alt, 1, sizeof(all));
    if (rc == 0)
        RX_AT(struct part, p->alt)[p->alt.n++] = all;
    return rc;
}

/* The alternatives since `from` become one part. */
static int end_alternatives(struct reader *p, size_t from, struct part *out)
{
    size_t n = p->alt.n - from;
    int rc = rx_room(p->scan.r, &p->ids, n, sizeof(rx_id));

    for (int i = 0; i < WAYS && rc == 0; i++) {
        rx_id *id = p->ids.p;

        for (size_t k = 0; k < n; k++)
            id[k] = RX_AT(struct part, p->alt)[from + k].way[i];
        out->way[i] = rx_alts(p->scan.r, id, n);
    }
    p->alt.n = from;
    return rc;
}

static int put_item(struct reader *p, struct part part, uint32_t cp)
{
    int rc = rx_room(p->scan.r, &p->item, 1, sizeof(struct item));

    if (rc == 0)
        RX_AT(struct item, p->item)[p->item.n++] = (struct item){part, cp};
    return rc;
}

/* -- groups ---------------------------------------------------------------------------- */

static int open_level(struct reader *p)
{
    struct rx *r = p->scan.r;
    struct level l = {p->scan.at, p->item.n, p->alt.n};
    int rc;

    if (p->level.n > DEPTH)
        return rx_wrong(&p->scan, E_TOO_LONG, p->scan.at, "groups nested more than %d deep",
                        DEPTH);
    rc = rx_room(r, &p->level, 1, sizeof(l));
    if (rc == 0)
        RX_AT(struct level, p->level)[p->level.n++] = l;
    return rc;
}

/* What stands behind "(?". */
static const struct {
    const char *text, *name; /* name: refused */
} group_kinds[] = {
    {":", NULL},
    {"=", "a lookahead (?=...)"},
    {"!", "a negative lookahead (?!...)"},
    {"<=", "a lookbehind (?<=...)"},
    {"<!", "a negative lookbehind (?<!...)"},
    {"<", NULL},
    {"i", "flags in a group (?i...)"},
    {"m", "flags in a group (?m...)"},
    {"s", "flags in a group (?s...)"},
    {"-", "flags in a group (?-...)"},
};

/* The name of a group, and >. */
static int group_name(struct rx_scan *s, size_t from)
{
    size_t begin = s->at;

    for (; s->at < s->s.n && s->s.p[s->at] != '>'; s->at++) {
        unsigned char c = (unsigned char)s->s.p[s->at];
        int digit = c >= '0' && c <= '9', letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

        if (!letter && !(digit && s->at > begin) && c != '_' && c != '$' && c < 0x80)
            break;
    }
    if (s->at == begin || s->at >= s->s.n || s->s.p[s->at] != '>')
        return rx_wrong(s, E_INVALID, from, "a group's name must be letters, then >");
    s->at++;
    return 0;
}

static int open_group(struct reader *p)
{
    struct rx_scan *s = &p->scan;
    size_t from = s->at;
    int rc = open_level(p);

    if (rc < 0)
        return rc;
    s->at++;
    if (s->at >= s->s.n || s->s.p[s->at] != '?')
        return 0;
    s->at++;
    for (size_t i = 0; i < sizeof(group_kinds) / sizeof(*group_kinds); i++) {
        size_t n = strlen(group_kinds[i].text);

        if (s->s.n - s->at < n || memcmp(s->s.p + s->at, group_kinds[i].text, n) != 0)
            continue;
        s->at += n;
        if (group_kinds[i].name)
            return rx_wrong(s, E_UNSUPPORTED, from, "%s", group_kinds[i].name);
        return group_kinds[i].text[0] == '<' ? group_name(s, from) : 0;
    }
    return rx_wrong(s, E_INVALID, from, "(? begins no group that exists");
}

static int close_level(struct reader *p, struct part *out)
{
    struct level l = RX_AT(struct level, p->level)[--p->level.n];
    int rc = end_sequence(p, l.items);

    return rc < 0 ? rc : end_alternatives(p, l.alts, out);
}

/* -- repetitions ----------------------------------------------------------------------- */

/* Digits at s->at; 0: none are there. */
static int number(struct rx_scan *s, uint32_t *out)
{
    uint64_t v = 0;
    size_t from = s->at;

    for (; s->at < s->s.n && s->s.p[s->at] >= '0' && s->s.p[s->at] <= '9'; s->at++) {
        v = v * 10 + (uint64_t)(s->s.p[s->at] - '0');
        if (v >= RX_INF)
            return rx_wrong(s, E_TOO_LONG, from, "a repetition of more than %u times",
                            (unsigned)(RX_INF - 1));
    }
    *out = (uint32_t)v;
    return s->at > from;
}

static int in_braces(struct rx_scan *s, uint32_t *min, uint32_t *max)
{
    size_t from = s->at++;
    int rc = number(s, min);

    *max = *min;
    if (rc > 0 && s->at < s->s.n && s->s.p[s->at] == ',') {
        s->at++;
        rc = number(s, max);
        if (rc == 0) {
            *max = RX_INF;
            rc = 1;
        }
    }
    if (rc < 0)
        return rc;
    if (rc == 0 || s->at >= s->s.n || s->s.p[s->at] != '}')
        return rx_wrong(s, E_INVALID, from, "{ begins no repetition; as a character it is \\{");
    s->at++;
    if (*min > *max)
        return rx_wrong(s, E_INVALID, from, "a repetition whose numbers are out of order");
    return 1;
}

/* A quantifier, if there is one: 1. */
static int quantifier(struct rx_scan *s, uint32_t *min, uint32_t *max)
{
    char c = s->at < s->s.n ? s->s.p[s->at] : '\0';
    int rc = 1;

    if (c == '{')
        rc = in_braces(s, min, max);
    else if (c != '*' && c != '+' && c != '?')
        return 0;
    else
        s->at++;
    if (c != '{') {
        *min = c == '+';
        *max = c == '?' ? 1 : RX_INF;
    }
    /* Lazy or not is the same to what matches. */
    if (rc > 0 && s->at < s->s.n && s->s.p[s->at] == '?')
        s->at++;
    return rc;
}

/* An item was read: with what repeats it, it joins the sequence. */
static int finish_item(struct reader *p, struct part part, uint32_t cp)
{
    struct rx *r = p->scan.r;
    uint32_t min, max;
    int rc = quantifier(&p->scan, &min, &max);

    if (rc < 0)
        return rc;
    if (rc == 0)
        return put_item(p, part, cp);
    if (cp != NO_CHAR)
        part = plain(rx_set(r, &(struct rx_range){cp, cp}, 1));
    return put_item(p, repeated(r, part, min, max), NO_CHAR);
}

/* -- reading --------------------------------------------------------------------------- */

static int read_escape(struct reader *p)
{
    struct rx_escape x;
    int rc = rx_escape(&p->scan, 0, &x);

    if (rc < 0)
        return rc;
    return finish_item(p, plain(x.set), x.is_set ? NO_CHAR : x.cp);
}

static int read_class(struct reader *p)
{
    rx_id id;
    int rc = rx_class(&p->scan, &id);

    return rc < 0 ? rc : finish_item(p, plain(id), NO_CHAR);
}

/* ^ and $ are no items that can be repeated. */
static int read_anchor(struct reader *p)
{
    struct part part = {{RX_NONE}};
    uint32_t min, max;
    size_t from;
    int rc;

    part.way[p->scan.s.p[p->scan.at++] == '^' ? BEGIN : END] = RX_EMPTY;
    from = p->scan.at;
    rc = quantifier(&p->scan, &min, &max);
    if (rc > 0)
        return rx_wrong(&p->scan, E_INVALID, from, "nothing to repeat");
    return rc < 0 ? rc : put_item(p, part, NO_CHAR);
}

static int read_close(struct reader *p)
{
    size_t from = p->scan.at++;
    struct part part;
    int rc;

    if (p->level.n == 1)
        return rx_wrong(&p->scan, E_INVALID, from, ") without (");
    rc = close_level(p, &part);
    return rc < 0 ? rc : finish_item(p, part, NO_CHAR);
}

static int read_one(struct reader *p)
{
    size_t from = p->scan.at;
    char c = p->scan.s.p[from];
    uint32_t cp;
    int rc;

    switch (c) {
    case '(':
        return open_group(p);
    case ')':
        return read_close(p);
    case '|':
        p->scan.at++;
        return end_sequence(p, RX_AT(struct level, p->level)[p->level.n - 1].items);
    case '[':
        return read_class(p);
    case '\\':
        return read_escape(p);
    case '^':
    case '$':
        return read_anchor(p);
    case '.':
        p->scan.at++;
        return finish_item(p, plain(rx_shorthand(p->scan.r, RX_DOT)), NO_CHAR);
    case '*':
    case '+':
    case '?':
    case '{':
        return rx_wrong(&p->scan, E_INVALID, from, "nothing to repeat");
    case ']':
    case '}':
        return rx_wrong(&p->scan, E_INVALID, from, "%c alone; as a character it is \\%c", c, c);
    default:
        rc = rx_scan_char(&p->scan, &cp);
        return rc < 0 ? rc : finish_item(p, plain(RX_NONE), cp);
    }
}

/* What a part matches where all of the text is asked, or some place in it. */
static rx_id whole(struct rx *r, const struct part *p, int flags)
{
    rx_id part[WAYS];

    for (int i = 0; i < WAYS; i++) {
        part[i] = p->way[i];
        if ((flags & RX_SEARCH) && !(i & BEGIN))
            part[i] = rx_seq(r, r->all, part[i]);
        if ((flags & RX_SEARCH) && !(i & END))
            part[i] = rx_seq(r, part[i], r->all);
    }
    return rx_alts(r, part, WAYS);
}

int rx_parse(struct rx *r, struct str pattern, int flags, rx_id *out, struct err *e)
{
    struct reader p = {.scan = {.r = r, .s = pattern, .e = e}};
    struct part part;
    rx_id id = RX_NONE;
    int rc = r->failed.code;

    r->work = 0;
    if (rc == 0)
        rc = open_level(&p);
    while (rc == 0 && p.scan.at < pattern.n) {
        rc = read_one(&p);
        if (r->failed.code)
            rc = r->failed.code;
    }
    if (rc == 0 && p.level.n > 1)
        rc = rx_wrong(&p.scan, E_INVALID, RX_AT(struct level, p.level)[p.level.n - 1].at,
                      "( without )");
    if (rc == 0)
        rc = close_level(&p, &part);
    if (rc == 0)
        id = whole(r, &part, flags);
    rx_drop(r, &p.item, sizeof(struct item));
    rx_drop(r, &p.alt, sizeof(struct part));
    rx_drop(r, &p.level, sizeof(struct level));
    rx_drop(r, &p.ids, sizeof(rx_id));
    rx_drop(r, &p.bytes, 1);
    if (r->failed.code)
        return rx_error(r, e);
    if (rc == 0)
        *out = id;
    return rc;
}

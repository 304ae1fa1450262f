/* Methods of strings that cut them: what they give has the marks of what was cut. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"

static int strip(struct jinja_run *run, struct jinja_call *c, int sides, struct value *out)
{
    const struct value_text *s = c->self.s, *chars = NULL;
    size_t from, to;
    int rc = 0;

    if (!jinja_absent(c->a[0]) && c->a[0].kind != VALUE_NONE) {
        rc = jinja_need_str(run, c->a[0], "strip");
        if (rc < 0)
            return rc;
        chars = c->a[0].s;
        if (chars->n > 64)
            rc = value_pay(&run->room, s->n / 64 * (chars->n / 64));
    }
    if (rc < 0)
        return rc;
    jinja_strip(s, chars, sides, &from, &to);
    if (from == 0 && to == s->n) {
        *out = c->self;
        return value_pay(&run->room, 1);
    }
    rc = value_pay(&run->room, (s->n - (to - from)) / 32); /* what was looked at */
    return rc < 0 ? rc : value_cut(&run->room, s, from, to, out);
}

static int m_strip(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return strip(run, c, 3, out);
}

static int m_lstrip(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return strip(run, c, 1, out);
}

static int m_rstrip(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return strip(run, c, 2, out);
}

static int add_cut(struct jinja_run *run, struct value list, const struct value_text *s,
                   size_t from, size_t to)
{
    struct value v;
    int rc = value_cut(&run->room, s, from, to, &v);

    if (rc == 0)
        rc = value_append(&run->room, list, v);
    return rc < 0 ? rc : value_pay(&run->room, 1);
}

/* Splits at runs of white space. */
static int split_words(struct jinja_run *run, const struct value_text *s, int64_t max,
                       struct value list)
{
    size_t i = 0, from, to;
    int rc = 0;

    while (rc == 0) {
        struct value_text rest = {.p = s->p + i, .n = s->n - i};

        jinja_strip(&rest, NULL, 1, &from, &to);
        from += i;
        if (from == s->n)
            break;
        if (max-- == 0)
            return add_cut(run, list, s, from, s->n);
        for (i = from; i < s->n;) {
            int32_t cp;
            int n = utf8_next(s->p + i, s->n - i, &cp);

            if (jinja_space(cp))
                break;
            i += (size_t)n;
        }
        rc = add_cut(run, list, s, from, i);
    }
    return rc;
}

static void turn_round(struct value_list *l)
{
    for (size_t i = 0; i < l->n / 2; i++) {
        struct value v = l->v[i];

        l->v[i] = l->v[l->n - 1 - i];
        l->v[l->n - 1 - i] = v;
    }
}

static int rsplit_words(struct jinja_run *run, const struct value_text *s, int64_t max,
                        struct value list)
{
    size_t to = s->n, from, i;
    int rc = 0;

    while (rc == 0) {
        struct value_text rest = {.p = s->p, .n = to};

        jinja_strip(&rest, NULL, 2, &from, &to);
        if (to == 0)
            break;
        if (max-- == 0) {
            rc = add_cut(run, list, s, 0, to);
            break;
        }
        for (i = to; i > 0; i = from) {
            int32_t cp;

            for (from = i - 1; from > 0 && ((unsigned char)s->p[from] & 0xC0) == 0x80;)
                from--;
            (void)utf8_next(s->p + from, i - from, &cp);
            if (jinja_space(cp))
                break;
        }
        rc = add_cut(run, list, s, i, to);
        to = i;
    }
    turn_round(list.l);
    return rc;
}

static int split_at(struct jinja_run *run, const struct value_text *s,
                    const struct value_text *sep, int64_t max, struct value list)
{
    size_t from = 0, at;
    int rc = 0;

    for (; rc == 0 && max != 0; max--) {
        at = jinja_find((struct str){s->p, s->n}, (struct str){sep->p, sep->n}, from, s->n);
        if (at == SIZE_MAX)
            break;
        rc = add_cut(run, list, s, from, at);
        from = at + sep->n;
    }
    return rc < 0 ? rc : add_cut(run, list, s, from, s->n);
}

/* The last place of needle in s[from..to). */
static size_t find_last(struct str s, struct str needle, size_t from, size_t to)
{
    if (from > to || needle.n > to - from)
        return SIZE_MAX;
    for (size_t at = to - needle.n + 1; at-- > from;) {
        if (needle.n == 0 ||
            (s.p[at] == needle.p[0] && memcmp(s.p + at, needle.p, needle.n) == 0))
            return at;
    }
    return SIZE_MAX;
}

static int rsplit_at(struct jinja_run *run, const struct value_text *s,
                     const struct value_text *sep, int64_t max, struct value list)
{
    size_t to = s->n, at;
    int rc = value_pay(&run->room, s->n / 64 * (sep->n / 16 + 1));

    for (; rc == 0 && max != 0; max--) {
        at = find_last((struct str){s->p, s->n}, (struct str){sep->p, sep->n}, 0, to);
        if (at == SIZE_MAX)
            break;
        rc = add_cut(run, list, s, at + sep->n, to);
        to = at;
    }
    if (rc == 0)
        rc = add_cut(run, list, s, 0, to);
    turn_round(list.l);
    return rc;
}

static int split(struct jinja_run *run, struct jinja_call *c, int last, struct value *out)
{
    int words = jinja_absent(c->a[0]) || c->a[0].kind == VALUE_NONE;
    int64_t max = -1;
    int rc = words ? 0 : jinja_need_str(run, c->a[0], "split");

    if (rc == 0 && !jinja_absent(c->a[1]))
        rc = jinja_need_int(run, c->a[1], "split: maxsplit", &max);
    max = max < 0 ? -1 : max;
    if (rc == 0)
        rc = value_list(&run->room, VALUE_LIST, 0, out);
    if (rc == 0)
        rc = value_pay(&run->room, c->self.s->n / 64);
    if (rc < 0)
        return rc;
    if (words)
        return (last ? rsplit_words : split_words)(run, c->self.s, max, *out);
    if (c->a[0].s->n == 0)
        return value_fail(&run->room, E_INVALID, "split: the separator is empty");
    return (last ? rsplit_at : split_at)(run, c->self.s, c->a[0].s, max, *out);
}

static int m_split(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return split(run, c, 0, out);
}

static int m_rsplit(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return split(run, c, 1, out);
}

static int ends_line(int32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 28 && cp <= 30) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

static int m_splitlines(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_text *s = c->self.s;
    int keep = !jinja_absent(c->a[0]) && value_true(c->a[0]);
    int rc = value_list(&run->room, VALUE_LIST, 0, out);
    size_t from = 0, i = 0;

    while (i < s->n && rc == 0) {
        int32_t cp;
        size_t n = (size_t)utf8_next(s->p + i, s->n - i, &cp);

        if (ends_line(cp)) {
            n += cp == '\r' && i + 1 < s->n && s->p[i + 1] == '\n';
            rc = add_cut(run, *out, s, from, keep ? i + n : i);
            from = i + n;
        }
        i += n;
    }
    return rc < 0 || from == s->n ? rc : add_cut(run, *out, s, from, s->n);
}

static int three(struct jinja_run *run, struct value s, size_t from, size_t to,
                 struct value *out)
{
    int rc = value_list(&run->room, VALUE_TUPLE, 3, out);

    if (rc == 0)
        rc = add_cut(run, *out, s.s, 0, from);
    if (rc == 0)
        rc = add_cut(run, *out, s.s, from, to);
    return rc < 0 ? rc : add_cut(run, *out, s.s, to, s.s->n);
}

static int partition(struct jinja_run *run, struct jinja_call *c, int last, struct value *out)
{
    struct value s = c->self;
    size_t at;
    int rc = jinja_need_str(run, c->a[0], "partition");

    if (rc == 0)
        rc = value_pay(&run->room, s.s->n / 64 * (last ? c->a[0].s->n / 16 + 1 : 1));
    if (rc < 0)
        return rc;
    if (c->a[0].s->n == 0)
        return value_fail(&run->room, E_INVALID, "partition: the separator is empty");
    at = (last ? find_last : jinja_find)(value_bytes(s), value_bytes(c->a[0]), 0, s.s->n);
    if (at == SIZE_MAX)
        return last ? three(run, s, 0, 0, out) : three(run, s, s.s->n, s.s->n, out);
    return three(run, s, at, at + c->a[0].s->n, out);
}

static int m_partition(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return partition(run, c, 0, out);
}

static int m_rpartition(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return partition(run, c, 1, out);
}

static int m_removeprefix(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_text *s = c->self.s, *x = c->a[0].s;
    int rc = jinja_need_str(run, c->a[0], "removeprefix");

    if (rc < 0)
        return rc;
    *out = c->self;
    if (x->n && x->n <= s->n && memcmp(s->p, x->p, x->n) == 0)
        return value_cut(&run->room, s, x->n, s->n, out);
    return 0;
}

static int m_removesuffix(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_text *s = c->self.s, *x = c->a[0].s;
    int rc = jinja_need_str(run, c->a[0], "removesuffix");

    if (rc < 0)
        return rc;
    *out = c->self;
    if (x->n && x->n <= s->n && memcmp(s->p + s->n - x->n, x->p, x->n) == 0)
        return value_cut(&run->room, s, 0, s->n - x->n, out);
    return 0;
}

const struct jinja_fn jinja_methods_split[] = {
    {"strip", "chars", 0, 0, m_strip},
    {"lstrip", "chars", 0, 0, m_lstrip},
    {"rstrip", "chars", 0, 0, m_rstrip},
    {"split", "sep maxsplit", 0, 0, m_split},
    {"rsplit", "sep maxsplit", 0, 0, m_rsplit},
    {"splitlines", "keepends", 0, 0, m_splitlines},
    {"partition", "sep", 1, 0, m_partition},
    {"rpartition", "sep", 1, 0, m_rpartition},
    {"removeprefix", "prefix", 1, 0, m_removeprefix},
    {"removesuffix", "suffix", 1, 0, m_removesuffix},
    {0},
};

/* Methods of strings that say something about them, and those of lists and dicts; the tables
 * are searched here. */
#include "text/tmpl/jinja.h"

#include "text/uclass.h"

/* -- where ---------------------------------------------------------------------------- */

/* The bytes between the characters a[1] and a[2]. */
static int bounds(struct jinja_run *run, struct jinja_call *c, size_t *from, size_t *to)
{
    struct value_text *s = c->self.s;
    int64_t n = (int64_t)value_chars(s), at[2] = {0, n};

    for (int i = 0; i < 2; i++) {
        int rc = 0;

        if (jinja_absent(c->a[1 + i]) || c->a[1 + i].kind == VALUE_NONE)
            continue;
        rc = jinja_need_int(run, c->a[1 + i], "start and end", &at[i]);
        if (rc < 0)
            return rc;
        at[i] = at[i] < 0 ? at[i] + n : at[i];
        at[i] = at[i] < 0 ? 0 : at[i];
    }
    *from = at[0] > n ? SIZE_MAX : value_char_at(s, (size_t)at[0]);
    *to = value_char_at(s, (size_t)(at[1] > n ? n : at[1]));
    return value_pay(&run->room, s->n / 64);
}

static size_t last_of(struct str s, struct str needle, size_t from, size_t to)
{
    size_t found = SIZE_MAX, at = from;

    /* Forward, so that it takes linear time; overlapping places count. */
    while ((at = jinja_find(s, needle, at, to)) != SIZE_MAX) {
        found = at;
        if (++at > to)
            break;
    }
    return found;
}

/* The index in characters, or -1. */
static int find(struct jinja_run *run, struct jinja_call *c, int last, int64_t *out)
{
    struct str s = value_bytes(c->self);
    size_t from, to, at;
    int rc = jinja_need_str(run, c->a[0], "find");

    if (rc == 0)
        rc = bounds(run, c, &from, &to);
    if (rc == 0 && last)
        rc = value_pay(&run->room, s.n / 64 * (c->a[0].s->n / 16 + 1));
    if (rc != 0)
        return rc;
    at = (last ? last_of : jinja_find)(s, value_bytes(c->a[0]), from, to);
    *out = -1;
    if (at != SIZE_MAX) {
        struct value_text head = {.p = s.p, .n = at, .n_char = SIZE_MAX};

        *out = (int64_t)value_chars(&head);
    }
    return 0;
}

static int m_find(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t at = 0;
    int rc = find(run, c, 0, &at);

    *out = value_int(at);
    return rc;
}

static int m_rfind(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t at = 0;
    int rc = find(run, c, 1, &at);

    *out = value_int(at);
    return rc;
}

static int index_of(struct jinja_run *run, struct jinja_call *c, int last, struct value *out)
{
    int64_t at = 0;
    int rc = find(run, c, last, &at);

    *out = value_int(at);
    if (rc == 0 && at < 0)
        return value_fail(&run->room, E_INVALID, "index: the text is not there");
    return rc;
}

static int m_index(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return index_of(run, c, 0, out);
}

static int m_rindex(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return index_of(run, c, 1, out);
}

static int m_count(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t from = 0, to = 0;
    int64_t n = 0;
    int rc = jinja_need_str(run, c->a[0], "count");

    if (rc == 0)
        rc = bounds(run, c, &from, &to);
    if (rc != 0)
        return rc;
    if (c->a[0].s->n == 0) {
        struct value_text part = {.p = c->self.s->p + from, .n_char = SIZE_MAX};

        part.n = from <= to ? to - from : 0;
        *out = value_int(from <= to ? (int64_t)value_chars(&part) + 1 : 0);
        return 0;
    }
    while ((from = jinja_find(value_bytes(c->self), value_bytes(c->a[0]), from, to)) !=
           SIZE_MAX) {
        from += c->a[0].s->n;
        n++;
    }
    *out = value_int(n);
    return value_pay(&run->room, (uint64_t)n);
}

static int has_affix(struct str s, struct str affix, int end)
{
    if (affix.n > s.n)
        return 0;
    return affix.n == 0 || memcmp(s.p + (end ? s.n - affix.n : 0), affix.p, affix.n) == 0;
}

static int affix(struct jinja_run *run, struct jinja_call *c, int end, struct value *out)
{
    const struct value *one = c->a;
    size_t n = 1, from, to;
    struct str s;
    int yes = 0, rc = bounds(run, c, &from, &to);

    if (rc < 0)
        return rc;
    if (c->a[0].kind == VALUE_TUPLE) {
        one = c->a[0].l->v;
        n = c->a[0].l->n;
    }
    s = (struct str){c->self.s->p + (from <= to ? from : 0), from <= to ? to - from : 0};
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = jinja_need_str(run, one[i], end ? "endswith" : "startswith");
        if (rc == 0)
            rc = value_pay(&run->room, one[i].s->n / 64);
        if (rc == 0)
            yes |= from <= to && has_affix(s, value_bytes(one[i]), end);
    }
    *out = value_bool(yes);
    return rc;
}

static int m_startswith(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return affix(run, c, 0, out);
}

static int m_endswith(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return affix(run, c, 1, out);
}

/* -- what kind ------------------------------------------------------------------------ */

/* Whether there are characters, all of them of these classes, one at least of `some`, none of
 * `never`. */
static int all_of(struct jinja_run *run, const struct value_text *s, unsigned all,
                  unsigned some, unsigned never, struct value *out)
{
    int yes = s->n > 0, met = 0;

    for (size_t i = 0; i < s->n && yes;) {
        unsigned cls;

        i += uclass_next(s->p + i, s->n - i, &cls);
        yes = (!all || (cls & all)) && !(cls & never);
        met |= (cls & some) != 0;
    }
    *out = value_bool(yes && (!some || met));
    return value_pay(&run->room, s->n / 32);
}

#define KIND_METHOD(name, all, some, never)                                                    \
    static int m_##name(struct jinja_run *run, struct jinja_call *c, struct value *out)        \
    {                                                                                          \
        return all_of(run, c->self.s, all, some, never, out);                                  \
    }

KIND_METHOD(isalpha, UC_LETTER, 0, 0)
KIND_METHOD(isdigit, UC_NUM, 0, 0)
KIND_METHOD(isalnum, UC_LETTER | UC_NUM, 0, 0)
KIND_METHOD(isspace, UC_SPACE, 0, 0)
KIND_METHOD(islower, 0, UC_LOWER, UC_UPPER | UC_TITLE)
KIND_METHOD(isupper, 0, UC_UPPER, UC_LOWER | UC_TITLE)

static int m_isascii(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    *out = value_bool(value_chars(c->self.s) == c->self.s->n);
    return value_pay(&run->room, c->self.s->n / 64);
}

const struct jinja_fn jinja_methods_find[] = {
    {"find", "sub start end", 1, 0, m_find},
    {"rfind", "sub start end", 1, 0, m_rfind},
    {"index", "sub start end", 1, 0, m_index},
    {"rindex", "sub start end", 1, 0, m_rindex},
    {"count", "sub start end", 1, 0, m_count},
    {"startswith", "prefix start end", 1, 0, m_startswith},
    {"endswith", "suffix start end", 1, 0, m_endswith},
    {"isalpha", "", 0, 0, m_isalpha},
    {"isdigit", "", 0, 0, m_isdigit},
    {"isdecimal", "", 0, 0, m_isdigit},
    {"isnumeric", "", 0, 0, m_isdigit},
    {"isalnum", "", 0, 0, m_isalnum},
    {"isspace", "", 0, 0, m_isspace},
    {"islower", "", 0, 0, m_islower},
    {"isupper", "", 0, 0, m_isupper},
    {"isascii", "", 0, 0, m_isascii},
    {0},
};

/* -- the tables ----------------------------------------------------------------------- */

static const struct jinja_fn *in_tables(const struct jinja_fn *const *tables, struct str name)
{
    for (; *tables; tables++) {
        for (const struct jinja_fn *fn = *tables; fn->name; fn++) {
            if (str_is(name, fn->name))
                return fn;
        }
    }
    return NULL;
}

const struct jinja_fn *jinja_find_filter(struct str name)
{
    static const struct jinja_fn *const tables[] = {
        jinja_filters_text, jinja_filters_num, jinja_filters_list, jinja_filters_html, NULL};

    return in_tables(tables, name);
}

const struct jinja_fn *jinja_find_test(struct str name)
{
    static const struct jinja_fn *const tables[] = {jinja_tests, NULL};

    return in_tables(tables, name);
}

const struct jinja_fn *jinja_find_method(int kind, struct str name)
{
    static const struct jinja_fn *const tables[N_METHOD_KIND][4] = {
        [OF_STR] = {jinja_methods_str, jinja_methods_split, jinja_methods_find},
        [OF_LIST] = {jinja_methods_list},
        [OF_DICT] = {jinja_methods_dict},
    };

    return in_tables(tables[kind], name);
}

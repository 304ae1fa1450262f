/* Methods of strings that make other strings. Marks follow the bytes that they belong to. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"
#include "text/uclass.h"

#include <utf8proc.h>

/* -- case ----------------------------------------------------------------------------- */

static void put_case(struct value_build *b, int32_t cp, int upper, int user)
{
    if (cp == 0xDF && upper) { /* the one letter of these that becomes two */
        value_put(b, str_of("S"), user);
        value_put(b, str_of(upper == 2 ? "s" : "S"), user);
    } else if (upper == 2) {
        value_put_char(b, utf8proc_totitle(cp), user);
    } else {
        value_put_char(b, upper ? utf8proc_toupper(cp) : utf8proc_tolower(cp), user);
    }
}

int jinja_case(struct jinja_run *run, const struct value_text *s, int how, struct value *out)
{
    struct value_build b;
    size_t at = 0;
    int inside = 0; /* a word of cased letters, of which one was met */

    value_build(&b, &run->room);
    for (size_t i = 0; i < s->n && b.rc == 0;) {
        int32_t cp;
        int n = utf8_next(s->p + i, s->n - i, &cp), user, upper;
        unsigned cls;

        (void)uclass_next(s->p + i, s->n - i, &cls);
        (void)value_run(s, i, &at, &user);
        upper = how == JINJA_UPPER   ? 1
                : how == JINJA_LOWER ? 0
                : how == JINJA_SWAP  ? (cls & UC_LOWER) != 0
                : how == JINJA_TITLE ? (inside ? 0 : 2)
                                     : (i == 0 ? 2 : 0);
        if (cp < 0)
            value_put(&b, (struct str){s->p + i, (size_t)n}, user);
        else
            put_case(&b, cp, upper, user);
        inside = (cls & UC_CASED) != 0;
        i += (size_t)n;
    }
    if (b.rc == 0)
        b.rc = value_pay(&run->room, s->n / 16);
    return value_built(&b, out);
}

#define CASE_METHOD(name, how)                                                                 \
    static int m_##name(struct jinja_run *run, struct jinja_call *c, struct value *out)        \
    {                                                                                          \
        return jinja_case(run, c->self.s, how, out);                                           \
    }

CASE_METHOD(upper, JINJA_UPPER)
CASE_METHOD(lower, JINJA_LOWER)
CASE_METHOD(title, JINJA_TITLE)
CASE_METHOD(capitalize, JINJA_CAPITAL)
CASE_METHOD(swapcase, JINJA_SWAP)

/* -- padding -------------------------------------------------------------------------- */

static void put_fill(struct value_build *b, const struct value_text *fill, int64_t n)
{
    for (; n > 0 && b->rc == 0; n--) {
        b->rc = value_pay(b->r, 1);
        value_put_text(b, fill);
    }
}

/* left: of the room that is free, in halves (0, 1 or 2) to the left of the text. */
static int pad(struct jinja_run *run, struct jinja_call *c, int left, struct value *out)
{
    struct value fill = c->a[1];
    struct value_build b;
    int64_t width, room, before;
    int rc = jinja_need_int(run, c->a[0], "the width", &width);

    if (rc == 0)
        rc = jinja_absent(fill) ? value_str(&run->room, str_of(" "), 0, &fill)
                                : jinja_need_str(run, fill, "the fill character");
    if (rc < 0)
        return rc;
    if (value_chars(fill.s) != 1)
        return value_fail(&run->room, E_INVALID, "the fill character must be one character");
    room = width > 0 ? width - (int64_t)value_chars(c->self.s) : 0;
    *out = c->self;
    if (room <= 0)
        return 0;
    before = left == 1 ? room / 2 + (room & width & 1) : left ? room : 0;
    value_build(&b, &run->room);
    put_fill(&b, fill.s, before);
    value_put_text(&b, c->self.s);
    put_fill(&b, fill.s, room - before);
    return value_built(&b, out);
}

static int m_ljust(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return pad(run, c, 0, out);
}

static int m_center(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return pad(run, c, 1, out);
}

static int m_rjust(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return pad(run, c, 2, out);
}

static int m_zfill(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_text *s = c->self.s;
    size_t sign = s->n && (s->p[0] == '-' || s->p[0] == '+');
    struct value zero;
    struct value_build b;
    int64_t width;
    int rc = jinja_need_int(run, c->a[0], "zfill", &width);

    if (rc == 0)
        rc = value_str(&run->room, str_of("0"), 0, &zero);
    if (rc != 0)
        return rc;
    value_build(&b, &run->room);
    value_put_cut(&b, s, 0, sign);
    if (width > 0)
        put_fill(&b, zero.s, width - (int64_t)value_chars(c->self.s));
    value_put_cut(&b, s, sign, s->n);
    return value_built(&b, out);
}

static int m_expandtabs(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    const struct value_text *s = c->self.s;
    int64_t size = 8, column = 0;
    struct value_build b;
    int rc = jinja_absent(c->a[0]) ? 0 : jinja_need_int(run, c->a[0], "expandtabs", &size);

    value_build(&b, &run->room);
    for (size_t i = 0; i < s->n && rc == 0 && b.rc == 0; i++) {
        if (s->p[i] == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;

            for (column += n; n > 0 && b.rc == 0; n--)
                value_put_c(&b, " ");
            rc = value_pay(&run->room, size > 0 ? (uint64_t)size / 64 + 1 : 1);
            continue;
        }
        value_put_cut(&b, s, i, i + 1);
        column = s->p[i] == '\n' || s->p[i] == '\r'
                     ? 0
                     : column + (((unsigned char)s->p[i] & 0xC0) != 0x80);
    }
    return rc < 0 ? rc : value_built(&b, out);
}

/* -- replacing and joining ------------------------------------------------------------ */

int jinja_replace(struct jinja_run *run, const struct value_text *s, struct value old,
                  struct value new_text, int64_t count, struct value *out)
{
    struct value_build b;
    size_t from = 0, at = 0;
    int rc = jinja_need_str(run, old, "replace");

    count = count < 0 ? -1 : count;
    if (rc == 0)
        rc = jinja_need_str(run, new_text, "replace");
    if (rc == 0)
        rc = value_pay(&run->room, s->n / 64);
    if (rc < 0)
        return rc;
    value_build(&b, &run->room);
    for (; count != 0 && b.rc == 0; count--) {
        at = jinja_find((struct str){s->p, s->n}, value_bytes(old), at, s->n);
        if (at == SIZE_MAX)
            break;
        value_put_cut(&b, s, from, at);
        value_put_text(&b, new_text.s);
        from = at + old.s->n;
        at = from;
        if (old.s->n == 0) { /* between all characters */
            if (at >= s->n)
                break;
            for (at++; at < s->n && ((unsigned char)s->p[at] & 0xC0) == 0x80;)
                at++;
        }
        if (b.rc == 0)
            b.rc = value_pay(&run->room, 1);
    }
    value_put_cut(&b, s, from, s->n);
    return value_built(&b, out);
}

static int m_replace(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int64_t count = -1;
    int rc = jinja_absent(c->a[2]) ? 0 : jinja_need_int(run, c->a[2], "replace: count", &count);

    return rc < 0 ? rc : jinja_replace(run, c->self.s, c->a[0], c->a[1], count, out);
}

static int m_join(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;
    struct value items;
    int rc = jinja_items(run, c->a[0], &items);

    value_build(&b, &run->room);
    for (size_t i = 0; rc == 0 && i < items.l->n && b.rc == 0; i++) {
        rc = jinja_need_str(run, items.l->v[i], "join");
        if (rc < 0)
            break;
        if (i)
            value_put_text(&b, c->self.s);
        value_put_text(&b, items.l->v[i].s);
        if (b.rc == 0)
            b.rc = value_pay(&run->room, 1);
    }
    return rc < 0 ? rc : value_built(&b, out);
}

static int m_format(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return jinja_format(run, c->self.s, c, out);
}

const struct jinja_fn jinja_methods_str[] = {
    {"upper", "", 0, 0, m_upper},
    {"lower", "", 0, 0, m_lower},
    {"casefold", "", 0, 0, m_lower},
    {"title", "", 0, 0, m_title},
    {"capitalize", "", 0, 0, m_capitalize},
    {"swapcase", "", 0, 0, m_swapcase},
    {"ljust", "width fillchar", 1, 0, m_ljust},
    {"center", "width fillchar", 1, 0, m_center},
    {"rjust", "width fillchar", 1, 0, m_rjust},
    {"zfill", "width", 1, 0, m_zfill},
    {"expandtabs", "tabsize", 0, 0, m_expandtabs},
    {"replace", "old new count", 2, 0, m_replace},
    {"join", "iterable", 1, 0, m_join},
    {"format", "", 0, FN_ANY_POS | FN_ANY_KW, m_format},
    {0},
};

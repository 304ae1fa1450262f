/* What Python's str(), repr(), iter() and len() give, and what strings are searched for. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"

#include <stdio.h>
#include <utf8proc.h>

/* -- checks of arguments -------------------------------------------------------------- */

int jinja_need_str(struct jinja_run *run, struct value v, const char *what)
{
    if (v.kind == VALUE_STR)
        return 0;
    if (v.kind == VALUE_UNDEF && !jinja_absent(v))
        return jinja_undefined(run, v);
    return value_fail(&run->room, E_INVALID, "%s needs a string, not '%s'", what,
                      value_type_name(v));
}

int jinja_need_int(struct jinja_run *run, struct value v, const char *what, int64_t *out)
{
    *out = v.i;
    if (v.kind == VALUE_INT || v.kind == VALUE_BOOL)
        return 0;
    if (v.kind == VALUE_UNDEF && !jinja_absent(v))
        return jinja_undefined(run, v);
    return value_fail(&run->room, E_INVALID, "%s needs an integer, not '%s'", what,
                      value_type_name(v));
}

int64_t jinja_int_or(struct jinja_run *run, struct value v, int64_t usual, const char *what,
                     int *rc)
{
    int64_t i = usual;

    if (*rc == 0 && !jinja_absent(v) && v.kind != VALUE_NONE)
        *rc = jinja_need_int(run, v, what, &i);
    return i;
}

/* -- iterating ------------------------------------------------------------------------ */

static int chars_of(struct jinja_run *run, struct value v, struct value list)
{
    int rc = 0;

    for (size_t from = 0, to; from < v.s->n && rc == 0; from = to) {
        struct value c;

        for (to = from + 1; to < v.s->n && ((unsigned char)v.s->p[to] & 0xC0) == 0x80;)
            to++;
        rc = value_cut(&run->room, v.s, from, to, &c);
        if (rc == 0)
            rc = value_append(&run->room, list, c);
        if (rc == 0)
            rc = value_pay(&run->room, 1);
    }
    return rc;
}

static int numbers_of(struct jinja_run *run, const struct jinja_range *range, struct value list)
{
    int rc = 0;

    if (range->n > run->room.max_steps)
        return value_fail(&run->room, E_TOO_LONG, "range: %zu numbers are too many", range->n);
    for (size_t i = 0; i < range->n && rc == 0; i++) {
        rc = value_pay(&run->room, 1);
        if (rc == 0)
            rc = value_append(&run->room, list,
                              value_int(range->start + (int64_t)i * range->step));
    }
    return rc;
}

int jinja_items(struct jinja_run *run, struct value v, struct value *out)
{
    const struct value_entry *e;
    int rc;

    if (value_is_list(v)) {
        *out = v;
        return 0;
    }
    rc = value_list(&run->room, VALUE_LIST, v.kind == VALUE_DICT ? v.d->live : 0, out);
    if (rc < 0)
        return rc;
    if (v.kind == VALUE_STR)
        return chars_of(run, v, *out);
    if (v.kind == VALUE_DICT) {
        for (size_t i = 0; rc == 0 && (e = value_next(v, &i));)
            rc = value_append(&run->room, *out, e->key);
        return rc < 0 ? rc : value_pay(&run->room, v.d->n);
    }
    if (jinja_is_view(v) || jinja_is(v, jinja_is_generator)) {
        struct jinja_gen *g = (struct jinja_gen *)v.o;

        if (!g->used)
            *out = g->items;
        g->used = v.o->type == jinja_is_generator;
        return 0;
    }
    if (jinja_is(v, jinja_is_range))
        return numbers_of(run, (const struct jinja_range *)v.o, *out);
    if (v.kind == VALUE_UNDEF)
        return 0;
    return value_fail(&run->room, E_INVALID, "'%s' is not iterable", value_type_name(v));
}

int jinja_length(struct jinja_run *run, struct value v, size_t *out)
{
    *out = 0;
    if (v.kind == VALUE_STR)
        *out = value_chars(v.s);
    else if (value_is_list(v))
        *out = v.l->n;
    else if (v.kind == VALUE_DICT)
        *out = v.d->live;
    else if (jinja_is(v, jinja_is_range))
        *out = ((const struct jinja_range *)v.o)->n;
    else if (jinja_is_view(v))
        *out = ((const struct jinja_gen *)v.o)->items.l->n;
    else if (jinja_is(v, jinja_is_loop))
        *out = ((const struct jinja_loop *)v.o)->items.l->n;
    else if (v.kind != VALUE_UNDEF)
        return value_fail(&run->room, E_INVALID, "'%s' has no length", value_type_name(v));
    return 0;
}

/* -- str() and repr() ----------------------------------------------------------------- */

static int printable(int32_t cp)
{
    utf8proc_category_t c = utf8proc_category(cp);

    if (cp < 0x7F)
        return cp >= 0x20;
    return c != UTF8PROC_CATEGORY_CC && c != UTF8PROC_CATEGORY_CF &&
           c != UTF8PROC_CATEGORY_CS && c != UTF8PROC_CATEGORY_CO &&
           c != UTF8PROC_CATEGORY_CN && c != UTF8PROC_CATEGORY_ZL &&
           c != UTF8PROC_CATEGORY_ZP && c != UTF8PROC_CATEGORY_ZS;
}

/* How a character is written in quotes; an empty text: as it is. */
static void escape_char(int32_t cp, char quote, char text[16])
{
    *text = '\0';
    if (cp == '\n')
        memcpy(text, "\\n", 3);
    else if (cp == '\r')
        memcpy(text, "\\r", 3);
    else if (cp == '\t')
        memcpy(text, "\\t", 3);
    else if (cp == '\\' || cp == quote)
        (void)snprintf(text, 16, "\\%c", (char)cp);
    else if (!printable(cp))
        (void)snprintf(text, 16,
                       cp < 0x100     ? "\\x%02x"
                       : cp < 0x10000 ? "\\u%04x"
                                      : "\\U%08x",
                       (unsigned)cp);
}

static void put_quoted(struct value_build *b, const struct value_text *s)
{
    char quote = s->n && memchr(s->p, '\'', s->n) && !memchr(s->p, '"', s->n) ? '"' : '\'';
    size_t run = 0, from = 0, i = 0;

    value_put(b, (struct str){&quote, 1}, 0);
    while (i < s->n && b->rc == 0) {
        int32_t cp;
        int n = utf8_next(s->p + i, s->n - i, &cp), user;
        char text[16];

        escape_char(cp, quote, text);
        if (*text) {
            value_put_cut(b, s, from, i);
            (void)value_run(s, i, &run, &user);
            value_put(b, str_of(text), user);
            from = i + (size_t)n;
        }
        i += (size_t)n;
    }
    value_put_cut(b, s, from, s->n);
    value_put(b, (struct str){&quote, 1}, 0);
}

static void put_list(struct jinja_run *run, struct value_build *b, struct value v)
{
    int tuple = v.kind == VALUE_TUPLE;

    value_put_c(b, tuple ? "(" : "[");
    for (size_t i = 0; i < v.l->n && b->rc == 0; i++) {
        if (i)
            value_put_c(b, ", ");
        jinja_put_repr(run, b, v.l->v[i]);
    }
    value_put_c(b, tuple ? v.l->n == 1 ? ",)" : ")" : "]");
}

static void put_dict(struct jinja_run *run, struct value_build *b, struct value v)
{
    const struct value_entry *e;
    int first = 1;

    value_put_c(b, "{");
    for (size_t i = 0; b->rc == 0 && (e = value_next(v, &i)); first = 0) {
        if (!first)
            value_put_c(b, ", ");
        jinja_put_repr(run, b, e->key);
        value_put_c(b, ": ");
        jinja_put_repr(run, b, e->val);
    }
    value_put_c(b, "}");
}

static void put_obj(struct jinja_run *run, struct value_build *b, struct value v)
{
    if (jinja_is(v, jinja_is_range)) {
        const struct jinja_range *range = (const struct jinja_range *)v.o;

        value_put_c(b, "range(");
        value_put_int(b, range->start);
        value_put_c(b, ", ");
        value_put_int(b, range->stop);
        if (range->step != 1) {
            value_put_c(b, ", ");
            value_put_int(b, range->step);
        }
        value_put_c(b, ")");
        return;
    }
    if (jinja_is_view(v)) {
        value_put_c(b, v.o->type);
        value_put_c(b, "(");
        jinja_put_str(run, b, ((const struct jinja_gen *)v.o)->items);
        value_put_c(b, ")");
        return;
    }
    value_put_c(b, "<");
    value_put_c(b, v.o->type);
    if (jinja_is(v, jinja_is_macro)) {
        value_put_c(b, " '");
        value_put(b, run->t->names[((const struct jinja_macro *)v.o)->node->name], 0);
        value_put_c(b, "'");
    }
    value_put_c(b, ">");
}

static void put_nested(struct jinja_run *run, struct value_build *b, struct value v)
{
    if (b->rc == 0)
        b->rc = value_enter(&run->room);
    if (b->rc < 0)
        return;
    b->rc = value_pay(&run->room, 1);
    if (value_is_list(v)) {
        put_list(run, b, v);
    } else {
        value_put_c(b, v.kind == VALUE_NAMESPACE ? "<Namespace " : "");
        put_dict(run, b, v);
        value_put_c(b, v.kind == VALUE_NAMESPACE ? ">" : "");
    }
    value_leave(&run->room);
}

void jinja_put_repr(struct jinja_run *run, struct value_build *b, struct value v)
{
    int markup = v.kind == VALUE_STR && (v.from & JINJA_MARKUP);

    if (v.kind == VALUE_STR) {
        value_put_c(b, markup ? "Markup(" : "");
        put_quoted(b, v.s);
        value_put_c(b, markup ? ")" : "");
    } else if (v.kind == VALUE_UNDEF) {
        value_put_c(b, "Undefined");
    } else {
        jinja_put_str(run, b, v);
    }
}

void jinja_put_str(struct jinja_run *run, struct value_build *b, struct value v)
{
    switch (v.kind) {
    case VALUE_UNDEF:
        break;
    case VALUE_NONE:
        value_put_c(b, "None");
        break;
    case VALUE_BOOL:
        value_put_c(b, v.i ? "True" : "False");
        break;
    case VALUE_INT:
        value_put_int(b, v.i);
        break;
    case VALUE_FLOAT:
        value_put_float(b, v.f, 0);
        break;
    case VALUE_STR:
        value_put_text(b, v.s);
        break;
    case VALUE_OBJ:
        put_obj(run, b, v);
        break;
    default:
        put_nested(run, b, v);
        break;
    }
}

int jinja_str(struct jinja_run *run, struct value v, struct value *out)
{
    struct value_build b;

    *out = v;
    if (v.kind == VALUE_STR)
        return 0;
    value_build(&b, &run->room);
    jinja_put_str(run, &b, v);
    return value_built(&b, out);
}

int jinja_cstr(struct jinja_run *run, const char *s, struct value *out)
{
    struct value_build b;

    value_build(&b, &run->room);
    value_put_c(&b, s);
    return value_built(&b, out);
}

/* -- searching ------------------------------------------------------------------------ */

int jinja_space(int32_t cp)
{
    if (cp < 0x80)
        return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32);
    return cp == 0x85 || cp == 0xA0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

/* Whether the character p[0..n) is white space, or in the set. */
static int in_set(const char *p, size_t n, const struct value_text *chars)
{
    int32_t cp;

    if (chars) /* no character of UTF-8 is found inside of another one */
        return jinja_find((struct str){chars->p, chars->n}, (struct str){p, n}, 0, chars->n) !=
               SIZE_MAX;
    (void)utf8_next(p, n, &cp);
    return jinja_space(cp);
}

void jinja_strip(const struct value_text *s, const struct value_text *chars, int sides,
                 size_t *from, size_t *to)
{
    size_t a = 0, z = s->n, n;

    while ((sides & 1) && a < z) {
        for (n = 1; a + n < z && ((unsigned char)s->p[a + n] & 0xC0) == 0x80;)
            n++;
        if (!in_set(s->p + a, n, chars))
            break;
        a += n;
    }
    while ((sides & 2) && z > a) {
        for (n = 1; z - n > a && ((unsigned char)s->p[z - n] & 0xC0) == 0x80;)
            n++;
        if (!in_set(s->p + z - n, n, chars))
            break;
        z -= n;
    }
    *from = a;
    *to = z;
}

size_t jinja_find(struct str s, struct str needle, size_t from, size_t to)
{
    const char *p;

    if (to > s.n)
        to = s.n;
    if (from > to || needle.n > to - from)
        return SIZE_MAX;
    if (needle.n == 0)
        return from;
    p = memmem(s.p + from, to - from, needle.p, needle.n);
    return p ? (size_t)(p - s.p) : SIZE_MAX;
}

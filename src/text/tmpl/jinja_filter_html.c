/* Filters for HTML and URLs, and wordwrap. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"

#include <stdio.h>

/* -- HTML ----------------------------------------------------------------------------- */

static const char *entity(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '\'':
        return "&#39;";
    case '"':
        return "&#34;";
    default:
        return NULL;
    }
}

static void put_escaped(struct value_build *b, const struct value_text *s)
{
    size_t from = 0, run = 0;

    for (size_t i = 0; i < s->n && b->rc == 0; i++) {
        const char *e = entity(s->p[i]);
        int user;

        if (!e)
            continue;
        value_put_cut(b, s, from, i);
        (void)value_run(s, i, &run, &user);
        value_put(b, str_of(e), user);
        from = i + 1;
    }
    value_put_cut(b, s, from, s->n);
}

int jinja_escape(struct jinja_run *run, struct value s, struct value *out)
{
    struct value_build b;
    int rc;

    value_build(&b, &run->room);
    put_escaped(&b, s.s);
    rc = value_built(&b, out);
    if (rc == 0)
        out->from = JINJA_MARKUP;
    return rc;
}

static int f_escape(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_str(run, c->self, out);

    return rc < 0 || (out->from & JINJA_MARKUP) ? rc : jinja_escape(run, *out, out);
}

static int f_forceescape(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_str(run, c->self, out);

    return rc < 0 ? rc : jinja_escape(run, *out, out);
}

/* Comments and tags go, and white space becomes single spaces; the usual entities are undone.
 */
static int f_striptags(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    static const struct {
        const char *entity, *text;
    } entities[] = {{"&amp;", "&"},  {"&lt;", "<"},    {"&gt;", ">"},         {"&#39;", "'"},
                    {"&#34;", "\""}, {"&quot;", "\""}, {"&nbsp;", "\xC2\xA0"}};
    struct value_build b;
    struct value v;
    int rc = jinja_str(run, c->self, &v), space = 0;
    const struct value_text *s;
    size_t at = 0;

    if (rc < 0)
        return rc;
    s = v.s;
    value_build(&b, &run->room);
    for (size_t i = 0; i < s->n && b.rc == 0;) {
        struct str rest = {s->p + i, s->n - i};
        int comment = rest.n > 3 && memcmp(rest.p, "<!--", 4) == 0, n, user;
        const char *end = comment          ? memmem(rest.p, rest.n, "-->", 3)
                          : *rest.p == '<' ? memchr(rest.p, '>', rest.n)
                                           : NULL;
        int32_t cp;

        if (end) {
            i = (size_t)(end - s->p) + (comment ? 3 : 1);
            continue;
        }
        if (*rest.p == '<') /* open to the end: no such search again */
            rc = value_pay(&run->room, rest.n / 64);
        if (rc < 0)
            return rc;
        (void)value_run(s, i, &at, &user);
        n = utf8_next(rest.p, rest.n, &cp);
        if (jinja_space(cp)) {
            space = b.n > 0;
            i += (size_t)n;
            continue;
        }
        if (space)
            value_put(&b, str_of(" "), user);
        space = 0;
        for (size_t k = 0; *rest.p == '&' && k < sizeof(entities) / sizeof(entities[0]); k++) {
            size_t len = strlen(entities[k].entity);

            if (len <= rest.n && memcmp(rest.p, entities[k].entity, len) == 0) {
                value_put(&b, str_of(entities[k].text), user);
                i += len;
                n = 0;
                break;
            }
        }
        value_put_cut(&b, s, i, i + (size_t)n);
        i += (size_t)n;
    }
    return value_built(&b, out);
}

static int f_xmlattr(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int space = jinja_absent(c->a[0]) || value_true(c->a[0]);
    const struct value_entry *e;
    struct value_build b;

    if (c->self.kind != VALUE_DICT)
        return value_fail(&run->room, E_INVALID, "xmlattr: '%s' is no dict",
                          value_type_name(c->self));
    value_build(&b, &run->room);
    for (size_t i = 0; b.rc == 0 && (e = value_next(c->self, &i));) {
        struct value key, v;

        if (e->val.kind == VALUE_NONE || e->val.kind == VALUE_UNDEF)
            continue;
        b.rc = jinja_str(run, e->key, &key);
        if (b.rc == 0)
            b.rc = jinja_str(run, e->val, &v);
        if (b.rc != 0)
            break;
        if (key.s->n == 0 || memchr(key.s->p, ' ', key.s->n) ||
            memchr(key.s->p, '>', key.s->n) || memchr(key.s->p, '/', key.s->n) ||
            memchr(key.s->p, '=', key.s->n))
            return value_fail(&run->room, E_INVALID, "xmlattr: '%.*s' is no name",
                              (int)(key.s->n < 60 ? key.s->n : 60), key.s->p);
        if (b.n || space)
            value_put_c(&b, " ");
        put_escaped(&b, key.s);
        value_put_c(&b, "=\"");
        put_escaped(&b, v.s);
        value_put_c(&b, "\"");
    }
    return value_built(&b, out);
}

/* -- URLs ----------------------------------------------------------------------------- */

static int is_plain(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c && strchr("_.-~", c) != NULL);
}

/* form: as in a query, where a space is + and / is escaped, too. */
static void put_quoted(struct value_build *b, const struct value_text *s, int form)
{
    size_t run = 0;

    for (size_t i = 0; i < s->n && b->rc == 0; i++) {
        unsigned char c = (unsigned char)s->p[i];
        char text[4];
        int user;

        (void)value_run(s, i, &run, &user);
        if (is_plain(c) || (c == '/' && !form))
            (void)snprintf(text, sizeof(text), "%c", c);
        else if (c == ' ' && form)
            (void)snprintf(text, sizeof(text), "+");
        else
            (void)snprintf(text, sizeof(text), "%%%02X", c);
        value_put(b, str_of(text), user);
    }
}

static int put_pair(struct jinja_run *run, struct value_build *b, struct value key,
                    struct value v)
{
    int rc = jinja_str(run, key, &key);

    if (rc == 0)
        rc = jinja_str(run, v, &v);
    if (rc < 0)
        return rc;
    if (b->n)
        value_put_c(b, "&");
    put_quoted(b, key.s, 1);
    value_put_c(b, "=");
    put_quoted(b, v.s, 1);
    return b->rc;
}

static int f_urlencode(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;
    struct value v = c->self, pair;
    int rc = 0;

    value_build(&b, &run->room);
    if (v.kind != VALUE_DICT && !value_is_list(v)) {
        rc = jinja_str(run, v, &v);
        if (rc == 0)
            put_quoted(&b, v.s, 0);
        return rc < 0 ? rc : value_built(&b, out);
    }
    rc = v.kind == VALUE_DICT ? jinja_pairs(run, v, &v) : 0;
    for (size_t i = 0; rc == 0 && i < v.l->n; i++) {
        rc = jinja_items(run, v.l->v[i], &pair);
        if (rc == 0 && pair.l->n != 2)
            return value_fail(&run->room, E_INVALID, "urlencode: a list of pairs is needed");
        if (rc == 0)
            rc = put_pair(run, &b, pair.l->v[0], pair.l->v[1]);
    }
    return rc < 0 ? rc : value_built(&b, out);
}

/* -- wordwrap ------------------------------------------------------------------------- */

struct wrap {
    struct value_build b;
    const struct value_text *s, *eol;
    int64_t width;
    int break_long, break_hyphens, lines;
};

/* The next piece that stays together: white space, or a word up to its hyphen. Its characters
 * in *chars. Of a word that will be broken its front is enough. */
static size_t piece_end(const struct wrap *w, size_t from, size_t to, int64_t *chars,
                        int *space)
{
    size_t i = from;

    *chars = 0;
    while (i < to && (*chars <= w->width || *space || !w->break_long)) {
        int32_t cp;
        size_t n = (size_t)utf8_next(w->s->p + i, to - i, &cp);
        int is_space = jinja_space(cp);

        if (i == from)
            *space = is_space;
        else if (is_space != *space)
            break;
        i += n;
        ++*chars;
        if (w->break_hyphens && cp == '-' && i - from > 1 && i < to && w->s->p[i] != '-' &&
            w->s->p[i - 2] != '-' && (unsigned char)w->s->p[i] > ' ' &&
            (w->s->p[i] < '0' || w->s->p[i] > '9'))
            break;
    }
    return i;
}

/* Ends a line of the output at s[from..to), white space at its end left out. */
static void put_line(struct wrap *w, size_t from, size_t to)
{
    struct value_text line = {.p = w->s->p + from, .n = to - from};
    size_t a, z;

    jinja_strip(&line, NULL, 2, &a, &z);
    if (z == 0)
        return;
    if (w->lines++)
        value_put_text(&w->b, w->eol);
    value_put_cut(&w->b, w->s, from, from + z);
}

static void wrap_line(struct wrap *w, size_t from, size_t to)
{
    size_t start = from, i = from;
    int64_t used = 0;

    w->lines = 0;
    while (i < to && w->b.rc == 0) {
        int64_t chars;
        int space = 0;
        size_t end = piece_end(w, i, to, &chars, &space);

        if (used + chars > w->width && !(space && used == 0)) {
            if (chars > w->width && w->break_long && !space && used < w->width) {
                struct value_text word = {.p = w->s->p + i, .n = to - i, .n_char = SIZE_MAX};

                i += value_char_at(&word, (size_t)(w->width - used));
                put_line(w, start, i);
                start = i;
                used = 0;
                continue;
            }
            put_line(w, start, i);
            start = space ? end : i;
            used = 0;
            i = start;
            if (!space && chars > w->width && !w->break_long) {
                put_line(w, i, end);
                start = i = end;
            }
            continue;
        }
        if (space && used == 0 && w->lines) { /* no line but the first begins with space */
            start = i = end;
            continue;
        }
        used += chars;
        i = end;
    }
    put_line(w, start, to);
}

static int f_wordwrap(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value v = c->self, lines, eol = c->a[2];
    struct jinja_call split = {.a = {jinja_absent_value()}};
    struct wrap w = {.width = 79};
    int rc = jinja_need_str(run, c->self, "wordwrap");

    if (rc == 0 && !jinja_absent(c->a[0]))
        rc = jinja_need_int(run, c->a[0], "wordwrap: width", &w.width);
    if (rc == 0 && w.width <= 0)
        return value_fail(&run->room, E_INVALID, "wordwrap: the width must be positive");
    if (rc == 0)
        rc = jinja_absent(eol) || eol.kind == VALUE_NONE
                 ? value_str(&run->room, str_of("\n"), 0, &eol)
                 : jinja_need_str(run, eol, "wordwrap: wrapstring");
    split.self = v;
    if (rc == 0)
        rc = jinja_find_method(OF_STR, str_of("splitlines"))->run(run, &split, &lines);
    if (rc != 0)
        return rc;
    value_build(&w.b, &run->room);
    w.eol = eol.s;
    w.break_long = jinja_absent(c->a[1]) || value_true(c->a[1]);
    w.break_hyphens = jinja_absent(c->a[3]) || value_true(c->a[3]);
    for (size_t i = 0; i < lines.l->n && w.b.rc == 0; i++) {
        if (i)
            value_put_text(&w.b, eol.s);
        w.s = lines.l->v[i].s;
        w.b.rc = value_pay(&run->room, w.s->n / 16 + 1);
        wrap_line(&w, 0, w.s->n);
    }
    return value_built(&w.b, out);
}

const struct jinja_fn jinja_filters_html[] = {
    {"escape", "", 0, 0, f_escape},
    {"e", "", 0, 0, f_escape},
    {"forceescape", "", 0, 0, f_forceescape},
    {"striptags", "", 0, 0, f_striptags},
    {"xmlattr", "autospace", 0, 0, f_xmlattr},
    {"urlencode", "", 0, 0, f_urlencode},
    {"wordwrap", "width break_long_words wrapstring break_on_hyphens", 0, 0, f_wordwrap},
    {0},
};

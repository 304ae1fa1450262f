/* Filters of strings and JSON. */
#include "text/tmpl/jinja.h"

#include "base/utf8.h"
#include "text/uclass.h"

/* The value as a string, in c->self. */
static int self_str(struct jinja_run *run, struct jinja_call *c)
{
    return jinja_str(run, c->self, &c->self);
}

/* -- whole strings -------------------------------------------------------------------- */

static int f_string(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return jinja_str(run, c->self, out);
}

static int f_safe(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_str(run, c->self, out);

    if (rc == 0)
        out->from |= JINJA_MARKUP;
    return rc;
}

/* A method of strings on str(value). */
static int by_method(struct jinja_run *run, struct jinja_call *c, const char *name,
                     struct value *out)
{
    int rc = self_str(run, c);

    if (rc == 0)
        rc = jinja_find_method(OF_STR, str_of(name))->run(run, c, out);
    *out = rc < 0 ? *out : jinja_as(c->self, *out);
    return rc;
}

static int f_trim(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "strip", out);
}

static int f_upper(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "upper", out);
}

static int f_lower(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "lower", out);
}

static int f_capitalize(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    return by_method(run, c, "capitalize", out);
}

static int f_center(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    if (jinja_absent(c->a[0]))
        c->a[0] = value_int(80);
    c->a[1] = jinja_absent_value();
    return by_method(run, c, "center", out);
}

/* Words begin behind white space, hyphens and opening brackets; not behind apostrophes. */
static int f_title(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;
    int rc = self_str(run, c);
    const struct value_text *s = c->self.s;
    size_t from = 0, i = 0;

    value_build(&b, &run->room);
    while (rc == 0 && from < s->n && b.rc == 0) {
        struct value part;
        int32_t cp = 0;
        int n = 1, breaks = 0;

        for (i = from; i < s->n && !breaks; i += (size_t)n) {
            n = utf8_next(s->p + i, s->n - i, &cp);
            breaks = jinja_space(cp) || (cp < 0x80 && cp > 0 && strchr("-({[<", (int)cp));
        }
        rc = value_cut(&run->room, s, from, i, &part);
        if (rc == 0)
            rc = jinja_case(run, part.s, JINJA_CAPITAL, &part);
        if (rc == 0)
            value_put_text(&b, part.s);
        from = i;
    }
    return rc < 0 ? rc : value_built(&b, out);
}

static int f_replace(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = self_str(run, c);
    int64_t count = jinja_int_or(run, c->a[2], -1, "replace: count", &rc);

    if (rc == 0)
        rc = jinja_str(run, c->a[0], &c->a[0]);
    if (rc == 0)
        rc = jinja_str(run, c->a[1], &c->a[1]);
    return rc < 0 ? rc : jinja_replace(run, c->self.s, c->a[0], c->a[1], count, out);
}

static int f_wordcount(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = self_str(run, c), inside = 0;
    int64_t n = 0;

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < c->self.s->n;) {
        unsigned cls;
        int word = c->self.s->p[i] == '_';

        i += uclass_next(c->self.s->p + i, c->self.s->n - i, &cls);
        word |= (cls & (UC_LETTER | UC_NUM)) != 0;
        n += word && !inside;
        inside = word;
    }
    *out = value_int(n);
    return value_pay(&run->room, c->self.s->n / 32);
}

/* -- lines ---------------------------------------------------------------------------- */

static int lines_of(struct jinja_run *run, struct value s, struct value *out)
{
    struct jinja_call c = {.self = s, .a = {jinja_absent_value()}};

    return jinja_find_method(OF_STR, str_of("splitlines"))->run(run, &c, out);
}

static int f_indent(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int first = jinja_flag(c->a[1], 0), blank = jinja_flag(c->a[2], 0);
    int rc = jinja_need_str(run, c->self, "indent");
    struct value by, lines;
    struct value_build b;
    int64_t width = 4;

    if (rc == 0 && c->a[0].kind != VALUE_STR)
        width = jinja_int_or(run, c->a[0], 4, "indent: width", &rc);
    if (rc < 0)
        return rc;
    rc = value_str(&run->room, str_of(" "), 0, &by);
    if (rc == 0)
        rc = c->a[0].kind == VALUE_STR ? (by = c->a[0], 0)
                                       : jinja_math(run, OP_MUL, by, value_int(width), &by);
    if (rc == 0)
        rc = lines_of(run, c->self, &lines);
    if (rc != 0)
        return rc;
    value_build(&b, &run->room);
    for (size_t i = 0; i < lines.l->n && b.rc == 0; i++) {
        const struct value_text *line = lines.l->v[i].s;

        if (i)
            value_put_c(&b, "\n");
        if (i ? blank || line->n : first)
            value_put_text(&b, by.s);
        value_put_text(&b, line);
    }
    if (lines.l->n == 0 && first)
        value_put_text(&b, by.s);
    if (c->self.s->n && c->self.s->p[c->self.s->n - 1] == '\n') {
        value_put_c(&b, "\n");
        if (blank)
            value_put_text(&b, by.s);
    }
    return value_built(&b, out);
}

static int f_truncate(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    size_t n, to;
    int rc = jinja_length(run, c->self, &n);
    int64_t length = jinja_int_or(run, c->a[0], 255, "truncate: length", &rc),
            leeway = jinja_int_or(run, c->a[3], 5, "truncate: leeway", &rc), keep;
    struct value end = c->a[2];
    struct value_build b;

    if (rc == 0)
        rc = jinja_absent(end) ? value_str(&run->room, str_of("..."), 0, &end)
                               : jinja_need_str(run, end, "truncate: end");
    if (rc < 0)
        return rc;
    *out = c->self;
    keep = (length < 0 ? 0 : length) - (int64_t)value_chars(end.s);
    if (keep < 0)
        return value_fail(&run->room, E_INVALID, "truncate: the length must hold the end");
    if (leeway < 0)
        return value_fail(&run->room, E_INVALID, "truncate: the leeway cannot be negative");
    if ((int64_t)n - leeway <= length)
        return 0;
    rc = jinja_need_str(run, c->self, "truncate");
    if (rc < 0)
        return rc;
    to = value_char_at(c->self.s, (size_t)keep);
    if (!jinja_flag(c->a[1], 0)) {
        const char *space = to ? memrchr(c->self.s->p, ' ', to) : NULL;

        to = space ? (size_t)(space - c->self.s->p) : to;
    }
    value_build(&b, &run->room);
    value_put_cut(&b, c->self.s, 0, to);
    value_put_text(&b, end.s);
    return value_built(&b, out);
}

/* -- JSON, and others ----------------------------------------------------------------- */

/* A text for C, copied; NUL in it ends it. */
static int c_string(struct jinja_run *run, struct value v, const char **out)
{
    char *p;
    int rc = jinja_need_str(run, v, "tojson");

    if (rc < 0)
        return rc;
    p = value_alloc(&run->room, v.s->n + 1);
    if (!p)
        return value_failed(&run->room);
    memcpy(p, v.s->p, v.s->n);
    p[v.s->n] = '\0';
    *out = p;
    return 0;
}

static int json_indent(struct jinja_run *run, struct value v, struct value_json *how)
{
    struct value spaces;
    int rc;

    if (jinja_absent(v) || v.kind == VALUE_NONE)
        return 0;
    how->item = ",";
    if (v.kind == VALUE_STR)
        return c_string(run, v, &how->indent);
    rc = value_str(&run->room, str_of(" "), 0, &spaces);
    if (rc == 0)
        rc = jinja_math(run, OP_MUL, spaces, v, &spaces);
    return rc < 0 ? rc : c_string(run, spaces, &how->indent);
}

static int f_tojson(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_json how = {.item = ", ", .key = ": "};
    struct value pair;
    struct value_build b;
    int rc = json_indent(run, c->a[1], &how);

    how.ascii = jinja_flag(c->a[0], 0);
    how.sort = jinja_flag(c->a[3], 0);
    if (rc == 0 && !jinja_absent(c->a[2]) && c->a[2].kind != VALUE_NONE) {
        rc = jinja_items(run, c->a[2], &pair);
        if (rc == 0 && pair.l->n != 2)
            return value_fail(&run->room, E_INVALID, "tojson: separators are two");
        if (rc == 0)
            rc = c_string(run, pair.l->v[0], &how.item);
        if (rc == 0)
            rc = c_string(run, pair.l->v[1], &how.key);
    }
    if (rc < 0)
        return rc;
    if (c->self.kind == VALUE_UNDEF)
        return jinja_undefined(run, c->self);
    value_build(&b, &run->room);
    value_put_json(&b, c->self, &how);
    return value_built(&b, out);
}

static int f_from_json(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int rc = jinja_need_str(run, c->self, "from_json");

    return rc < 0 ? rc : value_parse_json(&run->room, c->self.s, out);
}

static int f_pprint(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value_build b;

    value_build(&b, &run->room);
    jinja_put_repr(run, &b, c->self);
    return value_built(&b, out);
}

static int f_default(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    int use = c->self.kind == VALUE_UNDEF || (jinja_flag(c->a[1], 0) && !value_true(c->self));

    *out = c->self;
    if (!use)
        return 0;
    *out = c->a[0];
    return jinja_absent(c->a[0]) ? value_str(&run->room, str_of(""), 0, out) : 0;
}

static int f_format(struct jinja_run *run, struct jinja_call *c, struct value *out)
{
    struct value args;
    int rc = self_str(run, c);

    if (rc < 0)
        return rc;
    if (c->kw.kind == VALUE_DICT)
        return jinja_percent(run, c->self.s, c->kw, out);
    rc = value_list(&run->room, VALUE_TUPLE, c->n_pos, &args);
    for (size_t i = 0; i < c->n_pos && rc == 0; i++)
        rc = value_append(&run->room, args, c->pos[i]);
    return rc < 0 ? rc : jinja_percent(run, c->self.s, args, out);
}

const struct jinja_fn jinja_filters_text[] = {
    {"string", "", 0, 0, f_string},
    {"safe", "", 0, 0, f_safe},
    {"trim", "chars", 0, 0, f_trim},
    {"upper", "", 0, 0, f_upper},
    {"lower", "", 0, 0, f_lower},
    {"capitalize", "", 0, 0, f_capitalize},
    {"title", "", 0, 0, f_title},
    {"center", "width", 0, 0, f_center},
    {"replace", "old new count", 2, 0, f_replace},
    {"wordcount", "", 0, 0, f_wordcount},
    {"indent", "width first blank", 0, 0, f_indent},
    {"truncate", "length killwords end leeway", 0, 0, f_truncate},
    {"tojson", "ensure_ascii indent separators sort_keys", 0, 0, f_tojson},
    {"from_json", "", 0, 0, f_from_json},
    {"fromjson", "", 0, 0, f_from_json},
    {"pprint", "", 0, 0, f_pprint},
    {"default", "default_value boolean", 0, 0, f_default},
    {"d", "default_value boolean", 0, 0, f_default},
    {"format", "", 0, FN_ANY_POS | FN_ANY_KW, f_format},
    {0},
};

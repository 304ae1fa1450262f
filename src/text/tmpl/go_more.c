/* Functions that write their arguments for somebody else: HTML, JavaScript, URLs, TypeScript.
 */
#include "text/tmpl/go_fmt.h"
#include "text/tmpl/go_run.h"

#include "base/utf8.h"

#include <stdio.h>
#include <string.h>

/* What stands for the character (cp -1: a byte that is none), or NULL for itself. */
typedef const char *(*escape_fn)(int32_t cp, unsigned char byte, char room[16]);

static const char *escape_html(int32_t cp, unsigned char byte, char room[16])
{
    (void)byte;
    (void)room;
    switch (cp) {
    case 0:
        return "\xef\xbf\xbd";
    case '"':
        return "&#34;";
    case '\'':
        return "&#39;";
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    default:
        return NULL;
    }
}

static const char *escape_js(int32_t cp, unsigned char byte, char room[16])
{
    (void)byte;
    if (cp == '\\' || cp == '\'' || cp == '"')
        (void)snprintf(room, 16, "\\%c", (char)cp);
    else if (cp >= 0 && (cp < ' ' || cp == '<' || cp == '>' || cp == '&' || cp == '=' ||
                         !(cp < 0x80 || go_fmt_printable(cp))))
        (void)snprintf(room, 16, "\\u%04X", (unsigned)cp);
    else
        return NULL;
    return room;
}

static const char *escape_query(int32_t cp, unsigned char byte, char room[16])
{
    (void)cp;
    if ((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
        (byte >= 'A' && byte <= 'Z') || (byte && strchr("-_.~", byte)))
        return NULL;
    if (byte == ' ')
        return "+";
    (void)snprintf(room, 16, "%%%02X", byte);
    return room;
}

/* The arguments as print writes them, nothing as "<no value>". */
static int join(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;
    struct value *shown = value_alloc(r->room, (n + 1) * sizeof(*shown));
    int rc = 0;

    if (!shown)
        return go_code(r->room->e);
    for (size_t i = 0; i < n && rc == 0; i++) {
        shown[i] = v[i];
        if (go_is_nil(v[i]))
            rc = value_str(r->room, str_of("<no value>"), 0, &shown[i]);
    }
    if (rc < 0)
        return rc;
    value_build(&b, r->room);
    go_put_all(&b, shown, n, 0);
    return value_built(&b, out);
}

/* bytes: each byte is looked at by itself. */
static int escape(struct go_run *r, const struct value *v, size_t n, escape_fn fn, int bytes,
                  struct value *out)
{
    struct value_build b;
    struct value text;
    size_t run = 0, from = 0, i = 0;
    int rc = join(r, v, n, &text);

    if (rc < 0)
        return rc;
    value_build(&b, r->room);
    while (i < text.s->n && b.rc == 0) {
        char room[16];
        int32_t cp;
        int len = utf8_next(text.s->p + i, text.s->n - i, &cp), user;
        const char *to = fn(cp, (unsigned char)text.s->p[i], room);

        len = bytes ? 1 : len;
        if (to) {
            value_put_cut(&b, text.s, from, i);
            (void)value_run(text.s, i, &run, &user);
            value_put(&b, str_of(to), user);
            from = i + (size_t)len;
        }
        i += (size_t)len;
    }
    value_put_cut(&b, text.s, from, text.s->n);
    return value_built(&b, out);
}

int go_call_html(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    return escape(r, v, n, escape_html, 0, out);
}

int go_call_js(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    return escape(r, v, n, escape_js, 0, out);
}

int go_call_urlquery(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    return escape(r, v, n, escape_query, 1, out);
}

/* -- TypeScript --------------------------------------------------------------------------- */

static const char *type_of_json(struct value name)
{
    static const char *const map[][2] = {
        {"string", "string"},   {"number", "number"}, {"integer", "number"},
        {"boolean", "boolean"}, {"array", "any[]"},   {"object", "Record<string, any>"},
        {"null", "null"},
    };

    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (value_is(name, map[i][0]))
            return map[i][1];
    return "any";
}

static void put_type(struct value_build *b, struct value property)
{
    const struct go_obj *o = go_obj_of(property);
    const struct value_list *any = NULL, *type = NULL;

    if (o && o->type == &go_type_property) {
        any = go_list_of(o->in.l->v[GO_PROPERTY_ANY_OF]);
        type = go_list_of(o->in.l->v[GO_PROPERTY_TYPE]);
    }
    if (b->rc == 0)
        b->rc = value_enter(b->r);
    if (b->rc < 0)
        return;
    if (any && any->n)
        type = NULL;
    else if (!type || type->n == 0)
        value_put_c(b, "any");
    for (size_t i = 0; any && i < any->n && b->rc == 0; i++) {
        value_put_c(b, i ? " | " : "");
        put_type(b, any->v[i]);
    }
    for (size_t i = 0; type && i < type->n; i++) {
        value_put_c(b, i ? " | " : "");
        value_put_c(b, type_of_json(type->v[i]));
    }
    value_leave(b->r);
}

int go_call_types(struct go_run *r, const struct value *v, size_t n, struct value *out)
{
    struct value_build b;

    (void)n;
    value_build(&b, r->room);
    put_type(&b, v[0]);
    return value_built(&b, out);
}

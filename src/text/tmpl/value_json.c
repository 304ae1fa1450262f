#include "text/tmpl/value.h"

#include "base/utf8.h"
#include "fmt/jbig.h"

#include <math.h>
#include <stdio.h>

/* A byte of JSON becomes at most so many bytes of jansson's tree and ours together. */
enum { BYTES_PER_BYTE = 128 };

/* -- reading -------------------------------------------------------------------------- */

struct reader {
    struct value_room *r;
    int user, copy; /* copy: the tree does not live as long as the room */
};

static int read_json(const struct reader *rd, const json_t *j, struct value *out);

static int read_str(const struct reader *rd, struct str s, struct value *out)
{
    if (rd->copy && s.n) {
        char *p = value_alloc(rd->r, s.n);

        if (!p)
            return value_failed(rd->r);
        memcpy(p, s.p, s.n);
        s.p = p;
    }
    return value_str(rd->r, s, rd->user, out);
}

static int read_array(const struct reader *rd, const json_t *j, struct value *out)
{
    size_t n = json_array_size(j);
    int rc = value_list(rd->r, VALUE_LIST, n, out);

    for (size_t i = 0; i < n && rc == 0; i++) {
        struct value v = {0};

        rc = read_json(rd, json_array_get(j, i), &v);
        if (rc == 0)
            rc = value_append(rd->r, *out, v);
    }
    return rc;
}

static int read_object(const struct reader *rd, const json_t *j, struct value *out)
{
    json_t *obj = (json_t *)j; /* iterators want it so; nothing is written */
    int rc = value_dict(rd->r, VALUE_DICT, out);

    for (void *i = json_object_iter(obj); i && rc == 0; i = json_object_iter_next(obj, i)) {
        struct value key = {0}, v = {0};

        rc = read_str(
            rd, (struct str){json_object_iter_key(i), strlen(json_object_iter_key(i))}, &key);
        if (rc == 0)
            rc = read_json(rd, json_object_iter_value(i), &v);
        if (rc == 0)
            rc = value_set(rd->r, *out, key, v);
    }
    return rc;
}

static int read_json(const struct reader *rd, const json_t *j, struct value *out)
{
    int rc;

    if (jbig_digits(j).p) { /* of 64 bits is what whole numbers have here */
        *out = value_float(jbig_value(j));
        return 0;
    }
    switch (json_typeof(j)) {
    case JSON_STRING:
        return read_str(rd, (struct str){json_string_value(j), json_string_length(j)}, out);
    case JSON_INTEGER:
        *out = value_int(json_integer_value(j));
        return 0;
    case JSON_REAL:
        *out = value_float(json_real_value(j));
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = value_bool(json_is_true(j));
        return 0;
    case JSON_NULL:
        *out = value_none();
        return 0;
    default:
        break;
    }
    rc = value_enter(rd->r);
    if (rc < 0)
        return rc;
    rc = json_is_array(j) ? read_array(rd, j, out) : read_object(rd, j, out);
    value_leave(rd->r);
    return rc;
}

int value_of_json(struct value_room *r, const json_t *j, int user, struct value *out)
{
    const struct reader rd = {r, user, 0};

    return read_json(&rd, j, out);
}

int value_parse_json(struct value_room *r, const struct value_text *s, struct value *out)
{
    struct reader rd = {r, 0, 1};
    json_error_t je;
    json_t *j;
    int rc;

    for (size_t i = 0; i < s->n_mark; i++)
        rd.user |= s->mark[i].user;
    rc = value_pay(r, s->n / 8);
    if (rc < 0)
        return rc;
    if (s->n > (r->a.max - r->a.used) / BYTES_PER_BYTE)
        return value_fail(r, E_TOO_LONG, "%zu bytes of JSON are too long", s->n);
    j = json_loadb(s->p, s->n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &je);
    if (!j)
        return value_fail(r, E_INVALID, "no JSON: line %d, column %d: %s", je.line, je.column,
                          je.text);
    rc = read_json(&rd, j, out);
    json_decref(j);
    return rc;
}

/* -- writing -------------------------------------------------------------------------- */

static void put_escaped(struct value_build *b, int32_t cp, int user)
{
    char text[16];

    if (cp >= 0x10000) /* a pair of surrogates */
        (void)snprintf(text, sizeof(text), "\\u%04x\\u%04x",
                       0xD800u + (((unsigned)cp - 0x10000) >> 10),
                       0xDC00u + ((unsigned)cp & 0x3FF));
    else
        (void)snprintf(text, sizeof(text), "\\u%04x", (unsigned)cp);
    value_put(b, str_of(text), user);
}

/* What stands for the character, or NULL; "u": its code. */
static const char *escape_of(int32_t cp, const struct value_json *how)
{
    switch (cp) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\n':
        return "\\n";
    case '\r':
        return "\\r";
    case '\t':
        return "\\t";
    case '\b':
        return "\\b";
    case '\f':
        return "\\f";
    default:
        break;
    }
    if (cp < 0x20 || (how->ascii && cp > 0x7E))
        return "u";
    if (how->go && (cp == '<' || cp == '>' || cp == '&' || cp == 0x2028 || cp == 0x2029))
        return "u";
    return NULL;
}

static void put_string(struct value_build *b, const struct value_text *s,
                       const struct value_json *how)
{
    size_t run = 0, from = 0, i = 0;

    value_put_c(b, "\"");
    while (i < s->n && b->rc == 0) {
        int32_t cp;
        int n = utf8_next(s->p + i, s->n - i, &cp), user;
        const char *escape = escape_of(cp, how);

        if (escape) {
            value_put_cut(b, s, from, i);
            (void)value_run(s, i, &run, &user);
            if (*escape == 'u')
                put_escaped(b, cp < 0 ? 0xFFFD : cp, user);
            else
                value_put(b, str_of(escape), user);
            from = i + (size_t)n;
        }
        i += (size_t)n;
    }
    value_put_cut(b, s, from, s->n);
    value_put_c(b, "\"");
}

static void put_value(struct value_build *b, struct value v, const struct value_json *how,
                      int level);

static void new_line(struct value_build *b, const struct value_json *how, int level)
{
    if (!how->indent)
        return;
    value_put_c(b, "\n");
    for (int i = 0; i < level; i++)
        value_put_c(b, how->indent);
}

static void put_list(struct value_build *b, const struct value_list *l,
                     const struct value_json *how, int level)
{
    value_put_c(b, "[");
    for (size_t i = 0; i < l->n && b->rc == 0; i++) {
        if (i)
            value_put_c(b, how->item);
        new_line(b, how, level + 1);
        put_value(b, l->v[i], how, level + 1);
    }
    if (l->n)
        new_line(b, how, level);
    value_put_c(b, "]");
}

static void put_key(struct value_build *b, struct value key, const struct value_json *how)
{
    if (key.kind == VALUE_STR) {
        put_string(b, key.s, how);
    } else if (key.kind == VALUE_TUPLE) {
        b->rc = value_fail(b->r, E_INVALID, "a tuple cannot be a key in JSON");
    } else {
        value_put_c(b, "\"");
        put_value(b, key, how, 0);
        value_put_c(b, "\"");
    }
}

/* The entries in the order of their keys: a list of pairs (key, value). */
static int sorted_entries(struct value_room *r, struct value dict, struct value *keys)
{
    const struct value_entry *entry;
    int rc = value_list(r, VALUE_LIST, dict.d->live, keys);

    for (size_t i = 0; rc == 0 && (entry = value_next(dict, &i));)
        rc = value_append(r, *keys, entry->key);
    return rc < 0 ? rc : value_sort(r, keys->l->v, NULL, keys->l->n, 0);
}

static void put_dict(struct value_build *b, struct value dict, const struct value_json *how,
                     int level)
{
    const struct value_entry *entry;
    struct value keys = {0};
    size_t n = 0;

    if (how->sort)
        b->rc = sorted_entries(b->r, dict, &keys);
    value_put_c(b, "{");
    for (size_t i = 0; b->rc == 0; n++) {
        entry = !how->sort      ? value_next(dict, &i)
                : n < keys.l->n ? value_find(dict, keys.l->v[n])
                                : NULL;
        if (!entry)
            break;
        if (n)
            value_put_c(b, how->item);
        new_line(b, how, level + 1);
        put_key(b, entry->key, how);
        value_put_c(b, how->key);
        put_value(b, entry->val, how, level + 1);
    }
    if (n)
        new_line(b, how, level);
    value_put_c(b, "}");
}

static void put_number(struct value_build *b, double f, const struct value_json *how)
{
    if (f == f && !isinf(f))
        value_put_float(b, f, how->go);
    else if (how->go)
        b->rc = value_fail(b->r, E_INVALID, "JSON has no such number");
    else
        value_put_c(b, f != f ? "NaN" : f < 0 ? "-Infinity" : "Infinity");
}

static void put_value(struct value_build *b, struct value v, const struct value_json *how,
                      int level)
{
    if (b->rc == 0)
        b->rc = value_pay(b->r, 1);
    if (b->rc < 0)
        return;
    switch (v.kind) {
    case VALUE_NONE:
        value_put_c(b, "null");
        return;
    case VALUE_BOOL:
        value_put_c(b, v.i ? "true" : "false");
        return;
    case VALUE_INT:
        value_put_int(b, v.i);
        return;
    case VALUE_FLOAT:
        put_number(b, v.f, how);
        return;
    case VALUE_STR:
        put_string(b, v.s, how);
        return;
    case VALUE_UNDEF:
    case VALUE_NAMESPACE:
    case VALUE_OBJ:
        b->rc =
            value_fail(b->r, E_INVALID, "'%s' cannot be written as JSON", value_type_name(v));
        return;
    default:
        break;
    }
    b->rc = value_enter(b->r);
    if (b->rc < 0)
        return;
    if (v.kind == VALUE_DICT)
        put_dict(b, v, how, level);
    else
        put_list(b, v.l, how, level);
    value_leave(b->r);
}

void value_put_json(struct value_build *b, struct value v, const struct value_json *how)
{
    put_value(b, v, how, 0);
}

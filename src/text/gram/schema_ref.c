/* schema_ref.c - names of places in a document, and what $ref and $dynamicRef mean. Only what
 * the document itself holds is ever found.
 *
 * Source   RFC 3986, section 5; RFC 6901 */
#include "text/gram/schema_part.h"

#include "base/mem.h"

#include <stdio.h>

/* -- URIs ------------------------------------------------------------------------------ */

/* Parts of a reference; what is absent is empty, with has_... telling. */
struct uri {
    struct str scheme, host, path, query; /* "http:", "//host", "/a/b", "?x" */
    struct str fragment;                  /* without # */
    int has_fragment;
};

static struct str cut(struct str *t, size_t n)
{
    struct str head = {t->p, n};

    *t = (struct str){t->p + n, t->n - n};
    return head;
}

static size_t until(struct str t, size_t from, const char *stops)
{
    for (; from < t.n; from++) {
        if (strchr(stops, t.p[from]) && t.p[from])
            break;
    }
    return from;
}

static struct uri uri_split(struct str t)
{
    struct uri u = {0};
    size_t n = until(t, 0, "#");

    if (n < t.n) {
        u.fragment = (struct str){t.p + n + 1, t.n - n - 1};
        u.has_fragment = 1;
        t.n = n;
    }
    n = until(t, 0, ":/?");
    if (n > 0 && n < t.n && t.p[n] == ':')
        u.scheme = cut(&t, n + 1);
    if (t.n >= 2 && t.p[0] == '/' && t.p[1] == '/')
        u.host = cut(&t, until(t, 2, "/?"));
    u.path = cut(&t, until(t, 0, "?"));
    u.query = t;
    return u;
}

/* Takes . and .. out of the path at the end of b, which begins at from. */
static void remove_dots(struct buf *b, size_t from)
{
    size_t out = from, in = from;

    while (in < b->n) {
        size_t end = in + 1;
        struct str part;

        while (end < b->n && b->p[end] != '/')
            end++;
        part = (struct str){b->p + in, end - in};
        if (str_is(part, "/.") || str_is(part, "/..")) {
            while (str_is(part, "/..") && out > from && b->p[--out] != '/')
                continue;
            if (end == b->n)
                b->p[out++] = '/';
        } else {
            memmove(b->p + out, part.p, part.n);
            out += part.n;
        }
        in = end;
    }
    b->n = out;
}

static int put(struct buf *b, struct str t)
{
    return buf_put(b, t.p, t.n);
}

/* The path of a reference beside the base's. */
static int merge_path(struct buf *b, const struct uri *base, const struct uri *ref)
{
    size_t from = b->n, slash = base->path.n;
    int rc = 0;

    if (ref->path.p[0] != '/') {
        while (slash > 0 && base->path.p[slash - 1] != '/')
            slash--;
        rc = put(b, (struct str){base->path.p, slash});
        if (rc == 0 && slash == 0 && base->host.n)
            rc = buf_byte(b, '/');
    }
    if (rc == 0)
        rc = put(b, ref->path);
    if (rc == 0 && b->n > from && b->p[from] == '/')
        remove_dots(b, from);
    return rc;
}

/* Writes what a reference means seen from base, without its fragment. */
static int resolve(struct buf *b, struct str base_uri, const struct uri *ref)
{
    struct uri base = uri_split(base_uri);
    int whole = ref->scheme.n != 0, rc;

    rc = put(b, whole ? ref->scheme : base.scheme);
    whole |= ref->host.n != 0;
    if (rc == 0)
        rc = put(b, whole ? ref->host : base.host);
    if (rc == 0 && whole)
        rc = put(b, ref->path);
    else if (rc == 0)
        rc = ref->path.n ? merge_path(b, &base, ref) : put(b, base.path);
    whole |= ref->path.n != 0 || ref->query.n != 0;
    if (rc == 0)
        rc = put(b, whole ? ref->query : base.query);
    return rc;
}

/* As above, with #anchor behind; in the arena. */
static int resolve_keep(struct schema *s, struct str base, const struct uri *ref,
                        struct str anchor, struct str *out)
{
    struct buf b;
    char *copy = NULL;
    int rc;

    buf_init(&b, (size_t)1 << 20);
    rc = resolve(&b, base, ref);
    if (rc == 0)
        rc = buf_byte(&b, '#');
    if (rc == 0)
        rc = put(&b, anchor);
    if (rc == 0)
        copy = arena_strdup(&s->arena, (struct str){b.p, b.n});
    *out = (struct str){copy, b.n};
    buf_done(&b);
    if (rc == E_TOO_LONG)
        return err_set(s->e, rc, "a URI is longer than 1 MiB");
    return copy ? 0 : schema_nomem(s);
}

/* -- names ----------------------------------------------------------------------------- */

static int add_place(struct schema *s, uint32_t node, const char *kw, struct str uri)
{
    uint32_t was;
    int rc = map_put(&s->places, uri, node, &was);

    if (rc < 0)
        return schema_nomem(s);
    if (rc == 1 && was != node)
        return schema_fail(s, E_INVALID, node, kw, "\"%.*s\" is the name of two schemas",
                           (int)(uri.n < 80 ? uri.n : 80), uri.p);
    return 0;
}

/* A schema with $id begins a resource of its own. */
static int add_resource(struct schema *s, uint32_t node, struct str id)
{
    struct uri u = uri_split(id);
    struct str uri = {"#", 1};
    int rc;

    if (u.fragment.n)
        return schema_fail(s, E_INVALID, node, "$id",
                           "must have no #fragment; use \"$anchor\"");
    if (id.n || s->n_base)
        rc = resolve_keep(s,
                          s->n_base ? s->base[s->node[node].resource].uri : (struct str){"", 0},
                          &u, (struct str){"", 0}, &uri);
    else
        rc = 0;
    if (rc == 0)
        rc = add_place(s, node, "$id", uri);
    if (rc == 0)
        rc = schema_grow(s, &s->base, s->n_base, &s->cap_base, sizeof(*s->base));
    if (rc < 0)
        return rc;
    s->base[s->n_base] = (struct schema_base){{uri.p, uri.n - 1}, node};
    s->node[node].resource = s->n_base++;
    return 0;
}

static int add_anchor(struct schema *s, uint32_t node, int kw)
{
    const json_t *v = schema_kw(&s->node[node], kw);
    const struct uri none = {0};
    struct str name, uri;
    uint32_t n = 0;
    int rc;

    if (!v)
        return 0;
    name = schema_str(v);
    if (!name.n || until(name, 0, "/#%") < name.n)
        return schema_fail(s, E_INVALID, node, schema_kw_name(kw), "is no name of an anchor");
    if (kw == KW_dynamic_anchor) {
        (void)map_get(&s->dynamics, name, &n);
        if (map_put(&s->dynamics, name, n + 1, NULL) < 0)
            return schema_nomem(s);
    }
    rc = resolve_keep(s, s->base[s->node[node].resource].uri, &none, name, &uri);
    return rc < 0 ? rc : add_place(s, node, schema_kw_name(kw), uri);
}

static int check_dialect(struct schema *s, uint32_t node)
{
    const json_t *v = schema_kw(&s->node[node], KW_schema);
    struct str t;

    if (!v)
        return 0;
    t = schema_str(v);
    if (memmem(t.p, t.n, "://json-schema.org/", 19) && memmem(t.p, t.n, "/schema", 7))
        return 0;
    return schema_fail(s, E_UNSUPPORTED, node, "$schema",
                       "\"%.*s\" is another dialect than those of json-schema.org",
                       (int)(t.n < 80 ? t.n : 80), t.p);
}

int schema_ref_name(struct schema *s, uint32_t node)
{
    const json_t *id = schema_kw(&s->node[node], KW_id);
    int rc = check_dialect(s, node);

    if (rc == 0 && (id || !s->n_base))
        rc = add_resource(s, node, id ? schema_str(id) : (struct str){"", 0});
    if (rc == 0)
        rc = add_anchor(s, node, KW_anchor);
    if (rc == 0)
        rc = add_anchor(s, node, KW_dynamic_anchor);
    return rc;
}

/* -- finding --------------------------------------------------------------------------- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %xx; in the arena, with a NUL behind. */
static int decode(struct schema *s, struct str t, struct str *out)
{
    char *p = arena_alloc(&s->arena, t.n + 1);
    size_t n = 0;

    if (!p)
        return schema_nomem(s);
    for (size_t i = 0; i < t.n; i++) {
        p[n] = t.p[i];
        if (t.p[i] == '%' && i + 2 < t.n && hex(t.p[i + 1]) >= 0 && hex(t.p[i + 2]) >= 0) {
            p[n] = (char)(hex(t.p[i + 1]) * 16 + hex(t.p[i + 2]));
            i += 2;
        }
        n++;
    }
    p[n] = '\0';
    *out = (struct str){p, n};
    return 0;
}

/* One step of a pointer into a value; NULL: nothing is there. */
static const json_t *step(const json_t *v, struct str part)
{
    char key[256];
    size_t n = 0, at = 0;

    for (size_t i = 0; i < part.n; i++) {
        if (n == sizeof(key))
            return NULL;
        key[n] = part.p[i];
        if (part.p[i] == '~' && i + 1 < part.n &&
            (part.p[i + 1] == '0' || part.p[i + 1] == '1'))
            key[n] = part.p[++i] == '0' ? '~' : '/';
        n++;
    }
    if (json_is_object(v))
        return json_object_getn(v, key, n);
    if (!json_is_array(v) || n == 0 || n > 9)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        if (key[i] < '0' || key[i] > '9')
            return NULL;
        at = at * 10 + (size_t)(key[i] - '0');
    }
    return json_array_get(v, at);
}

static int find_pointer(struct schema *s, uint32_t node, const char *kw, uint32_t from,
                        struct str pointer, uint32_t *out)
{
    const json_t *v = s->node[from].v;
    uint32_t near = from, known = s->n_node;
    size_t i = 0;
    int rc;

    while (v && i < pointer.n) {
        size_t end = until(pointer, i + 1, "/");

        v = step(v, (struct str){pointer.p + i + 1, end - i - 1});
        if (json_is_object(v))
            (void)map64_get(&s->nodes, (uintptr_t)v, &near);
        i = end;
    }
    if (!v)
        return schema_fail(s, E_INVALID, node, kw, "nothing is at \"#%.*s\"",
                           (int)(pointer.n < 120 ? pointer.n : 120), pointer.p);
    if (!json_is_object(v) && !json_is_boolean(v))
        return schema_fail(s, E_INVALID, node, kw, "at \"#%.*s\" is no schema",
                           (int)(pointer.n < 120 ? pointer.n : 120), pointer.p);
    rc = schema_node_of(s, v, NODE_NONE, NULL, pointer.p, SIZE_MAX, out);
    if (rc == 0 && s->n_node > known)
        s->node[*out].resource = s->node[near].resource;
    return rc;
}

static int find(struct schema *s, uint32_t node, int kw, uint32_t *out)
{
    const json_t *v = schema_kw(&s->node[node], kw);
    const char *name = schema_kw_name(kw);
    struct str ref = schema_str(v), fragment, uri;
    struct uri u = uri_split(ref);
    uint32_t from;
    int rc = decode(s, u.fragment, &fragment), pointer;

    if (rc < 0)
        return rc;
    pointer = fragment.n == 0 || fragment.p[0] == '/';
    rc = resolve_keep(s, s->base[s->node[node].resource].uri, &u,
                      pointer ? (struct str){"", 0} : fragment, &uri);
    if (rc < 0)
        return rc;
    if (map_get(&s->places, uri, &from)) {
        *out = from;
        return pointer ? find_pointer(s, node, name, from, fragment, out) : 0;
    }
    return schema_fail(s, E_INVALID, node, name,
                       "\"%.*s\" is not in this document, and nothing is fetched",
                       (int)(ref.n < 120 ? ref.n : 120), ref.p);
}

/* $dynamicRef asks whoever refers here, if its target says so; with one target there is
 * nothing to ask. */
static int check_dynamic(struct schema *s, uint32_t node)
{
    struct uri u = uri_split(schema_str(schema_kw(&s->node[node], KW_dynamic_ref)));
    const json_t *anchor = schema_kw(&s->node[s->node[node].dynamic_ref], KW_dynamic_anchor);
    uint32_t n = 0;

    if (!anchor || !str_eq(schema_str(anchor), u.fragment))
        return 0;
    (void)map_get(&s->dynamics, u.fragment, &n);
    if (n > 1)
        return schema_fail(s, E_UNSUPPORTED, node, "$dynamicRef",
                           "%u schemas have this \"$dynamicAnchor\"; one can be told", n);
    return 0;
}

int schema_ref_find(struct schema *s, uint32_t node)
{
    uint32_t to;
    int rc = 0;

    if (s->node[node].have & KW_BIT(KW_ref)) {
        rc = find(s, node, KW_ref, &to);
        if (rc == 0)
            s->node[node].ref = to;
    }
    if (rc == 0 && s->node[node].have & KW_BIT(KW_dynamic_ref)) {
        rc = find(s, node, KW_dynamic_ref, &to);
        if (rc == 0)
            s->node[node].dynamic_ref = to;
        if (rc == 0)
            rc = check_dynamic(s, node);
    }
    return rc;
}

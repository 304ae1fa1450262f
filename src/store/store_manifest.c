/* store_manifest.c - manifests: JSON objects, checked member by member.
 *
 *     {"version": 1, "path": "/models/a.gguf", "size": 1234, "format": "gguf", ...}
 *
 * Members that a model has not are left out; members that are not known are ignored, so that a
 * later version may add some. */
#include "store/store_priv.h"

#include "base/sha256.h"
#include "fmt/jfile.h"
#include "fmt/jtext.h"

#include <string.h>

#define MODEL_MEM_MAX (4 * STORE_MANIFEST_MAX)

static const char *const can_names[] = {"completion", "tools",  "insert", "thinking",
                                        "embedding",  "vision", "rerank"};

const char *store_can_name(int i)
{
    return i >= 0 && i < (int)(sizeof(can_names) / sizeof(*can_names)) ? can_names[i] : NULL;
}

json_t *store_can_json(int can)
{
    json_t *list = json_array();

    for (int i = 0; list && store_can_name(i); i++) {
        if (can & 1 << i && json_array_append_new(list, json_string(store_can_name(i))) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

void store_model_init(struct store_model *m)
{
    *m = (struct store_model){
        .path = "", .format = "", .family = "", .parameter_size = "", .quantization = ""};
    arena_init(&m->mem, MODEL_MEM_MAX);
}

void store_model_done(struct store_model *m)
{
    json_decref(m->params);
    json_decref(m->messages);
    arena_done(&m->mem);
    m->params = m->messages = NULL;
}

struct str store_keep(struct store_model *m, struct str s)
{
    const char *p = arena_strdup(&m->mem, s);

    return (struct str){p, p ? s.n : 0};
}

/* -- members by table ---------------------------------------------------------------------- */

enum member_type { MEMBER_CSTR, MEMBER_STR, MEMBER_U64, MEMBER_INT, MEMBER_NEEDED = 16 };

/* clang-format off */
#define AT(f) offsetof(struct store_model, f)
static const struct member {
    const char *name;
    size_t at;
    int type;
} members[] = {
    {"path",             AT(path),           MEMBER_CSTR | MEMBER_NEEDED},
    {"draft",            AT(draft),          MEMBER_CSTR},
    {"template",         AT(template),       MEMBER_STR},
    {"system",           AT(system),         MEMBER_STR},
    {"renderer",         AT(renderer),       MEMBER_STR},
    {"parser",           AT(parser),         MEMBER_STR},
    {"requires",         AT(requires),       MEMBER_STR},
    {"size",             AT(size),           MEMBER_U64},
    {"format",           AT(format),         MEMBER_CSTR},
    {"family",           AT(family),         MEMBER_CSTR},
    {"parameter_size",   AT(parameter_size), MEMBER_CSTR},
    {"quantization",     AT(quantization),   MEMBER_CSTR},
    {"parameter_count",  AT(n_param),        MEMBER_U64},
    {"context_length",   AT(n_ctx_train),    MEMBER_INT},
    {"embedding_length", AT(n_embd),         MEMBER_INT},
    {"has_template",     AT(has_template),   MEMBER_INT},
};
/* clang-format on */

#define N_MEMBER (sizeof(members) / sizeof(*members))

static void *field(const struct store_model *m, const struct member *row)
{
    return (char *)(uintptr_t)m + row->at;
}

static int bad(const char *what, const char *name, const char *why, struct err *e)
{
    return err_set(e, E_FORMAT, "%s: '%s' %s", what, name, why);
}

static int no_room(const char *what, struct err *e)
{
    return err_set(e, E_NOMEM, "%s: no memory for a manifest", what);
}

static int read_text(struct store_model *m, const char *what, const struct member *row,
                     const json_t *v, struct err *e)
{
    struct str s = {json_string_value(v), json_string_length(v)};
    int plain = (row->type & 15) == MEMBER_CSTR;

    if (!json_is_string(v))
        return bad(what, row->name, "is not a string", e);
    if (memchr(s.p, 0, s.n))
        return bad(what, row->name, "holds a NUL", e);
    s = store_keep(m, s);
    if (!s.p)
        return no_room(what, e);
    if (plain)
        *(const char **)field(m, row) = s.p;
    else
        *(struct str *)field(m, row) = s;
    return 0;
}

static int read_member(struct store_model *m, const char *what, const struct member *row,
                       const json_t *v, struct err *e)
{
    int type = row->type & 15;
    json_int_t n;

    if (!v)
        return row->type & MEMBER_NEEDED ? bad(what, row->name, "is missing", e) : 0;
    if (type == MEMBER_CSTR || type == MEMBER_STR)
        return read_text(m, what, row, v, e);
    n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0 || (type == MEMBER_INT && n > INT32_MAX))
        return bad(what, row->name, "is no number of things", e);
    if (type == MEMBER_INT)
        *(int *)field(m, row) = (int)n;
    else
        *(uint64_t *)field(m, row) = (uint64_t)n;
    return 0;
}

/* -- the rest ------------------------------------------------------------------------------ */

static int read_texts(struct store_model *m, const char *what, const char *name,
                      const json_t *list, struct str **out, size_t *n, struct err *e)
{
    const json_t *v;
    size_t i;

    *n = 0;
    if (!list)
        return 0;
    if (!json_is_array(list))
        return bad(what, name, "is not an array", e);
    *out = arena_calloc(&m->mem, json_array_size(list) + 1, sizeof(**out));
    if (!*out)
        return no_room(what, e);
    json_array_foreach(list, i, v)
    {
        struct str s = {json_string_value(v), json_string_length(v)};

        if (!json_is_string(v) || memchr(s.p, 0, s.n))
            return bad(what, name, "has an item that is not a text", e);
        (*out)[i] = store_keep(m, s);
        if (!(*out)[i].p)
            return no_room(what, e);
    }
    *n = json_array_size(list);
    return 0;
}

static int read_params(struct store_model *m, const char *what, const json_t *o, struct err *e)
{
    const char *name;
    json_t *v;
    int rc = 0;

    m->params = json_object();
    if (!m->params)
        return no_room(what, e);
    if (o && !json_is_object(o))
        return bad(what, "parameters", "is not an object", e);
    json_object_foreach((json_t *)(uintptr_t)o, name, v)
    {
        if (rc == 0)
            rc = modelfile_param_json(m->params, str_of(name), v, NULL, e);
    }
    if (rc == E_NOMEM)
        return rc;
    return rc < 0 ? err_wrap(e, E_FORMAT, "%s: parameters", what) : 0;
}

static int read_messages(struct store_model *m, const char *what, const json_t *list,
                         struct err *e)
{
    const json_t *v;
    size_t i;

    if (list && !json_is_array(list))
        return bad(what, "messages", "is not an array", e);
    json_array_foreach(list, i, v)
    {
        if (!json_is_string(json_object_get(v, "role")) ||
            !json_is_string(json_object_get(v, "content")))
            return bad(what, "messages", "has an item without role and content", e);
    }
    m->messages = list ? json_deep_copy(list) : json_array();
    return m->messages ? 0 : no_room(what, e);
}

static int read_can(struct store_model *m, const char *what, const json_t *list, struct err *e)
{
    const json_t *v;
    size_t i;

    if (list && !json_is_array(list))
        return bad(what, "capabilities", "is not an array", e);
    json_array_foreach(list, i, v)
    {
        for (int k = 0; json_is_string(v) && store_can_name(k); k++)
            if (strcmp(json_string_value(v), store_can_name(k)) == 0)
                m->can |= 1 << k;
    }
    return 0;
}

static int read_lists(struct store_model *m, const char *what, const json_t *o, struct err *e)
{
    struct str *path = NULL;
    int rc = read_texts(m, what, "adapters", json_object_get(o, "adapters"), &path,
                        &m->n_adapter, e);

    if (rc == 0 && m->n_adapter) {
        m->adapter = arena_calloc(&m->mem, m->n_adapter, sizeof(*m->adapter));
        if (!m->adapter)
            return no_room(what, e);
        for (size_t i = 0; i < m->n_adapter; i++)
            m->adapter[i] = path[i].p;
    }
    if (rc == 0)
        rc = read_texts(m, what, "licenses", json_object_get(o, "licenses"), &m->license,
                        &m->n_license, e);
    if (rc == 0)
        rc = read_params(m, what, json_object_get(o, "parameters"), e);
    if (rc == 0)
        rc = read_messages(m, what, json_object_get(o, "messages"), e);
    return rc < 0 ? rc : read_can(m, what, json_object_get(o, "capabilities"), e);
}

int store_manifest_read(struct store_model *m, const char *what, struct str bytes,
                        struct err *e)
{
    json_t *o = NULL;
    int rc = jfile_parse(&o, what, bytes.p ? bytes.p : "", bytes.n, e);

    if (rc < 0)
        return rc;
    if (json_integer_value(json_object_get(o, "version")) != STORE_VERSION)
        rc = bad(what, "version", "is not one that this hearth reads", e);
    for (size_t i = 0; rc == 0 && i < N_MEMBER; i++)
        rc = read_member(m, what, &members[i], json_object_get(o, members[i].name), e);
    if (rc == 0 && m->path[0] != '/')
        rc = bad(what, "path", "is not an absolute path", e);
    if (rc == 0)
        rc = read_lists(m, what, o, e);
    json_decref(o);
    if (rc == 0)
        sha256_hex(bytes.p, bytes.n, m->digest);
    return rc;
}

/* -- writing ------------------------------------------------------------------------------- */

static json_t *text_json(struct str s)
{
    return json_stringn(s.p, s.n);
}

static int put_member(json_t *o, const struct store_model *m, const struct member *row)
{
    const void *p = field(m, row);
    const char *c;
    struct str s;

    switch (row->type & 15) {
    case MEMBER_CSTR:
        c = *(const char *const *)p;
        return c && *c ? json_object_set_new(o, row->name, json_string(c)) : 0;
    case MEMBER_STR:
        s = *(const struct str *)p;
        return s.p ? json_object_set_new(o, row->name, text_json(s)) : 0;
    case MEMBER_INT:
        return json_object_set_new(o, row->name, json_integer(*(const int *)p));
    default:
        return json_object_set_new(o, row->name,
                                   json_integer((json_int_t) * (const uint64_t *)p));
    }
}

static int put_lists(json_t *o, const struct store_model *m)
{
    json_t *adapters = json_array(), *licenses = json_array(), *can = store_can_json(m->can);
    int rc = 0;

    for (size_t i = 0; i < m->n_adapter; i++)
        rc |= json_array_append_new(adapters, json_string(m->adapter[i]));
    for (size_t i = 0; i < m->n_license; i++)
        rc |= json_array_append_new(licenses, text_json(m->license[i]));
    if (json_array_size(adapters))
        rc |= json_object_set(o, "adapters", adapters);
    if (json_array_size(licenses))
        rc |= json_object_set(o, "licenses", licenses);
    rc |= json_object_set(o, "capabilities", can);
    if (json_object_size(m->params))
        rc |= json_object_set(o, "parameters", m->params);
    if (json_array_size(m->messages))
        rc |= json_object_set(o, "messages", m->messages);
    json_decref(adapters);
    json_decref(licenses);
    json_decref(can);
    return rc;
}

int store_manifest_write(const struct store_model *m, struct buf *out, struct err *e)
{
    json_t *o = json_object();
    int rc = o ? json_object_set_new(o, "version", json_integer(STORE_VERSION)) : -1;

    for (size_t i = 0; rc == 0 && i < N_MEMBER; i++)
        rc = put_member(o, m, &members[i]);
    if (rc == 0)
        rc = put_lists(o, m);
    if (rc != 0) {
        json_decref(o);
        return err_set(e, E_INVALID, "%s: a text of the model is not UTF-8, or no memory",
                       m->path);
    }
    rc = jtext_put(out, o, JSON_INDENT(1));
    json_decref(o);
    if (rc != 0 || buf_byte(out, '\n') < 0)
        return err_set(e, E_NOMEM, "%s: no memory for its manifest", m->path);
    return 0;
}

/* schema_doc.c - reads a document: which places are schemas, and that each keyword has a value
 * of its form. Places wait in the order in which they were found, so nothing recurses. */
#include "text/gram/schema_part.h"

#include "base/mem.h"

#include <stdio.h>
#include <strings.h>

struct kw_row {
    const char *name;
    enum schema_form form;
};

static const struct kw_row rows[] = {
#define X(id, name, form) {name, form},
    SCHEMA_KEYWORDS(X)
#undef X
};

/* Let be, without looking at what they hold: annotations, and what tools that write schemas
 * add for other readers. */
static const char *const notes[] = {
    "title",         "description",      "default",   "examples",         "$comment",
    "deprecated",    "readOnly",         "writeOnly", "contentEncoding",  "contentMediaType",
    "contentSchema", "$vocabulary",      "example",   "discriminator",    "externalDocs",
    "xml",           "propertyOrdering", "enumNames", "enumDescriptions", "markdownDescription",
    "errorMessage"};

static const struct {
    const char *name, *hint;
} hints[] = {
    {"nullable", "say \"type\": [..., \"null\"]"},
    {"id", "draft 2020-12 says \"$id\""},
    {"$recursiveRef", "draft 2020-12 says \"$dynamicRef\""},
    {"$recursiveAnchor", "draft 2020-12 says \"$dynamicAnchor\""},
    {"divisibleBy", "draft 2020-12 says \"multipleOf\""},
    {"extends", "draft 2020-12 says \"allOf\""},
    {"disallow", "draft 2020-12 says \"not\""},
    {"optional", "properties are optional unless \"required\" lists them"},
};

const char *schema_kw_name(int kw)
{
    return rows[kw].name;
}

/* -- which keyword --------------------------------------------------------------------- */

/* Steps of changing, adding or leaving out a letter from a to b; more than 2: 3. */
static int distance(const char *a, const char *b)
{
    unsigned char row[64];
    size_t na = strlen(a), nb = strlen(b);

    if (na >= sizeof(row) || nb >= sizeof(row) || na > nb + 2 || nb > na + 2)
        return 3;
    for (size_t j = 0; j <= nb; j++)
        row[j] = (unsigned char)j;
    for (size_t i = 1; i <= na; i++) {
        unsigned char diagonal = row[0];

        row[0] = (unsigned char)i;
        for (size_t j = 1; j <= nb; j++) {
            unsigned best = (unsigned)diagonal + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0);

            diagonal = row[j];
            if (best > row[j] + 1U)
                best = row[j] + 1U;
            if (best > row[j - 1] + 1U)
                best = row[j - 1] + 1U;
            row[j] = (unsigned char)best;
        }
    }
    return row[nb] < 3 ? row[nb] : 3;
}

static int fail_unknown(struct schema *s, uint32_t node, const char *key)
{
    int best = 3, at = -1;

    for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
        if (strcmp(hints[i].name, key) == 0)
            return schema_fail(s, E_UNSUPPORTED, node, key, "no keyword of JSON Schema: %s",
                               hints[i].hint);
    }
    for (int i = 0; i < KW_N; i++) {
        int d = strlen(key) > 3 ? distance(key, rows[i].name) : 3;

        if (d < best) {
            best = d;
            at = i;
        }
    }
    if (at >= 0)
        return schema_fail(s, E_UNSUPPORTED, node, key,
                           "no keyword of JSON Schema; did you mean \"%s\"?", rows[at].name);
    return schema_fail(s, E_UNSUPPORTED, node, key,
                       "no keyword of JSON Schema; what is meant for other readers may begin "
                       "with \"x-\"");
}

/* The keyword of a name: 0 to KW_N - 1; KW_N: let be. */
static int kw_of(struct schema *s, uint32_t node, const char *key)
{
    for (int i = 0; i < KW_N; i++) {
        if (key[0] == rows[i].name[0] && strcmp(key, rows[i].name) == 0)
            return i;
    }
    for (size_t i = 0; i < sizeof(notes) / sizeof(*notes); i++) {
        if (strcmp(key, notes[i]) == 0)
            return KW_N;
    }
    return strncmp(key, "x-", 2) == 0 ? KW_N : fail_unknown(s, node, key);
}

/* -- forms ----------------------------------------------------------------------------- */

static const char *const type_names[] = {"null",   "",      "boolean", "number",
                                         "string", "array", "object",  "integer"};

/* 1 << schema_type of a name; 0: none has it. */
static unsigned type_bits(const char *name)
{
    if (!name)
        return 0;
    for (int t = 0; t <= TYPE_INTEGER; t++) {
        if (t != TYPE_FALSE && strcmp(name, type_names[t]) == 0)
            return t == TYPE_TRUE ? 1U << TYPE_TRUE | 1U << TYPE_FALSE : 1U << t;
    }
    return 0;
}

static int read_type(struct schema *s, uint32_t node, const json_t *v)
{
    unsigned bits = 0;

    if (json_is_string(v))
        bits = type_bits(json_string_value(v));
    for (size_t i = 0; i < json_array_size(v); i++) {
        unsigned b = type_bits(json_string_value(json_array_get(v, i)));

        if (!b)
            return schema_fail(s, E_INVALID, node, "type", "entry %zu is no type", i);
        bits |= b;
    }
    if (!bits)
        return schema_fail(s, E_INVALID, node, "type",
                           "must be null, boolean, integer, number, string, array, object, or "
                           "a list of them");
    if (bits & 1U << TYPE_NUMBER)
        bits &= ~(1U << TYPE_INTEGER);
    s->node[node].types = (uint16_t)bits;
    return 0;
}

static int is_count(const json_t *v)
{
    if (json_is_integer(v))
        return json_integer_value(v) >= 0;
    if (!json_is_real(v))
        return 0;
    return json_real_value(v) >= 0 && json_real_value(v) < 1e18 &&
           json_real_value(v) == (double)(int64_t)json_real_value(v);
}

static int are_strings(const json_t *v)
{
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (!json_is_string(json_array_get(v, i)))
            return 0;
    }
    return json_is_array(v);
}

static int are_needs(const json_t *v)
{
    const char *key;
    json_t *list;

    json_object_foreach((json_t *)(uintptr_t)v, key, list)
    {
        if (!are_strings(list))
            return 0;
    }
    return json_is_object(v);
}

static int check_form(struct schema *s, uint32_t node, int kw, const json_t *v)
{
    static const char *const wants[] = {
        [FORM_BOOL] = "must be true or false",
        [FORM_COUNT] = "must be a whole number, 0 or more",
        [FORM_NUMBER] = "must be a number",
        [FORM_STRING] = "must be a string",
        [FORM_STRINGS] = "must be a list of strings",
        [FORM_LIST] = "must be a list",
        [FORM_SCHEMAS] = "must be a list of schemas, one at least",
        [FORM_MAP] = "must be an object of schemas",
        [FORM_NEEDS] = "must be an object of lists of strings",
        [FORM_DEPS] = "must be an object",
    };
    int ok = 1;

    switch (rows[kw].form) {
    case FORM_BOOL:
        ok = json_is_boolean(v);
        break;
    case FORM_COUNT:
        ok = is_count(v);
        break;
    case FORM_NUMBER:
        ok = json_is_number(v) || jbig_digits(v).p;
        break;
    case FORM_STRING:
        ok = json_is_string(v);
        break;
    case FORM_STRINGS:
        ok = are_strings(v);
        break;
    case FORM_LIST:
        ok = json_is_array(v);
        break;
    case FORM_SCHEMAS:
        ok = json_array_size(v) > 0;
        break;
    case FORM_MAP:
    case FORM_DEPS:
        ok = json_is_object(v);
        break;
    case FORM_NEEDS:
        ok = are_needs(v);
        break;
    case FORM_TYPE:
        return read_type(s, node, v);
    default:
        break;
    }
    return ok ? 0 : schema_fail(s, E_INVALID, node, rows[kw].name, "%s", wants[rows[kw].form]);
}

/* -- places ---------------------------------------------------------------------------- */

int schema_node_of(struct schema *s, const json_t *v, uint32_t parent, const char *under,
                   const char *name, size_t at, uint32_t *out)
{
    struct schema_node *n;
    unsigned depth = parent < s->n_node && under ? s->node[parent].depth + 1U : 0;
    int rc;

    if (json_is_boolean(v)) {
        *out = json_is_true(v) ? NODE_TRUE : NODE_FALSE;
        return 0;
    }
    if (!json_is_object(v)) {
        if (name)
            return schema_fail(s, E_INVALID, parent, under,
                               "\"%.64s\" must be a schema: an object, true or false", name);
        return schema_fail(s, E_INVALID, parent, under,
                           "must be a schema: an object, true or false");
    }
    if (map64_get(&s->nodes, (uintptr_t)v, out))
        return 0;
    if (depth >= SCHEMA_DEPTH - 1)
        return schema_fail(s, E_TOO_LONG, parent, under, "schemas are more than %d levels deep",
                           SCHEMA_DEPTH);
    if (s->n_node == SCHEMA_NODES)
        return schema_fail(s, E_TOO_LONG, parent, under, "more than %d schemas", SCHEMA_NODES);
    if ((rc = schema_grow(s, &s->node, s->n_node, &s->cap_node, sizeof(*s->node))) < 0)
        return rc;
    if (map64_put(&s->nodes, (uintptr_t)v, s->n_node) < 0)
        return schema_nomem(s);
    n = &s->node[s->n_node];
    *n = (struct schema_node){.v = v,
                              .parent = under && parent < s->n_node ? parent : s->n_node,
                              .depth = (uint8_t)depth,
                              .under = under,
                              .name = name,
                              .at = at,
                              .ref = NODE_NONE,
                              .dynamic_ref = NODE_NONE,
                              .types = (1U << TYPE_N) - 1};
    n->resource = n->parent == s->n_node ? 0 : s->node[n->parent].resource;
    *out = s->n_node++;
    return 0;
}

uint32_t schema_node_at(const struct schema *s, const json_t *v)
{
    uint32_t node = NODE_TRUE;

    if (json_is_false(v))
        return NODE_FALSE;
    if (json_is_object(v))
        (void)map64_get(&s->nodes, (uintptr_t)v, &node);
    return node;
}

static int children(struct schema *s, uint32_t node, int kw, const json_t *v)
{
    const char *under = rows[kw].name, *key;
    enum schema_form form = rows[kw].form;
    uint32_t child;
    json_t *sub;
    int rc = 0;

    if (form == FORM_SCHEMA || (form == FORM_ITEMS && !json_is_array(v)))
        return schema_node_of(s, v, node, under, NULL, SIZE_MAX, &child);
    if (form == FORM_SCHEMAS || form == FORM_ITEMS) {
        for (size_t i = 0; i < json_array_size(v) && rc == 0; i++)
            rc = schema_node_of(s, json_array_get(v, i), node, under, NULL, i, &child);
        return rc;
    }
    if (form != FORM_MAP && form != FORM_DEPS)
        return 0;
    json_object_foreach((json_t *)(uintptr_t)v, key, sub)
    {
        if (form == FORM_DEPS && json_is_array(sub)) {
            if (!are_strings(sub))
                return schema_fail(s, E_INVALID, node, under, "\"%.64s\" must list strings",
                                   key);
            continue;
        }
        if ((rc = schema_node_of(s, sub, node, under, key, SIZE_MAX, &child)) < 0)
            return rc;
    }
    return 0;
}

/* Bounds that contradict each other are a slip, and naming it helps more than saying that
 * nothing can be valid. */
static int check_bounds(struct schema *s, uint32_t node)
{
    static const int pair[][2] = {{KW_min_length, KW_max_length},
                                  {KW_min_items, KW_max_items},
                                  {KW_min_properties, KW_max_properties},
                                  {KW_minimum, KW_maximum}};
    const struct schema_node *n = &s->node[node];

    for (size_t i = 0; i < sizeof(pair) / sizeof(*pair); i++) {
        const json_t *min = schema_kw(n, pair[i][0]), *max = schema_kw(n, pair[i][1]);

        if (min && max && jbig_value(min) > jbig_value(max))
            return schema_fail(s, E_INVALID, node, rows[pair[i][0]].name, "is more than \"%s\"",
                               rows[pair[i][1]].name);
    }
    return 0;
}

static int read_keywords(struct schema *s, uint32_t node)
{
    json_t *v, *doc = (json_t *)(uintptr_t)s->node[node].v;
    const json_t *found[KW_N] = {NULL}, **val;
    uint64_t have = 0;
    const char *key;
    size_t n = 0;
    int rc = 0;

    json_object_foreach(doc, key, v)
    {
        int kw = kw_of(s, node, key);

        if (kw < 0)
            return kw;
        if (kw == KW_N)
            continue;
        if ((rc = check_form(s, node, kw, v)) < 0)
            return rc;
        have |= KW_BIT(kw);
        found[kw] = v;
    }
    val = arena_alloc(&s->arena, (size_t)__builtin_popcountll(have) * sizeof(*val));
    if (!val)
        return schema_nomem(s);
    for (int kw = 0; kw < KW_N; kw++) {
        if (found[kw])
            val[n++] = found[kw];
    }
    s->node[node].have = have;
    s->node[node].val = val;
    if ((rc = schema_format_check(s, node)) < 0)
        return rc;
    return check_bounds(s, node);
}

static int read_node(struct schema *s, uint32_t node)
{
    int rc = read_keywords(s, node);

    if (rc == 0)
        rc = schema_ref_name(s, node);
    for (int kw = 0; kw < KW_N && rc == 0; kw++) {
        const json_t *v = schema_kw(&s->node[node], kw);

        if (v && (kw == KW_const || kw == KW_enum))
            rc = schema_value_check(s, node, rows[kw].name, v);
        else if (v)
            rc = children(s, node, kw, v);
    }
    return rc;
}

int schema_read(struct schema *s, const json_t *doc)
{
    uint32_t root, read = NODE_FIRST, found = NODE_FIRST;
    int rc;

    if (!json_is_object(doc) && !json_is_boolean(doc))
        return err_set(s->e, E_INVALID, "a schema must be an object, true or false");
    if ((rc = schema_node_of(s, doc, NODE_NONE, NULL, NULL, SIZE_MAX, &root)) < 0)
        return rc;
    /* A reference may point where no schema was known to be. */
    while (read < s->n_node || found < s->n_node) {
        for (; read < s->n_node; read++) {
            if ((rc = read_node(s, read)) < 0)
                return rc;
        }
        if (found < s->n_node && (rc = schema_ref_find(s, found++)) < 0)
            return rc;
    }
    return 0;
}

/* schema_part.h - what the parts of the schema compiler share; see schema.c for how they work
 * together.
 *
 * Uses     base/, text/gram/{gram,rx,numset,schema}.h; jansson
 */
#ifndef HEARTH_TEXT_GRAM_SCHEMA_PART_H
#define HEARTH_TEXT_GRAM_SCHEMA_PART_H

#include "base/arena.h"
#include "base/map.h"
#include "fmt/jbig.h"
#include "text/gram/numset.h"
#include "text/gram/schema.h"

enum {
    SCHEMA_DEPTH = 256,     /* of schemas within each other, and of values in const and enum */
    SCHEMA_NODES = 200000,  /* schemas in a document */
    SCHEMA_GOALS = 100000,  /* sets of schemas that one value must satisfy */
    SCHEMA_STEPS = 1000000, /* of taking schemas apart */
    SCHEMA_CELLS = 1024,    /* alternatives of one goal */
    SCHEMA_PATTERNS = 12,   /* patternProperties that meet in one object */
    SCHEMA_CONTAINS = 3,    /* contains that meet in one array */
    SCHEMA_LENGTH = 10000,  /* that a string must have beside a pattern */
    SCHEMA_UNIQUE = 10      /* different items of an array with uniqueItems */
};

/* -- the document ---------------------------------------------------------------------- */

/* What the value of a keyword must be. */
enum schema_form {
    FORM_ANY,
    FORM_NOTE, /* an annotation: any, and of no consequence */
    FORM_BOOL,
    FORM_COUNT, /* a whole number, 0 or more */
    FORM_NUMBER,
    FORM_STRING,
    FORM_STRINGS, /* a list of them */
    FORM_LIST,
    FORM_TYPE,
    FORM_SCHEMA,
    FORM_SCHEMAS, /* a list of at least one */
    FORM_MAP,     /* names to schemas */
    FORM_NEEDS,   /* names to lists of strings */
    FORM_DEPS,    /* names to either */
    FORM_ITEMS    /* a schema, or a list as older drafts have it */
};

/* clang-format off */
#define SCHEMA_KEYWORDS(X)                                                      \
    X(ref, "$ref", FORM_STRING)                                                 \
    X(dynamic_ref, "$dynamicRef", FORM_STRING)                                  \
    X(id, "$id", FORM_STRING)                                                   \
    X(anchor, "$anchor", FORM_STRING)                                           \
    X(dynamic_anchor, "$dynamicAnchor", FORM_STRING)                            \
    X(schema, "$schema", FORM_STRING)                                           \
    X(defs, "$defs", FORM_MAP)                                                  \
    X(definitions, "definitions", FORM_MAP)                                     \
    X(type, "type", FORM_TYPE)                                                  \
    X(enum, "enum", FORM_LIST)                                                  \
    X(const, "const", FORM_ANY)                                                 \
    X(all_of, "allOf", FORM_SCHEMAS)                                            \
    X(any_of, "anyOf", FORM_SCHEMAS)                                            \
    X(one_of, "oneOf", FORM_SCHEMAS)                                            \
    X(not, "not", FORM_SCHEMA)                                                  \
    X(if, "if", FORM_SCHEMA)                                                    \
    X(then, "then", FORM_SCHEMA)                                                \
    X(else, "else", FORM_SCHEMA)                                                \
    X(minimum, "minimum", FORM_NUMBER)                                          \
    X(maximum, "maximum", FORM_NUMBER)                                          \
    X(exclusive_minimum, "exclusiveMinimum", FORM_NUMBER)                       \
    X(exclusive_maximum, "exclusiveMaximum", FORM_NUMBER)                       \
    X(multiple_of, "multipleOf", FORM_NUMBER)                                   \
    X(min_length, "minLength", FORM_COUNT)                                      \
    X(max_length, "maxLength", FORM_COUNT)                                      \
    X(pattern, "pattern", FORM_STRING)                                          \
    X(format, "format", FORM_STRING)                                            \
    X(prefix_items, "prefixItems", FORM_SCHEMAS)                                \
    X(items, "items", FORM_ITEMS)                                               \
    X(additional_items, "additionalItems", FORM_SCHEMA)                         \
    X(min_items, "minItems", FORM_COUNT)                                        \
    X(max_items, "maxItems", FORM_COUNT)                                        \
    X(contains, "contains", FORM_SCHEMA)                                        \
    X(min_contains, "minContains", FORM_COUNT)                                  \
    X(max_contains, "maxContains", FORM_COUNT)                                  \
    X(unique_items, "uniqueItems", FORM_BOOL)                                   \
    X(unevaluated_items, "unevaluatedItems", FORM_SCHEMA)                       \
    X(properties, "properties", FORM_MAP)                                       \
    X(required, "required", FORM_STRINGS)                                       \
    X(additional_properties, "additionalProperties", FORM_SCHEMA)               \
    X(pattern_properties, "patternProperties", FORM_MAP)                        \
    X(property_names, "propertyNames", FORM_SCHEMA)                             \
    X(min_properties, "minProperties", FORM_COUNT)                              \
    X(max_properties, "maxProperties", FORM_COUNT)                              \
    X(dependent_required, "dependentRequired", FORM_NEEDS)                      \
    X(dependent_schemas, "dependentSchemas", FORM_MAP)                          \
    X(dependencies, "dependencies", FORM_DEPS)                                  \
    X(unevaluated_properties, "unevaluatedProperties", FORM_SCHEMA)
/* clang-format on */

enum schema_kw {
#define X(id, name, form) KW_##id,
    SCHEMA_KEYWORDS(X)
#undef X
        KW_N
};

#define KW_BIT(k) ((uint64_t)1 << (k))

#define KW_OF_OBJECTS                                                                          \
    (KW_BIT(KW_properties) | KW_BIT(KW_required) | KW_BIT(KW_additional_properties) |          \
     KW_BIT(KW_pattern_properties) | KW_BIT(KW_property_names) | KW_BIT(KW_min_properties) |   \
     KW_BIT(KW_max_properties) | KW_BIT(KW_dependent_required) |                               \
     KW_BIT(KW_dependent_schemas) | KW_BIT(KW_dependencies) |                                  \
     KW_BIT(KW_unevaluated_properties))
#define KW_OF_ARRAYS                                                                           \
    (KW_BIT(KW_prefix_items) | KW_BIT(KW_items) | KW_BIT(KW_min_items) |                       \
     KW_BIT(KW_max_items) | KW_BIT(KW_contains) | KW_BIT(KW_unique_items) |                    \
     KW_BIT(KW_unevaluated_items))
/* Those that say nothing about a value by themselves. */
#define KW_IDLE                                                                                \
    (KW_BIT(KW_id) | KW_BIT(KW_anchor) | KW_BIT(KW_dynamic_anchor) | KW_BIT(KW_schema) |       \
     KW_BIT(KW_defs) | KW_BIT(KW_definitions) | KW_BIT(KW_additional_items) |                  \
     KW_BIT(KW_min_contains) | KW_BIT(KW_max_contains) | KW_BIT(KW_then) | KW_BIT(KW_else))

/* Kinds of values; TYPE_NUMBER is any number. */
enum schema_type {
    TYPE_NULL,
    TYPE_FALSE,
    TYPE_TRUE,
    TYPE_NUMBER,
    TYPE_STRING,
    TYPE_ARRAY,
    TYPE_OBJECT,
    TYPE_N,
    TYPE_INTEGER = TYPE_N /* in type masks only: of the numbers, whole ones */
};

enum { NODE_TRUE, NODE_FALSE, NODE_FIRST, NODE_NONE = 0xFFFFFFFF };

/* Texts of strings: what rx matches, of min to max code points. Most have no more than the one
 * or the other, and long ones are counted more cheaply than matched. */
struct schema_text {
    rx_id rx;
    uint64_t min, max; /* GRAM_INF: any */
};

struct schema_node {
    const json_t *v;
    uint32_t parent;   /* itself: nowhere */
    uint32_t resource; /* whose base URI counts */
    uint8_t depth;
    const char *under; /* keyword of the parent, or where in the document, and the name or */
    const char *name;  /* number within it; NULL: none */
    size_t at;
    uint64_t have; /* KW_BIT: keywords that it has */
    const json_t *const *val;
    uint32_t ref, dynamic_ref; /* NODE_NONE: none */
    uint16_t types;            /* 1 << schema_type */
    uint16_t height;           /* of schemas in place; 0: not known */
    uint8_t open;              /* in the search for circles */
    uint8_t known;             /* 1 << type: `simple`, `text`, `number` hold what they should */
    uint8_t simple;            /* 1 << type: of null, false, true */
    struct schema_text text;
    struct numset number;
};

/* -- what is made of it ---------------------------------------------------------------- */

/* Something that a value must satisfy: a schema (index << 2), a constant (index << 2 | 2); | 1:
 * must not. */
typedef uint32_t schema_lit;

#define LIT_NODE(i)  ((schema_lit)(i) << 2)
#define LIT_VALUE(i) ((schema_lit)(i) << 2 | 2)
#define LIT_TRUE     LIT_NODE(NODE_TRUE)
#define LIT_FALSE    LIT_NODE(NODE_FALSE)

/* A set of them that one value must satisfy. */
typedef uint32_t schema_goal;

enum { GOAL_NEVER, GOAL_ANY, GOAL_NONE = 0xFFFFFFFF };

struct schema_prop {
    struct str name;
    schema_goal value;
    uint8_t required;
    uint32_t *needs;
    uint32_t n_needs;
};

struct schema_rest {
    rx_id key;
    schema_goal value;
};

struct schema_object {
    struct schema_prop *prop;
    struct schema_rest *rest;
    uint32_t n_prop, n_rest;
    uint64_t min, max;
    struct schema_object *next; /* alternative */
};

struct schema_contains {
    schema_lit lit;
    uint64_t min, max;
};

struct schema_array {
    schema_goal *prefix;
    uint32_t n_prefix;
    schema_goal items;
    uint64_t min, max;
    /* With contains or uniqueItems items are told apart: 3^n_contains or n_unique goals for
     * each of the prefix, and then for items. Digit i, of base 3, is 0: contains i may hold or
     * not; 1: it does; 2: it does not. */
    struct schema_contains contains[SCHEMA_CONTAINS];
    uint32_t n_contains, n_unique;
    schema_goal *mixed;
    uint32_t n_mixed;
    struct schema_array *next;
};

struct schema_goal_def {
    const schema_lit *lit;
    uint32_t n_lit;
    uint8_t made;    /* 1: is being made, 2: is made */
    uint8_t reached; /* from the root */
    uint8_t live;    /* something satisfies it; known when all goals are made */
    uint8_t simple;  /* 1 << type */
    struct schema_text text;
    struct numset number;
    struct schema_array *arrays;
    struct schema_object *objects;
    uint8_t emitted;
    gram_ref rule;
};

struct schema_base {
    struct str uri; /* absolute, or empty */
    uint32_t node;
};

/* What many rules are made of. */
struct schema_parts {
    gram_ref ws; /* around all */
    gram_ref open_object, close_object, open_array, close_array, colon, comma;
    gram_ref quote, one_char, any_string, any_number, integer, any;
    int any_set;
};

struct schema {
    struct gram *g;
    struct rx *rx;
    struct schema_options o;
    struct err *e;
    struct arena arena;

    struct schema_node *node;
    uint32_t n_node, cap_node;
    struct map64 nodes;  /* by json_t */
    struct map places;   /* by URI with anchor: nodes */
    struct map dynamics; /* names of $dynamicAnchor: how many */
    struct map patterns; /* expressions */
    struct schema_base *base;
    uint32_t n_base, cap_base;

    const json_t **value; /* constants */
    uint32_t n_value, cap_value;
    struct map64 values;

    struct schema_goal_def *goal;
    uint32_t n_goal, cap_goal;
    struct map goals;     /* by their literals */
    schema_goal *reached; /* from the root */
    uint32_t n_reached, cap_reached;
    uint64_t steps;
    uint32_t nested; /* calls within each other */

    rx_id any_text;
    struct numset_room numbers;
    struct numset all, integers, no_number;
    uint32_t n_int, n_frac; /* digits of the longest numbers in the schema */
    struct schema_parts part;
    schema_goal *waiting; /* for their rules to be set */
    uint32_t n_waiting, cap_waiting;
};

/* Fills the error with where (#/properties/a/keyword) and why; returns code. kw NULL: the
 * schema itself. */
void schema_say(struct schema *s, int code, uint32_t node, const char *kw, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
#define schema_fail(s, code, ...) (schema_say((s), (code), __VA_ARGS__), (code))

/* The arena or the heap gave nothing. */
static inline int schema_nomem(struct schema *s)
{
    if (s->arena.used > s->arena.max / 2)
        return err_set(s->e, E_TOO_LONG, "the schema needs more than %zu MiB",
                       s->arena.max >> 20);
    return err_set(s->e, E_NOMEM, "no memory for a schema");
}

static inline int schema_check_steps(struct schema *s)
{
    if (s->steps <= SCHEMA_STEPS)
        return 0;
    return err_set(s->e, E_TOO_LONG,
                   "alternatives multiply: more than %d steps to take the schema apart",
                   SCHEMA_STEPS);
}

/* Room for one more in an array that the heap holds; the result may have moved. */
MUST_CHECK int schema_grow(struct schema *s, void *array, uint32_t n, uint32_t *cap,
                           size_t size);

/* schema_doc.c: reads all schemas of the document. The first is NODE_FIRST. */
MUST_CHECK int schema_read(struct schema *s, const json_t *doc);
/* A place that may be a schema or not becomes one; *out is its node. */
MUST_CHECK int schema_node_of(struct schema *s, const json_t *v, uint32_t parent,
                              const char *under, const char *name, size_t at, uint32_t *out);
/* The node of a value that was read as a schema; NULL is as good as true. */
uint32_t schema_node_at(const struct schema *s, const json_t *v);
const char *schema_kw_name(int kw);

static inline const json_t *schema_kw(const struct schema_node *n, int kw)
{
    if (!(n->have & KW_BIT(kw)))
        return NULL;
    return n->val[__builtin_popcountll(n->have & (KW_BIT(kw) - 1))];
}

static inline struct str schema_str(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

/* What a keyword of FORM_COUNT says. */
static inline uint64_t schema_count(const struct schema_node *n, int kw, uint64_t otherwise)
{
    const json_t *v = schema_kw(n, kw);

    if (!v)
        return otherwise;
    return json_is_integer(v) ? (uint64_t)json_integer_value(v) : (uint64_t)json_real_value(v);
}

/* prefixItems, or what older drafts said instead; and the schema of the items after them. */
static inline const json_t *schema_prefix(const struct schema_node *n)
{
    const json_t *items = schema_kw(n, KW_items);

    return json_is_array(items) ? items : schema_kw(n, KW_prefix_items);
}

static inline const json_t *schema_items(const struct schema_node *n)
{
    const json_t *items = schema_kw(n, KW_items);

    return json_is_array(items) ? schema_kw(n, KW_additional_items) : items;
}

/* schema_ref.c: names places, and finds what $ref and $dynamicRef mean. */
MUST_CHECK int schema_ref_name(struct schema *s, uint32_t node);
MUST_CHECK int schema_ref_find(struct schema *s, uint32_t node);

/* schema_value.c: constants. */
int schema_value_equal(const json_t *a, const json_t *b); /* 1 is 1.0, keys in any order */
enum schema_type schema_value_type(const json_t *v);
MUST_CHECK int schema_value_of(struct schema *s, const json_t *v, schema_lit *out);
MUST_CHECK int schema_value_check(struct schema *s, uint32_t node, const char *kw,
                                  const json_t *v); /* not too deep */

/* schema_scalar.c: what a literal says of values without parts: null, false, true, numbers and
 * strings, each a set that can be cut, joined and turned round. */
struct schema_set {
    int simple; /* 1: that one value is in it */
    struct schema_text text;
    struct numset number;
};

enum schema_op { SET_AND, SET_OR, SET_MINUS };

MUST_CHECK int schema_scalar(struct schema *s, schema_lit l, enum schema_type t,
                             struct schema_set *out);
MUST_CHECK int schema_set_join(struct schema *s, enum schema_type t, enum schema_op op,
                               const struct schema_set *a, const struct schema_set *b,
                               struct schema_set *out);
struct schema_set schema_set_all(const struct schema *s, enum schema_type t);
MUST_CHECK int schema_set_live(struct schema *s, enum schema_type t,
                               const struct schema_set *a); /* 1, 0 */

/* schema_own.c: what the keywords of one schema say of them, those with schemas in them left
 * out; and sets of constants. */
MUST_CHECK int schema_own(struct schema *s, uint32_t node, enum schema_type t,
                          struct schema_set *out);
MUST_CHECK int schema_set_list(struct schema *s, enum schema_type t, const json_t *const *v,
                               size_t n, struct schema_set *out);
/* A number of the schema, which is remembered for how long numbers may be. */
MUST_CHECK int schema_decimal(struct schema *s, const json_t *v, struct decimal *out);

/* schema_text.c: sets of strings. */
MUST_CHECK int schema_text_join(struct schema *s, enum schema_op op,
                                const struct schema_text *a, const struct schema_text *b,
                                struct schema_text *out);
rx_id schema_text_rx(struct schema *s, const struct schema_text *t); /* with its lengths */
MUST_CHECK int schema_text_live(struct schema *s, const struct schema_text *t); /* 1, 0 */
MUST_CHECK int schema_text_has(struct schema *s, rx_id rx, struct str text);    /* 1, 0 */
MUST_CHECK int schema_pattern(struct schema *s, uint32_t node, int kw, struct str pattern,
                              rx_id *out);
MUST_CHECK int schema_rx_check(struct schema *s); /* what went wrong in the store */

/* schema_format.c: the format of a node, which it has. */
MUST_CHECK int schema_format_check(struct schema *s, uint32_t node); /* is known, or none */
MUST_CHECK int schema_format_text(struct schema *s, uint32_t node, struct schema_text *out);
MUST_CHECK int schema_format_number(struct schema *s, uint32_t node, struct numset *acc);

/* schema_goal.c: goals. Sorts the literals. */
MUST_CHECK int schema_goal_of(struct schema *s, schema_lit *lit, uint32_t n, schema_goal *out);
MUST_CHECK int schema_goal_make(struct schema *s, schema_goal g);
/* Makes all that root leads to, and finds which can be satisfied. */
MUST_CHECK int schema_goal_make_all(struct schema *s, schema_goal root);

/* schema_circle.c: no circle leads from a node to itself without a step into the value. */
MUST_CHECK int schema_acyclic(struct schema *s, uint32_t node);

/* schema_apart.c: 1 when no value of type t satisfies both, as far as can be seen in a few
 * steps; 0 when one may. */
MUST_CHECK int schema_apart(struct schema *s, schema_lit a, schema_lit b, enum schema_type t);
/* 1: a required property with another constant in each tells alternatives apart. */
MUST_CHECK int schema_told_apart(struct schema *s, const json_t *list, enum schema_type t);

/* 1: it lets every value be. */
static inline int schema_is_true(const struct schema *s, uint32_t node)
{
    return node != NODE_FALSE && !(s->node[node].have & ~KW_IDLE);
}

/* schema_expand.c: takes goals about arrays and objects apart into alternatives, each a list
 * of facts. schema_deny.c does it for what must not be. */
enum schema_fact_kind {
    FACT_NODE,    /* what properties, required, items, ... of node say */
    FACT_VALUE,   /* is this constant */
    FACT_REQUIRE, /* has a property, whose value satisfies lit */
    FACT_FORBID,  /* does not have it */
    FACT_EXTRA,   /* has a property that additionalProperties of node does not let be */
    FACT_MIN,     /* n properties or items at least */
    FACT_MAX,
    FACT_ITEM,     /* item n satisfies lit, if there is one */
    FACT_CONTAINS, /* n to m items satisfy lit */
};

struct schema_scope {
    const struct schema_scope *up; /* NULL: the outermost, where nobody asks */
};

struct schema_fact {
    enum schema_fact_kind kind;
    uint32_t node; /* also: whose keyword it comes from */
    const json_t *value;
    struct str name;
    schema_lit lit;
    uint64_t n, m;
    const struct schema_scope *scope; /* NULL: under a not, which no annotation leaves */
    const struct schema_scope *opens; /* that unevaluated... of node looks at */
    const struct schema_fact *before;
};

typedef int (*schema_cell_fn)(struct schema *s, void *ctx, const struct schema_fact *last);

MUST_CHECK int schema_expand(struct schema *s, const schema_lit *lit, uint32_t n,
                             enum schema_type t, schema_cell_fn cell, void *ctx);

/* schema_object.c, schema_array.c: make alternatives of facts. *out is NULL when none can be.
 */
MUST_CHECK int schema_object_make(struct schema *s, const struct schema_fact *last,
                                  struct schema_object **list);
MUST_CHECK int schema_array_make(struct schema *s, const struct schema_fact *last,
                                 struct schema_array **list);

/* schema_emit.c: rules of the grammar, of all goals that root leads to. */
MUST_CHECK int schema_emit(struct schema *s, schema_goal root, gram_ref *out);

/* schema_parts.c: what rules are made of; s->part and s->all, s->integers, ... */
MUST_CHECK int schema_parts_init(struct schema *s);
gram_ref schema_parts_any(struct schema *s, int object_only);
gram_ref schema_parts_text(struct schema *s, const struct schema_text *t);
MUST_CHECK int schema_parts_number(struct schema *s, const struct numset *n, gram_ref *out);

/* schema_emit_array.c: arrays whose items are counted or told apart, as rules for each count.
 */
MUST_CHECK int schema_emit_array(struct schema *s, const struct schema_array *a, gram_ref *out);
/* The expression of a goal, which may be a rule that is not set yet. */
MUST_CHECK int schema_emit_goal(struct schema *s, schema_goal g, gram_ref *out);

#endif

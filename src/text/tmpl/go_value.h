/* go_value.h - what Go templates compute with, on top of the values of value.h.
 *
 * Templates were written for Go's types, so what they see must behave like them:
 *
 *   value.h           in Go
 *   VALUE_UNDEF       no value: prints "<no value>", any field of it is again none
 *   VALUE_NONE        a nil interface: what a map gives for a key that it has not
 *   bool int str      the same; numbers of JSON are VALUE_FLOAT, as Go's decoder makes them
 *   VALUE_LIST, _DICT []interface {}, map[string]interface {}
 *   VALUE_OBJ         a struct go_obj: structs, and lists and maps that have a type of their
 * own
 *
 * Maps are gone through in the order of their keys, whatever order they were filled in.
 *
 * Uses     base/
 */
#ifndef HEARTH_TEXT_TMPL_GO_VALUE_H
#define HEARTH_TEXT_TMPL_GO_VALUE_H

#include "text/tmpl/value.h"

enum go_form { GO_FORM_STRUCT, GO_FORM_LIST, GO_FORM_MAP };

struct go_field {
    const char *name, *json;
    int omit; /* from JSON when it is empty */
};

struct go_type {
    const char *name; /* in messages, as Go calls it */
    enum go_form form;
    int as_json;          /* prints itself as JSON */
    int as_one;           /* a list that is its only item when it has one */
    int ordered;          /* a map whose JSON keeps the order in which it was filled */
    const char *nil_text; /* how it prints itself while there is none */
    const struct go_field *field;
    int n_field;
    const struct go_type *item; /* of a map: what a missing key gives; NULL: nil */
};

struct go_obj {
    struct value_obj head; /* type: "go" */
    const struct go_type *type;
    int is_nil;
    struct value in; /* a list: the items, or the fields in their order; or a dict */
};

/* in: its list or dict; undefined: nil. */
MUST_CHECK int go_obj(struct value_room *r, const struct go_type *type, struct value in,
                      struct value *out);
/* NULL: it is none. */
const struct go_obj *go_obj_of(struct value v);

/* What is in a list (typed or not), NULL: it is none. */
const struct value_list *go_list_of(struct value v);
/* The dict in a map (typed or not), VALUE_UNDEF: it is none. */
struct value go_dict_of(struct value v);
static inline int go_is_nil(struct value v)
{
    return v.kind == VALUE_UNDEF || v.kind == VALUE_NONE;
}

const char *go_type_name(struct value v);
int go_truth(struct value v);

/* The keys of a dict in order, as a list. */
MUST_CHECK int go_keys(struct value_room *r, struct value dict, struct value *out);

/* A field of a struct or an entry of a map. Fails: E_INVALID there can be none. */
MUST_CHECK int go_field_of(struct value_room *r, struct value v, struct str name,
                           struct value *out);

/* Turns integers into floats everywhere in a value that came from JSON. */
void go_of_json(struct value *v);

/* As Go's encoding/json writes it; what has no JSON writes nothing. */
void go_put_json(struct value_build *b, struct value v);

/* -- fmt: go_fmt.c --------------------------------------------------------------------- */

/* As %v does. */
void go_put(struct value_build *b, struct value v);
/* Sprint (line: Sprintln) of n values. */
void go_put_all(struct value_build *b, const struct value *v, size_t n, int line);
/* Sprintf. */
void go_put_format(struct value_build *b, const struct value_text *format,
                   const struct value *v, size_t n);

#endif

/* go_run.h - the inside of the interpreter of Go templates: one render under way.
 *
 * go.c decides what is rendered, go_data.c makes what the template sees, go_exec.c walks
 * statements, go_eval.c computes pipelines, go_func.c and go_more.c have the functions.
 *
 * Functions return 0 or a negative code whose words are in the room's err; the place is put in
 * front once, at the top (go_exec).
 *
 * Threads  a struct go_run belongs to one
 */
#ifndef HEARTH_TEXT_TMPL_GO_RUN_H
#define HEARTH_TEXT_TMPL_GO_RUN_H

#include "text/tmpl/go_tree.h"
#include "text/tmpl/go_value.h"

struct go_var {
    struct str name;
    struct value v;
};

struct go_run {
    struct value_room *room;
    const struct go_tree *tree;
    struct marked *out;
    struct tm now;
    struct go_var *var; /* those of the template that runs begin at base */
    size_t n_var, cap_var, base;
    enum go_node_kind jump; /* GO_BREAK or GO_CONTINUE is under way; else GO_TEXT */
    uint32_t at;            /* what is being executed, as a place in the template */
};

/* -- go_exec.c ------------------------------------------------------------------------- */

/* Renders a body with that dot, which is $ as well. Appends to r->out. Fails: E_INVALID with
 * line and column; E_TOO_LONG; E_NOMEM. */
MUST_CHECK int go_exec(struct go_run *r, const struct go_node *body, struct value dot);

/* -- go_eval.c ------------------------------------------------------------------------- */

/* pipe: NULL gives no value. What it declares stays on the stack of variables. */
MUST_CHECK int go_eval(struct go_run *r, struct value dot, const struct go_node *pipe,
                       struct value *out);
MUST_CHECK int go_push(struct go_run *r, struct str name, struct value v);
MUST_CHECK int go_set(struct go_run *r, struct str name, struct value v);

/* -- go_func.c ------------------------------------------------------------------------- */

enum go_text_args { GO_TEXT_NONE, GO_TEXT_FIRST, GO_TEXT_ALL };

struct go_func {
    const char *name;
    int min, max; /* arguments; max -1: any number */
    enum go_text_args text;
    int (*call)(struct go_run *r, const struct value *v, size_t n, struct value *out);
};

/* and, or: go_eval.c does not evaluate all of their arguments. */
enum { GO_FUNC_AND, GO_FUNC_OR };

int go_func_find(struct str name); /* -1: there is none */
const struct go_func *go_func(int i);

/* The functions of go_cmp.c and go_more.c, for the table. */
int go_call_eq(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_ne(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_lt(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_le(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_gt(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_ge(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_html(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_js(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_urlquery(struct go_run *r, const struct value *v, size_t n, struct value *out);
int go_call_types(struct go_run *r, const struct value *v, size_t n, struct value *out);

/* -- go_data.c ------------------------------------------------------------------------- */

struct go_data {
    struct value system, messages, tools; /* messages: a list of them, collated */
    struct value prompt, suffix;          /* strings, "" */
    struct value level;                   /* ThinkLevel */
    int think, think_set;
};

/* From the variables of tmpl_render. Fails: E_INVALID they have another shape. */
MUST_CHECK int go_data_read(struct value_room *r, const json_t *vars, struct go_data *out);

/* Of a message of the list. */
struct value go_message_role(struct value message);
struct value go_message_content(struct value message);

/* The type of a tool's property, and the fields that go_more.c looks at. */
extern const struct go_type go_type_property;
enum { GO_PROPERTY_ANY_OF, GO_PROPERTY_TYPE };

#endif

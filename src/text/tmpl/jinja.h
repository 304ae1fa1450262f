/* jinja.h - the Jinja interpreter's own: the tree, a render under way, and the built-in tables.
 *
 * The source becomes tokens (jinja_lex.c), the tokens a tree (jinja_parse.c, jinja_expr.c), and
 * the tree is walked (jinja_run.c: statements; jinja_eval.c: expressions). What is built in are
 * rows of tables: filters, tests, global functions, and the methods of strings, lists, dicts.
 * Everything behaves as Jinja 3.1 with trim_blocks, lstrip_blocks, loop controls, and values
 * that print as Python's; no file of it reaches out of the conversation that it is given.
 *
 * Chains (a + b - c, a.b.c(d)|e) are lists in the tree, so that its depth is that of the
 * brackets that someone wrote; the parser refuses more than JINJA_NESTING.
 *
 * Threads  a compiled template is read only; a struct jinja_run belongs to one thread
 */
#ifndef HEARTH_TEXT_TMPL_JINJA_H
#define HEARTH_TEXT_TMPL_JINJA_H

#include "base/map.h"
#include "text/tmpl/value.h"

enum {
    JINJA_NESTING = 150, /* of statements and brackets in the source */
    JINJA_STACK = 1000,  /* of nodes that are being walked */
    JINJA_MAX_ARG = 8,   /* parameters of a built-in */
    JINJA_MAX_SOURCE = 8 << 20
};

/* -- tokens --------------------------------------------------------------------------- */

enum jinja_token_type {
    TOK_END,       /* of the source */
    TOK_DATA,      /* text outside of tags */
    TOK_BLOCK,     /* {% */
    TOK_BLOCK_END, /* %} */
    TOK_PRINT,     /* {{ */
    TOK_PRINT_END, /* }} */
    TOK_NAME,
    TOK_STRING, /* text: with its escapes undone */
    TOK_INT,
    TOK_FLOAT,
    TOK_OP /* text: the operator */
};

struct jinja_token {
    uint8_t type;
    uint32_t line;
    struct str text;
    union {
        int64_t i;
        double f;
    };
};

/* All tokens of a source, in the arena of `r`; the last is TOK_END. Lines end in \n. Fails:
 * E_INVALID with the line; E_TOO_LONG; E_NOMEM. */
MUST_CHECK int jinja_lex(struct value_room *r, struct str source, struct jinja_token **out,
                         size_t *n);

/* -- the tree ------------------------------------------------------------------------- */

enum jinja_node_type {
    /* statements */
    N_TEXT,      /* lit */
    N_PRINT,     /* b */
    N_IF,        /* a: condition (NULL: else), c: body, d: the next N_IF */
    N_FOR,       /* a: target, b: of what, c: body, d: condition, e: else; op: recursive */
    N_SET,       /* a: target, b: value */
    N_SET_BLOCK, /* a: target, b: N_POSTFIX of filters with no base or NULL, c: body */
    N_MACRO, /* name; a: parameters (N_NAME with default in b), c: body; op: JINJA_USES_... */
    N_CALL_BLOCK,   /* a: parameters of caller, b: the call, c: body */
    N_FILTER_BLOCK, /* b: filters, c: body */
    N_WITH,         /* a: list of N_SET, c: body */
    N_GROUP,        /* c: body */
    N_BREAK,
    N_CONTINUE,
    N_DO, /* b */
    /* expressions */
    N_CONST,   /* lit */
    N_NAME,    /* name */
    N_NS_ATTR, /* only a target: name . lit */
    N_LIST,    /* a: list of items */
    N_TUPLE,
    N_DICT, /* a: key, value, key, value, ... */
    N_COND, /* a: condition, b: then, c: else or NULL */
    N_OR,   /* a: list */
    N_AND,
    N_NOT,     /* a */
    N_COMPARE, /* a: first, b: list; op of each is an enum jinja_op */
    N_MATH,    /* a: first, b: list of N_TERM */
    N_CONCAT,  /* a: list */
    N_NEG,     /* a */
    N_POS,
    N_POSTFIX, /* a: base, b: list of N_ATTR .. N_TEST */
    /* parts of expressions */
    N_TERM,   /* op, a */
    N_ATTR,   /* lit: its name; method */
    N_ITEM,   /* a */
    N_SLICE,  /* a, b, c: each may be NULL */
    N_CALL,   /* a: list of N_ARG */
    N_FILTER, /* lit: its name; fn or NULL; a: list of N_ARG */
    N_TEST,   /* the same; op: negated */
    N_ARG     /* op: 0 plain, '=' named (lit), '*', '@' for **; a */
};

enum jinja_op {
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN,
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOOR,
    OP_MOD,
    OP_POW
};

/* Names that a macro's body mentions. */
enum { JINJA_USES_CALLER = 1, JINJA_USES_VARARGS = 2, JINJA_USES_KWARGS = 4 };

struct jinja_fn;

/* Whose methods a name may be one of: index into jinja_node.method. */
enum { OF_STR, OF_LIST, OF_DICT, N_METHOD_KIND };

struct jinja_node {
    uint8_t type, op;
    uint32_t line, name;
    struct jinja_node *next, *a, *b, *c, *d, *e;
    struct value lit;
    union {
        const struct jinja_fn *fn;
        const struct jinja_fn *method[N_METHOD_KIND];
    };
};

struct jinja {
    struct arena a; /* everything below */
    struct jinja_node *body;
    struct str *names; /* of variables; a node's `name` is an index */
    uint32_t n_name, cap_name;
    struct map name_of;
    uint32_t loop, caller, varargs, kwargs; /* names */
};

struct jinja_parser {
    struct jinja *t;
    struct value_room room; /* for what building costs; its arena is moved to t at the end */
    const struct jinja_token *tok;
    int depth, loops; /* nesting; loops around, of this macro */
    int uses;         /* JINJA_USES_..., so far in this macro */
};

void jinja_say_at(struct jinja_parser *p, uint32_t line, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
#define jinja_fail_at(parser, line, ...)                                                       \
    (jinja_say_at((parser), (line), __VA_ARGS__), E_INVALID)
struct jinja_node *jinja_node(struct jinja_parser *p, int type); /* NULL: error is set */
MUST_CHECK int jinja_intern(struct jinja_parser *p, struct str name, uint32_t *id);
MUST_CHECK int jinja_deeper(struct jinja_parser *p); /* p->depth-- undoes it */

/* Whether the token is that operator or that name. */
int jinja_at_op(const struct jinja_parser *p, const char *op);
int jinja_at_name(const struct jinja_parser *p, const char *name);
int jinja_skip_op(struct jinja_parser *p, const char *op); /* 1: it was there, and is skipped */
int jinja_skip_name(struct jinja_parser *p, const char *name);
MUST_CHECK int jinja_expect_op(struct jinja_parser *p, const char *op);
MUST_CHECK int jinja_unexpected(struct jinja_parser *p, const char *wanted);

struct jinja_node *jinja_list_head(struct jinja_parser *p, int type, struct jinja_node *first);
MUST_CHECK int jinja_parse_primary(struct jinja_parser *p, struct jinja_node **out);
/* Attributes, items and calls behind *node, which becomes an N_POSTFIX if there are any. The
 * second goes on where *end is, NULL at first; filters: with filters and tests instead. */
MUST_CHECK int jinja_parse_postfix(struct jinja_parser *p, struct jinja_node **node);
MUST_CHECK int jinja_parse_pieces(struct jinja_parser *p, struct jinja_node **node,
                                  struct jinja_node ***end, int filters);
/* Expressions; conditional: "a if b" may stand here. tuple: commas make one; end: a name that
 * ends it, or NULL. */
MUST_CHECK int jinja_parse_expr(struct jinja_parser *p, int conditional,
                                struct jinja_node **out);
MUST_CHECK int jinja_parse_tuple(struct jinja_parser *p, int conditional, const char *end,
                                 struct jinja_node **out);
MUST_CHECK int jinja_parse_target(struct jinja_parser *p, const char *end,
                                  struct jinja_node **out);
/* "f(x)|g" behind a value that is not written: an N_POSTFIX without base. */
MUST_CHECK int jinja_parse_filters(struct jinja_parser *p, struct jinja_node **out);
/* "(a, b=1)" of a macro: a list of N_NAME */
MUST_CHECK int jinja_parse_params(struct jinja_parser *p, struct jinja_node **out);
/* Statements up to the end of the source. */
MUST_CHECK int jinja_parse(struct jinja_parser *p);

/* -- a render ------------------------------------------------------------------------- */

struct jinja_var {
    uint32_t name;
    struct value v;
};

/* The variables of a scope. It stays when a macro was defined in it (held). */
struct jinja_frame {
    struct jinja_frame *up;
    struct jinja_var *var;
    size_t n, cap;
    int held;
};

struct jinja_run {
    struct value_room room; /* first: its address is the run's, for functions of values */
    const struct jinja *t;
    struct jinja_frame *frame;
    struct value_build *out;
    const json_t *vars;
    struct value *global; /* by name; JINJA_ABSENT until it is looked for */
    const struct tm *now;
    uint32_t line;
    int stack;                     /* nodes being walked */
    int strict;                    /* tmpl_limits.strict */
    const struct jinja_node *call; /* the N_CALL of a {% call %} that waits for its caller */
    struct value caller;
};

/* A call under way. */
struct jinja_call {
    struct value self; /* the value that is filtered, tested, or whose method it is */
    struct value a[JINJA_MAX_ARG]; /* by the parameters of the row; absent: jinja_absent */
    struct value *pos;             /* as they were written */
    size_t n_pos;
    struct value kw; /* a dict, or undefined when there are none */
};

enum { JINJA_FROM_ABSENT = 0xFFFF };

static inline struct value jinja_absent_value(void)
{
    return (struct value){.kind = VALUE_UNDEF, .from = JINJA_FROM_ABSENT};
}

static inline int jinja_absent(struct value v)
{
    return v.kind == VALUE_UNDEF && v.from == JINJA_FROM_ABSENT;
}

enum { FN_ANY_POS = 1, FN_ANY_KW = 2, FN_CHANGES = 4 };

/* A built-in function, filter, test or method. */
struct jinja_fn {
    const char *name;
    const char *params; /* names of what it takes, a space between */
    int min;            /* how many it needs */
    int flags;          /* FN_...: takes more than params name; changes its object */
    int (*run)(struct jinja_run *run, struct jinja_call *c, struct value *out);
};

/* Tables end with a row without a name. */
extern const struct jinja_fn jinja_filters_text[], jinja_filters_num[], jinja_filters_list[],
    jinja_filters_html[];
extern const struct jinja_fn jinja_tests[], jinja_globals[];
extern const struct jinja_fn jinja_methods_str[], jinja_methods_split[], jinja_methods_find[],
    jinja_methods_list[], jinja_methods_dict[];

const struct jinja_fn *jinja_find_filter(struct str name); /* NULL: there is none */
const struct jinja_fn *jinja_find_test(struct str name);
const struct jinja_fn *jinja_find_method(int kind, struct str name); /* OF_... */
const struct jinja_fn *jinja_find_obj_method(struct value v, struct str name);

/* -- objects -------------------------------------------------------------------------- */

/* The types, known by their address; text for messages. */
extern const char jinja_is_function[], jinja_is_macro[], jinja_is_loop[], jinja_is_range[],
    jinja_is_cycler[], jinja_is_joiner[], jinja_is_generator[], jinja_is_keys[],
    jinja_is_values[], jinja_is_pairs[];

struct jinja_function { /* also a method: then of self */
    struct value_obj obj;
    const struct jinja_fn *fn;
    struct value self;
};

struct jinja_macro {
    struct value_obj obj;
    const struct jinja_node *node; /* N_MACRO or N_CALL_BLOCK */
    struct jinja_frame *frame;     /* where it was defined */
};

struct jinja_loop {
    struct value_obj obj;
    const struct jinja_node *node;
    struct jinja_frame *frame;
    struct value items; /* a list */
    size_t i;
    int depth;
    struct value changed; /* what loop.changed was last asked for; absent */
};

struct jinja_range {
    struct value_obj obj;
    int64_t start, stop, step;
    size_t n;
};

struct jinja_cycler {
    struct value_obj obj;
    struct value items;
    size_t i;
};

struct jinja_joiner {
    struct value_obj obj;
    struct value sep;
    int used;
};

struct jinja_gen { /* what a filter gives that Python computes later; a view of a dict */
    struct value_obj obj;
    struct value items;
    int used; /* a generator can be gone through once */
};

static inline int jinja_is_view(struct value v)
{
    return v.kind == VALUE_OBJ && (v.o->type == jinja_is_keys || v.o->type == jinja_is_values ||
                                   v.o->type == jinja_is_pairs);
}

static inline int jinja_is(struct value v, const char *type)
{
    return v.kind == VALUE_OBJ && v.o->type == type;
}

/* -- walking -------------------------------------------------------------------------- */

/* 0, or JINJA_BREAK, JINJA_CONTINUE */
enum { JINJA_BREAK = 1, JINJA_CONTINUE = 2 };

MUST_CHECK int jinja_exec(struct jinja_run *run, const struct jinja_node *list);
MUST_CHECK int jinja_eval(struct jinja_run *run, const struct jinja_node *n, struct value *out);
/* Filters and so on behind v. */
MUST_CHECK int jinja_eval_tail(struct jinja_run *run, const struct jinja_node *pieces,
                               struct value v, struct value *out);
/* depth: of a recursive loop, 0 at first */
MUST_CHECK int jinja_for(struct jinja_run *run, const struct jinja_node *n, struct value items,
                         int depth);

MUST_CHECK int jinja_new_undefined(struct jinja_run *run, struct str name, struct value *out);

/* Scopes. */
MUST_CHECK int jinja_push(struct jinja_run *run, struct jinja_frame *up);
MUST_CHECK int jinja_bind(struct jinja_run *run, uint32_t name, struct value v);
MUST_CHECK int jinja_assign(struct jinja_run *run, const struct jinja_node *target,
                            struct value v);
MUST_CHECK int jinja_lookup(struct jinja_run *run, uint32_t name, struct value *out);

/* Calls: anything that can be called; a row with bound arguments. */
MUST_CHECK int jinja_call(struct jinja_run *run, struct value f, struct jinja_call *c,
                          struct value *out);
MUST_CHECK int jinja_call_fn(struct jinja_run *run, const struct jinja_fn *fn,
                             struct jinja_call *c, struct value *out);
MUST_CHECK int jinja_eval_args(struct jinja_run *run, const struct jinja_node *args,
                               struct jinja_call *c);
MUST_CHECK int jinja_call_macro(struct jinja_run *run, struct jinja_macro *m,
                                struct jinja_call *c, struct value *out);
MUST_CHECK int jinja_new_function(struct jinja_run *run, const struct jinja_fn *fn,
                                  struct value self, struct value *out);

/* type: jinja_is_generator, jinja_is_keys, ... */
MUST_CHECK int jinja_new_gen(struct jinja_run *run, const char *type, struct value items,
                             struct value *out);

/* Of the methods of that name the one that v has, or NULL. */
const struct jinja_fn *jinja_method_of(struct value v, const struct jinja_fn *const *method);
/* v.name and v[key], undefined where there is none. */
MUST_CHECK int jinja_attr(struct jinja_run *run, struct value v, struct value name,
                          const struct jinja_fn *const *method, struct value *out);
MUST_CHECK int jinja_item(struct jinja_run *run, struct value v, struct value key,
                          struct value *out);
MUST_CHECK int jinja_slice(struct jinja_run *run, struct value v, const struct value s[3],
                           struct value *out);
/* "a.b.0" of attribute=..., or an int */
MUST_CHECK int jinja_path(struct jinja_run *run, struct value v, struct value path,
                          struct value *out);
/* The error of using an undefined value; says which it is. */
MUST_CHECK int jinja_undefined(struct jinja_run *run, struct value v);

MUST_CHECK int jinja_math(struct jinja_run *run, int op, struct value a, struct value b,
                          struct value *out);
MUST_CHECK int jinja_compare(struct jinja_run *run, int op, struct value a, struct value b);
MUST_CHECK int jinja_in(struct jinja_run *run, struct value needle, struct value hay);

/* -- conversions ---------------------------------------------------------------------- */

/* A string that went through "safe" or "escape" notes it in `from`. As Python's Markup it
 * escapes what is added to it. */
enum { JINJA_MARKUP = 1 };
MUST_CHECK int jinja_escape(struct jinja_run *run, struct value s, struct value *out);

static inline struct value jinja_as(struct value like, struct value v)
{
    if (like.kind == VALUE_STR && v.kind == VALUE_STR)
        v.from |= like.from;
    return v;
}

/* A list that has what iterating over v gives: v itself when it is one. Fails: E_INVALID */
MUST_CHECK int jinja_items(struct jinja_run *run, struct value v, struct value *out);
/* Python's str(): a string is itself. And its repr(), into a text. */
MUST_CHECK int jinja_str(struct jinja_run *run, struct value v, struct value *out);
void jinja_put_str(struct jinja_run *run, struct value_build *b, struct value v);
void jinja_put_repr(struct jinja_run *run, struct value_build *b, struct value v);
/* An argument that must be a string, an int. what: "replace: old" */
MUST_CHECK int jinja_need_str(struct jinja_run *run, struct value v, const char *what);
MUST_CHECK int jinja_need_int(struct jinja_run *run, struct value v, const char *what,
                              int64_t *out);
/* An argument of a built-in, or what it is by default; int_or does nothing once *rc < 0. */
static inline int jinja_flag(struct value v, int usual)
{
    return jinja_absent(v) ? usual : value_true(v);
}
int64_t jinja_int_or(struct jinja_run *run, struct value v, int64_t usual, const char *what,
                     int *rc);
MUST_CHECK int jinja_length(struct jinja_run *run, struct value v, size_t *out);
MUST_CHECK int jinja_cstr(struct jinja_run *run, const char *s, struct value *out); /* copied */

/* Sets members of dict: those of the first argument, a dict or a list of pairs, and all named
 * arguments. */
MUST_CHECK int jinja_fill_dict(struct jinja_run *run, struct jinja_call *c, struct value dict);
/* The entries of a dict as a list of tuples. */
MUST_CHECK int jinja_pairs(struct jinja_run *run, struct value dict, struct value *out);
/* Upper and lower case. */
enum { JINJA_UPPER, JINJA_LOWER, JINJA_TITLE, JINJA_CAPITAL, JINJA_SWAP };
MUST_CHECK int jinja_case(struct jinja_run *run, const struct value_text *s, int how,
                          struct value *out);
/* The first `count` places of old, all with -1. */
MUST_CHECK int jinja_replace(struct jinja_run *run, const struct value_text *s,
                             struct value old, struct value new_text, int64_t count,
                             struct value *out);

/* 'a %s' % args, and 'a {}'.format(args). */
MUST_CHECK int jinja_percent(struct jinja_run *run, struct value_text *format,
                             struct value args, struct value *out);
MUST_CHECK int jinja_format(struct jinja_run *run, struct value_text *format,
                            struct jinja_call *c, struct value *out);

/* Characters as Python classes them. */
int jinja_space(int32_t cp);
/* Where s, cut on the left (1), right (2), both (3), begins and ends; chars: of which set;
 * none: white space. */
void jinja_strip(const struct value_text *s, const struct value_text *chars, int sides,
                 size_t *from, size_t *to);
/* The first place of needle in s[from..to), SIZE_MAX: none. */
size_t jinja_find(struct str s, struct str needle, size_t from, size_t to);

#endif

/* go_tree.h - a Go template as a tree: what the parser makes and the interpreter walks.
 *
 * One kind of node serves all; which members it uses is said beside its kind. Nodes, names and
 * decoded strings live in the tree's arena and never change. Names, texts and raw strings
 * point into the template, of which the tree keeps a copy.
 *
 * Threads  a tree that has been parsed: any number may read
 * Uses     base/
 */
#ifndef HEARTH_TEXT_TMPL_GO_TREE_H
#define HEARTH_TEXT_TMPL_GO_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum go_node_kind {
    GO_TEXT,     /* text */
    GO_ACTION,   /* pipe: its value is written unless it declares */
    GO_IF,       /* pipe, body, other */
    GO_WITH,     /* the same */
    GO_RANGE,    /* the same */
    GO_TEMPLATE, /* text: the name; pipe or NULL */
    GO_BREAK,
    GO_CONTINUE,

    GO_PIPE,  /* child: commands; name: what it declares or, if is_assign, sets */
    GO_CMD,   /* child: operands, the first may be a function */
    GO_DOT,   /* . */
    GO_FIELD, /* name: .A.B */
    GO_VAR,   /* name: $x.A, the first with its $ */
    GO_CHAIN, /* child: the operand; name: what is taken of it */
    GO_FUNC,  /* text: its name; func: its number */
    GO_NIL,
    GO_BOOL,   /* i */
    GO_INT,    /* i */
    GO_FLOAT,  /* f */
    GO_STRING, /* text */
};

struct go_node {
    enum go_node_kind kind;
    uint32_t at;          /* where it begins in the template, in bytes */
    struct go_node *next; /* in its list */
    struct go_node *pipe, *child, *body, *other;
    const struct str *name;
    int n_name, is_assign, func;
    union {
        struct str text;
        int64_t i;
        double f;
    };
};

struct go_define {
    struct go_define *next;
    struct str name; /* "" of the template itself */
    struct go_node *body;
};

struct go_tree {
    struct arena a;
    struct str text;
    struct go_define *define; /* the template itself among them */
    struct go_node *root;     /* its body */
};

/* What the parser takes for functions: the number of one, or -1. */
typedef int (*go_func_find_fn)(struct str name);

/* Copies text. Fails: E_INVALID line, column and what is wrong; E_TOO_LONG; E_NOMEM. After a
 * failure the tree holds nothing. */
MUST_CHECK int go_parse(struct go_tree *t, struct str text, go_func_find_fn find,
                        struct err *e);
void go_tree_done(struct go_tree *t);

/* The body of a name, or NULL. */
const struct go_define *go_tree_find(const struct go_tree *t, struct str name);

/* 1: a field or variable of that name stands somewhere in the tree; fold: in any case of its
 * letters. */
int go_tree_mentions(const struct go_tree *t, const char *name, int fold);

/* A literal's value. Fails: E_INVALID, without a place. */
MUST_CHECK int go_read_string(struct arena *a, struct str quoted, struct str *out,
                              struct err *e);
MUST_CHECK int go_read_char(struct str quoted, int64_t *out, struct err *e);
MUST_CHECK int go_read_number(struct go_node *n, struct str text, struct err *e);

/* The code of a failure that e tells of. */
static inline int go_code(const struct err *e)
{
    return e->code < 0 ? e->code : E_INTERNAL;
}

#endif

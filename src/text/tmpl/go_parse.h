/* go_parse.h - the parser's own: what go_parse.c (statements) and go_pipe.c (pipelines) share.
 *
 * Functions return 0 or a negative code whose words are in p->e, which is never NULL.
 */
#ifndef HEARTH_TEXT_TMPL_GO_PARSE_H
#define HEARTH_TEXT_TMPL_GO_PARSE_H

#include "text/tmpl/go_lex.h"
#include "text/tmpl/go_tree.h"

/* A template of the library has at most a dozen kilobytes, and as many variables.
 * GO_PARSE_NAMES keeps looking for variables and definitions from growing with the square of
 * the text. */
enum {
    GO_PARSE_TEXT = 1 << 20,
    GO_PARSE_TREE = 256 << 20,
    GO_PARSE_DEPTH = 400,
    GO_PARSE_NAMES = 1000
};

struct go_parse {
    struct go_tree *t;
    struct go_tokens in;
    size_t at; /* the next token */
    go_func_find_fn find;
    struct str *var; /* in sight, by name */
    size_t n_var, cap_var;
    int depth, in_range;
    enum go_token_kind stop; /* what ended a list: GO_T_FINISH, GO_T_ELSE */
    struct err *e;
};

struct go_list {
    struct go_node *first, **last;
};

/* Tokens; the _word ones pass over blanks. */
const struct go_token *go_parse_peek(const struct go_parse *p);
const struct go_token *go_parse_next(struct go_parse *p);
const struct go_token *go_parse_peek_word(struct go_parse *p);
const struct go_token *go_parse_next_word(struct go_parse *p);

int go_parse_fail(const struct go_parse *p, size_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
int go_parse_unexpected(const struct go_parse *p, const struct go_token *t, const char *where);

/* In the tree's arena, zeroed. NULL: p->e tells. */
void *go_parse_alloc(struct go_parse *p, size_t n);
struct go_node *go_parse_node(struct go_parse *p, enum go_node_kind kind, size_t at);
void go_parse_append(struct go_list *l, struct go_node *n);

/* One level down; whoever enters takes 1 from p->depth afterwards. */
int go_parse_enter(struct go_parse *p, size_t at);

/* A variable is in sight from now on. */
int go_parse_declare(struct go_parse *p, struct str name);

/* Up to the token `end`, which is taken. where: what it is part of, for messages. */
int go_parse_pipe(struct go_parse *p, const char *where, enum go_token_kind end,
                  struct go_node **out);

#endif

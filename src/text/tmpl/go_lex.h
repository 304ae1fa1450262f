/* go_lex.h - a Go template cut into tokens.
 *
 * Text between actions comes out trimmed as the markers next to it say; comments do not come
 * out at all. Blanks inside an action are tokens, because they separate arguments: ".A.B" is
 * one operand and ".A .B" two. What is wrong becomes the last token, so that the parser
 * complains in the order in which the template is read.
 *
 * Uses     base/
 */
#ifndef HEARTH_TEXT_TMPL_GO_LEX_H
#define HEARTH_TEXT_TMPL_GO_LEX_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

enum go_token_kind {
    GO_T_END, /* of the template */
    GO_T_BAD, /* text: what is wrong */
    GO_T_TEXT,
    GO_T_OPEN,  /* {{ */
    GO_T_CLOSE, /* }} */
    GO_T_SPACE,
    GO_T_PIPE,
    GO_T_LPAREN,
    GO_T_RPAREN,
    GO_T_ASSIGN,  /* = */
    GO_T_DECLARE, /* := */
    GO_T_COMMA,
    GO_T_MARK, /* any other sign */
    GO_T_STRING,
    GO_T_RAW,
    GO_T_CHAR,
    GO_T_NUMBER,
    GO_T_DOT,
    GO_T_FIELD, /* ".Name" */
    GO_T_VAR,   /* "$", "$name" */
    GO_T_NAME,  /* of a function */
    GO_T_TRUE,
    GO_T_FALSE,
    GO_T_NIL,
    GO_T_BLOCK,
    GO_T_BREAK,
    GO_T_CONTINUE,
    GO_T_DEFINE,
    GO_T_ELSE,
    GO_T_FINISH, /* end */
    GO_T_IF,
    GO_T_RANGE,
    GO_T_TEMPLATE,
    GO_T_WITH
};

struct go_token {
    enum go_token_kind kind;
    uint32_t at;     /* where it begins, in bytes */
    struct str text; /* in the template, but for GO_T_BAD */
};

struct go_tokens {
    struct go_token *at; /* n of them; the last is GO_T_END or GO_T_BAD, again and again */
    size_t n, cap;
    char bad[160];
};

/* text must outlive the tokens. Fails: E_NOMEM. */
MUST_CHECK int go_lex(struct go_tokens *out, struct str text, struct err *e);
void go_lex_done(struct go_tokens *t);

/* The line and column (both from 1, the column in bytes) of a place in the text. */
void go_lex_place(struct str text, size_t at, int *line, int *column);

#endif

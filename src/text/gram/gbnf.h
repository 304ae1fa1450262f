/* gbnf.h - grammars written in GBNF, as llama.cpp's users write them.
 *
 * Rules `name ::= ...`, literals, classes, `.`, groups, | ? * + {m,n}, comments; `root` is the
 * whole text. Read without recursion.
 *
 * Uses     base/, text/gram/gram.h
 */
#ifndef HEARTH_TEXT_GRAM_GBNF_H
#define HEARTH_TEXT_GRAM_GBNF_H

#include "text/gram/gram.h"

/* Adds the rules of the text to g; *root is the rule "root". Fails: E_INVALID with line and
 * column, and what is wrong; E_TOO_LONG; E_NOMEM. */
MUST_CHECK int gbnf_parse(struct gram *g, struct str text, gram_ref *root, struct err *e);

#endif

/* grammar_priv.h - what reply_grammar.c and grammar_args.c share. */
#ifndef HEARTH_TEXT_REPLY_GRAMMAR_PRIV_H
#define HEARTH_TEXT_REPLY_GRAMMAR_PRIV_H

#include "text/gram/schema.h"
#include "text/reply/reply_priv.h"

gram_ref reply_grammar_seq(struct gram *g, gram_ref a, gram_ref b);
/* A text of struct reply_writing; NULL: the empty one. */
gram_ref reply_grammar_text(struct gram *g, const char *s);
/* The arguments of a call. Fails: E_UNSUPPORTED, E_INVALID, with the parameter's name. */
MUST_CHECK int reply_grammar_args(struct gram *g, const struct reply_format *f,
                                  const struct reply_writing *w, const json_t *schema,
                                  gram_ref *out, struct err *e);

#endif

/* form.h - what holds an answer to a form: a grammar made of what was asked for.
 *
 * Content may be any JSON object, JSON of a schema, or what a grammar or an expression says;
 * besides it, or instead of it, calls of tools may come, whose arguments are valid under their
 * schemas. guide.h then says which tokens may come.
 *
 * Threads  any
 * Uses     base/, text/gram/, text/reply/
 */
#ifndef HEARTH_TEXT_FORM_H
#define HEARTH_TEXT_FORM_H

#include "text/gram/gram.h"
#include "text/reply/reply.h"

enum form_kind { FORM_ANY, FORM_JSON, FORM_SCHEMA, FORM_GBNF, FORM_REGEX };

struct form {
    int kind;                        /* enum form_kind */
    const json_t *schema;            /* FORM_SCHEMA; borrowed */
    struct str text;                 /* FORM_GBNF, FORM_REGEX */
    const struct reply_style *style; /* of a conversation; NULL: the text stands alone */
    struct reply_tools calls;        /* tools NULL or empty: none may come */
};

/* The grammar of such answers, finished; NULL: any text may come. The caller owns it. *of_tools
 * (may be NULL): after a failure 1 when it is about the tools, 0 about the content. Fails:
 * E_INVALID a content beside calls that must come; as schema_add, gbnf_parse, rx_parse,
 * reply_grammar, gram_finish. */
MUST_CHECK int form_grammar(struct gram **out, const struct form *f, int *of_tools,
                            struct err *e);

/* 1: nothing was asked for but that tools may be called: what a grammar cannot say of their
 * arguments is no reason to go without them. */
int form_may_be_free(const struct form *f);

#endif

/* schema.h - JSON Schema as a grammar: the texts that are JSON and valid.
 *
 * Draft 2020-12. What an automaton cannot check is refused by the keyword's name and where it
 * stands (#/properties/a/...), never ignored; annotations (title, description, default,
 * examples, $comment, deprecated, readOnly, writeOnly) are let be. $ref reaches into the same
 * document only: nothing is ever fetched.
 *
 * Uses     base/, text/gram/gram.h; jansson
 */
#ifndef HEARTH_TEXT_GRAM_SCHEMA_H
#define HEARTH_TEXT_GRAM_SCHEMA_H

#include "text/gram/gram.h"

#include <jansson.h>

struct schema_options {
    /* For writing rather than for checking: properties in the schema's order, little
     * whitespace, and strings escaped only where they must be. */
    int writing;
};

/* Adds what is valid under the schema to g. Fails: E_INVALID the schema is wrong or nothing
 * can be valid, with the place; E_UNSUPPORTED a keyword, with the place; E_TOO_LONG; E_NOMEM.
 */
MUST_CHECK int schema_add(struct gram *g, const json_t *schema, const struct schema_options *o,
                          gram_ref *out, struct err *e);

/* Any JSON value (an object only, if so asked). Fails as schema_add. */
MUST_CHECK int schema_any(struct gram *g, int object_only, const struct schema_options *o,
                          gram_ref *out, struct err *e);

#endif

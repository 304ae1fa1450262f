/* schema.h - JSON Schema as a grammar: the texts that are JSON and valid.
 *
 * Draft 2020-12, and what older drafts said otherwise where the two cannot be confused (items
 * as a list, dependencies, definitions). docs/STRUCTURED.md has the table of keywords. The
 * rules, in the order of their weight:
 *
 * - What is accepted is valid. What an automaton cannot check is refused by the keyword's name
 *   and place (#/properties/a/uniqueItems), never ignored.
 * - What is valid is accepted, but for numbers with an exponent beside a bound that their
 *   look does not decide: 2e20 under "minimum": 1e20. Numbers are decimal and exact: 4.35 is a
 *   multiple of 0.01. A double in the schema is the shortest decimal that reads back as it.
 * - "format" is checked, although the draft lets readers choose, since whoever writes it for a
 *   model means it; an unknown format is refused.
 * - The draft takes unknown keywords for annotations. A misspelt "minlength" would then allow
 *   everything in silence, so they are refused, with a guess at what was meant. Let be are the
 *   draft's annotations (title, description, default, examples, $comment, deprecated, readOnly,
 *   writeOnly, content...), what common tools add (example, discriminator, externalDocs, xml,
 *   propertyOrdering, enumNames, enumDescriptions, markdownDescription, errorMessage), and all
 *   that begins with "x-".
 * - Bounds that contradict each other in one schema (minLength 5, maxLength 3) are a slip and
 *   an error. What else can be satisfied by nothing is left out where it is optional, and an
 *   error where it is everything.
 * - $ref and its kin reach into the same document only: nothing is ever fetched.
 *
 * Time and memory are bounded whatever the schema: depth, schemas, alternatives, steps and
 * states of numbers have limits, which errors name.
 *
 * Threads  as the grammar
 * Uses     base/, text/gram/gram.h; jansson
 */
#ifndef HEARTH_TEXT_GRAM_SCHEMA_H
#define HEARTH_TEXT_GRAM_SCHEMA_H

#include "text/gram/gram.h"

#include <jansson.h>

struct schema_options {
    /* For writing rather than for checking: properties in the schema's order, then others; a
     * blank or nothing after : and ,; a line's end and some blanks at most where lines may be
     * broken; strings escaped only where they must be; whole numbers without a point, and no
     * more digits than readers tell apart. Whoever follows it cannot get lost between the
     * tokens; only strings, arrays and other properties may be as long as the schema lets
     * them. */
    int writing;
};

/* Adds what is valid under the schema to g, white space around it included when checking. The
 * schema is not kept. Fails: E_INVALID the schema is wrong or nothing can be valid, with the
 * place; E_UNSUPPORTED a keyword, with the place; E_TOO_LONG; E_NOMEM. */
MUST_CHECK int schema_add(struct gram *g, const json_t *schema, const struct schema_options *o,
                          gram_ref *out, struct err *e);

/* Any JSON value (an object only, if so asked). Fails as schema_add. */
MUST_CHECK int schema_any(struct gram *g, int object_only, const struct schema_options *o,
                          gram_ref *out, struct err *e);

#endif

/* modelfile.h - Modelfiles: what a model is made of, as a text that users write.
 *
 *     file      := { blank | comment | statement }
 *     statement := WORD blanks value      FROM PARAMETER TEMPLATE SYSTEM ADAPTER DRAFT LICENSE
 *                                         MESSAGE RENDERER PARSER REQUIRES, in any case
 *     value     := to the line's end | "..." | """..."""     without escapes
 *
 * A quoted value may have many lines; it ends at the first line that ends in its quotes. A # is
 * a comment where a statement may begin, and nowhere else. Text is UTF-8, or UTF-16 with its
 * mark; line ends become LF, control characters but tabs are left out, and everything else,
 * joiners of emoji included, stays.
 *
 * Threads  any
 * Uses     base/; jansson
 * Source   the format that Ollama documents
 */
#ifndef HEARTH_STORE_MODELFILE_H
#define HEARTH_STORE_MODELFILE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>

#define MODELFILE_MAX ((size_t)4 << 20) /* bytes of a file */

struct modelfile {
    struct arena mem;
    struct str *from, *adapter, *license; /* n 0: none */
    size_t n_from, n_adapter, n_license;
    struct str draft, template, system, renderer, parser, requires; /* p NULL: none */
    json_t *params;      /* object: numbers, booleans, "stop" an array of strings */
    json_t *messages;    /* array of {"role", "content"} */
    struct buf warnings; /* lines: parameters that mean nothing any more */
};

/* The caller calls modelfile_done, also after a failure. Fails: E_INVALID "(line N): ..." ;
 * E_NOMEM. */
MUST_CHECK int modelfile_parse(struct modelfile *out, struct str text, struct err *e);
void modelfile_done(struct modelfile *m);

/* Appends the text of a Modelfile, which parses to the same. Fails: E_NOMEM, E_TOO_LONG;
 * E_INVALID a text that quotes cannot hold, because lines in it end in both kinds. */
MUST_CHECK int modelfile_write(const struct modelfile *m, struct buf *out);

/* Checks one parameter's value and brings it into its type; name as Modelfiles and Ollama's
 * options have it. text: from a Modelfile. Adds it to params; a "stop" more to its array. *note
 * (may be NULL) becomes what a user should hear of the parameter, a literal, or NULL; one that
 * is gone from all runtimes is left out then. Fails: E_INVALID in words; E_NOMEM. */
MUST_CHECK int modelfile_param(json_t *params, struct str name, struct str text,
                               const char **note, struct err *e);
/* The same of a JSON value, which may be an array where there can be several. */
MUST_CHECK int modelfile_param_json(json_t *params, struct str name, const json_t *value,
                                    const char **note, struct err *e);

#endif

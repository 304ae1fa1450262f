/* modelfile.h - Modelfiles: what a model is made of, as a text that users write.
 *
 *     file      := { blank | comment | statement }
 *     statement := WORD blanks value      FROM PARAMETER TEMPLATE SYSTEM ADAPTER DRAFT LICENSE
 *                                         MESSAGE RENDERER PARSER REQUIRES, in any case
 *     value     := to the line's end | "..." | """..."""     without escapes
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

#define MODELFILE_MAX ((size_t)4 << 20)

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

/* Appends the text of a Modelfile. Fails: E_NOMEM. */
MUST_CHECK int modelfile_write(const struct modelfile *m, struct buf *out);

/* Checks one parameter's value and brings it into its type; name as Modelfiles and Ollama's
 * options have it. text: from a Modelfile. Adds it to params. Fails: E_INVALID in words. */
MUST_CHECK int modelfile_param(json_t *params, struct str name, struct str text, struct err *e);

#endif

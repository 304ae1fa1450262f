/* show.h - what the files of `hearth show` share.
 *
 *   cmd_show.c     the command, and what a model file says, as text
 *   show_json.c    the same as JSON
 *   show_stored.c  what is said beyond the weights: name, settings, texts
 *
 * A model that is a path has nothing beyond; then the struct store_model is empty (path NULL).
 *
 * Threads  one
 */
#ifndef HEARTH_CMD_SHOW_H
#define HEARTH_CMD_SHOW_H

#include "cmd/cmd.h"
#include "fmt/gguf.h"
#include "store/store.h"

enum show_part {
    SHOW_MODELFILE,
    SHOW_PARAMETERS,
    SHOW_TEMPLATE,
    SHOW_SYSTEM,
    SHOW_LICENSES,
    SHOW_PARTS
};

enum { SHOW_ELEMS = 5 }; /* elements of an array that are printed */

/* What the short form prints. */
struct show_facts {
    struct str arch, tok, license; /* empty: not told */
    uint64_t n_param, n_ctx, n_embd, n_tok;
    int has_ctx, has_embd;
    const char *quant; /* NULL: no tensors */
    int can;           /* of enum store_can; 0: not known */
    int adapter;       /* 1: matrices beside those of a model, not a model */
};

/* How many files the model has. */
uint64_t show_n_file(const struct gguf *g);

/* Prints one object; verbose: with all arrays and tensors. Fails: E_NOMEM. */
MUST_CHECK int show_json(const struct gguf *g, const struct show_facts *f,
                         const struct store_model *m, int verbose, struct err *e);

/* Finds word in the store, unless it is a path. What is neither is no failure here. */
MUST_CHECK int show_find(const char *word, struct store_model *m, struct err *e);

/* Sections for parameters, system text, ...; nothing for a path. */
MUST_CHECK int show_stored(const struct store_model *m, struct err *e);
/* One text alone, as it is; on a terminal without what drives it. */
MUST_CHECK int show_stored_part(const struct store_model *m, const struct gguf *g, int part,
                                struct err *e);
/* Adds members to an object. 0, or -1: no memory. */
MUST_CHECK int show_stored_json(json_t *o, const struct store_model *m);

#endif

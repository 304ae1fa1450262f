/* show.h - what `hearth show` says beyond the weights: name, settings, texts.
 *
 * A model that is a path has none of it; then the struct store_model is empty (path NULL).
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

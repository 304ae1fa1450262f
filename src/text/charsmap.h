/* charsmap.h - SentencePiece's compiled table of replacements: character sequences, and what
 * stands for them before a text is cut into tokens (compatibility forms, odd spaces, ...).
 *
 * The key tokenizer.ggml.precompiled_charsmap holds a double array, whose units have the base
 * of a node, the byte that leads there, and values in leaves of their own; then the
 * replacements, each ended by a NUL.
 *
 * Threads  any number may read
 * Uses     base/, fmt/
 */
#ifndef HEARTH_TEXT_CHARSMAP_H
#define HEARTH_TEXT_CHARSMAP_H

#include "base/buf.h"
#include "base/err.h"
#include "fmt/gguf.h"

#include <stdint.h>

struct charsmap {
    uint32_t *unit;
    size_t n_unit;
    char *text; /* the replacements; the last byte is a NUL */
    size_t n_text;
};

/* Without the key it is empty. Fails: E_FORMAT it is no such table; E_NOMEM. */
MUST_CHECK int charsmap_init(struct charsmap *c, const struct gguf *g, struct err *e);
void charsmap_done(struct charsmap *c);

/* The longest sequence at p (n bytes are there) that is replaced: its length and its
 * replacement, borrowed from c; 0: none. */
size_t charsmap_find(const struct charsmap *c, const char *p, size_t n, struct str *put);

#endif

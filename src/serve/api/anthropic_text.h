/* anthropic_text.h - blocks that are said to the model as text: text, documents, results of
 * searches.
 *
 * Threads  a place belongs to one thread
 * Uses     base/, serve/field.h
 */
#ifndef HEARTH_SERVE_API_ANTHROPIC_TEXT_H
#define HEARTH_SERVE_API_ANTHROPIC_TEXT_H

#include "base/buf.h"
#include "base/err.h"
#include "serve/field.h"

enum { ANTHROPIC_PATH = 96 };

/* Where in a body we are: "messages.2.content.0". */
struct anthropic_place {
    struct field_report *r;
    char path[ANTHROPIC_PATH];
};

/* Goes one step further and returns what anthropic_path_back goes back to. */
size_t anthropic_path_on(struct anthropic_place *t, const char *name, size_t index);
void anthropic_path_back(struct anthropic_place *t, size_t n);

/* A block's type; n 0: it has none. */
struct str anthropic_type(const json_t *block);

/* Where bytes of images and documents come from. */
struct anthropic_source {
    struct str type, media_type, data;
    json_t *content;
};

/* All below fail with E_INVALID or E_UNSUPPORTED, the place in front; E_NOMEM. */

MUST_CHECK int anthropic_fields(struct anthropic_place *t, const struct field_row *rows,
                                size_t n, const json_t *j, void *into, struct err *e);
MUST_CHECK int anthropic_source(struct anthropic_place *t, const json_t *j,
                                struct anthropic_source *out, struct err *e);

MUST_CHECK int anthropic_put(struct buf *b, struct str s, struct err *e);
/* Begins a line, when the text does not stand at the beginning of one. */
MUST_CHECK int anthropic_next_line(struct buf *b, struct err *e);

/* Append a block's text. */
MUST_CHECK int anthropic_text(struct anthropic_place *t, const json_t *j, struct buf *out,
                              struct err *e);
MUST_CHECK int anthropic_document(struct anthropic_place *t, const json_t *j, struct buf *out,
                                  struct err *e);
MUST_CHECK int anthropic_search_result(struct anthropic_place *t, const json_t *j,
                                       struct buf *out, struct err *e);

/* A string, or blocks of text, which stand on lines of their own. */
MUST_CHECK int anthropic_texts(struct anthropic_place *t, const char *name, const json_t *j,
                               struct buf *out, struct err *e);
/* What a tool gave: NULL, a string, or blocks of any of the kinds above. */
MUST_CHECK int anthropic_result(struct anthropic_place *t, const json_t *content,
                                struct buf *out, struct err *e);

#endif

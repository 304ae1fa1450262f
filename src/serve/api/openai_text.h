/* openai_text.h - the answer of /v1/completions: chunks of a stream, or one object.
 *
 * Threads  as ask_ops (serve/ask.h)
 * Uses     serve/api/openai.h
 */
#ifndef HEARTH_SERVE_API_OPENAI_TEXT_H
#define HEARTH_SERVE_API_OPENAI_TEXT_H

#include "serve/api/openai.h"

struct openai_text_out;

/* Choice c of prompt i is number i * n_choice + c (gate/many.h). Fails: E_NOMEM in p->e. */
MUST_CHECK int openai_text_out_new(struct openai_text_out **out, struct openai_parse *p);
extern const struct ask_ops openai_text_ops; /* their ctx is an openai_text_out */

#endif

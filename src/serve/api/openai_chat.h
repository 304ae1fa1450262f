/* openai_chat.h - the answer of /v1/chat/completions: chunks of a stream, or one object.
 *
 * Threads  as ask_ops (serve/ask.h)
 * Uses     serve/api/openai.h
 */
#ifndef HEARTH_SERVE_API_OPENAI_CHAT_H
#define HEARTH_SERVE_API_OPENAI_CHAT_H

#include "serve/api/openai.h"

struct openai_chat_out;

/* Fails: E_NOMEM in p->e. */
MUST_CHECK int openai_chat_out_new(struct openai_chat_out **out, struct openai_parse *p);
extern const struct ask_ops openai_chat_ops; /* their ctx is an openai_chat_out */

#endif

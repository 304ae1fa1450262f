/* openai_routes.h - the handlers of OpenAI's dialect, and the table that has them.
 *
 * Uses     serve/
 */
#ifndef HEARTH_SERVE_API_OPENAI_ROUTES_H
#define HEARTH_SERVE_API_OPENAI_ROUTES_H

#include "serve/route.h"

#include <stddef.h>

enum { API_OPENAI_N_ROUTE = 14 };
extern const struct route api_openai_routes[API_OPENAI_N_ROUTE];

void openai_chat(struct serve *s, struct call *c);
void openai_chat_count(struct serve *s, struct call *c);
void openai_text(struct serve *s, struct call *c);
void openai_embed(struct serve *s, struct call *c);
void openai_rerank(struct serve *s, struct call *c);
void openai_models(struct serve *s, struct call *c);
void openai_model(struct serve *s, struct call *c);
void openai_responses(struct serve *s, struct call *c);
void openai_responses_get(struct serve *s, struct call *c);
void openai_responses_delete(struct serve *s, struct call *c);
void openai_responses_cancel(struct serve *s, struct call *c);
void openai_responses_items(struct serve *s, struct call *c);
void openai_responses_count(struct serve *s, struct call *c);

#endif

/* anthropic.h - Anthropic's dialect: what its files share.
 *
 *   anthropic.c         routes, errors, lists of models
 *   anthropic_read.c    a body into a gate_request
 *   anthropic_talk.c    messages and their content blocks into the canonical form
 *   anthropic_text.c    blocks that are said to the model as text
 *   anthropic_tools.c   tools, and which of them may be called
 *   anthropic_write.c   events into a message, or into the stream that the SDKs expect
 *
 * Uses     base/, gate/provider.h, serve/
 */
#ifndef HEARTH_SERVE_API_ANTHROPIC_H
#define HEARTH_SERVE_API_ANTHROPIC_H

#include "gate/provider.h"
#include "serve/ask.h"

enum { ANTHROPIC_N_ROUTE = 2 };
extern const struct route anthropic_routes[ANTHROPIC_N_ROUTE];

/* Reads a body: fills q, which is of kind GATE_CHAT, and what else the answer needs to know.
 * Fails: E_INVALID, E_UNSUPPORTED with the field in front; E_NOMEM. */
struct anthropic_wish {
    int stream;
    int hide_thinking; /* thinking blocks come without their text */
    int max_tokens;    /* of the answer */
};

MUST_CHECK int anthropic_read(struct gate_request *q, const json_t *body,
                              struct anthropic_wish *wish, struct field_report *r,
                              struct err *e);

/* system (NULL, a string or blocks) and messages into q->messages; q->prefill when the last one
 * is the assistant's. Fails: as above. */
MUST_CHECK int anthropic_talk(struct gate_request *q, const json_t *system,
                              const json_t *messages, struct field_report *r, struct err *e);

/* tools and tool_choice (either may be NULL) into q. Fails: as above. */
MUST_CHECK int anthropic_tools(struct gate_request *q, const json_t *tools,
                               const json_t *choice, struct field_report *r, struct err *e);

/* How events become an answer. ctx: anthropic_answer_new. */
extern const struct ask_ops anthropic_message_ops, anthropic_count_ops;

struct anthropic_answer;

/* NULL: no memory. anthropic_message_ops.free frees it. */
struct anthropic_answer *anthropic_answer_new(const struct call *c, struct str model,
                                              const struct anthropic_wish *wish);

/* Appends the body of an error: its type by the status. Fails: as buf_put. */
MUST_CHECK int anthropic_error(struct buf *out, int status, const struct err *e,
                               const char *param, const char *id);

/* What is behind GET /v1/models and /v1/models/NAME for who sends "anthropic-version". */
void anthropic_models(struct serve *s, struct call *c);
void anthropic_model(struct serve *s, struct call *c);

#endif

/* ollama.h - Ollama's dialect: what its files share.
 *
 *   ollama.c            routes, errors, what is refused as a whole
 *   ollama_read.c       bodies of /api/generate and /api/chat into a gate_request
 *   ollama_options.c    "options", "format", "think", "keep_alive" and the like
 *   ollama_talk.c       messages and tools in the canonical form
 *   ollama_context.c    "context": a conversation as numbers that a client hands back
 *   ollama_write.c      events into lines of JSON, or into one object
 *   ollama_embed.c      embeddings and reranking
 *   ollama_models.c     tags, ps, copy, delete
 *   ollama_create.c     create
 *   ollama_show.c       show
 *
 * Differences from Ollama, all of which a client can see: a body that is wrong is refused with
 * the field's name; "top_p": 0 and the like are wrong; a prompt that was shortened says so
 * ("truncated", "tokens_dropped", "messages_dropped" in the last object); every stream ends
 * with "done": true or {"error"}; what is not done comes as a "warning" header.
 *
 * Uses     base/, gate/provider.h, store/, serve/
 */
#ifndef HEARTH_SERVE_API_OLLAMA_H
#define HEARTH_SERVE_API_OLLAMA_H

#include "gate/provider.h"
#include "serve/ask.h"
#include "store/store.h"

enum { OLLAMA_N_ROUTE = 18 };
extern const struct route ollama_routes[OLLAMA_N_ROUTE];

/* -- bodies (ollama_read.c, ollama_options.c, ollama_talk.c) --------------------------- */

/* Every field of both; those that are absent keep these values. */
struct ollama_body {
    struct str model, prompt, suffix, system, chat_template, think_level;
    const json_t *messages, *tools, *images, *options, *format, *stop, *context;
    int stream, raw, truncate, shift, logprobs, top_logprobs, debug;
    int think; /* enum gate_think */
    int64_t keep_alive_ns;
};

/* What the answer needs to know. */
struct ollama_wish {
    int chat, stream, debug;
    const char *load; /* "load" or "unload": nothing is generated; else NULL */
    json_t *history;  /* of /api/generate: what "context" is made of; NULL: none */
};

/* FIELD_CALL readers; into: a struct ollama_body, whose keep_alive_ns is first in others. */
int ollama_read_think(void *into, const json_t *v, struct err *e);
int ollama_read_keep_alive(const json_t *v, int64_t *ns, struct err *e);

/* Reads a body of /api/chat (chat 1) or /api/generate. s->store, if there is one, is asked what
 * the model can do. *out is the caller's, wish->history too. Fails: E_INVALID, E_UNSUPPORTED
 * with the field; E_NOMEM. */
MUST_CHECK int ollama_read(struct serve *s, const json_t *body, int chat,
                           struct gate_request **out, struct ollama_wish *wish,
                           struct field_report *r, struct err *e);

/* "options" into q. Fails: as field_read. */
MUST_CHECK int ollama_options(struct gate_request *q, const json_t *options,
                              struct field_report *r, struct err *e);
/* "format" into q: "json", a schema; NULL and "": any text. */
MUST_CHECK int ollama_format(struct gate_request *q, const json_t *format, struct err *e);

/* Messages (of /api/chat), images (of /api/generate: base64) and tools. */
MUST_CHECK int ollama_talk(struct gate_request *q, const json_t *messages,
                           struct field_report *r, struct err *e);
MUST_CHECK int ollama_tools(struct gate_request *q, const json_t *tools, struct field_report *r,
                            struct err *e);
/* A user's content of text and pictures. */
MUST_CHECK int ollama_images(struct str text, const json_t *images, json_t **content,
                             const char *field, struct err *e);

/* -- context (ollama_context.c) -------------------------------------------------------- */

/* Appends a conversation as a JSON array of numbers. Fails: as buf_put. */
MUST_CHECK int ollama_context_put(struct buf *out, const json_t *messages);
/* The conversation in such an array. Fails: E_INVALID it is not one of ours; E_NOMEM. */
MUST_CHECK int ollama_context_get(const json_t *context, json_t **messages, struct err *e);

/* -- answers (ollama_write.c) ---------------------------------------------------------- */

extern const struct ask_ops ollama_answer_ops;
struct ollama_answer;

/* wish->history is taken over, also without memory (NULL). ollama_answer_ops.free frees it. */
struct ollama_answer *ollama_answer_new(struct str model, struct ollama_wish *wish);

/* RFC 3339 with as many digits of a second as are needed, in UTC. */
enum { OLLAMA_TIME = 40 };
const char *ollama_time(int64_t realtime_ns, char out[OLLAMA_TIME]);
/* Members of usage that are not 0, as the last object of an answer has them. */
struct json_out;
void ollama_usage(struct json_out *w, const struct gate_usage *u);

/* -- models ---------------------------------------------------------------------------- */

/* Reads the name of a model from "model", or its older "name"; others are for the caller.
 * Returns 1, or 0 and the call is answered. */
int ollama_name(struct call *c, const json_t *body, struct str *out);
/* Finds it, if the key may use it. Returns as above. */
int ollama_find(struct serve *s, struct call *c, struct str name, struct store_model *m);
json_t *ollama_details(const struct store_model *m);

void ollama_tags(struct serve *s, struct call *c);
void ollama_ps(struct serve *s, struct call *c);
void ollama_copy(struct serve *s, struct call *c);
void ollama_delete(struct serve *s, struct call *c);
void ollama_show(struct serve *s, struct call *c);
void ollama_create(struct serve *s, struct call *c);
void ollama_embed(struct serve *s, struct call *c);
void ollama_embeddings(struct serve *s, struct call *c);
void ollama_rerank(struct serve *s, struct call *c);

#endif

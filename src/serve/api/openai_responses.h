/* openai_responses.h - /v1/responses: items in, items out.
 *
 *   openai_responses.c      the body, and what is kept of other requests
 *   openai_items.c          items into messages
 *   openai_responses_out.c  events into the stream that its clients expect, or one object
 *   openai_store.c          what is kept
 *
 * Threads  as openai.h
 * Uses     serve/api/openai.h
 */
#ifndef HEARTH_SERVE_API_OPENAI_RESPONSES_H
#define HEARTH_SERVE_API_OPENAI_RESPONSES_H

#include "serve/api/openai.h"

/* Input (a string or items) into messages of gate/provider.h, appended to *messages, an array
 * that already has what was said before; and into *items, the list that clients can ask for
 * later, each with an id. Both are the caller's, also after a failure. */
MUST_CHECK int openai_items(struct openai_parse *p, const json_t *input, json_t *messages,
                            json_t **items);

/* Items of an answer as the assistant's message, for who goes on with the conversation; what is
 * not complete is left out. A new reference; NULL: no memory. */
json_t *openai_items_message(const json_t *output);

/* What an answer needs to know besides its events; references are taken over. */
struct openai_response_in {
    struct responses *store; /* NULL: it is not kept */
    uint64_t tenant;
    char id[OPENAI_ID_MAX];
    const json_t *previous; /* a string, or NULL; borrowed from base */
    json_t *base;           /* the object, as far as it is known */
    json_t *items;          /* of the input */
    json_t *messages;       /* of this turn */
    json_t *spaces;         /* as in openai_parse */
    int stream, logprobs;
};

struct openai_response;

/* Fails: E_NOMEM; `in` is taken over in any case. */
MUST_CHECK int openai_response_new(struct openai_response **out, struct openai_response_in *in);
extern const struct ask_ops openai_response_ops; /* their ctx is an openai_response */

#endif

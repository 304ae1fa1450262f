/* chat.h - how one model is talked to: a conversation in, token ids out.
 *
 * Holds a chat template, compiled, and what the probe found out about it. A conversation is
 * JSON as OpenAI's API has it: messages with role, content (a string, or parts of type "text"),
 * reasoning_content, tool_calls, tool_call_id and name.
 *
 * Templates differ in what they take; the conversation is brought into a form that this one
 * does: parts of text become one string; arguments of calls are handed over as objects, or as
 * JSON text where the template wants that, and what is no object (a call that was cut) as the
 * text that it is, or as an object's member "arguments"; a system message goes in front of the
 * first user message where there is no place for it. Nothing is left out: what cannot be said
 * is an error.
 *
 * Threads  any number may encode
 * Uses     base/, text/
 */
#ifndef HEARTH_TEXT_CHAT_H
#define HEARTH_TEXT_CHAT_H

#include "text/reply/probe.h"
#include "text/tmpl/tmpl.h"
#include "text/tok.h"

struct chat;

struct chat_source {
    int kind;              /* enum tmpl_kind */
    struct str text;       /* of the template */
    struct str tools_text; /* of the one to use when there are tools; n 0: the same */
    struct str name;       /* the model's or the architecture's, for what no probe finds */
    const struct tok *tok; /* borrowed */
};

/* Fails: as tmpl_new, as probe_run. */
MUST_CHECK int chat_new(struct chat **out, const struct chat_source *s, struct err *e);
void chat_free(struct chat *c); /* NULL is fine */

/* What it can do: with tools, or without. */
const struct probe *chat_probe(const struct chat *c, int with_tools);
/* 1: its template knows levels of reasoning. */
int chat_has_levels(const struct chat *c, int with_tools);

enum chat_think { CHAT_THINK_AUTO, CHAT_THINK_OFF, CHAT_THINK_ON };

struct chat_request {
    const json_t *messages;
    const json_t *tools; /* NULL or empty: none */
    const json_t *vars;  /* an object of more variables for the template; NULL: none */
    int think;           /* enum chat_think */
    const char *effort;  /* "low", "medium", "high", ...; NULL: the template's own */
    int no_prompt;       /* 1: do not open an answer at the end */
    struct str begun;    /* how the answer begins, which is gone on with; n 0: nothing */
    struct str thought;  /* with `begun`: the reasoning before it */
    struct tm now;
};

/* What a request becomes. */
struct chat_prompt {
    struct marked text;
    struct tok_ids ids;
    int open; /* 1: the answer begins inside reasoning */
};

void chat_prompt_done(struct chat_prompt *p);

/* Sets the bits of control tokens by which its model marks nothing, so that a reader need not
 * see them; bits: (tok_count + 31) / 32 words, zeroed before. */
void chat_hidden(const struct chat *c, int with_tools, uint32_t *bits);

/* The caller zeroes *out first and calls chat_prompt_done, also after a failure. Fails: as
 * tmpl_render; E_UNSUPPORTED parts that are not text, a role that the template has not, a
 * level of reasoning where it knows none; E_INVALID messages of another shape, reasoning is to
 * be turned off where it cannot be. */
MUST_CHECK int chat_encode(const struct chat *c, const struct chat_request *q,
                           struct chat_prompt *out, struct err *e);

#endif

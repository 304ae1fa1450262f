/* ask.h - between a call and a provider: what all dialects do alike with a request under way.
 *
 * A dialect reads the body, fills a gate_request and calls ask_start with functions that turn
 * events into its own bytes. From there this module
 * - answers with an error's own status and body, while nothing was sent,
 * - begins the stream with the first thing that there is to say, or after ASK_PATIENCE_S
 * seconds of waiting, and sends a sign of life after each of these,
 * - tells the provider when the client is gone, or slow; a reader that takes nothing for
 *   ASK_STALL_S seconds is cut off,
 * - sees that each stream ends as its protocol says, also when the provider fails in the
 * middle,
 * - counts and times everything for metrics and the log.
 *
 * Threads  ask_start: any; the functions: the provider's thread, or the timer's, never two at
 *          once for one request
 * Uses     base/, gate/provider.h, serve/
 */
#ifndef HEARTH_SERVE_ASK_H
#define HEARTH_SERVE_ASK_H

#include "gate/provider.h"
#include "serve/call.h"
#include "serve/field.h"
#include "serve/route.h"
#include "serve/serve.h"

enum { ASK_PATIENCE_S = 10, ASK_STALL_S = 60 };

struct ask_ops {
    const char *stream_type; /* "text/event-stream" */
    /* Appends to out what the client gets for ev; not called for WARNING and ERROR. In a stream
     * it is sent at once, and the first bytes begin the answer, so that an error before them
     * has its own status. Otherwise the function gathers, and at DONE appends the whole body.
     * Fails: E_NOMEM, or whatever ends the request. */
    int (*event)(void *ctx, const struct gate_event *ev, struct buf *out);
    /* Appends a sign of life to a stream. NULL: there is none in this protocol. */
    int (*ping)(void *ctx, struct buf *out);
    /* Appends the end of a stream that fails in the middle, in the protocol's way. */
    int (*fail)(void *ctx, const struct err *e, const char *param, struct buf *out);
    /* What the answer lacks, once all of it is there: a warning as others, of a stream one for
     * the log. NULL, or NULL returned: nothing. */
    const char *(*lacks)(void *ctx);
    void (*free)(void *ctx);
};

/* Starts q at the provider of its model. The call, q, ctx and the report are taken over,
 * whatever comes. A key without SCOPE_MANAGE unloads nothing, and says nothing of how long
 * models stay. Warnings of the report and those of the provider before the answer begins go
 * into the header "warning" (one each); later ones into the log. status: of an answer without a
 * stream, 200. */
void ask_start(struct serve *s, struct call *c, struct gate_request *q,
               const struct ask_ops *ops, int stream, void *ctx, struct field_report *report);

/* Whether the key of the call may ask for q; what has no effect with it is taken out, and
 * reported. Fails: E_NOT_FOUND, E_INVALID, with *status and *param of the answer. */
MUST_CHECK int ask_key(const struct call *c, struct gate_request *q,
                       struct field_report *report, int *status, const char **param,
                       struct err *e);

/* Answers with an error in the call's dialect: status by its code. */
void ask_error(struct call *c, const struct err *e, const char *param);
void ask_error_status(struct call *c, int status, const struct err *e, const char *param);

/* Answers 200 with a JSON value, which is given away. NULL: an E_NOMEM error. */
void ask_json(struct call *c, int status, json_t *value);

/* Adds the report's warnings as headers to a call that is answered without a request. */
void ask_warn(struct call *c, struct field_report *report);

/* Reads the body as a JSON object: 1, or 0 and the call is answered with an error. The caller
 * owns *out. An empty body is an error. */
int ask_body(struct call *c, json_t **out);

/* Runs the call's route. What its query says that no route knows is warned about, or refused
 * where the client asked for that: as unknown fields are. */
void ask_run(struct serve *s, struct call *c);

/* 1: the client wants unknown fields refused: ?strict=1, or header "x-hearth-strict: 1". */
int ask_strict(const struct call *c);

/* What s->asks is. Fails: E_NOMEM. */
MUST_CHECK int ask_list_new(struct ask_list **out, struct err *e);
void ask_list_free(struct ask_list *l); /* empty; NULL is fine */

/* Goes through the requests under way once a second: patience, signs of life, stalls. Called by
 * the server's timer. */
void ask_tick(struct serve *s);
/* Requests under way; those of the draining server end by themselves, or by ask_cancel_all. */
int ask_count(struct serve *s);
/* Their clients hear E_BUSY, that the server is shutting down; so does who asks from now on. */
void ask_cancel_all(struct serve *s);

#endif

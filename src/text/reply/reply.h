/* reply.h - what a model wrote, taken apart while it comes: reasoning, content, tool calls.
 *
 * Each format of calls is a row of a table (reply_list.c): its markers and how it writes a
 * call. Which row, and which markers of reasoning, is found from the chat template by
 * rendering it with known words (probe.h), or from a table of overrides.
 *
 * Text is passed on as soon as it cannot belong to a marker; half a marker is never shown.
 * Arguments come as JSON text in pieces, whose concatenation is one JSON object, whatever the
 * format writes. How the text is cut into calls of reply_put changes nothing in what the
 * events say together.
 *
 * Threads  a reply belongs to one thread at a time
 * Uses     base/; jansson
 */
#ifndef HEARTH_TEXT_REPLY_REPLY_H
#define HEARTH_TEXT_REPLY_REPLY_H

#include "base/buf.h"
#include "base/err.h"
#include "text/gram/gram.h"

#include <jansson.h>

enum reply_kind {
    REPLY_REASONING,  /* text */
    REPLY_CONTENT,    /* text */
    REPLY_CALL,       /* a call begins: name, and id when the format carries one */
    REPLY_ARGUMENTS,  /* text: more of the arguments' JSON */
    REPLY_CALL_END,   /* the arguments are complete; an id when the format has it behind them */
    REPLY_CALL_BROKEN /* it was no call after all: its number is free again, and its text
                       * follows, as content (within reasoning: as reasoning) */
};

struct reply_event {
    int kind;        /* enum reply_kind */
    int call;        /* number of the call, from 0; not of text */
    struct str text; /* borrowed, for the time of the call */
    struct str name, id;
};

/* Returns 0, or a negative code that ends the parse and is handed on. */
typedef int reply_sink(void *ctx, const struct reply_event *ev);

/* One way of writing calls; reply_priv.h has the inside. */
struct reply_format;

const struct reply_format *reply_find(struct str name); /* NULL: no such format */
const char *reply_name(int i);                          /* of the i-th; NULL past the end */

#define REPLY_MARK_MAX 96 /* bytes of a marker with its NUL */

/* How a model marks what it writes. */
struct reply_style {
    const struct reply_format *format; /* NULL: no calls */
    char think_open[REPLY_MARK_MAX];   /* "<think>"; empty: it does not reason */
    char think_close[REPLY_MARK_MAX];
};

struct reply;

/* tools: an array of declarations as OpenAI has them, or NULL; borrowed. A call is a call only
 * if its name is one of theirs. open: the prompt ended inside reasoning.
 * Fails: E_NOMEM; E_INVALID tools of another shape. */
MUST_CHECK int reply_new(struct reply **out, const struct reply_style *style,
                         const json_t *tools, int open, reply_sink *sink, void *ctx,
                         struct err *e);
void reply_free(struct reply *r); /* NULL is fine */

/* Before the first byte: the text is written under a grammar that begins behind the reasoning
 * (guide.h), so within reasoning no call begins. whole: content is held to a form, so that what
 * looks like a marker in it (in a string of JSON) is part of it. */
void reply_guided(struct reply *r, int whole);

/* n bytes more, control tokens as their text. Fails: as the sink; E_NOMEM; E_TOO_LONG. */
MUST_CHECK int reply_put(struct reply *r, const char *p, size_t n, struct err *e);

/* The text ends; cut: because of a limit, so that an open call may be incomplete (its
 * arguments then are what came, not JSON, and no REPLY_CALL_END follows), and half a marker is
 * dropped. What was held back and is no marker is passed on. */
MUST_CHECK int reply_end(struct reply *r, int cut, struct err *e);

/* 1: the text of a control token is, or is part of, or has in it, something by which this style
 * marks what it writes. Others say nothing to a reader. */
int reply_uses(const struct reply_style *style, struct str token);

int reply_calls(const struct reply *r);        /* calls so far */
int reply_in_reasoning(const struct reply *r); /* 1: between the markers of reasoning */

/* -- writing calls under a grammar ----------------------------------------------------- */

enum reply_choice { REPLY_AUTO, REPLY_REQUIRED, REPLY_NONE };

struct reply_tools {
    const json_t *tools;
    int choice;       /* enum reply_choice */
    const char *only; /* with REPLY_REQUIRED: the one tool's name, or NULL */
    int parallel;     /* more than one call may come */
};

/* Adds to g the grammar of what may follow the reasoning: calls whose arguments are valid
 * under their tool's schema; with REPLY_AUTO any text besides, which turns into a call only at
 * the format's marker. Fails: E_UNSUPPORTED the format cannot be held to it; as schema_add,
 * the tool's name in front. */
MUST_CHECK int reply_grammar(struct gram *g, const struct reply_style *style,
                             const struct reply_tools *t, gram_ref *out, struct err *e);

/* Content under a grammar, with what the format puts around it (a channel's heading) and the
 * blanks that models write behind reasoning. What goes wrong sticks to g. */
gram_ref reply_content(struct gram *g, const struct reply_style *style, gram_ref content);

#endif

/* run_print.h - an answer of `hearth run` on its way to people or to a file, wherever it was
 * computed.
 *
 * Threads  one
 */
#ifndef HEARTH_CMD_RUN_PRINT_H
#define HEARTH_CMD_RUN_PRINT_H

#include "cmd/run.h"

struct guide;
struct reply;

struct answer {
    struct run *r;
    struct buf clean;   /* on a terminal: one piece made safe */
    struct buf content; /* all of it, as the conversation keeps it */
    struct buf reasoning;
    struct buf written;   /* --special in a conversation: all, with control tokens */
    struct buf arguments; /* of the call that comes */
    json_t *call;         /* the one that comes; NULL: none */
    json_t *calls;
    struct buf calls_text; /* the same, with numbers as they were written */
    json_t *ids;
    struct reply *reply; /* NULL: text is completed */
    struct guide *guide; /* NULL: any text */
    int silent;          /* --special: what came was shown already, as it was written */
    int in_reasoning;    /* its heading was shown, and not its end */
    char last;           /* the last byte that was written */
    int rc;              /* what went wrong in a callback */
    struct err *e;
};

MUST_CHECK int run_print_start(struct answer *a, struct run *r, struct err *e);
void run_print_done(struct answer *a);

/* Bytes as they are. A reader that is gone is no failure: r->reader_gone. Returns 0 or an
 * errno; what went wrong is in a->rc. */
int run_print_bytes(struct answer *a, const char *p, size_t n);
/* Text, made safe on a terminal; nothing with --json. Returns a->rc. */
int run_print_text(struct answer *a, struct str text);
int run_print_line(struct answer *a); /* begins a new line, unless one begins here */
/* More of the reasoning, of the answer; kept, too. Return a->rc. */
int run_print_reasoning(struct answer *a, struct str text);
int run_print_content(struct answer *a, struct str text);
void run_print_leave(struct answer *a); /* ends the reasoning, if it was shown */
/* Sets a->rc to E_NOMEM, which it returns. */
int run_print_no_room(struct answer *a);

void run_print_stats(const struct run *r, const struct hearth_stats *st);
/* The whole answer as one object. Returns a->rc. */
int run_print_json(struct answer *a, const struct hearth_stats *st, int loaded_only);

#endif

/* run_via.h - the inside of `hearth run` through a server: the connection and its requests.
 *
 * Threads  one; a signal handler may cancel
 */
#ifndef HEARTH_CMD_RUN_VIA_H
#define HEARTH_CMD_RUN_VIA_H

#include "cmd/run.h"
#include "net/client.h"

struct run_via {
    struct client *client;
    struct buf url;
    int chat;        /* the model has a chat template */
    int num_predict; /* its own; 0: none */
    struct buf text; /* so far, where there is none */
};

/* The field of an option. */
#define RUN_VIA_AT(row, type, opt) (*(type *)(void *)((char *)(uintptr_t)(opt) + (row)->at))

/* Sends body, which is taken over (NULL: no memory, or no UTF-8); what comes with status 200
 * goes to sink, or to a. Fails: as client_ask; as the server says. */
MUST_CHECK int run_via_post(struct run_via *v, const char *path, json_t *body,
                            client_sink *sink, void *ctx, struct client_answer *a,
                            struct err *e);
/* "error" of the answer o; NULL: none. Borrowed from it. */
const char *run_via_error(const json_t *o);

#endif

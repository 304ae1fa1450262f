/* openai_store.h - what /v1/responses keeps between requests: answers, what was asked, and the
 * conversation that both make, in one SQLite file.
 *
 * A response knows the one before it; a conversation is the chain of their messages, so nothing
 * is stored twice. Reading a chain renews all of it: what is gone on with does not expire link
 * by link. Each belongs to a tenant, and is not there for any other.
 *
 * Putting only queues, as those who answer must not wait for a disk; a thread of the store
 * writes. Every other call first waits until what was put before is written.
 *
 * Threads  any
 * Uses     base/, sys/; jansson, sqlite3
 */
#ifndef HEARTH_SERVE_API_OPENAI_STORE_H
#define HEARTH_SERVE_API_OPENAI_STORE_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

struct responses; /* in struct serve */

/* path NULL: hearth/responses.db below $XDG_STATE_HOME; "": nothing is kept, and *out is NULL.
 * ttl_s: how long after its last use; 0: for ever. most: bytes that are kept, journal aside:
 * what was not used for longest goes first, and never what came last; 0: any number. The file
 * is its owner's alone. Fails: E_IO; E_FORMAT it is no such database, or damaged; E_UNSUPPORTED
 * it is from a newer version; E_NOMEM. */
MUST_CHECK int openai_store_open(struct responses **out, const char *path, int64_t ttl_s,
                                 int64_t most, struct err *e);
void openai_store_close(struct responses *r); /* writes what is queued; NULL is fine */

/* Texts are JSON. */
struct openai_kept {
    const char *id;
    const char *previous; /* NULL: it begins a conversation */
    uint64_t tenant;
    int64_t created; /* seconds since 1970 */
    const json_t *response, *input, *messages;
};

/* All is copied. Fails: E_NOMEM; E_BUSY too much waits to be written. Later failures are
 * logged: the answer was given. */
MUST_CHECK int openai_store_put(struct responses *r, const struct openai_kept *k);

enum openai_kept_part { OPENAI_KEPT_RESPONSE, OPENAI_KEPT_INPUT };

/* *out: a new reference. Fails: E_NOT_FOUND; E_IO; E_NOMEM. */
MUST_CHECK int openai_store_get(struct responses *r, struct str id, uint64_t tenant, int part,
                                json_t **out, struct err *e);
/* Messages of the whole conversation up to and with id, oldest first. Fails: as above, also
 * when a link in the middle is gone; E_TOO_LONG. */
MUST_CHECK int openai_store_talk(struct responses *r, struct str id, uint64_t tenant,
                                 json_t **out, struct err *e);
MUST_CHECK int openai_store_delete(struct responses *r, struct str id, uint64_t tenant,
                                   struct err *e);

#endif

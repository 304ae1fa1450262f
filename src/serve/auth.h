/* auth.h - who may ask for what: API keys, with names, scopes, models and limits.
 *
 * Keys are lines of a file that only its owner can read: a name, the SHA-256 of the key with a
 * salt, scopes, models, requests a minute. `hearth key add NAME` makes one and prints it once.
 *
 * A key comes as "Authorization: Bearer KEY", "x-api-key: KEY" or "api-key: KEY"; never in the
 * URL. Comparing takes the same time whatever is wrong.
 *
 * Threads  any
 * Uses     base/, serve/config.h
 */
#ifndef HEARTH_SERVE_AUTH_H
#define HEARTH_SERVE_AUTH_H

#include "base/buf.h"
#include "base/err.h"

#include <stdint.h>

struct auth;

struct auth_key {
    const char *name;
    uint64_t id;        /* a number for it, the tenant of its requests */
    int scopes;         /* of enum route_scope */
    const char **model; /* that it may use; none: all. "qwen*" by its beginning */
    int n_model;
    int per_minute; /* requests; 0: any number */
    int priority;   /* of its requests */
};

/* path NULL: no keys are asked for. Fails: E_NOT_FOUND; E_INVALID the line and what is wrong,
 * or others can read the file; E_NOMEM. */
MUST_CHECK int auth_new(struct auth **out, const char *path, struct err *e);
void auth_free(struct auth *a);
int auth_any(const struct auth *a); /* 1: keys are asked for */

/* Reads the file again; after a failure all is as it was. */
MUST_CHECK int auth_reload(struct auth *a, const char *path, struct err *e);

enum auth_answer {
    AUTH_OK,
    AUTH_WHO,   /* 401: no key, or a wrong one */
    AUTH_SCOPE, /* 403: not with this key */
    AUTH_SLOW   /* 429: too many requests; *retry_s says when */
};

/* token: the key as it came, n 0: none. scope: enum route_scope. *who stays valid until
 * auth_free. */
int auth_check(struct auth *a, struct str token, int scope, const struct auth_key **who,
               int *retry_s);
int auth_model(const struct auth_key *who, struct str model); /* 1: may use it; NULL who: yes */

/* Makes a key, adds its line to the file (made with mode 0600), and appends the key itself to
 * out. Fails: E_INVALID the name is taken or is none; E_IO; E_NOMEM. */
MUST_CHECK int auth_add(const char *path, const struct auth_key *k, struct buf *out,
                        struct err *e);
MUST_CHECK int auth_remove(const char *path, const char *name, struct err *e);
void auth_each(struct auth *a, void (*visit)(void *ctx, const struct auth_key *k), void *ctx);

#endif

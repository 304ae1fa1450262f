/* auth_priv.h - keys as they are stored: what auth.c and auth_file.c share.
 *
 * A line of the file, words with a space between them:
 *
 *     NAME SALT:HASH SCOPES [models=M,M...] [per_minute=N] [priority=N]
 *
 * SALT and HASH in hexadecimal digits; HASH is the SHA-256 of the salt's bytes and the key. The
 * key has 256 random bits, so that a slow hash would protect nothing.
 */
#ifndef HEARTH_SERVE_AUTH_PRIV_H
#define HEARTH_SERVE_AUTH_PRIV_H

#include "base/arena.h"
#include "base/sha256.h"
#include "serve/auth.h"

enum { AUTH_SALT = 16, AUTH_NAME_MAX = 64, AUTH_MODELS_MAX = 64 };

struct auth_stored {
    struct auth_key pub;
    unsigned char salt[AUTH_SALT], hash[SHA256_SIZE];
    double left; /* requests, at left_ns */
    uint64_t left_ns;
};

struct auth_keys {
    struct auth_keys *older;
    struct arena mem;
    struct auth_stored *key;
    int n;
    int asked;                       /* a file was named */
    unsigned char text[SHA256_SIZE]; /* a digest of it */
};

/* path NULL: an empty set. Fails as auth_new. */
MUST_CHECK int auth_file_read(struct auth_keys **out, const char *path, struct err *e);
void auth_keys_free(struct auth_keys *k);
void auth_hash(const unsigned char salt[AUTH_SALT], struct str key,
               unsigned char hash[SHA256_SIZE]);
/* A line of n bytes without its end: 1 a key, 0 a comment or nothing. Fails: E_INVALID. */
MUST_CHECK int auth_line(struct auth_keys *set, struct str line, struct auth_stored *out,
                         struct err *e);

#endif

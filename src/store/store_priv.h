/* store_priv.h - what the files of the store share: manifests, their places, model headers.
 *
 * Uses     store/, fmt/, sys/
 */
#ifndef HEARTH_STORE_STORE_PRIV_H
#define HEARTH_STORE_STORE_PRIV_H

#include "fmt/gguf.h"
#include "store/store.h"

enum { STORE_VERSION = 1, STORE_PATH_MAX = 4096 };

#define STORE_MANIFEST_MAX ((size_t)16 << 20) /* bytes of a manifest */

struct store {
    char *dir;
};

/* -- manifests (store_manifest.c) -------------------------------------------------------- */

void store_model_init(struct store_model *m);
/* A string of the model's memory; p NULL: no memory. */
struct str store_keep(struct store_model *m, struct str s);

/* Reads n bytes into an empty model: all but name and modified_ns. Fails: E_FORMAT what is
 * wrong, `what` in front; E_NOMEM. */
MUST_CHECK int store_manifest_read(struct store_model *m, const char *what, struct str bytes,
                                   struct err *e);
/* Appends the manifest. Fails: E_INVALID a text that is not UTF-8; E_NOMEM. */
MUST_CHECK int store_manifest_write(const struct store_model *m, struct buf *out,
                                    struct err *e);

/* -- places (store_file.c) ---------------------------------------------------------------- */

/* The path of the manifest of n, or of the one that is called so in other letters' case; *n
 * becomes the spelling there. 1: it exists; 0: it does not. Fails: E_TOO_LONG. */
MUST_CHECK int store_place(const struct store *s, struct name *n, char path[STORE_PATH_MAX],
                           struct err *e);

/* Reads a manifest's bytes. Fails: E_NOT_FOUND; E_FORMAT no regular file, too large; E_IO. */
MUST_CHECK int store_file_read(const char *path, struct buf *out, int64_t *modified_ns,
                               struct err *e);

/* Writers hold the lock; a negative error or a descriptor for store_unlock. */
MUST_CHECK int store_lock(const struct store *s, struct err *e);
void store_unlock(int fd);

/* Under the lock: puts bytes whole into a place, makes its folders; removes it, with folders
 * that became empty. Fails: E_IO; E_NOMEM. */
MUST_CHECK int store_file_write(const char *path, struct str bytes, struct err *e);
MUST_CHECK int store_file_remove(const struct store *s, const char *path, struct err *e);

/* -- headers (store_header.c) -------------------------------------------------------------- */

/* Reads from the weights at m->path what a manifest says of them. Fails: as gguf_open, as
 * st_open; E_UNSUPPORTED it is no model that stands alone; E_NOMEM. */
MUST_CHECK int store_header(struct store_model *m, struct err *e);
/* Looks at an adapter, or a model that guesses ahead, and adds its bytes to m->size. */
MUST_CHECK int store_header_adapter(struct store_model *m, const char *path, struct err *e);
MUST_CHECK int store_header_draft(struct store_model *m, const char *path, struct err *e);

#endif

/* store.h - the models of this user: names, and the files where they lie.
 *
 * A model is a small JSON file, its manifest, below DIR/manifests/HOST/SPACE/MODEL/TAG.json. It
 * names files that stay where they are (weights, adapters, a draft model) and holds what is
 * small (template, system text, parameters, licences, messages). Nothing is copied when a model
 * is created from a file. Manifests are written whole beside their place and renamed into it,
 * under a lock, so that a crash leaves the old or the new one.
 *
 * Threads  any; several processes may use one store
 * Uses     base/, fmt/, sys/; jansson
 */
#ifndef HEARTH_STORE_STORE_H
#define HEARTH_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "store/modelfile.h"
#include "store/name.h"

#include <jansson.h>
#include <stdint.h>

struct gguf;
struct store;

/* dir NULL: $HEARTH_MODELS, or hearth/models below $XDG_DATA_HOME. It is made when something is
 * stored. Fails: E_NOT_FOUND no home; E_NOMEM. */
MUST_CHECK int store_open(struct store **out, const char *dir, struct err *e);
void store_close(struct store *s);
const char *store_dir(const struct store *s);

enum store_can {
    STORE_COMPLETION = 1,
    STORE_TOOLS = 2,
    STORE_INSERT = 4,
    STORE_THINKING = 8,
    STORE_EMBEDDING = 16,
    STORE_VISION = 32,
    STORE_RERANK = 64
};

/* A model. Strings are in mem; n 0 or NULL: it has none. */
struct store_model {
    struct arena mem;
    char name[NAME_MAX_TEXT]; /* as shown */
    char digest[65];          /* SHA-256 of the manifest */
    const char *path;         /* weights: a GGUF, a part of a split one, or a folder */
    const char **adapter;
    size_t n_adapter;
    const char *draft; /* path of a model that guesses ahead */
    struct str template, system, renderer, parser, requires;
    struct str *license;
    size_t n_license;
    json_t *params, *messages;
    uint64_t size;       /* bytes of its files */
    int64_t modified_ns; /* of CLOCK_REALTIME */
    /* Read from the weights when it was made. */
    const char *format, *family, *parameter_size,
        *quantization; /* "gguf" or "safetensors"; "llama" "1.1B" "Q4_K_M" */
    uint64_t n_param;
    int n_ctx_train, n_embd;
    int has_template; /* 1: it has a chat template, its own or here */
    int can;          /* of enum store_can; text/ knows better what a template can do */
};

/* The caller calls store_model_done, also after a failure. Fails: E_INVALID the name;
 * E_NOT_FOUND "model 'x' not found"; E_FORMAT the manifest is damaged; E_NOMEM. */
MUST_CHECK int store_find(struct store *s, struct str name, struct store_model *out,
                          struct err *e);
/* A model that is a path, without a name in the store. Fails: as gguf_open. */
MUST_CHECK int store_from_path(struct store_model *out, const char *path, struct err *e);
void store_model_done(struct store_model *m);

/* Visits all, the newest first. *skipped (may be NULL) becomes the number of files that are no
 * manifests, or damaged; *e then says what is wrong with one. visit returns nonzero to stop.
 * Fails: E_IO; E_NOMEM. */
MUST_CHECK int store_each(struct store *s, int (*visit)(void *ctx, const struct store_model *m),
                          void *ctx, int *skipped, struct err *e);

/* Makes or replaces a model from a Modelfile. FROM: a path (absolute, with ~, or relative to
 * dir), or a model's name, whose parts are taken over where the Modelfile says nothing else;
 * parameters are merged, licences added. dir NULL: names only, no paths. Files are opened to
 * see that they are what they should be. say (may be NULL) hears of each step: "reading model",
 * "writing manifest", "success". Fails: E_INVALID, E_NOT_FOUND, E_FORMAT naming what;
 * E_UNSUPPORTED; E_IO. */
MUST_CHECK int store_create(struct store *s, struct str name, const struct modelfile *mf,
                            const char *dir, void (*say)(void *ctx, const char *status),
                            void *ctx, struct err *e);
/* Replaces `to`. Fails: E_INVALID a name; E_NOT_FOUND the source; E_IO. */
MUST_CHECK int store_copy(struct store *s, struct str from, struct str to, struct err *e);
/* Forgets the name; files that others own stay. Fails: E_NOT_FOUND. */
MUST_CHECK int store_remove(struct store *s, struct str name, struct err *e);

/* Names of bits of enum store_can, as APIs have them; NULL past the end. */
const char *store_can_name(int i);
/* The same as a new array of strings; NULL: no memory. */
json_t *store_can_json(int can);
/* What weights can do by themselves, of enum store_can; 0: they are no model that stands alone,
 * or do not say. */
int store_can_of(const struct gguf *g);

/* Appends the Modelfile that makes this model again. Fails: as modelfile_write. */
MUST_CHECK int store_modelfile(const struct store_model *m, struct buf *out);

#endif

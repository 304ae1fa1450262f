/* hf.h - Hugging Face folders: a model in config.json and safetensors, seen as a GGUF.
 *
 * A folder is translated, not loaded by code of its own: keys of config.json and the tokenizer
 * become GGUF keys, names of tensors become GGUF names, and what a converter would do to the
 * numbers is done here. What comes out is a struct gguf like that of a file, so that nothing
 * behind it knows the difference. Bytes that can be used as they are stay in the mapped files;
 * what must be moved or computed is made once, in memory (or, when a file is written, while it
 * is written).
 *
 * Threads  as a struct gguf; a struct hf belongs to one thread
 * Uses     base/, sys/, fmt/, quant/
 * Source   the configuration and weight names of the published models
 */
#ifndef HEARTH_MODEL_HF_HF_H
#define HEARTH_MODEL_HF_HF_H

#include "fmt/gguf.h"

struct hf;

/* Opens a model by the path of its GGUF file or of its folder. with_data 0: only to be looked
 * at; tensors that would have to be made have no data then.
 * Fails: as gguf_open and hf_open. */
MUST_CHECK int hf_open_model(struct gguf **out, const char *path, int with_data, struct err *e);

/* For who waits while a folder's weights are rearranged. */
struct hf_watch {
    /* Called between pieces, done from 0 to 1 of what must be made; nonzero stops. */
    int (*progress)(void *ctx, double done);
    void *ctx;
};

/* As hf_open_model with data; watch (may be NULL) may stop it. Fails: also E_CANCELLED. */
MUST_CHECK int hf_open_watched(struct gguf **out, const char *path,
                               const struct hf_watch *watch, struct err *e);

/* 1 when path is a directory. */
int hf_is_folder(const char *path);

/* Reads a folder; its weights are mapped, none is read.
 * Fails: E_NOT_FOUND no config.json, no weights; E_FORMAT with the file and the key or tensor;
 * E_UNSUPPORTED a model class, a quantisation or a tensor that is not known, and what is known
 * instead; E_IO, E_NOMEM. */
MUST_CHECK int hf_open(struct hf **out, const char *dir, struct err *e);
void hf_free(struct hf *h); /* NULL is fine */

/* What a user should hear of the translation ("vision tower left out: 390 tensors"); NULL past
 * the end. */
const char *hf_note(const struct hf *h, size_t i);

uint64_t hf_file_bytes(const struct hf *h); /* of its weights */

struct hf_write {
    int type;     /* enum quant_type of matrices; -1: as they are in the folder */
    int n_thread; /* 0: what the machine allows */
    /* Called between pieces of work, done from 0 to 1; NULL: nobody. What it returns below 0
     * ends the writing with that error. */
    int (*progress)(void *ctx, double done);
    void *ctx;
};

/* Writes the model as a GGUF file, as gguf_write does: whole or not at all. Norms, biases,
 * routers and the like stay F32; rows that the type's blocks do not fill get the nearest type
 * that they fill, and a note. Fails: as gguf_write; E_INVALID a type that has no writer. */
MUST_CHECK int hf_write(struct hf *h, const char *path, const struct hf_write *o,
                        struct err *e);

/* Names of model classes that are known, "A|B", and what they are in GGUF (arch may be NULL);
 * NULL past the end. */
const char *hf_class_name(size_t i, const char **arch);

#endif

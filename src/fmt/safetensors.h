/* safetensors.h - reads safetensors files, one or the shards of a folder.
 *
 * st_open maps the files and checks every claim of their headers against them before anything
 * uses it: types, shapes, sizes, offsets, overlaps, names that are there twice, and that the
 * index and the shards agree. What it returns can be trusted by the layers above; what a model
 * means by its names is theirs to check.
 *
 * Layout   little endian, C order: the last dimension is contiguous. Data may begin at any
 *          address
 * Threads  an open st may be read by any number of threads
 * Uses     base/, sys/; jansson
 * Source   the safetensors format, as of 0.4
 */
#ifndef HEARTH_FMT_SAFETENSORS_H
#define HEARTH_FMT_SAFETENSORS_H

#include "base/buf.h"
#include "base/err.h"
#include "sys/mmap.h"

#include <stdint.h>

enum st_dtype {
    ST_F64,
    ST_F32,
    ST_F16,
    ST_BF16,
    ST_F8_E4M3, /* no infinity, largest 448 */
    ST_F8_E5M2,
    ST_F8_E8M0, /* a power of two */
    ST_I64,
    ST_I32,
    ST_I16,
    ST_I8,
    ST_U64,
    ST_U32,
    ST_U16,
    ST_U8,
    ST_BOOL,
    ST_DTYPE_N
};

#define ST_DIMS 8

struct st_tensor {
    struct str name; /* borrowed from the st */
    int dtype;       /* enum st_dtype */
    int n_dim;       /* 0: a single number */
    uint64_t shape[ST_DIMS];
    uint64_t n_elem, n_byte;
    const unsigned char *data;
    int file; /* of st_mapping */
};

struct st;

/* Opens the weights in a folder: the shards that model.safetensors.index.json names, else
 * model.safetensors. Fails: E_NOT_FOUND there are none, with what is there instead, or a shard
 * is missing; E_FORMAT with the file and the tensor; E_UNSUPPORTED a type of numbers that is
 * not known; E_IO, E_NOMEM. */
MUST_CHECK int st_open(struct st **out, const char *dir, struct err *e);
/* The same for one file. */
MUST_CHECK int st_open_file(struct st **out, const char *path, struct err *e);
void st_free(struct st *s); /* NULL is fine */

/* Ordered by name, so that the order of files does not matter. */
size_t st_n_tensor(const struct st *s);
const struct st_tensor *st_tensor_at(const struct st *s, size_t i);
const struct st_tensor *st_tensor(const struct st *s, struct str name); /* NULL: absent */

/* All of its files are as they were (mmap_intact). Fails: E_IO. */
MUST_CHECK int st_intact(const struct st *s, struct err *e);

/* The mappings move to the caller (as many as *n), who keeps them as long as the data. */
struct mapping *st_take_mappings(struct st *s, size_t *n);

const char *st_dtype_name(int dtype); /* "BF16" */
uint64_t st_dtype_bytes(int dtype);

#endif

/* gguf.h - reads and writes GGUF model files, versions 2 and 3.
 *
 * gguf_open maps the file and checks every claim of its header against the file before
 * anything uses it: counts, string lengths, duplicate keys, array sizes, dimensions, sizes,
 * offsets and overlaps of tensors. What it returns can be trusted by the layers above; what a
 * model means by its keys is theirs to check. Split files (NAME-00001-of-00003.gguf) open as
 * one from the name of any part.
 *
 * Layout   little endian; tensor data are views into the mapping, at least 32-byte aligned
 *          unless the file asks for less (general.alignment)
 * Threads  an open file may be read by any number of threads
 * Uses     base/, sys/. The sizes of tensor types are a table of gguf_types.c, so that this
 *          room needs no quant/.
 * Source   GGUF specification v3
 */
#ifndef HEARTH_FMT_GGUF_H
#define HEARTH_FMT_GGUF_H

#include "base/buf.h"
#include "base/err.h"
#include "sys/mmap.h"

#include <stdint.h>

enum gguf_type {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STR,
    GGUF_ARR,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPE_N
};

#define GGUF_DIMS 4

struct gguf;

/* One key and its value. Strings and arrays are borrowed from the file. */
struct gguf_kv {
    struct str key;
    int type; /* enum gguf_type */
    union {
        uint64_t u; /* U8 U16 U32 U64 BOOL */
        int64_t i;  /* I8 I16 I32 I64 */
        double f;   /* F32 F64 */
        struct str s;
    } v;
    int elem_type; /* of an array */
    uint64_t n;    /* elements of an array */
    const void
        *elems;      /* raw elements of an array, unaligned; of strings: the first u64 length */
    uint64_t n_byte; /* that an array of strings lies in */
};

struct gguf_tensor {
    struct str name;
    int type; /* GGUF tensor type id, known to gguf_type_size */
    int n_dim;
    uint64_t ne[GGUF_DIMS]; /* ne[0] is contiguous; missing dimensions are 1 */
    uint64_t n_elem, n_byte;
    const unsigned char *data;
    int part;        /* which file of a split model */
    uint64_t offset; /* of data in that file */
};

/* Fails: E_NOT_FOUND the file, or a part of a split one; E_INVALID not a regular file; E_IO;
 * E_FORMAT with the key or tensor and the byte where it goes wrong; E_UNSUPPORTED a version,
 * byte order or tensor type that is not read; E_NOMEM. */
MUST_CHECK int gguf_open(struct gguf **out, const char *path, struct err *e);
void gguf_free(struct gguf *g); /* NULL is fine */

const char *gguf_path(const struct gguf *g);
const char *gguf_format(const struct gguf *g); /* "GGUF", or what it was made of */
int gguf_version(const struct gguf *g);
/* Files that it lies in. Those of a model that was made: its keys, then the mappings. */
int gguf_n_part(const struct gguf *g);
const struct mapping *gguf_mapping(const struct gguf *g, int part); /* part < gguf_n_part */
/* All of its files are as they were (mmap_intact). Fails: E_IO. */
MUST_CHECK int gguf_intact(const struct gguf *g, struct err *e);
/* 1: one of them is another one by now (mmap_changed). */
int gguf_changed(const struct gguf *g);
uint64_t gguf_file_bytes(const struct gguf *g);     /* all parts together */
uint64_t gguf_trailing_bytes(const struct gguf *g); /* past the last tensor: worth a warning */

size_t gguf_n_kv(const struct gguf *g);
const struct gguf_kv *gguf_kv_at(const struct gguf *g, size_t i);
const struct gguf_kv *gguf_kv(const struct gguf *g, const char *key); /* NULL: absent */

size_t gguf_n_tensor(const struct gguf *g);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, size_t i);
const struct gguf_tensor *gguf_tensor(const struct gguf *g,
                                      const char *name); /* NULL: absent */

/* Typed getters. Each returns 1 and *out when the key is there, 0 when it is absent (and
 * leaves *out alone), or E_FORMAT when it has another type or does not fit: integers of any
 * width are taken tolerantly, also floats for gguf_f64. */
MUST_CHECK int gguf_u64(const struct gguf *g, const char *key, uint64_t *out, struct err *e);
MUST_CHECK int gguf_i64(const struct gguf *g, const char *key, int64_t *out, struct err *e);
MUST_CHECK int gguf_f64(const struct gguf *g, const char *key, double *out, struct err *e);
MUST_CHECK int gguf_bool(const struct gguf *g, const char *key, int *out, struct err *e);
MUST_CHECK int gguf_str(const struct gguf *g, const char *key, struct str *out, struct err *e);

/* Arrays of numbers: element i as a number, whatever its width. The kv must be an array of
 * numbers and i < kv->n. */
int64_t gguf_arr_int(const struct gguf_kv *kv, uint64_t i);
double gguf_arr_f64(const struct gguf_kv *kv, uint64_t i);

/* Array of strings: all views at once, out has room for kv->n. */
void gguf_arr_strs(const struct gguf_kv *kv, struct str *out);

/* Names: "u32", "Q4_K"; NULL for numbers that mean nothing. */
const char *gguf_type_name(int type);
const char *gguf_tensor_type_name(int type);
/* Numbers and bytes per block of a tensor type; 0 when the id is unknown or was removed. */
int gguf_tensor_type_size(int type, int *block, int *bytes);
/* The name of a value of general.file_type: "Q4_K_M"; NULL for one that means nothing. */
const char *gguf_file_type_name(uint64_t file_type);
/* What users call the file's mix of types: the name of general.file_type, else of the tensor
 * type that most bytes have; NULL when there is no tensor. */
const char *gguf_file_type(const struct gguf *g);

/* -- writing ------------------------------------------------------------------------- */

struct gguf_writer;

/* A file in memory: keys, then tensors, then gguf_write. Keys keep their order.
 * Fails: E_NOMEM. */
MUST_CHECK int gguf_writer_new(struct gguf_writer **out, int version, struct err *e);
void gguf_writer_free(struct gguf_writer *w);

/* Each copies its arguments. Fails: E_INVALID a duplicate or bad key; E_NOMEM. */
MUST_CHECK int gguf_put_u64(struct gguf_writer *w, const char *key, int type, uint64_t v,
                            struct err *e);
MUST_CHECK int gguf_put_i64(struct gguf_writer *w, const char *key, int type, int64_t v,
                            struct err *e);
MUST_CHECK int gguf_put_f64(struct gguf_writer *w, const char *key, int type, double v,
                            struct err *e);
MUST_CHECK int gguf_put_str(struct gguf_writer *w, const char *key, struct str v,
                            struct err *e);
/* n elements of elem_type from raw little-endian memory (not strings). */
MUST_CHECK int gguf_put_arr(struct gguf_writer *w, const char *key, int elem_type,
                            const void *elems, uint64_t n, struct err *e);
MUST_CHECK int gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v,
                             uint64_t n, struct err *e);
MUST_CHECK int gguf_put_kv(struct gguf_writer *w, const struct gguf_kv *kv, struct err *e);
/* data is borrowed until gguf_write returns. */
MUST_CHECK int gguf_put_tensor(struct gguf_writer *w, const char *name, int type, int n_dim,
                               const uint64_t *ne, const void *data, struct err *e);

/* The same for data that are made when they are written: make is called once by each
 * gguf_write and hands over all bytes of the tensor, in order, by gguf_out_put; what it fails
 * with, gguf_write fails with. ctx is borrowed like data. */
struct gguf_out;
typedef int gguf_make(const void *ctx, struct gguf_out *out, struct err *e);
MUST_CHECK int gguf_put_tensor_made(struct gguf_writer *w, const char *name, int type,
                                    int n_dim, const uint64_t *ne, gguf_make *make,
                                    const void *ctx, struct err *e);
MUST_CHECK int gguf_out_put(struct gguf_out *out, const void *p, size_t n, struct err *e);

/* Writes path atomically: to a temporary file beside it, synced, then renamed.
 * Fails: E_IO, E_NOMEM, E_INVALID and nothing is left behind. */
MUST_CHECK int gguf_write(const struct gguf_writer *w, const char *path, struct err *e);

/* A model in memory with what the writer holds, as if it had been written and opened: for
 * files of other formats. path is what messages call it, format what gguf_format says of it.
 * The data of the tensors, which may be NULL in a model that is only looked at, lie in the
 * n_map mappings. These are taken over, also on failure; the writer stays the caller's. Fails:
 * E_NOMEM. */
MUST_CHECK int gguf_of_writer(struct gguf **out, const struct gguf_writer *w, const char *path,
                              const char *format, struct mapping *maps, size_t n_map,
                              struct err *e);

#endif

/* gguf_priv.h - what the files of the GGUF reader and writer share.
 *
 * gguf_read.c reads one file (a part), gguf.c joins parts into a model, gguf_get.c gives typed
 * values, gguf_types.c holds the tables and what reading and writing both check, gguf_write.c
 * writes.
 *
 * Uses     base/, sys/
 */
#ifndef HEARTH_FMT_GGUF_PRIV_H
#define HEARTH_FMT_GGUF_PRIV_H

#include "base/map.h"
#include "fmt/gguf.h"
#include "sys/mmap.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "GGUF numbers are copied as they lie: this needs a little-endian machine");

enum {
    GGUF_HEAD = 24, /* magic, version, two counts */
    GGUF_ALIGN = 32,
    GGUF_ALIGN_MIN = 8,
    GGUF_ALIGN_MAX = 1 << 20,
    GGUF_KEY_MAX = 64 * 1024,    /* bytes of a key */
    GGUF_NAME_MAX = 255,         /* bytes of a tensor's name that are read */
    GGUF_NAME_WRITE_MAX = 63,    /* and written: what other readers hold */
    GGUF_KV_BYTES_MIN = 13,      /* length, type and a value of one byte */
    GGUF_TENSOR_BYTES_MIN = 24,  /* length, dimensions, type, offset */
    GGUF_COUNT_MAX = 1024 * 1024 /* keys, and tensors, of a model */
};

/* One file, checked. Keys and names are borrowed from the mapping. */
struct gguf_part {
    struct mapping map;
    int version;
    uint64_t align, n_trailing;
    struct gguf_kv *kv;
    size_t n_kv;
    struct map keys; /* to the index in kv */
    struct gguf_tensor *tensors;
    size_t n_tensor;
    struct map names; /* to the index in tensors */
};

/* Fills *p; messages begin with path. On failure *p is empty. Fails: as gguf_open. */
MUST_CHECK int gguf_part_open(struct gguf_part *p, const char *path, struct err *e);
/* The same of bytes that are mapped; takes the mapping over, also on failure. */
MUST_CHECK int gguf_part_read(struct gguf_part *p, struct mapping *map, const char *path,
                              struct err *e);
void gguf_part_close(struct gguf_part *p); /* an empty one is fine */
const struct gguf_kv *gguf_part_kv(const struct gguf_part *p, const char *key);

/* A tensor that is to be written: its bytes are data, or what make makes. */
struct gguf_wtensor {
    struct str name;
    int type, n_dim;
    uint64_t ne[GGUF_DIMS], n_elem, n_byte;
    const void *data;
    gguf_make *make;
    const void *ctx;
};

size_t gguf_writer_tensors(const struct gguf_writer *w, const struct gguf_wtensor **out);
/* The bytes of a file with the writer's keys and no tensor; the caller closes *out.
 * Fails: E_NOMEM. */
MUST_CHECK int gguf_writer_keys(const struct gguf_writer *w, struct mapping *out,
                                struct err *e);

/* Sets kv->v from the raw bytes of a number or bool of type kv->type. */
void gguf_scalar(struct gguf_kv *kv, const unsigned char *p);

/* Where the text of a key begins in the file. */
uint64_t gguf_key_offset(const struct gguf *g, const struct gguf_kv *kv);

/* 1 and *out when the value is an integer that fits, else 0. */
int gguf_kv_u64(const struct gguf_kv *kv, uint64_t *out);

/* Bytes of a value type; 0 for strings, arrays and numbers that are no type. */
uint64_t gguf_type_bytes(uint32_t type);

/* Elements and bytes of a tensor. Fails: E_FORMAT, E_UNSUPPORTED with the reason alone. */
MUST_CHECK int gguf_shape(int type, int n_dim, const uint64_t *ne, uint64_t *n_elem,
                          uint64_t *n_byte, struct err *e);

/* NULL when align is one that we accept, else what is wrong with it. */
const char *gguf_align_fault(uint64_t align);

/* NULL when the key is one that we accept, else what is wrong with it. */
const char *gguf_key_fault(struct str key);

/* The text of s for a message: cut to fit, control and broken bytes as \xNN. Returns out. */
const char *gguf_printable(struct str s, char *out, size_t cap);

/* Tensor type ids are below this. */
enum { GGUF_TENSOR_TYPES = 64 };

#endif

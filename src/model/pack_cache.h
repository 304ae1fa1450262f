/* pack_cache.h - packed weights on disk, so that the next start maps them instead of packing.
 *
 * A directory holds one file for each model and tier: a header, a table of the matrices, and
 * the tiles as they lie in memory. It is a cache: a file that is missing, of another version,
 * cut off, damaged or somebody else's is passed over and replaced, never believed.
 *
 * Which file belongs to a model is told without reading the whole model: by the stamp of each
 * of its files (inode, size, time of the last change of its bytes and of itself) and a digest
 * of all that comes before the tensors and of three samples of each tensor. So a copy of a
 * model packs once more, and what escapes is a change between the samples by a program that
 * also turned back both times, which takes meddling with the clock or the disk. The tiles are
 * covered by a digest of every byte, which is checked before they are used (pack.c): the first
 * token needs all of them, so that reading them costs little more then than later. When it does
 * not fit the model packs, and the file is removed. Digests find accidents; against malice
 * stands that directory and file belong to the user and nobody else may write there.
 *
 * Format   little endian: struct pack_head, a page; n_entry times struct pack_entry; up to a
 *          page's bound; n_data bytes of tiles. Any change of it, or of tile.h, is a new
 *          PACK_CACHE_VERSION.
 * Threads  none here; several processes may read, write and evict at once: files are made
 *          beside their place and renamed into it, and what is mapped outlives its name. A
 *          writer holds a lock (flock) on what it makes; what it leaves when it is killed has
 *          none, and the next start removes it.
 * Uses     base/, sys/, fmt/
 */
#ifndef HEARTH_MODEL_PACK_CACHE_H
#define HEARTH_MODEL_PACK_CACHE_H

#include "base/err.h"
#include "fmt/gguf.h"
#include "sys/mmap.h"

#include <stdint.h>

enum { PACK_CACHE_VERSION = 1, PACK_CACHE_PAGE = 4096 };

/* Bytes that the files take together by default. */
#define PACK_CACHE_MAX ((uint64_t)16 << 30)

struct pack_head {
    char magic[8]; /* "HRTHTILE" */
    uint32_t version, n_group;
    char tier[16];           /* NUL-padded */
    uint64_t stamp, content; /* of the model's files */
    uint64_t n_file, at_data, n_data, n_entry;
    uint64_t digest; /* of the header up to here and of the table */
};

/* A matrix. */
struct pack_entry {
    uint64_t name; /* digest_bytes of the tensor's name */
    uint64_t type, n_row, n_col;
    uint64_t at, n_byte; /* of its tiles, from the first tile's byte */
    uint64_t digest;     /* digest_bytes of them */
    uint64_t zero;
};

/* What is looked for, or is to be written. */
struct pack_want {
    const char *tier;
    uint32_t n_group;
    uint64_t n_data;
    struct pack_entry *entry; /* digests are filled in by pack_cache_write */
    size_t n_entry;
};

struct pack_cache {
    char *dir, *path; /* of the model's file; NULL: no cache */
    uint64_t stamp, content, max;
};

/* A file that was found good. */
struct pack_view {
    const struct pack_head *head;
    const struct pack_entry *entry;
    const unsigned char *data;
};

/* Where the packed weights of a model belong. Makes the directory (0700), and removes what
 * killed writers have left. max: bytes that all files there may take; 0: PACK_CACHE_MAX.
 * Fails: E_IO the directory cannot be made, or others may write to it; E_NOMEM. */
MUST_CHECK int pack_cache_open(struct pack_cache *c, const char *dir, uint64_t max,
                               const struct gguf *g, const char *tier, struct err *e);
void pack_cache_close(struct pack_cache *c);

/* Maps the file when it is what is wanted. Returns 1, 0 when there is none.
 * Fails: E_FORMAT, E_IO, E_NOMEM, with the reason why it is not used. */
MUST_CHECK int pack_cache_map(const struct pack_cache *c, const struct pack_want *want,
                              struct mapping *map, struct pack_view *out, struct err *e);

/* Writes the file, after removing the least recently used ones that are too much; only files
 * that begin as ours do count, and go. progress is
 * called now and then; nonzero stops. Nothing is left behind after a failure.
 * Fails: E_TOO_LONG larger than the cache may be; E_IO, also when the disk would be full;
 * E_NOMEM; E_CANCELLED. */
MUST_CHECK int pack_cache_write(const struct pack_cache *c, const struct pack_want *want,
                                const unsigned char *data,
                                int (*progress)(void *ctx, double done), void *ctx,
                                struct err *e);

/* Removes the model's file: it was found damaged. */
void pack_cache_remove(const struct pack_cache *c);

/* Checks the bytes of a file, all but the tiles. Fails: E_FORMAT. */
MUST_CHECK int pack_cache_check(const void *p, size_t n, struct pack_view *out, struct err *e);

#endif

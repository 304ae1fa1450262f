/* kv_disk.h - pages of the key/value cache and copies of state on disk, found by their content.
 *
 * A directory holds a file for each page and each state. Its name is a key: a digest of all
 * that its numbers depend on (kv_tier.h). It is a cache: a file that is missing, cut off,
 * damaged, somebody else's or not what its name says is removed and never believed: tokens are
 * compared, and a digest covers every byte.
 *
 * What is put is copied and written later by a thread of its own; when that is behind, it is
 * left out. Files that were used longest ago go when all together take more than the budget;
 * of one text the beginning stays longest. Nothing is synced: what a crash of the machine cuts
 * off is found out when it is read.
 *
 * A file has the tokens of its page in it, as they are: who may read the directory may read
 * what was written. It is the user's own (0700, files 0600).
 *
 * Format   little endian: struct kv_disk_head; n_id token ids; n_data bytes. Any change is a
 * new KV_DISK_VERSION Threads  one thread calls; several processes may share a directory
 * (cache_dir.h) Uses     base/, sys/
 */
#ifndef HEARTH_INFER_KV_DISK_H
#define HEARTH_INFER_KV_DISK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { KV_DISK_VERSION = 1, KV_DISK_KEY = 32 };

/* Bytes that the files take together by default. */
#define KV_DISK_MAX ((uint64_t)8 << 30)

enum kv_disk_kind { KV_DISK_PAGE, KV_DISK_STATE };

struct kv_disk_head {
    char magic[8]; /* "HRTHKEPT" */
    uint32_t version, kind;
    uint64_t n_id, n_data;
    unsigned char key[KV_DISK_KEY];
    uint64_t data;   /* digest_bytes of the data */
    uint64_t digest; /* of the header up to here, and of the ids */
};

/* What a file is of. */
struct kv_disk_item {
    int kind; /* enum kv_disk_kind */
    unsigned char key[KV_DISK_KEY];
    const int32_t *ids; /* [n_id] */
    size_t n_data;
};

struct kv_disk;

/* max: bytes that all files in dir may take; 0: KV_DISK_MAX. n_id: tokens of a page; n_data:
 * the most bytes of an item. Fails: E_IO the directory cannot be made, or others may write to
 * it; E_NOMEM. */
MUST_CHECK int kv_disk_open(struct kv_disk **out, const char *dir, uint64_t max, size_t n_id,
                            size_t n_data, struct err *e);
/* Writes what was put. NULL is fine. */
void kv_disk_close(struct kv_disk *d);

/* 1 when there is a file of this name; it may still turn out bad. */
int kv_disk_has(const struct kv_disk *d, int kind, const unsigned char *key);

/* It will soon be read. */
void kv_disk_ahead(const struct kv_disk *d, int kind, const unsigned char *key);

/* Reads into data[n_data]. Returns 1; 0: there is none that is good, and data holds anything.
 */
int kv_disk_get(struct kv_disk *d, const struct kv_disk_item *it, void *data);

/* Keeps a copy; a file that is there stays. older: of things that are used at the same time,
 * what is older by so many microseconds goes first. wait: 1: until there is room among what is
 * to be written, else it is left out then. Allocates nothing. */
void kv_disk_put(struct kv_disk *d, const struct kv_disk_item *it, const void *data,
                 uint64_t older, int wait);

/* It is of use: counts as used now (and older), if it is there. */
void kv_disk_used(const struct kv_disk *d, int kind, const unsigned char *key, uint64_t older);

void kv_disk_remove(const struct kv_disk *d, int kind, const unsigned char *key);

/* Until all that was put is written. */
void kv_disk_flush(struct kv_disk *d);

struct kv_disk_stats {
    uint64_t bytes; /* of all files, when it was counted last, and of those written since */
    uint64_t read, written, left_out, bad, evicted; /* files since the start */
};

void kv_disk_stats(struct kv_disk *d, struct kv_disk_stats *out);

/* Checks the bytes of a whole file. Fails: E_FORMAT. *head, *ids and *data point into p, which
 * is aligned to 8. */
struct kv_disk_view {
    const struct kv_disk_head *head;
    const int32_t *ids;
    const unsigned char *data;
};
MUST_CHECK int kv_disk_check(const void *p, size_t n, struct kv_disk_view *out, struct err *e);

#endif

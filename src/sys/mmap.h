/* mmap.h - read-only views of files, and large zeroed memory.
 *
 * Threads  a mapping may be read by any thread; mapping and unmapping belong to its owner.
 */
#ifndef HEARTH_SYS_MMAP_H
#define HEARTH_SYS_MMAP_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct mapping {
    const unsigned char *p; /* NULL for an empty file */
    size_t n;               /* bytes */
    uint64_t stamp[3];      /* inode, last change of the bytes, of the file: what stays the
                               same while the file does */
    int row;                /* of lost.h's table; 0: none */
};

/* Maps a whole regular file. The file may be unlinked afterwards; when it is truncated while
 * mapped, or its disk fails, reading raises SIGBUS, for whose handler there is lost.h. An empty
 * file gives p = NULL, n = 0.
 * Fails: E_NOT_FOUND no such file; E_INVALID not a regular file; E_IO; E_NOMEM. */
MUST_CHECK int mmap_open(struct mapping *m, const char *path, struct err *e);
void mmap_close(struct mapping *m); /* m becomes empty; an empty one is fine */

/* What was read from it is what was in the file. To be asked after reading, before what was
 * made of it is shown or kept; any thread, at the cost of reading a number. Fails: E_IO some of
 * it was cut off, or could not be read, and zeros were read instead. */
MUST_CHECK int mmap_intact(const struct mapping *m, struct err *e);

/* 1: at its path lies another file now, or this one was changed after it was mapped. A path
 * where nothing lies, or that is too long, is none that changed. Asks the system: not for each
 * step. */
int mmap_changed(const struct mapping *m);

/* n zeroed bytes of our own, n > 0, as a mapping: for what is made of files. Whoever fills them
 * casts; vm_drop() leaves them as they are. Fails: E_NOMEM. */
MUST_CHECK int mmap_memory(struct mapping *m, size_t n, struct err *e);

/* Tells the system that n bytes at p, inside of some mapping of a file, are not needed now:
 * their pages leave the resident set and come back from the file when touched. Best effort,
 * whole pages inside. */
void vm_drop(const void *p, size_t n);

/* Bytes that this machine could give us now without putting anything aside but pages of files,
 * within the limit of our control group; UINT64_MAX when neither is known. */
uint64_t vm_available(void);

/* n zeroed bytes, aligned to 2 MiB, from huge pages where the system has them. NULL: no
 * memory, or a test asked for that (mem_should_fail). */
void *vm_alloc(size_t n);
void vm_free(void *p, size_t n); /* NULL is fine */

#endif

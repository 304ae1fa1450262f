/* cache_dir.h - a directory of files that can be made again, which several processes share.
 *
 * Files are made beside their place and renamed into it, so that nobody sees half of one; what
 * is open or mapped outlives its name. A writer holds a lock (flock) on what it makes; what it
 * leaves when it is killed has none, and the next cache_dir_open removes it. The directory and
 * its files belong to the user, and nobody else may write there.
 *
 * Threads  any
 * Uses     base/, sys/path.h
 */
#ifndef HEARTH_SYS_CACHE_DIR_H
#define HEARTH_SYS_CACHE_DIR_H

#include "base/buf.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Makes the directory (0700) if it is not there, and removes what killed writers have left:
 * files of cache_dir_temp with this suffix. Fails: E_IO it cannot be made, or others may write
 * to it; E_NOMEM. */
MUST_CHECK int cache_dir_open(const char *dir, const char *temp_suffix, struct err *e);

/* A new file (0600) with a name of 16 digits and the suffix, which is put into name; locked as
 * long as it is open. Fails: E_IO; E_NOMEM. */
MUST_CHECK int cache_dir_temp(const char *dir, const char *temp_suffix, struct buf *name,
                              int *out, struct err *e);

/* Writes all of n bytes. Returns 0, or -1 and errno. */
int cache_dir_put(int fd, const void *p, size_t n, uint64_t at);

/* Whether the disk has 1 GiB to spare behind n more bytes. Fails: E_IO, with the numbers. */
MUST_CHECK int cache_dir_spare(const char *dir, uint64_t n, struct err *e);

#endif

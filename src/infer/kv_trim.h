/* kv_trim.h - keeps the files of kv_disk.h within their budget.
 *
 * What lies in the directory is counted when it is opened, and again when this process has
 * written a sixteenth of the budget or more than is left of it: others write, too. Then the
 * files that were used longest ago go, to a sixteenth below the budget.
 *
 * Threads  the thread that writes
 * Uses     base/
 */
#ifndef HEARTH_INFER_KV_TRIM_H
#define HEARTH_INFER_KV_TRIM_H

#include "base/buf.h"

#include <stdint.h>

/* 64 digits, one of these, and a NUL. Other files are not looked at. */
#define KV_TRIM_PAGE  ".page"
#define KV_TRIM_STATE ".state"
enum { KV_TRIM_DIGITS = 64, KV_TRIM_NAME = KV_TRIM_DIGITS + sizeof(KV_TRIM_STATE) };

struct kv_trim {
    uint64_t max, total, since; /* bytes: allowed; known of; written since they were counted */
    struct buf found;           /* entries */
};

/* Both return how many files they removed. */
uint64_t kv_trim_start(struct kv_trim *t, int dir, uint64_t max);
uint64_t kv_trim_add(struct kv_trim *t, int dir, uint64_t n); /* a file of n bytes was made */
void kv_trim_done(struct kv_trim *t);

#endif

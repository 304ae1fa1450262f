/* openai_store_clean.h - what goes from the database of /v1/responses: by age, and by size.
 *
 * Size is that of the pages in use: what is deleted leaves pages that are used again, so the
 * file grows no further, but does not shrink.
 *
 * Uses     sqlite3
 */
#ifndef HEARTH_SERVE_API_OPENAI_STORE_CLEAN_H
#define HEARTH_SERVE_API_OPENAI_STORE_CLEAN_H

#include <sqlite3.h>
#include <stdint.h>

/* Forgets what was last used before then, in seconds since 1970. Returns SQLITE_OK, or what
 * went wrong. */
int openai_store_clean_age(sqlite3 *db, int64_t then);

/* Forgets what was not used for longest, until no more than `most` bytes are in use; id, which
 * has just come, stays (NULL: nothing does). Returns SQLITE_OK, or what went wrong. */
int openai_store_clean_size(sqlite3 *db, int64_t most, const char *id);

#endif

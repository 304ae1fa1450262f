#include "serve/api/openai_store_clean.h"

#include <stddef.h>

/* Runs st to its end, and ends it. */
static int finish(sqlite3_stmt *st)
{
    int rc;

    do
        rc = sqlite3_step(st);
    while (rc == SQLITE_ROW);
    (void)sqlite3_finalize(st);
    return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int openai_store_clean_age(sqlite3 *db, int64_t then)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, "DELETE FROM response WHERE used < ?1", -1, &st, NULL);

    if (rc != SQLITE_OK)
        return rc;
    (void)sqlite3_bind_int64(st, 1, then);
    return finish(st);
}

static int bytes_used(sqlite3 *db, int64_t *out)
{
    static const char sql[] =
        "SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count() AS p,"
        " pragma_freelist_count() AS f, pragma_page_size() AS s";
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);

    if (rc != SQLITE_OK)
        return rc;
    if (sqlite3_step(st) == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    return finish(st);
}

/* One row at a time: how many bytes one is nobody knows before it is gone. */
int openai_store_clean_size(sqlite3 *db, int64_t most, const char *id)
{
    static const char sql[] = "DELETE FROM response WHERE rowid = (SELECT rowid FROM response"
                              " WHERE id <> ?1 ORDER BY used, rowid LIMIT 1)";
    sqlite3_stmt *st;
    int64_t used = 0;
    int rc = bytes_used(db, &used);

    while (rc == SQLITE_OK && used > most) {
        rc = sqlite3_prepare_v2(db, sql, -1, &st, NULL);
        if (rc != SQLITE_OK)
            break;
        (void)sqlite3_bind_text(st, 1, id ? id : "", -1, SQLITE_STATIC);
        rc = finish(st);
        if (rc == SQLITE_OK && sqlite3_changes(db) == 0)
            break;
        if (rc == SQLITE_OK)
            rc = bytes_used(db, &used);
    }
    return rc;
}

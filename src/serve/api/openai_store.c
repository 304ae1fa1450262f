/* One table. A row's columns are texts of JSON that are read whole; nobody searches in them.
 *
 * Invariants: rows are written by the store's thread only, in the order of openai_store_put.
 * Who reads waits until what was put before is written (n_put, n_written count rows), then goes
 * before what was put meanwhile (n_reading), or there might be no end of that. */
#include "serve/api/openai_store.h"

#include "base/log.h"
#include "base/mem.h"
#include "fmt/jbig.h"
#include "fmt/jtext.h"
#include "serve/api/openai_store_clean.h"
#include "sys/path.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX    ((size_t)64 << 20)  /* bytes of one column, and of a conversation */
#define PENDING_MAX ((size_t)256 << 20) /* bytes that wait to be written */

enum { VERSION = 1, LINKS_MAX = 10000, CLEAN_EVERY_S = 600, BUSY_MS = 5000 };

enum column { RESPONSE, INPUT, MESSAGES, N_COLUMN };

struct row {
    struct row *next;
    char *id, *previous;
    uint64_t tenant;
    int64_t created;
    struct buf text[N_COLUMN];
    size_t bytes; /* of all */
};

struct responses {
    sqlite3 *db;
    pthread_mutex_t db_lock; /* what is done with db, start to end */
    int64_t ttl_s, most, cleaned;
    char *path;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct row *first, **last;
    uint64_t n_put, n_written;
    int n_reading, closing;
    size_t pending_bytes;
    pthread_t thread;
    int has_thread;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = NORMAL;"
    "CREATE TABLE IF NOT EXISTS response ("
    " id TEXT PRIMARY KEY, tenant INTEGER NOT NULL, previous TEXT, created INTEGER NOT NULL,"
    " used INTEGER NOT NULL, response TEXT NOT NULL, input TEXT NOT NULL,"
    " messages TEXT NOT NULL);"
    "CREATE INDEX IF NOT EXISTS response_used ON response (used);"
    "PRAGMA user_version = 1;";

/* -- SQL ------------------------------------------------------------------------------- */

static int sql_fail(const struct responses *r, struct err *e)
{
    int why = sqlite3_errcode(r->db) & 0xff;

    if (why == SQLITE_CORRUPT || why == SQLITE_NOTADB)
        return err_set(e, E_FORMAT, "%s: %s; move it away to begin anew", r->path,
                       sqlite3_errmsg(r->db));
    return err_set(e, why == SQLITE_NOMEM ? E_NOMEM : E_IO, "%s: %s", r->path,
                   sqlite3_errmsg(r->db));
}

static int sql_prepare(const struct responses *r, const char *sql, sqlite3_stmt **out,
                       struct err *e)
{
    return sqlite3_prepare_v2(r->db, sql, -1, out, NULL) == SQLITE_OK ? 0 : sql_fail(r, e);
}

static void bind_str(sqlite3_stmt *st, int at, struct str s)
{
    (void)sqlite3_bind_text64(st, at, s.p, s.n, SQLITE_STATIC, SQLITE_UTF8);
}

/* SELECT or DELETE of one response of a tenant. */
static int sql_one(const struct responses *r, const char *sql, struct str id, uint64_t tenant,
                   sqlite3_stmt **out, struct err *e)
{
    int rc = sql_prepare(r, sql, out, e);

    if (rc < 0)
        return rc;
    bind_str(*out, 1, id);
    (void)sqlite3_bind_int64(*out, 2, (sqlite3_int64)tenant);
    return 0;
}

static int write_row(const struct responses *r, const struct row *row, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sql_prepare(r,
                         "INSERT OR REPLACE INTO response"
                         " (id, tenant, previous, created, used, response, input, messages)"
                         " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                         &st, e);

    if (rc < 0)
        return rc;
    bind_str(st, 1, str_of(row->id));
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)row->tenant);
    if (row->previous)
        bind_str(st, 3, str_of(row->previous));
    (void)sqlite3_bind_int64(st, 4, row->created);
    (void)sqlite3_bind_int64(st, 5, (sqlite3_int64)time(NULL));
    for (int i = 0; i < N_COLUMN; i++)
        bind_str(st, 6 + i, (struct str){row->text[i].p, row->text[i].n});
    if (sqlite3_step(st) != SQLITE_DONE)
        rc = sql_fail(r, e);
    (void)sqlite3_finalize(st);
    return rc;
}

/* Forgets what was not used for so long, now and then, and what there is no room for beside
 * row. */
static int clean(struct responses *r, const struct row *row, struct err *e)
{
    int64_t now = (int64_t)time(NULL);
    int rc = SQLITE_OK;

    if (r->ttl_s > 0 && now - r->cleaned >= CLEAN_EVERY_S) {
        r->cleaned = now;
        rc = openai_store_clean_age(r->db, now - r->ttl_s);
    }
    if (rc == SQLITE_OK && r->most > 0)
        rc = openai_store_clean_size(r->db, r->most, row ? row->id : NULL);
    return rc == SQLITE_OK ? 0 : sql_fail(r, e);
}

/* -- the thread ------------------------------------------------------------------------ */

static void row_free(struct row *row)
{
    for (int i = 0; i < N_COLUMN; i++)
        buf_done(&row->text[i]);
    mem_free(row->id);
    mem_free(row->previous);
    mem_free(row);
}

static struct row *next_row(struct responses *r)
{
    struct row *row;

    (void)pthread_mutex_lock(&r->lock);
    while (r->n_reading || (!r->first && !r->closing))
        (void)pthread_cond_wait(&r->changed, &r->lock);
    row = r->first;
    if (row) {
        r->first = row->next;
        if (!r->first)
            r->last = &r->first;
    }
    (void)pthread_mutex_unlock(&r->lock);
    return row;
}

static void *run(void *ctx)
{
    struct responses *r = ctx;
    struct row *row;
    struct err e = {0};
    size_t n;

    while ((row = next_row(r))) {
        n = row->bytes;
        (void)pthread_mutex_lock(&r->db_lock);
        if (write_row(r, row, &e) < 0 || clean(r, row, &e) < 0)
            log_line(LOG_ERROR, "a response is not kept: %s", e.msg);
        (void)pthread_mutex_unlock(&r->db_lock);
        row_free(row);
        (void)pthread_mutex_lock(&r->lock);
        r->n_written++;
        r->pending_bytes -= n;
        (void)pthread_cond_broadcast(&r->changed);
        (void)pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

/* Waits until all that was put so far is written, and keeps the database for the caller. */
static void enter(struct responses *r)
{
    uint64_t n;

    (void)pthread_mutex_lock(&r->lock);
    n = r->n_put;
    while (r->n_written < n)
        (void)pthread_cond_wait(&r->changed, &r->lock);
    r->n_reading++;
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_mutex_lock(&r->db_lock);
}

static void leave(struct responses *r)
{
    (void)pthread_mutex_unlock(&r->db_lock);
    (void)pthread_mutex_lock(&r->lock);
    r->n_reading--;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
}

/* -- opening --------------------------------------------------------------------------- */

/* The path of the file, whose folder is there when this returns. */
static int place(char **out, const char *path, struct err *e)
{
    struct buf b;
    char *slash;
    int rc = 0;

    buf_init(&b, 4096);
    if (path)
        rc = buf_str(&b, path);
    else
        rc = path_xdg(&b, PATH_STATE, "responses.db", e);
    if (rc == 0) {
        *out = mem_strdup(b.p);
        rc = *out ? 0 : err_set(e, E_NOMEM, "no memory for a path");
    }
    slash = rc == 0 ? strrchr(b.p, '/') : NULL;
    if (slash && slash != b.p) {
        *slash = '\0';
        rc = path_mkdirs(b.p, e);
    }
    buf_done(&b);
    return rc;
}

static int version_ok(struct responses *r, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc = sql_prepare(r, "PRAGMA user_version", &st, e), have = 0;

    if (rc < 0)
        return rc;
    if (sqlite3_step(st) == SQLITE_ROW)
        have = sqlite3_column_int(st, 0);
    else
        rc = sql_fail(r, e);
    (void)sqlite3_finalize(st);
    if (rc == 0 && have > VERSION)
        return err_set(e, E_UNSUPPORTED, "%s: is of version %d, this program knows %d", r->path,
                       have, VERSION);
    return rc;
}

static int open_db(struct responses *r, struct err *e)
{
    /* SQLite makes its other files with the mode of the first. */
    int fd = open(r->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), rc;

    if (fd < 0)
        return err_set(e, E_IO, "%s: cannot be opened for writing", r->path);
    (void)close(fd);
    if (sqlite3_open_v2(r->path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, NULL) !=
        SQLITE_OK)
        return sql_fail(r, e);
    (void)sqlite3_busy_timeout(r->db, BUSY_MS);
    rc = version_ok(r, e);
    if (rc == 0 && sqlite3_exec(r->db, schema, NULL, NULL, NULL) != SQLITE_OK)
        rc = sql_fail(r, e);
    return rc < 0 ? rc : clean(r, NULL, e);
}

int openai_store_open(struct responses **out, const char *path, int64_t ttl_s, int64_t most,
                      struct err *e)
{
    struct responses *r;
    int rc;

    *out = NULL;
    if (path && !*path)
        return 0;
    r = mem_calloc(1, sizeof(*r));
    if (!r)
        return err_set(e, E_NOMEM, "no memory for the responses that are kept");
    r->ttl_s = ttl_s;
    r->most = most;
    r->last = &r->first;
    (void)pthread_mutex_init(&r->lock, NULL);
    (void)pthread_mutex_init(&r->db_lock, NULL);
    (void)pthread_cond_init(&r->changed, NULL);
    rc = place(&r->path, path, e);
    if (rc == 0)
        rc = open_db(r, e);
    if (rc == 0 && pthread_create(&r->thread, NULL, run, r) != 0)
        rc = err_set(e, E_NOMEM, "no thread for the responses that are kept");
    if (rc < 0) {
        openai_store_close(r);
        return rc;
    }
    r->has_thread = 1;
    *out = r;
    return 0;
}

void openai_store_close(struct responses *r)
{
    if (!r)
        return;
    if (r->has_thread) {
        (void)pthread_mutex_lock(&r->lock);
        r->closing = 1;
        (void)pthread_cond_broadcast(&r->changed);
        (void)pthread_mutex_unlock(&r->lock);
        (void)pthread_join(r->thread, NULL);
    }
    (void)sqlite3_close(r->db);
    (void)pthread_mutex_destroy(&r->lock);
    (void)pthread_mutex_destroy(&r->db_lock);
    (void)pthread_cond_destroy(&r->changed);
    mem_free(r->path);
    mem_free(r);
}

/* -- putting --------------------------------------------------------------------------- */

int openai_store_put(struct responses *r, const struct openai_kept *k)
{
    const json_t *v[N_COLUMN] = {k->response, k->input, k->messages};
    struct row *row = mem_calloc(1, sizeof(*row));
    int bad, full;

    if (!row)
        return E_NOMEM;
    row->tenant = k->tenant;
    row->created = k->created;
    row->id = mem_strdup(k->id);
    row->previous = k->previous ? mem_strdup(k->previous) : NULL;
    bad = !row->id || (k->previous && !row->previous);
    for (int i = 0; i < N_COLUMN; i++) {
        buf_init(&row->text[i], TEXT_MAX);
        bad = bad || !v[i] || jtext_put(&row->text[i], v[i], 0) < 0;
        row->bytes += row->text[i].n;
    }
    (void)pthread_mutex_lock(&r->lock);
    full = r->pending_bytes + row->bytes > PENDING_MAX;
    if (!bad && !full) {
        *r->last = row;
        r->last = &row->next;
        r->n_put++;
        r->pending_bytes += row->bytes;
        (void)pthread_cond_broadcast(&r->changed);
    }
    (void)pthread_mutex_unlock(&r->lock);
    if (bad || full)
        row_free(row);
    return bad ? E_NOMEM : full ? E_BUSY : 0;
}

/* -- getting --------------------------------------------------------------------------- */

static int not_found(struct str id, struct err *e)
{
    return err_set(e, E_NOT_FOUND, "response '%.*s' not found", id.n > 80 ? 80 : (int)id.n,
                   id.p);
}

/* Column `at` of the row that st stands on. */
static int column_json(const struct responses *r, sqlite3_stmt *st, int at, json_t **out,
                       struct err *e)
{
    const char *p = (const char *)sqlite3_column_text(st, at);
    size_t n = (size_t)sqlite3_column_bytes(st, at);

    *out = NULL;
    if (p && jbig_load(out, (struct str){p, n}, JSON_ALLOW_NUL, NULL) < 0)
        *out = NULL;
    return *out ? 0 : err_set(e, E_FORMAT, "%s: a response in it is damaged", r->path);
}

int openai_store_get(struct responses *r, struct str id, uint64_t tenant, int part,
                     json_t **out, struct err *e)
{
    static const char *const sql[] = {
        [OPENAI_KEPT_RESPONSE] = "SELECT response FROM response WHERE id = ?1 AND tenant = ?2",
        [OPENAI_KEPT_INPUT] = "SELECT input FROM response WHERE id = ?1 AND tenant = ?2",
    };
    sqlite3_stmt *st = NULL;
    int rc, step;

    enter(r);
    rc = sql_one(r, sql[part], id, tenant, &st, e);
    step = rc == 0 ? sqlite3_step(st) : SQLITE_DONE;
    if (step == SQLITE_ROW)
        rc = column_json(r, st, 0, out, e);
    else if (rc == 0)
        rc = step == SQLITE_DONE ? not_found(id, e) : sql_fail(r, e);
    (void)sqlite3_finalize(st);
    leave(r);
    return rc;
}

/* One link: its messages, and *id becomes the one before it (n 0: none), in `previous`. */
static int read_link(const struct responses *r, sqlite3_stmt *st, struct str *id,
                     uint64_t tenant, json_t **messages, size_t *n, char previous[128],
                     struct err *e)
{
    char before[128];
    const char *text;
    int rc, step;

    (void)sqlite3_reset(st);
    bind_str(st, 1, *id);
    (void)sqlite3_bind_int64(st, 2, (sqlite3_int64)tenant);
    (void)sqlite3_bind_int64(st, 3, (sqlite3_int64)time(NULL));
    step = sqlite3_step(st);
    if (step != SQLITE_ROW)
        return step == SQLITE_DONE ? not_found(*id, e) : sql_fail(r, e);
    *n += (size_t)sqlite3_column_bytes(st, 0);
    if (*n > TEXT_MAX)
        return err_set(e, E_TOO_LONG, "the conversation has more than %zu bytes", TEXT_MAX);
    rc = column_json(r, st, 0, messages, e);
    if (rc < 0)
        return rc;
    text = (const char *)sqlite3_column_text(st, 1);
    (void)snprintf(before, sizeof(before), "%s", text ? text : "");
    if (sqlite3_step(st) != SQLITE_DONE)
        return sql_fail(r, e);
    /* The statement is done with the id that may lie there. */
    memcpy(previous, before, sizeof(before));
    *id = str_of(previous);
    return 0;
}

/* From the last link back to the first: an array of arrays. */
static int read_chain(const struct responses *r, struct str id, uint64_t tenant, json_t *links,
                      struct err *e)
{
    sqlite3_stmt *st = NULL;
    char previous[128];
    size_t n = 0;
    int rc = sql_prepare(r,
                         "UPDATE response SET used = ?3 WHERE id = ?1 AND tenant = ?2"
                         " RETURNING messages, previous",
                         &st, e);

    while (rc == 0 && id.n > 0) {
        json_t *messages = NULL;

        rc = read_link(r, st, &id, tenant, &messages, &n, previous, e);
        if (messages && json_array_append_new(links, messages) != 0 && rc == 0)
            rc = err_set(e, E_NOMEM, "no memory for a conversation");
        if (rc == 0 && json_array_size(links) > LINKS_MAX)
            rc = err_set(e, E_TOO_LONG, "the conversation has more than %d responses",
                         LINKS_MAX);
    }
    (void)sqlite3_finalize(st);
    return rc;
}

int openai_store_talk(struct responses *r, struct str id, uint64_t tenant, json_t **out,
                      struct err *e)
{
    json_t *links = json_array(), *all = json_array();
    int rc = links && all ? 0 : err_set(e, E_NOMEM, "no memory for a conversation");

    enter(r);
    if (rc == 0)
        rc = read_chain(r, id, tenant, links, e);
    leave(r);
    for (size_t i = json_array_size(links); i-- > 0 && rc == 0;) {
        if (json_array_extend(all, json_array_get(links, i)) != 0)
            rc = err_set(e, E_NOMEM, "no memory for a conversation");
    }
    json_decref(links);
    if (rc < 0)
        json_decref(all);
    else
        *out = all;
    return rc;
}

int openai_store_delete(struct responses *r, struct str id, uint64_t tenant, struct err *e)
{
    sqlite3_stmt *st = NULL;
    int rc;

    enter(r);
    rc = sql_one(r, "DELETE FROM response WHERE id = ?1 AND tenant = ?2", id, tenant, &st, e);
    if (rc == 0 && sqlite3_step(st) != SQLITE_DONE)
        rc = sql_fail(r, e);
    if (rc == 0 && sqlite3_changes(r->db) == 0)
        rc = not_found(id, e);
    (void)sqlite3_finalize(st);
    leave(r);
    return rc;
}

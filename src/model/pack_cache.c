#include "model/pack_cache.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/mem.h"
#include "model/ident.h"
#include "sys/cache_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_MAX = 1 << 20, PATH_LIMIT = 4096 };

static const char magic[8] = {'H', 'R', 'T', 'H', 'T', 'I', 'L', 'E'};
static const char suffix[] = ".tiles", temp_suffix[] = ".tiles.tmp";

_Static_assert(sizeof(struct pack_entry) == 64 && sizeof(struct pack_head) == 88,
               "the structs are the format");

/* Bytes that are written before the caller hears of it, and before they must be on the disk:
 * who stops must not wait until all that was written is. */
enum { WRITE_PIECE = 1 << 20, SYNC_PIECE = 64 << 20 };

/* -- digests --------------------------------------------------------------------------- */

static uint64_t head_digest(const struct pack_head *h, const struct pack_entry *entry)
{
    uint64_t d = digest_bytes(0, h, offsetof(struct pack_head, digest));

    return digest_bytes(d, entry, (size_t)h->n_entry * sizeof(*entry));
}

/* -- checking -------------------------------------------------------------------------- */

static int check_entries(const struct pack_head *h, const struct pack_entry *entry,
                         struct err *e)
{
    uint64_t at = 0;

    for (uint64_t i = 0; i < h->n_entry; i++) {
        const struct pack_entry *t = &entry[i];
        uint64_t end;

        if (t->at < at || t->at % 64 || !check_add(t->at, t->n_byte, &end) || end > h->n_data)
            return err_set(e, E_FORMAT, "entry %llu: bytes %llu from %llu of %llu",
                           (unsigned long long)i, (unsigned long long)t->n_byte,
                           (unsigned long long)t->at, (unsigned long long)h->n_data);
        at = end;
    }
    return 0;
}

int pack_cache_check(const void *p, size_t n, struct pack_view *out, struct err *e)
{
    const struct pack_head *h = p;
    const struct pack_entry *entry;
    uint64_t table, at_data, end;
    int rc;

    if (n < PACK_CACHE_PAGE || memcmp(h->magic, magic, sizeof(magic)) != 0)
        return err_set(e, E_FORMAT, "no file of packed weights");
    if (h->version != PACK_CACHE_VERSION)
        return err_set(e, E_FORMAT, "version %u, this is %d", (unsigned)h->version,
                       PACK_CACHE_VERSION);
    if (h->n_file != n)
        return err_set(e, E_FORMAT, "%zu bytes, its header says %llu", n,
                       (unsigned long long)h->n_file);
    if (h->n_entry > ENTRY_MAX || !check_mul(h->n_entry, sizeof(*entry), &table) ||
        !check_add(table, PACK_CACHE_PAGE, &table) ||
        !check_align(table, PACK_CACHE_PAGE, &at_data) || h->at_data != at_data ||
        !check_add(at_data, h->n_data, &end) || end != n)
        return err_set(e, E_FORMAT, "its header's sizes do not fit together");
    entry = (const struct pack_entry *)(const void *)((const char *)p + PACK_CACHE_PAGE);
    if (head_digest(h, entry) != h->digest)
        return err_set(e, E_FORMAT, "its header is damaged");
    rc = check_entries(h, entry, e);
    if (rc < 0)
        return rc;
    *out = (struct pack_view){h, entry, (const unsigned char *)p + at_data};
    return 0;
}

/* All but the digests of tiles. */
static int same_entries(const struct pack_entry *a, const struct pack_entry *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(&a[i], &b[i], offsetof(struct pack_entry, digest)) != 0)
            return 0;
    }
    return 1;
}

static void fill_head(const struct pack_cache *c, const struct pack_want *want,
                      struct pack_head *h)
{
    uint64_t table = PACK_CACHE_PAGE + want->n_entry * sizeof(*want->entry);

    *h = (struct pack_head){.version = PACK_CACHE_VERSION,
                            .n_group = want->n_group,
                            .stamp = c->stamp,
                            .content = c->content,
                            .n_data = want->n_data,
                            .n_entry = want->n_entry};
    memcpy(h->magic, magic, sizeof(magic));
    (void)snprintf(h->tier, sizeof(h->tier), "%s", want->tier);
    h->at_data = (table + PACK_CACHE_PAGE - 1) / PACK_CACHE_PAGE * PACK_CACHE_PAGE;
    h->n_file = h->at_data + h->n_data;
}

int pack_cache_map(const struct pack_cache *c, const struct pack_want *want,
                   struct mapping *map, struct pack_view *out, struct err *e)
{
    struct pack_head h;
    struct stat st;
    int rc;

    if (lstat(c->path, &st) != 0)
        return errno == ENOENT ? 0 : err_sys(e, E_IO, errno, "%s", c->path);
    if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
        return err_set(e, E_FORMAT, "%s: not a file that only its owner, you, may write",
                       c->path);
    rc = mmap_open(map, c->path, e);
    if (rc < 0)
        return rc == E_NOT_FOUND ? 0 : rc;
    rc = pack_cache_check(map->p, map->n, out, e);
    fill_head(c, want, &h);
    if (rc == 0 && (memcmp(out->head, &h, offsetof(struct pack_head, digest)) != 0 ||
                    !same_entries(out->entry, want->entry, want->n_entry)))
        rc = err_set(e, E_FORMAT, "packed from another file, or for another machine");
    if (rc < 0) {
        mmap_close(map);
        return err_wrap(e, rc, "%s", c->path);
    }
    /* Used now: what was not for longest goes first. */
    (void)utimensat(AT_FDCWD, c->path, NULL, 0);
    return 1;
}

/* -- the directory --------------------------------------------------------------------- */

static int ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), k = strlen(end);

    return n > k && strcmp(name + n - k, end) == 0;
}

/* Is this a file of packed weights, by its first bytes? */
static int is_ours(int dir, const char *name)
{
    char head[sizeof(magic)] = {0};
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), ours;

    if (fd < 0)
        return 0;
    ours = pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
           memcmp(head, magic, sizeof(magic)) == 0;
    (void)close(fd);
    return ours;
}

int pack_cache_open(struct pack_cache *c, const char *dir, uint64_t max, const struct gguf *g,
                    const char *tier, struct err *e)
{
    uint64_t name[2] = {ident_stamp(g), ident_sample(g)};
    struct buf path;
    int rc = cache_dir_open(dir, temp_suffix, e);

    if (rc < 0)
        return rc;
    buf_init(&path, PATH_LIMIT);
    if (buf_fmt(&path, "%s/%016llx-%s%s", dir,
                (unsigned long long)digest_bytes(0, name, sizeof(name)), tier, suffix) < 0) {
        buf_done(&path);
        return err_set(e, E_IO, "%s: too long for the name of a directory", dir);
    }
    *c = (struct pack_cache){.dir = mem_strdup(dir),
                             .path = path.p,
                             .stamp = name[0],
                             .content = name[1],
                             .max = max ? max : PACK_CACHE_MAX};
    if (!c->dir) {
        pack_cache_close(c);
        return err_set(e, E_NOMEM, "%s: no memory", dir);
    }
    return 0;
}

void pack_cache_close(struct pack_cache *c)
{
    mem_free(c->dir);
    mem_free(c->path);
    *c = (struct pack_cache){0};
}

void pack_cache_remove(const struct pack_cache *c)
{
    (void)unlink(c->path);
}

struct found {
    uint64_t total;        /* bytes of all files but `own` */
    char oldest[NAME_MAX]; /* "": none */
    struct timespec when;
};

static int older(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Looks at one name of the directory. */
static void look_at(int dir, const char *name, const char *own, struct found *f)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode) ||
        strlen(name) >= sizeof(f->oldest))
        return;
    if (!ends_in(name, suffix) || strcmp(name, own) == 0 || !is_ours(dir, name))
        return;
    f->total += (uint64_t)st.st_size;
    if (!f->oldest[0] || older(&st.st_mtim, &f->when)) {
        (void)snprintf(f->oldest, sizeof(f->oldest), "%s", name);
        f->when = st.st_mtim;
    }
}

/* Removes files, the least recently used first, until n more bytes are allowed. */
static int make_room(const struct pack_cache *c, uint64_t n, struct err *e)
{
    const char *own = strrchr(c->path, '/') + 1;
    struct found f;

    if (n > c->max)
        return err_set(e, E_TOO_LONG, "%llu MiB, the cache may have %llu MiB",
                       (unsigned long long)(n >> 20), (unsigned long long)(c->max >> 20));
    do {
        DIR *d = opendir(c->dir);

        f = (struct found){0};
        if (!d)
            return err_sys(e, E_IO, errno, "%s", c->dir);
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): a stream of our own */
        for (const struct dirent *at = readdir(d); at; at = readdir(d))
            look_at(dirfd(d), at->d_name, own, &f);
        if (f.total > c->max - n && f.oldest[0] && unlinkat(dirfd(d), f.oldest, 0) != 0 &&
            errno != ENOENT) {
            (void)closedir(d);
            return err_sys(e, E_IO, errno, "%s/%s", c->dir, f.oldest);
        }
        (void)closedir(d);
    } while (f.total > c->max - n && f.oldest[0]);
    return 0;
}

/* -- writing --------------------------------------------------------------------------- */

struct writing {
    const struct pack_want *want;
    const unsigned char *data;
    int (*progress)(void *ctx, double done);
    void *ctx;
};

/* Tiles, then the table and the header that make them a file. */
static int write_all(const struct writing *w, int fd, struct pack_head *h, struct err *e)
{
    const struct pack_want *want = w->want;
    char page[PACK_CACHE_PAGE] = {0};

    for (uint64_t i = 0; i < want->n_data; i += WRITE_PIECE) {
        uint64_t left = want->n_data - i, n = left < WRITE_PIECE ? left : WRITE_PIECE;

        if (cache_dir_put(fd, w->data + i, (size_t)n, h->at_data + i) < 0)
            return err_sys(e, E_IO, errno, "write");
        if (i % SYNC_PIECE == SYNC_PIECE - WRITE_PIECE && fdatasync(fd) < 0)
            return err_sys(e, E_IO, errno, "write");
        if (w->progress && w->progress(w->ctx, 1))
            return err_set(e, E_CANCELLED, "stopped");
    }
    for (size_t i = 0; i < want->n_entry; i++) {
        if (w->progress && w->progress(w->ctx, 1))
            return err_set(e, E_CANCELLED, "stopped");
        want->entry[i].digest =
            digest_bytes(0, w->data + want->entry[i].at, (size_t)want->entry[i].n_byte);
    }
    h->digest = head_digest(h, want->entry);
    memcpy(page, h, sizeof(*h));
    if (cache_dir_put(fd, want->entry, want->n_entry * sizeof(*want->entry), PACK_CACHE_PAGE) <
            0 ||
        cache_dir_put(fd, page, sizeof(page), 0) < 0 || ftruncate(fd, (off_t)h->n_file) < 0 ||
        fsync(fd) < 0)
        return err_sys(e, E_IO, errno, "write");
    return 0;
}

int pack_cache_write(const struct pack_cache *c, const struct pack_want *want,
                     const unsigned char *data, int (*progress)(void *ctx, double done),
                     void *ctx, struct err *e)
{
    struct writing w = {want, data, progress, ctx};
    struct pack_head h;
    struct buf temp;
    int fd = -1, rc;

    fill_head(c, want, &h);
    buf_init(&temp, PATH_LIMIT + 64);
    rc = make_room(c, h.n_file, e);
    if (rc == 0)
        rc = cache_dir_spare(c->dir, h.n_file, e);
    if (rc == 0)
        rc = cache_dir_temp(c->dir, temp_suffix, &temp, &fd, e);
    if (rc < 0)
        goto out;
    rc = write_all(&w, fd, &h, e);
    /* While it is open, and so locked: else another would take it for a dead writer's. */
    if (rc == 0 && rename(temp.p, c->path) < 0)
        rc = err_sys(e, E_IO, errno, "%s: rename", temp.p);
    if (rc < 0)
        (void)unlink(temp.p);
    (void)close(fd); /* all of it was synchronised */
out:
    buf_done(&temp);
    return rc;
}

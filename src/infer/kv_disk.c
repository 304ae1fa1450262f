#include "infer/kv_disk.h"

#include "base/check.h"
#include "base/digest.h"
#include "base/mem.h"
#include "infer/kv_trim.h"
#include "sys/cache_dir.h"
#include "sys/mmap.h"
#include "sys/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What waits to be written: so many items, within so many bytes. */
enum { SLOTS_LEAST = 4, SLOTS_MOST = 64, SLOTS_BYTES = 64 << 20 };

enum { ID_MAX = 1 << 16, PATH_LIMIT = 4096 };

static const char magic[8] = {'H', 'R', 'T', 'H', 'K', 'E', 'P', 'T'};
static const char temp_suffix[] = ".kept.tmp";

_Static_assert(sizeof(struct kv_disk_head) == 80, "the struct is the format");

struct slot {
    size_t n; /* bytes of the file */
    struct timespec when;
};

struct kv_disk {
    char *dir;
    int fd; /* of the directory */
    uint64_t max;
    size_t n_id, n_head, n_slot_byte; /* ids; bytes before the data; of a slot */
    unsigned char *head;              /* [n_head] of the caller's thread */

    /* A ring of files to be written: the caller fills at `in`, the writer takes at `out`. */
    struct slot *slot;     /* [n_slot] */
    unsigned char *memory; /* [n_slot][n_slot_byte] */
    int n_slot, in, out;
    struct buf temp; /* the writer's: name of a temporary file */
    struct kv_trim trim;
    pthread_t thread;
    int has_thread;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t filled, emptied;
    int n_full, stop;
    struct kv_disk_stats stats;
};

/* -- a file ---------------------------------------------------------------------------- */

static uint64_t head_digest(const struct kv_disk_head *h, const void *ids)
{
    uint64_t d = digest_bytes(0, h, offsetof(struct kv_disk_head, digest));

    return digest_bytes(d, ids, (size_t)h->n_id * sizeof(int32_t));
}

/* The header and the ids behind it, of a file of n bytes; have: bytes that are there. */
static int check_head(const unsigned char *p, size_t have, uint64_t n, struct err *e)
{
    const struct kv_disk_head *h = (const void *)p;
    uint64_t want;

    if (have < sizeof(*h) || memcmp(h->magic, magic, sizeof(magic)) != 0)
        return err_set(e, E_FORMAT, "no file of a kept page");
    if (h->version != KV_DISK_VERSION)
        return err_set(e, E_FORMAT, "version %u, this is %d", (unsigned)h->version,
                       KV_DISK_VERSION);
    if (h->n_id > ID_MAX || h->kind > KV_DISK_STATE ||
        !check_add(sizeof(*h) + h->n_id * sizeof(int32_t), h->n_data, &want) || want != n ||
        have < sizeof(*h) + h->n_id * sizeof(int32_t))
        return err_set(e, E_FORMAT, "%llu bytes, which is not what its header says",
                       (unsigned long long)n);
    if (head_digest(h, p + sizeof(*h)) != h->digest)
        return err_set(e, E_FORMAT, "its header is damaged");
    return 0;
}

int kv_disk_check(const void *p, size_t n, struct kv_disk_view *out, struct err *e)
{
    const unsigned char *b = p;
    const struct kv_disk_head *h = p;
    const unsigned char *data;
    int rc = check_head(b, n, n, e);

    if (rc < 0)
        return rc;
    data = b + sizeof(*h) + h->n_id * sizeof(int32_t);
    if (digest_bytes(0, data, (size_t)h->n_data) != h->data)
        return err_set(e, E_FORMAT, "its data are damaged");
    *out = (struct kv_disk_view){h, (const int32_t *)(const void *)(b + sizeof(*h)), data};
    return 0;
}

static void name_of(int kind, const unsigned char *key, char out[KV_TRIM_NAME])
{
    for (int i = 0; i < KV_DISK_KEY; i++)
        (void)snprintf(out + 2 * (ptrdiff_t)i, 3, "%02x", key[i]);
    (void)snprintf(out + 2 * (ptrdiff_t)KV_DISK_KEY, KV_TRIM_NAME - 2 * KV_DISK_KEY, "%s",
                   kind == KV_DISK_PAGE ? KV_TRIM_PAGE : KV_TRIM_STATE);
}

static struct timespec before_now(uint64_t older_us)
{
    struct timespec t;
    int64_t us;

    (void)clock_gettime(CLOCK_REALTIME, &t);
    us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000 - (int64_t)older_us;
    return (struct timespec){us / 1000000, us % 1000000 * 1000};
}

static void set_time(int dir, const char *name, struct timespec when)
{
    const struct timespec both[2] = {when, when};

    (void)utimensat(dir, name, both, AT_SYMLINK_NOFOLLOW);
}

int kv_disk_has(const struct kv_disk *d, int kind, const unsigned char *key)
{
    char name[KV_TRIM_NAME];

    name_of(kind, key, name);
    return faccessat(d->fd, name, R_OK, 0) == 0;
}

void kv_disk_ahead(const struct kv_disk *d, int kind, const unsigned char *key)
{
    char name[KV_TRIM_NAME];
    int fd;

    name_of(kind, key, name);
    fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
    (void)close(fd);
}

void kv_disk_used(const struct kv_disk *d, int kind, const unsigned char *key, uint64_t older)
{
    char name[KV_TRIM_NAME];

    name_of(kind, key, name);
    set_time(d->fd, name, before_now(older));
}

void kv_disk_remove(const struct kv_disk *d, int kind, const unsigned char *key)
{
    char name[KV_TRIM_NAME];

    name_of(kind, key, name);
    (void)unlinkat(d->fd, name, 0);
}

/* -- reading --------------------------------------------------------------------------- */

static int read_all(int fd, void *to, size_t n, size_t at)
{
    unsigned char *p = to;

    while (n > 0) {
        ssize_t k = pread(fd, p, n, (off_t)at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return -1;
        p += k;
        n -= (size_t)k;
        at += (size_t)k;
    }
    return 0;
}

/* A regular file that nobody else may write, of this size. */
static int is_fit(int fd, size_t n)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
           !(st.st_mode & 022) && st.st_size == (off_t)n;
}

static int read_item(struct kv_disk *d, int fd, const struct kv_disk_item *it, void *data)
{
    const struct kv_disk_head *h = (const void *)d->head;
    size_t n = d->n_head + it->n_data;

    return is_fit(fd, n) && read_all(fd, d->head, d->n_head, 0) == 0 &&
           check_head(d->head, d->n_head, n, NULL) == 0 && h->n_data == it->n_data &&
           h->kind == (uint32_t)it->kind && memcmp(h->key, it->key, KV_DISK_KEY) == 0 &&
           memcmp(d->head + sizeof(*h), it->ids, d->n_id * sizeof(*it->ids)) == 0 &&
           read_all(fd, data, it->n_data, d->n_head) == 0 &&
           digest_bytes(0, data, it->n_data) == h->data;
}

int kv_disk_get(struct kv_disk *d, const struct kv_disk_item *it, void *data)
{
    char name[KV_TRIM_NAME];
    int fd, good;

    name_of(it->kind, it->key, name);
    fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    good = fd >= 0 && read_item(d, fd, it, data);
    if (fd >= 0)
        (void)close(fd);
    if (!good)
        (void)unlinkat(d->fd, name, 0);
    (void)pthread_mutex_lock(&d->lock);
    d->stats.read += (uint64_t)good;
    d->stats.bad += !good;
    (void)pthread_mutex_unlock(&d->lock);
    return good;
}

/* -- writing --------------------------------------------------------------------------- */

static unsigned char *slot_at(const struct kv_disk *d, int i)
{
    return d->memory + (size_t)i * d->n_slot_byte;
}

/* Makes the file. Returns its size; 0: it was there; -1: it could not be made. */
static int64_t write_file(struct kv_disk *d, struct slot *s, unsigned char *p)
{
    struct kv_disk_head *h = (void *)p;
    const struct timespec both[2] = {s->when, s->when};
    char name[KV_TRIM_NAME];
    int fd = -1, ok;

    name_of((int)h->kind, h->key, name);
    if (faccessat(d->fd, name, R_OK, 0) == 0) {
        set_time(d->fd, name, s->when);
        return 0;
    }
    if (s->n > d->max || cache_dir_spare(d->dir, s->n, NULL) < 0 ||
        cache_dir_temp(d->dir, temp_suffix, &d->temp, &fd, NULL) < 0)
        return -1;
    h->data = digest_bytes(0, p + d->n_head, (size_t)h->n_data);
    h->digest = head_digest(h, p + sizeof(*h));
    ok = cache_dir_put(fd, p, s->n, 0) == 0 && futimens(fd, both) == 0;
    /* While it is open, and so locked: else another would take it for a dead writer's. */
    ok = ok && renameat(AT_FDCWD, d->temp.p, d->fd, name) == 0;
    if (!ok)
        (void)unlink(d->temp.p);
    (void)close(fd); /* what a disk did not take after all, the digest tells */
    return ok ? (int64_t)s->n : -1;
}

/* Counts what was written, and looks at the whole directory when it may be too much. */
static void wrote(struct kv_disk *d, int64_t n)
{
    uint64_t evicted = n > 0 ? kv_trim_add(&d->trim, d->fd, (uint64_t)n) : 0;

    (void)pthread_mutex_lock(&d->lock);
    d->stats.written += n > 0;
    d->stats.left_out += n < 0;
    d->stats.evicted += evicted;
    d->stats.bytes = d->trim.total;
    (void)pthread_mutex_unlock(&d->lock);
}

static void *write_some(void *ctx)
{
    struct kv_disk *d = ctx;
    uint64_t evicted = kv_trim_start(&d->trim, d->fd, d->max);

    (void)pthread_mutex_lock(&d->lock);
    d->stats.evicted += evicted;
    d->stats.bytes = d->trim.total;
    for (;;) {
        while (!d->n_full && !d->stop)
            (void)pthread_cond_wait(&d->filled, &d->lock);
        if (!d->n_full)
            break;
        (void)pthread_mutex_unlock(&d->lock);
        wrote(d, write_file(d, &d->slot[d->out], slot_at(d, d->out)));
        (void)pthread_mutex_lock(&d->lock);
        d->out = (d->out + 1) % d->n_slot;
        d->n_full--;
        (void)pthread_cond_signal(&d->emptied);
    }
    (void)pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* Whether there is a free slot; counts what finds none. */
static int may_put(struct kv_disk *d, int wait)
{
    int free;

    (void)pthread_mutex_lock(&d->lock);
    while (wait && d->n_full == d->n_slot)
        (void)pthread_cond_wait(&d->emptied, &d->lock);
    free = d->n_full < d->n_slot;
    d->stats.left_out += !free;
    (void)pthread_mutex_unlock(&d->lock);
    return free;
}

void kv_disk_put(struct kv_disk *d, const struct kv_disk_item *it, const void *data,
                 uint64_t older, int wait)
{
    unsigned char *p = slot_at(d, d->in);
    struct kv_disk_head h = {.version = KV_DISK_VERSION,
                             .kind = (uint32_t)it->kind,
                             .n_id = d->n_id,
                             .n_data = it->n_data};

    if (!may_put(d, wait))
        return;
    memcpy(h.magic, magic, sizeof(magic));
    memcpy(h.key, it->key, sizeof(h.key));
    memcpy(p, &h, sizeof(h));
    memcpy(p + sizeof(h), it->ids, d->n_id * sizeof(*it->ids));
    memcpy(p + d->n_head, data, it->n_data);
    d->slot[d->in] = (struct slot){d->n_head + it->n_data, before_now(older)};
    d->in = (d->in + 1) % d->n_slot;
    (void)pthread_mutex_lock(&d->lock);
    d->n_full++;
    (void)pthread_cond_signal(&d->filled);
    (void)pthread_mutex_unlock(&d->lock);
}

void kv_disk_flush(struct kv_disk *d)
{
    (void)pthread_mutex_lock(&d->lock);
    while (d->n_full)
        (void)pthread_cond_wait(&d->emptied, &d->lock);
    (void)pthread_mutex_unlock(&d->lock);
}

void kv_disk_stats(struct kv_disk *d, struct kv_disk_stats *out)
{
    (void)pthread_mutex_lock(&d->lock);
    *out = d->stats;
    (void)pthread_mutex_unlock(&d->lock);
}

/* -- opening --------------------------------------------------------------------------- */

static int start_thread(struct kv_disk *d, struct err *e)
{
    int rc = thread_start(&d->thread, write_some, d);

    if (rc != 0)
        return err_sys(e, E_IO, rc, "%s: a thread that writes", d->dir);
    d->has_thread = 1;
    return 0;
}

static int make_slots(struct kv_disk *d, size_t n_data)
{
    size_t n;

    d->n_head = sizeof(struct kv_disk_head) + d->n_id * sizeof(int32_t);
    d->n_slot_byte = (d->n_head + n_data + 63) / 64 * 64;
    n = SLOTS_BYTES / d->n_slot_byte;
    d->n_slot = n < SLOTS_LEAST ? SLOTS_LEAST : n > SLOTS_MOST ? SLOTS_MOST : (int)n;
    d->head = mem_aligned(d->n_head, 8);
    d->slot = mem_calloc((size_t)d->n_slot, sizeof(*d->slot));
    d->memory = vm_alloc((size_t)d->n_slot * d->n_slot_byte);
    return d->head && d->slot && d->memory ? 0 : E_NOMEM;
}

int kv_disk_open(struct kv_disk **out, const char *dir, uint64_t max, size_t n_id,
                 size_t n_data, struct err *e)
{
    struct kv_disk *d;
    int rc = cache_dir_open(dir, temp_suffix, e);

    if (rc < 0)
        return rc;
    d = mem_calloc(1, sizeof(*d));
    if (!d)
        return err_set(e, E_NOMEM, "%s: no memory", dir);
    d->max = max ? max : KV_DISK_MAX;
    d->n_id = n_id;
    (void)pthread_mutex_init(&d->lock, NULL);
    (void)pthread_cond_init(&d->filled, NULL);
    (void)pthread_cond_init(&d->emptied, NULL);
    buf_init(&d->temp, PATH_LIMIT + 64);
    d->dir = mem_strdup(dir);
    d->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->fd < 0)
        rc = err_sys(e, E_IO, errno, "%s", dir);
    else if (!d->dir || make_slots(d, n_data) < 0)
        rc = err_set(e, E_NOMEM, "%s: no memory for what is to be written", dir);
    else
        rc = start_thread(d, e);
    if (rc < 0) {
        kv_disk_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

void kv_disk_close(struct kv_disk *d)
{
    if (!d)
        return;
    if (d->has_thread) {
        (void)pthread_mutex_lock(&d->lock);
        d->stop = 1;
        (void)pthread_cond_signal(&d->filled);
        (void)pthread_mutex_unlock(&d->lock);
        (void)pthread_join(d->thread, NULL);
    }
    (void)pthread_mutex_destroy(&d->lock);
    (void)pthread_cond_destroy(&d->filled);
    (void)pthread_cond_destroy(&d->emptied);
    if (d->fd >= 0)
        (void)close(d->fd);
    kv_trim_done(&d->trim);
    buf_done(&d->temp);
    vm_free(d->memory, (size_t)d->n_slot * d->n_slot_byte);
    mem_free(d->slot);
    mem_free(d->head);
    mem_free(d->dir);
    mem_free(d);
}
